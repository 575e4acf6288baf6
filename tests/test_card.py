"""The cards: a person's words, and the figures and pictures that the project puts there."""

import json
import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from conftest import EXAMPLES
from huggingface_hub import ModelCard
from PIL import Image

from segdemo.__main__ import main
from segdemo.card import BEGIN, END, filled, read_card, write_card
from segdemo.card_pictures import curve_picture
from segdemo.data import open_folder
from segdemo.registry import MODELS
from segdemo.weights import FOLDER, read_facts

FCN = MODELS["fcn"]


@pytest.mark.parametrize("name", MODELS)
def test_the_card_says_what_the_facts_say(name: str) -> None:
    spec = MODELS[name]
    assert filled(read_card(spec), spec, read_facts(spec)) == read_card(spec)
    for picture in re.findall(r"!\[.+?\]\((.+?)\)", read_card(spec)):
        assert Image.open(FOLDER / picture).width > 600


def test_a_card_is_begun_and_what_is_written_into_it_stays(own_weights: Path) -> None:
    assert main(["card", "fcn"]) == 0
    card = own_weights / "fcn.md"
    iou = read_facts(FCN)["figures"]["voc/test"]["iou"]
    assert f"| voc test | 150 | {iou:.3f} |" in card.read_text()
    assert "| sheep | 0." in card.read_text()
    named = {result.dataset_name: result for result in ModelCard.load(card).data.eval_results}
    assert named["voc"].metric_value == iou

    card.write_text(card.read_text().replace("## Figures", "Finds my cat.\n\n## Figures"))
    facts = read_facts(FCN)
    facts["figures"]["voc/test"]["iou"] = 0.9876
    (own_weights / "fcn.json").write_text(json.dumps(facts))
    assert main(["card", "fcn"]) == 0
    assert "Finds my cat." in card.read_text()
    assert "| voc test | 150 | 0.988 |" in card.read_text()
    assert f"| voc test | 150 | {iou:.3f} |" not in card.read_text()


def test_weights_that_were_never_scored_have_a_card_too(own_weights: Path) -> None:
    facts = {key: value for key, value in read_facts(FCN).items() if key != "figures"}
    (own_weights / "fcn.json").write_text(json.dumps(facts))
    assert main(["card", "fcn"]) == 0
    assert "fcn.examples.webp" in (own_weights / "fcn.md").read_text()
    assert (own_weights / "fcn.examples.webp").is_file()


def test_the_examples_are_painted_with_hits_and_misses(own_weights: Path) -> None:
    assert main(["card", "fcn"]) == 0
    with Image.open(own_weights / "fcn.examples.webp") as sheet:
        car = np.asarray(sheet.convert("RGB").crop((0, 0, 320, 240))).astype(int)
    truth = open_folder(EXAMPLES, "test", FCN).labels(0)
    blue = car[..., 2] > car[..., 0] + 60
    true = np.asarray(Image.fromarray(truth).resize((320, 240), Image.Resampling.NEAREST)) > 0
    assert (blue & true).sum() > 0.5 * true.sum()  # most of a large car is found
    assert (blue & ~true).sum() < 0.05 * true.sum()


def test_a_curve_is_drawn_once_there_are_two_points(own_weights: Path) -> None:
    facts = read_facts(FCN)
    for points, pictures in ((1, 0), (2, 1)):
        facts["curve"] = [{"step": n, "loss": 1 / n, "val": None} for n in range(1, points + 1)]
        (own_weights / "fcn.json").write_text(json.dumps(facts))
        assert main(["card", "fcn"]) == 0
        assert (own_weights / "fcn.md").read_text().count("fcn.curve.webp") == pictures
        assert len(list(own_weights.glob("*.curve.webp"))) == pictures


def test_the_curve_falls_where_the_loss_does() -> None:
    curve = [{"step": step, "loss": 1 - step / 200, "val": None} for step in (50, 100)]
    drawn = np.asarray(curve_picture(curve))
    height, across = (drawn == (213, 94, 0)).all(axis=-1).nonzero()
    assert height[across.argmin()] < height[across.argmax()] - 40
    both = curve_picture([point | {"val": 0.5} for point in curve])
    assert both.width == 2 * drawn.shape[1]


def test_a_lost_mark_loses_no_words(own_weights: Path) -> None:
    assert main(["card", "fcn"]) == 0
    card = own_weights / "fcn.md"
    card.write_text(card.read_text().replace(END, "My own words."))
    for _ in range(2):
        assert main(["card", "fcn"]) == 0
        assert card.read_text().count("My own words.") == 1
        assert card.read_text().count(END) == 1


def test_figures_of_other_weights_leave_the_front_matter(own_weights: Path) -> None:
    facts = json.loads((own_weights / "fcn.json").read_text())
    mine = {"mine/test": facts["figures"]["voc/test"]}
    (own_weights / "fcn.json").write_text(json.dumps(facts | {"figures": mine}))
    assert main(["card", "fcn"]) == 0
    results = ModelCard.load(own_weights / "fcn.md").data.eval_results
    assert [result.dataset_name for result in results] == ["mine"]


@pytest.mark.parametrize("spoiled", [b"---\n: [\n---\n", b"---\n- 1\n---\n", b"\xff\xfe"])
def test_a_card_that_cannot_be_read_is_left_as_it_is(
    own_weights: Path, spoiled: bytes, capsys
) -> None:
    (own_weights / "fcn.md").write_bytes(spoiled)
    assert main(["card", "fcn"]) == 2
    assert len(capsys.readouterr().err.splitlines()) == 1
    assert (own_weights / "fcn.md").read_bytes() == spoiled


def test_a_model_of_other_things_than_the_examples_has_a_card(own_weights: Path) -> None:
    cups = replace(FCN, classes=tuple(name + "s" for name in FCN.classes))
    assert "examples.webp" not in write_card(cups).read_text().partition(BEGIN)[2]
