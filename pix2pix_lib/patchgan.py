"""The patch discriminator: one logit for each overlapping patch of an image.

Source: Isola et al. 2017, section 3.2.2 "Markovian discriminator (PatchGAN)" and appendix 6.1.2.
"""

import torch
from torch import Tensor, nn

from .layers import init_weights, make_norm, needs_bias


def disc_block(in_channels: int, out_channels: int, *, stride: int, norm: str) -> nn.Sequential:
    """Return a 4x4 convolution with padding 1, norm, LeakyReLU 0.2 (Ck in the paper).

    Maps (N, in_channels, H, W) to (N, out_channels, H/2, W/2) with stride 2, to (..., H-1, W-1)
    with stride 1.
    """
    return nn.Sequential(
        nn.Conv2d(
            in_channels,
            out_channels,
            kernel_size=4,
            stride=stride,
            padding=1,
            bias=needs_bias(norm),
        ),
        make_norm(norm, out_channels),
        nn.LeakyReLU(0.2),
    )


class PatchDiscriminator(nn.Module):
    """Judge each patch of an (input, image) pair.

    Called with images of shape (N, C, H, W) in [-1, 1] that together have `in_channels` channels:
    D(real_a, fake_b) is conditioned on the input, D(fake_b) is not. Returns (N, 1, H', W') patch
    logits; 256x256 gives 30x30 with 3 layers, which are the 70x70 PatchGAN: C64-C128-C256-C512.
    There is no sigmoid: the losses work on logits. The first block has no norm.

    Args:
        in_channels: of all images together.
        base_channels: channels after the first block.
        layers: number of stride-2 convolutions; 1, 2, 3, 4, 5 see patches of 16, 34, 70, 142, 286
            pixels. 0 is the PixelGAN, three 1x1 convolutions that judge each pixel alone.
        norm: one of `layers.NORMS`.

    Raises:
        ValueError: if an option is not known; in `forward`, if channels or sizes do not fit.

    Source: Isola et al. 2017, appendix 6.1.2.
    """

    def __init__(
        self, in_channels: int = 6, *, base_channels: int = 64, layers: int = 3, norm: str = "batch"
    ):
        super().__init__()
        if layers < 0:
            raise ValueError(f"layers must be 0 (PixelGAN) or more; got {layers}")
        self.in_channels = in_channels
        if layers == 0:
            self.model = pixel_layers(in_channels, base_channels, norm)
        else:
            self.model = patch_layers(in_channels, base_channels, layers, norm)
        self.apply(init_weights)

    def forward(self, *images: Tensor) -> Tensor:
        if len({image.shape[2:] for image in images}) > 1:
            raise ValueError(
                f"the images of a pair must have one size; got {[tuple(i.shape) for i in images]}"
            )
        pair = torch.cat(images, dim=1)  # (N, C_a, H, W) + (N, C_b, H, W) -> (N, C_a + C_b, H, W)
        if pair.shape[1] != self.in_channels:
            raise ValueError(
                f"expected {self.in_channels} channels in all (input and image); got "
                f"{pair.shape[1]} from {len(images)} image(s)"
            )
        return self.model(pair)  # (N, 1, H', W')


def patch_layers(in_channels: int, base_channels: int, layers: int, norm: str) -> nn.Sequential:
    """Return `layers` blocks of stride 2, one of stride 1, a convolution to a logit per patch."""
    blocks = [disc_block(in_channels, base_channels, stride=2, norm="none")]
    channels = base_channels
    for level in range(1, layers + 1):
        before, channels = channels, base_channels * min(2**level, 8)
        blocks.append(disc_block(before, channels, stride=2 if level < layers else 1, norm=norm))
    return nn.Sequential(*blocks, nn.Conv2d(channels, 1, kernel_size=4, stride=1, padding=1))


def pixel_layers(in_channels: int, base_channels: int, norm: str) -> nn.Sequential:
    """Return the 1x1 discriminator: C64-C128 and a logit, all with 1x1 kernels."""
    bias = needs_bias(norm)
    return nn.Sequential(
        nn.Conv2d(in_channels, base_channels, kernel_size=1),
        nn.LeakyReLU(0.2),
        nn.Conv2d(base_channels, 2 * base_channels, kernel_size=1, bias=bias),
        make_norm(norm, 2 * base_channels),
        nn.LeakyReLU(0.2),
        nn.Conv2d(2 * base_channels, 1, kernel_size=1, bias=bias),
    )
