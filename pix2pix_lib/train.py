"""Train from the command line: python -m pix2pix_lib.train --help.

In the folder of a run checkpoints/last.pt alone decides how the run goes on. All else follows from it and is written
after it, last the generator's card. A run that was killed in between writes these files again when it goes on.
"""

import argparse
import csv
import importlib.util
import json
import shutil
import sys
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, closing, contextmanager, nullcontext
from dataclasses import asdict, dataclass, fields, replace
from pathlib import Path
from typing import TYPE_CHECKING

import torch
from torch import Tensor
from torch.utils.data import Dataset

from . import processes
from .checkpoints import check_settings, load_checkpoint, read_card, read_checkpoint, save_checkpoint, save_generator
from .cli import CommandParser, run_command
from .cyclegan import make_cyclegan, turned
from .data import LAYOUTS, PairedDataset, UnpairedDataset, available_splits, find_pairs, find_unpaired
from .devices import describe_device, free_memory, is_out_of_memory, pick_device
from .engine import PRECISIONS, Engine
from .facades import default_dataset, default_unpaired_dataset
from .files import held_folder, replacing
from .progress import make_bar, progress_callback
from .systems import SETTINGS
from .training import TrainConfig, Trainer, choose_engine, losses_of, make_trainer

if TYPE_CHECKING:
    from torch.utils.tensorboard import SummaryWriter

# What draws, .plots with matplotlib, is imported where it is used: a wrong flag need not wait for it.

DATA_FOLDER = Path(__file__).parent.parent / "data"
SHOWN = 8  # pairs in each picture of samples
READERS = 2  # processes that read pairs which do not fit into memory
COMPILING_PAYS = 10_000  # steps on a GPU; on two CPU cores it took 36 to 92 s and saved nothing (benchmarks/step.py)


def main(argv: list[str] | None = None) -> int:
    """Run the command and return its exit status: 0, 2 for an error that a person can mend, 130 if interrupted."""
    return run_command(run, parse(argv))


def parse(argv: list[str] | None) -> argparse.Namespace:
    """Return the arguments; the defaults are those of the system that is asked for."""
    wanted, _ = system_parser().parse_known_args(argv)
    parser = make_parser()
    parser.set_defaults(**SETTINGS.get(wanted.system, {}))
    return parser.parse_args(argv)


def system_parser() -> CommandParser:
    """Return a parser that knows one flag alone: the system, on which the defaults of the others depend."""
    parser = CommandParser(add_help=False, allow_abbrev=False)
    parser.add_argument("--system", default="own")
    return parser


def make_parser() -> CommandParser:
    """Return the parser: where things lie, and one flag for each field of TrainConfig."""
    parser = CommandParser(
        prog="python -m pix2pix_lib.train", formatter_class=argparse.ArgumentDefaultsHelpFormatter, allow_abbrev=False,
        description="Train pix2pix, or with --system cyclegan CycleGAN. Without --data it makes procedural facades and "
                    "learns to paint them from labels, or for CycleGAN to turn day into night and back.")
    parser.add_argument("--data", type=Path,
                        help="folder with the pairs, split into train and val or not at all; for CycleGAN with folders "
                             "trainA and trainB, or any pairs, which are then taken apart")
    parser.add_argument("--layout", choices=LAYOUTS, default="auto", help="how the pairs lie on disk")
    parser.add_argument("--out", type=Path, default=Path("runs/pix2pix"), help="folder for all that the run writes")
    parser.add_argument("--resume", action="store_true", help="go on from the last checkpoint in --out")
    parser.add_argument("--keep-every", type=int, default=0, metavar="K",
                        help="also keep the checkpoint of every K-th epoch; 0 keeps only the last one")
    parser.add_argument("--tensorboard", action="store_true", help="also write losses and samples for TensorBoard")
    parser.add_argument("--device", default="auto", help="auto, cpu, cuda, cuda:1 ...")
    parser.add_argument("--precision", choices=PRECISIONS, default="auto",
                        help="of the convolutions; auto takes what the GPU has in hardware, or on a CPU what a short "
                             "probe finds faster, and goes on in the precision in which a run began")
    parser.add_argument("--compile", choices=("auto", "on", "off"), default="auto",
                        help=f"fuse operations with torch.compile; auto: on a GPU, from {COMPILING_PAYS} steps on")
    for option in fields(TrainConfig):
        flag = "--" + option.name.replace("_", "-")
        if isinstance(option.default, bool):
            kind = {"action": argparse.BooleanOptionalAction}
        else:
            kind = {"type": type(option.default), "choices": option.metadata["choices"]}
        parser.add_argument(flag, default=option.default, help=option.metadata["help"], **kind)
    return parser


def run(arguments: argparse.Namespace) -> int:
    """Train as the arguments say; returns 0, or 130 if the run was interrupted."""
    config = TrainConfig(**{option.name: getattr(arguments, option.name) for option in fields(TrainConfig)})
    check_options(arguments)
    with processes.process_group(pick_device(arguments.device)) as device, hold(arguments.out):
        if processes.from_first(lambda: is_finished(arguments, config)):
            say(f"nothing left to do: {arguments.out} holds a finished run of {config.epochs} epochs; "
                f"a larger --epochs goes on with it")
            return 0
        with naming_memory(lambda: data_advice(config)):
            train_set, val_set = load_datasets(arguments.data, arguments.layout, config, device)
        with naming_memory(lambda: step_advice(config, device, arguments.out)):
            steps = config.epochs * steps_per_epoch(train_set, config)
            engine = processes.from_first(lambda: pick_engine(arguments, config, device, steps))
            trainer = maker(config)(config, device, engine, workers=0 if train_set.in_memory else READERS)
            return run_in_folder(arguments, trainer, train_set, val_set)


def hold(out: Path) -> AbstractContextManager:
    """Keep a run's folder for this run; of several processes the first does so for all."""
    return held_folder(out, "samples", "checkpoints") if processes.rank() == 0 else nullcontext()


def say(text: str) -> None:
    """Print a line, in the first of several processes."""
    if processes.rank() == 0:
        print(text, flush=True)


def maker(config: TrainConfig) -> Callable[..., Trainer]:
    """Return the function that makes the trainer of a config."""
    return make_cyclegan if config.unpaired else make_trainer


def pick_engine(arguments: argparse.Namespace, config: TrainConfig, device: torch.device, steps: int) -> Engine:
    """Return how the run is computed, and print the choice with its reason.

    A run that goes on keeps its precision unless another one is asked for: a probe might now decide otherwise, and the
    run would not end as it would have without the pause.
    """
    wanted, because = arguments.precision, ""
    if wanted == "auto" and arguments.resume:
        kept = read_checkpoint(last_checkpoint(arguments.out))["precision"]
        if kept != "fp16" or device.type == "cuda":
            wanted, because = kept, "as the run began"
    engine, reason = choose_engine(config, device, wanted, maker(config))
    # Between kernels that a graph would record, gradients travel to other processes, or CycleGAN's pool draws images.
    engine = replace(engine, graph=engine.graph and not processes.joined() and not config.unpaired)
    pays = device.type == "cuda" and not engine.graph and steps >= COMPILING_PAYS
    engine = replace(engine, compiled=arguments.compile == "on" or (arguments.compile == "auto" and pays))
    if device.type == "cuda":
        torch.backends.cudnn.benchmark = True  # tries the kernels of each layer once, and keeps the fastest
    extras = "".join([", compiled" if engine.compiled else "", ", whole steps as one graph" if engine.graph else ""])
    say(f"precision {engine.precision}{extras}: {because or reason}")
    return engine


def steps_per_epoch(train_set: Dataset, config: TrainConfig) -> int:
    """Return how many updates an epoch has; several processes share the pairs of each."""
    share = -(-len(train_set) // processes.count())
    return -(-share // config.batch_size)


def check_options(arguments: argparse.Namespace) -> None:
    """Raise a ValueError for an option beside those of TrainConfig that cannot be followed."""
    if arguments.keep_every < 0:
        raise ValueError(f"keep_every must be 0 or more; got {arguments.keep_every}")
    if arguments.tensorboard and importlib.util.find_spec("tensorboard") is None:
        raise ValueError("--tensorboard needs a package that is not installed: pip install tensorboard")


def is_finished(arguments: argparse.Namespace, config: TrainConfig) -> bool:
    """Tell whether the run in --out has nothing left to do, before any time is spent on the data.

    Raises:
        FileNotFoundError: if a run is to be resumed, and there is none.
        FileExistsError: if there is one with finished epochs, and it is not to be resumed.
        ValueError: if its checkpoint cannot be read, or does not fit the settings.
    """
    out, checkpoint = arguments.out, last_checkpoint(arguments.out)
    if not arguments.resume and not checkpoint.exists():
        return False
    state = read_checkpoint(checkpoint)
    if not arguments.resume:
        if state["epoch"] > 0:  # what failed in its first epoch may be begun anew
            raise FileExistsError(f"{out} already holds a run; add --resume to go on with it, "
                                  f"or choose another folder with --out")
        return False
    check_settings(checkpoint, state, config)
    if state["epoch"] > config.epochs:
        raise ValueError(f"{out} holds {state['epoch']} finished epochs, but --epochs is {config.epochs}; "
                         f"give a larger number, or another folder with --out")
    return state["epoch"] == config.epochs == results_epoch(out)


def run_in_folder(arguments: argparse.Namespace, trainer: Trainer, train_set: Dataset,
                  val_set: Dataset) -> int:
    """Begin a run, or go on with it; returns 0 at its end, or 130 if it was interrupted."""
    out, checkpoint, config = arguments.out, last_checkpoint(arguments.out), trainer.config
    if arguments.resume:
        resume(checkpoint, trainer)
    shared = f" in each of {processes.count()} processes" if processes.joined() else ""
    what = "unpaired images" if config.unpaired else "pairs"
    say(f"{counts(train_set)} {what} to train on, {counts(val_set)} to validate on; "
        f"{describe_device(trainer.device)}{shared}; {trainer.epoch} of {config.epochs} epochs are done")
    try:
        with processes.noticing_the_loss_of_another():
            if processes.rank() > 0:
                train(trainer, train_set, None)
                return 0
            write_text(out / "config.json", json.dumps(asdict(config), indent=2) + "\n")
            with open_board(out, trainer, arguments.tensorboard) as board:
                train(trainer, train_set, Results(out, val_set, arguments.keep_every, board))
    except KeyboardInterrupt:
        print(f"interrupted; {checkpoint} holds the finished epochs, --resume goes on from there", file=sys.stderr)
        return 130
    except OSError as error:
        kept = f"{checkpoint} is kept, --resume goes on from there" if checkpoint.exists() else "no checkpoint is left"
        raise OSError(f"{error}; {kept}") from error
    return 0


def counts(dataset: PairedDataset | UnpairedDataset) -> str:
    """Return how many pairs a dataset has, or how many images of each domain."""
    return " and ".join(str(len(domain)) for domain in getattr(dataset, "domains", [dataset]))


def resume(checkpoint: Path, trainer: Trainer) -> None:
    """Load a checkpoint; of several processes the first reads it for all, so that the others need no copy."""
    if processes.rank() == 0:
        load_checkpoint(checkpoint, trainer)
    if processes.joined():
        state = processes.from_first(trainer.state_dict)
        trainer.load_state_dict(state)


def train(trainer: Trainer, train_set: Dataset, results: "Results | None") -> None:
    """Run the epochs that are left; after each write the checkpoint, and then what follows from it.

    Without `results`, as in all processes but the first, nothing is written.
    """
    if results:
        begin(trainer, results)
    while trainer.epoch < trainer.config.epochs:
        train_epoch(trainer, train_set, shown=results is not None)
        if results:
            save_checkpoint(last_checkpoint(results.out), trainer, make_folder=False)
            results.write(trainer)


def begin(trainer: Trainer, results: "Results") -> None:
    """Write what a run has before its first epoch, or what a killed one had no time to write."""
    if trainer.epoch == 0:
        results.write(trainer)  # before the checkpoint, so that no older run's results are taken for this one's
        save_checkpoint(last_checkpoint(results.out), trainer, make_folder=False)  # from now on there is one
    elif results_epoch(results.out) != trainer.epoch:
        results.write(trainer)


def train_epoch(trainer: Trainer, train_set: Dataset, shown: bool) -> None:
    """Run one epoch, under a progress bar if it is shown."""
    if not shown:
        for _ in trainer.run_epoch(train_set):
            pass
        return
    from .plots import describe_step

    label = f"epoch {trainer.epoch + 1} of {trainer.config.epochs}"
    with closing(make_bar(steps_per_epoch(train_set, trainer.config), label)) as bar:
        for record in trainer.run_epoch(train_set):
            bar.update()
            if record.step % 20 == 0:
                bar.set_postfix_str(describe_step(record))


def last_checkpoint(out: Path) -> Path:
    """Return where the run in a folder keeps the checkpoint from which it goes on."""
    return out / "checkpoints" / "last.pt"


def results_epoch(out: Path) -> int:
    """Return after how many epochs the results in a run's folder were written, all of them; -1 if there are none."""
    try:
        cards = [read_card(path) for path in out.glob("generator*.safetensors")]
    except (FileNotFoundError, ValueError):
        return -1
    return min((card.get("epochs", -1) for card in cards), default=-1)


@dataclass(frozen=True)
class Results:
    """What a run writes beside its checkpoint.

    Args:
        out: the folder of the run, with its folders samples and checkpoints.
        val_set: the pairs that tell how good the generator is; the first ones are shown.
        keep_every: keep the checkpoint of each epoch that this divides; 0 keeps none.
        board: where TensorBoard's files are written, if they are.
    """

    out: Path
    val_set: Dataset
    keep_every: int = 0
    board: "SummaryWriter | None" = None

    def write(self, trainer: Trainer) -> None:
        """Write what follows from the networks as they are; the generator's card comes last and vouches for the rest.

        Raises:
            OSError: if something cannot be written, or a folder is gone.
        """
        error = trainer.validate(self.val_set)
        write_history(self.out / "history.csv", trainer)
        said, picture = "before training", ""
        if trainer.epoch > 0:
            self._keep_checkpoint(trainer.epoch)
            said, picture = f"epoch {trainer.epoch} of {trainer.config.epochs}", f"; {self._show(trainer, error)}"
        card = {"epochs": trainer.epoch, trainer.measure.lower().replace(" ", "_"): round(error, 5)}
        for name, generator in trainer.generators.items():
            config = turned(trainer.config) if name == "generator_ba" else trainer.config
            save_generator(self.out / f"{name}.safetensors", generator, config, card, make_folder=False)
        print(f"{said}: {trainer.measure} {error:.4f}{picture}", flush=True)

    def _keep_checkpoint(self, epoch: int) -> None:
        """Copy the checkpoint of an epoch that is to be kept."""
        if self.keep_every and epoch % self.keep_every == 0:
            last = last_checkpoint(self.out)
            with replacing(last.with_name(f"epoch_{epoch:03d}.pt"), make_folder=False) as temporary:
                shutil.copyfile(last, temporary)

    def _show(self, trainer: Trainer, error: float) -> Path:
        """Draw samples, at the end also the losses, and log to TensorBoard; returns where the samples are."""
        from .plots import loss_curves, sample_rows

        shown = trainer.show(*sample_batch(self.val_set))
        picture = self.out / "samples" / f"epoch_{trainer.epoch:03d}.png"
        write_figure(picture, sample_rows(shown))
        if trainer.epoch == trainer.config.epochs:
            write_figure(self.out / "losses.png", loss_curves(trainer.history))
        if self.board:
            log_epoch(self.board, trainer, error, shown)
        return picture


@contextmanager
def open_board(out: Path, trainer: Trainer, wanted: bool) -> "Iterator[SummaryWriter | None]":
    """Open TensorBoard's files in a run's folder, or nothing if that is not wanted.

    What a killed run wrote there about steps that are logged again is taken back.
    """
    if not wanted:
        yield None
        return
    from torch.utils.tensorboard import SummaryWriter

    logged = trainer.epoch if results_epoch(out) == trainer.epoch else trainer.epoch - 1
    step = sum(record.epoch < logged for record in trainer.history)
    with SummaryWriter(out / "tensorboard", purge_step=step) as board:
        yield board


def log_epoch(board: "SummaryWriter", trainer: Trainer, error: float, images: dict[str, Tensor]) -> None:
    """Log the losses of a trainer's last epoch, the validation error after it, and (N, C, H, W) in [-1, 1]."""
    last = trainer.history[-1]
    for record in trainer.history:
        if record.epoch == last.epoch:
            for name, loss in losses_of(record).items():
                board.add_scalar(f"train/{name}", loss, record.step)
    board.add_scalar(trainer.measure.lower().replace(" ", "/", 1).replace(" ", "_"), error, last.step)
    for name, batch in images.items():
        board.add_images(f"samples/{name.replace(' ', '_')}", (batch + 1) / 2, last.step)
    board.flush()


@contextmanager
def naming_memory(advice: Callable[[], str]) -> Iterator[None]:
    """Turn the many errors of memory that ran out, on GPU and CPU, into a MemoryError that says what to lower."""
    try:
        yield
    except (RuntimeError, MemoryError) as error:
        if is_out_of_memory(error):
            raise MemoryError(advice()) from error
        raise


def data_advice(config: TrainConfig) -> str:
    """Return what to do if the pairs, which are kept as bytes, do not fit into memory."""
    return f"the pairs did not fit into memory; give fewer pairs{''.join(' or ' + s for s in smaller_images(config))}"


def step_advice(config: TrainConfig, device: torch.device, out: Path) -> str:
    """Return what to lower, and by how much, if a training step did not fit into memory."""
    size, batch, channels = config.image_size, config.batch_size, config.base_channels
    if batch > 1:
        remedies = [f"--batch-size {batch // 2} instead of {batch} (half the activations)"]
    else:
        remedies = smaller_images(config)
        if channels > 1:
            remedies.append(f"--base-channels {channels // 2} instead of {channels} (half the activations, a quarter "
                            f"of the weights)")
    finished = f"; {last_checkpoint(out)} is kept, so choose another --out" if results_epoch(out) > 0 else ""
    return (f"batch size {batch} at {size}x{size} did not fit into the memory of {device}; "
            f"give {' or '.join(remedies) or 'another --device'}{finished}")


def smaller_images(config: TrainConfig) -> list[str]:
    """Return the flag that halves the images' sides, if the networks can take them."""
    half = config.image_size // 2
    try:
        replace(config, image_size=half)
    except ValueError:
        return []
    fits = half % 2**config.depth == 0
    return [f"--image-size {half} instead of {config.image_size} (a quarter of the pixels)"] if fits else []


def load_datasets(data: Path | None, layout: str, config: TrainConfig,
                  device: torch.device) -> tuple[Dataset, Dataset]:
    """Return the pairs, or unpaired images, to train on, with jitter, and those to validate on, without.

    They are decoded into the device's memory, or on the CPU's if they would fill more than a quarter of that, or are
    read from their files at each use. Without `data` the procedural facades are made on first use. A dataset without
    val (or test) gives up every tenth for validation.
    """
    if data is None:
        make = default_unpaired_dataset if config.unpaired else default_dataset
        data = processes.from_first(lambda: make(
            DATA_FOLDER, config.image_size, progress=progress_callback("making facades")))
    train, val = split_sides(data, layout) if config.unpaired else split_pairs(data, layout)
    home = memory_for(max(map(len, train)) + max(map(len, val)), config, device)
    common = {"direction": config.direction, "size": config.image_size, "in_channels": config.in_channels,
              "out_channels": config.out_channels, "multiple_of": 2**config.depth, "in_memory": home is not None,
              "device": home or "cpu"}
    kind = UnpairedDataset if config.unpaired else PairedDataset
    train_set = kind(*train, load_size=config.load_size or None, flip=config.flip, **common)
    return train_set, kind(*val, jitter=False, **common)


def memory_for(pairs: int, config: TrainConfig, device: torch.device) -> torch.device | None:
    """Return the device whose memory can keep this many pairs, one byte a value, or None if they must stay on disk."""
    side = config.load_size or round(config.image_size * 286 / 256)
    needed = pairs * (config.in_channels + config.out_channels) * side**2
    homes = [device, torch.device("cpu")]
    return next((home for home in homes if needed < free_memory(home) / 4), None)


def split_pairs(data: Path, layout: str) -> tuple[tuple[list], tuple[list]]:
    """Return the pairs for training and for validation, each as a tuple of one list: see `split`."""
    return split(data, lambda part: (find_pairs(data, part, layout),), "pair")


def split_sides(data: Path, layout: str) -> tuple[tuple[list, list], tuple[list, list]]:
    """Return the images of both domains for training, and those for validation: see `split`."""
    return split(data, lambda part: find_unpaired(data, part, layout), "image of each domain")


def split(data: Path, find: Callable[[str | None], tuple[list, ...]],
          what: str) -> tuple[tuple[list, ...], tuple[list, ...]]:
    """Return lists for training and for validation: the dataset's own splits, or every tenth item kept back."""
    splits = available_splits(data)
    train = find("train" if "train" in splits else None)
    for part in ("val", "test"):
        if part in splits and "train" in splits:
            return train, find(part)
    if min(map(len, train)) < 2:
        raise ValueError(f"{data}: one {what} is not enough, as one is kept back for validation; add more")
    return tuple([v for i, v in enumerate(part) if i % 10] for part in train), tuple(part[::10] for part in train)


def sample_batch(dataset: PairedDataset) -> tuple[Tensor, Tensor]:
    """Return the first pairs of a dataset as two batches on the CPU, for pictures."""
    pairs = [dataset[index] for index in range(min(SHOWN, len(dataset)))]
    return torch.stack([a for a, _ in pairs]).cpu(), torch.stack([b for _, b in pairs]).cpu()


def write_history(path: Path, trainer: Trainer) -> None:
    """Write one line of losses a step."""
    with replacing(path, make_folder=False) as temporary, temporary.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow([option.name for option in fields(trainer.record)])
        writer.writerows([r.epoch, r.step, *losses_of(r).values()] for r in trainer.history)


def write_figure(path: Path, figure) -> None:
    """Write a figure as PNG."""
    with replacing(path, make_folder=False) as temporary:
        figure.savefig(temporary)


def write_text(path: Path, text: str) -> None:
    """Write a small text file."""
    with replacing(path, make_folder=False) as temporary:
        temporary.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    sys.exit(main())
