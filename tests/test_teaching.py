"""What a teacher reads: the twenty questions lead to cells that exist, the plans to notebooks."""

import json
import re
from urllib.parse import unquote

from cells import NOTEBOOKS, ROOT, each_notebook, read

from pix2pix_lib.environment import LARGE_NOTEBOOKS, memory_advice
from pix2pix_lib.tasks import all_tasks

TEACHING = ROOT / "teaching"
PARTS = ["Aims", "Sections", "On the board", "What goes wrong", "Likely questions"]


def page_of(name):
    return (TEACHING / name).read_text(encoding="utf-8")


def anchors(path):
    """Return the anchors of a notebook's headings, as JupyterLab makes them from their text."""
    cells = read(path).cells
    text = "\n".join(cell.source for cell in cells if cell.cell_type == "markdown")
    return {
        heading.replace("`", "").replace(" ", "-")
        for heading in re.findall(r"^#{1,3} (.+)$", text, re.MULTILINE)
    }


def test_twenty_questions_have_answers_of_two_sentences_and_a_section_that_shows_it():
    parts = re.split(r"^\*\*(.+?)\*\*$", page_of("faq.md"), flags=re.MULTILINE)[1:]
    questions, answers = parts[::2], parts[1::2]
    assert [int(each.split(".")[0]) for each in questions[:-1]] == list(range(1, 21))
    for question, answer in zip(questions, answers, strict=True):
        links = re.findall(r"\]\((.+?)\)(?:\.|\s*$)", answer)
        assert len(links) == 1, question
        prose = re.sub(r"\[[^\]]+\]\(.+\)\.?\s*$", "", answer.strip())
        assert len(re.findall(r"[.:](?=\s|$)", re.sub(r"`[^`]*`|\d\.\d", "", prose))) in (2, 3)
        file, _, anchor = links[0].partition("#")
        path = (TEACHING / file).resolve()
        assert path in NOTEBOOKS and unquote(anchor) in anchors(path), links[0]


@each_notebook
def test_every_notebook_has_a_page_for_the_teacher(path):
    page = page_of(f"lessons/{path.stem}.md")
    title = read(path).cells[0].source.splitlines()[0]
    has_open = any(t.key[:2] == path.stem[:2] and t.kind == "open" for t in all_tasks())
    assert page.splitlines()[0] == title
    assert re.findall(r"^## (.+)$", page, re.MULTILINE) == PARTS + ["The open task"] * has_open
    aims = page.split("## Aims")[1].split("## ")[0]
    assert 3 <= len(re.findall(r"^- ", aims, re.MULTILINE)) <= 5
    questions = page.split("## On the board")[1].split("## ")[0]
    assert 3 <= len(re.findall(r"^(?:- |\d\. |\*\*\d?)", questions, re.MULTILINE)) <= 6
    assert 250 <= len(page.split()) <= 900


def test_no_page_for_a_notebook_that_is_gone():
    pages = sorted(path.stem for path in (TEACHING / "lessons").glob("*.md"))
    assert pages == [path.stem for path in NOTEBOOKS]


def test_times_of_sections_add_up_to_those_of_readme():
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    rows = {
        cells[1].strip(): [cell.strip() for cell in cells[2:-1]]
        for cells in (line.split("|") for line in readme.splitlines() if line.startswith("| "))
    }
    times = json.loads(page_of("times.json"))
    for number, (stem, sections) in enumerate(sorted(times.items())):
        minutes, tasks, seconds = (sum(values) for values in zip(*sections.values()))
        # apart by the set-up cell, and as README counts in steps of 5
        assert abs(minutes - int(rows["minutes of study"][number])) <= 4, stem
        assert tasks == int(rows["minutes of tasks"][number])
        # starting a kernel takes seconds that no section has
        assert seconds <= int(rows["seconds to run"][number]) + 1


def test_memory_of_large_notebooks_is_that_of_readme():
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    [row] = re.findall(r"^\| GiB at most \|(.+)\|$", readme, re.MULTILINE)
    measured = {path.stem[:2]: float(gib) for path, gib in zip(NOTEBOOKS, row.split("|"))}
    assert {n: gib for n, gib in measured.items() if gib > 1.2} == LARGE_NOTEBOOKS


def test_machine_that_is_too_small_is_told_what_to_lower():
    assert memory_advice(8.0) == ""
    told = memory_advice(2.0)
    assert told.startswith("too little for 12 (2.6): shut down the kernels of notebooks")
    assert "--batch-size, --image-size or --base-channels" in told
    assert memory_advice(0.5).startswith("too little for most notebooks (1.2)")
