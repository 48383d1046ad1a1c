"""The package as pip installs it, from a wheel or in place, and used from another folder."""

import email
import os
import subprocess
import sys
import tomllib
import venv
import zipfile
from importlib.metadata import distributions
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from test_repository import requirements, tracked_files

import pix2pix_lib
from pix2pix_lib import files

ROOT = Path(__file__).parent.parent
WITHOUT_NETWORK = ["--no-deps", "--no-build-isolation", "--no-index", "--quiet"]


def pip(*arguments, python=sys.executable):
    command = [str(python), "-m", "pip", *map(str, arguments), "--disable-pip-version-check"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def source(tmp_path_factory):
    """A copy of the files that git tracks, so that building leaves nothing behind here."""
    folder = tmp_path_factory.mktemp("source")
    for file in tracked_files():
        copy = folder / file.relative_to(ROOT)
        copy.parent.mkdir(parents=True, exist_ok=True)
        copy.write_bytes(file.read_bytes())
    return folder


@pytest.fixture(scope="module")
def wheel(source, tmp_path_factory):
    folder = tmp_path_factory.mktemp("wheel")
    pip("wheel", *WITHOUT_NETWORK, "--wheel-dir", folder, source)
    [file] = folder.iterdir()
    return file


@pytest.fixture
def environment(tmp_path):
    """A fresh environment with access to this one's packages, but without the course."""
    folder = tmp_path / "environment"
    venv.create(folder, with_pip=False, symlinks=os.name != "nt")
    python = folder / ("Scripts" if os.name == "nt" else "bin") / "python"
    paths = "import sysconfig; print(sysconfig.get_path('purelib'))"
    site = run(python, "-c", paths, cwd=tmp_path)[0]
    here = [path for path in sys.path if path.endswith("site-packages")]
    Path(site, "others.pth").write_text("\n".join(here))
    return python


def run(program, *arguments, cwd):
    variables = {k: v for k, v in os.environ.items() if k != "PYTHONPATH"}
    command = [str(program), *map(str, arguments)]
    done = subprocess.run(command, cwd=cwd, env=variables, capture_output=True, text=True,
                          timeout=300)  # fmt: skip
    assert done.returncode == 0, done.stderr
    return done.stdout.splitlines()


def read_metadata(wheel):
    with zipfile.ZipFile(wheel) as archive:
        [name] = [n for n in archive.namelist() if n.endswith(".dist-info/METADATA")]
        return email.message_from_bytes(archive.read(name))


def test_version_and_dependencies_stand_in_one_place(wheel):
    found = read_metadata(wheel)
    assert found["Version"] == pix2pix_lib.__version__
    needed = {str(Requirement(line)) for line in found.get_all("Requires-Dist")}
    assert needed == {str(requirement) for requirement in requirements("requirements.txt")}
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    assert "version" not in project and "dependencies" not in project


def test_wheel_holds_the_package_its_data_and_nothing_else(wheel, source):
    with zipfile.ZipFile(wheel) as archive:
        names = {name for name in archive.namelist() if ".dist-info/" not in name}
    code = {
        file.relative_to(source).as_posix()
        for ending in ("py", "js", "css", "html")
        for file in source.glob(f"pix2pix_lib/**/*.{ending}")
    }
    data = {
        f"pix2pix_lib/course_data/{file.relative_to(source / 'data').as_posix()}"
        for part in ("sample", "weights", "earth")
        for file in (source / "data" / part).rglob("*")
        if file.is_file()
    }
    assert names == code | data | {"pix2pix_lib/course_data/README.md"}


@pytest.mark.parametrize("way", ["wheel", "editable"])
def test_installed_course_trains_and_translates_from_another_folder(
    way, wheel, source, environment, tmp_path
):
    target = [wheel] if way == "wheel" else ["--editable", source]
    pip("--python", environment, "install", *WITHOUT_NETWORK, *target)
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    where = (
        "import pix2pix_lib, pix2pix_lib.files as f\n"
        "print(pix2pix_lib.__file__, f.course_data(), f.generated_data(), sep='\\n')"
    )
    package, data, generated = run(environment, "-c", where, cwd=elsewhere)
    assert str(ROOT) not in package
    sample = Path(data) / "sample"
    if way == "wheel":
        assert Path(data).is_relative_to(tmp_path / "environment")
        assert not Path(generated).is_relative_to(tmp_path / "environment")
    else:
        assert Path(data) == Path(generated) == source / "data"

    programs = environment.parent
    tiny = "--image-size 32 --depth 4 --base-channels 4 --disc-channels 4 --disc-layers 1"
    flags = f"--out run --epochs 1 --precision float32 {tiny}"
    run(programs / "pix2pix-train", "--data", sample, *flags.split(), cwd=elsewhere)
    photo, flags = sample / "val" / "0001.jpg", "--weights run/generator.safetensors --out results"
    said = run(programs / "pix2pix-translate", "--input", photo, *flags.split(), cwd=elsewhere)
    assert said[-1].startswith("results: 1 written")
    flags = "--weights run/generator.safetensors --count 4 --out scores"
    said = run(programs / "pix2pix-evaluate", *flags.split(), cwd=elsewhere)
    assert said[-1] == str(Path("scores") / "report.html")
    snapshot = "from pix2pix_lib import load_snapshot; print(load_snapshot().percent)"
    assert run(environment, "-c", snapshot, cwd=elsewhere) == ["100"]
    missing = (
        "from pix2pix_lib.environment import missing_requirements\nprint(missing_requirements())"
    )
    assert run(environment, "-c", missing, cwd=elsewhere) == ["[]"]


def test_console_commands_are_the_mains_of_their_modules(wheel):
    with zipfile.ZipFile(wheel) as archive:
        [name] = [n for n in archive.namelist() if n.endswith("entry_points.txt")]
        lines = archive.read(name).decode().splitlines()
    assert lines[:7] == [
        "[console_scripts]",
        "pix2pix-evaluate = pix2pix_lib.evaluate:main",
        "pix2pix-fetch = pix2pix_lib.fetch:main",
        "pix2pix-page = pix2pix_lib.page:main",
        "pix2pix-prepare = pix2pix_lib.prepare:main",
        "pix2pix-train = pix2pix_lib.train:main",
        "pix2pix-translate = pix2pix_lib.translate:main",
    ]


def test_datasets_go_to_the_user_s_cache_if_the_course_cannot_be_written_to(monkeypatch):
    assert files.generated_data() == ROOT / "data" == files.course_data()
    monkeypatch.setattr(os, "access", lambda path, mode: False)
    assert files.generated_data().name == "pix2pix-course"
    assert not files.generated_data().is_relative_to(ROOT)


def test_package_exports_what_people_use_and_imports_it_late():
    for name in pix2pix_lib.__all__:
        assert getattr(pix2pix_lib, name) is not None
    with pytest.raises(AttributeError, match="no attribute 'unets'"):
        _ = pix2pix_lib.unets
    program = "import sys, pix2pix_lib; print('torch' in sys.modules, pix2pix_lib.__version__)"
    assert run(sys.executable, "-c", program, cwd=ROOT) == [f"False {pix2pix_lib.__version__}"]
    assert all(name in pix2pix_lib.__doc__ for name in ("facades", "training", "translate"))


def test_this_environment_has_no_other_version_of_the_course_installed():
    """Another version would hide that a clean clone lacks a file."""
    installed = {found.version for found in distributions(name="pix2pix-course")}
    assert installed <= {pix2pix_lib.__version__}  # with the README's commands there is none
