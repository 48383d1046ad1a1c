"""Repeat the facades note's run on the real facades, with its system and settings.

    REAL_FACADES_DIR=FOLDER python -m benchmarks.facades_note [--channels 64] [--stop 100]

This trains `instance3x3` with batch 32 at 256x256 for 100 epochs, or for the first --stop of them.
It prints the mean generator loss (LSGAN + 100 L1) of each epoch next to the note's two numbers, and
draws the curve. After an interruption, it resumes from the last finished epoch.
"""

import argparse
import os
import statistics
from pathlib import Path

from pix2pix_lib.checkpoints import load_checkpoint, save_checkpoint
from pix2pix_lib.config import system_config
from pix2pix_lib.data import PairedDataset
from pix2pix_lib.devices import describe_device, pick_device
from pix2pix_lib.engine import choose_engine
from pix2pix_lib.layouts import find_pairs
from pix2pix_lib.plots import BLUE, ORANGE, new_figure
from pix2pix_lib.trainer import train_epoch
from pix2pix_lib.training import Pix2PixTrainer, make_trainer

NOTE = {7: 32.75, 99: 20.05}  # generator loss by epoch, counted from 0


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    width = "width of both networks; the note has 64"
    parser.add_argument("--channels", type=int, default=64, help=width)
    parser.add_argument("--stop", type=int, default=100, help="epochs to train of the note's 100")
    parser.add_argument("--device", default="auto")
    parser.add_argument("--out", type=Path, default=Path("runs/facades_note"))
    arguments = parser.parse_args()
    widths = {"base_channels": arguments.channels, "disc_channels": arguments.channels}
    config = system_config("instance3x3", direction="BtoA", **widths)
    device = pick_device(arguments.device)
    engine, reason = choose_engine(config, device, make_trainer)
    trainer = make_trainer(config, device, engine)
    pairs = find_pairs(os.environ["REAL_FACADES_DIR"], "train")
    data = PairedDataset(pairs, direction="BtoA", size=config.image_size, in_memory=True)
    checkpoint = arguments.out / "last.pt"
    if checkpoint.exists():
        load_checkpoint(checkpoint, trainer)
    print(
        f"{arguments.channels} channels, {len(data)} pairs; "
        f"{describe_device(device)}, {engine.precision}: {reason}"
    )
    while trainer.epoch < arguments.stop:
        train_epoch(trainer, data)
        save_checkpoint(checkpoint, trainer)
    losses = generator_losses(trainer)
    for epoch, (loss_g, loss_d) in losses.items():
        note = f"   the note: {NOTE[epoch]}" if epoch in NOTE else ""
        print(f"epoch {epoch:3}: generator {loss_g:6.2f}, discriminator {loss_d:.4f}{note}")
    draw(losses, arguments.out / "generator_loss.png")


def generator_losses(trainer: Pix2PixTrainer) -> dict[int, tuple[float, float]]:
    """Return the mean weighted generator loss and the mean discriminator loss of each epoch."""
    lambda_gan, lambda_l1, losses = trainer.config.lambda_gan, trainer.config.lambda_l1, {}
    for epoch in range(trainer.epoch):
        records = [record for record in trainer.history if record.epoch == epoch]
        generator = [lambda_gan * r.loss_g_gan + lambda_l1 * r.loss_g_l1 for r in records]
        losses[epoch] = statistics.mean(generator), statistics.mean(r.loss_d for r in records)
    return losses


def draw(losses: dict[int, tuple[float, float]], path: Path) -> None:
    """Draw the curve, with the note's numbers as points."""
    figure, axes = new_figure(7, 3)
    measured = [loss for loss, _ in losses.values()]
    axes.plot(list(losses), measured, color=BLUE, label="measured here")
    axes.plot(list(NOTE), list(NOTE.values()), "o", color=ORANGE, label="the note")
    axes.set_xlabel("epoch")
    axes.set_ylabel("generator loss")
    axes.legend(frameon=False)
    figure.savefig(path)


if __name__ == "__main__":
    main()
