"""Pieces that all networks share: normalisation, upsampling, and how weights start.

Source: Isola et al. 2017, appendix 6.1 and 6.2.
"""

import math
from dataclasses import dataclass, field

import torch
from torch import Tensor, nn

from .validation import check_choice

NORMS = ("batch", "instance", "group", "layer", "none")
UPSAMPLINGS = ("transposed", "resize")


def make_norm(norm: str, channels: int) -> nn.Module:
    """Return the normalisation layer called `norm` for (N, channels, H, W) features.

    `batch` has a learned scale and shift, as in the paper; `instance` has neither; `group` uses up
    to 32 groups with scale and shift; `layer` takes its statistics over (C, H, W) of each image,
    with scale and shift; `none` returns its input.

    Raises:
        ValueError: if `norm` is not one of `NORMS`.
    """
    check_choice("norm", norm, NORMS)
    if norm == "batch":
        return nn.BatchNorm2d(channels)
    if norm == "instance":
        return nn.InstanceNorm2d(channels)
    if norm == "group":
        return nn.GroupNorm(math.gcd(32, channels), channels)
    if norm == "layer":
        return nn.GroupNorm(1, channels)
    return nn.Identity()


def needs_bias(norm: str) -> bool:
    """Return whether a convolution before this norm has a bias: yes, unless the norm has a shift.

    Raises:
        ValueError: if `norm` is not one of `NORMS`.
    """
    check_choice("norm", norm, NORMS)
    return norm in ("instance", "none")


def make_upsampling(upsampling: str, in_channels: int, out_channels: int, bias: bool) -> nn.Module:
    """Return a layer that doubles height and width: (N, in, H, W) to (N, out, 2H, 2W).

    `transposed` is the paper's 4x4 transposed convolution with stride 2; `resize` repeats each
    pixel twice in both directions and then applies a 3x3 convolution, which cannot leave a
    checkerboard (Odena et al. 2016).

    Raises:
        ValueError: if `upsampling` is not one of `UPSAMPLINGS`.
    """
    check_choice("upsampling", upsampling, UPSAMPLINGS)
    if upsampling == "transposed":
        return nn.ConvTranspose2d(
            in_channels, out_channels, kernel_size=4, stride=2, padding=1, bias=bias
        )
    return nn.Sequential(
        nn.Upsample(scale_factor=2, mode="nearest"),
        nn.Conv2d(in_channels, out_channels, kernel_size=3, padding=1, bias=bias),
    )


def init_weights(module: nn.Module) -> None:
    """Initialise one layer as the paper's code does; use it as `network.apply(init_weights)`.

    Convolutions start at N(0, 0.02), the scales of norms at N(1, 0.02), all biases and shifts at 0.
    """
    if isinstance(module, nn.Conv2d | nn.ConvTranspose2d):
        nn.init.normal_(module.weight, 0.0, 0.02)
    elif isinstance(module, nn.BatchNorm2d | nn.GroupNorm) and module.weight is not None:
        nn.init.normal_(module.weight, 1.0, 0.02)
    else:
        return
    if module.bias is not None:
        nn.init.zeros_(module.bias)


@dataclass(frozen=True)
class ShapeRow:
    """One call of a module in a forward pass.

    Args:
        name: the module's name in the network.
        kind: its class.
        before, after: the shapes of its first input and of its output.
        parameters: how many numbers it learns.
        module: the module itself.
    """

    name: str
    kind: str
    before: tuple[int, ...]
    after: tuple[int, ...]
    parameters: int
    module: nn.Module = field(repr=False, compare=False)


def record_shapes(network: nn.Module, *inputs: Tensor, kinds: tuple[type, ...]) -> list[ShapeRow]:
    """Run a network once, without gradients, and return what its modules of these kinds did.

    Forward hooks listen while the network runs, so the rows show what happened, in order. The
    network runs in the mode it is in; its running averages stay as they were.
    """
    rows: list[ShapeRow] = []

    def listen(name: str, module: nn.Module):
        return module.register_forward_hook(
            lambda module, args, output: rows.append(
                ShapeRow(
                    name,
                    type(module).__name__,
                    tuple(args[0].shape),
                    tuple(output.shape),
                    count_parameters(module),
                    module,
                )
            )
        )

    averages = {name: value.clone() for name, value in network.named_buffers()}
    hooks = []
    try:
        for name, module in network.named_modules():
            if isinstance(module, kinds):
                hooks.append(listen(name, module))
        with torch.no_grad():
            network(*inputs)
    finally:
        for hook in hooks:
            hook.remove()
        for name, value in network.named_buffers():
            value.data.copy_(averages[name])
    return rows


def count_parameters(module: nn.Module) -> int:
    """Return how many numbers the module learns."""
    return sum(p.numel() for p in module.parameters() if p.requires_grad)
