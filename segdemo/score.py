"""One photo's answer against a true mask that a person brings."""

from collections.abc import Sequence
from os import PathLike
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from .data import IGNORE, UNKNOWN, label_table, palette_greys, there
from .evaluate import confusion, dice, figure, iou, overall, pixel_accuracy
from .images import FORMATS, BadImage, load_image, upright
from .registry import VOC, ModelSpec


def read_truth(
    path: str | PathLike[str],
    spec: ModelSpec,
    size: tuple[int, int],
    names: Sequence[str] | None = None,
) -> NDArray[np.uint8]:
    """An untrusted mask file becomes the true labels of a photo, uint8 [H, W], IGNORE included.

    path: a PNG of one value a pixel: grey, black and white, a palette, or RGB that is grey.
    size: height and width of the photo. names: what the values 0, 1, ... stand for, where that is
    known, as a data folder says it; otherwise:

    - for a model of many classes the values are its labels, and 255 is not counted;
    - for a model of one class, a single value besides 0 is the class, and 255 beside such a value
      is not counted. Masks with more values are PASCAL VOC's where they can be (a value for each
      of its classes, the model's among them); greys up to 255 are a soft mask, cut in the middle.

    Raises BadImage: not such a file, another size, or a value that stands for nothing.
    """
    load_image(path)  # the limits, and every way in which a file can be broken, are checked there
    values = read_values(path, spec)
    if values.shape != size:
        (height, width), (mask_height, mask_width) = size, values.shape
        raise BadImage(
            f"The mask has {mask_width} x {mask_height} pixels and the photo {width} x {height}:"
            " choose the mask that belongs to this photo."
        )
    labels = table_for(there(values).tolist(), spec, names)[values]
    if (labels == UNKNOWN).any():
        raise BadImage(
            f"The mask holds the value {values[labels == UNKNOWN][0]}, which stands for no class"
            f" of {spec.title}: {expected(spec)}."
        )
    return labels.astype(np.uint8)


def read_values(path: str | PathLike[str], spec: ModelSpec) -> NDArray[np.uint8]:
    """uint8 [H, W]: the values of a mask file that `load_image` can read. Raises BadImage."""
    with Image.open(path, formats=FORMATS) as stored:
        if stored.format != "PNG":
            raise BadImage("A mask must be a PNG: other formats change or blur its values.")
        stored.load()
        mask = upright(stored)
        if mask.mode == "P":
            return painted(palette_values(mask, spec), mask)
        if mask.mode in ("1", "L"):
            return painted(np.asarray(mask.convert("L")), mask)
        if mask.mode in ("LA", "RGB", "RGBA"):
            channels = np.asarray(mask.convert("RGB"))
            if (channels == channels[..., :1]).all():
                return painted(channels[..., 0], mask)
    raise BadImage(
        "A mask has one value a pixel: save it as an 8-bit PNG in grey or with a palette."
    )


def painted(values: NDArray[np.uint8], mask: Image.Image) -> NDArray[np.uint8]:
    """The same, 0 where the mask is transparent: painted on nothing, whatever colour that is."""
    if not mask.has_transparency_data:
        return values
    seen = np.asarray(mask.convert("RGBA").getchannel("A")) >= 128
    if not (values * seen).any() and not seen.all():
        return np.where(seen, np.uint8(255), np.uint8(0))  # black on nothing
    return values * seen


def palette_values(mask: Image.Image, spec: ModelSpec) -> NDArray[np.uint8]:
    """The values of a palette PNG: its indexes, as in PASCAL VOC.

    But a grey mask that was saved again to be small has greys in its palette, in any order: black
    and white, greys so dark that they can only be labels, or of one class all up to white.
    """
    greys = palette_greys(mask)
    if greys is not None:
        used = there(greys)
        soft = spec.binary and len(used) > 2 and used[0] == 0 and used[-1] == 255
        if soft or np.isin(used, [*range(len(VOC)), 255]).all():
            return greys
    return np.asarray(mask)


def table_for(
    marks: Sequence[int], spec: ModelSpec, names: Sequence[str] | None
) -> NDArray[np.int16]:
    """int16 [256], mask value -> label, IGNORE or UNKNOWN, for the values that a mask has."""
    if names is not None:
        return label_table(names, spec, IGNORE)
    if not spec.binary:
        if marks in ([255], [0, 255]):
            raise BadImage(
                "This mask is black and white, which does not say which class is meant:"
                f" {expected(spec)}."
            )
        return label_table(spec.classes, spec, IGNORE)
    marked = [value for value in marks if value not in (0, 255)]
    table = np.full(256, UNKNOWN, np.int16)
    table[0], table[255] = 0, IGNORE
    if not marked:
        table[255] = 1  # black and white
    elif len(marked) == 1 and not (marked[0] >= 128 and 255 in marks):
        table[marked] = 1
    elif max(marked) < len(VOC) and spec.classes[1] in [VOC[value] for value in marked]:
        table = label_table(VOC, spec, IGNORE)
    elif max(marked) >= len(VOC) and max(marks) >= 128:
        table = (np.arange(256) >= 128).astype(np.int16)
    return table


def expected(spec: ModelSpec) -> str:
    """What the values of a mask should be, in words."""
    if spec.binary:
        return f"paint the {spec.classes[1]} white and the rest black"
    return (
        f"use the values 0 for the background, 1 to {len(spec.classes) - 1} for its classes, and"
        " 255 for what is not to be counted"
    )


def score_photo(
    labels: NDArray[np.uint8], truth: NDArray[np.uint8], classes: tuple[str, ...]
) -> dict[str, Any]:
    """Score an answer, uint8 [H, W], against the truth, uint8 [H, W] with IGNORE.

    Returns `iou`, the mean of the classes that the truth shows, or for a model of one class that
    class's; `pixel_accuracy`; `counted`, the share of the pixels that count; and in `classes` the
    `iou` and `dice` of each class that is or was found, background first. All are 0..1; None where
    nothing could be counted.
    """
    table = confusion(truth, labels, len(classes))
    by_class = iou(table)
    return {
        "iou": figure(overall(table, range(len(classes)))),
        "pixel_accuracy": figure(pixel_accuracy(table)),
        "counted": figure(table.sum() / truth.size),
        "classes": {
            name: {"iou": figure(by_class[label]), "dice": figure(dice(by_class)[label])}
            for label, name in enumerate(classes)
            if not np.isnan(by_class[label])
        },
    }
