"""What photos are shown to a model at, and how sure it has to be: figures on `val` to choose by."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from hashlib import sha256
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
    alarms: share of the photos without a class, of all folders and classes but the background,
        that are painted with it, 0..1; None where every photo has them all.
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
    return [choice for size in sizes for choice in of_size(spec, network, roots, size, sures)]


def of_size(
    spec: ModelSpec, network: nn.Module, roots: Sequence[Path], size: int, sures: Sequence[float]
) -> Iterator[Choice]:
    spec = replace(spec, input_size=size)
    exact = Runner(spec, network, CPU, torch.float32)
    served = serving_runner(spec, network, CPU)
    for runner in (exact, served):
        vars(runner)["logits"] = Once(runner.logits)  # the same, however sure it has to be
    for sure in sures:
        exact.spec = served.spec = spec = replace(spec, sure=sure)
        both = Both(exact, served)
        scores = score_answers(both, spec, roots, "val")
        iou = {name.removesuffix("/val"): scored["iou"] for name, scored in scores.items()}
        yield Choice(size, sure, iou, alarms(scores), both.changed / both.pixels)


class Once:
    """What `run` makes of a picture, worked out once for each."""

    def __init__(self, run: Callable[[NDArray[np.uint8]], NDArray[np.float32]]) -> None:
        self.run = run
        self.known: dict[bytes, NDArray[np.float32]] = {}

    def __call__(self, image: NDArray[np.uint8]) -> NDArray[np.float32]:
        key = sha256(str(image.shape).encode() + image.tobytes()).digest()
        if key not in self.known:
            self.known[key] = self.run(image)
        return self.known[key]


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
    of_class = [
        figures
        for scored in scores.values()
        for name, figures in scored["classes"].items()
        if name != "background" and figures["photos_without"]
    ]
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
