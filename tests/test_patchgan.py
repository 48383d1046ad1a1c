"""The patch discriminator: its parameters, maps, layers and errors."""

import itertools

import pytest
import torch
from torch import nn

from pix2pix_lib.layers import NORMS, count_parameters
from pix2pix_lib.patchgan import PatchDiscriminator, disc_block

SIZES = (32, 64, 128, 256, 512)


def convolutions(network: nn.Module) -> list[nn.Conv2d]:
    return [module for module in network.modules() if isinstance(module, nn.Conv2d)]


def map_side(side: int, layers: int) -> int:
    """Return the side of the map: halved by each layer, then one less by each of the last two.

    That is floor((n + 2p - k) / s) + 1 with k = 4 and p = 1.
    """
    return side // 2**layers - 2 if layers else side


# Parameters


@pytest.mark.parametrize(
    ("layers", "parameters"),
    [(0, 9_024), (1, 139_585), (2, 666_433), (3, 2_768_705), (4, 6_964_033), (5, 11_159_361)],
)
def test_parameters_of_the_papers_six_discriminators(layers, parameters):
    assert count_parameters(PatchDiscriminator(layers=layers)) == parameters


def test_the_default_is_the_papers_70x70():
    assert count_parameters(PatchDiscriminator()) == 2_768_705


def test_parameters_of_cyclegans_discriminator():
    assert count_parameters(PatchDiscriminator(3, norm="instance")) == 2_764_737


@pytest.mark.parametrize("norm", NORMS)
def test_parameters_follow_from_kernels_and_channels(norm):
    widths = [6, 64, 128, 256, 512, 1]
    weights = sum(16 * before * after for before, after in itertools.pairwise(widths))
    between = 128 + 256 + 512  # each channel has a bias, or a norm's scale and shift instead
    bias_or_norm = between if norm in ("none", "instance") else 2 * between
    assert count_parameters(PatchDiscriminator(norm=norm)) == weights + 64 + 1 + bias_or_norm


# Maps


@pytest.mark.parametrize("layers", range(6))
def test_map_shape_for_every_depth_and_size(layers):
    discriminator = PatchDiscriminator(base_channels=2, layers=layers)
    sides = {size: map_side(size, layers) for size in SIZES if map_side(size, layers) >= 1}
    assert len(sides) >= 3  # the deepest discriminators cannot take the smallest images
    for size, expected in sides.items():
        pair = torch.zeros(2, 3, size, size)
        with torch.no_grad():
            assert discriminator(pair, pair).shape == (2, 1, expected, expected)


def test_256_gives_30_by_30_and_not_square_pictures_give_maps_that_are_not():
    discriminator = PatchDiscriminator(base_channels=2).eval()
    with torch.no_grad():
        assert discriminator(*torch.zeros(2, 1, 3, 256, 256)).shape == (1, 1, 30, 30)
        assert discriminator(*torch.zeros(2, 1, 3, 64, 128)).shape == (1, 1, 6, 14)


def test_it_gives_logits_that_no_sigmoid_has_bounded():
    torch.manual_seed(0)
    discriminator = PatchDiscriminator(base_channels=2, norm="none")
    with torch.no_grad():
        for conv in convolutions(discriminator):
            conv.weight.mul_(1000)
        logits = discriminator(*torch.randn(2, 1, 3, 64, 64))
    assert logits.abs().min() > 1  # whatever their sign, which is a matter of chance


# Layers


def test_strides_and_channels_are_c64_c128_c256_c512():
    convs = convolutions(PatchDiscriminator())
    assert [c.out_channels for c in convs] == [64, 128, 256, 512, 1]
    assert [c.stride for c in convs] == [(2, 2), (2, 2), (2, 2), (1, 1), (1, 1)]
    assert all(c.kernel_size == (4, 4) and c.padding == (1, 1) for c in convs)


def test_channels_stop_at_eight_times_the_first():
    convs = convolutions(PatchDiscriminator(layers=5))
    assert [c.out_channels for c in convs] == [64, 128, 256, 512, 512, 512, 1]


def test_the_pixel_discriminator_has_only_1x1_kernels():
    convs = convolutions(PatchDiscriminator(layers=0))
    assert [c.out_channels for c in convs] == [64, 128, 1]
    assert all(c.kernel_size == (1, 1) for c in convs)


@pytest.mark.parametrize(
    ("norm", "kind"), [("batch", nn.BatchNorm2d), ("instance", nn.InstanceNorm2d)]
)
@pytest.mark.parametrize("layers", [0, 1, 3])
def test_the_first_block_has_no_norm_and_the_ones_between_do(layers, norm, kind):
    modules = PatchDiscriminator(layers=layers, norm=norm).modules()
    kinds = [type(module) for module in modules if isinstance(module, nn.Conv2d | kind)]
    assert kinds == [nn.Conv2d, *[nn.Conv2d, kind] * max(layers, 1), nn.Conv2d]


@pytest.mark.parametrize("layers", [0, 3])
def test_convolutions_have_a_bias_unless_batch_norm_follows(layers):
    convs = convolutions(PatchDiscriminator(layers=layers, norm="instance"))
    assert all(c.bias is not None for c in convs)
    convs = convolutions(PatchDiscriminator(layers=layers, norm="batch"))
    assert convs[0].bias is not None
    assert all(c.bias is None for c in convs[1:-1])


def test_activations_are_leaky_with_slope_one_fifth():
    activations = [m for m in PatchDiscriminator().modules() if isinstance(m, nn.LeakyReLU)]
    assert [a.negative_slope for a in activations] == [0.2] * 4


def test_a_block_with_stride_2_halves_and_with_stride_1_loses_one_pixel():
    features = torch.zeros(1, 4, 32, 32)
    assert disc_block(4, 5, stride=2, norm="batch")(features).shape == (1, 5, 16, 16)
    assert disc_block(4, 5, stride=1, norm="batch")(features).shape == (1, 5, 31, 31)


def test_weights_start_as_in_the_paper():
    torch.manual_seed(0)
    discriminator = PatchDiscriminator()
    weights = torch.cat([c.weight.flatten() for c in convolutions(discriminator)])
    scales = torch.cat([m.weight for m in discriminator.modules() if isinstance(m, nn.BatchNorm2d)])
    assert weights.mean().item() == pytest.approx(0, abs=1e-4)
    assert weights.std().item() == pytest.approx(0.02, rel=0.01)
    assert scales.mean().item() == pytest.approx(1, abs=0.003)
    assert scales.std().item() == pytest.approx(0.02, rel=0.1)
    assert not any(c.bias.any() for c in convolutions(discriminator) if c.bias is not None)


# What it judges


def test_input_and_image_are_joined_in_this_order():
    discriminator = PatchDiscriminator(base_channels=2, norm="none")
    real_a, real_b = torch.randn(2, 2, 3, 64, 64)
    with torch.no_grad():
        joined = discriminator(torch.cat([real_a, real_b], dim=1))
        assert torch.equal(discriminator(real_a, real_b), joined)
        assert not torch.equal(discriminator(real_a, real_b), discriminator(real_b, real_a))


def test_a_conditioned_judge_tells_one_photo_beside_two_inputs_apart():
    discriminator = PatchDiscriminator(base_channels=2, norm="none")
    real_a, other_a, real_b = torch.randn(3, 1, 3, 64, 64)
    with torch.no_grad():
        assert not torch.allclose(discriminator(real_a, real_b), discriminator(other_a, real_b))


def test_grey_input_and_colour_image_make_four_channels():
    real_a, real_b = torch.zeros(1, 1, 64, 64), torch.zeros(1, 3, 64, 64)
    with torch.no_grad():
        logits = PatchDiscriminator(4, base_channels=2)(real_a, real_b)
    assert logits.shape == (1, 1, 6, 6)


# Errors


def test_wrong_channels_are_refused_with_both_numbers():
    message = r"expected 6 channels in all \(input and image\); got 3 from 1 image"
    with pytest.raises(ValueError, match=message):
        PatchDiscriminator(base_channels=2)(torch.zeros(1, 3, 64, 64))
    with pytest.raises(ValueError, match=r"expected 3 channels .* got 6 from 2 image"):
        PatchDiscriminator(3, base_channels=2)(*torch.zeros(2, 1, 3, 64, 64))


def test_images_of_two_sizes_are_refused_with_both_shapes():
    message = r"must have one size; got \[\(1, 3, 64, 64\), \(1, 3, 64, 32\)\]"
    with pytest.raises(ValueError, match=message):
        PatchDiscriminator(base_channels=2)(torch.zeros(1, 3, 64, 64), torch.zeros(1, 3, 64, 32))


def test_negative_layers_and_unknown_norms_are_refused():
    with pytest.raises(ValueError, match=r"layers must be 0 .* or more; got -1"):
        PatchDiscriminator(layers=-1)
    message = "norm must be one of batch, instance, group, layer, none; got 'spectral'"
    with pytest.raises(ValueError, match=message):
        PatchDiscriminator(norm="spectral")
