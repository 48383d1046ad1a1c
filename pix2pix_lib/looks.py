"""What `checking` keeps of each picture of a dataset: its header, small copies, a few numbers."""

from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

import numpy as np
from PIL import Image, ImageDraw

from .encoding import side_values
from .images import image_size, opened, orientation
from .layouts import Pair, Side, sides
from .validation import InputError

Progress = Callable[[int, int], None]
THUMB = 32  # side of the grey copy by which duplicates are found, in pixels
CROP = 512  # side of the part that is searched for flat areas, in pixels
RADIUS = 12  # levels from the colour of an area within which JPEG moves it
MOST_CLASSES = 64  # colours of a label map that was not spoilt
_BYTES = np.array([16, 8, 0])


@dataclass(frozen=True)
class Flatness:
    """How the colours of a picture spread.

    Args:
        share: of pixels whose neighbours differ by at most 6 levels.
        areas: colours of the large flat areas; none unless the picture looks like a label map.
        exact: number of different colours.
        wobble: share of the flat pixels near but not at the colour of an area, as JPEG makes them.
        mixed: share of the borders between two areas that have a mixture of both colours.
    """

    share: float
    areas: int
    exact: int
    wobble: float = 0.0
    mixed: float = 0.0

    @property
    def is_label_map(self) -> bool:
        return self.exact <= MOST_CLASSES or self.areas > 1


@dataclass(frozen=True)
class Look:
    """One side of a pair.

    Args:
        size: (height, width), upright, in pixels.
        format, mode: as Pillow calls them; "" and the type for files that it does not read.
        turn: EXIF orientation, 1 if there is none.
        transparent: whether any pixel is.
        values: (lowest, highest) as they stand in the file, and `full`, the highest that could.
        thumb: (THUMB, THUMB) grey, mean 0 and norm 1; None for a picture of one colour.
        edges: (G, G) square roots of the steepness, float16.
        traits: (5,) flatness, colours, saturation, brightness, steepness, each about 0 to 1.
    """

    size: tuple[int, int]
    format: str
    mode: str
    turn: int
    transparent: bool
    values: tuple[float, float]
    full: float
    thumb: np.ndarray | None
    edges: np.ndarray
    traits: np.ndarray
    flat: Flatness

    @property
    def width_by_height(self) -> str:
        return f"{self.size[1]}x{self.size[0]}"


@dataclass(frozen=True)
class Entry:
    """One pair that was looked at: "split/name", or with its folder where names occur twice."""

    name: str
    split: str
    pair: Pair
    a: Look
    b: Look


def look_at(
    splits: dict[str, list[Pair]], progress: Progress | None = None
) -> tuple[list[Entry], dict[str, str]]:
    """Look at every pair once.

    Returns:
        The pairs, and by name the errors of those that cannot be read.
    """
    todo = _named(splits)
    grid = _grid([pair for _, _, pair in todo])
    entries, broken = [], {}
    for done, (name, split, pair) in enumerate(todo, start=1):
        try:
            both = [look(side, grid) for (side,) in sides([pair])]
            entries.append(Entry(name, split, pair, *both))
        except (InputError, OSError) as error:
            broken[name] = str(error)
        if progress is not None:
            progress(done, len(todo))
    return entries, broken


def _named(splits: dict[str, list[Pair]]) -> list[tuple[str, str, Pair]]:
    """Return (name, split, pair) of all pairs; no two names are equal."""
    counts = Counter((split, pair.name) for split, pairs in splits.items() for pair in pairs)
    named = []
    for split, pairs in splits.items():
        for pair in pairs:
            twice = counts[split, pair.name] > 1
            place = f"{pair.a.parent}/" if twice else f"{split}/" if split else ""
            named.append((f"{place}{pair.name}", split, pair))
    return named


def _grid(pairs: Sequence[Pair]) -> int:
    """Return the side to which edges are reduced: no larger than most pictures are."""
    shortest = []
    for pair in pairs[:: max(1, len(pairs) // 20)]:
        try:
            shortest.append(min(image_size(pair.a)))
        except (InputError, OSError):
            continue
    return 128 if not shortest or np.median(shortest) >= 128 else 64


def look(side: Side, grid: int = 128) -> Look:
    """Look at one picture, or one half of a file; edges are reduced to (grid, grid).

    Raises:
        FileNotFoundError, InputError: if it cannot be read.
    """
    values = side_values(side)
    pixels = as_rgb(values)
    picture = Image.fromarray(pixels)
    small = np.asarray(_reduced(picture, grid), np.float32)
    edges = _steepness(small)
    flat = flatness(_middle(pixels))
    return Look(
        pixels.shape[:2], *_header(side, values), _thumb(picture), np.sqrt(edges, dtype=np.float16),
        _traits(small, edges, flat), flat,
    )  # fmt: skip


def as_rgb(values: np.ndarray) -> np.ndarray:
    """Return (bands, H, W) of any type as (H, W, 3) uint8; dark and unusual ranges are spread."""
    values = values[:3] if len(values) >= 3 else values[:1].repeat(3, axis=0)
    if values.dtype != np.uint8 or values.max() < 64:
        values = np.nan_to_num(values.astype(np.float64))
        low, high = values.min(), values.max()
        values = ((values - low) * (255 / (high - low or 1))).astype(np.uint8)
    return np.ascontiguousarray(values.transpose(1, 2, 0))


def _header(
    side: Side, values: np.ndarray
) -> tuple[str, str, int, bool, tuple[float, float], float]:
    """Return format, mode, turn, transparency, range and highest possible value of a picture."""
    low_high = float(values.min()), float(values.max())
    full = 1.0 if values.dtype.kind == "f" else float(np.iinfo(values.dtype).max)
    try:
        with opened(side.file) as file:
            clear = file.has_transparency_data
            clear = clear and file.convert("RGBA").getchannel("A").getextrema()[0] < 255
            turn = int(orientation(side.file))
            return file.format or "", file.mode, turn, clear, low_high, full
    except InputError:  # what Pillow does not read, such as many bands, has no such header
        return "", str(values.dtype), 1, False, low_high, full


def _middle(pixels: np.ndarray) -> np.ndarray:
    top, left = (max(0, (length - CROP) // 2) for length in pixels.shape[:2])
    return pixels[top : top + CROP, left : left + CROP]


def _reduced(picture: Image.Image, side: int) -> Image.Image:
    return picture.resize((side, side), Image.Resampling.BOX, reducing_gap=4)


def _thumb(picture: Image.Image) -> np.ndarray | None:
    grey = np.asarray(_reduced(picture, THUMB).convert("L"), np.float32)
    grey = grey - grey.mean()
    return grey / np.linalg.norm(grey) if grey.std() > 1 else None


def _steepness(small: np.ndarray) -> np.ndarray:
    """Return the range of the values around each pixel of (G, G, 3), in the channel of the largest.

    Unlike the slope it is as high in the middle of a thin line as at its flanks.
    """
    from scipy.ndimage import maximum_filter, minimum_filter

    return (maximum_filter(small, (3, 3, 1)) - minimum_filter(small, (3, 3, 1))).max(axis=2)


def _traits(small: np.ndarray, edges: np.ndarray, flat: Flatness) -> np.ndarray:
    colours = len(np.unique((small.astype(np.int64) >> 3) @ (1 << np.array([10, 5, 0]))))
    saturation = (small.max(axis=2) - small.min(axis=2)).mean()
    return np.array(
        [flat.share, np.log2(colours) / 12, saturation / 255, small.mean() / 255, edges.mean() / 64]
    )


def flatness(pixels: np.ndarray) -> Flatness:
    """Return how the colours of (H, W, 3) uint8 spread.

    The flat pixels of a label map have few colours; JPEG and smooth resizing change this only near
    the borders of its areas.
    """
    from scipy.ndimage import maximum_filter, minimum_filter

    span = maximum_filter(pixels, (3, 3, 1)) - minimum_filter(pixels, (3, 3, 1))
    flat = span.max(axis=2) <= 6
    share = float(flat.mean())
    exact, places = np.unique(pixels @ (1 << _BYTES), return_inverse=True)
    if share < 0.2:
        return Flatness(share, 0, len(exact))
    places = places.reshape(flat.shape)
    inside = np.bincount(places[flat], minlength=len(exact))
    palette = exact[:, None] >> _BYTES & 255
    areas = _areas(palette, inside, flat.size)
    if len(areas) < 2:
        return Flatness(share, len(areas), len(exact))
    distance = np.stack([_distance(palette, palette[area]) for area in areas])
    near, at = distance.min(axis=0) <= RADIUS, distance.min(axis=0) == 0
    nearest = np.where(near, distance.argmin(axis=0), -1)
    wobble = float(inside[near & ~at].sum() / inside.sum())
    mixed = _mixed(pixels, nearest[places], palette[areas])
    return Flatness(share, len(areas), len(exact), wobble, mixed)


def _distance(colours: np.ndarray, colour: np.ndarray) -> np.ndarray:
    return np.abs(colours - colour).max(axis=1)


def _areas(palette: np.ndarray, counts: np.ndarray, pixels: int) -> list[int]:
    """Return the indices of the colours that most flat pixels have, or [] if these are not few."""
    left, areas = counts.copy(), []
    while left.sum() > 0.1 * counts.sum():
        peak = int(left.argmax())
        distance = _distance(palette, palette[peak])
        nearby = left[distance <= RADIUS].sum()
        # Many colours in a row, as in a sky, are no area; nor are many small ones.
        if len(areas) == 32 or nearby < 0.001 * pixels:
            return []
        if left[distance <= 2].sum() < 0.6 * nearby:
            return []
        left[distance <= RADIUS] = 0
        areas.append(peak)
    return areas


def _mixed(pixels: np.ndarray, nearest: np.ndarray, colours: np.ndarray) -> float:
    """Return the share of borders between two areas where a mixture of both lies.

    Args:
        pixels: (H, W, 3).
        nearest: (H, W), the area to whose colour a pixel's is near, or -1.
        colours: (n, 3), of the areas.
    """
    borders, mixtures = 0, []
    for picture, area in ((pixels, nearest), (pixels.swapaxes(0, 1), nearest.T)):
        first, middle, last = area[:, :-4], area[:, 2:-2], area[:, 4:]
        border = (first >= 0) & (last >= 0) & (first != last)
        borders += int(border.sum())
        unknown = border & (middle < 0)
        start, along = colours[first[unknown]], colours[last[unknown]] - colours[first[unknown]]
        here = picture[:, 2:-2][unknown].astype(int)
        part = ((here - start) * along).sum(axis=1) / (along**2).sum(axis=1)
        away = np.abs(here - start - part[:, None] * along).max(axis=1, initial=0)
        mixtures.append(here[(away <= RADIUS) & (part > 0) & (part < 1)])
    found = np.concatenate(mixtures)
    counts = np.unique(found, axis=0, return_counts=True)[1]
    if counts.max(initial=0) > 0.6 * len(found):  # a thin line of one colour is no mixture
        return 0.0
    return len(found) / max(borders, 1)


def by_split(entries: Iterable[Entry]) -> list[list[Entry]]:
    """Return the pairs of each split."""
    splits: dict[str, list[Entry]] = {}
    for entry in entries:
        splits.setdefault(entry.split, []).append(entry)
    return list(splits.values())


def contact_sheet(entries: Sequence[Entry], captions: dict[str, str]) -> Image.Image:
    """Return a picture of pairs, three in a row, with their names and, in red, captions by name."""
    side, across, down = 128, 2 * 128 + 24, 128 + 46
    sheet = Image.new("RGB", (3 * across, -(-len(entries) // 3) * down), "white")
    draw = ImageDraw.Draw(sheet)
    for place, entry in enumerate(entries):
        left, top = place % 3 * across + 12, place // 3 * down + 6
        for number, (one,) in enumerate(sides([entry.pair])):
            picture = Image.fromarray(as_rgb(side_values(one)))
            scale = side / max(picture.size)
            size = [max(1, round(length * scale)) for length in picture.size]
            smooth = Image.Resampling.BOX if scale < 1 else Image.Resampling.NEAREST
            sheet.paste(picture.resize(size, smooth), (left + number * side, top))
        draw.text((left, top + side + 1), entry.name[-44:], "black")
        draw.text((left, top + side + 16), captions.get(entry.name, "")[:44], "#b00000")
    return sheet
