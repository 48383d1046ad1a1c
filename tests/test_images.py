"""Reading and writing images, checked with numpy on the written pixels and integer arithmetic."""

import io
import struct
import warnings
import zlib
from pathlib import Path

import numpy as np
import pytest
import tifffile
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image

from pix2pix_lib import images
from pix2pix_lib.images import (
    image_size,
    read_image,
    read_values,
    to_float,
    to_grey,
    to_pil,
    to_uint8,
    write_image,
)

RNG = np.random.default_rng(0)
RGB = RNG.integers(0, 256, (5, 7, 3), dtype=np.uint8)
GREY = RNG.integers(0, 256, (5, 7), dtype=np.uint8)


def save(path: Path, pixels: np.ndarray, mode: str | None = None, **options) -> Path:
    """Write an array with Pillow, in the given mode."""
    image = Image.fromarray(pixels)
    (image.convert(mode) if mode else image).save(path, **options)
    return path


def save_png_16(
    path: Path, values: np.ndarray, colour_type: int, claimed_size: tuple[int, int] | None = None
) -> Path:
    """Write a 16-bit PNG without Pillow, which does not support all of them.

    The colour type is 0 for grey, 2 for RGB and 4 for grey with alpha.
    """

    def chunk(kind: bytes, content: bytes) -> bytes:
        length, crc = (struct.pack(">I", n) for n in (len(content), zlib.crc32(kind + content)))
        return length + kind + content + crc

    rows = b"".join(b"\0" + row.astype(">u2").tobytes() for row in values)
    width, height = claimed_size or (values.shape[1], values.shape[0])
    header = chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 16, colour_type, 0, 0, 0))
    pixels = chunk(b"IDAT", zlib.compress(rows))
    path.write_bytes(b"\x89PNG\r\n\x1a\n" + header + pixels + chunk(b"IEND", b""))
    return path


def hwc(image: torch.Tensor) -> np.ndarray:
    return image.permute(1, 2, 0).numpy()


def grey_of(rgb: np.ndarray) -> np.ndarray:
    return np.asarray(Image.fromarray(rgb).convert("L"))


# --- what a file may hold -------------------------------------------------------------------------


@pytest.mark.parametrize("ending", ["png", "bmp", "tif", "webp"])
def test_rgb_files_are_read_pixel_by_pixel(tmp_path, ending):
    path = save(tmp_path / f"x.{ending}", RGB, **({"lossless": True} if ending == "webp" else {}))
    image = read_image(path)
    assert image.dtype == torch.uint8
    assert image.is_contiguous()
    assert np.array_equal(hwc(image), RGB)


def test_an_rgb_file_read_as_grey_has_the_luma_of_rec_601(tmp_path):
    image = read_image(save(tmp_path / "x.png", RGB), channels=1)
    assert image.shape == (1, 5, 7)
    assert np.array_equal(image[0].numpy(), grey_of(RGB))


def test_a_grey_file_keeps_its_values_with_one_and_with_three_channels(tmp_path):
    path = save(tmp_path / "x.png", GREY)
    assert np.array_equal(read_image(path, 1)[0].numpy(), GREY)
    assert np.array_equal(hwc(read_image(path, 3)), np.repeat(GREY[..., None], 3, axis=2))


def test_a_palette_is_looked_up(tmp_path):
    colours = np.array([(0, 0, 222), (255, 241, 0), (174, 0, 0)], np.uint8)
    indices = RNG.integers(0, 3, (5, 7), dtype=np.uint8)
    image = Image.fromarray(indices)
    image.putpalette(colours.tobytes())
    image.save(tmp_path / "x.png")
    assert np.array_equal(hwc(read_image(tmp_path / "x.png")), colours[indices])
    assert np.array_equal(read_image(tmp_path / "x.png", 1)[0].numpy(), grey_of(colours[indices]))


@pytest.mark.parametrize(
    "transparency", [1, bytes([255, 0, 255])], ids=["index", "alpha of each index"]
)
def test_a_transparent_palette_entry_becomes_white(tmp_path, transparency):
    colours = np.array([(0, 0, 222), (255, 241, 0), (174, 0, 0)], np.uint8)
    indices = RNG.integers(0, 3, (5, 7), dtype=np.uint8)
    image = Image.fromarray(indices)
    image.putpalette(colours.tobytes())
    image.save(tmp_path / "x.png", transparency=transparency)
    colours[1] = 255
    assert np.array_equal(hwc(read_image(tmp_path / "x.png")), colours[indices])


def test_alpha_blends_with_white(tmp_path):
    alpha = RNG.integers(0, 256, (5, 7, 1), dtype=np.uint8)
    alpha[0, 0], alpha[0, 1] = 0, 255
    image = hwc(read_image(save(tmp_path / "x.png", np.concatenate([RGB, alpha], axis=2))))
    share = alpha / 255
    assert np.abs(image - (share * RGB + (1 - share) * 255)).max() <= 1
    assert image[0, 0].tolist() == [255, 255, 255]
    assert image[0, 1].tolist() == RGB[0, 1].tolist()


def test_grey_with_alpha_blends_with_white(tmp_path):
    alpha = np.zeros((5, 7), np.uint8)
    alpha[:, 3:] = 255
    image = read_image(save(tmp_path / "x.png", np.stack([GREY, alpha], axis=2)), 1)
    assert np.array_equal(image[0].numpy(), np.where(alpha == 255, GREY, 255))


def test_one_bit_files_become_black_and_white(tmp_path):
    bits = RNG.integers(0, 2, (5, 7)).astype(bool)
    image = read_image(save(tmp_path / "x.png", bits), 1)
    assert np.array_equal(image[0].numpy(), bits * 255)


@pytest.mark.parametrize("channels", [1, 3])
def test_cmyk_is_converted_to_the_right_colours(tmp_path, channels):
    inks = np.array([[(0, 0, 0, 0), (255, 255, 0, 0), (0, 255, 255, 0), (0, 0, 0, 255)]], np.uint8)
    Image.frombytes("CMYK", (4, 1), inks.tobytes()).save(tmp_path / "x.tif")
    expected = np.array([[(255, 255, 255), (0, 0, 255), (255, 0, 0), (0, 0, 0)]], np.uint8)
    image = hwc(read_image(tmp_path / "x.tif", channels))
    assert np.array_equal(image, expected if channels == 3 else grey_of(expected)[..., None])


@pytest.mark.parametrize("ending", ["png", "tif"])
def test_16_bit_grey_is_scaled_not_clipped(tmp_path, ending):
    values = np.array([[0, 1, 128, 129, 255, 256, 257, 32768, 65406, 65407, 65535]], np.uint16)
    image = read_image(save(tmp_path / f"x.{ending}", values), 1)
    assert image[0, 0].tolist() == [0, 0, 0, 1, 1, 1, 1, 128, 254, 255, 255]
    assert image[0, 0, -1] == 255
    assert np.array_equal(image[0].numpy(), np.rint(values / 257))  # 65535 / 255 = 257


def test_big_endian_16_bit_tiff_is_read_like_any_other(tmp_path):
    values = np.array([[0, 256, 32768, 65535]], np.uint16)
    Image.frombytes("I;16B", (4, 1), values.astype(">u2").tobytes()).save(tmp_path / "x.tif")
    assert read_image(tmp_path / "x.tif", 1)[0, 0].tolist() == [0, 1, 128, 255]


def test_16_bit_colour_and_16_bit_alpha_keep_the_upper_byte(tmp_path):
    values = np.array([[(0, 32768, 65535), (65535, 0, 32768)]], np.uint16)
    rgb = read_image(save_png_16(tmp_path / "rgb.png", values, 2))
    assert hwc(rgb).tolist() == [[[0, 128, 255], [255, 0, 128]]]
    grey_alpha = np.array([[(32768, 65535), (0, 0), (65535, 65535)]], np.uint16)
    grey = read_image(save_png_16(tmp_path / "la.png", grey_alpha, 4), 1)
    assert grey[0, 0].tolist() == [128, 255, 255]


# The eight EXIF orientations: how to turn the stored pixels upright (EXIF 2.3, 4.6.4).
UPRIGHT = {
    1: lambda a: a,
    2: lambda a: a[:, ::-1],
    3: lambda a: a[::-1, ::-1],
    4: lambda a: a[::-1],
    5: lambda a: a.swapaxes(0, 1),
    6: lambda a: np.rot90(a, -1),
    7: lambda a: np.rot90(a, 2).swapaxes(0, 1),
    8: lambda a: np.rot90(a, 1),
}


@pytest.mark.parametrize("orientation", UPRIGHT)
@pytest.mark.parametrize("ending", ["jpg", "png"])
def test_exif_orientations_are_undone(tmp_path, orientation, ending):
    stored = np.zeros((16, 24, 3), np.uint8)  # to be filled without symmetry
    stored[:8, :8], stored[:8, 8:], stored[8:, :16] = (255, 0, 0), (0, 255, 0), (0, 0, 255)
    exif = Image.Exif()
    exif[0x0112] = orientation
    path = save(tmp_path / f"x.{ending}", stored, exif=exif)
    with Image.open(path) as file:
        oracle = UPRIGHT[orientation](np.asarray(file.convert("RGB")))
    assert np.array_equal(hwc(read_image(path)), oracle)
    assert image_size(path) == oracle.shape[:2]


@pytest.mark.parametrize("ending", ["png", "jpg"])
def test_the_size_comes_from_the_header_alone(tmp_path, ending):
    path = save(tmp_path / f"x.{ending}", RNG.integers(0, 256, (50, 70, 3), dtype=np.uint8))
    path.write_bytes(path.read_bytes()[: path.stat().st_size * 3 // 4])
    assert image_size(path) == (50, 70)
    with pytest.raises(ValueError, match="not a readable image"):
        read_image(path)


# --- what a file may not be -----------------------------------------------------------------------


def one_clear_line(error: pytest.ExceptionInfo, path: Path, *words: str) -> None:
    text = str(error.value)
    assert "\n" not in text
    assert text.count(str(path)) == 1, text
    for word in words:
        assert word in text, text


@pytest.mark.parametrize("channels", [0, 2, 4, None])
def test_other_numbers_of_channels_are_refused(tmp_path, channels):
    with pytest.raises(ValueError, match=r"1 \(grey\) or 3 \(RGB\)"):
        read_image(save(tmp_path / "x.png", RGB), channels)


@pytest.mark.parametrize("kind", [np.float32, np.int32])
def test_pixels_without_a_known_range_are_refused(tmp_path, kind):
    path = save(tmp_path / "x.tif", GREY.astype(kind))
    with pytest.raises(ValueError, match="no known range") as error:
        read_image(path)
    one_clear_line(error, path, "8 or 16 bits")


@pytest.mark.parametrize("ending", ["png", "jpg", "tif", "bmp"])
def test_a_truncated_file_gives_one_clear_error(tmp_path, ending):
    path = save(tmp_path / f"x.{ending}", RNG.integers(0, 256, (64, 64, 3), dtype=np.uint8))
    path.write_bytes(path.read_bytes()[: path.stat().st_size * 2 // 3])
    with pytest.raises(ValueError, match="not a readable image") as error:
        read_image(path)
    one_clear_line(error, path, "replace the file or remove it")


@pytest.mark.parametrize("content", [b"this is text\n", b""], ids=["text", "empty"])
@pytest.mark.parametrize("read", [read_image, image_size])
def test_a_file_that_is_no_image_gives_one_clear_error(tmp_path, content, read):
    path = tmp_path / "x.png"
    path.write_bytes(content)
    with pytest.raises(ValueError, match="not a readable image") as error:
        read(path)
    one_clear_line(error, path, "unknown format", "replace the file or remove it")


@pytest.mark.parametrize("read", [read_image, image_size])
def test_a_file_that_claims_billions_of_pixels_gives_one_clear_error(tmp_path, read):
    black = np.zeros((1, 1), np.uint16)
    path = save_png_16(tmp_path / "x.png", black, 0, claimed_size=(60_000, 60_000))
    with pytest.raises(ValueError, match="more than 178 megapixels") as error:
        read(path)
    one_clear_line(error, path, "add --max-megapixels")


@pytest.mark.parametrize("read", [read_image, image_size])
def test_a_missing_file_gives_one_clear_error(tmp_path, read):
    with pytest.raises(FileNotFoundError, match="no such file") as error:
        read(tmp_path / "x.png")
    one_clear_line(error, tmp_path / "x.png", "check the path")


@pytest.mark.filterwarnings("ignore")  # Pillow warns about much of what it finds in damaged files
@settings(
    max_examples=100, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(data=st.data())
def test_a_damaged_file_is_read_or_refused_with_its_name_never_anything_else(tmp_path, data):
    kind = data.draw(st.sampled_from(["PNG", "JPEG", "TIFF", "BMP", "WEBP"]))
    buffer = io.BytesIO()
    Image.fromarray(RGB).save(buffer, kind)
    content = bytearray(buffer.getvalue())
    for _ in range(data.draw(st.integers(1, 4))):
        content[data.draw(st.integers(0, len(content) - 1))] = data.draw(st.integers(0, 255))
    path = tmp_path / "damaged.png"
    path.write_bytes(content)
    try:
        assert read_image(path).shape[0] == 3
    except ValueError as error:
        assert str(path) in str(error)
        assert "\n" not in str(error)


# --- ranges ---------------------------------------------------------------------------------------


def test_all_256_values_survive_the_way_to_float_and_back():
    values = torch.arange(256, dtype=torch.uint8).reshape(1, 16, 16)
    floats = to_float(values)
    assert floats.dtype == torch.float32
    assert (floats.min(), floats.max()) == (-1, 1)
    assert torch.equal(to_uint8(floats), values)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float64])
def test_all_256_values_survive_in_other_precisions(dtype):
    values = torch.arange(256, dtype=torch.uint8)
    assert torch.equal(to_uint8(to_float(values).to(dtype)), values)


def test_values_outside_the_range_are_clipped_and_those_between_rounded():
    step = 1 / 127.5
    values = [-3.0, -1 - step, -1 + 0.4 * step, -1 + 0.6 * step, 1 - 0.4 * step, 1.01, 100.0]
    assert to_uint8(torch.tensor(values)).tolist() == [0, 0, 0, 1, 255, 255, 255]


def test_a_tensor_that_needs_a_gradient_can_be_shown():
    assert to_uint8(torch.zeros(1, 2, 2, requires_grad=True)).tolist() == [[[128, 128], [128, 128]]]


def test_the_wrong_kind_of_numbers_is_refused():
    with pytest.raises(TypeError, match=r"expected uint8.*got torch\.float32"):
        to_float(torch.zeros(1))
    with pytest.raises(TypeError, match=r"expected floating-point.*got torch\.uint8"):
        to_uint8(torch.zeros(1, dtype=torch.uint8))


def test_grey_of_all_colours_is_that_of_pillow():
    colours = RNG.integers(0, 256, (300, 300, 3), dtype=np.uint8)
    colours[0, :256] = np.arange(256, dtype=np.uint8)[:, None]
    grey = to_grey(torch.from_numpy(colours).permute(2, 0, 1))
    assert np.array_equal(grey[0].numpy(), grey_of(colours))
    assert torch.equal(grey[0, 0, :256], torch.arange(256, dtype=torch.uint8))  # grey is unchanged


def test_grey_keeps_the_other_axes_and_wants_three_channels():
    assert to_grey(torch.zeros(2, 3, 4, 5, dtype=torch.uint8)).shape == (2, 1, 4, 5)
    with pytest.raises(ValueError, match=r"\(1, 4, 5\)"):
        to_grey(torch.zeros(1, 4, 5, dtype=torch.uint8))


# --- writing --------------------------------------------------------------------------------------


@pytest.mark.parametrize("channels", [1, 3])
def test_what_is_written_is_read_again(tmp_path, channels):
    image = torch.from_numpy(RGB).permute(2, 0, 1)[:channels]
    write_image(tmp_path / "new folder" / "x.png", to_float(image))
    assert torch.equal(read_image(tmp_path / "new folder" / "x.png", channels), image)


@pytest.mark.parametrize("shape", [(2, 4, 4), (4, 4), (1, 3, 4, 4)])
def test_a_tensor_that_is_not_one_image_is_refused(shape):
    with pytest.raises(ValueError, match=r"\(1 or 3, H, W\)"):
        to_pil(torch.zeros(shape))


def test_a_failed_write_leaves_the_older_file_whole_and_nothing_beside_it(tmp_path, monkeypatch):
    path = tmp_path / "x.png"
    write_image(path, torch.zeros(3, 4, 4))
    before = path.read_bytes()

    def fail_halfway(self, file, **options):
        Path(file).write_bytes(b"half a fi")
        raise OSError("the disk is full")

    monkeypatch.setattr(images.Image.Image, "save", fail_halfway)
    with pytest.raises(OSError, match="the disk is full"):
        write_image(path, torch.ones(3, 4, 4))
    assert path.read_bytes() == before
    assert list(tmp_path.iterdir()) == [path]


# --- other files ---------------------------------------------------------------------------------


def with_orientation(path: Path, number: int) -> Path:
    """Save a picture of 6x4 (width x height) whose EXIF data ask for a turn."""
    exif = Image.Exif()
    exif[0x0112] = number
    Image.fromarray(np.arange(24, dtype=np.uint8).reshape(4, 6)).save(path, exif=exif)
    return path


@pytest.mark.parametrize("ending", ["tif", "png", "jpg", "webp"])
@pytest.mark.parametrize("number", UPRIGHT)
def test_header_and_pixels_agree_about_the_size(tmp_path, ending, number):
    path = with_orientation(tmp_path / f"x.{ending}", number)
    assert images.orientation(path) == number
    assert image_size(path) == tuple(read_image(path).shape[1:])
    assert image_size(path) == ((6, 4) if number > 4 else (4, 6))


def move_exif_behind_the_pixels(path: Path) -> None:
    data = path.read_bytes()
    start = data.index(b"eXIf") - 4
    end = start + 12 + int.from_bytes(data[start : start + 4])
    tail = data.index(b"IEND") - 4
    path.write_bytes(data[:start] + data[end:tail] + data[start:end] + data[tail:])


def test_exif_data_behind_the_pixels_of_a_png_count(tmp_path):
    path = with_orientation(tmp_path / "x.png", 6)
    expected = read_image(path)
    move_exif_behind_the_pixels(path)
    assert image_size(path) == (6, 4)
    assert torch.equal(read_image(path), expected)


def test_broken_exif_data_leave_the_pixels_fine(tmp_path):
    for ending in ("png", "jpg"):
        path = with_orientation(tmp_path / f"x.{ending}", 1)
        expected = read_image(path)
        data = path.read_bytes()
        at = data.index(b"MM\x00*" if b"MM\x00*" in data else b"II*\x00")
        broken = data[:at] + b"\xff" * 8 + data[at + 8 :]
        if ending == "png":
            start = broken.index(b"eXIf")
            length = int.from_bytes(broken[start - 4 : start])
            crc = zlib.crc32(broken[start : start + 4 + length])
            end = start + 4 + length
            broken = broken[:end] + crc.to_bytes(4) + broken[end + 4 :]
        path.write_bytes(broken)
        assert image_size(path) == (4, 6)
        assert torch.equal(read_image(path), expected)


def test_values_are_read_as_they_are(tmp_path):
    deep = np.arange(24, dtype=np.uint16).reshape(4, 6) * 2000
    tifffile.imwrite(tmp_path / "rgb.tif", np.stack([deep] * 3, 2), photometric="rgb")
    tifffile.imwrite(tmp_path / "inverted.tif", deep, photometric="miniswhite")
    bands = deep[..., None] + np.arange(7, dtype=np.uint16)
    tifffile.imwrite(tmp_path / "7.tif", bands, photometric="minisblack", planarconfig="contig")
    separate = bands.transpose(2, 0, 1)
    tifffile.imwrite(tmp_path / "s.tif", separate, photometric="minisblack",
                     planarconfig="separate")  # fmt: skip
    np.save(tmp_path / "last.npy", np.repeat(bands, 2, 0))
    np.save(tmp_path / "flags.npy", deep > 9000)
    read = {path.stem: read_values(path) for path in tmp_path.iterdir()}
    assert np.array_equal(read["rgb"], np.stack([deep] * 3)) and read["rgb"].dtype == np.uint16
    assert np.array_equal(read["inverted"][0], 65535 - deep)
    assert np.array_equal(read["7"], separate) and np.array_equal(read["s"], separate)
    assert np.array_equal(read["last"], np.repeat(separate, 2, 1))
    assert np.array_equal(read["flags"][0], (deep > 9000) * 255)
    for path in tmp_path.iterdir():
        assert image_size(path) == read[path.stem].shape[1:]


def test_bytes_in_memory_are_read_like_files(tmp_path):
    for ending in ("png", "tif"):
        path = with_orientation(tmp_path / f"x.{ending}", 6)
        assert np.array_equal(read_values(io.BytesIO(path.read_bytes())), read_values(path))


def test_pages_of_one_size_are_counted_and_read(tmp_path):
    pages = [np.full((4, 6), 40 * n, np.uint8) for n in range(5)]
    tifffile.imwrite(tmp_path / "volume.tif", np.stack(pages), photometric="minisblack")
    frames = [Image.fromarray(page) for page in pages]
    frames[0].save(tmp_path / "film.gif", save_all=True, append_images=frames[1:])
    frames[0].save(tmp_path / "one.png")
    small = Image.new("L", (3, 2))
    frames[0].save(tmp_path / "thumbnail.tif", save_all=True, append_images=[small])
    counts = {p.name: images.count_pages(p) for p in tmp_path.iterdir()}
    assert counts == {"volume.tif": 5, "film.gif": 5, "one.png": 1, "thumbnail.tif": 1}
    for name in ("volume.tif", "film.gif"):
        for number, page in enumerate(pages):
            assert (read_values(tmp_path / name, number)[0] == page).all()


def test_arrays_that_hold_more_than_numbers_are_refused(tmp_path):
    np.save(tmp_path / "x.npy", np.array([{"a": 1}], dtype=object), allow_pickle=True)
    np.save(tmp_path / "y.npy", np.zeros((2, 2, 2, 2)))
    (tmp_path / "z.npy").write_bytes(b"no array")
    for name in "xyz":
        with pytest.raises(ValueError, match="not a readable image") as error:
            read_values(tmp_path / f"{name}.npy")
        one_clear_line(error, tmp_path / f"{name}.npy", "replace the file or remove it")


def test_the_limit_of_pixels_can_be_raised(tmp_path, monkeypatch):
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 8)
    warnings.simplefilter("ignore", Image.DecompressionBombWarning)  # as the module does
    path = with_orientation(tmp_path / "x.png", 1)
    with pytest.raises(ValueError, match="--max-megapixels"):
        read_image(path)
    images.allow_pixels(24)
    assert read_image(path).shape == (3, 4, 6)


def test_files_that_are_cut_short_are_found_by_their_ends(tmp_path):
    noise = np.random.default_rng(0).integers(0, 256, (64, 64, 3), np.uint8)
    for ending in ("png", "jpg", "tif", "bmp"):
        path = tmp_path / f"x.{ending}"
        Image.fromarray(noise).save(path)
        images.check_whole(path)
        path.write_bytes(path.read_bytes()[:-3000])
        with pytest.raises(ValueError, match="not a readable image"):
            images.check_whole(path)
    odd = tmp_path / "odd.jpg"  # some cameras write more behind the end
    Image.fromarray(noise).save(odd)
    odd.write_bytes(odd.read_bytes() + bytes(100))
    images.check_whole(odd)
