"""Patch outputs: what the discriminator says of every patch of a picture, and of a chosen one.

The discriminator is in evaluation mode: its norms use fixed averages, so a logit depends on the
pixels of its own patch alone, and on nothing else in the picture.

Source: Isola et al. 2017, section 3.2.2.
"""

import functools
from collections.abc import Mapping, Sequence

import numpy as np
import torch
from PIL import Image, ImageColor
from torch import Tensor

from ..corruptions import CORRUPTIONS, corrupt
from ..devices import device_of
from ..facades import facade_tensors, split_seeds
from ..images import to_pil
from ..inference import translate
from ..receptive_field import PixelBox, ReceptiveField, receptive_field
from ..trained import PERCENTS, Snapshot, shared_snapshot
from ..validation import InputError
from . import drawing
from .base import Action, Choice, Explorer, Slider, Switch, View
from .picture import Picture, Scale, field_cells, map_cells

REACH = 6.0  # logits beyond this are drawn in the last colour
MAP_SIDE = 280  # screen pixels of the map in a strip
FINE = 8  # pixels of the map for each patch's side, enough for a dot in its middle
WORDS = 1024  # patches at most of which something is said when they are pointed at
SCALES = {
    "probability": Scale("PuOr", ("0 fake", "0.5", "1 real")),
    "logit": Scale("PuOr", (f"{-REACH:+.0f} fake", "0", f"{REACH:+.0f} real")),
}


class PatchExplorer(Explorer):
    """The map of patch logits over a picture between real_b and fake_b, which can be spoilt.

    Controls:
        facade: the pair.
        percent: of the training, for both networks.
        mix: 0 is the true photo, 1 the generated one.
        corruption, strength: one of `corruptions.CORRUPTIONS`, and how strong it is, 0 to 1.
        row, col: the patch.
        threshold: a probability.
        unit: what the map shows, "probability" or "logit".
        overlay: lay the map over the picture.

    Numbers:
        row, col: the patch.
        box: its pixels as slices, (top, left, bottom, right).
        inside: whether they all lie in the picture.
        logit, probability: of the patch.
        below: how many patches lie below the threshold.
        patches: how many there are.
        mean_logit, mean_probability: means over the map.

    Args:
        pairs: (real_a, real_b) tensors (3, H, W) in [-1, 1]; by default six procedural facades that
            no training saw.
        snapshots: what `trained.load_snapshots` returns; by default that.

    Raises:
        InputError: if there are fewer than two pairs (one lends its label map to the other) or no
            snapshots.
    """

    def __init__(
        self,
        pairs: Sequence[tuple[Tensor, Tensor]] | None = None,
        snapshots: Sequence[Snapshot] | None = None,
    ):
        self.pairs = list(default_pairs() if pairs is None else pairs)
        if snapshots is None:
            snapshots = [shared_snapshot(percent) for percent in PERCENTS]
        if len(self.pairs) < 2 or not snapshots:
            raise InputError(
                f"at least two pairs and one snapshot are needed; "
                f"got {len(self.pairs)} and {len(snapshots)}"
            )
        self.snapshots = {snapshot.percent: snapshot for snapshot in snapshots}
        self.field = receptive_field(snapshots[-1].discriminator.model)
        self.fake_b = functools.lru_cache(64)(self._fake_b)
        self.judged = functools.lru_cache(64)(self._judged)
        self.logits = functools.lru_cache(64)(self._logits)
        self.map_size = rows, cols = self.logits(0, snapshots[-1].percent, 0.0, "none", 0.0).shape
        percents = tuple(self.snapshots)
        super().__init__(
            [
                Slider("facade", "facade", 0, len(self.pairs) - 1, 0, group="picture"),
                Choice(
                    "percent", "training, %", percents, percents[-1], ordered=True, group="picture"
                ),
                Slider("mix", "real to fake", 0.0, 1.0, 0.0, 0.05, group="picture"),
                Choice("corruption", "spoil by", CORRUPTIONS, "none", group="picture"),
                Slider("strength", "strength", 0.0, 1.0, 0.5, 0.05, group="picture"),
                Slider("row", "patch row", 0, rows - 1, rows // 2, group="patch"),
                Slider("col", "patch column", 0, cols - 1, cols // 2, group="patch"),
                Slider("threshold", "threshold", 0.0, 1.0, 0.5, 0.05, group="map"),
                Choice("unit", "map shows", ("probability", "logit"), "probability", group="map"),
                Switch("overlay", "map over picture", False, group="map"),
            ],
            [
                self._move("left", "col", -1),
                self._move("right", "col", 1),
                self._move("up", "row", -1),
                self._move("down", "row", 1),
                Action("least real", lambda values: self._extreme(values, np.argmin)),
                Action("most real", lambda values: self._extreme(values, np.argmax)),
            ],
        )

    def _judged(
        self, facade: int, percent: int, mix: float, corruption: str, strength: float
    ) -> tuple[Tensor, Tensor]:
        """Return what the discriminator gets: the input and the picture, (3, H, W) in [-1, 1]."""
        real_a, real_b = self.pairs[facade]
        other_a = self.pairs[(facade + 1) % len(self.pairs)][0]
        image = torch.lerp(real_b, self.fake_b(facade, percent), mix) if mix else real_b
        return corrupt(corruption, strength, real_a, image, other_a)

    def draw(
        self,
        facade: int,
        percent: int,
        mix: float,
        corruption: str,
        strength: float,
        row: int,
        col: int,
        threshold: float,
        unit: str,
        overlay: bool,
    ) -> View:
        real_a, image = self.judged(facade, percent, mix, corruption, strength)
        logits = self.logits(facade, percent, mix, corruption, strength)
        numbers = patch_numbers(logits, self.field, row, col, threshold, tuple(image.shape[1:]))
        colours = map_colours(logits, unit)
        words = cell_words(logits) if logits.size <= WORDS else ()
        seen = field_cells(
            self.field, logits.shape, image.shape[1:], (row, col), margin_of(self.field)
        )
        cells = map_cells(logits.shape, (row, col), words=words)
        picture = draw_judged(image, self.field, colours if overlay else None)
        seen_box = PixelBox(*numbers["box"])
        true, generated = (to_pil(x) for x in (self.pairs[facade][1], self.fake_b(facade, percent)))
        view = [
            Picture(picture, "picture (grey: padding)", cells=seen),
            Picture(
                draw_map(colours, sigmoid(logits) < threshold),
                f"{unit} (dot: below {threshold:.2f})",
                MAP_SIDE,
                cells=cells,
                scale=SCALES[unit],
            ),
            *(
                Picture(crop, f"{what} in the patch", 180)
                for crop, what in zip(crops(real_a, image, seen_box), ("input", "picture"))
            ),
            Picture(true, "photo | generated", 180, over=generated),
        ]
        what = describe_picture(mix, corruption, strength)
        return View(
            [view[:2], view[2:]],
            patch_text(numbers, threshold),
            patch_alt(what, numbers, threshold),
            numbers,
        )

    def _fake_b(self, facade: int, percent: int) -> Tensor:
        generator = self.snapshots[percent].generator
        real_a = self.pairs[facade][0][None].to(device_of(generator))
        return self.run_network(translate, generator, real_a)[0].cpu()

    @torch.no_grad()
    def _logits(
        self, facade: int, percent: int, mix: float, corruption: str, strength: float
    ) -> np.ndarray:
        discriminator = self.snapshots[percent].discriminator
        pair = self.judged(facade, percent, mix, corruption, strength)
        pair = (image[None].to(device_of(discriminator)) for image in pair)
        return self.run_network(discriminator, *pair)[0, 0].cpu().numpy()

    def _move(self, label: str, name: str, step: int) -> Action:
        """Return a button that moves the patch by one; at the border it stays."""
        high = self.map_size[0 if name == "row" else 1] - 1
        return Action(label, lambda values: {name: min(max(values[name] + step, 0), high)})

    def _extreme(self, values: Mapping, find) -> dict[str, int]:
        picture = {
            name: values[name] for name in ("facade", "percent", "mix", "corruption", "strength")
        }
        logits = self.logits(**picture)
        row, col = np.unravel_index(find(logits), logits.shape)
        return {"row": int(row), "col": int(col)}


@functools.cache
def default_pairs() -> tuple[tuple[Tensor, Tensor], ...]:
    """Return (real_a, real_b) of six facades that no training saw, the same for all explorers."""
    return tuple(facade_tensors(seed) for seed in split_seeds("val", 6))


def patch_numbers(
    logits: np.ndarray,
    field: ReceptiveField,
    row: int,
    col: int,
    threshold: float,
    size: tuple[int, int],
) -> dict:
    """Return the numbers of patch (row, col) of a map of logits, and of the whole map.

    Args:
        logits: (H', W').
        size: (height, width) of the picture in pixels.

    Returns:
        The numbers that `PatchExplorer` lists.
    """
    probabilities = sigmoid(logits)
    box = field.box(row, col)
    return {
        "row": row,
        "col": col,
        "box": (box.top, box.left, box.bottom, box.right),
        "inside": box.is_inside(*size),
        "logit": float(logits[row, col]),
        "probability": float(probabilities[row, col]),
        "below": int((probabilities < threshold).sum()),
        "patches": logits.size,
        "mean_logit": float(logits.mean()),
        "mean_probability": float(probabilities.mean()),
    }


def sigmoid(logits: np.ndarray) -> np.ndarray:
    """Return the probabilities that logits stand for."""
    return 1 / (1 + np.exp(-logits.astype(np.float64)))


def patch_text(numbers: Mapping, threshold: float) -> str:
    """Return the sentences below the picture."""
    top, left, bottom, right = numbers["box"]
    where = (
        "all of them inside the picture"
        if numbers["inside"]
        else "in part outside: there it sees padding"
    )
    return (
        f"Patch (row {numbers['row']}, column {numbers['col']}) sees the pixel rows {top} to "
        f"{bottom - 1} and columns {left} to {right - 1}, {where}. Logit {numbers['logit']:+.2f}, "
        f"probability of being real {numbers['probability']:.2f}.\n"
        f"{numbers['below']} of {numbers['patches']} patches are below {threshold:.2f}; the mean "
        f"probability is {numbers['mean_probability']:.2f}."
    )


def patch_alt(what: str, numbers: Mapping, threshold: float) -> str:
    """Return the picture in words."""
    return (
        f"{what} with a frame around patch ({numbers['row']}, {numbers['col']}), the part of label "
        f"map and picture that it sees, and the map of {numbers['patches']} patches, "
        f"{numbers['below']} of them below {threshold:.2f}; this one has probability "
        f"{numbers['probability']:.2f}."
    )


def describe_picture(mix: float, corruption: str, strength: float) -> str:
    """Return in words which picture is judged."""
    what = {0.0: "The true photo", 1.0: "The generated picture"}.get(
        mix, f"A mix, {mix:.0%} of it generated,"
    )
    return (
        what
        if corruption == "none"
        else f"{what}, spoilt by {corruption} at strength {strength:.2f},"
    )


def map_colours(logits: np.ndarray, unit: str) -> Image.Image:
    """Return one pixel per patch, white where D cannot tell: purple is real, orange generated."""
    return (
        drawing.diverging(sigmoid(logits) - 0.5, 0.5)
        if unit == "probability"
        else drawing.diverging(logits, REACH)
    )


def cell_words(logits: np.ndarray) -> list[str]:
    """Return what is said of each patch, row by row."""
    return [
        f"probability {probability:.2f}, logit {logit:+.2f}"
        for logit, probability in zip(logits.ravel(), sigmoid(logits).ravel())
    ]


def margin_of(field: ReceptiveField) -> int:
    """Return how many pixels of padding are drawn around a picture: all that a patch sees of it."""
    return max(0, -field.start) + 1


def draw_map(colours: Image.Image, marked: np.ndarray) -> Image.Image:
    """Draw a square of pixels for each patch, `FINE` wide or less, with a dot on those marked."""
    fine = min(FINE, max(3, 256 // max(colours.size)))
    pixels = np.asarray(colours).repeat(fine, axis=0).repeat(fine, axis=1)
    dot = np.zeros((fine, fine), bool)
    dot[(fine - 1) // 2 : fine // 2 + 1, (fine - 1) // 2 : fine // 2 + 1] = True
    pixels[np.kron(marked, dot)] = ImageColor.getrgb(drawing.INK)
    return Image.fromarray(pixels)


def draw_judged(
    image: Tensor, field: ReceptiveField, colours: Image.Image | None = None
) -> Image.Image:
    """Draw the picture, in its own pixels, on a margin of the padding that patches see.

    Where given, `colours`, one pixel per patch, are laid over the picture: each as a square around
    the centre of its patch.
    """
    picture = to_pil(image).convert("RGB")
    if colours is not None:
        picture = lay_over(picture, field, colours)
    return drawing.place_on_margin(picture, margin_of(field))


def lay_over(picture: Image.Image, field: ReceptiveField, colours: Image.Image) -> Image.Image:
    """Lay `colours`, one pixel per patch, over a picture: a square on the centre of each patch."""
    picture = picture.convert("RGB")
    cells = drawing.enlarge(colours, *(count * field.stride for count in colours.size))
    corner = field.start + (field.size - field.stride) // 2
    area = (corner, corner, corner + cells.width, corner + cells.height)
    picture.paste(drawing.blend(picture.crop(area), cells, 0.5), area)
    return picture


def crops(real_a: Tensor, image: Tensor, box: PixelBox) -> list[Image.Image]:
    """Return what a patch sees of the input, and of the picture; padding is grey."""
    height, width = box.bottom - box.top, box.right - box.left
    seen = torch.zeros(2, 3, height, width)
    inside = box.clipped(*image.shape[1:])
    rows = slice(inside.top - box.top, inside.bottom - box.top)
    cols = slice(inside.left - box.left, inside.right - box.left)
    for crop, source in zip(seen, (real_a, image)):
        crop[:, rows, cols] = source[:, inside.top : inside.bottom, inside.left : inside.right]
    return [to_pil(crop).convert("RGB") for crop in seen]
