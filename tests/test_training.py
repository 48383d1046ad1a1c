"""The training loop, compared with the same steps in plain torch."""

import copy
import itertools
import math
import weakref
from dataclasses import fields, replace

import pytest
import torch
import torch.nn.functional as F
from torch import nn
from torch.utils.data import TensorDataset

from pix2pix_lib import train
from pix2pix_lib.checkpoints import load_checkpoint, save_checkpoint
from pix2pix_lib.config import TrainConfig, make_discriminator, make_generator
from pix2pix_lib.engine import PLAIN, fast_engine
from pix2pix_lib.inference import translate
from pix2pix_lib.trainer import _finite, as_floats, learning_rate
from pix2pix_lib.training import Pix2PixTrainer, StepRecord, make_trainer, validation_l1
from pix2pix_lib.validation import InputError


def run(trainer, dataset, epochs):
    for _ in range(epochs):
        for _ in trainer.run_epoch(dataset):
            pass


def snapshot(module):
    return [value.clone() for value in module.state_dict().values()]


def same(first, second):
    return all(torch.equal(a, b) for a, b in zip(first, second, strict=True))


def assert_same_state(first, second):
    """Compare two nested states of dicts, lists, tensors and numbers bit for bit."""
    assert type(first) is type(second)
    if isinstance(first, dict):
        assert first.keys() == second.keys()
        for key in first:
            assert_same_state(first[key], second[key])
    elif isinstance(first, list | tuple):
        assert len(first) == len(second)
        for a, b in zip(first, second, strict=True):
            assert_same_state(a, b)
    elif isinstance(first, torch.Tensor):
        assert torch.equal(first, second)
    else:
        assert first == second


@pytest.fixture
def batch(tiny_pairs):
    return tiny_pairs[:2]


def test_d_step_leaves_g_untouched(tiny_config, batch, device):
    trainer = make_trainer(tiny_config, device)
    real_a, real_b = (image.to(device) for image in batch)
    fake_b = trainer.generator(real_a)
    before_g, before_d = snapshot(trainer.generator), snapshot(trainer.discriminator)
    trainer.step_discriminator(real_a, real_b, fake_b)
    assert same(before_g, snapshot(trainer.generator))
    assert all(p.grad is None for p in trainer.generator.parameters())
    assert not same(before_d, snapshot(trainer.discriminator))


def test_g_step_leaves_d_untouched(tiny_config, batch):
    # Batch norm would still update its running averages.
    trainer = make_trainer(replace(tiny_config, disc_norm="instance"))
    real_a, real_b = batch
    fake_b = trainer.generator(real_a)
    before_g, before_d = snapshot(trainer.generator), snapshot(trainer.discriminator)
    trainer.step_generator(real_a, real_b, fake_b)
    assert same(before_d, snapshot(trainer.discriminator))
    assert all(p.grad is None for p in trainer.discriminator.parameters())
    assert not same(before_g, snapshot(trainer.generator))


@pytest.mark.parametrize("lambda_l1", [0.0, 100.0])
def test_steps_are_those_of_the_paper_written_out(tiny_config, batch, lambda_l1):
    """Three updates equal a plain loop: D first, on halved BCE, then G, on BCE + lambda L1."""
    trainer = make_trainer(replace(tiny_config, lambda_l1=lambda_l1, dropout=0.0))
    g, d = copy.deepcopy(trainer.generator), copy.deepcopy(trainer.discriminator)
    adam = {"lr": 4e-4, "betas": (0.5, 0.999)}
    optimizer_g = torch.optim.Adam(g.parameters(), **adam)
    optimizer_d = torch.optim.Adam(d.parameters(), **adam)
    real_a, real_b = batch
    for _ in range(3):
        record = trainer.step(real_a, real_b)
        fake_b = g(real_a)
        real_logits, fake_logits = d(real_a, real_b), d(real_a, fake_b.detach())
        loss_d = 0.5 * (F.softplus(-real_logits).mean() + F.softplus(fake_logits).mean())
        optimizer_d.zero_grad()
        loss_d.backward()
        optimizer_d.step()
        loss_gan, loss_l1 = F.softplus(-d(real_a, fake_b)).mean(), (fake_b - real_b).abs().mean()
        optimizer_g.zero_grad()
        (loss_gan + lambda_l1 * loss_l1).backward()
        optimizer_g.step()
        assert torch.equal(record.loss_d, loss_d) and torch.equal(record.loss_g_gan, loss_gan)
        torch.testing.assert_close(record.loss_g_l1, loss_l1)
    assert same(snapshot(g), snapshot(trainer.generator))
    assert same(snapshot(d), snapshot(trainer.discriminator))


def test_an_unconditional_d_never_sees_the_input(tiny_config, batch):
    config = replace(tiny_config, conditional=False)
    trainer = make_trainer(config)
    assert trainer.discriminator.in_channels == config.out_channels
    real_a, real_b = batch
    fake_b = trainer.generator(real_a)
    assert torch.equal(
        trainer.step_discriminator(real_a, real_b, fake_b),
        make_trainer(config).step_discriminator(real_a.roll(1, 0), real_b, fake_b),
    )
    conditional = make_trainer(tiny_config), make_trainer(tiny_config)
    assert not torch.equal(
        conditional[0].step_discriminator(real_a, real_b, fake_b),
        conditional[1].step_discriminator(real_a.roll(1, 0), real_b, fake_b),
    )


def test_the_generator_can_be_asked_to_learn_first(tiny_config, batch):
    """As in the colorization note, the previous step's D judges G, and D learns on that fake_b."""
    real_a, real_b = batch
    config = replace(tiny_config, dropout=0.0, disc_norm="instance")
    trainer = make_trainer(replace(config, update_first="generator"))
    g, d = copy.deepcopy(trainer.generator), copy.deepcopy(trainer.discriminator)
    record, fake_b = trainer.step(real_a, real_b), g(real_a)
    torch.testing.assert_close(record.loss_g_gan, F.softplus(-d(real_a, fake_b)).mean().detach())
    loss_d = 0.5 * (F.softplus(-d(real_a, real_b)).mean() + F.softplus(d(real_a, fake_b)).mean())
    torch.testing.assert_close(record.loss_d, loss_d.detach())
    usual = make_trainer(config).step(real_a, real_b)
    assert usual.loss_d == record.loss_d and usual.loss_g_gan != record.loss_g_gan


def test_an_epoch_trains_whatever_mode_the_networks_were_in(tiny_config, tiny_pairs):
    trainer = make_trainer(tiny_config)
    for network in trainer.networks.values():
        network.eval()
    next(trainer.run_epoch(tiny_pairs))
    for network in trainer.networks.values():
        assert all(module.training for module in network.modules())


def test_without_adversarial_weight_d_does_not_learn(tiny_config, batch):
    trainer = make_trainer(replace(tiny_config, lambda_gan=0.0))
    before = snapshot(trainer.discriminator)
    record = trainer.step(*batch)
    assert record.loss_d == 0 and record.loss_g_gan == 0 and record.loss_g_l1 > 0
    assert same(before, snapshot(trainer.discriminator))


def test_first_losses_are_those_of_an_undecided_d(tiny_config, tiny_pairs):
    trainer = make_trainer(tiny_config)
    record = next(trainer.run_epoch(tiny_pairs))
    assert float(record.loss_d) == pytest.approx(math.log(2), abs=0.2)


@pytest.mark.parametrize("epochs", [1, 2, 5, 200])
def test_learning_rate_is_constant_for_half_the_run_then_falls_linearly(epochs):
    config = TrainConfig(epochs=epochs, lr=0.4)
    rates = [learning_rate(config, epoch) for epoch in range(epochs)]
    half = epochs // 2
    assert rates[:half] == [0.4] * half
    falls = [a - b for a, b in itertools.pairwise([0.4, *rates[half:], 0.0])]
    assert falls == pytest.approx([0.4 / (epochs - half + 1)] * len(falls))


def test_each_epoch_uses_its_learning_rate(tiny_config, tiny_pairs):
    trainer = make_trainer(tiny_config)
    groups = trainer.optimizer_g.param_groups + trainer.optimizer_d.param_groups
    for epoch in range(tiny_config.epochs):
        run(trainer, tiny_pairs, 1)
        assert {group["lr"] for group in groups} == {learning_rate(tiny_config, epoch)}


def test_epoch_takes_every_pair_once_in_a_new_order(tiny_config, tiny_pairs):
    seen = []

    class Spy(TensorDataset):
        def __getitem__(self, index):
            seen.append(index)
            return super().__getitem__(index)

    run(make_trainer(tiny_config), Spy(*tiny_pairs.tensors), 3)
    orders = [tuple(seen[i : i + 5]) for i in (0, 5, 10)]
    assert all(sorted(order) == [0, 1, 2, 3, 4] for order in orders)
    assert len(set(orders)) > 1


def test_history_has_one_record_a_step(tiny_config, tiny_pairs):
    trainer = make_trainer(replace(tiny_config, batch_size=2))
    run(trainer, tiny_pairs, 2)
    assert [r.step for r in trainer.history] == [0, 1, 2, 3, 4, 5]
    assert [r.epoch for r in trainer.history] == [0, 0, 0, 1, 1, 1]
    assert all(isinstance(r.loss_d, float) for r in trainer.history)


def with_and_without_a_break(make, config, dataset, file):
    """Return two trainers after four epochs: one never stopped, one resumed from a checkpoint."""
    straight, first, second = make(config), make(config), make(replace(config))
    run(straight, dataset, 4)
    run(first, dataset, 2)
    save_checkpoint(file, first)
    torch.rand(7)  # the random numbers may move on between two sessions
    load_checkpoint(file, second)
    run(second, dataset, 2)
    return straight, second


def test_resume_is_bit_exact(tiny_config, tiny_pairs, tmp_path):
    file = tmp_path / "last.pt"
    straight, second = with_and_without_a_break(make_trainer, tiny_config, tiny_pairs, file)
    assert_same_state(straight.state_dict(), second.state_dict())


def test_epoch_broken_off_counts_for_nothing_after_loading(tiny_config, tiny_pairs, tmp_path):
    straight = make_trainer(tiny_config)
    run(straight, tiny_pairs, 3)

    stopped = make_trainer(tiny_config)
    run(stopped, tiny_pairs, 1)
    save_checkpoint(tmp_path / "last.pt", stopped)
    for _ in itertools.islice(stopped.run_epoch(tiny_pairs), 3):
        pass
    assert stopped.epoch == 1 and len(stopped.history) == 5
    load_checkpoint(tmp_path / "last.pt", stopped)
    run(stopped, tiny_pairs, 2)
    assert_same_state(straight.state_dict(), stopped.state_dict())


def test_looking_at_samples_does_not_change_the_run(tiny_config, tiny_pairs):
    looked, straight = make_trainer(tiny_config), make_trainer(tiny_config)
    for _ in looked.run_epoch(tiny_pairs):
        looked.translate(tiny_pairs.tensors[0])
    run(straight, tiny_pairs, 1)
    assert_same_state(straight.state_dict(), looked.state_dict())


def test_loss_that_is_not_a_number_stops_and_names_the_step(tiny_config, tiny_pairs):
    trainer = make_trainer(tiny_config)
    run(trainer, tiny_pairs, 1)

    def poison():
        for record in trainer.run_epoch(tiny_pairs):
            if record.step == 6:
                next(trainer.generator.head.upsample.parameters()).data.fill_(math.nan)

    with pytest.raises(FloatingPointError, match=r"step 7 \(epoch 1\).*learning rate"):
        poison()
    assert trainer.epoch == 1 and len(trainer.history) == 5


@pytest.mark.parametrize("bad", [math.nan, math.inf, -math.inf])
def test_first_loss_that_is_not_finite_is_named(bad):
    losses = [torch.tensor([0.5, 0.7, 0.2]), torch.tensor([0.5, bad, bad])]
    records = [StepRecord(2, 10 + index, *row) for index, row in enumerate(losses)]
    _finite(records[:1])
    message = r"loss_g_gan became -?(nan|inf) at step 11 \(epoch 2\)"
    with pytest.raises(FloatingPointError, match=message):
        _finite(records)


def test_translate_leaves_no_trace(tiny_config, batch):
    generator = make_generator(tiny_config).eval()
    before, random_state = snapshot(generator), torch.get_rng_state()
    fake_b = translate(generator, batch[0])
    assert fake_b.shape == batch[0].shape and not fake_b.requires_grad
    assert not generator.training
    assert same(before, snapshot(generator))
    assert torch.equal(random_state, torch.get_rng_state())


def test_translation_of_an_image_does_not_depend_on_its_batch(tiny_config, batch):
    generator = make_generator(tiny_config)
    together, alone = translate(generator, batch[0]), translate(generator, batch[0][1:])
    assert torch.equal(together[1:], alone)


def test_translation_uses_dropout_and_the_statistics_of_the_image(tiny_config, batch):
    generator = make_generator(tiny_config)
    first, second = (translate(generator, batch[0], seed=seed) for seed in (0, 1))
    assert not torch.equal(first, second)
    still = make_generator(replace(tiny_config, dropout=0.0))
    for module in still.modules():
        if isinstance(module, torch.nn.BatchNorm2d):
            module.running_mean.fill_(5.0)  # this would change the output if averages were used
    moved = translate(still, batch[0][:1])
    assert torch.equal(moved, still.train()(batch[0][:1]).detach())


def test_validation_l1_is_the_mean_over_images(tiny_config, tiny_pairs):
    trainer = make_trainer(tiny_config)
    real_a, real_b = tiny_pairs.tensors
    expected = (trainer.translate(real_a) - real_b).abs().mean()
    assert validation_l1(trainer, tiny_pairs) == pytest.approx(float(expected), rel=1e-5)


def test_first_weights_follow_from_the_seed_alone(tiny_config):
    first = make_trainer(tiny_config)
    torch.rand(3)
    assert_same_state(first.state_dict(), make_trainer(tiny_config).state_dict())
    other = make_trainer(replace(tiny_config, seed=4))
    assert not same(snapshot(first.generator), snapshot(other.generator))


def test_no_records_give_no_floats():
    assert as_floats([]) == []


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"epochs": 0}, "epochs must be at least 1; got 0"),
        ({"batch_size": -1}, "batch_size must be at least 1; got -1"),
        ({"in_channels": 0}, "in_channels must be at least 1; got 0"),
        ({"lr": 0.0}, "lr must be positive"),
        ({"lr": math.nan}, "lr must be positive"),
        ({"beta1": 1.0}, r"beta1 must be in \[0, 1\)"),
        ({"load_size": 100}, "load_size must be 0 or at least image_size; got 100"),
        ({"image_size": 32, "disc_layers": 4},
         "disc_layers must be smaller for images of 32 pixels .*; got 4"),
        ({"direction": "b2a"}, "direction must be one of AtoB, BtoA; got 'b2a'"),
        ({"norm": "Batch"}, "norm must be one of batch, instance"),
        ({"lambda_gan": 0.0, "lambda_l1": 0.0}, "nothing to learn from"),
    ],
)  # fmt: skip
def test_bad_setting_is_refused_with_its_range(change, words):
    with pytest.raises(ValueError, match=words):
        TrainConfig(**change)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"epochs": 1.5}, "epochs must be a whole number; got 1.5"),
        ({"image_size": 128.0}, "image_size must be a whole number, or a height and a width; got"),
        ({"seed": True}, "seed must be a whole number; got True"),
        ({"lr": "1e-4"}, "lr must be a number; got '1e-4'"),
        ({"flip": 1}, "flip must be True or False; got 1"),
        ({"norm": None}, "norm must be a text; got None"),
        ({"lambda_l1": torch.tensor(1.0)}, "lambda_l1 must be a number"),
    ],
)
def test_setting_of_another_type_is_refused(change, words):
    with pytest.raises(InputError, match=words):
        TrainConfig(**change)


def test_whole_number_is_a_number():
    assert TrainConfig(lambda_l1=7) == TrainConfig(lambda_l1=7.0)
    assert type(TrainConfig(lambda_l1=7).lambda_l1) is float


def test_generator_of_the_user_s_own_trains(tiny_config, tiny_pairs):
    """Any module that maps images to images will do, even without the attributes of `UNet`."""
    own = nn.Sequential(nn.Conv2d(3, 3, 3, padding=1), nn.Tanh())
    for engine in (PLAIN, fast_engine("float32", torch.device("cpu"))):
        trainer = Pix2PixTrainer(own, make_discriminator(tiny_config), tiny_config, engine=engine)
        before = snapshot(own)
        run(trainer, tiny_pairs, 1)
        assert not same(before, snapshot(own)) and trainer.translate(tiny_pairs[0][0][None]).any()


class Drawn(TensorDataset):
    """Pairs with jitter, which the loader takes for pairs that are read from files."""

    def __getitem__(self, index):
        return tuple(side + 0.1 * torch.rand(()) for side in super().__getitem__(index))


@pytest.mark.parametrize("workers", [1, 2])
def test_run_does_not_depend_on_who_reads_the_pairs(workers, tiny_config, tiny_pairs):
    """Nor does it depend on whether its workers were started for this or an earlier epoch."""
    pairs = Drawn(*tiny_pairs.tensors)
    alone, helped = make_trainer(tiny_config), make_trainer(tiny_config, workers=workers)
    run(alone, pairs, 3)
    run(helped, pairs, 2)
    pids = {worker.pid for worker in helped._loader._iterator._workers}
    run(helped, pairs, 1)
    assert pids == {worker.pid for worker in helped._loader._iterator._workers}
    assert_same_state(alone.state_dict(), helped.state_dict())


def test_validating_in_the_middle_of_an_epoch_does_not_change_the_run(tiny_config, tiny_pairs):
    looked, straight = make_trainer(tiny_config), make_trainer(tiny_config)
    for _ in looked.run_epoch(tiny_pairs):
        looked.validate(tiny_pairs)
    run(straight, tiny_pairs, 1)
    assert_same_state(straight.state_dict(), looked.state_dict())


def test_losses_leave_the_device_every_fifty_steps(tiny_config):
    """Kept as tensors for an epoch of a million steps, they would fill 1.5 GB of a GPU."""
    images = torch.rand(2, 120, 3, 32, 32) * 2 - 1
    trainer, records = make_trainer(replace(tiny_config, batch_size=1)), []
    tensors = []
    for record in trainer.run_epoch(TensorDataset(*images)):
        records.append(weakref.ref(record.loss_d))
        del record
        tensors.append(sum(reference() is not None for reference in records))
    assert max(tensors) <= 51 and len(trainer.history) == 120


def test_help_names_every_setting_with_its_meaning_and_default(capsys, monkeypatch):
    monkeypatch.setenv("COLUMNS", "1000")
    with pytest.raises(SystemExit):
        train.main(["--help"])
    words = " ".join(capsys.readouterr().out.split())
    for option in fields(TrainConfig):
        assert f"--{option.name.replace('_', '-')}" in words
        assert f"{option.metadata['help']} (default: {option.default})" in words
