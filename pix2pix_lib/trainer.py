"""What every training shares: networks, optimisers, epochs, and a state to go on from.

`training` has the steps of pix2pix, `cyclegan` those of CycleGAN.
"""

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from traceback import clear_frames
from typing import Protocol

import torch
from torch import Tensor, nn
from torch.utils.data import DataLoader, Dataset, DistributedSampler, IterableDataset

from . import processes
from .config import TrainConfig, reverse_config
from .engine import PLAIN, Engine, GraphedStep
from .progress import make_bar
from .randomness import derive_seed
from .resnet import ResNetGenerator
from .validation import InputError

CHECK_EVERY = 50  # steps between two looks at the losses: reading one makes a GPU wait


def learning_rate(config: TrainConfig, epoch: int) -> float:
    """Return the learning rate of an epoch, counted from 0: constant, then falling linearly.

    It falls in the second half of the epochs. The last one still learns: the line would reach 0
    one epoch after it.
    """
    half = config.epochs // 2
    remaining = (config.epochs - epoch) / (config.epochs - half + 1)
    return config.lr * (1.0 if epoch < half else remaining)


class Record(Protocol):
    """The losses of one update, by the names of their fields, and where it stands in the run."""

    epoch: int
    step: int

    def summary(self) -> str:
        """Return the losses as a short text."""


@dataclass(frozen=True)
class LossPanel:
    """What a figure of a run's losses draws together.

    Args:
        labels: the label of each loss, by its name in the records.
        undecided: the loss of a D that cannot tell real from generated, and its label; or nothing.
    """

    labels: Mapping[str, str]
    undecided: tuple[float, str] | None = None


class Trainer:
    """Networks, their two optimisers, and the state of a run: what pix2pix and CycleGAN share.

    `epoch` counts finished epochs and `steps` their updates; `history` holds the records of those
    that this object knows of. A run is a pure function of config, first weights and data on one
    kind of machine: the random numbers of an epoch follow from the seed and its number, those of a
    pair from its index as well. So a run that goes on from the end of an epoch is bit for bit the
    one that was never stopped, however many processes read the pairs.

    A subclass gives `update`, `record_class`, `metric_name` (what `validate` returns, in words),
    `loss_panels` and `show`.

    Args:
        generators, discriminators: networks, by their names as attributes and in checkpoints.
        engine: how the steps are computed; the default is plain float32.
        workers: processes that read the pairs; 0 reads them here, the best for pairs in memory.

    In a run of several processes (see `processes`) each takes its share of every batch's pairs, and
    the gradients are averaged: `batch_size` is that of one process.
    """

    record_class: type[Record]
    metric_name: str

    def __init__(
        self,
        generators: dict[str, nn.Module],
        discriminators: dict[str, nn.Module],
        config: TrainConfig,
        device: torch.device | str = "cpu",
        engine: Engine = PLAIN,
        workers: int = 0,
    ):
        self.config, self.device, self.engine = config, torch.device(device), engine
        self.workers = workers
        if self.device.type == "cuda" and engine != PLAIN:
            torch.backends.cudnn.benchmark = True  # tries each layer's kernels, keeps the fastest
        self.generators = {
            name: engine.prepare(network.to(device), self._example(name))
            for name, network in generators.items()
        }
        self.discriminators = {
            name: engine.prepare(network.to(device)) for name, network in discriminators.items()
        }
        self.networks = self.generators | self.discriminators
        for name, network in self.networks.items():
            setattr(self, name, network)
        self._compiled = {name: engine.compile(net) for name, net in self.networks.items()}
        self._wrapped = {name: processes.wrap_ddp(net) for name, net in self._compiled.items()}
        self._encoder = self._encoder_parameters() if config.freeze_encoder else []
        self.optimizer_g = self._make_adam(self.generators)
        self.optimizer_d = self._make_adam(self.discriminators)
        self.scaler = engine.make_scaler(self.device)
        self._graphed = GraphedStep() if self._can_be_graphed() else None
        self._loader: DataLoader | None = None
        self.epoch, self.steps = 0, 0
        self.history: list[Record] = []
        # The file that holds the history's first steps already, and how many of them.
        self.saved_history: tuple[Path | None, int] = (None, 0)

    def _example(self, generator: str) -> Tensor:
        """Return a batch like those that a generator will get."""
        config = reverse_config(self.config) if generator == "generator_ba" else self.config
        shape = config.batch_size, config.in_channels, *config.shape
        return torch.zeros(shape, device=self.device)

    def _can_be_graphed(self) -> bool:
        """Return whether steps can be recorded: gradients must not leave for other processes."""
        return self.engine.graph and not processes.is_distributed()

    def _encoder_parameters(self) -> list[nn.Parameter]:
        """Return what the generators' encoders learn."""
        encoders = [generator.downs for generator in self.generators.values()]
        resnets = [g for g in self.generators.values() if isinstance(g, ResNetGenerator)]
        encoders += [generator.head for generator in resnets]  # a U-Net's head ends its decoder
        return [parameter for encoder in encoders for parameter in encoder.parameters()]

    def _make_adam(self, networks: dict[str, nn.Module]) -> torch.optim.Adam:
        parameters = [p for network in networks.values() for p in network.parameters()]
        betas = self.config.beta1, self.config.beta2
        return self.engine.make_adam(parameters, self.config.lr, betas)

    # --- one epoch ------------------------------------------------------------------------------

    def run_epoch(self, dataset: Dataset) -> Iterator[Record]:
        """Train on every pair once, yielding one record an update.

        `epoch`, `steps` and `history` advance when the last record has been taken.

        Raises:
            FloatingPointError: if a loss is not finite, with its name and the step.
        """
        self._set_learning_rate(learning_rate(self.config, self.epoch))
        for network in self.networks.values():
            network.train()
        if self._graphed and self._encoder and self.epoch == self.config.freeze_encoder:
            self._graphed.reset()  # the steps that it has recorded leave the encoder out
        finished, recent = [], []
        for real_a, real_b in self.batches(dataset):
            step = self.steps + len(finished) + len(recent)
            recent.append(self.step(real_a, real_b, step))
            yield recent[-1]
            if len(recent) == CHECK_EVERY:
                finished += _finite(recent)
                recent.clear()
        finished += _finite(recent)
        history, steps = self.history + finished, self.steps + len(finished)
        # One statement without a call: an interruption comes before all of it or after.
        self.history, self.steps, self.epoch = history, steps, self.epoch + 1

    def batches(self, dataset: Dataset) -> Iterator[tuple[Tensor, Tensor]]:
        """Yield the batches of the next epoch, on the device; its random numbers begin here."""
        loader = self._epoch_loader(dataset)
        torch.manual_seed(derive_seed(self.config.seed, self.epoch, processes.rank()))
        for batch in loader:
            real_a, real_b = (side.to(self.device, non_blocking=True) for side in batch)
            yield self.engine.to_memory_format(real_a), self.engine.to_memory_format(real_b)
        if isinstance(loader.dataset, SeededDataset):
            self._loader = loader  # an epoch broken off may have lost its workers

    def _epoch_loader(self, dataset: Dataset) -> DataLoader:
        """Return the loader of the next epoch, which may be that of the last one."""
        loader, self._loader = self._loader, None
        if isinstance(dataset, IterableDataset):
            dataset.set_epoch(self.epoch, self.config.seed, self.config.batch_size)
            return self._make_loader(dataset)  # whose workers get a copy that knows the epoch
        if loader is None or loader.dataset.dataset is not dataset:
            sampler = SeededSampler(dataset, self.config.seed)
            loader = self._make_loader(
                SeededDataset(dataset), sampler=sampler, persistent_workers=self.workers > 0
            )
        loader.sampler.set_epoch(self.epoch)
        return loader

    def _make_loader(self, dataset: Dataset, **options) -> DataLoader:
        return DataLoader(
            dataset,
            self.config.batch_size,
            num_workers=self.workers,
            pin_memory=self.device.type == "cuda" and self.workers > 0,
            generator=torch.Generator(),  # so that it leaves torch's own random numbers alone
            **options,
        )

    def step(self, real_a: Tensor, real_b: Tensor, step: int = 0) -> Record:
        """Make one update of all networks and return its record.

        Args:
            real_a, real_b: a batch of inputs and one of targets, (N, C, H, W) in [-1, 1].
        """
        self._set_requires_grad(True)  # whatever an interruption has left
        if self._graphed:
            losses = self._graphed(self.update, real_a, real_b)
        else:
            losses = self.update(real_a, real_b)
        return self.record_class(self.epoch, step, *losses)

    def update(self, real_a: Tensor, real_b: Tensor) -> tuple[Tensor, ...]:
        """Make one update of all networks; returns the losses of a record, detached."""
        raise NotImplementedError

    def steps_per_epoch(self, dataset: Dataset) -> int:
        """Return how many updates an epoch has; several processes share the pairs of each."""
        share = math.ceil(len(dataset) / processes.world_size())
        return math.ceil(share / self.config.batch_size)

    # --- the pieces of an update ----------------------------------------------------------------

    def run(self, name: str, *images: Tensor) -> Tensor:
        """Call a network by its name, in the engine's precision; returns float32.

        While the network learns, its gradients are averaged with those of other processes.
        """
        learns = next(self.networks[name].parameters()).requires_grad
        network = self._wrapped[name] if learns else self._compiled[name]
        with self.engine.autocast(self.device):
            output = network(*images)
        return output.float()

    def _backward_and_step(self, optimizer: torch.optim.Optimizer, loss: Tensor) -> None:
        """Make one update of the optimiser's parameters."""
        optimizer.zero_grad()
        self.scaler.scale(loss).backward()  # the scaler does nothing except in fp16
        if optimizer is self.optimizer_g and self.epoch < self.config.freeze_encoder:
            for parameter in self._encoder:
                parameter.grad = None  # Adam passes over it, and its averages stay as they are
        self.scaler.step(optimizer)

    @contextmanager
    def _frozen_discriminators(self) -> Iterator[None]:
        """Freeze the discriminators: they pass the gradient on to G and keep none."""
        try:
            self._set_requires_grad(False)
            yield
        finally:
            self._set_requires_grad(True)

    def _set_requires_grad(self, value: bool) -> None:
        for network in self.discriminators.values():
            network.requires_grad_(value)

    def _zero(self) -> Tensor:
        """Return the loss of what the config switches off."""
        return torch.zeros((), device=self.device)

    # --- looking at a run -----------------------------------------------------------------------

    def validate(self, dataset: Dataset) -> float:
        """Return how far off the generators are on a dataset without jitter: `metric_name`."""
        raise NotImplementedError

    def show(self, real_a: Tensor, real_b: Tensor) -> dict[str, Tensor]:
        """Return batches, by name and on the CPU, that show what the generators do with a batch."""
        raise NotImplementedError

    def loss_panels(self) -> list[LossPanel]:
        """Return what a figure of the losses shows: the adversarial ones, then the distances."""
        raise NotImplementedError

    # --- state ----------------------------------------------------------------------------------

    def state_dict(self) -> dict:
        """Return what a run needs to go on: tensors, numbers, strings, and lists and dicts of them.

        The history is not part of it: `checkpoints` appends that to a file of its own.
        """
        return {
            **{name: network.state_dict() for name, network in self.networks.items()},
            "optimizer_g": self.optimizer_g.state_dict(),
            "optimizer_d": self.optimizer_d.state_dict(),
            "scaler": self.scaler.state_dict(),
            "precision": self.engine.precision,
            "epoch": self.epoch,
            "steps": self.steps,
            "config": asdict(self.config),
        }

    def load_state_dict(self, state: dict) -> None:
        """Take over the state of a trainer with networks of the same shape, whichever its engine.

        Raises:
            KeyError, RuntimeError, TypeError, ValueError: if the state does not fit. The trainer
                may then be half changed.
        """
        for name, network in self.networks.items():
            network.load_state_dict(state[name])
        _load_moments(self.optimizer_g, state["optimizer_g"], self._encoder)
        _load_moments(self.optimizer_d, state["optimizer_d"])
        if state["scaler"] and self.scaler.is_enabled():
            self.scaler.load_state_dict(state["scaler"])
        if self._graphed:
            self._graphed.reset()  # it would go on writing into the moments that were replaced
        self.epoch, self.steps = state["epoch"], state["steps"]
        self.history, self.saved_history = [], (None, 0)

    def _set_learning_rate(self, lr: float) -> None:
        for optimizer in (self.optimizer_g, self.optimizer_d):
            for group in optimizer.param_groups:
                if isinstance(group["lr"], Tensor):
                    group["lr"].fill_(lr)  # in place: a recorded graph reads it there
                else:
                    group["lr"] = lr


def _load_moments(
    optimizer: torch.optim.Optimizer, saved: dict, frozen: Sequence[nn.Parameter] = ()
) -> None:
    """Load Adam's averages; how the optimiser computes, and the memory format, stay as they are.

    Args:
        frozen: parameters that may have none, as they have not learned yet.
    """
    own = optimizer.state_dict()["param_groups"]
    parameters = [p for group in optimizer.param_groups for p in group["params"]]
    count, frozen = len(parameters), {id(parameter) for parameter in frozen}
    learning = {n for n, parameter in enumerate(parameters) if id(parameter) not in frozen}
    if set(saved["state"]) not in (set(), learning, set(range(count))):
        raise ValueError(f"Adam's averages are not those of {count} parameters")
    optimizer.load_state_dict({"state": saved["state"], "param_groups": own})
    for parameter, state in optimizer.state.items():
        state["step"] = torch.as_tensor(state["step"])
        for name in ("exp_avg", "exp_avg_sq"):
            if state[name].shape != parameter.shape:
                shapes = f"{tuple(state[name].shape)}, not {tuple(parameter.shape)}"
                raise ValueError(f"Adam's {name} has the shape {shapes}")
            state[name] = torch.empty_like(parameter).copy_(state[name])


def train_epoch(trainer: Trainer, dataset: Dataset, shown: bool = True) -> None:
    """Run one epoch, under a progress bar if it is shown.

    Raises:
        InputError, OSError: if a file cannot be read, or a process that reads them was killed.
        FloatingPointError: if a loss is not finite.
    """
    with explain_worker_errors():
        if not shown:
            for _ in trainer.run_epoch(dataset):
                pass
            return
        label = f"epoch {trainer.epoch + 1} of {trainer.config.epochs}"
        with closing(make_bar(trainer.steps_per_epoch(dataset), label)) as bar:
            for record in trainer.run_epoch(dataset):
                bar.update()
                if record.step % 20 == 0:
                    bar.set_postfix_str(record.summary())


@contextmanager
def explain_worker_errors() -> Iterator[None]:
    """Turn what a DataLoader raises for its workers into errors of one line.

    It raises an error of the worker's type whose text is the worker's traceback. That a worker was
    killed, it raises wherever this process happens to be. Errors that leave here have `own_share`
    set: of several processes only this one may know of it.
    """
    try:
        yield
    except (InputError, OSError, RuntimeError) as error:
        short = _shorten_worker_error(error)
        (short or error).own_share = True
        if short is None:
            raise
        clear_frames(error.__traceback__)  # whoever keeps the error would keep the workers
        raise short from error


def _shorten_worker_error(error: Exception) -> Exception | None:
    """Return an error of one line for what a DataLoader says of its workers, else None."""
    if not isinstance(error, RuntimeError):
        if not str(error).startswith("Caught "):
            return None
        sentence = str(error).rsplit(f"{type(error).__name__}: ", 1)[-1]  # below the traceback
        return type(error)(sentence.strip())
    text = f"{error} {error.__cause__}".lower()
    if "dataloader worker" not in text:
        return None
    if "shared memory" in text or "unable to mmap" in text:
        return OSError(
            "no shared memory is left for the processes that read the pairs; give --workers 0, or "
            "a larger /dev/shm (Docker: --shm-size)"
        )
    if "killed by signal" in text or "exited unexpectedly" in text:
        return OSError(
            "a process that reads the pairs was killed, perhaps for want of memory; give fewer "
            "--workers"
        )
    return None


class SeededSampler(DistributedSampler):
    """The indices of an epoch in a random order, each with a seed for the pair's jitter.

    Of several processes each takes every n-th index of the same order, so that the pairs of a step
    do not depend on how many share them.
    """

    def __init__(self, dataset: Dataset, seed: int):
        super().__init__(dataset, processes.world_size(), processes.rank())
        self.run_seed = seed

    def set_epoch(self, epoch: int) -> None:
        super().set_epoch(epoch)
        self.seed = derive_seed(self.run_seed, epoch)  # where the base class would add both

    def __iter__(self) -> Iterator[tuple[int, int]]:
        for index in super().__iter__():
            yield index, derive_seed(self.run_seed, self.epoch, 0, index)


class SeededDataset(Dataset):
    """A dataset whose items are drawn with a seed of their own, whichever process draws them."""

    def __init__(self, dataset: Dataset):
        self.dataset = dataset

    def __len__(self) -> int:
        return len(self.dataset)

    def __getitem__(self, item: tuple[int, int]):
        index, seed = item
        with torch.random.fork_rng([]):
            torch.manual_seed(seed)
            return self.dataset[index]


def single_pairs(dataset: Dataset) -> Iterator[tuple[Tensor, Tensor]]:
    """Yield each pair of a dataset as a batch of one."""
    for index in range(len(dataset)):
        real_a, real_b = dataset[index]
        yield real_a[None], real_b[None]


def losses_of(record: Record) -> dict[str, Tensor | float]:
    """Return the losses of a record by name, in its order."""
    names = (option.name for option in fields(record))
    return {name: getattr(record, name) for name in names if name not in ("epoch", "step")}


def as_floats(records: list[Record]) -> list[Record]:
    """Return records with numbers for losses, fetched together; of several processes, the means."""
    if not records:
        return []
    losses = torch.stack([torch.stack(list(losses_of(record).values())) for record in records])
    rows = processes.all_reduce_mean(losses).tolist()
    return [type(r)(r.epoch, r.step, *row) for r, row in zip(records, rows)]


def _finite(records: list[Record]) -> list[Record]:
    """Return records with numbers for losses.

    Raises:
        FloatingPointError: with the name and step of the first loss that is not finite.
    """
    records = as_floats(records)
    for record in records:
        for name, value in losses_of(record).items():
            if not math.isfinite(value):
                raise FloatingPointError(
                    f"{name} became {value} at step {record.step} (epoch {record.epoch}); the last "
                    f"checkpoint is kept. Lower the learning rate, or look for broken images in "
                    f"the data"
                )
    return records


TrainerFactory = Callable[..., Trainer]
