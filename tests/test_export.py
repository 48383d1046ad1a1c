"""Exported generators: each file is run and compared with the module before it is kept."""

import importlib.util
from dataclasses import replace

import pytest
import torch
from torch import nn

from pix2pix_lib import export, systems
from pix2pix_lib import translate as command
from pix2pix_lib.checkpoints import save_generator
from pix2pix_lib.config import make_generator
from pix2pix_lib.inference import translate
from pix2pix_lib.layers import NORMS


@pytest.fixture
def config(tiny_config):
    return replace(tiny_config, depth=2)


@pytest.fixture
def generator(config):
    return make_trained(config)


@pytest.fixture
def weights(generator, config, tmp_path):
    save_generator(tmp_path / "generator.safetensors", generator, config)
    return tmp_path / "generator.safetensors"


def make_trained(config):
    """Return a generator with running averages, scales and shifts unlike those of a new one."""
    torch.manual_seed(1)
    generator = make_generator(config)
    for parameter in generator.parameters():
        nn.init.normal_(parameter, 0, 0.15)
    generator(torch.rand(4, 3, 32, 32))
    return generator


def skip_without_onnx():
    for name in export.ONNX_PACKAGES:
        pytest.importorskip(name, reason=f"{name}, needed only to export ONNX, is not installed")


def reference(generator, real_a):
    """Return what `--dropout off` computes: training mode except for dropout, image by image."""
    generator.train()
    for module in generator.modules():
        if isinstance(module, nn.Dropout):
            module.eval()
    with torch.no_grad():
        return torch.cat([generator(image[None]) for image in real_a])


def images(*size):
    return torch.rand(*size, generator=torch.Generator().manual_seed(7)) * 2 - 1


def run(*arguments):
    return command.main([str(argument) for argument in ("--device", "cpu", *arguments)])


@pytest.mark.parametrize("norm", NORMS)
def test_exported_form_of_each_norm_uses_the_statistics_of_each_image(norm, config):
    generator = make_trained(replace(config, norm=norm))
    real_a = images(2, 3, 16, 24)
    with torch.no_grad():
        fake_b = export.with_image_statistics(generator)(real_a)
    assert torch.allclose(fake_b, reference(generator, real_a), rtol=0, atol=1e-5)


def test_exporting_leaves_the_generator_as_it_was(generator):
    before = {name: value.clone() for name, value in generator.state_dict().items()}
    expected = translate(generator, images(1, 3, 16, 16), seed=4)
    export.with_image_statistics(generator)
    export.without_dropout(generator)
    assert generator.training
    assert torch.equal(translate(generator, images(1, 3, 16, 16), seed=4), expected)
    assert all(torch.equal(value, before[name]) for name, value in generator.state_dict().items())


def test_pt2_computes_what_the_module_computes_at_every_size(weights, generator, tmp_path, capsys):
    path = tmp_path / "made" / "generator.pt2"
    assert run("--weights", weights, "--export", path) == 0
    assert [file.name for file in path.parent.iterdir()] == ["generator.pt2"]
    assert f"{path}: differs from the module by " in capsys.readouterr().out
    exported = export.load_exported(path)
    for height, width in ((4, 4), (4, 40), (28, 8), (64, 64)):
        real_a = images(1, 3, height, width)
        assert torch.allclose(exported(real_a), reference(generator, real_a), rtol=0, atol=1e-4)


def test_resnet_is_exported_for_every_size_that_it_takes(config, tmp_path):
    resnet = replace(config, generator="resnet", depth=2, blocks=1, norm="instance")
    generator = make_trained(resnet)
    assert export.export_generator(generator, tmp_path / "generator.pt2") < export.TOLERANCE
    exported = export.load_exported(tmp_path / "generator.pt2")
    for height, width in ((8, 8), (8, 40), (28, 12)):
        real_a = images(1, 3, height, width)
        assert torch.allclose(exported(real_a), reference(generator, real_a), rtol=0, atol=1e-4)


def test_onnx_computes_what_the_module_computes_at_every_size(weights, generator, tmp_path, capsys):
    skip_without_onnx()
    import onnxruntime

    path = tmp_path / "made" / "generator.onnx"
    assert run("--weights", weights, "--export", path) == 0
    assert [file.name for file in path.parent.iterdir()] == ["generator.onnx"]  # includes weights
    assert f"{path}: differs from the module by " in capsys.readouterr().out
    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    for height, width in ((4, 4), (4, 40), (28, 8), (64, 64)):
        real_a = images(1, 3, height, width)
        fake_b = torch.from_numpy(session.run(["fake_b"], {"real_a": real_a.numpy()})[0])
        assert torch.allclose(fake_b, reference(generator, real_a), rtol=0, atol=1e-4)


def test_file_that_differs_is_not_kept_and_an_older_one_stays(
    weights, tmp_path, monkeypatch, capsys
):
    path = tmp_path / "made" / "generator.pt2"
    path.parent.mkdir()
    path.write_text("older")
    # This uses running averages, as an export of the plain module in evaluation mode would.
    monkeypatch.setattr(export, "with_image_statistics", lambda generator: generator.eval())
    assert run("--weights", weights, "--export", path, "--overwrite") == 2
    message = capsys.readouterr().err.splitlines()[-1]
    assert "off the module's; expected less than 1e-04; nothing was kept" in message
    assert [file.read_text() for file in path.parent.iterdir()] == ["older"]


def test_images_that_are_not_numbers_are_not_taken_for_equal(generator):
    difference = export.largest_difference(lambda real_a: real_a * float("nan"), generator)
    assert not difference < export.TOLERANCE


def test_difference_is_the_largest_of_both_sizes(generator):
    sure = export.without_dropout(generator)
    assert export.largest_difference(lambda x: translate(sure, x), sure) == 0
    for wrong_at in (4, 12):

        def off(x, wrong_at=wrong_at):
            return translate(sure, x) + (0.5 if x.shape[2] == wrong_at else 0)

        assert export.largest_difference(off, sure) == pytest.approx(0.5)


@pytest.mark.parametrize("missing", [("onnxruntime",), export.ONNX_PACKAGES])
def test_without_its_packages_onnx_is_refused_with_the_command_that_helps(
    missing, weights, tmp_path, monkeypatch, capsys
):
    found = importlib.util.find_spec

    def find_spec(name):
        if name in missing:
            return None
        return object() if name in export.ONNX_PACKAGES else found(name)

    monkeypatch.setattr(importlib.util, "find_spec", find_spec)
    assert run("--weights", weights, "--export", tmp_path / "made" / "generator.onnx") == 2
    errors = capsys.readouterr().err
    assert f"pip install {' '.join(missing)}\n" in errors and len(errors.splitlines()) == 1
    assert not (tmp_path / "made").exists()


def test_packages_that_do_not_fit_are_one_line_and_leave_no_file(
    weights, tmp_path, monkeypatch, capsys
):
    def too_old(program, f, **options):
        f.write_bytes(b"half of it")
        raise AttributeError("module 'onnx_ir' has no attribute 'schemas'")

    monkeypatch.setattr(export, "ONNX_PACKAGES", ())  # none is missing
    monkeypatch.setattr(torch.onnx, "export", too_old)
    assert run("--weights", weights, "--export", tmp_path / "made" / "generator.onnx") == 2
    message = capsys.readouterr().err.splitlines()[-1]
    remedy = "bring the packages up to date: pip install --upgrade"
    assert f"has no attribute 'schemas'); {remedy}" in message
    assert list((tmp_path / "made").iterdir()) == []


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("generator.pth", "an export ends in .onnx or .pt2; got .pth"),
        ("generator", "an export ends in .onnx or .pt2; got no ending"),
        ("there.pt2", "there.pt2 is already there; add --overwrite"),
        ("folder.pt2", "folder.pt2 is a folder"),
    ],
)
def test_bad_target_is_one_line_and_nothing_is_written(name, words, weights, tmp_path, capsys):
    (tmp_path / "there.pt2").write_text("precious")
    (tmp_path / "folder.pt2").mkdir()
    before = sorted(tmp_path.iterdir())
    assert run("--weights", weights, "--export", tmp_path / name) == 2
    output, errors = capsys.readouterr()
    assert words in errors and len(errors.splitlines()) == 1 and output == ""
    assert sorted(tmp_path.iterdir()) == before
    assert (tmp_path / "there.pt2").read_text() == "precious"


def test_export_never_replaces_the_weights_it_is_made_of(generator, config, tmp_path, capsys):
    weights = tmp_path / "weights.pt2"  # weights may have any name
    save_generator(weights, generator, config)
    before = weights.read_bytes()
    assert run("--weights", weights, "--export", weights, "--overwrite") == 2
    assert "would replace an input" in capsys.readouterr().err and weights.read_bytes() == before


@pytest.mark.parametrize("ending", [".onnx", ".pt2"])
def test_network_that_normalises_its_bottleneck_is_exported_for_what_it_takes(ending, tmp_path):
    if ending == ".onnx":
        skip_without_onnx()
    generator, _ = systems.shallow(base_channels=2, disc_channels=2)
    assert export.smallest_map(generator) == 2
    assert export.export_generator(generator, tmp_path / f"shallow{ending}") < export.TOLERANCE
