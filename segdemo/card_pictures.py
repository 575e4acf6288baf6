"""The pictures of a model's card: what it makes of the examples, and how it learnt."""

from collections.abc import Sequence
from functools import cache
from typing import Any

from PIL import Image, ImageDraw, ImageFont

from .data import DataError, Folder, open_folder
from .engine import EXAMPLE
from .overlay import Colour
from .predict import predict
from .registry import ModelSpec
from .views import hits_on, verdicts_of

INK, RULE, PAPER = (73, 80, 87), (222, 226, 230), (255, 255, 255)
TILE, COLUMNS = (320, 240), 3
PANEL, MARGIN = (470, 250), 44

Line = list[tuple[int, float]]  # steps and values


@cache
def font() -> ImageFont.FreeTypeFont | ImageFont.ImageFont:
    return ImageFont.load_default(15)


def examples_of(spec: ModelSpec) -> Folder | None:
    """The pictures that this project rendered, if they can show any of its classes."""
    try:
        return open_folder(EXAMPLE.parents[2], "test", spec)
    except DataError:
        return None


def examples_picture(spec: ModelSpec, folder: Folder) -> Image.Image:
    """RGB: hits, misses and false alarms on each picture of a folder."""
    width, height = TILE
    sheet = Image.new("RGB", (width * COLUMNS, height * (len(folder) // COLUMNS + 1)), PAPER)
    for index in range(len(folder)):
        hits = hits_on(predict(folder.images[index], spec.name), folder.labels(index))
        sheet.paste(Image.fromarray(hits).resize(TILE), place(index))
    draw = ImageDraw.Draw(sheet)
    left, top = place(len(folder))
    for line, (name, tint) in enumerate(verdicts_of(spec).items()):
        y = top + 40 + 36 * line
        draw.rectangle((left + 40, y, left + 60, y + 20), tint)
        draw.text((left + 72, y), name, INK, font())
    return sheet


def place(index: int) -> tuple[int, int]:
    """The left upper corner of a tile of the sheet."""
    return index % COLUMNS * TILE[0], index // COLUMNS * TILE[1]


def lines(curve: Sequence[dict[str, Any]]) -> dict[str, Line]:
    """What there is to draw of a curve as the facts have it: title -> at least two points."""
    keys = {"loss on train": "loss", "IoU on val": "val"}
    drawn = {
        title: [(point["step"], point[key]) for point in curve if point[key] is not None]
        for title, key in keys.items()
    }
    return {title: line for title, line in drawn.items() if len(line) > 1}


def curve_picture(curve: Sequence[dict[str, Any]]) -> Image.Image:
    """RGB: a panel for each of `lines`, beside each other."""
    drawn = lines(curve)
    width, height = PANEL
    sheet = Image.new("RGB", (width * len(drawn), height), PAPER)
    colours = (213, 94, 0), (0, 114, 178)
    for index, (title, line) in enumerate(drawn.items()):
        sheet.paste(draw_panel(title, line, colours[index]), (index * width, 0))
    return sheet


def draw_panel(title: str, line: Line, colour: Colour) -> Image.Image:
    """RGB: one line over the steps, from 0 to a round number above its highest point."""
    (width, height), last, highest = PANEL, line[-1][0], max(value for _, value in line)
    top = next((top for top in (0.2, 0.5, 1, 2, 5, 10) if top >= highest), highest)
    panel = Image.new("RGB", PANEL, PAPER)
    draw = ImageDraw.Draw(panel)

    def at(step: float, value: float) -> tuple[float, float]:
        across = MARGIN + step / last * (width - 2 * MARGIN)
        return across, height - MARGIN - value / top * (height - 2 * MARGIN)

    for value in (0, top / 2, top):
        draw.line((at(0, value), at(last, value)), RULE)
        draw.text((MARGIN - 8, at(0, value)[1]), f"{value:g}", INK, font(), anchor="rm")
    for step in (0, last):
        draw.text((at(step, 0)[0], height - MARGIN + 14), str(step), INK, font(), anchor="mm")
    draw.text((MARGIN, MARGIN / 2), title, INK, font(), anchor="lm")
    points = [at(*point) for point in line]
    draw.line(points, colour, 2)
    for point in points:
        draw.circle(point, 4, colour)
    return panel
