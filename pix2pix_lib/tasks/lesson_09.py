"""The tasks of notebook 09: four norms by hand, batch norm's two modes, and what they change."""

import copy

import torch
from torch import Tensor, nn

from .questions import Question
from .trials import OpenTask
from .writing import Task, fill, mistake, with_bug

# --- one idea -------------------------------------------------------------------------------------


def standardise(x: Tensor, axes: tuple[int, ...], eps: float = 1e-5) -> Tensor:
    """Return x minus its mean, divided by its deviation, both over these axes."""
    mean = x.mean(axes, keepdim=True)
    variance = (x - mean).square().mean(axes, keepdim=True)
    return (x - mean) / (variance + eps).sqrt()


def _inputs_standardise(seed: int) -> tuple[Tensor, tuple[int, ...], float]:
    axes = ((0, 2, 3), (2, 3), (1,), (0, 1), (1, 2, 3, 4))[seed]
    shape = ((2, 3, 4, 5), (3, 2, 4, 6), (4, 6), (3, 2, 5), (2, 3, 2, 4, 3))[seed]
    x = 2 + torch.randn(shape, generator=torch.Generator().manual_seed(seed))
    return x, axes, (1e-5, 0.3, 0.05, 1e-5, 0.5)[seed]


def _observe_standardise(function, x: Tensor, axes: tuple[int, ...], eps: float) -> object:
    return _tensor(function(x, axes, eps))


def _tensor(value: object) -> object:
    """Return a value if it is a tensor, with which later cells can go on, else what it is."""
    return value if isinstance(value, Tensor) else f"{type(value).__name__}, not a tensor"


_VARIANCE = "(x - mean).square().mean(axes, keepdim=True)"

one_norm = Task(
    key="09.one_norm",
    title="subtract a mean, divide by a deviation",
    kind="core",
    difficulty=1,
    minutes=8,
    reference=standardise,
    stub='''\
def standardise(x: Tensor, axes: tuple[int, ...], eps: float = 1e-5) -> Tensor:
    """Return x minus its mean, divided by its deviation, both over these axes."""
    raise NotImplementedError  # a mean, a variance, and the division
''',
    inputs=_inputs_standardise,
    observe=_observe_standardise,
    mistakes=(
        mistake(
            "Your variance is the unbiased one, divided by one less than the count. Here it is a plain mean.",
            (_VARIANCE, "x.var(axes, keepdim=True)"),
        ),
        mistake(
            "You divide by the variance. The deviation is its root.",
            ("(variance + eps).sqrt()", "(variance + eps)"),
        ),
        mistake(
            "You add eps to the deviation. It belongs to the variance, before the root is taken.",
            ("(variance + eps).sqrt()", "(variance.sqrt() + eps)"),
        ),
        mistake(
            "eps has no effect in your code: numbers that are all equal would be divided by zero.",
            (" + eps", ""),
        ),
        mistake(
            "Only the mean is divided, as `/` comes before `-`. Put the difference into brackets.",
            ("return (x - mean)", "return x - mean"),
        ),
        mistake("You divide, but do not subtract the mean.", ("return (x - mean)", "return x")),
        mistake(
            "Your variance is the mean of the squares of x itself. Subtract the mean before you square.",
            (_VARIANCE, "x.square().mean(axes, keepdim=True)"),
        ),
        mistake(
            "You average over all numbers of x. Only the given axes belong into the mean and the variance.",
            ("mean(axes, keepdim=True)", "mean()"),
        ),
        mistake(
            "The averaged axes are gone, so the mean does not line up with x. `mean` can keep them, with size 1.",
            (", keepdim=True", ""),
        ),
    ),
    hints=(
        "Three steps: the mean over the axes; the mean of the squared distances from it; one division. The averaged "
        "axes must stay, with size 1.",
        "`x.mean(axes, keepdim=True)` gives the mean. Square `x - mean` and take the mean again, add eps, take the "
        "root.",
    ),
)

# --- four norms -----------------------------------------------------------------------------------


def by_hand(norm: str, x: Tensor, groups: int = 1) -> Tensor:
    """Return x of (N, C, H, W) after a norm: "batch", "instance", "layer" or "group"."""
    if norm == "group":
        images, channels, height, width = x.shape
        grouped = x.reshape(images, groups, channels // groups, height, width)
        return standardise(grouped, (2, 3, 4)).reshape(x.shape)
    return standardise(x, {"batch": (0, 2, 3), "instance": (2, 3), "layer": (1, 2, 3)}[norm])


def _inputs_features(seed: int) -> tuple[Tensor, int]:
    images, (channels, groups) = 2 + seed % 3, ((6, 2), (8, 4), (6, 3), (12, 3), (4, 2))[seed]
    generator = torch.Generator().manual_seed(seed)
    x = torch.randn(images, channels, 3 + seed, 4, generator=generator)
    scale = 1 + 2 * torch.rand(images, channels, 1, 1, generator=generator)
    return scale * x + 4 * torch.randn(images, channels, 1, 1, generator=generator), groups


def _observe_norms(function, x: Tensor, groups: int) -> dict:
    found = {f"{norm} norm": function(norm, x) for norm in ("batch", "instance", "layer")}
    found[f"group norm, {groups} groups"] = function("group", x, groups)
    return {name: _tensor(value) for name, value in found.items()}


_GROUPED = "reshape(images, groups, channels // groups, height, width)"
_AXES = '{"batch": (0, 2, 3), "instance": (2, 3), "layer": (1, 2, 3)}'

four_norms = Task(
    key="09.four_norms",
    title="four norms with one function",
    kind="core",
    difficulty=2,
    minutes=12,
    reference=by_hand,
    stub='''\
def by_hand(norm: str, x: Tensor, groups: int = 1) -> Tensor:
    """Return x of (N, C, H, W) after a norm: "batch", "instance", "layer" or "group"."""
    raise NotImplementedError  # the axes of each norm; for "group", another shape first
''',
    inputs=_inputs_features,
    observe=_observe_norms,
    mistakes=(
        mistake(
            "Your batch norm averages over the images only, and keeps a mean for each pixel. One mean per channel "
            "also takes in its height and width.",
            ("(0, 2, 3)", "(0,)"),
        ),
        mistake(
            "Your batch norm and layer norm are exchanged.",
            (_AXES, '{"batch": (1, 2, 3), "instance": (2, 3), "layer": (0, 2, 3)}'),
        ),
        mistake(
            "Your instance norm and layer norm are exchanged.",
            (_AXES, '{"batch": (0, 2, 3), "instance": (1, 2, 3), "layer": (2, 3)}'),
        ),
        mistake(
            "Your batch norm and instance norm are exchanged.",
            (_AXES, '{"batch": (2, 3), "instance": (0, 2, 3), "layer": (1, 2, 3)}'),
        ),
        mistake(
            "Your batch norm averages over the channels, too. Each channel has a mean of its own.",
            ("(0, 2, 3)", "(0, 1, 2, 3)"),
        ),
        mistake(
            "Your layer norm mixes the images of the batch. Each image has a mean of its own.",
            ("(1, 2, 3)", "(0, 1, 2, 3)"),
        ),
        mistake(
            "Your group norm has one mean per image, as layer norm has. Each group has a mean of its own.",
            ("(2, 3, 4)", "(1, 2, 3, 4)"),
        ),
        mistake(
            "Your layer norm averages over the channels only, as in a transformer. Here it is one mean per image.",
            ("(1, 2, 3)", "(1,)"),
        ),
        mistake(
            "Your groups take every second or third channel. Channels of a group are neighbours.",
            (_GROUPED, "reshape(images, channels // groups, groups, height, width)"),
            ("(2, 3, 4)", "(1, 3, 4)"),
        ),
        mistake(
            "You have exchanged the number of groups and the number of channels in a group.",
            (_GROUPED, "reshape(images, channels // groups, groups, height, width)"),
        ),
        mistake(
            "Your group norm has a mean for each channel, as instance norm has: the channels of a group stay apart.",
            ("(2, 3, 4)", "(3, 4)"),
        ),
        mistake("Your group norm mixes the images of the batch.", ("(2, 3, 4)", "(0, 2, 3, 4)")),
        mistake(
            "Your group norm returns five axes. The result must have the shape of x.",
            (".reshape(x.shape)", ""),
        ),
    ),
    hints=(
        "The axes to average over are those that the mean does not keep. One mean per channel: which three go?",
        "A dictionary from three names to axes, given to `standardise`. For group norm, reshape C into (groups, "
        "channels of a group), average over the last three axes, and reshape back.",
    ),
)

# --- batch norm's two modes -----------------------------------------------------------------------


def batch_norm(x: Tensor, mean: Tensor, variance: Tensor, training: bool, momentum=0.1) -> tuple:
    """Return the result for x, and the running mean and variance to keep."""
    if training:
        new_mean = (1 - momentum) * mean + momentum * x.mean((0, 2, 3))
        new_variance = (1 - momentum) * variance + momentum * x.var((0, 2, 3))
        return standardise(x, (0, 2, 3)), new_mean, new_variance
    deviation = (variance + 1e-5).sqrt()
    return (x - mean[:, None, None]) / deviation[:, None, None], mean, variance


def _inputs_averages(seed: int) -> tuple[Tensor, Tensor, Tensor, float]:
    generator = torch.Generator().manual_seed(seed)
    channels = 3 + seed
    x = 1 + 2 * torch.randn(1 + seed % 3, channels, 2, 3, generator=generator)
    mean, variance = (
        torch.randn(channels, generator=generator),
        0.5 + torch.rand(channels, generator=generator),
    )
    return x, mean, variance, (0.1, 0.3, 0.05, 0.2, 0.7)[seed]


def _observe_batch_norm(
    function, x: Tensor, mean: Tensor, variance: Tensor, momentum: float
) -> object:
    found = {}
    for mode, training in (("training", True), ("evaluation", False)):
        given = mean.clone(), variance.clone()
        returned = function(x.clone(), *given, training, momentum)
        if not isinstance(returned, tuple | list) or len(returned) != 3:
            return returned
        names = "result", "running mean", "running variance"
        found |= {f"{name}, in {mode}": value for name, value in zip(names, returned)}
        kept = zip(("mean", "variance"), given)
        found |= {f"the {name} you gave, after {mode}": value for name, value in kept}
    return found


def _averages_whatever_the_mode(x, mean, variance, training, momentum=0.1):
    result = batch_norm(x, mean, variance, training, momentum)[0]
    return result, *batch_norm(x, mean, variance, True, momentum)[1:]


def _new_ones_in_evaluation(x, mean, variance, training, momentum=0.1):
    new_mean, new_variance = batch_norm(x, mean, variance, True, momentum)[1:]
    if not training:
        return batch_norm(x, new_mean, new_variance, False, momentum)
    return standardise(x, (0, 2, 3)), new_mean, new_variance


_NEW_MEAN = "(1 - momentum) * mean + momentum * x.mean((0, 2, 3))"
_NEW_VARIANCE = "(1 - momentum) * variance + momentum * x.var((0, 2, 3))"

two_modes = Task(
    key="09.two_modes",
    title="batch norm in both modes",
    kind="core",
    difficulty=2,
    minutes=15,
    reference=batch_norm,
    stub='''\
def batch_norm(x: Tensor, mean: Tensor, variance: Tensor, training: bool, momentum=0.1) -> tuple:
    """Return the result for x, and the running mean and variance to keep."""
    raise NotImplementedError  # in training: the batch counts, and is remembered; else: the averages count
''',
    inputs=_inputs_averages,
    observe=_observe_batch_norm,
    mistakes=(
        mistake(
            "Your averages change too fast: momentum is the weight of the new value, not of the old one.",
            (_NEW_MEAN, "momentum * mean + (1 - momentum) * x.mean((0, 2, 3))"),
            (_NEW_VARIANCE, "momentum * variance + (1 - momentum) * x.var((0, 2, 3))"),
        ),
        mistake(
            "You remember the biased variance. Batch norm divides by that one and remembers the unbiased one.",
            ("x.var((0, 2, 3))", "x.var((0, 2, 3), correction=0)"),
        ),
        mistake(
            "In training you use the running averages. There the batch's own mean and variance count.",
            (
                "standardise(x, (0, 2, 3))",
                "(x - new_mean[:, None, None]) / (new_variance[:, None, None] + 1e-5).sqrt()",
            ),
        ),
        mistake(
            "In evaluation you use the batch's own mean and variance. There the running averages count.",
            (
                "(x - mean[:, None, None]) / deviation[:, None, None]",
                "standardise(x, (0, 2, 3))",
            ),
        ),
        mistake(
            "Your averages also change in evaluation. There they must stay as they are.",
            other=_averages_whatever_the_mode,
        ),
        mistake(
            "In evaluation you put the batch into the averages, and then use them.",
            other=_new_ones_in_evaluation,
        ),
        mistake(
            "You change the tensors that you were given, in place. Return new ones.",
            (_NEW_MEAN, "mean.mul_(1 - momentum).add_(momentum * x.mean((0, 2, 3)))"),
            (_NEW_VARIANCE, "variance.mul_(1 - momentum).add_(momentum * x.var((0, 2, 3)))"),
        ),
        mistake(
            "You keep only the last batch's mean and variance. The old averages keep most of their weight.",
            (_NEW_MEAN, "x.mean((0, 2, 3))"),
            (_NEW_VARIANCE, "x.var((0, 2, 3))"),
        ),
        mistake(
            "In evaluation you divide by the variance. The deviation is the root of variance plus eps.",
            ("(variance + 1e-5).sqrt()", "variance + 1e-5"),
        ),
        mistake(
            "In training you divide by the unbiased deviation. That variance is remembered; the biased one divides.",
            (
                "standardise(x, (0, 2, 3))",
                "(x - x.mean((0, 2, 3), keepdim=True)) / (x.var((0, 2, 3), keepdim=True) + 1e-5).sqrt()",
            ),
        ),
        mistake(
            "The two modes are exchanged.",
            ("if training:", "if not training:"),
        ),
        mistake(
            "You ignore `momentum`. It is 0.1 only by default.",
            (_NEW_MEAN, "0.9 * mean + 0.1 * x.mean((0, 2, 3))"),
            (_NEW_VARIANCE, "0.9 * variance + 0.1 * x.var((0, 2, 3))"),
        ),
        mistake(
            "Your averages do not move in training. Return the new ones.",
            (_NEW_MEAN, "mean"),
            (_NEW_VARIANCE, "variance"),
        ),
        mistake(
            "What you remember is the deviation. It is the variance that is averaged.",
            ("* x.var(", "* x.std("),
        ),
    ),
    hints=(
        "Treat the two modes separately. In training the result comes from `standardise`, and the averages move a little "
        "towards this batch. In evaluation nothing moves.",
        "New average: `(1 - momentum) * old + momentum * new`, with `x.var((0, 2, 3))` for the variance. In "
        "evaluation, `mean[:, None, None]` lines up with (N, C, H, W).",
    ),
)

# --- folding --------------------------------------------------------------------------------------


def fold(conv: nn.Conv2d, norm: nn.BatchNorm2d) -> tuple[Tensor, Tensor]:
    """Return weight and bias of one convolution for `conv` and, in evaluation mode, `norm` after it."""
    factor = norm.weight / (norm.running_var + norm.eps).sqrt()
    bias = 0 if conv.bias is None else conv.bias
    shift = norm.bias + (bias - norm.running_mean) * factor
    return conv.weight * factor.reshape(-1, 1, 1, 1), shift


def _inputs_fold(seed: int) -> tuple[nn.Conv2d, nn.BatchNorm2d]:
    before, after = ((3, 3), (4, 4), (2, 5), (6, 2), (5, 5))[seed]
    conv = nn.Conv2d(before, after, (3, 4, 1, 3, 4)[seed], bias=seed % 2 == 0)
    norm = nn.BatchNorm2d(after, eps=(1e-5, 0.2, 1e-5, 0.1, 0.4)[seed])
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for each in (*conv.parameters(), *norm.parameters(), norm.running_mean):
            each.copy_(torch.randn(each.shape, generator=generator))
        norm.running_var.copy_(0.3 + 2 * torch.rand(after, generator=generator))
    return conv, norm.eval()


def _observe_fold(function, conv: nn.Conv2d, norm: nn.BatchNorm2d) -> object:
    with torch.no_grad():
        returned = function(conv, norm)
        if not isinstance(returned, tuple | list) or len(returned) != 2:
            return returned
        return {
            "weight": returned[0],
            "bias": returned[1],
            "weight of conv afterwards": conv.weight.clone(),
        }


_SHIFT = "norm.bias + (bias - norm.running_mean) * factor"

one_convolution = Task(
    key="09.one_convolution",
    title="fold a norm into a convolution",
    kind="core",
    difficulty=2,
    minutes=12,
    reference=fold,
    stub='''\
def fold(conv: nn.Conv2d, norm: nn.BatchNorm2d) -> tuple[Tensor, Tensor]:
    """Return weight and bias of one convolution for `conv` and, in evaluation mode, `norm` after it."""
    raise NotImplementedError  # the factor of each output channel; then weight and bias
''',
    inputs=_inputs_fold,
    observe=_observe_fold,
    mistakes=(
        mistake(
            "Your factors multiply the input channels. The first axis of a convolution's weight is the output.",
            ("reshape(-1, 1, 1, 1)", "reshape(1, -1, 1, 1)"),
        ),
        mistake(
            "You divide by the variance instead of the deviation.",
            ("(norm.running_var + norm.eps).sqrt()", "(norm.running_var + norm.eps)"),
        ),
        mistake(
            "You add eps to the deviation. It belongs under the root.",
            ("(norm.running_var + norm.eps).sqrt()", "(norm.running_var.sqrt() + norm.eps)"),
        ),
        mistake(
            "The norm's shift is multiplied by the factor in your bias. It is added last, as it is.",
            (_SHIFT, "(norm.bias + bias - norm.running_mean) * factor"),
        ),
        mistake(
            "The two tensors are exchanged: the weight comes first.",
            (
                "return conv.weight * factor.reshape(-1, 1, 1, 1), shift",
                "return shift, conv.weight * factor.reshape(-1, 1, 1, 1)",
            ),
        ),
        mistake("The norm's own eps is missing under the root.", (" + norm.eps", "")),
        mistake(
            "The convolution's own bias is lost. Some convolutions have one.",
            ("0 if conv.bias is None else conv.bias", "0"),
        ),
        mistake(
            "You add the convolution's bias as it is. The norm multiplies it, too, by its factor.",
            (_SHIFT, "norm.bias + bias - norm.running_mean * factor"),
        ),
        mistake(
            "The running mean is not multiplied by the factor in your bias.",
            (_SHIFT, "norm.bias + bias * factor - norm.running_mean"),
        ),
        mistake(
            "The running mean has the wrong sign in your bias.",
            ("bias - norm.running", "bias + norm.running"),
        ),
        mistake("The norm's learned scale is missing.", ("norm.weight / ", "1 / ")),
        mistake("The norm's learned shift is missing.", ("norm.bias + ", "")),
        mistake(
            "You change the convolution that you were given, in place. Return new tensors.",
            (
                "conv.weight * factor.reshape(-1, 1, 1, 1)",
                "conv.weight.mul_(factor.reshape(-1, 1, 1, 1))",
            ),
        ),
    ),
    hints=(
        "Write down what the norm makes of one value y of an output channel, as a factor times y plus a constant. "
        "Then put in y = weight times pixels plus bias.",
        "`(y - running_mean) * factor + bias` with `factor = weight / sqrt(running_var + eps)`, all of the norm. The "
        "factor belongs to the output channel: the first axis of the convolution's weight.",
    ),
)

# --- a question -----------------------------------------------------------------------------------


def _counts() -> dict[str, int]:
    features = torch.zeros(4, 64, 4, 4)
    means = {
        "batch": features.mean((0, 2, 3)),
        "instance": features.mean((2, 3)),
        "layer": features.mean((1, 2, 3)),
    }
    means["group"] = features.reshape(4, 32, 2, 4, 4).mean((2, 3, 4))
    return {norm: each.numel() for norm, each in means.items()}


means = Question(
    key="09.means",
    title="count the means",
    difficulty=1,
    minutes=4,
    expected=_counts,
    wrong=(
        (
            {"batch": 64, "instance": 256, "layer": 4, "group": 32},
            "Group norm does not mix the images: each of them has means of its own.",
        ),
        (
            {"batch": 64, "instance": 256, "layer": 4, "group": 8},
            "Your group norm has two groups of 32 channels. It has 32 groups.",
        ),
        (
            {"batch": 4, "instance": 256, "layer": 64, "group": 128},
            "Batch norm and layer norm are exchanged: which one has a mean per channel?",
        ),
        (
            {"batch": 64, "instance": 64, "layer": 4, "group": 128},
            "Instance norm does not mix the images either: a mean for each image *and* channel.",
        ),
        (
            {"batch": 4096, "instance": 1024, "layer": 65536, "group": 2048},
            "You count the values that go into each mean. Count the means.",
        ),
    ),
    answer='answer_1 = {"batch": 64, "instance": 4 * 64, "layer": 4, "group": 4 * 32}',
    hints=(
        "There are as many means as there are pieces in the table of section 2.",
        "The axes that are averaged away disappear; multiply the sizes of those that are left. Group norm turns 64 "
        "channels into 32 groups of 2.",
    ),
)

# --- to mend --------------------------------------------------------------------------------------


def paint_singly(network: nn.Module, images: Tensor) -> Tensor:
    """Return a picture of each image, made with its own statistics; the network stays as it was."""
    painter = copy.deepcopy(network).train()
    with torch.no_grad():
        pictures = [painter(image[None]) for image in images]
    return torch.cat(pictures)


def _inputs_network(seed: int) -> tuple[nn.Module, Tensor]:
    width = 3 + seed
    layers = [
        nn.Conv2d(3, width, 3, padding=1),
        nn.BatchNorm2d(width, momentum=0.1 + 0.1 * (seed % 3)),
        nn.ReLU(),
        nn.Conv2d(width, 3, 1),
        nn.Tanh(),
    ]
    if seed % 2:
        layers[3:3] = [nn.Conv2d(width, width, 3, padding=1), nn.BatchNorm2d(width), nn.ReLU()]
    generator = torch.Generator().manual_seed(seed)
    scale = 1 + torch.rand(2 + seed, 1, 1, 1, generator=generator)
    images = scale * torch.randn(2 + seed, 3, 8, 9 + seed, generator=generator)
    return fill(nn.Sequential(*layers)).eval(), images


def _observe_painting(function, network: nn.Module, images: Tensor) -> dict:
    averages = [each for name, each in network.named_buffers() if "running" in name]
    found = {"pictures": function(network, images)}
    found["mode of the network afterwards"] = (
        "training, in whole or in part"
        if any(m.training for m in network.modules())
        else "evaluation"
    )
    found["running averages afterwards"] = torch.cat(averages).clone()
    network.train()(images)
    found["running averages after one more batch of training"] = torch.cat(averages).clone()
    return found


def _whole_batch(network, images):
    painter = copy.deepcopy(network).train()
    with torch.no_grad():
        return painter(images)


def _forgets_the_mode(network, images):
    kept = {name: each.clone() for name, each in network.state_dict().items()}
    network.train()
    with torch.no_grad():
        pictures = torch.cat([network(image[None]) for image in images])
    network.load_state_dict(kept)
    return pictures


def _no_more_momentum(network, images):
    for module in network.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.momentum = 0.0
    network.train()
    with torch.no_grad():
        pictures = torch.cat([network(image[None]) for image in images])
    network.eval()
    return pictures


def _a_tenth_again(network, images):
    pictures = _no_more_momentum(network, images)
    for module in network.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.momentum = 0.1
    return pictures


def _from_the_start(network, images):
    network.train()
    with torch.no_grad():
        pictures = torch.cat([network(image[None]) for image in images])
    for module in network.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.reset_running_stats()
    network.eval()
    return pictures


own_statistics = Task(
    key="09.own_statistics",
    title="looking at pictures changes the score",
    kind="debug",
    difficulty=2,
    minutes=12,
    reference=paint_singly,
    stub=with_bug(
        paint_singly,
        ("copy.deepcopy(network).train()", "network.train()"),
        (
            "    return torch.cat(",
            "    network.eval()  # the mode in which it came\n    return torch.cat(",
        ),
    ),
    inputs=_inputs_network,
    observe=_observe_painting,
    mistakes=(
        mistake(
            "You paint in evaluation mode. The averages stay, but the pictures are no longer made with their own "
            "statistics.",
            (".train()", ".eval()"),
        ),
        mistake(
            "A shallow copy has the same layers as the network, and so the same averages. Its layers change mode, too.",
            ("copy.deepcopy", "copy.copy"),
        ),
        mistake(
            "You give all images as one batch. Then they share their statistics.",
            other=_whole_batch,
        ),
        mistake(
            "The averages are as they were, but the network stays in training mode.",
            other=_forgets_the_mode,
        ),
        mistake(
            "The averages stay, but for good: the network can no longer update them in a later training.",
            other=_no_more_momentum,
        ),
        mistake(
            "The averages stay, but each norm now has the momentum 0.1, whatever it had before.",
            other=_a_tenth_again,
        ),
        mistake(
            "You reset the averages to 0 and 1. They must be those of the training again.",
            other=_from_the_start,
        ),
    ),
    hints=(
        "Which tensors of a network change although no optimiser takes a step? Print network.state_dict() before and "
        "after a forward pass in training mode.",
        "In training mode each forward pass moves the running averages, with or without gradients. Let another network "
        "do the painting, one that shares nothing with the first: see the module `copy`.",
    ),
)

# --- open -----------------------------------------------------------------------------------------

faint = OpenTask(
    key="09.faint",
    title="an input that the training never showed",
    difficulty=3,
    minutes=30,
    stub='''\
hypothesis = ""  # one sentence: what changes, in which direction, and why
expect = ("one condition", "<", "the other")


def measure(condition: str, seed: int) -> float:
    """Return how far a pixel moves, in a condition, when label map number `seed` is disturbed."""
    label_map = real_a[seed : seed + 1]
    raise NotImplementedError  # paint it as it is and disturbed, and compare the two
''',
    example='''\
hypothesis = "Running averages do not depend on the input, so they cope better with a faint label map."
expect = ("averages", "<", "own statistics")


def measure(condition: str, seed: int) -> float:
    """Return how far a pixel moves, in a condition, when label map number `seed` is disturbed."""
    label_map = real_a[seed : seed + 1]
    network = in_mode(dropout=False, image_statistics=condition == "own statistics")
    usual, faint = first_of(label_map, network), first_of(0.5 * label_map, network)
    return float((usual - faint).abs().mean())
''',
    example_verdict="""\
verdict, because = "refuted", (
    "A map's own deviation shrinks with the input, so the norm divides the change out; an average does not shrink. "
    "Or the averages merely suit these images less: then any other disturbance, such as noise, would show it too."
)""",
    rubric=(
        "Is dropout off, or equal in both conditions, so that its noise is not measured?",
        "Is the disturbance itself the same in both conditions and for all seeds?",
    ),
    hints=(
        "`in_mode(dropout, image_statistics)` gives you the generator in one of four modes. Disturb the label map: "
        "half its contrast, other brightness, noise, a grey frame, neighbours in the batch.",
        "Choose the mode by the condition, paint `label_map` and its disturbed version with `first_of`, and return the "
        "mean absolute difference as a float.",
    ),
)
