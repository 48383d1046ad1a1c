"""Where the images of a dataset lie on disk: which files belong together, and to which split.

A pair has two sides, A and B; see `data` for what is made of them.
"""

from dataclasses import dataclass
from pathlib import Path

from .images import IMAGE_SUFFIXES
from .validation import InputError, check_choice

LAYOUTS = ("auto", "pairs", "folders", "cmp")


@dataclass(frozen=True)
class Pair:
    """Where one pair lies: two files, or one file with A as its left and B as its right half.

    In one file, `b` is None.
    """

    a: Path
    b: Path | None = None

    @property
    def name(self) -> str:
        return self.a.stem

    @property
    def files(self) -> tuple[Path, ...]:
        return (self.a,) if self.b is None else (self.a, self.b)


def find_pairs(root: Path | str, split: str | None = None, layout: str = "auto") -> list[Pair]:
    """Find the pairs of one split of a dataset, sorted by name.

    Three layouts are known; `auto` takes the one it finds.

    pairs    root/train/1.jpg: both images side by side in one file, A on the left, as in the paper
    folders  root/train/a/1.jpg with root/train/b/1.png, or root/trainA with root/trainB, matched
             by name
    cmp      root/train/1.jpg with 1.png: photo (A) and label map (B) in one folder, as in the CMP
             archive

    With `split=None` the images lie in `root` itself.

    Raises:
        FileNotFoundError: if the folder, the split, its images, or one image's partner is missing.
        InputError: if the layout is not known, or two files of one folder have the same name but
            for the ending.
    """
    check_choice("layout", layout, LAYOUTS)
    root = Path(root)
    if not root.is_dir():
        raise FileNotFoundError(
            f"{root}: no such folder; give the folder that holds the images or its train folder"
        )
    folders = _two_folders(root, split) if layout in ("auto", "folders") else None
    if folders:
        return _match_folders(*folders)
    if layout == "folders":
        wanted = f"a and b (or {split or 'train'}A and {split or 'train'}B)"
        raise FileNotFoundError(
            f"{root}: no folders {wanted}; it holds {_listing(root)}; try another layout"
        )
    folder = root / split if split else root
    if not folder.is_dir():
        raise FileNotFoundError(f"{folder}: no such folder; {root} holds {_listing(root)}")
    files = _image_files(folder, root if split is None else None)
    if layout == "cmp" or (layout == "auto" and _looks_like_cmp(files)):
        return _match_cmp(files)
    return [Pair(file) for file in _by_stem(files).values()]


@dataclass(frozen=True)
class Side:
    """Where one image lies: a file, or one half of it (`half` is then "left" or "right")."""

    file: Path
    half: str = ""

    @property
    def files(self) -> tuple[Path, ...]:
        return (self.file,)


def find_unpaired(
    root: Path | str, split: str | None = None, layout: str = "auto"
) -> tuple[list[Side], list[Side]]:
    """Find the images of domains A and B of one split, each sorted by name.

    Neither their numbers nor their names need to agree. They lie in two folders, as `find_pairs`
    knows them: root/trainA and root/trainB, or root/train/a and root/train/b. A dataset of pairs in
    another layout gives the sides of its pairs.

    Raises:
        FileNotFoundError, InputError: as `find_pairs`.
    """
    check_choice("layout", layout, LAYOUTS)
    root = Path(root)
    folders = _two_folders(root, split) if layout in ("auto", "folders") and root.is_dir() else None
    if folders:
        return tuple([Side(file) for file in _image_files(folder)] for folder in folders)
    return sides(find_pairs(root, split, layout))


def sides(pairs: list[Pair]) -> tuple[list[Side], list[Side]]:
    """Return the A sides and the B sides of pairs."""
    if not all(pair.b for pair in pairs):
        return [Side(pair.a, "left") for pair in pairs], [Side(pair.a, "right") for pair in pairs]
    return [Side(pair.a) for pair in pairs], [Side(pair.b) for pair in pairs]


def available_splits(root: Path | str) -> list[str]:
    """Return which of train, val and test a dataset has, in that order.

    The list is empty if the dataset is not split.
    """
    root = Path(root)
    return [
        split
        for split in ("train", "val", "test")
        if (root / split).is_dir() or _two_folders(root, split)
    ]


def _two_folders(root: Path, split: str | None) -> tuple[Path, Path] | None:
    """Return the first pair of folders a/b, A/B, trainA/trainB ... that exists."""
    candidates = [
        (root / "a", root / "b"),
        (root / "A", root / "B"),
        (root / "trainA", root / "trainB"),
    ]
    if split:
        inside = root / split
        candidates = [
            (inside / "a", inside / "b"),
            (inside / "A", inside / "B"),
            (root / f"{split}A", root / f"{split}B"),
            (root / "a" / split, root / "b" / split),
            (root / "A" / split, root / "B" / split),
        ]
    return next(((a, b) for a, b in candidates if a.is_dir() and b.is_dir()), None)


def _image_files(folder: Path, root: Path | None = None) -> list[Path]:
    """Return the images of a folder sorted by name.

    With a `root`, the error for a folder without images may name the splits of `root` instead.
    """
    files = [f for f in folder.iterdir() if f.suffix.lower() in IMAGE_SUFFIXES and f.is_file()]
    files = sorted(
        (f for f in files if not f.name.startswith(".")), key=lambda f: (f.stem, f.suffix)
    )
    if not files:
        splits = available_splits(root) if root else []
        remedy = (
            f"choose the split {' or '.join(splits)}"
            if splits
            else f"put {', '.join(IMAGE_SUFFIXES)} files there"
        )
        raise FileNotFoundError(f"{folder}: no images in it; it holds {_listing(folder)}; {remedy}")
    return files


def _match_folders(folder_a: Path, folder_b: Path) -> list[Pair]:
    files_a, files_b = _by_stem(_image_files(folder_a)), _by_stem(_image_files(folder_b))
    _check_partners(files_a, files_b, folder_b)
    _check_partners(files_b, files_a, folder_a)
    return [Pair(files_a[stem], files_b[stem]) for stem in files_a]


def _looks_like_cmp(files: list[Path]) -> bool:
    photos, labels = _cmp_sides(files)
    return bool(photos.keys() & labels.keys())


def _match_cmp(files: list[Path]) -> list[Pair]:
    photos, labels = _cmp_sides(files)
    known = {*photos.values(), *labels.values()}
    for file in files:
        if file not in known:
            raise InputError(
                f"{file} is neither a photo (.jpg) nor a label map (.png); "
                "convert or remove the file"
            )
    _check_partners(photos, labels, files[0].parent, ".png")
    _check_partners(labels, photos, files[0].parent, ".jpg")
    return [Pair(photos[stem], labels[stem]) for stem in photos]


def _cmp_sides(files: list[Path]) -> tuple[dict[str, Path], dict[str, Path]]:
    photos = _by_stem([file for file in files if file.suffix.lower() in (".jpg", ".jpeg")])
    labels = _by_stem([file for file in files if file.suffix.lower() == ".png"])
    return photos, labels


def _by_stem(files: list[Path]) -> dict[str, Path]:
    stems: dict[str, Path] = {}
    for file in files:
        if file.stem in stems:
            raise InputError(
                f"{file} and {stems[file.stem].name} have one name; rename or remove one of them"
            )
        stems[file.stem] = file
    return stems


def _check_partners(
    files: dict[str, Path], partners: dict[str, Path], where: Path, suffix: str = ""
) -> None:
    orphans = sorted(files.keys() - partners.keys())
    if orphans:
        raise FileNotFoundError(
            f"{files[orphans[0]]} has no partner named {orphans[0]}{suffix or '.*'} in {where} "
            f"({len(orphans)} without a partner in all); add the partner or remove the file"
        )


def _listing(folder: Path) -> str:
    names = sorted(entry.name for entry in folder.iterdir())
    return (
        ", ".join(names[:5]) + (f" and {len(names) - 5} more" if len(names) > 5 else "")
        if names
        else "nothing"
    )
