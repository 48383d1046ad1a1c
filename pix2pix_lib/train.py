"""Train from the command line: python -m pix2pix_lib.train --help."""

import argparse
import csv
import json
import sys
from dataclasses import asdict, fields
from pathlib import Path

import torch
from torch import Tensor

from .checkpoints import load_checkpoint, read_checkpoint, save_checkpoint, save_generator
from .cli import CommandParser, run_command
from .data import LAYOUTS, Pair, PairedDataset, available_splits, find_pairs
from .devices import describe_device, pick_device
from .facades import default_dataset
from .files import replacing
from .plots import describe_step, loss_curves, samples
from .progress import make_bar, progress_callback
from .training import Pix2PixTrainer, StepRecord, TrainConfig, make_trainer, validation_l1

DATA_FOLDER = Path(__file__).parent.parent / "data"
SHOWN = 8  # pairs in each picture of samples


def main(argv: list[str] | None = None) -> int:
    """Run the command and return its exit status: 0, 2 for an error that a person can mend, 130 if interrupted."""
    return run_command(run, make_parser().parse_args(argv))


def make_parser() -> CommandParser:
    """Return the parser: where things lie, and one flag for each field of TrainConfig."""
    parser = CommandParser(
        prog="python -m pix2pix_lib.train", formatter_class=argparse.ArgumentDefaultsHelpFormatter,
        description="Train pix2pix. Without --data it makes procedural facades and learns to paint them from labels.")
    parser.add_argument("--data", type=Path, help="folder with the pairs, split into train and val or not at all")
    parser.add_argument("--layout", choices=LAYOUTS, default="auto", help="how the pairs lie on disk")
    parser.add_argument("--out", type=Path, default=Path("runs/pix2pix"), help="folder for all that the run writes")
    parser.add_argument("--resume", action="store_true", help="go on from the last checkpoint in --out")
    parser.add_argument("--device", default="auto", help="auto, cpu, cuda, cuda:1 ...")
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
    device = pick_device(arguments.device)
    checkpoint = arguments.out / "checkpoints" / "last.pt"
    if checkpoint.exists() and not arguments.resume:
        raise FileExistsError(f"{arguments.out} already holds a run; add --resume to go on with it, "
                              f"or choose another folder with --out")
    if arguments.resume:
        read_checkpoint(checkpoint)  # before minutes are spent on the data
    train_set, val_set = load_datasets(arguments.data, arguments.layout, config)
    trainer = make_trainer(config, device)
    if arguments.resume:
        load_checkpoint(checkpoint, trainer)
    else:
        save_checkpoint(checkpoint, trainer)  # from the first moment on there is something to go on from
    write_text(arguments.out / "config.json", json.dumps(asdict(config), indent=2) + "\n")
    print(f"{len(train_set)} pairs to train on, {len(val_set)} to validate on; {describe_device(device)}; "
          f"epochs {trainer.epoch + 1} to {config.epochs}", flush=True)
    try:
        train(trainer, train_set, val_set, arguments.out)
    except KeyboardInterrupt:
        generator_file = arguments.out / "generator.safetensors"
        if not generator_file.exists():  # no epoch has left one yet
            save_generator(generator_file, trainer.generator, config, {"epochs": trainer.epoch})
        print(f"\ninterrupted in epoch {trainer.epoch + 1}; {checkpoint} holds {trainer.epoch} finished epochs, "
              f"--resume goes on from there", file=sys.stderr)
        return 130
    return 0


def train(trainer: Pix2PixTrainer, train_set: PairedDataset, val_set: PairedDataset, out: Path) -> None:
    """Run the epochs that are left; after each write checkpoint, generator, history and a picture of samples."""
    real_a, real_b = sample_batch(val_set)
    if trainer.epoch == 0:
        print(f"before training: validation L1 {validation_l1(trainer, val_set):.4f}", flush=True)
    while trainer.epoch < trainer.config.epochs:
        train_epoch(trainer, train_set)
        save_checkpoint(out / "checkpoints" / "last.pt", trainer)
        error = validation_l1(trainer, val_set)
        save_generator(out / "generator.safetensors", trainer.generator, trainer.config,
                       {"epochs": trainer.epoch, "validation_l1": round(error, 5)})
        write_history(out / "history.csv", trainer.history)
        picture = out / "samples" / f"epoch_{trainer.epoch:03d}.png"
        write_figure(picture, samples(real_a, trainer.translate(real_a).cpu(), real_b))
        print(f"epoch {trainer.epoch} of {trainer.config.epochs}: validation L1 {error:.4f}; {picture}", flush=True)
    write_figure(out / "losses.png", loss_curves(trainer.history))


def train_epoch(trainer: Pix2PixTrainer, train_set: PairedDataset) -> None:
    """Run one epoch under a progress bar."""
    steps = -(-len(train_set) // trainer.config.batch_size)
    bar = make_bar(steps, f"epoch {trainer.epoch + 1} of {trainer.config.epochs}")
    try:
        for record in trainer.run_epoch(train_set):
            bar.update()
            if record.step % 20 == 0:
                bar.set_postfix_str(describe_step(record))
    finally:
        bar.close()


def load_datasets(data: Path | None, layout: str, config: TrainConfig) -> tuple[PairedDataset, PairedDataset]:
    """Return the pairs to train on, with jitter, and those to validate on, without; both decoded into memory.

    Without `data` the procedural facades are made on first use. A dataset without val (or test) gives up every tenth
    pair for validation.
    """
    if data is None:
        data = default_dataset(DATA_FOLDER, config.image_size, progress=progress_callback("making facades"))
    train_pairs, val_pairs = split_pairs(data, layout)
    common = {"direction": config.direction, "size": config.image_size, "in_channels": config.in_channels,
              "out_channels": config.out_channels, "multiple_of": 2**config.depth, "in_memory": True}
    train_set = PairedDataset(train_pairs, load_size=config.load_size or None, flip=config.flip, **common)
    return train_set, PairedDataset(val_pairs, jitter=False, **common)


def split_pairs(data: Path, layout: str) -> tuple[list[Pair], list[Pair]]:
    """Return the pairs for training and for validation: the dataset's own splits, or every tenth pair kept back."""
    splits = available_splits(data)
    pairs = find_pairs(data, "train" if "train" in splits else None, layout)
    for split in ("val", "test"):
        if split in splits and "train" in splits:
            return pairs, find_pairs(data, split, layout)
    if len(pairs) < 2:
        raise ValueError(f"{data}: one pair is not enough, as one is kept back for validation; add more pairs")
    return [p for i, p in enumerate(pairs) if i % 10], pairs[::10]


def sample_batch(dataset: PairedDataset) -> tuple[Tensor, Tensor]:
    """Return the first pairs of a dataset as two batches, for pictures."""
    pairs = [dataset[index] for index in range(min(SHOWN, len(dataset)))]
    return torch.stack([a for a, _ in pairs]), torch.stack([b for _, b in pairs])


def write_history(path: Path, history: list[StepRecord]) -> None:
    """Write one line of losses a step."""
    with replacing(path) as temporary, temporary.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow([option.name for option in fields(StepRecord)])
        writer.writerows([r.epoch, r.step, r.loss_d, r.loss_g_gan, r.loss_g_l1] for r in history)


def write_figure(path: Path, figure) -> None:
    """Write a figure as PNG."""
    with replacing(path) as temporary:
        figure.savefig(temporary)


def write_text(path: Path, text: str) -> None:
    """Write a small text file."""
    with replacing(path) as temporary:
        temporary.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    sys.exit(main())
