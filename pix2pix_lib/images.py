"""Reading and writing images; the one place where value ranges change.

On disk an image has 8 bits a value, or 16, or floats, and 1 to N bands. `read_image` returns what
most images are, uint8 from 0 to 255; `read_values` returns the values as they are, and `encoding`
says what they mean. Networks see float32 in [-1, 1], as the generator's tanh.
"""

import io
import struct
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import BinaryIO, TypeVar

import numpy as np
import torch
from PIL import Image, UnidentifiedImageError
from torch import Tensor

from .files import replacing
from .validation import InputError

# What Pillow reads, and arrays of numpy.
IMAGE_SUFFIXES = (
    ".avif", ".bmp", ".dib", ".gif", ".j2k", ".jfif", ".jp2", ".jpe", ".jpeg", ".jpg", ".mpo",
    ".npy", ".pbm", ".pcx", ".pgm", ".png", ".pnm", ".ppm", ".sgi", ".tga", ".tif", ".tiff",
    ".webp",
)  # fmt: skip
PAGED_SUFFIXES = (".gif", ".tif", ".tiff", ".webp")
LOSSY_SUFFIXES = (".avif", ".jfif", ".jpe", ".jpeg", ".jpg", ".mpo", ".webp")

Item = TypeVar("Item")
Source = Path | str | BinaryIO  # a file, or its bytes in memory

# Pillow warns of half the size that it refuses, and of EXIF data that we can do without.
warnings.filterwarnings("ignore", category=Image.DecompressionBombWarning)
warnings.filterwarnings("ignore", message="Corrupt EXIF data", category=UserWarning)

_ORIENTATION = 0x0112
_TURNED_BY_90 = (5, 6, 7, 8)
_TRANSPOSED = {  # what EXIF's numbers ask for, on (..., H, W)
    2: lambda a: a[..., ::-1],
    3: lambda a: a[..., ::-1, ::-1],
    4: lambda a: a[..., ::-1, :],
    5: lambda a: a.swapaxes(-1, -2),
    6: lambda a: a.swapaxes(-1, -2)[..., ::-1],
    7: lambda a: a.swapaxes(-1, -2)[..., ::-1, ::-1],
    8: lambda a: a.swapaxes(-1, -2)[..., ::-1, :],
}
_WIDTH, _HEIGHT, _PHOTOMETRIC, _EXTRA_SAMPLES = 256, 257, 262, 338  # tags of TIFF
_WHITE_IS_ZERO, _UNSPECIFIED = 0, 0  # values of the last two
_EIGHT_BIT = (
    "1", "L", "LA", "La", "P", "PA", "RGB", "RGBA", "RGBa", "RGBX", "CMYK", "YCbCr", "HSV", "LAB",
)  # fmt: skip


def read_image(source: Source, channels: int = 3) -> Tensor:
    """Read an image file as (channels, H, W) uint8, upright, with 1 (grey) or 3 (RGB) channels.

    Palettes are looked up, transparent pixels laid on white, 16-bit values scaled to 0..255, EXIF
    rotations applied.

    Raises:
        FileNotFoundError: if there is no such file.
        InputError: if it cannot be read as an image, holds values without a known range or another
            number of bands, or `channels` is not 1 or 3.
    """
    if channels not in (1, 3):
        raise InputError(f"an image has 1 (grey) or 3 (RGB) channels; got {channels}")
    values = read_values(source)
    if values.dtype == np.uint16:
        # As Pillow's conversion does not, which clips every value above 255 to white.
        values = ((values.astype(np.int64) * 255 + 32767) // 65535).astype(np.uint8)
    if values.dtype != np.uint8:
        raise InputError(
            f"{_name(source)}: values of type {values.dtype} have no known range; "
            "save the image with 8 or 16 bits"
        )
    if len(values) not in (1, 3):
        raise InputError(
            f"{_name(source)}: expected a grey or RGB image, but it has {len(values)} bands"
        )
    pixels = torch.from_numpy(values)
    if channels == 1:
        return pixels if len(pixels) == 1 else to_grey(pixels)
    return pixels.expand(3, -1, -1).contiguous()


def read_values(source: Source, page: int = 0, numbers: bool = False) -> np.ndarray:
    """Read the values of an image as (bands, H, W), upright, as its file holds them.

    Grey stays one band. Palettes are looked up, unless their `numbers` are asked for. Transparent
    pixels are laid on white.

    Args:
        source: a file, or an open binary file.
        page: which image of a file with several, from 0.

    Returns:
        uint8 for 8 bits or less; else uint16, int32 or float32.

    Raises:
        FileNotFoundError: if there is no such file.
        InputError: if it cannot be read as an image.
    """
    if _suffix(source) == ".npy":
        return _read_array(source)
    try:
        with opened(source) as file:
            if _needs_tifffile(file):
                return _read_tiff(source, page)
            if page:
                file.seek(page)
            if _is_deep_png(file):
                return _read_deep_png(source, _orientation(file, source))
            return _read_pillow(file, source, numbers)
    except InputError:
        if _suffix(source) not in (".tif", ".tiff"):
            raise
        return _read_tiff(source, page)  # more than four bands, or floats


def image_size(path: Path) -> tuple[int, int]:
    """Return (height, width) of the upright image in a file, from its header alone.

    Raises:
        FileNotFoundError: if there is no such file.
        InputError: if it cannot be read as an image.
    """
    if _suffix(path) == ".npy":
        return _read_array(path, mmap_mode="r").shape[1:]
    try:
        with opened(path) as file:
            return _upright_size(file, path)
    except InputError:
        if _suffix(path) not in (".tif", ".tiff"):
            raise
        return _read_tiff(path, 0).shape[1:]


def count_pages(path: Path) -> int:
    """Return how many images of one size a file holds, from its headers.

    Pages of other sizes, as thumbnails are, do not count; nor does a photo's preview (MPO).

    Raises:
        FileNotFoundError: if there is no such file.
        InputError: if it cannot be read as an image.
    """
    if _suffix(path) not in PAGED_SUFFIXES:
        return 1
    try:
        with opened(path) as file:
            pages = 1 if file.format == "MPO" else getattr(file, "n_frames", 1)
            size = file.size
            for page in range(1, pages):
                file.seek(page)
                if file.size != size:
                    return 1
            return pages
    except InputError:
        if _suffix(path) not in (".tif", ".tiff"):
            raise
        return 1  # tifffile stacks the bands


def evenly_spread(items: Sequence[Item], most: int) -> list[Item]:
    """Return at most so many items of a sequence, from its beginning on at even distances."""
    if len(items) <= most:
        return list(items)
    return [items[index * len(items) // most] for index in range(most)]


def check_whole(path: Path) -> None:
    """Check cheaply that the end of a file is there; a file that looks cut is read to be sure.

    Raises:
        FileNotFoundError: if there is no such file.
        InputError: if it cannot be read as an image.
    """
    ends = {".png": b"IEND", ".jpg": b"\xff\xd9", ".jpeg": b"\xff\xd9"}
    end = ends.get(_suffix(path))
    if end:
        with open(path, "rb") as file:
            file.seek(0, io.SEEK_END)
            file.seek(max(0, file.tell() - 16))
            if end in file.read():
                return
    elif _suffix(path) == ".npy":
        return
    read_values(path)


def _read_pillow(file: Image.Image, source: Source, numbers: bool) -> np.ndarray:
    """Return the values of an image that Pillow can open."""
    orientation = _orientation(file, source)
    inverted = file.mode == "I;16" and _tiff_tag(file, _PHOTOMETRIC) == _WHITE_IS_ZERO
    file.load()
    if file.format == "TIFF":  # Pillow has turned these itself
        orientation = 1
    if file.mode in _EIGHT_BIT:
        image = file if numbers and file.mode in ("P", "L") else _lay_on_white(file)
        if not (numbers and image.mode == "P"):
            image = image.convert("L" if image.mode in ("1", "L") else "RGB")
        values = np.array(image)
    else:
        values = np.array(file)
        if values.dtype.kind in "iu":
            values = values.astype(np.uint16 if file.mode.startswith("I;16") else np.int32)
        values = 65535 - values if inverted else values
    return _upright(_bands_first(values, last=True), orientation)


def _bands_first(values: np.ndarray, last: bool) -> np.ndarray:
    """Return (bands, H, W) from (H, W), and from (H, W, bands) if the bands come `last`."""
    if values.ndim not in (2, 3):
        raise ValueError(f"expected an array with 2 or 3 dimensions; got {values.shape}")
    if values.ndim == 2:
        return values[None]
    return values.transpose(2, 0, 1) if last else values


def _upright(values: np.ndarray, orientation: int) -> np.ndarray:
    turn = _TRANSPOSED.get(orientation, lambda a: a)
    return np.ascontiguousarray(turn(values))


def _read_array(source: Source, mmap_mode: str | None = None) -> np.ndarray:
    """Return the array of a .npy file as (bands, H, W).

    The bands are its first or its last axis, whichever is shorter.
    """
    try:
        in_memory = not isinstance(source, (str, Path))
        mmap_mode = None if in_memory else mmap_mode
        values = np.load(_rewound(source), mmap_mode=mmap_mode, allow_pickle=False)
        if values.dtype.kind not in "buif":
            raise ValueError(f"values of type {values.dtype}")
        return _plain_type(_bands_first(values, last=values.shape[-1] <= values.shape[0]))
    except FileNotFoundError as error:
        raise _missing(source) from error
    except (ValueError, EOFError, OSError) as error:
        raise _unreadable(source, error) from error


def _read_tiff(source: Source, page: int) -> np.ndarray:
    """Return the values of a TIFF that Pillow does not open, or only with 8 bits."""
    import tifffile

    try:
        with tifffile.TiffFile(_rewound(source)) as file:
            image = file.pages[page]
            orientation = int(image.tags.valueof("Orientation", 1))
            values = _bands_first(image.asarray(), last=not image.axes.startswith("S"))
    except FileNotFoundError as error:
        raise _missing(source) from error
    except Exception as error:  # damaged files make the reader raise almost anything
        raise _unreadable(source, error) from error
    return _upright(_plain_type(values), orientation)


def _plain_type(values: np.ndarray) -> np.ndarray:
    """Return values as uint8, uint16, int32 or float32."""
    if values.dtype in (np.uint8, np.uint16):
        return values.astype(values.dtype.type)  # in this machine's order of bytes
    if values.dtype == bool:
        return values.astype(np.uint8) * 255
    return values.astype(np.int32 if values.dtype.kind in "iu" else np.float32)


def _needs_tifffile(file: Image.Image) -> bool:
    """Return whether Pillow would cut a TIFF's colours down to 8 bits, or drop its fourth band."""
    if file.format != "TIFF" or not file.tile:
        return False
    deep = ";16" in str(file.tile[0][3]) and file.mode in ("RGB", "RGBA", "LA")
    return deep or _UNSPECIFIED in (_tiff_tag(file, _EXTRA_SAMPLES) or ())


def _is_deep_png(file: Image.Image) -> bool:
    """Return whether a PNG has colours of 16 bits, of which Pillow keeps 8."""
    return bool(file.format == "PNG" and file.tile) and file.tile[0][3] in ("RGB;16B", "RGBA;16B")


def _read_deep_png(source: Source, orientation: int) -> np.ndarray:
    """Read all 16 bits of a PNG: its upper bytes, and as if these were the lower ones, the others.

    Opacity lays the colours on white.
    """
    halves = []
    for order in ("16B", "16L"):
        with opened(source) as file:
            file.tile = [tile._replace(args=tile.args.replace("16B", order)) for tile in file.tile]
            halves.append(np.asarray(file).astype(np.int64))
    values = _bands_first(halves[0] * 256 + halves[1], last=True)
    if len(values) == 4:
        mixed = values[:-1] * values[-1:] + 65535 * (65535 - values[-1:])
        values = (mixed + 32767) // 65535
    return _upright(values.astype(np.uint16), orientation)


# --- size and orientation -----------------------------------------------------------------------


def _upright_size(file: Image.Image, source: Source) -> tuple[int, int]:
    width, height = file.size
    if file.format == "TIFF":  # whose size Pillow turns or not, by its version
        width, height = _tiff_tag(file, _WIDTH), _tiff_tag(file, _HEIGHT)
    turned = _orientation(file, source) in _TURNED_BY_90
    return (width, height) if turned else (height, width)


def orientation(path: Path) -> int:
    """Return the EXIF orientation of an image file, 1 to 8; 1 is upright, or none given.

    Raises:
        FileNotFoundError: if there is no such file.
    """
    with suppress(InputError), opened(path) as file:  # what Pillow cannot open is no photo
        return _orientation(file, path)
    return 1


def _orientation(file: Image.Image, source: Source) -> int:
    """Return EXIF's orientation; broken EXIF data say nothing, and the pixels are fine."""
    with suppress(Exception):  # a broken EXIF makes Pillow raise almost anything
        exif = Image.Image.getexif(file)  # the PNG reader's own would decode all pixels
        if not exif and file.format == "PNG" and (late := _late_exif(source)):
            exif.load(late)
        return int(exif.get(_ORIENTATION, 1))
    return 1


def _late_exif(source: Source) -> bytes:
    """Return the EXIF chunk of a PNG that stands behind the pixels, where no header has it."""
    with open(source, "rb") if isinstance(source, (str, Path)) else _unmoved(source) as file:
        file.seek(8)
        while len(head := file.read(8)) == 8:
            length, kind = struct.unpack(">I4s", head)
            if kind == b"eXIf":
                return file.read(length)
            file.seek(length + 4, io.SEEK_CUR)
    return b""


def _tiff_tag(file: Image.Image, tag: int):
    return getattr(file, "tag_v2", {}).get(tag)


# --- values -------------------------------------------------------------------------------------


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


def _lay_on_white(image: Image.Image) -> Image.Image:
    """Replace transparency by a white background.

    The colours under transparent pixels are arbitrary.
    """
    if not image.has_transparency_data:
        return image
    grey = image.mode in ("L", "LA", "La")
    image = image.convert("RGBA")
    white = Image.new("RGBA", image.size, "white")
    return Image.alpha_composite(white, image).convert("L" if grey else "RGB")


# --- files --------------------------------------------------------------------------------------


def allow_pixels(count: int) -> None:
    """Let images of up to this many pixels be read; Pillow refuses what may be a trap."""
    Image.MAX_IMAGE_PIXELS = max(1, count // 2)  # it refuses above twice its limit


@contextmanager
def opened(source: Source) -> Iterator[Image.Image]:
    """Open an image file.

    Whatever Pillow raises for a broken one becomes an error of one line.

    Raises:
        FileNotFoundError: if there is no such file.
        InputError: if it cannot be read as an image.
    """
    try:
        with _bytes_of(source) as stream, Image.open(stream) as file:
            yield file
    except FileNotFoundError as error:
        raise _missing(source) from error
    except Image.DecompressionBombError as error:
        limit = 2 * Image.MAX_IMAGE_PIXELS // 1_000_000
        raise InputError(
            f"{_name(source)}: more than {limit} megapixels, which may be a trap; if you trust the "
            "file, add --max-megapixels with a larger number, or cut it into tiles"
        ) from error
    except InputError:
        raise
    except Exception as error:  # damaged files make Pillow raise almost anything, not only OSError
        raise _unreadable(source, error) from error


def _missing(source: Source) -> FileNotFoundError:
    return FileNotFoundError(
        f"{_name(source)}: no such file; check the path, or search the folder again"
    )


def _unreadable(source: Source, error: Exception) -> InputError:
    unknown = isinstance(error, UnidentifiedImageError)  # its text would only repeat the path
    reason = "unknown format" if unknown else " ".join(str(error).split()) or type(error).__name__
    return InputError(
        f"{_name(source)}: not a readable image ({reason}); replace the file or remove it"
    )


def _name(source: Source) -> str:
    return str(source if isinstance(source, (str, Path)) else getattr(source, "name", "an image"))


def _suffix(source: Source) -> str:
    return Path(_name(source)).suffix.lower()


@contextmanager
def _bytes_of(source: Source) -> Iterator[BinaryIO]:
    """Open a file, or go to the beginning of what is open.

    Given a name, Pillow would map an uncompressed TIFF into memory, and scramble one that is to be
    turned.
    """
    if isinstance(source, (str, Path)):
        with open(source, "rb") as stream:
            yield stream
    else:
        yield _rewound(source)


def _rewound(source: Source) -> Source:
    if not isinstance(source, (str, Path)):
        source.seek(0)
    return source


@contextmanager
def _unmoved(file: BinaryIO) -> Iterator[BinaryIO]:
    """Yield an open file, and set it back to where it stood."""
    place = file.tell()
    try:
        yield file
    finally:
        file.seek(place)
