"""Pictures that wait for a GPU go through a network together."""

from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from queue import SimpleQueue
from typing import Any

import torch
from torch import Tensor

MOST = 8  # pictures in a batch
# One thread for all networks: what a GPU prepares for a size of picture, it prepares for a thread.
THREAD = ThreadPoolExecutor(1, "gpu")


@dataclass(eq=False)
class Waiting:
    """A picture, [1, ...], and what becomes its answer."""

    x: Tensor
    answer: Future[Tensor] = field(default_factory=Future)


class Together:
    """A function of a batch, called with single pictures from many threads.

    What comes while nothing runs is run at once, alone; what comes meanwhile shares the next batch
    with those of its shape. So nobody waits for company.
    """

    def __init__(self, run: Callable[[Tensor], Tensor], turn: AbstractContextManager[Any]) -> None:
        """turn: held while `run` runs."""
        self.run, self.turn = run, turn
        self.arrived = SimpleQueue[Waiting]()
        self.waiting: list[Waiting] = []  # the thread's own

    def __call__(self, x: Tensor) -> Tensor:
        """`run` of x, [1, ...]. Raises what that raises for x alone."""
        mine = Waiting(x)
        self.arrived.put(mine)
        THREAD.submit(self.next)
        try:
            return mine.answer.result()
        finally:
            del mine  # its error holds this frame, and would keep what was computed until then

    def next(self) -> None:
        """Run the batch of who has waited longest, if an earlier one has not taken all along."""
        while not self.arrived.empty():
            self.waiting.append(self.arrived.get())
        if not self.waiting:
            return
        shape = self.waiting[0].x.shape
        batch = [one for one in self.waiting if one.x.shape == shape][:MOST]
        # 1, 2, 4 or 8: a GPU prepares itself for each size of batch.
        batch = batch[: 1 << (len(batch).bit_length() - 1)]
        self.waiting = [one for one in self.waiting if one not in batch]
        if len(batch) > 1:
            try:
                answers = self.run_on([one.x for one in batch])
            except Exception:  # broad: each alone, so that one fails none of the others
                pass
            else:
                for one, answer in zip(batch, answers, strict=True):
                    one.answer.set_result(answer)
                return
        for one in batch:
            try:
                one.answer.set_result(self.run_on([one.x])[0])
            except Exception as error:  # broad: it is raised where somebody waits for it
                one.answer.set_exception(error)
        del one, batch  # which an error holds, and these hold the error

    def run_on(self, pictures: list[Tensor]) -> list[Tensor]:
        with self.turn, torch.inference_mode():  # which belongs to a thread
            return list(torch.split(self.run(torch.cat(pictures)), 1))
