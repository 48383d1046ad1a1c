"""The translation command, and how it handles images of any size."""

import subprocess
import sys
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image
from torch import nn

from pix2pix_lib import systems
from pix2pix_lib import translate as command
from pix2pix_lib.checkpoints import load_generator, save_generator
from pix2pix_lib.config import make_generator, system_config
from pix2pix_lib.images import read_image, to_float, to_uint8
from pix2pix_lib.inference import (
    tile_starts,
    tile_weights,
    translate,
    translate_padded,
    translate_tiled,
)

ROOT = Path(__file__).parent.parent
STEP = 16  # the tiny generator halves images four times
sides = st.integers(1, 70)


@pytest.fixture
def weights(tiny_config, tmp_path):
    return write_weights(tmp_path / "weights" / "generator.safetensors", tiny_config)


@pytest.fixture
def photos(tmp_path):
    """A folder with two images of sizes that no U-Net takes, and two files to be ignored."""
    folder = tmp_path / "photos"
    folder.mkdir()
    write_picture(folder / "castle.jpg", 37, 50)
    write_picture(folder / "old.barn.png", 16, 5)
    write_picture(folder / ".hidden.png", 16, 16)
    (folder / "notes.txt").write_text("not an image")
    return folder


def write_weights(path, config):
    torch.manual_seed(0)
    generator = make_generator(config)
    for module in generator.modules():  # far from the initial weights, whose output is almost grey
        if isinstance(module, nn.Conv2d | nn.ConvTranspose2d):
            nn.init.normal_(module.weight, 0, 0.2)
    save_generator(path, generator, config)
    return path


def write_picture(path, height, width):
    random = np.random.default_rng(height * width)
    pixels = random.integers(0, 256, (height, width, 3), dtype=np.uint8)
    Image.fromarray(pixels).save(path)


def run(*arguments):
    """Run the command in this process and return its exit status."""
    try:
        return command.main([str(argument) for argument in ("--device", "cpu", *arguments)])
    except SystemExit as leaving:
        return leaving.code


def files(folder):
    """Return the bytes of every file below a folder."""
    found = [path for path in folder.rglob("*") if path.is_file()]
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in found}


def a_batch(height, width, channels=3):
    generator = torch.Generator().manual_seed(height * 100 + width)
    return torch.rand(1, channels, height, width, generator=generator) * 2 - 1


# One batch


def test_dropout_of_a_network_follows_the_seed_alone():
    """This holds for single values and whole channels, with torch's rate and scale."""
    image = torch.ones(1, 64, 40, 40)
    for layer, shape in ((nn.Dropout(0.25), (64, 40, 40)), (nn.Dropout2d(0.25), (64, 1, 1))):
        first, again, other = (translate(layer, image, seed)[0] for seed in (1, 1, 2))
        assert torch.equal(first, again) and not torch.equal(first, other)
        assert first.unique().tolist() == pytest.approx([0.0, 1 / 0.75])
        rate = (first == 0).float().mean().item()
        assert abs(rate - 0.25) < 4 * (0.1875 / np.prod(shape)) ** 0.5  # four standard deviations
    assert torch.equal(first, first[:, :1, :1].expand(64, 40, 40))  # whole channels
    assert translate(nn.Dropout(1.0), image).eq(0).all()


def test_noise_that_a_network_draws_itself_follows_the_seed():
    class Noisy(nn.Module):
        def forward(self, x):
            return x + torch.randn(x.shape) + torch.rand(1)

    image, state = torch.zeros(2, 3, 4, 4), torch.get_rng_state()
    first, again = translate(Noisy(), image, 5), translate(Noisy(), image, 5)
    assert torch.equal(first, again) and torch.equal(first[0], first[1]) and first.std() > 0.5
    assert torch.equal(state, torch.get_rng_state())


# Any size


@settings(deadline=None)
@given(sides, sides, st.sampled_from([1, 4, 16]))
def test_padding_gives_multiples_and_is_cut_off_again(height, width, step):
    seen = []

    def network(x):
        seen.append(x.shape)
        assert x.shape[2] % step == 0 and x.shape[3] % step == 0
        assert x.shape[2] - height < step and x.shape[3] - width < step  # and no more than needed
        return -x

    image = a_batch(height, width)
    assert torch.equal(translate_padded(network, image, step), -image) and len(seen) == 1


def test_small_image_is_padded_to_the_smallest_that_the_network_takes():
    sizes = []
    translate_padded(lambda x: sizes.append(tuple(x.shape[2:])) or x, a_batch(5, 40), 16, 32)
    assert sizes == [(32, 48)]


@pytest.mark.parametrize(("height", "width"), [(16, 16), (3, 9), (16, 40)])
@pytest.mark.parametrize("system", ["shallow", "cyclegan"])
def test_image_smaller_than_a_network_takes_is_translated(system, height, width, tmp_path):
    """A norm at the bottleneck, or a mirrored border, needs more than one position there."""
    options = {"blocks": 1} if system == "cyclegan" else {}
    config = system_config(system, base_channels=2, disc_channels=2, **options)
    weights = write_weights(tmp_path / "generator.safetensors", config)
    picture = tmp_path / "small.png"
    write_picture(picture, height, width)
    assert run("--weights", weights, "--input", picture, "--out", tmp_path / "o") == 0
    assert read_image(tmp_path / "o" / "small.png").shape == (3, height, width)


def test_bottleneck_that_would_be_normalised_alone_is_refused_with_the_size():
    generator, _ = systems.shallow(base_channels=2, disc_channels=2)
    assert generator(torch.zeros(1, 3, 16, 32)).shape == (1, 3, 16, 32)
    with pytest.raises(ValueError, match=r"height or width must be at least 32.*got 16x16"):
        generator(torch.zeros(1, 3, 16, 16))


def test_edges_are_mirrored_or_repeated_where_there_is_too_little_to_mirror():
    for height, width, mode in ((37, 50, "reflect"), (37, 5, "edge"), (1, 1, "edge")):
        image = a_batch(height, width)
        seen = []
        translate_padded(lambda x, seen=seen: seen.append(x) or x, image, 16)
        margins = ((0, 0), (0, 0), (0, -height % 16), (0, -width % 16))
        assert np.array_equal(seen[0].numpy(), np.pad(image.numpy(), margins, mode=mode))


# Tiles


tiles_and_overlaps = st.integers(1, 40).flatmap(
    lambda tile: st.tuples(st.just(tile), st.integers(0, tile - 1))
)


@settings(deadline=None)
@given(sides, sides, tiles_and_overlaps.filter(lambda sizes: sizes[0] - sizes[1] > 2))
def test_tiles_of_an_identity_make_the_image_again(height, width, sizes):
    tile, overlap = sizes
    image = a_batch(height, width)

    def identity(x):
        assert x.shape[2:] == (min(tile, height), min(tile, width))
        return x.clone()

    assert torch.allclose(translate_tiled(identity, image, tile, overlap), image, rtol=0, atol=1e-6)


@settings(deadline=None)
@given(sides, tiles_and_overlaps)
def test_weights_of_all_tiles_sum_to_one_at_every_pixel(length, sizes):
    total = torch.zeros(length, dtype=torch.float64)
    for start, weights in tile_weights(length, *sizes):
        assert (weights > 0).all()
        total[start : start + len(weights)] += weights
    assert torch.allclose(total, torch.ones_like(total), rtol=0, atol=1e-12)


@settings(deadline=None)
@given(sides, tiles_and_overlaps)
def test_tiles_cover_the_side_with_the_overlap_and_are_as_few_as_can_be(length, sizes):
    tile, overlap = sizes
    starts = tile_starts(length, tile, overlap)
    assert starts[0] == 0 and starts[-1] == max(0, length - tile)
    assert all(0 < after - before <= tile - overlap for before, after in pairwise(starts))
    # One tile fewer would not reach the end.
    assert tile + (len(starts) - 2) * (tile - overlap) < length or len(starts) == 1


def test_tiles_of_different_tone_blend_without_a_step():
    tones = iter((-1.0, 1.0))
    blended = translate_tiled(lambda x: torch.full_like(x, next(tones)), a_batch(32, 48), 32, 16)
    row = blended[0, 0, 0]
    assert (row[:16] == -1).all() and (row[32:] == 1).all()
    steps = row.diff()
    assert (steps >= 0).all() and steps.max() < 0.25  # a hard seam would be a step of 2


def test_tiles_may_change_the_number_of_channels():
    image = a_batch(33, 50)
    grey = translate_tiled(lambda x: x.mean(1, keepdim=True), image, 16, 4)
    assert torch.allclose(grey, image.mean(1, keepdim=True), atol=1e-6)


@pytest.mark.parametrize(("tile", "overlap"), [(0, 0), (-4, 0), (8, 8), (8, -1)])
def test_tiles_that_cannot_be_are_refused(tile, overlap):
    with pytest.raises(ValueError, match=f"got {tile} and {overlap}"):
        translate_tiled(lambda x: x, a_batch(9, 9), tile, overlap)


# The command


def test_folder_is_translated_with_names_and_sizes_kept(weights, photos, tmp_path, capsys):
    before, out = files(photos), tmp_path / "out"
    flags = ("--seed", "5", "--scale", "native")
    assert run("--weights", weights, "--input", photos, "--out", out, *flags) == 0
    assert sorted(files(out)) == ["castle.png", "old.barn.png"]
    with Image.open(tmp_path / "out" / "castle.png") as result:
        assert (result.format, result.mode, result.size) == ("PNG", "RGB", (50, 37))
    generator, _ = load_generator(weights)
    for name in ("castle.jpg", "old.barn.png"):
        real_a = to_float(read_image(photos / name))[None]
        expected = translate_padded(lambda x: translate(generator, x, seed=5), real_a, STEP)
        assert torch.equal(read_image(out / f"{Path(name).stem}.png"), to_uint8(expected)[0])
    assert files(photos) == before
    assert "translating" in capsys.readouterr().err


def translated(weights, path, out, *flags):
    """Return the image that the command makes at the image's own scale."""
    flags = ("--scale", "native", *flags)
    assert run("--weights", weights, "--input", path, "--out", out, "--overwrite", *flags) == 0
    return read_image(out / f"{path.stem}.png")


def test_dropout_on_varies_with_the_seed_and_off_does_not(weights, photos, tmp_path):
    def image(*flags):
        return translated(weights, photos / "castle.jpg", tmp_path / "out", *flags)

    assert torch.equal(image("--seed", "1"), image("--seed", "1", "--dropout", "on"))
    assert not torch.equal(image("--seed", "1"), image("--seed", "2"))
    without = image("--seed", "1", "--dropout", "off")
    assert torch.equal(without, image("--seed", "2", "--dropout", "off"))
    assert not torch.equal(without, image("--seed", "1"))


def test_without_dropout_norms_still_use_the_image_and_no_running_averages(weights, tmp_path):
    write_picture(tmp_path / "square.png", 32, 48)
    generator, config = load_generator(weights)
    generator.train()
    for module in generator.modules():
        if isinstance(module, nn.Dropout):
            module.eval()
    with torch.no_grad():
        expected = to_uint8(generator(to_float(read_image(tmp_path / "square.png"))[None]))[0]
    for name, average in generator.named_buffers():
        if name.endswith("running_mean"):
            average.fill_(100)
    save_generator(weights, generator, config)
    image = translated(weights, tmp_path / "square.png", tmp_path / "out", "--dropout", "off")
    assert torch.equal(image, expected)


def test_tiles_of_the_command_are_the_blended_tiles_of_the_generator(weights, photos, tmp_path):
    photo, out = photos / "castle.jpg", tmp_path / "out"
    image = translated(weights, photo, out, "--tile", "32", "--overlap", "10")
    generator, _ = load_generator(weights)
    real_a = to_float(read_image(photo))[None]
    expected = translate_tiled(lambda x: translate(generator, x), real_a, 32, 10)
    assert torch.equal(image, to_uint8(expected)[0])
    whole = translated(weights, photo, out)
    assert not torch.equal(image, whole)
    assert torch.equal(translated(weights, photo, out, "--tile", "64"), whole)


def test_channels_of_the_card_decide_grey_or_colour(tiny_config, photos, tmp_path):
    config = replace(tiny_config, in_channels=1, out_channels=1)
    weights = write_weights(tmp_path / "grey.safetensors", config)
    assert run("--weights", weights, "--input", photos, "--out", tmp_path / "out") == 0
    with Image.open(tmp_path / "out" / "castle.png") as result:
        assert (result.mode, result.size) == ("L", (50, 37))


def test_results_are_replaced_only_when_asked(weights, photos, tmp_path, capsys):
    arguments = ("--weights", weights, "--input", photos, "--out", tmp_path / "out")
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "old.barn.png").write_text("precious")
    assert run(*arguments) == 2
    assert "old.barn.png is already there; add --overwrite" in capsys.readouterr().err
    assert files(tmp_path / "out") == {"old.barn.png": b"precious"}
    assert run(*arguments, "--overwrite") == 0
    assert read_image(tmp_path / "out" / "old.barn.png").shape == (3, 16, 5)


def test_one_image_may_be_translated_into_its_own_folder(weights, photos):
    before = files(photos)
    assert run("--weights", weights, "--input", photos / "castle.jpg", "--out", photos) == 0
    assert files(photos).items() > before.items()
    assert read_image(photos / "castle.png").shape == (3, 37, 50)


@pytest.mark.parametrize("flags", [[], ["--overwrite"]])
def test_an_input_is_never_replaced(weights, photos, tmp_path, capsys, flags):
    linked = tmp_path / "linked"
    linked.symlink_to(photos)
    before = files(tmp_path)
    folder = photos, "is the input folder"
    photo = photos / "old.barn.png", "would replace an input"
    for source, words in (folder, photo):
        for out in (photos, linked):
            assert run("--weights", weights, "--input", source, "--out", out, *flags) == 2
            assert words in capsys.readouterr().err
    assert files(tmp_path) == before


BAD_FLAGS = [
    ("--input photos", "--input and --out belong together"),
    ("--out out", "nothing to do: give --input"),
    ("--input nowhere --out out", "nowhere: no such file or folder"),
    ("--input empty --out out", "empty: no images in this folder; expected files that end in .jpg"),
    ("--input photos --out photos/notes.txt", "notes.txt is a file; expected a folder"),
    ("--input photos/notes.txt --out out", "notes.txt: not a readable image"),
    ("--input photos --out out --tile -1", "--tile must be 0 (the whole image) or a size"),
    ("--input photos --out out --tile 40",
     "multiple of 16, as this generator halves images 4 times; got 40: use 48"),
    ("--input photos --out out --overlap 8", "--overlap 8 needs a --tile"),
    ("--input photos --out out --tile 32 --overlap 32", "from 0 to 31, less than --tile; got 32"),
    ("--input photos --out out --seed -1", "--seed must be from 0"),
    ("--input photos --out out --dropout maybe", "invalid choice: 'maybe'"),
    ("--input photos --out out --device warp", "device 'warp' cannot be used"),
    ("--input photos --out out --weights no.safetensors", "no.safetensors: no such file"),
    ("--input photos --out out --weights photos/notes.txt", "not readable as weights"),
]  # fmt: skip


@pytest.mark.parametrize(("flags", "words"), BAD_FLAGS)
def test_bad_input_is_one_line_and_status_2(
    flags, words, weights, photos, tmp_path, monkeypatch, capsys
):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "empty").mkdir()
    before = files(tmp_path)
    assert run("--weights", weights, *flags.split()) == 2
    output, errors = capsys.readouterr()
    assert words in errors and len(errors.strip().splitlines()) == 1 and output == ""
    assert files(tmp_path) == before and not (tmp_path / "out").exists()


def test_two_inputs_with_one_result_are_refused_before_anything_is_written(
    weights, photos, tmp_path, capsys
):
    # The last two are one name on Windows and macOS.
    for names in (("castle.png",), ("TOWN.png", "Town.jpg")):
        for name in names:
            write_picture(photos / name, 16, 16)
        assert run("--weights", weights, "--input", photos, "--out", tmp_path / "out") == 2
        assert f"would both become {Path(names[-1]).stem}.png" in capsys.readouterr().err
        for name in names:
            (photos / name).unlink()
    assert not (tmp_path / "out").exists()


def test_truncated_image_is_found_before_the_first_result_is_written(
    weights, photos, tmp_path, capsys
):
    write_picture(photos / "zebra.png", 64, 64)
    whole = (photos / "zebra.png").read_bytes()
    (photos / "zebra.png").write_bytes(whole[: len(whole) // 2])
    assert run("--weights", weights, "--input", photos, "--out", tmp_path / "out") == 2
    message = capsys.readouterr().err.splitlines()[-1]
    assert message.startswith(f"error: {photos / 'zebra.png'}: not a readable image")
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    "error",
    [
        torch.OutOfMemoryError("CUDA out of memory."),
        RuntimeError("CUDA error: CUBLAS_STATUS_ALLOC_FAILED when calling `cublasCreate(handle)`"),
        RuntimeError("[enforce fail at alloc_cpu.cpp:124] err == 0. "
                     "DefaultCPUAllocator: can't allocate memory"),
        MemoryError(),
    ],
)  # fmt: skip
def test_short_memory_advises_a_tile_that_the_command_takes(
    error, weights, photos, tmp_path, monkeypatch, capsys
):
    def tight(generator, real_a, seed):
        if real_a.shape[3] > 32:
            raise error
        return translate(generator, real_a, seed)

    monkeypatch.setattr(command, "translate", tight)
    photo = photos / "castle.jpg"
    arguments = ["--weights", weights, "--input", photo, "--out", tmp_path / "out"]
    arguments += ["--scale", "native"]
    assert run(*arguments) == 2
    message = capsys.readouterr().err.splitlines()[-1]
    assert message == f"error: {photo}: memory ran out for 50x37 pixels; use --tile 16"
    assert not (tmp_path / "out").exists()
    assert run(*arguments, "--tile", message.split()[-1]) == 0


@pytest.mark.parametrize(
    ("side", "tile", "words"),
    [(8000, 0, "--tile 1024"), (900, 0, "--tile 448"), (8000, 1024, "--tile 512"),
     (8000, 16, "more memory"), (16, 0, "more memory")],
)  # fmt: skip
def test_advised_tile_is_smaller_than_what_failed(side, tile, words):
    assert words in command.memory_advice(side, tile, STEP)


def test_other_errors_of_the_network_are_not_taken_for_short_memory(
    weights, photos, tmp_path, monkeypatch
):
    def broken(generator, real_a, seed):
        raise RuntimeError("a bug")

    monkeypatch.setattr(command, "translate", broken)
    with pytest.raises(RuntimeError, match="a bug"):
        run("--weights", weights, "--input", photos, "--out", tmp_path / "out")


def test_interrupted_run_leaves_whole_results(weights, photos, tmp_path, monkeypatch, capsys):
    def interrupted(path, *rest):
        if path.name == "old.barn.png":
            raise KeyboardInterrupt
        write_encoded(path, *rest)

    write_encoded = command.write_encoded
    monkeypatch.setattr(command, "write_encoded", interrupted)
    assert run("--weights", weights, "--input", photos, "--out", tmp_path / "out") == 130
    assert "interrupted; results written: 1" in capsys.readouterr().err
    assert list(files(tmp_path / "out")) == ["castle.png"]
    assert read_image(tmp_path / "out" / "castle.png").shape == (3, 37, 50)


def test_command_as_a_process(weights, photos, tmp_path):
    call = [sys.executable, "-m", "pix2pix_lib.translate", "--weights", weights, "--device", "cpu"]
    options = {"cwd": ROOT, "capture_output": True, "text": True, "timeout": 120}
    done = subprocess.run([*call, "--input", photos, "--out", tmp_path / "out"], **options)
    assert done.returncode == 0 and "2 written" in done.stdout
    assert sorted(files(tmp_path / "out")) == ["castle.png", "old.barn.png"]
    failed = subprocess.run(call, **options)
    assert (failed.returncode, failed.stdout) == (2, "")
    assert failed.stderr.startswith("error: nothing to do") and failed.stderr.count("\n") == 1
