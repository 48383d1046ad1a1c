"""The tasks of notebook 01: pairs of images."""

import random
from collections.abc import Callable

import torch
from torch import Tensor

from ..data import Jitter, apply_jitter, draw_jitter
from ..images import to_float
from ..resizing import default_load_size, resize
from .questions import Question
from .trials import OpenTask
from .writing import Task, mistake, with_bug


def _generator(seed: int) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def _bytes(seed: int, *shape: int) -> Tensor:
    return torch.randint(256, shape, generator=_generator(seed), dtype=torch.uint8)


def _typed(value: object) -> object:
    """Return the values and their type, as a byte and a float may be equal."""
    return {"type": str(value.dtype), "values": value} if isinstance(value, Tensor) else value


# --- from [-1, 1] to bytes ------------------------------------------------------------------------


def scale_to_bytes(image: Tensor) -> Tensor:
    """Return an image with values in [-1, 1] as uint8 from 0 to 255; values outside are clipped."""
    levels = ((image + 1) * 127.5).round()
    return levels.clamp(0, 255).to(torch.uint8)


def _beyond_the_range(seed: int) -> tuple[Tensor]:
    shape = ((3, 8, 10), (2, 3, 6, 6), (1, 9, 7), (4, 1, 5, 5), (12, 12))[seed % 5]
    return (2.5 * torch.rand(shape, generator=_generator(seed)) - 1.25,)


to_bytes = Task(
    key="01.to_bytes",
    title="back to bytes",
    kind="core",
    difficulty=1,
    minutes=8,
    reference=scale_to_bytes,
    stub='''\
def scale_to_bytes(image: Tensor) -> Tensor:
    """Return an image with values in [-1, 1] as uint8 from 0 to 255; values outside are clipped."""
    raise NotImplementedError  # undo scale_to_tanh, then think of what a byte can hold
''',
    inputs=_beyond_the_range,
    observe=lambda candidate, image: _typed(candidate(image)),
    mistakes=(
        mistake(
            "The fractions are cut off instead of rounded, so about half of the values come out one level too low.",
            (".round()", ""),
        ),
        mistake(
            "Values outside [-1, 1] wrap round: what should be white comes out nearly black. Clip before the type changes.",
            (".clamp(0, 255)", ".long()"),
        ),
        mistake(
            "The fractions are cut off instead of rounded, and values outside [-1, 1] wrap round: white turns to black.",
            (".round()", ""),
            (".clamp(0, 255)", ".long()"),
        ),
        mistake(
            "The values are right, but they are still floats; a picture file needs bytes.",
            (".to(torch.uint8)", ""),
        ),
        mistake(
            "You stretch [0, 1] over the 256 levels: all that is below 0, half of the range, comes out black.",
            ("(image + 1) * 127.5", "image * 255"),
        ),
        mistake(
            "The two steps are undone in the wrong order: what was done last must be undone first.",
            ("(image + 1) * 127.5", "image * 127.5 + 1"),
        ),
        mistake(
            "With 128 the value 1 would become 256, one more than a byte holds, and bright levels come out one too high.",
            ("127.5", "128"),
        ),
    ),
    hints=(
        "`scale_to_tanh` divides, then subtracts. Run it backwards: the last step first, and each step reversed.",
        "Add 1, multiply by 127.5, round to the nearest whole number, clamp to 0..255, and only then change the type.",
    ),
)


# --- the jitter -----------------------------------------------------------------------------------


def _room_to_move(seed: int) -> tuple:
    load, size = (
        ((12, 9), (7, 6)),
        ((9, 14), (6, 8)),
        ((20, 16), (16, 10)),
        ((10, 10), (5, 6)),
        ((8, 11), (6, 4)),
    )[seed % 5]
    return load, size, seed % 3 != 2


def _numbers(jitters: list) -> tuple[list, list, list, list]:
    drawn = [(each.top, each.left, each.flipped) for each in jitters]
    return (
        *map(list, zip(*drawn)),
        sorted({type(part).__name__ for each in drawn for part in each}),
    )


def _twelve_draws(draw: object, load_size: tuple, size: tuple, flip: bool) -> object:
    """Return what twelve seeds draw, or that torch's seed does not decide it."""
    options = {} if flip else {"flip": False}
    series = []
    for _ in range(2):
        jitters = []
        for number in range(12):
            torch.manual_seed(100 * load_size[0] + number)
            jitters.append(draw(load_size, size, **options))
        if not all(hasattr(each, "flipped") for each in jitters):
            return jitters[0]
        if any(isinstance(each, Tensor) for each in (jitters[0].top, jitters[0].left)):
            return {"types": "tensors"}
        series.append(_numbers(jitters))
    if series[0] != series[1]:
        return {"two series of draws under one torch seed": "they differ"}
    return dict(zip(("top", "left", "flipped", "types"), series[0]))


def _as_a_tuple(load_size: tuple, size: tuple, flip: bool = True) -> tuple:
    jitter = draw_jitter(load_size, size, flip)
    return jitter.top, jitter.left, jitter.flipped


def _from_python(load_size: tuple, size: tuple, flip: bool = True) -> Jitter:
    top, left = (random.randint(0, load - side) for load, side in zip(load_size, size))
    return Jitter(top, left, flip and random.random() < 0.5)


_TOP = "top = int(torch.randint(load_size[0] - size[0] + 1, ()))"
_LEFT = "left = int(torch.randint(load_size[1] - size[1] + 1, ()))"
_FLIPPED = "flipped = flip and bool(torch.rand(()) < 0.5)"

draw = Task(
    key="01.draw",
    title="draw the random numbers",
    kind="core",
    difficulty=2,
    minutes=10,
    reference=draw_jitter,
    stub='''\
def draw_jitter(load_size: tuple[int, int], size: tuple[int, int], flip: bool = True) -> Jitter:
    """Draw where to crop `size` out of `load_size`, both (height, width), and whether to flip."""
    raise NotImplementedError  # the row, the column, the flip, in this order
''',
    inputs=_room_to_move,
    observe=_twelve_draws,
    mistakes=(
        mistake(
            "The last row and column are never drawn: `torch.randint(n, ())` draws from 0 to n - 1.",
            ("] + 1, ()", "], ()"),
        ),
        mistake(
            "Row and column come from one random number, so the corner moves only along a diagonal.",
            (_LEFT, "left = min(top, load_size[1] - size[1])"),
        ),
        mistake("With `flip=False` some draws are still mirrored.", ("flip and ", "")),
        mistake("Every draw is mirrored.", ("bool(torch.rand(()) < 0.5)", "True")),
        mistake(
            "No draw is mirrored: the probability should be one half.",
            ("torch.rand(()) < 0.5", "torch.rand(()) < 0"),
        ),
        mistake(
            "The column is drawn before the row. That is as random, but one seed then gives other crops than the library.",
            (_TOP, "TOP"),
            (_LEFT, _TOP),
            ("TOP", _LEFT),
        ),
        mistake(
            "The flip is drawn before the corner. That is as random, but one seed gives other crops than the library.",
            (f"{_TOP}\n    {_LEFT}\n    {_FLIPPED}", f"{_FLIPPED}\n    {_TOP}\n    {_LEFT}"),
        ),
        mistake(
            "The flip is drawn before the corner, and for `flip=False`, too; one seed gives other crops than the library.",
            (
                f"{_TOP}\n    {_LEFT}\n    {_FLIPPED}",
                f"flipped = bool(torch.rand(()) < 0.5) and flip\n    {_TOP}\n    {_LEFT}",
            ),
        ),
        mistake(
            "Height and width are exchanged: sizes are (height, width), and `top` belongs to the height.",
            ("[0]", "[second]"),
            ("[1]", "[0]"),
            ("[second]", "[1]"),
        ),
        mistake(
            "The corner may lie anywhere in the enlarged image, so that crops stick out of it.",
            (" - size[0] + 1", ""),
            (" - size[1] + 1", ""),
        ),
        mistake(
            "`top` and `left` are tensors; a `Jitter` holds plain Python ints.",
            (
                "int(torch.randint(load_size[0] - size[0] + 1, ()))",
                "torch.randint(load_size[0] - size[0] + 1, ())",
            ),
            (
                "int(torch.randint(load_size[1] - size[1] + 1, ()))",
                "torch.randint(load_size[1] - size[1] + 1, ())",
            ),
        ),
        mistake(
            "`flipped` is a tensor; a `Jitter` holds True or False.",
            ("bool(torch.rand(()) < 0.5)", "torch.rand(()) < 0.5"),
        ),
        mistake(
            "You return a tuple; make a `Jitter` of the three numbers.",
            other=_as_a_tuple,
        ),
        mistake(
            "The same torch seed gives other numbers each time: they come from Python or NumPy, not from torch.",
            other=_from_python,
        ),
    ),
    hints=(
        "If the enlarged image has 10 rows and the crop 7, which rows can be the first? Count them.",
        "`torch.randint(load - size + 1, ())` for each side, made an `int`; for the flip `torch.rand(()) < 0.5`, "
        "made a `bool`, and False if `flip` is.",
    ),
)


def _corner_and_flip(seed: int) -> tuple:
    image = _bytes(seed, 1 + seed % 3, 12 + seed, 18 - seed)
    return image, Jitter(seed % 3 + 1, 5 - seed % 4, seed % 2 == 0), (6 + seed % 2, 9 - seed % 3)


def _as_shown(candidate: object, image: Tensor, jitter: Jitter, size: tuple) -> object:
    value = candidate(image, jitter, size)
    alike = isinstance(value, Tensor) and value.dtype == image.dtype
    return value if alike or value is None else _typed(value)


def _mirrored_first(image: Tensor, jitter: Jitter, size: tuple) -> Tensor:
    image = image.flip(2) if jitter.flipped else image
    return image[:, jitter.top : jitter.top + size[0], jitter.left : jitter.left + size[1]]


def _slices_channels(image: Tensor, jitter: Jitter, size: tuple) -> Tensor:
    image = image[jitter.top : jitter.top + size[0], jitter.left : jitter.left + size[1]]
    return image.flip(2) if jitter.flipped else image


def _ends_at_size(image: Tensor, jitter: Jitter, size: tuple) -> Tensor:
    image = image[:, jitter.top : size[0], jitter.left : size[1]]
    return image.flip(2) if jitter.flipped else image


apply = Task(
    key="01.apply",
    title="apply them to an image",
    kind="core",
    difficulty=1,
    minutes=8,
    reference=apply_jitter,
    stub='''\
def apply_jitter(image: Tensor, jitter: Jitter, size: tuple[int, int]) -> Tensor:
    """Crop (C, H, W) to (C, *size) at the jitter's corner and mirror it if the jitter says so."""
    raise NotImplementedError  # crop first, then mirror
''',
    inputs=_corner_and_flip,
    observe=_as_shown,
    mistakes=(
        mistake(
            "Row and column of the corner are exchanged: `top` counts rows, the second dimension.",
            ("jitter.top, jitter.left", "jitter.left, jitter.top"),
        ),
        mistake(
            "Height and width of the crop are exchanged: `size` is (height, width).",
            ("*size", "*size[::-1]"),
        ),
        mistake(
            "The crop is mirrored whether or not the jitter says so.",
            (" if jitter.flipped else image", ""),
        ),
        mistake(
            "The crop is never mirrored.",
            ("transforms.horizontal_flip(image) if jitter.flipped else image", "image"),
        ),
        mistake(
            "The crop stands on its head: left and right should be exchanged.",
            ("horizontal", "vertical"),
        ),
        mistake(
            "You mirror before you crop, so a mirrored crop comes from the other side of the image.",
            other=_mirrored_first,
        ),
        mistake(
            "The slices end at `size`, so the crop is too small: it should end `size` pixels after its corner.",
            other=_ends_at_size,
        ),
        mistake(
            "You cut channels and rows: the image is (C, H, W), so rows are its second dimension.",
            other=_slices_channels,
        ),
    ),
    hints=(
        "A crop is two slices, one for rows and one for columns. Where does each begin, and where does it end?",
        "Rows `top : top + size[0]`, columns `left : left + size[1]`; then `.flip(2)` if `jitter.flipped`.",
    ),
)


# --- from the file to the networks ----------------------------------------------------------------


def prepare_pair(
    both: Tensor, direction: str, load_size: tuple, size: tuple
) -> tuple[Tensor, Tensor]:
    """Return input and target, jittered alike, from the pixels of a file, (3, H, 2W) uint8."""
    image_a, image_b = both.chunk(2, dim=2)
    real_a, real_b = (image_a, image_b) if direction == "AtoB" else (image_b, image_a)
    real_a, real_b = resize(real_a, load_size), resize(real_b, load_size)
    jitter = draw_jitter(load_size, size)
    real_a, real_b = apply_jitter(real_a, jitter, size), apply_jitter(real_b, jitter, size)
    return to_float(real_a), to_float(real_b)


def _one_file(seed: int) -> tuple:
    height, width = 10 + 2 * seed, 12 + 2 * (seed % 3)
    direction = ("AtoB", "BtoA")[seed % 2]
    return (
        _bytes(seed, 3, height, 2 * width),
        direction,
        (18 + seed, 16 + 2 * seed),
        (14, 11 + seed),
    )


def _both_images(candidate: object, *inputs: object) -> object:
    value = candidate(*inputs)
    if not isinstance(value, tuple | list) or len(value) != 2:
        return value
    return dict(zip(("real_a", "real_b"), value))


def _two_draws_by_file(both: Tensor, direction: str, load_size: tuple, size: tuple) -> tuple:
    parts = [resize(image, load_size) for image in both.chunk(2, dim=2)]
    parts = [to_float(apply_jitter(part, draw_jitter(load_size, size), size)) for part in parts]
    return tuple(parts if direction == "AtoB" else parts[::-1])


def _enlarged_whole(width: int) -> Callable:
    def prepare(both: Tensor, direction: str, load_size: tuple, size: tuple) -> tuple:
        halves = resize(both, (load_size[0], width * load_size[1])).chunk(2, dim=2)
        jitter = draw_jitter(load_size, size)
        parts = [to_float(apply_jitter(half, jitter, size)) for half in halves]
        return tuple(parts if direction == "AtoB" else parts[::-1])

    return prepare


_RESIZED = "real_a, real_b = resize(real_a, load_size), resize(real_b, load_size)"
_AS_FLOATS = "return to_float(real_a), to_float(real_b)"
_FLOATS_FIRST = f"real_a, real_b = to_float(real_a), to_float(real_b)\n    {_RESIZED}"
_DIRECTED = '(image_a, image_b) if direction == "AtoB" else (image_b, image_a)'

prepare = Task(
    key="01.prepare",
    title="from the file to the networks",
    kind="core",
    difficulty=3,
    minutes=15,
    reference=prepare_pair,
    stub='''\
def prepare_pair(both: Tensor, direction: str, load_size: tuple, size: tuple) -> tuple[Tensor, Tensor]:
    """Return input and target, jittered alike, from the pixels of a file, (3, H, 2W) uint8."""
    raise NotImplementedError  # halves, direction, enlarge, jitter, range
''',
    inputs=_one_file,
    observe=_both_images,
    mistakes=(
        mistake(
            "Input and target are jittered with two draws, so they no longer fit. Draw once, apply twice.",
            (
                "apply_jitter(real_b, jitter, size)",
                "apply_jitter(real_b, draw_jitter(load_size, size), size)",
            ),
        ),
        mistake(
            "A and B are jittered with two draws, so they no longer fit. Draw once, apply twice.",
            other=_two_draws_by_file,
        ),
        mistake(
            "You enlarge the whole file to `load_size`, so each half becomes half as wide as it should be.",
            other=_enlarged_whole(1),
        ),
        mistake(
            "You enlarge A and B while they are still one picture, and at the seam each bleeds into the other.",
            other=_enlarged_whole(2),
        ),
        mistake(
            "You change the range before you enlarge: bicubic overshoots, and values leave [-1, 1].",
            (_RESIZED, _FLOATS_FIRST),
            (_AS_FLOATS, "return real_a, real_b"),
        ),
        mistake(
            "You enlarge floats and clamp them. That stays in the range, but bytes enlarged first are wanted here.",
            (_RESIZED, _FLOATS_FIRST),
            (_AS_FLOATS, "return real_a.clamp(-1, 1), real_b.clamp(-1, 1)"),
        ),
        mistake(
            "Input and target are exchanged: `AtoB` means that A, the left half, is the input.",
            ("AtoB", "BtoA"),
        ),
        mistake(
            "A is always the input, whatever the direction.", (_DIRECTED, "(image_a, image_b)")
        ),
        mistake(
            "The file is cut into an upper and a lower half; A and B lie side by side.",
            ("dim=2", "dim=1"),
        ),
        mistake(
            "The values are still bytes from 0 to 255; the networks want floats in [-1, 1].",
            (_AS_FLOATS, "return real_a, real_b"),
        ),
        mistake(
            "Nothing is enlarged: the crop is taken from the image as it lies in the file.",
            (f"    {_RESIZED}\n", ""),
        ),
        mistake(
            "You resize to `size` at once, so that crops stick out of the image and get black edges.",
            (_RESIZED, _RESIZED.replace("load_size", "size")),
        ),
    ),
    hints=(
        "Five steps, each of them one call that you know from this notebook. What must happen on bytes, what only once?",
        "`both.chunk(2, dim=2)`, order by direction, `resize` both to `load_size`, `draw_jitter` once, `apply_jitter` "
        "to both, `to_float` last.",
    ),
)


# --- exercises ------------------------------------------------------------------------------------


load_size = Question(
    key="01.load_size",
    title="the load size",
    difficulty=1,
    minutes=2,
    expected=lambda: default_load_size(512),
    wrong=(
        (
            512 + 30,
            "You add the paper's 30 pixels; the proportion should stay, not the difference.",
        ),
        (round(512 * 256 / 286), "That is smaller than the crop: the ratio is upside down."),
        (286, "That is the paper's load size, for crops of 256 pixels."),
        (512, "Then there is no room: the crop could lie in one position only."),
        (143, "That is the load size for crops of 128 pixels."),
    ),
    answer="answer_1 = round(512 * 286 / 256)",
    hints=(
        "The paper enlarges to 286 pixels and crops 256. By which factor does it enlarge?",
        "286 / 256 is about 1.117; multiply by the size of your crop and round.",
    ),
)

ways = Question(
    key="01.ways",
    title="how many jitters there are",
    difficulty=2,
    minutes=4,
    expected=lambda: 2 * 16**2,
    wrong=(
        (16**2, "These are the corners. Each crop also comes mirrored."),
        (2 * 15**2, "One corner on each side is missing: rows 0 to 15 are 16 rows."),
        (15**2, "One corner on each side is missing, and each crop also comes mirrored."),
        (2 * 16, "That counts one side only: row and column are drawn independently."),
        (
            2 * 143**2,
            "A corner may not lie just anywhere: the whole crop must fit into the enlarged image.",
        ),
        (2 * 31**2, "These are the jitters at the paper's sizes."),
        (31**2, "These are the corners at the paper's sizes, and each crop also comes mirrored."),
    ),
    answer="answer_2 = 2 * (143 - 128 + 1) ** 2",
    hints=(
        "Count the rows at which a crop of 128 can begin in an image of 143. Begin with a smaller case: 2 out of 3.",
        "Rows times columns times two, for mirrored and not.",
    ),
)


def read_kept(kept: Tensor, jitter: Jitter, size: tuple[int, int]) -> Tensor:
    """Return a crop, in [-1, 1], of an image kept in memory, (C, H, W) floats from 0 to 255."""
    bottom, right = jitter.top + size[0], jitter.left + size[1]
    crop = kept[:, jitter.top : bottom, jitter.left : right]
    crop = crop / 127.5 - 1
    return crop.flip(2) if jitter.flipped else crop


def _kept_image(seed: int) -> tuple:
    image = 255 * torch.rand(1 + seed % 3, 9 + seed, 11, generator=_generator(seed))
    first = Jitter(1, 2, seed % 2 == 0)
    return image, (first, Jitter(1, 2, seed % 2 == 1), Jitter(3, seed, False)), (5, 6)


def _three_readings(read: object, image: Tensor, jitters: tuple, size: tuple) -> dict:
    kept = image.clone()
    readings = []
    for jitter in jitters:
        crop = read(kept, jitter, size)
        readings.append(crop.clone() if isinstance(crop, Tensor) else crop)
    names = ("the first reading", "the second, at the same corner", "the third, elsewhere")
    return dict(zip(names, readings)) | {"the kept image afterwards": kept}


_SCALED = "crop = crop / 127.5 - 1"

keep = Task(
    key="01.keep",
    title="the second epoch",
    kind="debug",
    difficulty=2,
    minutes=10,
    reference=read_kept,
    stub=with_bug(read_kept, ("crop = crop / 127.5 - 1", "crop.div_(127.5).sub_(1)")),
    inputs=_kept_image,
    observe=_three_readings,
    mistakes=(
        mistake(
            "You scale only what still looks unscaled. A crop that is partly old and partly new still goes wrong.",
            (_SCALED, "if crop.max() > 1:\n        crop.div_(127.5).sub_(1)"),
        ),
        mistake(
            "Now the whole kept image is scaled again at each reading, not only the crop.",
            (f"    {_SCALED}\n", ""),
            ("    crop = kept[", "    kept.div_(127.5).sub_(1)\n    crop = kept["),
        ),
        mistake(
            "You undo the scaling in the same memory that you return: an unmirrored crop goes back to 0..255 with it.",
            (
                _SCALED,
                "crop.div_(127.5).sub_(1)\n    result = crop.flip(2) if jitter.flipped else crop",
            ),
            (
                "return crop.flip(2) if jitter.flipped else crop",
                "crop.add_(1).mul_(127.5)\n    return result",
            ),
        ),
        mistake(
            "The kept image stays whole now, but the crop is in [0, 2]: the second half of the scaling is lost.",
            (_SCALED, "crop = crop / 127.5"),
        ),
        mistake(
            "The kept image stays whole now, but the crop is still in 0..255: the results of `div` and `sub` are lost.",
            (_SCALED, "crop.div(127.5).sub(1)"),
        ),
        mistake(
            "The kept image stays whole now, but the fractions of its values are cut off on the way.",
            (_SCALED, "crop = crop.to(torch.uint8) / 127.5 - 1"),
        ),
        mistake(
            "The kept image stays whole now, but the mirroring is lost.",
            ("crop.flip(2) if jitter.flipped else crop", "crop"),
        ),
    ),
    hints=(
        "Print `kept.min()` before and after one call. Does a function that reads an image change it?",
        "A slice of a tensor is a view of the same memory, and a method whose name ends in `_` writes into it.",
    ),
)

spread = OpenTask(
    key="01.spread",
    title="what does the label map leave open?",
    difficulty=2,
    minutes=20,
    stub='''\
hypothesis = ""
expect = ("window", "<", "facade")


def measure(condition: str, seed: int) -> float:
    """Return how much photos of house `seed` differ where its class is `condition`."""
    photos = torch.stack([facades.facade_tensors(seed, 64, photo_seed)[1] for photo_seed in range(32)])
    there = torch.from_numpy(facades.make_classes(seed, 64) == facades.CLASS_NAMES.index(condition))
    raise NotImplementedError  # one number, from photos (32, 3, 64, 64) and there (64, 64)
''',
    example='''\
hypothesis = "Right answers differ less in windows than on walls, as a wall may be brick or plaster of any colour."
expect = ("window", "<", "facade")


def measure(condition: str, seed: int) -> float:
    """Return how much photos of house `seed` differ where its class is `condition`."""
    photos = torch.stack([facades.facade_tensors(seed, 64, photo_seed)[1] for photo_seed in range(32)])
    there = torch.from_numpy(facades.make_classes(seed, 64) == facades.CLASS_NAMES.index(condition))
    return photos.std(dim=0).mean(dim=0)[there].mean().item()
''',
    example_verdict="""\
verdict, because = "refuted", (
    "Windows differ more. That may come from fine detail, such as frames and reflections that lie elsewhere in each "
    "photo, and not from colour; comparing the mean colour of all windows of a photo would tell the two apart. I have "
    "not measured that."
)
""",
    hints=(
        "At one pixel there are 32 right answers. Which number says how far they spread?",
        "`photos.std(dim=0)` has one spread for each channel and pixel; take the mean of it where `there` is True.",
    ),
    rubric=(
        "Do all photos behind one value belong to the same label map?",
        "Does the hypothesis say what the label map leaves open, and where?",
    ),
)
