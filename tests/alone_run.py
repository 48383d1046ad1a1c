"""Started by torchrun from test_processes: what the first process does while the others wait.

Each process prints what it got, with its rank before it.
"""

import torch

from pix2pix_lib import processes
from pix2pix_lib.config import TrainConfig
from pix2pix_lib.training import make_trainer

CONFIG = TrainConfig(
    image_size=32, depth=4, base_channels=4, disc_channels=4, disc_layers=1, norm="instance"
)


def say(text: str) -> None:
    print(f"{processes.rank()} {text}", flush=True)


def step_alone() -> bool:
    record = make_trainer(CONFIG).step(*torch.zeros(2, 1, 3, 32, 32))
    return bool(record.loss_d > 0)


def refused(network: torch.nn.Module) -> str:
    try:
        network(torch.zeros(1, 1))
    except RuntimeError as error:
        return str(error)
    return "nothing was refused"


def fail() -> None:
    raise ValueError("only the first knows this")


with processes.process_group(torch.device("cpu")):
    alone = processes.broadcast_from_rank0
    say(f"built a trainer and made a step: {alone(step_alone)}")
    mean = alone(lambda: processes.all_reduce_mean(torch.tensor([3.0])).tolist())
    say(f"mean of [3.0] alone: {mean}")
    say(f"inside another: {alone(lambda: processes.broadcast_from_rank0(lambda: 7))}")
    wrapped = processes.wrap_ddp(torch.nn.Linear(1, 1))
    say(f"refused: {alone(lambda: refused(wrapped))}")
    try:
        alone(fail)
    except ValueError as error:
        say(f"error in all: {type(error).__name__}: {error}")
    ranks = torch.tensor([float(processes.rank())])
    say(f"mean of ranks: {processes.all_reduce_mean(ranks).item()}")
