"""Faults around a run: killed, out of disk or memory, no folder, two runs in one folder.

Each is reported in one line, and nothing is lost.
"""

import os
import shutil
import signal
import subprocess
import sys
import time
import weakref
from pathlib import Path

import pytest
import torch
from test_train import ROOT, TINY

from pix2pix_lib import facades, run_data, train
from pix2pix_lib.checkpoints import read_checkpoint
from pix2pix_lib.cli import run_command
from pix2pix_lib.files import lock_folder
from pix2pix_lib.progress import progress_callback
from pix2pix_lib.validation import InputError

needs_fork = pytest.mark.skipif(not hasattr(os, "fork"), reason="this system cannot fork a process")
needs_limits = pytest.mark.skipif(
    not sys.platform.startswith("linux"), reason="only Linux enforces limits on a process"
)


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    folder = tmp_path_factory.mktemp("data") / "facades"
    return facades.write_dataset(folder, {"train": 12, "val": 3}, 32)


@pytest.fixture
def flags(data, tmp_path):
    """The flags of a small run in tmp_path/run."""
    return ["--data", str(data), "--out", str(tmp_path / "run"), "--device", "cpu", *TINY]


def helper(script, *arguments, timeout=300):
    """Run a script from this folder in a separate process, on one thread."""
    command = [sys.executable, Path(__file__).parent / script, *map(str, arguments)]
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": str(ROOT)}
    return subprocess.run(command, cwd=ROOT, env=environment, text=True, capture_output=True,
                          timeout=timeout)  # fmt: skip


def contents(folder):
    """Return the bytes of every file below a folder, including hidden ones."""
    files = [file for file in folder.rglob("*") if file.is_file()]
    return {str(file.relative_to(folder)): file.read_bytes() for file in files}


def only_line(capsys):
    """Return what a command wrote to stderr: a single line, apart from the progress bars."""
    lines = [line for line in capsys.readouterr().err.splitlines() if line and "%|" not in line]
    assert len(lines) == 1 and lines[0].startswith("error: "), lines
    return lines[0]


# --- killed ---------------------------------------------------------------------------------------


def kill_runs(kind, data, folder, epochs, keep_every):
    """Have killed_runs.py compare killed runs with an uninterrupted one; return its output."""
    process = helper(
        "killed_runs.py", kind, folder, "--data", data, "--epochs", epochs,
        "--keep-every", keep_every, "--device", "cpu", "--precision", "float32", *TINY,
    )  # fmt: skip
    print(process.stdout)
    assert process.returncode == 0, process.stderr
    return process.stdout


@needs_fork
def test_run_killed_at_random_moments_ends_like_the_uninterrupted_one(data, tmp_path):
    said = kill_runs("random", data, tmp_path, epochs=8, keep_every=3)
    assert said.count("\nkill ") == (20 if os.environ.get("PIX2PIX_NIGHT") else 5)


@needs_fork
def test_run_killed_before_any_of_its_writes_ends_like_the_uninterrupted_one(data, tmp_path):
    said = kill_runs("writes", data, tmp_path, epochs=1, keep_every=1)
    assert said.count("\nkill before write") == 13  # 6 before the first epoch, 7 after it


def test_leftovers_of_killed_runs_are_removed_and_nothing_else(flags, tmp_path):
    out = tmp_path / "run"
    leftovers = [
        out / ".123-config.json",
        out / "checkpoints" / ".4567-last.pt",
        out / "samples" / ".8-epoch_001.png",
    ]
    others = [out / ".123", out / ".gitignore", out / "checkpoints" / "my-1.pt",
              out / "mine" / ".12-x.png"]  # fmt: skip
    for file in leftovers + others:
        file.parent.mkdir(parents=True, exist_ok=True)
        file.touch()
    assert train.main([*flags, "--epochs", "1"]) == 0
    assert not any(file.exists() for file in leftovers) and all(file.exists() for file in others)


# --- two runs, one folder -------------------------------------------------------------------------


def test_second_run_is_refused_until_the_first_ends_however_it_ends(flags, tmp_path, capsys):
    assert train.main([*flags, "--epochs", "1"]) == 0
    hold = (
        "import sys; from pathlib import Path; from pix2pix_lib.files import lock_folder\n"
        "with lock_folder(Path(sys.argv[1])): print('held', flush=True); sys.stdin.read()"
    )
    first = subprocess.Popen([sys.executable, "-c", hold, tmp_path / "run"], cwd=ROOT, text=True,
                             stdin=subprocess.PIPE, stdout=subprocess.PIPE)  # fmt: skip
    with first:
        assert first.stdout.readline() == "held\n"
        leftover = tmp_path / "run" / ".1-last.pt"  # the first run may be using it
        leftover.touch()
        before = contents(tmp_path / "run")
        capsys.readouterr()
        assert train.main([*flags, "--epochs", "2", "--resume"]) == 2
        assert "another run is writing there" in only_line(capsys)
        assert contents(tmp_path / "run") == before
        first.kill()
    assert train.main([*flags, "--epochs", "2", "--resume"]) == 0
    assert not leftover.exists() and not (tmp_path / "run" / ".lock").exists()


def test_folder_that_was_made_for_nothing_is_removed(tmp_path):
    with pytest.raises(KeyError), lock_folder(tmp_path / "a" / "b", "c"):
        assert (tmp_path / "a" / "b" / "c").is_dir()
        raise KeyError
    assert list(tmp_path.iterdir()) == []


# --- the folder -----------------------------------------------------------------------------------


@pytest.mark.parametrize("where", ["file", "file/below", "/proc/nowhere", "/proc/self", "/sys"])
def test_folder_that_cannot_be_written_to_is_found_before_the_data_is_read(
    where, flags, tmp_path, capsys, monkeypatch
):
    if where.startswith("/") and not sys.platform.startswith("linux"):
        pytest.skip("only Linux has folders in which not even root can write")
    (tmp_path / "file").write_text("mine")

    def fail(*_):
        pytest.fail("time was spent on the data")

    monkeypatch.setattr(train, "find_run_data", fail)
    assert train.main([*flags, "--out", str(tmp_path / where)]) == 2
    message = only_line(capsys)
    assert str(tmp_path / where) in message
    assert "cannot be written to" in message and "choose another" in message
    assert contents(tmp_path) == {"file": b"mine"}


@pytest.mark.parametrize(
    "vanish",
    [shutil.rmtree, lambda out: out.rename(out.with_name("renamed"))],
    ids=["removed", "renamed"],
)
def test_folder_that_vanishes_during_the_run_is_named_and_not_made_anew(
    vanish, flags, tmp_path, capsys, monkeypatch
):
    out, train_epoch = tmp_path / "run", train.train_epoch

    def train_and_vanish(trainer, train_set, shown):
        train_epoch(trainer, train_set, shown)
        if trainer.epoch == 2:
            vanish(out)

    monkeypatch.setattr(train, "train_epoch", train_and_vanish)
    assert train.main([*flags, "--epochs", "3"]) == 2
    message = only_line(capsys)
    assert f"{out / 'checkpoints'}: the folder is gone" in message
    assert "no checkpoint is left" in message
    assert not out.exists()
    if (tmp_path / "renamed").exists():
        assert read_checkpoint(tmp_path / "renamed" / "checkpoints" / "last.pt")["epoch"] == 1


# --- no disk --------------------------------------------------------------------------------------


@needs_limits
@pytest.mark.parametrize(
    ("limit", "file"), [(100_000, "checkpoints/last.pt"), (100, "config.json")]
)
def test_full_disk_leaves_the_last_good_files(limit, file, flags, tmp_path):
    assert train.main([*flags, "--epochs", "1"]) == 0
    before = contents(tmp_path / "run")
    process = helper("starved_run.py", "RLIMIT_FSIZE", limit, *flags, "--epochs", 2, "--resume")
    assert process.returncode == 2, process.stderr
    last = process.stderr.splitlines()[-1]
    assert last == (
        f"error: [Errno 27] File too large: '{tmp_path / 'run' / file}'; "
        f"{tmp_path / 'run' / 'checkpoints' / 'last.pt'} is kept, --resume goes on from there"
    )
    assert "Traceback" not in process.stderr
    after = contents(tmp_path / "run")
    if file != "config.json":  # it now asks for two epochs
        del before["config.json"], after["config.json"]
    assert after == before


# --- no memory ------------------------------------------------------------------------------------


@needs_limits
def test_too_little_memory_is_one_line_that_says_what_to_lower(flags, tmp_path):
    large = "--batch-size 64 --image-size 512 --base-channels 32"
    process = helper("starved_run.py", "RLIMIT_AS", 1_000_000_000, *flags, *large.split())
    assert process.returncode == 2, process.stderr
    lines = [line for line in process.stderr.splitlines() if line and "%|" not in line]
    assert lines == [
        "error: batch size 64 at 512x512 did not fit into the memory of cpu; "
        "give --batch-size 32 instead of 64 (half the activations)"
    ]


@pytest.mark.parametrize(
    "error",
    [
        torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB."),
        MemoryError(),
        RuntimeError("[enforce fail at alloc_cpu.cpp:124] err == 0. "
                     "DefaultCPUAllocator: can't allocate memory"),
        RuntimeError("[enforce fail at alloc_cpu.cpp:81] . "
                     "DefaultCPUAllocator: not enough memory: you tried to allocate"),
        RuntimeError("CUDA error: CUBLAS_STATUS_ALLOC_FAILED when calling cublasCreate(handle)"),
    ],
    ids=lambda error: type(error).__name__,
)  # fmt: skip
@pytest.mark.parametrize(
    ("changes", "remedy"),
    [
        (["--batch-size", "8"], "--batch-size 4 instead of 8"),
        ([], "--image-size 16 instead of 32 (a quarter of the pixels) "
             "or --base-channels 2 instead of 4"),
        (["--depth", "5"], "give --base-channels 2 instead of 4"),
    ],
)  # fmt: skip
def test_every_error_of_memory_names_the_remedy(error, changes, remedy, flags, capsys, monkeypatch):
    def fail(*_, **__):
        raise error

    monkeypatch.setattr(train, "trainer_factory", lambda config: fail)
    assert train.main([*flags, *changes]) == 2
    assert remedy in only_line(capsys)


def test_run_that_failed_in_its_first_epoch_may_be_begun_anew_with_other_settings(
    flags, monkeypatch
):
    def fail(*_, **__):
        raise torch.OutOfMemoryError("CUDA out of memory.")

    with monkeypatch.context() as patch:
        patch.setattr(train, "train_epoch", fail)
        assert train.main([*flags, "--batch-size", "8"]) == 2
    assert train.main([*flags, "--batch-size", "4", "--epochs", "1"]) == 0


def test_memory_that_ends_in_a_later_epoch_keeps_the_checkpoint_and_says_so(
    flags, tmp_path, capsys, monkeypatch
):
    assert train.main([*flags, "--epochs", "1"]) == 0
    before = (tmp_path / "run" / "checkpoints" / "last.pt").read_bytes()
    capsys.readouterr()

    def fail(*_, **__):
        raise torch.OutOfMemoryError("CUDA out of memory.")

    monkeypatch.setattr(train, "train_epoch", fail)
    assert train.main([*flags, "--epochs", "2", "--resume"]) == 2
    assert "last.pt is kept, so choose another --out" in only_line(capsys)
    assert (tmp_path / "run" / "checkpoints" / "last.pt").read_bytes() == before


def test_pairs_that_do_not_fit_into_memory_are_named(flags, capsys, monkeypatch):
    def fail(*_, **__):
        raise MemoryError

    monkeypatch.setattr(run_data, "PairedDataset", fail)
    assert train.main(flags) == 2
    assert only_line(capsys) == (
        "error: the pairs did not fit into memory; "
        "give fewer pairs or --image-size 16 instead of 32 (a quarter of the pixels)"
    )


def test_other_errors_are_bugs_and_keep_their_traceback(flags, monkeypatch):
    def fail(*_, **__):
        raise RuntimeError("size of tensor a must match")

    monkeypatch.setattr(train, "train_epoch", fail)
    with pytest.raises(RuntimeError, match="must match"):
        train.main(flags)


# --- messages -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("error", "status", "line"),
    [
        (OSError("no space"), 2, "error: no space"),
        (MemoryError(), 2, "error: out of memory"),
        (InputError("two\nlines"), 2, "error: two lines"),
        (KeyboardInterrupt(), 130, "interrupted"),
    ],
)
def test_error_under_a_progress_bar_begins_a_line_of_its_own(error, status, line, capsys):
    def command(arguments):
        show = progress_callback("making facades")
        show(1, 3)
        raise error

    assert run_command(command, None) == status
    errors = capsys.readouterr().err
    assert "making facades" in errors and errors.endswith(f"\n{line}\n")


def test_second_interruption_does_not_hide_what_the_first_one_says(capsys):
    """Torchrun passes on the Ctrl-C that each process has had already."""

    def command(arguments):
        try:
            raise KeyboardInterrupt("the finished epochs are kept")
        finally:
            raise KeyboardInterrupt

    assert run_command(command, None) == 130
    assert capsys.readouterr().err == "interrupted; the finished epochs are kept\n"


def test_interruption_that_python_drops_comes_again(capsys):
    """What is raised in the callback of a weak reference cannot leave it."""

    class Gone:
        pass

    def command(arguments):
        gone = Gone()
        watcher = weakref.ref(gone, lambda reference: signal.raise_signal(signal.SIGINT))
        del gone
        assert watcher() is None
        for _ in range(100):
            time.sleep(0.1)
        return 0

    report = sys.unraisablehook
    assert run_command(command, None) == 130
    assert capsys.readouterr() == ("", "interrupted\n")
    assert sys.unraisablehook is report


def test_wrong_flag_waits_for_nothing_that_is_slow_to_import():
    program = (
        "import sys\nfrom pix2pix_lib import train\nassert train.main(['--epochs', '0']) == 2\n"
        "slow = 'torchvision', 'matplotlib', 'tensorboard'\n"
        "print([name for name in slow if name in sys.modules])"
    )
    command = [sys.executable, "-c", program]
    process = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert (process.stdout, process.stderr) == ("[]\n", "error: epochs must be at least 1; got 0\n")
