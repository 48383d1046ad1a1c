"""Draw a dataset of facades: python -m pix2pix_lib.facades --help."""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from ..cli import CommandParser, run_command
from ..progress import close_bars, progress_callback
from .make import FORMATS, SPLITS, write_dataset


def _make_parser() -> CommandParser:
    """Return the parser of the command's arguments."""
    parser = CommandParser(
        prog="python -m pix2pix_lib.facades",
        description="Draw a dataset of facades: photo-like pictures (left half) beside their label "
        "maps (right half), or with --unpaired photos by day and photos of other buildings by "
        "night.",
    )
    parser.add_argument(
        "--out", type=Path, required=True, help="the folder to make; it must be empty or missing"
    )
    parser.add_argument(
        "--train", type=int, default=400, help="number of pairs in out/train (default 400)"
    )
    parser.add_argument(
        "--val", type=int, default=100, help="number of pairs in out/val (default 100)"
    )
    parser.add_argument(
        "--test", type=int, default=106, help="number of pairs in out/test (default 106)"
    )
    parser.add_argument(
        "--size", type=int, default=256, help="pixels per side, a multiple of 16 (default 256)"
    )
    parser.add_argument(
        "--seed", type=int, default=0, help="another seed gives other buildings (default 0)"
    )
    parser.add_argument(
        "--format", choices=FORMATS, default="png", help="png is exact, jpg small (default png)"
    )
    parser.add_argument(
        "--unpaired", action="store_true",
        help="no pairs: that many pictures by day in out/trainA, as many by night in out/trainB, "
        "and so on",
    )  # fmt: skip
    return parser


def _run(arguments: argparse.Namespace) -> int:
    """Write the dataset; return 0, or 130 if that was interrupted."""
    out, size = arguments.out, arguments.size
    counts = {split: getattr(arguments, split) for split in SPLITS}
    options = {
        "base_seed": arguments.seed,
        "format": arguments.format,
        "unpaired": arguments.unpaired,
    }
    try:
        write_dataset(out, counts, size, progress=progress_callback("making facades"), **options)
    except KeyboardInterrupt:
        close_bars()
        print(f"interrupted; {out} was not made", file=sys.stderr)
        return 130
    print(f"{out} holds {_contents(counts, arguments.unpaired)}, each {size}x{size}")
    return 0


def _contents(counts: dict[str, int], unpaired: bool) -> str:
    """Return in words what a dataset holds."""
    total, held = (
        sum(counts.values()), ", ".join(f"{count} {split}" for split, count in counts.items())
    )  # fmt: skip
    if unpaired:
        return f"{total} pictures by day in A and {total} others by night in B ({held} of each)"
    return f"{total} pairs ({held}): photo left, label map right"


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command and return its exit status.

    It is 0, 2 after one line on stderr for bad arguments or a bad folder, or 130 if interrupted.
    """
    return run_command(_run, _make_parser().parse_args(argv))


if __name__ == "__main__":
    sys.exit(main())
