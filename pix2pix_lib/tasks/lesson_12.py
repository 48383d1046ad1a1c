"""The tasks of notebook 12: what a step costs, a batch in parts, and what pays."""

import math

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ..layers import record_shapes
from ..patchgan import PatchDiscriminator
from .questions import Question
from .writing import Task, fill, mistake


def accumulated_gradient(network, real_a, real_b, parts):
    """Return the gradient of the L1 loss on a whole batch that comes in parts, as one vector."""
    network.zero_grad()
    for a, b in zip(real_a.chunk(parts), real_b.chunk(parts)):
        share = len(a) / len(real_a)
        (share * F.l1_loss(network(a), b)).backward()
    return torch.cat([weight.grad.flatten() for weight in network.parameters()])


def break_even(compile_seconds, eager_seconds, compiled_seconds):
    """Return after how many steps compiling has paid for itself, or infinity."""
    saved = eager_seconds - compiled_seconds
    return math.ceil(compile_seconds / saved) if saved > 0 else math.inf


def _batch_and_parts(seed: int) -> tuple[Tensor, Tensor, int]:
    size = (5, 4, 7, 6, 5)[seed % 5]
    real_a, real_b = torch.rand(2, size, 3, 6 + seed % 3, 5)
    return real_a, real_b * torch.rand(size, 1, 1, 1), (2, 2, 3, 4, 1)[seed % 5]


class _Counting(nn.Module):
    """A network that notes the largest batch that it was given."""

    def __init__(self):
        super().__init__()
        self.convolution, self.largest = fill(nn.Conv2d(3, 3, 3, padding=1)), 0

    def forward(self, x: Tensor) -> Tensor:
        self.largest = max(self.largest, len(x))
        return self.convolution(x)


def _observe_gradient(function: object, real_a: Tensor, real_b: Tensor, parts: int) -> dict:
    network = _Counting()
    for weight in network.parameters():
        weight.grad = torch.full_like(weight, 0.1)  # of an earlier step
    found = function(network, real_a, real_b, parts)
    return {"the gradient": found, "images in the largest part": network.largest}


accumulate = Task(
    key="12.accumulate",
    title="the gradient of a batch in parts",
    kind="core",
    difficulty=2,
    minutes=12,
    reference=accumulated_gradient,
    stub='''\
def accumulated_gradient(network, real_a, real_b, parts):
    """Return the gradient of the L1 loss on a whole batch that comes in parts, as one vector."""
    network.zero_grad()
    for a, b in zip(real_a.chunk(parts), real_b.chunk(parts)):
        raise NotImplementedError  # what this part adds
    return torch.cat([weight.grad.flatten() for weight in network.parameters()])
''',
    inputs=_batch_and_parts,
    observe=_observe_gradient,
    mistakes=(
        mistake(
            "The gradients of the parts are added up as they are: the sum is as many times too large as there are "
            "parts.",
            ("share * ", ""),
        ),
        mistake(
            "Each part counts alike. That is right for equal parts; here the last part has fewer images.",
            ("len(a) / len(real_a)", "1 / len(list(real_a.chunk(parts)))"),
        ),
        mistake(
            "The loss is divided by `parts`, but `chunk` does not always give parts of one size, nor as many as asked "
            "for.",
            ("len(a) / len(real_a)", "1 / parts"),
        ),
        mistake(
            "The gradients that lay in the weights before are counted in: backward() adds to what is there.",
            ("    network.zero_grad()\n", ""),
        ),
        mistake(
            "Only the last part counts: the gradients are cleared before each part, or `backward()` comes once, after "
            "the loop.",
            ("        share =", "        network.zero_grad()\n        share ="),
        ),
        mistake(
            "Each part is divided by the number of its images, as if its loss were a sum; `F.l1_loss` is a mean "
            "already.",
            ("len(a) / len(real_a)", "1 / len(a)"),
        ),
        mistake(
            "Each part is divided by the number of all images. Its loss is a mean over its own images already; what "
            "share of the whole mean is that?",
            ("len(a) / len(real_a)", "1 / len(real_a)"),
        ),
        mistake(
            "Each part counts as many times as it has images, but the sum is not divided by the number of all images.",
            ("len(a) / len(real_a)", "len(a)"),
        ),
        mistake(
            "No part calls `backward()`, so the weights hold no gradients.",
            ("(share * F.l1_loss(network(a), b)).backward()", "share * F.l1_loss(network(a), b)"),
        ),
        mistake(
            "The gradient is right, but the whole batch goes through the network at once, so it saves no memory.",
            ("real_a.chunk(parts), real_b.chunk(parts)", "[real_a], [real_b]"),
        ),
        mistake(
            "That is the gradient of a sum over all values, not of their mean.",
            ("share * F.l1_loss(network(a), b)", "F.l1_loss(network(a), b, reduction='sum')"),
        ),
    ),
    hints=(
        "The loss of the batch is a mean over its images. What share of that mean comes from a part with two of seven "
        "images?",
        "Weight the part's loss by `len(a) / len(real_a)`, then call `backward()` on it: `.grad` adds up.",
    ),
)


def _macs() -> int:
    rows = record_shapes(PatchDiscriminator(), *torch.zeros(2, 1, 3, 256, 256), kinds=(nn.Conv2d,))
    return math.prod(rows[3].after[2:]) * rows[3].module.weight.numel()


WEIGHTS = 512 * 256 * 4 * 4

multiply_adds = Question(
    key="12.multiply_adds",
    title="count multiply-adds",
    difficulty=1,
    minutes=5,
    expected=_macs,
    wrong=(
        (
            32 * 32 * WEIGHTS,
            "That takes 32x32 positions. A 4x4 kernel with stride 1 and padding 1 loses one row.",
        ),
        (16 * 16 * WEIGHTS, "That is stride 2. This convolution has stride 1."),
        (
            2 * 31 * 31 * WEIGHTS,
            "Those are floating-point operations; a multiply-add is two of them.",
        ),
        (
            31 * 31 * 256 * 512,
            "The window is missing: each output value adds up 4x4 pixels of each channel.",
        ),
        (31 * 31 * 256 * 4 * 4, "That is one of the 512 output channels."),
        (
            31 * 31 * 512 * 4 * 4,
            "The input channels are missing: a window reaches through all of them.",
        ),
        (
            30 * 30 * WEIGHTS,
            "That takes 30x30 positions, which is the map after the next convolution.",
        ),
        (WEIGHTS, "Those are the weights. Each of them is used at every position of the output."),
    ),
    answer="answer_1 = 31 * 31 * (512 * 256 * 4 * 4)",
    hints=(
        "Positions of the output times weights. The output is not 32x32.",
        "With kernel 4, stride 1 and padding 1 the side becomes 32 + 2 - 4 + 1. The kernels hold `512 * 256 * 4 * 4` "
        "weights.",
    ),
)

FREE, PARAMETERS, IMAGE = 4_000_000_000, 54_413_955, 45_000_000

largest_batch = Question(
    key="12.largest_batch",
    title="how large a batch fits?",
    difficulty=1,
    minutes=5,
    expected=lambda: (FREE - 16 * PARAMETERS) // IMAGE,
    wrong=(
        (FREE // IMAGE, "The parameters, their gradients and Adam's averages need room too."),
        (
            -(-(FREE - 16 * PARAMETERS) // IMAGE),
            "That is rounded up: the last image fits only in part.",
        ),
        ((FREE - 16 * PARAMETERS) / IMAGE, "That is not a whole number of images."),
        (
            (FREE - 4 * PARAMETERS) // IMAGE,
            "That counts the parameters, but neither gradients nor Adam's averages.",
        ),
        (
            (FREE - 8 * PARAMETERS) // IMAGE,
            "That counts parameters and gradients, but not Adam's two averages.",
        ),
        (
            (FREE - 12 * PARAMETERS) // IMAGE,
            "One number of four is missing for each parameter: Adam has two averages.",
        ),
        (
            (4 * 2**30 - 16 * PARAMETERS) // IMAGE,
            "That takes 4 GiB, 2**30 bytes each; 4 GB are 4,000,000,000 bytes.",
        ),
        (
            FREE // (IMAGE + 16 * PARAMETERS),
            "The 16 bytes per parameter are needed once, not once for each image.",
        ),
    ),
    answer="answer_2 = (4_000_000_000 - 16 * 54_413_955) // 45_000_000",
    hints=(
        "Take off what does not depend on the batch. Then divide, and round down.",
        "G has 54,413,955 parameters, so `16 * 54_413_955` bytes are taken before the first image.",
    ),
)


def _seconds(seed: int) -> tuple[float, float, float]:
    cases = (
        (60, 0.5, 0.25),
        (10, 0.25, 0.125),
        (92, 3.0, 3.0),
        (36, 1.0, 1.5),
        (1, 1.0, 0.25),
        (7, 4.5, 0.5),
    )
    return cases[seed % 6]


pays = Task(
    key="12.pays",
    title="does compiling pay?",
    kind="core",
    difficulty=1,
    minutes=5,
    reference=break_even,
    stub='''\
def break_even(compile_seconds, eager_seconds, compiled_seconds):
    """Return after how many steps compiling has paid for itself, or infinity."""
    raise NotImplementedError  # what a step saves, and how many steps that takes
''',
    inputs=_seconds,
    runs=6,
    mistakes=(
        mistake(
            "A compiled step may take as long as the other, or longer. Then the answer is infinity, not a quotient.",
            (" if saved > 0 else math.inf", " if saved else math.inf"),
        ),
        mistake(
            "If a compiled step saves nothing, you divide by zero. Look at what is saved first.",
            (" if saved > 0 else math.inf", ""),
        ),
        mistake(
            "Where both steps take the same time, you divide by zero: then nothing is saved either.",
            ("saved > 0", "saved >= 0"),
        ),
        mistake(
            "A compiled step that saves nothing never pays. 0 would say that it pays at once.",
            ("else math.inf", "else 0"),
        ),
        mistake(
            "A compiled step that takes longer never pays: look at the sign of what is saved.",
            ("compile_seconds / saved) if saved > 0", "compile_seconds / abs(saved)) if saved"),
        ),
        mistake(
            "The number of steps is rounded down: after that many, compiling has not paid yet.",
            ("math.ceil", "math.floor"),
        ),
        mistake(
            "That is rounded to the nearest whole number; compiling has paid only after the next whole step.",
            ("math.ceil(compile_seconds / saved)", "round(compile_seconds / saved)"),
        ),
        mistake(
            "The number of steps is not whole: round it up.",
            ("math.ceil(compile_seconds / saved)", "compile_seconds / saved"),
        ),
        mistake(
            "That divides by the time of a compiled step; what counts is the time that it saves.",
            ("math.ceil(compile_seconds / saved)", "math.ceil(compile_seconds / compiled_seconds)"),
        ),
        mistake(
            "That is how long compiling takes, in steps without it. What counts is the time that a step saves.",
            ("math.ceil(compile_seconds / saved)", "math.ceil(compile_seconds / eager_seconds)"),
        ),
        mistake(
            "That is one step too many: where the quotient is whole, compiling has paid after just that many.",
            ("math.ceil(compile_seconds / saved)", "math.floor(compile_seconds / saved) + 1"),
        ),
        mistake(
            "The difference is taken the wrong way round: a step saves the old time less the new one.",
            ("eager_seconds - compiled_seconds", "compiled_seconds - eager_seconds"),
        ),
    ),
    hints=(
        "What does one compiled step save? Look at its sign before you divide.",
        "`math.ceil` of the seconds to compile over the seconds saved per step, or `math.inf` if nothing is saved.",
    ),
)
