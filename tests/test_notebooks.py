"""Hygiene of the notebooks: complete, executed in order, and in agreement with the library."""

import ast
import io
import re
import statistics

import numpy as np
import pytest
import torch
from cells import NOTEBOOKS, ROOT, code_cells, each_notebook, read, without_docstrings
from PIL import Image

from benchmarks import cyclegan
from benchmarks import notebooks as benchmark
from benchmarks.zoo import read_scores
from pix2pix_lib import plots
from pix2pix_lib.config import system_config
from pix2pix_lib.facades import facade_tensors

TEACHES = {
    "00_start_here": {"environment"},
    "01_paired_dataset": {"facades", "data"},
    "02_unet_blocks": {"unet"},
    "03_unet_generator": {"unet"},
    "04_patchgan": {"patchgan", "receptive_field"},
    "05_losses": {"losses"},
    "06_training_loop": {"training", "checkpoints"},
    "07_patch_explorer": {"explorers", "trained"},
    "08_evaluation": {"evaluation"},
    "09_normalization": {"layers"},
    "10_cyclegan": {"cyclegan", "resnet"},
    "11_your_own_data": {"layouts", "encoding", "checking", "making"},
    "12_scaling_up": {"engine", "costs", "devices"},
    "13_many_devices": {"processes", "shards"},
    "14_cycle_limits": {"cyclegan"},
    "15_few_pairs": {"pretrained", "continent", "export"},
}
# How many cells of a notebook may exceed 25 lines: here the one with the whole class UNet.
LONG_CELLS = {"03_unet_generator": 1}
SECTIONS = [
    "What you will be able to do",
    "Exercises",
    "Recap",
    "Common confusions",
    "What next",
    "References",
]
ABSOLUTE_PATH = re.compile(r"(?<![\w.:/])/(?:home|root|tmp|work|Users|content|mnt|usr|opt)/\w")


def outputs(path):
    return [output for cell in code_cells(path) for output in cell.outputs]


def markdown(path):
    return "\n".join(cell.source for cell in read(path).cells if cell.cell_type == "markdown")


def lines_of(cell):
    return [line for line in cell.source.splitlines() if line.strip()]


def test_every_notebook_of_the_plan_is_there():
    assert [path.stem for path in NOTEBOOKS] == sorted(TEACHES)


@each_notebook
def test_cells_ran_once_in_order(path):
    counts = [cell.execution_count for cell in code_cells(path)]
    assert counts == list(range(1, len(counts) + 1))


@each_notebook
def test_no_output_is_an_error_a_warning_or_a_widget(path):
    for output in outputs(path):
        assert output.output_type != "error", output.get("evalue")
        assert output.get("name") != "stderr", output.text
        assert not any("widget" in kind for kind in output.get("data", {}))
    assert "widgets" not in read(path).metadata


@each_notebook
def test_no_machine_path_in_cells_or_outputs(path):
    found = [ABSOLUTE_PATH.search(cell.source) for cell in read(path).cells]
    for output in outputs(path):
        data = output.get("data", {}).items()
        texts = [output.get("text", ""), *(str(v) for k, v in data if k.startswith("text"))]
        found += [ABSOLUTE_PATH.search(text) for text in texts]
    assert not any(found), [match.group() for match in found if match]


@each_notebook
def test_every_picture_says_in_words_what_it_shows(path):
    kinds = ("image/png", "image/jpeg")  # JPEG: what an explorer shows where no kernel runs
    found = [(output, kind) for output in outputs(path) for kind in kinds]
    pictures = [(output, kind) for output, kind in found if kind in output.get("data", {})]
    assert pictures, "a lesson without a figure"
    for picture, kind in pictures:
        alt = picture.metadata[kind]["alt"]
        assert len(alt) > 30 and picture.data["text/plain"].split() == alt.split()


@each_notebook
def test_notebook_is_small(path):
    assert path.stat().st_size < 2_000_000


def test_stored_pictures_are_near_the_shown_ones_and_keep_the_colours_of_label_maps():
    labels, photos = (
        torch.stack(side) for side in zip(*map(facade_tensors, range(6)), strict=True)
    )
    shown = plots.to_png(plots.samples(labels, photos, photos))
    stored = benchmark.coarser_png(shown)
    before, after = (
        np.asarray(Image.open(io.BytesIO(png)).convert("RGB")) for png in (shown, stored)
    )
    assert len(stored) < 0.8 * len(shown)
    assert abs(before.astype(int) - after).max() <= 4
    colours, counts = np.unique(before.reshape(-1, 3), axis=0, return_counts=True)
    for colour in colours[counts >= 64]:
        is_colour = (before == colour).all(-1)
        assert (after[is_colour] == colour).all()
    few = plots.to_png(plots.image_grid([list(labels)]))
    assert benchmark.coarser_png(few) == few


@each_notebook
def test_metadata_names_no_machine(path):
    assert read(path).metadata == {
        "kernelspec": {"display_name": "Python 3", "language": "python", "name": "python3"},
        "language_info": {"name": "python"},
    }
    setup = code_cells(path)[0]
    assert setup.metadata == {"cellView": "form"}  # on Colab
    others = [cell for cell in read(path).cells if cell.id != setup.id]
    assert {key for cell in others for key in cell.metadata} <= {"tags"}


@each_notebook
def test_notebook_has_its_sections(path):
    headings = re.findall(r"^## (.+)$", markdown(path), re.MULTILINE)
    assert [heading for heading in headings if heading in SECTIONS] == SECTIONS
    assert re.match(rf"# {path.stem[:2]} \S", read(path).cells[0].source)


def links_to_notebooks(path):
    """Return the notebooks that the prose links to, in order."""
    return re.findall(r"\]\((?!https?:)([^)]+\.ipynb)(?:#[^)]*)?\)", markdown(path))


@each_notebook
def test_notebook_links_to_its_neighbours_and_no_link_is_broken(path):
    here, found = NOTEBOOKS.index(path), links_to_notebooks(path)
    neighbours = NOTEBOOKS[max(here - 1, 0) : here] + NOTEBOOKS[here + 1 : here + 2]
    assert {neighbour.name for neighbour in neighbours} <= set(found)
    assert [name for name in found if not (path.parent / name).is_file()] == []


def test_first_notebook_links_to_all_others():
    assert set(links_to_notebooks(NOTEBOOKS[0])) >= {path.name for path in NOTEBOOKS[1:]}


@each_notebook
def test_no_sentence_is_broken_off_into_a_list(path):
    """A line of a paragraph that begins with a number and a point becomes an item of a list."""
    assert re.findall(r"^(?!\d+\.)\S.*[^:\n]\n *\d+[.)] .*", markdown(path), re.MULTILINE) == []


@each_notebook
def test_cells_are_short_and_explained(path):
    lengths = [len(lines_of(cell)) for cell in code_cells(path)[1:]]
    assert statistics.median(lengths) <= 8
    assert sum(length > 25 for length in lengths) <= LONG_CELLS.get(path.stem, 0)
    kinds = "".join(cell.cell_type[0] for cell in read(path).cells)
    assert "cccc" not in kinds


@each_notebook
def test_cell_that_asserts_shows_what_it_asserts(path):
    silent = []
    for cell in code_cells(path)[2:]:
        asserts = any(isinstance(node, ast.Assert) for node in ast.parse(cell.source).body)
        text = " ".join(output.get("text", "") for output in cell.outputs).replace("True", "")
        shows = any(output.get("data") for output in cell.outputs) or re.search(
            r"\d|[a-z]{3}", text
        )
        if asserts and not shows:
            silent.append(cell.source)
    assert silent == []


@each_notebook
def test_every_prediction_is_answered_in_words_after_a_visible_output(path):
    """Question, then a cell that shows something, then prose with the answer, in one section."""
    asked, shown, answered = 0, False, True
    for cell in read(path).cells:
        if cell.cell_type == "code":
            shown = shown or bool(cell.outputs)
            continue
        for part in re.split(
            r"(?=\*\*Predict\.\*\*|\*\*Answer\.\*\*|^## )", cell.source, flags=re.M
        ):
            if part.startswith("**Answer.**"):
                assert not answered and shown, f"an answer without question or output: {part}"
                answered = True
            elif part.startswith(("**Predict.**", "## ")):
                assert answered, f"no answer before: {part}"
                if part.startswith("**Predict.**"):
                    asked, shown, answered = asked + 1, False, False
    assert asked >= 2 and answered


@each_notebook
def test_other_notebooks_are_named_without_sections_which_move(path):
    assert re.findall(r"notebooks? \d\d,? \(?sections? \d+", markdown(path), re.I) == []


@each_notebook
def test_notebook_is_not_too_long(path):
    assert len(benchmark.lesson_cells(read(path).cells)) <= 90
    assert benchmark.study_minutes(read(path)) <= 75


def test_times_are_those_of_the_table_in_readme():
    rows = {row[0]: row[1:] for row in table_of_times()}
    assert rows["notebook"] == [path.name[:2] for path in NOTEBOOKS]
    seconds = [float(value) for value in rows["seconds to run"]]
    assert sum(seconds) <= 20 * 60
    columns = (rows["minutes of study"], rows["minutes of tasks"], seconds)
    for path, minutes, tasks, time in zip(NOTEBOOKS, *columns, strict=True):
        assert int(minutes) == benchmark.study_minutes(read(path))
        assert int(tasks) == benchmark.task_minutes(read(path).cells)
        line = benchmark.times_line(int(minutes), int(tasks), time)
        assert line in " ".join(read(path).cells[0].source.split())


def table_of_times():
    """Return the rows of README's table of times, without the rule."""
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    table = re.search(r"^\| notebook \| 00 .*?(?=\n\n)", text, re.M | re.S)[0]
    rows = [[cell.strip() for cell in line.strip("|").split("|")] for line in table.splitlines()]
    return [row for row in rows if not row[0].startswith("---")]


@each_notebook
def test_notebook_has_tasks_and_no_solution_in_its_prose(path):
    assert benchmark.task_minutes(read(path).cells) > 0
    assert "<details>" not in markdown(path)
    for cell in read(path).cells:
        if cell.source.startswith("### Task: "):
            assert "\n**What for.** " in cell.source


@each_notebook
def test_notebook_imports_the_module_that_it_teaches(path):
    imported = set()
    for cell in code_cells(path):
        for node in ast.walk(ast.parse(cell.source)):
            if isinstance(node, ast.ImportFrom) and node.module == "pix2pix_lib":
                imported |= {alias.name for alias in node.names}
            elif isinstance(node, ast.ImportFrom) and node.module.startswith("pix2pix_lib."):
                imported.add(node.module.split(".")[1])
    assert TEACHES[path.stem] <= imported


def definitions(source):
    """Return {name: canonical code} of the top-level functions and classes, minus docstrings."""
    kinds, body = (ast.FunctionDef, ast.ClassDef), without_docstrings(source).body
    return {node.name: ast.unparse(node) for node in body if isinstance(node, kinds)}


def test_definition_of_a_library_name_is_the_library_s_own():
    library = {}
    for module in sorted((ROOT / "pix2pix_lib").glob("*.py")):
        for name, code in definitions(module.read_text(encoding="utf-8")).items():
            library.setdefault(name, {})[module.stem] = code
    shared = 0
    for path in NOTEBOOKS:
        source = "\n\n".join(cell.source for cell in code_cells(path))
        for name, code in definitions(source).items():
            if name in library:
                shared += 1
                assert code in library[name].values(), f"{path.name} defines another {name}"
    assert shared >= 5  # the comparison has something to compare


def test_hand_built_pieces_are_held_equal_to_the_library():
    pieces = {
        "02_unet_blocks": {"unet.DownBlock", "unet.UpBlock"},
        "03_unet_generator": {"unet.UNet"},
        "04_patchgan": {"patchgan.PatchDiscriminator"},
        "10_cyclegan": {"LibraryResNetGenerator"},
        "12_scaling_up": {"engine.ConvAsProduct"},
    }
    for stem, expected in pieces.items():
        source = "\n".join(cell.source for cell in code_cells(ROOT / "notebooks" / f"{stem}.ipynb"))
        calls = [node for node in ast.walk(ast.parse(source)) if isinstance(node, ast.Call)]
        checks = [call for call in calls if ast.unparse(call.func) == "checks.check_same"]
        assert {ast.unparse(check.args[1].func) for check in checks} == expected


@pytest.mark.parametrize("stem", ["10_cyclegan", "14_cycle_limits"])
def test_shipped_scores_of_cyclegan_are_those_of_the_lesson(stem):
    cells = (cell.source for cell in code_cells(ROOT / "notebooks" / f"{stem}.ipynb"))
    tree = ast.parse(next(source for source in cells if "lesson = system_config(" in source))
    call = next(ast.unparse(n.value) for n in tree.body if ast.unparse(n).startswith("lesson = "))
    lesson = eval(call, {"system_config": system_config})
    assert lesson == cyclegan.Job("GAN + both + identity", lesson.seed).config
    trained = [(row["variant"], int(row["seed"])) for row in read_scores(cyclegan.SCORES)]
    assert trained == [(name, seed) for seed in range(cyclegan.SEEDS) for name in cyclegan.VARIANTS]
