"""Checks of what a caller passes in, and the error that says how to mend it."""

from collections.abc import Sequence


class InputError(ValueError):
    """A setting, file or option that the caller can mend; commands print it as one line.

    Any other ValueError that reaches a command is a bug of ours and keeps its traceback.
    """


def check_choice(name: str, value: str, allowed: Sequence[str]) -> None:
    """Check that a value is one of those allowed.

    Raises:
        InputError: if it is not, with all that are.
    """
    if value not in allowed:
        raise InputError(f"{name} must be one of {', '.join(allowed)}; got {value!r}")
