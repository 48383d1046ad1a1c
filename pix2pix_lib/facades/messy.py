"""A folder of pairs as people have them: procedural facades with eight kinds of fault planted."""

from pathlib import Path

import numpy as np
from PIL import Image

from ..files import new_folder
from .make import make_pair, split_seeds

TRAIN, VAL = 48, 12  # pairs
# Kinds as `checking` calls them, each with the number of pairs that get it.
PLANTED = {
    "wrong partners": 7,  # from some pair on, a label map is missing and the next one took its name
    "EXIF turn": 3,  # the camera lay on its side; the label map was drawn on its unturned pixels
    "transparency": 3,  # the sky was cut out
    "JPEG label maps": 4,
    "smooth label maps": 4,  # drawn at half the size, then enlarged by a smooth filter
    "swapped sides": 4,
    "mixed sizes": 3,
    "near-duplicates": 3,  # saved once more, brighter and partly mirrored, as pairs of val
}


def messy_dataset(out: Path, seed: int = 0, size: int = 64) -> dict[str, list[str]]:
    """Write 48 pairs for training and 12 for validation, half of them spoilt.

    They lie in out/train/a (photos), out/train/b (label maps) and out/val likewise. The same seed
    gives the same folder.

    Args:
        out: the folder to make; it must be missing or empty.
        size: of most pictures in pixels, a multiple of 32.

    Returns:
        The pairs, "train/0001", by the kind of fault that each got. Of near-duplicates both pairs
        are named, the one of train and the one of val.

    Raises:
        FileExistsError: if `out` holds anything.
    """
    with new_folder(Path(out)) as folder:
        return _draw_all(folder, np.random.default_rng(seed), seed, size)


def _draw_all(folder: Path, dice: np.random.Generator, seed: int, size: int) -> dict:
    """Draw the pairs of both splits into a folder; return which pair got which fault."""
    planted = _choose(dice)
    kinds = {name: kind for kind, names in planted.items() for name in names}
    seeds = [*split_seeds("train", TRAIN + 1, seed), *split_seeds("val", VAL, seed)]
    for split in ("train", "val"):
        for side in "ab":
            (folder / split / side).mkdir(parents=True)
    copies = iter(planted["near-duplicates"][: PLANTED["near-duplicates"]])
    for index in range(TRAIN + VAL):
        name = _name(index)
        kind = kinds.get(name, "")
        if kind == "near-duplicates" and index >= TRAIN:
            source = next(copies)
            _copy(folder, source, name, mirrored=source == planted[kind][0])
            continue
        own = seeds[index if index < TRAIN else index + 1]
        shown = size * 3 // 2 if kind == "mixed sizes" else size
        photo, label = _pictures(own, shown)
        if kind == "wrong partners":  # the pair after this one, or the extra one, lost its photo
            after = f"{_name(index + 1)}" in planted[kind]
            label = _pictures(seeds[index + 1] if after else seeds[TRAIN], size)[1]
        _save(folder, name, kind, photo, label)
    return planted


def _name(index: int) -> str:
    return f"train/{index + 1:04d}" if index < TRAIN else f"val/{index - TRAIN + 1:04d}"


def _choose(dice: np.random.Generator) -> dict[str, list[str]]:
    """Choose the pairs of each kind of fault; no pair of train gets two."""
    run = PLANTED["wrong partners"]
    first = int(dice.integers(TRAIN - run + 1))
    slipped = range(first, first + run)
    others = iter(dice.permutation([i for i in range(TRAIN) if i not in slipped]).tolist())
    planted = {}
    for kind, count in PLANTED.items():
        chosen = slipped if kind == "wrong partners" else [next(others) for _ in range(count)]
        planted[kind] = [_name(i) for i in sorted(chosen)]
    copies = sorted(dice.permutation(VAL)[: PLANTED["near-duplicates"]].tolist())
    planted["near-duplicates"] += [_name(TRAIN + i) for i in copies]
    return planted


def _pictures(seed: int, size: int) -> tuple[Image.Image, Image.Image]:
    pair = make_pair(seed, size)
    return Image.fromarray(pair.photo), Image.fromarray(pair.label)


def _save(folder: Path, name: str, kind: str, photo: Image.Image, label: Image.Image) -> None:
    """Save a pair with its fault, if it has one."""
    options, endings = {}, {"a": "png", "b": "png"}
    if kind == "EXIF turn":
        exif = Image.Exif()
        exif[0x0112] = 6  # orientation: turn by 90 degrees to look at it
        options["a"], endings["a"] = {"exif": exif, "quality": 95}, "jpg"
    elif kind == "transparency":
        alpha = np.full(photo.size[::-1], 255, np.uint8)
        alpha[: len(alpha) // 6] = 0
        photo.putalpha(Image.fromarray(alpha))
    elif kind == "JPEG label maps":
        options["b"], endings["b"] = {"quality": 90}, "jpg"
    elif kind == "smooth label maps":
        half = label.resize((label.width // 2, label.height // 2), Image.Resampling.NEAREST)
        label = half.resize(label.size, Image.Resampling.BILINEAR)
    elif kind == "swapped sides":
        photo, label = label, photo
    for side, picture in zip("ab", (photo, label)):
        picture.save(_file(folder, name, side, endings[side]), **options.get(side, {}))


def _file(folder: Path, name: str, side: str, ending: str) -> Path:
    split, number = name.split("/")
    return folder / split / side / f"{number}.{ending}"


def _copy(folder: Path, source: str, name: str, mirrored: bool) -> None:
    """Save a pair of train once more as a pair of val, a little changed."""
    for side in "ab":
        with Image.open(_file(folder, source, side, "png")) as picture:
            copy = picture.transpose(Image.Transpose.FLIP_LEFT_RIGHT) if mirrored else picture
            if side == "a":
                copy = copy.point(lambda value: min(255, round(value * 1.08)))
            copy.save(_file(folder, name, side, "png"))
