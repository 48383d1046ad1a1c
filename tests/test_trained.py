"""The shipped weights: complete, small, as their cards say, and errors that name the remedy."""

import json
import math
import shutil
from dataclasses import fields, replace

import pytest
import torch

from benchmarks import weights
from pix2pix_lib.config import make_discriminator, make_generator
from pix2pix_lib.facades import facade_tensors, split_seeds
from pix2pix_lib.inference import translate
from pix2pix_lib.trained import (
    FILM,
    FOLDER,
    PERCENTS,
    Snapshot,
    load_film,
    load_history,
    load_snapshot,
    load_snapshots,
    make_film,
    save_film,
    weights_file,
)
from pix2pix_lib.training import make_trainer


@pytest.fixture(scope="module")
def snapshots():
    return load_snapshots()


@pytest.fixture(scope="module")
def pairs():
    """Ten facades of the validation split, as two batches."""
    both = [facade_tensors(seed) for seed in split_seeds("val", 10)]
    return torch.stack([a for a, _ in both]), torch.stack([b for _, b in both])


def test_snapshots_follow_the_training(snapshots):
    assert [s.percent for s in snapshots] == list(PERCENTS)
    last = snapshots[-1].step
    assert [s.step for s in snapshots] == [last * percent // 100 for percent in PERCENTS]
    assert last == load_history()[-1].step


def test_first_snapshot_is_the_untrained_network_of_its_seed(snapshots):
    fresh = make_trainer(snapshots[0].config)
    for name in ("generator", "discriminator"):
        ours, theirs = getattr(snapshots[0], name).state_dict(), getattr(fresh, name).state_dict()
        assert all(torch.equal(ours[key], theirs[key].half().to(ours[key].dtype)) for key in theirs)


def test_card_says_how_good_the_generator_is(snapshots, pairs):
    (real_a, real_b), ends = pairs, (snapshots[0], snapshots[-1])
    errors = [float((translate(s.generator, real_a) - real_b).abs().mean()) for s in ends]
    assert errors[1] < 0.9 * errors[0]
    for error, snapshot in zip(errors, ends, strict=True):
        # the card's figure is a mean over 100 facades
        assert error == pytest.approx(snapshot.validation_l1, abs=0.06)


def test_trained_discriminator_prefers_true_photos_and_the_untrained_one_cannot_tell(
    snapshots, pairs
):
    real_a, real_b = pairs
    margins = {}
    with torch.no_grad():
        for s in (snapshots[0], snapshots[-1]):
            fake_b = translate(s.generator, real_a)
            margin = s.discriminator(real_a, real_b) - s.discriminator(real_a, fake_b)
            margins[s.percent] = float(margin.mean())
    assert margins[100] > 1 and abs(margins[0]) < 0.5


def test_generator_that_ships_is_the_mean_after_all_epochs_but_the_first(tmp_path, monkeypatch):
    monkeypatch.setattr(weights, "CONFIG", replace(weights.CONFIG, epochs=3))
    for epoch in (1, 2, 3):
        average = {"n_averaged": torch.tensor(epoch), "module.w": torch.full((2,), 10.0**epoch)}
        torch.save(average, weights.average_file(tmp_path, epoch))
    (name, mean), *others = weights.final_state(tmp_path).items()
    assert name == "w" and not others
    assert mean.tolist() == [550.0, 550.0]


def test_history_is_finite_and_in_order():
    history = load_history()
    steps = [record.step for record in history]
    assert steps == sorted(set(steps))
    assert all(math.isfinite(v) for r in history for v in (r.loss_d, r.loss_g_gan, r.loss_g_l1))


def test_shipped_files_stay_below_24_megabytes_and_name_their_origin():
    files = [file for file in FOLDER.rglob("*") if file.is_file()]
    assert sum(file.stat().st_size for file in files) < 24_000_000
    assert all(file.stat().st_size < 2_000_000 for file in files)
    for kind in ("generator", "discriminator"):
        for percent in PERCENTS:
            card = json.loads(weights_file(kind, percent).with_suffix(".json").read_text())
            assert card["command"] == "python -m benchmarks.weights"
            assert card["licence"] == "CC0-1.0"
            assert "procedural facades" in card["trained_on"] and card["config"]["seed"] == 0


@pytest.fixture
def copy(tmp_path):
    """A copy of the shipped folder that tests may damage."""
    return shutil.copytree(FOLDER, tmp_path / "weights")


@pytest.mark.parametrize("name", ["generator_010.safetensors", "discriminator_010.json"])
def test_missing_file_names_the_command_that_makes_it(copy, name):
    (copy / name).unlink()
    with pytest.raises(FileNotFoundError, match=r"`python -m benchmarks\.weights` makes them anew"):
        load_snapshot(10, copy)


def test_altered_file_is_refused_and_names_the_command_that_makes_it(copy):
    path = weights_file("discriminator", 2, copy)
    data = bytearray(path.read_bytes())
    data[-1] ^= 1
    path.write_bytes(data)
    with pytest.raises(ValueError, match=r"SHA-256.*`python -m benchmarks\.weights` makes it anew"):
        load_snapshot(2, copy)


def test_film_shows_what_the_shipped_networks_make(snapshots):
    film = load_film()
    assert film.percent.tolist() == list(FILM) and set(PERCENTS) <= set(FILM)
    count = film.l1.shape[1]
    pairs = [facade_tensors(seed) for seed in split_seeds("val", count)]
    ours = make_film(snapshots, *(torch.stack(side) for side in zip(*pairs, strict=True)))
    times = [FILM.index(percent) for percent in PERCENTS]
    assert torch.equal(film.step[times], ours.step)
    assert torch.allclose(film.validation_l1[times], ours.validation_l1, atol=1e-6)
    # the film was made in 32 bits, the networks ship in 16; the frames are JPEG
    assert torch.allclose(film.l1[times], ours.l1, atol=0.002)
    assert float((film.fake_b[times] - ours.fake_b).abs().mean()) < 0.03
    for name in ("real_logits", "fake_logits"):
        assert float((getattr(film, name)[times] - getattr(ours, name)).abs().mean()) < 0.05


def test_film_comes_back_as_it_was_saved(tmp_path, tiny_config):
    torch.manual_seed(0)
    networks = make_generator(tiny_config).eval(), make_discriminator(tiny_config).eval()
    moments = [Snapshot(percent, 10, 0.25, *networks, tiny_config) for percent in (0, 50, 100)]
    size = tiny_config.image_size
    ramp = torch.linspace(-1, 1, size).expand(2, 3, size, size)
    film = make_film(moments, ramp, ramp.flip(3))
    # in place of the noise that untrained networks make, which JPEG does not keep
    film = replace(film, fake_b=torch.stack([ramp, ramp.flip(2), ramp.flip(3)]))
    save_film(film, tmp_path)
    again = load_film(tmp_path)
    for field in fields(film):
        ours, theirs = getattr(film, field.name), getattr(again, field.name)
        assert ours.shape == theirs.shape, field.name
        near = 0.05 if field.name == "fake_b" else 1e-3
        assert torch.allclose(ours.float(), theirs.float(), atol=near), field.name


@pytest.mark.parametrize("name", ["film.jpg", "film.safetensors"])
def test_missing_film_names_the_command_that_makes_it(copy, name):
    (copy / name).unlink()
    with pytest.raises(FileNotFoundError, match=r"missing; `python -m benchmarks\.weights` makes"):
        load_film(copy)


def test_damaged_film_is_refused_by_name(copy):
    (copy / "film.safetensors").write_bytes(b"not tensors")
    with pytest.raises(ValueError, match=r"film\.safetensors: not a readable safetensors file"):
        load_film(copy)


def test_missing_history_names_the_command_that_makes_it(copy):
    (copy / "history.csv").unlink()
    with pytest.raises(FileNotFoundError, match=r"`python -m benchmarks\.weights`"):
        load_history(copy)


def test_unknown_snapshot_names_the_known_ones():
    with pytest.raises(ValueError, match="one of 0, 2, 10, 50, 100; got 99"):
        load_snapshot(99)
