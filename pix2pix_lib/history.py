"""The losses of a run as a CSV file that only grows: one line an update, read back exactly."""

import csv
import logging
import os
from collections.abc import Iterator, Sequence
from dataclasses import fields
from pathlib import Path
from typing import TextIO

from .files import appending, replacing
from .trainer import Trainer, losses_of
from .validation import InputError

TAIL = 4096  # bytes: more than a line has

log = logging.getLogger(__name__)


def history_file(checkpoint: Path | str) -> Path:
    """Return where the losses of a checkpoint's run lie.

    In a run's folder all of checkpoints/*.pt share history.csv; elsewhere last.pt has
    last.history.csv.
    """
    checkpoint = Path(checkpoint)
    if checkpoint.parent.name == "checkpoints":
        return checkpoint.parent.parent / "history.csv"
    return checkpoint.with_suffix(".history.csv")


def append_history(file: Path, trainer: Trainer) -> None:
    """Append the losses that a file does not hold yet, after those of older epochs.

    What the file holds of steps that the trainer has taken anew since, after a run was killed, is
    cut off first. A run without a step leaves the file as it is.

    Raises:
        OSError: if the file cannot be written, with its path.
    """
    known_file, known_steps = trainer.saved_history
    first = min(_lines_with_losses(file), known_steps) if known_file == file.resolve() else 0
    if trainer.steps > 0:
        _cut(file, first)
    with appending(file) as stream:
        if stream.tell() == 0:
            _write_header(stream, trainer.record_class)
        start = len(trainer.history)
        while start > 0 and trainer.history[start - 1].step >= first:
            start -= 1
        _write_records(stream, trainer.history[start:])
    trainer.saved_history = file.resolve(), trainer.steps


def write_history(file: Path, records: Sequence) -> None:
    """Write records, at least one, as a file of their own."""
    with replacing(file) as temporary, temporary.open("w", newline="", encoding="utf-8") as stream:
        _write_header(stream, type(records[0]))
        _write_records(stream, records)


def _write_header(stream: TextIO, record_class: type) -> None:
    csv.writer(stream).writerow(option.name for option in fields(record_class))


def _write_records(stream: TextIO, records: Sequence) -> None:
    rows = ([record.epoch, record.step, *losses_of(record).values()] for record in records)
    csv.writer(stream).writerows(rows)


def read_history(file: Path, record_class: type, steps: int) -> list:
    """Return the records of the first `steps` updates; a file that is missing is only warned of.

    Raises:
        InputError: if the file does not hold such records.
    """
    if not file.is_file():
        if steps:
            log.warning("%s is missing: the losses of %d steps are lost", file, steps)
        return []
    with file.open(newline="", encoding="utf-8") as stream:
        try:
            return list(_records(csv.reader(stream), record_class, steps))
        except (ValueError, TypeError, csv.Error, StopIteration) as error:
            raise InputError(
                f"{file}: not the losses of this run ({error}); move it away to go on without them"
            ) from error


def _records(rows: Iterator[list[str]], record_class: type, steps: int) -> Iterator:
    names = [option.name for option in fields(record_class)]
    header = next(rows, names)
    if header != names:
        raise ValueError(f"its columns are {', '.join(header)[:100]}")
    for epoch, step, *losses in rows:
        if int(step) >= steps:
            return
        yield record_class(int(epoch), int(step), *map(float, losses))


def _lines_with_losses(file: Path) -> int:
    """Return the step after the last whole line of a file; 0 if there is none."""
    if not file.is_file():
        return 0
    with file.open("rb") as stream:
        stream.seek(max(0, file.stat().st_size - TAIL))
        lines = stream.read().split(b"\n")[:-1]  # a torn line has no end
    try:
        return int(lines[-1].split(b",")[1]) + 1
    except (IndexError, ValueError):  # nothing but the header
        return 0


def _cut(file: Path, steps: int) -> None:
    """Cut a file after the line of step `steps` - 1; without losses not even the header stays."""
    if not file.is_file():
        return
    if steps == 0:
        os.truncate(file, 0)
        return
    size, kept = file.stat().st_size, 0
    if _lines_with_losses(file) == steps and _ends_whole(file):
        return
    with file.open("rb") as stream:
        for line in stream:
            values = line.split(b",")
            later = values[1].isdigit() and int(values[1]) >= steps
            if later or not line.endswith(b"\n"):
                break
            kept += len(line)
    if kept < size:
        os.truncate(file, kept)


def _ends_whole(file: Path) -> bool:
    with file.open("rb") as stream:
        stream.seek(-1, os.SEEK_END)
        return stream.read() == b"\n"
