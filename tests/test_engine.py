"""What `segdemo.segment` answers, for every model as it is shipped."""

from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from conftest import EXAMPLES, scene
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor

import segdemo
from segdemo.engine import (
    DeviceError,
    Runner,
    Segmentation,
    fast_dtype,
    load_network,
    pick_device,
    ready,
)
from segdemo.fast import fold_batchnorm
from segdemo.preprocess import as_tensor, preprocess
from segdemo.registry import MODELS, ModelSpec
from segdemo.sure import only_sure

PICTURES = sorted((EXAMPLES / "test" / "images").glob("*.webp"))


@pytest.mark.parametrize("model", MODELS)
@pytest.mark.parametrize("size", [(1, 1), (37, 501), (20, 3), (3000, 4000)])
def test_labels_have_the_size_of_the_picture(model: str, size: tuple[int, int]) -> None:
    result = segdemo.segment(scene(3, *size), model)
    assert result.labels.shape == result.confidence.shape == size
    assert result.labels.dtype == np.uint8 and result.confidence.dtype == np.float32
    assert result.labels.max() < len(result.classes)
    assert result.confidence.min() >= 0 and result.confidence.max() <= 1
    assert result.classes == MODELS[model].classes and result.classes[0] == "background"


@pytest.mark.parametrize("model", MODELS)
def test_coverage_is_the_share_of_the_labels(model: str) -> None:
    result = segdemo.segment(PICTURES[0], model)
    assert "background" not in result.coverage
    for label, name in enumerate(result.classes[1:], 1):
        assert result.coverage[name] == pytest.approx((result.labels == label).mean())


@pytest.mark.parametrize("model", MODELS)
def test_paths_arrays_and_pil_images_give_the_same(model: str, tmp_path: Path) -> None:
    path = tmp_path / "photo.png"
    Image.fromarray(scene(1)).save(path)
    answers = [segdemo.segment(x, model).labels for x in (path, str(path), scene(1))]
    answers.append(segdemo.segment(Image.open(path), model).labels)
    assert all(np.array_equal(answers[0], answer) for answer in answers)


@pytest.mark.parametrize("model", MODELS)
def test_a_turned_photo_is_answered_upright(model: str, tmp_path: Path) -> None:
    upright = Image.open(PICTURES[0])
    exif = Image.Exif()
    exif[274] = 6
    upright.rotate(90, expand=True).save(tmp_path / "turned.png", exif=exif)
    turned = segdemo.segment(tmp_path / "turned.png", model)
    assert np.array_equal(turned.labels, segdemo.segment(PICTURES[0], model).labels)


@pytest.mark.parametrize("model", MODELS)
@pytest.mark.parametrize("mode", ["L", "RGBA", "I;16", "P", "CMYK", "1"])
def test_every_kind_of_picture_is_answered(model: str, mode: str) -> None:
    image = Image.fromarray(scene(2))
    if mode == "I;16":
        image = Image.fromarray(np.asarray(image.convert("L")).astype(np.uint16) * 257)
    else:
        image = image.convert(mode)
    assert segdemo.segment(image, model).labels.shape == (48, 64)


def enlarged(
    spec: ModelSpec, logits: NDArray[np.float32], cell: int, size: tuple[int, int]
) -> Tensor:
    """Labels [H, W] of logits [C, h, w], as torch itself enlarges them."""
    sure = torch.from_numpy(only_sure(logits, spec.sure, cell))[None]
    large = F.interpolate(sure, size, mode="bilinear")[0]
    return (large[0] >= 0).int() if spec.binary else large.argmax(0)


@pytest.mark.parametrize("model", MODELS)
def test_labels_are_those_of_the_network_enlarged(model: str) -> None:
    """The banded enlargement is F.interpolate's. To enlarge at once changes next to nothing against
    first to what the network sees and then to the photo; speed flips at most 0.2 % of the pixels.
    """
    spec, network = MODELS[model], load_network(model)
    exact = Runner(spec, network, torch.device("cpu"), torch.float32)
    pixels = flipped = 0
    for path in PICTURES:
        photo = np.asarray(Image.open(path))
        with torch.inference_mode():
            x = preprocess(as_tensor(photo), spec)
            logits = network(x)[0].numpy()
            if spec.flips:
                logits = (logits + network(x.flip(-1)).flip(-1)[0].numpy()) / 2
        plain = enlarged(spec, logits, 1, photo.shape[:2])
        at_once = enlarged(spec, exact.logits(photo), network.cell, photo.shape[:2])
        found = exact(photo).labels
        assert (found != at_once.numpy()).mean() < 1e-4
        assert (found != plain.numpy()).mean() < 1e-3
        flipped += (segdemo.segment(path, model).labels != plain.numpy()).sum()
        pixels += plain.numel()
    assert flipped / pixels <= 0.002


@pytest.mark.parametrize("model", [spec.name for spec in MODELS.values() if spec.flips])
def test_what_flips_answers_a_mirror_image_with_the_mirrored_answer(model: str) -> None:
    runner = Runner(MODELS[model], load_network(model), torch.device("cpu"), torch.float32)
    photo = scene(0, 240, 320)
    mirrored = runner.logits(np.ascontiguousarray(photo[:, ::-1]))
    assert np.abs(mirrored[..., ::-1] - runner.logits(photo)).max() < 1e-3


@pytest.mark.parametrize("threshold", [50, -0.1, float("nan")])
def test_a_threshold_in_percent_is_refused(threshold: float) -> None:
    with pytest.raises(ValueError, match="from 0 to 1"):
        segdemo.segment(scene(0), threshold=threshold)


def test_a_higher_threshold_finds_less_and_is_sure_of_it() -> None:
    logits = torch.linspace(-4, 4, 100).view(1, 10, 10)
    result = Segmentation(logits, (10, 10), ("background", "chair"))
    strict = replace(result, threshold=0.9)
    assert result.labels.sum() == 50
    assert strict.labels.sum() < 50
    probability = logits.sigmoid()[0].numpy()
    assert result.confidence == pytest.approx(np.maximum(probability, 1 - probability), abs=1e-6)
    assert strict.confidence[strict.labels == 1].min() >= 0.9


def test_the_bands_of_a_large_answer_meet() -> None:
    torch.manual_seed(0)
    logits = 8 * torch.randn(21, 9, 12)  # each cell another class, and sure of it
    result = Segmentation(logits, (700, 900), tuple(map(str, range(21))))
    whole = F.interpolate(logits[None], (700, 900), mode="bilinear")[0].softmax(0)
    confidence, labels = whole.max(0)
    assert (result.labels == labels.numpy()).mean() > 0.9999
    off = np.abs(result.confidence - confidence.numpy())
    assert off.max() < 0.02 and off.mean() < 0.001


def test_a_picture_keeps_its_aspect_or_fills_whole_strides() -> None:
    pixels = as_tensor(np.zeros((480, 640, 3), np.uint8))
    for whole, seen in ((1, (75, 100)), (32, (64, 96))):
        spec = replace(MODELS["fcn"], input_size=100, whole=whole)
        assert preprocess(pixels, spec).shape == (1, 3, *seen)
        assert preprocess(pixels, spec, 80).shape == (1, 3, 60, 80)  # as training asks for crops


@pytest.mark.parametrize("size", [(60, 80), (61, 83), (64, 77)])  # seen at 8 pixels a score
def test_scores_that_reach_beyond_the_picture_are_not_squeezed_into_it(
    size: tuple[int, int],
) -> None:
    torch.manual_seed(0)
    scores = torch.randn(1, 1, 8, 11)
    whole = F.interpolate(scores, scale_factor=8, mode="bilinear")[0, 0]
    rows, columns = (-(-side // 8) for side in size)
    result = Segmentation(
        scores[0, :, :rows, :columns],
        size,
        ("background", "chair"),
        beyond=(-size[0] % 8 / 8, -size[1] % 8 / 8),
    )
    truth = whole[: size[0], : size[1]] >= 0
    inner = slice(0, -4)  # at the last edge there may be no score behind it
    assert np.array_equal(result.labels[inner, inner], truth.numpy()[inner, inner])


@pytest.mark.parametrize("model", MODELS)
def test_load_network_is_plain_and_trained(model: str) -> None:
    network = segdemo.load_network(model)
    assert not network.training
    assert {p.dtype for p in network.parameters()} == {torch.float32}
    assert {p.device.type for p in network.parameters()} == {"cpu"}
    again = segdemo.load_network(model)
    x = torch.randn(1, 3, 40, 56)
    with torch.inference_mode():
        assert torch.equal(network(x), again(x))
        folded = fold_batchnorm(again)
        assert not any(isinstance(m, torch.nn.BatchNorm2d) for m in folded.modules())
        assert torch.allclose(network(x), folded(x), atol=1e-3)


def test_a_network_is_loaded_once_and_answers_many_threads() -> None:
    spec = MODELS["fcn"]
    with ThreadPoolExecutor(4) as pool:
        runners = list(pool.map(lambda _: ready(spec), range(8)))
        photos = [scene(n) for n in range(4)] * 2
        answers = list(pool.map(lambda photo: segdemo.segment(photo, "fcn").labels, photos))
    assert all(runner is runners[0] for runner in runners)
    for photo, answer in zip(photos, answers, strict=True):
        assert np.array_equal(answer, segdemo.segment(photo, "fcn").labels)


def test_errors_are_the_promised_ones(tmp_path: Path) -> None:
    with pytest.raises(segdemo.UnknownModel):
        segdemo.segment(scene(0), "nothing")
    with pytest.raises(segdemo.UnknownModel):
        segdemo.load_network("nothing")
    with pytest.raises(segdemo.BadImage):
        segdemo.segment(tmp_path / "nothing.png")
    with pytest.raises(segdemo.BadImage):
        segdemo.segment(scene(0).astype(float))


def test_devices() -> None:
    assert pick_device("cpu").type == "cpu"
    assert fast_dtype(pick_device("cpu")) in (torch.float32, torch.bfloat16)
    with pytest.raises(DeviceError, match="no device"):
        pick_device("toaster")
