"""What the commands share: an argument parser, and errors, in one line each."""

import argparse
import sys
from collections.abc import Callable
from typing import NoReturn

from .progress import close_bars

# What a person can mend; all else is a bug.
MENDABLE = (ValueError, TypeError, OSError, FloatingPointError, MemoryError)


class CommandParser(argparse.ArgumentParser):
    """An argument parser whose complaint is one line; the exit status is 2, as argparse has it."""

    def error(self, message: str) -> NoReturn:
        self.exit(2, f"error: {message}; see {self.prog} --help\n")


def run_command(command: Callable[[argparse.Namespace], int], arguments: argparse.Namespace) -> int:
    """Run a command and return its exit status; an error that a person can mend is one line on stderr and status 2.

    An interruption that the command has nothing to say about is one line and status 130.
    """
    try:
        return command(arguments)
    except MENDABLE as error:
        close_bars()
        text = " ".join(str(error).split()) or "out of memory"  # Python's own MemoryError says nothing
        print(f"error: {text}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        close_bars()
        print("interrupted", file=sys.stderr)
        return 130
