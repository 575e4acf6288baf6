"""What networks answered last, so that the same photo does not run one again."""

from collections import OrderedDict
from collections.abc import Callable, Hashable
from dataclasses import replace
from threading import Lock

from .engine import Segmentation


class Recent:
    """Answers by what they are the answers to; the one that was asked for longest ago goes first.

    limit: bytes of logits that are kept in all.
    """

    def __init__(self, limit: int) -> None:
        self.limit, self.bytes = limit, 0
        self._answers = OrderedDict[Hashable, Segmentation]()
        self._lock = Lock()

    def answer(self, key: Hashable, make: Callable[[], Segmentation]) -> Segmentation:
        """The answer to `key`, made if it is not known; nothing computed from its logits yet."""
        with self._lock:
            if key in self._answers:
                self._answers.move_to_end(key)
                return replace(self._answers[key])
        made = make()
        with self._lock:
            if key not in self._answers:
                self._answers[key] = replace(made)  # without the labels, which take more
                self.bytes += made.logits.nbytes
            while self.bytes > self.limit:
                self.bytes -= self._answers.popitem(last=False)[1].logits.nbytes
        return made
