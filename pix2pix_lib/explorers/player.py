"""Training player: step through the recorded training of the networks that ship.

Source: the film and the losses in data/weights, see `trained`.
"""

from collections.abc import Mapping, Sequence

from torch import Tensor

from ..facades import facade_tensors, split_seeds
from ..images import to_pil
from ..plots import BLUE, GREEN, ORANGE
from ..trained import Film, load_film, load_history
from ..training import StepRecord
from ..validation import InputError
from . import drawing
from .base import Action, Choice, Explorer, Slider, View
from .patches import SCALES, map_colours
from .picture import Axis, Picture

SIDE = 128  # screen pixels of each of the five pictures
WIDTHS, HEIGHT = (430, 264), 150  # of the two charts
PAUSE = 250  # milliseconds for which each frame stands while it plays
ADVERSARIAL = {"loss_d": BLUE, "loss_g_gan": ORANGE}
PIXELWISE = {"loss_g_l1": GREEN}
LOSSES = "losses: D, halved (blue); G, adversarial (orange)", "loss: G, L1 (green)"


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
        percents = self.percents = tuple(self.film.percent.tolist())
        self.axes = [
            Axis("percent", chart.places(self.film.step.tolist(), percents))
            for chart in self.charts
        ]
        super().__init__(
            [
                Choice("percent", "training, %", percents, percents[0], ordered=True),
                Slider("facade", "facade", 0, len(self.pairs) - 1, 0),
            ],
            [Action("play", self._start, repeat=True, again=self._go_on, pause=PAUSE)],
        )

    def draw(self, percent: int, facade: int) -> View:
        film, time = self.film, self.percents.index(percent)
        real_a, real_b = self.pairs[facade]
        real_logits, fake_logits = film.real_logits[time, facade], film.fake_logits[time, facade]
        numbers = {
            "step": int(film.step[time]),
            "validation_l1": float(film.validation_l1[time]),
            "l1": float(film.l1[time, facade]),
            "real": float(real_logits.sigmoid().mean()),
            "fake": float(fake_logits.sigmoid().mean()),
        }
        frame = [
            draw_photo(real_a, "label map"),
            draw_photo(film.fake_b[time, facade], "generated"),
            draw_photo(real_b, "true photo"),
            draw_map(fake_logits, "D on generated"),
            draw_map(real_logits, "D on the true photo"),
        ]
        charts = [
            Picture(chart.marked(numbers["step"]), title, axes=[axis])
            for chart, title, axis in zip(self.charts, LOSSES, self.axes)
        ]
        return View(
            [frame, charts],
            player_text(percent, numbers),
            player_alt(percent, facade, numbers),
            numbers,
        )

    def _go_on(self, values: Mapping) -> dict[str, int]:
        """Return the next frame; after the last one nothing changes."""
        time = self.percents.index(values["percent"]) + 1
        return {"percent": self.percents[time]} if time < len(self.percents) else {}

    def _start(self, values: Mapping) -> dict[str, int]:
        """Return the next frame, or the first one after the last."""
        return self._go_on(values) or {"percent": self.percents[0]}


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


def draw_photo(image: Tensor, title: str) -> Picture:
    """Show a (C, H, W) image in [-1, 1]."""
    return Picture(to_pil(image).convert("RGB"), title, SIDE, smooth=True)


def draw_map(logits: Tensor, title: str) -> Picture:
    """Show an (H', W') map of logits as probabilities.

    Purple is real, orange generated; where D cannot tell the map is white.
    """
    colours = map_colours(logits.numpy(), "probability")
    return Picture(colours, title, SIDE, scale=SCALES["probability"])


class LossChart:
    """The losses of a run over its steps, and a line at one of them.

    Args:
        history: the records of the run.
        last: the step where the axis ends; it begins at 0, as does the axis of the losses.
        losses: a colour for each field of `StepRecord` to draw.
        width: of the chart in pixels.
    """

    def __init__(
        self,
        history: Sequence[StepRecord],
        last: int,
        losses: Mapping[str, str],
        width: int,
    ):
        curves = {field: [getattr(record, field) for record in history] for field in losses}
        marks = drawing.axis_marks(max(max(values) for values in curves.values()))
        quarters = [last * i / 4 for i in range(4)]  # the last step's own number would not fit
        self.chart = drawing.Chart(
            width, HEIGHT, (0, last), (0, marks[-1]), quarters, marks, "step"
        )
        for field, colour in losses.items():
            self.chart.curve([record.step for record in history], curves[field], colour)

    def marked(self, step: int) -> drawing.Sketch:
        """Return the chart with an upright line at a step."""
        chart = self.chart.copy()
        chart.curve((step, step), chart.ys, drawing.INK)
        return chart.sketch()

    def places(self, steps: Sequence[int], values: Sequence) -> list[tuple[float, object]]:
        """Return (share of the chart's width, value) for the values at steps."""
        width = self.chart.size[0]
        return [(self.chart.place(step, 0)[0] / width, value) for step, value in zip(steps, values)]
