"""Convolutions of 8-bit integers: where a CPU multiplies these (VNNI), twice as fast as bfloat16.

Jacob et al. 2018, https://arxiv.org/abs/1712.05877: what goes into a convolution is rounded to 256
steps over the span that it has on an example, the weights to 255 steps a channel.
"""

from collections.abc import Mapping
from itertools import pairwise
from typing import cast

import torch
from torch import Tensor, nn

# What Inductor makes of quantized convolutions. Not public, so it may be missing one day. Without
# VNNI the same kernel adds with saturation, which is something else.
MULTIPLIES = hasattr(torch.ops.onednn, "qconv2d_pointwise") and torch.cpu.get_capabilities().get(
    "avx512_vnni", False
)
ROOM = 1.5  # times the span on the example: photos with more contrast are not clipped

Span = tuple[float, float]  # the least and the most


def fits(module: nn.Module) -> bool:
    """Whether an Int8Conv can stand for it."""
    return (
        isinstance(module, nn.Conv2d)
        and module.groups == 1
        and module.padding_mode == "zeros"
        and not isinstance(module.padding, str)
    )


def in_steps(weight: Tensor) -> tuple[Tensor, Tensor]:
    """A weight [outputs, inputs, h, w] in whole steps, -127..127, and what a step of each channel
    is worth, [outputs]; both float32.
    """
    step = (weight.abs().amax(dim=(1, 2, 3)) / 127).clamp(min=1e-12)
    return (weight / step[:, None, None, None]).round(), step


def rounded(weight: Tensor) -> Tensor:
    """A weight, each value at its nearest step; float32."""
    whole, step = in_steps(weight)
    return whole * step[:, None, None, None]


class Int8Conv(nn.Module):
    """A convolution, and the ReLU after it where there is one.

    Takes floats, or uint8 of another Int8Conv that was told this one's span. Gives `dtype`, or
    uint8 over the span of the next.
    """

    def __init__(
        self, convolution: nn.Conv2d, span: Span, dtype: torch.dtype, relu: bool, gives: Span | None
    ) -> None:
        super().__init__()
        whole, self.step = in_steps(convolution.weight.detach())
        self.weight: Tensor = whole.to(torch.int8)
        self.bias = None if convolution.bias is None else convolution.bias.detach()
        self.zeros = torch.zeros(len(whole), dtype=torch.int32)
        self.geometry = (
            convolution.stride,
            convolution.padding,
            convolution.dilation,
            convolution.groups,
        )
        self.scale, self.zero = scale_of(span)
        self.gives = (*scale_of(gives), torch.uint8) if gives else (1.0, 0, dtype)
        self.activation = "relu" if relu else "none"

    def forward(self, x: Tensor) -> Tensor:
        if x.dtype != torch.uint8:
            x = (x / self.scale).round_()
            if self.zero:
                x += self.zero
            x = x.clamp_(0, 255).to(torch.uint8)
        if not self.weight.is_mkldnn:
            # Laid out for the size of the first input; others are taken too.
            self.weight = torch.ops.onednn.qconv_prepack.default(
                self.weight, self.step, self.scale, self.zero, *self.geometry, list(x.shape)
            )
        y: Tensor = torch.ops.onednn.qconv2d_pointwise.default(
            *(x, self.scale, self.zero, self.weight, self.step, self.zeros, self.bias),
            *(*self.geometry, *self.gives, self.activation, [], ""),
        )
        return y


def scale_of(span: Span) -> tuple[float, int]:
    """What a step of uint8 is worth, and the one that stands for 0."""
    low, high = min(span[0], 0) * ROOM, max(span[1], 0) * ROOM
    scale = max(high - low, 1e-6) / 255
    return scale, round(-low / scale)


def to_int8(module: nn.Module, spans: Mapping[nn.Module, Span], dtype: torch.dtype) -> None:
    """Exchange the convolutions whose spans are given, with a ReLU after them; in place.

    In an nn.Sequential what one gives the next stays uint8.
    """
    children = [(n, c) for n, c in module.named_children() if not isinstance(c, nn.Identity)]
    in_order = [child for _, child in children] if isinstance(module, nn.Sequential) else []
    follower = dict(pairwise(in_order))
    names = {child: name for name, child in children}
    for name, child in children:
        if child not in spans:
            to_int8(child, spans, dtype)
            continue
        after, relu = follower.get(child), isinstance(follower.get(child), nn.ReLU)
        if after and relu:
            delattr(module, names[after])
            after = follower.get(after)
        gives = spans.get(after) if after else None
        convolution = Int8Conv(cast(nn.Conv2d, child), spans[child], dtype, relu, gives)
        setattr(module, name, convolution)
