"""Drawing pairs from seeds, and whole datasets of them on disk."""

import functools
import json
import operator
import os
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from PIL import Image

from ..progress import progress_callback
from ..validation import InputError, check_choice
from .paint import paint_photo
from .plans import CLASS_COLOURS, Dice, class_map, make_plan

if TYPE_CHECKING:
    from torch import Tensor

# Raise it when the same seed gives other pixels: datasets made before are then made anew.
FACADES_VERSION = 2
SPLITS: tuple[str, ...] = ("train", "val", "test")
SPLIT_LIMIT = 1_000_000  # the most seeds one split may use
STYLES: tuple[str, ...] = ("day", "night")
FORMATS: tuple[str, ...] = ("png", "jpg")
JPEG_QUALITY = 90
MANIFEST = "dataset.json"

Progress = Callable[[int, int], None]
Manifest = dict[str, Any]  # what dataset.json holds
Draw = Callable[[int, int], np.ndarray]  # (seed, size) to one file's (size, width, 3) uint8


@dataclass(frozen=True)
class FacadePair:
    """One building: its class map, its label map, and its photo.

    Args:
        classes: (S, S) uint8 in 0..11.
        label: (S, S, 3) uint8.
        photo: (S, S, 3) uint8.
    """

    classes: np.ndarray
    label: np.ndarray
    photo: np.ndarray


def _check_integer(name: str, value: int, example: int) -> int:
    """Return `value` as a plain int.

    Raises:
        TypeError: if it is not an integer; a bool is none.
    """
    try:
        if isinstance(value, (bool, np.bool_)):
            raise TypeError
        return operator.index(value)
    except TypeError:
        raise TypeError(
            f"{name} must be an integer, got {value!r}; pass for example {name}={example}"
        ) from None


def _check_seed(name: str, seed: int) -> int:
    """Return `seed` as a plain int.

    Raises:
        TypeError: if it is not an integer.
        InputError: if it is not in 0 .. 2**64 - 1.
    """
    value = _check_integer(name, seed, 7)
    if not 0 <= value < 2**64:
        raise InputError(
            f"{name} must be in 0 .. 2**64 - 1, got {value}; pass for example {name}=7"
        )
    return value


def _check_size(size: int) -> int:
    """Return `size` as a plain int.

    Raises:
        TypeError: if it is not an integer.
        InputError: if it is not 32, 48, 64 and so on.
    """
    value = _check_integer("size", size, 256)
    if value >= 32 and value % 16 == 0:
        return value
    below = max(32, value // 16 * 16)
    remedy = "32" if value < 32 else f"{below} or {below + 16}"
    raise InputError(f"size must be a multiple of 16 and at least 32, got {value}; use {remedy}")


# --------------------------------------------------------------------------------------------------
# Pairs
# --------------------------------------------------------------------------------------------------


def make_classes(seed: int, size: int = 256) -> np.ndarray:
    """Return the class map of a seed: (size, size) uint8 in 0..11, as in `CLASS_NAMES`.

    Raises:
        TypeError: if the seed or the size is not an integer.
        InputError: if the seed is outside 0 .. 2**64 - 1, or the size is below 32 or not a multiple
            of 16.
    """
    return class_map(make_plan(_check_seed("seed", seed)), _check_size(size))


def make_pair(seed: int, size: int = 256, photo_seed: int | None = None) -> FacadePair:
    """Return the pair of a seed; the label map depends on `seed` only, the photo on both seeds.

    Args:
        size: of the picture in pixels; another one draws the same building at another resolution.
        photo_seed: chooses one of many photos of the same label map; None takes one that is derived
            from `seed`.

    Raises:
        TypeError, InputError: as `make_classes`, for both seeds.
    """
    seed, size = _check_seed("seed", seed), _check_size(size)
    words = () if photo_seed is None else (_check_seed("photo_seed", photo_seed),)
    plan = make_plan(seed)
    classes = class_map(plan, size)
    return FacadePair(
        classes, CLASS_COLOURS[classes], paint_photo(plan, classes, Dice(1, seed, *words))
    )


def facade_tensors(
    seed: int, size: int = 128, photo_seed: int | None = None
) -> "tuple[Tensor, Tensor]":
    """Return one facade as (label map, photo), both (3, size, size) float32 in [-1, 1].

    Raises:
        TypeError, InputError: as `make_pair`.
    """
    import torch  # drawing facades needs none, and importing it takes seconds

    from ..images import to_float

    pair = make_pair(seed, size, photo_seed)
    label, photo = (torch.from_numpy(image).permute(2, 0, 1) for image in (pair.label, pair.photo))
    return to_float(label), to_float(photo)


def make_styled(seed: int, size: int = 256, style: str = "day") -> np.ndarray:
    """Return the photo of a seed's building by "day" or by "night": (size, size, 3) uint8.

    By day it is the photo of `make_pair(seed, size)`. By night the same building stands in the same
    place, dim and blue below a dark sky; shops and about a third to two thirds of the windows are
    lit. Which ones depends on the seed, and cannot be read from the photo by day.

    Raises:
        TypeError, InputError: as `make_classes`; an InputError also for another style.
    """
    check_choice("style", style, STYLES)
    seed, size = _check_seed("seed", seed), _check_size(size)
    plan = make_plan(seed)
    # The night has its own dice, so that the building's fall as they do by day.
    night = Dice(2, seed) if style == "night" else None
    return paint_photo(plan, class_map(plan, size), Dice(1, seed), night)


def colour_to_classes(label: np.ndarray) -> np.ndarray:
    """Return the class whose colour is nearest to each pixel.

    JPEG moves the flat colours of a label map a little; the nearest colour is still the right one.

    Args:
        label: (..., 3) integers in 0..255.

    Returns:
        (...) uint8 in 0..11.

    Raises:
        InputError: if the array does not hold integers, or its last axis is not 3 long.
    """
    label = np.asarray(label)
    if label.ndim < 1 or label.shape[-1] != 3 or label.dtype.kind not in "ui":
        raise InputError(
            f"label must be integers of shape (..., 3) in 0..255, got {label.dtype} of shape "
            f"{label.shape}; load it with np.asarray(image.convert('RGB'))"
        )
    best = np.zeros(label.shape[:-1], np.uint8)
    nearest = np.full(label.shape[:-1], 1 << 30, np.int32)
    for index, colour in enumerate(CLASS_COLOURS.astype(np.int32)):
        distance = np.zeros(label.shape[:-1], np.int32)
        for channel in range(3):
            distance += (label[..., channel].astype(np.int32) - colour[channel]) ** 2
        closer = distance < nearest
        best[closer], nearest[closer] = index, distance[closer]
    return best


# --------------------------------------------------------------------------------------------------
# Datasets on disk
# --------------------------------------------------------------------------------------------------


def _check_count(what: str, count: int, limit: int) -> None:
    """Check that `count` is in 0 .. `limit`.

    Raises:
        InputError: if it is not.
    """
    if not 0 <= count <= limit:
        raise InputError(
            f"the number of {what} must be in 0 .. {limit}, got {count}; "
            "for more use another base seed"
        )


def split_seeds(split: str, count: int, base_seed: int = 0) -> range:
    """Return the seeds of the first `count` pairs of a split.

    No two splits or base seeds share a seed.

    Raises:
        TypeError: if the base seed is not an integer.
        InputError: if the split is not train, val or test, the count is outside 0 .. 1,000,000, or
            the base seed is too large.
    """
    check_choice("split", split, SPLITS)
    _check_count(f"{split} pairs", count, SPLIT_LIMIT)
    first = (_check_seed("base_seed", base_seed) * len(SPLITS) + SPLITS.index(split)) * SPLIT_LIMIT
    if first + SPLIT_LIMIT > 2**64:
        raise InputError(
            f"base_seed must be below {2**64 // (len(SPLITS) * SPLIT_LIMIT)}, got {base_seed}"
        )
    return range(first, first + count)


def unpaired_seeds(split: str, count: int, base_seed: int = 0) -> tuple[range, ...]:
    """Return the seeds of the first `count` pictures of each style in a split, ordered as `STYLES`.

    The styles take turns with the split's seeds, so no two of them share one.

    Raises:
        TypeError, InputError: as `split_seeds`; the largest count is 500,000.
    """
    every = split_seeds(split, SPLIT_LIMIT, base_seed)
    _check_count(f"{split} pictures of each style", count, SPLIT_LIMIT // len(STYLES))
    return tuple(every[first :: len(STYLES)][:count] for first in range(len(STYLES)))


PAIRED = {
    "layout": "A (photo) is the left half, B (label map) the right half",
    "direction": "BtoA turns label maps into photos",
}
UNPAIRED = {
    "styles": dict(zip("AB", STYLES, strict=True)),
    "layout": (
        "A (day) is the folder <split>A, B (night) the folder <split>B; no building is in both"
    ),
    "direction": "AtoB turns day into night",
}


def _manifest(
    counts: dict[str, int], size: int, base_seed: int, format: str, unpaired: bool = False
) -> Manifest:
    """Return what dataset.json says: all that the pictures depend on, and how to read them."""
    check_choice("format", format, FORMATS)
    manifest: Manifest = {
        "made_by": "pix2pix_lib.facades",
        "facades_version": FACADES_VERSION,
        "size": _check_size(size),
        "counts": {split: operator.index(count) for split, count in counts.items()},
        "base_seed": _check_seed("base_seed", base_seed),
        "format": format,
        **(UNPAIRED if unpaired else PAIRED),
    }
    _folders(manifest)  # raises for counts and seeds that make no dataset
    return manifest


def _folders(manifest: Manifest) -> list[tuple[str, range, Draw]]:
    """Return the folders of a manifest: name, one seed per file, and how to draw a file."""
    folders: list[tuple[str, range, Draw]] = []
    for split, count in manifest["counts"].items():
        if "styles" not in manifest:
            folders.append((split, split_seeds(split, count, manifest["base_seed"]), _draw_pair))
            continue
        seeds = unpaired_seeds(split, count, manifest["base_seed"])
        for (side, style), own in zip(manifest["styles"].items(), seeds, strict=True):
            folders.append((split + side, own, functools.partial(make_styled, style=style)))
    return folders


def _read_manifest(folder: Path) -> Manifest | None:
    """Return the dataset.json of a folder that this module wrote, or None if there is none."""
    try:
        manifest = json.loads((folder / MANIFEST).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    return (
        manifest
        if isinstance(manifest, dict) and manifest.get("made_by") == "pix2pix_lib.facades"
        else None
    )


def _is_taken(out: Path) -> bool:
    """Return whether anything but an empty folder lies at `out`."""
    return out.exists() and (not out.is_dir() or any(out.iterdir()))


def _draw_pair(seed: int, size: int) -> np.ndarray:
    """Return a pair side by side, the photo on the left: (size, 2 * size, 3) uint8."""
    pair = make_pair(seed, size)
    return np.concatenate([pair.photo, pair.label], axis=1)


def _save_picture(picture: np.ndarray, path: Path) -> None:
    """Write a picture; the format follows from the ending."""
    # Without chroma subsampling the flat colours of a label map move by a few levels only.
    options = {"quality": JPEG_QUALITY, "subsampling": 0} if path.suffix == ".jpg" else {}
    Image.fromarray(picture).save(path, **options)


def _fill_folder(folder: Path, manifest: Manifest, progress: Progress | None) -> None:
    """Write all pictures that a manifest asks for, and the manifest, into an empty folder."""
    folders = _folders(manifest)
    total, done = sum(len(seeds) for _, seeds, _ in folders), 0
    for name, seeds, draw in folders:
        (folder / name).mkdir()
        for number, seed in enumerate(seeds, start=1):
            _save_picture(
                draw(seed, manifest["size"]), folder / name / f"{number:04d}.{manifest['format']}"
            )
            done += 1
            if progress is not None:
                progress(done, total)
    (folder / MANIFEST).write_text(json.dumps(manifest, indent=2) + "\n", encoding="utf-8")


def _move_into_place(finished: Path, out: Path) -> None:
    """Rename a finished folder to `out`.

    What was there before is removed once the new folder is in place.
    """
    if _read_manifest(out) == _read_manifest(finished):
        return  # another process was faster: its dataset is as good, and may be in use already
    before = out.with_name(f".{out.name}.{os.getpid()}.before")
    if out.exists():
        out.rename(before)
    try:
        finished.rename(out)
    except OSError:
        if before.exists() and not out.exists():
            before.rename(out)
        raise
    shutil.rmtree(before, ignore_errors=True)


def _build(out: Path, manifest: Manifest, progress: Progress | None) -> Path:
    """Make a dataset in a temporary folder beside `out`, then move it there.

    An interruption leaves no trace.
    """
    out.parent.mkdir(parents=True, exist_ok=True)
    temporary = out.with_name(f".{out.name}.{os.getpid()}.partial")
    shutil.rmtree(temporary, ignore_errors=True)
    try:
        temporary.mkdir()
        _fill_folder(temporary, manifest, progress)
        _move_into_place(temporary, out)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)
    return out


def write_dataset(
    out: Path,
    counts: dict[str, int],
    size: int = 256,
    base_seed: int = 0,
    format: str = "png",
    progress: Progress | None = None,
    unpaired: bool = False,
) -> Path:
    """Write a dataset of pairs, or of unpaired pictures, to the folder `out` and return it.

    The files are `out/<split>/0001.<format>` and so on, one per pair, `2 * size` wide: the photo on
    the left (A), the label map on the right (B). With `unpaired` they are instead
    `out/<split>A/0001.<format>`, photos by day, and `out/<split>B/0001.<format>`, photos of other
    buildings by night. `out/dataset.json` says how the dataset was made.

    The folder appears when it is complete, never before. If `out` already holds this very dataset,
    it is kept as it is.

    Args:
        counts: numbers of pairs by split; with `unpaired`, of pictures in each of the two folders.
        size: of the pictures in pixels, a multiple of 16.
        base_seed: another one gives other buildings.
        format: "png" or "jpg".
        progress: called as progress(done, total) after each file.

    Raises:
        FileExistsError: if `out` holds anything else.
        InputError: if the arguments make no dataset.
    """
    out, manifest = Path(out), _manifest(counts, size, base_seed, format, unpaired)
    if _read_manifest(out) == manifest:
        return out
    if _is_taken(out):
        raise FileExistsError(
            f"{out} exists and is not this dataset; remove it, or choose another folder"
        )
    return _build(out, manifest, progress)


def default_dataset(
    root: Path,
    size: int = 128,
    train: int = 1000,
    val: int = 100,
    base_seed: int = 0,
    progress: Progress | None = None,
) -> Path:
    """Return the folder `root/facades_<size>`, after making the dataset if need be.

    This is the dataset that is used when no data is given. It is made if it is missing, and made
    anew if it comes from another version of this module, or has other counts or another seed.
    Without a `progress`, a bar is shown.

    Raises:
        FileExistsError: if the folder holds something that this module did not make.
    """
    manifest = _manifest({"train": train, "val": val}, size, base_seed, "png")
    return _keep_or_make(Path(root) / f"facades_{size}", manifest, progress)


def default_unpaired_dataset(
    root: Path,
    size: int = 64,
    train: int = 200,
    val: int = 50,
    base_seed: int = 0,
    progress: Progress | None = None,
) -> Path:
    """Return the folder `root/day_night_<size>`, after making the dataset if need be.

    `trainA` and `valA` hold photos by day, `trainB` and `valB` photos by night, `train` and `val`
    of them in each folder; no building is in two folders. All else is as in `default_dataset`.
    """
    manifest = _manifest({"train": train, "val": val}, size, base_seed, "png", unpaired=True)
    return _keep_or_make(Path(root) / f"day_night_{size}", manifest, progress)


def _keep_or_make(out: Path, manifest: Manifest, progress: Progress | None) -> Path:
    """Return the folder `out` once it holds the dataset of a manifest.

    Another dataset of this module is replaced.
    """
    found = _read_manifest(out)
    if found == manifest:
        return out
    if found is None and _is_taken(out):
        raise FileExistsError(
            f"{out} exists and is not a facades dataset; remove it, or choose another folder"
        )
    return _build(out, manifest, progress or progress_callback("making facades"))
