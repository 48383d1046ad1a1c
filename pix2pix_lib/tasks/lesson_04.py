"""The tasks of notebook 04: the discriminator and its receptive field."""

import torch
from torch import Tensor

from ..patchgan import patch_layers
from .writing import Task, mistake, observe_module


def _layers_and_pair(seed: int) -> tuple[dict, Tensor]:
    options = {"in_channels": 4 + seed, "base_channels": 4, "layers": 1 + seed}
    options["norm"] = ("batch", "instance", "none")[seed % 3]
    return options, torch.randn(2, 4 + seed, 80 + 8 * seed, 96)


def _judge(make: object, options: dict, pair: Tensor) -> dict:
    return observe_module(make(**options), pair)


layers = Task(
    key="04.layers",
    title="the layers of the PatchGAN",
    kind="core",
    difficulty=2,
    minutes=15,
    reference=patch_layers,
    stub='''\
def patch_layers(in_channels: int, base_channels: int, layers: int, norm: str) -> nn.Sequential:
    """Return `layers` blocks of stride 2, one of stride 1, and the convolution to one logit per patch."""
    blocks = [disc_block(in_channels, base_channels, stride=2, norm="none")]
    raise NotImplementedError  # the other blocks, then the last convolution
''',
    inputs=_layers_and_pair,
    observe=_judge,
    mistakes=(
        mistake(
            "All blocks have stride 2: the last one, C512, has stride 1.",
            ("2 if level < layers else 1", "2"),
        ),
        mistake("There is a norm in the first block.", ('norm="none"', "norm=norm")),
        mistake(
            "The channels go on doubling: they stop at eight times the first.",
            ("min(2**level, 8)", "2**level"),
        ),
        mistake(
            "A sigmoid follows the last convolution; the losses work on logits.",
            ("padding=1))", "padding=1), nn.Sigmoid())"),
        ),
    ),
    hints=(
        "Write down the four pairs (channels in, channels out) of the 70x70 PatchGAN with their strides, then the loop.",
        "Block `level` maps `base_channels * min(2 ** (level - 1), 8)` channels to `base_channels * min(2**level, 8)`.",
    ),
)
