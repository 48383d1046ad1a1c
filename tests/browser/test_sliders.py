"""Each explorer in its notebook, used from the keyboard: the page shows what the library says.

The model is the same explorer, in this process. A key press must move the page's controls as it
moves the model's, and the page's picture, alt text, sentences and numbers must be those of the
model's view.
"""

import base64
import functools
import html
import io
import re
import statistics
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

import pytest
from PIL import Image, ImageChops

from pix2pix_lib.explorers.base import Choice, Drawing, Explorer, Slider, Switch
from pix2pix_lib.explorers.dataset import DatasetExplorer
from pix2pix_lib.explorers.designer import FacadeDesigner, RectanglePainter
from pix2pix_lib.explorers.drawing import Sketch
from pix2pix_lib.explorers.losses import LossExplorer
from pix2pix_lib.explorers.normalization import NormalizationExplorer
from pix2pix_lib.explorers.painter import FacadePainter
from pix2pix_lib.explorers.patches import PatchExplorer
from pix2pix_lib.explorers.player import TrainingPlayer
from pix2pix_lib.explorers.receptive_field import ReceptiveFieldExplorer
from pix2pix_lib.explorers.stepper import TrainingStepper
from pix2pix_lib.explorers.unet import UNetExplorer
from pix2pix_lib.explorers.vote import VoteExplorer

ROOT = Path(__file__).parents[2]
PATIENCE = 20  # seconds for the page to follow a key press: a network may have to run
PRESSES = 20  # for each median

# What a panel shows: the place (in a list: the option's index), words and range of each control,
# and the pictures and words beside them.
READ = """panel => {
    const read = row => {
        const input = row.querySelector('input, select');
        if (input.type === 'checkbox')
            return {place: input.checked, words: '', range: [false, true]};
        if (input.tagName === 'SELECT')
            return {place: input.selectedIndex, words: '', range: [0, input.length - 1]};
        return {place: Number(input.value), words: row.querySelector('output').innerText,
                range: [Number(input.min), Number(input.max)]};
    };
    return {
        controls: [...panel.querySelectorAll('.p2p-control')].map(read),
        titles: [...panel.querySelectorAll('figcaption')].map(title => title.innerText),
        sources: [...panel.querySelectorAll('img.p2p-image:not(.p2p-above)')].map(img => img.src),
        drawings: [...panel.querySelectorAll('div.p2p-image')].map(place => place.innerHTML),
        alt: panel.querySelector('.p2p-stage').ariaLabel,
        text: panel.querySelector('.p2p-text').innerText,
        warning: panel.querySelector('.p2p-warning').innerText,
    };
}"""

# The milliseconds from each key press to the frame with the new state. An event holds the time of
# its press; a frame is known to be on the screen when the next one begins.
MEASURE = """panel => {
    window.pressed = [];
    window.painted = [];
    panel.addEventListener('keydown', event => pressed.push(event.timeStamp), true);
    new MutationObserver(async () => {
        await Promise.all([...panel.querySelectorAll('img')].map(img => img.decode()));
        requestAnimationFrame(() => requestAnimationFrame(() => painted.push(performance.now())));
    }).observe(panel.querySelector('.p2p-text'), {childList: true});
}"""

# Everything that is wider than its space.
CUT_OFF = """panel => [panel, ...panel.querySelectorAll(
        'label, output, button, figcaption, legend')]
    .filter(part => part.offsetWidth && part.scrollWidth > part.clientWidth + 1)
    .map(part => part.innerText)"""


class Case(NamedTuple):
    """An explorer as a notebook makes it, and a slider to time.

    The slider needs no network, if there is such a slider. `reset` names the button that undoes
    what the notebook did besides moving controls.
    """

    notebook: str
    make: type[Explorer]
    quick: str
    reset: str = ""


CASES = [
    Case("00_start_here", FacadePainter, "facade"),
    Case("01_paired_dataset", DatasetExplorer, "seed"),
    Case("02_unet_blocks", UNetExplorer, "channel"),
    Case("03_unet_generator", UNetExplorer, "channel"),
    Case("04_patchgan", ReceptiveFieldExplorer, "row"),
    Case("05_losses", LossExplorer, "real"),
    Case("06_training_loop", TrainingStepper, "facade"),
    Case("07_patch_explorer", PatchExplorer, "row"),
    Case("07_patch_explorer", FacadeDesigner, "window_width"),
    Case("07_patch_explorer", RectanglePainter, "left", "clear"),
    Case("07_patch_explorer", TrainingPlayer, "percent"),
    Case("08_evaluation", VoteExplorer, "trial", "start again"),
    Case("09_normalization", NormalizationExplorer, "channel"),
]

each_notebook = pytest.mark.parametrize(
    "notebook", dict.fromkeys(case.notebook for case in CASES), indirect=True
)
each_panel = pytest.mark.parametrize(
    ("notebook", "case"),
    [(case.notebook, case) for case in CASES],
    indirect=["notebook"],
    scope="module",
    ids=[f"{case.notebook}-{case.make.__name__}" for case in CASES],
)


class Panel:
    """An explorer's panel in the page, found by the labels of its controls, and its model."""

    def __init__(self, page, model: Explorer):
        self.page, self.model = page, model
        names = [n for n, each in model.controls.items() if not isinstance(each, Drawing)]
        groups = list(dict.fromkeys(each.group for each in model.controls.values()))
        self.names = sorted(names, key=lambda name: groups.index(model.controls[name].group))
        self.root = self.find([model.controls[name].label for name in self.names])
        self.model.set(**self.values())

    def find(self, labels: list[str]):
        """Return the panel with these labels, which may take a moment to appear."""
        end, seen = time.monotonic() + PATIENCE, []
        while time.monotonic() < end:
            for panel in self.page.locator(".p2p-live").all():
                seen.append(panel.locator(".p2p-control label").all_inner_texts())
                if seen[-1] == labels:  # it gets a name, since others may still appear before it
                    name = panel.evaluate("panel => panel.dataset.found = Math.random().toString()")
                    return self.page.locator(f"[data-found='{name}']")
            self.page.wait_for_timeout(100)
        return pytest.fail(f"no panel has the labels {labels}; the last one has {seen[-1:]}")

    def values(self) -> dict:
        """Return the values of the page's controls."""
        shown = self.root.evaluate(READ)["controls"]
        return {
            name: value_at(self.model.controls[name], at["place"])
            for name, at in zip(self.names, shown, strict=True)
        }

    def hand(self, name: str):
        """Return the part of a control that receives the key presses."""
        return self.root.get_by_label(self.model.controls[name].label, exact=True)

    def buttons(self):
        return self.root.locator(".p2p-controls > .p2p-buttons button")

    def press(self, place, keys: list[str]) -> None:
        place.focus()
        for key in keys:
            self.page.keyboard.press(key)

    def push(self, label: str) -> None:
        """Press a button, and check that the page then shows what it does to the model."""
        place = self.buttons().get_by_text(label, exact=True)
        self.press(place, ["Enter"])
        action = next((action for action in self.model.actions if action.label == label), None)
        if action is None:
            self.model.reset()
            self.check()
            return
        if action.repeat:  # let it go
            self.press(place, ["Enter"])
            return
        self.check(**action.change(self.model.values))

    def check(self, **values) -> None:
        """Set the model to these values, and check that the page then shows the same."""
        self.model.set(**values)
        end = time.monotonic() + PATIENCE
        while (wrong := self.differences()) and time.monotonic() < end:
            self.page.wait_for_timeout(20)
        assert not wrong, "\n".join(wrong)

    def differences(self) -> list[str]:
        """Return in words how the page differs from the model."""
        page, view = self.root.evaluate(READ), self.model.view
        pictures = [picture for row in view.rows for picture in row]
        shown = {"alt text": page["alt"], "sentences": page["text"], "warning": page["warning"]}
        said = {"alt text": view.alt, "sentences": view.text, "warning": ""}
        shown["titles"], said["titles"] = page["titles"], [each.title for each in pictures]
        for name, control in zip(self.names, page["controls"], strict=True):
            shown |= {f"{what} of {name}": control[what] for what in ("place", "words", "range")}
            said |= {f"{what} of {name}": value for what, value in self.expected(name).items()}
        wrong = [
            f"{what}: {shown[what]!r} in the page, {said[what]!r} in the model"
            for what in said
            if shown[what] != said[what]
        ]
        images = [
            each.image
            for each in pictures
            if isinstance(each.image, Image.Image) and not each.drawing
        ]
        if len(images) != len(page["sources"]):
            return [
                *wrong,
                f"{len(page['sources'])} pictures in the page, {len(images)} in the model",
            ]
        for source, image in zip(page["sources"], images):
            wrong += compare_pictures(decode(source), image.convert("RGB"))
        sketches = [each.image for each in pictures if isinstance(each.image, Sketch)]
        shown_words = [words_of(drawing) for drawing in page["drawings"]]
        if shown_words != (said_words := [words_of(sketch.svg()) for sketch in sketches]):
            wrong.append(f"words in drawings: {shown_words} in the page, {said_words} in the model")
        return wrong

    def expected(self, name: str) -> dict:
        """Return what the page should show for a control."""
        control, value = self.model.controls[name], self.model.values[name]
        values = values_of(self.model, name)
        if isinstance(control, Slider):
            words = f"{value:{'d' if control.is_whole else '.2f'}}"
            ends = pytest.approx([values[0], values[-1]], abs=0.05)
            return {"place": pytest.approx(value), "words": words, "range": ends}
        words = str(value) if isinstance(control, Choice) and control.ordered else ""
        return {"place": values.index(value), "words": words, "range": [0, len(values) - 1]}


def words_of(svg: str) -> list[str]:
    """Return the words of a drawing, in their order."""
    return [html.unescape(words) for words in re.findall(r"<text[^>]*>([^<]*)</text>", svg)]


def value_at(control, place: float):
    """Return the value of a control at a place in the page."""
    if isinstance(control, Choice):
        return control.options[place]
    if isinstance(control, Slider):
        return int(place) if control.is_whole else round(float(place), 10)
    return place


def values_of(model: Explorer, name: str) -> Sequence:
    """Return all values that a control currently allows, in the page's order."""
    control = model.controls[name]
    if isinstance(control, Switch):
        return [False, True]
    if isinstance(control, Choice):
        return control.options
    low, high = model.range(name)
    count = round((high - low) / control.step) + 1
    return [round(low + i * control.step, 10) for i in range(count)]


def next_step(model: Explorer, name: str) -> tuple[list[str], object, list[str]]:
    """Return the keys that move a control one step, its new value, and the keys that undo it."""
    control, values = model.controls[name], values_of(model, name)
    forth, back = ["ArrowRight"], ["ArrowLeft"]
    if isinstance(control, Switch):
        forth = back = ["Space"]
    elif isinstance(control, Choice) and not control.ordered:
        forth, back = ["ArrowDown"], ["ArrowUp"]
    index = values.index(model.values[name])
    if index + 1 < len(values):
        return forth, values[index + 1], back
    return back, values[index - 1], forth


def decode(source: str) -> Image.Image:
    return Image.open(io.BytesIO(base64.b64decode(source.partition(",")[2]))).convert("RGB")


def compare_pictures(shown: Image.Image, said: Image.Image) -> list[str]:
    """Return in words how two pictures differ beyond a network's rounding errors."""
    if shown.size != said.size:
        return [f"picture: the page's has {shown.size} pixels, the model's {said.size}"]
    largest = max(high for _, high in ImageChops.difference(shown, said).getextrema())
    return [f"picture: pixels differ by up to {largest}"] if largest > 4 else []


def test_every_explorer_of_a_notebook_is_tested():
    shown = set()
    for notebook in (ROOT / "notebooks").glob("*.ipynb"):
        text = notebook.read_text(encoding="utf-8")
        found = re.findall(r"from pix2pix_lib\.explorers\.\w+ import ([\w, ]+)", text)
        names = ", ".join(found).split(", ")
        shown |= {(notebook.stem, name) for name in names if name[:1].isupper()}
    assert shown == {(case.notebook, case.make.__name__) for case in CASES}


@pytest.fixture
def panel(notebook, case):
    panel = Panel(notebook.page, make_model(case.make))
    if case.reset:
        panel.push(case.reset)
    return panel


@functools.cache
def make_model(make: type[Explorer]) -> Explorer:
    return make()


@each_panel
def test_page_shows_the_view_of_the_values_that_its_controls_have(panel):
    panel.check()


@each_panel
def test_nothing_is_cut_off_and_pictures_fill_the_width(panel):
    assert panel.root.evaluate(CUT_OFF) == []
    sizes = panel.root.evaluate("""panel => [...panel.querySelectorAll('.p2p-row')].map(row =>
        [row.scrollWidth - row.clientWidth, row.clientWidth])""")
    assert all(beyond <= 0 and width > 500 for beyond, width in sizes), sizes


@each_panel
def test_key_presses_move_each_control_there_and_back(panel):
    for name in panel.names:
        before = panel.model.values[name]
        forth, value, back = next_step(panel.model, name)
        panel.press(panel.hand(name), forth)
        panel.check(**{name: value})
        panel.press(panel.hand(name), back)
        panel.check(**{name: before})


@each_panel
def test_enter_presses_each_button(panel):
    labels = [*(action.label for action in panel.model.actions), "reset"]
    assert panel.buttons().all_inner_texts() == labels
    for label in labels:
        panel.push(label)


@each_panel
def test_tab_goes_from_one_control_to_the_next(panel):
    """Each control is one stop; those of a drawing lie between them."""
    first, *others = [*map(panel.hand, panel.names), *panel.buttons().all()]
    first.focus()
    painting = any(isinstance(each, Drawing) for each in panel.model.controls.values())
    for place in others:
        panel.page.keyboard.press("Tab")
        for _ in range(25 if painting else 0):
            if has_focus(place):
                break
            panel.page.keyboard.press("Tab")
        assert has_focus(place), place


@each_panel
def test_every_control_has_a_name_and_a_value_for_those_who_cannot_see_it(panel):
    for name in panel.names:
        control, hand = panel.model.controls[name], panel.hand(name)
        said = hand.evaluate("hand => [hand.labels[0]?.innerText, hand.ariaValueText]")
        expected = panel.expected(name)["words"]
        assert said == [control.label, expected or None], name
    for image in panel.root.locator("img.p2p-image:not(.p2p-above)").all():
        assert image.get_attribute("alt")


def has_focus(place) -> bool:
    return place.evaluate("place => place === document.activeElement")


@each_panel
def test_latency(panel, case, record_property):
    """The goal is a median under 80 ms; the bound leaves room for a slow or busy machine."""
    name, values = case.quick, values_of(panel.model, case.quick)
    start = values.index(panel.model.values[name])
    panel.root.scroll_into_view_if_needed()
    panel.root.evaluate(MEASURE)
    for key, value in steps(values, start):
        panel.page.wait_for_timeout(200)  # work left over from the previous press must not count
        panel.press(panel.hand(name), [key])
        panel.page.wait_for_function("pressed.length === painted.length", polling=100)
        panel.check(**{name: value})
    times = panel.page.evaluate("painted.map((time, i) => time - pressed[i])")
    median, high = statistics.median(times), sorted(times)[-2]  # 95 % of 20 lie below
    record_property("latency", (f"{case.notebook[:2]} {case.make.__name__}", median, high))
    assert median < 400


def steps(values: Sequence, index: int) -> Iterator[tuple[str, float]]:
    """Yield each key of a walk up to the last value and down again, and the value it leads to."""
    up = True
    for _ in range(PRESSES):
        up = index == 0 or (up and index + 1 < len(values))
        index += 1 if up else -1
        yield ("ArrowRight" if up else "ArrowLeft"), values[index]


@each_notebook
def test_console_has_no_error(notebook):
    """This is the last test, so that it sees the result of all key presses."""
    assert notebook.errors == []
