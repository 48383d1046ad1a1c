# Bootstrap, the same in every notebook: find the course's folder, so that pix2pix_lib is found.
import sys
from pathlib import Path

ADDRESS, TAG, NAME = "@ADDRESS@", "@TAG@", "pix2pix-course"
here = Path.cwd()


def fetch_course():
    """On Colab: unpack a bundle that was uploaded or lies in Drive, or download the release."""
    import subprocess
    import tempfile
    import zipfile

    bundles = [*here.glob(f"{NAME}*.zip")] or [*here.glob(f"drive/MyDrive/{NAME}*.zip")]
    bundle = max(bundles, key=lambda file: file.stat().st_mtime, default=None)  # the newest
    try:
        with tempfile.TemporaryDirectory(dir=here) as folder:  # a failure leaves nothing behind
            if bundle:
                with zipfile.ZipFile(bundle) as archive:
                    names = archive.namelist()
                    if any(".." in name or not name.startswith(f"{NAME}/") for name in names):
                        outside = "it holds a file that belongs outside the course's folder"
                        raise ValueError(outside)
                    archive.extractall(folder)
            else:  # over HTTPS; git checks all that it fetches against its hashes
                clone = ["git", "clone", "--quiet", "--depth=1", f"--branch={TAG}", ADDRESS]
                clone += [f"{folder}/{NAME}"]
                subprocess.run(clone, check=True, capture_output=True, text=True)
            return Path(folder, NAME).rename(here / NAME)
    except Exception as error:  # a cut-off upload or a lost connection shows in many ways
        reason = " ".join(str(getattr(error, "stderr", "") or error).split())
        remedy = f"upload {NAME}.zip, made by `python -m tools.bundle`, to the Files pane"
        message = f"no course from {bundle or ADDRESS} ({reason}): {remedy} and run this again"
        raise RuntimeError(message) from None


COURSE = next((f for f in (here, *here.parents, here / NAME) if (f / "pix2pix_lib").is_dir()), None)
if COURSE is None and "google.colab" in sys.modules:
    COURSE = fetch_course()
if COURSE is None:
    missing = "no folder pix2pix_lib here or above: open this notebook in the course's folder"
    raise FileNotFoundError(missing)
if str(COURSE) not in sys.path:
    sys.path.insert(0, str(COURSE))

import pix2pix_lib  # noqa: F401 - first of all: it says how threads wait on a busy machine
