"""Receptive fields: the box of pixels that one output of a chain of convolutions sees.

The box follows from kernels, strides and paddings; autograd measures it too, as the pixels that
move this output. Where a patch reaches beyond the picture it sees padding, and its box is clipped.

Source: Isola et al. 2017, section 4.4; Araujo, Norris and Sim 2019.
"""

import functools
from collections.abc import Mapping
from dataclasses import replace

import numpy as np
import torch
from PIL import Image
from torch import Tensor, nn

from ..facades import facade_tensors
from ..images import to_pil
from ..plots import GREY
from ..receptive_field import (
    PixelBox,
    ReceptiveField,
    footprint_box,
    gradient_footprint,
    receptive_field,
    spatial_layers,
)
from ..validation import InputError
from . import drawing
from .base import Explorer, Slider, View
from .drawing import FAINT, Sketch
from .picture import Cells, Picture, field_cells, map_cells

SIDE = 220  # screen pixels of the pictures in the upper row
GRID_SIDE = 90  # screen pixels of a layer's grid
FINEST = 32  # cells along a side of a grid; more would be a grey area, and are not drawn
# Of the picture's longer side, padding drawn around it: enough for a 142x142 patch on 256 pixels.
MARGIN = 0.2


class ReceptiveFieldExplorer(Explorer):
    """The patch of one output on a picture, its formula, and the pixels that its gradient reaches.

    `layers` 3 and `last` 2 with kernel 4, stride 2 and padding 1 are those of the 70x70 PatchGAN.

    Controls:
        layers: convolutions with `stride`.
        last: more convolutions behind them, with stride 1.
        kernel, padding: of all convolutions.
        stride: of the first ones.
        row, col: the output.

    Numbers:
        size, stride, start: of the receptive field.
        maps: (height, width) of the picture and behind each layer.
        map: the last of them.
        box: the patch as slices, (top, left, bottom, right).
        clipped: the part of it on the picture.
        measured: the box of the pixels that the gradient reaches.
        inside: whether the box lies inside the picture.
        agrees: whether `measured` is `clipped`.
        reached: how many pixels have a gradient.

    Boxes are None where there is no pixel or no output.

    Args:
        image: (3, H, W) in [-1, 1], each side 32 to 512 pixels; by default a procedural facade of
            256x256.

    Raises:
        InputError: if the image has another shape.
    """

    def __init__(self, image: Tensor | None = None):
        image = facade_tensors(7, 256)[1] if image is None else image
        if image.dim() != 3 or not 32 <= min(image.shape[1:]) <= max(image.shape[1:]) <= 512:
            raise InputError(
                "expected one image (3, H, W), each side 32 to 512 pixels; "
                f"got {tuple(image.shape)}"
            )
        self.image_size = tuple(image.shape[1:])
        self.picture = to_pil(image).convert("RGB")
        self.margin = round(MARGIN * max(self.image_size))
        self.chain = functools.lru_cache(64)(make_chain)
        self.footprint = functools.lru_cache(64)(self._footprint)
        rows, cols = map_sizes(make_chain(3, 2, 4, 2, 1), self.image_size)[-1]
        # Seven layers that each add 2 * padding - (kernel - 1), at most 6.
        largest = max(self.image_size) + 7 * 6 - 1
        super().__init__(
            [
                Slider("layers", "layers", 1, 5, 3, group="network"),
                Slider("last", "then stride 1", 0, 2, 2, group="network"),
                Slider("kernel", "kernel", 1, 7, 4, group="network"),
                Slider("stride", "stride", 1, 3, 2, group="network"),
                Slider("padding", "padding", 0, 3, 1, group="network"),
                Slider("row", "patch row", 0, largest, min(14, rows - 1), group="output"),
                Slider("col", "patch column", 0, largest, min(1, cols - 1), group="output"),
            ]
        )

    def limits(self, values: Mapping) -> dict[str, tuple[int, int]]:
        """Return the ranges of row and column on the map of outputs, (0, 0) if it is empty."""
        shape = {name: values[name] for name in ("layers", "last", "kernel", "stride", "padding")}
        height, width = map_sizes(self.chain(**shape), self.image_size)[-1]
        return {"row": (0, max(height - 1, 0)), "col": (0, max(width - 1, 0))}

    def draw(self, row: int, col: int, **shape: int) -> View:
        chain = self.chain(**shape)
        field, sizes = receptive_field(chain), map_sizes(chain, self.image_size)
        numbers = {
            "size": field.size,
            "stride": field.stride,
            "start": field.start,
            "maps": sizes,
            "map": sizes[-1],
        }
        if sizes[-1] == (0, 0):
            return self._view_without_output(chain, numbers)
        box = field.box(row, col)
        on_picture = overlap(box, self.image_size)
        footprint, (down, across) = self._placed_footprint(field, row, col, **shape)
        measured = shifted(footprint_box(footprint), down, across) if footprint.any() else None
        numbers |= {
            "box": corners(box),
            "clipped": corners(on_picture),
            "measured": corners(measured),
            "inside": box.is_inside(*self.image_size),
            "agrees": measured == on_picture,
            "reached": int(footprint.count_nonzero()),
        }
        inked = draw_footprint(footprint, (down, across), self.image_size)
        seen = field_cells(field, sizes[-1], self.image_size, (row, col), self.margin)
        upper = [
            self._on_margin(self.picture, "patch (grey: padding)", seen),
            self._on_margin(inked, "its gradient (white: exactly 0)", replace(seen, points=False)),
            Picture(
                draw_map(field, sizes[-1], self.image_size),
                f"{by(sizes[-1])} outputs (dark: padding)",
                SIDE,
                cells=map_cells(sizes[-1], (row, col)),
            ),
        ]
        sentences = [
            describe_chain(chain, sizes, field),
            describe_box(field, row, col, self.image_size),
            describe_gradient(on_picture, measured, numbers["reached"]),
        ]
        alt = (
            f"Left, a picture with a frame around the {field.size}x{field.size} patch of output "
            f"row {row}, column {col}; {clipping(box, self.image_size)}. Middle, the pixels that "
            f"the gradient reaches: {pixels(measured)}. Right, the {by(sizes[-1])} outputs, this "
            "one marked."
        )
        grids = layer_pictures(chain, sizes, (row, col))
        if grids:
            alt += f" Below, for {layers_in_words(sizes)}, what this output sees of it."
        rows = [upper, grids] if grids else [upper]
        return View(rows, "\n".join(sentences), alt, numbers)

    def _on_margin(self, image: Image.Image, title: str, cells: Cells | None = None) -> Picture:
        """Return a picture on its margin of padding."""
        return Picture(drawing.place_on_margin(image, self.margin), title, SIDE, cells=cells)

    def _view_without_output(self, chain: nn.Module, numbers: dict) -> View:
        layer, (height, width) = len(numbers["maps"]) - 1, numbers["maps"][-2]
        kernel, padding = chain[0].kernel_size[0], chain[0].padding[0]
        numbers |= {
            "box": None,
            "clipped": None,
            "measured": None,
            "inside": False,
            "agrees": True,
            "reached": 0,
        }
        upper = [
            self._on_margin(self.picture, "no output, no patch"),
            self._on_margin(Image.new("RGB", self.picture.size, "white"), "no output, no gradient"),
        ]
        grids = layer_pictures(chain, numbers["maps"])
        rows = [upper, grids] if grids else [upper]
        text = (
            f"No output: layer {layer} gets {height}x{width} pixels, "
            f"{height + 2 * padding}x{width + 2 * padding} with padding, "
            f"and its kernel needs {kernel}x{kernel}."
        )
        return View(rows, text, f"A picture without a frame, and an empty one. {text}", numbers)

    def _placed_footprint(self, field: ReceptiveField, row: int, col: int, **shape: int) -> tuple:
        """Return the footprint on the smallest picture that gives the same.

        The second result is the (row, column) of that picture in ours.
        """
        height, width = self.image_size
        first_row, height = window(field, row, height)
        first_col, width = window(field, col, width)
        footprint = self.footprint(row - first_row, col - first_col, (height, width), **shape)
        return footprint, (first_row * field.stride, first_col * field.stride)

    def _footprint(self, row: int, col: int, size: tuple[int, int], **shape: int) -> Tensor:
        return gradient_footprint(self.chain(**shape), torch.zeros(1, 1, *size), row, col)


def make_chain(layers: int, last: int, kernel: int, stride: int, padding: int) -> nn.Sequential:
    """Return `layers` convolutions with `stride`, then `last` with stride 1, all on one channel.

    All weights are 1 / kernel^2, which is positive: no path from a pixel to an output cancels
    another.
    """
    strides = [stride] * layers + [1] * last
    chain = nn.Sequential()
    for step in strides:
        # `skip_init` takes no random numbers.
        layer = nn.utils.skip_init(nn.Conv2d, 1, 1, kernel, step, padding, bias=False)
        chain.append(layer)
        nn.init.constant_(layer.weight, 1 / kernel**2)
    return chain


def map_sizes(chain: nn.Module, size: tuple[int, int]) -> tuple[tuple[int, int], ...]:
    """Return the (height, width) of the picture and behind each layer.

    If nothing is left behind a layer, (0, 0) ends the list.
    """
    sizes = [size]
    for layer in spatial_layers(chain):
        sizes.append(
            tuple(
                (side + 2 * layer.padding - layer.kernel) // layer.stride + 1 for side in sizes[-1]
            )
        )
        if min(sizes[-1]) < 1:
            sizes[-1] = (0, 0)
            break
    return tuple(sizes)


def window(field: ReceptiveField, index: int, side: int) -> tuple[int, int]:
    """Return how many outputs before this one can be left out without changing what it sees.

    Leaving out an output shortens the side by `stride` pixels. A patch inside the picture is the
    same everywhere, so only a window around it is needed; one that is clipped keeps the edge that
    clips it.

    Returns:
        (outputs left out before this one, the side of the window in pixels).
    """
    start = field.start + field.stride * index
    before = max(0, min(start, side - 1) // field.stride)  # at least one pixel stays
    after = max(0, (side - max(start + field.size, 1)) // field.stride)
    return before, side - (before + after) * field.stride


def overlap(box: PixelBox, size: tuple[int, int]) -> PixelBox | None:
    """Return the part of the box on a picture of this (height, width), or None if there is none."""
    part = box.clipped(*size)
    return part if part.top < part.bottom and part.left < part.right else None


def shifted(box: PixelBox, down: int, right: int) -> PixelBox:
    """Return the box moved down and to the right, in pixels."""
    return PixelBox(box.top + down, box.left + right, box.bottom + down, box.right + right)


def corners(box: PixelBox | None) -> tuple[int, int, int, int] | None:
    """Return (top, left, bottom, right), or None without a box."""
    return box and (box.top, box.left, box.bottom, box.right)


def layer_pictures(
    chain: nn.Sequential,
    sizes: tuple[tuple[int, int], ...],
    chosen: tuple[int, int] | None = None,
) -> list[Picture]:
    """Return the maps between picture and output, with what the chosen output sees of each.

    Args:
        sizes: what `map_sizes` returns.
    """
    return [
        Picture(
            draw_grid(size),
            f"layer {layer}: {by(size)}",
            GRID_SIDE,
            cells=chosen
            and field_cells(
                receptive_field(chain[layer:]), sizes[-1], size, chosen, points=False, lit=True
            ),
        )
        for layer, size in enumerate(sizes[1:-1], 1)
    ]


@functools.lru_cache(64)
def draw_grid(size: tuple[int, int]) -> Sketch:
    """Draw a map of this (height, width) as a grid of empty cells; if it is fine, as its outline.

    Its longer side is `GRID_SIDE` screen pixels.
    """
    height, width = (max(4, round(GRID_SIDE * side / max(size))) for side in size)
    sketch = Sketch(width, height)
    if max(size) <= FINEST:
        for row in range(1, size[0]):
            sketch.line([(0, row * height / size[0]), (width, row * height / size[0])], FAINT, 1)
        for col in range(1, size[1]):
            sketch.line([(col * width / size[1], 0), (col * width / size[1], height)], FAINT, 1)
    sketch.box((0, 0, width, height), edge=GREY, width=1)
    return sketch


def draw_footprint(footprint: Tensor, place: tuple[int, int], size: tuple[int, int]) -> Image.Image:
    """Draw a footprint at its (row, column) on a white picture of this (height, width).

    Where the gradient is zero the picture stays white; elsewhere the colour runs from dark (small)
    to light (largest).
    """
    values = footprint.numpy()
    inked = np.full((*size, 3), 255, np.uint8)
    there = inked[place[0] : place[0] + values.shape[0], place[1] : place[1] + values.shape[1]]
    colours = np.asarray(drawing.heat(values, 0, float(values.max())))
    there[values > 0] = colours[values > 0]
    return Image.fromarray(inked)


def draw_map(field: ReceptiveField, outputs: tuple[int, int], size: tuple[int, int]) -> Image.Image:
    """Draw one pixel for each output, bright where the whole patch is picture."""
    inside = [
        np.array([field.box(i, i).is_inside(side, side) for i in range(count)])
        for count, side in zip(outputs, size)
    ]
    return drawing.heat(np.outer(*inside), -0.2, 1.1)


def by(size: tuple[int, int]) -> str:
    """Return (height, width) in words."""
    return f"{size[0]}x{size[1]}"


def layers_in_words(sizes: tuple[tuple[int, int], ...]) -> str:
    """Return the layers between picture and output."""
    count = len(sizes) - 2
    return "the map of layer 1" if count == 1 else f"each map of the layers 1 to {count}"


def describe_chain(
    chain: nn.Module, sizes: tuple[tuple[int, int], ...], field: ReceptiveField
) -> str:
    """Return the sizes of the maps, and size, stride and start as formulas with their numbers."""
    layers = spatial_layers(chain)
    jumps = [1]
    for layer in layers:
        jumps.append(jumps[-1] * layer.stride)
    kernels = " + ".join(f"{layer.kernel - 1}·{jump}" for layer, jump in zip(layers, jumps))
    strides = "·".join(str(layer.stride) for layer in layers)
    paddings = " + ".join(f"{layer.padding}·{jump}" for layer, jump in zip(layers, jumps))
    maps = ", ".join(
        str(height) if height == width else f"{height}x{width}" for height, width in sizes
    )
    return (
        f"Maps: {maps}. Size 1 + {kernels} = {field.size}, stride {strides} = {field.stride}, "
        f"start -({paddings}) = {field.start}."
    )


def describe_box(field: ReceptiveField, row: int, col: int, size: tuple[int, int]) -> str:
    """Return where the patch begins and ends, with formula and numbers, and what is clipped."""
    box = field.box(row, col)
    return (
        f"Patch ({row}, {col}) begins at row {field.start} + {field.stride}·{row} = {box.top} and "
        f"column {field.start} + {field.stride}·{col} = {box.left}: {pixels(box)}; "
        f"{clipping(box, size)}."
    )


def clipping(box: PixelBox, size: tuple[int, int]) -> str:
    """Return what of the box lies outside a picture of this (height, width), for each side."""
    if overlap(box, size) is None:
        return "all of it lies on padding"
    beyond = {
        "above": -box.top,
        "on the left": -box.left,
        "below": box.bottom - size[0],
        "on the right": box.right - size[1],
    }
    clipped = [
        f"{count} {'row' if side in ('above', 'below') else 'column'}{'s' * (count > 1)} {side}"
        for side, count in beyond.items()
        if count > 0
    ]
    return (
        f"clipped, on padding: {', '.join(clipped)}" if clipped else "all of it lies on the picture"
    )


def describe_gradient(expected: PixelBox | None, measured: PixelBox | None, reached: int) -> str:
    """Return which pixels the gradient reaches, compared with those that the formula gives."""
    if measured is None:
        return (
            f"Gradient: it reaches no pixel{', as the formula says' if expected is None else ''}."
        )
    area = (expected.bottom - expected.top) * (expected.right - expected.left)
    verdict = "as the formula says"
    if measured != expected:
        verdict = (
            f"less than {pixels(expected)}: the rest lies in gaps, or was left over by a stride"
        )
    share = "" if reached == area else f" ({reached} of {area} pixels)"
    return f"Gradient: {pixels(measured)}, {verdict}{share}."


def pixels(box: PixelBox | None) -> str:
    """Return the box in words, both ends included."""
    return (
        f"{span('row', box.top, box.bottom)}, {span('column', box.left, box.right)}"
        if box
        else "none"
    )


def span(name: str, start: int, stop: int) -> str:
    """Return a slice in words, both ends included."""
    return f"{name} {start}" if stop - start == 1 else f"{name}s {start} to {stop - 1}"
