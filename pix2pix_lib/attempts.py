"""The record of a learner's attempts: one line per event, in the learner's own folder.

A line names a task and what happened (`wrong`, `solved`, `hint 1`, `solution`), nothing else: no
name, no time, no code. Nothing is sent anywhere.
"""

import json
import os
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from .files import appending, course_folder

EVENTS = ("wrong", "solved", "hint 1", "hint 2", "solution")


@dataclass
class Standing:
    """What the record says of one task."""

    attempts: int = 0
    hints: int = 0
    solution_shown: bool = False
    solved: bool = False
    solved_alone: bool = False  # before the solution was shown


def record_path() -> Path:
    """Return the record's file: runs/progress.jsonl, or what PIX2PIX_PROGRESS names."""
    return Path(os.environ.get("PIX2PIX_PROGRESS") or course_folder() / "runs" / "progress.jsonl")


def add_event(task: str, event: str) -> None:
    """Append an event to the record; a folder that cannot be written to costs one printed line."""
    path = record_path()
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with appending(path) as file:
            file.write(json.dumps({"task": task, "event": event}) + "\n")
    except OSError as error:
        print(f"(not recorded: {path.name} cannot be written, {error.strerror or error})")


def read_record(path: Path | None = None) -> dict[str, Standing]:
    """Return what the record says of each task in it; lines that are no events are left out."""
    path = path or record_path()
    lines = path.read_text(encoding="utf-8").splitlines() if path.is_file() else []
    return standings(lines)


def standings(lines: Iterable[str]) -> dict[str, Standing]:
    """Return what lines of a record say of each task."""
    found: dict[str, Standing] = {}
    for line in lines:
        try:
            entry = json.loads(line)
            task, event = str(entry["task"]), entry["event"]
        except (json.JSONDecodeError, KeyError, TypeError):  # such as a line cut off by a crash
            continue
        if event not in EVENTS:
            continue
        standing = found.setdefault(task, Standing())
        if event in ("wrong", "solved"):
            standing.attempts += 1 if not standing.solved else 0
        if event == "solved" and not standing.solved:
            standing.solved, standing.solved_alone = True, not standing.solution_shown
        if event.startswith("hint"):
            standing.hints = max(standing.hints, int(event[-1]))
        standing.solution_shown = standing.solution_shown or event == "solution"
    return found
