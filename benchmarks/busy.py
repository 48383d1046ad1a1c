"""Measure how fast the lessons train on a machine that has other work to do.

    python -m benchmarks.busy                 print the table for this machine, in two minutes
    python -m benchmarks.busy --rounds 10     measure each case more often

The lessons' networks make steps at 128x128: on an idle machine, next to a process in an empty loop,
as a browser may be, and next to a second training of the same kind. Each case is measured with what
`pix2pix_lib.threads` does when the package is imported, with torch's defaults, and with one thread.
They take turns, so that the ratios do not depend on the time of day. Each measurement starts with
two seconds in which the watcher notices its neighbours.
"""

import argparse
import os
import statistics
import subprocess
import sys
import time
from contextlib import ExitStack, closing
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parent.parent
OWN_SETTINGS = ("OMP_NUM_THREADS", "OMP_WAIT_POLICY", "GOMP_SPINCOUNT")
WAYS = {
    "pix2pix_lib": {},
    "torch's defaults": {"GOMP_SPINCOUNT": "300000"},  # the default, given as a user's setting
    "one thread": {"OMP_NUM_THREADS": "1"},
}
CASES = ("idle", "beside a loop", "beside a training")


def main(argv: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--rounds", type=int, default=4, help="how often each case is measured")
    parser.add_argument("--seconds", type=float, default=3.0, help="of each measurement")
    parser.add_argument("--serve", action="store_true", help=argparse.SUPPRESS)
    arguments = parser.parse_args(argv)
    if arguments.serve:
        serve()
        return 0
    rates = measure(arguments.rounds, arguments.seconds)
    print_table({key: statistics.median(values) for key, values in rates.items()})
    return 0


def measure(rounds: int, seconds: float) -> dict[tuple[str, str], list[float]]:
    """Return the steps per second of each round, for each way and case."""
    rates: dict[tuple[str, str], list[float]] = {}
    with ExitStack() as stack:
        trainings = {way: stack.enter_context(closing(Training(way))) for way in WAYS}
        others = {way: stack.enter_context(closing(Training(way))) for way in WAYS}
        for _ in range(rounds):
            for case in CASES:
                for way, training in trainings.items():
                    loop = start_loop() if case == "beside a loop" else None
                    running = [training, others[way]] if case == "beside a training" else [training]
                    for each in running:
                        each.start(seconds)
                    mean = statistics.mean(each.rate() for each in running)
                    rates.setdefault((way, case), []).append(mean)
                    if loop:
                        loop.kill()
                        loop.wait()
    return rates


def start_loop() -> subprocess.Popen:
    return subprocess.Popen([sys.executable, "-c", "while True: pass"])


@dataclass
class Training:
    """A process that makes training steps on demand."""

    way: str

    def __post_init__(self):
        environment = {k: v for k, v in os.environ.items() if k not in OWN_SETTINGS}
        command = [sys.executable, "-m", "benchmarks.busy", "--serve"]
        self.process = subprocess.Popen(command, cwd=ROOT, env=environment | WAYS[self.way],
                                        stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                                        text=True)  # fmt: skip
        self.rate()  # answered when the process is ready

    def start(self, seconds: float) -> None:
        self.process.stdin.write(f"{seconds}\n")
        self.process.stdin.flush()

    def rate(self) -> float:
        return float(self.process.stdout.readline())

    def close(self) -> None:
        self.process.kill()
        self.process.wait()


def serve() -> None:
    """Read numbers of seconds from stdin, and answer each with the steps per second made."""
    import torch

    from pix2pix_lib.config import TrainConfig
    from pix2pix_lib.training import make_trainer

    trainer = make_trainer(TrainConfig())
    batch = torch.rand(2, 1, 3, 128, 128) * 2 - 1

    def steps_in(seconds: float) -> float:
        start, steps = time.perf_counter(), 0
        while time.perf_counter() - start < seconds:
            trainer.step(*batch)
            steps += 1
        return steps / (time.perf_counter() - start)

    print(steps_in(1.0), flush=True)
    for line in sys.stdin:
        steps_in(2.0)
        print(steps_in(float(line)), flush=True)


def print_table(rates: dict[tuple[str, str], float]) -> None:
    import torch

    print(f"{os.cpu_count()} processors, torch {torch.__version__}; steps per second")
    print(f"| {'':<16} | {' | '.join(CASES)} |")
    print(f"|{'---|' * (len(CASES) + 1)}")
    for way in WAYS:
        print(f"| {way:<16} | {' | '.join(f'{rates[way, case]:.1f}' for case in CASES)} |")
    idle = rates["pix2pix_lib", "idle"] / rates["torch's defaults", "idle"]
    print(f"idle: {idle:.0%} of torch's defaults (wanted: 90%)")
    for case in CASES[1:]:
        share = rates["pix2pix_lib", case] / rates["one thread", case]
        print(f"{case}: {share:.0%} of one thread (wanted: 80%)")


if __name__ == "__main__":
    sys.exit(main())
