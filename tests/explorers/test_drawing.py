"""Charts drawn with Pillow: everything is where its values put it."""

import math

import pytest
from PIL import ImageColor

from pix2pix_lib.explorers.drawing import Chart
from pix2pix_lib.plots import BLUE, ORANGE

WHITE = (255, 255, 255)


@pytest.fixture
def chart():
    return Chart(300, 200, (-4, 4), (0, 10), (-4, 0, 4), (0, 5, 10), "x")


def pixel(chart, x, y, down=0):
    across, height = chart.place(x, y)
    return chart.picture().getpixel((round(across), round(height) + down))


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
    before = chart.picture().tobytes()
    chart.arrow(0, 2, 0.01, ORANGE)  # too short to be drawn
    assert chart.picture().tobytes() == before


def test_what_is_added_to_a_copy_is_not_on_the_original(chart):
    before = chart.picture().tobytes()
    copied = chart.copy()
    copied.point(0, 5, BLUE)
    assert chart.picture().tobytes() == before != copied.picture().tobytes()


def test_finished_chart_has_the_size_that_was_asked_for(chart):
    assert chart.picture().size == (300, 200)
    assert chart.picture().getpixel((299, 0)) == WHITE
