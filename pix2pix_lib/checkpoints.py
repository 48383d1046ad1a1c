"""Keeping a run on disk: checkpoints to go on from, and generators to use.

A checkpoint holds the whole run and is read back with `weights_only=True`: a file can hold tensors and plain data,
nothing that runs. A network alone is a safetensors file with a JSON card beside it that says what it is.
"""

import hashlib
import json
import pickle
import zipfile
from collections.abc import Callable, Iterable
from dataclasses import asdict, fields
from pathlib import Path

import safetensors.torch
import torch
from safetensors import SafetensorError
from torch import Tensor, nn

from .files import replacing
from .patchgan import PatchDiscriminator
from .training import TrainConfig, Trainer, make_discriminator, make_generator

MAY_CHANGE = ("epochs",)  # a run may go on for longer; every other setting belongs to the run
KINDS = {"epoch": int, "config": dict, "history": list, "optimizer_g": dict, "optimizer_d": dict}
MOMENTS = {"step", "exp_avg", "exp_avg_sq"}  # what Adam keeps for each parameter


def save_checkpoint(path: Path | str, trainer: Trainer, make_folder: bool = True) -> None:
    """Write the state of a run; an older checkpoint is replaced only by a whole new one.

    Raises:
        OSError: if the file cannot be written, as on a full disk; the older one is then as it was.
    """
    with replacing(Path(path), make_folder) as temporary, temporary.open("wb") as file:
        try:
            torch.save(trainer.state_dict(), file)
        except RuntimeError as error:  # of torch's own, about the half of a file that a failed write left
            if isinstance(error.__context__, OSError):
                raise error.__context__ from None
            raise


def load_checkpoint(path: Path | str, trainer: Trainer) -> None:
    """Put a trainer into the state that a checkpoint holds.

    Raises:
        FileNotFoundError: if there is no such file.
        ValueError: if it is no checkpoint, is damaged, or belongs to a run with other settings or another model; the
            trainer is then as it was.
    """
    state = read_checkpoint(path)
    check_settings(path, state, trainer.config)
    problem = _misfit(state, trainer)
    if problem:
        raise ValueError(f"{path}: made by another model, {problem}; use the code that made it, or begin anew")
    trainer.load_state_dict(state)


def read_checkpoint(path: Path | str) -> dict:
    """Return the state in a checkpoint file, its tensors on the CPU; whether it fits a trainer is not looked at.

    Raises:
        FileNotFoundError, ValueError: as `load_checkpoint`.
    """
    try:
        with zipfile.ZipFile(path) as archive:  # torch writes checksums, and compares none
            program = any(name.endswith("/constants.pkl") for name in archive.namelist())
            damaged = archive.testzip()
        if program:  # torch would warn, and then tell how to load it all the same
            raise ValueError("it is a TorchScript program")
        if damaged:
            raise ValueError(f"its part {damaged} is damaged")
        state = torch.load(path, map_location="cpu", weights_only=True)
    except FileNotFoundError:
        raise FileNotFoundError(f"{path}: no such checkpoint; train first, or give another folder") from None
    except Exception as error:  # damaged files make the reader raise almost anything
        reason = (str(error).splitlines() or [type(error).__name__])[0]
        if isinstance(error, pickle.UnpicklingError):  # torch's text explains how to load it all the same
            reason = "it holds more than tensors and plain data"
        raise ValueError(f"{path}: not a readable checkpoint ({reason}); "
                         f"delete it to begin anew, or restore a copy") from error
    if not isinstance(state, dict) or not state.keys() >= KINDS.keys():
        raise ValueError(f"{path}: not a checkpoint of this trainer; expected entries {', '.join(sorted(KINDS))}")
    wrong = [name for name, kind in KINDS.items() if not isinstance(state[name], kind)]
    if not wrong and not all(isinstance(value, int | float | str) for value in state["config"].values()):
        wrong = ["config"]
    if wrong:
        raise ValueError(f"{path}: not a checkpoint of this trainer; {', '.join(wrong)} of another kind than expected")
    return state


def check_settings(path: Path | str, state: dict, config: TrainConfig) -> None:
    """Raise a ValueError that names each setting that a checkpoint's run had otherwise, with both values."""
    changed = changed_settings(state["config"], asdict(config))
    if changed:
        raise ValueError(f"{path} belongs to a run with other settings: {'; '.join(changed)}. "
                         f"Use the settings of that run, or another folder for the new one")


def changed_settings(saved: dict, wanted: dict) -> list[str]:
    """Return one phrase for each setting that differs and must not, with both values.

    A setting that a run of an older version did not have yet had its default.
    """
    saved = asdict(TrainConfig()) | saved
    return [f"{name} was {saved.get(name)}, is {value}" for name, value in wanted.items()
            if name not in MAY_CHANGE and saved.get(name) != value]


def save_generator(path: Path | str, generator: nn.Module, config: TrainConfig, card: dict | None = None,
                   half: bool = False, make_folder: bool = True) -> None:
    """Write a generator's weights as safetensors, and a JSON card beside them: settings, digest, and what `card` adds.

    `half=True` stores 16-bit floats, half the size. The card is written last: where it is new, so are the weights.
    """
    _save_network(Path(path), "generator", generator, config, card, half, make_folder)


def save_discriminator(path: Path | str, discriminator: PatchDiscriminator, config: TrainConfig,
                       card: dict | None = None, half: bool = False, make_folder: bool = True) -> None:
    """Write a discriminator as `save_generator` writes a generator."""
    _save_network(Path(path), "discriminator", discriminator, config, card, half, make_folder)


def load_generator(path: Path | str, device: torch.device | str = "cpu") -> tuple[nn.Module, TrainConfig]:
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


def _misfit(state: dict, trainer: Trainer) -> str:
    """Return in a few words the first thing in a checkpoint's state that the trainer cannot take over, or nothing."""
    own = trainer.state_dict()
    if state.keys() != own.keys():
        return f"with the entries {_names(state)}, not {_names(own)}"
    wrong = [name for name in own if not isinstance(state[name], type(own[name]))]
    if wrong:
        return f"its {wrong[0]} is of another kind"
    for networks, optimizer in ((trainer.generators, "optimizer_g"), (trainer.discriminators, "optimizer_d")):
        for name in networks:
            problem = _misfit_of_network(state[name], own[name])
            if problem:
                return f"its {name}'s {problem}"
        problem = _misfit_of_adam(state[optimizer], getattr(trainer, optimizer))
        if problem:
            return f"its {' and '.join(networks)}'s {problem}"
    for name, pool in own.items():
        if isinstance(pool, Tensor) and not _is_pool_like(state[name], pool, trainer.config.pool_size):
            return f"its {name} is {_form(state[name])}, not up to {trainer.config.pool_size} images {_form(pool[:0])}"
    names = {option.name for option in fields(trainer.record)}
    records = all(isinstance(record, dict) and record.keys() == names and all(map(_is_number, record.values()))
                  for record in state["history"])
    return "" if records and state["epoch"] >= 0 else "its history is of another kind"


def _is_pool_like(saved: Tensor, pool: Tensor, size: int) -> bool:
    """Tell whether a tensor holds images, at most `size`, of the shape of those that a pool holds or would hold."""
    return saved.dim() == 4 and len(saved) <= size and _is_like(saved[:0], pool[:0]) and saved.dtype == pool.dtype


def _misfit_of_network(saved: dict, own: dict) -> str:
    if saved.keys() != own.keys():
        return f"tensors have other names: {_names(saved.keys() ^ own.keys())}"
    for name, tensor in own.items():
        if not _is_like(saved[name], tensor) or saved[name].dtype != tensor.dtype:
            return f"{name} is {_form(saved[name])}, not {_form(tensor)}"
    return ""


def _misfit_of_adam(saved: dict, optimizer: torch.optim.Optimizer) -> str:
    parameters = [parameter for group in optimizer.param_groups for parameter in group["params"]]
    moments = saved.get("state")
    if not isinstance(moments, dict) or moments.keys() not in (set(), set(range(len(parameters)))):
        return f"Adam has not the moments of {len(parameters)} parameters"
    for index, state in moments.items():
        if not isinstance(state, dict) or state.keys() != MOMENTS or not _is_like(state["step"], torch.tensor(0)):
            return f"Adam has other moments than {_names(MOMENTS)}"
        for name in ("exp_avg", "exp_avg_sq"):
            if not _is_like(state[name], parameters[index]):
                return f"Adam has a moment {_form(state[name])}, not {_form(parameters[index])}"
    return ""


def _is_like(value: object, tensor: Tensor) -> bool:
    """Tell whether a value is an ordinary tensor of the shape of another one."""
    return (isinstance(value, Tensor) and value.shape == tensor.shape and value.layout == torch.strided
            and not value.is_meta and not value.is_quantized)


def _is_number(value: object) -> bool:
    return isinstance(value, int | float)


def _form(value: object) -> str:
    """Return what a message says about a tensor, or about what should be one."""
    if not isinstance(value, Tensor):
        return type(value).__name__
    return f"{'x'.join(map(str, value.shape)) or 'one number'} ({str(value.dtype).removeprefix('torch.')})"


def _names(names: Iterable) -> str:
    """Return the names in a few words: sorted, no more than five."""
    names = sorted(map(str, names))
    return ", ".join(names[:5]) + (f" and {len(names) - 5} more" if len(names) > 5 else "")


def _save_network(path: Path, kind: str, network: nn.Module, config: TrainConfig, card: dict | None,
                  half: bool, make_folder: bool) -> None:
    tensors = {name: value.detach().cpu().contiguous() for name, value in network.state_dict().items()}
    if half:
        tensors = {name: value.half() if value.is_floating_point() else value for name, value in tensors.items()}
    data = safetensors.torch.save(tensors)
    card = {"network": kind, **(card or {}), "config": asdict(config), "sha256": hashlib.sha256(data).hexdigest()}
    with replacing(path.with_suffix(".json"), make_folder) as card_file, replacing(path, make_folder) as weights:
        weights.write_bytes(data)
        card_file.write_text(json.dumps(card, indent=2) + "\n", encoding="utf-8")


def _load_network(path: Path, kind: str, make: Callable[[TrainConfig], nn.Module],
                  device: torch.device | str) -> tuple[nn.Module, TrainConfig]:
    card = read_card(path)
    remedy = f"; `{card['command']}` makes it anew" if "command" in card else ""
    if card["network"] != kind:
        raise ValueError(f"{path}: its card says that it holds a {card['network']}, not a {kind}; give the other file")
    try:
        config = TrainConfig(**card["config"])  # what an older version did not know has its default
    except (TypeError, ValueError) as error:
        raise ValueError(f"{path.with_suffix('.json')}: not the card of a {kind} ({error!r})") from error
    data = path.read_bytes()
    if hashlib.sha256(data).hexdigest() != card["sha256"]:
        raise ValueError(f"{path}: its SHA-256 is not the one in its card; the file is damaged or another one{remedy}")
    try:
        tensors = safetensors.torch.load(data)
    except SafetensorError as error:
        raise ValueError(f"{path}: not a readable safetensors file ({error})") from error
    network = make(config)
    tensors = {name: value.float() if value.is_floating_point() else value for name, value in tensors.items()}
    problem = _misfit_of_network(tensors, network.state_dict())
    if problem:
        raise ValueError(f"{path}: not the {kind} that its card describes, its {problem}{remedy}")
    network.load_state_dict(tensors)
    return network.to(device), config
