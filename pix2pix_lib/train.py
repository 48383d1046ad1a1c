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
from .config import SIZES, TrainConfig, system_config
from .cyclegan import trainer_factory
from .data import PairedDataset, UnpairedDataset
from .devices import describe_device, is_out_of_memory, pick_device
from .encoding import KINDS
from .engine import PRECISIONS, Engine, choose_engine
from .files import lock_folder
from .images import allow_pixels
from .pretrained import config_for, initialise
from .resizing import parse_size, size_text
from .run_data import (
    RUN_LAYOUTS,
    DataOptions,
    common_shape,
    find_run_data,
    open_datasets,
    options_of,
    settle_channels,
)
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
            goes on, or from the weights to begin with, or else from the system.
        data: the fields of DataOptions that were given.
        init_from: weights to begin with, see `pretrained`.
        workers: None if it was not given.
        max_megapixels: the largest image that is read; 0 is Pillow's limit.
    """

    settings: dict = field(default_factory=dict)
    out: Path = Path("runs/pix2pix")
    data: dict = field(default_factory=dict)
    init_from: Path | None = None
    resume: bool = False
    keep_every: int = 0
    tensorboard: bool = False
    device: str = "auto"
    precision: str = "auto"
    compile: bool = False
    workers: int | None = None
    max_megapixels: int = 0
    debug: bool = False

    def __post_init__(self):
        if self.keep_every < 0:
            raise InputError(f"keep_every must be 0 or more; got {self.keep_every}")
        if self.workers is not None and self.workers < 0:
            raise InputError(f"workers must be 0 or more; got {self.workers}")
        if self.resume and self.init_from:
            raise InputError(
                "--resume goes on with the weights of --out, and --init-from begins with others; "
                "give one of them"
            )
        if self.max_megapixels < 0:
            raise InputError(f"max_megapixels must be 0 or more; got {self.max_megapixels}")
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
    _add_data_options(add)
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
    add("--init-from", type=Path, metavar="FILE",
        help="begin with trained weights: generator.safetensors, a run's folder, a checkpoint, or "
             "a .pth of pytorch-CycleGAN-and-pix2pix; they decide the networks")  # fmt: skip
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
        elif option.name in SIZES:
            kind = {"type": read_size, "metavar": "SIZE"}
        else:
            kind = {"type": type(option.default), "choices": option.metadata["choices"]}
        words = f"{option.metadata['help']} (default: {default})"
        add("--" + option.name.replace("_", "-"), default=argparse.SUPPRESS, help=words, **kind)
    return parser


def _add_data_options(add: Callable) -> None:
    """Add the flags of DataOptions; those that are not given do not appear in the arguments."""
    absent = {"default": argparse.SUPPRESS}
    add("--data", type=Path, metavar="DIR", dest="path", **absent,
        help="folder with the pairs, split into train and val or not at all; for CycleGAN with "
             "folders trainA and trainB, or any pairs, which are then taken apart")  # fmt: skip
    add("--layout", choices=RUN_LAYOUTS, **absent, help="how the pairs lie on disk (default: auto)")
    for side in "ab":
        name = side.upper()
        add(f"--{side}", metavar="TEXT", **absent,
            help=f"a piece of the path of every image of side {name}, and of no other, as images/ "
                 "or _mask; both sides or none")  # fmt: skip
        add(f"--{side}-kind", choices=KINDS, **absent,
            help=f"what the files of side {name} hold: label maps are resized to the nearest "
                 "pixel, class numbers get colours (default: auto, by their values)")  # fmt: skip
        add(f"--{side}-range", type=read_range, metavar="LOW:HIGH", **absent,
            help=f"values of side {name} that are black and white, as 0:4095 (default: by the type "
                 "and a sample)")  # fmt: skip
    add("--skip-orphans", action="store_true", **absent,
        help="leave out images without a partner")  # fmt: skip
    add("--max-pairs", type=int, metavar="N", **absent,
        help="train on N pairs at most, evenly spread over all (default: 0, all)")  # fmt: skip
    add("--max-megapixels", type=int, metavar="N", default=0,
        help="the largest image that is read; larger may be a trap (default: 0, 178)")  # fmt: skip


def read_range(text: str) -> tuple[float, float]:
    """Return (low, high) of a text LOW:HIGH.

    Raises:
        argparse.ArgumentTypeError: if it is none.
    """
    try:
        low, high = map(float, text.split(":"))
    except ValueError:
        raise argparse.ArgumentTypeError(f"expected LOW:HIGH, as 0:4095; got {text!r}") from None
    return low, high


def read_size(text: str) -> int | tuple[int, int]:
    """Return a size as `parse_size` does.

    Raises:
        argparse.ArgumentTypeError: if it is none.
    """
    try:
        return parse_size(text)
    except ValueError:
        words = f"expected pixels, as 256, or WIDTHxHEIGHT, as 320x192; got {text!r}"
        raise argparse.ArgumentTypeError(words) from None


def read_options(arguments: argparse.Namespace) -> RunOptions:
    """Return the options; what argparse has not set was not given."""
    given = vars(arguments)
    settings, data = ({o.name for o in fields(kind)} for kind in (TrainConfig, DataOptions))
    return RunOptions(
        {name: value for name, value in given.items() if name in settings},
        data={name: value for name, value in given.items() if name in data},
        **{name: value for name, value in given.items() if name not in settings | data},
    )


def run(options: RunOptions) -> int:
    """Train as the options say; returns 0, or 130 if the run was interrupted."""
    if not options.resume:  # a wrong setting waits for nothing
        system_config(**{"system": "own", **options.settings})
    DataOptions(**options.data)
    if options.max_megapixels:
        allow_pixels(options.max_megapixels * 1_000_000)
    device = pick_device(options.device)
    with processes.process_group(device), lock(options.out):
        plan = processes.broadcast_from_rank0(lambda: make_plan(options))
        check_image_size(plan.config)
        if plan.is_finished:
            log.info("nothing left to do: %s holds a finished run of %d epochs; a larger --epochs "
                     "goes on with it", options.out, plan.config.epochs)  # fmt: skip
            return 0
        saved = (plan.state or {}).get("data")
        data = processes.broadcast_from_rank0(
            lambda: find_run_data(plan.data, plan.config, plan.given, saved)
        )
        check_data(options.out, plan.state, data.identity)
        config = plan.config if plan.state else settle_channels(plan.config, data)
        with explain_out_of_memory(lambda: data_advice(config)):
            train_set, val_set = open_datasets(data, config, device)
        data = replace(data, image_shape=common_shape(train_set))
        with explain_out_of_memory(lambda: step_advice(config, device, options.out)):
            plan = replace(plan, config=config)
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
            elif options.init_from:
                log.info("%s", initialise(trainer, options.init_from))
            describe(trainer, train_set, val_set)
            if trainer.epoch == 0 and options.data:
                processes.broadcast_from_rank0(lambda: folder.draw_pairs(train_set))
            return train_in_folder(trainer, train_set, folder, options.tensorboard)


def lock(out: Path) -> AbstractContextManager:
    """Keep a run's folder for this run; of several processes the first does so for all."""
    if processes.rank() > 0:
        return nullcontext()
    return lock_folder(out, "samples", "checkpoints")


@dataclass(frozen=True)
class Plan:
    """What a run is to do: its settings and data, and the checkpoint's state if it goes on.

    Args:
        given: the names of settings that do not follow from the images.
    """

    config: TrainConfig
    data: DataOptions
    given: tuple[str, ...] = ()
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
        known = config_for(options.init_from) if options.init_from else {}
        settings = {"system": "own", **known, **options.settings}
        config = system_config(**settings)
        if "path" not in options.data and "load_size" not in options.settings:
            # Facades are drawn sharp to the pixel; enlarged, they would not be.
            config = replace(config, load_size=config.image_size)
        return Plan(config, DataOptions(**options.data), tuple(settings))
    state = read_checkpoint(checkpoint)
    config = saved_config(checkpoint, state)
    check_settings(checkpoint, config, options.settings)
    config = replace(config, **options.settings)
    if state["epoch"] > config.epochs:
        raise InputError(
            f"{options.out} holds {state['epoch']} finished epochs, but --epochs is "
            f"{config.epochs}; give a larger number, or another folder with --out"
        )
    data = options_of(state.get("data") or {}, DataOptions(**options.data), set(options.data))
    finished = state["epoch"] == config.epochs == folder.results_epoch(config)
    return Plan(config, data, (), state, finished)


def check_image_size(config: TrainConfig) -> None:
    """Check that the generator can halve the images as often as it must.

    Raises:
        InputError: if it cannot, with the nearest size that works.
    """
    step = 2**config.depth
    nearest = tuple(max(1, round(side / step)) * step for side in config.shape)
    if nearest != config.shape:
        raise InputError(
            f"the generator takes sides that are multiples of {step}, but --image-size is "
            f"{size_text(config.image_size)}; give {size_text(nearest)}, or a smaller --depth"
        )


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
    except (OSError, InputError) as error:
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
    batch, channels = config.batch_size, config.base_channels
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
    size = size_text(config.shape)
    return (
        f"batch size {batch} at {size} did not fit into the memory of {device}; "
        f"give {' or '.join(remedies) or 'another --device'}{kept}"
    )


def smaller_images(config: TrainConfig) -> list[str]:
    """Return the flag that halves the images' sides, if the networks can take them."""
    half = tuple(side // 2 for side in config.shape)
    try:
        smaller = replace(config, image_size=half, load_size=0)
    except InputError:
        return []
    if any(side % 2**config.depth for side in half):
        return []
    old, new = size_text(config.image_size), size_text(smaller.image_size)
    return [f"--image-size {new} instead of {old} (a quarter of the pixels)"]


if __name__ == "__main__":
    sys.exit(main())
