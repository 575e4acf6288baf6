"""The weights: those that their facts describe, and as good as the facts say."""

import json
from pathlib import Path

import pytest
import torch
from conftest import EXAMPLES
from safetensors.torch import load_file

from segdemo import weights
from segdemo.engine import load_network
from segdemo.evaluate import score
from segdemo.hub import sha256_of
from segdemo.registry import MODELS
from segdemo.weights import FOLDER, WeightsError, find_weights, read_facts

SHARED = Path(__file__).parents[2] / "shared" / "data"


@pytest.mark.parametrize("name", MODELS)
def test_shipped_weights_match_their_facts(name: str) -> None:
    spec = MODELS[name]
    facts, path = read_facts(spec), find_weights(spec)
    assert sha256_of(path) == facts["sha256"]
    assert path.stat().st_size == facts["bytes"] <= 60_000_000
    assert tuple(facts["classes"]) == spec.classes
    assert facts["input"] == {
        "size": spec.input_size,
        "mean": list(spec.mean),
        "std": list(spec.std),
    }
    assert all(w.dtype in (torch.float16, torch.int64) for w in load_file(path).values())
    assert sum(p.numel() for p in load_network(name).parameters()) == facts["parameters"]


@pytest.mark.parametrize("name", MODELS)
def test_every_model_has_a_card(name: str) -> None:
    card = (FOLDER / f"{name}.md").read_text("utf-8")
    facts = read_facts(MODELS[name])
    assert card.startswith("---\n")
    for folder, figures in facts["figures"].items():
        if folder.endswith("/test"):
            assert folder.removesuffix("/test") in card
            assert f"{figures['iou']:.3f}" in card, folder


@pytest.mark.parametrize("name", MODELS)
def test_weights_reach_their_figure_on_pictures_of_our_own(name: str) -> None:
    spec = MODELS[name]
    recorded = read_facts(spec)["figures"].get("examples/test")
    if recorded is None:
        pytest.skip("our pictures show nothing that this model looks for")
    measured = score(spec, load_network(name), [EXAMPLES], "test")["examples/test"]
    assert measured["iou"] == pytest.approx(recorded["iou"], abs=0.002)
    assert recorded["photos"] == measured["photos"] > 0


@pytest.mark.parametrize(
    ("name", "folder"),
    [
        ("chair-unet", "furniture"),
        ("car-unet-vgg16", "visea"),
        ("car-unet-vgg16", "camvid"),
        ("fcn", "voc"),
    ],
)
def test_weights_reach_their_figure_on_real_photos(name: str, folder: str) -> None:
    if not (SHARED / folder).is_dir():
        pytest.skip("the data sets of photos are not on this machine")
    spec = MODELS[name]
    recorded = read_facts(spec)["figures"][f"{folder}/test"]
    measured = score(spec, load_network(name), [SHARED / folder], "test")[f"{folder}/test"]
    assert measured["iou"] == pytest.approx(recorded["iou"], abs=0.0005)


def test_weights_that_nobody_may_read_are_reported(
    own_weights: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(_: Path) -> str:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(weights, "sha256_of", refuse)
    with pytest.raises(WeightsError, match=r"fcn\.safetensors cannot be read"):
        load_network("fcn")


def test_a_cache_that_nobody_may_read_is_reported(
    own_weights: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object) -> Path:
        raise PermissionError(13, "Permission denied", "blobs/1")

    monkeypatch.setenv("SEGDEMO_HUB_NAMESPACE", "someone")
    monkeypatch.setattr(weights, "cached", refuse)
    (own_weights / "fcn.safetensors").unlink()
    with pytest.raises(WeightsError, match="blobs/1 cannot be read"):
        find_weights(MODELS["fcn"])


def test_weights_of_ones_own_are_used(own_weights: Path) -> None:
    assert find_weights(MODELS["fcn"]) == own_weights / "fcn.safetensors"


def cut(folder: Path) -> None:
    path = folder / "fcn.safetensors"
    path.write_bytes(path.read_bytes()[:-100])


def other_network(folder: Path) -> None:
    facts = json.loads((folder / "fcn.json").read_text())
    facts["architecture"] = {"sideways": 1}
    (folder / "fcn.json").write_text(json.dumps(facts))


@pytest.mark.parametrize(
    ("spoil", "says"),
    [
        (lambda folder: (folder / "fcn.json").unlink(), "There are no weights for fcn"),
        (lambda folder: (folder / "fcn.json").write_text("{"), "cannot be read"),
        (lambda folder: (folder / "fcn.json").write_text("[1]"), "cannot be read"),
        (lambda folder: (folder / "fcn.json").write_text('{"hub": "me"}'), "cannot be read"),
        (lambda folder: (folder / "fcn.json").write_text('{"hub": {"repo": 3}}'), "cannot be read"),
        (lambda folder: (folder / "fcn.json").write_text("[" * 100_000), "cannot be read"),
        (lambda folder: (folder / "fcn.safetensors").unlink(), "are missing"),
        (cut, "not those that their facts describe"),
        (other_network, "do not fit the network of fcn"),
    ],
)
def test_wrong_weights_are_reported_in_a_sentence(own_weights: Path, spoil, says: str) -> None:
    spoil(own_weights)
    with pytest.raises(WeightsError, match=says) as caught:
        load_network("fcn")
    assert "\n" not in str(caught.value)
