"""How the page looks, and what it does as a whole."""

import json

import gradio as gr

from .components import HERE, TEXTS

CSS = (HERE / "style.css").read_text("utf-8")
JS = (HERE / "page.js").read_text("utf-8")
COMMON = (HERE / "common.js").read_text("utf-8").replace('"TEXTS"', json.dumps(TEXTS), 1)
HEAD = f"<script>{COMMON}</script>"
THEME = gr.themes.Soft(
    primary_hue="teal",
    secondary_hue="teal",
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
    link_text_color="*primary_700",
    link_text_color_dark="*primary_300",
    link_text_color_visited="*primary_700",
    link_text_color_visited_dark="*primary_300",
    # White on Soft's lighter teal is hard to read, too.
    button_primary_background_fill="*primary_700",
    button_primary_background_fill_dark="*primary_700",
    button_primary_background_fill_hover="*primary_800",
    button_primary_background_fill_hover_dark="*primary_800",
)
