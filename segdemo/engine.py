"""Networks that are ready, and what they make of a picture."""

import logging
import math
import threading
import time
from collections import defaultdict
from collections.abc import Iterator
from copy import deepcopy
from dataclasses import dataclass, replace
from functools import cache, cached_property
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor, nn
from torch.nn.utils import fuse_conv_bn_eval

from .hub import HubError
from .images import Source, load_shown
from .preprocess import as_tensor, preprocess
from .registry import MODELS, ModelSpec, find_model
from .weights import WeightsError, find_weights, read_facts
from .zerogpu import ZERO_GPU, on_gpu

THRESHOLD = 0.5
FORGET = 30.0  # seconds, after which a Hub that did not answer is asked again

# On each device one picture at a time, which has all of it to itself.
TURNS = defaultdict[str, threading.RLock](threading.RLock)

log = logging.getLogger("segdemo")


@dataclass(frozen=True)
class Segmentation:
    """What a network found in a picture.

    logits: float32 [C, h, w], as the network gave them, at its own size.
    size: height and width of the picture, upright.
    classes: names; `labels` indexes them, 0 is the background.
    threshold: for a model of one class, the probability from which on a pixel is that class. A
        model of many takes the most probable class, and no threshold.
    device: "cpu" or "cuda", where the network ran.
    """

    logits: Tensor
    size: tuple[int, int]
    classes: tuple[str, ...]
    threshold: float = THRESHOLD
    device: str = "cpu"

    @cached_property
    def labels(self) -> NDArray[np.uint8]:
        """uint8 [H, W] at the picture's own size, indexes `classes`."""
        labels = np.empty(self.size, np.uint8)
        for rows, part in self._bands():
            labels[rows] = self._choose(part)[0].numpy()
        return labels

    @cached_property
    def confidence(self) -> NDArray[np.float32]:
        """float32 [H, W], 0..1: the probability of the label that was chosen."""
        labels, confidence = np.empty(self.size, np.uint8), np.empty(self.size, np.float32)
        for rows, part in self._bands():
            chosen, best = self._choose(part)
            if len(part) == 1:
                sure = torch.where(chosen.bool(), best, 1 - best)
            else:  # a softmax, of which only the largest is wanted
                sure = 1 / (part - best).exp().sum(dim=0)
            labels[rows], confidence[rows] = chosen.numpy(), sure.numpy()
        vars(self)["labels"] = labels  # found on the way
        return confidence

    def _choose(self, logits: Tensor) -> tuple[Tensor, Tensor]:
        """Labels, uint8 [rows, W], of logits [C, rows, W]; and float32, what they were chosen by.

        That is the probability of the one class, or the largest logit of many.
        """
        best = logits[0]
        if len(logits) == 1:
            best = best.sigmoid()
            return (best >= self.threshold).to(torch.uint8), best
        chosen = torch.zeros(best.shape, dtype=torch.uint8)
        for label, other in enumerate(logits[1:], 1):  # several times as fast as argmax
            chosen.masked_fill_(other > best, label)
            best = torch.maximum(best, other)
        return chosen, best

    @cached_property
    def coverage(self) -> dict[str, float]:
        """Share of the picture, 0..1, for each class but the background."""
        pixels = np.bincount(self.labels.ravel(), minlength=len(self.classes))
        shares = pixels / self.labels.size
        return {name: float(shares[i]) for i, name in enumerate(self.classes) if i}

    def _bands(self) -> Iterator[tuple[slice, Tensor]]:
        """The logits at the picture's own size, float32 [C, rows, W], a band of rows at a time.

        Bilinear, as F.interpolate does it; but the logits of 21 classes for a whole 12-megapixel
        photo would take a gigabyte.
        """
        (height, width), channels = self.size, len(self.logits)
        wide = F.interpolate(
            self.logits[None], (self.logits.shape[1], width), mode="bilinear", align_corners=False
        )[0]
        rows = wide.shape[1]
        where = ((torch.arange(height) + 0.5) * rows / height - 0.5).clamp(0, rows - 1)
        band = max(1, 4_000_000 // (channels * width))
        for top in range(0, height, band):
            y = where[top : top + band]
            above = y.long()
            below = (above + 1).clamp(max=rows - 1)
            part = torch.lerp(wide[:, above], wide[:, below], (y - above)[None, :, None])
            yield slice(top, top + band), part


class Runner:
    """A network made ready to answer: BatchNorm folded, on its device, in its precision."""

    def __init__(
        self, spec: ModelSpec, network: nn.Module, device: torch.device, dtype: torch.dtype
    ) -> None:
        self.spec, self.device, self.dtype = spec, device, dtype
        folded = fold_batchnorm(deepcopy(network).eval())
        self.network = folded.to(device, dtype).to(memory_format=torch.channels_last)
        self.given = self.network if device.type == "cpu" else network  # for `spare`
        self.lock = TURNS[device.type]

    def __call__(self, image: NDArray[np.uint8], threshold: float = THRESHOLD) -> Segmentation:
        """Segment uint8 RGB [H, W, 3]; on the CPU where the GPU's memory does not suffice.

        Raises OutOfMemoryError, RuntimeError where the CPU's does not either.
        """
        try:
            return self.answer(image, threshold)
        except torch.OutOfMemoryError:
            if self.device.type == "cpu":
                raise
            log.warning("the GPU's memory is full", extra={"model": self.spec.name})
        torch.cuda.empty_cache()  # here, where the error no longer holds what was computed
        return self.spare(image, threshold)

    def answer(self, image: NDArray[np.uint8], threshold: float = THRESHOLD) -> Segmentation:
        """The same by this network and no other. Raises OutOfMemoryError, RuntimeError."""
        place = self.device.type
        with self.lock:
            lend = ZERO_GPU and place == "cuda"
            logits = lent(self.spec.name, image) if lend else self.logits(image)
        found = torch.from_numpy(logits)
        return Segmentation(found, image.shape[:2], self.spec.classes, threshold, place)

    def logits(self, image: NDArray[np.uint8]) -> NDArray[np.float32]:
        """float32 [C, h, w] for uint8 RGB [H, W, 3]."""
        # Inference mode belongs to the thread, and the page answers in many.
        with torch.inference_mode():
            x = preprocess(as_tensor(image).to(self.device), self.spec)
            x = x.to(self.dtype, memory_format=torch.channels_last)
            return self.network(x)[0].float().cpu().numpy()

    @cached_property
    def spare(self) -> "Runner":
        """The same on the CPU, made when it is needed."""
        return serving_runner(self.spec, self.given, torch.device("cpu"))


def segment(image: Source, model: str = "chair-unet", threshold: float = THRESHOLD) -> Segmentation:
    """Find what `model` looks for in a picture.

    image: a path, a PIL image, or uint8 RGB [H, W, 3].
    threshold: 0..1, see Segmentation.

    Raises BadImage, UnknownModel, WeightsError.
    """
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
            raise error  # else every request would wait for it
        try:
            return _ready(spec.name)
        except WeightsError as error:
            if isinstance(error.__cause__, HubError):
                _failed[spec.name] = time.monotonic(), error
            raise


@cache
def _ready(name: str) -> Runner:
    return serving_runner(find_model(name), load_network(name), pick_device())


@on_gpu
def lent(name: str, image: NDArray[np.uint8]) -> NDArray[np.float32]:
    """The logits of a model that is ready, where a GPU is lent for one function."""
    return _ready(name).logits(image)


def serving_runner(spec: ModelSpec, network: nn.Module, device: torch.device) -> Runner:
    """A runner in the fastest precision that the model's answers bear."""
    return Runner(spec, network, device, fast_dtype(device) if spec.bf16 else torch.float32)


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
    """The precision that the device is fastest in: asked, since an old CPU only emulates bf16."""
    if device.type == "cuda":
        return torch.bfloat16 if torch.cuda.is_bf16_supported(False) else torch.float32
    capable = torch.cpu.get_capabilities()
    return torch.bfloat16 if capable.get("avx512_bf16") else torch.float32


def fold_batchnorm(module: nn.Module) -> nn.Module:
    """Fold each BatchNorm that follows a convolution in an nn.Sequential into it; in place.

    The same function in evaluation, and one pass over the memory less.
    """
    for child in module.children():
        fold_batchnorm(child)
    if isinstance(module, nn.Sequential):
        for i in range(1, len(module)):
            convolution, norm = module[i - 1], module[i]
            if isinstance(convolution, nn.Conv2d) and isinstance(norm, nn.BatchNorm2d):
                module[i - 1] = fuse_conv_bn_eval(convolution, norm)
                module[i] = nn.Identity()
    return module
