"""What the repository promises as a whole: commands, requirements, and what must never go in."""

import re
import subprocess
import tomllib
from pathlib import Path

import pytest
from packaging.requirements import Requirement

from pix2pix_lib.environment import missing_requirements, training_budget

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
    pattern = re.search(r"sed -n '([^']*)'", (ROOT / ".ci" / "run").read_text(encoding="utf-8")).group(1)
    found = subprocess.run(["sed", "-n", pattern, "README.md"], cwd=ROOT, capture_output=True, text=True, check=True)
    assert found.stdout.strip() == commands[0]


def test_requirements_are_lower_bounds_that_this_environment_meets():
    for name in ("requirements.txt", "requirements-dev.txt"):
        lines = [line.split("#")[0].strip() for line in (ROOT / name).read_text(encoding="utf-8").splitlines()]
        requirements = [Requirement(line) for line in lines if line and not line.startswith("-r")]
        assert requirements
        assert all(spec.operator == ">=" for r in requirements for spec in r.specifier)
    assert missing_requirements() == []


def test_missing_and_old_packages_are_named(tmp_path):
    file = tmp_path / "requirements.txt"
    file.write_text("# comment\ntorch>=999\nnot-a-package-of-ours>=1\npillow\n")
    problems = missing_requirements(file)
    assert len(problems) == 2
    assert problems[0].startswith("torch>=999 is needed, ") and problems[1] == "not-a-package-of-ours>=1 is missing"


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
    assert needed == ">=3.11" and "3.11" in README


def test_no_large_file_and_no_machine_path():
    for path in tracked_files():
        limit = 8_000_000 if path.suffix == ".safetensors" else 2_000_000
        assert path.stat().st_size < limit, path
        if path.suffix in (".py", ".md", ".toml", ".txt", ".json"):
            text = path.read_text(encoding="utf-8")
            assert not re.search(r"/(root|home|Users)/\w+/|/tmp/w/", text) or path.name == "test_repository.py", path
