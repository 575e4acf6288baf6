"""What every answer needs: a folder of its own, or a sentence."""

import tempfile
from html import escape
from pathlib import Path

import gradio as gr

from ..errors import sentence


def told(error: Exception) -> gr.Error:
    """The error as Gradio sends it. It goes out as HTML, and may hold what a visitor sent."""
    return gr.Error(escape(sentence(error)), title="That did not work", print_exception=False)


def fresh_folder() -> Path:
    """A folder of its own for each answer: no two visitors ever share a file.

    It lies where Gradio keeps its files, so that `delete_cache` deletes what is in it.
    """
    files = Path(gr.utils.get_upload_folder())
    files.mkdir(parents=True, exist_ok=True)
    return Path(tempfile.mkdtemp(dir=files))
