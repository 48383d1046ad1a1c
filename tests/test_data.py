"""Pairs of images: found, checked, and jittered together.

The oracle for "together" is a picture whose pixels encode where they came from: red holds the row,
green the column. Two such pictures, which differ only in blue, must show the same rows and columns
everywhere after any jitter.
"""

import os
import random
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image
from torch.utils.data import DataLoader

from pix2pix_lib import data, facades
from pix2pix_lib.data import (
    Jitter,
    PairedDataset,
    UnpairedDataset,
    apply_jitter,
    draw_jitter,
    pair_size,
    read_pair,
)
from pix2pix_lib.facades import facade_tensors
from pix2pix_lib.images import read_image, read_values, to_float, to_grey, to_uint8
from pix2pix_lib.layouts import Pair, Side, available_splits, find_pairs
from pix2pix_lib.resizing import resize
from pix2pix_lib.validation import InputError

INPUT, TARGET = 10, 200  # what blue holds in the two pictures of a pair
REAL_FACADES = os.environ.get("REAL_FACADES_DIR")


def coordinates(height: int, width: int, blue: int) -> torch.Tensor:
    """Return a picture (3, H, W) uint8 whose pixel (row, column) is (row, column, blue)."""
    rows = torch.arange(height).reshape(-1, 1).expand(height, width)
    columns = torch.arange(width).expand(height, width)
    return torch.stack([rows, columns, torch.full((height, width), blue)]).to(torch.uint8)


def save(path: Path, image: torch.Tensor) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(image.permute(1, 2, 0).numpy()).save(path)
    return path


def save_coordinate_pair(folder: Path, height: int, width: int, name: str = "1") -> Pair:
    """Write A (blue 10) and B (blue 200) to two files."""
    return Pair(
        save(folder / "a" / f"{name}.png", coordinates(height, width, INPUT)),
        save(folder / "b" / f"{name}.png", coordinates(height, width, TARGET)),
    )


def photo_and_label(number: int, size: int = 32) -> tuple[torch.Tensor, torch.Tensor]:
    """Return one procedural facade as (photo, label map), each (3, size, size) uint8."""
    pair = facades.make_pair(number, size)
    photo, label = (torch.from_numpy(picture) for picture in (pair.photo, pair.label))
    return photo.permute(2, 0, 1), label.permute(2, 0, 1)


def error_line(error: pytest.ExceptionInfo, *words: object) -> None:
    """Check that an error's message is one line that contains all these words."""
    text = str(error.value)
    assert "\n" not in text
    for word in words:
        assert str(word) in text, text


# --- jitter: both or neither ----------------------------------------------------------------------


def test_a_flipped_pair_is_flipped_together(tmp_path):
    pair = save_coordinate_pair(tmp_path, 8, 12)
    dataset = PairedDataset([pair], size=None)
    columns = torch.arange(12)
    seen = set()
    torch.manual_seed(0)
    for _ in range(20):
        real_a, real_b = map(to_uint8, dataset[0])
        flipped = bool(real_a[1, 0, 0] == 11)
        seen.add(flipped)
        assert torch.equal(real_a[1, 0], columns.flip(0) if flipped else columns)
        assert torch.equal(real_a[:2], real_b[:2])
        assert (real_a[2, 0, 0], real_b[2, 0, 0]) == (INPUT, TARGET)
    assert seen == {True, False}


@settings(max_examples=100, deadline=None)
@given(
    seed=st.integers(0, 2**32),
    height=st.integers(1, 20),
    width=st.integers(1, 20),
    more_rows=st.integers(0, 5),
    more_columns=st.integers(0, 5),
)
def test_a_cropped_pair_is_cropped_together_and_is_a_window_of_the_original(
    seed, height, width, more_rows, more_columns
):
    load_size, size = (height + more_rows, width + more_columns), (height, width)
    torch.manual_seed(seed)
    jitter = draw_jitter(load_size, size)
    assert 0 <= jitter.top <= more_rows
    assert 0 <= jitter.left <= more_columns
    image_a, image_b = (
        apply_jitter(coordinates(*load_size, blue), jitter, size) for blue in (INPUT, TARGET)
    )
    assert torch.equal(image_a[:2], image_b[:2])
    rows, columns = slice(jitter.top, jitter.top + height), slice(jitter.left, jitter.left + width)
    window = coordinates(*load_size, INPUT).numpy()[:, rows, columns]
    assert np.array_equal(image_a.numpy(), window[:, :, ::-1] if jitter.flipped else window)


def test_the_dataset_crops_both_images_at_the_same_place_in_every_corner(tmp_path):
    pair = save_coordinate_pair(tmp_path, 18, 18)
    dataset = PairedDataset([pair], size=16, load_size=18)
    corners, flips = set(), set()
    torch.manual_seed(0)
    for _ in range(200):
        real_a, real_b = map(to_uint8, dataset[0])
        assert torch.equal(real_a[:2], real_b[:2])
        flips.add(bool(real_a[1, 0, 0] > real_a[1, 0, 1]))
        corners.add((int(real_a[0].min()), int(real_a[1].min())))
    # every place, including the last row and column
    assert corners == {(top, left) for top in range(3) for left in range(3)}
    assert flips == {True, False}


def test_half_of_the_pairs_are_flipped():
    torch.manual_seed(0)
    flips = sum(draw_jitter((286, 286), (256, 256)).flipped for _ in range(2000))
    assert 900 < flips < 1100  # 4.5 standard deviations to each side


def test_without_flip_left_stays_left(tmp_path):
    dataset = PairedDataset([save_coordinate_pair(tmp_path, 8, 12)], size=None, flip=False)
    for _ in range(20):
        assert torch.equal(to_uint8(dataset[0][0])[1, 0], torch.arange(12))


def test_without_jitter_every_reading_is_the_same_and_takes_no_random_number(tmp_path):
    dataset = PairedDataset([save_coordinate_pair(tmp_path, 20, 20)], size=16, jitter=False)
    before = torch.random.get_rng_state()
    first, second = dataset[0], dataset[0]
    assert torch.equal(torch.random.get_rng_state(), before)
    assert all(torch.equal(x, y) for x, y in zip(first, second, strict=True))
    assert torch.equal(to_uint8(first[0]), resize(coordinates(20, 20, INPUT), (16, 16)))


def test_only_torch_seeds_govern_the_jitter(tmp_path):
    dataset = PairedDataset([save_coordinate_pair(tmp_path, 40, 40)], size=32)

    def draw(seed: int, other: int) -> torch.Tensor:
        torch.manual_seed(seed)
        np.random.seed(other)
        random.seed(other)
        return torch.stack([torch.cat(dataset[0]) for _ in range(5)])

    assert torch.equal(draw(1, 2), draw(1, 3))
    assert not torch.equal(draw(1, 2), draw(2, 2))


def test_reading_leaves_the_random_numbers_of_numpy_and_python_alone(tmp_path):
    dataset = PairedDataset([save_coordinate_pair(tmp_path, 40, 40)], size=32)
    before = random.getstate(), np.random.get_state()[1].tobytes()
    dataset[0]
    assert (random.getstate(), np.random.get_state()[1].tobytes()) == before


@pytest.mark.parametrize(
    ("size", "load_size"), [(256, 286), (128, 143), (512, 572), ((128, 256), (143, 286))]
)
def test_the_default_load_size_is_the_papers_286_for_256(tmp_path, size, load_size):
    expected = load_size if isinstance(load_size, tuple) else (load_size, load_size)
    assert PairedDataset([], size=size).load_size == expected


def test_images_are_resized_as_pixels_and_the_range_changes_last(tmp_path):
    pair = save_coordinate_pair(tmp_path, 20, 24)
    real_a, real_b = PairedDataset([pair], size=(16, 32), jitter=False)[0]
    assert real_a.shape == real_b.shape == (3, 16, 32)
    assert torch.equal(real_a, to_float(resize(coordinates(20, 24, INPUT), (16, 32))))
    assert torch.equal(real_b, to_float(resize(coordinates(20, 24, TARGET), (16, 32))))
    assert -1 <= real_a.min() < real_a.max() <= 1
    assert real_a.dtype == torch.float32


@pytest.mark.parametrize("size", [(286, 286), (100, 140)])
def test_resizing_is_pillows_bicubic_with_antialiasing(size):
    photo = facades.make_pair(3, 128).photo
    expected = np.asarray(Image.fromarray(photo).resize(size[::-1], Image.Resampling.BICUBIC))
    resized = resize(torch.from_numpy(photo).permute(2, 0, 1), size).permute(1, 2, 0).numpy()
    # The two round at different stages; bilinear would be off by 25.
    difference = np.abs(resized.astype(int) - expected.astype(int))
    assert difference.max() <= 10
    assert difference.mean() < 0.5


def test_a_constant_image_stays_constant_when_resized_and_the_right_size_is_left_alone():
    image = torch.full((3, 13, 9), 77, dtype=torch.uint8)
    assert torch.equal(resize(image, (20, 21)), torch.full((3, 20, 21), 77, dtype=torch.uint8))
    noise = torch.randint(256, (3, 8, 8)).to(torch.uint8)
    assert torch.equal(resize(noise, (8, 8)), noise)


def test_without_a_size_each_image_keeps_its_own(tmp_path):
    pairs = [save_coordinate_pair(tmp_path, 8, 12, "1"), save_coordinate_pair(tmp_path, 20, 6, "2")]
    dataset = PairedDataset(pairs, size=None)
    assert [tuple(dataset[i][0].shape) for i in range(2)] == [(3, 8, 12), (3, 20, 6)]


# --- sides and channels ---------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("direction", "first", "second"), [("AtoB", INPUT, TARGET), ("BtoA", TARGET, INPUT)]
)
@pytest.mark.parametrize("one_file", [True, False])
def test_the_direction_says_which_side_is_the_input(tmp_path, direction, first, second, one_file):
    pair = save_coordinate_pair(tmp_path, 8, 8)
    if one_file:
        both = torch.cat([coordinates(8, 8, INPUT), coordinates(8, 8, TARGET)], dim=2)
        pair = Pair(save(tmp_path / "ab.png", both))
    real_a, real_b = PairedDataset([pair], direction=direction, size=None, jitter=False)[0]
    assert torch.equal(to_uint8(real_a), coordinates(8, 8, first))
    assert torch.equal(to_uint8(real_b), coordinates(8, 8, second))


@pytest.mark.parametrize("direction", ["AtoB", "BtoA"])
@pytest.mark.parametrize("one_file", [True, False])
@pytest.mark.parametrize(("in_channels", "out_channels"), [(1, 1), (1, 3), (3, 1), (3, 3)])
def test_input_and_target_have_their_own_channels(
    tmp_path, direction, one_file, in_channels, out_channels
):
    photo, label = photo_and_label(3)
    if one_file:
        pair = Pair(save(tmp_path / "ab.png", torch.cat([photo, label], dim=2)))
    else:
        pair = Pair(save(tmp_path / "a.png", photo), save(tmp_path / "b.png", label))
    real_a, real_b = read_pair(pair, direction, in_channels, out_channels)
    before, after = (photo, label) if direction == "AtoB" else (label, photo)
    assert torch.equal(real_a, to_grey(before) if in_channels == 1 else before)
    assert torch.equal(real_b, to_grey(after) if out_channels == 1 else after)


def test_the_dataset_hands_each_side_its_channels(tmp_path):
    pair = save_coordinate_pair(tmp_path, 8, 8)
    for in_channels, out_channels in ((1, 3), (3, 1)):
        dataset = PairedDataset([pair], size=8, in_channels=in_channels, out_channels=out_channels)
        assert [len(image) for image in dataset[0]] == [in_channels, out_channels]


# --- kept in memory -------------------------------------------------------------------------------


@pytest.fixture
def readings(monkeypatch):
    """Record the path of every file that is decoded."""
    paths = []

    def read_and_record(path, *rest):
        paths.append(path)
        return read_values(path, *rest)

    monkeypatch.setattr(data, "read_values", read_and_record)
    return paths


@pytest.mark.parametrize(
    "options",
    [{}, {"in_channels": 1}, {"size": None}, {"size": (32, 48)}, {"direction": "BtoA"}],
    ids=str,
)
def test_in_memory_gives_the_same_bits_as_the_disk(tmp_path, options):
    pictures = [torch.cat(photo_and_label(n, 48), dim=2) for n in range(3)]
    pairs = [Pair(save(tmp_path / f"{n}.png", picture)) for n, picture in enumerate(pictures)]
    options = {"size": 32, **options}

    def read(in_memory: bool) -> list[torch.Tensor]:
        dataset = PairedDataset(pairs, in_memory=in_memory, **options)
        torch.manual_seed(0)
        return [image for _ in range(3) for index in range(3) for image in dataset[index]]

    assert all(torch.equal(x, y) for x, y in zip(read(True), read(False), strict=True))


@pytest.mark.parametrize("channels", [(3, 3), (1, 3)])
def test_in_memory_decodes_each_file_exactly_once(tmp_path, readings, channels):
    pairs = [
        save_coordinate_pair(tmp_path, 20, 20, "1"),
        save_coordinate_pair(tmp_path, 20, 20, "2"),
        Pair(save(tmp_path / "ab.png", torch.cat([coordinates(20, 20, 1)] * 2, dim=2))),
    ]
    options = {"in_channels": channels[0], "out_channels": channels[1]}
    dataset = PairedDataset(pairs, size=16, in_memory=True, **options)
    for _ in range(2):
        for index in range(3):
            dataset[index]
    files = [file for pair in pairs for file in (pair.a, pair.b) if file]
    assert sorted(readings) == sorted(files)


def test_from_disk_each_file_is_decoded_when_it_is_asked_for_and_not_before(tmp_path, readings):
    dataset = PairedDataset([save_coordinate_pair(tmp_path, 20, 20)], size=16)
    assert readings == []
    dataset[0]
    assert len(readings) == 2


def test_what_a_caller_does_to_a_batch_does_not_reach_the_memory(tmp_path):
    pairs = [save_coordinate_pair(tmp_path, 16, 16)]
    dataset = PairedDataset(pairs, size=16, jitter=False, in_memory=True)
    before = dataset[0][0].clone()
    dataset[0][0].zero_()
    assert torch.equal(dataset[0][0], before)


# Python 3.12 and later warn about torch's fork.
@pytest.mark.filterwarnings("ignore:This process:DeprecationWarning")
@pytest.mark.parametrize("workers", [0, 2])
def test_a_loader_makes_batches_that_one_seed_governs(tmp_path, workers):
    pairs = [save_coordinate_pair(tmp_path, 20, 20, str(n)) for n in range(4)]
    dataset = PairedDataset(pairs, size=16)
    loader = DataLoader(dataset, batch_size=2, shuffle=True, num_workers=workers)

    def epoch() -> list[torch.Tensor]:
        torch.manual_seed(3)
        return [image for batch in loader for image in batch]

    first, second = epoch(), epoch()
    assert [tuple(image.shape) for image in first] == [(2, 3, 16, 16)] * 4
    assert all(torch.equal(x, y) for x, y in zip(first, second, strict=True))


# --- mistakes -------------------------------------------------------------------------------------


@pytest.mark.parametrize("in_memory", [True, False])
def test_images_of_unequal_size_are_refused_before_the_training_starts(tmp_path, in_memory):
    file_a = save(tmp_path / "a.png", coordinates(4, 6, 0))
    pair = Pair(file_a, save(tmp_path / "b.png", coordinates(6, 4, 0)))
    with pytest.raises(ValueError, match="one size") as error:
        PairedDataset([pair], size=4, in_memory=in_memory)
    error_line(error, f"{pair.a} is 6x4", f"{pair.b} is 4x6", "resize one of them")


def test_unequal_sizes_are_noticed_when_a_file_changes_after_the_check(tmp_path):
    pair = save_coordinate_pair(tmp_path, 8, 8)
    dataset = PairedDataset([pair], size=8)
    save(pair.b, coordinates(8, 10, TARGET))
    with pytest.raises(ValueError, match="10x8"):
        dataset[0]


def test_a_side_by_side_file_of_odd_width_is_refused(tmp_path):
    pair = Pair(save(tmp_path / "ab.png", coordinates(4, 7, 0)))
    ways = [
        pair_size,
        lambda pair: read_pair(pair, "AtoB"),
        lambda pair: PairedDataset([pair], size=4),
    ]
    for read in ways:
        with pytest.raises(ValueError, match="side by side") as error:
            read(pair)
        error_line(error, pair.a, "7 pixels wide", "choose another layout (folders, cmp)")


@pytest.mark.parametrize("in_memory", [True, False])
def test_an_unreadable_file_is_named_before_the_training_starts(tmp_path, in_memory):
    path = tmp_path / "1.png"
    path.write_text("this is text")
    with pytest.raises(ValueError, match="not a readable image") as error:
        PairedDataset(find_pairs(tmp_path), in_memory=in_memory)
    error_line(error, path, "replace the file or remove it")


def test_a_file_that_vanished_is_named(tmp_path):
    pair = save_coordinate_pair(tmp_path, 4, 4)
    pair.b.unlink()
    with pytest.raises(FileNotFoundError) as error:
        PairedDataset([pair], size=4)
    error_line(error, pair.b, "no such file")


def test_an_exif_turn_on_one_side_is_named(tmp_path):
    """The label map was drawn over the pixels as they are stored."""
    pair = save_coordinate_pair(tmp_path, 20, 24)
    turned = Image.Exif()
    turned[0x0112] = 6
    with Image.open(pair.a) as picture:
        picture.save(pair.a, exif=turned)
    with pytest.raises(ValueError, match="must have one size") as error:
        PairedDataset([pair], size=16)
    error_line(error, "a/1.png is 20x24", "b/1.png is 24x20", "EXIF data of 1.png turn it (orient")


def test_images_are_read_in_order_and_the_first_error_ends_it(tmp_path):
    done = []
    assert data.in_parallel(lambda n: n * n, range(50), lambda *n: done.append(n)) == [
        n * n for n in range(50)
    ]
    assert done == [(n, 50) for n in range(1, 51)]
    begun = []

    def fail(number):
        begun.append(number)
        if number == 3:
            raise InputError("three")

    with pytest.raises(InputError, match="three"):
        data.in_parallel(fail, range(10_000))
    assert len(begun) < 10_000  # what had not begun is left


@pytest.mark.parametrize("in_memory", [True, False])
def test_crop_and_fit_keep_both_sides_together(tmp_path, in_memory):
    """Whatever the frame, the same pixels of both sides lie over one another."""
    pair = save_coordinate_pair(tmp_path, 40, 90)
    for mode in ("stretch", "crop", "fit", "scale-width", "none"):
        for jitter in (True, False):
            dataset = PairedDataset(
                [pair], size=(32, 32), resize=mode, jitter=jitter, in_memory=in_memory
            )
            real_a, real_b = dataset[0]
            assert real_a.shape == (3, 32, 32) and torch.equal(real_a[:2], real_b[:2])
    whole = PairedDataset([pair], size=(32, 32), resize="none", jitter=False)[0][0]
    middle = coordinates(40, 90, INPUT)[:, 4:36, 29:61]
    assert torch.equal(whole, to_float(middle))


def test_a_file_that_is_cut_short_is_found_before_the_training(tmp_path):
    noise = torch.randint(256, (3, 64, 64), generator=torch.Generator().manual_seed(0))
    pairs = [Pair(save(tmp_path / f"{n}.png", noise.to(torch.uint8))) for n in range(3)]
    dataset = PairedDataset(pairs, size=16)
    dataset.check_whole()
    whole = pairs[1].a.read_bytes()
    pairs[1].a.write_bytes(whole[: len(whole) // 2])
    PairedDataset(pairs, size=16)  # its header is there
    with pytest.raises(ValueError, match="not a readable image") as error:
        dataset.check_whole()
    error_line(error, pairs[1].a, "replace the file")


@pytest.mark.parametrize(
    ("size", "shown"),
    [(100, "100x100"), (None, "24x20"), ((16, 24), "24x16"), ((24, 16), "16x24")],
)
def test_a_size_that_the_network_cannot_take_is_refused(tmp_path, size, shown):
    pair = save_coordinate_pair(tmp_path, 20, 24)
    with pytest.raises(ValueError, match="multiples of 16") as error:
        PairedDataset([pair], size=size, multiple_of=16)
    error_line(error, pair.a, shown, "smaller depth")
    assert len(PairedDataset([pair], size=(16, 32), multiple_of=16)) == 1


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"direction": "AtoA"}, "direction must be one of AtoB, BtoA"),
        ({"size": 0}, "must be positive"),
        ({"size": (4, -1)}, "4x-1"),
        ({"size": (-1, 4)}, "-1x4"),
        ({"size": 16, "load_size": 15}, "at least size.* 15x15 for 16x16"),
        ({"size": (16, 32), "load_size": (40, 31)}, "40x31 for 16x32"),
        ({"size": (16, 32), "load_size": (15, 40)}, "15x40 for 16x32"),
        ({"size": None, "load_size": 286}, "load_size needs a size"),
        ({"in_channels": 0}, "channels must be at least 1"),
        ({"out_channels": -1}, "channels must be at least 1"),
        ({"resize": "squeeze"}, "resize must be one of stretch, crop"),
    ],
    ids=str,
)
def test_options_out_of_range_are_refused(options, words):
    with pytest.raises(ValueError, match=words):
        PairedDataset([], **options)


def test_an_index_beyond_the_end_ends_a_loop(tmp_path):
    pairs = [save_coordinate_pair(tmp_path, 4, 4, name) for name in "12"]
    for in_memory in (True, False):
        assert len(list(PairedDataset(pairs, size=4, in_memory=in_memory))) == 2


# --- facades --------------------------------------------------------------------------------------


def test_facade_tensors_are_label_map_and_photo_of_one_seed():
    label, photo = facade_tensors(7, 64, photo_seed=2)
    pair = facades.make_pair(7, 64, 2)
    assert np.array_equal(to_uint8(label).permute(1, 2, 0), pair.label)
    assert np.array_equal(to_uint8(photo).permute(1, 2, 0), pair.photo)


@pytest.mark.skipif(not REAL_FACADES, reason="the real facades need REAL_FACADES_DIR")
def test_real_facades_read_as_labels_to_photos():
    root = Path(REAL_FACADES)
    pairs = {split: find_pairs(root, split) for split in available_splits(root)}
    assert {split: len(found) for split, found in pairs.items()} == {"train": 360, "val": 40}
    dataset = PairedDataset(pairs["val"], direction="BtoA", jitter=False)

    def distance_to_classes(image: torch.Tensor) -> float:
        """Return the mean distance in RGB to the nearest class colour."""
        pixels = to_uint8(image).permute(1, 2, 0).numpy()
        nearest = facades.CLASS_COLOURS[facades.colour_to_classes(pixels)]
        return float(np.sqrt(((pixels.astype(float) - nearest) ** 2).sum(axis=2)).mean())

    for label, photo in (dataset[index] for index in range(0, 40, 4)):
        assert label.shape == photo.shape == (3, 256, 256)
        assert distance_to_classes(label) < 60  # JPEG blurs the edges: 15 to 43
        assert distance_to_classes(photo) > 100


def test_a_jitter_can_be_made_by_hand():
    jittered = apply_jitter(coordinates(6, 6, 0), Jitter(2, 1, True), (3, 4))
    assert jittered[:2, 0].tolist() == [[2, 2, 2, 2], [4, 3, 2, 1]]


# --- unpaired -------------------------------------------------------------------------------------


def numbered_images(folder: Path, numbers: range, blue: int, size: int = 8) -> list[Side]:
    """Write pictures whose red channel is their number and whose green channel is the column."""
    found = []
    for number in numbers:
        image = coordinates(size, size, blue)
        image[0] = number
        found.append(Side(save(folder / f"{blue}_{number:02}.png", image)))
    return found


def numbers_of(pair: tuple[torch.Tensor, torch.Tensor]) -> tuple[int, int]:
    return tuple(int(to_uint8(image)[0, 0, 0]) for image in pair)


def test_a_domain_without_images_is_refused(tmp_path):
    with pytest.raises(ValueError, match="images of both domains; one of them has none"):
        UnpairedDataset([], numbered_images(tmp_path, range(1), TARGET), size=8)


@pytest.mark.parametrize(("count_a", "count_b"), [(6, 4), (4, 6), (5, 5)])
@pytest.mark.parametrize("in_memory", [True, False])
def test_an_epoch_has_each_image_of_the_larger_domain_once_and_draws_the_other(
    count_a, count_b, in_memory, tmp_path
):
    torch.manual_seed(0)
    dataset = UnpairedDataset(
        numbered_images(tmp_path, range(count_a), INPUT),
        numbered_images(tmp_path, range(count_b), TARGET),
        size=8,
        in_memory=in_memory,
    )
    larger = 1 if count_b > count_a else 0
    epochs = [[numbers_of(dataset[index]) for index in range(len(dataset))] for _ in range(40)]
    for epoch in epochs:
        assert [pair[larger] for pair in epoch] == list(range(max(count_a, count_b)))
    partners = [pair[1 - larger] for epoch in epochs for pair in epoch]
    shares = [partners.count(number) / len(partners) for number in range(min(count_a, count_b))]
    assert sum(shares) == pytest.approx(1) and max(shares) < 2 * min(shares)
    # and there are no fixed pairs
    assert len({tuple(pair[1 - larger] for pair in epoch) for epoch in epochs}) > 30


def test_unpaired_images_are_cropped_and_mirrored_each_on_its_own(tmp_path):
    torch.manual_seed(0)
    dataset = UnpairedDataset(
        [Side(save(tmp_path / "a.png", coordinates(32, 32, INPUT)))],
        [Side(save(tmp_path / "b.png", coordinates(32, 32, TARGET)))],
        size=16,
        load_size=32,
    )
    corners, flips = [], []
    for _ in range(60):
        places = [to_uint8(image).int() for image in dataset[0]]
        corners.append([(int(p[0, 0, 0]), int(p[1].min())) for p in places])
        flips.append([bool(p[1, 0, 0] > p[1, 0, -1]) for p in places])
    assert sum(a != b for a, b in corners) > 50
    both = (False, True)
    assert {tuple(pair) for pair in flips} == {(a, b) for a in both for b in both}


def test_without_jitter_unpaired_items_are_counted_round(tmp_path):
    dataset = UnpairedDataset(
        numbered_images(tmp_path, range(2), INPUT),
        numbered_images(tmp_path, range(5), TARGET),
        size=8,
        jitter=False,
    )
    numbers = [numbers_of(dataset[index]) for index in range(len(dataset))]
    assert numbers == [(0, 0), (1, 1), (0, 2), (1, 3), (0, 4)]


def test_direction_and_channels_of_unpaired_images(tmp_path):
    a, b = numbered_images(tmp_path, range(1), INPUT), numbered_images(tmp_path, range(1), TARGET)
    real_a, real_b = UnpairedDataset(a, b, size=8, direction="BtoA", in_channels=1, jitter=False)[0]
    assert real_a.shape == (1, 8, 8) and real_b.shape == (3, 8, 8)
    assert torch.equal(real_a, to_float(to_grey(read_image(b[0].file))))
    for options, words in (
        ({"in_channels": 0}, "channels must be at least 1"),
        ({"direction": "ab"}, "direction"),
        ({"multiple_of": 16}, "its size would be 8x8"),
        ({"load_size": 4}, "load_size must be"),
    ):
        with pytest.raises(ValueError, match=words):
            UnpairedDataset(a, b, **{"size": 8, **options})


def test_unreadable_unpaired_file_is_named_before_the_training(tmp_path):
    sides_a = numbered_images(tmp_path, range(1), INPUT)
    (tmp_path / "broken.png").write_bytes(b"no picture")
    with pytest.raises(ValueError, match=r"broken\.png"):
        UnpairedDataset(sides_a, [Side(tmp_path / "broken.png")], size=8)
