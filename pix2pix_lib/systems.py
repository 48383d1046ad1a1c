"""Five systems that study notes call pix2pix or CycleGAN, each with its own networks.

Each function returns new networks: a generator and a discriminator, or for `cyclegan` two of each.
The blocks are those of the paper; where a note differs is written out here. All convolutions start
at N(0, 0.02).

With the default sizes, on 256x256 images (the map is that of the patch logits; field and stride are
in pixels):

system        generator   discriminator  map    field  stride
paper         54,413,955  2,768,705      30x30  70     8
instance3x3   54,404,099  1,557,313      16x16  63     16
upsample4x4   54,404,099  2,767,808      16x16  94     16
shallow        6,171,011  2,767,809      32x32  70     8
cyclegan      11,378,179  2,764,737      30x30  70     8

Source: Isola et al. 2017, appendix 6.1; Zhu et al. 2017, appendix 7.2; for the others the notes
that they come from.
"""

from torch import Tensor, nn

from .layers import init_weights, make_norm
from .patchgan import PatchDiscriminator
from .resnet import ResNetGenerator
from .unet import UNet, encoder_channels

# The settings and networks of each system's note, as fields of `TrainConfig`; the rest is the
# paper's.
_PAPER = {
    "image_size": 256,
    "base_channels": 64,
    "disc_channels": 64,
    "depth": 8,
    "upsampling": "transposed",
    "detail_channels": 0,
    "dropout": 0.5,
    "disc_norm": "batch",
    "epochs": 200,
    "lr": 2e-4,
}
_INSTANCE = _PAPER | {"norm": "instance", "disc_norm": "instance", "objective": "lsgan"}
SETTINGS: dict[str, dict] = {
    "paper": _PAPER,
    "instance3x3": _INSTANCE | {"batch_size": 32, "epochs": 100},
    "upsample4x4": _INSTANCE | {"update_first": "generator"},
    "shallow": _PAPER
    | {
        "image_size": 128,
        "depth": 4,
        "norm": "instance",
        "dropout": 0.0,
        "upsampling": "resize",
        "disc_norm": "instance",
    },
    "cyclegan": _INSTANCE
    | {
        "generator": "resnet",
        "depth": 2,
        "dropout": 0.0,
        "update_first": "generator",
        "direction": "AtoB",
    },
}


def paper(
    in_channels: int = 3, out_channels: int = 3, base_channels: int = 64, disc_channels: int = 64
) -> tuple[UNet, PatchDiscriminator]:
    """Return the paper's U-Net and its 70x70 PatchGAN.

    The U-Net has batch norm, and dropout in three decoder blocks.
    """
    generator = UNet(in_channels, out_channels, base_channels=base_channels)
    return generator, PatchDiscriminator(in_channels + out_channels, base_channels=disc_channels)


def instance3x3(
    in_channels: int = 3, out_channels: int = 3, base_channels: int = 64, disc_channels: int = 64
) -> tuple[UNet, PatchDiscriminator]:
    """Return the U-Net and the 3x3 discriminator of the instance-norm note and of the facades note.

    The U-Net has instance norm, no biases before it, and dropout also in the encoder (blocks 4 to
    8; in the decoder 1 to 4). The discriminator has 3x3 kernels, four of its five convolutions with
    stride 2, and ends in a sigmoid: its values are probabilities, which only the squared error of
    LSGAN takes.
    """
    widths = encoder_channels(disc_channels, 4)
    blocks = _halvings(in_channels + out_channels, widths, kernel_size=3)
    last = nn.Conv2d(widths[-1], 1, kernel_size=3, padding=1)
    return (
        _instance_unet(in_channels, out_channels, base_channels),
        _discriminator(in_channels + out_channels, *blocks, last, nn.Sigmoid()),
    )


def upsample4x4(
    in_channels: int = 3, out_channels: int = 3, base_channels: int = 64, disc_channels: int = 64
) -> tuple[UNet, PatchDiscriminator]:
    """Return the networks of the colorization note: the U-Net of `instance3x3`, a D of 4x4 kernels.

    The U-Net ends with doubled pixels and a 4x4 convolution instead of a transposed one. The
    discriminator has four convolutions with stride 2 and a last one without bias and sigmoid. An
    even kernel with stride 1 needs three rows of zeros to keep the size: two of them lie at the top
    and left.
    """
    generator = _instance_unet(in_channels, out_channels, base_channels)
    generator.head.upsample = nn.Sequential(
        nn.Upsample(scale_factor=2, mode="nearest"),
        nn.ZeroPad2d((1, 0, 1, 0)),
        nn.Conv2d(2 * base_channels, out_channels, kernel_size=4, padding=1),
    ).apply(init_weights)
    widths = encoder_channels(disc_channels, 4)
    blocks = _halvings(in_channels + out_channels, widths, kernel_size=4)
    last = nn.Conv2d(widths[-1], 1, kernel_size=4, padding=1, bias=False)
    return generator, _discriminator(
        in_channels + out_channels, *blocks, nn.ZeroPad2d((1, 0, 1, 0)), last
    )


def shallow(
    in_channels: int = 3, out_channels: int = 3, base_channels: int = 64, disc_channels: int = 64
) -> tuple[UNet, PatchDiscriminator]:
    """Return the networks of the pix2pix and CycleGAN note: four halvings, a 70x70 discriminator.

    The U-Net has ReLU throughout, instance norm in every block, also the first and the innermost
    one, and doubles by repeating pixels before a 4x4 convolution. "Same" convolutions with stride
    1, also in the discriminator, keep the size with three rows of zeros, two of them at the bottom
    and right.
    """
    generator = ShallowUNet(
        in_channels,
        out_channels,
        base_channels=base_channels,
        depth=4,
        norm="instance",
        dropout=0.0,
    )
    for level, down in enumerate(generator.downs):
        down.activation = nn.ReLU() if level > 0 else nn.Identity()
        down.norm = make_norm("instance", down.conv.out_channels)
    for up in [*generator.ups, generator.head]:
        old = up.upsample
        up.upsample = nn.Sequential(
            nn.Upsample(scale_factor=2, mode="nearest"),
            *_same_convolution(old.in_channels, old.out_channels),
        ).apply(init_weights)
    widths = encoder_channels(disc_channels, 4)
    blocks = _halvings(in_channels + out_channels, widths[:3], kernel_size=4)
    wide = [
        *_same_convolution(widths[2], widths[3]),
        make_norm("instance", widths[3]),
        nn.LeakyReLU(0.2),
    ]
    return generator, _discriminator(
        in_channels + out_channels, *blocks, *wide, *_same_convolution(widths[3], 1)
    )


class ShallowUNet(UNet):
    """A U-Net with a norm at its bottleneck too, which needs more than one position there."""

    @property
    def smallest_side(self) -> int:
        return 2 * 2**self.depth

    def _check_input(self, x: Tensor) -> None:
        super()._check_input(x)
        if x.shape[2] < self.smallest_side and x.shape[3] < self.smallest_side:
            raise ValueError(
                f"height or width must be at least {self.smallest_side}, as this network "
                f"normalises its innermost map; got {x.shape[2]}x{x.shape[3]}: resize the image"
            )


def cyclegan(
    in_channels: int = 3,
    out_channels: int = 3,
    base_channels: int = 64,
    disc_channels: int = 64,
    blocks: int = 9,
) -> tuple[ResNetGenerator, ResNetGenerator, PatchDiscriminator, PatchDiscriminator]:
    """Return generator_ab, generator_ba, discriminator_a and discriminator_b of CycleGAN.

    Each discriminator judges images of one domain, without seeing what they were made from.
    """
    return (
        ResNetGenerator(in_channels, out_channels, base_channels=base_channels, blocks=blocks),
        ResNetGenerator(out_channels, in_channels, base_channels=base_channels, blocks=blocks),
        PatchDiscriminator(in_channels, base_channels=disc_channels, norm="instance"),
        PatchDiscriminator(out_channels, base_channels=disc_channels, norm="instance"),
    )


def _instance_unet(in_channels: int, out_channels: int, base_channels: int) -> UNet:
    """Return the U-Net of two notes.

    It has instance norm, no biases before it, and dropout in encoder blocks 4-8 and decoder blocks
    1-4.
    """
    generator = UNet(
        in_channels,
        out_channels,
        base_channels=base_channels,
        norm="instance",
        dropout_blocks=(1, 2, 3, 4),
    )
    for convolution in [
        *[down.conv for down in generator.downs],
        *[up.upsample for up in generator.ups],
    ]:
        convolution.bias = None
    for down in generator.downs[3:]:
        down.norm = nn.Sequential(down.norm, nn.Dropout(0.5))
    return generator


def _halvings(in_channels: int, widths: list[int], kernel_size: int) -> list[nn.Sequential]:
    """Return one block for each width: a convolution with stride 2, instance norm, LeakyReLU.

    The first block has no norm.
    """
    return [
        nn.Sequential(
            nn.Conv2d(before, after, kernel_size, stride=2, padding=1),
            make_norm("instance" if level else "none", after),
            nn.LeakyReLU(0.2),
        )
        for level, (before, after) in enumerate(zip([in_channels, *widths], widths))
    ]


def _same_convolution(in_channels: int, out_channels: int) -> tuple[nn.Module, nn.Module]:
    """Return zeros and a 4x4 convolution with stride 1 that together keep the size ("same")."""
    return nn.ZeroPad2d((1, 2, 1, 2)), nn.Conv2d(in_channels, out_channels, kernel_size=4)


def _discriminator(in_channels: int, *layers: nn.Module) -> PatchDiscriminator:
    """Return a discriminator with its own chain of layers.

    It checks its images as `PatchDiscriminator` does.
    """
    discriminator = PatchDiscriminator(in_channels, layers=0, base_channels=1)
    discriminator.model = nn.Sequential(*layers).apply(init_weights)
    return discriminator
