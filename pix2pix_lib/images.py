"""Reading and writing images; the one place where value ranges change.

On disk and in caches an image is uint8, 0 to 255. Everywhere else it is float32 in [-1, 1], as the
generator's tanh.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import torch
from PIL import Image, ImageOps, UnidentifiedImageError
from torch import Tensor

from .files import replacing
from .validation import InputError

IMAGE_SUFFIXES = (".bmp", ".jpeg", ".jpg", ".png", ".tif", ".tiff", ".webp")
_EXIF_ORIENTATION, _TURNED_BY_90 = 0x0112, (5, 6, 7, 8)
_SIXTEEN_BIT = ("I;16", "I;16L", "I;16B", "I;16N")
_EIGHT_BIT = (
    "1", "L", "LA", "La", "P", "PA", "RGB", "RGBA", "RGBa", "RGBX", "CMYK", "YCbCr", "HSV",
)  # fmt: skip


def read_image(path: Path, channels: int = 3) -> Tensor:
    """Read an image file as (channels, H, W) uint8, upright, with 1 (grey) or 3 (RGB) channels.

    Palettes are looked up, transparent pixels laid on white, 16-bit values scaled to 0..255, EXIF
    rotations applied.

    Raises:
        FileNotFoundError: if there is no such file.
        InputError: if it cannot be read as an image, holds values without a known range, or
            `channels` is not 1 or 3.
    """
    if channels not in (1, 3):
        raise InputError(f"an image has 1 (grey) or 3 (RGB) channels; got {channels}")
    with _opened(path) as file:
        image = ImageOps.exif_transpose(file)
    image = _lay_on_white(_to_eight_bits(image, path)).convert("RGB")
    # (H, W, 3) -> (3, H, W)
    pixels = torch.from_numpy(np.array(image)).permute(2, 0, 1).contiguous()
    return to_grey(pixels) if channels == 1 else pixels


def image_size(path: Path) -> tuple[int, int]:
    """Return (height, width) of the upright image in a file, from its header alone.

    Raises:
        FileNotFoundError: if there is no such file.
        InputError: if it cannot be read as an image.
    """
    with _opened(path) as file:
        width, height = file.size
        exif = Image.Image.getexif(file)  # the PNG reader's own would decode all pixels
        turned = exif.get(_EXIF_ORIENTATION) in _TURNED_BY_90
    return (width, height) if turned else (height, width)


def to_grey(images: Tensor) -> Tensor:
    """Convert RGB to grey: (..., 3, H, W) uint8 to (..., 1, H, W) uint8.

    The grey value is 0.299 R + 0.587 G + 0.114 B, as in Rec. 601.

    Raises:
        InputError: if there are not three channels.
    """
    if images.dim() < 3 or images.shape[-3] != 3:
        raise InputError(f"expected RGB images of shape (..., 3, H, W); got {tuple(images.shape)}")
    red, green, blue = images.int().unbind(-3)
    # The weights times 65536, rounded.
    grey = (19595 * red + 38470 * green + 7471 * blue + 32768) >> 16
    return grey.to(torch.uint8).unsqueeze(-3)


def to_float(images: Tensor) -> Tensor:
    """Convert uint8 images from 0..255 to float32 in [-1, 1], keeping the shape.

    Raises:
        TypeError: if `images` is not uint8.
    """
    if images.dtype != torch.uint8:
        raise TypeError(f"expected uint8 images with values 0..255; got {images.dtype}")
    return images.float() / 127.5 - 1


def to_uint8(images: Tensor) -> Tensor:
    """Convert images from [-1, 1] to uint8 in 0..255, keeping the shape.

    Values outside the range are clipped; values between levels are rounded.

    Raises:
        TypeError: if `images` is not floating point.
    """
    if not images.is_floating_point():
        raise TypeError(
            f"expected floating-point images with values in [-1, 1]; got {images.dtype}"
        )
    return ((images.detach().float() + 1) * 127.5).round().clamp(0, 255).to(torch.uint8)


def to_pil(image: Tensor) -> Image.Image:
    """Convert one (1 or 3, H, W) image in [-1, 1] to a Pillow image.

    Raises:
        InputError: if the shape is another one.
    """
    if image.dim() != 3 or image.shape[0] not in (1, 3):
        raise InputError(f"expected one image of shape (1 or 3, H, W); got {tuple(image.shape)}")
    pixels = to_uint8(image).cpu()
    array = pixels[0] if len(pixels) == 1 else pixels.permute(1, 2, 0).contiguous()
    return Image.fromarray(array.numpy())


def write_image(path: Path, image: Tensor) -> None:
    """Write one (1 or 3, H, W) image in [-1, 1] to a file.

    An older file is replaced only by a whole new one.
    """
    with replacing(path) as temporary:
        to_pil(image).save(temporary)


def _to_eight_bits(image: Image.Image, path: Path) -> Image.Image:
    """Scale 16-bit grey to 8 bits.

    Pillow's own conversion would clip every value above 255 to white.
    """
    if image.mode in _EIGHT_BIT:
        return image
    if image.mode not in _SIXTEEN_BIT:
        raise InputError(
            f"{path}: pixels of mode {image.mode} have no known range; "
            "save the image with 8 or 16 bits"
        )
    values = np.asarray(image).astype(np.int64)
    return Image.fromarray(((values * 255 + 32767) // 65535).astype(np.uint8))


def _lay_on_white(image: Image.Image) -> Image.Image:
    """Replace transparency by a white background.

    The colours under transparent pixels are arbitrary.
    """
    if not image.has_transparency_data:
        return image
    image = image.convert("RGBA")
    white = Image.new("RGBA", image.size, "white")
    return Image.alpha_composite(white, image)


@contextmanager
def _opened(path: Path) -> Iterator[Image.Image]:
    """Open an image file.

    Whatever Pillow raises for a broken one becomes an error of one line.

    Raises:
        FileNotFoundError: if there is no such file.
        InputError: if it cannot be read as an image.
    """
    try:
        with Image.open(path) as file:
            yield file
    except FileNotFoundError as error:
        raise FileNotFoundError(
            f"{path}: no such file; check the path, or search the folder again"
        ) from error
    except Exception as error:  # damaged files make Pillow raise almost anything, not only OSError
        unknown = isinstance(error, UnidentifiedImageError)  # its text would only repeat the path
        reason = (
            "unknown format" if unknown else " ".join(str(error).split()) or type(error).__name__
        )
        raise InputError(
            f"{path}: not a readable image ({reason}); replace the file or remove it"
        ) from error
