"""The losses' explorer: values and slopes in closed form, G's loss by autograd, the picture."""

import math
import random
import re
from xml.etree import ElementTree

import numpy as np
import pytest
import torch
from PIL import ImageColor

from pix2pix_lib.explorers.losses import LAMBDAS, STEEPNESS, LossExplorer, patch_losses
from pix2pix_lib.losses import OBJECTIVES, discriminator_loss, generator_loss, pixel_loss
from pix2pix_lib.plots import BLUE, GREEN, ORANGE, PURPLE

START = {"objective": "vanilla", "real": 2.0, "fake": -2.0, "l1": 0.25, "lambda_l1": 100,
         "steepness": 100, "minimax": False}  # fmt: skip


def sigmoid(z):
    return 1 / (1 + math.exp(-z))


# (loss, slope) of D's term for a real patch, of its term for a generated one, and of G's loss
CLOSED = {
    "vanilla": (
        lambda z: (math.log1p(math.exp(-z)), sigmoid(z) - 1),
        lambda z: (math.log1p(math.exp(z)), sigmoid(z)),
        lambda z: (math.log1p(math.exp(-z)), sigmoid(z) - 1),
    ),
    "lsgan": (
        lambda z: ((z - 1) ** 2, 2 * (z - 1)),
        lambda z: (z**2, 2 * z),
        lambda z: ((z - 1) ** 2, 2 * (z - 1)),
    ),
    "hinge": (
        lambda z: (max(0, 1 - z), -float(z < 1)),
        lambda z: (max(0, 1 + z), float(z > -1)),
        lambda z: (-z, -1.0),
    ),
    "wasserstein": (lambda z: (-z, -1.0), lambda z: (z, 1.0), lambda z: (-z, -1.0)),
}


@pytest.fixture(scope="module")
def explorer():
    return LossExplorer()


@pytest.mark.parametrize("objective", OBJECTIVES)
@pytest.mark.parametrize(
    ("real", "fake"), [(2.0, -2.0), (-8.0, 8.0), (8.0, -8.0), (0.25, 0.0), (0.75, -0.75)]
)
def test_losses_and_slopes_are_those_worked_out_by_hand(explorer, objective, real, fake):
    numbers = explorer.set(**START | {"objective": objective, "real": real, "fake": fake}).numbers
    on_real, on_fake, of_g = CLOSED[objective]
    assert (numbers["loss_real"], numbers["slope_real"]) == pytest.approx(on_real(real), abs=1e-12)
    assert (numbers["loss_fake"], numbers["slope_fake"]) == pytest.approx(on_fake(fake), abs=1e-12)
    assert (numbers["loss_g_gan"], numbers["slope_g"]) == pytest.approx(of_g(fake), abs=1e-12)
    loss, slope = on_fake(fake)
    minimax = numbers["loss_minimax"], numbers["slope_minimax"]
    assert minimax == pytest.approx((-loss, -slope), abs=1e-12)


@pytest.mark.parametrize("objective", OBJECTIVES)
def test_terms_add_up_to_the_discriminators_loss(objective):
    numbers = patch_losses(objective, 1.5, 0.5)
    both = discriminator_loss(torch.tensor([1.5]), torch.tensor([0.5]), objective)
    assert numbers["loss_d"] == pytest.approx(both.item(), abs=1e-6)


@pytest.mark.parametrize("objective", OBJECTIVES)
def test_parts_of_g_are_those_of_a_real_image_under_autograd(explorer, objective):
    real_b = torch.zeros(1, 3, 4, 4, dtype=torch.float64)
    signs = torch.randn(real_b.shape, dtype=torch.float64).sign()
    fake_b = (0.25 * signs).requires_grad_()  # off by 0.25 everywhere
    weights = torch.rand(real_b.shape, dtype=torch.float64) - 0.5
    weights *= 30 / weights.abs().sum()  # a linear D with steepness 30
    logit = (weights * fake_b).sum()
    logit = logit - logit.detach() - 1.5  # at -1.5
    gan, l1 = generator_loss(logit, objective), 10 * pixel_loss(fake_b, real_b)
    values = {"objective": objective, "fake": -1.5, "lambda_l1": 10, "steepness": 30}
    numbers = explorer.set(**START | values).numbers
    assert numbers["loss_g"] == pytest.approx((gan + l1).item())
    assert numbers["weighted_l1"] == pytest.approx(l1.item())
    (push_gan,) = torch.autograd.grad(gan, fake_b, retain_graph=True)
    (push_l1,) = torch.autograd.grad(l1, fake_b, retain_graph=True)
    assert numbers["push_gan"] == pytest.approx(float(push_gan.abs().sum()))
    assert numbers["push_l1"] == pytest.approx(float(push_l1.abs().sum()))
    share = push_l1.abs().sum() / (push_l1.abs() + push_gan.abs()).sum()
    assert numbers["share_of_push"] == pytest.approx(float(share))


def test_without_an_error_or_a_weight_l1_has_no_share(explorer):
    for nothing in ({"l1": 0.0}, {"lambda_l1": 0}):
        numbers = explorer.set(**START | nothing).numbers
        assert numbers["share_of_value"] == numbers["share_of_push"] == numbers["push_l1"] == 0
        assert numbers["loss_g"] == numbers["loss_g_gan"]
    # G has nothing left to do.
    numbers = explorer.set(**START | {"objective": "lsgan", "fake": 1.0, "l1": 0.0}).numbers
    assert numbers["loss_g"] == numbers["share_of_value"] == numbers["share_of_push"] == 0


def dot(explorer, chart, x, y):
    """Return the colour at a value of one of the explorer's two charts."""
    charts = explorer.charts(explorer.values["objective"], explorer.values["minimax"])
    place = map(round, charts[chart].place(x, y))
    return explorer.view.rows[0][chart].draw().getpixel(tuple(place))


@pytest.mark.parametrize("objective", OBJECTIVES)
def test_points_lie_on_their_curves_and_arrows_lead_downhill(explorer, objective):
    values = {"objective": objective, "real": 3.0, "fake": -0.5, "minimax": True}
    numbers = explorer.set(**START | values).numbers
    for chart, logit, name, colour in (
        (0, 3.0, "real", BLUE),
        (0, -0.5, "fake", PURPLE),
        (1, -0.5, "minimax", PURPLE),
        (1, -0.5, "g", ORANGE),
    ):
        loss = numbers[f"loss_{name}" if name != "g" else "loss_g_gan"]
        slope = numbers[f"slope_{name}"]
        if name == "minimax" and loss == numbers["loss_g_gan"]:
            continue  # with Wasserstein, G's own point covers it
        assert dot(explorer, chart, logit, loss) == ImageColor.getrgb(colour)
        if abs(slope) > 0.5:
            way = -slope / abs(slope)
            assert dot(explorer, chart, logit + way, loss) == ImageColor.getrgb(colour)
            assert dot(explorer, chart, logit - 1.7 * way, loss) != ImageColor.getrgb(colour)


def dots(picture):
    """Return the colour of each dot of a drawn chart, and its share of the chart's width."""
    chart = ElementTree.fromstring(picture.to_page()["svg"])
    (field,) = chart.iterfind("{*}svg")
    left, width = float(field.get("x")), float(chart.get("width"))
    return {
        dot.get("fill"): (left + float(dot.get("cx"))) / width
        for dot in field.iterfind("{*}circle")
    }


def test_dots_are_dragged_to_each_value_of_their_sliders(explorer):
    for real, fake in ((-8.0, 8.0), (-0.25, 0.0), (8.0, -7.75)):
        of_d, of_g, bars = explorer.set(**START | {"real": real, "fake": fake}).rows[0]
        axes = [(of_d, of_d.axes[0], real, BLUE), (of_d, of_d.axes[1], fake, PURPLE),
                (of_g, of_g.axes[0], fake, ORANGE)]  # fmt: skip
        assert [axis.name for _, axis, _, _ in axes] == ["real", "fake", "fake"]
        assert (len(of_d.axes), len(of_g.axes), len(bars.axes)) == (2, 1, 0)
        for picture, axis, value, colour in axes:
            slider = explorer.controls[axis.name]
            values = [value for _, value in axis.places]
            assert values == np.arange(slider.low, slider.high + slider.step, slider.step).tolist()
            (share,) = (share for share, other in axis.places if other == value)
            assert share == pytest.approx(dots(picture)[colour], abs=1e-4)


def test_curves_are_the_losses(explorer):
    explorer.set(**START | {"real": 7.0, "fake": -7.0})  # the tangents are far away
    for z in (-5.0, -3.0, 1.0, 5.0):
        for chart, colour in ((0, BLUE), (1, ORANGE)):
            found = dot(explorer, chart, z, math.log1p(math.exp(-z)))
            assert math.dist(found, ImageColor.getrgb(colour)) < 120
            assert math.dist(found, (255, 255, 255)) > 120


def test_bars_have_the_parts_shares(explorer):
    view = explorer.set(**START | {"lambda_l1": 100, "steepness": 100, "fake": -8.0})
    pixels = np.asarray(view.rows[0][2].draw())
    orange, green = ((pixels == ImageColor.getrgb(name)).all(-1) for name in (ORANGE, GREEN))
    middle = len(pixels) // 2
    for part, share in ((slice(middle), "share_of_value"), (slice(middle, None), "share_of_push")):
        gan, l1 = (each[part].sum(1).max() for each in (orange, green))
        # Where they meet, a pixel may have both colours.
        assert pixels.shape[1] - 1 <= gan + l1 <= pixels.shape[1]
        assert l1 / pixels.shape[1] == pytest.approx(view.numbers[share], abs=0.01)


def test_bars_of_nothing_are_left_out(explorer):
    nothing = {"objective": "lsgan", "fake": 1.0, "l1": 0.0}
    svg = explorer.set(**START | nothing).rows[0][2].to_page()["svg"]
    assert "<text" in svg and "<rect" not in svg


def test_d_that_has_won_leaves_g_the_push_of_notebook_05(explorer):
    view = explorer.set(**START | {"real": 7.5, "fake": -7.5, "minimax": True})
    assert view.numbers["loss_d"] / 2 == pytest.approx(0.00055, abs=1e-5)
    assert view.numbers["slope_g"] < -0.999 and -0.001 < view.numbers["slope_minimax"] < 0
    assert "It pushes the fake logit up by 0.999." in view.text and "up by 0.000553" in view.text


def test_any_setting_shows_a_view_and_words_follow(explorer):
    random.seed(0)
    views = []
    for _ in range(60):
        real, fake = (random.randint(-32, 32) / 4 for _ in range(2))
        view = explorer.set(
            objective=random.choice(OBJECTIVES),
            real=real,
            fake=fake,
            l1=random.randint(0, 20) / 20,
            lambda_l1=random.choice(LAMBDAS),
            steepness=random.choice(STEEPNESS),
            minimax=random.random() < 0.5,
        )
        views.append(view)
        assert views[-1].image.width < 900 and views[-1].image.height < 320
        assert all(math.isfinite(number) for number in views[-1].numbers.values())
        assert not re.search(r"-0\b(?!\.)|\de[-+]", views[-1].text)  # no minus zero, no exponent
    assert len({view.text for view in views}) == len({view.alt for view in views}) == len(views)
