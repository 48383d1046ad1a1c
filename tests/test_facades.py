"""The procedural facades: what a seed determines, what is written, what the command refuses."""

import functools
import hashlib
import io
import json
import re
import signal
import subprocess
import sys
import time
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from pix2pix_lib import facades
from pix2pix_lib.facades import (
    CLASS_COLOURS,
    CLASS_NAMES,
    FACADES_VERSION,
    SPLIT_LIMIT,
    STYLES,
    colour_to_classes,
    default_dataset,
    default_unpaired_dataset,
    make,
    make_classes,
    make_pair,
    make_styled,
    paint,
    split_seeds,
    unpaired_seeds,
    write_dataset,
)
from pix2pix_lib.facades.__main__ import main
from pix2pix_lib.facades.plans import (
    BACKGROUND,
    BALCONY,
    DOOR,
    FACADE,
    SHOP,
    WINDOW,
    make_plan,
    part_rect,
)

ROOT = Path(__file__).resolve().parents[1]
SAMPLE = ROOT / "data" / "sample"


def files(folder: Path) -> list[str]:
    """Return the relative paths of all files in a folder, including hidden ones."""
    found = [path for path in folder.rglob("*") if path.is_file()]
    return sorted(path.relative_to(folder).as_posix() for path in found)


def halves(path: Path) -> tuple[np.ndarray, np.ndarray]:
    """Return the left and the right half of a picture file."""
    with Image.open(path) as image:
        picture = np.asarray(image.convert("RGB"))
    half = picture.shape[1] // 2
    return picture[:, :half], picture[:, half:]


# Seeds


def test_pixels_are_the_same_everywhere():
    """The digest is the same on every platform and with every NumPy.

    If it has to change, increase FACADES_VERSION too.
    """
    digest = hashlib.sha256()
    for pair in [*(make_pair(seed, 64) for seed in range(24)), make_pair(7, 256, photo_seed=3)]:
        digest.update(pair.classes.tobytes())
        digest.update(pair.photo.tobytes())
    expected = "e5f71df7b7c48c0f334927346b9a73ec71da62630e9a22869d3e8b9dacf0e727"
    assert (FACADES_VERSION, digest.hexdigest()) == (2, expected)


def test_drawing_leaves_the_callers_random_numbers_alone():
    before = np.random.get_state()[1].tobytes()
    make_pair(1, 64)
    assert np.random.get_state()[1].tobytes() == before


def test_other_seeds_give_other_buildings_and_photos():
    pairs = [make_pair(seed, 64) for seed in range(30)]
    assert len({pair.classes.tobytes() for pair in pairs}) == 30
    assert len({pair.photo.tobytes() for pair in pairs}) == 30


def test_large_seeds_do_not_wrap_around():
    assert make_pair(3, 32).classes.tobytes() != make_pair(3 + 2**32, 32).classes.tobytes()


def test_photo_seed_changes_the_photo_and_never_the_label():
    pairs = [make_pair(7, 64), *(make_pair(7, 64, photo_seed=k) for k in range(8))]
    assert len({pair.label.tobytes() for pair in pairs}) == 1
    assert len({pair.photo.tobytes() for pair in pairs}) == 9


@pytest.mark.parametrize("seed", [1.0, "1", None, True, [1]])
def test_a_seed_that_is_no_integer_is_a_type_error(seed):
    with pytest.raises(TypeError, match="seed must be an integer"):
        make_pair(seed, 32)


@pytest.mark.parametrize("seed", [-1, 2**64])
def test_a_seed_out_of_range_is_a_value_error(seed):
    with pytest.raises(ValueError, match=f"seed must be in .* got {seed}"):
        make_pair(seed, 32)
    with pytest.raises(ValueError, match="photo_seed must be in"):
        make_pair(0, 32, photo_seed=seed)


def test_numpy_integers_are_seeds_too():
    assert make_pair(np.int64(4), 32).photo.tobytes() == make_pair(4, 32).photo.tobytes()


# Sizes


@pytest.mark.parametrize("size", [32, 48, 128, 176, 256, 512])
def test_sizes_that_are_multiples_of_sixteen_work(size):
    pair = make_pair(11, size)
    assert pair.classes.shape == (size, size)
    assert pair.classes.dtype == np.uint8
    assert pair.label.shape == pair.photo.shape == (size, size, 3)
    assert pair.label.dtype == pair.photo.dtype == np.uint8


@pytest.mark.parametrize(
    ("size", "remedy"), [(100, "use 96 or 112"), (16, "use 32"), (0, "use 32"), (-64, "use 32")]
)
def test_other_sizes_are_refused_with_the_nearest_good_ones(size, remedy):
    with pytest.raises(ValueError, match=f"multiple of 16 .* got {size}; {remedy}"):
        make_pair(0, size)
    with pytest.raises(ValueError, match=remedy):
        make_classes(0, size)


def test_many_seeds_survive_the_smallest_size():
    for seed in range(60):
        make_pair(seed, 32)


@pytest.mark.parametrize("seed", range(12))
def test_a_seed_is_the_same_building_and_colours_at_another_size(seed):
    small, large = make_pair(seed, 128), make_pair(seed, 256)
    assert (small.classes == large.classes[::2, ::2]).mean() > 0.9
    shrunk = large.photo.reshape(128, 2, 128, 2, 3).mean(axis=(1, 3))
    assert np.abs(small.photo - shrunk).mean() < 20


# Label maps


@pytest.fixture(scope="module")
def maps() -> np.ndarray:
    return np.stack([make_classes(seed, 128) for seed in range(100)])


def test_label_colours_are_exactly_the_twelve(maps):
    pair = make_pair(2, 128)
    assert np.array_equal(pair.label, CLASS_COLOURS[pair.classes])
    assert np.array_equal(pair.classes, maps[2])
    assert len(CLASS_NAMES) == len(CLASS_COLOURS) == 12
    assert CLASS_COLOURS.dtype == np.uint8
    assert CLASS_NAMES[1] == "facade"
    assert tuple(CLASS_COLOURS[1]) == (0, 49, 255)
    assert CLASS_NAMES[11] == "shop"
    assert tuple(CLASS_COLOURS[11]) == (174, 0, 0)


def test_class_colours_cannot_be_changed_by_accident():
    with pytest.raises(ValueError, match="read-only"):
        CLASS_COLOURS[0] = 0


def test_every_class_is_common_and_large_enough_to_be_seen(maps):
    present = np.array([[(m == k).sum() >= 16 for k in range(12)] for m in maps]).mean(axis=0)
    assert present.min() >= 0.25, dict(zip(CLASS_NAMES, present, strict=True))
    assert present[[BACKGROUND, FACADE, WINDOW]].min() == 1
    assert present[DOOR] >= 0.7


def test_there_is_always_sky_above_the_building(maps):
    assert (maps[:, 0] == BACKGROUND).mean() > 0.9
    tops = (maps[:, :, 64] != BACKGROUND).argmax(axis=1)
    assert tops.min() >= 1
    assert tops.max() >= 30


def test_buildings_vary_in_width_and_street(maps):
    widths = (maps[:, 70] != BACKGROUND).sum(axis=1)
    assert widths.min() < 90
    assert widths.max() == 128
    streets = (maps[:, 127] == BACKGROUND).all(axis=1)
    assert 0.5 < streets.mean() < 0.95


# Photos


def test_materials_cannot_be_read_from_the_labels():
    """Among the photos of one label map, the mean colour of every class varies a lot."""
    classes = make_classes(0, 64)
    photos = np.stack([make_pair(0, 64, photo_seed=k).photo for k in range(40)]).astype(float)
    for index in np.unique(classes):
        means = photos[:, classes == index].mean(axis=1)
        assert means.std(axis=0).max() > 15, CLASS_NAMES[index]


def test_what_the_labels_do_tell_can_be_learned():
    """On average, the sky is brighter than the walls, and the walls are brighter than the glass."""
    sky, wall, glass = [], [], []
    for seed in range(60):
        pair = make_pair(seed, 64)
        grey = pair.photo.mean(axis=2)
        sky.append(grey[0].mean())
        wall.append(grey[pair.classes == FACADE].mean())
        glass.append(grey[pair.classes == WINDOW].mean())
    assert np.mean(sky) > np.mean(wall) + 15
    assert np.mean(wall) > np.mean(glass) + 15


def test_photos_are_neither_flat_nor_clipped():
    for seed in range(20):
        photo = make_pair(seed, 128).photo
        assert photo.std() > 20
        assert ((photo == 0) | (photo == 255)).mean() < 0.25
        assert np.abs(np.diff(photo.astype(int), axis=1)).mean() > 3  # there is texture everywhere


def test_photos_have_grain():
    """Neighbouring pixels differ even in a smooth sky."""
    for seed in range(20):
        pair = make_pair(seed, 128)
        steps = np.abs(np.diff(pair.photo[0].astype(int), axis=0))
        assert (steps[pair.classes[0, 1:] == BACKGROUND] > 0).mean() > 0.5


def test_light_comes_from_either_side():
    """The shadow below a balcony or ledge falls to the left in some photos, right in others."""
    height = np.zeros((64, 64), np.int32)
    height[20:24, 30:34] = 60
    left, right = (paint._shadow(height, side, 4).nonzero()[1].mean() for side in (-1, 1))
    assert left < 31.5 < right


# Day and night


@functools.cache
def view(seed: int, size: int, style: str) -> np.ndarray:
    """Return what `make_styled` draws, cached and read-only."""
    photo = make_styled(seed, size, style)
    photo.setflags(write=False)
    return photo


def edges(photo: np.ndarray) -> np.ndarray:
    """Return how much grey changes towards the pixels below and to the right, (S - 1, S - 1)."""
    grey = photo.astype(int).sum(axis=2)
    return np.abs(np.diff(grey, axis=0))[:, :-1] + np.abs(np.diff(grey, axis=1))[:-1]


def warmth(photo: np.ndarray) -> np.ndarray:
    """Return red minus blue, as integers."""
    return photo[..., 0].astype(int) - photo[..., 2]


def lit_windows(seed: int, size: int) -> list[bool]:
    """Return, in the plan's order, whether each clearly visible window is lit at night."""
    classes, night = make_classes(seed, 256), view(seed, size, "night")
    lit = []
    for part in make_plan(seed).parts:
        seen = classes[part_rect(part, 256).area] == WINDOW
        if part.kind == WINDOW and seen.mean() > 0.8:
            lit.append(bool(warmth(night[part_rect(part, size).area]).max() > 30))
    return lit


def test_by_day_the_photo_is_that_of_the_pair():
    assert STYLES == ("day", "night")
    for seed in range(6):
        photo = make_pair(seed, 64).photo
        assert np.array_equal(make_styled(seed, 64, "day"), photo)
        assert np.array_equal(make_styled(seed, 64), photo)
    assert make_styled(1).shape == (256, 256, 3)


@pytest.mark.parametrize("size", [32, 48, 112, 256])
def test_nights_have_the_size_that_was_asked_for(size):
    night = make_styled(3, size, "night")
    assert night.shape == (size, size, 3)
    assert night.dtype == np.uint8


def test_pixels_of_the_night_are_the_same_everywhere():
    """As for pairs: if the digest has to change, increase FACADES_VERSION too."""
    digest = hashlib.sha256()
    nights = [make_styled(seed, 64, "night") for seed in range(24)]
    for night in [*nights, make_styled(7, 256, "night")]:
        digest.update(night.tobytes())
    expected = "7e8aceb497e03de0b290d4c4687e7f3e3dcc6725c1ab004dde3a53db044ead08"
    assert (FACADES_VERSION, digest.hexdigest()) == (2, expected)
    assert make_styled(5, 64, "night").tobytes() == make_styled(5, 64, "night").tobytes()


def test_by_night_the_same_building_stands_there():
    """Apart from the lamps, edges are where they are by day, not where another building has any."""
    days = [view(seed, 128, "day") for seed in range(12)]
    for seed, day in enumerate(days):
        night = edges(view(seed, 128, "night"))
        unlit = ~np.isin(make_classes(seed, 128)[:-1, :-1], (WINDOW, SHOP, BALCONY))
        pictures = day, days[seed - 1]
        same, other = (np.corrcoef(edges(d)[unlit], night[unlit])[0, 1] for d in pictures)
        assert same > 0.45
        assert other < 0.3


def test_by_night_walls_keep_a_hint_of_their_colour():
    days, nights = [], []
    for seed in range(40):
        wall = make_classes(seed, 64) == FACADE
        days.append(view(seed, 64, "day")[wall].mean(axis=0))
        nights.append(view(seed, 64, "night")[wall].mean(axis=0))
    assert np.corrcoef(warmth(np.array(days)), warmth(np.array(nights)))[0, 1] > 0.8
    assert np.ptp(warmth(np.array(nights))) > 25


@pytest.mark.parametrize("size", [64, 128])
def test_day_and_night_are_told_apart_at_once(size):
    for seed in range(40):
        day, night = view(seed, size, "day"), view(seed, size, "night")
        assert night.mean() < 0.6 * day.mean()
        assert night.mean() > 20  # not pitch-dark either
        sky = night[0][make_classes(seed, size)[0] == BACKGROUND]
        assert sky.mean(axis=0).max() < 100
        assert (sky[:, 2] > sky[:, 0]).mean() > 0.95
        assert (warmth(night) > 30).sum() >= 12 * (size // 64) ** 2  # the lamps are easily seen


def test_light_falls_on_what_surrounds_a_lamp():
    """Walls are brighter next to a lit window, and nothing unlit is brighter than by day."""
    gains = []
    for seed in range(30):
        classes = make_classes(seed, 128)
        day, night = (view(seed, 128, style).astype(float).mean(axis=2) for style in STYLES)
        lamps = np.isin(classes, (WINDOW, SHOP)) & (warmth(view(seed, 128, "night")) > 60)
        near = np.zeros_like(lamps)
        lamps_around = sum(np.roll(lamps, step, axis) for axis in (0, 1) for step in (-2, 2))
        near[2:-2, 2:-2] = lamps_around[2:-2, 2:-2] > 0
        wall, share = classes == FACADE, night / (day + 1)
        if (wall & near).sum() > 50:
            gains.append(share[wall & near].mean() / share[wall & ~near].mean())
        assert (night > day)[~np.isin(classes, (WINDOW, SHOP, BALCONY))].mean() < 0.01
    assert len(gains) > 10
    assert np.mean(gains) > 1.1


def test_a_third_to_two_thirds_of_the_windows_are_lit():
    homes = [lit_windows(seed, 128) for seed in range(60)]
    shares = [np.mean(lit) for lit in homes if len(lit) >= 10]
    assert min(shares) > 0.2
    assert max(shares) < 0.8
    assert 0.4 < np.mean(shares) < 0.6
    assert np.std(shares) > 0.09  # some houses are busy, others quiet
    assert len({tuple(lit[:8]) for lit in homes}) > 40  # the seed decides which windows


def test_lit_windows_outshine_the_walls_and_dark_ones_do_not():
    """Lamps are local: no curve applied to the colours of a day turns it into night."""
    for seed in range(12):
        classes, day, night = make_classes(seed, 128), *(view(seed, 128, s) for s in STYLES)
        wall, panes = night[classes == FACADE].mean(), night[classes == WINDOW].astype(int)
        lamp = warmth(panes) > 60
        assert lamp.sum() >= 20
        assert panes[lamp].mean() > 1.5 * wall
        assert panes[~lamp].mean() < 0.75 * panes[lamp].mean()
        correlation = np.corrcoef(day[classes == WINDOW].mean(axis=1), panes.mean(axis=1))[0, 1]
        assert np.abs(correlation) < 0.8


@pytest.mark.parametrize("size", [64, 256])
def test_the_same_windows_are_lit_at_every_size(size):
    for seed in range(20):
        lit, other = np.array(lit_windows(seed, 128)), np.array(lit_windows(seed, size))
        assert (lit == other).mean() > 0.9


def test_every_shop_is_lit():
    shops = 0
    for seed in range(30):
        night = view(seed, 128, "night")
        for part in make_plan(seed).parts:
            if part.kind == SHOP:
                shops += 1
                assert (warmth(night[part_rect(part, 128).area]) > 30).mean() > 0.15
    assert shops > 20


def test_goods_and_curtains_show_before_the_lamps():
    similar = []
    for seed in range(30):
        shops = (make_classes(seed, 128) == SHOP) & (warmth(view(seed, 128, "night")) > 60)
        if shops.sum() > 100:
            day, night = (view(seed, 128, style)[shops].mean(axis=1) for style in STYLES)
            similar.append(np.corrcoef(day, night)[0, 1])
    assert np.mean(similar) > 0.6


def test_one_looks_into_rooms_through_panes_and_railings_only(monkeypatch):
    """Frames, blinds, slabs, bars and solid balconies hide the lamps behind them."""
    canvases = []
    monkeypatch.setattr(paint, "_fall_of_night", lambda canvas, dice, sky: canvases.append(canvas))
    for seed in range(30):
        make_styled(seed, 128, "night")
    depths = set(np.concatenate([canvas.height[canvas.room > 0] for canvas in canvases]).tolist())
    assert depths == {-24, -20, -6}  # shop windows, windows, the gaps of a railing


def test_lamps_are_thrown_anew_for_every_seed(monkeypatch):
    words = []

    def read_dice(canvas, dice, sky):
        words.append(dice.bytes(8).tolist())

    monkeypatch.setattr(paint, "_fall_of_night", read_dice)
    for seed in (1, 2, 1, 2**32 + 1):
        make_styled(seed, 32, "night")
    assert words[0] == words[2]
    assert words[0] != words[1]
    assert words[0] != words[3]


def test_another_style_is_refused():
    with pytest.raises(ValueError, match="style must be one of day, night; got 'dusk'"):
        make_styled(1, 64, "dusk")
    with pytest.raises(TypeError, match="seed must be an integer"):
        make_styled("1", 64, "night")
    with pytest.raises(ValueError, match="use 96 or 112"):
        make_styled(1, 100, "night")


# From colours back to classes


def test_colours_snap_to_their_classes_after_jpeg():
    pair = make_pair(4, 128)
    buffer = io.BytesIO()
    Image.fromarray(pair.label).save(buffer, "JPEG", quality=90, subsampling=0)
    wobbled = np.asarray(Image.open(buffer))
    assert not np.array_equal(wobbled, pair.label)
    assert (colour_to_classes(wobbled) == pair.classes).mean() > 0.995


def test_every_colour_is_its_own_class():
    classes = colour_to_classes(CLASS_COLOURS)
    assert classes.dtype == np.uint8
    assert classes.tolist() == list(range(12))


@pytest.mark.parametrize(
    "label", [np.zeros((4, 4), np.uint8), np.zeros((3, 4, 4), np.uint8), np.zeros((4, 4, 3))]
)
def test_an_array_that_is_no_colour_picture_is_refused(label):
    with pytest.raises(ValueError, match=r"shape \(\.\.\., 3\)"):
        colour_to_classes(label)


# Splits

COUNTS = st.integers(0, SPLIT_LIMIT)
BASES = st.integers(0, 4) | st.integers(0, 10**9)


@given(COUNTS, COUNTS, BASES, BASES)
def test_splits_and_base_seeds_never_share_a_seed(first, second, base, other_base):
    ranges = [split_seeds(split, max(first, second), base) for split in facades.SPLITS]
    if other_base != base:
        ranges.append(split_seeds("train", second, other_base))
    ranges = sorted((r for r in ranges if r), key=lambda r: r.start)
    assert all(a.stop <= b.start for a, b in pairwise(ranges))


def test_a_longer_split_begins_with_the_shorter_one():
    assert list(split_seeds("val", 3)) == list(split_seeds("val", 9))[:3]


@pytest.mark.parametrize("count", [-1, SPLIT_LIMIT + 1])
def test_counts_out_of_range_are_refused(count):
    with pytest.raises(ValueError, match=f"number of val pairs must be in .* got {count}"):
        split_seeds("val", count)


def test_unknown_splits_and_huge_base_seeds_are_refused():
    with pytest.raises(ValueError, match="train, val, test; got 'dev'"):
        split_seeds("dev", 1)
    with pytest.raises(ValueError, match="base_seed must be below"):
        split_seeds("train", 1, 2**63)


@pytest.mark.parametrize("base", [0, 1, 10**9])
def test_day_and_night_never_share_a_building(base):
    """Each seed is in only one folder: trainA, trainB, valA, valB and so on."""
    seeds = []
    for split, count in (("train", 200), ("val", 50), ("test", 60)):
        every = split_seeds(split, SPLIT_LIMIT, base)
        for own in unpaired_seeds(split, count, base):
            assert len(own) == count
            assert all(seed in every for seed in own)
            seeds += own
    assert len(set(seeds)) == len(seeds)


def test_day_and_night_may_use_up_a_split():
    day, night = unpaired_seeds("val", SPLIT_LIMIT // 2)
    assert sorted([*day, *night]) == list(split_seeds("val", SPLIT_LIMIT))


def test_more_unpaired_pictures_begin_with_the_fewer():
    for fewer, more in zip(unpaired_seeds("val", 3), unpaired_seeds("val", 9), strict=True):
        assert list(fewer) == list(more)[:3]


@pytest.mark.parametrize("count", [-1, SPLIT_LIMIT // 2 + 1])
def test_unpaired_counts_out_of_range_are_refused(count):
    message = f"number of val pictures of each style must be in .* got {count}"
    with pytest.raises(ValueError, match=message):
        unpaired_seeds("val", count)


# Files


def test_the_dataset_has_the_papers_layout(tmp_path):
    out = write_dataset(tmp_path / "a" / "data", {"train": 3, "val": 1, "test": 0}, 32, base_seed=2)
    pictures = ["train/0001.png", "train/0002.png", "train/0003.png", "val/0001.png"]
    assert files(out) == ["dataset.json", *pictures]
    for number, seed in enumerate(split_seeds("train", 3, 2), start=1):
        photo, label = halves(out / "train" / f"{number:04d}.png")
        pair = make_pair(seed, 32)
        assert np.array_equal(photo, pair.photo)
        assert np.array_equal(label, pair.label)


def test_the_unpaired_dataset_has_two_folders_for_each_split(tmp_path):
    out = write_dataset(tmp_path / "data", {"train": 2, "val": 1}, 32, base_seed=2, unpaired=True)
    pictures = "trainA/0001 trainA/0002 trainB/0001 trainB/0002 valA/0001 valB/0001"
    assert files(out) == ["dataset.json", *(f"{name}.png" for name in pictures.split())]
    for split, count in (("train", 2), ("val", 1)):
        sides = zip("AB", ("day", "night"), unpaired_seeds(split, count, 2), strict=True)
        for side, style, seeds in sides:
            for number, seed in enumerate(seeds, start=1):
                with Image.open(out / f"{split}{side}" / f"{number:04d}.png") as image:
                    assert np.array_equal(np.asarray(image), make_styled(seed, 32, style))


def test_dataset_json_says_that_it_is_unpaired(tmp_path):
    out = write_dataset(tmp_path / "data", {"train": 1}, 32, unpaired=True)
    manifest = json.loads((out / "dataset.json").read_text())
    assert manifest["styles"] == {"A": "day", "B": "night"}
    assert manifest["direction"] == "AtoB turns day into night"
    assert manifest["facades_version"] == FACADES_VERSION
    assert (manifest["size"], manifest["counts"]) == (32, {"train": 1})
    with pytest.raises(FileExistsError):
        write_dataset(out, {"train": 1}, 32)  # a dataset of pairs is another one


def test_dataset_json_says_how_it_was_made(tmp_path):
    out = write_dataset(tmp_path / "data", {"train": 1}, 32, format="jpg")
    manifest = json.loads((out / "dataset.json").read_text())
    assert manifest["facades_version"] == FACADES_VERSION
    assert (manifest["size"], manifest["counts"], manifest["base_seed"]) == (32, {"train": 1}, 0)
    assert manifest["format"] == "jpg"
    assert manifest["direction"].startswith("BtoA")


def test_jpeg_labels_snap_back_and_are_not_subsampled(tmp_path):
    out = write_dataset(tmp_path / "data", {"train": 2}, 128, format="jpg")
    with Image.open(out / "train" / "0001.jpg") as image:
        assert image.size == (256, 128)
        assert [component[1:3] for component in image.layer] == [(1, 1)] * 3
    _, label = halves(out / "train" / "0002.jpg")
    classes = make_classes(split_seeds("train", 2)[1], 128)
    assert (colour_to_classes(label) == classes).mean() > 0.995


def test_progress_is_told_of_every_pair(tmp_path):
    calls, counts = [], {"train": 2, "val": 1}
    write_dataset(tmp_path / "data", counts, 32, progress=lambda *call: calls.append(call))
    assert calls == [(1, 3), (2, 3), (3, 3)]


def test_a_foreign_folder_is_refused_and_left_alone(tmp_path):
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "thesis.txt").write_text("years of work")
    with pytest.raises(FileExistsError, match="remove it, or choose another folder"):
        write_dataset(tmp_path / "data", {"train": 1}, 32)
    assert files(tmp_path) == ["data/thesis.txt"]


def test_a_file_in_the_way_is_refused(tmp_path):
    (tmp_path / "data").write_text("a file")
    with pytest.raises(FileExistsError):
        write_dataset(tmp_path / "data", {"train": 1}, 32)
    assert (tmp_path / "data").read_text() == "a file"


def test_an_empty_folder_is_filled(tmp_path):
    (tmp_path / "data").mkdir()
    out = write_dataset(tmp_path / "data", {"val": 1}, 32)
    assert files(out) == ["dataset.json", "val/0001.png"]
    assert [path.name for path in tmp_path.iterdir()] == ["data"]


def test_the_same_dataset_is_kept_and_another_is_refused(tmp_path):
    out = write_dataset(tmp_path / "data", {"train": 1}, 32)
    (out / "train" / "0001.png").write_bytes(b"touched")
    write_dataset(out, {"train": 1}, 32)
    assert (out / "train" / "0001.png").read_bytes() == b"touched"
    with pytest.raises(FileExistsError):
        write_dataset(out, {"train": 2}, 32)


@pytest.mark.parametrize("unpaired", [False, True])
@pytest.mark.parametrize("error", [KeyboardInterrupt, OSError])
def test_nothing_is_left_of_an_interrupted_dataset(tmp_path, error, unpaired):
    def stop(done: int, total: int) -> None:
        if done == 2:
            assert not (tmp_path / "data").exists()
            raise error

    with pytest.raises(error):
        write_dataset(tmp_path / "data", {"train": 3}, 32, progress=stop, unpaired=unpaired)
    assert list(tmp_path.iterdir()) == []


def test_the_dataset_of_a_faster_process_is_kept(tmp_path, monkeypatch):
    def other_process(done: int, total: int) -> None:
        with monkeypatch.context() as patch:
            patch.setattr(make.os, "getpid", lambda: 1)
            out = write_dataset(tmp_path / "data", {"train": 1}, 32)
        (out / "train" / "0001.png").write_bytes(b"in use")

    write_dataset(tmp_path / "data", {"train": 1}, 32, progress=other_process)
    assert files(tmp_path) == ["data/dataset.json", "data/train/0001.png"]
    assert (tmp_path / "data" / "train" / "0001.png").read_bytes() == b"in use"


def test_a_failed_remake_puts_the_old_dataset_back(tmp_path, monkeypatch):
    out = default_dataset(tmp_path, size=32, train=1, val=1, progress=quiet)
    rename, before = Path.rename, files(tmp_path)

    def refuse(source, target):
        if str(source).endswith(".partial"):
            raise PermissionError("no")
        return rename(source, target)

    monkeypatch.setattr(Path, "rename", refuse)
    with pytest.raises(PermissionError):
        default_dataset(tmp_path, size=32, train=2, val=1, progress=quiet)
    assert files(tmp_path) == before
    assert out.is_dir()


@pytest.mark.parametrize("unpaired", [False, True])
def test_bad_arguments_are_refused_before_anything_is_written(tmp_path, unpaired):
    out = tmp_path / "deep" / "data"
    with pytest.raises(ValueError, match="png, jpg; got 'gif'"):
        write_dataset(out, {"train": 1}, 32, format="gif", unpaired=unpaired)
    with pytest.raises(ValueError, match=r"number of val .* got -1"):
        write_dataset(out, {"train": 1, "val": -1}, 32, unpaired=unpaired)
    assert list(tmp_path.iterdir()) == []


# The dataset that is made when none is given


def quiet(done: int, total: int) -> None:
    """Take progress and show nothing."""


def test_the_default_dataset_is_made_once(tmp_path):
    out = default_dataset(tmp_path, size=32, train=2, val=1, progress=quiet)
    assert out == tmp_path / "facades_32"
    (out / "train" / "0001.png").write_bytes(b"touched")
    calls = []
    default_dataset(tmp_path, size=32, train=2, val=1, progress=lambda *call: calls.append(call))
    assert (out / "train" / "0001.png").read_bytes() == b"touched"
    assert calls == []


@pytest.mark.parametrize("change", ["version", "counts"])
def test_a_default_dataset_of_another_version_or_size_is_made_anew(tmp_path, monkeypatch, change):
    out = default_dataset(tmp_path, size=32, train=1, val=1, progress=quiet)
    if change == "version":
        monkeypatch.setattr(make, "FACADES_VERSION", FACADES_VERSION + 1)
    train = 1 if change == "version" else 2
    (out / "train" / "0001.png").write_bytes(b"old")
    default_dataset(tmp_path, size=32, train=train, val=1, progress=quiet)
    assert (out / "train" / "0001.png").read_bytes() != b"old"
    assert len(files(out)) == 1 + train + 1
    assert [path.name for path in tmp_path.iterdir()] == ["facades_32"]


def test_an_interrupted_remake_keeps_the_old_default_dataset(tmp_path):
    def stop(done: int, total: int) -> None:
        raise KeyboardInterrupt

    out = default_dataset(tmp_path, size=32, train=1, val=1, progress=quiet)
    before = files(tmp_path)
    with pytest.raises(KeyboardInterrupt):
        default_dataset(tmp_path, size=32, train=2, val=1, progress=stop)
    assert files(tmp_path) == before
    assert json.loads((out / "dataset.json").read_text())["counts"] == {"train": 1, "val": 1}


def test_the_default_dataset_never_replaces_foreign_files(tmp_path):
    (tmp_path / "facades_32").mkdir()
    (tmp_path / "facades_32" / "mine.txt").write_text("mine")
    with pytest.raises(FileExistsError, match="not a facades dataset"):
        default_dataset(tmp_path, size=32, train=1, val=1, progress=quiet)
    assert files(tmp_path) == ["facades_32/mine.txt"]


def test_the_default_dataset_shows_a_bar(tmp_path, capsys):
    default_dataset(tmp_path, size=32, train=1, val=1)
    assert "2/2" in capsys.readouterr().err


def test_the_default_unpaired_dataset_is_made_once(tmp_path):
    calls, small = [], {"size": 32, "train": 2, "val": 1}
    out = default_unpaired_dataset(tmp_path, **small, progress=lambda *call: calls.append(call))
    assert out == tmp_path / "day_night_32"
    assert calls == [(done, 6) for done in range(1, 7)]
    before = {name: (out / name).read_bytes() for name in files(out)}
    assert default_unpaired_dataset(tmp_path, **small, progress=calls.append) == out
    assert len(calls) == 6
    assert len({before[name] for name in before if name.endswith(".png")}) == 6
    default_unpaired_dataset(tmp_path, **small, base_seed=1, progress=quiet)
    assert (out / "trainA" / "0001.png").read_bytes() != before["trainA/0001.png"]


def test_an_interrupted_default_unpaired_dataset_leaves_nothing(tmp_path):
    def stop(done: int, total: int) -> None:
        if done == 3:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        default_unpaired_dataset(tmp_path, size=32, train=2, val=1, progress=stop)
    assert list(tmp_path.iterdir()) == []


def test_the_default_unpaired_dataset_never_replaces_foreign_files(tmp_path):
    (tmp_path / "day_night_64").mkdir()
    (tmp_path / "day_night_64" / "mine.txt").write_text("mine")
    with pytest.raises(FileExistsError, match="not a facades dataset"):
        default_unpaired_dataset(tmp_path, train=1, val=1, progress=quiet)
    assert files(tmp_path) == ["day_night_64/mine.txt"]


# The command


def test_the_command_writes_and_says_where(tmp_path, capsys):
    out, flags = tmp_path / "data", "--train 2 --val 1 --test 1 --size 32 --seed 9"
    assert main(["--out", str(out), *flags.split()]) == 0
    captured = capsys.readouterr()
    assert str(out) in captured.out
    assert "4 pairs (2 train, 1 val, 1 test)" in captured.out
    assert "4/4" in captured.err
    assert len(files(out)) == 5


def test_the_command_writes_day_and_night(tmp_path, capsys):
    out, flags = tmp_path / "data", "--train 2 --val 1 --test 1 --size 32 --format jpg --unpaired"
    assert main(["--out", str(out), *flags.split()]) == 0
    captured = capsys.readouterr()
    assert captured.out == (
        f"{out} holds 4 pictures by day in A and 4 others by night in B "
        "(2 train, 1 val, 1 test of each), each 32x32\n"
    )
    assert "8/8" in captured.err
    folders = sorted(path.name for path in out.iterdir() if path.is_dir())
    assert folders == ["testA", "testB", "trainA", "trainB", "valA", "valB"]
    with Image.open(out / "trainB" / "0002.jpg") as image:
        assert image.size == (32, 32)


def test_the_help_explains_unpaired(capsys):
    with pytest.raises(SystemExit) as end:
        main(["--help"])
    assert end.value.code == 0
    assert "by night in out/trainB" in " ".join(capsys.readouterr().out.split())


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--unpaired", "--train", "500001"], "got 500001"),
        (["--unpaired", "--size", "100"], "use 96 or 112"),
        (["--size", "100"], "use 96 or 112"),
        (["--size", "big"], "invalid int value"),
        (["--train", "-1"], "got -1"),
        (["--seed", "-3"], "got -3"),
        (["--format", "gif"], "gif"),
    ],
)
def test_bad_input_gives_status_2_and_one_line(tmp_path, arguments, said):
    command = [sys.executable, "-m", "pix2pix_lib.facades", "--out", str(tmp_path / "data")]
    command += arguments
    result = subprocess.run(command, capture_output=True, text=True, cwd=ROOT, check=False)
    assert result.returncode == 2
    assert result.stdout == ""
    assert len(result.stderr.splitlines()) == 1
    assert result.stderr.startswith("error: ")
    assert said in result.stderr
    assert list(tmp_path.iterdir()) == []


def test_an_unwritable_place_gives_status_2(tmp_path, capsys):
    (tmp_path / "file").write_text("a file")
    assert main(["--out", str(tmp_path / "file" / "data"), "--train", "1"]) == 2
    assert re.fullmatch(r"error: [^\n]*file[^\n]*\n", capsys.readouterr().err)


def test_a_foreign_folder_gives_status_2(tmp_path, capsys):
    (tmp_path / "mine.txt").write_text("mine")
    assert main(["--out", str(tmp_path), "--train", "1"]) == 2
    assert re.fullmatch(r"error: .* choose another folder\n", capsys.readouterr().err)


def test_an_interrupted_command_says_so(tmp_path, capsys, monkeypatch):
    def stop(picture, path):
        raise KeyboardInterrupt

    monkeypatch.setattr(make, "_save_picture", stop)
    assert main(["--out", str(tmp_path / "data"), "--train", "1", "--size", "32"]) == 130
    assert capsys.readouterr().err == f"interrupted; {tmp_path / 'data'} was not made\n"
    assert list(tmp_path.iterdir()) == []


@pytest.mark.skipif(sys.platform == "win32", reason="Windows sends no SIGINT to one process")
def test_ctrl_c_ends_the_command_with_one_line_after_the_bar(tmp_path):
    command = [sys.executable, "-m", "pix2pix_lib.facades", "--out", str(tmp_path / "data")]
    options = {"stderr": subprocess.PIPE, "text": True, "bufsize": 1, "cwd": ROOT}
    with subprocess.Popen(command, **options) as process:
        first = process.stderr.read(1)  # the bar has appeared, so pairs are being drawn
        process.send_signal(signal.SIGINT)
        said = first + process.stderr.read()
    assert process.returncode == 130
    assert "Traceback" not in said
    assert said.splitlines()[-1] == f"interrupted; {tmp_path / 'data'} was not made"
    assert list(tmp_path.iterdir()) == []


# The sample that ships


def test_the_sample_is_what_the_documented_command_makes():
    manifest = json.loads((SAMPLE / "dataset.json").read_text())
    assert manifest == make._manifest({"train": 28, "val": 6, "test": 6}, 256, 0, "jpg")
    readme = (SAMPLE.parent / "README.md").read_text()
    assert "--out data/sample --train 28 --val 6 --test 6 --size 256 --format jpg" in readme
    for split, count in manifest["counts"].items():
        assert len(list((SAMPLE / split).iterdir())) == count
        for number, seed in enumerate(split_seeds(split, count), start=1):
            photo, label = halves(SAMPLE / split / f"{number:04d}.jpg")
            pair = make_pair(seed, 256)
            assert (colour_to_classes(label) == pair.classes).mean() > 0.995
            assert np.abs(photo.astype(int) - pair.photo).mean() < 5


def test_the_sample_is_small():
    assert sum(path.stat().st_size for path in SAMPLE.rglob("*") if path.is_file()) < 3_000_000


def test_the_readme_lists_every_class_with_its_colour():
    readme = (SAMPLE.parent / "README.md").read_text()
    for index, (name, colour) in enumerate(zip(CLASS_NAMES, CLASS_COLOURS, strict=True)):
        assert f"| {index} | {name} | {', '.join(map(str, colour))} |" in readme


# Speed


def test_drawing_is_fast_enough():
    """The bound is generous; benchmarks/facades.py takes the measurements."""

    def rate() -> float:
        start = time.process_time()
        for seed in range(10):
            make_pair(seed, 128)
        return 10 / (time.process_time() - start)

    best = max(rate() for _ in range(3))
    print(f"{best:.0f} pairs per second")
    assert best > 20
