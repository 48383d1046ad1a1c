"""The checks that the notebooks rely on: each must be able to fail."""

import math

import numpy as np
import pytest
import torch
from torch import nn

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


def test_equal_modules_agree_and_different_ones_are_refused(capsys):
    torch.manual_seed(0)
    x = torch.randn(1, 3, 8, 8)
    checks.check_same(nn.Conv2d(3, 4, 3), nn.Conv2d(3, 4, 3), x)
    assert capsys.readouterr().out == "hand-built Conv2d = library's Conv2d: True\n"
    padded = nn.Conv2d(3, 4, 3, padding=1)
    reflected = nn.Conv2d(3, 4, 3, padding=1, padding_mode="reflect")
    with pytest.raises(ValueError, match="outputs differ by up to"):
        checks.check_same(padded, reflected, x)
    with pytest.raises(ValueError, match="other weights"):
        checks.check_same(nn.Conv2d(3, 4, 3), nn.Conv2d(3, 5, 3), x)


@pytest.mark.parametrize(
    ("answer", "expected", "says"),
    [
        (..., 5, "Not answered yet"),
        (5, 5, "Correct."),
        (6, 5, "Not yet. think"),
        ("5", 5, "Not yet. think"),
        ("a", "a", "Correct."),
        ("a", "b", "Not yet. think"),
        (None, 5, "Not yet. think"),
        (None, None, "Correct."),
        # the right value, but of another type
        (572.0, 572, "Correct."),
        (572, 572.0, "Correct."),
        (572.4, 572, "Not yet. think"),
        (torch.tensor(572), 572, "Correct."),
        (np.float32(0.25), 0.25, "Correct."),
        (3, torch.tensor(3.0), "Correct."),
        ([1, 2], (1, 2), "Correct."),
        ((1, 2), [1, 2], "Correct."),
        (torch.Size([1, 2]), (1, 2), "Correct."),
        (torch.tensor([1, 2]), [1, 2], "Correct."),
        ([1.0, 2.0], torch.tensor([1.0, 2.0]), "Correct."),
        ([1, 2, 3], (1, 2), "Not yet. think"),
        ([2, 1], (1, 2), "Not yet. think"),
        (torch.ones(2), torch.ones(2), "Correct."),
        (torch.ones(2, requires_grad=True), torch.ones(2), "Correct."),
        (torch.ones(1), torch.ones(2), "Not yet. think"),
        (torch.ones(1, 2), torch.ones(2), "Not yet. think"),
        (1, torch.ones(2), "Not yet. think"),
        ({"a": 1.0}, {"a": 1}, "Correct."),
        ({"a": 1}, {"b": 1}, "Not yet. think"),
        # a truth value is not a number
        (True, 1, "Not yet. think"),
        (1, True, "Not yet. think"),
        (True, True, "Correct."),
        # compared to three digits
        (0.333, 1 / 3, "Correct."),
        (0.33, 1 / 3, "Not yet. think"),
        (0.329, 0.32914, "Correct."),
        (0.329, 0.32896, "Correct."),
        (0.328, 0.32914, "Not yet. think"),
        (1.23e-5, 1.234e-5, "Correct."),
        (1.2e-5, 1.234e-5, "Not yet. think"),
        (0, 0.0, "Correct."),
        (0.01, 0.0, "Not yet. think"),
        (math.inf, math.inf, "Correct."),
        (math.nan, 1.0, "Not yet. think"),
    ],
)
def test_exercise_is_judged_by_its_value(answer, expected, says, capsys):
    checks.check_exercise(answer, expected, "think")
    assert capsys.readouterr().out.startswith(says)
