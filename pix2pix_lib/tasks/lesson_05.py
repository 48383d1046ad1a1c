"""The tasks of notebook 05: the best D, the losses on logits, and what each part asks of G."""

import math

import torch
import torch.nn.functional as F
from torch import Tensor

from ..losses import OBJECTIVES, discriminator_loss, generator_loss, pixel_loss
from ..patchgan import PatchDiscriminator
from .questions import Question
from .trials import OpenTask
from .writing import Task, fill, mistake, with_bug

# --- the best discriminator -----------------------------------------------------------------------


def loss_of_best_d(p: Tensor, q: Tensor) -> float:
    """Return the loss of the best D, where real ones have the density p and generated ones q."""
    z = torch.log(p + 1e-300) - torch.log(q + 1e-300)
    return float((p * F.softplus(-z) + q * F.softplus(z)).sum())


def _inputs_densities(seed: int) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(seed)
    p, q = torch.rand(2, 30 + 7 * seed, generator=generator, dtype=torch.float64)
    if seed in (1, 3):  # some places are reached by one of the two only
        p, q = torch.where(q > 0.7, 0.0, p), torch.where(q < 0.3, 0.0, q)
    return p / p.sum(), q / q.sum()


def _observe_cost(function, p: Tensor, q: Tensor) -> object:
    paid = function(p, q)
    is_number = isinstance(paid, int | float) or (isinstance(paid, Tensor) and paid.ndim == 0)
    return "more than 5" if is_number and paid > 5 else paid


_Z = "torch.log(p + 1e-300) - torch.log(q + 1e-300)"
_PAID = "p * F.softplus(-z) + q * F.softplus(z)"

best_d = Task(
    key="05.best_d",
    title="the loss of the best D",
    kind="core",
    difficulty=3,
    minutes=15,
    reference=loss_of_best_d,
    stub='''\
def loss_of_best_d(p: Tensor, q: Tensor) -> float:
    """Return the loss of the best D, where real ones have the density p and generated ones q."""
    raise NotImplementedError  # the best logit at each x, then what D pays with it
''',
    inputs=_inputs_densities,
    observe=_observe_cost,
    mistakes=(
        mistake(
            "Where p or q is 0, a logarithm is infinite, and 0 times infinity is not a number (nan).",
            (" + 1e-300", ""),
        ),
        mistake(
            "Your logit has the wrong sign, or the terms are exchanged: D pays most where it could be sure.",
            (_Z, "torch.log(q + 1e-300) - torch.log(p + 1e-300)"),
        ),
        mistake("You put the probability s where its logit belongs.", (_Z, "p / (p + q)")),
        mistake(
            "You take log s for the logit. The logit of s is log s - log(1 - s).",
            (_Z, "torch.log(p / (p + q))"),
        ),
        mistake(
            "Each x counts the same in your sum. What D pays for x must be weighted by how often x occurs.",
            (_PAID, "F.softplus(-z) + F.softplus(z)"),
        ),
        mistake(
            "You take the mean over x. The densities are weights already, so add up.",
            (".sum()", ".mean()"),
        ),
        mistake(
            "You halve the loss. It is the sum of both terms, as in section 5.",
            ("float((", "float(0.5 * ("),
        ),
        mistake(
            "Yours is negative: what D pays is positive, and minus that is the generator's cost.",
            ("float((", "float(-("),
        ),
        mistake(
            "Your D pays for real ones only. Generated ones cost it something, too.",
            (_PAID, "p * F.softplus(-z)"),
        ),
    ),
    hints=(
        "Take the slope of -p log s - q log(1 - s) over s, set it to zero, and solve for s. Then write s / (1 - s) as "
        "a fraction: its logarithm is the logit.",
        "z is a difference of two logarithms, and 1e-300 added to p and to q keeps them finite. Weight softplus(-z) by "
        "p and softplus(z) by q, and add up over all x.",
    ),
)

# --- the losses on logits -------------------------------------------------------------------------


def _inputs_logits(seed: int) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(seed)
    scale = (1.0, 2.0, 60.0)[seed % 3]  # 60: a D that is very sure, and often wrong
    real = scale * torch.randn(1 + seed % 2, 1, 3 + seed, 4, generator=generator)
    fake = scale * torch.randn(2 + seed % 3, 1, 3 + seed, 5, generator=generator)
    return real, fake


def _observe_loss(loss, *logits: Tensor) -> dict:
    """Return a loss and its slopes, by names for the learner."""
    logits = tuple(each.clone().requires_grad_() for each in logits)
    value = loss(*logits)
    if not isinstance(value, Tensor) or value.ndim or not value.requires_grad:
        return {
            "loss": value,
            "slopes": "none: the loss is not a tensor with one number that follows from the logits",
        }
    if not value.isfinite():
        return {"loss": value.detach(), "slopes": "not looked at, as the loss is not finite"}
    slopes = torch.autograd.grad(value, logits, allow_unused=True)
    kinds = ("real", "generated") if len(logits) == 2 else ("generated",)
    named = {f"slope if all {kind} logits rise": slope for kind, slope in zip(kinds, slopes)}
    named = {name: "none: they play no part" if g is None else g.sum() for name, g in named.items()}
    return {"loss": value.detach()} | named


def _observe_objectives(loss, *logits: Tensor) -> dict:
    """Return what `_observe_loss` does for each objective, and without one."""
    found = {}
    for objective in (*OBJECTIVES, None):
        name = objective or "no objective given"
        options = {} if objective is None else {"objective": objective}
        observed = _observe_loss(lambda *own, options=options: loss(*own, **options), *logits)
        found |= {f"{name}, {key}": value for key, value in observed.items()}
    return found


def _inputs_fake_logits(seed: int) -> tuple[Tensor]:
    return _inputs_logits(seed)[1:]


_D_VANILLA = "F.softplus(-real_logits).mean() + F.softplus(fake_logits).mean()"
_D_LSGAN = "(real_logits - 1).square().mean() + fake_logits.square().mean()"
_D_HINGE = "F.relu(1 - real_logits).mean() + F.relu(1 + fake_logits).mean()"
_LOG_OF_SIGMOID = (
    "You take the logarithm of a sigmoid: right on paper, but inf or nan where D is very sure."
)
_SUM = "You add up the costs of all patches. Each patch has one vote: take the mean."
_PLAIN_NUMBER = (
    "You return a plain number. Without a tensor there is no gradient, and nothing is learned."
)

d_loss = Task(
    key="05.d_loss",
    title="D's loss on logits",
    kind="core",
    difficulty=2,
    minutes=12,
    reference=discriminator_loss,
    stub='''\
def discriminator_loss(real_logits: Tensor, fake_logits: Tensor, objective: str = "vanilla") -> Tensor:
    """Return D's loss on real and generated logits: the *sum* of both terms (the trainer halves it)."""
    check_choice("objective", objective, OBJECTIVES)
    raise NotImplementedError  # a loss for each of the four objectives
''',
    inputs=_inputs_logits,
    observe=_observe_objectives,
    mistakes=(
        mistake(_SUM, (".mean()", ".sum()")),
        mistake(
            _LOG_OF_SIGMOID,
            (
                _D_VANILLA,
                "-torch.log(torch.sigmoid(real_logits)).mean() - torch.log(1 - torch.sigmoid(fake_logits)).mean()",
            ),
        ),
        mistake(
            "A small number inside the logarithm keeps vanilla finite, but cuts it off, and its slopes, where D is sure.",
            (
                _D_VANILLA,
                "-torch.log(torch.sigmoid(real_logits) + 1e-8).mean()"
                " - torch.log(1 - torch.sigmoid(fake_logits) + 1e-8).mean()",
            ),
        ),
        mistake(
            "Vanilla has its signs exchanged: your D pays much for a high logit of a real patch.",
            (_D_VANILLA, "F.softplus(real_logits).mean() + F.softplus(-fake_logits).mean()"),
        ),
        mistake(
            "LSGAN's targets are exchanged: 1 belongs to the real patches, 0 to the generated ones.",
            (_D_LSGAN, "real_logits.square().mean() + (fake_logits - 1).square().mean()"),
        ),
        mistake(
            "LSGAN's target for generated patches is 0; yours is -1.",
            ("fake_logits.square()", "(fake_logits + 1).square()"),
        ),
        mistake(
            "LSGAN compares the raw output of D with its target; you put a sigmoid before it.",
            (
                _D_LSGAN,
                "(real_logits.sigmoid() - 1).square().mean() + fake_logits.sigmoid().square().mean()",
            ),
        ),
        mistake(
            "Hinge never stops in your code: beyond the margin a patch costs nothing, and not less than nothing.",
            (_D_HINGE, "(1 - real_logits).mean() + (1 + fake_logits).mean()"),
        ),
        mistake(
            "Hinge has no margin in your code: it stops at 0, not at 1 and -1.",
            ("relu(1 ", "relu("),
        ),
        mistake(
            "Hinge has the sign of the generated patches wrong: they should lie below -1, and yours pay for low logits.",
            ("F.relu(1 + fake_logits)", "F.relu(1 - fake_logits)"),
        ),
        mistake(
            "Hinge has the margin of the generated patches at 1 in your code; it lies at -1.",
            ("F.relu(1 + fake_logits)", "F.relu(fake_logits - 1)"),
        ),
        mistake(
            "All four objectives give the vanilla loss: your code does not look at `objective`.",
            other=lambda real, fake, objective="vanilla": discriminator_loss(real, fake),
        ),
        mistake(
            "Wasserstein has the wrong sign: your D pays for high logits of real patches.",
            ("fake_logits.mean() - real_logits.mean()", "real_logits.mean() - fake_logits.mean()"),
        ),
        mistake(
            "You halve the loss. This function returns the sum of both terms; the trainer halves it.",
            other=lambda *logits, **options: 0.5 * discriminator_loss(*logits, **options),
        ),
        mistake(
            _PLAIN_NUMBER,
            other=lambda *logits, **options: discriminator_loss(*logits, **options).item(),
        ),
    ),
    hints=(
        "Go through the table row by row. Each loss is one mean over real_logits plus one mean over fake_logits.",
        "F.softplus for vanilla, with a minus before the real logits; .square() of the distance to the target for "
        "lsgan; F.relu of what is missing to the margin for hinge; two means for wasserstein.",
    ),
)

g_loss = Task(
    key="05.g_loss",
    title="G's adversarial loss",
    kind="core",
    difficulty=1,
    minutes=6,
    reference=generator_loss,
    stub='''\
def generator_loss(fake_logits: Tensor, objective: str = "vanilla") -> Tensor:
    """Return G's adversarial loss on the logits of its images: how far D is from calling them real."""
    check_choice("objective", objective, OBJECTIVES)
    raise NotImplementedError  # a loss for each of the four objectives
''',
    inputs=_inputs_fake_logits,
    observe=_observe_objectives,
    mistakes=(
        mistake(_SUM, (".mean()", ".sum()")),
        mistake(
            "Vanilla is the saturating form in your code, minus D's term: where D is sure, it hardly pushes G.",
            ("F.softplus(-fake_logits).mean()", "-F.softplus(fake_logits).mean()"),
        ),
        mistake(
            "Vanilla is D's own term in your code: it teaches G to look generated.",
            ("F.softplus(-fake_logits)", "F.softplus(fake_logits)"),
        ),
        mistake(
            _LOG_OF_SIGMOID,
            ("F.softplus(-fake_logits).mean()", "-torch.log(torch.sigmoid(fake_logits)).mean()"),
        ),
        mistake(
            "LSGAN's target is 0 in your code, which is D's. G wants its patches to be called real.",
            ("(fake_logits - 1).square()", "fake_logits.square()"),
        ),
        mistake(
            "Hinge has a margin in your code. Only D's loss has one: G is never content.",
            (
                "    return -fake_logits.mean()",
                '    if objective == "hinge":\n        return F.relu(1 - fake_logits).mean()\n'
                "    return -fake_logits.mean()",
            ),
        ),
        mistake(
            "Hinge and Wasserstein lack a minus: your G is paid for low logits.",
            ("return -fake_logits.mean()", "return fake_logits.mean()"),
        ),
        mistake(
            "Hinge lacks a minus: your G is paid for low logits.",
            (
                "return -fake_logits.mean()",
                'return fake_logits.mean() * (1 if objective == "hinge" else -1)',
            ),
        ),
        mistake(
            "Wasserstein lacks a minus: your G is paid for low logits.",
            (
                "return -fake_logits.mean()",
                'return fake_logits.mean() * (-1 if objective == "hinge" else 1)',
            ),
        ),
        mistake(
            _PLAIN_NUMBER, other=lambda logits, **options: generator_loss(logits, **options).item()
        ),
    ),
    hints=(
        "G sees generated patches only, and wants D to take them for real. So it pays what D pays for real ones, with "
        "one exception in the table.",
        "softplus with a minus inside; the squared distance to 1; for the other two the mean, with a minus.",
    ),
)

# --- the two parts of G's loss --------------------------------------------------------------------


def parts(discriminator, real_a: Tensor, fake_b: Tensor, real_b: Tensor) -> dict:
    """Return value and size of the gradient at `fake_b`, each of L1 and of the adversarial loss."""
    fake_b = fake_b.detach().clone().requires_grad_()
    values = pixel_loss(fake_b, real_b), generator_loss(discriminator(real_a, fake_b))
    gradients = [torch.autograd.grad(value, fake_b)[0].abs().mean() for value in values]
    return {
        "value": [float(value.detach()) for value in values],
        "gradient": [float(size) for size in gradients],
    }


def _parts_in_one_gradient(discriminator, real_a: Tensor, fake_b: Tensor, real_b: Tensor) -> dict:
    fake_b = fake_b.detach().clone().requires_grad_()
    values, gradients = (
        (pixel_loss(fake_b, real_b), generator_loss(discriminator(real_a, fake_b))),
        [],
    )
    for value in values:
        value.backward()
        gradients.append(float(fake_b.grad.abs().mean()))
    return {"value": [float(value.detach()) for value in values], "gradient": gradients}


def _inputs_parts(seed: int) -> tuple[int, Tensor, Tensor, Tensor]:
    generator, side = torch.Generator().manual_seed(seed), 24 + 8 * (seed % 3)
    images = 2 * torch.rand(3, 1 + seed % 3, 3, side, 32, generator=generator) - 1
    return seed, *images


def _observe_parts(function, seed: int, *images: Tensor) -> dict:
    norm = ("batch", "instance", "none")[seed % 3]
    discriminator = fill(PatchDiscriminator(6, base_channels=4, layers=1, norm=norm))
    found = function(discriminator, *images)
    if not isinstance(found, dict):
        return found
    pairs = {name: found[name] for name in ("value", "gradient") if name in found}
    return {
        f"{name} of {part}": each
        for name, pair in pairs.items()
        for part, each in (
            zip(("L1", "GAN"), pair) if isinstance(pair, list | tuple) else [("both", pair)]
        )
    }


pushes = Task(
    key="05.pushes",
    title="the two parts of G's loss, by value and by gradient",
    kind="core",
    difficulty=3,
    minutes=15,
    reference=parts,
    stub='''\
def parts(discriminator, real_a: Tensor, fake_b: Tensor, real_b: Tensor) -> dict:
    """Return value and size of the gradient at `fake_b`, each of L1 and of the adversarial loss."""
    fake_b = fake_b.detach().clone().requires_grad_()
    raise NotImplementedError  # two values, and for each the mean size of its gradient at fake_b
''',
    inputs=_inputs_parts,
    observe=_observe_parts,
    mistakes=(
        mistake(
            "Your D sees the pair (real_b, fake_b), the target in the place of the input.",
            ("discriminator(real_a, fake_b)", "discriminator(real_b, fake_b)"),
        ),
        mistake(
            "You average the gradient with its signs, which cancel. Its size is asked for.",
            (".abs()", ""),
        ),
        mistake(
            "You add up the gradient's sizes. The mean is asked for.",
            (".abs().mean()", ".abs().sum()"),
        ),
        mistake(
            "You take the norm of the gradient, which grows with the number of pixels. The mean size is asked for.",
            (".abs().mean()", ".norm()"),
        ),
        mistake(
            "Your D sees the picture where its input belongs: the label map comes first.",
            ("discriminator(real_a, fake_b)", "discriminator(fake_b, real_a)"),
        ),
        mistake(
            "The second gradient contains the first: backward adds to what .grad already holds.",
            other=_parts_in_one_gradient,
        ),
        mistake(
            "The two parts are exchanged: L1 comes first.",
            (
                "float(value.detach()) for value in values",
                "float(value.detach()) for value in values[::-1]",
            ),
            ("float(size) for size in gradients", "float(size) for size in gradients[::-1]"),
        ),
        mistake(
            "You compare the pixels by L2; this is about L1.",
            ("pixel_loss(fake_b, real_b)", 'pixel_loss(fake_b, real_b, "l2")'),
        ),
        mistake(
            "You took D's loss for a generated picture. G's loss wants the logit up, not down.",
            (
                "generator_loss(discriminator(real_a, fake_b))",
                "generator_loss(-discriminator(real_a, fake_b))",
            ),
        ),
        mistake(
            "L1 is multiplied by a weight already. Both parts are asked for unweighted.",
            ("pixel_loss(fake_b, real_b)", "100 * pixel_loss(fake_b, real_b)"),
        ),
    ),
    hints=(
        "Compute both losses on the same fake_b first. torch.autograd.grad(loss, fake_b) returns a tuple; its first "
        "element has the shape of fake_b.",
        "For each loss: the gradient, .abs(), .mean(), float(). The adversarial part is generator_loss of "
        "discriminator(real_a, fake_b).",
    ),
)

# --- exercises ------------------------------------------------------------------------------------

bill = Question(
    key="05.bill",
    title="D's bill",
    difficulty=1,
    minutes=4,
    expected=lambda: float(
        discriminator_loss(*torch.logit(torch.tensor([[0.9], [0.2]], dtype=torch.float64)))
    ),
    answer="answer_1 = -math.log(0.9) - math.log(0.8)",
    wrong=(
        (
            -math.log(0.9) - math.log(0.2),
            "You charge -log 0.2 for the generated patch. What probability did D give to the truth, *generated*?",
        ),
        (
            -0.5 * math.log(0.9) - 0.5 * math.log(0.8),
            "That is halved, as the trainer does; here the sum is asked for.",
        ),
        (math.log(0.9) + math.log(0.8), "The sign is wrong: D pays minus the logarithm."),
        (
            -math.log10(0.9) - math.log10(0.8),
            "That is the logarithm to base 10; the loss takes the natural one.",
        ),
        (
            math.log(1 + math.exp(-0.9)) + math.log(1 + math.exp(0.2)),
            "You put the probabilities where logits belong. They have been through the sigmoid already.",
        ),
        (-math.log(0.9), "That is the real patch only; D pays for the generated one, too."),
    ),
    hints=(
        "For each patch ask: which probability did D give to what was true?",
        "The truth of the second patch is *generated*, and D gave it 1 - 0.2.",
    ),
)

hinge = Question(
    key="05.hinge",
    title="hinge at logit 2",
    difficulty=2,
    minutes=4,
    expected=lambda: (0.0, 1.0),
    answer="answer_2 = (0.0, 1.0)",
    wrong=(
        ((1.0, 0.0), "The two are exchanged: the first is the real patch."),
        (
            (-1.0, 1.0),
            "The real patch is beyond the margin already: does its cost still fall if the logit rises?",
        ),
        ((0.0, 3.0), "Those are the costs at 2. The slopes are asked for."),
        (
            (0.0, -1.0),
            "For the generated patch, does the cost rise or fall if its logit rises from 2?",
        ),
        (
            (0.0, 0.0),
            "A generated patch with logit 2 is on the wrong side: it costs something, so it has a slope.",
        ),
        (
            (-1.0, 0.0),
            "You looked at the wrong side of both margins: the real patch is right at 2, the generated wrong.",
        ),
    ),
    hints=(
        "Put 2 into both terms, and then a little more than 2. By how much does each change?",
        "Where the maximum is 0, the slope is 0. Where it is 1 + z, the slope is that of z.",
    ),
)


def bce_discriminator_loss(real_logits: Tensor, fake_logits: Tensor) -> Tensor:
    """Return D's vanilla loss, the sum of both terms, by PyTorch's own cross-entropy."""
    real_targets, fake_targets = torch.ones_like(real_logits), torch.zeros_like(fake_logits)
    real_term = F.binary_cross_entropy_with_logits(real_logits, real_targets)
    fake_term = F.binary_cross_entropy_with_logits(fake_logits, fake_targets)
    return real_term + fake_term


_BCE_REAL = "binary_cross_entropy_with_logits(real_logits,"
_BCE_FAKE = "binary_cross_entropy_with_logits(fake_logits,"
_SIGMOID_REAL = "binary_cross_entropy_with_logits(torch.sigmoid(real_logits),"
_SIGMOID_FAKE = "binary_cross_entropy_with_logits(torch.sigmoid(fake_logits),"

bce = Task(
    key="05.bce",
    title="a loss that stops at 0.50",
    kind="debug",
    difficulty=2,
    minutes=8,
    reference=bce_discriminator_loss,
    stub=with_bug(
        bce_discriminator_loss,
        ("logits(real_logits,", "logits(torch.sigmoid(real_logits),"),
        ("logits(fake_logits,", "logits(torch.sigmoid(fake_logits),"),
    ),
    inputs=_inputs_logits,
    observe=_observe_loss,
    mistakes=(
        mistake(
            "The real term is mended. The generated one still has the same fault.",
            (_BCE_FAKE, _SIGMOID_FAKE),
        ),
        mistake(
            "The generated term is mended. The real one still has the same fault.",
            (_BCE_REAL, _SIGMOID_REAL),
        ),
        mistake(
            "A sigmoid and then the plain cross-entropy is right on paper only: where D is very sure, it is cut off.",
            (_BCE_REAL, "binary_cross_entropy(torch.sigmoid(real_logits),"),
            (_BCE_FAKE, "binary_cross_entropy(torch.sigmoid(fake_logits),"),
        ),
        mistake(
            "Plain `binary_cross_entropy` wants probabilities, and you give it logits.",
            ("binary_cross_entropy_with_logits", "binary_cross_entropy"),
        ),
        mistake(
            "Now the targets are exchanged. They were right before.",
            (
                "torch.ones_like(real_logits), torch.zeros_like",
                "torch.zeros_like(real_logits), torch.ones_like",
            ),
        ),
        mistake(
            "You only moved the numbers: a sigmoid from -1 to 1 is still a sigmoid, and the loss still cannot get low.",
            (_BCE_REAL, "binary_cross_entropy_with_logits(torch.tanh(real_logits),"),
            (_BCE_FAKE, "binary_cross_entropy_with_logits(torch.tanh(fake_logits),"),
        ),
        mistake(
            "The sum was right: the trainer halves it.",
            ("real_term + fake_term", "(real_term + fake_term) / 2"),
        ),
        mistake(
            "Now D pays most for being right: the targets did not need to change their sign.",
            ("real_term + fake_term", "-real_term - fake_term"),
        ),
    ),
    hints=(
        "Give the function logits of 20 for real and -20 for generated patches, and follow the number for the real "
        "ones from line to line. What does `_with_logits` do with what it gets?",
        "`binary_cross_entropy_with_logits` contains a sigmoid. How many sigmoids does a logit pass through here?",
    ),
)

robust = OpenTask(
    key="05.robust",
    title="wrong photos in the data, L1 and L2",
    difficulty=3,
    minutes=30,
    stub='''\
hypothesis = ""  # one sentence: what changes, in which direction, and why
expect = ("one condition", "<", "the other")


def measure(condition: str, seed: int) -> float:
    """Return how far a best answer moves, in a condition, for the building with this seed."""
    right = torch.stack([facade_tensors(seed, 64, photo_seed=k)[1] for k in range(41)])
    raise NotImplementedError  # replace some photos, and compare the best answers before and after
''',
    example='''\
hypothesis = "L1 protects better against photos of another building than against black ones, which are further off."
expect = ("another building", "<", "black")


def measure(condition: str, seed: int) -> float:
    """Return how far L1's best answer moves when four of 41 photos are wrong, compared with L2's."""
    right = torch.stack([facade_tensors(seed, 64, photo_seed=k)[1] for k in range(41)])
    wrong = -torch.ones(4, 3, 64, 64)
    if condition == "another building":
        wrong = torch.stack([facade_tensors(1000 + 4 * seed + k, 64)[1] for k in range(4)])
    mixed = torch.cat([right[4:], wrong])
    moved_l1 = (mixed.median(dim=0).values - right.median(dim=0).values).abs().mean()
    moved_l2 = (mixed.mean(dim=0) - right.mean(dim=0)).abs().mean()
    return float(moved_l1 / moved_l2)
''',
    example_verdict="""\
verdict, because = "refuted", (
    "A median ignores how far off black is, but the colours of another building lie among the right ones, and there "
    "it moves like a mean. It could be the outlines instead: photos of the same building in rare colours would tell."
)""",
    rubric=(
        "Are the right photos the same in both conditions, and as many of them wrong?",
        "Is a distance compared with something, so that a large number can be told from a small one?",
    ),
    hints=(
        "The best answers need no training: they are a mean and a median over the photos. What kinds of wrong photos "
        "are there in real data: black ones, other buildings, shifted ones, the same photo many times?",
        "Replace four photos with torch.cat([right[4:], wrong]). Measure (after - before).abs().mean() for the median "
        "and for the mean; their ratio says whether L1 protects.",
    ),
)
