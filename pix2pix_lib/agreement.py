"""Whether a learner's value is the wanted one, whatever its type, and in words how it differs."""

import math
from collections.abc import Callable, Mapping

import numpy as np
from torch import Tensor

Close = Callable[[np.ndarray, np.ndarray], np.ndarray]
ROWS = 6  # of a table of differing numbers


def close_to(tolerance: float) -> Close:
    """Return a comparison of arrays: within `tolerance` times the largest wanted magnitude."""

    def close(answer: np.ndarray, expected: np.ndarray) -> np.ndarray:
        finite = np.abs(expected[np.isfinite(expected)])
        scale = finite.max(initial=0.0)
        with np.errstate(invalid="ignore"):  # inf - inf
            near = np.abs(answer - expected) <= tolerance * (scale or 1.0)
        return near | (answer == expected) | (np.isnan(answer) & np.isnan(expected))

    return close


def three_digits(answer: np.ndarray, expected: np.ndarray) -> np.ndarray:
    """Compare arrays to three significant digits, for numbers that a person works out."""
    with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
        unit = 10.0 ** (np.floor(np.log10(np.abs(expected))) - 2)
        near = np.abs(answer - expected) <= 0.501 * unit
    return near & np.isfinite(expected) & (expected != 0) | (answer == expected)


def agrees(answer: object, expected: object, close: Close) -> bool:
    """Return whether a value is the expected one.

    A list counts for a tuple, a tensor or an array for a list of numbers, 572.0 for 572. Whole
    numbers must be equal; others are compared by `close`. A truth value is not a number.
    """
    if isinstance(expected, Mapping):
        same_names = isinstance(answer, Mapping) and answer.keys() == expected.keys()
        return same_names and all(agrees(answer[name], expected[name], close) for name in expected)
    wanted = as_array(expected)
    if wanted is not None:
        given = as_array(answer)
        if given is None or given.shape != wanted.shape:
            return False
        if "b" in (given.dtype.kind, wanted.dtype.kind):
            return given.dtype == wanted.dtype and bool((given == wanted).all())
        if wanted.dtype.kind in "iu":
            return bool((given == wanted).all())
        return bool(np.all(close(given.astype(float), wanted.astype(float))))
    if isinstance(expected, list | tuple):
        same_length = isinstance(answer, list | tuple) and len(answer) == len(expected)
        return same_length and all(agrees(*pair, close) for pair in zip(answer, expected))
    try:
        return bool(answer == expected)
    except (RuntimeError, TypeError, ValueError):  # such as a tensor beside a word
        return False


def other_kind(answer: object, expected: object) -> tuple[str, str] | None:
    """Return what an equal value is and what is expected, where code after it could stumble.

    That is where a tensor is expected, and something else or another dtype came; else None.
    """
    if isinstance(expected, Tensor):
        kinds = tuple(
            f"a tensor of {each.dtype}" if isinstance(each, Tensor) else type(each).__name__
            for each in (answer, expected)
        )
        return None if kinds[0] == kinds[1] else kinds
    if isinstance(expected, Mapping) and isinstance(answer, Mapping):
        pairs = [(answer.get(name), each) for name, each in expected.items()]
    elif isinstance(expected, list | tuple) and isinstance(answer, list | tuple):
        pairs = list(zip(answer, expected))
    else:
        return None
    return next((kinds for pair in pairs if (kinds := other_kind(*pair))), None)


def as_array(value: object) -> np.ndarray | None:
    """Return numbers or truth values as an array, None for anything else or nothing."""
    if isinstance(value, Tensor):
        value = value.detach().cpu()
        value = (value.float() if value.is_floating_point() else value).numpy()
    if isinstance(value, list | tuple):
        if not value:
            return None
        rows = [as_array(item) for item in value]
        shapes = {None if row is None else row.shape for row in rows}
        if None in shapes or len(shapes) > 1 or len({row.dtype.kind == "b" for row in rows}) > 1:
            return None
        return np.stack(rows)
    if not isinstance(value, np.ndarray | np.generic | bool | int | float):
        return None
    try:
        array = np.asarray(value)
    except OverflowError:
        return None
    return array if array.dtype.kind in "biuf" else None


def describe_difference(answer: object, expected: object, close: Close) -> str:
    """Return in words and numbers, yours beside wanted, how a value differs from the expected."""
    if answer is None:
        return "yours is None: a `return` may be missing"
    if isinstance(expected, Mapping) and isinstance(answer, Mapping):
        lines = []
        for name in expected:
            if name not in answer:
                lines.append(f"{name}: missing from yours")
            elif not agrees(answer[name], expected[name], close):
                lines.append(f"{name}: {describe_difference(answer[name], expected[name], close)}")
        lines += [f"{name}: not wanted" for name in answer if name not in expected]
        return "\n".join(lines[:ROWS] + (["..."] if len(lines) > ROWS else []))
    given, wanted = as_array(answer), as_array(expected)
    if given is None or wanted is None:
        return f"yours: {_short(answer)}\nwanted: {_short(expected)}"
    if given.shape != wanted.shape:
        return f"yours has the shape {given.shape}, wanted is {wanted.shape}"
    return _table(given, wanted)


def _table(given: np.ndarray, wanted: np.ndarray) -> str:
    """Return the entries that differ most, yours beside wanted."""
    if wanted.ndim == 0 or (wanted.ndim == 1 and wanted.size <= ROWS):
        yours, ours = (
            ", ".join(str(x) if values.dtype.kind == "b" else f"{x:.6g}" for x in values.ravel())
            for values in (given, wanted)
        )
        return f"yours: {yours}; wanted: {ours}"
    apart = np.nan_to_num(np.abs(given.astype(float) - wanted.astype(float)), nan=math.inf)
    lines = [f"{'at':<18}{'yours':>12}{'wanted':>12}"]
    for flat in np.argsort(-apart, axis=None, kind="stable")[:ROWS]:
        at = tuple(int(i) for i in np.unravel_index(flat, apart.shape))
        lines.append(f"{at!s:<18}{float(given[at]):>12.5g}{float(wanted[at]):>12.5g}")
    count = int((apart > 0).sum())
    return "\n".join([f"{count} of {wanted.size} numbers differ; the furthest:", *lines])


def _short(value: object) -> str:
    """Return a value's text and type in one short line."""
    if isinstance(value, Tensor):
        return f"a tensor of shape {tuple(value.shape)}"
    text = " ".join(repr(value).split())
    return f"{text if len(text) <= 70 else text[:67] + '...'} ({type(value).__name__})"
