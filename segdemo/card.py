"""The card of a model: its words are a person's, its figures and pictures come out of the facts."""

import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from huggingface_hub import EvalResult, ModelCard, ModelCardData

from .card_pictures import curve_picture, examples_picture
from .registry import ModelSpec
from .weights import Facts, card_path, read_facts, weights_folder

BEGIN, END = "<!-- written by `python -m segdemo card` -->", "<!-- to here -->"
PICTURES = ("examples", "curve")
NEW = """---
library_name: segdemo
pipeline_tag: image-segmentation
---

# {title} (`{name}`)

{finds} Write here how it came about, where it fails, and who may use it for what.

## Figures

{begin}
{end}
"""


def write_card(spec: ModelSpec) -> Path:
    """Write NAME.md beside the weights, NAME.examples.webp and, of some length, NAME.curve.webp.

    Of a card that is there only the figures change: the `model-index` in its front matter, which
    the Hub shows, and what stands between the two comments, or at its end where there are none.
    Returns its path. Raises WeightsError.
    """
    path, facts = card_path(spec), read_facts(spec)
    examples_picture(spec).save(picture_path(spec, "examples"), quality=85)
    if len(facts["curve"]) > 1:
        curve_picture(facts["curve"]).save(picture_path(spec, "curve"), lossless=True)
    else:
        picture_path(spec, "curve").unlink(missing_ok=True)
    path.write_text(filled(read_card(spec), spec, facts), "utf-8")
    return path


def picture_path(spec: ModelSpec, name: str) -> Path:
    """Where the card's picture of that name, one of PICTURES, is."""
    return weights_folder() / f"{spec.name}.{name}.webp"


def read_card(spec: ModelSpec) -> str:
    """The card as it is, or an empty one."""
    path = card_path(spec)
    if path.is_file():
        return path.read_text("utf-8")
    return NEW.format(name=spec.name, title=spec.title, finds=spec.finds, begin=BEGIN, end=END)


def filled(text: str, spec: ModelSpec, facts: Facts) -> str:
    """The card with the figures of these facts."""
    card = ModelCard(text)
    data = ModelCardData(**vars(card.data))
    data.model_name = spec.name
    data.eval_results = [
        EvalResult(
            task_type="image-segmentation",
            dataset_type=name,
            dataset_name=name,
            dataset_split="test",
            metric_type="iou" if spec.binary else "mean_iou",
            metric_value=scored["iou"],
        )
        for name, scored in tested(facts).items()
    ]
    card.data = data
    written = "\n".join((BEGIN, "", *figures(spec, facts), "", END))
    place = re.compile(f"{re.escape(BEGIN)}.*?{re.escape(END)}", re.DOTALL)
    if place.search(str(card)):
        return place.sub(lambda _: written, str(card), count=1)
    return f"{str(card).rstrip()}\n\n{written}\n"


def tested(facts: Facts) -> dict[str, Any]:
    """Data folder -> its figures on `test`, where there are any."""
    split = "/test"
    return {
        name.removesuffix(split): scored
        for name, scored in facts.get("figures", {}).items()
        if name.endswith(split) and scored["iou"] is not None
    }


def figures(spec: ModelSpec, facts: Facts) -> Iterator[str]:
    """Lines of Markdown: the tables, and the pictures that `write_card` saves."""
    folders = tested(facts)
    if folders:
        yield from (*folder_table(spec, folders), "")
    if folders and not spec.binary:
        name, scored = max(folders.items(), key=lambda item: len(item[1]["classes"]))
        yield from (f"By class, on {name} test:", "", *class_table(scored), "")
    yield f"![Hits, misses and false alarms on the examples]({spec.name}.examples.webp)"
    if len(facts["curve"]) > 1:
        yield ""
        yield f"![Loss on train and IoU on val, by steps]({spec.name}.curve.webp)"


def folder_table(spec: ModelSpec, folders: Mapping[str, Any]) -> Iterator[str]:
    if not spec.binary:
        yield from head("photos", "number", "mean IoU", "pixel accuracy")
        for name, scored in folders.items():
            yield row(f"{name} test", scored["photos"], scored["iou"], scored["pixel_accuracy"])
        return
    columns = "IoU", "boundary IoU", "mean IoU per photo", "Dice"
    yield from head("photos", "number", *columns, "false alarms")
    for name, scored in folders.items():
        of_class = scored["classes"][spec.classes[1]]
        marks = (of_class.get(key) for key in ("iou", "boundary_iou", "photo_iou", "dice"))
        yield row(f"{name} test", scored["photos"], *marks, alarms(of_class))


def class_table(scored: Mapping[str, Any]) -> Iterator[str]:
    yield from head("class", "IoU", "boundary IoU", "false alarms")
    for name, of_class in scored["classes"].items():
        yield row(name, of_class["iou"], of_class.get("boundary_iou"), alarms(of_class))


def alarms(of_class: Mapping[str, Any]) -> str | None:
    part, photos = of_class["false_alarms"], of_class["photos_without"]
    return None if part is None else f"{part:.0%} of {photos}"


def head(*names: str) -> list[str]:
    return [row(*names), "|---" * len(names) + "|"]


def row(*cells: str | float | None) -> str:
    return "| " + " | ".join(map(cell, cells)) + " |"


def cell(value: str | float | None) -> str:
    if value is None:
        return "-"
    return f"{value:.3f}" if isinstance(value, float) else str(value)
