"""U-Net whose encoder is VGG16 (Simonyan, Zisserman 2014, https://arxiv.org/abs/1409.1556).

The idea of TernausNet (https://arxiv.org/abs/1801.05746): the encoder can start from a network
that has already learnt to see, so the U-Net needs far fewer masks.
"""

from typing import Literal

from torch import Tensor, nn
from torchvision.models import vgg16, vgg16_bn

from .padding import on_padded
from .unet import UpAndJoin

ENCODERS = {"vgg16": vgg16, "vgg16_bn": vgg16_bn}


class UNetVGG16(nn.Module):
    """VGG16 down, a U-Net decoder up: float [B, 3, H, W] -> logits [B, classes, H, W], any size.

    encoder: "vgg16", or "vgg16_bn" (the same with BatchNorm, to train from scratch). `features`
    keeps torchvision's names, so ImageNet weights load as they are.
    """

    stride, cell = 16, 1

    def __init__(
        self, classes: int = 1, encoder: Literal["vgg16", "vgg16_bn"] = "vgg16_bn"
    ) -> None:
        super().__init__()
        if encoder not in ENCODERS:
            raise ValueError(f"encoder is one of {', '.join(ENCODERS)}, not {encoder!r}")
        # All but the last pooling: the way up starts at conv5_3.
        self.features = ENCODERS[encoder](weights=None).features[:-1]
        self.up = nn.ModuleList(
            UpAndJoin(below, skip, outputs)
            for below, skip, outputs in [
                (512, 512, 256),  # conv5_3 joins conv4_3, 1/8 of the size
                (256, 256, 128),  # conv3_3, 1/4
                (128, 128, 64),  # conv2_2, 1/2
                (64, 64, 32),  # conv1_2, full size
            ]
        )
        self.score = nn.Conv2d(32, classes, 1)

    def forward(self, x: Tensor) -> Tensor:
        return on_padded(self.scores, x, self.stride, self.cell)

    def scores(self, x: Tensor) -> Tensor:
        """The logits where H and W are whole strides."""
        skips: list[Tensor] = []  # after conv1_2, conv2_2, conv3_3, conv4_3
        for layer in self.features:
            if isinstance(layer, nn.MaxPool2d):
                skips.append(x)
            x = layer(x)
        for join in self.up:
            x = join(x, skips.pop())
        scores: Tensor = self.score(x)
        return scores

    def stages(self) -> dict[str, nn.Module]:
        """Where to look at how it sees, in order: `up2` joins what `down2` hands over."""
        layers = list(self.features)
        last = [a for a, b in zip(layers, layers[1:], strict=False) if isinstance(b, nn.MaxPool2d)]
        return {
            **{f"down{level}": layer for level, layer in enumerate([*last, layers[-1]], 1)},
            **{f"up{4 - step}": join for step, join in enumerate(self.up)},
            "score": self.score,
        }
