"""Pictures about an answer: how sure the network is, and where it is right."""

from collections.abc import Mapping
from types import MappingProxyType

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from .data import IGNORE
from .overlay import Colour, resize_labels
from .predict import Prediction
from .registry import ModelSpec

# The ten even steps of matplotlib's viridis: its lightness rises evenly, and it reads the same to
# people who do not see all colours. https://doi.org/10.1371/journal.pone.0199239
VIRIDIS: tuple[Colour, ...] = (
    (68, 1, 84),
    (72, 40, 120),
    (62, 74, 137),
    (49, 104, 142),
    (38, 130, 142),
    (31, 158, 137),
    (53, 183, 121),
    (109, 205, 89),
    (180, 222, 44),
    (253, 231, 37),
)

# What `hits_picture` paints, three of them Okabe's and Ito's: they stay apart to every kind of eye.
VERDICTS: Mapping[str, Colour] = MappingProxyType(
    {
        "hit": (0, 114, 178),
        "miss": (240, 228, 66),
        "false alarm": (213, 94, 0),
        "wrong class": (255, 170, 230),
    }
)


def verdicts_of(spec: ModelSpec) -> dict[str, Colour]:
    """Those of VERDICTS that there can be: of one class none is taken for another."""
    return {k: v for k, v in VERDICTS.items() if not (spec.binary and k == "wrong class")}


def heat(values: NDArray[np.floating]) -> NDArray[np.uint8]:
    """float [H, W], 0..1 and clipped to it -> uint8 RGB [H, W, 3] in the colours of VIRIDIS."""
    at, places = np.linspace(0, 1, 256), np.linspace(0, 1, len(VIRIDIS))
    table = np.stack([np.interp(at, places, channel) for channel in zip(*VIRIDIS, strict=True)], 1)
    return table.round().astype(np.uint8)[(values.clip(0, 1) * 255).round().astype(np.uint8)]


def hits_picture(
    photo: NDArray[np.uint8], labels: NDArray[np.uint8], truth: NDArray[np.uint8]
) -> NDArray[np.uint8]:
    """Hits, misses and false alarms over the greyed photo, in the colours of VERDICTS.

    photo: uint8 RGB [H, W, 3]; labels, truth: uint8 [H, W], 0 is the background. Where both name a
    class, but not the same, it is a verdict of its own: "wrong class". Where the truth is IGNORE
    nothing is painted. Returns uint8 RGB [H, W, 3].
    """
    found, there = labels > 0, truth > 0
    verdict = np.zeros(labels.shape, np.uint8)
    verdict[there & (labels == truth)] = 1
    verdict[there & ~found] = 2
    verdict[found & ~there] = 3
    verdict[found & there & (labels != truth)] = 4
    verdict[truth == IGNORE] = 0
    painted = np.asarray(Image.fromarray(photo).convert("L").convert("RGB")).copy()
    where = verdict > 0
    tints = np.array([(0, 0, 0), *VERDICTS.values()])[verdict[where]]
    painted[where] = painted[where] // 4 + tints * 3 // 4  # no outlines: a thin miss is all edge
    return painted


def hits_on(prediction: Prediction, truth: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """`hits_picture` at the shown size. truth: uint8 [H, W] at the photo's own size."""
    screen = prediction.screen
    seen = resize_labels(truth, screen.size)
    return hits_picture(prediction.shown, screen.labels, seen)
