"""CycleGAN: two generators and two discriminators that learn from unpaired images.

Domain a is the input's, b the target's. generator_ab turns a into b, generator_ba b into a;
discriminator_a judges images of a, discriminator_b images of b. An image that goes there and back
should come home:

    real_a -> fake_b -> rec_a   (forward cycle)        real_b -> fake_a -> rec_b   (backward cycle)

Source: Zhu et al. 2017, sections 3 and 4, appendix 7.1.
"""

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.utils.data import Dataset

from .config import TrainConfig, make_discriminator, make_generator, reverse_config
from .engine import PLAIN, Engine
from .inference import translate
from .losses import discriminator_loss, generator_loss, pixel_loss, undecided_loss
from .trainer import LossPanel, Trainer, TrainerFactory, single_pairs
from .training import make_trainer
from .validation import InputError


@dataclass(frozen=True, slots=True)
class CycleRecord:
    """The losses of one update, without their weights.

    They are detached scalar tensors while an epoch runs, then floats. `loss_d_a` is the halved
    objective of discriminator_a, `loss_g_a` how far fake_a is from passing with it, `loss_cycle_a`
    the L1 distance of rec_a from real_a, `loss_idt_a` that of generator_ba(real_a); for b likewise.
    What the config switches off is 0.
    """

    epoch: int
    step: int
    loss_d_a: Tensor | float
    loss_d_b: Tensor | float
    loss_g_a: Tensor | float
    loss_g_b: Tensor | float
    loss_cycle_a: Tensor | float
    loss_cycle_b: Tensor | float
    loss_idt_a: Tensor | float
    loss_idt_b: Tensor | float

    def summary(self) -> str:
        """Return the losses as a short text, for domain a, then for b."""
        return (
            f"D {self.loss_d_a:.2f} {self.loss_d_b:.2f}, "
            f"G {self.loss_g_a:.2f} {self.loss_g_b:.2f}, "
            f"cycle {self.loss_cycle_a:.3f} {self.loss_cycle_b:.3f}"
        )


class ImagePool:
    """Up to `size` older generated images, which a discriminator judges beside the newest ones.

    The random numbers are torch's. A pool of 0 returns what it gets.

    Source: Zhu et al. 2017, section 4 (50 images); Shrivastava et al. 2017, section 2.3.
    """

    def __init__(self, size: int):
        self.size = size
        self.images: list[Tensor] = []

    def exchange(self, images: Tensor) -> Tensor:
        """Return a batch like `images`, (N, C, H, W); while the pool fills, the images themselves.

        Once it is full, each image is returned with probability one half. Otherwise it takes the
        place of a random image of the pool, which is returned instead.
        """
        return torch.stack([self._exchange(image) for image in images.detach()])

    def _exchange(self, image: Tensor) -> Tensor:
        if len(self.images) < self.size:
            self.images.append(image.clone())
            return image
        if self.size == 0 or torch.rand(()) < 0.5:
            return image
        place = int(torch.randint(self.size, ()))
        older, self.images[place] = self.images[place], image.clone()
        return older


class CycleGANTrainer(Trainer):
    """The training of CycleGAN; what it shares with that of pix2pix is in `Trainer`.

    A step is, as in the paper, one update of both generators and then one of both discriminators,
    which see generated images through pools. The config decides which parts the objective has
    (section 5.1.3, the paper's ablations): `lambda_gan=0` is the cycle alone, `cycle="none"` the
    GAN alone, `"forward"` and `"backward"` one cycle of the two.
    """

    metric_name = "validation cycle L1"

    def __init__(
        self,
        generator_ab: nn.Module,
        generator_ba: nn.Module,
        discriminator_a: nn.Module,
        discriminator_b: nn.Module,
        config: TrainConfig,
        device: torch.device | str = "cpu",
        engine: Engine = PLAIN,
        workers: int = 0,
    ):
        super().__init__(
            {"generator_ab": generator_ab, "generator_ba": generator_ba},
            {"discriminator_a": discriminator_a, "discriminator_b": discriminator_b},
            config,
            device,
            engine,
            workers,
        )
        self.pool_a, self.pool_b = ImagePool(config.pool_size), ImagePool(config.pool_size)

    def update(self, real_a: Tensor, real_b: Tensor) -> tuple[Tensor, ...]:
        """Make one update of the generators and one of the discriminators.

        Returns the losses of `CycleRecord`, detached.
        """
        fake_a, fake_b = self.run("generator_ba", real_b), self.run("generator_ab", real_a)
        images = real_a, real_b, fake_a, fake_b
        if self.config.update_first == "generator":
            losses_g = self.step_generators(*images)
            losses_d = self.step_discriminators(*images)
        else:
            losses_d = self.step_discriminators(*images)
            losses_g = self.step_generators(*images)
        self.scaler.update()
        return *losses_d, *losses_g

    def step_generators(
        self, real_a: Tensor, real_b: Tensor, fake_a: Tensor, fake_b: Tensor
    ) -> tuple[Tensor, ...]:
        """Teach the generators to pass for real, to come home, and to leave their target alone.

        Returns the six losses of G in the order of `CycleRecord`, detached. The discriminators are
        frozen.
        """
        config = self.config
        with self._frozen_discriminators():
            adversarial = [
                self._adversarial_loss("discriminator_a", fake_a),
                self._adversarial_loss("discriminator_b", fake_b),
            ]
            cycles = [
                self._cycle_loss("forward", "generator_ba", fake_b, real_a),
                self._cycle_loss("backward", "generator_ab", fake_a, real_b),
            ]
            identities = [
                self._identity_loss("generator_ba", real_a),
                self._identity_loss("generator_ab", real_b),
            ]
            loss_g = (
                config.lambda_gan * sum(adversarial)
                + config.lambda_cycle * sum(cycles)
                + config.lambda_identity * sum(identities)
            )
            self._backward_and_step(self.optimizer_g, loss_g)
        return tuple(loss.detach() for loss in (*adversarial, *cycles, *identities))

    def step_discriminators(
        self, real_a: Tensor, real_b: Tensor, fake_a: Tensor, fake_b: Tensor
    ) -> tuple[Tensor, ...]:
        """Teach each D to tell its domain's images from generated ones; returns both losses."""
        if self.config.lambda_gan == 0:
            return self._zero(), self._zero()
        losses = (
            self._discriminator_loss("discriminator_a", real_a, self.pool_a.exchange(fake_a)),
            self._discriminator_loss("discriminator_b", real_b, self.pool_b.exchange(fake_b)),
        )
        self._backward_and_step(self.optimizer_d, sum(losses))
        return tuple(loss.detach() for loss in losses)

    def _discriminator_loss(self, name: str, real: Tensor, fake: Tensor) -> Tensor:
        """Return a discriminator's halved loss."""
        logits = self.run(name, real), self.run(name, fake)
        return 0.5 * discriminator_loss(*logits, self.config.objective)

    def _adversarial_loss(self, discriminator: str, fake: Tensor) -> Tensor:
        """Return how far generated images are from passing with a discriminator."""
        if self.config.lambda_gan == 0:
            return self._zero()
        return generator_loss(self.run(discriminator, fake), self.config.objective)

    def _cycle_loss(self, way: str, generator: str, fake: Tensor, real: Tensor) -> Tensor:
        """Return how far an image is from itself once a generator has brought it back."""
        if self.config.lambda_cycle == 0 or self.config.cycle not in ("both", way):
            return self._zero()
        return pixel_loss(self.run(generator, fake), real)

    def _identity_loss(self, generator: str, real: Tensor) -> Tensor:
        """Return how much a generator changes images that are in its target's domain already."""
        if self.config.lambda_identity == 0:
            return self._zero()
        return pixel_loss(self.run(generator, real), real)

    def _can_be_graphed(self) -> bool:
        return False  # a pool decides in Python, at every step

    def translate(self, real_a: Tensor) -> Tensor:
        """Return fake_b for a batch of inputs: see `inference.translate`."""
        return translate(self.generator_ab, real_a.to(self.device))

    def translate_back(self, real_b: Tensor) -> Tensor:
        """Return fake_a for a batch of targets."""
        return translate(self.generator_ba, real_b.to(self.device))

    def validate(self, dataset: Dataset) -> float:
        """Return the mean L1 distance of rec_a from real_a and of rec_b from real_b, in [0, 2].

        Without pairs there is no truth to compare with. A small distance says that the translations
        lose nothing, not that they are right: two generators that do nothing have 0.
        """
        total = 0.0
        for real_a, real_b in single_pairs(dataset):
            rec_a = self.translate_back(self.translate(real_a))
            rec_b = self.translate(self.translate_back(real_b))
            total += float(pixel_loss(rec_a, real_a.to(self.device))) / 2
            total += float(pixel_loss(rec_b, real_b.to(self.device))) / 2
        return total / len(dataset)

    def show(self, real_a: Tensor, real_b: Tensor) -> dict[str, Tensor]:
        """Return both cycles, image by image."""
        fake_b, fake_a = self.translate(real_a), self.translate_back(real_b)
        pictures = {
            "real a": real_a,
            "fake b": fake_b,
            "back to a": self.translate_back(fake_b),
            "real b": real_b,
            "fake a": fake_a,
            "back to b": self.translate(fake_a),
        }
        return {name: batch.cpu() for name, batch in pictures.items()}

    @property
    def record_class(self) -> type:
        return CycleRecord

    def loss_panels(self) -> list[LossPanel]:
        """Return the adversarial losses, then those of cycle and identity."""
        adversarial = {
            "loss_d_a": "D of a (halved)",
            "loss_d_b": "D of b (halved)",
            "loss_g_a": "G to a, adversarial",
            "loss_g_b": "G to b, adversarial",
        }
        distances = {
            "loss_cycle_a": "cycle of a",
            "loss_cycle_b": "cycle of b",
            "loss_idt_a": "identity of a",
            "loss_idt_b": "identity of b",
        }
        undecided = undecided_loss(self.config.objective)
        return [LossPanel(adversarial, undecided), LossPanel(distances)]

    def state_dict(self) -> dict:
        """Return all that a run needs to go on, both pools as (images, C, H, W) tensors."""
        return super().state_dict() | {
            "pool_a": self._stack(self.pool_a, self.config.in_channels),
            "pool_b": self._stack(self.pool_b, self.config.out_channels),
        }

    def _stack(self, pool: ImagePool, channels: int) -> Tensor:
        shape = self.config.shape
        return torch.stack(pool.images) if pool.images else torch.zeros(0, channels, *shape)

    def load_state_dict(self, state: dict) -> None:
        """Take over the state of a trainer with networks of the same shape, whichever its engine.

        Raises:
            KeyError, RuntimeError, TypeError, ValueError: if the state does not fit. The trainer
                may then be half changed.
        """
        super().load_state_dict(state)
        self.pool_a.images = self._images_of(state["pool_a"], self.config.in_channels)
        self.pool_b.images = self._images_of(state["pool_b"], self.config.out_channels)

    def _images_of(self, pool: Tensor, channels: int) -> list[Tensor]:
        shape = (channels, *self.config.shape)
        if pool.shape[1:] != shape or len(pool) > self.config.pool_size:
            raise ValueError(f"a pool has the shape {tuple(pool.shape)}")
        return [image.to(self.device) for image in pool]


def make_cyclegan(
    config: TrainConfig,
    device: torch.device | str = "cpu",
    engine: Engine = PLAIN,
    workers: int = 0,
    make: Callable[[TrainConfig], nn.Module] = make_generator,
) -> CycleGANTrainer:
    """Return a trainer with new networks, whose first weights follow from config.seed alone.

    Args:
        make: makes a generator from a config; another function brings generators of one's own.

    Raises:
        InputError: if the config is one of a system that learns from pairs.
    """
    if not config.is_unpaired:
        raise InputError(
            f"expected a config of the system cyclegan; got {config.system}: "
            f"start from system_config('cyclegan')"
        )
    torch.manual_seed(config.seed)
    back = reverse_config(config)
    generators = make(config), make(back)
    discriminators = make_discriminator(back), make_discriminator(config)
    return CycleGANTrainer(*generators, *discriminators, config, device, engine, workers)


def trainer_factory(config: TrainConfig) -> TrainerFactory:
    """Return the function that makes the trainer of a config."""
    return make_cyclegan if config.is_unpaired else make_trainer
