"""Which image files are of one kind: groups of files that a folder, an affix or an ending tells.

Two groups are the sides of a dataset if their files' names agree but for what tells the groups
apart. `layouts` makes pairs of them.
"""

import re
import shlex
import zlib
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from .images import LOSSY_SUFFIXES
from .naming import (
    SPLITS,
    Mark,
    cuts,
    fits,
    letters,
    most_frequent,
    normal,
    role,
    shared_ends,
    words,
)
from .validation import InputError

_ENDINGS = {".jpeg": ".jpg", ".jpe": ".jpg", ".jfif": ".jpg", ".tiff": ".tif"}
_COLOUR_WORDS = {"color", "colour", "colors", "colours", "colored", "coloured", "rgb"}
_MOST_FOLDERS = 12  # more at one level are scenes rather than sides


@dataclass(frozen=True, eq=False)
class ImageFile:
    """An image file; `folders` and `stem` are names without the word for its split."""

    path: Path
    relative: str  # the path below the root, with forward slashes
    split: str
    folders: tuple[str, ...]
    stem: str

    @property
    def ending(self) -> str:
        suffix = self.path.suffix.lower()
        return _ENDINGS.get(suffix, suffix)

    @property
    def folder(self) -> str:
        return self.relative.rpartition("/")[0]

    @property
    def order(self) -> tuple:
        return self.path.parent.parts, self.path.stem, self.path.suffix


@dataclass(eq=False)
class Group:
    """Files of one kind, and each file's name without what marks the kind.

    Args:
        marks: texts such as masks/ (a folder), _mask (an affix) or .png (an ending); none for the
            kind that has no mark, as train beside trainannot.
    """

    marks: tuple[str, ...]
    names: dict[ImageFile, str]

    @property
    def label(self) -> str:
        return " ".join(self.marks) or f"{self.example.folder or 'the folder itself'} (no mark)"

    @property
    def example(self) -> ImageFile:
        return min(self.names, key=lambda file: ((*SPLITS, "").index(file.split), file.order))

    @property
    def splits(self) -> set[str]:
        return {file.split for file in self.names}

    @property
    def role(self) -> str:
        """A, B or "": what the words of its marks say, the last one first."""
        for mark in reversed(self.marks):
            if mark.startswith("."):  # photos lose detail when they are saved, label maps must not
                return "A" if mark in LOSSY_SUFFIXES else "B"
            if found := role(mark):
                return found
        return ""

    @property
    def is_coloured(self) -> bool:
        return bool(_COLOUR_WORDS & set(words(" ".join(self.marks))))

    def part(self, splits: Iterable[str]) -> "Group":
        """Return the group with the files of some splits only."""
        return Group(self.marks, {f: name for f, name in self.names.items() if f.split in splits})


@dataclass(frozen=True, eq=False)
class Grouping:
    """Groups whose files belong together, in one of the layouts folders, names and cmp.

    Args:
        roles: A, B or "" for each group.
        common: how many names the two groups share that match best.
        larger: how many files the larger of these two has, in splits where both have files.
    """

    layout: str
    roles: dict[Group, str]
    common: int
    larger: int

    @property
    def known(self) -> int:
        return len({*self.roles.values()} - {""})

    @property
    def matches(self) -> bool:
        """Whether most files of the two groups have a partner."""
        return 0 < self.larger <= 2 * self.common

    def is_sound(self, files: list[ImageFile]) -> bool:
        """Return whether most files have a partner, or folders have the names of both sides."""
        if self.layout == "folders":
            return self.matches or self.known == 2
        covered = sum(len(group.names) for group in self.roles)
        enough = 2 * covered >= len(files) if self.common > 1 else covered == len(files)
        return self.matches and enough

    @property
    def rank(self) -> tuple:
        return (
            self.common > 0,
            self.known,
            ("cmp", "names", "folders").index(self.layout),
            self.common,
            len(self.roles),
        )


def find_groupings(files: list[ImageFile], layout: str = "auto") -> Iterator[Grouping]:
    """Yield the ways to tell kinds of files apart, of one layout or of all.

    Those after folders whose names tell both sides, and whose files match, are not looked for.
    """
    if layout in ("auto", "folders"):
        for level in range(max(len(file.folders) for file in files)):
            groups = _by_folder(files, level)
            for grouping in _arranged("folders", groups):
                yield grouping
                left = any(group.role and group not in grouping.roles for group in groups)
                if grouping.known == 2 and grouping.matches and not left:
                    return
            finer = _finer(groups, level)
            if len(finer) > len(groups):
                yield from (one for one in _arranged("folders", finer) if one.common)
    if layout in ("auto", "names"):
        yield from _arranged("names", _by_affix(files))
    if layout in ("auto", "cmp"):
        yield from _arranged("cmp", _by_ending(files))


def _by_folder(files: list[ImageFile], level: int) -> list[Group]:
    """Tell files apart by their folders at one level, counted from above."""
    names, shown = defaultdict(dict), {}
    for file in files:
        mark = "".join(file.folders[level : level + 1])
        shown.setdefault(mark.casefold(), (f"{mark}/",) if mark else ())
        rest = (*file.folders[:level], *file.folders[level + 1 :], file.stem)
        names[mark.casefold()][file] = "/".join(rest)
    groups = [Group(shown[mark], named) for mark, named in names.items()]
    return groups if len(groups) <= _MOST_FOLDERS else [group for group in groups if group.role]


def _finer(groups: list[Group], level: int) -> list[Group]:
    """Tell files of a side's folder apart again if it holds several kinds, as gtFine does.

    The kinds are told by affixes, or by the folders below. Groups without them stay as they are.
    """
    finer = []
    for group in groups:
        files = list(group.names) if group.role else []
        for parts in (_by_affix(files), _by_folder(files, level + 1)):
            told = any(part.role or part.is_coloured for part in parts)
            if told and len(parts) > 1 and sum(len(part.names) for part in parts) == len(files):
                finer += [_below(group, part, level) for part in parts]
                break
        else:
            finer.append(group)
    return finer


def _below(group: Group, part: Group, level: int) -> Group:
    """Return a part of a folder's group, with names that leave out the folder."""
    names = {}
    for file, name in part.names.items():
        pieces = name.split("/")
        names[file] = "/".join(pieces[:level] + pieces[level + 1 :])
    return Group((*group.marks, *part.marks), names)


def _by_affix(files: list[ImageFile]) -> list[Group]:
    """Tell files apart by the marks that stand around the same rest of a name in most files."""
    marks = defaultdict(set)
    for file in _sample(files):
        for mark, rest in cuts(file.stem.casefold()):
            marks[file.split, file.folders, rest].add(mark)
    best, named, shown = most_frequent(marks.values()), defaultdict(dict), {}
    for file in files:
        fitting = [mark for mark in best if fits(mark, file.stem)]
        if fitting:
            mark = max(fitting, key=lambda mark: len("".join(mark)))
            start, end = len(mark[0]), len(file.stem) - len(mark[1])
            shown.setdefault(mark, tuple(filter(None, (file.stem[:start], file.stem[end:]))))
            named[mark][file] = "/".join((*file.folders, file.stem[start:end]))
    return [Group(shown[mark], names) for mark, names in named.items()]


def _sample(files: list[ImageFile], most: int = 4000) -> list[ImageFile]:
    """Return a part of many files such that names with the same number stay together."""
    share = len(files) // most + 1

    def number(file: ImageFile) -> bytes:
        return max(re.findall(r"\d+", file.stem), key=len, default="").encode()

    return [file for file in files if zlib.crc32(number(file)) % share == 0]


def _by_ending(files: list[ImageFile]) -> list[Group]:
    names = {file: "/".join((*file.folders, file.stem)) for file in files}
    endings = defaultdict(set)
    for file, name in names.items():
        endings[file.split, name].add((file.ending, ""))
    best = sorted(ending for ending, _ in most_frequent(endings.values()))
    return [
        Group((ending,), {file: names[file] for file in files if file.ending == ending})
        for ending in best
    ]


def _arranged(layout: str, groups: list[Group]) -> Iterator[Grouping]:
    """Yield the groups whose files match those of another one, with their roles; or nothing.

    Groups that have no files in train do not count where others have.
    """
    trained = [group for group in groups if "train" in group.splits]
    groups = trained if len(trained) > 1 else groups
    shared = {}
    for i, one in enumerate(groups):
        for other in groups[i + 1 :]:
            # Two kinds within one folder are no two folders.
            if layout != "folders" or one.marks[:1] != other.marks[:1]:
                keys = match(one, other)
                shared[one, other] = len(keys[0].keys() & keys[1].keys())
    if not shared:
        return
    best = max(shared, key=shared.__getitem__)
    common = shared[best]
    related = {
        group
        for pair, n in shared.items()
        if 10 * n >= common > 0 and 2 * n >= min(len(group.names) for group in pair)
        for group in pair
    }
    roles = _roles([group for group in groups if group in {*best, *related}] if common else groups)
    if not common:  # sides by their names alone, as those of unpaired images
        roles = {group: side for group, side in roles.items() if side}
    both = best[0].splits & best[1].splits
    larger = max(len(group.part(both).names) for group in best)
    yield Grouping(layout, roles, common, larger)


def _roles(groups: list[Group]) -> dict[Group, str]:
    """Return A, B or "" for each group, by its marks, or else by what all its names share."""
    roles = {group: group.role for group in groups}
    if not any(roles.values()):
        ends = {group: shared_ends(list(group.names.values())) for group in groups}
        if len(set(ends.values())) > 1:
            roles = {group: role(" ".join(end)) for group, end in ends.items()}
    return roles


Keyed = dict[tuple[str, str], list[ImageFile]]  # files by split and what names the pair


def match(one: Group, other: Group) -> tuple[Keyed, Keyed]:
    """Return the files of two groups by what names the pair; files with one key are partners.

    Names are compared as they are or, if that finds more, without regard to capitals, and to zeros
    before a number. If half of the files have no partner so, what all names of a group share at
    their ends is left out.
    """
    best, most = ({}, {}), -1
    for strip in (False, True):
        ends = _differing_ends(one, other) if strip else (("", ""), ("", ""))
        for fold in (str, str.casefold, _unpadded):
            keys = _keyed(one, ends[0], fold), _keyed(other, ends[1], fold)
            common = len(keys[0].keys() & keys[1].keys())
            if common > most:
                best, most = keys, common
        if 2 * most >= min(len(one.names), len(other.names)):
            break
    return best


def _unpadded(name: str) -> str:
    return re.sub(r"\d+", lambda number: str(int(number[0])), name.casefold())


def _keyed(group: Group, ends: Mark, fold: Callable[[str], str]) -> Keyed:
    keyed = defaultdict(list)
    for file, name in group.names.items():
        keyed[file.split, fold(name[len(ends[0]) : len(name) - len(ends[1])])].append(file)
    return keyed


def _differing_ends(one: Group, other: Group) -> tuple[Mark, Mark]:
    """Return what all names of each group share at their ends.

    Ends that differ by numbers alone, as scene1_ and scene2_, mark no sides and stay.
    """
    ends = [shared_ends(list(group.names.values())) for group in (one, other)]
    first, last = (
        pair if letters(pair[0]) != letters(pair[1]) else ("", "")
        for pair in zip(*ends, strict=True)
    )
    return (first[0], last[0]), (first[1], last[1])


def choose_sides(
    grouping: Grouping, files: list[ImageFile]
) -> tuple[tuple[Group, Group], list[str]]:
    """Return the groups that are A and B, and notes about what was guessed.

    Raises:
        InputError: if the names do not tell, with flags that would.
    """
    roles, notes = grouping.roles, []
    a = [group for group in roles if roles[group] == "A"]
    b = [group for group in roles if roles[group] == "B"]
    unknown = [group for group in roles if not roles[group]]
    unmarked = [group for group in unknown if not group.marks]
    if not a and len(unmarked) == 1 and (b or len(roles) > 2):
        a, unknown = unmarked, [group for group in unknown if group.marks]
    elif len(roles) == 2 and len(unknown) == 1:
        a, b, unknown = a or unknown, b or unknown, []
        notes = [f"guessed from one name: A is {a[0].label}, B is {b[0].label}"]
    b = b + unknown
    coloured = [group for group in b if group.is_coloured]
    if len(a) == 1 and len(b) > 1 and len(coloured) == 1:
        others = " or ".join(flags(a[0], group, files) for group in b if group not in coloured)
        notes = [f"B is {coloured[0].label}, the pictures in colour; choose others with {others}"]
        b = coloured
    if len(a) == 1 and len(b) == 1:
        return (a[0], b[0]), notes
    raise InputError(_choice_line(list(roles), files))


def _choice_line(groups: list[Group], files: list[ImageFile]) -> str:
    kinds = ", ".join(f"{group.label} ({len(group.names)} images)" for group in groups)
    a = [group for group in groups if group.role == "A"]
    a = a or [group for group in groups if not group.marks] or groups
    b = [group for group in groups if group not in a and group.role == "B"]
    b = b or [group for group in groups if group not in a] or groups
    ways = [flags(one, other, files) for one in a for other in b if one is not other]
    ways = list(filter(None, ways))
    remedy = " or ".join(ways[:4]) + ", and so on" * (len(ways) > 4)
    remedy = remedy or "--a TEXT --b TEXT, pieces of their paths, or move the others away"
    count = f"images of {len(groups)} kinds belong together"
    return f"{count}: {kinds}; say which is A and which is B with {remedy}"


def flags(a: Group, b: Group, files: list[ImageFile]) -> str:
    """Return the options of a command that select these two groups, "" if no short text does."""
    for text_a in _texts(a):
        for text_b in _texts(b):
            try:
                selected = select(files, text_a, text_b)
            except InputError:
                continue
            if selected == (set(a.names), set(b.names)):
                return f"--a {shlex.quote(text_a)} --b {shlex.quote(text_b)}"
    return ""


def _texts(group: Group) -> list[str]:
    """Return pieces of text that the paths of a group may share, the most telling first."""
    texts = list(reversed(group.marks))
    for mark in group.marks:
        texts += [f"/{mark}", f"/{mark.rstrip('/')}"] if mark.endswith("/") else []
    suffixes = {file.path.suffix.lower() for file in group.names}
    folders = {f"{file.folder}/" for file in group.names if file.folder}
    return texts + [text for alone in (suffixes, folders) if len(alone) == 1 for text in alone]


def select(files: list[ImageFile], a: str, b: str) -> tuple[set[ImageFile], set[ImageFile]]:
    """Return the files whose paths contain the text of A and of B.

    Where a path contains both, the text that fewer paths contain wins, or else the longer one.

    Raises:
        InputError: if that decides nothing.
    """
    texts = [normal(text).casefold() for text in (a, b)]
    found = [{f for f in files if text in f"/{f.relative}".casefold()} for text in texts]
    both = found[0] & found[1]
    if both:
        rank_a, rank_b = ((-len(f), len(text)) for f, text in zip(found, texts, strict=True))
        if rank_a == rank_b:
            path = min(file.path for file in both)
            raise InputError(f"{path} contains both --a {a} and --b {b}; make one of them longer")
        found[1 if rank_a > rank_b else 0] -= both
    return found[0], found[1]


def group_by_text(files: list[ImageFile], a: str, b: str) -> tuple[Group, Group]:
    """Return the groups that `select` tells apart.

    Their names leave out the folders so named, and the text itself if more names match so.

    Raises:
        InputError: as `select`, or if a group is empty.
    """
    ways = []
    chosen = select(files, a, b)
    for in_stem in (True, False):
        groups = []
        for text, selected in zip((a, b), chosen, strict=True):
            if not selected:
                raise InputError(
                    f"no image's path contains {text!r}; a path is {files[0].relative}; "
                    "give other text"
                )
            names = {file: _without(text, file, in_stem) for file in files if file in selected}
            groups.append(Group((text,), names))
        keys = match(*groups)
        ways.append((len(keys[0].keys() & keys[1].keys()), in_stem, tuple(groups)))
    return max(ways, key=lambda way: way[:2])[2]


def _without(text: str, file: ImageFile, in_stem: bool) -> str:
    """Return a file's name without the folders that a text names, and without the text itself."""
    pieces = [piece for piece in normal(text).casefold().split("/") if piece]
    folders = [f for f in file.folders if not any(piece in f.casefold() for piece in pieces)]
    stem = file.stem
    if in_stem and pieces:
        stem = re.sub(re.escape(pieces[-1]), "", stem, count=1, flags=re.IGNORECASE)
    return "/".join((*folders, stem))
