"""Several processes, as torchrun starts them on one machine: one model, one writer."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch
from torch.utils.data import TensorDataset

from pix2pix_lib import processes, train
from pix2pix_lib.checkpoints import read_checkpoint

ROOT = Path(__file__).parent.parent
TORCHRUN = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--max-restarts", "0"]


def train_together(count: int, folder: Path, batch_size: int, kind: str) -> list[dict]:
    """Run shared_run.py in `count` processes and return the state of each."""
    command = [*TORCHRUN, f"--nproc-per-node={count}", "-m", "tests.shared_run", str(folder), str(batch_size), kind]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr
    return [torch.load(folder / f"rank{rank}_of_{count}.pt", weights_only=True) for rank in range(count)]


def parameters(state: dict) -> dict[str, torch.Tensor]:
    """Return what all networks learn, without the running averages that each process keeps for itself."""
    networks = [name for name in state if name.startswith(("generator", "discriminator"))]
    return {f"{name}.{key}": value for name in networks for key, value in state[name].items()
            if "running" not in key and "num_batches" not in key}


def test_parameters_and_history_stay_equal_across_ranks(tmp_path):
    first, second = train_together(2, tmp_path, 1, "batch")
    ours, theirs = parameters(first), parameters(second)
    assert all(torch.equal(ours[name], theirs[name]) for name in ours)
    assert first["history"] == second["history"] and len(first["history"]) == 12  # 6 steps an epoch for 12 pairs
    averages = [name for name in first["generator"] if "running_mean" in name]
    assert any(not torch.equal(first["generator"][n], second["generator"][n]) for n in averages)  # other pairs
    assert first["seed"] == 1 and second["seed"] != 1  # of epoch 1: the second draws other jitter and dropout


def test_two_processes_end_where_one_with_twice_the_batch_ends(tmp_path):
    together, _ = train_together(2, tmp_path, 2, "instance")
    (alone,) = train_together(1, tmp_path, 4, "instance")
    ours, expected = parameters(together), parameters(alone)
    for name in (name for name in expected if name.endswith("weight")):
        # Six updates move a weight by up to 0.0024. Biases are not compared: instance norm takes away what most of
        # them add, so their gradients are rounding errors, which Adam makes as large as any other.
        torch.testing.assert_close(ours[name], expected[name], rtol=0, atol=2e-4)
        assert (ours[name] - expected[name]).abs().mean() < 1e-5
    for record, other in zip(together["history"], alone["history"]):
        assert record == pytest.approx(other, abs=1e-3)


def test_gradients_of_cyclegan_are_averaged_over_all_passes_of_its_generators(tmp_path):
    """Adam's means of the gradients are compared: the weights stay where they are, so no difference grows.

    A rounding error that turns the sign of one pixel's L1 moves a gradient by a thousandth.
    """
    together, _ = train_together(2, tmp_path, 2, "cyclegan")
    (alone,) = train_together(1, tmp_path, 4, "cyclegan")
    for optimizer in ("optimizer_g", "optimizer_d"):
        ours, expected = together[optimizer]["state"], alone[optimizer]["state"]
        largest = max(state["exp_avg"].abs().max().item() for state in expected.values())
        assert ours.keys() == expected.keys() and largest > 1e-3
        for key, state in expected.items():
            torch.testing.assert_close(ours[key]["exp_avg"], state["exp_avg"], rtol=0, atol=1e-2 * largest)


def test_each_epoch_takes_every_pair_in_a_new_order(tmp_path):
    torch.distributed.init_process_group("gloo", init_method=(tmp_path / "meet").as_uri(), rank=0, world_size=1)
    try:
        dataset = TensorDataset(torch.arange(12))
        orders = [list(processes.make_sampler(dataset, seed=0, epoch=epoch)) for epoch in (0, 1, 0)]
    finally:
        torch.distributed.destroy_process_group()
    assert all(sorted(order) == list(range(12)) for order in orders)
    assert orders[0] == orders[2] != orders[1]


def test_without_torchrun_a_process_is_alone():
    assert not processes.started_by_torchrun() and not processes.joined()
    assert (processes.rank(), processes.count()) == (0, 1)
    with processes.process_group(torch.device("cpu")) as device:
        assert device.type == "cpu" and not processes.joined()
    network = torch.nn.Linear(1, 1)
    assert processes.join_gradients(network) is network
    assert processes.make_sampler(TensorDataset(torch.zeros(2)), seed=0, epoch=0) is None
    assert processes.from_first(lambda: 5) == 5
    values = torch.arange(3.0)
    assert torch.equal(processes.mean(values), values)


TINY = ["--data", "data/sample", "--image-size", "32", "--depth", "4", "--base-channels", "4", "--disc-channels", "4",
        "--disc-layers", "1", "--device", "cpu", "--precision", "float32"]


def start_command(count: int, out: Path, *flags: str) -> subprocess.Popen:
    """Start the training command in `count` processes."""
    command = [*TORCHRUN, f"--nproc-per-node={count}", "-m", "pix2pix_lib.train", "--out", str(out), *TINY, *flags]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}  # torchrun would set it, and say so
    return subprocess.Popen(command, cwd=ROOT, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                            text=True)


def workers_of(torchrun: subprocess.Popen) -> list[int]:
    """Return the process ids of torchrun's workers, in the order of their start."""
    children = Path(f"/proc/{torchrun.pid}/task/{torchrun.pid}/children").read_text().split()
    return sorted(int(child) for child in children)


def test_only_the_first_process_writes_and_speaks(tmp_path):
    output, errors = (process := start_command(2, tmp_path / "run", "--epochs", "2")).communicate(timeout=300)
    assert process.returncode == 0, errors
    assert [line.split(":")[0] for line in output.splitlines()] == [
        "precision float32", "28 pairs to train on, 6 to validate on; cpu, 1 threads in each of 2 processes; 0 of 2 "
        "epochs are done", "before training", "epoch 1 of 2", "epoch 2 of 2"]
    assert errors.count("epoch 1 of 2: 100%") == 1 and "Warning" not in errors
    state = read_checkpoint(tmp_path / "run" / "checkpoints" / "last.pt")
    assert state["epoch"] == 2 and len(state["history"]) == 2 * 14
    assert sorted(path.name for path in (tmp_path / "run").iterdir()) == [
        "checkpoints", "config.json", "generator.json", "generator.safetensors", "history.csv", "losses.png", "samples"]


@pytest.mark.skipif(not Path("/proc/self/task").exists(), reason="finding torchrun's workers needs Linux's /proc")
@pytest.mark.parametrize("killed", [0, 1])
def test_killed_worker_ends_the_run_which_goes_on_with_another_number(killed, tmp_path):
    out = tmp_path / "run"
    process = start_command(2, out, "--epochs", "400")
    deadline = time.monotonic() + 120
    while not (out / "samples" / "epoch_001.png").exists():
        assert process.poll() is None and time.monotonic() < deadline
        time.sleep(0.05)
    os.kill(workers_of(process)[killed], signal.SIGKILL)
    _, errors = process.communicate(timeout=120)
    assert process.returncode != 0
    assert "error: another process of this run has ended" in errors
    finished = read_checkpoint(out / "checkpoints" / "last.pt")["epoch"]
    assert finished >= 1
    assert train.main(["--out", str(out), *TINY, "--resume", "--epochs", str(finished + 1)]) == 0  # alone
    assert read_checkpoint(out / "checkpoints" / "last.pt")["epoch"] == finished + 1
    _, errors = (process := start_command(3, out, "--resume", "--epochs", str(finished + 2))).communicate(timeout=300)
    assert process.returncode == 0, errors
    state = read_checkpoint(out / "checkpoints" / "last.pt")
    assert state["epoch"] == finished + 2 and len(state["history"]) == finished * 14 + 28 + 10
