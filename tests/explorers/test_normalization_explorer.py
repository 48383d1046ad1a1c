"""The norms' explorer, against sums by hand and torch's layers, and the frames in its picture."""

import random
import re

import pytest
import torch
from PIL import ImageColor
from torch import nn

from pix2pix_lib.explorers.normalization import (
    LARGEST_BATCH,
    NormalizationExplorer,
    cell_box,
    normalise,
    trained_features,
)
from pix2pix_lib.layers import NORMS, make_norm
from pix2pix_lib.plots import BLUE, VERMILLION
from pix2pix_lib.trained import load_snapshot

START = {"norm": "batch", "batch": 4, "groups": 2, "channel": 3, "facade": 1, "neighbour": 2,
         "running": False}  # fmt: skip
TITLE = 20


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
    image, shared = explorer.set(**values).image, shared_by_hand(values)
    for row in range(values["batch"]):
        for channel in range(6):
            left, top, _, bottom = cell_box(6, row, channel)
            middle = TITLE + (top + bottom) // 2
            has_frame = image.getpixel((left + 1, middle)) == ImageColor.getrgb(BLUE)
            assert has_frame == ((row, channel) in shared)
            is_marked = image.getpixel((left + 5, middle)) == ImageColor.getrgb(VERMILLION)
            assert is_marked == ((row, channel) == (0, values["channel"]))
    for row in range(values["batch"], LARGEST_BATCH):
        left, top, right, bottom = cell_box(6, row, 0)
        assert image.getpixel(((left + right) // 2, TITLE + (top + bottom) // 2)) == (255, 255, 255)


def test_maps_that_do_not_count_are_faded(explorer):
    image = explorer.set(**START | {"norm": "instance", "batch": 2}).image
    left, top, right, bottom = cell_box(6, 0, 0)
    inside = left + 5, top + 5, right - 5, bottom - 5
    faded = cell_colours(explorer.set(norm="instance").image, inside)
    full = cell_colours(explorer.set(norm="layer").image, inside)
    assert image.width <= 900 and min(faded) > min(full) + 30


def cell_colours(image, box):
    left, top, right, bottom = box
    extrema = image.crop((left, top + TITLE, right, bottom + TITLE)).getextrema()
    return [value for low_high in extrema for value in low_high]


def test_maps_before_and_after_have_the_signs_of_their_values(explorer, features):
    image = explorer.set(**START | {"norm": "instance"}).image
    left_of_after = image.width - 220
    left_of_before = left_of_after - 18 - 220
    before, after = features[1, 3], nn.InstanceNorm2d(6)(features[1:2])[0, 3]
    for left, values in ((left_of_before, before), (left_of_after, after)):
        for row in range(5):
            for col in range(4):
                if values[row, col].abs() < 0.4:
                    continue
                red, _, blue = image.getpixel((left + 55 * col + 27, TITLE + 44 * row + 22))
                assert (blue > red) == (values[row, col] > 0)


def test_map_after_is_drawn_in_deviations_and_without_a_norm_as_before(explorer):
    after = explorer.set(**START | {"norm": "none"}).image
    right = after.crop((after.width - 220, TITLE, after.width, TITLE + 220))
    left = after.crop((after.width - 458, TITLE, after.width - 238, TITLE + 220))
    assert right.tobytes() == left.tobytes()


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
    assert cell_box(channels, 0, channels - 1)[2] <= explorer.view.image.width - 2 * 238


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
