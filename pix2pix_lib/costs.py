"""What a training step costs: multiplications counted from the layers, and what the machine can do at best.

A convolution with k x k kernels makes C * k * k multiply-adds for each value of its output map. Its backward pass does
the same number twice over: once for the gradient of its weights, once for that of its input. Everything else in a
step (norms, activations, losses) is less than a hundredth of that, and is not counted.
"""

import math
import time

import torch
from torch import Tensor, nn

from .layers import Call, record_calls

CONVOLUTIONS = (nn.Conv2d, nn.ConvTranspose2d)


def record_convolutions(network: nn.Module, *inputs: Tensor) -> list[Call]:
    """Return the calls of a network's convolutions in a forward pass that changes nothing in it.

    It runs in evaluation mode, so that neither dropout nor running averages take part.
    """
    was_training = network.training
    calls = record_calls(network.eval(), *inputs, kinds=CONVOLUTIONS)
    network.train(was_training)
    return calls


def conv_macs(network: nn.Module, *inputs: Tensor) -> list[int]:
    """Return the multiply-adds of each convolution, in the order of their calls, for one forward pass on `inputs`."""
    return [positions(call.before if isinstance(call.module, nn.ConvTranspose2d) else call.after)
            * call.module.weight.numel() for call in record_convolutions(network, *inputs)]


def positions(shape: tuple[int, ...]) -> int:
    """Return how many positions a batch of maps (N, C, H, W) has: N * H * W."""
    return shape[0] * math.prod(shape[2:])


def step_flops(generator: nn.Module, discriminator: nn.Module, real_a: Tensor, real_b: Tensor) -> int:
    """Return the floating-point operations (two a multiply-add) of one training step on a batch (N, C, H, W).

    G runs once forward and once backward; D twice each for its own step, and for G's step once forward and once
    backward to its input, without gradients of its weights. The gradient of an image is not needed in the first two.
    """
    generator_macs, judge_macs = conv_macs(generator, real_a), conv_macs(discriminator, real_a, real_b)
    learn_g = 3 * sum(generator_macs) - generator_macs[0]
    learn_d = 2 * (3 * sum(judge_macs) - judge_macs[0])
    through_d = 2 * sum(judge_macs)
    return 2 * (learn_g + learn_d + through_d)


def matmul_rate(device: torch.device, dtype: torch.dtype, size: int = 0, seconds: float = 1.0) -> float:
    """Return the best rate of a large matrix product in floating-point operations per second: the machine's ceiling.

    Args:
        size: rows and columns of the matrices; 0 means 2048 on a CPU and 8192 on a GPU.
        seconds: how long to try; the fastest product counts.
    """
    size = size or (8192 if device.type == "cuda" else 2048)
    a, b = torch.rand(2, size, size, device=device).to(dtype)
    best, end = float("inf"), time.perf_counter() + seconds
    torch.mm(a, b)
    while time.perf_counter() < end:
        synchronize(device)
        start = time.perf_counter()
        torch.mm(a, b)
        synchronize(device)
        best = min(best, time.perf_counter() - start)
    return 2 * size**3 / best


def synchronize(device: torch.device) -> None:
    """Wait until the device has done what it was given; a CPU always has."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)
