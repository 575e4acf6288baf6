"""The networks, one file a family: plain modules on torch and torchvision, nothing else of ours."""

from typing import Protocol

from torch import Tensor, nn


class Network(Protocol):
    """What each of them has, beside being an nn.Module.

    features: an encoder that may have weights of its own, where there is one.
    stride: what the sides of what `scores` takes are multiples of.
    cell: how many pixels one of its scores stands for, each way.
    """

    stride: int
    cell: int

    def __call__(self, x: Tensor) -> Tensor:
        """float32 [B, 3, H, W], any H and W of at least 1 -> logits [B, C, H, W]."""

    def scores(self, x: Tensor) -> Tensor:
        """float32 [B, 3, H, W] -> logits [B, C, H / cell, W / cell], as fine as they are found."""

    def stages(self) -> dict[str, nn.Module]:
        """Modules to be looked into, in the order in which they run, by key.

        `downN`, of which there is one at least, and `upN` give feature maps; `score`, `coarse`
        and `fusedN` give a score a class.
        `upN` and `fusedN` are called with what comes from below and what the skip from `downN`
        brings.
        """
