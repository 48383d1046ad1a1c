"""What all kinds of tasks have in common."""

import inspect
import textwrap
import traceback
from collections.abc import Callable

from ..attempts import add_event, read_record
from ..validation import InputError


class Assignment:
    """What all kinds of tasks have in common: a key, a heading, hints, a solution, a record.

    `key` is the lesson's number and the name in its file, as in "04.patch_discriminator"; a
    notebook imports the file as `task`, so that a hint is `task.patch_discriminator.hint()`.
    """

    key: str
    title: str
    kind: str
    difficulty: int
    minutes: int
    hints: tuple[str, str]

    @property
    def name(self) -> str:
        """Return how a notebook calls this task."""
        return f"task.{self.key.partition('.')[2]}"

    @property
    def heading(self) -> str:
        """Return the title, kind, difficulty and minutes, as the notebook's heading has them."""
        time = "1 minute" if self.minutes == 1 else f"{self.minutes} minutes"
        return f"{self.title} ({self.kind}, difficulty {self.difficulty} of 3, {time})"

    def hint(self, number: int = 1) -> None:
        """Print the first or the second hint, after a first attempt.

        Raises:
            InputError: if there is no such hint.
        """
        if number not in (1, 2):
            raise InputError(f"there are hints 1 and 2; got {number!r}")
        standing = read_record().get(self.key)
        if standing is None or not (standing.attempts or standing.solution_shown):
            print("Write something first and run its check: hints come after an attempt.")
            return
        add_event(self.key, f"hint {number}")
        print(wrapped(self.hints[number - 1]))
        if number == 1:
            print(f"One more, if you need it: {self.name}.hint(2)")

    def solution(self) -> None:
        """Print the solution; the record says that you have seen it."""
        add_event(self.key, "solution")
        print(self.solution_text())

    def solution_text(self) -> str:
        """Return the solution's code."""
        raise NotImplementedError

    def _fail(self, says: str, show: Callable[[], None] | None = None) -> None:
        """Record a wrong attempt, say what is wrong, show it, and say where help is."""
        add_event(self.key, "wrong")
        print(wrapped(f"Not yet. {says}"))
        if show is not None:
            show()
        standing = read_record().get(self.key)
        twice = standing is not None and standing.attempts >= 2
        print(
            f"A hint: {self.name}.hint()"
            + (f"; the solution: {self.name}.solution()" if twice else "")
        )


def wrapped(text: str) -> str:
    """Return a text with lines of at most 100 characters: a browser would break within words."""
    return "\n".join(
        textwrap.fill(line, 100, break_long_words=False, break_on_hyphens=False)
        for line in text.splitlines()
    )


def line_of(error: BaseException, candidate: object) -> str:
    """Return the line of the learner's code that raised, if it can be found."""
    functions = vars(candidate).values() if inspect.isclass(candidate) else [candidate]
    files = {each.__code__.co_filename for each in functions if inspect.isfunction(each)}
    frames = [each for each in traceback.extract_tb(error.__traceback__) if each.filename in files]
    return f"\nin its line {frames[-1].lineno}: {frames[-1].line}" if frames else ""
