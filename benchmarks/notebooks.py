"""Run the notebooks from top to bottom and print the time and peak memory of each.

python -m benchmarks.notebooks               run all of them
python -m benchmarks.notebooks 04 06         run those with these numbers
python -m benchmarks.notebooks --write 04    also store the outputs, which do not name the machine
"""

import argparse
import base64
import io
import platform
import sys
import time
from pathlib import Path

import nbformat
import numpy as np
import torch
from nbclient import NotebookClient
from nbclient.exceptions import CellExecutionError
from PIL import Image

from pix2pix_lib.devices import describe_device, pick_device
from pix2pix_lib.plots import colours_of, encode_png

FOLDER = Path(__file__).parent.parent / "notebooks"
METADATA = {
    "kernelspec": {"display_name": "Python 3", "language": "python", "name": "python3"},
    "language_info": {"name": "python"},
}
COMMON = 64  # pixels of one colour: a class of a label map, a letter, a wall
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
    client = NotebookClient(
        notebook,
        timeout=1800,
        record_timing=False,
        extra_arguments=["--log-level=ERROR"],  # else each kernel warns of its own sockets
        resources=resources,
    )
    client.execute()
    seconds = time.perf_counter() - start
    probe = notebook.cells.pop()
    if write:
        notebook.metadata = METADATA
        drop_widget_views(notebook)
        shrink_pictures(notebook)
        nbformat.write(notebook, path)
    return seconds, int(probe.outputs[0].text) / 2**20


def drop_widget_views(notebook: nbformat.NotebookNode) -> None:
    """Remove what only the kernel that just ended could show; its picture stands beside it."""
    for cell in notebook.cells:
        if "outputs" in cell:
            view = "application/vnd.jupyter.widget-view+json"
            cell.outputs = [each for each in cell.outputs if view not in each.get("data", {})]


def shrink_pictures(notebook: nbformat.NotebookNode) -> None:
    """Store the colours of photos in steps of 8 of 256, which takes a third off a notebook.

    Who runs the notebook gets exact pictures; these are for those who read it unrun.
    """
    for cell in notebook.cells:
        for output in cell.get("outputs", []):
            if png := output.get("data", {}).get("image/png"):
                smaller = coarser_png(base64.b64decode(png))
                output.data["image/png"] = base64.b64encode(smaller).decode()


def coarser_png(png: bytes) -> bytes:
    """Return a PNG whose rare colours are rounded; those of labels, text and areas stay exact."""
    pixels = np.asarray(Image.open(io.BytesIO(png)).convert("RGB"))
    colours, indices, counts = colours_of(pixels)
    if len(colours) <= 256:  # a palette of them makes it small already
        return png
    is_rare = (counts < COMMON)[indices]
    rounded = np.minimum((pixels.astype(int) + 4) // 8 * 8, 255)
    coarser = np.where(is_rare[..., None], rounded, pixels).astype(np.uint8)
    return min(encode_png(Image.fromarray(coarser)), png, key=len)


if __name__ == "__main__":
    sys.exit(main())
