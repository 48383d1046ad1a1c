"""The training player shows what the networks of each snapshot make."""

import numpy as np
import pytest
import torch
from PIL import ImageColor

from pix2pix_lib.config import make_discriminator, make_generator
from pix2pix_lib.explorers import drawing, player
from pix2pix_lib.explorers.player import TrainingPlayer
from pix2pix_lib.inference import translate
from pix2pix_lib.trained import Snapshot, make_film
from pix2pix_lib.training import StepRecord


@pytest.fixture
def snapshots(tiny_config):
    def snapshot(percent):
        networks = make_generator(tiny_config).eval(), make_discriminator(tiny_config).eval()
        return Snapshot(percent, 10 * percent, 0.5 - percent / 1000, *networks, tiny_config)

    torch.manual_seed(5)
    return [snapshot(percent) for percent in (0, 50, 100)]


@pytest.fixture
def history():
    return [StepRecord(0, step, 0.6, 2.0, 0.3) for step in (250, 500, 750, 1000)]


@pytest.fixture
def film(tiny_pairs, snapshots):
    inputs, truth = zip(tiny_pairs[0], tiny_pairs[1], strict=True)
    return make_film(snapshots, torch.stack(inputs), torch.stack(truth))


@pytest.fixture
def explorer(tiny_pairs, film, history):
    return TrainingPlayer([tiny_pairs[0], tiny_pairs[1]], film, history)


def test_numbers_are_those_of_the_snapshots_networks(explorer, snapshots, tiny_pairs):
    view = explorer.set(percent=50, facade=1)
    real_a, real_b = (image[None] for image in tiny_pairs[1])
    generator, discriminator = snapshots[1].generator, snapshots[1].discriminator
    with torch.no_grad():
        fake_b = translate(generator, real_a)
        logits = [discriminator(real_a, image) for image in (real_b, fake_b)]
    probabilities = [torch.sigmoid(each).mean() for each in logits]
    assert view.numbers["step"] == 500
    assert view.numbers["validation_l1"] == pytest.approx(0.45, abs=1e-6)
    assert view.numbers["l1"] == pytest.approx(float((fake_b - real_b).abs().mean()), abs=1e-6)
    assert view.numbers["real"] == pytest.approx(float(probabilities[0]), abs=1e-6)
    assert view.numbers["fake"] == pytest.approx(float(probabilities[1]), abs=1e-6)


def test_picture_is_the_frame_of_that_moment_and_facade(explorer, film):
    frame = explorer.set(percent=100, facade=1).image
    other = explorer.set(percent=100, facade=0).image
    left = drawing.smooth_photo(film.fake_b[2, 1], player.SIDE)
    assert _holds(frame, left) and not _holds(other, left)


def _holds(picture, part):
    """Tell whether the second panel of a picture is this one, whatever stands above it."""
    x, wide = player.SIDE + player.GAP, np.asarray(picture)
    part = np.asarray(part.convert("RGB"))
    column = wide[:, x : x + player.SIDE, :3]
    return any(
        np.array_equal(column[y : y + len(part)], part) for y in range(len(wide) - len(part))
    )


def test_text_and_alt_follow_the_snapshot(explorer):
    for percent in (0, 50, 100):
        view = explorer.set(percent=percent)
        assert view.text.startswith(f"{percent} % of the training, step {10 * percent}: ")
        assert f"mean of {view.numbers['fake']:.2f}" in view.alt
        assert f"step {10 * percent}." in view.alt


@pytest.fixture
def chart(history):
    return player.LossChart(history, 1000, player.ADVERSARIAL, 400)


@pytest.mark.parametrize(("step", "share"), [(0, 0.0), (500, 0.5), (1000, 1.0)])
def test_line_stands_at_the_step(chart, step, share):
    plain, marked = np.asarray(chart.picture), np.asarray(chart.marked(step))
    columns = np.nonzero((plain != marked).any(axis=(0, 2)))[0]
    left, right = chart.chart.LEFT, 400 - chart.chart.RIGHT
    assert columns.mean() == pytest.approx(left + share * (right - left), abs=2)
    assert np.ptp(columns) < 5


@pytest.mark.parametrize(("field", "value"), [("loss_d", 0.6), ("loss_g_gan", 2.0)])
def test_curves_are_as_high_as_the_losses(chart, field, value):
    name, colour = player.ADVERSARIAL[field]
    # This leaves out the names of the curves.
    below = np.asarray(chart.picture).astype(int)[-player.HEIGHT :]
    rows = np.nonzero((np.abs(below - ImageColor.getrgb(colour)).sum(-1) < 60).any(1))[0]
    top, bottom = chart.chart.TOP, player.HEIGHT - chart.chart.BELOW
    assert rows.mean() == pytest.approx(bottom - value / 2.0 * (bottom - top), abs=2), name


@pytest.mark.parametrize(
    ("top", "marks"),
    [(0.33, [0, 0.1, 0.2, 0.3, 0.4]), (2.4, [0, 1, 2, 3]), (0.0, [0, 0.01]), (7, [0, 2, 4, 6, 8])],
)
def test_axis_reaches_the_highest_loss_in_round_steps(top, marks):
    assert player.axis_marks(top) == marks


def test_patch_map_is_purple_for_real_and_orange_for_generated():
    picture = player.draw_map(torch.tensor([[8.0, -8.0]]))
    left, right = picture.getpixel((4, 80)), picture.getpixel((player.SIDE - 4, 80))
    assert left[2] > left[1] and right[0] > right[2]  # blue above green; red above blue


def test_no_network_runs_while_the_film_is_shown(explorer, monkeypatch):
    def refuse(network, *images):
        raise AssertionError(f"{type(network).__name__} ran")

    monkeypatch.setattr(torch.nn.Module, "__call__", refuse)
    with pytest.raises(AssertionError, match="Identity ran"):
        torch.nn.Identity()(torch.zeros(1))  # so that the check can fail
    for percent in (100, 0, 50):
        explorer.set(percent=percent)
        assert explorer.network_seconds == 0


def test_shipped_training_is_the_default():
    explorer = TrainingPlayer()
    first, last = explorer.set(percent=0).numbers, explorer.set(percent=100).numbers
    assert first["step"] == 0 and last["validation_l1"] < first["validation_l1"]
    assert explorer.view.image.width <= 900 and explorer.view.image.height <= 420


def test_nothing_to_show_is_refused(tiny_pairs, film):
    with pytest.raises(ValueError, match="the film's 2 pairs; got 0 losses and 2 pairs"):
        TrainingPlayer([tiny_pairs[0], tiny_pairs[1]], film, [])


def test_film_of_other_pairs_is_refused(tiny_pairs, film, history):
    with pytest.raises(ValueError, match="the film's 2 pairs; got 4 losses and 1 pairs"):
        TrainingPlayer([tiny_pairs[0]], film, history)
