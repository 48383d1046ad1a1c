"""Train the zoo: the networks that the paper's tables 1 to 3 compare, on procedural facades.

    python -m benchmarks.zoo              every model with every seed, one after the other
    python -m benchmarks.zoo l1 l1_cgan   only these
    python -m benchmarks.zoo --seeds 1    only with the first seed
    python -m benchmarks.zoo --ship       write and print the scores, and the first seed's networks

All learn from the same pairs, for the same number of steps, and differ in one thing each. After
every epoch a segmenter reads what each makes of held-out label maps. State and scores are kept in
runs/zoo: the same command goes on after an interruption, and two calls at once share the work. What
data/weights/zoo/scores.csv has in full is not trained again: to train it anew, delete its rows. All
of it takes about three hours of two cores.
"""

import argparse
import csv
import sys
from collections.abc import Callable, Iterable
from contextlib import suppress
from dataclasses import astuple, dataclass
from pathlib import Path

import torch
from filelock import FileLock, Timeout

from pix2pix_lib.checkpoints import (
    load_checkpoint,
    load_segmenter,
    save_checkpoint,
    save_generator,
)
from pix2pix_lib.config import TrainConfig
from pix2pix_lib.data import PairedDataset
from pix2pix_lib.engine import fast_engine
from pix2pix_lib.evaluate import drawn_facades
from pix2pix_lib.evaluation import FCNScore, confusion_matrices, fcn_score, pixel_l1
from pix2pix_lib.facades import default_dataset
from pix2pix_lib.files import replacing
from pix2pix_lib.inference import translate
from pix2pix_lib.layouts import find_pairs
from pix2pix_lib.progress import make_bar
from pix2pix_lib.training import make_trainer

ROOT = Path(__file__).parent.parent
RUN = ROOT / "runs" / "zoo"
SHIPPED = ROOT / "data" / "weights" / "zoo"
SCORES = SHIPPED / "scores.csv"
SEEDS = 3
FACADES, HELD_OUT = 2000, 100
KINDS = ("pixel_accuracy", "class_accuracy", "class_iou")
# The paper's recipe at 128x128 with fewer channels, and without enlarging the pairs first, which
# would blur what is one pixel wide; 4 epochs are 8,000 steps.
COMMON = {
    "base_channels": 12, "disc_channels": 12, "detail_channels": 12, "load_size": 128,
    "lr": 2e-4, "epochs": 4,
}  # fmt: skip
MODELS = {  # what differs
    # Table 1: the losses
    "l1": {"lambda_gan": 0.0},
    "gan": {"lambda_l1": 0.0, "conditional": False},
    "cgan": {"lambda_l1": 0.0},
    "l1_gan": {"conditional": False},
    "l1_cgan": {},  # also the 70x70 patches of table 3, and the U-Net of table 2
    # Table 2: an encoder-decoder instead of the U-Net
    "encoder_decoder_l1": {"lambda_gan": 0.0, "skips": False},
    "encoder_decoder_l1_cgan": {"skips": False},
    # Table 3: the patches that the discriminator sees
    "patch_1": {"disc_layers": 0},
    "patch_16": {"disc_layers": 1},
    "patch_34": {"disc_layers": 2},
    "patch_142": {"disc_layers": 4},
}


@dataclass(frozen=True)
class Job:
    """One training: a model with a seed."""

    model: str
    seed: int

    @property
    def config(self) -> TrainConfig:
        return TrainConfig(**COMMON, **MODELS[self.model], seed=self.seed)

    @property
    def folder(self) -> Path:
        return RUN / f"{self.model}-{self.seed}"

    @property
    def scores(self) -> Path:
        return self.folder / "scores.csv"


def main(argv: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("models", nargs="*", metavar="MODEL", help=", ".join(MODELS))
    parser.add_argument("--seeds", type=int, default=SEEDS, help=f"default: {SEEDS}")
    parser.add_argument("--ship", action="store_true", help="write data/weights/zoo")
    arguments = parser.parse_args(argv)
    if unknown := set(arguments.models) - set(MODELS):
        parser.error(f"no such model: {', '.join(sorted(unknown))}; there are {', '.join(MODELS)}")
    jobs = [
        Job(model, seed) for seed in range(arguments.seeds) for model in arguments.models or MODELS
    ]
    if arguments.ship:
        ship()
        return 0
    return run_each([job for job in jobs if not is_complete(job, shipped_scores(job))], train)


def run_each(jobs: Iterable, run: Callable[..., None]) -> int:
    """Run jobs that have a folder, one after the other; return 0, or 130 if interrupted.

    Each is locked while it runs, so that two calls at once share the work.
    """
    try:
        for job in jobs:
            job.folder.mkdir(parents=True, exist_ok=True)
            with suppress(Timeout), FileLock(job.folder / "lock", timeout=0):  # else another has it
                run(job)
    except KeyboardInterrupt:
        print("\ninterrupted; the same command goes on from the last whole epoch", file=sys.stderr)
        return 130
    return 0


def train(job: Job) -> None:
    """Run the epochs that are left, and note the scores after each."""
    trainer = make_trainer(job.config, "cpu", fast_engine("bf16", torch.device("cpu")))
    last = job.folder / "last.pt"
    if last.is_file():
        load_checkpoint(last, trainer)
    if trainer.epoch == job.config.epochs:
        return
    pairs, test = training_pairs(), HeldOut()
    while trainer.epoch < job.config.epochs:
        bar = make_bar(len(pairs), f"{job.model}, seed {job.seed}, epoch {trainer.epoch + 1}")
        for record in trainer.run_epoch(pairs):
            bar.update()
            if record.step % 50 == 0:
                bar.set_postfix_str(record.summary())
        bar.close()
        row = {"model": job.model, "seed": job.seed, "step": trainer.steps}
        row |= test.scores(trainer.generator)
        rows = [old for old in read_scores(job.scores) if int(old["step"]) < trainer.steps]
        write_scores(job.scores, [*rows, row])
        save_checkpoint(last, trainer)


def training_pairs() -> PairedDataset:
    """Return the pairs that all learn from, which are drawn into runs/zoo on first use."""
    RUN.mkdir(parents=True, exist_ok=True)
    with FileLock(RUN / "pairs.lock"):
        folder = default_dataset(RUN, 128, FACADES, 0)
    return PairedDataset(find_pairs(folder, "train"), direction="BtoA", size=128, jitter=True,
                         in_memory=True)  # fmt: skip


class HeldOut:
    """Facades of the test split, and the segmenter that reads what is made of their label maps."""

    def __init__(self):
        pairs = drawn_facades(HELD_OUT, TrainConfig())
        self.labels, self.photos, self.classes = pairs.inputs, pairs.truth, pairs.classes
        self.segmenter = load_segmenter()

    def score(self, generator: torch.nn.Module) -> FCNScore:
        """Return the FCN-score of what a generator makes of the label maps."""
        return self._read(translate(generator, self.labels))

    def ceiling(self) -> FCNScore:
        """Return the FCN-score of the true photos."""
        return self._read(self.photos)

    def scores(self, generator: torch.nn.Module) -> dict[str, float]:
        """Return the FCN-score and the L1 distance of a generator."""
        fakes = translate(generator, self.labels)
        score = self._read(fakes)
        return {
            **{kind: round(value, 4) for kind, value in zip(KINDS, astuple(score))},
            "l1": round(float(pixel_l1(fakes, self.photos).mean()), 4),
        }

    def _read(self, images: torch.Tensor) -> FCNScore:
        return fcn_score(confusion_matrices(self.segmenter, images, self.classes).sum(dim=0))


def read_scores(path: Path) -> list[dict[str, str]]:
    """Return the rows of a file of scores; none if there is no such file."""
    if not path.is_file():
        return []
    with path.open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def write_scores(path: Path, rows: list[dict]) -> None:
    """Write rows of scores, with their names above them."""
    with replacing(path) as temporary, temporary.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, rows[0].keys())
        writer.writeheader()
        writer.writerows(rows)


def shipped_scores(job: Job) -> list[dict[str, str]]:
    """Return the scores of a training that lie in data/weights/zoo."""
    return [
        row
        for row in read_scores(SCORES)
        if (row["model"], row["seed"]) == (job.model, str(job.seed))
    ]


def is_complete(job: Job, rows: list[dict[str, str]]) -> bool:
    """Return whether scores reach to the end of their training."""
    return bool(rows) and int(rows[-1]["step"]) == job.config.epochs * FACADES


def ship() -> None:
    """Write the scores of all finished trainings, and in 16 bits the generators of seed 0.

    A training that is not in runs/zoo keeps what was shipped of it.
    """
    rows = []
    for job in (Job(model, seed) for seed in range(SEEDS) for model in MODELS):
        if is_complete(job, scores := read_scores(job.scores)):
            rows += scores
            if job.seed == 0:
                ship_generator(job)
        else:
            rows += shipped_scores(job)
    if not rows:
        sys.exit("no training of the zoo has come to its end yet: run `python -m benchmarks.zoo`")
    write_scores(SCORES, rows)
    print_table()


def ship_generator(job: Job) -> None:
    """Write the generator of a finished training."""
    trainer = make_trainer(job.config, "cpu", fast_engine("bf16", torch.device("cpu")))
    load_checkpoint(job.folder / "last.pt", trainer)
    card = {
        "trained_on": f"{FACADES} procedural facades of 128x128 (pix2pix_lib.facades)",
        "command": f"python -m benchmarks.zoo {job.model}",
        "licence": "CC0-1.0",
        "step": trainer.steps,
    }
    path = SHIPPED / f"{job.model}.safetensors"
    save_generator(path, trainer.generator, job.config, card, half=True)


def print_table() -> None:
    """Print the means over the seeds at the end, and the range of the IoU, as in the README."""
    print("| model | seeds | pixel accuracy | class accuracy | class IoU, lowest to highest |")
    rows = read_scores(SCORES)
    last = max(int(row["step"]) for row in rows)
    for model in MODELS:
        ours = [row for row in rows if row["model"] == model and int(row["step"]) == last]
        if not ours:
            continue
        pixel, klass, iou = ([float(row[kind]) for row in ours] for kind in KINDS)
        means = [f"{sum(values) / len(values):.3f}"[1:] for values in (pixel, klass, iou)]
        span = f" ({f'{min(iou):.3f}'[1:]} to {f'{max(iou):.3f}'[1:]})" if len(ours) > 1 else ""
        print(f"| `{model}` | {len(ours)} | {means[0]} | {means[1]} | {means[2]}{span} |")


if __name__ == "__main__":
    torch.set_num_threads(1)  # as fast for networks this small
    sys.exit(main())
