"""Which pixels one output of a chain of convolutions sees: from its layers, and from a gradient.

Along one axis, output i sees the pixels start + stride * i up to start + stride * i + size - 1;
padding makes `start` negative. Layer by layer, with kernel k, stride s, padding p and the product j
of the strides before it: size grows by (k - 1) * j, start falls by p * j, and j becomes j * s.

Source: Isola et al. 2017, section 4.4 and appendix 6.1.2; Araujo, Norris and Sim 2019, "Computing
receptive fields of convolutional neural networks".
"""

import copy
from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import Tensor, nn

NORM_LAYERS = (nn.BatchNorm2d, nn.InstanceNorm2d, nn.GroupNorm)
POINTWISE_LAYERS = (
    *NORM_LAYERS, nn.LeakyReLU, nn.ReLU, nn.Tanh, nn.Sigmoid, nn.Dropout, nn.Identity,
)  # fmt: skip


@dataclass(frozen=True)
class PixelBox:
    """A box of pixels as in Python slices: rows top to bottom - 1, columns left to right - 1."""

    top: int
    left: int
    bottom: int
    right: int

    def is_inside(self, height: int, width: int) -> bool:
        """Return whether the whole box lies on an image of this size.

        If not, the patch also sees padding.
        """
        return self.top >= 0 and self.left >= 0 and self.bottom <= height and self.right <= width

    def clipped(self, height: int, width: int) -> "PixelBox":
        """Return the part of the box that lies on an image of this size."""
        return PixelBox(
            max(self.top, 0), max(self.left, 0), min(self.bottom, height), min(self.right, width)
        )


@dataclass(frozen=True)
class ReceptiveField:
    """What one output sees along each axis, in pixels.

    Args:
        size: of the field.
        stride: from one output to the next.
        start: the first pixel of output 0.
    """

    size: int
    stride: int
    start: int

    def box(self, row: int, col: int) -> PixelBox:
        """Return the pixels that output (row, col) sees, parts outside the image included."""
        top, left = self.start + self.stride * row, self.start + self.stride * col
        return PixelBox(top, left, top + self.size, left + self.size)


@dataclass(frozen=True)
class Layer:
    """The geometry of one convolution, pooling or padding layer.

    Args:
        name: of its class.
        kernel: its size, dilation included.
        stride: of its outputs.
        padding: pixels added before the first.
    """

    name: str
    kernel: int
    stride: int
    padding: int


def spatial_layers(module: nn.Module) -> list[Layer]:
    """Return the layers of a chain of convolutions that look beyond one pixel, in their order.

    Raises:
        TypeError: if the module holds a layer whose geometry is not known here.
        ValueError: if a layer treats height and width differently.
    """
    return [_geometry(leaf) for leaf in _leaves(module) if not isinstance(leaf, POINTWISE_LAYERS)]


def receptive_field(module: nn.Module) -> ReceptiveField:
    """Return the receptive field of a chain of convolutions, computed from its layers.

    It follows from the recurrence in the module's docstring. Norm layers are passed over: their
    statistics reach further, see `gradient_footprint`. Only a plain chain has one receptive field;
    skips and branches are not followed.

    Raises:
        TypeError, ValueError: as `spatial_layers`.
    """
    size, jump, start = 1, 1, 0
    for layer in spatial_layers(module):
        size += (layer.kernel - 1) * jump
        start -= layer.padding * jump
        jump *= layer.stride
    return ReceptiveField(size, jump, start)


def gradient_footprint(module: nn.Module, image: Tensor, row: int, col: int) -> Tensor:
    """Return how strongly each pixel moves output (row, col), as an (H, W) tensor.

    That is |d output / d pixel|, summed over channels. The module is used as it stands: norms that
    take statistics from the image spread the footprint over all of it.

    Args:
        image: (1, C, H, W).
    """
    image = image.detach().clone().requires_grad_()
    logit = module(image)[0, 0, row, col]
    (gradient,) = torch.autograd.grad(logit, image)
    return gradient[0].abs().sum(dim=0)


def convolutions_only(module: nn.Module) -> nn.Module:
    """Return a copy in which norms and activations pass their input on.

    A gradient then shows the geometry alone.
    """
    module = copy.deepcopy(module)
    for parent in list(module.modules()):
        for name, child in parent.named_children():
            if isinstance(child, POINTWISE_LAYERS):
                setattr(parent, name, nn.Identity())
    return module


def footprint_box(footprint: Tensor) -> PixelBox:
    """Return the smallest box that holds every non-zero value of an (H, W) footprint.

    Raises:
        ValueError: if the footprint is zero everywhere.
    """
    rows, cols = footprint.any(dim=1).nonzero(), footprint.any(dim=0).nonzero()
    if len(rows) == 0:
        raise ValueError("the footprint is zero everywhere: no pixel moves this output")
    return PixelBox(int(rows[0]), int(cols[0]), int(rows[-1]) + 1, int(cols[-1]) + 1)


def measured_receptive_field(
    module: nn.Module, in_channels: int, side: int = 512
) -> ReceptiveField:
    """Measure the receptive field from the gradients of two neighbouring outputs.

    The image is (1, in_channels, side, side); norms and activations are taken out first.

    Raises:
        ValueError: if the footprint reaches the border of the image, where it would be cut: a
            larger `side` helps.
    """
    linear = convolutions_only(module)
    image = torch.ones(1, in_channels, side, side)
    with torch.no_grad():
        middle = linear(image).shape[-1] // 2
    first = footprint_box(gradient_footprint(linear, image, middle, middle))
    second = footprint_box(gradient_footprint(linear, image, middle + 1, middle + 1))
    if first.top == 0 or second.bottom == side:
        raise ValueError(
            f"the receptive field does not fit into an image of {side} pixels; "
            "measure with a larger side"
        )
    stride = second.top - first.top
    return ReceptiveField(first.bottom - first.top, stride, first.top - stride * middle)


def _leaves(module: nn.Module) -> Iterator[nn.Module]:
    return (m for m in module.modules() if not list(m.children()))


def _geometry(layer: nn.Module) -> Layer:
    name = type(layer).__name__
    if isinstance(layer, nn.ZeroPad2d | nn.ReflectionPad2d | nn.ReplicationPad2d):
        left, _, top, _ = layer.padding
        return Layer(name, 1, 1, _same_on_both_axes(name, "padding", (top, left)))
    if not isinstance(layer, nn.Conv2d | nn.MaxPool2d | nn.AvgPool2d):
        raise TypeError(
            f"no receptive field is known for {name}; a chain of convolutions, "
            "pooling and padding has one"
        )
    kernel = _same_on_both_axes(name, "kernel", layer.kernel_size)
    dilation = _same_on_both_axes(name, "dilation", getattr(layer, "dilation", 1))
    stride = _same_on_both_axes(name, "stride", layer.stride)
    reach = dilation * (kernel - 1)
    if layer.padding == "same":
        # torch puts the odd pixel on the far side.
        return Layer(name, reach + 1, stride, reach // 2)
    padding = 0 if layer.padding == "valid" else _same_on_both_axes(name, "padding", layer.padding)
    return Layer(name, reach + 1, stride, padding)


def _same_on_both_axes(name: str, what: str, value: int | tuple[int, int]) -> int:
    height, width = (value, value) if isinstance(value, int) else value
    if height != width:
        raise ValueError(
            f"{name} has {what} {height} along height and {width} along width; "
            "one for both is expected"
        )
    return height
