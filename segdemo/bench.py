"""How long an answer takes on this machine, beside the plain way, measured in turn.

Only ratios out of one run can be compared: machines differ, and their speed drifts.
"""

import time
from collections.abc import Callable, Sequence
from functools import partial
from statistics import median
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import nn

from .engine import Runner, load_network, pick_device, serving_runner
from .preprocess import as_tensor, preprocess
from .registry import ModelSpec, find_model

HEIGHT, WIDTH = 480, 640  # what a webcam gives
RUNS = 7


def bench(models: Sequence[str]) -> dict[str, Any]:
    """Median milliseconds from photo to labels by model, ours and the plain way, and their ratio.

    The plain way: the float32 network as it was loaded, and the labels from logits that were
    enlarged to the photo. Raises UnknownModel, WeightsError.
    """
    device = pick_device()
    photo = np.random.default_rng(0).integers(0, 256, (HEIGHT, WIDTH, 3), np.uint8)
    rows = {}
    for name in models:
        spec, network = find_model(name), load_network(name)
        runner = serving_runner(spec, network, device)
        plain = network.to(device)
        ours_ms, plain_ms = in_turn(
            partial(ours, runner, photo), partial(plainly, spec, plain, photo)
        )
        rows[name] = {
            "precision": str(runner.dtype).removeprefix("torch."),
            "milliseconds": round(ours_ms, 1),
            "plain_milliseconds": round(plain_ms, 1),
            "times_as_fast": round(plain_ms / ours_ms, 2),
        }
    return {
        "device": device.type,
        "threads": torch.get_num_threads(),
        "photo": [WIDTH, HEIGHT],
        "runs": RUNS,
        "models": rows,
    }


def ours(runner: Runner, photo: NDArray[np.uint8]) -> NDArray[np.uint8]:
    return runner(photo).labels


def plainly(spec: ModelSpec, network: nn.Module, photo: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Labels as one would first write it."""
    device = next(network.parameters()).device
    with torch.inference_mode():
        logits = network(preprocess(as_tensor(photo).to(device), spec))
        logits = F.interpolate(logits, photo.shape[:2], mode="bilinear")[0]
        labels = logits.argmax(0) if len(logits) > 1 else logits[0].sigmoid() >= 0.5
        return labels.to(torch.uint8).cpu().numpy()


def in_turn(first: Callable[[], object], second: Callable[[], object]) -> tuple[float, float]:
    """Median milliseconds of each, after a warm-up, one of each after the other."""
    first(), second()
    times: tuple[list[float], list[float]] = ([], [])
    for _ in range(RUNS):
        for run, spent in zip((first, second), times, strict=True):
            started = time.perf_counter()
            run()
            spent.append((time.perf_counter() - started) * 1000)
    return median(times[0]), median(times[1])


def as_text(measured: dict[str, Any]) -> str:
    width, height = measured["photo"]
    lines = [
        f"photo {width}x{height} to labels, median of {measured['runs']} runs, "
        f"{measured['device']}, {measured['threads']} threads",
        f"{'':16}{'ms':>10}{'plain ms':>10}{'faster':>10}  precision",
    ]
    for name, row in measured["models"].items():
        lines.append(
            f"{name:16}{row['milliseconds']:10.1f}{row['plain_milliseconds']:10.1f}"
            f"{row['times_as_fast']:9.2f}x  {row['precision']}"
        )
    return "\n".join(lines)
