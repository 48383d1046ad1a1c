"""The U-Net generator, from its two blocks up.

The order inside a block is activation, convolution, norm, as in the paper's published code: what a
skip carries is then the value *before* the activation, so that the encoder can pass it on through a
LeakyReLU and the decoder through a ReLU.

Source: Isola et al. 2017, section 3.2.1 "Generator with skips" and appendix 6.1.1; Ronneberger et
al. 2015.
"""

from collections.abc import Collection

import torch
from torch import Tensor, nn

from .layers import init_weights, make_norm, make_upsampling, needs_bias


class DownBlock(nn.Module):
    """Halve height and width: LeakyReLU 0.2, 4x4 convolution with stride 2, norm (Ck in the paper).

    Maps (N, in_channels, H, W) to (N, out_channels, H/2, W/2). The first block of an encoder has
    neither activation nor norm, the last one no norm: at 1x1 a norm has a single value to
    normalise.
    """

    def __init__(
        self, in_channels: int, out_channels: int, *, norm: str, bias: bool, activate: bool = True
    ):
        super().__init__()
        self.activation = nn.LeakyReLU(0.2) if activate else nn.Identity()
        self.conv = nn.Conv2d(
            in_channels, out_channels, kernel_size=4, stride=2, padding=1, bias=bias
        )
        self.norm = make_norm(norm, out_channels)

    def forward(self, x: Tensor) -> Tensor:
        return self.norm(self.conv(self.activation(x)))  # (N, C, H, W) -> (N, C', H/2, W/2)


class UpBlock(nn.Module):
    """Double height and width: ReLU, 4x4 transposed convolution with stride 2, norm, dropout.

    Maps (N, in_channels, H, W) to (N, out_channels, 2H, 2W). This is CDk in the paper; `dropout=0`
    gives Ck. `upsampling="resize"` repeats pixels and convolves instead.
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        *,
        norm: str,
        bias: bool,
        dropout: float = 0.0,
        upsampling: str = "transposed",
    ):
        super().__init__()
        self.activation = nn.ReLU()
        self.upsample = make_upsampling(upsampling, in_channels, out_channels, bias)
        self.norm = make_norm(norm, out_channels)
        self.dropout = nn.Dropout(dropout)

    def forward(self, x: Tensor) -> Tensor:
        # (N, C, H, W) -> (N, C', 2H, 2W)
        return self.dropout(self.norm(self.upsample(self.activation(x))))


def encoder_channels(base_channels: int, depth: int) -> list[int]:
    """Return the channels after each down block.

    They double from `base_channels`, up to eight times it.
    """
    return [base_channels * min(2**level, 8) for level in range(depth)]


class UNet(nn.Module):
    """Translate images: `depth` halvings, as many doublings, and skips between equal sizes.

    An encoder halves, a decoder doubles. Maps (N, in_channels, H, W) in [-1, 1] to
    (N, out_channels, H, W) in [-1, 1]; H and W must be multiples of 2^depth. The defaults are the
    paper's network for 256x256: 54,413,955 parameters.

    Args:
        base_channels: channels after the first block; they double block by block, up to eight times
            this.
        depth: number of halvings.
        norm: one of `layers.NORMS`.
        dropout: probability that a feature is dropped in the blocks named next.
        dropout_blocks: numbers of the decoder blocks with dropout; block 1 is the one next to the
            bottleneck. (1, 2, 3) is the paper's CD512-CD512-CD512; the widely used PyTorch code has
            (2, 3, 4).
        skips: False gives the plain encoder-decoder of the paper's comparison.
        upsampling: one of `layers.UPSAMPLINGS`.

    Raises:
        ValueError: if an option is not known or out of range; in `forward`, if the input's shape
            does not fit.

    Source: Isola et al. 2017, appendix 6.1.1.
    """

    def __init__(
        self,
        in_channels: int = 3,
        out_channels: int = 3,
        *,
        base_channels: int = 64,
        depth: int = 8,
        norm: str = "batch",
        dropout: float = 0.5,
        dropout_blocks: Collection[int] = (1, 2, 3),
        skips: bool = True,
        upsampling: str = "transposed",
    ):
        super().__init__()
        if depth < 2:
            raise ValueError(
                f"depth must be at least 2 (one block to the bottleneck and one back); got {depth}"
            )
        if any(block < 1 for block in dropout_blocks):
            raise ValueError(
                f"dropout_blocks count from 1, next to the bottleneck; got {tuple(dropout_blocks)}"
            )
        self.in_channels, self.depth, self.skips = in_channels, depth, skips
        bias = needs_bias(norm)
        widths = encoder_channels(base_channels, depth)

        self.downs = nn.ModuleList()
        for level, (before, after) in enumerate(zip([in_channels, *widths], widths)):
            edge = level in (0, depth - 1)  # neither the first nor the last block has a norm
            self.downs.append(
                DownBlock(
                    before, after, norm="none" if edge else norm, bias=bias, activate=level > 0
                )
            )

        self.ups = nn.ModuleList()
        before = widths[-1]
        for block, after in enumerate(reversed(widths[:-1]), start=1):
            rate = dropout if block in dropout_blocks else 0.0
            self.ups.append(
                UpBlock(before, after, norm=norm, bias=bias, dropout=rate, upsampling=upsampling)
            )
            before = 2 * after if skips else after
        self.head = UpBlock(before, out_channels, norm="none", bias=True, upsampling=upsampling)
        self.apply(init_weights)

    def forward(self, x: Tensor) -> Tensor:
        self._check_input(x)
        return torch.tanh(self.head(self.decode(self.encode(x))))

    def encode(self, x: Tensor) -> list[Tensor]:
        """Return the maps behind each down block; the last one is the bottleneck."""
        features = []
        for down in self.downs:
            x = down(x)
            features.append(x)
        return features

    def decode(self, features: list[Tensor]) -> Tensor:
        """Return what the head reads: (N, C, H/2, W/2)."""
        x, skips = features[-1], features[:-1]  # the bottleneck goes straight on, without a skip
        for up in self.ups:
            x = up(x)
            if self.skips:  # (N, C, H, W) + (N, C, H, W) -> (N, 2C, H, W)
                x = torch.cat([x, skips.pop()], dim=1)
        return x

    def _check_input(self, x: Tensor) -> None:
        if x.dim() != 4 or x.shape[1] != self.in_channels:
            raise ValueError(
                f"expected a batch of shape (N, {self.in_channels}, H, W); got {tuple(x.shape)}"
            )
        check_size(x.shape[2], x.shape[3], self.depth)


class DetailUNet(UNet):
    """A U-Net with a last block at full size, which sees the input once more.

    The paper's decoder makes the last pixels from maps of half the size. On small images what is
    one pixel wide, as the bars of a window, then gets lost. Here the head makes `detail_channels`
    maps at full size instead of the image; two 3x3 convolutions make the image from these maps and
    the input, which comes through one more skip.

    Args and errors: as `UNet`. Without skips the last block gets no input either.
    """

    def __init__(
        self,
        in_channels: int = 3,
        out_channels: int = 3,
        *,
        detail_channels: int = 16,
        norm: str = "batch",
        upsampling: str = "transposed",
        **options,
    ):
        super().__init__(in_channels, out_channels, norm=norm, upsampling=upsampling, **options)
        bias = needs_bias(norm)
        read = self.downs[0].conv.out_channels * (2 if self.skips else 1)
        self.head = UpBlock(read, detail_channels, norm=norm, bias=bias, upsampling=upsampling)
        seen = detail_channels + (in_channels if self.skips else 0)
        self.detail = nn.Sequential(
            nn.Conv2d(seen, detail_channels, kernel_size=3, padding=1, bias=bias),
            make_norm(norm, detail_channels),
            nn.ReLU(),
            nn.Conv2d(detail_channels, out_channels, kernel_size=3, padding=1),
        )
        self.head.apply(init_weights)
        self.detail.apply(init_weights)

    def forward(self, x: Tensor) -> Tensor:
        self._check_input(x)
        maps = torch.relu(self.head(self.decode(self.encode(x))))
        if self.skips:  # (N, detail_channels, H, W) + (N, in_channels, H, W)
            maps = torch.cat([maps, x], dim=1)
        return torch.tanh(self.detail(maps))


def check_size(height: int, width: int, depth: int) -> None:
    """Check that a U-Net of this depth can take images of this size.

    Raises:
        ValueError: if it cannot, with the nearest sizes that work.
    """
    step = 2**depth
    if height % step == 0 and width % step == 0:
        return
    raise ValueError(
        f"a U-Net of depth {depth} halves the image {depth} times, so height and width must be "
        f"multiples of {step}; got {height}x{width}. Nearest that work: height "
        f"{_nearest(height, step)}, width {_nearest(width, step)}. "
        "Resize the image or use a smaller depth."
    )


def _nearest(length: int, step: int) -> str:
    below, above = length // step * step, -(-length // step) * step
    if below == above:
        return str(length)
    return f"{below} or {above}" if below else str(above)
