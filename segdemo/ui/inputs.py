"""Inputs that check more than Gradio's. A file of their own: Gradio writes a stub beside it."""

import base64
from typing import Any

import gradio as gr
from gradio.data_classes import ImageData

# For descriptions of the API. Gradio's own examples are addresses, and those are not fetched.
EXAMPLE: dict[str, Any] = {"path": "photo.jpg", "meta": {"_type": "gradio.FileData"}}
UPLOADED = "An uploaded file, or as a tool's argument a data: URL. No other address is fetched."


class Photo(gr.Image):
    """gr.Image that hands over the file as it came: a path, or bytes for a frame of a live camera.

    gr.Image opens it with every decoder there is, before anything of ours has looked at it;
    here images.py looks first. Gradio has checked that the path is one of an upload.
    """

    is_template = True  # in the browser it is a gr.Image

    def preprocess(self, payload: ImageData | None) -> str | bytes | None:
        if payload and self.streaming and payload.url and payload.url.startswith("data:"):
            try:
                return base64.b64decode(payload.url.partition(",")[2])
            except ValueError:
                return b"\0"  # refused like any other broken picture
        return payload.path if payload else None

    def api_info(self) -> dict[str, Any]:
        return {**super().api_info(), "description": UPLOADED}

    def example_payload(self) -> Any:
        return EXAMPLE

    def example_value(self) -> Any:
        return EXAMPLE["path"]


class Photos(gr.File):
    """gr.File for several, described as Photo is."""

    is_template = True  # in the browser it is a gr.File

    def api_info(self) -> dict[str, Any]:
        return {**super().api_info(), "description": UPLOADED}

    def example_payload(self) -> Any:
        return [EXAMPLE]

    def example_value(self) -> Any:
        return [EXAMPLE["path"]]


class Share(gr.Slider):
    """gr.Slider from 0 to 1 that says what is wrong with what is no such number."""

    is_template = True  # in the browser it is a gr.Slider

    def preprocess(self, payload: Any) -> float:
        number = isinstance(payload, int | float) and not isinstance(payload, bool)
        if not number or not 0 <= payload <= 1:
            raise gr.Error(f"{self.label} must be a number from 0 to 1.", print_exception=False)
        return float(payload)
