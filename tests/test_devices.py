"""Choosing where to compute."""

import pytest
import torch

from pix2pix_lib.devices import describe_device, is_out_of_memory, pick_device


def test_auto_is_the_gpu_where_there_is_one():
    assert pick_device().type == ("cuda" if torch.cuda.is_available() else "cpu")
    assert pick_device("cpu") == torch.device("cpu")


@pytest.mark.parametrize("name", ["warp", "cuda:99", ""])
def test_device_that_is_not_there_is_refused_in_one_line(name):
    with pytest.raises(
        ValueError, match=r"cannot be used on this machine .*; use auto or cpu"
    ) as caught:
        pick_device(name)
    assert "\n" not in str(caught.value)


def test_description_can_stand_beside_a_timing():
    assert describe_device(torch.device("cpu")) == f"cpu, {torch.get_num_threads()} threads"


def test_memory_that_ran_out_is_told_from_other_errors():
    with pytest.raises(RuntimeError) as caught:
        torch.empty(2**60, dtype=torch.uint8)
    assert is_out_of_memory(caught.value)
    assert is_out_of_memory(torch.OutOfMemoryError("CUDA out of memory")) and is_out_of_memory(
        MemoryError()
    )
    assert not is_out_of_memory(RuntimeError("size mismatch"))
