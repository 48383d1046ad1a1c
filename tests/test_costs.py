"""What a step costs, against torch's own counter."""

import pytest
import torch
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from pix2pix_lib.costs import conv_macs, matmul_rate, step_flops
from pix2pix_lib.training import TrainConfig, make_trainer


@pytest.mark.parametrize("upsampling", ["resize", "transposed"])
@pytest.mark.parametrize("batch", [1, 3])
def test_flops_of_a_step_are_those_that_torch_counts(tiny_config, upsampling, batch):
    trainer = make_trainer(TrainConfig(image_size=32, base_channels=4, disc_channels=4, disc_layers=2, depth=4,
                                       upsampling=upsampling))
    real_a, real_b = torch.zeros(2, batch, 3, 32, 32)
    counted = step_flops(trainer.generator, trainer.discriminator, real_a, real_b)
    with FlopCounterMode(display=False) as counter:
        trainer.step(real_a, real_b)
    assert counted == counter.get_total_flops()


def test_macs_of_a_convolution_are_positions_times_weights():
    network = nn.Sequential(nn.Conv2d(3, 8, 4, stride=2, padding=1), nn.ConvTranspose2d(8, 5, 4, stride=2, padding=1))
    assert conv_macs(network, torch.zeros(2, 3, 16, 12)) == [2 * 8 * 6 * 8 * 3 * 16, 2 * 8 * 6 * 8 * 5 * 16]


def test_counting_leaves_the_network_as_it_was(tiny_config):
    generator = make_trainer(tiny_config).generator
    before = {name: value.clone() for name, value in generator.state_dict().items()}
    conv_macs(generator, torch.rand(1, 3, 32, 32))
    assert generator.training and not any(layer._forward_hooks for layer in generator.modules())
    assert all(torch.equal(before[name], value) for name, value in generator.state_dict().items())


def test_rate_of_a_product_is_what_a_watch_says(device):
    rate = matmul_rate(device, torch.float32, size=256, seconds=0.2)
    assert 1e8 < rate < 1e16  # floating-point operations per second of anything that runs this
