"""Maps of continents that do not exist, for a generator that paints satellite pictures of maps.

    python -m pix2pix_lib.continent map.png                        an invented coast
    python -m pix2pix_lib.continent map.png --land drawing.png     a coast of your own

The maps have the colours of the real one in `earth`; the generator that ships (`EARTH`) has learned
from that to paint satellite pictures.
"""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from PIL import Image

from .cli import CommandParser, run_command
from .files import course_data, replacing
from .validation import InputError

EARTH = course_data() / "weights" / "earth_generator.safetensors"  # paints maps, AtoB

# The map's colours, (red, green, blue): of land by its height in metres, where rain falls and where
# it does not, and of water by its distance from the coast in pixels. `python -m benchmarks.earth
# --colours` measures them.
HEIGHTS = (30, 105, 225, 400, 625, 875, 1250, 1750, 2500, 3500, 5000)
HUMID = (
    (116, 164, 142), (123, 171, 149), (132, 178, 156), (147, 185, 167), (155, 187, 169),
    (160, 188, 168), (177, 194, 170), (208, 198, 178), (207, 192, 173), (205, 185, 167),
    (207, 209, 208),
)  # fmt: skip
ARID = (
    (164, 156, 146), (170, 162, 151), (176, 168, 157), (185, 175, 164), (189, 180, 168),
    (192, 182, 168), (201, 190, 173), (208, 196, 175), (206, 188, 168), (202, 181, 160),
    (207, 209, 208),
)  # fmt: skip
FROM_COAST = (2, 6, 14, 28, 56, 100)
WATER = (
    (204, 223, 240), (193, 216, 236), (171, 201, 227), (144, 184, 216), (124, 170, 208),
    (118, 166, 204),
)  # fmt: skip


def draw_continent(
    land: np.ndarray | None = None, *, size: int = 256, seed: int = 0, dryness: float | None = None
) -> np.ndarray:
    """Draw the map of an invented continent in the colours of the real maps: (H, W, 3) uint8.

    A pixel stands for 7.4 kilometres, so that 256 pixels are about as wide as Australia is high.

    Args:
        land: where the land lies, (H, W) bool; by default a continent of (size, size) is invented.
        seed: another one raises other mountains, and invents another continent.
        dryness: from 0, humid, to 1, arid; by default some places are, and others are not.

    Raises:
        InputError: if `land` is all land or all sea, or a number is out of range.
    """
    if size < 16 or seed < 0:
        raise InputError(f"expected a size of 16 or more, a seed of 0 or more; got {size}, {seed}")
    land = random_land(size, seed) if land is None else np.asarray(land, dtype=bool)
    if land.ndim != 2 or land.all() or not land.any():
        raise InputError("expected a picture of white land and black sea; one of them is missing")
    if dryness is None:
        noise = _noise(np.random.default_rng([seed, 2]), land.shape, 30)
        dryness = np.clip(0.5 + 0.8 * noise, 0, 1)
    elif not 0 <= dryness <= 1:
        raise InputError(f"dryness must be from 0 to 1; got {dryness}")
    return draw_map(raise_land(land, seed), dryness)


def random_land(size: int = 256, seed: int = 0) -> np.ndarray:
    """Invent the coast of a continent: (size, size) bool, False at the picture's corners."""
    rng = np.random.default_rng([seed, 0])
    y, x = np.mgrid[-1 : 1 : size * 1j, -1 : 1 : size * 1j]
    noise = _fractal(rng, (size, size), size / 8, octaves=6)
    return 1 + noise / 2 > 2.2 * (x**2 + y**2)


def raise_land(land: np.ndarray, seed: int = 0) -> np.ndarray:
    """Raise plains and mountain ranges on land (H, W): heights in metres, 0 at sea."""
    from scipy.ndimage import distance_transform_edt

    rng = np.random.default_rng([seed, 1])
    inland, wide = distance_transform_edt(land), max(land.shape) / 10
    plains = 150 * (1 + _fractal(rng, land.shape, wide, octaves=5))
    ranges = np.clip(_fractal(rng, land.shape, wide, octaves=3), 0, None) ** 1.5
    # A ridge runs where noise changes its sign.
    ridges = [np.exp(-2 * np.abs(_noise(rng, land.shape, scale))) for scale in (5, 2.5, 1.2)]
    mountains = 700 * ranges * sum(ridges)
    heights = np.minimum(inland / 12, 1) * plains.clip(5) + np.minimum(inland / 6, 1) * mountains
    return np.where(land, heights, 0)


def draw_map(heights: np.ndarray, dryness: np.ndarray | float = 0.0) -> np.ndarray:
    """Draw heights in metres (H, W), where 0 and less is water, as a map: (H, W, 3) uint8.

    Args:
        dryness: from 0, humid, to 1, arid: one number, or (H, W).
    """
    from scipy.ndimage import distance_transform_edt

    land, dryness = heights > 0, np.asarray(dryness)[..., None]
    colours = (1 - dryness) * _ramp(heights, HEIGHTS, HUMID) + dryness * _ramp(
        heights, HEIGHTS, ARID
    )
    down, across = np.gradient(heights)
    light = 1 + np.clip(4e-4 * (down + across), -0.3, 0.15)  # it comes from the north-west
    water = _ramp(distance_transform_edt(~land), FROM_COAST, WATER)
    picture = np.where(land[..., None], colours * light[..., None], water)
    return picture.clip(0, 255).astype(np.uint8)


def _ramp(values: np.ndarray, stops: Sequence[float], colours: Sequence) -> np.ndarray:
    """Return the colour of each value, interpolated between those of the stops: (H, W, 3)."""
    return np.stack([np.interp(values, stops, channel) for channel in zip(*colours)], axis=-1)


def _noise(rng: np.random.Generator, shape: tuple[int, ...], scale: float) -> np.ndarray:
    """Return smooth noise with mean 0 and standard deviation 1, `scale` pixels coarse."""
    from scipy.ndimage import gaussian_filter

    noise = gaussian_filter(rng.standard_normal(shape), scale)
    return (noise - noise.mean()) / noise.std()


def _fractal(rng: np.random.Generator, shape: tuple[int, ...], scale: float, octaves: int):
    """Return a sum of noises, each half as coarse and half as strong as the one before."""
    return sum(0.5**k * _noise(rng, shape, max(scale / 2**k, 0.7)) for k in range(octaves))


def _make_parser() -> CommandParser:
    parser = CommandParser(
        prog="python -m pix2pix_lib.continent",
        description="Draw the map of an invented continent, for the generator that paints "
        "satellite pictures of maps.",
    )
    parser.add_argument("map", type=Path, metavar="MAP.png", help="the picture to write")
    parser.add_argument(
        "--land", type=Path, metavar="PICTURE",
        help="a drawing of your own, of any size: the land white, the sea black",
    )  # fmt: skip
    parser.add_argument("--size", type=int, help="pixels a side of an invented coast (default 256)")
    parser.add_argument(
        "--seed", type=int, default=0,
        help="another one raises other mountains and invents another coast (default 0)",
    )  # fmt: skip
    parser.add_argument(
        "--dryness", type=float, help="from 0, humid, to 1, arid (default: it varies)"
    )
    return parser


def _run(arguments: argparse.Namespace) -> int:
    file = arguments.map
    if file.suffix != ".png":
        raise InputError(f"expected a file name that ends in .png; got {file}")
    if file.exists():
        raise FileExistsError(f"{file} exists; remove it, or choose another name")
    if arguments.land and arguments.size is not None:
        raise InputError(
            "--size is that of an invented coast; with --land the drawing's size counts"
        )
    land = _read_land(arguments.land) if arguments.land else None
    size = 256 if arguments.size is None else arguments.size
    picture = draw_continent(land, size=size, seed=arguments.seed, dryness=arguments.dryness)
    with replacing(file) as temporary:
        Image.fromarray(picture).save(temporary)
    print(f"{file} holds the map; this paints it:")
    options = f"--weights {EARTH} --input {file} --scale native --out painted"
    print(f"python -m pix2pix_lib.translate {options}")
    return 0


def _read_land(path: Path) -> np.ndarray:
    from .images import read_image, to_grey  # torch: a wrong flag need not wait for it

    return to_grey(read_image(path))[0].numpy() > 127


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command and return its exit status.

    It is 0, 2 after one line on stderr for what a person can mend, or 130 if interrupted.
    """
    return run_command(_run, _make_parser().parse_args(argv))


if __name__ == "__main__":
    sys.exit(main())
