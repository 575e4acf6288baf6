"""What a person sees of a network at work."""

from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from functools import cache

import numpy as np
import pytest
import torch
from conftest import EXAMPLES, scene
from PIL import Image

import segdemo
from segdemo.engine import Runner, ready
from segdemo.inside import Inside, look_inside, look_through
from segdemo.networks.unet import UNet
from segdemo.overlay import colours_of, paint, resize, resize_labels
from segdemo.preprocess import as_tensor, preprocess
from segdemo.registry import MODELS, VOC
from segdemo.ui.components import TEXTS

PHOTO = np.asarray(Image.open(EXAMPLES / "test" / "images" / "living-room.webp"))


@cache
def look(model: str) -> Inside:
    return look_inside(MODELS[model], PHOTO)


def hooks(network: torch.nn.Module) -> int:
    return sum(len(m._forward_hooks) + len(m._forward_pre_hooks) for m in network.modules())


@pytest.mark.parametrize("model", MODELS)
def test_the_way_down_shrinks_and_deepens(model: str) -> None:
    inside = look(model)
    assert inside.stages[0].key == "input"
    down = [stage for stage in inside.stages if stage.key.startswith("down")]
    levels = 6 if model == "car-unet-vgg16" else 5
    assert [stage.key for stage in down] == [f"down{level}" for level in range(1, levels + 1)]
    assert [stage.kind for stage in down] == (levels - 1) * ["down"] + ["bottom"]
    for before, after in zip(down, down[1:], strict=False):
        assert (before.height, before.width) == (2 * after.height, 2 * after.width)
        assert before.channels <= after.channels
    keys = [stage.key for stage in inside.stages[1 + levels :]]
    if model == "fcn":
        assert keys == ["coarse", "fused4", "fused3"]
    else:
        assert keys == [f"up{level}" for level in range(levels - 1, 0, -1)] + ["score"]
    sizes = {stage.key: (stage.height, stage.width) for stage in inside.stages}
    for key in [skip.key for skip in inside.skips]:
        assert sizes[key] == sizes[f"down{key[-1]}"]  # what is joined has the same size


@pytest.mark.parametrize("model", MODELS)
def test_pictures_show_something_in_one_layout(model: str) -> None:
    inside = look(model)
    for stage in inside.stages:
        assert stage.picture.dtype == np.uint8
        sheet = stage.kind in ("down", "bottom", "up")
        # Eight maps of 128 x 96 with 4 pixels between them, or one picture as wide as two.
        assert stage.picture.shape == ((196, 524, 3) if sheet else (195, 260, 3))
        assert len(np.unique(stage.picture.reshape(-1, 3), axis=0)) > 3, stage.key
    for skip in inside.skips:
        assert skip.picture.shape == (195, 524, 3)
        left, right = skip.picture[:, :260], skip.picture[:, 264:]
        assert 0 <= skip.changed <= 1
        assert (skip.changed > 0.01) <= (not np.array_equal(left, right))


def test_every_kind_is_explained_and_nothing_else() -> None:
    kinds = {part.kind for model in MODELS for part in (*look(model).stages, *look(model).skips)}
    assert kinds == {key.removeprefix("why_") for key in TEXTS["en"] if key.startswith("why_")}


def test_the_fcns_first_answer_is_that_of_the_plain_network() -> None:
    """Folded BatchNorm and hooks change nothing: the blocks are the classifier's own."""
    spec, network = MODELS["fcn"], segdemo.load_network("fcn")
    width = spec.input_size
    photo = resize(PHOTO, (256, width))  # whole strides: nothing is padded
    scores: list[torch.Tensor] = []
    for module in (network.score_32, network.mean):
        module.register_forward_hook(lambda _, inputs, output: scores.append(output))
    with torch.inference_mode():
        network(preprocess(as_tensor(photo), spec))
    labels = sum(scores)[0].argmax(0).numpy().astype(np.uint8)
    assert labels.shape == (8, width // 32) and labels.any()
    coarse = next(s for s in look_inside(spec, photo).stages if s.key == "coarse")
    assert (coarse.channels, coarse.height, coarse.width) == (21, *labels.shape)
    size = (round(260 * 256 / width), 260)
    grey = np.asarray(Image.fromarray(resize(photo, size)).convert("L").convert("RGB"))
    painted = paint(grey, resize_labels(labels, size), 0.7, colours_of(VOC))
    assert np.array_equal(coarse.picture, painted)
    assert set(coarse.legend) == {VOC[label] for label in np.unique(labels) if label}


def test_a_skip_that_is_switched_off_brings_zeros() -> None:
    """The same as a network whose weights for that skip are zero."""
    torch.manual_seed(0)
    spec = replace(MODELS["chair-unet"], sure=0.5)  # untrained, it is sure of nothing
    network = UNet(1, base=4, levels=2).eval()
    cpu = torch.device("cpu")
    runner = Runner(spec, network, cpu, torch.float32)
    network.score.bias.data -= float(runner(PHOTO).logits.median())  # half of it is a chair
    runner = Runner(spec, network, cpu, torch.float32)
    full = runner(PHOTO)
    inside = look_through(runner, PHOTO)
    assert [skip.key for skip in inside.skips] == ["up2", "up1"]
    for skip, join in zip(inside.skips, network.up, strict=True):
        weight = join.convs[0].weight
        before = weight.detach().clone()
        weight.data[:, weight.shape[1] // 2 :] = 0  # below comes first, then the skip
        other = Runner(spec, network, cpu, torch.float32)(PHOTO)
        weight.data.copy_(before)
        changed = ((full.logits >= 0) != (other.logits >= 0)).float().mean()
        assert skip.changed == pytest.approx(float(changed), abs=2e-4) and skip.changed > 2e-3


@pytest.mark.parametrize("model", MODELS)
@pytest.mark.parametrize("size", [(1, 1), (20, 300)])
def test_any_photo_can_be_looked_at(model: str, size: tuple[int, int]) -> None:
    inside = look_inside(MODELS[model], scene(3, *size))
    assert all(min(stage.picture.shape) > 0 for stage in inside.stages)


@pytest.mark.parametrize("model", MODELS)
def test_serving_goes_on_undisturbed(model: str) -> None:
    runner = ready(MODELS[model])
    before, hooked = segdemo.segment(PHOTO, model).labels, hooks(runner.network)
    with ThreadPoolExecutor(3) as pool:
        looking = pool.submit(look_inside, MODELS[model], PHOTO)
        answers = [pool.submit(segdemo.segment, PHOTO, model) for _ in range(4)]
        assert all(np.array_equal(answer.result().labels, before) for answer in answers)
    for a, b in zip(looking.result().stages, look(model).stages, strict=True):
        assert np.array_equal(a.picture, b.picture)
    assert hooks(runner.network) == hooked
    with pytest.raises(RuntimeError):
        look_inside(MODELS[model], np.zeros((0, 0), np.uint8))
    assert hooks(runner.network) == hooked
