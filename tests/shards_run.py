"""Run by torchrun for test_shards: python -m tests.shards_run SHARDS OUT WORKERS [die].

For each of several numbers of workers ("0,2") each rank trains for two epochs. After each it saves
its state and the pairs that it got in OUT, and it goes on from what is saved there. With `die` rank
1 kills itself in the middle of the second epoch.
"""

import os
import signal
import sys
from pathlib import Path

import torch

from pix2pix_lib import processes
from pix2pix_lib.config import TrainConfig
from pix2pix_lib.shards import Shard, find_shards
from pix2pix_lib.streaming import ShardDataset
from pix2pix_lib.training import Pix2PixTrainer, make_trainer

CONFIG = TrainConfig(
    image_size=32, base_channels=4, disc_channels=4, disc_layers=1, depth=4, epochs=4, seed=3,
    norm="instance", disc_norm="instance", batch_size=2,
)  # fmt: skip


def numbers_in(real_a: torch.Tensor) -> list[int]:
    """Return the numbers of the pairs of a batch, which are their grey values."""
    return ((real_a[:, 0, 0, 0] + 1) * 127.5).round().int().tolist()


def watch(trainer: Pix2PixTrainer, got: list[int]) -> None:
    """Let a trainer note the pairs of its steps."""
    step = trainer.step

    def noting_step(real_a, real_b, number):
        got.extend(numbers_in(real_a))
        return step(real_a, real_b, number)

    trainer.step = noting_step


def main(shards: str, out: str, counts: str, die: str = "") -> None:
    with processes.process_group(torch.device("cpu")):
        for workers in map(int, counts.split(",")):
            saved = Path(out) / f"{workers}-{processes.rank()}.pt"
            train(find_shards(Path(shards))["train"], saved, workers, bool(die))


def train(shards: list[Shard], saved: Path, workers: int, die: bool) -> None:
    dataset = ShardDataset(shards, size=32)
    trainer, got = make_trainer(CONFIG, workers=workers), []
    if saved.exists():
        state = torch.load(saved, weights_only=True)
        trainer.load_state_dict(state["trainer"])
        got = state["got"]
    watch(trainer, got)
    while trainer.epoch < 2:
        for number, _ in enumerate(trainer.run_epoch(dataset)):
            if die and processes.rank() == 1 and (trainer.epoch, number) == (1, 1):
                os.kill(os.getpid(), signal.SIGKILL)
        torch.save({"trainer": trainer.state_dict(), "got": got}, saved)


if __name__ == "__main__":
    main(*sys.argv[1:])
