"""Files that are small but made to cost minutes or gigabytes: told before Pillow opens them.

Pillow reads the headers of a file part by part in Python, joins what some parts hold to all that
came before, copies what each tag of a TIFF or of Exif points at, though many point at the same,
decodes each pass of a JPEG over all of its pixels, and the runs of a BMP in Python.
"""

import re
import struct

from PIL.JpegImagePlugin import MARKER
from PIL.TiffImagePlugin import STRIPOFFSETS, TILEOFFSETS

MAX_PARTS = 100_000  # a photo has some hundreds
MAX_JOINED = 200  # Exif segments of a JPEG, blocks of a GIF's comments: photos have one or two
MAX_SCANS = 64  # a JPEG has 1 to 12
MAX_TAGS = 1_000  # a photo has up to a hundred
MAX_TILES = 200_000  # strips or tiles of a TIFF; 50 megapixels in tiles of 16x16 are 195,000
MAX_RUNS = 4_000_000  # pixels, and bytes, of a BMP that is stored in runs
MAX_TAGGED = 1_000_000  # bytes that tags point at, or three times the file: some claim too much

# In a JPEG what follows the pixels of a scan; b"\xff" among them is followed by 0 or a restart.
NEXT = re.compile(rb"\xff[^\x00\xd0-\xd7\xff]")
EXIF = b"Exif\0\0"
BYTES = (1, 2, 7)  # types of tags that Pillow reads as a whole; of others it lists the numbers
BYTES_OF_TYPE = {1: 1, 2: 1, 3: 2, 4: 4, 5: 8, 6: 1, 7: 1, 8: 2, 9: 4, 10: 8, 11: 4, 12: 8, 16: 8}


def is_costly(data: bytes) -> bool:
    """Whether a picture's file would take far longer, or more memory, than a photo of its size."""
    if data.startswith(b"\xff\xd8\xff"):
        return jpeg_is_costly(data)
    if data.startswith(b"\x89PNG\r\n\x1a\n"):
        return png_is_costly(data)
    if data.startswith(b"GIF8"):
        return gif_is_costly(data)
    if data.startswith(b"BM"):
        return bmp_is_costly(data)
    if data[4:8] == b"ftyp":
        return avif_is_costly(data)
    return data.startswith((b"II", b"MM")) and tags_are_costly(data)


def jpeg_is_costly(data: bytes) -> bool:
    """What comes before the end of the first picture; behind it, phones store films."""
    place, parts = 2, 0
    exif: list[bytes] = []
    while place + 4 <= len(data) and data[place : place + 2] != b"\xff\xda":
        parts += 1
        if parts > MAX_PARTS or len(exif) > MAX_JOINED:
            return True
        if data[place] != 0xFF or data[place + 1] == 0xFF:  # between the parts
            place += 1
            continue
        *_, reads = MARKER.get(0xFF00 | data[place + 1], [None])
        end = place + 2 + (int.from_bytes(data[place + 2 : place + 4]) if reads else 0)
        kept = data[place + 4 : end] if data[place + 1] in (0xE1, 0xE2) else b""
        if kept.startswith(b"MPF\0") and tags_are_costly(kept[4:]):
            return True
        if kept.startswith(EXIF):
            exif.append(kept[6:])  # as Pillow joins them
        place = end
    scans = 0
    while (found := NEXT.search(data, place)) and found[0] != b"\xff\xd9":
        parts, scans = parts + 1, scans + (found[0] == b"\xff\xda")
        if parts > MAX_PARTS or scans > MAX_SCANS:
            return True
        length = (
            0 if found[0] == b"\xff\x01" else int.from_bytes(data[found.end() : found.end() + 2])
        )
        place = found.end() + length
    return tags_are_costly(b"".join(exif))


def png_is_costly(data: bytes) -> bool:
    place, parts = 8, 0
    while place < len(data) and data[place + 4 : place + 8] != b"IEND":
        place += 12 + int.from_bytes(data[place : place + 4])
        parts += 1
        if parts > MAX_PARTS:
            return True
    return False


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
            if parts > MAX_PARTS or joined > MAX_JOINED:
                return True
        joined += block and comment
        place += block
        if parts > MAX_PARTS or joined > MAX_JOINED:
            return True
    return False


def bmp_is_costly(data: bytes) -> bool:
    if len(data) < 34:
        return False
    width, height, _, _, compression = struct.unpack_from("<iiHHI", data, 18)
    return compression in (1, 2) and max(abs(width * height), len(data)) > MAX_RUNS


def avif_is_costly(data: bytes) -> bool:
    """Of its Exif, all tags of which Pillow reads as it opens the file."""
    try:
        from PIL import _avif  # which a Pillow may be built without

        exif = _avif.AvifDecoder(data, "auto", 1).get_info()[4]
    except Exception:  # broad: damaged, or a HEIC, and no kind of error is promised
        return False
    return tags_are_costly(exif or b"")


def tags_are_costly(data: bytes) -> bool:
    """Of a TIFF's content, or of Exif, which has the same form: of its first list of tags."""
    for _ in range(2):  # a file's own, and another that Pillow puts before it
        data = data.removeprefix(EXIF)
    if data.startswith(EXIF):  # Pillow would take off one after the other
        return True
    order, big = "<" if data.startswith(b"II") else ">", data[2:3] == b"\x2b"
    try:
        (place,) = struct.unpack_from(f"{order}Q" if big else f"{order}L", data, 8 if big else 4)
        (count,) = struct.unpack_from(f"{order}Q" if big else f"{order}H", data, place)
    except (struct.error, OverflowError):  # damaged: there is nothing to read
        return False
    place += 8 if big else 2
    if count > MAX_TAGS:
        return place + count < len(data)  # else it is damaged, too
    entry = struct.Struct(f"{order}HHQ8x" if big else f"{order}HHL4x")
    whole = data[place : place + count * entry.size]
    whole = whole[: len(whole) // entry.size * entry.size]
    tagged = 0
    for tag, of_type, values in entry.iter_unpack(whole):
        tagged += min(values * BYTES_OF_TYPE.get(of_type, 0), len(data))
        listed = of_type not in BYTES or tag in (STRIPOFFSETS, TILEOFFSETS)
        if listed and MAX_TILES < values <= len(data):
            return True
    return tagged > max(MAX_TAGGED, 3 * len(data))
