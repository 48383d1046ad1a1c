"""The small trained networks that ship with the course, snapshots and a film of their training."""

import csv
import functools
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, fields
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from .checkpoints import (
    load_discriminator,
    load_generator,
    load_tensors,
    read_card,
    save_tensors,
)
from .config import TrainConfig
from .devices import device_of
from .files import course_data, replacing
from .images import to_float, to_uint8
from .inference import translate
from .patchgan import PatchDiscriminator
from .training import StepRecord
from .unet import UNet
from .validation import InputError

FOLDER = course_data() / "weights"
PERCENTS = (0, 2, 10, 50, 100)  # of the training: the networks of these moments ship
FILM = (0, 1, 2, 3, 4, 6, 8, 10, 13, 16, 20, 25, 30, 40, 50, 60, 70, 80, 90, 100)  # their pictures
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


@functools.cache
def shared_snapshot(percent: int = 100) -> Snapshot:
    """Return what `load_snapshot` does, loaded once for all who only look: nobody may change it."""
    return load_snapshot(percent)


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


@dataclass(frozen=True)
class Film:
    """What both networks made of N pairs at T moments of their training.

    Args:
        percent, step: of the training, (T,).
        validation_l1: as that of a `Snapshot`, (T,).
        fake_b: (T, N, C, H, W) in [-1, 1].
        l1: mean absolute difference of `fake_b` from the truth, (T, N) in [0, 2].
        real_logits, fake_logits: D's maps on the truth and on `fake_b`, (T, N, H', W').
    """

    percent: Tensor
    step: Tensor
    validation_l1: Tensor
    fake_b: Tensor
    l1: Tensor
    real_logits: Tensor
    fake_logits: Tensor


@torch.no_grad()
def make_film(snapshots: Sequence[Snapshot], real_a: Tensor, real_b: Tensor) -> Film:
    """Return what the networks of the snapshots make of pairs, (N, C, H, W) in [-1, 1]."""
    rows = []
    for snapshot in snapshots:
        device = device_of(snapshot.generator)
        inputs, truth = real_a.to(device), real_b.to(device)
        fake_b = translate(snapshot.generator, inputs)
        logits = [snapshot.discriminator(inputs, images)[:, 0] for images in (truth, fake_b)]
        l1 = (fake_b - truth).abs().flatten(1).mean(dim=1)
        numbers = (snapshot.percent, snapshot.step, snapshot.validation_l1)
        rows.append([*map(torch.tensor, numbers), *(x.cpu() for x in (fake_b, l1, *logits))])
    return Film(*(torch.stack(column) for column in zip(*rows, strict=True)))


def save_film(film: Film, folder: Path | str) -> None:
    """Write the pictures as film.jpg, one row for each moment, the rest as film.safetensors."""
    strip = to_uint8(film.fake_b).permute(0, 3, 1, 4, 2)  # (T, H, N, W, C)
    with replacing(Path(folder, "film.jpg")) as path:
        image = Image.fromarray(strip.flatten(2, 3).flatten(0, 1).numpy())
        image.save(path, quality=92, subsampling=0)
    rest = {f.name: getattr(film, f.name) for f in fields(film) if f.name != "fake_b"}
    rest |= {name: rest[name].half() for name in ("real_logits", "fake_logits")}
    save_tensors(Path(folder, "film.safetensors"), rest)


def load_film(folder: Path | str = FOLDER) -> Film:
    """Return the film of the training of the networks that ship: the first facades of "val".

    Raises:
        FileNotFoundError: if a file is missing, with the command that makes it.
        InputError: if the file of the numbers is damaged.
    """
    picture, numbers = (Path(folder, f"film.{kind}") for kind in ("jpg", "safetensors"))
    for file in (picture, numbers):
        if not file.is_file():
            raise FileNotFoundError(f"{file}: the film is missing; `{REBUILD}` makes it anew")
    rest = load_tensors(numbers)
    rest |= {name: rest[name].float() for name in ("real_logits", "fake_logits")}
    with Image.open(picture) as image:
        strip = torch.from_numpy(np.array(image))
    times, count = rest["l1"].shape
    frames = strip.unflatten(1, (count, -1)).unflatten(0, (times, -1))  # (T, H, N, W, C)
    return Film(fake_b=to_float(frames.permute(0, 2, 4, 1, 3)), **rest)


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
