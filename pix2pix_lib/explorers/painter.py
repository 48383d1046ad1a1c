"""Paint a label map, and the trained generator answers every stroke.

Source: after edges2cats (Hesse 2017), here with the facades of the course.
"""

import numpy as np
import torch

from ..devices import device_of
from ..facades import make_classes, split_seeds
from ..facades.plans import CLASS_COLOURS, CLASS_NAMES
from ..images import to_pil
from ..receptive_field import receptive_field
from ..trained import Snapshot, shared_snapshot
from .base import Drawing, Slider, Switch, View
from .designer import MapExplorer, class_shares, label_tensor
from .patches import SCALES, lay_over, map_colours, sigmoid
from .picture import Picture

SIZE = 128  # pixels of a label map: what the networks that ship were trained on
SIDE = 320  # screen pixels of a picture
FACADES = 8  # to start from
NAMED = 3  # how many classes the text names, the largest first


class FacadePainter(MapExplorer):
    """A label map to paint on, what the generator makes of it, and what the discriminator says.

    Controls:
        facade: the map to start from, of a building that no training saw; moving it replaces what
            is painted.
        classes: the map, 128x128 bytes, one class for each pixel, row by row.
        judge: lay D's map of patches over the generated picture.

    Numbers:
        shares: of the pixels, {class name: 0 to 1}.
        probability: the mean that D gives the generated picture; with `judge` only.

    Args:
        snapshot: what `trained.load_snapshot` returns; by default that.
    """

    def __init__(self, snapshot: Snapshot | None = None):
        self.snapshot = shared_snapshot() if snapshot is None else snapshot
        self.field = receptive_field(self.snapshot.discriminator.model)
        self.maps = [make_classes(seed, SIZE).tobytes() for seed in split_seeds("val", FACADES)]
        super().__init__(
            self.snapshot.generator,
            [
                Slider("facade", "start from facade", 0, FACADES - 1, 0),
                Switch("judge", "what does D say?"),
                Drawing(
                    "classes", "label map", SIZE, CLASS_NAMES, CLASS_COLOURS.tolist(), self.maps[0],
                    group="paint",
                ),
            ],
        )  # fmt: skip

    def set(self, **values) -> View:
        """Move controls, as `Explorer.set`; another facade brings its own map."""
        if values.get("facade", self.values["facade"]) != self.values["facade"]:
            self.controls["facade"].check(values["facade"])
            values = {"classes": self.maps[values["facade"]], **values}
        return super().set(**values)

    def draw(self, facade: int, judge: bool, classes: bytes) -> View:
        painted = np.frombuffer(classes, np.uint8).reshape(SIZE, SIZE)
        fake_b = self.fake_b(painted)
        numbers = {"shares": class_shares(painted)}
        answer, scale, said = to_pil(fake_b), None, ""
        if judge:
            logits = self._logits(painted, fake_b)
            answer = lay_over(answer, self.field, map_colours(logits, "probability"))
            numbers["probability"] = float(sigmoid(logits).mean())
            scale = SCALES["probability"]
            said = f" D gives its patches a mean probability of {numbers['probability']:.2f}."
        largest = sorted(numbers["shares"].items(), key=lambda pair: -pair[1])[:NAMED]
        text = f"Your map is {', '.join(f'{share:.0%} {name}' for name, share in largest)}.{said}"
        title = "the generator's picture"
        pictures = [
            Picture(to_pil(label_tensor(painted)), "paint here", SIDE, drawing="classes"),
            Picture(answer, title, SIDE, smooth=True, scale=scale, file="facade.png"),
        ]
        alt = f"A label map to paint on, and the generator's picture of it. {text}"
        return View([pictures], text, alt, numbers)

    @torch.no_grad()
    def _logits(self, painted: np.ndarray, fake_b: torch.Tensor) -> np.ndarray:
        discriminator = self.snapshot.discriminator
        pair = (x[None].to(device_of(discriminator)) for x in (label_tensor(painted), fake_b))
        return self.run_network(discriminator, *pair)[0, 0].cpu().numpy()
