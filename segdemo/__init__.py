"""segdemo: find chairs, cars and twenty kinds of things in a picture, pixel by pixel."""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
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

ELSEWHERE = {  # than in engine.py
    "BadImage": "images",
    "MODELS": "registry",
    "UnknownModel": "registry",
    "WeightsError": "weights",
}


def __getattr__(name: str) -> Any:
    """Imported when it is used: torch takes seconds, and `--help` has no need of it."""
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f".{ELSEWHERE.get(name, 'engine')}", __name__), name)
