"""Losses: value and slope of every objective at a logit, and how lambda divides G's work.

Source: Isola et al. 2017, section 3.1; Goodfellow et al. 2014; Mao et al. 2017; Lim and Ye 2017;
Arjovsky et al. 2017.
"""

import functools
import math
from collections.abc import Callable, Mapping

import torch
from torch import Tensor

from ..losses import OBJECTIVES, discriminator_loss, generator_loss
from ..plots import BLUE, GREEN, ORANGE, PURPLE
from . import drawing
from .base import Choice, Explorer, Slider, Switch, View
from .picture import Axis, Picture

REACH, HIGHEST = 8.0, 9.0  # logits from -REACH to REACH, losses up to HIGHEST are drawn
LOGITS = tuple(-REACH + 0.25 * i for i in range(65))  # those of the sliders
LAMBDAS = (0, 1, 3, 10, 30, 100, 300, 1000)
STEEPNESS = (0.1, 1, 3, 10, 30, 100, 300)
FREE = {  # logits of a real and a generated patch at which D pays nothing for them
    "vanilla": (math.inf, -math.inf),
    "lsgan": (1.0, 0.0),
    "hinge": (1.0, -1.0),
    "wasserstein": (0.0, 0.0),
}
STEP = 3  # length of an arrow in multiples of the slope; it points downhill
CHART, BARS, HEIGHT = 280, 200, 250  # screen pixels: width of a chart, of the bars, height of each
BAR, LINE = 26, 20  # screen pixels: height of a bar, of a line of words


class LossExplorer(Explorer):
    """D's and G's losses over the logit, value and slope at one point, and both parts of G's loss.

    Controls:
        objective: one of `losses.OBJECTIVES`.
        real, fake: D's logit for a real patch, and for a generated one.
        l1: mean absolute error of the generated image.
        lambda_l1: its weight.
        steepness: sum over all values of fake_b of |d logit / d value|.
        minimax: add what G could minimise instead, minus D's term; with vanilla this is the
            saturating form.

    Numbers:
        loss_d: D's loss, the sum of the two terms below.
        loss_real, loss_fake: D's terms.
        loss_g_gan: G's adversarial loss.
        slope_real, slope_fake, slope_g: the slope of each of these three over its logit.
        loss_minimax, slope_minimax: minus D's term, and its slope.
        loss_g: G's whole loss.
        weighted_l1: the L1 part of it.
        push_gan, push_l1: by how much each part would fall, to first order, if every value of
            fake_b moved by 1 in the direction that this part wants.
        share_of_value, share_of_push: L1's share of both losses and of both pushes, by size.
    """

    def __init__(self):
        self.charts = functools.lru_cache(None)(draw_charts)
        charts, bars = "losses of patches", "parts of G's loss"
        super().__init__(
            [
                Choice("objective", "objective", OBJECTIVES, "vanilla", group=charts),
                Slider("real", "real logit", -REACH, REACH, 2.0, 0.25, group=charts),
                Slider("fake", "fake logit", -REACH, REACH, -2.0, 0.25, group=charts),
                Slider("l1", "L1 error", 0.0, 1.0, 0.25, 0.05, group=bars),
                Choice("lambda_l1", "lambda", LAMBDAS, 100, ordered=True, group=bars),
                Choice("steepness", "D's steepness", STEEPNESS, 100, ordered=True, group=bars),
                Switch("minimax", "minus D's term", group=charts),
            ]
        )

    def draw(
        self,
        objective: str,
        real: float,
        fake: float,
        l1: float,
        lambda_l1: float,
        steepness: float,
        minimax: bool,
    ) -> View:
        numbers = patch_losses(objective, real, fake)
        numbers |= parts_of_loss_g(
            numbers["loss_g_gan"], numbers["slope_g"], l1, lambda_l1, steepness
        )
        on_d = [
            (real, numbers["loss_real"], numbers["slope_real"], BLUE),
            (fake, numbers["loss_fake"], numbers["slope_fake"], PURPLE),
        ]
        on_g = [(fake, numbers["loss_g_gan"], numbers["slope_g"], ORANGE)]
        if minimax:
            # First, so that it is drawn below G's own.
            on_g.insert(0, (fake, numbers["loss_minimax"], numbers["slope_minimax"], PURPLE))
        of_d, of_g = self.charts(objective, minimax)
        of_g_title = "G (orange), minus D's term (dotted)" if minimax else "G: generated patch"
        pictures = [
            Picture(
                mark_points(of_d, on_d),
                "D: real (blue), generated (dashed)",
                axes=[logit_axis("real", of_d), logit_axis("fake", of_d)],
            ),
            Picture(mark_points(of_g, on_g), of_g_title, axes=[logit_axis("fake", of_g)]),
            Picture(draw_parts(numbers), "G: GAN and L1 part"),
        ]
        text = "\n".join(
            [
                describe_d(numbers),
                describe_g(numbers, minimax),
                describe_parts(numbers, l1, lambda_l1, steepness),
            ]
        )
        alt = (
            f"Left and middle, the losses of D and G over the logit for the objective {objective}, "
            f"with points at the real logit {real:g} and the fake logit {fake:g}, tangents, and "
            "arrows that show where the slope pushes the logit. Right, the two parts of G's loss "
            f"and of the push on fake_b as bars. {text}"
        )
        return View([pictures], text, alt, numbers)


def make_terms(objective: str) -> dict[str, Callable[[Tensor], Tensor]]:
    """Return D's terms, G's loss, and minus D's second term, each as a function of one logit.

    Returns:
        One function for each of "real", "fake", "g_gan" and "minimax".
    """
    free_real, free_fake = torch.tensor(FREE[objective], dtype=torch.float64)
    return {
        "real": lambda z: discriminator_loss(z, free_fake, objective),
        "fake": lambda z: discriminator_loss(free_real, z, objective),
        "g_gan": lambda z: generator_loss(z, objective),
        "minimax": lambda z: -discriminator_loss(free_real, z, objective),
    }


def value_and_slope(term: Callable[[Tensor], Tensor], logit: float) -> tuple[float, float]:
    """Return a term's value at one logit, and its derivative there, by autograd."""
    z = torch.tensor(logit, dtype=torch.float64, requires_grad=True)
    value = term(z)
    (slope,) = torch.autograd.grad(value, z)
    return value.item() + 0.0, slope.item() + 0.0  # + 0.0 turns -0 into 0


def patch_losses(objective: str, real: float, fake: float) -> dict[str, float]:
    """Return the losses of one real and one generated patch, and their slopes.

    They are named as in `LossExplorer`.
    """
    terms = make_terms(objective)
    loss_real, slope_real = value_and_slope(terms["real"], real)
    loss_fake, slope_fake = value_and_slope(terms["fake"], fake)
    loss_g_gan, slope_g = value_and_slope(terms["g_gan"], fake)
    loss_minimax, slope_minimax = value_and_slope(terms["minimax"], fake)
    return {
        "loss_d": loss_real + loss_fake,
        "loss_real": loss_real,
        "slope_real": slope_real,
        "loss_fake": loss_fake,
        "slope_fake": slope_fake,
        "loss_g_gan": loss_g_gan,
        "slope_g": slope_g,
        "loss_minimax": loss_minimax,
        "slope_minimax": slope_minimax,
    }


def parts_of_loss_g(
    loss_g_gan: float, slope_g: float, l1: float, lambda_l1: float, steepness: float
) -> dict[str, float]:
    """Return what both parts add to G's loss and how hard they push on fake_b.

    They are named as in `LossExplorer`. L1 pushes each of the N values by lambda / N, however large
    the error is, so the pushes add up to lambda.
    """
    weighted_l1, push_gan, push_l1 = (
        lambda_l1 * l1, abs(slope_g) * steepness, float(lambda_l1 if l1 else 0),
    )  # fmt: skip
    return {
        "loss_g": loss_g_gan + weighted_l1,
        "weighted_l1": weighted_l1,
        "push_gan": push_gan,
        "push_l1": push_l1,
        "share_of_value": share(weighted_l1, abs(loss_g_gan)),
        "share_of_push": share(push_l1, push_gan),
    }


def share(part: float, rest: float) -> float:
    """Return the part's share of the sum, 0 if both are 0."""
    return part / (part + rest) if part + rest else 0.0


def draw_charts(objective: str, minimax: bool) -> tuple[drawing.Chart, drawing.Chart]:
    """Draw the curves of D's terms, and of G's loss, over the logit.

    With `minimax` the second chart has minus D's term too.
    """
    logits = torch.linspace(-REACH, REACH, 161, dtype=torch.float64)
    values = {
        name: torch.stack([term(z) for z in logits]).tolist()
        for name, term in make_terms(objective).items()
    }
    styles = {"real": (BLUE, 0), "fake": (PURPLE, 9), "g_gan": (ORANGE, 0), "minimax": (PURPLE, 4)}
    charts = []
    for names, label in (
        (("real", "fake"), "logit"),
        (("g_gan", "minimax")[: 1 + minimax], "fake logit"),
    ):
        negative = min(min(values[name]) for name in names) < 0
        low, ticks = (-HIGHEST, (-8, -4, 0, 4, 8)) if negative else (-0.5, (0, 2, 4, 6, 8))
        chart = drawing.Chart(
            CHART, HEIGHT,
            (-REACH - 0.5, REACH + 0.5), (low, HIGHEST), range(-8, 9, 4), ticks, label,
        )  # fmt: skip
        for name in names:
            colour, dash = styles[name]
            chart.curve(logits.tolist(), values[name], colour, dash)
        charts.append(chart)
    return charts[0], charts[1]


def logit_axis(name: str, chart: drawing.Chart) -> Axis:
    """Return what moves a slider of a logit by dragging across a chart."""
    return Axis(name, [(chart.place(z, 0)[0] / chart.size[0], z) for z in LOGITS])


def mark_points(
    chart: drawing.Chart, points: list[tuple[float, float, float, str]]
) -> drawing.Sketch:
    """Return the chart with each (logit, loss, slope, colour) marked.

    A mark is a dot, its tangent, and an arrow down the slope.
    """
    chart = chart.copy()
    for logit, loss, slope, _ in points:
        chart.curve(
            (logit - 1.5, logit + 1.5),
            (loss - 1.5 * slope, loss + 1.5 * slope),
            drawing.INK,
            width=3,
        )
    for logit, loss, slope, colour in points:
        chart.arrow(logit, loss, -STEP * slope, colour)
        chart.point(logit, loss, colour)
    return chart.sketch()


def draw_parts(numbers: Mapping[str, float]) -> drawing.Sketch:
    """Draw two bars: the GAN and the L1 part of G's loss, and of the push on fake_b, by size."""
    sketch = drawing.Sketch(BARS, HEIGHT)
    rows = (
        ("value of the loss", "share_of_value", "loss_g_gan", "weighted_l1"),
        ("push on fake_b", "share_of_push", "push_gan", "push_l1"),
    )
    for top, (title, share_of_l1, gan, l1) in zip((10, 130), rows):
        sketch.text(0, top, title, "lt")
        bar, below = top + LINE, top + LINE + BAR + 8
        if numbers[gan] or numbers[l1]:
            border = (1 - numbers[share_of_l1]) * BARS
            sketch.box((0, bar, border, bar + BAR), ORANGE)
            sketch.box((border, bar, BARS, bar + BAR), GREEN)
        sketch.text(0, below, f"GAN {short(numbers[gan])}", "lt")
        sketch.text(BARS, below, f"L1 {short(numbers[l1])}", "rt")
        sketch.text(BARS, below + LINE, f"{numbers[share_of_l1]:.0%}", "rt")
    return sketch


def describe_d(numbers: Mapping[str, float]) -> str:
    """Return D's loss with its terms, and where they push the logits."""
    return (
        f"D's loss: real {short(numbers['loss_real'])} + generated {short(numbers['loss_fake'])} = "
        f"{short(numbers['loss_d'])} (halved: {short(numbers['loss_d'] / 2)}). It pushes "
        f"{push('the real logit', numbers['slope_real'])} and "
        f"{push('the fake logit', numbers['slope_fake'])}."
    )


def describe_g(numbers: Mapping[str, float], minimax: bool) -> str:
    """Return G's adversarial loss and push, and those of minus D's term if it is shown."""
    text = (
        f"G's loss: {short(numbers['loss_g_gan'])}. "
        f"It pushes {push('the fake logit', numbers['slope_g'])}."
    )
    if minimax:
        text += (
            f" Minus D's term instead: {short(numbers['loss_minimax'])}. It would push "
            f"{push('the fake logit', numbers['slope_minimax'])}."
        )
    return text


def describe_parts(
    numbers: Mapping[str, float], l1: float, lambda_l1: float, steepness: float
) -> str:
    """Return the sum that G minimises, and how hard each part pushes on the image, in numbers."""
    gan, slope, share_of_value = (
        numbers["loss_g_gan"], abs(numbers["slope_g"]), numbers["share_of_value"],
    )  # fmt: skip
    return (
        f"With L1: {short(gan)} + {lambda_l1}·{l1:.2f} = {short(numbers['loss_g'])}. Push on all "
        f"values of fake_b together: GAN {slope:.4g}·{steepness:g} = {short(numbers['push_gan'])}, "
        f"L1 {short(numbers['push_l1'])}; L1 has {share_of_value:.0%} of the value and "
        f"{numbers['share_of_push']:.0%} of the push."
    )


def push(what: str, slope: float) -> str:
    """Return in words where a step down the slope moves something, and how hard."""
    return (
        f"{what} {'down' if slope > 0 else 'up'} by {short(abs(slope))}"
        if slope
        else f"{what} not at all"
    )


def short(number: float) -> str:
    """Return a number with three significant digits, large ones in full."""
    return f"{number:.3g}" if abs(number) < 999.5 else f"{number:,.0f}"
