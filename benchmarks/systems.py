"""Train the study notes' five systems on the same procedural facades for the same epochs.

    python -m benchmarks.systems [--channels 8] [--pairs 200] [--epochs 2] [--out PICTURE]

This prints one table, and draws what each system makes of the same unseen label maps. Images are
256x256, from label map to photo. Each system has its own loss, order, batch size and learning rate,
and all have the same width. CycleGAN gets the same images, but unpaired.
"""

import argparse
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from pix2pix_lib.config import TrainConfig, system_config
from pix2pix_lib.cyclegan import trainer_factory
from pix2pix_lib.data import PairedDataset, UnpairedDataset
from pix2pix_lib.devices import describe_device, pick_device
from pix2pix_lib.engine import choose_engine
from pix2pix_lib.facades import write_dataset
from pix2pix_lib.layers import count_parameters
from pix2pix_lib.layouts import Pair, find_pairs, sides
from pix2pix_lib.plots import sample_rows, to_png
from pix2pix_lib.progress import progress_callback
from pix2pix_lib.systems import SETTINGS
from pix2pix_lib.trainer import train_epoch
from pix2pix_lib.training import validation_l1

SIZE, VALIDATION, SHOWN = 256, 40, 6


@dataclass(frozen=True)
class Row:
    """One system's settings, and what it reached with its budget."""

    name: str
    parameters: int
    batch_size: int
    updates: int
    seconds: float
    error: float
    pictures: Tensor


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    width = "width of all networks; the notes have 64"
    parser.add_argument("--channels", type=int, default=8, help=width)
    parser.add_argument("--pairs", type=int, default=200)
    parser.add_argument("--epochs", type=int, default=2)
    parser.add_argument("--device", default="auto")
    parser.add_argument("--out", type=Path, default=Path("runs/systems.png"))
    arguments = parser.parse_args()
    device = pick_device(arguments.device)
    with tempfile.TemporaryDirectory() as folder:
        counts = {"train": arguments.pairs, "val": VALIDATION}
        show = progress_callback("making facades")
        data = write_dataset(Path(folder) / "facades", counts, SIZE, progress=show)
        train_pairs = find_pairs(data, "train")
        validation = PairedDataset(
            find_pairs(data, "val"), direction="BtoA", size=SIZE, jitter=False, in_memory=True
        )
        rows = [measure(name, train_pairs, validation, arguments, device) for name in SETTINGS]
    print(
        f"{arguments.pairs} pairs, {arguments.epochs} epochs, {arguments.channels} channels; "
        f"{describe_device(device)}, torch {torch.__version__}\n"
    )
    print(table(rows))
    arguments.out.parent.mkdir(parents=True, exist_ok=True)
    draw(rows, validation, arguments.out)
    print(f"\n{arguments.out}")


def measure(
    name: str,
    train_pairs: list[Pair],
    validation: PairedDataset,
    arguments: argparse.Namespace,
    device: torch.device,
) -> Row:
    """Train one system and return its results."""
    widths = {"base_channels": arguments.channels, "disc_channels": arguments.channels}
    options = {"image_size": SIZE, "direction": "BtoA", "epochs": arguments.epochs}
    config = system_config(name, **options, **widths)
    engine, _ = choose_engine(config, device, trainer_factory(config))
    trainer = trainer_factory(config)(config, device, engine)
    print(name, file=sys.stderr)
    start, data = time.perf_counter(), dataset(config, train_pairs)
    while trainer.epoch < config.epochs:
        train_epoch(trainer, data)
    seconds = time.perf_counter() - start
    real_a = torch.stack([validation[index][0] for index in range(SHOWN)])
    return Row(
        name,
        count_parameters(trainer.networks["generator_ab" if config.unpaired else "generator"]),
        config.batch_size,
        len(trainer.history),
        seconds,
        validation_l1(trainer, validation),
        trainer.translate(real_a).cpu(),
    )


def dataset(config: TrainConfig, pairs: list[Pair]) -> PairedDataset | UnpairedDataset:
    """Return the training data of a system, in memory: the pairs, or their sides."""
    common = {"direction": config.direction, "size": SIZE, "in_memory": True}
    if config.unpaired:
        return UnpairedDataset(*sides(pairs), **common)
    return PairedDataset(pairs, **common)


def table(rows: list[Row]) -> str:
    """Return the rows as a Markdown table."""
    lines = [
        "| system | parameters of G | batch | updates | seconds | validation L1 |",
        "|---|---|---|---|---|---|",
    ]
    lines += [
        f"| {r.name} | {r.parameters:,} | {r.batch_size} "
        f"| {r.updates} | {r.seconds:.0f} | {r.error:.3f} |"
        for r in rows
    ]
    return "\n".join(lines)


def draw(rows: list[Row], validation: PairedDataset, path: Path) -> None:
    """Draw one row of pictures for each system, between the inputs and the truth."""
    pairs = [validation[index] for index in range(SHOWN)]
    inputs, truths = (torch.stack(side) for side in zip(*pairs))
    outputs = {row.name: row.pictures for row in rows}
    figure = sample_rows({"input": inputs, **outputs, "truth": truths}, 1.3)
    path.write_bytes(to_png(figure))


if __name__ == "__main__":
    main()
