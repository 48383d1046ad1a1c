"""Training player: step through the recorded training of the networks that ship.

Source: the film and the losses in data/weights, see `trained`.
"""

import math
from collections.abc import Iterable, Mapping, Sequence

from PIL import Image, ImageDraw
from torch import Tensor

from ..facades import facade_tensors, split_seeds
from ..plots import BLUE, GREEN, ORANGE
from ..trained import Film, load_film, load_history
from ..training import StepRecord
from ..validation import InputError
from . import drawing
from .base import Choice, Explorer, Slider, View

SIDE, GAP = 168, 15  # screen pixels of each of the five pictures, and between them
WIDTHS, HEIGHT = (585, 300), 150  # of the two charts
ADVERSARIAL = {"loss_d": ("D (halved)", BLUE), "loss_g_gan": ("G, adversarial", ORANGE)}
PIXELWISE = {"loss_g_l1": ("G, L1", GREEN)}
STEPS = (0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10, 20, 50)  # between the marks of an axis


class TrainingPlayer(Explorer):
    """Samples, patch maps and losses at each frame of a film of a training.

    Controls:
        percent: of the training.
        facade: the pair.

    Numbers:
        step: of the training.
        validation_l1: mean absolute difference from 100 true photos, in [0, 2].
        l1: the same for this facade.
        real, fake: mean probability that D gives the true picture, and the generated one.

    Args:
        pairs: (real_a, real_b) tensors (3, H, W) in [-1, 1]; by default the six procedural facades
            of the film, which no training saw.
        film, history: what `trained.make_film` or `trained.load_film`, and `trained.load_history`
            return; by default those of the networks that ship.

    Raises:
        InputError: if there are no losses, or not as many pairs as in the film.
    """

    def __init__(
        self,
        pairs: Sequence[tuple[Tensor, Tensor]] | None = None,
        film: Film | None = None,
        history: Sequence[StepRecord] | None = None,
    ):
        self.film = load_film() if film is None else film
        count = self.film.l1.shape[1]
        if pairs is None:
            pairs = [facade_tensors(seed) for seed in split_seeds("val", count)]
        self.pairs = list(pairs)
        self.history = load_history() if history is None else list(history)
        if not self.history or len(self.pairs) != count:
            raise InputError(
                f"losses are needed, and the film's {count} pairs; got {len(self.history)} losses "
                f"and {len(self.pairs)} pairs"
            )
        last = max(self.history[-1].step, int(self.film.step.max()))
        self.charts = [
            LossChart(self.history, last, names, width)
            for names, width in zip((ADVERSARIAL, PIXELWISE), WIDTHS)
        ]
        percents = tuple(self.film.percent.tolist())
        super().__init__(
            [
                Choice("percent", "training, %", percents, percents[0], ordered=True),
                Slider("facade", "facade", 0, len(self.pairs) - 1, 0),
            ]
        )

    def draw(self, percent: int, facade: int) -> View:
        film, time = self.film, self.film.percent.tolist().index(percent)
        real_a, real_b = self.pairs[facade]
        real_logits, fake_logits = film.real_logits[time, facade], film.fake_logits[time, facade]
        numbers = {
            "step": int(film.step[time]),
            "validation_l1": float(film.validation_l1[time]),
            "l1": float(film.l1[time, facade]),
            "real": float(real_logits.sigmoid().mean()),
            "fake": float(fake_logits.sigmoid().mean()),
        }
        pictures = real_a, film.fake_b[time, facade], real_b
        panels = [
            *(drawing.smooth_photo(image, SIDE) for image in pictures),
            draw_map(fake_logits),
            draw_map(real_logits),
        ]
        titles = ["label map", "generated", "true photo", "D on generated", "D on the true photo"]
        charts = [chart.marked(numbers["step"]) for chart in self.charts]
        picture = drawing.stack(
            [drawing.row(panels, titles, GAP), drawing.row(charts, gap=GAP)], gap=6
        )
        return View(
            picture, player_text(percent, numbers), player_alt(percent, facade, numbers), numbers
        )


def player_text(percent: int, numbers: Mapping) -> str:
    """Return the sentences below the picture."""
    return (
        f"{percent} % of the training, step {numbers['step']}: L1 on 100 unseen facades "
        f"{numbers['validation_l1']:.3f}, on this one {numbers['l1']:.3f}.\n"
        f"D gives the true photo a mean probability of {numbers['real']:.2f}, the generated "
        f"picture {numbers['fake']:.2f}."
    )


def player_alt(percent: int, facade: int, numbers: Mapping) -> str:
    """Return the picture in words."""
    return (
        f"Facade {facade} at {percent} % of the training: label map, generated picture, true "
        f"photo, D's patch map on the generated picture with a mean of {numbers['fake']:.2f}, on "
        f"the true photo {numbers['real']:.2f}; below, "
        f"the losses with a line at step {numbers['step']}."
    )


def draw_map(logits: Tensor) -> Image.Image:
    """Draw an (H', W') map of logits as probabilities.

    Purple is real, orange generated; where D cannot tell the map is white.
    """
    colours = drawing.diverging(logits.sigmoid().numpy() - 0.5, 0.5)
    return drawing.scale_below(
        drawing.enlarge(colours, SIDE, SIDE), "PuOr", ("0 fake", "0.5", "1 real")
    )


class LossChart:
    """The losses of a run over its steps, and a line at one of them.

    Args:
        history: the records of the run.
        last: the step where the axis ends; it begins at 0, as does the axis of the losses.
        losses: a name and a colour for each field of `StepRecord` to draw.
        width: of the chart in pixels.
    """

    def __init__(
        self,
        history: Sequence[StepRecord],
        last: int,
        losses: Mapping[str, tuple[str, str]],
        width: int,
    ):
        curves = {field: [getattr(record, field) for record in history] for field in losses}
        marks = axis_marks(max(max(values) for values in curves.values()))
        quarters = [last * i / 4 for i in range(4)]  # the last step's own number would not fit
        self.chart = drawing.Chart(
            width, HEIGHT, (0, last), (0, marks[-1]), quarters, marks, "step"
        )
        for field, (_, colour) in losses.items():
            self.chart.curve([record.step for record in history], curves[field], colour)
        self.picture = drawing.stack(
            [name_curves(losses.values(), width), self.chart.picture()], gap=0
        )

    def marked(self, step: int) -> Image.Image:
        """Return the chart with an upright line at a step."""
        picture, header = self.picture.copy(), self.picture.height - HEIGHT
        (x, bottom), (_, top) = self.chart.place(step, 0), self.chart.place(step, self.chart.ys[1])
        ImageDraw.Draw(picture).line(
            [(x, header + top), (x, header + bottom)], fill=drawing.INK, width=3
        )
        return picture


def axis_marks(top: float) -> list[float]:
    """Return round values from 0 to the first one that is not below `top`, at most five."""
    step = next((step for step in STEPS if top <= 4 * step), STEPS[-1])
    return [round(step * i, 2) for i in range(max(1, math.ceil(top / step)) + 1)]


def name_curves(curves: Iterable[tuple[str, str]], width: int) -> Image.Image:
    """Write the names of curves in a line, each behind a piece of its colour."""
    line = Image.new("RGB", (width, 22), "white")
    draw, left = ImageDraw.Draw(line), drawing.Chart.LEFT
    for name, colour in curves:
        draw.rectangle((left, 9, left + 20, 12), fill=colour)
        draw.text((left + 26, 2), name, drawing.INK, drawing.font())
        left += 26 + round(drawing.font().getlength(name)) + 24
    return line
