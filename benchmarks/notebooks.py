"""Run the notebooks from top to bottom and print how long each took and how much memory its kernel had at most.

python -m benchmarks.notebooks               all of them
python -m benchmarks.notebooks 04 06         only those with these numbers
python -m benchmarks.notebooks --write 04    and store the outputs, without anything that names the machine
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
MEMORY_PROBE = (
    "import resource; print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)"  # KiB on Linux
)


def main(argv: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "numbers", nargs="*", help="numbers of the notebooks, as 04; all if none is given"
    )
    parser.add_argument("--write", action="store_true", help="store the outputs in the notebooks")
    arguments = parser.parse_args(argv)
    paths = [
        p
        for p in sorted(FOLDER.glob("*.ipynb"))
        if not arguments.numbers or p.name[:2] in arguments.numbers
    ]
    print(
        f"{describe_device(pick_device())}; Python {platform.python_version()}, torch {torch.__version__}"
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
    """Run one notebook in a kernel of its own; return seconds (start of the kernel included) and GiB at most."""
    notebook = nbformat.read(path, as_version=4)
    notebook.cells.append(nbformat.v4.new_code_cell(MEMORY_PROBE))
    start = time.perf_counter()
    client = NotebookClient(
        notebook, timeout=1800, record_timing=False, resources={"metadata": {"path": FOLDER}}
    )
    client.execute()
    seconds = time.perf_counter() - start
    probe = notebook.cells.pop()
    if write:
        notebook.metadata = METADATA
        drop_widget_views(notebook)
        nbformat.write(notebook, path)
    return seconds, int(probe.outputs[0].text) / 2**20


def drop_widget_views(notebook: nbformat.NotebookNode) -> None:
    """Take out what only the kernel that just ended could show; the words beside it stay."""
    for cell in notebook.cells:
        for output in cell.get("outputs", []):
            output.get("data", {}).pop("application/vnd.jupyter.widget-view+json", None)


if __name__ == "__main__":
    sys.exit(main())
