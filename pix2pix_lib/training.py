"""The training loop: one discriminator step, one generator step, an epoch, a learning rate.

`Trainer` is what pix2pix and CycleGAN share, `Pix2PixTrainer` has the steps of pix2pix.

Source: Isola et al. 2017, sections 3.1 and 3.3, appendix 6.2.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field, fields

import torch
from torch import Tensor, nn
from torch.utils.data import DataLoader, Dataset

from . import processes, systems
from .data import DIRECTIONS
from .engine import PLAIN, PRECISIONS, Engine, GraphedStep, choose_precision, fast_engine, step_seconds
from .layers import NORMS, UPSAMPLINGS
from .losses import OBJECTIVES, PIXEL_LOSSES, discriminator_loss, generator_loss, pixel_loss
from .patchgan import PatchDiscriminator
from .resnet import ResNetGenerator
from .unet import UNet
from .validation import check_choice

SYSTEMS = ("own", *systems.SETTINGS)
GENERATORS = ("unet", "resnet")
NETWORKS = ("discriminator", "generator")
CYCLES = ("both", "forward", "backward", "none")
# What the four pix2pix systems of the notes have built in: an option that would change it is refused.
BUILT_IN = ("generator", "depth", "norm", "dropout", "skips", "upsampling", "disc_norm", "disc_layers")


def _option(default, help: str, choices: tuple[str, ...] | None = None):
    """A field of `TrainConfig` with what `--help` says about it."""
    return field(default=default, metadata={"help": help, "choices": choices})


@dataclass(frozen=True)
class TrainConfig:
    """Everything that decides a training run; the command line is made from these fields.

    The defaults train a small network on 128x128 images in minutes on two cores. `system_config("paper")` is the
    paper's run on the facades, and so for each system of the notes.

    Raises:
        ValueError: if a value is out of range, with the range.
    """

    system: str = _option("own", "networks and defaults of a study note; own is built from the options below", SYSTEMS)
    image_size: int = _option(128, "side of the square images, in pixels; a multiple of 2^depth")
    load_size: int = _option(0, "side before the random crop; 0 means 286/256 of image_size, as in the paper")
    direction: str = _option("BtoA", "which side of a pair is the input", DIRECTIONS)
    flip: bool = _option(True, "mirror half of the training pairs")
    in_channels: int = _option(3, "channels of the input: 1 (grey) or 3 (RGB)")
    out_channels: int = _option(3, "channels of the target: 1 (grey) or 3 (RGB)")

    generator: str = _option("unet", "kind of the generator", GENERATORS)
    base_channels: int = _option(24, "channels after the generator's first block; the paper has 64")
    depth: int = _option(5, "how often the generator halves the image; the paper has 8, for 256x256; a ResNet has 2")
    blocks: int = _option(9, "residual blocks of a ResNet generator; the paper has 6 up to 128x128")
    norm: str = _option("batch", "normalisation in the generator", NORMS)
    dropout: float = _option(0.5, "probability of dropout in the decoder's first three blocks")
    skips: bool = _option(True, "connect encoder and decoder; without it an encoder-decoder")
    upsampling: str = _option("resize", "how the decoder doubles the size; the paper has transposed", UPSAMPLINGS)
    disc_channels: int = _option(32, "channels after the discriminator's first block; the paper has 64")
    disc_norm: str = _option("batch", "normalisation in the discriminator", NORMS)
    disc_layers: int = _option(3, "stride-2 layers of the discriminator: 0 1 2 3 4 5 see 1 16 34 70 142 286 pixels")

    objective: str = _option("vanilla", "adversarial objective", OBJECTIVES)
    pixel_loss: str = _option("l1", "distance to the target in the generator's loss", PIXEL_LOSSES)
    lambda_l1: float = _option(100.0, "weight of that distance beside the adversarial loss")
    lambda_gan: float = _option(1.0, "weight of the adversarial loss; 0 trains without a discriminator")
    first: str = _option("discriminator", "which network learns first in a step", NETWORKS)
    cycle: str = _option("both", "cyclegan: which way an image is translated and back, forward begins in A", CYCLES)
    lambda_cycle: float = _option(10.0, "cyclegan: weight of the distance between an image and itself after a cycle")
    lambda_identity: float = _option(5.0, "cyclegan: weight of the change to an image already in the target domain")
    pool_size: int = _option(50, "cyclegan: older generated images that are mixed into D's batches; 0 is none")

    epochs: int = _option(6, "passes over the training pairs")
    batch_size: int = _option(1, "pairs in one step; the paper has 1")
    lr: float = _option(4e-4, "learning rate of both Adams; it falls after half of the epochs; the paper has 2e-4")
    beta1: float = _option(0.5, "Adam's decay of the mean of the gradients")
    beta2: float = _option(0.999, "Adam's decay of the mean of their squares")
    seed: int = _option(0, "governs the first weights, the order of the pairs, jitter and dropout")

    def __post_init__(self):
        for option in fields(self):
            value = getattr(self, option.name)
            if option.metadata["choices"]:
                check_choice(option.name, value, option.metadata["choices"])
        for name in ("image_size", "base_channels", "disc_channels", "epochs", "batch_size", "blocks"):
            _check(getattr(self, name) >= 1, name, "at least 1", self)
        for name in ("load_size", "disc_layers", "lambda_l1", "lambda_gan", "lambda_cycle", "lambda_identity",
                     "pool_size", "seed"):
            _check(getattr(self, name) >= 0, name, "0 or more", self)
        for name in ("dropout", "beta1", "beta2"):
            _check(0 <= getattr(self, name) < 1, name, "in [0, 1)", self)
        for name in ("in_channels", "out_channels"):
            _check(getattr(self, name) in (1, 3), name, "1 or 3", self)
        _check(self.load_size == 0 or self.load_size >= self.image_size, "load_size", "0 or at least image_size", self)
        _check(2 <= self.depth <= 12, "depth", "from 2 to 12", self)
        _check(self.generator == "unet" or self.depth == 2, "depth", "2 with a ResNet, which halves twice", self)
        _check(self.lr > 0, "lr", "positive", self)
        fits = self.disc_layers == 0 or 3 * 2**self.disc_layers <= self.image_size  # at least one patch logit is left
        _check(fits, "disc_layers", f"smaller for images of {self.image_size} pixels (3 * 2^disc_layers at most)", self)
        self._check_system()
        self._check_losses()

    def _check_system(self) -> None:
        if not self.ready_made:
            return
        standard = {option.name: option.default for option in fields(self)} | systems.SETTINGS[self.system]
        for name in BUILT_IN:
            _check(getattr(self, name) == standard[name], name, f"{standard[name]} in the system {self.system}", self)
        if self.system == "instance3x3":
            _check(self.objective == "lsgan", "objective", "lsgan in the system instance3x3, whose D ends in a sigmoid",
                   self)

    def _check_losses(self) -> None:
        if self.unpaired:
            same = self.in_channels == self.out_channels or self.lambda_identity == 0
            _check(same, "lambda_identity", "0 if in_channels and out_channels differ", self)
            other, weight = "are the cycle and identity losses", self.lambda_identity
            weight += self.lambda_cycle if self.cycle != "none" else 0
        else:
            other, weight = "is the pixel loss", self.lambda_l1 if self.pixel_loss != "none" else 0
        if self.lambda_gan == 0 and weight == 0:
            raise ValueError(f"lambda_gan is 0 and so {other}: the generator would have nothing to learn from")

    @property
    def unpaired(self) -> bool:
        """Whether the two sides come from unpaired folders, as CycleGAN learns."""
        return self.system == "cyclegan"

    @property
    def ready_made(self) -> bool:
        """Whether the networks are those of a pix2pix note, and not built from the options."""
        return self.system not in ("own", "cyclegan")


def _check(holds: bool, name: str, expected: str, config: TrainConfig) -> None:
    if not holds:
        raise ValueError(f"{name} must be {expected}; got {getattr(config, name)}")


def system_config(system: str, **options) -> TrainConfig:
    """Return the settings that a system's note trains with, changed by the options given.

    Raises:
        ValueError: if the system is not one of `SYSTEMS`, or an option is out of range or built into the system.
    """
    check_choice("system", system, SYSTEMS)
    return TrainConfig(**{"system": system, **systems.SETTINGS.get(system, {}), **options})


def make_generator(config: TrainConfig) -> UNet | ResNetGenerator:
    """Return a new generator of the shape that the config describes; for CycleGAN the one from A to B."""
    if config.ready_made:
        return _make_system(config)[0]
    common = {"base_channels": config.base_channels, "norm": config.norm, "dropout": config.dropout,
              "upsampling": config.upsampling}
    if config.generator == "resnet":
        return ResNetGenerator(config.in_channels, config.out_channels, blocks=config.blocks, **common)
    return UNet(config.in_channels, config.out_channels, depth=config.depth, skips=config.skips, **common)


def make_discriminator(config: TrainConfig) -> PatchDiscriminator:
    """Return a new patch discriminator, conditioned on the input, of the shape that the config describes.

    For CycleGAN it judges an image of the target's domain alone.
    """
    if config.ready_made:
        return _make_system(config)[1]
    return PatchDiscriminator(config.out_channels if config.unpaired else config.in_channels + config.out_channels,
                              base_channels=config.disc_channels, layers=config.disc_layers, norm=config.disc_norm)


def _make_system(config: TrainConfig) -> tuple[UNet, PatchDiscriminator]:
    make = getattr(systems, config.system)
    return make(config.in_channels, config.out_channels, config.base_channels, config.disc_channels)


def learning_rate(config: TrainConfig, epoch: int) -> float:
    """Return the learning rate of an epoch, counted from 0: constant for the first half, then falling linearly.

    The last epoch still learns: the line would reach 0 one epoch after it.
    """
    half = config.epochs // 2
    remaining = (config.epochs - epoch) / (config.epochs - half + 1)
    return config.lr * (1.0 if epoch < half else remaining)


@dataclass(frozen=True)
class StepRecord:
    """The losses of one update, without their weights: detached scalar tensors while an epoch runs, then floats.

    `loss_d` is D's halved objective, `loss_g_gan` the adversarial and `loss_g_l1` the pixel loss of G.
    """

    epoch: int
    step: int
    loss_d: Tensor | float
    loss_g_gan: Tensor | float
    loss_g_l1: Tensor | float


class Trainer:
    """Networks, their two optimisers, and the state of a run: what pix2pix and CycleGAN share.

    `epoch` counts finished epochs, `history` holds the records of their steps. A run is a pure function of config,
    first weights and data on one kind of machine: each epoch begins by seeding torch with seed + epoch, so a run that
    goes on from the end of an epoch is bit for bit the one that was never stopped.

    A kind of training gives `update`, `record` (the class of its records), `measure` (what `validate` returns, in
    words), and `show`.

    Args:
        generators, discriminators: networks by the names that they have as attributes and in checkpoints.
        engine: how the steps are computed; the default is plain float32.
        workers: processes that read the pairs; 0 reads them in this one, the best for pairs in memory.

    In a run of several processes (see `processes`) each takes its share of every batch's pairs, and the gradients are
    averaged: `batch_size` is that of one process.
    """

    record: type
    measure: str

    def __init__(self, generators: dict[str, nn.Module], discriminators: dict[str, nn.Module], config: TrainConfig,
                 device: torch.device | str = "cpu", engine: Engine = PLAIN, workers: int = 0):
        self.config, self.device, self.engine, self.workers = config, torch.device(device), engine, workers
        self.generators = {name: self._prepare_generator(network) for name, network in generators.items()}
        self.discriminators = {name: engine.prepare(network.to(device)) for name, network in discriminators.items()}
        self.networks = self.generators | self.discriminators
        for name, network in self.networks.items():
            setattr(self, name, network)
        # What is called in a step: the networks themselves, or compiled and joined with those of other processes.
        # A discriminator is joined only where it learns.
        self._calls = {name: engine.compile(network) for name, network in self.networks.items()}
        self._joined = {name: processes.join_gradients(network) for name, network in self._calls.items()}
        self.optimizer_g = self._make_adam(self.generators)
        self.optimizer_d = self._make_adam(self.discriminators)
        self.scaler = engine.make_scaler(self.device)
        self._update = GraphedStep(self.update) if engine.graph else self.update
        self.epoch = 0
        self.history: list = []

    def _prepare_generator(self, network: nn.Module) -> nn.Module:
        size = self.config.image_size
        example = torch.zeros(self.config.batch_size, network.in_channels, size, size, device=self.device)
        return self.engine.prepare(network.to(self.device), example)

    def _make_adam(self, networks: dict[str, nn.Module]) -> torch.optim.Adam:
        parameters = [parameter for network in networks.values() for parameter in network.parameters()]
        return self.engine.make_adam(parameters, self.config.lr, (self.config.beta1, self.config.beta2))

    def run_epoch(self, dataset: Dataset) -> Iterator:
        """Train on every pair once, yielding one record an update; `epoch` advances when the last one is taken.

        Raises:
            FloatingPointError: if a loss is not a number or infinite, with its name and the step.
        """
        self._set_learning_rate(learning_rate(self.config, self.epoch))
        for network in self.networks.values():
            network.train()
        records = []
        for real_a, real_b in self.batches(dataset):
            step = len(self.history) + len(records)
            records.append(self.step(real_a, real_b, step))
            if len(records) % 50 == 0:  # not at every step: reading a loss makes a GPU wait
                check_finite(records[-50:])
            yield records[-1]
        check_finite(records)
        self.history.extend(as_floats(records))
        self.epoch += 1

    def batches(self, dataset: Dataset) -> Iterator[tuple[Tensor, Tensor]]:
        """Yield the batches of the epoch that comes next, on the device; its random numbers follow from here."""
        # Each process draws its own jitter and dropout; the first draws what a run of one process would.
        torch.manual_seed(self.config.seed + self.epoch + (processes.rank() << 32))
        sampler = processes.make_sampler(dataset, self.config.seed, self.epoch)
        loader = DataLoader(dataset, self.config.batch_size, shuffle=sampler is None, sampler=sampler,
                            num_workers=self.workers)
        for real_a, real_b in loader:
            yield self.engine.lay_out(real_a.to(self.device)), self.engine.lay_out(real_b.to(self.device))

    def step(self, real_a: Tensor, real_b: Tensor, step: int = 0):
        """Make one update of all networks on a batch of both sides, (N, C, H, W) in [-1, 1]; returns its record."""
        return self.record(self.epoch, step, *self._update(real_a, real_b))

    def update(self, real_a: Tensor, real_b: Tensor) -> tuple[Tensor, ...]:
        """Do what `step` does, as plainly as it stands here; returns the losses of a record, detached."""
        raise NotImplementedError

    def validate(self, dataset: Dataset) -> float:
        """Return how far off the generators are on a dataset without jitter; `measure` says in what sense."""
        raise NotImplementedError

    def show(self, real_a: Tensor, real_b: Tensor) -> dict[str, Tensor]:
        """Return, on the CPU and by name, batches that show what the generators do with a batch of both sides."""
        raise NotImplementedError

    def _descend(self, optimizer: torch.optim.Optimizer, loss: Tensor) -> None:
        """Make one update of the optimiser's parameters; the scaler is transparent except in fp16."""
        optimizer.zero_grad()
        self.scaler.scale(loss).backward()
        self.scaler.step(optimizer)

    @contextmanager
    def _holding_discriminators(self) -> Iterator[None]:
        """Hold the discriminators still: they pass the gradient on to the generators and keep none."""
        for network in self.discriminators.values():
            network.requires_grad_(False)
        yield
        for network in self.discriminators.values():
            network.requires_grad_(True)

    def state_dict(self) -> dict:
        """Return all that a run needs to go on: tensors, numbers, strings, and lists and dicts of them."""
        return {
            **{name: network.state_dict() for name, network in self.networks.items()},
            "optimizer_g": self.optimizer_g.state_dict(), "optimizer_d": self.optimizer_d.state_dict(),
            "scaler": self.scaler.state_dict(), "precision": self.engine.precision,
            "epoch": self.epoch, "config": asdict(self.config), "history": [asdict(r) for r in self.history],
        }

    def load_state_dict(self, state: dict) -> None:
        """Take over a state made by `state_dict` of a trainer with networks of the same shape, of whatever engine."""
        for name, network in self.networks.items():
            network.load_state_dict(state[name])
        _load_moments(self.optimizer_g, state["optimizer_g"])
        _load_moments(self.optimizer_d, state["optimizer_d"])
        if state["scaler"] and self.scaler.is_enabled():
            self.scaler.load_state_dict(state["scaler"])
        self.epoch = state["epoch"]
        self.history = [self.record(**record) for record in state["history"]]

    def _set_learning_rate(self, lr: float) -> None:
        for optimizer in (self.optimizer_g, self.optimizer_d):
            for group in optimizer.param_groups:
                if isinstance(group["lr"], Tensor):
                    group["lr"].fill_(lr)  # in place: a recorded graph reads it there
                else:
                    group["lr"] = lr


class Pix2PixTrainer(Trainer):
    """The training of a generator and a discriminator on pairs; what it shares with CycleGAN's is in `Trainer`."""

    record, measure = StepRecord, "validation L1"

    def __init__(self, generator: nn.Module, discriminator: nn.Module, config: TrainConfig,
                 device: torch.device | str = "cpu", engine: Engine = PLAIN, workers: int = 0):
        super().__init__({"generator": generator}, {"discriminator": discriminator}, config, device, engine, workers)

    def update(self, real_a: Tensor, real_b: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Make one update of D and one of G, in the config's order; returns loss_d, loss_g_gan, loss_g_l1, detached."""
        self.optimizer_g.zero_grad()  # the last step's gradients make room for this one's activations
        self.optimizer_d.zero_grad()
        with self.engine.autocast(self.device):
            fake_b = self._joined["generator"](real_a)
        fake_b = fake_b.float()
        if self.config.first == "discriminator":
            loss_d = self.step_discriminator(real_a, real_b, fake_b)
            loss_g_gan, loss_g_l1 = self.step_generator(real_a, real_b, fake_b)
        else:
            loss_g_gan, loss_g_l1 = self.step_generator(real_a, real_b, fake_b)
            loss_d = self.step_discriminator(real_a, real_b, fake_b)
        self.scaler.update()
        return loss_d, loss_g_gan, loss_g_l1

    def step_discriminator(self, real_a: Tensor, real_b: Tensor, fake_b: Tensor) -> Tensor:
        """Make D tell real_b from fake_b, given real_a; G does not learn from it. Returns D's loss, detached."""
        if self.config.lambda_gan == 0:
            return torch.zeros((), device=self.device)
        with self.engine.autocast(self.device):
            real_logits = self._joined["discriminator"](real_a, real_b)
            fake_logits = self._joined["discriminator"](real_a, fake_b.detach())  # the gradient ends here, before G
        loss_d = 0.5 * discriminator_loss(real_logits.float(), fake_logits.float(), self.config.objective)
        self._descend(self.optimizer_d, loss_d)
        return loss_d.detach()

    def step_generator(self, real_a: Tensor, real_b: Tensor, fake_b: Tensor) -> tuple[Tensor, Tensor]:
        """Make G's fake_b pass for real and be near real_b; D is held still. Returns both losses, detached."""
        with self._holding_discriminators():
            loss_g_gan = torch.zeros((), device=self.device)
            if self.config.lambda_gan > 0:
                with self.engine.autocast(self.device):
                    fake_logits = self._calls["discriminator"](real_a, fake_b)
                loss_g_gan = generator_loss(fake_logits.float(), self.config.objective)
            loss_g_l1 = pixel_loss(fake_b, real_b, self.config.pixel_loss)
            loss_g = self.config.lambda_gan * loss_g_gan + self.config.lambda_l1 * loss_g_l1
            self._descend(self.optimizer_g, loss_g)
        return loss_g_gan.detach(), loss_g_l1.detach()

    def translate(self, real_a: Tensor) -> Tensor:
        """Return the generator's images for a batch, as the paper makes them: see `translate`."""
        return translate(self.generator, real_a.to(self.device))

    def validate(self, dataset: Dataset) -> float:
        """Return the mean absolute error over a dataset without jitter: see `validation_l1`."""
        return validation_l1(self, dataset)

    def show(self, real_a: Tensor, real_b: Tensor) -> dict[str, Tensor]:
        """Return input, output and truth."""
        return {"input": real_a.cpu(), "output": self.translate(real_a).cpu(), "truth": real_b.cpu()}


def _load_moments(optimizer: torch.optim.Optimizer, saved: dict) -> None:
    """Load Adam's averages into an optimiser; how it computes, and the memory format, stay as they are."""
    own = optimizer.state_dict()["param_groups"]
    optimizer.load_state_dict({"state": saved["state"], "param_groups": own})
    for parameter, state in optimizer.state.items():
        for name in ("exp_avg", "exp_avg_sq"):
            state[name] = torch.empty_like(parameter).copy_(state[name])


def make_trainer(config: TrainConfig, device: torch.device | str = "cpu", engine: Engine = PLAIN,
                 workers: int = 0) -> Pix2PixTrainer:
    """Return a trainer with new networks, whose first weights follow from config.seed alone."""
    torch.manual_seed(config.seed)
    return Pix2PixTrainer(make_generator(config), make_discriminator(config), config, device, engine, workers)


def choose_engine(config: TrainConfig, device: torch.device, precision: str = "auto",
                  make: Callable[..., Trainer] = make_trainer) -> tuple[Engine, str]:
    """Return the fastest engine for a run in a precision, and the reason for the precision in a few words.

    `auto` goes by the hardware; on a CPU it times two steps of a trainer that `make` makes of the config, in float32
    and in bf16. Torch's random numbers do not change.

    Raises:
        ValueError: if `precision` is not one of `PRECISIONS`, or the device cannot compute in it.
    """
    check_choice("precision", precision, PRECISIONS)
    reason = "as asked for"
    if precision == "auto":
        precision, reason = choose_precision(device, lambda name: _probe(config, device, name, make))
    if precision == "fp16" and device.type != "cuda":
        raise ValueError(f"fp16 needs a GPU for its loss scaling; got device {device}: choose auto, bf16 or float32")
    return fast_engine(precision, device, config.batch_size), reason


def _probe(config: TrainConfig, device: torch.device, precision: str, make: Callable[..., Trainer]) -> float:
    """Return the seconds of one step of the config's networks on random images, in a precision."""
    with torch.random.fork_rng([]):
        trainer = make(config, device, fast_engine(precision, device, config.batch_size))
        sides = [torch.rand(config.batch_size, channels, config.image_size, config.image_size) * 2 - 1
                 for channels in (config.in_channels, config.out_channels)]
        real_a, real_b = (trainer.engine.lay_out(side.to(device)) for side in sides)
        return step_seconds(lambda: trainer.step(real_a, real_b))



@torch.no_grad()
def translate(generator: nn.Module, real_a: Tensor, seed: int = 0) -> Tensor:
    """Return fake_b for a batch of inputs, one image at a time, with dropout and batch statistics as in the paper.

    The generator stays in training mode: dropout is its only source of variety (paper, section 3), and the norm takes
    its statistics from the image at hand (section 3.3). Neither running averages nor torch's random numbers change.
    """
    was_training = generator.training
    averages = [value.clone() for value in generator.buffers()]
    devices = [real_a.device] if real_a.device.type == "cuda" else []
    generator.train()
    fake_b = []
    with torch.random.fork_rng(devices):
        for image in real_a:
            torch.manual_seed(seed)  # an image's dropout does not depend on its neighbours in the batch
            fake_b.append(generator(image[None]))
    for value, average in zip(generator.buffers(), averages):
        value.copy_(average)
    generator.train(was_training)
    return torch.cat(fake_b)


def validation_l1(trainer: Pix2PixTrainer, dataset: Dataset) -> float:
    """Return the mean absolute difference between fake_b and real_b over a dataset without jitter, in [0, 2]."""
    total = 0.0
    for real_a, real_b in DataLoader(dataset, batch_size=1):
        total += float(pixel_loss(trainer.translate(real_a), real_b.to(trainer.device)))
    return total / len(dataset)


def losses_of(record) -> dict[str, Tensor | float]:
    """Return the losses of a record by name, in its order."""
    return {option.name: getattr(record, option.name) for option in fields(record)
            if option.name not in ("epoch", "step")}


def as_floats(records: list) -> list:
    """Return the records with plain numbers for losses, fetched together; of several processes, their means."""
    if not records:
        return []
    losses = torch.stack([torch.stack(list(losses_of(record).values())) for record in records])
    return [type(r)(r.epoch, r.step, *row) for r, row in zip(records, processes.mean(losses).tolist())]


def check_finite(records: list) -> None:
    """Raise a FloatingPointError that names the first loss and step that are not finite."""
    for record in as_floats(records):
        for name, value in losses_of(record).items():
            if not -float("inf") < value < float("inf"):
                raise FloatingPointError(
                    f"{name} became {value} at step {record.step} (epoch {record.epoch}); the last checkpoint is kept. "
                    f"Lower the learning rate, or look for broken images in the data"
                )
