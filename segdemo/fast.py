"""A trained network made fast: the same function in fewer passes and a smaller precision."""

from collections.abc import Sequence
from copy import deepcopy
from itertools import pairwise
from typing import cast

import torch
from torch import Tensor, nn
from torch.nn.utils import fuse_conv_bn_eval

# What Inductor makes of convolutions on a CPU too. Not public, so it may be missing one day.
FUSES = hasattr(torch.ops.mkldnn, "_convolution_pointwise")
ACTIVATIONS: dict[type[nn.Module], tuple[str, list[float]]] = {
    nn.Identity: ("none", []),
    nn.ReLU: ("relu", []),
    nn.ReLU6: ("hardtanh", [0.0, 6.0]),
}

# What takes no other precision than that of its weights.
PARTICULAR = (
    nn.Conv1d,
    nn.Conv2d,
    nn.ConvTranspose2d,
    nn.Linear,
    nn.PReLU,
    nn.GroupNorm,
    nn.LayerNorm,
)


def made_small(
    network: nn.Module,
    dtype: torch.dtype,
    exact: Sequence[str],
    example: Tensor,
) -> nn.Module:
    """A copy of a trained network whose weights are of `dtype`, but not yet what is between them.

    exact: its parts, by the start of their names, that stay in float32.
    example: float32 [1, 3, h, w], something that the network may be shown: the rounding of its
        weights is made up for as this needs.
    """
    small = fold_batchnorm(deepcopy(network).eval().cpu()).to(memory_format=torch.channels_last)
    if dtype != torch.float32:
        round_weights(small, dtype, exact, example.to(memory_format=torch.channels_last))
    return small


def made_fast(small: nn.Module, device: torch.device) -> nn.Module:
    """What `made_small` returned, ready to compute on `device`, float32 in; in place."""
    if device.type == "cpu" and FUSES:
        fuse(small)
    for module in small.modules():
        if isinstance(module, PARTICULAR) and module.weight is not None:
            module.to(module.weight.dtype)  # its bias, which rounds what was made up for
            module.register_forward_pre_hook(into_its_precision)
    return small.to(device)


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


@torch.no_grad()
def round_weights(
    network: nn.Module,
    dtype: torch.dtype,
    exact: Sequence[str],
    example: Tensor,
) -> None:
    """Round the weights of all convolutions to `dtype`, but for the `exact` parts; in place.

    What that adds to a channel's mean on the example is taken off its bias again, which is most
    of what rounding does (Nagel et al. 2019, https://arxiv.org/abs/1906.04721, section 4.2).
    """
    means: dict[nn.Module, Tensor] = {}

    def look(module: nn.Module, inputs: tuple[Tensor]) -> None:
        means[module] = inputs[0].mean(dim=(0, 2, 3))

    small = [
        module
        for name, module in network.named_modules()
        if isinstance(module, nn.Conv2d | nn.ConvTranspose2d) and not name.startswith(tuple(exact))
    ]
    hooks = [module.register_forward_pre_hook(look) for module in small]
    network(example)
    for hook in hooks:
        hook.remove()
    for module in small:
        before = module.weight.data
        module.weight.data = before.to(dtype)
        if isinstance(module, nn.Conv2d) and module.bias is not None:
            lost = (before - module.weight.float()).sum(dim=(2, 3))  # [outputs, inputs / groups]
            lost = lost.reshape(module.groups, -1, lost.shape[1])
            mean = means[module].reshape(module.groups, -1, 1)
            module.bias.data += (lost @ mean).flatten()


def into_its_precision(module: nn.Module, inputs: tuple[Tensor]) -> Tensor:
    """A forward pre-hook."""
    return inputs[0].to(cast(Tensor, module.weight).dtype)


class FusedConv(nn.Module):
    """A convolution and the activation after it in one call, its weights laid out for that.

    They are laid out for the size of the first input; another size takes them too. The bias may
    be float32 where the weights are bfloat16.
    """

    def __init__(self, convolution: nn.Conv2d, activation: type[nn.Module]) -> None:
        super().__init__()
        self.weight: Tensor = convolution.weight.data
        self.bias = None if convolution.bias is None else convolution.bias.data
        self.dtype = self.weight.dtype
        self.geometry = (
            convolution.padding,
            convolution.stride,
            convolution.dilation,
            convolution.groups,
        )
        self.after = (*ACTIVATIONS[activation], "")

    def forward(self, x: Tensor) -> Tensor:
        x = x.to(self.dtype)
        if not self.weight.is_mkldnn:
            self.weight = torch.ops.mkldnn._reorder_convolution_weight(
                self.weight, *self.geometry, list(x.shape)
            )
        y: Tensor = torch.ops.mkldnn._convolution_pointwise.default(
            x, self.weight, self.bias, *self.geometry, *self.after
        )
        return y


def fuse(module: nn.Module) -> None:
    """Exchange the convolutions, with the activations after them in an nn.Sequential; in place."""
    in_order = isinstance(module, nn.Sequential)
    if in_order:
        for name, child in list(module.named_children()):
            if isinstance(child, nn.Identity):
                delattr(module, name)
    last = ("", nn.Identity())
    for (name, child), (after, follower) in pairwise([*module.named_children(), last]):
        if type(child) is not nn.Conv2d:
            fuse(child)
            continue
        if child.padding_mode != "zeros" or isinstance(child.padding, str):
            continue
        fuses = after and in_order and type(follower) in ACTIVATIONS
        setattr(module, name, FusedConv(child, type(follower) if fuses else nn.Identity))
        if fuses:
            delattr(module, after)
