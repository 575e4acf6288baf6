"""The rows as a picture."""

from collections.abc import Iterator
from html import escape
from typing import Any

from .rows import OURS, Row

WIDTH, LEFT, BAR, TITLE, GAP = 860, 300, 16, 22, 14


def chart(measured: dict[str, Any]) -> str:
    """An SVG: a group of bars for each row, the longest as long as the picture is wide."""
    drawn = list(groups(measured))
    height = drawn[-1][0] + GAP if drawn else GAP
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}" '
        'font-family="sans-serif" font-size="12">'
        f'<rect width="{WIDTH}" height="{height}" fill="#fff"/>'
        + "".join(part for _, part in drawn)
        + "</svg>"
    )


def groups(measured: dict[str, Any]) -> Iterator[tuple[int, str]]:
    """The lower end of each group, and its SVG."""
    y = GAP
    for row in (Row(**row) for row in measured["rows"]):
        parts = [f'<text x="{GAP}" y="{y + 12}" font-weight="bold">{escape(row.title)}</text>']
        y += TITLE
        for way, value in row.ways.items():
            long = (WIDTH - LEFT - 90) * value / max(row.ways.values())
            colour = "#e8590c" if way == OURS else "#adb5bd"
            middle = y + BAR - 4
            parts.append(
                f'<text x="{LEFT - 8}" y="{middle}" text-anchor="end">{escape(way)}</text>'
                f'<rect x="{LEFT}" y="{y + 2}" width="{long:.1f}" height="{BAR - 4}" '
                f'rx="2" fill="{colour}"/>'
                f'<text x="{LEFT + long + 6:.1f}" y="{middle}">{value:g} {row.unit}</text>'
            )
            y += BAR
        y += GAP
        yield y, "".join(parts)
