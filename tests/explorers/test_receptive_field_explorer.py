"""The receptive field's explorer: boxes and maps as in torch, the frame on the box, no dead end."""

import random

import pytest
import torch
from PIL import ImageColor

from pix2pix_lib.explorers.receptive_field import (
    FRAME,
    MARGIN,
    SIDE,
    ReceptiveFieldExplorer,
    describe_gradient,
    make_chain,
    map_sizes,
    window,
)
from pix2pix_lib.patchgan import PatchDiscriminator
from pix2pix_lib.plots import VERMILLION
from pix2pix_lib.receptive_field import PixelBox, footprint_box, gradient_footprint, receptive_field

SHAPES = [
    (3, 2, 4, 2, 1), (4, 1, 3, 2, 1), (2, 0, 7, 1, 3), (3, 2, 5, 1, 0),
    (2, 1, 2, 3, 2), (3, 2, 4, 3, 1), (1, 1, 1, 1, 3), (2, 2, 7, 3, 3),
]  # fmt: skip
NAMES = ("layers", "last", "kernel", "stride", "padding")
TITLE = 20  # screen pixels above the panels


@pytest.fixture(scope="module")
def explorer():
    return ReceptiveFieldExplorer()


def test_first_chain_is_the_70x70_patchgan(explorer):
    discriminator = PatchDiscriminator(base_channels=2)
    assert receptive_field(make_chain(3, 2, 4, 2, 1)) == receptive_field(discriminator)
    numbers = explorer.set(layers=3, last=2, kernel=4, stride=2, padding=1, row=14, col=1).numbers
    assert (numbers["size"], numbers["stride"], numbers["start"]) == (70, 8, -23)
    assert numbers["map"] == (30, 30)
    assert numbers["box"] == (89, -15, 159, 55) and numbers["clipped"] == (89, 0, 159, 55)
    without_norm = PatchDiscriminator(base_channels=2, norm="none")
    footprint = gradient_footprint(without_norm, torch.zeros(1, 6, 256, 256), 14, 1)
    assert PixelBox(*numbers["measured"]) == footprint_box(footprint)
    assert not numbers["inside"] and numbers["agrees"]


@pytest.mark.parametrize("shape", SHAPES)
def test_maps_are_as_large_as_torch_makes_them(shape):
    chain, x, sizes = make_chain(*shape), torch.zeros(1, 1, 90, 67), [(90, 67)]
    for layer in chain:
        if min(x.shape[2:]) + 2 * layer.padding[0] < layer.kernel_size[0]:  # torch would refuse
            sizes.append((0, 0))
            break
        x = layer(x)
        sizes.append(tuple(x.shape[2:]))
    assert map_sizes(chain, (90, 67)) == tuple(sizes)


@pytest.mark.parametrize("shape", SHAPES)
def test_footprint_of_the_window_is_that_of_the_whole_picture(shape):
    chain, side = make_chain(*shape), 150
    field, (outputs, _) = receptive_field(chain), map_sizes(chain, (side, side))[-1]
    for index in {0, 1, outputs // 2, outputs - 2, outputs - 1}:
        whole = gradient_footprint(chain, torch.zeros(1, 1, side, side), index, 0)
        before, shorter = window(field, index, side)
        assert 0 < shorter <= side
        part = gradient_footprint(chain, torch.zeros(1, 1, shorter, side), index - before, 0)
        placed = torch.zeros_like(whole)
        placed[before * field.stride : before * field.stride + shorter] = part
        assert torch.equal(placed > 0, whole > 0)
        torch.testing.assert_close(placed, whole)


def test_footprint_of_another_inner_patch_is_not_computed_again(explorer):
    explorer.set(layers=3, last=2, kernel=4, stride=2, padding=1, row=10, col=10)
    misses = explorer.footprint.cache_info().misses
    explorer.set(row=14, col=20)
    assert explorer.footprint.cache_info().misses == misses
    assert explorer.view.numbers["measured"] == (89, 137, 159, 207)


def test_frame_lies_around_the_patch_and_hides_none_of_it(explorer):
    image = explorer.set(layers=3, last=2, kernel=4, stride=2, padding=1, row=14, col=20).image
    colour = ImageColor.getrgb(VERMILLION)
    # The patch sees the columns 137 to 206.
    row, left, right = MARGIN + TITLE + 120, MARGIN + 137, MARGIN + 206
    assert image.getpixel((left - FRAME, row)) == image.getpixel((right + FRAME, row)) == colour
    assert image.getpixel((left, row)) == explorer.picture.getpixel((137, 120))
    assert image.getpixel((right, row)) == explorer.picture.getpixel((206, 120))
    assert image.getpixel((MARGIN + 170, MARGIN + TITLE + 89 - FRAME)) == colour


def test_gradient_is_drawn_where_it_was_measured(explorer):
    image = explorer.set(layers=3, last=2, kernel=4, stride=2, padding=1, row=14, col=20).image
    corner = (2 * MARGIN + SIDE + 18 + MARGIN, MARGIN + TITLE)  # that of the second picture
    assert image.getpixel((corner[0] + 137, corner[1] + 89)) != (255, 255, 255)
    assert image.getpixel((corner[0] + 137 - FRAME - 2, corner[1] + 89)) == (255, 255, 255)
    middle, rim = (image.getpixel((corner[0] + x, corner[1] + 124)) for x in (172, 138))
    assert sum(middle) > sum(rim)  # pixels in the middle count more


def test_part_on_padding_is_hatched(explorer):
    image = explorer.set(layers=3, last=2, kernel=4, stride=2, padding=1, row=14, col=0).image
    hatched = {image.getpixel((MARGIN - 20 + x, MARGIN + TITLE + 100)) for x in range(18)}
    assert hatched == {(213, 94, 0), (250, 235, 225)}


def test_any_setting_shows_a_view_whose_words_follow(explorer):
    random.seed(0)
    seen = set()
    for _ in range(60):
        explorer.set(**{name: random.randint(*explorer.range(name)) for name in NAMES})
        row, col = (random.choice(explorer.range(name)) for name in ("row", "col"))
        view = explorer.set(row=row, col=col)
        assert view.image.width <= 900 and view.image.height <= 420
        assert "Size" in view.text or "No output" in view.text
        seen.add((view.text, view.alt))
        box = view.numbers["box"]
        if box:
            inside = min(box) >= 0 and max(box) <= 256
            assert view.numbers["inside"] == inside
            assert inside == ("all of it lies on the picture" in view.text)
            assert view.numbers["agrees"] == ("as the formula says" in view.text)
    assert len({text for text, _ in seen}) == len({alt for _, alt in seen}) == len(seen) > 50


def test_row_and_column_stop_at_the_last_output(explorer):
    explorer.set(layers=3, last=2, kernel=4, stride=2, padding=1, row=29, col=29)
    with pytest.raises(ValueError, match="row must be from 0 to 29; got 30"):
        explorer.set(row=30)
    explorer.set(padding=0)  # 24x24 outputs
    assert explorer.values["row"] == explorer.values["col"] == 23
    explorer.set(kernel=1, stride=1, padding=3, layers=5, last=2)
    assert explorer.range("row") == (0, 297)
    assert explorer.set(row=297).numbers["box"] == (276, 2, 277, 3)


def test_chain_that_leaves_no_output_says_which_layer(explorer):
    view = explorer.set(layers=5, last=2, kernel=7, stride=3, padding=0)
    assert view.numbers["map"] == (0, 0) and view.numbers["box"] is None
    assert view.numbers["maps"] == ((256, 256), (84, 84), (26, 26), (7, 7), (1, 1), (0, 0))
    text = "No output: layer 5 gets 1x1 pixels, 1x1 with padding, and its kernel needs 7x7."
    assert view.text == text
    assert explorer.range("row") == (0, 0)


def test_gaps_and_remainders_are_named(explorer):
    gaps = explorer.set(layers=2, last=1, kernel=2, stride=3, padding=0, row=10, col=0)
    assert gaps.numbers["reached"] == 64 and gaps.numbers["agrees"]
    assert "(64 of 196 pixels)" in gaps.text
    left_over = explorer.set(layers=3, last=2, kernel=4, stride=3, padding=1, row=6, col=2)
    assert left_over.numbers["measured"] == (95, 0, 243, 189) and not left_over.numbers["agrees"]
    assert "left over by a stride" in left_over.text


def test_patch_on_padding_alone_has_no_gradient(explorer):
    view = explorer.set(layers=5, last=2, kernel=1, stride=1, padding=3, row=0, col=0)
    assert view.numbers["clipped"] is None and view.numbers["measured"] is None
    assert view.numbers["reached"] == 0
    assert "it reaches no pixel, as the formula says" in view.text


def test_words_would_say_if_gradient_and_formula_disagreed():
    assert "as the formula says" not in describe_gradient(PixelBox(0, 0, 2, 2), None, 0)
    words = describe_gradient(PixelBox(0, 0, 2, 2), PixelBox(0, 0, 1, 2), 2)
    assert "less than rows 0 to 1, columns 0 to 1" in words


def test_own_image_of_any_shape_is_drawn_in_its_proportions():
    explorer = ReceptiveFieldExplorer(torch.zeros(3, 48, 64))
    assert explorer.values["row"] == 3 and explorer.view.numbers["map"] == (4, 6)
    assert explorer.picture.size == (256, 192)
    with pytest.raises(ValueError, match=r"each side 32 to 512 pixels; got \(1, 3, 64, 64\)"):
        ReceptiveFieldExplorer(torch.zeros(1, 3, 64, 64))
