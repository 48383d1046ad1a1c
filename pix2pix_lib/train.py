"""Train from the command line: python -m pix2pix_lib.train --help.

In several processes all do the same, except for what `broadcast_from_rank0` runs in the first one.
"""

import argparse
import importlib.util
import logging
import sys
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass, field, fields, replace
from pathlib import Path

import torch
from torch.utils.data import Dataset

from . import processes
from .checkpoints import check_settings, read_checkpoint, restore, saved_config
from .cli import CommandParser, run_command
from .config import TrainConfig, system_config
from .cyclegan import trainer_factory
from .data import PairedDataset, UnpairedDataset, data_identity, default_load_size
from .devices import available_memory, describe_device, is_out_of_memory, pick_device
from .engine import PRECISIONS, Engine, choose_engine
from .facades import default_dataset, default_unpaired_dataset
from .files import generated_data, lock_folder
from .layouts import LAYOUTS, available_splits, find_pairs, find_unpaired
from .progress import progress_callback
from .run_folder import RunFolder
from .systems import SETTINGS
from .trainer import Trainer, train_epoch
from .validation import InputError

NUM_WORKERS = 2  # processes that read pairs which do not fit into memory

log = logging.getLogger("pix2pix_lib.train")


@dataclass(frozen=True)
class RunOptions:
    """What a person asks for on the command line.

    Args:
        settings: the fields of TrainConfig that were given; the others follow from the run that
            goes on, or else from the system.
        data, layout, workers: None if they were not given.
    """

    settings: dict = field(default_factory=dict)
    out: Path = Path("runs/pix2pix")
    data: Path | None = None
    layout: str | None = None
    resume: bool = False
    keep_every: int = 0
    tensorboard: bool = False
    device: str = "auto"
    precision: str = "auto"
    compile: bool = False
    workers: int | None = None
    debug: bool = False

    def __post_init__(self):
        if self.keep_every < 0:
            raise InputError(f"keep_every must be 0 or more; got {self.keep_every}")
        if self.workers is not None and self.workers < 0:
            raise InputError(f"workers must be 0 or more; got {self.workers}")
        if self.tensorboard and importlib.util.find_spec("tensorboard") is None:
            raise InputError(
                "--tensorboard needs a package that is not installed: pip install tensorboard"
            )


def main(argv: list[str] | None = None) -> int:
    """Run the command; returns 0, 2 for an error that a person can mend, 130 if interrupted."""
    return run_command(lambda arguments: run(read_options(arguments)), parse(argv))


def parse(argv: list[str] | None) -> argparse.Namespace:
    """Return the arguments; the help shows the defaults of the system that is asked for."""
    first = argparse.ArgumentParser(add_help=False, allow_abbrev=False)
    first.add_argument("--system", default="own")
    return make_parser(first.parse_known_args(argv)[0].system).parse_args(argv)


def make_parser(system: str = "own") -> CommandParser:
    """Return the parser: where things lie, and one flag for each field of TrainConfig."""
    parser = CommandParser(
        prog="python -m pix2pix_lib.train",
        description="Train pix2pix, or with --system cyclegan CycleGAN. Without --data it makes "
        "procedural facades and learns to paint them from labels, or for CycleGAN to turn day into "
        "night and back.",
    )
    add = parser.add_argument
    add(
        "--data",
        type=Path,
        metavar="DIR",
        help="folder with the pairs, split into train and val or not at all; for CycleGAN with "
        "folders trainA and trainB, or any pairs, which are then taken apart",
    )
    add("--layout", choices=LAYOUTS, help="how the pairs lie on disk (default: auto)")
    add(
        "--out",
        type=Path,
        default=RunOptions.out,
        metavar="DIR",
        help=f"folder for all that the run writes (default: {RunOptions.out})",
    )
    add(
        "--resume",
        action="store_true",
        help="go on from the last checkpoint in --out, with the settings and data of that run; "
        "--epochs, --lr, --device, --precision and --workers may differ",
    )
    add(
        "--keep-every",
        type=int,
        default=0,
        metavar="K",
        help="also keep the checkpoint of every K-th epoch (default: 0, only the last one)",
    )
    add("--tensorboard", action="store_true", help="also write losses and samples for TensorBoard")
    add("--device", default="auto", help="auto (default), cpu, cuda, cuda:1, mps ...")
    add(
        "--precision",
        choices=PRECISIONS,
        default="auto",
        help="of the convolutions; auto (default) takes what the GPU has in hardware, or on a CPU "
        "what a short probe finds faster, and goes on in the precision in which a run began",
    )
    add(
        "--compile",
        action="store_true",
        help="fuse operations with torch.compile; on two CPU cores it saves nothing",
    )
    add("--workers", type=int, metavar="N",
        help=f"processes that read the pairs (default: 0 for pairs kept in memory, else "
             f"{NUM_WORKERS})")  # fmt: skip
    for option in fields(TrainConfig):
        default = SETTINGS.get(system, {}).get(option.name, option.default)
        if isinstance(option.default, bool):
            kind = {"action": argparse.BooleanOptionalAction}
        else:
            kind = {"type": type(option.default), "choices": option.metadata["choices"]}
        words = f"{option.metadata['help']} (default: {default})"
        add("--" + option.name.replace("_", "-"), default=argparse.SUPPRESS, help=words, **kind)
    return parser


def read_options(arguments: argparse.Namespace) -> RunOptions:
    """Return the options; what argparse has not set was not given."""
    given = vars(arguments)
    names = {option.name for option in fields(TrainConfig)}
    settings = {name: value for name, value in given.items() if name in names}
    return RunOptions(settings, **{k: v for k, v in given.items() if k not in names})


def run(options: RunOptions) -> int:
    """Train as the options say; returns 0, or 130 if the run was interrupted."""
    if not options.resume:
        system_config(**{"system": "own", **options.settings})  # a wrong setting waits for nothing
    device = pick_device(options.device)
    with processes.process_group(device), lock(options.out):
        plan = processes.broadcast_from_rank0(lambda: make_plan(options))
        config = plan.config
        if plan.is_finished:
            log.info("nothing left to do: %s holds a finished run of %d epochs; a larger --epochs "
                     "goes on with it", options.out, config.epochs)  # fmt: skip
            return 0
        with explain_out_of_memory(lambda: data_advice(config)):
            train_set, val_set, data = load_datasets(plan.data, plan.layout, config, device)
        check_data(options.out, plan.state, data)
        with explain_out_of_memory(lambda: step_advice(config, device, options.out)):
            engine = processes.broadcast_from_rank0(lambda: run_engine(options, plan, device))
            workers = options.workers
            if workers is None:
                workers = 0 if train_set.in_memory else NUM_WORKERS
            trainer = trainer_factory(config)(config, device, engine, workers)
            folder = RunFolder(options.out, val_set, data, options.keep_every)
            if plan.state:
                first = processes.rank() == 0
                restore(folder.checkpoint, plan.state, trainer, with_history=first)
                plan.state.clear()  # makes room: the trainer has it all
            describe(trainer, train_set, val_set)
            return train_in_folder(trainer, train_set, folder, options.tensorboard)


def lock(out: Path) -> AbstractContextManager:
    """Keep a run's folder for this run; of several processes the first does so for all."""
    if processes.rank() > 0:
        return nullcontext()
    return lock_folder(out, "samples", "checkpoints")


@dataclass(frozen=True)
class Plan:
    """What a run is to do: its settings and data, and the checkpoint's state if it goes on."""

    config: TrainConfig
    data: Path | None
    layout: str
    state: dict | None = None
    is_finished: bool = False


def make_plan(options: RunOptions) -> Plan:
    """Return what is to be done in a run's folder, before any time is spent on the data.

    Raises:
        FileNotFoundError: if a run is to go on, and there is none.
        FileExistsError: if there is one with finished epochs, and it is not to go on.
        InputError: if its checkpoint cannot be read, or does not fit the settings.
    """
    folder = RunFolder(options.out)
    checkpoint = folder.checkpoint
    if not options.resume:
        if checkpoint.exists() and read_checkpoint(checkpoint)["epoch"] > 0:
            raise FileExistsError(
                f"{options.out} already holds a run; add --resume to go on with it, "
                f"or choose another folder with --out"
            )
        config = system_config(**{"system": "own", **options.settings})
        if options.data is None and "load_size" not in options.settings:
            # Facades are drawn sharp to the pixel; enlarged, they would not be.
            config = replace(config, load_size=config.image_size)
        return Plan(config, options.data, options.layout or "auto")
    state = read_checkpoint(checkpoint)
    config = saved_config(checkpoint, state)
    check_settings(checkpoint, config, options.settings)
    config = replace(config, **options.settings)
    if state["epoch"] > config.epochs:
        raise InputError(
            f"{options.out} holds {state['epoch']} finished epochs, but --epochs is "
            f"{config.epochs}; give a larger number, or another folder with --out"
        )
    saved = state.get("data") or {}
    data = options.data or (Path(saved["path"]) if saved.get("path") else None)
    layout = options.layout or saved.get("layout", "auto")
    finished = state["epoch"] == config.epochs == folder.results_epoch(config)
    return Plan(config, data, layout, state, finished)


def check_data(out: Path, state: dict | None, data: dict) -> None:
    """Check that a run goes on with the data it began with.

    Raises:
        InputError: if it does not, with both.
    """
    saved = (state or {}).get("data")
    if not saved:
        return
    if saved["digest"] != data["digest"]:
        raise InputError(
            f"{out} belongs to a run with other data: that were {_describe_data(saved)}, these are "
            f"{_describe_data(data)}. Give the data of that run, or another folder for the new one"
        )


def _describe_data(data: dict) -> str:
    return f"{data['train']} and {data['val']} from {data['path'] or 'the procedural facades'}"


def run_engine(options: RunOptions, plan: Plan, device: torch.device) -> Engine:
    """Return how the run is computed, and say why.

    A run that goes on keeps its precision unless another one is asked for: a probe might decide
    otherwise now, and the run would not end as it would have without the pause.
    """
    wanted, why = options.precision, ""
    if wanted == "auto" and plan.state:
        kept = plan.state["precision"]
        if kept != "fp16" or device.type == "cuda":
            wanted, why = kept, "as the run began"
    factory = trainer_factory(plan.config)
    engine, reason = choose_engine(plan.config, device, factory, wanted)
    engine = replace(engine, compiled=options.compile)
    log.info("precision %s%s: %s", engine.precision, ", compiled" * options.compile, why or reason)
    return engine


def describe(trainer: Trainer, train_set: Dataset, val_set: Dataset) -> None:
    """Say what is about to happen."""
    config, together = trainer.config, processes.world_size()
    log.info(
        "%s %s to train on, %s to validate on; %s%s; epochs done: %d of %d",
        count_images(train_set),
        "unpaired images" if config.is_unpaired else "pairs",
        count_images(val_set),
        describe_device(trainer.device),
        f" in each of {together} processes" if processes.is_distributed() else "",
        trainer.epoch,
        config.epochs,
    )


def count_images(dataset: PairedDataset | UnpairedDataset) -> str:
    """Return how many pairs a dataset has, or how many images of each domain."""
    return " and ".join(str(len(domain)) for domain in getattr(dataset, "domains", [dataset]))


def train_in_folder(
    trainer: Trainer, train_set: Dataset, folder: RunFolder, tensorboard: bool
) -> int:
    """Run the epochs that are left; returns 0 at the end, or 130 if the run was interrupted."""
    checkpoint = folder.checkpoint
    first = processes.rank() == 0
    board = folder.open_board(trainer) if tensorboard and first else nullcontext()
    try:
        with processes.report_lost_peer(), board as open_board:
            folder = replace(folder, board=open_board)
            processes.broadcast_from_rank0(lambda: folder.begin(trainer))
            while trainer.epoch < trainer.config.epochs:
                train_epoch(trainer, train_set, shown=first)
                processes.broadcast_from_rank0(lambda: folder.end_epoch(trainer))
    except KeyboardInterrupt as error:
        raise KeyboardInterrupt(
            f"{checkpoint} holds the finished epochs, --resume goes on from there"
        ) from error
    except OSError as error:
        left = "is kept, --resume goes on from there" if checkpoint.exists() else ""
        kept = f"{checkpoint} {left}" if left else "no checkpoint is left"
        raise type(error)(f"{error}; {kept}") from error
    return 0


@contextmanager
def explain_out_of_memory(advice: Callable[[], str]) -> Iterator[None]:
    """Turn the many errors of memory that ran out into a MemoryError that says what to lower."""
    try:
        yield
    except (RuntimeError, MemoryError) as error:
        if is_out_of_memory(error):
            raise MemoryError(advice()) from error
        raise


def data_advice(config: TrainConfig) -> str:
    """Return what to do if the pairs, which are kept as bytes, do not fit into memory."""
    remedies = ["fewer pairs", *smaller_images(config)]
    return f"the pairs did not fit into memory; give {' or '.join(remedies)}"


def step_advice(config: TrainConfig, device: torch.device, out: Path) -> str:
    """Return what to lower, and by how much, if a training step did not fit into memory."""
    size, batch, channels = config.image_size, config.batch_size, config.base_channels
    if batch > 1:
        remedies = [f"--batch-size {batch // 2} instead of {batch} (half the activations)"]
    else:
        remedies = smaller_images(config)
        if channels > 1:
            remedies.append(
                f"--base-channels {channels // 2} instead of {channels} (half the activations, "
                f"a quarter of the weights)"
            )
    folder = RunFolder(out)
    begun = folder.results_epoch(config) > 0
    kept = f"; {folder.checkpoint} is kept, so choose another --out" if begun else ""
    return (
        f"batch size {batch} at {size}x{size} did not fit into the memory of {device}; "
        f"give {' or '.join(remedies) or 'another --device'}{kept}"
    )


def smaller_images(config: TrainConfig) -> list[str]:
    """Return the flag that halves the images' sides, if the networks can take them."""
    half = config.image_size // 2
    try:
        replace(config, image_size=half)
    except InputError:
        return []
    words = f"--image-size {half} instead of {config.image_size} (a quarter of the pixels)"
    return [words] if half % 2**config.depth == 0 else []


def load_datasets(
    data: Path | None, layout: str, config: TrainConfig, device: torch.device
) -> tuple[Dataset, Dataset, dict]:
    """Return the images to train on (with jitter), to validate on (without), and their identity.

    They are decoded into the device's memory, or into the CPU's if they would fill more than a
    quarter of that, or are read from their files at each use. Without `data` the procedural facades
    are made on first use. A dataset without val (or test) gives up every tenth for validation.
    """
    folder = data
    if data is None:
        make = default_unpaired_dataset if config.is_unpaired else default_dataset
        bar = progress_callback("making facades")
        folder = processes.broadcast_from_rank0(
            lambda: make(generated_data(), config.image_size, progress=bar)
        )
    train, val = split_images(folder, layout, config.is_unpaired)
    home = memory_for(max(map(len, train)) + max(map(len, val)), config, device)
    common = {
        "direction": config.direction,
        "size": config.image_size,
        "in_channels": config.in_channels,
        "out_channels": config.out_channels,
        "multiple_of": 2**config.depth,
        "in_memory": home is not None,
        "device": home or "cpu",
    }
    kind = UnpairedDataset if config.is_unpaired else PairedDataset
    train_set = kind(*train, load_size=config.load_size or None, flip=config.flip, **common)
    identity = data_identity(folder, train, val)
    identity |= {"path": str(data.resolve()) if data else "", "layout": layout}
    return train_set, kind(*val, jitter=False, **common), identity


def memory_for(pairs: int, config: TrainConfig, device: torch.device) -> torch.device | None:
    """Return the device whose memory can keep this many pairs, or None if they stay on disk.

    A value takes a byte, and the pairs at most a quarter of the memory that is available.
    """
    side = config.load_size or default_load_size(config.image_size)
    needed = pairs * (config.in_channels + config.out_channels) * side**2
    homes = [device, torch.device("cpu")]
    return next((home for home in homes if needed < available_memory(home) / 4), None)


def split_images(
    data: Path, layout: str, unpaired: bool
) -> tuple[tuple[list, ...], tuple[list, ...]]:
    """Return the lists of images for training and for validation: one of pairs, or one a domain.

    The dataset's own splits are taken, or every tenth item is kept back.
    """

    def find(part: str | None) -> tuple[list, ...]:
        return find_unpaired(data, part, layout) if unpaired else (find_pairs(data, part, layout),)

    splits = available_splits(data)
    train = find("train" if "train" in splits else None)
    for part in ("val", "test"):
        if part in splits and "train" in splits:
            return train, find(part)
    if min(map(len, train)) < 2:
        what = "image of each domain" if unpaired else "pair"
        raise InputError(
            f"{data}: one {what} is not enough, as one is kept back for validation; add more"
        )
    kept_back = tuple(part[::10] for part in train)
    return tuple([v for i, v in enumerate(part) if i % 10] for part in train), kept_back


if __name__ == "__main__":
    sys.exit(main())
