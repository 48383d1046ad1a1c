"""The widgets around an explorer: they hand values to it and show its view.

This is the only module that imports ipywidgets; everything here exists in ipywidgets 7.7.1 (Colab)
and 8. The picture is an <img> in an HTML widget: it carries words for those who cannot see it, and
is redrawn several times faster than a figure. Sliders, lists and buttons work from the keyboard:
Tab goes from one to the next, the arrow keys move a slider, Enter opens a list and presses a
button.
"""

import html
import textwrap

import ipywidgets
from IPython.display import display

WIDGET_VIEW = "application/vnd.jupyter.widget-view+json"
LABELS = {"description_width": "7.5em"}
CONTROL = {"width": "auto", "margin": "2px"}
WIDTH = "960px"  # about that of the widest picture
TEXT_WIDTH = 100  # characters: JupyterLab breaks longer lines of plain text within words
COLUMNS = {
    "grid_template_columns": "repeat(auto-fill, minmax(290px, 1fr))",
    "width": "100%",
    "max_width": WIDTH,
}
BUTTON = {"width": "auto", "min_width": "7em"}


class Panel:
    """A widget for each control of an explorer, its buttons, its picture, the sentences below."""

    def __init__(self, explorer):
        self.explorer = explorer
        self.silent = False
        self.controls = {name: make_widget(control) for name, control in explorer.controls.items()}
        self.picture, self.text = ipywidgets.HTML(), ipywidgets.HTML()
        self.follow()
        for name, widget in self.controls.items():
            widget.tooltip = widget.description  # without one, ipywidgets 8 shows "null"
            widget.observe(self._handler(name), names="value")
        rows = [ipywidgets.GridBox([*self.controls.values()], layout=COLUMNS)]
        if explorer.actions:
            buttons = [self._button(action) for action in explorer.actions]
            rows.append(ipywidgets.HBox(buttons, layout={"flex_flow": "row wrap"}))
        self.box = ipywidgets.VBox([*rows, self.picture, self.text])

    def follow(self) -> None:
        """Show the explorer's values and view; the controls do not react meanwhile."""
        self.silent = True
        try:
            for name, widget in self.controls.items():
                if hasattr(widget, "max"):
                    _set_range(widget, *self.explorer.range(name))
                widget.value = self.explorer.values[name]
        finally:
            self.silent = False
        self.picture.value = self.explorer.view.to_html()
        sentences = html.escape(self.explorer.view.text).replace("\n", "<br>")
        self.text.value = (
            f'<div aria-live="polite" style="max-width:{WIDTH};line-height:1.5">{sentences}</div>'
        )

    def show(self) -> None:
        """Show the panel under the running cell.

        Where no kernel runs, only the view's sentences are left.
        """
        view = {"version_major": 2, "version_minor": 0, "model_id": self.box.model_id}
        words = f"(sliders need a running kernel) {self.explorer.view.text}"
        lines = [textwrap.fill(line, TEXT_WIDTH) for line in words.split("\n")]
        display({WIDGET_VIEW: view, "text/plain": "\n".join(lines)}, raw=True)

    def _handler(self, name: str):
        def changed(change) -> None:
            if not self.silent:
                self.explorer.set(**{name: change["new"]})

        return changed

    def _button(self, action) -> ipywidgets.Button:
        button = ipywidgets.Button(description=action.label, layout=BUTTON)
        button.on_click(lambda _: self.explorer.set(**action.change(self.explorer.values)))
        return button


def make_widget(control) -> ipywidgets.DOMWidget:
    """Return the widget for a control: a slider, a list, or a box to tick."""
    common = {"description": control.label, "style": LABELS, "layout": CONTROL}
    if hasattr(control, "step"):
        kind = ipywidgets.IntSlider if control.is_whole else ipywidgets.FloatSlider
        return kind(
            min=control.low, max=control.high, step=control.step, value=control.start, **common
        )
    if hasattr(control, "options"):
        kind = ipywidgets.SelectionSlider if control.ordered else ipywidgets.Dropdown
        return kind(options=control.options, value=control.start, **common)
    return ipywidgets.Checkbox(value=control.start, **common)


def _set_range(widget, low: float, high: float) -> None:
    if high < widget.min:  # a slider refuses min > max, even for a moment
        widget.min, widget.max = low, high
    else:
        widget.max, widget.min = high, low
