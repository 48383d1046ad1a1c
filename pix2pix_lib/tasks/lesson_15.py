"""The tasks of notebook 15: one picture for all, and how many tiles a picture takes."""

import torch
from torch import Tensor

from ..inference import tile_starts
from .questions import Question
from .writing import Task, mistake

# --- one picture for all --------------------------------------------------------------------------


def best_constant(photos: Tensor) -> Tensor:
    """Return the picture (3, H, W) with the smallest mean L1 to the photos (N, 3, H, W)."""
    return photos.median(dim=0).values


def _inputs_photos(seed: int) -> tuple[Tensor]:
    """Return photos in [-1, 1] whose values are skewed, so that mean and median differ."""
    dice = torch.Generator().manual_seed(seed)
    base = torch.rand(1, 3, 6 + seed, 8, generator=dice)
    return (2 * (base * torch.rand(4 + seed, 3, 6 + seed, 8, generator=dice)) ** 2 - 1,)


def _distance(candidate: object, photos: Tensor) -> object:
    """Return the shape of a single picture and its mean L1 to the photos: several pictures may have the smallest."""
    single = candidate(photos)
    if single is None or isinstance(single, tuple | list | dict):  # torch gives a pair
        return single
    single = torch.as_tensor(single, dtype=torch.float32)
    if single.shape != photos.shape[1:]:
        return {"shape": str(tuple(single.shape)), "mean L1 to the photos": "not measured"}
    distance = float((single - photos).abs().mean())
    return {"shape": str(tuple(single.shape)), "mean L1 to the photos": distance}


def _nearest_photo(photos: Tensor) -> Tensor:
    distances = (photos[:, None] - photos[None]).abs().flatten(2).mean(dim=2).sum(dim=1)
    return photos[distances.argmin()]


def _one_colour(photos: Tensor) -> Tensor:
    values = photos.transpose(0, 1).flatten(1).median(dim=1).values
    return values[:, None, None].expand_as(photos[0])


constant = Task(
    key="15.constant",
    title="one picture for all",
    kind="core",
    difficulty=1,
    minutes=10,
    reference=best_constant,
    stub='''\
def best_constant(photos: Tensor) -> Tensor:
    """Return the picture (3, H, W) with the smallest mean L1 to the photos (N, 3, H, W)."""
    raise NotImplementedError  # which number is nearest to several others?
''',
    inputs=_inputs_photos,
    observe=_distance,
    mistakes=(
        mistake(
            "That is the mean of the photos. It has the smallest mean *squared* distance; L1 asks for another one.",
            ("photos.median(dim=0).values", "photos.mean(dim=0)"),
        ),
        mistake(
            "That is a pair: in torch a median over a dimension comes with its indices. Return the values only.",
            (".values", ""),
        ),
        mistake(
            "That is the photo that is nearest to all others. A picture that is no photo can be nearer still: choose "
            "each pixel on its own.",
            other=_nearest_photo,
        ),
        mistake(
            "You take the middle between the smallest and the largest value. One outlier moves it, however many other "
            "values there are.",
            ("photos.median(dim=0).values", "(photos.amin(dim=0) + photos.amax(dim=0)) / 2"),
        ),
        mistake(
            "That is a single colour for the whole picture. Each pixel may have a value of its own.",
            other=_one_colour,
        ),
        mistake(
            "Your picture has the shape (N, H, W): you went over the colour channels, and the photos are along "
            "dimension 0.",
            ("dim=0", "dim=1"),
        ),
        mistake(
            "That is one number for all photos and pixels. Each pixel may have a value of its own: tell torch the "
            "dimension of the photos, 0.",
            ("photos.median(dim=0).values", "photos.median()"),
        ),
        mistake(
            "Your picture has the shape (1, 3, H, W): the dimension of the photos should be gone.",
            ("median(dim=0)", "median(dim=0, keepdim=True)"),
        ),
        mistake(
            "That is one of the indices, not a value: a median over a dimension gives both.",
            (".values", ".indices"),
        ),
    ),
    hints=(
        "Each pixel is a problem of its own. Its mean has the smallest *squared* distances to its values in all photos; "
        "notebook 05 says which number has the smallest distances.",
        "Half of the values lie on each side of it. Take it over dimension 0, and of the pair that torch returns only "
        "`.values`.",
    ),
)

# --- how many tiles -------------------------------------------------------------------------------

tiles = Question(
    key="15.tiles",
    title="how many tiles?",
    difficulty=1,
    minutes=5,
    expected=lambda: len(tile_starts(1100, 256, 64)) * len(tile_starts(640, 256, 64)),
    wrong=(
        (
            15,
            "That many leave a strip at the right uncovered. Do your tiles only touch, or have you rounded a number down?",
        ),
        (
            24,
            "You divide each whole side by the step. The first tile covers 256 pixels; only the others add a step.",
        ),
        (
            9,
            "You add the numbers across and down. Every row has all the tiles across: multiply.",
        ),
        (
            10,
            "You leave out the first tile of each side.",
        ),
        (
            11,
            "You divide areas. A tile at the border is used in part only, and the overlaps are painted twice.",
        ),
        (
            20,
            "You divide areas. Count the tiles across and down, each rounded up.",
        ),
        (
            32,
            "You take the overlap off at both sides. Two neighbours share *one* strip of 64 pixels.",
        ),
    ),
    answer="answer_1 = 6 * 3  # across: 256 + 5 * 192 = 1216 covers 1100; down: 256 + 2 * 192 = 640",
    hints=(
        "Count across and down on their own. How many pixels does the first tile cover, and how many does each further "
        "one add?",
        "The first tile covers 256 pixels, each further one adds 256 - 64 at most. Down: 256 + 2 * 192 = 640. Across, a "
        "strip that is left needs a tile of its own.",
    ),
)
