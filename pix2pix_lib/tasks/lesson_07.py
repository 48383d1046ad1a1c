"""The tasks of notebook 07: how often each pixel is seen, and a control for an explanation."""

import random

import torch
from torch import Tensor

from .. import plots
from ..agreement import as_array
from ..receptive_field import ReceptiveField
from .writing import Task, mistake

# --- how often is each pixel seen? ----------------------------------------------------------------


def times_seen(field: ReceptiveField, rows: int, cols: int, height: int, width: int) -> Tensor:
    """Return how many of rows x cols patches see each pixel of a picture, as (height, width)."""
    seen = torch.zeros(height, width)
    for row in range(rows):
        for col in range(cols):
            box = field.box(row, col).clipped(height, width)
            seen[box.top : box.bottom, box.left : box.right] += 1
    return seen


def _field_and_map(seed: int) -> tuple:
    rng = random.Random(seed)
    stride = rng.choice((2, 3, 4))
    field = ReceptiveField(rng.randrange(7, 16), stride, -rng.randrange(3, 7))
    rows, cols = rng.sample(range(4, 10), 2)
    return field, rows, cols, stride * rows + rng.randrange(3), stride * cols + rng.randrange(3)


def _draw_counts(yours: object, wanted: object) -> None:
    yours, wanted = as_array(yours), as_array(wanted)
    if yours.ndim != 2:
        return
    figure, axes = plots.new_figure(6, 2.8, 1, 2)
    for axis, counts, title in zip(axes, (yours, wanted), ("yours", "wanted")):
        drawn = axis.imshow(counts, cmap="cividis", vmin=0, vmax=wanted.max())
        axis.set_title(title, fontsize=10)
    figure.colorbar(drawn, ax=axes, label="patches that see the pixel")
    plots.show(figure, "Two maps of how many patches see each pixel: yours beside the wanted one")


coverage = Task(
    key="07.coverage",
    title="how many patches see a pixel?",
    kind="core",
    difficulty=2,
    minutes=10,
    reference=times_seen,
    stub='''\
def times_seen(field: ReceptiveField, rows: int, cols: int, height: int, width: int) -> Tensor:
    """Return how many of rows x cols patches see each pixel of a picture, as (height, width)."""
    seen = torch.zeros(height, width)
    raise NotImplementedError  # each patch counts once for all pixels in its box
''',
    inputs=_field_and_map,
    show=_draw_counts,
    mistakes=(
        mistake(
            "Boxes that begin outside the picture are lost: a slice that begins below 0 counts from the far end.",
            (".clipped(height, width)", ""),
        ),
        mistake(
            "Each pixel is marked once, however many patches see it; it should be counted.",
            ("+= 1", "= 1"),
        ),
        mistake(
            "The last row and the last column of each box are missing: its bottom and right lie one past them, as in a "
            "slice.",
            ("box.bottom", "box.bottom - 1"),
            ("box.right", "box.right - 1"),
        ),
        mistake(
            "The last row and the last column of each box are missing, even before the box is clipped.",
            (".clipped(height, width)", ""),
            ("box.top : box.bottom", "max(box.top, 0) : max(box.bottom - 1, 0)"),
            ("box.left : box.right", "max(box.left, 0) : max(box.right - 1, 0)"),
        ),
        mistake(
            "Each box is a row and a column too large: its bottom and right lie one past the last pixel already.",
            ("box.bottom", "box.bottom + 1"),
            ("box.right", "box.right + 1"),
        ),
        mistake(
            "Row and column of the patch have changed places: `box` wants the row first.",
            ("box(row, col)", "box(col, row)"),
        ),
        mistake(
            "The box's rows are used as columns: in `seen[..., ...]` the rows, top to bottom, come first.",
            (
                "box.top : box.bottom, box.left : box.right",
                "box.left : box.right, box.top : box.bottom",
            ),
        ),
        mistake(
            "Height and width have changed places where the box is clipped.",
            (".clipped(height, width)", ".clipped(width, height)"),
        ),
        mistake(
            "Only the patches on the diagonal are counted: each row goes with each column.",
            ("        for col in range(cols):\n", "        for col in [row]:\n"),
        ),
        mistake(
            "The patches of the last row and column are missing: `range(rows)` ends before `rows` already.",
            ("range(rows)", "range(rows - 1)"),
            ("range(cols)", "range(cols - 1)"),
        ),
        mistake(
            "Only patches that lie wholly on the picture are counted; the others see a part of it.",
            (
                "            seen[",
                "            if field.box(row, col) != box:\n                continue\n            seen[",
            ),
        ),
    ),
    hints=(
        "Begin with one patch: which slice of `seen` are its pixels? `field.box(row, col)` has the borders.",
        "Two loops, over rows and columns; `seen[top:bottom, left:right] += 1`, with the box `clipped` to the picture.",
    ),
)

# --- a control ------------------------------------------------------------------------------------


def paler(images: Tensor, factor: float) -> Tensor:
    """Return pictures with `factor` of their contrast; each keeps its own mean colour."""
    mean = images.mean(dim=(2, 3), keepdim=True)  # (N, 3, 1, 1)
    return mean + factor * (images - mean)


def _pictures_and_factor(seed: int) -> tuple[Tensor, float]:
    count, height, width = 2 + seed % 3, 12 + 4 * seed, 20
    colour = 1.2 * torch.rand(count, 3, 1, 1) - 0.6
    return colour + 0.8 * torch.rand(count, 3, height, width) - 0.4, (0.3, 0.8, 0.6, 0.1, 0.0)[seed]


def _leaving_the_pictures(function: object, images: Tensor, factor: float) -> object:
    """Return what a function returns; if it changes the pictures themselves, what became of them."""
    before = images.clone()
    found = function(images, factor)
    return found if torch.equal(images, before) else {"the pictures that you were given": images}


control = Task(
    key="07.control",
    title="a control of your own",
    kind="core",
    difficulty=2,
    minutes=10,
    reference=paler,
    stub='''\
def paler(images: Tensor, factor: float) -> Tensor:
    """Return pictures with `factor` of their contrast; each keeps its own mean colour."""
    raise NotImplementedError  # pull each pixel towards its picture's mean colour
''',
    inputs=_pictures_and_factor,
    observe=_leaving_the_pictures,
    mistakes=(
        mistake(
            "The pictures are pulled towards the value 0, a middle grey, and so their mean colours change, too.",
            ("mean + factor * (images - mean)", "factor * images"),
        ),
        mistake(
            "The mean colour is subtracted, but not added again.",
            ("mean + factor * (images - mean)", "factor * (images - mean)"),
        ),
        mistake(
            "The mean colour is added to the whole picture: only the difference from it should be scaled.",
            ("factor * (images - mean)", "factor * images"),
        ),
        mistake(
            "Each pixel is pulled towards a grey of its own: its mean is taken over the three colours.",
            ("dim=(2, 3)", "dim=1"),
        ),
        mistake(
            "The factor is the wrong way round: 1 should leave a picture as it is, 0 should make it flat.",
            ("factor * (images - mean)", "(1 - factor) * (images - mean)"),
        ),
        mistake(
            "All pictures are pulled towards one colour, the mean of the batch: take the mean of each picture.",
            ("dim=(2, 3)", "dim=(0, 2, 3)"),
        ),
        mistake(
            "Each picture is pulled towards a grey: its mean is taken over the colour channels as well.",
            ("dim=(2, 3)", "dim=(1, 2, 3)"),
        ),
        mistake(
            "All pictures are pulled towards one grey: the mean is one number for the whole batch.",
            ("images.mean(dim=(2, 3), keepdim=True)", "images.mean()"),
        ),
        mistake(
            "Each column of pixels has a mean of its own: a mean colour is taken over height and width.",
            ("dim=(2, 3)", "dim=2"),
        ),
        mistake(
            "Your function changes the pictures that it is given: `-=`, `*=` and names that end in _ work in place.",
            ("mean + factor * (images - mean)", "images.sub_(mean).mul_(factor).add_(mean)"),
        ),
    ),
    hints=(
        "What should `paler(images, 0.0)` be, and what `paler(images, 1.0)`? The others lie on the way between the two.",
        "The mean over `dim=(2, 3)` with `keepdim=True` has the shape (N, 3, 1, 1); keep a share of the way from it.",
    ),
)
