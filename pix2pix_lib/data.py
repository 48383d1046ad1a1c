"""Paired images as tensors: read them, change both in the same way.

A pair has two sides, A and B. In the facades dataset A is the photo and B the label map, so that
painting a photo from labels is direction "BtoA". The dataset returns (real_a, real_b) as the
networks see them: real_a is what the generator gets, real_b what it should make, whatever the
direction.

Source: Isola et al. 2017, appendix 6.2 "Training details" (random jitter).
"""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor
from torch.utils.data import Dataset

from .images import image_size, read_image, to_float, to_grey
from .layouts import Pair, Side
from .validation import InputError, check_choice

DIRECTIONS = ("AtoB", "BtoA")


class _Transforms:
    """torchvision's functional transforms, imported at first use.

    That takes seconds, and `--help` needs none.
    """

    def __getattr__(self, name: str):
        from torchvision.transforms.v2 import functional

        return getattr(functional, name)


transforms = _Transforms()


def data_identity(root: Path, train: Sequence[list], val: Sequence[list]) -> dict[str, str]:
    """Return what identifies the images of a run, wherever their folder lies.

    Args:
        train, val: lists of `Pair` or `Side`: one of pairs, or one for each domain.

    Returns:
        `train` and `val`, how many there are in each list, and `digest`, the SHA-256 of the names
        and sizes of all files in their order.
    """
    digest = hashlib.sha256()
    for items in (*train, *val):
        for item in items:
            for file in item.files:
                name = file.relative_to(root).as_posix()
                digest.update(f"{name} {file.stat().st_size}\n".encode())
        digest.update(b"\n")
    counts = {"train": train, "val": val}
    return {
        **{
            split: " and ".join(str(len(part)) for part in parts) for split, parts in counts.items()
        },
        "digest": digest.hexdigest(),
    }


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


class PairedDataset(Dataset):
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
        in_channels, out_channels: 1 (grey) or 3 (RGB) for input and target.
        multiple_of: reject images whose final size is no multiple of it: 2^depth of the U-Net.
        in_memory: decode and resize each file once, and keep it as uint8.
        device: where pairs kept in memory lie, and are cropped and mirrored; random numbers come
            from the CPU all the same.

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
    ):
        check_choice("direction", direction, DIRECTIONS)
        self.pairs, self.direction, self.jitter, self.flip = pairs, direction, jitter, flip
        _check_channels(in_channels, out_channels)
        self.channels = (in_channels, out_channels)
        self.size = _height_and_width(size)
        self.load_size = _load_size(self.size, load_size) if jitter else self.size
        for pair in pairs:
            self._check_size(pair, multiple_of)
        self.in_memory, self._cache = in_memory, None
        if in_memory:
            self._cache = [tuple(side.to(device) for side in self._read(pair)) for pair in pairs]

    def __len__(self) -> int:
        return len(self.pairs)

    def __getitem__(self, index: int) -> tuple[Tensor, Tensor]:
        real_a, real_b = self._cache[index] if self._cache else self._read(self.pairs[index])
        if self.jitter:
            before = tuple(real_a.shape[1:])
            after = self.size or before
            jitter = draw_jitter(before, after, self.flip)  # one draw for both images
            real_a, real_b = (
                apply_jitter(real_a, jitter, after), apply_jitter(real_b, jitter, after)
            )  # fmt: skip
        return to_float(real_a), to_float(real_b)

    def _read(self, pair: Pair) -> tuple[Tensor, Tensor]:
        """Return input and target as uint8 at the size from which the crop is taken."""
        real_a, real_b = read_pair(pair, self.direction, *self.channels)
        if self.load_size is None:
            return real_a, real_b
        return resize(real_a, self.load_size), resize(real_b, self.load_size)

    def _check_size(self, pair: Pair, multiple_of: int) -> None:
        height, width = self.size or pair_size(pair)
        if self.size:
            pair_size(pair)  # finds unreadable files and unequal halves before the training starts
        _check_multiple(pair.a, (height, width), multiple_of)


def _check_channels(in_channels: int, out_channels: int) -> None:
    for name, channels in (("in_channels", in_channels), ("out_channels", out_channels)):
        if channels not in (1, 3):
            raise InputError(f"{name} must be 1 (grey) or 3 (RGB); got {channels}")


def _check_multiple(file: Path, size: tuple[int, int], multiple_of: int) -> None:
    """Check that a network that takes multiples of a number can take images of this size.

    Raises:
        InputError: if it cannot.
    """
    height, width = size
    if height % multiple_of or width % multiple_of:
        raise InputError(
            f"{file}: its size would be {height}x{width}, but the network takes multiples of "
            f"{multiple_of}; choose such a size, or a generator with a smaller depth"
        )


class UnpairedDataset(Dataset):
    """Images of two domains as (real_a, real_b) that belong to no pair.

    Both are float32 tensors (channels, H, W) in [-1, 1]. An epoch has every image of the larger
    domain once (of the input's, if both are equal). With `jitter` its partner is drawn at random,
    and both images are enlarged, cropped and mirrored, each with its own random numbers. Without
    it, item i is image i of both domains; the smaller one starts over at its end.

    Args:
        sides_a, sides_b: what `find_unpaired` returns.
        direction: "AtoB" or "BtoA": which domain is the input's.
        size, load_size, flip, in_channels, out_channels, multiple_of, in_memory, device: as in
            `PairedDataset`; here a size is needed.

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
    ):
        check_choice("direction", direction, DIRECTIONS)
        _check_channels(in_channels, out_channels)
        self.domains = (sides_a, sides_b) if direction == "AtoB" else (sides_b, sides_a)
        if not all(self.domains):
            raise InputError("expected images of both domains; one of them has none")
        self.channels, self.jitter, self.flip = (in_channels, out_channels), jitter, flip
        self.size = _height_and_width(size)
        self.load_size = _load_size(self.size, load_size) if jitter else self.size
        for side in [*sides_a, *sides_b]:
            image_size(side.file)  # finds unreadable files before the training starts
            _check_multiple(side.file, self.size, multiple_of)
        self.in_memory, self._cache = in_memory, None
        if in_memory:
            self._cache = [
                [self._read(domain, index).to(device) for index in range(len(self.domains[domain]))]
                for domain in (0, 1)
            ]

    def __len__(self) -> int:
        return max(map(len, self.domains))

    def __getitem__(self, index: int) -> tuple[Tensor, Tensor]:
        places = [index, index]
        if self.jitter:
            counts = [len(domain) for domain in self.domains]
            drawn = 1 if counts[1] <= counts[0] else 0
            places[drawn] = int(torch.randint(counts[drawn], ()))
        return self._image(0, places[0]), self._image(1, places[1])

    def _image(self, domain: int, index: int) -> Tensor:
        index %= len(self.domains[domain])
        image = self._cache[domain][index] if self._cache else self._read(domain, index)
        if self.jitter:
            image = apply_jitter(
                image, draw_jitter(self.load_size, self.size, self.flip), self.size
            )
        return to_float(image)

    def _read(self, domain: int, index: int) -> Tensor:
        """Return an image as uint8 at the size from which the crop is taken."""
        image = read_side(self.domains[domain][index])
        image = to_grey(image) if self.channels[domain] == 1 else image
        return resize(image, self.load_size)


def read_side(side: Side) -> Tensor:
    """Read one image, or one half of a file with two, as uint8 (3, H, W).

    Raises:
        InputError: if the file is unreadable, or should hold two images and has an odd width.
    """
    image = read_image(side.file)
    if not side.half:
        return image
    half = _half_width(Pair(side.file), image.shape[2])
    return image[:, :, :half] if side.half == "left" else image[:, :, half:]


def read_pair(
    pair: Pair, direction: str, in_channels: int = 3, out_channels: int = 3
) -> tuple[Tensor, Tensor]:
    """Read one pair as (input, target), uint8 tensors (channels, H, W) of equal height and width.

    Raises:
        InputError: if a file is unreadable, or the two images differ in size, also as halves of one
            file.
    """
    image_a = read_image(pair.a)
    if pair.b is None:
        half = _half_width(pair, image_a.shape[2])
        image_a, image_b = image_a[:, :, :half], image_a[:, :, half:]
    else:
        image_b = read_image(pair.b)
        _check_equal_size(pair, tuple(image_a.shape[1:]), tuple(image_b.shape[1:]))
    real_a, real_b = (image_a, image_b) if direction == "AtoB" else (image_b, image_a)
    return (
        to_grey(real_a) if in_channels == 1 else real_a,
        to_grey(real_b) if out_channels == 1 else real_b,
    )


def pair_size(pair: Pair) -> tuple[int, int]:
    """Return (height, width) of one image of a pair, from the files' headers.

    Raises:
        InputError: if a file is unreadable, or the two images differ in size, also as halves of one
            file.
    """
    height, width = image_size(pair.a)
    if pair.b is None:
        return height, _half_width(pair, width)
    _check_equal_size(pair, (height, width), image_size(pair.b))
    return height, width


def _half_width(pair: Pair, width: int) -> int:
    if width % 2:
        raise InputError(
            f"{pair.a}: expected two images of equal width side by side, but the file is {width} "
            "pixels wide; paste the pair again, or choose another layout (folders, cmp)"
        )
    return width // 2


def _check_equal_size(pair: Pair, size_a: tuple[int, int], size_b: tuple[int, int]) -> None:
    if size_a != size_b:
        raise InputError(
            f"{pair.a} is {size_a[0]}x{size_a[1]} and {pair.b} is {size_b[0]}x{size_b[1]}: the "
            "images of a pair must have one size; resize one of them"
        )


def resize(image: Tensor, size: tuple[int, int]) -> Tensor:
    """Resize (C, H, W) uint8 to (C, *size), smoothly: bicubic with antialiasing.

    This happens before any change of range.
    """
    from torchvision.transforms.v2 import InterpolationMode

    return transforms.resize(
        image, list(size), interpolation=InterpolationMode.BICUBIC, antialias=True
    )


def _height_and_width(size: int | tuple[int, int] | None) -> tuple[int, int] | None:
    if size is None:
        return None
    height, width = (size, size) if isinstance(size, int) else size
    if height < 1 or width < 1:
        raise InputError(f"an image size must be positive; got {height}x{width}")
    return height, width


def default_load_size(size: int) -> int:
    """Return the side from which a crop of this side is taken, in pixels: 286 for 256."""
    return round(size * 286 / 256)


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
    load_height, load_width = _height_and_width(load_size)
    if load_height < size[0] or load_width < size[1]:
        raise InputError(
            f"load_size must be at least size, from which the crop is taken; "
            f"got {load_height}x{load_width} for {size[0]}x{size[1]}"
        )
    return load_height, load_width
