"""The bundle, and the setup cell that finds the course or unpacks it on Colab (simulated)."""

import os
import re
import shutil
import subprocess
import sys
import time
import zipfile
from pathlib import Path

import nbformat
import pytest
from nbclient import NotebookClient

from benchmarks.classroom import COLAB
from tools import bundle
from tools.set_address import published_at, setup_cell

ROOT = Path(__file__).parent.parent
NAME = "pix2pix-course"
ADDRESS, TAG = published_at(ROOT)
# In a notebook, this runs what follows an exclamation mark.
SHELL = "import os\nget_ipython = lambda: types.SimpleNamespace(system=os.system)\n"
REPORT = """
assert "pix2pix_lib" in sys.modules and COURSE.is_absolute()
import pix2pix_lib
print(COURSE.relative_to(Path.cwd()), Path(pix2pix_lib.__file__).parent.relative_to(COURSE))
print("torch" in sys.modules, sys.path.count(str(COURSE)))
"""
SETUP = (ROOT / "course_setup.py").read_text(encoding="utf-8")
# What the smallest course must hold.
SMALLEST = {"course_setup.py": SETUP, "pix2pix_lib/__init__.py": "# the course\n"}
BUNDLED = {f"{NAME}/{name}": text for name, text in SMALLEST.items()}


@pytest.fixture(scope="module")
def real_bundle(tmp_path_factory):
    path = tmp_path_factory.mktemp("bundle") / f"{NAME}.zip"
    assert bundle.main(["--out", str(path)]) == 0
    return path


@pytest.fixture
def course(tmp_path):
    """A course of a few small files, some of them caches and generated data."""
    root = tmp_path / "course"
    for name in (
        "README.md", "LICENSE", "pyproject.toml", "requirements.txt", "course_setup.py",
        "benchmarks/a.py", "data/README.md", "data/sample/train/1.jpg", "pix2pix_lib/__init__.py",
        "pix2pix_lib/explorers/base.py", "data/facades_128/train/1.png", "data/facades-real/1.png",
        "pix2pix_lib/__pycache__/a.pyc", "pix2pix_lib/facades.py", "data/.facades_128/1.png",
        "data/tour.png", "data/day_night_64/train/1.png",
        "notebooks/.ipynb_checkpoints/00_a.ipynb", ".env", "runs/1.pt", "tests/test_a.py",
        "tools/__init__.py", "teaching/lessons/00_a.md",
    ):  # fmt: skip
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(f"the text of {name}\n")
    (root / "teaching" / "faq.md").write_text("[a](../notebooks/00_a.ipynb#A)\n")
    output = nbformat.v4.new_output("stream", text="a figure")
    cells = [
        nbformat.v4.new_code_cell("1 × 1", execution_count=1, id="a", outputs=[output],
                                  metadata={"tags": ["raises-exception"]}),
        nbformat.v4.new_markdown_cell("b", id="b"),
    ]  # fmt: skip
    nbformat.write(nbformat.v4.new_notebook(cells=cells), root / "notebooks" / "00_a.ipynb")
    return root


def contents(archive):
    with zipfile.ZipFile(archive) as opened:
        return {name: opened.read(name) for name in opened.namelist()}


def write_course(folder):
    for name, text in SMALLEST.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text, encoding="utf-8")


def write_zip(path, *others):
    """Write the smallest bundle, with other files before what it must hold."""
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, text in ({name: f"# {name}\n" * 50 for name in others} | BUNDLED).items():
            archive.writestr(name, text)


def run_cell(folder, colab=True, cell=None, address=ADDRESS, tag=TAG):
    """Run the setup cell in a fresh Python started in `folder`, and print what it found."""
    code = (COLAB + SHELL if colab else "") + (cell or setup_cell(address, tag)) + REPORT
    environment = {key: value for key, value in os.environ.items() if key != "PYTHONPATH"}
    return subprocess.run([sys.executable, "-W", "error", "-c", code], cwd=folder, env=environment,
                          capture_output=True, text=True, timeout=60)  # fmt: skip


def assert_course_found(process, folder):
    assert (process.returncode, process.stderr) == (0, "")
    assert process.stdout == f"{NAME} pix2pix_lib\nFalse 1\n"
    assert not list(folder.glob("tmp*"))


def assert_refused(process, *words):
    """Check that the last line names the problem and its remedy, and that it is the only error."""
    assert process.returncode == 1
    assert process.stderr.count("Traceback") == 1
    message = process.stderr.splitlines()[-1]
    remedy = f"upload {NAME}.zip, made by `python -m tools.bundle`, to the Files pane"
    assert all(word in message for word in (*words, remedy))


NOTHING = "FileNotFoundError: no course here: open this notebook in the course's folder; on Colab"


# --- what is in the bundle ------------------------------------------------------------------------


def test_bundle_of_this_course_is_whole_and_small(real_bundle):
    assert real_bundle.stat().st_size < 28_000_000  # the limit is 32
    names = set(contents(real_bundle))
    tracked = [
        "README.md", "LICENSE", "requirements.txt", "pyproject.toml", "data/README.md",
        "benchmarks/weights.py", "data/weights/generator.safetensors", "data/sample/dataset.json",
        "course_setup.py", "pix2pix_lib/cli.py",
    ]  # fmt: skip
    tracked += [f"student/{path.name}" for path in (ROOT / "notebooks").glob("*.ipynb")]
    assert {f"{NAME}/{name}" for name in tracked} <= names
    unwanted = re.compile(r"\.\.|\\|__pycache__|/\.|/tests/|/data/(facades|day_night)")
    assert not [name for name in names if unwanted.search(name)]


def test_bundle_holds_what_a_learner_needs_and_no_caches_or_generated_data(course, tmp_path):
    (tmp_path / "b.zip").write_bytes(bundle.make_bundle(course))
    packed = contents(tmp_path / "b.zip")
    names = [
        "LICENSE", "README.md", "benchmarks/a.py", "course_setup.py", "data/README.md",
        "data/sample/train/1.jpg", "data/tour.png", "student/00_a.ipynb",
        "pix2pix_lib/__init__.py", "pix2pix_lib/explorers/base.py", "pix2pix_lib/facades.py",
        "pyproject.toml", "requirements.txt", "teaching/faq.md", "tools/__init__.py",
    ]  # fmt: skip
    assert list(packed) == [f"{NAME}/{name}" for name in names]
    assert packed[f"{NAME}/teaching/faq.md"] == b"[a](../student/00_a.ipynb#A)\n"
    unchanged = [name for name in names if "ipynb" not in name and "faq" not in name]
    assert all(packed[f"{NAME}/{name}"] == (course / name).read_bytes() for name in unchanged)


def test_notebooks_are_packed_without_outputs_and_otherwise_as_they_are(course, tmp_path):
    (tmp_path / "b.zip").write_bytes(bundle.make_bundle(course))
    expected = nbformat.read(course / "notebooks" / "00_a.ipynb", as_version=4)
    expected.cells[0].update(outputs=[], execution_count=None)
    packed = contents(tmp_path / "b.zip")[f"{NAME}/student/00_a.ipynb"].decode()
    assert packed == nbformat.writes(expected) + "\n"


def test_same_files_give_the_same_bytes_whenever_and_where_they_are_packed(course, tmp_path):
    first = bundle.make_bundle(course)
    moved = tmp_path / "elsewhere" / "moved"
    shutil.copytree(course, moved)
    for path in moved.rglob("*"):
        os.utime(path, (1, 1))
        path.chmod(0o700)
    assert bundle.make_bundle(moved) == first
    (moved / "README.md").write_text("another text\n")
    assert bundle.make_bundle(moved) != first


def test_command_says_name_size_and_digest(real_bundle, tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert bundle.main([]) == 0
    out = capsys.readouterr().out
    assert (tmp_path / f"{NAME}.zip").read_bytes() == real_bundle.read_bytes()
    assert re.fullmatch(rf"{NAME}\.zip: \d+\.\d MB, SHA-256 [0-9a-f]{{64}}\n", out)


@pytest.mark.parametrize(
    ("harm", "message"),
    [
        (lambda course: (course / "LICENSE").unlink(),
         "LICENSE is missing; make the bundle from the whole course"),
        (lambda course: (course / "data" / "big.bin").write_bytes(os.urandom(32_000_000)),
         "the bundle may have 32.0 MB at most, but has 32.0 MB; make its largest files smaller: "
         f"{NAME}/data/big.bin"),
    ],
)  # fmt: skip
def test_failure_is_one_line_and_leaves_the_old_bundle(
    course, tmp_path, capsys, monkeypatch, harm, message
):
    monkeypatch.setattr(bundle, "ROOT", course)
    out = tmp_path / "out" / "b.zip"
    assert bundle.main(["--out", str(out)]) == 0
    capsys.readouterr()
    before = out.read_bytes()
    harm(course)
    assert bundle.main(["--out", str(out)]) == 2
    error = capsys.readouterr().err
    assert error.startswith("error: ") and error.count("\n") == 1 and message in error
    assert out.read_bytes() == before and list(out.parent.iterdir()) == [out]


def test_full_disk_leaves_the_old_bundle(tmp_path, capsys, monkeypatch):
    def fill_disk(path, content):
        with open(path, "wb") as file:
            file.write(content[:100])
        raise OSError("No space left on device")

    out = tmp_path / "b.zip"
    out.write_text("the old bundle")
    monkeypatch.setattr(Path, "write_bytes", fill_disk)
    assert bundle.main(["--out", str(out)]) == 2
    assert capsys.readouterr().err == "error: No space left on device\n"
    assert out.read_text() == "the old bundle" and list(tmp_path.iterdir()) == [out]


# --- the setup cell on Colab ----------------------------------------------------------------------


def test_uploaded_bundle_is_unpacked_in_seconds(real_bundle, tmp_path):
    shutil.copy(real_bundle, tmp_path)
    start = time.monotonic()
    process = run_cell(tmp_path)
    assert time.monotonic() - start < 5  # it takes a second, including the start of Python
    assert_course_found(process, tmp_path)
    files = [path for path in (tmp_path / NAME).rglob("*")
             if path.is_file() and "__pycache__" not in path.parts]  # fmt: skip
    unpacked = {path.relative_to(tmp_path).as_posix(): path.read_bytes() for path in files}
    assert unpacked == contents(real_bundle)


def test_bundle_in_drive_is_unpacked_beside_the_drive(tmp_path):
    drive = tmp_path / "drive" / "MyDrive"
    drive.mkdir(parents=True)
    write_zip(drive / f"{NAME}.zip")
    assert_course_found(run_cell(tmp_path), tmp_path)
    assert [path.name for path in drive.iterdir()] == [f"{NAME}.zip"]


def test_newest_upload_wins_and_any_upload_over_drive(tmp_path):
    (tmp_path / "drive" / "MyDrive").mkdir(parents=True)
    places = [f"{NAME}.zip", f"{NAME} (1).zip", f"drive/MyDrive/{NAME}.zip"]
    for time_of_change, place in enumerate(places):
        write_zip(tmp_path / place, f"{NAME}/{time_of_change}")
        os.utime(tmp_path / place, (time_of_change, time_of_change))
    assert_course_found(run_cell(tmp_path), tmp_path)
    assert (tmp_path / NAME / "1").exists()


def test_second_upload_beside_a_cut_off_one_is_taken(tmp_path):
    (tmp_path / f"{NAME}.zip").write_bytes(b"PK")
    os.utime(tmp_path / f"{NAME}.zip", (1, 1))
    write_zip(tmp_path / f"{NAME} (1).zip")
    assert_course_found(run_cell(tmp_path), tmp_path)


@pytest.fixture
def release(tmp_path):
    """The address of a repository with a release, v7, an earlier and a later commit."""
    folder = tmp_path / "repository"
    write_course(folder)
    git = ["git", "-C", str(folder), "-c", "user.name=T", "-c", "user.email=t@example.org"]
    subprocess.run([*git, "init", "--quiet"], check=True)
    commit = ["commit", "--quiet", "--allow-empty", "-m", "a commit"]
    for command in (commit, ["add", "."], commit, ["tag", "v7"]):
        subprocess.run([*git, *command], check=True)
    (folder / "pix2pix_lib" / "__init__.py").write_text("# after the release\n")
    subprocess.run([*git, "commit", "--quiet", "-am", "later"], check=True)
    clone = ["git", "clone", "--quiet", "--bare", str(folder), str(tmp_path / "bare")]
    subprocess.run(clone, check=True)
    return f"file://{tmp_path}/bare"


@pytest.fixture
def here(tmp_path):
    """A folder like Colab's at its start, with nothing of the course."""
    folder = tmp_path / "content"
    (folder / "sample_data").mkdir(parents=True)
    return folder


def test_without_bundle_the_release_is_cloned(release, here):
    assert_course_found(run_cell(here, address=release, tag="v7"), here)
    assert (here / NAME / "pix2pix_lib" / "__init__.py").read_text() == "# the course\n"
    history = ["git", "-C", str(here / NAME), "rev-list", "--count", "HEAD"]
    assert subprocess.run(history, capture_output=True, text=True).stdout == "1\n"


def test_clone_that_fails_says_why_and_what_to_do(tmp_path, here):
    address = f"file://{tmp_path}/nowhere"
    process = run_cell(here, address=address)
    assert_refused(process, NOTHING)
    assert "fatal: " in process.stderr and address.removeprefix("file://") in process.stderr
    assert [path.name for path in here.iterdir()] == ["sample_data"]


@pytest.mark.parametrize("mended", ["connection", "upload"])
def test_cell_looks_again_after_the_remedy(release, here, tmp_path, mended):
    """Python remembers folders and zips in which it found nothing."""
    bundle, away = here / f"{NAME}.zip", tmp_path / "away"
    write_zip(tmp_path / "whole.zip")
    (tmp_path / "bare").rename(away)
    if mended == "upload":
        bundle.write_bytes(b"PK")
        mend = f"os.replace({str(tmp_path / 'whole.zip')!r}, {str(bundle)!r})"
    else:
        mend = f"os.replace({str(away)!r}, {str(tmp_path / 'bare')!r})"
    cell = setup_cell(release, "v7")
    tried = f"try:\n    exec({cell!r})\nexcept FileNotFoundError:\n    {mend}\n"
    process = run_cell(here, cell=tried + cell)
    assert process.returncode == 0, process.stderr
    assert process.stdout == f"{NAME} pix2pix_lib\nFalse 1\n"


@pytest.mark.parametrize(
    "name", ["/evil.txt", f"{NAME}/../../evil.txt", "../evil.txt", "evil.txt", "other/evil.txt"]
)
def test_bundle_with_a_file_outside_its_folder_is_refused(tmp_path, name):
    here = tmp_path / "a" / "b"
    here.mkdir(parents=True)
    write_zip(here / f"{NAME}.zip", name)
    outside = "it holds a file that belongs outside the course's folder"
    assert_refused(run_cell(here), "RuntimeError: no course from ", outside)
    assert [path.name for path in tmp_path.rglob("*") if path.is_file()] == [f"{NAME}.zip"]
    assert not (here / NAME).exists()


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (lambda data: data[: len(data) // 2], NOTHING),  # an interrupted upload
        (lambda data: b"", NOTHING),
        # in the compressed bytes of one file
        (lambda data: data[:60] + bytes(40) + data[100:], f"{NAME}.zip ("),
    ],
    ids=["cut off", "empty", "inside"],
)
def test_damaged_bundle_is_refused_and_leaves_nothing(release, here, damage, message):
    path = here / f"{NAME}.zip"
    write_zip(path, *(f"{NAME}/{number}" for number in range(3)))
    path.write_bytes(damage(path.read_bytes()))
    # The release could be fetched, but is not what was asked for.
    assert_refused(run_cell(here, address=release, tag="v7"), message)
    assert {path.name for path in here.iterdir()} == {f"{NAME}.zip", "sample_data"}


def test_course_that_is_there_is_used_as_it_is(tmp_path):
    write_course(tmp_path / NAME)
    (tmp_path / f"{NAME}.zip").write_text("must not be opened")
    assert_course_found(run_cell(tmp_path), tmp_path)
    twice = setup_cell(ADDRESS, TAG) + "\n" + setup_cell(ADDRESS, TAG)
    assert_course_found(run_cell(tmp_path, cell=twice), tmp_path)


# --- the setup cell on any machine ----------------------------------------------------------------


@pytest.mark.parametrize("colab", [False, True])
@pytest.mark.parametrize("folder", [".", "notebooks", "notebooks/mine", "runs/first"])
def test_course_is_found_from_its_folders(tmp_path, folder, colab):
    course = tmp_path / "A course – mine"
    write_course(course)
    (course / folder).mkdir(parents=True, exist_ok=True)
    cell = setup_cell(f"file://{tmp_path}/nowhere", TAG)
    cell += "\nprint(COURSE, sys.path[0], [e for e in sys.path if e.startswith('.')], sep='\\n')"
    process = run_cell(course / folder, colab=colab, cell=cell + "\nsys.exit()")
    assert (process.returncode, process.stderr) == (0, "")
    assert process.stdout == f"{course}\n{course}\n[]\n"


def test_course_below_the_working_directory_is_found(tmp_path):
    write_course(tmp_path / NAME)
    assert_course_found(run_cell(tmp_path, colab=False), tmp_path)


def test_outside_the_course_the_error_is_one_line(tmp_path):
    process = run_cell(tmp_path, colab=False)
    assert_refused(process, NOTHING)
    assert list(tmp_path.iterdir()) == []


def test_elsewhere_than_on_colab_nothing_is_unpacked(tmp_path):
    write_zip(tmp_path / f"{NAME}.zip")
    process = run_cell(tmp_path, colab=False)
    message = f"FileNotFoundError: unpack {NAME}.zip and open a notebook of its folder"
    assert process.stderr.splitlines()[-1] == message
    assert [path.name for path in tmp_path.iterdir()] == [f"{NAME}.zip"]


# --- notebooks that begin with it -----------------------------------------------------------------


def run_notebook(notebook, folder):
    """Run a notebook in a kernel of this Python that starts in `folder`."""
    client = NotebookClient(notebook, timeout=300, resources={"metadata": {"path": str(folder)}})
    client.execute()  # raises the error of any cell that fails


@pytest.fixture
def colab_kernels(tmp_path, monkeypatch):
    """Kernels take themselves for Colab's."""
    startup = tmp_path / "startup"
    startup.mkdir()
    (startup / "sitecustomize.py").write_text(COLAB)  # Python runs this before the kernel
    monkeypatch.setenv("PYTHONPATH", str(startup))
    # the kernel of this Python, not one that the user installed
    monkeypatch.setenv("JUPYTER_PREFER_ENV_PATH", "1")


def test_notebook_opened_by_its_badge_fetches_the_release(release, here, colab_kernels):
    cells = [setup_cell(release, "v7"), "import pix2pix_lib\nprint(COURSE, pix2pix_lib.__file__)"]
    cells = [nbformat.v4.new_code_cell(source) for source in cells]
    run_notebook(nbformat.v4.new_notebook(cells=cells), here)
    printed = [[output.text for output in cell.outputs] for cell in cells]
    assert printed == [[], [f"{here / NAME} {here / NAME / 'pix2pix_lib' / '__init__.py'}\n"]]


def test_notebook_runs_from_an_uploaded_bundle(real_bundle, here, colab_kernels):
    shutil.copy(real_bundle, here)
    source = contents(real_bundle)[f"{NAME}/student/00_start_here.ipynb"].decode()
    notebook = nbformat.reads(source, as_version=4)
    cell = nbformat.v4.new_code_cell(
        "print(sys.executable, COURSE, Path(checks.__file__).parent.parent,"
        " 'google.colab' in sys.modules)"
    )
    notebook.cells.append(cell)
    run_notebook(notebook, here)
    outputs = notebook.cells.pop().outputs  # a line may come in several pieces
    report = "".join(output.text for output in outputs).split()
    assert report == [sys.executable, str(here / NAME), str(here / NAME), "True"]
    assert all(cell.execution_count for cell in notebook.cells if cell.cell_type == "code")
    outputs = [output for cell in notebook.cells for output in cell.get("outputs", [])]
    assert outputs and not [output.text for output in outputs if output.get("name") == "stderr"]
