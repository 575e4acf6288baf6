"""How a network sees a photo, stage by stage, for people who want to understand it."""

import logging
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from copy import copy
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor, nn

from .engine import Runner, Segmentation, ready
from .overlay import Colour, colours_of, paint, resize
from .preprocess import seen_size
from .registry import ModelSpec
from .views import heat
from .zerogpu import ZERO_GPU

MAPS, COLUMNS = 8, 4  # feature maps in a picture
CELL, GAP = 128, 4  # pixels: the longer side of one map, and what is between two
PAIR = 2 * CELL + GAP  # the longer side of each of two pictures, which together are as wide
GROUND = (24, 24, 27)  # between maps: near black, calm on a light page and on a dark one

Picture = NDArray[np.uint8]  # RGB [H, W, 3]

log = logging.getLogger("segdemo")


@dataclass(frozen=True)
class Stage:
    """What one stage of a network makes of the photo.

    key: as the network's `stages` names it, or "input". kind: "input", "down", "bottom", "up",
    "score", "coarse" or "fused".
    channels, height, width: of its output, for the photo with its padding; of "input" without.
    picture: the most telling feature maps, each in its own range, dark is low; or for scores what
    they say: one colour a class over the grey photo, as `legend` has it, or the probability of the
    one class.
    """

    key: str
    kind: str
    channels: int
    height: int
    width: int
    picture: Picture
    legend: Mapping[str, Colour] = field(default_factory=dict)


@dataclass(frozen=True)
class Skip:
    """What one skip connection is good for.

    key: the stage that it joins. kind: "skip" of a U-Net, or "finer" scores of an FCN. height,
    width: of that stage's output. changed: share of the labels, 0..1, that are others without it.
    picture: the full answer, and beside it the one without.
    """

    key: str
    kind: str
    height: int
    width: int
    changed: float
    picture: Picture


@dataclass(frozen=True)
class Inside:
    """stages: from the photo down the encoder and up the decoder; skips: deepest first."""

    stages: tuple[Stage, ...]
    skips: tuple[Skip, ...]


def look_inside(spec: ModelSpec, photo: Picture) -> Inside:
    """How the network of `spec` sees a photo, uint8 RGB [H, W, 3]. Raises WeightsError.

    Runs the network once, and once more for each skip; other requests wait for their turn.
    """
    runner = ready(spec)
    log.info("looked inside", extra={"model": spec.name})
    if ZERO_GPU:  # runs it in another process, which cannot be looked into
        return look_through(runner.spare, photo)
    return runner.or_spare(partial(look_through, photo=photo))


def look_through(runner: Runner, photo: Picture) -> Inside:
    """The same for a runner. Its network is left as it was."""
    runner = copy(runner.quick)  # the photo, not its mirror image
    runner.compiled = {}  # what is compiled has no modules to look into
    runner.together = None
    modules = runner.network.stages()
    outputs: dict[str, Tensor] = {}
    answers: dict[str, Segmentation] = {}
    with runner.turn:  # while there are hooks, nobody else's picture runs through them
        with ExitStack() as hooks:
            for key, module in modules.items():
                hooks.enter_context(module.register_forward_hook(keeper(outputs, key)))
            full = runner.answer(photo)
        for key, module in modules.items():
            if key.startswith(("up", "fused")):
                with module.register_forward_pre_hook(without_skip):
                    answers[key] = runner.answer(photo)

    seen = seen_size(full.size, runner.spec.input_size, runner.spec.whole)
    view = View(photo, full, seen, runner.network.stride)
    stages = [view.input(len(runner.spec.mean))]
    last = [key for key in outputs if key.startswith("down")][-1]
    for key, maps in outputs.items():
        kind = "bottom" if key == last else key.rstrip("0123456789")
        channels, height, width = maps.shape
        features = kind in ("down", "bottom", "up")
        picture, legend = (view.features(maps), {}) if features else view.scores(maps)
        stages.append(Stage(key, kind, channels, height, width, picture, legend))
    skips = [view.skip(key, outputs[key], answer) for key, answer in answers.items()]
    return Inside(tuple(stages), tuple(skips))


def keeper(outputs: dict[str, Tensor], key: str) -> Callable[..., None]:
    """A forward hook that keeps a copy of the output: float32 [C, h, w] on the CPU."""

    def keep(module: nn.Module, inputs: object, output: Tensor) -> None:
        outputs[key] = output[0].to("cpu", torch.float32, copy=True)

    return keep


def without_skip(module: nn.Module, inputs: tuple[Tensor, Tensor]) -> tuple[Tensor, Tensor]:
    """A forward pre-hook: zeros in place of what the skip brings."""
    below, skip = inputs
    return below, torch.zeros_like(skip)


class View:
    """Makes pictures of one photo's maps, all of the photo's shape."""

    def __init__(
        self, photo: Picture, full: Segmentation, seen: tuple[int, int], stride: int
    ) -> None:
        self.photo, self.full, self.colours = photo, full, colours_of(full.classes)
        self.seen = seen  # height and width of what the network sees
        self.padded = tuple(-(-side // stride) * stride for side in self.seen)

    def size(self, side: int) -> tuple[int, int]:
        """Height and width of a picture of the photo whose longer side is `side`."""
        return seen_size(self.photo.shape[:2], side)

    def fit(self, map_: NDArray[np.uint8], side: int, labels: bool = False) -> NDArray[np.uint8]:
        """A map, uint8 [h, w] or [h, w, 3], over the padded photo, as a picture of the photo.

        Enlarged with hard edges, so that one sees how fine it is.
        """
        height, width = self.size(side)
        tall = max(1, round(height * self.padded[0] / self.seen[0]))
        wide = max(1, round(width * self.padded[1] / self.seen[1]))
        shrinks = map_.shape[0] > tall and not labels
        way = Image.Resampling.BOX if shrinks else Image.Resampling.NEAREST
        whole = np.asarray(Image.fromarray(map_).resize((wide, tall), way))
        return whole[:height, :width]

    def input(self, channels: int) -> Stage:
        """The photo as small as the network sees it, enlarged again."""
        small = Image.fromarray(resize(self.photo, self.seen))
        height, width = self.size(PAIR)
        picture = np.asarray(small.resize((width, height), Image.Resampling.NEAREST))
        return Stage("input", "input", channels, *self.seen, picture)

    def features(self, maps: Tensor) -> Picture:
        """The most telling of float32 [C, h, w], best first.

        Those that vary most, each by what the ones before it do not show already.
        """
        # Without the padding: it repeats the photo's edge, and would count double.
        rows, columns = (
            -(-maps.shape[1 + side] * self.seen[side] // self.padded[side]) for side in (0, 1)
        )
        inner = maps[:, :rows, :columns].flatten(1)
        rest, chosen = inner - inner.mean(dim=1, keepdim=True), list[int]()
        for _ in range(min(MAPS, len(maps))):
            power = rest.square().sum(dim=1)
            power[chosen] = -1
            chosen.append(int(power.argmax()))
            new = rest[chosen[-1]] / rest[chosen[-1]].norm().clamp(min=1e-6)
            rest = rest - torch.outer(rest @ new, new)
        low, high = inner[chosen].quantile(torch.tensor([0.01, 0.99]), dim=1)[..., None, None]
        shown = ((maps[chosen] - low) / (high - low).clamp(min=1e-6)).numpy()
        return grid([self.fit(heat(one), CELL) for one in shown])

    def scores(self, maps: Tensor) -> tuple[Picture, dict[str, Colour]]:
        """What scores, float32 [C, h, w], say, at their own resolution; and the colours in it."""
        if len(maps) == 1:
            return self.fit(heat(maps[0].sigmoid().numpy()), PAIR), {}
        labels = self.fit(maps.argmax(0).numpy().astype(np.uint8), PAIR, labels=True)
        photo = Image.fromarray(resize(self.photo, self.size(PAIR)))
        grey = np.asarray(photo.convert("L").convert("RGB"))
        sizes = np.bincount(labels.ravel(), minlength=len(maps))
        largest = [label for label in np.argsort(-sizes) if label and sizes[label]]
        legend = {self.full.classes[label]: self.colours[label] for label in largest}
        return paint(grey, labels, 0.7, self.colours), legend

    def skip(self, key: str, maps: Tensor, answer: Segmentation) -> Skip:
        """The full answer beside `answer`, which is the one without the skip of stage `key`.

        maps: what that stage gave, [C, h, w].
        """
        full, other = (replace(each, size=self.seen).labels for each in (self.full, answer))
        size = self.size(PAIR)
        photo = resize(self.photo, size)
        pair = [
            paint(photo, replace(each, size=size).labels, colours=self.colours)
            for each in (self.full, answer)
        ]
        kind = "skip" if key.startswith("up") else "finer"
        height, width = maps.shape[1:]
        return Skip(key, kind, height, width, float((full != other).mean()), grid(pair))


def grid(cells: Sequence[NDArray[Any]]) -> Picture:
    """Pictures of one size, COLUMNS beside one another, a GAP between them and none around."""
    height, width = cells[0].shape[:2]
    columns, rows = min(COLUMNS, len(cells)), -(-len(cells) // COLUMNS)
    tall, wide = rows * (height + GAP) - GAP, columns * (width + GAP) - GAP
    sheet = np.full((tall, wide, 3), GROUND, np.uint8)
    for index, cell in enumerate(cells):
        top, left = index // COLUMNS * (height + GAP), index % COLUMNS * (width + GAP)
        sheet[top : top + height, left : left + width] = cell
    return sheet
