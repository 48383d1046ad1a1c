"""The classroom from both sides: a learner who errs and learns, a teacher with a folder of work."""

import ast
import csv
import os
import re
import subprocess
import sys
import time
import tomllib
import zipfile
from pathlib import Path

import nbformat
import pytest
from nbclient import NotebookClient

from pix2pix_lib.tasks import all_tasks
from tools import bundle, gradebook
from tools.student import marked, student, tasks_of

ROOT = Path(__file__).parent.parent
LESSON = ROOT / "notebooks" / "05_losses.ipynb"


def planted(lesson):
    """Return {(task, kind): code} of the first planted answer of each kind."""
    text = (ROOT / "tests" / "planted" / f"lesson_{lesson}.toml").read_text(encoding="utf-8")
    found = {}
    for kind, entries in tomllib.loads(text).items():
        for entry in entries:
            found.setdefault((entry["task"], kind), entry)
    return found


# --- a learner ------------------------------------------------------------------------------------


class Learner:
    """A learner at the student edition of a lesson, in a kernel of their own."""

    def __init__(self, folder, notebook):
        self.notebook, self.folder = notebook, folder
        self.client = NotebookClient(notebook, timeout=120, record_timing=False,
                                     extra_arguments=["--log-level=ERROR"],
                                     resources={"metadata": {"path": folder}})  # fmt: skip

    def run(self, cell):
        """Run a cell and return what it prints."""
        self.client.execute_cell(cell, self.notebook.cells.index(cell))
        return "".join(output.get("text", "") for output in cell.outputs)

    def type(self, source):
        """Type a new cell at the end and run it."""
        self.notebook.cells.append(nbformat.v4.new_code_cell(source))
        return self.run(self.notebook.cells[-1])


def needed(notebook):
    """Return the cells that a learner must run for the tasks: set-up, imports, definitions."""
    kinds = (ast.Import, ast.ImportFrom, ast.FunctionDef, ast.ClassDef)
    code = [cell for cell in notebook.cells if cell.cell_type == "code"]
    return [cell for cell in code if cell is code[0]
            or all(isinstance(node, kinds) for node in ast.parse(cell.source).body)]  # fmt: skip


def test_learner_errs_is_told_takes_a_hint_mends_it_and_goes_on(tmp_path, monkeypatch):
    record = tmp_path / "progress.jsonl"
    monkeypatch.setenv("PIX2PIX_PROGRESS", str(record))
    notebook = student(nbformat.read(LESSON, as_version=4))
    tasks, answers = tasks_of(notebook), planted("05")
    cores = [name for name, task in tasks.items() if task.kind == "core"]
    places = {marked(cell, tasks)[1].key[3:]: number for number, cell in enumerate(notebook.cells)
              if marked(cell, tasks)[0] == "task"}  # fmt: skip
    learner = Learner(str(ROOT / "notebooks"), notebook)
    with learner.client.setup_kernel():
        for cell in needed(notebook):
            learner.run(cell)
        for name in cores:
            task, cell, check = tasks[name], *notebook.cells[places[name] : places[name] + 2]
            assert learner.run(check) == f"{task.unattempted}\n"
            assert learner.type(f"{task.name}.hint()").startswith("Write something first")
            wrong = answers[name, "wrong"]
            cell.source = wrong["code"]
            learner.run(cell)
            said = learner.run(check)
            assert said.startswith("Not yet. ") and wrong["says"] in " ".join(said.split())
            assert f"{task.name}.hint()" in said and ".solution()" not in said
            assert " ".join(learner.type(f"{task.name}.hint()").split()).startswith(task.hints[0])
            learner.run(cell)
            assert f"{task.name}.solution()" in learner.run(check)  # after two attempts
            cell.source = answers[name, "right"]["code"]
            learner.run(cell)
            assert (
                learner.run(check)
                == f"{task.defines}: right, in {task.runs} of {task.runs} runs.\n"
            )
        untouched = learner.type(f"print({tasks[cores[0]].defines}.__module__)")
        assert untouched == "__main__\n"  # the course goes on with the learner's own
        page = learner.type("from pix2pix_lib import course; course.report()")
    assert f"05   {len(cores):>2} of" in page
    assert (
        f"{len(cores)} of {len(all_tasks())} tasks solved" in (tmp_path / "report.html").read_text()
    )
    events = record.read_text(encoding="utf-8").count
    assert (events('"wrong"'), events('"hint 1"'), events('"solved"')) == (
        2 * len(cores), len(cores), len(cores))  # fmt: skip


# --- a teacher ------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def handed_in(tmp_path_factory):
    """A class: Ada solved all that she wrote, Ben erred, Cem handed in what he was given."""
    folder = tmp_path_factory.mktemp("class")
    packed = folder / "course.zip"
    assert bundle.main(["--out", str(packed)]) == 0
    for learner in ("ada", "ben", "cem"):
        with zipfile.ZipFile(packed) as archive:
            archive.extractall(folder / "homes" / learner)
    answers = planted("05")
    for learner in ("ada", "ben", "cem"):
        home = folder / "homes" / learner / bundle.NAME
        notebook = nbformat.read(home / "student" / LESSON.name, as_version=4)
        tasks = tasks_of(notebook)
        for cell in notebook.cells:
            kind, task = marked(cell, tasks)
            answer = {"ada": "right", "ben": "wrong"}.get(learner)
            if kind == "task" and (task.key[3:], answer) in answers:
                imports = "import math\nimport numpy as np\n" * (task.kind == "question")
                cell.source = imports + answers[task.key[3:], answer]["code"]
            elif kind == "task" and task.kind == "open" and learner == "ada":
                cell.source = task.example
            elif kind == "verdict" and learner == "ada":
                cell.source = task.example_verdict
        (folder / "work" / learner).mkdir(parents=True)
        nbformat.write(notebook, folder / "work" / learner / f"{learner}'s {LESSON.name}")
    record = '{"task": "05.%s", "event": "%s"}\n'
    first = next(name for name, task in tasks.items() if task.kind == "core")
    (folder / "work" / "ben" / "progress.jsonl").write_text(
        record % (first, "wrong") + record % (first, "hint 1") + record % (first, "solution")
    )
    return folder / "work"


def table(folder):
    with (folder / "gradebook.csv").open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def test_teacher_gets_a_table_of_what_the_class_handed_in(handed_in, capsys):
    assert gradebook.main([str(handed_in)]) == 0
    out, rows = capsys.readouterr().out, table(handed_in)
    tasks = [task for task in all_tasks() if task.key.startswith("05")]
    assert [(row["learner"], row["task"]) for row in rows] == [
        (learner, task.key) for learner in ("ada", "ben", "cem") for task in tasks
    ]
    for task in tasks:
        of = {row["learner"]: row for row in rows if row["task"] == task.key}
        if task.kind == "open":
            assert [of[each]["standing"] for each in of] == ["to read", "not begun", "not begun"]
            continue
        assert [of[each]["standing"] for each in of] == ["solved", "wrong", "not begun"], task.key
        assert planted("05")[task.key[3:], "wrong"]["says"] in of["ben"]["says"]
    first = next(row for row in rows if row["learner"] == "ben" and row["kind"] == "core")
    assert (first["attempts"], first["hints"], first["solution shown"]) == ("1", "1", "yes")
    points = sum(task.difficulty for task in tasks if task.kind != "open")
    count = sum(task.kind != "open" for task in tasks)
    assert re.search(rf"^ada +{count} +{points} +0 +1 +0$", out, re.MULTILINE)
    assert re.search(rf"^ben +0 +0 +{count} +0 +0$", out, re.MULTILINE)
    text = (handed_in / "open_tasks.md").read_text(encoding="utf-8")
    assert text.count("## ada: ") == 1 and "**because** " in text and "- [ ] " in text


def hand_in(folder, *sources, title="# 04 PatchGAN", name="04.ipynb"):
    """Hand in a notebook of these cells, the last two for the task `layers` of lesson 04."""
    cells = [nbformat.v4.new_markdown_cell(title), *map(nbformat.v4.new_code_cell, sources)]
    folder.mkdir(parents=True, exist_ok=True)
    nbformat.write(nbformat.v4.new_notebook(cells=cells), folder / name)


HEAD = "from torch import nn\nfrom pix2pix_lib.tasks import lesson_04 as task"
CHECK = "patch_layers = task.layers.check(patch_layers)"


def standing_of(folder, *options):
    assert gradebook.main([str(folder), *options]) == 0
    return {row["learner"]: (row["standing"], row["says"]) for row in table(folder)
            if row["task"] in ("04.layers", "04.ipynb")}  # fmt: skip


def test_handed_in_code_has_limits_and_errs_alone(tmp_path, capsys):
    function = "def patch_layers(**options):\n    {}"
    learners = {
        "endless": function.format("while True: pass"),
        "writes": function.format(f"open({str(tmp_path / 'stolen')!r}, 'w')"),
        "descriptor": function.format(
            f"import os; os.open({str(tmp_path / 'stolen')!r}, os.O_CREAT | os.O_WRONLY)"),
        "removes": function.format(f"import os; os.remove({str(tmp_path / 'dear')!r})"),
        "network": function.format("import socket; socket.create_connection(('127.0.0.1', 9))"),
        "program": function.format("import subprocess; subprocess.run(['id'])"),
        "shell": function.format("import os; os.system('id')"),
        "ends": function.format("raise SystemExit"),
        "dies": function.format("import os; os._exit(3)"),
        "syntax": "def patch_layers(:",
        "nothing": "x = 1",
        "trains": "import time\ntime.sleep(1000)\n" + function.format("return nn.Identity()"),
        "notebook": "%timeit 1\n!ls\n" + function.format("return None"),
    }  # fmt: skip
    (tmp_path / "dear").write_text("dear")
    for learner, source in learners.items():
        hand_in(tmp_path / "class" / learner, HEAD, source, CHECK)
    (tmp_path / "class" / "broken").mkdir()
    (tmp_path / "class" / "broken" / "04.ipynb").write_text("{")
    found = standing_of(tmp_path / "class")
    assert not (tmp_path / "stolen").exists() and (tmp_path / "dear").exists()
    expected = {
        "endless": ("wrong", "did not end within"),
        "writes": ("wrong", "may not write outside"),
        "descriptor": ("wrong", "may not write outside"),
        "removes": ("wrong", "may not write outside"),
        "network": ("wrong", "may not use socket."),
        "program": ("wrong", "may not use subprocess."),
        "shell": ("wrong", "may not use os.system"),
        "ends": ("wrong", "SystemExit"),
        "dies": ("cannot be run", "status 3"),
        "syntax": ("missing", "nothing here defines patch_layers"),
        "nothing": ("missing", "nothing here defines patch_layers"),
        "trains": ("wrong", "Not yet."),
        "notebook": ("wrong", "None"),
        "broken": ("cannot be run", ""),
    }
    assert found.keys() == expected.keys()
    for learner, (standing, says) in expected.items():
        assert found[learner][0] == standing and says in found[learner][1], (
            learner,
            found[learner],
        )
    assert "Traceback" not in capsys.readouterr().err


@pytest.mark.parametrize(
    ("source", "options", "limit"),
    [("class Slow(type):\n    def __new__(*a):\n        while True: pass\n"
      "class Endless(metaclass=Slow): pass", ("--seconds", "12"), "12 seconds"),
     ("class Large(type):\n    def __new__(*a):\n        import time, numpy\n"
      "        kept = numpy.ones(200_000_000); time.sleep(60)\n"
      "class Much(metaclass=Large): pass", ("--memory", "1"), "1 GiB")],
)  # fmt: skip
def test_time_and_memory_of_a_notebook_are_limited(source, options, limit, tmp_path, capsys):
    hand_in(tmp_path / "dan", HEAD, source)
    start = time.monotonic()
    assert standing_of(tmp_path, *options) == {
        "dan": ("cannot be run", f"stopped: it took more than {limit}")
    }
    assert time.monotonic() - start < 50


def test_best_of_several_copies_counts_and_lost_tags_do_not_matter(tmp_path, capsys):
    right = planted("04")["layers", "right"]["code"]
    names = "from pix2pix_lib.patchgan import disc_block"
    hand_in(tmp_path / "eve", HEAD, names, right, CHECK, name="a.ipynb")
    hand_in(
        tmp_path / "eve", HEAD, names, "def patch_layers(**x):\n    return 1", CHECK, name="b.ipynb"
    )
    assert standing_of(tmp_path) == {"eve": ("solved", "")}


def test_right_answer_of_another_type_counts(tmp_path, capsys):
    head = "import numpy as np\nfrom pix2pix_lib.tasks import lesson_07 as task"
    right = planted("07")["coverage", "right"]["code"]
    check = "times_seen = task.coverage.check(times_seen)"
    hand_in(tmp_path / "kim", head, right, check, title="Kim's notebook")
    assert gradebook.main([str(tmp_path)]) == 0
    assert {row["task"]: row["standing"] for row in table(tmp_path)}["07.coverage"] == "solved"


def test_notebook_of_no_lesson_is_told(tmp_path, capsys):
    hand_in(tmp_path / "lea", "x = 1")
    assert gradebook.main([str(tmp_path)]) == 0
    (row,) = table(tmp_path)
    assert (row["learner"], row["standing"]) == ("lea", "cannot be run")
    assert "imports its tasks" in row["says"]


def test_cell_of_a_spreadsheet_is_no_formula(tmp_path, capsys):
    hand_in(tmp_path / "=1+1", HEAD, "x = 1")
    assert gradebook.main([str(tmp_path)]) == 0
    assert {row["learner"] for row in table(tmp_path)} == {"'=1+1"}


@pytest.mark.parametrize(
    ("make", "message"),
    [(lambda folder: None, "no such folder; give the one that holds the learners'"),
     (lambda folder: folder.mkdir(), "holds no notebooks; expected FOLDER/learner/notebook.ipynb"),
     (lambda folder: hand_in(folder, HEAD, name="gil.ipynb"), "a folder with its learner's name"),
     (lambda folder: (hand_in(folder / "hal", HEAD), (folder / "ida.zip").touch()),
      "unpack a zip into one")],
)  # fmt: skip
def test_folder_without_work_is_refused_in_one_line(make, message, tmp_path, capsys):
    make(tmp_path / "class")
    assert gradebook.main([str(tmp_path / "class")]) == 2
    error = capsys.readouterr().err
    assert message in error and error.startswith("error: ") and error.count("\n") == 1


def test_learner_without_notebooks_is_named(tmp_path, capsys):
    hand_in(tmp_path / "ida", HEAD, "x = 1")
    (tmp_path / "jim").mkdir()
    assert gradebook.main([str(tmp_path)]) == 0
    assert "No notebooks in: jim\n" in capsys.readouterr().out


def test_gradebook_runs_from_another_folder(tmp_path):
    hand_in(tmp_path / "fay", HEAD, "x = 1")
    command = [sys.executable, "-m", "tools.gradebook", "."]
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True)
    assert done.returncode == 0 and re.search(r"^fay +0", done.stdout, re.MULTILINE), done.stderr
