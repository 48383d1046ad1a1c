"""Promises of the repository as a whole: its commands, its requirements, what it never holds."""

import importlib
import re
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path
from types import ModuleType

import pytest
from packaging.requirements import Requirement

from pix2pix_lib.environment import NOT_ON_COLAB, missing_requirements, training_budget

ROOT = Path(__file__).parent.parent
README = (ROOT / "README.md").read_text(encoding="utf-8")


def tracked_files():
    listing = subprocess.run(["git", "ls-files"], cwd=ROOT, capture_output=True, text=True)
    if listing.returncode:
        pytest.skip("not a git checkout: nothing says which files belong to the project")
    return [ROOT / name for name in listing.stdout.splitlines() if (ROOT / name).is_file()]


def test_ci_runs_the_test_command_of_the_readme():
    commands = re.findall(r"^python3 -m venv .*pytest$", README, re.MULTILINE)
    assert len(commands) == 1
    script = (ROOT / ".ci" / "run").read_text(encoding="utf-8")
    pattern = re.search(r"sed -n '([^']*)'", script).group(1)
    sed = ["sed", "-n", pattern, "README.md"]
    found = subprocess.run(sed, cwd=ROOT, capture_output=True, text=True, check=True)
    assert found.stdout.strip() == commands[0]


def requirements(name):
    text = (ROOT / name).read_text(encoding="utf-8")
    lines = [line.split("#")[0].strip() for line in text.splitlines()]
    found = [Requirement(line) for line in lines if line and not line.startswith("-r")]
    assert found
    return found


def test_requirements_are_lower_bounds_that_this_environment_meets():
    for name in ("requirements.txt", "requirements-dev.txt"):
        assert all(spec.operator == ">=" for r in requirements(name) for spec in r.specifier)
    assert missing_requirements() == []


def test_colab_s_versions_meet_the_lower_bounds():
    pins = {r.name: r.specifier for r in requirements("requirements-colab.txt")}
    assert all(spec.operator == "==" for specifier in pins.values() for spec in specifier)
    for requirement in requirements("requirements.txt"):
        if requirement.name not in NOT_ON_COLAB:
            [pin] = pins[requirement.name]
            assert requirement.specifier.contains(pin.version), requirement


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], "error: Colab runs Python 3.13, and none is on PATH or in pyenv; "
             "install it, e.g. pyenv install 3.13\n"),
        (["tests"], "error: expected no argument or 'test'; got 'tests'\n"),
    ],
)  # fmt: skip
def test_colab_environment_says_in_one_line_what_it_lacks(tmp_path, arguments, message):
    # all that is on PATH, apart from a wrong Python
    (tmp_path / "dirname").symlink_to(shutil.which("dirname"))
    (tmp_path / "python3.13").write_text("#!/bin/sh\necho 3 12\n")
    (tmp_path / "python3.13").chmod(0o755)
    command = [shutil.which("bash"), ROOT / "tools" / "colab_env.sh", *arguments]
    environment = {"PATH": str(tmp_path), "PYENV_ROOT": str(tmp_path)}
    process = subprocess.run(command, text=True, capture_output=True, env=environment)
    assert (process.returncode, process.stdout, process.stderr) == (2, "", message)


def test_missing_and_old_packages_are_named(tmp_path):
    file = tmp_path / "requirements.txt"
    file.write_text("# comment\ntorch>=999\nnot-a-package-of-ours>=1\npillow\n")
    problems = missing_requirements(file)
    assert len(problems) == 2
    assert problems[0].startswith("torch>=999 is needed, ")
    assert problems[1] == "not-a-package-of-ours>=1 is missing"


def test_jupyterlab_is_missed_everywhere_but_on_colab(tmp_path, monkeypatch):
    file = tmp_path / "requirements.txt"
    file.write_text("jupyterlab>=999\ntorch>=999\n")
    missing = [problem.split(">")[0] for problem in missing_requirements(file)]
    assert missing == ["jupyterlab", "torch"]
    monkeypatch.setitem(sys.modules, "google.colab", ModuleType("google.colab"))
    assert [problem.split(">")[0] for problem in missing_requirements(file)] == ["torch"]


def test_budget_is_lesson_unless_it_is_full(monkeypatch):
    monkeypatch.delenv("PIX2PIX_BUDGET", raising=False)
    assert training_budget() == "lesson"
    monkeypatch.setenv("PIX2PIX_BUDGET", "full")
    assert training_budget() == "full"
    monkeypatch.setenv("PIX2PIX_BUDGET", "ful")
    with pytest.raises(ValueError, match="PIX2PIX_BUDGET must be one of lesson, full; got 'ful'"):
        training_budget()


def test_python_versions_agree():
    with (ROOT / "pyproject.toml").open("rb") as file:
        needed = tomllib.load(file)["project"]["requires-python"]
    assert needed == ">=3.11" and "You need Python 3.11 or newer" in README


def test_no_large_file_and_no_machine_path():
    for path in tracked_files():
        limit = 8_000_000 if path.suffix == ".safetensors" else 2_000_000
        assert path.stat().st_size < limit, path
        if path.suffix in (".py", ".md", ".toml", ".txt", ".json"):
            found = re.search(r"/(root|home|Users)/\w+/|/tmp/w/", path.read_text(encoding="utf-8"))
            assert not found or path.name == "test_repository.py", path


@pytest.mark.parametrize(
    "name", sorted(path.stem for path in (ROOT / "benchmarks").glob("[a-z]*.py"))
)
def test_each_benchmark_can_be_imported(name):
    """A script that nobody runs for weeks breaks when a name that it imports is gone."""
    assert callable(importlib.import_module(f"benchmarks.{name}").main)
