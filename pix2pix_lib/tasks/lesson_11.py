"""The tasks of notebook 11: splits without leaks, shifts between pictures, and pairs that fit."""

import re
import warnings
from collections import Counter

import numpy as np
import torch
from skimage.color import lab2rgb, rgb2lab
from torch import Tensor

from ..facades import make_pair, make_styled
from .questions import Question
from .trials import OpenTask
from .writing import Task, mistake, with_bug

# --- making pairs: the lightness of a grey picture ------------------------------------------------


def with_lightness(coloured: Tensor, greys: Tensor) -> Tensor:
    """Return coloured pictures (N, 3, H, W) with L of Lab taken from grey ones (N, 1, H, W)."""
    lab = rgb2lab((coloured.permute(0, 2, 3, 1).numpy() + 1) / 2)
    lab[..., 0] = (greys[:, 0].numpy() + 1) * 50
    return torch.from_numpy(lab2rgb(lab)).permute(0, 3, 1, 2).float() * 2 - 1


def _inputs_pictures(seed: int) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(seed)
    shape = 1 + seed % 3, 3, 9 + seed, 12
    levels = torch.randint(90, 170, shape, generator=generator)  # of 8 bits, as in a file
    greys = 0.4 * torch.rand(shape[0], 1, *shape[2:], generator=generator) - 0.1
    return levels / 127.5 - 1, greys


def _observe_pictures(function, coloured: Tensor, greys: Tensor) -> dict:
    before = coloured.clone(), greys.clone()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of colours that no screen has: wrong L gives some
        value = function(coloured, greys)
    kept = torch.equal(coloured, before[0]) and torch.equal(greys, before[1])
    return {
        "pictures": value if isinstance(value, Tensor) else f"{type(value).__name__}, not a tensor",
        "the given tensors stay as they were": "yes" if kept else "no",
    }


_L = "(greys[:, 0].numpy() + 1) * 50"

lightness = Task(
    key="11.lightness",
    title="colour from one picture, lightness from another",
    kind="core",
    difficulty=2,
    minutes=12,
    reference=with_lightness,
    stub='''\
def with_lightness(coloured: Tensor, greys: Tensor) -> Tensor:
    """Return coloured pictures (N, 3, H, W) with L of Lab taken from grey ones (N, 1, H, W)."""
    raise NotImplementedError  # to Lab, another L, and back
''',
    inputs=_inputs_pictures,
    observe=_observe_pictures,
    tolerance=1e-3,
    mistakes=(
        mistake(
            "Your pictures are black: L of Lab runs from 0 to 100, yours from 0 to 1.",
            (_L, "(greys[:, 0].numpy() + 1) / 2"),
        ),
        mistake(
            "You take the grey values as they are, from -1 to 1. L of Lab runs from 0 to 100.",
            (_L, "greys[:, 0].numpy()"),
        ),
        mistake(
            "The pictures are right, but you change the given ones in place. Compute new tensors.",
            (
                "(coloured.permute(0, 2, 3, 1).numpy() + 1) / 2",
                "coloured.add_(1).div_(2).permute(0, 2, 3, 1).numpy()",
            ),
        ),
        mistake(
            "You stretch L from 0 to 255, as a file holds it. In Lab it runs from 0 to 100.",
            (_L, "(greys[:, 0].numpy() + 1) * 127.5"),
        ),
        mistake(
            "You return values from 0 to 1. Networks and measures expect them in [-1, 1].",
            (".float() * 2 - 1", ".float()"),
        ),
        mistake(
            "`rgb2lab` expects values from 0 to 1; you give it those in [-1, 1].",
            (
                "(coloured.permute(0, 2, 3, 1).numpy() + 1) / 2",
                "coloured.permute(0, 2, 3, 1).numpy()",
            ),
        ),
        mistake(
            "You replace a or b. L is the first of the three values.",
            ("lab[..., 0]", "lab[..., 1]"),
        ),
        mistake(
            "The colours are gone. Only L comes from the grey picture; a and b stay those of the coloured one.",
            ("    return", "    lab[..., 1:] = 0\n    return"),
        ),
        mistake(
            "Height and width are exchanged. The axes (N, H, W, 3) must go back to (N, 3, H, W).",
            ("permute(0, 3, 1, 2)", "permute(0, 3, 2, 1)"),
        ),
        mistake(
            "You return what you were given: L is not replaced.",
            (f"    lab[..., 0] = {_L}\n", ""),
        ),
    ),
    hints=(
        "scikit-image wants the channels last and values from 0 to 1. Convert, replace one of three values everywhere, "
        "convert back, and undo both changes.",
        "`lab[..., 0]` is L. It should be 0 where the grey picture is -1, and 100 where it is 1. Then `lab2rgb`, "
        "`permute(0, 3, 1, 2)`, and from [0, 1] to [-1, 1].",
    ),
)

# --- phase correlation ----------------------------------------------------------------------------


def shift_between(one: np.ndarray, other: np.ndarray) -> tuple[int, int]:
    """Return how far `other` must be moved, down and right, to lie on `one`: both (H, W, 3)."""
    waves = [np.fft.fft2(picture.mean(axis=2)) for picture in (one, other)]
    product = waves[0] * waves[1].conj()
    peaks = np.abs(np.fft.ifft2(product / np.abs(product).clip(1e-9)))
    place = np.unravel_index(peaks.argmax(), peaks.shape)
    return tuple(int(p if p <= side // 2 else p - side) for p, side in zip(place, peaks.shape))


def _inputs_views(seed: int) -> tuple[np.ndarray, np.ndarray]:
    house = (34, 38, 39, 46, 40)[seed]
    down, right = ((7, -12), (-9, 4), (5, 10), (-6, -11), (12, -3))[seed]
    height, width = 88, 76 + 4 * seed
    if seed in (1, 3):  # a photo and its label map
        pair = make_pair(house, 128)
        views = pair.photo, pair.label
    else:
        views = make_styled(house, 128, "day"), make_styled(house, 128, "night")
    return tuple(
        picture[20 + y : 20 + y + height, 14 + x : 14 + x + width].copy()
        for picture, y, x in zip(views, (0, down), (0, right))
    )


def _observe_shift(function, one: np.ndarray, other: np.ndarray) -> dict:
    value = function(one, other)
    whole = isinstance(value, tuple) and all(isinstance(each, int | np.integer) for each in value)
    return {"down, right": value, "a tuple of two whole numbers": whole}


def _as_list(one: np.ndarray, other: np.ndarray) -> list[float]:
    return [float(each) for each in shift_between(one, other)]


phases = Task(
    key="11.phases",
    title="the shift between two pictures",
    kind="core",
    difficulty=3,
    minutes=20,
    reference=shift_between,
    stub='''\
def shift_between(one: np.ndarray, other: np.ndarray) -> tuple[int, int]:
    """Return how far `other` must be moved, down and right, to lie on `one`: both (H, W, 3)."""
    waves = [np.fft.fft2(picture.mean(axis=2)) for picture in (one, other)]
    raise NotImplementedError  # the product, only its phases, back to pixels, and where they peak
''',
    inputs=_inputs_views,
    observe=_observe_shift,
    mistakes=(
        mistake(
            "A shift up or left comes out as a large one, as the waves repeat: beyond half of a side, subtract it.",
            ("int(p if p <= side // 2 else p - side)", "int(p)"),
        ),
        mistake(
            "You let strong waves count more than weak ones, so bright areas decide. Only the phases should count.",
            ("product / np.abs(product).clip(1e-9)", "product"),
        ),
        mistake(
            "Your shift has the wrong sign: it moves `one` onto `other`. The conjugate belongs to `other`.",
            ("waves[0] * waves[1].conj()", "waves[0].conj() * waves[1]"),
        ),
        mistake(
            "The numbers are right. Return them as a tuple of two whole numbers, as `int` makes them.",
            other=_as_list,
        ),
        mistake(
            "You return (right, down). The first number says how far down.",
            ("zip(place,", "zip(place[::-1],"),
            ("peaks.shape))", "peaks.shape[::-1]))"),
        ),
        mistake(
            "You multiply the waves without a conjugate. The phases must be subtracted, not added.",
            ("waves[1].conj()", "waves[1]"),
        ),
        mistake(
            "You split the place of the peak by the height. Rows follow each other in memory: split it by the width.",
            (
                "np.unravel_index(peaks.argmax(), peaks.shape)",
                "divmod(int(peaks.argmax()), peaks.shape[0])",
            ),
        ),
        mistake(
            "You bring only the first number back from beyond half of a side. Shifts to the left need it, too.",
            ("zip(place, peaks.shape)", "zip(place, (peaks.shape[0], 10**6))"),
        ),
        mistake(
            "Beyond half of a side you subtract the other side. Rows go with the height, columns with the width.",
            ("else p - side)", "else p - sum(peaks.shape) + side)"),
        ),
        mistake(
            "After `fftshift` a shift of 0 lies in the middle: count from there.",
            ("int(p if p <= side // 2 else p - side)", "int((p + side // 2) % side)"),
        ),
        mistake(
            "You look for positive peaks only. Where a label map is dark and the photo bright, the peak is negative: take "
            "its absolute value.",
            (
                "np.abs(np.fft.ifft2(product / np.abs(product).clip(1e-9)))",
                "np.fft.ifft2(product / np.abs(product).clip(1e-9)).real",
            ),
        ),
    ),
    hints=(
        "A shift turns the phase of each wave and leaves its strength alone. Multiplying by a conjugate subtracts "
        "phases. Dividing by the absolute value removes the strength.",
        "`waves[0] * waves[1].conj()`, divided by its absolute value (but never by 0), then the absolute value of "
        "`np.fft.ifft2(...)`. Where is its maximum? A row beyond the middle means a shift up.",
    ),
)

# --- a shift that all pairs share -----------------------------------------------------------------


def common_shift(labels: np.ndarray, photos: np.ndarray) -> tuple[int, int]:
    """Return the most frequent shift that moves a photo onto its label map."""
    shifts = [shift_between(label, photo) for label, photo in zip(labels, photos)]
    return Counter(shifts).most_common(1)[0][0]


def _inputs_pairs(seed: int) -> tuple[np.ndarray, np.ndarray]:
    dice = np.random.default_rng(seed)
    (y, x), other = ((3, -2), (-4, 5), (2, 6), (-5, -3), (1, 0))[seed], 7 - seed
    wrong = [(other, x + away) for away in (9, 5, 7, 4, 6)[: 4 + seed % 2]]
    moves = [*wrong[:1], (y, x), *wrong[1:2], (y, x), *wrong[2:], (y, x), *[(y, x)] * (seed % 2)]
    labels = dice.integers(0, 256, (len(moves), 32, 36 + 2 * seed, 3)).astype(np.uint8)
    photos = [
        np.roll(label, (-down, -right), (0, 1)) for label, (down, right) in zip(labels, moves)
    ]
    return labels, np.stack(photos)


_MOST = "return Counter(shifts).most_common(1)[0][0]"

shared_shift = Task(
    key="11.shared_shift",
    title="a shift that all pairs share",
    kind="core",
    difficulty=1,
    minutes=8,
    reference=common_shift,
    stub='''\
def common_shift(labels: np.ndarray, photos: np.ndarray) -> tuple[int, int]:
    """Return the most frequent shift that moves a photo onto its label map."""
    raise NotImplementedError  # a shift for each pair; then the most frequent one
''',
    inputs=_inputs_pairs,
    mistakes=(
        mistake(
            "You take the mean of the shifts. A few wrong ones pull it anywhere.",
            (_MOST, "return tuple(int(round(float(v))) for v in np.mean(shifts, axis=0))"),
        ),
        mistake(
            "You take the median of each number. Down and right belong together.",
            (_MOST, "return tuple(int(v) for v in np.median(shifts, axis=0))"),
        ),
        mistake(
            "You count down and right apart. The most frequent row and the most frequent column need not come from "
            "the same pairs.",
            (_MOST, "return tuple(Counter(each).most_common(1)[0][0] for each in zip(*shifts))"),
        ),
        mistake(
            "The sign is wrong: your shift moves the label map onto the photo.",
            ("shift_between(label, photo)", "shift_between(photo, label)"),
        ),
        mistake(
            "You return the first pair's shift, and its answer may be wrong.",
            (_MOST, "return shifts[0]"),
        ),
        mistake(
            "You return the shift together with how often it occurs. Only the shift is wanted.",
            ("[0][0]", "[0]"),
        ),
        mistake(
            "You return the list that `most_common` gives. It holds a pair: the shift, and how often it occurs.",
            ("[0][0]", ""),
        ),
        mistake(
            "You return how often the shift occurs. The shift itself is wanted.",
            ("[0][0]", "[0][1]"),
        ),
    ),
    hints=(
        "`shift_between(label, photo)` is one pair's answer. Small pictures give some wrong ones, and the wrong ones "
        "do not agree with each other.",
        "`collections.Counter` counts tuples; `most_common(1)` gives a list with one pair of a shift and its count.",
    ),
)

# --- split by scene -------------------------------------------------------------------------------


def split_by_scene(names: list[str], val_scenes: int) -> tuple[list[str], list[str]]:
    """Return the names for training and for validation, which gets the last scenes whole."""
    scenes = sorted({name.rpartition("_")[0] for name in names})
    held_out = set(scenes[-val_scenes:])
    val = [name for name in names if name.rpartition("_")[0] in held_out]
    return sorted(set(names) - set(val)), sorted(val)


def _inputs_frames(seed: int) -> tuple[list[str], int]:
    scenes = [
        ["street1", "street10", "backyard", "yard"],
        ["old_town", "old_mill", "harbour", "town"],
        ["b2", "a10", "a1", "c_1", "c_10"],
        ["east_gate", "east", "park1", "park", "park10"],
        ["house_1", "house_2", "house_10", "alley"],
    ][seed]
    names = [f"{scene}_{frame:04}.png" for scene in scenes for frame in range(2 + seed % 2)]
    order = torch.randperm(len(names), generator=torch.Generator().manual_seed(seed)).tolist()
    return [names[i] for i in order], 1 + seed % 3


def _observe_split(function, names: list[str], val_scenes: int) -> object:
    value = function(names, val_scenes)
    if not isinstance(value, list | tuple) or len(value) != 2:
        return value
    if any(not isinstance(side, list | tuple) for side in value):
        return "a pair, but not of two lists"
    train, val = ([str(name) for name in side] for side in value)
    places = {(True, False): "training", (False, True): "validation", (True, True): "both"}
    return {
        **{
            n: places.get((n in train, n in val), "nowhere") for n in sorted({*names, *train, *val})
        },
        "names in each list": [len(train), len(val)],
        "both lists sorted": "yes" if [train, val] == [sorted(train), sorted(val)] else "no",
    }


by_scene = Task(
    key="11.by_scene",
    title="split by scene",
    kind="core",
    difficulty=2,
    minutes=10,
    reference=split_by_scene,
    stub='''\
def split_by_scene(names: list[str], val_scenes: int) -> tuple[list[str], list[str]]:
    """Return the names for training and for validation, which gets the last scenes whole."""
    raise NotImplementedError  # the scenes; the last of them; the names of each side
''',
    inputs=_inputs_frames,
    observe=_observe_split,
    mistakes=(
        mistake(
            "Validation gets the last frames, not the last scenes: a scene then lies on both sides.",
            (
                'val = [name for name in names if name.rpartition("_")[0] in held_out]',
                "val = sorted(names)[-val_scenes:]",
            ),
        ),
        mistake(
            "You take the last scenes in the order of the list. Sort the scenes first.",
            (
                'sorted({name.rpartition("_")[0] for name in names})',
                'list(dict.fromkeys(name.rpartition("_")[0] for name in names))',
            ),
        ),
        mistake(
            "You cut the name at its first underscore. A scene's own name may hold some; only the last one counts.",
            ('name.rpartition("_")', 'name.partition("_")'),
        ),
        mistake(
            "Validation gets the first scenes. It should get the last.",
            ("scenes[-val_scenes:]", "scenes[:val_scenes]"),
        ),
        mistake(
            "The two lists are exchanged: training comes first.",
            (
                "return sorted(set(names) - set(val)), sorted(val)",
                "return sorted(val), sorted(set(names) - set(val))",
            ),
        ),
        mistake(
            "Your lists are not sorted.",
            (
                "return sorted(set(names) - set(val)), sorted(val)",
                "return [name for name in names if name not in val], val",
            ),
        ),
        mistake(
            "Validation gets one scene only. `val_scenes` says how many.",
            ("set(scenes[-val_scenes:])", "{scenes[-1]}"),
        ),
        mistake(
            "Validation gets one scene too many. Count from the end.",
            ("scenes[-val_scenes:]", "scenes[-val_scenes - 1 :]"),
        ),
        mistake(
            "You cut the name before the digits of its end, and so take house_1 and house_2 for one scene. Only the number "
            "after the last underscore belongs to the frame.",
            ('name.rpartition("_")[0]', 'name.rstrip("0123456789_.png")'),
        ),
        mistake(
            "You collect the scenes in the order of the sorted names, where the underscore counts. Sort the scenes themselves.",
            (
                'sorted({name.rpartition("_")[0] for name in names})',
                'list(dict.fromkeys(name.rpartition("_")[0] for name in sorted(names)))',
            ),
        ),
        mistake(
            "A scene counts once for each of its frames in your list. Take each scene once before you take the last ones.",
            (
                'sorted({name.rpartition("_")[0] for name in names})',
                'sorted(name.rpartition("_")[0] for name in names)',
            ),
        ),
        mistake(
            "You look for a held-out scene anywhere in the name. old_town_0000.png also holds town.",
            ('name.rpartition("_")[0] in held_out]', "any(each in name for each in held_out)]"),
        ),
        mistake(
            "You keep back as many frames of each scene as scenes were asked for. So every scene lies on both sides.",
            (
                'val = [name for name in names if name.rpartition("_")[0] in held_out]',
                'val = [name for each in scenes for name in sorted(n for n in names if n.rpartition("_")[0] == each)[-val_scenes:]]',
            ),
        ),
    ),
    hints=(
        "First find the scene of one name. Then collect the scenes in a set, sort it, and take the last ones.",
        '`name.rpartition("_")[0]` is the scene. A name belongs to validation if its scene *is* one of '
        "`scenes[-val_scenes:]`.",
    ),
)

# --- to mend --------------------------------------------------------------------------------------


def pair_up(photos: list[str], masks: list[str]) -> list[tuple[str, str]]:
    """Return (photo, mask) for each photo that has one, sorted: a_mask.png belongs to a.jpg."""
    there = set(masks)
    partners = [(photo, photo.removesuffix(".jpg") + "_mask.png") for photo in sorted(photos)]
    return [(photo, mask) for photo, mask in partners if mask in there]


_STEMS = [f"house_{i}" for i in range(1, 13)] + [
    "barn",
    "village",
    "old_mask_1",
    "roof.v2",
    "roof.v3",
    "tank",
]


def _inputs_names(seed: int) -> tuple[list[str], list[str]]:
    generator = torch.Generator().manual_seed(seed)
    photos, masks = (
        [f"{_STEMS[i]}{end}" for i in torch.randperm(len(_STEMS), generator=generator).tolist()]
        for end in (".jpg", "_mask.png")
    )
    if seed:  # some have no partner
        for missing in (
            (),
            ("house_3", "house_1"),
            ("tank",),
            ("house_2", "roof.v3"),
            ("house_11",),
        )[seed]:
            masks.remove(f"{missing}_mask.png")
    if seed > 2:
        photos.remove("house_5.jpg")
    return photos, masks


def _number(name: str) -> list:
    return [int(part) if part.isdigit() else part for part in re.split(r"(\d+)", name)]


def _naturally(photos: list[str], masks: list[str]) -> list[tuple[str, str]]:
    return sorted(zip(sorted(photos, key=_number), sorted(masks, key=_number)))


def _stem_within(photos: list[str], masks: list[str]) -> list[tuple[str, str]]:
    first = {
        photo: next((mask for mask in sorted(masks) if photo.removesuffix(".jpg") in mask), None)
        for photo in sorted(photos)
    }
    return [(photo, mask) for photo, mask in first.items() if mask is not None]


def _by_place(photos: list[str], masks: list[str]) -> list[tuple[str, str]]:
    stems = sorted(mask.removesuffix("_mask.png") for mask in masks)
    photos = sorted(photo.removesuffix(".jpg") for photo in photos)
    return sorted((f"{a}.jpg", f"{b}_mask.png") for a, b in zip(photos, stems))


def _by_beginning(photos: list[str], masks: list[str]) -> list[tuple[str, str]]:
    stems = {photo: photo.removesuffix(".jpg") for photo in sorted(photos)}
    return [
        (photo, mask) for photo in stems for mask in sorted(masks) if mask.startswith(stems[photo])
    ]


def _by_stems(stem_of_mask) -> object:
    """Return a way to match masks to photos by what `stem_of_mask` makes of a mask's name."""

    def match(photos: list[str], masks: list[str]) -> list[tuple[str, str]]:
        found = {stem_of_mask(mask): mask for mask in sorted(masks)}
        stems = {photo: photo.removesuffix(".jpg") for photo in sorted(photos)}
        return [(photo, found[stem]) for photo, stem in stems.items() if stem in found]

    return match


def _observe_pairs(function, photos: list[str], masks: list[str]) -> object:
    value = function(photos, masks)
    if isinstance(value, dict):
        return "a dictionary, not a list of pairs"
    pairs = value if isinstance(value, list | tuple) else [None]
    if any(not isinstance(pair, list | tuple) or len(pair) != 2 for pair in pairs):
        return value
    order = [str(photo) for photo, _ in value]
    found = dict.fromkeys(sorted({*photos, *order}), "left out")
    for each in order:
        found[each] = " and ".join(sorted(str(m) for photo, m in value if str(photo) == each))
    return found | {"sorted by photo": "yes" if order == sorted(order) else "no"}


names = Task(
    key="11.names",
    title="nine photos fit, twelve do not",
    kind="debug",
    difficulty=2,
    minutes=12,
    reference=pair_up,
    stub=with_bug(
        pair_up,
        ("there = set(masks)", "photos, masks = sorted(photos), sorted(masks)"),
        (
            '    partners = [(photo, photo.removesuffix(".jpg") + "_mask.png") for photo in sorted(photos)]\n',
            "",
        ),
        (
            "[(photo, mask) for photo, mask in partners if mask in there]",
            "list(zip(photos, masks))",
        ),
    ),
    inputs=_inputs_names,
    observe=_observe_pairs,
    mistakes=(
        mistake(
            "You sort by the numbers in the names. That helps until one mask is missing: from there on all are shifted.",
            other=_naturally,
        ),
        mistake(
            "You compare the names without their endings when sorting, but still pair by place in the lists. One missing "
            "mask shifts all that follow.",
            other=_by_place,
        ),
        mistake(
            "You also name masks that are not there. A photo without a mask has to be left out.",
            (" if mask in there", ""),
        ),
        mistake(
            "You look for a mask whose name contains the photo's. house_1 also stands in house_10_mask.png.",
            other=_stem_within,
        ),
        mistake(
            "`rstrip` removes all letters of its argument from the end, not the ending: village and tank lose some too.",
            other=_by_stems(lambda mask: mask.rstrip("_mask.png")),
        ),
        mistake(
            "You remove _mask wherever it stands. A name such as old_mask_1 holds it in the middle, too.",
            other=_by_stems(lambda mask: mask.replace("_mask", "").removesuffix(".png")),
        ),
        mistake(
            "You cut names at their first dot. roof.v2.jpg and roof.v3.jpg then look alike.",
            ('photo.removesuffix(".jpg")', 'photo.split(".")[0]'),
        ),
        mistake("The pairs are right, but not sorted by photo.", ("sorted(photos)", "photos")),
        mistake(
            "You take every mask that begins with the photo's name. house_10_mask.png begins with house_1, too.",
            other=_by_beginning,
        ),
        mistake(
            "You pair None with a photo that has no mask. Leave that photo out.",
            (
                " for photo, mask in partners if mask in there",
                " if mask in there else (photo, None) for photo, mask in partners",
            ),
        ),
        mistake(
            "You cut a mask's name at its first underscore. House numbers come after it.",
            other=_by_stems(lambda mask: mask.split("_")[0]),
        ),
    ),
    hints=(
        "Print both sorted lists side by side. The point of .jpg comes before the digits in the alphabet, and the "
        "underscore of _mask after them. And what happens if one file is missing?",
        "Do not rely on any order. Work out from each photo's name what its mask must be called, and see whether that "
        "name is there.",
    ),
)

# --- a question -----------------------------------------------------------------------------------

odds = Question(
    key="11.odds",
    title="the odds of a leak",
    difficulty=2,
    minutes=5,
    expected=lambda: (120 - 12) / 119,
    wrong=(
        (
            0.9,
            "You divide by all 120 frames. The partner is one of the others: a frame is not its own partner.",
        ),
        (11 / 119, "That is the probability that the partner lies in validation, too."),
        (0.1, "That is the share of validation. Where is the partner of one of its frames?"),
        (
            0.5,
            "Two places do not make equal odds: far more frames lie in training than in validation.",
        ),
        (
            (108 / 119) ** 12,
            "You ask that the partners of all 12 lie in training. The question is about one validation frame.",
        ),
        (100 * 108 / 119, "A probability lies between 0 and 1. Yours is in per cent."),
        (
            12 / 119,
            "The frame itself is one of the 12, and you ask for the partner's place in *training*.",
        ),
        (1.0, "It is not certain: the partner may have been drawn for validation, too."),
    ),
    answer="answer_1 = 108 / 119",
    hints=(
        "Fix one validation frame. Its partner is one of the 119 others, each with the same chance.",
        "Of the 119 others, 11 are in validation. How many are in training?",
    ),
)

# --- open -----------------------------------------------------------------------------------------

moved = OpenTask(
    key="11.moved",
    title="what misaligned photos do to the best picture",
    difficulty=3,
    minutes=30,
    stub='''\
hypothesis = ""  # one sentence: what changes, in which direction, and why
expect = ("one condition", "<", "the other")


def measure(condition: str, seed: int) -> float:
    """Return one number for a condition, from photos of the house with this seed."""
    size, dice = 64 + 2 * MARGIN, torch.Generator().manual_seed(seed)
    photos = torch.stack([facades.facade_tensors(seed, size, photo_seed=k)[1] for k in range(61)])
    raise NotImplementedError  # move them, take a median or a mean, and measure it
''',
    example='''\
hypothesis = "L1's advantage in sharpness over L2 grows when photos are misaligned, as a median keeps edges."
expect = ("aligned", "<", "moved by up to 8")


def measure(condition: str, seed: int) -> float:
    """Return how many times sharper L1's best picture is than L2's, for the house with this seed."""
    size, dice = 64 + 2 * MARGIN, torch.Generator().manual_seed(seed)
    photos = torch.stack([facades.facade_tensors(seed, size, photo_seed=k)[1] for k in range(61)])
    reach = 8 if condition == "moved by up to 8" else 0
    photos = cut(photos, torch.randint(-reach, reach + 1, (len(photos), 2), generator=dice).tolist())
    best_l1, best_l2 = photos.median(dim=0).values, photos.mean(dim=0)
    steps = [image.diff(dim=-1).abs().mean() + image.diff(dim=-2).abs().mean() for image in (best_l1, best_l2)]
    return float(steps[0] / steps[1])
''',
    example_verdict="""\
verdict, because = "supported", (
    "A mean over moved photos blurs each edge, a median of them less. But G may not reach the best picture: to tell, "
    "train G on moved photos with L1 and with L2 and compare their edges."
)""",
    rubric=(
        "Are the same photos used in both conditions?",
        "Does a look at the pictures, or a second measure, tell sharp from noisy?",
    ),
    hints=(
        "Many photos of one label map, each moved by its own shift: L1's best picture is their median, L2's their "
        "mean. Neither needs a training. What can you vary: the reach of the moves, the number of photos, the measure?",
        "`cut(photos, moves)` takes one (down, right) for each photo. Compare `photos.median(dim=0).values` and "
        "`photos.mean(dim=0)`, by the mean difference of neighbouring pixels or by `evaluation.edge_density`.",
    ),
)
