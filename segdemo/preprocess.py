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


def seen_size(size: tuple[int, int], longer: int) -> tuple[int, int]:
    """Height and width at which a picture of `size` is seen: its longer side becomes `longer`."""
    scale = longer / max(size)
    return max(1, round(size[0] * scale)), max(1, round(size[1] * scale))


def preprocess(images: Tensor, spec: ModelSpec, size: int | None = None) -> Tensor:
    """What the network of `spec` gets to see: uint8 RGB [B, 3, H, W] -> float32 [B, 3, h, w].

    The longer side becomes `size` pixels (the spec's own where None), larger or smaller, the
    aspect stays; then `(x / 255 - mean) / std`. Stays on the device of `images`.
    """
    height, width = images.shape[-2:]
    target = seen_size((height, width), size or spec.input_size)
    x = tv.resize(images, list(target), antialias=True)  # nothing to do where the size is right
    mean = torch.tensor(spec.mean, device=x.device).view(3, 1, 1)
    std = torch.tensor(spec.std, device=x.device).view(3, 1, 1)
    return (x / 255 - mean) / std
