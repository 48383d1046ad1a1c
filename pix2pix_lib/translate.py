"""Translate images with a trained generator: python -m pix2pix_lib.translate --help."""

import argparse
import logging
import sys
from contextlib import closing, nullcontext
from functools import partial
from pathlib import Path

from torch import Tensor

from .checkpoints import load_generator
from .cli import CommandParser, run_command
from .devices import describe_device, device_of, is_out_of_memory, pick_device
from .export import STAGES, TOLERANCE, check_exportable, export_generator, without_dropout
from .images import IMAGE_SUFFIXES, read_image, to_float, write_image
from .inference import (
    Network,
    smallest_side,
    tile_starts,
    translate,
    translate_padded,
    translate_tiled,
)
from .progress import make_bar
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
        "photo.jpg becomes photo.png of the same height and width: for the network its right and "
        "bottom edges are mirrored up to a multiple of 2^depth, then cut off again. Every image is "
        "read before the first is written.",
    )
    parser.add_argument(
        "--weights", type=Path, required=True, metavar="FILE",
        help="generator.safetensors, with its card generator.json beside it",
    )  # fmt: skip
    parser.add_argument(
        "--input", type=Path, metavar="FILE_OR_DIR",
        help="an image, or a folder of images (its subfolders are left out)",
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


def export_and_translate(arguments: argparse.Namespace, written: list[Path]) -> None:
    """Check all that can be checked, then export and translate; note each result in `written`."""
    check_arguments(arguments)
    generator, config = load_generator(arguments.weights, pick_device(arguments.device))
    check_tile(arguments.tile, config.depth)
    results = plan_results(arguments.input, arguments.out) if arguments.input else {}
    check_targets(arguments, results)
    sizes = read_sizes(list(results), config.in_channels)
    if arguments.export:
        export(generator, arguments.export)
    if results:
        translate_files(generator, results, sizes, arguments, written)


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


def plan_results(source: Path, out: Path) -> dict[Path, Path]:
    """Return for each image its result: a PNG file of the same name in the folder `out`.

    Nothing is read or written.

    Raises:
        FileNotFoundError: if there is no such file or folder, or no image in it.
        InputError: if `out` is the input folder, or two results would have one name. Names that
            differ only in upper and lower case count as one, as on some systems.
    """
    if source.is_dir() and out.exists() and out.samefile(source):
        raise InputError(
            f"--out {out} is the input folder; choose another one, "
            "so that images and results stay apart"
        )
    results: dict[Path, Path] = {}
    names: dict[str, Path] = {}
    for path in find_images(source):
        name = f"{path.stem}.png"
        if name.casefold() in names:
            raise InputError(
                f"{names[name.casefold()]} and {path.name} would both become {name}; "
                "rename one of them"
            )
        names[name.casefold()] = path
        results[path] = out / name
    return results


def find_images(source: Path) -> list[Path]:
    """Return the image files in a folder, sorted by name.

    If `source` is a file, it is the only one, whatever its ending.

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
            f"{source}: no images in this folder; expected files that end in "
            f"{', '.join(IMAGE_SUFFIXES)} (subfolders are left out)"
        )
    return files


def check_targets(arguments: argparse.Namespace, results: dict[Path, Path]) -> None:
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
        for path in [*results, arguments.weights, arguments.weights.with_suffix(".json")]
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


def read_sizes(paths: list[Path], channels: int) -> list[tuple[int, int]]:
    """Return (height, width) of each image, from its pixels.

    A damaged file is thus found now, and not hours later.

    Raises:
        InputError: if a file cannot be read as an image.
    """
    sizes = []
    with closing(make_bar(len(paths), "reading")) if len(paths) > 1 else nullcontext() as bar:
        for path in paths:
            sizes.append(tuple(read_image(path, channels).shape[1:]))
            if bar:
                bar.update()
    return sizes


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
    generator: UNet,
    results: dict[Path, Path],
    sizes: list[tuple[int, int]],
    arguments: argparse.Namespace,
    written: list[Path],
) -> None:
    """Write the result of each image, one image in memory at a time, and note it in `written`.

    Raises:
        InputError: if memory runs out, with the tile that may fit.
    """
    if arguments.dropout == "off":
        generator = without_dropout(generator)
    tile, step = arguments.tile, 2**generator.depth
    overlap = tile // 4 if arguments.overlap is None else arguments.overlap
    device = device_of(generator)
    passes = sum(
        len(tile_starts(h, tile, overlap)) * len(tile_starts(w, tile, overlap)) if tile else 1
        for h, w in sizes
    )
    with closing(make_bar(passes, "translating")) as bar:

        def network(real_a: Tensor) -> Tensor:
            fake_b = translate(generator, real_a.to(device), arguments.seed).cpu()
            bar.update()
            return fake_b

        for (source, result), size in zip(results.items(), sizes):
            real_a = to_float(read_image(source, generator.in_channels))
            try:
                fake_b = translate_image(
                    network, real_a, step, tile, overlap, smallest_side(generator)
                )
            except (RuntimeError, MemoryError) as error:
                if not is_out_of_memory(error):
                    raise
                raise InputError(
                    f"{source}: memory ran out for {size[0]}x{size[1]} pixels; "
                    f"{memory_advice(max(size), tile, step)}"
                ) from error
            write_image(result, fake_b)
            written.append(result)
    log.info("%s: %d written; %s", arguments.out, len(written), describe_device(device))


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
