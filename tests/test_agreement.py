"""Right answers count whatever their type; a difference is told in words and numbers."""

import math

import numpy as np
import pytest
import torch

from pix2pix_lib.agreement import agrees, close_to, describe_difference, other_kind, three_digits

NEAR = close_to(1e-4)


@pytest.mark.parametrize(
    ("answer", "expected", "agree"),
    [
        (5, 5, True),
        (6, 5, False),
        ("5", 5, False),
        ("a", "a", True),
        ("a", "b", False),
        (None, 5, False),
        (None, None, True),
        # the right value, but of another type
        (572.0, 572, True),
        (572, 572.0, True),
        (572.4, 572, False),
        (torch.tensor(572), 572, True),
        (np.float32(0.25), 0.25, True),
        (3, torch.tensor(3.0), True),
        ([1, 2], (1, 2), True),
        ((1, 2), [1, 2], True),
        (torch.Size([1, 2]), (1, 2), True),
        (torch.tensor([1, 2]), [1, 2], True),
        ([1.0, 2.0], torch.tensor([1.0, 2.0]), True),
        ([1, 2, 3], (1, 2), False),
        ([2, 1], (1, 2), False),
        (torch.ones(2), torch.ones(2), True),
        (torch.ones(2, requires_grad=True), torch.ones(2), True),
        (torch.ones(1), torch.ones(2), False),
        (torch.ones(1, 2), torch.ones(2), False),
        (1, torch.ones(2), False),
        ({"a": 1.0}, {"a": 1}, True),
        ({"a": 1}, {"b": 1}, False),
        # a truth value is not a number
        (True, 1, False),
        (1, True, False),
        (True, True, True),
        # compared to three digits
        (0.333, 1 / 3, True),
        (0.33, 1 / 3, False),
        (0.329, 0.32914, True),
        (0.329, 0.32896, True),
        (0.328, 0.32914, False),
        (1.23e-5, 1.234e-5, True),
        (1.2e-5, 1.234e-5, False),
        (0, 0.0, True),
        (0.01, 0.0, False),
        (math.inf, math.inf, True),
        (math.nan, 1.0, False),
    ],
)
def test_value_counts_not_its_type(answer, expected, agree):
    assert agrees(answer, expected, three_digits) is agree


@pytest.mark.parametrize(
    ("answer", "expected", "agree"),
    [
        (torch.tensor([1.0, 2.00001]), torch.tensor([1.0, 2.0]), True),
        (torch.tensor([1.0, 2.01]), torch.tensor([1.0, 2.0]), False),
        # the tolerance is that of the largest value, whole numbers have none
        (torch.tensor([1e-6, 100.0]), torch.tensor([0.0, 100.0]), True),
        (54_413_956, 54_413_955, False),
        (np.zeros((2, 0)), torch.zeros(2, 0), True),
        (torch.tensor([math.nan, 1.0]), torch.tensor([math.nan, 1.0]), True),
        (torch.tensor([math.nan, 1.0]), torch.tensor([0.0, 1.0]), False),
        (torch.tensor([math.inf]), torch.tensor([math.inf]), True),
        (torch.tensor([1.0], dtype=torch.bfloat16), torch.tensor([1.0]), True),
        (torch.tensor([True]), torch.tensor([1]), False),
        ([torch.zeros(2), torch.ones(3)], (torch.zeros(2), torch.ones(3)), True),
        ([torch.zeros(2), torch.ones(3)], (torch.zeros(2), torch.zeros(3)), False),
        ([torch.zeros(2)], (torch.zeros(2), torch.zeros(2)), False),
        ({"a": [1, 2]}, {"a": (1, 2.0)}, True),
        ({"a": 1, "b": 2}, {"a": 1}, False),
        ([], (), True),
        ([], 0, False),
        ([[1], [2, 3]], [[1], [2, 3]], True),
        ([[1], [2, 4]], [[1], [2, 3]], False),
        ({1, 2}, {2, 1}, True),
        (10**400, 1.0, False),
        (torch.zeros(2), "text", False),
    ],
)
def test_tensors_agree_within_the_tolerance(answer, expected, agree):
    assert agrees(answer, expected, NEAR) is agree


@pytest.mark.parametrize(
    ("answer", "expected", "told"),
    [
        (None, 1.0, "yours is None: a `return` may be missing"),
        (2.5, 1.0, "yours: 2.5; wanted: 1"),
        ([1, 2], (1, 3), "yours: 1, 2; wanted: 1, 3"),
        (True, False, "yours: True; wanted: False"),
        (torch.zeros(1, 2), torch.zeros(2), "yours has the shape (1, 2), wanted is (2,)"),
        ("a", "b", "yours: 'a' (str)\nwanted: 'b' (str)"),
        (torch.zeros(2, 2), "b", "yours: a tensor of shape (2, 2)\nwanted: 'b' (str)"),
        ({"a": 1, "c": 3}, {"a": 1, "b": 2}, "b: missing from yours\nc: not wanted"),
        ({"a": 1, "b": 3}, {"a": 1, "b": 2}, "b: yours: 3; wanted: 2"),
    ],
)
def test_difference_is_told(answer, expected, told):
    assert describe_difference(answer, expected, NEAR) == told


def test_table_begins_with_the_numbers_that_differ_most():
    wanted = torch.zeros(3, 4)
    answer = wanted.clone()
    answer[1, 2], answer[2, 0] = 5.0, math.nan
    lines = describe_difference(answer, wanted, NEAR).splitlines()
    assert lines[0] == "2 of 12 numbers differ; the furthest:"
    assert [line.split()[:3] for line in lines[2:4]] == [["(2,", "0)", "nan"], ["(1,", "2)", "5"]]
    assert len(lines) == 8


def test_long_list_of_differences_is_cut():
    told = describe_difference({}, {str(n): n for n in range(50)}, NEAR).splitlines()
    assert len(told) == 7 and told[-1] == "..."


@pytest.mark.parametrize(
    ("answer", "expected", "kinds"),
    [
        (torch.ones(2), torch.zeros(2), None),
        ([1.0, 2.0], (1.0, 2.0), None),
        (np.ones(2), [1.0, 1.0], None),
        (np.ones(2), torch.ones(2), ("ndarray", "a tensor of torch.float32")),
        (1.0, torch.tensor(1.0), ("float", "a tensor of torch.float32")),
        (
            {"loss": torch.ones(1), "image": torch.ones(2).double()},
            {"loss": torch.ones(1), "image": torch.ones(2)},
            ("a tensor of torch.float64", "a tensor of torch.float32"),
        ),
        (
            [torch.ones(1), [2.0]],
            (torch.ones(1), torch.ones(1)),
            ("list", "a tensor of torch.float32"),
        ),
    ],
)
def test_types_that_later_code_could_stumble_over_are_told(answer, expected, kinds):
    assert other_kind(answer, expected) == kinds
