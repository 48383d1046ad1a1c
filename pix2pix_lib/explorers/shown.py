"""Show an explorer under the running cell, and take away what an earlier run of the cell showed.

An explorer is shown three times over: as a picture, as words on what to do, and live. The live one
hides the other two; where no kernel runs, they are what is left, in a reopened notebook as on
GitHub or nbviewer. Colab, whose page cannot hide them, gets the live one alone.
"""

import html
import importlib.util
import sys
import textwrap

from IPython import get_ipython
from IPython.display import display

WIDGET_VIEW = "application/vnd.jupyter.widget-view+json"
TEXT_WIDTH = 100  # characters: JupyterLab breaks longer lines of plain text within words
# A live panel hides the two outputs before it. Without a kernel, JupyterLab shows an error of bare
# text in the place of a widget: that is hidden, too.
STYLE = """<style>
.jp-OutputArea-child:has(+ .jp-OutputArea-child .p2p-note):has(+ * + * .p2p-live),
.jp-OutputArea-child:has(.p2p-note):has(+ * .p2p-live),
.jp-OutputArea-child:has(.p2p-note) + .jp-OutputArea-child > .jupyter-widgets:not(:has(*))
{ display: none }
</style>"""
NOTE = "This is a picture. Run this cell to move it."

_shown: dict[str, list] = {}  # explorers by the cell that showed them


def show(explorer) -> None:
    """Show an explorer under the running cell."""
    _forget_earlier_run(explorer)
    if explorer.panel is None:
        explorer.panel = _make_panel(explorer)
    view = explorer.view
    words = textwrap.fill(f"({NOTE}) {view.alt}", TEXT_WIDTH)
    if "google.colab" not in sys.modules:
        picture = {"image/jpeg": view.to_jpeg(), "text/plain": textwrap.fill(view.alt, TEXT_WIDTH)}
        display(picture, metadata={"image/jpeg": {"alt": view.alt}}, raw=True)
        note = f'<p class="p2p-note"><em>{html.escape(NOTE)}</em></p>{STYLE}'
        display({"text/html": note, "text/plain": NOTE}, raw=True)
    model = {"version_major": 2, "version_minor": 0, "model_id": explorer.panel.model_id}
    display({WIDGET_VIEW: model, "text/plain": words}, raw=True)


def _make_panel(explorer):
    """Return a canvas, or widgets of ipywidgets where anywidget is missing."""
    if importlib.util.find_spec("anywidget"):
        from .canvas import Canvas

        return Canvas(explorer)
    from .panel import Panel

    return Panel(explorer)


def _forget_earlier_run(explorer) -> None:
    """Close what an earlier run of this cell has shown; it would hold its memory for ever."""
    shell = get_ipython()
    if shell is None or not hasattr(shell, "get_parent"):
        return
    parent = shell.get_parent()
    cell, run = parent.get("metadata", {}).get("cellId"), parent.get("header", {}).get("msg_id")
    if cell is None:  # Colab does not tell
        return
    kept = []
    for other, when in _shown.get(cell, []):
        if when == run:
            kept.append((other, when))
        elif other is not explorer:
            other.close()
    _shown[cell] = [*kept, (explorer, run)]
