"""The panel of an explorer: its controls beside its pictures, which take mouse, touch and keys.

One widget of the package anywidget: a Python class and `canvas.js`, without a build step. All its
traits are text, because Colab loses binary buffers. The page sends what is asked for, one message
at a time; the state that answers it names it.
"""

import base64
import json
import traceback
import weakref
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import anywidget
import traitlets

from ..validation import InputError

HERE = Path(__file__).parent


class Canvas(anywidget.AnyWidget):
    """The live panel of an explorer.

    Traits:
        controls: JSON, what there is to move and to press.
        state: JSON, the values and ranges of the controls, the view, which request it answers, and
            what was wrong with that.
        request: JSON from the page: its `id`, and `steps`, each `{"set": {name: value}}`,
            `{"press": number of the button}`, with `"again": true` where a pressed button goes on,
            or `{"reset": true}`.
    """

    _esm = (HERE / "canvas.js").read_text(encoding="utf-8")
    _css = (HERE / "canvas.css").read_text(encoding="utf-8")
    controls = traitlets.Unicode().tag(sync=True)
    state = traitlets.Unicode().tag(sync=True)
    request = traitlets.Unicode().tag(sync=True)

    def __init__(self, explorer):
        self._explorer = weakref.ref(explorer)  # an explorer that nobody has should go
        self._answering = False
        super().__init__(controls=json.dumps(describe(explorer)), state=state_of(explorer))
        self.observe(self._answer, names="request")

    def follow(self) -> None:
        """Show the explorer's values and view."""
        if not self._answering and (explorer := self._explorer()) is not None:
            self.state = state_of(explorer, self._answers())

    def close(self) -> None:
        """Take the panel off the page, and let its memory go."""
        self.layout.close()
        super().close()

    def _answers(self) -> str:
        return json.loads(self.request)["id"] if self.request else ""

    def _answer(self, _) -> None:
        explorer, request = self._explorer(), json.loads(self.request)
        if explorer is None:
            return
        wrong, self._answering = "", True
        try:
            for step in request["steps"]:
                perform(explorer, step)
        except InputError as error:
            wrong = str(error)
        except Exception:  # a bug, which the learner would not see in the log of a kernel
            wrong = traceback.format_exc()
        finally:
            self._answering = False
        self.state = state_of(explorer, request["id"], wrong)


def perform(explorer, step: dict) -> None:
    """Do what a step of a request asks for."""
    if "press" in step:
        action = explorer.actions[step["press"]]
        change = (step.get("again") and action.again) or action.change
        explorer.set(**change(explorer.values))
    elif "reset" in step:
        explorer.reset()
    else:
        values = step["set"].items()
        explorer.set(**{name: from_page(explorer.controls[name], value) for name, value in values})


def from_page(control, value) -> Any:
    """Return a value as the control has it: JSON knows only one kind of number."""
    if hasattr(control, "options"):
        return control.options[value]  # the page sends its number
    if hasattr(control, "step"):
        return round(value) if control.is_whole else float(value)
    return base64.b64decode(value) if isinstance(value, str) else value


def describe(explorer) -> dict:
    """Return what the page needs to make the controls and the buttons."""
    return {
        "controls": [describe_control(control) for control in explorer.controls.values()],
        "actions": [
            {"label": action.label, "repeat": action.repeat, "pause": action.pause}
            for action in explorer.actions
        ],
    }


def describe_control(control) -> dict:
    """Return what the page needs to make one control."""
    common = {"name": control.name, "label": control.label, "group": control.group}
    if hasattr(control, "step"):
        whole = control.is_whole
        return common | {"kind": "slider", "step": control.step, "digits": 0 if whole else 2}
    if hasattr(control, "options"):
        kind = "slider" if control.ordered else "list"
        return common | {"kind": kind, "options": [str(option) for option in control.options]}
    if hasattr(control, "colours"):
        return common | {
            "kind": "drawing", "side": control.side, "names": list(control.names),
            "colours": [list(map(int, colour)) for colour in control.colours],
        }  # fmt: skip
    return common | {"kind": "switch"}


def state_of(explorer, answers: str = "", wrong: str = "") -> str:
    """Return what the page shows, as JSON: see `Canvas`."""
    view = explorer.view
    return json.dumps(
        {
            "answers": answers,
            "wrong": wrong,
            "values": {
                name: to_page(control, explorer.values[name])
                for name, control in explorer.controls.items()
            },
            "ranges": {
                name: explorer.range(name)
                for name, control in explorer.controls.items()
                if hasattr(control, "step")
            },
            "rows": [[page_of(picture, explorer.controls) for picture in row] for row in view.rows],
            "text": view.text,
            "alt": view.alt,
        }
    )


def page_of(picture, controls: Mapping) -> dict:
    """Return a picture as the page has it, see `Picture.to_page`."""
    page = picture.to_page()
    page["spots"] = [
        spot | {"values": {n: to_page(controls[n], v) for n, v in spot["values"].items()}}
        for spot in page["spots"]
    ]
    page["axes"] = [
        axis | {"places": [(x, to_page(controls[axis["name"]], v)) for x, v in axis["places"]]}
        for axis in page["axes"]
    ]
    return page


def to_page(control, value) -> Any:
    """Return a value as the page has it: an option's number, and bytes as text."""
    if hasattr(control, "options"):
        return control.options.index(value)
    return base64.b64encode(value).decode() if isinstance(value, bytes) else value
