"""U-Net whose encoder is VGG16 (Simonyan, Zisserman 2014, https://arxiv.org/abs/1409.1556).

The idea of TernausNet (https://arxiv.org/abs/1801.05746): the encoder can start from a network
that has already learnt to see, so the U-Net needs far fewer masks.
"""

from typing import Literal

from torch import Tensor, nn
from torchvision.models.vgg import cfgs, make_layers

from .padding import on_padded
from .unet import UpAndJoin, double_conv

ENCODERS = {"vgg16": False, "vgg16_bn": True}


class UNetVGG16(nn.Module):
    """VGG16 down, a U-Net decoder up: float [B, 3, H, W] -> logits [B, classes, H, W], any size.

    encoder: "vgg16", or "vgg16_bn" (the same with BatchNorm, to train from scratch). `features`
    keeps torchvision's names, so ImageNet weights load as they are.
    width: times the channels of all layers; 0.5 is about four times as fast. ImageNet's
    weights have 1.
    """

    stride, cell = 32, 1

    def __init__(
        self,
        classes: int = 1,
        encoder: Literal["vgg16", "vgg16_bn"] = "vgg16_bn",
        width: float = 1.0,
    ) -> None:
        super().__init__()
        if encoder not in ENCODERS:
            raise ValueError(f"encoder is one of {', '.join(ENCODERS)}, not {encoder!r}")
        if not 0 < width <= 1:
            raise ValueError("width is above 0 and at most 1")

        def wide(channels: int) -> int:
            return max(1, round(channels * width))

        layers = [layer if isinstance(layer, str) else wide(layer) for layer in cfgs["D"]]
        self.features = make_layers(layers, batch_norm=ENCODERS[encoder])
        # At 1/32 of the size, to take in most of the photo.
        self.centre = double_conv(wide(512), wide(512))
        self.up = nn.ModuleList(
            UpAndJoin(wide(below), wide(skip), wide(outputs))
            for below, skip, outputs in [
                (512, 512, 256),  # the centre joins conv5_3, 1/16 of the size
                (256, 512, 256),  # conv4_3, 1/8
                (256, 256, 128),  # conv3_3, 1/4
                (128, 128, 64),  # conv2_2, 1/2
                (64, 64, 32),  # conv1_2, full size
            ]
        )
        self.score = nn.Conv2d(wide(32), classes, 1)

    def forward(self, x: Tensor) -> Tensor:
        return on_padded(self.scores, x, self.stride, self.cell)

    def scores(self, x: Tensor) -> Tensor:
        """The logits where H and W are whole strides."""
        skips: list[Tensor] = []  # after conv1_2, conv2_2, conv3_3, conv4_3, conv5_3
        for layer in self.features:
            if isinstance(layer, nn.MaxPool2d):
                skips.append(x)
            x = layer(x)
        x = self.centre(x)
        for join in self.up:
            x = join(x, skips.pop())
        scores: Tensor = self.score(x)
        return scores

    def stages(self) -> dict[str, nn.Module]:
        """Where to look at how it sees, in order: `up2` joins what `down2` hands over."""
        layers = list(self.features)
        last = [a for a, b in zip(layers, layers[1:], strict=False) if isinstance(b, nn.MaxPool2d)]
        return {
            **{f"down{level}": layer for level, layer in enumerate(last, 1)},
            "down6": self.centre,
            **{f"up{5 - step}": join for step, join in enumerate(self.up)},
            "score": self.score,
        }
