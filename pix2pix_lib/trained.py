"""The small trained networks that ship with the course, and snapshots of their training."""

import csv
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from .checkpoints import load_discriminator, load_generator, read_card
from .config import TrainConfig
from .files import course_data
from .patchgan import PatchDiscriminator
from .training import StepRecord
from .unet import UNet
from .validation import InputError

FOLDER = course_data() / "weights"
PERCENTS = (0, 2, 10, 50, 100)  # of the training
REBUILD = "python -m benchmarks.weights"


@dataclass(frozen=True)
class Snapshot:
    """Both networks after `step` updates, which were `percent` of the training.

    They are in evaluation mode. `validation_l1` is the mean absolute difference of the generator's
    images from the true ones, in [0, 2].
    """

    percent: int
    step: int
    validation_l1: float
    generator: UNet
    discriminator: PatchDiscriminator
    config: TrainConfig


def load_snapshot(percent: int = 100, folder: Path | str = FOLDER) -> Snapshot:
    """Return the networks that ship, as they were after this percentage of their training.

    Raises:
        FileNotFoundError: if a file is missing, with the command that makes it.
        InputError: if there is no such snapshot, or a file is not the one that its card describes.
    """
    if percent not in PERCENTS:
        raise InputError(f"percent must be one of {', '.join(map(str, PERCENTS))}; got {percent!r}")
    generator_file = weights_file("generator", percent, folder)
    discriminator_file = weights_file("discriminator", percent, folder)
    for file in (generator_file, discriminator_file):
        if not (file.is_file() and file.with_suffix(".json").is_file()):
            raise FileNotFoundError(
                f"{file}: the weights or their card are missing; `{REBUILD}` makes them anew"
            )
    generator, config = load_generator(generator_file)
    discriminator, _ = load_discriminator(discriminator_file)
    card = read_card(generator_file)
    return Snapshot(
        percent, card["step"], card["validation_l1"], generator.eval(), discriminator.eval(), config
    )


def load_snapshots(folder: Path | str = FOLDER) -> list[Snapshot]:
    """Return all snapshots, from the untrained networks to the trained ones.

    Raises:
        FileNotFoundError, InputError: as `load_snapshot`.
    """
    return [load_snapshot(percent, folder) for percent in PERCENTS]


def weights_file(kind: str, percent: int = 100, folder: Path | str = FOLDER) -> Path:
    """Return where the weights of a `generator` or `discriminator` lie.

    At 100 % that is `<kind>.safetensors`, at 10 % `<kind>_010.safetensors`.
    """
    return Path(folder) / (
        f"{kind}.safetensors" if percent == 100 else f"{kind}_{percent:03d}.safetensors"
    )


def load_history(folder: Path | str = FOLDER) -> list[StepRecord]:
    """Return the losses of the training, each the mean over the steps up to `step`.

    They are read from `history.csv`.

    Raises:
        FileNotFoundError: if the file is missing, with the command that makes it.
    """
    path = Path(folder) / "history.csv"
    if not path.is_file():
        raise FileNotFoundError(
            f"{path}: the recorded losses are missing; `{REBUILD}` makes them anew"
        )
    with path.open(newline="", encoding="utf-8") as file:
        return list(_records(csv.DictReader(file)))


def _records(rows: csv.DictReader) -> Iterator[StepRecord]:
    for row in rows:
        losses = (float(row[name]) for name in ("loss_d", "loss_g_gan", "loss_g_l1"))
        yield StepRecord(int(row["epoch"]), int(row["step"]), *losses)
