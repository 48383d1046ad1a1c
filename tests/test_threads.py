"""Threads that spin only while no other process needs the processor."""

import os
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest
import torch

from pix2pix_lib import threads
from pix2pix_lib.threads import Watcher

ROOT = Path(__file__).parent.parent
linux = pytest.mark.skipif(sys.platform != "linux", reason="only Linux has libgomp and /proc")


class Neighbours:
    """A fake clock and processor, on which each look comes half a second after the previous one."""

    def __init__(self, monkeypatch, cpus=2):
        self.now = [0.0, 0.0, 0.0]
        monkeypatch.setattr(threads, "times", lambda: tuple(self.now))
        monkeypatch.setattr(os, "sched_getaffinity", lambda pid: set(range(cpus)), raising=False)
        self.watcher = Watcher()
        self.events = []
        monkeypatch.setattr(self.watcher, "keep_team", self.keep)
        monkeypatch.setattr(self.watcher, "end_team", self.end)

    def keep(self):
        self.events.append("keep")
        self.watcher.team = threading.current_thread()

    def end(self):
        self.events.append("end")
        self.watcher.team = None

    def look(self, others, own=1.5, seconds=2.0):
        """Let time pass while others and we use so many processors; return what was done."""
        before = len(self.events)
        for _ in range(round(seconds / 0.5)):
            for index, rate in enumerate((1.0, others + own, own)):
                self.now[index] += 0.5 * rate
            self.watcher.look()
        return self.events[before:]


@pytest.fixture
def neighbours(monkeypatch):
    monkeypatch.setattr(torch, "get_num_threads", lambda: 2)
    return Neighbours(monkeypatch)


def test_second_team_is_kept_while_others_are_busy(neighbours):
    assert neighbours.look(others=0.05) == []
    assert neighbours.look(others=1.0) == ["keep"]
    assert neighbours.look(others=0.7, seconds=10) == []
    assert neighbours.look(others=0.0) == ["end"]


def test_neighbour_is_noticed_within_a_second_and_a_half(neighbours):
    assert neighbours.look(others=0.66, own=1.34, seconds=1.0) == ["keep"]
    assert neighbours.look(others=0.0, seconds=1.5) == ["end"]


def test_what_this_process_uses_itself_is_no_load_of_others(neighbours):
    assert neighbours.look(others=0.0, own=2.0, seconds=10) == []


def test_short_bursts_of_others_change_nothing(neighbours):
    for _ in range(5):
        assert neighbours.look(others=0.5, seconds=0.5) == []
        assert neighbours.look(others=0.0, seconds=1.5) == []


def test_load_that_fits_beside_our_threads_changes_nothing(monkeypatch):
    monkeypatch.setattr(torch, "get_num_threads", lambda: 2)
    assert Neighbours(monkeypatch, cpus=4).look(others=1.5, seconds=10) == []


@pytest.mark.parametrize("count", [0, 1])
def test_single_thread_has_nobody_to_wait_for(count, monkeypatch):
    if count == 0:
        monkeypatch.setitem(sys.modules, "torch", None)  # as if not imported yet
    else:
        monkeypatch.setattr(torch, "get_num_threads", lambda: 1)
    assert Neighbours(monkeypatch).look(others=2.0, seconds=5) == []


@pytest.mark.parametrize("name", ["OMP_NUM_THREADS", "OMP_WAIT_POLICY", "GOMP_SPINCOUNT"])
def test_settings_of_the_user_s_own_are_left_alone(name, monkeypatch):
    for each in threads.OWN_SETTINGS:
        monkeypatch.delenv(each, raising=False)
    monkeypatch.setenv(name, "2")
    started = []
    monkeypatch.setattr(threading.Thread, "start", lambda self: started.append(self.name))
    threads.share_processor()
    assert started == []


def run_fresh(program, **settings):
    """Run a program in a separate process, with only these settings of threads."""
    environment = {k: v for k, v in os.environ.items() if k not in threads.OWN_SETTINGS}
    environment |= settings
    command = [sys.executable, "-c", program]
    done = subprocess.run(command, cwd=ROOT, env=environment, text=True, capture_output=True,
                          timeout=120)  # fmt: skip
    assert done.returncode == 0, done.stderr
    return done.stdout.split()


@linux
@pytest.mark.parametrize(
    "way",
    [
        "import pix2pix_lib",
        "import torch; import pix2pix_lib",
        "from pix2pix_lib import unet, cli",
        "import runpy, sys; sys.argv = ['train', '--epochs', '0']\n"
        "try: runpy.run_module('pix2pix_lib.train', run_name='__main__')\nexcept SystemExit: pass",
    ],
)
def test_every_way_into_the_course_has_one_watcher(way):
    names = "import threading\nprint(*[t.name.split(':')[0] for t in threading.enumerate()])"
    assert run_fresh(f"{way}\n{names}").count("pix2pix_lib") == 1


@linux
@pytest.mark.skipif(os.cpu_count() < 2, reason="one processor has one thread")
def test_threads_spin_less_with_a_second_team_and_as_before_after_it():
    """Spinning is work, so it shows in the processor time of a process that mostly sleeps."""
    program = """if True:
        import os, time
        import torch
        from pix2pix_lib.threads import Watcher
        torch.set_num_threads(len(os.sched_getaffinity(0)))  # as many as could spin
        numbers, watcher = torch.ones(2**20), Watcher()
        def spent():
            start = time.process_time()
            for _ in range(60):
                numbers.add_(1)
                time.sleep(0.006)
            return time.process_time() - start
        spent()
        for change in (lambda: None, watcher.keep_team, watcher.end_team):
            change()
            time.sleep(0.1)
            print(spent())
    """
    # This is the default value, but as the user's own setting it keeps a watcher from starting.
    before, meanwhile, after = map(float, run_fresh(program, GOMP_SPINCOUNT="300000"))
    print(f"processor time: {before:.3f} s, a second team {meanwhile:.3f} s, then {after:.3f} s")
    assert meanwhile < 0.6 * before and meanwhile < 0.6 * after


@linux
@pytest.mark.parametrize("turn", range(3))
def test_process_may_end_while_a_second_team_is_being_made(turn):
    """Python would abort a process that exits while another thread is inside torch."""
    program = """if True:
        import torch
        from pix2pix_lib import threads
        threads.INTERVAL, threads.BUSY = 1e-4, -1.0  # as if somebody were always busy
        threads.IDLE = 9.0  # and then idle at once
        threads.Watcher().start()
        sum(range(10**6))
    """
    assert run_fresh(program) == []


@linux
def test_numbers_do_not_depend_on_the_second_team():
    program = """if True:
        import torch
        from pix2pix_lib.threads import Watcher
        watcher, x = Watcher(), torch.rand(1, 8, 64, 64)
        layer = torch.nn.Conv2d(8, 32, 4)
        def gradient():
            return torch.autograd.grad(layer(x).square().mean(), layer.weight)[0]
        before = gradient()
        watcher.keep_team()
        print(torch.equal(before, gradient()))
    """
    assert run_fresh(program) == ["True"]


@linux
def test_times_are_those_of_the_clock_and_of_this_process():
    watched = [(time.monotonic(), time.process_time())]
    first = threads.times()
    watched.append((time.monotonic(), time.process_time()))
    sum(range(10**7))
    watched.append((time.monotonic(), time.process_time()))
    second = threads.times()
    watched.append((time.monotonic(), time.process_time()))
    elapsed, busy, own = (b - a for a, b in zip(first, second, strict=True))
    (shortest, least), (longest, most) = (
        (b[0] - a[0], b[1] - a[1]) for a, b in (watched[1:3], watched[::3])
    )
    assert shortest <= elapsed <= longest
    assert max(0, least - 0.05) < own < most + 0.05  # counted in ticks of 0.01 s
    assert own <= busy + 0.05
