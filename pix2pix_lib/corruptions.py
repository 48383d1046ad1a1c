"""Ways to spoil a pair step by step, to see what a discriminator or a measure punishes or misses.

Each takes and returns (real_a, image), two (3, H, W) tensors in [-1, 1], and a strength from 0
(nothing) to 1. The same arguments give the same result. Only `wrong_label` changes the input
real_a.
"""

import torch
from torch import Tensor
from torchvision.transforms.v2 import functional as transforms

from .validation import InputError, check_choice

CORRUPTIONS = ("none", "blur", "noise", "recolour", "shift", "shuffle", "wrong label")
BLUR_SIGMA = 4.0  # pixels, at strength 1
NOISE_STD = 0.5  # in units of [-1, 1], at strength 1
SHIFT_SHARE = 1 / 8  # of the width, at strength 1
TILES = 8  # along each side


def corrupt(
    kind: str, strength: float, real_a: Tensor, image: Tensor, other_a: Tensor
) -> tuple[Tensor, Tensor]:
    """Spoil a pair in one of the ways of `CORRUPTIONS`.

    Args:
        strength: 0 (nothing) to 1.
        real_a, image: (3, H, W) in [-1, 1].
        other_a: the input of another pair, for "wrong label".

    Returns:
        (real_a, image), spoilt.

    Raises:
        InputError: if the kind is not known or the strength is not in [0, 1].
    """
    check_choice("corruption", kind, CORRUPTIONS)
    if not 0 <= strength <= 1:
        raise InputError(f"strength must be from 0 to 1; got {strength}")
    if kind == "none" or strength == 0:
        return real_a, image
    if kind == "wrong label":
        return wrong_label(real_a, other_a, strength), image
    change = {
        "blur": blur, "noise": noise, "recolour": recolour, "shift": shift, "shuffle": shuffle,
    }[kind]  # fmt: skip
    return real_a, change(image, strength)


def blur(image: Tensor, strength: float) -> Tensor:
    """Blur with a Gaussian whose standard deviation is up to `BLUR_SIGMA` pixels."""
    sigma = BLUR_SIGMA * strength
    return transforms.gaussian_blur(image, 2 * round(3 * sigma) + 1, sigma)


def noise(image: Tensor, strength: float) -> Tensor:
    """Add normal noise, its standard deviation up to `NOISE_STD`, and clip to [-1, 1]."""
    generator = torch.Generator().manual_seed(0)
    return (
        image + NOISE_STD * strength * torch.randn(image.shape, generator=generator)
    ).clamp(-1, 1)  # fmt: skip


def recolour(image: Tensor, strength: float) -> Tensor:
    """Fade to the image whose red, green and blue have changed places; edges and textures stay."""
    return torch.lerp(image, image.roll(1, dims=0), strength)


def shift(image: Tensor, strength: float) -> Tensor:
    """Move the image right by up to an eighth of its width; its left column fills the gap."""
    pixels = round(image.shape[2] * SHIFT_SHARE * strength)
    columns = (torch.arange(image.shape[2]) - pixels).clamp(min=0)
    return image[:, :, columns]


def shuffle(image: Tensor, strength: float) -> Tensor:
    """Let a share of the 8x8 tiles swap places in a circle; every tile stays whole.

    Raises:
        InputError: if height or width is no multiple of 8.
    """
    height, width = image.shape[1] // TILES, image.shape[2] // TILES
    if (height * TILES, width * TILES) != tuple(image.shape[1:]):
        raise InputError(
            f"height and width must be multiples of {TILES} to be cut into tiles; "
            f"got {image.shape[1:]}"
        )
    # (C, H, W) -> (64, C, h, w)
    tiles = image.reshape(-1, TILES, height, TILES, width).permute(1, 3, 0, 2, 4).flatten(0, 1)
    moved = torch.randperm(len(tiles), generator=torch.Generator().manual_seed(0))[
        : round(len(tiles) * strength)
    ]
    tiles[moved] = tiles[moved.roll(1)]
    return tiles.unflatten(0, (TILES, TILES)).permute(2, 0, 3, 1, 4).reshape(image.shape)


def wrong_label(real_a: Tensor, other_a: Tensor, strength: float) -> Tensor:
    """Replace the left part of an input, up to all of it, by that of another one."""
    columns = round(real_a.shape[2] * strength)
    return torch.cat([other_a[:, :, :columns], real_a[:, :, columns:]], dim=2)
