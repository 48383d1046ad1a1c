"""A page that works without any kernel: python -m pix2pix_lib.page --help.

One HTML file holds a painter for label maps, both networks that ship with the course, and the
JavaScript that runs them in the browser. It loads nothing, so it also opens from a disk.

The page's generator is the one that `translate --export` writes: its norms take their statistics
from the picture at hand, and it drops nothing. The discriminator's norms would need averages from
training, which the page does not have; the one that ships has no norms.
"""

import argparse
import base64
import json
import logging
import re
import sys
from pathlib import Path

import numpy as np
from torch import Tensor, nn

from .cli import CommandParser, run_command
from .facades import CLASS_COLOURS, CLASS_NAMES, make_classes, split_seeds
from .files import replacing
from .patchgan import PatchDiscriminator
from .plots import colour_table
from .receptive_field import receptive_field
from .trained import PERCENTS, Snapshot, load_snapshot
from .unet import DetailUNet, UNet
from .validation import InputError

log = logging.getLogger("pix2pix_lib.page")

FOLDER = Path(__file__).parent
STARTS = 4  # facades that one can start from; no training saw them

Layer = dict  # one convolution with what comes before and after it, see `make_layer`
Reads = list[tuple[int, float]]  # which maps a layer reads, and the slope of its activation below 0


def main(argv: list[str] | None = None) -> int:
    """Run the command and return its exit status.

    It is 0, 2 for an error that a person can mend, or 130 if interrupted.
    """
    return run_command(run, make_parser().parse_args(argv))


def make_parser() -> CommandParser:
    """Return the parser of the command's arguments."""
    parser = CommandParser(
        prog="python -m pix2pix_lib.page",
        description="Write one HTML file in which one paints a label map and the generator answers "
        "at once, in any browser, without Python or network. A file of that name is replaced.",
    )
    parser.add_argument(
        "--out", type=Path, default=Path("pix2pix-page.html"), metavar="FILE",
        help="the page to write, FILE.html (default pix2pix-page.html)",
    )  # fmt: skip
    parser.add_argument(
        "--percent", type=int, default=100,
        help="take the networks as they were after this much of their training: "
        f"{', '.join(map(str, PERCENTS))} (default 100)",
    )  # fmt: skip
    return parser


def run(arguments: argparse.Namespace) -> int:
    """Write the page as the arguments say; return 0."""
    check_target(arguments.out)
    page = make_page(load_snapshot(arguments.percent)).encode()
    with replacing(arguments.out) as temporary:
        temporary.write_bytes(page)
    log.info(f"{arguments.out}: {len(page) / 1e6:.1f} MB; open it in a browser")
    return 0


def check_target(path: Path) -> None:
    """Check that a page of this name could be written.

    Raises:
        InputError: if its ending is not .html, or it is a folder.
    """
    if path.suffix != ".html":
        raise InputError(f"--out must end in .html; got {path}")
    if path.is_dir():
        raise InputError(f"--out {path} is a folder; give the name of a file in it")


def make_page(snapshot: Snapshot) -> str:
    """Return the HTML of the page with the networks of a snapshot.

    Raises:
        InputError: if the page's JavaScript cannot run one of the networks.
    """
    # In a script element, "</" could end it; JSON knows a second way to write the slash.
    data = json.dumps(page_data(snapshot), separators=(",", ":")).replace("</", r"<\/")
    parts = {"data": data, "worker": _read("page_worker.js"), "page": _read("page.js")}
    return re.sub(r"\{\{(\w+)\}\}", lambda found: parts[found[1]], _read("page.html"))


def _read(name: str) -> str:
    """Return the text of a file that lies beside this one."""
    return (FOLDER / name).read_text(encoding="utf-8")


def page_data(snapshot: Snapshot) -> dict:
    """Return what the page needs to know: the networks, the classes, and what patches see."""
    size = snapshot.config.image_size
    starts = (make_classes(seed, size) for seed in split_seeds("val", STARTS))
    field = receptive_field(snapshot.discriminator.model)
    return {
        "size": size,
        "names": CLASS_NAMES,
        "colours": CLASS_COLOURS.tolist(),
        "starts": [_base64(classes) for classes in starts],
        "field": {"size": field.size, "stride": field.stride, "start": field.start},
        "patchColours": colour_table("cividis").tolist(),  # from the least real to the most real
        "generator": generator_layers(snapshot.generator),
        "discriminator": discriminator_layers(snapshot.discriminator),
    }


def generator_layers(generator: UNet) -> list[Layer]:
    """Return the layers of a U-Net in the order in which they run.

    Map 0 is real_a, map n what layer n makes; tanh makes fake_b from the last one.

    Raises:
        InputError: if it has layers that the page's JavaScript does not know.
    """
    layers: list[Layer] = []
    for number, down in enumerate(generator.downs):
        layers.append(make_layer(down.conv, down.norm, [(number, _slope(down.activation))]))
    skips = list(range(1, len(layers)))  # the bottleneck goes straight on
    reads = [len(layers)]
    for up in (*generator.ups, generator.head):
        if not isinstance(up.upsample, nn.Sequential):
            raise InputError('the page runs generators with upsampling="resize" only')
        slope = _slope(up.activation)
        layers.append(
            make_layer(up.upsample[1], up.norm, [(n, slope) for n in reads], doubles=True)
        )
        reads = [len(layers), *([skips.pop()] if generator.skips and skips else [])]
    if isinstance(generator, DetailUNet):
        first, norm, activation, second = generator.detail
        seen = [(len(layers), 0.0), *([(0, 1.0)] if generator.skips else [])]
        layers.append(make_layer(first, norm, seen))
        layers.append(make_layer(second, nn.Identity(), [(len(layers), _slope(activation))]))
    return layers


def discriminator_layers(discriminator: PatchDiscriminator) -> list[Layer]:
    """Return the layers of a patch discriminator without norms, in the order in which they run.

    Maps 0 and 1 are real_a and fake_b, map n + 1 is what layer n makes; the last are the logits.

    Raises:
        InputError: if it has norms.
    """
    layers: list[Layer] = []
    reads: Reads = [(0, 1.0), (1, 1.0)]
    for module in discriminator.model.modules():
        if isinstance(module, nn.Conv2d):
            layers.append(make_layer(module, nn.Identity(), reads))
        elif isinstance(module, nn.BatchNorm2d | nn.InstanceNorm2d | nn.GroupNorm):
            raise InputError('the page runs discriminators with norm="none" only')
        elif isinstance(module, nn.LeakyReLU):
            reads = [(len(layers) + 1, _slope(module))]
    return layers


def make_layer(conv: nn.Conv2d, norm: nn.Module, reads: Reads, doubles: bool = False) -> Layer:
    """Return a convolution in the words of page_worker.js.

    Args:
        norm: behind it, a batch norm or nothing.
        reads: the maps that it reads, laid side by side, each through its activation.
        doubles: repeat each pixel twice in both directions first.

    Raises:
        InputError: if the norm is another one.
    """
    if not isinstance(norm, nn.BatchNorm2d | nn.Identity):
        raise InputError(f'the page runs norms "batch" and "none" only; got {norm}')
    has_norm = isinstance(norm, nn.BatchNorm2d)
    return {
        "reads": reads,
        "doubles": doubles,
        "shape": conv.weight.shape[:3],  # outputs, inputs, side of the kernel
        "stride": conv.stride[0],
        "padding": conv.padding[0],
        "weight": _halves(conv.weight),
        "bias": _halves(conv.bias),
        "scale": _halves(norm.weight) if has_norm else None,
        "shift": _halves(norm.bias) if has_norm else None,
        "epsilon": norm.eps if has_norm else None,
    }


def _slope(activation: nn.Module) -> float:
    """Return what an activation multiplies negative numbers by."""
    slopes = {nn.Identity: 1.0, nn.ReLU: 0.0}
    return getattr(activation, "negative_slope", slopes.get(type(activation)))


def _halves(weights: Tensor | None) -> str | None:
    """Return weights as 16-bit numbers, as the course ships them."""
    if weights is None:
        return None
    return _base64(weights.detach().cpu().numpy().astype("<f2"))


def _base64(numbers: np.ndarray) -> str:
    return base64.b64encode(numbers.tobytes()).decode()


if __name__ == "__main__":
    sys.exit(main())
