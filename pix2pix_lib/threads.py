"""Threads that wait without spinning while other programs need the processor.

The threads of one computation meet hundreds of times in a training step. In between torch's OpenMP
library (GNU libgomp) lets them spin for up to 3 ms, so that they go on at once. On an idle machine
that is fastest. Beside another program it is ruinous: a thread that spins takes the time that the
thread it waits for would need. Two trainings on two cores then make a tenth of their steps.

libgomp spins hardly at all while a process has more OpenMP threads than the machine has processors
(its manual, GOMP_SPINCOUNT). So a watcher looks every half second at what other processes use, and
while they are busy keeps a second team of threads that does nothing. How many threads a computation
has does not change, and so neither does any number that it computes.

Only Linux is covered: macOS and Windows have other OpenMP libraries.
"""

import atexit
import os
import sys
import threading
import time
from dataclasses import dataclass, field

# Settings of the user's own, with which nothing is done.
OWN_SETTINGS = ("OMP_NUM_THREADS", "OMP_WAIT_POLICY", "GOMP_SPINCOUNT")
INTERVAL = 0.5  # seconds between two looks
BUSY, IDLE = 0.35, 0.2  # processors that others use, from which and down to which it is busy


def share_processor() -> None:
    """Start the watcher of this process, unless it has one or the user has own settings."""
    if sys.platform != "linux" or any(name in os.environ for name in OWN_SETTINGS):
        return
    if not any(thread.name == Watcher.NAME for thread in threading.enumerate()):
        Watcher().start()


@dataclass
class Watcher:
    """Keeps a second team of threads while other processes are busy."""

    NAME = "pix2pix_lib: shares the processor"

    team: threading.Thread | None = None  # the one whose threads are the second team
    load: float = 0.0  # processors that others use, a mean that forgets
    seen: tuple[float, float, float] = field(default_factory=lambda: times())
    over: threading.Event = field(default_factory=threading.Event)  # the process ends
    dismissed: threading.Event = field(default_factory=threading.Event)  # the second team ends

    def start(self) -> None:
        """Look around for as long as the process lives, in a thread."""
        thread = threading.Thread(target=self.run, name=self.NAME, daemon=True)
        thread.start()

        def stop() -> None:
            """A thread that is inside of torch when Python ends would take the process with it."""
            self.over.set()
            thread.join()
            self.end_team()

        atexit.register(stop)

    def run(self) -> None:
        """Look every half second until the process ends."""
        while not self.over.wait(INTERVAL):
            self.look()

    def look(self) -> None:
        """Measure the load of others since the last look, and keep a second team or not."""
        now = times()
        elapsed, busy, own = (new - old for new, old in zip(now, self.seen))
        self.seen = now
        self.load += 0.6 * (max(0.0, busy - own) / max(elapsed, 1e-3) - self.load)
        if self.team is None and self.load > BUSY and self._is_crowded():
            self.keep_team()
        elif self.team is not None and self.load < IDLE:
            self.end_team()

    def _is_crowded(self) -> bool:
        """Return whether a computation's threads and the others need more than all processors."""
        torch = sys.modules.get("torch")
        if not hasattr(torch, "get_num_threads"):  # not imported yet, or not to the end
            return False
        threads = torch.get_num_threads()
        return threads > 1 and threads + self.load > len(os.sched_getaffinity(0))

    def keep_team(self) -> None:
        """Start a thread with a team of its own, which waits to be dismissed."""
        self.dismissed.clear()
        ready = threading.Event()

        def hold() -> None:
            import torch

            torch.ones(2**18).add_(1)  # large enough to be shared by several threads
            ready.set()
            self.dismissed.wait()

        self.team = threading.Thread(target=hold, daemon=True)
        self.team.start()
        ready.wait()

    def end_team(self) -> None:
        """Let the second team end, with the thread that started it."""
        if self.team is not None:
            self.dismissed.set()
            self.team.join()
            self.team = None


def times() -> tuple[float, float, float]:
    """Return seconds of the clock, of our processors' work, and of this process's own."""
    import psutil  # in the watcher's thread: nobody waits for it

    usable = os.sched_getaffinity(0)
    each = psutil.cpu_times(percpu=True)
    busy = sum(
        cpu.user + cpu.nice + cpu.system + cpu.irq + cpu.softirq
        for number, cpu in enumerate(each)
        if number in usable
    )
    own = psutil.Process().cpu_times()
    return time.monotonic(), busy, own.user + own.system
