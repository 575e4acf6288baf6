"""From what a visitor gives to what the viewer shows, and to what is taken away."""

import base64
import time
from collections.abc import Callable
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import gradio as gr

from .. import errors
from ..errors import Fetching, refuse_if_late, sentence
from ..exports import Style, bundle, save_one
from ..files import write_whole
from ..predict import PHOTOS, Photo, Prediction, predict_on, read
from .components import file
from .replies import fresh_folder, still_there, told


def seen(photo: str) -> Photo:
    """A visitor's photo, read once for all that is asked about it. Raises BadImage, Busy."""
    refuse_if_late()
    return PHOTOS.get(still_there(photo), lambda: read(photo), nullcontext())


def look(photo: str | None, model: str) -> Any:
    """Another photo or model: the viewer's value.

    While the model's weights are fetched, how far that is; the browser asks again.
    """
    if photo is None:
        return None
    try:
        return answer(predict_on(seen(photo), model))
    except Fetching as error:
        return {"error": str(error), "again": time.monotonic()}
    except Exception as error:
        # Not raised: an error would leave the last photo's answer beside this photo.
        return {"error": sentence(error)}


def answer(prediction: Prediction) -> dict[str, Any]:
    """What viewer.js paints, its pictures as files."""
    folder = fresh_folder()

    def as_file(name: str, content: bytes) -> dict[str, Any]:
        path = folder / name
        write_whole(path, content)
        return file(path)

    return described(prediction, prediction.photo_file(), as_file)


def frame(photo: bytes | None, model: str) -> Any:
    """A frame of the live camera: the viewer's value, its pictures inside it and never on disk."""
    if not photo:
        return gr.skip()
    if request := errors.current_request():
        request.begun = True  # however late: who looks at their camera has not left
    try:
        prediction = predict_on(read(photo), model, keep=False, quick=True)
        # As it came, unless it is larger than what is shown: encoding it again takes longer than
        # a small network.
        same = prediction.shown.shape[:2] == prediction.result.size
        return described(prediction, photo if same else prediction.photo_file(), as_url)
    except Exception as error:
        return unlike({"error": sentence(error)})


def unlike(value: dict[str, Any]) -> dict[str, Any]:
    """Unlike the value before it: of the same one the viewer would not hear, and wait on."""
    return value | {"at": time.monotonic()}


def as_url(name: str, content: bytes) -> str:
    # Browsers look at the content of an image, whatever it is called.
    return f"data:image/{name.partition('.')[2]};base64,{base64.b64encode(content).decode()}"


def described(
    prediction: Prediction, photo: bytes, put: Callable[[str, bytes], Any]
) -> dict[str, Any]:
    """The viewer's value. put: turns a picture's file name and content into what it loads."""
    height, width = prediction.result.size
    layers = prediction.layers()
    return {
        "photo": put("photo.webp", photo),
        **{name: put(f"{name}.png", content) for name, content in layers.items()},
        "classes": prediction.classes(),
        "binary": prediction.spec.binary,
        "size": [width, height],
        "milliseconds": prediction.milliseconds,
        "device": device_title(prediction),
    }


def device_title(prediction: Prediction) -> str:
    return {"cpu": "CPU", "cuda": "GPU"}[prediction.result.device]


def take(photo: str | None, model: str, event: gr.EventData) -> Any:
    """One download, out of the photo at its full size, in the viewer's threshold and colours."""
    if photo is None:
        return None
    try:
        prediction = predict_on(seen(photo), model, float(event.threshold))
        # By name: the answer on screen may still be that of the model chosen before.
        labels = {name: label for label, name in enumerate(prediction.spec.classes)}
        style = Style(
            float(event.opacity),
            {labels[name]: (r, g, b) for name, (r, g, b) in event.colours if name in labels},
            frozenset(labels[name] for name in event.hidden if name in labels),
        )
        folder, name = fresh_folder(), Path(photo).name
        if event.what == "zip":
            return file(bundle([(prediction, photo, name)], folder, style))
        return file(save_one(prediction, photo, name, folder, event.what, style))
    except Exception as error:
        raise told(error) from error
