"""How images get the size that networks learn at."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from pix2pix_lib.resizing import (
    RESIZES,
    centre_crop,
    frame,
    framed_shape,
    parse_size,
    rescale,
    resize,
    scaled_shape,
    size_text,
)


def gradient(height: int, width: int) -> torch.Tensor:
    """Return (3, H, W) uint8: the row, the column, and 100."""
    rows = torch.arange(height).reshape(-1, 1).expand(height, width)
    columns = torch.arange(width).expand(height, width)
    return torch.stack([rows, columns, torch.full((height, width), 100)]).to(torch.uint8)


@pytest.mark.parametrize(
    ("mode", "expected"),
    [
        ("stretch", (128, 128)),
        ("crop", (128, 171)),  # the shorter side fits, the longer one is cut off
        ("fit", (96, 128)),
        ("scale-width", (96, 128)),
        ("none", (480, 640)),
    ],
)
def test_a_photo_of_640x480_at_128(mode, expected):
    assert scaled_shape((480, 640), (128, 128), mode) == expected


def test_scale_width_and_fit_differ_for_upright_pictures():
    assert scaled_shape((640, 480), (128, 128), "scale-width") == (171, 128)
    assert scaled_shape((640, 480), (128, 128), "fit") == (128, 96)


sides = st.integers(2, 70)


@settings(deadline=None)  # the first call imports torchvision
@given(sides, sides, sides, sides, st.sampled_from(RESIZES))
def test_a_crop_of_the_size_always_fits_and_shapes_are_kept(h, w, height, width, mode):
    image = gradient(h, w)
    framed = frame(image, (height, width), mode)
    assert tuple(framed.shape[1:]) == framed_shape((h, w), (height, width), mode)
    assert framed.shape[1] >= height and framed.shape[2] >= width
    assert centre_crop(framed, (height, width)).shape == (3, height, width)
    down, across = scaled_shape((h, w), (height, width), mode)
    if mode != "stretch":  # but for rounding, and no side vanishes
        assert abs(down / h - across / w) <= 0.5 / h + 0.5 / w or 1 in (down, across)


def test_fit_repeats_the_edges_and_keeps_the_picture_in_the_middle():
    framed = frame(gradient(4, 8), (8, 8), "fit")
    assert torch.equal(framed[:, 2:6], gradient(4, 8))
    assert torch.equal(framed[:, 0], framed[:, 2]) and torch.equal(framed[:, 7], framed[:, 5])


def test_nothing_is_invented_between_two_classes():
    classes = torch.tensor([[[0, 9], [9, 0]]], dtype=torch.uint8)
    assert set(resize(classes, (7, 5), nearest=True).unique().tolist()) == {0, 9}
    assert len(resize(classes, (7, 5)).unique()) > 2


def test_floats_stay_in_range():
    steps = torch.tensor([[[-1.0, -1, 1, 1]]]).expand(1, 4, 4)
    assert resize(steps, (9, 9)).max() > 1  # bicubic overshoots at a step
    larger = rescale(steps, (9, 9))
    assert larger.min() >= -1 and larger.max() <= 1


@pytest.mark.parametrize(("text", "size"), [("256", 256), ("320x192", (192, 320)),
                                            ("320X192", (192, 320))])  # fmt: skip
def test_sizes_are_written_as_width_x_height(text, size):
    assert parse_size(text) == size
    assert size_text(size) == text.lower()


@pytest.mark.parametrize("text", ["", "a", "3x", "3x4x5", "3.5"])
def test_what_is_no_size_is_refused(text):
    with pytest.raises(ValueError):
        parse_size(text)
