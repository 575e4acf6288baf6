"""EfficientNet-Lite2, a classifier: the encoder of `fcn.py` and `unet_efficientnet.py`.

EfficientNet (Tan, Le 2019, https://arxiv.org/abs/1905.11946) without what small processors are
slow at: no squeeze-and-excitation, ReLU6 in place of swish
(https://blog.tensorflow.org/2020/03/higher-accuracy-on-vision-models-with-efficientnet-lite.html).
torchvision has the others of the family only.
"""

from functools import partial

from torch import Tensor, nn
from torchvision.ops import Conv2dNormActivation

Norm = partial(nn.BatchNorm2d, eps=1e-3)
# Convolution, BatchNorm and ReLU6; the size is kept, or divided by the stride.
Convolution = partial(Conv2dNormActivation, norm_layer=Norm, activation_layer=nn.ReLU6)

# How many blocks of how many channels, what the first's stride is, how wide they are inside, and
# the side of their depthwise kernel.
STAGES = [
    (1, 16, 1, 1, 3),
    (3, 24, 2, 6, 3),
    (3, 48, 2, 6, 5),
    (4, 88, 2, 6, 3),
    (4, 120, 1, 6, 5),
    (5, 208, 2, 6, 5),
    (1, 352, 1, 6, 3),
]
WIDE = 1280  # channels of the last map


class InvertedResidual(nn.Module):
    """MobileNetV2's block (https://arxiv.org/abs/1801.04381): wide inside, narrow between.

    float [B, inputs, H, W] -> [B, outputs, H / stride, W / stride].
    """

    def __init__(self, inputs: int, outputs: int, stride: int, expand: int, kernel: int) -> None:
        super().__init__()
        wide = inputs * expand
        widen = [Convolution(inputs, wide, kernel_size=1)] if expand > 1 else []
        self.conv = nn.Sequential(
            *widen,
            Convolution(wide, wide, kernel_size=kernel, stride=stride, groups=wide),
            nn.Conv2d(wide, outputs, 1, bias=False),
            Norm(outputs),
        )
        self.adds = stride == 1 and inputs == outputs

    def forward(self, x: Tensor) -> Tensor:
        y: Tensor = self.conv(x)
        return x + y if self.adds else y


class EfficientNetLite2(nn.Module):
    """The classifier: float [B, 3, H, W], H and W of at least 1 -> logits [B, classes]."""

    def __init__(self, classes: int = 1000) -> None:
        super().__init__()
        layers: list[nn.Module] = [Convolution(3, 32, kernel_size=3, stride=2)]
        channels = 32
        for blocks, outputs, stride, expand, kernel in STAGES:
            for block in range(blocks):
                first = stride if block == 0 else 1
                layers.append(InvertedResidual(channels, outputs, first, expand, kernel))
                channels = outputs
        layers.append(Convolution(channels, WIDE, kernel_size=1))
        self.features = nn.Sequential(*layers)  # [B, 1280, H/32, W/32]
        self.classifier = nn.Sequential(nn.Dropout(0.3), nn.Linear(WIDE, classes))

    def forward(self, x: Tensor) -> Tensor:
        logits: Tensor = self.classifier(self.features(x).mean((2, 3)))
        return logits


def names_in_timm() -> dict[str, str]:
    """timm's names of the layers, which the Hub's weights have -> the names in `features`."""
    names = {"conv_stem": "0.0", "bn1": "0.1"}
    place = 1
    for stage, (blocks, _, _, expand, _) in enumerate(STAGES):
        widen = {"conv_pw": "0.0", "bn1": "0.1"}
        rest = {"conv_dw": "1.0", "bn2": "1.1", "conv_pwl": "2", "bn3": "3"}
        first = {"conv_dw": "0.0", "bn1": "0.1", "conv_pw": "1", "bn2": "2"}
        for block in range(blocks):
            layers = widen | rest if expand > 1 else first
            names |= {
                f"blocks.{stage}.{block}.{theirs}": f"{place}.conv.{ours}"
                for theirs, ours in layers.items()
            }
            place += 1
    return names | {"conv_head": f"{place}.0", "bn2": f"{place}.1"}


IN_TIMM = names_in_timm()


def as_here(name: str) -> str:
    """The name in `features` of a tensor that timm calls `name`; other names stay as they are."""
    layer, _, tensor = name.rpartition(".")
    return f"{IN_TIMM.get(layer, layer)}.{tensor}"
