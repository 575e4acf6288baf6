"""A network that is compiled answers as it did before."""

import logging

import numpy as np
import pytest
import torch
from conftest import EXAMPLES, scene
from torch import Tensor, nn

from segdemo import engine
from segdemo.engine import Runner, fast_dtype, load_network, serving_dtype, serving_runner
from segdemo.fast import made_small
from segdemo.graph import COMPILES, compiled
from segdemo.images import load_shown
from segdemo.inside import look_through
from segdemo.registry import MODELS

pytestmark = pytest.mark.skipif(not COMPILES, reason="this PyTorch cannot compile for oneDNN")
CPU = torch.device("cpu")
SHOWN = (240, 320)  # what is seen of a photo of 4:3


class EveryKind(nn.Module):
    """The layers that networks here have, with large biases."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.down = nn.Sequential(
            nn.Conv2d(3, 16, 3, stride=2, padding=1), nn.BatchNorm2d(16), nn.ReLU6(inplace=True)
        )
        self.each = nn.Conv2d(16, 16, 3, padding=1, groups=16)
        self.up = nn.Sequential(nn.ConvTranspose2d(16, 8, 2, stride=2), nn.ReLU(inplace=True))
        self.score = nn.Conv2d(8, 2, 1, bias=False)
        for layer in (self.down[0], self.each, self.up[0]):
            nn.init.uniform_(layer.bias, 2, 4)  # type: ignore[arg-type, union-attr]

    def scores(self, x: Tensor) -> Tensor:
        x = self.down(x)
        answer: Tensor = self.score(self.up(x + self.each(x)))
        return answer

    forward = scores


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_the_same_function(dtype: torch.dtype) -> None:
    if dtype == torch.bfloat16 and fast_dtype(CPU) != dtype:
        pytest.skip("this processor has no bfloat16")
    network, x = EveryKind().eval(), torch.randn(1, 3, 24, 32)
    x = x.to(memory_format=torch.channels_last)
    run = compiled(made_small(network, dtype, (), x), x)
    with torch.inference_mode():
        for _ in range(3):
            x = torch.randn_like(x)
            answer = network(x)
            off = (run(x).float() - answer).abs()
            assert off.max() < (1e-5 if dtype == torch.float32 else 0.02) * answer.abs().max()
    assert network.down[0].bias is not None  # what was given is left as it was


def warm(model: str) -> Runner:
    return serving_runner(MODELS[model], load_network(model), CPU)


def not_compiled(model: str) -> Runner:
    spec = MODELS[model]
    return Runner(spec, load_network(model), CPU, serving_dtype(spec, CPU))


@pytest.mark.parametrize("model", MODELS)
def test_labels_stay_as_they_were(model: str) -> None:
    runner = warm(model)
    exact = Runner(MODELS[model], load_network(model), CPU, torch.float32)
    pictures = [load_shown(path)[0] for path in sorted((EXAMPLES / "test/images").iterdir())]
    changed = [(runner(picture).labels != exact(picture).labels).mean() for picture in pictures]
    assert len(pictures) > 3 and np.mean(changed) <= 0.002


@pytest.mark.parametrize("model", MODELS)
def test_it_is_used_where_it_fits_and_nowhere_else(model: str) -> None:
    runner = warm(model)
    (shape,) = runner.compiled
    asked = []
    run = runner.compiled[shape]
    runner.compiled[shape] = lambda x: asked.append(x.shape) or run(x)
    for size in (SHOWN, (768, 1024), (320, 240), (90, 400)):
        assert runner(scene(1, *size)).labels.shape == size
    assert asked == [shape] * (4 if runner.spec.flips else 2)


def test_one_can_look_inside_what_is_compiled() -> None:
    runner, photo = warm("fcn"), scene(1, *SHOWN)
    before = look_through(not_compiled("fcn"), photo)
    after = look_through(runner, photo)
    assert [stage.key for stage in after.stages] == [stage.key for stage in before.stages]
    assert all(
        np.array_equal(a.picture, b.picture)
        for a, b in zip(after.stages, before.stages, strict=True)
    )
    assert runner.compiled  # it goes on being fast


def test_what_cannot_be_compiled_answers_as_before(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def fails(*_: object) -> None:
        raise RuntimeError("no such kernel")

    monkeypatch.setattr(engine, "compiled", fails)
    photo = scene(1, *SHOWN)
    before = not_compiled("fcn")(photo).labels
    with caplog.at_level(logging.WARNING, "segdemo"):
        runner = warm("fcn")
    assert np.array_equal(runner(photo).labels, before)
    assert [record.message for record in caplog.records] == ["not compiled"]
