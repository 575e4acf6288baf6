"""The one place where an image of any size is made to fit a network, and its answer the image."""

from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor


def on_padded(body: Callable[[Tensor], Tensor], x: Tensor, stride: int, cell: int) -> Tensor:
    """Run `body` on `x` grown to whole strides; what it returns is made as large as `x`.

    x: [B, C, H, W]. `body` returns [B, C', h, w], each place of it for `cell` x `cell` pixels.
    Returns [B, C', H, W].
    """
    height, width = x.shape[-2:]
    return larger(body(padded(x, stride)), cell)[..., :height, :width]


def padded(x: Tensor, stride: int) -> Tensor:
    """`x`, [B, C, H, W], with its right and bottom edges repeated to whole strides.

    Zeros would look like an object's edge.
    """
    height, width = x.shape[-2:]
    right, below = -width % stride, -height % stride
    return F.pad(x, (0, right, 0, below), mode="replicate") if right or below else x


def larger(x: Tensor, factor: int) -> Tensor:
    """`x`, [B, C, H, W], interpolated to [B, C, factor H, factor W]; bilinear.

    As two matrix products: on a CPU faster than F.interpolate, all the more with what follows,
    which reads one class after the other.
    """
    if factor == 1:
        return x
    rows, columns = (enlargement(side, factor).to(x) for side in x.shape[-2:])
    return rows @ (x @ columns.T)


def enlargement(side: int, factor: int) -> Tensor:
    """[factor * side, side]: what bilinear interpolation makes of each of `side` places."""
    alone = torch.eye(side)[None]
    return F.interpolate(alone, scale_factor=factor, mode="linear", align_corners=False)[0].T
