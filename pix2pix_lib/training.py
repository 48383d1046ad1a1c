"""pix2pix: one discriminator step, one generator step.

Source: Isola et al. 2017, sections 3.1 and 3.3, appendix 6.2.
"""

from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.utils.data import Dataset

from .config import TrainConfig, make_discriminator, make_generator
from .engine import PLAIN, Engine
from .inference import translate
from .losses import discriminator_loss, generator_loss, pixel_loss, undecided_loss
from .trainer import LossPanel, Trainer, single_pairs


class Pix2PixTrainer(Trainer):
    """The training of a generator and a discriminator on pairs.

    `Trainer` has the rest: the loop over an epoch, the learning rate, the state.
    """

    metric_name = "validation L1"

    def __init__(
        self,
        generator: nn.Module,
        discriminator: nn.Module,
        config: TrainConfig,
        device: torch.device | str = "cpu",
        engine: Engine = PLAIN,
        workers: int = 0,
    ):
        networks = {"generator": generator}, {"discriminator": discriminator}
        super().__init__(*networks, config, device, engine, workers)

    def update(self, real_a: Tensor, real_b: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Make one update of D and one of G; returns loss_d, loss_g_gan and loss_g_l1, detached.

        Args:
            real_a, real_b: a batch of inputs and their targets, (N, C, H, W) in [-1, 1].
        """
        fake_b = self.run("generator", real_a)
        if self.config.update_first == "discriminator":
            loss_d = self.step_discriminator(real_a, real_b, fake_b)
            loss_g_gan, loss_g_l1 = self.step_generator(real_a, real_b, fake_b)
        else:
            loss_g_gan, loss_g_l1 = self.step_generator(real_a, real_b, fake_b)
            loss_d = self.step_discriminator(real_a, real_b, fake_b)
        self.scaler.update()
        return loss_d, loss_g_gan, loss_g_l1

    def step_discriminator(self, real_a: Tensor, real_b: Tensor, fake_b: Tensor) -> Tensor:
        """Teach D to tell real_b from fake_b, given real_a; returns D's loss, detached."""
        if self.config.lambda_gan == 0:
            return self._zero()
        real_logits = self.judge(real_a, real_b)
        fake_logits = self.judge(real_a, fake_b.detach())  # no gradient beyond
        loss_d = 0.5 * discriminator_loss(real_logits, fake_logits, self.config.objective)
        self._backward_and_step(self.optimizer_d, loss_d)
        return loss_d.detach()

    def step_generator(
        self, real_a: Tensor, real_b: Tensor, fake_b: Tensor
    ) -> tuple[Tensor, Tensor]:
        """Teach G to make fake_b pass for real and be near real_b, while D is frozen.

        Returns the adversarial loss and the pixel loss, unweighted and detached.
        """
        with self._frozen_discriminators():
            loss_g_gan = self._zero()
            if self.config.lambda_gan > 0:
                fake_logits = self.judge(real_a, fake_b)
                loss_g_gan = generator_loss(fake_logits, self.config.objective)
            loss_g_l1 = pixel_loss(fake_b, real_b, self.config.pixel_loss)
            loss_g = self.config.lambda_gan * loss_g_gan + self.config.lambda_l1 * loss_g_l1
            self._backward_and_step(self.optimizer_g, loss_g)
        return loss_g_gan.detach(), loss_g_l1.detach()

    def judge(self, real_a: Tensor, image: Tensor) -> Tensor:
        """Return D's patch logits for an image, given the input unless D is unconditional."""
        images = (real_a, image) if self.config.conditional else (image,)
        return self.run("discriminator", *images)

    def translate(self, real_a: Tensor) -> Tensor:
        """Return fake_b for a batch of inputs: see `inference.translate`."""
        return translate(self.generator, real_a.to(self.device))

    def validate(self, dataset: Dataset) -> float:
        """Return the mean absolute error over a dataset without jitter: see `validation_l1`."""
        return validation_l1(self, dataset)

    def show(self, real_a: Tensor, real_b: Tensor) -> dict[str, Tensor]:
        """Return input, output and truth."""
        return {
            "input": real_a.cpu(),
            "output": self.translate(real_a).cpu(),
            "truth": real_b.cpu(),
        }

    @property
    def record_class(self) -> type:
        return StepRecord

    def loss_panels(self) -> list[LossPanel]:
        """Return the adversarial losses and the pixel loss."""
        return pix2pix_panels(self.config.objective, self.config.pixel_loss)


@dataclass(frozen=True, slots=True)
class StepRecord:
    """The losses of one update, without their weights.

    They are detached scalar tensors while an epoch runs, then floats. `loss_d` is D's halved
    objective, `loss_g_gan` the adversarial and `loss_g_l1` the pixel loss of G.
    """

    epoch: int
    step: int
    loss_d: Tensor | float
    loss_g_gan: Tensor | float
    loss_g_l1: Tensor | float

    def summary(self) -> str:
        """Return the losses as a short text."""
        return f"D {self.loss_d:.2f}, G {self.loss_g_gan:.2f}, L1 {self.loss_g_l1:.3f}"


def pix2pix_panels(objective: str = "vanilla", distance: str = "l1") -> list[LossPanel]:
    """Return what a figure of a pix2pix run's losses shows."""
    adversarial = {"loss_d": "D (halved)", "loss_g_gan": "G, adversarial"}
    return [
        LossPanel(adversarial, undecided_loss(objective)),
        LossPanel({"loss_g_l1": f"G, {distance.upper()}"}),
    ]


def make_trainer(
    config: TrainConfig,
    device: torch.device | str = "cpu",
    engine: Engine = PLAIN,
    workers: int = 0,
) -> Pix2PixTrainer:
    """Return a trainer with new networks, whose first weights follow from config.seed alone."""
    torch.manual_seed(config.seed)
    networks = make_generator(config), make_discriminator(config)
    return Pix2PixTrainer(*networks, config, device, engine, workers)


def validation_l1(trainer: Pix2PixTrainer, dataset: Dataset) -> float:
    """Return the mean absolute difference of fake_b from real_b over a dataset, in [0, 2]."""
    total = 0.0
    for real_a, real_b in single_pairs(dataset):
        total += float(pixel_loss(trainer.translate(real_a), real_b.to(trainer.device)))
    return total / len(dataset)
