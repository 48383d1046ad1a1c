"""Training player: step through the recorded training of the networks that ship.

Source: the snapshots and losses in data/weights, see `trained`.
"""

import functools
import math
from collections.abc import Iterable, Mapping, Sequence

import torch
from PIL import Image, ImageDraw
from torch import Tensor

from ..devices import device_of
from ..facades import facade_tensors, split_seeds
from ..inference import translate
from ..plots import BLUE, GREEN, ORANGE
from ..trained import Snapshot, load_history, load_snapshots
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
    """Samples, patch maps and losses at each snapshot of a training.

    Controls:
        percent: of the training.
        facade: the pair.

    Numbers:
        step: of the snapshot.
        validation_l1: mean absolute difference from the true photos, in [0, 2], on the snapshot's
            card.
        l1: the same for this facade.
        real, fake: mean probability that D gives the true picture, and the generated one.

    Args:
        pairs: (real_a, real_b) tensors (3, H, W) in [-1, 1]; by default six procedural facades that
            no training saw.
        snapshots, history: what `trained.load_snapshots` and `trained.load_history` return; by
            default that.

    Raises:
        InputError: if there are no pairs, snapshots or losses.
    """

    def __init__(
        self,
        pairs: Sequence[tuple[Tensor, Tensor]] | None = None,
        snapshots: Sequence[Snapshot] | None = None,
        history: Sequence[StepRecord] | None = None,
    ):
        self.pairs = (
            [facade_tensors(seed) for seed in split_seeds("val", 6)]
            if pairs is None
            else list(pairs)
        )
        self.history = load_history() if history is None else list(history)
        snapshots = load_snapshots() if snapshots is None else snapshots
        if not (self.pairs and self.history and snapshots):
            raise InputError(
                f"pairs, snapshots and losses are needed; got {len(self.pairs)}, {len(snapshots)} "
                f"and {len(self.history)}"
            )
        self.snapshots = {snapshot.percent: snapshot for snapshot in snapshots}
        last = max(self.history[-1].step, *(snapshot.step for snapshot in snapshots))
        self.charts = [
            LossChart(self.history, last, names, width)
            for names, width in zip((ADVERSARIAL, PIXELWISE), WIDTHS)
        ]
        self.judged = functools.lru_cache(64)(self._judged)
        percents = tuple(self.snapshots)
        super().__init__(
            [
                Choice("percent", "training, %", percents, percents[0], ordered=True),
                Slider("facade", "facade", 0, len(self.pairs) - 1, 0),
            ]
        )

    def draw(self, percent: int, facade: int) -> View:
        real_a, real_b = self.pairs[facade]
        fake_b, real_logits, fake_logits = self.judged(percent, facade)
        snapshot = self.snapshots[percent]
        numbers = {
            "step": snapshot.step,
            "validation_l1": snapshot.validation_l1,
            "l1": float((fake_b - real_b).abs().mean()),
            "real": float(real_logits.sigmoid().mean()),
            "fake": float(fake_logits.sigmoid().mean()),
        }
        panels = [
            *(drawing.smooth_photo(image, SIDE) for image in (real_a, fake_b, real_b)),
            draw_map(fake_logits),
            draw_map(real_logits),
        ]
        titles = ["label map", "generated", "true photo", "D on generated", "D on the true photo"]
        charts = [chart.marked(snapshot.step) for chart in self.charts]
        picture = drawing.stack(
            [drawing.row(panels, titles, GAP), drawing.row(charts, gap=GAP)], gap=6
        )
        return View(
            picture, player_text(percent, numbers), player_alt(percent, facade, numbers), numbers
        )

    @torch.no_grad()
    def _judged(self, percent: int, facade: int) -> tuple[Tensor, Tensor, Tensor]:
        """Return the generated picture, and D's logits for the true and for the generated one.

        Returns:
            (3, H, W), (H', W'), (H', W').
        """
        snapshot = self.snapshots[percent]
        device = device_of(snapshot.generator)
        real_a, real_b = (image[None].to(device) for image in self.pairs[facade])
        fake_b = self.run_network(translate, snapshot.generator, real_a)
        logits = [
            self.run_network(snapshot.discriminator, real_a, image)[0, 0].cpu()
            for image in (real_b, fake_b)
        ]
        return fake_b[0].cpu(), *logits


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
