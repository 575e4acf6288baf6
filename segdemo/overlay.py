"""Labels and a photo become pictures."""

import colorsys
from io import BytesIO
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

Colour = tuple[int, int, int]


def colour(label: int) -> Colour:
    """RGB of a label, 1 and up: vivid, and unlike those of its neighbours in the list."""
    hue = (0.03 + (label - 1) * 0.618034) % 1  # the golden ratio spreads any number of hues
    value = (1.0, 0.78)[label % 2 == 0]
    red, green, blue = (round(255 * c) for c in colorsys.hsv_to_rgb(hue, 0.85, value))
    return red, green, blue


def paint(
    photo: NDArray[np.uint8], labels: NDArray[np.uint8], opacity: float = 0.6
) -> NDArray[np.uint8]:
    """The labels in their colours over the photo, each with an outline.

    photo: uint8 RGB [H, W, 3]; labels: uint8 [H, W], 0 stays as it is; opacity: 0 shows the photo
    alone, 1 hides it. Returns uint8 RGB [H, W, 3].
    """
    if opacity <= 0:
        return photo
    painted = photo.copy()
    for label in np.unique(labels[labels > 0]):
        tint = np.array(colour(int(label)), np.float32)
        where = labels == label
        mixed = photo[where] * np.float32(1 - opacity) + tint * np.float32(opacity)
        painted[where] = mixed.round().astype(np.uint8)
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


def shown_size(height: int, width: int, side: int = 1280) -> tuple[int, int]:
    """Height and width with the longer side at most `side`, the aspect kept."""
    scale = min(1.0, side / max(height, width))
    return max(1, round(height * scale)), max(1, round(width * scale))


def resize(photo: NDArray[np.uint8], size: tuple[int, int]) -> NDArray[np.uint8]:
    """uint8 RGB [H, W, 3] -> [h, w, 3], for size (h, w)."""
    if photo.shape[:2] == size:
        return photo
    picture = Image.fromarray(photo).resize((size[1], size[0]), reducing_gap=2.0)
    return np.asarray(picture)


def mask_png(labels: NDArray[np.uint8]) -> bytes:
    """A grey 8-bit PNG whose values are the labels. PNG, since WebP and JPEG would change them."""
    buffer = BytesIO()
    # Level 1: masks are so even that more effort hardly makes them smaller.
    Image.fromarray(labels).save(buffer, "PNG", compress_level=1)
    return buffer.getvalue()


def save_webp(picture: NDArray[np.uint8], path: Path) -> None:
    # WebP holds at most 16,383 pixels a side; what is shown is far smaller.
    Image.fromarray(picture).save(path, "WEBP", quality=90, method=2)
