"""From what a visitor gives to what the viewer shows, and to what is taken away."""

import base64
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import gradio as gr

from ..errors import sentence
from ..exports import Style, bundle, save_one
from ..hub import under_way
from ..predict import Prediction, predict, predict_each
from .components import file
from .replies import fresh_folder, told


@dataclass(frozen=True)
class Kept:
    """What the page remembers of a visitor's photo, so that no network runs twice on it."""

    photo: str
    predictions: dict[str, Prediction] = field(default_factory=dict)  # by model

    def of(self, *models: str) -> list[Prediction]:
        """The predictions of those models; the networks that have not yet seen the photo run."""
        missing = [model for model in models if model not in self.predictions]
        if missing:
            for prediction in predict_each(self.photo, missing):
                self.predictions[prediction.spec.name] = prediction
        return [self.predictions[model] for model in models]


def kept_of(photo: str, kept: Kept | None) -> Kept:
    """What is known of this photo."""
    return kept if kept and kept.photo == photo else Kept(photo)


def look(
    photo: str | None, model: str, kept: Kept | None
) -> Iterator[tuple[Any, Kept | dict[str, Any] | None]]:
    """Another photo or model: the viewer's value, and what to keep."""
    if photo is None:
        yield None, None
        return
    while told := under_way(model):
        yield {"error": told}, gr.skip()
        time.sleep(1)
    kept = kept_of(photo, kept)
    try:
        yield answer(kept.of(model)[0]), kept
    except Exception as error:
        # Not raised: an error would leave the last photo's answer beside this photo.
        yield {"error": sentence(error)}, None


def answer(prediction: Prediction) -> dict[str, Any]:
    """What viewer.js paints, its pictures as files."""
    folder, value = fresh_folder(), described(prediction)
    for name, content in prediction.layers().items():
        path = folder / f"{name}.{'webp' if name == 'photo' else 'png'}"
        path.write_bytes(content)
        value[name] = file(path)
    return value


def frame(photo: bytes | None, model: str) -> Any:
    """A frame of the live camera: the viewer's value, its pictures inside it and never on disk."""
    if not photo:
        return gr.skip()
    try:
        prediction = predict(photo, model)
        value = described(prediction)
        for name, content in prediction.layers().items():
            kind = "webp" if name == "photo" else "png"
            value[name] = f"data:image/{kind};base64,{base64.b64encode(content).decode()}"
        return value
    except Exception as error:
        return {"error": sentence(error)}


def described(prediction: Prediction) -> dict[str, Any]:
    report = prediction.report()
    return {
        "classes": prediction.classes(),
        "binary": prediction.spec.binary,
        "size": report["size"],
        "milliseconds": report["milliseconds"],
        "device": report["device"].upper().replace("CUDA", "GPU"),
    }


def settled(event: gr.EventData) -> float:
    """The viewer's threshold, once the slider rests."""
    return float(event.threshold)


def take(photo: str | None, model: str, kept: Kept | None, event: gr.EventData) -> Any:
    """One download, out of the photo at its full size, in the viewer's threshold and colours."""
    if photo is None:
        return None
    try:
        style = Style(
            float(event.opacity),
            {label: (r, g, b) for label, (r, g, b) in enumerate(event.colours, 1)},
            frozenset(event.hidden),
        )
        prediction = kept_of(photo, kept).of(model)[0].at(float(event.threshold))
        folder, name = fresh_folder(), Path(photo).name
        if event.what == "zip":
            return file(bundle([(prediction, photo, name)], folder, style))
        return file(save_one(prediction, photo, name, folder, event.what, style))
    except Exception as error:
        raise told(error) from error
