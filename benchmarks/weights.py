"""Train the small networks that ship with the course, and draw the README's picture.

    python -m benchmarks.weights             train, then write data/weights and data/tour.png
    python -m benchmarks.weights --picture   only draw data/tour.png with the existing generator

Training takes about an hour of one core and saves snapshots on the way. Each holds an average over
the generator's last steps, and the last one the mean of those of all epochs but the first. The run
is kept in runs/weights; started again after an interruption, it resumes from the last finished
epoch. On one kind of machine the same command gives the same weights; on another, accumulated
rounding makes them differ.
"""

import argparse
import sys
from pathlib import Path

import torch
from torch import Tensor
from torch.optim.swa_utils import AveragedModel

from pix2pix_lib.checkpoints import (
    load_checkpoint,
    save_checkpoint,
    save_discriminator,
    save_generator,
)
from pix2pix_lib.config import TrainConfig
from pix2pix_lib.data import PairedDataset
from pix2pix_lib.engine import fast_engine
from pix2pix_lib.facades import default_dataset, facade_tensors, split_seeds
from pix2pix_lib.history import write_history
from pix2pix_lib.inference import translate
from pix2pix_lib.layouts import find_pairs
from pix2pix_lib.plots import samples
from pix2pix_lib.progress import make_bar
from pix2pix_lib.trained import (
    FILM,
    FOLDER,
    PERCENTS,
    REBUILD,
    Snapshot,
    load_snapshot,
    make_film,
    save_film,
    weights_file,
)
from pix2pix_lib.training import Pix2PixTrainer, StepRecord, make_trainer, validation_l1

ROOT = Path(__file__).parent.parent
RUN = ROOT / "runs" / "weights"
FACADES, VALIDATION = 8000, 100
CONFIG = TrainConfig(
    base_channels=16, disc_channels=16, detail_channels=32, dropout=0.2, lambda_l1=200.0,
    load_size=128, lr=2e-4, epochs=7,
)  # fmt: skip
ENGINE = fast_engine("bf16", torch.device("cpu"))
DECAY = 0.9995  # of the average: it reaches back over about two thousand steps
RECORD_EVERY = 500  # the shipped losses are means over this many steps
FILMED = 6  # facades of the validation split in the film
SHOWN = (1, 6, 9, 10, 14, 18)  # the facades of the test split in the README's picture


def main(argv: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    picture = "only draw the picture, with the existing weights"
    parser.add_argument("--picture", action="store_true", help=picture)
    if not parser.parse_args(argv).picture:
        RUN.mkdir(parents=True, exist_ok=True)
        try:
            train(RUN)
        except KeyboardInterrupt:
            message = "interrupted; the same command goes on from the last whole epoch"
            print(f"\n{message}", file=sys.stderr)
            return 130
        ship(RUN, FOLDER)
    draw_tour(ROOT / "data" / "tour.png")
    return 0


def train(folder: Path) -> None:
    """Run the remaining epochs, and save both networks at each of FILM."""
    dataset = load_split(folder, "train", jitter=True)
    trainer, last = make_trainer(CONFIG, engine=ENGINE), folder / "last.pt"
    average = AveragedModel(trainer.generator, avg_fn=blend)
    if last.is_file():
        load_checkpoint(last, trainer)
        average.load_state_dict(load(average_file(folder, trainer.epoch)))
    steps = trainer.steps_per_epoch(dataset)
    keep_snapshot(trainer, average, folder, trainer.steps, steps)
    while trainer.epoch < CONFIG.epochs:
        bar = make_bar(steps, f"epoch {trainer.epoch + 1} of {CONFIG.epochs}")
        for record in trainer.run_epoch(dataset):
            average.update_parameters(trainer.generator)
            keep_snapshot(trainer, average, folder, record.step + 1, steps)
            bar.update()
            if record.step % 20 == 0:
                bar.set_postfix_str(record.summary())
        bar.close()
        torch.save(average.state_dict(), average_file(folder, trainer.epoch))
        save_checkpoint(last, trainer)


def blend(average: Tensor, now: Tensor, count: Tensor) -> Tensor:
    """Return the new average; it begins short, so that early weights are forgotten early."""
    return average.lerp(now, max(1 - DECAY, 9 / (int(count) + 10)))


def average_file(folder: Path, epoch: int) -> Path:
    """Return where the average after a whole number of epochs lies."""
    return folder / f"average_{epoch}.pt"


def final_state(folder: Path) -> dict:
    """Return the generator that ships: the mean of the averages after each epoch but the first.

    After the fourth epoch each reads worse than the one before, and their mean better than any.
    """
    states = [load(average_file(folder, epoch)) for epoch in range(2, CONFIG.epochs + 1)]
    names = [name for name in states[0] if name.startswith("module.")]
    means = {name: sum(state[name].double() for state in states) / len(states) for name in names}
    return {name.removeprefix("module."): mean for name, mean in means.items()}


def load(path: Path) -> dict:
    return torch.load(path, weights_only=True)


def load_split(folder: Path, split: str, jitter: bool) -> PairedDataset:
    """Return the training or validation pairs, which are drawn into the folder on first use."""
    pairs = find_pairs(default_dataset(folder, CONFIG.image_size, FACADES, VALIDATION), split)
    return PairedDataset(pairs, direction=CONFIG.direction, size=CONFIG.image_size, jitter=jitter,
                         in_memory=True)  # fmt: skip


def keep_snapshot(
    trainer: Pix2PixTrainer, average: AveragedModel, folder: Path, step: int, epoch_steps: int
) -> None:
    """Save both networks if this many steps are one of FILM."""
    for percent in FILM:
        if step * 100 == percent * CONFIG.epochs * epoch_steps:
            networks = average.module, trainer.discriminator
            states = [network.state_dict() for network in networks]
            torch.save(states, folder / f"snapshot_{percent:03d}.pt")


def ship(run: Path, folder: Path) -> None:
    """Write the networks of PERCENTS in 16 bits with their cards, the film, and the losses."""
    validation = load_split(run, "val", jitter=False)
    snapshots = [load_moment(run, percent, validation) for percent in FILM]
    for moment in snapshots:
        print(f"{moment.percent:3d} %: validation L1 {moment.validation_l1:.4f}", flush=True)
        if moment.percent not in PERCENTS:
            continue
        card = {
            "trained_on": f"{FACADES} procedural facades of 128x128 (pix2pix_lib.facades), "
            "label map to photo",
            "command": REBUILD,
            "licence": "CC0-1.0",
            "step": moment.step,
            "percent": moment.percent,
            "validation_l1": moment.validation_l1,
        }
        path = weights_file("generator", moment.percent, folder)
        save_generator(path, moment.generator, CONFIG, card, half=True)
        path = weights_file("discriminator", moment.percent, folder)
        save_discriminator(path, moment.discriminator, CONFIG, card, half=True)
    filmed = (torch.stack(side) for side in zip(*(validation[index] for index in range(FILMED))))
    save_film(make_film(snapshots, *filmed), folder)
    # A snapshot lacks the losses of the epoch in which it was taken.
    trainer = make_trainer(CONFIG, engine=ENGINE)
    load_checkpoint(run / "last.pt", trainer)
    write_history(folder / "history.csv", means(trainer.history))


def load_moment(run: Path, percent: int, validation: PairedDataset) -> Snapshot:
    """Return the networks that were saved after this percentage of the training."""
    trainer = make_trainer(CONFIG)
    networks = trainer.generator, trainer.discriminator
    for network, state in zip(networks, load(run / f"snapshot_{percent:03d}.pt"), strict=True):
        network.load_state_dict(state)
    if percent == 100:
        trainer.generator.load_state_dict(final_state(run))
    step = percent * CONFIG.epochs * FACADES // 100
    distance = round(validation_l1(trainer, validation), 4)
    return Snapshot(percent, step, distance, *(network.eval() for network in networks), CONFIG)


def means(history: list[StepRecord]) -> list[StepRecord]:
    """Return one record for every RECORD_EVERY steps, with the mean of their losses, rounded."""
    found = []
    for start in range(0, len(history), RECORD_EVERY):
        chunk = history[start : start + RECORD_EVERY]
        losses = [_mean(chunk, name) for name in ("loss_d", "loss_g_gan", "loss_g_l1")]
        found.append(StepRecord(chunk[-1].epoch, chunk[-1].step + 1, *losses))
    return found


def _mean(records: list[StepRecord], name: str) -> float:
    return round(sum(getattr(record, name) for record in records) / len(records), 4)


def draw_tour(path: Path) -> None:
    """Draw input, output and truth for facades of the test split."""
    generator = load_snapshot().generator
    seeds = list(split_seeds("test", max(SHOWN) + 1))
    pairs = [facade_tensors(seeds[index]) for index in SHOWN]
    real_a, real_b = torch.stack([a for a, _ in pairs]), torch.stack([b for _, b in pairs])
    samples(real_a, translate(generator, real_a), real_b).savefig(path)


if __name__ == "__main__":
    # One thread is as fast for networks this small, and makes sums independent of the cores.
    torch.set_num_threads(1)
    sys.exit(main())
