"""The ResNet generator: its blocks, sizes and borders, against torch and counts by hand."""

import pytest
import torch
from torch import nn

from pix2pix_lib.layers import NORMS, UPSAMPLINGS, count_parameters, record_shapes
from pix2pix_lib.resnet import (
    ResidualBlock,
    ResNetGenerator,
    doubling_layers,
    halving_layers,
    wide_layers,
)

BLOCKS = [(9, 11_378_179), (6, 7_837_699)]


@pytest.mark.parametrize(("blocks", "count"), BLOCKS)
@pytest.mark.parametrize("upsampling", UPSAMPLINGS)
def test_the_papers_networks_have_their_number_of_parameters(blocks, count, upsampling):
    with torch.device("meta"):
        generator = ResNetGenerator(blocks=blocks, upsampling=upsampling)
    assert count_parameters(generator) == count


def test_the_papers_notation_is_what_runs():
    generator, real_a = ResNetGenerator(base_channels=2, blocks=2).eval(), torch.zeros(1, 3, 32, 32)
    calls = record_shapes(generator, real_a, kinds=(nn.Conv2d, nn.ConvTranspose2d))
    assert [(c.module.kernel_size[0], *c.after[1:3]) for c in calls] == [
        (7, 2, 32), (3, 4, 16), (3, 8, 8),
        *[(3, 8, 8)] * 4,
        (3, 4, 16), (3, 2, 32), (7, 3, 32),
    ]  # fmt: skip


@pytest.mark.parametrize("norm", NORMS)
@pytest.mark.parametrize("upsampling", UPSAMPLINGS)
def test_every_multiple_of_four_keeps_its_size(norm, upsampling):
    options = {"norm": norm, "upsampling": upsampling}
    generator = ResNetGenerator(1, 3, base_channels=2, blocks=1, **options).eval()
    for height, width in ((8, 8), (12, 20), (64, 8)):
        out = generator(torch.randn(2, 1, height, width))
        assert out.shape == (2, 3, height, width)
        assert out.abs().max() <= 1


@pytest.mark.parametrize(
    ("shape", "named"),
    [
        ((1, 3, 30, 32), "at least 8; got 30x32: resize"),
        ((1, 3, 32, 30), "at least 8; got 32x30: resize"),
        ((1, 3, 4, 8), "at least 8; got 4x8: resize"),
        ((1, 1, 32, 32), r"\(N, 3, H, W\); got \(1, 1, 32, 32\)"),
        ((3, 32, 32), r"\(N, 3, H, W\); got \(3, 32, 32\)"),
    ],
)
def test_shapes_that_do_not_fit_are_named(shape, named):
    with pytest.raises(ValueError, match=named):
        ResNetGenerator(base_channels=2, blocks=1)(torch.zeros(shape))


def test_a_generator_without_residual_blocks_is_refused():
    with pytest.raises(ValueError, match="at least 1; got 0"):
        ResNetGenerator(blocks=0)


def test_a_residual_block_adds_its_change():
    block, x = ResidualBlock(4, norm="instance").eval(), torch.randn(2, 4, 8, 8)
    torch.testing.assert_close(block(x) - x, block.change(x))
    nn.init.zeros_(block.change[6].weight)
    nn.init.zeros_(block.change[6].bias)
    assert torch.equal(block(x), x)  # with a change of zero, the input passes through


def test_dropout_lies_inside_the_residual_blocks_and_is_off_by_default():
    modules = ResNetGenerator(base_channels=1).modules()
    assert not [m for m in modules if isinstance(m, nn.Dropout) and m.p > 0]
    block, x = ResidualBlock(4, norm="none", dropout=0.5), torch.randn(1, 4, 8, 8)
    assert not torch.equal(block(x), block(x))
    assert torch.equal(block.eval()(x), block(x))


def test_a_flat_picture_stays_flat_to_its_border():
    """Mirrored borders add no edge, whereas zeros would."""
    torch.manual_seed(0)
    flat = torch.full((1, 3, 16, 16), 0.5)
    wide = wide_layers(3, 4)(flat)
    assert (wide - wide[:, :, 8:9, 8:9]).abs().max() < 1e-5
    residual = ResidualBlock(3, norm="none")(flat)
    assert (residual - residual[:, :, 8:9, 8:9]).abs().max() < 1e-5
    zeros = nn.Conv2d(3, 4, kernel_size=7, padding=3)(flat)
    assert (zeros - zeros[:, :, 8:9, 8:9]).abs().max() > 1e-2


def test_halving_and_doubling_fit_together():
    x = torch.randn(1, 4, 12, 20)
    half = halving_layers(4, 6, "instance")(x)
    assert half.shape == (1, 6, 6, 10)
    for upsampling in UPSAMPLINGS:
        assert doubling_layers(6, 4, "instance", upsampling)(half).shape == x.shape
    with pytest.raises(ValueError, match="upsampling"):
        doubling_layers(6, 4, "instance", "bilinear")
