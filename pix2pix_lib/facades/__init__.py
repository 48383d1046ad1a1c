"""Procedural facades: pairs of a label map and a photo-like picture, drawn from a seed.

The course needs paired pictures that may be given to anyone. These are drawn by code, so no
photograph is involved. The label maps use the twelve classes and colours of the CMP Facades
dataset; each file holds both side by side, as the paper's files do.

    pair = make_pair(7)                      # pair.label and pair.photo, (256, 256, 3) uint8
    again = make_pair(7, photo_seed=1)       # the same label map, another plausible photo

A label map depends on `seed` only. Materials, colours, light, sky, curtains and reflections depend
on `photo_seed` and cannot be read from the labels: one label map has many right answers, which is
what makes the task interesting. The same seed gives the same pixels on every platform.

    night = make_styled(7, style="night")    # the same building, its lamps lit: (256, 256, 3) uint8

Photos by day and photos by night are two domains for unpaired translation;
`default_unpaired_dataset` makes them of different buildings, so that no pair exists.

`plans` lays the buildings out, `paint` paints the photos, `make` gives both to callers and writes
datasets: python -m pix2pix_lib.facades --help.
"""

from .make import (
    FACADES_VERSION,
    SPLIT_LIMIT,
    SPLITS,
    STYLES,
    FacadePair,
    colour_to_classes,
    default_dataset,
    default_unpaired_dataset,
    facade_tensors,
    make_classes,
    make_pair,
    make_styled,
    split_seeds,
    unpaired_seeds,
    write_dataset,
)
from .plans import CLASS_COLOURS, CLASS_NAMES

__all__ = [
    "CLASS_COLOURS", "CLASS_NAMES", "FACADES_VERSION", "SPLITS", "SPLIT_LIMIT", "STYLES",
    "FacadePair", "colour_to_classes", "default_dataset", "default_unpaired_dataset",
    "facade_tensors", "make_classes", "make_pair", "make_styled", "split_seeds", "unpaired_seeds",
    "write_dataset",
]  # fmt: skip
