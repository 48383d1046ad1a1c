"""Norms, biases, upsampling and initial weights, against torch's functions and closed forms."""

import copy

import pytest
import torch
from test_training import assert_same_state
from torch import nn
from torch.nn import functional as F

from pix2pix_lib.layers import (
    NORMS,
    UPSAMPLINGS,
    count_parameters,
    init_weights,
    make_norm,
    make_upsampling,
    needs_bias,
)

X = torch.randn(4, 8, 6, 5, generator=torch.Generator().manual_seed(0)) * 3 + 2


def standardised(x: torch.Tensor, dims: tuple[int, ...]) -> torch.Tensor:
    """Return (x - mean) / sqrt(variance + 1e-5), with statistics over these dimensions."""
    mean = x.mean(dims, keepdim=True)
    variance = ((x - mean) ** 2).mean(dims, keepdim=True)
    return (x - mean) / (variance + 1e-5).sqrt()


@pytest.mark.parametrize(
    ("norm", "dims"), [("batch", (0, 2, 3)), ("instance", (2, 3)), ("layer", (1, 2, 3))]
)
def test_each_norm_takes_its_statistics_over_its_own_axes(norm, dims):
    torch.testing.assert_close(make_norm(norm, 8)(X), standardised(X, dims), atol=1e-4, rtol=1e-4)


def test_layer_norm_is_torchs_layer_norm_over_channels_and_pixels():
    norm = make_norm("layer", 8)
    nn.init.normal_(norm.weight)
    nn.init.normal_(norm.bias)
    scale, shift = norm.weight.reshape(1, 8, 1, 1), norm.bias.reshape(1, 8, 1, 1)
    expected = F.layer_norm(X, X.shape[1:]) * scale + shift
    torch.testing.assert_close(norm(X), expected, atol=1e-4, rtol=1e-4)


@pytest.mark.parametrize(("channels", "groups"), [(64, 32), (8, 8), (48, 16), (3, 1)])
def test_group_norm_uses_up_to_32_groups_that_divide_the_channels(channels, groups):
    x = torch.randn(2, channels, 4, 4)
    grouped = standardised(x.reshape(2, groups, -1, 4, 4), (2, 3, 4)).reshape(x.shape)
    torch.testing.assert_close(make_norm("group", channels)(x), grouped, atol=1e-4, rtol=1e-4)


def test_none_returns_its_input():
    assert make_norm("none", 8)(X) is X


@pytest.mark.parametrize(
    ("norm", "learned"),
    [("batch", 16), ("instance", 0), ("group", 16), ("layer", 16), ("none", 0)],
)
def test_what_a_norm_learns_and_the_bias_beside_it_make_one_shift(norm, learned):
    assert count_parameters(make_norm(norm, 8)) == learned
    assert needs_bias(norm) == (learned == 0)


def test_the_norms_tested_here_are_all_there_are():
    assert set(NORMS) == {"batch", "instance", "group", "layer", "none"}


@pytest.mark.parametrize("upsampling", UPSAMPLINGS)
@pytest.mark.parametrize("bias", [True, False])
def test_upsampling_doubles_height_and_width(upsampling, bias):
    layer = make_upsampling(upsampling, 8, 3, bias)
    assert layer(X).shape == (4, 3, 12, 10)
    assert (sum(name.endswith("bias") for name, _ in layer.named_parameters()) == 1) == bias


def test_resizing_repeats_each_pixel_before_the_convolution():
    layer = make_upsampling("resize", 8, 3, True)
    repeated = X.repeat_interleave(2, dim=2).repeat_interleave(2, dim=3)
    expected = F.conv2d(repeated, layer[1].weight, layer[1].bias, padding=1)
    torch.testing.assert_close(layer(X), expected)


def test_transposed_convolution_is_the_gradient_of_a_4x4_convolution_with_stride_2():
    layer = make_upsampling("transposed", 8, 3, False)
    image = torch.zeros(4, 3, 12, 10, requires_grad=True)
    F.conv2d(image, layer.weight, stride=2, padding=1).backward(X)
    torch.testing.assert_close(layer(X), image.grad, atol=1e-4, rtol=1e-4)


@pytest.mark.parametrize("function", [lambda: make_norm("Batch", 8), lambda: needs_bias("Batch")])
def test_an_unknown_norm_lists_the_known_ones(function):
    message = "norm must be one of batch, instance, group, layer, none; got 'Batch'"
    with pytest.raises(ValueError, match=message):
        function()


def test_an_unknown_upsampling_lists_the_known_ones():
    message = "upsampling must be one of transposed, resize; got 'bilinear'"
    with pytest.raises(ValueError, match=message):
        make_upsampling("bilinear", 8, 3, True)


@pytest.mark.parametrize(
    ("layer", "mean"),
    [
        (nn.Conv2d(64, 64, 4), 0),
        (nn.ConvTranspose2d(64, 64, 4), 0),
        (nn.BatchNorm2d(20_000), 1),
        (nn.GroupNorm(1, 20_000), 1),
    ],
    ids=lambda value: type(value).__name__,
)
def test_weights_start_normal_with_deviation_0_02_and_biases_at_zero(layer, mean):
    torch.manual_seed(0)
    layer.apply(init_weights)
    weights = layer.weight.detach().double()
    count = weights.numel()
    assert abs(weights.mean() - mean) < 5 * 0.02 / count**0.5  # 5 standard errors
    assert abs(weights.std() - 0.02) < 5 * 0.02 / (2 * count) ** 0.5
    kurtosis = (((weights - mean) / 0.02) ** 4).mean()
    assert abs(kurtosis - 3) < 5 * (96 / count) ** 0.5  # a normal distribution has 3
    assert not layer.bias.any()


def test_layers_without_weights_are_left_alone():
    averages = nn.BatchNorm2d(8, affine=False)
    averages(X)
    for layer in (nn.InstanceNorm2d(8), averages, nn.ReLU()):
        before = copy.deepcopy(layer.state_dict())
        layer.apply(init_weights)
        assert_same_state(layer.state_dict(), before)


def test_layer_without_bias_gets_no_bias():
    layer = nn.Conv2d(8, 8, 4, bias=False).apply(init_weights)
    assert layer.bias is None and 0.01 < layer.weight.std() < 0.03


def test_parameters_that_are_not_learned_are_not_counted():
    layer = nn.Conv2d(3, 8, 4)
    assert count_parameters(layer) == 3 * 8 * 16 + 8
    layer.bias.requires_grad_(False)
    assert count_parameters(layer) == 3 * 8 * 16
