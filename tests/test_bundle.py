"""The bundle, and the bootstrap cell that unpacks it on Colab (simulated, in fresh processes)."""

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

from tools import bundle
from tools.set_address import bootstrap_cell, published_at

ROOT = Path(__file__).parent.parent
NAME = "pix2pix-course"
ADDRESS, TAG = published_at(ROOT)
COLAB = "import sys, types\nsys.modules['google.colab'] = types.ModuleType('google.colab')\n"
REPORT = """
import pix2pix_lib
print(COURSE.relative_to(Path.cwd()), Path(pix2pix_lib.__file__).parent.relative_to(COURSE))
print("torch" in sys.modules, sys.path.count(str(COURSE)))
"""
BUNDLED = f"{NAME}/pix2pix_lib/__init__.py"  # what the smallest bundle must hold


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
        "README.md", "LICENSE", "pyproject.toml", "requirements.txt", "benchmarks/a.py",
        "data/README.md", "data/sample/train/1.jpg", "pix2pix_lib/__init__.py",
        "pix2pix_lib/explorers/base.py", "data/facades_128/train/1.png", "data/facades-real/1.png",
        "pix2pix_lib/__pycache__/a.pyc", "pix2pix_lib/facades.py", "data/.facades_128/1.png",
        "data/tour.png", "data/day_night_64/train/1.png",
        "notebooks/.ipynb_checkpoints/00_a.ipynb", ".env", "runs/1.pt", "tests/test_a.py",
    ):  # fmt: skip
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(f"the text of {name}\n")
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


def write_zip(path, names):
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name in names:
            archive.writestr(name, f"# {name}\n" * 50)


def run_cell(folder, colab=True, cell=None, address=ADDRESS, tag=TAG):
    """Run the bootstrap cell in a fresh Python started in `folder`, and print what it found."""
    code = (COLAB if colab else "") + (cell or bootstrap_cell(address, tag)) + REPORT
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
    assert message.startswith("RuntimeError: no course from ")
    remedy = f"upload {NAME}.zip", "`python -m tools.bundle`"
    assert all(word in message for word in (*words, *remedy))


# --- what is in the bundle ------------------------------------------------------------------------


def test_bundle_of_this_course_is_whole_and_small(real_bundle):
    assert real_bundle.stat().st_size < 24_000_000  # the limit is 32
    names = set(contents(real_bundle))
    tracked = [
        "README.md", "LICENSE", "requirements.txt", "pyproject.toml", "data/README.md",
        "benchmarks/weights.py", "data/weights/generator.safetensors", "data/sample/dataset.json",
        "pix2pix_lib/cli.py",
    ]  # fmt: skip
    tracked += [f"notebooks/{path.name}" for path in (ROOT / "notebooks").glob("*.ipynb")]
    assert {f"{NAME}/{name}" for name in tracked} <= names
    unwanted = re.compile(r"\.\.|\\|__pycache__|/\.|/tests/|/data/(facades|day_night)")
    assert not [name for name in names if unwanted.search(name)]


def test_bundle_holds_what_a_learner_needs_and_no_caches_or_generated_data(course, tmp_path):
    (tmp_path / "b.zip").write_bytes(bundle.make_bundle(course))
    packed = contents(tmp_path / "b.zip")
    names = [
        "LICENSE", "README.md", "benchmarks/a.py", "data/README.md", "data/sample/train/1.jpg",
        "data/tour.png", "notebooks/00_a.ipynb", "pix2pix_lib/__init__.py",
        "pix2pix_lib/explorers/base.py", "pix2pix_lib/facades.py",
        "pyproject.toml", "requirements.txt",
    ]  # fmt: skip
    assert list(packed) == [f"{NAME}/{name}" for name in names]
    unchanged = [name for name in names if "ipynb" not in name]
    assert all(packed[f"{NAME}/{name}"] == (course / name).read_bytes() for name in unchanged)


def test_notebooks_are_packed_without_outputs_and_otherwise_as_they_are(course, tmp_path):
    (tmp_path / "b.zip").write_bytes(bundle.make_bundle(course))
    expected = nbformat.read(course / "notebooks" / "00_a.ipynb", as_version=4)
    expected.cells[0].update(outputs=[], execution_count=None)
    packed = contents(tmp_path / "b.zip")[f"{NAME}/notebooks/00_a.ipynb"].decode()
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


# --- the bootstrap cell ---------------------------------------------------------------------------


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
    write_zip(drive / f"{NAME}.zip", [BUNDLED])
    assert_course_found(run_cell(tmp_path), tmp_path)
    assert [path.name for path in drive.iterdir()] == [f"{NAME}.zip"]


def test_newest_upload_wins_and_any_upload_over_drive(tmp_path):
    (tmp_path / "drive" / "MyDrive").mkdir(parents=True)
    places = [f"{NAME}.zip", f"{NAME} (1).zip", f"drive/MyDrive/{NAME}.zip"]
    for time_of_change, place in enumerate(places):
        write_zip(tmp_path / place, [BUNDLED, f"{NAME}/{time_of_change}"])
        os.utime(tmp_path / place, (time_of_change, time_of_change))
    assert_course_found(run_cell(tmp_path), tmp_path)
    assert (tmp_path / NAME / "1").exists()


def test_without_bundle_the_release_is_cloned(tmp_path):
    here, repository = tmp_path / "here", tmp_path / "repository"
    here.mkdir()
    (repository / "pix2pix_lib").mkdir(parents=True)
    (repository / "pix2pix_lib" / "__init__.py").write_text("# the release\n")
    git = ["git", "-C", str(repository), "-c", "user.name=T", "-c", "user.email=t@example.org"]
    subprocess.run([*git, "init", "--quiet"], check=True)
    for command in (["add", "."], ["commit", "--quiet", "-m", "release"], ["tag", "v7"]):
        subprocess.run([*git, *command], check=True)
    (repository / "pix2pix_lib" / "__init__.py").write_text("# after the release\n")
    subprocess.run([*git, "commit", "--quiet", "-am", "later"], check=True)
    clone = ["git", "clone", "--quiet", "--bare", str(repository), str(tmp_path / "bare")]
    subprocess.run(clone, check=True)
    assert_course_found(run_cell(here, address=f"file://{tmp_path}/bare", tag="v7"), here)
    assert (here / NAME / "pix2pix_lib" / "__init__.py").read_text() == "# the release\n"


def test_clone_that_fails_says_why_and_what_to_do(tmp_path):
    address = f"file://{tmp_path}/nowhere"
    process = run_cell(tmp_path, address=address)
    assert_refused(process, address, "fatal: ", "to the Files pane and run this again")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    "name", ["/evil.txt", f"{NAME}/../../evil.txt", "../evil.txt", "evil.txt", "other/evil.txt"]
)
def test_bundle_with_a_file_outside_its_folder_is_refused(tmp_path, name):
    here = tmp_path / "a" / "b"
    here.mkdir(parents=True)
    write_zip(here / f"{NAME}.zip", [BUNDLED, name])
    assert_refused(run_cell(here), "it holds a file that belongs outside the course's folder")
    assert [path.name for path in tmp_path.rglob("*") if path.is_file()] == [f"{NAME}.zip"]
    assert not (here / NAME).exists()


@pytest.mark.parametrize(
    "damage",
    [
        lambda data: data[: len(data) // 2],  # an interrupted upload
        lambda data: data[:60] + bytes(40) + data[100:],  # in the compressed bytes of one file
        lambda data: b"",
    ],
    ids=["cut off", "inside", "empty"],
)
def test_damaged_bundle_is_refused_and_leaves_nothing(tmp_path, damage):
    path = tmp_path / f"{NAME}.zip"
    write_zip(path, [f"{NAME}/{number}" for number in range(3)])
    path.write_bytes(damage(path.read_bytes()))
    assert_refused(run_cell(tmp_path), f"{NAME}.zip (")
    assert list(tmp_path.iterdir()) == [path]


def test_course_that_is_there_is_used_as_it_is(tmp_path):
    (tmp_path / NAME / "pix2pix_lib").mkdir(parents=True)
    (tmp_path / NAME / "pix2pix_lib" / "__init__.py").touch()
    (tmp_path / f"{NAME}.zip").write_text("must not be opened")
    assert_course_found(run_cell(tmp_path), tmp_path)
    twice = bootstrap_cell(ADDRESS, TAG) + "\n" + bootstrap_cell(ADDRESS, TAG)
    assert_course_found(run_cell(tmp_path, cell=twice), tmp_path)


def test_course_is_found_from_its_notebooks_on_any_machine(tmp_path):
    (tmp_path / NAME / "pix2pix_lib").mkdir(parents=True)
    (tmp_path / NAME / "notebooks").mkdir()
    cell = bootstrap_cell(ADDRESS, TAG) + "\nprint(COURSE == here.parent)\nsys.exit()"
    assert run_cell(tmp_path / NAME / "notebooks", colab=False, cell=cell).stdout == "True\n"


def test_elsewhere_than_on_colab_nothing_is_unpacked_or_fetched(tmp_path):
    write_zip(tmp_path / f"{NAME}.zip", [BUNDLED])
    process = run_cell(tmp_path, colab=False)
    assert process.stderr.splitlines()[-1] == (
        "FileNotFoundError: no folder pix2pix_lib here or above: "
        "open this notebook in the course's folder"
    )
    assert [path.name for path in tmp_path.iterdir()] == [f"{NAME}.zip"]


def test_notebook_runs_from_an_uploaded_bundle(real_bundle, tmp_path, monkeypatch):
    here, startup = tmp_path / "content", tmp_path / "startup"
    here.mkdir()
    startup.mkdir()
    shutil.copy(real_bundle, here)
    (startup / "sitecustomize.py").write_text(COLAB)  # Python runs this before the kernel
    monkeypatch.setenv("PYTHONPATH", str(startup))
    # the kernel of this Python, not one that the user installed
    monkeypatch.setenv("JUPYTER_PREFER_ENV_PATH", "1")
    source = contents(real_bundle)[f"{NAME}/notebooks/00_start_here.ipynb"].decode()
    notebook = nbformat.reads(source, as_version=4)
    cell = nbformat.v4.new_code_cell(
        "print(sys.executable, COURSE, Path(checks.__file__).parent.parent,"
        " 'google.colab' in sys.modules)"
    )
    notebook.cells.append(cell)
    client = NotebookClient(notebook, timeout=300, resources={"metadata": {"path": str(here)}})
    client.execute()  # raises the error of any cell that fails
    outputs = notebook.cells.pop().outputs  # a line may come in several pieces
    report = "".join(output.text for output in outputs).split()
    assert report == [sys.executable, str(here / NAME), str(here / NAME), "True"]
    assert all(cell.execution_count for cell in notebook.cells if cell.cell_type == "code")
    outputs = [output for cell in notebook.cells for output in cell.get("outputs", [])]
    assert outputs and not [output.text for output in outputs if output.get("name") == "stderr"]
