"""Pairs in shards: tar files that are read from front to end, for sets of very many files.

A folder of shards holds train-000000.tar, train-000001.tar, ..., val-000000.tar, ... and
shards.json, which lists them with their numbers of pairs, sizes and SHA-256, and says what the
values of both sides mean. In a shard lie the files of the pairs, unchanged: KEY.a.jpg and
KEY.b.png, or KEY.ab.jpg with both sides in one. KEY begins with the pair's number in its split.

The package webdataset packs and unpacks the shards, by conventions that other tools share. The
files are opened here, not by webdataset, which would run the commands of `pipe:` addresses.
"""

import hashlib
import io
import itertools
import json
import math
import random
import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from types import ModuleType

from .data import pair_size
from .encoding import Encoding, encoding_from_dict, find_encoding
from .files import lock_folder, replacing
from .images import check_whole
from .layouts import Pair, sides
from .validation import InputError

INDEX = "shards.json"


@dataclass(frozen=True)
class Shard:
    """A tar file, its number of pairs, its size in bytes and its SHA-256."""

    file: Path
    pairs: int
    size: int
    sha256: str


class Member(io.BytesIO):
    """A file of a shard, in memory, with as much of a path as readers of images look at."""

    def __init__(self, shard: Path, name: str, content: bytes):
        super().__init__(content)
        self.name, self.parent = str(shard / name), shard
        self.stem, self.suffix = (shard / name).stem, (shard / name).suffix

    def __str__(self) -> str:
        return self.name


def webdataset() -> ModuleType:
    """Return the package webdataset, which only shards need.

    Raises:
        InputError: if it is not installed.
    """
    try:
        import webdataset
    except ImportError as error:
        raise InputError(
            "shards need a package that is not installed: pip install webdataset"
        ) from error
    return webdataset


# --- writing ------------------------------------------------------------------------------------


def write_shards(
    splits: dict[str, list[Pair]],
    out: Path,
    pairs_per_shard: int = 1000,
    seed: int = 0,
    progress: Callable[[int, int], None] | None = None,
) -> dict[str, list[Shard]]:
    """Pack pairs into shards, in an order that is shuffled once; returns the shards by split.

    The same pairs and seed give the same bytes. A failure or interruption leaves no shard.

    Args:
        splits: the pairs of train, and of val or test. Without these val gets every tenth pair, as
            in a training; a set that is not split may come under the key "".
        out: the folder of the shards, which must not hold any; it is made if it is missing.
        pairs_per_shard: the most that a shard gets; those of a split differ by one pair at most.
        progress: called with the number of pairs packed and of all.

    Raises:
        FileExistsError: if `out` holds tar files already.
        FileNotFoundError, InputError: if a pair cannot be read or there are too few, or if
            webdataset is not installed.
    """
    webdataset()
    if pairs_per_shard < 1:
        raise InputError(f"pairs_per_shard must be 1 or more; got {pairs_per_shard}")
    splits = _with_validation(splits)
    everything = [pair for pairs in splits.values() for pair in pairs]
    total, done = len(everything), itertools.count(1)
    report = (lambda: progress(next(done), total)) if progress else lambda: None
    encodings = [asdict(find_encoding(side)) for side in sides(everything)]
    with lock_folder(out):
        if any(out.glob("*.tar")):
            raise FileExistsError(
                f"{out} already holds tar files; choose another folder, or remove what a killed "
                f"run left there"
            )
        try:
            entries = {}
            for split, pairs in splits.items():
                order = random.Random(seed).sample(range(len(pairs)), len(pairs))
                count = math.ceil(len(pairs) / pairs_per_shard)
                for number in range(count):
                    part = [(index, pairs[index]) for index in order[number::count]]
                    name = f"{split}-{number:06d}.tar"
                    entries[name] = _write_shard(out / name, part, report)
            text = json.dumps({"shards": entries, "encodings": encodings}, indent=1)
            with replacing(out / INDEX) as temporary:
                temporary.write_text(text + "\n", encoding="utf-8")
        except BaseException:
            for file in out.glob("*.tar"):
                file.unlink()
            raise
    return find_shards(out)


def _with_validation(splits: dict[str, list[Pair]]) -> dict[str, list[Pair]]:
    """Return the splits that hold pairs; if train is the only one, val gets every tenth of it.

    Raises:
        InputError: if pairs are missing, or one is a page of a file, which would go into many.
    """
    splits = {split or "train": pairs for split, pairs in splits.items() if pairs}
    if splits.keys() == {"train"}:
        pairs = splits["train"]
        splits = {"train": [pair for i, pair in enumerate(pairs) if i % 10], "val": pairs[::10]}
    for pair in itertools.chain(*splits.values()):
        if pair.page:
            raise InputError(f"{pair.a}: its pages do not fit into shards; save each as a file")
    if not splits.get("train"):
        raise InputError("shards need a pair to train on and one to validate on; add pairs")
    return splits


def _write_shard(file: Path, part: list[tuple[int, Pair]], report: Callable[[], None]) -> dict:
    """Write one shard and return its entry of shards.json."""
    options = {"user": "", "group": "", "mtime": 0, "encoder": False, "compress": False}
    with replacing(file) as temporary:
        with open(temporary, "wb") as stream, webdataset().TarWriter(stream, **options) as writer:
            for index, pair in part:
                writer.write(_pack(index, pair))
                report()
        size, digest = temporary.stat().st_size, _digest(temporary)
    return {"pairs": len(part), "size": size, "sha256": digest}


def _pack(index: int, pair: Pair) -> dict[str, str | bytes]:
    """Return the files of a pair by their endings, as webdataset takes them."""
    pair_size(pair)  # what cannot be read is found now, not in the middle of a training
    for file in pair.files:
        check_whole(file)
    # The ending begins at the first dot, for webdataset.
    key = f"{index:08d}_{re.sub('[^0-9A-Za-z-]+', '_', pair.name)[:60]}"
    sides = ("ab",) if pair.b is None else ("a", "b")
    files = {side + file.suffix.lower(): file.read_bytes() for side, file in zip(sides, pair.files)}
    return {"__key__": key, **files}


def _digest(file: Path) -> str:
    with open(file, "rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


# --- reading ------------------------------------------------------------------------------------


def holds_shards(folder: Path) -> bool:
    """Return whether a folder holds shards, or tar files that may be meant as such."""
    return (folder / INDEX).is_file() or any(folder.glob("*.tar"))


def find_shards(folder: Path) -> dict[str, list[Shard]]:
    """Return the shards of a folder by split: train, and val or test.

    Their sizes are compared with shards.json; `check_digests` looks at all bytes.

    Raises:
        FileNotFoundError: if shards.json or a shard is missing.
        InputError: if shards.json cannot be read, a shard has another size, or one is not listed.
    """
    shards = {}
    with _index_of(folder) as index:
        for name, entry in index["shards"].items():
            split = re.fullmatch(r"(train|val|test)-\d+\.tar", name)[1]
            shard = Shard(folder / name, int(entry["pairs"]), int(entry["size"]), entry["sha256"])
            shards.setdefault(split, []).append(shard)
        if "train" not in shards or len(shards) < 2:
            raise ValueError("train and one of val and test are needed")
    sizes = {shard.file: shard.size for group in shards.values() for shard in group}
    for file in sorted({*sizes, *folder.glob("*.tar")}):
        if file not in sizes:
            raise InputError(f"{file} is not listed in {INDEX}; remove it, or write all again")
        if not file.is_file():
            raise FileNotFoundError(f"{file}: no such shard, but {INDEX} lists it; copy it again")
        if (size := file.stat().st_size) != sizes[file]:
            raise InputError(f"{file} has {size} bytes, not {sizes[file]} as listed; copy it again")
    return shards


def shard_encodings(folder: Path) -> tuple[Encoding, Encoding]:
    """Return what the values of sides A and B mean, as `find_encoding` found it in the files.

    Raises:
        FileNotFoundError, InputError: as `find_shards`.
    """
    with _index_of(folder) as index:
        encoding_a, encoding_b = map(encoding_from_dict, index["encodings"])
    return encoding_a, encoding_b


@contextmanager
def _index_of(folder: Path) -> Iterator[dict]:
    """Yield what shards.json holds; whoever finds that it does not is understood."""
    file = folder / INDEX
    if not file.is_file():
        raise FileNotFoundError(
            f"{folder} holds tar files without {INDEX}; unpack them and give the folder of pictures"
        )
    try:
        yield json.loads(file.read_text(encoding="utf-8"))
    except (ValueError, TypeError, KeyError, AttributeError) as error:
        raise InputError(f"{file}: not a list of shards; write the shards again") from error


def check_digests(shards: list[Shard], progress: Callable[[int, int], None] | None = None) -> None:
    """Read every shard to the end and compare its SHA-256.

    Raises:
        InputError: if it is another one.
    """
    for done, shard in enumerate(shards, start=1):
        if _digest(shard.file) != shard.sha256:
            raise InputError(f"{shard.file} is damaged: its SHA-256 has changed; copy it again")
        if progress:
            progress(done, len(shards))


def shards_identity(train: list[Shard], val: list[Shard]) -> dict[str, str]:
    """Return what `data_identity` does: the numbers of pairs, and a digest of all shards."""
    digests = "".join(f"{shard.sha256}\n" for shard in (*train, *val))
    counts = {name: str(sum(s.pairs for s in part)) for name, part in
              (("train", train), ("val", val))}  # fmt: skip
    return counts | {"digest": hashlib.sha256(digests.encode()).hexdigest()}


def read_pairs(shards: list[Shard], limit: int | None = None) -> list[Pair]:
    """Return the pairs of shards, or the first ones, as `PairedDataset` takes them.

    Their files are in memory, not yet decoded.

    Raises:
        InputError: if a shard is damaged.
    """
    pairs = itertools.chain.from_iterable(map(read_shard, shards))
    return [pair for _, pair in itertools.islice(pairs, limit)]


def read_shard(shard: Shard) -> Iterator[tuple[int, Pair]]:
    """Yield the pairs of a shard in its order, each with its number in the split.

    Raises:
        InputError: if the shard is damaged or incomplete.
    """
    tar, found = webdataset().tariterators, 0
    try:
        with open(shard.file, "rb") as stream:
            source = {"url": str(shard.file), "stream": stream}
            for sample in tar.group_by_keys(tar.tar_file_expander([source])):
                found += 1
                yield _unpack(shard.file, sample)
    except InputError:
        raise
    except Exception as error:  # damaged files make tarfile raise almost anything
        reason = str(error if isinstance(error, OSError) else error.args[0])
        raise InputError(
            f"{shard.file}: a damaged shard ({reason.split(' @ ')[0]}); copy it again"
        ) from error
    if found != shard.pairs:  # tarfile takes a broken header for the end
        raise InputError(
            f"{shard.file}: a damaged shard ({found} pairs, but {INDEX} says {shard.pairs}); copy "
            f"it again"
        )


def _unpack(shard: Path, sample: dict) -> tuple[int, Pair]:
    """Return what `_pack` got."""
    key = sample["__key__"]
    files = {
        ending.split(".")[0]: Member(shard, f"{key}.{ending}", content)
        for ending, content in sample.items()
        if not ending.startswith("__")
    }
    if files.keys() not in ({"a", "b"}, {"ab"}) or not re.match(r"\d{8}_", key):
        raise InputError(
            f"{shard}: {key} should have the files a and b, or ab, but has "
            f"{' and '.join(files)}; write the shards again"
        )
    index = int(key.split("_")[0])
    return index, Pair(files["ab"]) if "ab" in files else Pair(files["a"], files["b"])
