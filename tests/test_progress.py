"""Progress bars in a terminal and in a notebook."""

import re

import IPython.display
import pytest

from pix2pix_lib import progress


class Handle:
    """A stand-in for an output's place in a notebook that remembers what was shown there."""

    def __init__(self, bundle):
        self.shown = [bundle]

    def update(self, bundle, raw):
        self.shown.append(bundle)


@pytest.fixture
def handles(monkeypatch):
    """Pretend to be in a notebook; the fixture lists the places that output went to."""
    places = []

    def display(bundle, raw, display_id):
        places.append(Handle(bundle))
        return places[-1]

    monkeypatch.setattr(progress, "in_notebook", lambda: True)
    monkeypatch.setattr(IPython.display, "display", display)
    return places


def test_outside_a_notebook_the_bar_is_text_on_stderr(capsys):
    assert not progress.in_notebook()
    show = progress.progress_callback("drawing")
    for done in range(1, 4):
        show(done, 3)
    output, errors = capsys.readouterr()
    assert output == "" and "drawing" in errors and "3/3" in errors


def test_in_a_notebook_the_bar_is_one_line_renewed_in_place(handles):
    bar = progress.make_bar(3, "epoch <1>")
    for _ in range(3):
        bar.update()
    bar.set_postfix_str("L1 0.5")
    bar.close()
    (place,) = handles
    assert place.shown[0]["text/plain"].startswith("epoch <1>: 0 of 3")
    assert re.fullmatch(r"epoch <1>: 3 of 3, \d+ s, L1 0\.5", place.shown[-1]["text/plain"])
    html = place.shown[-1]["text/html"]
    assert 'value="3" max="3"' in html and "<1>" not in html


def test_notebook_bar_is_redrawn_four_times_a_second_at_most(handles, monkeypatch):
    now = [0.0]
    monkeypatch.setattr(progress.time, "monotonic", lambda: now[0])
    bar = progress.make_bar(1000, "work")
    for _ in range(1000):
        now[0] += 0.001
        bar.update()
    assert 1 <= len(handles[0].shown) - 1 <= 4


def test_notebook_bar_says_how_long_it_will_take(handles, monkeypatch):
    now = [0.0]
    monkeypatch.setattr(progress.time, "monotonic", lambda: now[0])
    bar = progress.make_bar(10, "work")
    now[0] = 4.0
    bar.update(2)
    assert handles[0].shown[-1]["text/plain"] == "work: 2 of 10, 4 s, about 16 s left"
