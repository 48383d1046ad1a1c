"""Weights to begin with: of this library's runs, and .pth files of pytorch-CycleGAN-and-pix2pix.

`foreign` says how the networks of that repository differ from ours.
"""

import pickle
import re
import zipfile
from dataclasses import dataclass, replace
from pathlib import Path

import torch
from torch import Tensor, nn

from .checkpoints import (
    ENTRIES,
    check_archive,
    checked_state,
    load_discriminator,
    load_generator,
    read_card,
    saved_config,
)
from .config import TrainConfig, make_generator, reverse_config
from .foreign import ACCEPTED, is_network, make_config, translate_names
from .run_folder import generator_names
from .trainer import Trainer
from .validation import InputError

IN_A_FOLDER = (
    ("generator.safetensors",),
    ("generator_ab.safetensors", "generator_ba.safetensors"),
    ("checkpoints/last.pt",),
    ("last.pt",),
    ("latest_net_G.pth",),
    ("latest_net_G_A.pth", "latest_net_G_B.pth"),
)
SIZES = ("in_channels", "out_channels", "base_channels", "generator", "depth", "norm", "upsampling")
KINDS = {"unet": (*SIZES, "skips", "detail_channels"), "resnet": (*SIZES, "blocks")}
DISCRIMINATOR = ("disc_channels", "disc_norm", "disc_layers", "conditional")
OWN_NETWORKS = ("instance3x3", "upsample4x4", "shallow")  # no settings of "own" build these
# There D_A teaches G_A: it judges images of B.
BOTH_WAYS = {"G_A": "generator_ab", "G_B": "generator_ba",
             "D_A": "discriminator_b", "D_B": "discriminator_a"}  # fmt: skip


@dataclass(frozen=True)
class Weights:
    """State dicts by the names of the networks in a trainer, and what is known about them.

    `config` is that of the training; of its settings only those in `known` are certain.
    """

    path: Path
    config: TrainConfig
    networks: dict[str, dict[str, Tensor]]
    known: tuple[str, ...]
    card: dict


def find_weights(path: Path | str, direction: str = "") -> Path:
    """Return the file that holds the generator: `path` itself, or the one in a run's folder.

    Args:
        direction: "AtoB" or "BtoA" decides between the two generators of CycleGAN.

    Raises:
        FileNotFoundError: if there is no such file, or none in the folder.
        InputError: if the folder holds two generators and the direction does not decide.
    """
    path = Path(path)
    if path.is_file():
        return path
    for names in IN_A_FOLDER:
        files = [path / name for name in names if (path / name).is_file()]
        if len(files) == 1:
            return files[0]
        ways = {_direction_of(file): file for file in files}
        if direction in ways:
            return ways[direction]
        if files:
            words = " and ".join(f"{file.name} ({way})" for way, file in ways.items())
            raise InputError(f"{path} holds two generators, {words}; give one of these files")
    what = "no generator in this folder" if path.is_dir() else "no such file or folder"
    raise FileNotFoundError(f"{path}: {what}; {ACCEPTED}")


def _direction_of(file: Path) -> str:
    """Return the direction that a card or the name of a .pth tells: there G_A makes B of A."""
    if file.suffix == ".safetensors":
        config = read_card(file)["config"]
        return config.get("direction", "") if isinstance(config, dict) else ""
    match = re.fullmatch(r".+_net_G_([AB])\.pth", file.name)
    return {"A": "AtoB", "B": "BtoA"}[match[1]] if match else ""


def load_any_generator(
    path: Path | str, device: torch.device | str = "cpu", direction: str = ""
) -> tuple[nn.Module, TrainConfig, dict]:
    """Return a generator, the config of its training and its card, from whatever holds it.

    That may be a `generator.safetensors`, a run's folder, a checkpoint, or a .pth of
    junyanz/pytorch-CycleGAN-and-pix2pix. Nothing in a file is executed.

    Args:
        direction: "AtoB" or "BtoA" chooses one of CycleGAN's two generators, and says what is not
            known of a .pth, whose config else has the default.

    Raises:
        FileNotFoundError: if there is no such file, or no generator in the folder.
        InputError: if the file holds something else, a network that cannot be represented here, or
            translates in the other direction.
    """
    weights = _read(find_weights(path, direction))
    file, config, name = weights.path, weights.config, "generator"
    if name not in weights.networks:
        if not direction:
            raise InputError(f"{file} holds two generators; give --direction AtoB or BtoA")
        straight = direction == config.direction
        name = "generator_ab" if straight else "generator_ba"
        config = config if straight else reverse_config(config)
    elif "direction" not in weights.known:
        config = replace(config, direction=direction or config.direction)
    elif direction not in ("", config.direction):
        raise InputError(f"{file} translates {config.direction}, not {direction}")
    with torch.device("meta"):  # without first weights, which would take random numbers
        generator = make_generator(config)
    if misfit := _misfit(generator, weights.networks[name]):
        raise InputError(f"{file}: not the generator that its settings describe ({misfit})")
    generator.load_state_dict(weights.networks[name], assign=True)
    card = dict(weights.card)
    if encodings := card.pop("encodings", None):  # what the values of A and B mean
        sides = ("input", "target") if config.direction == "AtoB" else ("target", "input")
        card |= zip(sides, encodings, strict=True)
    return generator.to(device), config, card


def config_for(path: Path | str) -> dict:
    """Return the settings of the networks at a path, as far as they are known, by name.

    `system` is among them where other settings could not build the networks, and for CycleGAN.

    Raises:
        FileNotFoundError, InputError: as `initialise`.
    """
    weights = _read(_find_all(path), together=True)
    found = {name: getattr(weights.config, name) for name in weights.known if name != "direction"}
    if weights.config.system in (*OWN_NETWORKS, "cyclegan"):
        found["system"] = weights.config.system
    return found


def initialise(trainer: Trainer, path: Path | str) -> str:
    """Give a new trainer the weights at a path; returns in one sentence what was taken.

    The generators must fit. A discriminator is taken where there is one and it fits; a run's folder
    or checkpoint has one, and so may the folder of a .pth. `generator_ab` stands for the generator
    of pix2pix and the other way round: both make the target of the input. Optimisers, epochs and
    history begin anew, and no random number is drawn.

    Raises:
        FileNotFoundError: if there is no such file, or no generator in the folder.
        InputError: if the generator is another one, with the flags that would describe it, or if
            the file cannot be read; the trainer is then as it was.
        ValueError: if the trainer has trained already.
    """
    if trainer.steps:
        raise ValueError(f"expected a new trainer; this one has made {trainer.steps} steps")
    config = trainer.config
    weights = _read(_find_all(path), together=config.is_unpaired)
    taken, reasons = {}, []
    for name, network in trainer.networks.items():
        source = _counterpart(name, weights.networks)
        obstacle = _obstacle(network, source, weights, config) if source else "there is none"
        if source and obstacle and name in trainer.generators:
            raise InputError(f"{weights.path}: another generator: {obstacle}")
        if obstacle:
            reasons.append(f"{name} begins anew ({obstacle})")
        else:
            taken[name] = source
    for name, source in taken.items():
        trainer.networks[name].load_state_dict(weights.networks[source])
    words = [name if name == source else f"{source} as {name}" for name, source in taken.items()]
    said = f"{' and '.join(words)} of {weights.path}"
    if "epochs" in weights.card:
        said += f" after epoch {weights.card['epochs']}"
    way = weights.config.direction
    if "direction" in weights.known and way != config.direction:
        said += f" (trained {way}, this run is {config.direction})"
    return "; ".join([said, *reasons, "optimisers begin anew"])


def _find_all(path: Path | str) -> Path:
    """Return the file to train on from: where there is a choice, the one with all networks."""
    path = Path(path)
    for name in ("checkpoints/last.pt", "last.pt", "latest_net_G_A.pth"):
        if (path / name).is_file():
            return path / name
    return find_weights(path)


def _counterpart(name: str, networks: dict) -> str | None:
    """Return the name of the network that does there what `name` does in a trainer."""
    others = {"generator": "generator_ab", "generator_ab": "generator"}
    return next((each for each in (name, others.get(name)) if each in networks), None)


def _obstacle(network: nn.Module, source: str, weights: Weights, here: TrainConfig) -> str:
    """Return why a network cannot take weights, with the flags that would help; else nothing."""
    there = weights.config
    names = DISCRIMINATOR[:3] if here.is_unpaired else DISCRIMINATOR
    if source.startswith("generator"):
        names = KINDS[there.generator]
    if there.system != here.system and {there.system, here.system} & set(OWN_NETWORKS):
        names = ("system",)
    values = {name: (getattr(there, name), getattr(here, name)) for name in names}
    differing = {name: pair for name, pair in values.items() if pair[0] != pair[1]}
    if not differing:
        return _misfit(network, weights.networks[source])
    words = ", ".join(
        f"{name} is {one} there, {two} here" for name, (one, two) in differing.items()
    )
    return f"{words}; {' '.join(_flag(name, one) for name, (one, _) in differing.items())} takes it"


def _flag(name: str, value: object) -> str:
    name = name.replace("_", "-")
    return f"--{'' if value else 'no-'}{name}" if isinstance(value, bool) else f"--{name} {value}"


def _misfit(network: nn.Module, state: dict[str, Tensor]) -> str:
    """Return the first tensor that is not on both sides with one shape, or nothing."""
    here, there = network.state_dict(), state
    for name in {**here, **there}:
        shapes = [tuple(d[name].shape) if name in d else "none" for d in (there, here)]
        if shapes[0] != shapes[1]:
            return f"{name} is {shapes[0]} there, {shapes[1]} here"
    return ""


# --- reading files ------------------------------------------------------------------------------


def _read(path: Path, together: bool = False) -> Weights:
    """Return what a file holds; with `together`, a .pth of CycleGAN brings those beside it."""
    has_card = path.with_suffix(".json").is_file() and not zipfile.is_zipfile(path)
    if path.suffix == ".safetensors" or has_card:
        return _read_safetensors(path)
    state = _read_tensors(path)
    if state.keys() >= ENTRIES.keys():
        return _read_run(path, checked_state(path, state))
    return _read_pth(path, state, together)


def _own(path: Path, config: TrainConfig, networks: dict, card: dict) -> Weights:
    known = *KINDS[config.generator], *DISCRIMINATOR, "dropout", "direction"
    return Weights(path, config, networks, known, card)


def _read_safetensors(path: Path) -> Weights:
    generator, config = load_generator(path)
    networks = {"generator": generator.state_dict()}
    beside = path.with_name(path.name.replace("generator", "discriminator"))
    if beside != path and beside.is_file() and beside.with_suffix(".json").is_file():
        networks["discriminator"] = load_discriminator(beside)[0].state_dict()
    return _own(path, config, networks, read_card(path))


def _read_run(path: Path, state: dict) -> Weights:
    config = saved_config(path, state)
    judges = ("discriminator_a", "discriminator_b") if config.is_unpaired else ("discriminator",)
    names = (*generator_names(config), *judges)
    if missing := [name for name in names if not is_network(state.get(name))]:
        raise InputError(f"{path}: not a checkpoint of this trainer; it lacks {missing[0]}")
    card = {"network": "generator", "epochs": state["epoch"], "source": str(path)}
    card["encodings"] = (state.get("data") or {}).get("encodings")
    return _own(path, config, {name: state[name] for name in names}, card)


def _read_tensors(path: Path) -> dict:
    """Return the dict in a file of torch, whose tensors and plain data are all that is read."""
    try:
        if zipfile.is_zipfile(path):  # files of before torch 1.6 are not
            check_archive(path)
        state = torch.load(path, map_location="cpu", weights_only=True)
        if not isinstance(state, dict):
            raise ValueError(f"it holds a {type(state).__name__}")
    except OSError:
        raise
    except Exception as error:  # damaged files make the reader raise almost anything
        reason = (str(error).splitlines() or [type(error).__name__])[0]
        if isinstance(error, pickle.UnpicklingError):  # torch's text explains how to load it
            reason = "no file of torch, or it holds more than tensors and plain data"
        raise InputError(f"{path}: not readable as weights ({reason}); {ACCEPTED}") from error
    return state


def _read_pth(path: Path, state: dict, together: bool) -> Weights:
    settings, network = translate_names(path, state)
    if "disc_layers" in settings:
        raise InputError(f"{path} holds a discriminator; give the generator's file (..._net_G.pth)")
    way, start = _direction_of(path), path.name.rpartition("_net_")[0]
    names = {"D": "discriminator"} if not way else BOTH_WAYS if together else {}
    files = {name: path.with_name(f"{start}_net_{label}.pth") for label, name in names.items()}
    others = {n: translate_names(f, _read_tensors(f)) for n, f in files.items() if f.is_file()}
    networks = {name: tensors for name, (_, tensors) in others.items()}
    if "generator_ab" not in networks and "generator_ba" not in networks:
        networks["generator"] = network
    for found, _ in others.values():
        if "disc_layers" in found:
            settings |= {name: found[name] for name in DISCRIMINATOR if name in found}
            settings |= {} if way else {"conditional": found["seen"] != settings["out_channels"]}
    settings |= {"direction": way} if way else {}
    config = make_config(path, settings)
    if way == "BtoA" and "generator_ba" in networks:
        config = reverse_config(config)
    card = {
        "network": "generator",
        "source": f"{path.name} of junyanz/pytorch-CycleGAN-and-pix2pix",
        "unknown": f"{'' if way else 'direction, '}image size, the dropout of a U-Net (here off)",
    }
    return Weights(path, config, networks, tuple(settings), card)
