"""The file of losses: appended to, read back exactly, and never rewritten."""

import logging
import time
from dataclasses import asdict

import pytest
import torch

from pix2pix_lib import history as histories
from pix2pix_lib.checkpoints import load_checkpoint, read_checkpoint, save_checkpoint
from pix2pix_lib.history import append_history, history_file, read_history, write_history
from pix2pix_lib.training import StepRecord, make_trainer
from pix2pix_lib.validation import InputError


def train(trainer, pairs, epochs=1):
    for _ in range(epochs):
        for _ in trainer.run_epoch(pairs):
            pass


@pytest.fixture
def trainer(tiny_config, tiny_pairs):
    trainer = make_trainer(tiny_config)
    train(trainer, tiny_pairs)
    return trainer


def test_history_lies_beside_its_checkpoint_or_in_the_folder_of_the_run(tmp_path):
    assert history_file(tmp_path / "a.pt") == tmp_path / "a.history.csv"
    assert history_file(tmp_path / "checkpoints" / "epoch_002.pt") == tmp_path / "history.csv"


def test_losses_are_read_back_exactly(trainer, tmp_path):
    append_history(tmp_path / "h.csv", trainer)
    assert read_history(tmp_path / "h.csv", StepRecord, trainer.steps) == trainer.history
    assert read_history(tmp_path / "h.csv", StepRecord, 3) == trainer.history[:3]


def test_only_new_lines_are_written(trainer, tiny_pairs, tmp_path):
    file = tmp_path / "h.csv"
    append_history(file, trainer)
    # What is already there is not read again: a mark in it survives.
    before = file.read_bytes().replace(b"epoch,step", b"EPOCH,step")
    file.write_bytes(before)
    train(trainer, tiny_pairs)
    append_history(file, trainer)
    added = file.read_bytes().removeprefix(before).decode()
    assert [line.split(",")[:2] for line in added.split()] == [["1", str(s)] for s in range(5, 10)]


@pytest.mark.parametrize("torn", [b"", b"1,5,0.6", b"1,5,0.6,0.7,0.2\r\n1,6,0."])
def test_lines_of_an_epoch_that_a_kill_took_back_are_cut_off(torn, trainer, tiny_pairs, tmp_path):
    save_checkpoint(tmp_path / "last.pt", trainer)
    with (tmp_path / "last.history.csv").open("ab") as file:
        file.write(torn)
    resumed = make_trainer(trainer.config)
    load_checkpoint(tmp_path / "last.pt", resumed)
    assert resumed.history == trainer.history
    train(trainer, tiny_pairs)
    train(resumed, tiny_pairs)
    save_checkpoint(tmp_path / "last.pt", resumed)
    assert len((tmp_path / "last.history.csv").read_text().splitlines()) == 11
    assert read_history(tmp_path / "last.history.csv", StepRecord, 10) == trainer.history


def test_new_run_replaces_the_losses_of_another(trainer, tiny_pairs, tiny_config, tmp_path):
    train(trainer, tiny_pairs)
    save_checkpoint(tmp_path / "last.pt", trainer)
    other = make_trainer(tiny_config)
    save_checkpoint(tmp_path / "last.pt", other)  # no step yet, so there is nothing to write
    assert len((tmp_path / "last.history.csv").read_text().splitlines()) == 11
    train(other, tiny_pairs)
    save_checkpoint(tmp_path / "last.pt", other)
    assert read_history(tmp_path / "last.history.csv", StepRecord, 99) == other.history


def test_second_checkpoint_of_a_run_has_the_whole_history(trainer, tiny_pairs, tmp_path):
    save_checkpoint(tmp_path / "one.pt", trainer)
    train(trainer, tiny_pairs)
    (tmp_path / "two.history.csv").write_text("epoch,step\n0,0\n0,1\n0,2\n")  # of another run
    save_checkpoint(tmp_path / "two.pt", trainer)
    assert read_history(tmp_path / "two.history.csv", StepRecord, 99) == trainer.history
    assert len(read_history(tmp_path / "one.history.csv", StepRecord, 99)) == 5


def test_missing_history_is_warned_of_and_the_run_goes_on(trainer, tiny_pairs, tmp_path, caplog):
    save_checkpoint(tmp_path / "last.pt", trainer)
    (tmp_path / "last.history.csv").unlink()
    resumed = make_trainer(trainer.config)
    with caplog.at_level(logging.WARNING):
        load_checkpoint(tmp_path / "last.pt", resumed)
    assert "the losses of 5 steps are lost" in caplog.text
    train(resumed, tiny_pairs)
    save_checkpoint(tmp_path / "last.pt", resumed)
    kept = read_history(tmp_path / "last.history.csv", StepRecord, 99)
    assert [record.step for record in kept] == [5, 6, 7, 8, 9]


@pytest.mark.parametrize(
    "content", ["a,b\n1,2\n", "epoch,step,loss_d,loss_g_gan,loss_g_l1\n0,0,low,1,1\n", "\x00\n"]
)
def test_file_that_holds_something_else_is_named(content, trainer, tmp_path):
    save_checkpoint(tmp_path / "last.pt", trainer)
    (tmp_path / "last.history.csv").write_text(content)
    fresh = make_trainer(trainer.config)
    with pytest.raises(InputError, match=r"last\.history\.csv: not the losses of this run .*move"):
        load_checkpoint(tmp_path / "last.pt", fresh)
    assert fresh.steps == 0


def test_run_of_an_older_version_loads_with_its_history_and_goes_on(trainer, tiny_pairs, tmp_path):
    """Checkpoints used to hold the records of all steps, and a setting `first`."""
    state = trainer.state_dict()
    del state["steps"]
    state["config"]["first"] = state["config"].pop("update_first")
    state["history"] = [asdict(record) for record in trainer.history]
    torch.save(state, tmp_path / "last.pt")
    resumed = make_trainer(trainer.config)
    load_checkpoint(tmp_path / "last.pt", resumed)
    assert resumed.history == trainer.history and resumed.steps == 5
    train(resumed, tiny_pairs)
    save_checkpoint(tmp_path / "last.pt", resumed)
    assert "history" not in read_checkpoint(tmp_path / "last.pt")
    again = make_trainer(trainer.config)
    load_checkpoint(tmp_path / "last.pt", again)
    assert again.history == resumed.history and len(again.history) == 10


def test_end_of_an_epoch_is_as_quick_after_a_million_steps(tiny_config, tiny_pairs, tmp_path):
    """The cost of an epoch's end depends on that epoch, not on what came before it."""

    def seconds(trainer, name):
        start = time.perf_counter()
        for _ in range(3):
            train(trainer, tiny_pairs)
            save_checkpoint(tmp_path / f"{name}.pt", trainer)
        return time.perf_counter() - start

    short, long = make_trainer(tiny_config), make_trainer(tiny_config)
    save_checkpoint(tmp_path / "long.pt", long)
    records = [StepRecord(0, step, 0.5, 0.6, 0.7) for step in range(1_000_000)]
    write_history(tmp_path / "long.history.csv", records)
    long.history, long.steps = records, len(records)
    long.saved_history = (tmp_path / "long.history.csv").resolve(), len(records)
    seconds(short, "short")  # warm up
    short_seconds, long_seconds = seconds(short, "short"), seconds(long, "long")
    print(f"three epochs after 0 steps {short_seconds:.3f} s, after 10^6 {long_seconds:.3f} s")
    assert long_seconds < short_seconds + 0.5  # rewriting would take seconds per epoch
    state = (tmp_path / "long.pt").stat().st_size
    assert state < 1.1 * (tmp_path / "short.pt").stat().st_size
    assert histories._lines_with_losses(tmp_path / "long.history.csv") == 1_000_015
