"""The tasks of notebook 00: start here."""

import numpy as np

from .questions import Question
from .writing import Task, mistake

numbers = Question(
    key="00.numbers",
    title="count the numbers",
    difficulty=1,
    minutes=2,
    expected=lambda: 128 * 128 * 3,
    wrong=(
        (
            128 * 128,
            "That is one number for each pixel. A photo has three channels: red, green and blue.",
        ),
        (128 * 3, "That is one row of pixels only."),
        (
            128 * 128 * 12,
            "The photo has colours, not classes: three numbers for each pixel, not twelve.",
        ),
        (128 * 128 * 4, "That counts the label map, too; the generator is given it."),
        (3 * 128 + 128, "Multiply: there are as many pixels as height times width."),
    ),
    answer="answer_1 = 128 * 128 * 3",
    hints=(
        "How many pixels are there, and how many numbers does one coloured pixel take?",
        "Height times width times channels; a colour has three.",
    ),
)


def open_shop(classes: np.ndarray) -> np.ndarray:
    """Return a label map (H, W) with a shop in rows 98 to 119, columns 24 to 49."""
    opened = classes.copy()
    opened[98:120, 24:50] = 11
    return opened


def _label_map(seed: int) -> tuple[np.ndarray]:
    random = np.random.default_rng(seed)
    return (random.integers(0, 10, (124 + 4 * seed, 140 - 4 * seed), dtype=np.uint8),)


def _both_maps(candidate: object, classes: np.ndarray) -> object:
    given = classes.copy()
    value = candidate(given)
    if not isinstance(value, np.ndarray):
        return value if value is None else {"type": type(value).__name__}
    return {"the new label map": value, "the given one afterwards": given}


shop = Task(
    key="00.shop",
    title="open a shop",
    kind="core",
    difficulty=1,
    minutes=5,
    reference=open_shop,
    stub='''\
def open_shop(classes: np.ndarray) -> np.ndarray:
    """Return a label map (H, W) with a shop in rows 98 to 119, columns 24 to 49."""
    raise NotImplementedError  # copy, paint, return
''',
    inputs=_label_map,
    observe=_both_maps,
    mistakes=(
        mistake(
            "The given label map has changed as well: `=` gives an array a second name and copies nothing.",
            ("classes.copy()", "classes"),
        ),
        mistake(
            "The last row and the last column of the shop are missing: the end of a slice is not part of it.",
            ("98:120, 24:50", "98:119, 24:49"),
        ),
        mistake(
            "Rows and columns are exchanged; rows come first.", ("98:120, 24:50", "24:50, 98:120")
        ),
        mistake(
            "The shop lies one row too high and one column too far left: counting begins at 0, not at 1.",
            ("98:120, 24:50", "97:119, 23:49"),
        ),
        mistake("That class is a pillar; the list above has the shop's number.", ("= 11", "= 10")),
        mistake(
            "There is a shop, but all else is gone: begin with a copy of the given map, not with zeros.",
            ("classes.copy()", "np.zeros_like(classes)"),
        ),
        mistake(
            "No shop appears: after the first slice has cut rows, a second pair of brackets cuts rows again.",
            ("[98:120, 24:50]", "[98:120][24:50]"),
        ),
        mistake(
            "You return the shop alone; the whole label map is wanted.",
            ("return opened", "return opened[98:120, 24:50]"),
        ),
    ),
    hints=(
        "The cell that builds `mine` paints rectangles with slices. What must you do first, so that `mine` stays as it is?",
        "Copy with `classes.copy()`. The end of a slice is not part of it: rows 98 to 119 are `98:120`.",
    ),
)
