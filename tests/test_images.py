"""Files from people: good ones keep their look, bad ones become one plain sentence."""

import os
import random
import re
import struct
import tracemalloc
import zlib
from collections.abc import Callable, Sequence
from io import BytesIO
from pathlib import Path
from typing import Any
from unittest.mock import MagicMock

import numpy as np
import pytest
from conftest import scene
from numpy.typing import NDArray
from PIL import ExifTags, Image, ImageCms, ImageDraw, ImageFile
from PIL.PngImagePlugin import PngInfo

from segdemo import images
from segdemo.images import MAX_PIXELS, BadImage, load_image, load_shown, shown_size

RED, GREEN, BLUE, YELLOW = (230, 20, 20), (20, 200, 20), (20, 20, 230), (230, 230, 20)
ORIENTATION = 274
LOSSY = {"JPEG", "WEBP", "AVIF", "HEIF"}
# Every format that is promised, with what makes Pillow keep as much of the picture as it can.
SAVE: dict[str, dict[str, Any]] = {
    "JPEG": {"quality": 95, "subsampling": 0},
    "PNG": {},
    "WEBP": {"quality": 95},
    "GIF": {},
    "BMP": {},
    "TIFF": {},
    "AVIF": {"quality": 95},
    "HEIF": {"quality": 95},
}


def corners(height: int = 48, width: int = 80) -> NDArray[np.uint8]:
    """Four corners of four colours, so that every turn and every mirroring shows."""
    picture = np.empty((height, width, 3), np.uint8)
    picture[: height // 2, : width // 2] = RED
    picture[: height // 2, width // 2 :] = GREEN
    picture[height // 2 :, : width // 2] = BLUE
    picture[height // 2 :, width // 2 :] = YELLOW
    return picture


def encode(image: Image.Image, kind: str, **options: Any) -> bytes:
    file = BytesIO()
    image.save(file, kind, **(SAVE[kind] | options))
    return file.getvalue()


def check_close(found: NDArray[np.uint8], wanted: NDArray[np.uint8], tolerance: float) -> None:
    """Mean difference in grey levels; a mean, because codecs ring at the edges."""
    assert found.shape == wanted.shape
    assert found.dtype == np.uint8
    assert found.flags.c_contiguous
    assert found.flags.writeable
    assert np.abs(found.astype(int) - wanted).mean() <= tolerance


@pytest.fixture
def load(tmp_path: Path) -> Callable[[bytes], NDArray[np.uint8]]:
    """Bytes, by way of a file whose name says nothing, to pixels."""

    def through_a_file(data: bytes) -> NDArray[np.uint8]:
        path = tmp_path / "upload"
        path.write_bytes(data)
        return load_image(path)

    return through_a_file


def refusal(source: Any, **limits: int) -> str:
    """The sentence with which a source is refused, checked for being one."""
    with pytest.raises(BadImage) as caught:
        load_image(source, **limits)
    sentence = str(caught.value)
    assert re.fullmatch(r"[A-Z][^\n<>&]+[^.\s]\.", sentence)
    assert ". " not in sentence
    assert not re.search(r"traceback|exception|errno|object at|PIL\.|_io\b", sentence, re.I)
    if isinstance(source, str | os.PathLike) and os.path.basename(source):
        assert os.path.basename(source) not in sentence
    return sentence


# --- what people upload -------------------------------------------------------------------------


@pytest.mark.parametrize("kind", SAVE)
def test_every_format_opens_by_its_content(kind: str, tmp_path: Path) -> None:
    path = tmp_path / "photo.txt"
    path.write_bytes(encode(Image.fromarray(corners()), kind))
    for source in (path, str(path)):
        check_close(load_image(source), corners(), 4 if kind in LOSSY else 0)


@pytest.mark.parametrize(
    "name", ["päiväkoti 日本.jpg", "a b'\"%s{0}.png", "-rf", ".hidden", "x" * 200]
)
def test_odd_names_are_just_names(name: str, tmp_path: Path) -> None:
    path = tmp_path / name
    path.write_bytes(encode(Image.fromarray(corners()), "PNG"))
    check_close(load_image(path), corners(), 0)


# For each orientation, how a camera held that way stores the upright picture.
STORED: dict[int, Callable[[NDArray[np.uint8]], NDArray[np.uint8]]] = {
    1: lambda upright: upright,
    2: lambda upright: upright[:, ::-1],
    3: lambda upright: upright[::-1, ::-1],
    4: lambda upright: upright[::-1],
    5: lambda upright: upright.transpose(1, 0, 2),
    6: lambda upright: np.rot90(upright, 1),
    7: lambda upright: upright[::-1, ::-1].transpose(1, 0, 2),
    8: lambda upright: np.rot90(upright, -1),
}


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP", "TIFF", "AVIF", "HEIF"])
@pytest.mark.parametrize("orientation", STORED)
def test_orientation(
    orientation: int, kind: str, load: Callable[[bytes], NDArray[np.uint8]]
) -> None:
    stored = Image.fromarray(np.ascontiguousarray(STORED[orientation](corners())))
    exif = Image.Exif()
    exif[ORIENTATION] = orientation
    data = encode(stored, kind, exif=exif.tobytes())
    check_close(load(data), corners(), 4 if kind in LOSSY else 0)
    check_close(load_image(Image.open(BytesIO(data))), corners(), 4 if kind in LOSSY else 0)
    assert load_shown(data)[1] == corners().shape[:2]


def test_a_photo_that_appears_bit_by_bit(load: Callable[[bytes], NDArray[np.uint8]]) -> None:
    data = encode(Image.fromarray(corners()), "JPEG", progressive=True, quality=95)
    check_close(load(data), corners(), 8)


def test_compressed_tiff_is_turned_once(load: Callable[[bytes], NDArray[np.uint8]]) -> None:
    stored = Image.fromarray(np.ascontiguousarray(STORED[6](corners())))
    data = encode(stored, "TIFF", compression="tiff_lzw", tiffinfo={ORIENTATION: 6})
    check_close(load(data), corners(), 0)


@pytest.mark.filterwarnings("ignore:Corrupt EXIF")
@pytest.mark.parametrize(
    "exif", [b"Exif\0\0garbage", b"Exif\0\0II*\0\xff\xff\xff\xff", b"Exif\0\0MM\0*\0\0"]
)
@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP"])
def test_broken_exif_does_not_spoil_a_photo(
    kind: str, exif: bytes, load: Callable[[bytes], NDArray[np.uint8]]
) -> None:
    data = encode(Image.fromarray(corners()), kind, exif=exif)
    check_close(load(data), corners(), 4 if kind in LOSSY else 0)


# --- colours ------------------------------------------------------------------------------------


def gradient() -> NDArray[np.uint8]:
    """Every grey there is, black at the left."""
    return np.broadcast_to(np.arange(256, dtype=np.uint8), (16, 256)).copy()


@pytest.mark.parametrize(
    ("kind", "options"), [("PNG", {}), ("TIFF", {}), ("TIFF", {"compression": "tiff_lzw"})]
)
def test_grey_of_16_bits_keeps_its_gradient(
    kind: str, options: dict[str, str], load: Callable[[bytes], NDArray[np.uint8]]
) -> None:
    wanted = np.repeat(gradient()[..., None], 3, axis=2)
    image = Image.fromarray(gradient().astype(np.uint16) * 257)
    assert image.mode == "I;16"
    check_close(load(encode(image, kind, **options)), wanted, 0)


@pytest.mark.parametrize(
    ("dtype", "scale", "shift"),
    [
        (">u2", 257, 0),
        ("int32", 1, 0),
        ("int32", 257, 0),
        ("int32", 1 << 20, 0),
        ("int32", 300, -30000),
        ("float32", 1 / 255, 0),
        ("float32", 1, 0),
        ("float32", 257, 0),
        ("float32", 1e6, 0),
        ("float32", 1 / 255, -0.5),
        ("float32", 1e35, 0),
    ],
)
def test_deep_grey_keeps_its_gradient(dtype: str, scale: float, shift: float) -> None:
    values = (gradient() * np.float64(scale) + shift).astype(dtype)
    found = load_image(Image.fromarray(values))
    assert (found[..., 0] == found[..., 1]).all()
    if scale < 1e30:  # greater values count as none
        check_close(found, np.repeat(gradient()[..., None], 3, axis=2), 0.6)


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_a_pixel_that_is_no_number_does_not_spoil_the_others(bad: float) -> None:
    values = gradient().astype(np.float32) / 255
    values[3, 3] = bad
    wanted = gradient()
    wanted[3, 3] = 0
    check_close(load_image(Image.fromarray(values)), np.repeat(wanted[..., None], 3, axis=2), 0)


@pytest.mark.parametrize("mode", ["1", "L", "P", "CMYK", "YCbCr", "LAB", "HSV", "RGBX"])
def test_modes_look_as_in_pillow(mode: str) -> None:
    image = Image.fromarray(corners()).convert(mode)
    wanted = corners()
    if mode in ("1", "L"):
        wanted = np.array(image.convert("RGB"))
    check_close(load_image(image), wanted, 25 if mode == "P" else 3)  # P: the web palette


@pytest.mark.parametrize("kind", ["JPEG", "TIFF"])
def test_cmyk(kind: str, load: Callable[[bytes], NDArray[np.uint8]]) -> None:
    image = Image.fromarray(corners()).convert("CMYK")
    assert image.mode == "CMYK"
    check_close(load(encode(image, kind)), corners(), 6)


def test_lab_file(load: Callable[[bytes], NDArray[np.uint8]]) -> None:
    check_close(load(encode(Image.fromarray(corners()).convert("LAB"), "TIFF")), corners(), 3)


def swapped_profile() -> bytes:
    """The sRGB profile with its red and its blue primary exchanged."""
    profile = bytearray(ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes())
    red, blue = profile.index(b"rXYZ"), profile.index(b"bXYZ")
    profile[red : red + 4], profile[blue : blue + 4] = b"bXYZ", b"rXYZ"
    return bytes(profile)


@pytest.mark.parametrize("mode", ["RGB", "RGBA", "P"])
@pytest.mark.parametrize("kind", ["PNG", "WEBP", "TIFF"])
def test_colour_profile_is_applied(
    kind: str, mode: str, load: Callable[[bytes], NDArray[np.uint8]]
) -> None:
    image = Image.fromarray(corners()).quantize(4) if mode == "P" else Image.fromarray(corners())
    options = {"lossless": True} if kind == "WEBP" else {}
    data = encode(image.convert(mode), kind, icc_profile=swapped_profile(), **options)
    check_close(load(data), corners()[..., ::-1], 4)


@pytest.mark.parametrize("kind", ["JPEG", "AVIF", "HEIF"])
def test_colour_profile_in_photos(kind: str, load: Callable[[bytes], NDArray[np.uint8]]) -> None:
    data = encode(Image.fromarray(corners()), kind, icc_profile=swapped_profile())
    check_close(load(data), corners()[..., ::-1], 6)


def test_colour_profile_that_says_srgb_changes_nothing(
    load: Callable[[bytes], NDArray[np.uint8]],
) -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (50, 60, 3), np.uint8)
    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    check_close(load(encode(Image.fromarray(pixels), "PNG", icc_profile=profile)), pixels, 0)


def test_long_colour_profile_is_applied(load: Callable[[bytes], NDArray[np.uint8]]) -> None:
    """One too long to be kept for the next picture."""
    profile = swapped_profile() + bytes(200_000)
    profile = len(profile).to_bytes(4, "big") + profile[4:]
    data = encode(Image.fromarray(corners()), "PNG", icc_profile=profile)
    check_close(load(data), corners()[..., ::-1], 4)


@pytest.mark.parametrize("profile", [b"junk", b"\0" * 200, swapped_profile()[:300]])
@pytest.mark.parametrize("mode", ["RGB", "L", "CMYK"])
def test_unfit_colour_profile_is_ignored(
    mode: str, profile: bytes, load: Callable[[bytes], NDArray[np.uint8]]
) -> None:
    image = Image.fromarray(corners()).convert(mode)
    data = encode(image, "TIFF", icc_profile=profile)
    check_close(load(data), np.array(image.convert("RGB")), 0)


def test_elements_of_a_colour_profile_are_not_run(
    load: Callable[[bytes], NDArray[np.uint8]],
) -> None:
    """A list of them in a few kilobytes can take hours."""
    matrix = struct.pack(">4s4xHH12f", b"matf", 3, 3, 0.2, 0.3, 0.1, 0.4, *[0.1] * 8)
    elements = struct.pack(">4s4xHHIII", b"mpet", 3, 3, 1, 24, len(matrix)) + matrix
    head = bytearray(ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()[:128])
    head[:4] = (144 + len(elements)).to_bytes(4)
    profile = bytes(head) + struct.pack(">I4sII", 1, b"D2B0", 144, len(elements)) + elements
    data = encode(Image.fromarray(corners()), "PNG", icc_profile=profile)
    check_close(load(data), corners(), 0)


# --- transparency -------------------------------------------------------------------------------


def half_hidden(kind: str) -> Image.Image:
    """Left half opaque; right half wholly transparent over a secret colour."""
    rgba = np.full((20, 40, 4), 255, np.uint8)
    rgba[..., :3] = (40, 40, 40)
    rgba[:, 20:] = (200, 0, 0, 0)
    image = Image.fromarray(rgba)
    if kind in ("P", "P bytes", "PA"):
        image = Image.new("P", (40, 20), 0)
        image.putpalette([40, 40, 40, 200, 0, 0])
        image.paste(1, (20, 0, 40, 20))
        if kind == "PA":
            image = image.convert("PA")
            image.putalpha(Image.fromarray(rgba[..., 3]))
        else:
            image.info["transparency"] = 1 if kind == "P" else b"\xff\x00"
    elif kind in ("La", "RGBa"):
        image = image.convert(kind.upper()).convert(kind)
    elif kind in ("L key", "RGB key", "I;16 key"):
        image = image.convert("RGB" if kind == "RGB key" else "L")
        if kind == "I;16 key":
            image = Image.fromarray(np.array(image).astype(np.uint16) * 257)
        image.info["transparency"] = image.getpixel((39, 0))
    else:
        image = image.convert(kind)
    return image


ALPHA = ["RGBA", "LA", "La", "RGBa", "P", "P bytes", "PA", "L key", "RGB key", "I;16 key"]


@pytest.mark.parametrize("kind", ALPHA)
def test_transparent_is_white_and_hides_what_is_below(kind: str) -> None:
    found = load_image(half_hidden(kind))
    assert (found[:, :20] == 40).all()
    assert (found[:, 20:] == 255).all()


@pytest.mark.parametrize(
    ("kind", "mode"),
    [("PNG", kind) for kind in ("RGBA", "LA", "P", "P bytes", "L key", "RGB key", "I;16 key")]
    + [("WEBP", "RGBA"), ("GIF", "P"), ("TIFF", "RGBA"), ("AVIF", "RGBA"), ("HEIF", "RGBA")],
)
def test_transparent_in_files(
    kind: str, mode: str, load: Callable[[bytes], NDArray[np.uint8]]
) -> None:
    image = half_hidden(mode)
    options = {"transparency": image.info["transparency"]} if "transparency" in image.info else {}
    found = load(encode(image, kind, **options)).astype(int)
    assert np.abs(found[:, :18] - 40).max() <= 8
    assert np.abs(found[:, 22:] - 255).max() <= 8


@pytest.mark.parametrize("mode", ["RGBA", "RGBa", "LA", "La"])
def test_half_transparent_mixes_with_white(mode: str) -> None:
    image = Image.new("RGBA", (5, 5), (100, 100, 100, 128))
    if mode in ("LA", "La"):
        image = image.convert("LA")
    check_close(load_image(image.convert(mode)), np.full((5, 5, 3), 177, np.uint8), 1)


def test_what_a_colour_key_hides_does_not_colour_its_neighbours() -> None:
    image = Image.new("RGB", (2600, 1300), (0, 200, 0))
    image.paste((255, 0, 255), (0, 0, 1301, 1300))  # an edge in the middle of a shown pixel
    shown, _ = load_shown(encode(image, "PNG", transparency=(255, 0, 255)))
    assert (shown[..., 1] >= 199).all()  # from green to white, with no magenta between them


# --- several pictures in one file ---------------------------------------------------------------


@pytest.mark.parametrize("kind", ["GIF", "PNG", "WEBP", "TIFF", "AVIF", "HEIF"])
def test_first_of_many(kind: str, load: Callable[[bytes], NDArray[np.uint8]]) -> None:
    later = [Image.new("RGB", (80, 48), colour) for colour in ("white", "black")]
    data = encode(Image.fromarray(corners()), kind, save_all=True, append_images=later)
    check_close(load(data), corners(), 4 if kind in LOSSY else 0)


def test_first_of_a_camera_jpeg_with_previews(load: Callable[[bytes], NDArray[np.uint8]]) -> None:
    file = BytesIO()
    preview = Image.new("RGB", (8, 8), "white")
    Image.fromarray(corners()).save(file, "MPO", save_all=True, append_images=[preview])
    check_close(load(file.getvalue()), corners(), 8)


@pytest.mark.parametrize(
    ("kind", "mode"),
    [("PNG", mode) for mode in ("RGB", "RGBA", "L", "LA", "P", "1", "I;16")]
    + [("JPEG", "RGB"), ("JPEG", "L")],
)
@pytest.mark.parametrize("size", [(2561, 1921), (4000, 3000), (6000, 290)])
def test_what_is_shown_lies_where_it_is_in_the_photo(
    kind: str, mode: str, size: tuple[int, int]
) -> None:
    """A disc at the lower right, by its middle; at most a sixth of a shown pixel away."""
    width, height = size
    where, radius = (width - 100, height - 100), 80
    image = Image.new("L", size, 255)
    ImageDraw.Draw(image).circle(where, radius, 0)
    if mode == "I;16":
        image = Image.fromarray(np.asarray(image).astype(np.uint16) * 257)
    else:
        image = image.convert(mode)
    shown, _ = load_shown(encode(image, kind))
    dark = 255.0 - shown[..., 0]
    scale = width / shown.shape[1]
    for axis, middle in zip((0, 1), where, strict=True):
        weights = dark.sum(axis=axis)
        found = (weights * (np.arange(len(weights)) + 0.5)).sum() / weights.sum()
        assert abs(found - (middle + 0.5) / scale) < 1 / 6


# --- sizes --------------------------------------------------------------------------------------


@pytest.mark.parametrize("shape", [(1, 1), (20_000, 1), (1, 20_000)])
@pytest.mark.parametrize("kind", ["PNG", "JPEG", "array", "PIL"])
def test_smallest_and_longest(
    kind: str, shape: tuple[int, int], load: Callable[[bytes], NDArray[np.uint8]]
) -> None:
    pixels = np.full((*shape, 3), 90, np.uint8)
    image = Image.fromarray(pixels)
    found = load_image(pixels if kind == "array" else image) if kind in ("array", "PIL") else None
    check_close(load(encode(image, kind)) if found is None else found, pixels, 1)


def chunk(name: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))


def png(width: int, height: int, *chunks: bytes) -> bytes:
    """A grey PNG with the header asked for and no pixels, or those in the chunks."""
    header = struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0)
    parts = (chunk(b"IHDR", header), *chunks, chunk(b"IEND", b""))
    return b"\x89PNG\r\n\x1a\n" + b"".join(parts)


@pytest.mark.parametrize("size", [(13_000, 13_000), (60_000, 60_000), (20_001, 1), (1, 20_001)])
def test_too_large_is_told_from_the_header(size: tuple[int, int], tmp_path: Path) -> None:
    path = tmp_path / "bomb.png"
    path.write_bytes(png(*size))  # decoding it would fail with another sentence
    assert "50 megapixels" in refusal(path)


def test_too_large_is_refused_however_it_comes(tmp_path: Path) -> None:
    image = Image.new("1", (13_000, 13_000))
    path = tmp_path / "bomb.png"
    image.save(path)
    assert "too large" in refusal(path)
    assert "too large" in refusal(image)
    assert "too large" in refusal(np.broadcast_to(np.uint8(0), (13_000, 13_000, 3)))
    assert 7000 * 7000 < MAX_PIXELS < 13_000 * 13_000


def test_own_limits(tmp_path: Path) -> None:
    path = tmp_path / "photo.png"
    Image.fromarray(corners()).save(path)
    size = path.stat().st_size
    check_close(load_image(path, max_bytes=size, max_pixels=80 * 48), corners(), 0)
    assert "larger than" in refusal(path, max_bytes=size - 1)
    assert "megapixels" in refusal(path, max_pixels=80 * 48 - 1)


def test_a_huge_file_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "huge.jpg"
    with path.open("wb") as file:
        file.truncate(10**12)  # a hole: takes no space, and reading it would take all memory
    assert "larger than 30 MB" in refusal(path)


@pytest.mark.parametrize("name", [b"zTXt", b"iCCP"])
def test_png_with_chunks_that_swell(name: bytes, tmp_path: Path) -> None:
    swelling = chunk(name, b"k\0\0" + zlib.compress(bytes(50_000_000)))
    path = tmp_path / "text.png"
    path.write_bytes(png(2, 2, swelling, chunk(b"IDAT", zlib.compress(bytes(6)))))
    assert "damaged" in refusal(path)


def test_tiff_with_a_huge_tile(tmp_path: Path) -> None:
    tags = {256: 10, 257: 10, 258: 8, 259: 8, 262: 1, 277: 1, 322: 32_000, 323: 32_000, 324: 8}
    tags[325] = 1000
    entries = [struct.pack("<HHII", tag, 4, 1, value) for tag, value in tags.items()]
    path = tmp_path / "tile.tif"
    path.write_bytes(b"II*\0" + struct.pack("<IH", 8, len(tags)) + b"".join(entries) + bytes(1004))
    assert "too large" in refusal(path)


def costly_files() -> dict[str, bytes]:
    """Files of a megabyte or so that Pillow would open for minutes, were they of 30."""
    jpeg = encode(Image.fromarray(corners()), "JPEG", progressive=True)
    scan = jpeg[jpeg.rindex(b"\xff\xda") : -2]
    gif = encode(Image.fromarray(corners()), "GIF")
    start = gif.index(b"\x2c", 13 + (6 << (gif[10] & 7)))
    return {
        "scans.jpg": jpeg[:-2] + scan * 100 + jpeg[-2:],
        "exif.jpg": jpeg[:2] + b"\xff\xe1\0\x0aExif\0\0ab" * 1000 + jpeg[2:],
        "empty.jpg": jpeg[:2] + b"\xff\xfe\0\2" * 200_000 + jpeg[2:],
        "fill.jpg": jpeg[:2] + b"\xff" * 200_000 + jpeg[2:],
        "skipped.jpg": jpeg[:2] + b"\xff\xd0\xff\xff" * 100_000 + jpeg[2:],
        "chunks.png": png(2, 2, *[chunk(b"prIv", b"")] * 200_000),
        "comments.gif": gif[:start] + b"!\xfe\1a\0" * 1000 + gif[start:],
        "comment.gif": gif[:start] + b"!\xfe" + b"\1a" * 1000 + b"\0" + gif[start:],
        "strips.tif": tiff(64, strips=struct.pack("<300000I", *range(300_000))),
        "short.tif": tiff(64, of_type=1, strips=bytes(300_000)),
        "tags.tif": tiff(64, strips=bytes(4), more=200 * [(700, 1_000_000)]) + bytes(1_000_000),
        "numbers.tif": tiff(64, bytes(4), more=[(338, 300_000)], of_more=3) + bytes(600_000),
        "tags.jpg": jpeg[:2] + segments(pointing(2_000, 600_000)) + jpeg[2:],
        "beginnings.jpg": jpeg[:2] + segments(b"Exif\0\0" * 20_000) + jpeg[2:],
        "tags.avif": encode(Image.fromarray(corners()), "AVIF", exif=pointing(900, 1_000_000)),
        "runs.bmp": runs(2_100, 2_000, b"\1\0\0\0" * 2_000),
        "nothing.bmp": runs(8, 8, b"\0\2\0\0" * 1_100_000),
        "mpf.jpg": jpeg[:2] + b"\xff\xe2\xff\xf0MPF\0" + pointing(900, 60_000) + jpeg[2:],
    }


def tiff(
    side: int,
    strips: bytes,
    of_type: int = 4,
    more: Sequence[tuple[int, int]] = (),
    of_more: int = 7,
) -> bytes:
    """A grey TIFF whose strips begin there, and with further tags of so many values each."""
    tags = {256: side, 257: side, 258: 8, 259: 1, 262: 1, 277: 1, 278: 1}
    entries = [struct.pack("<HHII", tag, 4, 1, value) for tag, value in tags.items()]
    count = len(strips) // (4 if of_type == 4 else 1)
    end = 8 + 2 + 12 * (len(entries) + 1 + len(more)) + 4
    entries.insert(4, struct.pack("<HHII", 273, of_type, count, end))
    entries += [struct.pack("<HHII", tag, of_more, count, end) for tag, count in more]
    head = b"II*\0" + struct.pack("<IH", 8, len(entries))
    return head + b"".join(entries) + bytes(4) + strips


def runs(width: int, height: int, coded: bytes) -> bytes:
    """A BMP of run lengths."""
    start = 54 + 1024
    head = b"BM" + struct.pack("<IHHI", start + len(coded), 0, 0, start)
    info = struct.pack("<IiiHHIIiiII", 40, width, height, 1, 8, 1, len(coded), 0, 0, 256, 0)
    greys = b"".join(bytes([grey, grey, grey, 0]) for grey in range(256))
    return head + info + greys + coded


def pointing(tags: int, size: int) -> bytes:
    """Exif of so many tags that all point at the same `size` bytes."""
    entries = b"".join(struct.pack("<HHII", 1000 + i, 7, size, 8) for i in range(tags))
    exif = b"II*\0" + struct.pack("<IH", 8, tags) + entries + bytes(4)
    return exif + bytes(max(0, 8 + size - len(exif)))


def segments(exif: bytes) -> bytes:
    """In a JPEG."""
    parts = [exif[place : place + 60_000] for place in range(0, len(exif), 60_000)]
    return b"".join(
        b"\xff\xe1" + struct.pack(">H", len(part) + 8) + b"Exif\0\0" + part for part in parts
    )


@pytest.mark.parametrize("name", costly_files())
def test_a_file_that_is_made_to_cost_minutes_is_refused(name: str, tmp_path: Path) -> None:
    path = tmp_path / name
    path.write_bytes(costly_files()[name])
    assert "too many parts" in refusal(path)


def test_a_small_picture_in_runs_is_read(tmp_path: Path) -> None:
    path = tmp_path / "runs.bmp"
    path.write_bytes(runs(4, 2, b"\4\x40\0\0\4\0\0\1"))
    assert (load_image(path)[0] == 0).all() and (load_image(path)[1] == 0x40).sum() >= 4


def test_what_cameras_add_to_a_photo_costs_nothing(tmp_path: Path) -> None:
    """A colour profile in pieces, long Exif, a preview, and a film behind the photo."""
    jpeg = encode(Image.fromarray(corners()), "JPEG", progressive=True, comment=b"c" * 1000)
    pieces = b"".join(b"\xff\xe2\xff\xff" + bytes(65_533) for _ in range(20))
    exif = b"\xff\xe1\xea\x62Exif\0\0" + bytes(60_000 - 8)
    film = np.random.default_rng(1).bytes(3_000_000)
    path = tmp_path / "motion.jpg"
    path.write_bytes(jpeg[:2] + exif * 2 + pieces + jpeg[2:] + film)
    check_close(load_image(path), corners(), 25)
    others = {
        "a burst": jpeg * 20,
        "a comment": encode(Image.fromarray(corners()), "GIF", comment=b"c" * 20_000),
        "padding": encode(Image.fromarray(corners()), "PNG") + bytes(2_000_000),
        "broken Exif": jpeg[:2] + segments(pointing(3, 4_000)[:200]) + jpeg[2:],
    }
    for name, data in others.items():
        path.write_bytes(data)
        assert load_image(path).shape == corners().shape, name


@pytest.mark.parametrize("kind", ["PNG", "WEBP", "a PNG that begins it twice", "a PNG's text"])
def test_exif_that_would_fill_the_memory_is_not_read(kind: str, tmp_path: Path) -> None:
    path, image = tmp_path / "photo", Image.fromarray(corners())
    if kind == "a PNG's text":
        text = PngInfo()
        exif = pointing(900, 90_000)
        text.add_text("Raw profile type exif", f"\nexif\n{len(exif)}\n{exif.hex()}", zip=True)
        image.save(path, "PNG", pnginfo=text)
    elif kind == "a PNG that begins it twice":
        image.save(path, "PNG", exif=b"Exif\0\0" * 2 + pointing(900, 1_000_000))
    else:
        image.save(path, kind, exif=pointing(900, 1_000_000))
    tracemalloc.start()
    try:
        assert load_image(path).shape == corners().shape
        assert tracemalloc.get_traced_memory()[1] < 60e6  # half of it to read any file
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize(("kind", "size"), [("JPEG", (2600, 1600)), ("AVIF", (64, 64))])
def test_what_may_take_much_memory_is_decoded_by_turns(
    kind: str, size: tuple[int, int], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A JPEG that is held in full though shown small, and what may hold more than it says."""
    turns = MagicMock()
    monkeypatch.setattr(images, "LARGE", turns)
    load_shown(encode(Image.new("RGB", size), kind))
    turns.__enter__.assert_called_once()
    load_shown(encode(Image.new("RGB", (64, 64)), "JPEG"))
    turns.__enter__.assert_called_once()


# --- what is no picture -------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("data", "hint"),
    [
        (b"", "empty"),
        (b"Dear all,\n\nplease find enclosed\n", "text file"),
        ("Päivää, 你好 ".encode() * 999, "text file"),
        (b'<?xml version="1.0"?>\n<svg xmlns="http://www.w3.org/2000/svg"/>', "SVG"),
        (b"<!DOCTYPE html><html><body><svg></svg></body></html>", "web page"),
        (b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 10 10\nshowpage\n", "EPS"),
        (b"\xc5\xd0\xd3\xc6" + bytes(100), "EPS"),
        (b"%PDF-1.7\n", "PDF"),
        (bytes(1000), "not a picture"),
        (b"\xff\xd8\xff", "damaged"),
        (b"PK\x03\x04" + bytes(range(256)), "not a picture"),
    ],
)
@pytest.mark.parametrize("name", ["upload", "photo.jpg", "photo.eps"])
def test_not_a_picture(data: bytes, hint: str, name: str, tmp_path: Path) -> None:
    path = tmp_path / name
    path.write_bytes(data)
    assert hint in refusal(path)


@pytest.mark.parametrize("kind", ["ICO", "PPM", "PCX", "EPS", "PDF"])
def test_formats_not_promised_are_refused(kind: str, tmp_path: Path) -> None:
    path = tmp_path / "photo.png"
    Image.fromarray(corners()).save(path, kind)
    assert "choose a JPEG" in refusal(path)


@pytest.mark.parametrize("kind", SAVE)
@pytest.mark.parametrize("share", [0.02, 0.3, 0.6, 0.9])
def test_cut_off(kind: str, share: float, tmp_path: Path) -> None:
    noise = np.random.default_rng(0).integers(0, 256, (60, 60, 3), np.uint8)
    data = encode(Image.fromarray(noise), kind)
    path = tmp_path / "part7"
    path.write_bytes(data[: int(len(data) * share)])
    assert "damaged" in refusal(path)


def test_places_that_hold_no_picture(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "fifo7")
    assert "folder" in refusal(tmp_path)
    assert "no such file" in refusal(tmp_path / "missing.png")
    assert "no such file" in refusal("")
    assert "no such file" in refusal("https://example.com/photo.jpg")
    assert "device" in refusal("/dev/zero")
    assert "device" in refusal(tmp_path / "fifo7")
    assert "cannot be read" in refusal(tmp_path / ("x" * 5000))
    assert "cannot be read" in refusal("nul\0byte.png")


@pytest.mark.parametrize(
    "source",
    [
        None,
        7,
        b"bytes",
        [[1, 2]],
        corners().astype(np.float32),
        corners().astype(np.int64),
        corners()[..., 0],
        np.zeros((4, 4, 4), np.uint8),
        np.zeros((0, 4, 3), np.uint8),
        np.zeros((4, 0, 3), np.uint8),
        np.array(None),
        Image.new("RGB", (0, 5)),
    ],
    ids=str,
)
def test_other_sources_are_refused(source: Any) -> None:
    refusal(source)


def test_array_says_what_is_expected() -> None:
    sentence = refusal(np.zeros((4, 5), np.float32))
    assert "uint8" in sentence
    assert "[height, width, 3]" in sentence
    assert "float32" in sentence


def test_array_is_copied_into_order() -> None:
    picture = corners()
    for view in (picture, picture[::-1, ::2], picture.transpose(1, 0, 2)):
        found = load_image(view)
        check_close(found, view, 0)
        found[:] = 0
    assert (picture == corners()).all()


def test_pil_image_is_left_alone() -> None:
    image = Image.fromarray(corners())
    load_image(image)[:] = 0
    assert (np.array(image) == corners()).all()


# --- anything at all ----------------------------------------------------------------------------


def seeds() -> list[bytes]:
    """Small files of every format, with the extras that have parsers of their own."""
    picture = Image.fromarray(corners(24, 40))
    exif = Image.Exif()
    exif[ORIENTATION] = 6
    extras = {"exif": exif.tobytes(), "icc_profile": swapped_profile()}
    rich = [encode(picture, kind, **extras) for kind in SAVE if kind not in ("GIF", "BMP")]
    plain = [encode(picture.convert("P"), kind) for kind in ("GIF", "BMP", "PNG", "TIFF")]
    others = [
        encode(half_hidden("I;16 key"), "PNG", transparency=51400),
        encode(picture.convert("CMYK"), "TIFF", compression="tiff_lzw"),
        encode(picture, "JPEG", progressive=True),
        encode(picture.convert("L"), "TIFF", compression="tiff_deflate"),
        encode(picture, "GIF", save_all=True, append_images=[picture.rotate(180)]),
        encode(picture, "WEBP", save_all=True, append_images=[picture.rotate(180)]),
    ]
    return rich + plain + others


def mutate(data: bytes, chance: random.Random) -> bytes:
    """A few bytes changed, a piece cut out or doubled: every other time near the header."""
    changed = bytearray(data)
    for _ in range(chance.choice((1, 2, 4, 16))):
        reach = len(changed) if chance.random() < 0.5 else min(len(changed), 128)
        place = chance.randrange(reach + 1)
        piece = changed[place : place + chance.choice((1, 4, 64, 100_000))]
        number = chance.choice((0, 1, 0x7FFFFFFF, 0xFFFFFFFF, chance.randrange(2**32)))
        how = chance.randrange(4)
        if how == 0:
            changed[place : place + 1] = bytes([chance.randrange(256)])
        elif how == 1:
            changed[place : place + 4] = number.to_bytes(4, chance.choice(("big", "little")))
        elif how == 2:
            del changed[place : place + len(piece)]
        else:
            changed[place:place] = piece
    return bytes(changed)


@pytest.mark.filterwarnings("ignore")  # Pillow remarks on what it skips
def test_whatever_a_file_holds_only_bad_image_escapes(
    load: Callable[[bytes], NDArray[np.uint8]],
) -> None:
    files = seeds()
    outcomes = {"opened": 0, "refused": 0}
    for seed in range(500):
        chance = random.Random(seed)
        try:
            found = load(mutate(files[seed % len(files)], chance))
        except BadImage:
            outcomes["refused"] += 1
        else:
            outcomes["opened"] += 1
            assert found.dtype == np.uint8
            assert found.ndim == 3
    assert min(outcomes.values()) > 20  # else the mutations are too weak or too strong to tell
    assert ImageFile.LOAD_TRUNCATED_IMAGES is False


@pytest.mark.parametrize("turn", [1, 6])
@pytest.mark.parametrize("ending", ["jpg", "png"])
def test_a_large_photo_is_read_as_a_screen_shows_it(tmp_path: Path, turn: int, ending: str) -> None:
    exif = Image.Exif()
    exif[ExifTags.Base.Orientation] = turn
    path = tmp_path / f"photo.{ending}"
    Image.fromarray(scene(1, 2000, 3001)).save(path, exif=exif)
    whole = load_image(path)
    shown, size = load_shown(path)
    assert size == whole.shape[:2] == ((2000, 3001) if turn == 1 else (3001, 2000))
    assert shown.shape[:2] == shown_size(*size) and max(shown.shape) == 1280
    expected = Image.fromarray(whole).resize(shown.shape[1::-1])
    assert np.abs(shown.astype(int) - np.asarray(expected)).mean() < 2
    with Image.open(path) as image:  # a caller's own image stays as it is
        assert np.array_equal(load_shown(image)[0].shape, shown.shape)
        assert image.size == (3001, 2000)
    small = scene(2)
    assert np.array_equal(load_shown(small)[0], small)
