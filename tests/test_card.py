"""The cards: a person's words, and the figures and pictures that the project puts there."""

import json
import re
import shutil
from pathlib import Path

import pytest
from huggingface_hub import ModelCard
from PIL import Image

from segdemo.__main__ import main
from segdemo.card import filled, read_card
from segdemo.card_pictures import curve_picture
from segdemo.registry import MODELS
from segdemo.weights import FOLDER, read_facts

FCN = MODELS["fcn"]


@pytest.mark.parametrize("name", MODELS)
def test_the_card_says_what_the_facts_say(name: str) -> None:
    spec = MODELS[name]
    assert filled(read_card(spec), spec, read_facts(spec)) == read_card(spec)
    for picture in re.findall(r"!\[.+?\]\((.+?)\)", read_card(spec)):
        assert Image.open(FOLDER / picture).width > 600


@pytest.fixture
def own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Weights of one's own, without a card."""
    for ending in ("safetensors", "json"):
        shutil.copy(FOLDER / f"fcn.{ending}", tmp_path)
    monkeypatch.setenv("SEGDEMO_WEIGHTS", str(tmp_path))
    return tmp_path


def test_a_card_is_begun_and_what_is_written_into_it_stays(own: Path) -> None:
    assert main(["card", "fcn"]) == 0
    card = own / "fcn.md"
    iou = read_facts(FCN)["figures"]["voc/test"]["iou"]
    assert f"| voc test | 150 | {iou:.3f} |" in card.read_text()
    assert "| sheep | 0." in card.read_text()
    named = {result.dataset_name: result for result in ModelCard.load(card).data.eval_results}
    assert named["voc"].metric_value == iou

    card.write_text(card.read_text().replace("## Figures", "Finds my cat.\n\n## Figures"))
    facts = read_facts(FCN)
    facts["figures"]["voc/test"]["iou"] = 0.9876
    (own / "fcn.json").write_text(json.dumps(facts))
    assert main(["card", "fcn"]) == 0
    assert "Finds my cat." in card.read_text()
    assert "| voc test | 150 | 0.988 |" in card.read_text()
    assert f"{iou:.3f}" not in card.read_text()


def test_weights_that_were_never_scored_have_a_card_too(own: Path) -> None:
    facts = {key: value for key, value in read_facts(FCN).items() if key != "figures"}
    (own / "fcn.json").write_text(json.dumps(facts))
    assert main(["card", "fcn"]) == 0
    assert "fcn.examples.webp" in (own / "fcn.md").read_text()
    assert (own / "fcn.examples.webp").is_file()


def test_the_examples_are_painted_with_hits_and_misses(own: Path) -> None:
    assert main(["card", "fcn"]) == 0
    with Image.open(own / "fcn.examples.webp") as sheet:
        pixels = sheet.convert("RGB")
    red, green, blue = pixels.resize((960, 480)).split()
    hits = sum(b > r + 60 for r, b in zip(red.getdata(), blue.getdata(), strict=True))
    alarms = sum(r > b + 60 for r, b in zip(red.getdata(), blue.getdata(), strict=True))
    assert hits > 5000 and alarms > 500 and green.size == (960, 480)


def test_the_curve_falls_where_the_loss_does() -> None:
    curve = [{"step": step, "loss": 1 - step / 200, "val": None} for step in (50, 100)]
    drawn = curve_picture(curve).convert("RGB")
    assert drawn.width < curve_picture([point | {"val": 0.5} for point in curve]).width
    line = [
        (x, y)
        for x in range(drawn.width)
        for y in range(drawn.height)
        if drawn.getpixel((x, y)) == (213, 94, 0)
    ]
    assert min(line)[1] < max(line)[1] - 40
