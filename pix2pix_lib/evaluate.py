"""Measure trained generators on held-out pairs: python -m pix2pix_lib.evaluate --help."""

import argparse
import base64
import csv
import html
import io
import json
import logging
import sys
from collections.abc import Callable
from contextlib import closing
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from . import evaluation
from .checkpoints import load_segmenter
from .cli import CommandParser, run_command
from .config import TrainConfig
from .corruptions import BLUR_SIGMA, blur
from .data import PairedDataset
from .devices import pick_device
from .encoding import Encoding, card_encodings
from .facades import (
    CLASS_COLOURS,
    colour_to_classes,
    facade_tensors,
    split_seeds,
)
from .files import lock_folder, replacing
from .inference import translate
from .layouts import LAYOUTS, Pair, find_dataset
from .pretrained import find_weights, load_any_generator
from .progress import make_bar
from .validation import InputError

log = logging.getLogger("pix2pix_lib.evaluate")

LEAST = 4  # pairs: two in each half of the true photos
SHOWN = 24  # pictures of each generator in the report
COLOUR_TOLERANCE = 40  # of 255: how far JPEG may move the colour of a class


def main(argv: list[str] | None = None) -> int:
    """Run the command; returns 0, 2 for an error that a person can mend, 130 if interrupted."""
    return run_command(run, make_parser().parse_args(argv))


def make_parser() -> CommandParser:
    """Return the parser."""
    parser = CommandParser(
        prog="python -m pix2pix_lib.evaluate",
        description="Measure what generators make of held-out pairs, beside the true photos and "
        "beside pictures that nobody should be content with. If the inputs are label maps of "
        "facades, a segmenter reads the pictures as well (the FCN-score).",
    )
    add = parser.add_argument
    add("--weights", type=Path, required=True, nargs="+", metavar="FILE",
        help="generators: generator.safetensors with its card beside it, a run's folder, a "
             "checkpoint, or a .pth of pytorch-CycleGAN-and-pix2pix")  # fmt: skip
    add("--data", type=Path, metavar="DIR",
        help="folder with pairs that the generators have not learned from; its test split, else "
        "val, else all of it (default: procedural facades)")  # fmt: skip
    add("--layout", choices=LAYOUTS, default="auto", help="how the pairs lie on disk")
    for side in "ab":
        add(f"--{side}", metavar="TEXT", default="",
            help=f"a piece of the path of every image of side {side.upper()}")  # fmt: skip
    add("--count", type=int, default=100, metavar="N",
        help="the most pairs to measure (default: 100)")  # fmt: skip
    add("--out", type=Path, required=True, metavar="DIR",
        help="folder for scores.csv, scores.json and report.html")  # fmt: skip
    add("--seeds", type=int, default=2, metavar="S",
        help="pictures of each input, with other dropout (default: 2)")  # fmt: skip
    add("--direction", choices=("AtoB", "BtoA"), default="",
        help="which generator of a CycleGAN's checkpoint or folder")  # fmt: skip
    add("--device", default="auto", help="auto (default), cpu, cuda, cuda:1 ...")
    return parser


@dataclass(frozen=True)
class Measured:
    """A generator to measure, and what the values of its inputs and targets mean."""

    generator: torch.nn.Module
    config: TrainConfig
    input: Encoding
    target: Encoding


@dataclass(frozen=True)
class HeldOut:
    """The pairs that are measured.

    Args:
        inputs: (N, C, H, W) in [-1, 1], as the generators get them.
        shown, truth: inputs and targets as grey or RGB, in [-1, 1].
        classes: what the label maps ask for, (N, H, W); None if the inputs are something else.
    """

    inputs: Tensor
    shown: Tensor
    truth: Tensor
    classes: Tensor | None


@dataclass(frozen=True)
class Score:
    """One measure of one set of pictures, and a 95 % interval over the pictures if it has one."""

    value: float
    low: float | None = None
    high: float | None = None

    def __str__(self) -> str:
        if self.low is None:
            return f"{self.value:.3f}"
        return f"{self.value:.3f} ({self.low:.3f} to {self.high:.3f})"


def run(arguments: argparse.Namespace) -> int:
    """Measure as the arguments say; return 0. Nothing is written before all is measured."""
    for name, least in (("count", LEAST), ("seeds", 1)):
        if getattr(arguments, name) < least:
            raise InputError(f"--{name} must be at least {least}; got {getattr(arguments, name)}")
    device = pick_device(arguments.device)
    with lock_folder(arguments.out):
        generators = load_generators(arguments.weights, device, arguments.direction)
        pairs = load_pairs(arguments, common_ground(generators))
        made = make_pictures(generators, pairs.inputs, arguments.seeds, device)
        judge = Judge(pairs)
        table = {name: judge.scores(variants) for name, variants in made.items()}
        table |= {name: judge.scores(images[None]) for name, images in controls(pairs).items()}
        log.info("%s", as_text(table))
        write_results(arguments.out, table, pairs, {n: v[0] for n, v in made.items()}, judge)
    log.info("%s", arguments.out / "report.html")
    return 0


def load_generators(
    paths: list[Path], device: torch.device, direction: str = ""
) -> dict[str, Measured]:
    """Return the generators by short names: the file's, or its whole path where names are alike.

    Raises:
        FileNotFoundError, InputError: as `load_any_generator`, or if two are the same file.
    """
    files = [find_weights(path, direction).resolve() for path in paths]
    if len(set(files)) < len(files):
        raise InputError("--weights names the same file twice")
    plain = [path if path.is_dir() else path.with_suffix("") for path in paths]
    short = [path.name for path in plain]
    names = short if len(set(short)) == len(short) else [str(path) for path in plain]
    loaded = {}
    for name, path in zip(names, paths, strict=True):
        generator, config, card = load_any_generator(path, device, direction)
        encodings = card_encodings(card, config.in_channels, config.out_channels)
        loaded[name] = Measured(generator, config, *encodings)
    return loaded


def common_ground(generators: dict[str, Measured]) -> Measured:
    """Return the first generator, whose pairs all of them must be able to take.

    Raises:
        InputError: if another one has other channels or values, another direction or size.
    """
    (first, ground), *others = generators.items()
    for name, other in others:
        for option in ("image_size", "resize", "direction", "in_channels", "out_channels"):
            here, there = getattr(ground.config, option), getattr(other.config, option)
            if here != there:
                raise InputError(
                    f"generators are compared on the same pairs, but {option} is {here} for "
                    f"{first} and {there} for {name}; measure them in two calls"
                )
        for side in ("input", "target"):
            if getattr(ground, side) != getattr(other, side):
                raise InputError(
                    f"generators are compared on the same pairs, but the {side} of {first} is "
                    f"{getattr(ground, side).describe()} and that of {name} "
                    f"{getattr(other, side).describe()}; measure them in two calls"
                )
    return ground


def load_pairs(arguments: argparse.Namespace, ground: Measured) -> HeldOut:
    """Return the pairs to measure, at the size that the generators were trained at.

    Raises:
        FileNotFoundError, InputError: as `find_dataset` and `PairedDataset`; also if there are
            fewer than `LEAST` pairs.
    """
    data, count, config = arguments.data, arguments.count, ground.config
    if data is None:
        return drawn_facades(count, config)
    encodings = ground.input, ground.target
    pairs = PairedDataset(
        held_out_pairs(arguments)[:count], direction=config.direction, size=config.shape,
        jitter=False, resize=config.resize,
        encodings=encodings if config.direction == "AtoB" else encodings[::-1],
    )  # fmt: skip
    if len(pairs) < LEAST:
        raise InputError(f"{data}: measuring needs at least {LEAST} pairs; there are {len(pairs)}")
    inputs, truth = (torch.stack(side) for side in zip(*pairs, strict=True))
    truth = ground.target.as_colours(truth)
    classes = facade_classes(inputs) if truth.shape[1] == 3 else None
    return HeldOut(inputs, ground.input.as_colours(inputs), truth, classes)


def drawn_facades(count: int, config: TrainConfig) -> HeldOut:
    """Return so many procedural facades of the test split, at the size of a config."""
    pairs = [facade_tensors(seed, max(config.shape)) for seed in split_seeds("test", count)]
    labels, photos = (torch.stack(side) for side in zip(*pairs, strict=True))
    if config.direction == "AtoB":
        return HeldOut(photos, photos, labels, None)
    return HeldOut(labels, labels, photos, facade_classes(labels))


def held_out_pairs(arguments: argparse.Namespace) -> list[Pair]:
    """Return the pairs of the test split, or of val, or all if there are no splits.

    Raises:
        FileNotFoundError, InputError: as `find_dataset`; also if there is only a train split.
    """
    data = arguments.data
    found = find_dataset(data, arguments.layout, arguments.a, arguments.b)
    split = next((name for name in ("test", "val", "") if name in found.splits), None)
    if split is None:
        raise InputError(
            f"{data} has only {', '.join(found.splits)}; give a folder with pairs that were not "
            f"trained on, or put some into {data / 'test'}"
        )
    pairs = found.splits[split]
    log.info("%d pairs of %s (layout %s)", len(pairs), data / split, found.layout)
    return pairs


def facade_classes(inputs: Tensor) -> Tensor | None:
    """Return the classes of label maps in the facades' colours, or None for anything else."""
    if inputs.shape[1] != 3:
        return None
    colours = evaluation.pixels(inputs)
    classes = colour_to_classes(colours)
    off = np.abs(colours.astype(int) - CLASS_COLOURS[classes]).max(axis=-1)
    if (off > COLOUR_TOLERANCE).mean() > 0.1:
        return None
    return torch.from_numpy(classes.astype(np.int64))


def make_pictures(
    generators: dict[str, Measured], inputs: Tensor, seeds: int, device: torch.device
) -> dict[str, Tensor]:
    """Return what each generator makes of the inputs, with each seed: (seeds, N, C, H, W).

    Classes are painted in their colours.
    """
    made = {}
    with closing(make_bar(len(generators) * seeds * len(inputs), "translating")) as bar:
        for name, measured in generators.items():
            variants = []
            for seed in range(seeds):
                for image in inputs:
                    fake_b = translate(measured.generator, image[None].to(device), seed).cpu()
                    variants.append(measured.target.as_colours(fake_b))
                    bar.update()
            made[name] = torch.cat(variants).unflatten(0, (seeds, len(inputs)))
    return made


def controls(pairs: HeldOut) -> dict[str, Tensor]:
    """Return pictures to compare with: the best there can be, and some that are not good at all."""
    truth = pairs.truth
    found = {
        "true photos": truth,
        "photos of other inputs": truth.roll(1, dims=0),
        "blurred photos": blur(truth, 1 / BLUR_SIGMA),  # by one pixel
    }
    if pairs.classes is not None:
        found["mean colours of classes"] = paint_means(truth, pairs.classes)
    return found


def paint_means(truth: Tensor, classes: Tensor) -> Tensor:
    """Return pictures in which each class has its mean colour in all photos."""
    painted = torch.zeros_like(truth).permute(0, 2, 3, 1)
    colours = truth.permute(0, 2, 3, 1)
    for kind in classes.unique():
        painted[classes == kind] = colours[classes == kind].mean(dim=0)
    return painted.permute(0, 3, 1, 2)


class Judge:
    """Measures sets of pictures of the same inputs."""

    def __init__(self, pairs: HeldOut):
        self.pairs = pairs
        if pairs.classes is not None:
            self.segmenter = load_segmenter()
            self.truth_features = evaluation.features(self.segmenter, pairs.truth)

    def scores(self, variants: Tensor) -> dict[str, Score]:
        """Return all measures of (S, N, C, H, W): S pictures of each input; the first is judged."""
        images, truth = variants[0], self.pairs.truth
        found: dict[str, Score] = {}
        if self.pairs.classes is not None:
            found |= self._of_segmenter(images)
        for name, measure in {
            "L1": evaluation.pixel_l1, "PSNR": evaluation.psnr, "SSIM": evaluation.ssim
        }.items():  # fmt: skip
            if name == "PSNR" and torch.equal(images, truth):
                continue  # it is infinite
            found[name] = _with_interval(measure(images, truth))
        found["contrast"] = _with_interval(evaluation.contrast(images))
        found["edges"] = _with_interval(evaluation.edge_density(images))
        if images.shape[1] == 3:
            for name, value in evaluation.colour_intersections(images, truth).items():
                found[f"colours {name}"] = Score(value)
        if len(variants) > 1:
            found["diversity"] = _with_interval(evaluation.diversity(variants))
        return found

    def _of_segmenter(self, images: Tensor) -> dict[str, Score]:
        matrices = evaluation.confusion_matrices(self.segmenter, images, self.pairs.classes)
        found = {}
        for name, field in {
            "pixel accuracy": "pixel", "class accuracy": "class_accuracy", "class IoU": "iou"
        }.items():  # fmt: skip

            def score(chosen: Tensor, field: str = field) -> float:
                return getattr(evaluation.fcn_score(chosen.sum(dim=0)), field)

            found[name] = _with_interval(matrices, score)
        ours, theirs = evaluation.features(self.segmenter, images), self.truth_features
        if _same_pictures(ours, theirs):  # then one half against the other
            ours, theirs = ours[::2], ours[1::2]
        found["kernel distance"] = Score(evaluation.kernel_distance(ours, theirs))
        found["Frechet distance"] = Score(evaluation.frechet_distance(ours, theirs))
        return found

    def badness(self, images: Tensor) -> Tensor:
        """Return how bad each picture is, (N,): pixels misread, or the L1 distance."""
        if self.pairs.classes is None:
            return evaluation.pixel_l1(images, self.pairs.truth)
        matrices = evaluation.confusion_matrices(self.segmenter, images, self.pairs.classes)
        right = matrices.diagonal(dim1=1, dim2=2).sum(dim=1)
        return 1 - right / matrices.sum(dim=(1, 2))


def _same_pictures(first: Tensor, second: Tensor) -> bool:
    """Return whether two sets of features are those of the same pictures, in whatever order."""
    return torch.equal(first.sum(dim=1).sort().values, second.sum(dim=1).sort().values)


def _with_interval(
    values: Tensor, statistic: Callable[[Tensor], float] = lambda values: float(values.mean())
) -> Score:
    return Score(statistic(values), *evaluation.bootstrap(values, statistic))


# --------------------------------------------------------------------------------------------------
# What is written
# --------------------------------------------------------------------------------------------------


def as_text(table: dict[str, dict[str, Score]]) -> str:
    """Return the table as text, one line for each measure of each set of pictures."""
    wide = max(map(len, table))
    lines = []
    for measure in dict.fromkeys(name for scores in table.values() for name in scores):
        lines.append(measure)
        for name, scores in table.items():
            if measure in scores:
                lines.append(f"  {name:{wide}}  {scores[measure]}")
    return "\n".join(lines)


def write_results(
    out: Path, table: dict, pairs: HeldOut, made: dict[str, Tensor], judge: Judge
) -> None:
    """Write the table as CSV and JSON, and the report."""
    with (
        replacing(out / "scores.csv") as path,
        path.open("w", newline="", encoding="utf-8") as file,
    ):
        writer = csv.writer(file)
        writer.writerow(["pictures", "measure", "value", "low", "high"])
        for name, scores in table.items():
            for measure, score in scores.items():
                writer.writerow([name, measure, score.value, score.low, score.high])
    plain = {
        name: {measure: asdict(score) for measure, score in scores.items()}
        for name, scores in table.items()
    }
    with replacing(out / "scores.json") as path:
        path.write_text(json.dumps(plain, indent=2) + "\n", encoding="utf-8")
    with replacing(out / "report.html") as path:
        path.write_text(make_report(table, pairs, made, judge), encoding="utf-8")


STYLE = """
body { font: 15px/1.5 system-ui, sans-serif; margin: 2em auto; max-width: 75em; padding: 0 1em }
table { border-collapse: collapse } th, td { padding: .2em .7em; text-align: right }
th { font-weight: 600 } tr + tr { border-top: 1px solid #ddd } td:first-child { text-align: left }
small { color: #666; display: block } figure { margin: 0 0 1em }
figure img { image-rendering: pixelated; width: 100% } .scroll { overflow-x: auto }
"""


def make_report(
    table: dict[str, dict[str, Score]], pairs: HeldOut, made: dict[str, Tensor], judge: Judge
) -> str:
    """Return the report: the table, and the pictures of each generator, the worst first."""
    measures = list(dict.fromkeys(name for scores in table.values() for name in scores))
    parts = [
        "<!doctype html><html lang=en><meta charset=utf-8><title>Evaluation</title>",
        f"<style>{STYLE}</style><h1>Evaluation on {len(pairs.truth)} pairs</h1>",
        "<div class=scroll><table><tr><th></th>",
        *(f"<th>{html.escape(measure)}</th>" for measure in measures),
        "</tr>",
    ]
    for name, scores in table.items():
        parts.append(f"<tr><td>{html.escape(name)}</td>")
        parts += [_cell(scores.get(measure)) for measure in measures]
        parts.append("</tr>")
    parts.append("</table></div><p>Below each value: a 95 % interval over the pictures.</p>")
    kind = "pixels that the segmenter misreads" if pairs.classes is not None else "L1 distance"
    for name, images in made.items():
        badness = judge.badness(images)
        parts.append(f"<h2>{html.escape(name)}</h2><p>Input, output, truth and error (bright where "
                     f"they differ); the worst first, by {kind}.</p>")  # fmt: skip
        for index in badness.argsort(descending=True)[:SHOWN].tolist():
            row = [pairs.shown[index], images[index], pairs.truth[index]]
            row.append((images[index] - pairs.truth[index]).abs() - 1)
            words = f"pair {index + 1}: {badness[index]:.3f}"
            parts.append(f'<figure><img alt="{words}" src="{_embedded(row)}">'
                         f"<figcaption>{words}</figcaption></figure>")  # fmt: skip
    return "\n".join(parts) + "\n"


def _cell(score: Score | None) -> str:
    if score is None:
        return "<td></td>"
    interval = "" if score.low is None else f"<small>{score.low:.3f} to {score.high:.3f}</small>"
    return f"<td>{score.value:.3f}{interval}</td>"


def _embedded(images: list[Tensor]) -> str:
    """Return pictures beside one another as an address that holds the PNG itself."""
    row = [image.expand(3, -1, -1) for image in images]
    strip = evaluation.pixels(torch.cat(row, dim=2)[None])[0]
    buffer = io.BytesIO()
    Image.fromarray(strip).save(buffer, "PNG", optimize=True)
    return "data:image/png;base64," + base64.b64encode(buffer.getvalue()).decode("ascii")


if __name__ == "__main__":
    sys.exit(main())
