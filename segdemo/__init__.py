"""segdemo: find chairs, cars and twenty kinds of things in a picture, pixel by pixel."""

from .engine import Segmentation, load_network, segment
from .images import BadImage
from .registry import MODELS, UnknownModel
from .weights import WeightsError

__all__ = [
    "MODELS",
    "BadImage",
    "Segmentation",
    "UnknownModel",
    "WeightsError",
    "load_network",
    "segment",
]
