"""segdemo: find chairs, cars and twenty kinds of things in a picture, pixel by pixel."""

import logging
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

# Without it Python would print warnings where nobody has set up logs, tracebacks and all.
logging.getLogger(__name__).addHandler(logging.NullHandler())

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
