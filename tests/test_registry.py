"""The list of models."""

import pytest
import torch

import segdemo
from segdemo.registry import MODELS, find_model


def test_the_three_models_are_there() -> None:
    assert {"chair-unet", "car-unet-vgg16", "fcn"} <= set(segdemo.MODELS)


@pytest.mark.parametrize("name", MODELS)
def test_a_spec_builds_what_it_says(name: str) -> None:
    spec = MODELS[name]
    assert spec.name == name
    assert spec.classes[0] == "background"
    assert "\n" not in spec.finds and spec.finds.endswith(".")
    network = spec.build(classes=spec.logits).eval()
    with torch.inference_mode():
        assert network(torch.zeros(1, 3, 32, 32)).shape[1] == spec.logits
    assert spec.logits == (1 if len(spec.classes) == 2 else len(spec.classes))


def test_models_cannot_be_changed_by_accident() -> None:
    with pytest.raises(TypeError):
        MODELS["mine"] = MODELS["fcn"]  # type: ignore[index]


@pytest.mark.parametrize("name", ["", "unet", "../weights/fcn", None, ["fcn"]])
def test_an_unknown_model_is_one_sentence_that_names_those_there_are(name: str) -> None:
    with pytest.raises(segdemo.UnknownModel) as caught:
        find_model(name)
    assert str(caught.value) == f"There is no model of that name; there are {', '.join(MODELS)}."
