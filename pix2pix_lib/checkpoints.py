"""Keeping a run on disk: checkpoints to go on from, and generators to use.

A checkpoint holds the whole run and is read back with `weights_only=True`: a file can hold tensors and plain data,
nothing that runs. A network alone is a safetensors file with a JSON card beside it that says what it is.
"""

import hashlib
import json
import pickle
from collections.abc import Callable
from dataclasses import asdict, fields
from pathlib import Path

import safetensors.torch
import torch
from safetensors import SafetensorError
from torch import nn

from .files import replacing
from .patchgan import PatchDiscriminator
from .training import Pix2PixTrainer, TrainConfig, make_discriminator, make_generator
from .unet import UNet

MAY_CHANGE = ("epochs",)  # a run may go on for longer; every other setting belongs to the run


def save_checkpoint(path: Path | str, trainer: Pix2PixTrainer) -> None:
    """Write the state of a run; an older checkpoint is replaced only by a whole new one."""
    with replacing(Path(path)) as temporary:
        torch.save(trainer.state_dict(), temporary)


def load_checkpoint(path: Path | str, trainer: Pix2PixTrainer) -> None:
    """Put a trainer into the state that a checkpoint holds.

    Raises:
        FileNotFoundError: if there is no such file.
        ValueError: if it is no checkpoint, is damaged, or belongs to a run with other settings; the trainer is then
            as it was.
    """
    state = read_checkpoint(path)
    changed = changed_settings(state["config"], asdict(trainer.config))
    if changed:
        raise ValueError(f"{path} belongs to a run with other settings: {'; '.join(changed)}. "
                         f"Use the settings of that run, or another folder for the new one")
    trainer.load_state_dict(state)


def read_checkpoint(path: Path | str) -> dict:
    """Return the state in a checkpoint file, its tensors on the CPU.

    Raises:
        FileNotFoundError, ValueError: as `load_checkpoint`.
    """
    try:
        state = torch.load(path, map_location="cpu", weights_only=True)
    except FileNotFoundError:
        raise FileNotFoundError(f"{path}: no such checkpoint; train first, or give another folder") from None
    except (RuntimeError, pickle.UnpicklingError, EOFError, OSError, ValueError, KeyError) as error:
        raise ValueError(f"{path}: not a readable checkpoint ({str(error).splitlines()[0]}); "
                         f"delete it to begin anew, or restore a copy") from error
    expected = {"generator", "discriminator", "optimizer_g", "optimizer_d", "epoch", "config", "history"}
    if not isinstance(state, dict) or set(state) != expected:
        raise ValueError(f"{path}: not a checkpoint of this trainer; expected entries {', '.join(sorted(expected))}")
    return state


def changed_settings(saved: dict, wanted: dict) -> list[str]:
    """Return one phrase for each setting that differs and must not, with both values."""
    return [f"{name} was {saved.get(name)}, is {value}" for name, value in wanted.items()
            if name not in MAY_CHANGE and saved.get(name) != value]


def save_generator(path: Path | str, generator: UNet, config: TrainConfig, card: dict | None = None,
                   half: bool = False) -> None:
    """Write a generator's weights as safetensors, and a JSON card beside them: settings, digest, and what `card` adds.

    `half=True` stores 16-bit floats, half the size.
    """
    _save_network(Path(path), "generator", generator, config, card, half)


def save_discriminator(path: Path | str, discriminator: PatchDiscriminator, config: TrainConfig,
                       card: dict | None = None, half: bool = False) -> None:
    """Write a discriminator as `save_generator` writes a generator."""
    _save_network(Path(path), "discriminator", discriminator, config, card, half)


def load_generator(path: Path | str, device: torch.device | str = "cpu") -> tuple[UNet, TrainConfig]:
    """Return the generator in a safetensors file with its JSON card, and the config it was trained with.

    Raises:
        FileNotFoundError: if the file or its card is missing.
        ValueError: if the file is not the one that the card describes, holds another network, or is damaged.
    """
    return _load_network(Path(path), "generator", make_generator, device)


def load_discriminator(path: Path | str,
                       device: torch.device | str = "cpu") -> tuple[PatchDiscriminator, TrainConfig]:
    """Return the discriminator in a safetensors file with its JSON card, and the config it was trained with.

    Raises:
        FileNotFoundError, ValueError: as `load_generator`.
    """
    return _load_network(Path(path), "discriminator", make_discriminator, device)


def read_card(path: Path | str) -> dict:
    """Return the JSON card that lies beside a safetensors file.

    Raises:
        FileNotFoundError: if the file or its card is missing.
        ValueError: if the card is not one of a network.
    """
    path = Path(path)
    for file in (path, path.with_suffix(".json")):
        if not file.is_file():
            raise FileNotFoundError(f"{file}: no such file; `python -m pix2pix_lib.train` writes a generator and card")
    try:
        card = json.loads(path.with_suffix(".json").read_text(encoding="utf-8"))
        missing = {"network", "config", "sha256"} - card.keys()
    except (json.JSONDecodeError, UnicodeDecodeError, AttributeError) as error:
        raise ValueError(f"{path.with_suffix('.json')}: not the card of a network ({error})") from error
    if missing:
        lacking = ", ".join(sorted(missing))
        raise ValueError(f"{path.with_suffix('.json')}: not the card of a network; it lacks {lacking}")
    return card


def _save_network(path: Path, kind: str, network: nn.Module, config: TrainConfig, card: dict | None,
                  half: bool) -> None:
    tensors = {name: value.detach().cpu().contiguous() for name, value in network.state_dict().items()}
    if half:
        tensors = {name: value.half() if value.is_floating_point() else value for name, value in tensors.items()}
    data = safetensors.torch.save(tensors)
    card = {"network": kind, **(card or {}), "config": asdict(config), "sha256": hashlib.sha256(data).hexdigest()}
    with replacing(path) as weights, replacing(path.with_suffix(".json")) as card_file:
        weights.write_bytes(data)
        card_file.write_text(json.dumps(card, indent=2) + "\n", encoding="utf-8")


def _load_network(path: Path, kind: str, make: Callable[[TrainConfig], nn.Module],
                  device: torch.device | str) -> tuple[nn.Module, TrainConfig]:
    card = read_card(path)
    remedy = f"; `{card['command']}` makes it anew" if "command" in card else ""
    if card["network"] != kind:
        raise ValueError(f"{path}: its card says that it holds a {card['network']}, not a {kind}; give the other file")
    try:
        config = TrainConfig(**{f.name: card["config"][f.name] for f in fields(TrainConfig)})
    except (KeyError, TypeError, ValueError) as error:
        raise ValueError(f"{path.with_suffix('.json')}: not the card of a {kind} ({error!r})") from error
    data = path.read_bytes()
    if hashlib.sha256(data).hexdigest() != card["sha256"]:
        raise ValueError(f"{path}: its SHA-256 is not the one in its card; the file is damaged or another one{remedy}")
    try:
        tensors = safetensors.torch.load(data)
    except SafetensorError as error:
        raise ValueError(f"{path}: not a readable safetensors file ({error})") from error
    network = make(config)
    network.load_state_dict({name: value.float() if value.is_floating_point() else value
                             for name, value in tensors.items()})
    return network.to(device), config
