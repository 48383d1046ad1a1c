"""The patch explorer shows what the discriminator says, and frames what the patch sees."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from PIL import ImageColor

from pix2pix_lib.config import make_discriminator, make_generator
from pix2pix_lib.corruptions import corrupt
from pix2pix_lib.explorers import patches
from pix2pix_lib.explorers.patches import PatchExplorer
from pix2pix_lib.inference import translate
from pix2pix_lib.plots import VERMILLION
from pix2pix_lib.receptive_field import PixelBox, receptive_field
from pix2pix_lib.trained import Snapshot


@pytest.fixture
def snapshots(tiny_config):
    """Two pairs of tiny networks, with patches of 16 pixels on images of 32."""

    def snapshot(percent):
        networks = make_generator(tiny_config).eval(), make_discriminator(tiny_config).eval()
        return Snapshot(percent, percent, 0.0, *networks, tiny_config)

    torch.manual_seed(5)
    return [snapshot(percent) for percent in (0, 100)]


@pytest.fixture
def explorer(snapshots, tiny_pairs):
    return PatchExplorer([tiny_pairs[index] for index in range(3)], snapshots)


def test_logit_and_probability_are_the_discriminators(explorer, snapshots, tiny_pairs):
    real_a, real_b = tiny_pairs[1]
    view = explorer.set(facade=1, percent=0, row=2, col=5)
    logits = snapshots[0].discriminator(real_a[None], real_b[None])[0, 0].detach()
    probabilities = torch.sigmoid(logits)
    assert view.numbers["logit"] == pytest.approx(float(logits[2, 5]), abs=1e-6)
    assert view.numbers["probability"] == pytest.approx(float(probabilities[2, 5]), abs=1e-6)
    assert view.numbers["patches"] == logits.numel()
    assert view.numbers["mean_probability"] == pytest.approx(float(probabilities.mean()), abs=1e-6)


def test_mix_goes_from_the_true_to_the_generated_picture(explorer, snapshots, tiny_pairs):
    real_a, real_b = tiny_pairs[0]
    fake_b = translate(snapshots[1].generator, real_a[None])[0]
    for mix in (0.0, 0.25, 1.0):
        _, image = explorer.judged(0, 100, mix, "none", 0.5)
        assert torch.allclose(image, (1 - mix) * real_b + mix * fake_b, atol=1e-6)


def test_spoilt_picture_is_what_is_judged(explorer, snapshots, tiny_pairs):
    (real_a, real_b), (other_a, _) = tiny_pairs[0], tiny_pairs[1]
    view = explorer.set(corruption="wrong label", strength=0.5)
    spoilt = corrupt("wrong label", 0.5, real_a, real_b, other_a)
    logits = snapshots[1].discriminator(*(image[None] for image in spoilt))
    assert view.numbers["mean_logit"] == pytest.approx(float(logits.detach().mean()), abs=1e-6)


def test_logit_depends_on_the_framed_pixels_and_on_no_others(explorer, snapshots, tiny_pairs):
    view = explorer.set(row=3, col=4)
    box = PixelBox(*view.numbers["box"]).clipped(32, 32)
    real_a, real_b = (image[None] for image in tiny_pairs[0])
    discriminator = snapshots[1].discriminator

    def logit_with(mask):
        changed = torch.where(mask, torch.zeros(()), real_b)
        return float(discriminator(real_a, changed)[0, 0, 3, 4].detach())

    outside = torch.ones(32, 32, dtype=torch.bool)
    outside[box.top : box.bottom, box.left : box.right] = False
    assert logit_with(outside) == pytest.approx(view.numbers["logit"], abs=1e-5)
    assert logit_with(~outside) != pytest.approx(view.numbers["logit"], abs=1e-3)


def test_threshold_counts_the_patches_below_it(explorer):
    probabilities = patches.sigmoid(explorer.logits(0, 100, 0.0, "none", 0.5))
    for threshold in (0.0, 0.5, 1.0):
        below = explorer.set(threshold=threshold).numbers["below"]
        assert below == (probabilities < threshold).sum()


def test_inside_or_clipped_is_said(explorer):
    centre = explorer.set(row=3, col=3)
    corner = explorer.set(row=0, col=0)
    assert centre.numbers["inside"] and "all of them inside" in centre.text
    assert not corner.numbers["inside"] and "sees padding" in corner.text


def test_text_and_alt_state_the_numbers(explorer):
    view = explorer.set(row=2, col=1, corruption="noise", strength=0.75, mix=1.0)
    top, _, bottom, _ = view.numbers["box"]
    assert f"(row 2, column 1) sees the pixel rows {top} to {bottom - 1} " in view.text
    assert f"Logit {view.numbers['logit']:+.2f}" in view.text
    below, count = view.numbers["below"], view.numbers["patches"]
    assert f"{below} of {count} patches are below 0.50" in view.text
    start = "The generated picture, spoilt by noise at strength 0.75, with a frame around patch (2,"
    assert view.alt.startswith(start)
    assert f"probability {view.numbers['probability']:.2f}" in view.alt


def test_frame_lies_around_the_pixels_that_the_patch_sees(explorer):
    field = explorer.field
    for row, col in ((3, 2), (0, 0), (explorer.map_size[0] - 1, 0)):
        picture, cells = explorer.set(row=row, col=col).rows[0]
        top, left, height, width = picture.cells.box(row, col)
        side, margin = picture.image.width, (picture.image.width - 32) / 2
        box = field.box(row, col)
        expected = box.top + margin, box.left + margin, field.size, field.size
        assert np.multiply((top, left, height, width), side) == pytest.approx(expected)
        assert top >= 0 and left >= 0 and top + height <= 1 and left + width <= 1  # all of it shows
        assert picture.cells.chosen == cells.cells.chosen == (row, col)


def test_margin_is_grey_around_the_picture(explorer):
    image = torch.full((3, 32, 32), -1.0)
    pixels = np.asarray(patches.draw_judged(image, explorer.field))
    margin = (pixels.shape[0] - 32) // 2
    assert (pixels[margin:-margin, margin:-margin] == 0).all()
    pixels = pixels.copy()
    pixels[margin:-margin, margin:-margin] = 221
    assert (pixels == 221).all()


def test_map_over_the_picture_puts_each_square_on_the_centre_of_its_patch(snapshots):
    field = receptive_field(snapshots[0].discriminator.model)
    colours = patches.map_colours(np.zeros((15, 15)), "logit")
    colours.putpixel((4, 6), (0, 0, 0))
    plain = patches.draw_judged(torch.zeros(3, 32, 32), field)
    covered = patches.draw_judged(torch.zeros(3, 32, 32), field, colours)
    darker = np.asarray(covered, int).sum(-1) < np.asarray(plain, int).sum(-1)
    rows, cols = np.nonzero(darker)
    margin = (plain.height - 32) / 2
    box = field.box(6, 4)
    centre = np.array([box.top + box.bottom, box.left + box.right]) / 2 + margin - 0.5
    assert np.abs(np.array([rows.mean(), cols.mean()]) - centre).max() <= 0.5


def test_words_of_each_patch_are_its_numbers(explorer):
    words = explorer.view.rows[0][1].cells.words
    rows, cols = explorer.map_size
    assert len(words) == rows * cols
    view = explorer.set(row=2, col=5)
    numbers = view.numbers
    said = f"probability {numbers['probability']:.2f}, logit {numbers['logit']:+.2f}"
    assert view.rows[0][1].cells.words[2 * cols + 5] == said


def test_dots_mark_the_patches_below_the_threshold():
    marked = np.array([[True, False], [False, True]])
    pixels = np.asarray(patches.draw_map(patches.map_colours(np.zeros((2, 2)), "logit"), marked))
    dark = (pixels.sum(-1) < 200).reshape(2, patches.FINE, 2, patches.FINE).any(axis=(1, 3))
    assert (dark == marked).all()


def test_wipe_lies_between_photo_and_generated_picture(explorer, snapshots, tiny_pairs):
    real_a, real_b = tiny_pairs[0]
    wipe = explorer.view.rows[1][2]
    assert np.asarray(wipe.image).shape == (32, 32, 3)
    fake_b = translate(snapshots[1].generator, real_a[None])[0]
    for picture, tensor in ((wipe.image, real_b), (wipe.over, fake_b)):
        assert (
            np.abs(np.asarray(picture) / 127.5 - 1 - tensor.permute(1, 2, 0).numpy()).max() < 0.01
        )


def test_crop_is_what_the_patch_sees_with_padding_in_grey():
    image = torch.linspace(-1, 1, 3 * 32 * 32).reshape(3, 32, 32)
    for crop, sign in zip(patches.crops(-image, image, PixelBox(-4, -4, 12, 12)), (-1, 1)):
        crop = np.asarray(crop)
        assert crop.shape == (16, 16, 3) and (crop[:4, :4] == 128).all()  # 0 in [-1, 1]
        seen = sign * image[:, :12, :12].permute(1, 2, 0).numpy()
        assert np.abs(crop[4:, 4:] / 127.5 - 1 - seen).max() < 0.01


def test_buttons_find_the_extremes_and_stay_on_the_map(explorer):
    actions = {action.label: action for action in explorer.actions}
    logits = explorer.logits(0, 100, 0.0, "none", 0.5)
    least = explorer.set(**actions["least real"].change(explorer.values))
    assert least.numbers["logit"] == float(logits.min())
    most = explorer.set(**actions["most real"].change(explorer.values))
    assert most.numbers["logit"] == float(logits.max())
    explorer.set(row=0, col=0)
    for label in ("left", "up"):
        explorer.set(**actions[label].change(explorer.values))
    assert (explorer.values["row"], explorer.values["col"]) == (0, 0)
    for label in ("right", "down"):
        explorer.set(**actions[label].change(explorer.values))
    assert (explorer.values["row"], explorer.values["col"]) == (1, 1)


def test_networks_run_once_for_each_picture(explorer):
    explorer.set(mix=1.0, row=1)
    assert explorer.network_seconds > 0
    explorer.set(row=2, threshold=0.25, overlay=True)
    assert explorer.network_seconds == 0


def test_shipped_networks_and_facades_are_the_default():
    explorer = PatchExplorer()
    assert explorer.map_size == (14, 14)
    assert explorer.values["percent"] == 100
    assert explorer.view.image.width <= 900


def test_too_few_pairs_are_refused(snapshots, tiny_pairs):
    message = "at least two pairs and one snapshot are needed; got 1 and 2"
    with pytest.raises(ValueError, match=message):
        PatchExplorer([tiny_pairs[0]], snapshots)
    with pytest.raises(ValueError, match="got 2 and 0"):
        PatchExplorer([tiny_pairs[0], tiny_pairs[1]], [])


def test_map_with_more_patches_than_pixels_is_drawn(tiny_config):
    """The PixelGAN judges each of 288x288 pixels, too many for the map to show one by one."""
    config = replace(tiny_config, image_size=288, disc_layers=0, depth=2)
    pairs = [tuple(torch.rand(2, 3, 288, 288) * 2 - 1) for _ in range(2)]
    networks = make_generator(config), make_discriminator(config)
    explorer = PatchExplorer(pairs, [Snapshot(100, 0, 0.0, *networks, config)])
    assert explorer.map_size == (288, 288)
    for row, col in ((0, 0), (287, 287), (100, 200)):
        view = explorer.set(row=row, col=col, threshold=1.0, overlay=True)
        assert view.numbers["patches"] == 288**2
        picture = np.asarray(view.rows[0][1].draw())[:280]
        red_rows, red_cols = (picture == ImageColor.getrgb(VERMILLION)).all(axis=2).nonzero()
        assert abs(red_rows.mean() - row * 280 / 288) < 4  # the marked patch can be seen
        assert abs(red_cols.mean() - col * 280 / 288) < 4
