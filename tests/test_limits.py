"""A learner's function ends in time, whatever it does, and its errors arrive."""

import sys
import threading
import time

import pytest
import torch

from pix2pix_lib.limits import OutOfTimeError, run_limited


def test_value_and_exceptions_come_back():
    assert run_limited(lambda: 5, 1.0) == 5
    with pytest.raises(ZeroDivisionError):
        run_limited(lambda: 1 / 0, 1.0)
    with pytest.raises(SystemExit):
        run_limited(lambda: sys.exit(3), 1.0)


def plain_loop():
    while True:
        pass


def stubborn_loop():
    while True:
        try:
            while True:
                sum(range(10))
        except BaseException:
            time.sleep(0.001)
            if time.monotonic() > stubborn_loop.until:
                raise


def growing_loop():
    numbers = [0]
    while numbers:
        numbers[0] += 1


class Dropping:
    """Its destructor takes most of the time of a loop, and Python drops what is raised there."""

    def __del__(self):
        for _ in range(2000):
            pass


def loop_of_destructors():
    while True:
        Dropping()
        for _ in range(1000):
            pass


@pytest.mark.parametrize("loop", [plain_loop, growing_loop, loop_of_destructors])
def test_endless_loop_ends(loop):
    before, start = threading.active_count(), time.monotonic()
    with pytest.raises(OutOfTimeError, match=r"within 0\.3 seconds; is there a loop"):
        run_limited(loop, 0.3)
    assert 0.3 <= time.monotonic() - start < 2.5
    assert threading.active_count() == before


def test_loop_that_catches_everything_is_left_behind():
    stubborn_loop.until = time.monotonic() + 4
    start = time.monotonic()
    with pytest.raises(OutOfTimeError):
        run_limited(stubborn_loop, 0.2)
    assert time.monotonic() - start < 3.9


def test_function_may_use_gradients_and_torch_s_random_numbers():
    torch.manual_seed(3)
    wanted = torch.rand(2)
    torch.manual_seed(3)
    assert torch.equal(run_limited(lambda: torch.rand(2), 5.0), wanted)
    x = torch.ones(2, requires_grad=True)
    run_limited(lambda: x.sum().backward(), 5.0)
    assert torch.equal(x.grad, torch.ones(2))


def test_interrupted_wait_leaves_no_loop_behind(monkeypatch):
    before = threading.active_count()
    join = threading.Thread.join

    def interrupted(thread, timeout=None):
        if timeout == 77.0:
            raise KeyboardInterrupt
        join(thread, timeout)

    monkeypatch.setattr(threading.Thread, "join", interrupted)
    with pytest.raises(KeyboardInterrupt):
        run_limited(plain_loop, 77.0)
    assert threading.active_count() == before
