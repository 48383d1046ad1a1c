"""Questions: a value to work out, and what typical wrong values come from."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from ..agreement import agrees, as_array, three_digits
from ..attempts import add_event
from .base import Assignment


@dataclass(frozen=True)
class Question(Assignment):
    """A value to work out.

    Args:
        expected: computes the value; numbers that are not whole must agree to three digits.
        wrong: typical wrong values, each with what to say of it; a value may be a function that
            computes it.
        solution: the line of code that answers, as in `answer = 128 * 128 * 3`.
    """

    key: str
    title: str
    difficulty: int
    minutes: int
    expected: Callable[[], Any]
    wrong: tuple[tuple[Any, str], ...]
    answer: str
    hints: tuple[str, str]
    kind: str = "question"

    @property
    def defines(self) -> str:
        """Return the name that the learner's line gives its answer to."""
        return self.answer.partition(" = ")[0]

    @property
    def stub(self) -> str:
        """Return the line that a learner begins with."""
        return f"{self.defines} = ..."

    @property
    def unattempted(self) -> str:
        """Return what a check prints where there is no answer yet."""
        return "Not answered yet: replace the ... and run both cells again."

    def check(self, answer: object) -> Any:
        """Print whether a value is right, and if it is a typical wrong one, what went wrong.

        Return it if it is right, else the right one.
        """
        expected = self.expected()
        if answer is ...:
            print(self.unattempted)
            return expected
        if agrees(answer, expected, three_digits):
            add_event(self.key, "solved")
            print("Correct.")
            return answer
        for value, says in self.wrong:
            if agrees(answer, value() if callable(value) else value, three_digits):
                self._fail(says)
                return expected
        self._fail(_unlike(answer, expected))
        return expected

    def solution_text(self) -> str:
        """Return the line of code that answers."""
        return self.answer


def _unlike(answer: object, expected: object) -> str:
    """Return how the type or the shape of a wrong answer differs, without the right value."""
    given, wanted = as_array(answer), as_array(expected)
    if answer is None:
        return "The answer is None."
    if wanted is not None and given is None:
        kind = "a number" if wanted.ndim == 0 else f"{wanted.size} numbers"
        return f"The answer is {kind}; yours is {type(answer).__name__}."
    if wanted is not None and given.shape != wanted.shape:
        return f"The answer has the shape {wanted.shape}; yours has {given.shape}."
    if wanted is None and type(answer) is not type(expected):
        return f"The answer is of type {type(expected).__name__}, yours {type(answer).__name__}."
    return "That is another value."
