"""A learner's progress through the course, as a page that can be handed in."""

import html
from pathlib import Path

from .attempts import Standing, read_record, record_path
from .files import replacing
from .tasks import all_tasks
from .tasks.base import Assignment

STYLE = """body { font: 16px/1.5 sans-serif; max-width: 60rem; margin: 2rem auto; padding: 0 1rem }
table { border-collapse: collapse; width: 100% } th { text-align: left }
td, th { padding: .3rem .6rem; border-bottom: 1px solid #ccc } .number { text-align: right }"""
HEAD = ("task", "kind", "difficulty", "attempts", "hints", "standing")


def report(lesson: str | None = None, out: Path | None = None) -> None:
    """Print how many tasks are solved in each lesson, and write the page runs/report.html.

    The page holds what the record holds: attempts, hints, solutions shown, solved or not.

    Args:
        lesson: such as "04", to print the tasks of one lesson instead.
        out: the page's file.
    """
    record = read_record()
    tasks = [task for task in all_tasks() if lesson is None or task.key.startswith(lesson)]
    if lesson is not None:
        for task in tasks:
            print(f"{task.title:<60}{describe(record.get(task.key))}")
        return
    lessons = sorted({task.key[:2] for task in tasks})
    for number in lessons:
        keys = [task.key for task in tasks if task.key.startswith(number)]
        solved = sum(record[key].solved for key in keys if key in record)
        print(f"{number}   {solved:>2} of {len(keys):>2} solved   {'#' * solved:.<{len(keys)}}")
    path = out or record_path().with_name("report.html")
    with replacing(path) as temporary:
        temporary.write_text(page(tasks, record), encoding="utf-8")
    print(f"The page to hand in is {path.parent.name}/{path.name}.")


def describe(standing: Standing | None) -> str:
    """Return in words how far a learner is with a task."""
    if standing is None:
        return "not begun"
    if standing.solved:
        return "solved" if standing.solved_alone else "solved after the solution was shown"
    return "solution shown, not solved" if standing.solution_shown else "not solved yet"


def page(tasks: list[Assignment], record: dict[str, Standing]) -> str:
    """Return the page, with one table for each lesson."""
    parts = []
    for number in sorted({task.key[:2] for task in tasks}):
        rows = [row(task, record.get(task.key)) for task in tasks if task.key.startswith(number)]
        head = "".join(f"<th>{name}</th>" for name in HEAD)
        parts.append(f"<h2>Notebook {number}</h2>\n<table><tr>{head}</tr>{''.join(rows)}</table>")
    solved = sum(record[task.key].solved for task in tasks if task.key in record)
    count = f"{solved} of {len(tasks)} tasks solved."
    return (
        '<!doctype html>\n<html lang="en"><head><meta charset="utf-8"><title>Tasks</title>\n'
        f"<style>{STYLE}</style></head>\n<body><h1>The tasks of the pix2pix course</h1>"
        f"<p>{count}</p>\n" + "\n".join(parts) + "\n</body></html>\n"
    )


def row(task: Assignment, standing: Standing | None) -> str:
    """Return a task's row of the table."""
    seen = standing or Standing()
    numbers = [f"{task.difficulty} of 3", seen.attempts, seen.hints]
    cells = [f"<td>{html.escape(task.title)}</td><td>{task.kind}</td>"]
    cells += [f'<td class="number">{number}</td>' for number in numbers]
    return f"<tr>{''.join(cells)}<td>{describe(standing)}</td></tr>"
