"""Endpoints for other programs. Their parts are not on the page.

Gradio makes its descriptions of the docstrings: one line an argument and one a return value.
"""

from pathlib import Path
from typing import Any

import gradio as gr

from ..console import OPACITY, THRESHOLD
from ..errors import sentence
from ..exports import bundle
from ..files import write_whole
from ..images import FORMATS_TEXT, BadImage
from ..overlay import webp
from ..predict import Prediction, each_on, predict, read
from ..registry import MODELS, find_model
from ..score import read_truth, score_photo
from ..views import hits_on
from .figures import MANY
from .inputs import Photo, Photos, Share
from .replies import fresh_folder, told


def add_endpoints() -> None:
    with gr.Row(visible=False):
        photo, truth = Photo(label="photo"), Photo(label="truth")
        photos = Photos(label="photos", file_count="multiple")
        model = gr.Dropdown(list(MODELS), value=next(iter(MODELS)), label="model")
        threshold = Share(0, 1, THRESHOLD, label="threshold")
        opacity = Share(0, 1, OPACITY, label="opacity")
        picture = gr.Image(label="picture", type="filepath")
        mask, files = gr.File(label="mask"), gr.File(label="files", file_count="multiple")
        zipped, report = gr.File(label="zip"), gr.JSON(label="report")
        for work, inputs, outputs in (
            (segment, [photo, model, threshold, opacity], [picture, mask, report]),
            (compare, [photo, threshold, opacity], [files, report]),
            (score, [photo, truth, model, threshold], [picture, report]),
            (batch, [photos, model, threshold], [zipped, report]),
        ):
            name = work.__name__
            gr.Button(name).click(work, inputs, outputs, api_name=name, concurrency_id="network")


def segment(
    photo: str | None, model: str, threshold: float, opacity: float
) -> tuple[str, str, dict[str, Any]]:
    """Find what a model looks for in a photo, pixel by pixel.

    Args:
        photo: The picture: JPEG, PNG, WebP, GIF, BMP, TIFF, AVIF or HEIC.
        model: The name of the model, such as chair-unet.
        threshold: For the models of one class, the probability from which on a pixel counts, 0..1.
        opacity: How much of the photo the paint hides in the overlay, 0..1.

    Returns:
        The photo with what was found painted over it (WebP)
        the mask with label values, of the photo's size (PNG)
        a report: model, device, size [width, height], coverage in percent, milliseconds by stage
    """
    try:
        prediction, folder = predict(given(photo), model, threshold), fresh_folder()
        mask = prediction.save_mask(folder, "result")
        overlay = prediction.save_overlay(folder, "result", opacity)
        return str(overlay), str(mask), prediction.report()
    except Exception as error:
        raise told(error) from error


def compare(
    photo: str | None, threshold: float, opacity: float
) -> tuple[list[str], list[dict[str, Any]]]:
    """Show one photo to every model.

    Args:
        photo: The picture: JPEG, PNG, WebP, GIF, BMP, TIFF, AVIF or HEIC.
        threshold: For the models of one class, the probability from which on a pixel counts, 0..1.
        opacity: How much of the photo the paint hides in the overlays, 0..1.

    Returns:
        The overlay of each model (WebP)
        for each model a report as /segment gives it, or an error
    """
    try:
        folder, overlays, reports = fresh_folder(), [], []
        for name, found in each_on(read(given(photo)), MODELS, threshold):
            if isinstance(found, Prediction):
                overlays.append(str(found.save_overlay(folder, name, opacity)))
                reports.append(found.report())
            else:
                reports.append({"model": name, "error": sentence(found)})
        return overlays, reports
    except Exception as error:
        raise told(error) from error


def score(
    photo: str | None, truth: str | None, model: str, threshold: float
) -> tuple[str, dict[str, Any]]:
    """Score a model's answer for a photo against the true mask.

    The mask has one value a pixel: the model's label values or PASCAL VOC's, or black and white for
    a model of one class. 255 beside other values is not counted.

    Args:
        photo: The picture: JPEG, PNG, WebP, GIF, BMP, TIFF, AVIF or HEIC.
        truth: Its true mask, a PNG of its size: label values, PASCAL VOC's, or black and white.
        model: The name of the model, such as chair-unet.
        threshold: For the models of one class, the probability from which on a pixel counts, 0..1.

    Returns:
        Hits, misses and false alarms over the photo (WebP)
        figures 0..1: iou, pixel_accuracy, counted (share of pixels), iou and dice of each class
    """
    try:
        if truth is None:
            raise BadImage("There is no true mask: send a PNG of the photo's size.")
        prediction = predict(given(photo), model, threshold)
        true = read_truth(truth, prediction.spec, prediction.result.size)
        scores = score_photo(prediction.result.labels, true, prediction.spec.classes)
        path = fresh_folder() / "hits.webp"
        write_whole(path, webp(hits_on(prediction, true)))
        return str(path), scores
    except Exception as error:
        raise told(error) from error


def batch(
    photos: list[str] | None, model: str, threshold: float
) -> tuple[str | None, list[dict[str, Any]]]:
    """Segment several photos with one model.

    Args:
        photos: The pictures, at most 20: JPEG, PNG, WebP, GIF, BMP, TIFF, AVIF or HEIC.
        model: The name of the model, such as chair-unet.
        threshold: For the models of one class, the probability from which on a pixel counts, 0..1.

    Returns:
        A zip with mask, coloured mask, cut-out, overlay, COCO JSON and report of each photo
        for each photo its name and a report as /segment gives it, or an error; the others go on
    """
    try:
        if not photos or len(photos) > MANY:
            raise BadImage(f"Send 1 to {MANY} photos: {FORMATS_TEXT} pictures.")
        find_model(model)
        found, reports = [], []
        for path in photos:
            name = Path(path).name
            try:
                prediction = predict(path, model, threshold)
            except Exception as error:
                reports.append({"name": name, "error": sentence(error)})
                continue
            reports.append({"name": name} | prediction.report())
            found.append((prediction.at(threshold), path, name))
        return str(bundle(found, fresh_folder())) if found else None, reports
    except Exception as error:
        raise told(error) from error


def given(photo: str | None) -> str:
    if photo is None:
        raise BadImage(f"There is no photo: send a {FORMATS_TEXT} picture.")
    return photo
