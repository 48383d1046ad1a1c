"""How an image gets the size that a network learns at, and the scale that follows from it."""

from torch import Tensor

from .validation import InputError, check_choice

RESIZES = ("stretch", "crop", "fit", "scale-width", "none")


class _Transforms:
    """torchvision's functional transforms, imported at first use.

    That takes seconds, and `--help` needs none.
    """

    def __getattr__(self, name: str):
        from torchvision.transforms.v2 import functional

        return getattr(functional, name)


transforms = _Transforms()


def scaled_shape(shape: tuple[int, int], size: tuple[int, int], mode: str) -> tuple[int, int]:
    """Return (height, width) of an image after scaling, before anything is cropped or padded.

    Args:
        shape: (height, width) of the image.
        size: (height, width) to learn at.
        mode: one of `RESIZES`. stretch: exactly `size`, shapes may change. crop: `size` is covered,
            fit: the image fits into it, scale-width: it gets its width; all three keep shapes.
            none: nothing is scaled.
    """
    check_choice("resize", mode, RESIZES)
    if mode == "none":
        return shape
    if mode == "stretch":
        return size
    down, across = size[0] / shape[0], size[1] / shape[1]
    scale = {"crop": max(down, across), "fit": min(down, across), "scale-width": across}[mode]
    return max(1, round(shape[0] * scale)), max(1, round(shape[1] * scale))


def framed_shape(shape: tuple[int, int], size: tuple[int, int], mode: str) -> tuple[int, int]:
    """Return (height, width) of what `frame` makes of an image."""
    height, width = scaled_shape(shape, size, mode)
    return max(height, size[0]), max(width, size[1])


def frame(image: Tensor, size: tuple[int, int], mode: str, nearest: bool = False) -> Tensor:
    """Scale (C, H, W), and repeat its edges where it is then smaller than `size`.

    The image stands in the middle of what is added. A crop of `size` can be taken from the result.
    """
    image = rescale(image, scaled_shape(tuple(image.shape[1:]), size, mode), nearest)
    down, across = (max(0, wanted - side) for wanted, side in zip(size, image.shape[1:]))
    if not (down or across):
        return image
    edges = [across // 2, down // 2, across - across // 2, down - down // 2]
    return transforms.pad(image, edges, padding_mode="edge")


def centre_crop(image: Tensor, size: tuple[int, int]) -> Tensor:
    """Crop the middle of (C, H, W) to (C, *size)."""
    top, left = ((side - wanted) // 2 for side, wanted in zip(image.shape[1:], size))
    return transforms.crop(image, top, left, *size)


def resize(image: Tensor, size: tuple[int, int], nearest: bool = False) -> Tensor:
    """Resize (C, H, W) to (C, *size), smoothly: bicubic with antialiasing; or to `nearest` pixels.

    8-bit values are resized before any change of range. Label maps need the nearest pixels, as
    between two classes there is nothing.
    """
    from torchvision.transforms.v2 import InterpolationMode

    if tuple(image.shape[1:]) == tuple(size):
        return image
    modes = InterpolationMode
    return transforms.resize(
        image,
        list(size),
        interpolation=modes.NEAREST_EXACT if nearest else modes.BICUBIC,
        antialias=not nearest,
    )


def rescale(image: Tensor, size: tuple[int, int], nearest: bool = False) -> Tensor:
    """Resize (C, H, W) as `resize` does, and keep floats in [-1, 1], where bicubic overshoots."""
    resized = resize(image, size, nearest)
    return resized.clamp(-1, 1) if resized.is_floating_point() else resized


def height_and_width(size: int | tuple[int, int] | None) -> tuple[int, int] | None:
    """Return (height, width) of a size, which may be the side of a square; None stays None.

    Raises:
        InputError: if a side is not positive.
    """
    if size is None:
        return None
    height, width = (size, size) if isinstance(size, int) else size
    if height < 1 or width < 1:
        raise InputError(f"an image size must be positive; got {height}x{width}")
    return height, width


def default_load_size(size: int) -> int:
    """Return the side from which a crop of this side is taken, in pixels: 286 for 256."""
    return round(size * 286 / 256)


def parse_size(text: str) -> int | tuple[int, int]:
    """Return the size that a person writes as 256, or as WIDTHxHEIGHT; (height, width) of those.

    Raises:
        ValueError: if it is neither.
    """
    sides = [int(side) for side in text.lower().split("x")]
    if len(sides) > 2:
        raise ValueError(text)
    return sides[0] if len(sides) == 1 else (sides[1], sides[0])


def size_text(size: int | tuple[int, int]) -> str:
    """Return a size as a person writes it on the command line."""
    return str(size) if isinstance(size, int) else f"{size[1]}x{size[0]}"
