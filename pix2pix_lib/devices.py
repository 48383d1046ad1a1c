"""Where the numbers are computed."""

import torch


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
