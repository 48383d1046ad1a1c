"""The tasks of notebook 04: the discriminator's layers, and what each of its logits sees."""

import random

import torch
from torch import Tensor, nn

from ..patchgan import PatchDiscriminator, patch_layers
from ..receptive_field import PixelBox, measured_receptive_field
from .questions import Question
from .trials import OpenTask
from .writing import Task, mistake, observe_module, with_bug

# --- the layers of the PatchGAN -------------------------------------------------------------------


def _layers_and_pair(seed: int) -> tuple[dict, Tensor]:
    options = {"in_channels": 4 + seed, "base_channels": 4, "layers": 1 + seed}
    options["norm"] = ("batch", "instance", "none")[seed % 3]
    return options, torch.randn(2, 4 + seed, 80 + 8 * seed, 96)


def _judge(make: object, options: dict, pair: Tensor) -> dict:
    return observe_module(make(**options), pair)


layers = Task(
    key="04.layers",
    title="the layers of the PatchGAN",
    kind="core",
    difficulty=2,
    minutes=15,
    reference=patch_layers,
    stub='''\
def patch_layers(in_channels: int, base_channels: int, layers: int, norm: str) -> nn.Sequential:
    """Return `layers` blocks of stride 2, one of stride 1, and the convolution to one logit per patch."""
    blocks = [disc_block(in_channels, base_channels, stride=2, norm="none")]
    raise NotImplementedError  # the other blocks, then the last convolution
''',
    inputs=_layers_and_pair,
    observe=_judge,
    mistakes=(
        mistake(
            "All blocks have stride 2: the last one, C512 in the paper, has stride 1.",
            ("2 if level < layers else 1", "2"),
        ),
        mistake("There is a norm in the first block.", ('norm="none"', "norm=norm")),
        mistake(
            "The channels go on doubling: they stop at eight times the first.",
            ("min(2**level, 8)", "2**level"),
        ),
        mistake(
            "A sigmoid follows the last convolution; the losses work on logits.",
            ("padding=1))", "padding=1), nn.Sigmoid())"),
        ),
        mistake(
            "One block is missing: after `layers` blocks of stride 2 comes one of stride 1.",
            ("range(1, layers + 1)", "range(1, layers)"),
        ),
        mistake(
            "The channels grow by `base_channels` from block to block: they double.",
            ("min(2**level, 8)", "min(level + 1, 8)"),
        ),
        mistake(
            "The blocks lie in a second `nn.Sequential`, which gives the weights other names: put them in directly.",
            ("nn.Sequential(*blocks, ", "nn.Sequential(nn.Sequential(*blocks), "),
        ),
        mistake(
            "The last convolution has no padding: the map has lost two more rows and columns than it should.",
            ("padding=1))", "padding=0))"),
        ),
        mistake(
            "The last convolution has stride 2: your map is half as large as it should be.",
            ("1, kernel_size=4, stride=1", "1, kernel_size=4, stride=2"),
        ),
    ),
    hints=(
        "Write down the four pairs (channels in, channels out) of the 70x70 PatchGAN with their strides, then the loop.",
        "Block `level` maps `base_channels * min(2 ** (level - 1), 8)` channels to `base_channels * min(2**level, 8)`.",
    ),
)

# --- the recurrence -------------------------------------------------------------------------------


def chain_field(layers: list[tuple[int, int, int]]) -> tuple[int, int, int]:
    """Return (size, jump, start) of one output of a chain; a layer is (kernel, stride, padding)."""
    size, jump, start = 1, 1, 0
    for kernel, stride, padding in layers:
        size += (kernel - 1) * jump
        start -= padding * jump
        jump *= stride
    return size, jump, start


def _chain(seed: int) -> tuple[list]:
    rng = random.Random(seed)
    chain = [(rng.randint(2, 7), rng.randint(2, 3), rng.randint(1, 3)) for _ in range(2 + seed)]
    return ([*chain, (3 + seed, 1, 2)],)


def _by_name(function: object, layers: list) -> object:
    found = function(layers)
    is_triple = isinstance(found, tuple | list) and len(found) == 3
    return dict(zip(("size", "jump", "start"), found)) if is_triple else found


_JUMP = "        jump *= stride\n"

recurrence = Task(
    key="04.recurrence",
    title="a receptive field, layer by layer",
    kind="core",
    difficulty=2,
    minutes=10,
    reference=chain_field,
    stub='''\
def chain_field(layers: list[tuple[int, int, int]]) -> tuple[int, int, int]:
    """Return (size, jump, start) of one output of a chain; a layer is (kernel, stride, padding)."""
    size, jump, start = 1, 1, 0
    raise NotImplementedError  # one step for each layer
''',
    inputs=_chain,
    observe=_by_name,
    mistakes=(
        mistake(
            "A layer's own stride has gone into its own view: only the strides before it count there.",
            (_JUMP, ""),
            ("        size +=", _JUMP + "        size +="),
        ),
        mistake(
            "Each layer adds `kernel` steps: of k neighbours, the last lies k - 1 steps from the first.",
            ("(kernel - 1)", "kernel"),
        ),
        mistake(
            "The padding is counted in pixels of the picture; it counts values of the layer's own input.",
            ("padding * jump", "padding"),
        ),
        mistake(
            "A layer's own stride has gone into its padding: padding counts steps on the map before the layer.",
            (
                "        start -= padding * jump\n        jump *= stride",
                "        jump *= stride\n        start -= padding * jump",
            ),
        ),
        mistake(
            "Your rule for the size walks backwards, from an output to the picture; your loop goes forwards.",
            ("size += (kernel - 1) * jump", "size = (size - 1) * stride + kernel"),
        ),
        mistake(
            "Padding moves your first view to the right: it begins outside the picture, to the left of pixel 0.",
            ("start -=", "start +="),
        ),
        mistake(
            "Padding is counted on both sides: only the values in front of the first pixel move the start.",
            ("padding * jump", "2 * padding * jump"),
        ),
        mistake("The strides are added up: they multiply.", ("jump *= stride", "jump += stride")),
        mistake(
            "The jump is the stride of the last layer alone; each layer multiplies what came before.",
            ("jump *= stride", "jump = stride"),
        ),
        mistake(
            "You go through the layers from the last to the first, but with the rule for going forwards.",
            ("in layers:", "in layers[::-1]:"),
        ),
        mistake(
            "Three right numbers, in another order: size, jump, start.",
            ("return size, jump, start", "return size, start, jump"),
        ),
        mistake(
            "Only the size is returned, and it is right; jump and start are wanted as well.",
            ("return size, jump, start", "return size"),
        ),
    ),
    hints=(
        "Take two layers (4, 2, 1) and draw which pixels the first two values of the second map see.",
        "The step to the neighbour is `jump` pixels before the layer and `jump * stride` after it: what uses the old one?",
    ),
)

# --- the box of a patch ---------------------------------------------------------------------------


def patch_box(field: tuple[int, int, int], row: int, col: int, height: int, width: int) -> PixelBox:
    """Return the box of those pixels of a height x width picture that patch (row, col) sees."""
    size, jump, start = field
    top, left = start + jump * row, start + jump * col
    return PixelBox(max(top, 0), max(left, 0), min(top + size, height), min(left + size, width))


def _field_and_patch(seed: int) -> tuple:
    rng = random.Random(seed)
    height, width = rng.sample(range(60, 140), 2)
    size, jump = rng.randrange(11, 40), rng.choice((2, 4, 8))
    start = -rng.randrange(3, size // 2)
    rows, cols = ((side - 1 - start) // jump + 1 for side in (height, width))
    patches = ((0, cols // 2), (rows - 1, 1), (rows // 2, cols - 1), (2, 0), (rows - 1, cols - 2))
    return ((size, jump, start), *patches[seed % 5], height, width)


def _sides(function: object, *arguments: object) -> object:
    box = function(*arguments)
    return dict(vars(box)) if isinstance(box, PixelBox) else box


box = Task(
    key="04.box",
    title="the box of a patch",
    kind="core",
    difficulty=1,
    minutes=8,
    reference=patch_box,
    stub='''\
def patch_box(field: tuple[int, int, int], row: int, col: int, height: int, width: int) -> PixelBox:
    """Return the box of those pixels of a height x width picture that patch (row, col) sees."""
    size, jump, start = field
    raise NotImplementedError  # where the view begins and ends, then what of it lies on the picture
''',
    inputs=_field_and_patch,
    observe=_sides,
    mistakes=(
        mistake(
            "Rows and columns have changed places: the row sets top and bottom.",
            ("jump * row, start + jump * col", "jump * col, start + jump * row"),
        ),
        mistake(
            "Your patches lie side by side, `size` pixels apart: they overlap, and lie `jump` pixels apart.",
            ("jump * row", "size * row"),
            ("jump * col", "size * col"),
        ),
        mistake(
            "Patch (0, 0) of yours begins at pixel 0: where does the first view begin?",
            ("start + ", ""),
        ),
        mistake(
            "The last row and the last column are missing: a PixelBox ends as a slice does, one past the last pixel.",
            ("top + size", "top + size - 1"),
            ("left + size", "left + size - 1"),
        ),
        mistake(
            "Your bottom and right are the last pixels themselves: a PixelBox ends as a slice does, one past them.",
            (
                "min(top + size, height), min(left + size, width)",
                "min(top + size, height) - 1, min(left + size, width) - 1",
            ),
        ),
        mistake(
            "The four numbers are right, but in another order: a PixelBox takes top, left, bottom, right.",
            (
                "max(left, 0), min(top + size, height)",
                "min(top + size, height), max(left, 0)",
            ),
        ),
        mistake(
            "The box reaches beyond the picture: only its part on the picture is wanted.",
            (
                "max(top, 0), max(left, 0), min(top + size, height), min(left + size, width)",
                "top, left, top + size, left + size",
            ),
        ),
        mistake(
            "The box is cut at 0 first and made `size` long afterwards: so it ends too late.",
            (
                "start + jump * row, start + jump * col",
                "max(start + jump * row, 0), max(start + jump * col, 0)",
            ),
        ),
        mistake(
            "The box is cut at the top and on the left, but not at the bottom and on the right.",
            ("min(top + size, height), min(left + size, width)", "top + size, left + size"),
        ),
        mistake(
            "The four numbers are right, but they come as a tuple: return a PixelBox of them.",
            ("PixelBox(max", "(max"),
        ),
        mistake(
            "Height and width have changed places: the height limits the bottom.",
            ("size, height)", "size, WIDTH)"),
            ("size, width)", "size, height)"),
            ("WIDTH", "width"),
        ),
    ),
    hints=(
        "First forget the picture: at which pixel does the view of patch `row` begin, and at which does that of row + 1?",
        "`top = start + jump * row` and `bottom = top + size`; the box keeps what lies between 0 and height.",
    ),
)

# --- which patches see a pixel --------------------------------------------------------------------

pixel = Question(
    key="04.pixel",
    title="who sees this pixel?",
    difficulty=1,
    minutes=5,
    expected=lambda: ((7, 15), (0, 7)),
    wrong=(
        (
            ((6, 15), (-1, 7)),
            "The lower ends are rounded down: patch row 6 ends at pixel 94, and there is no patch -1.",
        ),
        (
            ((6, 15), (0, 7)),
            "Patch row 6 ends at pixel 94, so it does not see row 100: the lower end is rounded up.",
        ),
        (
            ((7, 16), (0, 8)),
            "Patch row 16 begins at pixel 105, after row 100: the upper end is rounded down, and it is included.",
        ),
        (((0, 7), (7, 15)), "Rows and columns have changed places: the pixel is in row 100."),
        (
            ((4, 12), (0, 5)),
            "In your solution patch 0 begins at pixel 0; it begins 23 pixels before the picture.",
        ),
        (
            ((12, 12), (5, 5)),
            "The patches do not lie side by side: many overlap, and all of these see the pixel.",
        ),
        (72, "That many patches see it; which rows and columns are they in?"),
    ),
    answer="answer_1 = ((7, 15), (0, 7))",
    hints=(
        "Patch i sees row 100 if -23 + 8i <= 100 <= 46 + 8i: two inequalities for i.",
        "For rows 8i is at least 100 - 46 and at most 100 + 23. For columns the lower end is below 0, where no patch is.",
    ),
)

# --- a design of one's own ------------------------------------------------------------------------


def judge_46(in_channels: int) -> nn.Sequential:
    """Return a chain of convolutions to one logit that sees 46 pixels; the next sees 46, 4 further on."""
    convs = [
        nn.Conv2d(in_channels, 8, 4, stride=2, padding=1),
        nn.Conv2d(8, 8, 4, stride=2, padding=1),
    ]
    convs += [nn.Conv2d(8, 8, 4, padding=1) for _ in range(2)]
    return nn.Sequential(*convs, nn.Conv2d(8, 1, 4, padding=1))  # 1 + 3 + 6 + 12 + 12 + 12


def _in_channels(seed: int) -> tuple[int]:
    return ((6, 3, 5)[seed],)


def _properties(make: object, in_channels: int) -> object:
    """Return what is asked of a design, whatever its layers."""
    chain = make(in_channels)
    if not isinstance(chain, nn.Module):
        return chain
    convs = [each for each in chain.modules() if isinstance(each, nn.Conv2d)]
    try:
        with torch.no_grad():
            channels = chain(torch.zeros(1, in_channels, 144, 144)).shape[1]
    except RuntimeError:
        return {"takes a picture of in_channels": "no"}
    found = {
        "takes a picture of in_channels": "yes",
        "channels of the map": channels,
        "every kernel at most 4": _yes(max(each.kernel_size) <= 4 for each in convs),
        "every padding 1": _yes(each.padding == (1, 1) for each in convs),
    }
    try:
        field = measured_receptive_field(chain, in_channels, side=144)
    except ValueError:
        return {**found, "pixels that one logit sees": "more than 46, or none"}
    found["pixels that one logit sees"] = field.size
    return {**found, "pixels from one patch to the next": field.stride}


def _yes(conditions: object) -> str:
    return "yes" if all(conditions) else "no"


def _judge_of(*strides: int) -> object:
    """Return a function that makes a chain of 4x4 convolutions with these strides."""

    def make(in_channels: int) -> nn.Sequential:
        widths = [in_channels, *[8] * (len(strides) - 1), 1]
        sides = zip(widths, widths[1:], strides)
        return nn.Sequential(*(nn.Conv2d(a, b, 4, stride, padding=1) for a, b, stride in sides))

    return make


design = Task(
    key="04.design",
    title="a judge with a field of 46",
    kind="core",
    difficulty=2,
    minutes=10,
    reference=judge_46,
    stub='''\
def judge_46(in_channels: int) -> nn.Sequential:
    """Return a chain of convolutions to one logit that sees 46 pixels; the next sees 46, 4 further on."""
    raise NotImplementedError  # several chains are right
''',
    inputs=_in_channels,
    observe=_properties,
    runs=3,
    mistakes=(
        mistake(
            "Your judge sees 34 pixels, like `patch_layers` with two layers of stride 2; 12 are missing.",
            other=_judge_of(2, 2, 1, 1),
        ),
        mistake(
            "Your judge has the geometry of the 70x70 PatchGAN.", other=_judge_of(2, 2, 2, 1, 1)
        ),
        mistake(
            "The field is 46, but neighbouring patches lie 8 pixels apart: the strides multiply to too much.",
            other=_judge_of(2, 2, 2, 1),
        ),
        mistake(
            "The field is 46, but neighbouring patches lie 1 pixel apart: no layer has a stride.",
            other=_judge_of(*[1] * 15),
        ),
        mistake(
            "The field is 46, but neighbouring patches lie 2 pixels apart: the strides multiply to too little.",
            other=_judge_of(2, *[1] * 7),
        ),
        mistake(
            "All is right but the end: there are 8 values per patch instead of one logit.",
            ("nn.Conv2d(8, 1, 4", "nn.Conv2d(8, 8, 4"),
        ),
        mistake(
            "Field and distance are right, but not every convolution has `padding=1`.",
            ("padding=1)", "padding=0)"),
        ),
        mistake(
            "Your chain does not take every `in_channels`: is the number of channels fixed?",
            ("Conv2d(in_channels,", "Conv2d(6,"),
        ),
    ),
    hints=(
        "A 4x4 layer adds 3 times the product of the strides before it. Which products may occur, if the last is 4?",
        "Two 4x4 layers of stride 2 see 10 pixels, 4 apart; each 4x4 layer of stride 1 after them adds 3 * 4.",
    ),
)

# --- a bug to find --------------------------------------------------------------------------------


# fmt: off
def both_pairs(judge: nn.Module, real_a: Tensor, real_b: Tensor, fake_b: Tensor) -> tuple[Tensor, Tensor]:
    """Return the logits of the true and of the painted pairs, from one call of the judge."""
    inputs = torch.cat([real_a, real_a])
    photos = torch.cat([real_b, fake_b])
    on_true, on_painted = judge(inputs, photos).chunk(2)
    return on_true, on_painted
# fmt: on


def _judge_and_pictures(seed: int) -> tuple:
    judge = PatchDiscriminator(base_channels=4, layers=1 + seed % 2, norm="none")
    nn.init.normal_(judge.model[0][0].weight, std=0.3)  # else its logits are nearly the same
    pictures = torch.rand(3, 2 + seed % 3, 3, 32 + 8 * seed, 40).mul(2).sub(1)
    return judge.requires_grad_(False), *pictures


def _verdicts(function: object, *arguments: object) -> object:
    found = function(*arguments)
    if not (isinstance(found, tuple | list) and len(found) == 2):
        return found
    return dict(zip(("logits of the true pairs", "logits of the painted pairs"), found))


_INPUTS = "torch.cat([real_a, real_a])"

verdicts = Task(
    key="04.verdicts",
    title="a judge that passes everything",
    kind="debug",
    difficulty=2,
    minutes=10,
    reference=both_pairs,
    stub=with_bug(both_pairs, ("torch.cat([real_a, real_a])", "torch.cat([real_a, real_b])")),
    inputs=_judge_and_pictures,
    observe=_verdicts,
    mistakes=(
        mistake(
            "Now each painted picture stands beside itself; it belongs beside its label map.",
            (_INPUTS, "torch.cat([real_a, fake_b])"),
        ),
        mistake(
            "Now every picture stands beside the true photo, and D sees no label map at all.",
            (_INPUTS, "torch.cat([real_b, real_b])"),
        ),
        mistake(
            "Each map now comes twice in a row, but the photos come in two blocks: most meet another facade's map.",
            (_INPUTS, "real_a.repeat_interleave(2, dim=0)"),
        ),
        mistake(
            "The two results have changed places: the logits of the true pairs come first.",
            ("[real_b, fake_b]", "[fake_b, real_b]"),
        ),
        mistake(
            "You exchanged the two results only; the pairs that the judge sees are still the given ones.",
            (_INPUTS, "torch.cat([real_a, real_b])"),
            ("return on_true, on_painted", "return on_painted, on_true"),
        ),
        mistake(
            "The maps are right now, but the judge sees the true photos twice and no painted picture.",
            ("[real_b, fake_b]", "[real_b, real_b]"),
        ),
        mistake(
            "The maps are right now, but the judge is called with the photos first; its inputs come first.",
            ("judge(inputs, photos)", "judge(photos, inputs)"),
        ),
        mistake(
            "The pairs are right now, but the logits are shared out in turn; the pairs come in two blocks.",
            (
                "on_true, on_painted = judge(inputs, photos).chunk(2)",
                "logits = judge(inputs, photos)",
            ),
            ("return on_true, on_painted", "return logits[::2], logits[1::2]"),
        ),
        mistake(
            "The true photos have lost their label maps: they stand beside the painted pictures.",
            (_INPUTS, "torch.cat([fake_b, real_a])"),
        ),
    ),
    hints=(
        "How could a judge tell the two kinds of pair apart here without a look at the photo?",
        "Write down, for both halves of the batch, which input and which photo meet. G painted `fake_b` from `real_a`.",
    ),
)

# --- an experiment --------------------------------------------------------------------------------

noticed = OpenTask(
    key="04.noticed",
    title="what can a judge learn to notice?",
    difficulty=3,
    minutes=20,
    stub='''\
hypothesis = ""  # one sentence: what changes, in which direction, and why
expect = ("field of 16", "<", "field of 34")  # two conditions, and what you expect of their values


def measure(condition: str, seed: int) -> float:
    """Return one number for a judge that was taught under this condition, from this seed."""
    judge = taught(moved(train_b), seed=seed, side=32)
    raise NotImplementedError  # let the condition change one thing; then judge val_a with val_b and with the lie
''',
    example='''\
hypothesis = "A judge of single pixels notices that a photo was moved only if it sees the label map."
expect = ("without the map", "<", "with the map")


def measure(condition: str, seed: int) -> float:
    """Return for what share of the held-out facades the true photo has the larger mean logit."""
    sees_map = condition == "with the map"
    judge = taught(moved(train_b), sees_map, seed, layers=0, side=32)
    with torch.no_grad():
        logits = [judge(val_a, photos) if sees_map else judge(photos) for photos in (val_b, moved(val_b))]
    on_true, on_moved = (each.flatten(1).mean(dim=1) for each in logits)
    return float((on_true > on_moved).float().mean())
''',
    example_verdict="""\
verdict, because = "supported", (
    "Perhaps because a moved photo has the wrong colours along the borders of its map. But the judge with the map has "
    "more weights, too. I did not test that; a judge taught beside another facade's map, with as many, would do so.")
""",
    hints=(
        "Choose one thing that a condition changes: the field (`layers`), the label map (`sees_map`), or the lie.",
        "Teach `taught(lie, sees_map, seed, layers, side=32)`; then compare its logits for `val_b` and for the same lie.",
    ),
    rubric=(
        "Are the judges compared on facades that none of them was taught with?",
        "Is the gap between the two ranges large beside the spread of the seeds?",
    ),
)
