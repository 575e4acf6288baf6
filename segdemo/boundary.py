"""How well an answer keeps to edges: the legs, wheels and mirrors that IoU forgives."""

import math

import numpy as np
from numpy.typing import NDArray

from .data import IGNORE

WIDTH = 0.02  # of the photo's diagonal, as in the paper


def boundary_table(
    truth: NDArray[np.uint8], answer: NDArray[np.uint8], classes: int
) -> NDArray[np.int64]:
    """int64 [classes, 2]: intersection and union of the inner bands along each class's edges.

    "Boundary IoU" (https://arxiv.org/abs/2103.16562): the IoU of what lies inside of the true and
    of the found outline and within 2 % of the photo's diagonal of it; sum the tables of several
    photos for their pooled figure. truth, answer: uint8 [H, W]; where the truth is IGNORE nothing
    is counted, and both end there.
    """
    width = max(1, round(WIDTH * math.hypot(*truth.shape)))
    counts = truth != IGNORE
    table = np.zeros((classes, 2), np.int64)
    for label in np.union1d(truth[counts], answer[counts]):
        true = band(truth == label, width)
        found = band((answer == label) & counts, width)
        table[label] = (true & found).sum(), (true | found).sum()
    return table


def band(mask: NDArray[np.bool_], width: int) -> NDArray[np.bool_]:
    """What of a mask [H, W] lies within `width` pixels of its edge, the picture's edge included."""
    outside = np.pad(~mask, width, constant_values=True)
    reach = 2 * width + 1
    return mask & any_of(any_of(outside, reach).T, reach).T


def any_of(values: NDArray[np.bool_], reach: int) -> NDArray[np.bool_]:
    """bool [H - reach + 1, W]: whether any of `reach` values below each other is true."""
    sums = np.pad(values.cumsum(axis=0, dtype=np.int32), ((1, 0), (0, 0)))
    return sums[reach:] > sums[:-reach]
