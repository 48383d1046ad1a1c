"""The photo of a procedural facade: materials, sky, painters for every class, light and grain.

All that the label map does not say is chosen here; the same building is painted by day and by
night. Pixels are integers throughout (see `plans` for why).
"""

from collections.abc import Callable, Iterator

import numpy as np

from .plans import (
    BACKGROUND,
    BALCONY,
    BLIND,
    CORNICE,
    DECO,
    DOOR,
    FACADE,
    GRID,
    MOLDING,
    PILLAR,
    SHOP,
    SILL,
    WINDOW,
    Colour,
    Dice,
    Part,
    Plan,
    Rect,
    part_rect,
    pixel,
    slope_mask,
)

# --------------------------------------------------------------------------------------------------
# Textures: arrays of the size of the picture
# --------------------------------------------------------------------------------------------------


def _smooth_noise(dice: Dice, size: int, rows: int, columns: int) -> np.ndarray:
    """Return noise of about `rows` x `columns` hills: (size, size) int32 in 0..255."""
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
    dice: Dice,
    size: int,
    colour: np.ndarray,
    height: int,
    length: int,
    spread: int,
    joint: np.ndarray,
    stagger: bool,
) -> np.ndarray:
    """Return rows of blocks in varied tones, with joints one pixel wide: (size, size, 3) int32.

    Args:
        height, length: of a block, in units; a `length` of `GRID` gives boards.
        spread: the largest change of tone.
        joint: the colour of the joints.
        stagger: whether every other row is shifted by half a block.
    """
    units = np.arange(size, dtype=np.int32) * GRID // size
    row = (units + dice.between(0, height)) // height
    offset = (row & 1) * (length // 2) * stagger
    column = (units[None, :] + offset[:, None] + dice.between(0, length)) // length
    block = (row[:, None] * 37 + column) & 1023
    block[1:][row[1:] != row[:-1]] = 1024
    if length < GRID:
        block[:, 1:][column[:, 1:] != column[:, :-1]] = 1024
    tones = (dice.bytes(1024) - 128) * spread >> 7
    return np.concatenate([colour + tones[:, None], joint[None]])[block]


PLASTER: tuple[Colour, ...] = (
    (232, 219, 187), (214, 172, 102), (230, 200, 130), (188, 186, 180), (230, 228, 220),
    (224, 180, 166), (180, 196, 166), (172, 190, 206), (200, 128, 96), (208, 190, 158),
    (238, 232, 210), (196, 176, 148),
)  # fmt: skip
BRICK: tuple[Colour, ...] = (
    (158, 74, 56), (172, 90, 66), (134, 66, 54), (186, 124, 84), (194, 164, 116), (122, 86, 74),
    (148, 60, 48),
)  # fmt: skip
STONE: tuple[Colour, ...] = (
    (196, 186, 164), (174, 168, 158), (208, 192, 160), (156, 148, 136), (186, 164, 140),
    (204, 200, 190),
)  # fmt: skip
BOARDS: tuple[Colour, ...] = (
    (226, 224, 214), (150, 170, 186), (158, 176, 150), (164, 74, 60), (222, 196, 128),
    (128, 106, 84), (110, 134, 140),
)  # fmt: skip
ROOF: tuple[Colour, ...] = (
    (92, 94, 102), (158, 82, 58), (126, 66, 52), (112, 150, 134), (74, 72, 76), (140, 100, 76),
)  # fmt: skip


def _brick(dice: Dice, size: int) -> np.ndarray:
    """Return a brick wall: (size, size, 3) int32."""
    colour = dice.tint(BRICK)
    joint = colour + dice.pick((36, 26, -26, 18))
    height = dice.between(17, 23)
    return _courses(
        dice, size, colour, height, height * dice.between(20, 26) // 10, 24, joint, True
    )


def _stone(dice: Dice, size: int) -> np.ndarray:
    """Return a wall of large stone blocks: (size, size, 3) int32."""
    colour = dice.tint(STONE)
    height = dice.between(56, 88)
    joint = colour - dice.between(24, 50)
    return _courses(
        dice, size, colour, height, height * dice.between(15, 26) // 10, 13, joint, True
    )


def _tiles(dice: Dice, size: int) -> np.ndarray:
    """Return a wall of plates in a plain grid: (size, size, 3) int32."""
    colour = dice.tint(PLASTER)
    joint = colour - dice.between(20, 40)
    return _courses(
        dice, size, colour, dice.between(48, 76), dice.between(48, 110), 9, joint, False
    )


def _boards(dice: Dice, size: int) -> np.ndarray:
    """Return a wall of horizontal boards: (size, size, 3) int32."""
    colour = dice.tint(BOARDS)
    return _courses(
        dice, size, colour, dice.between(28, 44), GRID, 12, colour - dice.between(36, 56), False
    )


def _plaster(dice: Dice, size: int) -> np.ndarray:
    """Return a plastered wall, with or without wide grooves: (size, size, 3) int32."""
    colour = dice.tint(PLASTER)
    if dice.chance(18):
        return _courses(
            dice, size, colour, dice.between(56, 80), GRID, 4, colour - dice.between(18, 36), False
        )
    return np.broadcast_to(colour, (size, size, 3)).copy()


def _wall(dice: Dice, size: int, base: int) -> np.ndarray:
    """Return a wall over the whole picture: (size, size, 3) int32.

    The ground floor, below pixel row `base`, may be of another material.
    """
    materials = (
        _plaster, _plaster, _plaster, _plaster, _brick, _brick, _brick, _stone, _stone, _boards,
        _tiles,
    )  # fmt: skip
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


def _sky(dice: Dice, size: int) -> np.ndarray:
    """Return a sky with clouds, darker at the top: (size, size, 3) int32."""
    top, horizon, cloud = (np.array(c, np.int32) for c in dice.pick(SKIES))
    down = np.minimum(np.arange(size, dtype=np.int32) * 448 // size, 256)[:, None, None]
    picture = np.broadcast_to(_mix(top, horizon, down), (size, size, 3))
    hills = _smooth_noise(dice, size, 7, 3) * 2 + _smooth_noise(dice, size, 16, 8)
    hills += _smooth_noise(dice, size, 36, 22) // 2
    cover = np.clip((hills - dice.between(300, 600)) * dice.between(1, 5), 0, 230)
    return _mix(picture, cloud, cover[:, :, None])


def _glass(dice: Dice, size: int) -> np.ndarray:
    """Return what window panes show, over the whole picture: (size, size, 3) int32.

    Each window takes a piece of it.
    """
    dark = dice.tint(((34, 42, 52), (28, 32, 36), (44, 54, 66), (38, 38, 34)), 6)
    bright = dice.tint(((150, 180, 206), (176, 186, 194), (128, 152, 166), (190, 170, 150)), 8)
    x = np.arange(size, dtype=np.int32) * GRID // size
    diagonal = (
        x[:, None] * dice.between(2, 3) // 2 + x[None, :] + dice.between(0, 400)
    ) % dice.between(190, 330)
    streak = np.where(diagonal < dice.between(50, 110), dice.between(40, 120), 0)
    share = _smooth_noise(dice, size, 9, 9) * _smooth_noise(dice, size, 20, 20) >> 8
    return _mix(dark, bright, np.minimum(share + streak, 235)[:, :, None])


# --------------------------------------------------------------------------------------------------
# The photo: one painter per class. A painter makes the building's choices once and then paints
# every part of its class.
# --------------------------------------------------------------------------------------------------

TRIM: tuple[Colour, ...] = (
    (236, 232, 220), (214, 204, 182), (190, 184, 172), (224, 212, 184), (170, 160, 146),
    (198, 170, 132),
)  # fmt: skip
JOINERY: tuple[Colour, ...] = (
    (240, 238, 232), (240, 238, 232), (228, 220, 200), (96, 62, 42), (70, 50, 40), (60, 74, 66),
    (88, 92, 98),
)  # fmt: skip
PAINT: tuple[Colour, ...] = (
    (58, 96, 70), (112, 54, 38), (52, 74, 112), (128, 84, 50), (136, 44, 40), (150, 162, 170),
    (196, 186, 160), (44, 82, 92), (86, 62, 44),
)  # fmt: skip
WOOD: tuple[Colour, ...] = (
    (110, 62, 34), (84, 46, 28), (134, 84, 44), (40, 84, 58), (132, 36, 34), (34, 56, 98),
    (62, 40, 34), (24, 78, 88),
)  # fmt: skip
SIGNS: tuple[Colour, ...] = (
    (150, 34, 36), (26, 70, 52), (28, 44, 92), (40, 38, 40), (206, 164, 60), (216, 208, 190),
    (108, 40, 70), (22, 96, 120),
)  # fmt: skip
GOODS: tuple[Colour, ...] = (
    (220, 180, 110), (196, 84, 70), (90, 140, 120), (230, 220, 200), (110, 120, 170),
    (226, 150, 80), (140, 110, 90),
)  # fmt: skip

Painter = Callable[[Part, Rect], None]


class _Canvas:
    """The photo while it is painted.

    Args:
        size: S, the side in pixels.

    Attributes:
        colour: (S, S, 3) int32.
        height: (S, S) int32, units in front of the wall.
        room: (S, S) int32, the number of the room behind a pane, 0 elsewhere.
        rooms: the class of the part that each room lies behind, from room 1 on.
    """

    def __init__(self, size: int) -> None:
        self.size = size
        self.colour = np.zeros((size, size, 3), np.int32)
        self.height = np.zeros((size, size), np.int32)
        self.room = np.zeros((size, size), np.int32)
        self.rooms: list[int] = []

    def pixels(self, units: int) -> int:
        """Return a length in pixels, at least one."""
        return max(1, (units * self.size + GRID // 2) // GRID)

    def fill(self, rect: Rect, colour: np.ndarray, height: int | None = None) -> None:
        """Paint a box in one colour; it hides what is behind.

        `height`, if given, is how far it stands out.
        """
        self.colour[rect.area] = colour
        self.room[rect.area] = 0
        if height is not None:
            self.height[rect.area] = height

    def open_room(self, rect: Rect, kind: int) -> None:
        """Open a box as a view into another room, behind a part of class `kind`."""
        self.rooms.append(kind)
        self.room[rect.area] = len(self.rooms)

    def stripes(self, rect: Rect, period: int, change: int, phase: int = 0) -> None:
        """Make every `period`-th row of a box brighter by `change`, from its second row on.

        `phase`, in percent of the period, moves them down.
        """
        first = rect.top + 1 + period * phase // 100
        self.colour[first : rect.bottom : period, rect.left : rect.right] += change


def _bars(count: int, length: int, thick: int) -> Iterator[tuple[int, int]]:
    """Yield the (start, stop) of `count` bars that divide `length` pixels evenly."""
    for i in range(1, count + 1):
        start = (length * i - thick * (count + 1) // 2) // (count + 1)
        yield start, start + thick


def _window_painter(canvas: _Canvas, dice: Dice, glass: np.ndarray) -> Painter:
    """Return a painter of windows.

    They have a frame with muntins in a hole of the wall, and panes that reflect, are lit, or show
    curtains. How far the frame is from the edges of the hole differs from window to window.
    """
    frame, reveal = dice.tint(JOINERY), dice.tint(((120, 112, 104), (84, 80, 78), (176, 168, 156)))
    lit = dice.tint(((250, 210, 130), (246, 226, 170)))
    upright, transom = dice.pick(((1, 40), (1, 33), (1, 50), (0, 50), (2, 35), (1, 0), (2, 0)))
    thick = canvas.pixels(9)
    curtained, lit_percent = dice.between(20, 75), dice.pick((0, 0, 0, 8, 30))
    cloth = dice.tint(((226, 220, 206), (206, 196, 176), (190, 198, 204), (214, 176, 150)))

    def paint(part: Part, rect: Rect) -> None:
        # Always thrown, so that another size changes no later throw.
        y, x = dice.between(0, 255), dice.between(0, 255)
        is_lit, has_cloth, dim = (
            dice.chance(lit_percent), dice.chance(curtained), dice.between(-26, 30)
        )  # fmt: skip
        style, reach = dice.pick(("sides", "sides", "sheer", "top", "left")), dice.between(20, 36)
        aside, higher = dice.between(-14, 14), dice.between(-12, 12)  # where its bars are, in %
        gaps = [dice.between(0, 18) * canvas.size // GRID for _ in range(4)]
        # Even if it is too small for panes, so that all sizes count the same rooms.
        canvas.open_room(rect, WINDOW)
        if rect.height < 3 or rect.width < 3:
            canvas.fill(rect, np.array((60, 70, 80)))
            return
        hole, rect = rect, _set_in(rect, gaps)
        canvas.fill(hole, reveal, -8)
        canvas.room[rect.area] = len(canvas.rooms)
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
            Rect(rect.top, rect.left, edge.top, rect.right),
            Rect(edge.bottom, rect.left, rect.bottom, rect.right),
            Rect(rect.top, rect.left, rect.bottom, edge.left),
            Rect(rect.top, edge.right, rect.bottom, rect.right),
        ):
            canvas.fill(outer, frame, -14)
        slide = rect.width * aside // 100
        for start, stop in _bars(upright, rect.width, thick):
            canvas.fill(rect.inner(0, start + slide, rect.height, stop + slide), frame, -16)
        if transom and rect.height > 6 * thick:
            start = rect.height * (transom + higher) // 100
            canvas.fill(rect.inner(start, 0, start + thick, rect.width), frame, -16)
        if canvas.size * 9 < GRID:  # muntins thinner than a pixel hide no room
            canvas.room[edge.area] = len(canvas.rooms)

    return paint


def _set_in(rect: Rect, gaps: list[int]) -> Rect:
    """Return a box with gaps at the top, left, bottom and right, if most of it is left."""
    top, left, bottom, right = gaps
    if 4 * (top + bottom) > rect.height or 4 * (left + right) > rect.width:
        return rect
    return rect.inner(top, left, rect.height - bottom, rect.width - right)


def _hang_cloth(canvas: _Canvas, rect: Rect, cloth: np.ndarray, style: str, reach: int) -> None:
    """Hang curtains into a window: at the sides, at the left, at the top, or thin ones all over."""
    wide, high = rect.width * reach // 100, rect.height * reach // 60
    if style == "sheer":
        canvas.colour[rect.area] = _mix(canvas.colour[rect.area], cloth, np.int32(120))
        return
    pieces = {
        "sides": (
            rect.inner(0, 0, rect.height, wide),
            rect.inner(0, rect.width - wide, rect.height, rect.width),
        ),
        "left": (rect.inner(0, 0, rect.height, 2 * wide),),
        "top": (rect.inner(0, 0, high, rect.width),),
    }[style]
    for piece in pieces:
        canvas.colour[piece.area] = _mix(canvas.colour[piece.area], cloth, np.int32(200))
        canvas.colour[piece.top : piece.bottom, piece.left : piece.right : 3] -= 22  # folds


def _door_painter(canvas: _Canvas, dice: Dice) -> Painter:
    """Return a painter of doors: wooden leaves with panels, a pane above, a handle and a step."""
    wood, frame = dice.tint(WOOD), dice.tint(JOINERY + TRIM)
    glass = dice.tint(((52, 64, 76), (120, 130, 130), (210, 180, 120)))
    leaves, rows, glazed = dice.pick((1, 2, 2)), dice.between(2, 4), dice.chance(35)
    brass, stone = np.array((222, 196, 120)), np.array((168, 162, 154))

    def paint(part: Part, rect: Rect) -> None:
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
        canvas.fill(
            rect.inner(rect.height - canvas.pixels(12), 0, rect.height, rect.width), stone, 14
        )

    return paint


def _cell(rect: Rect, row: int, rows: int, column: int, columns: int, gap: int) -> Rect:
    """Return one cell of a grid of `rows` x `columns` within `rect`.

    It is `gap` pixels smaller at its upper left, and half of that at its lower right.
    """
    return rect.inner(
        rect.height * row // rows + gap, rect.width * column // columns + gap,
        rect.height * (row + 1) // rows - gap // 2, rect.width * (column + 1) // columns - gap // 2,
    )  # fmt: skip


def _band_painter(
    canvas: _Canvas, dice: Dice, trim: np.ndarray, reliefs: tuple[int, int], toothed: int
) -> Painter:
    """Return a painter of cornices and moldings: a bright upper edge and a dark lower edge.

    In `toothed` of 100 buildings they have dentils.
    """
    tone, relief = trim + dice.between(-14, 14), dice.between(*reliefs)
    teeth, groove, phase = dice.chance(toothed), dice.chance(50), dice.between(0, 23)

    def paint(part: Part, rect: Rect) -> None:
        framed = part.role == "frame"
        out = relief // 2 if framed else relief
        canvas.fill(rect, tone, out)
        line = canvas.pixels(5)
        if framed or rect.height < 3 * line:
            return
        canvas.colour[rect.inner(0, 0, line, rect.width).area] += 22
        canvas.fill(rect.inner(rect.height - line, 0, rect.height, rect.width), tone - 30, out // 2)
        if groove and rect.height >= 5 * line:
            canvas.colour[rect.inner(2 * line, 0, 3 * line, rect.width).area] -= 24
        if teeth and rect.height >= 4 * line:
            _cut_teeth(canvas, rect, tone, phase)

    return paint


def _cut_teeth(canvas: _Canvas, rect: Rect, tone: np.ndarray, phase: int) -> None:
    """Cut dentils into the lower half of a band.

    Every other piece of 12 units is set back and darker; `phase`, in units, shifts them.
    """
    step = canvas.pixels(12)
    gaps = ((np.arange(rect.left, rect.right) + canvas.pixels(phase)) // step) % 2 == 1
    lower = slice(rect.top + rect.height // 2, rect.bottom - 1)
    canvas.colour[lower, rect.left : rect.right][:, gaps] = tone - 44
    canvas.height[lower, rect.left : rect.right][:, gaps] = 4


def _sill_painter(canvas: _Canvas, dice: Dice, trim: np.ndarray) -> Painter:
    """Return a painter of sills: a slab that stands out, sometimes with a row of flowers on it."""
    tone, flowered = trim + dice.between(-20, 10), dice.chance(14)
    bloom = dice.tint(((206, 60, 70), (230, 130, 160), (240, 200, 80)))
    leaves = np.array((74, 112, 56))

    def paint(part: Part, rect: Rect) -> None:
        bare = dice.chance(30)
        canvas.fill(rect, tone, 22)
        canvas.colour[rect.bottom - 1 : rect.bottom, rect.left : rect.right] -= 34
        if flowered and not bare:
            box = rect.inner(0, 1, max(1, rect.height // 2), rect.width - 1)
            canvas.fill(box, leaves, 26)
            canvas.colour[box.top : box.bottom : 2, box.left : box.right : 3] = bloom

    return paint


def _balcony_painter(canvas: _Canvas, dice: Dice, trim: np.ndarray) -> Painter:
    """Return a painter of balconies: a slab that casts a shadow, and a railing.

    The railing is of iron bars, stone balusters, plates or glass.
    """
    style = dice.pick(("iron", "iron", "iron", "stone", "stone", "plates", "glass"))
    iron = dice.tint(((38, 38, 42), (52, 60, 56), (226, 224, 218), (70, 50, 40)), 8)
    plate = dice.tint(PAINT + PLASTER)
    bar, gap = {"iron": (7, 14), "stone": (16, 12)}.get(style, (8, 60))
    rail_colour = trim if style == "stone" else iron

    def paint(part: Part, rect: Rect) -> None:
        slab = canvas.pixels(24)
        rail = canvas.pixels(10)
        railing = rect.inner(0, 0, rect.height - slab, rect.width)
        if style in ("plates", "glass"):
            back, share = (plate, 236) if style == "plates" else (np.array((176, 204, 210)), 110)
        else:
            back, share = np.array((24, 24, 28)), 96
        phase = dice.between(0, 99)
        canvas.colour[railing.area] = _mix(canvas.colour[railing.area], back, np.int32(share))
        canvas.height[railing.area] = 40 if style == "plates" else -6
        if style == "plates":
            canvas.room[railing.area] = 0
        thick, period = canvas.pixels(bar), canvas.pixels(bar) + canvas.pixels(gap)
        bars = ((np.arange(rect.width) + period * phase // 100) % period) < thick
        canvas.colour[railing.area][:, bars] = rail_colour
        canvas.height[railing.area][:, bars] = 44
        canvas.room[railing.area][:, bars] = 0
        canvas.fill(railing.inner(0, 0, rail, rect.width), rail_colour, 48)
        canvas.fill(rect.inner(rect.height - slab, 0, rect.height, rect.width), trim, 64)
        canvas.colour[rect.bottom - 1 : rect.bottom, rect.left : rect.right] -= 50

    return paint


def _blind_painter(canvas: _Canvas, dice: Dice) -> Painter:
    """Return a painter of blinds: slatted shutters beside a window, or a roller blind over it."""
    shutter = dice.tint(PAINT)
    roller = dice.tint(
        ((206, 200, 186), (176, 178, 176), (150, 128, 100), (196, 170, 90), (140, 154, 150))
    )
    period, phase = canvas.pixels(20), dice.between(0, 99)

    def paint(part: Part, rect: Rect) -> None:
        if part.role == "roller":
            canvas.fill(rect, roller, -10)
            canvas.stripes(rect, max(2, period * 2 // 3), -26, phase)
            return
        canvas.fill(rect, shutter, 10)
        edge = canvas.pixels(6)
        leaf = rect.inner(edge, edge, rect.height - edge, rect.width - edge)
        canvas.fill(leaf, shutter - 10, 6)
        canvas.stripes(leaf, max(2, period), -34, phase)
        canvas.fill(rect.inner(rect.height // 2, 0, rect.height // 2 + edge, rect.width), shutter)

    return paint


def _deco_painter(canvas: _Canvas, dice: Dice, trim: np.ndarray) -> Painter:
    """Return a painter of ornaments: a raised oval, diamond or ribbed shell on a panel."""
    tone, motif = trim + dice.between(-20, 16), dice.pick(("oval", "diamond", "ribs"))
    ground = tone - dice.between(18, 60)

    def paint(part: Part, rect: Rect) -> None:
        canvas.fill(rect, ground, 8)
        # 64 bits: the squares of the oval do not fit in 32
        y = np.abs(2 * np.arange(rect.height, dtype=np.int64) + 1 - rect.height)[:, None]
        x = np.abs(2 * np.arange(rect.width, dtype=np.int64) + 1 - rect.width)
        high, wide = max(1, rect.height - 1), max(1, rect.width - 1)
        if motif == "oval":
            mask = (
                (y * wide) * (y * wide) + (x * high) * (x * high)
                <= (high * wide) * (high * wide)
            )  # fmt: skip
        elif motif == "diamond":
            mask = y * wide + x * high <= high * wide
        else:
            mask = (y < high) & (np.arange(rect.width) // canvas.pixels(8) % 2 == 0)
        canvas.colour[rect.area][mask] = tone
        canvas.height[rect.area][mask] = 22

    return paint


def _pillar_painter(canvas: _Canvas, dice: Dice, trim: np.ndarray) -> Painter:
    """Return a painter of pillars: a round or fluted shaft between a base and a capital."""
    tone, fluted = trim + dice.between(-12, 14), dice.chance(40)

    def paint(part: Part, rect: Rect) -> None:
        if not rect.width or not rect.height:
            return
        across = np.abs(2 * np.arange(rect.width) + 1 - rect.width) * 46 // rect.width
        if fluted:
            across = np.arange(rect.width) // canvas.pixels(6) % 2 * 30
        canvas.colour[rect.area] = (tone - across[:, None])[None]
        canvas.height[rect.area] = 16
        end = min(rect.height // 4, canvas.pixels(24))
        for piece in (
            rect.inner(0, 0, end, rect.width),
            rect.inner(rect.height - end, 0, rect.height, rect.width),
        ):
            canvas.fill(piece, tone + 12, 28)
            canvas.stripes(piece, 2, -20)

    return paint


def _shop_painter(canvas: _Canvas, dice: Dice, glass: np.ndarray) -> Painter:
    """Return a painter of shops: a large lit window with goods.

    Above it is a sign with letters or a striped awning, below it a plinth.
    """
    frame = dice.tint(WOOD + SIGNS)
    glow = dice.tint(((240, 206, 140), (216, 220, 224), (180, 170, 150)))

    def paint(part: Part, rect: Rect) -> None:
        sign, awning, panes = dice.tint(SIGNS), dice.chance(45), dice.between(2, 4)
        pale = np.array((240, 236, 224)) if int(sign.sum()) < 480 else np.array((60, 40, 40))
        shine = dice.between(20, 110)
        goods = [(dice.between(4, 92), dice.between(12, 40), dice.tint(GOODS)) for _ in range(9)]
        letters, phase = dice.bytes(64), dice.between(0, 47)
        canvas.fill(rect, frame, -6)
        top, plinth = rect.height * (32 if awning else 20) // 100, rect.height * 90 // 100
        show = rect.inner(rect.height * 20 // 100, 0, plinth, rect.width)
        canvas.colour[show.area] = _mix(glass[show.area], glow, np.int32(shine))
        canvas.height[show.area] = -24
        canvas.open_room(show, SHOP)
        for place, tall, colour in goods:
            at = show.width * place // 100
            piece = show.inner(
                show.height - show.height * tall // 100, at, show.height, at + canvas.pixels(30)
            )
            canvas.colour[piece.area] = _mix(canvas.colour[piece.area], colour, np.int32(150))
        thick = canvas.pixels(10)
        for start, stop in (
            (0, thick), *_bars(panes - 1, rect.width, thick), (rect.width - thick, rect.width),
        ):  # fmt: skip
            canvas.fill(show.inner(0, start, show.height, stop), frame, -12)
        if awning:
            _stretch_awning(canvas, rect.inner(0, 0, top, rect.width), sign, pale, phase)
        else:
            _letter_sign(canvas, rect.inner(0, 0, top, rect.width), sign, pale, letters)

    return paint


def _stretch_awning(
    canvas: _Canvas, rect: Rect, colour: np.ndarray, pale: np.ndarray, phase: int
) -> None:
    """Paint a striped awning, which comes forward towards its lower edge.

    `phase`, in units, shifts its stripes.
    """
    stripe = (np.arange(rect.width) + canvas.pixels(phase)) // canvas.pixels(24) % 2 == 1
    canvas.fill(rect, colour + 16)
    canvas.colour[rect.area][:, stripe] = pale - 10
    canvas.height[rect.area] = (10 + 50 * np.arange(rect.height) // max(1, rect.height))[:, None]
    canvas.colour[rect.bottom - canvas.pixels(8) : rect.bottom, rect.left : rect.right] -= 40


def _letter_sign(
    canvas: _Canvas, rect: Rect, colour: np.ndarray, pale: np.ndarray, letters: np.ndarray
) -> None:
    """Paint a sign strip with strokes that look like letters from afar.

    `letters` (64,) int32 says where.
    """
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


def _wall_painter(canvas: _Canvas, dice: Dice, base: int) -> Painter:
    """Return a painter of walls, gables, chimneys and roofs.

    They are pieces of a texture that covers the picture, slanted where the part is.
    """
    wall = _wall(dice, canvas.size, base)
    colour = dice.tint(ROOF)
    roof = _courses(
        dice, canvas.size, colour, dice.between(20, 30), dice.between(22, 40), 16, colour - 22, True
    )
    edge = dice.tint(TRIM + ROOF)

    def paint(part: Part, rect: Rect) -> None:
        texture = (roof if part.role == "roof" else wall)[rect.area]
        if not part.inset:
            canvas.colour[rect.area] = texture
            return
        mask = slope_mask(part, rect, canvas.size)
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


def _painters(canvas: _Canvas, dice: Dice, base: int) -> dict[int, Painter]:
    """Return the painter of every class but the background.

    The ground floor is what lies below pixel row `base`.
    """
    wall = _wall_painter(canvas, dice, base)
    trim, glass = dice.tint(TRIM), _glass(dice, canvas.size)
    return {
        FACADE: wall,
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


# --------------------------------------------------------------------------------------------------
# The photo: ground, trees, light, and all of it together
# --------------------------------------------------------------------------------------------------


def _paint_trees(canvas: _Canvas, dice: Dice, ground: int) -> None:
    """Paint far trees above the ground line; a building hides those behind it."""
    if not dice.chance(60):
        return
    size, green = (
        canvas.size, dice.tint(((70, 96, 62), (96, 110, 70), (120, 96, 60), (84, 100, 96)))
    )  # fmt: skip
    waves = ((5, 3), (16, 2), (38, 1), (70, 1))
    crowns = sum(_smooth_noise(dice, size, 1, hills)[0] * share for hills, share in waves)
    tall = (dice.between(20, 90) + crowns * dice.between(60, 130) // 1785) * size // GRID
    top = max(0, ground - int(tall.max()))
    mask = np.arange(top, ground)[:, None] >= ground - tall
    leaves = green + ((_smooth_noise(dice, size, 44, 44)[top:ground] - 128) // 3)[:, :, None]
    canvas.colour[top:ground][mask] = leaves[mask]


def _paint_ground(canvas: _Canvas, dice: Dice, ground: int) -> None:
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


def _paint_ivy(canvas: _Canvas, dice: Dice, wall: np.ndarray, base: int) -> None:
    """Let ivy grow up the wall of some buildings, (S, S) bool; most of it near the ground.

    It leaves windows and ornaments free, so that it never hides what the labels say.
    """
    if not dice.chance(35):
        return
    size = canvas.size
    green = dice.tint(((58, 92, 48), (84, 112, 56), (104, 108, 50), (122, 70, 48)))
    reach = _smooth_noise(dice, size, 1, 6)[0] * 2 + _smooth_noise(dice, size, 1, 40)[0] // 2
    tall = (reach - dice.between(260, 420)) * dice.between(2, 3) * size // GRID
    rows = np.arange(size, dtype=np.int32)[:, None]
    thin = _smooth_noise(dice, size, 60, 60) + _smooth_noise(dice, size, 24, 24) // 2
    edge = np.clip(base - rows - tall + size // 8, 0, size // 8)  # 0 within, more towards its top
    leaves = wall & (edge * 8 < size) & (thin > 90 + edge * 1600 // size)
    tone = green + ((_smooth_noise(dice, size, 90, 90) - 128) // 2)[:, :, None]
    canvas.colour[leaves] = tone[leaves]
    canvas.height[leaves] = 9


def _shadow(height: np.ndarray, side: int, reach: int) -> np.ndarray:
    """Return how much of the sun is hidden: (S, S) int32 in 0..9.

    The sun stands above, at the left (`side` 1) or at the right (-1): a point `h` units in front of
    its surroundings shades what lies within `h * reach / 4` units below it, towards the other side.
    The edge is softened over 3 x 3.
    """
    size, hidden = len(height), np.zeros(height.shape, bool)
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


def _light(canvas: _Canvas, dice: Dice) -> np.ndarray:
    """Return the light on the building in 256ths, (S, S) int32.

    It comes from shadows, edges and a gentle slope.
    """
    size, height = canvas.size, canvas.height
    side, reach = dice.pick((1, -1)), dice.between(2, 7)
    depth = dice.pick((3, 6, 9, 11, 13))  # how dark shadows are: 3 under clouds, 13 in the sun
    light = 262 - _shadow(height, side, reach) * depth
    edge = np.zeros_like(height)
    edge[1:] = np.clip(height[1:] - height[:-1], -24, 24)
    slope = np.zeros_like(height)
    slope[:, 1:] = np.clip(height[:, 1:] - height[:, :-1], -24, 24)
    light += edge + side * slope // 2
    place = np.arange(size, dtype=np.int32) * 256 // size - 128
    light += (
        place[None, :] * dice.between(-26, 26) // 256 - place[:, None] * dice.between(0, 30) // 256
    )
    return light


def _develop(canvas: _Canvas, dice: Dice, light: np.ndarray, sky: np.ndarray) -> np.ndarray:
    """Return the finished photo, (S, S, 3) uint8: lit, toned, slightly soft, grainy.

    `sky` (S, S) bool is not lit.
    """
    size = canvas.size
    light[sky] = 256
    tone = (
        np.array([dice.between(244, 262), 252, dice.between(242, 262)], np.int32)
        * dice.between(224, 268) >> 8
    )  # fmt: skip
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


# --------------------------------------------------------------------------------------------------
# Night: the same canvas under another light
# --------------------------------------------------------------------------------------------------

MOONLIGHT = np.array((78, 92, 132), np.int32)  # what night leaves of the colours, in 256ths
NIGHT_SKY = np.array((28, 44, 98), np.int32)
LAMPS: tuple[Colour, ...] = ((255, 214, 116), (255, 198, 92), (255, 226, 144), (252, 186, 84))


def _lamps(rooms: list[int], dice: Dice) -> np.ndarray:
    """Return the light in every room, (1 + rooms, 3) int32.

    It is black outside (row 0) and where nobody is at home. About a third to two thirds of the
    windows are lit, and every shop.
    """
    lamps = np.array([(0, 0, 0), *(dice.tint(LAMPS, 10) for _ in rooms)], np.int32)
    windows = 1 + np.flatnonzero(np.array(rooms) == WINDOW)
    order = np.argsort(dice.bytes(len(windows)), kind="stable")
    at_home = (len(windows) * dice.between(34, 66) + 50) // 100
    lamps[windows[order[at_home:]]] = 0
    return lamps


def _blur(picture: np.ndarray, reach: int) -> np.ndarray:
    """Return (S, S, 3) int32 averaged over the 2 * `reach` + 1 rows around each row.

    All is black outside.
    """
    side = 2 * reach + 1
    sums = np.cumsum(np.pad(picture, ((reach + 1, reach), (0, 0), (0, 0))), axis=0, dtype=np.int32)
    return (sums[side:] - sums[:-side]) // side


def _spill(lamps: np.ndarray, reach: int) -> np.ndarray:
    """Return the light that lamps, (S, S, 3) int32, throw about `reach` pixels far around them."""
    for _ in range(4):  # rows, columns, and both again: two boxes make a tent
        lamps = _blur(lamps, reach).swapaxes(0, 1)
    return lamps


def _fall_of_night(canvas: _Canvas, dice: Dice, sky: np.ndarray) -> None:
    """Turn the painted day into night: all is dim and blue, and rooms are lit.

    `sky` (S, S) bool is so most of all.
    """
    day, sky = np.clip(canvas.colour, 0, 255), sky[:, :, None]
    lamps = _lamps(canvas.rooms, dice)[canvas.room]
    light = MOONLIGHT + _spill(lamps, canvas.pixels(16)) * 2
    pane = lamps * (160 + day * 96 // 256)  # curtains and goods still show before the lamp
    canvas.colour = np.where(lamps > 0, pane, day * np.where(sky, NIGHT_SKY, light)) >> 8


def paint_photo(
    plan: Plan, classes: np.ndarray, dice: Dice, night: Dice | None = None
) -> np.ndarray:
    """Paint the photo of a plan, (S, S, 3) uint8.

    Args:
        classes: the plan's class map, (S, S).
        dice: decide all that the labels do not say.
        night: with these dice the same building is painted by night; they decide which windows are
            lit.
    """
    size = classes.shape[0]
    canvas, ground = _Canvas(size), pixel(plan.ground, size)
    canvas.colour[:] = _sky(dice, size)
    _paint_trees(canvas, dice, ground)
    _paint_ground(canvas, dice, ground)
    painters = _painters(canvas, dice, pixel(plan.base, size))
    for part in plan.parts:
        painters[part.kind](part, part_rect(part, size))
    _paint_ivy(canvas, dice, classes == FACADE, ground)
    light, background = _light(canvas, dice), classes == BACKGROUND
    if night is not None:
        _fall_of_night(canvas, night, background & (np.arange(size) < ground)[:, None])
        light = 256 + (light - 256) // 2  # the moon casts softer shadows than the sun
    return _develop(canvas, dice, light, background)
