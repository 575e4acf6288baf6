"""ZeroGPU, the shared GPU of Hugging Face Spaces. Anywhere else this does nothing.

There CUDA seems to be there from the start, networks are moved to it once, before the page is
launched, and a real GPU is lent to decorated functions only. They run in a forked process, so what
they are given and return is copied, and no lock of the page may be taken in them.
"""

import os
from collections.abc import Callable
from typing import ParamSpec, TypeVar

ZERO_GPU = os.environ.get("SPACES_ZERO_GPU", "").lower() in ("1", "t", "true")
SECONDS = 10  # of the GPU for one picture, the loading of the networks included

if ZERO_GPU:
    import spaces  # before CUDA is used


P = ParamSpec("P")
R = TypeVar("R")


def on_gpu(function: Callable[P, R]) -> Callable[P, R]:
    """Lend a GPU to this function, where GPUs are lent."""
    return spaces.GPU(function, duration=SECONDS) if ZERO_GPU else function
