"""U-Net (Ronneberger, Fischer, Brox 2015, https://arxiv.org/abs/1505.04597).

Two changes to the paper that have become the standard: convolutions keep the size (padding 1, so
the skips need no cropping), and each is followed by BatchNorm.
"""

from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from .padding import on_padded

Up = Literal["interpolate", "transpose"]


def double_conv(inputs: int, outputs: int) -> nn.Sequential:
    """(3x3 convolution, BatchNorm, ReLU) twice: [B, inputs, H, W] -> [B, outputs, H, W]."""
    return nn.Sequential(
        # No bias: BatchNorm subtracts it again.
        nn.Conv2d(inputs, outputs, 3, padding=1, bias=False),
        nn.BatchNorm2d(outputs),
        nn.ReLU(inplace=True),
        nn.Conv2d(outputs, outputs, 3, padding=1, bias=False),
        nn.BatchNorm2d(outputs),
        nn.ReLU(inplace=True),
    )


class UpAndJoin(nn.Module):
    """One step up: `x` [B, below, h, w] at twice its size, beside the skip [B, skip, 2h, 2w].

    Returns [B, outputs, 2h, 2w].
    """

    def __init__(self, below: int, skip: int, outputs: int, up: Up = "interpolate") -> None:
        super().__init__()
        self.up: nn.Module
        if up == "transpose":  # the paper's "up-convolution"
            self.up = nn.ConvTranspose2d(below, outputs, 2, stride=2)
        elif up == "interpolate":
            # A 1x1 convolution and bilinear interpolation commute: first is four times cheaper.
            self.up = nn.Sequential(
                nn.Conv2d(below, outputs, 1),
                nn.Upsample(scale_factor=2, mode="bilinear", align_corners=False),
            )
        else:
            raise ValueError(f"up is 'interpolate' or 'transpose', not {up!r}")
        self.convs = double_conv(outputs + skip, outputs)

    def forward(self, x: Tensor, skip: Tensor) -> Tensor:
        joined: Tensor = self.convs(torch.cat([self.up(x), skip], dim=1))
        return joined


class UNet(nn.Module):
    """The U-Net: float [B, 3, H, W] -> logits [B, classes, H, W], any size.

    classes: 1 gives the single map of a sigmoid; more give the maps of a softmax.
    base: channels of the finest level; each of the `levels` poolings doubles them (paper: 64, 4).
    up: "interpolate" (bilinear and a convolution) or "transpose" (the paper's way).
    """

    cell = 1

    def __init__(
        self, classes: int = 1, base: int = 32, levels: int = 4, up: Up = "interpolate"
    ) -> None:
        super().__init__()
        if min(classes, base, levels) < 1:
            raise ValueError("classes, base and levels are at least 1")
        self.stride = 2**levels
        widths = [base * 2**level for level in range(levels + 1)]
        self.down = nn.ModuleList(
            double_conv(a, b) for a, b in zip([3, *widths], widths, strict=False)
        )
        self.up = nn.ModuleList(
            UpAndJoin(below=2 * width, skip=width, outputs=width, up=up)
            for width in reversed(widths[:-1])
        )
        self.score = nn.Conv2d(base, classes, 1)

    def forward(self, x: Tensor) -> Tensor:
        return on_padded(self.scores, x, self.stride, self.cell)

    def scores(self, x: Tensor) -> Tensor:
        """The logits where H and W are whole strides."""
        skips: list[Tensor] = []
        for convs in self.down:
            x = convs(F.max_pool2d(x, 2) if skips else x)
            skips.append(x)
        skips.pop()  # the lowest level is where the way up starts
        for join in self.up:
            x = join(x, skips.pop())
        scores: Tensor = self.score(x)
        return scores

    def stages(self) -> dict[str, nn.Module]:
        """Where to look at how it sees, in order: `up2` joins what `down2` hands over."""
        levels = len(self.up)
        return {
            **{f"down{level}": convs for level, convs in enumerate(self.down, 1)},
            **{f"up{levels - step}": join for step, join in enumerate(self.up)},
            "score": self.score,
        }
