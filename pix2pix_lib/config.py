"""The settings of a training run, and the networks that they describe."""

from collections.abc import Mapping
from dataclasses import dataclass, field, fields, replace

from . import systems
from .data import DIRECTIONS
from .layers import NORMS, UPSAMPLINGS
from .losses import OBJECTIVES, PIXEL_LOSSES
from .patchgan import PatchDiscriminator
from .resizing import RESIZES, height_and_width, size_text
from .resnet import ResNetGenerator
from .unet import DetailUNet, UNet
from .validation import InputError, check_choice

SYSTEMS = ("own", *systems.SETTINGS)
GENERATORS = ("unet", "resnet")
NETWORKS = ("discriminator", "generator")
CYCLES = ("both", "forward", "backward", "none")
# What the four pix2pix systems of the notes have built in: an option that would change it is
# refused.
FIXED_BY_SYSTEM = (
    "generator", "depth", "norm", "dropout", "skips", "upsampling", "disc_norm", "disc_layers",
    "conditional", "detail_channels",
)  # fmt: skip
SIZES = ("image_size", "load_size")  # a side of a square, or (height, width)
AT_LEAST_ONE = (
    "base_channels", "disc_channels", "epochs", "batch_size", "blocks", "in_channels",
    "out_channels",
)  # fmt: skip
NOT_NEGATIVE = (
    "detail_channels", "disc_layers", "lambda_l1", "lambda_gan", "lambda_cycle",
    "lambda_identity", "pool_size", "freeze_encoder", "seed",
)  # fmt: skip
ADDED = {"detail_channels": 0}  # what older versions did that did not know the setting
RENAMED = {"first": "update_first"}  # settings of older runs and cards, under the name of today


def _option(default, help: str, choices: tuple[str, ...] | None = None):
    """Return a field of `TrainConfig` with what `--help` says about it."""
    return field(default=default, metadata={"help": help, "choices": choices})


@dataclass(frozen=True)
class TrainConfig:
    """Everything that decides a training run; the command line is made from these fields.

    The defaults train a small network on 128x128 images within minutes on two cores.
    `system_config("paper")` is the paper's run on the facades, and so for each system of the notes.

    Raises:
        InputError: if a value is of another type or out of range, with what was expected.
    """

    system: str = _option(
        "own", "networks and defaults of a study note; own is built from the options below", SYSTEMS
    )
    image_size: int | tuple[int, int] = _option(
        128,
        "side of the square images in pixels, or WIDTHxHEIGHT, as 320x192; multiples of 2^depth",
    )
    load_size: int | tuple[int, int] = _option(
        0,
        "size before the random crop; 0 means 286/256 of image_size, as in the paper, but "
        "image_size if no data is given: the facades are drawn sharp to the pixel",
    )
    resize: str = _option(
        "stretch",
        "how images get that size: crop covers it and cuts off the rest, fit goes into it and "
        "repeats the edges, scale-width takes its width, none crops from the pixels as they are; "
        "only stretch changes shapes",
        RESIZES,
    )
    direction: str = _option("BtoA", "which side of a pair is the input", DIRECTIONS)
    flip: bool = _option(True, "mirror half of the training pairs")
    in_channels: int = _option(3, "channels of the input: 1 (grey), 3 (RGB, or the colours of a "
                             "label map), N bands, or one for each of N classes")  # fmt: skip
    out_channels: int = _option(3, "channels of the target, likewise")

    generator: str = _option("unet", "kind of the generator", GENERATORS)
    base_channels: int = _option(16, "channels after the generator's first block; the paper has 64")
    depth: int = _option(
        5, "how often the generator halves the image; the paper has 8, for 256x256; a ResNet has 2"
    )
    blocks: int = _option(9, "residual blocks of a ResNet generator; the paper has 6 up to 128x128")
    norm: str = _option("batch", "normalisation in the generator", NORMS)
    dropout: float = _option(
        0.2, "probability of dropout in the decoder's first three blocks; the paper has 0.5"
    )
    skips: bool = _option(True, "connect encoder and decoder; without it an encoder-decoder")
    upsampling: str = _option(
        "resize", "how the decoder doubles the size; the paper has transposed", UPSAMPLINGS
    )
    detail_channels: int = _option(
        16,
        "channels of a last block of the U-Net at full size, which sees the input too; the paper "
        "has none (0)",
    )
    disc_channels: int = _option(
        12, "channels after the discriminator's first block; the paper has 64"
    )
    disc_norm: str = _option(
        "none", "normalisation in the discriminator; the paper has batch", NORMS
    )
    disc_layers: int = _option(
        3, "stride-2 layers of the discriminator: 0 1 2 3 4 5 see 1 16 34 70 142 286 pixels"
    )
    conditional: bool = _option(
        True, "show the discriminator the input too; without it, any real-looking image passes"
    )

    objective: str = _option("vanilla", "adversarial objective", OBJECTIVES)
    pixel_loss: str = _option("l1", "distance to the target in the generator's loss", PIXEL_LOSSES)
    lambda_l1: float = _option(100.0, "weight of that distance beside the adversarial loss")
    lambda_gan: float = _option(
        1.0, "weight of the adversarial loss; 0 trains without a discriminator"
    )
    update_first: str = _option("discriminator", "which network learns first in a step", NETWORKS)
    cycle: str = _option(
        "both", "cyclegan: which cycles count; forward begins in the input's domain", CYCLES
    )
    lambda_cycle: float = _option(
        10.0, "cyclegan: weight of the distance between an image and itself after a cycle"
    )
    lambda_identity: float = _option(
        5.0, "cyclegan: weight of the change to an image already in the target domain"
    )
    pool_size: int = _option(
        50, "cyclegan: older generated images that are mixed into D's batches; 0 is none"
    )

    epochs: int = _option(5, "passes over the training pairs")
    freeze_encoder: int = _option(
        0, "first epochs in which the generator's encoder keeps the weights that it begins with"
    )
    batch_size: int = _option(1, "pairs in one step; the paper has 1")
    lr: float = _option(
        4e-4, "learning rate of both Adams; it falls after half of the epochs; the paper has 2e-4"
    )
    beta1: float = _option(0.5, "Adam's decay of the mean of the gradients")
    beta2: float = _option(0.999, "Adam's decay of the mean of their squares")
    seed: int = _option(0, "governs the first weights, the order of the pairs, jitter and dropout")

    def __post_init__(self):
        for name in SIZES:
            self._check_size(name)
        for option in fields(self):
            if option.name not in SIZES:
                self._check_type(option.name, type(option.default))
            if option.metadata["choices"]:
                check_choice(option.name, getattr(self, option.name), option.metadata["choices"])
        self._check_ranges()
        self._check_system()
        self._check_losses()

    def _check_size(self, name: str) -> None:
        """Check a size, and keep a rectangle as a tuple, a square as its side."""
        value = getattr(self, name)
        sides = value if isinstance(value, (list, tuple)) else (value, value)
        if len(sides) != 2 or any(type(side) is not int for side in sides):
            words = "a whole number, or a height and a width"
            raise InputError(f"{name} must be {words}; got {value!r}")
        least = 0 if name == "load_size" else 1
        self._check(min(sides) >= least, name, "0 or more" if least == 0 else "at least 1")
        same = sides[0] == sides[1]
        object.__setattr__(self, name, sides[0] if same else tuple(sides))

    def _check_type(self, name: str, kind: type) -> None:
        value = getattr(self, name)
        if kind is float and type(value) is int:
            object.__setattr__(self, name, float(value))
        elif type(value) is not kind:
            words = {int: "a whole number", float: "a number", bool: "True or False", str: "a text"}
            raise InputError(f"{name} must be {words[kind]}; got {value!r}")

    def _check_ranges(self) -> None:
        for name in AT_LEAST_ONE:
            self._check(getattr(self, name) >= 1, name, "at least 1")
        for name in NOT_NEGATIVE:
            self._check(getattr(self, name) >= 0, name, "0 or more")
        for name in ("dropout", "beta1", "beta2"):
            self._check(0 <= getattr(self, name) < 1, name, "in [0, 1)")
        self._check(self.lr > 0, "lr", "positive")
        loaded = height_and_width(self.load_size or self.image_size)
        enlarged = all(before >= after for before, after in zip(loaded, self.shape, strict=True))
        self._check(enlarged, "load_size", "0 or at least image_size")
        self._check(2 <= self.depth <= 12, "depth", "from 2 to 12")
        shortest = min(self.shape)
        one_logit = self.disc_layers == 0 or 3 * 2**self.disc_layers <= shortest
        limit = f"smaller for images of {shortest} pixels (3 * 2^disc_layers at most)"
        self._check(one_logit, "disc_layers", limit)

    def _check_system(self) -> None:
        if self.is_study_system:
            standard = {option.name: option.default for option in fields(self)}
            standard |= systems.SETTINGS[self.system]
            for name in FIXED_BY_SYSTEM:
                same = getattr(self, name) == standard[name]
                self._check(same, name, f"{standard[name]} in the system {self.system}")
        if self.system == "instance3x3":
            words = "lsgan in the system instance3x3, whose D ends in a sigmoid"
            self._check(self.objective == "lsgan", "objective", words)
        is_resnet = self.generator == "resnet"
        self._check(
            not is_resnet or self.depth == 2, "depth", "2 with a ResNet, which halves twice"
        )
        if is_resnet:  # which mirrors its innermost map
            least = 2 * 2**self.depth
            self._check(min(self.shape) >= least, "image_size", f"at least {least} here")

    def _check_losses(self) -> None:
        if self.is_unpaired:
            same = self.in_channels == self.out_channels or self.lambda_identity == 0
            self._check(same, "lambda_identity", "0 if in_channels and out_channels differ")
            others, weight = "are the cycle and identity losses", self.lambda_identity
            weight += self.lambda_cycle if self.cycle != "none" else 0
        else:
            others, weight = "is the pixel loss", self.lambda_l1 * (self.pixel_loss != "none")
        if self.lambda_gan == 0 and weight == 0:
            raise InputError(
                f"lambda_gan is 0 and so {others}: the generator would have nothing to learn from"
            )

    def _check(self, holds: bool, name: str, expected: str) -> None:
        if not holds:
            value = getattr(self, name)
            value = size_text(value) if name in SIZES else value
            raise InputError(f"{name} must be {expected}; got {value}")

    @property
    def shape(self) -> tuple[int, int]:
        """Height and width of the images, in pixels."""
        return height_and_width(self.image_size)

    @property
    def is_unpaired(self) -> bool:
        """Whether the two sides come from unpaired folders, as CycleGAN learns."""
        return self.system == "cyclegan"

    @property
    def is_study_system(self) -> bool:
        """Whether the networks are those of a pix2pix note, and not built from the options."""
        return self.system not in ("own", "cyclegan")


def system_config(system: str, **options) -> TrainConfig:
    """Return the settings that a system's note trains with, changed by the options given.

    Raises:
        InputError: if the system is not one of `SYSTEMS`, or an option is out of range or built
            into the system.
    """
    check_choice("system", system, SYSTEMS)
    return TrainConfig(**{"system": system, **systems.SETTINGS.get(system, {}), **options})


def config_from_dict(saved: Mapping) -> TrainConfig:
    """Return the config whose fields a run or a card has saved, by a version of today or before.

    A setting that an older version did not have is what that version did.

    Raises:
        InputError: if a setting is not known, or its value is out of range.
    """
    settings = ADDED | {RENAMED.get(name, name): value for name, value in saved.items()}
    unknown = settings.keys() - {option.name for option in fields(TrainConfig)}
    if unknown:
        raise InputError(f"unknown settings: {', '.join(sorted(unknown))}")
    return TrainConfig(**settings)


def reverse_config(config: TrainConfig) -> TrainConfig:
    """Return the config of the other direction: what is the input there is the target here."""
    return replace(
        config,
        direction="BtoA" if config.direction == "AtoB" else "AtoB",
        in_channels=config.out_channels,
        out_channels=config.in_channels,
    )


def make_generator(config: TrainConfig) -> UNet | ResNetGenerator:
    """Return a new generator as the config describes it; for CycleGAN the one from A to B."""
    if config.is_study_system:
        return _make_system(config)[0]
    common = {
        "base_channels": config.base_channels,
        "norm": config.norm,
        "dropout": config.dropout,
        "upsampling": config.upsampling,
    }
    channels = config.in_channels, config.out_channels
    if config.generator == "resnet":
        return ResNetGenerator(*channels, blocks=config.blocks, **common)
    common |= {"depth": config.depth, "skips": config.skips}
    if config.detail_channels:
        return DetailUNet(*channels, detail_channels=config.detail_channels, **common)
    return UNet(*channels, **common)


def make_discriminator(config: TrainConfig) -> PatchDiscriminator:
    """Return a new patch discriminator as the config describes it.

    For CycleGAN it judges an image of the target's domain alone.
    """
    if config.is_study_system:
        return _make_system(config)[1]
    condition = config.in_channels if config.conditional and not config.is_unpaired else 0
    return PatchDiscriminator(
        condition + config.out_channels,
        base_channels=config.disc_channels,
        layers=config.disc_layers,
        norm=config.disc_norm,
    )


def _make_system(config: TrainConfig) -> tuple[UNet, PatchDiscriminator]:
    make = getattr(systems, config.system)
    return make(config.in_channels, config.out_channels, config.base_channels, config.disc_channels)
