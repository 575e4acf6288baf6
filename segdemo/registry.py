"""What models there are. To add one: a network, and an entry in MODELS; nothing else to touch."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any, Literal

from torch import nn

from .networks.fcn import FCN
from .networks.unet import UNet
from .networks.unet_efficientnet import UNetEfficientNet
from .networks.unet_vgg16 import UNetVGG16

# Where the Hub has what EfficientNet-Lite2 knows of ImageNet.
LITE2 = {"efficientnet_lite2": "timm/tf_efficientnet_lite2.in1k"}

VOC = (
    "background aeroplane bicycle bird boat bottle bus car cat chair cow diningtable dog horse "
    "motorbike person pottedplant sheep sofa train tvmonitor"
).split()


class UnknownModel(KeyError):
    """No model of that name; str(e) is one sentence that names those there are."""

    def __str__(self) -> str:  # KeyError would put quotes around the sentence
        return str(self.args[0])


@dataclass(frozen=True)
class ModelSpec:
    """All that the rest of the project needs to know of a model, its weights apart.

    name: what people type, and what its files are called.
    title, finds: for people; `finds` is one line.
    classes: names of the labels, background first.
    build: makes the network, untrained; takes `classes` (the number of logits) and the
        architecture arguments that training recorded in the facts.
    input_size: pixels of the longer side of what the network sees.
    whole: both sides of that are multiples of this: 32, the stride, stretches a picture by some
        percent where else it would be padded; chosen on val.
    mean, std: what `(x / 255 - mean) / std` is done with, for each of R, G, B.
    also_called: other names that data sets give a class -> its name here.
    disputed: what some data sets count as one of the classes and others do not; training leaves
        its pixels out.
    sure: the probability that a region has to reach somewhere, or it does not count; chosen on
        val, for few false alarms at the same IoU.
    flips: whether it is shown the mirror image too, and the two answers are averaged, which takes
        twice the time.
    float32: its parts, by the start of their names, that do not bear bfloat16: with all of it,
        over 0.2 % of the labels would change.
    encoders: where the Hub has ImageNet weights, by the `encoder` argument of `build`; the usual
        one first.
    """

    name: str
    title: str
    finds: str
    classes: tuple[str, ...]
    build: Callable[..., nn.Module]
    input_size: int
    whole: int = 1
    mean: tuple[float, float, float] = (0.5, 0.5, 0.5)
    std: tuple[float, float, float] = (0.5, 0.5, 0.5)
    also_called: Mapping[str, str] = field(default_factory=dict)
    disputed: tuple[str, ...] = ()
    sure: float = 0.5
    flips: bool = False
    float32: tuple[str, ...] = ()
    encoders: Mapping[str, str] = field(default_factory=dict)

    @property
    def binary(self) -> bool:
        """One class beside the background: one logit and a sigmoid, else a softmax over all."""
        return len(self.classes) == 2

    @property
    def logits(self) -> int:
        """How many logits a pixel has."""
        return 1 if self.binary else len(self.classes)


def chair_unet(
    classes: int = 1,
    encoder: Literal["efficientnet_lite2", "plain"] = "efficientnet_lite2",
    **plain: Any,
) -> nn.Module:
    """A U-Net on a trained encoder, or the paper's own, `plain`, of any `base` and `levels`."""
    if encoder == "plain":
        return UNet(classes, **plain)
    if encoder != "efficientnet_lite2" or plain:
        raise ValueError(
            "encoder is 'efficientnet_lite2', or 'plain' with base and levels beside it"
        )
    return UNetEfficientNet(classes)


MODELS: Mapping[str, ModelSpec] = MappingProxyType(
    {
        spec.name: spec
        for spec in (
            ModelSpec(
                name="chair-unet",
                title="Chair U-Net",
                finds="A chair, the larger in the picture the better.",
                classes=("background", "chair"),
                build=chair_unet,
                input_size=384,
                whole=32,
                encoders=LITE2,
                also_called={"swivelchair": "chair"},
                sure=0.995,
            ),
            ModelSpec(
                name="car-unet-vgg16",
                title="Car U-Net with a VGG16 encoder",
                finds="Cars, from the side and in the street.",
                classes=("background", "car"),
                build=UNetVGG16,
                input_size=320,
                whole=32,
                disputed=("bus",),  # to camvid buses and vans are cars
                sure=0.995,
                # What published VGG16 weights expect.
                mean=(0.485, 0.456, 0.406),
                std=(0.229, 0.224, 0.225),
                encoders={
                    "vgg16_bn": "timm/vgg16_bn.tv_in1k",
                    "vgg16": "timm/vgg16.tv_in1k",
                },
            ),
            ModelSpec(
                name="fcn",
                title="FCN from EfficientNet",
                finds=f"{len(VOC) - 1} kinds of things: people, animals, vehicles, furniture.",
                classes=tuple(VOC),
                build=FCN,
                input_size=352,
                sure=0.9,
                flips=True,
                encoders=LITE2,
                also_called={"swivelchair": "chair", "table": "diningtable"},
                disputed=("plant pot",),  # furniture has those with and without a plant
                float32=("features.0.", "features.1.conv.0."),
            ),
        )
    }
)


def find_model(name: str) -> ModelSpec:
    """The spec of that name. Raises UnknownModel."""
    try:
        return MODELS[name]
    except (KeyError, TypeError):
        raise UnknownModel(
            f"There is no model of that name; there are {', '.join(MODELS)}."
        ) from None
