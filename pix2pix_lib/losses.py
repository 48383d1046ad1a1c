"""The objectives of discriminator and generator, and the pixel losses that go with them.

All adversarial losses take raw logits of any shape, for example the (N, 1, H', W') map of a patch
discriminator, and return the mean over all of them as a scalar tensor.

Source: Isola et al. 2017, section 3.1, and the papers named at each objective.
"""

import torch
import torch.nn.functional as F
from torch import Tensor

from .validation import check_choice

OBJECTIVES = ("vanilla", "lsgan", "hinge", "wasserstein")
PIXEL_LOSSES = ("l1", "l2", "none")


def discriminator_loss(
    real_logits: Tensor, fake_logits: Tensor, objective: str = "vanilla"
) -> Tensor:
    """Return D's loss on real and generated logits: the *sum* of both terms.

    The trainer halves it, as the paper does.

    vanilla      softplus(-real) + softplus(fake) = -log sigma(real) - log(1 - sigma(fake))
    lsgan        (real - 1)^2 + fake^2
    hinge        max(0, 1 - real) + max(0, 1 + fake)
    wasserstein  -real + fake; it means nothing unless D is held Lipschitz, which this library
                 does not do

    Raises:
        ValueError: if `objective` is not one of `OBJECTIVES`.

    Source: Goodfellow et al. 2014; Mao et al. 2017; Lim and Ye 2017; Arjovsky et al. 2017.
    """
    check_choice("objective", objective, OBJECTIVES)
    if objective == "vanilla":
        return F.softplus(-real_logits).mean() + F.softplus(fake_logits).mean()
    if objective == "lsgan":
        return (real_logits - 1).square().mean() + fake_logits.square().mean()
    if objective == "hinge":
        return F.relu(1 - real_logits).mean() + F.relu(1 + fake_logits).mean()
    return fake_logits.mean() - real_logits.mean()


def undecided_loss(objective: str) -> tuple[float, str]:
    """Return the halved loss of a D that cannot tell real from generated, and its short name.

    All its logits are then 0 (with lsgan 0.5, half-way between the two targets).

    Raises:
        InputError: if `objective` is not one of `OBJECTIVES`.
    """
    logits = torch.tensor([0.5 if objective == "lsgan" else 0.0])
    value = 0.5 * float(discriminator_loss(logits, logits, objective))
    names = {"vanilla": "ln 2", "lsgan": "1/4", "hinge": "1", "wasserstein": "0"}
    return value, names[objective]


def generator_loss(fake_logits: Tensor, objective: str = "vanilla") -> Tensor:
    """Return G's adversarial loss on the logits of its images: how far D is from calling them real.

    vanilla             softplus(-fake) = -log sigma(fake), the non-saturating form: maximise log D
    lsgan               (fake - 1)^2
    hinge, wasserstein  -fake

    Raises:
        ValueError: if `objective` is not one of `OBJECTIVES`.
    """
    check_choice("objective", objective, OBJECTIVES)
    if objective == "vanilla":
        return F.softplus(-fake_logits).mean()
    if objective == "lsgan":
        return (fake_logits - 1).square().mean()
    return -fake_logits.mean()


def pixel_loss(fake_b: Tensor, real_b: Tensor, kind: str = "l1") -> Tensor:
    """Return the mean distance between two (N, C, H, W) batches.

    It is absolute (`l1`), squared (`l2`), or 0 (`none`).

    Raises:
        ValueError: if `kind` is not one of `PIXEL_LOSSES`, or the shapes differ (they would be
            broadcast silently).
    """
    check_choice("pixel loss", kind, PIXEL_LOSSES)
    if fake_b.shape != real_b.shape:
        raise ValueError(
            "expected two batches of one shape; "
            f"got {tuple(fake_b.shape)} and {tuple(real_b.shape)}"
        )
    if kind == "l1":
        return F.l1_loss(fake_b, real_b)
    if kind == "l2":
        return F.mse_loss(fake_b, real_b)
    return torch.zeros((), device=fake_b.device)
