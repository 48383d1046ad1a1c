"""The canvas hands what the page asks for to the explorer, and what that shows to the page."""

import base64
import gc
import io
import json
import weakref

import numpy as np
import pytest
from PIL import Image

from pix2pix_lib.explorers import shown
from pix2pix_lib.explorers.base import Action, Choice, Drawing, Explorer, Slider, Switch, View
from pix2pix_lib.explorers.canvas import Canvas
from pix2pix_lib.explorers.panel import Panel
from pix2pix_lib.explorers.picture import Axis, Cells, Picture, Scale, Spot, map_cells

SIDE = 4
COLOURS = ((0, 0, 0), (255, 0, 0), (0, 0, 255))


class Everything(Explorer):
    """One control of each kind, and one picture with everything that a picture can have."""

    def __init__(self):
        self.presses = 0
        super().__init__(
            [
                Slider("row", "row", 0, 3, 1, group="place"),
                Slider("col", "column", 0, 3, 2, group="place"),
                Slider("share", "share", 0.0, 1.0, 0.5, 0.25),
                Choice("time", "time", (0, 10, 100), 10, ordered=True),
                Choice("colour", "colour", ("red", "blue"), "red"),
                Switch("on", "on"),
                Drawing(
                    "classes", "map", SIDE, ("nothing", "red", "blue"), COLOURS, bytes(SIDE**2)
                ),
            ],
            [Action("press", self._press, repeat=True), Action("fail", lambda values: 1 / 0)],
        )

    def _press(self, values):
        self.presses += 1
        return {"share": 0.25}

    def limits(self, values):
        return {"col": (0, 3 if values["on"] else 2)}

    def draw(self, row, col, share, time, colour, on, classes):
        pixels = Image.fromarray(np.arange(16, dtype=np.uint8).reshape(4, 4) * 16)
        words = [f"cell {number}" for number in range(16)]
        picture = Picture(
            pixels, "sixteen", 64, over=pixels, scale=Scale("PuOr", ("low", "middle", "high")),
            cells=map_cells((4, 4), (row, col), words=words),
            spots=[Spot((0, 0, 0.5, 0.5), {"time": 100, "row": 3}, "go there")],
            axes=[Axis("time", [(0.0, 0), (0.5, 10), (1.0, 100)])],
        )  # fmt: skip
        text = f"{row} {col} {share} {time} {colour} {on} {classes.hex()} {self.presses}"
        return View([[picture], [Picture(pixels, "map", drawing="classes")]], text, f"alt {text}")


@pytest.fixture
def explorer():
    explorer = Everything()
    explorer.panel = Canvas(explorer)
    yield explorer
    explorer.close()


def ask(explorer, *steps, name="1"):
    """Send a request as the page does, and return the state that answers it."""
    explorer.panel.request = json.dumps({"id": name, "steps": steps})
    state = json.loads(explorer.panel.state)
    assert state["answers"] == name
    return state


def test_all_that_is_synchronised_is_text(explorer):
    """Colab loses binary buffers; anywidget's own traits are text, too."""
    values = {name: getattr(explorer.panel, name) for name in ("controls", "state", "request")}
    assert all(isinstance(value, str) for value in values.values())
    assert b"" not in [*values.values()]
    own = {"controls", "state", "request", "_esm", "_css"}
    assert own <= set(explorer.panel.traits(sync=True))
    extra = set(explorer.panel.traits(sync=True)) - own
    assert all(name.startswith("_") or name in ("layout", "tabbable", "tooltip") for name in extra)


def test_page_sets_each_kind_of_control(explorer):
    classes = bytes([1] * SIDE**2)
    state = ask(
        explorer,
        {"set": {"on": True, "share": 1, "time": 2, "colour": 1, "row": 3.0}},
        {"set": {"col": 3, "classes": base64.b64encode(classes).decode()}},
    )
    assert explorer.values == {
        "row": 3, "col": 3, "share": 1.0, "time": 100, "colour": "blue", "on": True,
        "classes": classes,
    }  # fmt: skip
    assert isinstance(explorer.values["row"], int) and isinstance(explorer.values["share"], float)
    assert state["text"] == explorer.view.text and state["alt"] == explorer.view.alt
    assert state["values"]["time"] == 2 and state["values"]["colour"] == 1
    assert base64.b64decode(state["values"]["classes"]) == classes
    assert state["wrong"] == ""


def test_range_that_depends_on_another_control_follows(explorer):
    assert json.loads(explorer.panel.state)["ranges"]["col"] == [0, 2]
    assert ask(explorer, {"set": {"on": True}})["ranges"]["col"] == [0, 3]


def test_button_and_reset(explorer):
    state = ask(explorer, {"press": 0}, {"press": 0})
    assert explorer.presses == 2 and state["values"]["share"] == 0.25
    state = ask(explorer, {"reset": True}, name="2")
    assert state["values"]["share"] == 0.5


def test_value_that_is_refused_is_said_in_one_line(explorer):
    before = dict(explorer.values)
    state = ask(explorer, {"set": {"row": 7}})
    assert state["wrong"] == "row must be from 0 to 3; got 7"
    assert explorer.values == before
    assert ask(explorer, {"set": {"row": 2}}, name="2")["wrong"] == ""


def test_bug_shows_its_traceback_and_the_next_request_is_answered(explorer):
    state = ask(explorer, {"press": 1})
    assert state["wrong"].startswith("Traceback") and "ZeroDivisionError" in state["wrong"]
    assert ask(explorer, {"set": {"row": 2}}, name="2")["values"]["row"] == 2


def test_page_follows_what_code_sets(explorer):
    explorer.set(row=0, time=0)
    state = json.loads(explorer.panel.state)
    assert state["values"]["row"] == 0 and state["values"]["time"] == 0
    assert state["text"] == explorer.view.text


def test_one_state_answers_all_steps_of_a_request(explorer):
    states = []
    explorer.panel.observe(lambda change: states.append(change["new"]), names="state")
    ask(explorer, {"set": {"row": 0}}, {"press": 0}, {"set": {"row": 3}})
    assert len(states) == 1


def test_page_gets_pictures_in_their_own_pixels_with_places_as_shares(explorer):
    page = json.loads(explorer.panel.state)["rows"][0][0]
    image = Image.open(io.BytesIO(base64.b64decode(page["source"].partition(",")[2])))
    assert np.array_equal(np.asarray(image), np.arange(16).reshape(4, 4) * 16)
    assert (page["width"], page["height"], page["title"]) == (64, 64, "sixteen")
    assert page["cells"]["chosen"] == [1, 2] and page["cells"]["step"] == [0.25, 0.25]
    assert page["cells"]["words"][6] == "cell 6"
    assert page["spots"][0]["values"] == {"time": 2, "row": 3}  # an option goes by its number
    assert page["axes"][0]["places"] == [[0.0, 0], [0.5, 1], [1.0, 2]]
    assert page["scale"]["marks"] == ["low", "middle", "high"]
    assert page["scale"]["colours"].startswith("linear-gradient(to right, rgb(127 59 8), ")


def test_strip_has_the_frame_where_the_page_has_it():
    pixels = Image.new("RGB", (10, 20), "white")
    cells = Cells((5, 5), (0.1, 0.2), (0.1, 0.1), (0.3, 0.4), chosen=(2, 1))
    drawn = np.asarray(Picture(pixels, side=200, cells=cells).draw())
    rows, cols = np.nonzero((drawn == (213, 94, 0)).all(-1))
    top, left, height, width = cells.box(2, 1)
    assert drawn.shape == (200, 100, 3)
    assert [rows.min(), rows.max() + 1] == pytest.approx([200 * top, 200 * (top + height)], abs=1)
    assert [cols.min(), cols.max() + 1] == pytest.approx([100 * left, 100 * (left + width)], abs=1)


def test_canvas_does_not_keep_an_explorer_that_nobody_has():
    explorer = Everything()
    canvas = Canvas(explorer)
    gone = weakref.ref(explorer)
    del explorer
    gc.collect()
    assert gone() is None
    canvas.close()


class Shell:
    """What `shown` asks of IPython: which cell runs, and in which run."""

    def __init__(self):
        self.cell, self.run = "a", "1"

    def get_parent(self):
        metadata = {} if self.cell is None else {"cellId": self.cell}
        return {"metadata": metadata, "header": {"msg_id": self.run}}


@pytest.fixture
def shell(monkeypatch):
    shell, outputs = Shell(), []
    monkeypatch.setattr(shown, "_shown", {})
    monkeypatch.setattr(shown, "get_ipython", lambda: shell)
    monkeypatch.setattr(shown, "display", lambda data, **rest: outputs.append(data))
    shell.outputs = outputs
    return shell


def test_picture_and_words_stand_before_the_live_panel(shell):
    explorer = Everything()
    explorer._ipython_display_()
    picture, note, live = shell.outputs
    assert Image.open(io.BytesIO(picture["image/jpeg"])).size == explorer.view.image.size
    assert "Run this cell to move it." in note["text/html"] and "<style>" in note["text/html"]
    assert live[shown.WIDGET_VIEW]["model_id"] == explorer.panel.model_id
    words = live["text/plain"].split()
    assert words == f"({shown.NOTE}) {explorer.view.alt}".split()
    assert max(map(len, live["text/plain"].splitlines())) <= 100
    explorer.close()


def test_colab_gets_the_live_panel_alone(shell, monkeypatch):
    monkeypatch.setitem(shown.sys.modules, "google.colab", object())
    explorer = Everything()
    explorer._ipython_display_()
    assert [shown.WIDGET_VIEW in output for output in shell.outputs] == [True]
    explorer.close()


def test_without_anywidget_the_widgets_of_ipywidgets_are_shown(shell, monkeypatch):
    monkeypatch.setattr(shown.importlib.util, "find_spec", lambda name: None)
    explorer = Everything()
    explorer._ipython_display_()
    assert isinstance(explorer.panel, Panel)
    assert set(explorer.panel.controls) == set(explorer.controls) - {"classes"}
    explorer.close()


def test_cell_that_runs_again_closes_what_it_has_shown(shell):
    first, beside = Everything(), Everything()
    first._ipython_display_()
    beside._ipython_display_()
    assert first.panel and beside.panel  # two in one run stay
    shell.run = "2"
    second = Everything()
    second._ipython_display_()
    assert first.panel is None and beside.panel is None and second.panel is not None
    shell.cell, shell.run = "b", "3"
    Everything()._ipython_display_()
    assert second.panel is not None  # another cell
    shell.cell, shell.run = "a", "4"
    second._ipython_display_()
    assert second.panel is not None  # the same explorer, shown again
    second.close()


def test_explorer_shown_twice_has_one_panel(shell):
    explorer = Everything()
    explorer._ipython_display_()
    panel = explorer.panel
    explorer._ipython_display_()
    assert explorer.panel is panel
    explorer.close()
