"""Several processes, started by torchrun on one machine, that share one model and one writer."""

import os
import re
import signal
import socket
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path

import pytest
import torch
from shared_run import train_tiny
from torch.utils.data import TensorDataset

from pix2pix_lib import processes, train
from pix2pix_lib.checkpoints import read_checkpoint
from pix2pix_lib.trainer import SeededSampler

ROOT = Path(__file__).parent.parent
README = (ROOT / "README.md").read_text(encoding="utf-8")
TORCHRUN = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--max-restarts", "0"]


@pytest.fixture(scope="module")
def together(tmp_path_factory) -> list[dict]:
    """What shared_run.py saved in each of two processes."""
    folder = tmp_path_factory.mktemp("shared")
    command = [*TORCHRUN, "--nproc-per-node=2", "-m", "tests.shared_run", str(folder)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    return [torch.load(folder / f"rank{rank}.pt", weights_only=True) for rank in (0, 1)]


def parameters(state: dict) -> dict[str, torch.Tensor]:
    """Return what all networks learn, without the running averages of each process."""
    networks = [name for name in state if name.startswith(("generator", "discriminator"))]
    return {
        f"{name}.{key}": value
        for name in networks
        for key, value in state[name].items()
        if "running" not in key and "num_batches" not in key
    }


def test_parameters_and_history_stay_equal_across_ranks(together):
    first, second = (state["batch"] for state in together)
    ours, theirs = parameters(first), parameters(second)
    assert all(torch.equal(ours[name], theirs[name]) for name in ours)
    assert first["history"] == second["history"]
    assert len(first["history"]) == 12  # 12 pairs take 6 steps per epoch
    averages = [name for name in first["generator"] if "running_mean" in name]
    pairs = [(first["generator"][name], second["generator"][name]) for name in averages]
    assert not any(torch.equal(*pair) for pair in pairs)  # each has seen different pairs
    assert first["seed"] != second["seed"]  # and draws its own dropout


def test_two_processes_end_where_one_with_twice_the_batch_ends(together):
    shared, alone = together[0]["instance"], train_tiny("instance", 4)
    ours, expected = parameters(shared), parameters(alone)
    for name in (name for name in expected if name.endswith("weight")):
        # Six updates move a weight by up to 0.0024. Biases are not compared: instance norm removes
        # what most of them add, so their gradients are rounding errors, which Adam makes as large
        # as any others.
        torch.testing.assert_close(ours[name], expected[name], rtol=0, atol=2e-4)
        assert (ours[name] - expected[name]).abs().mean() < 1e-5
    for record, other in zip(shared["history"], alone["history"], strict=True):
        assert record == pytest.approx(other, abs=1e-3)


def test_gradients_of_cyclegan_are_averaged_over_all_passes_of_its_generators(together):
    """Compare Adam's means of the gradients, because the weights hardly move.

    A rounding error that flips the sign of one pixel's L1 changes a gradient by a thousandth.
    """
    shared, alone = together[0]["cyclegan"], train_tiny("cyclegan", 4)
    for optimizer in ("optimizer_g", "optimizer_d"):
        ours, expected = shared[optimizer]["state"], alone[optimizer]["state"]
        largest = max(state["exp_avg"].abs().max().item() for state in expected.values())
        assert ours.keys() == expected.keys() and largest > 1e-3
        for key, state in expected.items():
            mean, tolerance = ours[key]["exp_avg"], 1e-2 * largest
            torch.testing.assert_close(mean, state["exp_avg"], rtol=0, atol=tolerance)


def test_what_the_first_process_does_alone_waits_for_nobody(together):
    for state in together:
        assert state["alone"] == {
            "made a step": True,
            "mean": [3.0],
            "nested": 7,
            "refusal": "this network learns with other processes, which do not run it now",
            "error": "only the first knows this",
            "mean of ranks": 0.5,
        }


def test_each_epoch_takes_every_pair_in_a_new_order_and_shares_it(monkeypatch):
    dataset = TensorDataset(torch.arange(12))

    def order(epoch, rank=0, size=1, seed=0):
        monkeypatch.setattr(processes, "rank", lambda: rank)
        monkeypatch.setattr(processes, "world_size", lambda: size)
        sampler = SeededSampler(dataset, seed)
        sampler.set_epoch(epoch)
        return list(sampler)

    orders = [order(0), order(1), order(0), order(0, seed=1)]
    assert all(sorted(index for index, _ in each) == list(range(12)) for each in orders)
    assert orders[0] == orders[2] != orders[1]
    # Neighbouring seeds and epochs have nothing in common: seed 1, epoch 0 is not seed 0, epoch 1.
    assert orders[1] != orders[3] and len({seed for each in orders for _, seed in each}) == 36
    # Each of two processes takes every second pair in that order, with its own jitter.
    assert order(0, 0, 2) == orders[0][::2] and order(0, 1, 2) == orders[0][1::2]


def test_without_torchrun_a_process_is_alone():
    assert not processes.is_distributed()
    assert (processes.rank(), processes.world_size()) == (0, 1)
    with processes.process_group(torch.device("cpu")):
        assert not processes.is_distributed()
    network = torch.nn.Linear(1, 1)
    assert processes.wrap_ddp(network) is network
    assert processes.broadcast_from_rank0(lambda: 5) == 5
    values = torch.arange(3.0)
    assert torch.equal(processes.all_reduce_mean(values), values)


TINY = [
    "--image-size", "32", "--depth", "4", "--base-channels", "4", "--disc-channels", "4",
    "--disc-layers", "1", "--epochs", "1",
]  # fmt: skip
TINY_CYCLEGAN = [
    "--system", "cyclegan", "--image-size", "32", "--base-channels", "2", "--blocks", "1",
    "--disc-channels", "2", "--disc-layers", "1", "--epochs", "1",
]  # fmt: skip


def readme_command(out: Path, line: int = 0) -> list[str]:
    """Return one of the README's torchrun commands, with a folder of pairs and this --out."""
    lines = re.findall(r"^\.venv/bin/torchrun .*$", README, re.MULTILINE)
    assert len(lines) == 2
    words = lines[line].replace("FOLDER", "data/sample").replace("runs/mine", str(out)).split()
    return [str(Path(sys.executable).parent / "torchrun"), *words[1:]]


def start(command: list[str]) -> subprocess.Popen:
    """Start a command as a shell would: in its own process group, without the tests' settings."""
    environment = {name: v for name, v in os.environ.items() if name != "OMP_NUM_THREADS"}
    return subprocess.Popen(command, cwd=ROOT, env=environment, text=True, start_new_session=True,
                            stdout=subprocess.PIPE, stderr=subprocess.PIPE)  # fmt: skip


def finish(process: subprocess.Popen, seconds: float = 120) -> tuple[str, str]:
    """Wait for a command, then kill whatever is left of it."""
    try:
        return process.communicate(timeout=seconds)
    finally:
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)


def wait_until(there: Path, process: subprocess.Popen, seconds: float = 120) -> None:
    deadline = time.monotonic() + seconds
    while not there.exists():
        assert process.poll() is None and time.monotonic() < deadline, finish(process)
        time.sleep(0.05)


def test_torchrun_line_of_the_readme_trains_and_goes_on(tmp_path):
    """The line is run as printed, except that flags for a small size are added."""
    out = tmp_path / "run"
    output, errors = finish(process := start([*readme_command(out), *TINY]))
    assert process.returncode == 0, errors
    # Only the first process prints. Two processes once hung in this probe of the precision.
    assert re.fullmatch(
        r"layout pairs: .*\nA .*\nB .*\nimages of .*\n"
        r"precision (float32|bf16): a step .* as fast.* here\n"
        r"28 pairs to train on, 6 to validate on; cpu, 1 thread in each of 2 processes; "
        r"epochs done: 0 of 1\n.*/pairs.png shows the first pairs\n"
        r"before training: .*\nepoch 1 of 1: .*\n",
        output,
    )
    assert errors.count("epoch 1 of 1: 100%") == 1 and "Warning" not in errors
    names = "checkpoints config.json generator.json generator.safetensors history.csv losses.png"
    names += " pairs.png samples"
    assert sorted(file.name for file in out.iterdir()) == names.split()

    again = [*readme_command(out), "--resume", "--epochs", "2"]
    output, errors = finish(process := start(again))
    assert process.returncode == 0, errors
    assert "as the run began" in output and "epochs done: 1 of 2" in output
    state = read_checkpoint(out / "checkpoints" / "last.pt")
    assert (state["epoch"], state["steps"]) == (2, 2 * 14)
    assert len((out / "history.csv").read_text().splitlines()) == 1 + 2 * 14


def test_torchrun_line_of_the_readme_trains_cyclegan(tmp_path):
    output, errors = finish(process := start([*readme_command(tmp_path), *TINY_CYCLEGAN]))
    assert process.returncode == 0, errors
    assert "28 and 28 unpaired images" in output and (tmp_path / "generator_ba.json").exists()


def test_torchrun_line_for_two_machines_meets_on_one(tmp_path):
    """This machine plays both, with one process each."""
    with socket.socket() as free:
        free.bind(("localhost", 0))
        port = free.getsockname()[1]
    command = [*readme_command(tmp_path / "run", line=1), *TINY]
    command = [word.replace("HOST:29400", f"localhost:{port}") for word in command]
    command[command.index("--nproc-per-node=8")] = "--nproc-per-node=1"
    machines = [start(command) for _ in range(2)]
    said = [finish(machine) for machine in machines]
    assert [machine.returncode for machine in machines] == [0, 0], said
    assert read_checkpoint(tmp_path / "run" / "checkpoints" / "last.pt")["steps"] == 14


def test_mistake_is_said_once(tmp_path):
    """The first process reports it, and the others end quietly."""
    _, errors = finish(process := start([*readme_command(tmp_path), *TINY, "--data", "nowhere"]))
    assert process.returncode != 0
    assert errors.count("error: ") == 1 and "nowhere: no such folder" in errors
    ours = errors.split("torch/distributed/elastic")[0]  # then torchrun reports that they ended
    assert "error: " in ours and "Traceback" not in ours


needs_proc = pytest.mark.skipif(
    not Path("/proc/self/task").exists(), reason="finding torchrun's workers needs Linux's /proc"
)


def workers_of(torchrun: subprocess.Popen) -> list[int]:
    """Return the process ids of torchrun's workers, in the order in which they started."""
    children = Path(f"/proc/{torchrun.pid}/task/{torchrun.pid}/children").read_text().split()
    return sorted(int(child) for child in children)


@needs_proc
def test_interruption_is_said_once(tmp_path):
    """Ctrl-C goes to every process of the terminal's group."""
    process = start([*readme_command(tmp_path / "run"), *TINY, "--epochs", "400"])
    wait_until(tmp_path / "run" / "samples" / "epoch_001.png", process)
    os.killpg(process.pid, signal.SIGINT)
    _, errors = finish(process)
    assert process.returncode != 0
    assert errors.count("interrupted; ") == 1 and "--resume goes on from there" in errors
    assert read_checkpoint(tmp_path / "run" / "checkpoints" / "last.pt")["epoch"] >= 1


@needs_proc
@pytest.mark.parametrize("killed", [0, 1])
def test_worker_that_dies_during_the_probe_ends_the_run(killed, tmp_path):
    """With the paper's networks, the first of two processes probes for many seconds."""
    process = start([*readme_command(tmp_path / "run"), "--system", "paper", "--epochs", "1"])
    wait_until(tmp_path / "run" / ".lock", process)
    time.sleep(4)
    assert process.poll() is None
    os.kill(workers_of(process)[killed], signal.SIGKILL)
    output, errors = finish(process, 60)
    assert process.returncode != 0 and "precision" not in output
    assert "error: another process of this run has ended" in errors


@needs_proc
def test_killed_worker_ends_the_run_which_goes_on_with_another_number(tmp_path):
    out = tmp_path / "run"
    process = start([*readme_command(out), *TINY, "--precision", "float32", "--epochs", "400"])
    wait_until(out / "samples" / "epoch_001.png", process)
    os.kill(workers_of(process)[1], signal.SIGKILL)
    _, errors = finish(process)
    assert process.returncode != 0
    assert "error: another process of this run has ended" in errors
    finished = read_checkpoint(out / "checkpoints" / "last.pt")["epoch"]
    assert finished >= 1
    alone = ["--out", str(out), "--resume", "--epochs", str(finished + 1)]
    assert train.main(alone) == 0
    assert read_checkpoint(out / "checkpoints" / "last.pt")["epoch"] == finished + 1
    three = [*readme_command(out), "--resume", "--epochs", str(finished + 2)]
    three[three.index("--nproc-per-node=2")] = "--nproc-per-node=3"
    _, errors = finish(process := start(three))
    assert process.returncode == 0, errors
    state = read_checkpoint(out / "checkpoints" / "last.pt")
    assert (state["epoch"], state["steps"]) == (finished + 2, finished * 14 + 28 + 10)
