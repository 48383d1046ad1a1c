"""The segmenter that reads generated facades: how the FCN-score judges a picture.

A network that has only ever seen true photos says which class each pixel of a generated one shows.
If it finds what the label map asked for, the picture is recognisable. Source: Isola et al. 2017,
section 4.1, after the FCN of Long et al. 2015; this one is a small U-Net.
"""

from collections.abc import Sequence
from itertools import pairwise

import torch
import torch.nn.functional as F
from torch import Tensor, nn

CHANNELS = (16, 32, 64, 112)  # of the four levels


class Segmenter(nn.Module):
    """Says which class each pixel shows: (N, 3, H, W) in [-1, 1] to logits (N, classes, H, W).

    Four levels, each with two 3x3 convolutions, batch norm and ReLU; the decoder doubles the size
    and gets the encoder's maps. H and W are multiples of 8.
    """

    def __init__(self, classes: int = 12, channels: Sequence[int] = CHANNELS):
        super().__init__()
        self.channels = tuple(channels)
        self.encoder = nn.ModuleList(map(_convs, (3, *channels), channels))
        self.decoder = nn.ModuleList(
            _convs(below + level, level) for level, below in pairwise(channels)
        )
        self.head = nn.Conv2d(channels[0], classes, 1)

    def encode(self, image: Tensor) -> list[Tensor]:
        """Return the maps of the four levels, from full size to an eighth."""
        maps = []
        for level, convs in enumerate(self.encoder):
            image = convs(F.max_pool2d(image, 2) if level else image)
            maps.append(image)
        return maps

    def forward(self, image: Tensor) -> Tensor:
        *skips, x = self.encode(image)
        for convs, skip in reversed(list(zip(self.decoder, skips, strict=True))):
            x = F.interpolate(x, scale_factor=2.0, mode="nearest")
            x = convs(torch.cat([x, skip], dim=1))
        return self.head(x)

    def features(self, image: Tensor) -> Tensor:
        """Return what the picture looks like to the segmenter: the innermost maps' means (N, C)."""
        return self.encode(image)[-1].mean(dim=(2, 3))


def _convs(in_channels: int, out_channels: int) -> nn.Sequential:
    layers: list[nn.Module] = []
    for channels in (in_channels, out_channels):
        layers += [
            nn.Conv2d(channels, out_channels, 3, padding=1, bias=False),
            nn.BatchNorm2d(out_channels),
            nn.ReLU(inplace=True),
        ]
    return nn.Sequential(*layers)
