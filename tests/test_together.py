"""Pictures that wait for a GPU share a batch. The CPU stands for it here."""

import gc
import threading
import weakref
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import nullcontext

import numpy as np
import pytest
import torch
from conftest import scene
from torch import Tensor

from segdemo import together
from segdemo.engine import Runner, load_network
from segdemo.registry import MODELS
from segdemo.together import Together


def asked_at_once(shared: Together, pictures: list[Tensor]) -> list[Future[Tensor]]:
    """The answers, each asked for by a thread of its own while the GPU was busy."""
    busy = threading.Event()
    held = together.THREAD.submit(busy.wait, 30)
    pool = ThreadPoolExecutor(len(pictures))
    asked = []
    for number, picture in enumerate(pictures, 1):
        asked.append(pool.submit(shared, picture))
        while shared.arrived.qsize() < number:
            pass
    busy.set()
    held.result()
    pool.shutdown()
    return asked


def counted(
    fails: Callable[[Tensor], bool] = lambda x: False, error: type[Exception] = RuntimeError
) -> tuple[Together, list[tuple[int, ...]]]:
    """Twice what it is given, and the shapes of the batches in which it was."""
    shapes: list[tuple[int, ...]] = []

    def twice(x: Tensor) -> Tensor:
        shapes.append(tuple(x.shape))
        if fails(x):
            raise error("no")
        return 2 * x

    return Together(twice, nullcontext()), shapes


def test_what_failed_holds_no_memory() -> None:
    shown: list[weakref.ref[Tensor]] = []

    def full(x: Tensor) -> Tensor:
        shown.append(weakref.ref(computed := 2 * x))
        raise torch.OutOfMemoryError(f"no room beside {len(computed)}")

    gc.disable()  # which would come late on a GPU that is full
    try:
        with pytest.raises(torch.OutOfMemoryError):
            Together(full, nullcontext())(torch.zeros(1, 3))
        together.THREAD.submit(int).result()  # the thread is done with it
        assert shown[0]() is None
    finally:
        gc.enable()


def test_what_waits_shares_a_batch_with_what_has_its_shape() -> None:
    shared, shapes = counted()
    pictures = [torch.full((1, 3), float(i)) for i in range(4)]
    other = torch.zeros(1, 5)
    answers = asked_at_once(shared, [*pictures[:2], other, *pictures[2:]])
    assert shapes == [(4, 3), (1, 5)]
    assert [a.result()[0, 0].item() for a in answers] == [0, 2, 0, 4, 6]
    assert torch.equal(shared(pictures[1]), 2 * pictures[1]) and shapes[-1] == (1, 3)


def test_batches_have_few_sizes() -> None:
    shared, shapes = counted()
    asked_at_once(shared, [torch.zeros(1, 3)] * 11)
    assert [count for count, _ in shapes] == [8, 2, 1]


@pytest.mark.parametrize("error", [RuntimeError, MemoryError])
def test_a_picture_that_fails_fails_none_of_those_beside_it(error: type[Exception]) -> None:
    shared, _ = counted(fails=lambda x: bool((x == 1).any()), error=error)
    answers = asked_at_once(shared, [torch.full((1, 3), float(i)) for i in range(4)])
    with pytest.raises(error, match="no"):
        answers[1].result()
    assert [a.result()[0, 0].item() for a in (answers[0], *answers[2:])] == [0, 4, 6]


def test_a_model_answers_the_same_in_company() -> None:
    spec = MODELS["fcn"]  # which is shown the mirror image too
    runner = Runner(spec, load_network(spec.name), torch.device("cpu"), torch.float32)
    scenes = [scene(seed) for seed in range(4)]
    alone = [runner.logits(picture) for picture in scenes]
    runner.together = Together(runner.network.scores, runner.turn)
    runner.lock = nullcontext()
    with ThreadPoolExecutor(4) as pool:
        for one, other in zip(alone, pool.map(runner.logits, scenes), strict=True):
            assert np.allclose(one, other, atol=1e-4)
