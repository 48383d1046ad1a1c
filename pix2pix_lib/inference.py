"""Translating images with a trained generator: one batch, any size, tile by tile.

Source: Isola et al. 2017, section 3 (dropout as noise, also at test time) and section 3.3
(statistics of the image at hand).
"""

import copy
import math
from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from .randomness import SeededRandom
from .validation import InputError

Network = Callable[[Tensor], Tensor]  # maps (1, C, H, W) to (1, C', H, W)


@torch.no_grad()
def translate(generator: nn.Module, real_a: Tensor, seed: int = 0) -> Tensor:
    """Return fake_b for a batch of inputs, one image at a time, as the paper translates.

    Dropout stays on: it is the generator's only source of variety. A norm takes its statistics from
    the image at hand. The generator is only read: its mode, its running averages and torch's random
    state stay as they are, even while another thread trains it.

    Args:
        generator: any module that maps (1, C, H, W) to (1, C', H, W).
        real_a: (N, C, H, W) in [-1, 1], on the generator's device.
        seed: of the dropout's noise, the same for every image, whatever else is in the batch.

    Returns:
        (N, C', H, W), in [-1, 1] for the generators of this library.
    """
    network = _replica(generator).train()
    fake_b = []
    for image in real_a:
        with SeededRandom(seed):
            fake_b.append(network(image[None]))
    return torch.cat(fake_b)


def _replica(module: nn.Module) -> nn.Module:
    """Return a copy that shares the module's weights, but has a mode and buffers of its own."""
    replica = copy.copy(module)
    replica.__dict__["_buffers"] = {
        name: None if buffer is None else buffer.clone() for name, buffer in module._buffers.items()
    }
    replica.__dict__["_modules"] = {
        name: None if child is None else _replica(child) for name, child in module._modules.items()
    }
    return replica


def smallest_side(generator: nn.Module) -> int:
    """Return the smallest height and width that a generator takes, in pixels."""
    return getattr(generator, "smallest_side", 2**generator.depth)


def translate_padded(network: Network, real_a: Tensor, step: int, smallest: int = 1) -> Tensor:
    """Return the network's image of (1, C, H, W) at the same height and width, whatever they are.

    The network gets the image with its right and bottom edges mirrored outwards, up to multiples of
    `step` and at least `smallest`. Where an image is too small to mirror, its last row and column
    are repeated instead.
    """
    height, width = real_a.shape[2:]
    bottom, right = (max(-(-side // step) * step, smallest) - side for side in (height, width))
    mode = "reflect" if right < width and bottom < height else "replicate"
    padded = F.pad(real_a, (0, right, 0, bottom), mode=mode)
    return network(padded)[:, :, :height, :width]


def translate_tiled(network: Network, real_a: Tensor, tile: int, overlap: int) -> Tensor:
    """Return the image that the network makes of (1, C, H, W) tile by tile, blended smoothly.

    The network sees at most `tile` x `tile` pixels at once; neighbouring tiles share at least
    `overlap` pixels.

    Raises:
        InputError: if `tile` is not positive, or `overlap` is not from 0 to tile - 1.
    """
    rows, columns = (tile_weights(length, tile, overlap) for length in real_a.shape[2:])
    fake_b = None
    for top, row_weights in rows:
        for left, column_weights in columns:
            down = slice(top, top + len(row_weights))
            across = slice(left, left + len(column_weights))
            translated = network(real_a[..., down, across])
            if fake_b is None:  # only now is the number of output channels known
                fake_b = translated.new_zeros(1, translated.shape[1], *real_a.shape[2:])
            weights = torch.outer(row_weights, column_weights).to(translated)  # (height, width)
            fake_b[..., down, across] += weights * translated
    return fake_b


def tile_weights(length: int, tile: int, overlap: int) -> list[tuple[int, Tensor]]:
    """Return where each tile starts along one side of an image, and the weights of its pixels.

    The weights are float64. Those of all tiles at one pixel sum to one, and they fall smoothly to
    almost 0 towards an edge that another tile covers.

    Raises:
        InputError: as `translate_tiled`.
    """
    starts = tile_starts(length, tile, overlap)
    size = min(tile, length)
    phase = math.pi * (torch.arange(size, dtype=torch.float64) + 0.5) / size
    window = torch.sin(phase) ** 2  # nowhere 0
    total = torch.zeros(length, dtype=torch.float64)
    for start in starts:
        total[start : start + size] += window
    return [(start, window / total[start : start + size]) for start in starts]


def tile_starts(length: int, tile: int, overlap: int) -> list[int]:
    """Return where tiles start that cover `length` pixels: the fewest possible, evenly spread.

    Neighbours share at least `overlap` pixels.

    Raises:
        InputError: as `translate_tiled`.
    """
    if tile < 1 or not 0 <= overlap < tile:
        raise InputError(
            "tiles need a positive size and an overlap from 0 to size - 1; "
            f"got {tile} and {overlap}"
        )
    if length <= tile:
        return [0]
    last = -(-(length - tile) // (tile - overlap))  # number of the last tile, counted from 0
    return [number * (length - tile) // last for number in range(last + 1)]
