"""The same photo again is answered from what is kept, and no more is kept than may be."""

import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import nullcontext
from threading import Barrier, Lock

import numpy as np
import pytest
import torch
from conftest import scene

from segdemo.engine import Runner, Segmentation
from segdemo.predict import predict
from segdemo.recent import Recent

CLASSES = ("background", "chair")


@pytest.fixture
def runs(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The models whose networks run, as they run."""
    ran: list[str] = []
    logits = Runner.logits

    def counted(runner: Runner, image: np.ndarray) -> np.ndarray:
        ran.append(runner.spec.name)
        return logits(runner, image)

    monkeypatch.setattr(Runner, "logits", counted)
    return ran


def test_the_same_photo_again_runs_no_network(runs: list[str]) -> None:
    predict(scene(90), "fcn")  # which loads it and warms it up, too
    runs.clear()
    first, other = predict(scene(91), "fcn"), predict(scene(92), "fcn")
    again, strict = predict(scene(91), "fcn"), predict(scene(91).copy(), "fcn", 0.9)
    assert runs == ["fcn"] * 2
    assert np.array_equal(first.result.labels, again.result.labels)
    assert not np.array_equal(first.result.logits, other.result.logits)
    assert strict.result.threshold == 0.9
    assert again.milliseconds["network"] == first.milliseconds["network"] > 0
    predict(scene(91), "chair-unet")
    predict(scene(91)[:, ::-1], "fcn")
    assert runs.count("fcn") == 3 and "chair-unet" in runs


def answer(size: int) -> tuple[Segmentation, float]:
    return Segmentation(torch.zeros(1, size, 1), (size, 1), CLASSES), 1.0


def test_no_more_is_kept_than_may_be() -> None:
    recent, made = Recent(limit=4 * 30), list[str]()

    def ask(key: str, size: int) -> None:
        def make() -> tuple[Segmentation, float]:
            made.append(key)
            return answer(size)

        assert recent.answer(key, make, nullcontext())[0].size == (size, 1)
        assert recent.bytes <= recent.limit

    for key in "abca":  # a, asked for again, is the last to go
        ask(key, 10)
    ask("d", 10)
    ask("a", 10)
    ask("b", 10)
    ask("large", 31)
    assert "".join(made) == "abcd" + "b" + "large"


def test_who_waits_for_the_same_takes_what_another_has_made() -> None:
    recent, turn, made = Recent(limit=1000), Lock(), list[int]()
    both = Barrier(2)

    def make() -> tuple[Segmentation, float]:
        made.append(1)
        return answer(1)

    def ask() -> None:
        both.wait()
        assert recent.answer("a", make, turn)[0].size == (1, 1)

    with ThreadPoolExecutor() as pool:
        turn.acquire()  # as long as both find nothing
        asked = [pool.submit(ask) for _ in range(2)]
        time.sleep(0.3)
        turn.release()
    assert [each.result() for each in asked] == [None, None]
    assert made == [1]


def test_what_cannot_be_answered_is_not_kept() -> None:
    recent = Recent(limit=1000)

    def fail() -> tuple[Segmentation, float]:
        raise RuntimeError("no")

    with pytest.raises(RuntimeError):
        recent.answer("a", fail, nullcontext())
    assert recent.answer("a", lambda: answer(1), nullcontext())[0].size == (1, 1)


def test_nothing_is_kept_for_longer_than_an_hour(monkeypatch: pytest.MonkeyPatch) -> None:
    recent, now = Recent(limit=1000), 0.0
    monkeypatch.setattr("segdemo.recent.time.monotonic", lambda: now)
    recent.answer("a", lambda: answer(10), nullcontext())
    now = 3599.0
    recent.forget()
    assert recent.bytes == 40
    now = 3601.0
    recent.forget()
    assert recent.bytes == 0
