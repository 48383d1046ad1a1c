"""The plan of a procedural facade: what stands where, drawn from a seed, and its class map.

A plan is a list of boxes in painting order. Places and lengths are in *units*: the picture is 1024
units wide and high, whatever its size in pixels. The classes and their colours are those of the CMP
Facades dataset.

The same seed gives the same pixels on every platform. Three rules ensure that, here and in `paint`:

- random numbers come from `np.random.RandomState`, whose stream NEP 19 freezes (that of
  `Generator` may change);
- shapes are drawn with NumPy slices and masks, because Pillow's rasteriser changes between
  versions;
- pixels are computed with integers only, so no rounding can differ.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypeVar

import numpy as np

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
BACKGROUND, FACADE, WINDOW, DOOR, CORNICE, SILL, BALCONY, BLIND, DECO, MOLDING, PILLAR, SHOP = (
    range(12)
)
GRID = 1024  # units along each side of the picture

Colour = tuple[int, int, int]
T = TypeVar("T")


class Dice:
    """Random choices; equal `words` give equal throws.

    The first word tells the plan (0), the photo (1) and the lamps of the night (2) apart.
    """

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
        return np.array(
            [c + shared + self.between(-spread // 2, spread // 2) for c in self.pick(options)],
            np.int32,
        )

    def bytes(self, *shape: int) -> np.ndarray:
        """Return an array of `shape` int32 with values in 0..255."""
        return self.state.randint(0, 256, shape, dtype=np.uint8).astype(np.int32)


# --------------------------------------------------------------------------------------------------
# The plan of a building: boxes in units, in painting order
# --------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Part:
    """A box of one class, in units.

    `inset` moves both upper corners inwards (a roof). `role` tells the painter what the class does
    not: roof or gable, frame, roller.
    """

    kind: int
    top: int
    left: int
    bottom: int
    right: int
    role: str = ""
    inset: int = 0


@dataclass(frozen=True)
class Plan:
    """A building.

    Args:
        parts: its parts in painting order.
        ground: the ground line, in units.
        base: the top of the ground floor, in units.
    """

    parts: list[Part]
    ground: int
    base: int


@dataclass(frozen=True)
class _Body:
    """The wall of a building in units.

    `floors` are the edges of its floors, downwards, `bays` those of its bays, rightwards.
    """

    top: int
    left: int
    right: int
    floors: list[int]
    bays: list[int]


@dataclass(frozen=True)
class _FloorStyle:
    """How the windows of a floor look in the label map.

    Lengths are in percent of the floor's height or the bay's width.
    """

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


def _mirrored(dice: Dice, count: int, percent: int) -> list[bool]:
    """Return `count` choices that read the same from both ends, as in most facades.

    In one of five cases one choice is made anew, which may break the symmetry.
    """
    half = [dice.chance(percent) for _ in range((count + 1) // 2)]
    choices = half + half[: count // 2][::-1]
    if dice.chance(20):
        choices[dice.between(0, count - 1)] = dice.chance(percent)
    return choices


def _lay_out_body(dice: Dice, roof_height: int, ground: int) -> _Body:
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
        top, left, left + width,
        _cut(top + 12, ground, floor_weights),
        _cut(left + margin, left + width - margin, bay_weights),
    )  # fmt: skip


def _roof_parts(dice: Dice, body: _Body, kind: str, height: int) -> list[Part]:
    """Return what stands on the wall: a roof, a gable or a parapet, with chimneys and dormers."""
    top, left, right = body.top - height, body.left, body.right
    width = right - left
    parts: list[Part] = []
    if kind in ("mansard", "hip"):
        for _ in range(dice.between(0, 2)):
            x = left + width * dice.between(15, 80) // 100
            parts.append(
                Part(FACADE, top - dice.between(16, 36), x, body.top, x + dice.between(34, 56))
            )
        inset = width * (dice.between(2, 8) if kind == "mansard" else dice.between(14, 30)) // 100
        parts.append(Part(FACADE, top, left, body.top, right, "roof", inset))
    if kind == "mansard":
        parts += _dormers(dice, body, top)
    if kind == "parapet":
        parts.append(Part(FACADE, top, left, body.top, right))
        parts += _crest(dice, body, top)
    if kind == "gable":
        left, right = _gable_sides(dice, body)
        inset = (right - left) * dice.between(38, 49) // 100
        parts.append(Part(FACADE, top, left, body.top, right, "gable", inset))
        parts.append(_gable_ornament(dice, body, height))
    if kind == "steps":
        parts += _stepped_gable(dice, body, height)
    return parts


def _dormers(dice: Dice, body: _Body, top: int) -> list[Part]:
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
                parts.append(
                    Part(MOLDING, upper - 20, centre - half - 16, lower, centre + half + 16)
                )
            parts.append(Part(WINDOW, upper, centre - half, lower, centre + half))
    return parts


def _crest(dice: Dice, body: _Body, top: int) -> list[Part]:
    """Return ornaments that stand on a parapet, one above each edge of a bay."""
    if dice.chance(40):
        return []
    half, height = dice.between(14, 26), dice.between(28, 48)
    kind = dice.pick((DECO, PILLAR))
    centres = [min(max(x, body.left + half), body.right - half) for x in body.bays]
    return [Part(kind, top - height // 2, x - half, top + height, x + half) for x in centres]


def _gable_sides(dice: Dice, body: _Body) -> tuple[int, int]:
    """Return where a gable begins and ends.

    It covers a narrow house, or the middle of a wide one.
    """
    half = min(body.right - body.left, dice.between(360, 600)) // 2
    centre = (body.left + body.right) // 2
    return centre - half, centre + half


def _gable_ornament(dice: Dice, body: _Body, height: int) -> Part:
    """Return the window or ornament in the middle of a gable."""
    centre, half = (body.left + body.right) // 2, dice.between(30, 46)
    upper = body.top - height * dice.between(48, 56) // 100
    return Part(
        dice.pick((WINDOW, WINDOW, DECO)),
        upper, centre - half, body.top - height // 8, centre + half,
    )  # fmt: skip


def _stepped_gable(dice: Dice, body: _Body, height: int) -> list[Part]:
    """Return a gable of two to four steps, each narrower than the one below."""
    steps, parts = dice.between(2, 4), []
    left, right = _gable_sides(dice, body)
    for i in range(steps):
        inset = (right - left) * i * dice.between(34, 40) // (100 * steps)
        upper = body.top - height * (i + 1) // steps
        lower = body.top - height * i // steps
        parts.append(Part(FACADE, upper, left + inset, lower, right - inset))
        parts.append(Part(CORNICE, upper, left + inset - 6, upper + 18, right - inset + 6))
    return [*parts, _gable_ornament(dice, body, height * 4 // 5)]


def _band_parts(dice: Dice, body: _Body) -> list[Part]:
    """Return the horizontal bands.

    They lie below the roof, above the ground floor, and sometimes between upper floors.
    """
    parts = []
    out = dice.between(0, 10)
    if dice.chance(92):
        height = dice.between(26, 56)
        kind = dice.pick((CORNICE, MOLDING))
        parts.append(
            Part(kind, body.top - 8, body.left - out, body.top - 8 + height, body.right + out)
        )
        if kind == MOLDING and dice.chance(45):
            parts.append(Part(CORNICE, body.top - 22, body.left - out, body.top, body.right + out))
    kind = dice.pick((CORNICE, MOLDING, MOLDING))
    between = dice.chance(35)
    for i, y in enumerate(body.floors[1:-1], start=1):
        ground_floor = i == len(body.floors) - 2
        half = dice.between(11, 20) if ground_floor else dice.between(9, 13)
        if dice.chance(75) if ground_floor else between:
            parts.append(Part(kind, y - half, body.left, y + half, body.right))
    return parts


def _pillar_parts(dice: Dice, body: _Body) -> list[Part]:
    """Return pilasters at the edges of the bays, over one or all of the upper floors, or none."""
    if not dice.chance(42):
        return []
    half = dice.between(11, 17)
    places = body.bays if dice.chance(55) else [body.bays[0], body.bays[-1]]
    last = len(body.floors) - 2
    first = 0 if dice.chance(60) else dice.between(0, last - 1)
    top, bottom = body.floors[first] + 34, body.floors[last] - 14
    centres = [min(max(x, body.left + half + 4), body.right - half - 4) for x in places]
    return [Part(PILLAR, top, x - half, bottom, x + half) for x in centres]


def _floor_style(dice: Dice) -> _FloorStyle:
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
    """Return where the one or two windows of a bay begin and end.

    A single window is between 56 and 150 units wide.
    """
    centre = (left + right) // 2
    if paired and right - left >= 170:
        wide, gap = (right - left) * 30 // 100, (right - left) * 5 // 100
        return [(centre - gap - wide, centre - gap), (centre + gap, centre + gap + wide)]
    half = min(75, max(28, (right - left) * percent // 200))
    return [(centre - half, centre + half)]


def _floor_parts(
    dice: Dice, top: int, bottom: int, bays: list[tuple[int, int, bool]], style: _FloorStyle
) -> list[Part]:
    """Return the windows of one floor and all that belongs to them.

    A bay is (left, right, paired).
    """
    height = bottom - top
    upper, lower = top + height * style.top // 100, top + height * style.bottom // 100
    parts: list[Part] = []
    for left, right, paired in bays:
        for x0, x1 in _openings(left, right, style.width, paired and style.blinds != "sides"):
            parts += _window_parts(dice, upper, x0, lower, x1, style)
    return parts


def _window_parts(
    dice: Dice, top: int, left: int, bottom: int, right: int, style: _FloorStyle
) -> list[Part]:
    """Return one window with its frame, hood, sill and blinds."""
    parts, wide = [], right - left
    if style.framed:
        parts.append(Part(MOLDING, top - 16, left - 16, bottom + 12, right + 16, "frame"))
    parts.append(Part(WINDOW, top, left, bottom, right))
    if style.hood == "cornice":
        parts.append(Part(CORNICE, top - 30, left - 18, top - 8, right + 18))
    if style.hood == "deco":
        parts.append(Part(DECO, top - 36, left + wide // 8, top - 6, right - wide // 8))
    if style.sill:
        parts.append(Part(SILL, bottom, left - 14, bottom + 22, right + 14))
    if style.blinds == "sides":
        side = max(28, wide * 44 // 100)
        parts.append(Part(BLIND, top, left - side, bottom, left))
        parts.append(Part(BLIND, top, right, bottom, right + side))
    if style.blinds == "roller" and dice.chance(60):
        parts.append(Part(
            BLIND, top, left, top + (bottom - top) * dice.between(25, 70) // 100, right, "roller",
        ))  # fmt: skip
    return parts


def _balcony_parts(dice: Dice, body: _Body, floor: int, columns: list[bool]) -> list[Part]:
    """Return the balconies of one floor, one per chosen bay, or one along all of them."""
    top, bottom = body.floors[floor], body.floors[floor + 1]
    height = bottom - top
    upper, lower = top + height * 58 // 100, top + height * 94 // 100
    if dice.chance(12):
        return [Part(BALCONY, upper, body.bays[0] + 8, lower, body.bays[-1] - 8)]
    parts = []
    for i, present in enumerate(columns):
        if present:
            pad = (body.bays[i + 1] - body.bays[i]) * 8 // 100
            parts.append(Part(BALCONY, upper, body.bays[i] + pad, lower, body.bays[i + 1] - pad))
    return parts


def _upper_parts(dice: Dice, body: _Body) -> list[Part]:
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
    parts: list[Part] = []
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


def _blank_bay(dice: Dice, body: _Body, column: int) -> list[Part]:
    """Return the ornament of a bay without windows: one panel on one floor."""
    floor = dice.between(0, len(body.floors) - 3)
    centre, half = (body.bays[column] + body.bays[column + 1]) // 2, dice.between(28, 44)
    top, height = body.floors[floor], body.floors[floor + 1] - body.floors[floor]
    return [
        Part(DECO, top + height * 30 // 100, centre - half, top + height * 75 // 100, centre + half)
    ]


def _medallions(dice: Dice, body: _Body) -> list[Part]:
    """Return a row of ornaments between the bays, on one upper floor."""
    floor, half = dice.between(0, len(body.floors) - 3), dice.between(13, 17)
    top, height = body.floors[floor], body.floors[floor + 1] - body.floors[floor]
    upper = top + height * dice.between(36, 46) // 100
    return [Part(DECO, upper, x - half, upper + 3 * half, x + half) for x in body.bays[1:-1]]


def _ground_parts(dice: Dice, body: _Body) -> list[Part]:
    """Return the ground floor: shops, windows and usually a door."""
    columns = len(body.bays) - 1
    top, bottom = body.floors[-2], body.floors[-1]
    kind = dice.pick(("shops", "shops", "mixed", "dwelling", "dwelling"))
    door = columns // 2 if dice.chance(40) else dice.between(0, columns - 1)
    if not dice.chance(88):
        door = -1
    shops = [kind == "shops" or (kind == "mixed" and i * 2 < columns) for i in range(columns)]
    style = _floor_style(dice)
    windows = [
        (body.bays[i], body.bays[i + 1], False)
        for i in range(columns)
        if i != door and not shops[i]
    ]
    parts = _floor_parts(dice, top, bottom - (bottom - top) // 12, windows, style)
    shops_run = [i != door and shops[i] for i in range(columns)]
    parts += _shop_parts(dice, body, shops_run)
    if door >= 0:
        parts += _door_parts(dice, body, door)
    return parts


def _shop_parts(dice: Dice, body: _Body, columns: list[bool]) -> list[Part]:
    """Return the shops of the chosen bays; two neighbours may be one shop."""
    top, bottom = body.floors[-2], body.floors[-1]
    upper = top + (bottom - top) * dice.between(14, 24) // 100
    lower = bottom - dice.pick((0, 0, 10))
    pad, double = dice.between(6, 18), dice.chance(55)
    parts, i = [], 0
    while i < len(columns):
        span = 2 if double and columns[i : i + 2] == [True, True] else 1
        if columns[i]:
            parts.append(Part(SHOP, upper, body.bays[i] + pad, lower, body.bays[i + span] - pad))
        i += span
    return parts


def _door_parts(dice: Dice, body: _Body, column: int) -> list[Part]:
    """Return the door with what frames it."""
    top, bottom = body.floors[-2], body.floors[-1]
    left, right = body.bays[column], body.bays[column + 1]
    centre, upper = (left + right) // 2, top + (bottom - top) * dice.between(22, 32) // 100
    half = min(72, max(32, (right - left) * dice.between(22, 32) // 100))
    crown = dice.pick(("", "cornice", "deco", "balcony"))
    parts = []
    if crown == "balcony" and len(body.floors) > 2:
        height = top - body.floors[-3]
        parts.append(Part(BALCONY, top - height * 36 // 100, left + 10, top + 6, right - 10))
    if crown == "deco":
        parts.append(Part(DECO, upper - 36, centre - half, upper - 4, centre + half))
    if crown == "cornice":
        parts.append(Part(CORNICE, upper - 28, centre - half - 30, upper, centre + half + 30))
    if dice.chance(32):
        parts.append(Part(PILLAR, upper, centre - half - 28, bottom, centre - half))
        parts.append(Part(PILLAR, upper, centre + half, bottom, centre + half + 28))
    return [*parts, Part(DOOR, upper, centre - half, bottom, centre + half)]


ROOF_HEIGHTS: dict[str, tuple[int, int]] = {  # from .. to, in units
    "flat": (0, 0), "parapet": (28, 60), "mansard": (110, 165),
    "hip": (80, 130), "gable": (130, 200), "steps": (130, 200),
}  # fmt: skip


def make_plan(seed: int) -> Plan:
    """Lay out the building of a seed."""
    dice = Dice(0, seed)
    kind = dice.pick(("flat", "flat", "parapet", "mansard", "mansard", "hip", "gable", "steps"))
    roof_height = dice.between(*ROOF_HEIGHTS[kind])
    ground = GRID - (dice.between(28, 96) if dice.chance(75) else 0)
    body = _lay_out_body(dice, roof_height, ground)
    parts = _roof_parts(dice, body, kind, roof_height)
    # The wall goes below the bands and above the chimneys' feet; the gable's ornament lies outside.
    parts.append(Part(FACADE, body.top, body.left, ground, body.right))
    parts += _band_parts(dice, body)
    parts += _pillar_parts(dice, body)
    parts += _upper_parts(dice, body)
    parts += _ground_parts(dice, body)
    return Plan(parts, ground, body.floors[-2])


# --------------------------------------------------------------------------------------------------
# From units to pixels
# --------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Rect:
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

    def inner(self, top: int, left: int, bottom: int, right: int) -> "Rect":
        """Return the box within this one at the given pixels, cut at its edges.

        The pixels count from this box's upper left corner.
        """
        return Rect(
            self.top + min(max(top, 0), self.height), self.left + min(max(left, 0), self.width),
            self.top + min(max(bottom, 0), self.height), self.left + min(max(right, 0), self.width),
        )  # fmt: skip


def pixel(units: int, size: int) -> int:
    """Return the pixel edge nearest to a place in units, within the picture."""
    return min(max((units * size + GRID // 2) // GRID, 0), size)


def part_rect(part: Part, size: int) -> Rect:
    """Return the pixels of a part's box."""
    return Rect(*(pixel(edge, size) for edge in (part.top, part.left, part.bottom, part.right)))


def slope_mask(part: Part, rect: Rect, size: int) -> np.ndarray:
    """Return a (height, width) bool mask of `rect` between the slanted sides of a part."""
    middle_y = (2 * np.arange(rect.top, rect.bottom) + 1) * GRID // (2 * size)
    middle_x = (2 * np.arange(rect.left, rect.right) + 1) * GRID // (2 * size)
    inset = part.inset * (part.bottom - middle_y) // (part.bottom - part.top)
    return (middle_x >= part.left + inset[:, None]) & (middle_x < part.right - inset[:, None])


def class_map(plan: Plan, size: int) -> np.ndarray:
    """Paint the classes of a plan: (size, size) uint8."""
    classes = np.zeros((size, size), np.uint8)
    for part in plan.parts:
        rect = part_rect(part, size)
        if part.inset:
            classes[rect.area][slope_mask(part, rect, size)] = part.kind
        else:
            classes[rect.area] = part.kind
    return classes
