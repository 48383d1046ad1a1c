"""What only a GPU can show; without one, these tests are skipped."""

import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from test_training import run
from torch.utils.data import TensorDataset

from pix2pix_lib import train
from pix2pix_lib.checkpoints import load_checkpoint, read_checkpoint, save_checkpoint
from pix2pix_lib.config import TrainConfig, make_discriminator, make_generator
from pix2pix_lib.devices import pick_device
from pix2pix_lib.engine import PLAIN, fast_engine
from pix2pix_lib.explorers.patches import PatchExplorer
from pix2pix_lib.explorers.player import TrainingPlayer
from pix2pix_lib.inference import translate
from pix2pix_lib.trained import Snapshot, make_film
from pix2pix_lib.training import StepRecord, make_trainer

ROOT = Path(__file__).parent.parent
pytestmark = [pytest.mark.skipif(not torch.cuda.is_available(), reason="there is no GPU")]
two_gpus = pytest.mark.skipif(torch.cuda.device_count() < 2, reason="there is no second GPU")
CONFIG = TrainConfig(
    image_size=32, base_channels=8, disc_channels=8, disc_layers=1, depth=4, dropout=0.0, epochs=9
)


@pytest.fixture
def pairs():
    return TensorDataset(*torch.rand(2, 12, 3, 32, 32) * 2 - 1)


@pytest.fixture
def cuda():
    return torch.device("cuda", 0)


def graphed(device):
    engine = fast_engine("float32", device)
    assert engine.graph
    return make_trainer(CONFIG, device, engine)


def test_run_with_a_graph_goes_on_after_loading_as_one_without(pairs, cuda, tmp_path):
    """A recorded graph would otherwise keep writing to the moments that loading has replaced."""
    first = graphed(cuda)
    run(first, pairs, 1)
    save_checkpoint(tmp_path / "last.pt", first)
    run(first, pairs, 1)  # replays
    load_checkpoint(tmp_path / "last.pt", first)
    run(first, pairs, 1)
    plain = make_trainer(CONFIG, cuda, PLAIN)
    load_checkpoint(tmp_path / "last.pt", plain)
    run(plain, pairs, 1)
    for ours, theirs in zip(first.history[12:], plain.history[12:], strict=True):
        assert ours.loss_g_l1 == pytest.approx(theirs.loss_g_l1, abs=0.02)
        assert ours.loss_d == pytest.approx(theirs.loss_d, abs=0.02)


def test_every_replayed_step_learns(pairs, cuda):
    trainer = graphed(cuda)
    run(trainer, pairs, 2)
    losses = [record.loss_g_l1 for record in trainer.history]
    assert len(set(losses)) == len(losses) and losses[-1] < losses[0]


@two_gpus
def test_second_gpu_trains_with_streams_and_graph_of_its_own(pairs):
    device = pick_device("cuda:1")
    assert torch.cuda.current_device() == 1
    before = torch.cuda.memory_allocated(0)
    trainer = graphed(device)
    run(trainer, pairs, 2)
    losses = [record.loss_g_l1 for record in trainer.history]
    assert len(set(losses)) == len(losses)
    assert torch.cuda.memory_allocated(0) == before
    torch.cuda.set_device(0)


def test_fp16_run_with_its_scaler_learns(pairs, cuda):
    trainer = make_trainer(CONFIG, cuda, fast_engine("fp16", cuda))
    run(trainer, pairs, 3)
    assert trainer.history[-1].loss_g_l1 < trainer.history[0].loss_g_l1
    assert trainer.state_dict()["scaler"]["scale"] > 1


def test_kernels_are_tried_out_for_fast_engines(cuda, monkeypatch):
    monkeypatch.setattr(torch.backends.cudnn, "benchmark", False)
    make_trainer(CONFIG, cuda, PLAIN)
    assert not torch.backends.cudnn.benchmark
    make_trainer(CONFIG, cuda, fast_engine("bf16", cuda))
    assert torch.backends.cudnn.benchmark


def test_translating_leaves_the_random_numbers_of_the_gpu_alone(cuda):
    generator = make_generator(replace(CONFIG, dropout=0.5)).to(cuda)
    state, image = torch.cuda.get_rng_state(), torch.rand(1, 3, 32, 32, device=cuda)
    first, again, other = (translate(generator, image, seed) for seed in (0, 0, 1))
    assert torch.equal(first, again) and not torch.equal(first, other)
    assert torch.equal(state, torch.cuda.get_rng_state())


def test_explorers_take_networks_on_a_gpu(cuda):
    pairs = [tuple(torch.rand(2, 3, 32, 32) * 2 - 1) for _ in range(2)]
    networks = make_generator(CONFIG).to(cuda), make_discriminator(CONFIG).to(cuda)
    snapshots = [Snapshot(100, 9, 0.0, *networks, CONFIG)]
    assert PatchExplorer(pairs, snapshots).set(mix=1.0).numbers["patches"] > 1
    history = [StepRecord(0, step, 0.5, 0.5, 0.5) for step in range(10)]
    film = make_film(snapshots, *(torch.stack(side) for side in zip(*pairs, strict=True)))
    assert TrainingPlayer(pairs, film, history).set(facade=1).numbers["l1"] > 0


def test_graph_takes_at_most_the_memory_of_another_step(cuda):
    """Its memory pool comes on top of that of eager steps; only small batches are graphed."""
    config = replace(CONFIG, image_size=128, base_channels=32, depth=5, disc_layers=3)
    real_a, real_b = torch.rand(2, 1, 3, 128, 128, device=cuda) * 2 - 1
    peaks = []
    fast = fast_engine("float32", cuda)
    for engine in (replace(fast, graph=False), fast):
        torch.cuda.empty_cache()
        torch.cuda.reset_peak_memory_stats()
        trainer = make_trainer(config, cuda, engine)
        for _ in range(6):
            trainer.step(engine.to_memory_format(real_a), engine.to_memory_format(real_b))
        peaks.append(torch.cuda.max_memory_reserved())
        del trainer
    print(f"peak memory: eager {peaks[0] / 2**20:.0f} MiB, graphed {peaks[1] / 2**20:.0f} MiB")
    assert peaks[1] < 2.2 * peaks[0]


@two_gpus
def test_torchrun_line_of_the_readme_trains_on_two_gpus(tmp_path):
    """Over nccl, with a GPU per process, the second one waiting while the first validates."""
    torchrun = [
        sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node=2",
        "-m", "pix2pix_lib.train", "--out", str(tmp_path / "run"),
    ]  # fmt: skip
    for flags in ("--data data/sample --image-size 128 --epochs 2", "--resume --epochs 3"):
        command = [*torchrun, *flags.split()]
        done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=300)
        assert done.returncode == 0, done.stderr
    assert read_checkpoint(tmp_path / "run" / "checkpoints" / "last.pt")["epoch"] == 3


def test_command_trains_on_a_gpu_with_pairs_in_its_memory(tmp_path, capsys):
    flags = "--data data/sample --image-size 64 --epochs 2 --device cuda"
    assert train.main([*flags.split(), "--out", str(tmp_path / "run")]) == 0
    assert torch.cuda.get_device_name(0) in capsys.readouterr().out
