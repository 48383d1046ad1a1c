"""The tasks of notebook 02: the two blocks of a U-Net."""

from itertools import pairwise

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ..unet import DownBlock, UpBlock
from .questions import Question
from .trials import OpenTask
from .writing import Task, fill, mistake, observe_module, with_bug

# --- the block that halves ------------------------------------------------------------------------


def _inputs_down(seed: int) -> tuple[dict, Tensor]:
    options = {"in_channels": 2 + seed, "out_channels": 6 - seed, "bias": seed % 2 == 0}
    options |= {"norm": ("batch", "none", "instance", "group", "batch")[seed]}
    return options | {"activate": seed != 3}, torch.randn(2, 2 + seed, 8 + 2 * seed, 12)


def _observe_down(make: object, options: dict, x: Tensor) -> object:
    options = dict(options)
    network = make(options.pop("in_channels"), options.pop("out_channels"), **options)
    if not isinstance(network, nn.Module):
        return network
    return {**observe_module(network, x), "the input afterwards": x}


down = Task(
    key="02.down",
    title="the block that halves",
    kind="core",
    difficulty=1,
    minutes=12,
    reference=DownBlock,
    stub='''\
class DownBlock(nn.Module):
    """Halve height and width: LeakyReLU 0.2, 4x4 convolution with stride 2, norm."""

    def __init__(self, in_channels: int, out_channels: int, *, norm: str, bias: bool, activate: bool = True):
        super().__init__()
        raise NotImplementedError  # the layers self.activation, self.conv and self.norm

    def forward(self, x: Tensor) -> Tensor:
        raise NotImplementedError  # (N, C, H, W) -> (N, C', H/2, W/2)
''',
    inputs=_inputs_down,
    observe=_observe_down,
    mistakes=(
        mistake(
            "The slope of the activation is 0.01, PyTorch's default: a negative value shrinks to a hundredth.",
            ("LeakyReLU(0.2)", "LeakyReLU()"),
        ),
        mistake(
            "The activation is a plain ReLU: all negative values become 0 on the way down.",
            ("LeakyReLU(0.2)", "ReLU()"),
        ),
        mistake(
            "The block overwrites its input: after the call, x holds other values. A skip that keeps x would change.",
            ("LeakyReLU(0.2)", "LeakyReLU(0.2, inplace=True)"),
        ),
        mistake(
            "The activation comes last. In this block it comes first, so that its output is not yet bent.",
            (
                "self.norm(self.conv(self.activation(x)))",
                "self.activation(self.norm(self.conv(x)))",
            ),
        ),
        mistake(
            "The activation comes after the convolution; it should come before.",
            (
                "self.norm(self.conv(self.activation(x)))",
                "self.norm(self.activation(self.conv(x)))",
            ),
        ),
        mistake(
            "`activate=False` changes nothing: the first block of an encoder bends the pixels, too.",
            ("nn.LeakyReLU(0.2) if activate else nn.Identity()", "nn.LeakyReLU(0.2)"),
        ),
        mistake(
            "`activate` works the wrong way round.",
            (
                "nn.LeakyReLU(0.2) if activate else nn.Identity()",
                "nn.Identity() if activate else nn.LeakyReLU(0.2)",
            ),
        ),
        mistake(
            "`forward` leaves out the norm: `self.norm` has weights, but nothing goes through it.",
            ("self.norm(self.conv(self.activation(x)))", "self.conv(self.activation(x))"),
        ),
        mistake(
            "The norm is always a batch norm, whatever `norm` says.",
            ("make_norm(norm, out_channels)", "nn.BatchNorm2d(out_channels)"),
        ),
        mistake(
            "The convolution has a bias whatever `bias` says.",
            (", bias=bias\n", "\n"),
        ),
        mistake(
            "The image loses one pixel a side instead of being halved: the stride is 1.",
            ("stride=2", "stride=1"),
        ),
        mistake(
            "The output is one pixel too small on each side: without padding, n pixels do not become n/2.",
            ("padding=1", "padding=0"),
        ),
        mistake(
            "The kernel is 3x3. The size comes out right, but the weights have another shape.",
            ("kernel_size=4", "kernel_size=3"),
        ),
    ),
    hints=(
        "Make three layers in `__init__`; `forward` is one line that puts one call inside the other. Which runs first?",
        "`nn.LeakyReLU` and `nn.Conv2d` take slope, kernel_size, stride, padding and bias; "
        "`make_norm(norm, out_channels)` gives the norm. With activate=False, `nn.Identity()` is the activation.",
    ),
)

# --- the rubber stamp -----------------------------------------------------------------------------


def stamp(image: Tensor, kernel: Tensor, stride: int) -> Tensor:
    """Return what a transposed convolution makes of an image (H, W), without its cut."""
    (height, width), size = image.shape, kernel.shape[0]
    canvas = torch.zeros((height - 1) * stride + size, (width - 1) * stride + size)
    for row in range(height):
        for col in range(width):
            top, left = row * stride, col * stride
            canvas[top : top + size, left : left + size] += image[row, col] * kernel
    return canvas


def _inputs_stamps(seed: int) -> tuple[Tensor, Tensor, int]:
    height, width, size, stride = (
        (2, 3, 4, 2),
        (3, 3, 3, 2),
        (1, 4, 4, 1),
        (4, 2, 2, 3),
        (3, 5, 4, 2),
    )[seed]
    return torch.randn(height, width), torch.randn(size, size), stride


stamps = Task(
    key="02.stamps",
    title="a transposed convolution by hand",
    kind="core",
    difficulty=2,
    minutes=10,
    reference=stamp,
    stub="""\
def stamp(image: Tensor, kernel: Tensor, stride: int) -> Tensor:
    (height, width), size = image.shape, kernel.shape[0]
    raise NotImplementedError  # an empty canvas, then one stamp for each pixel
""",
    inputs=_inputs_stamps,
    mistakes=(
        mistake(
            "Where two stamps overlap, the later one has wiped out the earlier one; they should add up.",
            ("+= image", "= image"),
        ),
        mistake(
            "All stamps are equally strong: the pixel's value does not scale the kernel.",
            ("image[row, col] * kernel", "kernel"),
        ),
        mistake(
            "Each stamp lies one pixel beside the last, whatever the stride.",
            ("row * stride, col * stride", "row, col"),
        ),
        mistake(
            "The stamps lie a whole kernel apart, not a stride.",
            ("row * stride, col * stride", "row * size, col * size"),
        ),
        mistake(
            "The canvas is too large by one stride: between n stamps there are n - 1 steps.",
            ("(height - 1) * stride", "height * stride"),
            ("(width - 1) * stride", "width * stride"),
        ),
        mistake(
            "The canvas has its height and its width exchanged.",
            (
                "torch.zeros((height - 1) * stride + size, (width - 1) * stride + size)",
                "torch.zeros((width - 1) * stride + size, (height - 1) * stride + size)",
            ),
        ),
        mistake(
            "The kernel is pressed turned round by 180 degrees; a stamp presses it as it is.",
            ("* kernel", "* kernel.flip(0, 1)"),
        ),
        mistake(
            "One pixel is cut off each side; the whole canvas is wanted.",
            ("return canvas", "return canvas[1:-1, 1:-1]"),
        ),
        mistake(
            "The kernel is pressed with rows and columns exchanged.",
            ("* kernel", "* kernel.T"),
        ),
    ),
    hints=(
        "How far does the last stamp reach? That is the size of the canvas. Then two loops, over rows and columns.",
        "The stamp of pixel (row, col) begins at (row * stride, col * stride) and is `size` wide; add to that slice.",
    ),
)

# --- the block that doubles -----------------------------------------------------------------------


def _inputs_up(seed: int) -> tuple[dict, bool, Tensor]:
    options = {"in_channels": 5 - seed, "out_channels": 3 + seed, "bias": seed % 2 == 0}
    options["norm"] = ("batch", "none", "instance", "group", "batch")[seed]
    if seed:  # the first run leaves the defaults
        options["dropout"] = (0.5, 0.25, 0.5, 0.3, 0.5)[seed]
        options["upsampling"] = ("transposed", "resize")[seed % 2]
    return options, seed != 2, torch.randn(2, 5 - seed, 2 + seed, 3)


def _observe_up(make: object, options: dict, training: bool, x: Tensor) -> object:
    options = dict(options)
    network = make(options.pop("in_channels"), options.pop("out_channels"), **options)
    if not isinstance(network, nn.Module):
        return network
    torch.manual_seed(0)  # the same dropout, in whatever order the layers were made
    return {**observe_module(network.train(training), x), "the input afterwards": x}


up = Task(
    key="02.up",
    title="the block that doubles",
    kind="core",
    difficulty=1,
    minutes=10,
    reference=UpBlock,
    stub='''\
class UpBlock(nn.Module):
    """Double height and width: ReLU, 4x4 transposed convolution with stride 2, norm, dropout."""

    def __init__(self, in_channels: int, out_channels: int, *, norm: str, bias: bool, dropout: float = 0.0,
                 upsampling: str = "transposed"):
        super().__init__()
        raise NotImplementedError  # the layers self.activation, self.upsample, self.norm and self.dropout

    def forward(self, x: Tensor) -> Tensor:
        raise NotImplementedError  # (N, C, H, W) -> (N, C', 2H, 2W)
''',
    inputs=_inputs_up,
    observe=_observe_up,
    mistakes=(
        mistake(
            "The activation is LeakyReLU 0.2, as on the way down; the decoder's is a plain ReLU.",
            ("nn.ReLU()", "nn.LeakyReLU(0.2)"),
        ),
        mistake(
            "The activation is `nn.LeakyReLU()` with slope 0.01, as in some tutorials; the paper's decoder has ReLU.",
            ("nn.ReLU()", "nn.LeakyReLU()"),
        ),
        mistake(
            "The block overwrites its input: after the call, x holds other values.",
            ("nn.ReLU()", "nn.ReLU(inplace=True)"),
        ),
        mistake(
            "Dropout comes before the norm, so the norm's mean and deviation are taken over zeros as well.",
            ("self.dropout(self.norm(", "self.norm(self.dropout("),
        ),
        mistake(
            "`upsampling` changes nothing: the block always has a transposed convolution.",
            ("make_upsampling(upsampling,", 'make_upsampling("transposed",'),
        ),
        mistake(
            "The block always drops one half: `dropout` is not handed on to the layer.",
            ("nn.Dropout(dropout)", "nn.Dropout()"),
        ),
        mistake(
            "The norm is always a batch norm, whatever `norm` says.",
            ("make_norm(norm, out_channels)", "nn.BatchNorm2d(out_channels)"),
        ),
        mistake(
            "The upsampling has a bias whatever `bias` says.",
            ("out_channels, bias)", "out_channels, True)"),
        ),
        mistake(
            "Dropout takes away whole channels; here it should draw for each value.",
            ("nn.Dropout(dropout)", "nn.Dropout2d(dropout)"),
        ),
        mistake(
            "Nothing is ever dropped: `forward` leaves out the dropout.",
            (
                "self.dropout(self.norm(self.upsample(self.activation(x))))",
                "self.norm(self.upsample(self.activation(x)))",
            ),
        ),
        mistake(
            "Dropout stays on after eval(). A layer knows its mode; a function must be told.",
            ("self.dropout(self.norm(", "nn.functional.dropout(p=self.dropout.p, input=self.norm("),
        ),
        mistake(
            "The activation comes after the norm; in this block it comes first.",
            (
                "self.norm(self.upsample(self.activation(x)))",
                "self.activation(self.norm(self.upsample(x)))",
            ),
        ),
        mistake(
            "The activation follows the upsampling; in this block it comes first.",
            ("self.upsample(self.activation(x))", "self.activation(self.upsample(x))"),
        ),
        mistake(
            "`forward` leaves out the norm.",
            (
                "self.dropout(self.norm(self.upsample(self.activation(x))))",
                "self.dropout(self.upsample(self.activation(x)))",
            ),
        ),
    ),
    hints=(
        "Build it like `DownBlock`, with four layers. In `forward` the call that runs first stands innermost.",
        "`make_upsampling` chooses between the two ways to double; `nn.Dropout` takes the probability and knows by "
        "itself whether the block is in training mode.",
    ),
)

# --- how large is an upsampled image? -------------------------------------------------------------


def transposed_size(n: int, kernel: int, stride: int, padding: int) -> int:
    """Return the side of what a transposed convolution makes of a side n."""
    return (n - 1) * stride + kernel - 2 * padding


def _inputs_size(seed: int) -> tuple[int, int, int, int]:
    if seed < 2:
        return ((8, 4, 2, 1), (1, 7, 3, 0))[seed]
    n, kernel, stride = (
        int(torch.randint(low, high, ())) for low, high in ((2, 12), (3, 8), (1, 5))
    )
    return n, kernel, stride, int(torch.randint(0, (kernel + 1) // 2, ()))


size = Task(
    key="02.size",
    title="the size of an upsampled image",
    kind="core",
    difficulty=1,
    minutes=5,
    reference=transposed_size,
    stub="""\
def transposed_size(n: int, kernel: int, stride: int, padding: int) -> int:
    raise NotImplementedError  # the canvas, then the cut
""",
    inputs=_inputs_size,
    runs=8,
    mistakes=(
        mistake(
            "This is the size after an ordinary convolution, which shrinks the image.",
            other=lambda n, kernel, stride, padding: (n + 2 * padding - kernel) // stride + 1,
        ),
        mistake(
            "The canvas is too large: the first pixel needs no step, so n pixels take n - 1.",
            ("(n - 1)", "n"),
        ),
        mistake(
            "The padding is cut off once; it is cut at both ends.",
            ("2 * padding", "padding"),
        ),
        mistake(
            "The padding is added. In a transposed convolution it is cut off.",
            ("- 2 * padding", "+ 2 * padding"),
        ),
        mistake(
            "Nothing is cut off: where is the padding?",
            (" - 2 * padding", ""),
        ),
        mistake(
            "This is right for kernel 4, stride 2 and padding 1 only; other kernels reach further or less far.",
            ("(n - 1) * stride + kernel - 2 * padding", "n * stride"),
        ),
        mistake(
            "This doubles whatever the stride is; each further pixel moves the stamp on by `stride`.",
            ("(n - 1) * stride + kernel - 2 * padding", "2 * n"),
        ),
        mistake(
            "The canvas ends where the last stamp begins; the stamp's own width is missing.",
            (" + kernel", ""),
        ),
        mistake(
            "One pixel is missing: a kernel covers `kernel` pixels, not one fewer.",
            ("+ kernel", "+ kernel - 1"),
        ),
    ),
    hints=(
        "With one input pixel the canvas is as large as the kernel. How much does each further pixel add?",
        "The last stamp begins at (n - 1) * stride. Where does it end, and how much do both cuts take?",
    ),
)

# --- to mend: the maps of an encoder --------------------------------------------------------------


def encoder_maps(image: Tensor, convolutions: list[nn.Conv2d]) -> list[Tensor]:
    """Return what each convolution makes, before any activation; from the second on, it reads LeakyReLU 0.2."""
    x, maps = image, []
    for number, convolution in enumerate(convolutions):
        if number > 0:
            x = F.leaky_relu(x, 0.2)
        x = convolution(x)
        maps.append(x)
    return maps


def _inputs_maps(seed: int) -> tuple[Tensor, list[nn.Conv2d]]:
    widths = [2 + seed % 2, *(3 + (seed + level) % 3 for level in range(2 + seed % 3))]
    convolutions = [fill(nn.Conv2d(*pair, 4, 2, 1)) for pair in pairwise(widths)]
    return torch.randn(1 + seed % 2, widths[0], 32, 32 + 16 * (seed % 2)), convolutions


def _observe_maps(function: object, image: Tensor, convolutions: list) -> object:
    image.requires_grad_()
    maps = function(1 * image, convolutions)
    if not isinstance(maps, list | tuple) or not all(map(torch.is_tensor, maps)):
        return maps
    found = {f"map {number}": each for number, each in enumerate(maps, 1)}
    total = sum(each.sum() for each in maps)
    if torch.is_tensor(total) and total.requires_grad:
        found["gradient at the image"] = torch.autograd.grad(total, image, allow_unused=True)[0]
    return found


_KEPT = "        x = convolution(x)\n        maps.append(x)"

maps = Task(
    key="02.maps",
    title="maps that hardly go below zero",
    kind="debug",
    difficulty=2,
    minutes=10,
    reference=encoder_maps,
    stub=with_bug(encoder_maps, ("F.leaky_relu(x, 0.2)", "F.leaky_relu(x, 0.2, inplace=True)")),
    inputs=_inputs_maps,
    observe=_observe_maps,
    mistakes=(
        mistake(
            "The activation is gone: each convolution reads the last one's values as they are.",
            ("x = F.leaky_relu(x, 0.2)", "pass"),
        ),
        mistake(
            "The maps are kept after the activation; they are wanted as the convolution makes them.",
            ("maps.append(x)", "maps.append(F.leaky_relu(x, 0.2))"),
        ),
        mistake(
            "The activation reads the image as well: the first convolution should see the pixels as they are.",
            ("if number > 0", "if number >= 0"),
        ),
        mistake(
            "The values are right, but the maps are cut out of the graph: no gradient comes back through them.",
            ("maps.append(x)", "maps.append(x.detach().clone())"),
        ),
        mistake(
            "The values are right, but each activation reads a copy cut out of the graph: gradients end there.",
            ("F.leaky_relu(x, 0.2)", "F.leaky_relu(x.detach(), 0.2)"),
        ),
        mistake(
            "The slope is now 0.01, PyTorch's default.",
            ("F.leaky_relu(x, 0.2)", "F.leaky_relu(x)"),
        ),
        mistake(
            "The activation is a plain ReLU now: the convolutions read no negative values.",
            ("F.leaky_relu(x, 0.2)", "F.relu(x)"),
        ),
        mistake(
            "Each map is divided by the slope afterwards. That blows up the positive values, too.",
            ("return maps", "return [each / 0.2 for each in maps[:-1]] + maps[-1:]"),
        ),
    ),
    hints=(
        "Print the smallest value of `maps[0]` right after it was appended, and again after the loop. Who changed it?",
        "A list keeps the tensor itself, not a copy. Which call writes into that tensor?",
    ),
)

# --- a question -----------------------------------------------------------------------------------

deviation = Question(
    key="02.deviation",
    title="the deviation that keeps the signal",
    difficulty=2,
    minutes=5,
    expected=lambda: (
        nn.init.calculate_gain("leaky_relu", 0.2) / (4 * 4 * 128) ** 0.5
    ),  # He et al. 2015
    answer="answer_1 = (2 / (1 + 0.2**2) / (4 * 4 * 128)) ** 0.5",
    wrong=(
        (
            2 / 1.04 / 2048,
            "That is the variance of the weights; the question asks for their deviation.",
        ),
        (
            2048**-0.5,
            "This keeps the signal if nothing stands before the convolution; LeakyReLU takes a part of it away.",
        ),
        (
            (2 / 2048) ** 0.5,
            "This fits a plain ReLU, which leaves one half of the mean square. LeakyReLU leaves more.",
        ),
        (
            (2 / 1.04 / 128) ** 0.5,
            "This counts one product for each channel; the kernel has 4 · 4 for each of them.",
        ),
        (
            (2 / 1.2 / 2048) ** 0.5,
            "A value that shrinks to a fifth has a 25th of its square: the slope goes in squared.",
        ),
        (0.02, "This is the paper's deviation, with which the narrow network of section 4 faded."),
        (
            (1.04 / 2 / 2048) ** 0.5,
            "The factor of the LeakyReLU stands upside down: it takes away, so the weights must give back.",
        ),
    ),
    hints=(
        "Variances of independent products add up: how many products, each with which mean square?",
        "Solve `4 * 4 * 128 * std**2 * (1 + 0.2**2) / 2 = 1` for `std`.",
    ),
)

# --- the open task --------------------------------------------------------------------------------

checkerboard = OpenTask(
    key="02.checkerboard",
    title="does a checkerboard survive training?",
    difficulty=3,
    minutes=25,
    stub='''\
hypothesis = ""
expect = ("first weights", "<", "trained")  # two conditions, and the sign that you expect

photos = torch.stack([facade_tensors(seed, 64)[1] for seed in range(16)])  # (16, 3, 64, 64) in [-1, 1]


def pattern(layer: nn.Module) -> float:
    """Return how far a layer's outputs for a constant grey lie apart, borders aside; 0 is a flat picture."""
    with torch.no_grad():
        output = layer(torch.full((1, 3, 8, 8), 0.5))[0, :, 2:-2, 2:-2]  # (3, 12, 12)
    return (output.amax((1, 2)) - output.amin((1, 2))).mean().item()


def measure(condition: str, seed: int) -> float:
    torch.manual_seed(seed)
    layer = make_upsampling("transposed", 3, 3, bias=True)  # doubles; its first weights follow from the seed
    raise NotImplementedError  # by `condition`, train it to make photos from halved photos, or not
    return pattern(layer)
''',
    example='''\
hypothesis = "A short training on photos takes the checkerboard out of a transposed convolution: photos have none."
expect = ("trained", "<", "first weights")

photos = torch.stack([facade_tensors(seed, 64)[1] for seed in range(16)])  # (16, 3, 64, 64) in [-1, 1]


def pattern(layer: nn.Module) -> float:
    """Return how far a layer's outputs for a constant grey lie apart, borders aside; 0 is a flat picture."""
    with torch.no_grad():
        output = layer(torch.full((1, 3, 8, 8), 0.5))[0, :, 2:-2, 2:-2]  # (3, 12, 12)
    return (output.amax((1, 2)) - output.amin((1, 2))).mean().item()


def measure(condition: str, seed: int) -> float:
    torch.manual_seed(seed)
    layer = make_upsampling("transposed", 3, 3, bias=True)  # doubles; its first weights follow from the seed
    optimizer = torch.optim.Adam(layer.parameters(), lr=0.01)
    for _ in range(200 if condition == "trained" else 0):
        truth = photos[torch.randint(16, (4,))]
        loss = F.l1_loss(layer(F.avg_pool2d(truth, 2)), truth)  # (4, 3, 32, 32) -> (4, 3, 64, 64)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    return pattern(layer)
''',
    example_verdict="""\
verdict, because = "supported", (
    "The pattern fell in every seed. These runs do not show that the photos are the cause: it may fall whatever the "
    "target is. To tell the two apart I would train on photos that carry a checkerboard. I have not done so, nor have "
    "I looked at a network with many layers."
)""",
    hints=(
        "Halve the photos with F.avg_pool2d and let the layer double them again; about 200 steps are enough.",
        "In `measure`: an Adam optimiser on layer.parameters(), a loop that runs only for the trained condition, "
        "F.l1_loss between the layer's output and the photos, and at the end pattern(layer).",
    ),
    rubric=(
        "Does the hypothesis speak of the constant grey that is measured, not of pictures in general?",
        "Were the first weights the same in both conditions of a seed?",
    ),
)
