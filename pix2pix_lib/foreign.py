"""Networks of pytorch-CycleGAN-and-pix2pix under the names of ours.

The networks of https://github.com/junyanz/pytorch-CycleGAN-and-pix2pix are ours under other names.
A .pth holds tensors by name and no settings, so names and shapes tell what the network is. Its
arithmetic is that of ours, except that

- a skip there comes before the decoder's maps, here behind them: the weights change places;
- where it has no bias and ours does (no norm, or a ResNet's first layer before a batch norm), ours
  is 0;
- its U-Net may have dropout in decoder blocks 2 to depth - 4, where ours has it in 1 to 3. The file
  does not say, so the generator comes without.

The padding of a residual block and the sigmoid of an old discriminator leave no trace in a file
either; reflection, and logits before the sigmoid, are taken.
"""

import re
from pathlib import Path

import torch
from torch import Tensor, nn

from .config import TrainConfig, make_generator
from .patchgan import PatchDiscriminator
from .validation import InputError

ACCEPTED = (
    "expected a generator.safetensors with its card, the folder of a run, one of its checkpoints "
    "(checkpoints/last.pt), or a .pth of pytorch-CycleGAN-and-pix2pix (latest_net_G.pth)"
)


def is_network(state: object) -> bool:
    """Return whether this is a state dict: tensors by name."""
    return isinstance(state, dict) and all(
        isinstance(name, str) and isinstance(value, Tensor) for name, value in state.items()
    )


def make_config(path: Path, settings: dict) -> TrainConfig:
    """Return a config; what the file does not tell is what that code does by default, or nothing.

    Its unet_128 is made for 128x128 pixels, the other generators for 256x256.
    """
    size = max(128, 2 ** settings["depth"]) if settings["generator"] == "unet" else 256
    try:
        return TrainConfig(**{"image_size": size, "dropout": 0.0, **settings})
    except InputError as error:
        raise InputError(f"{path}: cannot be represented here ({error})") from error


def translate_names(path: Path, state: dict) -> tuple[dict, dict[str, Tensor]]:
    """Return the settings and the state dict, by our names, of the network in a .pth.

    A discriminator has `seen` among its settings: how many channels it judges.
    """
    state = {name: value for name, value in state.items() if name != "_metadata"}
    if not is_network(state):
        raise InputError(f"{path}: not the tensors of one network; {ACCEPTED}")
    wrapped = r"^((module|_orig_mod)\.)+"  # by DataParallel, by torch.compile
    state = {re.sub(wrapped, "", name): value for name, value in state.items()}
    marks = {"model.model.0.": _unet, "model.10.conv_block.": _resnet, "model.0.": _patch,
             "net.0.": _pixel}  # fmt: skip
    found = [read for mark, read in marks.items() if any(name.startswith(mark) for name in state)]
    if not found:
        raise InputError(f"{path}: a network of neither kind; {ACCEPTED}")
    try:
        settings, layers = found[0](state)
    except (KeyError, IndexError, ValueError) as error:
        raise InputError(f"{path}: a network of another kind ({error!r})") from error
    with torch.device("meta"):
        network = _make(path, settings)
    return settings, _renamed(path, state, network, layers)


def _make(path: Path, settings: dict) -> nn.Module:
    if "disc_layers" not in settings:
        return make_generator(make_config(path, settings))
    width, layers, norm = (settings[f"disc_{name}"] for name in ("channels", "layers", "norm"))
    return PatchDiscriminator(settings["seen"], base_channels=width, layers=layers, norm=norm)


def _renamed(
    path: Path, state: dict[str, Tensor], network: nn.Module, layers: dict[str, str]
) -> dict[str, Tensor]:
    """Return the tensors of a network, by its names.

    Args:
        layers: where each layer is in `state`; after a * if it reads a skip before other maps.

    Raises:
        InputError: if one is missing, has another shape, or is left over.
    """
    tensors, left = {}, dict(state)
    for name, empty in network.state_dict().items():
        layer, _, kind = name.rpartition(".")
        source = f"{layers[layer].lstrip('*')}.{kind}"
        value = left.pop(source, None)
        if value is None and kind in ("bias", "num_batches_tracked"):  # a missing bias adds nothing
            value = torch.zeros(empty.shape, dtype=empty.dtype)
        if value is None or value.shape != empty.shape:
            got = "missing" if value is None else f"of the shape {tuple(value.shape)}"
            raise InputError(
                f"{path}: cannot be represented here ({source} is {got}; "
                f"expected {tuple(empty.shape)})"
            )
        if layers[layer].startswith("*") and kind == "weight":
            value = torch.cat(value.chunk(2)[::-1])
        tensors[name] = value.to(empty.dtype)
    # An instance norm of torch 0.3 kept averages that nobody used.
    averages = ("running_mean", "running_var", "num_batches_tracked")
    if left := [name for name in left if not name.endswith(averages)]:
        raise InputError(f"{path}: cannot be represented here (no place for {left[0]})")
    return tensors


def _norm(state: dict[str, Tensor], convolution: str, norm: str) -> str:
    """Return the norm behind a convolution; an instance norm has no weights, but needs a bias."""
    if f"{norm}.weight" in state:
        return "batch"
    is_instance = f"{convolution}.bias" in state or f"{norm}.running_mean" in state
    return "instance" if is_instance else "none"


def _unet(state: dict[str, Tensor]) -> tuple[dict, dict[str, str]]:
    """Each block lies inside the one before, between its downward and its upward half."""
    block, level, ups = "model.model.1.model", 1, []
    layers = {"downs.0.conv": "model.model.0", "head.upsample": "*model.model.3"}
    while f"{block}.3.model.1.weight" in state:
        layers |= {f"downs.{level}.conv": f"{block}.1", f"downs.{level}.norm": f"{block}.2"}
        ups.append((f"*{block}.5", f"{block}.6"))
        block, level = f"{block}.3.model", level + 1
    layers[f"downs.{level}.conv"] = f"{block}.1"  # the innermost block has no norm on its way down
    ups.append((f"{block}.3", f"{block}.4"))  # and reads no skip on its way up
    for number, (convolution, norm) in enumerate(reversed(ups)):
        layers |= {f"ups.{number}.upsample": convolution, f"ups.{number}.norm": norm}
    settings = {
        "in_channels": state["model.model.0.weight"].shape[1],
        "out_channels": state["model.model.3.weight"].shape[1],
        "base_channels": state["model.model.0.weight"].shape[0],
        "generator": "unet",
        "depth": level + 1,
        "norm": _norm(state, *ups[-1]),
        "skips": True,
        "upsampling": "transposed",
        "detail_channels": 0,
    }
    return settings, layers


def _resnet(state: dict[str, Tensor]) -> tuple[dict, dict[str, str]]:
    blocks = len({name.split(".")[1] for name in state if ".conv_block." in name})
    # Dropout lies between the convolutions of a block, and moves the second one on.
    has_dropout = state.get("model.10.conv_block.5.weight", torch.zeros(())).dim() != 4
    second = 6 if has_dropout else 5
    layers = {"head.0.1": "model.1", "head.1": "model.2"}
    for number, place in enumerate((4, 7)):
        layers |= {f"downs.{number}.0": f"model.{place}", f"downs.{number}.1": f"model.{place + 1}"}
    for number in range(blocks):
        block = f"model.{10 + number}.conv_block"
        for ours, place in ((1, 1), (2, 2), (6, second), (7, second + 1)):
            layers[f"blocks.{number}.change.{ours}"] = f"{block}.{place}"
    for number, place in enumerate((10 + blocks, 13 + blocks)):
        layers |= {f"ups.{number}.0": f"model.{place}", f"ups.{number}.1": f"model.{place + 1}"}
    layers["tail.1"] = f"model.{17 + blocks}"
    settings = {
        "in_channels": state["model.1.weight"].shape[1],
        "out_channels": state[f"model.{17 + blocks}.weight"].shape[0],
        "base_channels": state["model.1.weight"].shape[0],
        "generator": "resnet",
        "depth": 2,
        "blocks": blocks,
        "norm": _norm(state, "model.1", "model.2"),
        "upsampling": "transposed",
        "dropout": 0.5 if has_dropout else 0.0,
    }
    return settings, layers


def _patch(state: dict[str, Tensor]) -> tuple[dict, dict[str, str]]:
    last = max(int(name.split(".")[1]) for name in state if re.match(r"model\.\d+\.", name))
    depth = max(1, (last - 2) // 3)
    layers = {"model.0.0": "model.0", f"model.{depth + 1}": f"model.{last}"}
    for level in range(1, depth + 1):
        layers |= {
            f"model.{level}.0": f"model.{3 * level - 1}",
            f"model.{level}.1": f"model.{3 * level}",
        }
    return _judge(state["model.0.weight"], depth, _norm(state, "model.2", "model.3")), layers


def _pixel(state: dict[str, Tensor]) -> tuple[dict, dict[str, str]]:
    layers = {f"model.{place}": f"net.{place}" for place in (0, 2, 3, 5)}
    return _judge(state["net.0.weight"], 0, _norm(state, "net.2", "net.3")), layers


def _judge(first: Tensor, layers: int, norm: str) -> dict:
    channels, seen = first.shape[:2]
    return {"disc_channels": channels, "disc_layers": layers, "disc_norm": norm, "seen": seen}
