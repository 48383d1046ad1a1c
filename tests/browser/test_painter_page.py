"""The page that works without a kernel, opened from disk: torch's numbers, tools, and words.

Its policy forbids eval, which playwright's `wait_for_function` needs; the tests wait for
`aria-busy` instead.
"""

import base64
import io
from dataclasses import dataclass, field

import numpy as np
import pytest
import torch
from PIL import Image

from pix2pix_lib.export import without_dropout
from pix2pix_lib.facades import CLASS_COLOURS, CLASS_NAMES, make_classes, split_seeds
from pix2pix_lib.images import to_float, to_uint8
from pix2pix_lib.inference import translate
from pix2pix_lib.page import make_page
from pix2pix_lib.receptive_field import receptive_field
from pix2pix_lib.trained import load_snapshot

PATIENCE = 60_000  # milliseconds
SIZE = 128
START = make_classes(split_seeds("val", 1)[0], SIZE)
WINDOW, BALCONY, SHOP = (CLASS_NAMES.index(name) for name in ("window", "balcony", "shop"))


@dataclass
class Painter:
    """The open page, with what it has reported and asked for so far."""

    page: object
    errors: list[str] = field(default_factory=list)
    requests: list[str] = field(default_factory=list)

    def settle(self):
        self.page.locator("#picture[aria-busy=false]").wait_for()

    def button(self, name):
        return self.page.get_by_role("button", name=name, exact=True)

    def classes(self):
        values = self.page.evaluate("Array.from(state.classes)")
        return np.array(values, np.uint8).reshape(SIZE, SIZE)

    def fake_b(self):
        values = self.page.evaluate("Array.from(state.fakeB)")
        return torch.tensor(values).view(SIZE, SIZE, 3).permute(2, 0, 1)

    def logits(self):
        values = torch.tensor(self.page.evaluate("Array.from(state.logits)"))
        return values.view(round(len(values) ** 0.5), -1)

    def canvas(self, name):
        """Return the pixels of a canvas, (H, W, 3) uint8."""
        address = self.page.evaluate(f"document.getElementById('{name}').toDataURL()")
        png = io.BytesIO(base64.b64decode(address.partition(",")[2]))
        return np.array(Image.open(png).convert("RGB"))

    def point(self, row, column, canvas="map"):
        """Return where the middle of a pixel lies on the screen."""
        box = self.page.locator(f"#{canvas}").bounding_box()
        scale = box["width"] / SIZE
        return box["x"] + (column + 0.5) * scale, box["y"] + (row + 0.5) * scale

    def drag(self, *places):
        """Drag the mouse over pixels (row, column) of the label map."""
        self.page.mouse.move(*self.point(*places[0]))
        self.page.mouse.down()
        for place in places[1:]:
            self.page.mouse.move(*self.point(*place))
        self.page.mouse.up()

    def keys(self, *keys):
        for key in keys:
            self.page.keyboard.press(key)

    def text(self, name):
        return self.page.locator(f"#{name}").inner_text()


@pytest.fixture(scope="module")
def snapshot():
    return load_snapshot()


@pytest.fixture(scope="module")
def opened(browser, snapshot, tmp_path_factory):
    file = tmp_path_factory.mktemp("page") / "page.html"
    file.write_text(make_page(snapshot), encoding="utf-8")
    page = browser.new_page(viewport={"width": 1400, "height": 900})
    page.set_default_timeout(PATIENCE)
    painter = Painter(page)
    page.on("console", lambda message: painter.errors.append(message.text))
    page.on("pageerror", lambda error: painter.errors.append(str(error)))
    page.on("request", lambda request: painter.requests.append(request.url))
    page.goto(file.as_uri())
    yield painter
    page.close()


@pytest.fixture
def painter(opened):
    """The page with the first facade, the brush, and the discriminator's map switched off."""
    opened.button("Start from facade 1").click()
    opened.button("Brush").click()
    opened.button("Balcony").click()
    switch = opened.page.locator("#judge[aria-pressed=true]")
    if switch.count():
        switch.click()
    opened.settle()
    yield opened
    assert opened.errors == []


def switch_on_the_map(painter):
    painter.button("Show what it says of each patch").click()
    painter.settle()


@torch.no_grad()
def torch_answer(snapshot, classes):
    """Return fake_b, (3, H, W), and the logits, (H', W'), that torch computes."""
    colours = torch.from_numpy(CLASS_COLOURS[classes]).permute(2, 0, 1)
    real_a = to_float(colours)[None]
    fake_b = translate(without_dropout(snapshot.generator), real_a)
    return fake_b[0], snapshot.discriminator(real_a, fake_b)[0, 0]


def test_the_networks_numbers_are_torch_s_after_painting(painter, snapshot):
    switch_on_the_map(painter)
    painter.drag((20, 20), (60, 100))
    painter.button("Shop").click()
    painter.button("Fill").click()
    painter.drag((5, 5))
    painter.settle()
    classes = painter.classes()
    assert len(np.unique(classes)) > 4 and (classes != START).sum() > 500
    fake_b, logits = torch_answer(snapshot, classes)
    torch.testing.assert_close(painter.fake_b(), fake_b, rtol=0, atol=1e-4)
    shown = painter.canvas("picture").astype(int)
    grey_steps = abs(shown - to_uint8(fake_b).permute(1, 2, 0).numpy())
    assert grey_steps.max() <= 1 and grey_steps.mean() < 0.001
    # Probabilities near 0 are equal even where logits are not.
    torch.testing.assert_close(painter.logits(), logits, rtol=0, atol=1e-3)
    torch.testing.assert_close(painter.logits().sigmoid(), logits.sigmoid(), rtol=0, atol=1e-3)
    assert (painter.canvas("map") == CLASS_COLOURS[classes]).all()


def test_each_tool_paints_its_pixels_and_undo_takes_them_back(painter):
    painter.button("Rectangle").click()
    painter.drag((40, 90), (50, 70), (30, 60))
    painted = painter.classes()
    assert (painted[30:41, 60:91] == BALCONY).all()
    rest = painted.copy()
    rest[30:41, 60:91] = START[30:41, 60:91]
    assert (rest == START).all()

    painter.button("Fill").click()
    painter.button("Shop").click()
    painter.drag((35, 75))
    assert (painter.classes()[30:41, 60:91] == SHOP).all()
    assert (painter.classes() == SHOP).sum() < (START == SHOP).sum() + 11 * 31 + 1

    painter.button("Undo").click()
    assert (painter.classes() == painted).all()
    painter.keys("Control+z")
    assert (painter.classes() == START).all()

    painter.button("Clear").click()
    assert (painter.classes() == 0).all()
    painter.button("Undo").click()
    assert (painter.classes() == START).all()

    painter.button("Brush").click()
    painter.drag((100, 3), (100, 124))  # as far as the edges; no gap though the mouse jumped
    assert (painter.classes()[97:103] == SHOP).all(axis=0).sum() >= 126
    assert (painter.classes()[:97] == START[:97]).all()
    painter.button("Start from facade 2").click()
    second = make_classes(split_seeds("val", 2)[1], SIZE)
    assert (painter.classes() == second).all()


def test_the_keyboard_paints(painter):
    painter.page.locator("#map").focus()
    painter.page.evaluate("moveCursor({x: 64, y: 64})")
    painter.keys("Shift+ArrowUp", "ArrowLeft")
    assert painter.text("status") == "Row 56, column 63."
    painter.page.keyboard.down("Space")
    painter.keys("ArrowRight", "ArrowRight")
    painter.page.keyboard.up("Space")
    assert painter.text("status") == "Balcony painted at row 56, column 65."
    assert (painter.classes()[53:59, 60:68] == BALCONY).all()
    painter.keys("ArrowDown")  # Space is no longer held
    assert (painter.classes()[59] == START[59]).all()

    painter.keys("Control+z")
    painter.button("Rectangle").click()
    painter.page.locator("#map").focus()
    painter.page.evaluate("moveCursor({x: 10, y: 10})")
    painter.keys("Space")
    assert painter.text("status") == "First corner set; Space sets the other one."
    painter.keys("Shift+ArrowRight", "Shift+ArrowDown", "Space")
    assert (painter.classes()[10:19, 10:19] == BALCONY).all()
    painter.keys("Control+z", "Space", "Shift+ArrowDown", "Escape")
    assert (painter.classes() == START).all()
    assert painter.page.evaluate("scrollY") == 0


def test_tools_and_classes_are_buttons_that_say_which_is_pressed(painter):
    pressed = painter.page.locator("#palette [aria-pressed=true], #tools [aria-pressed=true]")
    assert pressed.all_inner_texts() == ["Balcony", "Brush"]
    for name in CLASS_NAMES:
        painter.button(name.capitalize()).focus()
        painter.keys("Enter")
        assert pressed.all_inner_texts() == [name.capitalize(), "Brush"]
    for name in ("Rectangle", "Fill"):
        painter.button(name).click()
        assert pressed.all_inner_texts() == ["Shop", name]
    swatches = painter.page.locator("#palette .swatch").evaluate_all(
        "all => all.map((one) => getComputedStyle(one).backgroundColor)"
    )
    assert swatches == [f"rgb({r}, {g}, {b})" for r, g, b in CLASS_COLOURS.tolist()]


def test_both_pictures_are_told_in_words(painter):
    painter.button("Clear").click()
    painter.settle()
    for name in ("map", "picture"):
        label = painter.page.locator(f"#{name}").get_attribute("aria-label")
        assert label.endswith("100 % background")
    painter.page.get_by_text("The picture shows your label map as it is now.").wait_for()


def test_hover_frames_a_patch_and_says_its_probability(painter, snapshot):
    frame = painter.page.locator("#picture ~ svg rect.frame").first
    painter.page.mouse.move(*painter.point(64, 64, "picture"))
    assert painter.text("patch") == "" and not frame.is_visible()  # the map is switched off
    switch_on_the_map(painter)
    _, logits = torch_answer(snapshot, START)
    patches = receptive_field(snapshot.discriminator.model)
    for row, column in ((7, 5), (0, 13)):
        # The middle of the patch, the same whether or not the picture cuts it.
        middle = patches.start + patches.stride * row + patches.size // 2
        across = patches.start + patches.stride * column + patches.size // 2
        painter.page.mouse.move(*painter.point(middle, across, "picture"))
        box = patches.box(row, column).clipped(SIZE, SIZE)
        drawn = [int(frame.get_attribute(name)) for name in ("x", "y", "width", "height")]
        assert drawn == [box.left, box.top, box.right - box.left, box.bottom - box.top]
        words = painter.text("patch")
        assert f"row {row + 1}, column {column + 1} of 14 × 14" in words
        assert f"rows {box.top} to {box.bottom - 1} and columns {box.left} to" in words
        assert ("padding" in words) == (row == 0)
        said = words.partition("being real ")[2].partition(":")[0]
        probability = float(logits[row, column].sigmoid())
        assert abs(float(said.replace("below ", "")) - probability) < 6e-3
        assert f"{int((logits > logits[row, column]).sum()) or 'No'} of 196 patches" in words
    assert painter.canvas("patches").shape == (14, 14, 3)
    darkness = painter.canvas("patches").astype(int).sum(axis=2)
    assert darkness.argmin() == int(logits.argmin()) and darkness.argmax() == int(logits.argmax())

    painter.page.locator("#picture").focus()
    painter.keys("ArrowLeft", "ArrowDown")
    assert "row 2, column 13 of" in painter.text("patch")


def test_only_the_newest_map_waits(painter, snapshot):
    painter.page.evaluate(
        """() => {
            window.sent = 0;
            const post = worker.postMessage.bind(worker);
            worker.postMessage = (message) => { window.sent++; post(message); };
        }"""
    )
    painter.page.evaluate(
        """() => {
            beginStroke({x: 0, y: 9});
            for (let x = 1; x < 50; x++) continueStroke({x, y: 9 + x});
            endStroke();
        }"""
    )
    painter.settle()
    assert painter.page.evaluate("window.sent") == 2  # the first dab, and all that followed
    fake_b, _ = torch_answer(snapshot, painter.classes())
    torch.testing.assert_close(painter.fake_b(), fake_b, rtol=0, atol=1e-4)


@pytest.mark.parametrize(("name", "canvas"), [("Picture", "picture"), ("Label map", "map")])
def test_pictures_are_saved_as_they_are_shown(painter, name, canvas, tmp_path):
    with painter.page.expect_download() as download:
        painter.button(name).click()
    file = tmp_path / download.value.suggested_filename
    download.value.save_as(file)
    assert file.suffix == ".png"
    assert (np.array(Image.open(file).convert("RGB")) == painter.canvas(canvas)).all()


@pytest.mark.parametrize("width", [390, 900, 1400, 1920])
def test_nothing_is_wider_than_the_window(painter, width):
    before = painter.page.viewport_size
    painter.page.set_viewport_size({"width": width, "height": 900})
    assert painter.page.evaluate("document.documentElement.scrollWidth") == width
    shown = painter.page.locator("#picture").bounding_box()
    controls = painter.page.locator(".controls").bounding_box()
    is_beside = controls["x"] >= shown["x"] + shown["width"]
    assert is_beside == (width >= 1000)
    assert is_beside or controls["y"] >= shown["y"] + shown["height"]
    painter.page.set_viewport_size(before)


def test_the_page_asks_for_nothing_but_itself(painter):
    assert [url for url in painter.requests if not url.startswith(("file:", "blob:"))] == []
    assert len([url for url in painter.requests if url.startswith("file:")]) == 1
