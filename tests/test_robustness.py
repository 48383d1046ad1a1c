"""Comparisons in assertions are recorded without a change of what the code does."""

import json
import math

import nbformat
import numpy as np
import pytest
import torch

from benchmarks import robustness
from benchmarks.robustness import (
    Notebook,
    PytestFiles,
    Recorder,
    describe,
    environment,
    find,
    instrument_cell,
    judge,
    report,
)
from pix2pix_lib.engine import PLAIN


def run_code(source, **names):
    """Execute code; return the sequence of the values given to `say`, and what it raised."""
    said = []

    def say(value):
        said.append(value)
        return value

    try:
        exec(compile(source, "cell", "exec"), {"say": say} | names)
    except Exception as error:
        return said, repr(error)
    return said, None


def records_of(source, **names):
    """Return the records of a cell's code by their source."""
    recorder = Recorder()
    run_code(instrument_cell(source, "cell"), __record__=recorder, **names)
    return {record["source"]: record for record in recorder.records.values()}


def margins_of(source, **names):
    return {source: record["margin"] for source, record in records_of(source, **names).items()}


# --- what instrumented code does ---------------------------------------------------------------


@pytest.mark.parametrize(
    "source",
    [
        "assert say(1) < say(2) < say(3)",
        "assert say(1) < say(0) < say(3), say('message')",
        "assert say(1) < say(2) < say(2) < say(5)",
        "assert not say(1) < say(2) < say(2)",
        "assert say(1) == 2 and say(3) < 4",
        "assert say(1) == 1 or say(3) < 4",
        "assert say(0) or say(3) > 4, f'{say(5)}'",
        "assert not (say(1) > 2 or say(3) > 4)",
        "assert not (say(1) and say(0))",
        "assert all(say(x) < 3 for x in range(6) if x != 1)",
        "assert all([say(x) < 3 for x in range(6)])",
        "assert not any(say(x) > 2 > say(0) for x in range(6))",
        "assert any(say(x) > 2 for x in range(6))",
        "assert sum(say(x) > 2 for x in range(6)) == 3",
        "assert say('a') in 'abc' and say('d') not in 'abc' and say(None) is None is not True",
        "assert (best := say(3)) > 2 and best < 4\nsay(best)",
        "def f(xs):\n    assert all(0 < say(x) < 3 for x in xs), say(xs)\nf([1, 2])\nf([4])",
        "class A:\n    assert say(1) < say(2) < say(3)\n    __b = 3\n    assert __b > say(2)",
        "assert say(1) < 'text'",
        "assert len(say([])) < 1 if say(True) else say(False)",
        "assert undefined > 1",
    ],
)
def test_instrumented_code_does_the_same_in_the_same_order(source):
    instrumented = instrument_cell(source, "cell")
    assert "__record__" in instrumented
    assert run_code(instrumented, __record__=Recorder()) == run_code(source)


def test_cells_without_assertions_or_that_are_not_python_stay_as_they_are():
    for source in ("x = 1 < 2  # a comment", "%matplotlib inline\nassert 1 < 2", "!ls", ""):
        assert instrument_cell(source, "cell") == source


# --- what is recorded --------------------------------------------------------------------------


def test_margin_is_the_distance_to_the_bound_and_negative_beyond_it():
    code = "assert 1 < 4 and 1 <= 4 and 4 > 1.5 and 4 >= 1.5\nassert 4 < x"
    expected = {"1 < 4": 3, "1 <= 4": 3, "4 > 1.5": 2.5, "4 >= 1.5": 2.5, "4 < x": -2}
    assert margins_of(code, x=2) == expected
    assert [r["held"] for r in records_of(code, x=2).values()] == [True] * 4 + [False]


def test_record_says_where_and_which_comparison():
    record = records_of("assert x == 1\nassert x < 3 < 5", x=1)["x < 3"]
    assert record == {
        "where": "cell", "index": 2, "source": "x < 3", "held": True,
        "left": 1.0, "right": 3.0, "margin": 2.0,
    }  # fmt: skip


def test_each_link_of_a_chain_is_recorded_as_far_as_it_is_evaluated():
    assert margins_of("assert 1 < x < 7 <= 9", x=3) == {"1 < x": 2, "x < 7": 4, "7 <= 9": 2}
    assert margins_of("assert 1 < x < 7", x=0) == {"1 < x": -1}


def test_loop_keeps_the_evaluation_closest_to_failing():
    for code in (
        "for x in xs:\n    assert x < 5",
        "assert all(x < 5 for x in xs)",
        "assert all([x < 5 for x in xs])",
        "check = lambda x: x\nfor x in xs:\n    assert check(1) and x < 5",
    ):
        assert records_of(code, xs=[3, 4.5, 1])["x < 5"]["left"] == 4.5
    found = records_of("assert all(f(x) for x in xs)", f=lambda x: x < 4, xs=[3, 4, 1])
    assert found["f(x)"]["held"] is False


def test_failure_counts_as_closer_than_a_margin_of_zero():
    code = "assert x < 5 or True\nfor x in xs:\n    try:\n        assert x < 5\n    except: pass"
    assert records_of(code, x=0, xs=[5, 4])["x < 5"]["held"] is False


@pytest.mark.parametrize(
    "value",
    [
        2, 2.0, np.float32(2), np.int64(2), np.array(2), torch.tensor(2.0), torch.tensor(2),
        torch.tensor(2.0, requires_grad=True) * 1,
    ],
)  # fmt: skip
def test_scalars_of_all_kinds_are_numbers(value):
    record = records_of("assert x < 5", x=value)["x < 5"]
    assert (record["left"], record["margin"]) == (2.0, 3.0) and type(record["left"]) is float


def test_what_is_no_number_is_true_or_false_only():
    ones = torch.ones(3)
    for code in (
        "assert (x < 3).all()", "assert len(x) == 3", "assert True > False", "assert 'a' < 'b'",
        "assert (1, 2) < (1, 3)", "assert x is x", "assert 1 in x", "assert torch.equal(x, x)",
    ):  # fmt: skip
        (record,) = records_of(code, x=ones, torch=torch).values()
        assert (record["held"], record["left"], record["margin"]) == (True, None, 0.0)
    assert records_of("assert x == 2", x=1)["x == 2"]["held"] is False


def test_not_a_number_fails_by_more_than_all_numbers():
    code = "for x in xs:\n    try:\n        assert x < 5\n    except AssertionError: pass"
    record = records_of(code, xs=[7.0, math.nan, 8.0])["x < 5"]
    assert record["held"] is False and record["margin"] == -math.inf


def test_not_turns_the_direction_round():
    assert margins_of("assert not x < 5", x=7) == {"not x < 5": 2}
    assert margins_of("assert not (x < 5 or x > 9)", x=7) == {"not x < 5": 2, "not x > 9": 2}
    assert margins_of("assert not any(x < 5 for x in xs)", xs=[7, 6]) == {"not x < 5": 1}
    assert margins_of("assert not not x < 5", x=3) == {"x < 5": 2}
    found = records_of("assert not f(1)", f=lambda x: x)
    assert found["not f(1)"]["held"] is False


def test_what_may_be_false_is_not_recorded():
    assert margins_of("assert x < 5 or x > 6", x=9) == {"x > 6": 3}
    assert margins_of("assert x < 5 or x > 6", x=3) == {}
    assert margins_of("assert not (x > 5 and x < 9)", x=12) == {"not x < 9": 3}
    assert margins_of("assert not 1 < x < 9", x=12) == {"not x < 9": 3}
    assert margins_of("assert sum(x > 1 for x in xs) > 1", xs=[1, 2, 3]) == {
        "sum((x > 1 for x in xs)) > 1": 1
    }
    found = records_of("assert any(x > 1 for x in xs)", xs=[1, 2])
    assert [r["held"] for r in found.values()] == [True]


# --- verdicts ----------------------------------------------------------------------------------


def runs(*pairs, held=True):
    return [
        {"where": "06 cell  3", "index": 1, "source": "x < 5", "held": right > left,
         "left": left, "right": right, "margin": right - left}
        for left, right in pairs
    ]  # fmt: skip


def test_verdict_compares_the_worst_distance_with_a_third_of_the_median():
    assert judge(runs((1.0, 4.0), (1.0, 4.0), (3.0, 4.0))) == "holds"
    assert judge(runs((1.0, 4.0), (1.0, 4.0), (3.01, 4.0))) == "too close"
    assert judge(runs((1.0, 4.0), (1.0, 4.0), (5.0, 4.0))) == "FAILS in 1 of 3"


def test_what_is_the_same_in_all_runs_is_no_outcome_unless_it_fails():
    assert judge(runs((1.0, 4.0), (1.0, 4.0))) is None
    assert judge(runs((1.0, 4.0), (1.0, 4.1))) == "holds"
    assert judge(runs((4.0, 1.0), (4.0, 1.0))) == "FAILS in 2 of 2"
    truth = {"held": True, "left": None, "right": None, "margin": 0.0}
    assert judge([truth, truth]) is None
    assert judge([truth, truth | {"held": False}]) == "FAILS in 1 of 2"


def test_description_takes_the_side_that_varies_for_the_value():
    expected = ["1 to 3 in 3 runs against 4", "median 3, worst 1, ratio 0.33"]
    assert describe(runs((1.0, 4.0), (1.0, 4.0), (3.0, 4.0))) == expected
    assert describe(runs((1.0, 4.0), (1.0, 6.0)))[0] == "4 to 6 in 2 runs against 1"
    assert describe(runs((1.0, 4.0), (2.0, 6.0)))[0] == "1 to 2 in 2 runs against 4 to 6"
    assert describe(runs((4.0, 1.0), (5.0, 1.0)))[1] == "median -3.5, worst -4, ratio none"


def test_report_has_a_line_for_outcomes_errors_and_runs_that_broke_off():
    good, close, bad = runs((1.0, 4.0), (3.5, 4.0), (5.0, 4.0))

    def result(record, *messages):
        errors = [{"where": "06 cell  3", "message": message} for message in messages]
        return {"records": [record], "errors": errors}

    assert report("06", [result(good), result(good)]) == []
    failed = [result(good), result(close), result(bad, "AssertionError: 5"), None]
    assert report("06", failed) == [
        "06 cell  3 | x < 5 | 1 to 5 in 3 runs against 4 | median 0.5, worst -1, ratio -2.00 | "
        "FAILS in 1 of 3",
        "06 | broke off in 1 of 4",
    ]
    raised = [result(good, "AssertionError: not\nclose"), result(good, "NameError: x")] * 2
    assert report("06", raised) == [
        "06 cell  3 | AssertionError: not close | raised in 2 of 4",
        "06 cell  3 | NameError: x | raised in 2 of 4",
    ]


# --- stored results ----------------------------------------------------------------------------


class Subject:
    """A notebook that counts how often it is run, and breaks off as long as it is told to."""

    name, code, count, broken = "90_counted", "1", 0, False

    def content(self):
        return self.code

    def run(self, name, file):
        self.count += 1
        if self.broken:
            raise RuntimeError("the kernel died")
        return {"records": [], "errors": [], "count": self.count}


def test_result_is_used_again_while_the_code_is_the_same(tmp_path, capsys):
    subject = Subject()
    counts = [find(subject, "bf16", tmp_path)["count"] for _ in range(2)]
    counts.append(find(subject, "seeds-1", tmp_path)["count"])
    subject.code = "2"
    counts += [find(subject, "bf16", tmp_path)["count"] for _ in range(2)]
    assert counts == [1, 1, 2, 3, 3]
    assert [line.split(":")[0] for line in capsys.readouterr().err.splitlines()] == [
        "90_counted, bf16", "90_counted, seeds-1", "90_counted, bf16"
    ]  # fmt: skip


def test_run_that_broke_off_is_not_stored(tmp_path, capsys):
    subject = Subject()
    subject.broken = True
    assert find(subject, "bf16", tmp_path) is None
    assert "broke off: the kernel died" in capsys.readouterr().err
    subject.broken = False
    assert find(subject, "bf16", tmp_path)["count"] == 2


def test_result_is_never_half_there(tmp_path, monkeypatch):
    def write_half(path, text, **options):
        path.write_bytes(text[: len(text) // 2].encode())
        raise KeyboardInterrupt

    monkeypatch.setattr("pathlib.Path.write_text", write_half)
    with pytest.raises(KeyboardInterrupt):
        find(Subject(), "bf16", tmp_path)
    assert not list(tmp_path.iterdir())


def test_notebook_s_content_is_that_of_its_code_cells(tmp_path):
    def content(*cells):
        nbformat.write(nbformat.v4.new_notebook(cells=list(cells)), tmp_path / "90_a.ipynb")
        return Notebook(tmp_path / "90_a.ipynb").content()

    code, more = nbformat.v4.new_code_cell("x = 1"), nbformat.v4.new_code_cell("y = 2")
    assert content(code) == content(nbformat.v4.new_markdown_cell("words"), code)
    assert content(code, more) != content(code)
    assert content(code, more) != content(nbformat.v4.new_code_cell("x = 1y = 2"))


# --- circumstances -----------------------------------------------------------------------------


def test_environment_sets_threads_and_forgets_the_budget(monkeypatch):
    monkeypatch.setenv("OMP_NUM_THREADS", "7")
    monkeypatch.setenv("PIX2PIX_BUDGET", "full")
    monkeypatch.setenv("SOMETHING_ELSE", "kept")
    assert "OMP_NUM_THREADS" not in environment("two-threads")
    for name in ("one-thread", "seeds-3", "disturbed-2", "bf16"):
        assert environment(name)["OMP_NUM_THREADS"] == "1"
        assert "PIX2PIX_BUDGET" not in environment(name)
        assert environment(name)["SOMETHING_ELSE"] == "kept"


def test_shifted_seeds_are_those_of_other_seeds(monkeypatch):
    def draws(seed):
        torch.manual_seed(seed)
        generator = torch.Generator().manual_seed(seed)
        return torch.rand(2).tolist(), torch.rand(2, generator=generator).tolist()

    expected = draws(5)
    assert expected[0] == expected[1]
    monkeypatch.setattr(torch, "manual_seed", torch.manual_seed)
    monkeypatch.setattr(torch, "Generator", torch.Generator)
    robustness.shift_seeds(2)
    assert draws(3) == expected


def test_first_weights_are_disturbed_by_a_millionth_and_equal_networks_equally(monkeypatch):
    monkeypatch.setattr(torch.optim.Adam, "__init__", torch.optim.Adam.__init__)
    torch.manual_seed(0)
    first = torch.randn(1000)
    robustness.disturb_first_weights(1)
    state = torch.get_rng_state()
    one, two, other = (torch.nn.Parameter(first.clone()) for _ in range(3))
    torch.optim.Adam([one])
    torch.optim.Adam([{"params": [two]}], lr=0.1)
    robustness.disturb_first_weights(2)  # on top of the first
    torch.optim.Adam([other])
    assert torch.equal(torch.get_rng_state(), state)
    assert torch.equal(one, two) and not torch.equal(one, other)
    change = (one / first - 1).detach()
    assert 0.8e-6 < change.std() < 1.2e-6 and change.abs().max() < 6e-6


# --- from end to end ---------------------------------------------------------------------------

NOTEBOOK = [
    """%matplotlib inline
import torch
from pix2pix_lib.config import TrainConfig
from pix2pix_lib.engine import PLAIN
from pix2pix_lib.training import make_trainer
torch.manual_seed(0)
chance = torch.rand(()).item()  # 0.4963, and 0.7576 after another seed""",
    "assert chance < 10 and 2 + 2 < 5",
    "assert chance < 0.76, 'too close'",
    "assert chance < 0.7, 'fails'",
    "surprise",
    """class Pairs(torch.utils.data.Dataset):
    drawn = {}
    def __len__(self):
        return 9
    def __getitem__(self, index):
        self.drawn[index] = torch.rand(()).item()
        return torch.zeros(3, 32, 32), torch.zeros(3, 32, 32)
small = TrainConfig(image_size=32, base_channels=2, disc_channels=2, disc_layers=1, depth=3)
trainer = make_trainer(small)
pairs = Pairs()
for real_a, real_b in trainer.batches(pairs):
    pass""",
    """weight = next(trainer.networks['generator'].parameters()).std()
order, jitter, dropout = int(''.join(map(str, pairs.drawn))), pairs.drawn[0], torch.rand(())
assert weight > 0 and order > 0 and jitter > 0 and dropout > 0
assert len(PLAIN.precision) > 0 and torch.get_num_threads() > 0""",
]
NAMES = ("one-thread", "seeds-1", "disturbed-1", "bf16")


def test_notebook_from_end_to_end(tmp_path, monkeypatch, capsys):
    cells = [nbformat.v4.new_markdown_cell("words"), *map(nbformat.v4.new_code_cell, NOTEBOOK)]
    file = tmp_path / "90_throw_away.ipynb"
    nbformat.write(nbformat.v4.new_notebook(cells=cells), file)
    stored = file.read_bytes()
    monkeypatch.setattr(robustness, "NOTEBOOKS", tmp_path)
    chosen = {name: robustness.CIRCUMSTANCES[name] for name in NAMES}
    monkeypatch.setattr(robustness, "CIRCUMSTANCES", chosen)
    command = ["90", "--out", str(tmp_path / "out"), "--jobs", "2"]

    assert robustness.main(command) == 1
    said = capsys.readouterr()
    lines = {line.split(" | ")[1]: line for line in said.out.splitlines()}
    assert len(said.err.splitlines()) == 4
    assert lines["chance < 10"] == (
        "90 cell  2 | chance < 10 | 0.4963 to 0.7576 in 4 runs against 10 | "
        "median 9.5, worst 9.24, ratio 0.97 | holds"
    )
    assert lines["chance < 0.76"].startswith("90 cell  3 | ")
    assert lines["chance < 0.76"].endswith("too close")
    assert lines["chance < 0.7"].startswith("90 cell  4 | ")
    assert lines["chance < 0.7"].endswith("FAILS in 1 of 4")
    raised = "NameError: name 'surprise' is not defined"
    assert lines[raised] == f"90 cell  5 | {raised} | raised in 4 of 4"
    assert "2 + 2 < 5" not in lines and len(lines) == 9
    assert file.read_bytes() == stored

    values = {}
    for name in NAMES:
        result = json.loads((tmp_path / "out" / f"90_throw_away.{name}.json").read_text())
        found = {record["source"].split()[0]: record["left"] for record in result["records"]}
        values[name] = found | {"weight": found["weight"]}
    plain = values["one-thread"]
    changed = {n: {key for key in plain if values[n][key] != plain[key]} for n in NAMES[1:]}
    assert changed["seeds-1"] == {"chance", "weight", "order", "jitter", "dropout"}
    assert changed["disturbed-1"] == {"weight"}
    assert values["disturbed-1"]["weight"] == pytest.approx(plain["weight"], rel=2e-6)
    assert changed["bf16"] == {"len(PLAIN.precision)"}
    assert values["bf16"]["len(PLAIN.precision)"] == len("bf16")
    assert PLAIN.precision == "float32"  # in this process nothing has changed

    assert robustness.main(command) == 1  # the same again, without a run
    assert capsys.readouterr() == (said.out, "")
    robustness.main([*command, "--fresh", "--runs", "0"])
    assert not list((tmp_path / "out").iterdir())


def test_tests_are_recorded_by_their_names(tmp_path):
    file = tmp_path / "test_tiny.py"
    file.write_text(
        "import pytest, torch\n"
        "def test_chance():\n"
        "    torch.manual_seed(0)\n"
        "    assert torch.rand(()) < 0.76\n"
        "@pytest.mark.parametrize('x', [1, 2])\n"
        "def test_twice(x):\n"
        "    assert x < 2, 'failed'\n"
        "def test_surprise():\n"
        "    surprise\n"
    )
    found = PytestFiles(file).run("seeds-1", tmp_path / "records.json")
    places = {r["where"].split("::")[1]: (r["left"], r["held"]) for r in found["records"]}
    assert places["test_chance"] == (pytest.approx(0.7576, abs=1e-4), True)
    assert places["test_twice[1]"] == (1.0, True) and places["test_twice[2]"] == (2.0, False)
    errors = {e["where"].split("::")[1]: e["message"] for e in found["errors"]}
    assert errors["test_surprise"] == "NameError: name 'surprise' is not defined"
    assert errors["test_twice[2]"].startswith("AssertionError: failed") and len(errors) == 2


def test_tests_that_cannot_be_run_break_off(tmp_path):
    with pytest.raises(RuntimeError, match="pytest ended with"):
        PytestFiles(tmp_path / "test_missing.py").run("one-thread", tmp_path / "records.json")


def test_unknown_number_is_an_error(capsys):
    with pytest.raises(SystemExit, match="2"):
        robustness.main(["99"])
    assert "no notebook has such a number: 99" in capsys.readouterr().err
