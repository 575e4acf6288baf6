"""The one place where an image of any size is made to fit a network's stride."""

from collections.abc import Callable

import torch.nn.functional as F
from torch import Tensor


def on_padded(body: Callable[[Tensor], Tensor], x: Tensor, stride: int) -> Tensor:
    """Run `body` on `x` grown to whole strides, and crop what it returns back.

    x: [B, C, H, W]. The right and bottom edges are repeated (zeros would look like an object's
    edge) until H and W are multiples of `stride`. `body` keeps height and width.
    Returns [B, C', H, W].
    """
    height, width = x.shape[-2:]
    right, below = -width % stride, -height % stride
    if right or below:
        x = F.pad(x, (0, right, 0, below), mode="replicate")
    return body(x)[..., :height, :width]
