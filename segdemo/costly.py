"""Files that are small but made to cost minutes: told before Pillow opens them.

Pillow reads the headers of a file part by part in Python, joins what some parts hold to all that
came before, and decodes each pass of a JPEG over all of its pixels.
"""

import re
from contextlib import suppress
from io import BytesIO

from PIL.JpegImagePlugin import MARKER
from PIL.TiffImagePlugin import STRIPOFFSETS, TILEOFFSETS, ImageFileDirectory_v2

MAX_PARTS = 100_000  # a photo has some hundreds
MAX_TILES = 200_000  # strips or tiles of a TIFF; 50 megapixels in tiles of 16x16 are 195,000
MAX_JOINED = 200  # Exif segments of a JPEG, blocks of a GIF's comments: photos have one or two
MAX_SCANS = 64  # a JPEG has 1 to 12

# The head of a scan; its length tells how many components follow. In what else a JPEG holds, as
# the film behind a phone's photo, this is rare chance.
SCAN = re.compile(rb"\xff\xda\x00(?:\x08\x01|\x0a\x02|\x0c\x03|\x0e\x04)")


def is_costly(data: bytes) -> bool:
    """Whether a picture's file would take far longer than a photo of its size."""
    if data.startswith(b"\xff\xd8\xff"):
        return jpeg_is_costly(data)
    if data.startswith(b"\x89PNG\r\n\x1a\n"):
        return png_is_costly(data)
    if data.startswith(b"GIF8"):
        return gif_is_costly(data)
    return data.startswith((b"II", b"MM")) and tiff_is_costly(data)


def jpeg_is_costly(data: bytes) -> bool:
    place, parts, joined = 2, 0, 0
    while place + 4 <= len(data) and data[place : place + 2] != b"\xff\xda":
        parts += 1
        joined += data[place + 4 : place + 8] == b"Exif"
        if parts > MAX_PARTS or joined > MAX_JOINED:
            return True
        if data[place] != 0xFF or data[place + 1] == 0xFF:  # between the parts
            place += 1
            continue
        *_, reads = MARKER.get(0xFF00 | data[place + 1], [None])
        place += 2 + (int.from_bytes(data[place + 2 : place + 4]) if reads else 0)
    return len(SCAN.findall(data)) > MAX_SCANS


def png_is_costly(data: bytes) -> bool:
    place, parts = 8, 0
    while place < len(data) and parts <= MAX_PARTS:
        place += 12 + int.from_bytes(data[place : place + 4])
        parts += 1
    return parts > MAX_PARTS


def gif_is_costly(data: bytes) -> bool:
    """What comes before the first frame; no other is read."""
    flags = data[10] if len(data) > 10 else 0
    place, parts, joined = 13 + (6 << (flags & 7) if flags & 0x80 else 0), 0, 0
    while place + 1 < len(data) and data[place] not in b",;":
        parts += 1
        block, comment = data[place] == 0x21, data[place + 1] == 0xFE
        place += 2 if block else 1
        while block and place < len(data) and data[place]:
            parts, joined = parts + 1, joined + comment
            place += 1 + data[place]
            if joined > MAX_JOINED:
                return True
        joined += block and comment
        place += block
        if parts > MAX_PARTS or joined > MAX_JOINED:
            return True
    return False


def tiff_is_costly(data: bytes) -> bool:
    with suppress(Exception):  # broad: what Pillow raises on what is broken, it will raise again
        directory = ImageFileDirectory_v2(data[: 16 if data[2] == 43 else 8])
        file = BytesIO(data)
        file.seek(directory.next)
        directory.load(file)
        for tag in (STRIPOFFSETS, TILEOFFSETS):
            offsets = directory.get(tag)
            if isinstance(offsets, tuple) and len(offsets) > MAX_TILES:
                return True
    return False
