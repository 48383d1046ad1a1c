"""Normalisation: which maps of a batch share a mean and a deviation, and what a norm makes of one.

Source: Wu and He 2018, figure 2, here with the features of a trained generator.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
import torch.nn.functional as F
from PIL import Image
from torch import Tensor

from ..facades import facade_tensors, split_seeds
from ..layers import NORMS
from ..plots import BLUE
from ..trained import shared_snapshot
from ..validation import InputError
from . import drawing
from .base import Choice, Explorer, Slider, Switch, View
from .picture import Picture, Scale, Spot

CHANNELS, POOL, LARGEST_BATCH = 8, 8, 4  # of the default features, and the largest batch
# Screen pixels: of all columns, of a column at most, of a map on its own, for the numbers.
GRID, CELL, SIDE, HEADING = 400, 63, 190, 20
# Screen pixels around a map of the grid: half a gap, and from its edge to the orange frame.
GAP, INSET = 1.5, 6
FADED = 0.5  # how far a map that does not count fades to white
REACH = 3.0  # where the colours of a normalised map end, in deviations from the mean


class NormalizationExplorer(Explorer):
    """Choose a norm and a batch: see whose values enter the statistics, and one map normalised.

    Controls:
        norm: one of `layers.NORMS`.
        batch: size of the batch.
        groups: of channels, for group norm.
        channel: the channel to look at, in the image `facade`.
        facade: the first image in the batch.
        neighbour: how far behind it in `features` the other images of the batch begin.
        running: evaluation mode, where batch norm takes averages kept from the training.

    Numbers:
        norm, batch, groups: as the controls.
        maps: how many (H, W) maps share the statistics.
        values: how many numbers these maps hold.
        mean, deviation: the statistics, or the running averages.
        before, after: (mean, deviation) of the map that is looked at.
        change: mean absolute difference between this map after the norm and what the norm makes of
            it when its image is alone in the batch.

    The learned scale and shift are left out: they come after the statistics, and are one number per
    channel.

    Args:
        features: (P, C, H, W), at least 8 images with up to 16 channels; by default 8 channels that
            the trained generator hands to its first norm, for 8 label maps of the validation split.
        averages: running mean and variance, each (C,); needed with `features` of your own.

    Raises:
        InputError: if the features have another shape, or the averages do not fit them.
    """

    def __init__(
        self, features: Tensor | None = None, averages: tuple[Tensor, Tensor] | None = None
    ):
        self.features, self.averages = (
            trained_features() if features is None else (features, averages)
        )
        _check(self.features, self.averages)
        count, channels = self.features.shape[:2]
        groups = tuple(number for number in range(1, channels + 1) if channels % number == 0)
        super().__init__(
            [
                Choice("norm", "norm", NORMS, "batch", group="norm"),
                Slider("batch", "batch size", 1, LARGEST_BATCH, LARGEST_BATCH, group="batch"),
                Choice(
                    "groups", "groups", groups, groups[len(groups) // 2], ordered=True, group="norm"
                ),
                Slider("channel", "channel", 0, channels - 1, 0, group="map"),
                Slider("facade", "image", 0, count - 1, 0, group="map"),
                Slider("neighbour", "neighbours", 1, count - LARGEST_BATCH + 1, 1, group="batch"),
                Switch("running", "evaluation", group="norm"),
            ]
        )

    def draw(
        self,
        norm: str,
        batch: int,
        groups: int,
        channel: int,
        facade: int,
        neighbour: int,
        running: bool,
    ) -> View:
        members = batch_members(len(self.features), facade, neighbour, batch)
        features = self.features[members]
        averages = self.averages if running and norm == "batch" else None
        shared = maps_that_count(norm, features.shape, channel, groups, averages is not None)
        before, after = (
            features[0, channel], normalise(features, norm, groups, averages)[0, channel]
        )  # fmt: skip
        alone = normalise(features[:1], norm, groups, averages)[0, channel]
        mean, deviation = (
            statistics(features[shared]) if averages is None else _kept(averages, channel)
        )
        numbers = {
            "norm": norm,
            "batch": batch,
            "groups": groups,
            "maps": int(shared.sum()),
            "values": int(shared.sum()) * before.numel(),
            "mean": mean,
            "deviation": deviation,
            "before": statistics(before),
            "after": statistics(after),
            "change": float((after - alone).abs().mean()),
        }
        largest = float(before.abs().max())
        title = f"images (rows), channels ({_in_words(norm, groups)})"
        pictures = [
            grid_picture(features, shared, channel, members, title),
            map_picture(before, largest, "orange frame: before"),
            map_picture(after, largest if norm == "none" else REACH, "after"),
        ]
        text = _text(numbers, channel, facade, averages is not None)
        alt = (
            f"Left, a grid of {batch} images in rows and {features.shape[1]} channels in columns; "
            f"{numbers['maps']} maps are framed, the others faded; channel {channel} of the first "
            "image is orange. Right, this map before and after the norm, "
            f"orange below 0 and purple above. {text}"
        )
        return View([pictures], text, alt, numbers)


# --------------------------------------------------------------------------------------------------
# The statistics
# --------------------------------------------------------------------------------------------------


@torch.no_grad()
def trained_features() -> tuple[Tensor, tuple[Tensor, Tensor]]:
    """Return what the trained generator gives its first norm, and that norm's running averages.

    Returns:
        Features (8, 8, 32, 32), and (running mean, running variance), each (8,).
    """
    generator = shared_snapshot().generator
    first, second = generator.downs[:2]
    real_a = torch.stack([facade_tensors(seed)[0] for seed in split_seeds("val", POOL)])
    features = second.conv(second.activation(first(real_a)))
    return features[:, :CHANNELS], (
        second.norm.running_mean[:CHANNELS],
        second.norm.running_var[:CHANNELS],
    )


def batch_members(count: int, facade: int, neighbour: int, batch: int) -> list[int]:
    """Return which of `count` images make up a batch.

    They are the facade, then the images from `neighbour` places behind it on; after the last comes
    the first.
    """
    return [facade, *((facade + neighbour + number) % count for number in range(batch - 1))]


def normalise(
    features: Tensor, norm: str, groups: int = 1, averages: tuple[Tensor, Tensor] | None = None
) -> Tensor:
    """Return (N, C, H, W) features after a norm without scale and shift.

    Args:
        norm: one of `layers.NORMS`.
        groups: number of groups, for group norm.
        averages: running mean and variance for batch norm; by default it takes those of the batch.
    """
    if norm == "batch":
        mean, variance = averages or (None, None)
        return F.batch_norm(features, mean, variance, training=averages is None)
    if norm == "instance":
        return F.instance_norm(features)
    if norm in ("layer", "group"):
        return F.group_norm(features, 1 if norm == "layer" else groups)
    return features


def maps_that_count(
    norm: str, shape: tuple[int, ...], channel: int, groups: int, kept: bool = False
) -> Tensor:
    """Return an (N, C) mask of the maps that enter the statistics for a channel of the first image.

    It is empty without a norm, and with `kept`, where the statistics come from the training.
    """
    images, channels = shape[:2]
    shared = torch.zeros(images, channels, dtype=torch.bool)
    if norm == "batch" and not kept:
        shared[:, channel] = True
    elif norm == "instance":
        shared[0, channel] = True
    elif norm == "layer":
        shared[0] = True
    elif norm == "group":
        size = channels // groups
        first = channel // size * size
        shared[0, first : first + size] = True
    return shared


def statistics(values: Tensor) -> tuple[float, float]:
    """Return the mean and the biased deviation of all values.

    Without values these are 0 and 1, which change nothing.
    """
    if not values.numel():
        return 0.0, 1.0
    return float(values.mean()), float(values.std(correction=0))


def _kept(averages: tuple[Tensor, Tensor], channel: int) -> tuple[float, float]:
    return float(averages[0][channel]), float(averages[1][channel].sqrt())


# --------------------------------------------------------------------------------------------------
# The picture
# --------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Grid:
    """Where the (H, W) maps of images (rows) and channels (columns) lie in one picture.

    All is in pixels of the maps. Left and above is room for the numbers of rows and columns, below
    that of the largest batch.

    Args:
        channels: how many columns there are.
        height, width: of each map.
    """

    channels: int
    height: int
    width: int

    @property
    def scale(self) -> float:
        """Screen pixels for each pixel of a map."""
        return min(CELL, GRID / self.channels) / max(self.height, self.width)

    @property
    def margin(self) -> int:
        return math.ceil(HEADING / self.scale)

    @property
    def size(self) -> tuple[int, int]:
        """(width, height) of the picture."""
        return self.cell(LARGEST_BATCH - 1, self.channels - 1)[2:]

    @property
    def side(self) -> int:
        """Screen pixels of the longer side."""
        return round(max(self.size) * self.scale)

    def cell(self, image: int, channel: int) -> tuple[int, int, int, int]:
        """Return (left, top, right, bottom) of a map."""
        left, top = self.margin + channel * self.width, self.margin + image * self.height
        return left, top, left + self.width, top + self.height


def grid_picture(
    features: Tensor, shared: Tensor, channel: int, names: Sequence[int], title: str
) -> Picture:
    """Return (N, C, H, W) features as a grid of maps, with those in the (N, C) mask framed in blue.

    A click on a map chooses its channel. The chosen one, in the first image, is framed in orange
    inside the blue frame. `names` are the numbers of the images, written beside their rows.
    """
    grid = Grid(*features.shape[1:])
    picture = Picture(draw_maps(features, shared, grid), title, grid.side)
    return replace(
        picture,
        sketch=draw_frames(picture.size, shared, names, grid),
        spots=map_spots(features, channel, names, grid),
    )


def draw_maps(features: Tensor, shared: Tensor, grid: Grid) -> Image.Image:
    """Draw (N, C, H, W) features in one scale, white at 0; maps not in the (N, C) mask are faded.

    Faded maps let the page shine through, dark or white, as do the places without a map.
    """
    # The few largest values may be cut off.
    reach = float(features.abs().flatten().quantile(0.98))
    maps = Image.new("RGBA", grid.size, "#ffffff00")
    for image, row in enumerate(features.numpy()):
        for channel, values in enumerate(row):
            cell = drawing.diverging(values, reach)
            cell.putalpha(255 if shared[image, channel] else round(255 * (1 - FADED)))
            maps.paste(cell, grid.cell(image, channel))
    return maps


def draw_frames(
    size: tuple[int, int], shared: Tensor, names: Sequence[int], grid: Grid
) -> drawing.Sketch:
    """Draw the numbers of rows and columns, gaps between the maps, and frames of those that count.

    `size` is (width, height) of the grid in screen pixels.
    """
    sketch, scale = drawing.Sketch(*size), size[0] / grid.size[0]
    for image, name in enumerate(names):
        left, top, _, bottom = (place * scale for place in grid.cell(image, 0))
        sketch.text(left - 5, (top + bottom) / 2, str(name), "rm")
    for channel in range(grid.channels):
        left, top, right, _ = (place * scale for place in grid.cell(0, channel))
        sketch.text((left + right) / 2, top - 5, str(channel), "ms")
    for image, channel in np.ndindex(*shared.shape):
        cell = [place * scale for place in grid.cell(image, channel)]
        sketch.box(cell, edge="white", width=GAP)
        if shared[image, channel]:
            sketch.box([cell[0] + 1, cell[1] + 1, cell[2] - 1, cell[3] - 1], edge=BLUE, width=4)
    return sketch


def map_spots(features: Tensor, channel: int, names: Sequence[int], grid: Grid) -> list[Spot]:
    """Return the maps of the grid as what can be clicked; they lie within the blue frames."""
    (width, height), inset = grid.size, INSET / grid.scale
    means, deviations = features.mean((2, 3)), features.std((2, 3), correction=0)
    spots = []
    for image, number in np.ndindex(*means.shape):
        left, top, right, bottom = grid.cell(image, number)
        box = top + inset, left + inset, bottom - inset, right - inset
        spots.append(
            Spot(
                tuple(place / whole for place, whole in zip(box, (height, width) * 2)),
                {"channel": number},
                f"channel {number} of image {names[image]}: mean "
                f"{signed(float(means[image, number]))}, deviation "
                f"{float(deviations[image, number]):.2f}; a click chooses channel {number}",
                chosen=(image, number) == (0, channel),
            )
        )
    return spots


def map_picture(values: Tensor, reach: float, title: str) -> Picture:
    """Return one (H, W) map, white at 0; its colours run from -reach to reach."""
    scale = Scale("PuOr", (f"{-reach:.2g}", "0", f"{reach:.2g}"))
    return Picture(drawing.diverging(values.numpy(), reach), title, SIDE, scale=scale)


# --------------------------------------------------------------------------------------------------
# The words
# --------------------------------------------------------------------------------------------------


def _in_words(norm: str, groups: int) -> str:
    if norm == "group":
        return f"group norm, {groups} group{'s' if groups > 1 else ''}"
    return "no norm" if norm == "none" else f"{norm} norm"


def _text(numbers: dict, channel: int, facade: int, kept: bool) -> str:
    pair = f"mean {signed(numbers['mean'])}, deviation {numbers['deviation']:.2f}"
    name = _in_words(numbers["norm"], numbers["groups"]).capitalize()
    if kept:
        first = (
            f"{name} in evaluation: running averages, {pair}, kept from the training; "
            "no map of the batch counts."
        )
    elif numbers["norm"] == "none":
        first = f"{name}: no statistics, the map stays as it is."
    else:
        many = "map counts" if numbers["maps"] == 1 else "maps count"
        first = (
            f"{name}: {numbers['maps']} {many} for channel {channel} of image {facade} (framed), "
            f"{numbers['values']:,} values with {pair}."
        )
    (mean, deviation), (new_mean, new_deviation) = numbers["before"], numbers["after"]
    second = (
        f"The map itself: mean {signed(mean)} and deviation {deviation:.2f} before, "
        f"{signed(new_mean)} and {new_deviation:.2f} after."
    )
    third = "The image is alone in its batch."
    if numbers["batch"] > 1:
        third = (
            f"Its neighbours in the batch change this result by {numbers['change']:.3f} on average."
            if numbers["change"] > 5e-4
            else "Its neighbours in the batch change nothing."
        )
    return f"{first}\n{second} {third}"


def signed(number: float) -> str:
    """Return a number with two decimals, and without a sign if they are 0."""
    return f"{number:.2f}".replace("-0.00", "0.00")


def _check(features: Tensor, averages: tuple[Tensor, Tensor] | None) -> None:
    if features.dim() != 4 or len(features) < POOL or not 1 <= features.shape[1] <= 16:
        raise InputError(
            f"expected features of shape (P, C, H, W) with at least {POOL} images and 1 to 16 "
            f"channels; got {tuple(features.shape)}"
        )
    if averages is None or any(part.shape != features.shape[1:2] for part in averages):
        got = None if averages is None else [tuple(part.shape) for part in averages]
        raise InputError(
            f"expected averages (mean, variance), each of shape ({features.shape[1]},), "
            f"one number a channel; got {got}"
        )
