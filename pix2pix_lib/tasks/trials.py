"""Open tasks: a hypothesis, two conditions, several seeds, a verdict and a reason."""

import math
import statistics
from collections.abc import Callable
from dataclasses import dataclass

from ..attempts import add_event
from ..limits import OutOfTimeError, run_limited
from .base import Assignment, line_of


@dataclass(frozen=True)
class Trial:
    """What an open task measured: each condition's values, one per seed."""

    hypothesis: str
    expect: tuple[str, str, str]
    values: dict[str, list[float]]

    @property
    def finding(self) -> str:
        """Return `supported` or `refuted` if the conditions' ranges lie apart, else `undecided`."""
        first, sign, second = self.expect
        low, high = (first, second) if sign == "<" else (second, first)
        if max(self.values[low]) < min(self.values[high]):
            return "supported"
        return "refuted" if max(self.values[high]) < min(self.values[low]) else "undecided"


@dataclass(frozen=True)
class OpenTask(Assignment):
    """A hypothesis that the learner states, tests over several seeds, and judges by a rubric.

    Args:
        stub: the code that a learner begins with; it sets `hypothesis`, `expect` and `measure`.
        example: one way to do it, with the same names, and last `verdict, because = ...`.
        rubric: questions that the learner and the teacher answer with yes or no, beside the
            general ones.
        seeds: how many values are measured for each of the two conditions.
    """

    key: str
    title: str
    difficulty: int
    minutes: int
    stub: str
    example: str
    example_verdict: str
    hints: tuple[str, str]
    rubric: tuple[str, ...] = ()
    seeds: int = 4
    seconds: float = 300.0
    kind: str = "open"

    VERDICTS = ("supported", "refuted", "undecided")
    RUBRIC = (
        "Could the measurement have refuted the hypothesis?",
        "Do the two conditions differ in one thing only?",
        "Does the number measure what the hypothesis speaks of?",
        "Does the reason name another explanation, and what would tell the two apart?",
    )

    verdict_stub = 'verdict, because = "", ""'
    unattempted = "No hypothesis yet: write one, and how to measure it."
    unjudged = "Nothing to judge yet."

    def run(
        self, hypothesis: str, expect: tuple[str, str, str], measure: Callable[[str, int], float]
    ) -> Trial | None:
        """Measure both conditions for each seed, print a table and return the trial.

        Args:
            hypothesis: one sentence.
            expect: the two conditions and what you expect of their values, as in
                `("lambda 1", "<", "lambda 100")`.
            measure: returns one value for a condition and a seed.
        """
        if not hypothesis.strip():
            print(self.unattempted)
            return None
        try:
            problem = self._problem(hypothesis, expect)
            values = {} if problem else self._measured(expect, measure)
        except NotImplementedError:
            problem = "`raise NotImplementedError` still stands in `measure`; remove that line."
        except (OutOfTimeError, Exception) as error:
            problem = f"Your measurement raised {type(error).__name__}: {error}"
            problem += line_of(error, measure)
        problem = problem or self._flaw(values)
        if problem:
            self._fail(problem)
            return None
        trial = Trial(hypothesis, expect, values)
        for condition, measured in values.items():
            row = "".join(f"{value:>10.4g}" for value in measured)
            print(f"{condition:<24}{row}   mean {statistics.mean(measured):.4g}")
        print(f"Verdict of the numbers: {trial.finding}")
        return trial

    def judge(self, trial: Trial | None, verdict: str, because: str) -> None:
        """Print whether a verdict fits what was measured, and the rubric for its reason."""
        if trial is None or not verdict:
            print(self.unjudged)
            return
        if verdict not in self.VERDICTS:
            self._fail(f"A verdict is one of {', '.join(self.VERDICTS)}; yours is {verdict!r}.")
        elif verdict != trial.finding:
            self._fail(self._misjudged(trial, verdict))
        elif len(because.split()) < 8:
            self._fail("Give a reason in a sentence or two: what else would give these numbers?")
        else:
            add_event(self.key, "solved")
            print(f"The verdict fits the numbers: {verdict}. Now judge the reason, yes or no:")
            for number, question in enumerate((*self.RUBRIC, *self.rubric), 1):
                print(f"  {number}. {question}")

    def solution_text(self) -> str:
        """Return the code of an example."""
        return f"{self.example}\n\n# after the run\n{self.example_verdict}"

    def _problem(self, hypothesis: str, expect: object) -> str | None:
        """Return what is wrong with a hypothesis before anything is measured."""
        if not (isinstance(expect, tuple) and len(expect) == 3 and expect[1] in ("<", ">")):
            return 'Say what you expect as ("one condition", "<", "the other"); "<" or ">".'
        if expect[0] == expect[2]:
            return "Both conditions are the same: nothing could differ."
        if len(hypothesis.split()) < 6:
            return "State the hypothesis as a sentence: what changes, in which direction, and why."
        return None

    def _measured(self, expect: tuple[str, str, str], measure: Callable) -> dict[str, list[float]]:
        def run() -> dict[str, list[float]]:
            return {
                condition: [float(measure(condition, seed)) for seed in range(self.seeds)]
                for condition in expect[::2]
            }

        return run_limited(run, self.seconds)

    def _flaw(self, values: dict[str, list[float]]) -> str | None:
        """Return what is wrong with measured values, whatever the hypothesis."""
        first, second = values.values()
        if not all(map(math.isfinite, first + second)):
            return "Some values are not finite numbers: what does `measure` divide by?"
        if first == second:
            return "Both conditions give the same values: does `measure` use its condition?"
        if len(set(first)) == len(set(second)) == 1:
            return "All seeds give the same value: does `measure` use its seed?"
        return None

    def _misjudged(self, trial: Trial, verdict: str) -> str:
        first, sign, second = trial.expect
        pairs = zip(trial.values[first], trial.values[second])
        agree = sum(a < b if sign == "<" else a > b for a, b in pairs)
        apart = "overlap" if trial.finding == "undecided" else "lie apart"
        return (
            f"You say {verdict}, the numbers say {trial.finding}: {agree} of {self.seeds} seeds "
            f"are as expected, and the ranges {apart}."
        )
