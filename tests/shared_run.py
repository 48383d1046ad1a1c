"""Run by torchrun for test_processes, with a folder as argument where each rank saves its results.

It trains tiny models for two epochs, and has the first process do things while the others wait.
"""

import sys
from dataclasses import asdict
from pathlib import Path

import torch
from torch.utils.data import TensorDataset

from pix2pix_lib import processes
from pix2pix_lib.config import TrainConfig, system_config
from pix2pix_lib.cyclegan import make_cyclegan
from pix2pix_lib.training import make_trainer

SMALL = {"image_size": 32, "base_channels": 4, "disc_channels": 4, "disc_layers": 1, "epochs": 4}


def train_tiny(kind: str, batch_size: int) -> dict:
    """Train for two epochs and return the trainer's state, its history and torch's seed.

    `kind` is a norm or cyclegan. Only batch norm comes with dropout.
    """
    if kind == "cyclegan":
        options = {"blocks": 1, "pool_size": 0, "lr": 1e-9, "batch_size": batch_size}
        trainer = make_cyclegan(system_config("cyclegan", **options, **SMALL))
    else:
        options = {"depth": 4, "norm": kind, "disc_norm": kind, "batch_size": batch_size}
        dropout = 0.5 if kind == "batch" else 0.0
        trainer = make_trainer(TrainConfig(dropout=dropout, **options, **SMALL))
    images = torch.rand(2, 12, 3, 32, 32, generator=torch.Generator().manual_seed(0)) * 2 - 1
    dataset = TensorDataset(*images)
    for _ in range(2):
        for _ in trainer.run_epoch(dataset):
            pass
    history = [asdict(record) for record in trainer.history]
    return {**trainer.state_dict(), "history": history, "seed": torch.initial_seed()}


def step_alone() -> bool:
    config = TrainConfig(depth=4, norm="instance", **SMALL)
    return bool(make_trainer(config).step(*torch.zeros(2, 1, 3, 32, 32)).loss_d > 0)


def refusal(network: torch.nn.Module) -> str:
    try:
        network(torch.zeros(1, 1))
    except RuntimeError as error:
        return str(error)
    return "nothing was refused"


def fail() -> None:
    raise ValueError("only the first knows this")


def what_the_first_does_alone() -> dict:
    """Return what each process gets; all but the last once hung or failed."""
    alone = processes.broadcast_from_rank0
    wrapped = processes.wrap_ddp(torch.nn.Linear(1, 1))
    got = {
        "made a step": alone(step_alone),
        "mean": alone(lambda: processes.all_reduce_mean(torch.tensor([3.0])).tolist()),
        "nested": alone(lambda: processes.broadcast_from_rank0(lambda: 7)),
        "refusal": alone(lambda: refusal(wrapped)),
    }
    try:
        alone(fail)
    except ValueError as error:
        got["error"] = str(error)
    ranks = torch.tensor([float(processes.rank())])
    return got | {"mean of ranks": processes.all_reduce_mean(ranks).item()}


def main(folder: Path) -> None:
    with processes.process_group(torch.device("cpu")):
        state = {
            "batch": train_tiny("batch", 1),
            "instance": train_tiny("instance", 2),
            "cyclegan": train_tiny("cyclegan", 2),
            "alone": what_the_first_does_alone(),
        }
        torch.save(state, folder / f"rank{processes.rank()}.pt")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
