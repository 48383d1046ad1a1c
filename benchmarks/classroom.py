"""Measure what a class waits for: setting up, checking a task, checking what was handed in.

python -m benchmarks.classroom

Setting up is what a learner in Colab does with the uploaded bundle: the set-up cell and the imports
of a lesson, in a fresh Python. (The upload and a fetch from GitHub depend on the network.)
"""

import contextlib
import io
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import nbformat
import torch

from pix2pix_lib.cli import CommandParser
from pix2pix_lib.devices import describe_device, pick_device
from pix2pix_lib.tasks import all_tasks
from pix2pix_lib.tasks.writing import Task
from tools import bundle, gradebook
from tools.set_address import published_at, setup_cell

ROOT = Path(__file__).parent.parent
COLAB = "import sys, types\nsys.modules['google.colab'] = types.ModuleType('google.colab')\n"
LESSON = "04_patchgan"


def main(argv: list[str] | None = None) -> int:
    CommandParser(prog="python -m benchmarks.classroom", description=__doc__).parse_args(argv)
    print(f"{describe_device(pick_device())}; torch {torch.__version__}")
    with tempfile.TemporaryDirectory() as folder:
        os.environ["PIX2PIX_PROGRESS"] = str(Path(folder, "progress.jsonl"))
        packed = Path(folder, f"{bundle.NAME}.zip")
        packed.write_bytes(bundle.make_bundle(ROOT))
        print(f"{'the bundle':<48}{packed.stat().st_size / 1e6:>8.1f} MB")
        print(f"{'set-up cell and imports, from the bundle':<48}{setting_up(packed):>8.1f} s")
        seconds = {task.key: check_seconds(task) for task in all_tasks() if isinstance(task, Task)}
        slowest, mean = max(seconds, key=seconds.get), sum(seconds.values()) / len(seconds)
        print(f"{f'a first check, mean of {len(seconds)}':<48}{mean:>8.2f} s")
        print(f"{f'the slowest, {slowest}':<48}{seconds[slowest]:>8.2f} s")
        handed_in = Path(folder, "class", "learner")
        handed_in.mkdir(parents=True)
        notebook = ROOT / "notebooks" / f"{LESSON}.ipynb"
        (handed_in / notebook.name).write_bytes(notebook.read_bytes())
        print(f"{'gradebook, one notebook':<48}{grading(handed_in.parent):>8.1f} s")
    return 0


def setting_up(packed: Path) -> float:
    """Return the seconds of the set-up cell and a lesson's imports in a fresh Python."""
    notebook = nbformat.read(ROOT / "notebooks" / f"{LESSON}.ipynb", as_version=4)
    imports = [cell.source for cell in notebook.cells if cell.cell_type == "code"][1]
    code = COLAB + setup_cell(*published_at(ROOT)) + "\n" + imports
    start = time.perf_counter()
    subprocess.run([sys.executable, "-c", code], cwd=packed.parent, check=True)
    return time.perf_counter() - start


def check_seconds(task: Task) -> float:
    """Return the seconds of a check of the solution."""
    start = time.perf_counter()
    with contextlib.redirect_stdout(io.StringIO()):
        task.check(task.compiled(task.solution_text()))
    return time.perf_counter() - start


def grading(folder: Path) -> float:
    """Return the seconds of the gradebook for the work of one learner."""
    start = time.perf_counter()
    with contextlib.redirect_stdout(io.StringIO()):
        gradebook.main([str(folder)])
    return time.perf_counter() - start


if __name__ == "__main__":
    sys.exit(main())
