"""A picture in, what the person gets out: the one way for the page, its API and the terminal."""

import logging
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from functools import cached_property
from hashlib import sha256
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .console import OPACITY, THRESHOLD
from .engine import Segmentation, ready
from .errors import Fetching, refuse_if_late, refuse_while_fetched
from .files import write_whole
from .images import Source, load_shown
from .overlay import Colour, colours_of, grey_png, paint, webp
from .recent import Recent
from .registry import ModelSpec, find_model
from .weights import WeightsError

LEVELS = 200  # of probability in a grey picture: any threshold in steps of 0.005 is exact

log = logging.getLogger("segdemo")


@dataclass
class Prediction:
    """What a model found in a photo.

    milliseconds: by stage, in the order they came; on a CPU, waiting for other requests is not in
    them.
    """

    spec: ModelSpec
    result: Segmentation
    photo: "Photo"
    milliseconds: dict[str, float] = field(default_factory=dict)

    def at(self, threshold: float) -> "Prediction":
        """The same answer of the network, read with `threshold`, and nothing computed from it yet.

        That makes it small enough to be kept: full-size labels of a photo take megabytes.
        """
        return replace(self, result=replace(self.result, threshold=threshold))

    @property
    def shown(self) -> NDArray[np.uint8]:
        """The photo at the size for a screen, uint8 RGB [h, w, 3]."""
        return self.photo.shown

    @cached_property
    def screen(self) -> Segmentation:
        """The answer at the size of the shown photo."""
        height, width = self.shown.shape[:2]
        same = self.result.size == (height, width)  # then its labels are worked out once
        return self.result if same else replace(self.result, size=(height, width))

    def overlay(self, opacity: float) -> NDArray[np.uint8]:
        """The shown photo with the labels painted over it, uint8 RGB [h, w, 3]."""
        return paint(self.shown, self.screen.labels, opacity, self.colours)

    def layers(self) -> dict[str, bytes]:
        """What a browser paints over the shown photo, at its size, as grey PNG files.

        map: for a model of one class its probability, in LEVELS and rounded down; for one of many
        the labels, and then `sure` is the probability of each, in LEVELS too.
        """
        with stage(self.milliseconds, "pictures"):
            screen = self.screen
            sure, labels = screen.confidence, screen.labels  # in this order, one pass
            if self.spec.binary:
                return {"map": grey_png(in_levels(np.where(labels, sure, 1 - sure)))}
            return {"map": grey_png(labels), "sure": grey_png(in_levels(sure))}

    def photo_file(self) -> bytes:
        """The shown photo, a WebP file."""
        with stage(self.milliseconds, "photo"):
            return self.photo.file

    def classes(self) -> list[dict[str, Any]]:
        """Name and colour of every label."""
        colours = self.colours
        return [
            {"name": name, "colour": colours.get(label, (0, 0, 0))}
            for label, name in enumerate(self.spec.classes)
        ]

    @property
    def colours(self) -> dict[int, Colour]:
        """RGB of the labels, but for the background."""
        return colours_of(self.spec.classes)

    def report(self) -> dict[str, Any]:
        """What is told beside the pictures; size as [width, height], coverage in percent."""
        coverage = {k: round(100 * v, 2) for k, v in self.result.coverage.items() if v}
        height, width = self.result.size
        return {
            "model": self.spec.name,
            "device": self.result.device,
            "size": [width, height],
            "coverage": dict(sorted(coverage.items(), key=lambda item: -item[1])),
            "milliseconds": self.milliseconds,
        }

    def save_mask(self, folder: Path, stem: str) -> Path:
        """Write STEM.mask.png: the photo's size, label values."""
        path = folder / f"{stem}.mask.png"
        with stage(self.milliseconds, "mask"):
            write_whole(path, grey_png(self.result.labels))
        return path

    def save_overlay(self, folder: Path, stem: str, opacity: float = OPACITY) -> Path:
        """Write STEM.overlay.webp: the shown size."""
        path = folder / f"{stem}.overlay.webp"
        with stage(self.milliseconds, "overlay"):
            write_whole(path, webp(self.overlay(opacity)))
        return path


@dataclass(frozen=True)
class Photo:
    """A photo that was read.

    shown: at the size for a screen, uint8 RGB [h, w, 3]. size: height and width of the whole.
    milliseconds: that reading it took.
    """

    shown: NDArray[np.uint8]
    size: tuple[int, int]
    milliseconds: dict[str, float]

    @cached_property
    def file(self) -> bytes:
        """`shown` as a WebP file: encoded once for all models."""
        return webp(self.shown)


# An answer takes some 0.1 to 0.3 MB, and a photo 3 to 5, beside which its file is little. With an
# answer, the time of its network.
ANSWERS = Recent[tuple[Segmentation, float]](64_000_000, lambda timed: timed[0].logits.nbytes)
PHOTOS = Recent[Photo](256_000_000, lambda photo: photo.shown.nbytes)


def forget() -> None:
    """Drop what has been kept for too long."""
    ANSWERS.forget()
    PHOTOS.forget()


def read(source: Source) -> Photo:
    """Read a picture that somebody asks about. Raises BadImage, Busy."""
    refuse_if_late()
    spent: dict[str, float] = {}
    with stage(spent, "read"):
        shown, size = load_shown(source)
    return Photo(shown, size, spent)


def predict_on(
    photo: Photo,
    model: str,
    threshold: float = THRESHOLD,
    keep: bool = True,
    quick: bool = False,
) -> Prediction:
    """Segment a photo. Raises UnknownModel, WeightsError, Fetching.

    keep: whether it may come again: then its answer is kept for a while, and found again.
    quick: to take half the time where the model is shown the mirror image too (`Runner.quick`).
    """
    spec, spent = find_model(model), dict(photo.milliseconds)
    refuse_while_fetched(model)
    runner = ready(spec)
    if quick:  # a GPU that is lent is asked for each time: too much for every frame
        runner = runner.spare.quick if runner.lends else runner.quick

    def run() -> tuple[Segmentation, float]:
        with stage(spent, "network"):
            found = runner(photo.shown)
        return found, spent["network"]

    if keep:
        # By pixels and not by visitor: everybody tries the same examples. The time is that of
        # the run, so that nobody learns from it who asked before.
        key = runner, photo.shown.shape, sha256(photo.shown.data).digest()
        result, spent["network"] = ANSWERS.get(key, run, runner.lock)
    else:
        with runner.lock:
            result, _ = run()
    result = replace(result, size=photo.size, threshold=threshold)
    log.info("answered", extra={"model": model, "milliseconds": dict(spent)})
    return Prediction(spec, result, photo, spent)


def each_on(
    photo: Photo, models: Iterable[str], threshold: float = THRESHOLD
) -> Iterator[tuple[str, Prediction | WeightsError | Fetching]]:
    """What each of the models finds in a photo; one that cannot be had gives its error."""
    for model in models:
        try:
            yield model, predict_on(photo, model, threshold)
        except (WeightsError, Fetching) as error:
            yield model, error


def predict(source: Source, model: str, threshold: float = THRESHOLD) -> Prediction:
    """Read a picture and segment it. Raises BadImage, Busy, UnknownModel, WeightsError."""
    find_model(model)  # before the work of reading
    return predict_on(read(source), model, threshold)


def in_levels(probability: NDArray[np.float32]) -> NDArray[np.uint8]:
    return (probability * LEVELS).astype(np.uint8)


@contextmanager
def stage(milliseconds: dict[str, float], name: str) -> Iterator[None]:
    """Note how long what happens inside took."""
    started = time.perf_counter()
    yield
    spent = milliseconds[name] = round((time.perf_counter() - started) * 1000, 1)
    log.debug("stage", extra={"stage": name, "seconds": spent / 1000})
