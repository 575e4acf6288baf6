"""The page: layout first, wiring last. Besides app.py and photo.py, no file imports gradio."""

import logging
import tempfile
from dataclasses import dataclass
from html import escape
from pathlib import Path
from typing import Any

import gradio as gr

from .engine import THRESHOLD
from .images import FORMATS_TEXT, BadImage
from .overlay import colour
from .photo import Photo
from .predict import OPACITY, Prediction, predict
from .registry import MODELS, UnknownModel, find_model
from .weights import WeightsError

log = logging.getLogger(__name__)

CSS = (Path(__file__).parent / "ui.css").read_text("utf-8")
THEME = gr.themes.Soft(
    primary_hue="teal",
    neutral_hue="slate",
    # What the visitor has: nothing is fetched from elsewhere.
    font=["system-ui", "sans-serif"],
    font_mono=["ui-monospace", "monospace"],
).set(
    # Soft's own pale labels and grey notes are hard to read.
    block_label_background_fill="*background_fill_primary",
    block_label_background_fill_dark="*background_fill_primary",
    block_label_text_color="*body_text_color",
    block_label_text_color_dark="*body_text_color",
    block_border_width="1px",
    block_border_width_dark="1px",
    body_background_fill="*neutral_50",
    block_title_background_fill="none",
    block_title_background_fill_dark="none",
    block_title_padding="0",
    block_title_text_color="*body_text_color",
    block_title_text_color_dark="*body_text_color",
    body_text_color_subdued="*neutral_600",
    body_text_color_subdued_dark="*neutral_300",
    checkbox_label_background_fill_selected="*primary_700",
    checkbox_label_background_fill_selected_dark="*primary_700",
    checkbox_background_color_selected="*primary_700",
    checkbox_background_color_selected_dark="*primary_700",
    button_secondary_text_color="*body_text_color",
)
EXAMPLES = sorted((Path(__file__).parent / "examples" / "test" / "images").glob("*.webp"))

SORRY = "That did not work"
INTRO = """# What is where in your photo?
Small neural networks, trained by this project, paint what they recognise, pixel by pixel."""
PRIVACY = (
    "Your photo is worked on by this server and deleted from it within two hours. "
    "It is not looked at, passed on or used for training."
)
WAITING = "Give it a photo, or click an example: what the model finds appears here."

# The rear camera of a phone, and a picture that is as the camera saw it.
CAMERA = gr.WebcamOptions(
    mirror=False,
    constraints={
        "video": {
            "facingMode": {"ideal": "environment"},
            "width": {"ideal": 1280},
            "height": {"ideal": 960},
        }
    },
)


def build_page() -> gr.Blocks:
    """The page, wired and ready to be launched."""
    with gr.Blocks(
        title="segdemo: what is where in your photo?",
        analytics_enabled=False,
        delete_cache=(1800, 3600),  # seconds: look every half hour, delete what is an hour old
    ) as page:
        gr.Markdown(INTRO, elem_id="intro")
        kept = gr.State(None, time_to_live=3600)  # the Prediction that is shown
        with gr.Row(equal_height=False):
            with gr.Column(min_width=320):
                photo = Photo(
                    label="Your photo",
                    sources=["upload", "webcam", "clipboard"],
                    height=380,
                    webcam_options=CAMERA,
                    buttons=["fullscreen"],
                    elem_id="photo",
                )
                model = gr.Radio(
                    [(f"{spec.title}: {spec.finds}", name) for name, spec in MODELS.items()],
                    value=next(iter(MODELS)),
                    label="Model",
                    elem_id="model",
                )
                examples = gr.Examples(
                    [[str(path)] for path in EXAMPLES],
                    inputs=[photo],
                    label="No photo at hand? Pictures that this project made",
                    cache_examples=False,
                )
            with gr.Column(min_width=320):
                shown = gr.Image(
                    label="What the model found",
                    type="filepath",
                    interactive=False,
                    height=380,
                    buttons=["download", "fullscreen"],
                    alt_text="The photo with what the model found painted over it",
                    elem_id="shown",
                )
                legend = gr.HTML(note(WAITING), elem_id="legend")
                with gr.Row():
                    opacity = gr.Slider(
                        0, 1, OPACITY, step=0.05, label="Opacity", elem_id="opacity"
                    )
                    threshold = gr.Slider(
                        0.05,
                        0.95,
                        THRESHOLD,
                        step=0.05,
                        label="Threshold",
                        elem_id="threshold",
                    )
                mask = gr.DownloadButton(
                    "Download the mask",
                    interactive=False,
                    elem_id="mask",
                )
        gr.Markdown(PRIVACY, elem_id="privacy")

        gr.on(
            [photo.change, model.change, threshold.change, opacity.change],
            refresh,
            [photo, model, threshold, opacity, kept],
            [shown, legend, mask, kept],
            api_visibility="private",
            concurrency_id="network",
            show_progress_on=shown,
            scroll_to_output=True,  # on a phone the answer lies below the photo
            # One event for all of them, so that answers come in order, and the last one counts.
            trigger_mode="always_last",
        )
        model.change(
            lambda name: gr.update(visible=find_model(name).binary),
            model,
            threshold,
            api_visibility="private",
            queue=False,
        )
        examples.dataset.select(fitting_model, None, model, api_visibility="private", queue=False)
        add_endpoint()
    page.queue(max_size=64, default_concurrency_limit=2)
    return page


def add_endpoint() -> None:
    """`/segment`, for other programs: its parts are not on the page."""
    with gr.Row(visible=False):
        photo = Photo(label="photo")
        model = gr.Dropdown(list(MODELS), value=next(iter(MODELS)), label="model")
        threshold = gr.Slider(0, 1, THRESHOLD, label="threshold")
        opacity = gr.Slider(0, 1, OPACITY, label="opacity")
        overlay = gr.Image(label="overlay", type="filepath")
        mask = gr.File(label="mask")
        report = gr.JSON(label="report")
        gr.Button("segment").click(
            segment,
            [photo, model, threshold, opacity],
            [overlay, mask, report],
            api_name="segment",
            concurrency_id="network",
        )


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
        The overlay as WebP, the mask as PNG of the photo's size with label values, and a report:
        model, device, size [width, height], coverage (percent by class), milliseconds (by stage).
    """
    try:
        if photo is None:
            raise BadImage(f"There is no photo: send a {FORMATS_TEXT} picture.")
        prediction, folder = predict(photo, model, threshold), fresh_folder()
        mask = prediction.save_mask(folder, "result")
        overlay = prediction.save_overlay(folder, "result", opacity)
        return str(overlay), str(mask), prediction.report()
    except Exception as error:
        raise gr.Error(escape(sentence(error)), title=SORRY, print_exception=False) from error


@dataclass(frozen=True)
class Kept:
    """What the page remembers of the shown answer, so that sliders need no network."""

    photo: str
    prediction: Prediction


def refresh(
    photo: str | None, model: str, threshold: float, opacity: float, kept: Kept | None
) -> tuple[Any, ...]:
    """Something on the page changed: do what that needs, and no more.

    Returns what to show: overlay, legend, mask, and what to keep.
    """
    if photo is None:
        return nothing(WAITING)
    try:
        folder = fresh_folder()
        if kept and (kept.photo, kept.prediction.spec.name) == (photo, model):
            prediction = kept.prediction.at(threshold)
            if threshold == kept.prediction.result.threshold:
                overlay = prediction.save_overlay(folder, model, opacity)
                return str(overlay), gr.skip(), gr.skip(), gr.skip()
        else:
            prediction = predict(photo, model, threshold)
        mask = gr.update(value=str(prediction.save_mask(folder, model)), interactive=True)
        overlay = prediction.save_overlay(folder, model, opacity)
        return str(overlay), legend_html(prediction), mask, Kept(photo, prediction.at(threshold))
    except Exception as error:
        # Not raised: an error would leave the last photo's answer beside this photo.
        told = sentence(error)
        gr.Warning(escape(told), title=SORRY)
        return nothing(told)


def fitting_model(chosen: gr.SelectData) -> str:
    """The model that an example is for: that whose name begins like its own, else the FCN."""
    subject = EXAMPLES[chosen.index].stem.split("-")[0]
    return next((name for name in MODELS if name.startswith(subject)), "fcn")


def nothing(told: str) -> tuple[Any, ...]:
    """The answer's side of the page, empty but for a sentence."""
    return None, note(told), gr.update(value=None, interactive=False), None


def legend_html(prediction: Prediction) -> str:
    """What was found, how much of it, and by what."""
    report, spec = prediction.report(), prediction.spec
    rows = "".join(
        f'<li><span class="swatch" style="background:rgb{colour(spec.classes.index(name))}"></span>'
        f"<span>{escape(name)}</span><b>{100 * prediction.result.coverage[name]:.1f} %</b></li>"
        for name in report["coverage"]
    )
    if not rows and spec.binary:
        rows = f"<li>No {spec.classes[1]} found here. A lower threshold may find more.</li>"
    elif not rows:
        rows = "<li>None of the things that it knows found here.</li>"
    width, height = report["size"]
    spent = report["milliseconds"]
    return (
        f'<ul class="legend">{rows}</ul>'
        f'<p class="facts">{width} × {height} pixels, {sum(spent.values()) / 1000:.2f} s in all, '
        f"of which the network {spent['network'] / 1000:.2f} s on the "
        f"{report['device'].upper().replace('CUDA', 'GPU')}</p>"
    )


def note(text: str) -> str:
    return f'<p class="facts">{escape(text)}</p>'


def sentence(error: Exception) -> str:
    """The one place where errors become what a person reads."""
    if isinstance(error, BadImage | UnknownModel | WeightsError):
        return str(error)
    log.error("a request failed", exc_info=error)
    return "Something went wrong here, and it was not your photo's fault. Please try again."


def fresh_folder() -> Path:
    """A folder of its own for each answer: no two visitors ever share a file.

    It lies where Gradio keeps its files, so that `delete_cache` deletes what is in it.
    """
    files = Path(gr.utils.get_upload_folder())
    files.mkdir(parents=True, exist_ok=True)
    return Path(tempfile.mkdtemp(dir=files))
