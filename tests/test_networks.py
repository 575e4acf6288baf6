"""The networks: any size in, the same size out, and the conversion of the FCN paper."""

from collections.abc import Callable

import pytest
import torch
from torch import nn
from torchvision.models import alexnet, vgg16

from segdemo.networks.efficientnet_lite import EfficientNetLite2
from segdemo.networks.fcn import FCN, fully_convolutional
from segdemo.networks.padding import on_padded
from segdemo.networks.unet import UNet
from segdemo.networks.unet_efficientnet import UNetEfficientNet
from segdemo.networks.unet_vgg16 import UNetVGG16
from segdemo.registry import chair_unet

SMALL = {
    "unet": lambda classes: UNet(classes, base=4),
    "unet-transpose": lambda classes: UNet(classes, base=4, levels=5, up="transpose"),
    "unet-efficientnet": UNetEfficientNet,
    "unet-vgg16": lambda classes: UNetVGG16(classes, encoder="vgg16"),
    "unet-vgg16-bn": lambda classes: UNetVGG16(classes),
    "fcn": FCN,
}


@pytest.mark.parametrize("name", SMALL)
@pytest.mark.parametrize(("classes", "size"), [(1, (1, 1)), (21, (37, 101)), (3, (64, 32))])
def test_any_size_gives_logits_of_that_size(name: str, classes: int, size: tuple[int, int]) -> None:
    network = SMALL[name](classes).eval()
    with torch.inference_mode():
        logits = network(torch.randn(2, 3, *size))
    assert logits.shape == (2, classes, *size)
    assert logits.isfinite().all()


@pytest.mark.parametrize("name", SMALL)
def test_every_parameter_learns(name: str) -> None:
    network = SMALL[name](2).train()
    network(torch.randn(2, 3, 64, 64)).square().mean().backward()
    for path, parameter in network.named_parameters():
        assert parameter.grad is not None, path
        assert parameter.grad.isfinite().all() and parameter.grad.any(), path


def test_padding_repeats_the_edge_and_is_cropped_off() -> None:
    x = torch.arange(6.0).view(1, 1, 2, 3)
    seen = []
    result = on_padded(lambda padded: seen.append(padded) or padded * 2, x, 4, 1)
    assert seen[0].shape == (1, 1, 4, 4)
    assert seen[0][0, 0, 3].tolist() == [3, 4, 5, 5]
    assert torch.equal(result, x * 2)


def test_a_unet_keeps_detail_through_its_skips() -> None:
    """A pixel's own neighbourhood reaches it by a skip even where the bottom is cut off."""
    network = UNet(1, base=4).eval()
    x = torch.randn(1, 3, 32, 32)
    with torch.inference_mode():
        before = network(x)
        for parameter in network.down[-1].parameters():
            parameter.zero_()
        x[..., 20:, 20:] += 1
        after = network(x)
    assert (before - after)[..., 20:, 20:].abs().max() > 1e-4


@pytest.mark.parametrize(
    ("network", "arguments"),
    [
        (UNet, {"up": "sideways"}),
        (UNet, {"base": 0}),
        (UNetVGG16, {"encoder": "vgg99"}),
        (UNetVGG16, {"width": 0}),
        (chair_unet, {"encoder": "vgg99"}),
        (chair_unet, {"base": 4}),
    ],
)
def test_wrong_arguments_are_named(
    network: Callable[..., nn.Module], arguments: dict[str, object]
) -> None:
    with pytest.raises(ValueError, match="|".join(arguments)):
        network(**arguments)


def test_the_vgg16_encoder_has_torchvisions_names_and_answers() -> None:
    classifier = vgg16(weights=None)
    network = UNetVGG16(encoder="vgg16")
    network.features.load_state_dict(classifier.features.state_dict())
    x = torch.randn(1, 3, 32, 32)
    with torch.inference_mode():
        assert torch.equal(network.features.eval()(x), classifier.features.eval()(x))


@pytest.mark.parametrize("make", [alexnet, vgg16, EfficientNetLite2])
def test_a_converted_classifier_gives_its_own_logits(make: Callable[[], nn.Module]) -> None:
    torch.manual_seed(1)
    classifier = make().eval()
    converted = fully_convolutional(classifier).eval()
    assert not any(isinstance(m, nn.Linear) for m in converted.modules())
    x = torch.randn(2, 3, 224, 224)
    with torch.inference_mode():
        expected, logits = classifier(x), converted(x)
        assert logits.shape == (2, 1000, 1, 1)
        # Relative: fresh networks answer with tiny numbers.
        assert (logits[..., 0, 0] - expected).abs().max() < 1e-4 * expected.abs().max() + 1e-12
        larger = converted(torch.randn(1, 3, 288, 352))
    assert larger.shape[:2] == (1, 1000)
    assert min(larger.shape[2:]) > 1
    assert larger.std(dim=(2, 3)).max() > 0


def test_a_converted_classifier_slides_over_a_larger_image() -> None:
    """A place of the map is what the classifier says of the crop there (no padding inside)."""
    torch.manual_seed(2)
    features = nn.Sequential(nn.Conv2d(3, 4, 8, stride=8), nn.ReLU())
    classifier = alexnet(weights=None, num_classes=5)
    classifier.features = features
    classifier.classifier = nn.Sequential(nn.Linear(4 * 28 * 28, 6), nn.ReLU(), nn.Linear(6, 5))
    converted = fully_convolutional(classifier)
    x = torch.randn(1, 3, 224, 240)
    with torch.inference_mode():
        logits = converted(x)
        assert logits.shape == (1, 5, 1, 3)
        for place in range(3):
            crop = x[..., 8 * place : 8 * place + 224]
            expected = classifier.classifier(features(crop).flatten(1))
            assert torch.allclose(logits[..., 0, place], expected, atol=1e-5)
