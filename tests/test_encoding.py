"""What the values in files mean: class numbers, colours, depths and bands."""

import json
import struct
import zlib
from dataclasses import asdict

import numpy as np
import pytest
import tifffile
import torch
from PIL import Image

from pix2pix_lib.data import PairedDataset
from pix2pix_lib.encoding import (
    Encoding,
    class_colour,
    encoding_from_dict,
    find_encoding,
    result_suffix,
    side_values,
    write_encoded,
)
from pix2pix_lib.images import read_image, read_values, to_float
from pix2pix_lib.layouts import Pair, Side

GREYS = np.arange(64 * 48, dtype=np.uint16).reshape(48, 64)


def label_map(classes: int, seed: int = 0) -> np.ndarray:
    """Return (48, 64) uint8 blocks of class numbers, all of which occur."""
    blocks = np.random.default_rng(seed).integers(0, classes, (6, 8))
    blocks.flat[:classes] = np.arange(classes)
    return blocks.repeat(8, 0).repeat(8, 1).astype(np.uint8)


def save(path, values):
    if path.suffix == ".npy":
        np.save(path, values)
    elif (values.ndim == 3 and values.shape[2] > 3) or values.dtype == np.float32:
        tifffile.imwrite(path, values, photometric="minisblack", planarconfig=None)
    else:
        Image.fromarray(values).save(path)
    return Side(path)


def as_network_sees(encoding: Encoding, side: Side) -> torch.Tensor:
    values = side_values(side, encoding.reads_numbers)
    return encoding.encode(encoding.convert(values, side.file))


# --- label maps ---------------------------------------------------------------------------------


@pytest.mark.parametrize("mode", ["L", "P", "I;16"])
def test_class_numbers_get_colours_that_differ(tmp_path, mode):
    """0..11 of 255 would be all but black (CamVid's trainannot)."""
    numbers = label_map(12)
    image = Image.fromarray(numbers if mode != "I;16" else numbers.astype(np.uint16))
    if mode == "P":
        image.putpalette([0] * 768)  # a palette that tells no class from another
    image.save(tmp_path / "1.png")
    encoding = find_encoding([Side(tmp_path / "1.png")])
    assert encoding.classes == tuple((n,) for n in range(12)) and encoding.channels == 3
    assert len(set(encoding.colours)) == 12
    seen = as_network_sees(encoding, Side(tmp_path / "1.png"))
    expected = np.array(encoding.colours, np.uint8)[numbers]
    assert torch.equal(seen, to_float(torch.from_numpy(expected).permute(2, 0, 1)))
    assert "12 classes by numbers" in encoding.describe()


def test_as_many_channels_as_classes_are_one_hot(tmp_path):
    numbers = label_map(5)
    side = save(tmp_path / "1.png", numbers)
    seen = as_network_sees(find_encoding([side], channels=5), side)
    expected = torch.nn.functional.one_hot(torch.from_numpy(numbers).long(), 5)
    assert torch.equal(seen, expected.permute(2, 0, 1).float() * 2 - 1)
    more = as_network_sees(find_encoding([side], channels=7), side)  # of which two stay empty
    assert torch.equal(more[:5], seen) and (more[5:] == -1).all()


def test_fewer_channels_than_classes_are_refused_with_the_number(tmp_path):
    side = save(tmp_path / "1.png", label_map(5))
    with pytest.raises(ValueError, match="hold 5 classes, for 4 channels; give 5 channels, 3"):
        find_encoding([side], channels=4)


def test_palette_gives_the_colours_and_its_numbers_the_order(tmp_path):
    """Pascal VOC: class 255 is the border, and the palette has the colours that people know."""
    numbers = label_map(4)
    numbers[0] = 255
    image = Image.fromarray(numbers)
    image.putpalette([value for n in range(256) for value in class_colour(n)])
    image.save(tmp_path / "1.png")
    encoding = find_encoding([Side(tmp_path / "1.png")])
    assert encoding.classes == ((0,), (1,), (2,), (3,), (255,))
    assert encoding.colours[:4] == ((0, 0, 0), (128, 0, 0), (0, 128, 0), (128, 128, 0))
    seen = as_network_sees(encoding, Side(tmp_path / "1.png"))
    assert torch.equal(seen, to_float(read_image(tmp_path / "1.png")))


def test_palettes_that_differ_are_read_as_colours(tmp_path):
    """GIF writers number colours as they come, so 0 is black here and white there."""
    for name, palette in (("1", [0, 0, 0, 255, 255, 255]), ("2", [255, 255, 255, 0, 0, 0])):
        image = Image.fromarray(label_map(2))
        image.putpalette(palette)
        image.save(tmp_path / f"{name}.png")
    sides = [Side(tmp_path / "1.png"), Side(tmp_path / "2.png")]
    encoding = find_encoding(sides)
    assert encoding.classes == ((0, 0, 0), (255, 255, 255))
    first, second = (as_network_sees(encoding, side) for side in sides)
    assert torch.equal(first, -second)


def test_colours_of_label_maps_are_classes_too(tmp_path):
    colours = np.array([(128, 64, 128), (70, 70, 70), (0, 0, 142)], np.uint8)[label_map(3)]
    side = save(tmp_path / "1.png", colours)
    encoding = find_encoding([side])
    assert len(encoding.classes) == 3 and encoding.classes == encoding.colours
    assert torch.equal(as_network_sees(encoding, side), to_float(read_image(side.file)))
    assert as_network_sees(find_encoding([side], channels=4), side).shape[0] == 4


@pytest.mark.parametrize("ending", ["gif", "png"])
def test_class_numbers_in_three_bands_get_colours_too(tmp_path, ending):
    """GIF writers turn the numbers into a palette of greys, others into grey RGB."""
    image = Image.fromarray(label_map(12))
    for name in "12":
        (image if ending == "gif" else image.convert("RGB")).save(tmp_path / f"{name}.{ending}")
    encoding = find_encoding([Side(tmp_path / f"{name}.{ending}") for name in "12"])
    assert len(set(encoding.colours)) == 12 and max(map(max, encoding.colours)) >= 128


def test_masks_of_black_and_white_stay_as_they_are(tmp_path):
    side = save(tmp_path / "1.png", label_map(2) * 255)
    encoding = find_encoding([side])
    assert encoding.colours == ((0, 0, 0), (255, 255, 255))
    assert torch.equal(as_network_sees(encoding, side), to_float(read_image(side.file)))
    assert torch.equal(as_network_sees(find_encoding([side], 1), side),
                       to_float(read_image(side.file, 1)))  # fmt: skip


def test_a_class_in_one_file_of_many_is_not_missed(tmp_path):
    sides = [save(tmp_path / f"{n:03d}.png", label_map(3, n)) for n in range(100)]
    rare = label_map(3)
    rare[5, 5] = 9
    save(tmp_path / "037.png", rare)
    assert find_encoding(sides).classes == ((0,), (1,), (2,), (9,))


def test_another_class_than_those_found_is_named(tmp_path):
    encoding = find_encoding([save(tmp_path / "1.png", label_map(3))])
    other = save(tmp_path / "2.png", label_map(5))
    with pytest.raises(ValueError, match=r"2\.png: holds \(\d,\), which is none of the 3 classes"):
        as_network_sees(encoding, other)


def test_a_colour_picture_among_class_numbers_is_refused(tmp_path):
    """Its red band alone might well hold known numbers."""
    encoding = find_encoding([save(tmp_path / "1.png", label_map(3))])
    colours = np.stack([label_map(3), label_map(3, 1), label_map(3, 2)], 2)
    with pytest.raises(ValueError, match="none of the 3 classes"):
        as_network_sees(encoding, save(tmp_path / "2.png", colours))


def test_photos_and_jpeg_files_are_pictures(tmp_path):
    noise = np.random.default_rng(0).integers(0, 256, (48, 64, 3), np.uint8)
    photo = save(tmp_path / "photo.png", noise)
    flat = save(tmp_path / "flat.jpg", np.full((48, 64, 3), 90, np.uint8))
    for side in (photo, flat):
        assert find_encoding([side]) == Encoding(3)


def test_150_classes_are_told_from_photos_by_their_areas(tmp_path):
    """ADE20K has so many, in grey; a grey photo has no more values."""
    numbers = np.random.default_rng(0).permutation(151)[:150].reshape(10, 15)
    numbers = numbers.repeat(12, 0).repeat(12, 1).astype(np.uint8)
    encoding = find_encoding([save(tmp_path / "labels.png", numbers)])
    assert len(encoding.classes) == 150 and len(set(encoding.colours)) == 150
    smooth = np.add.outer(np.arange(120) / 2, np.arange(180) / 3)
    photo = (smooth + np.random.default_rng(0).normal(0, 3, smooth.shape)).clip(0, 150)
    assert find_encoding([save(tmp_path / "photo.png", photo.astype(np.uint8))]) == Encoding(3)


def test_12_bits_in_the_colours_of_a_png_are_found(tmp_path):
    """Pillow alone would return the upper 8 of 16 bits: 0 to 15."""
    values = np.stack([GREYS, GREYS // 2, 4000 - GREYS], 2)
    rows = b"".join(b"\0" + row.astype(">u2").tobytes() for row in values)
    write_png(tmp_path / "1.png", (64, 48), rows, colour_type=2)
    side = Side(tmp_path / "1.png")
    encoding = find_encoding([side])
    assert (encoding.low, encoding.high) == (0, 4095)
    expected = torch.from_numpy(values.astype(np.float32)).permute(2, 0, 1) / 4095 * 2 - 1
    assert torch.allclose(as_network_sees(encoding, side), expected, atol=1e-6)


def write_png(path, size, rows, colour_type):
    """Write a PNG with 16 bits, whose rows begin with their filter's number."""
    header = struct.pack(">IIBBBBB", *size, 16, colour_type, 0, 0, 0)
    chunks = ((b"IHDR", header), (b"IDAT", zlib.compress(rows)), (b"IEND", b""))
    data = b"".join(
        struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))
        for kind, body in chunks
    )
    path.write_bytes(b"\x89PNG\r\n\x1a\n" + data)


def test_a_fourth_band_that_is_no_opacity_is_kept(tmp_path):
    """Red, green, blue and infrared: Pillow alone would drop the last."""
    values = np.random.default_rng(0).integers(0, 256, (48, 64, 4), np.uint8)
    tifffile.imwrite(tmp_path / "1.tif", values, photometric="rgb", extrasamples=["unspecified"])
    assert find_encoding([Side(tmp_path / "1.tif")]) == Encoding(4)
    assert np.array_equal(read_values(tmp_path / "1.tif"), values.transpose(2, 0, 1))
    tifffile.imwrite(tmp_path / "2.tif", values, photometric="rgb", extrasamples=["unassalpha"])
    assert find_encoding([Side(tmp_path / "2.tif")]) == Encoding(3)


def test_what_a_person_knows_better_is_taken_at_its_word(tmp_path):
    side = save(tmp_path / "1.png", label_map(12))
    assert find_encoding([side], kind="picture") == Encoding(3)
    assert find_encoding([side], value_range=(0, 11)) == Encoding(3, 0, 11)
    noisy = save(tmp_path / "2.png", GREYS.astype(np.uint8))
    assert len(find_encoding([noisy], kind="labels").classes) == 256
    colours = np.random.default_rng(0).integers(0, 256, (48, 64, 3), np.uint8)
    with pytest.raises(ValueError, match="more than 256 different values"):
        find_encoding([save(tmp_path / "3.png", colours)], kind="labels")


def test_label_maps_are_resized_to_the_nearest_pixel(tmp_path):
    """Smooth resizing made 792 colours of 4."""
    numbers = label_map(4) * 80
    pair = Pair(save(tmp_path / "a.png", numbers).file, save(tmp_path / "b.png", numbers).file)
    encoding = find_encoding([Side(pair.a)])
    both = (encoding, encoding)
    dataset = PairedDataset([pair], size=(30, 50), encodings=both, jitter=True)
    for _ in range(3):
        real_a, _ = dataset[0]
        colours = {tuple(c) for c in real_a.permute(1, 2, 0).reshape(-1, 3).tolist()}
        allowed = to_float(torch.tensor(encoding.colours, dtype=torch.uint8)).tolist()
        assert colours <= {tuple(colour) for colour in allowed}
    smooth = PairedDataset([pair], size=(100, 100), jitter=False)[0][0]
    assert len(smooth.unique()) > 4


# --- ranges and bands ---------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("values", "ending", "low", "high"),
    [
        (GREYS + 200, "png", 0, 4095),  # 12 bits in 16
        (GREYS * 21, "tif", 0, 65535),
        (GREYS // 4, "png", 0, 1023),
        (GREYS / np.float32(4000), "tif", 0, 1),
        (GREYS / np.float32(2000) - 1, "tif", -1, 1),
        (GREYS.astype(np.float32) - 1000, "npy", -1000, 64 * 48 - 1001),  # Hounsfield units, say
        (GREYS.astype(np.int32) - 1000, "npy", -1000, 64 * 48 - 1001),
    ],
)
def test_range_of_the_values_is_found_and_used(tmp_path, values, ending, low, high):
    side = save(tmp_path / f"1.{ending}", values)
    encoding = find_encoding([side])
    assert (encoding.low, encoding.high) == (low, high)
    seen = as_network_sees(encoding, side)
    expected = (torch.from_numpy(values.astype(np.float64)) - low) / (high - low) * 2 - 1
    assert torch.allclose(seen[0].double(), expected, atol=1e-6) and seen.shape == (3, 48, 64)
    assert len(seen.unique()) > 700  # not 17 grey levels


def test_range_is_that_of_all_sampled_files_and_can_be_told(tmp_path):
    dark, bright = save(tmp_path / "1.png", GREYS // 16), save(tmp_path / "2.png", GREYS)
    assert find_encoding([dark, bright]).high == 4095
    told = find_encoding([dark, bright], value_range=(0, 100))
    assert as_network_sees(told, bright).max() == 1  # clipped
    with pytest.raises(ValueError, match="from LOW to HIGH; got 5:5"):
        find_encoding([dark], value_range=(5, 5))


def test_values_that_are_no_numbers_are_refused(tmp_path):
    values = GREYS.astype(np.float32)
    values[3, 4] = np.nan
    with pytest.raises(ValueError, match="not numbers"):
        find_encoding([save(tmp_path / "1.npy", values)])


@pytest.mark.parametrize("bands", [2, 4, 5, 13])
@pytest.mark.parametrize("ending", ["npy", "tif"])
def test_bands_become_channels(tmp_path, bands, ending):
    values = np.random.default_rng(0).integers(0, 3000, (48, 64, bands)).astype(np.uint16)
    if ending == "tif":
        tifffile.imwrite(tmp_path / "1.tif", values, photometric="minisblack",
                         planarconfig="contig")  # fmt: skip
    else:
        np.save(tmp_path / "1.npy", values)
    side = Side(tmp_path / f"1.{ending}")
    encoding = find_encoding([side])
    assert (encoding.channels, encoding.low, encoding.high) == (bands, 0, 4095)
    seen = as_network_sees(encoding, side)
    expected = torch.from_numpy(values.astype(np.float32)).permute(2, 0, 1) / 4095 * 2 - 1
    assert torch.allclose(seen, expected, atol=1e-6)
    with pytest.raises(ValueError, match=f"expected 3 bands, but it has {bands}"):
        as_network_sees(Encoding(3, 0, 4095), side)


def test_grey_and_colour_change_into_each_other(tmp_path):
    grey = save(tmp_path / "1.png", GREYS)
    assert torch.equal(as_network_sees(find_encoding([grey], 1), grey)[0],
                       as_network_sees(find_encoding([grey], 3), grey)[2])  # fmt: skip
    colours = np.random.default_rng(0).random((48, 64, 3)).astype(np.float32)
    tifffile.imwrite(tmp_path / "2.tif", colours, photometric="rgb")
    side = Side(tmp_path / "2.tif")
    seen = as_network_sees(find_encoding([side], 1), side)
    expected = torch.from_numpy(colours) @ torch.tensor([0.299, 0.587, 0.114]) * 2 - 1
    assert torch.allclose(seen[0], expected, atol=1e-6)


# --- to look at, on cards, and back into files --------------------------------------------------


def test_classes_and_bands_can_be_looked_at(tmp_path):
    numbers = label_map(5)
    side = save(tmp_path / "1.png", numbers)
    encoding = find_encoding([side], channels=5)
    shown = encoding.as_colours(as_network_sees(encoding, side)[None])
    expected = np.array(encoding.colours, np.uint8)[numbers]
    assert torch.equal(shown[0], to_float(torch.from_numpy(expected).permute(2, 0, 1)))
    bands = torch.rand(2, 6, 4, 4)
    assert torch.equal(Encoding(6).as_colours(bands), bands[:, :3])
    assert torch.equal(Encoding(2).as_colours(bands[:, :2]), bands[:, :1])
    assert torch.equal(Encoding(3).as_colours(bands[:, :3]), bands[:, :3])


@pytest.mark.parametrize(
    "encoding",
    [
        Encoding(), Encoding(5, -1.5, 4095.0),
        Encoding(4, classes=((0,), (9,), (255,)), colours=((1, 2, 3), (4, 5, 6), (7, 8, 9))),
    ],
    ids=["plain", "bands", "labels"],
)  # fmt: skip
def test_encodings_survive_a_card(encoding):
    assert encoding_from_dict(json.loads(json.dumps(asdict(encoding)))) == encoding
    with pytest.raises(ValueError, match="not what tells how values are encoded"):
        encoding_from_dict({"colour": 3})


def test_results_have_the_values_of_the_target_s_files(tmp_path):
    image = torch.rand(3, 8, 9) * 2 - 1
    cases = [
        (Encoding(3), ".png", image, np.uint8, 255),
        (Encoding(1, 0, 4095), ".png", image[:1], np.uint16, 4095),
        (Encoding(3, 0, 65535), ".tif", image, np.uint16, 65535),
        (Encoding(3, 0, 1), ".tif", image, np.float32, 1),
        (Encoding(5, 0, 4095), ".tif", torch.rand(5, 8, 9) * 2 - 1, np.uint16, 4095),
    ]
    for encoding, ending, picture, kind, high in cases:
        assert result_suffix(encoding) == ending
        path = tmp_path / f"{encoding.channels}_{high}{ending}"
        write_encoded(path, picture, encoding)
        values = read_values(path)
        assert values.dtype == kind and values.shape == tuple(picture.shape)
        expected = (picture.numpy() + 1) / 2 * high
        assert np.abs(values - expected).max() <= (1e-6 if kind == np.float32 else 0.5 + 1e-3)
    labels = Encoding(4, classes=((0,), (1,), (2,), (3,)), colours=((9, 9, 9),) * 3 + ((1, 2, 3),))
    hot = torch.full((4, 8, 9), -1.0)
    hot[3] = 0.2
    write_encoded(tmp_path / "labels.png", hot, labels)
    assert result_suffix(labels) == ".png"
    assert read_image(tmp_path / "labels.png")[:, 0, 0].tolist() == [1, 2, 3]
