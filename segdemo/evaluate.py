"""Scoring: what a model answers, against the truth."""

from collections.abc import Callable, Sequence
from math import nan
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn
from tqdm import tqdm

from .boundary import boundary_table
from .data import IGNORE, DataError, Folder, open_folders
from .engine import Runner
from .registry import ModelSpec
from .weights import read_facts, weights_folder, write_facts

Predict = Callable[[NDArray[np.uint8]], Any]  # a Runner, or what returns an object with `labels`

BAND = 256  # rows that are counted at a time: each pixel takes eight bytes then
FALSE_ALARM = 0.01  # share of a photo without the class from which on painting it is an alarm


def confusion(
    truth: NDArray[np.uint8], answer: NDArray[np.uint8], classes: int
) -> NDArray[np.int64]:
    """int64 [classes, classes]: pixels by truth (row) and answer (column), IGNORE left out."""
    table = np.zeros(classes * classes, np.int64)
    for top in range(0, len(truth), BAND):
        there, found = truth[top : top + BAND], answer[top : top + BAND]
        counts = there != IGNORE
        pairs = there[counts].astype(np.intp) * classes + found[counts]
        table += np.bincount(pairs, minlength=classes * classes)
    return table.reshape(classes, classes)


def iou(table: NDArray[np.int64]) -> NDArray[np.float64]:
    """Intersection over union of each class of a confusion table; nan where it is nowhere."""
    hits = np.diagonal(table, axis1=-2, axis2=-1)
    union = table.sum(-1) + table.sum(-2) - hits
    return np.divide(hits, union, out=np.full(hits.shape, np.nan), where=union > 0)


def dice(iou: NDArray[np.float64]) -> NDArray[np.float64]:
    """Dice (F1) of the same pixels, out of their IoU."""
    return 2 * iou / (1 + iou)


def overall(table: NDArray[np.int64], named: Sequence[int]) -> float:
    """The figure that answers are compared by, out of a confusion table; nan where none counts.

    The mean IoU of the classes that the truth shows, out of those that it can name; for a model of
    one class that class's.
    """
    # Of small sets: a class that no photo shows has no IoU worth a mean; its alarms are counted.
    shown = [label for label in named if table[label].sum()]
    return mean(iou(table)[[label for label in shown if label or len(table) > 2]])


def pixel_accuracy(table: NDArray[np.int64]) -> float:
    """Share of the counted pixels that are right, out of a confusion table; nan where none is."""
    return float(np.trace(table) / table.sum()) if table.any() else nan


def evaluate(predict: Predict, folder: Folder, classes: tuple[str, ...]) -> dict[str, Any]:
    """Score `predict` on a folder.

    Returns, for the folder: `photos`; `iou`, the figure that models are compared by: the mean of
    the pooled IoU of the classes that its masks show, or for a model of one class that class's;
    `pixel_accuracy`; and for each class that the folder names: `iou` (pooled: sum of
    intersections over sum of unions), `photo_iou` (mean over the photos where it is or was
    found), `dice` (pooled), `boundary_iou` (pooled, of the bands along its edges), and
    `false_alarms` (share of the photos without it where over 1 % is painted with it, out of
    `photos_without`). All are 0..1, or None where nothing could be counted.

    Raises DataError.
    """
    tables = np.zeros((len(folder), len(classes), len(classes)), np.int64)
    edges = np.zeros((len(classes), 2), np.int64)
    for index in tqdm(range(len(folder)), desc=folder.name, leave=False, disable=None):
        image, truth = folder.sample(index)
        answer = predict(image).labels
        tables[index] = confusion(truth, answer, len(classes))
        edges += boundary_table(truth, answer, len(classes))

    pooled = tables.sum(axis=0)
    pooled_iou, photo_iou = iou(pooled), iou(tables)
    by_class = {}
    for label in folder.named:
        of_class = tables[:, label, :].sum(-1)
        pixels = tables.sum((1, 2))
        without = (of_class == 0) & (pixels > 0)
        painted = tables[:, :, label].sum(-1)[without] / pixels[without]
        by_class[classes[label]] = {
            "iou": figure(pooled_iou[label]),
            "photo_iou": figure(mean(photo_iou[:, label])),
            "dice": figure(dice(pooled_iou)[label]),
            "boundary_iou": figure(edges[label, 0] / edges[label, 1] if edges[label, 1] else nan),
            "false_alarms": figure(mean(painted > FALSE_ALARM)),
            "photos_without": int(without.sum()),
        }
    return {
        "photos": len(folder),
        "iou": figure(overall(pooled, folder.named)),
        "pixel_accuracy": figure(pixel_accuracy(pooled)),
        "classes": by_class,
    }


def score(
    spec: ModelSpec, network: nn.Module, roots: Sequence[Path], split: str
) -> dict[str, dict[str, Any]]:
    """ "FOLDER/SPLIT" -> what `evaluate` says of it, for each of the data folders `roots`.

    In float32 on the CPU, so that the figures come out the same on every machine. Photos of more
    than `images.SHOWN` pixels are served out of a smaller copy, which these figures leave out.
    Raises DataError, also where no folder has photos in `split`.
    """
    runner = Runner(spec, network, torch.device("cpu"), torch.float32)
    return score_answers(runner, spec, roots, split)


def score_answers(
    predict: Predict, spec: ModelSpec, roots: Sequence[Path], split: str
) -> dict[str, dict[str, Any]]:
    """The same of what `predict` answers, for the classes of `spec`. Raises DataError."""
    folders = open_folders(roots, split, spec)
    if not folders:
        raise DataError(f"None of {', '.join(map(str, roots))} has images in {split}/images.")
    return {
        f"{folder.name}/{folder.split}": evaluate(predict, folder, spec.classes)
        for folder in folders
    }


def record(spec: ModelSpec, scores: dict[str, dict[str, Any]], folder: Path | None = None) -> None:
    """Write `scores` into the model's facts, beside what is there for other folders and splits."""
    facts = read_facts(spec, folder)
    facts["figures"] = facts.get("figures", {}) | scores
    write_facts(folder or weights_folder(), spec, facts)


def as_text(scores: dict[str, dict[str, Any]]) -> str:
    """A table for the terminal: a line a folder, and a line a class below it."""
    heads = ("iou", "photo_iou", "dice", "boundary_iou", "false_alarms")
    lines = [f"{'':28}" + "".join(f"{head:>14}" for head in heads)]
    for name, scored in scores.items():
        summary = f"{scored['photos']} photos, pixel accuracy {scored['pixel_accuracy']}"
        lines.append(f"{name:28}{text(scored['iou'])}   {summary}")
        for label, figures in scored["classes"].items():
            lines.append(f"  {label:26}" + "".join(text(figures[head]) for head in heads))
    return "\n".join(lines)


def text(value: float | None) -> str:
    return f"{'-':>14}" if value is None else f"{value:14.4f}"


def mean(values: NDArray[Any]) -> float:
    """Mean of those that are numbers; nan where none is."""
    values = values[~np.isnan(values)]
    return float(values.mean()) if values.size else float("nan")


def figure(value: float) -> float | None:
    """As it is written down: four digits, None for nan."""
    return None if np.isnan(value) else round(float(value), 4)
