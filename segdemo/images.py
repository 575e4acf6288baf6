"""An untrusted file becomes an RGB array, or a BadImage with one sentence a person understands."""

import codecs
import os
import stat
import threading
import warnings
from contextlib import nullcontext
from io import BytesIO

import numpy as np
from numpy.typing import NDArray
from PIL import ExifTags, Image, UnidentifiedImageError
from PIL.TiffImagePlugin import TILELENGTH, TILEWIDTH, TiffImageFile
from pillow_heif import register_heif_opener

from .costly import is_costly, tags_are_costly
from .profiles import in_srgb

MAX_BYTES = 30_000_000  # a 50-megapixel phone JPEG is about 20 MB, and the file is held in memory
MAX_PIXELS = 50_000_000  # the largest usual phone and camera photos
MAX_SIDE = 20_000  # panoramas fit; a strip a million pixels long is no photo and upsets resizing
# What cameras, phones and browsers save. Few, because every decoder is a door for hostile files.
FORMATS = ("JPEG", "PNG", "WEBP", "GIF", "BMP", "TIFF", "AVIF", "HEIF")
MAX_PROFILE = 200_000  # letters of Exif in a PNG's text; photos have up to 130,000
BAND = 512  # rows of what is converted at a time
SMALL = 4_000_000  # pixels; larger pictures take much memory, so few are decoded at the same time
LARGE = threading.BoundedSemaphore(2)
SHOWN = 1280  # pixels: the longer side of what a screen shows
FORMATS_TEXT = "JPEG, PNG, WebP, GIF, BMP, TIFF, AVIF or HEIC"  # the same, as people know them

# EXIF orientation (tag 274): what turns the stored picture upright. 1 is upright already.
UPRIGHT = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
SIDEWAYS = {UPRIGHT[orientation] for orientation in (5, 6, 7, 8)}

Box = tuple[float, float, float, float]  # left, top, right and bottom, in pixels
Source = str | os.PathLike[str] | bytes | Image.Image | NDArray[np.uint8]

register_heif_opener()


class BadImage(ValueError):
    """A picture that cannot be used. str(e) is one plain sentence: what is wrong, what to do."""


def ignore_remarks() -> None:
    """Let Pillow say nothing of what it skips in a file: for programs, whose stderr people read."""
    # For the whole process: warnings.catch_warnings is not safe in threads.
    warnings.filterwarnings("ignore", module=r"PIL\.")


def load_image(
    source: Source,
    *,
    max_bytes: int = MAX_BYTES,
    max_pixels: int = MAX_PIXELS,
) -> NDArray[np.uint8]:
    """Turn a picture into pixels: upright, in sRGB, transparency over white, first frame or page.

    Args:
        source: a file's path or content, a PIL image (its current frame), or an array, uint8 RGB
            [H, W, 3].
        max_bytes: the largest file accepted; checked before the file is opened.
        max_pixels: the most pixels accepted; checked before they are decoded.
            Pillow refuses what has more than twice its own limit, Image.MAX_IMAGE_PIXELS, too.

    Returns:
        uint8 RGB [H, W, 3], C-contiguous, never sharing memory with the source.

    Raises:
        BadImage: whatever is wrong with the source; nothing else, whatever a file holds.
    """
    return _load(source, max_bytes, max_pixels)[0]


def load_shown(source: Source) -> tuple[NDArray[np.uint8], tuple[int, int]]:
    """The picture as a screen shows it: that is what networks look at, too.

    Much quicker than `load_image` for a large photo: a JPEG is decoded no larger than need be.
    Returns uint8 RGB of `shown_size`, and height and width of the whole picture, upright. Raises
    BadImage.
    """
    return _load(source, MAX_BYTES, MAX_PIXELS, SHOWN)


def shown_size(height: int, width: int, side: int = SHOWN) -> tuple[int, int]:
    """The size for a screen: `side` pixels at the longer side, never enlarged."""
    scale = min(1, side / max(height, width))
    return max(1, round(height * scale)), max(1, round(width * scale))


def _load(
    source: Source, max_bytes: int, max_pixels: int, side: int | None = None
) -> tuple[NDArray[np.uint8], tuple[int, int]]:
    """The picture, its longer side at most `side` pixels, and height and width of the whole."""
    if isinstance(source, np.ndarray):
        if source.dtype != np.uint8 or source.ndim != 3 or source.shape[2] != 3:
            raise BadImage(
                "An image array must be RGB of type uint8 and shape [height, width, 3],"
                f" but this one is {source.dtype} of shape {list(source.shape)}."
            )
        height, width = source.shape[:2]
        _check_size(width, height, max_pixels)
        if side is None or max(height, width) <= side:
            return np.array(source, order="C"), (height, width)
        source = Image.fromarray(source)
    if isinstance(source, Image.Image):
        return _decode(source, max_pixels, side)
    if isinstance(source, bytes):
        return _decode(_checked(source, len(source), max_bytes), max_pixels, side)
    if isinstance(source, str | os.PathLike):
        return _decode(_read(source, max_bytes), max_pixels, side)
    raise BadImage("An image must be given as a file's path, a PIL image or a NumPy array.")


def _read(path: str | os.PathLike[str], max_bytes: int) -> bytes:
    """The content of a regular, non-empty file of at most max_bytes."""
    data = b""
    try:
        status = os.stat(path)
        # Opening a pipe waits for ever and reading a device never ends: look before opening.
        regular = stat.S_ISREG(status.st_mode)
        if regular and status.st_size <= max_bytes:
            with open(path, "rb") as file:
                data = file.read(max_bytes + 1)  # one more, as the file may have grown since
    except FileNotFoundError as error:
        raise BadImage("There is no such file: check the name and try again.") from error
    except (OSError, ValueError, TypeError) as error:  # no permission, a NUL in the name, ...
        raise BadImage("This file cannot be read: check its name and permissions.") from error
    if stat.S_ISDIR(status.st_mode):
        raise BadImage("This is a folder, not a picture: choose a single image file.")
    if not regular:
        raise BadImage("This is a device or a pipe, not a picture: choose an image file.")
    return _checked(data, max(status.st_size, len(data)), max_bytes)


def _checked(data: bytes, size: int, max_bytes: int) -> bytes:
    """The content of a file of `size` bytes, if it is neither too long nor empty."""
    if size > max_bytes:
        raise BadImage(
            f"This file is larger than {max_bytes / 1e6:g} MB: make the picture smaller, or save"
            " it as JPEG, and try again."
        )
    if not data:
        raise BadImage("This file is empty: copy or download it again and try again.")
    return data


def _decode(
    source: bytes | Image.Image, max_pixels: int, side: int | None
) -> tuple[NDArray[np.uint8], tuple[int, int]]:
    """Decode and convert; every way in which that can fail becomes a BadImage."""
    try:
        image = _open(source, max_pixels) if isinstance(source, bytes) else source
        width, height = image.size
        _check_size(width, height, max_pixels)  # only the header has been read so far
        tall, wide = shown_size(height, width, side or MAX_SIDE)
        box: Box = (0, 0, width, height)
        if image is not source:  # a caller's own image would become smaller for them too
            # A JPEG can decode at a half, a quarter or an eighth: the box is what it then fills.
            drafted = image.draft(None, (wide, tall))
            box = drafted[1] if drafted else box
        # By its whole size, since a progressive JPEG is held in full; an AVIF may hold more than
        # it says.
        with LARGE if width * height > SMALL or image.format == "AVIF" else nullcontext():
            rgb, turn = _pixels(image, wide, tall, box)
        return rgb, (height, width) if turn not in SIDEWAYS else (width, height)
    except BadImage:
        raise
    # The warning is an error only where whoever imports us has made it one.
    except (Image.DecompressionBombWarning, Image.DecompressionBombError, MemoryError) as error:
        raise BadImage(_too_large(max_pixels)) from error
    except Exception as error:
        # Broad on purpose: on a broken file Pillow's plugins raise OSError, SyntaxError, KeyError,
        # struct.error, IndexError, ZeroDivisionError and more, and the set grows.
        raise BadImage(
            "This picture is damaged or cut off: copy or save it again and try again."
        ) from error


def _pixels(
    image: Image.Image, wide: int, tall: int, box: Box
) -> tuple[NDArray[np.uint8], Image.Transpose | None]:
    """An opened picture at the size it is wanted in, upright, and what turned it.

    box: how much of its width and height is the picture: of its last pixels perhaps only a part.
    """
    image.load()
    turn = _turn(image)
    if image.mode.startswith(("I", "F")):
        image = _grey_to_8_bits(image)
    times = min(image.width // wide, image.height // tall)
    if image.has_transparency_data:
        rgb = _over_white(image, times)
    else:
        if image.mode not in ("L", "RGB", "CMYK"):
            times = 1
        rgb = _to_rgb(image.reduce(times) if times > 1 else image)
    # Not all of what was made smaller: it was rounded up, and the picture would come out shifted.
    box = (0, 0, box[2] / times, box[3] / times)
    if box != (0, 0, wide, tall):  # Pillow would copy it, too
        rgb = rgb.resize((wide, tall), box=box)
    if turn is not None:
        rgb = rgb.transpose(turn)
    return np.array(rgb), turn


def _open(data: bytes, max_pixels: int) -> Image.Image:
    """Read the header, and refuse what is small but made to cost gigabytes or hours."""
    if is_costly(data):
        raise BadImage("This picture is stored in too many parts: save it again and try again.")
    try:
        image = Image.open(BytesIO(data), formats=FORMATS)
    except UnidentifiedImageError as error:
        raise BadImage(f"This is {_kind(data)}: choose a {FORMATS_TEXT} photo.") from error
    if isinstance(image, TiffImageFile):
        # A tile is decoded whole, however small the picture that is cut from it.
        tile = [image.tag_v2.get(tag, 0) for tag in (TILEWIDTH, TILELENGTH)]
        if tile[0] * tile[1] > max_pixels:
            raise BadImage(_too_large(max_pixels))
    return image


def _check_size(width: int, height: int, max_pixels: int) -> None:
    if width < 1 or height < 1:
        raise BadImage("This picture has no pixels: choose another one.")
    if max(width, height) > MAX_SIDE or width * height > max_pixels:
        raise BadImage(_too_large(max_pixels))


def _too_large(max_pixels: int) -> str:
    return (
        f"This picture is too large: make it at most {max_pixels / 1e6:g} megapixels and"
        f" {MAX_SIDE} pixels a side, and try again."
    )


def _kind(data: bytes) -> str:
    """What a file that no decoder accepts seems to be, in words."""
    head = data[:4096].lstrip()
    if head.startswith(b"%PDF"):
        return "a PDF document, not a photo"
    if head.startswith((b"%!PS", b"\xc5\xd0\xd3\xc6")):
        return "a PostScript (EPS) drawing, not a photo"
    if head.lower().startswith((b"<!doctype html", b"<html")):
        return "a web page, not a photo"
    if head.startswith(b"<") and b"<svg" in head.lower():
        return "an SVG drawing, not a photo"
    try:  # the incremental decoder forgives a character that the end of the head cuts in two
        text = codecs.getincrementaldecoder("utf-8-sig")().decode(head)
    except UnicodeDecodeError:
        text = "\0"
    if all(character.isprintable() or character.isspace() for character in text):
        return "a text file, not a picture"
    return "either not a picture or a damaged one"


def _turn(image: Image.Image) -> Image.Transpose | None:
    """What turns a stored picture upright."""
    try:
        # As ImageMagick writes it into PNG: hexadecimal, in lines.
        text = image.info.get("Raw profile type exif") or ""
        if len(text) > MAX_PROFILE:
            return None
        exif = image.info.get("exif") or bytes.fromhex("".join(text.split("\n")[3:]))
        if tags_are_costly(exif):
            return None
        return UPRIGHT.get(image.getexif().get(ExifTags.Base.Orientation, 1))
    except Exception:  # a photo with broken EXIF, which raises anything, is still a good photo
        return None


def upright(image: Image.Image) -> Image.Image:
    """A loaded picture as its EXIF says that it is seen."""
    turn = _turn(image)
    return image if turn is None else image.transpose(turn)


def _over_white(image: Image.Image, times: int) -> Image.Image:
    """A loaded picture with transparency over white, RGB, `times` smaller.

    A band at a time: of all of it at once there would be four copies.
    """
    rgb = Image.new("RGB", (-(-image.width // times), -(-image.height // times)))
    rows = max(1, BAND // times) * times
    for top in range(0, image.height, rows):
        part = image.crop((0, top, image.width, min(image.height, top + rows)))
        if part.mode == "La":  # Pillow can turn premultiplied grey into LA, but into nothing else
            part = part.convert("LA")
        if times > 1:  # premultiplied, so that what is hidden does not colour its neighbours
            part = part.convert("RGBA").convert("RGBa").reduce(times)
        rgb.paste(_to_rgb(part), (0, top // times))
    return rgb


def _to_rgb(image: Image.Image) -> Image.Image:
    """A loaded picture of 8 bits becomes RGB: in sRGB, transparency over white."""
    profile = image.info.get("icc_profile")
    rgba = None
    if image.has_transparency_data:
        rgba = image.convert("RGBA")  # which also undoes premultiplied colours
        image = rgba.convert("RGB")
    elif image.mode not in ("L", "RGB", "CMYK"):  # the modes that profiles are made for
        image = image.convert("RGB")
    if isinstance(profile, bytes):  # of a TIFF it may be anything
        image = in_srgb(image, profile)
    if image.mode != "RGB":  # Pillow would copy all of it
        image = image.convert("RGB")
    if rgba is not None:
        colours, image = image, Image.new("RGB", image.size, "white")
        image.paste(colours, mask=rgba.getchannel("A"))
    return image


def _grey_to_8_bits(image: Image.Image) -> Image.Image:
    """Grey of 16 or 32 bits, or float, becomes mode L. Pillow itself would cut off at 255."""
    stored = np.asarray(image)
    parts = [slice(top, top + BAND) for top in range(0, len(stored), BAND)]

    def values(part: slice) -> NDArray[np.float32]:
        found = stored[part].astype(np.float32)
        return np.where(np.abs(found) < 1e30, found, 0)  # NaN and infinity have no grey

    low = min(0, *(values(part).min() for part in parts))
    high = max(values(part).max() for part in parts)
    # No header says which value is white, so take the least usual one that holds them all.
    whites = {"I": (255, 65535), "F": (1, 255, 65535)}.get(image.mode, (65535,))
    white = high if low < 0 else next((w for w in whites if high <= w), high)
    transparent = image.info.get("transparency")
    grey = np.empty(stored.shape, np.uint8)
    for part in parts:
        found = values(part)
        scaled = (found - low) * (255 / max(white - low, 1e-6)) + 0.5
        if isinstance(transparent, int):  # the grey that is transparent; Pillow mistakes it here
            scaled[found == transparent] = 255
        grey[part] = scaled
    picture = Image.fromarray(grey)
    picture.info = {"icc_profile": image.info.get("icc_profile")}
    return picture
