"""Muting removes one feature from a U-Net's decoder; maps and numbers are the network's own."""

import numpy as np
import pytest
import torch
from torch import nn

from pix2pix_lib.explorers.drawing import colour_table
from pix2pix_lib.explorers.unet import (
    INPUT_SIDE,
    UNetExplorer,
    draw_change,
    draw_map,
    draw_network,
    mute_options,
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


def test_map_has_one_square_for_each_value_coloured_by_its_sign():
    picture = np.asarray(draw_map(np.array([[-2.0, 0.0], [1.0, 2.0]]), side=192))
    table = colour_table("PuOr")
    for (y, x), index in (((48, 48), 0), ((48, 144), 128), ((144, 48), 191), ((144, 144), 255)):
        assert (picture[y, x] == table[index]).all()


def test_change_is_drawn_on_one_scale_for_all_settings():
    picture = np.asarray(draw_change(np.array([[0.0, 0.5], [1.0, 2.0]]), side=192))
    table = colour_table("cividis")
    for (y, x), index in (((48, 48), 0), ((48, 144), 128), ((144, 48), 255), ((144, 144), 255)):
        assert (picture[y, x] == table[index]).all()


@pytest.mark.parametrize("depth", [2, 5, 8])
def test_diagram_marks_the_layer_and_breaks_what_is_muted(depth):
    plain = np.asarray(draw_network(depth, "down1", ()))
    marked = np.asarray(draw_network(depth, "up1", ()))
    assert (plain != marked).any()
    for level in range(1, depth):
        muted = np.asarray(draw_network(depth, "down1", (level,)))
        rows_changed = np.flatnonzero((plain != muted).any(axis=(1, 2)))
        height = INPUT_SIDE / depth
        assert len(rows_changed) and (level - 1) * height - 9 < rows_changed.min()
        assert rows_changed.max() < level * height + 9  # only the skip of that level


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
