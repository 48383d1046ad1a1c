"""Translate images with a trained generator: python -m pix2pix_lib.translate --help."""

import argparse
import logging
import sys
from contextlib import closing, nullcontext
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from torch import Tensor, nn

from .cli import CommandParser, run_command
from .config import TrainConfig
from .devices import describe_device, device_of, is_out_of_memory, pick_device
from .encoding import Encoding, card_encodings, result_suffix, side_values, write_encoded
from .export import STAGES, TOLERANCE, check_exportable, export_generator, without_dropout
from .images import IMAGE_SUFFIXES, allow_pixels, count_pages
from .inference import (
    Network,
    smallest_side,
    tile_starts,
    translate,
    translate_padded,
    translate_tiled,
)
from .layouts import LAYOUTS, Side, find_dataset, sides
from .pretrained import load_any_generator
from .progress import make_bar
from .resizing import rescale, scaled_shape, size_text
from .unet import UNet
from .validation import InputError

log = logging.getLogger("pix2pix_lib.translate")

LARGEST_ADVISED_TILE = 1024  # pixels; the largest tile that is advised when memory runs out


def main(argv: list[str] | None = None) -> int:
    """Run the command and return its exit status.

    It is 0, 2 for an error that a person can mend, or 130 if interrupted.
    """
    return run_command(run, make_parser().parse_args(argv))


def make_parser() -> CommandParser:
    """Return the parser; its help says what the command does to an image."""
    parser = CommandParser(
        prog="python -m pix2pix_lib.translate",
        description="Translate images of any size with a trained generator, or export it. "
        "photo.jpg becomes photo.png of the same height and width. The network sees it at the "
        "scale that it has learned at, with the right and bottom edges mirrored up to a multiple "
        "of 2^depth. Every image is read before the first is written.",
    )
    parser.add_argument(
        "--weights", type=Path, required=True, metavar="FILE",
        help="generator.safetensors with its card beside it, a run's folder, a checkpoint, or a "
        ".pth of pytorch-CycleGAN-and-pix2pix",
    )  # fmt: skip
    parser.add_argument(
        "--input", type=Path, metavar="FILE_OR_DIR",
        help="an image, or a folder of images; of pairs the input's side is taken",
    )  # fmt: skip
    parser.add_argument(
        "--layout", choices=("auto", "images", *LAYOUTS[1:]), default="auto",
        help="how pairs lie in the input folder; images takes every file whole (default: auto)",
    )  # fmt: skip
    parser.add_argument(
        "--out", type=Path, metavar="DIR",
        help="folder for the results; not the folder of the input",
    )  # fmt: skip
    parser.add_argument(
        "--overwrite", action="store_true",
        help="replace results of the same names from an earlier run; an input is never replaced",
    )  # fmt: skip
    parser.add_argument(
        "--dropout", choices=("on", "off"), default="on",
        help="on (default) is the paper's way: dropout stays on, as the only source of variety. "
        "off gives one image whatever the seed. Either way a batch norm uses the statistics of the "
        "image at hand, not averages from training (paper, section 3.3)",
    )  # fmt: skip
    parser.add_argument(
        "--seed", type=int, default=0,
        help="governs dropout (default 0); an image does not depend on the others beside it",
    )  # fmt: skip
    parser.add_argument(
        "--scale", choices=("training", "native"),
        help="training (default) scales an image as the training did, and its result back; native "
        "keeps every pixel, for pictures that show more and not finer things (default with --tile)",
    )  # fmt: skip
    parser.add_argument(
        "--direction", choices=("AtoB", "BtoA"), default="",
        help="which generator of a CycleGAN run's folder, or side of pairs if the weights are a "
        ".pth",
    )  # fmt: skip
    parser.add_argument(
        "--max-megapixels", type=int, metavar="N", default=0,
        help="the largest image that is read; larger may be a trap (default: 0, 178)",
    )  # fmt: skip
    parser.add_argument(
        "--tile", type=int, default=0, metavar="SIZE",
        help="for short memory: translate tiles of SIZE x SIZE pixels, a multiple of 2^depth, and "
        "blend them; 0 (default) takes the whole image. Norms then see one tile at a time, so "
        "tiles may differ in tone from each other and from the whole image: prefer large tiles",
    )  # fmt: skip
    parser.add_argument(
        "--overlap", type=int, metavar="PIXELS",
        help="what neighbouring tiles share at least (default: a quarter of SIZE)",
    )  # fmt: skip
    parser.add_argument(
        "--export", type=Path, metavar="FILE",
        help="write the generator as FILE.onnx (pip install onnx onnxruntime onnxscript) or "
        f"FILE.pt2 (torch.export), run it and compare it with the module (below {TOLERANCE:.0e}). "
        "It takes "
        "(1, channels, height, width) in [-1, 1], sides that are multiples of 2^depth, and is as "
        "--dropout off: the same input gives the same image. Needs no --input",
    )  # fmt: skip
    parser.add_argument(
        "--device", default="auto",
        help="auto (default), cpu, cuda, cuda:1 ...; exports use the cpu",
    )  # fmt: skip
    return parser


def run(arguments: argparse.Namespace) -> int:
    """Export and translate as the arguments say; return 0.

    Raises:
        KeyboardInterrupt: if interrupted, with the number of results written.
    """
    written: list[Path] = []
    try:
        export_and_translate(arguments, written)
    except KeyboardInterrupt as error:
        raise KeyboardInterrupt(
            f"results written: {len(written)}, each of them whole; --overwrite lets another run "
            f"replace them"
        ) from error
    return 0


@dataclass(frozen=True)
class Translator:
    """A generator, and how its training treated images.

    Args:
        input, target: what the values of the images that it reads and writes mean.
        native: whether images keep their scale.
        scaled: whether the training scaled its images, as far as is known.
    """

    generator: nn.Module
    config: TrainConfig
    input: Encoding
    target: Encoding
    native: bool
    scaled: bool

    def shape_of(self, shape: tuple[int, int]) -> tuple[int, int]:
        """Return (height, width) that the generator sees of an image of this (height, width)."""
        if self.native:
            return shape
        return scaled_shape(shape, self.config.shape, self.config.resize)


def export_and_translate(arguments: argparse.Namespace, written: list[Path]) -> None:
    """Check all that can be checked, then export and translate; note each result in `written`."""
    check_arguments(arguments)
    if arguments.max_megapixels:
        allow_pixels(arguments.max_megapixels * 1_000_000)
    translator = load_translator(arguments)
    check_tile(arguments.tile, translator.config.depth)
    results = plan_results(arguments, translator) if arguments.input else {}
    check_targets(arguments, results)
    shapes = read_shapes(list(results), translator.input)
    if arguments.export:
        export(translator.generator, arguments.export)
    if results:
        translate_files(translator, results, shapes, arguments, written)


def load_translator(arguments: argparse.Namespace) -> Translator:
    """Return the generator that the arguments name, and what its card says of its images."""
    device, direction = pick_device(arguments.device), arguments.direction
    generator, config, card = load_any_generator(arguments.weights, device, direction)
    real_a, real_b = card_encodings(card, config.in_channels, config.out_channels)
    unknown = arguments.tile or "unknown" in card  # as the scale of a .pth is
    native = (arguments.scale or ("native" if unknown else "training")) == "native"
    scaled = tuple(card.get("image_shape", ())) != config.shape
    return Translator(generator, config, real_a, real_b, native, scaled)


def check_arguments(arguments: argparse.Namespace) -> None:
    """Check the flags that do not need a file, before anything is read.

    Raises:
        InputError: if a flag is out of range, or flags do not belong together.
    """
    tile, overlap = arguments.tile, arguments.overlap
    if not (arguments.input or arguments.export):
        raise InputError(
            "nothing to do: give --input with --out to translate, --export to export, or all three"
        )
    if bool(arguments.input) != bool(arguments.out):
        raise InputError("--input and --out belong together; one of them is missing")
    if not 0 <= arguments.seed < 2**63:
        raise InputError(f"--seed must be from 0 to 2^63 - 1; got {arguments.seed}")
    if tile < 0:
        raise InputError(f"--tile must be 0 (the whole image) or a size in pixels; got {tile}")
    if overlap is not None and tile == 0:
        raise InputError(
            f"--overlap {overlap} needs a --tile; without one the image is translated whole"
        )
    if overlap is not None and not 0 <= overlap < tile:
        raise InputError(f"--overlap must be from 0 to {tile - 1}, less than --tile; got {overlap}")


def check_tile(tile: int, depth: int) -> None:
    """Check that a U-Net of this depth can take tiles of this size.

    Raises:
        InputError: if it cannot, with the next size that works.
    """
    step = 2**depth
    if tile % step:
        raise InputError(
            f"--tile must be a multiple of {step}, as this generator halves images {depth} times; "
            f"got {tile}: use {tile // step * step + step}"
        )


def plan_results(arguments: argparse.Namespace, translator: Translator) -> dict[Side, Path]:
    """Return for each image its result: a file of the same name in the folder `--out`.

    Nothing is read or written.

    Raises:
        FileNotFoundError: if there is no such file or folder, or no image in it.
        InputError: if `out` is the input folder, or two results would have one name. Names that
            differ only in upper and lower case count as one, as on some systems.
    """
    source, out = arguments.input, arguments.out
    if source.is_dir() and out.exists() and out.samefile(source):
        raise InputError(
            f"--out {out} is the input folder; choose another one, "
            "so that images and results stay apart"
        )
    direction = arguments.direction or translator.config.direction
    results: dict[Side, Path] = {}
    names: dict[str, Side] = {}
    for side in find_inputs(source, arguments.layout, direction):
        page = f"_p{side.page:03d}" if side.page or count_pages(side.file) > 1 else ""
        name = f"{side.file.stem}{page}{result_suffix(translator.target)}"
        if name.casefold() in names:
            raise InputError(
                f"{names[name.casefold()].file} and {side.file.name} would both become {name}; "
                "rename one of them"
            )
        names[name.casefold()] = side
        results[side] = out / name
    return results


def find_inputs(source: Path, layout: str, direction: str) -> list[Side]:
    """Return the images to translate, sorted by name; of pairs the input's side, which is said.

    If `source` is a file, it is the only one, whatever its ending. Of a file with several images
    of one size each counts.

    Raises:
        FileNotFoundError: if there is no such file or folder, or no image in it.
        InputError: if pairs were asked for, and there are none.
    """
    if source.is_dir() and layout != "images":
        try:
            found = find_dataset(source, layout)
        except (InputError, FileNotFoundError):
            if layout != "auto":
                raise
        else:
            if len(found.splits) > 1:
                parts = " or ".join(str(source / split) for split in found.splits)
                raise InputError(f"{source} holds several splits of pairs; give one: {parts}")
            (pairs,) = found.splits.values()
            log.info("%s holds pairs (layout %s): side %s is translated; --layout images takes "
                     "every file whole", source, found.layout, direction[0])  # fmt: skip
            return sides(pairs)[0 if direction == "AtoB" else 1]
    return [
        Side(path, page=page) for path in find_images(source) for page in range(count_pages(path))
    ]


def find_images(source: Path) -> list[Path]:
    """Return the image files in a folder, sorted by name; or the only one, if it is a file.

    Raises:
        FileNotFoundError: if there is no such file or folder, or no image in it.
    """
    if source.is_file():
        return [source]
    if not source.is_dir():
        raise FileNotFoundError(f"{source}: no such file or folder; check --input")
    files = sorted(
        path
        for path in source.iterdir()
        if path.suffix.lower() in IMAGE_SUFFIXES and path.is_file()
    )
    files = [path for path in files if not path.name.startswith(".")]
    if not files:
        raise FileNotFoundError(
            f"{source}: no images in this folder; expected files that end in .jpg, .png, .tif or "
            f"another of {len(IMAGE_SUFFIXES)} endings (subfolders are left out)"
        )
    return files


def check_targets(arguments: argparse.Namespace, results: dict[Side, Path]) -> None:
    """Check that no file to be written would replace another one.

    Raises:
        InputError: if it would replace an input, or another file without --overwrite.
    """
    out, exported = arguments.out, arguments.export
    if out and out.exists() and not out.is_dir():
        raise InputError(f"--out {out} is a file; expected a folder for the results")
    if exported:
        check_exportable(exported)
    targets = [*results.values(), *([exported] if exported else [])]
    sources = {
        path.resolve()
        for path in [
            *(side.file for side in results),
            arguments.weights,
            arguments.weights.with_suffix(".json"),
        ]
    }
    for target in targets:
        if target.is_dir():
            raise InputError(
                f"{target} is a folder, but a file of that name would be written; "
                "choose another name"
            )
        if target.resolve() in sources:
            raise InputError(
                f"{target} would replace an input of the same name; "
                "choose another --out or --export"
            )
        if target.exists() and not arguments.overwrite:
            raise InputError(
                f"{target} is already there; add --overwrite to replace it, or choose another place"
            )


def read_shapes(inputs: list[Side], encoding: Encoding) -> list[tuple[int, int]]:
    """Return (height, width) of each image, from its pixels.

    A damaged file, or one with other values than those of the training, is thus found now, and not
    hours later.

    Raises:
        InputError: if a file cannot be read as an image of the input's side.
    """
    shapes = []
    with closing(make_bar(len(inputs), "reading")) if len(inputs) > 1 else nullcontext() as bar:
        for side in inputs:
            image = encoding.convert(side_values(side, encoding.reads_numbers), side.file)
            shapes.append(tuple(image.shape[1:]))
            if bar:
                bar.update()
    return shapes


def export(generator: UNet, path: Path) -> None:
    """Write and check the exported generator, and report how exact it is."""
    with closing(make_bar(STAGES, "exporting")) as bar:
        difference = export_generator(generator, path, bar.update)
    step = 2**generator.depth
    log.info(
        "%s: differs from the module by %.1e at most; takes images of (1, %d, height, width), "
        "sides multiples of %d",
        path, difference, generator.in_channels, step,
    )  # fmt: skip


def translate_files(
    translator: Translator,
    results: dict[Side, Path],
    shapes: list[tuple[int, int]],
    arguments: argparse.Namespace,
    written: list[Path],
) -> None:
    """Write the result of each image, one image in memory at a time, and note it in `written`.

    Raises:
        InputError: if memory runs out, with the tile that may fit.
    """
    generator = translator.generator
    if arguments.dropout == "off":
        generator = without_dropout(generator)
    tile, step = arguments.tile, 2**generator.depth
    overlap = tile // 4 if arguments.overlap is None else arguments.overlap
    device = device_of(generator)
    notice_scale(translator, shapes)
    seen = [translator.shape_of(shape) for shape in shapes]
    passes = sum(
        len(tile_starts(h, tile, overlap)) * len(tile_starts(w, tile, overlap)) if tile else 1
        for h, w in seen
    )
    with closing(make_bar(passes, "translating")) as bar:

        def network(real_a: Tensor) -> Tensor:
            fake_b = translate(generator, real_a.to(device), arguments.seed).cpu()
            bar.update()
            return fake_b

        of_any_size = partial(
            translate_image, network, step=step, tile=tile, overlap=overlap,
            smallest=smallest_side(generator),
        )  # fmt: skip
        for (side, result), shape in zip(results.items(), seen):
            try:
                fake_b = translate_side(of_any_size, translator, side)
            except (RuntimeError, MemoryError) as error:
                if not is_out_of_memory(error):
                    raise
                raise InputError(
                    f"{side.file}: memory ran out for {size_text(shape)} pixels; "
                    f"{memory_advice(max(shape), tile, step)}"
                ) from error
            write_encoded(result, fake_b, translator.target)
            written.append(result)
    log.info("%s: %d written; %s", arguments.out, len(written), describe_device(device))


def translate_side(of_any_size: Network, translator: Translator, side: Side) -> Tensor:
    """Return what the generator makes of one image, (C, H, W) in [-1, 1] of the image's size."""
    encoding = translator.input
    image = encoding.convert(side_values(side, encoding.reads_numbers), side.file)
    before = tuple(image.shape[1:])
    image = rescale(image, translator.shape_of(before), nearest=encoding.is_labels)
    return rescale(of_any_size(encoding.encode(image)), before)


def notice_scale(translator: Translator, shapes: list[tuple[int, int]]) -> None:
    """Say if images are scaled for the network, or if they could be."""
    config = translator.config
    learned = [scaled_shape(shape, config.shape, config.resize) for shape in shapes]
    other = next((pair for pair in zip(shapes, learned, strict=True) if pair[0] != pair[1]), None)
    if other is None:
        return
    shape, scaled = map(size_text, other)
    if translator.native:
        log.info("%s is translated at its own scale; --scale training would make it %s, the size "
                 "that the generator has learned at", shape, scaled)  # fmt: skip
    else:
        log.info("%s is translated at the scale of the training, as %s, and its result scaled "
                 "back; --scale native keeps every pixel%s", shape, scaled,
                 "" if translator.scaled else ", as the training did")  # fmt: skip


def translate_image(
    network: Network, real_a: Tensor, step: int, tile: int = 0, overlap: int = 0, smallest: int = 1
) -> Tensor:
    """Return the network's image, (C', H, W), of one image, (C, H, W) in [-1, 1], of any size.

    Args:
        step, smallest: the network gets sides that are multiples of `step`, at least `smallest`,
            padded if need be.
        tile, overlap: of the tiles, see `translate_tiled`; with `tile=0` the network gets the whole
            image.
    """
    # Tiles are padded too: one may be larger than an image.
    of_any_size = partial(translate_padded, network, step=step, smallest=smallest)
    if tile == 0:
        return of_any_size(real_a[None])[0]
    return translate_tiled(of_any_size, real_a[None], tile, overlap)[0]


def memory_advice(side: int, tile: int, step: int) -> str:
    """Return what may help when memory runs out.

    That is half of the tile, or of the image's longer side, as a multiple of `step`.
    """
    smaller = min((tile or side) // 2, LARGEST_ADVISED_TILE) // step * step
    return f"use --tile {smaller}" if smaller else "use a machine with more memory, or --device cpu"


if __name__ == "__main__":
    sys.exit(main())
