"""Look into a U-Net: the feature maps of each block, and what the image loses without a skip.

Source: Isola et al. 2017, section 3.2.1 "Generator with skips" and section 4.2 (U-Net against
encoder-decoder).
"""

import functools
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import torch
from PIL import Image, ImageDraw
from torch import Tensor, nn

from ..devices import device_of
from ..facades import facade_tensors, split_seeds
from ..inference import translate
from ..plots import BLUE, GREEN, GREY, ORANGE
from ..trained import load_snapshot
from ..unet import UNet
from ..validation import InputError
from .base import Choice, Explorer, Slider, View
from .drawing import (
    INK,
    diverging,
    enlarge,
    font,
    heat,
    photo,
    row,
    scale_below,
    smooth_photo,
    stack,
)

SIDE = 192  # screen pixels of the pictures in the lower row: three for each value of a 64x64 map
INPUT_SIDE = 128
DIAGRAM_WIDTH = 664
FINE = 2  # the diagram is drawn at twice its size, for smooth lines
LABEL = font(13 * FINE)
CHANGE_REACH = 1.0  # where the colours of the change end; the largest possible change is 2

Point = tuple[float, float]


# --------------------------------------------------------------------------------------------------
# The network
# --------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Trace:
    """One pass through a U-Net.

    Args:
        fake_b: the image, (C, H, W) in [-1, 1].
        maps: what each block made, {name: (C, H, W)}.
    """

    fake_b: Tensor
    maps: dict[str, Tensor]


def blocks_by_name(generator: UNet) -> dict[str, nn.Module]:
    """Return the blocks in the order in which they run.

    They are down1 (the largest map), down2 and so on, then up1 (the smallest map) and so on.
    """
    downs = {f"down{level}": block for level, block in enumerate(generator.downs, start=1)}
    return downs | {f"up{number}": block for number, block in enumerate(generator.ups, start=1)}


def mute_options(depth: int) -> dict[str, tuple[int, ...]]:
    """Return what can be muted in a U-Net of this depth, and the encoder levels that it mutes.

    Skip k carries what down block k made; the last level is the bottleneck, which goes straight on
    to up1.
    """
    skips = tuple(range(1, depth))
    options = {"nothing": ()} | {f"skip {level}": (level,) for level in skips}
    return options | {"bottleneck": (depth,), "all skips": skips}


def trace_muted(generator: UNet, real_a: Tensor, muted: Collection[int] = ()) -> Trace:
    """Translate a (C, H, W) image with zeros for some encoder features; keep what each block made.

    Levels in `muted` count from 1. The way down runs as always: only the decoder block that reads
    level k finds zeros in its channels. Dropout and statistics are as in `inference.translate`,
    with the same seed for every choice of levels, so two images differ by what was muted and by
    nothing else.
    """
    maps: dict[str, Tensor] = {}
    handles = [
        block.register_forward_hook(_keeper(maps, name))
        for name, block in blocks_by_name(generator).items()
    ]
    readers = [*generator.ups, generator.head]  # the first reads the bottleneck, the last level 1
    for level in muted:
        channels = generator.downs[level - 1].conv.out_channels
        handles.append(readers[generator.depth - level].register_forward_pre_hook(_muter(channels)))
    try:
        fake_b = translate(generator, real_a[None])
    finally:
        for handle in handles:
            handle.remove()
    return Trace(fake_b[0].cpu(), maps)


def _keeper(maps: dict[str, Tensor], name: str):
    def keep(block, inputs, output) -> None:
        maps[name] = output[0].cpu()

    return keep


def _muter(channels: int):
    def mute(block, inputs) -> Tensor:
        x = inputs[0].clone()
        x[:, -channels:] = 0  # the encoder's feature stands behind the decoder's own
        return x

    return mute


# --------------------------------------------------------------------------------------------------
# The picture
# --------------------------------------------------------------------------------------------------


@functools.lru_cache(64)  # most of its time is text, which stays while another channel is chosen
def draw_network(depth: int, layer: str, muted: tuple[int, ...]) -> Image.Image:
    """Draw a U-Net as a diagram of (DIAGRAM_WIDTH, INPUT_SIDE) pixels with `layer` filled.

    Each level is one step down. Skips are green lines; a muted connection is grey and dashed, and
    carries 0.
    """
    diagram = Image.new("RGB", (DIAGRAM_WIDTH * FINE, INPUT_SIDE * FINE), "white")
    draw, places = ImageDraw.Draw(diagram), _places(depth)
    names = list(places)
    for before, after in pairwise(names):
        is_muted = before == f"down{depth}" and depth in muted
        _connect(draw, places[before], places[after], GREY, is_muted, "0" if is_muted else "")
    for level in range(1, depth):
        is_muted = level in muted
        start, end = places[f"down{level}"], places[f"up{depth - level}"]
        _connect(
            draw, start, end, GREEN, is_muted, f"skip {level}: 0" if is_muted else f"skip {level}"
        )
    half = (25 * FINE, 0.4 * INPUT_SIDE * FINE / depth)  # as wide as the longest name
    for name in names:
        _draw_block(draw, places[name], half, name, name == layer)
    return diagram.reduce(FINE)


def _places(depth: int) -> dict[str, Point]:
    """Return the centres of the blocks, evenly from left to right, one step down per level."""
    names = [f"down{level}" for level in range(1, depth + 1)] + [
        f"up{number}" for number in range(1, depth)
    ]
    levels = [*range(1, depth + 1), *range(depth - 1, 0, -1)]
    across, down = DIAGRAM_WIDTH * FINE / len(names), INPUT_SIDE * FINE / depth
    return {
        name: ((i + 0.5) * across, (level - 0.5) * down)
        for i, (name, level) in enumerate(zip(names, levels))
    }


def _connect(
    draw: ImageDraw.ImageDraw, start: Point, end: Point, colour: str, muted: bool, text: str
) -> None:
    """Draw a line between two blocks, dashed if it is muted, with its name in the middle."""
    count = round(abs(end[0] - start[0]) / (12 * FINE)) if muted else 1
    edges = [tuple(a + (b - a) * i / count for a, b in zip(start, end)) for i in range(count + 1)]
    for first, last in list(pairwise(edges))[::2]:
        draw.line((first, last), fill="#999999" if muted else colour, width=2 * FINE)
    x, y = (start[0] + end[0]) / 2, (start[1] + end[1]) / 2
    if text:
        half = LABEL.getlength(text) / 2 + 3 * FINE
        draw.rectangle((x - half, y - 8 * FINE, x + half, y + 8 * FINE), fill="white")
        draw.text((x, y), text, INK, LABEL, anchor="mm")


def _draw_block(
    draw: ImageDraw.ImageDraw, place: Point, half: Point, name: str, chosen: bool
) -> None:
    colour = BLUE if name.startswith("down") else ORANGE
    box = (place[0] - half[0], place[1] - half[1], place[0] + half[0], place[1] + half[1])
    draw.rectangle(box, fill=colour if chosen else "white", outline=colour, width=2 * FINE)
    ink = "white" if chosen and colour == BLUE else INK
    draw.text(place, name, ink, LABEL, anchor="mm")


def draw_map(values: np.ndarray, side: int = SIDE) -> Image.Image:
    """Draw one channel of a feature map, (H, W), white at 0, each value a sharp square.

    Its scale is below.
    """
    reach = float(np.abs(values).max())
    ends = (f"{-reach:.1f}", "0", f"{reach:.1f}")
    return scale_below(enlarge(diverging(values, reach), side, side), "PuOr", ends)


def draw_change(change: np.ndarray, side: int = SIDE) -> Image.Image:
    """Draw how much each pixel changed, (H, W) in [0, 2], dark where it did not.

    Its scale is below.
    """
    picture = enlarge(heat(change, 0, CHANGE_REACH), side, side)
    return scale_below(
        picture, "cividis", ("0", f"{CHANGE_REACH / 2:g}", f"{CHANGE_REACH:g} or more")
    )


# --------------------------------------------------------------------------------------------------
# The explorer
# --------------------------------------------------------------------------------------------------


class UNetExplorer(Explorer):
    """Choose a block and a channel to see its feature map; mute a skip to see what it carries.

    The generator runs as the paper does at test time, with dropout and the statistics of the image
    at hand (`inference.translate`), always with the same seed: with nothing muted the image is that
    of `translate`. The bottleneck can be muted too.

    Numbers:
        layer, channel: what is shown.
        channels: how many the layer has.
        size: (height, width) of its map.
        lowest, highest: the channel's extremes.
        off: share of the channel's values that the decoder's ReLU sets to 0.
        facade: which input.
        muted: levels, counted from 1.
        change: mean absolute difference of the image from that with nothing muted, in [0, 2].

    Args:
        generator: a `UNet` with skips; by default the trained one that ships.
        real_a: (N, C, H, W) inputs for it, in [-1, 1]; by default four label maps of validation
            facades, 128x128.

    Raises:
        TypeError: if the generator is not a `UNet`.
        InputError: if it has no skips, or the inputs are not a batch that it can take.
    """

    def __init__(self, generator: UNet | None = None, real_a: Tensor | None = None):
        self.generator = load_snapshot().generator if generator is None else generator
        self.real_a = _default_inputs() if real_a is None else real_a
        _check(self.generator, self.real_a)
        self.muted = mute_options(self.generator.depth)
        self._trace = functools.lru_cache(32)(self._trace_now)
        self.channels = {
            name: len(values) for name, values in self._trace(0, "nothing").maps.items()
        }
        super().__init__(
            [
                Choice("layer", "layer", tuple(self.channels), "down1", ordered=True),
                Slider("channel", "channel", 0, max(self.channels.values()) - 1, 0),
                Choice("mute", "mute", tuple(self.muted), "nothing", ordered=True),
                Slider("facade", "image", 0, len(self.real_a) - 1, 0),
            ]
        )

    def limits(self, values: Mapping) -> dict[str, tuple[int, int]]:
        return {"channel": (0, self.channels[values["layer"]] - 1)}

    def draw(self, layer: str, channel: int, mute: str, facade: int) -> View:
        full, trace = self._trace(facade, "nothing"), self._trace(facade, mute)
        values = trace.maps[layer][channel].numpy()
        change = (trace.fake_b - full.fake_b).abs().mean(dim=0).numpy()  # (C, H, W) -> (H, W)
        numbers = {
            "layer": layer,
            "channel": channel,
            "channels": self.channels[layer],
            "size": values.shape,
            "lowest": float(values.min()),
            "highest": float(values.max()),
            "off": float((values <= 0).mean()),
            "facade": facade,
            "muted": self.muted[mute],
            "change": float(change.mean()),
        }
        diagram = draw_network(self.generator.depth, layer, self.muted[mute])
        upper = row([photo(self.real_a[facade], INPUT_SIDE), diagram])
        height, width = values.shape
        panels = [draw_map(values), smooth_photo(full.fake_b, SIDE)]
        titles = [f"{layer}, channel {channel} ({height}x{width})", "image, nothing muted"]
        if self.muted[mute]:  # else there is no second image to show, and no change
            panels += [smooth_photo(trace.fake_b, SIDE), draw_change(change)]
            titles += [f"muted: {mute}", "change"]
        picture = stack([upper, row(panels, titles)], gap=10)
        return View(picture, _text(numbers, mute), _alt(numbers, mute), numbers)

    def _trace_now(self, facade: int, mute: str) -> Trace:
        device = device_of(self.generator)
        return self.run_network(
            trace_muted, self.generator, self.real_a[facade].to(device), self.muted[mute]
        )


def _default_inputs() -> Tensor:
    return torch.stack([facade_tensors(seed)[0] for seed in split_seeds("val", 4)])


def _check(generator: UNet, real_a: Tensor) -> None:
    if not isinstance(generator, UNet):
        raise TypeError(f"expected a generator of the class UNet; got {type(generator).__name__}")
    if not generator.skips:
        raise InputError("expected a U-Net with skips to mute; got one built with skips=False")
    if real_a.dim() != 4 or len(real_a) == 0:
        raise InputError(
            f"expected inputs of shape (N, C, H, W), N at least 1; got {tuple(real_a.shape)}; "
            f"one image becomes a batch by image[None]"
        )


def _text(numbers: dict, mute: str) -> str:
    height, width = numbers["size"]
    channel = (
        f"{numbers['layer']}, channel {numbers['channel']} (0 to {numbers['channels'] - 1}): "
        f"{height}x{width} values from {numbers['lowest']:.2f} to {numbers['highest']:.2f}; the "
        f"decoder's ReLU sets {numbers['off']:.0%} of them to 0."
    )
    if not numbers["muted"]:
        return f"{channel}\nNothing is muted: this is the generator's own image."
    return (
        f"{channel}\n"
        f"Muted: {mute} (zeros in its place). The image changes by {numbers['change']:.3f} on "
        "average, on a scale from 0 to 2."
    )


def _alt(numbers: dict, mute: str) -> str:
    height, width = numbers["size"]
    words = (
        f"A label map beside a diagram of the U-Net with {numbers['layer']} marked and {mute} "
        f"muted. Below it channel {numbers['channel']} of {numbers['layer']} as {height}x{width} "
        f"squares, orange below 0 and purple above, {numbers['off']:.0%} of them not above 0"
    )
    if not numbers["muted"]:
        return f"{words}; and the generator's image."
    return (
        f"{words}; the generator's image; the image with {mute} muted; and where they differ, "
        f"{numbers['change']:.3f} on average."
    )
