"""The one preprocessing: serving, training and scoring all call it."""

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torchvision.transforms.v2 import functional as tv

from .registry import ModelSpec


def as_tensor(image: NDArray[np.uint8]) -> Tensor:
    """uint8 RGB [H, W, 3] -> uint8 [1, 3, H, W], on the same memory where it can be written."""
    return torch.from_numpy(np.require(image, requirements=["C", "W"])).permute(2, 0, 1)[None]


def seen_size(size: tuple[int, int], longer: int, whole: int = 1) -> tuple[int, int]:
    """Height and width at which a picture of `size` is seen: its longer side becomes `longer`.

    Both as the nearest multiples of `whole`.
    """
    scale = longer / max(size) / whole
    return max(1, round(size[0] * scale)) * whole, max(1, round(size[1] * scale)) * whole


def preprocess(images: Tensor, spec: ModelSpec, size: int | None = None) -> Tensor:
    """What the network of `spec` gets to see: uint8 RGB [B, 3, H, W] -> float32 [B, 3, h, w].

    The longer side becomes `size` pixels, larger or smaller, and the aspect stays; where None the
    spec says both. Then `(x / 255 - mean) / std`. Stays on the device of `images`.
    """
    sides = (images.shape[-2], images.shape[-1])
    target = seen_size(sides, size) if size else seen_size(sides, spec.input_size, spec.whole)
    x = tv.resize(images, list(target), antialias=True)  # nothing to do where the size is right
    mean = torch.tensor(spec.mean, device=x.device).view(3, 1, 1)
    std = torch.tensor(spec.std, device=x.device).view(3, 1, 1)
    return (x / 255 - mean) / std
