"""What every answer needs: a folder of its own, or a sentence."""

import secrets
from html import escape
from pathlib import Path
from typing import Any

import gradio as gr

from ..errors import sentence
from ..images import BadImage
from ..service import GONE


def told(error: Exception) -> gr.Error:
    """The error as Gradio sends it. It goes out as HTML, and may hold what a visitor sent."""
    return gr.Error(
        escape(sentence(error), quote=False), title="That did not work", print_exception=False
    )


def as_it_is(name: str) -> list[Any]:
    """For common.js: a file or a folder may be called as one of its texts is."""
    return ["{name}", {"name": name}]


def still_there(path: str) -> str:
    """The path of a visitor's photo or mask. Raises BadImage where it was deleted since."""
    if not Path(path).is_file():
        raise BadImage(GONE)
    return path


def fresh_folder() -> Path:
    """A folder of its own for each answer: no two visitors ever share a file.

    It lies where Gradio keeps its files, so that `delete_cache` deletes what is in it. Who has its
    name can fetch them, so nobody must be able to guess it, as the names that tempfile makes.
    """
    folder = Path(gr.utils.get_upload_folder()) / secrets.token_hex(16)
    folder.mkdir(mode=0o700, parents=True)
    return folder
