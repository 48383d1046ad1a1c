"""The tasks of notebook 06: one step of each network, the learning rate, and a run that goes on."""

import copy
import math

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from .. import plots
from ..agreement import as_array
from ..config import TrainConfig
from ..losses import discriminator_loss, generator_loss, pixel_loss  # noqa: F401  for learners
from ..patchgan import PatchDiscriminator
from ..trainer import learning_rate
from .questions import Question
from .trials import OpenTask
from .writing import Task, fill, mistake, with_bug

CALM = "    optimizer.zero_grad()\n"
RETURNED = "return loss_gan.detach(), loss_l1.detach()"
SHARE = "(config.epochs - epoch) / (config.epochs - half + 1)"


def step_discriminator(discriminator, optimizer, real_a, real_b, fake_b):
    """Make one update of D; return its halved loss, detached."""
    real_logits = discriminator(real_a, real_b)
    fake_logits = discriminator(real_a, fake_b.detach())
    loss = 0.5 * (F.softplus(-real_logits).mean() + F.softplus(fake_logits).mean())
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
    return loss.detach()


def step_generator(discriminator, optimizer, real_a, real_b, fake_b, lambda_l1=100.0):
    """Make one update of G; return its adversarial loss and its L1, unweighted and detached."""
    discriminator.requires_grad_(False)
    loss_gan = F.softplus(-discriminator(real_a, fake_b)).mean()
    loss_l1 = F.l1_loss(fake_b, real_b)
    loss = loss_gan + lambda_l1 * loss_l1
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
    discriminator.requires_grad_(True)
    return loss_gan.detach(), loss_l1.detach()


def train_until(until, saved, network, real_a, real_b, config):
    """Go on from a saved state until `until` epochs are done; return the state then."""
    saved = copy.deepcopy(saved)
    network.load_state_dict(saved["network"])
    adam = torch.optim.Adam(network.parameters())
    adam.load_state_dict(saved["optimizer"])
    losses = saved["losses"]
    for epoch in range(saved["epoch"], until):
        adam.param_groups[0]["lr"] = learning_rate(config, epoch)
        order = torch.randperm(len(real_a), generator=torch.Generator().manual_seed(epoch))
        total = 0.0
        for index in order.tolist():
            loss = F.l1_loss(network(real_a[index][None]), real_b[index][None])
            adam.zero_grad()
            loss.backward()
            adam.step()
            total += loss.item()
        losses.append(total / len(real_a))
    state = {"network": network.state_dict(), "optimizer": adam.state_dict()}
    return copy.deepcopy(state | {"epoch": until, "losses": losses})


def _pair_and_sizes(seed: int) -> tuple[dict, Tensor, Tensor]:
    layers = 1 + seed % 2
    size = (1 + seed % 3, 3, 16 + 8 * (seed % 3), 24)
    return (
        {"base_channels": 3 + seed, "layers": layers},
        torch.rand(size) * 2 - 1,
        torch.rand(size) * 2 - 1,
    )


def _networks(options: dict, real_a: Tensor) -> tuple[nn.Module, nn.Module, Tensor]:
    """Return G, D and what G makes of `real_a`; old gradients lie in the weights of both."""
    generator = nn.Sequential(fill(nn.Conv2d(3, 3, 3, padding=1)), nn.Tanh())
    discriminator = fill(PatchDiscriminator(6, norm="none", **options))
    fake_b = generator(real_a)
    fake_b.retain_grad()
    return generator, discriminator, fake_b


def _old_gradients(network: nn.Module) -> None:
    for parameter in network.parameters():
        parameter.grad = torch.full_like(parameter, 0.02)


def _flat(network: nn.Module) -> Tensor:
    return torch.cat([each.detach().flatten() for each in network.parameters()])


def _with_gradient(network: nn.Module) -> int:
    return sum(each.grad is not None and bool(each.grad.any()) for each in network.parameters())


def _at(fake_b: Tensor) -> Tensor:
    return torch.zeros_like(fake_b) if fake_b.grad is None else fake_b.grad


def _can_go_back(fake_b: Tensor) -> bool:
    """Return whether a gradient can still flow from the fake into G."""
    try:
        fake_b.sum().backward()
    except RuntimeError:
        return False
    return True


def _is_attached(*losses: object) -> bool:
    return any(torch.is_tensor(loss) and loss.requires_grad for loss in losses)


def _observe_d(step: object, options: dict, real_a: Tensor, real_b: Tensor) -> dict:
    generator, discriminator, fake_b = _networks(options, real_a)
    _old_gradients(discriminator)
    before, before_g = _flat(discriminator), _flat(generator)
    loss = step(
        discriminator, torch.optim.SGD(discriminator.parameters(), 0.5), real_a, real_b, fake_b
    )
    found = {
        "D's loss": loss,
        "how D's weights moved": _flat(discriminator) - before,
        "tensors of D that hold a gradient afterwards": _with_gradient(discriminator),
        "tensors of G that hold a gradient afterwards": _with_gradient(generator),
        "gradient at fake_b": _at(fake_b),
        "how G's weights moved": _flat(generator) - before_g,
        "the loss still holds its graph": _is_attached(loss),
    }
    return found | {"G's step can still use fake_b": _can_go_back(fake_b)}


def _observe_g(step: object, options: dict, real_a: Tensor, real_b: Tensor) -> dict:
    generator, discriminator, fake_b = _networks(options, real_a)
    _old_gradients(generator)
    before, before_d = _flat(generator), _flat(discriminator)
    weight = 3.0 + len(real_a)
    optimizer = torch.optim.SGD(generator.parameters(), 0.05)
    losses = step(discriminator, optimizer, real_a, real_b, fake_b, weight)
    losses = losses if isinstance(losses, list | tuple) else (losses,)
    return {
        "the losses": list(losses),
        "how G's weights moved": _flat(generator) - before,
        "tensors of G that hold a gradient afterwards": _with_gradient(generator),
        "gradient at fake_b": _at(fake_b),
        "tensors of D that hold a gradient afterwards": _with_gradient(discriminator),
        "how D's weights moved": _flat(discriminator) - before_d,
        "D can learn in its next step": all(
            each.requires_grad for each in discriminator.parameters()
        ),
        "the losses still hold their graph": _is_attached(*losses),
    }


d_step = Task(
    key="06.d_step",
    title="one step of D",
    kind="core",
    difficulty=2,
    minutes=15,
    reference=step_discriminator,
    stub='''\
def step_discriminator(discriminator, optimizer, real_a, real_b, fake_b):
    """Make one update of D; return its halved loss, detached."""
    real_logits = discriminator(real_a, real_b)
    raise NotImplementedError  # D's answer to the fake, its loss, and the update
''',
    inputs=_pair_and_sizes,
    observe=_observe_d,
    mistakes=(
        mistake(
            "The gradient flows on through fake_b into G, and G's own step cannot go back through it again. "
            "D's step must cut the connection.",
            (".detach())\n", ")\n"),
        ),
        mistake(
            "The gradients that lay in D's weights before are counted in: backward() adds to what is there.",
            (CALM, ""),
        ),
        mistake(
            "D's gradients are cleared between backward() and the update, so D does not move.",
            (CALM + "    loss.backward()\n", "    loss.backward()\n" + CALM),
        ),
        mistake(
            "D's gradients are cleared after the update, not before it: the ones that lay there at the beginning "
            "have moved D.",
            (CALM, ""),
            ("    optimizer.step()\n", "    optimizer.step()\n" + CALM),
        ),
        mistake(
            "The step is right, but D's gradients are gone afterwards. Leave them where they are: a later cell "
            "counts them.",
            ("    optimizer.step()\n", "    optimizer.step()\n" + CALM),
        ),
        mistake(
            "The gradients are computed, but D's weights have not moved.",
            ("    optimizer.step()\n", ""),
        ),
        mistake("That is the whole sum of both terms; D's loss is half of it.", ("0.5 * ", "")),
        mistake(
            "The targets are swapped: this D learns to call photos fake and fakes real.",
            ("softplus(-real_logits)", "softplus(real_logits)"),
            ("softplus(fake_logits)", "softplus(-fake_logits)"),
        ),
        mistake(
            "Each loss is summed over the patches; take their mean, or large images count for more than small ones.",
            (".mean()", ".sum()"),
        ),
        mistake(
            "A sigmoid is applied twice: D gives logits, and softplus has the sigmoid in it.",
            ("softplus(-real_logits)", "softplus(-real_logits.sigmoid())"),
            ("softplus(fake_logits)", "softplus(fake_logits.sigmoid())"),
        ),
        mistake(
            "D gets its two images in the wrong order: the label map comes first.",
            ("discriminator(real_a, real_b)", "discriminator(real_b, real_a)"),
            ("discriminator(real_a, fake_b.detach())", "discriminator(fake_b.detach(), real_a)"),
        ),
        mistake(
            "D learns nothing from the fake: its answer to the fake passes on no gradient. Cut between G and D, not "
            "behind D.",
            ("discriminator(real_a, fake_b.detach())", "discriminator(real_a, fake_b).detach()"),
        ),
        mistake(
            "fake_b itself has lost its history, so G's own step cannot use it. D needs a copy without history.",
            ("fake_b.detach()", "fake_b.detach_()"),
        ),
        mistake(
            "The loss that you return still holds its graph. In a history of losses, all graphs would stay in memory.",
            ("return loss.detach()", "return loss"),
        ),
    ),
    hints=(
        "Six lines: D's logits for (label map, photo) and for (label map, fake), the loss, clear the old gradients, "
        "backward, step. Which of the two images has a history that leads into G?",
        "The fake's logits come from `discriminator(real_a, ...)` with the fake cut loose from its history. The three "
        "calls that follow the loss are `optimizer.zero_grad()`, `loss.backward()`, `optimizer.step()`, in this order.",
    ),
)

g_step = Task(
    key="06.g_step",
    title="one step of G",
    kind="core",
    difficulty=2,
    minutes=15,
    reference=step_generator,
    stub='''\
def step_generator(discriminator, optimizer, real_a, real_b, fake_b, lambda_l1=100.0):
    """Make one update of G; return its adversarial loss and its L1, unweighted and detached."""
    discriminator.requires_grad_(False)
    raise NotImplementedError  # both losses, the update, and D as it was
''',
    inputs=_pair_and_sizes,
    observe=_observe_g,
    mistakes=(
        mistake(
            "G moves by L1 alone: D's answer is cut off from fake_b, or does not count in the sum.",
            ("discriminator(real_a, fake_b)", "discriminator(real_a, fake_b.detach())"),
        ),
        mistake(
            "D is asked about (photo, fake). It has learnt to judge (label map, fake).",
            ("discriminator(real_a, fake_b)", "discriminator(real_b, fake_b)"),
        ),
        mistake("The gradients that lay in G's weights before are counted in.", (CALM, "")),
        mistake(
            "G's gradients are cleared between backward() and the update, so G does not move.",
            (CALM + "    loss.backward()\n", "    loss.backward()\n" + CALM),
        ),
        mistake(
            "D stays frozen after the step: its next step would raise an error, as none of its weights can learn.",
            ("    discriminator.requires_grad_(True)\n", ""),
        ),
        mistake(
            "G's step is right, but D's weights have collected gradients. Freeze D's weights; its input passes the "
            "gradient on all the same.",
            ("    discriminator.requires_grad_(False)\n", ""),
        ),
        mistake(
            "G learns to make D call its output fake: the sign of the logits is the other way round.",
            ("softplus(-disc", "softplus(disc"),
        ),
        mistake(
            "This is log(1-D(fake)), the form that saturates when D is sure. Take -log D(fake).",
            ("F.softplus(-disc", "-F.softplus(disc"),
        ),
        mistake(
            "L1 counts with a weight of 1; lambda_l1 is not used.",
            ("lambda_l1 * loss_l1", "loss_l1"),
        ),
        mistake(
            "lambda_l1 weights the wrong part: it belongs to the L1 distance.",
            ("loss_gan + lambda_l1 * loss_l1", "lambda_l1 * loss_gan + loss_l1"),
        ),
        mistake(
            "The distance is squared; L1 is the mean of the absolute differences.",
            ("l1_loss", "mse_loss"),
        ),
        mistake(
            "L1 is summed over the pixels; it is the mean of the absolute differences.",
            ("F.l1_loss(fake_b, real_b)", 'F.l1_loss(fake_b, real_b, reduction="sum")'),
        ),
        mistake(
            "L1 counts with a weight of 100, whatever lambda_l1 is. The 100 is only its default.",
            ("lambda_l1 * loss_l1", "100.0 * loss_l1"),
        ),
        mistake(
            "The gradients are computed, but G's weights have not moved.",
            ("    optimizer.step()\n", ""),
        ),
        mistake(
            "The two losses come back in the wrong order: the adversarial one comes first.",
            (RETURNED, "return loss_l1.detach(), loss_gan.detach()"),
        ),
        mistake(
            "You return the weighted sum. Return its two parts, each without its weight.",
            (RETURNED, "return loss.detach()"),
        ),
        mistake(
            "The L1 that you return has lambda in it. Return it unweighted, so that runs can be compared.",
            ("loss_l1.detach()", "(lambda_l1 * loss_l1).detach()"),
        ),
        mistake(
            "The losses that you return still hold their graphs. In a history of losses, all would stay in memory.",
            (RETURNED, "return loss_gan, loss_l1"),
        ),
    ),
    hints=(
        "The gradient has to travel through D into fake_b and on into G. What must pass it on, and what must not "
        "collect it?",
        "D's weights are frozen with `requires_grad_`, and set free again at the end. In between: "
        "`F.softplus(-logits).mean()`, `F.l1_loss(...)`, their weighted sum, and the three calls of every update.",
    ),
)


def _config(seed: int) -> tuple[TrainConfig]:
    return (
        TrainConfig(
            epochs=(8, 5, 11, 2, 20)[seed % 5] + seed // 5, lr=(2e-4, 1e-3, 3e-3)[seed % 3]
        ),
    )


def _show_rates(rates: list, wanted: list) -> None:
    if as_array(rates).shape != (len(wanted),):
        return
    figure, axes = plots.new_figure(6, 2.4)
    axes.plot(rates, "o-", color=plots.VERMILLION, label="yours")
    axes.plot(wanted, "o:", color=plots.BLUE, label="wanted")
    axes.set(xlabel="epoch", ylabel="learning rate")
    axes.legend(frameon=False)
    plots.show(figure, "The learning rate of each epoch: yours as a line, the wanted one dotted.")


rate = Task(
    key="06.rate",
    title="the learning rate of an epoch",
    kind="core",
    difficulty=1,
    minutes=8,
    reference=learning_rate,
    stub='''\
def learning_rate(config: TrainConfig, epoch: int) -> float:
    """Return the learning rate of an epoch, counted from 0: constant, then falling linearly.

    It falls in the second half of the epochs. The last one still learns: the line would reach 0
    one epoch after it.
    """
    half = config.epochs // 2
    raise NotImplementedError  # the share of config.lr that this epoch has
''',
    inputs=_config,
    observe=lambda function, config: [function(config, epoch) for epoch in range(config.epochs)],
    show=_show_rates,
    mistakes=(
        mistake(
            "The first epoch of the second half still has the full rate: the fall begins an epoch too late.",
            ("epochs - half + 1", "epochs - half"),
        ),
        mistake(
            "The last epoch has a rate of 0, so it learns nothing. The line reaches 0 one epoch after it.",
            ("config.epochs - epoch)", "config.epochs - epoch - 1)"),
            ("epochs - half + 1", "epochs - half"),
        ),
        mistake(
            "That is the share of the rate, not the rate: config.lr is missing.",
            ("return config.lr * ", "return "),
        ),
        mistake(
            "It falls from the first epoch on; in the first half it should stay.",
            ("1.0 if epoch < half else ", ""),
        ),
        mistake(
            "At the middle the rate leaps down: the fall must begin at the full rate, whatever the number of epochs.",
            ("config.epochs - half + 1", "config.epochs"),
        ),
        mistake(
            "The first epoch of the second half still has the full rate. The line after it is right, so it begins "
            "with a fall of two steps at once.",
            ("epoch < half", "epoch <= half"),
        ),
        mistake(
            "The first epoch of the second half still has the full rate, and the last one has a rate of 0. Both "
            "should lie one step inside the line's ends.",
            (SHARE, "(config.epochs - epoch - 1) / (config.epochs - half - 1)"),
        ),
        mistake(
            "With an odd number of epochs, the second half is one epoch longer than the first. Your line ends too "
            "early there.",
            (SHARE, "(2 * half - epoch) / (half + 1)"),
        ),
        mistake("The rate stays constant to the end.", ("else remaining", "else 1.0")),
        mistake(
            "The rate goes up in the second half: the share that is left shrinks as the epoch grows.",
            ("config.epochs - epoch)", "epoch - half + 1)"),
        ),
    ),
    hints=(
        "Write down the shares for 8 epochs: four times 1, then four fifths and so on. What is the "
        "numerator of each share, as a function of the epoch, and what the denominator?",
        "The numerator is the number of epochs that are left, this one included. The denominator is that number for "
        "the first falling epoch, plus one.",
    ),
)


def _cut_run(seed: int) -> tuple:
    cut, until = ((4, 6), (0, 3), (2, 7), (5, 8), (1, 4))[seed % 5]
    config = TrainConfig(epochs=until + seed % 2, lr=0.02)
    pairs = torch.rand(2, 3 + seed % 3, 3, 6, 5)
    return cut, until, config, *pairs


def _observe_resumed(
    resume: object, cut: int, until: int, config: TrainConfig, real_a: Tensor, real_b: Tensor
) -> dict:
    network, other = (nn.Conv2d(3, 3, 3, padding=1) for _ in range(2))
    adam = torch.optim.Adam(network.parameters(), betas=(config.beta1, config.beta2))
    start = {
        "network": network.state_dict(),
        "optimizer": adam.state_dict(),
        "epoch": 0,
        "losses": [],
    }
    saved = train_until(cut, start, network, real_a, real_b, config)
    state = resume(until, saved, other, real_a, real_b, config)
    found = {"what it returns": state}
    if isinstance(state, dict) and {"epoch", "losses"} <= state.keys():
        found = {"epochs done": state["epoch"], "losses": state["losses"]}
    return found | {"the network's weights": _flat(other)}


resume = Task(
    key="06.resume",
    title="the run that goes on differently",
    kind="debug",
    difficulty=2,
    minutes=12,
    reference=train_until,
    stub=with_bug(train_until, ('range(saved["epoch"], until)', 'range(until - saved["epoch"])')),
    inputs=_cut_run,
    observe=_observe_resumed,
    mistakes=(
        mistake(
            "Now an epoch is left out at the break. Six finished epochs have the numbers 0 to 5.",
            ('range(saved["epoch"], until)', 'range(saved["epoch"] + 1, until)'),
        ),
        mistake(
            "Now it makes the right number of epochs, but each has the number of the one after it.",
            ('range(saved["epoch"], until)', 'range(saved["epoch"] + 1, until + 1)'),
        ),
        mistake(
            "Now it makes one epoch too many: `until` epochs have the numbers 0 to until - 1.",
            ('range(saved["epoch"], until)', 'range(saved["epoch"], until + 1)'),
        ),
        mistake(
            "Now the last finished epoch is made a second time.",
            ('range(saved["epoch"], until)', 'range(max(saved["epoch"] - 1, 0), until)'),
        ),
        mistake(
            "Now it makes all the epochs again, on weights that have learned already.",
            ('range(saved["epoch"], until)', "range(until)"),
        ),
        mistake(
            "Now it goes on too long: `until` counts the epochs of the whole run.",
            ('range(saved["epoch"], until)', 'range(saved["epoch"], saved["epoch"] + until)'),
        ),
        mistake(
            "The learning rate now goes on, but the orders of the pairs still start over. What else depends on the "
            "epoch's number?",
            ("manual_seed(epoch)", 'manual_seed(epoch - saved["epoch"])'),
        ),
        mistake(
            "The orders of the pairs now go on, but the learning rate still starts over.",
            ("learning_rate(config, epoch)", 'learning_rate(config, epoch - saved["epoch"])'),
        ),
        mistake(
            "The learning rate now stays where it is: it no longer falls.",
            ("learning_rate(config, epoch)", "config.lr"),
        ),
        mistake(
            "Adam's averages are no longer taken over from the saved state, so its first steps differ.",
            ('    adam.load_state_dict(saved["optimizer"])\n', ""),
        ),
        mistake(
            "The weights are no longer taken over from the saved state.",
            ('    network.load_state_dict(saved["network"])\n', ""),
        ),
    ),
    hints=(
        "Weights and averages are loaded correctly. What else decides on an epoch? Print it for the first epoch after "
        "the break, in both runs.",
        "The learning rate and the order of the pairs follow from `epoch`. Which numbers does `epoch` have after the "
        "break, and which would it have without one?",
    ),
)

first_loss = Question(
    key="06.first_loss",
    title="the first loss with least squares",
    difficulty=1,
    minutes=4,
    expected=lambda: 0.5 * float(discriminator_loss(torch.zeros(1), torch.zeros(1), "lsgan")),
    wrong=(
        (
            0.25,
            "That is D's loss where all its logits are 0.5. Before the first step they are near 0.",
        ),
        (1.0, "That is the sum of both terms; D's loss is halved."),
        (math.log(2), "That is ln 2, the prediction for the vanilla loss."),
        (0.0, "Fakes cost nothing at a logit of 0, but photos do: their target is 1."),
        (
            2.0,
            "Each term is a mean over the patches; with a target of 1 and a logit of 0, a photo costs 1.",
        ),
    ),
    answer="answer_1 = 0.5 * ((0 - 1) ** 2 + 0**2)",
    hints=(
        "What are D's logits before the first step, for the photo and for the fake? Section 6 says it.",
        "Put a logit of 0 into both terms, (logit - 1) ** 2 and logit ** 2. Do not forget the half.",
    ),
)

winning = OpenTask(
    key="06.winning",
    title="what makes D win",
    difficulty=3,
    minutes=30,
    stub='''\
hypothesis = ""
expect = ("one condition", "<", "the other")


def measure(condition: str, seed: int) -> float:
    """Train small networks under a condition; return the number that the hypothesis speaks of."""
    generator, discriminator, adam_g, adam_d = small_networks(seed)
    for _ in range(60):
        fake_b = generator(tiny_a)
        step_discriminator(discriminator, adam_d, tiny_a, tiny_b, fake_b)
        step_generator(discriminator, adam_g, tiny_a, tiny_b, fake_b)
    raise NotImplementedError  # what the condition changes, and the number
''',
    example='''\
hypothesis = "D wins by learning often, not in large steps: eight steps give it a lower loss than eight times the rate."
expect = ("eight steps of D", "<", "eight times the rate")


def measure(condition: str, seed: int) -> float:
    """Return D's median loss over the last 20 of 60 steps of G."""
    steps, rate = (8, 2e-3) if condition == "eight steps of D" else (1, 1.6e-2)
    generator, discriminator, adam_g, adam_d = small_networks(seed, lr_d=rate)
    losses = []
    for _ in range(60):
        fake_b = generator(tiny_a)
        for _ in range(steps):
            loss = step_discriminator(discriminator, adam_d, tiny_a, tiny_b, fake_b)
        losses.append(float(loss))
        step_generator(discriminator, adam_g, tiny_a, tiny_b, fake_b)
    return float(torch.tensor(losses[-20:]).median())
''',
    example_verdict="""\
verdict, because = "supported", (
    "Eight steps leave D a loss far below that of the large rate, which stays near ln 2. But the large rate may "
    "only be too large for Adam, whatever G does. A D that learns alone, with G frozen, would tell: if it stays "
    "near ln 2 there as well, the rate is to blame and not the balance."
)
""",
    hints=(
        "Choose one thing that you believe gives D the upper hand: its rate, its steps, its size, lambda, the order of "
        "the steps. Then choose one number that says who wins.",
        'In `measure`, `if condition == "..."` changes one number; collect `float(step_discriminator(...))` in a list '
        "and return the median of its last 20.",
    ),
    rubric=(
        "Do both conditions begin with the same first weights and learn the same pairs?",
        "Is the number taken over many steps, and not at the last one alone?",
        "Is it said what a loss near ln 2 means, and what one near 0 means?",
    ),
)
