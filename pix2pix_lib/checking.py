"""What is wrong with a folder of pairs? One short test for each fault.

The tests work on what `looks` keeps of the pictures. Each returns findings: which pairs, what it
is, what to do. They are silent where the data allow no verdict, such as on structure that the two
sides do not share.
"""

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, replace

import numpy as np

from .layouts import Pair
from .looks import MOST_CLASSES, Entry, Look, Progress, by_split, look_at

ENOUGH = 8  # pairs, the fewest that tell what is usual in a set


@dataclass(frozen=True)
class Finding:
    """One kind of fault: the pairs that have it ("split/name"), what it is, and what to do."""

    kind: str
    names: tuple[str, ...]
    message: str
    remedy: str


def check(
    splits: dict[str, list[Pair]], progress: Progress | None = None
) -> tuple[list[Entry], list[Finding]]:
    """Look at all pairs of a dataset; return those that can be read, and what was found.

    Args:
        splits: pairs by split, "" for a dataset that is not split.
        progress: called as progress(done, total) after each pair.
    """
    entries, broken = look_at(splits, progress)
    findings = _finding(
        "unreadable", broken, next(iter(broken.values()), ""), "replace or remove the files"
    )
    for test in TESTS:
        findings += test(entries)
    return entries, findings


def _finding(kind: str, names: Iterable[str], message: str, remedy: str) -> list[Finding]:
    """Return a list of one finding, or none if it concerns nothing."""
    names = tuple(names)
    return [Finding(kind, names, message, remedy)] if names else []


# --- which picture belongs where ----------------------------------------------------------------


def exif_turns(entries: list[Entry]) -> list[Finding]:
    """Find pairs of which the EXIF orientation turns one side only.

    A program that dropped the tag has saved the other side, so one of the two lies on its side.
    """
    return _finding(
        "EXIF turn", [e.name for e in entries if e.a.turn != e.b.turn],
        "one side carries an EXIF turn that the other lacks: the two do not lie alike",
        "turn the pixels of both sides alike, and save them without the tag",
    )  # fmt: skip


def swapped_sides(entries: list[Entry]) -> list[Finding]:
    """Find pairs whose A looks like the B of the others, and B like their A."""
    return _finding(
        "swapped sides", [e.name for e, wrong in zip(entries, _swapped(entries)) if wrong],
        "A looks like the B of most pairs, and B like their A",
        "exchange the two sides of these pairs",
    )  # fmt: skip


def _swapped(entries: list[Entry]) -> np.ndarray:
    """Return for each pair whether it is swapped: (N,) bool.

    The first principal axis of the differences in traits, A less B, is the same whether pairs are
    swapped or not; a swapped pair lies beyond zero.
    """
    if len(entries) < ENOUGH:
        return np.zeros(len(entries), bool)
    a, b = (np.stack([getattr(e, side).traits for e in entries]) for side in "ab")
    differences = (a - b) / (np.concatenate([a, b]).std(axis=0) + 1e-3)
    along = differences @ np.linalg.svd(differences, full_matrices=False)[2][0]
    along *= np.sign(np.median(along)) or 1
    usual = np.median(np.abs(along))
    if np.mean(np.abs(along) < usual / 3) > 0.05:  # sides that look alike tell nothing
        return np.zeros(len(entries), bool)
    return along < -usual / 2


def _put_right(entries: list[Entry]) -> list[Entry]:
    """Return the pairs with the sides of swapped ones exchanged."""
    return [
        replace(e, a=e.b, b=e.a) if wrong else e for e, wrong in zip(entries, _swapped(entries))
    ]


def wrong_partners(entries: list[Entry]) -> list[Finding]:
    """Find pairs whose A fits the B of another pair of its split better than its own."""
    found = [(block, i, j) for block in by_split(entries) for i, j in _wrong(block)]
    message = ", ".join(
        f"A of {block[i].name} fits B of {block[j].name}" for block, i, j in found[:2]
    )
    steps = Counter(j - i for _, i, j in found)
    if found and steps.most_common(1)[0][1] > 2:
        step, count = steps.most_common(1)[0]
        where = f"{abs(step)} pair{'s' * (abs(step) > 1)} {'later' if step > 0 else 'earlier'}"
        message += f"; {count} of {len(found)} fit the B {where}"
    return _finding(
        "wrong partners", sorted({block[k].name for block, *both in found for k in both}), message,
        "look for a missing or extra file where they begin, and rename the files from there on",
    )  # fmt: skip


def _wrong(block: list[Entry]) -> list[tuple[int, int]]:
    """Return (i, j) where the A of pair i fits the B of pair j clearly better than its own.

    Fit is the correlation of whitened edges, above what is usual for this A and this B, in standard
    deviations of all fits. Where the order has slipped, weaker neighbours are taken along.
    """
    if len(block) < ENOUGH:
        return []
    a, b = _whitened(_put_right(block))
    b = np.roll(b, tuple(-cells for cells in _usual_move(_surfaces(a, b))), (1, 2))
    fits = a.reshape(len(a), -1) @ b.reshape(len(b), -1).T
    fits = fits - fits.mean(axis=0) - fits.mean(axis=1, keepdims=True) + fits.mean()
    fits /= fits[~np.eye(len(fits), dtype=bool)].std() + 1e-9
    best, gain = fits.argmax(axis=1), fits.max(axis=1) - fits.diagonal()
    mutual = fits.argmax(axis=0)[best] == np.arange(len(fits))
    sure = mutual & (fits.max(axis=1) > 5) & (gain > 4)
    wrong = {int(i): int(best[i]) for i in np.flatnonzero(sure)}
    for start, partner in list(wrong.items()):
        step = partner - start
        for way in (-1, 1) if abs(step) == 1 else ():
            i = start + way
            while min(i, i + step) >= 0 and max(i, i + step) < len(fits) and i not in wrong:
                if fits[i, i + step] < max(fits[i, i] + 1, 2.5):
                    break
                wrong[i] = i + step
                i += way
    return sorted(wrong.items())


def _whitened(block: list[Entry]) -> tuple[np.ndarray, np.ndarray]:
    """Return the edges of both sides, (N, G, G) each, of norm 1, with frequencies half levelled.

    That is half way from plain correlation, in which large structures blunt the peak, to phase
    correlation, in which noise drowns it. What the pictures of a side share is taken off first.
    """
    from scipy import fft

    both = []
    for side in "ab":
        edges = np.stack([getattr(e, side).edges for e in block]).astype(np.float32)
        if len(edges) >= ENOUGH:
            edges -= edges.mean(axis=0)
        for each in edges:
            waves = fft.rfft2(each - each.mean())
            each[:] = fft.irfft2(waves / np.sqrt(np.abs(waves) + 1e-9), s=each.shape)
            each /= np.linalg.norm(each) + 1e-9
        both.append(edges)
    return tuple(both)


def _surfaces(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Return how well the pairs fit if B is moved by up to R = G/8: (N, 2R + 1, 2R + 1).

    In standard deviations of the fit over all moves.
    """
    from scipy import fft

    reach, found = a.shape[1] // 8, []
    for one, other in zip(a, b):
        surface = fft.irfft2(fft.rfft2(one).conj() * fft.rfft2(other), s=one.shape)
        near = np.roll(surface, (reach, reach), (0, 1))[: 2 * reach + 1, : 2 * reach + 1]
        found.append(near / (surface.std() + 1e-9))
    return np.stack(found)


def _usual_move(surfaces: np.ndarray) -> tuple[int, int]:
    """Return how far B lies (down, right) of A in the whole set; (0, 0) unless that is certain."""
    return _sure_move(surfaces.sum(axis=0) / np.sqrt(len(surfaces)), (0, 0), 8)


def _sure_move(surface: np.ndarray, usual: tuple[int, int], least: float) -> tuple[int, int]:
    """Return the move at the peak of a surface if it stands out, else `usual`.

    Broad lines fit with either flank: then the surface is as high on the other side of `usual`.
    """
    move, middle, high = _peak(surface), len(surface) // 2, surface.max()
    here, beyond = (
        tuple(np.clip(middle + np.array(usual) + way, 0, 2 * middle))
        for way in (0, np.subtract(usual, move))
    )
    sure = high > least and high - surface[here] > 5 and surface[beyond] < 0.5 * high
    return move if sure else usual


def _peak(surface: np.ndarray) -> tuple[int, int]:
    """Return the move (down, right) at which a surface is highest."""
    down, right = np.unravel_index(surface.argmax(), surface.shape)
    return int(down) - surface.shape[0] // 2, int(right) - surface.shape[1] // 2


def shifts(entries: list[Entry]) -> list[Finding]:
    """Find how far B is shifted against A, in the whole set and in single pairs.

    By the peak of the correlation of whitened edges on a grid of 128x128 cells (64x64 for small
    pictures). A shift is seen from one cell on in the whole set, and from two on in single pairs,
    up to an eighth of the picture.
    """
    wrong = {block[k].name for block in by_split(entries) for both in _wrong(block) for k in both}
    kept = [e for e in entries if e.name not in wrong and e.a.thumb is not None]
    if not kept:
        return []
    surfaces = _surfaces(*_whitened(_put_right(kept)))
    usual, odd = _usual_move(surfaces), {}
    for entry, surface in zip(kept, surfaces):
        move = _sure_move(surface, usual, 6)
        # One cell is too little to be sure of in a single pair.
        if np.abs(np.subtract(move, usual)).max() > 1:
            odd[entry.name] = _in_pixels(move, entry.b)
    remedy = "cut both sides from the same place, or align them (skimage.registration)"
    some = next(iter(odd.values()), "")
    return _finding(
        "shift", [e.name for e in kept if usual != (0, 0)],
        f"the whole set: B lies {_in_pixels(usual, kept[0].b)} of A", remedy,
    ) + _finding("shift", odd, f"in {next(iter(odd), '')} B lies {some} of A", remedy)  # fmt: skip


def _in_pixels(move: tuple[int, int], look: Look) -> str:
    down, right = (
        round(cells * size / len(look.edges)) for cells, size in zip(move, look.size)
    )  # fmt: skip
    ways = {"right" if right > 0 else "left": right, "down" if down > 0 else "up": down}
    return " and ".join(f"about {abs(count)} pixels {way}" for way, count in ways.items() if count)


def near_duplicates(entries: list[Entry]) -> list[Finding]:
    """Find pictures of one split that another split has too, as they are or mirrored."""
    found = [
        (entries[i].name, entries[j].name)
        for i, j in same_pictures(entries)
        if entries[i].split != entries[j].split
    ]
    shown = ", ".join(" = ".join(names) for names in found[:2])
    return _finding(
        "near-duplicates", dict.fromkeys(name for names in found for name in names),
        f"splits share pictures, so scores are too good: {shown}",
        "split by scene: python -m pix2pix_lib.prepare split --by-scene",
    )  # fmt: skip


def same_pictures(entries: list[Entry], least: float = 0.97) -> list[tuple[int, int]]:
    """Return (i, j), i < j, of pairs that are one picture but for noise, or its mirror image.

    The grey copies of both sides must correlate by at least `least`.
    """
    known = [k for k, e in enumerate(entries) if e.a.thumb is not None and e.b.thumb is not None]
    if not known:
        return []
    both = [np.stack([getattr(entries[k], side).thumb for k in known]) for side in "ab"]
    found = set()
    for start in range(0, len(known), 1000):
        for way in (1, -1):
            parts = [_rows(thumbs[start : start + 1000, :, ::way]) for thumbs in both]
            alike = np.minimum(*(part @ _rows(all).T for part, all in zip(parts, both)))
            for i, j in zip(*np.nonzero(alike >= least)):
                if start + i < j:
                    found.add((known[start + i], known[j]))
    return sorted(found)


def _rows(thumbs: np.ndarray) -> np.ndarray:
    return thumbs.reshape(len(thumbs), -1)


# --- what the pictures are like -----------------------------------------------------------------


def label_maps(entries: list[Entry]) -> list[Finding]:
    """Find label maps to whose few colours JPEG or smooth resizing has added others.

    JPEG gives flat areas colours near their own; a smooth filter leaves mixtures at the borders. A
    side is judged if at least half of its pictures are label maps.
    """
    kept = [e for e, wrong in zip(entries, _swapped(entries)) if not wrong]
    jpeg, smooth = {}, {}
    for side in "ab":
        looks = {e.name: getattr(e, side) for e in kept}
        if np.mean([look.flat.is_label_map for look in looks.values()] or [0]) < 0.5:
            continue
        usual = np.median([look.flat.exact for look in looks.values()])
        most = max(MOST_CLASSES, 4 * usual) if usual > 2 else 8  # masks have two values
        for name, look in looks.items():
            flat = look.flat
            if flat.wobble > 0.05 or (look.format == "JPEG" and flat.exact > MOST_CLASSES):
                jpeg[name] = flat.exact
            elif flat.mixed > 0.03 or flat.exact > most:
                smooth[name] = flat.exact
    return _finding(
        "JPEG label maps", jpeg, f"JPEG gave label maps new colours: {_most(jpeg)}",
        "if these are label maps: save them as PNG from their source, or take the nearest colours",
    ) + _finding(
        "smooth label maps", smooth, f"borders between classes mix their colours: {_most(smooth)}",
        "if these are label maps: resize them to the nearest pixel, not bilinear or bicubic",
    )  # fmt: skip


def _most(colours: dict[str, int]) -> str:
    name = max(colours, key=colours.get, default="")
    return f"{name} has {colours.get(name)}"


def value_ranges(entries: list[Entry]) -> list[Finding]:
    """Find a side whose values use a small part of what its files hold: they look black."""
    findings = []
    for side in "ab":
        modes: dict[tuple[str, float], list[Entry]] = {}
        for e in entries:
            look = getattr(e, side)
            modes.setdefault((look.mode, look.full), []).append(e)
        for (mode, full), those in modes.items():
            low = min(getattr(e, side).values[0] for e in those)
            high = max(getattr(e, side).values[1] for e in those)
            if mode == "1" or low == high or (low >= 0 and full / 4 < high <= full):
                continue
            findings += _finding(
                "value range", [e.name for e in those],
                f"{side.upper()} uses {low:g}..{high:g}"
                + (f" of {full:g}" if full > 1 else "")
                + f" (mode {mode}): {_meaning(low, high, full)}",
                "train finds classes and ranges, and says so; --a-range and --b-range overrule it",
            )  # fmt: skip
    return findings


def _meaning(low: float, high: float, full: float) -> str:
    if low < 0 or full == 1:
        return "not the usual range of floats"
    if high < MOST_CLASSES:
        return "class numbers, or very dark pictures"
    return f"values of {int(high).bit_length()} bits"


def sizes(entries: list[Entry]) -> list[Finding]:
    """Find pairs whose sides differ in size, and pairs of another size than most."""
    unequal = {
        e.name: f"{e.a.width_by_height} and {e.b.width_by_height}"
        for e in entries
        if e.a.size != e.b.size
    }
    counts = Counter(e.a.width_by_height for e in entries)
    usual = counts.most_common(1)[0][0] if counts else ""
    other = [e.name for e in entries if e.a.width_by_height != usual]
    return _finding(
        "unequal sides", unequal,
        f"the two sides differ in size: {next(iter(unequal.values()), '')}",
        "resize one side to the size of the other, if both show the same",
    ) + _finding(
        "mixed sizes", other,
        f"{len(counts)} sizes; {counts[usual]} of {len(entries)} pairs are {usual}",
        "one size is made of all: train --resize crop or fit keeps their shapes",
    )  # fmt: skip


def transparency(entries: list[Entry]) -> list[Finding]:
    """Find pictures with transparent pixels."""
    return _finding(
        "transparency", [e.name for e in entries if e.a.transparent or e.b.transparent],
        "transparent pixels are laid on white",
        "lay the pictures on another background, if white is wrong",
    )  # fmt: skip


def empty_pictures(entries: list[Entry]) -> list[Finding]:
    """Find pictures of one colour."""
    return _finding(
        "empty", [e.name for e in entries if e.a.thumb is None or e.b.thumb is None],
        "one side has a single colour", "remove these pairs, unless empty is a right answer",
    )  # fmt: skip


TESTS = (
    exif_turns, swapped_sides, wrong_partners, shifts, near_duplicates, label_maps, value_ranges,
    sizes, transparency, empty_pictures,
)  # fmt: skip
