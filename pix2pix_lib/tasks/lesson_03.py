"""The tasks of notebook 03: the U-Net generator."""

import ast
import inspect

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ..layers import init_weights
from ..unet import DownBlock, UNet, UpBlock, encoder_channels
from .questions import Question
from .trials import OpenTask
from .writing import Task, fill, mistake, observe_module, with_bug

# --- the encoder-decoder --------------------------------------------------------------------------


def build_encoder_decoder(base_channels: int, depth: int) -> nn.Sequential:
    """Return a U-Net without skips: down blocks, up blocks, a last block and tanh."""
    blocks, before = [], 3
    widths = encoder_channels(base_channels, depth)
    for level, after in enumerate(widths):
        norm = "none" if level in (0, depth - 1) else "batch"
        blocks.append(DownBlock(before, after, norm=norm, bias=False, activate=level > 0))
        before = after
    for after in reversed(widths[:-1]):
        blocks.append(UpBlock(before, after, norm="batch", bias=False))
        before = after
    blocks += [UpBlock(before, 3, norm="none", bias=True), nn.Tanh()]
    return nn.Sequential(*blocks).apply(init_weights)


def _observe_build(make: object, base_channels: int, depth: int, x: Tensor) -> object:
    network = make(base_channels, depth)
    if not isinstance(network, nn.Module):
        return network
    first = {
        name: round(weight.std().item(), 2)
        for name, weight in network.named_parameters()
        if weight.ndim == 4 and weight.numel() > 100
    }
    return {**observe_module(network, x), "deviation of the first weights": first}


build = Task(
    key="03.build",
    title="the encoder-decoder",
    kind="core",
    difficulty=2,
    minutes=12,
    reference=build_encoder_decoder,
    stub="""\
def build_encoder_decoder(base_channels: int, depth: int) -> nn.Sequential:
    blocks, before = [], 3
    widths = encoder_channels(base_channels, depth)
    raise NotImplementedError  # the way down, the way up, the last block and the tanh
""",
    inputs=lambda seed: (2 + seed % 2, 2 + seed, torch.randn(2, 3, 64, 64 * (1 + seed % 2))),
    observe=_observe_build,
    mistakes=(
        mistake(
            "The first block has a norm; it reads pixels and has none.",
            ("in (0, depth - 1)", "== depth - 1"),
        ),
        mistake(
            "The last block on the way down has a norm. At 1x1 a norm has next to nothing to take a mean of.",
            ("in (0, depth - 1)", "== 0"),
        ),
        mistake(
            "The first block has an activation: it bends the pixels before it has seen them.",
            (", activate=level > 0", ""),
        ),
        mistake(
            "There is one block too many on the way up: the image comes out twice as large.",
            ("reversed(widths[:-1])", "reversed(widths)"),
        ),
        mistake(
            "The way up takes the widths in the order of the way down; it should run backwards.",
            ("reversed(widths[:-1])", "widths[:-1]"),
        ),
        mistake(
            "The last block has a norm, which takes the overall colour out of each image.",
            (
                'UpBlock(before, 3, norm="none", bias=True)',
                'UpBlock(before, 3, norm="batch", bias=True)',
            ),
        ),
        mistake(
            "The last block has no bias. It has no norm either, so nothing else can shift its colours.",
            (
                'UpBlock(before, 3, norm="none", bias=True)',
                'UpBlock(before, 3, norm="none", bias=False)',
            ),
        ),
        mistake(
            "The image is not kept in [-1, 1]: the tanh is missing.",
            (", nn.Tanh()]", "]"),
        ),
        mistake(
            "A sigmoid ends the network: no pixel can be darker than middle grey.",
            ("nn.Tanh()", "nn.Sigmoid()"),
        ),
        mistake(
            "The first weights are PyTorch's own: `init_weights` was not applied.",
            (".apply(init_weights)", ""),
        ),
        mistake(
            "The convolutions before a batch norm have a bias, which the norm takes away again.",
            ("bias=False", "bias=True"),
        ),
    ),
    hints=(
        "Two loops, each ends with `before = after`. Write down (in, out) of each block for depth 3 first.",
        'On the way down `norm` is "none" for level 0 and level depth - 1, and activate is level > 0. '
        "The way up goes through all widths but the last, backwards.",
    ),
)

# --- the U-Net ------------------------------------------------------------------------------------


def _opened(source: str, first_line: str, *methods: str) -> str:
    """Return a class's source with `raise NotImplementedError` in some methods and a short docstring."""
    lines, class_body = source.splitlines(), ast.parse(source).body[0].body
    pieces = [(class_body[0], f'    """{first_line}"""')]
    for node in class_body[1:]:
        if node.name in methods:
            pieces.append(
                (node.body[1], "        raise NotImplementedError")
            )  # body[0] is the docstring
            pieces += [(rest, None) for rest in node.body[2:]]
    for node, text in reversed(pieces):
        lines[node.lineno - 1 : node.end_lineno] = [] if text is None else [text]
    return "\n".join(lines) + "\n"


def _inputs_unet(seed: int) -> tuple[dict, Tensor]:
    depth = (3, 2, 4, 3, 4)[seed]
    options = {"in_channels": 3 - seed % 2, "base_channels": 2 + seed % 2, "depth": depth}
    options |= {"skips": seed != 3, "norm": ("batch", "instance")[seed % 2], "dropout": 0.0}
    return options, torch.randn(2, 3 - seed % 2, 2**depth * 2, 2**depth * (1 + seed % 2))


def _observe_unet(make: object, options: dict, x: Tensor) -> object:
    network = make(**options)
    if not isinstance(network, nn.Module):
        return network
    found = observe_module(network, x)
    features = [list(each.shape) for each in network.encode(x)]
    (gradient,) = torch.autograd.grad(network(x.requires_grad_()).sum(), x)
    return {**found, "shapes that encode returns": features, "gradient at the input": gradient}


_JOIN = "                x = torch.cat([x, skips.pop()], dim=1)\n"
_STEP, _KEEP = "            x = down(x)\n", "            features.append(x)\n"

unet = Task(
    key="03.unet",
    title="the way down and the way up of a U-Net",
    kind="core",
    difficulty=2,
    minutes=15,
    reference=UNet,
    stub=_opened(
        inspect.getsource(UNet),
        "Translate images: `depth` halvings, as many doublings, and skips between equal sizes.",
        "encode",
        "decode",
    ),
    inputs=_inputs_unet,
    observe=_observe_unet,
    mistakes=(
        mistake(
            "The skips come from the wrong end of the list: the first up block makes a small map, and the list's first "
            "feature is the largest.",
            ("skips.pop()", "skips.pop(0)"),
        ),
        mistake(
            "The bottleneck is still in the list of skips; it goes straight on and is no skip.",
            ("features[:-1]", "list(features)"),
        ),
        mistake(
            "The two features are put one after the other in the batch, not in the channels.",
            ("dim=1", "dim=0"),
        ),
        mistake(
            "The two features are put one below the other in the image, not in the channels.",
            ("dim=1", "dim=2"),
        ),
        mistake(
            "The two features are put side by side in the image, not in the channels.",
            ("dim=1", "dim=3"),
        ),
        mistake(
            "The channels of the skip come before those of the block; the weights expect them the other way round.",
            ("[x, skips.pop()]", "[skips.pop(), x]"),
        ),
        mistake(
            "The two features are added. The next block expects both of them, one behind the other.",
            ("torch.cat([x, skips.pop()], dim=1)", "x + skips.pop()"),
        ),
        mistake(
            "The skip is joined before the block has doubled the image, so the sizes do not fit.",
            (_JOIN, _JOIN + "            x = up(x)\n"),
            ("            x = up(x)\n            if", "            if"),
        ),
        mistake(
            "Skips are joined although the network was built with `skips=False`.",
            ("if self.skips:", "if True:"),
        ),
        mistake(
            "The skips carry values but no gradient: the encoder would learn nothing through them.",
            ("skips.pop()", "skips.pop().detach()"),
        ),
        mistake(
            "The list from `encode` does not end with the bottleneck: it holds what each block *makes*, the last one too.",
            (_STEP + _KEEP, _KEEP + _STEP),
        ),
        mistake(
            "`encode` returns the last feature alone; the decoder needs all of them.",
            ("return features", "return x"),
        ),
        mistake(
            "The list from `encode` has one entry too many: the image itself, which no block has made.",
            ("features = []", "features = [x]"),
        ),
        mistake(
            "`decode` returns the image already. It should return what the head reads; `forward` calls the head.",
            ("        return x\n", "        return self.head(x)\n"),
        ),
        mistake(
            "Each down block reads the image itself: what the block before it made gets lost.",
            (_STEP + _KEEP, "            features.append(down(x))\n"),
        ),
    ),
    hints=(
        "Draw three levels. Which feature does the first up block's output meet, and which the last one's?",
        "Last in, first out: append in `encode`; in `decode` begin with the last feature, and after each up block "
        "take the next skip from the end of what remains.",
    ),
)

# --- an image of any size -------------------------------------------------------------------------


def translate_any_size(network: UNet, x: Tensor) -> Tensor:
    """Return what a U-Net makes of images of any size, padded and cut again."""
    height, width = x.shape[2:]
    step = 2**network.depth
    padded = F.pad(x, (0, -width % step, 0, -height % step), mode="reflect")
    return network(padded)[:, :, :height, :width]


def _inputs_any_size(seed: int) -> tuple[UNet, Tensor]:
    network = fill(UNet(base_channels=2, depth=2 + seed % 2)).eval()
    height, width = ((17, 22), (50, 73), (16, 24), (24, 45), (31, 20))[seed]
    return network, torch.randn(1 + seed % 2, 3, height, width)


any_size = Task(
    key="03.any_size",
    title="translate an image of any size",
    kind="core",
    difficulty=2,
    minutes=10,
    reference=translate_any_size,
    stub="""\
def translate_any_size(network: UNet, x: Tensor) -> Tensor:
    height, width = x.shape[2:]
    raise NotImplementedError  # pad, translate, cut back
""",
    inputs=_inputs_any_size,
    mistakes=(
        mistake(
            "The padding for the width went to the height, and the other way round: F.pad names the last axis first.",
            ("(0, -width % step, 0, -height % step)", "(0, -height % step, 0, -width % step)"),
        ),
        mistake(
            "The padding is at the left and the top, so the cut takes away the wrong pixels.",
            ("(0, -width % step, 0, -height % step)", "(-width % step, 0, -height % step, 0)"),
        ),
        mistake(
            "The image is padded with zeros, that is with grey; mirror it.",
            (', mode="reflect"', ""),
        ),
        mistake(
            "The edge pixels are repeated instead of mirrored.",
            ('"reflect"', '"replicate"'),
        ),
        mistake(
            "The result is as large as the padded image: it was not cut back.",
            ("[:, :, :height, :width]", ""),
        ),
        mistake(
            "The cut keeps the wrong corner: what was added lies at the right and the bottom.",
            ("[:, :, :height, :width]", "[:, :, -height:, -width:]"),
        ),
        mistake(
            "An image that fits already is padded by a whole step; nothing is missing there.",
            ("-width % step", "step - width % step"),
            ("-height % step", "step - height % step"),
        ),
        mistake(
            "The padding is what is left over, not what is missing to the next multiple.",
            ("-width % step", "width % step"),
            ("-height % step", "height % step"),
        ),
        mistake(
            "The image is cut down to a size that fits, and the rest of it is lost.",
            (
                'F.pad(x, (0, -width % step, 0, -height % step), mode="reflect")',
                "x[:, :, : height - height % step, : width - width % step]",
            ),
        ),
        mistake(
            "The step is the depth itself. Each level halves the image, so it is a power of 2.",
            ("2**network.depth", "network.depth"),
        ),
    ),
    hints=(
        "How many pixels are missing to the next multiple of 2 to the power of the depth? `network.depth` knows it.",
        "`-length % step` is what is missing to the next multiple of `step`. Keep height and width for the cut.",
    ),
)

# --- to mend: a decoder that resizes --------------------------------------------------------------


def decode_resized(ups: list[nn.Module], features: list[Tensor]) -> Tensor:
    """Return what the last up block's output and its skip make together; a skip of another size is resized."""
    x, skips = features[-1], features[:-1]
    for up in ups:
        x, skip = up(x), skips.pop()
        if skip.shape[2:] != x.shape[2:]:
            skip = F.interpolate(skip, size=x.shape[2:])
        x = torch.cat([x, skip], dim=1)
    return x


def _inputs_resized(seed: int) -> tuple[list[nn.Module], list[Tensor]]:
    depth, height, width, channels = (
        3 + seed % 3,
        (64, 50, 48, 70, 64)[seed],
        (64, 64, 100, 64, 48)[seed],
        2,
    )
    ups = [
        fill(nn.ConvTranspose2d(channels * (1 if n == 0 else 2), channels, 4, 2, 1))
        for n in range(depth - 1)
    ]
    sizes = [(height >> level, width >> level) for level in range(1, depth + 1)]
    return ups, [torch.randn(1 + seed % 2, channels, *size) for size in sizes]


_RESIZE = "        if skip.shape[2:] != x.shape[2:]:\n            skip = F.interpolate(skip, size=x.shape[2:])\n"

resized = Task(
    key="03.resized",
    title="a repair that hides an error",
    kind="debug",
    difficulty=2,
    minutes=10,
    reference=decode_resized,
    stub=with_bug(decode_resized, ("skips.pop()", "skips.pop(0)")),
    inputs=_inputs_resized,
    observe=lambda function, ups, features: function(ups, list(features)),
    mistakes=(
        mistake(
            "Without the resize the error message is back: maps of quite different sizes still meet. Why do they?",
            ("skips.pop()", "skips.pop(0)"),
            (_RESIZE, ""),
        ),
        mistake(
            "Odd sizes fail now: 25 pixels halve to 12, and 12 doubled is 24. Keep the resize for them.",
            (_RESIZE, ""),
        ),
        mistake(
            "A smoother resize is still a resize of the wrong map.",
            ("skips.pop()", "skips.pop(0)"),
            ("size=x.shape[2:])", 'size=x.shape[2:], mode="bilinear")'),
        ),
        mistake(
            "The bottleneck is taken for the first skip, so each map meets a skip from one level too deep.",
            ("features[:-1]", "list(features)"),
        ),
        mistake(
            "Now the block's output takes the size of the wrong skip; the image grows and shrinks on its way up.",
            ("skips.pop()", "skips.pop(0)"),
            (
                "skip = F.interpolate(skip, size=x.shape[2:])",
                "x = F.interpolate(x, size=skip.shape[2:])",
            ),
        ),
        mistake(
            "The right maps meet, but the block's output is resized instead of the skip.",
            (
                "skip = F.interpolate(skip, size=x.shape[2:])",
                "x = F.interpolate(x, size=skip.shape[2:])",
            ),
        ),
        mistake(
            "The right maps meet, but an odd size is resized in another way now; that was not the fault.",
            ("size=x.shape[2:])", 'size=x.shape[2:], mode="bilinear")'),
        ),
        mistake(
            "The right maps meet, but the skip's channels come first now.",
            ("[x, skip]", "[skip, x]"),
        ),
    ),
    hints=(
        "Print the sizes of x and of the skip before the resize, in each turn. By how much should they differ?",
        "An odd size makes a difference of one pixel. A resize from 2 to 32 pixels says that another map is wanted.",
    ),
)

# --- a question -----------------------------------------------------------------------------------

_READ = 16 * (3 * 512 * 512 + 512 * 256 + 256 * 128 + 128 * 64 + 64 * 3)  # weights that read a skip

without_skips = Question(
    key="03.without_skips",
    title="what do skips cost?",
    difficulty=2,
    minutes=5,
    expected=lambda: sum(weight.numel() for weight in UNet(skips=False).parameters()),
    answer="answer_1 = 54_413_955 - 16 * (3 * 512 * 512 + 512 * 256 + 256 * 128 + 128 * 64 + 64 * 3)",
    wrong=(
        (_READ, "That is what the skips cost; the question asks for what remains without them."),
        (
            54_413_955 - _READ - 16 * 512 * 512,
            "You took channels from the first up block, too. It reads the bottleneck alone and never had a skip.",
        ),
        (
            54_413_955 - _READ + 16 * 64 * 3,
            "The last block, which makes the colours, reads a skip as well.",
        ),
        (
            54_413_955 - _READ // 16,
            "A kernel has 4 · 4 weights for each pair of channels; you counted one.",
        ),
        (
            54_413_955 - 2 * _READ,
            "You took away twice as much as the skips bring: a block keeps the channels of the block before.",
        ),
        (
            54_413_955 - _READ - 2 * (3 * 512 + 512 + 256 + 128 + 64),
            "You took scales and shifts away, too. A norm follows what a block makes, and that stays as it is.",
        ),
        (
            39_065_600,
            "You counted the kernels alone: scales, shifts and the bias of the last block are missing.",
        ),
        (
            54_413_955,
            "Nothing is left out yet: half of what most up blocks read comes through skips.",
        ),
    ),
    hints=(
        "Which of `widths`, `back`, `down_pairs` and `up_pairs` in section 7 knows about the skips?",
        "Each up block but the first, and the last block, reads half as many channels. Sum 16 * skip * out over them.",
    ),
)

# --- the open task --------------------------------------------------------------------------------

position = OpenTask(
    key="03.position",
    title="does a network know where, before it has learned?",
    difficulty=3,
    minutes=25,
    stub="""\
hypothesis = ""
expect = ("skips", ">", "no skips")  # two conditions, and the sign that you expect


def measure(condition: str, seed: int) -> float:
    torch.manual_seed(seed)
    label = facade_tensors(seed, 64)[0][None]  # (1, 3, 64, 64)
    row, column = torch.randint(8, 48, (2,)).tolist()
    changed = label.clone()
    changed[..., row : row + 8, column : column + 8] *= -1  # 8x8 pixels in other colours
    raise NotImplementedError  # how does the output of an untrained network change, and where?
""",
    example="""\
hypothesis = "Before any training, skips already keep a change in its place, because skip 1 passes by all other blocks."
expect = ("skips", ">", "no skips")


def measure(condition: str, seed: int) -> float:
    torch.manual_seed(seed)
    label = facade_tensors(seed, 64)[0][None]  # (1, 3, 64, 64)
    row, column = torch.randint(8, 48, (2,)).tolist()
    changed = label.clone()
    changed[..., row : row + 8, column : column + 8] *= -1  # 8x8 pixels in other colours
    network = UNet(base_channels=16, depth=6, skips=condition == "skips").eval()
    with torch.no_grad():
        change = (network(changed) - network(label)).abs().mean(dim=(0, 1))  # (H, W)
    near = change[row - 4 : row + 12, column - 4 : column + 12]  # the 16x16 pixels around it
    return (near.sum() / change.sum()).item()  # a change spread evenly gives 0.06
""",
    example_verdict="""\
verdict, because = "supported", (
    "With skips nearly all of the change stays near; without them its share is close to that of an even spread. But "
    "perhaps it stays near only because the small first weights let the deep blocks fade in evaluation mode. To tell "
    "the two apart I would measure in training mode, where the norms rescale. I have not done so."
)""",
    hints=(
        "Feed both images to one network in evaluation mode. How much of all the change lies near the changed pixels?",
        'A UNet with skips=condition == "skips"; the mean absolute change of each pixel; its sum over 16x16 pixels '
        "divided by its sum over all.",
    ),
    rubric=(
        "Would a change that is spread evenly be recognised: is its share known?",
        "Does the reason say what dropout, the norms or the mode of the network could have done?",
    ),
)
