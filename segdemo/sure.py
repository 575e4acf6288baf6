"""Regions that the network is nowhere sure of do not count.

A network that has learned from few photos sees a bit of a chair in many things, but is hardly ever
sure of it; a chair it is sure of, in its middle. So a region stays where it reaches, somewhere,
a higher probability: hysteresis thresholding (Canny 1986,
https://doi.org/10.1109/TPAMI.1986.4767851), done for all thresholds at once by grayscale
reconstruction (Vincent 1993, https://doi.org/10.1109/83.217222).
"""

import math

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray

CELL = 4  # pixels of the network's answer; what is nearer than that hangs together


def only_sure(logits: NDArray[np.float32], sure: float) -> NDArray[np.float32]:
    """Logits float32 [1, h, w], lowered where their region is not sure; the others unchanged.

    A region reaches at a threshold of 0.5 the probability `sure` somewhere. What does not has
    its logits lowered to below 0, to as far from there as its highest one is from that of `sure`:
    lower thresholds find it, the surer the sooner.
    """
    margin = math.log(sure / (1 - sure))
    peaks = F.max_pool2d(torch.from_numpy(logits), CELL, ceil_mode=True)[0].numpy()
    most = reconstruct(peaks - np.float32(margin), peaks)
    most[most >= 0] = np.inf
    height, width = logits.shape[1:]
    most = most.repeat(CELL, axis=0)[:height].repeat(CELL, axis=1)[:, :width]
    return np.minimum(logits, most)


def reconstruct(marker: NDArray[np.float32], mask: NDArray[np.float32]) -> NDArray[np.float32]:
    """[h, w]: the highest level at which a place hangs together, in `mask`, with the marker's.

    Of any level t, the regions of `mask` >= t that hold a place where `marker` >= t. The marker is
    nowhere above the mask, and is written over.
    """
    sweeps = [
        (reached[way], limit[way])
        for reached, limit in ((marker, mask), (marker.T, mask.T))
        for way in (slice(None), slice(None, None, -1))  # there, and back
    ]
    while True:
        for rows, limits in sweeps:
            for last, row, limit in zip(rows[:-1], rows[1:], limits[1:], strict=True):
                np.minimum(np.maximum(last, row), limit, out=row)
        # Cheaper than another round in which nothing moves.
        if all((np.minimum(rows[:-1], limits[1:]) <= rows[1:]).all() for rows, limits in sweeps):
            return marker
