"""Check the tasks of one notebook that was handed in; tools/gradebook.py starts this process.

    python -m tools.rerun NOTEBOOK RESULTS

Only what defines something is run: imports, functions, classes, plain values, and the learner's
answers. The rest of the notebook, trainings above all, is not. The results are JSON.

Before the learner's code runs, Python refuses it sockets, other programs, and writing outside the
current folder. This stops mistakes and mischief in Python, not an attacker: code in C passes it,
files can be read, and code that knows this file can forge its results.
"""

import ast
import contextlib
import io
import json
import os
import re
import sys
from pathlib import Path
from typing import Any

import nbformat
from nbformat import NotebookNode

from pix2pix_lib.attempts import read_record
from pix2pix_lib.tasks.base import Assignment
from pix2pix_lib.tasks.questions import Question
from pix2pix_lib.tasks.trials import OpenTask
from pix2pix_lib.validation import InputError
from tools.student import checks, tasks_of

# Events of Python's auditing (PEP 578) that no answer to a task needs.
REFUSED = ("socket.", "subprocess.", "os.system", "os.exec", "os.fork", "os.posix_spawn",
           "os.spawn", "os.startfile", "os.kill", "webbrowser.", "urllib.", "ftplib.",
           "smtplib.", "http.")  # fmt: skip
CHANGES = ("os.remove", "os.rename", "os.rmdir", "os.mkdir", "os.link", "os.symlink", "os.truncate",
           "os.chmod", "os.chown", "shutil.rmtree", "shutil.move")  # fmt: skip
LARGEST_FILE = 100_000_000  # bytes


def main(notebook: str, results: str) -> int:
    """Check a notebook's tasks and write the results."""
    read = nbformat.read(notebook, as_version=4)
    tasks = tasks_of(read)
    if not tasks:
        raise InputError(
            "no lesson: a notebook of the course imports its tasks, `lesson_.. as task`"
        )
    limit_files()
    target = open(results, "w", encoding="utf-8")  # noqa: SIM115 - opened before writing is refused
    sys.addaudithook(refuse_outside(Path.cwd()))
    json.dump(check_notebook(read, tasks), target)
    target.close()
    return 0


def check_notebook(notebook: NotebookNode, tasks: dict[str, Assignment]) -> list[dict[str, Any]]:
    """Return a result for each task: its name, a standing, and what the check said."""
    names: dict[str, Any] = {"__name__": "handed_in"}
    found: dict[str, dict[str, Any]] = {}
    for cell in notebook.cells:
        if cell.cell_type != "code":
            continue
        call = checks(cell)
        if call is None:
            problems = define(cell.source, names, tasks)
            found_in = next((task for task in tasks.values() if defines(cell, task)), None)
            if problems and found_in is not None:
                found[found_in.key[3:]] = result(found_in, "cannot be run", problems)
        elif call[1] in tasks and call[2] == "check" and call[1] not in found:
            found[call[1]] = checked(tasks[call[1]], names, cell)
    for name, task in tasks.items():
        if isinstance(task, OpenTask):
            found[name] = opened(task, names)
        elif name not in found:
            found[name] = checked(task, names, None)
    return [found[name] for name in tasks]


def define(source: str, names: dict[str, Any], tasks: dict[str, Assignment]) -> str:
    """Run what defines something in a cell; return what could not be run, "" if all could."""
    answers = {task.defines for task in tasks.values() if isinstance(task, Question)}
    plain = re.sub(r"^\s*[%!].*$", "", source, flags=re.MULTILINE)  # commands of the notebook
    try:
        body = ast.parse(plain).body
    except SyntaxError as error:
        return f"SyntaxError: {error.msg}, in line {error.lineno} of the cell"
    for node in body:
        is_definition = isinstance(
            node, ast.Import | ast.ImportFrom | ast.FunctionDef | ast.ClassDef
        )
        targets = {ast.unparse(each) for each in getattr(node, "targets", [])}
        if not (is_definition or targets & answers or is_plain(node)):
            continue
        try:
            exec(compile(ast.Module([node], []), "<handed in>", "exec"), names)
        except BaseException as error:  # whatever a learner's code raises, the next task goes on
            return f"{type(error).__name__}: {error}"
    return ""


def is_plain(node: ast.stmt) -> bool:
    """Return whether a statement gives names to numbers, words, or lists of them."""
    if not isinstance(node, ast.Assign):
        return False
    try:
        ast.literal_eval(node.value)
    except (ValueError, TypeError, SyntaxError, MemoryError, RecursionError):
        return False
    return True


def defines(cell: NotebookNode, task: Assignment) -> bool:
    """Return whether a cell is the one in which a learner answers a task."""
    return f"task:{task.key[3:]}" in cell.metadata.get("tags", [])


def checked(task: Assignment, names: dict[str, Any], cell: NotebookNode | None) -> dict[str, Any]:
    """Return the result of a function, a class or a value; the course's own takes its place."""
    if task.defines not in names:
        return result(task, "missing", f"nothing here defines {task.defines}")
    candidate, said = names[task.defines], io.StringIO()
    with contextlib.redirect_stdout(said):
        names[task.defines] = task.check(candidate)
    text = said.getvalue().strip()
    if text.startswith(task.unattempted):
        return result(task, "not begun", "")
    standing = read_record().get(task.key)  # in a file of this process's own
    if standing is not None and standing.solved:
        return result(task, "solved", "")
    return result(task, "wrong", text[text.find("Not yet. ") :])


def opened(task: OpenTask, names: dict[str, Any]) -> dict[str, Any]:
    """Return what the learner wrote for an open task, for a person to judge."""
    written = {name: names.get(name, "") for name in ("hypothesis", "verdict", "because")}
    if not str(written["hypothesis"]).strip():
        return result(task, "not begun", "")
    complete = all(str(text).strip() for text in written.values())
    return result(task, "to read" if complete else "half written", "") | {"written": written}


def result(task: Assignment, standing: str, says: str) -> dict[str, Any]:
    """Return one result."""
    return {"task": task.key, "standing": standing, "says": says}


def limit_files() -> None:
    """Limit the size of files, where the system can (not on Windows)."""
    with contextlib.suppress(ImportError):
        import resource

        resource.setrlimit(resource.RLIMIT_FSIZE, (LARGEST_FILE, LARGEST_FILE))


def refuse_outside(folder: Path):
    """Return a hook that refuses the network, other programs, and changes outside `folder`."""
    inside = folder.resolve()

    def hook(event: str, arguments: tuple) -> None:
        if event.startswith(REFUSED):
            raise PermissionError(f"handed-in code may not use {event}")
        writes = event == "open" and (
            any(letter in str(arguments[1] or "") for letter in "wax+")
            or arguments[2] & (os.O_WRONLY | os.O_RDWR | os.O_CREAT)
        )
        if (writes or event.startswith(CHANGES)) and isinstance(arguments[0], str | bytes | Path):
            path = Path(os.fsdecode(arguments[0])).resolve()
            if not path.is_relative_to(inside) and str(path) != os.devnull:
                raise PermissionError("handed-in code may not write outside its own folder")

    return hook


if __name__ == "__main__":
    if len(sys.argv) != 3:
        raise InputError("expected a notebook and a file for the results")
    sys.exit(main(*sys.argv[1:]))
