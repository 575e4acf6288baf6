"""Which regions stay: those that the network is somewhere sure of."""

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from segdemo.engine import ready
from segdemo.regions import find_regions
from segdemo.registry import MODELS
from segdemo.sure import only_sure, reconstruct

SURE = 0.98  # a logit of 3.9


def two_spots(first: float, second: float) -> NDArray[np.float32]:
    """Two things with the same outline, of which the network is differently sure."""
    logits = np.full((1, 64, 96), -6, np.float32)
    for left, peak in ((8, first), (60, second)):
        logits[0, 20:40, left : left + 24] = 1
        logits[0, 28, left + 9] = peak
    return logits


def test_a_region_stays_whole_or_goes_whole() -> None:
    logits = two_spots(5, 3)
    kept = only_sure(logits, SURE)
    assert np.array_equal(kept[..., :48], logits[..., :48])
    assert (kept[..., 48:] < 0).all()


def test_what_is_surer_comes_back_at_a_higher_threshold() -> None:
    doubtful, unlikely = only_sure(two_spots(3, 2), SURE)[0, 28, [10, 62]]
    assert unlikely < doubtful < 0
    # All of it at once: no hole and no rim.
    lowered = only_sure(two_spots(3, 2), SURE)[0]
    assert (lowered[20:40, 8:32] == doubtful).all()


def test_of_many_classes_what_is_not_sure_becomes_background() -> None:
    logits = np.zeros((4, 64, 96), np.float32)
    logits[0] = 3
    for label, left, peak in ((1, 4, 9), (2, 36, 5.5), (3, 68, 9)):
        logits[label, 20:40, left : left + 24] = 5  # a probability of 0.87
        logits[label, 24:32, left + 4 : left + 12] = peak
    labels = only_sure(logits, SURE).argmax(0)
    truth = logits.argmax(0)
    assert np.array_equal(labels, np.where(truth == 2, 0, truth))


@pytest.mark.parametrize("pixels", [4, 8])
def test_of_many_classes_no_thing_is_overlooked_however_small(pixels: int) -> None:
    logits = np.zeros((3, 40, 60), np.float32)
    logits[0] = 3
    logits[1, 9:11, 9:11], logits[2, 29:31, 41:43] = 9, 4  # probabilities of 0.997 and 0.7
    labels = only_sure(logits, SURE, pixels).argmax(0)
    assert (labels[9:11, 9:11] == 1).all() and not (labels == 2).any()


def test_an_unsure_class_goes_without_what_is_beside_it() -> None:
    logits = np.zeros((3, 64, 96), np.float32)
    logits[0] = 3
    logits[1, 10:50, 8:40] = 9
    logits[2, 10:50, 40:72] = 5
    labels = only_sure(logits, SURE).argmax(0)
    assert (labels[10:50, 8:40] == 1).all() and (labels[:, 44:] == 0).all()


@pytest.mark.parametrize("classes", [1, 3])
def test_a_broken_network_finds_nothing(classes: int) -> None:
    logits = np.full((classes, 20, 20), np.nan, np.float32)
    found = only_sure(logits, SURE)
    assert np.isfinite(found).all() and (found <= 0).all() and not found.argmax(0).any()


def test_a_bridge_makes_two_regions_one() -> None:
    logits = two_spots(5, 3)
    logits[0, 30, 32:60] = 0.5
    assert np.array_equal(only_sure(logits, SURE), logits)


def test_a_higher_threshold_finds_a_part_of_what_a_lower_one_finds() -> None:
    logits = 3 * np.random.default_rng(0).standard_normal((1, 9, 12)).repeat(6, 1).repeat(6, 2)
    kept = only_sure(logits.astype(np.float32), SURE)
    assert (kept <= logits.astype(np.float32)).all()
    assert 0 < (kept >= 0).sum() < (logits >= 0).sum()


def test_the_reconstruction_is_its_definition_at_every_level() -> None:
    random = np.random.default_rng(1)
    mask = random.integers(0, 6, (14, 11)).astype(np.float32)
    marker = np.where(random.random(mask.shape) < 0.1, mask, 0)
    marker = marker.astype(np.float32)
    reached = reconstruct(torch.from_numpy(marker), torch.from_numpy(mask)).numpy()
    for level in range(1, 6):
        expected = np.zeros(mask.shape, bool)
        for region in find_regions((mask >= level).astype(np.uint8)):
            x, y, width, height = region.box
            place, crop = (slice(y, y + height), slice(x, x + width)), region.crop()
            if (marker[place][crop] >= level).any():
                expected[place] |= crop
        assert np.array_equal(reached >= level, expected)


@pytest.mark.parametrize("size", [(1, 1), (3, 50), (41, 7)])
def test_any_size_will_do(size: tuple[int, int]) -> None:
    sure, unsure = np.full((1, *size), 5, np.float32), np.full((1, *size), 3, np.float32)
    assert np.array_equal(only_sure(sure, SURE), sure)
    assert (only_sure(unsure, SURE) < 0).all()
    assert np.array_equal(only_sure(unsure, 0.5), unsure)  # what every region reaches


def test_a_model_answers_so(monkeypatch: pytest.MonkeyPatch) -> None:
    runner = ready(MODELS["chair-unet"])
    photo = np.zeros((48, 96, 3), np.uint8)
    enough = np.log(runner.spec.sure / (1 - runner.spec.sure))
    for peak, found in ((enough + 0.1, True), (enough - 0.1, False)):
        monkeypatch.setattr(runner, "logits", lambda _, peak=peak: two_spots(peak, -6))
        assert runner(photo).labels[16:29, 8:32].all() == found
        assert runner(photo, threshold=0.1).labels[16:29, 8:32].all()
