"""Every explorer keeps values within range, draws each setting once, and moves its widgets."""

import base64
import io
import re

import ipywidgets
import pytest
from PIL import Image

from pix2pix_lib.explorers.base import Action, Choice, Explorer, Slider, Switch, View
from pix2pix_lib.explorers.canvas import Canvas
from pix2pix_lib.explorers.panel import Panel
from pix2pix_lib.explorers.picture import Picture


class Square(Explorer):
    """A square whose `part` may be at most its `side`."""

    def __init__(self):
        super().__init__(
            [
                Slider("side", "side", 1, 9, 4),
                Slider("part", "part", 0, 9, 2),
                Slider("share", "share", 0.0, 1.0, 0.5, 0.1),
                Choice("colour", "colour", ("blue", "orange"), "blue"),
                Choice("time", "time", (0, 10, 100), 10, ordered=True),
                Switch("frame", "frame"),
            ],
            [Action("larger", lambda values: {"side": min(values["side"] + 1, 9)})],
        )

    def limits(self, values):
        return {"part": (0, values["side"])}

    def draw(self, side, part, share, colour, time, frame):
        image, text = Image.new("RGB", (side, side), colour), f"area {side**2}, part {part} & <b>"
        picture = Picture(image, "square", side)
        return View([[picture]], text, f"A {colour} square", {"area": side**2})


def test_set_returns_the_view_of_the_new_values():
    explorer = Square()
    view = explorer.set(side=5, colour="orange")
    assert view is explorer.view and view.numbers["area"] == 25
    assert view.rows[0][0].image.getpixel((0, 0)) == (255, 165, 0)
    assert view.image.getpixel((0, view.image.height - 1)) == (255, 165, 0)  # below its title
    assert explorer.values == {
        "side": 5, "part": 2, "share": 0.5, "colour": "orange", "time": 10, "frame": False,
    }  # fmt: skip
    assert repr(view) == "area 25, part 2 & <b>"


@pytest.mark.parametrize(
    ("wrong", "kind", "words"),
    [
        ({"side": 10}, ValueError, "side must be from 1 to 9; got 10"),
        ({"side": 2.5}, TypeError, "side must be a whole number from 1 to 9; got 2.5"),
        ({"side": True}, TypeError, "whole number"),
        ({"share": "x"}, TypeError, "share must be a number from 0.0 to 1.0; got 'x'"),
        ({"share": float("nan")}, ValueError, "share must be from 0.0 to 1.0; got nan"),
        ({"side": 3, "part": 4}, ValueError, "part must be from 0 to 3; got 4"),
        ({"colour": "red"}, ValueError, "colour must be one of blue, orange; got 'red'"),
        ({"time": 50}, ValueError, "time must be one of 0, 10, 100; got 50"),
        ({"frame": 1}, TypeError, "frame must be True or False; got 1"),
        ({"height": 1}, TypeError,
         "no control height; there are side, part, share, colour, time, frame"),
    ],
)  # fmt: skip
def test_wrong_argument_names_what_is_allowed_and_changes_nothing(wrong, kind, words):
    explorer = Square()
    before, view = dict(explorer.values), explorer.view
    with pytest.raises(kind) as error:
        explorer.set(**wrong)
    assert words in str(error.value)
    assert explorer.values == before and explorer.view is view


def test_value_goes_along_when_its_range_shrinks():
    explorer = Square()
    explorer.set(part=4)
    explorer.set(side=1)
    assert explorer.values["part"] == 1


def test_failing_picture_changes_nothing(monkeypatch):
    explorer = Square()
    monkeypatch.setattr(explorer, "draw", lambda **values: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        explorer.set(side=7)
    assert explorer.values["side"] == 4


def test_page_gets_the_picture_and_its_words():
    view = Square().set(side=9, colour="orange")
    source = re.search(r'src="data:image/jpeg;base64,([^"]+)"', view.to_html()).group(1)
    shown = Image.open(io.BytesIO(base64.b64decode(source)))
    assert shown.size == view.image.size and shown.width == 9
    below = shown.getpixel((4, shown.height - 4))
    assert max(abs(a - b) for a, b in zip(below, (255, 165, 0), strict=True)) <= 6
    view = View(view.rows, "", 'a "quoted" <tag>')
    assert 'alt="a &quot;quoted&quot; &lt;tag&gt;"' in view.to_html()


def test_reset_moves_every_control_back():
    explorer = Square()
    first = explorer.view
    explorer.set(side=5, colour="orange", share=0.1, time=100, frame=True)
    assert explorer.reset().text == first.text
    assert explorer.values == {name: each.start for name, each in explorer.controls.items()}


@pytest.fixture
def panel():
    """The panel that an explorer has where anywidget is missing."""
    explorer = Square()
    explorer.panel = Panel(explorer)
    return explorer.panel


def test_moving_a_widget_sets_the_explorer_and_renews_picture_and_words(panel):
    before = panel.picture.value
    panel.controls["side"].value = 6
    assert panel.explorer.values["side"] == 6
    assert panel.picture.value != before and 'alt="A blue square"' in panel.picture.value
    assert "area 36, part 2 &amp; &lt;b&gt;" in panel.text.value


def test_setting_from_code_moves_the_widgets(panel):
    panel.explorer.set(side=1, colour="orange", time=100, frame=True, share=0.1)
    values = {name: widget.value for name, widget in panel.controls.items()}
    assert values == panel.explorer.values and values["part"] == 1
    assert panel.controls["part"].max == 1
    assert "orange" in panel.picture.value


def test_button_changes_values(panel):
    larger, reset = panel.buttons
    larger.click()
    assert panel.explorer.values["side"] == 5
    reset.click()
    assert panel.explorer.values["side"] == 4 and panel.controls["side"].value == 4


@pytest.mark.parametrize("make", [Panel, Canvas])
def test_closed_panel_leaves_no_widget_behind(make):
    before = set(live_widgets())
    explorer = Square()
    explorer.panel = make(explorer)
    assert set(live_widgets()) > before
    explorer.close()
    assert explorer.panel is None and set(live_widgets()) == before


def live_widgets() -> list[str]:
    """Return the models of ipywidgets that this process keeps; their home has moved since 7."""
    from ipywidgets.widgets import widget

    return [*(widget._instances if hasattr(widget, "_instances") else ipywidgets.Widget.widgets)]


def test_strip_shows_each_setting_and_leaves_the_explorer_alone(monkeypatch):
    shown, show_picture = [], "pix2pix_lib.explorers.base.show_picture"
    monkeypatch.setattr(show_picture, lambda picture, alt: shown.append((picture, alt)))
    explorer = Square()
    explorer.show_strip({"side": 8}, {"side": 9, "colour": "orange"})
    picture, alt = shown[0]
    assert alt == "Picture 1: A blue square Picture 2: A orange square"
    assert picture.getpixel((0, picture.height - 1)) == (255, 165, 0)
    assert explorer.values["side"] == 4


def test_time_in_networks_is_counted_apart(monkeypatch):
    clock = iter([1.0, 1.25, 2.0, 2.5])
    monkeypatch.setattr("pix2pix_lib.explorers.base.time.perf_counter", lambda: next(clock))
    explorer = Square()
    assert explorer.run_network(lambda x: 2 * x, 3) == 6
    explorer.run_network(lambda x: x, 3)
    assert explorer.network_seconds == 0.75
    explorer.set(side=3)
    assert explorer.network_seconds == 0.0
