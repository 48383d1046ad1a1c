"""Each explorer under the mouse, apart from those of `test_pointing`: click, drag, and play."""

import re

import pytest
from jupyter_pages import (
    new_page,
    open_notebook,
    place_in,
    run_all,
    stop_kernels,
    wait_for_text,
    write_notebook,
)

from pix2pix_lib.explorers.losses import LossExplorer
from pix2pix_lib.explorers.unet import UNetExplorer

EXPLORERS = {
    "receptive_field": "ReceptiveFieldExplorer", "unet": "UNetExplorer", "losses": "LossExplorer",
    "player": "TrainingPlayer", "stepper": "TrainingStepper", "designer": "RectanglePainter",
    "normalization": "NormalizationExplorer",
}  # fmt: skip


@pytest.fixture(scope="module")
def page(browser, lab):
    """A page with one panel for each explorer, in this order."""
    sources = (
        f"from pix2pix_lib.explorers.{module} import {name}\n{name}()"
        for module, name in EXPLORERS.items()
    )
    write_notebook(lab, "mouse", *sources)
    opened = new_page(browser)
    open_notebook(opened.page, lab, "notebooks/mouse.ipynb")
    run_all(opened.page)
    opened.page.locator(".p2p-live").nth(len(EXPLORERS) - 1).wait_for()
    yield opened.page
    assert opened.errors == []
    opened.page.close()
    stop_kernels(lab)


def panel_of(page, module: str):
    panel = page.locator(".p2p-live").nth(list(EXPLORERS).index(module))
    panel.scroll_into_view_if_needed()
    return panel


def drag(page, locator, start: tuple[float, float], end: tuple[float, float]) -> None:
    page.mouse.move(*place_in(locator, *start))
    page.mouse.down()
    page.mouse.move(*place_in(locator, *end), steps=6)
    page.mouse.up()


def test_pointing_at_an_output_lights_its_cells_on_every_layer(page):
    panel = panel_of(page, "receptive_field")
    outputs = panel.locator(".p2p-picture").nth(2)
    page.mouse.move(*place_in(outputs, 20.5 / 30, 10.5 / 30))
    assert panel.locator(".p2p-hint").inner_text() == "row 20, column 10"
    assert panel.locator(".p2p-over.p2p-lit:visible").count() == 4  # the maps between both ends
    page.mouse.click(*place_in(outputs, 20.5 / 30, 10.5 / 30))
    wait_for_text(panel, "Patch (20, 10) begins at row -23 + 8·20 = 137")


def test_click_chooses_a_block_and_a_channel_and_cuts_and_mends_a_skip(page):
    panel, model = panel_of(page, "unet"), UNetExplorer()
    spots = panel.locator(".p2p-spot")
    for picture in model.view.rows[0]:
        for spot in picture.spots:
            if spot.values in ({"layer": "down3"}, {"mute": "skip 2"}):
                spots.and_(panel.get_by_label(spot.words, exact=True)).click()
    model.set(layer="down3", mute="skip 2")
    wait_for_text(panel, model.view.text.split("\n")[1])
    mosaic = model.view.rows[1][0].spots
    third = next(spot for spot in mosaic if spot.values.get("channel") == 3)
    spots.and_(panel.get_by_label(third.words, exact=True)).click()
    model.set(channel=3)
    wait_for_text(panel, model.view.text.split("\n")[0])
    assert panel.get_by_label("channel", exact=True).input_value() == "3"


def test_dragging_the_dot_moves_the_logit(page):
    panel, model = panel_of(page, "losses"), LossExplorer()
    chart = panel.locator(".p2p-picture").nth(1)
    (axis,) = model.view.rows[0][1].axes
    places = {value: share for share, value in axis.places}
    drag(page, chart, (0.5, places[-2.0]), (0.5, places[3.5]))
    model.set(fake=3.5)
    wait_for_text(panel, model.view.text.split("\n")[1])
    assert float(panel.get_by_label("fake logit", exact=True).input_value()) == 3.5


def test_play_shows_the_film_to_its_end_and_lets_the_button_go(page):
    panel = panel_of(page, "player")
    play = panel.get_by_role("button", name="play")
    play.click()
    assert play.get_attribute("aria-pressed") == "true"
    wait_for_text(panel, "100 % of the training")
    panel.locator("button[aria-pressed=false]", has_text="play").wait_for()


def test_play_trains_until_it_is_pressed_again_and_reset_starts_anew(page):
    panel = panel_of(page, "stepper")
    panel.get_by_role("button", name="play").click()
    wait_for_text(panel, "Step 1")  # 1, or one that begins with it
    panel.locator(".p2p-text").filter(has_text=re.compile(r"Step [3-9]")).wait_for()
    panel.get_by_role("button", name="play").click()
    page.wait_for_timeout(1000)
    before = panel.locator(".p2p-text").inner_text()
    page.wait_for_timeout(500)
    assert panel.locator(".p2p-text").inner_text() == before
    panel.get_by_role("button", name="reset").click()
    wait_for_text(panel, "Step 0")
    panel.get_by_role("button", name="D step").click()
    wait_for_text(panel, "Step 1: D has learned 1 time")


def test_rectangle_is_dragged_over_the_map(page):
    panel = panel_of(page, "designer")
    drag(page, panel.locator(".p2p-picture").first, (64 / 128, 24 / 128), (90 / 128, 80 / 128))
    wait_for_text(panel, "window, 32x32 pixels from row 74, column 64")


def test_click_on_a_map_of_the_table_chooses_its_channel(page):
    panel = panel_of(page, "normalization")
    panel.locator(".p2p-spot").nth(5).click()
    wait_for_text(panel, "for channel 5 of image 0")
