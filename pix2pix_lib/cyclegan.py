"""CycleGAN: two generators and two discriminators that learn from unpaired images.

Domain a is the input's, b the target's. generator_ab turns a into b, generator_ba b into a; discriminator_a judges
images of a, discriminator_b images of b. An image that goes there and back should come home:

    real_a -> fake_b -> rec_a   (forward cycle)        real_b -> fake_a -> rec_b   (backward cycle)

Source: Zhu et al. 2017, sections 3 and 4, appendix 7.1.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace

import torch
from torch import Tensor, nn
from torch.utils.data import DataLoader, Dataset

from .engine import PLAIN, Engine
from .losses import discriminator_loss, generator_loss, pixel_loss
from .training import TrainConfig, Trainer, make_discriminator, make_generator, translate


@dataclass(frozen=True)
class CycleRecord:
    """The losses of one update, without their weights: detached scalar tensors while an epoch runs, then floats.

    `loss_d_a` is the halved objective of discriminator_a, `loss_g_a` how far fake_a is from passing with it,
    `loss_cycle_a` the L1 distance of rec_a from real_a, `loss_idt_a` that of generator_ba(real_a); for b likewise. What
    the config switches off is 0.
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


class ImagePool:
    """Keep up to `size` generated images, so that a discriminator also judges what its opponent made before.

    The random numbers are torch's. A pool of 0 returns what it gets.

    Source: Zhu et al. 2017, section 4 (50 images); Shrivastava et al. 2017, section 2.3.
    """

    def __init__(self, size: int):
        self.size = size
        self.images: list[Tensor] = []

    def exchange(self, images: Tensor) -> Tensor:
        """Return a batch like (N, C, H, W) `images`: while the pool fills, the images themselves.

        Once it is full, each image is returned with probability one half, or else takes the place of an image of the
        pool, which is returned.
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

    A step is, as in the paper, one update of both generators and then one of both discriminators, which see generated
    images through pools. The config decides which parts the objective has (section 5.1.3, the paper's ablations):
    `lambda_gan=0` is the cycle alone, `cycle="none"` the GAN alone, `"forward"` and `"backward"` one cycle of the two.
    """

    record, measure = CycleRecord, "validation cycle L1"

    def __init__(self, generator_ab: nn.Module, generator_ba: nn.Module, discriminator_a: nn.Module,
                 discriminator_b: nn.Module, config: TrainConfig, device: torch.device | str = "cpu",
                 engine: Engine = PLAIN, workers: int = 0):
        engine = replace(engine, graph=False)  # a pool decides in Python, at every step
        super().__init__({"generator_ab": generator_ab, "generator_ba": generator_ba},
                         {"discriminator_a": discriminator_a, "discriminator_b": discriminator_b},
                         config, device, engine, workers)
        self.pool_a, self.pool_b = ImagePool(config.pool_size), ImagePool(config.pool_size)

    def update(self, real_a: Tensor, real_b: Tensor) -> tuple[Tensor, ...]:
        """Make one update of the generators and one of the discriminators; returns the losses of `CycleRecord`."""
        self.optimizer_g.zero_grad()
        self.optimizer_d.zero_grad()
        fake_a, fake_b = self._translate("generator_ba", real_b), self._translate("generator_ab", real_a)
        images = real_a, real_b, fake_a, fake_b
        if self.config.first == "generator":
            losses_g = self.step_generators(*images)
            losses_d = self.step_discriminators(*images)
        else:
            losses_d = self.step_discriminators(*images)
            losses_g = self.step_generators(*images)
        self.scaler.update()
        return *losses_d, *losses_g

    def step_generators(self, real_a: Tensor, real_b: Tensor, fake_a: Tensor, fake_b: Tensor) -> tuple[Tensor, ...]:
        """Make the fakes pass for real, the cycles come home, and images of the target's domain stay as they are.

        Returns the six losses of G in the order of `CycleRecord`, detached; the discriminators are held still.
        """
        config = self.config
        with self._holding_discriminators():
            passing = [self._passing("discriminator_a", fake_a), self._passing("discriminator_b", fake_b)]
            cycles = [self._cycle("forward", "generator_ba", fake_b, real_a),
                      self._cycle("backward", "generator_ab", fake_a, real_b)]
            identities = [self._identity("generator_ba", real_a), self._identity("generator_ab", real_b)]
            self._descend(self.optimizer_g, config.lambda_gan * sum(passing) + config.lambda_cycle * sum(cycles)
                          + config.lambda_identity * sum(identities))
        return tuple(loss.detach() for loss in (*passing, *cycles, *identities))

    def step_discriminators(self, real_a: Tensor, real_b: Tensor, fake_a: Tensor, fake_b: Tensor) -> tuple[Tensor, ...]:
        """Make each discriminator tell its domain's images from generated ones; returns both losses, detached."""
        if self.config.lambda_gan == 0:
            return self._nothing(), self._nothing()
        losses = (self._telling("discriminator_a", real_a, self.pool_a.exchange(fake_a)),
                  self._telling("discriminator_b", real_b, self.pool_b.exchange(fake_b)))
        self._descend(self.optimizer_d, sum(losses))
        return tuple(loss.detach() for loss in losses)

    def _translate(self, generator: str, images: Tensor) -> Tensor:
        with self.engine.autocast(self.device):
            translated = self._joined[generator](images)
        return translated.float()

    def _telling(self, discriminator: str, real: Tensor, fake: Tensor) -> Tensor:
        """Return a discriminator's halved loss."""
        with self.engine.autocast(self.device):
            real_logits, fake_logits = self._joined[discriminator](real), self._joined[discriminator](fake)
        return 0.5 * discriminator_loss(real_logits.float(), fake_logits.float(), self.config.objective)

    def _passing(self, discriminator: str, fake: Tensor) -> Tensor:
        """Return how far generated images are from passing with a discriminator."""
        if self.config.lambda_gan == 0:
            return self._nothing()
        with self.engine.autocast(self.device):
            logits = self._calls[discriminator](fake)
        return generator_loss(logits.float(), self.config.objective)

    def _cycle(self, way: str, generator: str, fake: Tensor, real: Tensor) -> Tensor:
        """Return how far an image is from itself when a generator has brought it back."""
        if self.config.lambda_cycle == 0 or self.config.cycle not in ("both", way):
            return self._nothing()
        return pixel_loss(self._translate(generator, fake), real)

    def _identity(self, generator: str, real: Tensor) -> Tensor:
        """Return how much a generator changes images that are in its target's domain already."""
        if self.config.lambda_identity == 0:
            return self._nothing()
        return pixel_loss(self._translate(generator, real), real)

    def _nothing(self) -> Tensor:
        return torch.zeros((), device=self.device)

    def translate(self, real_a: Tensor) -> Tensor:
        """Return fake_b for a batch of inputs: see `training.translate`."""
        return translate(self.generator_ab, real_a.to(self.device))

    def translate_back(self, real_b: Tensor) -> Tensor:
        """Return fake_a for a batch of targets."""
        return translate(self.generator_ba, real_b.to(self.device))

    def validate(self, dataset: Dataset) -> float:
        """Return the mean L1 distance of rec_a from real_a and of rec_b from real_b over a dataset, in [0, 2].

        Without pairs there is no truth to compare with. A small distance says that the translations lose nothing, not
        that they are right: two generators that do nothing have 0.
        """
        total = 0.0
        for real_a, real_b in DataLoader(dataset, batch_size=1):
            rec_a = self.translate_back(self.translate(real_a))
            rec_b = self.translate(self.translate_back(real_b))
            total += float(pixel_loss(rec_a, real_a.to(self.device)) + pixel_loss(rec_b, real_b.to(self.device))) / 2
        return total / len(dataset)

    def show(self, real_a: Tensor, real_b: Tensor) -> dict[str, Tensor]:
        """Return both cycles, image by image."""
        fake_b, fake_a = self.translate(real_a), self.translate_back(real_b)
        pictures = {"real a": real_a, "fake b": fake_b, "back to a": self.translate_back(fake_b),
                    "real b": real_b, "fake a": fake_a, "back to b": self.translate(fake_a)}
        return {name: batch.cpu() for name, batch in pictures.items()}

    def state_dict(self) -> dict:
        """Return all that a run needs to go on, with both pools as (images, C, H, W) tensors."""
        return super().state_dict() | {"pool_a": self._stack(self.pool_a, self.config.in_channels),
                                       "pool_b": self._stack(self.pool_b, self.config.out_channels)}

    def _stack(self, pool: ImagePool, channels: int) -> Tensor:
        return torch.stack(pool.images) if pool.images else torch.zeros(
            0, channels, self.config.image_size, self.config.image_size)

    def load_state_dict(self, state: dict) -> None:
        """Take over a state made by `state_dict` of a trainer with networks of the same shape, of whatever engine."""
        super().load_state_dict(state)
        self.pool_a.images = [image.to(self.device) for image in state["pool_a"]]
        self.pool_b.images = [image.to(self.device) for image in state["pool_b"]]


def turned(config: TrainConfig) -> TrainConfig:
    """Return the config seen from the other domain: what is input there is target here."""
    direction = "BtoA" if config.direction == "AtoB" else "AtoB"
    return replace(config, direction=direction, in_channels=config.out_channels, out_channels=config.in_channels)


def make_cyclegan(config: TrainConfig, device: torch.device | str = "cpu", engine: Engine = PLAIN, workers: int = 0,
                  make: Callable[[TrainConfig], nn.Module] = make_generator) -> CycleGANTrainer:
    """Return a trainer with new networks, whose first weights follow from config.seed alone.

    Args:
        make: makes a generator from a config; another function brings generators of one's own.

    Raises:
        ValueError: if the config is one of a system that learns from pairs.
    """
    if not config.unpaired:
        raise ValueError(f"expected a config of the system cyclegan; got {config.system}: "
                         f"start from system_config('cyclegan')")
    torch.manual_seed(config.seed)
    back = turned(config)
    generators = make(config), make(back)
    return CycleGANTrainer(*generators, make_discriminator(back), make_discriminator(config), config, device, engine,
                           workers)
