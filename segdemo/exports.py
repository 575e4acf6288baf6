"""What a person takes away: COCO JSON, and everything about their photos in one zip."""

import json
import unicodedata
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache, partial
from io import BytesIO
from pathlib import Path
from typing import Any
from zipfile import ZIP_DEFLATED, ZIP_STORED, ZipFile

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from .console import OPACITY
from .files import whole, write_whole
from .images import BadImage, Source, load_image
from .overlay import Colour, cutout_png, grey_png, paint, palette_png
from .predict import Prediction
from .regions import find_regions, polygon, run_lengths

MAX_ZIP = 500_000_000  # bytes; a few of that are all that the server keeps of everybody's files


def coco(
    labels: NDArray[np.uint8], classes: Sequence[str], file_name: str, polygons: bool = False
) -> dict[str, Any]:
    """The labels of a photo as a COCO data set of one image, https://cocodataset.org/#format-data.

    labels: uint8 [H, W], 0 is the background, which COCO does not list; category ids are labels.
    There is one annotation a connected region, as tools that read COCO expect a thing each: two
    chairs that touch are one. `segmentation` is compressed run lengths, exactly the labels, or
    with `polygons` one polygon, which every tool reads, within a pixel of them: holes are joined
    to its outline, since COCO's polygons have none.
    """
    height, width = labels.shape
    annotations = []
    for number, region in enumerate(find_regions(labels), 1):
        segmentation: object = {"size": [height, width], "counts": run_lengths(region)}
        if polygons:
            segmentation = [polygon(region).astype(int).ravel().tolist()]
        annotations.append(
            {
                "id": number,
                "image_id": 1,
                "category_id": region.label,
                "segmentation": segmentation,
                "area": region.area,
                "bbox": list(region.box),
                "iscrowd": 0,
            }
        )
    return {
        "info": {"description": "Found by segdemo"},
        "images": [{"id": 1, "file_name": file_name, "width": width, "height": height}],
        "annotations": annotations,
        "categories": [{"id": label, "name": name} for label, name in enumerate(classes) if label],
    }


@dataclass(frozen=True)
class Style:
    """How the paint is wanted: `opacity`, `colours` and `hidden` as `paint` takes them.

    Hidden labels stay in masks and JSON.
    """

    opacity: float = OPACITY
    colours: Mapping[int, Colour] = field(default_factory=dict)
    hidden: Collection[int] = frozenset()


PLAIN = Style()


def exports(
    prediction: Prediction, source: Source, name: str, style: Style
) -> dict[str, Callable[[], bytes]]:
    """What there is to take away of a photo, by the ending of its file; each made when called.

    The photo is read again, at its full size, for those that show it: they raise BadImage where it
    cannot be read any more. name: its file name, which may be anything.
    """
    # Labels of its own: those of a kept prediction would stay in memory.
    prediction = prediction.at(prediction.result.threshold)
    result = prediction.result
    labels, part = result.labels, last_part(name)
    photo = cache(partial(load_image, source))  # large, and only for some
    tints, hidden = prediction.colours | dict(style.colours), style.hidden
    return {
        "mask.png": lambda: grey_png(labels),
        "colours.png": lambda: palette_png(labels, tints, hidden),
        "cutout.png": lambda: cutout_png(photo(), labels, hidden),
        "overlay.jpg": lambda: jpeg(paint(photo(), labels, style.opacity, tints, hidden)),
        "coco.json": lambda: as_json(coco(labels, result.classes, part)),
        "coco-polygons.json": lambda: as_json(coco(labels, result.classes, part, polygons=True)),
        "json": lambda: as_json(prediction.report()),
    }


def save_one(
    prediction: Prediction, source: Source, name: str, folder: Path, ending: str, style: Style
) -> Path:
    """Write folder/STEM.ending, one of `exports`. Raises BadImage."""
    path = folder / f"{free_stem(name, set())}.{ending}"
    write_whole(path, exports(prediction, source, name, style)[ending]())
    return path


def bundle(
    found: Iterable[tuple[Prediction, Source, str]], folder: Path, style: Style = PLAIN
) -> Path:
    """Write folder/segdemo.zip with all there is to take away of one photo or several.

    found: for each photo its prediction, the photo itself, and its file name. Returns the zip's
    path. Raises BadImage where a photo cannot be read any more, or where it becomes too large.
    """
    path = folder / "segdemo.zip"
    taken: set[str] = set()
    with whole(path) as unfinished, ZipFile(unfinished, "w") as archive:
        for prediction, source, name in found:
            stem = free_stem(name, taken)
            for ending, make in exports(prediction, source, name, style).items():
                # Pictures are compressed already.
                how = ZIP_DEFLATED if ending.endswith("json") else ZIP_STORED
                archive.writestr(f"{stem}.{ending}", make(), how)
            if unfinished.stat().st_size > MAX_ZIP:
                raise BadImage(
                    f"The zip would have more than {MAX_ZIP / 1e6:g} MB: give fewer photos at once."
                )
    return path


def as_json(content: object) -> bytes:
    return f"{json.dumps(content, ensure_ascii=False)}\n".encode()


def free_stem(name: str, taken: set[str]) -> str:
    """A file name without its ending that is safe everywhere and not in `taken`; adds it there.

    Letters and digits of any script stay.
    """
    stem = last_part(name).rpartition(".")[0] or last_part(name)
    stem = "".join(c if c.isalnum() or c in " -_()" or is_mark(c) else "_" for c in stem)
    # At most 60 characters, 240 bytes; a leading dash is an option to many programs.
    stem = stem[:60].strip(" -") or "photo"
    if stem.upper().rstrip("0123456789") in {"CON", "PRN", "AUX", "NUL", "COM", "LPT"}:
        stem = f"_{stem}"  # a device in Windows, whatever the ending
    free, number = stem, 1
    while free.casefold() in taken:
        number += 1
        free = f"{stem} ({number})"
    taken.add(free.casefold())
    return free


def last_part(name: str) -> str:
    """A file name in one normal form, without the folders of any system."""
    return unicodedata.normalize("NFC", name).replace("\\", "/").rpartition("/")[2]


def is_mark(character: str) -> bool:
    """A vowel sign or accent that belongs to the letter before it."""
    return unicodedata.category(character) in ("Mn", "Mc")


def jpeg(picture: NDArray[np.uint8]) -> bytes:
    buffer = BytesIO()
    Image.fromarray(picture).save(buffer, "JPEG", quality=90, subsampling=0)
    return buffer.getvalue()
