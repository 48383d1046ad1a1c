"""Procedural facades: pairs of a label map and a photo-like picture, drawn from a seed.

The course needs paired pictures that may be given to anyone. These are drawn by the code below, so no photograph is
involved. The label maps use the twelve classes and colours of the CMP Facades dataset; the files use its layout.

    pair = make_pair(7)                      # pair.label and pair.photo, (256, 256, 3) uint8
    again = make_pair(7, photo_seed=1)       # the same label map, another plausible photo

A label map depends on `seed` only. Materials, colours, light, sky, curtains and reflections depend on `photo_seed` and
cannot be read from the labels: one label map has many right answers, which is what makes the task interesting.

The same seed gives the same pixels on every platform. Three rules see to that:

- random numbers come from `np.random.RandomState`, whose stream NEP 19 freezes (that of `Generator` may change);
- shapes are drawn with NumPy slices and masks, because Pillow's rasteriser changes between versions;
- pixels are computed with integers only, so no rounding can differ.

Places and lengths are in *units*: the picture is 1024 units wide and high, whatever its size in pixels.
"""

from __future__ import annotations

import argparse
import json
import operator
import os
import shutil
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import NoReturn, TypeVar

import numpy as np
from PIL import Image

CLASS_NAMES: tuple[str, ...] = (
    "background", "facade", "window", "door", "cornice", "sill",
    "balcony", "blind", "deco", "molding", "pillar", "shop",
)  # fmt: skip
CLASS_COLOURS: np.ndarray = np.array(
    [
        (0, 0, 222), (0, 49, 255), (0, 128, 255), (0, 207, 255), (33, 255, 225), (113, 255, 144),
        (193, 255, 63), (255, 241, 0), (255, 159, 0), (255, 82, 0), (255, 0, 0), (174, 0, 0),
    ],
    dtype=np.uint8,
)  # fmt: skip
CLASS_COLOURS.setflags(write=False)
BACKGROUND, FACADE, WINDOW, DOOR, CORNICE, SILL, BALCONY, BLIND, DECO, MOLDING, PILLAR, SHOP = range(12)

FACADES_VERSION = 1  # raise it when the same seed gives other pixels: datasets made before are then remade
SPLITS: tuple[str, ...] = ("train", "val", "test")
SPLIT_LIMIT = 1_000_000  # the most seeds one split may use
GRID = 1024  # units along each side of the picture
JPEG_QUALITY = 90

Colour = tuple[int, int, int]
T = TypeVar("T")


@dataclass(frozen=True)
class FacadePair:
    """One building: `classes` (S, S) uint8 in 0..11, `label` (S, S, 3) uint8, `photo` (S, S, 3) uint8."""

    classes: np.ndarray
    label: np.ndarray
    photo: np.ndarray


# ---------------------------------------------------------------------------------------------------------------------
# Chance
# ---------------------------------------------------------------------------------------------------------------------


def _check_seed(name: str, seed: int) -> int:
    """Return `seed` as a plain int; TypeError unless it is an integer, ValueError unless it is in 0 .. 2**64 - 1."""
    if isinstance(seed, (bool, np.bool_)):
        raise TypeError(f"{name} must be an integer, got {seed!r}; pass for example {name}=7")
    try:
        value = operator.index(seed)
    except TypeError:
        raise TypeError(f"{name} must be an integer, got {seed!r}; pass for example {name}=7") from None
    if not 0 <= value < 2**64:
        raise ValueError(f"{name} must be in 0 .. 2**64 - 1, got {value}; pass for example {name}=7")
    return value


def _check_size(size: int) -> int:
    """Return `size` as a plain int; ValueError unless it is a multiple of 16 and at least 32."""
    try:
        value = operator.index(size)
    except TypeError:
        raise TypeError(f"size must be an integer, got {size!r}; pass for example size=256") from None
    if value >= 32 and value % 16 == 0:
        return value
    below = max(32, value // 16 * 16)
    remedy = "32" if value < 32 else f"{below} or {below + 16}"
    raise ValueError(f"size must be a multiple of 16 and at least 32, got {value}; use {remedy}")


class _Dice:
    """Random choices. Equal `words` give equal throws; the first word tells the plan (0) from the photo (1)."""

    def __init__(self, *words: int) -> None:
        halves = [half for word in words for half in (word & 0xFFFFFFFF, word >> 32)]
        self.state = np.random.RandomState(halves)

    def between(self, low: int, high: int) -> int:
        """Return an integer in low..high, both included."""
        return low + int(self.state.random_sample() * (high - low + 1))

    def chance(self, percent: int) -> bool:
        """Return True in `percent` of 100 throws."""
        return self.state.random_sample() * 100 < percent

    def pick(self, options: Sequence[T]) -> T:
        """Return one of `options`, all equally likely."""
        return options[int(self.state.random_sample() * len(options))]

    def tint(self, options: Sequence[Colour], spread: int = 12) -> np.ndarray:
        """Return one of the colours as (3,) int32, each channel moved by at most 1.5 * `spread`."""
        shared = self.between(-spread, spread)
        return np.array([c + shared + self.between(-spread // 2, spread // 2) for c in self.pick(options)], np.int32)

    def bytes(self, *shape: int) -> np.ndarray:
        """Return an array of `shape` int32 with values in 0..255."""
        return self.state.randint(0, 256, shape, dtype=np.uint8).astype(np.int32)


# ---------------------------------------------------------------------------------------------------------------------
# The plan of a building: boxes in units, in painting order
# ---------------------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class _Part:
    """A box of one class, in units. `inset` moves both upper corners inwards (a roof); `role` says which kind it is."""

    kind: int
    top: int
    left: int
    bottom: int
    right: int
    role: str = ""
    inset: int = 0


@dataclass(frozen=True)
class _Plan:
    """A building: its `parts` in painting order, the `ground` line and the top of the ground floor (`base`)."""

    parts: list[_Part]
    ground: int
    base: int


@dataclass(frozen=True)
class _Body:
    """The wall of a building in units, with the edges of its floors (downwards) and of its bays (rightwards)."""

    top: int
    left: int
    bottom: int
    right: int
    floors: list[int]
    bays: list[int]


@dataclass(frozen=True)
class _FloorStyle:
    """How the windows of a floor look in the label map; lengths in percent of the floor height or the bay width."""

    top: int
    bottom: int
    width: int
    hood: str
    sill: bool
    framed: bool
    blinds: str


def _cut(start: int, stop: int, weights: Sequence[int]) -> list[int]:
    """Return len(weights) + 1 edges from `start` to `stop`, the gaps in proportion to `weights`."""
    total, edges, run = sum(weights), [start], 0
    for weight in weights:
        run += weight
        edges.append(start + (stop - start) * run // total)
    return edges


def _mirrored(dice: _Dice, count: int, percent: int) -> list[bool]:
    """Return `count` choices that read the same from both ends, as most facades do; one in five is not symmetric."""
    half = [dice.chance(percent) for _ in range((count + 1) // 2)]
    choices = half + half[: count // 2][::-1]
    if dice.chance(20):
        choices[dice.between(0, count - 1)] = dice.chance(percent)
    return choices


def _lay_out_body(dice: _Dice, roof_height: int, ground: int) -> _Body:
    """Place the wall on the picture and cut it into floors and bays."""
    floors = dice.pick((2, 3, 3, 4, 4, 5, 5, 6))
    columns = dice.pick((2, 3, 3, 4, 4, 5, 5, 6, 7))
    highest = ground - roof_height - 48
    height = min(highest, max(640, floors * dice.between(160, 250)))
    width = min(GRID, max(600, columns * dice.between(170, 300)))
    spare = GRID - width
    left = spare * dice.pick((0, 50, 50, 100, dice.between(0, 100))) // 100
    floor_weights = [dice.between(84, 100)] + [100] * (floors - 2) + [dice.between(100, 140)]
    bay_weights = [100] * columns
    if columns % 2 and dice.chance(35):
        bay_weights[columns // 2] = dice.between(110, 150)
    if dice.chance(20):
        bay_weights[dice.pick((0, -1))] = dice.between(80, 140)
    margin = dice.between(0, 30)
    top = ground - height
    return _Body(
        top, left, ground, left + width,
        _cut(top + 12, ground, floor_weights),
        _cut(left + margin, left + width - margin, bay_weights),
    )  # fmt: skip


def _roof_parts(dice: _Dice, body: _Body, kind: str, height: int) -> list[_Part]:
    """Return what stands on the wall: a roof, a gable or a parapet, with chimneys and dormers."""
    top, left, right = body.top - height, body.left, body.right
    width = right - left
    parts: list[_Part] = []
    if kind in ("mansard", "hip"):
        for _ in range(dice.between(0, 2)):
            x = left + width * dice.between(15, 80) // 100
            parts.append(_Part(FACADE, top - dice.between(16, 36), x, body.top, x + dice.between(34, 56), "chimney"))
        inset = width * (dice.between(2, 8) if kind == "mansard" else dice.between(14, 30)) // 100
        parts.append(_Part(FACADE, top, left, body.top, right, "roof", inset))
    if kind == "mansard":
        parts += _dormers(dice, body, top)
    if kind == "parapet":
        parts.append(_Part(FACADE, top, left, body.top, right, "wall"))
        parts += _crest(dice, body, top)
    if kind == "gable":
        left, right = _gable_sides(dice, body)
        inset = (right - left) * dice.between(38, 49) // 100
        parts.append(_Part(FACADE, top, left, body.top, right, "gable", inset))
        parts.append(_gable_ornament(dice, body, height))
    if kind == "steps":
        parts += _stepped_gable(dice, body, height)
    return parts


def _dormers(dice: _Dice, body: _Body, top: int) -> list[_Part]:
    """Return windows in the roof, above some of the bays."""
    parts = []
    upper = top + (body.top - top) * dice.between(22, 34) // 100
    lower = body.top - (body.top - top) * dice.between(10, 22) // 100
    half = min(44, (body.bays[1] - body.bays[0]) * dice.between(18, 26) // 100)
    framed = dice.chance(50)
    columns = len(body.bays) - 1
    for i, present in enumerate(_mirrored(dice, columns, 70)):
        if present:
            centre = (body.bays[i] + body.bays[i + 1]) // 2
            if framed:
                parts.append(_Part(MOLDING, upper - 20, centre - half - 16, lower, centre + half + 16, "dormer"))
            parts.append(_Part(WINDOW, upper, centre - half, lower, centre + half))
    return parts


def _crest(dice: _Dice, body: _Body, top: int) -> list[_Part]:
    """Return ornaments that stand on a parapet, one above each edge of a bay."""
    if dice.chance(40):
        return []
    half, height = dice.between(14, 26), dice.between(28, 48)
    kind = dice.pick((DECO, PILLAR))
    centres = [min(max(x, body.left + half), body.right - half) for x in body.bays]
    return [_Part(kind, top - height // 2, x - half, top + height, x + half) for x in centres]


def _gable_sides(dice: _Dice, body: _Body) -> tuple[int, int]:
    """Return where a gable begins and ends: it covers a narrow house, or the middle of a wide one."""
    half = min(body.right - body.left, dice.between(360, 600)) // 2
    centre = (body.left + body.right) // 2
    return centre - half, centre + half


def _gable_ornament(dice: _Dice, body: _Body, height: int) -> _Part:
    """Return the window or ornament in the middle of a gable."""
    centre, half = (body.left + body.right) // 2, dice.between(30, 46)
    upper = body.top - height * dice.between(48, 56) // 100
    return _Part(dice.pick((WINDOW, WINDOW, DECO)), upper, centre - half, body.top - height // 8, centre + half)


def _stepped_gable(dice: _Dice, body: _Body, height: int) -> list[_Part]:
    """Return a gable of two to four steps, each narrower than the one below."""
    steps, parts = dice.between(2, 4), []
    left, right = _gable_sides(dice, body)
    for i in range(steps):
        inset = (right - left) * i * dice.between(34, 40) // (100 * steps)
        upper = body.top - height * (i + 1) // steps
        lower = body.top - height * i // steps
        parts.append(_Part(FACADE, upper, left + inset, lower, right - inset, "wall"))
        parts.append(_Part(CORNICE, upper, left + inset - 6, upper + 18, right - inset + 6))
    return [*parts, _gable_ornament(dice, body, height * 4 // 5)]


def _band_parts(dice: _Dice, body: _Body) -> list[_Part]:
    """Return the horizontal bands: below the roof, above the ground floor, and sometimes between upper floors."""
    parts = []
    out = dice.between(0, 10)
    if dice.chance(92):
        height = dice.between(26, 56)
        kind = dice.pick((CORNICE, MOLDING))
        parts.append(_Part(kind, body.top - 8, body.left - out, body.top - 8 + height, body.right + out, "top"))
        if kind == MOLDING and dice.chance(45):
            parts.append(_Part(CORNICE, body.top - 22, body.left - out, body.top, body.right + out, "top"))
    kind = dice.pick((CORNICE, MOLDING, MOLDING))
    between = dice.chance(35)
    for i, y in enumerate(body.floors[1:-1], start=1):
        ground_floor = i == len(body.floors) - 2
        half = dice.between(11, 20) if ground_floor else dice.between(9, 13)
        if dice.chance(75) if ground_floor else between:
            parts.append(_Part(kind, y - half, body.left, y + half, body.right))
    return parts


def _pillar_parts(dice: _Dice, body: _Body) -> list[_Part]:
    """Return pilasters at the edges of the bays, over one or all of the upper floors, or none."""
    if not dice.chance(42):
        return []
    half = dice.between(11, 17)
    places = body.bays if dice.chance(55) else [body.bays[0], body.bays[-1]]
    last = len(body.floors) - 2
    first = 0 if dice.chance(60) else dice.between(0, last - 1)
    top, bottom = body.floors[first] + 34, body.floors[last] - 14
    centres = [min(max(x, body.left + half + 4), body.right - half - 4) for x in places]
    return [_Part(PILLAR, top, x - half, bottom, x + half) for x in centres]


def _floor_style(dice: _Dice) -> _FloorStyle:
    """Draw the style of a floor."""
    blinds = dice.pick(("", "", "", "sides", "sides", "roller"))
    return _FloorStyle(
        top=dice.between(22, 30),
        bottom=dice.between(74, 82),
        width=dice.between(34, 46) if blinds == "sides" else dice.between(36, 60),
        hood=dice.pick(("", "cornice", "cornice", "deco", "")),
        sill=dice.chance(72),
        framed=dice.chance(28),
        blinds=blinds,
    )


def _openings(left: int, right: int, percent: int, paired: bool) -> list[tuple[int, int]]:
    """Return where the one or two windows of a bay begin and end; a window is between 56 and 150 units wide."""
    centre = (left + right) // 2
    if paired and right - left >= 170:
        wide, gap = (right - left) * 30 // 100, (right - left) * 5 // 100
        return [(centre - gap - wide, centre - gap), (centre + gap, centre + gap + wide)]
    half = min(75, max(28, (right - left) * percent // 200))
    return [(centre - half, centre + half)]


def _floor_parts(
    dice: _Dice, top: int, bottom: int, bays: list[tuple[int, int, bool]], style: _FloorStyle
) -> list[_Part]:
    """Return the windows of one floor and all that belongs to them. A bay is (left, right, paired)."""
    height = bottom - top
    upper, lower = top + height * style.top // 100, top + height * style.bottom // 100
    parts: list[_Part] = []
    for left, right, paired in bays:
        for x0, x1 in _openings(left, right, style.width, paired and style.blinds != "sides"):
            parts += _window_parts(dice, upper, x0, lower, x1, style)
    return parts


def _window_parts(dice: _Dice, top: int, left: int, bottom: int, right: int, style: _FloorStyle) -> list[_Part]:
    """Return one window with its frame, hood, sill and blinds."""
    parts, wide = [], right - left
    if style.framed:
        parts.append(_Part(MOLDING, top - 16, left - 16, bottom + 12, right + 16, "frame"))
    parts.append(_Part(WINDOW, top, left, bottom, right))
    if style.hood == "cornice":
        parts.append(_Part(CORNICE, top - 30, left - 18, top - 8, right + 18, "hood"))
    if style.hood == "deco":
        parts.append(_Part(DECO, top - 36, left + wide // 8, top - 6, right - wide // 8))
    if style.sill:
        parts.append(_Part(SILL, bottom, left - 14, bottom + 22, right + 14))
    if style.blinds == "sides":
        side = max(28, wide * 44 // 100)
        parts.append(_Part(BLIND, top, left - side, bottom, left, "shutter"))
        parts.append(_Part(BLIND, top, right, bottom, right + side, "shutter"))
    if style.blinds == "roller" and dice.chance(60):
        parts.append(_Part(BLIND, top, left, top + (bottom - top) * dice.between(25, 70) // 100, right, "roller"))
    return parts


def _balcony_parts(dice: _Dice, body: _Body, floor: int, columns: list[bool]) -> list[_Part]:
    """Return the balconies of one floor, one per chosen bay, or one along all of them."""
    top, bottom = body.floors[floor], body.floors[floor + 1]
    height = bottom - top
    upper, lower = top + height * 58 // 100, top + height * 94 // 100
    if dice.chance(12):
        return [_Part(BALCONY, upper, body.bays[0] + 8, lower, body.bays[-1] - 8)]
    parts = []
    for i, present in enumerate(columns):
        if present:
            pad = (body.bays[i + 1] - body.bays[i]) * 8 // 100
            parts.append(_Part(BALCONY, upper, body.bays[i] + pad, lower, body.bays[i + 1] - pad))
    return parts


def _upper_parts(dice: _Dice, body: _Body) -> list[_Part]:
    """Return the windows and balconies of all floors above the ground floor."""
    columns = len(body.bays) - 1
    paired = _mirrored(dice, columns, 18)
    present = [True] * columns
    if columns > 3 and dice.chance(15):
        present[dice.between(0, columns - 1)] = False
    balconies = _mirrored(dice, columns, 40) if dice.chance(62) else [False] * columns
    balcony_floors = [dice.chance(60) for _ in body.floors[:-2]]
    usual, special = _floor_style(dice), _floor_style(dice)
    special_floor = dice.between(-2, len(body.floors) - 3)
    decorated = dice.chance(30)
    bays = [(body.bays[i], body.bays[i + 1], paired[i]) for i in range(columns) if present[i]]
    parts: list[_Part] = []
    for floor in range(len(body.floors) - 2):
        style = special if floor == special_floor else usual
        parts += _floor_parts(dice, body.floors[floor], body.floors[floor + 1], bays, style)
        if balcony_floors[floor]:
            parts += _balcony_parts(dice, body, floor, balconies)
    for i in range(columns):
        if not present[i]:
            parts += _blank_bay(dice, body, i)
    if decorated:
        parts += _medallions(dice, body)
    return parts


def _blank_bay(dice: _Dice, body: _Body, column: int) -> list[_Part]:
    """Return the ornament of a bay without windows: one panel on one floor."""
    floor = dice.between(0, len(body.floors) - 3)
    centre, half = (body.bays[column] + body.bays[column + 1]) // 2, dice.between(28, 44)
    top, height = body.floors[floor], body.floors[floor + 1] - body.floors[floor]
    return [_Part(DECO, top + height * 30 // 100, centre - half, top + height * 75 // 100, centre + half)]


def _medallions(dice: _Dice, body: _Body) -> list[_Part]:
    """Return a row of ornaments between two bays, on one upper floor."""
    floor, half = dice.between(0, len(body.floors) - 3), dice.between(13, 17)
    top, height = body.floors[floor], body.floors[floor + 1] - body.floors[floor]
    upper = top + height * dice.between(36, 46) // 100
    return [_Part(DECO, upper, x - half, upper + 3 * half, x + half) for x in body.bays[1:-1]]


def _ground_parts(dice: _Dice, body: _Body) -> list[_Part]:
    """Return the ground floor: shops, windows and usually a door."""
    columns = len(body.bays) - 1
    top, bottom = body.floors[-2], body.floors[-1]
    kind = dice.pick(("shops", "shops", "mixed", "dwelling", "dwelling"))
    door = columns // 2 if dice.chance(40) else dice.between(0, columns - 1)
    if not dice.chance(88):
        door = -1
    shops = [kind == "shops" or (kind == "mixed" and i * 2 < columns) for i in range(columns)]
    style = _floor_style(dice)
    windows = [(body.bays[i], body.bays[i + 1], False) for i in range(columns) if i != door and not shops[i]]
    parts = _floor_parts(dice, top, bottom - (bottom - top) // 12, windows, style)
    shops_run = [i != door and shops[i] for i in range(columns)]
    parts += _shop_parts(dice, body, shops_run)
    if door >= 0:
        parts += _door_parts(dice, body, door)
    return parts


def _shop_parts(dice: _Dice, body: _Body, columns: list[bool]) -> list[_Part]:
    """Return the shops of the chosen bays; two neighbours may be one shop."""
    top, bottom = body.floors[-2], body.floors[-1]
    upper = top + (bottom - top) * dice.between(14, 24) // 100
    lower = bottom - dice.pick((0, 0, 10))
    pad, double = dice.between(6, 18), dice.chance(55)
    parts, i = [], 0
    while i < len(columns):
        span = 2 if double and columns[i : i + 2] == [True, True] else 1
        if columns[i]:
            parts.append(_Part(SHOP, upper, body.bays[i] + pad, lower, body.bays[i + span] - pad))
        i += span
    return parts


def _door_parts(dice: _Dice, body: _Body, column: int) -> list[_Part]:
    """Return the door with what frames it."""
    top, bottom = body.floors[-2], body.floors[-1]
    left, right = body.bays[column], body.bays[column + 1]
    centre, upper = (left + right) // 2, top + (bottom - top) * dice.between(22, 32) // 100
    half = min(72, max(32, (right - left) * dice.between(22, 32) // 100))
    crown = dice.pick(("", "cornice", "deco", "balcony"))
    parts = []
    if crown == "balcony" and len(body.floors) > 2:
        height = top - body.floors[-3]
        parts.append(_Part(BALCONY, top - height * 36 // 100, left + 10, top + 6, right - 10))
    if crown == "deco":
        parts.append(_Part(DECO, upper - 36, centre - half, upper - 4, centre + half))
    if crown == "cornice":
        parts.append(_Part(CORNICE, upper - 28, centre - half - 30, upper, centre + half + 30, "hood"))
    if dice.chance(32):
        parts.append(_Part(PILLAR, upper, centre - half - 28, bottom, centre - half))
        parts.append(_Part(PILLAR, upper, centre + half, bottom, centre + half + 28))
    return [*parts, _Part(DOOR, upper, centre - half, bottom, centre + half)]


ROOF_HEIGHTS: dict[str, tuple[int, int]] = {  # from .. to, in units
    "flat": (0, 0), "parapet": (28, 60), "mansard": (110, 165),
    "hip": (80, 130), "gable": (130, 200), "steps": (130, 200),
}  # fmt: skip


def _plan(seed: int) -> _Plan:
    """Lay out the building of a seed."""
    dice = _Dice(0, seed)
    kind = dice.pick(("flat", "flat", "parapet", "mansard", "mansard", "hip", "gable", "steps"))
    roof_height = dice.between(*ROOF_HEIGHTS[kind])
    ground = GRID - (dice.between(28, 96) if dice.chance(75) else 0)
    body = _lay_out_body(dice, roof_height, ground)
    parts = _roof_parts(dice, body, kind, roof_height)
    # The wall goes below the bands and above the chimneys' feet; the gable's ornament lies outside of it.
    parts.append(_Part(FACADE, body.top, body.left, body.bottom, body.right, "wall"))
    parts += _band_parts(dice, body)
    parts += _pillar_parts(dice, body)
    parts += _upper_parts(dice, body)
    parts += _ground_parts(dice, body)
    return _Plan(parts, ground, body.floors[-2])


# ---------------------------------------------------------------------------------------------------------------------
# From units to pixels
# ---------------------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class _Rect:
    """A box in pixels, cut at the edges of the picture."""

    top: int
    left: int
    bottom: int
    right: int

    @property
    def height(self) -> int:
        return self.bottom - self.top

    @property
    def width(self) -> int:
        return self.right - self.left

    @property
    def area(self) -> tuple[slice, slice]:
        """The index of the box in an array whose first axes are rows and columns."""
        return slice(self.top, self.bottom), slice(self.left, self.right)

    def inner(self, top: int, left: int, bottom: int, right: int) -> _Rect:
        """Return the box within this one at the given pixels, counted from this one's upper left corner, and cut."""
        return _Rect(
            self.top + min(max(top, 0), self.height), self.left + min(max(left, 0), self.width),
            self.top + min(max(bottom, 0), self.height), self.left + min(max(right, 0), self.width),
        )  # fmt: skip


def _pixel(units: int, size: int) -> int:
    """Return the pixel edge nearest to a place in units, within the picture."""
    return min(max((units * size + GRID // 2) // GRID, 0), size)


def _rect(part: _Part, size: int) -> _Rect:
    """Return the pixels of a part's box."""
    return _Rect(*(_pixel(edge, size) for edge in (part.top, part.left, part.bottom, part.right)))


def _slope_mask(part: _Part, rect: _Rect, size: int) -> np.ndarray:
    """Return which pixels of `rect` lie between the slanted sides of a part: (height, width) bool."""
    middle_y = (2 * np.arange(rect.top, rect.bottom) + 1) * GRID // (2 * size)
    middle_x = (2 * np.arange(rect.left, rect.right) + 1) * GRID // (2 * size)
    inset = part.inset * (part.bottom - middle_y) // (part.bottom - part.top)
    return (middle_x >= part.left + inset[:, None]) & (middle_x < part.right - inset[:, None])


def _class_map(plan: _Plan, size: int) -> np.ndarray:
    """Paint the classes of a plan: (size, size) uint8."""
    classes = np.zeros((size, size), np.uint8)
    for part in plan.parts:
        rect = _rect(part, size)
        if part.inset:
            classes[rect.area][_slope_mask(part, rect, size)] = part.kind
        else:
            classes[rect.area] = part.kind
    return classes


# ---------------------------------------------------------------------------------------------------------------------
# Textures: arrays of the size of the picture
# ---------------------------------------------------------------------------------------------------------------------


def _smooth_noise(dice: _Dice, size: int, rows: int, columns: int) -> np.ndarray:
    """Return noise that varies over about `rows` x `columns` hills: (size, size) int32 in 0..255."""
    lattice = dice.bytes(rows + 2, columns + 2).astype(np.uint16)  # 255 * 256 still fits in 16 bits
    place = np.arange(size, dtype=np.int32)
    y, x = place * rows * 256 // size, place * columns * 256 // size
    fy, fx = (y & 255).astype(np.uint16)[:, None], (x & 255).astype(np.uint16)
    y, x = y >> 8, x >> 8
    lines = (lattice[y] * (256 - fy) + lattice[y + 1] * fy) >> 8
    return ((lines[:, x] * (256 - fx) + lines[:, x + 1] * fx) >> 8).astype(np.int32)


def _mix(first: np.ndarray, second: np.ndarray, share: np.ndarray) -> np.ndarray:
    """Return first + (second - first) * share / 256, in integers."""
    return first + (((second - first) * share) >> 8)


def _courses(
    dice: _Dice, size: int, colour: np.ndarray, height: int, length: int, spread: int, joint: np.ndarray, stagger: bool
) -> np.ndarray:
    """Return rows of blocks with a tone of their own and joints one pixel wide: (size, size, 3) int32.

    `height` and `length` are in units, `spread` is the largest change of tone; a `length` of `GRID` gives boards.
    """
    units = np.arange(size, dtype=np.int32) * GRID // size
    row = (units + dice.between(0, height)) // height
    offset = (row & 1) * (length // 2) if stagger else row * 0
    column = (units[None, :] + offset[:, None] + dice.between(0, length)) // length
    block = (row[:, None] * 37 + column) & 1023
    block[1:][row[1:] != row[:-1]] = 1024
    if length < GRID:
        block[:, 1:][column[:, 1:] != column[:, :-1]] = 1024
    tones = (dice.bytes(1024) - 128) * spread >> 7
    return np.concatenate([colour + tones[:, None], joint[None]])[block]


PLASTER: tuple[Colour, ...] = (
    (232, 219, 187), (214, 172, 102), (230, 200, 130), (188, 186, 180), (230, 228, 220), (224, 180, 166),
    (180, 196, 166), (172, 190, 206), (200, 128, 96), (208, 190, 158), (238, 232, 210), (196, 176, 148),
)  # fmt: skip
BRICK: tuple[Colour, ...] = (
    (158, 74, 56), (172, 90, 66), (134, 66, 54), (186, 124, 84), (194, 164, 116), (122, 86, 74), (148, 60, 48),
)  # fmt: skip
STONE: tuple[Colour, ...] = (
    (196, 186, 164), (174, 168, 158), (208, 192, 160), (156, 148, 136), (186, 164, 140), (204, 200, 190),
)  # fmt: skip
BOARDS: tuple[Colour, ...] = (
    (226, 224, 214), (150, 170, 186), (158, 176, 150), (164, 74, 60), (222, 196, 128), (128, 106, 84), (110, 134, 140),
)  # fmt: skip
ROOF: tuple[Colour, ...] = ((92, 94, 102), (158, 82, 58), (126, 66, 52), (112, 150, 134), (74, 72, 76), (140, 100, 76))


def _brick(dice: _Dice, size: int) -> np.ndarray:
    """Return a brick wall: (size, size, 3) int32."""
    colour = dice.tint(BRICK)
    joint = colour + dice.pick((36, 26, -26, 18))
    height = dice.between(17, 23)
    return _courses(dice, size, colour, height, height * dice.between(20, 26) // 10, 24, joint, True)


def _stone(dice: _Dice, size: int) -> np.ndarray:
    """Return a wall of large stone blocks: (size, size, 3) int32."""
    colour = dice.tint(STONE)
    height = dice.between(56, 88)
    joint = colour - dice.between(24, 50)
    return _courses(dice, size, colour, height, height * dice.between(15, 26) // 10, 13, joint, True)


def _tiles(dice: _Dice, size: int) -> np.ndarray:
    """Return a wall of plates in a plain grid: (size, size, 3) int32."""
    colour = dice.tint(PLASTER)
    joint = colour - dice.between(20, 40)
    return _courses(dice, size, colour, dice.between(48, 76), dice.between(48, 110), 9, joint, False)


def _boards(dice: _Dice, size: int) -> np.ndarray:
    """Return a wall of horizontal boards: (size, size, 3) int32."""
    colour = dice.tint(BOARDS)
    return _courses(dice, size, colour, dice.between(28, 44), GRID, 12, colour - dice.between(36, 56), False)


def _plaster(dice: _Dice, size: int) -> np.ndarray:
    """Return a plastered wall, with or without wide grooves: (size, size, 3) int32."""
    colour = dice.tint(PLASTER)
    if dice.chance(18):
        return _courses(dice, size, colour, dice.between(56, 80), GRID, 4, colour - dice.between(18, 36), False)
    return np.broadcast_to(colour, (size, size, 3)).copy()


def _wall(dice: _Dice, size: int, base: int) -> np.ndarray:
    """Return the wall all over the picture, the ground floor (below pixel row `base`) perhaps in another material."""
    materials = (_plaster, _plaster, _plaster, _plaster, _brick, _brick, _brick, _stone, _stone, _boards, _tiles)
    picture = dice.pick(materials)(dice, size)
    if dice.chance(45):
        lower = dice.pick((_stone, _stone, _plaster, _brick))(dice, size)
        picture[base:] = lower[base:]
    weather = _smooth_noise(dice, size, 5, 5) + _smooth_noise(dice, size, 4, 48) // 2 - 190
    strength = dice.between(8, 34)
    picture += (weather * strength >> 8)[:, :, None]
    return picture


SKIES: tuple[tuple[Colour, Colour, Colour], ...] = (  # at the top, at the horizon, of the clouds
    ((84, 138, 206), (190, 216, 238), (250, 250, 250)),
    ((116, 164, 220), (214, 228, 240), (248, 248, 246)),
    ((168, 178, 190), (222, 224, 226), (236, 236, 236)),
    ((196, 200, 206), (234, 234, 234), (214, 216, 220)),
    ((96, 122, 176), (244, 204, 164), (252, 222, 196)),
    ((126, 128, 176), (246, 186, 150), (246, 206, 190)),
    ((66, 116, 196), (150, 196, 236), (250, 252, 255)),
)


def _sky(dice: _Dice, size: int) -> np.ndarray:
    """Return a sky with clouds, darker at the top: (size, size, 3) int32."""
    top, horizon, cloud = (np.array(c, np.int32) for c in dice.pick(SKIES))
    down = np.minimum(np.arange(size, dtype=np.int32) * 448 // size, 256)[:, None, None]
    picture = np.broadcast_to(_mix(top, horizon, down), (size, size, 3))
    hills = _smooth_noise(dice, size, 7, 3) * 2 + _smooth_noise(dice, size, 16, 8)
    hills += _smooth_noise(dice, size, 36, 22) // 2
    cover = np.clip((hills - dice.between(300, 600)) * dice.between(1, 2), 0, 230)
    return _mix(picture, cloud, cover[:, :, None])


def _glass(dice: _Dice, size: int) -> np.ndarray:
    """Return what window panes show, over the whole picture; each window takes a piece of it: (size, size, 3) int32."""
    dark = dice.tint(((34, 42, 52), (28, 32, 36), (44, 54, 66), (38, 38, 34)), 6)
    bright = dice.tint(((150, 180, 206), (176, 186, 194), (128, 152, 166), (190, 170, 150)), 8)
    x = np.arange(size, dtype=np.int32) * GRID // size
    diagonal = (x[:, None] * dice.between(2, 3) // 2 + x[None, :] + dice.between(0, 400)) % dice.between(190, 330)
    streak = np.where(diagonal < dice.between(50, 110), dice.between(40, 120), 0)
    share = _smooth_noise(dice, size, 9, 9) * _smooth_noise(dice, size, 20, 20) >> 8
    return _mix(dark, bright, np.minimum(share + streak, 235)[:, :, None])


# ---------------------------------------------------------------------------------------------------------------------
# The photo: one painter per class. A painter makes the choices of the building once and then paints every such part.
# ---------------------------------------------------------------------------------------------------------------------

TRIM: tuple[Colour, ...] = (
    (236, 232, 220), (214, 204, 182), (190, 184, 172), (224, 212, 184), (170, 160, 146), (198, 170, 132),
)  # fmt: skip
JOINERY: tuple[Colour, ...] = (
    (240, 238, 232), (240, 238, 232), (228, 220, 200), (96, 62, 42), (70, 50, 40), (60, 74, 66), (88, 92, 98),
)  # fmt: skip
PAINT: tuple[Colour, ...] = (
    (58, 96, 70), (112, 54, 38), (52, 74, 112), (128, 84, 50), (136, 44, 40), (150, 162, 170), (196, 186, 160),
    (44, 82, 92), (86, 62, 44),
)  # fmt: skip
WOOD: tuple[Colour, ...] = (
    (110, 62, 34), (84, 46, 28), (134, 84, 44), (40, 84, 58), (132, 36, 34), (34, 56, 98), (62, 40, 34), (24, 78, 88),
)  # fmt: skip
SIGNS: tuple[Colour, ...] = (
    (150, 34, 36), (26, 70, 52), (28, 44, 92), (40, 38, 40), (206, 164, 60), (216, 208, 190), (108, 40, 70),
    (22, 96, 120),
)  # fmt: skip
GOODS: tuple[Colour, ...] = (
    (220, 180, 110), (196, 84, 70), (90, 140, 120), (230, 220, 200), (110, 120, 170), (226, 150, 80), (140, 110, 90),
)  # fmt: skip

Painter = Callable[[_Rect, str], None]


class _Canvas:
    """The photo while it is painted: `colour` (S, S, 3) int32 and `height` (S, S) int32, units in front of the wall."""

    def __init__(self, size: int) -> None:
        self.size = size
        self.colour = np.zeros((size, size, 3), np.int32)
        self.height = np.zeros((size, size), np.int32)

    def pixels(self, units: int) -> int:
        """Return a length in pixels, at least one."""
        return max(1, (units * self.size + GRID // 2) // GRID)

    def fill(self, rect: _Rect, colour: np.ndarray, height: int | None = None) -> None:
        """Paint a box in one colour, and set how far it stands out if `height` is given."""
        self.colour[rect.area] = colour
        if height is not None:
            self.height[rect.area] = height

    def stripes(self, rect: _Rect, period: int, change: int) -> None:
        """Make every `period`-th row of a box brighter by `change`, from its second row on."""
        self.colour[rect.top + 1 : rect.bottom : period, rect.left : rect.right] += change


def _bars(count: int, length: int, thick: int) -> Iterator[tuple[int, int]]:
    """Yield the (start, stop) of `count` bars that divide `length` pixels evenly."""
    for i in range(1, count + 1):
        start = (length * i - thick * (count + 1) // 2) // (count + 1)
        yield start, start + thick


def _window_painter(canvas: _Canvas, dice: _Dice, glass: np.ndarray) -> Painter:
    """Windows: a frame with muntins, set back from the wall; panes that reflect, are lit, or show curtains."""
    frame = dice.tint(JOINERY)
    lit = dice.tint(((250, 210, 130), (246, 226, 170)))
    upright, transom = dice.pick(((1, 40), (1, 33), (1, 50), (0, 50), (2, 35), (1, 0), (2, 0)))
    thick = canvas.pixels(9)
    curtained, lit_percent = dice.between(20, 75), dice.pick((0, 0, 0, 8, 30))
    cloth = dice.tint(((226, 220, 206), (206, 196, 176), (190, 198, 204), (214, 176, 150)))

    def paint(rect: _Rect, role: str) -> None:
        y, x = dice.between(0, 255), dice.between(0, 255)  # always thrown, so that a size changes no later throw
        is_lit, has_cloth, dim = dice.chance(lit_percent), dice.chance(curtained), dice.between(-26, 30)
        style, reach = dice.pick(("sides", "sides", "sheer", "top", "left")), dice.between(20, 36)
        if rect.height < 3 or rect.width < 3:
            canvas.fill(rect, np.array((60, 70, 80)))
            return
        y, x = y * (canvas.size - rect.height) >> 8, x * (canvas.size - rect.width) >> 8
        pane = glass[y : y + rect.height, x : x + rect.width] + dim
        if is_lit:
            pane = _mix(pane, lit, np.int32(170))
        canvas.colour[rect.area] = pane
        canvas.height[rect.area] = -20
        if has_cloth:
            _hang_cloth(canvas, rect, cloth, style, reach)
        edge = rect.inner(thick, thick, rect.height - thick, rect.width - thick)
        for outer in (
            _Rect(rect.top, rect.left, edge.top, rect.right), _Rect(edge.bottom, rect.left, rect.bottom, rect.right),
            _Rect(rect.top, rect.left, rect.bottom, edge.left), _Rect(rect.top, edge.right, rect.bottom, rect.right),
        ):  # fmt: skip
            canvas.fill(outer, frame, -14)
        for start, stop in _bars(upright, rect.width, thick):
            canvas.fill(rect.inner(0, start, rect.height, stop), frame, -16)
        if transom and rect.height > 6 * thick:
            start = rect.height * transom // 100
            canvas.fill(rect.inner(start, 0, start + thick, rect.width), frame, -16)

    return paint


def _hang_cloth(canvas: _Canvas, rect: _Rect, cloth: np.ndarray, style: str, reach: int) -> None:
    """Hang curtains into a window: at the sides, at the left, from the top, or thin ones all over."""
    wide, high = rect.width * reach // 100, rect.height * reach // 60
    if style == "sheer":
        canvas.colour[rect.area] = _mix(canvas.colour[rect.area], cloth, np.int32(120))
        return
    pieces = {
        "sides": (rect.inner(0, 0, rect.height, wide), rect.inner(0, rect.width - wide, rect.height, rect.width)),
        "left": (rect.inner(0, 0, rect.height, 2 * wide),),
        "top": (rect.inner(0, 0, high, rect.width),),
    }[style]
    for piece in pieces:
        canvas.colour[piece.area] = _mix(canvas.colour[piece.area], cloth, np.int32(200))
        canvas.colour[piece.top : piece.bottom, piece.left : piece.right : 3] -= 22  # folds


def _door_painter(canvas: _Canvas, dice: _Dice) -> Painter:
    """Doors: wooden leaves with panels, a pane above, a handle and a step."""
    wood, frame = dice.tint(WOOD), dice.tint(JOINERY + TRIM)
    glass = dice.tint(((52, 64, 76), (120, 130, 130), (210, 180, 120)))
    leaves, rows, glazed = dice.pick((1, 2, 2)), dice.between(2, 4), dice.chance(35)
    brass, stone = np.array((222, 196, 120)), np.array((168, 162, 154))

    def paint(rect: _Rect, role: str) -> None:
        thick = canvas.pixels(10)
        canvas.fill(rect, frame, -12)
        light = rect.inner(thick, thick, rect.height * 22 // 100, rect.width - thick)
        canvas.fill(light, glass, -26)
        for start, stop in _bars(2, rect.width, max(1, thick // 2)):
            canvas.fill(rect.inner(thick, start, light.bottom - rect.top, stop), frame)
        leaf = rect.inner(light.bottom - rect.top + thick, thick, rect.height, rect.width - thick)
        canvas.fill(leaf, wood, -24)
        for row in range(rows):
            for column in range(leaves):
                cell = _cell(leaf, row, rows, column, leaves, canvas.pixels(10))
                canvas.fill(cell, glass if glazed and row == 0 else wood + 16, -34)
        if leaves == 2:
            canvas.fill(leaf.inner(0, leaf.width // 2, leaf.height, leaf.width // 2 + 1), wood - 36)
        hand, middle = leaf.height * 52 // 100, leaf.width // 2
        canvas.fill(leaf.inner(hand, middle + thick, hand + 2 * thick, middle + 2 * thick), brass)
        canvas.fill(rect.inner(rect.height - canvas.pixels(12), 0, rect.height, rect.width), stone, 14)

    return paint


def _cell(rect: _Rect, row: int, rows: int, column: int, columns: int, gap: int) -> _Rect:
    """Return one cell of a grid of `rows` x `columns` within `rect`, `gap` pixels smaller on the upper left side."""
    return rect.inner(
        rect.height * row // rows + gap, rect.width * column // columns + gap,
        rect.height * (row + 1) // rows - gap // 2, rect.width * (column + 1) // columns - gap // 2,
    )  # fmt: skip


def _band_painter(canvas: _Canvas, dice: _Dice, trim: np.ndarray, reliefs: tuple[int, int], toothed: int) -> Painter:
    """Cornices and moldings: a bright upper edge, a dark lower edge, and in `toothed` of 100 buildings dentils."""
    tone, relief = trim + dice.between(-14, 14), dice.between(*reliefs)
    teeth, groove = dice.chance(toothed), dice.chance(50)

    def paint(rect: _Rect, role: str) -> None:
        out = relief // 2 if role == "frame" else relief
        canvas.fill(rect, tone, out)
        line = canvas.pixels(5)
        if rect.height < 3 * line or role == "frame":
            return
        canvas.colour[rect.inner(0, 0, line, rect.width).area] += 22
        canvas.fill(rect.inner(rect.height - line, 0, rect.height, rect.width), tone - 30, out // 2)
        if groove and rect.height >= 5 * line:
            canvas.colour[rect.inner(2 * line, 0, 3 * line, rect.width).area] -= 24
        if teeth and rect.height >= 4 * line:
            _cut_teeth(canvas, rect, tone)

    return paint


def _cut_teeth(canvas: _Canvas, rect: _Rect, tone: np.ndarray) -> None:
    """Cut dentils into the lower half of a band: every other piece of 12 units is set back and darker."""
    step = canvas.pixels(12)
    gaps = (np.arange(rect.left, rect.right) // step) % 2 == 1
    lower = slice(rect.top + rect.height // 2, rect.bottom - 1)
    canvas.colour[lower, rect.left : rect.right][:, gaps] = tone - 44
    canvas.height[lower, rect.left : rect.right][:, gaps] = 4


def _sill_painter(canvas: _Canvas, dice: _Dice, trim: np.ndarray) -> Painter:
    """Sills: a slab that stands out; sometimes a row of flowers on it."""
    tone, flowered = trim + dice.between(-20, 10), dice.chance(14)
    bloom = dice.tint(((206, 60, 70), (230, 130, 160), (240, 200, 80)))
    leaves = np.array((74, 112, 56))

    def paint(rect: _Rect, role: str) -> None:
        bare = dice.chance(30)
        canvas.fill(rect, tone, 22)
        canvas.colour[rect.bottom - 1 : rect.bottom, rect.left : rect.right] -= 34
        if flowered and not bare:
            box = rect.inner(0, 1, max(1, rect.height // 2), rect.width - 1)
            canvas.fill(box, leaves, 26)
            canvas.colour[box.top : box.bottom : 2, box.left : box.right : 3] = bloom

    return paint


def _balcony_painter(canvas: _Canvas, dice: _Dice, trim: np.ndarray) -> Painter:
    """Balconies: a slab that casts a shadow, and a railing of iron bars, stone balusters, plates or glass."""
    style = dice.pick(("iron", "iron", "iron", "stone", "stone", "plates", "glass"))
    iron = dice.tint(((38, 38, 42), (52, 60, 56), (226, 224, 218), (70, 50, 40)), 8)
    plate = dice.tint(PAINT + PLASTER)
    bar, gap = {"iron": (7, 14), "stone": (16, 12)}.get(style, (8, 60))
    rail_colour = trim if style == "stone" else iron

    def paint(rect: _Rect, role: str) -> None:
        slab = canvas.pixels(24)
        rail = canvas.pixels(10)
        railing = rect.inner(0, 0, rect.height - slab, rect.width)
        if style in ("plates", "glass"):
            back, share = (plate, 236) if style == "plates" else (np.array((176, 204, 210)), 110)
        else:
            back, share = np.array((24, 24, 28)), 96
        canvas.colour[railing.area] = _mix(canvas.colour[railing.area], back, np.int32(share))
        canvas.height[railing.area] = 40 if style == "plates" else -6
        thick, period = canvas.pixels(bar), canvas.pixels(bar) + canvas.pixels(gap)
        bars = (np.arange(rect.width) % period) < thick
        canvas.colour[railing.area][:, bars] = rail_colour
        canvas.height[railing.area][:, bars] = 44
        canvas.fill(railing.inner(0, 0, rail, rect.width), rail_colour, 48)
        canvas.fill(rect.inner(rect.height - slab, 0, rect.height, rect.width), trim, 64)
        canvas.colour[rect.bottom - 1 : rect.bottom, rect.left : rect.right] -= 50

    return paint


def _blind_painter(canvas: _Canvas, dice: _Dice) -> Painter:
    """Blinds: shutters with slats beside a window, or a roller blind let down over it."""
    shutter = dice.tint(PAINT)
    roller = dice.tint(((206, 200, 186), (176, 178, 176), (150, 128, 100), (196, 170, 90), (140, 154, 150)))
    period = canvas.pixels(20)

    def paint(rect: _Rect, role: str) -> None:
        if role == "roller":
            canvas.fill(rect, roller, -10)
            canvas.stripes(rect, max(2, period * 2 // 3), -26)
            return
        canvas.fill(rect, shutter, 10)
        edge = canvas.pixels(6)
        leaf = rect.inner(edge, edge, rect.height - edge, rect.width - edge)
        canvas.fill(leaf, shutter - 10, 6)
        canvas.stripes(leaf, max(2, period), -34)
        canvas.fill(rect.inner(rect.height // 2, 0, rect.height // 2 + edge, rect.width), shutter)

    return paint


def _deco_painter(canvas: _Canvas, dice: _Dice, trim: np.ndarray) -> Painter:
    """Ornaments: a panel with an oval, a diamond or a ribbed shell standing out from it."""
    tone, motif = trim + dice.between(-20, 16), dice.pick(("oval", "diamond", "ribs"))
    ground = tone - dice.between(18, 60)

    def paint(rect: _Rect, role: str) -> None:
        canvas.fill(rect, ground, 8)
        # 64 bits: the squares of the oval do not fit in 32
        y = np.abs(2 * np.arange(rect.height, dtype=np.int64) + 1 - rect.height)[:, None]
        x = np.abs(2 * np.arange(rect.width, dtype=np.int64) + 1 - rect.width)
        high, wide = max(1, rect.height - 1), max(1, rect.width - 1)
        if motif == "oval":
            mask = (y * wide) * (y * wide) + (x * high) * (x * high) <= (high * wide) * (high * wide)
        elif motif == "diamond":
            mask = y * wide + x * high <= high * wide
        else:
            mask = (y < high) & (np.arange(rect.width) // canvas.pixels(8) % 2 == 0)
        canvas.colour[rect.area][mask] = tone
        canvas.height[rect.area][mask] = 22

    return paint


def _pillar_painter(canvas: _Canvas, dice: _Dice, trim: np.ndarray) -> Painter:
    """Pillars: a round or fluted shaft between a base and a capital."""
    tone, fluted = trim + dice.between(-12, 14), dice.chance(40)

    def paint(rect: _Rect, role: str) -> None:
        if not rect.width or not rect.height:
            return
        across = np.abs(2 * np.arange(rect.width) + 1 - rect.width) * 46 // rect.width
        if fluted:
            across = np.arange(rect.width) // canvas.pixels(6) % 2 * 30
        canvas.colour[rect.area] = (tone - across[:, None])[None]
        canvas.height[rect.area] = 16
        end = min(rect.height // 4, canvas.pixels(24))
        for piece in (rect.inner(0, 0, end, rect.width), rect.inner(rect.height - end, 0, rect.height, rect.width)):
            canvas.fill(piece, tone + 12, 28)
            canvas.stripes(piece, 2, -20)

    return paint


def _shop_painter(canvas: _Canvas, dice: _Dice, glass: np.ndarray) -> Painter:
    """Shops: a large lit window with goods, over it a sign with letters or a striped awning, below it a plinth."""
    frame = dice.tint(WOOD + SIGNS)
    glow = dice.tint(((240, 206, 140), (216, 220, 224), (180, 170, 150)))

    def paint(rect: _Rect, role: str) -> None:
        sign, awning, panes = dice.tint(SIGNS), dice.chance(45), dice.between(2, 4)
        pale = np.array((240, 236, 224)) if int(sign.sum()) < 480 else np.array((60, 40, 40))
        shine = dice.between(20, 110)
        goods = [(dice.between(4, 92), dice.between(12, 40), dice.tint(GOODS)) for _ in range(9)]
        letters = dice.bytes(64)
        canvas.fill(rect, frame, -6)
        top, plinth = rect.height * (32 if awning else 20) // 100, rect.height * 90 // 100
        show = rect.inner(rect.height * 20 // 100, 0, plinth, rect.width)
        canvas.colour[show.area] = _mix(glass[show.area], glow, np.int32(shine))
        canvas.height[show.area] = -24
        for place, tall, colour in goods:
            at = show.width * place // 100
            piece = show.inner(show.height - show.height * tall // 100, at, show.height, at + canvas.pixels(30))
            canvas.colour[piece.area] = _mix(canvas.colour[piece.area], colour, np.int32(150))
        thick = canvas.pixels(10)
        for start, stop in ((0, thick), *_bars(panes - 1, rect.width, thick), (rect.width - thick, rect.width)):
            canvas.fill(show.inner(0, start, show.height, stop), frame, -12)
        if awning:
            _stretch_awning(canvas, rect.inner(0, 0, top, rect.width), sign, pale)
        else:
            _letter_sign(canvas, rect.inner(0, 0, top, rect.width), sign, pale, letters)

    return paint


def _stretch_awning(canvas: _Canvas, rect: _Rect, colour: np.ndarray, pale: np.ndarray) -> None:
    """Paint a striped awning: it comes forward towards its lower edge."""
    stripe = np.arange(rect.width) // canvas.pixels(24) % 2 == 1
    canvas.fill(rect, colour + 16)
    canvas.colour[rect.area][:, stripe] = pale - 10
    canvas.height[rect.area] = (10 + 50 * np.arange(rect.height) // max(1, rect.height))[:, None]
    canvas.colour[rect.bottom - canvas.pixels(8) : rect.bottom, rect.left : rect.right] -= 40


def _letter_sign(canvas: _Canvas, rect: _Rect, colour: np.ndarray, pale: np.ndarray, letters: np.ndarray) -> None:
    """Paint a sign strip with strokes that look like letters from afar; `letters` (64,) int32 says where."""
    canvas.fill(rect, colour, 12)
    cell = canvas.pixels(10)
    upper, lower = rect.top + rect.height * 30 // 100, rect.top + rect.height * 72 // 100
    first, last = rect.width // 5 // cell, rect.width * 4 // 5 // cell
    for i in range(first, last):
        code = letters[i % 64]
        if i % 5 == 4 or code < 50:
            continue
        x = rect.left + i * cell
        cut = (lower - upper) // 2 if code < 150 and i % 2 else 0
        canvas.colour[upper + cut : lower, x : x + max(1, cell * 2 // 3)] = pale


# ---------------------------------------------------------------------------------------------------------------------
# The photo: ground, trees, light
# ---------------------------------------------------------------------------------------------------------------------


def _paint_trees(canvas: _Canvas, dice: _Dice, ground: int) -> None:
    """Paint far trees above the ground line; a building hides those behind it."""
    if not dice.chance(60):
        return
    size, green = canvas.size, dice.tint(((70, 96, 62), (96, 110, 70), (120, 96, 60), (84, 100, 96)))
    waves = ((5, 3), (16, 2), (38, 1), (70, 1))
    crowns = sum(_smooth_noise(dice, size, 1, hills)[0] * share for hills, share in waves)
    tall = (dice.between(20, 90) + crowns * dice.between(60, 130) // 1785) * size // GRID
    top = max(0, ground - int(tall.max()))
    mask = np.arange(top, ground)[:, None] >= ground - tall
    leaves = green + ((_smooth_noise(dice, size, 44, 44)[top:ground] - 128) // 3)[:, :, None]
    canvas.colour[top:ground][mask] = leaves[mask]


def _paint_ground(canvas: _Canvas, dice: _Dice, ground: int) -> None:
    """Paint the pavement with its slabs, the kerb and the road below the ground line."""
    size = canvas.size
    stone = dice.tint(((168, 164, 158), (150, 146, 144), (182, 172, 156)))
    road = dice.tint(((88, 88, 92), (110, 106, 102), (72, 74, 80)))
    joint, slab = stone - 26, dice.between(60, 120)
    canvas.colour[ground:] = _courses(dice, size, stone, 34, slab, 10, joint, True)[ground:]
    kerb = ground + canvas.pixels(dice.between(34, 60))
    canvas.colour[kerb:] = road + (_smooth_noise(dice, size, 60, 30)[kerb:, :, None] - 128) // 8
    canvas.colour[kerb : kerb + canvas.pixels(7)] = stone + 26
    contact = canvas.pixels(8)
    canvas.colour[ground : ground + contact] -= 30


def _shadow(height: np.ndarray, size: int, side: int, reach: int) -> np.ndarray:
    """Return how much of the sun is hidden: (S, S) int32 in 0..9.

    The sun stands above, at the left (`side` 1) or at the right (-1): a point `h` units in front of its surroundings
    shades what lies within `h * reach / 4` units below it, towards the other side. The edge is softened over 3 x 3.
    """
    hidden = np.zeros((size, size), bool)
    highest = int(height.max()) - int(height.min())
    small = height.astype(np.int16)
    for step in range(1, size):
        rise = step * GRID * 4 // (size * reach)
        if rise >= highest:
            break
        across = step * 2 // 3
        right, left = slice(across, None), slice(None, size - across)
        shaded, shading = (right, left) if side > 0 else (left, right)
        hidden[step:, shaded] |= small[:-step, shading] - small[step:, shaded] > rise
    padded = np.pad(hidden.astype(np.int32), 1, mode="edge")
    rows = padded[:-2] + padded[1:-1] + padded[2:]
    return rows[:, :-2] + rows[:, 1:-1] + rows[:, 2:]


def _light(canvas: _Canvas, dice: _Dice) -> np.ndarray:
    """Return the light on the building in 256ths: (S, S) int32, from shadows, edges and a gentle slope."""
    size, height = canvas.size, canvas.height
    side, reach = dice.pick((1, -1)), dice.between(2, 7)
    depth = dice.pick((3, 6, 9, 11, 13))  # how dark shadows are: 3 under clouds, 13 in the sun
    light = 262 - _shadow(height, size, side, reach) * depth
    edge = np.zeros_like(height)
    edge[1:] = np.clip(height[1:] - height[:-1], -24, 24)
    slope = np.zeros_like(height)
    slope[:, 1:] = np.clip(height[:, 1:] - height[:, :-1], -24, 24)
    light += edge + side * slope // 2
    place = np.arange(size, dtype=np.int32) * 256 // size - 128
    light += place[None, :] * dice.between(-26, 26) // 256 - place[:, None] * dice.between(0, 30) // 256
    return light


def _develop(canvas: _Canvas, dice: _Dice, light: np.ndarray, sky: np.ndarray) -> np.ndarray:
    """Return the finished photo, (S, S, 3) uint8: lit, toned, slightly soft, grainy. `sky` (S, S) bool is not lit."""
    size = canvas.size
    light[sky] = 256
    tone = np.array([dice.between(244, 262), 252, dice.between(242, 262)], np.int32) * dice.between(224, 268) >> 8
    colour = canvas.colour * light[:, :, None] >> 8
    colour = colour * tone >> 8
    soft = colour * 6
    soft[1:] += colour[:-1]
    soft[:1] += colour[:1]
    soft[:, 1:] += colour[:, :-1]
    soft[:, :1] += colour[:, :1]
    grain = (dice.bytes(size, size) - 128) * dice.between(5, 15) >> 8
    soft += grain[:, :, None] * 8
    return np.clip(soft >> 3, 0, 255).astype(np.uint8)


def _painters(canvas: _Canvas, dice: _Dice) -> dict[int, Painter]:
    """Return the painter of every class but background and facade."""
    trim, glass = dice.tint(TRIM), _glass(dice, canvas.size)
    return {
        WINDOW: _window_painter(canvas, dice, glass),
        DOOR: _door_painter(canvas, dice),
        CORNICE: _band_painter(canvas, dice, trim, (28, 44), 40),
        SILL: _sill_painter(canvas, dice, trim),
        BALCONY: _balcony_painter(canvas, dice, trim),
        BLIND: _blind_painter(canvas, dice),
        DECO: _deco_painter(canvas, dice, trim),
        MOLDING: _band_painter(canvas, dice, trim - 14, (14, 24), 15),
        PILLAR: _pillar_painter(canvas, dice, trim),
        SHOP: _shop_painter(canvas, dice, glass),
    }


def _wall_painter(canvas: _Canvas, dice: _Dice, base: int) -> Callable[[_Part, _Rect], None]:
    """Walls, gables, chimneys and roofs: pieces of a texture that covers the picture, slanted where the part is."""
    wall = _wall(dice, canvas.size, base)
    colour = dice.tint(ROOF)
    roof = _courses(dice, canvas.size, colour, dice.between(20, 30), dice.between(22, 40), 16, colour - 22, True)
    edge = dice.tint(TRIM + ROOF)

    def paint(part: _Part, rect: _Rect) -> None:
        texture = (roof if part.role == "roof" else wall)[rect.area]
        if not part.inset:
            canvas.colour[rect.area] = texture
            return
        mask = _slope_mask(part, rect, canvas.size)
        canvas.colour[rect.area][mask] = texture[mask]
        canvas.height[rect.area][mask] = -14 if part.role == "roof" else 0
        if part.role == "gable":  # a ledge along the slopes
            thick = canvas.pixels(26)
            inside = mask.copy()
            inside[thick:] &= mask[:-thick]
            inside[:thick] = False
            ledge = mask & ~inside
            canvas.colour[rect.area][ledge] = edge
            canvas.height[rect.area][ledge] = 18

    return paint


def _photo(plan: _Plan, classes: np.ndarray, dice: _Dice) -> np.ndarray:
    """Paint the photo of a plan, (S, S, 3) uint8; `dice` decide all that the labels do not say."""
    size = classes.shape[0]
    canvas, ground = _Canvas(size), _pixel(plan.ground, size)
    canvas.colour[:] = _sky(dice, size)
    _paint_trees(canvas, dice, ground)
    _paint_ground(canvas, dice, ground)
    paint_wall = _wall_painter(canvas, dice, _pixel(plan.base, size))
    painters = _painters(canvas, dice)
    for part in plan.parts:
        rect = _rect(part, size)
        if part.kind == FACADE:
            paint_wall(part, rect)
        else:
            painters[part.kind](rect, part.role)
    return _develop(canvas, dice, _light(canvas, dice), classes == BACKGROUND)


# ---------------------------------------------------------------------------------------------------------------------
# Pairs
# ---------------------------------------------------------------------------------------------------------------------


def make_classes(seed: int, size: int = 256) -> np.ndarray:
    """Return the class map of a seed: (size, size) uint8 with values in 0..11, as in `CLASS_NAMES`.

    Raises TypeError or ValueError for a seed that is not an integer in 0 .. 2**64 - 1, and ValueError for a size that
    is not a multiple of 16 or below 32.
    """
    return _class_map(_plan(_check_seed("seed", seed)), _check_size(size))


def make_pair(seed: int, size: int = 256, photo_seed: int | None = None) -> FacadePair:
    """Return the pair of a seed; the label map depends on `seed` only, the photo on both seeds.

    `photo_seed` chooses one of many photos of the same label map; None takes one that is derived from `seed`. Another
    `size` draws the same building at another resolution. Raises what `make_classes` raises, for both seeds.
    """
    seed, size = _check_seed("seed", seed), _check_size(size)
    words = () if photo_seed is None else (_check_seed("photo_seed", photo_seed),)
    plan = _plan(seed)
    classes = _class_map(plan, size)
    return FacadePair(classes, CLASS_COLOURS[classes], _photo(plan, classes, _Dice(1, seed, *words)))


def colour_to_classes(label: np.ndarray) -> np.ndarray:
    """Return the class whose colour is nearest to each pixel: (..., 3) integers in 0..255 to (...) uint8 in 0..11.

    JPEG moves the flat colours of a label map a little; the nearest colour is still the right one. Raises ValueError
    for an array that is not of integers or whose last axis is not 3 long.
    """
    label = np.asarray(label)
    if label.ndim < 1 or label.shape[-1] != 3 or label.dtype.kind not in "ui":
        raise ValueError(
            f"label must be integers of shape (..., 3) in 0..255, got {label.dtype} of shape {label.shape}; "
            "load it with np.asarray(image.convert('RGB'))"
        )
    best = np.zeros(label.shape[:-1], np.uint8)
    nearest = np.full(label.shape[:-1], 1 << 30, np.int32)
    for index, colour in enumerate(CLASS_COLOURS.astype(np.int32)):
        distance = np.zeros(label.shape[:-1], np.int32)
        for channel in range(3):
            distance += (label[..., channel].astype(np.int32) - colour[channel]) ** 2
        closer = distance < nearest
        best[closer], nearest[closer] = index, distance[closer]
    return best


# ---------------------------------------------------------------------------------------------------------------------
# Datasets on disk
# ---------------------------------------------------------------------------------------------------------------------

Progress = Callable[[int, int], None]
MANIFEST = "dataset.json"


def split_seeds(split: str, count: int, base_seed: int = 0) -> range:
    """Return the seeds of the first `count` pairs of a split; no two splits or base seeds share a seed.

    Raises ValueError for another split than train, val and test, for a count outside 0 .. 1,000,000, and for a base
    seed that is too large; TypeError for one that is not an integer.
    """
    if split not in SPLITS:
        raise ValueError(f"split must be one of {', '.join(SPLITS)}; got {split!r}")
    if not 0 <= count <= SPLIT_LIMIT:
        raise ValueError(
            f"the number of {split} pairs must be in 0 .. {SPLIT_LIMIT}, got {count}; for more use another base seed"
        )
    first = (_check_seed("base_seed", base_seed) * len(SPLITS) + SPLITS.index(split)) * SPLIT_LIMIT
    if first + SPLIT_LIMIT > 2**64:
        raise ValueError(f"base_seed must be below {2**64 // (len(SPLITS) * SPLIT_LIMIT)}, got {base_seed}")
    return range(first, first + count)


def _manifest(counts: dict[str, int], size: int, base_seed: int, format: str) -> dict[str, object]:
    """Return what dataset.json says: all that the pictures depend on, and how to read them."""
    if format not in ("png", "jpg"):
        raise ValueError(f"format must be png or jpg, got {format!r}")
    return {
        "made_by": "pix2pix_lib.facades",
        "facades_version": FACADES_VERSION,
        "size": _check_size(size),
        "counts": {split: len(split_seeds(split, count, base_seed)) for split, count in counts.items()},
        "base_seed": _check_seed("base_seed", base_seed),
        "format": format,
        "layout": "A (photo) is the left half, B (label map) the right half",
        "direction": "BtoA turns label maps into photos",
    }


def _read_manifest(folder: Path) -> dict[str, object] | None:
    """Return the dataset.json of a folder that this module wrote, None if there is none."""
    try:
        manifest = json.loads((folder / MANIFEST).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    return manifest if isinstance(manifest, dict) and manifest.get("made_by") == "pix2pix_lib.facades" else None


def _save_pair(pair: FacadePair, path: Path) -> None:
    """Write a pair side by side, the photo on the left; the format follows from the ending."""
    image = Image.fromarray(np.concatenate([pair.photo, pair.label], axis=1))
    # Without chroma subsampling the flat colours of the label map move by a few levels only.
    options = {"quality": JPEG_QUALITY, "subsampling": 0} if path.suffix == ".jpg" else {}
    image.save(path, **options)


def _fill_folder(folder: Path, manifest: dict[str, object], progress: Progress | None) -> None:
    """Write all pairs that a manifest asks for, and the manifest, into an empty folder."""
    counts: dict[str, int] = manifest["counts"]  # type: ignore[assignment]
    total, done = sum(counts.values()), 0
    for split, count in counts.items():
        (folder / split).mkdir()
        for number, seed in enumerate(split_seeds(split, count, manifest["base_seed"]), start=1):
            _save_pair(make_pair(seed, manifest["size"]), folder / split / f"{number:04d}.{manifest['format']}")
            done += 1
            if progress is not None:
                progress(done, total)
    (folder / MANIFEST).write_text(json.dumps(manifest, indent=2) + "\n", encoding="utf-8")


def _move_into_place(finished: Path, out: Path) -> None:
    """Rename a finished folder to `out`; what was there before is removed once the new folder is in place."""
    if _read_manifest(out) == _read_manifest(finished):
        return  # another process was faster: its dataset is as good as ours, and may be in use already
    before = out.with_name(f".{out.name}.{os.getpid()}.before")
    if out.exists():
        out.rename(before)
    try:
        finished.rename(out)
    except OSError:
        if before.exists() and not out.exists():
            before.rename(out)
        raise
    shutil.rmtree(before, ignore_errors=True)


def _build(out: Path, manifest: dict[str, object], progress: Progress | None) -> Path:
    """Make a dataset in a temporary folder beside `out`, then move it there; an interruption leaves no trace."""
    out.parent.mkdir(parents=True, exist_ok=True)
    temporary = out.with_name(f".{out.name}.{os.getpid()}.partial")
    shutil.rmtree(temporary, ignore_errors=True)
    try:
        temporary.mkdir()
        _fill_folder(temporary, manifest, progress)
        _move_into_place(temporary, out)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)
    return out


def write_dataset(
    out: Path,
    counts: dict[str, int],
    size: int = 256,
    base_seed: int = 0,
    format: str = "png",
    progress: Progress | None = None,
) -> Path:
    """Write a dataset of pairs to the folder `out` and return it.

    The files are `out/<split>/0001.<format>` and on, one for each pair, `2 * size` wide: the photo on the left (A), the
    label map on the right (B). `out/dataset.json` says how it was made. `counts` maps splits to numbers of pairs;
    `progress(done, total)` is called after each pair.

    The folder appears when it is complete, never before. If `out` already holds this very dataset it is kept as it is.
    Raises FileExistsError if `out` holds anything else, ValueError for arguments that make no dataset.
    """
    out, manifest = Path(out), _manifest(counts, size, base_seed, format)
    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        if _read_manifest(out) == manifest:
            return out
        raise FileExistsError(f"{out} exists and is not this dataset; remove it, or choose another folder")
    return _build(out, manifest, progress)


def default_dataset(
    root: Path,
    size: int = 128,
    train: int = 400,
    val: int = 100,
    base_seed: int = 0,
    progress: Progress | None = None,
) -> Path:
    """Return the folder `root/facades_<size>`, making the dataset first if it is missing or of other contents.

    This is the dataset that is used when no data is given. One that was made by another version of this module, with
    other counts or another seed, is made anew. Without a `progress` of the caller's, a bar is shown on stderr. Raises
    FileExistsError if the folder holds something that this module did not make.
    """
    out, manifest = Path(root) / f"facades_{size}", _manifest({"train": train, "val": val}, size, base_seed, "png")
    found = _read_manifest(out)
    if found == manifest:
        return out
    if found is None and out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise FileExistsError(f"{out} exists and is not a facades dataset; remove it, or choose another folder")
    if progress is not None:
        return _build(out, manifest, progress)
    with _progress_bar(f"facades {size}x{size}") as show:
        return _build(out, manifest, show)


@contextmanager
def _progress_bar(title: str) -> Iterator[Progress]:
    """Give a progress callback that moves a bar on stderr; the bar appears with the first pair, not before."""
    from tqdm import tqdm  # only those who look at a terminal need it

    bars: list[tqdm] = []

    def show(done: int, total: int) -> None:
        if not bars:
            bars.append(tqdm(total=total, desc=title, unit="pair", file=sys.stderr))
        bars[0].update(done - bars[0].n)

    try:
        yield show
    finally:
        for bar in bars:
            bar.close()


class _Parser(argparse.ArgumentParser):
    """An argument parser whose complaint is one line, like all others of this command."""

    def error(self, message: str) -> NoReturn:
        self.exit(2, f"facades: {message}; see python -m pix2pix_lib.facades --help\n")


def _parser() -> argparse.ArgumentParser:
    """Return the command's arguments."""
    parser = _Parser(
        prog="python -m pix2pix_lib.facades",
        description="Draw a dataset of facades: photo-like pictures (left half) beside their label maps (right half).",
    )
    parser.add_argument("--out", type=Path, required=True, help="the folder to make; it must be empty or missing")
    parser.add_argument("--train", type=int, default=400, help="number of pairs in out/train (default 400)")
    parser.add_argument("--val", type=int, default=100, help="number of pairs in out/val (default 100)")
    parser.add_argument("--test", type=int, default=106, help="number of pairs in out/test (default 106)")
    parser.add_argument("--size", type=int, default=256, help="pixels per side, a multiple of 16 (default 256)")
    parser.add_argument("--seed", type=int, default=0, help="another seed gives other buildings (default 0)")
    parser.add_argument("--format", choices=("png", "jpg"), default="png", help="png is exact, jpg small (default png)")
    return parser


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command; return 0, or 2 after one line on stderr if the arguments or the folder do not allow it."""
    arguments = _parser().parse_args(argv)
    counts = {split: getattr(arguments, split) for split in SPLITS}
    try:
        with _progress_bar(str(arguments.out)) as show:
            out = write_dataset(arguments.out, counts, arguments.size, arguments.seed, arguments.format, show)
    except (ValueError, OSError) as error:
        print(f"facades: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print(f"facades: interrupted; {arguments.out} was not made", file=sys.stderr)
        return 130
    held = ", ".join(f"{count} {split}" for split, count in counts.items())
    total, size = sum(counts.values()), arguments.size
    print(f"{out} holds {total} pairs ({held}): photo left, label map right, each {size}x{size}")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
