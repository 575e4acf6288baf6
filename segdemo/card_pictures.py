"""The pictures of a model's card: what it makes of the examples, and how it learnt."""

from collections.abc import Sequence
from typing import Any

from PIL import Image, ImageDraw, ImageFont

from .data import open_folder
from .engine import EXAMPLE
from .overlay import Colour
from .predict import predict
from .registry import ModelSpec
from .views import VERDICTS, hits_on

INK, RULE, PAPER = (73, 80, 87), (222, 226, 230), (255, 255, 255)
FONT = ImageFont.load_default(15)
TILE, COLUMNS = (320, 240), 3
PANEL, MARGIN = (470, 250), 44


def examples_picture(spec: ModelSpec) -> Image.Image:
    """RGB: hits, misses and false alarms on the pictures that this project rendered."""
    folder = open_folder(EXAMPLE.parents[2], "test", spec)
    width, height = TILE
    sheet = Image.new("RGB", (width * COLUMNS, height * (len(folder) // COLUMNS + 1)), PAPER)
    for index in range(len(folder)):
        hits = hits_on(predict(folder.images[index], spec.name), folder.labels(index))
        sheet.paste(Image.fromarray(hits).resize(TILE), place(index))
    draw = ImageDraw.Draw(sheet)
    left, top = place(len(folder))
    names = [name for name in VERDICTS if name != "wrong class" or not spec.binary]
    for line, name in enumerate(names):
        y = top + 40 + 36 * line
        draw.rectangle((left + 40, y, left + 60, y + 20), VERDICTS[name])
        draw.text((left + 72, y), name, INK, FONT)
    return sheet


def place(index: int) -> tuple[int, int]:
    """The left upper corner of a tile of the sheet."""
    return index % COLUMNS * TILE[0], index // COLUMNS * TILE[1]


def curve_picture(curve: Sequence[dict[str, Any]]) -> Image.Image:
    """RGB: the loss on train and the IoU on val, beside each other, over the steps.

    curve: points {"step", "loss", "val"} as in the facts; without val there is only the loss.
    """
    panels: dict[str, Colour] = {"loss": (213, 94, 0), "val": (0, 114, 178)}
    titles = {"loss": "loss on train", "val": "IoU on val"}
    shown = [key for key in panels if curve[0][key] is not None]
    width, height = PANEL
    sheet = Image.new("RGB", (width * len(shown), height), PAPER)
    for index, key in enumerate(shown):
        points = [(point["step"], point[key]) for point in curve]
        panel = draw_panel(titles[key], points, panels[key])
        sheet.paste(panel, (index * width, 0))
    return sheet


def draw_panel(title: str, points: Sequence[tuple[int, float]], colour: Colour) -> Image.Image:
    """RGB: one line over the steps, from 0 to a round number above its highest point."""
    (width, height), last = PANEL, points[-1][0]
    top = next(top for top in (0.2, 0.5, 1, 2, 5, 10, 100) if top >= max(y for _, y in points))
    panel = Image.new("RGB", PANEL, PAPER)
    draw = ImageDraw.Draw(panel)

    def at(step: float, value: float) -> tuple[float, float]:
        across = MARGIN + step / last * (width - 2 * MARGIN)
        return across, height - MARGIN - value / top * (height - 2 * MARGIN)

    for value in (0, top / 2, top):
        draw.line((at(0, value), at(last, value)), RULE)
        draw.text((MARGIN - 8, at(0, value)[1]), f"{value:g}", INK, FONT, anchor="rm")
    for step in (0, last):
        draw.text((at(step, 0)[0], height - MARGIN + 14), str(step), INK, FONT, anchor="mm")
    draw.text((MARGIN, MARGIN / 2), title, INK, FONT, anchor="lm")
    line = [at(*point) for point in points]
    draw.line(line, colour, 2)
    for point in line:
        draw.circle(point, 4, colour)
    return panel
