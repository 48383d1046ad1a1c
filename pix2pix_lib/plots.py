"""Figures; the only module that imports matplotlib.

Every function returns a figure that belongs to no window and no notebook; `show` puts it under a
cell, with the sentence that says what it shows for those who cannot see it. Colours are told apart
by the colour-blind (Okabe-Ito).
"""

import functools
import io
import itertools
import math
import textwrap
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np
from matplotlib import colormaps
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import FancyArrowPatch, Rectangle
from PIL import Image
from torch import Tensor

from .images import to_uint8
from .layers import ShapeRow
from .progress import in_notebook, make_bar
from .trainer import LossPanel, Trainer

BLUE, ORANGE, GREEN, VERMILLION, PURPLE, SKY, GREY = (
    "#0072B2",
    "#E69F00",
    "#009E73",
    "#D55E00",
    "#CC79A7",
    "#56B4E9",
    "#666666",
)
DPI = 110
POINTS = 4000  # of one curve: more than the pixels it is drawn on
GAP, TITLE_PAD = 8, 10  # pixels between images, and around their titles
# For curves over several panels: CycleGAN has four in each, and two blues never share one.
PALETTE = (BLUE, ORANGE, GREEN, VERMILLION, PURPLE, "#000000", SKY, GREY)


def new_figure(
    width: float, height: float, rows: int = 1, cols: int = 1, **options
) -> tuple[Figure, Axes]:
    """Return a figure of width x height inches and its axes (one, or an array of them)."""
    figure = Figure(figsize=(width, height), dpi=DPI, layout="constrained")
    return figure, figure.subplots(rows, cols, **options)


def show(figure: Figure, alt: str) -> None:
    """Show a figure under the running cell; outside a notebook only print `alt`.

    `alt` says in words what the figure shows.
    """
    _display_png(to_png(figure), alt)


def show_picture(picture: Image.Image, alt: str) -> None:
    """Show a Pillow image as `show` shows a figure."""
    _display_png(encode_png(picture), alt)


def _display_png(png: bytes, alt: str) -> None:
    if not in_notebook():
        print(alt)
        return
    from IPython.display import display

    display(png_bundle(png, alt), metadata=alt_metadata(alt), raw=True)


def png_bundle(png: bytes, alt: str) -> dict[str, bytes | str]:
    """Return a picture in the forms that a notebook shows: as PNG, and described in words."""
    return {"image/png": png, "text/plain": textwrap.fill(alt, 110)}


def to_png(figure: Figure) -> bytes:
    """Return a figure as PNG, in its exact colours."""
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png")
    return encode_png(Image.open(buffer))


def encode_png(picture: Image.Image) -> bytes:
    """Return an opaque picture as PNG without loss; one of few colours gets a palette of them.

    A palette fitted to many colours would make photos three times smaller, but give skies grain and
    the classes of label maps each other's colours.
    """
    pixels = np.asarray(picture.convert("RGB"))
    colours, indices, _ = colours_of(pixels)
    if len(colours) <= 256:
        picture = Image.frombytes("P", picture.size, indices.astype(np.uint8).tobytes())
        picture.putpalette((colours[:, None] >> np.array([16, 8, 0]) & 255).ravel().tolist())
    else:
        picture = Image.fromarray(pixels)
    buffer = io.BytesIO()
    picture.save(buffer, "png", optimize=True)
    return buffer.getvalue()


def colours_of(pixels: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return the colours of an (H, W, 3) uint8 picture, where they occur, and how often.

    Each of the n colours is one number, 65536 red + 256 green + blue; the second array, (H, W),
    has the index of each pixel's colour, and the third, (n,), the number of its pixels.
    """
    values = pixels @ (1 << np.array([16, 8, 0]))
    colours, indices, counts = np.unique(values, return_inverse=True, return_counts=True)
    return colours, indices.reshape(values.shape), counts


def alt_metadata(alt: str) -> dict:
    """Return the output metadata from which a notebook takes a picture's alternative text."""
    return {"image/png": {"alt": alt}}


@functools.cache
def colour_table(name: str) -> np.ndarray:
    """Return a colour map of matplotlib as (256, 3) uint8, from its low to its high end."""
    return (colormaps[name](np.arange(256))[:, :3] * 255).round().astype(np.uint8)


def draw_image(axes: Axes, image: Tensor, title: str = "") -> Axes:
    """Draw one (1 or 3, H, W) image in [-1, 1] pixel by pixel, without ticks."""
    pixels = to_uint8(image).permute(1, 2, 0).cpu().numpy()
    pixels = pixels[..., 0] if pixels.shape[2] == 1 else pixels
    axes.imshow(pixels, cmap="gray", vmin=0, vmax=255, interpolation="nearest")
    axes.set_title(title, fontsize=10)
    axes.set_xticks([])
    axes.set_yticks([])
    return axes


def image_grid(
    rows: Sequence[Sequence[Tensor]],
    titles: Sequence[str] = (),
    row_titles: Sequence[str] = (),
    side: float = 1.7,
) -> Figure:
    """Draw rows of (1 or 3, H, W) images in [-1, 1], titles above columns and left of rows.

    Every image is enlarged by a whole number, so that all its pixels are equally large: to about
    `side` inches, but at least one screen pixel each.
    """
    columns = max(len(row) for row in rows)
    largest = max(max(image.shape[1:]) for row in rows for image in row)
    cell = max(1, round(side * DPI / largest)) * largest  # pixels
    above, widths = _text_sizes(titles, columns)
    beside, heights = _text_sizes(row_titles, len(rows))
    widths, heights = ([max(cell, size) for size in sizes] for sizes in (widths, heights))
    lefts, width = _places(widths, beside)
    tops, height = _places(heights, above)
    figure = Figure(figsize=(width / DPI, height / DPI), dpi=DPI)
    for row, images in enumerate(rows):
        for col, image in enumerate(images):
            scale = max(1, cell // max(image.shape[1:]))
            high, wide = (scale * pixels for pixels in image.shape[1:])
            left = lefts[col] + (widths[col] - wide) // 2
            top = tops[row] + (heights[row] - high) // 2
            axes = figure.add_axes(
                (left / width, 1 - (top + high) / height, wide / width, high / height)
            )
            axes.set_frame_on(False)
            draw_image(axes, image, titles[col] if row == 0 and titles else "")
            if col == 0 and row_titles:
                axes.set_ylabel(row_titles[row], fontsize=10)
    return figure


def _text_sizes(texts: Sequence[str], count: int) -> tuple[int, list[int]]:
    """Return the pixels that titles need across their direction, and each one's length."""
    if not texts:
        return 0, [0] * count
    figure = Figure(dpi=DPI)
    boxes = [figure.text(0, 0, text, fontsize=10).get_window_extent() for text in texts]
    lengths = [math.ceil(box.width) for box in boxes] + [0] * (count - len(boxes))
    return math.ceil(max(box.height for box in boxes)) + TITLE_PAD, lengths


def _places(sizes: Sequence[int], before: int) -> tuple[list[int], int]:
    """Return where things of these sizes begin, one after the other, and where they end."""
    starts = [before + GAP // 2]
    for size in sizes:
        starts.append(starts[-1] + size + GAP)
    return starts[:-1], starts[-1] - GAP // 2


def samples(real_a: Tensor, fake_b: Tensor, real_b: Tensor, side: float = 1.7) -> Figure:
    """Draw three (N, C, H, W) batches as three rows: input, output and truth, one column a pair."""
    return sample_rows({"input": real_a, "output": fake_b, "truth": real_b}, side)


def sample_rows(batches: Mapping[str, Tensor], side: float = 1.7) -> Figure:
    """Draw (N, C, H, W) batches in [-1, 1] as rows, each with its name on the left."""
    return image_grid([list(batch) for batch in batches.values()], (), tuple(batches), side)


def loss_curves(history: Sequence, panels: Sequence[LossPanel], width: float = 9.0) -> Figure:
    """Draw a run's losses over its steps, one set of axes for each of `Trainer.loss_panels`.

    Thin lines are single steps (or means of a few, in a long run), thick ones running means. The
    dotted line is the loss of a D that cannot tell real from generated.
    """
    figure, axes = new_figure(width, 3.0, 1, len(panels), squeeze=False)
    colours = itertools.cycle(PALETTE)  # on through the panels, so that L1 is green
    for axis, panel in zip(axes[0], panels):
        lowest = 0.0
        for loss, label in panel.labels.items():
            steps, values = thin_out(history, loss)
            _curve(axis, steps, values, next(colours), label)
            lowest = min(lowest, *values)
        if panel.undecided:
            value, name = panel.undecided
            axis.axhline(value, color=GREY, linestyle=":", linewidth=1, label=name)
        axis.set_xlabel("step")
        if lowest == 0:  # losses of hinge and Wasserstein can be negative
            axis.set_ylim(bottom=0)
        above = {"loc": "lower left", "bbox_to_anchor": (0, 1), "borderaxespad": 0}
        axis.legend(frameon=False, fontsize=9, ncols=3, columnspacing=1.2, **above)
        axis.spines[["top", "right"]].set_visible(False)
    return figure


def thin_out(history: Sequence, loss: str) -> tuple[list[int], list[float]]:
    """Return steps and values of a loss, at most `POINTS`: means over neighbouring steps."""
    steps, values = (np.array([getattr(r, name) for r in history]) for name in ("step", loss))
    group = -(-len(history) // POINTS)
    cuts = range(0, len(history), group)
    means = np.add.reduceat(values, cuts) / np.add.reduceat(np.ones(len(values)), cuts)
    return steps[::group].tolist(), means.tolist()


def _curve(
    axes: Axes, steps: Sequence[int], values: Sequence[float], colour: str, label: str
) -> None:
    axes.plot(steps, values, color=colour, linewidth=0.5, alpha=0.3)
    axes.plot(steps, running_mean(values), color=colour, linewidth=1.8, label=label)


def running_mean(values: Sequence[float], share: float = 0.05) -> list[float]:
    """Return at each step the mean over the last `share` of the whole run."""
    window = max(1, round(share * len(values)))
    means, total = [], 0.0
    for index, value in enumerate(values):
        total += value - (values[index - window] if index >= window else 0.0)
        means.append(total / min(index + 1, window))
    return means


@dataclass(frozen=True)
class _Box:
    """One block in the diagram: centre and size, one unit of height for each halving."""

    x: float
    y: float
    width: float
    height: float

    @property
    def corner(self) -> tuple[float, float]:
        return self.x - self.width / 2, self.y - self.height / 2


def unet_diagram(rows: Sequence[ShapeRow], width: float = 10.0) -> Figure:
    """Draw a U-Net from the rows of `layers.record_shapes`: a box a block, an arrow a skip.

    Each halving is one step down. A box is as tall as its block's output and as wide as it has
    channels, both on a log scale; the grey box is the input. An arrow joins two blocks with outputs
    of one size where the next block was given the channels of both.
    """
    boxes = _place_boxes([rows[0].before, *(row.after for row in rows)])
    bottom, top = min(box.y for box in boxes), max(box.y for box in boxes)
    figure, axes = new_figure(width, 0.6 + 0.55 * (top - bottom))
    axes.set(xlim=(boxes[0].x - 3.6, boxes[-1].x + 3.6), ylim=(bottom - 0.4, top + 0.55))
    axes.set_axis_off()

    _draw_box(axes, boxes[0], "input", rows[0].before, GREY, side=-1)
    for row, before, box in zip(rows, boxes, boxes[1:]):
        step = 1 if row.after[2] > row.before[2] else -1  # up or down, and the label outside the U
        _draw_box(axes, box, row.name, row.after, ORANGE if step > 0 else BLUE, side=step)
        tail, tip = before.y + step * before.height / 2, box.y - step * box.height / 2
        axes.add_patch(_arrow((before.x, tail), (box.x, tip), GREY, 1.0, "flow"))
    for start, end in _skips(rows):
        left, right, row = boxes[start + 1], boxes[end + 1], rows[start]
        tail, tip = left.x + left.width / 2 + 0.08, right.x - right.width / 2 - 0.08
        axes.add_patch(_arrow((tail, left.y), (tip, left.y), GREEN, 1.6, f"skip {row.name}"))
        middle = (tail + tip) / 2
        axes.text(
            middle,
            left.y + 0.08,
            f"+{row.after[1]}",
            ha="center",
            va="bottom",
            color=GREEN,
            fontsize=9,
        )

    keys = [
        Rectangle((0, 0), 1, 1, color=BLUE, label="halve"),
        Rectangle((0, 0), 1, 1, color=ORANGE, label="double"),
    ]
    axes.legend(
        handles=keys,
        loc="lower left",
        frameon=False,
        fontsize=9,
        alignment="left",
        title_fontsize=9,
        title=f"{sum(row.parameters for row in rows):,} parameters",
    )
    return figure


def _place_boxes(shapes: Sequence[tuple[int, ...]]) -> list[_Box]:
    """Place the outputs (N, C, H, W) from left to right, each as high as the logarithm of its H."""
    levels = [math.log2(shape[2]) for shape in shapes]
    tallest = max(1.0, *levels)
    return [
        _Box(1.35 * index, level, 0.15 + 0.15 * math.log2(shape[1]), 0.14 + 0.62 * level / tallest)
        for index, (shape, level) in enumerate(zip(shapes, levels))
    ]


def _skips(rows: Sequence[ShapeRow]) -> list[tuple[int, int]]:
    """Return the pairs of rows whose outputs went together into the row after the second."""
    pairs = []
    for end, (row, following) in enumerate(pairwise(rows)):
        added = following.before[1] - row.after[1]
        pairs += [
            (start, end)
            for start in range(end)
            if rows[start].after[2:] == row.after[2:] and rows[start].after[1] == added
        ]
    return pairs


def _draw_box(
    axes: Axes, box: _Box, name: str, shape: tuple[int, ...], colour: str, side: int
) -> None:
    axes.add_patch(
        Rectangle(box.corner, box.width, box.height, facecolor=colour, edgecolor="none", gid=name)
    )
    axes.text(
        box.x + side * (box.width / 2 + 0.15),
        box.y,
        " x ".join(map(str, shape[1:])),
        ha="left" if side > 0 else "right",
        va="center",
        fontsize=9,
    )


def _arrow(
    tail: tuple[float, float], tip: tuple[float, float], colour: str, width: float, name: str
) -> FancyArrowPatch:
    return FancyArrowPatch(
        tail,
        tip,
        arrowstyle="-|>",
        mutation_scale=9,
        shrinkA=0,
        shrinkB=0,
        color=colour,
        linewidth=width,
        gid=name,
    )


@dataclass(frozen=True)
class _Node:
    """One network or image in a diagram: its name, the middle of its box, and its colour."""

    name: str
    x: float
    y: float
    colour: str


def cycle_diagram(domain_a: str = "a", domain_b: str = "b", width: float = 10.0) -> Figure:
    """Draw the two cycles of CycleGAN, one a row: images in their domain's colour, networks white.

    Dashed lines join what a loss compares; the names of the losses stand there.
    """
    figure, axes = new_figure(width, 0.47 * width)
    axes.set(xlim=(-1.0, 9.6), ylim=(-1.75, 3.55))
    axes.set_axis_off()
    colours = {"a": ORANGE, "b": BLUE}
    _draw_cycle(axes, 2.0, "a", "b", colours, up=1)
    _draw_cycle(axes, -0.2, "b", "a", colours, up=-1)
    keys = [
        Rectangle((0, 0), 1, 1, color=colours[side], label=f"images of {name}")
        for side, name in (("a", domain_a), ("b", domain_b))
    ]
    figure.legend(handles=keys, loc="outside lower center", ncols=2, frameon=False, fontsize=9)
    return figure


def _draw_cycle(
    axes: Axes, y: float, here: str, there: str, colours: Mapping[str, str], up: int
) -> None:
    """Draw one row: there and back, with the discriminator on the outer side (`up` is 1 or -1)."""
    outer, inner = y + 1.15 * up, y - 0.72 * up
    row = [
        _Node(f"real_{here}", 0.0, y, colours[here]),
        _Node(f"generator_{here}{there}", 2.15, y, "white"),
        _Node(f"fake_{there}", 4.3, y, colours[there]),
        _Node(f"generator_{there}{here}", 6.45, y, "white"),
        _Node(f"rec_{here}", 8.6, y, colours[here]),
    ]
    real = _Node(f"real_{there}", 2.15, outer, colours[there])
    judge = _Node(f"discriminator_{there}", 4.3, outer, "white")
    for node in (*row, real, judge):
        _draw_node(axes, node)
    for left, right in (*pairwise(row), (real, judge)):
        axes.add_patch(
            _arrow((left.x + 0.76, left.y), (right.x - 0.76, right.y), GREY, 1.2, "flow")
        )
    axes.add_patch(_arrow((4.3, y + 0.28 * up), (4.3, outer - 0.28 * up), GREY, 1.2, "flow"))
    xs, ys = [0.0, 0.0, 8.6, 8.6], [y - 0.28 * up, inner, inner, y - 0.28 * up]
    axes.plot(xs, ys, color=VERMILLION, linestyle="--", linewidth=1.3)
    axes.text(
        4.3,
        inner,
        f"cycle loss of {here}: mean |rec_{here} - real_{here}|",
        ha="center",
        va="center",
        fontsize=9.5,
        color=VERMILLION,
        backgroundcolor="white",
    )
    axes.text(
        5.2,
        outer,
        f"adversarial loss: does fake_{there} pass for a real_{there}?",
        ha="left",
        va="center",
        fontsize=9.5,
        color=VERMILLION,
    )


def _draw_node(axes: Axes, node: _Node) -> None:
    network = node.colour == "white"
    axes.add_patch(
        Rectangle(
            (node.x - 0.72, node.y - 0.25),
            1.44,
            0.5,
            facecolor=node.colour,
            edgecolor="black" if network else node.colour,
            linewidth=1.2,
            gid=node.name,
        )
    )
    axes.text(
        node.x,
        node.y,
        node.name,
        ha="center",
        va="center",
        fontsize=9.5,
        color="white" if node.colour == BLUE else "black",
    )


class TrainingView:
    """Shows a run under its cell: a bar, then curves and samples, renewed after each epoch.

    Args:
        trainer: the run that is shown.
        real_a, real_b: (N, C, H, W) batches in [-1, 1], inputs to translate after each epoch and
            their truth.
        steps: updates in one epoch; the bar counts those of all epochs that are left.
    """

    def __init__(self, trainer: Trainer, real_a: Tensor, real_b: Tensor, steps: int):
        self.trainer, self.real_a, self.real_b = trainer, real_a, real_b
        self.curves = self.grid = None
        self.bar = make_bar(steps * (trainer.config.epochs - trainer.epoch), "training")

    def step(self, record) -> None:
        """Count one update; every 20th is written beside the bar."""
        self.bar.update()
        if record.step % 20 == 0:
            self.bar.set_postfix_str(f"epoch {record.epoch + 1}, {record.summary()}")

    def epoch(self) -> None:
        """Translate the samples and renew both pictures."""
        self.bar.refresh()
        if not in_notebook():
            print(
                f"epoch {self.trainer.epoch}: {self.trainer.history[-1].summary()} at its last step"
            )
            return
        epoch, history = self.trainer.epoch, self.trainer.history
        shown = self.trainer.show(self.real_a, self.real_b)
        alt_grid = f"Rows of images after epoch {epoch}: {', '.join(shown)}."
        alt_curves = (
            f"Losses over {len(history)} steps: the adversarial ones on the left, the distances on "
            f"the right."
        )
        self.curves = _replace(
            self.curves, loss_curves(history, self.trainer.loss_panels()), alt_curves
        )
        self.grid = _replace(self.grid, sample_rows(shown), alt_grid)


def _replace(handle: Any, figure: Figure, alt: str) -> Any:
    """Show a figure in the place that `handle` holds, or in a new one; return the place."""
    from IPython.display import display

    bundle, metadata = png_bundle(to_png(figure), alt), alt_metadata(alt)
    if handle is None:
        return display(bundle, metadata=metadata, raw=True, display_id=True)
    handle.update(bundle, metadata=metadata, raw=True)
    return handle
