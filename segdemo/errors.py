"""The one place where an error becomes what a person reads, with the id to ask about it."""

import errno
import logging
import time
from collections.abc import Callable
from dataclasses import dataclass

import torch

from .hub import under_way
from .images import BadImage
from .registry import UnknownModel
from .weights import WeightsError

log = logging.getLogger("segdemo")

PATIENCE = 60.0  # seconds that a request may wait for its turn; by then most visitors have left


class Busy(RuntimeError):
    """More is asked of this server than it can do. str(e) is one plain sentence."""


class Fetching(Busy):
    """Weights are on their way. Who waited for them would keep others from what is ready."""


@dataclass
class Request:
    """One request of a visitor: the id that the visitor is told, and time.monotonic() of it.

    begun: whether its turn has come. All frames of a live video are one request.
    """

    id: str
    arrived: float
    begun: bool = False


def no_request() -> Request | None:
    return None


# Which request this thread is answering: the page's server puts its own function here. In the
# terminal there is none.
current_request: Callable[[], Request | None] = no_request


def refuse_if_late() -> None:
    """Raise Busy where the request has waited so long that nobody waits for its answer."""
    request = current_request()
    if not request or request.begun:
        return
    if time.monotonic() - request.arrived > PATIENCE:
        raise Busy("Too many people are asking just now: please try again in a minute.")
    request.begun = True


def refuse_while_fetched(model: str) -> None:
    """Raise Fetching where the weights of `model` are on their way."""
    if told := under_way(model):
        raise Fetching(told)


def sentence(error: BaseException, request: Request | None = None) -> str:
    """What the visitor is told of an error. What is not the visitor's doing is logged whole."""
    request = request or current_request()
    facts = {"kind": type(error).__name__, "request": request and request.id}
    if isinstance(error, BadImage | UnknownModel | Busy):
        log.info("refused", extra=facts)
        return str(error)
    log.error("failed", extra=facts, exc_info=error)
    return reason(error) + (f" (request {request.id})" if request else "")


def reason(error: BaseException) -> str:
    """An error that is the server's, in words that tell a visitor nothing of the server."""
    if isinstance(error, WeightsError):
        return "The weights of this model are missing or damaged here: please take another model."
    full = isinstance(error, RuntimeError) and "allocate memory" in str(error)  # on the CPU
    if full or isinstance(error, torch.OutOfMemoryError | MemoryError):
        return "There is not enough memory just now: please try again, or with a smaller photo."
    if isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG):
        return "There is no room left here for photos: please try again later."
    return "Something went wrong here, and it was not your photo's fault. Please try again."
