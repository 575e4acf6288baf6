"""Training on a CPU: quicker, and the same."""

import subprocess
import sys
from copy import deepcopy

import pytest
import torch

from segdemo.cpu_training import skip_afterwards
from segdemo.engine import load_network

FAULTS = """
import resource, sys, torch
from segdemo.cpu_training import keep_memory
if "keep" in sys.argv:
    keep_memory()
for turn in range(24):
    if turn == 16:  # it takes some until every gap is as large as it must be
        before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    torch.ones(10_000_000)
print(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)
"""


@pytest.mark.parametrize("model", ["chair-unet", "fcn"])
@pytest.mark.parametrize("size", [(64, 96), (96, 160)])
def test_a_stride_that_comes_afterwards_changes_no_score_and_no_gradient(
    model: str, size: tuple[int, int]
) -> None:
    network = load_network(model)
    other = deepcopy(network)
    skip_afterwards(other)
    x = torch.randn(2, 3, *size, generator=torch.Generator().manual_seed(0))
    scores = network.scores(x), other.scores(x)
    torch.testing.assert_close(*scores, rtol=0, atol=1e-4)
    for found in scores:
        found.square().mean().backward()
    for (name, one), two in zip(network.named_parameters(), other.parameters(), strict=True):
        # In another order of the same sums, beside the corners of ReLU6.
        assert (one.grad - two.grad).norm() < 0.01 * one.grad.norm(), name
    assert network.state_dict().keys() == other.state_dict().keys()


@pytest.mark.skipif(sys.platform != "linux", reason="only there it is asked for")
def test_memory_that_was_used_once_is_not_asked_for_again() -> None:
    def faults(*how: str) -> int:
        command = [sys.executable, "-c", FAULTS, *how]
        return int(subprocess.run(command, check=True, capture_output=True, text=True).stdout)

    assert faults("keep") < faults() / 10
