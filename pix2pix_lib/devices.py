"""Where the numbers are computed, and how much memory there is."""

import os
from contextlib import suppress
from pathlib import Path

import psutil
import torch
from torch import nn

from .validation import InputError

OUT_OF_MEMORY = (
    "out of memory", "can't allocate memory", "not enough memory", "alloc_failed", "bad_alloc",
)  # fmt: skip
# What a container may use and what it uses now, under version 2 and version 1 of Linux's cgroups.
CGROUP_FILES = (
    (Path("/sys/fs/cgroup/memory.max"), Path("/sys/fs/cgroup/memory.current")),
    (
        Path("/sys/fs/cgroup/memory/memory.limit_in_bytes"),
        Path("/sys/fs/cgroup/memory/memory.usage_in_bytes"),
    ),
)


def pick_device(name: str = "auto") -> torch.device:
    """Return the device called `name`; `auto` is the first CUDA GPU if there is one, else the CPU.

    A GPU becomes the current one of this process. Under torchrun each process takes the GPU of its
    local rank. A Mac's GPU is taken only by its name, "mps": this course has not been run on one.

    Raises:
        InputError: if the device does not exist on this machine or torch does not know its name.
    """
    if name == "auto":
        name = "cuda" if torch.cuda.is_available() else "cpu"
    try:
        device = torch.device(name)
        if device.type == "cuda":
            device = _own_gpu(device)
            torch.cuda.set_device(device)  # before anything makes a context on another GPU
        torch.empty(1, device=device)
    except (RuntimeError, AssertionError, NotImplementedError) as error:
        reason = (str(error).splitlines() or [type(error).__name__])[0]
        raise InputError(
            f"device {name!r} cannot be used on this machine ({reason}); use auto or cpu"
        ) from error
    return device


def _own_gpu(device: torch.device) -> torch.device:
    """Return a GPU with its number: the one asked for, or that of the local rank under torchrun."""
    if not started_by_torchrun():
        return torch.device("cuda", device.index or 0)
    if device.index is not None:
        raise InputError(
            f"under torchrun each process takes a GPU of its own: use cuda in place of {device}"
        )
    return torch.device("cuda", int(os.environ["LOCAL_RANK"]))


def started_by_torchrun() -> bool:
    """Return whether this process is one of a group that torchrun started."""
    return "TORCHELASTIC_RUN_ID" in os.environ


def device_of(network: nn.Module) -> torch.device:
    """Return the device on which a network's weights lie."""
    return next(network.parameters()).device


def describe_device(device: torch.device) -> str:
    """Return a device in the few words that belong beside a timing."""
    if device.type == "cuda":
        return torch.cuda.get_device_name(device)
    if device.type == "cpu":
        threads = torch.get_num_threads()
        return f"cpu, {threads} thread{'s' * (threads != 1)}"
    return device.type


def available_memory(device: torch.device) -> int:
    """Return the bytes that this process can still use on a GPU, or else in the machine's memory.

    A container's limit counts, and the processes that torchrun started on this machine share what
    is there.
    """
    if device.type == "cuda":
        return torch.cuda.mem_get_info(device)[0]
    available = psutil.virtual_memory().available
    for limit_file, usage_file in CGROUP_FILES:
        with suppress(OSError, ValueError):  # not in a container, or without a limit ("max")
            available = min(available, int(limit_file.read_text()) - int(usage_file.read_text()))
    processes = int(os.environ["LOCAL_WORLD_SIZE"]) if started_by_torchrun() else 1
    return max(available, 0) // processes


def is_out_of_memory(error: Exception) -> bool:
    """Return whether an error says that memory ran out: on a CPU torch has no type for that."""
    text = str(error).lower()
    return isinstance(error, torch.OutOfMemoryError | MemoryError) or any(
        words in text for words in OUT_OF_MEMORY
    )
