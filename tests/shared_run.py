"""Started by torchrun from test_processes: train a tiny model for two epochs, and leave each rank's state in a folder.

Arguments: the folder, the batch size of one process, and a norm. There is no dropout with instance norm.
"""

import sys
from pathlib import Path

import torch
from torch.utils.data import TensorDataset

from pix2pix_lib import processes
from pix2pix_lib.training import TrainConfig, make_trainer

folder, batch_size, norm = Path(sys.argv[1]), int(sys.argv[2]), sys.argv[3]
config = TrainConfig(image_size=32, base_channels=4, disc_channels=4, disc_layers=1, depth=4, epochs=4, norm=norm,
                     disc_norm=norm, dropout=0.5 if norm == "batch" else 0.0, batch_size=batch_size)
images = torch.rand(2, 12, 3, 32, 32, generator=torch.Generator().manual_seed(0)) * 2 - 1
with processes.process_group(torch.device("cpu")) as device:
    trainer = make_trainer(config, device)
    for _ in range(2):
        for _ in trainer.run_epoch(TensorDataset(*images)):
            pass
    state = {**trainer.state_dict(), "seed": torch.initial_seed()}
    torch.save(state, folder / f"rank{processes.rank()}_of_{processes.count()}.pt")
