"""Running a learner's function for a limited time, in any thread, on any system."""

import ctypes
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any


class OutOfTimeError(Exception):
    """The function did not end in time."""


class _Stop(BaseException):
    """Raised inside a function that must end; `except Exception` does not catch it."""


@contextmanager
def _silent_stops() -> Iterator[None]:
    """Keep Python from reporting a stop that it drops, as it does inside a destructor.

    The next one follows a moment later.
    """
    before = sys.unraisablehook

    def hook(unraisable: "sys.UnraisableHookArgs") -> None:
        if not isinstance(unraisable.exc_value, _Stop):
            before(unraisable)

    sys.unraisablehook = hook
    try:
        yield
    finally:
        sys.unraisablehook = before


def run_limited(function: Callable[[], Any], seconds: float) -> Any:
    """Return what `function()` returns or raises, if it ends within `seconds`.

    It runs in a thread of its own, so that an endless loop can be stopped from outside. A single
    call that waits inside C code cannot; it is left behind, and its result is dropped.

    Raises:
        OutOfTimeError: if it does not end in time.
    """
    outcome: list[tuple[bool, Any]] = []

    def run() -> None:
        try:
            outcome.append((True, function()))
        except BaseException as error:  # SystemExit too: a learner's exit() must not end a check
            outcome.append((False, error))

    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    try:
        thread.join(seconds)
    finally:  # an interrupted check leaves no loop behind
        with _silent_stops():
            for _ in range(20):
                if not thread.is_alive():
                    break
                stop = ctypes.py_object(_Stop)
                ctypes.pythonapi.PyThreadState_SetAsyncExc(ctypes.c_ulong(thread.ident), stop)
                thread.join(0.1)
    if not outcome or isinstance(outcome[0][1], _Stop):
        raise OutOfTimeError(f"it did not end within {seconds:g} seconds; is there a loop?")
    returned, value = outcome[0]
    if not returned:
        raise value
    return value
