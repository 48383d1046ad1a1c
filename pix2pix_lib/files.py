"""Writing files so that a reader never meets half of one, into folders that one process has to itself."""

import os
import re
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from filelock import FileLock, Timeout


@contextmanager
def replacing(path: Path, make_folder: bool = True) -> Iterator[Path]:
    """Give a temporary path beside `path`; what the block writes there replaces `path` in one step at its end.

    If the block fails or is interrupted, `path` is left as it was and the temporary file is removed. Missing parent
    folders are made, or with `make_folder=False` are an error: whoever made them expects them to be there still.

    Raises:
        FileNotFoundError: if the folder is missing and must not be made.
        OSError: if the disk is full or cannot be written to, with the path.
    """
    path = Path(path)
    if make_folder:
        path.parent.mkdir(parents=True, exist_ok=True)
    elif not path.parent.is_dir():
        raise FileNotFoundError(f"{path.parent}: the folder is gone; it was removed, renamed, or its disk unmounted")
    temporary = path.with_name(f".{os.getpid()}-{path.name}")  # keeps the ending, which image writers go by
    try:
        yield temporary
        with open(temporary, "rb+") as file:
            os.fsync(file.fileno())  # the bytes must be on the disk before the name points at them
        os.replace(temporary, path)
    except OSError as error:
        if error.errno and error.filename is None:  # a failed write does not say to which file
            error.filename = str(path)
        raise
    finally:
        with suppress(OSError):  # where the folder is gone, so is the file; the first error is the one to hear of
            temporary.unlink()


def remove_leftovers(folder: Path) -> None:
    """Remove the temporary files that killed processes left in a folder, in which nobody else may be writing now."""
    for file in folder.iterdir():
        if re.fullmatch(r"\.\d+-.+", file.name) and file.is_file():
            file.unlink()


@contextmanager
def held_folder(folder: Path, *inside: str) -> Iterator[None]:
    """Keep a folder, and those `inside` it, for this process alone until the block ends; make those that are missing.

    The lock ends with the process, however that ends. Temporary files of killed processes are removed at the start.
    At the end so are the folders that were made here and are still empty.

    Raises:
        BlockingIOError: if another process holds the folder.
        OSError: if the folder cannot be made or written to.
    """
    folders = [*(folder / name for name in inside), folder]
    made = [each for each in (*folders, *folder.parents) if not each.exists()]
    lock_file = folder / ".lock"
    lock = FileLock(lock_file)
    try:
        for each in folders:
            each.mkdir(parents=True, exist_ok=True)
        lock.acquire(timeout=0)
    except Timeout:
        raise BlockingIOError(f"{folder}: another run is writing there; wait for its end, or choose another folder"
                              ) from None
    except OSError as error:
        raise OSError(f"{folder}: cannot be written to ({error.strerror or error}); choose another folder") from error
    try:
        for each in folders:
            remove_leftovers(each)
        yield
    finally:
        with suppress(OSError):  # Windows removes no open file; there the release does
            lock_file.unlink()
        lock.release()
        for each in made:  # from the inside out
            with suppress(OSError):  # not empty, as it should be
                each.rmdir()
