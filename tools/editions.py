"""Write the editions of the course from one source, the notebooks in notebooks/.

    python -m tools.editions                 all three
    python -m tools.editions student         student/: the tasks are open, for a learner
    python -m tools.editions instructor      instructor/: solved, with notes and times
    python -m tools.editions bundle          pix2pix-course.zip: the student edition and the library

A notebook that lies in student/ already is kept, as it may hold a learner's work; --replace writes
it anew.
"""

import argparse
import json
import os
import re
import shutil
import sys
from pathlib import Path

import nbformat
from nbformat import NotebookNode

from pix2pix_lib.cli import CommandParser, run_command
from pix2pix_lib.files import replacing
from pix2pix_lib.tasks.base import Assignment
from pix2pix_lib.tasks.questions import Question
from pix2pix_lib.tasks.trials import OpenTask
from pix2pix_lib.tasks.writing import Task
from pix2pix_lib.validation import InputError
from tools import bundle
from tools.student import checks, student, tasks_of

ROOT = Path(__file__).parent.parent
EDITIONS = ("student", "instructor", "bundle")
HEADING = re.compile(r"^## (.+)$", re.MULTILINE)
# What of a lesson's notes stands at the top of the instructor's notebook, and what at the end.
TOP = ("Aims", "On the board", "What goes wrong")
END = ("Likely questions", "The open task")


def main(argv: list[str] | None = None) -> int:
    """Run the command and return its exit status: 0, or 2 for an error that a user can fix."""
    parser = CommandParser(
        prog="python -m tools.editions",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    which = f"{', '.join(EDITIONS)}; all if none is given"
    parser.add_argument("editions", nargs="*", metavar="edition", help=which)
    out = "the folder to write into; the course's own if not given"
    parser.add_argument("--out", type=Path, default=ROOT, help=out)
    anew = "overwrite notebooks that lie in student/ already"
    parser.add_argument("--replace", action="store_true", help=anew)
    return run_command(run, parser.parse_args(argv))


def run(arguments: argparse.Namespace) -> int:
    """Write the editions and say what was written.

    Raises:
        InputError: if there is no such edition.
    """
    for name in arguments.editions:
        if name not in EDITIONS:
            raise InputError(f"there is no edition {name!r}; there are {', '.join(EDITIONS)}")
    for name in arguments.editions or EDITIONS:
        if name == "bundle":
            bundle.write(arguments.out / f"{bundle.NAME}.zip")
        elif name == "student" and not sources() and (ROOT / "student").is_dir():
            print("student/ is here already, as this course came as a bundle.")
        else:
            keep = name == "student" and not arguments.replace
            write_edition(name, arguments.out / name, keep)
    return 0


def sources() -> list[Path]:
    """Return the notebooks that the editions are made from."""
    return sorted((ROOT / "notebooks").glob("[0-9][0-9]_*.ipynb"))


def write_edition(name: str, folder: Path, keep: bool = False) -> None:
    """Write the student's or the instructor's notebooks into a folder.

    Args:
        keep: whether notebooks that lie there already stay as they are.
    """
    kept = 0
    for path in sources():
        if keep and (folder / path.name).exists():
            kept += 1
            continue
        notebook = nbformat.read(path, as_version=4)
        made = student(notebook) if name == "student" else instructor(notebook, path.stem)
        with replacing(folder / path.name) as temporary:
            temporary.write_text(nbformat.writes(made) + "\n", encoding="utf-8", newline="\n")
    told = f"{folder.name}/: {len(sources()) - kept} notebooks written"
    print(f"{told}, {kept} kept (--replace writes them anew)" if kept else told)


# --- the instructor's edition ---------------------------------------------------------------------


def instructor(notebook: NotebookNode, stem: str) -> NotebookNode:
    """Return a notebook with solutions and outputs, and a teacher's notes beside them."""
    notes = sections(ROOT / "teaching" / "lessons" / f"{stem}.md")
    times = json.loads((ROOT / "teaching" / "times.json").read_text(encoding="utf-8"))[stem]
    with_class = dict(table_rows(notes.get("Sections", "")))
    tasks, cells = tasks_of(notebook), []
    for number, cell in enumerate(notebook.cells):
        cells.append(cell)
        heading = HEADING.search(cell.source) if cell.cell_type == "markdown" else None
        if number == 0:
            cells.append(note(f"top-{stem[:2]}", *(titled(notes, part) for part in TOP)))
        elif heading:
            if said := with_class.get(heading[1]):
                plan = f"With the class: {said}{'' if said[-1] in '.?' else '.'}"
                cells.append(note(f"time-{cell.id}", spent(times, heading[1]), plan))
        elif (call := checks(cell)) and call[2] != "judge":
            cells.append(note(f"task-{cell.id}", told(tasks[call[1]])))
    cells.append(note(f"end-{stem[:2]}", *(titled(notes, part) for part in END)))
    notebook.cells = cells
    return notebook


def note(identity: str, *parts: str) -> NotebookNode:
    """Return a cell for the teacher, set off by a rule on its left."""
    lines = "\n\n".join(part for part in ("**For the teacher.**", *parts) if part).splitlines()
    quoted = "\n".join(f"> {line}".rstrip() for line in lines)
    cell = nbformat.v4.new_markdown_cell(quoted, id=re.sub(r"[^\w-]", "-", identity)[:64])
    cell.metadata["tags"] = ["teacher"]
    return cell


def titled(notes: dict[str, str], part: str) -> str:
    """Return one part of the notes with its title, or "" if a lesson has none."""
    return f"**{part}**\n\n{notes[part]}" if part in notes else ""


def spent(times: dict[str, list[float]], heading: str) -> str:
    """Return the measured times of a section."""
    minutes, tasks, seconds = times.get(heading, (0, 0, 0))
    work = f", {tasks:.0f} for its tasks" if tasks else ""
    runs = f"; its cells run in {seconds:.0f} s" if seconds >= 1 else ""
    study = f"About {minutes:.0f} minutes" if minutes >= 1.5 else "A minute"
    return f"{study} to study{work}{runs}."


def told(task: Assignment) -> str:
    """Return what a check recognises, and the hints that it gives."""
    known = {
        Task: lambda: [each.says for each in task.mistakes],
        Question: lambda: [says for _, says in task.wrong],
        OpenTask: lambda: [*task.RUBRIC, *task.rubric],
    }[type(task)]()
    title = "The rubric:" if isinstance(task, OpenTask) else "Mistakes that the check names:"
    lines = [title, "", *(f"- {each}" for each in known), ""]
    lines += [f"Hint {number}: {hint}\n" for number, hint in enumerate(task.hints, 1)]
    if isinstance(task, Task):
        lines += ["Learners begin with", "", "```python", task.stub.rstrip(), "```"]
    return "\n".join(lines)


def sections(path: Path) -> dict[str, str]:
    """Return the parts of a file of notes by their titles.

    Raises:
        FileNotFoundError: if a lesson has no notes.
    """
    if not path.is_file():
        raise FileNotFoundError(f"{path.name} is missing from teaching/lessons; write its notes")
    parts = HEADING.split(path.read_text(encoding="utf-8"))
    return {title: text.strip() for title, text in zip(parts[1::2], parts[2::2])}


def table_rows(text: str) -> list[tuple[str, str]]:
    """Return the rows of a table of two columns, without its head."""
    rows = [line.strip().strip("|").split("|", 1) for line in text.splitlines() if "|" in line]
    return [(first.strip(), rest.strip()) for first, rest in rows[2:]]


# --- for the tests --------------------------------------------------------------------------------


def try_out(folder: Path) -> None:
    """Make a folder of the course that holds the student edition and its own runs/.

    Everything else in it is a link to this course, or a copy where there are no links.
    """
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    write_edition("student", folder / "student")
    parts = {name.split("/")[0] for name in bundle.CONTENTS}
    for name in parts - {"notebooks", "course_setup.py"}:
        try:
            os.symlink(ROOT / name, folder / name)
        except OSError:  # Windows, without the right to make links
            copy = shutil.copytree if (ROOT / name).is_dir() else shutil.copy
            copy(ROOT / name, folder / name)
    shutil.copy(ROOT / "course_setup.py", folder)


if __name__ == "__main__":
    sys.exit(main())
