"""Muting removes one feature from a U-Net's decoder; maps and numbers are the network's own."""

import numpy as np
import pytest
import torch
from torch import nn

from pix2pix_lib.explorers.drawing import colour_table
from pix2pix_lib.explorers.unet import (
    UNetExplorer,
    change_picture,
    draw_network,
    map_picture,
    mosaic_picture,
    mute_options,
    network_spots,
    trace_muted,
)
from pix2pix_lib.inference import translate
from pix2pix_lib.patchgan import PatchDiscriminator
from pix2pix_lib.unet import UNet


class MutedByHand(nn.Module):
    """The reference for `trace_muted`: the U-Net's forward pass with zeros among the features."""

    def __init__(self, unet, muted):
        super().__init__()
        self.unet, self.muted, self.maps = unet, muted, {}

    def forward(self, x):
        features = []
        for level, down in enumerate(self.unet.downs, start=1):
            x = self.maps[f"down{level}"] = down(x)
            features.append(torch.zeros_like(x) if level in self.muted else x)
        x = features.pop()
        for number, up in enumerate(self.unet.ups, start=1):
            x = self.maps[f"up{number}"] = up(x)
            x = torch.cat([x, features.pop()], dim=1)
        return torch.tanh(self.unet.head(x))


@pytest.fixture
def generator():
    """A small U-Net with dropout, in evaluation mode, whose norms have seen other data."""
    torch.manual_seed(1)
    unet = UNet(base_channels=4, depth=4, dropout=0.5)
    unet(torch.randn(4, 3, 32, 32))
    return unet.eval()


@pytest.fixture
def real_a():
    return torch.rand(2, 3, 32, 32, generator=torch.Generator().manual_seed(2)) * 2 - 1


@pytest.fixture
def explorer(generator, real_a):
    return UNetExplorer(generator, real_a)


@pytest.mark.parametrize("muted", [(), (1,), (2,), (3,), (4,), (1, 2, 3), (1, 2, 3, 4)])
def test_muted_pass_is_the_forward_pass_with_zeros_in_the_list(generator, real_a, muted):
    reference = MutedByHand(generator, muted)
    expected = translate(reference, real_a[:1])[0]
    trace = trace_muted(generator, real_a[0], muted)
    assert torch.equal(trace.fake_b, expected)
    assert trace.maps.keys() == reference.maps.keys()
    assert all(torch.equal(trace.maps[name], reference.maps[name][0]) for name in trace.maps)


def test_nothing_muted_is_the_generator_s_own_image(generator, real_a):
    assert torch.equal(trace_muted(generator, real_a[0]).fake_b, translate(generator, real_a)[0])


def test_each_skip_matters_and_without_all_of_them_the_input_is_gone(generator, real_a):
    images = [trace_muted(generator, real_a[0], (level,)).fake_b for level in (1, 2, 3, 4)]
    own = trace_muted(generator, real_a[0]).fake_b
    assert all(not torch.equal(image, own) for image in images)
    nothing_left = [trace_muted(generator, image, (1, 2, 3, 4)).fake_b for image in real_a]
    assert torch.equal(*nothing_left)


def test_generator_is_as_before(generator, real_a):
    before = {name: value.clone() for name, value in generator.state_dict().items()}
    own = generator(real_a)
    trace_muted(generator, real_a[0], (1, 4))
    assert not generator.training
    assert all(torch.equal(value, before[name]) for name, value in generator.state_dict().items())
    assert torch.equal(generator(real_a), own)  # no hook is left


def test_generator_is_freed_of_its_hooks_when_the_input_does_not_fit(generator):
    with pytest.raises(ValueError, match="multiples of 16"):
        trace_muted(generator, torch.zeros(3, 40, 40), (1,))
    for module in generator.modules():
        assert not module._forward_hooks and not module._forward_pre_hooks


def test_what_can_be_muted_follows_from_the_depth():
    assert mute_options(3) == {
        "nothing": (), "skip 1": (1,), "skip 2": (2,), "bottleneck": (3,), "all skips": (1, 2),
    }  # fmt: skip


def test_controls_follow_from_the_network(explorer, generator):
    names = explorer.controls["layer"].options
    assert names == ("down1", "down2", "down3", "down4", "up1", "up2", "up3")
    layers = [explorer.values | {"layer": name} for name in explorer.channels]
    widths = [explorer.range("channel", values)[1] + 1 for values in layers]
    downs = [block.conv.out_channels for block in generator.downs]
    assert widths == downs + [block.upsample.out_channels for block in generator.ups]


def test_channel_goes_along_when_a_layer_has_fewer(explorer):
    explorer.set(layer="down4", channel=31)
    explorer.set(layer="up3")
    assert explorer.values["channel"] == 3
    with pytest.raises(ValueError, match="channel must be from 0 to 3; got 4"):
        explorer.set(channel=4)


@pytest.mark.parametrize(
    ("layer", "mute", "levels"),
    [
        ("down3", "skip 3", (3,)),
        ("up1", "bottleneck", (4,)),
        ("up3", "all skips", (1, 2, 3)),
        ("down1", "nothing", ()),
    ],
)
def test_numbers_are_those_of_the_network(explorer, generator, real_a, layer, mute, levels):
    numbers = explorer.set(layer=layer, channel=2, mute=mute, facade=1).numbers
    reference = MutedByHand(generator, levels)
    fake_b = translate(reference, real_a[1:])
    values = reference.maps[layer][0, 2]
    assert numbers["size"] == values.shape and numbers["muted"] == levels
    assert numbers["lowest"] == values.min() and numbers["highest"] == values.max()
    assert numbers["off"] == pytest.approx((values.relu() == 0).float().mean().item())
    change = (fake_b - translate(generator, real_a[1:])).abs().mean().item()
    assert numbers["change"] == pytest.approx(change, rel=1e-5)
    assert (change > 0) == (mute != "nothing")


def test_words_follow_the_numbers(explorer):
    view = explorer.set(layer="up2", channel=5, mute="skip 2")
    for words in (view.text, view.alt):
        assert "up2" in words and "channel 5" in words and "8x8" in words and "skip 2" in words
        assert f"{view.numbers['change']:.3f}" in words
        assert f"{view.numbers['off']:.0%}" in words
    assert "own image" in explorer.set(mute="nothing").text


def test_same_values_same_picture_and_the_network_runs_once(explorer):
    first = explorer.set(mute="skip 1")
    assert explorer.network_seconds > 0
    again = explorer.set(mute="skip 1", layer="up1")
    assert explorer.network_seconds == 0
    before = first.image.tobytes()
    assert explorer.set(layer="down1").image.tobytes() == before != again.image.tobytes()


def test_map_has_one_pixel_for_each_value_coloured_by_its_sign():
    picture = map_picture(np.array([[-2.0, 0.0], [1.0, 2.0]]), "map")
    expected = colour_table("PuOr")[[[0, 128], [191, 255]]]
    assert (np.asarray(picture.image) == expected).all()
    assert picture.scale.table == "PuOr" and picture.scale.marks == ("-2.0", "0", "2.0")
    zeros = np.asarray(map_picture(np.zeros((2, 2)), "map").image)
    assert (zeros == colour_table("PuOr")[128]).all()


def test_change_is_drawn_on_one_scale_for_all_settings():
    for change in ([[0.0, 0.5], [1.0, 2.0]], [[0.0, 0.5], [1.0, 1.0]]):
        picture = change_picture(np.array(change))
        expected = colour_table("cividis")[[[0, 128], [255, 255]]]
        assert (np.asarray(picture.image) == expected).all()
        assert picture.scale.table == "cividis" and picture.scale.marks == ("0", "0.5", "1+")


def within(box, image, margin=3):
    """Return where an image lies in a box of shares, or at most `margin` pixels beside it."""
    top, left, bottom, right = np.array(box) * (*image.shape[:2], *image.shape[:2])
    rows, cols = np.indices(image.shape[:2]) + 0.5
    down = (rows > top - margin) & (rows < bottom + margin)
    return down & (cols > left - margin) & (cols < right + margin)


def network(depth, layer="", muted=()):
    return np.asarray(draw_network(depth, layer, muted).picture())


@pytest.mark.parametrize("depth", [2, 5, 8])
def test_what_is_clicked_is_what_changes_in_the_diagram(depth):
    plain, options = network(depth), mute_options(depth)
    spots = network_spots(depth, "nothing")
    layers = [spot.values["layer"] for spot in spots if "layer" in spot.values]
    assert layers == [f"down{i + 1}" for i in range(depth)] + [
        f"up{i + 1}" for i in range(depth - 1)
    ]
    muting = [spot.values["mute"] for spot in spots if "mute" in spot.values]
    assert set(muting) == set(options) - {"nothing", "all skips"}
    for spot in spots:
        layer, mute = spot.values.get("layer", ""), spot.values.get("mute", "nothing")
        changed = (network(depth, layer, options[mute]) != plain).any(axis=2)
        inside = within(spot.box, changed)
        assert changed[inside].any()
        if mute == "bottleneck":  # its name lies beside its line, between two blocks
            first, last = (s.box for s in spots if s.values.get("layer") in (f"down{depth}", "up1"))
            inside |= within((last[0], first[1], first[2], last[3]), changed)
        assert not changed[~inside].any()


def test_click_mutes_a_skip_and_a_second_click_lets_it_pass(explorer):
    def click(name):
        (spot,) = (s for s in explorer.view.rows[0][1].spots if s.words.startswith(f"{name}"))
        explorer.set(**spot.values)

    for name in ("skip 2", "skip 3", "bottleneck"):
        click(name)
        assert explorer.values["mute"] == name
    click("bottleneck")
    assert explorer.values["mute"] == "nothing"
    explorer.set(mute="all skips")
    click("skip 1")
    assert explorer.values["mute"] == "skip 1"
    click("up2")
    assert explorer.values["layer"] == "up2" and explorer.values["mute"] == "skip 1"


@pytest.mark.parametrize(("count", "side", "channel"), [(16, 64, 5), (5, 1, 0), (130, 4, 129)])
def test_mosaic_shows_each_channel_where_a_click_chooses_it(count, side, channel):
    maps = np.random.default_rng(0).standard_normal((count, side, side))
    picture = mosaic_picture(maps, channel)
    pixels = np.asarray(picture.image)
    first = channel // 64 * 64
    numbers = [spot.values["channel"] for spot in picture.spots]
    assert numbers == list(range(first, min(first + 64, count)))
    assert [spot.values["channel"] for spot in picture.spots if spot.chosen] == [channel]
    assert picture.title == f"channels {numbers[0]} to {numbers[-1]}"
    for spot in picture.spots:
        values = maps[spot.values["channel"]]
        large = np.asarray(map_picture(values, "map").image)
        top, left, bottom, right = (
            round(share * length) for share, length in zip(spot.box, 2 * pixels.shape[:2])
        )
        part = pixels[top:bottom, left:right]
        times = part.shape[0] // side
        assert part.shape[:2] == (times * side, times * side) and part.shape[0] >= 16
        assert (part == large.repeat(times, axis=0).repeat(times, axis=1)).all()
        assert f"{values.min():.1f} to {values.max():.1f}" in spot.words


def test_strip_frames_the_chosen_channel_alone():
    maps = np.zeros((4, 16, 16))
    strips = [np.asarray(mosaic_picture(maps, channel).draw()) for channel in (1, 2)]
    differ = (strips[0] != strips[1]).any(axis=2)
    half = differ.shape[0] // 2
    quarters = differ[: half - 4, : half - 4], differ[half + 4 :, half + 4 :]
    assert not any(quarter.any() for quarter in quarters)  # channels 0 and 3
    assert differ[: half - 4, half + 4 :].any() and differ[half + 4 :, : half - 4].any()


def test_pictures_are_the_network_s_in_their_own_pixels(explorer, generator, real_a):
    view = explorer.set(layer="up3", channel=3, mute="skip 2", facade=1)
    muted = trace_muted(generator, real_a[1], (2,))
    own = translate(generator, real_a[1:])[0]
    (given, _), (mosaic, large, full, without, change) = view.rows
    for picture, image in ((given, real_a[1]), (full, own), (without, muted.fake_b)):
        pixels = torch.tensor(np.asarray(picture.image)).permute(2, 0, 1) / 127.5 - 1
        torch.testing.assert_close(pixels.double(), image.double(), atol=0.005, rtol=0)
    assert large.image.size == (16, 16) and change.image.size == (32, 32)
    maps = muted.maps["up3"].numpy()
    assert (np.asarray(large.image) == np.asarray(map_picture(maps[3], "").image)).all()
    assert (np.asarray(mosaic.image) == np.asarray(mosaic_picture(maps, 3).image)).all()
    assert len(explorer.set(mute="nothing").rows[1]) == 3  # no second image, no change


def test_picture_fits_a_screen_and_shows_all_parts(explorer):
    view = explorer.set(mute="all skips")
    assert view.image.width <= 900 and view.image.height <= 420


@pytest.mark.parametrize(
    ("arguments", "kind", "words"),
    [
        ({"generator": PatchDiscriminator(base_channels=4)}, TypeError,
         "class UNet; got PatchDiscriminator"),
        ({"generator": UNet(base_channels=4, depth=2, skips=False)}, ValueError, "skips"),
        ({"real_a": torch.zeros(3, 32, 32)}, ValueError, r"image\[None\]"),
        ({"real_a": torch.zeros(0, 3, 32, 32)}, ValueError, "N at least 1"),
        ({"real_a": torch.zeros(1, 3, 40, 40)}, ValueError, "multiples of 16"),
    ],
)  # fmt: skip
def test_wrong_arguments_say_what_was_expected(generator, real_a, arguments, kind, words):
    with pytest.raises(kind, match=words):
        UNetExplorer(**{"generator": generator, "real_a": real_a} | arguments)


def test_one_call_shows_the_network_that_ships():
    explorer = UNetExplorer()
    assert "own image" in explorer.view.text
    assert explorer.set(mute="all skips").numbers["change"] > 0.05
