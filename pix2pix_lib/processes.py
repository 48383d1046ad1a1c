"""Several processes that train one model: what is the same everywhere, what each does alone.

`torchrun` starts the processes and tells each its rank; torch.distributed joins them. Without it everything here
answers for a single process.

Source: Li et al. 2020, "PyTorch Distributed: Experiences on Accelerating Data Parallel Training", section 3.
"""

import inspect
import os
import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import NoReturn

import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel
from torch.utils.data import Dataset, DistributedSampler

LOST = "another process of this run has ended"


def started_by_torchrun() -> bool:
    """Tell whether this process is one of a group."""
    return "TORCHELASTIC_RUN_ID" in os.environ


@contextmanager
def process_group(device: torch.device) -> Iterator[torch.device]:
    """Join the group that torchrun started, over gloo on CPUs and nccl on GPUs; gives the device of this process."""
    if not started_by_torchrun():
        yield device
        return
    if device.type == "cuda":
        device = torch.device("cuda", int(os.environ["LOCAL_RANK"]))
        torch.cuda.set_device(device)
    signal.signal(signal.SIGTERM, _end_with_the_others)
    dist.init_process_group("nccl" if device.type == "cuda" else "gloo")
    try:
        yield device
    finally:
        dist.destroy_process_group()


def _end_with_the_others(number: int, frame: object) -> NoReturn:
    """Stop as torchrun asks when another process has ended, but in an orderly way."""
    raise ConnectionError(LOST)


@contextmanager
def noticing_the_loss_of_another() -> Iterator[None]:
    """Turn what gloo and nccl raise when another process is gone into a ConnectionError that says so."""
    try:
        yield
    except RuntimeError as error:
        if joined() and any(word in str(error).lower() for word in ("gloo", "nccl", "connection", "peer")):
            raise ConnectionError(LOST) from error
        raise


def joined() -> bool:
    """Tell whether this process has joined a group (which may be a group of one)."""
    return dist.is_available() and dist.is_initialized()


def rank() -> int:
    """Return this process's number, from 0; the process with rank 0 speaks and writes for all."""
    return dist.get_rank() if joined() else 0


def count() -> int:
    """Return how many processes train together."""
    return dist.get_world_size() if joined() else 1


def from_first(make: Callable[[], object]) -> object:
    """Return in every process what `make` returns in the first; the others wait for it."""
    if not joined():
        return make()
    answer = [make() if rank() == 0 else None]
    dist.broadcast_object_list(answer)
    return answer[0]


def mean(values: Tensor) -> Tensor:
    """Return the mean over all processes of a tensor that each of them has."""
    if joined():
        values = values.clone()
        dist.all_reduce(values)
        values /= count()
    return values


def join_gradients(network: nn.Module) -> nn.Module:
    """Return a network whose gradients are averaged over the processes as `backward` computes them.

    Running averages of norms are not: each process keeps its own, and translation uses none.
    """
    if not joined():
        return network
    # torch 2.15 renamed the option; the older name warns there, and is the only one before.
    known = inspect.signature(DistributedDataParallel).parameters
    option = "forward_sync_buffers" if "forward_sync_buffers" in known else "broadcast_buffers"
    return DistributedDataParallel(network, **{option: False})


def make_sampler(dataset: Dataset, seed: int, epoch: int) -> DistributedSampler | None:
    """Return the sampler that gives this process its share of an epoch's pairs; None for a process on its own.

    All processes shuffle alike and take every n-th index, so the pairs of a step do not depend on how many share them.
    """
    if not joined():
        return None
    sampler = DistributedSampler(dataset, seed=seed)
    sampler.set_epoch(epoch)
    return sampler
