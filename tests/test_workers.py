"""What a training says when a process that reads its pairs meets a bad file, or dies."""

import mmap
import os
import re
import signal
import tempfile

import pytest
from PIL import Image
from torch.utils.data import TensorDataset

from pix2pix_lib.data import PairedDataset
from pix2pix_lib.layouts import Pair
from pix2pix_lib.trainer import train_epoch
from pix2pix_lib.training import make_trainer
from pix2pix_lib.validation import InputError


class Failing(TensorDataset):
    """Pairs of which one cannot be read: what happens then is up to `fail`."""

    def __init__(self, pairs: TensorDataset, fail):
        super().__init__(*pairs.tensors)
        self.fail = fail

    def __getitem__(self, index):
        if index == 3:
            self.fail()
        return super().__getitem__(index)


def one_line(*parts: str) -> str:
    """Return a pattern for a text that begins with the first part, and is a single line."""
    return r"\A" + "[^\n]*".join(map(re.escape, parts)) + r"[^\n]*\Z"


@pytest.mark.parametrize("workers", [0, 2])
def test_file_that_was_damaged_or_removed_is_named_in_one_line(workers, tmp_path, tiny_config):
    pairs = [Pair(tmp_path / f"{number}.png") for number in range(4)]
    for pair in pairs:
        Image.effect_noise((64, 32), 50).convert("RGB").save(pair.a)
    dataset, file = PairedDataset(pairs, size=32), pairs[2].a
    file.write_bytes(file.read_bytes()[:1000])
    with pytest.raises(InputError, match=one_line(f"{file}: not a readable image (")):
        train_epoch(make_trainer(tiny_config, workers=workers), dataset, shown=False)
    file.unlink()
    with pytest.raises(FileNotFoundError, match=one_line(f"{file}: no such file; ")):
        train_epoch(make_trainer(tiny_config, workers=workers), dataset, shown=True)


def no_room():
    # In torch's words: to make /dev/shm small takes a right that few have.
    raise RuntimeError(
        "unable to allocate shared memory(shm) for file </torch_1_2_0>: "
        "No space left on device (28)"
    )


def no_map():
    raise RuntimeError(
        "unable to mmap 8 bytes from file </torch_1_2_0>: Cannot allocate memory (12)"
    )


def bus_error():
    """Look at memory whose file has become too short."""
    with tempfile.TemporaryFile() as file:
        file.truncate(2 * mmap.PAGESIZE)
        memory = mmap.mmap(file.fileno(), 2 * mmap.PAGESIZE)
        file.truncate(0)
        memory[-1]


def killed():
    os.kill(os.getpid(), signal.SIGKILL)


def gone():
    os._exit(1)


@pytest.mark.skipif(os.name == "nt", reason="Windows has neither these signals nor /dev/shm")
@pytest.mark.parametrize(
    ("fail", "remedy"),
    [
        (no_room, "give --workers 0, or a larger /dev/shm"),
        (no_map, "give --workers 0, or a larger /dev/shm"),
        (bus_error, "give --workers 0, or a larger /dev/shm"),
        (killed, "give fewer --workers"),
        (gone, "give fewer --workers"),
    ],
)
def test_worker_without_memory_is_one_line_with_what_to_do(fail, remedy, tiny_config, tiny_pairs):
    trainer = make_trainer(tiny_config, workers=2)
    with pytest.raises(OSError, match=one_line("", remedy)):
        train_epoch(trainer, Failing(tiny_pairs, fail), shown=False)
    train_epoch(trainer, tiny_pairs, shown=False)  # with new workers
    assert trainer.epoch == 1


def broken():
    raise RuntimeError("a bug of ours")


@pytest.mark.parametrize(("workers", "words"), [(0, r"\Aa bug"), (2, r"in broken\n[^\0]*a bug")])
def test_bug_keeps_its_traceback(workers, words, tiny_config, tiny_pairs):
    trainer = make_trainer(tiny_config, workers=workers)
    with pytest.raises(RuntimeError, match=words):
        train_epoch(trainer, Failing(tiny_pairs, broken), shown=False)
