"""Pictures with captions, for figures.js: comparing, scoring, looking inside, many photos."""

from collections.abc import Callable
from itertools import groupby
from pathlib import Path
from typing import Any

import gradio as gr
import numpy as np
from numpy.typing import NDArray

from ..console import OPACITY, THRESHOLD
from ..data import IGNORE
from ..errors import Fetching, refuse_while_fetched, sentence
from ..exports import bundle
from ..files import write_whole
from ..images import shown_size
from ..inside import Skip, Stage
from ..inside import look_inside as inside_of
from ..overlay import paint, resize, resize_labels, webp
from ..predict import Prediction, each_on, predict, predict_on
from ..registry import MODELS, find_model
from ..score import read_truth, score_photo
from ..views import hits_on, verdicts_of
from .answers import device_title, seen
from .components import file
from .replies import as_it_is, fresh_folder, still_there

MANY = 20  # photos at once
PROGRESS = gr.Progress()


def of_open_tab(
    open_tab: str,
    photo: str | None,
    model: str,
    truth: str | None,
    names: list[str] | None,
    threshold: float,
) -> tuple[Any, ...]:
    """What the tabs beside the viewer show: nothing, but for the open one, as it is out of date.

    What fails is told in the place of the figures.
    """
    work: dict[str, Callable[[], Any]] = {
        "compare": lambda: compare(photo, threshold),
        "score": lambda: score(photo, model, truth, names, threshold),
        "inside": lambda: look_inside(photo, model),
    }
    shown: dict[str, Any] = dict.fromkeys(work)
    if open_tab in work:
        try:
            shown[open_tab] = work[open_tab]()
        except Exception as error:
            shown[open_tab] = {"error": sentence(error)}
    return tuple(shown.values())


def compare(photo: str | None, threshold: float) -> Any:
    """The same photo through every model, side by side."""
    if photo is None:
        return None
    figures, missing = [], []
    for name, found in each_on(seen(photo), MODELS, threshold):
        if isinstance(found, Prediction):
            figures.append(beside(found))
        else:
            missing.append({"name": MODELS[name].title, "value": sentence(found)})
    return {"sections": [{"title": "compare_title", "figures": figures, "rows": missing}]}


def beside(prediction: Prediction) -> dict[str, Any]:
    """A figure of one answer."""
    report, spec = prediction.report(), prediction.spec
    rows = [
        {
            "colour": prediction.colours[spec.classes.index(name)],
            "className": name,
            "value": ["percent", {"part": part}]
            if part >= 0.05
            else ["percent_less", {"part": 0.1}],
        }
        for place, (name, part) in enumerate(report["coverage"].items())
        if part >= 0.05 or not place  # the largest at any rate
    ]
    seconds = report["milliseconds"]["network"] / 1000
    return {
        "picture": picture_file(prediction.overlay(OPACITY), spec.name),
        "title": spec.title,
        "rows": rows or [{"name": "found_nothing", "value": ""}],
        "text": ["network_time", {"seconds": seconds, "device": device_title(prediction)}],
    }


def score(
    photo: str | None,
    model: str,
    truth: str | None,
    names: list[str] | None,
    threshold: float,
) -> Any:
    """Predicted against actual: the answer beside the true mask that a visitor brought.

    names: what the values of the mask stand for, where that is known.
    """
    if photo is None or truth is None:
        return None
    prediction = predict_on(seen(photo), model, threshold)
    spec, result = prediction.spec, prediction.result
    true = read_truth(still_there(truth), spec, result.size, names)
    scored = score_photo(result.labels, true, spec.classes)
    shown = resize_labels(np.where(true == IGNORE, 0, true), prediction.screen.size)
    pictures = {
        "answer": prediction.overlay(OPACITY),
        "truth_title": paint(prediction.shown, shown, OPACITY, prediction.colours),
        "verdicts": hits_on(prediction, true),
    }
    figures: list[dict[str, Any]] = [
        {"picture": picture_file(picture, name), "title": name}
        for name, picture in pictures.items()
    ]
    rows = [
        {
            "colour": prediction.colours[spec.classes.index(name)],
            "className": name,
            "value": percents(marks),
        }
        for name, marks in scored["classes"].items()
        if name != spec.classes[0]
    ]
    figures[2]["rows"] = [
        {"colour": tint, "name": verdict, "value": ""}
        for verdict, tint in verdicts_of(spec).items()
    ]
    section = {"title": "score_title", "text": "score_text", "rows": rows, "figures": figures}
    return {"sections": [section]}


def percents(marks: dict[str, Any]) -> list[Any]:
    shown = {key: "–" if part is None else 100 * part for key, part in marks.items()}
    return ["iou_dice", shown]


def look_inside(photo: str | None, model: str) -> Any:
    """What the network makes of the photo, stage by stage, and what each skip is good for."""
    if photo is None:
        return None
    refuse_while_fetched(model)
    inside = inside_of(find_model(model), seen(photo).shown)
    sections = [
        explained(kind, [stage_figure(stage) for stage in stages])
        for kind, stages in groupby(inside.stages, lambda stage: stage.kind)
    ]
    sections += [
        explained(kind, [skip_figure(skip) for skip in skips])
        for kind, skips in groupby(inside.skips, lambda skip: skip.kind)
    ]
    return {"sections": sections}


def explained(kind: str, figures: list[dict[str, Any]]) -> dict[str, Any]:
    return {"title": f"kind_{kind}", "text": f"why_{kind}", "figures": figures, "sheets": True}


def stage_figure(stage: Stage) -> dict[str, Any]:
    size = {"channels": stage.channels, "width": stage.width, "height": stage.height}
    rows = [{"colour": tint, "className": name, "value": ""} for name, tint in stage.legend.items()]
    return {
        "picture": picture_file(stage.picture, stage.key),
        "title": ["stage", size],
        "rows": rows,
    }


def skip_figure(skip: Skip) -> dict[str, Any]:
    return {
        "picture": picture_file(skip.picture, f"without-{skip.key}"),
        "title": ["joins", {"width": skip.width, "height": skip.height}],
        "text": ["changed", {"part": 100 * skip.changed}],
    }


def many(
    photos: list[str] | None, model: str, progress: gr.Progress = PROGRESS
) -> tuple[Any, dict[str, Any]]:
    """Several photos through one model: their pictures, and one zip of all there is to take away.

    A photo that cannot be used says so in its place; the others go on.
    """
    if not photos:
        return None, gr.update(visible=False)
    figures, found, refused = [], [], []
    for path in progress.tqdm(photos[:MANY]):
        name = Path(path).name
        try:
            prediction = predict(still_there(path), model)
            figures.append(beside(prediction) | {"title": as_it_is(name)})
            found.append((prediction.at(THRESHOLD), path, name))
        except Fetching as error:
            return {"error": str(error)}, gr.update(visible=False)
        except Exception as error:
            refused.append({"name": as_it_is(name), "value": sentence(error)})
    section = {"title": "many_title", "figures": figures, "rows": refused}
    if len(photos) > MANY:
        section["text"] = ["many_most", {"most": MANY}]
    try:
        zipped = str(bundle(found, fresh_folder())) if found else None
    except Exception as error:
        zipped = None
        refused.append({"name": "segdemo.zip", "value": sentence(error)})
    return {"sections": [section]}, gr.update(value=zipped, visible=bool(zipped))


def picture_file(picture: NDArray[np.uint8], name: str) -> dict[str, Any]:
    """A picture small enough to lie beside others."""
    path = fresh_folder() / f"{name}.webp"
    write_whole(path, webp(resize(picture, shown_size(picture.shape[0], picture.shape[1], 640))))
    return file(path)
