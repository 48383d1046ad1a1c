"""What the explorers share: controls with their ranges, and views with their words.

An explorer is a set of controls and one pure function `draw` from their values to a `View`. It
works without a kernel: `explorer.set(row=3)` returns the view that the sliders would show. In a
notebook, an explorer on the last line of a cell shows its controls beside the pictures, which also
take the mouse (see `canvas`), or, without the package anywidget, above them (see `panel`).
"""

import base64
import functools
import html
import io
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from PIL import Image

from ..plots import show_picture
from ..validation import InputError
from .drawing import row, stack
from .picture import Picture
from .shown import show


@dataclass(frozen=True)
class Slider:
    """A number from `low` to `high` in steps of `step`; a whole number if `step` is an int."""

    name: str
    label: str
    low: float
    high: float
    start: float
    step: float = 1
    group: str = ""  # of controls that belong together

    @property
    def is_whole(self) -> bool:
        return isinstance(self.step, int)

    def check(self, value) -> None:
        """Check that a value is a number within the range.

        Raises:
            TypeError: if it is not a number, or not a whole one where only those are allowed.
            InputError: if it is outside of the range, which the message names.
        """
        if isinstance(value, bool) or not isinstance(value, int if self.is_whole else int | float):
            kind = "a whole number" if self.is_whole else "a number"
            raise TypeError(
                f"{self.name} must be {kind} from {self.low} to {self.high}; got {value!r}"
            )
        check_range(self.name, value, self.low, self.high)


@dataclass(frozen=True)
class Choice:
    """One of several options: a slider if they are `ordered`, a list if not."""

    name: str
    label: str
    options: tuple
    start: object
    ordered: bool = False
    group: str = ""

    def check(self, value) -> None:
        """Check that a value is one of the options.

        Raises:
            InputError: if it is not, with all of them.
        """
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
    group: str = ""

    def check(self, value) -> None:
        """Check that a value is True or False.

        Raises:
            TypeError: if it is neither.
        """
        if not isinstance(value, bool):
            raise TypeError(f"{self.name} must be True or False; got {value!r}")


@dataclass(frozen=True)
class Drawing:
    """A map of classes that is painted on; its value is the map, row by row, a byte for each pixel.

    Args:
        side: of the map in pixels.
        names, colours: of the classes, which are numbered from 0; a colour is (red, green, blue).
    """

    name: str
    label: str
    side: int
    names: Sequence[str]
    colours: Sequence[Sequence[int]]
    start: bytes
    group: str = ""

    def check(self, value) -> None:
        """Check that a value is such a map.

        Raises:
            TypeError: if it is not bytes.
            InputError: if it has another length, or a byte that is no class.
        """
        if not isinstance(value, bytes):
            raise TypeError(f"{self.name} must be bytes, one for each pixel; got {value!r}")
        if len(value) != self.side**2 or max(value) >= len(self.names):
            raise InputError(
                f"{self.name} must be {self.side**2} bytes from 0 to {len(self.names) - 1}; "
                f"got {len(value)} with the largest {max(value, default=None)}"
            )


Control = Slider | Choice | Switch | Drawing


def check_range(name: str, value: float, low: float, high: float) -> None:
    """Check that a value lies from `low` to `high`, both included.

    Raises:
        InputError: if it does not, with the range.
    """
    if not low <= value <= high:
        raise InputError(f"{name} must be from {low} to {high}; got {value}")


@dataclass(frozen=True)
class Action:
    """A button; `change` takes the explorer's values and returns those to set.

    With `repeat` it stays pressed, and goes on until it is pressed again or nothing changes any
    longer.

    Args:
        again: what its repetitions do, if that is not `change`.
        pause: between two of them, in milliseconds.
    """

    label: str
    change: Callable[[Mapping], Mapping]
    repeat: bool = False
    again: Callable[[Mapping], Mapping] | None = None
    pause: int = 30


@dataclass(frozen=True)
class View:
    """What one setting shows: pictures, and their words and numbers.

    Args:
        rows: the pictures, row by row.
        text: sentences about them, with their numbers.
        alt: all pictures in words.
        numbers: the same numbers, by name.
    """

    rows: Sequence[Sequence[Picture]]
    text: str
    alt: str
    numbers: Mapping = field(default_factory=dict)

    @functools.cached_property
    def image(self) -> Image.Image:
        """All pictures in one, with their titles, for where there is no page to lay them out."""
        return stack(
            [
                row(
                    [picture.draw() for picture in pictures],
                    [picture.title for picture in pictures],
                )
                for pictures in self.rows
            ],
            gap=10,
        )

    def __repr__(self) -> str:
        return self.text

    def to_jpeg(self) -> bytes:
        """Return all pictures in one, as JPEG: it looks like PNG and takes a sixth of the time."""
        buffer = io.BytesIO()
        self.image.save(buffer, "jpeg", quality=90, subsampling=0)
        return buffer.getvalue()

    def to_html(self) -> str:
        """Return the picture as a self-contained <img> element, with its words as `alt`."""
        data = base64.b64encode(self.to_jpeg()).decode()
        return (
            f'<img src="data:image/jpeg;base64,{data}" alt="{html.escape(self.alt)}" '
            f'width="{self.image.width}" height="{self.image.height}" '
            'style="max-width:100%;height:auto">'
        )


class Explorer:
    """Controls and the picture that follows them.

    A subclass names its controls and draws a `View` of their values. It may narrow the ranges of
    sliders that depend on other values, see `limits`. Its docstring lists its controls, and what
    `view.numbers` holds.
    """

    network_seconds = 0.0  # spent in networks for the last view, see `run_network`

    def __init__(self, controls: Sequence[Control], actions: Sequence[Action] = ()):
        self.controls = {control.name: control for control in controls}
        self.actions = tuple(actions)
        self.values = {control.name: control.start for control in controls}
        self.view = self.draw(**self.values)
        self.panel = None  # what shows the explorer in a notebook, once it is shown

    def draw(self, **values) -> View:
        """Return the view of these values, without changing the explorer."""
        raise NotImplementedError

    def limits(self, values: Mapping) -> dict[str, tuple[float, float]]:
        """Return (low, high) of each slider whose range depends on other values.

        A slider that is not named keeps its own range.
        """
        return {}

    def set(self, **values) -> View:
        """Move controls as a hand would, and return the new view.

        A control that was not named and whose range has shrunk moves to the nearest value still
        allowed.

        Raises:
            TypeError: if there is no such control, or a value is of another kind.
            InputError: if a control does not allow its value now; the message names those it
                allows.
        """
        wanted = self._checked(values)
        self.network_seconds = 0.0
        view = self.draw(**wanted)
        self.values, self.view = wanted, view
        if self.panel:
            self.panel.follow()
        return view

    def reset(self) -> View:
        """Move all controls back to where they began, and return the view."""
        return self.set(**{control.name: control.start for control in self.controls.values()})

    def close(self) -> None:
        """Take the explorer off the page, and forget the pictures that it keeps."""
        if self.panel:
            self.panel.close()
            self.panel = None
        for value in vars(self).values():
            if hasattr(value, "cache_clear"):
                value.cache_clear()

    def range(self, name: str, values: Mapping | None = None) -> tuple[float, float]:
        """Return (low, high) that a slider allows, with these values or else the present ones."""
        control = self.controls[name]
        return self.limits(self.values if values is None else values).get(
            name, (control.low, control.high)
        )

    def show_strip(self, *settings: Mapping, alt: str = "") -> None:
        """Show the pictures of several settings below each other, as one figure.

        The figure needs no kernel, and the explorer does not change.

        Args:
            settings: values by name; a control that is not named keeps its present value.
            alt: the figure in words; by default those of the pictures, numbered.
        """
        views = [self.draw(**self._checked(setting)) for setting in settings]
        words = alt or " ".join(
            f"Picture {number}: {view.alt}" for number, view in enumerate(views, 1)
        )
        show_picture(stack([view.image for view in views], [view.text for view in views]), words)

    def run_network(self, network: Callable, *inputs) -> Any:
        """Return `network(*inputs)` and add its time, which the benchmark reports separately."""
        start = time.perf_counter()
        output = network(*inputs)
        self.network_seconds += time.perf_counter() - start
        return output

    def _checked(self, values: Mapping) -> dict:
        """Return all values with the given ones in place, each within what the others allow."""
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
        show(self)
