"""The tasks of notebook 14: variants compared over seeds, and what a cycle and D can notice."""

import random

import torch

from ..config import system_config
from .questions import Question
from .writing import Task, mistake

# --- section 2: the variants ----------------------------------------------------------------------


def always_nearer(distances: dict[str, list[float]], than: str) -> list[str]:
    """Return the variants of which every seed is nearer than each seed of the variant `than`."""
    return [name for name, values in distances.items() if max(values) < min(distances[than])]


def _inputs_distances(seed: int) -> tuple[dict[str, list[float]], str]:
    """Return the distances of variants below, above, across and touching those of `than`."""
    rng, seeds = random.Random(seed), (3, 2, 4, 3, 5)[seed]
    spans = [(4, 7), (2, 3), (5, 9), (3.2, 4.5), (1, 5), (3, 4), (7.5, 8.5), (2.4, 3.9), (1, 8)]
    spans += [(rng.uniform(1, 4), rng.uniform(5, 9)) for _ in range(seed)]
    rows = []
    for low, high in spans:
        rows.append([low, high, *(rng.uniform(low, high) for _ in range(seeds - 2))])
        rng.shuffle(rows[-1])
    names = [f"variant {letter}" for letter in rng.sample("abcdefghijklmnop", len(rows))]
    pairs = list(zip(names, rows))
    rng.shuffle(pairs)
    return {name: [round(value, 3) for value in row] for name, row in pairs}, names[0]


_NEARER = "max(values) < min(distances[than])"
variants = Task(
    key="14.variants",
    title="nearer with every seed",
    kind="core",
    difficulty=2,
    minutes=10,
    reference=always_nearer,
    stub='''\
def always_nearer(distances: dict[str, list[float]], than: str) -> list[str]:
    """Return the variants of which every seed is nearer than each seed of the variant `than`."""
    raise NotImplementedError  # their names, in the order of distances
''',
    inputs=_inputs_distances,
    mistakes=(
        mistake(
            "You compare the best seeds of both. Then one lucky seed is enough.",
            (_NEARER, "min(values) < min(distances[than])"),
        ),
        mistake(
            "You compare the worst seeds of both. The best seed of `than` may still be nearer.",
            (_NEARER, "max(values) < max(distances[than])"),
        ),
        mistake(
            "You compare the means. They can differ although the seeds overlap.",
            (_NEARER, "sum(values) < sum(distances[than])"),
        ),
        mistake(
            "You ask whether any seed is nearer than any seed of `than`. Every seed must be nearer than each of them.",
            (_NEARER, "min(values) < max(distances[than])"),
        ),
        mistake(
            "You compare seed by seed. Seed 0 of one variant has no more to do with seed 0 of another than with "
            "seed 1: compare each with all.",
            (_NEARER, "all(one < other for one, other in zip(values, distances[than]))"),
        ),
        mistake(
            "You return the variants that are farther away. A small distance is a good one.",
            (_NEARER, "min(values) > max(distances[than])"),
        ),
        mistake(
            "You count a tie: one of your variants only equals the best seed of `than`.",
            (_NEARER, "max(values) <= min(distances[than])"),
        ),
        mistake(
            "The names are right, but you have sorted them. Keep the order of `distances`.",
            ("[name for", "sorted(name for"),
            ("min(distances[than])]", "min(distances[than]))"),
        ),
        mistake(
            "You return the distances. The names are wanted.",
            ("[name for name, values", "[values for name, values"),
        ),
        mistake(
            "The names are right, but `than` itself is among them. It is not nearer than itself.",
            (_NEARER, f"name == than or {_NEARER}"),
        ),
    ),
    hints=(
        "One number of a variant and one number of `than` decide. Which seed of the variant is the hardest to pass "
        "with, and which seed of `than` is the hardest to beat?",
        "Go through distances.items() and keep a name if the max of its values is below the min of distances[than].",
    ),
)

# --- the exercises --------------------------------------------------------------------------------


def red_for_blue(images: torch.Tensor) -> torch.Tensor:
    """Return the pictures, (N, 3, H, W), with red and blue exchanged."""
    return images[:, [2, 1, 0]]


def _inputs_pictures(seed: int) -> tuple[torch.Tensor]:
    shape = ((4, 3, 16, 12), (3, 3, 9, 14), (5, 3, 12, 12), (4, 3, 8, 20))[seed]
    return (2 * torch.rand(shape) - 1,)


def _observe_exchange(function, images: torch.Tensor):
    """Return the new pictures; if the given ones were changed, those as well."""
    before = images.clone()
    result = function(images)
    if torch.equal(images, before):
        return result
    return {"the pictures returned": result, "the pictures that were given, afterwards": images}


def _red_lost_in_place(images: torch.Tensor) -> torch.Tensor:
    images[:, 0], images[:, 2] = images[:, 2], images[:, 0]
    return images


def _blue_lost_in_place(images: torch.Tensor) -> torch.Tensor:
    images[:, 2], images[:, 0] = images[:, 0], images[:, 2]
    return images


_EXCHANGED = "images[:, [2, 1, 0]]"
exchange = Task(
    key="14.exchange",
    title="red for blue",
    kind="core",
    difficulty=1,
    minutes=10,
    reference=red_for_blue,
    stub='''\
def red_for_blue(images: torch.Tensor) -> torch.Tensor:
    """Return the pictures, (N, 3, H, W), with red and blue exchanged."""
    raise NotImplementedError  # the channels in another order
''',
    inputs=_inputs_pictures,
    observe=_observe_exchange,
    runs=4,
    mistakes=(
        mistake(
            "You reverse the order of the pictures in the batch. The channels are another dimension.",
            (_EXCHANGED, "images.flip(0)"),
        ),
        mistake(
            "You pick pictures 2, 1 and 0 of the batch. The channels are another dimension.",
            (_EXCHANGED, "images[[2, 1, 0]]"),
        ),
        mistake(
            "You mirror the pictures from left to right. The channels are another dimension.",
            (_EXCHANGED, "images.flip(3)"),
        ),
        mistake("You turn the pictures upside down.", (_EXCHANGED, "images.flip(2)")),
        mistake(
            "You pick three columns. In torch the channels are not the last dimension.",
            (_EXCHANGED, "images[..., [2, 1, 0]]"),
        ),
        mistake(
            "Torch takes no negative step. List the channels, or look for a function that reverses a dimension.",
            (_EXCHANGED, "images[:, ::-1]"),
        ),
        mistake(
            "You invert the colours. Red and blue should change places.", (_EXCHANGED, "-images")
        ),
        mistake(
            "You exchange green and blue. Red is channel 0, blue is channel 2.",
            ("[2, 1, 0]", "[0, 2, 1]"),
        ),
        mistake(
            "You exchange red and green. Red is channel 0, blue is channel 2.",
            ("[2, 1, 0]", "[1, 0, 2]"),
        ),
        mistake(
            "You move all three channels. Green should stay where it is.",
            ("[2, 1, 0]", "[1, 2, 0]"),
        ),
        mistake(
            "You move all three channels, the last one to the front. Green should stay where it is.",
            ("[2, 1, 0]", "[2, 0, 1]"),
        ),
        mistake(
            "Red and blue are now both what blue was: you overwrite red before you have kept its values.",
            ("[2, 1, 0]", "[2, 1, 2]"),
        ),
        mistake(
            "Red and blue are now both what red was: you overwrite blue before you have kept its values.",
            ("[2, 1, 0]", "[0, 1, 0]"),
        ),
        mistake(
            "The result is right, but you also change the pictures that you were given. Make a new tensor.",
            (_EXCHANGED, "images.copy_(images[:, [2, 1, 0]])"),
        ),
        mistake(
            "You write into the pictures that you were given. So red is overwritten before blue takes its values. Make "
            "a new tensor.",
            other=_red_lost_in_place,
        ),
        mistake(
            "You write into the pictures that you were given. So blue is overwritten before red takes its values. Make "
            "a new tensor.",
            other=_blue_lost_in_place,
        ),
        mistake(
            "You put the channels into a new first dimension. They belong in dimension 1.",
            (_EXCHANGED, "torch.stack([images[:, 2], images[:, 1], images[:, 0]])"),
        ),
        mistake("Green is lost: keep it as it is.", (_EXCHANGED, "images[:, [2, 0]]")),
    ),
    hints=(
        "A batch is (N, 3, H, W), and the channels are red, green, blue. You can index one dimension with a list: the "
        "list says which channel comes first, second and third.",
        "Leave the first dimension whole with a colon, and give the second a list of three channel numbers.",
    ),
)


def _setting_that_must_be_off() -> str:
    """Return the setting for which the library refuses a CycleGAN with a grey domain b."""
    try:
        system_config("cyclegan", out_channels=1)
    except ValueError as error:
        return str(error).split()[0]
    raise AssertionError("a grey domain is taken with an identity loss")


grey = Question(
    key="14.grey",
    title="a grey domain",
    difficulty=1,
    minutes=5,
    expected=_setting_that_must_be_off,
    answer='answer_3 = "lambda_identity"',
    wrong=(
        (
            "lambda_cycle",
            "A cycle ends in the domain where it began: real_a and rec_a have 3 channels, real_b and rec_b 1.",
        ),
        (
            "cycle",
            "Neither cycle is in the way: each compares pictures of one domain, with the same number of channels.",
        ),
        (
            "lambda_gan",
            "Each discriminator sees one domain only, so it can be built for the channels of that domain.",
        ),
        ("pool_size", "A pool holds pictures of one domain, so the channels fit."),
        (
            "out_channels",
            "That setting makes b grey. Which loss can then no longer be computed?",
        ),
        ("in_channels", "The input keeps its 3 channels. Which loss can no longer be computed?"),
        ("lambda_l1", "That is a loss of pix2pix, which needs pairs. CycleGAN has none."),
        ("identity", "That is the loss. Write the name of the setting that gives its weight."),
        ("identity loss", "That is the loss. Write the name of its setting, as in section 1."),
        ("loss_idt_b", "That is how a record of losses calls it. Write the name of the setting."),
    ),
    hints=(
        "generator_ab takes 3 channels and returns 1. Go through the losses: which pictures does each show to which "
        "generator?",
        "One loss shows generator_ab a picture of b, to see whether it leaves it alone. Find its weight in section 1.",
    ),
)
