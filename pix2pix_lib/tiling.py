"""Images of any size through a network that takes only multiples of some step: padding, and overlapping tiles.

A network here is any function that maps (1, C, H, W) to (1, C', H, W).
"""

import math
from collections.abc import Callable

import torch
from torch import Tensor
from torch.nn import functional

Network = Callable[[Tensor], Tensor]


def translate_padded(network: Network, real_a: Tensor, step: int) -> Tensor:
    """Return the network's image of (1, C, H, W) at the same height and width, whatever they are.

    The network gets the image with its right and bottom edges mirrored outwards, up to multiples of `step`. An image
    smaller than that margin has too little to mirror; its last row and column are repeated instead.
    """
    height, width = real_a.shape[2:]
    right, bottom = -width % step, -height % step
    mode = "reflect" if right < width and bottom < height else "replicate"
    padded = functional.pad(real_a, (0, right, 0, bottom), mode=mode)
    return network(padded)[:, :, :height, :width]


def translate_tiled(network: Network, real_a: Tensor, tile: int, overlap: int) -> Tensor:
    """Return the image that the network makes of (1, C, H, W) tile by tile, smoothly blended where tiles overlap.

    The network sees at most `tile` x `tile` pixels at once; neighbouring tiles share at least `overlap` pixels.

    Raises:
        ValueError: if `tile` is not positive, or `overlap` is not from 0 to tile - 1.
    """
    rows, columns = (tile_weights(length, tile, overlap) for length in real_a.shape[2:])
    fake_b = None
    for top, row_weights in rows:
        for left, column_weights in columns:
            here = (..., slice(top, top + len(row_weights)), slice(left, left + len(column_weights)))
            translated = network(real_a[here])
            if fake_b is None:  # only now is the number of output channels known
                fake_b = translated.new_zeros(1, translated.shape[1], *real_a.shape[2:])
            weights = torch.outer(row_weights, column_weights).to(translated)  # (tile height, tile width)
            fake_b[here] += weights * translated
    return fake_b


def tile_weights(length: int, tile: int, overlap: int) -> list[tuple[int, Tensor]]:
    """Return for each tile along one side of an image where it starts and the weight of each of its pixels.

    The weights are float64, those of all tiles at one pixel sum to one, and they fall smoothly to almost 0 towards
    an edge that another tile covers.

    Raises:
        ValueError: as `translate_tiled`.
    """
    starts = tile_starts(length, tile, overlap)
    size = min(tile, length)
    window = torch.sin(math.pi * (torch.arange(size, dtype=torch.float64) + 0.5) / size) ** 2  # nowhere 0
    total = torch.zeros(length, dtype=torch.float64)
    for start in starts:
        total[start:start + size] += window
    return [(start, window / total[start:start + size]) for start in starts]


def tile_starts(length: int, tile: int, overlap: int) -> list[int]:
    """Return where the fewest tiles start that cover `length` pixels with at least `overlap` in common, evenly spread.

    Raises:
        ValueError: as `translate_tiled`.
    """
    if tile < 1 or not 0 <= overlap < tile:
        raise ValueError(f"tiles need a positive size and an overlap from 0 to size - 1; got {tile} and {overlap}")
    if length <= tile:
        return [0]
    last = -(-(length - tile) // (tile - overlap))  # number of the last tile, counted from 0
    return [number * (length - tile) // last for number in range(last + 1)]
