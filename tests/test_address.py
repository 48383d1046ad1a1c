"""tools.set_address writes what notebooks have in common: badges, links and setup cells."""

import re

import nbformat
import pytest

from tools import set_address
from tools.set_address import ROOT, published_at, rewritten, setup_cell

NOTEBOOKS = sorted((ROOT / "notebooks").glob("*.ipynb"))
PYPROJECT = '[project]\n[project.urls]\nRepository = "{}"\n'
ADDRESS = "https://github.com/someone/some-course"
COLAB = "https://colab.research.google.com/github"
OLD_BADGE = f"[![Open in Colab](badge.svg)]({COLAB}/a/b/blob/main/notebooks/01_x.ipynb)"


def write_course(
    folder, title=OLD_BADGE, first_cell="# @title Setup, as it once was", address=ADDRESS
):
    """Write a course of one notebook with outputs, tags, ids and non-ASCII text, all to be kept."""
    (folder / "pyproject.toml").write_text(PYPROJECT.format(address), encoding="utf-8")
    (folder / "pix2pix_lib").mkdir(exist_ok=True)
    (folder / "pix2pix_lib" / "__init__.py").write_text('__version__ = "2.1.0"\n')
    output = nbformat.v4.new_output("stream", text="256 × 256\n")
    cells = [
        nbformat.v4.new_markdown_cell(f"# 01 Naïve\n\n{title}\n\nOne line.", id="t"),
        nbformat.v4.new_code_cell(first_cell, id="b", execution_count=1),
        nbformat.v4.new_code_cell("print('256 × 256')", id="c", execution_count=2,
                                  outputs=[output], metadata={"tags": ["nbval-ignore-output"]}),
    ]  # fmt: skip
    path = folder / "notebooks" / "01_x.ipynb"
    path.parent.mkdir(exist_ok=True)
    nbformat.write(nbformat.v4.new_notebook(cells=cells), path)
    return path


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_badge_links_and_setup_cell_are_what_the_script_writes(path):
    expected = rewritten(path, *published_at(ROOT))
    text = path.read_text(encoding="utf-8")
    assert text == expected, "run python -m tools.set_address"
    # and there is no badge that the script does not know of
    assert text.count("colab.research.google.com/github/") == 1


def test_address_and_tag_get_into_badge_and_cell_and_nothing_else_changes(tmp_path, capsys):
    path = write_course(tmp_path)
    before = nbformat.read(path, as_version=4)
    assert set_address.main(["--root", str(tmp_path)]) == 0
    assert capsys.readouterr().out == "01_x.ipynb rewritten\n"
    after = nbformat.read(path, as_version=4)
    target = f"{COLAB}/someone/some-course/blob/v2.1.0/student/01_x.ipynb"
    badge = f"[![Open in Colab](badge.svg)]({target})"
    assert after.cells[0].source == f"# 01 Naïve\n\n{badge}\n\nOne line."
    assert f"--branch=v2.1.0 {ADDRESS}" in after.cells[1].source
    assert "@TAG" not in after.cells[1].source and "@ADDRESS" not in after.cells[1].source
    before.cells[0].source, before.cells[1].source = after.cells[0].source, after.cells[1].source
    before.cells[1].metadata["cellView"] = "form"
    nbformat.write(before, tmp_path / "expected.ipynb")
    assert path.read_bytes() == (tmp_path / "expected.ipynb").read_bytes()


def test_a_second_run_touches_nothing(tmp_path, capsys):
    path = write_course(tmp_path)
    set_address.main(["--root", str(tmp_path)])
    written = path.read_bytes(), path.stat().st_mtime_ns
    capsys.readouterr()
    assert set_address.main(["--root", str(tmp_path)]) == 0
    assert (path.read_bytes(), path.stat().st_mtime_ns) == written
    assert capsys.readouterr().out == ""


def test_check_names_what_differs_and_changes_nothing(tmp_path, capsys):
    path = write_course(tmp_path)
    before = path.read_bytes()
    assert set_address.main(["--check", "--root", str(tmp_path)]) == 1
    assert capsys.readouterr().out == "01_x.ipynb differs\n"
    assert path.read_bytes() == before
    set_address.main(["--root", str(tmp_path)])
    assert set_address.main(["--check", "--root", str(tmp_path)]) == 0


@pytest.mark.parametrize(
    ("course", "message"),
    [
        ({"title": "no badge"},
         "01_x.ipynb: the first cell must hold one Colab badge; it holds 0"),
        ({"title": OLD_BADGE * 2},
         "01_x.ipynb: the first cell must hold one Colab badge; it holds 2"),
        ({"first_cell": "import torch"},
         "01_x.ipynb: the first code cell must begin with '# @title Setup'; put one there"),
        ({"address": "https://example.org/a/b"},
         "Repository must look like https://github.com/account/name; got https://example.org/a/b"),
        ({"address": ADDRESS + "/"},
         f"Repository must look like https://github.com/account/name; got {ADDRESS}/"),
    ],
)  # fmt: skip
def test_what_cannot_be_rewritten_is_said_in_one_line(tmp_path, capsys, course, message):
    path = write_course(tmp_path, **course)
    before = path.read_bytes()
    assert set_address.main(["--root", str(tmp_path)]) == 2
    error = capsys.readouterr().err
    assert error.count("\n") == 1 and message in error
    assert path.read_bytes() == before


def write_neighbour(folder, name, heading):
    cells = [nbformat.v4.new_markdown_cell(f"{heading}\n\nOne line.")]
    nbformat.write(nbformat.v4.new_notebook(cells=cells), folder / "notebooks" / name)


def test_links_lead_to_the_notebooks_before_and_after(tmp_path):
    path = write_course(tmp_path)
    here, notebooks = f"# 01 Naïve\n\n{OLD_BADGE}", path.parent

    def title():
        source = nbformat.reads(rewritten(path, ADDRESS, "v1"), as_version=4).cells[0].source
        return set_address.BADGE.sub(OLD_BADGE.split("](")[-1].strip(")"), source)

    assert title() == f"{here}\n\nOne line."
    write_neighbour(tmp_path, "03_c.ipynb", "# 03 The *C*")
    assert title() == f"{here}\n\nNext: [03 The *C*](03_c.ipynb)\n\nOne line."
    write_neighbour(tmp_path, "00_a.ipynb", "# 00 A")
    both = "Previous: [00 A](00_a.ipynb) · Next: [03 The *C*](03_c.ipynb)"
    assert title() == f"{here}\n\n{both}\n\nOne line."
    path.write_text(rewritten(path, ADDRESS, "v1"), encoding="utf-8")
    write_neighbour(tmp_path, "02_b.ipynb", "# 02 B")  # a new one takes the old one's place
    both = "Previous: [00 A](00_a.ipynb) · Next: [02 B](02_b.ipynb)"
    assert title() == f"{here}\n\n{both}\n\nOne line."
    (notebooks / "02_b.ipynb").unlink()
    (notebooks / "03_c.ipynb").unlink()
    assert title() == f"{here}\n\nPrevious: [00 A](00_a.ipynb)\n\nOne line."


def test_neighbour_without_a_title_is_said_in_one_line(tmp_path, capsys):
    path = write_course(tmp_path)
    before = path.read_bytes()
    write_neighbour(tmp_path, "02_b.ipynb", "## 2 B")
    assert set_address.main(["--root", str(tmp_path)]) == 2
    problem = "the first cell must begin with a title, as in '# 01 Pairs'"
    assert capsys.readouterr().err == f"error: 02_b.ipynb: {problem}\n"
    assert path.read_bytes() == before


def test_cell_of_earlier_releases_is_replaced(tmp_path):
    path = write_course(tmp_path, first_cell="# Bootstrap, the same in every notebook\nimport sys")
    new = nbformat.reads(rewritten(path, ADDRESS, "v1"), as_version=4).cells[1]
    assert new.source == setup_cell(ADDRESS, "v1") and new.id == "b"


def test_the_cell_is_short_and_needs_neither_torch_nor_an_installer():
    cell = setup_cell(ADDRESS, "v1")
    assert cell.startswith("# @title Setup") and len(cell.splitlines()) <= 15
    assert max(map(len, cell.splitlines())) <= 118
    assert not re.search(r"torch|\bpip\b|/content", cell)
    compile(cell, "the setup cell", "exec")  # no magics: other tools read it as Python
