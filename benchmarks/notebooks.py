"""Run the notebooks from top to bottom and print the time and peak memory of each.

python -m benchmarks.notebooks               run all of them
python -m benchmarks.notebooks 04 06         run those with these numbers
python -m benchmarks.notebooks --write 04    also store the outputs, which do not name the machine
"""

import argparse
import platform
import sys
import time
from pathlib import Path

import nbformat
import torch
from nbclient import NotebookClient
from nbclient.exceptions import CellExecutionError

from pix2pix_lib.devices import describe_device, pick_device

FOLDER = Path(__file__).parent.parent / "notebooks"
METADATA = {
    "kernelspec": {"display_name": "Python 3", "language": "python", "name": "python3"},
    "language_info": {"name": "python"},
}
# It prints KiB on Linux.
MEMORY_PROBE = "import resource; print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)"


def main(argv: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    numbers = "numbers of the notebooks, such as 04; all if none is given"
    parser.add_argument("numbers", nargs="*", help=numbers)
    parser.add_argument("--write", action="store_true", help="store the outputs in the notebooks")
    arguments = parser.parse_args(argv)
    paths = sorted(FOLDER.glob("*.ipynb"))
    if arguments.numbers:
        paths = [path for path in paths if path.name[:2] in arguments.numbers]
    print(
        f"{describe_device(pick_device())}; "
        f"Python {platform.python_version()}, torch {torch.__version__}"
    )
    print(f"{'notebook':<24}{'seconds':>9}{'GiB':>8}", flush=True)
    total = 0.0
    for path in paths:
        try:
            seconds, memory = run(path, arguments.write)
        except CellExecutionError as error:
            print(f"{path.stem}: {error}", file=sys.stderr)
            return 1
        total += seconds
        print(f"{path.stem:<24}{seconds:>9.0f}{memory:>8.2f}", flush=True)
    print(f"{'together':<24}{total:>9.0f}")
    return 0


def run(path: Path, write: bool) -> tuple[float, float]:
    """Run one notebook; return the seconds, including the kernel's start, and the peak GiB."""
    notebook = nbformat.read(path, as_version=4)
    notebook.cells.append(nbformat.v4.new_code_cell(MEMORY_PROBE))
    start = time.perf_counter()
    resources = {"metadata": {"path": FOLDER}}
    client = NotebookClient(notebook, timeout=1800, record_timing=False, resources=resources)
    client.execute()
    seconds = time.perf_counter() - start
    probe = notebook.cells.pop()
    if write:
        notebook.metadata = METADATA
        drop_widget_views(notebook)
        nbformat.write(notebook, path)
    return seconds, int(probe.outputs[0].text) / 2**20


def drop_widget_views(notebook: nbformat.NotebookNode) -> None:
    """Remove what only the kernel that just ended could show, but keep the words next to it."""
    for cell in notebook.cells:
        for output in cell.get("outputs", []):
            output.get("data", {}).pop("application/vnd.jupyter.widget-view+json", None)


if __name__ == "__main__":
    sys.exit(main())
