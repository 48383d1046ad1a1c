"""Open tasks: what is measured decides, and what was not measured is told."""

import math
from dataclasses import replace

import pytest

from pix2pix_lib.attempts import read_record
from pix2pix_lib.tasks.trials import OpenTask

SENTENCE = "A longer ruler gives larger values, as it covers more."
EXPECT = ("short", "<", "long")
REASON = "The ruler may be worn at its end; a second ruler of the same length would tell."
TASK = OpenTask(
    key="99.ruler",
    title="rulers",
    difficulty=1,
    minutes=5,
    stub="",
    example="",
    example_verdict="",
    hints=("a first hint", "a second hint"),
    rubric=("Is it a ruler?",),
)


@pytest.fixture(autouse=True)
def own_record(tmp_path, monkeypatch):
    monkeypatch.setenv("PIX2PIX_PROGRESS", str(tmp_path / "progress.jsonl"))


def apart(condition: str, seed: int) -> float:
    return {"short": 1.0, "long": 2.0}[condition] + seed / 10


def crossing(condition: str, seed: int) -> float:
    return {"short": 1.0, "long": 1.05}[condition] + seed / 10


@pytest.mark.parametrize(
    ("expect", "measure", "finding"),
    [
        (EXPECT, apart, "supported"),
        (("long", ">", "short"), apart, "supported"),
        (("short", ">", "long"), apart, "refuted"),
        (EXPECT, crossing, "undecided"),
        (("short", ">", "long"), crossing, "undecided"),
    ],
)
def test_ranges_of_the_seeds_decide(expect, measure, finding, capsys):
    trial = TASK.run(SENTENCE, expect, measure)
    assert trial.finding == finding
    assert trial.values["short"] == [measure("short", seed) for seed in range(4)]
    out = capsys.readouterr().out
    assert ["1", "1.1", "1.2", "1.3", "mean", "1.15"] in [
        line.split()[1:] for line in out.splitlines()
    ]
    assert out.endswith(f"Verdict of the numbers: {finding}\n")


def unwritten(condition, seed):
    raise NotImplementedError


def endless(condition, seed):
    while True:
        pass


@pytest.mark.parametrize(
    ("hypothesis", "expect", "measure", "says"),
    [
        ("Longer is larger.", EXPECT, apart, "State the hypothesis as a sentence"),
        (SENTENCE, ("short", "long"), apart, "Say what you expect as"),
        (SENTENCE, ("short", "=", "long"), apart, "Say what you expect as"),
        (SENTENCE, ("short", "<", "short"), apart, "Both conditions are the same"),
        (SENTENCE, EXPECT, unwritten, "still stands in `measure`"),
        (SENTENCE, EXPECT, endless, "OutOfTimeError"),
        (SENTENCE, EXPECT, lambda condition, seed: 1 / 0, "ZeroDivisionError: division by zero"),
        (SENTENCE, EXPECT, lambda condition, seed: math.nan, "not finite numbers"),
        (SENTENCE, EXPECT, lambda condition, seed: seed, "does `measure` use its condition"),
        (SENTENCE, EXPECT, lambda condition, seed: len(condition), "does `measure` use its seed"),
        (SENTENCE, EXPECT, lambda condition, seed: None, "TypeError"),
    ],
)  # fmt: skip
def test_flaw_is_told_and_counts_as_an_attempt(hypothesis, expect, measure, says, capsys):
    assert replace(TASK, seconds=0.5).run(hypothesis, expect, measure) is None
    out = " ".join(capsys.readouterr().out.split())
    assert out.startswith("Not yet. ") and says in out
    assert read_record()[TASK.key].attempts == 1


def test_nothing_written_is_no_attempt(capsys):
    assert TASK.run("", EXPECT, unwritten) is None
    TASK.judge(None, "supported", REASON)
    TASK.judge(TASK.run(SENTENCE, EXPECT, apart), "", "")
    assert TASK.key not in read_record()
    assert "No hypothesis yet" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("verdict", "because", "says"),
    [
        ("proved", REASON, "A verdict is one of supported, refuted, undecided; yours is 'proved'"),
        ("refuted", REASON, "the numbers say supported: 4 of 4 seeds are as expected, and the "
                            "ranges lie apart"),
        ("supported", "It is so.", "Give a reason"),
    ],
)  # fmt: skip
def test_verdict_that_does_not_fit_is_refused(verdict, because, says, capsys):
    TASK.judge(TASK.run(SENTENCE, EXPECT, apart), verdict, because)
    assert says in " ".join(capsys.readouterr().out.split())
    assert not read_record()[TASK.key].solved


def test_fitting_verdict_is_solved_and_the_rubric_left_to_a_person(capsys):
    TASK.judge(TASK.run(SENTENCE, EXPECT, apart), "supported", REASON)
    out = capsys.readouterr().out
    assert "The verdict fits the numbers: supported." in out and "5. Is it a ruler?" in out
    assert read_record()[TASK.key].solved
