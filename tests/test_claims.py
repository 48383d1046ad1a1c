"""Numbers and comparisons in the notebooks' prose are those of the cells beside them.

A number must be one that a cell has printed or that stands in the code; a comparison must have an
entry in tests/claims: an assert of the notebook, two printed values, or the reason why neither can
stand there. So a sentence whose number or word is changed fails until somebody has looked at it.
"""

import copy
import re
from pathlib import Path

import pytest
from cells import NOTEBOOKS, each_notebook, read
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook, new_output
from prose import (
    Claims,
    Prose,
    asks,
    assertions_of,
    broken_entries,
    evidence,
    is_among,
    lies_in,
    numbers,
    read_prose,
    unexplained_numbers,
    unheld_comparisons,
)


def claims_of(path):
    return Claims.read(Path(__file__).parent / "claims" / f"{path.stem}.toml")


@each_notebook
def test_numbers_in_the_prose_are_printed_set_or_explained(path):
    notebook = read(path)
    assert unexplained_numbers(read_prose(notebook), claims_of(path)) == []


@each_notebook
def test_comparisons_in_the_prose_are_measured_or_explained(path):
    notebook = read(path)
    assert unheld_comparisons(read_prose(notebook), claims_of(path)) == []


@each_notebook
def test_every_entry_is_used_and_holds(path):
    notebook = read(path)
    assert broken_entries(read_prose(notebook), claims_of(path), assertions_of(notebook)) == []


def test_every_table_of_claims_belongs_to_a_notebook():
    tables = {path.stem for path in (Path(__file__).parent / "claims").glob("*.toml")}
    assert tables <= {path.stem for path in NOTEBOOKS}


def test_nearly_every_planted_wrong_number_is_caught():
    """Change the last figure of each number of each notebook, one at a time.

    Single figures are left out: nearly each of them stands in some code of its notebook.
    """
    caught = planted = 0
    for path in NOTEBOOKS:
        claims = claims_of(path)
        for prose in read_prose(read(path)):
            for match in numbers(prose):
                if asks(match, prose) or re.fullmatch(r"\d", match[1]):
                    continue
                planted += 1
                caught += lies_in(match, prose, claims.numbers) or not is_among(
                    wrong(match), prose, evidence(match, prose)
                )
    print(f"{caught} of {planted} wrong numbers are caught")
    assert planted > 400 and caught > 0.85 * planted


def wrong(match):
    """Return the match of the same number with another last digit."""
    digits = match[0].rstrip(" %")
    other = digits[:-1] + str((int(digits[-1]) + 4) % 10)
    text = match.string[: match.start()] + other + match.string[match.start() + len(digits) :]
    return re.compile(match.re.pattern).search(text, match.start())


# --- the reading itself, on a notebook of three cells ---------------------------------------------

PROSE = (
    "## 1. Edges\n\nL1 keeps .41 of the edges and L2 0.3, which is\nless than L1 keeps. "
    "The 70x70 PatchGAN (notebook 07, Isola et al. 2017) has 2,768,705 parameters and `99` secrets."
)
HELD = {"text": "less than L1 keeps", "holds": "edges['L2'] < edges['L1']"}


def small_notebook(prose=PROSE, tags=(), printed="L1 0.4123\nL2 0.298\nparameters 2768705"):
    code = "print(edges)\nassert edges['L2'] < edges['L1']\nsize = 70"
    cell = new_code_cell(code, outputs=[new_output("stream", text=printed)])
    cell.metadata["tags"] = list(tags)
    before, after = prose.split("L1 keeps .41", 1)
    return new_notebook(
        cells=[new_markdown_cell(before), cell, new_markdown_cell("L1 keeps .41" + after)]
    )


def complaints(notebook, *compared, numbers=()):
    cells, claims = read_prose(notebook), Claims(list(numbers), list(compared))
    return (
        unexplained_numbers(cells, claims)
        + unheld_comparisons(cells, claims)
        + broken_entries(cells, claims, assertions_of(notebook))
    )


def test_true_prose_passes():
    assert complaints(small_notebook(), HELD) == []


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("L2 0.3,", "L2 0.35,"),
        ("0.3,", "0.5,"),
        ("2,768,705", "2,768,706"),
        ("70x70", "70x34"),
        ("less than L1", "more than L1"),
        ("which is", "a better loss, which is"),
    ],
)
def test_planted_error_is_caught(old, new):
    assert complaints(small_notebook(PROSE.replace(old, new)), HELD) != []


@pytest.mark.parametrize(
    "entry",
    [
        {"text": "less than L1 keeps", "holds": "edges['L2'] > edges['L1']"},
        {"text": "less than L1 keeps", "smaller": r"L1 ([\d.]+)", "larger": r"L2 ([\d.]+)"},
        {"text": "less than L1 keeps", "smaller": r"L3 ([\d.]+)", "larger": r"L1 ([\d.]+)"},
        {"text": "less than L1 keeps", "reason": ""},
        {"text": "less than L1 keeps"},
    ],
)
def test_entry_that_does_not_hold_is_caught(entry):
    assert len(complaints(small_notebook(), entry)) == 1


def test_entry_from_printed_values_holds():
    entry = {"text": "less than L1 keeps", "smaller": r"L2 ([\d.]+)", "larger": r"L1 ([\d.]+)"}
    assert complaints(small_notebook(), entry) == []


def test_entry_whose_sentence_is_gone_is_caught():
    gone = {"text": "no such sentence", "reason": "the paper"}
    assert "stands 0 times" in complaints(small_notebook(), HELD, gone)[0]


def test_number_of_a_cell_that_differs_between_machines_needs_an_entry():
    notebook = small_notebook(tags=["nbval-ignore-output"])
    assert len(complaints(notebook, HELD)) == 3
    entries = [
        {"text": "keeps .41 of", "output": r"L1 ([\d.]+)"},
        {"text": "L2 0.3,", "output": r"L2 ([\d.]+)"},
        {"text": "2,768,705 parameters", "reason": "counted in notebook 04"},
    ]
    assert complaints(notebook, HELD, numbers=entries) == []
    wrong_output = copy.deepcopy(entries)
    wrong_output[0]["output"] = r"L2 ([\d.]+)"
    assert len(complaints(notebook, HELD, numbers=wrong_output)) == 1


def test_question_claims_nothing():
    asked = PROSE.replace("which is\nless than L1 keeps. ", "and L1? Is that less than L1 keeps? ")
    assert complaints(small_notebook(asked)) == []


def test_rough_number_may_be_rounded():
    def holds(text, value):
        prose = Prose(text, text, [], [], "")
        return [is_among(match, prose, [value]) for match in numbers(prose)] == [True]

    assert holds("about 30 of", 33.0) and not holds("exactly 30 of", 33.0)
    assert not holds("about 30 of", 36.0)
    assert holds("41 % of", 0.4123) and not holds("42 % of", 0.4123)
