"""The U-Net's forward pass, compared with counts by hand and with its own parts."""

import re
from itertools import pairwise, product

import pytest
import torch
from torch import nn

from pix2pix_lib.config import TrainConfig, make_generator
from pix2pix_lib.layers import NORMS, UPSAMPLINGS, count_parameters
from pix2pix_lib.unet import DetailUNet, DownBlock, UNet, UpBlock, check_size, encoder_channels


def small(**options) -> UNet:
    return UNet(**{"base_channels": 4, "depth": 4, **options})


def counted_by_hand(norm_parameters: int, hidden_bias: bool) -> int:
    """Return the parameters of the paper's U-Net: 16 weights per pair of channels, and more.

    These are the biases, and the scales and shifts of the norms.
    """
    encoder = [3, 64, 128, 256, 512, 512, 512, 512, 512]
    decoder = [(512, 512), *[(1024, 512)] * 3, (1024, 256), (512, 128), (256, 64)]
    total = sum(16 * i * o for i, o in [*pairwise(encoder), *decoder]) + 16 * 128 * 3 + 3
    normed = encoder[2:-1] + [o for _, o in decoder]
    with_bias = encoder[1:] + [o for _, o in decoder]
    return total + norm_parameters * sum(normed) + hidden_bias * sum(with_bias)


# --- size -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(("norm", "count"), [("batch", 54_413_955), ("instance", 54_409_603)])
def test_the_papers_network_has_its_number_of_parameters(norm, count):
    with torch.device("meta"):  # the shapes need no memory
        network = UNet(norm=norm)
    assert count_parameters(network) == count
    assert count == counted_by_hand(2 * (norm == "batch"), norm == "instance")


def test_channels_double_up_to_eight_times():
    assert encoder_channels(64, 8) == [64, 128, 256, 512, 512, 512, 512, 512]
    assert encoder_channels(4, 3) == [4, 8, 16]


@pytest.mark.parametrize("depth", range(2, 10))
def test_every_multiple_of_two_to_the_depth_is_translated_to_its_own_size(depth):
    network = UNet(base_channels=1, depth=depth).eval()
    step = 2**depth
    sizes = [side for side in range(32, 513, 32) if side % step == 0]
    for side in {*sizes[:2], sizes[-1]}:
        assert network(torch.zeros(1, 3, side, step)).shape == (1, 3, side, step)
        assert network(torch.zeros(1, 3, step, side)).shape == (1, 3, step, side)


@pytest.mark.parametrize(("in_channels", "out_channels"), [(1, 3), (3, 1), (1, 1)])
def test_input_and_output_have_their_own_channels(in_channels, out_channels):
    network = small(in_channels=in_channels, out_channels=out_channels)
    assert network(torch.zeros(2, in_channels, 16, 32)).shape == (2, out_channels, 16, 32)


@pytest.mark.parametrize("skips", [True, False])
@pytest.mark.parametrize("upsampling", UPSAMPLINGS)
@pytest.mark.parametrize("norm", NORMS)
def test_every_combination_runs_and_every_weight_gets_a_gradient(norm, upsampling, skips):
    torch.manual_seed(0)
    network = small(norm=norm, upsampling=upsampling, skips=skips, dropout=0.0)
    network(torch.randn(2, 3, 32, 32)).square().mean().backward()
    for name, parameter in network.named_parameters():
        assert parameter.grad is not None, name
        assert parameter.grad.isfinite().all(), name
        assert parameter.grad.any(), name


@pytest.mark.parametrize(
    ("upsampling", "transposed", "resized"), [("transposed", 4, 0), ("resize", 0, 4)]
)
def test_the_whole_decoder_uses_the_upsampling_that_was_asked_for(upsampling, transposed, resized):
    modules = list(small(upsampling=upsampling).modules())
    assert sum(isinstance(module, nn.ConvTranspose2d) for module in modules) == transposed
    assert sum(isinstance(module, nn.Upsample) for module in modules) == resized


def test_the_output_lies_between_minus_one_and_one_and_reaches_both_sides():
    torch.manual_seed(0)
    network = small()
    with torch.no_grad():
        network.head.upsample.weight.mul_(1000)
        output = network(torch.randn(2, 3, 16, 16) * 10)
    assert -1 <= output.min() < -0.99
    assert 0.99 < output.max() <= 1


@pytest.mark.parametrize(
    ("size", "depth", "words"),
    [
        ((300, 256), 8, "height 256 or 512, width 256"),
        ((256, 300), 8, "height 256, width 256 or 512"),
        ((100, 40), 5, "height 96 or 128, width 32 or 64"),
        ((20, 64), 5, "height 32, width 64"),  # nothing below 32
    ],
)
def test_a_size_that_does_not_fit_names_the_nearest_that_do(size, depth, words):
    network = UNet(base_channels=1, depth=depth)
    with pytest.raises(ValueError, match="must be multiples") as error:
        network(torch.zeros(1, 3, *size))
    text = str(error.value)
    assert f"depth {depth}" in text
    assert f"multiples of {2**depth}" in text
    assert f"got {size[0]}x{size[1]}" in text
    assert f"Nearest that work: {words}." in text
    assert "smaller depth" in text
    assert "\n" not in text


def test_the_nearest_sizes_that_are_named_do_work():
    network = UNet(base_channels=1, depth=3).eval()
    for size in ((20, 44), (5, 40)):
        with pytest.raises(ValueError, match="must be multiples") as error:
            check_size(*size, 3)
        heights, widths = re.search(r"work: height (.*), width (.*)\. ", str(error.value)).groups()
        for height, width in product(heights.split(" or "), widths.split(" or ")):
            shape = (1, 3, int(height), int(width))
            assert network(torch.zeros(shape)).shape == shape


@pytest.mark.parametrize(
    "shape", [(1, 1, 16, 16), (1, 6, 16, 16), (3, 16, 16), (16, 3, 16), (16, 16)]
)
def test_another_number_of_channels_or_axes_is_refused_with_both_shapes(shape):
    with pytest.raises(ValueError, match=r"\(N, 3, H, W\)") as error:
        small()(torch.zeros(shape))
    assert str(shape) in str(error.value)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"norm": "Batch"}, "norm must be one of batch, instance, group, layer, none; got 'Batch'"),
        ({"upsampling": "bilinear"},
         "upsampling must be one of transposed, resize; got 'bilinear'"),
        ({"depth": 1}, "depth must be at least 2"),
        ({"dropout": 1.5}, "1.5"),
        ({"dropout_blocks": (0, 1)}, r"count from 1.*\(0, 1\)"),
    ],
    ids=str,
)  # fmt: skip
def test_options_out_of_range_are_refused(options, words):
    with pytest.raises(ValueError, match=words):
        small(**options)


# --- weights, norms and dropout -------------------------------------------------------------------


def test_weights_start_at_n_0_002_scales_at_n_1_002_and_shifts_at_0():
    torch.manual_seed(0)
    network = UNet(base_channels=32, depth=6)
    kernels, scales, shifts = [], [], []
    for module in network.modules():
        if isinstance(module, nn.BatchNorm2d):
            scales.append(module.weight)
            shifts.append(module.bias)
        elif isinstance(module, nn.Conv2d | nn.ConvTranspose2d):
            kernels.append(module.weight)
            shifts += [module.bias] if module.bias is not None else []
    for weights, mean in ((kernels, 0.0), (scales, 1.0)):
        values = torch.cat([w.detach().flatten() for w in weights]).double()
        assert abs(values.mean() - mean) < 5 * 0.02 / len(values) ** 0.5
        assert abs(values.std() - 0.02) < 5 * 0.02 / (2 * len(values)) ** 0.5
    assert len(scales) == 4 + 5
    assert not torch.cat(shifts).any()


def test_the_first_and_the_last_encoder_block_have_no_norm_and_the_first_no_activation():
    network = small(depth=5)
    norms = [type(down.norm).__name__ for down in network.downs]
    assert norms == ["Identity", *["BatchNorm2d"] * 3, "Identity"]
    activations = [type(down.activation).__name__ for down in network.downs]
    assert activations == ["Identity", *["LeakyReLU"] * 4]
    assert {down.activation.negative_slope for down in network.downs[1:]} == {0.2}
    assert [type(up.norm).__name__ for up in network.ups] == ["BatchNorm2d"] * 4
    assert {type(up.activation) for up in [*network.ups, network.head]} == {nn.ReLU}
    assert isinstance(network.head.norm, nn.Identity)


@pytest.mark.parametrize("blocks", [(1, 2, 3), (2, 3, 4), (), (5,)])
def test_dropout_acts_in_the_named_decoder_blocks_and_nowhere_else(blocks):
    torch.manual_seed(0)
    network = UNet(base_channels=4, depth=6, dropout=0.5, dropout_blocks=blocks)  # in training mode
    x = torch.randn(1, 3, 64, 64)
    acting = []
    for number, up in enumerate([*network.ups, network.head], start=1):
        before = torch.randn(2, up.upsample.in_channels, 4, 4)
        if not torch.equal(up(before), up(before)):
            acting.append(number)
    assert tuple(acting) == blocks
    assert torch.equal(network.downs[0](x), network.downs[0](x))
    assert sum(m.p > 0 for m in network.modules() if isinstance(m, nn.Dropout)) == len(blocks)


def test_dropout_drops_at_the_given_rate_and_not_at_evaluation():
    block = UpBlock(2, 64, norm="none", bias=True, dropout=0.25)
    nn.init.ones_(block.upsample.bias)
    dropped = (block(torch.zeros(4, 2, 16, 16)) == 0).float().mean()
    assert 0.24 < dropped < 0.26  # 262,144 values: 10 standard deviations
    assert not (block.eval()(torch.zeros(4, 2, 16, 16)) == 0).any()


# --- what flows where -----------------------------------------------------------------------------


def test_a_down_block_is_activation_then_convolution_then_norm():
    x = torch.randn(2, 3, 8, 8)
    block = DownBlock(3, 5, norm="instance", bias=True)
    activated = nn.functional.leaky_relu(x, 0.2)
    convolved = nn.functional.conv2d(activated, block.conv.weight, block.conv.bias, 2, 1)
    torch.testing.assert_close(block(x), nn.functional.instance_norm(convolved))


def test_an_up_block_is_activation_then_convolution_then_norm():
    x = torch.randn(2, 3, 8, 8)
    block = UpBlock(3, 5, norm="instance", bias=True)
    weight, bias = block.upsample.weight, block.upsample.bias
    convolved = nn.functional.conv_transpose2d(x.relu(), weight, bias, 2, 1)
    torch.testing.assert_close(block(x), nn.functional.instance_norm(convolved))


def test_a_skip_carries_the_value_before_the_activation():
    torch.manual_seed(0)
    network = small(dropout=0.0)
    outputs, inputs = [], []
    for down in network.downs:
        down.register_forward_hook(lambda module, args, output: outputs.append(output.clone()))
    for up in [*network.ups, network.head]:
        up.register_forward_pre_hook(lambda module, args: inputs.append(args[0].clone()))
    network(torch.randn(1, 3, 32, 32))
    assert torch.equal(inputs[0], outputs[-1])  # the bottleneck
    for received, carried in zip(inputs[1:], reversed(outputs[:-1]), strict=True):
        skip = received[:, received.shape[1] - carried.shape[1] :]
        # The hook made its copy before the next block could change the tensor in place.
        assert torch.equal(skip, carried)
        assert carried.min() < -0.01
        assert not torch.equal(skip, nn.functional.leaky_relu(carried, 0.2))


def test_without_skips_the_decoder_has_half_the_input_channels():
    def widths(network: UNet) -> list[int]:
        return [up.upsample.in_channels for up in [*network.ups, network.head]]

    with_skips, without = widths(small(depth=6)), widths(small(depth=6, skips=False))
    assert with_skips[0] == without[0]  # the bottleneck has no skip
    assert with_skips[1:] == [2 * width for width in without[1:]]


@pytest.mark.parametrize("skips", [True, False])
def test_only_skips_lead_around_the_bottleneck(skips):
    torch.manual_seed(0)
    network = small(skips=skips, dropout=0.0).eval()
    network.downs[-1].register_forward_hook(lambda module, args, output: torch.zeros_like(output))
    first, second = network(torch.randn(2, 1, 3, 32, 32)[0]), network(torch.randn(1, 3, 32, 32))
    assert torch.equal(first, second) == (not skips)


# --- the block at full size -----------------------------------------------------------------------


@pytest.mark.parametrize("skips", [True, False])
def test_the_last_block_sees_the_input_at_full_size_through_a_skip(skips):
    """With its own maps zeroed, an image follows from the input's 5x5 neighbourhood or not at all.

    Two 3x3 convolutions in a row see 5x5 pixels.
    """
    network = DetailUNet(base_channels=4, depth=3, skips=skips, norm="none", dropout=0.0).eval()
    for parameter in network.head.parameters():
        parameter.data.zero_()
    network.detail.apply(lambda m: isinstance(m, nn.Conv2d) and nn.init.normal_(m.weight, 0, 0.5))
    image = torch.rand(1, 3, 16, 16, requires_grad=True)
    network(image)[0, :, 8, 8].sum().backward()
    seen = image.grad[0].abs().sum(dim=0).nonzero()
    if skips:
        assert seen.min(dim=0).values.tolist() == [6, 6]
        assert seen.max(dim=0).values.tolist() == [10, 10]
    else:
        assert len(seen) == 0


@pytest.mark.parametrize("norm", NORMS)
@pytest.mark.parametrize("upsampling", UPSAMPLINGS)
@pytest.mark.parametrize("skips", [True, False])
def test_every_weight_of_a_detail_unet_gets_a_gradient(norm, upsampling, skips):
    network = DetailUNet(
        2, 1, base_channels=4, depth=3, detail_channels=8, norm=norm, upsampling=upsampling,
        skips=skips,
    )  # fmt: skip
    output = network(torch.rand(2, 2, 16, 24) * 2 - 1)
    assert output.shape == (2, 1, 16, 24) and output.abs().max() < 1
    (output - 0.3).square().mean().backward()
    assert all(p.grad is not None and p.grad.abs().sum() > 0 for p in network.parameters())


def test_a_detail_unet_has_the_u_net_s_parameters_and_its_own():
    """Head: 8 maps from 2 * 4; then 3x3 convolutions from 8 + 3 to 8 and on to 3; two norms."""
    plain, detailed = (
        small(upsampling="resize"),
        DetailUNet(base_channels=4, depth=4, detail_channels=8, upsampling="resize"),
    )
    head = 9 * 8 * 3 + 3
    own = 9 * 8 * 8 + 16 + 9 * 11 * 8 + 16 + 9 * 8 * 3 + 3
    assert count_parameters(detailed) == count_parameters(plain) - head + own


def test_the_config_asks_for_the_block_at_full_size():
    assert type(make_generator(TrainConfig(detail_channels=0))) is UNet
    generator = make_generator(TrainConfig(detail_channels=8, skips=False))
    assert type(generator) is DetailUNet and not generator.skips
    assert generator.detail[0].weight.shape == (8, 8, 3, 3)
