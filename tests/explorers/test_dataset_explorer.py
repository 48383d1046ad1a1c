"""The dataset's explorer shows what PairedDataset returns, and where in the file it came from."""

import random

import pytest
import torch
from PIL import ImageColor

from pix2pix_lib.data import Jitter, Pair, PairedDataset, apply_jitter, find_pairs
from pix2pix_lib.explorers.dataset import (
    COLOURS,
    CROP_SIDE,
    FILE_SIDE,
    SAMPLE,
    DatasetExplorer,
    box_in_file,
    draw_jitters,
)
from pix2pix_lib.images import to_float, to_pil, write_image

START = {"index": 0, "direction": "BtoA", "seed": 0, "load_size": 143, "flip": True,
         "together": True}  # fmt: skip
TITLE, GAP = 20, 18
RESULT = 2 * FILE_SIDE + 2 * GAP  # the first screen column of real_a
INPUT, TARGET = (ImageColor.getrgb(colour) for colour in COLOURS)


@pytest.fixture(scope="module")
def explorer():
    return DatasetExplorer()


@pytest.fixture(scope="module")
def pairs():
    return find_pairs(SAMPLE, "train")


@pytest.mark.parametrize("direction", ["AtoB", "BtoA"])
@pytest.mark.parametrize(("load_size", "flip"), [(143, True), (128, True), (170, False)])
def test_shows_what_the_dataset_returns_after_the_same_seed(
    explorer, pairs, direction, load_size, flip
):
    options = {"direction": direction, "load_size": load_size, "flip": flip}
    dataset = PairedDataset(pairs, size=128, **options)
    for seed in (0, 1, 7):
        view = explorer.set(**START | options | {"index": seed, "seed": seed})
        torch.manual_seed(seed)
        expected = dataset[seed]
        shown = explorer.item(**explorer.values)
        assert all(torch.equal(x, y) for x, y in zip(shown, expected, strict=True))
        for number, image in enumerate(expected):  # compared below the mark in the corner
            left = RESULT + number * (CROP_SIDE + GAP)
            shown = view.image.crop((left, TITLE + 20, left + CROP_SIDE, TITLE + CROP_SIDE))
            assert shown.tobytes() == to_pil(image).crop((0, 20, CROP_SIDE, CROP_SIDE)).tobytes()


@pytest.mark.parametrize("flipped", [False, True])
def test_box_in_the_file_holds_the_pixels_of_the_crop(flipped):
    file_image = torch.arange(4 * 6).reshape(1, 4, 6)
    resized = file_image.repeat_interleave(3, 1).repeat_interleave(2, 2)  # 4x6 to 12x12
    crop = apply_jitter(resized, Jitter(3, 4, flipped), (6, 6))
    top, left, bottom, right = box_in_file(Jitter(3, 4, flipped), 6, 12, 4, 6)
    assert (top, left, bottom, right) == (1, 2, 3, 5)
    assert set(crop.flatten().tolist()) == set(file_image[0, 1:3, 2:5].flatten().tolist())


def test_frames_lie_on_the_crops_and_mark_the_corner_that_becomes_the_upper_left(explorer):
    view = explorer.set(**START | {"load_size": 192, "seed": 5, "together": False})
    numbers = view.numbers
    assert numbers["flipped_b"] and not numbers["flipped_a"] and not numbers["fits"]
    frame_b = numbers["box_b"], TARGET, True, 0
    frame_a = numbers["box_a"], INPUT, False, FILE_SIDE + GAP
    for box, colour, flipped, first in (frame_b, frame_a):
        top, left, bottom, right = (round(edge) for edge in box)
        middle = TITLE + (top + bottom) // 2
        assert view.image.getpixel((first + left + 1, middle)) == colour
        assert view.image.getpixel((first + right - 2, middle)) == colour
        assert view.image.getpixel((first + (left + right) // 2, TITLE + bottom - 2)) == colour
        corners = [(first + x, TITLE + top + 5) for x in (left + 5, right - 6)]
        marked = [view.image.getpixel(corner) == colour for corner in corners]
        assert marked == [not flipped, flipped]


def test_dots_lie_at_the_corners_of_the_crops(explorer):
    left, top = RESULT, TITLE + CROP_SIDE + GAP + TITLE
    view = explorer.set(**START | {"together": False})
    low, high = 32, CROP_SIDE - 12
    for corner, colour in ((view.numbers["corner_a"], INPUT), (view.numbers["corner_b"], TARGET)):
        y, x = (round(low + (high - low) * place / 15) for place in corner)
        assert view.image.getpixel((left + x, top + y)) == colour


def test_direction_changes_the_roles_and_not_the_file(explorer):
    one, other = explorer.set(**START), explorer.set(direction="AtoB")
    assert one.numbers | {"input_is_a": True} == other.numbers and not one.numbers["input_is_a"]
    real_a, real_b = explorer.item(**START)
    swapped = explorer.item(**START | {"direction": "AtoB"})
    assert torch.equal(real_a, swapped[1]) and torch.equal(real_b, swapped[0])
    assert "B is the input" in one.text and "A is the input" in other.text


def test_two_draws_ruin_the_pair_and_the_words_say_so(explorer):
    together, apart = explorer.set(**START), explorer.set(together=False)
    assert together.numbers["fits"] and "They fit" in together.text
    assert not apart.numbers["fits"] and "ruined" in apart.text and "do not fit" in apart.alt
    assert apart.numbers["corner_a"] == together.numbers["corner_a"]  # the first draw is the same
    seed = next(s for s in range(10_000) if len(set(draw_jitters(s, 129, 128, True, False))) == 1)
    lucky = explorer.draw(**START | {"seed": seed, "load_size": 129, "together": False})
    assert "By chance they fit" in lucky.text


def test_without_room_nothing_is_cropped(explorer):
    numbers = explorer.set(**START | {"load_size": 128, "flip": False}).numbers
    assert numbers["corner_a"] == (0, 0) and numbers["box_a"] == (0, 0, 256, 256)
    assert not numbers["flipped_a"]


def test_random_numbers_of_the_caller_go_on(explorer):
    torch.manual_seed(1)
    expected = torch.rand(3)
    torch.manual_seed(1)
    explorer.set(**START | {"seed": 9})
    assert torch.equal(torch.rand(3), expected)


def test_any_setting_shows_a_view_and_words_follow(explorer):
    random.seed(0)
    views = []
    for _ in range(30):
        view = explorer.set(
            index=random.randint(*explorer.range("index")),
            seed=random.randint(0, 99),
            flip=random.random() < 0.5,
            load_size=random.randint(128, 192),
            together=random.random() < 0.5,
            direction=random.choice(["AtoB", "BtoA"]),
        )
        views.append(view)
        assert views[-1].image.size == (2 * FILE_SIDE + 3 * GAP + 2 * CROP_SIDE, 314)
    assert len({view.text for view in views}) == len({view.alt for view in views}) == len(views)


def test_own_pairs_need_not_be_square(tmp_path):
    generator = torch.Generator().manual_seed(0)
    image = to_float(torch.randint(256, (3, 60, 90), generator=generator).to(torch.uint8))
    write_image(tmp_path / "a.png", image)
    write_image(tmp_path / "b.png", image.flip(1))
    explorer = DatasetExplorer([Pair(tmp_path / "a.png", tmp_path / "b.png")], size=32)
    view = explorer.set(load_size=48, seed=3)
    (top, left), box = view.numbers["corner_a"], view.numbers["box_a"]
    assert box == (top * 60 / 48, left * 90 / 48, (top + 32) * 60 / 48, (left + 32) * 90 / 48)
    assert view.numbers["file_size"] == (60, 90) and "60x90 to 48x48" in view.text


@pytest.mark.parametrize(
    ("arguments", "words"), [({"pairs": []}, "got 0 pairs"), ({"size": 8}, "size 8")]
)
def test_wrong_argument_is_named(arguments, words):
    with pytest.raises(ValueError, match=words):
        DatasetExplorer(**arguments)
