"""Fully convolutional networks (Long, Shelhamer, Darrell 2015, https://arxiv.org/abs/1411.4038).

The paper's idea: a Linear layer that reads a k x k map is a k x k convolution that was only ever
applied at one place. Read that way, a classifier answers at every place of a larger image.
"""

from math import isqrt
from typing import cast

import torch.nn.functional as F
from torch import Tensor, nn
from torchvision.models import VGG, AlexNet

from .efficientnet_lite import WIDE, EfficientNetLite2
from .padding import on_padded

FINER = (8, 16)  # the blocks of the encoder that go on to 1/16 and to 1/32 of the size


def fully_convolutional(classifier: AlexNet | VGG | EfficientNetLite2) -> nn.Sequential:
    """A trained classifier, its Linear layers read as convolutions.

    Maps float [B, 3, 224, 224] to [B, classes, 1, 1], the classifier's own logits, and a larger
    image to a map of logits, [B, classes, h, w]. The first layer is the classifier's `features`
    itself; the weights of its Linear layers are copies. Fixed-size layers fall away: AlexNet's and
    VGG's adaptive pooling does nothing at 224 x 224; EfficientNet's mean over its 7 x 7 map becomes
    a sliding 7 x 7 mean.
    """
    layers: list[nn.Module] = [classifier.features]
    if isinstance(classifier, EfficientNetLite2):
        layers.append(nn.AvgPool2d(7, stride=1))
    channels = [m for m in classifier.features.modules() if isinstance(m, nn.Conv2d)][
        -1
    ].out_channels
    for layer in classifier.classifier:
        if isinstance(layer, nn.Linear):
            layer = as_convolution(layer, channels)
            channels = layer.out_channels
        layers.append(layer)
    return nn.Sequential(*layers)


def as_convolution(linear: nn.Linear, channels: int) -> nn.Conv2d:
    """The convolution that does to a [B, channels, k, k] map what `linear` does to it flattened."""
    side = isqrt(linear.in_features // channels)
    convolution = nn.Conv2d(channels, linear.out_features, side, bias=linear.bias is not None)
    weight = linear.weight.detach().reshape(convolution.weight.shape)
    state = {"weight": weight.clone()}
    if linear.bias is not None:
        state["bias"] = linear.bias.detach().clone()
    convolution.load_state_dict(state)
    return convolution


class FCN(nn.Module):
    """FCN-8s out of EfficientNet-Lite2: float [B, 3, H, W] -> logits [B, classes, H, W], any size.

    The converted classifier with its 1000-class layer exchanged for a score layer, at 1/32 of the
    size, twice: at each place alone, and after the 7 x 7 mean that the classifier had, which
    tells what the neighbourhood holds. Two finer levels are scored and added on the way up
    (Long et al., section 4.2), from the wide inner layers of the encoder's blocks at 1/16 and
    1/8. Up-sampling is bilinear.
    """

    stride, cell = 32, 8

    def __init__(self, classes: int = 21) -> None:
        super().__init__()
        converted = fully_convolutional(EfficientNetLite2())
        self.features = cast(nn.Sequential, converted[0])
        self.dropout = converted[2]
        # Padded, so that the map keeps its size; the padding does not count in the mean.
        self.mean = nn.AvgPool2d(7, stride=1, padding=3, count_include_pad=False)
        self.score_32 = nn.Conv2d(WIDE, classes, 1)
        self.score_mean = nn.Conv2d(WIDE, classes, 1)
        self.score_16 = nn.Conv2d(720, classes, 1)
        self.score_8 = nn.Conv2d(288, classes, 1)
        self.coarse = nn.Identity()  # a name for the first answer, to look at it
        self.fuse_16 = Fuse()
        self.fuse_8 = Fuse()

    def forward(self, x: Tensor) -> Tensor:
        return on_padded(self.scores, x, self.stride, self.cell)

    def scores(self, x: Tensor) -> Tensor:
        """The logits at 1/8 of the size: [B, 3, H, W], whole strides -> [B, classes, H/8, W/8]."""
        fine: list[Tensor] = []  # [B, 288, H/8, W/8], [B, 720, H/16, W/16]
        for index, block in enumerate(self.features):
            if index in FINER:
                expand, *rest = cast(nn.Sequential, block.conv)
                x = expand(x)
                fine.append(x)
                for layer in rest:
                    x = layer(x)
            else:
                x = block(x)
        x = self.dropout(x)
        # The mean of the scores is the score of the mean, and of fewer channels.
        scores = self.score_32(x) + self.mean(self.score_mean(x))  # [B, classes, H/32, W/32]
        scores = self.fuse_16(self.coarse(scores), self.score_16(fine.pop()))
        return self.fuse_8(scores, self.score_8(fine.pop()))

    def stages(self) -> dict[str, nn.Module]:
        """Where to look at how it sees, in order: `fused4` adds the scores of `down4`."""
        eighth, sixteenth = (cast(nn.Sequential, self.features[i].conv)[0] for i in FINER)
        return {
            "down1": self.features[1],
            "down2": self.features[4],
            "down3": eighth,
            "down4": sixteenth,
            "down5": self.features[-1],
            "coarse": self.coarse,
            "fused4": self.fuse_16,
            "fused3": self.fuse_8,
        }


class Fuse(nn.Module):
    """Scores [B, C, h, w] at twice their size, plus those of a finer level [B, C, 2h, 2w]."""

    def forward(self, scores: Tensor, finer: Tensor) -> Tensor:
        return F.interpolate(scores, scale_factor=2.0, mode="bilinear") + finer
