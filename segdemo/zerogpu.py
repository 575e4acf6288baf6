"""ZeroGPU, the shared GPU of Hugging Face Spaces. Anywhere else this does nothing.

There CUDA seems to be there from the start, networks are moved to it once, before the page is
launched, and a real GPU is lent to decorated functions only. They run in a forked process, so what
they are given and return is copied, and no lock of the page may be taken in them.
"""

import functools
import os
from collections.abc import Callable
from typing import ParamSpec, TypeVar

ZERO_GPU = os.environ.get("SPACES_ZERO_GPU", "").lower() in ("1", "t", "true")
SECONDS = 10  # of the GPU for one picture, the loading of the networks included

if ZERO_GPU:
    import spaces  # before CUDA is used

P = ParamSpec("P")
R = TypeVar("R")


class NotLent(RuntimeError):
    """No GPU was lent: a visitor's share of it is used up, or none was free in time."""


def on_gpu(function: Callable[P, R]) -> Callable[P, R]:
    """Lend a GPU to this function, where GPUs are lent. It then may raise NotLent."""
    if not ZERO_GPU:
        return function
    on_lent = spaces.GPU(function, duration=SECONDS)

    @functools.wraps(function)
    def asking(*args: P.args, **kwargs: P.kwargs) -> R:
        try:
            answer: R = on_lent(*args, **kwargs)
        except Exception as error:  # broad: what asking and forking raise has no common kind
            raise NotLent(str(error)) from error
        return answer

    return asking
