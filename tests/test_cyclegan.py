"""CycleGAN's training, compared with the same steps in plain torch, and how its pools draw."""

import copy
from dataclasses import fields, replace
from itertools import chain

import pytest
import torch
from test_training import assert_same_state, run, same, snapshot, with_and_without_a_break
from torch import nn

from pix2pix_lib import systems
from pix2pix_lib.checkpoints import (
    load_checkpoint,
    load_generator,
    read_checkpoint,
    save_checkpoint,
    save_generator,
)
from pix2pix_lib.config import TrainConfig, reverse_config, system_config
from pix2pix_lib.cyclegan import CycleRecord, ImagePool, make_cyclegan
from pix2pix_lib.engine import Engine


@pytest.fixture
def config() -> TrainConfig:
    return system_config(
        "cyclegan", image_size=32, base_channels=2, disc_channels=4, disc_layers=1, blocks=1,
        epochs=4, pool_size=3, seed=3, lr=1e-3,
    )  # fmt: skip


@pytest.fixture
def batch(tiny_pairs):
    return tiny_pairs[:2]


# --- one step -------------------------------------------------------------------------------------


def written_out(networks, optimizers, real_a, real_b, config):
    """Make one step of the paper, without a pool; return the losses in `CycleRecord`'s order."""
    g_ab, g_ba, d_a, d_b = networks
    fake_a, fake_b = g_ba(real_b), g_ab(real_a)
    gan_a, gan_b = (d_a(fake_a) - 1).square().mean(), (d_b(fake_b) - 1).square().mean()
    cycle_a, cycle_b = (g_ba(fake_b) - real_a).abs().mean(), (g_ab(fake_a) - real_b).abs().mean()
    idt_a, idt_b = (g_ba(real_a) - real_a).abs().mean(), (g_ab(real_b) - real_b).abs().mean()

    optimizers[0].zero_grad()
    loss = config.lambda_gan * (gan_a + gan_b) + config.lambda_cycle * (cycle_a + cycle_b)
    (loss + config.lambda_identity * (idt_a + idt_b)).backward()
    optimizers[0].step()

    loss_d_a, loss_d_b = (
        0.5 * ((d(real) - 1).square().mean() + d(fake.detach()).square().mean())
        for d, real, fake in ((d_a, real_a, fake_a), (d_b, real_b, fake_b))
    )
    optimizers[1].zero_grad()
    (loss_d_a + loss_d_b).backward()
    optimizers[1].step()
    return [loss_d_a, loss_d_b, gan_a, gan_b, cycle_a, cycle_b, idt_a, idt_b]


def test_steps_are_those_of_the_paper_written_out(config, batch):
    config = replace(config, pool_size=0, lambda_gan=0.6)
    trainer = make_cyclegan(config)
    networks = [copy.deepcopy(network) for network in trainer.networks.values()]
    adam = {"lr": 1e-3, "betas": (0.5, 0.999)}
    optimizers = [
        torch.optim.Adam(chain(*(n.parameters() for n in pair)), **adam)
        for pair in (networks[:2], networks[2:])
    ]
    for _ in range(3):
        record = trainer.step(*batch)
        losses = written_out(networks, optimizers, *batch, config)
        names = [option.name for option in fields(CycleRecord)][2:]
        recorded = [getattr(record, name) for name in names]
        torch.testing.assert_close(recorded, [loss.detach() for loss in losses])
    for network, own in zip(networks, trainer.networks.values(), strict=True):
        torch.testing.assert_close(snapshot(network), snapshot(own))


def test_generators_step_leaves_the_discriminators_untouched_and_the_other_way_round(config, batch):
    trainer = make_cyclegan(config)
    fakes = trainer.generator_ba(batch[1]), trainer.generator_ab(batch[0])
    networks = trainer.networks.items()
    before = {name: snapshot(network) for name, network in networks}
    trainer.step_generators(*batch, *fakes)
    changed = {name for name, network in networks if not same(before[name], snapshot(network))}
    assert changed == set(trainer.generators)
    parameters = [p for d in trainer.discriminators.values() for p in d.parameters()]
    assert all(p.grad is None and p.requires_grad for p in parameters)
    before = {name: snapshot(network) for name, network in networks}
    gradients = [p.grad.clone() for g in trainer.generators.values() for p in g.parameters()]
    trainer.step_discriminators(*batch, *fakes)
    changed = {name for name, network in networks if not same(before[name], snapshot(network))}
    assert changed == set(trainer.discriminators)
    assert same(gradients, [p.grad for g in trainer.generators.values() for p in g.parameters()])


def test_the_discriminators_can_be_asked_to_learn_first(config, batch):
    usual = make_cyclegan(config)
    other = make_cyclegan(replace(config, update_first="discriminator"))
    one, two = usual.step(*batch), other.step(*batch)
    assert one.loss_d_a == two.loss_d_a and one.loss_cycle_a == two.loss_cycle_a
    assert one.loss_g_a != two.loss_g_a  # judged by a D that has already learned


@pytest.mark.parametrize(
    ("options", "zero"),
    [
        ({"lambda_gan": 0.0}, {"d_a", "d_b", "g_a", "g_b"}),
        ({"cycle": "none", "lambda_identity": 0.0}, {"cycle_a", "cycle_b", "idt_a", "idt_b"}),
        ({"cycle": "forward"}, {"cycle_b"}),
        ({"cycle": "backward"}, {"cycle_a"}),
        ({"lambda_identity": 0.0}, {"idt_a", "idt_b"}),
        ({"lambda_cycle": 0.0}, {"cycle_a", "cycle_b"}),
        ({}, set()),
    ],
)
def test_each_ablation_leaves_out_its_part_alone(options, zero, config, batch):
    record = make_cyclegan(replace(config, **options)).step(*batch)
    names = [option.name for option in fields(CycleRecord)[2:]]
    losses = {name.removeprefix("loss_"): getattr(record, name) for name in names}
    assert {name for name, loss in losses.items() if loss == 0} == zero


def test_cycle_alone_leaves_the_discriminators_as_they_were(config, batch):
    trainer = make_cyclegan(replace(config, lambda_gan=0.0))
    before = [snapshot(network) for network in trainer.discriminators.values()]
    trainer.step(*batch)
    after = [snapshot(network) for network in trainer.discriminators.values()]
    assert all(same(one, other) for one, other in zip(before, after, strict=True))
    assert not trainer.pool_a.images


# --- the pool -------------------------------------------------------------------------------------


def numbered(*numbers: int) -> torch.Tensor:
    return torch.tensor(numbers, dtype=torch.float32)[:, None, None, None].expand(-1, 3, 4, 4)


def test_a_pool_returns_images_as_they_are_while_it_fills():
    pool = ImagePool(50)
    for start in range(0, 50, 5):
        images = numbered(*range(start, start + 5))
        assert torch.equal(pool.exchange(images), images)
    assert [int(image[0, 0, 0]) for image in pool.images] == list(range(50))


def test_a_full_pool_returns_half_of_the_images_and_swaps_half():
    """Section 4: half of the images come back at once, the others swap with a random older one."""
    torch.manual_seed(0)
    pool, draws = ImagePool(50), 8_000
    pool.exchange(numbered(*range(50)))
    kept, ages = 0, []
    for number in range(50, 50 + draws):
        before = {int(image[0, 0, 0]) for image in pool.images}
        out = int(pool.exchange(numbered(number))[0, 0, 0, 0])
        after = {int(image[0, 0, 0]) for image in pool.images}
        if out == number:
            kept += 1
            assert after == before
        else:
            assert after == before - {out} | {number}
            ages.append(number - out)
    assert abs(kept - draws / 2) < 4 * (draws / 4) ** 0.5  # four standard deviations
    # An image stays until a swap (every other time) draws it (1 in 50), on average for 100 draws.
    assert sum(ages[1000:]) / len(ages[1000:]) == pytest.approx(100, rel=0.1)


def test_a_pool_keeps_copies_without_gradients():
    pool, images = ImagePool(2), torch.zeros(2, 3, 4, 4, requires_grad=True) * 1
    out = pool.exchange(images)
    assert not out.requires_grad and not any(image.requires_grad for image in pool.images)
    images.data.fill_(7)
    assert not any(image.any() for image in pool.images)


def test_a_pool_of_none_passes_images_on():
    images = numbered(1, 2)
    assert torch.equal(ImagePool(0).exchange(images), images)


# --- a run ----------------------------------------------------------------------------------------


def test_resume_is_bit_exact_pools_included(config, tiny_pairs, tmp_path):
    straight, second = with_and_without_a_break(
        make_cyclegan, config, tiny_pairs, tmp_path / "last.pt"
    )
    assert len(second.pool_a.images) == len(second.pool_b.images) == 3
    assert_same_state(straight.state_dict(), second.state_dict())


def test_a_run_without_its_pools_would_end_otherwise(config, tiny_pairs):
    whole, other = make_cyclegan(config), make_cyclegan(config)
    for trainer in (whole, other):
        run(trainer, tiny_pairs, 2)
    other.pool_a, other.pool_b = ImagePool(3), ImagePool(3)
    for trainer in (whole, other):
        run(trainer, tiny_pairs, 1)
    assert not same(snapshot(whole.generator_ab), snapshot(other.generator_ab))


def test_fresh_checkpoint_has_empty_pools(config, tmp_path):
    save_checkpoint(tmp_path / "last.pt", make_cyclegan(config))
    assert read_checkpoint(tmp_path / "last.pt")["pool_a"].shape == (0, 3, 32, 32)
    trainer = make_cyclegan(config)
    for pool in (trainer.pool_a, trainer.pool_b):
        pool.exchange(torch.zeros(2, 3, 32, 32))
    load_checkpoint(tmp_path / "last.pt", trainer)
    assert trainer.pool_a.images == trainer.pool_b.images == []


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda s: s.update(pool_a=torch.zeros(4, 3, 32, 32)),
         r"a pool has the shape \(4, 3, 32, 32\)"),
        (lambda s: s.update(pool_b=torch.zeros(2, 3, 16, 32)),
         r"a pool has the shape \(2, 3, 16, 32\)"),
        (lambda s: s.update(pool_b=[]), "another model"),
        (lambda s: s["generator_ba"].popitem(), "ResNetGenerator: Missing key"),
        (lambda s: s["discriminator_b"].popitem(), "PatchDiscriminator: Missing key"),
        (lambda s: s["optimizer_d"]["state"].pop(0),
         "Adam's averages are not those of 12 parameters"),
        (lambda s: s.pop("pool_a"), "another model .*pool_a"),
    ],
)  # fmt: skip
def test_checkpoint_of_another_model_is_refused(change, words, config, tiny_pairs, tmp_path):
    trainer = make_cyclegan(config)
    run(trainer, tiny_pairs, 1)
    state = trainer.state_dict()
    change(state)
    torch.save(state, tmp_path / "last.pt")
    fresh = make_cyclegan(config)
    before = copy.deepcopy(fresh.state_dict())
    with pytest.raises(ValueError, match=words):
        load_checkpoint(tmp_path / "last.pt", fresh)
    assert_same_state(before, fresh.state_dict())


def test_fast_engine_steps_as_the_plain_one(config, batch):
    losses = []
    for engine in (Engine(), Engine(channels_last=True, fused=True, matmul_small_maps=True)):
        trainer = make_cyclegan(replace(config, image_size=32), engine=engine)
        losses.append([trainer.step(*batch).loss_cycle_a.item() for _ in range(3)])
    torch.testing.assert_close(*losses, rtol=1e-3, atol=1e-4)


def test_images_of_the_first_domain_have_their_own_channels(tiny_pairs):
    config = system_config(
        "cyclegan", image_size=32, base_channels=2, disc_channels=4, disc_layers=1, blocks=1,
        in_channels=1, lambda_identity=0.0,
    )  # fmt: skip
    trainer = make_cyclegan(config)
    real_a, real_b = torch.zeros(1, 1, 32, 32), torch.zeros(1, 3, 32, 32)
    assert trainer.translate(real_a).shape == real_b.shape
    assert trainer.translate_back(real_b).shape == real_a.shape
    trainer.step(real_a, real_b)
    message = r"lambda_identity must be 0 if in_channels and out_channels differ; got 5\.0"
    with pytest.raises(ValueError, match=message):
        replace(config, lambda_identity=5.0)


def test_a_cycle_without_change_has_no_error(config, tiny_pairs):
    trainer = make_cyclegan(config)
    assert 0 < trainer.validate(tiny_pairs) < 2
    trainer.generator_ab = trainer.generator_ba = nn.Identity()
    assert trainer.validate(tiny_pairs) == 0


def test_show_takes_both_domains_there_and_back(config, tiny_pairs):
    trainer, (real_a, real_b) = make_cyclegan(config), tiny_pairs[:2]
    shown = trainer.show(real_a, real_b)
    assert list(shown) == ["real a", "fake b", "back to a", "real b", "fake a", "back to b"]
    assert torch.equal(shown["back to a"], trainer.translate_back(shown["fake b"]))
    assert torch.equal(shown["back to b"], trainer.translate(shown["fake a"]))


# --- networks -------------------------------------------------------------------------------------


def test_the_trainer_s_networks_are_those_of_the_system():
    torch.manual_seed(5)
    small = {"base_channels": 4, "disc_channels": 4, "blocks": 2}
    named = systems.cyclegan(**small)
    trained = make_cyclegan(system_config("cyclegan", seed=5, image_size=64, **small))
    for network, own in zip(named, trained.networks.values(), strict=True):
        assert_same_state(network.state_dict(), own.state_dict())
        assert str(network) == str(own)


def test_the_u_net_can_be_swapped_in(config, batch):
    unet = replace(config, generator="unet", depth=3, skips=True)
    trainer = make_cyclegan(unet)
    assert type(trainer.generator_ab).__name__ == type(trainer.generator_ba).__name__ == "UNet"
    generators = [trainer.generator_ab, trainer.generator_ba]
    assert [len(generator.downs) for generator in generators] == [3, 3]
    before = [snapshot(generator) for generator in generators]
    trainer.step(*batch)
    assert not any(same(snapshot(g), state) for g, state in zip(generators, before, strict=True))


def test_a_config_of_pairs_is_refused(tiny_config):
    with pytest.raises(ValueError, match="expected a config of the system cyclegan; got own"):
        make_cyclegan(tiny_config)


def test_generators_are_saved_with_the_direction_they_translate(config, tmp_path):
    trainer = make_cyclegan(config)
    path = tmp_path / "generator_ba.safetensors"
    save_generator(path, trainer.generator_ba, reverse_config(config))
    loaded, card = load_generator(path)
    assert card.direction == "BtoA" and config.direction == "AtoB"
    assert same(snapshot(loaded), snapshot(trainer.generator_ba))
