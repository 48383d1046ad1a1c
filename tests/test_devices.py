"""Choosing a device, and asking how much memory there is."""

import os

import psutil
import pytest
import torch
from torch import nn

from pix2pix_lib import devices
from pix2pix_lib.devices import available_memory, describe_device, is_out_of_memory, pick_device
from pix2pix_lib.validation import InputError


@pytest.fixture
def gpus(monkeypatch):
    """Pretend to have GPUs; the fixture lists the calls that choose and use one, in order."""
    calls = []
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "set_device", lambda device: calls.append(f"set {device}"))
    monkeypatch.setattr(torch, "empty", lambda *_, device: calls.append(f"use {device}"))
    return calls


@pytest.fixture
def torchrun(monkeypatch):
    """The environment of the third of four processes on one machine."""
    monkeypatch.setenv("TORCHELASTIC_RUN_ID", "x")
    monkeypatch.setenv("LOCAL_RANK", "2")
    monkeypatch.setenv("RANK", "6")
    monkeypatch.setenv("LOCAL_WORLD_SIZE", "4")


@pytest.mark.parametrize(
    ("name", "device"), [("auto", "cuda:0"), ("cuda", "cuda:0"), ("cuda:1", "cuda:1")]
)
def test_gpu_becomes_the_current_one_before_it_is_used(name, device, gpus):
    """Otherwise streams and graphs would belong to the first GPU."""
    assert pick_device(name) == torch.device(device)
    assert gpus == [f"set {device}", f"use {device}"]


@pytest.mark.parametrize("name", ["auto", "cuda"])
def test_each_process_of_torchrun_takes_its_own_gpu_and_touches_no_other(name, gpus, torchrun):
    assert pick_device(name) == torch.device("cuda:2")
    assert gpus == ["set cuda:2", "use cuda:2"]


def test_one_gpu_for_all_processes_of_torchrun_is_refused(gpus, torchrun):
    with pytest.raises(InputError, match="each process takes a GPU of its own: use cuda in place"):
        pick_device("cuda:1")
    assert gpus == []


def test_processor_stays_the_processor(gpus, torchrun):
    assert pick_device("cpu") == torch.device("cpu")
    assert gpus == ["use cpu"]


def test_auto_without_a_gpu_is_the_processor(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    assert pick_device() == torch.device("cpu")


@pytest.mark.parametrize("name", ["warp", "cuda:99", ""])
def test_device_that_is_not_there_is_refused_in_one_line(name):
    message = r"cannot be used on this machine .*; use auto or cpu"
    with pytest.raises(ValueError, match=message) as caught:
        pick_device(name)
    assert "\n" not in str(caught.value)


def test_device_of_a_network_is_that_of_its_weights():
    assert devices.device_of(nn.Linear(1, 1)).type == "cpu"
    assert devices.device_of(nn.Linear(1, 1, device="meta")).type == "meta"


def test_description_can_stand_beside_a_timing(monkeypatch):
    monkeypatch.setattr(torch, "get_num_threads", lambda: 3)
    monkeypatch.setattr(torch.cuda, "get_device_name", lambda device: f"the name of {device}")
    assert describe_device(torch.device("cpu")) == "cpu, 3 threads"
    assert describe_device(torch.device("cuda:1")) == "the name of cuda:1"
    assert describe_device(torch.device("mps")) == "mps"


def test_memory_that_ran_out_is_told_from_other_errors():
    with pytest.raises(RuntimeError) as caught:
        torch.empty(2**60, dtype=torch.uint8)
    assert is_out_of_memory(caught.value)
    assert is_out_of_memory(torch.OutOfMemoryError("CUDA out of memory"))
    assert is_out_of_memory(MemoryError())
    assert not is_out_of_memory(RuntimeError("size mismatch"))


GIB = 2**30


@pytest.mark.parametrize(
    ("limit", "usage", "expected"),
    [
        (None, None, 10),
        ("max", "3", 10),
        (4 * GIB, 1 * GIB, 3),
        (99 * GIB, 1 * GIB, 10),
        (4 * GIB, 5 * GIB, 0),
    ],
)
def test_memory_is_what_is_available_here_and_in_the_container(
    limit, usage, expected, tmp_path, monkeypatch
):
    files = tmp_path / "memory.max", tmp_path / "memory.current"
    if limit is not None:
        files[0].write_text(str(limit))
        files[1].write_text(str(usage))
    monkeypatch.setattr(devices, "CGROUP_FILES", [files])
    memory = psutil.virtual_memory()._replace(available=10 * GIB, total=64 * GIB)
    monkeypatch.setattr(psutil, "virtual_memory", lambda: memory)
    assert available_memory(torch.device("cpu")) == expected * GIB


def test_processes_of_one_machine_share_its_memory(torchrun, monkeypatch):
    monkeypatch.setattr(devices, "CGROUP_FILES", [])
    memory = psutil.virtual_memory()._replace(available=8 * GIB)
    monkeypatch.setattr(psutil, "virtual_memory", lambda: memory)
    assert available_memory(torch.device("cpu")) == 2 * GIB


@pytest.mark.skipif(not hasattr(os, "sysconf"), reason="sysconf does not exist on this system")
def test_available_memory_is_some_of_what_there_is():
    total = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    assert 0 < available_memory(torch.device("cpu")) < total
