"""Train the small generator that ships with the course, and draw the README's picture with it.

    python -m benchmarks.tour             trains, writes data/weights/generator.safetensors, its card and data/tour.png
    python -m benchmarks.tour --picture   only draws data/tour.png with the generator that is there
"""

import argparse
import sys
import tempfile
from pathlib import Path

import torch

from pix2pix_lib import train
from pix2pix_lib.checkpoints import load_generator, save_generator
from pix2pix_lib.data import facade_tensors
from pix2pix_lib.facades import split_seeds
from pix2pix_lib.plots import samples
from pix2pix_lib.training import translate

DATA = Path(__file__).parent.parent / "data"
WEIGHTS = DATA / "weights" / "generator.safetensors"
FLAGS = ["--base-channels", "16", "--epochs", "20"]
SHOWN = (1, 6, 9, 10, 14, 18)  # of the test split


def main(argv: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--picture", action="store_true", help="draw the picture with the weights that are there")
    if not parser.parse_args(argv).picture:
        train_and_ship()
    draw_tour()
    return 0


def train_and_ship() -> None:
    """Train as the command line does, and keep the generator with 16-bit weights."""
    with tempfile.TemporaryDirectory() as folder:
        if train.main(["--out", folder, *FLAGS]):
            sys.exit("the training failed; nothing was shipped")
        generator, config = load_generator(Path(folder) / "generator.safetensors")
    card = {"trained_on": "400 procedural facades of 128x128 (pix2pix_lib.facades), label map to photo",
            "command": "python -m benchmarks.tour", "licence": "CC0-1.0"}
    save_generator(WEIGHTS, generator, config, card, half=True)


def draw_tour() -> None:
    """Draw input, output and truth for facades of the test split."""
    generator, _ = load_generator(WEIGHTS)
    seeds = list(split_seeds("test", max(SHOWN) + 1))
    pairs = [facade_tensors(seeds[index]) for index in SHOWN]
    real_a, real_b = torch.stack([a for a, _ in pairs]), torch.stack([b for _, b in pairs])
    samples(real_a, translate(generator, real_a), real_b).savefig(DATA / "tour.png")


if __name__ == "__main__":
    sys.exit(main())
