"""What the values in the files of one side mean, and how they become channels in [-1, 1].

A picture has values in a range: 0..255, 0..4095, floats. A label map has classes instead, as
numbers or as colours; between two classes there is nothing, so it is resized to the nearest pixel,
and the network sees its colours, or with as many channels as classes one channel a class (one-hot).
"""

from collections.abc import Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from .files import replacing
from .images import (
    LOSSY_SUFFIXES,
    Source,
    evenly_spread,
    opened,
    read_values,
    to_float,
    to_grey,
    write_image,
)
from .layouts import Side
from .validation import InputError

KINDS = ("auto", "picture", "labels")
MOST_CLASSES = 256  # more different values than these are a picture
FEW_CLASSES = 16  # so few values are classes, however they lie; more must lie in areas
FLAT = 0.65  # the least `_flatness` of a label map
VOID = 255  # the number that many sets give to pixels without a class
DEPTHS = (8, 10, 12, 14, 16)  # bits of a camera or scanner, in files that hold up to 16
SAMPLE = 32  # files that tell what the values mean


@dataclass(frozen=True)
class Encoding:
    """How the values of one side become the channels of an image in [-1, 1].

    Args:
        channels: of the image that the network sees.
        low, high: the range of a picture's values, which becomes [-1, 1].
        classes: of a label map: a number (n,) or a colour (red, green, blue) for each class, as
            they stand in the files; empty for pictures.
        colours: red, green and blue of each class, 0 to 255.
    """

    channels: int = 3
    low: float = 0.0
    high: float = 255.0
    classes: tuple[tuple[int, ...], ...] = ()
    colours: tuple[tuple[int, int, int], ...] = ()

    def __post_init__(self):
        object.__setattr__(self, "low", float(self.low))
        object.__setattr__(self, "high", float(self.high))
        if self.channels < 1:
            raise InputError(f"channels must be at least 1; got {self.channels}")
        if not self.low < self.high:
            raise InputError(f"a range goes from LOW to HIGH; got {self.low:g}:{self.high:g}")
        if self.one_hot and self.channels < len(self.classes):
            raise InputError(
                f"the label maps hold {len(self.classes)} classes, for {self.channels} channels; "
                f"give {len(self.classes)} channels, 3 (colours) or 1 (grey)"
            )

    @property
    def is_labels(self) -> bool:
        return bool(self.classes)

    @property
    def one_hot(self) -> bool:
        """Whether each class has a channel; three channels hold colours, one grey."""
        return self.is_labels and self.channels not in (1, 3)

    @property
    def is_eight_bit(self) -> bool:
        """Whether `convert` returns uint8 pictures, the plain case."""
        return not self.is_labels and (self.low, self.high) == (0, 255) and self.channels in (1, 3)

    @property
    def bytes_per_pixel(self) -> int:
        """How much of memory one pixel takes as `convert` returns it."""
        return 1 if self.is_labels else self.channels * (1 if self.is_eight_bit else 4)

    @property
    def reads_numbers(self) -> bool:
        """Whether the numbers of a palette count, and not its colours."""
        return self.is_labels and len(self.classes[0]) == 1

    def convert(self, values: np.ndarray, source: Source) -> Tensor:
        """Return what `images.read_values` gives in a form that can be resized.

        Args:
            values: (bands, H, W), read with `numbers=self.reads_numbers`.
            source: for messages.

        Returns:
            Label maps as class indices (1, H, W) uint8; pictures of 8 bits as (channels, H, W)
            uint8, others as (channels, H, W) float32 in [-1, 1].

        Raises:
            InputError: if there are other classes or another number of bands.
        """
        return (self._to_classes if self.is_labels else self._to_channels)(values, source)

    def encode(self, image: Tensor) -> Tensor:
        """Return what `convert` gave, by now resized, as float32 (channels, H, W) in [-1, 1]."""
        if not self.is_labels:
            return to_float(image) if image.dtype == torch.uint8 else image
        if self.one_hot:
            hot = torch.arange(self.channels, device=image.device)[:, None, None] == image
            return hot.float() * 2 - 1
        table = torch.tensor(self.colours, dtype=torch.uint8, device=image.device)
        colours = table[image[0].long()].permute(2, 0, 1)  # (H, W, 3) -> (3, H, W)
        return to_float(to_grey(colours) if self.channels == 1 else colours)

    def as_colours(self, image: Tensor) -> Tensor:
        """Return (..., channels, H, W) in [-1, 1] as grey or RGB to look at, in [-1, 1].

        Classes get their colours; of more bands the first three are shown.
        """
        channels = image.shape[-3]
        if channels in (1, 3):
            return image
        if not self.one_hot:
            return image[..., :3, :, :] if channels > 3 else image[..., :1, :, :]
        table = to_float(torch.tensor(self.colours, dtype=torch.uint8, device=image.device))
        best = image[..., : len(self.classes), :, :].argmax(-3)
        return table[best].movedim(-1, -3)

    def _to_classes(self, values: np.ndarray, source: Source) -> Tensor:
        codes = _codes(values, len(self.classes[0]))
        known = np.array([_code(value) for value in self.classes])
        order = np.argsort(known)
        places = np.searchsorted(known[order], codes).clip(max=len(known) - 1)
        indices = order[places]
        wrong = codes[known[indices] != codes]
        if wrong.size:
            raise InputError(
                f"{source}: holds {_decoded(wrong.flat[0], len(self.classes[0]))}, which is none "
                f"of the {len(self.classes)} classes of these label maps"
            )
        return torch.from_numpy(indices.astype(np.uint8))[None]

    def _to_channels(self, values: np.ndarray, source: Source) -> Tensor:
        bands = len(values)
        if bands != self.channels and not (bands in (1, 3) and self.channels in (1, 3)):
            raise InputError(
                f"{source}: expected {self.channels} bands, but it has {bands}; all images of a "
                "side need the same"
            )
        image = torch.from_numpy(values)
        if values.dtype != np.uint8 or (self.low, self.high) != (0, 255):
            scaled = (image.float() - self.low) / (self.high - self.low)
            image = scaled.clamp(0, 1) * 2 - 1
        elif not self.is_eight_bit:
            image = to_float(image)
        if bands == self.channels:
            return image
        if bands == 1:
            return image.expand(3, -1, -1).contiguous()
        if image.dtype == torch.uint8:
            return to_grey(image)
        weights = torch.tensor([0.299, 0.587, 0.114])  # Rec. 601, as `to_grey`
        return (image * weights[:, None, None]).sum(0, keepdim=True)

    def describe(self) -> str:
        """Return what the values are, in a few words."""
        if not self.is_labels:
            bands = {1: "grey", 3: "RGB"}.get(self.channels, f"{self.channels} bands")
            return f"pictures, {bands}, values {self.low:g}..{self.high:g}"
        kind = "numbers" if len(self.classes[0]) == 1 else "colours"
        seen = f"{self.channels} channels, one a class" if self.one_hot else "their colours"
        if self.channels == 1:
            seen = "grey"
        return f"label maps, {len(self.classes)} classes by {kind}, shown as {seen}"


def encoding_from_dict(saved: dict) -> Encoding:
    """Return the encoding that `asdict` has made a dict of, also by way of JSON.

    Raises:
        InputError: if it is none.
    """
    try:
        lists = {name: tuple(map(tuple, saved[name])) for name in ("classes", "colours")}
        return Encoding(**saved | lists)
    except (AttributeError, KeyError, TypeError) as error:
        raise InputError(f"not what tells how values are encoded ({error!r})") from error


def side_values(side: Side, numbers: bool = False) -> np.ndarray:
    """Return the values of one image, or of one half of a file, as `images.read_values` does.

    Raises:
        FileNotFoundError: if there is no such file.
        InputError: if it is unreadable, or should hold two images and has an odd width.
    """
    values = read_values(side.file, side.page, numbers)
    if not side.half:
        return values
    middle = half_width(side.file, values.shape[2])
    return values[:, :, :middle] if side.half == "left" else values[:, :, middle:]


def half_width(source: Source, width: int) -> int:
    """Return the width of each of two images side by side.

    Raises:
        InputError: if `width` is odd.
    """
    if width % 2:
        raise InputError(
            f"{source}: expected two images of equal width side by side, but the file is {width} "
            "pixels wide; paste the pair again, or choose another layout (folders, cmp)"
        )
    return width // 2


def card_encodings(card: dict, in_channels: int, out_channels: int) -> tuple[Encoding, Encoding]:
    """Return the encodings of input and target on a generator's card; older ones have none."""
    channels = {"input": in_channels, "target": out_channels}
    return tuple(
        encoding_from_dict(card[side]) if side in card else Encoding(count)
        for side, count in channels.items()
    )


# --- finding out --------------------------------------------------------------------------------


def find_encoding(
    sides: Sequence[Side],
    channels: int | None = None,
    kind: str = "auto",
    value_range: tuple[float, float] | None = None,
) -> Encoding:
    """Find what the values of one side mean, from a sample of its images.

    Label maps are files without losses that hold a few values or colours together, or up to 256
    that lie in areas; then all of them are read, so that no class is missed.

    Args:
        sides: at least one.
        channels: what the network is to see; None takes 3 for grey and RGB, else the bands' number.
        kind: one of `KINDS`; "labels" and "picture" are taken at their word.
        value_range: (low, high) of pictures; None finds it.

    Raises:
        InputError: if a file cannot be read, `kind` is "labels" and there are more than 256 values,
            or the channels do not fit.
    """
    sample = evenly_spread(sides, SAMPLE)
    if kind != "picture" and not value_range:
        classes = _find_classes(sample)
        if kind == "auto" and len(classes) > FEW_CLASSES and _flatness(sample, classes) < FLAT:
            classes = ()
        if classes and len(sides) > len(sample):
            classes = _find_classes(sides)
        if classes:
            colours = _colours_of(classes, sample)
            return Encoding(3 if channels is None else channels, 0, 255, classes, colours)
        if kind == "labels":
            raise InputError(
                f"{sides[0].file.parent}: label maps were asked for, but these hold more than 256 "
                "different values; save them without losses (PNG) and without smooth resizing"
            )
    if all(side.file.suffix.lower() in LOSSY_SUFFIXES for side in sample):
        sample = sample[:1]  # all have 8 bits
    values = [side_values(side) for side in sample]
    bands = len(values[0])
    channels = channels or (3 if bands in (1, 3) else bands)
    low, high = value_range or _find_range(values)
    return Encoding(channels, low, high)


def _find_classes(sides: Sequence[Side]) -> tuple[tuple[int, ...], ...]:
    """Return the classes of label maps in order, or nothing if these are pictures."""
    if any(side.file.suffix.lower() in LOSSY_SUFFIXES for side in sides):
        return ()
    numbers = _distinct(sides, 1) if _have_one_palette(sides) else set()
    colours = set() if numbers else _distinct(sides, 3)
    return tuple(_decoded(code, 1 if numbers else 3) for code in sorted(numbers or colours))


def _distinct(sides: Iterable[Side], bands: int) -> set[int]:
    """Return the codes of all values; nothing if they are too many, or not of so many bands."""
    found: set[int] = set()
    for side in sides:
        values = side_values(side, bands == 1)
        if values.dtype.kind not in "iu" or len(values) not in (1, bands):
            return set()
        found |= set(np.unique(_codes(values, bands)).tolist())
        if len(found) > MOST_CLASSES:
            return set()
    return found


def _flatness(sides: Sequence[Side], classes: tuple[tuple[int, ...], ...]) -> float:
    """Return how many pixels are like their right neighbour, the most frequent value left out.

    Of photos in grey these are .1 to .6, of label maps .7 and more.
    """
    bands, shares = len(classes[0]), []
    for side in sides:
        codes = _codes(side_values(side, bands == 1), bands)
        values, counts = np.unique(codes, return_counts=True)
        others = codes[:, :-1] != values[counts.argmax()]
        if others.any():
            shares.append((codes[:, :-1] == codes[:, 1:])[others].mean())
    return float(np.mean(shares)) if shares else 1.0


def _have_one_palette(sides: Iterable[Side]) -> bool:
    """Return whether the files have no palette, or all the same, whose numbers mean something."""
    palettes = {_palette(side.file) for side in sides}
    return len(palettes) == 1


def _palette(file: Path) -> bytes | None:
    with suppress(InputError), opened(file) as image:  # what Pillow cannot open has none
        if image.mode == "P":
            image.load()
            return bytes(image.getpalette("RGB") or b"")
    return None


def _codes(values: np.ndarray, bands: int) -> np.ndarray:
    """Return (H, W) int64: a number for each pixel, whatever the bands."""
    if len(values) < bands:  # grey among colours
        values = np.repeat(values, bands, 0)
    return _code(values.astype(np.int64))


def _code(value: Sequence) -> int | np.ndarray:
    """Return one number for a number or a colour, or for each pixel of as many bands."""
    return value[0] if len(value) == 1 else (value[0] << 32) + (value[1] << 16) + value[2]


def _decoded(code: int, bands: int) -> tuple[int, ...]:
    code = int(code)
    return (code,) if bands == 1 else (code >> 32, code >> 16 & 0xFFFF, code & 0xFFFF)


def _colours_of(
    classes: tuple[tuple[int, ...], ...], sample: Sequence[Side]
) -> tuple[tuple[int, int, int], ...]:
    """Return a colour for each class: its own, its palette's, or one that stands out."""
    own = classes
    palette = _palette(sample[0].file) if len(classes[0]) == 1 else None
    if palette and len({palette[3 * n : 3 * n + 3] for (n,) in classes}) == len(classes):
        own = tuple(tuple(palette[3 * n : 3 * n + 3]) for (n,) in classes)
    if any(len(set(value)) > 1 for value in own):
        return own
    numbers = [value[0] for value in own]  # as numbers, or as grey in three bands
    bright = [number for number in numbers if 64 <= number < VOID]
    greys = set(numbers) <= {0, VOID} or (bright and len(numbers) <= 8)
    if greys and max(numbers) <= 255:  # of their own, as of a mask
        return tuple((number,) * 3 for number in numbers)
    return tuple(class_colour(number) for number in numbers)


def class_colour(number: int) -> tuple[int, int, int]:
    """Return the colour of a class in the Pascal VOC table: the bits of its number, spread."""
    red = green = blue = 0
    for bit in range(8):
        shift = 7 - bit
        red |= (number >> 3 * bit & 1) << shift
        green |= (number >> 3 * bit + 1 & 1) << shift
        blue |= (number >> 3 * bit + 2 & 1) << shift
    return red, green, blue


def used_range(sides: Sequence[Side]) -> tuple[float, float]:
    """Return the lowest and the highest value in a few of the images."""
    values = [side_values(side) for side in evenly_spread(sides, 8)]
    return min(float(v.min()) for v in values), max(float(v.max()) for v in values)


def _find_range(values: list[np.ndarray]) -> tuple[float, float]:
    """Return the range of pictures: that of the type, of the bits in use, or what was found."""
    if all(image.dtype == np.uint8 for image in values):
        return 0.0, 255.0
    low = min(float(image.min()) for image in values)
    high = max(float(image.max()) for image in values)
    if not np.isfinite([low, high]).all():
        raise InputError("the images hold values that are not numbers (NaN or infinite)")
    if values[0].dtype.kind == "f":
        for usual in ((0.0, 1.0), (-1.0, 1.0), (0.0, 255.0)):
            if usual[0] <= low and high <= usual[1]:
                return usual
    elif low >= 0:
        bits = next((bits for bits in DEPTHS if high < 2**bits), None)
        if bits:
            return 0.0, 2.0**bits - 1
    return low, high if high > low else low + 1


# --- writing ------------------------------------------------------------------------------------


def result_suffix(encoding: Encoding) -> str:
    """Return the ending of the files that `write_encoded` writes: .png, or .tif for what PNG lacks.

    Pictures of 8 bits, label maps, and grey ones of whole numbers become PNG.
    """
    grey = encoding.channels == 1 and _is_whole(encoding)
    return ".png" if encoding.is_labels or encoding.is_eight_bit or grey else ".tif"


def write_encoded(path: Path, image: Tensor, encoding: Encoding) -> None:
    """Write (channels, H, W) in [-1, 1] with values in the range of its side's files.

    Classes are written in their colours. An older file is replaced only by a whole new one.
    """
    if encoding.is_labels or encoding.is_eight_bit:
        write_image(path, encoding.as_colours(image))
        return
    low, high = encoding.low, encoding.high
    values = ((image.detach().float().cpu().clamp(-1, 1) + 1) / 2 * (high - low) + low).numpy()
    if _is_whole(encoding):
        values = np.rint(values).astype(np.uint8 if high <= 255 else np.uint16)
    with replacing(path) as temporary:
        if path.suffix == ".png":
            Image.fromarray(values[0]).save(temporary)
        else:
            _write_tiff(temporary, values)


def _is_whole(encoding: Encoding) -> bool:
    """Return whether a range of values is one of unsigned whole numbers of up to 16 bits."""
    return encoding.low.is_integer() and encoding.low >= 0 and 1 < encoding.high <= 65535


def _write_tiff(path: Path, values: np.ndarray) -> None:
    import tifffile

    photometric = "rgb" if len(values) == 3 else "minisblack"
    pixels = values.transpose(1, 2, 0)  # (bands, H, W) -> (H, W, bands)
    tifffile.imwrite(path, pixels, photometric=photometric, planarconfig="contig")
