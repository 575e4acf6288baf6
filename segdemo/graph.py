"""A network compiled for one size of picture, by oneDNN Graph."""

import warnings
from collections.abc import Callable
from typing import cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from .networks import Network

# TorchScript is the only way to oneDNN Graph, and deprecated, so it may be missing one day. What
# else compiles for a CPU, torch.compile, needs a C++ compiler beside it.
COMPILES = hasattr(torch.jit, "enable_onednn_fusion") and torch.backends.mkldnn.is_available()  # type: ignore[no-untyped-call]
PROFILED = 3  # runs, after which TorchScript has compiled what it saw

Scores = Callable[[Tensor], Tensor]


def compiled(network: nn.Module, x: Tensor) -> Scores:
    """`scores` of a network in evaluation, for inputs laid out as `x` is, [B, 3, H, W]; no others.

    The weights of its convolutions may be of several precisions, all else is float32; it is used
    up. A convolution becomes one kernel with all that follows it, and nothing is looked up between
    them, which takes a third off the time. Takes half a second and some 45 MB itself.
    """
    part_biases(network)
    with torch.no_grad(), warnings.catch_warnings():
        warnings.simplefilter("ignore")  # that it is deprecated
        torch.jit.enable_onednn_fusion(True)
        traced = torch.jit.trace(  # type: ignore[no-untyped-call]
            OfScores(network), x, check_trace=False
        )
        # Its own changes to the graph would round what is float32 here to bfloat16.
        frozen = torch.jit.freeze(traced.eval(), optimize_numerics=False)
        for _ in range(PROFILED):
            frozen(x)
    return cast(Scores, frozen)


class OfScores(nn.Module):
    """A network whose `forward` is its `scores`: engines take nothing else."""

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network

    def forward(self, x: Tensor) -> Tensor:
        return cast(Network, self.network).scores(x)


class BiasApart(nn.Module):
    """A convolution in the precision of its weights, and its bias in float32.

    A bias of bfloat16 would shift whole maps, and double the labels that change. A convolution
    takes no other, but batch_norm does, and oneDNN makes one kernel of both.
    """

    def __init__(self, convolution: nn.Conv2d | nn.ConvTranspose2d) -> None:
        super().__init__()
        self.zeros = torch.zeros(convolution.out_channels)
        self.ones = torch.ones(convolution.out_channels)
        self.bias = self.zeros if convolution.bias is None else convolution.bias
        convolution.bias = None
        self.convolution = convolution

    def forward(self, x: Tensor) -> Tensor:
        dtype = self.convolution.weight.dtype
        if x.dtype != dtype:  # else the trace would hold a conversion that parts its neighbours
            x = x.to(dtype)
        y: Tensor = self.convolution(x)
        return F.batch_norm(y, self.zeros, self.ones, self.ones, self.bias, eps=0)


def part_biases(module: nn.Module) -> None:
    """Exchange all convolutions; in place."""
    for name, child in module.named_children():
        if isinstance(child, nn.Conv2d | nn.ConvTranspose2d):
            setattr(module, name, BiasApart(child))
        else:
            part_biases(child)
