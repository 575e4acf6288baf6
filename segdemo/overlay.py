"""Labels and a photo become pictures."""

import colorsys
import zlib
from collections.abc import Collection, Mapping, Sequence
from io import BytesIO
from types import MappingProxyType
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageFilter

from .console import OPACITY

Colour = tuple[int, int, int]

# Run lengths: for masks a third of the bytes that quick matching makes, for photos half its time.
PNG: dict[str, Any] = {"format": "PNG", "compress_level": 1, "compress_type": zlib.Z_RLE}


# Vivid, far apart from each other as people see them (CIE L*a*b*), and seldom the thing's own.
COLOURS: Mapping[str, Colour] = MappingProxyType(
    {
        "aeroplane": (0, 195, 255),
        "bicycle": (255, 180, 0),
        "bird": (0, 240, 225),
        "boat": (255, 165, 120),
        "bottle": (30, 240, 120),
        "bus": (0, 90, 255),
        "car": (200, 60, 255),
        "cat": (255, 0, 180),
        "chair": (30, 144, 255),
        "cow": (165, 60, 0),
        "diningtable": (225, 225, 135),
        "dog": (255, 135, 180),
        "horse": (120, 105, 0),
        "motorbike": (255, 0, 105),
        "person": (170, 220, 0),
        "pottedplant": (255, 0, 30),
        "sheep": (210, 165, 255),
        "sofa": (135, 60, 150),
        "train": (0, 135, 45),
        "tvmonitor": (0, 255, 0),
    }
)


def colours_of(classes: Sequence[str]) -> dict[int, Colour]:
    """RGB by label, so that a class has one colour, whichever model it is that finds it."""
    return {i: COLOURS.get(name) or colour(i) for i, name in enumerate(classes) if i}


def colour(label: int) -> Colour:
    """RGB of a label, 1 and up: vivid, and unlike those of its neighbours in the list."""
    hue = (0.03 + (label - 1) * 0.618034) % 1  # the golden ratio spreads any number of hues
    value = (1.0, 0.78)[label % 2 == 0]
    red, green, blue = (round(255 * c) for c in colorsys.hsv_to_rgb(hue, 0.85, value))
    return red, green, blue


BAND = 32  # rows that are painted at a time: of a whole large photo the indexes take 0.4 GB


def paint(
    photo: NDArray[np.uint8],
    labels: NDArray[np.uint8],
    opacity: float = OPACITY,
    colours: Mapping[int, Colour] | None = None,
    hidden: Collection[int] = frozenset(),
) -> NDArray[np.uint8]:
    """The labels in their colours over the photo, each with an outline.

    photo: uint8 RGB [H, W, 3]; labels: uint8 [H, W], 0 stays as it is; opacity: 0 shows the photo
    alone, 1 hides it; colours: by label, instead of `colour(label)`; hidden: labels that stay as
    they are. Returns uint8 RGB [H, W, 3].
    """
    if opacity <= 0:
        return photo
    labels = without(labels, hidden)
    tints = np.array([(colours or {}).get(label, colour(label)) for label in range(256)])
    # Every label and brightness is mixed once, and then only looked up.
    mixed = np.arange(256) * (1 - opacity) + tints.T[:, :, None] * opacity  # [RGB, label, value]
    mixed[:, 0] = np.arange(256)
    table = mixed.round().astype(np.uint8).reshape(3, 256 * 256)
    painted = np.empty_like(photo)
    for top in range(0, len(photo), BAND):
        part = slice(top, top + BAND)
        rows = labels[part].astype(np.uint16) << 8
        for channel in range(3):
            painted[part, :, channel] = table[channel].take(rows | photo[part, :, channel])
    edges = outline(labels, max(1, max(labels.shape) // 400))
    painted[edges] = 255 - ((255 - painted[edges].astype(np.uint16)) // 3).astype(np.uint8)
    return painted


def outline(labels: NDArray[np.uint8], width: int) -> NDArray[np.bool_]:
    """bool [H, W]: labelled pixels within `width` pixels of one with another label."""
    edges = np.zeros(labels.shape, bool)
    for step in range(1, width + 1):
        down = labels[step:] != labels[:-step]
        right = labels[:, step:] != labels[:, :-step]
        edges[step:] |= down
        edges[:-step] |= down
        edges[:, step:] |= right
        edges[:, :-step] |= right
    return edges & (labels > 0)


def resize(photo: NDArray[np.uint8], size: tuple[int, int]) -> NDArray[np.uint8]:
    """uint8 RGB [H, W, 3] -> [h, w, 3], for size (h, w)."""
    if photo.shape[:2] == size:
        return photo
    picture = Image.fromarray(photo).resize((size[1], size[0]), reducing_gap=2.0)
    return np.asarray(picture)


def grey_png(labels: NDArray[np.uint8]) -> bytes:
    """A grey 8-bit PNG of uint8 [H, W]: a mask. PNG, since WebP and JPEG would change it."""
    buffer = BytesIO()
    Image.fromarray(labels).save(buffer, **PNG)
    return buffer.getvalue()


def palette_png(
    labels: NDArray[np.uint8],
    colours: Mapping[int, Colour] | None = None,
    hidden: Collection[int] = frozenset(),
) -> bytes:
    """A palette PNG as PASCAL VOC's: its values are the labels, and viewers show their colours.

    labels: uint8 [H, W]; colours: by label, instead of `colour(label)`. The background is black,
    and so are hidden labels, which keep their values.
    """
    palette = [(0, 0, 0), *(colour(label) for label in range(1, 256))]
    for label, chosen in (colours or {}).items():
        palette[label] = chosen
    for label in hidden:
        palette[label] = (0, 0, 0)
    picture = Image.fromarray(labels)
    picture.putpalette([value for entry in palette for value in entry])
    buffer = BytesIO()
    picture.save(buffer, **PNG)
    return buffer.getvalue()


def cutout_png(
    photo: NDArray[np.uint8], labels: NDArray[np.uint8], hidden: Collection[int] = frozenset()
) -> bytes:
    """An RGBA PNG of what was found, on transparent ground.

    photo: uint8 RGB [H, W, 3]; labels: uint8 [H, W]; hidden: labels that are cut away too. The
    outermost pixel of what stays is partly transparent, so that the edge does not look jagged.
    What is cut away is black under its transparency: nobody gets a background that they cannot see.
    """
    kept = np.where(without(labels, hidden) > 0, np.uint8(255), np.uint8(0))
    # Inwards only: a soft edge outwards would be a fringe of background. The filter repeats the
    # photo's border, so what runs out of the photo stays solid there.
    alpha = np.asarray(Image.fromarray(kept).filter(ImageFilter.BoxBlur(1))) & kept
    cut = np.zeros((*labels.shape, 4), np.uint8)
    np.copyto(cut[..., :3], photo, where=kept[..., None] > 0)
    cut[..., 3] = alpha
    buffer = BytesIO()
    Image.fromarray(cut).save(buffer, **PNG)
    return buffer.getvalue()


def without(labels: NDArray[np.uint8], hidden: Collection[int]) -> NDArray[np.uint8]:
    """The labels with the hidden ones made background."""
    if not hidden:
        return labels
    table = np.arange(256, dtype=np.uint8)
    table[list(hidden)] = 0
    return table[labels]


def resize_labels(labels: NDArray[np.uint8], size: tuple[int, int]) -> NDArray[np.uint8]:
    """uint8 [H, W] -> [h, w], for size (h, w): every pixel keeps a label that was there."""
    return np.asarray(Image.fromarray(labels).resize(size[::-1], Image.Resampling.NEAREST))


def webp(picture: NDArray[np.uint8]) -> bytes:
    """A WebP for a screen, uint8 RGB [H, W, 3], at most 16,383 pixels a side."""
    buffer = BytesIO()
    Image.fromarray(picture).save(buffer, "WEBP", quality=90, method=2)
    return buffer.getvalue()
