"""Several processes that train one model: what is the same in all, what the first does alone.

`torchrun` starts the processes and gives each its rank; torch.distributed connects them. In a
single process everything here answers for that one.

Every collective call of this library is made in this module, and none of them while
`broadcast_from_rank0` runs its function: until that has returned, the first process counts as
alone. So nothing that only one rank does can wait for the others.

Source: Li et al. 2020, "PyTorch Distributed: Experiences on Accelerating Data Parallel Training",
section 3.
"""

import inspect
import os
import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import timedelta
from typing import NoReturn, TypeVar

import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel

from .devices import started_by_torchrun

LOST_PEER = "another process of this run has ended"
PATIENCE = timedelta(days=7)  # how long processes wait for what the first one does alone

T = TypeVar("T")


class _State:
    """What this process knows of its group."""

    group: dist.ProcessGroup | None = None  # on CPUs, for waiting; gradients may travel by nccl
    alone = False  # the first process is doing something for all


@contextmanager
def process_group(device: torch.device) -> Iterator[None]:
    """Join the group that torchrun started, over nccl on GPUs, else gloo; leave it at the end."""
    if not started_by_torchrun():
        yield
        return
    signal.signal(signal.SIGTERM, _stop_with_the_others)
    dist.init_process_group("nccl" if device.type == "cuda" else "gloo")
    try:
        with report_lost_peer():
            _State.group = dist.new_group(backend="gloo", timeout=PATIENCE)
            yield
    finally:
        _State.group = None
        dist.destroy_process_group()


def _stop_with_the_others(number: int, frame: object) -> NoReturn:
    """End in an orderly way when torchrun says that another process has ended."""
    raise ConnectionError(LOST_PEER)


@contextmanager
def report_lost_peer() -> Iterator[None]:
    """Turn what gloo and nccl raise when another process is gone into one ConnectionError."""
    try:
        yield
    except RuntimeError as error:
        text = str(error).lower()
        if is_distributed() and any(
            word in text for word in ("gloo", "nccl", "connection", "peer")
        ):
            raise ConnectionError(LOST_PEER) from error
        raise


def is_distributed() -> bool:
    """Return whether this process works with others now (a group may have one member)."""
    return dist.is_available() and dist.is_initialized() and not _State.alone


def rank() -> int:
    """Return this process's number, from 0; the one with rank 0 speaks and writes for all."""
    if dist.is_available() and dist.is_initialized():
        return dist.get_rank()
    return int(os.environ["RANK"]) if started_by_torchrun() else 0


def world_size() -> int:
    """Return how many processes train together."""
    return dist.get_world_size() if is_distributed() else 1


def broadcast_from_rank0(make: Callable[[], T]) -> T:
    """Return in every process what `make` returns in the first; the others wait for it.

    While `make` runs, the first process counts as alone: whatever it builds or calls with this
    library computes by itself. What `make` raises is raised in every process.
    """
    if not is_distributed():
        return make()
    answer: list = [None, None]
    if rank() == 0:
        try:
            with _alone():
                answer[0] = make()
        except Exception as error:
            answer[1] = error
    dist.broadcast_object_list(answer, group=_State.group, device=torch.device("cpu"))
    if answer[1] is not None:
        raise answer[1]
    return answer[0]


@contextmanager
def _alone() -> Iterator[None]:
    _State.alone = True
    try:
        yield
    finally:
        _State.alone = False


def all_reduce_mean(values: Tensor) -> Tensor:
    """Return the mean over all processes of a tensor that each of them has."""
    if is_distributed():
        values = values.clone()
        dist.all_reduce(values)
        values /= world_size()
    return values


class _JoinedNetwork(DistributedDataParallel):
    """A network whose gradients are averaged; it refuses to run where that would wait forever."""

    def forward(self, *inputs: Tensor) -> Tensor:
        if _State.alone:
            raise RuntimeError("this network learns with other processes, which do not run it now")
        return super().forward(*inputs)


def wrap_ddp(network: nn.Module) -> nn.Module:
    """Return a network whose gradients are averaged over the processes during `backward`.

    Running averages of norms are not: each process keeps its own, and translation uses none.
    """
    if not is_distributed():
        return network
    # torch 2.15 renamed the option: there the older name warns, before it is the only one.
    known = inspect.signature(DistributedDataParallel).parameters
    option = "forward_sync_buffers" if "forward_sync_buffers" in known else "broadcast_buffers"
    return _JoinedNetwork(network, **{option: False})
