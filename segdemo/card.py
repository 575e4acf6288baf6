"""The card of a model: its words are a person's, its figures and pictures come out of the facts."""

import re
from collections.abc import Iterator, Mapping
from io import BytesIO
from pathlib import Path
from typing import Any

from huggingface_hub import EvalResult, ModelCard
from PIL import Image

from .card_pictures import curve_picture, examples_of, examples_picture, lines
from .files import write_whole
from .registry import ModelSpec
from .weights import PICTURES, Facts, card_path, picture_path, read_facts

BEGIN, END = "<!-- written by `python -m segdemo card` -->", "<!-- to here -->"
# The last beginning before an end: a person may have lost an end.
WRITTEN = re.compile(f"{re.escape(BEGIN)}(?:(?!{re.escape(BEGIN)}).)*?{re.escape(END)}", re.DOTALL)
NEW = """---
library_name: segdemo
pipeline_tag: image-segmentation
---

# {title} (`{name}`)

{finds}

## Data and licence

Learned from {data}; may be used for what their terms allow.

## Figures

{begin}
{end}
"""


class CardError(RuntimeError):
    """A card that cannot be filled; str(e) is one sentence."""


def write_card(spec: ModelSpec) -> Path:
    """Write NAME.md beside the weights, and the pictures in it.

    Of a card that is there only the figures change: those that the front matter has for the Hub,
    and what stands between the two comments, or at its end where there are none. The front matter
    is written anew, without its own comments. Returns the path. Raises CardError, WeightsError.
    """
    path, facts = card_path(spec), read_facts(spec)
    text = filled(read_card(spec), spec, facts)
    if examples := examples_of(spec):
        save(examples_picture(spec, examples), picture_path(spec, "examples"), quality=85)
    if lines(facts["curve"]):
        save(curve_picture(facts["curve"]), picture_path(spec, "curve"), lossless=True)
    write_whole(path, text.encode())
    return path


def save(picture: Image.Image, path: Path, **options: Any) -> None:
    """As a WebP, whole or not at all."""
    buffer = BytesIO()
    picture.save(buffer, "WEBP", **options)
    write_whole(path, buffer.getvalue())


def read_card(spec: ModelSpec) -> str:
    """The card as it is, or an empty one. Raises CardError."""
    path = card_path(spec)
    if not path.is_file():
        names = {"name": spec.name, "title": spec.title, "finds": spec.finds}
        data = ", ".join(read_facts(spec)["data"])
        return NEW.format(**names, data=data, begin=BEGIN, end=END)
    try:
        return path.read_text("utf-8")
    except UnicodeDecodeError as error:
        raise CardError(f"The card {path} is not text in UTF-8.") from error


def filled(text: str, spec: ModelSpec, facts: Facts) -> str:
    """The card with the figures of these facts. Raises CardError."""
    scored = tested(facts)
    try:
        card = ModelCard(text)
    except Exception as error:  # broad: YAML that is not as it should be raises almost anything
        raise CardError(f"The front matter of {card_path(spec)} cannot be read.") from error
    card.data["model_name"] = spec.name
    card.data["eval_results"] = [
        EvalResult(
            task_type="image-segmentation",
            dataset_type=name,
            dataset_name=name,
            dataset_split="test",
            metric_type="iou" if spec.binary else "mean_iou",
            metric_value=of_folder["iou"],
        )
        for name, of_folder in scored.items()
        if of_folder["iou"] is not None
    ]
    written = "\n".join((BEGIN, "", *figures(spec, facts), "", END))
    if WRITTEN.search(str(card)):
        return WRITTEN.sub(lambda _: written, str(card), count=1)
    return f"{str(card).rstrip()}\n\n{written}\n"


def tested(facts: Facts) -> dict[str, Any]:
    """Data folder -> its figures on `test`."""
    split = "/test"
    return {
        name.removesuffix(split): scored
        for name, scored in facts.get("figures", {}).items()
        if name.endswith(split)
    }


def figures(spec: ModelSpec, facts: Facts) -> Iterator[str]:
    """Lines of Markdown: the tables, and the pictures that `write_card` saves."""
    examples, curve = (picture_path(spec, name).name for name in PICTURES)
    folders = tested(facts)
    if folders:
        yield from (*folder_table(spec, folders), "")
    if folders and not spec.binary:
        # Of as many photos, that of more classes.
        size = {name: (of["photos"], len(of["classes"])) for name, of in folders.items()}
        largest = max(folders, key=size.__getitem__)
        yield from (f"By class, on {largest} test:", "", *class_table(folders[largest]), "")
    if examples_of(spec):
        yield f"![Hits, misses and false alarms on the examples]({examples})"
    if lines(facts["curve"]):
        yield f"\n![Loss on train and IoU on val, by steps]({curve})"


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
    for label, (name, of_class) in enumerate(scored["classes"].items()):
        false = alarms(of_class) if label else None  # nobody looks for the background
        yield row(name, of_class["iou"], of_class.get("boundary_iou"), false)


def alarms(of_class: Mapping[str, Any]) -> str | None:
    part, photos = of_class["false_alarms"], of_class["photos_without"]
    return None if part is None else f"{100 * part:.0f} % of {photos}"


def head(*names: str) -> list[str]:
    return [row(*names), "|---" * len(names) + "|"]


def row(*cells: str | float | None) -> str:
    return "| " + " | ".join(map(cell, cells)) + " |"


def cell(value: str | float | None) -> str:
    if value is None:
        return "-"
    return f"{value:.3f}" if isinstance(value, float) else str(value)
