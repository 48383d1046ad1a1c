"""The five systems: every number in their table, counted by hand and measured on the networks."""

from itertools import pairwise

import pytest
import torch
from torch import nn

from pix2pix_lib import systems
from pix2pix_lib.layers import count_parameters, record_shapes
from pix2pix_lib.receptive_field import ReceptiveField, measured_receptive_field, receptive_field

NAMES = tuple(systems.SETTINGS)
# Parameters of G and D; side of the map at 256 and 128; receptive field of D.
TABLE = {
    "paper": (54_413_955, 2_768_705, 30, 14, ReceptiveField(70, 8, -23)),
    "instance3x3": (54_404_099, 1_557_313, 16, 8, ReceptiveField(63, 16, -31)),
    "upsample4x4": (54_404_099, 2_767_808, 16, 8, ReceptiveField(94, 16, -47)),
    "shallow": (6_171_011, 2_767_809, 32, 16, ReceptiveField(70, 8, -23)),
    "cyclegan": (11_378_179, 2_764_737, 30, 14, ReceptiveField(70, 8, -23)),
}
each_system = pytest.mark.parametrize("name", NAMES)
SMALL = {"base_channels": 4, "disc_channels": 4}


def make(name: str, **options) -> tuple[nn.Module, ...]:
    return getattr(systems, name)(**options)


def kernels(channels: list[int], side: int, bias: bool) -> int:
    """Return the parameters of a chain of convolutions with square kernels."""
    return sum(side**2 * before * after + bias * after for before, after in pairwise(channels))


def counted_by_hand(name: str) -> tuple[int, int]:
    """Return the parameters of a system's generator and discriminator, given its description."""
    encoder, chain = [3, 64, 128, 256, 512, 512, 512, 512, 512], [6, 64, 128, 256, 512]
    decoder = [(512, 512), *[(1024, 512)] * 3, (1024, 256), (512, 128), (256, 64)]
    unet = kernels(encoder, 4, False) + sum(16 * i * o for i, o in decoder) + 16 * 128 * 3 + 3
    if name == "paper":
        normed = sum(encoder[2:-1]) + sum(o for _, o in decoder)
        ends, scales_and_shifts = 64 + 16 * 512 + 1, 2 * (128 + 256 + 512)
        return unet + 2 * normed, kernels(chain, 4, False) + ends + scales_and_shifts
    if name == "instance3x3":
        return unet, kernels([*chain, 1], 3, True)
    if name == "upsample4x4":
        return unet, kernels(chain, 4, True) + 16 * 512
    if name == "shallow":
        back = sum(16 * i * o + o for i, o in [(512, 256), (512, 128), (256, 64), (128, 3)])
        return kernels([3, 64, 128, 256, 512], 4, True) + back, kernels([*chain, 1], 4, True)
    wide = 2 * 49 * 3 * 64 + 64 + 3
    residual = 9 * kernels([256, 256, 256], 3, True)
    generator = wide + kernels([64, 128, 256, 128, 64], 3, True) + residual
    return generator, kernels([3, *chain[1:], 1], 4, True)


@each_system
def test_parameters_are_those_of_the_table_and_of_the_description(name):
    with torch.device("meta"):  # the shapes need no memory
        networks = make(name)
    counts = [count_parameters(network) for network in networks]
    copies = len(networks) // 2
    assert counts == [TABLE[name][0]] * copies + [TABLE[name][1]] * copies
    assert (counts[0], counts[-1]) == counted_by_hand(name)


@each_system
def test_map_and_receptive_field_are_those_of_the_table(name):
    discriminator = make(name, **SMALL)[-1].eval()
    images = [torch.zeros(1, discriminator.in_channels, side, side) for side in (256, 128)]
    shapes = [discriminator(image).shape for image in images]
    assert shapes == [(1, 1, side, side) for side in TABLE[name][2:4]]
    assert receptive_field(discriminator) == TABLE[name][4]
    assert measured_receptive_field(discriminator, discriminator.in_channels) == TABLE[name][4]


@each_system
@pytest.mark.parametrize(("in_channels", "out_channels"), [(1, 3), (3, 1), (3, 3)])
def test_grey_and_rgb_are_translated_and_judged(name, in_channels, out_channels):
    networks = make(name, in_channels=in_channels, out_channels=out_channels, **SMALL)
    real_a, real_b = torch.zeros(2, in_channels, 256, 256), torch.zeros(2, out_channels, 256, 256)
    assert networks[0](real_a).shape == real_b.shape
    if name == "cyclegan":
        assert networks[1](real_b).shape == real_a.shape
        assert networks[2](real_a).shape == networks[3](real_b).shape
    else:
        assert networks[1](real_a, real_b).shape[:2] == (2, 1)


@pytest.mark.parametrize(
    ("name", "counts"),
    [
        ("paper", (54_411_907, 2_766_657)),
        ("instance3x3", (54_402_051, 1_556_161)),
        ("upsample4x4", (54_402_051, 2_765_760)),
        ("shallow", (6_168_963, 2_765_761)),
    ],
)
def test_a_grey_input_takes_the_weights_of_two_channels_away(name, counts):
    with torch.device("meta"):
        networks = make(name, in_channels=1)
    assert tuple(map(count_parameters, networks)) == counts
    side = 3 if name == "instance3x3" else 4
    generator, discriminator = counted_by_hand(name)
    assert counts == (generator - 2 * 16 * 64, discriminator - 2 * side**2 * 64)


# --- how each note differs ------------------------------------------------------------------------


def with_probability(network: nn.Module, kind: type[nn.Module]) -> list[str]:
    modules = network.named_modules()
    return [name for name, module in modules if isinstance(module, kind) and module.p > 0]


def test_instance_notes_drop_features_in_encoder_4_to_8_and_decoder_1_to_4():
    for name in ("instance3x3", "upsample4x4"):
        generator, _ = make(name, **SMALL)
        dropped = [module.split(".")[:2] for module in with_probability(generator, nn.Dropout)]
        downs = [["downs", str(level)] for level in range(3, 8)]
        assert dropped == downs + [["ups", str(level)] for level in range(4)]


def test_only_the_last_convolution_of_the_instance_unet_has_a_bias():
    for name in ("instance3x3", "upsample4x4"):
        generator, _ = make(name, **SMALL)
        biased = [key for key in generator.state_dict() if key.endswith("bias")]
        assert len(biased) == 1
        assert biased[0].startswith("head.upsample")


def test_only_the_3x3_discriminator_ends_in_a_sigmoid():
    ends = {name: isinstance(make(name, **SMALL)[-1].model[-1], nn.Sigmoid) for name in NAMES}
    assert ends == {name: name == "instance3x3" for name in NAMES}


@each_system
def test_no_discriminator_has_a_norm_in_its_first_block(name):
    # There are four input channels in all, as many as the first block makes.
    discriminator = make(name, in_channels=1, **SMALL)[-1]
    kinds = (nn.Conv2d, nn.BatchNorm2d, nn.InstanceNorm2d)
    pair = torch.zeros(2, discriminator.in_channels, 256, 256)
    order = [type(call.module) for call in record_shapes(discriminator, pair, kinds=kinds)]
    norm = nn.BatchNorm2d if name == "paper" else nn.InstanceNorm2d
    assert order == [nn.Conv2d, *[nn.Conv2d, norm] * 3, nn.Conv2d]


def test_shallow_has_relu_and_a_norm_in_every_encoder_block():
    generator, _ = make("shallow", **SMALL)
    assert not [module for module in generator.modules() if isinstance(module, nn.LeakyReLU)]
    assert all(isinstance(down.norm, nn.InstanceNorm2d) for down in generator.downs)
    features = generator.downs[0](100 * torch.randn(1, 3, 128, 128))
    assert features.mean(dim=(2, 3)).abs().max() < 1e-5  # as after an instance norm
    torch.testing.assert_close(features.var(dim=(2, 3)), torch.ones(1, 4), rtol=1e-3, atol=0)


def test_the_even_kernels_lose_no_row_and_look_further_to_one_side():
    upsample, shallow = make("upsample4x4", **SMALL)[0], make("shallow", **SMALL)[0]
    for layer, reach in ((upsample.head.upsample, (-2, 1)), (shallow.head.upsample, (-1, 2))):
        pad, conv = layer[1], layer[2]
        pixels = torch.zeros(1, conv.in_channels, 9, 9, requires_grad=True)
        out = conv(pad(pixels))
        assert out.shape[2:] == (9, 9)
        out[0, 0, 4, 4].backward()
        seen = pixels.grad[0].abs().sum(dim=0).nonzero() - 4
        assert (seen.min(), seen.max()) == reach


@each_system
def test_weights_start_at_the_papers_spread(name):
    torch.manual_seed(0)
    for network in make(name, base_channels=16, disc_channels=16):
        kernels = [m for m in network.modules() if isinstance(m, nn.Conv2d | nn.ConvTranspose2d)]
        weights = torch.cat([kernel.weight.flatten() for kernel in kernels])
        assert weights.std().item() == pytest.approx(0.02, rel=0.02)
        assert all(kernel.bias is None or not kernel.bias.any() for kernel in kernels)
