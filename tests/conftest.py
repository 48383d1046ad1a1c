"""Fixtures that several test modules share."""

import signal

import pytest
import torch
from torch.utils.data import TensorDataset

from pix2pix_lib.config import TrainConfig

# A shell starts its background jobs with Ctrl-C ignored, and what they start inherits that: tests
# that interrupt a process would wait for it for ever.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture
def tiny_config() -> TrainConfig:
    """Settings so small that an epoch takes a moment, with dropout and batch norm."""
    return TrainConfig(
        image_size=32, base_channels=4, disc_channels=4, disc_layers=1, depth=4, epochs=4, seed=3
    )


@pytest.fixture
def tiny_pairs() -> TensorDataset:
    """Five random pairs of 32x32 images in [-1, 1]."""
    generator = torch.Generator().manual_seed(0)
    images = torch.rand(2, 5, 3, 32, 32, generator=generator) * 2 - 1
    return TensorDataset(*images)


@pytest.fixture
def device() -> torch.device:
    """The GPU if there is one, otherwise the CPU."""
    return torch.device("cuda" if torch.cuda.is_available() else "cpu")


def pytest_terminal_summary(terminalreporter) -> None:
    """Print the latencies that the tests in a browser have recorded, one line for each.

    The hook stands here because the process that prints collects no tests itself.
    """
    reports = terminalreporter.getreports("passed") + terminalreporter.getreports("failed")
    recorded = [pair for report in reports for pair in report.user_properties]
    rows = [value for name, value in recorded if name == "latency"]
    if rows:
        terminalreporter.section("from key press or mouse to pixels, milliseconds")
        terminalreporter.write_line(f"{'explorer':<40}{'median':>8}{'95 %':>8}")
    for explorer, median, high in rows:
        terminalreporter.write_line(f"{explorer:<40}{median:>8.0f}{high:>8.0f}")
