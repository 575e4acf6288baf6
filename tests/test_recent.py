"""The same photo again is read and answered from what is kept, and no more is kept than may be."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, nullcontext
from pathlib import Path
from threading import Barrier, Lock

import numpy as np
import pytest
from conftest import scene
from PIL import Image

from segdemo import predict as predict_module
from segdemo.engine import Runner
from segdemo.predict import predict
from segdemo.recent import Recent
from segdemo.registry import MODELS
from segdemo.ui import answers, figures


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


def recent(limit: int = 1000) -> Recent[str]:
    return Recent(limit, len)


def test_no_more_is_kept_than_may_be() -> None:
    kept, made = recent(limit=30), list[str]()

    def ask(key: str, size: int = 10) -> None:
        def make() -> str:
            made.append(key)
            return key * size

        assert kept.get(key, make, nullcontext()) == key * size
        assert kept.bytes <= kept.limit

    for key in "abca":  # a, asked for again, is the last to go
        ask(key)
    ask("d")
    ask("a")
    ask("b")
    ask("l", 31)
    assert "".join(made) == "abcd" + "b" + "l"


def test_who_waits_for_the_same_takes_what_another_has_made() -> None:
    kept, made = recent(), list[int]()
    both, lock = Barrier(2), Lock()

    @contextmanager
    def turn() -> Iterator[None]:
        both.wait(60)  # both have found nothing before either has its turn
        with lock:
            yield

    def make() -> str:
        made.append(1)
        return "A"

    with ThreadPoolExecutor() as pool:
        asked = [pool.submit(kept.get, "a", make, turn()) for _ in range(2)]
    assert [each.result() for each in asked] == ["A", "A"]
    assert made == [1]


def test_what_cannot_be_made_is_not_kept() -> None:
    kept = recent()

    def fail() -> str:
        raise RuntimeError("no")

    with pytest.raises(RuntimeError):
        kept.get("a", fail, nullcontext())
    assert kept.get("a", lambda: "A", nullcontext()) == "A"


def test_nothing_is_kept_for_longer_than_an_hour(monkeypatch: pytest.MonkeyPatch) -> None:
    kept, now = recent(), 0.0
    monkeypatch.setattr("segdemo.recent.time.monotonic", lambda: now)
    kept.get("a", lambda: "A" * 40, nullcontext())
    now = 3599.0
    kept.forget()
    assert kept.bytes == 40
    now = 3601.0
    kept.forget()
    assert kept.bytes == 0


def test_a_photo_is_read_once_for_all_models_and_tabs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    read = list[str]()
    load = predict_module.load_shown
    monkeypatch.setattr(predict_module, "load_shown", lambda path: read.append(path) or load(path))
    monkeypatch.setenv("GRADIO_TEMP_DIR", str(tmp_path / "answers"))
    path = tmp_path / "photo.png"
    Image.fromarray(scene(93)).save(path)
    for model in MODELS:
        viewed = answers.look(str(path), model)
        assert viewed["size"] == [64, 48]
    assert figures.compare(str(path), 0.5)["sections"][0]["figures"]
    assert read == [str(path)]
    path.unlink()
    gone = answers.look(str(path), "fcn")
    assert "no longer" in gone["error"]
