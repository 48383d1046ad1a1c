"""JupyterLab on loopback and a headless Chromium, to use notebooks by mouse and keyboard.

They need playwright for Python, and Chromium from the system's packages ($CHROMIUM, or on PATH). If
one is missing, the tests are skipped with the reason, or fail if PIX2PIX_REQUIRE_BROWSER is set, as
it is in CI.

The fixtures last for one module, not for the session: playwright keeps an asyncio loop running in
this thread, and later tests should find none.
"""

import ast
import contextlib
import json
import os
import re
import secrets
import shutil
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path
from urllib.error import URLError

import nbformat
import pytest
from jupyter_pages import PATIENCE, Lab, new_page, open_notebook, run_all, stop_kernels

ROOT = Path(__file__).parents[2]
NEEDED = ("pix2pix_lib", "notebooks", "data/sample", "data/weights", "requirements.txt",
          "pyproject.toml", "course_setup.py")  # fmt: skip
# Many containers refuse Chromium's sandbox, and the pages are our own.
FLAGS = ["--no-sandbox", "--disable-gpu", "--disable-background-networking", "--no-first-run",
         "--disable-sync"]  # fmt: skip
SETTINGS = {
    # The page holds all cells, including those out of sight.
    "notebook-extension/tracker": {"windowingMode": "none"},
    "docmanager-extension/plugin": {"autosave": False},
    "apputils-extension/notification": {"fetchNews": "false", "checkForUpdates": False},
}


@pytest.fixture(scope="module")
def lab(tmp_path_factory):
    home = tmp_path_factory.mktemp("lab")
    project = copy_project(home / "project")
    token = secrets.token_urlsafe()
    address = f"http://127.0.0.1:{free_port()}/"
    with (home / "lab.log").open("w") as log:
        server = start_lab(project, home, address, token, log)
        # Terminating the tests also ends the server.
        before = signal.signal(signal.SIGTERM, signal.default_int_handler)
        try:
            yield wait_for(Lab(address, token, project), server, home / "lab.log")
        finally:
            signal.signal(signal.SIGTERM, before)
            stop(server)


@pytest.fixture(scope="module")
def browser():
    chromium = find_chromium()
    try:
        from playwright.sync_api import sync_playwright
    except ImportError:
        give_up("playwright is not installed: pip install -r requirements-dev.txt")
    if chromium is None:
        give_up("no Chromium: install it from your system's packages, or set CHROMIUM to its path")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium, args=FLAGS)
        yield browser
        browser.close()


@pytest.fixture(scope="module")
def notebook(browser, lab, request):
    """The notebook that request.param names (without .ipynb), open and run."""
    opened = new_page(browser)
    open_notebook(opened.page, lab, f"notebooks/{request.param}.ipynb")
    run_all(opened.page)
    errors = opened.page.locator('[data-mime-type="application/vnd.jupyter.error"]')
    assert errors.all_inner_texts() == []
    yield opened
    opened.page.close()
    stop_kernels(lab)


def give_up(reason: str) -> None:
    """Skip the tests for this reason, or fail if they are required."""
    (pytest.fail if os.environ.get("PIX2PIX_REQUIRE_BROWSER") else pytest.skip)(reason)


def find_chromium() -> str | None:
    """Return the program that CHROMIUM names, or else the first one on PATH."""
    programs = (os.environ.get("CHROMIUM"), "chromium", "chromium-browser", "google-chrome")
    return next(filter(None, (shutil.which(program) for program in programs if program)), None)


def copy_project(to: Path) -> Path:
    """Copy what the notebooks need, so that they write nothing into the project.

    Only the code cells that the explorers need are kept: nbval runs all of them elsewhere.
    """
    for name in NEEDED:
        (to / name).parent.mkdir(parents=True, exist_ok=True)
        if (ROOT / name).is_dir():
            caches = shutil.ignore_patterns("__pycache__", ".ipynb_checkpoints")
            shutil.copytree(ROOT / name, to / name, ignore=caches)
        else:
            shutil.copy(ROOT / name, to / name)
    for path in (to / "notebooks").glob("*.ipynb"):
        notebook = nbformat.read(path, as_version=4)
        kept = cells_for_explorers([cell.source for cell in code_cells(notebook)])
        sources = iter(kept)
        notebook.cells = [c for c in notebook.cells if c.cell_type != "code" or next(sources)]
        nbformat.write(notebook, path)
    return to


def code_cells(notebook: nbformat.NotebookNode) -> list[nbformat.NotebookNode]:
    return [cell for cell in notebook.cells if cell.cell_type == "code"]


def cells_for_explorers(sources: list[str]) -> list[bool]:
    """Return which code cells to keep: those that make an explorer, and those that they use."""
    trees = [ast.parse(source) for source in sources]
    explorer = re.compile(r"(Explorer|Player|Painter|Designer|Stepper)\(")
    kept = [bool(explorer.search(source)) for source in sources]
    kept[0] = True  # the setup cell
    needed: set[str] = set()
    for number in reversed(range(len(sources))):
        names = [node for node in ast.walk(trees[number]) if isinstance(node, ast.Name)]
        imported = {
            (alias.asname or alias.name).split(".")[0]
            for node in ast.walk(trees[number])
            if isinstance(node, ast.Import | ast.ImportFrom)
            for alias in node.names
        }
        stored = {node.id for node in names if isinstance(node.ctx, ast.Store)} | imported
        kinds = ast.FunctionDef | ast.ClassDef
        stored |= {node.name for node in trees[number].body if isinstance(node, kinds)}
        kept[number] |= bool(stored & needed)
        if kept[number]:
            needed -= stored
            needed |= {node.id for node in names if isinstance(node.ctx, ast.Load)} - stored
    return kept


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def start_lab(project: Path, home: Path, address: str, token: str, log) -> subprocess.Popen:
    """Start a server with its own settings; it neither sees nor changes yours, or your kernels."""
    settings = home / "config" / "lab" / "user-settings" / "@jupyterlab"
    for name, setting in SETTINGS.items():
        file = settings / f"{name}.jupyterlab-settings"
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(json.dumps(setting))
    environment = {
        **os.environ,
        "JUPYTER_TOKEN": token,
        "JUPYTER_CONFIG_DIR": str(home / "config"),
        "JUPYTER_DATA_DIR": str(home / "data"),
        "JUPYTER_RUNTIME_DIR": str(home / "runtime"),
    }
    port = address.rstrip("/").rpartition(":")[2]
    # Another JupyterLab can be tried, as one of ipywidgets 7.
    python = os.environ.get("PIX2PIX_LAB_PYTHON", sys.executable)
    command = [
        python, "-m", "jupyterlab", "--no-browser", "--allow-root", "--ip=127.0.0.1",
        f"--port={port}", "--ServerApp.port_retries=0", "--LabApp.expose_app_in_browser=True",
        f"--ServerApp.root_dir={project}",
    ]  # fmt: skip
    return subprocess.Popen(command, cwd=project, env=environment, stdout=log, stderr=log,
                            start_new_session=True)  # fmt: skip


def wait_for(lab: Lab, server: subprocess.Popen, log: Path) -> Lab:
    """Return the server as soon as it answers."""
    end = time.monotonic() + PATIENCE / 1000
    while server.poll() is None and time.monotonic() < end:
        with contextlib.suppress(URLError):
            lab.request("api/status")
            return lab
        time.sleep(0.2)
    pytest.fail(f"JupyterLab did not start:\n{log.read_text()[-2000:]}")


def stop(server: subprocess.Popen) -> None:
    """Ask the server to stop itself and its kernels, or else force them to."""
    server.terminate()
    try:
        server.wait(30)
    except subprocess.TimeoutExpired:
        os.killpg(server.pid, signal.SIGKILL)
        server.wait()
