"""The dataset's explorer shows what PairedDataset returns, and where in the file it came from."""

import random

import pytest
import torch
from PIL import ImageColor

from pix2pix_lib.data import Jitter, PairedDataset, apply_jitter
from pix2pix_lib.explorers.dataset import (
    COLOURS,
    FIELD,
    SAMPLE,
    SIDE,
    DatasetExplorer,
    box_in_file,
    draw_jitters,
)
from pix2pix_lib.images import to_float, to_pil, write_image
from pix2pix_lib.layouts import Pair, find_pairs

START = {"index": 0, "direction": "BtoA", "seed": 0, "load_size": 143, "flip": True,
         "together": True}  # fmt: skip
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
        pictures = [picture.image.tobytes() for picture in view.rows[1][:2]]
        assert pictures == [to_pil(image).tobytes() for image in expected]


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
    frame_b = numbers["box_b"], TARGET, True
    frame_a = numbers["box_a"], INPUT, False
    for picture, (box, colour, flipped) in zip(view.rows[0], (frame_b, frame_a)):
        image = picture.draw()
        top, left, bottom, right = (edge * SIDE / 256 for edge in box)
        middle = (top + bottom) / 2
        sides = (left + 1, middle), (right - 2, middle), ((left + right) / 2, bottom - 2)
        assert all(image.getpixel((int(x), int(y))) == colour for x, y in sides)
        corners = [(int(x), int(top + 4)) for x in (left + 4, right - 5)]
        assert [image.getpixel(corner) == colour for corner in corners] == [not flipped, flipped]


def test_what_the_networks_get_is_marked_in_its_upper_left_corner(explorer):
    for picture, colour in zip(explorer.set(**START).rows[1], (INPUT, TARGET)):
        image = picture.draw()
        assert image.getpixel((3, 3)) == colour != image.getpixel((SIDE - 4, 3))


def test_dots_lie_at_the_corners_of_the_crops(explorer):
    view = explorer.set(**START | {"together": False})
    chart, (low, high) = view.rows[0][2].draw(), FIELD
    for corner, colour in ((view.numbers["corner_a"], INPUT), (view.numbers["corner_b"], TARGET)):
        y, x = (round(low + (high - low) * place / 15) for place in corner)
        assert chart.getpixel((x, y)) == colour


def test_direction_changes_the_roles_and_not_the_file(explorer):
    one, other = explorer.set(**START), explorer.set(direction="AtoB")
    assert one.numbers | {"input_is_a": True} == other.numbers and not one.numbers["input_is_a"]
    real_a, real_b = explorer.item(**START)
    swapped = explorer.item(**START | {"direction": "AtoB"})
    assert torch.equal(real_a, swapped[1]) and torch.equal(real_b, swapped[0])
    assert "B is the input" in one.text and "A is the input" in other.text
    for view, roles in ((one, ("target", "input")), (other, ("input", "target"))):
        titles = [picture.title for picture in view.rows[0][:2]]
        assert titles == [f"{n} in file 0001: the {role}" for n, role in zip("AB", roles)]
    files = [[picture.image.tobytes() for picture in v.rows[0][:2]] for v in (one, other)]
    assert files[0] == files[1] and files[0][0] != files[0][1]


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
        assert view.image.size == views[0].image.size  # nothing jumps
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
