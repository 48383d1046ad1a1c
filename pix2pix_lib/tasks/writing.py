"""Tasks in which the learner writes or mends code, and checks that name the mistake."""

import hashlib
import inspect
import textwrap
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from types import CodeType
from typing import Any

import torch
from torch import Tensor, nn

from .. import plots
from ..agreement import agrees, as_array, close_to, describe_difference, other_kind
from ..attempts import add_event
from ..limits import OutOfTimeError, run_limited
from ..validation import InputError
from .base import Assignment, line_of, wrapped

VISIBLE = 0.1  # between two pictures in [-1, 1]; gradients, for example, are all grey


@dataclass(frozen=True)
class Mistake:
    """A typical mistake: what to say, and how it behaves.

    It is the solution with pieces of its text replaced, or a function of its own.
    """

    says: str
    edits: tuple[tuple[str, str], ...] = ()
    other: Callable | None = None


def mistake(says: str, *edits: tuple[str, str], other: Callable | None = None) -> Mistake:
    """Return a mistake: `mistake("that is the value without detach", (".detach()", ""))`."""
    return Mistake(says, edits, other)


def source_of(thing: Callable) -> str:
    """Return the code of a function or a class."""
    return textwrap.dedent(inspect.getsource(thing)).rstrip()


def with_edits(text: str, *edits: tuple[str, str]) -> str:
    """Return a text with pieces replaced, wherever each occurs.

    Raises:
        InputError: if a piece does not occur.
    """
    for old, new in edits:
        if old not in text:
            raise InputError(f"{old!r} does not occur in the solution")
        text = text.replace(old, new)
    return text


def with_bug(reference: Callable, *edits: tuple[str, str]) -> str:
    """Return the stub of a debug task: the solution's code with a bug in it."""
    return with_edits(source_of(reference), *edits)


@dataclass(frozen=True)
class Raised:
    """What was observed where a function raised an exception instead of returning."""

    kind: str
    message: str
    line: str = field(default="", compare=False)


@dataclass(frozen=True)
class Task(Assignment):
    """A function or a class that the learner writes (`core`), or mends (`debug`).

    Args:
        reference: the solution, of the library or of the lesson's file.
        stub: the code that a learner begins with. In a core task it ends where the learner's code
            begins, with `raise NotImplementedError`; in a debug task it is `with_bug(...)`.
        inputs: returns the arguments of one run, drawn at random: `inputs(seed)`, the same for the
            same seed. Shapes should differ between seeds.
        observe: what is compared, from the candidate and one run's inputs; by default what the
            candidate returns. Torch's random numbers begin with the run's seed.
        mistakes: at least four, each different from the solution and from each other.
        tolerance: of floats, relative to the largest wanted one.
        show: draws yours beside wanted, from both values; by default pictures are drawn, and
            numbers printed as a table.
        runs, seconds: how many runs are compared, and how long all may take.
    """

    key: str
    title: str
    kind: str
    difficulty: int
    minutes: int
    reference: Callable
    stub: str
    inputs: Callable[[int], tuple]
    mistakes: tuple[Mistake, ...]
    hints: tuple[str, str]
    observe: Callable[..., Any] | None = None
    tolerance: float = 1e-4
    show: Callable[[Any, Any], None] | None = None
    runs: int = 5
    seconds: float = 20.0

    @property
    def defines(self) -> str:
        """Return the name that the learner's code defines."""
        return self.reference.__name__

    @property
    def unattempted(self) -> str:
        """Return what a check prints of the stub."""
        what = "not written yet" if self.kind == "core" else "still as it was given"
        return f"{self.defines}: {what}; the course goes on with its own."

    def check(self, candidate: Callable) -> Callable:
        """Print whether a function or class does what is asked, and if not, what it does instead.

        Return it if it is right, and of a type that later cells can use; else the course's own, so
        that a notebook goes on in either case.
        """
        if self._is_stub(candidate):
            print(self.unattempted)
            return self.reference
        # First, and without a limit: what the course imports late is then there for the learner.
        with torch.random.fork_rng(devices=[]):
            wanted = [self._run(self.reference, seed) for seed in range(self.runs)]
        found: list[Any] = []
        for seed in range(self.runs):  # one run that never ends is enough
            found.append(self._observe(candidate, seed))
            if isinstance(found[-1], Raised) and found[-1].kind == OutOfTimeError.__name__:
                break
        wrong = [run for run, value in enumerate(found) if not self._same(value, wanted[run])]
        if not wrong:
            add_event(self.key, "solved")
            print(f"{self.defines}: right, in {self.runs} of {self.runs} runs.")
            if kinds := other_kind(found, wanted):
                needs = f"Yours gives {kinds[0]}, where the lesson later needs {kinds[1]}"
                print(wrapped(f"{needs}; it goes on with its own."))
                return self.reference
            return candidate
        first = wrong[0]
        known = self.recognise(found) if len(found) == self.runs else None
        value = found[first]
        shown = not isinstance(value, Raised) and value is not None
        if known and isinstance(value, Mapping):  # an observation may hold the mistake alone
            shown = isinstance(wanted[first], Mapping) and bool(wanted[first].keys() & value.keys())
        show = (lambda: self._show(value, wanted[first])) if shown else None
        self._fail(known or self._explain(value), show)
        return self.reference

    def recognise(self, found: list[Any]) -> str | None:
        """Return what to say of a known mistake that gives these values, or None."""
        for each in self.all_mistakes():
            wrong = self.mistaken(each)
            if all(
                self._same(value, self._observe(wrong, seed)) for seed, value in enumerate(found)
            ):
                return each.says
        return None

    def all_mistakes(self) -> tuple[Mistake, ...]:
        """Return the mistakes; in a debug task also the bug itself, in other words."""
        if self.kind != "debug":
            return self.mistakes
        bug = mistake("It still does what the given code does.", other=self.given())
        return (*self.mistakes, bug)

    def mistaken(self, wrong: Mistake) -> Callable:
        """Return the function or class with a mistake in it."""
        return wrong.other or self.compiled(with_edits(self.solution_text(), *wrong.edits))

    def compiled(self, text: str) -> Callable:
        """Return what `text` defines, among the names of the solution's module."""
        names = dict(vars(inspect.getmodule(self.reference)))
        exec(compile(text, f"<{self.key}>", "exec"), names)
        return names[self.defines]

    def given(self) -> Callable:
        """Return the function or class of the stub: in a debug task, the one with the bug."""
        return self.compiled(self.stub)

    def solution_text(self) -> str:
        """Return the solution's code."""
        return source_of(self.reference)

    def _is_stub(self, candidate: object) -> bool:
        return candidate is ... or _codes(candidate) == _codes(self.given()) != ()

    def _observe(self, candidate: Callable, seed: int) -> Any:
        """Return what a candidate gives in one run, or what it raises, in limited time."""
        with torch.random.fork_rng(devices=[]):
            try:
                return run_limited(lambda: self._run(candidate, seed), self.seconds / self.runs)
            except KeyboardInterrupt:
                raise
            except BaseException as error:  # a learner's code may raise anything
                return Raised(type(error).__name__, str(error), line_of(error, candidate))

    def _run(self, candidate: Callable, seed: int) -> Any:
        """Return what a candidate gives in one run, on inputs of its own."""
        observe = self.observe or (lambda function, *inputs: function(*inputs))
        torch.manual_seed(seed)
        return observe(candidate, *self.inputs(seed))

    def _same(self, value: object, wanted: object) -> bool:
        return agrees(value, wanted, close_to(self.tolerance))

    def _explain(self, value: object) -> str:
        """Return what can be said of a mistake that is not known."""
        if isinstance(value, Raised):
            if value.kind == "NotImplementedError":
                return "`raise NotImplementedError` still stands in your code; remove that line."
            return f"Your code raised {value.kind}: {value.message}{value.line}"
        if value is None:
            return "It gives None: a `return` may be missing."
        return "It runs, but gives something else:"

    def _show(self, value: object, wanted: object) -> None:
        """Show yours beside wanted."""
        if self.show is not None and as_array(value) is not None:
            self.show(value, wanted)
        elif rows := _rows_of_pictures(value, wanted):
            alt = f"{self.title}: the picture that your code gives beside the wanted one"
            plots.show(plots.image_grid(rows[:3], ["yours", "wanted"], side=2.2), alt)
        print(describe_difference(value, wanted, close_to(self.tolerance)))


def _codes(thing: object) -> tuple:
    """Return what a function, or each function of a class, was compiled to; () of others."""
    if inspect.isfunction(thing):
        return (_code(thing.__code__),)
    if inspect.isclass(thing):
        functions = {name: each for name, each in vars(thing).items() if inspect.isfunction(each)}
        return tuple((name, _code(functions[name].__code__)) for name in sorted(functions))
    return ()


def _code(code: CodeType) -> tuple:
    constants = tuple(_code(c) if isinstance(c, CodeType) else repr(c) for c in code.co_consts)
    return code.co_code, code.co_names, code.co_varnames, constants


def _rows_of_pictures(value: object, wanted: object) -> list[list[Tensor]]:
    """Return yours beside wanted of each picture that looks otherwise, also in a dictionary."""
    pairs = [(value, wanted)]
    if isinstance(value, Mapping) and isinstance(wanted, Mapping):
        pairs = [(value[name], wanted[name]) for name in wanted if name in value]
    rows = [
        [_picture(yours), _picture(other)]
        for yours, other in pairs
        if _is_picture(yours) and _is_picture(other) and yours.shape == other.shape
    ]
    return [row for row in rows if (row[0] - row[1]).abs().max() > VISIBLE]


def _is_picture(value: object) -> bool:
    """Return whether a value is an image or a batch of them, with 1 or 3 channels."""
    return (
        isinstance(value, Tensor)
        and value.ndim in (3, 4)
        and value.shape[-3] in (1, 3)
        and min(value.shape[-2:]) >= 8
    )


def _picture(value: Tensor) -> Tensor:
    """Return the first image, with its values squeezed into [-1, 1]."""
    image = (value[0] if value.ndim == 4 else value).detach().float().cpu().nan_to_num()
    return image / image.abs().max().clamp(min=1)


def fill(network: nn.Module) -> nn.Module:
    """Give each weight a value that follows from its name and shape; return the network.

    Two networks whose layers have the same names then compute the same, in whatever order the
    layers were made. Weights have a standard deviation of about 0.1; running variances are
    positive.
    """
    for name, tensor in network.state_dict().items():
        if tensor.is_floating_point():
            seed = int.from_bytes(hashlib.sha256(name.encode()).digest()[:4], "big")
            values = 0.1 * torch.randn(tensor.shape, generator=torch.Generator().manual_seed(seed))
            with torch.no_grad():
                tensor.copy_(values.abs() + 0.5 if name.endswith("running_var") else values)
    return network


def observe_module(network: object, *inputs: Tensor) -> Any:
    """Return what a task compares of a network: names and shapes of its weights, and its output.

    The weights are `fill`ed; the network stays in the mode in which it is. What is no network is
    returned as it is.
    """
    if not isinstance(network, nn.Module):
        return network
    weights = {name: list(each.shape) for name, each in network.state_dict().items()}
    with torch.no_grad():
        return {"names and shapes of the weights": weights, "output": fill(network)(*inputs)}
