"""The page's way in for a picture. A file of its own, since Gradio writes a stub beside it."""

import base64

import gradio as gr
from gradio.data_classes import ImageData


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
