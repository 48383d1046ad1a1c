"""Write what all notebooks have in common: the badge, links to the neighbours, the setup cell.

    python -m tools.set_address            rewrite the notebooks that differ
    python -m tools.set_address --check    only name those that differ; exit with 1 if any do

The course's address comes from pyproject.toml, the release's tag from the version, the setup cell
from tools/setup_cell.py, and the links from the titles. Everything else in a notebook stays as it
is, including the outputs.
"""

import argparse
import re
import sys
import tomllib
from pathlib import Path

import nbformat

from pix2pix_lib.cli import CommandParser, run_command
from pix2pix_lib.files import replacing
from pix2pix_lib.validation import InputError

ROOT = Path(__file__).parent.parent
TEMPLATE = Path(__file__).with_name("setup_cell.py")
# How the first code cell begins, or began before there was course_setup.py.
SETUP = ("# @title Setup", "# Bootstrap")
# Colab opens notebooks from GitHub only.
GITHUB = re.compile(r"https://github\.com/([\w.-]+/[\w.-]+)")
VERSION = re.compile(r'^__version__ = "(.+)"$', re.MULTILINE)
BADGE = re.compile(r"https://colab\.research\.google\.com/github/[^)\s]*")
LINKS = ("Previous: ", "Next: ")  # below the badge
TITLE = re.compile(r"# (\d\d \S.*)")


def main(argv: list[str] | None = None) -> int:
    """Return the exit status: 0, 1 if --check found a difference, 2 for a user's error."""
    parser = CommandParser(
        prog="python -m tools.set_address",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    check = "change nothing, only name what differs"
    root = "the course's folder; this one if not given"
    parser.add_argument("--check", action="store_true", help=check)
    parser.add_argument("--root", type=Path, default=ROOT, help=root)
    return run_command(run, parser.parse_args(argv))


def run(arguments: argparse.Namespace) -> int:
    """Rewrite the notebooks that differ, or name them and return 1 if there are any."""
    address, tag = published_at(arguments.root)
    differing = 0
    for path in sorted((arguments.root / "notebooks").glob("*.ipynb")):
        text = rewritten(path, address, tag)
        if text == path.read_text(encoding="utf-8"):
            continue
        differing += 1
        print(f"{path.name} {'differs' if arguments.check else 'rewritten'}")
        if not arguments.check:
            with replacing(path) as temporary:
                temporary.write_text(text, encoding="utf-8", newline="\n")
    return int(arguments.check and differing > 0)


def published_at(root: Path) -> tuple[str, str]:
    """Return the repository's address and the tag of the release, `v` and the version.

    Raises:
        InputError: if the address is not a repository on GitHub.
    """
    project = tomllib.loads((root / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    address = project["urls"]["Repository"]
    if not GITHUB.fullmatch(address):
        expected = "https://github.com/account/name"
        raise InputError(f"pyproject.toml: Repository must look like {expected}; got {address}")
    package = (root / "pix2pix_lib" / "__init__.py").read_text(encoding="utf-8")
    return address, "v" + VERSION.search(package)[1]


def rewritten(path: Path, address: str, tag: str) -> str:
    """Return a notebook's text with this address and tag, and with links to its neighbours.

    Raises:
        InputError: if the notebook has no badge in its first cell, or its first code cell is not
            the setup cell, or a neighbour has no title.
    """
    notebook = nbformat.read(path, as_version=4)
    title = notebook.cells[0]
    title.source, badges = BADGE.subn(badge_target(path.name, address, tag), title.source)
    if badges != 1:
        problem = f"the first cell must hold one Colab badge; it holds {badges}"
        raise InputError(f"{path.name}: {problem}")
    title.source = with_links(title.source, links(path))
    setup = next((cell for cell in notebook.cells if cell.cell_type == "code"), None)
    if setup is None or not setup.source.startswith(SETUP):
        problem = f"the first code cell must begin with '{SETUP[0]}'; put one there"
        raise InputError(f"{path.name}: {problem}")
    setup.source = setup_cell(address, tag)
    setup.metadata["cellView"] = "form"  # Colab shows its title and a button, and hides its code
    return nbformat.writes(notebook) + "\n"


def badge_target(name: str, address: str, tag: str) -> str:
    """Return the target of a notebook's badge: Colab, with the release's student edition of it."""
    repository = GITHUB.fullmatch(address)[1]
    return f"https://colab.research.google.com/github/{repository}/blob/{tag}/student/{name}"


def with_links(source: str, line: str) -> str:
    """Return a title cell with this line of links below the badge, in place of any older one."""
    paragraphs = [part for part in source.split("\n\n") if not part.startswith(LINKS)]
    badge = next(number for number, part in enumerate(paragraphs) if BADGE.search(part))
    paragraphs[badge + 1 : badge + 1] = [line] if line else []
    return "\n\n".join(paragraphs)


def links(path: Path) -> str:
    """Return links to the notebooks before and after this one, or "" if it is the only one."""
    order = sorted(path.parent.glob("*.ipynb"))
    here = order.index(path)
    found = []
    for word, neighbour in zip(LINKS, (order[here - 1 : here], order[here + 1 : here + 2])):
        found += [f"{word}[{title_of(path)}]({path.name})" for path in neighbour]
    return " · ".join(found)


def title_of(path: Path) -> str:
    """Return a notebook's number and title.

    Raises:
        InputError: if its first cell does not begin with them.
    """
    found = TITLE.match(nbformat.read(path, as_version=4).cells[0].source)
    if not found:
        raise InputError(f"{path.name}: the first cell must begin with a title, as in '# 01 Pairs'")
    return found[1]


def setup_cell(address: str, tag: str) -> str:
    """Return the setup cell with this address and tag."""
    template = TEMPLATE.read_text(encoding="utf-8").strip()
    return template.replace("@ADDRESS@", address).replace("@TAG@", tag)


if __name__ == "__main__":
    sys.exit(main())
