"""Pack what a learner needs into one file, for Colab or a machine without git.

Run: python -m tools.bundle
"""

import argparse
import hashlib
import sys
import zipfile
from io import BytesIO
from pathlib import Path

import nbformat

from pix2pix_lib.cli import CommandParser, run_command
from pix2pix_lib.files import replacing
from pix2pix_lib.validation import InputError
from tools.student import student

ROOT = Path(__file__).parent.parent
# The name of the file and of the one folder in it; the setup cell looks for both.
NAME = "pix2pix-course"
CONTENTS = ("README.md", "LICENSE", "pyproject.toml", "requirements.txt", "course_setup.py",
            "benchmarks", "data", "notebooks", "pix2pix_lib", "teaching/faq.md",
            "tools")  # fmt: skip
LIMIT = 32_000_000  # bytes, which upload in some seconds


def main(argv: list[str] | None = None) -> int:
    """Run the command and return its exit status: 0, or 2 for an error that a user can fix."""
    parser = CommandParser(
        prog="python -m tools.bundle",
        description=__doc__,
        formatter_class=argparse.ArgumentDefaultsHelpFormatter,
    )
    parser.add_argument("--out", type=Path, default=Path(f"{NAME}.zip"), help="the file to write")
    return run_command(run, parser.parse_args(argv))


def run(arguments: argparse.Namespace) -> int:
    """Write the bundle."""
    write(arguments.out)
    return 0


def write(out: Path) -> None:
    """Write the bundle and print its size."""
    archive = make_bundle(ROOT)
    with replacing(out) as temporary:
        temporary.write_bytes(archive)
    print(f"{out}: {len(archive) / 1e6:.1f} MB, SHA-256 {hashlib.sha256(archive).hexdigest()}")


def make_bundle(root: Path, limit: int = LIMIT) -> bytes:
    """Return a zip of the course in `root`, its notebooks in the student edition.

    The same files give the same bytes, whenever and wherever they are packed.

    Raises:
        FileNotFoundError: if a part of the course is missing.
        InputError: if the zip has more than `limit` bytes.
    """
    buffer = BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED, compresslevel=9) as bundle:
        for path in course_files(root):
            # Dated 1980 like all others, and with Linux's permissions, whatever system packs it.
            entry = zipfile.ZipInfo(f"{NAME}/{for_students(path.relative_to(root).as_posix())}")
            entry.create_system, entry.external_attr = 3, 0o644 << 16
            bundle.writestr(entry, content_of(path), zipfile.ZIP_DEFLATED)
        largest = sorted(bundle.infolist(), key=lambda entry: -entry.compress_size)[:3]
    if buffer.tell() > limit:
        sizes = [f"{entry.filename} ({entry.compress_size / 1e6:.1f} MB)" for entry in largest]
        raise InputError(
            f"the bundle may have {limit / 1e6:.1f} MB at most, "
            f"but has {buffer.tell() / 1e6:.1f} MB; "
            f"make its largest files smaller: {', '.join(sizes)}"
        )
    return buffer.getvalue()


def course_files(root: Path) -> list[Path]:
    """Return the bundle's files, sorted by name, without caches and generated datasets.

    Raises:
        FileNotFoundError: if a part of the course is missing.
    """
    files = []
    for part in (root / name for name in CONTENTS):
        if not part.exists():
            raise FileNotFoundError(f"{part} is missing; make the bundle from the whole course")
        files += [part] if part.is_file() else [path for path in part.rglob("*") if path.is_file()]
    kept = [path for path in files if not is_generated(path.relative_to(root))]
    return sorted(kept, key=Path.as_posix)


def is_generated(path: Path) -> bool:
    """Return whether a file is a cache, or belongs to a dataset that was drawn or fetched.

    Args:
        path: relative to the course's folder.
    """
    hidden = any(part.startswith(".") or part == "__pycache__" for part in path.parts)
    dataset = len(path.parts) > 2 and path.parts[0] == "data"
    archive = path.parts[0] == "data" and path.name.endswith(".tar.gz")  # for `fetch`
    return hidden or archive or (dataset and path.parts[1] not in ("sample", "weights", "earth"))


def content_of(path: Path) -> bytes:
    """Return what the bundle holds of a file: notebooks for students, and links to those.

    Notebooks have no outputs: their stored figures would be a third of the bundle, and running them
    makes them again.
    """
    if path.suffix == ".ipynb":
        notebook = student(nbformat.read(path, as_version=4))
        for cell in notebook.cells:
            if cell.cell_type == "code":
                cell.update(execution_count=None, outputs=[])
        return (nbformat.writes(notebook) + "\n").encode()
    if path.name == "faq.md":
        return for_students(path.read_text(encoding="utf-8")).encode()
    return path.read_bytes()


def for_students(text: str) -> str:
    """Return a path, or a text with paths, that points to the students' notebooks."""
    return text.replace("notebooks/", "student/")


if __name__ == "__main__":
    sys.exit(main())
