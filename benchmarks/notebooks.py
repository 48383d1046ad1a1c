"""Run the notebooks from top to bottom and print the time and peak memory of each.

python -m benchmarks.notebooks               run all of them
python -m benchmarks.notebooks 04 06         run those with these numbers
python -m benchmarks.notebooks --write 04    also store the outputs, which do not name the machine
python -m benchmarks.notebooks --times       also write README's table of times, and each notebook's

Minutes of study are reckoned, not measured: WORDS and LINES of code a minute, half a minute for a
figure. The tasks come on top, with the minutes that their headings state.
"""

import argparse
import base64
import io
import json
import platform
import re
import sys
import textwrap
import time
from datetime import datetime
from pathlib import Path

import nbformat
import numpy as np
import torch
from nbclient import NotebookClient
from nbclient.exceptions import CellExecutionError
from PIL import Image

from pix2pix_lib.devices import describe_device, pick_device
from pix2pix_lib.plots import colours_of, encode_png
from tools.student import checks

ROOT = Path(__file__).parent.parent
FOLDER = ROOT / "notebooks"
SECTION_TIMES = ROOT / "teaching" / "times.json"
WORDS, LINES = 150, 12
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
    parser.add_argument("--times", action="store_true", help="write the times of all notebooks")
    arguments = parser.parse_args(argv)
    if arguments.times and arguments.numbers:
        parser.error("--times writes a table of all notebooks, so give no numbers")
    paths = sorted(FOLDER.glob("*.ipynb"))
    if arguments.numbers:
        paths = [path for path in paths if path.name[:2] in arguments.numbers]
    print(
        f"{describe_device(pick_device())}; "
        f"Python {platform.python_version()}, torch {torch.__version__}"
    )
    print(f"{'notebook':<24}{'seconds':>9}{'GiB':>8}", flush=True)
    times = {}
    for path in paths:
        try:
            seconds, memory, sections = run(path, arguments.write)
        except CellExecutionError as error:
            print(f"{path.stem}: {error}", file=sys.stderr)
            return 1
        times[path] = seconds, memory, sections
        print(f"{path.stem:<24}{seconds:>9.0f}{memory:>8.2f}", flush=True)
    print(f"{'together':<24}{sum(seconds for seconds, *_ in times.values()):>9.0f}")
    if arguments.times:
        write_times(times)
    return 0


def run(path: Path, write: bool) -> tuple[float, float, dict[str, float]]:
    """Run one notebook; return the seconds, the kernel's start included, the peak GiB, and the
    seconds of each section.
    """
    notebook = nbformat.read(path, as_version=4)
    notebook.cells.append(nbformat.v4.new_code_cell(MEMORY_PROBE))
    start = time.perf_counter()
    resources = {"metadata": {"path": FOLDER}}
    client = NotebookClient(
        notebook,
        timeout=1800,
        extra_arguments=["--log-level=ERROR"],  # else each kernel warns of its own sockets
        resources=resources,
    )
    client.execute()
    seconds = time.perf_counter() - start
    probe = notebook.cells.pop()
    sections = seconds_of_sections(notebook)
    if write:
        notebook.metadata = METADATA
        drop_widget_views(notebook)
        shrink_pictures(notebook)
        nbformat.write(notebook, path)
    return seconds, int(probe.outputs[0].text) / 2**20, sections


def seconds_of_sections(notebook: nbformat.NotebookNode) -> dict[str, float]:
    """Return how long the cells of each section ran, and drop the times from the notebook."""
    found: dict[str, float] = {}
    for heading, cells in by_section(notebook.cells):
        stamps = [cell.metadata.pop("execution", {}) for cell in cells if cell.cell_type == "code"]
        begins, ends = "iopub.execute_input", "shell.execute_reply"
        spent = [
            (datetime.fromisoformat(s[ends]) - datetime.fromisoformat(s[begins])).total_seconds()
            for s in stamps
            if begins in s and ends in s
        ]
        found[heading] = round(sum(spent), 1)
    return found


def by_section(
    cells: list[nbformat.NotebookNode],
) -> list[tuple[str, list[nbformat.NotebookNode]]]:
    """Return each `## ` heading with the cells from it on; what comes before has the heading ""."""
    found: list[tuple[str, list[nbformat.NotebookNode]]] = [("", [])]
    for cell in cells:
        heading = re.search(r"^## (.+)$", cell.source, re.MULTILINE)
        if cell.cell_type == "markdown" and heading:
            found.append((heading[1], []))
        found[-1][1].append(cell)
    return found


def task_minutes(cells: list[nbformat.NotebookNode]) -> int:
    """Return how many minutes the tasks in some cells take together, as their headings say."""
    text = "\n".join(cell.source for cell in cells if cell.cell_type == "markdown")
    return sum(map(int, re.findall(r"^### Task: .*, (\d+) minutes?\)$", text, re.MULTILINE)))


def lesson_cells(cells: list[nbformat.NotebookNode]) -> list[nbformat.NotebookNode]:
    """Return those of some cells that are no part of a task."""

    def is_task(cell: nbformat.NotebookNode) -> bool:
        if cell.cell_type == "markdown":
            return cell.source.startswith("### Task: ")
        tags = cell.metadata.get("tags", [])
        marked = any(tag.startswith(("task:", "verdict:")) for tag in tags)
        return marked or checks(cell) is not None

    return [cell for cell in cells if not is_task(cell)]


def study_minutes(notebook: nbformat.NotebookNode) -> int:
    """Return how long a notebook takes to study, in steps of 5 minutes, as reckoned above."""
    code = [cell for cell in notebook.cells if cell.cell_type == "code"]
    cells = [
        cell for cell in lesson_cells(notebook.cells) if cell is not code[0]
    ]  # without the setup
    return 5 * round(reckoned(cells) / 5)


def reckoned(cells: list[nbformat.NotebookNode]) -> float:
    """Return the minutes to study some cells, as reckoned above."""
    prose = [cell.source for cell in cells if cell.cell_type == "markdown"]
    code = [cell for cell in cells if cell.cell_type == "code"]
    text = "\n".join(prose).split("## References")[0]
    read = re.sub(r"\]\([^)]*\)", "", text)
    lines = sum(bool(line.strip()) for cell in code for line in cell.source.splitlines())
    figures = sum("image/png" in out.get("data", {}) for cell in code for out in cell.outputs)
    return len(read.split()) / WORDS + lines / LINES + figures / 2


def times_line(minutes: int, tasks: int, seconds: float) -> str:
    """Return what the head of a notebook says of its times."""
    running = f"{max(round(round(seconds), -1), 10):.0f} seconds"
    if seconds > 75:
        count = round(seconds / 60)
        running = f"{count} minute{'s' * (count != 1)}"
    study = f"about {minutes} minutes, and {tasks} for the tasks"
    return f"**Study time** {study}. **Running time** about {running}."


def with_times(source: str, minutes: int, tasks: int, seconds: float) -> str:
    """Return the first cell of a notebook with these times."""
    before, _, rest = source.partition("**Study time**")
    after = rest.partition("**You need**")[2]
    paragraph = f"{times_line(minutes, tasks, seconds)} **You need**{after}"
    return before + textwrap.fill(paragraph, 118, break_long_words=False, break_on_hyphens=False)


def write_times(times: dict[Path, tuple[float, float, dict[str, float]]]) -> None:
    """Write the table of times in README, those in the first cell of each notebook, and for the
    instructor's edition those of each section: minutes to study, of tasks, and seconds to run.
    """
    notebooks = {path: nbformat.read(path, as_version=4) for path in times}
    minutes = {path: study_minutes(notebook) for path, notebook in notebooks.items()}
    tasks = {path: task_minutes(notebook.cells) for path, notebook in notebooks.items()}
    for path, notebook in notebooks.items():
        first = notebook.cells[0]
        first.source = with_times(first.source, minutes[path], tasks[path], times[path][0])
        nbformat.write(notebook, path)
    sections = {
        path.stem: {
            heading: [
                round(reckoned(lesson_cells(cells)), 1),
                task_minutes(cells),
                times[path][2][heading],
            ]
            for heading, cells in by_section(notebook.cells)
        }
        for path, notebook in notebooks.items()
    }
    SECTION_TIMES.write_text(
        json.dumps(sections, indent=1, ensure_ascii=False) + "\n", encoding="utf-8"
    )
    rows = [
        ["notebook", *(path.name[:2] for path in times)],
        ["minutes of study", *map(str, minutes.values())],
        ["minutes of tasks", *map(str, tasks.values())],
        ["seconds to run", *(f"{seconds:.0f}" for seconds, *_ in times.values())],
        ["GiB at most", *(f"{memory:.1f}" for _, memory, _ in times.values())],
    ]
    head, *body = [f"| {' | '.join(row)} |" for row in rows]
    table = "\n".join([head, "|" + "---|" * len(rows[0]), *body])
    readme = ROOT / "README.md"
    text = readme.read_text(encoding="utf-8")
    found = re.sub(r"^\| notebook \| 00 .*?(?=\n\n)", lambda _: table, text, flags=re.M | re.S)
    readme.write_text(found, encoding="utf-8")


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
