"""Drawing with Pillow: arrays in, pictures out.

It is ten times faster than a figure, which is what a slider needs. Pictures are RGB on white, at
most `WIDTH` pixels wide. Maps are drawn with colour tables that the colour-blind can read: cividis
from low to high, and PuOr with white at zero where the sign matters (orange below, purple above).
"""

import copy
import functools
from collections.abc import Sequence

import numpy as np
from PIL import Image, ImageDraw, ImageFont
from torch import Tensor

from ..images import to_pil
from ..plots import VERMILLION, colour_table
from ..receptive_field import PixelBox

WIDTH = 900
GAP = 18
TEXT = 15  # pixels: readable on a projector
INK = "#222222"


@functools.cache
def font(size: int = TEXT) -> ImageFont.FreeTypeFont:
    """Return Pillow's own font in a size in pixels."""
    return ImageFont.load_default(size)


def enlarge(image: Image.Image, width: int, height: int) -> Image.Image:
    """Enlarge a picture to width x height pixels; each of its pixels stays a sharp square."""
    return image.resize((width, height), Image.Resampling.NEAREST)


def photo(image: Tensor, side: int = 256) -> Image.Image:
    """Return a (1 or 3, H, W) image in [-1, 1] as an RGB picture, its longer side `side` pixels."""
    picture = to_pil(image).convert("RGB")
    scale = side / max(picture.size)
    return enlarge(picture, round(picture.width * scale), round(picture.height * scale))


def smooth_photo(image: Tensor, side: int) -> Image.Image:
    """Return what `photo` returns, but smooth: for a side that is no multiple of the image's."""
    picture = photo(image, max(image.shape[1:]))
    scale = side / max(picture.size)
    return picture.resize(
        (round(picture.width * scale), round(picture.height * scale)), Image.Resampling.BICUBIC
    )


def heat(values: np.ndarray, low: float, high: float, table: str = "cividis") -> Image.Image:
    """Return an (H, W) array as a picture of one pixel per value.

    The colours run from `low` to `high`; values beyond are clipped.
    """
    share = (np.asarray(values, np.float32) - low) / (high - low if high > low else 1.0)
    return Image.fromarray(colour_table(table)[(share.clip(0, 1) * 255).round().astype(np.uint8)])


def diverging(values: np.ndarray, reach: float) -> Image.Image:
    """Return an (H, W) array as a picture: white at 0, orange to -reach, purple to +reach."""
    return heat(values, -reach, reach, "PuOr")


def outline(
    image: Image.Image, box: PixelBox, scale: float = 1.0, colour: str = VERMILLION, width: int = 3
) -> Image.Image:
    """Return the picture with a frame around a box of image pixels, `scale` screen pixels each.

    The frame has a white line inside and outside, so that it is visible on any background. What
    lies outside the picture is not drawn; see `place_on_margin` for boxes that do.
    """
    left, top, right, bottom = (
        round(edge * scale) for edge in (box.left, box.top, box.right, box.bottom)
    )
    framed = image.copy()
    draw = ImageDraw.Draw(framed)
    draw.rectangle((left - 1, top - 1, right, bottom), outline="white", width=width + 2)
    draw.rectangle((left, top, right - 1, bottom - 1), outline=colour, width=width)
    return framed


def widened(
    top: float, left: float, side: float, least: float = 6
) -> tuple[float, float, float, float]:
    """Return the box of a cell, grown around its middle to a side that can be seen.

    Returns:
        (top, left, bottom, right), each side at least `least` long.
    """
    more = max(0, least - side) / 2
    return top - more, left - more, top + side + more, left + side + more


def place_on_margin(image: Image.Image, margin: int, colour: str = "#dddddd") -> Image.Image:
    """Return the picture with a margin of this many screen pixels.

    The margin is the padding that patches at the border see.
    """
    wider = Image.new("RGB", (image.width + 2 * margin, image.height + 2 * margin), colour)
    wider.paste(image, (margin, margin))
    return wider


def blend(below: Image.Image, above: Image.Image, opacity: float) -> Image.Image:
    """Lay one picture over another of the same size."""
    return Image.blend(below, above.convert("RGB"), opacity)


def colour_bar(table: str, low: str, high: str, height: int, width: int = 16) -> Image.Image:
    """Return an upright scale of a colour table, with what its two ends mean written beside it."""
    ramp = Image.fromarray(colour_table(table)[::-1][:, None])
    space = max(font(13).getlength(low), font(13).getlength(high))
    bar = Image.new("RGB", (width + 8 + round(space), height), "white")
    bar.paste(enlarge(ramp, width, height), (0, 0))
    draw = ImageDraw.Draw(bar)
    draw.text((width + 6, 0), high, INK, font(13))
    draw.text((width + 6, height - 2), low, INK, font(13), anchor="ls")
    return bar


def scale_below(
    picture: Image.Image, table: str, marks: Sequence[str], height: int = 10
) -> Image.Image:
    """Return the picture with its colour table along its lower edge.

    `marks` say what the low end, the middle and the high end mean.
    """
    whole = Image.new("RGB", (picture.width, picture.height + height + 24), "white")
    whole.paste(picture, (0, 0))
    whole.paste(
        enlarge(Image.fromarray(colour_table(table)[None]), picture.width, height),
        (0, picture.height + 6),
    )
    draw = ImageDraw.Draw(whole)
    for mark, x, anchor in zip(marks, (0, picture.width / 2, picture.width), ("lb", "mb", "rb")):
        draw.text((x, whole.height), mark, INK, font(13), anchor=anchor)
    return whole


def row(panels: Sequence[Image.Image], titles: Sequence[str] = (), gap: int = GAP) -> Image.Image:
    """Lay pictures side by side, their tops aligned, each with its title above.

    Titles are wrapped to the width of their picture.
    """
    wrapped = [_wrap(title, panel.width) for title, panel in zip(titles, panels)]
    above = max((len(lines) for lines in wrapped), default=0) * (TEXT + 5)
    width = sum(panel.width for panel in panels) + gap * (len(panels) - 1)
    picture = Image.new("RGB", (width, above + max(panel.height for panel in panels)), "white")
    draw, left = ImageDraw.Draw(picture), 0
    for index, panel in enumerate(panels):
        if index < len(wrapped):
            for number, line in enumerate(wrapped[index]):
                draw.text((left, number * (TEXT + 5)), line, INK, font())
        picture.paste(panel, (left, above))
        left += panel.width + gap
    return picture


def stack(
    pictures: Sequence[Image.Image], captions: Sequence[str] = (), gap: int = GAP
) -> Image.Image:
    """Lay pictures below each other, their left edges aligned, each with its caption above.

    Captions are wrapped to the whole width.
    """
    width = max(picture.width for picture in pictures)
    blocks = [
        [_text_block(caption, width), picture] for caption, picture in zip(captions, pictures)
    ]
    blocks = blocks or [[picture] for picture in pictures]
    height = sum(part.height for block in blocks for part in block) + gap * (len(blocks) - 1)
    whole, top = Image.new("RGB", (width, height), "white"), 0
    for block in blocks:
        for part in block:
            whole.paste(part, (0, top))
            top += part.height
        top += gap
    return whole


def _text_block(text: str, width: int) -> Image.Image:
    lines = [line for paragraph in text.split("\n") for line in _wrap(paragraph, width)]
    block = Image.new("RGB", (width, len(lines) * (TEXT + 5) + 4), "white")
    draw = ImageDraw.Draw(block)
    for number, line in enumerate(lines):
        draw.text((0, number * (TEXT + 5)), line, INK, font())
    return block


@functools.lru_cache(maxsize=256)
def _wrap(text: str, width: int) -> list[str]:
    """Break a text into lines that fit into this many pixels."""
    lines, line = [], ""
    for word in text.split():
        longer = f"{line} {word}".strip()
        if line and font().getlength(longer) > width:
            lines.append(line)
            longer = word
        line = longer
    return [*lines, line]


class Chart:
    """Curves, points and arrows over an x axis.

    The chart is drawn at twice its size and halved, so that slanted lines are smooth. What lies
    outside the ranges is cut off.

    Args:
        width, height: size of the finished picture in pixels, axis labels included.
        xs, ys: the ranges shown, (low, high).
        x_ticks, y_ticks: the values written beside the axes.
        x_label: the name of the x axis.
    """

    LEFT, RIGHT, TOP, BELOW = 34, 10, 6, 42  # screen pixels around the field of the curves

    def __init__(
        self,
        width: int,
        height: int,
        xs: tuple[float, float],
        ys: tuple[float, float],
        x_ticks: Sequence[float],
        y_ticks: Sequence[float],
        x_label: str = "",
    ):
        self.xs, self.ys, self.x_ticks, self.y_ticks, self.x_label = (
            xs, ys, x_ticks, y_ticks, x_label,
        )  # fmt: skip
        self.size = width, height
        self.field = Image.new(
            "RGB",
            (2 * (width - self.LEFT - self.RIGHT), 2 * (height - self.TOP - self.BELOW)),
            "white",
        )
        self.pen = ImageDraw.Draw(self.field)
        for x in x_ticks:
            self.curve((x, x), ys, "#e6e6e6", width=2)
        for y in y_ticks:
            self.curve(xs, (y, y), "#999999" if y == 0 else "#e6e6e6", width=2)

    def copy(self) -> "Chart":
        """Return a chart with the same curves, to which more can be added."""
        chart = copy.copy(self)
        chart.field = self.field.copy()
        chart.pen = ImageDraw.Draw(chart.field)
        return chart

    def place(self, x: float, y: float) -> tuple[float, float]:
        """Return (x, y) of a value in the finished picture, pixels from its upper left corner."""
        across, down = self._place(x, y)
        return self.LEFT + across / 2, self.TOP + down / 2

    def curve(
        self, xs: Sequence[float], ys: Sequence[float], colour: str, dash: int = 0, width: int = 5
    ) -> None:
        """Draw a line through points, dashed if `dash` is not 0.

        The dashes and the gaps between them are `dash` screen pixels long.
        """
        points = [self._place(x, y) for x, y in zip(xs, ys)]
        for piece in _dashes(points, 2 * dash) if dash else [points]:
            self.pen.line(piece, fill=colour, width=width, joint="curve")

    def point(self, x: float, y: float, colour: str) -> None:
        """Mark a point by a dot with a white rim; one beyond the range of `ys` lies at the edge."""
        across, down = self._dot(x, y)
        self.pen.ellipse(
            (across - 13, down - 13, across + 13, down + 13), fill=colour, outline="white", width=3
        )

    def arrow(self, x: float, y: float, length: float, colour: str) -> None:
        """Draw an arrow along the x axis from a point; a very short one is left out.

        Args:
            length: in values of x; negative to the left.
        """
        (start, down), (end, _) = self._dot(x, y), self._place(x + length, y)
        end = min(max(end, 4), self.field.width - 4)
        if abs(end - start) < 8:
            return
        head = 16 if end > start else -16
        self.pen.line([(start, down), (end - head, down)], fill=colour, width=8)
        self.pen.polygon(
            [(end, down), (end - head, down - 13), (end - head, down + 13)], fill=colour
        )

    def picture(self) -> Image.Image:
        """Return the finished chart."""
        whole = Image.new("RGB", self.size, "white")
        draw = ImageDraw.Draw(whole)
        whole.paste(self.field.reduce(2), (self.LEFT, self.TOP))
        for x in self.x_ticks:
            draw.text(
                (self.place(x, 0)[0], self.size[1] - self.BELOW + 8),
                f"{x:g}", INK, font(13), anchor="mt",
            )  # fmt: skip
        for y in self.y_ticks:
            draw.text((self.LEFT - 5, self.place(0, y)[1]), f"{y:g}", INK, font(13), anchor="rm")
        middle = (self.LEFT + self.size[0] - self.RIGHT) / 2
        draw.text((middle, self.size[1] - 3), self.x_label, INK, font(14), anchor="mb")
        return whole

    def _dot(self, x: float, y: float) -> tuple[float, float]:
        """Return the middle of a value's dot in the field: its place, or the nearest possible."""
        across, down = self._place(x, y)
        return across, min(max(down, 14), self.field.height - 14)

    def _place(self, x: float, y: float) -> tuple[float, float]:
        """Return where a value lies in the field, in pixels of the field."""
        across = (x - self.xs[0]) / (self.xs[1] - self.xs[0]) * self.field.width
        down = (self.ys[1] - y) / (self.ys[1] - self.ys[0]) * self.field.height
        return across, down


def _dashes(
    points: Sequence[tuple[float, float]], length: float
) -> list[list[tuple[float, float]]]:
    """Cut a line through points into pieces of this length, and leave out every second one."""
    xs, ys = np.transpose(points)
    way = np.concatenate([[0], np.hypot(np.diff(xs), np.diff(ys)).cumsum()])
    pieces = []
    for start in np.arange(0, way[-1], 2 * length):
        stops = np.linspace(start, min(start + length, way[-1]), 5)
        pieces.append(list(zip(np.interp(stops, way, xs), np.interp(stops, way, ys))))
    return pieces
