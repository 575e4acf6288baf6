"""The one place where an image of any size is made to fit a network, and its answer the image."""

from collections.abc import Callable

import torch.nn.functional as F
from torch import Tensor


def on_padded(body: Callable[[Tensor], Tensor], x: Tensor, stride: int, cell: int) -> Tensor:
    """Run `body` on `x` grown to whole strides; what it returns is made as large as `x`.

    x: [B, C, H, W]. `body` returns [B, C', h, w], each place of it for `cell` x `cell` pixels.
    Returns [B, C', H, W].
    """
    height, width = x.shape[-2:]
    y = body(padded(x, stride))
    if cell > 1:
        y = F.interpolate(y, scale_factor=float(cell), mode="bilinear")
    return y[..., :height, :width]


def padded(x: Tensor, stride: int, value: int | None = None) -> Tensor:
    """`x`, [B, ..., H, W], grown on the right and below to whole strides.

    By `value`, or where that is None by its edges, repeated: zeros would look like an object's.
    """
    height, width = x.shape[-2:]
    right, below = -width % stride, -height % stride
    mode = "replicate" if value is None else "constant"
    return F.pad(x, (0, right, 0, below), mode, value) if right or below else x
