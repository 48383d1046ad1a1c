"""Kill training runs and resume them: python tests/killed_runs.py random|writes FOLDER FLAGS...

tests/test_faults.py starts this in a separate process. It imports everything once, trains once
undisturbed, and then forks a child for each attempt, so that an attempt takes no longer than its
training. It prints one line per kill, and fails with an AssertionError if a killed run does not end
as the undisturbed one did.
"""

import os
import random
import shutil
import signal
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import TextIO

import torch
from tqdm import tqdm

from pix2pix_lib import history, train
from pix2pix_lib.checkpoints import read_checkpoint
from pix2pix_lib.run_folder import RunFolder

# The nightly run, with PIX2PIX_NIGHT=1, has time for more.
SEED, KILLS = 20, 20 if os.environ.get("PIX2PIX_NIGHT") else 5


def main(kind: str, folder: str, *flags: str) -> None:
    # tqdm's own lock is shared by all processes: a killed child would hold it forever.
    tqdm.set_lock(threading.RLock())
    tqdm.monitor_interval = 0  # no thread in a process that forks
    straight, out = Path(folder) / "straight", Path(folder) / "killed"
    assert train.main([*flags, "--out", str(straight)]) == 0
    kill = {"random": kill_at_random_moments, "writes": kill_at_each_write}[kind]
    kill(straight, out, list(flags))


def kill_at_random_moments(straight: Path, out: Path, flags: list[str]) -> None:
    """Kill KILLS times at random; a run that finishes first is checked, and another one started."""
    pictures = sorted((straight / "samples").iterdir())
    seconds = pictures[-1].stat().st_mtime - pictures[0].stat().st_mtime
    epoch_seconds = seconds / (len(pictures) - 1)
    moments = random.Random(SEED)
    kills = 0
    while kills < KILLS:
        delay = moments.uniform(0, 2 * epoch_seconds)
        if ended_before(start(out, flags), out, delay):
            check_same(straight, out)
            shutil.rmtree(out)
        else:
            kills += 1
            epochs = epochs_in(out)
            print(f"kill {kills}, seed {SEED}: after {delay:.3f} s, {epochs} epochs", flush=True)
    finish(straight, out, flags)


def kill_at_each_write(straight: Path, out: Path, flags: list[str]) -> None:
    """Kill one run per file, just before that file is moved into place, until a run survives."""
    writes = 0
    while not ended_before(start(out, flags, lambda n=writes: die_at_write(n)), out, 60):
        print(f"kill before write {writes + 1}: {epochs_in(out)} epochs", flush=True)
        finish(straight, out, flags)
        writes += 1
    check_same(straight, out)


def start(out: Path, flags: list[str], prepare: Callable[[], None] = lambda: None) -> int:
    """Train in a child, resuming the run if there is one; return the child's process id."""
    resume = ["--resume"] if RunFolder(out).checkpoint.exists() else []
    child = os.fork()
    if child == 0:
        status = 1
        try:
            log = os.open(log_of(out), os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
            os.dup2(log, 1)
            os.dup2(log, 2)
            prepare()
            status = train.main([*flags, *resume, "--out", str(out)])
        finally:
            os._exit(status)
    return child


def ended_before(child: int, out: Path, seconds: float) -> bool:
    """Return whether a child finished, without an error, within the time; otherwise kill it."""
    deadline = time.monotonic() + seconds
    while (answer := os.waitpid(child, os.WNOHANG)) == (0, 0):
        if time.monotonic() > deadline:
            os.kill(child, signal.SIGKILL)
        time.sleep(0.001)
    status = os.waitstatus_to_exitcode(answer[1])
    assert status in (0, -signal.SIGKILL), log_of(out).read_text()
    return status == 0


def die_at_write(number: int) -> None:
    """Make this process kill itself at its write with this number, counted from 0.

    That is when a complete file is about to be moved into place, or when half of an epoch's losses
    have been appended to the history.
    """
    replace, append, left = os.replace, history._write_records, number

    def counted(killed: Callable[[], None]) -> None:
        nonlocal left
        if left == 0:
            killed()
            os.kill(os.getpid(), signal.SIGKILL)
        left -= 1

    def replace_or_die(source: Path, target: Path) -> None:
        counted(lambda: None)
        replace(source, target)

    def append_or_die(stream: TextIO, records: list) -> None:
        def half() -> None:
            append(stream, records[: len(records) // 2])
            stream.write("0,7,0.1")  # and an unfinished line
            stream.flush()

        counted(half)
        append(stream, records)

    os.replace, history._write_records = replace_or_die, append_or_die


def finish(straight: Path, out: Path, flags: list[str]) -> None:
    """Resume a killed run until it ends, compare it with the undisturbed one, and remove it."""
    assert ended_before(start(out, flags), out, 120)
    check_same(straight, out)
    shutil.rmtree(out)


def epochs_in(out: Path) -> int:
    """Return how many epochs a killed run's checkpoint holds, or -1; it must be readable."""
    checkpoint = RunFolder(out).checkpoint
    return read_checkpoint(checkpoint)["epoch"] if checkpoint.exists() else -1


def check_same(straight: Path, out: Path) -> None:
    """Check that two finished runs have equal files; for checkpoints the values are compared."""
    names = [sorted(str(file.relative_to(run)) for file in run.rglob("*"))
             for run in (straight, out)]  # fmt: skip
    assert names[0] == names[1], names
    for name in names[0]:
        one, other = straight / name, out / name
        if name.endswith(".pt"):
            assert same(read_checkpoint(one), read_checkpoint(other)), f"{name} differs"
        elif one.is_file():
            assert one.read_bytes() == other.read_bytes(), f"{name} differs"


def same(first: object, second: object) -> bool:
    """Return whether two states are equal, with tensors equal bit for bit."""
    if isinstance(first, dict):
        return first.keys() == second.keys() and all(same(first[key], second[key]) for key in first)
    if isinstance(first, list | tuple):
        return len(first) == len(second) and all(map(same, first, second))
    if isinstance(first, torch.Tensor):
        return first.dtype == second.dtype and torch.equal(first, second)
    return type(first) is type(second) and first == second


def log_of(out: Path) -> Path:
    """Return the file that gets the output of the children that train a run."""
    return out.with_suffix(".log")


if __name__ == "__main__":
    main(*sys.argv[1:])
