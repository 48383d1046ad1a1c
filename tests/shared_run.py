"""Started by torchrun from test_processes: train a tiny model for two epochs, and leave each rank's state in a folder.

Arguments: the folder, the batch size of one process, and a norm, or cyclegan. Only with batch norm
    there is dropout.
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

folder, batch_size, kind = Path(sys.argv[1]), int(sys.argv[2]), sys.argv[3]
small = {
    "image_size": 32,
    "base_channels": 4,
    "disc_channels": 4,
    "disc_layers": 1,
    "epochs": 4,
    "batch_size": batch_size,
}
if kind == "cyclegan":
    make, config = make_cyclegan, system_config("cyclegan", blocks=1, pool_size=0, lr=1e-9, **small)
else:
    make, config = (
        make_trainer,
        TrainConfig(
            depth=4, norm=kind, disc_norm=kind, dropout=0.5 if kind == "batch" else 0.0, **small
        ),
    )
images = torch.rand(2, 12, 3, 32, 32, generator=torch.Generator().manual_seed(0)) * 2 - 1
with processes.process_group(torch.device("cpu")):
    trainer = make(config)
    for _ in range(2):
        for _ in trainer.run_epoch(TensorDataset(*images)):
            pass
    history = [asdict(record) for record in trainer.history]
    state = {**trainer.state_dict(), "history": history, "seed": torch.initial_seed()}
    torch.save(state, folder / f"rank{processes.rank()}_of_{processes.world_size()}.pt")
