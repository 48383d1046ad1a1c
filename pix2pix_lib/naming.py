"""What the names of folders and files say: the split, the side, and what they have in common.

Functions of text alone; `groups` applies them to the files of a dataset.
"""

import re
import unicodedata
from collections import Counter
from collections.abc import Iterable, Iterator

SPLITS = ("train", "val", "test")
_SPLIT_WORDS = {
    **dict.fromkeys(("train", "training", "tr", "trainval"), "train"),
    **dict.fromkeys(("val", "valid", "validation", "dev"), "val"),
    **dict.fromkeys(("test", "testing", "eval", "evaluation"), "test"),
}
_GLUED = ("training", "train", "validation", "valid", "val", "testing", "test")  # as in trainannot
_A_WORDS = re.compile(
    r"a|images?|imgs?|im|pics?|pictures?|photos?|photographs?|jpegs?|frames?|inputs?|sources?|src"
    r"|left|rgb|raw|real|sat|satellites?|aerials?|orig|originals?|volumes?|scans?|gr[ea]y"
    r"|low|lr|noisy|blur|blurry|blurred|rainy|hazy"
)
_B_WORDS = re.compile(
    r"b|gt.*|ground|truth|groundtruth|anno|annot.*|labels?.*|lbls?|masks?.*|msks?|seg.*"
    r"|semantics?|instances?|class|classes|parsing|manual.*|targets?|tgt|outputs?|fake|edges?"
    r"|sketch|sketches|drawings?|contours?|outlines?|depths?|normals?|maps?|mattes?|alphas?"
    r"|trimaps?|high|hr|clean|clear|sharp"
)
# Beside a word of B these say nothing: label images are labels.
_WEAK_WORDS = re.compile(r"images?|imgs?|im|pics?|pictures?|photos?|jpegs?|frames?")
_WORD = re.compile(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+|\d+|[^\W\d_]+")  # leftImg8bit: left, Img, 8, bit
_TOKEN = re.compile(r"[^\W\d_]+|\d+|[\W_]")
_SEPARATORS = " _-."

Mark = tuple[str, str]  # what stands before and after the rest of a name


def normal(text: str) -> str:
    """Return text in Unicode's composed form: an accent may be a character of its own."""
    return unicodedata.normalize("NFC", text)


def words(text: str) -> list[str]:
    """Return the words of a name in small letters; a capital begins a new one."""
    return [word.casefold() for word in _WORD.findall(text)]


def role(text: str) -> str:
    """Return which side the words of a name tell: A, B, or "" if none or both."""
    told = [match[0].casefold() for match in _WORD.finditer(text) if not _is_code(match)]
    a = [word for word in told if _A_WORDS.fullmatch(word)]
    if any(_B_WORDS.fullmatch(word) for word in told):
        return "B" if all(_WEAK_WORDS.fullmatch(word) for word in a) else ""
    return "A" if a else ""


def _is_code(match: re.Match) -> bool:
    """Return whether a word is one letter beside a digit, as in b44x1."""
    around = match.string[max(0, match.start() - 1) : match.end() + 1]
    return len(match[0]) == 1 and any(character.isdigit() for character in around)


def split_word(name: str) -> tuple[str, str] | None:
    """Return the split that a name tells, and the rest of the name; None if it tells no single one.

    Glued to another word it counts only if that is one of a side: trainannot, but not trainee.
    """
    splits, rest = set(), name
    for match in reversed(list(_WORD.finditer(name))):
        word, (start, end) = match[0].casefold(), match.span()
        split = _SPLIT_WORDS.get(word, "")
        for glued in () if split else _GLUED:
            if word.startswith(glued) and role(word[len(glued) :]):
                split, end = _SPLIT_WORDS[glued], start + len(glued)
            elif word.endswith(glued) and role(word[: -len(glued)]):
                split, start = _SPLIT_WORDS[glued], end - len(glued)
            if split:
                break
        if split:
            splits.add(split)
            rest = _without(rest, start, end)
    if splits == {"train", "val"}:  # train_val is for training, as opposed to test
        return "train", rest
    return (splits.pop(), rest) if len(splits) == 1 else None


def split_folders(names: list[str]) -> tuple[str, tuple[str, ...]]:
    """Return the split that folders tell, "" if none, and the folders without the word for it.

    The innermost one that tells a split counts.
    """
    told = [split_word(name) for name in names]
    split = next((one[0] for one in reversed(told) if one), "")
    rest = [
        one[1] if one and one[0] == split else name for name, one in zip(names, told, strict=True)
    ]
    return split, tuple(name for name in rest if name)


def split_at_end(stem: str) -> tuple[str, str]:
    """Return the split that the first or last word of a file's name tells, and the rest."""
    found = list(_WORD.finditer(stem))
    for match in found[:1] + found[-1:]:
        if split := _SPLIT_WORDS.get(match[0].casefold()):
            return split, _without(stem, *match.span())
    return "", stem


def _without(name: str, start: int, end: int) -> str:
    head, tail = name[:start].rstrip(_SEPARATORS), name[end:].lstrip(_SEPARATORS)
    return f"{head}_{tail}" if head and tail else head or tail


def cuts(stem: str) -> Iterator[tuple[Mark, str]]:
    """Yield all (mark, rest) of a name that whole tokens make: letters, digits, or a separator."""
    tokens = _TOKEN.findall(stem)
    for start in range(min(4, len(tokens)) + 1):
        for end in range(max(start, len(tokens) - 6), len(tokens) + 1):
            if start < end or end == len(tokens):
                mark = "".join(tokens[:start]), "".join(tokens[end:])
                yield mark, "".join(tokens[start:end])


def fits(mark: Mark, stem: str) -> bool:
    """Return whether a mark in small letters stands at the ends of a name, as whole tokens."""
    start, end = len(mark[0]), len(stem) - len(mark[1])
    folded = stem.casefold()
    if start > end or not (folded.startswith(mark[0]) and folded.endswith(mark[1])):
        return False
    return _is_cut(stem, start) and _is_cut(stem, end)


def _is_cut(text: str, place: int) -> bool:
    before, after = text[max(0, place - 1) : place], text[place : place + 1]
    one_kind = (before.isalpha() and after.isalpha()) or (before.isdigit() and after.isdigit())
    return not one_kind


def most_frequent(sets: Iterable[set[Mark]]) -> set[Mark]:
    """Return the marks that stand around most names, several around each; an empty set if none.

    Marks that differ by numbers alone do not count: image_1 and image_2 are one kind.
    """
    counts = Counter(frozenset(marks) for marks in sets if 1 < len(marks) <= 8)
    counts = {marks: n for marks, n in counts.items() if len(set(map(letters, marks))) > 1}

    def weight(marks: frozenset[Mark]) -> tuple:
        length = sum(len("".join(mark)) for mark in marks)
        return counts[marks] * len(marks), counts[marks], -length, sorted(marks)

    return set(max(counts, key=weight, default=()))


def letters(mark: Iterable[str]) -> str:
    """Return the letters of a mark, without numbers and separators."""
    return re.sub(r"[\W\d_]", "", "".join(mark)).casefold()


def shared_ends(names: list[str]) -> Mark:
    """Return the whole tokens that all these names share at their beginning and end."""
    if len(set(names)) < 2:
        return "", ""
    tokens = [_TOKEN.findall(name) for name in names]
    first = _shared_start(tokens)
    last = _shared_start([name[len(first) :][::-1] for name in tokens])
    return "".join(first), "".join(last[::-1])


def _shared_start(lists: list[list[str]]) -> list[str]:
    least, most = min(lists), max(lists)
    differ = (i for i, pair in enumerate(zip(least, most, strict=False)) if pair[0] != pair[1])
    return least[: next(differ, len(least))]
