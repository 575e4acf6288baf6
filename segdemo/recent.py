"""What networks answered last, so that the same photo does not run one again."""

import time
from collections import OrderedDict
from collections.abc import Callable, Hashable
from contextlib import AbstractContextManager
from dataclasses import replace
from threading import Lock
from typing import Any

from .engine import Segmentation

MAX_AGE = 3600.0  # seconds

# An answer, and how many milliseconds its network took.
Timed = tuple[Segmentation, float]


class Recent:
    """Answers by what they are the answers to; the one that was asked for longest ago goes first.

    limit: bytes of logits that are kept in all.
    """

    def __init__(self, limit: int) -> None:
        self.limit, self.bytes = limit, 0
        self._answers = OrderedDict[Hashable, tuple[float, Timed]]()
        self._lock = Lock()

    def answer(
        self, key: Hashable, make: Callable[[], Timed], turn: AbstractContextManager[Any]
    ) -> Timed:
        """The answer to `key`, made if it is not known.

        turn: what `make` waits for; while it waits another may make the same.
        """
        self.forget()
        if known := self._known(key):
            return known
        with turn:
            if known := self._known(key):
                return known
            made, milliseconds = make()
            made = replace(made)  # without its labels, which take more
            with self._lock:
                if key not in self._answers:
                    self._answers[key] = time.monotonic(), (made, milliseconds)
                    self.bytes += made.logits.nbytes
                while self.bytes > self.limit:
                    self._drop(next(iter(self._answers)))
        return made, milliseconds

    def _known(self, key: Hashable) -> Timed | None:
        with self._lock:
            if key not in self._answers:
                return None
            self._answers.move_to_end(key)
            return self._answers[key][1]

    def forget(self) -> None:
        """Drop what is older than MAX_AGE."""
        with self._lock:
            now = time.monotonic()
            for key in [k for k, (at, _) in self._answers.items() if now - at > MAX_AGE]:
                self._drop(key)

    def _drop(self, key: Hashable) -> None:
        self.bytes -= self._answers.pop(key)[1][0].logits.nbytes
