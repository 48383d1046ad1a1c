"""Paired images as tensors: read them, change both in the same way.

A pair has two sides, A and B. In the facades dataset A is the photo and B the label map, so that
painting a photo from labels is direction "BtoA". The dataset returns (real_a, real_b) as the
networks see them: real_a is what the generator gets, real_b what it should make, whatever the
direction.

Source: Isola et al. 2017, appendix 6.2 "Training details" (random jitter).
"""

import hashlib
import math
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from operator import sub
from pathlib import Path
from typing import TypeVar

import torch
from torch import Tensor
from torch.utils.data import Dataset

from .encoding import Encoding, half_width, side_values
from .images import Source, check_whole, image_size, orientation, read_values
from .layouts import Pair, Side
from .resizing import (
    RESIZES,
    centre_crop,
    default_load_size,
    frame,
    framed_shape,
    height_and_width,
    size_text,
    transforms,
)
from .validation import InputError, check_choice

DIRECTIONS = ("AtoB", "BtoA")
THREADS = 4  # that read files at once; the disk makes them wait

Item, Result = TypeVar("Item"), TypeVar("Result")
Progress = Callable[[int, int], None]  # called with (done, total)


def data_digest(root: Path, parts: Sequence[Sequence[Pair | Side]]) -> str:
    """Return the SHA-256 of the names and sizes of all files in their order, wherever `root` lies.

    Args:
        parts: lists of pairs, or of single images.
    """
    digest = hashlib.sha256()
    for items in parts:
        for item in items:
            for file in item.files:
                name = file.relative_to(root).as_posix()
                digest.update(f"{name} {file.stat().st_size}\n".encode())
        digest.update(b"\n")
    return digest.hexdigest()


@dataclass(frozen=True)
class Jitter:
    """The random numbers of one augmentation.

    Args:
        top, left: the corner of the crop in the enlarged image, in pixels.
        flipped: whether the crop is mirrored.
    """

    top: int
    left: int
    flipped: bool


def draw_jitter(load_size: tuple[int, int], size: tuple[int, int], flip: bool = True) -> Jitter:
    """Draw where to crop `size` out of `load_size`, and whether to flip, half of the time.

    Both sizes are (height, width). The numbers come from torch's generator, so one
    `torch.manual_seed` governs them.
    """
    top = int(torch.randint(load_size[0] - size[0] + 1, ()))
    left = int(torch.randint(load_size[1] - size[1] + 1, ()))
    flipped = flip and bool(torch.rand(()) < 0.5)
    return Jitter(top, left, flipped)


def apply_jitter(image: Tensor, jitter: Jitter, size: tuple[int, int]) -> Tensor:
    """Crop (C, H, W) to (C, *size) at the jitter's corner.

    If the jitter is flipped, mirror the crop left to right.
    """
    image = transforms.crop(image, jitter.top, jitter.left, *size)
    return transforms.horizontal_flip(image) if jitter.flipped else image


class _Images(Dataset):
    """What paired and unpaired images share: how they are read, sized, jittered and kept."""

    def __init__(
        self,
        direction: str,
        size: int | tuple[int, int] | None,
        load_size: int | tuple[int, int] | None,
        jitter: bool,
        flip: bool,
        channels: tuple[int, int],
        encodings: tuple[Encoding, Encoding] | None,
        resize: str,
    ):
        check_choice("direction", direction, DIRECTIONS)
        check_choice("resize", resize, RESIZES)
        self.direction, self.jitter, self.flip, self.mode = direction, jitter, flip, resize
        if encodings:
            self.encodings = encodings if direction == "AtoB" else encodings[::-1]
        else:
            self.encodings = tuple(Encoding(count) for count in channels)
        self.size = height_and_width(size)
        if resize == "none" or not jitter:
            load_size = None if self.size is None else self.size
        self.load_size = _load_size(self.size, load_size)
        self.shapes: list = []  # of the images on disk, by item
        self._cache: list | None = None

    @property
    def in_memory(self) -> bool:
        return self._cache is not None

    @property
    def needed_bytes(self) -> int:
        """How much memory the images take, as `keep` would hold them."""
        return sum(
            math.prod(self._framed(shape)) * encoding.bytes_per_pixel
            for item in self.shapes
            for shape, encoding in zip(item, self.encodings, strict=True)
            if shape
        )

    def _framed(self, shape: tuple[int, int]) -> tuple[int, int]:
        return framed_shape(shape, self.load_size, self.mode) if self.load_size else shape

    def _frame(self, image: Tensor, encoding: Encoding) -> Tensor:
        if self.load_size is None:
            return image
        return frame(image, self.load_size, self.mode, nearest=encoding.is_labels)

    def _check_shape(self, file: Path, shape: tuple[int, int], multiple_of: int) -> None:
        if self.mode == "none" and self.size and min(map(sub, shape, self.size)) < 0:
            raise InputError(
                f"{file} is {size_text(shape)}, smaller than the {size_text(self.size)} to learn "
                "at; give a smaller image size, or another way to resize"
            )
        _check_multiple(file, self.size or shape, multiple_of)


class PairedDataset(_Images):
    """Pairs as (real_a, real_b), the generator's input and target.

    Both are float32 tensors (channels, H, W) in [-1, 1]. With `jitter` both images are enlarged to
    `load_size`, cropped to `size` at one random place and mirrored half of the time, with the same
    random numbers for both. Without it, both are resized to `size`.

    Args:
        pairs: what `find_pairs` returns.
        direction: "AtoB" or "BtoA": which side is the input.
        size: side of the square, (height, width), or None to keep each image's own size (then
            jitter only mirrors).
        load_size: size before the crop; by default 286/256 of `size`, as in the paper.
        flip: False keeps left and right, for pictures where it matters (maps, text).
        in_channels, out_channels: of input and target, if `encodings` does not say it: 1 (grey), 3
            (RGB) or as many bands as the files have.
        multiple_of: reject images whose final size is no multiple of it: 2^depth of the U-Net.
        in_memory: decode and resize each file once, and keep it as uint8.
        device: where pairs kept in memory lie, and are cropped and mirrored; random numbers come
            from the CPU all the same.
        encodings: what the values of sides A and B mean; by default pictures of 8 bits.
        resize: one of `resizing.RESIZES`, how an image gets to `load_size`.
        progress: called with (done, total) as headers are read.

    Raises:
        InputError: if an option is out of range, a file is unreadable, the images of a pair differ
            in size, or a size is one that the network cannot take.
    """

    def __init__(
        self,
        pairs: list[Pair],
        *,
        direction: str = "AtoB",
        size: int | tuple[int, int] | None = 256,
        load_size: int | tuple[int, int] | None = None,
        jitter: bool = True,
        flip: bool = True,
        in_channels: int = 3,
        out_channels: int = 3,
        multiple_of: int = 1,
        in_memory: bool = False,
        device: torch.device | str = "cpu",
        encodings: tuple[Encoding, Encoding] | None = None,
        resize: str = "stretch",
        progress: Progress | None = None,
    ):
        channels = in_channels, out_channels
        super().__init__(direction, size, load_size, jitter, flip, channels, encodings, resize)
        self.pairs = pairs
        shapes = in_parallel(pair_size, pairs, progress)
        for pair, shape in zip(pairs, shapes, strict=True):
            self._check_shape(pair.a, shape, multiple_of)
        self.shapes = [(shape, shape) for shape in shapes]
        if in_memory:
            self.keep(device)

    def __len__(self) -> int:
        return len(self.pairs)

    def __getitem__(self, index: int) -> tuple[Tensor, Tensor]:
        return self._finish(self._cache[index] if self._cache else self._read(self.pairs[index]))

    def draw(self, pair: Pair) -> tuple[Tensor, Tensor]:
        """Return a pair that need not be one of `pairs`, read now."""
        return self._finish(self._read(pair))

    def _finish(self, images: tuple[Tensor, Tensor]) -> tuple[Tensor, Tensor]:
        """Return input and target, cropped and mirrored alike, as the networks see them."""
        before = tuple(images[0].shape[1:])
        after = self.size or before
        if self.jitter:
            jitter = draw_jitter(before, after, self.flip)  # one draw for both images
            images = [apply_jitter(image, jitter, after) for image in images]
        elif after != before:
            images = [centre_crop(image, after) for image in images]
        real_a, real_b = map(Encoding.encode, self.encodings, images)
        return real_a, real_b

    def keep(self, device: torch.device | str, progress: Progress | None = None) -> None:
        """Decode and resize each file once, and keep the pairs in a device's memory."""

        def read(pair: Pair) -> tuple[Tensor, Tensor]:
            return tuple(image.to(device) for image in self._read(pair))

        self._cache = in_parallel(read, self.pairs, progress)

    def check_whole(self, progress: Progress | None = None) -> None:
        """Check that no file is cut short, before a long training meets it.

        Raises:
            InputError: naming the first that is.
        """
        files = [file for pair in self.pairs for file in pair.files]
        in_parallel(check_whole, files, progress)

    def _read(self, pair: Pair) -> tuple[Tensor, Tensor]:
        """Return input and target at the size from which the crop is taken."""
        images = read_sides(pair.a, pair.b, pair.page, self.direction, self.encodings)
        return tuple(map(self._frame, images, self.encodings))


def _check_multiple(file: Path, size: tuple[int, int], multiple_of: int) -> None:
    """Check that a network that takes multiples of a number can take images of this size.

    Raises:
        InputError: if it cannot.
    """
    height, width = size
    if height % multiple_of or width % multiple_of:
        raise InputError(
            f"{file}: its size would be {size_text(size)} (width x height), but the network takes "
            f"multiples of {multiple_of}; choose such a size, or a generator with a smaller depth"
        )


class UnpairedDataset(_Images):
    """Images of two domains as (real_a, real_b) that belong to no pair.

    Both are float32 tensors (channels, H, W) in [-1, 1]. An epoch has every image of the larger
    domain once (of the input's, if both are equal). With `jitter` its partner is drawn at random,
    and both images are enlarged, cropped and mirrored, each with its own random numbers. Without
    it, item i is image i of both domains; the smaller one starts over at its end.

    Args:
        sides_a, sides_b: what `find_unpaired` returns.
        direction: "AtoB" or "BtoA": which domain is the input's.
        size, load_size, flip, in_channels, out_channels, multiple_of, in_memory, device, encodings,
            resize, progress: as in `PairedDataset`; here a size is needed.

    Raises:
        InputError: as `PairedDataset`, or if a domain has no image.
    """

    def __init__(
        self,
        sides_a: list[Side],
        sides_b: list[Side],
        *,
        direction: str = "AtoB",
        size: int | tuple[int, int] = 256,
        load_size: int | tuple[int, int] | None = None,
        jitter: bool = True,
        flip: bool = True,
        in_channels: int = 3,
        out_channels: int = 3,
        multiple_of: int = 1,
        in_memory: bool = False,
        device: torch.device | str = "cpu",
        encodings: tuple[Encoding, Encoding] | None = None,
        resize: str = "stretch",
        progress: Progress | None = None,
    ):
        channels = in_channels, out_channels
        super().__init__(direction, size, load_size, jitter, flip, channels, encodings, resize)
        self.domains = (sides_a, sides_b) if direction == "AtoB" else (sides_b, sides_a)
        if not all(self.domains):
            raise InputError("expected images of both domains; one of them has none")
        shapes = in_parallel(side_size, [*self.domains[0], *self.domains[1]], progress)
        for side, shape in zip([*self.domains[0], *self.domains[1]], shapes, strict=True):
            self._check_shape(side.file, shape, multiple_of)
        first = len(self.domains[0])
        self.shapes = [(shape, None) for shape in shapes[:first]]
        self.shapes += [(None, shape) for shape in shapes[first:]]
        if in_memory:
            self.keep(device)

    def __len__(self) -> int:
        return max(map(len, self.domains))

    def __getitem__(self, index: int) -> tuple[Tensor, Tensor]:
        places = [index, index]
        if self.jitter:
            counts = [len(domain) for domain in self.domains]
            drawn = 1 if counts[1] <= counts[0] else 0
            places[drawn] = int(torch.randint(counts[drawn], ()))
        return self._image(0, places[0]), self._image(1, places[1])

    def keep(self, device: torch.device | str, progress: Progress | None = None) -> None:
        """Decode and resize each file once, and keep the images in a device's memory."""
        places = [(d, i) for d, domain in enumerate(self.domains) for i in range(len(domain))]
        images = in_parallel(lambda place: self._read(*place).to(device), places, progress)
        first = len(self.domains[0])
        self._cache = [images[:first], images[first:]]

    def check_whole(self, progress: Progress | None = None) -> None:
        """Check that no file is cut short, as `PairedDataset.check_whole`."""
        files = dict.fromkeys(side.file for domain in self.domains for side in domain)
        in_parallel(check_whole, list(files), progress)

    def _image(self, domain: int, index: int) -> Tensor:
        index %= len(self.domains[domain])
        image = self._cache[domain][index] if self._cache else self._read(domain, index)
        before = tuple(image.shape[1:])
        if self.jitter:
            image = apply_jitter(image, draw_jitter(before, self.size, self.flip), self.size)
        elif before != self.size:
            image = centre_crop(image, self.size)
        return self.encodings[domain].encode(image)

    def _read(self, domain: int, index: int) -> Tensor:
        """Return an image at the size from which the crop is taken."""
        side, encoding = self.domains[domain][index], self.encodings[domain]
        values = side_values(side, encoding.reads_numbers)
        return self._frame(encoding.convert(values, side.file), encoding)


def in_parallel(
    function: Callable[[Item], Result], items: Sequence[Item], progress: Progress | None = None
) -> list[Result]:
    """Return the results of a function for all items, in their order; files are read in threads.

    An error, or an interruption, leaves what has not begun undone.
    """
    results = []
    pool = ThreadPoolExecutor(THREADS)
    try:
        for result in pool.map(function, items):
            results.append(result)
            if progress:
                progress(len(results), len(items))
    finally:
        pool.shutdown(cancel_futures=True)
    return results


def read_side(side: Side) -> Tensor:
    """Read one image, or one half of a file with two, as uint8 (3, H, W).

    Raises:
        InputError: if the file is unreadable, or should hold two images and has an odd width.
    """
    return Encoding().convert(side_values(side), side.file)


def read_pair(
    pair: Pair, direction: str, in_channels: int = 3, out_channels: int = 3
) -> tuple[Tensor, Tensor]:
    """Read one pair as (input, target), uint8 tensors (channels, H, W) of equal height and width.

    Raises:
        InputError: if a file is unreadable, or the two images differ in size, also as halves of one
            file.
    """
    encodings = Encoding(in_channels), Encoding(out_channels)
    return read_sides(pair.a, pair.b, pair.page, direction, encodings)


def read_sides(
    file_a: Source,
    file_b: Source | None,
    page: int,
    direction: str,
    encodings: tuple[Encoding, Encoding],
) -> tuple[Tensor, Tensor]:
    """Read a pair from files, or from bytes in memory, as (input, target) of equal size.

    Args:
        file_a, file_b: of sides A and B; without `file_b` the first holds both, side by side.
        page: which image of files with several.
        encodings: of input and target; what they `convert` to is returned.

    Raises:
        InputError: as `read_pair`.
    """
    flags = [encoding.reads_numbers for encoding in encodings]
    number_a, number_b = flags if direction == "AtoB" else flags[::-1]
    image_a = read_values(file_a, page, number_a)
    if file_b is None:
        both = image_a if number_b == number_a else read_values(file_a, page, number_b)
        half = half_width(file_a, image_a.shape[2])
        image_a, image_b = image_a[:, :, :half], both[:, :, half:]
    else:
        image_b = read_values(file_b, page, number_b)
        _check_equal_size(file_a, file_b, image_a.shape[1:], image_b.shape[1:])
    sources = (file_a, file_b or file_a)
    images = (image_a, image_b)
    if direction == "BtoA":
        images, sources = images[::-1], sources[::-1]
    real_a, real_b = map(Encoding.convert, encodings, images, sources)
    return real_a, real_b


def pair_size(pair: Pair) -> tuple[int, int]:
    """Return (height, width) of one image of a pair, from the files' headers.

    Raises:
        InputError: if a file is unreadable, or the two images differ in size, also as halves of one
            file.
    """
    height, width = image_size(pair.a)
    if pair.b is None:
        return height, half_width(pair.a, width)
    _check_equal_size(pair.a, pair.b, (height, width), image_size(pair.b))
    return height, width


def side_size(side: Side) -> tuple[int, int]:
    """Return (height, width) of one image, or of one half of a file, from the file's header.

    Raises:
        InputError: if the file is unreadable, or should hold two images and has an odd width.
    """
    height, width = image_size(side.file)
    return height, half_width(side.file, width) if side.half else width


def _check_equal_size(
    file_a: Source, file_b: Source, size_a: tuple[int, int], size_b: tuple[int, int]
) -> None:
    if tuple(size_a) == tuple(size_b):
        return
    remedy = "resize one of them"
    if tuple(size_a) == tuple(size_b)[::-1]:
        for file in (file_a, file_b):
            if isinstance(file, Path) and (turn := orientation(file)) > 1:
                remedy = (
                    f"the EXIF data of {file.name} turn it (orientation {turn}); save it upright, "
                    "or without EXIF data if its partner was drawn for the picture as stored"
                )
    raise InputError(
        f"{file_a} is {size_text(size_a)} and {file_b} is {size_text(size_b)}: the images of a "
        f"pair must have one size (here width x height); {remedy}"
    )


def _load_size(
    size: tuple[int, int] | None, load_size: int | tuple[int, int] | None
) -> tuple[int, int] | None:
    if size is None:
        if load_size is not None:
            raise InputError(
                f"load_size needs a size to crop to; got size=None, load_size={load_size}: "
                "give both"
            )
        return None
    if load_size is None:
        return default_load_size(size[0]), default_load_size(size[1])
    load_height, load_width = height_and_width(load_size)
    if load_height < size[0] or load_width < size[1]:
        raise InputError(
            f"load_size must be at least size, from which the crop is taken; "
            f"got {load_height}x{load_width} for {size[0]}x{size[1]}"
        )
    return load_height, load_width
