"""How the tests run: in several processes of one thread each, the slowest files first."""

import os

# Set before torch is imported, and inherited by the kernels and commands that tests start: with one
# thread each, the processes of pytest-xdist do not wait for one another. Your own value is kept.
os.environ.setdefault("OMP_NUM_THREADS", "1")

import shutil
import tempfile
from pathlib import Path

import pytest

# What checks of tasks record while tests run does not belong into a learner's own record.
if "PYTEST_XDIST_WORKER" not in os.environ:
    os.environ["PIX2PIX_PROGRESS"] = os.path.join(tempfile.mkdtemp(), "progress.jsonl")
# Where the student edition is written, to be run like the notebooks themselves.
STUDENT = Path(__file__).parent / ".editions"

# The slowest files, so that none of them starts last.
LONGEST_FIRST = (
    "notebooks/10_cyclegan.ipynb",
    "tests/test_tasks.py",
    "notebooks/06_training_loop.ipynb",
    "notebooks/11_your_own_data.ipynb",
    "notebooks/15_few_pairs.ipynb",
    "tests/browser/test_sliders.py",
    "tests/browser/test_pointing.py",
    "tests/browser/test_mouse.py",
    "tests/test_classroom.py",
    "tests/test_processes.py",
    "notebooks/05_losses.ipynb",
    "notebooks/03_unet_generator.ipynb",
    "notebooks/09_normalization.ipynb",
    "tests/test_faults.py",
    "tests/browser/test_painter_page.py",
)


def pytest_xdist_auto_num_workers(config: pytest.Config) -> int:
    """Return one process per core, at most four (a notebook takes 1 GiB), or just one on a GPU."""
    import torch

    if torch.cuda.is_available():
        return 1
    return min(len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else 2, 4)


def pytest_configure(config: pytest.Config) -> None:
    """Where all tests run, run the student edition too, as a learner who solves nothing would."""
    if config.args_source is not pytest.Config.ArgsSource.TESTPATHS:
        return
    if "PYTEST_XDIST_WORKER" not in os.environ:  # the workers find it there
        from tools.editions import try_out

        try_out(STUDENT)
    config.args.append(str(STUDENT / "student"))


def pytest_unconfigure(config: pytest.Config) -> None:
    """Remove what was recorded."""
    if "PYTEST_XDIST_WORKER" not in os.environ:
        shutil.rmtree(Path(os.environ["PIX2PIX_PROGRESS"]).parent, ignore_errors=True)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Move the slowest files to the front; the order within each file stays as it is."""

    def place(item: pytest.Item) -> int:
        file = item.nodeid.split("::")[0].replace(".editions/student/", "notebooks/")
        return LONGEST_FIRST.index(file) if file in LONGEST_FIRST else len(LONGEST_FIRST)

    items.sort(key=place)
