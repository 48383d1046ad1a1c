"""Pairs in tar files: what is packed, who reads it, and what happens to damaged shards."""

import copy
import hashlib
import io
import itertools
import json
import math
import pickle
import random
import subprocess
import sys
import tarfile
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from shards_run import CONFIG, numbers_in, watch
from torch.utils.data import DataLoader

from pix2pix_lib import processes
from pix2pix_lib.data import PairedDataset
from pix2pix_lib.encoding import find_encoding
from pix2pix_lib.layouts import Pair, sides
from pix2pix_lib.randomness import derive_seed
from pix2pix_lib.shards import (
    check_digests,
    find_shards,
    read_pairs,
    read_shard,
    shard_encodings,
    write_shards,
)
from pix2pix_lib.shards import shards_identity as identity
from pix2pix_lib.streaming import ShardDataset
from pix2pix_lib.trainer import SeededDataset, train_epoch
from pix2pix_lib.training import make_trainer
from pix2pix_lib.validation import InputError

ROOT = Path(__file__).parent.parent
TORCHRUN = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--max-restarts", "0"]


def make_pairs(folder: Path, count: int, first: int = 0, side: int = 32) -> list[Pair]:
    """Write pairs of which A is grey with the pair's number as value, and B is noise."""
    folder.mkdir(parents=True, exist_ok=True)
    pairs = []
    for number in range(first, first + count):
        noise = np.random.default_rng(number).integers(0, 256, (side, side, 3), np.uint8)
        pair = Pair(folder / f"{number:03d}.street.png", folder / f"{number:03d}.map.bmp")
        Image.new("RGB", (side, side), (number,) * 3).save(pair.a)
        Image.fromarray(noise).save(pair.b)
        pairs.append(pair)
    return pairs


@pytest.fixture
def pairs(tmp_path) -> dict[str, list[Pair]]:
    """13 pairs to train on and 3 to validate on."""
    return {
        "train": make_pairs(tmp_path / "files", 13),
        "val": make_pairs(tmp_path / "files", 3, first=100),
    }


@pytest.fixture
def shards(pairs, tmp_path):
    """The pairs in 5 shards to train on and 1 to validate on."""
    return write_shards(pairs, tmp_path / "shards", 3)


# --- packing ------------------------------------------------------------------------------------


def test_files_lie_in_the_shards_unchanged(pairs, shards):
    assert [shard.file.name for shard in shards["train"]] == [
        f"train-00000{number}.tar" for number in range(5)
    ]
    assert [shard.pairs for shard in shards["train"]] == [3, 3, 3, 2, 2]
    found = []
    for shard in shards["train"]:
        assert shard.size == shard.file.stat().st_size
        assert shard.sha256 == hashlib.sha256(shard.file.read_bytes()).hexdigest()
        with tarfile.open(shard.file) as archive:
            members = archive.getmembers()
            assert all(member.mtime == 0 and not member.uname for member in members)
            for member_a, member_b in zip(members[::2], members[1::2], strict=True):
                number = int(member_a.name.split("_")[0])
                pair = pairs["train"][number]
                assert member_a.name == f"{number:08d}_{number:03d}_street.a.png"
                assert member_b.name == f"{number:08d}_{number:03d}_street.b.bmp"
                assert archive.extractfile(member_a).read() == pair.a.read_bytes()
                assert archive.extractfile(member_b).read() == pair.b.read_bytes()
                found.append(number)
    assert sorted(found) == list(range(13)) != found


def test_equal_pairs_and_seeds_give_equal_bytes(pairs, shards, tmp_path):
    again = write_shards(pairs, tmp_path / "again", 3)
    other = write_shards(pairs, tmp_path / "other", 3, seed=1)
    digests = [[shard.sha256 for shard in each["train"]] for each in (shards, again, other)]
    assert digests[0] == digests[1] and digests[0] != digests[2]
    assert identity(shards["train"], shards["val"]) == identity(again["train"], again["val"])
    changed = identity(other["train"], other["val"])
    assert changed["digest"] != identity(shards["train"], shards["val"])["digest"]
    assert (changed["train"], changed["val"]) == ("13", "3")


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")  # it closes none
def test_other_tools_read_the_shards(shards):
    import webdataset

    samples = list(webdataset.WebDataset(str(shards["val"][0].file), shardshuffle=False))
    assert len(samples) == 3
    assert all({"__key__", "a.png", "b.bmp"} <= sample.keys() for sample in samples)


@pytest.mark.parametrize("key", ["", "train"])
def test_without_a_second_split_every_tenth_pair_is_kept_back(key, tmp_path):
    pairs = make_pairs(tmp_path / "files", 12)
    shards = write_shards({key: pairs}, tmp_path / "shards")
    numbers = {
        split: sorted(int(pair.b.stem.split("_")[1]) for pair in read_pairs(group))
        for split, group in shards.items()
    }
    assert numbers == {"val": [0, 10], "train": [1, 2, 3, 4, 5, 6, 7, 8, 9, 11]}


def test_meaning_of_the_values_is_found_in_all_files_once(tmp_path):
    """So that a class which hardly any file has is known, although training sees no files."""
    pairs = make_pairs(tmp_path / "files", 80)
    for number, pair in enumerate(pairs):
        labels = np.full((32, 32), 9 if number == 41 else number % 3, np.uint8)
        Image.fromarray(labels).save(pair.b)
    write_shards({"train": pairs}, tmp_path / "shards")
    encoding_a, encoding_b = shard_encodings(tmp_path / "shards")
    assert encoding_b.classes == ((0,), (1,), (2,), (9,))
    assert [encoding_a, encoding_b] == [find_encoding(side) for side in sides(pairs)]


def test_progress_counts_pairs(pairs, tmp_path):
    calls = []
    write_shards(pairs, tmp_path / "shards", 3, progress=lambda *call: calls.append(call))
    assert calls == [(done, 16) for done in range(1, 17)]


def test_names_in_any_script_and_of_any_length_are_packed(tmp_path):
    names = ["écluse.v2", "地図", "a b" * 60, "__x__", "-"]
    pairs = []
    for value, name in enumerate(names):
        pair = Pair(tmp_path / f"{name}.PNG")
        Image.new("RGB", (16, 8), (value,) * 3).save(pair.a)
        pairs.append(pair)
    shards = write_shards({"train": pairs, "val": pairs[:1]}, tmp_path / "shards")
    read = dict(read_shard(shards["train"][0]))
    assert sorted(read) == [0, 1, 2, 3, 4]
    for number, pair in enumerate(pairs):
        assert read[number].a.read() == pair.a.read_bytes() and read[number].b is None


def no_shards_in(folder: Path) -> bool:
    return not folder.exists() or not list(folder.iterdir())


@pytest.mark.parametrize("part", [0.5, 0.01])
def test_damaged_file_is_named_and_nothing_is_left(part, tmp_path):
    pairs = make_pairs(tmp_path / "files", 70, side=16)
    for pair in pairs:
        Image.effect_noise((16, 16), 50).save(pair.a)
    content = pairs[2].a.read_bytes()  # not one of the sample that is looked at first
    pairs[2].a.write_bytes(content[: int(part * len(content))])
    with pytest.raises(InputError, match=r"002\.street\.png: not a readable image"):
        write_shards({"train": pairs}, tmp_path / "shards", 2)
    assert no_shards_in(tmp_path / "shards")


def test_interruption_leaves_nothing(pairs, tmp_path):
    def interrupt(done, total):
        if done == 9:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        write_shards(pairs, tmp_path / "shards", 2, progress=interrupt)
    assert no_shards_in(tmp_path / "shards")


def test_tar_files_that_are_there_are_left_alone(pairs, tmp_path):
    theirs = tmp_path / "shards" / "holiday.tar"
    theirs.parent.mkdir()
    theirs.write_bytes(b"mine")
    with pytest.raises(FileExistsError, match="already holds tar files; choose another folder"):
        write_shards(pairs, theirs.parent)
    assert theirs.read_bytes() == b"mine" and len(list(theirs.parent.iterdir())) == 1


def test_what_cannot_be_packed_is_refused(pairs, tmp_path, monkeypatch):
    with pytest.raises(InputError, match="pairs_per_shard must be 1 or more; got 0"):
        write_shards(pairs, tmp_path / "shards", 0)
    with pytest.raises(InputError, match="one to validate on"):
        write_shards({"train": pairs["train"][:1]}, tmp_path / "shards")
    with pytest.raises(InputError, match="one to validate on"):
        write_shards({"val": pairs["val"]}, tmp_path / "shards")
    page = Pair(pairs["train"][0].a, pairs["train"][0].b, page=1)
    with pytest.raises(InputError, match="its pages do not fit into shards"):
        write_shards({"train": [page], "val": pairs["val"]}, tmp_path / "shards")
    monkeypatch.setitem(sys.modules, "webdataset", None)
    with pytest.raises(InputError, match=r"not installed: pip install webdataset$"):
        write_shards(pairs, tmp_path / "shards")
    assert no_shards_in(tmp_path / "shards")


# --- pairs --------------------------------------------------------------------------------------


def test_a_pair_from_a_shard_is_that_from_its_files(tmp_path):
    """Also with jitter: it follows from seed, epoch and the pair's number, as in a training."""
    pairs = make_pairs(tmp_path / "files", 7, side=40)
    shards = write_shards({"train": pairs, "val": pairs[:1]}, tmp_path / "shards", 2)
    options = {"direction": "BtoA", "size": 32, "load_size": 36, "in_channels": 1}
    stream, files = ShardDataset(shards["train"], **options), PairedDataset(pairs, **options)
    for epoch in (0, 5):
        stream.set_epoch(epoch, seed=3, batch_size=2)
        jittered = SeededDataset(files)
        expected = [jittered[index, derive_seed(3, epoch, 0, index)] for index in range(7)]
        got = {numbers_in(real_b[None])[0]: (real_a, real_b) for real_a, real_b in stream}
        for number, pair in enumerate(expected):
            assert torch.equal(got[number][0], pair[0]) and torch.equal(got[number][1], pair[1])


@pytest.mark.parametrize("kind", ["side by side", ".npy", ".tif of five bands", "16 bits"])
def test_other_kinds_of_files_come_out_as_they_went_in(kind, tmp_path):
    values = np.random.default_rng(0).integers(0, 256, (4, 32, 32, 5)).astype(np.uint8)
    pairs, channels = [], 3
    for number, image in enumerate(values):
        file_a, file_b = tmp_path / f"{number}.png", tmp_path / f"{number}_b.png"
        Image.fromarray(image[:, :, :3]).save(file_a)
        Image.fromarray(image[:, :, :3]).save(file_b)
        if kind == "side by side":
            file_b = None
        elif kind == ".npy":
            file_b, channels = file_b.with_suffix(".npy"), 5
            np.save(file_b, image)
        elif kind == "16 bits":
            Image.fromarray(image[:, :, 0].astype(np.uint16) * 257).save(file_b)
        else:
            tifffile = pytest.importorskip("tifffile")
            file_b, channels = file_b.with_suffix(".tif"), 5
            tifffile.imwrite(file_b, image, photometric="minisblack", planarconfig="contig")
        pairs.append(Pair(file_a, file_b))
    shards = write_shards({"train": pairs[:3], "val": pairs[3:]}, tmp_path / "shards")
    options = {"size": None, "jitter": False, "out_channels": channels}
    from_files, from_shard = PairedDataset(pairs[3:], **options), read_pairs(shards["val"])
    for _ in range(2):  # a file in memory can be read again
        for ours, theirs in zip(PairedDataset(from_shard, **options)[0], from_files[0]):
            assert torch.equal(ours, theirs)


def test_first_pairs_of_a_split_fit_a_map_style_dataset(shards):
    assert len(read_pairs(shards["val"])) == 3 and len(read_pairs(shards["train"], 4)) == 4
    dataset = PairedDataset(read_pairs(shards["val"]), size=32, jitter=False, in_memory=True)
    numbers = sorted(numbers_in(dataset[index][0][None])[0] for index in range(3))
    assert numbers == [100, 101, 102]


# --- who reads what -----------------------------------------------------------------------------


def epoch_of(dataset: ShardDataset, epoch: int, workers: int = 0) -> list[list[int]]:
    """Return the numbers of the pairs in each batch of two that this rank gets, with seed 3."""
    dataset.set_epoch(epoch, 3, 2)
    loader = DataLoader(dataset, 2, num_workers=workers, generator=torch.Generator())
    return [numbers_in(real_a) for real_a, _ in loader]


def flat(batches: list[list[int]]) -> list[int]:
    return list(itertools.chain(*batches))


@pytest.mark.parametrize("workers", [0, 2])
def test_each_epoch_brings_every_pair_once_in_a_new_order(workers, shards):
    dataset = ShardDataset(shards["train"], size=32)
    state = torch.get_rng_state()
    epochs = [flat(epoch_of(dataset, epoch, workers=workers)) for epoch in (0, 1, 0)]
    assert epochs[0] == epochs[2] != epochs[1]
    assert sorted(epochs[0]) == sorted(epochs[1]) == list(range(13))
    assert torch.equal(torch.get_rng_state(), state)
    sent = pickle.loads(pickle.dumps(dataset))  # as to a worker where there is no fork
    assert flat(epoch_of(sent, 1, workers=workers)) == epochs[1]


def test_order_is_that_of_the_shards_but_for_the_buffer(shards):
    """Computed by hand: shards in random order, cut into equal parts."""
    generator = torch.Generator().manual_seed(derive_seed(3, 2))
    order = torch.randperm(5, generator=generator).tolist()
    expected = [n for place in order for n, _ in read_shard(shards["train"][place])]
    assert flat(epoch_of(ShardDataset(shards["train"], 1, size=32), 2)) == expected
    # Worker 0 makes four of the seven batches, one of them with a single pair.
    dealt = epoch_of(ShardDataset(shards["train"], 1, size=32), 2, workers=2)
    assert flat(dealt[::2]) == expected[:7] and flat(dealt[1::2]) == expected[7:]
    # The buffer lets a random one go once it is full.
    buffer, shuffled = list(expected), []
    draw = random.Random(derive_seed(3, 2, 1, 0))
    while buffer:
        place = draw.randint(0, len(buffer) - 1)
        shuffled.append(buffer[place])
        buffer[place] = buffer[-1]
        buffer.pop()
    assert flat(epoch_of(ShardDataset(shards["train"], size=32), 2)) == shuffled


@pytest.mark.parametrize("ranks", [1, 2, 3, 5, 16])
@pytest.mark.parametrize("workers", [1, 2, 4])
@pytest.mark.parametrize("batch_size", [1, 2, 5])
def test_ranks_share_the_pairs_and_make_equally_many_steps(
    ranks, workers, batch_size, shards, monkeypatch
):
    """Whatever the number of shards; what is missing at the end comes from the beginning."""
    dataset = ShardDataset(shards["train"], size=32)
    monkeypatch.setattr(processes, "world_size", lambda: ranks)
    share, taken = (
        math.ceil(13 / ranks),
        {shard.file: [0] * shard.pairs for shard in dataset.shards},
    )
    for rank in range(ranks):
        monkeypatch.setattr(processes, "rank", lambda rank=rank: rank)
        dataset.set_epoch(4, 3, batch_size)
        counts = []
        for worker in range(workers):
            pieces = list(dataset.pieces(worker, workers))
            counts.append(sum(end - first for _, first, end in pieces))
            for shard, first, end in pieces:
                for place in range(first, end):
                    taken[shard.file][place] += 1
        steps = math.ceil(share / batch_size)
        # Batch i comes from worker i modulo workers; a worker without pairs is left out.
        sizes = [min(batch_size, share - i * batch_size) for i in range(steps)]
        assert counts == [sum(sizes[worker::workers]) for worker in range(workers)]
    times = [count for places in taken.values() for count in places]
    assert sum(times) == share * ranks and set(times) <= {1, 2} and len(times) == 13


# --- training -----------------------------------------------------------------------------------


def run_epochs(trainer, dataset, count) -> list[int]:
    """Train for some epochs and return the numbers of the pairs in their order."""
    got = []
    watch(trainer, got)
    for _ in range(count):
        train_epoch(trainer, dataset, shown=False)
    return got


def assert_same(first: dict, second: dict) -> None:
    for name, value in first.items():
        if isinstance(value, dict):
            assert_same(value, second[name])
        else:
            same = torch.equal if isinstance(value, torch.Tensor) else lambda a, b: a == b
            assert same(value, second[name]), name


@pytest.mark.parametrize("workers", [0, 2])
def test_training_goes_on_from_the_end_of_an_epoch_as_if_never_stopped(workers, shards):
    dataset = ShardDataset(shards["train"], size=32)
    straight = make_trainer(CONFIG, workers=workers)
    assert straight.steps_per_epoch(dataset) == 7
    got = run_epochs(straight, dataset, 2)
    assert straight.steps == 14 and got[:13] != got[13:]
    assert sorted(got[:13]) == sorted(got[13:]) == list(range(13))
    first, second = (make_trainer(CONFIG, workers=workers) for _ in range(2))
    run_epochs(first, dataset, 1)
    second.load_state_dict(copy.deepcopy(first.state_dict()))
    assert run_epochs(second, ShardDataset(shards["train"], size=32), 1) == got[13:]
    assert_same(straight.state_dict(), second.state_dict())


def test_epoch_broken_off_and_another_kind_of_dataset_do_no_harm(shards, tiny_pairs):
    dataset, trainer = ShardDataset(shards["train"], size=32), make_trainer(CONFIG, workers=2)
    epoch = trainer.run_epoch(dataset)
    next(epoch)
    epoch.close()
    assert (trainer.epoch, trainer.steps) == (0, 0)
    for each, steps in ((dataset, 7), (tiny_pairs, 10), (tiny_pairs, 13), (dataset, 20)):
        train_epoch(trainer, each, shown=False)
        assert trainer.steps == steps


def together(shards: Path, out: Path, workers: str, *die: str) -> list[list[dict]]:
    """Train two epochs in two processes; returns what each has saved, by numbers of workers."""
    out.mkdir(exist_ok=True)
    arguments = ["-m", "tests.shards_run", str(shards), str(out), workers, *die]
    command = [*TORCHRUN, "--nproc-per-node=2", *arguments]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=120)
    assert (done.returncode != 0) == bool(die), done.stderr
    return [
        [torch.load(out / f"{each}-{rank}.pt", weights_only=True) for rank in (0, 1)]
        for each in workers.split(",")
    ]


def test_two_processes_share_the_shards_and_a_killed_run_goes_on(shards, tmp_path, monkeypatch):
    folder = shards["train"][0].file.parent
    runs = together(folder, tmp_path / "straight", "0,2")
    dataset = ShardDataset(shards["train"], size=32)
    monkeypatch.setattr(processes, "world_size", lambda: 2)
    for workers, states in zip((0, 2), runs):
        for rank, state in enumerate(states):
            monkeypatch.setattr(processes, "rank", lambda rank=rank: rank)
            expected = [flat(epoch_of(dataset, epoch, workers)) for epoch in (0, 1)]
            assert state["got"] == flat(expected) and state["trainer"]["steps"] == 8
        first, second = (set(state["got"][:7]) for state in states)
        assert first | second == set(range(13)) and len(first & second) == 1
    (killed,) = together(folder, tmp_path / "killed", "2", "die")
    assert [state["trainer"]["epoch"] for state in killed] == [1, 1]
    (resumed,) = together(folder, tmp_path / "killed", "2")
    for ours, theirs in zip(resumed, runs[1]):
        assert ours["got"] == theirs["got"]
        assert_same(ours["trainer"], theirs["trainer"])


# --- damage -------------------------------------------------------------------------------------


def test_folders_that_are_no_shards_are_refused(shards, tmp_path):
    folder = shards["train"][0].file.parent
    index = folder / "shards.json"
    entries = json.loads(index.read_text())["shards"]
    del entries["val-000000.tar"]
    escaping = {**entries, "../train-000000.tar": entries["train-000000.tar"]}
    wrong = {**entries, "val-000000.tar": {"pairs": "many"}}
    lists = [json.dumps({"shards": each}) for each in (entries, escaping, wrong, [])]
    texts = ["", "[1]", '{"a": 1', "null", "{}", *lists]
    for text in texts:
        index.write_text(text)
        with pytest.raises(InputError, match=r"shards\.json: not a list of shards; write"):
            find_shards(folder)
    index.unlink()
    with pytest.raises(FileNotFoundError, match=r"tar files without shards\.json; unpack them"):
        find_shards(folder)


def test_incomplete_copy_is_refused_at_the_start(shards):
    folder, file = shards["train"][0].file.parent, shards["train"][1].file
    content = file.read_bytes()
    file.write_bytes(content[:-512])
    with pytest.raises(InputError, match=r"train-000001\.tar has 19968 bytes, not 20480 as listed"):
        find_shards(folder)
    file.unlink()
    with pytest.raises(FileNotFoundError, match=r"train-000001\.tar: no such shard, but shards"):
        find_shards(folder)
    file.write_bytes(content)
    (folder / "train-000005.tar").write_bytes(content)
    with pytest.raises(InputError, match=r"train-000005\.tar is not listed in shards\.json"):
        find_shards(folder)


def test_changed_byte_is_found_by_the_digest(shards):
    calls = []
    check_digests(shards["train"], lambda *call: calls.append(call))
    assert calls == [(done, 5) for done in range(1, 6)]
    file = shards["train"][2].file
    content = bytearray(file.read_bytes())
    content[-1] ^= 1
    file.write_bytes(content)
    with pytest.raises(InputError, match=r"train-000002\.tar is damaged: its SHA-256 has changed"):
        check_digests(shards["train"])


def cut(content: bytes) -> bytes:
    return content[:6000]


def zeroed(content: bytes) -> bytes:
    return content[:6000] + bytes(len(content) - 6000)


def broken_header(content: bytes, ending: bytes = b".b.bmp") -> bytes:
    """Overwrite the header of the last member of this kind; tarfile takes that for the end."""
    place = content.rindex(ending) // 512 * 512
    return content[:place] + b"#" * 512 + content[place + 512 :]


def lost_pair(content: bytes) -> bytes:
    return broken_header(content, b".a.png")


def no_tar(content: bytes) -> bytes:
    return b"#" * len(content)


def compressed(content: bytes) -> bytes:
    return b"\x1f\x8b\x08" + content[3:]


@pytest.mark.parametrize(
    "damage", [cut, zeroed, broken_header, lost_pair, no_tar, compressed, None]
)
@pytest.mark.parametrize("workers", [0, 2])
def test_damaged_shard_is_named_in_one_line(damage, workers, shards):
    dataset = ShardDataset(shards["train"], size=32)
    file = shards["train"][3].file
    if damage:
        file.write_bytes(damage(file.read_bytes()))
    else:
        file.unlink()
    with pytest.raises(InputError, match=r"train-000003\.tar") as caught:
        train_epoch(make_trainer(CONFIG, workers=workers), dataset, shown=False)
    words = str(caught.value)
    assert "\n" not in words and "Traceback" not in words and words.startswith(str(file))


def rewrite(shard, rename) -> None:
    """Write a shard again with other names for its members; those without a name are left out."""
    with tarfile.open(shard.file) as archive:
        members = [(m, archive.extractfile(m).read()) for m in archive.getmembers()]
    with tarfile.open(shard.file, "w") as archive:
        for member, content in members:
            member.name = rename(member.name)
            if member.name:
                member.size = len(content)
                archive.addfile(member, io.BytesIO(content))


def test_pair_without_its_partner_is_named(shards):
    one, other = shards["train"][:2]
    rewrite(one, lambda name: name if name.endswith(".a.png") else "")
    with pytest.raises(InputError, match="_street should have the files a and b, or ab, but has a"):
        list(read_shard(one))
    rewrite(other, lambda name: name.replace("_street.b.bmp", "_other.b.bmp"))
    with pytest.raises(InputError, match="should have the files a and b, or ab, but has a"):
        list(read_shard(other))


def test_damaged_picture_in_a_shard_is_named(shards):
    file = shards["train"][0].file
    content = file.read_bytes()
    file.write_bytes(content.replace(b"\x89PNG", b"\x89PNX", 1))
    with pytest.raises(InputError, match=r"000000\.tar/\d{8}_\d{3}_street\.a\.png: not a read"):
        list(epoch_of(ShardDataset(shards["train"], size=32), 0))


def test_name_of_a_folder_is_never_run_as_a_command(pairs, tmp_path, monkeypatch):
    """webdataset itself would run what follows `pipe:`."""
    monkeypatch.chdir(tmp_path)
    folder = Path("pipe:touch pwned; cat x")
    shards = write_shards(pairs, folder, 3)
    dataset = ShardDataset(find_shards(folder)["train"], size=32)
    assert len(flat(epoch_of(dataset, 0))) == 13 and len(shards) == 2
    assert not (tmp_path / "pwned").exists()
