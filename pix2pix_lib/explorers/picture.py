"""The pictures of a view: what they show, and what pointing at them does.

A picture is drawn twice: by `Picture.draw` for strips and for pages without a kernel, and by the
browser, which gets it in its own pixels and adds title, frames and scale as HTML (see `canvas`).
Places on a picture are fractions of its height and width, from the upper left corner.
"""

import base64
import functools
import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from PIL import Image

from ..plots import VERMILLION, colour_table
from ..receptive_field import PixelBox, ReceptiveField
from .drawing import Sketch, blend, outline, scale_below, widened

SIDE = 256  # screen pixels of the longer side, where nothing else is said


@dataclass(frozen=True)
class Scale:
    """What the colours of a table mean: the words at its low end, its middle and its high end."""

    table: str
    marks: tuple[str, str, str]


@dataclass(frozen=True)
class Cells:
    """A box on the picture for each output (row, column) of a map; one of them is framed.

    The same output may have a box on several pictures. Pointing at one of them frames the output
    whose box has the nearest middle, on all of them; a click sets the controls that `names` has.

    Args:
        shape: rows and columns of the map.
        start: (top, left) of the first output's box.
        step: how far the next output's box lies (down, across).
        size: (height, width) of each box.
        chosen: (row, column) of the output that is framed, None if none is.
        words: what is said of each output, row by row; nothing if there are none.
        points: whether the picture can be pointed at, or only follows the others.
        lit: whether the box is filled, not only framed.
        names: of the controls for row and column.
    """

    shape: tuple[int, int]
    start: tuple[float, float]
    step: tuple[float, float]
    size: tuple[float, float]
    chosen: tuple[int, int] | None = None
    words: Sequence[str] = ()
    points: bool = True
    lit: bool = False
    names: tuple[str, str] = ("row", "col")

    def box(self, row: int, col: int) -> tuple[float, float, float, float]:
        """Return (top, left, height, width) of an output's box, as shares of the picture."""
        return (
            self.start[0] + self.step[0] * row, self.start[1] + self.step[1] * col, *self.size,
        )  # fmt: skip


def map_cells(shape: tuple[int, int], chosen: tuple[int, int], **options) -> Cells:
    """Return the boxes of a map that is drawn with one square for each output."""
    step = 1 / shape[0], 1 / shape[1]
    return Cells(shape, (0.0, 0.0), step, step, chosen, **options)


def field_cells(
    field: ReceptiveField,
    shape: tuple[int, int],
    size: tuple[int, int],
    chosen: tuple[int, int],
    margin: int = 0,
    **options,
) -> Cells:
    """Return what each output sees, as boxes on a picture or a map of this (height, width).

    Args:
        shape: (rows, columns) of the outputs.
        margin: pixels that are drawn around the picture.
    """
    wholes = [side + 2 * margin for side in size]
    return Cells(
        shape,
        start=tuple((margin + field.start) / whole for whole in wholes),
        step=tuple(field.stride / whole for whole in wholes),
        size=tuple(field.size / whole for whole in wholes),
        chosen=chosen,
        **options,
    )


@dataclass(frozen=True)
class Spot:
    """A part of the picture that sets controls when it is clicked.

    Args:
        box: its (top, left, bottom, right).
        values: of the controls that it sets.
        words: what a click does.
        chosen: whether the controls have these values now.
    """

    box: tuple[float, float, float, float]
    values: Mapping[str, Any]
    words: str
    chosen: bool = False


@dataclass(frozen=True)
class Axis:
    """A handle that is dragged across the picture and moves one control.

    Args:
        name: the control.
        places: (share of the picture's width, value) for each value that it can have.
    """

    name: str
    places: Sequence[tuple[float, Any]]


@dataclass(frozen=True)
class Picture:
    """One picture of a view.

    Args:
        image: in its own pixels, or a drawing; where it is transparent, one sees the page.
        title: stands above it.
        side: screen pixels of its longer side in a strip; a drawing has its own size.
        smooth: whether it is enlarged smoothly; else each of its pixels is a sharp square.
        sketch: lines and words over the image, of the same `size`.
        over: a second image that a wipe shows in place of the right part of the first.
        scale: stands below it.
        cells, spots, axes: what can be pointed at.
        drawing: the control that draws on this picture.
        file: a file name under which the page offers to save it.
    """

    image: Image.Image | Sketch
    title: str = ""
    side: int = SIDE
    smooth: bool = False
    sketch: Sketch | None = None
    over: Image.Image | None = None
    scale: Scale | None = None
    cells: Cells | None = None
    spots: Sequence[Spot] = ()
    axes: Sequence[Axis] = ()
    drawing: str = ""
    file: str = ""

    @property
    def size(self) -> tuple[int, int]:
        """(width, height) in screen pixels."""
        width, height = self.image.size
        scale = 1 if isinstance(self.image, Sketch) else self.side / max(width, height)
        return max(1, round(width * scale)), max(1, round(height * scale))

    def draw(self) -> Image.Image:
        """Return the picture as it looks in a strip, with its frames and its scale."""
        image = self.image.picture() if isinstance(self.image, Sketch) else self._enlarged()
        if self.cells and self.cells.chosen:
            top, left, height, width = self.cells.box(*self.cells.chosen)
            box = _box_of(image, top, left, top + height, left + width)
            image = outline(_filled(image, box) if self.cells.lit else image, box)
        for spot in self.spots:
            if spot.chosen:
                image = outline(image, _box_of(image, *spot.box))
        return scale_below(image, self.scale.table, self.scale.marks) if self.scale else image

    def _enlarged(self) -> Image.Image:
        image = on_white(self.image)
        if self.over is not None:
            half = image.width // 2
            image.paste(self.over.crop((half, 0, *self.over.size)), (half, 0))
        kind = Image.Resampling.BICUBIC if self.smooth else Image.Resampling.NEAREST
        image = image.resize(self.size, kind)
        return self.sketch.picture(image) if self.sketch else image

    def to_page(self) -> dict:
        """Return what the browser needs to draw the picture, as JSON has it."""
        width, height = self.size
        page = {
            "title": self.title, "width": width, "height": height, "smooth": self.smooth,
            "spots": [vars(spot) for spot in self.spots],
            "axes": [vars(axis) for axis in self.axes],
            "cells": self.cells and vars(self.cells), "drawing": self.drawing, "file": self.file,
        }  # fmt: skip
        if isinstance(self.image, Sketch):
            return page | {"svg": self.image.svg()}
        page["source"] = data_url(self.image)
        if self.sketch:
            page["sketch"] = self.sketch.svg()
        if self.over is not None:
            page["over"] = data_url(self.over)
        if self.scale:
            page["scale"] = {
                "colours": css_colours(self.scale.table), "marks": list(self.scale.marks),
            }  # fmt: skip
        return page


def on_white(image: Image.Image) -> Image.Image:
    """Return a picture in RGB; what was transparent shows white."""
    if image.mode != "RGBA":
        return image.convert("RGB")
    return Image.alpha_composite(Image.new("RGBA", image.size, "white"), image).convert("RGB")


def _box_of(image: Image.Image, top: float, left: float, bottom: float, right: float) -> PixelBox:
    """Return a box in pixels, from shares of the image; it is large enough to be seen."""
    top, bottom = widened(top * image.height, (bottom - top) * image.height)
    left, right = widened(left * image.width, (right - left) * image.width)
    return PixelBox(*map(round, (top, left, bottom, right)))


def _filled(image: Image.Image, box: PixelBox) -> Image.Image:
    """Return the image with the colour of frames laid over a box."""
    area = (box.left, box.top, box.right, box.bottom)
    colour = Image.new("RGB", (box.right - box.left, box.bottom - box.top), VERMILLION)
    filled = image.copy()
    filled.paste(blend(image.crop(area), colour, 0.45), area)
    return filled


def data_url(image: Image.Image) -> str:
    """Return a picture as a data URL; PNG keeps each of its pixels."""
    buffer = io.BytesIO()
    image.save(buffer, "png", compress_level=1)
    return f"data:image/png;base64,{base64.b64encode(buffer.getvalue()).decode()}"


@functools.cache
def css_colours(table: str) -> str:
    """Return a colour table, from left to right, as CSS."""
    colours = colour_table(table)[:: len(colour_table(table)) // 16]
    return f"linear-gradient(to right, {', '.join('rgb({} {} {})'.format(*c) for c in colours)})"
