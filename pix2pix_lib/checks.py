"""What a notebook uses to check its own claims, and its reader's answers."""

import math

import numpy as np
import torch
from torch import Tensor, nn

from .layers import ShapeRow
from .validation import InputError


def check_shape(tensor: Tensor, *expected: int) -> None:
    """Print a tensor's shape if it is the expected one.

    Raises:
        InputError: if it is not, with both shapes.
    """
    if tuple(tensor.shape) != expected:
        raise InputError(f"expected shape {expected}; got {tuple(tensor.shape)}")
    print(f"shape {tuple(tensor.shape)}, as expected")


def shape_table(rows: list[ShapeRow]) -> str:
    """Return the rows as a text table with the sum of the parameters."""
    lines = [f"{'module':<12}{'kind':<18}{'in':<22}{'out':<22}{'parameters':>12}"]
    for row in rows:
        lines.append(
            f"{row.name:<12}{row.kind:<18}{row.before!s:<22}{row.after!s:<22}{row.parameters:>12,}"
        )
    lines.append(f"{'sum':<74}{sum(row.parameters for row in rows):>12,}")
    return "\n".join(lines)


def check_same(hand_built: nn.Module, library: nn.Module, *inputs: Tensor) -> None:
    """Load a hand-built module's weights into the library's and check that both compute the same.

    Both run in evaluation mode, where neither dropout nor running statistics make them differ by
    chance.

    Raises:
        InputError: if names or shapes of the weights differ, or the outputs do.
    """
    try:
        library.load_state_dict(hand_built.state_dict())
    except RuntimeError as error:
        raise InputError(
            f"the hand-built module has other weights than the library's: {error}"
        ) from error
    modes = hand_built.training, library.training
    try:
        with torch.no_grad():
            ours, theirs = hand_built.eval()(*inputs), library.eval()(*inputs)
    finally:
        hand_built.train(modes[0])
        library.train(modes[1])
    if not torch.equal(ours, theirs):
        raise InputError(f"the outputs differ by up to {(ours - theirs).abs().max():.3g}")
    print(
        f"hand-built {type(hand_built).__name__} = library's {type(library).__name__}: "
        f"{torch.equal(ours, theirs)}"
    )


def check_exercise(answer: object, expected: object, hint: str) -> None:
    """Print whether an exercise is solved; `...` counts as no answer yet.

    Only the value counts: 572.0 for 572, a list for a tuple, a tensor for a list or a number.
    Numbers that are not whole agree if they do to three digits.
    """
    if answer is ...:
        print("Not answered yet: replace the ... above and run this cell again.")
    elif _agrees(_plain(answer), _plain(expected)):
        print("Correct.")
    else:
        print(f"Not yet. {hint}")


def _plain(value: object) -> object:
    """Return tensors, arrays and tuples as lists and numbers."""
    if isinstance(value, Tensor):
        value = value.detach().cpu().numpy()
    if isinstance(value, np.ndarray | np.generic):
        return value.tolist()
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    if isinstance(value, dict):
        return {key: _plain(item) for key, item in value.items()}
    return value


def _agrees(answer: object, expected: object) -> bool:
    if isinstance(expected, list):
        same_length = isinstance(answer, list) and len(answer) == len(expected)
        return same_length and all(map(_agrees, answer, expected))
    if isinstance(expected, dict):
        same_names = isinstance(answer, dict) and answer.keys() == expected.keys()
        return same_names and all(_agrees(answer[name], expected[name]) for name in expected)
    if isinstance(expected, bool) or isinstance(answer, bool):  # True is no number here
        return answer is expected
    if isinstance(expected, float) and isinstance(answer, int | float):
        if expected == answer or expected == 0 or not math.isfinite(expected):
            return expected == answer
        unit = 10.0 ** (math.floor(math.log10(abs(expected))) - 2)  # of the third digit
        return abs(answer - expected) <= 0.501 * unit
    return type(answer) in (type(expected), int, float) and answer == expected
