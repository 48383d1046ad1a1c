"""Corrupting a pair: no change at strength 0, the named one at strength 1, reproducible."""

import pytest
import torch

from pix2pix_lib.corruptions import CORRUPTIONS, NOISE_STD, corrupt, recolour, shift, shuffle


@pytest.fixture
def pair():
    """An input, an image, and another pair's input, each (3, 32, 32)."""
    return torch.rand(3, 3, 32, 32, generator=torch.Generator().manual_seed(0)) * 2 - 1


@pytest.mark.parametrize("kind", CORRUPTIONS)
def test_strength_0_changes_nothing(kind, pair):
    real_a, image, other_a = pair
    after_a, after = corrupt(kind, 0.0, real_a, image, other_a)
    assert torch.equal(after_a, real_a) and torch.equal(after, image)


@pytest.mark.parametrize("kind", CORRUPTIONS[1:])
def test_more_strength_changes_more_and_the_same_every_time(kind, pair):
    real_a, image, other_a = pair
    before = torch.stack([real_a, image])
    changes = [
        (torch.stack(corrupt(kind, strength, real_a, image, other_a)) - before).abs().mean()
        for strength in (0.25, 1.0, 1.0)
    ]
    assert 0 < changes[0] < changes[1] == changes[2]
    assert torch.equal(torch.stack([real_a, image]), before)  # the originals are left alone


@pytest.mark.parametrize("kind", CORRUPTIONS[1:])
def test_only_the_wrong_label_touches_the_input(kind, pair):
    real_a, image, other_a = pair
    after_a, after = corrupt(kind, 1.0, real_a, image, other_a)
    assert torch.equal(after_a, real_a) == (kind != "wrong label")
    assert torch.equal(after, image) == (kind == "wrong label")
    assert after.min() >= -1 and after.max() <= 1 and after.shape == image.shape


def test_wrong_label_replaces_the_left_part(pair):
    real_a, image, other_a = pair
    after_a, _ = corrupt("wrong label", 0.5, real_a, image, other_a)
    assert torch.equal(after_a[:, :, :16], other_a[:, :, :16])
    assert torch.equal(after_a[:, :, 16:], real_a[:, :, 16:])


def test_blur_keeps_a_flat_image_and_the_mean_of_a_point():
    flat = torch.full((3, 32, 32), 0.25)
    assert torch.allclose(corrupt("blur", 1.0, flat, flat, flat)[1], flat, atol=1e-6)
    point = torch.zeros(3, 65, 65)
    point[:, 32, 32] = 1
    blurred = corrupt("blur", 0.5, point, point, point)[1]
    assert blurred.sum() == pytest.approx(3, abs=1e-4)
    offsets = torch.arange(65.0) - 32
    variance = float((blurred[0].sum(0) * offsets**2).sum())
    assert variance == pytest.approx(4, rel=0.05)  # sigma = 2 pixels


def test_noise_has_the_stated_strength():
    grey = torch.zeros(3, 64, 64)
    noisy = corrupt("noise", 0.5, grey, grey, grey)[1]
    assert float(noisy.std()) == pytest.approx(NOISE_STD / 2, rel=0.05)


def test_recolour_at_full_strength_only_exchanges_channels(pair):
    image = pair[1]
    assert torch.equal(recolour(image, 1.0), image[[2, 0, 1]])


def test_shift_moves_right_and_repeats_the_border(pair):
    image = pair[1]
    moved = shift(image, 1.0)
    assert torch.equal(moved[:, :, 4:], image[:, :, :-4])
    assert torch.equal(moved[:, :, :4], image[:, :, :1].expand(-1, -1, 4))


def test_shuffle_keeps_every_tile_whole(pair):
    image = pair[1]

    def tiles(picture):
        return sorted(
            tuple(picture[:, r : r + 4, c : c + 4].flatten().tolist())
            for r in range(0, 32, 4)
            for c in range(0, 32, 4)
        )

    shuffled = shuffle(image, 0.5)
    assert tiles(shuffled) == tiles(image)
    changed = sum(
        not torch.equal(shuffled[:, r : r + 4, c : c + 4], image[:, r : r + 4, c : c + 4])
        for r in range(0, 32, 4)
        for c in range(0, 32, 4)
    )
    assert changed == 32  # half of 64


def test_errors_name_what_is_allowed(pair):
    names = "none, blur, noise, recolour, shift, shuffle, wrong label"
    with pytest.raises(ValueError, match=names):
        corrupt("rain", 0.5, *pair)
    with pytest.raises(ValueError, match=r"strength must be from 0 to 1; got 1\.5"):
        corrupt("blur", 1.5, *pair)
    with pytest.raises(ValueError, match="multiples of 8"):
        shuffle(torch.zeros(3, 30, 32), 0.5)
