"""Drawing with Pillow: arrays in, pictures out; and charts, which the browser gets as SVG.

It is ten times faster than a figure, which is what a slider needs. Pictures are RGB on white, at
most `WIDTH` pixels wide. Maps are drawn with colour tables that the colour-blind can read: cividis
from low to high, and PuOr with white at zero where the sign matters (orange below, purple above).
"""

import copy
import functools
import html
import math
from collections.abc import Sequence

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from ..plots import VERMILLION, colour_table
from ..receptive_field import PixelBox

WIDTH = 900
GAP = 18
TEXT = 15  # pixels: readable on a projector
INK, FAINT = "#222222", "#e6e6e6"
# What the page puts in the place of ink and paper.
PAGE = {INK: "currentColor", "white": "var(--p2p-paper, white)", FAINT: "var(--p2p-faint, #e6e6e6)"}

Point = tuple[float, float]
Box = tuple[float, float, float, float]


@functools.cache
def font(size: int = TEXT) -> ImageFont.FreeTypeFont:
    """Return Pillow's own font in a size in pixels."""
    return ImageFont.load_default(size)


def enlarge(image: Image.Image, width: int, height: int) -> Image.Image:
    """Enlarge a picture to width x height pixels; each of its pixels stays a sharp square."""
    return image.resize((width, height), Image.Resampling.NEAREST)


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


def widened(start: float, length: float, least: float = 6) -> tuple[float, float]:
    """Return (start, stop) of a length, grown around its middle to one that can be seen."""
    more = max(0, least - length) / 2
    return start - more, start + length + more


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


def scale_below(
    picture: Image.Image, table: str, marks: Sequence[str], height: int = 10
) -> Image.Image:
    """Return the picture with its colour table along its lower edge.

    `marks` say what the low end, the middle and the high end mean.
    """
    whole = Image.new("RGB", (picture.width, picture.height + height + 26), "white")
    whole.paste(picture, (0, 0))
    whole.paste(
        enlarge(Image.fromarray(colour_table(table)[None]), picture.width, height),
        (0, picture.height + 6),
    )
    draw = ImageDraw.Draw(whole)
    for mark, x, anchor in zip(marks, (0, picture.width / 2, picture.width), ("lb", "mb", "rb")):
        draw.text((x, whole.height - 2), mark, INK, font(13), anchor=anchor)
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


class Sketch:
    """Lines, shapes and words, for a strip as pixels and for a page as SVG.

    Lengths are screen pixels from the upper left corner. In SVG, `INK` and white become the page's
    own ink and paper, so that a dark page gets a dark drawing.

    Args:
        width, height: of the drawing; what lies outside is cut off.
    """

    FINE = 2  # pixels are drawn at twice their size and then halved, for smooth lines

    def __init__(self, width: int, height: int):
        self.size = width, height
        self.parts: list[tuple] = []

    def copy(self) -> "Sketch":
        """Return a sketch with the same parts, to which more can be added."""
        sketch = copy.copy(self)
        sketch.parts = list(self.parts)
        return sketch

    def line(
        self, points: Sequence[Point], colour: str = INK, width: float = 2, dash: float = 0
    ) -> None:
        """Draw a line through points; with `dash`, its pieces and the gaps have this length."""
        self.parts.append(("line", [*map(tuple, points)], colour, width, dash))

    def box(self, box: Box, fill: str = "none", edge: str = "none", width: float = 2) -> None:
        """Draw a (left, top, right, bottom) rectangle."""
        self.parts.append(("box", box, fill, edge, width))

    def dot(self, x: float, y: float, radius: float, fill: str) -> None:
        """Draw a disc with a thin white rim."""
        self.parts.append(("dot", x, y, radius, fill))

    def polygon(self, points: Sequence[Point], fill: str) -> None:
        """Fill the area inside of points."""
        self.parts.append(("polygon", [*map(tuple, points)], fill))

    def text(
        self, x: float, y: float, words: str, anchor: str = "mm", size: int = 14, colour=INK
    ) -> None:
        """Write words; `anchor` is Pillow's: l, m or r across, and t, m or b down."""
        self.parts.append(("text", x, y, words, anchor, size, colour))

    def place(self, x: float, y: float, other: "Sketch") -> None:
        """Lay another sketch over this one, cut off at its own size."""
        self.parts.append(("place", x, y, other))

    def picture(self, below: Image.Image | None = None) -> Image.Image:
        """Return the drawing as pixels, on white or on a picture of its size."""
        return self._pixels(self.FINE, below).reduce(self.FINE)

    def _pixels(self, fine: int, below: Image.Image | None = None) -> Image.Image:
        size = self.size[0] * fine, self.size[1] * fine
        image = enlarge(below, *size) if below else Image.new("RGB", size, "white")
        self._draw_parts(image, fine)
        return image

    def _draw_parts(self, image: Image.Image, fine: int) -> None:
        pen = ImageDraw.Draw(image)
        for kind, *part in self.parts:
            getattr(self, f"_draw_{kind}")(image, pen, fine, *part)

    def _draw_line(self, image, pen, fine, points, colour, width, dash) -> None:
        points = [(x * fine, y * fine) for x, y in points]
        for piece in _dashes(points, dash * fine) if dash else [points]:
            pen.line(piece, fill=colour, width=round(width * fine), joint="curve")

    def _draw_box(self, image, pen, fine, box, fill, edge, width) -> None:
        left, top, right, bottom = (round(place * fine) for place in box)
        if left >= right or top >= bottom:
            return
        pen.rectangle(
            (left, top, right - 1, bottom - 1),
            fill=None if fill == "none" else fill,
            outline=None if edge == "none" else edge,
            width=round(width * fine),
        )

    def _draw_dot(self, image, pen, fine, x, y, radius, fill) -> None:
        left, top, right, bottom = ((c + r) * fine for r in (-radius, radius) for c in (x, y))
        pen.ellipse((left, top, right, bottom), fill=fill, outline="white", width=3 * fine // 2)

    def _draw_polygon(self, image, pen, fine, points, fill) -> None:
        pen.polygon([(x * fine, y * fine) for x, y in points], fill=fill)

    def _draw_text(self, image, pen, fine, x, y, words, anchor, size, colour) -> None:
        pen.text((x * fine, y * fine), words, colour, font(size * fine), anchor=anchor)

    def _draw_place(self, image, pen, fine, x, y, other) -> None:
        left, top = round(x * fine), round(y * fine)
        width, height = other.size
        part = image.crop((left, top, left + width * fine, top + height * fine))
        other._draw_parts(part, fine)
        image.paste(part, (left, top))

    def svg(self, x: float = 0, y: float = 0) -> str:
        """Return the drawing as an SVG element."""
        width, height = self.size
        parts = "".join(getattr(self, f"_svg_{kind}")(*part) for kind, *part in self.parts)
        return (
            f'<svg xmlns="http://www.w3.org/2000/svg" x="{x:g}" y="{y:g}" width="{width}" '
            f'height="{height}" viewBox="0 0 {width} {height}" overflow="hidden">{parts}</svg>'
        )

    def _colour(self, colour: str) -> str:
        return PAGE.get(colour, colour)

    def _svg_line(self, points, colour, width, dash) -> str:
        dashes = f' stroke-dasharray="{dash:g}"' if dash else ""
        return (
            f'<polyline points="{_points(points)}" fill="none" stroke="{self._colour(colour)}" '
            f'stroke-width="{width:g}" stroke-linejoin="round"{dashes}/>'
        )

    def _svg_box(self, box, fill, edge, width) -> str:
        left, top, right, bottom = box
        inset = width / 2 if edge != "none" else 0  # SVG draws an edge on both of its sides
        return (
            f'<rect x="{left + inset:g}" y="{top + inset:g}" '
            f'width="{max(0, right - left - 2 * inset):g}" '
            f'height="{max(0, bottom - top - 2 * inset):g}" fill="{self._colour(fill)}" '
            f'stroke="{self._colour(edge)}" stroke-width="{width:g}"/>'
        )

    def _svg_dot(self, x, y, radius, fill) -> str:
        radius -= 0.75  # SVG draws the rim on both sides of the circle
        return (
            f'<circle cx="{x:g}" cy="{y:g}" r="{radius:g}" fill="{self._colour(fill)}" '
            f'stroke="{self._colour("white")}" stroke-width="1.5"/>'
        )

    def _svg_polygon(self, points, fill) -> str:
        return f'<polygon points="{_points(points)}" fill="{self._colour(fill)}"/>'

    def _svg_text(self, x, y, words, anchor, size, colour) -> str:
        across = {"l": "start", "m": "middle", "r": "end"}[anchor[0]]
        down = {"t": 0.8, "m": 0.35, "b": -0.2, "s": 0.0}[anchor[1]] * size
        return (
            f'<text x="{x:g}" y="{y + down:g}" text-anchor="{across}" font-size="{size}" '
            f'fill="{self._colour(colour)}">{html.escape(words)}</text>'
        )

    def _svg_place(self, x, y, other) -> str:
        return other.svg(x, y)


def _points(points: Sequence[Point]) -> str:
    return " ".join(f"{x:.2f},{y:.2f}" for x, y in points)


def axis_marks(top: float) -> list[float]:
    """Return at most five round values from 0 to the first one that is not below `top`."""
    if top <= 0:
        return [0.0, 0.01]
    power = 10.0 ** math.floor(math.log10(top / 4))
    step = next(factor * power for factor in (1, 2, 5, 10) if 4 * factor * power >= top)
    return [float(f"{step * i:.6g}") for i in range(math.ceil(top / step) + 1)]


class Chart:
    """Curves, points and arrows over an x axis. What lies outside the ranges is cut off.

    Args:
        width, height: size of the finished drawing in screen pixels, axis labels included.
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
        self.field = Sketch(width - self.LEFT - self.RIGHT, height - self.TOP - self.BELOW)
        for x in x_ticks:
            self.curve((x, x), ys, FAINT, width=1)
        for y in y_ticks:
            self.curve(xs, (y, y), "#999999" if y == 0 else FAINT, width=1)

    def copy(self) -> "Chart":
        """Return a chart with the same curves, to which more can be added."""
        chart = copy.copy(self)
        chart.field = self.field.copy()
        return chart

    def place(self, x: float, y: float) -> Point:
        """Return (x, y) of a value in the finished drawing, pixels from its upper left corner."""
        across, down = self._place(x, y)
        return self.LEFT + across, self.TOP + down

    def curve(
        self,
        xs: Sequence[float],
        ys: Sequence[float],
        colour: str,
        dash: float = 0,
        width: float = 2.5,
    ) -> None:
        """Draw a line through points; with `dash`, its pieces and the gaps have this length."""
        self.field.line([self._place(x, y) for x, y in zip(xs, ys)], colour, width, dash)

    def point(self, x: float, y: float, colour: str) -> None:
        """Mark a point by a dot with a white rim; one beyond the range of `ys` lies at the edge."""
        self.field.dot(*self._dot(x, y), 6.5, colour)

    def arrow(self, x: float, y: float, length: float, colour: str) -> None:
        """Draw an arrow along the x axis from a point; a very short one is left out.

        Args:
            length: in values of x; negative to the left.
        """
        (start, down), (end, _) = self._dot(x, y), self._place(x + length, y)
        end = min(max(end, 2), self.field.size[0] - 2)
        if abs(end - start) < 4:
            return
        head = 8 if end > start else -8
        self.field.line([(start, down), (end - head, down)], colour, 4)
        self.field.polygon(
            [(end, down), (end - head, down - 6.5), (end - head, down + 6.5)], colour
        )

    def sketch(self) -> Sketch:
        """Return the finished chart."""
        whole = Sketch(*self.size)
        whole.place(self.LEFT, self.TOP, self.field)
        for x in self.x_ticks:
            place = self.place(x, 0)[0], self.size[1] - self.BELOW + 8
            whole.text(*place, f"{x:g}", "mt", 13)
        for y in self.y_ticks:
            whole.text(self.LEFT - 5, self.place(0, y)[1], f"{y:g}", "rm", 13)
        middle = (self.LEFT + self.size[0] - self.RIGHT) / 2
        whole.text(middle, self.size[1] - 3, self.x_label, "mb", 14)
        return whole

    def _dot(self, x: float, y: float) -> Point:
        """Return the middle of a value's dot in the field: its place, or the nearest possible."""
        across, down = self._place(x, y)
        return across, min(max(down, 7), self.field.size[1] - 7)

    def _place(self, x: float, y: float) -> Point:
        """Return where a value lies in the field, in pixels of the field."""
        across = (x - self.xs[0]) / (self.xs[1] - self.xs[0]) * self.field.size[0]
        down = (self.ys[1] - y) / (self.ys[1] - self.ys[0]) * self.field.size[1]
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
