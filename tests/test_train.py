"""The training command, run as a person runs it."""

import csv
import json
import os
import signal
import subprocess
import sys
import time
from dataclasses import fields
from pathlib import Path

import pytest
import torch
from PIL import Image

from pix2pix_lib import facades, train
from pix2pix_lib.checkpoints import load_generator, read_checkpoint
from pix2pix_lib.training import TrainConfig, make_trainer

ROOT = Path(__file__).parent.parent
TINY = ["--image-size", "32", "--depth", "4", "--base-channels", "4", "--disc-channels", "4", "--disc-layers", "1"]


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    return facades.write_dataset(tmp_path_factory.mktemp("data") / "facades", {"train": 12, "val": 3}, 32)


def start(data, out, *flags):
    """Start the command as a process of its own, as `python -m pix2pix_lib.train`."""
    command = [sys.executable, "-m", "pix2pix_lib.train", "--data", str(data), "--out", str(out), *TINY, *flags]
    return subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def wait_for(path, process, seconds=60):
    deadline = time.monotonic() + seconds
    while not path.exists():
        assert process.poll() is None, process.communicate()
        assert time.monotonic() < deadline, f"{path} did not appear"
        time.sleep(0.02)


def test_run_writes_what_it_promises(data, tmp_path, capsys):
    out = tmp_path / "run"
    assert train.main(["--data", str(data), "--out", str(out), "--epochs", "2", *TINY]) == 0
    assert json.loads((out / "config.json").read_text())["image_size"] == 32
    assert read_checkpoint(out / "checkpoints" / "last.pt")["epoch"] == 2
    with (out / "history.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert [row["step"] for row in rows] == [str(step) for step in range(24)]
    generator, config = load_generator(out / "generator.safetensors")
    assert config.epochs == 2 and generator(torch.zeros(1, 3, 32, 32)).shape == (1, 3, 32, 32)
    pictures = sorted(path.name for path in (out / "samples").iterdir())
    assert pictures == ["epoch_001.png", "epoch_002.png"]
    with Image.open(out / "samples" / "epoch_002.png") as picture:
        assert min(picture.size) > 200 and len(picture.convert("RGB").getcolors(1 << 24)) > 100
    assert "validation L1" in capsys.readouterr().out


def test_run_goes_on_for_more_epochs_and_refuses_to_overwrite(data, tmp_path, capsys):
    command = ["--data", str(data), "--out", str(tmp_path / "run"), *TINY]
    assert train.main([*command, "--epochs", "1"]) == 0
    assert train.main([*command, "--epochs", "1"]) == 2
    assert "already holds a run; add --resume" in capsys.readouterr().err
    assert train.main([*command, "--epochs", "2", "--resume"]) == 0
    assert read_checkpoint(tmp_path / "run" / "checkpoints" / "last.pt")["epoch"] == 2
    assert train.main([*command, "--epochs", "3", "--resume", "--seed", "1"]) == 2
    assert "seed was 0, is 1" in capsys.readouterr().err


def test_killed_run_leaves_a_loadable_checkpoint_and_resumes_exactly(data, tmp_path):
    straight, killed = tmp_path / "straight", tmp_path / "killed"
    process = start(data, killed, "--epochs", "3")
    wait_for(killed / "samples" / "epoch_001.png", process)
    process.kill()
    process.communicate()
    assert 1 <= read_checkpoint(killed / "checkpoints" / "last.pt")["epoch"] <= 3
    assert start(data, killed, "--epochs", "3", "--resume").communicate() and start(
        data, straight, "--epochs", "3").communicate()
    first, second = (read_checkpoint(out / "checkpoints" / "last.pt") for out in (straight, killed))
    assert first["epoch"] == second["epoch"] == 3 and first["history"] == second["history"]
    assert all(torch.equal(first["generator"][name], second["generator"][name]) for name in first["generator"])


@pytest.mark.skipif(os.name == "nt", reason="Windows has no SIGINT to send to one process")
def test_interrupted_run_keeps_checkpoint_and_usable_generator(data, tmp_path):
    out = tmp_path / "run"
    process = start(data, out, "--epochs", "500")
    wait_for(out / "config.json", process)
    time.sleep(0.5)
    process.send_signal(signal.SIGINT)
    _, errors = process.communicate(timeout=60)
    assert process.returncode == 130
    assert "Traceback" not in errors and "--resume goes on from there" in errors
    state = read_checkpoint(out / "checkpoints" / "last.pt")
    make_trainer(TrainConfig(**state["config"])).load_state_dict(state)
    load_generator(out / "generator.safetensors")


@pytest.mark.parametrize(("flags", "words"), [
    (["--data", "nowhere"], "nowhere: no such folder"),
    (["--epochs", "0"], "epochs must be at least 1; got 0"),
    (["--epochs", "many"], "invalid int value: 'many'"),
    (["--norm", "bacth"], "invalid choice: 'bacth'"),
    (["--unknown", "1"], "unrecognized arguments: --unknown 1"),
    (["--device", "warp"], "device 'warp' cannot be used"),
    (["--image-size", "100"], "multiples of 32"),
    (["--resume", "--out", "nothing-here"], "no such checkpoint"),
])
def test_bad_input_is_one_line_and_status_2(flags, words, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    given = [] if "--data" in flags else ["--data", str(ROOT / "data" / "sample")]
    try:
        status = train.main(["--out", str(tmp_path / "run"), *given, *flags])
    except SystemExit as leaving:
        status = leaving.code
    output, errors = capsys.readouterr()
    assert status == 2
    assert words in errors and len(errors.strip().splitlines()) == 1 and output == ""
    assert list(tmp_path.iterdir()) == []  # nothing half-written


def test_bad_input_leaves_no_traceback(data, tmp_path):
    process = start(data, tmp_path / "run", "--epochs", "0")
    output, errors = process.communicate(timeout=60)
    assert (process.returncode, output, errors) == (2, "", "error: epochs must be at least 1; got 0\n")


def test_loss_that_is_not_a_number_ends_the_run_with_one_line(data, tmp_path, capsys):
    out = tmp_path / "run"
    assert train.main(["--data", str(data), "--out", str(out), "--epochs", "1", "--lr", "1e30", *TINY]) == 2
    message = capsys.readouterr().err.strip().splitlines()[-1]
    assert message.startswith("error: loss_") and "at step" in message
    assert read_checkpoint(out / "checkpoints" / "last.pt")["epoch"] == 0


def test_every_field_of_the_config_is_a_flag_with_its_default():
    arguments = train.make_parser().parse_args([])
    assert TrainConfig(**{f.name: getattr(arguments, f.name) for f in fields(TrainConfig)}) == TrainConfig()
    changed = train.make_parser().parse_args(["--no-flip", "--lambda-l1", "7", "--image-size", "64"])
    assert (changed.flip, changed.lambda_l1, changed.image_size) == (False, 7.0, 64)


def test_dataset_without_splits_gives_up_every_tenth_pair(data):
    train_pairs, val_pairs = train.split_pairs(data / "train", "auto")
    names = sorted(p.name for p in (data / "train").iterdir())
    assert [p.a.name for p in val_pairs] == names[::10]
    assert {p.a.name for p in train_pairs} | {p.a.name for p in val_pairs} == set(names)
    assert not {p.a for p in train_pairs} & {p.a for p in val_pairs}


def test_without_data_the_facades_are_made(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(train, "DATA_FOLDER", tmp_path)
    monkeypatch.setattr(facades.default_dataset, "__defaults__", (128, 6, 3, 0, None))
    assert train.main(["--out", str(tmp_path / "run"), "--epochs", "1", *TINY]) == 0
    assert len(list((tmp_path / "facades_32" / "train").iterdir())) == 6
    assert "making facades" in capsys.readouterr().err


def test_real_facades_train_from_the_command_line(tmp_path, capsys):
    folder = os.environ.get("REAL_FACADES_DIR")
    if not folder:
        pytest.skip("REAL_FACADES_DIR is not set: no real facades to train on")
    command = ["--data", folder, "--out", str(tmp_path / "run"), "--image-size", "32", "--epochs", "3",
               "--batch-size", "4", "--norm", "instance", *TINY[2:]]
    assert train.main(command) == 0
    lines = [line for line in capsys.readouterr().out.splitlines() if "validation L1" in line]
    errors = [float(line.split("validation L1 ")[1].split(";")[0]) for line in lines]
    assert errors[-1] < errors[0] < 1
