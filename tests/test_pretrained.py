"""Weights from elsewhere: every kind of file, the other repository's arithmetic, a new trainer."""

import os
import zipfile
from collections import OrderedDict
from dataclasses import replace

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from pix2pix_lib.checkpoints import (
    load_checkpoint,
    save_checkpoint,
    save_discriminator,
    save_generator,
)
from pix2pix_lib.config import TrainConfig, reverse_config, system_config
from pix2pix_lib.cyclegan import make_cyclegan, trainer_factory
from pix2pix_lib.engine import fast_engine
from pix2pix_lib.pretrained import config_for, find_weights, initialise, load_any_generator
from pix2pix_lib.training import make_trainer
from pix2pix_lib.validation import InputError


def same(first, second) -> bool:
    """Return whether two nested states are equal to the last bit."""
    if isinstance(first, dict):
        return first.keys() == second.keys() and all(same(first[k], second[k]) for k in first)
    if isinstance(first, torch.Tensor):
        return torch.equal(first, second)
    return first == second


# --- the other repository's networks, written anew from its arithmetic and its names ------------
#
# Each layer has the place in its nn.Sequential that the published files show. There the leaky ReLU
# works in place, on the very map that the skip carries.


def other_norm(norm, channels):
    if norm == "batch":
        return nn.BatchNorm2d(channels)
    return nn.InstanceNorm2d(channels) if norm == "instance" else nn.Identity()


class Level(nn.Module):
    """One level of the other U-Net: down, the levels inside, up; beside them the skip."""

    def __init__(self, layers, outermost=False):
        super().__init__()
        self.model, self.outermost = nn.Sequential(*layers), outermost

    def forward(self, x):
        return self.model(x) if self.outermost else torch.cat([x, self.model(x)], 1)


class OtherUNet(nn.Module):
    def __init__(self, norm="batch", width=4, depth=5, channels=(3, 3), dropout=0.0):
        super().__init__()
        biased = {"kernel_size": 4, "stride": 2, "padding": 1, "bias": norm == "instance"}
        widths = [width * min(2**level, 8) for level in range(depth)]
        inside = Level(
            [
                nn.LeakyReLU(0.2, inplace=True),
                nn.Conv2d(widths[-2], widths[-1], **biased),
                nn.ReLU(inplace=True),
                nn.ConvTranspose2d(widths[-1], widths[-2], **biased),
                other_norm(norm, widths[-2]),
            ]
        )
        for level in range(depth - 2, 0, -1):
            outer, inner = widths[level - 1], widths[level]
            layers = [
                nn.LeakyReLU(0.2, inplace=True),
                nn.Conv2d(outer, inner, **biased),
                other_norm(norm, inner),
                inside,
                nn.ReLU(inplace=True),
                nn.ConvTranspose2d(2 * inner, outer, **biased),
                other_norm(norm, outer),
            ]
            inside = Level([*layers, nn.Dropout(dropout)] if dropout and level > 3 else layers)
        layers = [
            nn.Conv2d(channels[0], width, **biased),
            inside,
            nn.ReLU(inplace=True),
            nn.ConvTranspose2d(2 * width, channels[1], **{**biased, "bias": True}),
            nn.Tanh(),
        ]
        self.model = Level(layers, outermost=True)

    def forward(self, x):
        return self.model(x)


class OtherBlock(nn.Module):
    def __init__(self, width, norm, dropout):
        super().__init__()
        half = [
            nn.ReflectionPad2d(1),
            nn.Conv2d(width, width, 3, bias=norm == "instance"),
            other_norm(norm, width),
        ]
        again = [
            nn.ReflectionPad2d(1),
            nn.Conv2d(width, width, 3, bias=norm == "instance"),
            other_norm(norm, width),
        ]
        middle = [nn.ReLU(True), *([nn.Dropout(dropout)] if dropout is not None else [])]
        self.conv_block = nn.Sequential(*half, *middle, *again)

    def forward(self, x):
        return x + self.conv_block(x)


class OtherResNet(nn.Module):
    def __init__(self, norm="instance", width=4, blocks=2, channels=(3, 3), dropout=None):
        super().__init__()
        bias = norm == "instance"

        def after(convolution, channels):
            return [convolution, other_norm(norm, channels), nn.ReLU(inplace=True)]

        layers = [nn.ReflectionPad2d(3)]
        layers += after(nn.Conv2d(channels[0], width, 7, bias=bias), width)
        for k in (width, 2 * width):
            layers += after(nn.Conv2d(k, 2 * k, 3, stride=2, padding=1, bias=bias), 2 * k)
        layers += [OtherBlock(4 * width, norm, dropout) for _ in range(blocks)]
        for k in (4 * width, 2 * width):
            up = nn.ConvTranspose2d(k, k // 2, 3, stride=2, padding=1, output_padding=1, bias=bias)
            layers += after(up, k // 2)
        layers += [nn.ReflectionPad2d(3), nn.Conv2d(width, channels[1], 7), nn.Tanh()]
        self.model = nn.Sequential(*layers)

    def forward(self, x):
        return self.model(x)


class OtherPatchGAN(nn.Module):
    def __init__(self, norm="batch", width=4, layers=3, channels=6):
        super().__init__()
        widths = [width * min(2**level, 8) for level in range(layers + 1)]
        chain = [nn.Conv2d(channels, width, 4, stride=2, padding=1), nn.LeakyReLU(0.2, True)]
        for level in range(1, layers + 1):
            stride, bias = (2 if level < layers else 1), norm == "instance"
            sizes = widths[level - 1], widths[level]
            chain += [nn.Conv2d(*sizes, 4, stride=stride, padding=1, bias=bias)]
            chain += [other_norm(norm, sizes[1]), nn.LeakyReLU(0.2, True)]
        self.model = nn.Sequential(*chain, nn.Conv2d(widths[-1], 1, 4, stride=1, padding=1))

    def forward(self, x):
        return self.model(x)


class OtherPixelGAN(nn.Module):
    def __init__(self, norm="batch", width=4, channels=6):
        super().__init__()
        bias = norm == "instance"
        self.net = nn.Sequential(
            nn.Conv2d(channels, width, 1),
            nn.LeakyReLU(0.2, True),
            nn.Conv2d(width, 2 * width, 1, bias=bias),
            other_norm(norm, 2 * width),
            nn.LeakyReLU(0.2, True),
            nn.Conv2d(2 * width, 1, 1, bias=bias),
        )

    def forward(self, x):
        return self.net(x)


def randomised(network, seed=1):
    """Give every parameter and average a value of its own: nothing may be swapped unseen."""
    with torch.random.fork_rng([]), torch.no_grad():
        torch.manual_seed(seed)
        for name, value in network.state_dict().items():
            if value.is_floating_point():
                value.copy_(torch.randn(value.shape) * 0.1 + ("running_var" in name))
    return network.train()


def images(channels=3, side=64, count=2, seed=5):
    generator = torch.Generator().manual_seed(seed)
    return torch.rand(count, channels, side, side, generator=generator) * 2 - 1


def save(network, path):
    torch.save(network.state_dict(), path)
    return path


def gradients(network, loss):
    """Return a state dict with each parameter's gradient in its place."""
    network.zero_grad()
    loss.backward()
    found = {name: p.grad for name, p in network.named_parameters()}
    return {name: found.get(name, value) for name, value in network.state_dict().items()}


GENERATORS = {
    "unet, batch": lambda: OtherUNet("batch"),
    "unet, instance": lambda: OtherUNet("instance", depth=6),
    "unet, none": lambda: OtherUNet("none"),
    "unet, grey to colour": lambda: OtherUNet("batch", channels=(1, 3)),
    "resnet, instance": lambda: OtherResNet("instance"),
    "resnet, batch": lambda: OtherResNet("batch", blocks=3),
    "resnet, none": lambda: OtherResNet("none", channels=(3, 1)),
}


def check_gradients(ours, mapped, other):
    """Compare gradients with those of the other network, which `mapped` has in place of weights.

    A bias that the other network lacks is mapped to 0; the others must all have been compared.
    """
    wanted, compared = dict(mapped.named_parameters()), 0
    for name, parameter in ours.named_parameters():
        if wanted[name].any():
            gradient = parameter.grad.float()
            torch.testing.assert_close(gradient, wanted[name].float(), rtol=1e-5, atol=1e-9)
            compared += 1
    assert compared == len(list(other.parameters()))


@pytest.mark.parametrize("kind", GENERATORS)
def test_generator_of_a_pth_computes_the_same_outputs_and_gradients(kind, tmp_path):
    """The mapping moves numbers, so gradients saved under the other names map as weights do."""
    other = randomised(GENERATORS[kind]())
    ours, config, _ = load_any_generator(save(other, tmp_path / "latest_net_G.pth"))
    other, ours = other.double(), ours.double().train()
    real_a = images(config.in_channels).double()
    target = images(config.out_channels, seed=6).double()
    expected, output = other(real_a), ours(real_a)
    torch.testing.assert_close(output, expected, rtol=0, atol=1e-12)
    torch.save(gradients(other, F.mse_loss(expected, target)), tmp_path / "gradients.pth")
    F.mse_loss(output, target).backward()
    check_gradients(ours, load_any_generator(tmp_path / "gradients.pth")[0], other)


JUDGES = {
    "3 layers, batch": lambda: OtherPatchGAN("batch"),
    "3 layers, instance": lambda: OtherPatchGAN("instance", width=8),
    "1 layer, batch": lambda: OtherPatchGAN("batch", layers=1),
    "5 layers, none": lambda: OtherPatchGAN("none", layers=5),
    "unconditional": lambda: OtherPatchGAN("instance", channels=3),
    "pixel, batch": lambda: OtherPixelGAN("batch"),
    "pixel, instance": lambda: OtherPixelGAN("instance"),
    "pixel, none": lambda: OtherPixelGAN("none"),
}


@pytest.mark.parametrize("kind", JUDGES)
def test_discriminator_beside_it_computes_the_same_logits_and_gradients(kind, tmp_path):
    other = randomised(JUDGES[kind]())
    file = save(randomised(OtherUNet()), tmp_path / "latest_net_G.pth")
    save(other, tmp_path / "latest_net_D.pth")

    def judge():
        trainer = make_trainer(TrainConfig(image_size=256, **config_for(file)))
        assert "begins anew" not in initialise(trainer, file)
        return trainer.discriminator.double()

    ours, other = judge(), other.double()
    pair = images(6, 128).double()[:, : ours.in_channels]
    expected, logits = other(pair), ours(*pair.split(3, dim=1))
    torch.testing.assert_close(logits, expected, rtol=0, atol=1e-11)
    torch.save(gradients(other, expected.square().mean()), tmp_path / "latest_net_D.pth")
    logits.square().mean().backward()
    check_gradients(ours, judge(), other)


def test_names_are_those_of_the_published_files():
    """Names as public reports quote them hold the networks above to the originals."""
    names = set(OtherUNet("instance", depth=8).state_dict())
    inner = "model.model.1.model." + 6 * "3.model."
    quoted = ["model.model.0.bias", "model.model.1.model.1.bias", "model.model.1.model.5.bias"]
    quoted += [f"{inner}1.bias", f"{inner}3.bias", "model.model.3.weight"]
    assert names >= set(quoted) and len(names) == 32
    assert "model.model.1.model.2.running_var" in OtherUNet("batch").state_dict()
    nine = OtherResNet("instance", blocks=9).state_dict()
    assert nine.keys() >= {"model.1.bias", "model.10.conv_block.5.bias", "model.26.weight"}
    dropped = OtherResNet("instance", blocks=9, dropout=0.5).state_dict()
    assert dropped.keys() >= {"model.18.conv_block.6.weight", "model.22.weight"}
    assert OtherPatchGAN().state_dict().keys() >= {"model.3.running_mean", "model.11.bias"}
    assert OtherPixelGAN().state_dict().keys() >= {"net.3.running_mean", "net.5.weight"}


def test_dropout_of_a_resnet_is_seen_and_lies_in_the_same_place(tmp_path):
    other = randomised(OtherResNet("instance", dropout=0.5))
    ours, config, _ = load_any_generator(save(other, tmp_path / "a.pth"))
    assert config.dropout == 0.5
    outputs = []
    for network in (other, ours.train()):
        torch.manual_seed(0)
        outputs.append(network(images()))
    torch.testing.assert_close(*outputs, rtol=0, atol=2e-6)


def test_config_of_a_pth_says_what_the_file_shows_and_the_card_what_it_does_not(tmp_path):
    other = OtherUNet("batch", depth=7, channels=(1, 3), dropout=0.5)
    _, config, card = load_any_generator(save(other, tmp_path / "latest_net_G.pth"))
    wanted = {"generator": "unet", "depth": 7, "norm": "batch", "base_channels": 4}
    wanted |= {"in_channels": 1, "out_channels": 3, "detail_channels": 0, "image_size": 128}
    wanted |= {"upsampling": "transposed", "skips": True, "dropout": 0.0}
    assert config == TrainConfig(**wanted)
    assert "latest_net_G.pth" in card["source"]
    assert all(word in card["unknown"] for word in ("direction", "image size", "dropout"))
    _, config, _ = load_any_generator(tmp_path, direction="AtoB")  # the folder, and told
    assert config.direction == "AtoB"
    _, config, _ = load_any_generator(save(OtherResNet(blocks=6), tmp_path / "b.pth"))
    assert (config.generator, config.blocks, config.image_size) == ("resnet", 6, 256)


def with_prefix(state):
    return {f"module.{name}": value for name, value in state.items()}


def with_old_averages(state):
    """What an instance norm of torch 0.3 saved, and nobody read."""
    averages = {f"model.2.running_{name}": torch.ones(4) for name in ("mean", "var")}
    return {**state, **averages, "model.2.num_batches_tracked": torch.tensor(3)}


VARIANTS = {
    "DataParallel": with_prefix,
    "averages of instance norms": with_old_averages,
    "_metadata as an entry": lambda state: {**state, "_metadata": {"": {"version": 1}}},
    "16 bits": lambda state: {name: value.half() for name, value in state.items()},
}


@pytest.mark.parametrize("kind", VARIANTS)
def test_variants_of_a_pth_hold_the_same_network(kind, tmp_path):
    state = randomised(OtherResNet()).state_dict()
    state = OrderedDict((name, value.half().float()) for name, value in state.items())
    torch.save(state, tmp_path / "plain.pth")
    torch.save(VARIANTS[kind](state), tmp_path / "variant.pth")
    first, second = (load_any_generator(tmp_path / f"{n}.pth") for n in ("plain", "variant"))
    assert same(first[0].state_dict(), second[0].state_dict()) and first[1] == second[1]


def test_pth_of_before_torch_1_6_is_read(tmp_path):
    """The published weights are older than the zip format."""
    other = randomised(OtherUNet())
    torch.save(other.state_dict(), tmp_path / "old.pth", _use_new_zipfile_serialization=False)
    assert not zipfile.is_zipfile(tmp_path / "old.pth")
    ours, _, _ = load_any_generator(tmp_path / "old.pth")
    torch.testing.assert_close(ours.train()(images()), other(images()), rtol=0, atol=2e-6)


# --- what is refused ----------------------------------------------------------------------------


class Bomb:
    def __reduce__(self):
        return os.mkdir, ("exploded",)


@pytest.mark.parametrize("kind", ["code", "module", "script", "cut", "text", "empty", "list"])
def test_file_that_is_no_state_dict_is_one_line_and_runs_nothing(kind, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    file = tmp_path / "a.pth"
    if kind == "script":
        with zipfile.ZipFile(save(OtherUNet(), file), "a") as archive:
            archive.writestr("archive/constants.pkl", b"")
    elif kind == "cut":
        save(OtherUNet(), file)
        file.write_bytes(file.read_bytes()[:-2000])
    elif kind in ("text", "empty"):
        file.write_bytes(b"no weights" if kind == "text" else b"")
    else:
        torch.save({"code": {"G": Bomb()}, "module": OtherUNet(), "list": [1]}[kind], file)
    with pytest.raises(
        InputError, match=r"a\.pth: not readable as weights .*latest_net_G"
    ) as caught:
        load_any_generator(file)
    assert "\n" not in str(caught.value) and "weights_only" not in str(caught.value)
    assert not (tmp_path / "exploded").exists()


def without(state, name):
    return {key: value for key, value in state.items() if key != name}


FOREIGN = {
    "another network": ({"features.0.weight": torch.zeros(1)}, "of neither kind"),
    "no network": ({"state_dict": {}, "epoch": 3}, "not the tensors of one network"),
    "nothing": ({}, "of neither kind"),
    "discriminator": (OtherPatchGAN().state_dict(), "holds a discriminator"),
    "pixel discriminator": (OtherPixelGAN().state_dict(), "holds a discriminator"),
    "missing": (without(OtherUNet().state_dict(), "model.model.1.model.5.weight"), "is missing"),
    "no head": (without(OtherUNet().state_dict(), "model.model.3.weight"), "another kind"),
    "wider": (
        OtherUNet().state_dict() | {"model.model.1.model.1.weight": torch.zeros(9, 4, 4, 4)},
        "of the shape",
    ),
    "more": (OtherUNet().state_dict() | {"attention.weight": torch.zeros(1)}, "no place for"),
    "bias before batch norm": (
        OtherUNet().state_dict() | {"model.model.0.bias": torch.zeros(4)},
        r"no place for model\.model\.0\.bias",
    ),
    "padding of zeros": (
        {k.replace("block.1", "block.0"): v for k, v in OtherResNet().state_dict().items()},
        "cannot be represented",
    ),
}


@pytest.mark.parametrize("kind", FOREIGN)
def test_network_that_cannot_be_represented_is_refused(kind, tmp_path):
    state, words = FOREIGN[kind]
    torch.save(state, tmp_path / "a.pth")
    with pytest.raises(InputError, match=words):
        load_any_generator(tmp_path / "a.pth")


def test_missing_file_or_empty_folder_says_what_is_accepted(tmp_path):
    for path in (tmp_path, tmp_path / "nothing.pth"):
        with pytest.raises(FileNotFoundError, match=r"expected a generator\.safetensors"):
            load_any_generator(path)


# --- runs of this library -----------------------------------------------------------------------


def train_one_epoch(config, pairs):
    trainer = trainer_factory(config)(config)
    for _ in trainer.run_epoch(pairs):
        pass
    return trainer


def keep(trainer, folder):
    """Write what a run leaves in its folder."""
    save_checkpoint(folder / "checkpoints" / "last.pt", trainer)
    (folder / "checkpoints" / "epoch_001.pt").write_bytes(
        (folder / "checkpoints" / "last.pt").read_bytes()
    )
    for name, generator in trainer.generators.items():
        config = reverse_config(trainer.config) if name == "generator_ba" else trainer.config
        save_generator(folder / f"{name}.safetensors", generator, config, {"epochs": 1})
    return folder


@pytest.fixture
def run(tiny_config, tiny_pairs, tmp_path):
    return keep(train_one_epoch(tiny_config, tiny_pairs), tmp_path / "run")


@pytest.fixture
def cycle_run(tiny_pairs, tmp_path):
    config = system_config("cyclegan", image_size=32, base_channels=4, disc_channels=4, blocks=1,
                           disc_layers=1)  # fmt: skip
    return keep(train_one_epoch(config, tiny_pairs), tmp_path / "cycle")


def test_every_way_to_name_a_run_gives_its_generator(run, tiny_config):
    expected = make_trainer(tiny_config)
    load_checkpoint(run / "checkpoints" / "last.pt", expected)
    for name in ("", "generator.safetensors", "checkpoints", "checkpoints/epoch_001.pt"):
        before = torch.get_rng_state()
        generator, config, card = load_any_generator(run / name)
        assert torch.equal(torch.get_rng_state(), before)
        assert same(generator.state_dict(), expected.generator.state_dict())
        assert config == tiny_config and card["epochs"] == 1
    assert find_weights(run) == run / "generator.safetensors"
    with pytest.raises(InputError, match="translates BtoA, not AtoB"):
        load_any_generator(run, direction="AtoB")


def test_cyclegan_needs_a_direction(cycle_run):
    with pytest.raises(InputError, match=r"generator_ab\.safetensors \(AtoB\) and generator_ba"):
        load_any_generator(cycle_run)
    checkpoint = cycle_run / "checkpoints" / "last.pt"
    with pytest.raises(InputError, match="holds two generators; give --direction"):
        load_any_generator(checkpoint)
    for direction, name in (("AtoB", "generator_ab"), ("BtoA", "generator_ba")):
        named = load_any_generator(cycle_run / f"{name}.safetensors")
        for path in (cycle_run, checkpoint):
            found = load_any_generator(path, direction=direction)
            assert same(found[0].state_dict(), named[0].state_dict()) and found[1] == named[1]


def test_card_of_a_checkpoint_says_what_the_values_of_input_and_target_mean(
    cycle_run, tiny_config, tmp_path
):
    encodings = [{"channels": 1, "high": 4095.0}, {"channels": 3, "high": 255.0}]
    save_checkpoint(tmp_path / "last.pt", make_trainer(tiny_config), data={"encodings": encodings})
    _, config, card = load_any_generator(tmp_path / "last.pt")
    assert config.direction == "BtoA"
    assert [card["target"], card["input"]] == encodings and "encodings" not in card
    checkpoint = cycle_run / "checkpoints" / "last.pt"
    state = torch.load(checkpoint, weights_only=True)
    torch.save(state | {"data": {"encodings": encodings}}, checkpoint)
    for direction, sides in (("AtoB", ("input", "target")), ("BtoA", ("target", "input"))):
        _, _, card = load_any_generator(checkpoint, direction=direction)
        assert [card[side] for side in sides] == encodings


def test_checkpoint_whose_networks_are_not_those_of_its_settings_is_refused(run):
    path = run / "checkpoints" / "last.pt"
    state = torch.load(path, weights_only=True)
    for change, words in (
        ({"generator": {"a": 3}}, "it lacks generator"),
        ({"config": state["config"] | {"base_channels": 8}}, "not the generator that its settings"),
        ({"config": state["config"] | {"sun": 1}}, "unknown settings: sun"),
    ):
        torch.save(state | change, path)
        with pytest.raises(InputError, match=words):
            load_any_generator(path)


# --- a new trainer ------------------------------------------------------------------------------


def weights_of(trainer):
    return {name: {**network.state_dict()} for name, network in trainer.networks.items()}


def test_trainer_takes_both_networks_and_begins_anew(run, tiny_config, tiny_pairs):
    source = make_trainer(tiny_config)
    load_checkpoint(run / "checkpoints" / "last.pt", source)
    config = replace(tiny_config, image_size=64, lr=1e-5, batch_size=2, dropout=0.0, epochs=9)
    trainer = make_trainer(config)
    before = torch.get_rng_state()
    said = initialise(trainer, run)
    assert torch.equal(torch.get_rng_state(), before)
    assert said == (
        f"generator and discriminator of {run / 'checkpoints' / 'last.pt'} after epoch 1; "
        f"optimisers begin anew"
    )
    assert same(weights_of(trainer), weights_of(source))
    assert not trainer.optimizer_g.state and not trainer.optimizer_d.state
    assert (trainer.epoch, trainer.steps, trainer.history) == (0, 0, [])
    for _ in trainer.run_epoch(tiny_pairs):
        pass
    with pytest.raises(ValueError, match="expected a new trainer"):
        initialise(trainer, run)


def test_trainer_of_a_fast_engine_takes_weights_too(run, tiny_config):
    engine = fast_engine("float32", torch.device("cpu"))
    trainer = make_trainer(tiny_config, engine=engine)
    kernel = trainer.generator.downs[1].conv.weight
    layout = kernel.stride()
    initialise(trainer, run / "generator.safetensors")
    assert same(trainer.generator.state_dict(), load_any_generator(run)[0].state_dict())
    assert trainer.generator.downs[1].conv.weight is kernel and kernel.stride() == layout


def test_discriminator_that_does_not_fit_begins_anew_and_is_named(run, tiny_config):
    trainer = make_trainer(replace(tiny_config, disc_channels=8, conditional=False))
    untouched = {**trainer.discriminator.state_dict()}
    said = initialise(trainer, run)
    assert said.startswith("generator of") and "--disc-channels 4 --conditional takes it" in said
    assert same(dict(trainer.discriminator.state_dict()), untouched)
    said = initialise(trainer, run / "generator.safetensors")
    assert "discriminator begins anew (there is none)" in said


@pytest.mark.parametrize(
    ("change", "flags"),
    [
        ({"base_channels": 8, "depth": 5}, "--depth 4"),
        ({"base_channels": 8, "depth": 5}, "--base-channels 4"),
        ({"skips": False}, "--skips"),
        ({"norm": "instance"}, "--norm batch"),
        ({"norm": "group"}, "--norm batch"),
        ({"generator": "resnet", "depth": 2}, "--generator unet"),
        ({"detail_channels": 0}, "--detail-channels 16"),
        ({"in_channels": 1}, "--in-channels 3"),
    ],
)
def test_other_generator_is_refused_with_the_flags_to_give(change, flags, run, tiny_config):
    trainer = make_trainer(replace(tiny_config, **change))
    before = weights_of(trainer)
    with pytest.raises(InputError, match=r"another generator: .* is .* there") as caught:
        initialise(trainer, run)
    assert flags in str(caught.value)
    assert same(weights_of(trainer), before)


def test_equal_shapes_of_another_norm_are_no_match(tiny_config, tiny_pairs, tmp_path):
    config = replace(tiny_config, norm="instance")
    folder = keep(train_one_epoch(config, tiny_pairs), tmp_path)
    with pytest.raises(InputError, match="norm is instance there, none here; --norm instance"):
        initialise(make_trainer(replace(config, norm="none")), folder)


def test_networks_of_a_study_system_need_that_system(tiny_config, tmp_path):
    config = system_config("shallow", image_size=64, base_channels=4, disc_channels=4)
    folder = keep(make_trainer(config), tmp_path)
    assert config_for(folder)["system"] == "shallow"
    assert "begins anew" not in initialise(make_trainer(replace(config, lr=1e-3)), folder)
    with pytest.raises(InputError, match="system is shallow there, own here; --system shallow"):
        initialise(make_trainer(tiny_config), folder)


def test_all_networks_of_cyclegan_are_taken(cycle_run, tiny_pairs):
    settings = config_for(cycle_run)
    config = system_config(**{"image_size": 32, "epochs": 2, **settings})
    assert config.is_unpaired
    trainer, source = make_cyclegan(config), make_cyclegan(config)
    said = initialise(trainer, cycle_run)
    load = torch.load(cycle_run / "checkpoints" / "last.pt", weights_only=True)
    for name in source.networks:
        assert name in said and same(dict(trainer.networks[name].state_dict()), dict(load[name]))


def test_generators_of_pix2pix_and_cyclegan_stand_for_each_other(run, cycle_run, tiny_config):
    generator, _, _ = load_any_generator(cycle_run, direction="AtoB")
    settings = {**config_for(cycle_run), "system": "own"}
    trainer = make_trainer(TrainConfig(image_size=32, **settings))
    said = initialise(trainer, cycle_run)
    assert "generator_ab as generator of" in said and "trained AtoB, this run is BtoA" in said
    assert same(trainer.generator.state_dict(), generator.state_dict())
    unpaired = replace(tiny_config, system="cyclegan")
    trainer = make_cyclegan(unpaired)
    said = initialise(trainer, run)
    assert "generator as generator_ab of" in said
    assert "generator_ba begins anew" in said and "discriminator_b begins anew" in said
    assert same(trainer.generator_ab.state_dict(), load_any_generator(run)[0].state_dict())


def test_discriminator_beside_a_generator_is_taken(tiny_config, tmp_path):
    source = make_trainer(tiny_config)
    save_generator(tmp_path / "generator_010.safetensors", source.generator, tiny_config)
    save_discriminator(
        tmp_path / "discriminator_010.safetensors", source.discriminator, tiny_config
    )
    trainer = make_trainer(replace(tiny_config, seed=8))
    said = initialise(trainer, tmp_path / "generator_010.safetensors")
    assert "begins anew" not in said and same(weights_of(trainer), weights_of(source))


def test_discriminator_there_is_named_after_the_generator_that_it_teaches(tmp_path):
    """D_A judges what G_A makes, images of B: it is discriminator_b here."""
    files = {"G_A": OtherResNet(), "G_B": OtherResNet()}
    files |= {
        "D_A": OtherPatchGAN("instance", channels=3),
        "D_B": OtherPatchGAN("instance", channels=3),
    }
    for seed, (label, other) in enumerate(files.items()):
        save(randomised(other, seed), tmp_path / f"latest_net_{label}.pth")
    settings = config_for(tmp_path)
    assert "direction" not in settings
    trainer = make_cyclegan(system_config("cyclegan", image_size=64, **settings))
    for path in (tmp_path, tmp_path / "latest_net_G_B.pth"):
        assert "begins anew" not in initialise(trainer, path)
        x, atol = images(side=64), 1e-5
        for name, label in (("discriminator_b", "D_A"), ("discriminator_a", "D_B"),
                            ("generator_ab", "G_A"), ("generator_ba", "G_B")):  # fmt: skip
            torch.testing.assert_close(
                trainer.networks[name](x), files[label](x), rtol=0, atol=atol
            )
    with pytest.raises(InputError, match=r"G_A\.pth \(AtoB\) and latest_net_G_B\.pth \(BtoA\)"):
        load_any_generator(tmp_path)
    generator, config, _ = load_any_generator(tmp_path, direction="BtoA")
    assert config.direction == "BtoA"
    torch.testing.assert_close(generator.train()(x), files["G_B"](x), rtol=0, atol=1e-5)


def test_settings_of_every_kind_of_file_make_a_trainer_that_takes_it(run, tmp_path):
    files = [run, run / "generator.safetensors", run / "checkpoints" / "epoch_001.pt"]
    files += [
        save(make(), tmp_path / f"{number}.pth") for number, make in enumerate(GENERATORS.values())
    ]
    for file in files:
        settings = config_for(file)
        assert "direction" not in settings and "image_size" not in settings
        trainer = make_trainer(TrainConfig(image_size=64, **settings))
        assert initialise(trainer, file).startswith("generator")


# --- an encoder that waits ----------------------------------------------------------------------


def encoders(trainer):
    """Return copies of what the encoders learn, by the network's name and their own."""
    parts = {"UNet": ("downs.",), "DetailUNet": ("downs.",), "ResNetGenerator": ("head.", "downs.")}
    return {
        (name, key): parameter.detach().clone()
        for name, generator in trainer.generators.items()
        for key, parameter in generator.named_parameters()
        if key.startswith(parts[type(generator).__name__])
    }


def epoch_of(trainer, pairs):
    for _ in trainer.run_epoch(pairs):
        pass
    return encoders(trainer)


@pytest.mark.parametrize("kind", ["pix2pix", "resnet", "cyclegan"])
def test_encoder_waits_for_its_epochs_and_then_learns_as_if_new(kind, tiny_config, tiny_pairs):
    """Frozen weights stay bit for bit; when they begin to learn, Adam starts at its first step."""
    config = replace(tiny_config, freeze_encoder=2, lambda_identity=0.0)
    if kind != "pix2pix":
        config = replace(config, generator="resnet", depth=2, blocks=1, norm="instance")
    config = replace(config, system="cyclegan" if kind == "cyclegan" else "own")
    trainer = trainer_factory(config)(config)
    first = encoders(trainer)
    decoder = next(iter(trainer.generators.values())).ups[0].state_dict()
    decoder = {name: value.clone() for name, value in decoder.items()}
    for _ in range(2):
        assert same(epoch_of(trainer, tiny_pairs), first)
    generators = list(trainer.generators.values())
    now = generators[0].ups[0].state_dict()
    assert not any(torch.equal(now[name], decoder[name]) for name in now if "weight" in name)
    if kind == "pix2pix":  # where the head is the end of the decoder
        assert trainer.optimizer_g.state[next(generators[0].head.parameters())]["step"] > 0
    third = epoch_of(trainer, tiny_pairs)
    assert not any(torch.equal(third[name], first[name]) for name in first if "weight" in name[1])
    steps = len(tiny_pairs)
    state = trainer.optimizer_g.state
    assert state[next(generators[0].downs.parameters())]["step"] == steps
    assert state[next(generators[0].ups[0].parameters())]["step"] == 3 * steps


@pytest.mark.parametrize("after", [1, 2, 3])
def test_resumed_run_with_a_frozen_encoder_is_the_one_that_never_stopped(
    after, tiny_config, tiny_pairs, tmp_path
):
    config = replace(tiny_config, freeze_encoder=2)
    whole, begun = make_trainer(config), make_trainer(config)
    for epoch in range(4):
        epoch_of(whole, tiny_pairs)
        if epoch < after:
            epoch_of(begun, tiny_pairs)
    save_checkpoint(tmp_path / "last.pt", begun)
    resumed = make_trainer(config)
    load_checkpoint(tmp_path / "last.pt", resumed)
    while resumed.epoch < 4:
        epoch_of(resumed, tiny_pairs)
    assert same(resumed.state_dict(), whole.state_dict())
    assert resumed.history == whole.history


def test_run_without_a_frozen_encoder_refuses_a_checkpoint_that_lacks_its_averages(
    tiny_config, tiny_pairs, tmp_path
):
    frozen = train_one_epoch(replace(tiny_config, freeze_encoder=1), tiny_pairs)
    trainer = make_trainer(tiny_config)
    with pytest.raises(ValueError, match="Adam's averages"):
        trainer.load_state_dict(frozen.state_dict())


class Recorder:
    """Stands in for a recorded step: runs it, and counts how often it was told to begin anew."""

    resets = 0

    def __call__(self, step, *batch):
        return step(*batch)

    def reset(self):
        self.resets += 1


def test_recorded_step_is_recorded_anew_when_the_encoder_begins_to_learn(tiny_config, tiny_pairs):
    trainer = make_trainer(replace(tiny_config, freeze_encoder=2))
    trainer._graphed = Recorder()
    resets = []
    for _ in range(4):
        epoch_of(trainer, tiny_pairs)
        resets.append(trainer._graphed.resets)
    assert resets == [0, 0, 1, 1]
