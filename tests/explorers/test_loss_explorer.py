"""The losses' explorer: values and slopes in closed form, G's loss by autograd, the picture."""

import math
import random
import re

import pytest
import torch
from PIL import ImageColor

from pix2pix_lib.explorers.losses import CHART, LAMBDAS, STEEPNESS, LossExplorer, patch_losses
from pix2pix_lib.losses import OBJECTIVES, discriminator_loss, generator_loss, pixel_loss
from pix2pix_lib.plots import BLUE, GREEN, ORANGE, PURPLE

START = {"objective": "vanilla", "real": 2.0, "fake": -2.0, "l1": 0.25, "lambda_l1": 100,
         "steepness": 100, "minimax": False}  # fmt: skip
TITLE, GAP = 20, 18


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
    """Return the colour at a value of one of the two charts in the explorer's picture."""
    charts = explorer.charts(explorer.values["objective"], explorer.values["minimax"])
    across, down = charts[chart].place(x, y)
    place = round(across) + chart * (CHART + GAP), round(down) + TITLE
    return explorer.view.image.getpixel(place)


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


def test_curves_are_the_losses(explorer):
    explorer.set(**START)
    for z in (-6.0, -4.0, 1.0, 5.0):
        for chart, colour in ((0, BLUE), (1, ORANGE)):
            found = dot(explorer, chart, z, math.log1p(math.exp(-z)))
            assert math.dist(found, ImageColor.getrgb(colour)) < 120
            assert math.dist(found, (255, 255, 255)) > 120


def test_bars_have_the_parts_shares(explorer):
    view = explorer.set(**START | {"lambda_l1": 100, "steepness": 100, "fake": -8.0})
    left = 2 * (CHART + GAP)
    for top, share in ((10, "share_of_value"), (140, "share_of_push")):
        places = [(x, TITLE + top + 30) for x in range(left, view.image.width)]
        colours = [view.image.getpixel(place) for place in places]
        assert set(colours) == {ImageColor.getrgb(ORANGE), ImageColor.getrgb(GREEN)}
        l1 = colours.count(ImageColor.getrgb(GREEN)) / len(colours)
        assert l1 == pytest.approx(view.numbers[share], abs=0.01)


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
        assert views[-1].image.width == 900 and views[-1].image.height < 320
        assert all(math.isfinite(number) for number in views[-1].numbers.values())
        assert not re.search(r"-0\b(?!\.)|\de[-+]", views[-1].text)  # no minus zero, no exponent
    assert len({view.text for view in views}) == len({view.alt for view in views}) == len(views)
