"""What a notebook uses to check its own claims; the tasks of its reader are in tasks/."""

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
    chance. Printed is how far the outputs are apart; another order of adding up may move them by
    1e-4 of the largest.

    Raises:
        InputError: if names or shapes of the weights differ, or the outputs do by more.
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
    if ours.shape != theirs.shape:
        raise InputError(f"the outputs have shapes {tuple(ours.shape)} and {tuple(theirs.shape)}")
    apart = float((ours - theirs).abs().max())
    if not apart <= 1e-4 * float(theirs.abs().max()):  # NaN too
        raise InputError(f"the outputs differ by up to {apart:.3g}")
    name = type(library).__name__
    print(f"hand-built and library's {name} differ by at most {apart:.1g}")
