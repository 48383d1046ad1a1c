# Bootstrap, the same in every notebook: find the course's folder, so that pix2pix_lib can be
# imported.
import sys
from pathlib import Path

ADDRESS, TAG, NAME = "@ADDRESS@", "@TAG@", "pix2pix-course"
here = Path.cwd()


def fetch_course():
    """On Colab: unpack a bundle that was uploaded or lies in Drive, or else download the release."""
    import subprocess
    import tempfile
    import zipfile

    bundles = [*here.glob(f"{NAME}*.zip")] or [*here.glob(f"drive/MyDrive/{NAME}*.zip")]
    bundle = max(bundles, key=lambda file: file.stat().st_mtime, default=None)  # the newest
    try:
        with tempfile.TemporaryDirectory(
            dir=here
        ) as folder:  # what fails half-way leaves nothing behind
            if bundle:
                with zipfile.ZipFile(bundle) as archive:
                    names = archive.namelist()
                    if any(".." in name or not name.startswith(f"{NAME}/") for name in names):
                        raise ValueError("it holds a file that belongs outside the course's folder")
                    archive.extractall(folder)
            else:  # over HTTPS, from the address above; git checks all that it fetches against its hashes
                clone = [
                    "git",
                    "clone",
                    "--quiet",
                    "--depth=1",
                    f"--branch={TAG}",
                    ADDRESS,
                    f"{folder}/{NAME}",
                ]
                subprocess.run(clone, check=True, capture_output=True, text=True)
            return Path(folder, NAME).rename(here / NAME)
    except Exception as error:  # a cut-off upload or a lost connection shows in many ways
        reason = " ".join(str(getattr(error, "stderr", "") or error).split())
        raise RuntimeError(
            f"no course from {bundle or ADDRESS} ({reason}): upload {NAME}.zip, made by "
            "`python -m tools.bundle`, to the Files pane and run this again"
        ) from None


COURSE = next((f for f in (here, *here.parents, here / NAME) if (f / "pix2pix_lib").is_dir()), None)
if COURSE is None and "google.colab" in sys.modules:
    COURSE = fetch_course()
if COURSE is None:
    raise FileNotFoundError(
        "no folder pix2pix_lib here or above: open this notebook in the course's folder"
    )
if str(COURSE) not in sys.path:
    sys.path.insert(0, str(COURSE))
