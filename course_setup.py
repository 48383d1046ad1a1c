"""Finds the course for its notebooks; on Colab, unpacks an uploaded bundle first.

The first cell of each notebook imports this file, from the course's folder or straight out of a
bundle (`python -m tools.bundle`). COURSE is then the course's folder, and pix2pix_lib is found.
"""

import os
import sys
import tempfile
import zipfile
from pathlib import Path

NAME = "pix2pix-course"


def find_course() -> Path:
    """Return the folder of this file or, if that is inside a bundle, of the unpacked course.

    Raises:
        FileNotFoundError: if this file is in a bundle, but not on Colab.
        RuntimeError: if the newest bundle cannot be unpacked.
    """
    folder = Path(os.path.abspath(__file__)).parent
    if folder.is_dir():
        return folder
    if "google.colab" not in sys.modules:
        raise FileNotFoundError(f"unpack {folder.parent.name} and open a notebook of its folder")
    here = Path.cwd()
    bundles = [*here.glob(f"{NAME}*.zip")] or [*here.glob(f"drive/MyDrive/{NAME}*.zip")]
    return unpack(max(bundles, key=lambda file: file.stat().st_mtime), here)


def unpack(bundle: Path, here: Path) -> Path:
    """Unpack a bundle into `here`, all of it or nothing, and return the course's folder.

    Raises:
        RuntimeError: if it cannot be unpacked; the message says why and what to do.
    """
    try:
        with tempfile.TemporaryDirectory(dir=here) as folder:  # a failure leaves nothing behind
            with zipfile.ZipFile(bundle) as archive:
                names = archive.namelist()
                if any(".." in name or not name.startswith(f"{NAME}/") for name in names):
                    raise ValueError("it holds a file that belongs outside the course's folder")
                archive.extractall(folder)
            return Path(folder, NAME).rename(here / NAME)
    except Exception as error:  # a cut-off upload shows in many ways
        remedy = f"upload {NAME}.zip, made by `python -m tools.bundle`, to the Files pane"
        reason = " ".join(str(error).split())
        message = f"no course from {bundle} ({reason}): {remedy} and run this again"
        raise RuntimeError(message) from None


COURSE = find_course()
# The relative entries, by which the notebook found this file, have done their work.
sys.path[:] = [str(COURSE), *(entry for entry in sys.path if not entry or os.path.isabs(entry))]

import pix2pix_lib  # noqa: E402, F401 - first of all: it says how threads wait on a busy machine
