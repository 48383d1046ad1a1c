"""The training player shows what the networks of each snapshot make."""

import re
from dataclasses import replace
from xml.etree import ElementTree

import numpy as np
import pytest
import torch
from PIL import ImageColor

from pix2pix_lib.config import make_discriminator, make_generator
from pix2pix_lib.explorers import player
from pix2pix_lib.explorers.player import TrainingPlayer
from pix2pix_lib.images import to_pil
from pix2pix_lib.inference import translate
from pix2pix_lib.plots import BLUE, GREEN, ORANGE
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


def test_pictures_are_those_of_that_moment_and_facade(film, history, tiny_pairs):
    logits = {name: 2 * torch.randn(3, 2, 6, 6) for name in ("real_logits", "fake_logits")}
    film, (real_a, real_b) = replace(film, **logits), tiny_pairs[1]
    explorer = TrainingPlayer([tiny_pairs[0], tiny_pairs[1]], film, history)
    shown = [picture.image for picture in explorer.set(percent=100, facade=1).rows[0]]
    for image, wanted in zip(shown, (real_a, film.fake_b[2, 1], real_b)):
        assert np.array_equal(image, to_pil(wanted).convert("RGB"))
    for image, logits in zip(shown[3:], (film.fake_logits[2, 1], film.real_logits[2, 1])):
        red, _, blue = np.moveaxis(np.asarray(image), -1, 0)
        sure = logits.abs() > 0.5  # purple where D takes the patch for real
        assert np.array_equal((blue > red)[sure], (logits > 0)[sure])
    assert not np.array_equal(shown[1], explorer.set(facade=0).rows[0][1].image)


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
    plain, marked = (
        np.asarray(sketch.picture()) for sketch in (chart.chart.sketch(), chart.marked(step))
    )
    columns = np.nonzero((plain != marked).any(axis=(0, 2)))[0]
    left, right = chart.chart.LEFT, 400 - chart.chart.RIGHT
    assert columns.mean() == pytest.approx(left + share * (right - left), abs=2)
    assert np.ptp(columns) < 5


@pytest.mark.parametrize(("field", "value"), [("loss_d", 0.6), ("loss_g_gan", 2.0)])
def test_curves_are_as_high_as_the_losses(chart, field, value):
    pixels = np.asarray(chart.marked(500).picture()).astype(int)
    colour = ImageColor.getrgb(player.ADVERSARIAL[field])
    rows = np.nonzero((np.abs(pixels - colour).sum(-1) < 60).any(1))[0]
    top, bottom = chart.chart.TOP, player.HEIGHT - chart.chart.BELOW
    assert rows.mean() == pytest.approx(bottom - value / 2.0 * (bottom - top), abs=2)


def lines(picture):
    """Return the colour of each line of a drawn chart, and its corners in the chart."""
    chart = ElementTree.fromstring(picture.to_page()["svg"])
    (field,) = chart.iterfind("{*}svg")
    for line in field.iterfind("{*}polyline"):
        corners = [[*map(float, place.split(","))] for place in line.get("points").split()]
        yield line.get("stroke"), np.add(corners, (float(field.get("x")), float(field.get("y"))))


def test_line_is_dragged_to_the_frames(explorer):
    for percent in (0, 50, 100):
        for picture in explorer.set(percent=percent).rows[1]:
            (axis,) = picture.axes
            assert (axis.name, [value for _, value in axis.places]) == ("percent", [0, 50, 100])
            (line,) = (line for colour, line in lines(picture) if colour == "currentColor")
            (share,) = (share for share, value in axis.places if value == percent)
            assert line[:, 0] == pytest.approx([share * picture.size[0]] * 2, abs=0.01)


def test_titles_name_the_colours_of_the_curves(explorer):
    names = {BLUE: "blue", ORANGE: "orange", GREEN: "green"}
    for picture in explorer.view.rows[1]:
        drawn = [names[colour] for colour, _ in lines(picture) if colour in names]
        assert re.findall(r"\((\w+)\)", picture.title) == drawn


def test_play_shows_every_frame_and_stops_at_the_last(explorer):
    canvas = pytest.importorskip("pix2pix_lib.explorers.canvas", exc_type=ImportError)
    (action,) = explorer.actions
    assert action.repeat and canvas.describe(explorer)["actions"][0]["pause"] == player.PAUSE
    canvas.perform(explorer, {"press": 0})
    seen = [explorer.values["percent"]]
    for _ in range(3):
        canvas.perform(explorer, {"press": 0, "again": True})
        seen.append(explorer.values["percent"])
    assert seen == [50, 100, 100, 100]
    canvas.perform(explorer, {"press": 0})  # pressed anew at the end
    assert explorer.values["percent"] == 0


def test_single_press_moves_by_one_frame(explorer):
    (action,) = explorer.actions
    assert [action.change({"percent": percent})["percent"] for percent in (0, 50, 100)] == [
        50, 100, 0,
    ]  # fmt: skip


def test_patch_map_is_purple_for_real_and_orange_for_generated():
    picture = player.draw_map(torch.tensor([[8.0, -8.0]]), "map")
    assert picture.image.size == (2, 1)  # a pixel for each patch
    left, right = (picture.image.getpixel((x, 0)) for x in (0, 1))
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
