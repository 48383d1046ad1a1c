"""Sketches and charts: all is where its values put it, for Pillow as in the SVG."""

import math
from xml.etree import ElementTree

import numpy as np
import pytest
from PIL import ImageColor

from pix2pix_lib.explorers.drawing import FAINT, INK, Chart, Sketch, axis_marks
from pix2pix_lib.plots import BLUE, GREEN, ORANGE

WHITE = (255, 255, 255)


@pytest.fixture
def chart():
    return Chart(300, 200, (-4, 4), (0, 10), (-4, 0, 4), (0, 5, 10), "x")


def pixel(chart, x, y, down=0):
    across, height = chart.place(x, y)
    return chart.sketch().picture().getpixel((round(across), round(height) + down))


def test_curve_goes_through_its_values(chart):
    chart.curve((-4, 0, 4), (8, 2, 3), BLUE)
    for x, y in ((-3, 6.5), (-1, 3.5), (0, 2), (2, 2.5)):
        # The curve's rim is mixed with white.
        assert math.dist(pixel(chart, x, y), ImageColor.getrgb(BLUE)) < 120
        assert math.dist(pixel(chart, x, y, down=-12), ImageColor.getrgb(BLUE)) > 200


def test_dashes_are_equally_long_however_far_apart_the_points_lie():
    lengths = []
    for points in (2, 200):
        chart = Chart(300, 200, (-4, 4), (0, 10), (), ())
        xs = [-4 + 8 * i / (points - 1) for i in range(points)]
        chart.curve(xs, [6] * points, BLUE, dash=16)
        row = [pixel(chart, -4 + 8 * i / 256, 6) == ImageColor.getrgb(BLUE) for i in range(257)]
        lengths.append(row)
        assert 0.4 < sum(row) / len(row) < 0.65
    assert lengths[0] == lengths[1]


def test_point_beyond_the_range_lies_at_the_edge(chart):
    chart.point(1, 50, ORANGE)
    assert pixel(chart, 1, 10, down=5) == ImageColor.getrgb(ORANGE)


def test_arrow_points_to_where_its_length_says(chart):
    chart.arrow(-2, 5, 3, ORANGE)
    assert pixel(chart, 0, 5) == pixel(chart, 0.9, 5) == ImageColor.getrgb(ORANGE)
    assert pixel(chart, 1.2, 5) != ImageColor.getrgb(ORANGE)
    chart.arrow(2, 8, -2, ORANGE)
    assert pixel(chart, 0.2, 8) == ImageColor.getrgb(ORANGE)
    before = chart.sketch().picture().tobytes()
    chart.arrow(0, 2, 0.01, ORANGE)  # too short to be drawn
    assert chart.sketch().picture().tobytes() == before


def test_what_is_added_to_a_copy_is_not_on_the_original(chart):
    before = chart.sketch().picture().tobytes()
    copied = chart.copy()
    copied.point(0, 5, BLUE)
    assert chart.sketch().picture().tobytes() == before != copied.sketch().picture().tobytes()


def test_finished_chart_has_the_size_that_was_asked_for(chart):
    assert chart.sketch().picture().size == (300, 200)
    assert chart.sketch().picture().getpixel((299, 0)) == WHITE


def test_chart_is_the_same_drawing_as_svg(chart):
    chart.curve((-4, 0, 4), (8, 2, 3), BLUE, dash=5)
    chart.point(1, 5, ORANGE)
    whole = ElementTree.fromstring(chart.sketch().svg())
    (field,) = whole.iterfind("{*}svg")
    corner = np.array([float(field.get("x")), float(field.get("y"))])
    (curve,) = (line for line in field.iterfind("{*}polyline") if line.get("stroke") == BLUE)
    wanted = [chart.place(x, y) for x, y in ((-4, 8), (0, 2), (4, 3))]
    assert corner + numbers(curve, "points") == pytest.approx(np.array(wanted), abs=0.01)
    assert curve.get("stroke-dasharray") == "5"
    (dot,) = field.iterfind("{*}circle")
    at = np.add(corner, (float(dot.get("cx")), float(dot.get("cy"))))
    assert at == pytest.approx(np.array(chart.place(1, 5)), abs=0.01)
    assert [text.text for text in whole.iterfind("{*}text")] == [
        "-4",
        "0",
        "4",
        "0",
        "5",
        "10",
        "x",
    ]
    # Ticks stand below and beside their places.
    places = whole.findall("{*}text")
    for tick, x in zip(places[:3], (-4, 0, 4)):
        assert float(tick.get("x")) == pytest.approx(chart.place(x, 0)[0])
        assert tick.get("text-anchor") == "middle"
    heights = [float(tick.get("y")) for tick in places[3:6]]
    assert heights == pytest.approx([chart.place(0, y)[1] for y in (0, 5, 10)], abs=6)


def numbers(element, name):
    """Return the numbers of a list of points, (n, 2)."""
    return np.array([[*map(float, pair.split(","))] for pair in element.get(name).split()])


def covered(sketch, colour):
    """Return (left, top, right, bottom) of a colour's pixels; those mixed with others may miss."""
    near = np.abs(np.asarray(sketch.picture(), int) - ImageColor.getrgb(colour)).sum(-1) < 30
    rows, cols = near.nonzero()
    return [cols.min(), rows.min(), cols.max() + 1, rows.max() + 1]


@pytest.fixture
def sketch():
    return Sketch(100, 60)


def only(sketch, tag):
    """Return the attributes of the SVG's only element, which has this tag."""
    root = ElementTree.fromstring(sketch.svg())
    (element,) = root
    assert element.tag == "{http://www.w3.org/2000/svg}" + tag
    return element


def test_svg_has_the_sketches_size(sketch):
    root = ElementTree.fromstring(sketch.svg())
    assert (root.get("width"), root.get("height")) == ("100", "60")
    assert root.get("viewBox") == "0 0 100 60" and root.get("overflow") == "hidden"
    assert sketch.picture().size == (100, 60) and not list(root)


@pytest.mark.parametrize("edge", ["none", ORANGE])
def test_box_covers_the_same_pixels_as_in_svg(sketch, edge):
    sketch.box((20, 10, 70, 40), BLUE, edge, width=4)
    svg = only(sketch, "rect")
    left, top, width, height = (float(svg.get(name)) for name in ("x", "y", "width", "height"))
    rim = 0 if edge == "none" else float(svg.get("stroke-width")) / 2  # half of it lies outside
    outside = [left - rim, top - rim, left + width + rim, top + height + rim]
    inside = [left + rim, top + rim, left + width - rim, top + height - rim]
    assert outside == [20, 10, 70, 40]
    assert covered(sketch, BLUE) == inside and (svg.get("fill"), svg.get("stroke")) == (BLUE, edge)
    if edge != "none":
        assert covered(sketch, edge) == outside


def test_box_without_a_size_is_not_drawn(sketch):
    sketch.box((20, 10, 20, 40), BLUE)
    assert sketch.picture().getcolors() == [(6000, WHITE)]
    assert float(only(sketch, "rect").get("width")) == 0


def test_dot_has_its_rim_inside_its_radius(sketch):
    sketch.box((0, 0, 100, 60), ORANGE)
    sketch.dot(50, 30, 10, BLUE)
    picture = sketch.picture()
    assert picture.getpixel((50, 30)) == ImageColor.getrgb(BLUE)
    _, svg = ElementTree.fromstring(sketch.svg())
    assert (svg.get("cx"), svg.get("cy"), svg.get("fill")) == ("50", "30", BLUE)
    radius, rim = float(svg.get("r")), float(svg.get("stroke-width"))
    assert radius + rim / 2 == 10
    fill = radius - rim / 2
    assert covered(sketch, BLUE) == pytest.approx(
        [50 - fill, 30 - fill, 50 + fill, 30 + fill], abs=1
    )
    beyond = [picture.getpixel((50 + x, 30)) == ImageColor.getrgb(ORANGE) for x in (8, 9, 11)]
    assert beyond == [False, False, True]


def test_line_has_its_width_and_dashes(sketch):
    sketch.line([(10, 30), (90, 30)], BLUE, width=4, dash=8)
    svg = only(sketch, "polyline")
    assert numbers(svg, "points").tolist() == [[10, 30], [90, 30]]
    assert (svg.get("stroke"), svg.get("fill")) == (BLUE, "none")
    assert covered(sketch, BLUE)[1::2] == pytest.approx([28, 32], abs=1)
    assert (svg.get("stroke-width"), svg.get("stroke-dasharray")) == ("4", "8")
    # In SVG, too, a line begins with a dash.
    drawn = [sketch.picture().getpixel((x, 30)) == ImageColor.getrgb(BLUE) for x in (14, 22, 30)]
    assert drawn == [True, False, True]
    sketch.line([(10, 50), (90, 50)], BLUE)
    _, plain = ElementTree.fromstring(sketch.svg())
    assert plain.get("stroke-dasharray") is None


def test_polygon_is_filled(sketch):
    sketch.polygon([(10, 10), (50, 10), (10, 50)], GREEN)
    svg = only(sketch, "polygon")
    assert numbers(svg, "points").tolist() == [[10, 10], [50, 10], [10, 50]]
    assert svg.get("fill") == GREEN
    assert sketch.picture().getpixel((20, 20)) == ImageColor.getrgb(GREEN)
    assert sketch.picture().getpixel((45, 45)) == WHITE


@pytest.mark.parametrize(("anchor", "across"), [("l", "start"), ("m", "middle"), ("r", "end")])
def test_words_lie_on_the_side_that_the_anchor_says(sketch, anchor, across):
    sketch.text(50, 30, "a < b", anchor + "m", 12, BLUE)
    svg = only(sketch, "text")
    assert (svg.text, svg.get("text-anchor"), svg.get("x")) == ("a < b", across, "50")
    assert (svg.get("font-size"), svg.get("fill")) == ("12", BLUE)
    left, _, right, _ = covered(sketch, BLUE)
    assert (left >= 49, right <= 51) == {
        "start": (True, False), "middle": (False, False), "end": (False, True),
    }[across]  # fmt: skip


@pytest.mark.parametrize("down", ["t", "m", "b"])
def test_words_are_as_high_as_in_svg(sketch, down):
    sketch.text(50, 30, "Hp", "m" + down, 20, BLUE)
    _, top, _, bottom = covered(sketch, BLUE)
    baseline = float(only(sketch, "text").get("y"))
    # Most fonts have capitals of 0.72, and descenders of 0.2 of their size.
    assert [baseline - 0.72 * 20, baseline + 0.2 * 20] == pytest.approx([top, bottom], abs=2)


def test_ink_and_white_become_the_pages_colours(sketch):
    for colour in (INK, "white", FAINT, BLUE):
        sketch.line([(0, 0), (9, 9)], colour)
        sketch.box((0, 0, 9, 9), colour, colour)
        sketch.dot(5, 5, 3, colour)
        sketch.polygon([(0, 0), (9, 0), (0, 9)], colour)
        sketch.text(5, 5, "x", colour=colour)
    svg = sketch.svg()
    assert INK not in svg and '"white"' not in svg and FAINT + '"' not in svg
    elements = list(ElementTree.fromstring(svg))
    pages = ("currentColor", "var(--p2p-paper, white)", "var(--p2p-faint, #e6e6e6)", BLUE)
    for start, page in zip((0, 5, 10, 15), pages):
        line, box, dot, polygon, text = elements[start : start + 5]
        assert line.get("stroke") == box.get("fill") == box.get("stroke") == page
        assert dot.get("fill") == polygon.get("fill") == text.get("fill") == page
        assert dot.get("stroke") == pages[1]


def test_placed_sketch_is_cut_off_at_its_own_size(sketch):
    inner = Sketch(30, 20)
    inner.box((-50, -50, 50, 50), BLUE)
    sketch.place(60, 25, inner)
    assert covered(sketch, BLUE) == [60, 25, 90, 45]
    svg = only(sketch, "svg")
    assert [svg.get(name) for name in ("x", "y", "width", "height")] == ["60", "25", "30", "20"]
    assert svg.get("overflow") == "hidden"
    sketch.place(90, 50, inner)  # and the outer one, at its own
    assert covered(sketch, BLUE) == [60, 25, 100, 60]


def test_placed_sketch_lies_where_it_is_placed_however_deep(sketch):
    innermost, inner = Sketch(10, 10), Sketch(30, 20)
    innermost.box((2, 3, 8, 7), BLUE)
    inner.place(5, 6, innermost)
    sketch.place(60, 25, inner)
    assert covered(sketch, BLUE) == [67, 34, 73, 38]
    outer = only(sketch, "svg")
    places = [float(part.get(name)) for part in (outer, outer[0]) for name in ("x", "y")]
    assert places == [60, 25, 5, 6]


def test_placed_sketch_hides_only_what_it_draws_upon(sketch):
    sketch.box((0, 0, 100, 60), ORANGE)
    inner = Sketch(30, 20)
    inner.box((0, 0, 5, 5), BLUE)
    sketch.place(60, 25, inner)
    assert sketch.picture().getpixel((80, 40)) == ImageColor.getrgb(ORANGE)
    assert sketch.picture().getpixel((62, 27)) == ImageColor.getrgb(BLUE)
    below, above = ElementTree.fromstring(sketch.svg())
    assert below.tag.endswith("rect") and len(above) == 1  # no ground of its own


@pytest.mark.parametrize(
    ("top", "marks"),
    [(0.33, [0, 0.1, 0.2, 0.3, 0.4]), (2.4, [0, 1, 2, 3]), (0.0, [0, 0.01]), (7, [0, 2, 4, 6, 8]),
     (40, [0, 10, 20, 30, 40]), (41, [0, 20, 40, 60]), (0.7, [0, 0.2, 0.4, 0.6, 0.8]),
     (3e9, [0, 1e9, 2e9, 3e9])],
)  # fmt: skip
def test_axis_ends_at_the_first_round_value_that_reaches_the_top(top, marks):
    assert axis_marks(top) == marks
