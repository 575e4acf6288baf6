"""Hints of a teacher: what a trained network sees inside, learnt by another beside the masks.

FitNets (Romero et al. 2015, https://arxiv.org/abs/1412.6550). Masks are few and tell a deep
encoder that starts from nothing little; a teacher has something to tell of every photo.
"""

from typing import cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from .engine import load_network
from .fast import fold_batchnorm
from .networks import Network
from .networks.padding import padded
from .preprocess import preprocess
from .registry import ModelSpec


class Hints(nn.Module):
    """How badly the way down of a student foretells that of a trained model, its teacher.

    Stages of the same size are compared, through a 1x1 convolution each: these are all that is
    trained here. Raises WeightsError.
    """

    def __init__(self, teacher: ModelSpec, student: nn.Module, device: torch.device) -> None:
        super().__init__()
        network = fold_batchnorm(load_network(teacher.name)).requires_grad_(False).to(device)
        network = network.to(memory_format=torch.channels_last)
        self.teacher = (teacher, cast(Network, network))  # no submodule
        # Of what both are shown, so that their stages have the same sizes.
        self.stride = max(cast(Network, network).stride, cast(Network, student).stride)
        self.given, self.seen = (
            watch(watched, "down", 2 * self.stride, device) for watched in (network, student)
        )
        by_size = {maps.shape[-2:]: key for key, maps in self.seen.items()}
        self.pairs = [
            (key, by_size[maps.shape[-2:]])
            for key, maps in self.given.items()
            if maps.shape[-2:] in by_size
        ]
        self.foretell = nn.ModuleList(
            nn.Conv2d(self.seen[ours].shape[1], self.given[theirs].shape[1], 1)
            for theirs, ours in self.pairs
        ).to(device)

    def forward(self, images: Tensor) -> Tensor:
        """The loss, for uint8 images [B, 3, S, S] that the student was just shown, padded to
        `stride`: a scalar.

        The mean over the stages of the mean squared error, where 1 is what it takes to know
        nothing but each channel's mean.
        """
        spec, network = self.teacher
        x = padded(preprocess(images, spec, images.shape[-1]), self.stride)
        with torch.no_grad():
            network.scores(x.to(memory_format=torch.channels_last))
        errors = []
        for (theirs, ours), foretell in zip(self.pairs, self.foretell, strict=True):
            target = F.batch_norm(self.given[theirs].float(), None, None, training=True)
            errors.append(F.mse_loss(foretell(self.seen[ours]).float(), target))
        return torch.stack(errors).mean()


def watch(network: nn.Module, way: str, side: int, device: torch.device) -> dict[str, Tensor]:
    """What the stages "down" or "up" last gave, [B, C, h, w] each; kept up to date by hooks.

    At first for a picture of `side` pixels each way.
    """
    maps: dict[str, Tensor] = {}
    for key, module in cast(Network, network).stages().items():
        if key.startswith(way):
            module.register_forward_hook(
                lambda _, inputs, output, key=key: maps.update({key: output})
            )
    with torch.no_grad():
        cast(Network, network.eval()).scores(torch.zeros(1, 3, side, side, device=device))
    return maps
