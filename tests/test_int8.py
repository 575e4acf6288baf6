"""Convolutions of 8-bit integers answer as those of floats do, but for small steps."""

import pytest
import torch
from torch import nn

from segdemo.fast import made_fast
from segdemo.int8 import MULTIPLIES, Int8Conv, fits, rounded, to_int8

pytestmark = pytest.mark.skipif(
    not MULTIPLIES, reason="this processor, or this PyTorch, has no fast 8-bit integers"
)


def double() -> nn.Sequential:
    torch.manual_seed(0)
    return nn.Sequential(
        nn.Conv2d(5, 16, 3, padding=1), nn.ReLU(), nn.Conv2d(16, 8, 3, padding=1, stride=2)
    ).eval()


def off(network: nn.Module, other: nn.Module, x: torch.Tensor) -> float:
    """The largest difference, in deviations of the answer."""
    with torch.inference_mode():
        answer = network(x)
        return float((other(x).float() - answer).abs().max() / answer.std())


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("size", [(24, 32), (9, 11), (1, 1)])
def test_the_answer_is_nearly_the_same(dtype: torch.dtype, size: tuple[int, int]) -> None:
    network, example = double(), torch.randn(1, 5, 24, 32)
    quick = made_fast(network, torch.device("cpu"), dtype, (), ("",), example)
    assert [type(module) for module in quick] == [Int8Conv, Int8Conv]
    assert off(network, quick, torch.randn(2, 5, *size).clamp(-3, 3)) < 0.1
    if dtype == torch.float32:  # it does round
        assert off(network, quick, example) > 1e-4


def test_between_two_of_them_numbers_stay_integers() -> None:
    quick = made_fast(
        double(), torch.device("cpu"), torch.float32, (), ("",), torch.rand(1, 5, 8, 8)
    )
    with torch.inference_mode():
        between = quick.get_submodule("0")(torch.rand(1, 5, 8, 8))
    assert between.dtype == torch.uint8


def test_only_the_parts_that_are_named_change() -> None:
    quick = made_fast(
        double(), torch.device("cpu"), torch.float32, (), ("2",), torch.rand(1, 5, 8, 8)
    )
    kinds = [type(module) for module in quick]
    assert kinds.count(Int8Conv) == 1 and kinds[-1] is Int8Conv


def test_more_contrast_than_in_the_example_is_not_clipped() -> None:
    network, example = double(), torch.rand(1, 5, 24, 32)
    quick = made_fast(network, torch.device("cpu"), torch.float32, (), ("",), example)
    assert off(network, quick, 1.4 * example) < 0.1
    assert off(network, quick, 3 * example) > 0.1


def test_weights_go_to_their_nearest_step() -> None:
    weight = torch.randn(4, 3, 3, 3)
    weight[1] = 0
    steps = weight.abs().amax(dim=(1, 2, 3)) / 127
    change = (rounded(weight) - weight).abs().amax(dim=(1, 2, 3))
    assert (change <= steps * 0.501).all() and change[0] > 0
    assert not rounded(weight)[1].any()


def test_what_it_cannot_do_is_left_alone() -> None:
    kinds = [
        nn.Conv2d(4, 4, 3, groups=4),
        nn.Conv2d(4, 4, 3, padding="same"),
        nn.Conv2d(4, 4, 3, padding=1, padding_mode="reflect"),
        nn.ConvTranspose2d(4, 4, 2),
    ]
    assert not any(fits(kind) for kind in kinds)
    network = nn.Sequential(nn.Conv2d(4, 4, 3), nn.Sigmoid())
    to_int8(network, {}, torch.float32)
    assert type(network[0]) is nn.Conv2d
