"""The parts of the page that we draw ourselves, in the browser: each a small script."""

import json
from pathlib import Path
from typing import Any

import gradio as gr
from gradio.data_classes import FileData

HERE = Path(__file__).parent
TEXTS: dict[str, dict[str, str]] = json.loads((HERE / "texts.json").read_text("utf-8"))
# What each script starts with; common.js has put `window.segdemo` into the page's head.
START = (
    "const { texts, number, t, thing, say, loaded, make, part } = window.segdemo;\n"
    "const { $, $$ } = part(element);\n"
)


def drawn(name: str, template: str | None = None, **settings: Any) -> gr.HTML:
    """A part that NAME.js draws into `template`; NAME.html where None is given.

    Its value goes to the browser as it is. `settings` are arguments of gr.HTML and whatever the
    script reads as `props`.
    """
    script = START + (HERE / f"{name}.js").read_text("utf-8")
    if template is None:
        template = (HERE / f"{name}.html").read_text("utf-8")
    return gr.HTML(html_template=template, js_on_load=script, apply_default_css=False, **settings)


def file(path: Path) -> dict[str, Any]:
    """A file in a part's value: in the browser its `url`."""
    return FileData(path=str(path), orig_name=path.name).model_dump()
