"""Keeping a run on disk: checkpoints to go on from, and generators to use.

A checkpoint holds the whole state of a run and is read back with `weights_only=True`: a file can
hold tensors and plain data, nothing that runs. The losses so far lie beside it, see `history`. A
network alone is a safetensors file with a JSON card beside it that says what it is.
"""

import copy
import hashlib
import json
import pickle
import zipfile
from collections.abc import Callable, Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

import safetensors.torch
import torch
from safetensors import SafetensorError
from torch import Tensor, nn

from .config import (
    TrainConfig,
    config_from_dict,
    make_discriminator,
    make_generator,
)
from .files import course_data, ensure_folder, replacing
from .history import append_history, history_file, read_history
from .patchgan import PatchDiscriminator
from .segmenter import Segmenter
from .trainer import Trainer
from .validation import InputError

MAY_CHANGE = ("epochs", "lr")  # when a run goes on; every other setting belongs to the run
SEGMENTER = course_data() / "weights" / "segmenter.safetensors"
ENTRIES = {"epoch": int, "steps": int, "config": dict, "optimizer_g": dict, "optimizer_d": dict}


def save_checkpoint(
    path: Path | str, trainer: Trainer, make_folder: bool = True, data: Mapping | None = None
) -> None:
    """Write the state of a run, and append its new losses to the file of its history.

    An older checkpoint is replaced only by a whole new one.

    Args:
        data: what identifies the data of the run, kept as the entry "data".

    Raises:
        OSError: if a file cannot be written, as on a full disk; the older one is then as it was.
    """
    path = Path(path)
    ensure_folder(path.parent, make_folder)
    state = trainer.state_dict() | {"data": dict(data or {})}
    with replacing(path, make_folder) as temporary:
        _save_state(state, temporary)
        append_history(history_file(path), trainer)  # a kill here leaves lines that are cut later


def _save_state(state: dict, path: Path) -> None:
    """Write a state; a failed write is an OSError, not torch's complaint about the half file."""
    with path.open("wb") as file:
        try:
            torch.save(state, file)
        except RuntimeError as error:
            if isinstance(error.__context__, OSError):
                raise error.__context__ from None
            raise


def load_checkpoint(path: Path | str, trainer: Trainer) -> None:
    """Put a trainer into the state that a checkpoint holds, and give it the losses so far.

    Raises:
        FileNotFoundError: if there is no such file.
        InputError: if it is no checkpoint, is damaged, or belongs to a run with other settings or
            another model; the trainer is then as it was.
    """
    restore(path, read_checkpoint(path), trainer)


def restore(path: Path | str, state: dict, trainer: Trainer, with_history: bool = True) -> None:
    """Do what `load_checkpoint` does, with the state that `read_checkpoint` has returned."""
    check_settings(path, saved_config(path, state), asdict(trainer.config))
    history = state.get("history")  # in checkpoints of older versions
    if history is not None:
        history = [trainer.record_class(**record) for record in history]
    elif with_history:
        history = read_history(history_file(path), trainer.record_class, state["steps"])
    before = copy.deepcopy(trainer.state_dict())
    known = trainer.history, trainer.saved_history
    try:
        trainer.load_state_dict(state)
    except (AttributeError, KeyError, RuntimeError, TypeError, ValueError) as error:
        trainer.load_state_dict(before)
        trainer.history, trainer.saved_history = known
        reason = " ".join(str(error).split())[:200]
        raise InputError(
            f"{path}: made by another model ({reason}); use the code that made it, or begin anew"
        ) from error
    trainer.history = history or []
    trainer.saved_history = history_file(path).resolve(), trainer.steps


def read_checkpoint(path: Path | str) -> dict:
    """Return the state in a checkpoint file, its tensors on the CPU.

    Raises:
        FileNotFoundError: if there is no such file.
        InputError: if it is no checkpoint, or is damaged.
    """
    try:
        check_archive(path)
        state = torch.load(path, map_location="cpu", weights_only=True)
    except FileNotFoundError:
        raise FileNotFoundError(
            f"{path}: no such checkpoint; train first, or give another folder"
        ) from None
    except Exception as error:  # damaged files make the reader raise almost anything
        reason = (str(error).splitlines() or [type(error).__name__])[0]
        if isinstance(error, pickle.UnpicklingError):  # torch's text explains how to load it
            reason = "it holds more than tensors and plain data"
        raise InputError(
            f"{path}: not a readable checkpoint ({reason}); delete it to begin anew, or restore "
            f"a copy"
        ) from error
    return checked_state(path, state)


def check_archive(path: Path | str) -> None:
    """Check that a file of torch is whole, and no program: torch compares no checksums itself.

    Raises:
        FileNotFoundError: if there is no such file.
        ValueError, zipfile.BadZipFile: if it is damaged, or something else.
    """
    with zipfile.ZipFile(path) as archive:
        program = any(name.endswith("/constants.pkl") for name in archive.namelist())
        damaged = archive.testzip()
    if program:  # torch would warn, and then tell how to load it all the same
        raise ValueError("it is a TorchScript program")
    if damaged:
        raise ValueError(f"its part {damaged} is damaged")


def checked_state(path: Path | str, state: object) -> dict:
    """Return what a file holds if it is the state of a run.

    Raises:
        InputError: if it is something else.
    """
    if isinstance(state, dict) and isinstance(state.get("history"), list):  # of an older version
        state.setdefault("steps", len(state["history"]))
    if not isinstance(state, dict) or not state.keys() >= ENTRIES.keys():
        wanted = ", ".join(sorted(ENTRIES))
        raise InputError(f"{path}: not a checkpoint of this trainer; expected entries {wanted}")
    wrong = [name for name, kind in ENTRIES.items() if not isinstance(state[name], kind)]
    wrong += [name for name in ("epoch", "steps") if name not in wrong and state[name] < 0]
    if wrong:
        raise InputError(f"{path}: not a checkpoint of this trainer; unexpected {', '.join(wrong)}")
    return state


def saved_config(path: Path | str, state: dict) -> TrainConfig:
    """Return the settings of a checkpoint's run.

    Raises:
        InputError: if they are not settings.
    """
    try:
        return config_from_dict(state["config"])
    except (InputError, TypeError) as error:
        raise InputError(f"{path}: not the settings of a run ({error})") from error


def check_settings(path: Path | str, saved: TrainConfig, wanted: Mapping) -> None:
    """Check that a run may go on with these settings, by name.

    Raises:
        InputError: naming each setting that the run had otherwise, with both values.
    """
    changed = [
        f"{name} was {getattr(saved, name)}, is {value}"
        for name, value in wanted.items()
        if name not in MAY_CHANGE and getattr(saved, name) != value
    ]
    if changed:
        raise InputError(
            f"{path} belongs to a run with other settings: {'; '.join(changed)}. "
            f"Use the settings of that run, or another folder for the new one"
        )


def save_generator(
    path: Path | str,
    generator: nn.Module,
    config: TrainConfig,
    card: dict | None = None,
    half: bool = False,
    make_folder: bool = True,
) -> None:
    """Write a generator's weights as safetensors, and beside them a JSON card.

    The card holds the settings, a digest of the weights, and what `card` adds. It is written last:
    where it is new, so are the weights. `half=True` stores 16-bit floats, half the size.
    """
    _save_network(Path(path), "generator", generator, asdict(config), card, half, make_folder)


def save_discriminator(
    path: Path | str,
    discriminator: PatchDiscriminator,
    config: TrainConfig,
    card: dict | None = None,
    half: bool = False,
    make_folder: bool = True,
) -> None:
    """Write a discriminator as `save_generator` writes a generator."""
    config = asdict(config)
    _save_network(Path(path), "discriminator", discriminator, config, card, half, make_folder)


def save_segmenter(path: Path | str, segmenter: Segmenter, card: dict | None = None) -> None:
    """Write a segmenter as `save_generator` writes a generator, with 16-bit floats."""
    config = {"classes": segmenter.head.out_channels, "channels": list(segmenter.channels)}
    _save_network(Path(path), "segmenter", segmenter, config, card, True, True)


def load_generator(
    path: Path | str, device: torch.device | str = "cpu"
) -> tuple[nn.Module, TrainConfig]:
    """Return the generator in a safetensors file with its card, and the config of its training.

    Raises:
        FileNotFoundError: if the file or its card is missing.
        InputError: if the file is not the one that the card describes, holds another network, or is
            damaged.
    """
    return _load_network(Path(path), "generator", make_generator, device)


def load_discriminator(
    path: Path | str, device: torch.device | str = "cpu"
) -> tuple[PatchDiscriminator, TrainConfig]:
    """Return the discriminator in a safetensors file with its card, and the config of its training.

    Raises:
        FileNotFoundError, InputError: as `load_generator`.
    """
    return _load_network(Path(path), "discriminator", make_discriminator, device)


def load_segmenter(path: Path | str = SEGMENTER, device: torch.device | str = "cpu") -> Segmenter:
    """Return a segmenter, by default the one that ships with the course, in evaluation mode.

    Raises:
        FileNotFoundError, InputError: as `load_generator`.
    """
    path = Path(path)
    if not path.is_file():
        raise FileNotFoundError(f"{path}: no such file; `python -m benchmarks.segmenter` makes it")
    make, as_it_is = lambda saved: Segmenter(**saved), lambda saved: saved
    segmenter, _ = _load_network(path, "segmenter", make, device, as_it_is)
    return segmenter.eval()


def read_card(path: Path | str) -> dict:
    """Return the JSON card that lies beside a safetensors file.

    Raises:
        FileNotFoundError: if the file or its card is missing.
        InputError: if the card is not one of a network.
    """
    path = Path(path)
    for file in (path, path.with_suffix(".json")):
        if not file.is_file():
            raise FileNotFoundError(
                f"{file}: no such file; `python -m pix2pix_lib.train` writes a generator and card"
            )
    card_file = path.with_suffix(".json")
    try:
        card = json.loads(card_file.read_text(encoding="utf-8"))
        missing = {"network", "config", "sha256"} - card.keys()
    except (json.JSONDecodeError, UnicodeDecodeError, AttributeError) as error:
        raise InputError(f"{card_file}: not the card of a network ({error})") from error
    if missing:
        lacking = ", ".join(sorted(missing))
        raise InputError(f"{card_file}: not the card of a network; it lacks {lacking}")
    return card


def _save_network(
    path: Path,
    kind: str,
    network: nn.Module,
    config: dict,
    card: dict | None,
    half: bool,
    make_folder: bool,
) -> None:
    tensors = {
        name: value.detach().cpu().contiguous() for name, value in network.state_dict().items()
    }
    if half:
        tensors = {
            name: value.half() if value.is_floating_point() else value
            for name, value in tensors.items()
        }
    data = safetensors.torch.save(tensors)
    digest = hashlib.sha256(data).hexdigest()
    card = {"network": kind, **(card or {}), "config": config, "sha256": digest}
    with (
        replacing(path.with_suffix(".json"), make_folder) as card_file,
        replacing(path, make_folder) as weights,
    ):
        weights.write_bytes(data)
        card_file.write_text(json.dumps(card, indent=2) + "\n", encoding="utf-8")


def _load_network(
    path: Path,
    kind: str,
    make: Callable[[Any], nn.Module],
    device: torch.device | str,
    read_config: Callable[[dict], Any] = config_from_dict,
) -> tuple[nn.Module, Any]:
    card = read_card(path)
    remedy = f"; `{card['command']}` makes it anew" if "command" in card else ""
    if card["network"] != kind:
        raise InputError(
            f"{path}: its card says that it holds a {card['network']}, not a {kind}; "
            f"give the other file"
        )
    try:
        config = read_config(card["config"])
    except (AttributeError, TypeError, ValueError) as error:
        card_file = path.with_suffix(".json")
        raise InputError(f"{card_file}: not the card of a {kind} ({error!r})") from error
    data = path.read_bytes()
    if hashlib.sha256(data).hexdigest() != card["sha256"]:
        raise InputError(
            f"{path}: its SHA-256 is not the one in its card; the file is damaged or another "
            f"one{remedy}"
        )
    tensors = {
        name: value.float() if value.is_floating_point() else value.clone()
        for name, value in _read_tensors(path, data).items()
    }
    with torch.device("meta"):  # without first weights, which would take random numbers
        network = make(config)
    try:
        network.load_state_dict(tensors, assign=True)
    except RuntimeError as error:
        reason = " ".join(str(error).split())[:200]
        raise InputError(
            f"{path}: not the {kind} that its card describes ({reason}){remedy}"
        ) from error
    return network.to(device), config


def save_tensors(path: Path, tensors: dict[str, Tensor]) -> None:
    """Write tensors by their names as a safetensors file, without a card."""
    with replacing(path) as temporary:
        temporary.write_bytes(safetensors.torch.save(tensors))


def load_tensors(path: Path) -> dict[str, Tensor]:
    """Return the tensors of a safetensors file.

    Raises:
        InputError: if the file is none.
    """
    return _read_tensors(path, path.read_bytes())


def _read_tensors(path: Path, data: bytes) -> dict[str, Tensor]:
    try:
        return safetensors.torch.load(data)
    except SafetensorError as error:
        raise InputError(f"{path}: not a readable safetensors file ({error})") from error
