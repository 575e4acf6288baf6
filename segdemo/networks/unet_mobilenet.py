"""U-Net whose encoder is MobileNetV2 (Sandler et al. 2018, https://arxiv.org/abs/1801.04381).

As in unet_vgg16.py the encoder starts from a network that has already learnt to see; this one is
small, and its last level, at 1/32 of the size, takes in most of the photo.
"""

from typing import cast

from torch import Tensor, nn
from torchvision.models import mobilenet_v2

from .padding import on_padded
from .unet import UpAndJoin

LEVELS = (2, 4, 7, 14, 19)  # where each level of the encoder ends: 1/2, 1/4 ... 1/32 of the size


class UNetMobileNet(nn.Module):
    """MobileNetV2 down, a U-Net decoder up: float [B, 3, H, W] -> logits [B, classes, H, W].

    H and W are any. The finest level has half the size: MobileNetV2 starts there. Its scores are
    interpolated. `features` keeps torchvision's names, so ImageNet weights load as they are.
    """

    stride, cell = 32, 2

    def __init__(self, classes: int = 1) -> None:
        super().__init__()
        self.features = cast(nn.Sequential, mobilenet_v2(weights=None).features)
        self.up = nn.ModuleList(
            UpAndJoin(below, skip, outputs)
            for below, skip, outputs in [
                (1280, 96, 192),  # 1/16 of the size
                (192, 32, 96),  # 1/8
                (96, 24, 48),  # 1/4
                (48, 16, 32),  # 1/2
            ]
        )
        self.score = nn.Conv2d(32, classes, 1)

    def forward(self, x: Tensor) -> Tensor:
        return on_padded(self.scores, x, self.stride, self.cell)

    def scores(self, x: Tensor) -> Tensor:
        """The logits at half the size: [B, 3, H, W], whole strides -> [B, classes, H/2, W/2]."""
        skips: list[Tensor] = []  # [B, 16, H/2, W/2], 24 at 1/4, 32 at 1/8, 96 at 1/16
        for index, block in enumerate(self.features, 1):
            x = block(x)
            if index in LEVELS[:-1]:
                skips.append(x)
        for join in self.up:
            x = join(x, skips.pop())
        scores: Tensor = self.score(x)
        return scores

    def stages(self) -> dict[str, nn.Module]:
        """Where to look at how it sees, in order: `up2` joins what `down2` hands over."""
        return {
            **{f"down{level}": self.features[end - 1] for level, end in enumerate(LEVELS, 1)},
            **{f"up{4 - step}": join for step, join in enumerate(self.up)},
            "score": self.score,
        }
