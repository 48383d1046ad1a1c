"""The receptive field of every discriminator in three ways, boxes of patches, and errors."""

import math
from functools import partial

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from pix2pix_lib.patchgan import PatchDiscriminator
from pix2pix_lib.receptive_field import (
    Layer,
    PixelBox,
    ReceptiveField,
    convolutions_only,
    footprint_box,
    gradient_footprint,
    measured_receptive_field,
    receptive_field,
    spatial_layers,
)


def chain(*layers: nn.Module) -> nn.Sequential:
    """Put a LeakyReLU after every layer except the last."""
    activated = [module for layer in layers[:-1] for module in (layer, nn.LeakyReLU(0.2))]
    return nn.Sequential(*activated, layers[-1])


def conv(
    kernel: int, stride: int = 1, padding: int | str = 1, channels: tuple[int, int] = (4, 4)
) -> nn.Conv2d:
    return nn.Conv2d(*channels, kernel, stride=stride, padding=padding)


def instance3x3() -> nn.Module:
    first = conv(3, 2, channels=(6, 4))
    return chain(first, *(conv(3, 2) for _ in range(3)), conv(3, channels=(4, 1)))


def upsample4x4() -> nn.Module:
    pad = nn.ZeroPad2d((1, 0, 1, 0))  # left 1, right 0, top 1, bottom 0
    last = nn.Sequential(pad, conv(4, channels=(4, 1)))
    return chain(conv(4, 2, channels=(6, 4)), *(conv(4, 2) for _ in range(3)), last)


def shallow() -> nn.Module:
    """4x4 convolutions; those of stride 1 keep the size, with one zero before and two after."""
    pad = nn.ZeroPad2d((1, 2, 1, 2))
    same = nn.Sequential(pad, conv(4, padding=0))
    last = nn.Sequential(nn.ZeroPad2d((1, 2, 1, 2)), conv(4, padding=0, channels=(4, 1)))
    return chain(conv(4, 2, channels=(6, 4)), conv(4, 2), conv(4, 2), same, last)


def patch(**options) -> partial[PatchDiscriminator]:
    return partial(PatchDiscriminator, base_channels=4, **options)


# The network on 6 channels, its kernels and strides, the size and stride of its field, where the
# field of output 0 starts, and the side of the map at 256.
DISCRIMINATORS = {
    "pixel": (patch(layers=0), [1] * 3, [1] * 3, (1, 1), 0, 256),
    "16x16": (patch(layers=1), [4] * 3, [2, 1, 1], (16, 2), -5, 126),
    "34x34": (patch(layers=2), [4] * 4, [2, 2, 1, 1], (34, 4), -11, 62),
    "paper": (patch(), [4] * 5, [2, 2, 2, 1, 1], (70, 8), -23, 30),
    "142x142": (patch(layers=4), [4] * 6, [2] * 4 + [1, 1], (142, 16), -47, 14),
    "286x286": (patch(layers=5), [4] * 7, [2] * 5 + [1, 1], (286, 32), -95, 6),
    "cyclegan": (patch(norm="instance"), [4] * 5, [2, 2, 2, 1, 1], (70, 8), -23, 30),
    "instance3x3": (instance3x3, [3] * 5, [2, 2, 2, 2, 1], (63, 16), -31, 16),
    "upsample4x4": (upsample4x4, [4] * 5, [2, 2, 2, 2, 1], (94, 16), -47, 16),
    "shallow": (shallow, [4] * 5, [2, 2, 2, 1, 1], (70, 8), -23, 32),
}
every_discriminator = pytest.mark.parametrize("name", DISCRIMINATORS)


@pytest.fixture
def field() -> ReceptiveField:
    """The field of the paper's discriminator: patch i sees the pixels -23 + 8i to 46 + 8i."""
    return receptive_field(PatchDiscriminator(base_channels=2))


# Three ways to one number


@every_discriminator
def test_first_way_the_recurrence_over_the_layers(name):
    network, _, _, (size, stride), start, _ = DISCRIMINATORS[name]
    assert receptive_field(network()) == ReceptiveField(size, stride, start)


@every_discriminator
def test_second_way_the_closed_form(name):
    network, kernels, strides, (size, stride), _, _ = DISCRIMINATORS[name]
    layers = [layer for layer in spatial_layers(network()) if layer.name == "Conv2d"]
    assert [layer.kernel for layer in layers] == kernels
    assert [layer.stride for layer in layers] == strides
    assert 1 + sum((k - 1) * math.prod(strides[:index]) for index, k in enumerate(kernels)) == size
    assert math.prod(strides) == stride


@every_discriminator
def test_third_way_the_gradient(name):
    network, _, _, (size, stride), start, _ = DISCRIMINATORS[name]
    torch.manual_seed(0)
    assert measured_receptive_field(network(), in_channels=6) == ReceptiveField(size, stride, start)


@every_discriminator
def test_map_at_256(name):
    network, side = DISCRIMINATORS[name][0], DISCRIMINATORS[name][-1]
    with torch.no_grad():
        assert network()(torch.zeros(1, 6, 256, 256)).shape == (1, 1, side, side)


SHAPES = st.tuples(st.integers(1, 4), st.integers(1, 2), st.integers(0, 2))


@settings(max_examples=15, deadline=None)
@given(st.lists(SHAPES, min_size=1, max_size=4))
def test_recurrence_and_gradient_agree_on_random_chains(shapes):
    # No stride exceeds its kernel, so that no pixel is left out.
    network = chain(*(conv(k, min(s, k), min(p, k - 1), (1, 1)) for k, s, p in shapes))
    torch.manual_seed(0)
    assert measured_receptive_field(network, in_channels=1, side=128) == receptive_field(network)


@pytest.mark.filterwarnings("ignore:Using padding='same' with even kernel")
def test_same_padding_puts_the_odd_pixel_behind():
    even, odd = (conv(kernel, padding="same", channels=(1, 1)) for kernel in (4, 5))
    network = nn.Sequential(even, odd)
    assert receptive_field(network) == ReceptiveField(8, 1, -3)
    assert measured_receptive_field(network, 1, side=64) == ReceptiveField(8, 1, -3)


def test_dilation_widens_the_kernel():
    first = nn.Conv2d(1, 1, 3, dilation=3, padding=3)
    network = nn.Sequential(first, nn.Conv2d(1, 1, 3, dilation=2, padding="same"))
    assert receptive_field(network) == ReceptiveField(11, 1, -5)
    assert measured_receptive_field(network, 1, side=64) == ReceptiveField(11, 1, -5)


def test_pooling_counts_like_a_convolution():
    network = nn.Sequential(nn.Conv2d(1, 1, 3, padding=1), nn.MaxPool2d(2), nn.AvgPool2d(2))
    pools = [Layer("MaxPool2d", 2, 2, 0), Layer("AvgPool2d", 2, 2, 0)]
    assert spatial_layers(network) == [Layer("Conv2d", 3, 1, 1), *pools]
    assert receptive_field(network) == ReceptiveField(6, 4, -1)


def test_norms_and_activations_do_not_count():
    plain = nn.Conv2d(1, 2, 3)
    dressed = nn.Sequential(nn.Conv2d(1, 2, 3), nn.BatchNorm2d(2), nn.Tanh(), nn.Dropout())
    assert receptive_field(plain) == receptive_field(dressed) == ReceptiveField(3, 1, 0)


def test_without_padding_in_the_last_two_layers_only_the_places_change():
    def last_two(padding: int) -> nn.Module:
        down = (conv(4, 2, channels=(6, 4)), conv(4, 2), conv(4, 2))
        return chain(*down, conv(4, 1, padding), conv(4, 1, padding, (4, 1)))

    assert receptive_field(last_two(0)) == ReceptiveField(70, 8, -7)
    assert measured_receptive_field(last_two(0), 6) == ReceptiveField(70, 8, -7)
    assert receptive_field(last_two(1)) == ReceptiveField(70, 8, -23)
    with torch.no_grad():
        assert last_two(0)(torch.zeros(1, 6, 256, 256)).shape[-1] == 26


def test_explicit_zeros_count_like_padding():
    pads = nn.ZeroPad2d(1), nn.ReflectionPad2d(2)
    apart = nn.Sequential(pads[0], nn.Conv2d(1, 1, 4), pads[1], nn.Conv2d(1, 1, 3, padding="valid"))
    inside = nn.Sequential(nn.Conv2d(1, 1, 4, padding=1), nn.Conv2d(1, 1, 3, padding=2))
    assert receptive_field(apart) == receptive_field(inside) == ReceptiveField(6, 1, -3)


# Boxes


@pytest.mark.parametrize("i", [0, 1, 14, 29])
def test_patch_i_sees_pixels_from_8i_minus_23_to_8i_plus_46(field, i):
    box = field.box(i, 29 - i)
    assert (box.top, box.bottom - 1) == (-23 + 8 * i, 46 + 8 * i)
    assert (box.left, box.right - 1) == (-23 + 8 * (29 - i), 46 + 8 * (29 - i))


def test_24_by_24_of_the_30_by_30_patches_lie_inside(field):
    inside = {(i, j) for i in range(30) for j in range(30) if field.box(i, j).is_inside(256, 256)}
    assert inside == {(i, j) for i in range(3, 27) for j in range(3, 27)}
    assert len(inside) == 576


def test_a_box_that_fills_the_image_is_inside_and_one_pixel_more_is_not():
    assert PixelBox(0, 0, 20, 30).is_inside(20, 30)
    for sides in ((-1, 0, 20, 30), (0, -1, 20, 30), (0, 0, 21, 30), (0, 0, 20, 31)):
        box = PixelBox(*sides)
        assert not box.is_inside(20, 30)
        assert box.clipped(20, 30) == PixelBox(0, 0, 20, 30)


def test_clipping_keeps_what_lies_inside(field):
    assert field.box(0, 29).clipped(256, 256) == PixelBox(0, 209, 47, 256)
    assert field.box(14, 14).clipped(256, 256) == field.box(14, 14)


def test_the_footprint_of_a_clipped_patch_is_the_clipped_box(field):
    torch.manual_seed(0)
    network, image = PatchDiscriminator(base_channels=4, norm="none"), torch.randn(1, 6, 256, 256)
    for row, col in ((0, 0), (1, 28), (14, 20)):
        footprint = gradient_footprint(network, image, row, col)
        assert footprint.shape == (256, 256)
        assert footprint_box(footprint) == field.box(row, col).clipped(256, 256)


# What norms do


@pytest.mark.parametrize(
    ("norm", "training", "reaches_all"),
    [("none", True, False), ("batch", False, False), ("batch", True, True),
     ("instance", True, True)],
)  # fmt: skip
def test_statistics_of_the_image_spread_the_footprint_over_all_of_it(
    field, norm, training, reaches_all
):
    torch.manual_seed(0)
    network = PatchDiscriminator(base_channels=8, norm=norm).train(training)
    box = footprint_box(gradient_footprint(network, torch.randn(1, 6, 128, 128), 7, 7))
    assert box == (PixelBox(0, 0, 128, 128) if reaches_all else field.box(7, 7))


def test_convolutions_only_is_linear_and_leaves_the_network_as_it_was():
    torch.manual_seed(0)
    network = PatchDiscriminator(base_channels=4, norm="instance")
    before = [type(module) for module in network.modules()]
    linear, image = convolutions_only(network), torch.randn(1, 6, 64, 64)
    assert [type(module) for module in network.modules()] == before
    with torch.no_grad():
        zero = linear(torch.zeros_like(image))
        once, twice = linear(image) - zero, linear(2 * image) - zero
        torch.testing.assert_close(twice, 2 * once, rtol=1e-3, atol=1e-6)


def test_the_footprint_leaves_image_and_weights_without_gradients():
    network, image = PatchDiscriminator(base_channels=2), torch.randn(1, 6, 64, 64)
    gradient_footprint(network, image, 2, 2)
    assert not image.requires_grad
    assert all(parameter.grad is None for parameter in network.parameters())


def test_the_footprint_is_the_sum_of_absolute_gradients_over_channels():
    network = nn.Conv2d(2, 1, 1)
    footprint = gradient_footprint(network, torch.randn(1, 2, 3, 3), 1, 2)
    expected = torch.zeros(3, 3)
    expected[1, 2] = network.weight.detach().abs().sum()
    torch.testing.assert_close(footprint, expected)


# Errors


def test_a_layer_without_known_geometry_is_named():
    with pytest.raises(TypeError, match="no receptive field is known for Upsample"):
        receptive_field(nn.Sequential(nn.Conv2d(1, 1, 3), nn.Upsample(scale_factor=2)))
    with pytest.raises(TypeError, match="ConvTranspose2d"):
        receptive_field(nn.ConvTranspose2d(1, 1, 4, stride=2))


@pytest.mark.parametrize(
    ("layer", "what"),
    [
        (nn.Conv2d(1, 1, (3, 5)), "kernel 3 along height and 5 along width"),
        (nn.Conv2d(1, 1, 3, stride=(1, 2)), "stride 1 along height and 2 along width"),
        (nn.Conv2d(1, 1, 3, padding=(0, 1)), "padding 0 along height and 1 along width"),
        (nn.Conv2d(1, 1, 3, dilation=(1, 2)), "dilation 1 along height and 2 along width"),
        (nn.ZeroPad2d((1, 0, 2, 0)), "padding 2 along height and 1 along width"),
    ],
)
def test_layers_that_treat_the_axes_differently_are_refused(layer, what):
    with pytest.raises(ValueError, match=what):
        receptive_field(layer)


@pytest.mark.parametrize("side", [64, 80])
def test_an_image_that_is_too_small_to_measure_in_is_refused(side):
    message = f"does not fit into an image of {side} pixels; measure with a larger side"
    with pytest.raises(ValueError, match=message):
        measured_receptive_field(PatchDiscriminator(base_channels=2), 6, side=side)


def test_a_footprint_without_any_pixel_is_refused():
    with pytest.raises(ValueError, match="zero everywhere"):
        footprint_box(torch.zeros(5, 5))
