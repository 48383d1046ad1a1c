"""What the explorers share: controls with their ranges, the picture with its words, and what they do together.

An explorer is a set of controls and one pure function `draw` from their values to a `View`. It
works without a kernel: `explorer.set(row=3)` returns the view that the sliders would show. In a
notebook, an explorer as the last line of a cell shows its controls above the picture (`panel`).
"""

import base64
import html
import io
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from PIL import Image

from ..plots import show_picture
from ..validation import InputError
from .drawing import stack
from .panel import Panel


@dataclass(frozen=True)
class Slider:
    """A number from `low` to `high` in steps of `step`; whole numbers if `step` is one."""

    name: str
    label: str
    low: float
    high: float
    start: float
    step: float = 1

    @property
    def is_whole(self) -> bool:
        return isinstance(self.step, int)

    def check(self, value) -> None:
        """Raise a ValueError that names the range if the value is outside of it, a TypeError if it is no number."""
        if isinstance(value, bool) or not isinstance(value, int if self.is_whole else int | float):
            kind = "a whole number" if self.is_whole else "a number"
            raise TypeError(
                f"{self.name} must be {kind} from {self.low} to {self.high}; got {value!r}"
            )
        check_range(self.name, value, self.low, self.high)


@dataclass(frozen=True)
class Choice:
    """One of several options; `ordered` ones are shown as a slider, the others as a list."""

    name: str
    label: str
    options: tuple
    start: object
    ordered: bool = False

    def check(self, value) -> None:
        """Raise a ValueError that names the options if the value is none of them."""
        if value not in self.options:
            raise InputError(
                f"{self.name} must be one of {', '.join(map(str, self.options))}; got {value!r}"
            )


@dataclass(frozen=True)
class Switch:
    """On or off."""

    name: str
    label: str
    start: bool = False

    def check(self, value) -> None:
        """Raise a TypeError if the value is not True or False."""
        if not isinstance(value, bool):
            raise TypeError(f"{self.name} must be True or False; got {value!r}")


Control = Slider | Choice | Switch


def check_range(name: str, value: float, low: float, high: float) -> None:
    """Raise a ValueError that names the range if the value is outside of it."""
    if not low <= value <= high:
        raise InputError(f"{name} must be from {low} to {high}; got {value}")


@dataclass(frozen=True)
class Action:
    """A button: `change` takes the explorer's values and returns those to set."""

    label: str
    change: Callable[[Mapping], Mapping]


@dataclass(frozen=True)
class View:
    """What one setting shows: a picture, the sentences with its numbers, those numbers, and the picture in words."""

    image: Image.Image
    text: str
    alt: str
    numbers: Mapping = field(default_factory=dict)

    def __repr__(self) -> str:
        return self.text

    def to_html(self) -> str:
        """Return the picture as an <img> element that carries its words and needs no file."""
        buffer = io.BytesIO()
        self.image.save(
            buffer, "jpeg", quality=95, subsampling=0
        )  # looks the same, in a sixth of PNG's time
        data = base64.b64encode(buffer.getvalue()).decode()
        return (
            f'<img src="data:image/jpeg;base64,{data}" alt="{html.escape(self.alt)}" '
            f'width="{self.image.width}" height="{self.image.height}" style="max-width:100%;height:auto">'
        )


class Explorer:
    """Controls and the picture that follows them.

    A subclass names its controls, draws a `View` of their values, and may narrow ranges that depend
    on other values.
    """

    network_seconds = 0.0  # spent in networks for the last view, see `run_network`

    def __init__(self, controls: Sequence[Control], actions: Sequence[Action] = ()):
        self.controls = {control.name: control for control in controls}
        self.actions = tuple(actions)
        self.values = {control.name: control.start for control in controls}
        self.view = self.draw(**self.values)
        self.panel: Panel | None = None

    def draw(self, **values) -> View:
        """Return the view of these values; the explorer itself does not change."""
        raise NotImplementedError

    def limits(self, values: Mapping) -> dict[str, tuple[float, float]]:
        """Return (low, high) of the sliders whose range depends on other values; of the others it is their own."""
        return {}

    def set(self, **values) -> View:
        """Move controls, as a hand would, and return the new view.

        A control that was not named and whose range has shrunk goes to the nearest value that is
        left.

        Raises:
            TypeError: if there is no such control, or a value is of another kind.
            InputError: if a value is not one of those that the control allows now, which the
                message names.
        """
        wanted = self._checked(values)
        self.network_seconds = 0.0
        view = self.draw(**wanted)
        self.values, self.view = wanted, view
        if self.panel:
            self.panel.follow()
        return view

    def range(self, name: str, values: Mapping | None = None) -> tuple[float, float]:
        """Return (low, high) that a slider allows, with these values or the present ones."""
        control = self.controls[name]
        return self.limits(self.values if values is None else values).get(
            name, (control.low, control.high)
        )

    def show_strip(self, *settings: Mapping, alt: str = "") -> None:
        """Show the pictures of some settings below each other, as one figure that needs no kernel.

        What a setting does not name is as it is now. The explorer does not change.
        """
        views = [self.draw(**self._checked(setting)) for setting in settings]
        words = alt or " ".join(
            f"Picture {number}: {view.alt}" for number, view in enumerate(views, 1)
        )
        show_picture(stack([view.image for view in views], [view.text for view in views]), words)

    def run_network(self, network: Callable, *inputs) -> Any:
        """Return network(*inputs) and count the time, which the benchmark shows apart."""
        start = time.perf_counter()
        output = network(*inputs)
        self.network_seconds += time.perf_counter() - start
        return output

    def _checked(self, values: Mapping) -> dict:
        """Return all values with these ones in place, each within what the others allow."""
        unknown = values.keys() - self.controls.keys()
        if unknown:
            raise TypeError(
                f"no control {', '.join(sorted(unknown))}; there are {', '.join(self.controls)}"
            )
        for name, value in values.items():
            self.controls[name].check(value)
        wanted = {**self.values, **values}
        for name in self.controls:  # in order: a range may depend on the controls before its own
            if name not in self.limits(wanted):
                continue
            low, high = self.range(name, wanted)
            if name in values:
                check_range(name, values[name], low, high)
            wanted[name] = min(max(wanted[name], low), high)
        return wanted

    def _ipython_display_(self) -> None:
        if self.panel is None:
            self.panel = Panel(self)
        self.panel.show()
