"""The cost of a training step, compared with torch's own counter."""

import time

import pytest
import torch
from torch import nn

from pix2pix_lib import costs
from pix2pix_lib.config import TrainConfig, system_config
from pix2pix_lib.costs import count_flops, matmul_rate, step_flops
from pix2pix_lib.cyclegan import make_cyclegan
from pix2pix_lib.training import make_trainer

SMALL = {"image_size": 32, "base_channels": 4, "disc_channels": 4}


def test_operations_of_a_convolution_are_twice_positions_times_weights():
    network = nn.Sequential(
        nn.Conv2d(3, 8, 4, stride=2, padding=1), nn.ConvTranspose2d(8, 5, 4, stride=2, padding=1)
    )
    macs = 2 * 8 * 6 * 8 * 3 * 16 + 2 * 8 * 6 * 8 * 5 * 16
    with torch.no_grad():
        assert count_flops(lambda: network(torch.zeros(2, 3, 16, 12))) == 2 * macs


def forward_flops(network, *images):
    with torch.no_grad():
        return count_flops(lambda: network(*images))


@pytest.mark.parametrize("upsampling", ["resize", "transposed"])
@pytest.mark.parametrize("batch", [1, 3])
def test_flops_of_a_step_are_those_of_its_passes(upsampling, batch):
    """Compare a step's FLOPs with a count by hand.

    G runs forward and backward. D does so twice for its own step, and for G's step once forward and
    once backward to its input, without gradients of its weights. A backward pass costs as much as
    two forward ones, minus the unneeded gradient of the input image.
    """
    config = TrainConfig(disc_layers=2, depth=4, upsampling=upsampling, batch_size=batch, **SMALL)
    trainer = make_trainer(config)
    real_a, real_b = torch.zeros(2, batch, 3, 32, 32)
    g = forward_flops(trainer.generator, real_a)
    d = forward_flops(trainer.discriminator, real_a, real_b)
    first_g = forward_flops(trainer.generator.downs[0].conv, real_a)
    first_d = forward_flops(trainer.discriminator.model[0][0], torch.cat([real_a, real_b], 1))
    assert step_flops(config, make_trainer) == 3 * g - first_g + 2 * (3 * d - first_d) + 2 * d


def test_flops_of_a_cyclegan_step_are_counted_without_memory_for_its_tensors():
    small = system_config("cyclegan", blocks=1, disc_layers=1, **SMALL)
    trainer, images = make_cyclegan(small), torch.zeros(2, 1, 3, 32, 32)
    assert step_flops(small, make_cyclegan) == count_flops(lambda: trainer.step(*images)) > 1e6
    start = time.perf_counter()
    assert step_flops(system_config("cyclegan", blocks=6), make_cyclegan) > 1e11
    assert time.perf_counter() - start < 30  # an actual step would take minutes on two cores


def test_rate_is_that_of_the_fastest_product(monkeypatch):
    """A fake clock makes the products take 4, 2 and 3 seconds."""
    times = iter([0.0, 1.0, 1.0, 5.0, 5.0, 6.0, 8.0, 8.0, 9.0, 12.0, 12.0])
    monkeypatch.setattr(costs.time, "perf_counter", lambda: next(times))
    products = []
    monkeypatch.setattr(torch, "mm", lambda a, b: products.append(a.shape))
    assert matmul_rate(torch.device("cpu"), torch.float32, 64, 11.5) == 2 * 64**3 / 2.0
    assert products == [(64, 64)] * 4  # the first one is a warm-up


def test_rate_of_a_real_product_is_not_slower_than_a_watch_says(device):
    a, b = torch.rand(2, 512, 512, device=device)
    start = time.perf_counter()
    for _ in range(20):
        torch.mm(a, b)
    costs.synchronize(device)
    watched = 2 * 512**3 * 20 / (time.perf_counter() - start)
    assert matmul_rate(device, torch.float32, size=512, seconds=0.3) > 0.8 * watched
