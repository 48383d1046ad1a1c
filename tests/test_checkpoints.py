"""Checkpoints and network files: written completely or not at all, and data only, never code."""

import copy
import errno
import json
import os
import pickle
import zipfile
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from killed_runs import same

from pix2pix_lib.checkpoints import (
    check_settings,
    load_checkpoint,
    load_discriminator,
    load_generator,
    read_checkpoint,
    save_checkpoint,
    save_discriminator,
    save_generator,
    saved_config,
)
from pix2pix_lib.config import TrainConfig, make_discriminator, make_generator
from pix2pix_lib.inference import translate
from pix2pix_lib.training import make_trainer
from pix2pix_lib.validation import InputError


@pytest.fixture
def saved(tiny_config, tiny_pairs, tmp_path):
    trainer = make_trainer(tiny_config)
    for _ in trainer.run_epoch(tiny_pairs):
        pass
    save_checkpoint(tmp_path / "last.pt", trainer)
    return tmp_path / "last.pt"


def test_checkpoint_holds_networks_optimisers_epoch_config_and_history(saved, tiny_config):
    state = read_checkpoint(saved)
    assert state["epoch"] == 1 and state["steps"] == 5
    assert state["config"]["base_channels"] == tiny_config.base_channels
    assert state["optimizer_g"]["state"] and state["optimizer_d"]["state"]
    trainer = make_trainer(tiny_config)
    for name in ("generator", "discriminator"):
        assert state[name].keys() == getattr(trainer, name).state_dict().keys()
    load_checkpoint(saved, trainer)
    assert [record.step for record in trainer.history] == [0, 1, 2, 3, 4]


def test_failed_save_keeps_the_older_checkpoint(saved, tiny_config, monkeypatch):
    before = {file: file.read_bytes() for file in saved.parent.iterdir()}

    def full_disk(state, file):
        file.write(b"half of it")
        raise OSError("No space left on device")

    monkeypatch.setattr(torch, "save", full_disk)
    with pytest.raises(OSError, match="No space"):
        save_checkpoint(saved, make_trainer(tiny_config))
    assert {file: file.read_bytes() for file in saved.parent.iterdir()} == before
    assert sorted(file.name for file in before) == ["last.history.csv", "last.pt"]


def test_full_disk_is_told_from_torch_s_own_complaint_about_the_half_file(
    saved, tiny_config, monkeypatch
):
    def fail(state, file):
        try:
            raise OSError(errno.ENOSPC, "No space left on device")
        except OSError:
            raise RuntimeError("unexpected pos 832 vs 790")  # noqa: B904 - as torch does

    monkeypatch.setattr(torch, "save", fail)
    with pytest.raises(OSError, match=r"No space left on device: '.*last\.pt'"):
        save_checkpoint(saved, make_trainer(tiny_config))


def test_error_of_torch_s_own_while_saving_is_not_taken_for_a_full_disk(
    saved, tiny_config, monkeypatch
):
    def fail(state, file):
        raise RuntimeError("a bug")

    monkeypatch.setattr(torch, "save", fail)
    with pytest.raises(RuntimeError, match="a bug"):
        save_checkpoint(saved, make_trainer(tiny_config))


class Bomb:
    def __reduce__(self):
        return os.mkdir, ("exploded",)


def test_pickle_that_runs_code_is_refused(tmp_path, tiny_config, monkeypatch):
    monkeypatch.chdir(tmp_path)
    torch.save({"generator": Bomb()}, "bomb.pt")
    Path("plain.pt").write_bytes(pickle.dumps(Bomb(), protocol=2))
    for name in ("bomb.pt", "plain.pt"):
        with pytest.raises(InputError, match="not a readable checkpoint"):
            load_checkpoint(name, make_trainer(tiny_config))
    assert not Path("exploded").exists()


def test_refusal_does_not_tell_how_to_run_the_code_all_the_same(tmp_path, tiny_config):
    torch.save({"generator": Bomb()}, tmp_path / "bomb.pt")
    with pytest.raises(InputError, match=r"\(it holds more than tensors and plain data\)"):
        load_checkpoint(tmp_path / "bomb.pt", make_trainer(tiny_config))


@pytest.mark.parametrize(
    "content", [b"", b"not a checkpoint", b"PK\x03\x04", pickle.dumps(7), b"\x80\x02."]
)
def test_foreign_file_is_one_line(content, tmp_path):
    (tmp_path / "last.pt").write_bytes(content)
    with pytest.raises(InputError, match="not a readable checkpoint") as caught:
        read_checkpoint(tmp_path / "last.pt")
    assert "\n" not in str(caught.value)


def test_torchscript_program_is_no_checkpoint(saved):
    with zipfile.ZipFile(saved, "a") as archive:
        archive.writestr("archive/constants.pkl", b"")
    with pytest.raises(InputError, match=r"\(it is a TorchScript program\)"):
        read_checkpoint(saved)


def test_folder_is_no_checkpoint(tmp_path):
    with pytest.raises(InputError, match="not a readable checkpoint"):
        read_checkpoint(tmp_path)


def test_damaged_byte_is_noticed_or_does_no_harm(saved):
    whole, state = saved.read_bytes(), read_checkpoint(saved)
    places = torch.Generator().manual_seed(0)
    refused = 0
    for place in torch.randint(len(whole), (100,), generator=places).tolist():
        saved.write_bytes(whole[:place] + bytes([whole[place] ^ 0xFF]) + whole[place + 1 :])
        try:
            assert same(read_checkpoint(saved), state)  # a byte in a gap between parts of the file
        except InputError as error:
            assert "\n" not in str(error)
            refused += 1
    assert refused > 70


def first_moments(state):
    return state["optimizer_d"]["state"][0]


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda s: s["generator"].popitem(), "made by another model .*Missing key"),
        (lambda s: s["discriminator"].update(more=torch.zeros(2)), "Unexpected key"),
        (lambda s: s["generator"].update(narrower(s["generator"])), "size mismatch"),
        (lambda s: s["generator"].update(dict.fromkeys(s["generator"], 7)), "another model"),
        (lambda s: s["optimizer_g"].pop("state"), "another model"),
        (lambda s: s["optimizer_g"]["state"].pop(0), "Adam's averages are not those of"),
        (lambda s: first_moments(s).pop("exp_avg"), "another model .*exp_avg"),
        (lambda s: first_moments(s).update(step="many"), "another model"),
        (lambda s: first_moments(s).update(exp_avg=torch.zeros(3)), r"has the shape \(3,\), not"),
        (lambda s: s.update(epoch=-1), "unexpected epoch"),
        (lambda s: s.update(epoch="one"), "unexpected epoch"),
        (lambda s: s.update(steps=None), "unexpected steps"),
        (lambda s: s["config"].update(seed=torch.zeros(2)), "not the settings of a run"),
        (lambda s: s["config"].update(colour="red"), "unknown settings: colour"),
        (lambda s: s.update(generator=[]), "another model"),
        (lambda s: s.pop("generator"), "another model .*generator"),
        (lambda s: s.pop("steps"), "not a checkpoint of this trainer; expected entries"),
    ],
)
def test_checkpoint_of_another_model_is_refused_and_the_trainer_stays_as_it_was(
    change, words, saved, tiny_config, tiny_pairs
):
    state = read_checkpoint(saved)
    change(state)
    torch.save(state, saved)
    trainer = make_trainer(replace(tiny_config))
    for _ in trainer.run_epoch(tiny_pairs):
        pass
    before, history = copy.deepcopy(trainer.state_dict()), list(trainer.history)
    with pytest.raises(InputError, match=words) as caught:
        load_checkpoint(saved, trainer)
    assert "\n" not in str(caught.value) and len(str(caught.value)) < 400
    assert same(trainer.state_dict(), before) and trainer.history == history


def narrower(tensors):
    return {name: value[:1] for name, value in tensors.items() if value.dim() == 4}


def test_truncated_checkpoint_is_named(saved, tiny_config):
    saved.write_bytes(saved.read_bytes()[:-2000])
    trainer = make_trainer(tiny_config)
    message = r"last\.pt: not a readable checkpoint .* delete it to begin anew"
    with pytest.raises(InputError, match=message) as caught:
        load_checkpoint(saved, trainer)
    assert "\n" not in str(caught.value)
    assert trainer.epoch == 0


def test_file_with_other_entries_is_no_checkpoint(tmp_path, tiny_config):
    torch.save({"weights": torch.zeros(2)}, tmp_path / "other.pt")
    with pytest.raises(InputError, match="not a checkpoint of this trainer"):
        load_checkpoint(tmp_path / "other.pt", make_trainer(tiny_config))


def test_missing_checkpoint_is_named(tmp_path, tiny_config):
    with pytest.raises(FileNotFoundError, match=r"nowhere\.pt: no such checkpoint"):
        load_checkpoint(tmp_path / "nowhere.pt", make_trainer(tiny_config))


def test_changed_setting_is_named_with_both_values(saved, tiny_config):
    other = make_trainer(replace(tiny_config, base_channels=8, norm="instance"))
    with pytest.raises(InputError, match="base_channels was 4, is 8; norm was batch, is instance"):
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


def test_half_precision_halves_the_file_and_hardly_changes_the_image(
    tmp_path, tiny_config, tiny_pairs
):
    generator = make_generator(tiny_config)
    save_generator(tmp_path / "whole.safetensors", generator, tiny_config)
    save_generator(tmp_path / "half.safetensors", generator, tiny_config, half=True)
    sizes = [(tmp_path / f"{name}.safetensors").stat().st_size for name in ("half", "whole")]
    assert sizes[0] < 0.65 * sizes[1]
    loaded, _ = load_generator(tmp_path / "half.safetensors")
    real_a = tiny_pairs.tensors[0]
    difference = translate(generator, real_a) - translate(loaded, real_a)
    assert 0 < difference.abs().max() < 0.01


def test_generator_file_that_is_not_the_one_in_its_card_is_refused(tmp_path, tiny_config):
    path = tmp_path / "generator.safetensors"
    save_generator(path, make_generator(tiny_config), tiny_config)
    data = bytearray(path.read_bytes())
    data[-1] ^= 1
    path.write_bytes(data)
    with pytest.raises(InputError, match="SHA-256"):
        load_generator(path)


def test_card_that_is_damaged_or_missing_is_named(tmp_path, tiny_config):
    path = tmp_path / "generator.safetensors"
    save_generator(path, make_generator(tiny_config), tiny_config)
    (tmp_path / "generator.json").write_text("{}")
    with pytest.raises(InputError, match=r"generator\.json: not the card of a network"):
        load_generator(path)
    (tmp_path / "generator.json").unlink()
    with pytest.raises(FileNotFoundError, match=r"generator\.json: no such file"):
        load_generator(path)


def test_a_card_from_before_the_block_at_full_size_describes_a_plain_u_net(tmp_path):
    config = TrainConfig(image_size=32, base_channels=4, depth=3, detail_channels=0)
    path = tmp_path / "generator.safetensors"
    save_generator(path, make_generator(config), config)
    card = json.loads(path.with_suffix(".json").read_text())
    del card["config"]["detail_channels"]
    path.with_suffix(".json").write_text(json.dumps(card))
    assert load_generator(path)[1] == config != TrainConfig()


def test_settings_that_an_older_version_did_not_know_have_their_defaults(
    saved, tiny_config, tmp_path
):
    state = read_checkpoint(saved)
    del state["config"]["system"], state["config"]["pool_size"]
    torch.save(state, saved)
    load_checkpoint(saved, make_trainer(tiny_config))
    with pytest.raises(InputError, match="system was own, is cyclegan"):
        check_settings(saved, saved_config(saved, state), {"system": "cyclegan"})
    path = tmp_path / "generator.safetensors"
    save_generator(path, make_generator(tiny_config), tiny_config)
    card = json.loads(path.with_suffix(".json").read_text())
    del card["config"]["system"]
    path.with_suffix(".json").write_text(json.dumps(card))
    assert load_generator(path)[1] == tiny_config
    card["config"]["colour"] = "red"
    path.with_suffix(".json").write_text(json.dumps(card))
    with pytest.raises(InputError, match=r"not the card of a generator .*colour"):
        load_generator(path)


def test_discriminator_survives_saving_and_loading(tmp_path, tiny_config, tiny_pairs):
    discriminator = make_discriminator(tiny_config)
    save_discriminator(tmp_path / "discriminator.safetensors", discriminator, tiny_config)
    loaded, config = load_discriminator(tmp_path / "discriminator.safetensors")
    assert config == tiny_config
    assert torch.equal(discriminator(*tiny_pairs.tensors), loaded(*tiny_pairs.tensors))


def test_one_network_is_not_taken_for_the_other(tmp_path, tiny_config):
    save_discriminator(tmp_path / "d.safetensors", make_discriminator(tiny_config), tiny_config)
    with pytest.raises(InputError, match="holds a discriminator, not a generator"):
        load_generator(tmp_path / "d.safetensors")


def test_weights_of_another_network_than_the_card_s_are_refused(tmp_path, tiny_config):
    path = tmp_path / "generator.safetensors"
    save_generator(path, make_generator(replace(tiny_config, base_channels=8)), tiny_config)
    message = r"not the generator that its card describes \(.*size mismatch for downs\.0\.conv"
    with pytest.raises(InputError, match=message):
        load_generator(path)


def test_damaged_file_names_the_command_that_makes_it_anew(tmp_path, tiny_config):
    path = tmp_path / "generator.safetensors"
    made_by = {"command": "python -m somewhere"}
    save_generator(path, make_generator(tiny_config), tiny_config, made_by)
    path.write_bytes(path.read_bytes()[:-1])
    with pytest.raises(InputError, match=r"`python -m somewhere` makes it anew"):
        load_generator(path)
