"""The ResNet generator of CycleGAN, from its four blocks up.

In the paper's notation c7s1-k is a 7x7 convolution with stride 1, dk halves the image, Rk is a
residual block, uk doubles the image; k counts the channels. Each convolution is followed by a norm
and ReLU, except the last one, which is followed by tanh.

Source: Zhu et al. 2017, "Unpaired image-to-image translation using cycle-consistent adversarial
networks", appendix 7.2; Johnson et al. 2016, "Perceptual losses for real-time style transfer".
"""

import torch
from torch import Tensor, nn

from .layers import UPSAMPLINGS, init_weights, make_norm, needs_bias
from .validation import check_choice


def wide_layers(in_channels: int, out_channels: int) -> nn.Sequential:
    """Return the 7x7 convolution of c7s1-k on a mirrored border: (N, in, H, W) to (N, out, H, W).

    Zeros around a picture would be an edge that no picture has, and a 7x7 kernel sees it three
    pixels deep.
    """
    return nn.Sequential(nn.ReflectionPad2d(3), nn.Conv2d(in_channels, out_channels, kernel_size=7))


def halving_layers(in_channels: int, out_channels: int, norm: str) -> nn.Sequential:
    """Return dk (3x3 convolution of stride 2, norm, ReLU): (N, in, H, W) to (N, out, H/2, W/2)."""
    return nn.Sequential(
        nn.Conv2d(
            in_channels, out_channels, kernel_size=3, stride=2, padding=1, bias=needs_bias(norm)
        ),
        make_norm(norm, out_channels),
        nn.ReLU(),
    )


def doubling_layers(
    in_channels: int, out_channels: int, norm: str, upsampling: str
) -> nn.Sequential:
    """Return uk (doubling, norm, ReLU): (N, in, H, W) to (N, out, 2H, 2W).

    `transposed` is the paper's 3x3 convolution with stride 1/2; `resize` repeats pixels and then
    convolves, with as many weights.

    Raises:
        InputError: if `upsampling` is not one of `layers.UPSAMPLINGS`.
    """
    check_choice("upsampling", upsampling, UPSAMPLINGS)
    bias = needs_bias(norm)
    if upsampling == "transposed":
        doubling = [
            nn.ConvTranspose2d(
                in_channels,
                out_channels,
                kernel_size=3,
                stride=2,
                padding=1,
                output_padding=1,
                bias=bias,
            )
        ]
    else:
        doubling = [
            nn.Upsample(scale_factor=2, mode="nearest"),
            nn.Conv2d(in_channels, out_channels, kernel_size=3, padding=1, bias=bias),
        ]
    return nn.Sequential(*doubling, make_norm(norm, out_channels), nn.ReLU())


class ResidualBlock(nn.Module):
    """Add to the features what two 3x3 convolutions make of them (Rk in the paper).

    Maps (N, channels, H, W) to the same shape. Borders are mirrored; dropout lies between the
    convolutions.
    """

    def __init__(self, channels: int, *, norm: str, dropout: float = 0.0):
        super().__init__()
        bias = needs_bias(norm)
        self.change = nn.Sequential(
            nn.ReflectionPad2d(1),
            nn.Conv2d(channels, channels, kernel_size=3, bias=bias),
            make_norm(norm, channels),
            nn.ReLU(),
            nn.Dropout(dropout),
            nn.ReflectionPad2d(1),
            nn.Conv2d(channels, channels, kernel_size=3, bias=bias),
            make_norm(norm, channels),
        )

    def forward(self, x: Tensor) -> Tensor:
        return x + self.change(x)


class ResNetGenerator(nn.Module):
    """Translate images: two halvings, residual blocks at a quarter of the size, two doublings.

    Maps (N, in_channels, H, W) in [-1, 1] to (N, out_channels, H, W) in [-1, 1]; H and W must be
    multiples of 4 and at least 8. The defaults are the paper's network for 256x256, c7s1-64, d128,
    d256, nine times R256, u128, u64, c7s1-3: 11,378,179 parameters. For 128x128 and below the paper
    has six blocks.

    Args:
        base_channels: channels after the first layer.
        blocks: number of residual blocks.
        norm: one of `layers.NORMS`.
        dropout: probability that a feature is dropped inside a residual block; 0 in the paper.
        upsampling: one of `layers.UPSAMPLINGS`.

    Raises:
        ValueError: if an option is not known or out of range; in `forward`, if the input's shape
            does not fit.

    Source: Zhu et al. 2017, appendix 7.2.
    """

    depth = 2  # how often the image is halved, as in `UNet`
    smallest_side = 8  # at 4x4 the inner map is too small to be mirrored

    def __init__(
        self,
        in_channels: int = 3,
        out_channels: int = 3,
        *,
        base_channels: int = 64,
        blocks: int = 9,
        norm: str = "instance",
        dropout: float = 0.0,
        upsampling: str = "transposed",
    ):
        super().__init__()
        if blocks < 1:
            raise ValueError(f"blocks must be at least 1; got {blocks}")
        self.in_channels = in_channels
        one, two, four = base_channels, 2 * base_channels, 4 * base_channels
        self.head = nn.Sequential(wide_layers(in_channels, one), make_norm(norm, one), nn.ReLU())
        self.downs = nn.Sequential(halving_layers(one, two, norm), halving_layers(two, four, norm))
        self.blocks = nn.Sequential(
            *[ResidualBlock(four, norm=norm, dropout=dropout) for _ in range(blocks)]
        )
        self.ups = nn.Sequential(
            *[doubling_layers(wide, wide // 2, norm, upsampling) for wide in (four, two)]
        )
        self.tail = wide_layers(one, out_channels)
        self.apply(init_weights)

    def forward(self, x: Tensor) -> Tensor:
        if x.dim() != 4 or x.shape[1] != self.in_channels:
            raise ValueError(
                f"expected a batch of shape (N, {self.in_channels}, H, W); got {tuple(x.shape)}"
            )
        height, width = x.shape[2:]
        if height % 4 or width % 4 or min(height, width) < self.smallest_side:
            raise ValueError(
                f"height and width must be multiples of 4 and at least 8; got {height}x{width}: "
                f"resize the image"
            )
        x = self.downs(self.head(x))  # (N, C, H, W) -> (N, 4k, H/4, W/4)
        return torch.tanh(self.tail(self.ups(self.blocks(x))))
