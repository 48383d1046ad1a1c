"""Progress bars that suit where they run: tqdm in a terminal, one line of HTML in a notebook.

A text bar would leave hundreds of lines behind in a notebook; the HTML line is replaced in place
and keeps its last state once the work is done.
"""

import html
import sys
import time
from collections.abc import Callable
from weakref import WeakSet

from tqdm import tqdm

_bars: WeakSet[tqdm] = WeakSet()  # bars in use


def in_notebook() -> bool:
    """Return whether this code runs in a Jupyter kernel (JupyterLab, Colab, nbval)."""
    kernelapp = sys.modules.get("ipykernel.kernelapp")
    return kernelapp is not None and kernelapp.IPKernelApp.initialized()


def progress_callback(label: str) -> Callable[[int, int], None]:
    """Return a function (done, total) that shows a bar from its first call to the last item."""
    bar = None

    def show(done: int, total: int) -> None:
        nonlocal bar
        if bar is None:
            bar = make_bar(total, label)
        bar.update()
        if done == total:
            bar.close()

    return show


def make_bar(total: int, label: str) -> "tqdm | NotebookBar":
    """Return a bar with `update()`, `set_postfix_str(text)`, `refresh()` and `close()`."""
    if in_notebook():
        return NotebookBar(total, label)
    # Drawn only once `close_bars` knows it: an interruption in between would leave its line open.
    bar = tqdm(
        total=total, desc=label,
        mininterval=0.5 if sys.stderr.isatty() else 30, dynamic_ncols=True, delay=1e-9,
    )  # fmt: skip
    _bars.add(bar)
    bar.refresh()
    return bar


def close_bars() -> None:
    """Close all bars, so that what is printed next begins on a line of its own."""
    for bar in list(_bars):
        bar.close()


class NotebookBar:
    """A progress bar as one HTML line in a cell's output, redrawn at most four times a second."""

    def __init__(self, total: int, label: str):
        from IPython.display import display

        self.total, self.label, self.note = total, label, ""
        self.done, self.start, self.drawn = 0, time.monotonic(), time.monotonic()
        self.handle = display(self._bundle(), raw=True, display_id=True)

    def update(self, n: int = 1) -> None:
        """Count `n` more items."""
        self.done += n
        if time.monotonic() - self.drawn > 0.25:
            self.refresh()

    def set_postfix_str(self, note: str) -> None:
        """Set the note behind the numbers, to be shown when the bar is next redrawn."""
        self.note = note

    def close(self) -> None:
        """Draw the last state, which stays."""
        self.refresh()

    def refresh(self) -> None:
        """Draw the present state now."""
        self.drawn = time.monotonic()
        self.handle.update(self._bundle(), raw=True)

    def _bundle(self) -> dict[str, str]:
        seconds = time.monotonic() - self.start
        text = f"{self.label}: {self.done} of {self.total}, {seconds:.0f} s"
        if 0 < self.done < self.total:
            text += f", about {seconds / self.done * (self.total - self.done):.0f} s left"
        text += f", {self.note}" if self.note else ""
        bar = (
            f'<progress value="{self.done}" max="{max(self.total, 1)}" '
            'style="width:14em;vertical-align:middle"></progress>'
        )
        return {"text/html": f"{bar} {html.escape(text)}", "text/plain": text}
