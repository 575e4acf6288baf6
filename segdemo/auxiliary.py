"""An auxiliary task: to tell all kinds of things apart, beside the one that is looked for.

An auxiliary loss as in PSPNet (Zhao et al. 2017, https://arxiv.org/abs/1612.01105, section 4), but
of another task. "No chair" tells little of what a sofa, a table or a person is; the masks tell it,
and a network that knows them mistakes them less.
"""

from typing import cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from .data import IGNORE, KINDS
from .hints import watch
from .networks import Network

CELL = 4  # pixels of a place where it is asked, each way


class Auxiliary(nn.Module):
    """How badly a stage of a network's way up tells KINDS of things, through a 1x1 convolution.

    That is all that is trained here. Raises ValueError where it has no stage of that size.
    """

    def __init__(self, network: nn.Module, device: torch.device) -> None:
        super().__init__()
        side = 2 * cast(Network, network).stride
        self.seen = watch(network, "up", side, device)
        fitting = [key for key, maps in self.seen.items() if maps.shape[-1] * CELL == side]
        if not fitting:
            raise ValueError(f"it has no way up with a stage at 1/{CELL} of the size")
        self.key = fitting[-1]
        self.tell = nn.Conv2d(self.seen[self.key].shape[1], len(KINDS.classes), 1).to(device)

    def forward(self, kinds: Tensor) -> Tensor:
        """The mean cross-entropy over the places that count, a scalar.

        kinds: uint8 [B, S, S], of the images that the network was just shown, or IGNORE.
        """
        # One of the four pixels in the middle of each place, drawn by torch's global generator.
        row, column = (CELL // 2 - torch.randint(2, (2,))).tolist()
        truth = kinds[:, row::CELL, column::CELL].long()
        scores = self.tell(self.seen[self.key].float())
        losses = F.cross_entropy(scores, truth, ignore_index=IGNORE, reduction="sum")
        return losses / (truth != IGNORE).sum().clamp(min=1)
