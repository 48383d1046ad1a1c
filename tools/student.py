"""Opens the tasks of a notebook: what a learner gets, made from the solved source."""

import re

import nbformat
from nbformat import NotebookNode

from pix2pix_lib.tasks import all_tasks
from pix2pix_lib.tasks.base import Assignment
from pix2pix_lib.validation import InputError

CALL = re.compile(r"\btask\.(\w+)\.(check|run|judge)\(")


def student(notebook: NotebookNode) -> NotebookNode:
    """Return a notebook whose tasks are open: a stub for each solution, its checks unattempted."""
    tasks = tasks_of(notebook)
    for cell in notebook.cells:
        kind, task = marked(cell, tasks)
        if kind is not None:
            cell.source = (task.verdict_stub if kind == "verdict" else task.stub).rstrip()
        elif call := checks(cell):
            says = unsolved(tasks[call[1]], call[2])
            cell.outputs = [nbformat.v4.new_output("stream", name="stdout", text=f"{says}\n")]
        elif "course.report(" in cell.source and cell.cell_type == "code":
            cell.outputs = []  # of another's record
    return notebook


def unsolved(task: Assignment, call: str) -> str:
    """Return what a check says of a task that nobody has begun."""
    return task.unjudged if call == "judge" else task.unattempted


def tasks_of(notebook: NotebookNode) -> dict[str, Assignment]:
    """Return the tasks of a notebook's lesson by name, from where it imports them."""
    found = (re.search(r"\blesson_(\d\d) as task\b", cell.source) for cell in notebook.cells)
    lesson = next((match[1] for match in found if match), None)
    return {task.key[3:]: task for task in all_tasks() if task.key[:2] == lesson}


def marked(
    cell: NotebookNode, tasks: dict[str, Assignment]
) -> tuple[str | None, Assignment | None]:
    """Return (`task` or `verdict`, the task) of a cell that a learner fills, else (None, None).

    Raises:
        InputError: if it names a task that does not exist.
    """
    for tag in cell.metadata.get("tags", []):
        kind, _, name = tag.partition(":")
        if kind in ("task", "verdict"):
            if name not in tasks:
                raise InputError(f"a cell is tagged {tag}, but its lesson has no such task")
            return kind, tasks[name]
    return None, None


def checks(cell: NotebookNode) -> re.Match | None:
    """Return the call by which a cell checks a task, or None."""
    return CALL.search(cell.source) if cell.cell_type == "code" else None
