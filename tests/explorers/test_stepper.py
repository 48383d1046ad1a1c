"""The training stepper makes the library's own updates, and shows what the networks then do."""

import json
import math
import re
from dataclasses import replace

import numpy as np
import pytest
import torch

from pix2pix_lib.config import TrainConfig
from pix2pix_lib.explorers import drawing, stepper
from pix2pix_lib.explorers.canvas import perform, state_of
from pix2pix_lib.explorers.stepper import TrainingStepper
from pix2pix_lib.images import to_pil
from pix2pix_lib.inference import translate
from pix2pix_lib.losses import discriminator_loss, generator_loss, pixel_loss, undecided_loss
from pix2pix_lib.training import make_trainer
from pix2pix_lib.validation import InputError


@pytest.fixture
def pairs(tiny_pairs):
    return [tiny_pairs[index] for index in range(3)]


@pytest.fixture
def explorer(pairs):
    return TrainingStepper(pairs)


@pytest.fixture
def trainer():
    """A trainer as the explorer's settings at the start describe it."""
    config = TrainConfig(
        image_size=32, batch_size=3, seed=0, lambda_l1=100, lr=0.002, **stepper.NETWORKS
    )
    with torch.random.fork_rng([]):
        return make_trainer(config)


@pytest.fixture
def batch(tiny_pairs):
    return tiny_pairs[:3]


def press(explorer, label, times=1):
    """Press a button as the page does."""
    number = [action.label for action in explorer.actions].index(label)
    for _ in range(times):
        perform(explorer, {"press": number})
    return explorer.view


def weights(trainer, name):
    return [p.detach().clone() for p in trainer.networks[name].parameters()]


def same(first, second):
    return all(torch.equal(a, b) for a, b in zip(first, second, strict=True))


def same_networks(first, second):
    return all(same(weights(first, name), weights(second, name)) for name in first.networks)


def pictures(view):
    """Return everything that can be seen of a view, for comparisons."""
    return view.image.tobytes(), view.text, view.alt, repr(view.numbers)


# --- updates -------------------------------------------------------------------------------------


def test_both_is_the_step_of_the_library_bit_for_bit(explorer, trainer, batch):
    assert same_networks(explorer.training.trainer, trainer)
    for _ in range(4):
        view, record = press(explorer, "both"), trainer.step(*batch)
        assert same_networks(explorer.training.trainer, trainer)
        for name in ("loss_d", "loss_g_gan", "loss_g_l1"):
            assert view.numbers[name] == float(getattr(record, name))
    assert view.numbers["step"] == view.numbers["steps_d"] == view.numbers["steps_g"] == 4


def test_both_is_a_d_step_and_then_a_g_step(explorer, pairs):
    other = TrainingStepper(pairs)
    for _ in range(3):
        press(explorer, "both")
        press(other, "D step")
        press(other, "G step")
    assert same_networks(explorer.training.trainer, other.training.trainer)
    assert explorer.view.numbers["loss_g_gan"] == other.view.numbers["loss_g_gan"]
    assert other.view.numbers["step"] == 6
    assert other.view.numbers["steps_d"] == other.view.numbers["steps_g"] == 3


@pytest.mark.parametrize(
    ("label", "learner", "other"),
    [("D step", "discriminator", "generator"), ("G step", "generator", "discriminator")],
)
def test_single_step_moves_one_network_and_leaves_the_other(explorer, label, learner, other):
    press(explorer, "both")
    trainer = explorer.training.trainer
    before = {name: weights(trainer, name) for name in trainer.networks}
    press(explorer, label)
    assert same(before[other], weights(trainer, other))
    assert not any(map(torch.equal, before[learner], weights(trainer, learner)))


@pytest.mark.parametrize(
    ("learns", "learner", "frozen", "counts"),
    [
        ("freeze D", "generator", "discriminator", (2, 5)),
        ("freeze G", "discriminator", "generator", (5, 2)),
    ],
)
def test_frozen_network_keeps_its_weights(explorer, learns, learner, frozen, counts):
    press(explorer, "both", 2)
    trainer = explorer.training.trainer
    explorer.set(learns=learns)
    before = {name: weights(trainer, name) for name in trainer.networks}
    view = press(explorer, "both", 3)
    assert same(before[frozen], weights(trainer, frozen))
    assert not any(map(torch.equal, before[learner], weights(trainer, learner)))
    assert (view.numbers["steps_d"], view.numbers["steps_g"]) == counts
    assert f"{learns[-1]} is frozen." in view.text


def test_step_of_a_frozen_network_changes_nothing(explorer):
    press(explorer, "both")
    before = pictures(explorer.set(learns="freeze D"))
    assert pictures(press(explorer, "D step")) == before
    assert pictures(press(explorer, "G step")) != before


def test_losses_of_a_network_that_does_not_learn_are_measured_in_its_place(explorer, pairs):
    other = TrainingStepper(pairs)
    only_d, only_g = press(explorer, "D step").numbers, press(other, "G step").numbers
    assert only_g["loss_d"] == only_d["loss_d"]
    then_g = press(explorer, "G step").numbers
    assert (then_g["loss_g_gan"], then_g["loss_g_l1"]) == (
        only_d["loss_g_gan"], only_d["loss_g_l1"],
    )  # fmt: skip


def test_settings_count_from_the_next_step_on(explorer, trainer, batch):
    explorer.learn(2)
    explorer.set(lr_g=0.01, lr_d=0.0005, lambda_l1=10, objective="lsgan")
    for _ in range(2):
        trainer.step(*batch)
    assert same_networks(explorer.training.trainer, trainer)
    trainer.config = replace(trainer.config, lambda_l1=10.0, objective="lsgan")
    trainer.optimizer_g.param_groups[0]["lr"] = 0.01
    trainer.optimizer_d.param_groups[0]["lr"] = 0.0005
    for _ in range(2):
        trainer.step(*batch)
    explorer.learn(2)
    assert same_networks(explorer.training.trainer, trainer)


def test_ten_and_play_make_steps_of_both(explorer, pairs):
    other = TrainingStepper(pairs)
    press(explorer, "10")
    assert press(other, "play", 10).numbers == explorer.view.numbers
    assert explorer.view.numbers["step"] == 10
    assert [action.label for action in explorer.actions if action.repeat] == ["play"]


# --- state ---------------------------------------------------------------------------------------


def test_only_the_seed_starts_a_new_training(explorer, pairs):
    explorer.learn(1)
    training = explorer.training
    before = {name: weights(training.trainer, name) for name in training.trainer.networks}
    for control in explorer.controls.values():
        for value in getattr(control, "options", range(int(getattr(control, "high", 0)) + 1)):
            if control.name != "seed":
                assert explorer.set(**{control.name: value}).numbers["step"] == 1
    assert explorer.training is training
    assert all(same(before[name], weights(training.trainer, name)) for name in before)
    fresh = TrainingStepper(pairs)
    explorer.reset()
    for each in (explorer, fresh):
        assert each.set(seed=3).numbers["step"] == 0
        assert each.learn(2).numbers["step"] == 2
    assert pictures(explorer.view) == pictures(fresh.view)
    assert not same_networks(explorer.training.trainer, training.trainer)


def test_reset_returns_to_the_first_view(explorer):
    first = pictures(explorer.view)
    explorer.set(seed=2, lambda_l1=1, learns="freeze D", facade=1)
    explorer.learn(3)
    perform(explorer, {"reset": True})
    assert pictures(explorer.view) == first
    explorer.learn(2)  # now without another seed
    assert pictures(explorer.reset()) == first


def test_same_seed_and_presses_give_the_same_numbers(pairs):
    def play():
        explorer = TrainingStepper(pairs)
        explorer.set(seed=5)
        for label in ("both", "D step", "G step", "play", "10"):
            press(explorer, label)
        explorer.set(lambda_l1=0, learns="freeze G")
        press(explorer, "both", 2)
        return explorer

    first = play()
    torch.rand(7)  # whatever others draw
    second = play()
    assert pictures(first.view) == pictures(second.view)
    assert same_networks(first.training.trainer, second.training.trainer)


def test_process_keeps_its_random_numbers_and_threads(pairs):
    state, threads = torch.get_rng_state(), torch.get_num_threads()
    explorer = TrainingStepper(pairs)
    for label in ("D step", "G step", "both", "10", "play"):
        press(explorer, label)
    explorer.set(seed=1)
    explorer.reset()
    assert torch.equal(torch.get_rng_state(), state)
    assert torch.get_num_threads() == threads


def test_strip_of_another_seed_leaves_the_training_alone(explorer, monkeypatch):
    explorer.learn(2)
    training, before = explorer.training, pictures(explorer.view)
    monkeypatch.setattr("pix2pix_lib.explorers.base.show_picture", lambda *_: None)
    explorer.show_strip({"seed": 1}, {"lambda_l1": 0}, {})
    assert explorer.training is training
    assert pictures(explorer.set()) == before


# --- what is shown -------------------------------------------------------------------------------


def test_pictures_are_the_facades_and_the_generators(explorer, pairs):
    view = explorer.set(facade=2)
    view = explorer.learn(2)
    real_a, real_b = pairs[2]
    fake_b = translate(explorer.training.trainer.generator, real_a[None])[0]
    shown = [np.asarray(picture.image) for picture in view.rows[0][:3]]
    for image, expected in zip(shown, (real_a, fake_b, real_b), strict=True):
        assert np.array_equal(image, to_pil(expected))
    assert view.numbers["l1"] == pytest.approx(float((fake_b - real_b).abs().mean()), abs=1e-6)


@pytest.mark.parametrize("objective", stepper.OBJECTIVES)
def test_maps_are_the_discriminators(explorer, pairs, objective):
    explorer.set(facade=1, objective=objective)
    view = explorer.learn(3)
    real_a, real_b = (image[None] for image in pairs[1])
    networks = explorer.training.trainer
    fake_b = translate(networks.generator, real_a)
    for image, name, picture in (
        (fake_b, "fake", view.rows[1][0]), (real_b, "real", view.rows[1][1]),
    ):  # fmt: skip
        logits = networks.discriminator(real_a, image).detach()[0, 0]
        share = logits.sigmoid() if objective == "vanilla" else logits.clamp(0, 1)
        assert view.numbers[name] == pytest.approx(float(share.mean()), abs=1e-6)
        expected = np.asarray(drawing.diverging(share.numpy() - 0.5, 0.5), int)
        assert np.abs(np.asarray(picture.image, int) - expected).max() <= 3  # of rounding


@pytest.mark.parametrize(
    ("objective", "free_real", "free_fake"), [("vanilla", 1e4, -1e4), ("lsgan", 1.0, 0.0)]
)
def test_best_logit_is_read_as_the_probability(objective, free_real, free_fake):
    """Where 3 patches in 4 are real, D's loss is least if it calls that 0.75 probable."""

    def loss(logit):
        real = discriminator_loss(logit, torch.tensor(free_fake), objective)
        return 3 * real + discriminator_loss(torch.tensor(free_real), logit, objective)

    logits = torch.linspace(-3, 3, 6001)
    best = logits[torch.stack([loss(logit) for logit in logits]).argmin()]
    assert float(stepper.probabilities(best, objective)) == pytest.approx(0.75, abs=1e-3)


@pytest.mark.parametrize("objective", stepper.OBJECTIVES)
def test_push_is_the_gradient_of_gs_loss(explorer, pairs, objective):
    explorer.set(facade=1, lambda_l1=10, objective=objective)
    view = explorer.learn(5)
    real_a, real_b = (image[None] for image in pairs[1])
    networks = explorer.training.trainer
    fake_b = translate(networks.generator, real_a).requires_grad_()
    loss_gan = generator_loss(networks.discriminator(real_a, fake_b), objective)
    (push,) = torch.autograd.grad(loss_gan + 10 * pixel_loss(fake_b, real_b), fake_b)
    assert view.numbers["push"] == pytest.approx(float(push.abs().sum()), rel=1e-4)
    assert view.numbers["push_l1"] == pytest.approx(10, rel=1e-4)  # lambda / N on each of N values
    sizes = push[0].abs().sum(0).numpy()
    expected = np.asarray(drawing.heat(sizes, 0, sizes.max()), int)
    picture = view.rows[1][2]
    assert np.abs(np.asarray(picture.image, int) - expected).max() <= 4  # of rounding
    assert float(picture.scale.marks[2]) == pytest.approx(sizes.max(), rel=0.05)


def test_without_lambda_l1_pushes_nothing(explorer):
    view = explorer.set(lambda_l1=0)
    assert view.numbers["push_l1"] == 0
    assert view.numbers["push"] == view.numbers["push_gan"] > 0
    assert "and 0 from L1" in view.text
    assert explorer.set(lambda_l1=100).numbers["push_gan"] == view.numbers["push_gan"]


def test_text_has_the_numbers(explorer):
    assert "Step 0:" in explorer.view.text and "No losses yet" in explorer.view.text
    assert math.isnan(explorer.view.numbers["loss_d"])
    press(explorer, "D step")
    view = explorer.learn(3)
    numbers = view.numbers
    assert "Step 4: D has learned 4 times, G 3 times." in view.text
    assert f"D {numbers['loss_d']:.2f} (0.69 if it cannot tell)" in view.text
    assert f"G adversarial {numbers['loss_g_gan']:.2f}, L1 {numbers['loss_g_l1']:.3f}" in view.text
    assert f"photo a mean probability of {numbers['real']:.2f}" in view.text
    assert f"the output {numbers['fake']:.2f}; the output's L1 is {numbers['l1']:.3f}" in view.text
    assert f"mean of {numbers['fake']:.2f}" in view.alt and "after 4 steps" in view.alt


# --- curves --------------------------------------------------------------------------------------


def lines(sketch, colour):
    """Return the points of the lines in a colour in the field of a chart, as SVG has them."""
    found = re.findall(rf'points="([^"]*)"[^>]*stroke="{colour}"', sketch.svg())
    return [[tuple(map(float, point.split(","))) for point in line.split()] for line in found]


def test_curves_are_the_losses(explorer):
    explorer.learn(5)
    history = explorer.training.history
    chart = explorer.view.rows[0][3].image
    height = stepper.HIGH - drawing.Chart.TOP - drawing.Chart.BELOW
    top = drawing.axis_marks(max(max(losses[:2]) for losses in history))[-1]
    for index, colour in enumerate((stepper.BLUE, stepper.ORANGE)):
        (curve,) = lines(chart, colour)
        values = [top * (1 - y / height) for _, y in curve]
        assert values == pytest.approx([losses[index] for losses in history], abs=0.02 * top)


@pytest.mark.parametrize("objective", stepper.OBJECTIVES)
def test_dashed_line_is_where_d_cannot_tell(objective):
    picture = stepper.adversarial_chart([(1.0, 2.0, 0.1)] * 5, objective)
    level, name = undecided_loss(objective)
    height = stepper.HIGH - drawing.Chart.TOP - drawing.Chart.BELOW
    (dashed,) = re.findall(r'points="([^"]*)"[^>]*stroke-dasharray', picture.image.svg())
    heights = [float(point.split(",")[1]) for point in dashed.split()]
    assert heights == pytest.approx([height * (1 - level / 2)] * 2, abs=0.01)
    assert f"{name} (dashed)" in picture.title


def test_long_curve_is_drawn_through_means():
    values = list(np.random.default_rng(0).uniform(0, 1, 1000))
    (curve,) = lines(stepper.draw_curves({stepper.GREEN: values}, stepper.LOW), stepper.GREEN)
    assert len(curve) == math.ceil(1000 / 9)  # blocks of 9 steps are the shortest that suffice
    height = stepper.LOW - drawing.Chart.TOP - drawing.Chart.BELOW
    assert 1 - curve[1][1] / height == pytest.approx(np.mean(values[9:18]), abs=0.01)
    width = stepper.CHART - drawing.Chart.LEFT - drawing.Chart.RIGHT
    assert curve[1][0] == pytest.approx(14 / 1000 * width, abs=0.01)  # steps 10 to 18


# --- explosions ----------------------------------------------------------------------------------


@pytest.mark.parametrize("number", [math.nan, math.inf])
def test_exploded_training_says_so_and_starts_anew(explorer, number):
    first = pictures(explorer.view)
    explorer.learn(2)
    with torch.no_grad():
        next(explorer.training.trainer.generator.parameters())[0] = number
    view = press(explorer, "play")
    assert view.numbers["exploded"]
    assert "has exploded at step 3" in view.text and "reset button starts anew" in view.text
    view.image.load()
    json.loads(state_of(explorer), parse_constant=pytest.fail)  # NaN is not JSON
    for label in ("play", "D step", "G step", "10"):
        assert pictures(press(explorer, label)) == pictures(view)  # so that the page stops playing
    assert len(explorer.training.history) == 2
    perform(explorer, {"reset": True})
    assert pictures(explorer.view) == first
    assert not press(explorer, "play").numbers["exploded"]


def test_absurd_learning_rate_explodes_without_an_error(pairs, monkeypatch):
    monkeypatch.setattr(stepper, "RATES", (0.002, 1e30))
    explorer = TrainingStepper(pairs)
    explorer.set(lr_g=1e30, lr_d=1e30)
    view = explorer.learn(10)
    assert view.numbers["exploded"] and view.numbers["step"] <= 10
    assert "a smaller learning rate helps" in view.text
    assert explorer.set(lr_g=0.002, lr_d=0.002, facade=1).numbers["exploded"]
    assert not explorer.reset().numbers["exploded"]


def test_no_pairs_are_refused():
    with pytest.raises(InputError, match="at least one pair is needed; got 0"):
        TrainingStepper([])


# --- the explorer as it comes --------------------------------------------------------------------


def test_facade_appears_within_a_minute():
    explorer = TrainingStepper()
    assert len(explorer.pairs) == 4
    assert explorer.view.image.width <= 760
    before = explorer.view.numbers["l1"]
    view = explorer.learn(60)
    assert view.numbers["l1"] < before / 2
    assert view.numbers["real"] > view.numbers["fake"]
