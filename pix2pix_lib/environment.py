"""What the machine has, and how much a training notebook may spend on it."""

import os
import platform
import sys
from importlib.metadata import PackageNotFoundError, requires, version
from pathlib import Path

import torch
from packaging.requirements import Requirement

from .devices import available_memory, describe_device, pick_device
from .validation import check_choice

REQUIREMENTS = Path(__file__).parent.parent / "requirements.txt"
BUDGETS = ("lesson", "full")
# Colab shows the notebooks itself, and notebook 13 installs what only shards need.
# The GiB that notebooks take which need more than 1.2 at most (README has the table of all).
LARGE_NOTEBOOKS = {"01": 1.6, "03": 1.5, "04": 1.3, "08": 1.5, "12": 2.6}
REMEDIES = (
    "shut down the kernels of notebooks that you have finished (each keeps its memory), close "
    "other programs, and train with a smaller --batch-size, --image-size or --base-channels"
)
NOT_ON_COLAB = {"jupyterlab", "webdataset"}


def training_budget() -> str:
    """Return how long a notebook may train.

    It is `lesson` (minutes), or `full` if PIX2PIX_BUDGET=full is set.

    Raises:
        InputError: if the variable holds anything else.
    """
    budget = os.environ.get("PIX2PIX_BUDGET", "lesson")
    check_choice("the environment variable PIX2PIX_BUDGET", budget, BUDGETS)
    return budget


def missing_requirements(requirements: Path = REQUIREMENTS) -> list[str]:
    """Return one phrase for each package of a requirements file that is missing or too old.

    On Colab, packages that only a machine of your own needs do not count.
    """
    unneeded = NOT_ON_COLAB if on_colab() else set()
    if requirements.is_file():
        lines = [
            line.split("#")[0].strip()
            for line in requirements.read_text(encoding="utf-8").splitlines()
        ]
    else:  # the package is installed, and its metadata say the same
        lines = requires("pix2pix-course") or []
    problems = []
    for requirement in (Requirement(line) for line in lines if line):
        if requirement.name in unneeded:
            continue
        try:
            installed = version(requirement.name)
        except PackageNotFoundError:
            problems.append(f"{requirement} is missing")
            continue
        if not requirement.specifier.contains(installed, prereleases=True):
            problems.append(f"{requirement} is needed, {installed} is installed")
    return problems


def on_colab() -> bool:
    """Return whether this is a notebook on Colab.

    Colab's kernel loads Colab's own module before anything else.
    """
    return "google.colab" in sys.modules


def memory_advice(free: float) -> str:
    """Return what to do where `free` GiB of memory are too little for a notebook, else ""."""
    large = [f"{name} ({need})" for name, need in LARGE_NOTEBOOKS.items() if need > free]
    if free < 1.2:
        large = ["most notebooks (1.2)"]
    return f"too little for {', '.join(large)}: {REMEDIES}" if large else ""


def describe_environment() -> str:
    """Return a short text that says what the course will run on, and what it lacks."""
    problems = missing_requirements()
    free = available_memory(torch.device("cpu")) / 2**30
    advice = memory_advice(free)
    return "\n".join(
        [
            f"Python    {platform.python_version()} on {platform.system()}",
            f"torch     {torch.__version__}",
            f"device    {describe_device(pick_device())}",
            f"cores     {os.cpu_count()}",
            f"memory    {free:.1f} GiB free{'; ' if advice else ''}{advice}",
            f"packages  {'all that the course needs' if not problems else '; '.join(problems)}",
        ]
    )
