"""Design a facade: sliders or rectangles make a label map, and the trained generator paints it."""

import functools
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import torch
from PIL import Image
from torch import Tensor, nn

from ..devices import device_of
from ..facades.plans import (
    BALCONY,
    BLIND,
    CLASS_COLOURS,
    CLASS_NAMES,
    CORNICE,
    DOOR,
    FACADE,
    GRID,
    MOLDING,
    SHOP,
    SILL,
    WINDOW,
    Part,
    Plan,
    class_map,
)
from ..images import to_float, to_pil
from ..inference import translate
from ..receptive_field import PixelBox
from ..trained import shared_snapshot
from ..unet import UNet
from ..validation import InputError
from .base import Action, Choice, Control, Explorer, Slider, Switch, View, check_range
from .drawing import INK, Sketch
from .picture import SIDE, Cells, Picture

SIZE = 128  # pixels of a label map: what the generator that ships was trained on
# Where the house stands and how high its roof is, in units of `facades.plans`.
GROUND, ROOF = GRID - 64, 120
RANGES = {"floors": (2, 6), "columns": (2, 7), "window_width": (20, 80), "window_height": (30, 70)}
COUNTED = {"windows": WINDOW, "blinds": BLIND, "balconies": BALCONY, "doors": DOOR, "shops": SHOP}


# --------------------------------------------------------------------------------------------------
# From sliders to a label map
# --------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Design:
    """A facade in eight numbers, which go a little beyond what the generator saw in training.

    Args:
        floors: 2 to 6, the ground floor included.
        columns: 2 to 7 bays, each with a window on every upper floor.
        window_width: percent of a bay, 20 to 80.
        window_height: percent of a floor, 30 to 70.
        shutters: blinds on both sides of each window.
        balcony_floors: how many of the upper floors have balconies, from below.
        door: the bay with the door, from the left; 0 means none.
        shops: how many bays of the ground floor are shops, from the left; the door keeps its own.

    Raises:
        InputError: if a number is out of range, with the range.
    """

    floors: int = 4
    columns: int = 4
    window_width: int = 45
    window_height: int = 52
    shutters: bool = False
    balcony_floors: int = 1
    door: int = 2
    shops: int = 0

    def __post_init__(self):
        for name, (low, high) in (RANGES | design_limits(vars(self))).items():
            check_range(name, getattr(self, name), low, high)


def design_limits(values: Mapping) -> dict[str, tuple[int, int]]:
    """Return (low, high) of those numbers of a `Design` whose range depends on the others."""
    columns = values["columns"]
    return {
        "balcony_floors": (0, values["floors"] - 1),
        "door": (0, columns),
        "shops": (0, columns - (values["door"] > 0)),
    }


def design_classes(design: Design, size: int = SIZE) -> np.ndarray:
    """Return the class map of a design: (size, size) uint8 in 0..11, see `facades.CLASS_NAMES`."""
    return class_map(design_plan(design), size)


def design_plan(design: Design) -> Plan:
    """Lay out a design as `facades.plans` lays out a building.

    Its proportions are in the middle of what is drawn at random there.
    """
    height = min(GROUND - ROOF - 48, max(640, 205 * design.floors))
    width = min(GRID, max(600, 230 * design.columns))
    top, left = GROUND - height, (GRID - width) // 2
    right = left + width
    floors = [
        top + 12 + (height - 12) * 100 * i // (100 * design.floors + 20)
        for i in range(design.floors)
    ] + [GROUND]
    edges = [left + 15 + (width - 30) * i // design.columns for i in range(design.columns + 1)]
    bays = list(pairwise(edges))
    parts = [
        Part(FACADE, top - ROOF, left, top, right, "roof", width // 20),
        Part(FACADE, top, left, GROUND, right),
        Part(CORNICE, top - 8, left - 6, top + 32, right + 6),
        Part(MOLDING, floors[-2] - 15, left, floors[-2] + 15, right),
    ]
    for floor in range(design.floors - 1):
        for bay in bays:
            parts += _window_parts(design, floors[floor], floors[floor + 1], *bay)
        if floor >= design.floors - 1 - design.balcony_floors:
            parts += [_balcony(floors[floor], floors[floor + 1], *bay) for bay in bays]
    parts += _ground_parts(design, floors[-2], bays)
    return Plan(parts, GROUND, floors[-2])


def _window_parts(design: Design, top: int, bottom: int, left: int, right: int) -> list[Part]:
    """Return a window in the middle of its bay, its hood and sill, and its shutters."""
    middle = top + (bottom - top) * 52 // 100
    half_height, half_width = (
        (bottom - top) * design.window_height // 200, (right - left) * design.window_width // 200
    )  # fmt: skip
    upper, lower = middle - half_height, middle + half_height
    x0, x1 = (left + right) // 2 - half_width, (left + right) // 2 + half_width
    parts = [
        Part(WINDOW, upper, x0, lower, x1),
        Part(CORNICE, upper - 30, x0 - 16, upper - 8, x1 + 16),
        Part(SILL, lower, x0 - 14, lower + 22, x1 + 14),
    ]
    if design.shutters:
        # No wider than the wall beside the window.
        side = min(max(28, (x1 - x0) * 44 // 100), x0 - left - 4)
        parts += [
            Part(BLIND, upper, x0 - side, lower, x0),
            Part(BLIND, upper, x1, lower, x1 + side),
        ]
    return parts


def _balcony(top: int, bottom: int, left: int, right: int) -> Part:
    height, pad = bottom - top, (right - left) * 8 // 100
    return Part(
        BALCONY, top + height * 58 // 100, left + pad, top + height * 94 // 100, right - pad
    )


def _ground_parts(design: Design, top: int, bays: list[tuple[int, int]]) -> list[Part]:
    """Return the door, the shops, and a window in each remaining bay of the ground floor."""
    parts, shops_left, height = [], design.shops, GROUND - top
    for number, (left, right) in enumerate(bays, start=1):
        if number == design.door:
            middle, half = (left + right) // 2, min(72, (right - left) * 27 // 100)
            parts.append(Part(DOOR, top + height * 27 // 100, middle - half, GROUND, middle + half))
        elif shops_left:
            parts.append(Part(SHOP, top + height * 19 // 100, left + 12, GROUND, right - 12))
            shops_left -= 1
        else:
            parts += _window_parts(design, top, GROUND - height // 12, left, right)
    return parts


def class_shares(classes: np.ndarray) -> dict[str, float]:
    """Return the share of each class among the pixels of a class map, {class name: 0 to 1}."""
    counts = np.bincount(classes.ravel(), minlength=len(CLASS_NAMES))
    return {name: count / classes.size for name, count in zip(CLASS_NAMES, counts.tolist())}


def label_tensor(classes: np.ndarray) -> Tensor:
    """Return the label map of (H, W) classes as the generator's input: (3, H, W) in [-1, 1]."""
    return to_float(torch.from_numpy(CLASS_COLOURS[classes]).permute(2, 0, 1))


def paint_box(classes: np.ndarray, kind: str, box: PixelBox) -> np.ndarray:
    """Return a copy of the class map with one class painted into a box of pixels."""
    painted = classes.copy()
    painted[box.top : box.bottom, box.left : box.right] = CLASS_NAMES.index(kind)
    return painted


# --------------------------------------------------------------------------------------------------
# The pictures
# --------------------------------------------------------------------------------------------------


def draw_map(classes: np.ndarray) -> Image.Image:
    """Draw a class map in the colours of its classes."""
    return Image.fromarray(CLASS_COLOURS[classes])


def draw_legend(shares: Mapping[str, float], width: int = 190) -> Sketch:
    """Draw the colour, name and share of each class, one per line.

    Classes that are nowhere on the map are grey.
    """
    legend, step = Sketch(width, SIDE), SIDE / len(shares)
    for number, (name, share) in enumerate(shares.items()):
        y, ink = (number + 0.5) * step, INK if share else "#888888"
        legend.box((0, y - 8, 16, y + 8), f"#{bytes(CLASS_COLOURS[number]).hex()}")
        legend.text(24, y, name, "lm", colour=ink)
        legend.text(width, y, f"{share:.0%}" if share >= 0.01 or not share else "<1%", "rm",
                    colour=ink)  # fmt: skip
    return legend


# --------------------------------------------------------------------------------------------------
# The explorers
# --------------------------------------------------------------------------------------------------


class MapExplorer(Explorer):
    """What both designers share: a generator that paints each class map once.

    Raises:
        TypeError: if the generator is not a network.
        InputError: if it cannot take maps of this size.
    """

    def __init__(
        self, generator: UNet | None, controls: Sequence[Control], actions: Sequence[Action] = ()
    ):
        self.generator = shared_snapshot().generator if generator is None else generator
        if not isinstance(self.generator, nn.Module):
            raise TypeError(
                f"expected a generator, as load_snapshot().generator; got {self.generator!r}"
            )
        self._fake_b = functools.lru_cache(32)(self._fake_b_now)
        super().__init__(controls, actions)

    def fake_b(self, classes: np.ndarray) -> Tensor:
        """Return the generator's image of a class map, (3, H, W) in [-1, 1].

        `inference.translate` makes it.
        """
        return self._fake_b(classes.tobytes(), classes.shape)

    def _fake_b_now(self, pixels: bytes, shape: tuple[int, int]) -> Tensor:
        real_a = label_tensor(np.frombuffer(pixels, np.uint8).reshape(shape))[None]
        device = device_of(self.generator)
        return self.run_network(translate, self.generator, real_a.to(device))[0].cpu()


class FacadeDesigner(MapExplorer):
    """Build a label map with sliders, and let the generator paint it.

    `classes` is the map that is shown, (size, size) uint8.

    Numbers:
        floors, columns, ...: the values of the controls.
        windows, blinds, balconies, doors, shops: how many there are.
        shares: of the pixels, {class name: 0 to 1}.

    Args:
        generator: a `UNet` from label maps to photos; by default the trained one that ships.
        size: pixels of the label map, a multiple of 2^depth of the generator.
    """

    def __init__(self, generator: UNet | None = None, size: int = SIZE):
        self.size = size
        super().__init__(
            generator,
            [
                Slider("floors", "floors", *RANGES["floors"], Design.floors, group="house"),
                Slider("columns", "columns", *RANGES["columns"], Design.columns, group="house"),
                Slider(
                    "window_width", "window width",
                    *RANGES["window_width"], Design.window_width, 5, group="windows",
                ),
                Slider(
                    "window_height", "window height",
                    *RANGES["window_height"], Design.window_height, 2, group="windows",
                ),
                Slider(
                    "balcony_floors", "balcony floors",
                    0, RANGES["floors"][1] - 1, Design.balcony_floors, group="windows",
                ),
                Slider(
                    "door", "door", 0, RANGES["columns"][1], Design.door, group="ground floor"
                ),
                Slider(
                    "shops", "shops", 0, RANGES["columns"][1], Design.shops, group="ground floor"
                ),
                Switch("shutters", "shutters", Design.shutters, group="windows"),
            ],
        )  # fmt: skip

    @property
    def classes(self) -> np.ndarray:
        return design_classes(Design(**self.values), self.size)

    def limits(self, values: Mapping) -> dict[str, tuple[int, int]]:
        return design_limits(values)

    def draw(self, **values) -> View:
        plan = design_plan(Design(**values))
        classes = class_map(plan, self.size)
        found = Counter(part.kind for part in plan.parts)
        counts = {name: found[kind] for name, kind in COUNTED.items()}
        numbers = {**values, **counts, "shares": class_shares(classes)}
        pictures = [
            Picture(draw_map(classes), "your label map"),
            Picture(to_pil(self.fake_b(classes)), "the generator's image", smooth=True),
            Picture(draw_legend(numbers["shares"]), "classes"),
        ]
        text = (
            f"{values['floors']} floors and {values['columns']} columns: {_list_counts(counts)}.\n"
            f"The map is {numbers['shares']['facade']:.0%} facade, "
            f"{numbers['shares']['window']:.0%} window."
        )
        alt = (
            f"Left the label map of a house with {values['floors']} floors and {values['columns']} "
            f"columns: {_list_counts(counts)}. Right the generator's image of it, "
            "then the classes with their colours."
        )
        return View([pictures], text, alt, numbers)


def _list_counts(counts: Mapping[str, int]) -> str:
    """Return for example "14 windows, 1 door, no shops"."""
    words = [
        f"{count or 'no'} {name if count != 1 else _singular(name)}"
        for name, count in counts.items()
    ]
    return ", ".join(words)


def _singular(name: str) -> str:
    return "balcony" if name == "balconies" else name.removesuffix("s")


Rectangle = tuple[str, PixelBox]  # a class and where it is painted


class RectanglePainter(MapExplorer):
    """Move a rectangle of one class over a label map and see what the generator makes of it.

    The map is shown with a frame around the rectangle, which a pointer drags, then the generator's
    images without and with the rectangle. `paint`, `undo` and `clear`, also as buttons, change the
    rectangles that are kept, `painted`. These are part of the explorer's state, as the values of
    the controls are.

    Numbers:
        kind, top, left, height, width: the rectangle, in pixels.
        painted: how many rectangles are kept.
        shares: of the pixels of the map with the rectangle, {class name: 0 to 1}.
        change_inside, change_outside: mean absolute difference in [0, 2] that the rectangle makes
            in the image, within its own pixels and in all others.

    Args:
        classes: (H, W) integers in 0..11, the map to paint on; by default the first map of
            `FacadeDesigner`.
        generator: a `UNet` from label maps to photos; by default the trained one that ships.

    Raises:
        InputError: if the map has another shape or other values.
    """

    def __init__(self, classes: np.ndarray | None = None, generator: UNet | None = None):
        self.classes = design_classes(Design()) if classes is None else _checked_map(classes)
        self.painted: tuple[Rectangle, ...] = ()
        height, width = self.classes.shape
        super().__init__(
            generator,
            [
                Choice("kind", "class", CLASS_NAMES, "window", group="rectangle"),
                Slider("top", "top", 0, height - 1, height * 3 // 8, group="rectangle"),
                Slider("left", "left", 0, width - 1, width // 16, group="rectangle"),
                Slider("height", "height", 1, height, height // 4, group="rectangle"),
                Slider("width", "width", 1, width, width // 4, group="rectangle"),
            ],
            [
                Action("paint", self._add),
                Action("undo", self._remove_last),
                Action("clear", self._remove_all),
            ],
        )

    def paint(self) -> View:
        """Keep the rectangle on the map and return the new view."""
        return self.set(**self._add(self.values))

    def undo(self) -> View:
        """Take the last rectangle kept off the map, if there is one, and return the new view."""
        return self.set(**self._remove_last(self.values))

    def clear(self) -> View:
        """Take all kept rectangles off the map and return the new view."""
        return self.set(**self._remove_all(self.values))

    def reset(self) -> View:
        """Take all rectangles off the map and move all controls back, and return the view."""
        self.painted = ()
        return super().reset()

    def limits(self, values: Mapping) -> dict[str, tuple[int, int]]:
        height, width = self.classes.shape
        return {"height": (1, height - values["top"]), "width": (1, width - values["left"])}

    def draw(self, **values) -> View:
        kind, box = _rectangle(values)
        before = functools.reduce(
            lambda classes, kept: paint_box(classes, *kept), self.painted, self.classes
        )
        after = paint_box(before, kind, box)
        without, fake_b = self.fake_b(before), self.fake_b(after)
        change = (fake_b - without).abs().mean(dim=0).numpy()  # (3, H, W) -> (H, W)
        is_inside = paint_box(np.zeros_like(before), CLASS_NAMES[1], box).astype(bool)
        numbers = {
            **values,
            "painted": len(self.painted),
            "shares": class_shares(after),
            "change_inside": _mean(change[is_inside]),
            "change_outside": _mean(change[~is_inside]),
        }
        cells = rectangle_cells(before.shape, box)
        pictures = [
            Picture(draw_map(after), "label map", cells=cells),
            Picture(to_pil(without), "image without the rectangle", smooth=True),
            Picture(to_pil(fake_b), "image with the rectangle", smooth=True, cells=cells),
        ]
        return View([pictures], _painter_text(numbers), _painter_alt(numbers), numbers)

    def _add(self, values: Mapping) -> dict:
        self.painted = (*self.painted, _rectangle(values))
        return {}  # no control moves

    def _remove_last(self, values: Mapping) -> dict:
        self.painted = self.painted[:-1]
        return {}

    def _remove_all(self, values: Mapping) -> dict:
        self.painted = ()
        return {}


def rectangle_cells(shape: Sequence[int], box: PixelBox) -> Cells:
    """Return the places where a rectangle of this size can lie on an (H, W) map, as boxes.

    It is dragged without changing its size, so all of it stays on the map.
    """
    size = box.bottom - box.top, box.right - box.left
    return Cells(
        shape=tuple(whole - part + 1 for whole, part in zip(shape, size)),
        start=(0.0, 0.0),
        step=tuple(1 / whole for whole in shape),
        size=tuple(part / whole for part, whole in zip(size, shape)),
        chosen=(box.top, box.left),
        names=("top", "left"),
    )


def _rectangle(values: Mapping) -> Rectangle:
    top, left = values["top"], values["left"]
    return values["kind"], PixelBox(top, left, top + values["height"], left + values["width"])


def _mean(values: np.ndarray) -> float:
    """Return the mean, or 0 if there are no values: a rectangle may cover the whole map."""
    return float(values.mean()) if values.size else 0.0


def _checked_map(classes: np.ndarray) -> np.ndarray:
    classes = np.asarray(classes)
    if (
        classes.ndim != 2
        or classes.dtype.kind not in "ui"
        or classes.min() < 0
        or classes.max() >= len(CLASS_NAMES)
    ):
        raise InputError(
            f"expected a class map, (H, W) integers from 0 to {len(CLASS_NAMES) - 1}; got "
            f"{classes.dtype} of shape {classes.shape}; "
            "facades.colour_to_classes makes one from a label map in colours"
        )
    return classes.astype(np.uint8)


def _painter_text(numbers: Mapping) -> str:
    return (
        f"{_describe(numbers)}.\n"
        f"It changes the image by {numbers['change_inside']:.3f} inside the frame and by "
        f"{numbers['change_outside']:.3f} outside, on a scale from 0 to 2."
    )


def _painter_alt(numbers: Mapping) -> str:
    return (
        f"A label map with a framed rectangle, {_describe(numbers)}; the generator's image without "
        f"it and with it. They differ by {numbers['change_inside']:.3f} inside the frame and by "
        f"{numbers['change_outside']:.3f} outside."
    )


def _describe(numbers: Mapping) -> str:
    return (
        f"{numbers['kind']}, {numbers['height']}x{numbers['width']} pixels from row "
        f"{numbers['top']}, column {numbers['left']} (painted before: {numbers['painted']})"
    )
