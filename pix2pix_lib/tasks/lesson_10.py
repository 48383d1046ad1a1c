"""The tasks of notebook 10: the residual block, the six losses of the generators, the image pool."""

from collections import Counter

import torch
from torch import Tensor, nn

from ..resnet import ResidualBlock
from .questions import Question
from .trials import OpenTask
from .writing import Task, fill, mistake, with_bug

# --- the residual block ---------------------------------------------------------------------------


def _block_and_features(seed: int) -> tuple:
    norm = ("batch", "none", "instance", "batch", "layer")[seed]
    options = {"norm": norm, "dropout": (0.5, 0.0, 0.3, 0.0, 0.2)[seed]}
    return 4 + seed, options, torch.randn(2, 4 + seed, 6 + seed, 9)


def _observe_block(make: object, channels: int, options: dict, x: Tensor) -> object:
    block = make(channels, **options)
    if not isinstance(block, nn.Module):
        return block
    fill(block)
    found = {
        "names and shapes of the weights": {n: [*w.shape] for n, w in block.state_dict().items()}
    }
    before = x.clone()
    try:
        with torch.no_grad():
            found["output in use"] = block.eval()(x.clone())
            torch.manual_seed(0)  # what dropout drops
            found["output while training"] = block.train()(x)
    except RuntimeError as error:
        if "must match the size" not in str(error):
            raise
        unlike = RuntimeError(
            "what is added to x has another shape than x"
        )  # whichever stands first
        raise unlike.with_traceback(error.__traceback__) from None
    found["the input afterwards"] = "as before" if torch.equal(x, before) else "changed"
    return found


_PAD, _NORM, _DROPOUT = (
    "nn.ReflectionPad2d(1)",
    "make_norm(norm, channels),\n",
    "nn.Dropout(dropout),\n",
)
_LAST_NORM = f"            {_NORM}        )"

block = Task(
    key="10.block",
    title="the residual block",
    kind="core",
    difficulty=2,
    minutes=12,
    reference=ResidualBlock,
    stub='''\
class ResidualBlock(nn.Module):
    """Add to the features what two 3x3 convolutions make of them: (N, channels, H, W) to the same shape."""

    def __init__(self, channels: int, *, norm: str, dropout: float = 0.0):
        super().__init__()
        raise NotImplementedError  # the layers of the change

    def forward(self, x: Tensor) -> Tensor:
        raise NotImplementedError
''',
    inputs=_block_and_features,
    observe=_observe_block,
    mistakes=(
        mistake(
            "The block returns the change alone: its input is not added.",
            ("return x + self.change(x)", "return self.change(x)"),
        ),
        mistake(
            "A ReLU follows the addition. The sum may be negative, and the path through it stays free.",
            ("x + self.change(x)", "torch.relu(x + self.change(x))"),
        ),
        mistake(
            "The change ends with a ReLU: so it could only ever make the features larger.",
            ("        )\n\n", "            nn.ReLU(),\n        )\n\n"),
        ),
        mistake(
            "There are zeros around the features. The border is to be mirrored, before each convolution.",
            (_PAD, "nn.ZeroPad2d(1)"),
        ),
        mistake(
            "Your convolutions pad by themselves. The mirrored border is a layer of its own before each of them.",
            (f"            {_PAD},\n", ""),
            ("kernel_size=3", "kernel_size=3, padding=1"),
        ),
        mistake(
            "Your convolutions mirror the border by themselves. Make it a layer of its own before each of them: the "
            "weights are named after the places of the layers.",
            (f"            {_PAD},\n", ""),
            ("kernel_size=3", "kernel_size=3, padding=1, padding_mode='reflect'"),
        ),
        mistake(
            "What is added has another height and width than x. A 3x3 convolution takes away two rows and two columns; "
            "the border before it must make up for them.",
            (_PAD, "nn.Identity()"),
        ),
        mistake(
            "The dropout lies at the end of the change; it belongs between the convolutions, after the ReLU.",
            (f"            {_DROPOUT}", ""),
            ("        )\n\n", f"            {_DROPOUT}        )\n\n"),
        ),
        mistake("The dropout is missing.", (f"            {_DROPOUT}", "")),
        mistake(
            "With a probability of 0 your block has no dropout layer, so what follows has other places, and its weights "
            "other names. Keep the layer: at 0 it drops nothing.",
            (_DROPOUT, "*([nn.Dropout(dropout)] if dropout else []),\n"),
        ),
        mistake(
            "The ReLU is missing: without it the two convolutions are little more than one.",
            ("            nn.ReLU(),\n", ""),
        ),
        mistake(
            "The second convolution has no norm.",
            (_LAST_NORM, "        )"),
        ),
        mistake(
            "All convolutions have a bias. Whether they need one is what `needs_bias(norm)` says.",
            (", bias=bias", ""),
        ),
        mistake(
            "Your block changes its input in place: whoever holds x as well now has another picture.",
            ("return x + self.change(x)", "x += self.change(x)\n        return x"),
        ),
    ),
    hints=(
        "`wide_layers` shows how a mirrored border goes with a convolution; a 3x3 kernel needs one pixel of it. What does "
        "`forward` do beside running `self.change`?",
        "Eight layers: border, convolution, norm, ReLU, dropout, border, convolution, norm. `forward` returns a sum, as a "
        "new tensor.",
    ),
)

# --- the losses of the generators -----------------------------------------------------------------


def mean_abs(x: Tensor, y: Tensor) -> Tensor:
    """Return the mean of the absolute differences, L1."""
    return (x - y).abs().mean()


def losses_of_generators(
    g_ab: nn.Module, g_ba: nn.Module, d_a: nn.Module, d_b: nn.Module, real_a: Tensor, real_b: Tensor
) -> dict[str, Tensor]:
    """Return the six losses of the generators, without their weights."""
    fake_b, fake_a = g_ab(real_a), g_ba(real_b)
    return {
        "loss_g_a": (d_a(fake_a) - 1).square().mean(),
        "loss_g_b": (d_b(fake_b) - 1).square().mean(),
        "loss_cycle_a": mean_abs(g_ba(fake_b), real_a),
        "loss_cycle_b": mean_abs(g_ab(fake_a), real_b),
        "loss_idt_a": mean_abs(g_ba(real_a), real_a),
        "loss_idt_b": mean_abs(g_ab(real_b), real_b),
    }


def _small_g(channels: int) -> nn.Module:
    return nn.Sequential(
        nn.Conv2d(channels, 4, 3, padding=1), nn.ReLU(), nn.Conv2d(4, channels, 1), nn.Tanh()
    )


def _small_d(channels: int) -> nn.Module:
    return nn.Sequential(
        nn.Conv2d(channels, 4, 4, stride=2, padding=1), nn.LeakyReLU(0.2), nn.Conv2d(4, 1, 3)
    )


def _networks_and_pictures(seed: int) -> tuple:
    channels = 1 + seed % 3
    networks = [make(channels) for make in (_small_g, _small_g, _small_d, _small_d)]
    pictures = torch.rand(2, 1 + seed % 2, channels, 10 + 2 * seed, 12).mul(2).sub(1)
    return (*networks, *pictures)


def _observe_losses(function: object, g_ab: nn.Module, g_ba: nn.Module, *others: object) -> object:
    losses = function(g_ab, g_ba, *others)
    if not isinstance(losses, dict):
        return losses
    found = {}
    for name, loss in losses.items():
        found[name] = {"value": loss}
        for generator, network in (("g_ab", g_ab), ("g_ba", g_ba)):
            found[name][f"gradient in {generator}"] = _gradient(loss, network)
    return found


def _gradient(loss: object, network: nn.Module) -> object:
    """Return how large the gradient of a loss is in a network, on average."""
    if not isinstance(loss, Tensor) or loss.ndim or not loss.requires_grad:
        return "none"
    slopes = torch.autograd.grad(
        loss, [*network.parameters()], retain_graph=True, allow_unused=True
    )
    return torch.cat(
        [torch.zeros(1), *(each.flatten().abs() for each in slopes if each is not None)]
    ).mean()


_BACK_A, _BACK_B = "mean_abs(g_ba(fake_b), real_a)", "mean_abs(g_ab(fake_a), real_b)"
_KEEP_A, _KEEP_B = "mean_abs(g_ba(real_a), real_a)", "mean_abs(g_ab(real_b), real_b)"
_PASS_A, _PASS_B = "(d_a(fake_a) - 1).square().mean()", "(d_b(fake_b) - 1).square().mean()"

losses = Task(
    key="10.losses",
    title="the six losses of the generators",
    kind="core",
    difficulty=2,
    minutes=15,
    reference=losses_of_generators,
    stub='''\
def losses_of_generators(
    g_ab: nn.Module, g_ba: nn.Module, d_a: nn.Module, d_b: nn.Module, real_a: Tensor, real_b: Tensor
) -> dict[str, Tensor]:
    """Return the six losses of the generators, without their weights."""
    fake_b, fake_a = g_ab(real_a), g_ba(real_b)
    raise NotImplementedError  # a dictionary of the six losses
''',
    inputs=_networks_and_pictures,
    observe=_observe_losses,
    mistakes=(
        mistake(
            "In the cycle you translate twice with the same generator: fake_b is a night already, and must come back.",
            ("g_ba(fake_b)", "g_ab(fake_b)"),
            ("g_ab(fake_a)", "g_ba(fake_a)"),
        ),
        mistake(
            "What comes back is compared with a picture of the other folder; it must equal the one it began as.",
            (_BACK_A, "mean_abs(g_ba(fake_b), real_b)"),
            (_BACK_B, "mean_abs(g_ab(fake_a), real_a)"),
        ),
        mistake(
            "Your cycle is not closed: it compares a translation with its input, and so asks for no change at all.",
            (_BACK_A, "mean_abs(fake_b, real_a)"),
            (_BACK_B, "mean_abs(fake_a, real_b)"),
        ),
        mistake(
            "You compare fake_a with real_a: they show different buildings. The cycle of a ends where it began, in rec_a.",
            (_BACK_A, "mean_abs(fake_a, real_a)"),
            (_BACK_B, "mean_abs(fake_b, real_b)"),
        ),
        mistake(
            "The two cycle losses have changed places: cycle_a begins with a picture of a.",
            (_BACK_A, "BACK"),
            (_BACK_B, _BACK_A),
            ("BACK", _BACK_B),
        ),
        mistake(
            "Your identity loss asks each generator to do nothing: only what is in its target domain stays as it is.",
            (_KEEP_A, "mean_abs(g_ab(real_a), real_a)"),
            (_KEEP_B, "mean_abs(g_ba(real_b), real_b)"),
        ),
        mistake(
            "The two identity losses have changed places: idt_a begins with a picture of a.",
            (_KEEP_A, "KEPT"),
            (_KEEP_B, _KEEP_A),
            ("KEPT", _KEEP_B),
        ),
        mistake(
            "The discriminators have changed places: discriminator_a has never judged a picture of b.",
            ("d_a(fake_a)", "d_b(fake_a)"),
            ("(d_b(fake_b)", "(d_a(fake_b)"),
        ),
        mistake(
            "The two adversarial losses have changed places: loss_g_a says how fake_a fares.",
            (_PASS_A, "PASSED"),
            (_PASS_B, _PASS_A),
            ("PASSED", _PASS_B),
        ),
        mistake(
            "The adversarial target is 0, which is D's for generated pictures. The generators want to pass for real.",
            (" - 1)", ")"),
        ),
        mistake(
            "Your adversarial loss is the one with a logarithm (vanilla); CycleGAN takes least squares.",
            (_PASS_A, "nn.functional.softplus(-d_a(fake_a)).mean()"),
            (_PASS_B, "nn.functional.softplus(-d_b(fake_b)).mean()"),
        ),
        mistake(
            "Cycle and identity are squared in your code. They are L1: absolute differences.",
            ("mean_abs(", "nn.functional.mse_loss("),
        ),
        mistake(
            "Cycle and identity are added up over the pixels. A mean does not grow with the picture.",
            ("mean_abs(", "nn.L1Loss(reduction='sum')("),
        ),
        mistake(
            "The values are right. But in the cycle you detach the translation, so that its generator learns nothing "
            "from the way back.",
            ("g_ba(fake_b)", "g_ba(fake_b.detach())"),
            ("g_ab(fake_a)", "g_ab(fake_a.detach())"),
        ),
        mistake(
            "The values are right. But you detach the pictures that the discriminators judge: no generator hears it.",
            ("d_a(fake_a)", "d_a(fake_a.detach())"),
            ("d_b(fake_b)", "d_b(fake_b.detach())"),
        ),
        mistake(
            "The values are right, but no gradient can flow from them: they are plain numbers, detached or made under "
            "`no_grad`.",
            other=lambda *arguments: {
                name: loss.item() for name, loss in losses_of_generators(*arguments).items()
            },
        ),
        mistake(
            "Your losses contain their weights already. They are asked for without.",
            ("mean_abs(g_ba(fake_b)", "10 * mean_abs(g_ba(fake_b)"),
            ("mean_abs(g_ab(fake_a)", "10 * mean_abs(g_ab(fake_a)"),
            (_KEEP_A, f"5 * {_KEEP_A}"),
            (_KEEP_B, f"5 * {_KEEP_B}"),
        ),
    ),
    hints=(
        "Follow both rows of the diagram with a finger. Which network stands at each arrow, and where does a row end?",
        "fake_b is judged by d_b, and g_ba brings it back to real_a. g_ba also gets real_a itself, and should keep it.",
    ),
)

# --- the image pool -------------------------------------------------------------------------------


def exchange_by_hand(pool: list[Tensor], image: Tensor, size: int) -> Tensor:
    """Return the picture that D gets for a new one; `pool` keeps up to `size` older ones."""
    if len(pool) < size:
        pool.append(image)
        return image
    if torch.rand(()) < 0.5:
        return image
    place = int(torch.randint(size, ()))
    older, pool[place] = pool[place], image
    return older


def _size_and_shape(seed: int) -> tuple:
    return 3 + seed, (1 + seed % 3, 2, 2 + seed % 2), 600


def _observe_pool(function: object, size: int, shape: tuple, steps: int) -> object:
    """Return what a pool does with numbered pictures, whichever random numbers it draws."""
    filling, full, places, most = [], Counter(), Counter(), 0
    for numbers in [range(size)] * 20 + [range(steps)]:  # many that only fill, and a long one
        pool: list[Tensor] = []
        for number in numbers:
            before = _numbers(pool)
            shown = function(pool, torch.full(shape, float(number)), size)
            if not isinstance(shown, Tensor) or shown.shape != shape:
                return shown
            shown, after = _numbers([shown])[0], _numbers(pool)
            most = max(most, len(pool))
            if number < size:
                filling.append(shown == number)
                continue
            full[_what_happened(number, shown, before, after)] += 1
            if shown in before:
                places[before.index(shown)] += 1
    shares = {what: count / (steps - size) for what, count in full.items()}
    return {
        "while the pool fills, D gets": "the new picture" if all(filling) else "sometimes another",
        "pictures in the pool at most": most,
        "how often, once it is full": {
            what: _in_words(share) for what, share in shares.items() if share > 0.1
        },
        "places in the pool from which D gets pictures": len(places),
    }


def _numbers(pictures: list) -> list[int]:
    return torch.stack(pictures).flatten(1)[:, 0].int().tolist() if pictures else []


def _what_happened(number: int, shown: int, before: list[int], after: list[int]) -> str:
    stored, lost = sorted(set(after) - set(before)), sorted(set(before) - set(after))
    who = "the new picture" if shown == number else "an older one"
    kept = "is stored" if stored == [number] else "is not stored"
    gone = (
        "nothing leaves"
        if not lost
        else ("that one leaves" if lost == [shown] else "another leaves")
    )
    return f"D gets {who}, the new one {kept}, {gone}"


def _in_words(share: float) -> str:
    """Return a share in words that chance does not change: of 600 coins, 0.1 is five standard deviations."""
    words = {0.4: "too seldom for 1/2", 0.6: "about 1/2", 0.9: "too often for 1/2"}
    return next((word for limit, word in words.items() if share < limit), "nearly always")


_COIN = "    if torch.rand(()) < 0.5:\n        return image\n"
_EXCHANGED = "older, pool[place] = pool[place], image"

pool = Task(
    key="10.pool",
    title="the image pool",
    kind="core",
    difficulty=2,
    minutes=12,
    reference=exchange_by_hand,
    stub='''\
def exchange_by_hand(pool: list[Tensor], image: Tensor, size: int) -> Tensor:
    """Return the picture that D gets for a new one; `pool` keeps up to `size` older ones."""
    raise NotImplementedError  # the pool fills; then it is full
''',
    inputs=_size_and_shape,
    observe=_observe_pool,
    mistakes=(
        mistake(
            "Once the pool is full, D gets an older picture every time. Half of the time it should get the new one.",
            (_COIN, ""),
        ),
        mistake(
            "D gets older pictures, but the new ones are never stored: the pool keeps its first pictures for ever.",
            (_EXCHANGED, "older = pool[place]"),
        ),
        mistake(
            "The new picture is stored, and D gets it as well: so no older picture ever comes back from the pool.",
            ("return older", "return image"),
        ),
        mistake(
            "Your pool holds one picture too many.",
            ("len(pool) < size", "len(pool) <= size"),
        ),
        mistake(
            "One place of the pool is never drawn: the upper end of a random number is often left out.",
            ("randint(size, ())", "randint(size - 1, ())"),
        ),
        mistake(
            "The older picture always comes from the same place of the list. It should be a random one.",
            ("int(torch.randint(size, ()))", "0"),
        ),
        mistake(
            "While the pool fills, D should get the new picture itself, not one drawn from the pool.",
            (
                "pool.append(image)\n        return image",
                "pool.append(image)\n        return pool[int(torch.randint(len(pool), ()))]",
            ),
        ),
        mistake(
            "The list that was handed in stays empty: `pool = ...` makes another list and leaves that one as it was.",
            ("pool.append(image)", "pool = [*pool, image]"),
        ),
        mistake(
            "Your pool grows for ever: the new picture must take the place of the older one.",
            (_EXCHANGED, "older = pool[place]\n    pool.append(image)"),
        ),
        mistake(
            "The older picture that D gets leaves the pool, but the new one does not take its place: the pool empties.",
            (_EXCHANGED, "older = pool.pop(place)"),
        ),
    ),
    hints=(
        "There are three cases. Write one `if` for each that ends with a `return`, and begin with the pool that fills.",
        "Toss a coin: `torch.rand(()) < 0.5`. Draw a place: `int(torch.randint(size, ()))`. Take the older picture out "
        "before you put the new one there.",
    ),
)

# --- how often the generators run -----------------------------------------------------------------

passes = Question(
    key="10.passes",
    title="count the forward passes",
    difficulty=1,
    minutes=5,
    expected=lambda: 6,
    wrong=(
        (2, "Those are the two translations. What of the ways back, and of the identity loss?"),
        (
            4,
            "Some are missing. Go through the objective of section 5 term by term: what does each need?",
        ),
        (3, "That is for one of the generators. Count both."),
        (
            8,
            "The discriminators learn from the pictures that exist already: no generator runs for them again.",
        ),
        (12, "You count the passes of the discriminators, too. Only the generators are asked for."),
        (5, "Both cycles and both identity losses are computed: the number must be even."),
    ),
    answer="answer_1 = 6",
    hints=(
        "Each generator appears twice in the diagram of section 4. What is not drawn there?",
        "Each generator translates once and brings back once; the identity loss runs each of them once more.",
    ),
)

# --- a bug to find --------------------------------------------------------------------------------


# fmt: off
def teach_discriminator(d: nn.Module, optimizer, g: nn.Module, real: Tensor, inputs: Tensor, exchange) -> Tensor:
    """Make one update of d, which gets g's pictures through a pool; return its halved loss."""
    fake = g(inputs).detach()
    shown = exchange(fake)
    loss = 0.5 * ((d(real) - 1).square().mean() + d(shown).square().mean())
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
    return loss.detach()
# fmt: on


def _teacher_s_inputs(seed: int) -> tuple:
    channels, steps = 1 + seed % 3, 7
    g, d = _small_g(channels), _small_d(channels)
    pictures = torch.rand(2, steps, 1 + seed % 2, channels, 10 + 2 * seed, 12).mul(2).sub(1)
    return g, d, *pictures


def _observe_teaching(
    function: object, g: nn.Module, d: nn.Module, reals: Tensor, inputs: Tensor
) -> object:
    """Return what several steps of D leave behind, with a pool that draws no random numbers."""
    optimizer, kept, paid = torch.optim.SGD(d.parameters(), lr=0.1), [], []

    def exchange(images: Tensor) -> Tensor:
        kept.append(images)
        return kept.pop(0) if len(kept) > 3 and len(paid) % 2 else images

    for pair in zip(reals, inputs):
        paid.append(function(d, optimizer, g, *pair, exchange))
        if not isinstance(paid[-1], Tensor):
            return paid[-1]
        with torch.no_grad():  # meanwhile g learns, too
            for weights in g.parameters():
                weights.mul_(1.05)
    left = [each.grad for each in g.parameters() if each.grad is not None]
    return {
        "losses of D": torch.stack(paid),
        "D's weights afterwards": torch.cat([each.detach().flatten() for each in d.parameters()]),
        "pictures left in the pool": len(kept),
        "pictures in the pool that still hold on to G's computation": sum(
            each.requires_grad for each in kept
        ),
        "does D's step leave gradients in G?": "yes"
        if any(each.abs().max() > 0 for each in left)
        else "no",
        "is G still in training mode?": "yes" if g.training else "no",
        "can G still learn?": "yes" if all(each.requires_grad for each in g.parameters()) else "no",
    }


_FAKE = "    fake = g(inputs).detach()\n"
_GIVEN = "    fake = g(inputs)\n"

stops = Task(
    key="10.stops",
    title="a training that stops when the pool is full",
    kind="debug",
    difficulty=3,
    minutes=12,
    reference=teach_discriminator,
    stub=with_bug(teach_discriminator, ("g(inputs).detach()", "g(inputs)")),
    inputs=_teacher_s_inputs,
    observe=_observe_teaching,
    mistakes=(
        mistake(
            "`retain_graph=True` keeps what an older picture was computed from, but G has learned since: its weights are "
            "no longer those. Ask instead why D's step goes through G at all.",
            (_FAKE, _GIVEN),
            ("loss.backward()", "loss.backward(retain_graph=True)"),
        ),
        mistake(
            "It no longer stops. But the pool holds on to all that G computed for each of its pictures, so the memory "
            "is not that of a few pictures.",
            (_FAKE, _GIVEN),
            ("exchange(fake)", "exchange(fake).detach()"),
        ),
        mistake(
            "It no longer stops, because D learns nothing from generated pictures any more: you detach what D says.",
            (_FAKE, _GIVEN),
            ("d(shown).square()", "d(shown).detach().square()"),
        ),
        mistake(
            "It no longer stops, because what D says of generated pictures is cut off, too (`no_grad` or `detach`): D learns "
            "from real pictures only.",
            (_FAKE, ""),
            (
                "    shown = exchange(fake)\n",
                "    with torch.no_grad():\n        logits = d(exchange(g(inputs)))\n",
            ),
            ("d(shown)", "logits"),
        ),
        mistake(
            "It no longer stops, because no picture goes through the pool any more.",
            ("exchange(fake)", "fake"),
        ),
        mistake(
            "It no longer stops, because no picture goes through the pool. And D's step still goes back through G.",
            (_FAKE, _GIVEN),
            ("exchange(fake)", "fake"),
        ),
        mistake(
            "It no longer stops, but your step leaves G in `eval` mode: from now on G trains without dropout, and its "
            "batch norm does not look at the batch.",
            (_FAKE, "    fake = g.eval()(inputs).detach()\n"),
        ),
        mistake(
            "It no longer stops, because G is frozen, and stays so: from now on G cannot learn.",
            (_FAKE, "    fake = g.requires_grad_(False)(inputs)\n"),
        ),
    ),
    hints=(
        "`loss.backward()` follows every path by which the loss was computed. Where does the path through an older "
        "picture of the pool lead, and what was done with it some steps ago?",
        "D needs G's pictures, but nothing of how G made them. Cut that path before a picture is stored anywhere.",
    ),
)

# --- an experiment --------------------------------------------------------------------------------

tied = OpenTask(
    key="10.tied",
    title="what ties a translation to its input?",
    difficulty=3,
    minutes=25,
    stub='''\
hypothesis = ""  # one sentence: what changes, in which direction, and why
expect = ("GAN and identity", ">", "GAN alone")  # two conditions, and what you expect of their values


def measure(condition: str, seed: int) -> float:
    """Return one number for a short training under this condition, from this seed."""
    trained = short_run(seed, cycle="none")
    raise NotImplementedError  # let the condition change one setting; then judge trained.translate(small_days)
''',
    example='''\
hypothesis = "Even without a cycle, the identity loss ties a translation to its input, though it never sees one."
expect = ("GAN and identity", ">", "GAN alone")


def measure(condition: str, seed: int) -> float:
    """Return how much more alike a translation is to its own day picture than to another one."""
    weight = 3.0 if condition == "GAN and identity" else 0.0
    trained = short_run(seed, cycle="none", lambda_identity=weight)
    nights = trained.translate(small_days)
    return alike(nights, small_days) - alike(nights, small_days.roll(1, 0))
''',
    example_verdict="""\
verdict, because = "supported", (
    "In these short trainings a generator that learns to leave nights alone keeps much of a day, too. But it may be "
    "the skips that hand it on: the same two conditions with skips=False and detail_channels=0 would tell.")
""",
    hints=(
        "Choose one setting that a condition changes: `lambda_identity`, `cycle`, `lambda_cycle`, `skips`, `pool_size`. "
        "Then choose a number that would come out differently if you were wrong.",
        "All facades are somewhat alike, so `alike(nights, small_days)` need not be 0 for a wrong building. As with the "
        "segmenter in section 2, subtract what you get for other buildings: `small_days.roll(1, 0)`.",
    ),
    rubric=(
        "Is likeness to the right building compared with likeness to another one?",
        "Does the answer claim no more than short trainings of small networks can show?",
    ),
)
