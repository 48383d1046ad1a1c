"""The norms' explorer, against sums by hand and torch's layers, and the frames in its picture."""

import random
import re

import pytest
import torch
from PIL import ImageColor
from torch import nn

from pix2pix_lib.explorers.normalization import (
    GRID,
    LARGEST_BATCH,
    Grid,
    NormalizationExplorer,
    normalise,
    trained_features,
)
from pix2pix_lib.layers import NORMS, make_norm
from pix2pix_lib.plots import BLUE, VERMILLION
from pix2pix_lib.trained import load_snapshot

START = {"norm": "batch", "batch": 4, "groups": 2, "channel": 3, "facade": 1, "neighbour": 2,
         "running": False}  # fmt: skip


@pytest.fixture(scope="module")
def features():
    x = torch.randn(9, 6, 5, 4, generator=torch.Generator().manual_seed(0))
    scale, shift = torch.arange(1, 10).reshape(9, 1, 1, 1), torch.arange(6).reshape(6, 1, 1)
    return x * scale + shift  # no two maps are alike


@pytest.fixture(scope="module")
def averages():
    return torch.linspace(-1, 1, 6), torch.linspace(0.5, 4, 6)


@pytest.fixture(scope="module")
def explorer(features, averages):
    return NormalizationExplorer(features, averages)


def members_of(values):
    """Return the numbers of the images in the batch, starting with the chosen one."""
    first = values["facade"]
    return [first, *[(first + values["neighbour"] + i) % 9 for i in range(values["batch"] - 1)]]


def shared_by_hand(values):
    """Return the (row, channel) pairs whose values count for the chosen channel of image 0."""
    channel, channels = values["channel"], range(6)
    if values["norm"] == "batch":
        return [] if values["running"] else [(row, channel) for row in range(values["batch"])]
    size = {"instance": 1, "layer": 6, "group": 6 // values["groups"], "none": 0}[values["norm"]]
    return [(0, other) for other in channels if size and other // size == channel // size]


SETTINGS = [
    START | {"norm": norm, **rest}
    for norm in NORMS
    for rest in (
        {},
        {"batch": 1},
        {"batch": 3, "groups": 3, "channel": 5, "facade": 8},
        {"running": True, "groups": 6},
    )
]


@pytest.mark.parametrize(
    "values", SETTINGS, ids=lambda v: f"{v['norm']}-{v['batch']}-{v['running']}"
)
def test_numbers_are_sums_over_the_maps_that_count(explorer, features, averages, values):
    numbers = explorer.set(**values).numbers
    batch, channel, shared = features[members_of(values)], values["channel"], shared_by_hand(values)
    before = batch[0, channel]
    if values["norm"] == "batch" and values["running"]:
        mean, variance, eps = averages[0][channel], averages[1][channel], 1e-5
    elif values["norm"] == "none":
        mean, variance, eps = torch.tensor(0.0), torch.tensor(1.0), 0
    else:
        pile = torch.cat([batch[row, other].flatten() for row, other in shared])
        mean = pile.sum() / len(pile)
        variance, eps = ((pile - mean) ** 2).sum() / len(pile), 1e-5
    after = (before - mean) / (variance + eps) ** 0.5
    assert (numbers["maps"], numbers["values"]) == (len(shared), 20 * len(shared))
    assert numbers["mean"] == pytest.approx(float(mean), abs=1e-5)
    assert numbers["deviation"] == pytest.approx(float(variance) ** 0.5, abs=1e-5)

    def moments(values):
        return float(values.mean()), float(values.std(correction=0))

    assert numbers["before"] == pytest.approx(moments(before), abs=1e-5)
    assert numbers["after"] == pytest.approx(moments(after), abs=1e-4)


@pytest.mark.parametrize("norm", NORMS)
def test_only_batch_norm_in_training_depends_on_the_neighbours(explorer, norm):
    there = explorer.set(**START | {"norm": norm})
    other = explorer.set(neighbour=4)
    assert (there.numbers["after"] != other.numbers["after"]) == (norm == "batch")
    assert (there.numbers["change"] > 0.01) == (norm == "batch")
    assert ("change nothing" in there.text) == (norm != "batch")
    assert explorer.set(running=True).numbers["change"] < 1e-6
    assert "alone" in explorer.set(running=False, batch=1).text
    assert explorer.view.numbers["change"] == 0


def test_change_is_the_distance_from_the_image_alone(explorer, features):
    numbers = explorer.set(**START).numbers
    together = nn.BatchNorm2d(6, affine=False)(features[members_of(START)])[0, 3]
    alone = nn.InstanceNorm2d(6)(features[1:2])[0, 3]  # the two norms agree on one image
    assert numbers["change"] == pytest.approx(float((together - alone).abs().mean()), abs=1e-5)


def test_norms_are_those_of_the_networks(features):
    for norm in ("batch", "instance", "layer", "none"):
        torch.testing.assert_close(normalise(features, norm), make_norm(norm, 6)(features).detach())
    two_groups = normalise(features, "group", 2)  # 2 is gcd(32, 6)
    torch.testing.assert_close(two_groups, make_norm("group", 6)(features).detach())


def test_features_are_what_the_trained_generator_hands_to_its_first_norm():
    generator, seen = load_snapshot().generator, []
    generator.downs[1].norm.register_forward_hook(
        lambda norm, args, output: seen.append((args[0], output))
    )
    explorer = NormalizationExplorer()
    features, (mean, variance) = trained_features()
    from pix2pix_lib.facades import facade_tensors, split_seeds

    with torch.no_grad():
        generator(torch.stack([facade_tensors(seed)[0] for seed in split_seeds("val", 8)]))
    ((given, normed),) = seen
    assert torch.equal(explorer.features, features)
    torch.testing.assert_close(features, given[:, :8])
    norm = generator.downs[1].norm
    kept = normalise(features, "batch", averages=(mean, variance))
    scaled = kept * norm.weight[:8].reshape(8, 1, 1) + norm.bias[:8].reshape(8, 1, 1)
    torch.testing.assert_close(scaled.detach(), normed[:, :8], atol=1e-4, rtol=1e-4)


@pytest.mark.parametrize(
    "values", SETTINGS, ids=lambda v: f"{v['norm']}-{v['batch']}-{v['running']}"
)
def test_frames_are_around_the_maps_that_count(explorer, values):
    picture, shared = explorer.set(**values).rows[0][0], shared_by_hand(values)
    image, grid = picture.draw(), Grid(6, 5, 4)
    scale = image.width / grid.size[0]
    for row in range(LARGEST_BATCH):
        for channel in range(6):
            left, top, right, bottom = (place * scale for place in grid.cell(row, channel))
            across = [image.getpixel((int(left + x), int((top + bottom) / 2))) for x in (2, 7)]
            assert (across[0] == ImageColor.getrgb(BLUE)) == ((row, channel) in shared)
            is_chosen = (row, channel) == (0, values["channel"])
            assert (across[1] == ImageColor.getrgb(VERMILLION)) == is_chosen
            if row >= values["batch"]:
                cell = image.crop((left + 2, top + 2, right - 2, bottom - 2))
                assert cell.getextrema() == ((255, 255),) * 3


def test_click_on_a_map_chooses_its_channel_and_pointing_tells_its_statistics(explorer, features):
    picture, grid = explorer.set(**START | {"batch": 3}).rows[0][0], Grid(6, 5, 4)
    batch = features[members_of(START)[:3]]
    assert len(picture.spots) == 3 * 6
    for number, spot in enumerate(picture.spots):
        row, channel = divmod(number, 6)
        left, top, right, bottom = grid.cell(row, channel)
        places = zip(spot.box, picture.image.size[::-1] * 2)
        up, back, down, on = (share * whole for share, whole in places)
        assert left < back < on < right and top < up < down < bottom
        values = batch[row, channel].numpy()
        assert f"channel {channel} of image {members_of(START)[row]}: mean " in spot.words
        mean, deviation = map(float, re.findall(r"mean (\S+), deviation ([\d.]+);", spot.words)[0])
        assert (mean, deviation) == pytest.approx((values.mean(), values.std()), abs=0.006)
        assert spot.chosen == (number == 3)
        assert explorer.draw(**explorer.values | spot.values).rows[0][0].spots[channel].chosen


def test_maps_that_do_not_count_are_faded(explorer):
    first = Grid(6, 5, 4).cell(0, 0)
    faded, full = (
        explorer.set(**START | {"norm": norm}).rows[0][0].image.crop(first)
        for norm in ("instance", "layer")
    )
    assert faded.convert("RGB").tobytes() == full.convert("RGB").tobytes()
    assert faded.getchannel("A").getextrema()[1] < 140
    assert full.getchannel("A").getextrema() == (255, 255)


def test_maps_before_and_after_have_the_signs_of_their_values(explorer, features):
    pictures = explorer.set(**START | {"norm": "instance"}).rows[0][1:]
    before, after = features[1, 3], nn.InstanceNorm2d(6)(features[1:2])[0, 3]
    for picture, values in zip(pictures, (before, after), strict=True):
        for row in range(5):
            for col in range(4):
                if values[row, col].abs() < 0.4:
                    continue
                red, _, blue = picture.image.getpixel((col, row))
                assert (blue > red) == (values[row, col] > 0)


def test_map_after_is_drawn_in_deviations_and_without_a_norm_as_before(explorer, features):
    largest = f"{float(features[1, 3].abs().max()):.2g}"
    _, before, after = explorer.set(**START | {"norm": "instance"}).rows[0]
    assert before.scale.marks == (f"-{largest}", "0", largest)
    assert after.scale.marks == ("-3", "0", "3")
    _, before, after = explorer.set(norm="none").rows[0]
    assert before.scale == after.scale and before.image.tobytes() == after.image.tobytes()


def test_wrong_features_are_refused_with_what_is_expected(features, averages):
    message = r"\(P, C, H, W\) with at least 8 images and 1 to 16 channels; got"
    for wrong in (features[0], features[:7], torch.zeros(8, 17, 4, 4)):
        with pytest.raises(ValueError, match=message):
            NormalizationExplorer(wrong, averages)
    for unfit in (None, (averages[0], averages[1][:5])):
        with pytest.raises(ValueError, match=r"each of shape \(6,\)"):
            NormalizationExplorer(features, unfit)


@pytest.mark.parametrize("channels", [1, 6, 7, 8, 16])
def test_any_number_of_channels_has_room(channels):
    x = torch.randn(8, channels, 4, 4)
    explorer = NormalizationExplorer(x, (torch.zeros(channels), torch.ones(channels)))
    assert explorer.controls["groups"].options[-1] == channels
    assert all(channels % groups == 0 for groups in explorer.controls["groups"].options)
    assert explorer.view.image.width <= 900
    grid = explorer.view.rows[0][0]
    assert len(grid.spots) == LARGEST_BATCH * channels and grid.size[0] <= 1.1 * GRID


def test_any_setting_shows_a_view_and_words_follow():
    random.seed(0)
    explorer, seen = NormalizationExplorer(), {}
    for _ in range(80):
        view = explorer.set(
            norm=random.choice(NORMS),
            batch=random.randint(1, 4),
            groups=random.choice((1, 2, 4, 8)),
            channel=random.randint(0, 7),
            facade=random.randint(0, 7),
            neighbour=random.randint(1, 5),
            running=random.random() < 0.3,
        )
        assert view.image.width <= 900 and view.image.height < 300
        assert not re.search(r"-0\.00|nan|e[-+]\d", view.text) and view.text in view.alt
        seen.setdefault(view.text, []).append(view.numbers)
    assert len(seen) > 60
