"""How long everything takes on this machine, each beside another way of doing it, in turn.

Only ratios out of one run can be compared: machines differ, and their speed drifts. Nothing here
is a promise, and no test asserts a time.
"""

from collections.abc import Iterator, Sequence
from typing import Any

import torch

from ..engine import pick_device
from ..registry import find_model
from .answers import of_model
from .processes import of_page
from .rows import OURS, Row


def bench(models: Sequence[str]) -> dict[str, Any]:
    """Measure the models and the page: {"device", "threads", "rows": [Row as a dict]}.

    Takes minutes. Raises UnknownModel, WeightsError.
    """
    specs = [find_model(name) for name in models]
    return {
        "device": pick_device().type,
        "threads": torch.get_num_threads(),
        "rows": [vars(row) for spec in specs for row in of_model(spec)]
        + [vars(row) for row in of_page(specs)],
    }


def as_text(measured: dict[str, Any]) -> str:
    """A table for a terminal: each way's median, and how many times ours that is."""
    return "\n".join(lines(measured))


def lines(measured: dict[str, Any]) -> Iterator[str]:
    yield f"{measured['device']}, {measured['threads']} threads; medians, measured in turn"
    for row in (Row(**row) for row in measured["rows"]):
        yield f"\n{row.title}"
        for way, value in row.ways.items():
            times = f"{value / row.ours:7.2f} times ours" if way != OURS else ""
            yield f"  {way:34}{value:9.1f} {row.unit}{times}".rstrip()
