"""Writing files that are never half there, into folders that one process has to itself."""

import os
import re
import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import platformdirs
from filelock import FileLock, Timeout

from .validation import InputError


@contextmanager
def replacing(path: Path, make_folder: bool = True) -> Iterator[Path]:
    """Yield a temporary path beside `path`; its content replaces `path` when the block ends.

    If the block fails or is interrupted, `path` stays as it was and the temporary file is removed.
    Missing parent folders are made; with `make_folder=False` they are an error instead.

    Raises:
        FileNotFoundError: if the folder is missing and must not be made.
        OSError: if the disk is full or cannot be written to, with the path.
    """
    path = Path(path)
    ensure_folder(path.parent, make_folder)
    # The name keeps its ending, which image writers go by.
    temporary = path.with_name(f".{os.getpid()}-{path.name}")
    try:
        yield temporary
        with open(temporary, "rb+") as file:
            os.fsync(file.fileno())  # the bytes must be on disk before the name points at them
        os.replace(temporary, path)
    except OSError as error:
        _name_file(error, path)
        raise
    finally:
        with suppress(OSError):  # where the folder is gone, so is the file
            temporary.unlink()


def ensure_folder(folder: Path, make: bool = True) -> None:
    """Make a folder that is missing, or with `make=False` raise a FileNotFoundError."""
    if make:
        folder.mkdir(parents=True, exist_ok=True)
    elif not folder.is_dir():
        raise FileNotFoundError(
            f"{folder}: the folder is gone; it was removed, renamed, or its disk unmounted"
        )


def _name_file(error: OSError, path: Path) -> None:
    """Add the path to an error that lacks it: a failed write does not say to which file."""
    if error.errno and error.filename is None:
        error.filename = str(path)


@contextmanager
def new_folder(out: Path, *inputs: Path) -> Iterator[Path]:
    """Yield a temporary folder beside `out`, which becomes `out` when the block ends.

    Raises:
        FileExistsError: if `out` holds anything.
        InputError: if it lies in a folder that is read.
    """
    if out.exists() and not (out.is_dir() and not any(out.iterdir())):
        raise FileExistsError(f"{out} is not empty; remove it, or choose another folder")
    for folder in inputs:
        if out.resolve().is_relative_to(folder.resolve()):
            raise InputError(f"{out} lies in {folder}, which is only read; choose another folder")
    temporary = out.with_name(f".{out.name}.{os.getpid()}.partial")
    shutil.rmtree(temporary, ignore_errors=True)  # of a killed process with the same number
    try:
        temporary.mkdir(parents=True)
        yield temporary
        if out.exists():
            out.rmdir()
        temporary.rename(out)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


@contextmanager
def appending(path: Path) -> Iterator[object]:
    """Open a text file to append to; when the block ends, what was appended is on disk.

    Raises:
        OSError: if the disk is full or cannot be written to, with the path.
    """
    try:
        with open(path, "a", newline="", encoding="utf-8") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
    except OSError as error:
        _name_file(error, path)
        raise


def remove_leftovers(folder: Path) -> None:
    """Remove temporary files that killed processes left in a folder that nobody writes to now."""
    for file in folder.iterdir():
        if re.fullmatch(r"\.\d+-.+", file.name) and file.is_file():
            file.unlink()


@contextmanager
def lock_folder(folder: Path, *subfolders: str) -> Iterator[None]:
    """Reserve a folder and its `subfolders` for this process; make those that are missing.

    The lock ends with the process, however that ends. Temporary files of killed processes are
    removed at the start, and at the end the folders that were made here and are still empty.

    Raises:
        BlockingIOError: if another process holds the folder.
        OSError: if the folder cannot be made or written to.
    """
    folders = [*(folder / name for name in subfolders), folder]
    made = [each for each in (*folders, *folder.parents) if not each.exists()]
    lock_file = folder / ".lock"
    lock = FileLock(lock_file)
    try:
        try:
            for each in folders:
                each.mkdir(parents=True, exist_ok=True)
            lock.acquire(timeout=0)
        except Timeout:
            made = []
            raise BlockingIOError(
                f"{folder}: another run is writing there; wait for its end, or choose another "
                f"folder"
            ) from None
        except OSError as error:
            raise OSError(
                f"{folder}: cannot be written to ({error.strerror or error}); choose another folder"
            ) from error
        for each in folders:
            remove_leftovers(each)
        yield
    finally:
        if lock.is_locked:
            with suppress(OSError):  # Windows removes no open file; there the release does
                lock_file.unlink()
            lock.release()
        for each in made:  # from the inside out
            with suppress(OSError):  # not empty, as it should be
                each.rmdir()


def course_data() -> Path:
    """Return the folder of the sample and the weights that ship.

    In a checkout that is `data` beside the package; an installed package has it inside.
    """
    inside = Path(__file__).parent / "course_data"
    return inside if inside.is_dir() else Path(__file__).parent.parent / "data"


def course_folder() -> Path:
    """Return the course's folder, or the current one if the package is installed without it."""
    data = course_data()
    return Path.cwd() if data.parent == Path(__file__).parent else data.parent


def generated_data() -> Path:
    """Return the folder for datasets that are drawn at first use.

    That is the course's own data folder, or a folder of the user's cache if the package is
    installed or its folder cannot be written to.
    """
    data = course_data()
    if data.parent != Path(__file__).parent and os.access(data, os.W_OK):
        return data
    return platformdirs.user_cache_path("pix2pix-course")
