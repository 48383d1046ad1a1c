"""What the commands share: an argument parser, and errors, in one line each."""

import argparse
import sys
from collections.abc import Callable
from typing import NoReturn

MENDABLE = (ValueError, TypeError, OSError, FloatingPointError)  # what a person can mend; all else is a bug


class CommandParser(argparse.ArgumentParser):
    """An argument parser whose complaint is one line; the exit status is 2, as argparse has it."""

    def error(self, message: str) -> NoReturn:
        self.exit(2, f"error: {message}; see {self.prog} --help\n")


def run_command(command: Callable[[argparse.Namespace], int], arguments: argparse.Namespace) -> int:
    """Run a command and return its exit status; an error that a person can mend is one line on stderr and status 2."""
    try:
        return command(arguments)
    except MENDABLE as error:
        print(f"error: {' '.join(str(error).split())}", file=sys.stderr)
        return 2
