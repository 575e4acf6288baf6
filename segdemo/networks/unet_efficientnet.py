"""U-Net whose encoder is EfficientNet-Lite2, which efficientnet_lite.py tells of.

As in unet_vgg16.py the encoder starts from a network that has already learnt to see; this one is
small, and its last level, at 1/32 of the size, takes in most of the photo.
"""

from torch import Tensor, nn

from .efficientnet_lite import WIDE, EfficientNetLite2
from .padding import on_padded
from .unet import UpAndJoin

LEVELS = (2, 5, 8, 16, 23)  # where each level of the encoder ends: 1/2, 1/4 ... 1/32 of the size


class UNetEfficientNet(nn.Module):
    """EfficientNet-Lite2 down, a U-Net decoder up: float [B, 3, H, W] -> logits [B, classes, H, W].

    H and W are any. The finest level has half the size: the encoder starts there. Its scores are
    interpolated.
    """

    stride, cell = 32, 2

    def __init__(self, classes: int = 1) -> None:
        super().__init__()
        self.features = EfficientNetLite2().features
        self.up = nn.ModuleList(
            UpAndJoin(below, skip, outputs)
            for below, skip, outputs in [
                (WIDE, 120, 192),  # 1/16 of the size
                (192, 48, 96),  # 1/8
                (96, 24, 48),  # 1/4
                (48, 16, 32),  # 1/2
            ]
        )
        self.score = nn.Conv2d(32, classes, 1)

    def forward(self, x: Tensor) -> Tensor:
        return on_padded(self.scores, x, self.stride, self.cell)

    def scores(self, x: Tensor) -> Tensor:
        """The logits at half the size: [B, 3, H, W], whole strides -> [B, classes, H/2, W/2]."""
        skips: list[Tensor] = []  # [B, 16, H/2, W/2], 24 at 1/4, 48 at 1/8, 120 at 1/16
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
