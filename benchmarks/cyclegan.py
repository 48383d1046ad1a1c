"""What each part of CycleGAN's objective is worth: one part left out after the other.

    python -m benchmarks.cyclegan           every variant with every seed, one after the other
    python -m benchmarks.cyclegan --ship    write data/cyclegan_parts.csv and .png, print a table

The settings are those of notebook 10's lesson: 64x64 pictures, 500 steps with batches of 4. State
and scores are kept in runs/cyclegan: the same command goes on after an interruption, and two calls
at once share the work. All of it takes about 45 minutes of one core.
"""

import argparse
import sys
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from PIL import Image

from benchmarks.zoo import read_scores, run_each, write_scores
from pix2pix_lib import facades
from pix2pix_lib.checkpoints import load_checkpoint, load_segmenter, save_checkpoint
from pix2pix_lib.config import TrainConfig, system_config
from pix2pix_lib.cyclegan import CycleGANTrainer, make_cyclegan
from pix2pix_lib.data import UnpairedDataset
from pix2pix_lib.evaluation import confusion_matrices, fcn_score, pixel_l1
from pix2pix_lib.files import replacing
from pix2pix_lib.images import to_float, to_uint8
from pix2pix_lib.layouts import find_unpaired
from pix2pix_lib.progress import make_bar

ROOT = Path(__file__).parent.parent
RUN = ROOT / "runs" / "cyclegan"
SCORES, PICTURES = ROOT / "data" / "cyclegan_parts.csv", ROOT / "data" / "cyclegan_parts.png"
SEEDS, SIZE, JUDGED, SHOWN = 3, 64, 20, slice(6, 11)
LESSON = {
    "image_size": SIZE, "load_size": SIZE, "generator": "unet", "depth": 4, "skips": True,
    "base_channels": 12, "detail_channels": 12, "disc_channels": 24, "disc_layers": 2,
    "disc_norm": "none", "lambda_cycle": 5.0, "upsampling": "resize", "batch_size": 4,
    "lr": 1.2e-3, "epochs": 10,
}  # fmt: skip
VARIANTS = {  # what differs
    "cycle alone": {"lambda_gan": 0.0, "lambda_identity": 0.0},
    "GAN alone": {"cycle": "none", "lambda_identity": 0.0},
    "GAN + forward cycle": {"cycle": "forward", "lambda_identity": 0.0},
    "GAN + backward cycle": {"cycle": "backward", "lambda_identity": 0.0},
    "GAN + both cycles": {"lambda_identity": 0.0},
    "GAN + both + identity": {"lambda_identity": 3.0},
}


@dataclass(frozen=True)
class Job:
    """One training: a variant with a seed."""

    variant: str
    seed: int

    @property
    def config(self) -> TrainConfig:
        return system_config("cyclegan", **LESSON, **VARIANTS[self.variant], seed=self.seed)

    @property
    def folder(self) -> Path:
        return RUN / f"{self.variant.replace(' ', '_')}-{self.seed}"


class Judged:
    """Buildings that no training sees, by day, by night, and the class of each pixel."""

    def __init__(self):
        seeds_a, seeds_b = facades.unpaired_seeds("val", JUDGED)
        self.day, self.true_night = self._draw(seeds_a, "day"), self._draw(seeds_a, "night")
        self.night, self.true_day = self._draw(seeds_b, "night"), self._draw(seeds_b, "day")
        self.classes_a, self.classes_b = self._classes(seeds_a), self._classes(seeds_b)
        self.segmenter = load_segmenter()

    def scores(self, trainer: CycleGANTrainer) -> dict[str, float]:
        """Return the L1 distances to the truth and of the ways back, and the share read right."""
        night, day = trainer.translate(self.day), trainer.translate_back(self.night)
        back_a, back_b = trainer.translate_back(night), trainer.translate(day)
        distances = {
            "to_night": pixel_l1(night, self.true_night), "to_day": pixel_l1(day, self.true_day),
            "rec_a": pixel_l1(back_a, self.day), "rec_b": pixel_l1(back_b, self.night),
        }  # fmt: skip
        reads = {
            "read_night": self._read(night, self.classes_a),
            "read_day": self._read(day, self.classes_b),
        }  # fmt: skip
        found = {name: float(each.mean()) for name, each in distances.items()} | reads
        return {name: round(value, 4) for name, value in found.items()}

    def pictures(self, trainer: CycleGANTrainer) -> torch.Tensor:
        """Return a row of night pictures, (H, W, 3) bytes."""
        night = to_uint8(trainer.translate(self.day[SHOWN]))
        return torch.cat(list(night.permute(0, 2, 3, 1)), dim=1)

    def _read(self, images: torch.Tensor, classes: torch.Tensor) -> float:
        return fcn_score(confusion_matrices(self.segmenter, images, classes).sum(dim=0)).pixel

    def _draw(self, seeds, style: str) -> torch.Tensor:
        pictures = [torch.from_numpy(facades.make_styled(seed, SIZE, style)) for seed in seeds]
        return to_float(torch.stack(pictures).permute(0, 3, 1, 2))

    def _classes(self, seeds) -> torch.Tensor:
        maps = [torch.from_numpy(facades.make_classes(seed, SIZE)).long() for seed in seeds]
        return torch.stack(maps)


def main(argv: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--ship", action="store_true", help="write the scores and the pictures")
    arguments = parser.parse_args(argv)
    jobs = [Job(variant, seed) for seed in range(SEEDS) for variant in VARIANTS]
    if arguments.ship:
        return ship(jobs)
    return run_each(jobs, train)


def train(job: Job) -> None:
    """Run the epochs that are left, then note the scores."""
    if (job.folder / "scores.csv").is_file():
        return
    trainer, last = make_cyclegan(job.config, torch.device("cpu")), job.folder / "last.pt"
    if last.is_file():
        load_checkpoint(last, trainer)
    folder = facades.default_unpaired_dataset(ROOT / "data", SIZE)
    pictures = UnpairedDataset(
        *find_unpaired(folder, "train"), load_size=SIZE, size=SIZE, in_memory=True
    )
    bar = make_bar(len(pictures) * job.config.epochs // 4, f"{job.variant}, seed {job.seed}")
    bar.update(trainer.steps)
    while trainer.epoch < job.config.epochs:
        for _ in trainer.run_epoch(pictures):
            bar.update()
        save_checkpoint(last, trainer)
    bar.close()
    judged = Judged()
    Image.fromarray(judged.pictures(trainer).numpy()).save(job.folder / "night.png")
    row = {"variant": job.variant, "seed": job.seed, "steps": trainer.steps}
    write_scores(job.folder / "scores.csv", [row | judged.scores(trainer)])


def ship(jobs: list[Job]) -> int:
    """Write the scores of all trainings and the first seed's pictures, a row for each variant."""
    rows = [row for job in jobs for row in read_scores(job.folder / "scores.csv")]
    if len(rows) < len(jobs):
        print(f"{len(rows)} of {len(jobs)} are trained: run `python -m benchmarks.cyclegan` first")
        return 1
    write_scores(SCORES, rows)
    strips = [np.asarray(Image.open(job.folder / "night.png")) for job in jobs if job.seed == 0]
    with replacing(PICTURES) as temporary:
        Image.fromarray(np.concatenate(strips)).save(temporary, "png", optimize=True)
    print_table(rows)
    return 0


def print_table(rows: list[dict[str, str]]) -> None:
    """Print for each variant the lowest and the highest score of its seeds."""
    names = list(rows[0])[3:]
    print(f"{'':<24}" + "".join(f"{name:>16}" for name in names))
    for variant in VARIANTS:
        ours = [row for row in rows if row["variant"] == variant]
        spans = [[float(row[name]) for row in ours] for name in names]
        cells = [f"{min(values):.3f} to {max(values):.3f}" for values in spans]
        print(f"{variant:<24}" + "".join(f"{cell:>16}" for cell in cells))


if __name__ == "__main__":
    torch.set_num_threads(1)  # as fast for networks this small
    sys.exit(main())
