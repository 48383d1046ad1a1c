"""The objectives of D and G and the pixel losses: their values, gradients and errors."""

import math

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given
from hypothesis import strategies as st

from pix2pix_lib.losses import (
    OBJECTIVES,
    PIXEL_LOSSES,
    discriminator_loss,
    generator_loss,
    pixel_loss,
)

logits = st.floats(-30, 30, width=32)


def sigmoid(value: float) -> float:
    return 1 / (1 + math.exp(-value))


# The terms of the objectives as they are defined, in plain Python: (real term of D, fake term of D,
# G). 1 - sigma(f) is written as sigma(-f), which loses no digits where sigma(f) is almost 1.
FORMULAS = {
    "vanilla": (
        lambda r: -math.log(sigmoid(r)),
        lambda f: -math.log(sigmoid(-f)),
        lambda f: -math.log(sigmoid(f)),
    ),
    "lsgan": (lambda r: (r - 1) ** 2, lambda f: f**2, lambda f: (f - 1) ** 2),
    "hinge": (lambda r: max(0, 1 - r), lambda f: max(0, 1 + f), lambda f: -f),
    "wasserstein": (lambda r: -r, lambda f: f, lambda f: -f),
}
# The derivatives of the same terms.
SLOPES = {
    "vanilla": (lambda r: sigmoid(r) - 1, sigmoid, lambda f: sigmoid(f) - 1),
    "lsgan": (lambda r: 2 * (r - 1), lambda f: 2 * f, lambda f: 2 * (f - 1)),
    "hinge": (lambda r: -1.0 if r < 1 else 0.0, lambda f: 1.0 if f > -1 else 0.0, lambda f: -1.0),
    "wasserstein": (lambda r: -1.0, lambda f: 1.0, lambda f: -1.0),
}


def tensor(*values: float) -> torch.Tensor:
    return torch.tensor(values, dtype=torch.float64)


# Values


def test_every_objective_has_a_formula_here():
    assert set(FORMULAS) == set(OBJECTIVES) == set(SLOPES)


@pytest.mark.parametrize("objective", OBJECTIVES)
@given(real=logits, fake=logits)
def test_d_loss_is_the_sum_of_the_real_and_the_fake_term(objective, real, fake):
    real_term, fake_term, _ = FORMULAS[objective]
    loss = discriminator_loss(tensor(real), tensor(fake), objective)
    assert loss.item() == pytest.approx(real_term(real) + fake_term(fake), rel=1e-5, abs=1e-9)


@pytest.mark.parametrize("objective", OBJECTIVES)
@given(fake=logits)
def test_g_loss_follows_its_formula(objective, fake):
    loss = generator_loss(tensor(fake), objective)
    assert loss.item() == pytest.approx(FORMULAS[objective][2](fake), rel=1e-5, abs=1e-9)


@pytest.mark.parametrize("objective", OBJECTIVES)
def test_losses_are_means_over_all_logits_of_a_patch_map(objective):
    real, fake = torch.randn(2, 3, 1, 5, 4, dtype=torch.float64)
    real_term, fake_term, g_term = FORMULAS[objective]

    def mean(term, patches) -> float:
        return sum(map(term, patches.flatten().tolist())) / 60

    expected_d, expected_g = mean(real_term, real) + mean(fake_term, fake), mean(g_term, fake)
    assert discriminator_loss(real, fake, objective).item() == pytest.approx(expected_d)
    assert generator_loss(fake, objective).item() == pytest.approx(expected_g)


def test_vanilla_is_the_binary_cross_entropy_of_torch():
    real, fake = 5 * torch.randn(2, 4, 1, 6, 6)
    ones, zeros = torch.ones_like(real), torch.zeros_like(fake)
    cross_entropy = F.binary_cross_entropy_with_logits
    both = cross_entropy(real, ones) + cross_entropy(fake, zeros)
    torch.testing.assert_close(discriminator_loss(real, fake), both)
    torch.testing.assert_close(generator_loss(fake), cross_entropy(fake, ones))


def test_a_d_that_cannot_tell_pays_two_ln_2_and_its_g_one():
    undecided = torch.zeros(2, 1, 30, 30)
    assert discriminator_loss(undecided, undecided).item() == pytest.approx(2 * math.log(2))
    assert generator_loss(undecided).item() == pytest.approx(math.log(2))


def test_lsgan_and_hinge_are_zero_where_d_is_perfect():
    for objective in ("lsgan", "hinge"):
        zero_at = {"lsgan": (1.0, 0.0), "hinge": (1.0, -1.0)}[objective]
        assert discriminator_loss(tensor(zero_at[0]), tensor(zero_at[1]), objective).item() == 0


def test_the_default_objective_is_vanilla():
    real, fake = torch.randn(2, 10)
    assert torch.equal(discriminator_loss(real, fake), discriminator_loss(real, fake, "vanilla"))
    assert torch.equal(generator_loss(fake), generator_loss(fake, "vanilla"))


@pytest.mark.parametrize("objective", OBJECTIVES)
def test_real_and_fake_maps_may_differ_in_size(objective):
    real, fake = torch.full((1, 1, 30, 30), 0.5), torch.full((2, 1, 14, 14), -0.25)
    expected = discriminator_loss(torch.tensor([0.5]), torch.tensor([-0.25]), objective)
    torch.testing.assert_close(discriminator_loss(real, fake, objective), expected)


# Gradients


@pytest.mark.parametrize("objective", OBJECTIVES)
@given(
    real=logits.filter(lambda v: abs(v - 1) > 1e-3), fake=logits.filter(lambda v: abs(v + 1) > 1e-3)
)
def test_gradients_follow_the_derivatives_by_hand(objective, real, fake):
    real_logits, fake_logits = tensor(real).requires_grad_(), tensor(fake).requires_grad_()
    loss_d = discriminator_loss(real_logits, fake_logits, objective)
    d_real, d_fake = torch.autograd.grad(loss_d, (real_logits, fake_logits))
    (g_fake,) = torch.autograd.grad(generator_loss(fake_logits, objective), fake_logits)
    found = d_real.item(), d_fake.item(), g_fake.item()
    expected = (SLOPES[objective][0](real), SLOPES[objective][1](fake), SLOPES[objective][2](fake))
    assert found == pytest.approx(expected, rel=1e-5, abs=1e-9)


def test_g_still_learns_when_d_is_sure_and_nothing_overflows():
    # -log sigma would be infinite here if computed in two steps
    fake = torch.tensor([-100.0, -1000.0], requires_grad=True)
    loss = generator_loss(fake)
    loss.backward()
    assert loss.item() == pytest.approx(550)
    assert fake.grad.tolist() == pytest.approx([-0.5, -0.5])  # -1 each, divided by the mean's two


def test_d_loss_stays_finite_when_d_is_surely_wrong():
    loss = discriminator_loss(torch.tensor([-1000.0]), torch.tensor([1000.0]))
    assert loss.item() == pytest.approx(2000)


# Pixel losses


def test_pixel_losses_are_means_of_differences():
    fake_b = torch.tensor([[[[0.0, 1.0], [-1.0, 0.5]]]])
    real_b = torch.tensor([[[[0.0, -1.0], [-0.5, 0.5]]]])
    assert pixel_loss(fake_b, real_b, "l1").item() == pytest.approx((0 + 2 + 0.5 + 0) / 4)
    assert pixel_loss(fake_b, real_b, "l2").item() == pytest.approx((0 + 4 + 0.25 + 0) / 4)
    assert pixel_loss(fake_b, real_b, "none").item() == 0
    assert pixel_loss(fake_b, real_b).item() == pixel_loss(fake_b, real_b, "l1").item()


@given(st.lists(st.floats(-1, 1, width=32), min_size=1, max_size=9))
def test_the_median_minimises_l1_and_the_mean_l2(values):
    truths = torch.tensor(values, dtype=torch.float64)[:, None, None, None]

    def cost(value: float, kind: str) -> float:
        return pixel_loss(torch.full_like(truths, value), truths, kind).item()

    candidates = [*values, *torch.linspace(-1, 1, 21).tolist()]
    assert cost(truths.median().item(), "l1") <= min(cost(c, "l1") for c in candidates) + 1e-9
    assert cost(truths.mean().item(), "l2") <= min(cost(c, "l2") for c in candidates) + 1e-9


def test_gradient_of_l1_has_one_size_and_that_of_l2_grows_with_the_error():
    real_b = torch.zeros(1, 1, 1, 4)
    fake_b = torch.tensor([[[[-0.5, 0.1, 0.2, 1.0]]]], requires_grad=True)
    (l1,) = torch.autograd.grad(pixel_loss(fake_b, real_b, "l1"), fake_b)
    (l2,) = torch.autograd.grad(pixel_loss(fake_b, real_b, "l2"), fake_b)
    assert l1.flatten().tolist() == pytest.approx([-0.25, 0.25, 0.25, 0.25])
    assert l2.flatten().tolist() == pytest.approx([-0.25, 0.05, 0.1, 0.5])


@pytest.mark.parametrize("kind", PIXEL_LOSSES)
def test_shapes_that_would_be_broadcast_are_refused(kind):
    with pytest.raises(ValueError, match=r"one shape; got \(2, 3, 8, 8\) and \(2, 1, 8, 8\)"):
        pixel_loss(torch.zeros(2, 3, 8, 8), torch.zeros(2, 1, 8, 8), kind)


# Unknown names


@pytest.mark.parametrize(
    "call",
    [
        lambda: discriminator_loss(torch.zeros(1), torch.zeros(1), "lsgna"),
        lambda: generator_loss(torch.zeros(1), "lsgna"),
    ],
)
def test_an_unknown_objective_is_named_with_the_allowed_ones(call):
    message = "objective must be one of vanilla, lsgan, hinge, wasserstein; got 'lsgna'"
    with pytest.raises(ValueError, match=message):
        call()


def test_an_unknown_pixel_loss_is_named_with_the_allowed_ones():
    with pytest.raises(ValueError, match="pixel loss must be one of l1, l2, none; got 'L1'"):
        pixel_loss(torch.zeros(1), torch.zeros(1), "L1")
