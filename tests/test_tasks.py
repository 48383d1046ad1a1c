"""The tasks of the lessons: each mistake is named, nothing wrong passes, what is right does.

tests/planted/lesson_NN.toml holds what learners might hand in, written by hand.
"""

import ast
import contextlib
import inspect
import math
import re
import tomllib
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from cells import read, without_docstrings

from pix2pix_lib.agreement import agrees, three_digits
from pix2pix_lib.tasks import all_tasks, writing
from pix2pix_lib.tasks.questions import Question
from pix2pix_lib.tasks.trials import OpenTask
from pix2pix_lib.tasks.writing import Task

ROOT = Path(__file__).parent.parent
TASKS = {each.key: each for each in all_tasks()}
WRITTEN = [each for each in TASKS.values() if isinstance(each, Task)]
QUESTIONS = [each for each in TASKS.values() if isinstance(each, Question)]
OPEN = [each for each in TASKS.values() if isinstance(each, OpenTask)]
# The lessons that the learner builds: two to four core tasks, one to debug, one open.
BUILT = ("01", "02", "03", "04", "05", "06", "08", "09", "10", "11")


def planted(kind):
    """Return the planted answers of a kind, `wrong` or `right`, each with its task."""
    found = []
    for path in sorted((ROOT / "tests" / "planted").glob("lesson_*.toml")):
        lesson = path.stem.removeprefix("lesson_")
        for entry in tomllib.loads(path.read_text(encoding="utf-8")).get(kind, []):
            found.append(
                pytest.param(
                    TASKS[f"{lesson}.{entry['task']}"], entry, id=f"{lesson}.{entry['task']}"
                )
            )
    return found


@pytest.fixture(autouse=True)
def own_record(tmp_path, monkeypatch):
    monkeypatch.setenv("PIX2PIX_PROGRESS", str(tmp_path / "progress.jsonl"))


def rewritten(thing):
    """Return what does the same, but is not the code that it was."""
    if inspect.isclass(thing):
        return type(thing.__name__, (thing,), {"own": lambda self: None})
    return lambda *inputs, **options: thing(*inputs, **options)


def unwrapped(text):
    return " ".join(text.split())


def by_key(tasks):
    return pytest.mark.parametrize("task", tasks, ids=lambda task: task.key)


def handed_in(task, code):
    """Return what a learner's code defines, among the names of the task's lesson."""
    if isinstance(task, Question):
        names = {"torch": torch, "np": np, "math": math}
        exec(code, names)
        return names[task.defines]
    return task.compiled(code)


# --- what the learner is told ---------------------------------------------------------------------


@by_key(WRITTEN)
def test_every_mistake_is_refused_and_named(task, capsys):
    assert len(task.mistakes) >= 4
    for wrong in task.all_mistakes():
        assert task.check(rewritten(task.mistaken(wrong))) is task.reference
        out = capsys.readouterr().out
        assert unwrapped(out).startswith(f"Not yet. {unwrapped(wrong.says)}"), (
            f"{wrong.says!r} was told as: {out}"
        )


@by_key(QUESTIONS)
def test_every_typical_wrong_value_is_refused_and_named(task, capsys):
    assert len(task.wrong) >= 4
    for value, says in task.wrong:
        assert agrees(
            task.check(value() if callable(value) else value), task.expected(), three_digits
        )
        out = unwrapped(capsys.readouterr().out)
        assert out.startswith(f"Not yet. {unwrapped(says)}")


@pytest.mark.parametrize(("task", "entry"), planted("wrong"))
def test_planted_mistake_is_named_rightly(task, entry, capsys):
    task.check(handed_in(task, entry["code"]))
    said = unwrapped(capsys.readouterr().out)
    assert said.startswith("Not yet. ") and unwrapped(entry["says"]) in said


@pytest.mark.parametrize(("task", "entry"), planted("right"))
def test_planted_right_answer_passes_however_it_is_written(task, entry, capsys):
    answer = handed_in(task, entry["code"])
    returned, out = task.check(answer), capsys.readouterr().out
    assert out and "Not yet" not in out, out
    if "where the lesson later needs" in out:
        assert returned is task.reference  # right, but of a type that later cells cannot use
    else:
        assert returned is answer, out


@by_key(WRITTEN)
def test_the_course_goes_on_with_a_learner_s_own_answer(task, capsys):
    answer = rewritten(task.reference)
    assert task.check(answer) is answer
    said = f"{task.defines}: right, in {task.runs} of {task.runs} runs.\n"
    assert capsys.readouterr().out == said


def test_long_sentences_are_broken_between_words(capsys):
    task = TASKS["06.d_step"]
    mistaken = task.mistaken(max(task.mistakes, key=lambda each: len(each.says)))
    task.check(rewritten(mistaken))
    task.hint(1)
    lines = capsys.readouterr().out.splitlines()
    assert max(map(len, lines)) <= 100 and lines[0].startswith("Not yet. ")


@pytest.mark.parametrize(
    ("change", "drawn"), [(lambda values: values + 1e-3, False), (lambda values: -values, True)]
)
def test_pictures_are_drawn_where_one_sees_the_difference(change, drawn, monkeypatch, capsys):
    shown = []
    monkeypatch.setattr(writing.plots, "show", lambda figure, alt: shown.append(alt))
    task = TASKS["03.any_size"]
    task.check(lambda *inputs: change(task.reference(*inputs)))
    assert bool(shown) == drawn and "numbers differ" in capsys.readouterr().out


def test_observation_of_a_mistake_alone_is_not_laid_beside_the_wanted_one(capsys):
    entry = next(p.values[1] for p in planted("wrong") if "np.random" in p.values[1]["code"])
    TASKS["01.draw"].check(handed_in(TASKS["01.draw"], entry["code"]))
    out = capsys.readouterr().out
    assert out.startswith("Not yet. The same torch seed") and "missing from yours" not in out


@by_key(WRITTEN + QUESTIONS)
def test_two_mistakes_and_a_right_answer_are_planted(task):
    wrong, right = ([p.values[0].key for p in planted(kind)] for kind in ("wrong", "right"))
    assert wrong.count(task.key) >= 2 and right.count(task.key) >= 1


# --- nothing wrong passes -------------------------------------------------------------------------


def endless(*inputs, **options):
    while True:
        with contextlib.suppress(BaseException):
            pass


def last_words(*inputs, **options):
    raise SystemExit("the end")


def perturbed(task, change):
    """Return the solution with its value changed, where that is a tensor or a number."""

    def function(*inputs, **options):
        value = task.reference(*inputs, **options)
        return change(value) if torch.is_tensor(value) or isinstance(value, float) else None

    return function


def constant(value):
    return lambda *inputs, **options: value


def first_of(*inputs, **options):
    return (*inputs, *options.values(), None)[0]


def last_of(*inputs, **options):
    return (*inputs, *options.values(), "nothing")[-1]


CONSTANTS = (None, "text", [], {}, math.nan, math.inf, -12345.6, 10**9, torch.zeros(1, 2, 3, 4, 5),
             torch.tensor(math.nan), np.ones(7), object, (1, 2, 3, 4, 5, 6, 7), 1j)  # fmt: skip


@by_key(WRITTEN)
def test_nothing_unforeseen_passes(task, capsys):
    task = replace(task, seconds=2.5)
    others = [constant(value) for value in CONSTANTS]
    others += [endless, last_words, first_of, last_of, 5, "text", lambda: 1, inspect]
    others += [perturbed(task, change) for change in (lambda v: v * 1.01 + 0.01, lambda v: v - 1)]
    assert len(others) >= 20
    for number, other in enumerate(others):
        assert task.check(other) is task.reference, f"number {number} passes"
        out = capsys.readouterr().out
        assert out.startswith("Not yet. ") and "Traceback" not in out


@by_key(QUESTIONS)
def test_no_unforeseen_value_passes(task, capsys):
    expected = task.expected()
    others = [
        *CONSTANTS,
        endless,
        "",
        True,
        [1],
        {"a": 1},
        -1e-30,
        torch.ones(2, 2),
        b"5",
        {3},
        range(0),
    ]
    others = [value for value in others if type(value) is not type(expected) or value != expected]
    assert len(others) >= 20
    for value in others:
        task.check(value)
        assert capsys.readouterr().out.startswith("Not yet. ")


# --- the notebooks --------------------------------------------------------------------------------


def tagged(lesson):
    """Return (task, cell, the heading above it, the cell after it) of a notebook's task cells."""
    path = next((ROOT / "notebooks").glob(f"{lesson}_*.ipynb"))
    cells, heading, found = read(path).cells, "", []
    for number, cell in enumerate(cells):
        heads = re.findall(r"^### Task: (.+)$", cell.source, re.MULTILINE)
        heading = heads[-1] if heads and cell.cell_type == "markdown" else heading
        for tag in cell.metadata.get("tags", []):
            kind, _, name = tag.partition(":")
            if kind in ("task", "verdict"):
                found.append((kind, f"{lesson}.{name}", cell, heading, cells[number + 1]))
    return found


LESSONS = sorted({key[:2] for key in TASKS})
each_lesson = pytest.mark.parametrize("lesson", LESSONS)


@each_lesson
def test_every_task_of_a_lesson_has_its_cells_and_its_heading(lesson):
    cells = tagged(lesson)
    expected = [each.key for each in TASKS.values() if each.key.startswith(lesson)]
    assert sorted(key for kind, key, *_ in cells if kind == "task") == sorted(expected)
    opened = [key for key in expected if isinstance(TASKS[key], OpenTask)]
    assert sorted(key for kind, key, *_ in cells if kind == "verdict") == sorted(opened)
    for kind, key, _, heading, after in cells:
        task = TASKS[key]
        assert heading == task.heading
        call = {"task": "run" if isinstance(task, OpenTask) else "check", "verdict": "judge"}[kind]
        assert f"{task.name}.{call}(" in after.source
        text = "".join(output.get("text", "") for output in after.outputs)
        assert "Not " not in text and "Nothing" not in text and text.strip()


@each_lesson
def test_notebook_s_solution_is_the_task_s_and_every_line_of_a_stub_is_in_it(lesson):
    for kind, key, cell, _, _ in tagged(lesson):
        task = TASKS[key]
        solution = task.example_verdict if kind == "verdict" else (
            task.example if isinstance(task, OpenTask) else task.solution_text())  # fmt: skip
        written, expected = map(without_docstrings, (cell.source, solution))
        assert ast.unparse(written) == ast.unparse(expected), key
        if kind == "verdict" or isinstance(task, Question):
            continue
        lines = {line.strip() for line in cell.source.splitlines()}
        given = [line.strip() for line in task.stub.splitlines()]
        missing = [
            line for line in given if line and line not in lines and not line.startswith("#")
        ]
        if isinstance(task, OpenTask):
            continue
        if task.kind == "core":
            left = [line for line in missing if not line.startswith("raise NotImplementedError")]
            assert missing and left == [], key
        else:
            assert 1 <= len(missing) <= 3, key  # the bug


@by_key(WRITTEN)
def test_stub_is_no_attempt_and_the_course_goes_on(task, capsys):
    stub = task.compiled(task.stub)
    assert task.check(stub) is task.reference
    assert capsys.readouterr().out == f"{task.unattempted}\n"


@by_key(list(TASKS.values()))
def test_key_is_module_and_name_and_hints_differ(task):
    lesson, _, name = task.key.partition(".")
    assert getattr(__import__(f"pix2pix_lib.tasks.lesson_{lesson}", fromlist=[name]), name) is task
    assert 1 <= task.difficulty <= 3 and 1 <= task.minutes <= 45
    assert len(set(task.hints)) == 2 and all(len(hint) > 20 for hint in task.hints)


@pytest.mark.parametrize("lesson", BUILT)
def test_lesson_is_built_by_its_learner(lesson):
    kinds = [each.kind for each in TASKS.values() if each.key.startswith(lesson)]
    assert 2 <= kinds.count("core") <= 4 and kinds.count("debug") == kinds.count("open") == 1
