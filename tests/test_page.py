"""The page that works without a kernel: how it is written, and the networks that go into it.

What it shows in a browser is tested in browser/test_painter_page.py.
"""

import base64
import os
import re
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from pix2pix_lib import page as command
from pix2pix_lib.inference import translate
from pix2pix_lib.page import discriminator_layers, generator_layers, make_page
from pix2pix_lib.patchgan import PatchDiscriminator
from pix2pix_lib.trained import load_snapshot
from pix2pix_lib.unet import DetailUNet, UNet
from pix2pix_lib.validation import InputError

ROOT = Path(__file__).parent.parent
TINY = {"base_channels": 4, "depth": 3, "upsampling": "resize", "dropout": 0.0}


@pytest.fixture(scope="module")
def snapshot():
    return load_snapshot()


def run(*arguments):
    """Run the command in this process and return its exit status."""
    try:
        return command.main([str(argument) for argument in arguments])
    except SystemExit as leaving:
        return leaving.code


def test_page_is_one_small_file_that_loads_nothing(snapshot):
    page = make_page(snapshot)
    assert len(page.encode()) < 5e6
    assert not re.search(r"https?://|\bsrc=|\bhref=|@import|\burl\(|\bfetch\(|XMLHttp|importScripts",
                         page)  # fmt: skip
    assert "default-src 'none'" in page  # the browser enforces it
    assert "{{" not in re.sub(r"<script.*?</script>", "", page, flags=re.DOTALL)
    assert page.count("</script>") == 3


def test_command_writes_the_page_from_another_folder(tmp_path):
    done = subprocess.run(
        [sys.executable, "-m", "pix2pix_lib.page"], cwd=tmp_path, capture_output=True, text=True,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
    )  # fmt: skip
    assert (done.returncode, done.stderr) == (0, "")
    assert re.fullmatch(r"pix2pix-page.html: \d\.\d MB; open it in a browser\n", done.stdout)
    [file] = tmp_path.iterdir()
    assert file.read_text(encoding="utf-8").startswith("<!DOCTYPE html>")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--out", "page.txt"], "error: --out must end in .html; got page.txt"),
        (["--out", "folder.html"],
         "error: --out folder.html is a folder; give the name of a file in it"),
        (["--percent", "7"], "error: percent must be one of 0, 2, 10, 50, 100; got 7"),
        (["--percent", "all"], "error: argument --percent: invalid int value: 'all'; "
                               "see python -m pix2pix_lib.page --help"),
        (["page.html"], "error: unrecognized arguments: page.html; "
                        "see python -m pix2pix_lib.page --help"),
    ],
)  # fmt: skip
def test_bad_arguments_give_one_line_and_write_nothing(
    arguments, message, tmp_path, monkeypatch, capsys
):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "folder.html").mkdir()
    assert run(*arguments) == 2
    assert capsys.readouterr() == ("", f"{message}\n")
    assert [path.name for path in tmp_path.iterdir()] == ["folder.html"]


def test_failed_write_leaves_the_old_page(tmp_path, monkeypatch, capsys):
    path = tmp_path / "page.html"
    path.write_text("old")

    def fill_the_disk(self, content):
        self.open("wb").close()
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Path, "write_bytes", fill_the_disk)
    assert run("--out", path) == 2
    assert capsys.readouterr().err == f"error: [Errno 28] No space left on device: '{path}'\n"
    assert [file.name for file in tmp_path.iterdir()] == ["page.html"]
    assert path.read_text() == "old"


# --------------------------------------------------------------------------------------------------
# The networks in the page
# --------------------------------------------------------------------------------------------------


def numbers(text):
    return torch.from_numpy(np.frombuffer(base64.b64decode(text), "<f2").astype(np.float32))


def run_layers(layers, *maps):
    """Return the last map of a network in the page's words, as page_worker.js says."""
    maps = list(maps)
    for layer in layers:
        x = torch.cat([F.leaky_relu(maps[n], slope) for n, slope in layer["reads"]], dim=1)
        if layer["doubles"]:
            x = F.interpolate(x, scale_factor=2)
        outputs, inputs, side = layer["shape"]
        weight = numbers(layer["weight"]).view(outputs, inputs, side, side)
        bias = numbers(layer["bias"]) if layer["bias"] else None
        x = F.conv2d(x, weight, bias, layer["stride"], layer["padding"])
        if layer["scale"]:
            scale, shift = numbers(layer["scale"]), numbers(layer["shift"])
            x = F.instance_norm(x, weight=scale, bias=shift, eps=layer["epsilon"])
        maps.append(x)
    return maps[-1]


def in_halves(network):
    """Round the weights as the page does; make them so large that no difference hides."""
    for parameter in network.parameters():
        parameter.data = torch.randn_like(parameter).mul(0.3).half().float()
    return network


@pytest.mark.parametrize("skips", [True, False])
@pytest.mark.parametrize("norm", ["batch", "none"])
@pytest.mark.parametrize("kind", [UNet, DetailUNet])
def test_layers_of_a_generator_make_its_picture(kind, norm, skips):
    torch.manual_seed(0)
    generator = in_halves(kind(norm=norm, skips=skips, **TINY))
    real_a = torch.rand(1, 3, 16, 16) * 2 - 1
    fake_b = run_layers(generator_layers(generator), real_a).tanh()
    torch.testing.assert_close(fake_b, translate(generator, real_a), rtol=0, atol=1e-4)


@torch.no_grad()
def test_layers_of_a_discriminator_make_its_logits():
    torch.manual_seed(0)
    discriminator = in_halves(PatchDiscriminator(base_channels=4, layers=2, norm="none"))
    pair = torch.rand(2, 1, 3, 32, 32) * 2 - 1
    logits = run_layers(discriminator_layers(discriminator), *pair)
    torch.testing.assert_close(logits, discriminator(*pair))


def test_weights_that_ship_lose_nothing_in_the_page(snapshot):
    for network in (snapshot.generator, snapshot.discriminator):
        assert all(torch.equal(p, p.half().float()) for p in network.parameters())


def test_networks_that_the_page_cannot_run_are_refused(snapshot):
    for generator, message in (
        (UNet(**{**TINY, "upsampling": "transposed"}), 'upsampling="resize" only'),
        (UNet(norm="instance", **TINY), 'norms "batch" and "none" only; got InstanceNorm2d'),
    ):
        with pytest.raises(InputError, match=message):
            make_page(replace(snapshot, generator=generator))
    with pytest.raises(InputError, match='discriminators with norm="none" only'):
        make_page(replace(snapshot, discriminator=PatchDiscriminator(base_channels=4)))
