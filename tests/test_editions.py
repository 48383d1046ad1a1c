"""Three editions from one source: open for learners, solved and annotated for teachers, packed."""

import ast
import json
import re
import zipfile

import nbformat
import pytest
from cells import NOTEBOOKS, ROOT, each_notebook, read

from pix2pix_lib.tasks.questions import Question
from pix2pix_lib.tasks.trials import OpenTask
from tools import bundle, editions
from tools.student import checks, marked, student, tasks_of


def code(notebook):
    return [cell.source for cell in notebook.cells if cell.cell_type == "code"]


@each_notebook
def test_student_edition_is_open_and_otherwise_the_source(path):
    source, opened = read(path), student(read(path))
    tasks, seen = tasks_of(source), []
    for before, after in zip(source.cells, opened.cells, strict=True):
        kind, task = marked(before, tasks)
        if "course.report(" in before.source and before.cell_type == "code":
            assert before.source == after.source and after.outputs == []
        elif kind is None and not checks(before):
            assert before == after
        elif kind is None:
            said = "".join(output.text for output in after.outputs)
            assert said.startswith((task_of(before, tasks).unattempted, "Nothing to judge yet."))
            assert before.source == after.source
        else:
            seen.append((kind, task.key))
            stub = task.verdict_stub if kind == "verdict" else task.stub
            assert after.source == stub.rstrip() != before.source
    assert len(seen) == len(tasks) + sum(isinstance(task, OpenTask) for task in tasks.values())


def task_of(cell, tasks):
    return tasks[checks(cell)[1]]


@each_notebook
def test_no_solution_lies_in_the_student_edition(path):
    """Not in another cell either: what a learner writes is defined nowhere else."""
    opened = student(read(path))
    tasks = tasks_of(opened)
    for cell in (cell for cell in opened.cells if cell.cell_type == "code"):
        kind, _ = marked(cell, tasks)
        names = {node.name for node in ast.parse(cell.source).body
                 if isinstance(node, ast.FunctionDef | ast.ClassDef)}  # fmt: skip
        if kind is None:
            written = {t.defines for t in tasks.values() if not isinstance(t, OpenTask | Question)}
            assert not names & written
    prose = "\n".join(cell.source for cell in opened.cells if cell.cell_type == "markdown")
    for task in tasks.values():
        if isinstance(task, OpenTask | Question):
            continue
        body = [line.strip() for line in task.solution_text().splitlines()[1:]]
        own = [line for line in body if len(line) > 25 and line not in task.stub]
        assert not [line for line in own if line in prose], task.key


@each_notebook
def test_instructor_edition_runs_the_same_code_and_tells_more(path):
    source = read(path)
    told = editions.instructor(read(path), path.stem)
    assert code(told) == code(source)
    nbformat.validate(told)
    notes = [cell.source for cell in told.cells if "teacher" in cell.metadata.get("tags", [])]
    text = "\n".join(notes)
    for part in ("Aims", "On the board", "What goes wrong", "Likely questions"):
        assert f"> **{part}**" in text
    for task in tasks_of(source).values():
        assert all(hint.splitlines()[0] in text for hint in task.hints)
        if isinstance(task, OpenTask):
            assert all(question in text for question in task.rubric) and "The open task" in text
        else:
            known = [says for _, says in task.wrong] if isinstance(task, Question) else [
                wrong.says for wrong in task.mistakes]  # fmt: skip
            assert all(says in text for says in known)


@each_notebook
def test_teacher_s_table_and_times_name_every_section(path):
    headings = [
        heading
        for cell in read(path).cells
        if cell.cell_type == "markdown"
        for heading in re.findall(r"^## (.+)$", cell.source, re.MULTILINE)[:1]
    ]
    notes = editions.sections(ROOT / "teaching" / "lessons" / f"{path.stem}.md")
    rows = dict(editions.table_rows(notes["Sections"]))
    lesson = [heading for heading in headings if heading not in ("References", "What next")]
    assert set(rows) <= set(headings)
    skipped = {"What you will be able to do", "Recap", "Common confusions"}
    assert [heading for heading in lesson if heading not in rows and heading not in skipped] == []
    times = json.loads((ROOT / "teaching" / "times.json").read_text(encoding="utf-8"))
    assert [heading for heading in times[path.stem] if heading] == headings


def test_command_writes_all_three_and_keeps_a_learner_s_work(tmp_path, capsys):
    assert editions.main(["--out", str(tmp_path)]) == 0
    names = [path.name for path in NOTEBOOKS]
    assert sorted(path.name for path in (tmp_path / "student").iterdir()) == names
    assert sorted(path.name for path in (tmp_path / "instructor").iterdir()) == names
    with zipfile.ZipFile(tmp_path / f"{bundle.NAME}.zip") as packed:
        inside = {name for name in packed.namelist() if name.endswith(".ipynb")}
        faq = packed.read(f"{bundle.NAME}/teaching/faq.md").decode()
        text = packed.read(f"{bundle.NAME}/student/{names[4]}").decode()
    assert inside == {f"{bundle.NAME}/student/{name}" for name in names}
    assert "../student/" in faq and "../notebooks/" not in faq
    assert nbformat.reads(text, as_version=4).cells[5].get("outputs", []) == []
    work = tmp_path / "student" / names[4]
    work.write_text("a learner's work")
    (tmp_path / "student" / names[5]).unlink()
    capsys.readouterr()
    assert editions.main(["student", "--out", str(tmp_path)]) == 0
    kept = f"student/: 1 notebooks written, {len(names) - 1} kept (--replace writes them anew)\n"
    assert capsys.readouterr().out == kept
    assert work.read_text() == "a learner's work"
    assert editions.main(["student", "--replace", "--out", str(tmp_path)]) == 0
    assert nbformat.reads(work.read_text(encoding="utf-8"), as_version=4).cells


@pytest.mark.parametrize(
    ("arguments", "message"),
    [(["teacher"], "there is no edition 'teacher'; there are student, instructor, bundle"),
     (["--outs"], "unrecognized arguments: --outs")],
)  # fmt: skip
def test_wrong_arguments_are_refused_in_one_line(arguments, message, capsys):
    try:
        status = editions.main(arguments)
    except SystemExit as error:  # of argparse
        status = error.code
    error = capsys.readouterr().err
    assert status == 2 and message in error and error.count("\n") == 1


def test_tag_without_its_task_is_refused():
    cells = [
        nbformat.v4.new_markdown_cell("# 04 PatchGAN"),
        nbformat.v4.new_code_cell("x = 1", metadata={"tags": ["task:of_no_lesson"]}),
    ]
    with pytest.raises(ValueError, match="tagged task:of_no_lesson, but its lesson has no such"):
        student(nbformat.v4.new_notebook(cells=cells))
