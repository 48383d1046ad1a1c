"""The checks that the notebooks rely on: each must be able to fail."""

import math

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from pix2pix_lib import checks, layers


def test_right_shape_is_printed_and_wrong_one_refused(capsys):
    checks.check_shape(torch.zeros(1, 2, 3), 1, 2, 3)
    assert capsys.readouterr().out == "shape (1, 2, 3), as expected\n"
    with pytest.raises(ValueError, match=r"expected shape \(1, 3, 2\); got \(1, 2, 3\)"):
        checks.check_shape(torch.zeros(1, 2, 3), 1, 3, 2)


def test_shapes_are_those_of_the_run():
    network = nn.Sequential(nn.Conv2d(3, 8, 4, stride=2), nn.ReLU(), nn.Conv2d(8, 1, 1))
    rows = layers.record_shapes(network, torch.zeros(2, 3, 10, 12), kinds=(nn.Conv2d,))
    assert [(r.name, r.kind, r.before, r.after, r.parameters) for r in rows] == [
        ("0", "Conv2d", (2, 3, 10, 12), (2, 8, 4, 5), 3 * 8 * 16 + 8),
        ("2", "Conv2d", (2, 8, 4, 5), (2, 1, 4, 5), 9),
    ]
    table = checks.shape_table(rows).splitlines()
    assert len(table) == 4 and table[-1].split() == ["sum", "401"]


def test_listening_for_shapes_leaves_no_hook_behind():
    network = nn.Sequential(nn.Conv2d(3, 8, 4))
    with pytest.raises(RuntimeError):
        layers.record_shapes(network, torch.zeros(1, 2, 8, 8), kinds=(nn.Conv2d,))
    assert not network[0]._forward_hooks


class AddedUpOtherwise(nn.Conv2d):
    def forward(self, x: Tensor) -> Tensor:
        channels = range(self.in_channels)
        parts = (F.conv2d(x[:, [n]], self.weight[:, [n]]) for n in channels)
        return sum(parts) + self.bias[:, None, None]


def test_equal_modules_agree_and_different_ones_are_refused(capsys):
    torch.manual_seed(0)
    x = torch.randn(1, 3, 8, 8)
    checks.check_same(nn.Conv2d(3, 4, 3), nn.Conv2d(3, 4, 3), x)
    said = "hand-built and library's Conv2d differ by at most 0\n"
    assert capsys.readouterr().out == said
    checks.check_same(nn.Conv2d(3, 4, 3), AddedUpOtherwise(3, 4, 3), x)
    apart = float(capsys.readouterr().out.split()[-1])
    assert 0 < apart < 1e-5
    padded = nn.Conv2d(3, 4, 3, padding=1)
    reflected = nn.Conv2d(3, 4, 3, padding=1, padding_mode="reflect")
    with pytest.raises(ValueError, match="outputs differ by up to"):
        checks.check_same(padded, reflected, x)
    with pytest.raises(ValueError, match=r"shapes \(1, 4, 6, 6\) and \(1, 4, 8, 8\)"):
        checks.check_same(nn.Conv2d(3, 4, 3), padded, x)
    nan = nn.Conv2d(3, 4, 3)
    nn.init.constant_(nan.bias, math.nan)
    with pytest.raises(ValueError, match="differ by up to nan"):
        checks.check_same(nan, nn.Conv2d(3, 4, 3), x)
    with pytest.raises(ValueError, match="other weights"):
        checks.check_same(nn.Conv2d(3, 4, 3), nn.Conv2d(3, 5, 3), x)
