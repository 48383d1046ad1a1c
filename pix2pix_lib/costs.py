"""What a training step costs, and what the machine can do at best."""

import time
from collections.abc import Callable

import torch
from torch.utils.flop_counter import FlopCounterMode

from .config import TrainConfig
from .engine import Engine

META = torch.device("meta")  # tensors with a shape and no values: counting needs no more


def count_flops(call: Callable[[], object]) -> int:
    """Return the floating-point operations that torch counts while `call` runs.

    Torch counts matrix products and convolutions, two operations for a multiply-add. All else in a
    step (norms, activations, losses) is less than a hundredth of that.
    """
    with FlopCounterMode(display=False) as counter:
        call()
    return counter.get_total_flops()


def step_flops(config: TrainConfig, trainer_factory: Callable) -> int:
    """Return the floating-point operations of one training step with a config's networks and batch.

    Counted in float32, as every precision has the same: meta tensors know no autocast.

    Args:
        trainer_factory: makes a trainer from (config, device, engine), as `training.make_trainer`.
    """
    trainer = trainer_factory(config, META, Engine("float32"))
    shape = (config.batch_size, config.in_channels, *config.shape)
    real_a = torch.empty(shape, device=META)
    real_b = real_a[:, :1].expand(-1, config.out_channels, -1, -1)
    return count_flops(lambda: trainer.step(real_a, real_b))


def matmul_rate(
    device: torch.device, dtype: torch.dtype, size: int = 0, seconds: float = 1.0
) -> float:
    """Return the best rate of a large matrix product, in floating-point operations per second.

    A yardstick, not a bound: on some processors tuned convolutions are faster than products.

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
