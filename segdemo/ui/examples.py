"""The pictures that this project made: each with the model it is for, and its true mask."""

import base64
import json
import shutil
from io import BytesIO
from pathlib import Path
from typing import Any

import gradio as gr
import numpy as np
from PIL import Image

from ..overlay import colours_of, palette_png
from ..registry import MODELS
from .replies import fresh_folder

FOLDER = Path(__file__).parents[1] / "examples"
EXAMPLES = sorted((FOLDER / "test" / "images").glob("*.webp"))
CLASSES: list[str] = json.loads((FOLDER / "dataset.json").read_text("utf-8"))["classes"]


def shelf() -> list[dict[str, Any]]:
    """What shelf.js shows: each picture small, inside the page."""
    pictures = []
    for path in EXAMPLES:
        buffer = BytesIO()
        with Image.open(path) as picture:
            picture.reduce(4).save(buffer, "WEBP", quality=80)
        content = base64.b64encode(buffer.getvalue()).decode()
        pictures.append({"name": path.stem, "picture": f"data:image/webp;base64,{content}"})
    return pictures


def pick(event: gr.EventData) -> tuple[str, str, str, list[str]]:
    """One was picked: the photo, its model, its mask in colours, what the mask's values mean."""
    photo, folder = EXAMPLES[event.index], fresh_folder()
    shutil.copy(photo, folder)
    truth = folder / f"{photo.stem}.png"
    with Image.open(photo.parents[1] / "masks" / truth.name) as mask:
        truth.write_bytes(palette_png(np.asarray(mask), colours_of(CLASSES)))
    return str(folder / photo.name), fitting_model(photo), str(truth), CLASSES


def fitting_model(photo: Path) -> str:
    """The model that an example is for: that whose name begins like its own, else the FCN."""
    subject = photo.stem.split("-")[0]
    return next((name for name in MODELS if name.startswith(subject)), "fcn")
