"""Paired data: what resizing, cropping and mirroring do to a pair before the networks get it.

Source: Isola et al. 2017, appendix 6.2 "Training details" (random jitter).
"""

import functools
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from torch import Tensor

from ..data import DIRECTIONS, Jitter, apply_jitter, draw_jitter, read_pair
from ..images import to_float, to_pil
from ..layouts import Pair, find_pairs
from ..plots import ORANGE, PURPLE
from ..randomness import SeededRandom
from ..resizing import default_load_size, resize
from ..validation import InputError
from . import drawing
from .base import Choice, Explorer, Slider, Switch, View
from .drawing import Box, Sketch
from .picture import Picture

SAMPLE = Path(__file__).parent.parent.parent / "data" / "sample"
# Screen pixels of each picture, of a frame's line, and of the mark in its corner.
SIDE, FRAME, WEDGE = 180, 3, 14
FIELD = 40, SIDE - 14  # where 0 and the largest value lie on the map of corners
RIM = "#ffffff"  # of what is drawn on a photo: white on a dark page, too
COLOURS = (ORANGE, PURPLE)  # of input and target


class DatasetExplorer(Explorer):
    """One pair: both images in the file with the boxes of their crops, and what the networks get.

    Controls:
        index: the pair.
        direction: "AtoB" or "BtoA".
        seed: of the random numbers.
        load_size: side to which both images are resized before the crop.
        flip: mirror half of the time.
        together: one draw for both images, as in `PairedDataset`, or one for each.

    Numbers:
        index: the pair.
        input_is_a: whether A is the input, as in "AtoB".
        file_size: (height, width) of each image in the file.
        load_size: as the control.
        corner_a, corner_b: (row, column) of the crops of input and target in the resized images.
        flipped_a, flipped_b: whether they are mirrored.
        box_a, box_b: the crops as (top, left, bottom, right) in pixels of the file.
        fits: whether both crops are the same.

    Args:
        pairs: what `data.find_pairs` returns; by default the pairs that ship with the course.
        size: side of the crop in pixels, 16 to 512.

    Raises:
        InputError: if there is no pair, or the size is out of range; and as `data.read_pair`.
        FileNotFoundError: if a file, or the sample that ships, is missing.
    """

    def __init__(self, pairs: Sequence[Pair] | None = None, size: int = 128):
        self.pairs, self.size = find_pairs(SAMPLE, "train") if pairs is None else list(pairs), size
        if not self.pairs or not 16 <= size <= 512:
            raise InputError(
                f"expected at least one pair and a size of 16 to 512 pixels; "
                f"got {len(self.pairs)} pairs and size {size}"
            )
        self.file_images = functools.lru_cache(32)(self._file_images)
        self.resized = functools.lru_cache(32)(self._resized)
        super().__init__(
            [
                Slider("index", "pair", 0, len(self.pairs) - 1, 0, group="pair"),
                Choice("direction", "direction", DIRECTIONS, "BtoA", group="pair"),
                Slider("seed", "seed", 0, 99, 0, group="jitter"),
                Slider(
                    "load_size", "load size",
                    size, size * 3 // 2, default_load_size(size), group="jitter",
                ),
                Switch("flip", "mirror half", True, group="jitter"),
                Switch("together", "one draw for both", True, group="jitter"),
            ]
        )  # fmt: skip

    def item(
        self, index: int, direction: str, seed: int, load_size: int, flip: bool, together: bool
    ) -> tuple[Tensor, Tensor]:
        """Return (real_a, real_b), each (3, size, size) in [-1, 1].

        With `together` they are what a `PairedDataset` gives after `torch.manual_seed(seed)`.
        """
        draws = draw_jitters(seed, load_size, self.size, flip, together)
        images = in_direction(self.resized(index, load_size), direction)
        real_a, real_b = (
            to_float(apply_jitter(image, draw, (self.size, self.size)))
            for image, draw in zip(images, draws)
        )
        return real_a, real_b

    def draw(
        self, index: int, direction: str, seed: int, load_size: int, flip: bool, together: bool
    ) -> View:
        draws = draw_jitters(seed, load_size, self.size, flip, together)
        file_images = self.file_images(index)
        height, width = file_images[0].shape[1:]
        boxes = [box_in_file(draw, self.size, load_size, height, width) for draw in draws]
        real_a, real_b = self.item(index, direction, seed, load_size, flip, together)
        numbers = {
            "index": index,
            "input_is_a": direction == "AtoB",
            "file_size": (height, width),
            "load_size": load_size,
            "corner_a": (draws[0].top, draws[0].left),
            "corner_b": (draws[1].top, draws[1].left),
            "flipped_a": draws[0].flipped,
            "flipped_b": draws[1].flipped,
            "box_a": boxes[0],
            "box_b": boxes[1],
            "fits": draws[0] == draws[1],
        }
        roles = in_direction((0, 1), direction)  # role 0 is the input; A plays roles[0]
        name = self.pairs[index].name
        titles = [
            f"{'AB'[side]} in file {name}: the {('input', 'target')[role]}"
            for side, role in enumerate(roles)
        ]
        rows = draw_pictures(
            file_images, titles, boxes, roles, (real_a, real_b), draws, load_size - self.size
        )
        text = "\n".join(
            [
                describe_pair(name, direction, (height, width), load_size),
                describe_draws(draws, seed, self.size, together),
            ]
        )
        alt = (
            f"Above, both images of file {name} with a frame around the part that is cropped from "
            "each, and the places of both crops. Below, real_a and real_b, "
            f"{self.size}x{self.size} pixels, and both laid over each other: "
            f"{'they fit' if numbers['fits'] else 'they do not fit'}. {text}"
        )
        return View(rows, text, alt, numbers)

    def _file_images(self, index: int) -> tuple[Tensor, Tensor]:
        return read_pair(self.pairs[index], "AtoB")

    def _resized(self, index: int, load_size: int) -> tuple[Tensor, Tensor]:
        image_a, image_b = (
            resize(image, (load_size, load_size)) for image in self.file_images(index)
        )
        return image_a, image_b


def in_direction(pair: tuple, direction: str) -> tuple:
    """Reorder a pair from (A, B) to (input, target), or back: both are the same swap."""
    return pair if direction == "AtoB" else pair[::-1]


def draw_jitters(
    seed: int, load_size: int, size: int, flip: bool, together: bool
) -> tuple[Jitter, Jitter]:
    """Return the jitter of input and target: one draw for both if `together`, or one for each.

    The draws are those that follow `torch.manual_seed(seed)`; the caller's random state is
    unchanged.
    """
    with SeededRandom(seed):
        first, second = (draw_jitter((load_size, load_size), (size, size), flip) for _ in range(2))
    return first, first if together else second


def box_in_file(
    jitter: Jitter, size: int, load_size: int, height: int, width: int
) -> tuple[float, float, float, float]:
    """Return a crop as (top, left, bottom, right) in pixels of the image before it was resized."""
    down, across = height / load_size, width / load_size
    return (
        jitter.top * down,
        jitter.left * across,
        (jitter.top + size) * down,
        (jitter.left + size) * across,
    )


def draw_pictures(
    files: Sequence[Tensor],
    titles: Sequence[str],
    boxes: Sequence[Box],
    roles: tuple[int, int],
    results: tuple[Tensor, Tensor],
    draws: tuple[Jitter, Jitter],
    spare: int,
) -> list[list[Picture]]:
    """Return both images of the file and the map of corners, above what the networks get.

    Args:
        files: uint8 images A and B; `titles` stand above them.
        boxes: the crops of input and target in pixels of the file.
        roles: of A and B, 0 for the input and 1 for the target.
        results: input and target, cut out as `draws` says.
        spare: as in `draw_corners`.
    """
    above = []
    for image, title, role in zip(files, titles, roles):
        picture = Picture(to_pil(to_float(image)), title, SIDE, smooth=True)
        frame = frame_crop(picture, boxes[role], draws[role].flipped, COLOURS[role])
        above.append(replace(picture, sketch=frame))
    crops = [to_pil(image).convert("RGB") for image in results]
    below = [
        Picture(crop, title, SIDE, smooth=True, sketch=mark_corner(colour))
        for crop, title, colour in zip(crops, ("real_a", "real_b"), COLOURS)
    ]
    both = Picture(drawing.blend(*crops, 0.5), "both, overlaid", SIDE, smooth=True)
    return [[*above, Picture(draw_corners(draws, spare), "crop's corner")], [*below, both]]


def frame_crop(picture: Picture, box: Box, flipped: bool, colour: str) -> Sketch:
    """Draw a frame around a (top, left, bottom, right) box of a picture's own pixels.

    A wedge shows which corner of the frame will be the upper left one: the right one if the crop is
    mirrored.
    """
    scale, sketch = SIDE / max(picture.image.size), Sketch(*picture.size)
    top, left, bottom, right = (edge * scale for edge in box)
    sketch.box((left - 1, top - 1, right + 1, bottom + 1), edge=RIM, width=FRAME + 2)
    sketch.box((left, top, right, bottom), edge=colour, width=FRAME)
    add_wedge(sketch, right if flipped else left, top, -1 if flipped else 1, colour)
    return sketch


def mark_corner(colour: str) -> Sketch:
    """Draw a wedge into the upper left corner of a square picture."""
    sketch = Sketch(SIDE, SIDE)
    add_wedge(sketch, 0, 0, 1, colour)
    return sketch


def add_wedge(sketch: Sketch, x: float, y: float, inwards: int, colour: str) -> None:
    """Draw a wedge from an upper corner to the right (`inwards` 1) or to the left (-1)."""
    wedge = [(x, y), (x + inwards * WEDGE, y), (x, y + WEDGE)]
    sketch.polygon(wedge, colour)
    sketch.line([*wedge, wedge[0]], RIM, 1)


def draw_corners(draws: tuple[Jitter, Jitter], spare: int) -> Sketch:
    """Draw a map of where a crop's upper left corner can lie, and mark where it was drawn.

    The corner lies from 0 to `spare` pixels down and across.
    """
    chart, low, high = Sketch(SIDE, SIDE), *FIELD
    chart.box((low - 10, low - 10, high + 10, high + 10), edge="#999999", width=1)
    for place, label in [(low, "0"), (high, str(spare))][: 1 + (spare > 0)]:
        chart.text(place, low - 15, label, "mb", 13)
        chart.text(low - 15, place, label, "rm", 13)
    # The input's dot is drawn inside the target's.
    for jitter, colour, radius in zip(draws[::-1], COLOURS[::-1], (9, 5)):
        x, y = (low + (high - low) * place / max(spare, 1) for place in (jitter.left, jitter.top))
        chart.dot(x, y, radius, colour)
    return chart


def describe_pair(name: str, direction: str, size: tuple[int, int], load_size: int) -> str:
    """Return which image is the input and which the target, and how both are resized."""
    given, wanted = in_direction(("A", "B"), direction)
    return (
        f"File {name}, {direction}: {given} is the input (real_a), {wanted} the target (real_b). "
        f"Both are resized from {size[0]}x{size[1]} to {load_size}x{load_size}."
    )


def describe_draws(draws: tuple[Jitter, Jitter], seed: int, size: int, together: bool) -> str:
    """Return where the crops lie and, if there were two draws, whether the pair still fits."""
    first, second = (
        f"row {draw.top}, column {draw.left}, {'mirrored' if draw.flipped else 'not mirrored'}"
        for draw in draws
    )
    if together:
        return f"One draw with seed {seed}: both are cropped to {size}x{size} at {first}. They fit."
    verdict = (
        "By chance they fit." if draws[0] == draws[1] else "They no longer fit: the pair is ruined."
    )
    return (
        f"Two draws with seed {seed}: the input is cropped at {first}, the target at {second}. "
        f"{verdict}"
    )
