"""The table by which a model's input size and `sure` are chosen."""

import shutil
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from conftest import EXAMPLES

from segdemo.__main__ import main
from segdemo.choose import Both, Once, alarms, as_text, of_size
from segdemo.engine import load_network
from segdemo.evaluate import score
from segdemo.registry import MODELS


@pytest.fixture
def val(tmp_path: Path) -> Path:
    """The rendered examples as photos to choose by."""
    root = tmp_path / "rendered"
    root.mkdir()
    shutil.copy(EXAMPLES / "dataset.json", root)
    shutil.copytree(EXAMPLES / "test", root / "val")
    return root


def test_it_says_what_evaluate_would(val: Path) -> None:
    spec = MODELS["chair-unet"]
    (choice,) = of_size(spec, load_network(spec.name), [val], spec.input_size, [spec.sure])
    scored = score(spec, load_network(spec.name), [val], "val")["rendered/val"]
    assert choice.iou == {"rendered": scored["iou"]}
    assert choice.alarms == pytest.approx(scored["classes"]["chair"]["false_alarms"])
    assert choice.changed <= 0.002


def test_labels_that_differ_are_counted() -> None:
    def answering(value: int) -> Any:
        return lambda image: SimpleNamespace(labels=np.where(image[..., 0] > 2, value, 0))

    image = np.arange(30, dtype=np.uint8).reshape(2, 5, 3)  # red: 0, 3, 6, ... 27
    both = Both(answering(1), answering(2))
    assert np.array_equal(both(image).labels, answering(1)(image).labels)
    both(image)
    assert (both.changed, both.pixels) == (18, 20)


def test_a_network_runs_once_for_each_picture() -> None:
    seen: list[int] = []
    once = Once(lambda image: seen.append(int(image[0, 0, 0])) or image[..., 0].astype(np.float32))
    pictures = [np.full((2, 3, 3), value, np.uint8) for value in (1, 2, 1)]
    pictures.append(pictures[0].reshape(3, 2, 3))
    assert [once(picture)[0, 0] for picture in pictures] == [1, 2, 1, 1]
    assert seen == [1, 2, 1]


def test_false_alarms_are_those_of_all_folders_and_classes() -> None:
    def classes(**figures: tuple[float | None, int]) -> dict[str, Any]:
        pairs = figures.items()
        return {
            "classes": {
                name: {"false_alarms": share, "photos_without": photos}
                for name, (share, photos) in pairs
            }
        }

    a = classes(background=(1.0, 1), chair=(0.5, 10), sofa=(0.0, 4))
    b = classes(background=(None, 0), chair=(0.25, 8))
    assert alarms({"a": a, "b": b}) == pytest.approx(7 / 22)
    assert alarms({"a": classes(background=(None, 0))}) is None


def test_a_row_for_each_pair(val: Path, capsys: pytest.CaptureFixture[str]) -> None:
    command = ["choose", "fcn", "--data", str(val), "--input-sizes", "96,128", "--sures", "0.5,0.9"]
    assert main(command) == 0
    heads, line, *rows = capsys.readouterr().out.splitlines()
    assert heads.startswith("| size | sure | rendered | mean |")
    pairs = [tuple(cell.strip() for cell in row.split("|")[1:3]) for row in rows]
    assert pairs == [("96", "0.5"), ("96", "0.9"), ("128", "0.5"), ("128", "0.9")]
    assert len({row.count("|") for row in (heads, line, *rows)}) == 1


def test_what_has_no_figure_is_a_dash() -> None:
    nothing = SimpleNamespace(input_size=96, sure=0.5, iou={"a": None}, alarms=None, changed=0.0)
    assert as_text([nothing]).splitlines()[-1] == "| 96 | 0.5 | - | - | - | 0.00 % |"
