"""Make a table of what a class has handed in, with every check run again.

    python -m tools.gradebook FOLDER

FOLDER holds one folder for each learner, with notebooks of the student edition (any names, any
depth) and, if it was handed in, runs/progress.jsonl. Written are FOLDER/gradebook.csv, one line for
each learner and task, and FOLDER/open_tasks.md with what the learners wrote, to be judged by the
rubric. Each notebook is checked in a process of its own, with limits of time and memory, without
network; tools/rerun.py says what that protects and what not.
"""

import argparse
import csv
import io
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import psutil

from pix2pix_lib.attempts import Standing, standings
from pix2pix_lib.cli import CommandParser, run_command
from pix2pix_lib.files import replacing
from pix2pix_lib.progress import make_bar
from pix2pix_lib.tasks import all_tasks
from pix2pix_lib.tasks.base import Assignment
from pix2pix_lib.tasks.trials import OpenTask
from pix2pix_lib.validation import InputError

ROOT = Path(__file__).parent.parent
COLUMNS = ("learner", "task", "kind", "difficulty", "standing", "says", "attempts", "hints",
           "solution shown")  # fmt: skip
PASSED_ON = ("PATH", "SYSTEMROOT", "LANG", "LD_LIBRARY_PATH")  # of the environment
Row = dict[str, Any]


def main(argv: list[str] | None = None) -> int:
    """Run the command and return its exit status: 0, or 2 for an error that a user can fix."""
    parser = CommandParser(
        prog="python -m tools.gradebook",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("folder", type=Path, help="holds one folder for each learner")
    limit = "seconds for one notebook (default: %(default)s)"
    parser.add_argument("--seconds", type=float, default=300, help=limit)
    memory = "GiB for one notebook (default: %(default)s)"
    parser.add_argument("--memory", type=float, default=4, help=memory)
    return run_command(run, parser.parse_args(argv))


def run(arguments: argparse.Namespace) -> int:
    """Check what lies in the folder, write the table and print its sums.

    Raises:
        FileNotFoundError: if there is no such folder.
        InputError: if it holds no notebooks in folders of learners.
    """
    folder = arguments.folder
    if not folder.is_dir():
        raise FileNotFoundError(f"{folder}: no such folder; give the one that holds the learners'")
    learners = [each for each in sorted(folder.iterdir()) if not each.name.startswith(".")]
    for each in learners:
        if each.suffix in (".ipynb", ".zip"):
            told = "put a notebook into a folder with its learner's name, and unpack a zip into one"
            raise InputError(f"{each}: expected one folder for each learner; {told}")
    learners = [each for each in learners if each.is_dir()]
    work = [
        (learner, path)
        for learner in learners
        for path in sorted(learner.rglob("*.ipynb"))
        if not any(part.startswith(".") for part in path.relative_to(folder).parts)
    ]
    if not work:
        raise InputError(f"{folder} holds no notebooks; expected FOLDER/learner/notebook.ipynb")
    tasks = {task.key: task for task in all_tasks()}
    rows: dict[tuple[str, str], Row] = {}
    written: dict[tuple[str, str], str] = {}
    bar = make_bar(len(work), "checking")
    for learner, path in work:
        results = rerun(path, arguments.seconds, arguments.memory)
        bar.update()
        record = read_handed_in(learner)
        for each in results:
            place = learner.name, each["task"]
            if rows.get(place, {}).get("standing") != "solved":  # of several copies, the best
                rows[place] = table_row(learner.name, each, tasks.get(each["task"]), record)
            if "written" in each:
                written[place] = text_of(learner.name, each, tasks[each["task"]])
    bar.close()
    with replacing(folder / "gradebook.csv") as temporary:
        temporary.write_text(as_csv(list(rows.values())), encoding="utf-8")
    with replacing(folder / "open_tasks.md") as temporary:
        temporary.write_text("\n".join(["# Open tasks\n", *written.values()]), encoding="utf-8")
    print(sums(list(rows.values())))
    handed_in = {learner for learner, _ in work}
    if missing := [each.name for each in learners if each not in handed_in]:
        print(f"No notebooks in: {', '.join(missing)}")
    print(f"All of it is in {folder / 'gradebook.csv'}; open tasks, to read: {len(written)}.")
    return 0


def rerun(path: Path, seconds: float, memory: float) -> list[Row]:
    """Return the results of one notebook, or one row that says why there are none."""
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder:
        results = Path(folder, "results.json")
        inherited = {name: os.environ[name] for name in PASSED_ON if name in os.environ}
        own = {
            "PYTHONPATH": str(ROOT),
            "HOME": folder,
            "PIX2PIX_PROGRESS": str(Path(folder, "progress.jsonl")),
            "MPLBACKEND": "agg",
            "MPLCONFIGDIR": folder,
            "TMPDIR": folder,
            "PYTHONDONTWRITEBYTECODE": "1",
            "OMP_NUM_THREADS": "1",
        }
        with Path(folder, "stderr").open("w+", encoding="utf-8", errors="replace") as stderr:
            process = subprocess.Popen(
                [sys.executable, "-m", "tools.rerun", str(path.resolve()), str(results)],
                cwd=folder,
                env=inherited | own,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=stderr,
            )
            stopped = wait_for(process, seconds, memory)
            stderr.seek(0)
            complaint = stderr.read().strip().splitlines()
        try:
            return json.loads(results.read_text(encoding="utf-8"))
        except (OSError, json.JSONDecodeError):
            why = stopped or (complaint[-1] if complaint else f"status {process.returncode}")
            return [{"task": path.name, "standing": "cannot be run", "says": why}]


def wait_for(process: subprocess.Popen, seconds: float, memory: float) -> str:
    """Wait for a process; kill it if it exceeds a limit, and return which, else ""."""
    watched, end = psutil.Process(process.pid), time.monotonic() + seconds
    while process.poll() is None:
        try:
            used = watched.memory_info().rss / 2**30
        except psutil.NoSuchProcess:
            break
        if used > memory or time.monotonic() > end:
            process.kill()
            process.wait()
            limit = f"{memory:g} GiB" if used > memory else f"{seconds:g} seconds"
            return f"stopped: it took more than {limit}"
        time.sleep(0.05)
    process.wait()
    return ""


def read_handed_in(learner: Path) -> dict[str, Standing]:
    """Return what the records in a learner's folder say; {} if none was handed in."""
    lines: list[str] = []
    for path in sorted(learner.rglob("progress.jsonl")):
        lines += path.read_text(encoding="utf-8", errors="replace").splitlines()
    return standings(lines)


def table_row(
    learner: str, result: Row, task: Assignment | None, record: dict[str, Standing]
) -> Row:
    """Return one line of the table; what the record says is the learner's own account."""
    seen = record.get(result["task"])
    return {
        "learner": learner,
        "task": result["task"],
        "kind": task.kind if task else "",
        "difficulty": task.difficulty if task else "",
        "standing": result["standing"],
        "says": " ".join(result["says"].split())[:300],
        "attempts": seen.attempts if seen else "",
        "hints": seen.hints if seen else "",
        "solution shown": ("yes" if seen.solution_shown else "no") if seen else "",
    }


def text_of(learner: str, result: Row, task: OpenTask) -> str:
    """Return what a learner wrote for an open task, with the rubric, as Markdown."""
    parts = [
        f"**{name}** {' '.join(str(text).split())}" for name, text in result["written"].items()
    ]
    rubric = (*OpenTask.RUBRIC, *task.rubric)
    boxes = "\n".join(f"- [ ] {question}" for question in rubric)
    return f"## {learner}: {task.title}\n\n" + "\n\n".join(parts) + f"\n\n{boxes}\n"


def as_csv(rows: list[Row]) -> str:
    """Return the table; a cell that a spreadsheet would take for a formula begins with a quote."""
    text = io.StringIO()
    writer = csv.DictWriter(text, COLUMNS, lineterminator="\n")
    writer.writeheader()
    for row in rows:
        writer.writerow({name: _no_formula(value) for name, value in row.items()})
    return text.getvalue()


def _no_formula(value: object) -> object:
    return f"'{value}" if isinstance(value, str) and value[:1] in ("=", "+", "-", "@") else value


def sums(rows: list[Row]) -> str:
    """Return one line for each learner; points are the difficulties of solved tasks."""
    lines = [f"{'learner':<24}{'solved':>8}{'points':>8}{'wrong':>8}{'to read':>9}{'not run':>9}"]
    for learner in sorted({row["learner"] for row in rows}):
        own = [row for row in rows if row["learner"] == learner]
        of = {kind: [row for row in own if row["standing"] == kind] for kind in
              ("solved", "wrong", "to read", "cannot be run")}  # fmt: skip
        points = sum(row["difficulty"] for row in of["solved"])
        lines.append(
            f"{learner:<24}{len(of['solved']):>8}{points:>8}{len(of['wrong']):>8}"
            f"{len(of['to read']):>9}{len(of['cannot be run']):>9}"
        )
    return "\n".join(lines)


if __name__ == "__main__":
    sys.exit(main())
