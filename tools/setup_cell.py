# @title Setup: finds the course; on Colab, fetches it first
import importlib.util
import sys
from pathlib import Path

bundles = [*Path().glob("pix2pix-course*.zip"), *Path("drive/MyDrive").glob("pix2pix-course*.zip")]
sys.path += [".", "..", "../..", "pix2pix-course", *(f"{bundle}/pix2pix-course" for bundle in bundles)]
if "google.colab" in sys.modules and not bundles and not importlib.util.find_spec("course_setup"):
    release = "--branch=@TAG@ @ADDRESS@"
    get_ipython().system(f"git -c advice.detachedHead=false clone -q --depth=1 {release} pix2pix-course")
importlib.invalidate_caches()
if not importlib.util.find_spec("course_setup"):
    remedy = "on Colab, upload pix2pix-course.zip, made by `python -m tools.bundle`, to the Files pane"
    raise FileNotFoundError(f"no course here: open this notebook in the course's folder; {remedy}")
COURSE = importlib.import_module("course_setup").COURSE
