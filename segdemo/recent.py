"""What was worked out last, so that the same photo is not read again, nor shown to a network."""

import time
from collections import OrderedDict
from collections.abc import Callable, Hashable
from contextlib import AbstractContextManager
from threading import Lock
from typing import Any, Generic, TypeVar

MAX_AGE = 3600.0  # seconds

Made = TypeVar("Made")


class Recent(Generic[Made]):
    """Things by what they were made of; the one that was asked for longest ago goes first.

    limit: bytes that are kept in all. size: how many bytes a thing takes.
    """

    def __init__(self, limit: int, size: Callable[[Made], int]) -> None:
        self.limit, self.size, self.bytes = limit, size, 0
        self._kept = OrderedDict[Hashable, tuple[float, Made]]()
        self._lock = Lock()

    def get(
        self, key: Hashable, make: Callable[[], Made], turn: AbstractContextManager[Any]
    ) -> Made:
        """What belongs to `key`, made if it is not known.

        turn: what `make` waits for; while it waits another may make the same.
        """
        self.forget()
        if known := self._known(key):
            return known
        with turn:
            if known := self._known(key):
                return known
            made = make()
            with self._lock:
                if key not in self._kept:
                    self._kept[key] = time.monotonic(), made
                    self.bytes += self.size(made)
                while self.bytes > self.limit:
                    self._drop(next(iter(self._kept)))
        return made

    def _known(self, key: Hashable) -> Made | None:
        with self._lock:
            if key not in self._kept:
                return None
            self._kept.move_to_end(key)
            return self._kept[key][1]

    def forget(self) -> None:
        """Drop what is older than MAX_AGE."""
        with self._lock:
            now = time.monotonic()
            for key in [k for k, (at, _) in self._kept.items() if now - at > MAX_AGE]:
                self._drop(key)

    def _drop(self, key: Hashable) -> None:
        self.bytes -= self.size(self._kept.pop(key)[1])
