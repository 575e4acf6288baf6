"""What photos are shown to a model at, and how sure it has to be: figures on `val` to choose by."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from .engine import Runner, serving_runner
from .evaluate import Predict, score_answers
from .registry import ModelSpec

CPU = torch.device("cpu")


@dataclass(frozen=True)
class Choice:
    """A model with this `input_size` and `sure`, and what it reaches.

    iou: the figure of each data folder, as `evaluate` has it, in float32.
    alarms: share of the photos without a class, of all classes and folders, that are painted
        with it, 0..1; None where every photo has them all.
    changed: share of the labels that are others in the precision of the page, 0..1.
    """

    input_size: int
    sure: float
    iou: dict[str, float | None]
    alarms: float | None
    changed: float


def choices(
    spec: ModelSpec,
    network: nn.Module,
    roots: Sequence[Path],
    sizes: Sequence[int],
    sures: Sequence[float],
) -> list[Choice]:
    """Every one of `sizes` with every one of `sures`, on the `val` split of `roots`, on the CPU.

    Raises DataError, also where no folder has photos there.
    """
    return [
        tried(replace(spec, input_size=size, sure=sure), network, roots)
        for size, sure in product(sizes, sures)
    ]


def tried(spec: ModelSpec, network: nn.Module, roots: Sequence[Path]) -> Choice:
    exact = Runner(spec, network, CPU, torch.float32)
    both = Both(exact, serving_runner(spec, network, CPU, compiles=True))
    scores = score_answers(both, spec, roots, "val")
    iou = {name.removesuffix("/val"): scored["iou"] for name, scored in scores.items()}
    return Choice(spec.input_size, spec.sure, iou, alarms(scores), both.changed / both.pixels)


class Both:
    """Answers as `exact` does, and counts the labels that are others in what `served` answers."""

    def __init__(self, exact: Predict, served: Predict) -> None:
        self.exact, self.served = exact, served
        self.changed = self.pixels = 0

    def __call__(self, image: NDArray[np.uint8]) -> Any:
        answer = self.exact(image)
        self.changed += int((answer.labels != self.served(image).labels).sum())
        self.pixels += answer.labels.size
        return answer


def alarms(scores: dict[str, dict[str, Any]]) -> float | None:
    """Of what `evaluate` returned for each folder: its false alarms, of all but the background."""
    of_class = [figures for scored in scores.values() for figures in scored["classes"].values()]
    of_class = [figures for figures in of_class if figures["photos_without"]]
    photos = sum(figures["photos_without"] for figures in of_class)
    painted = sum(figures["false_alarms"] * figures["photos_without"] for figures in of_class)
    return painted / photos if photos else None


def as_text(rows: Sequence[Choice]) -> str:
    """A table in Markdown, as the cards have it."""
    heads = ["size", "sure", *rows[0].iou, "mean", "false alarms", "labels changed by the page"]
    lines = [heads, ["---"] * len(heads)]
    for row in rows:
        known = [value for value in row.iou.values() if value is not None]
        lines.append(
            [
                str(row.input_size),
                str(row.sure),
                *("-" if value is None else f"{value:.3f}" for value in row.iou.values()),
                f"{np.mean(known):.3f}" if known else "-",
                "-" if row.alarms is None else f"{100 * row.alarms:.1f} %",
                f"{100 * row.changed:.2f} %",
            ]
        )
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)
