"""The data of a run: found on disk, looked at, and opened as datasets."""

import logging
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field, fields, replace
from pathlib import Path

import torch
from torch.utils.data import Dataset

from . import processes
from .config import TrainConfig
from .data import PairedDataset, UnpairedDataset, data_digest, in_parallel
from .devices import available_memory
from .encoding import KINDS, Encoding, encoding_from_dict, find_encoding, used_range
from .facades import default_dataset, default_unpaired_dataset
from .files import generated_data
from .images import evenly_spread, orientation
from .layouts import (
    LAYOUTS,
    Found,
    describe,
    find_dataset,
    find_domains,
    sides,
)
from .progress import progress_callback
from .resizing import scaled_shape, size_text
from .shards import (
    Shard,
    find_shards,
    holds_shards,
    read_pairs,
    shard_encodings,
    shards_identity,
)
from .streaming import ShardDataset
from .validation import InputError, check_choice

RUN_LAYOUTS = (*LAYOUTS, "shards")
VALIDATED = 1000  # pairs of shards at most, which lie in memory
NARROW = 0.25  # of its range: pictures that use less are said
NOTICED = 1.05  # a change of shape by more than this factor is said

log = logging.getLogger("pix2pix_lib.train")


@dataclass(frozen=True)
class DataOptions:
    """Where the data of a run lie, and what a person knows better about them than `find` would.

    Args:
        path: the folder; None is the procedural facades.
        layout: one of `RUN_LAYOUTS`.
        a, b: a piece of text in the path of every image of side A, and of side B.
        skip_orphans: leave out images without a partner.
        max_pairs: take so many pairs to train on at most, evenly spread; 0 takes all.
        a_kind, b_kind: one of `encoding.KINDS`.
        a_range, b_range: (low, high) of the values of pictures.
    """

    path: Path | None = None
    layout: str = "auto"
    a: str = ""
    b: str = ""
    skip_orphans: bool = False
    max_pairs: int = 0
    a_kind: str = "auto"
    b_kind: str = "auto"
    a_range: tuple[float, float] | None = None
    b_range: tuple[float, float] | None = None

    def __post_init__(self):
        check_choice("layout", self.layout, RUN_LAYOUTS)
        for name in ("a_kind", "b_kind"):
            check_choice(name, getattr(self, name), KINDS)
        if self.max_pairs < 0:
            raise InputError(f"max_pairs must be 0 (all) or more; got {self.max_pairs}")
        if bool(self.a) != bool(self.b):
            raise InputError(
                "--a and --b belong together: a text in the path of each A, and one of each B"
            )


@dataclass(frozen=True)
class RunData:
    """The images of a run.

    Args:
        root: their folder.
        train, val: lists of `Pair`s, `Side`s or `Shard`s: one, or for `Side`s one each domain.
        encodings: what the values of sides A and B mean.
        identity: what a checkpoint keeps of it: `train` and `val`, how many images there are,
            `digest` of all names and sizes, and `_identity_of`.
        image_shape: (height, width) of most images on disk, once they are open.
    """

    root: Path
    train: tuple[list, ...]
    val: tuple[list, ...]
    encodings: tuple[Encoding, Encoding]
    identity: dict = field(default_factory=dict)
    direction: str = "AtoB"
    image_shape: tuple[int, int] | None = None

    @property
    def input_and_target(self) -> tuple[Encoding, Encoding]:
        """Return what the values of the generator's input and of its target mean."""
        return self.encodings if self.direction == "AtoB" else self.encodings[::-1]


def find_run_data(
    options: DataOptions, config: TrainConfig, given: Sequence[str], saved: dict | None = None
) -> RunData:
    """Find the images of a run, and what their values mean; say what was taken, and why.

    Args:
        config: whose direction and channels count.
        given: the names of settings that a person gave; other channels follow from the images.
        saved: the identity that a run's checkpoint holds, whose encodings then count.

    Raises:
        FileNotFoundError, InputError: if there are no such images, or what they are cannot be told.
    """
    if options.path and _are_shards(options):
        return _find_shards(options, config, given, saved)
    unpaired = config.is_unpaired
    if options.path is None:
        make = default_unpaired_dataset if unpaired else default_dataset
        bar = progress_callback("making facades")
        root = make(generated_data(), max(config.shape), progress=bar)
        found = find_domains(root) if unpaired else _each_alone(find_dataset(root, "pairs"))
    else:
        root = options.path
        if unpaired:
            found = find_domains(root, options.layout, options.a, options.b)
        else:
            found = _each_alone(_find_pairs(options))
    train, val = _split(found, root)
    if options.max_pairs:
        train = tuple(evenly_spread(part, options.max_pairs) for part in train)
    encodings = saved_encodings(saved)
    if encodings is None and (options.path is None or saved):
        encodings = _plain_encodings(config)
    elif encodings is None:
        encodings = _look_at(options, train, val, config, given)
    digest = data_digest(root, [*train, *val])
    counts = {"train": _count(train), "val": _count(val)}
    identity = counts | {"digest": digest} | _identity_of(options, encodings)
    return RunData(root, train, val, encodings, identity, config.direction)


def _count(parts: tuple[list, ...]) -> str:
    return " and ".join(str(len(part)) for part in parts)


def _are_shards(options: DataOptions) -> bool:
    return options.layout == "shards" or (
        options.layout == "auto" and options.path.is_dir() and holds_shards(options.path)
    )


def _find_shards(
    options: DataOptions, config: TrainConfig, given: Sequence[str], saved: dict | None
) -> RunData:
    """Return the shards of a folder, which know what their files hold."""
    for option in fields(DataOptions):
        name = option.name
        if name not in ("path", "layout") and getattr(options, name) != option.default:
            flag = "--" + name.replace("_", "-")
            raise InputError(f"{flag} does not apply to shards; give it when you write them")
    if config.is_unpaired:
        raise InputError("CycleGAN reads no shards; give the folder of pictures")
    found = find_shards(options.path)
    train, val = found["train"], found.get("val") or found["test"]
    encodings = saved_encodings(saved) or _with_channels(
        shard_encodings(options.path), config, given
    )
    log.info("layout shards: %d shards to train on, %d to validate on", len(train), len(val))
    for side, encoding in zip("AB", encodings, strict=True):
        log.info("%s: %s", side, encoding.describe())
    identity = shards_identity(train, val) | _identity_of(options, encodings)
    return RunData(options.path, (train,), (val,), encodings, identity, config.direction)


def saved_encodings(saved: dict | None) -> tuple[Encoding, Encoding] | None:
    """Return the encodings of sides A and B that a checkpoint keeps, if it does."""
    if not saved or "encodings" not in saved:
        return None
    encoding_a, encoding_b = map(encoding_from_dict, saved["encodings"])
    return encoding_a, encoding_b


def _with_channels(
    encodings: tuple[Encoding, Encoding], config: TrainConfig, given: Sequence[str]
) -> tuple[Encoding, Encoding]:
    """Return encodings with the numbers of channels that were asked for."""
    wanted = [getattr(config, name) if name in given else None for name in _channel_names(config)]
    first, second = (
        replace(encoding, channels=count) if count else encoding
        for encoding, count in zip(encodings, wanted, strict=True)
    )
    return first, second


def _channel_names(config: TrainConfig) -> tuple[str, str]:
    """Return the settings that hold the channels of side A and of side B."""
    names = ("in_channels", "out_channels")
    return names if config.direction == "AtoB" else names[::-1]


def _find_pairs(options: DataOptions) -> Found:
    """Return where the pairs lie, and say it."""
    found = find_dataset(options.path, options.layout, options.a, options.b, options.skip_orphans)
    log.info("%s", describe(found))
    for note in found.notes:
        log.info("note: %s", note)
    return found


def _each_alone(found: Found) -> dict[str, tuple[list, ...]]:
    """Return the pairs of each split as the only list of its kind; unpaired images have two."""
    return {split: (pairs,) for split, pairs in found.splits.items()}


def _split(found: dict[str, tuple[list, ...]], root: Path) -> tuple[tuple, tuple]:
    """Return what to train on and what to validate on: the set's own val or test, or every tenth.

    Raises:
        InputError: if one pair, or one image, is all there is.
    """
    train = found["train"] if "train" in found else next(iter(found.values()))
    if "train" in found:
        for part in ("val", "test"):
            if part in found:
                return train, found[part]
    if min(map(len, train)) < 2:
        what = "pair" if len(train) == 1 else "image of each domain"
        raise InputError(
            f"{root}: one {what} is not enough, as one is kept back for validation; add more"
        )
    kept_back = tuple(part[::10] for part in train)
    return tuple([v for i, v in enumerate(part) if i % 10] for part in train), kept_back


def _plain_encodings(config: TrainConfig) -> tuple[Encoding, Encoding]:
    """Return pictures of 8 bits with the config's channels, for sides A and B."""
    encodings = Encoding(config.in_channels), Encoding(config.out_channels)
    return encodings if config.direction == "AtoB" else encodings[::-1]


def _look_at(
    options: DataOptions,
    train: tuple[list, ...],
    val: tuple[list, ...],
    config: TrainConfig,
    given: Sequence[str],
) -> tuple[Encoding, Encoding]:
    """Find what the values of sides A and B mean, and say it."""
    both = train if len(train) == 2 else sides(train[0])
    both_val = val if len(val) == 2 else sides(val[0])
    names = _channel_names(config)
    roles = ("input", "target") if config.direction == "AtoB" else ("target", "input")
    encodings = []
    for side, role, images, more, name in zip("ab", roles, both, both_val, names, strict=True):
        channels = getattr(config, name) if name in given else None
        kind, values = getattr(options, f"{side}_kind"), getattr(options, f"{side}_range")
        encoding = find_encoding([*images, *more], channels, kind, values)
        log.info("%s (%s): %s%s", side.upper(), role, encoding.describe(), _advice(encoding, name))
        _notice_range(encoding, images, side)
        encodings.append(encoding)
    return tuple(encodings)


def _notice_range(encoding: Encoding, images: list, side: str) -> None:
    """Say if pictures use a small part of their range: they look all but black, or white."""
    if encoding.is_labels:
        return
    low, high = used_range(images)
    if high - low < NARROW * (encoding.high - encoding.low):
        log.info("note: values of side %s lie in %g..%g only; --%s-range %g:%g spreads them",
                 side.upper(), low, high, side, low, high)  # fmt: skip


def _advice(encoding: Encoding, name: str) -> str:
    """Return how to see classes otherwise, or nothing."""
    classes = len(encoding.classes)
    if not encoding.reads_numbers or encoding.one_hot or classes in (0, 1, 3):
        return ""
    return f" (--{name.replace('_', '-')} {classes} gives each class a channel of its own)"


def settle_channels(config: TrainConfig, data: RunData) -> TrainConfig:
    """Return the config with as many channels as the images have."""
    real_a, real_b = data.input_and_target
    return replace(config, in_channels=real_a.channels, out_channels=real_b.channels)


def _identity_of(options: DataOptions, encodings: tuple[Encoding, Encoding]) -> dict:
    """Return what a checkpoint keeps of the data as plain values, beside counts and digest.

    `path` is empty for the procedural facades, `options` are those that were given.
    """
    chosen = {
        option.name: getattr(options, option.name)
        for option in fields(DataOptions)
        if option.name not in ("path", "layout") and getattr(options, option.name) != option.default
    }
    return {
        "path": str(options.path.resolve()) if options.path else "",
        "layout": options.layout,
        "options": chosen,
        "encodings": [asdict(encoding) for encoding in encodings],
    }


def options_of(saved: dict, given: DataOptions, names: set[str]) -> DataOptions:
    """Return the data options of a run that goes on: what was given, else what it began with."""
    before = {"layout": saved.get("layout", "auto"), **saved.get("options", {})}
    before["path"] = Path(saved["path"]) if saved.get("path") else None
    return replace(given, **{n: value for n, value in before.items() if n not in names})


def open_datasets(
    data: RunData, config: TrainConfig, device: torch.device
) -> tuple[Dataset, Dataset]:
    """Return the images to train on, with jitter, and to validate on, without.

    They are decoded into the device's memory, or into the CPU's if they would fill more than a
    quarter of that, or are read from their files at each use.

    Raises:
        FileNotFoundError, InputError: if a file is gone, cannot be read, or has a wrong size.
    """
    kind = UnpairedDataset if config.is_unpaired else PairedDataset
    common = {
        "direction": config.direction,
        "size": config.shape,
        "encodings": data.encodings,
        "resize": config.resize,
        "multiple_of": 2**config.depth,
    }
    jitter = {"load_size": config.load_size or None, "flip": config.flip}
    if isinstance(data.train[0][0], Shard):
        train_set = ShardDataset(*data.train, **jitter, **common)
        _notice_shapes(train_set.images, config)
        return train_set, PairedDataset(read_pairs(*data.val, VALIDATED), jitter=False, **common)
    bar = _bar("reading headers", data.train)
    train_set = kind(*data.train, progress=bar, **jitter, **common)
    val_set = kind(*data.val, jitter=False, **common)
    _notice_shapes(train_set, config)
    _notice_turns(data.train[0])
    home = memory_for(train_set.needed_bytes + val_set.needed_bytes, device)
    for dataset, parts in ((train_set, data.train), (val_set, data.val)):
        if home is None:
            dataset.check_whole(_bar("checking files", parts))
        else:
            dataset.keep(home, _bar("reading images", parts))
    return train_set, val_set


def _notice_turns(items: list) -> None:
    """Say if EXIF data turn one image of a pair and not the other: they may not lie alike."""
    pairs = [item for item in items if getattr(item, "b", None)]
    turns = in_parallel(lambda pair: [orientation(file) > 1 for file in pair.files], pairs)
    turned = [pair for pair, (a, b) in zip(pairs, turns, strict=True) if a != b]
    if turned:
        log.info("note: EXIF data turn one image of %d pairs and not the other, such as %s; look "
                 "whether they lie alike", len(turned), turned[0].a)  # fmt: skip


def _bar(label: str, parts: tuple[list, ...]) -> Callable[[int, int], None] | None:
    """Return a progress callback for work that takes more than a moment, else None."""
    files = {file for part in parts for item in part for file in item.files}
    long = len(files) > 400 or sum(file.stat().st_size for file in files) > 20_000_000
    return progress_callback(label) if long and processes.rank() == 0 else None


def memory_for(needed: int, device: torch.device) -> torch.device | None:
    """Return the device whose memory can keep so many bytes, or None if the images stay on disk.

    They may take a quarter of the memory that is available.
    """
    homes = [device, torch.device("cpu")]
    return next((home for home in homes if needed < available_memory(home) / 4), None)


def common_shape(dataset: Dataset) -> tuple[int, int]:
    """Return (height, width) of most images of a dataset, as they are on disk."""
    shapes = getattr(dataset, "images", dataset).shapes  # of shards, that of the first pair
    return Counter(shape for item in shapes for shape in item if shape).most_common(1)[0][0]


def _notice_shapes(dataset: Dataset, config: TrainConfig) -> None:
    """Say what happens to images of another shape than those that the networks learn from."""
    shape = common_shape(dataset)
    others = len({shape for item in dataset.shapes for shape in item if shape}) - 1
    others = f", and {others} other sizes" if others else ""
    seen = f"images of {size_text(shape)}{others} (width x height)"
    height, width = scaled_shape(shape, config.shape, config.resize)
    squeeze = (width / shape[1]) / (height / shape[0])
    if config.resize == "stretch" and not 1 / NOTICED < squeeze < NOTICED:
        log.info(
            "%s are stretched to %s; --resize crop, or an --image-size of their shape, would not",
            seen, size_text(config.shape),
        )  # fmt: skip
    elif shape != config.shape:
        log.info("%s are learned at %s (--resize %s)", seen, size_text(config.shape), config.resize)
