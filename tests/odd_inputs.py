"""Files that people and attackers give, and what each must end in: a mask, or words.

`PYTHONPATH=. python tests/odd_inputs.py` prints seconds and memory of each, and of the largest
photo with all there is to take away of it.
"""

import struct
import time
import zlib
from collections.abc import Callable
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
from conftest import scene
from PIL import Image

MASK = "mask"  # instead of words: the picture is to be segmented


def encode(image: Image.Image, kind: str, **options: Any) -> bytes:
    file = BytesIO()
    image.save(file, kind, **options)
    return file.getvalue()


def photo(height: int = 90, width: int = 120) -> Image.Image:
    return Image.fromarray(scene(7, height, width))


def cut(kind: str) -> bytes:
    data = encode(photo(), kind)
    return data[: len(data) * 2 // 3]


def chunk(name: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))


def bomb(side: int) -> bytes:
    """A PNG of side x side black pixels, 1 bit each: some kilobytes that become gigabytes."""
    packer = zlib.compressobj(9)
    row = bytes(1 + (side + 7) // 8)
    pixels = b"".join(packer.compress(row * 1000) for _ in range(side // 1000)) + packer.flush()
    header = chunk(b"IHDR", struct.pack(">IIBBBBB", side, side, 1, 0, 0, 0, 0))
    return b"\x89PNG\r\n\x1a\n" + header + chunk(b"IDAT", pixels) + chunk(b"IEND", b"")


def with_chunk(name: bytes, data: bytes) -> bytes:
    """A good PNG with one more chunk after its header."""
    png = encode(photo(), "PNG")
    return png[:33] + chunk(name, data) + png[33:]


def grey16() -> Image.Image:
    return Image.fromarray(np.asarray(photo().convert("L")).astype(np.uint16) * 257)


def several(kind: str) -> bytes:
    more = [photo().rotate(90 * n) for n in (1, 2, 3)]
    return encode(photo(), kind, save_all=True, append_images=more)


def turned(orientation: int) -> bytes:
    exif = Image.Exif()
    exif[274] = orientation
    return encode(photo(), "JPEG", exif=exif)


ODD: dict[str, tuple[Callable[[], bytes], str]] = {
    "0 bytes": (lambda: b"", "empty"),
    "text": (lambda: b"Dear all,\nplease find enclosed\n", "text file"),
    "JPEG cut off": (lambda: cut("JPEG"), "cut off"),
    "PNG cut off": (lambda: cut("PNG"), "cut off"),
    "WebP cut off": (lambda: cut("WEBP"), "cut off"),
    "PNG 13000x13000": (lambda: bomb(13_000), "too large"),
    "PNG 30000x30000": (lambda: bomb(30_000), "too large"),
    "1x1": (lambda: encode(photo(1, 1), "PNG"), MASK),
    "1x20000": (lambda: encode(photo(20_000, 1), "PNG"), MASK),
    "P": (lambda: encode(photo().convert("P"), "PNG"), MASK),
    "LA": (lambda: encode(photo().convert("LA"), "PNG"), MASK),
    "RGBA": (lambda: encode(photo().convert("RGBA"), "PNG"), MASK),
    "CMYK": (lambda: encode(photo().convert("CMYK"), "JPEG"), MASK),
    "I;16": (lambda: encode(grey16(), "PNG"), MASK),
    "1 bit": (lambda: encode(photo().convert("1"), "PNG"), MASK),
    "palette GIF": (lambda: encode(photo().convert("P"), "GIF"), MASK),
    **{f"EXIF {n}": (lambda n=n: turned(n), MASK) for n in range(1, 9)},
    "animated WebP": (lambda: several("WEBP"), MASK),
    "APNG": (lambda: several("PNG"), MASK),
    "multi-page TIFF": (lambda: several("TIFF"), MASK),
    "SVG": (lambda: b'<svg xmlns="http://www.w3.org/2000/svg"><script/></svg>', "SVG"),
    "EPS": (lambda: encode(photo(), "EPS"), "EPS"),
    "PDF": (lambda: encode(photo(), "PDF"), "PDF"),
    "HTML": (lambda: b"<!doctype html><script>alert(1)</script>", "web page"),
    "huge ICC profile": (
        lambda: with_chunk(b"iCCP", b"k\0\0" + zlib.compress(bytes(100_000_000))),
        "damaged",
    ),
    "huge text": (
        lambda: with_chunk(b"zTXt", b"k\0\0" + zlib.compress(bytes(100_000_000))),
        "damaged",
    ),
    "20 MB of text": (lambda: with_chunk(b"tEXt", b"k\0" + b"a" * 20_000_000), MASK),
}

# By name only: content counts.
NAMES = ["photo.png", "photo.eps", "ä 日本.svg", "a b'\"%s{0}<b>.png", "-rf", ".hidden", "x" * 300]


def mask(path: Path) -> str:
    from segdemo.predict import predict

    predict(path, "chair-unet").save_mask(path.parent, "answer")
    return MASK


def everything(path: Path) -> str:
    from segdemo.exports import bundle
    from segdemo.predict import predict

    bundle([(predict(path, "chair-unet"), path, path.name)], path.parent)
    return "zip"


def measure(name: str, path: Path, work: Callable[[Path], str] = mask) -> None:
    """Print what a file ends in, the seconds that takes, and the megabytes it adds at the peak."""
    from segdemo.errors import sentence

    Path("/proc/self/clear_refs").write_text("5")  # starts the peak anew
    before, started = memory("VmRSS"), time.perf_counter()
    try:
        end = work(path)
    except Exception as error:
        end = sentence(error)
    seconds, grown = time.perf_counter() - started, memory("VmHWM") - before
    print(f"| {name} | {path.stat().st_size:,} | {seconds:.2f} | {grown:.0f} | {end} |")


def memory(field: str) -> float:
    """Megabytes of this process, from Linux."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) / 1000 for line in lines if line.startswith(field))


if __name__ == "__main__":
    import tempfile

    print("| input | bytes | seconds | MB | ends in |\n|---|---|---|---|---|")
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "upload.png"
        file.write_bytes(encode(photo(), "PNG"))
        measure("the first, which loads the network", file)
        for name, (make, _) in ODD.items():
            file.write_bytes(make())
            measure(name, file)
        plain = Image.new("L", (8_660, 5_772), 90)  # with grain they would be too many bytes
        for mode in ("RGBA", "LA", "P", "I;16"):
            image = plain.convert("I" if mode == "I;16" else mode).convert(mode)
            options = {"transparency": 3} if mode == "P" else {}
            file.write_bytes(encode(image, "PNG", **options))
            measure(f"{mode} PNG of 50 megapixels", file)
        file.write_bytes(encode(plain.convert("RGBA"), "WEBP", lossless=True, method=0))
        measure("RGBA WebP of 50 megapixels", file)
        file.write_bytes(encode(photo(5_772, 8_660), "JPEG"))
        measure("JPEG of 50 megapixels", file)
        measure("all there is to take away of it", file, everything)
