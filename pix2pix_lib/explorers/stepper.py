"""A small training, live: step by step, D alone, G alone or both, with what each of them sees.

The networks are small and the pairs few, so that a step takes a few hundredths of a second: G
learns its pairs by heart, which no real training should do. Everything else is as in `training`:
the same losses, the same updates in the same order.

Source: Isola et al. 2017, sections 3.1 and 3.3; Kahng et al. 2019, "GAN Lab", which shows the
training of a GAN on points of the plane in this way.
"""

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import Tensor

from ..config import TrainConfig
from ..facades import facade_tensors, split_seeds
from ..images import to_pil
from ..losses import discriminator_loss, generator_loss, pixel_loss, undecided_loss
from ..plots import BLUE, GREEN, ORANGE
from ..trainer import losses_of
from ..training import make_trainer
from ..validation import InputError
from . import drawing
from .base import Action, Choice, Explorer, Slider, View
from .losses import short
from .patches import SCALES
from .picture import Picture, Scale

PAIRS, IMAGE_SIZE = 4, 64
# So small that a step of both and its view take less than 60 ms. Neither network has dropout or
# statistics of its own, so that nothing but the weights decides on an output.
NETWORKS = {
    "base_channels": 8, "depth": 4, "norm": "instance", "dropout": 0.0, "detail_channels": 0,
    "disc_channels": 8, "disc_layers": 2, "disc_norm": "none",
}  # fmt: skip
# The two whose optimal D says how probable a real photo is; see `probabilities`.
OBJECTIVES = ("vanilla", "lsgan")
LAMBDAS = (0, 1, 10, 30, 100, 300, 1000)
RATES = (0.0001, 0.0002, 0.0005, 0.001, 0.002, 0.005, 0.01, 0.1)
LEARNERS = {"both": "dg", "freeze D": "g", "freeze G": "d"}  # which networks may learn
SIDE = 144  # screen pixels of a picture
CHART, HIGH, LOW = 230, SIDE, 170  # screen pixels of the charts: width, heights of both
POINTS = 120  # of a curve, at most


class TrainingStepper(Explorer):
    """A training of small networks on four pairs, which goes on at the press of a button.

    Every step learns from all pairs at once. All controls but the seed leave the training as it is:
    they count from the next step on.

    Controls:
        facade: the pair that is shown; all of them are learned.
        lambda_l1, objective: of the losses.
        learns: "both", "freeze D" or "freeze G"; a frozen network keeps its weights.
        lr_g, lr_d: learning rates.
        seed: of the first weights; another one starts a new training.

    Buttons:
        D step, G step: one update of one network, with the pairs' present outputs.
        both: one update of D, then one of G, as `training` does it; "10" does it ten times, "play"
            until it is pressed again.

    Numbers:
        step: how many steps were made; steps_d, steps_g: in how many of them D and G have learned.
        loss_d, loss_g_gan, loss_g_l1: over all pairs, as the last step found them; see
            `training.StepRecord`. Before the first step they are NaN.
        l1: of the output that is shown.
        real, fake: mean over the patches of the probability that D gives the photo and the output.
        push_gan, push_l1, push: sum over all values of the output of |d loss / d value|, for both
            parts of G's loss on this pair, weighted, and for their sum.
        exploded: whether numbers became infinite or undefined; then no button changes anything, but
            reset.

    Args:
        pairs: (real_a, real_b) tensors (3, H, W) in [-1, 1], H = W a multiple of 16 and at least
            32; by default four procedural facades of 64x64 pixels.

    Raises:
        InputError: if there are no pairs.
    """

    def __init__(self, pairs: Sequence[tuple[Tensor, Tensor]] | None = None):
        self.pairs = (
            [facade_tensors(seed, IMAGE_SIZE) for seed in split_seeds("train", PAIRS)]
            if pairs is None
            else list(pairs)
        )
        if not self.pairs:
            raise InputError("at least one pair is needed; got 0")
        self.training = Training(self.pairs, seed=0)
        super().__init__(
            [
                Slider("facade", "facade", 0, len(self.pairs) - 1, 0, group="picture"),
                Choice("lambda_l1", "lambda of L1", LAMBDAS, 100, ordered=True, group="losses"),
                Choice("objective", "objective", OBJECTIVES, "vanilla", group="losses"),
                Choice("learns", "who learns", tuple(LEARNERS), "both", group="learning"),
                Choice("lr_g", "G's rate", RATES, 0.002, ordered=True, group="learning"),
                Choice("lr_d", "D's rate", RATES, 0.002, ordered=True, group="learning"),
                Slider("seed", "seed (starts anew)", 0, 9, 0, group="learning"),
            ],
            [
                Action("D step", lambda values: self._train(values, "d")),
                Action("G step", lambda values: self._train(values, "g")),
                Action("both", lambda values: self._train(values, "dg")),
                Action("10", lambda values: self._train(values, "dg", 10)),
                Action("play", lambda values: self._train(values, "dg"), repeat=True, pause=0),
            ],
        )

    def learn(self, steps: int = 1, networks: str = "dg") -> View:
        """Make steps as the buttons do, and return the view of the last one.

        Args:
            networks: "d", "g", or "dg" for both.
        """
        self._train(self.values, networks, steps)
        return self.set()

    def set(self, **values) -> View:
        """Move controls, as `Explorer.set`; another seed starts a new training."""
        seed = self._checked(values)["seed"]
        if seed != self.training.seed:
            self.training = Training(self.pairs, seed)
        return super().set(**values)

    def reset(self) -> View:
        """Move all controls back to where they began, start the training anew, return the view."""
        self.training = Training(self.pairs, self.controls["seed"].start)
        return super().reset()

    def _train(self, values: Mapping, networks: str, steps: int = 1) -> dict:
        """Make steps with these values; returns the values that this changes: none."""
        learners = "".join(name for name in networks if name in LEARNERS[values["learns"]])
        for _ in range(steps if learners else 0):
            self.training.step(learners, **settings_of(values))
        return {}

    def draw(
        self, facade: int, seed: int, lambda_l1: float, objective: str, learns: str, **rates
    ) -> View:
        training = self.training
        if seed != training.seed:  # for a strip, which leaves the training of this explorer alone
            training = Training(self.pairs, seed)
        look = self.run_network(training.look, facade, lambda_l1, objective)
        numbers = training.numbers() | look.numbers()
        numbers["exploded"] = training.exploded or not look.is_finite
        view = [
            [*self._pictures(facade, look), adversarial_chart(training.history, objective)],
            [
                draw_map(look.fake_probabilities, "D on the output"),
                draw_map(look.real_probabilities, "D on the photo"),
                draw_push(look.push_gan + look.push_l1),
                pixel_chart(training.history),
            ],
        ]
        words = stepper_text(numbers, learns, objective, len(self.pairs))
        return View(view, words, stepper_alt(facade, numbers), numbers)

    def _pictures(self, facade: int, look: "Look") -> list[Picture]:
        """Return input, output and photo."""
        real_a, real_b = self.pairs[facade]
        fake_b = look.fake_b.nan_to_num(0.0)
        return [
            Picture(to_pil(real_a), "input", SIDE),
            Picture(to_pil(fake_b), "output", SIDE, smooth=True),
            Picture(to_pil(real_b), "photo", SIDE, smooth=True),
        ]


def settings_of(values: Mapping) -> dict:
    """Return those of the explorer's values that a training step depends on."""
    return {name: values[name] for name in ("lambda_l1", "objective", "lr_g", "lr_d")}


@dataclass(frozen=True)
class Look:
    """What the networks make of one pair, between two steps.

    Args:
        fake_b: the output, (3, H, W) in [-1, 1].
        l1: its mean absolute error.
        real_probabilities, fake_probabilities: of D for photo and output, (H', W').
        push_gan, push_l1: what reaches the output of both parts of G's loss on this pair, (3, H,
            W): their gradients, weights included.
    """

    fake_b: Tensor
    l1: float
    real_probabilities: Tensor
    fake_probabilities: Tensor
    push_gan: Tensor
    push_l1: Tensor

    @property
    def is_finite(self) -> bool:
        return all(bool(x.isfinite().all()) for x in vars(self).values() if torch.is_tensor(x))

    def numbers(self) -> dict[str, float]:
        """Return what `TrainingStepper` lists under these names."""
        return {
            "l1": self.l1,
            "real": float(self.real_probabilities.mean()),
            "fake": float(self.fake_probabilities.mean()),
            "push_gan": float(self.push_gan.abs().sum()),
            "push_l1": float(self.push_l1.abs().sum()),
            "push": float((self.push_gan + self.push_l1).abs().sum()),
        }


class Training:
    """Two small networks that learn the same few pairs in every step.

    `history` holds (loss_d, loss_g_gan, loss_g_l1) of each step. A step after which a number is not
    finite is the last one, and not in the history.

    Args:
        pairs: (real_a, real_b) tensors (3, H, W) in [-1, 1].
        seed: of the first weights; torch's own random numbers stay as they are.
    """

    def __init__(self, pairs: Sequence[tuple[Tensor, Tensor]], seed: int):
        self.seed = seed
        self.real_a, self.real_b = (torch.stack(side) for side in zip(*pairs))  # (N, 3, H, W)
        side = self.real_a.shape[-1]
        config = TrainConfig(image_size=side, batch_size=len(pairs), seed=seed, **NETWORKS)
        with torch.random.fork_rng([]):
            self.trainer = make_trainer(config)
        self.steps_d, self.steps_g = 0, 0
        self.history: list[tuple[float, ...]] = []
        self.exploded = False

    def step(
        self, networks: str, lambda_l1: float, objective: str, lr_g: float, lr_d: float
    ) -> None:
        """Make one update of the networks named, "d", "g" or "dg"; nothing once it has exploded."""
        if self.exploded:
            return
        trainer = self.trainer
        trainer.config = replace(trainer.config, lambda_l1=float(lambda_l1), objective=objective)
        for optimizer, lr in ((trainer.optimizer_g, lr_g), (trainer.optimizer_d, lr_d)):
            for group in optimizer.param_groups:
                group["lr"] = lr
        losses = tuple(map(float, self._update(networks)))
        self.steps_d += "d" in networks
        self.steps_g += "g" in networks
        if all(map(math.isfinite, losses)) and self._has_finite_weights():
            self.history.append(losses)
        else:
            self.exploded = True

    def _update(self, networks: str) -> Iterable[Tensor]:
        """Make one update of the networks named; returns `history`'s losses.

        Those of a network that does not learn are measured where its update would have been.
        """
        trainer, real_a, real_b = self.trainer, self.real_a, self.real_b
        if networks == "dg":
            return losses_of(trainer.step(real_a, real_b)).values()
        fake_b = trainer.run("generator", real_a)
        if networks == "g":
            return self._loss_d(fake_b), *trainer.step_generator(real_a, real_b, fake_b)
        loss_d = trainer.step_discriminator(real_a, real_b, fake_b)
        return loss_d, *self._losses_g(fake_b)

    @torch.no_grad()
    def _loss_d(self, fake_b: Tensor) -> Tensor:
        judge, objective = self.trainer.judge, self.trainer.config.objective
        real_logits, fake_logits = judge(self.real_a, self.real_b), judge(self.real_a, fake_b)
        return 0.5 * discriminator_loss(real_logits, fake_logits, objective)

    @torch.no_grad()
    def _losses_g(self, fake_b: Tensor) -> tuple[Tensor, Tensor]:
        fake_logits = self.trainer.judge(self.real_a, fake_b)
        loss_g_gan = generator_loss(fake_logits, self.trainer.config.objective)
        return loss_g_gan, pixel_loss(fake_b, self.real_b)

    def _has_finite_weights(self) -> bool:
        networks = self.trainer.networks.values()
        return all(bool(p.isfinite().all()) for net in networks for p in net.parameters())

    def look(self, index: int, lambda_l1: float, objective: str) -> Look:
        """Return what the networks make of a pair now; nothing changes."""
        real_a, real_b = self.real_a[index][None], self.real_b[index][None]
        fake_b = self.trainer.translate(real_a).requires_grad_()
        fake_logits = self.trainer.judge(real_a, fake_b)
        with torch.no_grad():
            real_logits = self.trainer.judge(real_a, real_b)
        distance = pixel_loss(fake_b, real_b)
        (push_gan,) = torch.autograd.grad(generator_loss(fake_logits, objective), fake_b)
        (push_l1,) = torch.autograd.grad(lambda_l1 * distance, fake_b)
        return Look(
            fake_b.detach()[0],
            distance.item(),
            probabilities(real_logits[0, 0], objective),
            probabilities(fake_logits.detach()[0, 0], objective),
            push_gan[0],
            push_l1[0],
        )

    def numbers(self) -> dict:
        """Return what `TrainingStepper` lists under these names; losses are NaN before a step."""
        losses = self.history[-1] if self.history else [math.nan] * 3
        return {
            "step": len(self.history) + self.exploded,
            "steps_d": self.steps_d,
            "steps_g": self.steps_g,
            **dict(zip(("loss_d", "loss_g_gan", "loss_g_l1"), losses)),
        }


def probabilities(logits: Tensor, objective: str) -> Tensor:
    """Return how probable D calls it that a patch is real.

    The best D of the vanilla objective gives the logit of this probability, that of lsgan the
    probability itself (Mao et al. 2017, section 3.2.2, with the targets 0 and 1).
    """
    return logits.clamp(0, 1) if objective == "lsgan" else logits.sigmoid()


def draw_map(probabilities: Tensor, title: str) -> Picture:
    """Show D's probabilities (H', W'): purple is real, orange fake, white what D cannot tell."""
    colours = drawing.diverging(probabilities.nan_to_num(0.5).numpy() - 0.5, 0.5)
    return Picture(colours, title, SIDE, scale=SCALES["probability"])


def draw_push(push: Tensor) -> Picture:
    """Show how hard each pixel is pushed, by its gradient (3, H, W): |gradient| over channels."""
    sizes = push.nan_to_num(0.0, 0.0, 0.0).abs().sum(0).numpy()
    scale = Scale("cividis", ("0", "", f"{sizes.max():.2g}"))
    return Picture(drawing.heat(sizes, 0, sizes.max()), "push on the output", SIDE, scale=scale)


def adversarial_chart(history: Sequence[tuple[float, ...]], objective: str) -> Picture:
    """Show D's and G's adversarial loss, and the loss of a D that cannot tell."""
    curves = {BLUE: [losses[0] for losses in history], ORANGE: [losses[1] for losses in history]}
    level, name = undecided_loss(objective)
    chart = draw_curves(curves, HIGH, level)
    return Picture(chart, f"D (blue), G (orange), {name} (dashed)")


def pixel_chart(history: Sequence[tuple[float, ...]]) -> Picture:
    """Show the pixel loss."""
    return Picture(draw_curves({GREEN: [losses[2] for losses in history]}, LOW), "L1")


def draw_curves(
    curves: Mapping[str, Sequence[float]], height: int, level: float | None = None
) -> drawing.Sketch:
    """Draw losses over the steps, by their colours, and a dashed line at a level.

    A long curve is drawn through the means of equally many steps each.
    """
    steps = len(next(iter(curves.values())))
    highest = max([level or 0.0, *(max(values, default=0.0) for values in curves.values())])
    xs, ys = drawing.axis_marks(max(steps, 40)), drawing.axis_marks(highest or 1.0)
    # The number of the last mark would not fit.
    chart = drawing.Chart(CHART, height, (0, xs[-1]), (0, ys[-1]), xs[:-1], ys, "step")
    if level is not None:
        chart.curve((0, xs[-1]), (level, level), drawing.INK, dash=5, width=1.5)
    size = max(1, math.ceil(steps / POINTS))
    blocks = [range(start, min(start + size, steps)) for start in range(0, steps, size)]
    for colour, values in curves.items() if steps else ():
        means = [float(np.mean(values[block.start : block.stop])) for block in blocks]
        chart.curve([1 + (block[0] + block[-1]) / 2 for block in blocks], means, colour)
    return chart.sketch()


def stepper_text(numbers: Mapping, learns: str, objective: str, pairs: int) -> str:
    """Return the sentences below the pictures."""
    if numbers["exploded"]:
        return (
            f"The training has exploded at step {numbers['step']}: its numbers are infinite or "
            f"undefined, and nothing can be learned from them.\nThe reset button starts anew; a "
            f"smaller learning rate helps."
        )
    frozen = "" if learns == "both" else f" {learns[-1]} is frozen."
    return (
        f"Step {numbers['step']}: D has learned {numbers['steps_d']} times, G "
        f"{numbers['steps_g']} times.{frozen} {losses_text(numbers, objective, pairs)}\n"
        f"On this facade D gives the photo a mean probability of {numbers['real']:.2f}, the output "
        f"{numbers['fake']:.2f}; the output's L1 is {numbers['l1']:.3f}. The push on all values of "
        f"the output adds up to {short(numbers['push_gan'])} from the GAN part and "
        f"{short(numbers['push_l1'])} from L1."
    )


def losses_text(numbers: Mapping, objective: str, pairs: int) -> str:
    """Return the sentence on the losses of the last step."""
    if not numbers["step"]:
        return "No losses yet."
    level, _ = undecided_loss(objective)
    return (
        f"Losses over all {pairs} pairs: D {numbers['loss_d']:.2f} ({level:.2f} if it cannot "
        f"tell), G adversarial {numbers['loss_g_gan']:.2f}, L1 {numbers['loss_g_l1']:.3f}."
    )


def stepper_alt(facade: int, numbers: Mapping) -> str:
    """Return the pictures in words."""
    if numbers["exploded"]:
        return f"A training that has exploded at step {numbers['step']}; the pictures mean nothing."
    return (
        f"Facade {facade} after {numbers['step']} steps: label map, output, photo; D's patch map "
        f"on the output with a mean of {numbers['fake']:.2f} and on the photo with "
        f"{numbers['real']:.2f}; how hard each pixel of the output is pushed; and the losses of "
        f"all steps as curves."
    )
