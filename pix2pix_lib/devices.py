"""Where the numbers are computed."""

import os

import torch

NO_MEMORY = ("out of memory", "can't allocate memory", "not enough memory", "alloc_failed", "bad_alloc")


def pick_device(name: str = "auto") -> torch.device:
    """Return the device called `name`; `auto` is the first GPU where there is one, else the processor.

    Raises:
        ValueError: if the device does not exist on this machine or its name is not known to torch.
    """
    if name == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        device = torch.device(name)
        torch.empty(1, device=device)
    except (RuntimeError, AssertionError, NotImplementedError) as error:
        raise ValueError(
            f"device {name!r} cannot be used on this machine ({str(error).splitlines()[0]}); use auto or cpu"
        ) from error
    return device


def describe_device(device: torch.device) -> str:
    """Return one line a person can put beside a timing."""
    if device.type == "cuda":
        return torch.cuda.get_device_name(device)
    return f"{device.type}, {torch.get_num_threads()} threads"


def free_memory(device: torch.device) -> int:
    """Return the bytes that a GPU has free, or that this machine has in all; 4 GiB where the system does not say."""
    if device.type == "cuda":
        return torch.cuda.mem_get_info(device)[0]
    try:
        return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    except (AttributeError, ValueError, OSError):  # Windows has no sysconf
        return 4 * 2**30


def is_out_of_memory(error: Exception) -> bool:
    """Tell whether an error says that memory ran out: on a CPU torch has no error of its own for that."""
    text = str(error).lower()
    return isinstance(error, torch.OutOfMemoryError | MemoryError) or any(words in text for words in NO_MEMORY)
