"""Time each explorer from `set(...)` to what the page is sent, and print one table.

    python -m benchmarks.explorers                 use 200 random settings for each explorer
    python -m benchmarks.explorers --settings 50   use fewer

A setting moves one control to a random value, as a user does. `picture` is the time to draw and
encode, without the networks; `network` is the time in forward passes, over the settings that needed
one.
"""

import argparse
import random
import statistics
import sys
import time
from collections.abc import Sequence

import torch

from pix2pix_lib.devices import describe_device
from pix2pix_lib.explorers.base import Choice, Drawing, Explorer, Slider
from pix2pix_lib.explorers.canvas import state_of
from pix2pix_lib.explorers.dataset import DatasetExplorer
from pix2pix_lib.explorers.designer import FacadeDesigner, RectanglePainter
from pix2pix_lib.explorers.losses import LossExplorer
from pix2pix_lib.explorers.normalization import NormalizationExplorer
from pix2pix_lib.explorers.painter import FacadePainter
from pix2pix_lib.explorers.patches import PatchExplorer
from pix2pix_lib.explorers.player import TrainingPlayer
from pix2pix_lib.explorers.receptive_field import ReceptiveFieldExplorer
from pix2pix_lib.explorers.unet import UNetExplorer

EXPLORERS = (
    DatasetExplorer, UNetExplorer, ReceptiveFieldExplorer, PatchExplorer, LossExplorer,
    FacadeDesigner, RectanglePainter, FacadePainter, TrainingPlayer, NormalizationExplorer,
)  # fmt: skip


def main(argv: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--settings", type=int, default=200, help="settings for each explorer")
    settings = parser.parse_args(argv).settings
    print(f"{describe_device(torch.device('cpu'))}, torch {torch.__version__}; milliseconds")
    print(f"{'explorer':<26}{'picture: median':>16}{'95 %':>8}{'network: median':>18}{'95 %':>8}")
    for kind in EXPLORERS:
        pictures, networks = measure(kind(), settings)
        network = f"{'-':>18}"
        if networks:
            network = f"{statistics.median(networks):>18.1f}{percentile(networks):>8.1f}"
        picture = f"{statistics.median(pictures):>16.1f}{percentile(pictures):>8.1f}"
        print(f"{kind.__name__:<26}{picture}{network}", flush=True)
    return 0


def measure(explorer: Explorer, settings: int) -> tuple[list[float], list[float]]:
    """Return each setting's milliseconds for the picture, and for the networks where they ran."""
    dice = random.Random(0)
    pictures, networks = [], []
    for _ in range(settings):
        setting = random_setting(explorer, dice)
        start = time.perf_counter()
        explorer.set(**setting)
        state_of(explorer)
        total = time.perf_counter() - start
        pictures.append(1000 * (total - explorer.network_seconds))
        if explorer.network_seconds:
            networks.append(1000 * explorer.network_seconds)
    return pictures, networks


def random_setting(explorer: Explorer, dice: random.Random) -> dict:
    """Return one control of the explorer with a random value that it currently allows."""
    controls = {n: each for n, each in explorer.controls.items() if not isinstance(each, Drawing)}
    name = dice.choice(list(controls))
    control = controls[name]
    if isinstance(control, Choice):
        return {name: dice.choice(control.options)}
    if not isinstance(control, Slider):
        return {name: dice.random() < 0.5}
    low, high = explorer.range(name)
    return {name: low + control.step * dice.randint(0, int((high - low) / control.step))}


def percentile(values: Sequence[float], share: float = 0.95) -> float:
    """Return the value below which this share of the values lies."""
    return sorted(values)[min(int(share * len(values)), len(values) - 1)]


if __name__ == "__main__":
    sys.exit(main())
