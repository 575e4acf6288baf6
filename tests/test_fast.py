"""What makes a network fast leaves its answers as they were."""

from copy import deepcopy

import pytest
import torch
import torch.nn.functional as F
from conftest import PICTURES, scene
from torch import nn

from segdemo import engine, fast
from segdemo.engine import Runner, load_network
from segdemo.fast import FUSES, made_fast, made_small, round_weights
from segdemo.images import load_image
from segdemo.registry import MODELS

CPU = torch.device("cpu")
ROUNDS = pytest.mark.skipif(
    FUSES and not torch.ops.mkldnn._is_mkldnn_bf16_supported(),
    reason="this processor has no bfloat16",
)


def every_kind() -> nn.Sequential:
    """Convolutions of all the kinds that networks have, with BatchNorm that does something."""
    torch.manual_seed(0)
    network = nn.Sequential(
        nn.Conv2d(3, 8, 3, stride=2, padding=1, bias=False),
        nn.BatchNorm2d(8),
        nn.ReLU6(inplace=True),
        nn.Conv2d(8, 8, 3, padding=2, dilation=2, groups=8),
        nn.ReLU(inplace=True),
        nn.ConvTranspose2d(8, 6, 2, stride=2),
        nn.Sequential(nn.Conv2d(6, 5, 1), nn.Conv2d(5, 4, (1, 3))),
        nn.Conv2d(4, 4, 3, padding="same", padding_mode="reflect"),
        nn.Sigmoid(),
    )
    norm = network.get_submodule("1")
    nn.init.uniform_(norm.weight, 0.5, 2)  # type: ignore[arg-type]
    nn.init.normal_(norm.running_mean)  # type: ignore[arg-type]
    return network.eval()


@pytest.mark.parametrize("fuses", [True, False])
@pytest.mark.parametrize("dtype", [torch.float32, pytest.param(torch.bfloat16, marks=ROUNDS)])
def test_the_same_function(
    fuses: bool, dtype: torch.dtype, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(fast, "FUSES", fuses and FUSES)
    network = every_kind()
    quick = made_fast(made_small(network, dtype, (), torch.randn(1, 3, 24, 32)), CPU)
    with torch.inference_mode():
        for height, width in ((24, 32), (32, 24), (9, 11)):  # laid out for the first of them
            x = torch.randn(2, 3, height, width)
            bound = 1e-5 if dtype == torch.float32 else 0.03
            assert torch.allclose(network(x), quick(x).float(), atol=bound)
    assert isinstance(network[1], nn.BatchNorm2d)  # what was given is left as it was


@ROUNDS
def test_parts_stay_exact() -> None:
    network = every_kind()
    small = made_small(network, torch.bfloat16, ("0", "6.", "7"), torch.randn(1, 3, 24, 32))
    quick = made_fast(small, CPU)
    assert quick.get_submodule("0").weight.dtype == torch.float32
    assert quick.get_submodule("3").weight.dtype == torch.bfloat16
    with torch.inference_mode():
        assert quick(torch.randn(1, 3, 24, 32)).dtype == torch.float32


@ROUNDS
def test_a_network_of_your_own_may_have_other_layers() -> None:
    torch.manual_seed(0)
    network = nn.Sequential(
        nn.Conv2d(3, 8, 3, padding=1),
        nn.GroupNorm(2, 8),
        nn.PReLU(8),
        nn.Conv2d(8, 8, 1),
        nn.GroupNorm(2, 8, affine=False),
        nn.AdaptiveAvgPool2d(1),
        nn.Flatten(2),
        nn.Conv1d(8, 8, 1),
        nn.Flatten(),
        nn.LayerNorm(8),
        nn.Linear(8, 8),
    ).eval()
    x = torch.randn(1, 3, 24, 32)
    with torch.inference_mode():
        quick = made_fast(made_small(network, torch.bfloat16, (), x), CPU)
        torch.testing.assert_close(quick(x).float(), network(x), rtol=0.02, atol=0.02)


@pytest.mark.parametrize("model", MODELS)
def test_half_precision_changes_next_to_nothing(
    model: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What a GPU computes in, weights, biases and all between them; here on the CPU, slowly."""
    monkeypatch.setattr(fast, "FUSES", False)
    spec, network = MODELS[model], load_network(model)
    half, exact = (Runner(spec, network, CPU, dtype) for dtype in (torch.float16, torch.float32))
    assert all(weight.dtype == torch.float16 for weight in half.network.parameters())
    photo = load_image(PICTURES["car-street" if model == "car-unet-vgg16" else "chair-dining"])
    found = exact(photo).labels
    assert found.any()
    assert (half(photo).labels != found).mean() <= 0.002


def test_rounding_is_made_up_for() -> None:
    """The mean of each channel is as it was, though its weights are not."""
    torch.manual_seed(0)
    x = torch.rand(1, 16, 32, 32)
    convolution = nn.Conv2d(16, 32, 3)
    rounded = deepcopy(convolution)
    round_weights(nn.Sequential(rounded), torch.bfloat16, (), x)
    weight, bias = rounded.weight.float(), convolution.bias

    def off(bias: torch.Tensor | None) -> float:
        with torch.inference_mode():
            change = F.conv2d(x, weight, bias) - convolution(x)
            return float(change.mean(dim=(0, 2, 3)).abs().max())

    assert off(rounded.bias) < off(bias) / 3


@pytest.mark.parametrize("model", MODELS)
def test_without_its_own_kernels_it_answers_alike(
    model: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    spec, network = MODELS[model], load_network(model)
    quick = Runner(spec, network, CPU, engine.serving_dtype(spec, CPU))(scene(1)).labels
    for module in (engine, fast):
        monkeypatch.setattr(module, "FUSES", False)
    plain = Runner(spec, network, CPU, engine.serving_dtype(spec, CPU))
    assert (plain(scene(1)).labels != quick).mean() < 0.005
