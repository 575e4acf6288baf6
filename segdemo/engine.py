"""Networks that are ready, and what they make of a picture."""

import logging
import math
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, nullcontext
from copy import copy, deepcopy
from dataclasses import dataclass, replace
from functools import cache, cached_property
from pathlib import Path
from typing import Any, TypeVar, cast

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor, nn

from .console import THRESHOLD
from .fast import FUSES, made_fast, made_small
from .graph import COMPILES, Scores, compiled
from .hub import HubError
from .images import Source, load_shown
from .networks import Network
from .networks.padding import padded
from .preprocess import as_tensor, preprocess, seen_size
from .registry import MODELS, ModelSpec, find_model
from .sure import only_sure
from .together import Together
from .weights import WeightsError, find_weights, read_facts
from .zerogpu import ZERO_GPU, on_gpu

EXAMPLE = Path(__file__).parent / "examples" / "test" / "images" / "living-room.webp"
FORGET = 30.0  # seconds, after which a Hub that did not answer is asked again

# On each device one network at a time, which has all of it to itself.
TURNS: dict[str, AbstractContextManager[Any]] = {}

log = logging.getLogger("segdemo")

Made = TypeVar("Made")


@dataclass(frozen=True, eq=False)  # tensors have no one answer to whether they are equal
class Segmentation:
    """What a network found in a picture.

    logits: float32 [C, h, w], as fine as the network gave them; but changed so that regions that
        are nowhere sure do not count (`only_sure`).
    size: height and width of the picture, upright.
    classes: names; `labels` indexes them, 0 is the background.
    threshold: for a model of one class, the probability from which on a pixel is that class. A
        model of many takes the most probable class, and no threshold.
    device: "cpu" or "cuda", where the network ran.
    beyond: how far the logits reach beyond the picture, below and on the right; in rows and
        columns of theirs, 0..1.
    """

    logits: Tensor
    size: tuple[int, int]
    classes: tuple[str, ...]
    threshold: float = THRESHOLD
    device: str = "cpu"
    beyond: tuple[float, float] = (0.0, 0.0)

    @cached_property
    def labels(self) -> NDArray[np.uint8]:
        """uint8 [H, W] at the picture's own size, indexes `classes`."""
        return self._read()[0]

    @cached_property
    def confidence(self) -> NDArray[np.float32]:
        """float32 [H, W], 0..1: the probability of the label that was chosen.

        By `logits`, which were changed where a region is not sure enough to count. Of many
        classes, those that are nowhere likely are enlarged as one, by the sum of their part in
        the softmax: on the shipped model's answers that is off by 0.0002 on average.
        """
        vars(self)["labels"], confidence = self._read(sure=True)  # labels are found on the way
        return confidence

    def _read(self, sure: bool = False) -> tuple[NDArray[np.uint8], NDArray[np.float32]]:
        """Labels and, where `sure` asks for it, confidence; both [H, W]."""
        labels = np.empty(self.size, np.uint8)
        confidence = np.empty(self.size if sure else 0, np.float32)
        if len(self.logits) == 1:
            for rows, part in bands(self.logits, self.size, self.beyond):
                p = part[0].sigmoid()
                found = p >= self.threshold
                labels[rows] = found.numpy()
                if sure:
                    confidence[rows] = torch.where(found, p, 1 - p).numpy()
            return labels, confidence
        classes, maps = self._decisive
        for rows, part in bands(maps if sure else maps[:-1], self.size, self.beyond):
            best = part[0]
            chosen = torch.full(best.shape, classes[0], dtype=torch.uint8)
            for label, other in zip(classes[1:], part[1:], strict=False):  # as argmax, but fast
                chosen.masked_fill_(other > best, label)
                best = torch.maximum(best, other)
            labels[rows] = chosen.numpy()
            if sure:
                confidence[rows] = (part - best).exp_().sum(dim=0).reciprocal_().numpy()
        return labels, confidence

    @cached_property
    def _decisive(self) -> tuple[list[int], Tensor]:
        """What a softmax of many classes is read from, so that not all of them are enlarged.

        The classes that are somewhere within a factor e of the most probable one, and float32
        [classes + 1, h, w]: their logits, then the logarithm of the sum of all others' odds.
        """
        best = self.logits.amax(dim=0)
        odds = (self.logits - best).exp_()
        classes = (odds.flatten(1).amax(dim=1) > math.exp(-1)).nonzero()[:, 0].tolist()
        odds[classes] = 0
        others = best + odds.sum(dim=0).log_().clamp_(min=-1e4)  # of none, which has no logarithm
        return classes, torch.cat([self.logits[classes], others[None]])

    @cached_property
    def coverage(self) -> dict[str, float]:
        """Share of the picture, 0..1, for each class but the background."""
        # Pillow counts the bytes as they are; NumPy would make each an int64.
        pixels = Image.fromarray(self.labels).histogram()
        return {name: pixels[i] / self.labels.size for i, name in enumerate(self.classes) if i}


def bands(
    maps: Tensor, size: tuple[int, int], beyond: tuple[float, float]
) -> Iterator[tuple[slice, Tensor]]:
    """Maps, float32 [C, h, w], enlarged to `size`: float32 [C, rows, W], a band of rows at a time.

    Bilinear, as F.interpolate does it; but the logits of 21 classes for a whole 12-megapixel
    photo would take a gigabyte. beyond: of the maps' height and width, what is not the picture's.
    """
    (height, width), (channels, rows, columns) = size, maps.shape
    left, right, share = between(width, columns, beyond[1])
    wide = maps.index_select(2, left).lerp_(maps.index_select(2, right), share)
    above, below, share = between(height, rows, beyond[0])
    band = max(1, 1_000_000 // (channels * width))
    for top in range(0, height, band):
        part = slice(top, min(height, top + band))
        upper, lower = (wide.index_select(1, row[part]) for row in (above, below))
        yield part, upper.lerp_(lower, share[part, None])


def between(count: int, places: int, beyond: float) -> tuple[Tensor, Tensor, Tensor]:
    """Where each of `count` pixels in a row lies among `places` - `beyond` places.

    The one before it, the one after it, int64 [count], and how near the latter is, 0..1 [count].
    """
    where = (torch.arange(count) + 0.5) * ((places - beyond) / count) - 0.5
    where = where.clamp(0, places - 1)
    before = where.long()
    return before, (before + 1).clamp(max=places - 1), where - before


class Runner:
    """A network made ready to answer: fast, on its device, in its precision."""

    def __init__(
        self,
        spec: ModelSpec,
        network: nn.Module,
        device: torch.device,
        dtype: torch.dtype,
        compiles: bool = False,
    ) -> None:
        """compiles: to be faster for pictures as cameras take them, 4:3 and lying, on the CPU."""
        self.spec, self.device, self.dtype = spec, device, dtype
        example = preprocess(as_tensor(example_photo()), spec)
        exact = spec.float32 if dtype == torch.bfloat16 else ()
        small = made_small(network, dtype, exact, example)
        copy = deepcopy(small) if compiles and device.type == "cpu" and COMPILES else None
        self.network = cast(Network, made_fast(small, device))
        self.given = None if device.type == "cpu" else network  # for `spare`
        # A GPU that is lent has a queue of its own, in which others must not wait too.
        self.lends = ZERO_GPU and device.type == "cuda"
        self.turn = TURNS.setdefault(device.type, threading.RLock())  # in one step
        # What a whole answer waits for: on a CPU it has all of that to itself. On a GPU only
        # the network is waited for, and what waits shares a batch.
        self.lock = self.turn if device.type == "cpu" else nullcontext()
        self.together = (
            None if device.type == "cpu" or self.lends else Together(self.network.scores, self.turn)
        )
        self.compiled: dict[torch.Size, Scores] = {}  # by the shape of the input
        if copy is not None:
            self.compile(copy, self.laid_out(example))

    def compile(self, small: nn.Module, x: Tensor) -> None:
        """Compile what `made_small` returned for inputs like `x`.

        Every other shape would take another 45 MB, for which it has to come often, as the frames
        of a webcam do.
        """
        try:
            with self.lock:
                self.compiled[x.shape] = compiled(small, x)
        except RuntimeError as error:
            log.warning("not compiled", exc_info=error, extra={"model": self.spec.name})

    def laid_out(self, x: Tensor) -> Tensor:
        """What `preprocess` returns, as `scores` takes it."""
        return padded(x, self.network.stride).to(memory_format=torch.channels_last)

    def scores(self, x: Tensor) -> Tensor:
        """The network's scores, [1, C, h, w], in the fastest way there is for this size."""
        return (self.together or self.compiled.get(x.shape, self.network.scores))(x)

    def __call__(self, image: NDArray[np.uint8], threshold: float = THRESHOLD) -> Segmentation:
        """Segment uint8 RGB [H, W, 3]; on the CPU where the GPU is full, fails, or none is lent.

        Raises OutOfMemoryError, RuntimeError where the CPU does not either.
        """
        return self.or_spare(lambda runner: runner.answer(image, threshold))

    def or_spare(self, work: Callable[["Runner"], Made]) -> Made:
        """`work` with this runner; with the CPU's where the GPU is full, fails, or none is lent."""
        try:
            return work(self)
        except RuntimeError as error:  # a GPU raises many kinds of it
            if self.device.type == "cpu":
                raise
            log.warning("not on the GPU", exc_info=error, extra={"model": self.spec.name})
            full = isinstance(error, torch.OutOfMemoryError)
        if full:
            torch.cuda.empty_cache()  # here, where the error no longer holds what was computed
        return work(self.spare)

    def answer(self, image: NDArray[np.uint8], threshold: float = THRESHOLD) -> Segmentation:
        """The same by this network and no other. Raises OutOfMemoryError, NotLent, RuntimeError."""
        place = self.device.type
        with self.lock:
            logits = lent(self.spec.name, image) if self.lends else self.logits(image)
        size, cell = image.shape[:2], self.network.cell
        found = torch.from_numpy(only_sure(logits, self.spec.sure, cell))
        sides = seen_size(size, self.spec.input_size, self.spec.whole)
        beyond = (-sides[0] % cell / cell, -sides[1] % cell / cell)
        return Segmentation(found, size, self.spec.classes, threshold, place, beyond)

    def logits(self, image: NDArray[np.uint8]) -> NDArray[np.float32]:
        """float32 [C, h, w] for uint8 RGB [H, W, 3]: the network's scores, as coarse as they are.

        To enlarge them twice, to what the network sees and then to the picture, would take
        longer than the network.
        """
        # Inference mode belongs to the thread, and the page answers in many.
        with torch.inference_mode():
            x = preprocess(as_tensor(image).to(self.device), self.spec)
            height, width = x.shape[-2:]
            x = self.laid_out(x)
            scores = self.scores(x)
            if self.spec.flips:  # only now, so that the cells of both lie on each other
                scores = (scores + self.scores(x.flip(-1)).flip(-1)) / 2
            rows, columns = (-(-side // self.network.cell) for side in (height, width))
            return scores[0, :, :rows, :columns].float().contiguous().cpu().numpy()

    @cached_property
    def quick(self) -> "Runner":
        """The same without the mirror image: for a live camera, whose next frame comes anyway."""
        quick = copy(self)
        vars(quick).pop("spare", None)  # which is not as quick
        quick.spec = replace(self.spec, flips=False)
        return quick

    @cached_property
    def spare(self) -> "Runner":
        """The same on the CPU, made when it is needed."""
        return serving_runner(self.spec, self.given, torch.device("cpu")) if self.given else self


def segment(image: Source, model: str = "chair-unet", threshold: float = THRESHOLD) -> Segmentation:
    """Find what `model` looks for in a picture.

    image: a path, a PIL image, or uint8 RGB [H, W, 3].
    threshold: 0..1, see Segmentation.

    Raises BadImage, UnknownModel, WeightsError; ValueError for a threshold out of bounds.
    """
    if not 0 <= threshold <= 1:
        raise ValueError(f"The threshold is from 0 to 1, not {threshold}.")
    runner = ready(find_model(model))
    shown, size = load_shown(image)
    return replace(runner(shown, threshold), size=size)


def load_network(model: str, folder: Path | None = None) -> nn.Module:
    """The trained network: float32, eval, on the CPU; [B, 3, H, W] -> logits [B, C, H, W].

    It expects what `preprocess` returns. folder: where its weights lie, if not in `weights/`.
    Raises UnknownModel, WeightsError.
    """
    spec = find_model(model)
    facts, path = read_facts(spec, folder), find_weights(spec, folder)
    try:
        network = spec.build(classes=spec.logits, **facts["architecture"])
        network.load_state_dict(load_file(path), strict=True)
    except (KeyError, TypeError, ValueError, RuntimeError, OSError, SafetensorError) as error:
        raise WeightsError(f"The weights {path} do not fit the network of {spec.name}.") from error
    return network.eval()


_loading = {name: threading.Lock() for name in MODELS}
_failed: dict[str, tuple[float, WeightsError]] = {}


def ready(spec: ModelSpec) -> Runner:
    """The runner of a model, loaded the first time and kept. Raises WeightsError."""
    # Two visitors at once load once, and nobody waits while another model is fetched.
    with _loading[spec.name]:
        at, error = _failed.get(spec.name, (-math.inf, None))
        if error and time.monotonic() - at < FORGET:
            # Else every request would wait for it. A new one: each raise makes it longer.
            raise WeightsError(str(error)) from error.__cause__
        try:
            return _ready(spec.name)
        except WeightsError as error:
            if isinstance(error.__cause__, HubError):
                _failed[spec.name] = time.monotonic(), error
            raise


@cache
def _ready(name: str) -> Runner:
    spec, network, cpu = find_model(name), load_network(name), torch.device("cpu")
    # Where GPUs are lent, networks are moved to them at the start, by the main thread, or never.
    late = ZERO_GPU and threading.current_thread() is not threading.main_thread()
    device = cpu if late else pick_device()
    try:
        return warm_runner(spec, network, device)
    except RuntimeError as error:  # of a GPU that is full, broken, or too old for this torch
        if device.type == "cpu":
            raise
        log.warning("not on the GPU", exc_info=error, extra={"model": name})
    return warm_runner(spec, network, cpu)


def warm_runner(spec: ModelSpec, network: nn.Module, device: torch.device) -> Runner:
    """A runner that has run once, since the first time takes longer; where GPUs are lent, not."""
    runner = serving_runner(spec, network, device)
    if ZERO_GPU:
        return runner
    with runner.lock:
        sound = np.isfinite(runner.logits(example_photo())).all()
    if sound or runner.dtype != torch.float16:
        return runner
    # As some cards without tensor cores give, https://github.com/pytorch/pytorch/issues/58123.
    log.warning("not in float16", extra={"model": spec.name})
    return Runner(spec, network, device, torch.float32)


@on_gpu
def lent(name: str, image: NDArray[np.uint8]) -> NDArray[np.float32]:
    """The logits of a model that is ready, where a GPU is lent for one function."""
    return _ready(name).logits(image)


def serving_runner(spec: ModelSpec, network: nn.Module, device: torch.device) -> Runner:
    """A runner in the fastest precision that the model's answers bear, compiled where it can be."""
    return Runner(spec, network, device, serving_dtype(spec, device), compiles=True)


def serving_dtype(spec: ModelSpec, device: torch.device) -> torch.dtype:
    """On a GPU with tensor cores float16, as fast there as bfloat16, and eight times as fine."""
    if device.type == "cuda":
        tensor_cores = torch.cuda.get_device_capability(device) >= (7, 0)
        return torch.float16 if tensor_cores else torch.float32
    # Without FUSES biases are rounded too, and then even mixed precision changes too much.
    return fast_dtype(device) if FUSES or not spec.float32 else torch.float32


@cache
def example_photo() -> NDArray[np.uint8]:
    """A photo as people show them, uint8 RGB [h, w, 3]; one that the project has rendered."""
    return load_shown(EXAMPLE)[0]


class DeviceError(RuntimeError):
    """A device that is not there; str(e) is one sentence."""


def pick_device(name: str = "auto") -> torch.device:
    """The device "cpu" or "cuda"; "auto" is the GPU where there is one. Raises DeviceError."""
    if name == "auto":
        name = "cuda" if torch.cuda.is_available() else "cpu"
    if name not in ("cpu", "cuda") or (name == "cuda" and not torch.cuda.is_available()):
        raise DeviceError(f"There is no device {name!r} here; auto finds the best there is.")
    return torch.device(name)


def fast_dtype(device: torch.device) -> torch.dtype:
    """The fastest precision with the range of float32: asked, since an old CPU only emulates it.

    Gradients need that range.
    """
    if device.type == "cuda":
        return torch.bfloat16 if torch.cuda.is_bf16_supported(False) else torch.float32
    capable = torch.cpu.get_capabilities()
    return torch.bfloat16 if capable.get("avx512_bf16") else torch.float32
