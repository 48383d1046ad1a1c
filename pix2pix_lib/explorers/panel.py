"""The widgets around an explorer where anywidget is missing: they hand values to it.

This is the only module that imports ipywidgets; everything here exists in ipywidgets 7.7.1 and 8.
The picture is an <img> in an HTML widget: it carries words for those who cannot see it, and is
redrawn several times faster than a figure. Sliders, lists and buttons work from the keyboard: Tab
goes from one to the next, the arrow keys move a slider, Enter opens a list and presses a button.
"""

import html

import ipywidgets

LABELS = {"description_width": "7.5em"}
CONTROL = {"width": "auto", "margin": "2px"}
WIDTH = "960px"  # about that of the widest picture
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
        self.controls = {
            name: make_widget(control)
            for name, control in explorer.controls.items()
            if not hasattr(control, "colours")  # a drawing needs the mouse
        }
        self.picture, self.text = ipywidgets.HTML(), ipywidgets.HTML()
        self.follow()
        for name, widget in self.controls.items():
            widget.tooltip = widget.description  # without one, ipywidgets 8 shows "null"
            widget.observe(self._handler(name), names="value")
        rows = [ipywidgets.GridBox([*self.controls.values()], layout=COLUMNS)]
        self.buttons = [self._button(action) for action in explorer.actions]
        self.buttons.append(ipywidgets.Button(description="reset", layout=BUTTON))
        self.buttons[-1].on_click(lambda _: explorer.reset())
        rows.append(ipywidgets.HBox(self.buttons, layout={"flex_flow": "row wrap"}))
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

    @property
    def model_id(self) -> str:
        return self.box.model_id

    def close(self) -> None:
        """Take the widgets off the page, and let their memory go."""
        rows = self.box.children
        for widget in (self.box, *rows, *self.controls.values(), *self.buttons):
            for part in (getattr(widget, "style", None), widget.layout, widget):
                if part is not None:
                    part.close()

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
