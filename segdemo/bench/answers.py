"""From pixels and files to answers, in this process."""

import tempfile
from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import partial
from io import BytesIO
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from PIL import Image, ImageCms
from torch import Tensor, nn

from ..engine import EXAMPLE, Runner, load_network, ready
from ..graph import OfScores
from ..predict import predict_on, read
from ..preprocess import as_tensor, preprocess
from ..registry import ModelSpec
from ..ui.answers import frame
from .peers import peers
from .rows import Row, in_turn

PLAIN = "float32 PyTorch, written simply"
SIZES = ((320, 240), (640, 480), (1920, 1080))


def of_model(spec: ModelSpec) -> Iterator[Row]:
    """What concerns one model. Raises WeightsError."""
    runner = ready(spec)
    plain = load_network(spec.name).to(runner.device)
    photo = Image.open(EXAMPLE).convert("RGB")

    x = preprocess(as_tensor(np.asarray(photo.resize((640, 480)))), spec)
    x = runner.laid_out(x.to(runner.device))
    # Its scores as coarse as they are: they are enlarged once, to the photo.
    scores, plainly = OfScores(plain), x.contiguous()
    row = in_turn(
        partial(alone, runner.scores, x),
        {PLAIN: partial(alone, scores, plainly), **peers(scores, plainly)},
    )
    yield replace(row, what="the network alone", model=spec.name)

    for size in SIZES:
        pixels = np.asarray(photo.resize(size))
        row = in_turn(
            partial(labels, runner, pixels),
            {PLAIN: partial(simply, spec, plain, pixels)},
        )
        yield replace(row, what=f"pixels to labels, {size[0]}x{size[1]}", model=spec.name)

    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "photo.jpg"
        photo.resize((4000, 3000)).save(path, quality=90)
        row = in_turn(
            partial(to_files, path, spec),
            {"Pillow opens it, saves a WebP of 1280": partial(pillow_alone, path)},
        )
        yield replace(row, what="12-megapixel JPEG to overlay and mask", model=spec.name)

    buffer, profile = BytesIO(), ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB"))
    photo.resize((640, 480)).save(buffer, "JPEG", icc_profile=profile.tobytes())  # as browsers do
    row = in_turn(
        partial(live, buffer.getvalue(), spec.name),
        {"its network alone": partial(alone, runner.scores, x)},
    )
    yield replace(row, what="a live frame of 640x480, on the server", model=spec.name)


def alone(network: Callable[[Tensor], Tensor], x: Tensor) -> Tensor:
    with torch.inference_mode():
        return network(x)[0].float().cpu()


def labels(runner: Runner, photo: NDArray[np.uint8]) -> NDArray[np.uint8]:
    return runner(photo).labels


def simply(spec: ModelSpec, network: nn.Module, photo: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Labels as one would first write it."""
    device = next(network.parameters()).device
    scale = spec.input_size / max(photo.shape[:2])
    height, width = (max(1, round(side * scale)) for side in photo.shape[:2])
    small = Image.fromarray(photo).resize((width, height), Image.Resampling.BILINEAR)
    x = (np.asarray(small, np.float32) / 255 - spec.mean) / spec.std
    with torch.inference_mode():
        logits = network(torch.from_numpy(x).float().permute(2, 0, 1)[None].to(device))
        logits = F.interpolate(logits, photo.shape[:2], mode="bilinear")[0]
        labels = logits.argmax(0) if len(logits) > 1 else logits[0].sigmoid() >= 0.5
        return labels.to(torch.uint8).cpu().numpy()


def live(photo: bytes, name: str) -> None:
    """A frame of a live camera. Raises RuntimeError where the page would show an error."""
    if told := frame(photo, name).get("error"):
        raise RuntimeError(told)


def to_files(path: Path, spec: ModelSpec) -> None:
    """What the terminal's `predict` does with one photo."""
    prediction = predict_on(read(path), spec.name, keep=False)
    prediction.save_overlay(path.parent, path.stem)
    prediction.save_mask(path.parent, path.stem)


def pillow_alone(path: Path) -> None:
    picture = Image.open(path).convert("RGB")
    picture.thumbnail((1280, 1280))
    picture.save(path.with_suffix(".webp"))
