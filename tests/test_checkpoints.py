"""Files of runs and generators: whole or not at all, data and nothing else."""

import json
import os
import pickle
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from pix2pix_lib.checkpoints import (
    load_checkpoint,
    load_discriminator,
    load_generator,
    read_checkpoint,
    save_checkpoint,
    save_discriminator,
    save_generator,
)
from pix2pix_lib.training import make_discriminator, make_generator, make_trainer, translate


@pytest.fixture
def saved(tiny_config, tiny_pairs, tmp_path):
    trainer = make_trainer(tiny_config)
    for _ in trainer.run_epoch(tiny_pairs):
        pass
    save_checkpoint(tmp_path / "last.pt", trainer)
    return tmp_path / "last.pt"


def test_checkpoint_holds_networks_optimisers_epoch_config_and_history(saved, tiny_config):
    state = read_checkpoint(saved)
    assert state["epoch"] == 1 and len(state["history"]) == 5
    assert state["config"]["base_channels"] == tiny_config.base_channels
    assert state["optimizer_g"]["state"] and state["optimizer_d"]["state"]


def test_failed_save_keeps_the_older_checkpoint(saved, tiny_config, monkeypatch):
    before = saved.read_bytes()

    def full_disk(state, path):
        Path(path).write_bytes(b"half of it")
        raise OSError("No space left on device")

    monkeypatch.setattr(torch, "save", full_disk)
    with pytest.raises(OSError, match="No space"):
        save_checkpoint(saved, make_trainer(tiny_config))
    assert saved.read_bytes() == before
    assert [file.name for file in saved.parent.iterdir()] == ["last.pt"]


class Bomb:
    def __reduce__(self):
        return os.mkdir, ("exploded",)


def test_pickle_that_runs_code_is_refused(tmp_path, tiny_config, monkeypatch):
    monkeypatch.chdir(tmp_path)
    torch.save({"generator": Bomb()}, "bomb.pt")
    Path("plain.pt").write_bytes(pickle.dumps(Bomb(), protocol=2))
    for name in ("bomb.pt", "plain.pt"):
        with pytest.raises(ValueError, match="not a readable checkpoint"):
            load_checkpoint(name, make_trainer(tiny_config))
    assert not Path("exploded").exists()


def test_truncated_checkpoint_is_named(saved, tiny_config):
    saved.write_bytes(saved.read_bytes()[:-2000])
    trainer = make_trainer(tiny_config)
    with pytest.raises(ValueError, match=r"last\.pt: not a readable checkpoint .* delete it to begin anew") as caught:
        load_checkpoint(saved, trainer)
    assert "\n" not in str(caught.value)
    assert trainer.epoch == 0


def test_file_with_other_entries_is_no_checkpoint(tmp_path, tiny_config):
    torch.save({"weights": torch.zeros(2)}, tmp_path / "other.pt")
    with pytest.raises(ValueError, match="not a checkpoint of this trainer"):
        load_checkpoint(tmp_path / "other.pt", make_trainer(tiny_config))


def test_missing_checkpoint_is_named(tmp_path, tiny_config):
    with pytest.raises(FileNotFoundError, match=r"nowhere\.pt: no such checkpoint"):
        load_checkpoint(tmp_path / "nowhere.pt", make_trainer(tiny_config))


def test_changed_setting_is_named_with_both_values(saved, tiny_config):
    other = make_trainer(replace(tiny_config, base_channels=8, norm="instance"))
    with pytest.raises(ValueError, match="base_channels was 4, is 8; norm was batch, is instance"):
        load_checkpoint(saved, other)
    assert other.epoch == 0


def test_run_may_go_on_for_more_epochs(saved, tiny_config):
    longer = make_trainer(replace(tiny_config, epochs=9))
    load_checkpoint(saved, longer)
    assert longer.epoch == 1


def test_generator_survives_saving_and_loading(tmp_path, tiny_config, tiny_pairs):
    generator = make_generator(tiny_config)
    save_generator(tmp_path / "generator.safetensors", generator, tiny_config, {"epochs": 3})
    loaded, config = load_generator(tmp_path / "generator.safetensors")
    assert config == tiny_config
    real_a = tiny_pairs.tensors[0]
    assert torch.equal(translate(generator, real_a), translate(loaded, real_a))
    assert json.loads((tmp_path / "generator.json").read_text())["epochs"] == 3


def test_half_precision_halves_the_file_and_hardly_changes_the_image(tmp_path, tiny_config, tiny_pairs):
    generator = make_generator(tiny_config)
    save_generator(tmp_path / "whole.safetensors", generator, tiny_config)
    save_generator(tmp_path / "half.safetensors", generator, tiny_config, half=True)
    sizes = [(tmp_path / f"{name}.safetensors").stat().st_size for name in ("half", "whole")]
    assert sizes[0] < 0.65 * sizes[1]
    loaded, _ = load_generator(tmp_path / "half.safetensors")
    difference = translate(generator, tiny_pairs.tensors[0]) - translate(loaded, tiny_pairs.tensors[0])
    assert 0 < difference.abs().max() < 0.01


def test_generator_file_that_is_not_the_one_in_its_card_is_refused(tmp_path, tiny_config):
    path = tmp_path / "generator.safetensors"
    save_generator(path, make_generator(tiny_config), tiny_config)
    data = bytearray(path.read_bytes())
    data[-1] ^= 1
    path.write_bytes(data)
    with pytest.raises(ValueError, match="SHA-256"):
        load_generator(path)


def test_card_that_is_damaged_or_missing_is_named(tmp_path, tiny_config):
    path = tmp_path / "generator.safetensors"
    save_generator(path, make_generator(tiny_config), tiny_config)
    (tmp_path / "generator.json").write_text("{}")
    with pytest.raises(ValueError, match=r"generator\.json: not the card of a network"):
        load_generator(path)
    (tmp_path / "generator.json").unlink()
    with pytest.raises(FileNotFoundError, match=r"generator\.json: no such file"):
        load_generator(path)


def test_discriminator_survives_saving_and_loading(tmp_path, tiny_config, tiny_pairs):
    discriminator = make_discriminator(tiny_config)
    save_discriminator(tmp_path / "discriminator.safetensors", discriminator, tiny_config)
    loaded, config = load_discriminator(tmp_path / "discriminator.safetensors")
    assert config == tiny_config
    assert torch.equal(discriminator(*tiny_pairs.tensors), loaded(*tiny_pairs.tensors))


def test_one_network_is_not_taken_for_the_other(tmp_path, tiny_config):
    save_discriminator(tmp_path / "d.safetensors", make_discriminator(tiny_config), tiny_config)
    with pytest.raises(ValueError, match="holds a discriminator, not a generator"):
        load_generator(tmp_path / "d.safetensors")


def test_damaged_file_names_the_command_that_makes_it_anew(tmp_path, tiny_config):
    path = tmp_path / "generator.safetensors"
    save_generator(path, make_generator(tiny_config), tiny_config, {"command": "python -m somewhere"})
    path.write_bytes(path.read_bytes()[:-1])
    with pytest.raises(ValueError, match=r"`python -m somewhere` makes it anew"):
        load_generator(path)
