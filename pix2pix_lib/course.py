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
    for number, own in by_lesson(tasks).items():
        solved, count = count_solved(own, record), len(own)
        print(f"{number}   {solved:>2} of {count:>2} solved   {'#' * solved:.<{count}}")
    path = out or record_path().with_name("report.html")
    with replacing(path) as temporary:
        temporary.write_text(page(tasks, record), encoding="utf-8")
    print(f"The page to hand in is {path.parent.name}/{path.name}.")


def by_lesson(tasks: list[Assignment]) -> dict[str, list[Assignment]]:
    """Return the tasks of each lesson by its number, in the order of the lessons."""
    found: dict[str, list[Assignment]] = {}
    for task in tasks:
        found.setdefault(task.key[:2], []).append(task)
    return found


def count_solved(tasks: list[Assignment], record: dict[str, Standing]) -> int:
    """Return how many of some tasks are solved."""
    return sum(record[task.key].solved for task in tasks if task.key in record)


def describe(standing: Standing | None) -> str:
    """Return in words how far a learner is with a task."""
    if standing is None:
        return "not begun"
    if standing.solved:
        return "solved" if standing.solved_alone else "solved after the solution was shown"
    return "solution shown, not solved" if standing.solution_shown else "not solved yet"


def page(tasks: list[Assignment], record: dict[str, Standing]) -> str:
    """Return the page, with one table for each lesson."""
    head, parts = "".join(f"<th>{name}</th>" for name in HEAD), []
    for number, own in by_lesson(tasks).items():
        rows = "".join(row(task, record.get(task.key)) for task in own)
        parts.append(f"<h2>Notebook {number}</h2>\n<table><tr>{head}</tr>{rows}</table>")
    count = f"{count_solved(tasks, record)} of {len(tasks)} tasks solved."
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
