"""Look into a U-Net: the feature maps of each block, and what the image loses without a skip.

Source: Isola et al. 2017, section 3.2.1 "Generator with skips" and section 4.3 (U-Net against
encoder-decoder).
"""

import functools
import math
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import torch
from PIL import Image
from torch import Tensor, nn

from ..devices import device_of
from ..facades import facade_tensors, split_seeds
from ..images import to_pil
from ..inference import translate
from ..plots import BLUE, GREEN, GREY, ORANGE
from ..trained import shared_snapshot
from ..unet import UNet
from ..validation import InputError
from .base import Choice, Explorer, Slider, View
from .drawing import INK, Sketch, diverging, heat
from .picture import Picture, Scale, Spot

SIDE = 144  # screen pixels of the pictures in the lower row
INPUT_SIDE = 128
DIAGRAM_WIDTH = 620
HALF_WIDTH = 22  # of a block, screen pixels: as wide as the longest name
HALF_HEIGHT = 0.4  # of a block, in steps from one level to the next
LETTER = 6.5  # screen pixels of a letter in the diagram
TILES = 64  # maps in the mosaic; a layer with more channels shows those near the chosen one
LEAST_TILE = 16  # pixels of a map in the mosaic, so that the gaps stay narrow
CHANGE_REACH = 1.0  # where the colours of the change end; the largest possible change is 2
CHANGE_SCALE = Scale("cividis", ("0", f"{CHANGE_REACH / 2:g}", f"{CHANGE_REACH:g}+"))

Point = tuple[float, float]
Box = tuple[float, float, float, float]


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


@functools.lru_cache(64)
def draw_network(depth: int, layer: str, muted: tuple[int, ...]) -> Sketch:
    """Draw a U-Net as a diagram of DIAGRAM_WIDTH x INPUT_SIDE with `layer` filled.

    Each level is one step down. Skips are green lines; a muted connection is grey and dashed, and
    carries 0.
    """
    diagram, places = Sketch(DIAGRAM_WIDTH, INPUT_SIDE), _places(depth)
    for before, after in pairwise(places):
        is_muted = before == f"down{depth}" and depth in muted
        _connect(diagram, places[before], places[after], GREY, is_muted)
    for level in range(1, depth):
        start, end = places[f"down{level}"], places[f"up{depth - level}"]
        _connect(diagram, start, end, GREEN, level in muted)
        _write(diagram, skip_box(level, depth), f"skip {level}", level in muted)
    _write(diagram, bottleneck_box(depth), "bottleneck", depth in muted)
    for name, place in places.items():
        _draw_block(diagram, _block_box(place, depth), name, name == layer)
    return diagram


def _places(depth: int) -> dict[str, Point]:
    """Return the centres of the blocks, evenly from left to right, one step down per level."""
    names = [f"down{level}" for level in range(1, depth + 1)] + [
        f"up{number}" for number in range(1, depth)
    ]
    levels = [*range(1, depth + 1), *range(depth - 1, 0, -1)]
    across, down = DIAGRAM_WIDTH / len(names), INPUT_SIDE / depth
    return {
        name: ((i + 0.5) * across, (level - 0.5) * down)
        for i, (name, level) in enumerate(zip(names, levels))
    }


def _block_box(place: Point, depth: int) -> Box:
    """Return (left, top, right, bottom) of the block with this centre."""
    (x, y), half = place, HALF_HEIGHT * INPUT_SIDE / depth
    return x - HALF_WIDTH, y - half, x + HALF_WIDTH, y + half


def skip_box(level: int, depth: int) -> Box:
    """Return (left, top, right, bottom) of a skip, from one of its blocks to the other."""
    places = _places(depth)
    _, top, left, bottom = _block_box(places[f"down{level}"], depth)
    right = _block_box(places[f"up{depth - level}"], depth)[0]
    return left, top, right, bottom


def bottleneck_box(depth: int) -> Box:
    """Return (left, top, right, bottom) of the bottleneck's name, to the right of its block."""
    _, top, left, bottom = _block_box(_places(depth)[f"down{depth}"], depth)
    return left + 4, top, left + 96, bottom


def _connect(diagram: Sketch, start: Point, end: Point, colour: str, muted: bool) -> None:
    """Draw a line between two blocks, dashed if it is muted."""
    diagram.line([start, end], "#999999" if muted else colour, 2, dash=6 if muted else 0)


def _write(diagram: Sketch, box: Box, name: str, muted: bool) -> None:
    """Write the name of a connection in the middle of its box, and what it carries if it is 0."""
    left, top, right, bottom = box
    x, y, words = (left + right) / 2, (top + bottom) / 2, f"{name}: 0" if muted else name
    if muted and LETTER * len(words) > right - left:  # deep networks have short skips
        words = "0"
    half = min(LETTER * len(words), right - left) / 2
    diagram.box((x - half, y - 8, x + half, y + 8), fill="white")
    diagram.text(x, y, words, size=12)


def _draw_block(diagram: Sketch, box: Box, name: str, chosen: bool) -> None:
    colour = BLUE if name.startswith("down") else ORANGE
    diagram.box(box, fill=colour if chosen else "white", edge=colour)
    # On a filled block the ink must not follow the page's theme.
    ink = {BLUE: "#ffffff", ORANGE: "#000000"}[colour] if chosen else INK
    diagram.text((box[0] + box[2]) / 2, (box[1] + box[3]) / 2, name, size=12, colour=ink)


def network_spots(depth: int, mute: str) -> list[Spot]:
    """Return the parts of the diagram to click: a connection mutes or unmutes, a block chooses."""
    boxes = {f"skip {level}": skip_box(level, depth) for level in range(1, depth)}
    boxes["bottleneck"] = bottleneck_box(depth)
    spots = [_mute_spot(name, box, mute) for name, box in boxes.items()]
    for name, place in _places(depth).items():
        box = _shares(_block_box(place, depth))
        # No frame for the chosen one: it is filled.
        spots.append(Spot(box, {"layer": name}, f"{name}: show its channels"))
    return spots


def _mute_spot(name: str, box: Box, mute: str) -> Spot:
    if name == mute:
        return Spot(_shares(box), {"mute": "nothing"}, f"{name} is muted: let it pass again")
    return Spot(_shares(box), {"mute": name}, f"{name}: mute it, zeros in its place")


def _shares(box: Box) -> Box:
    """Return (top, left, bottom, right) as shares of the diagram."""
    left, top, right, bottom = box
    return top / INPUT_SIDE, left / DIAGRAM_WIDTH, bottom / INPUT_SIDE, right / DIAGRAM_WIDTH


def map_picture(values: np.ndarray, title: str) -> Picture:
    """Return one channel of a feature map, (H, W), as a picture that is white at 0."""
    reach = reach_of(values)
    scale = Scale("PuOr", (f"{-reach:.1f}", "0", f"{reach:.1f}"))
    return Picture(diverging(values, reach), title, SIDE, scale=scale)


def reach_of(values: np.ndarray) -> float:
    """Return the largest size of a value, where the colours end; 1 if all are 0."""
    return float(np.abs(values).max()) or 1.0


def change_picture(change: np.ndarray) -> Picture:
    """Return how much each pixel changed, (H, W) in [0, 2], dark where it did not."""
    return Picture(heat(change, 0, CHANGE_REACH), "change", SIDE, scale=CHANGE_SCALE)


def mosaic_picture(maps: np.ndarray, channel: int) -> Picture:
    """Return the channels of a layer, (C, H, W), as small maps to choose from.

    At most `TILES` are shown, the chosen one among them. Each has its own colour scale, as the
    large map has.
    """
    first = channel // TILES * TILES
    shown = maps[first : first + TILES]
    image, boxes = tile([diverging(values, reach_of(values)) for values in shown])
    spots = [
        Spot(
            box,
            {"channel": number},
            f"channel {number}: {values.min():.1f} to {values.max():.1f}",
            number == channel,
        )
        for number, (box, values) in enumerate(zip(boxes, shown), first)
    ]
    title = f"channels {first} to {first + len(shown) - 1}"
    return Picture(image, title, SIDE, smooth=max(image.size) > 2 * SIDE, spots=spots)


def tile(pictures: Sequence[Image.Image]) -> tuple[Image.Image, list[Box]]:
    """Lay pictures of one size in a square grid, with gaps of one pixel.

    Small ones are enlarged by a whole number.

    Returns:
        The grid, and the (top, left, bottom, right) of each picture as shares of it.
    """
    cols = math.ceil(math.sqrt(len(pictures)))
    rows = math.ceil(len(pictures) / cols)
    times = math.ceil(LEAST_TILE / max(pictures[0].size))
    width, height = (side * times for side in pictures[0].size)
    grid = Image.new("RGB", (cols * (width + 1) - 1, rows * (height + 1) - 1), "#bbbbbb")
    boxes = []
    for number, picture in enumerate(pictures):
        top, left = number // cols * (height + 1), number % cols * (width + 1)
        grid.paste(picture.resize((width, height), Image.Resampling.NEAREST), (left, top))
        boxes.append(
            (
                top / grid.height,
                left / grid.width,
                (top + height) / grid.height,
                (left + width) / grid.width,
            )
        )
    return grid, boxes


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
        self.generator = shared_snapshot().generator if generator is None else generator
        self.real_a = _default_inputs() if real_a is None else real_a
        _check(self.generator, self.real_a)
        self.muted = mute_options(self.generator.depth)
        self._trace = functools.lru_cache(32)(self._trace_now)
        self.channels = {
            name: len(values) for name, values in self._trace(0, "nothing").maps.items()
        }
        super().__init__(
            [
                Choice("layer", "layer", tuple(self.channels), "down1", ordered=True, group="map"),
                Slider("channel", "channel", 0, max(self.channels.values()) - 1, 0, group="map"),
                Choice("mute", "mute", tuple(self.muted), "nothing", ordered=True, group="network"),
                Slider("facade", "image", 0, len(self.real_a) - 1, 0, group="network"),
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
        depth = self.generator.depth
        upper = [
            Picture(to_pil(self.real_a[facade]), "input", INPUT_SIDE),
            Picture(
                draw_network(depth, layer, self.muted[mute]),
                "U-Net: a block to see, a skip to mute",
                spots=network_spots(depth, mute),
            ),
        ]
        lower = [
            mosaic_picture(trace.maps[layer].numpy(), channel),
            map_picture(values, f"{layer}, channel {channel}"),
            _image_picture(full.fake_b, "nothing muted"),
        ]
        if self.muted[mute]:  # else there is no second image to show, and no change
            lower += [_image_picture(trace.fake_b, f"muted: {mute}"), change_picture(change)]
        return View([upper, lower], _text(numbers, mute), _alt(numbers, mute), numbers)

    def _trace_now(self, facade: int, mute: str) -> Trace:
        device = device_of(self.generator)
        return self.run_network(
            trace_muted, self.generator, self.real_a[facade].to(device), self.muted[mute]
        )


def _image_picture(image: Tensor, title: str) -> Picture:
    return Picture(to_pil(image), title, SIDE, smooth=True)


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
        f"muted. Below it small maps of the channels of {numbers['layer']}; channel "
        f"{numbers['channel']} as {height}x{width} squares, orange below 0 and purple above, "
        f"{numbers['off']:.0%} of them not above 0"
    )
    if not numbers["muted"]:
        return f"{words}; and the generator's image."
    return (
        f"{words}; the generator's image; the image with {mute} muted; and where they differ, "
        f"{numbers['change']:.3f} on average."
    )
