"""A picture in, what the person gets out: the one way for the page, its API and the terminal."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .engine import THRESHOLD, Segmentation, Source, ready
from .images import load_image
from .overlay import mask_png, paint, resize, save_webp, shown_size
from .registry import ModelSpec, find_model

OPACITY = 0.6


@dataclass
class Prediction:
    """What a model found in a photo.

    shown: the photo at the size for a screen, uint8 RGB [h, w, 3]. milliseconds: by stage, in the
    order they came; waiting for other requests is not in them.
    """

    spec: ModelSpec
    device: str
    result: Segmentation
    shown: NDArray[np.uint8]
    milliseconds: dict[str, float] = field(default_factory=dict)

    def at(self, threshold: float) -> "Prediction":
        """The same answer of the network, read with `threshold`, and nothing computed from it yet.

        That makes it small enough to be kept: full-size labels of a photo take megabytes.
        """
        return replace(self, result=replace(self.result, threshold=threshold))

    def overlay(self, opacity: float) -> NDArray[np.uint8]:
        """The shown photo with the labels painted over it, uint8 RGB [h, w, 3]."""
        height, width = self.shown.shape[:2]
        return paint(self.shown, replace(self.result, size=(height, width)).labels, opacity)

    def report(self) -> dict[str, Any]:
        """What is told beside the pictures; size as [width, height], coverage in percent."""
        coverage = {k: round(100 * v, 2) for k, v in self.result.coverage.items() if v}
        height, width = self.result.size
        return {
            "model": self.spec.name,
            "device": self.device,
            "size": [width, height],
            "coverage": dict(sorted(coverage.items(), key=lambda item: -item[1])),
            "milliseconds": self.milliseconds,
        }

    def save_mask(self, folder: Path, stem: str) -> Path:
        """Write STEM.mask.png: the photo's size, label values."""
        path = folder / f"{stem}.mask.png"
        with stage(self.milliseconds, "mask"):
            path.write_bytes(mask_png(self.result.labels))
        return path

    def save_overlay(self, folder: Path, stem: str, opacity: float = OPACITY) -> Path:
        """Write STEM.overlay.webp: the shown size."""
        path = folder / f"{stem}.overlay.webp"
        with stage(self.milliseconds, "overlay"):
            save_webp(self.overlay(opacity), path)
        return path


def predict(source: Source, model: str, threshold: float = THRESHOLD) -> Prediction:
    """Read a picture and segment it. Raises BadImage, UnknownModel, WeightsError."""
    spec = find_model(model)
    runner = ready(spec)
    milliseconds: dict[str, float] = {}
    with stage(milliseconds, "read"):
        photo = load_image(source)
        shown = resize(photo, shown_size(*photo.shape[:2]))
    with runner.lock, stage(milliseconds, "network"):
        result = runner(photo, threshold)
    return Prediction(spec, runner.device.type, result, shown, milliseconds)


@contextmanager
def stage(milliseconds: dict[str, float], name: str) -> Iterator[None]:
    """Note how long what happens inside took."""
    started = time.perf_counter()
    yield
    milliseconds[name] = round((time.perf_counter() - started) * 1000, 1)
