"""Vote: which of two pictures is the true photo?

Source: Isola et al. 2017, section 4.1, who showed each picture for a second.
"""

from collections.abc import Mapping

import torch
from torch import Tensor

from ..evaluation import binomial_interval
from ..facades import facade_tensors, split_seeds
from ..images import to_pil
from ..inference import translate
from ..trained import shared_snapshot
from ..validation import InputError
from .base import Action, Explorer, Slider, View
from .picture import Picture

SIDE = 320  # screen pixels of each picture
SIDES = ("left", "right")


class VoteExplorer(Explorer):
    """Shows a generated picture beside a true photo, and counts how often the photo is found.

    `vote`, also as buttons, keeps an answer and goes on to the next trial; `clear` forgets all.
    The answers are part of the explorer's state, as the values of the controls are. What was right
    is said once all trials have an answer.

    Controls:
        trial: 1 to the number of pairs.

    Numbers:
        trial: the same.
        voted: how many trials have an answer.
        right: how many answers are right; only when all are given, as are the next two.
        low, high: a 95 % interval (Clopper-Pearson) of the share that would be right in the long
            run.

    Args:
        generated, photos: (N, 3, H, W) in [-1, 1]; the two of a trial need not be of one building.
            By default what the generator that ships makes of 20 unseen label maps, and photos of
            other unseen buildings.
        seed: decides on which side the photo is.

    Raises:
        InputError: if there are no pictures, or not as many of one kind as of the other.
    """

    def __init__(
        self, generated: Tensor | None = None, photos: Tensor | None = None, seed: int = 0
    ):
        if generated is None or photos is None:
            generated, photos = shipped_ballot()
        if not len(generated) == len(photos) > 0:
            raise InputError(
                f"a vote needs as many photos as generated pictures; got {len(photos)} and "
                f"{len(generated)}"
            )
        self.generated, self.photos = generated.cpu(), photos.cpu()
        dice = torch.Generator().manual_seed(seed)
        self.truth = [SIDES[i] for i in torch.randint(2, (len(photos),), generator=dice)]
        self.votes: dict[int, str] = {}
        super().__init__(
            [Slider("trial", "trial", 1, len(photos), 1)],
            [
                Action("the left one is the photo", lambda values: self._keep(values, "left")),
                Action("the right one is the photo", lambda values: self._keep(values, "right")),
                Action("start again", self._forget),
            ],
        )

    def vote(self, side: str) -> View:
        """Say that the picture on this side is the photo, and go on to the next trial.

        Raises:
            InputError: if the side is neither "left" nor "right".
        """
        if side not in SIDES:
            raise InputError(f"side must be one of {', '.join(SIDES)}; got {side!r}")
        return self.set(**self._keep(self.values, side))

    def clear(self) -> View:
        """Forget all answers and return the first trial's view."""
        return self.set(**self._forget(self.values))

    def reset(self) -> View:
        """Forget all answers and return the first trial's view."""
        return self.clear()

    def pictures(self, trial: int) -> dict[str, Tensor]:
        """Return the pictures of a trial by their side, each (3, H, W)."""
        photo, other = self.photos[trial - 1], self.generated[trial - 1]
        return dict(
            zip(SIDES, (photo, other) if self.truth[trial - 1] == "left" else (other, photo))
        )

    def draw(self, trial: int) -> View:
        numbers = {"trial": trial, "voted": len(self.votes)}
        if len(self.votes) == len(self.photos):
            numbers["right"] = sum(self.truth[t - 1] == side for t, side in self.votes.items())
            numbers["low"], numbers["high"] = binomial_interval(numbers["right"], len(self.photos))
        pictures = [
            Picture(to_pil(image), self._title(trial, side), SIDE, smooth=True)
            for side, image in self.pictures(trial).items()
        ]
        text = self._text(numbers)
        alt = f"Two pictures of facades side by side, one generated and one a photo. {text}"
        return View([pictures], text, alt, numbers)

    def _title(self, trial: int, side: str) -> str:
        if len(self.votes) < len(self.photos):
            return f"{side}{', your vote' if self.votes.get(trial) == side else ''}"
        kind = "the photo" if self.truth[trial - 1] == side else "generated"
        return f"{kind}{', your vote' if self.votes[trial] == side else ''}"

    def _text(self, numbers: Mapping) -> str:
        count = len(self.photos)
        if "right" not in numbers:
            return (
                f"Trial {numbers['trial']} of {count}: which one is the photo? "
                f"{numbers['voted']} answered."
            )
        return (
            f"You found the photo in {numbers['right']} of {count} trials. In the long run that "
            f"would be {numbers['low']:.2f} to {numbers['high']:.2f} of them; a coin finds half."
        )

    def _keep(self, values: Mapping, side: str) -> dict:
        self.votes[values["trial"]] = side
        return {"trial": min(values["trial"] + 1, len(self.photos))}

    def _forget(self, values: Mapping) -> dict:
        self.votes.clear()
        return {"trial": 1}


def shipped_ballot(count: int = 20) -> tuple[Tensor, Tensor]:
    """Return what the shipped generator makes of test facades, and photos of others of them."""
    pairs = [facade_tensors(seed) for seed in split_seeds("test", count)]
    labels, photos = (torch.stack(side) for side in zip(*pairs, strict=True))
    return translate(shared_snapshot().generator, labels), photos.roll(1, dims=0)
