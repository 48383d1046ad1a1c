"""Check a folder of pairs, or make one that train reads: python -m pix2pix_lib.prepare --help."""

import argparse
import json
import logging
import sys
import textwrap
from collections import Counter
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from .cli import CommandParser, run_command
from .progress import close_bars, progress_callback
from .validation import InputError

if TYPE_CHECKING:  # these take seconds to import, and --help needs none
    from .checking import Finding
    from .layouts import Found
    from .looks import Entry, Look

log = logging.getLogger("pix2pix_lib.prepare")

SHOWN = 24  # pairs on the contact sheet
METHODS = ("canny", "sobel")  # as in `making.draw_edges`


def main(argv: list[str] | None = None) -> int:
    """Run the command and return its exit status.

    It is 0, 1 if `check` found something, 2 for an error that a person can mend, or 130 if
    interrupted.
    """
    arguments = make_parser().parse_args(argv)
    return run_command(arguments.run, arguments)


def make_parser() -> CommandParser:
    """Return the parser, with one subcommand for each task."""
    parser = CommandParser(
        prog="python -m pix2pix_lib.prepare",
        description="Check a folder of pairs, or make one. What the commands make is what "
        "train --data reads. Folders that are read stay as they are, and none that holds anything "
        "is written to.",
    )
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    check = _command(commands, "check", run_check, "what is there, and what may be wrong with it")
    check.add_argument("--max-pairs", type=_positive, default=2000, metavar="N",
        help="look at the first N pairs of each split (default 2000)")  # fmt: skip
    check.add_argument("--out", type=Path, metavar="NEW", help="for pairs.png and check.json")
    split = _command(commands, "split", run_split, "copy a set into train, val and test")
    split.add_argument("--val", type=float, default=0.1, metavar="SHARE", help="(default 0.1)")
    split.add_argument("--test", type=float, default=0.0, metavar="SHARE", help="(default 0)")
    split.add_argument("--by-scene", action="store_true",
        help="keep together what shows one scene: pairs in one folder whose names differ by the "
        "number at the end, and pictures that look alike")  # fmt: skip
    shards = _command(commands, "shards", run_shards, "pack a set into tar files")
    shards.add_argument("--pairs-per-shard", type=_positive, default=1000, metavar="N")
    for command in (check, split, shards):
        command.add_argument("folder", type=Path, metavar="DIR")
        command.add_argument("--layout", default="auto", metavar="NAME", help="as in train")
        command.add_argument("--a", default="", metavar="TEXT", help="in the path of each A")
        command.add_argument("--b", default="", metavar="TEXT", help="in the path of each B")
    join = _command(commands, "join", run_join, "two folders into one, pairs side by side as PNG")
    join.add_argument("folder", type=Path, metavar="A_DIR")
    join.add_argument("folder_b", type=Path, metavar="B_DIR")
    edges = _command(commands, "edges", run_edges, "photos into pairs: edges (A), photo (B)")
    edges.add_argument("--method", choices=METHODS, default="canny", help="(default canny)")
    edges.add_argument("--sigma", type=float, default=2.0,
        help="blur before the search, in pixels; more leaves fewer edges (default 2)")  # fmt: skip
    grey = _command(commands, "grey", run_grey, "photos into pairs: L of Lab (A), photo (B)")
    for command in (edges, grey):
        command.add_argument("folder", type=Path, metavar="DIR")
        command.add_argument("--size", type=_positive, metavar="N",
            help="shrink photos to a shorter side of N pixels first")  # fmt: skip
    for command in (split, shards, join, edges, grey):
        command.add_argument("--out", type=Path, required=True, metavar="NEW",
            help="the folder to make; it must be missing or empty")  # fmt: skip
    for command in (split, shards):
        command.add_argument("--seed", type=int, default=0, help="of the order (default 0)")
    return parser


def _command(commands, name: str, run: Callable, text: str) -> CommandParser:
    command = commands.add_parser(name, help=text, description=f"{text}.")
    command.set_defaults(run=run)
    return command


def _positive(text: str) -> int:
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"must be 1 or more; got {text}")
    return int(text)


# --- check --------------------------------------------------------------------------------------


def run_check(arguments: argparse.Namespace) -> int:
    """Print what is in a folder and what may be wrong; return 1 if something is, else 0."""
    from .checking import Finding, check
    from .files import new_folder

    findings = []
    try:
        found = _find(arguments)
    except (FileNotFoundError, InputError) as error:
        try:
            found = _find(arguments, skip_orphans=True)
        except (FileNotFoundError, InputError):
            raise error from None
        findings.append(Finding("orphans", (), str(error), "see there; they are left out here"))
    most = arguments.max_pairs
    splits = {split: pairs[:most] for split, pairs in found.splits.items()}
    entries, more = check(splits, progress_callback("looking at pairs"))
    findings += more
    close_bars()
    for split, pairs in found.splits.items():
        if len(pairs) > most:
            log.info("note: looked at the first %d of %d pairs of %s", most, len(pairs), split)
    if len(found.splits) == 1:
        log.info(
            "note: one split; train holds back every tenth pair (see prepare split --by-scene)"
        )
    sides = {side.upper(): [getattr(e, side) for e in entries] for side in "ab"}
    for name, looks in sides.items():
        log.info("%s: %s", name, "; ".join(_summary(looks).values()))
    log.info("%s", _table(findings))
    if arguments.out:
        with new_folder(arguments.out, arguments.folder) as folder:
            _write_report(folder, found, entries, findings)
        log.info("%s shows pairs, the worst first", arguments.out / "pairs.png")
    return 1 if findings else 0


def _find(arguments: argparse.Namespace, skip_orphans: bool = False) -> "Found":
    """Return where the pairs lie, and say it."""
    from .layouts import describe, find_dataset

    options = arguments.layout, arguments.a, arguments.b
    found = find_dataset(arguments.folder, *options, skip_orphans=skip_orphans)
    log.info("%s", describe(found))
    for note in found.notes:
        log.info("note: %s", note)
    return found


def _summary(looks: "list[Look]") -> dict[str, str]:
    """Return sizes, modes and values of the pictures of one side, in words."""
    if not looks:
        return {"size": "no picture could be read"}
    sizes = sorted({look.size[::-1] for look in looks})
    ends = " to ".join(
        f"{width}x{height}" for width, height in dict.fromkeys((sizes[0], sizes[-1]))
    )
    modes = Counter(f"{look.format} {look.mode}".strip() for look in looks)
    return {
        "size": ends + (f" ({len(sizes)} sizes)" if len(sizes) > 1 else ""),
        "modes": ", ".join(f"{count} {mode}" for mode, count in modes.most_common()),
        "values": f"values {min(look.values[0] for look in looks):g}.."
        f"{max(look.values[1] for look in looks):g}",
    }


def _table(findings: "list[Finding]") -> str:
    """Return the findings as text: what, in how many pairs, which, and what to do."""
    if not findings:
        return "nothing found that looks wrong"
    width = max(len(each.kind) for each in findings)
    lines = [f"{'found':{width}}  pairs  which, why, what to do"]
    for each in findings:
        names = ", ".join(each.names[:4]) + (" ..." if len(each.names) > 4 else "")
        rest = [names, each.message, f"-> {each.remedy}"]
        head = f"{each.kind:{width}}  {len(each.names) or '':>5}  "
        for text in filter(None, rest):
            lines += textwrap.wrap(
                text, 110, initial_indent=head, subsequent_indent=" " * len(head),
                break_long_words=False, break_on_hyphens=False,
            )  # fmt: skip
            head = " " * len(head)
    return "\n".join(lines)


def _write_report(
    folder: Path, found: "Found", entries: "list[Entry]", findings: "list[Finding]"
) -> None:
    from .looks import contact_sheet

    report = {
        "layout": found.layout,
        "reason": found.reason,
        "pairs": {split: len(pairs) for split, pairs in found.splits.items()},
        "notes": found.notes,
        "sides": {side.upper(): _summary([getattr(e, side) for e in entries]) for side in "ab"},
        "findings": [vars(each) for each in findings],
    }
    text = json.dumps(report, indent=2, ensure_ascii=False) + "\n"
    (folder / "check.json").write_text(text, encoding="utf-8")
    if entries:
        contact_sheet(*_worst_first(entries, findings)).save(folder / "pairs.png")


def _worst_first(
    entries: "list[Entry]", findings: "list[Finding]"
) -> "tuple[list[Entry], dict[str, str]]":
    """Return up to `SHOWN` pairs, some of each finding, and by name what was found on them."""
    order, faults = {}, {}
    for each in findings:
        for rank, name in enumerate(each.names if len(each.names) < len(entries) else ()):
            order[name] = min(rank, order.get(name, rank))
            faults.setdefault(name, []).append(each.kind)
    worst = sorted(entries, key=lambda entry: order.get(entry.name, SHOWN))[:SHOWN]
    return worst, {name: ", ".join(kinds) for name, kinds in faults.items()}


# --- the other commands -------------------------------------------------------------------------


def run_split(arguments: argparse.Namespace) -> int:
    """Copy the files of a set that is not split into train, val and test; return 0."""
    from .making import split_dataset

    found = _find(arguments)
    if len(found.splits) > 1:
        raise InputError(
            f"{arguments.folder} is split already, into {', '.join(found.splits)}; give a folder "
            "that is not, or copy its pairs into one"
        )
    (pairs,) = found.splits.values()
    shares = {"val": arguments.val, "test": arguments.test}
    counts = split_dataset(
        pairs, arguments.folder, arguments.out, shares, arguments.by_scene, arguments.seed
    )
    text = ", ".join(f"{count} {split}" for split, count in counts.items())
    log.info("%s: %s", arguments.out, text)
    return 0


def run_shards(arguments: argparse.Namespace) -> int:
    """Pack a set into tar files; return 0."""
    from .files import new_folder
    from .shards import write_shards

    found, bar = _find(arguments), progress_callback("packing")
    with new_folder(arguments.out, arguments.folder) as folder:
        options = arguments.pairs_per_shard, arguments.seed
        shards = write_shards(found.splits, folder, *options, bar)
    counts = ", ".join(
        f"{sum(shard.pairs for shard in part)} {split} in {len(part)}"
        for split, part in shards.items()
    )
    log.info("%s: %s", arguments.out, counts)
    return 0


def run_join(arguments: argparse.Namespace) -> int:
    """Put the images of two folders side by side; return 0."""
    from .making import join_folders

    return _say(arguments, join_folders(arguments.folder, arguments.folder_b, arguments.out))


def run_edges(arguments: argparse.Namespace) -> int:
    """Make pairs of edges and photo; return 0."""
    from .making import draw_edges, pairs_from_photos

    if arguments.sigma < 0:
        raise InputError(f"--sigma must be 0 or more; got {arguments.sigma:g}")
    draw = partial(draw_edges, method=arguments.method, sigma=arguments.sigma)
    count = pairs_from_photos(arguments.folder, arguments.out, draw, arguments.size)
    return _say(arguments, count)


def run_grey(arguments: argparse.Namespace) -> int:
    """Make pairs of grey and coloured picture; return 0."""
    from .making import lightness, pairs_from_photos

    count = pairs_from_photos(arguments.folder, arguments.out, lightness, arguments.size)
    return _say(arguments, count)


def _say(arguments: argparse.Namespace, count: int) -> int:
    log.info("%s: %d pairs, A left and B right", arguments.out, count)
    return 0


if __name__ == "__main__":
    sys.exit(main())
