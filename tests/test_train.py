"""The training command, run the way a user runs it."""

import csv
import importlib.util
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from dataclasses import asdict, fields
from pathlib import Path

import pytest
import torch
from PIL import Image

from pix2pix_lib import facades, run_data, systems, train
from pix2pix_lib.checkpoints import load_generator, read_checkpoint, save_checkpoint
from pix2pix_lib.config import TrainConfig, system_config
from pix2pix_lib.cyclegan import make_cyclegan
from pix2pix_lib.engine import choose_engine
from pix2pix_lib.history import read_history
from pix2pix_lib.run_folder import RunFolder
from pix2pix_lib.training import StepRecord, make_trainer

ROOT = Path(__file__).parent.parent
TINY = [
    "--image-size", "32", "--depth", "4", "--base-channels", "4", "--disc-channels", "4",
    "--disc-layers", "1",
]  # fmt: skip


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    folder = tmp_path_factory.mktemp("data") / "facades"
    return facades.write_dataset(folder, {"train": 12, "val": 3}, 32)


def open_data(folder, config, **options):
    """Return the sets to train on and to validate on, as the command opens them."""
    found = run_data.find_run_data(run_data.DataOptions(folder, **options), config, ())
    return run_data.open_datasets(found, config, torch.device("cpu"))


def start(data, out, *flags):
    """Start the command in a separate process, as `python -m pix2pix_lib.train`."""
    program = [sys.executable, "-m", "pix2pix_lib.train"]
    command = [*program, "--data", str(data), "--out", str(out), *TINY, *flags]
    return subprocess.Popen(command, cwd=ROOT, text=True,
                            stdout=subprocess.PIPE, stderr=subprocess.PIPE)  # fmt: skip


def contents(folder):
    """Return the bytes of every file below a folder."""
    return {file: file.read_bytes() for file in folder.rglob("*") if file.is_file()}


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


def test_run_says_when_nothing_is_left_to_do_and_when_too_few_epochs_are_asked_for(
    data, tmp_path, capsys, monkeypatch
):
    command = ["--data", str(data), "--out", str(tmp_path / "run"), *TINY, "--resume", "--epochs"]
    assert train.main([*command[:-2], "--epochs", "2"]) == 0
    before = contents(tmp_path / "run")
    capsys.readouterr()

    def fail(*_):
        pytest.fail("time was spent on the data")

    monkeypatch.setattr(train, "find_run_data", fail)
    assert train.main([*command, "2"]) == 0
    output, errors = capsys.readouterr()
    assert output.startswith("nothing left to do: ") and errors == ""
    assert "finished run of 2 epochs" in output
    assert train.main([*command, "1"]) == 2
    message = "holds 2 finished epochs, but --epochs is 1; give a larger number"
    assert message in capsys.readouterr().err
    assert contents(tmp_path / "run") == before


def test_every_kth_checkpoint_is_kept(data, tmp_path):
    out = tmp_path / "run"
    command = ["--data", str(data), "--out", str(out), *TINY, "--keep-every", "2", "--epochs"]
    assert train.main([*command, "3"]) == 0
    assert train.main([*command, "4", "--resume"]) == 0
    kept = sorted(path.name for path in (out / "checkpoints").iterdir())
    assert kept == ["epoch_002.pt", "epoch_004.pt", "last.pt"]
    assert [read_checkpoint(out / "checkpoints" / name)["epoch"] for name in kept] == [2, 4, 4]


def test_tensorboard_gets_losses_and_samples_once_each(data, tmp_path):
    pytest.importorskip("tensorboard", reason="tensorboard, which writes the files, is missing")
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    out = tmp_path / "run"
    command = ["--data", str(data), "--out", str(out), *TINY, "--tensorboard", "--epochs"]
    assert train.main([*command, "1"]) == 0
    # As if the run had been killed before it wrote this file: it logs the epoch again.
    (out / "generator.json").unlink()
    assert train.main([*command, "2", "--resume"]) == 0
    events = EventAccumulator(str(out / "tensorboard")).Reload()
    history = read_history(out / "history.csv", StepRecord, 99)
    for name in ("loss_d", "loss_g_gan", "loss_g_l1"):
        logged = [(event.step, event.value) for event in events.Scalars(f"train/{name}")]
        assert logged == [(record.step, pytest.approx(getattr(record, name))) for record in history]
    assert [event.step for event in events.Scalars("validation/l1")] == [11, 23]
    for name in ("input", "output", "truth"):
        assert [event.step for event in events.Images(f"samples/{name}")] == [11, 23]


def test_tensorboard_that_is_missing_is_one_line_before_any_work(tmp_path, capsys, monkeypatch):
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    assert train.main(["--out", str(tmp_path / "run"), "--tensorboard"]) == 2
    message = "--tensorboard needs a package that is not installed: pip install tensorboard"
    assert capsys.readouterr() == ("", f"error: {message}\n")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.skipif(os.name == "nt", reason="Windows cannot send SIGINT to one process")
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


@pytest.mark.parametrize(
    ("flags", "words"),
    [
        (["--data", "nowhere"], "nowhere: no such folder"),
        (["--epochs", "0"], "epochs must be at least 1; got 0"),
        (["--epochs", "many"], "invalid int value: 'many'"),
        (["--norm", "bacth"], "invalid choice: 'bacth'"),
        (["--unknown", "1"], "unrecognized arguments: --unknown 1"),
        (["--device", "warp"], "device 'warp' cannot be used"),
        (["--keep-every", "-1"], "keep_every must be 0 or more; got -1"),
        (["--image-size", "100"], "multiples of 32"),
        (["--resume", "--out", "nothing-here"], "no such checkpoint"),
    ],
)
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


def test_loss_that_is_not_a_number_ends_the_run_with_one_line(data, tmp_path, capsys):
    out = tmp_path / "run"
    command = ["--data", str(data), "--out", str(out), "--epochs", "1", "--lr", "1e30", *TINY]
    assert train.main(command) == 2
    message = capsys.readouterr().err.strip().splitlines()[-1]
    assert message.startswith("error: loss_") and "at step" in message
    assert read_checkpoint(out / "checkpoints" / "last.pt")["epoch"] == 0


@pytest.mark.parametrize(
    ("before", "flags", "after"),
    [("bf16", [], "bf16"), ("float32", [], "float32"),
     ("float32", ["--precision", "bf16"], "bf16")],
)  # fmt: skip
def test_run_goes_on_in_the_precision_in_which_it_began(
    before, flags, after, data, tmp_path, capsys
):
    command = ["--data", str(data), "--out", str(tmp_path / "run"), "--device", "cpu", *TINY]
    assert train.main([*command, "--epochs", "1", "--precision", before]) == 0
    assert f"precision {before}: as asked for" in capsys.readouterr().out
    assert train.main([*command, "--epochs", "2", "--resume", *flags]) == 0
    reason = "as asked for" if flags else "as the run began"
    assert f"precision {after}: {reason}" in capsys.readouterr().out
    assert read_checkpoint(tmp_path / "run" / "checkpoints" / "last.pt")["precision"] == after


def test_pairs_too_many_for_memory_are_read_from_their_files(data, tmp_path, monkeypatch):
    config = TrainConfig(image_size=32, depth=4)
    in_memory, _ = open_data(data, config)
    # 12 pairs, enlarged to 36x36 for the crop, and 3: a byte per value, and one for a class.
    needed = (12 * 36**2 + 3 * 32**2) * (3 + 1)
    monkeypatch.setattr(run_data, "available_memory", lambda device: 4 * needed)
    from_files, validation = open_data(data, config)
    assert (in_memory.in_memory, from_files.in_memory, validation.in_memory) == (True, False, False)
    for index in range(12):
        torch.manual_seed(index)
        expected = in_memory[index]
        torch.manual_seed(index)
        assert all(torch.equal(a, b) for a, b in zip(expected, from_files[index], strict=True))
    monkeypatch.setattr(run_data, "available_memory", lambda device: 4 * needed + 4)
    assert open_data(data, config)[0].in_memory
    monkeypatch.setattr(run_data, "available_memory", lambda device: 0)
    command = ["--data", str(data), "--out", str(tmp_path / "run"), "--precision", "float32", *TINY]
    assert train.main([*command, "--epochs", "1"]) == 0  # two processes read


@pytest.mark.parametrize("asked", [True, False])
def test_networks_are_compiled_only_if_asked_for(asked):
    """On two cores, compiling took more time than it saved; on a GPU it was not tried."""
    options = train.RunOptions(precision="bf16", compile=asked)
    plan = train.Plan(TrainConfig(), run_data.DataOptions())
    assert train.run_engine(options, plan, torch.device("cpu")).compiled == asked


def test_every_field_of_the_config_is_a_flag(capsys):
    values = {"str": "own", "int": "7", "float": "0.25"}
    for option in fields(TrainConfig):
        flag = "--" + option.name.replace("_", "-")
        if isinstance(option.default, bool):
            given, expected = ["--no-" + flag[2:]], False
        else:
            text = (option.metadata["choices"] or [values[type(option.default).__name__]])[-1]
            given, expected = [flag, text], type(option.default)(text)
        options = train.read_options(train.parse(given))
        assert options.settings == {option.name: expected}
    assert train.read_options(train.parse([])) == train.RunOptions()


def test_dataset_without_splits_gives_up_every_tenth_pair(data):
    found = run_data.find_run_data(run_data.DataOptions(data / "train"), TrainConfig(), ())
    (train_pairs,), (val_pairs,) = found.train, found.val
    names = sorted(p.name for p in (data / "train").iterdir())
    assert [p.a.name for p in val_pairs] == names[::10]
    assert {p.a.name for p in train_pairs} | {p.a.name for p in val_pairs} == set(names)
    assert not {p.a for p in train_pairs} & {p.a for p in val_pairs}


def test_without_data_the_facades_are_made(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(run_data, "generated_data", lambda: tmp_path)
    monkeypatch.setattr(facades.default_dataset, "__defaults__", (128, 6, 3, 0, None))
    assert train.main(["--out", str(tmp_path / "run"), "--epochs", "1", *TINY]) == 0
    assert len(list((tmp_path / "facades_32" / "train").iterdir())) == 6
    assert "making facades" in capsys.readouterr().err
    assert json.loads((tmp_path / "run" / "config.json").read_text())["load_size"] == 32
    command = ["--out", str(tmp_path / "other"), "--epochs", "1", "--load-size", "36", *TINY]
    assert train.main(command) == 0
    assert json.loads((tmp_path / "other" / "config.json").read_text())["load_size"] == 36


def test_real_facades_train_from_the_command_line(tmp_path, capsys):
    folder = os.environ.get("REAL_FACADES_DIR")
    if not folder:
        pytest.skip("REAL_FACADES_DIR is not set: no real facades to train on")
    flags = "--image-size 32 --epochs 3 --batch-size 4 --norm instance"
    command = ["--data", folder, "--out", str(tmp_path / "run"), *flags.split(), *TINY[2:]]
    assert train.main(command) == 0
    lines = [line for line in capsys.readouterr().out.splitlines() if "validation L1" in line]
    errors = [float(line.split("validation L1 ")[1].split(";")[0]) for line in lines]
    assert errors[-1] < errors[0] < 1


# --- resuming -------------------------------------------------------------------------------------


@pytest.fixture
def begun(data, tmp_path):
    """A run of one epoch with settings that are not the defaults."""
    out = tmp_path / "run"
    flags = ["--norm", "instance", "--lambda-l1", "10", "--precision", "float32", *TINY]
    assert train.main(["--data", str(data), "--out", str(out), "--epochs", "1", *flags]) == 0
    return out


def test_resume_alone_goes_on_with_settings_and_data_of_the_run(begun, capsys):
    assert train.main(["--resume", "--out", str(begun)]) == 0
    assert "nothing left to do" in capsys.readouterr().out
    assert train.main(["--resume", "--out", str(begun), "--epochs", "2"]) == 0
    output = capsys.readouterr().out
    assert "12 pairs to train on, 3 to validate on" in output and "precision float32" in output
    config = json.loads((begun / "config.json").read_text())
    assert (config["norm"], config["lambda_l1"], config["epochs"]) == ("instance", 10.0, 2)


def test_what_may_change_on_resume_changes(begun, capsys):
    flags = "--epochs 3 --lr 1e-5 --precision bf16 --workers 1 --device cpu"
    assert train.main(["--resume", "--out", str(begun), *flags.split()]) == 0
    state = read_checkpoint(begun / "checkpoints" / "last.pt")
    assert (state["epoch"], state["config"]["lr"], state["precision"]) == (3, 1e-5, "bf16")
    assert state["optimizer_g"]["param_groups"][0]["lr"] < 1e-5  # it falls in the second half


@pytest.mark.parametrize(
    ("flags", "words"),
    [
        (["--norm", "batch"], "norm was instance, is batch"),
        (["--seed", "1", "--no-flip"], "seed was 0, is 1; flip was True, is False"),
        (["--system", "paper"], "system was own, is paper"),
        (["--epochs", "0"], "epochs must be at least 1; got 0"),
        (["--data", "data/sample"], "that were 12 and 3 from "),
    ],
)
def test_anything_else_that_changes_is_named_with_both_values(flags, words, begun, capsys):
    before = contents(begun)
    assert train.main(["--resume", "--out", str(begun), "--epochs", "2", *flags]) == 2
    error = capsys.readouterr().err.splitlines()[-1]
    assert words in error
    if "--data" in flags:
        assert f"these are 28 and 6 from {ROOT / 'data' / 'sample'}" in error
    assert contents(begun) == before


def test_data_may_have_moved_but_not_changed(data, begun, tmp_path, capsys):
    moved = shutil.copytree(data, tmp_path / "moved")
    command = ["--resume", "--out", str(begun), "--data", str(moved), "--epochs"]
    assert train.main([*command, "2"]) == 0
    (moved / "train" / "0003.png").unlink()
    capsys.readouterr()
    assert train.main([*command, "3"]) == 2
    assert "11 and 3 from" in capsys.readouterr().err
    shutil.rmtree(moved)  # which is now the place recorded in the checkpoint
    assert train.main([*command[:-3], "--epochs", "3"]) == 2
    assert f"{moved}: no such folder" in capsys.readouterr().err


def test_forgotten_data_are_those_of_the_run_and_not_the_facades(begun, capsys, monkeypatch):
    monkeypatch.setattr(run_data, "default_dataset", lambda *_, **__: pytest.fail("made facades"))
    assert train.main(["--resume", "--out", str(begun), "--epochs", "2"]) == 0


def test_checkpoint_is_read_once(begun, monkeypatch):
    reads, read = [], torch.load
    monkeypatch.setattr(torch, "load", lambda *a, **k: reads.append(a) or read(*a, **k))
    assert train.main(["--resume", "--out", str(begun), "--epochs", "2"]) == 0
    assert len(reads) == 1


def test_generator_of_the_user_s_own_in_the_folder_is_left_alone(begun, capsys):
    """It is not mistaken for a result of the run, however old or broken it is."""
    (begun / "generator_best.safetensors").write_text("mine")
    (begun / "generator_best.json").write_text('{"network": "generator", "epochs": 0}')
    assert train.main(["--resume", "--out", str(begun)]) == 0
    assert "nothing left to do" in capsys.readouterr().out
    assert (begun / "generator_best.safetensors").read_text() == "mine"
    assert json.loads((begun / "generator_best.json").read_text())["epochs"] == 0


# --- errors ---------------------------------------------------------------------------------------


def test_traceback_is_shown_with_debug_and_for_our_own_bugs(data, tmp_path):
    process = start(data, tmp_path / "a", "--epochs", "0")
    output, plain = process.communicate(timeout=60)
    assert (process.returncode, output) == (2, "")
    debug = start(data, tmp_path / "a", "--epochs", "0", "--debug").communicate(timeout=60)[1]
    assert plain == "error: epochs must be at least 1; got 0\n"
    assert debug.startswith("Traceback") and debug.endswith(plain)


@pytest.mark.parametrize("bug", [ValueError("too many values"), TypeError("NoneType"), KeyError(3)])
def test_bug_of_ours_keeps_its_traceback(bug, data, tmp_path, monkeypatch):
    """A ValueError that was not raised on purpose means nothing to a user."""

    def fail(*_):
        raise bug

    monkeypatch.setattr(train, "find_run_data", fail)
    with pytest.raises(type(bug)):
        train.main(["--data", str(data), "--out", str(tmp_path / "run"), *TINY])


def test_image_too_small_for_a_resnet_is_named(capsys):
    flags = "--system cyclegan --image-size 4 --disc-layers 0"
    assert train.main(flags.split()) == 2
    assert "image_size must be at least 8 here; got 4" in capsys.readouterr().err


# --- systems --------------------------------------------------------------------------------------

NARROW = ["--base-channels", "1", "--disc-channels", "1", "--epochs", "1", "--precision", "float32"]


@pytest.fixture(scope="module")
def large_data(tmp_path_factory):
    folder = tmp_path_factory.mktemp("data") / "large"
    return facades.write_dataset(folder, {"train": 2, "val": 1}, 256)


@pytest.mark.parametrize("system", ["paper", "instance3x3", "upsample4x4", "shallow"])
def test_each_system_trains_with_the_defaults_of_its_note(system, large_data, tmp_path):
    out = tmp_path / "run"
    command = ["--system", system, "--data", str(large_data), "--out", str(out), *NARROW]
    assert train.main(command) == 0
    config = system_config(system, base_channels=1, disc_channels=1, epochs=1)
    assert json.loads((out / "config.json").read_text()) == asdict(config)
    generator, loaded = load_generator(out / "generator.safetensors")
    assert loaded == config
    expected = getattr(systems, system)(3, 3, 1, 1)[0]
    assert generator.state_dict().keys() == expected.state_dict().keys()


def test_notes_have_their_own_loss_order_batch_and_learning_rate():
    trained = {name: system_config(name) for name in systems.SETTINGS}
    found = {
        name: (c.objective, c.update_first, c.batch_size, c.lr, c.epochs, c.lambda_l1)
        for name, c in trained.items()
    }
    assert found == {
        "paper": ("vanilla", "discriminator", 1, 2e-4, 200, 100.0),
        "instance3x3": ("lsgan", "discriminator", 32, 2e-4, 100, 100.0),
        "upsample4x4": ("lsgan", "generator", 1, 2e-4, 200, 100.0),
        "shallow": ("vanilla", "discriminator", 1, 2e-4, 200, 100.0),
        "cyclegan": ("lsgan", "generator", 1, 2e-4, 200, 100.0),
    }
    assert all((c.beta1, c.beta2) == (0.5, 0.999) for c in trained.values())


@pytest.mark.parametrize(
    ("flags", "words"),
    [
        ("paper --depth 5", "depth must be 8 in the system paper; got 5"),
        ("instance3x3 --objective hinge", "objective must be lsgan in the system instance3x3"),
        ("shallow --norm batch", "norm must be instance in the system shallow; got batch"),
        ("cyclegan --depth 3", "depth must be 2 with a ResNet, which halves twice; got 3"),
        ("cyclegan --lambda-gan 0 --cycle none --lambda-identity 0",
         "lambda_gan is 0 and so are the cycle and identity losses"),
        ("cyclegan --pool-size -1", "pool_size must be 0 or more; got -1"),
    ],
)  # fmt: skip
def test_settings_that_a_system_cannot_have_are_named(flags, words, large_data, tmp_path, capsys):
    command = ["--system", *flags.split(), *NARROW]
    assert train.main([*command, "--data", str(large_data), "--out", str(tmp_path / "run")]) == 2
    assert words in capsys.readouterr().err
    assert not (tmp_path / "run").exists()


def test_unknown_system_is_named(capsys):
    with pytest.raises(SystemExit) as stop:
        train.main(["--system", "pix3pix"])
    assert stop.value.code == 2
    assert "invalid choice: 'pix3pix'" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("flags", "size"), [([], 128), (["--system", "paper"], 256), (["--system", "shallow"], 128)]
)
def test_help_shows_the_defaults_of_the_system(flags, size, capsys):
    with pytest.raises(SystemExit):
        train.main([*flags, "--help"])
    words = " ".join(capsys.readouterr().out.split())
    assert f"multiples of 2^depth (default: {size})" in words


CYCLE = [
    "--system", "cyclegan", "--image-size", "32", "--base-channels", "2", "--blocks", "1",
    "--disc-channels", "2", "--disc-layers", "1", "--pool-size", "3", "--precision", "float32",
]  # fmt: skip


@pytest.fixture(scope="module")
def two_folders(tmp_path_factory):
    """Folders whose images differ in number, name and size."""
    root = tmp_path_factory.mktemp("unpaired")
    folders = ("trainA", 5, 32), ("trainB", 4, 48), ("valA", 2, 32), ("valB", 1, 64)
    for folder, count, size in folders:
        (root / folder).mkdir()
        for number in range(count):
            pixels = facades.make_pair(number, size).photo
            Image.fromarray(pixels).save(root / folder / f"{folder}_{number}.png")
    return root


def test_cyclegan_trains_on_two_folders_and_writes_both_generators(two_folders, tmp_path, capsys):
    out = tmp_path / "run"
    assert train.main([*CYCLE, "--data", str(two_folders), "--out", str(out), "--epochs", "2"]) == 0
    said = capsys.readouterr().out
    assert "5 and 4 unpaired images to train on, 2 and 1 to validate on" in said
    assert "validation cycle L1" in said
    with (out / "history.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == 10 and float(rows[0]["loss_cycle_b"]) > 0
    for name, direction in (("generator_ab", "AtoB"), ("generator_ba", "BtoA")):
        generator, config = load_generator(out / f"{name}.safetensors")
        assert config.direction == direction
        assert generator(torch.zeros(1, 3, 32, 32)).shape == (1, 3, 32, 32)
    with Image.open(out / "samples" / "epoch_002.png") as picture:
        assert picture.height > 1.5 * picture.width  # six rows of two


def test_cyclegan_resumes_exactly_from_the_command_line(two_folders, tmp_path):
    command = [*CYCLE, "--data", str(two_folders), "--epochs", "2"]
    assert train.main([*command, "--out", str(tmp_path / "whole")]) == 0
    whole = read_checkpoint(tmp_path / "whole" / "checkpoints" / "last.pt")
    config = TrainConfig(**whole["config"])
    engine, _ = choose_engine(config, torch.device("cpu"), make_cyclegan, "float32")
    first = make_cyclegan(config, engine=engine)
    data, _ = open_data(two_folders, first.config)
    for _ in first.run_epoch(data):
        pass
    save_checkpoint(tmp_path / "half" / "checkpoints" / "last.pt", first)
    assert train.main([*command, "--out", str(tmp_path / "half"), "--resume"]) == 0
    half = read_checkpoint(tmp_path / "half" / "checkpoints" / "last.pt")
    histories = [(tmp_path / name / "history.csv").read_text() for name in ("half", "whole")]
    assert histories[0] == histories[1] and histories[0].count("\n") == 11
    for name in ("generator_ab", "generator_ba", "discriminator_a", "discriminator_b"):
        assert all(torch.equal(half[name][key], value) for key, value in whole[name].items())
    assert torch.equal(half["pool_a"], whole["pool_a"]) and len(half["pool_b"]) == 3


def test_cyclegan_takes_pairs_apart(data, tmp_path, capsys):
    out = tmp_path / "run"
    assert train.main([*CYCLE, "--data", str(data), "--out", str(out), "--epochs", "1"]) == 0
    message = "12 and 12 unpaired images to train on, 3 and 3 to validate on"
    assert message in capsys.readouterr().out


def test_results_of_cyclegan_that_a_kill_left_half_written_are_written_again(two_folders, tmp_path):
    out = tmp_path / "run"
    command = [*CYCLE, "--data", str(two_folders), "--out", str(out), "--epochs", "1"]
    assert train.main(command) == 0
    card = out / "generator_ba.json"
    whole = card.read_text()
    card.write_text(whole.replace('"epochs": 1,\n  "validation', '"epochs": 0,\n  "validation'))
    assert RunFolder(out).results_epoch(system_config("cyclegan")) == 0
    assert train.main([*command, "--resume"]) == 0
    assert card.read_text() == whole
