"""The receptive field's explorer: boxes and maps as in torch, frames on the boxes, no dead end."""

import random

import numpy as np
import pytest
import torch

from pix2pix_lib.explorers.receptive_field import (
    GRID_SIDE,
    ReceptiveFieldExplorer,
    describe_gradient,
    draw_grid,
    draw_map,
    layer_pictures,
    make_chain,
    map_sizes,
    window,
)
from pix2pix_lib.patchgan import PatchDiscriminator
from pix2pix_lib.receptive_field import PixelBox, footprint_box, gradient_footprint, receptive_field

SHAPES = [
    (3, 2, 4, 2, 1), (4, 1, 3, 2, 1), (2, 0, 7, 1, 3), (3, 2, 5, 1, 0),
    (2, 1, 2, 3, 2), (3, 2, 4, 3, 1), (1, 1, 1, 1, 3), (2, 2, 7, 3, 3),
]  # fmt: skip
NAMES = ("layers", "last", "kernel", "stride", "padding")
PATCHGAN = {"layers": 3, "last": 2, "kernel": 4, "stride": 2, "padding": 1}


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


def pixels_of(picture):
    """Return an image (H, W, 3) of a view without its margin of padding."""
    pixels, margin = np.asarray(picture.image), round(0.2 * 256)
    padding = pixels.copy()
    padding[margin:-margin, margin:-margin] = (221, 221, 221)
    assert (padding == (221, 221, 221)).all()
    return pixels[margin:-margin, margin:-margin]


def edges_of(cells, size, index):
    """Return (top, left, bottom, right) of the box of output `index` on a (height, width) map."""
    top, left, height, width = cells.box(*index)
    edges = np.array([top, left, top + height, left + width]) * (*size, *size)
    assert np.abs(edges - edges.round()).max() < 1e-6
    return tuple(edges.round())


@pytest.mark.parametrize("output", [(0, 0), (14, 1), (14, 20), (29, 29)])
def test_frame_lies_around_the_patch_of_any_output(explorer, output):
    view = explorer.set(**PATCHGAN, row=14, col=1)
    field, margin = receptive_field(make_chain(*PATCHGAN.values())), round(0.2 * 256)
    side = 256 + 2 * margin
    for picture in view.rows[0][:2]:
        box = field.box(*output)
        edges = box.top + margin, box.left + margin, box.bottom + margin, box.right + margin
        assert edges_of(picture.cells, (side, side), output) == edges
        assert picture.image.size == (side, side) and picture.cells.chosen == (14, 1)
    assert edges_of(view.rows[0][2].cells, (30, 30), output) == (
        *output, output[0] + 1, output[1] + 1,
    )  # fmt: skip


@pytest.mark.parametrize("shape", SHAPES)
def test_box_on_each_layer_is_what_moves_the_output(shape):
    chain = make_chain(*shape)
    sizes = map_sizes(chain, (90, 97))
    rows, cols = sizes[-1]
    pictures = layer_pictures(chain, sizes, (rows // 2, cols - 1))
    assert [picture.title for picture in pictures] == [
        f"layer {layer}: {height}x{width}" for layer, (height, width) in enumerate(sizes[1:-1], 1)
    ]
    for layer, (picture, size) in enumerate(zip(pictures, sizes[1:-1]), 1):
        assert (
            picture.cells.lit and not picture.cells.points and picture.cells.shape == (rows, cols)
        )
        for output in ((0, 0), (rows // 2, cols - 1)):
            footprint = gradient_footprint(chain[layer:], torch.zeros(1, 1, *size), *output)
            box = PixelBox(*(int(edge) for edge in edges_of(picture.cells, size, output)))
            lit = torch.zeros(size, dtype=torch.bool)
            part = box.clipped(*size)
            lit[part.top : max(part.bottom, 0), part.left : max(part.right, 0)] = True
            assert not (footprint > 0)[~lit].any()
            if box.is_inside(*size) and shape[2] >= shape[3]:  # no gaps: all of it is seen
                assert torch.equal(footprint > 0, lit)


def test_strip_lights_the_box_on_each_layer(explorer):
    picture = explorer.set(**PATCHGAN, row=14, col=20).rows[1][0]
    top, left, height, width = (90 * share for share in picture.cells.box(14, 20))
    strip = picture.draw()
    red, green, blue = strip.getpixel((round(left + width / 2), round(top + height / 2)))
    assert red > green + 30 > blue  # the colour of frames over white
    assert strip.getpixel((round(left + width + 6), round(top))) == (255, 255, 255)


def test_layers_between_picture_and_output_are_all_shown(explorer):
    view = explorer.set(**{**PATCHGAN, "layers": 1, "last": 0})
    assert len(view.rows) == 1 and "Below" not in view.alt
    view = explorer.set(layers=5, last=2, stride=1)
    assert len(view.rows[1]) == 6 and "each map of the layers 1 to 6" in view.alt


def test_grid_has_a_line_between_cells_unless_they_are_too_fine():
    pixels = np.asarray(draw_grid((9, 18)).picture())
    assert pixels.shape == (GRID_SIDE // 2, GRID_SIDE, 3)
    inked = (pixels < 250).any(axis=2)
    lines = np.diff(inked[12].astype(int)).clip(0).sum()  # the left edge has no start
    assert lines == 17 + 1
    plain = np.asarray(draw_grid((128, 128)).picture())
    assert (plain[2:-2, 2:-2] == 255).all() and (plain[0] < 200).all()


def test_gradient_is_drawn_where_it_was_measured(explorer):
    inked = pixels_of(explorer.set(**PATCHGAN, row=14, col=20).rows[0][1])
    reached = (inked != 255).any(axis=2)
    expected = np.zeros((256, 256), bool)
    expected[89:159, 137:207] = True
    assert (reached == expected).all()
    assert inked[124, 172].sum() > inked[124, 138].sum()  # pixels in the middle count more


def test_picture_lies_on_padding_in_its_own_pixels(explorer):
    picture = explorer.set(**PATCHGAN, row=0, col=0).rows[0][0]
    assert (pixels_of(picture) == np.asarray(explorer.picture)).all()
    assert "grey: padding" in picture.title


def test_map_is_bright_where_the_whole_patch_is_picture():
    field, outputs = receptive_field(make_chain(3, 2, 4, 2, 1)), (30, 22)
    bright = np.asarray(draw_map(field, outputs, (256, 192))).sum(axis=2) > 300
    for row, col in np.ndindex(outputs):
        assert bright[row, col] == field.box(row, col).is_inside(256, 192)


def test_maps_of_many_outputs_send_no_words(explorer):
    view = explorer.set(layers=5, last=2, kernel=1, stride=1, padding=3)
    assert view.numbers["map"] == (298, 298)
    assert all(not picture.cells.words for row in view.rows for picture in row)


def test_any_setting_shows_a_view_whose_words_follow(explorer):
    random.seed(0)
    seen = set()
    for _ in range(60):
        explorer.set(**{name: random.randint(*explorer.range(name)) for name in NAMES})
        row, col = (random.choice(explorer.range(name)) for name in ("row", "col"))
        view = explorer.set(row=row, col=col)
        assert view.image.width <= 900 and view.image.height <= 520
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
    assert [picture.title for picture in view.rows[1]] == [
        "layer 1: 84x84", "layer 2: 26x26", "layer 3: 7x7", "layer 4: 1x1",
    ]  # fmt: skip
    assert not any(picture.cells for row in view.rows for picture in row)


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
    assert explorer.picture.size == (64, 48)
    patch, _, outputs = explorer.view.rows[0]
    assert patch.image.size == (64 + 26, 48 + 26) and outputs.image.size == (6, 4)
    with pytest.raises(ValueError, match=r"each side 32 to 512 pixels; got \(1, 3, 64, 64\)"):
        ReceptiveFieldExplorer(torch.zeros(1, 3, 64, 64))
