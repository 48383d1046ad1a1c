"""Figures: the pictures, boxes, arrows and curves in them, and the text that describes them."""

import io
import math

import numpy as np
import pytest
import torch
from matplotlib.figure import Figure
from matplotlib.patches import FancyArrowPatch, Rectangle
from PIL import Image

from pix2pix_lib import plots
from pix2pix_lib.config import system_config
from pix2pix_lib.cyclegan import CycleRecord, make_cyclegan
from pix2pix_lib.facades import facade_tensors
from pix2pix_lib.layers import ShapeRow, record_shapes
from pix2pix_lib.losses import OBJECTIVES, discriminator_loss
from pix2pix_lib.training import StepRecord, pix2pix_panels
from pix2pix_lib.unet import DownBlock, UNet, UpBlock


def rows_of(size: tuple[int, int] = (64, 64), **options) -> list[ShapeRow]:
    """Return the rows of a small U-Net."""
    network = UNet(base_channels=4, **options).eval()
    return record_shapes(network, torch.zeros(1, 3, *size), kinds=(DownBlock, UpBlock))


def boxes(figure: Figure) -> dict[str, Rectangle]:
    return {p.get_gid(): p for p in figure.axes[0].patches if isinstance(p, Rectangle)}


def skips(figure: Figure) -> list[str]:
    arrows = [p for p in figure.axes[0].patches if isinstance(p, FancyArrowPatch)]
    return [arrow.get_gid() for arrow in arrows if arrow.get_gid().startswith("skip")]


def texts(figure: Figure) -> list[str]:
    return [text.get_text() for text in figure.axes[0].texts]


# The diagram of a U-Net


@pytest.mark.parametrize("depth", [2, 5, 6])
def test_a_diagram_has_one_box_for_each_block_and_one_for_the_input(depth):
    rows = rows_of(depth=depth)
    assert list(boxes(plots.unet_diagram(rows))) == ["input", *(row.name for row in rows)]


@pytest.mark.parametrize("depth", [2, 5, 6])
def test_a_diagram_has_one_arrow_for_each_skip(depth):
    expected = [f"skip downs.{level}" for level in reversed(range(depth - 1))]
    assert skips(plots.unet_diagram(rows_of(depth=depth))) == expected


def test_a_diagram_of_a_network_without_skips_has_no_skip_arrows():
    figure = plots.unet_diagram(rows_of(depth=5, skips=False))
    assert skips(figure) == []
    assert not any(text.startswith("+") for text in texts(figure))


def test_a_diagram_names_every_shape_and_the_channels_that_a_skip_adds():
    rows = rows_of(size=(32, 96), depth=3)
    labels = texts(plots.unet_diagram(rows))
    assert labels.count("4 x 16 x 48") == 2  # after the first halving and the last doubling but one
    assert labels.count("3 x 32 x 96") == 2  # the input and the output
    assert [label for label in labels if label.startswith("+")] == ["+8", "+4"]


def test_boxes_grow_with_the_image_and_with_the_channels():
    drawn = boxes(plots.unet_diagram(rows_of(depth=6)))
    heights = [drawn[f"downs.{level}"].get_height() for level in range(6)]
    assert heights == sorted(heights, reverse=True)
    assert len(set(heights)) == 6
    widths = [drawn[f"downs.{level}"].get_width() for level in range(6)]
    assert widths[0] < widths[1] < widths[3]
    assert widths[3] == widths[4]  # channels stop at eight times the first


def test_a_diagram_says_how_many_parameters_there_are():
    rows = rows_of(depth=4)
    legend = plots.unet_diagram(rows).axes[0].get_legend()
    assert legend.get_title().get_text() == f"{sum(row.parameters for row in rows):,} parameters"


@pytest.mark.parametrize("depth", [7, 8])
def test_the_labels_of_a_deep_diagram_do_not_overlap(depth):
    figure = plots.unet_diagram(rows_of(size=(2**depth, 2**depth), depth=depth))
    figure.draw_without_rendering()
    areas = [text.get_window_extent() for text in figure.axes[0].texts]
    for index, area in enumerate(areas):
        assert figure.bbox.x0 <= area.x0
        assert area.x1 <= figure.bbox.x1
        assert not any(area.overlaps(other) for other in areas[:index])


# Grids of images


def test_a_grid_has_a_place_for_each_image_and_leaves_the_rest_of_a_short_row_empty():
    image = torch.zeros(3, 8, 8)
    rows = [[image, image, image], [image]]
    figure = plots.image_grid(rows, ["one", "two", "three"], ["upper", "lower"])
    assert [len(axes.images) for axes in figure.axes] == [1, 1, 1, 1]
    assert [axes.get_title() for axes in figure.axes] == ["one", "two", "three", ""]
    assert [figure.axes[0].get_ylabel(), figure.axes[3].get_ylabel()] == ["upper", "lower"]


def rendered(figure: Figure) -> np.ndarray:
    """Return the pixels of a figure as shown in a notebook, (H, W, 3)."""
    return np.asarray(Image.open(io.BytesIO(plots.to_png(figure))).convert("RGB"))


def places_of(image: torch.Tensor, scale: int, pixels: np.ndarray) -> list[tuple[int, int]]:
    """Return where an image, enlarged `scale` times, occurs exactly in some pixels."""
    wanted = plots.to_uint8(image).permute(1, 2, 0).numpy().repeat(scale, 0).repeat(scale, 1)
    windows = np.lib.stride_tricks.sliding_window_view(pixels, wanted.shape)[:, :, 0]
    corners = np.argwhere((windows[:, :, 0, 0] == wanted[0, 0]).all(-1))
    return [(y, x) for y, x in corners if np.array_equal(windows[y, x], wanted)]


@pytest.mark.parametrize(("side", "scale"), [(0.2, 1), (0.7, 2), (1.2, 4)])
def test_every_pixel_of_a_grid_is_as_large_as_any_other_and_keeps_its_colour(side, scale):
    images = [[torch.rand(3, 32, 32) * 2 - 1 for _ in range(3)] for _ in range(2)]
    titles, row_titles = ["a", "a title wider than its image", "c"], ["one", "two\nlines"]
    pixels = rendered(plots.image_grid(images, titles, row_titles, side))
    places = [places_of(image, scale, pixels) for row in images for image in row]
    assert [len(each) for each in places] == [1] * 6
    rows, columns = {each[0][0] for each in places}, {each[0][1] for each in places}
    assert len(rows) == 2 and len(columns) == 3


@pytest.mark.parametrize(
    ("titles", "row_titles"),
    [
        (["best pixelwise painting", "label map", "a right answer among many"], ["one", "two"]),
        (["a", "b", "c"], ["a name longer than its image", "another such name"]),
    ],
)
def test_titles_of_a_grid_touch_neither_each_other_nor_the_edge(titles, row_titles):
    image = torch.zeros(3, 16, 16)
    figure = plots.image_grid([[image] * 3] * 2, titles, row_titles, 0.5)
    figure.draw_without_rendering()
    areas = [axes.title.get_window_extent() for axes in figure.axes[:3]]
    areas += [axes.yaxis.label.get_window_extent() for axes in (figure.axes[0], figure.axes[3])]
    areas += [axes.get_window_extent() for axes in figure.axes]
    for index, area in enumerate(areas):
        assert area.x0 >= 0 and area.y0 >= 0
        assert area.x1 <= figure.bbox.x1 and area.y1 <= figure.bbox.y1
        assert not any(area.overlaps(other) for other in areas[:index])


def test_images_of_different_sizes_share_a_grid():
    small, large = torch.rand(3, 10, 10) * 2 - 1, torch.rand(3, 32, 32) * 2 - 1
    pixels = rendered(plots.image_grid([[small, large]], side=0.6))
    assert len(places_of(small, 6, pixels)) == len(places_of(large, 2, pixels)) == 1


def test_label_maps_keep_their_exact_colours_beside_photos():
    """With 256 colours for a whole figure, deco once had the colour of molding."""
    labels, photos = (
        torch.stack(side) for side in zip(*map(facade_tensors, range(6)), strict=True)
    )
    pixels = rendered(plots.samples(labels, photos, photos))
    for image in [*labels, *photos]:
        assert places_of(image, 1, pixels)


def test_an_image_is_drawn_in_its_own_colours_pixel_by_pixel():
    image = torch.tensor([[[-1.0, 1.0]], [[-1.0, 0.0]], [[1.0, -1.0]]])  # (3, 1, 2): blue, orange
    axes = plots.draw_image(plots.new_figure(1, 1)[1], image, "two pixels")
    assert np.array_equal(axes.images[0].get_array(), [[[0, 0, 255], [255, 128, 0]]])
    assert axes.images[0].get_interpolation() == "nearest"
    assert axes.get_title() == "two pixels"


def test_a_grey_image_keeps_its_range_instead_of_being_stretched():
    axes = plots.draw_image(plots.new_figure(1, 1)[1], torch.full((1, 4, 4), 0.5))
    assert axes.images[0].get_clim() == (0, 255)
    assert np.unique(axes.images[0].get_array()).tolist() == [191]


def test_samples_are_three_rows_of_one_column_a_pair():
    batch = torch.zeros(4, 3, 8, 8)
    figure = plots.samples(batch, batch, batch)
    assert len(figure.axes) == 12
    assert [figure.axes[index].get_ylabel() for index in (0, 4, 8)] == ["input", "output", "truth"]


# Curves


def test_a_running_mean_is_the_mean_of_the_last_values():
    values = [float(value * value % 17) for value in range(100)]
    expected = [sum(values[max(0, i - 4) : i + 1]) / min(i + 1, 5) for i in range(100)]
    assert plots.running_mean(values, share=0.05) == pytest.approx(expected)


def test_a_running_mean_of_a_short_or_empty_run_is_the_run():
    assert plots.running_mean([3.0, 1.0]) == [3.0, 1.0]
    assert plots.running_mean([]) == []


def test_a_running_mean_of_a_straight_line_lags_by_half_a_window():
    means = plots.running_mean([float(step) for step in range(200)], share=0.1)
    assert means[19:] == pytest.approx([step - 9.5 for step in range(19, 200)])


def test_loss_curves_hold_every_loss_and_the_line_of_a_d_that_cannot_tell():
    history = [StepRecord(0, step, 0.5, 1.0 + step, 0.25) for step in range(40)]
    left, right = plots.loss_curves(history, pix2pix_panels()).axes
    names = [text.get_text() for text in left.get_legend().get_texts()]
    assert names == ["D (halved)", "G, adversarial", "ln 2"]
    assert [text.get_text() for text in right.get_legend().get_texts()] == ["G, L1"]
    assert list(left.lines[2].get_ydata()) == [1.0 + step for step in range(40)]
    assert left.lines[-1].get_ydata()[0] == pytest.approx(math.log(2))
    assert left.get_ylim()[0] == right.get_ylim()[0] == 0
    assert [line.get_color() for line in right.lines] == [plots.GREEN] * 2  # as in the explorers


@pytest.mark.parametrize("objective", OBJECTIVES)
def test_curves_show_the_undecided_d_of_their_own_objective(objective):
    """It is half of both terms at the best logit that real and generated images can share."""
    logits = torch.linspace(-3, 3, 601).reshape(-1, 1)
    losses = [0.5 * discriminator_loss(x, x, objective) for x in logits]
    history = [StepRecord(0, step, 0.4, 0.6, 0.2) for step in range(9)]
    left, _ = plots.loss_curves(history, pix2pix_panels(objective)).axes
    assert left.lines[-1].get_ydata()[0] == pytest.approx(float(min(losses)), abs=1e-4)


def test_losses_below_zero_are_not_hidden():
    """The hinge and Wasserstein objectives have such losses."""
    history = [StepRecord(0, step, 0.5, -2.0 - step, 0.25) for step in range(40)]
    left, right = plots.loss_curves(history, pix2pix_panels("hinge")).axes
    assert left.get_ylim()[0] < -41 and right.get_ylim()[0] == 0


def test_loss_curves_of_cyclegan_hold_all_eight_losses():
    losses = [[float(number + step) for number in range(8)] for step in range(5)]
    history = [CycleRecord(0, step, *losses[step]) for step in range(5)]
    small = {"image_size": 32, "base_channels": 2, "disc_channels": 2, "disc_layers": 1}
    trainer = make_cyclegan(system_config("cyclegan", blocks=1, **small))
    left, right = plots.loss_curves(history, trainer.loss_panels()).axes
    assert [line.get_ydata()[0] for line in left.lines[1::2]] == [0, 1, 2, 3]
    assert [line.get_ydata()[0] for line in right.lines[1::2]] == [4, 5, 6, 7]
    assert len({line.get_color() for line in left.lines}) == 5
    assert left.lines[-1].get_ydata()[0] == 0.25  # half of (1/2)^2 + (1/2)^2


def test_curve_of_a_long_run_is_thinned_to_means():
    values = np.random.default_rng(0).random(10 * plots.POINTS + 3)
    history = [StepRecord(0, step, float(value), 0.0, 0.0) for step, value in enumerate(values)]
    steps, means = plots.thin_out(history, "loss_d")
    assert len(steps) == len(means) <= plots.POINTS
    assert steps[:3] == [0, 11, 22] and means[1] == pytest.approx(values[11:22].mean())
    assert means[-1] == pytest.approx(values[steps[-1] :].mean())


def test_step_is_described_by_its_losses():
    assert StepRecord(0, 0, 0.5, 1.25, 0.125).summary() == "D 0.50, G 1.25, L1 0.125"
    record = CycleRecord(0, 0, 0.25, 0.5, 1.0, 2.0, 0.125, 0.375, 0.0, 0.0)
    assert record.summary() == "D 0.25 0.50, G 1.00 2.00, cycle 0.125 0.375"


# The diagram of the two cycles


def test_a_cycle_diagram_holds_every_image_and_network_by_its_name_in_the_library():
    figure = plots.cycle_diagram("day", "night")
    found = [patch.get_gid() for patch in figure.axes[0].patches if isinstance(patch, Rectangle)]
    row_a = "real_a generator_ab fake_b generator_ba rec_a real_b discriminator_b"
    row_b = "real_b generator_ba fake_a generator_ab rec_b real_a discriminator_a"
    assert found == row_a.split() + row_b.split()
    assert {name for name in found if name in texts(figure)} == set(found)
    legend = [text.get_text() for text in figure.legends[0].get_texts()]
    assert legend == ["images of day", "images of night"]


def test_images_of_one_domain_have_one_colour_and_each_loss_its_line():
    figure = plots.cycle_diagram()
    colours = {}
    for patch in figure.axes[0].patches:
        if isinstance(patch, Rectangle):
            colours.setdefault(patch.get_gid()[-2:], set()).add(patch.get_facecolor()[:3])
    assert len(colours["_a"] - {(1.0, 1.0, 1.0)}) == len(colours["_b"] - {(1.0, 1.0, 1.0)}) == 1
    assert len(figure.axes[0].lines) == 2
    assert sum("cycle loss" in text for text in texts(figure)) == 2
    assert sum("adversarial loss" in text for text in texts(figure)) == 2


# Showing


def test_outside_a_notebook_show_prints_what_the_figure_says(capsys):
    plots.show(plots.new_figure(1, 1)[0], alt="A single white square.")
    assert capsys.readouterr().out == "A single white square.\n"


def test_a_picture_carries_its_description_as_text_and_as_alternative_text():
    alt = "A white square. " * 20
    bundle = plots.png_bundle(plots.to_png(plots.new_figure(1, 1)[0]), alt)
    assert bundle["image/png"].startswith(b"\x89PNG")
    assert bundle["text/plain"].split() == alt.split()
    assert max(len(line) for line in bundle["text/plain"].splitlines()) <= 110
    assert plots.alt_metadata("A white square.") == {"image/png": {"alt": "A white square."}}


@pytest.mark.parametrize("colours", [2, 200, 256, 257, 60_000])
def test_picture_keeps_its_exact_colours_and_is_no_larger_than_it_must(colours, monkeypatch):
    shown = []
    monkeypatch.setattr(plots, "_display_png", lambda png, alt: shown.append((png, alt)))
    random = np.random.default_rng(0)
    table = random.integers(0, 256, (colours, 3), np.uint8)
    pixels = table[random.integers(0, colours, (300, 400))]
    plots.show_picture(Image.fromarray(pixels), "Noise.")
    [(png, alt)] = shown
    assert alt == "Noise." and png.startswith(b"\x89PNG")
    stored = Image.open(io.BytesIO(png))
    assert np.array_equal(np.asarray(stored.convert("RGB")), pixels)
    assert stored.mode == ("P" if colours <= 256 else "RGB")


def test_colour_tables_run_from_low_to_high():
    orange, purple = plots.colour_table("PuOr")[[20, 235]].astype(int)
    assert orange[0] > orange[2] and purple[2] > purple[1]  # red above blue; blue above green
    assert plots.colour_table("cividis").shape == (256, 3)
