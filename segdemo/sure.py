"""Regions that the network is nowhere sure of do not count.

A network that has learned from few photos sees a bit of a chair in many things, but is hardly ever
sure of it; of a chair it is, somewhere in its middle. So a region stays where it reaches, at some
place, a higher probability: hysteresis thresholding (Canny 1986,
https://doi.org/10.1109/TPAMI.1986.4767851), by grayscale reconstruction (Vincent 1993,
https://doi.org/10.1109/83.217222).
"""

import math

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor

HUGE = 1e4  # a logit that is as good as infinite
LEAST = math.log(0.005 / 0.995)  # a logit below which no step of the page's threshold lies
NEAR = 4  # pixels of what the network sees; what is nearer than that hangs together


def only_sure(logits: NDArray[np.float32], sure: float, pixels: int = 1) -> NDArray[np.float32]:
    """Logits float32 [C, h, w], changed where a region nowhere reaches the probability `sure`.

    pixels: how many of what the network sees a logit stands for, each way.
    """
    # Of a network that was broken, as by a training that went wrong: nothing is found.
    found = torch.from_numpy(np.nan_to_num(logits, nan=-HUGE, posinf=HUGE, neginf=-HUGE))
    cell = max(1, NEAR // pixels)
    of_all = sure_of_one if len(found) == 1 else sure_of_many
    return of_all(found, sure, cell).numpy()


def sure_of_one(logits: Tensor, sure: float, cell: int) -> Tensor:
    """One class: the logits of a region that is not sure are lowered, to below 0.

    They end as far below as its highest one is below that of `sure`: lower thresholds find the
    region, whole, the surer the sooner.
    """
    # Without the many levels of what is hardly anything there is less to follow.
    peaks = F.max_pool2d(logits, cell, ceil_mode=True)[0].clamp(min=LEAST)
    margin = math.log(sure / (1 - sure))
    most = reconstruct((peaks - margin).clamp(min=LEAST), peaks)
    return torch.minimum(logits, spread(most.masked_fill(most >= 0, math.inf), logits, cell))


def sure_of_many(logits: Tensor, sure: float, cell: int) -> Tensor:
    """Many classes: a region that is not sure of its class becomes background.

    The logits of such a class are lowered everywhere but in its sure regions, and those of the
    background raised to where they were.
    """
    cells = logits[:, ::cell, ::cell].contiguous()
    top, chosen = cells.max(0)
    probable = 1 / (cells - top).exp_().sum(0)  # softmax, of the chosen class alone
    labels: Tensor = chosen.unique()  # type: ignore[no-untyped-call]
    labels = labels[labels > 0]
    if not len(labels):
        return logits
    there = chosen == labels[:, None, None]  # [labels, cells, cells]
    stays = reconstruct((there & (probable >= sure)).float(), there.float())
    around = F.max_pool2d(stays, 3, 1, 1)  # to where the next cell begins
    logits, margin = logits.clone(), math.log(sure / (1 - sure))
    for label, near in zip(labels.tolist(), around, strict=True):
        goes, own = spread(near, logits, cell) == 0, logits[label]
        logits[0] = torch.where(goes, logits[0].maximum(own), logits[0])
        logits[label] = torch.where(goes, own - margin, own)
    return logits


def spread(cells: Tensor, logits: Tensor, cell: int) -> Tensor:
    """Cells enlarged to the [h, w] of the logits."""
    height, width = logits.shape[1:]
    return cells.repeat_interleave(cell, 0).repeat_interleave(cell, 1)[:height, :width]


def reconstruct(marker: Tensor, mask: Tensor) -> Tensor:
    """[..., h, w]: the highest level at which a place hangs together, in `mask`, with the marker's.

    Of any level t, the regions of `mask` >= t that hold a place where `marker` >= t. The marker is
    nowhere above the mask.
    """
    reached, most = marker.numpy().copy(), mask.numpy()
    sweeps = [
        (np.moveaxis(reached, axis, 0)[way], np.moveaxis(most, axis, 0)[way])
        for axis in (-2, -1)
        for way in (slice(None), slice(None, None, -1))  # there, and back
    ]
    moved = True
    while moved:
        moved = False
        for rows, limits in sweeps:
            rises = np.flatnonzero(np.minimum(rows[:-1], limits[1:]) > rows[1:])
            if len(rises):
                moved, first = True, rises[0] // rows[0].size
                for last, row, limit in zip(
                    rows[first:-1], rows[first + 1 :], limits[first + 1 :], strict=True
                ):
                    np.minimum(np.maximum(last, row), limit, out=row)
    return torch.from_numpy(reached)
