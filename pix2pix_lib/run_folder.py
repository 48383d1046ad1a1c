"""The folder of a run: what lies there, what is written when, and what can be read back.

`checkpoints/last.pt` decides how the run goes on; the losses up to it are in `history.csv`. All
else follows from the checkpoint and is written after it, the generators' cards last. A run that was
killed in between writes these files again when it goes on.
"""

import copy
import json
import logging
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import torch
from torch import Tensor
from torch.utils.data import Dataset

from .checkpoints import read_card, save_checkpoint, save_generator
from .config import TrainConfig, reverse_config
from .encoding import Encoding
from .files import replacing
from .run_data import RunData
from .streaming import ShardDataset
from .trainer import Trainer, losses_of

if TYPE_CHECKING:
    from torch.utils.tensorboard import SummaryWriter

SHOWN = 8  # pairs in each picture of samples
FIRST_PAIRS = 3  # pairs that show, before a training, what it will learn from

log = logging.getLogger(__name__)


def generator_names(config: TrainConfig) -> tuple[str, ...]:
    """Return the names of a run's generators, which are those of their files."""
    return ("generator_ab", "generator_ba") if config.is_unpaired else ("generator",)


@dataclass(frozen=True)
class RunFolder:
    """Where a run keeps its files.

    Args:
        path: the folder; its subfolders `samples` and `checkpoints` must be there for writing.
        val_set: the pairs that tell how good the generators are; the first ones are shown.
        data: the images of the run, whose identity the checkpoint keeps.
        keep_every: keep the checkpoint of each epoch that this divides; 0 keeps none.
        board: where TensorBoard's files are written, if they are.
    """

    path: Path
    val_set: Dataset | None = None
    data: RunData | None = None
    keep_every: int = 0
    board: "SummaryWriter | None" = None

    @property
    def checkpoint(self) -> Path:
        return self.path / "checkpoints" / "last.pt"

    def results_epoch(self, config: TrainConfig) -> int:
        """Return after how many epochs all results were written; -1 if there are none."""
        files = [self.path / f"{name}.safetensors" for name in generator_names(config)]
        try:
            return min(read_card(file).get("epochs", -1) for file in files)
        except (FileNotFoundError, ValueError):
            return -1

    def begin(self, trainer: Trainer) -> None:
        """Write what a run has before its first epoch, or what a killed one could not write."""
        config = json.dumps(asdict(trainer.config), indent=2) + "\n"
        with replacing(self.path / "config.json", make_folder=False) as temporary:
            temporary.write_text(config, encoding="utf-8")
        if trainer.epoch == 0:
            self.write_results(
                trainer
            )  # first, lest an older run's results be taken for this one's
            self._save_checkpoint(trainer)
        elif self.results_epoch(trainer.config) != trainer.epoch:
            self.write_results(trainer)

    def end_epoch(self, trainer: Trainer) -> None:
        """Write the checkpoint, then what follows from it."""
        self._save_checkpoint(trainer)
        self.write_results(trainer)

    def _save_checkpoint(self, trainer: Trainer) -> None:
        identity = self.data.identity if self.data else None
        save_checkpoint(self.checkpoint, trainer, make_folder=False, data=identity)

    def write_results(self, trainer: Trainer) -> None:
        """Write samples, curves and generators; the generators' cards vouch for all the rest.

        Raises:
            OSError: if something cannot be written, or a folder is gone.
        """
        error = trainer.validate(self.val_set)
        said, picture = "before training", ""
        if trainer.epoch > 0:
            self._keep_checkpoint(trainer.epoch)
            said = f"epoch {trainer.epoch} of {trainer.config.epochs}"
            picture = f"; {self._draw(trainer, error)}"
        metric = trainer.metric_name.lower().replace(" ", "_")
        card = {"epochs": trainer.epoch, metric: round(error, 5)}
        ways = [asdict(encoding) for encoding in self.data.input_and_target] if self.data else []
        if self.data and self.data.image_shape:
            card["image_shape"] = self.data.image_shape
        for name, generator in trainer.generators.items():
            backwards = name == "generator_ba"
            config = reverse_config(trainer.config) if backwards else trainer.config
            card |= dict(zip(("input", "target"), ways[::-1] if backwards else ways))
            file = self.path / f"{name}.safetensors"
            save_generator(file, generator, config, card, make_folder=False)
        log.info("%s: %s %.4f%s", said, trainer.metric_name, error, picture)

    def draw_pairs(self, dataset: Dataset) -> None:
        """Draw the first pairs of a dataset as the networks see them, before the training."""
        from .plots import sample_rows

        if isinstance(dataset, ShardDataset):
            plain = dataset.first(FIRST_PAIRS)
        else:
            plain = copy.copy(dataset)
            plain.jitter = False
        inputs, targets = first_pairs(plain, FIRST_PAIRS)
        names = ("input (A)", "target (B)")
        names = names if plain.direction == "AtoB" else ("input (B)", "target (A)")
        shown = dict(zip(names, (inputs, targets), strict=True))
        figure = sample_rows(self._viewable(shown), side=2.6)
        _write_figure(self.path / "pairs.png", figure)
        log.info("%s shows the first pairs", self.path / "pairs.png")

    def _viewable(self, batches: dict[str, Tensor]) -> dict[str, Tensor]:
        """Return batches as grey or RGB pictures: classes in their colours, bands by the first."""
        if self.data is None:
            return batches
        real_a, real_b = self.data.input_and_target

        def encoding(name: str) -> Encoding:
            return real_a if name.startswith("input") or name.endswith(" a") else real_b

        return {name: encoding(name).as_colours(batch) for name, batch in batches.items()}

    def _keep_checkpoint(self, epoch: int) -> None:
        """Copy the checkpoint of an epoch that is to be kept."""
        if self.keep_every and epoch % self.keep_every == 0:
            kept = self.checkpoint.with_name(f"epoch_{epoch:03d}.pt")
            with replacing(kept, make_folder=False) as temporary:
                shutil.copyfile(self.checkpoint, temporary)

    def _draw(self, trainer: Trainer, error: float) -> Path:
        """Draw samples, at the end the losses too, and log to TensorBoard; returns the picture."""
        from .plots import loss_curves, sample_rows  # matplotlib: a wrong flag need not wait for it

        shown = self._viewable(trainer.show(*first_pairs(self.val_set)))
        picture = self.path / "samples" / f"epoch_{trainer.epoch:03d}.png"
        _write_figure(picture, sample_rows(shown))
        if trainer.epoch == trainer.config.epochs and trainer.history:
            panels = trainer.loss_panels()
            _write_figure(self.path / "losses.png", loss_curves(trainer.history, panels))
        if self.board:
            _log_epoch(self.board, trainer, error, shown)
        return picture

    @contextmanager
    def open_board(self, trainer: Trainer) -> "Iterator[SummaryWriter]":
        """Open TensorBoard's files.

        What a killed run wrote there about steps that are logged again is taken back.
        """
        from torch.utils.tensorboard import SummaryWriter

        written = self.results_epoch(trainer.config) == trainer.epoch
        logged = trainer.epoch if written else trainer.epoch - 1
        step = sum(record.epoch < logged for record in trainer.history)
        with SummaryWriter(self.path / "tensorboard", purge_step=step) as board:
            yield board


def _log_epoch(
    board: "SummaryWriter", trainer: Trainer, error: float, images: dict[str, Tensor]
) -> None:
    """Log the losses of the last epoch, the validation error, and (N, C, H, W) in [-1, 1]."""
    last = trainer.history[-1]
    first = len(trainer.history)
    while first > 0 and trainer.history[first - 1].epoch == last.epoch:
        first -= 1
    for record in trainer.history[first:]:
        for name, loss in losses_of(record).items():
            board.add_scalar(f"train/{name}", loss, record.step)
    metric = trainer.metric_name.lower().replace(" ", "/", 1).replace(" ", "_")
    board.add_scalar(metric, error, last.step)
    for name, batch in images.items():
        board.add_images(f"samples/{name.replace(' ', '_')}", (batch + 1) / 2, last.step)
    board.flush()


def first_pairs(dataset: Dataset, most: int = SHOWN) -> tuple[Tensor, Tensor]:
    """Return the first pairs of a dataset as two batches on the CPU, for pictures."""
    pairs = [dataset[index] for index in range(min(most, len(dataset)))]
    return torch.stack([a for a, _ in pairs]).cpu(), torch.stack([b for _, b in pairs]).cpu()


def _write_figure(path: Path, figure) -> None:
    with replacing(path, make_folder=False) as temporary:
        figure.savefig(temporary)
