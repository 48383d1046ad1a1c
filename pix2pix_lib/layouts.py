"""Where the images of a dataset lie on disk: which files belong together, and to which split.

A pair has two sides, A and B; see `data` for what is made of them. `find_dataset` has no list of
datasets. It reads the names of folders and files:

1. Words such as train or valid tell the split (`naming`).
2. Files whose names agree but for a folder, a mark or an ending are of two kinds (`groups`).
3. Words such as image or mask tell which kind is A and which is B.

If there are no two kinds, each file may hold a pair side by side: the pixels decide (`seams`).
"""

import os
from collections import Counter
from dataclasses import dataclass, replace
from pathlib import Path, PurePath
from typing import TypeVar

from .groups import Group, ImageFile, choose_sides, find_groupings, group_by_text, match
from .images import IMAGE_SUFFIXES, PAGED_SUFFIXES, count_pages
from .naming import SPLITS, normal, split_at_end, split_folders, split_word
from .seams import Seams, look_at_seams
from .validation import InputError, check_choice

Items = TypeVar("Items")  # what a split holds
LAYOUTS = ("auto", "pairs", "folders", "names", "cmp")
_ABOUT = {"dataset", "licence", "license", "readme"}  # files about a set, of which none is said
_NOT_DATA = {"__macosx", "thumbs.db", "desktop.ini"}
_ARCHIVES = {".zip", ".tar", ".tgz", ".gz", ".bz2", ".xz", ".7z", ".rar"}
_UNREADABLE = {  # pictures, or files that hold some
    ".heic", ".heif", ".jxl", ".svg", ".pdf", ".eps", ".psd", ".xcf", ".ai", ".exr", ".hdr", ".mat",
    ".npz", ".nii", ".dcm", ".mha", ".nrrd", ".h5", ".hdf5", ".czi", ".svs", ".raw", ".cr2", ".cr3",
    ".nef", ".arw", ".dng", ".orf", ".rw2", ".raf", ".mp4", ".avi", ".mov",
}  # fmt: skip


@dataclass(frozen=True)
class Pair:
    """Where one pair lies: two files, or one file with A as its left and B as its right half.

    In one file, `b` is None. `page` is which image of files with several, from 0.
    """

    a: Path
    b: Path | None = None
    page: int = 0

    @property
    def name(self) -> str:
        return f"{self.a.stem}_p{self.page:03}" if self.page else self.a.stem

    @property
    def files(self) -> tuple[Path, ...]:
        return (self.a,) if self.b is None else (self.a, self.b)


@dataclass(frozen=True)
class Side:
    """Where one image lies: a file, or one half of it (`half` is then "left" or "right")."""

    file: Path
    half: str = ""
    page: int = 0

    @property
    def files(self) -> tuple[Path, ...]:
        return (self.file,)


@dataclass(frozen=True)
class Found:
    """The pairs of a dataset, and how they were found.

    Args:
        layout: pairs, folders, names or cmp.
        reason: why this layout, in one clause.
        splits: the pairs of train, val and test as far as there are any; {"": pairs} if the dataset
            is not split.
        notes: one sentence for everything that was left out or guessed.
    """

    layout: str
    reason: str
    splits: dict[str, list[Pair]]
    notes: list[str]


def find_dataset(
    root: Path | str, layout: str = "auto", a: str = "", b: str = "", skip_orphans: bool = False
) -> Found:
    """Find all pairs of a dataset, each split sorted by name.

    Four layouts are known; `auto` takes the one that names, or the pixels, speak for.

    pairs    train/1.jpg: both images side by side in one file, A on the left, as in the paper
    folders  train/a/1.jpg with train/b/1.png, images/1.jpg with masks/1.png, or the like
    names    1_A.jpg with 1_B.png, image_1.png with mask_1.png, or the like
    cmp      1.jpg with 1.png: photo (A) and label map (B) in one folder, as in the CMP archive

    Args:
        a, b: text that the path below `root` of each image of side A (B) contains, such as images/
            or _mask, in capitals or not. If a path contains both, the rarer text counts.
        skip_orphans: leave out images without a partner instead of raising an error.

    Raises:
        FileNotFoundError: if the folder, its images, or one image's partner is missing.
        InputError: if it is not clear what belongs together or which side is which, if two files
            could be one image's partner, or those of a pair have unequal numbers of pages.
    """
    survey = _survey(Path(root), layout, a, b)
    notes = list(survey.notes)
    if survey.sides:
        if survey.stray and survey.layout != "folders" and not (skip_orphans or a):
            raise InputError(_stray_line(survey))
        notes += _left_out(survey.stray, "belong to neither side")
        pairs = _partners(survey, skip_orphans, notes)
    else:
        pairs = [(file, None) for file in _each_once(survey.files)]
    splits = {split: [] for split in survey.splits}
    for file_a, file_b in sorted(pairs, key=lambda pair: pair[0].order):
        splits[file_a.split] += _pages(Pair(file_a.path, file_b and file_b.path))
    return Found(survey.layout, survey.reason, splits, notes)


def describe(found: Found) -> str:
    """Return in one line what was found."""
    counts = ", ".join(
        f"{len(pairs)} {split}" if split else f"{_count(len(pairs), 'pair')}, not split"
        for split, pairs in found.splits.items()
    )
    return f"layout {found.layout}: {found.reason}; {counts}"


def find_pairs(
    root: Path | str, split: str | None = None, layout: str = "auto", a: str = "", b: str = ""
) -> list[Pair]:
    """Find the pairs of one split, or of a dataset that is not split; see `find_dataset`.

    Raises:
        FileNotFoundError, InputError: as `find_dataset`; also if there is no such split.
    """
    return _of_split(Path(root), split, find_dataset(root, layout, a, b).splits)


def find_unpaired(
    root: Path | str, split: str | None = None, layout: str = "auto", a: str = "", b: str = ""
) -> tuple[list[Side], list[Side]]:
    """Find the images of domains A and B of one split, each sorted by name.

    See `find_domains`.

    Raises:
        FileNotFoundError, InputError: as `find_pairs`.
    """
    return _of_split(Path(root), split, find_domains(root, layout, a, b))


def find_domains(
    root: Path | str, layout: str = "auto", a: str = "", b: str = ""
) -> dict[str, tuple[list[Side], list[Side]]]:
    """Find the images of domains A and B of each split; the key is "" if the dataset is not split.

    They are told apart as the sides of pairs are, but neither their numbers nor their names need to
    agree. Files that hold pairs give their halves.

    Raises:
        FileNotFoundError, InputError: as `find_dataset`.
    """
    survey = _survey(Path(root), layout, a, b)
    if not survey.sides:
        return {split: sides(pairs) for split, pairs in find_dataset(root, "pairs").splits.items()}
    return {
        split: tuple(_images_of(side, split) for side in survey.sides) for split in survey.splits
    }


def _images_of(side: Group, split: str) -> list[Side]:
    files = sorted(side.part({split}).names, key=lambda file: file.order)
    pages = [page for file in files for page in _pages(Pair(file.path))]
    return [Side(page.a, page=page.page) for page in pages]


def sides(pairs: list[Pair]) -> tuple[list[Side], list[Side]]:
    """Return the A sides and the B sides of pairs."""
    if not all(pair.b for pair in pairs):
        return (
            [Side(pair.a, "left", pair.page) for pair in pairs],
            [Side(pair.a, "right", pair.page) for pair in pairs],
        )
    return (
        [Side(pair.a, page=pair.page) for pair in pairs],
        [Side(pair.b, page=pair.page) for pair in pairs],
    )


def available_splits(root: Path | str, layout: str = "auto", a: str = "", b: str = "") -> list[str]:
    """Return which of train, val and test a dataset has, in that order.

    The list is empty if the dataset is not split, or there are no images.

    Raises:
        InputError: as `find_dataset`.
    """
    try:
        survey = _survey(Path(root), layout, a, b)
    except FileNotFoundError:
        return []
    return [split for split in survey.splits if split]


# --- what lies in a folder ------------------------------------------------------------------------


@dataclass
class _Survey:
    """What is known before partners are looked for; without `sides` each file holds a pair."""

    root: Path
    files: list[ImageFile]
    others: list[Path]
    notes: list[str]
    layout: str = "pairs"
    reason: str = "each file holds both images, as was said"
    sides: tuple[Group, Group] | None = None

    @property
    def splits(self) -> list[str]:
        """The splits that have both sides."""
        present = {file.split for file in self.files}
        for side in self.sides or ():
            present &= side.splits
        return [split for split in (*SPLITS, "") if split in present]

    @property
    def stray(self) -> list[ImageFile]:
        known = {file for side in self.sides for file in side.names}
        return [file for file in self.files if file not in known]


def _survey(root: Path, layout: str, a: str, b: str) -> _Survey:
    """Find the splits and the sides of a dataset, but not yet which files are partners."""
    check_choice("layout", layout, LAYOUTS)
    if bool(a) != bool(b):
        raise InputError("--a and --b tell the sides apart together; give both or none")
    if a and layout == "pairs":
        raise InputError("--a and --b choose files, but in layout pairs each file has both sides")
    images, others, notes = _walk(root)
    if not images:
        remedy = "; ".join(notes) or "put .png, .jpg, .tif or other images there"
        raise FileNotFoundError(f"{root}: no images in it; it holds {_listing(root)}; {remedy}")
    files = _with_splits(root, images, notes)
    survey = _Survey(root, files, others, notes)
    if a:
        survey.sides = group_by_text(files, a, b)
        survey.layout = "folders" if "/" in a + b else "names"
        survey.reason = f"--a {a} and --b {b} tell the sides"
    elif layout != "pairs":
        _find_layout(survey, layout)
    if survey.sides:
        _check_both_sides(survey)
    return survey


def _walk(root: Path) -> tuple[list[Path], list[Path], list[str]]:
    """Return the images and the other files below a folder, without hidden ones, and notes."""
    if root.is_file():
        kind = "an archive: unpack it and" if root.suffix.lower() in _ARCHIVES else "a file:"
        shards = "; for shards give their folder and layout shards"
        more = shards if root.suffix.lower() == ".tar" else ""
        raise InputError(f"{root} is {kind} give the folder that holds the images{more}")
    if not root.is_dir():
        raise FileNotFoundError(
            f"{root}: no such folder; give the folder that holds the images or its train folder"
        )

    def refuse(error: OSError) -> None:
        reason = (error.strerror or type(error).__name__).lower()
        raise InputError(f"{error.filename}: {reason}; make the folder readable or move it away")

    images, others, notes = [], [], []
    for folder, folders, names in os.walk(root, onerror=refuse, followlinks=True):
        folders[:] = sorted(f for f in folders if _is_data(f) and not _leads_back(folder, f))
        if not folders and not names and folder != str(root):
            notes.append(f"the folder {Path(folder).relative_to(root).as_posix()} is empty")
        for name in filter(_is_data, sorted(names)):
            is_image = os.path.splitext(name)[1].lower() in IMAGE_SUFFIXES
            (images if is_image else others).append(Path(folder, name))
    return images, others, notes + _notes_about(others)


def _is_data(name: str) -> bool:
    return not name.startswith(".") and name.lower() not in _NOT_DATA


def _leads_back(folder: str, name: str) -> bool:
    """Return whether a link leads to a folder that holds it: the walk would never end."""
    link = os.path.join(folder, name)
    if not os.path.islink(link):
        return False
    target = os.path.join(os.path.realpath(link), "")
    return os.path.join(os.path.realpath(folder), "").startswith(target)


def _with_splits(root: Path, images: list[Path], notes: list[str]) -> list[ImageFile]:
    """Find each file's split in the names of its folders, or else of the files.

    Files of no split are train if no others are; otherwise they are left out, with a note.
    """
    places = {}
    for folder in {path.parent for path in images}:
        places[folder] = split_folders([normal(part) for part in folder.relative_to(root).parts])
    files = []
    for path in images:
        split, folders = places[path.parent]
        relative = normal(path.relative_to(root).as_posix())
        files.append(ImageFile(path, relative, split, folders, PurePath(relative).stem))
    files = _without_split_words(files)
    if not any(file.split for file in files):
        told = [split_at_end(file.stem) for file in files]
        if len({split for split, _ in told} - {""}) > 1:
            files = [
                replace(file, split=split, stem=rest)
                for file, (split, rest) in zip(files, told, strict=True)
            ]
    unsplit = [file for file in files if not file.split]
    splits = {file.split for file in files} - {""}
    if not unsplit or not splits:
        return files
    if "train" not in splits:
        notes.append(f"{len(unsplit)} images of no split are taken as train")
        return [file if file.split else replace(file, split="train") for file in files]
    notes += _left_out(unsplit, "lie in no split")
    return [file for file in files if file.split]


def _without_split_words(files: list[ImageFile]) -> list[ImageFile]:
    """Take the word for its split from a file's name: 21_training in training is 21.

    It stays in all names if in some it is another split's, as in 7_train_id of val.
    """
    told = [split_word(file.stem) if file.split else None for file in files]
    pairs = list(zip(files, told, strict=True))
    if any(word and word[0] != file.split for file, word in pairs):
        return files
    return [replace(file, stem=word[1]) if word else file for file, word in pairs]


def _find_layout(survey: _Survey, layout: str) -> None:
    """Find the layout that names, or the pixels, speak for, and what tells the sides."""
    files = survey.files
    sound = [one for one in find_groupings(files, layout) if one.is_sound(files)]
    best = max(sound, key=lambda one: one.rank, default=None)
    if layout != "auto" and not best:
        looked_for = {
            "folders": "no folders a and b (or trainA and trainB), or others whose files match",
            "names": "no names that agree but for a mark such as _A and _B",
            "cmp": "no photos (.jpg) and label maps (.png) of the same names",
        }[layout]
        raise FileNotFoundError(
            f"{survey.root}: {looked_for}; it holds {_listing(survey.root)}; try another layout"
        )
    if not (best and best.known):
        seams = look_at_seams([file.path for file in files]) if layout == "auto" else None
        if seams and (seams.speak_for_pairs or not best):
            survey.reason = _reason_for_pairs(seams, survey)
            return
    survey.sides, notes = choose_sides(best, files)
    survey.notes += notes
    survey.layout = best.layout
    a, b = (side.example.relative for side in survey.sides)
    survey.reason = f"A as {a}, B as {b}"


def _reason_for_pairs(seams: Seams, survey: _Survey) -> str:
    """Return why each file holds a pair.

    Raises:
        InputError: if nothing speaks for that.
    """
    of_all = f"of {seams.looked_at} files"
    if seams.speak_for_pairs:
        return f"{seams.seams} {of_all} looked at have a seam in the middle"
    if seams.panels > seams.runs_on:
        raise InputError(
            f"{survey.root}: {seams.panels} {of_all} look like three pictures side by side; cut "
            "them, and put the two that make a pair into folders a and b"
        )
    if 4 * seams.runs_on <= seams.looked_at and seams.all_twice_as_wide:
        return "all files are twice as wide as high"
    notes = "".join(f" ({note})" for note in survey.notes)
    raise InputError(
        f"{survey.root}: these look like single pictures (no seam in the middle of "
        f"{seams.looked_at - seams.seams} {of_all}), and no others have names that match{notes}; "
        "put partners into folders a and b under the same names, give the folder that holds both "
        "sides, or tell them by --a TEXT --b TEXT; if each file holds a pair side by side, add "
        "--layout pairs"
    )


def _check_both_sides(survey: _Survey) -> None:
    """Note the splits of which a whole side is missing.

    Raises:
        FileNotFoundError: if that is train, or all there is.
    """
    for split in (*SPLITS, ""):
        counts = [len(side.part({split}).names) for side in survey.sides]
        if not any(counts) or all(counts):
            continue
        has, lacks = (0, 1) if counts[0] else (1, 0)
        line = (
            f"{split or 'the folder'} has {_count(counts[has], 'image')} of {'AB'[has]} "
            f"({survey.sides[has].label}) and none of {'AB'[lacks]} ({survey.sides[lacks].label})"
        )
        if split in ("train", "") or not survey.splits:
            raise FileNotFoundError(f"{survey.root}: {line}; add the missing ones")
        survey.notes.append(f"left out: {line}")


# --- partners -------------------------------------------------------------------------------------


def _partners(
    survey: _Survey, skip_orphans: bool, notes: list[str]
) -> list[tuple[ImageFile, ImageFile]]:
    """Return which files are partners.

    Raises:
        InputError: if two files have one name.
        FileNotFoundError: if a file has no partner.
    """
    groups = [side.part(survey.splits) for side in survey.sides]
    keys = match(*groups)
    for files in (*keys[0].values(), *keys[1].values()):
        if len(files) > 1:
            raise InputError(_same_name_line(*files[:2]))
    common = keys[0].keys() & keys[1].keys()
    orphans = [[files[0] for key, files in side.items() if key not in common] for side in keys]
    if any(orphans):
        if not (skip_orphans and common):
            few = 2 * len(common) < min(len(group.names) for group in groups)
            raise FileNotFoundError(_orphan_line(survey, groups, orphans, few))
        notes += _left_out(orphans[0] + orphans[1], "have no partner")
    return [(keys[0][key][0], keys[1][key][0]) for key in common]


def _orphan_line(survey: _Survey, groups: list, orphans: list, few: bool) -> str:
    side = 0 if orphans[0] else 1
    orphan = Group((), dict.fromkeys(orphans[side], "")).example
    other = groups[1 - side]
    names = other.part({orphan.split}).example
    stem = normal(orphan.path.stem).casefold()
    lying = [
        file
        for file in survey.others
        if normal(file.stem).casefold() == stem
        and (file.parent == names.path.parent or file.suffix.lower() in _UNREADABLE)
    ]
    line = (
        f"{orphan.path} has no partner in {other.label}, where names are such as {names.relative} "
        f"({sum(map(len, orphans))} without a partner in all)"
    )
    if lying:
        line += f"; {lying[0]} lies there, but {lying[0].suffix} is not read: convert it to PNG"
    line += "; add the partner, remove the file, or add --skip-orphans"
    if few:
        line += "; for images that are no pairs add --system cyclegan"
    return f"{line} ({_sides_taken(survey)})"


def _stray_line(survey: _Survey) -> str:
    return (
        f"{survey.stray[0].path} is of neither side; {_count(len(survey.stray), 'such file')} in "
        "all; convert, rename or remove the file, choose another layout, or add --skip-orphans "
        f"({_sides_taken(survey)})"
    )


def _sides_taken(survey: _Survey) -> str:
    a, b = survey.sides
    return f"layout {survey.layout} was taken, where A is {a.label} and B is {b.label}"


def _same_name_line(one: ImageFile, other: ImageFile) -> str:
    return f"{one.path} and {other.relative} have one name; rename or remove one of them"


def _each_once(files: list[ImageFile]) -> list[ImageFile]:
    """Check that no two files of a folder have the same name but for the ending."""
    seen = {}
    for file in files:
        first = seen.setdefault((file.path.parent, normal(file.path.stem)), file)
        if first is not file:
            raise InputError(_same_name_line(first, file))
    return files


def _pages(pair: Pair) -> list[Pair]:
    """Return one pair for each page of files that hold several.

    Raises:
        InputError: if the two files have unequal numbers of pages.
    """
    if not any(file.suffix.lower() in PAGED_SUFFIXES for file in pair.files):
        return [pair]
    counts = [count_pages(file) for file in pair.files]
    if len(set(counts)) > 1:
        raise InputError(
            f"{pair.a} holds {_count(counts[0], 'page')} and {pair.b} {_count(counts[1], 'page')}; "
            "both files of a pair must hold the same number"
        )
    return [replace(pair, page=page) for page in range(counts[0])]


def _of_split(root: Path, split: str | None, splits: dict[str, Items]) -> Items:
    """Return the items of one split; without a name, those of a dataset without splits."""
    name = split or ("train" if list(splits) == ["train"] else "")
    if name in splits:
        return splits[name]
    if split:
        raise FileNotFoundError(f"{root / split}: no such folder; {root} holds {_listing(root)}")
    raise FileNotFoundError(f"{root}: no images in it; choose the split {' or '.join(splits)}")


# --- what is said ---------------------------------------------------------------------------------


def _notes_about(others: list[Path]) -> list[str]:
    """Say which files are no images, or cannot be read."""
    others = [file for file in others if file.stem.lower() not in _ABOUT]
    endings = Counter(file.suffix.lower() or "without an ending" for file in others)
    notes = [
        f"{_count(n, f'{ending} file')} cannot be read; "
        f"convert {'them' if n > 1 else 'it'} to PNG or JPEG"
        for ending, n in sorted(endings.items())
        if ending in _UNREADABLE
    ]
    by_number = sorted(endings.items(), key=lambda item: (-item[1], item[0]))
    rest = [f"{n} {ending}" for ending, n in by_number if ending not in _UNREADABLE]
    return [*notes, f"left out: {', '.join(rest)}"] if rest else notes


def _left_out(files: list[ImageFile], why: str) -> list[str]:
    """Say how many images are left out and where they lie, if there are any."""
    if not files:
        return []
    folders = Counter(file.folder or "the folder itself" for file in files).most_common()
    where = [f"{n} in {folder}" for folder, n in folders[:4]]
    where += [f"{len(folders) - 4} more folders"] * (len(folders) > 4)
    count = _count(len(files), "image")
    return [f"left out: {count} that {why} ({', '.join(where)}), such as {files[0].relative}"]


def _count(number: int, what: str) -> str:
    return f"{number} {what}" + "s" * (number != 1)


def _listing(folder: Path) -> str:
    names = sorted(entry.name for entry in folder.iterdir())
    more = f" and {len(names) - 5} more" if len(names) > 5 else ""
    return ", ".join(names[:5]) + more if names else "nothing"
