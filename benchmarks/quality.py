"""Draw how good the pictures are over the time that a training takes, for three recipes.

    python -m benchmarks.quality                   three minutes of each, then the figure
    python -m benchmarks.quality --seconds 60      one minute of each
    python -m benchmarks.quality --out FILE.png    (default: runs/quality.png)

`paper` has the networks and settings of the paper at 128x128, in plain float32; `lesson` is what
`python -m pix2pix_lib.train` does, and `shipped` what made the weights of the course. Every ten
seconds of training, which stop the clock, a segmenter reads what the generator makes of the label
maps of 100 unseen facades. All learn from the same pairs, drawn beforehand.
"""

import argparse
import sys
import time
from pathlib import Path

import torch

from benchmarks.weights import CONFIG, ENGINE
from benchmarks.zoo import HeldOut, training_pairs
from pix2pix_lib import plots
from pix2pix_lib.config import TrainConfig
from pix2pix_lib.data import PairedDataset
from pix2pix_lib.devices import describe_device
from pix2pix_lib.engine import PLAIN, fast_engine
from pix2pix_lib.evaluation import FCNScore
from pix2pix_lib.progress import make_bar
from pix2pix_lib.training import make_trainer

CPU = torch.device("cpu")
PAPER = TrainConfig(
    base_channels=64, depth=7, upsampling="transposed", detail_channels=0, dropout=0.5,
    disc_channels=64, disc_norm="batch", lr=2e-4,
)  # fmt: skip
RECIPES = {
    "paper": (PAPER, PLAIN),
    "lesson": (TrainConfig(), fast_engine("bf16", CPU)),
    "shipped": (CONFIG, ENGINE),
}
EVERY = 10.0  # seconds of training between two scores
GOAL = 0.70  # pixel accuracy


def main(argv: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--seconds", type=float, default=180.0, help="default: 180")
    parser.add_argument("--out", type=Path, default=Path("runs/quality.png"), help="the figure")
    arguments = parser.parse_args(argv)
    print(f"{describe_device(CPU)}, torch {torch.__version__}")
    pairs, test = training_pairs(), HeldOut()
    curves = {name: measure(name, arguments.seconds, pairs, test) for name in RECIPES}
    print(f"{'recipe':<9}{'seconds to .70':>15}  FCN-score after {arguments.seconds:.0f} s")
    for name, curve in curves.items():
        reached = next((f"{s:.0f}" for s, score in curve if score.pixel >= GOAL), "not reached")
        print(f"{name:<9}{reached:>15}  {curve[-1][1]}")
    draw(curves, test.ceiling().pixel, arguments.out)
    print(arguments.out)
    return 0


def measure(
    name: str, seconds: float, pairs: PairedDataset, test: HeldOut
) -> list[tuple[float, FCNScore]]:
    """Train for so long; return (seconds of training, score) pairs."""
    config, engine = RECIPES[name]
    trainer = make_trainer(config, CPU, engine)
    curve, spent, scored = [(0.0, test.score(trainer.generator))], 0.0, 0.0
    bar = make_bar(int(seconds), name)
    while spent < seconds:
        records = trainer.run_epoch(pairs)
        while spent < seconds:
            start = time.perf_counter()
            if next(records, None) is None:
                break
            spent += time.perf_counter() - start
            bar.update(int(spent) - bar.n)
            if spent >= scored + EVERY or spent >= seconds:
                scored = spent
                curve.append((spent, test.score(trainer.generator)))
                trainer.generator.train()
    bar.close()
    return curve


def draw(curves: dict[str, list], ceiling: float, path: Path) -> None:
    """Draw the pixel accuracy of each recipe over the seconds of training."""
    figure, axes = plots.new_figure(7, 3.2)
    for colour, (name, curve) in zip((plots.GREY, plots.BLUE, plots.ORANGE), curves.items()):
        axes.plot([s for s, _ in curve], [score.pixel for _, score in curve], color=colour,
                  marker=".", label=name)  # fmt: skip
    axes.axhline(ceiling, color="black", linestyle=":", label="true photos")
    axes.set(xlabel="seconds of training", ylabel="pixel accuracy (FCN-score)", ylim=(0, 1))
    axes.legend(frameon=False, loc="lower right")
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path)


if __name__ == "__main__":
    sys.exit(main())
