"""Pages of JupyterLab in a browser: open a notebook, run it, note its errors."""

import json
from dataclasses import dataclass, field
from pathlib import Path
from urllib.request import Request, urlopen

import nbformat

LONGEST_RUN = 900  # seconds for all cells of a notebook, on two slow cores with other work to do
PATIENCE = 60_000  # milliseconds for anything else


@dataclass
class Lab:
    """A JupyterLab server: its address and token, and the copy of the project that it serves."""

    address: str
    token: str
    project: Path

    def request(self, path: str, method: str = "GET") -> bytes:
        """Return the answer to a request to the server's REST interface."""
        headers = {"Authorization": f"token {self.token}"}
        request = Request(self.address + path, headers=headers, method=method)
        with urlopen(request, timeout=30) as answer:
            return answer.read()


@dataclass
class Notebook:
    """A page with a notebook whose cells have all run, and the page's errors so far."""

    page: object
    errors: list[str] = field(default_factory=list)


def new_page(browser) -> Notebook:
    """Return an empty page that notes its errors."""
    page = browser.new_page(viewport={"width": 1200, "height": 900})
    page.set_default_timeout(PATIENCE)
    opened = Notebook(page)
    # The badge at the top of each notebook would need a network.
    page.route("**/colab-badge.svg", lambda route: route.fulfill())

    def note_error(message):
        if message.type == "error":
            opened.errors.append(message.text)

    page.on("console", note_error)
    page.on("pageerror", lambda error: opened.errors.append(str(error)))
    return opened


def stop_kernels(lab: Lab) -> None:
    for kernel in json.loads(lab.request("api/kernels")):
        lab.request(f"api/kernels/{kernel['id']}", method="DELETE")


def open_notebook(page, lab: Lab, path: str) -> None:
    """Show a notebook in JupyterLab without the file browser, and wait for its kernel."""
    page.goto(f"{lab.address}lab/tree/{path}?reset&token={lab.token}")
    page.wait_for_function(
        "window.jupyterapp?.shell.currentWidget?.sessionContext?.session?.kernel?.status === 'idle'"
    )
    page.keyboard.press("Control+b")


def run_all(page) -> None:
    """Run all cells and wait until the last one is done."""
    page.evaluate("""() => {
        jupyterapp.commands.execute('notebook:run-all-cells').finally(() => {
            window.allCellsRan = true;
        });
    }""")
    page.wait_for_function("window.allCellsRan", timeout=1000 * LONGEST_RUN)


def wait_for_text(panel, words: str) -> None:
    """Wait until the sentences of an explorer's panel hold these words."""
    panel.locator(".p2p-text").filter(has_text=words).wait_for()


def place_in(locator, down: float, across: float) -> tuple[float, float]:
    """Return the (x, y) on the page of a place in an element, given as shares of its sides."""
    locator.scroll_into_view_if_needed()
    box = locator.bounding_box()
    return box["x"] + across * box["width"], box["y"] + down * box["height"]


def write_notebook(lab: Lab, name: str, *sources: str) -> Path:
    """Write a notebook with these cells, behind one that finds the course, and return its file."""
    setup = "import sys; sys.path.insert(0, '..')"
    cells = [nbformat.v4.new_code_cell(source) for source in (setup, *sources)]
    notebook = nbformat.v4.new_notebook(cells=cells)
    notebook.metadata["kernelspec"] = {"name": "python3", "display_name": "", "language": "python"}
    path = lab.project / "notebooks" / f"{name}.ipynb"
    nbformat.write(notebook, path)
    return path
