"""The designer: numbers make the label map, the generator paints it, rectangles can be undone."""

from itertools import pairwise

import numpy as np
import pytest
import torch

from pix2pix_lib.explorers.designer import (
    Design,
    FacadeDesigner,
    RectanglePainter,
    class_shares,
    design_classes,
    design_limits,
    design_plan,
    draw_legend,
    label_tensor,
    paint_box,
)
from pix2pix_lib.facades import CLASS_COLOURS, CLASS_NAMES, colour_to_classes, make_classes
from pix2pix_lib.inference import translate
from pix2pix_lib.receptive_field import PixelBox
from pix2pix_lib.unet import UNet

INDEX = {name: index for index, name in enumerate(CLASS_NAMES)}


def count_areas(mask):
    """Return how many connected areas a mask has; touching at a corner does not connect them."""
    mask, areas = mask.copy(), 0
    while mask.any():
        areas += 1
        waiting = [tuple(np.argwhere(mask)[0])]
        while waiting:
            y, x = waiting.pop()
            if 0 <= y < mask.shape[0] and 0 <= x < mask.shape[1] and mask[y, x]:
                mask[y, x] = False
                waiting += [(y + 1, x), (y - 1, x), (y, x + 1), (y, x - 1)]
    return areas


@pytest.fixture
def generator():
    torch.manual_seed(1)
    return UNet(base_channels=4, depth=3).eval()


@pytest.fixture
def designer(generator):
    return FacadeDesigner(generator, size=64)


@pytest.fixture
def painter(generator):
    return RectanglePainter(np.full((64, 48), INDEX["facade"]), generator)


# --------------------------------------------------------------------------------------------------
# Designs
# --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "design",
    [
        Design(),
        Design(floors=2, columns=2, balcony_floors=0, door=1),
        Design(floors=6, columns=7, door=4, shops=3),
        Design(floors=3, columns=5, shops=5, door=0),
        Design(floors=5, columns=3, shutters=True, balcony_floors=2),
        Design(floors=4, columns=6, balcony_floors=3, door=0),
        Design(window_width=20, window_height=30),
    ],
)
def test_map_shows_what_the_design_counts(design):
    classes = design_classes(design, 256)
    doors, balconies = int(design.door > 0), design.columns * design.balcony_floors
    windows = design.columns * design.floors - doors - design.shops
    assert count_areas(classes == INDEX["window"]) == windows
    assert count_areas(classes == INDEX["door"]) == doors
    assert count_areas(classes == INDEX["shop"]) == design.shops
    assert count_areas(classes == INDEX["balcony"]) == balconies
    assert count_areas(classes == INDEX["blind"]) == (2 * windows if design.shutters else 0)


def test_windows_have_the_width_and_height_asked_for():
    def extent(**changes):
        design = Design(columns=2, floors=2, door=0, balcony_floors=0, **changes)
        upper_left = design_classes(design, 1024)[:600, :512]
        rows, columns = np.nonzero(upper_left == INDEX["window"])
        return np.ptp(rows) + 1, np.ptp(columns) + 1

    bay, floor = 570 / 2, (640 - 12) * 100 / 220  # units, which are pixels at this size
    for percent in (20, 45, 80):
        height, width = extent(window_width=percent, window_height=40)
        assert abs(width - bay * percent / 100) <= 2 and abs(height - floor * 0.4) <= 2
    assert abs(extent(window_height=70)[0] - floor * 0.7) <= 2


def test_door_stands_in_its_bay_and_shops_take_the_others_from_the_left():
    classes = design_classes(Design(columns=5, door=2, shops=3, floors=3, balcony_floors=0), 256)
    ground = classes[230]
    kinds = [CLASS_NAMES[ground[round((i + 0.5) * 256 / 5)]] for i in range(5)]
    assert kinds[:4] == ["shop", "door", "shop", "shop"] and kinds[4] != "shop"


def test_shutters_never_leave_their_bay():
    wide = design_plan(Design(columns=7, window_width=80, shutters=True))
    edges = [15 + 994 * i // 7 for i in range(8)]
    blinds = [part for part in wide.parts if CLASS_NAMES[part.kind] == "blind"]
    assert blinds
    for part in blinds:
        assert part.left < part.right
        bays = [left <= part.left and part.right <= right for left, right in pairwise(edges)]
        assert sum(bays) == 1


def test_same_building_at_any_size():
    large, small = design_classes(Design(), 256), design_classes(Design(), 128)
    assert (large[::2, ::2] == small).mean() > 0.95


def test_shares_of_classes_are_those_that_the_generator_was_trained_on():
    shares = [class_shares(make_classes(seed, 128)) for seed in range(200)]
    trained = np.array([list(each.values()) for each in shares])
    ours = np.array(list(class_shares(design_classes(Design())).values()))
    assert (ours >= trained.min(axis=0)).all() and (ours <= trained.max(axis=0)).all()


@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        ({"floors": 1}, "floors must be from 2 to 6; got 1"),
        ({"columns": 8}, "columns must be from 2 to 7; got 8"),
        ({"window_width": 90}, "window_width must be from 20 to 80; got 90"),
        ({"floors": 3, "balcony_floors": 3}, "balcony_floors must be from 0 to 2; got 3"),
        ({"columns": 3, "door": 4}, "door must be from 0 to 3; got 4"),
        ({"columns": 3, "door": 1, "shops": 3}, "shops must be from 0 to 2; got 3"),
    ],
)
def test_impossible_design_names_the_range(wrong, words):
    with pytest.raises(ValueError, match=words):
        Design(**wrong)


def test_without_a_door_every_bay_can_be_a_shop():
    assert design_limits({"floors": 4, "columns": 5, "door": 0})["shops"] == (0, 5)
    assert design_limits({"floors": 4, "columns": 5, "door": 5})["shops"] == (0, 4)


def test_label_tensor_is_the_map_in_its_colours():
    classes = np.arange(12, dtype=np.uint8).reshape(3, 4)
    tensor = label_tensor(classes)
    assert tensor.shape == (3, 3, 4) and tensor.dtype == torch.float32
    colours = ((tensor.permute(1, 2, 0) + 1) * 127.5).round().numpy().astype(np.uint8)
    assert (colours == CLASS_COLOURS[classes]).all()
    assert (colour_to_classes(colours) == classes).all()


# --------------------------------------------------------------------------------------------------
# The designer
# --------------------------------------------------------------------------------------------------


def test_generator_paints_the_map_that_is_shown(designer, generator):
    view = designer.set(floors=3, columns=5, shutters=True)
    classes = design_classes(Design(floors=3, columns=5, shutters=True), 64)
    assert (designer.classes == classes).all()
    label_map, picture, _ = (picture.image for picture in view.rows[0])
    assert (np.asarray(label_map) == CLASS_COLOURS[classes]).all()
    fake_b = translate(generator, label_tensor(classes)[None])[0]
    expected = ((fake_b.permute(1, 2, 0) + 1) * 127.5).round().numpy().astype(np.uint8)
    assert (np.asarray(picture) == expected).all()


def test_designer_s_numbers_count_what_the_map_shows(designer):
    view = designer.set(floors=4, columns=3, door=1, shops=1, balcony_floors=2, window_width=40)
    numbers = view.numbers
    counts = [numbers[name] for name in ("windows", "doors", "shops", "balconies")]
    assert counts == [10, 1, 1, 6]
    assert numbers["blinds"] == 0 and numbers["window_width"] == 40
    for name, index in INDEX.items():
        assert numbers["shares"][name] == pytest.approx((designer.classes == index).mean())
    assert sum(numbers["shares"].values()) == pytest.approx(1)


def test_designer_s_words_follow(designer):
    view = designer.set(floors=2, columns=2, door=2, shops=1, balcony_floors=0)
    for words in (view.text, view.alt):
        assert "2 windows, no blinds, no balconies, 1 door, 1 shop" in words
    assert f"{view.numbers['shares']['facade']:.0%} facade" in view.text


def test_door_and_shops_go_along_when_columns_vanish(designer):
    designer.set(columns=7, door=7, shops=6)
    designer.set(columns=3)
    assert (designer.values["door"], designer.values["shops"]) == (3, 2)


def test_each_map_is_painted_once(designer):
    designer.set(floors=5)
    assert designer.network_seconds > 0
    designer.set(floors=4)
    assert designer.network_seconds == 0


def test_every_corner_of_the_ranges_can_be_shown(designer):
    corners = (2, 2, 20, 30), (2, 7, 80, 70), (6, 2, 80, 30), (6, 7, 80, 70)
    for floors, columns, width, height in corners:
        view = designer.set(floors=floors, columns=columns, window_width=width,
                            window_height=height, shutters=True)  # fmt: skip
        assert view.numbers["windows"] == floors * columns - 1
        assert view.image.width <= 900 and view.image.height <= 420


def test_legend_has_a_line_for_each_class():
    classes = np.zeros((20, 20), np.uint8)
    classes[0, 0] = INDEX["door"]
    legend = draw_legend(class_shares(classes))
    pixels, step = np.asarray(legend.picture()), 256 / 12
    for number in range(12):
        assert (pixels[round((number + 0.5) * step), 8] == CLASS_COLOURS[number]).all()
    words = [part[3] for part in legend.parts if part[0] == "text"]
    assert words[::2] == list(CLASS_NAMES)
    shares = dict(zip(words[::2], words[1::2], strict=True))
    assert (shares["background"], shares["door"], shares["shop"]) == ("100%", "<1%", "0%")


# --------------------------------------------------------------------------------------------------
# Rectangles
# --------------------------------------------------------------------------------------------------


def test_box_is_painted_on_a_copy():
    classes = np.zeros((6, 6), np.uint8)
    shop = paint_box(classes, "shop", PixelBox(1, 2, 3, 6)) == INDEX["shop"]
    assert shop.sum() == 8 and shop[1:3, 2:].all()
    assert not classes.any()


def test_rectangle_is_a_proposal_until_it_is_painted(painter):
    view = painter.set(kind="door", top=10, left=4, height=20, width=12)
    share = 20 * 12 / (64 * 48)
    assert view.numbers["painted"] == 0 and view.numbers["shares"]["door"] == pytest.approx(share)
    painter.set(kind="window", top=40)
    assert painter.view.numbers["shares"]["door"] == 0


def test_paint_undo_and_clear(painter):
    painter.set(kind="door", top=10, left=4, height=20, width=12)
    assert painter.paint().numbers["painted"] == 1
    moved = painter.set(kind="window", top=32, left=20, height=8, width=8)
    assert moved.numbers["shares"]["door"] > 0 and moved.numbers["shares"]["window"] > 0
    painter.paint()
    assert painter.undo().numbers["painted"] == 1
    shares = painter.set(kind="facade").numbers["shares"]
    assert shares["door"] > 0 and shares["window"] == 0  # the last rectangle is gone
    painter.paint()
    assert painter.clear().numbers["painted"] == 0
    assert painter.undo().numbers["painted"] == 0  # with nothing left to undo, nothing happens
    assert (painter.classes == INDEX["facade"]).all()


def test_later_rectangles_cover_earlier_ones(painter):
    painter.set(kind="door", top=0, left=0, height=10, width=10)
    painter.paint()
    painter.set(kind="shop", height=10, width=5)
    shares = painter.paint().numbers["shares"]
    assert shares["door"] == shares["shop"] == pytest.approx(50 / (64 * 48))


def test_changes_are_those_between_the_two_images(painter, generator):
    numbers = painter.set(kind="balcony", top=8, left=8, height=16, width=24).numbers
    before = np.full((64, 48), INDEX["facade"])
    after = before.copy()
    after[8:24, 8:32] = INDEX["balcony"]
    images = [translate(generator, label_tensor(classes)[None])[0] for classes in (before, after)]
    change, inside = (images[1] - images[0]).abs(), torch.zeros(64, 48, dtype=torch.bool)
    inside[8:24, 8:32] = True
    assert numbers["change_inside"] == pytest.approx(change[:, inside].mean().item(), rel=1e-4)
    assert numbers["change_outside"] == pytest.approx(change[:, ~inside].mean().item(), rel=1e-4)
    assert numbers["change_inside"] > 0


def test_painted_rectangle_changes_nothing_more(painter):
    painter.set(kind="shop")
    view = painter.paint()
    assert view.numbers["change_inside"] == view.numbers["change_outside"] == 0


def test_rectangle_may_cover_the_whole_map(painter):
    numbers = painter.set(kind="window", top=0, left=0, height=64, width=48).numbers
    assert numbers["shares"]["window"] == 1 and numbers["change_outside"] == 0


def test_rectangle_stays_on_the_map(painter):
    painter.set(top=0, left=0, height=64, width=48)
    painter.set(top=50, left=47)
    assert (painter.values["height"], painter.values["width"]) == (14, 1)


def test_frame_stands_around_the_rectangle(painter):
    view = painter.set(kind="shop", top=16, left=8, height=16, width=24)
    map_picture = np.asarray(view.rows[0][0].draw())  # each pixel is 4x4 screen pixels
    inside = map_picture[4 * 18 : 4 * 30, 4 * 10 : 4 * 30]
    assert (inside == CLASS_COLOURS[INDEX["shop"]]).all()
    frame = (map_picture == (213, 94, 0)).all(axis=2)
    rows, columns = np.nonzero(frame)
    assert (rows.min(), rows.max() + 1, columns.min(), columns.max() + 1) == (64, 128, 32, 128)


def test_frame_can_be_dragged_wherever_the_whole_rectangle_has_room(painter):
    painter.set(height=16, width=24)
    pictures = painter.view.rows[0]
    cells = pictures[0].cells
    assert pictures[1].cells is None and pictures[2].cells == cells
    assert cells.shape == (64 - 16 + 1, 48 - 24 + 1)
    for row, col in ((0, 0), (7, 5), (48, 24)):
        painter.set(**dict(zip(cells.names, (row, col))))
        now = painter.view.rows[0][0].cells
        assert (now.shape, now.chosen) == (cells.shape, (row, col))  # its size has not changed
        shares = np.array(now.box(row, col))
        assert shares * (64, 48, 64, 48) == pytest.approx((row, col, 16, 24))


def test_painter_s_words_follow(painter):
    view = painter.set(kind="blind", top=3, left=5, height=7, width=9)
    for words in (view.text, view.alt):
        assert "blind, 7x9 pixels from row 3, column 5 (painted before: 0)" in words
        assert f"{view.numbers['change_inside']:.3f}" in words
        assert f"{view.numbers['change_outside']:.3f}" in words
    assert "(painted before: 1)" in painter.paint().alt


def test_reset_takes_the_rectangles_off_too(painter):
    first = painter.reset()
    painter.set(top=0, kind="door")
    painter.paint()
    assert painter.reset().numbers == first.numbers and painter.painted == ()


def test_buttons_paint_undo_and_clear(painter):
    buttons = {action.label: action for action in painter.actions}
    counts = []
    for name in ("paint", "paint", "undo", "paint", "clear"):
        before = painter.view.text
        painter.set(**buttons[name].change(painter.values))
        counts.append(painter.view.numbers["painted"])
        assert painter.view.text != before
    assert counts == [1, 2, 1, 2, 0]


@pytest.mark.parametrize(
    "wrong", [np.zeros((8, 8, 3), np.uint8), np.zeros((8, 8)), np.full((8, 8), 12)]
)
def test_painter_refuses_what_is_no_class_map(generator, wrong):
    with pytest.raises(ValueError, match="colour_to_classes"):
        RectanglePainter(wrong, generator)


def test_wrong_generator_and_size_say_so(generator):
    with pytest.raises(TypeError, match="load_snapshot"):
        FacadeDesigner("generator.safetensors")
    with pytest.raises(ValueError, match="multiples of 8"):
        FacadeDesigner(generator, size=100)


def test_one_call_shows_the_network_that_ships():
    assert FacadeDesigner().view.numbers["windows"] == 15
    assert RectanglePainter(FacadeDesigner().classes).view.numbers["change_inside"] > 0.05
