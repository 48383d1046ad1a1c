"""Compare time and memory of a training step: the paper's, in plain float32, and this library's.

    python -m benchmarks.step [--batches 1 4 16] [--compile]
    python -m benchmarks.step --layouts    what channels-last memory gains with each kind of norm

This prints one table for the processor and, if there is a GPU, another one for it. The networks are
the paper's at 256x256. All variants are interleaved in one run, with the reference first in each
round. The share is that of the machine's best matrix product in the same precision. Peak memory is
measured in a separate process. The last lines say how long a step of the lessons waits for its
data.
"""

import argparse
import json
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

import torch
import torch.nn.functional as F

from pix2pix_lib.config import TrainConfig, system_config
from pix2pix_lib.costs import matmul_rate, step_flops, synchronize
from pix2pix_lib.cyclegan import trainer_factory
from pix2pix_lib.data import PairedDataset
from pix2pix_lib.devices import describe_device
from pix2pix_lib.engine import DTYPES, Engine, fast_engine
from pix2pix_lib.facades import write_dataset
from pix2pix_lib.layouts import find_pairs
from pix2pix_lib.patchgan import PatchDiscriminator
from pix2pix_lib.training import make_trainer
from pix2pix_lib.unet import UNet

PAPER = TrainConfig(
    image_size=256, base_channels=64, disc_channels=64, depth=8, upsampling="transposed", lr=2e-4
)


def reference_step(generator, discriminator, optimizer_g, optimizer_d, real_a, real_b) -> None:
    """Make one step as in the paper, with nothing but eager float32 torch."""
    fake_b = generator(real_a)
    real_logits = discriminator(real_a, real_b)
    fake_logits = discriminator(real_a, fake_b.detach())
    loss_d = 0.5 * (F.softplus(-real_logits).mean() + F.softplus(fake_logits).mean())
    optimizer_d.zero_grad()
    loss_d.backward()
    optimizer_d.step()

    discriminator.requires_grad_(False)
    loss_g = F.softplus(-discriminator(real_a, fake_b)).mean() + 100 * F.l1_loss(fake_b, real_b)
    optimizer_g.zero_grad()
    loss_g.backward()
    optimizer_g.step()
    discriminator.requires_grad_(True)


@dataclass
class Variant:
    """One way to make a step: `run()` makes one with the variant's own networks."""

    name: str
    dtype: torch.dtype
    run: Callable[[], object]


def make_variant(name: str, batch: int, device: torch.device) -> Variant:
    """Return the variant of this name: "reference", or an engine.

    An engine's name is its precision, followed by "compiled" or "eager" if it is one of these.
    """
    torch.manual_seed(0)
    real_a, real_b = (torch.rand(2, batch, 3, 256, 256) * 2 - 1).to(device)
    if name == "reference":
        networks = UNet().to(device), PatchDiscriminator().to(device)
        options = {"lr": 2e-4, "betas": (0.5, 0.999)}
        adams = [torch.optim.Adam(network.parameters(), **options) for network in networks]
        step = partial(reference_step, *networks, *adams, real_a, real_b)
        return Variant(name, torch.float32, step)
    precision, _, extra = name.partition(" ")
    engine = replace(fast_engine(precision, device, batch), compiled=extra == "compiled")
    if extra == "eager":
        engine = replace(engine, graph=False)
    trainer = make_trainer(replace(PAPER, batch_size=batch), device, engine)
    inputs = engine.to_memory_format(real_a), engine.to_memory_format(real_b)
    return Variant(name, DTYPES[precision], lambda: trainer.step(*inputs))


def names_for(device: torch.device, compiled: bool) -> list[str]:
    """Return the variants to compare on a device."""
    names = ["reference", "float32", "bf16"]
    if device.type == "cuda":
        names += ["bf16 eager", "fp16"]
    return names + (["bf16 compiled"] if compiled else [])


def time_step(step: Callable[[], object], device: torch.device) -> float:
    """Return the seconds of one step."""
    synchronize(device)
    start = time.perf_counter()
    step()
    synchronize(device)
    return time.perf_counter() - start


def peak_memory(name: str, batch: int, device: torch.device) -> float:
    """Return the peak GiB of a separate process that makes five steps with this variant."""
    program = [sys.executable, "-m", "benchmarks.step"]
    command = [*program, "--alone", name, "--batches", str(batch), "--on", str(device)]
    done = subprocess.run(command, check=True, capture_output=True, text=True)
    return json.loads(done.stdout.splitlines()[-1])


def run_alone(name: str, batch: int, device: torch.device) -> float:
    """Make five steps and return the peak GiB: the GPU's, or the whole process's on a CPU."""
    variant = make_variant(name, batch, device)
    for _ in range(5):
        variant.run()
    if device.type == "cuda":
        return torch.cuda.max_memory_allocated(device) / 2**30
    return process_peak() / 2**30


def process_peak() -> int:
    """Return the most bytes that this process has held.

    On Linux this is read from /proc, because getrusage would count what the parent process held
    before this one replaced it; elsewhere getrusage gives it.
    """
    status = Path("/proc/self/status")
    if status.exists():
        line = next(line for line in status.read_text().splitlines() if line.startswith("VmHWM"))
        return int(line.split()[1]) * 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss


def compare(
    batch: int, device: torch.device, names: list[str], rounds: int, rates_of: dict
) -> None:
    """Print one row per variant: the medians over the rounds, after some that only warm up."""
    variants = [make_variant(name, batch, device) for name in names]
    seconds = {variant.name: [] for variant in variants}
    warm_up = 1 if device.type == "cpu" else 10
    for turn in range(warm_up + rounds):
        for variant in variants:
            took = time_step(variant.run, device)
            if turn >= warm_up:
                seconds[variant.name].append(took)
    flops = step_flops(replace(PAPER, batch_size=batch), make_trainer)
    reference = statistics.median(seconds["reference"])
    for variant in variants:
        median = statistics.median(seconds[variant.name])
        share = flops / median / rates_of[variant.dtype]
        memory = peak_memory(variant.name, batch, device)
        print(
            f"| {batch} | {variant.name} | {1000 * median:.0f} | {reference / median:.2f} | "
            f"{flops / median / 1e9:.0f} | {share:.0%} | {memory:.2f} |",
            flush=True,
        )


def compare_all(batches: list[int], device: torch.device, compiled: bool) -> None:
    """Print the table of one device."""
    names = names_for(device, compiled)
    dtypes = {DTYPES[name.split()[0]] for name in names[1:]}
    rates_of = {dtype: matmul_rate(device, dtype) for dtype in dtypes}
    rates = [f"{str(dtype)[6:]} {rate / 1e9:.0f} GFLOP/s" for dtype, rate in rates_of.items()]
    print(
        f"\n{describe_device(device)}, torch {torch.__version__}; "
        f"best matrix product: {', '.join(rates)}"
    )
    print(
        "| batch | step | ms | times the reference "
        "| GFLOP/s | share of the product | peak memory, GiB |"
    )
    print("|---|---|---|---|---|---|---|")
    for batch in batches:
        compare(batch, device, names, {1: 9, 4: 7}.get(batch, 4), rates_of)


def print_data_wait(device: torch.device, steps: int = 20) -> None:
    """Print the share of a step that is spent waiting for pairs, from memory and from files.

    The step has batch 4 and images of 128x128.
    """
    config = TrainConfig(batch_size=4)
    with tempfile.TemporaryDirectory() as folder:
        write_dataset(Path(folder) / "facades", {"train": 4 * steps, "val": 1}, config.image_size)
        pairs = find_pairs(Path(folder) / "facades", "train")
        for in_memory, workers in ((True, 0), (False, 0), (False, 1)):
            dataset = PairedDataset(pairs, size=config.image_size, in_memory=in_memory)
            trainer = make_trainer(config, device, fast_engine("float32", device, 4), workers)
            waits, steps_taken = [], []
            loader = trainer.batches(dataset)
            start = time.perf_counter()
            for real_a, real_b in loader:
                arrived = time.perf_counter()
                trainer.step(real_a, real_b)
                synchronize(device)
                waits.append(arrived - start)
                start = time.perf_counter()
                steps_taken.append(start - arrived)
            # The first wait, which starts the reading process, occurs once per epoch; the first
            # step sets up torch.
            share = sum(waits[1:]) / (sum(waits[1:]) + sum(steps_taken[1:]))
            source = "memory" if in_memory else f"files, {workers} reading processes"
            print(f"waiting for data at batch 4, 128x128, from {source}: {share:.2%} of the time")


def print_layouts(device: torch.device, rounds: int = 5) -> None:
    """Print how channels-last memory compares with torch's default, with each kind of norm.

    The networks are half as wide as the paper's; a number above 1 speaks for channels-last.
    """
    narrow = {"base_channels": 32, "disc_channels": 32, "batch_size": 1}
    small = {"image_size": 128, "load_size": 128}
    configs = {
        "paper (batch norm)": system_config("paper", **narrow),
        "upsample4x4 (instance)": system_config("upsample4x4", **narrow),
        "cyclegan (instance)": system_config("cyclegan", blocks=3, **narrow | small),
        "lesson (group)": TrainConfig(norm="group", disc_norm="group", **narrow),
    }
    for name, config in configs.items():
        for precision in ("float32", "bf16"):
            engines = [
                replace(fast_engine(precision, device), channels_last=last)
                for last in (False, True)
            ]
            steps = [step_of(config, device, engine) for engine in engines]
            seconds = [[time_step(step, device) for step in steps] for _ in range(rounds + 1)][1:]
            default, last = (min(each) for each in zip(*seconds, strict=True))
            print(f"{name}, {precision}: channels-last {default / last:.2f} times as fast")


def step_of(config: TrainConfig, device: torch.device, engine: Engine) -> Callable[[], object]:
    """Return a function that makes one step of a config's networks on random images."""
    trainer = trainer_factory(config)(config, device, engine)
    shape = config.batch_size, 3, config.image_size, config.image_size
    images = [engine.to_memory_format(torch.rand(shape, device=device) * 2 - 1) for _ in range(2)]
    return lambda: trainer.step(*images)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--batches", type=int, nargs="+", default=[1, 4, 16])
    compiled = "also bf16 with torch.compile (a minute or more each)"
    parser.add_argument("--compile", action="store_true", help=compiled)
    parser.add_argument(
        "--layouts", action="store_true", help="only what channels-last memory gains"
    )
    parser.add_argument("--on", help="one device only")
    parser.add_argument("--alone", help=argparse.SUPPRESS)  # used by peak_memory
    arguments = parser.parse_args()
    gpus = ["cuda"] if torch.cuda.is_available() else []
    devices = [torch.device(name) for name in ([arguments.on] if arguments.on else ["cpu", *gpus])]
    if arguments.alone:
        print(run_alone(arguments.alone, arguments.batches[0], devices[0]))
        return
    for device in devices:
        if arguments.layouts:
            print_layouts(device)
            continue
        compare_all(arguments.batches, device, arguments.compile)
        print_data_wait(device)


if __name__ == "__main__":
    main()
