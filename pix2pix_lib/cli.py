"""What the commands share: an argument parser, logging, and errors of one line."""

import argparse
import logging
import os
import signal
import sys
import threading
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import NoReturn

from .progress import close_bars
from .validation import InputError

# What the person at the keyboard can mend. Anything else is a bug of ours and keeps its traceback.
USER_ERRORS = (InputError, OSError, FloatingPointError, MemoryError)


class CommandParser(argparse.ArgumentParser):
    """An argument parser that complains in one line, with exit status 2, and knows `--debug`."""

    def __init__(self, **options):
        super().__init__(allow_abbrev=False, **options)
        self.add_argument("--debug", action="store_true", help="show the traceback of an error")

    def error(self, message: str) -> NoReturn:
        self.exit(2, f"error: {message}; see {self.prog} --help\n")


class _StdoutHandler(logging.Handler):
    """Print messages as they are, to whatever sys.stdout is at the time."""

    def emit(self, record: logging.LogRecord) -> None:
        print(self.format(record), flush=True)


def configure_logging() -> None:
    """Print what the library logs as plain lines; a second call changes nothing."""
    logger = logging.getLogger(__package__)
    logger.setLevel(logging.INFO if is_first_process() else logging.ERROR)
    if not any(isinstance(handler, _StdoutHandler) for handler in logger.handlers):
        logger.addHandler(_StdoutHandler())


def run_command(command: Callable[[argparse.Namespace], int], arguments: argparse.Namespace) -> int:
    """Run a command and return its exit status.

    An error that a person can mend becomes one line on stderr and status 2, an interruption one
    line and status 130. `--debug` prints the traceback as well. Bugs of ours are raised again.
    """
    configure_logging()
    debug = getattr(arguments, "debug", False)
    try:
        with _no_interruption_lost():
            return command(arguments)
    except KeyboardInterrupt as error:
        line = "; ".join(["interrupted", *_words_of(error)])
        return _report(error, line, 130, debug)
    except USER_ERRORS as error:
        text = " ".join(str(error).split()) or "out of memory"  # MemoryError has no text
        return _report(error, f"error: {text}", 2, debug)
    finally:
        close_bars()


@contextmanager
def _no_interruption_lost() -> Iterator[None]:
    """Interrupt again if Python has dropped an interruption.

    It does so where Ctrl-C meets a `__del__` or the callback of a weak reference: what is raised
    there cannot leave it, and the command would go on as if nothing had been pressed.
    """
    report = sys.unraisablehook

    def interrupt_again(dropped: "sys.UnraisableHookArgs") -> None:
        if issubclass(dropped.exc_type, KeyboardInterrupt):
            # Later, and from another thread: raised here, it would be dropped once more.
            timer = threading.Timer(0.1, signal.raise_signal, [signal.SIGINT])
            timer.daemon = True
            timer.start()
        else:
            report(dropped)

    sys.unraisablehook = interrupt_again
    try:
        yield
    finally:
        sys.unraisablehook = report


def _words_of(error: BaseException | None) -> list[str]:
    """Return what an interruption says; a second one, while the first is dealt with, says nothing.

    Under torchrun there are two: Ctrl-C reaches each process, and torchrun passes it on.
    """
    while error is not None and not (isinstance(error, KeyboardInterrupt) and error.args):
        error = error.__context__
    return [] if error is None else [str(word) for word in error.args]


def _report(error: BaseException, line: str, status: int, debug: bool) -> int:
    """Print an error; of several processes the first speaks, and each that has lost another."""
    close_bars()  # what follows begins a line of its own
    if is_first_process() or isinstance(error, ConnectionError) or _in_own_share(error):
        if debug:
            traceback.print_exception(error)
        print(line, file=sys.stderr)
    return status


def _in_own_share(error: BaseException | None) -> bool:
    """Return whether an error, or its cause, is one that other processes may not meet."""
    return error is not None and (
        getattr(error, "own_share", False) or _in_own_share(error.__cause__)
    )


def is_first_process() -> bool:
    """Return whether this process is the only one, or the first of those that torchrun started."""
    return os.environ.get("RANK", "0") == "0" or "TORCHELASTIC_RUN_ID" not in os.environ
