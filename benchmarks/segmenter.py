"""Train the segmenter of the FCN-score, which ships with the course.

    python -m benchmarks.segmenter           train, then write data/weights/segmenter.safetensors
    python -m benchmarks.segmenter --scores  only print how well it reads held-out photos

It learns from true procedural photos, by day and by night, whose buildings no generator learns
from and no test shows; light and colours of each are changed a little. About a quarter of an hour
on one core. The run is kept in runs/segmenter; the same command goes on after an interruption.
"""

import argparse
import sys
from pathlib import Path

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from pix2pix_lib.checkpoints import SEGMENTER, load_segmenter, save_segmenter
from pix2pix_lib.evaluation import confusion_matrices, fcn_score
from pix2pix_lib.facades import CLASS_NAMES, STYLES, make_classes, make_styled, split_seeds
from pix2pix_lib.files import replacing
from pix2pix_lib.images import to_float
from pix2pix_lib.progress import make_bar
from pix2pix_lib.segmenter import Segmenter

RUN = Path(__file__).parent.parent / "runs" / "segmenter" / "last.pt"
BASE_SEED = 1  # generators learn from the buildings of base seed 0
STEPS, BATCH, RATE, SAVE_EVERY = 2500, 8, 3e-3, 250
SIZES = (128, 128, 128, 64)  # in turn; every fourth photo is by night


def main(argv: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--scores", action="store_true", help="only print the scores")
    if not parser.parse_args(argv).scores:
        try:
            ship(train())
        except KeyboardInterrupt:
            print("\ninterrupted; the same command goes on from there", file=sys.stderr)
            return 130
    print_scores()
    return 0


def train() -> Segmenter:
    """Run the steps that are left."""
    torch.manual_seed(0)
    segmenter = Segmenter().train().to(memory_format=torch.channels_last)
    optimizer = torch.optim.Adam(segmenter.parameters(), lr=RATE)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, STEPS)
    state = {"segmenter": segmenter, "optimizer": optimizer, "schedule": schedule}
    first = 0
    if RUN.is_file():
        saved = torch.load(RUN, weights_only=True)
        first = saved.pop("step")
        for name, part in saved.items():
            state[name].load_state_dict(part)
    bar = make_bar(STEPS, "segmenter")
    bar.update(first)
    for step in range(first, STEPS):
        photos, classes = batch(step)
        with torch.autocast("cpu", torch.bfloat16):  # twice as fast
            logits = segmenter(photos)
        loss = F.cross_entropy(logits.float(), classes)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        schedule.step()
        bar.update()
        if step % 20 == 0:
            bar.set_postfix_str(f"loss {loss:.3f}")
        if (step + 1) % SAVE_EVERY == 0:
            RUN.parent.mkdir(parents=True, exist_ok=True)
            with replacing(RUN) as file:
                torch.save(
                    {"step": step + 1, **{n: part.state_dict() for n, part in state.items()}}, file
                )
    bar.close()
    return segmenter.eval()


def batch(step: int) -> tuple[Tensor, Tensor]:
    """Return the photos of a step, (N, 3, S, S), and their classes, (N, S, S)."""
    size = SIZES[step % len(SIZES)]
    first = split_seeds("train", 1, BASE_SEED)[0] + step * BATCH
    dice = torch.Generator().manual_seed(step)
    photos, classes = [], []
    for seed in range(first, first + BATCH):
        style = "night" if seed % 4 == 0 else "day"
        photo = torch.from_numpy(make_styled(seed, size, style)).permute(2, 0, 1)
        photos.append(jitter(to_float(photo), dice))
        classes.append(torch.from_numpy(make_classes(seed, size).astype(np.int64)))
    return torch.stack(photos).contiguous(memory_format=torch.channels_last), torch.stack(classes)


def jitter(photo: Tensor, dice: torch.Generator) -> Tensor:
    """Return the photo with its contrast, brightness and white balance changed a little."""
    throws = torch.rand(5, generator=dice) * 2 - 1
    mean = photo.mean()
    photo = (photo - mean) * (1 + 0.25 * throws[0]) + mean
    return (photo + 0.2 * throws[1] + 0.08 * throws[2:, None, None]).clamp(-1, 1)


def print_scores(count: int = 100) -> None:
    """Print the FCN-scores of true photos that neither the segmenter nor a generator has seen."""
    for style in STYLES:
        seeds = split_seeds("test", count)
        photos = [torch.from_numpy(make_styled(seed, 128, style)) for seed in seeds]
        images = to_float(torch.stack(photos).permute(0, 3, 1, 2))
        classes = torch.stack([torch.from_numpy(make_classes(seed, 128)) for seed in seeds])
        matrices = confusion_matrices(load_segmenter(), images, classes)
        print(f"{count} true photos by {style}: {fcn_score(matrices.sum(dim=0))}")


def ship(segmenter: Segmenter) -> None:
    """Write the weights in 16 bits, and their card."""
    card = {
        "trained_on": f"{STEPS * BATCH} procedural facades (pix2pix_lib.facades, base seed "
        f"{BASE_SEED}), a quarter by night; 128x128 and 64x64",
        "classes": list(CLASS_NAMES),
        "command": "python -m benchmarks.segmenter",
        "licence": "CC0-1.0",
    }
    save_segmenter(SEGMENTER, segmenter, card)


if __name__ == "__main__":
    torch.set_num_threads(1)  # as fast for a network this small, and independent of the cores
    sys.exit(main())
