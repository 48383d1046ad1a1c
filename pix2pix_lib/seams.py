"""Whether image files hold two pictures side by side, from their pixels.

Where two pictures meet, the step from one column to the next is larger than those around it in
nearly every row. In a single picture that is so in a tenth of the rows, where "larger" means than
nine of ten of the steps near it. So the measure needs no scale: it works for grey and colour, for
flat labels and coarse textures.
"""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from .images import evenly_spread, read_values

_SEAM, _NO_SEAM = 0.5, 0.25  # shares of the rows


@dataclass(frozen=True)
class Seams:
    """What the middles of some files show.

    Args:
        looked_at: how many files were read.
        seams: in how many there is a seam.
        runs_on: in how many the picture runs on.
        panels: in how many there are seams at the thirds instead.
        all_twice_as_wide: whether all are exactly twice as wide as high.
    """

    looked_at: int
    seams: int
    runs_on: int
    panels: int
    all_twice_as_wide: bool

    @property
    def speak_for_pairs(self) -> bool:
        return self.seams > max(self.runs_on, self.panels)


def look_at_seams(files: Sequence[Path], most: int = 16) -> Seams:
    """Read up to `most` files, evenly spread, and look at their middles.

    Raises:
        InputError: if a file cannot be read as an image.
    """
    chosen = evenly_spread(files, most)
    verdicts, all_twice_as_wide = Counter(), True
    for file in chosen:
        values = read_values(file)
        all_twice_as_wide &= values.shape[2] == 2 * values.shape[1]
        verdicts[_verdict(values)] += 1
    return Seams(
        looked_at=len(chosen),
        seams=verdicts["seam"],
        runs_on=verdicts["runs on"],
        panels=verdicts["panels"],
        all_twice_as_wide=all_twice_as_wide,
    )


def _verdict(values: np.ndarray) -> str:
    """Return what an image (bands, H, W) shows: "seam", "panels", "runs on", or "" if unclear."""
    height, width = values.shape[1:]
    middle = max(seam_strength(values, (width + odd) // 2) for odd in (0, 1))
    if middle > _SEAM:
        return "seam"
    thirds = [max(seam_strength(values, n * width // 3 + i) for i in (0, 1)) for n in (1, 2)]
    if width > 2 * height and min(thirds) > _SEAM:
        return "panels"
    return "runs on" if 0 <= middle < _NO_SEAM else ""


def seam_strength(values: np.ndarray, column: int) -> float:
    """Return in which share of the rows the step to a column exceeds nine of ten steps near it.

    Args:
        values: an image (bands, H, W).
        column: the first column of the right picture.

    Returns:
        0 to 1: about 0.1 where a picture runs on. -1 if nothing changes there in most rows, as
        where both pictures have white borders.
    """
    reach = max(4, values.shape[2] // 32)
    first = max(0, column - 1 - reach)
    near = values[:, :, first : column + reach + 1].astype(np.float32)
    steps = np.abs(np.diff(near, axis=2)).mean(0)  # (H, columns - 1)
    place = column - 1 - first
    if not 0 <= place < steps.shape[1] or steps.shape[1] < 3:
        return -1
    step, usual = steps[:, place], np.quantile(np.delete(steps, place, axis=1), 0.9, axis=1)
    visible = 4 / 255 * max(float(values.max()) - float(values.min()), 1e-6)
    alive = np.maximum(step, usual) > visible
    if alive.mean() < 0.25:
        return -1
    return float((step > usual)[alive].mean())
