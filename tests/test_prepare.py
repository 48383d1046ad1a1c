"""The command that checks a folder of pairs, or makes one that train reads."""

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from skimage import color, feature, filters

from pix2pix_lib import making, prepare
from pix2pix_lib.facades import make_pair
from pix2pix_lib.facades.messy import messy_dataset
from pix2pix_lib.images import image_size, read_values
from pix2pix_lib.layouts import find_dataset, sides

SIZE = 64


@pytest.fixture(scope="module")
def facades() -> list[tuple[np.ndarray, np.ndarray]]:
    """Photos and label maps of twelve buildings."""
    pairs = [make_pair(seed, SIZE) for seed in range(12)]
    return [(pair.photo, pair.label) for pair in pairs]


@pytest.fixture
def folders(facades, tmp_path) -> Path:
    """A folder with photos in a and label maps in b."""
    root = tmp_path / "set"
    for number, (photo, label) in enumerate(facades):
        save(root / "a" / f"{number:02d}.jpg", photo)
        save(root / "b" / f"{number:02d}.png", label)
    return root


@pytest.fixture
def photos(facades, tmp_path) -> Path:
    """A folder with a photo and, in a subfolder, another that is no square."""
    save(tmp_path / "photos" / "first.png", facades[0][0])
    save(tmp_path / "photos" / "more" / "second.png", facades[1][0][:48])
    return tmp_path / "photos"


def save(path: Path, pixels: np.ndarray) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(pixels).save(path)


def run(*arguments) -> int:
    """Run the command in this process and return its exit status."""
    try:
        return prepare.main([str(argument) for argument in arguments])
    except SystemExit as leaving:
        return leaving.code


def contents(folder: Path) -> dict[str, bytes]:
    """Return the bytes of every file below a folder."""
    files = [file for file in folder.rglob("*") if file.is_file()]
    return {file.relative_to(folder).as_posix(): file.read_bytes() for file in files}


def error_of(capsys) -> str:
    """Return the one line that the command has written on stderr below its bars."""
    lines = [line for line in capsys.readouterr().err.splitlines() if "error:" in line]
    assert len(lines) == 1
    return lines[0]


def halves(file: Path) -> tuple[np.ndarray, np.ndarray]:
    pixels = np.asarray(Image.open(file))
    middle = pixels.shape[1] // 2
    return pixels[:, :middle], pixels[:, middle:]


# --- check --------------------------------------------------------------------------------------


def test_check_says_what_is_there_and_is_silent_about_good_pairs(folders, capsys):
    before = contents(folders)
    assert run("check", folders) == 0
    text = capsys.readouterr().out
    assert "layout folders" in text and "12 pairs, not split" in text
    assert "A: 64x64; 12 JPEG RGB" in text and "B: 64x64; 12 PNG RGB" in text
    assert text.endswith("nothing found that looks wrong\n")
    assert contents(folders) == before


def test_check_names_each_fault_of_a_messy_folder_and_shows_it(tmp_path, capsys):
    planted = messy_dataset(tmp_path / "messy")
    assert run("check", tmp_path / "messy", "--out", tmp_path / "report") == 1
    table = capsys.readouterr().out.split("what to do\n")[1]
    for kind, names in planted.items():
        row = next(line for line in table.splitlines() if line.startswith(kind))
        assert f" {len(names)}  {sorted(names)[0]}" in row or kind == "near-duplicates"
    report = json.loads((tmp_path / "report" / "check.json").read_text(encoding="utf-8"))
    assert report["layout"] == "folders" and report["pairs"] == {"train": 48, "val": 12}
    assert {each["kind"]: len(each["names"]) for each in report["findings"]} == {
        kind: len(names) for kind, names in planted.items()
    }
    with Image.open(tmp_path / "report" / "pairs.png") as sheet:
        assert sheet.size == (3 * 280, 8 * 174)  # 24 pairs


def test_check_names_orphans_and_looks_at_the_others(folders, capsys):
    (folders / "b" / "03.png").unlink()
    assert run("check", folders) == 1
    text = " ".join(capsys.readouterr().out.split())  # the table breaks lines
    assert "11 pairs" in text and "orphans" in text and "03.jpg has no partner" in text


def test_check_looks_at_the_first_pairs_if_it_is_asked_to(folders, capsys):
    assert run("check", folders, "--max-pairs", 3) == 0
    text = capsys.readouterr().out
    assert "looked at the first 3 of 12 pairs" in text and "A: 64x64; 3 JPEG RGB" in text


def test_check_goes_by_the_names_that_it_is_told(facades, tmp_path, capsys):
    for number, (photo, label) in enumerate(facades):
        save(tmp_path / "set" / "left" / f"{number}.png", photo)
        save(tmp_path / "set" / "right" / f"{number}.png", label)
    assert run("check", tmp_path / "set", "--a", "right/", "--b", "left/") == 0
    assert "--a right/ and --b left/ tell the sides" in capsys.readouterr().out


# --- split --------------------------------------------------------------------------------------


@pytest.mark.parametrize("layout", ["folders", "pairs"])
def test_split_copies_every_pair_once_and_byte_by_byte(folders, tmp_path, layout):
    if layout == "pairs":
        assert run("join", folders / "a", folders / "b", "--out", tmp_path / "joined") == 0
        folders = tmp_path / "joined"
    before, out = contents(folders), tmp_path / "out"
    assert run("split", folders, "--out", out, "--val", 0.25, "--test", 0.1) == 0
    found = find_dataset(out)
    assert found.layout == layout
    assert {split: len(pairs) for split, pairs in found.splits.items()} == {
        "train": 8, "val": 3, "test": 1,
    }  # fmt: skip
    copies = {}
    for name, content in contents(out).items():
        copies[name.split("/", 1)[1]] = content
    assert copies == before == contents(folders)


def test_split_depends_on_the_seed_only(folders, tmp_path):
    for name, seed in (("one", 0), ("same", 0), ("other", 1)):
        assert run("split", folders, "--out", tmp_path / name, "--seed", seed) == 0
    names = [sorted(contents(tmp_path / name)) for name in ("one", "same", "other")]
    assert names[0] == names[1] != names[2]


def test_split_by_scene_keeps_together_names_and_pictures_that_look_alike(facades, tmp_path):
    dice = np.random.default_rng(0)
    for number, (photo, label) in enumerate(facades):
        scene = f"{'abcdef'[number // 2]}x_{number:02d}"  # two pairs a scene
        save(tmp_path / "set" / "a" / f"{scene}.png", photo)
        save(tmp_path / "set" / "b" / f"{scene}.png", label)
    photo = facades[0][0].astype(int) + dice.integers(-5, 6, facades[0][0].shape)
    save(tmp_path / "set" / "a" / "again_1.png", photo.clip(0, 255).astype(np.uint8))
    save(tmp_path / "set" / "b" / "again_1.png", facades[0][1])
    for seed in range(6):
        out = tmp_path / f"out{seed}"
        options = ("--val", 0.3, "--by-scene", "--seed", seed)
        assert run("split", tmp_path / "set", "--out", out, *options) == 0
        place = {pair.name: split for split, ps in find_dataset(out).splits.items() for pair in ps}
        assert len(place) == 13
        for scene in ("ax_00 ax_01 again_1", "bx_02 bx_03", "fx_10 fx_11"):
            assert len({place[name] for name in scene.split()}) == 1
        assert list(place.values()).count("val") in (3, 4, 2)


def test_split_by_scene_of_plain_numbers_goes_by_looks(folders, tmp_path, capsys):
    assert run("split", folders, "--out", tmp_path / "out", "--by-scene") == 0
    assert "the names tell no scenes" in capsys.readouterr().out


def test_split_keeps_names_of_subfolders_apart(facades, tmp_path):
    for town in ("aachen", "bonn"):
        for number, (photo, label) in enumerate(facades[:5]):
            save(tmp_path / "set" / "images" / town / f"{number}.png", photo)
            save(tmp_path / "set" / "masks" / town / f"{number}.png", label)
    assert run("split", tmp_path / "set", "--out", tmp_path / "out") == 0
    pairs = [pair for part in find_dataset(tmp_path / "out").splits.values() for pair in part]
    assert len(pairs) == 10
    for pair in pairs:
        number = int(pair.name.rsplit("_", 1)[1])
        assert (np.asarray(Image.open(pair.a)) == facades[number][0]).all()
        assert (np.asarray(Image.open(pair.b)) == facades[number][1]).all()


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (("--val", 1.5), "shares"), (("--val", 0), "shares"), (("--val", -0.1), "shares"),
    ],
)  # fmt: skip
def test_split_refuses_shares_that_are_none(folders, tmp_path, capsys, options, words):
    assert run("split", folders, "--out", tmp_path / "out", *options) == 2
    assert words in error_of(capsys)
    assert not (tmp_path / "out").exists()


def test_split_refuses_a_set_that_is_split(tmp_path, capsys):
    messy_dataset(tmp_path / "messy")
    assert run("split", tmp_path / "messy", "--out", tmp_path / "out") == 2
    assert "split already, into train, val" in error_of(capsys)


def test_split_refuses_scenes_that_are_too_large(facades, tmp_path, capsys):
    for number, (photo, label) in enumerate(facades):
        scene = f"{'ab'[number % 2]}_{number:02d}"
        save(tmp_path / "set" / "a" / f"{scene}.png", photo)
        save(tmp_path / "set" / "b" / f"{scene}.png", label)
    assert run("split", tmp_path / "set", "--out", tmp_path / "out", "--by-scene") == 2
    assert "12 pairs of 2 scenes are too few for 0.1 as val" in error_of(capsys)


# --- join, edges, grey, shards ------------------------------------------------------------------


def test_join_loses_nothing_and_train_finds_the_sides(folders, facades, tmp_path):
    assert run("join", folders / "a", folders / "b", "--out", tmp_path / "out") == 0
    found = find_dataset(tmp_path / "out")
    assert found.layout == "pairs"
    for pair, (_, label) in zip(found.splits[""], facades, strict=True):
        photo, joined = halves(pair.a)
        assert (photo == np.asarray(Image.open(folders / "a" / f"{pair.name}.jpg"))).all()
        assert (joined == label).all()


def test_join_matches_names_with_a_mark_and_keeps_16_bits(tmp_path):
    deep = np.arange(32 * 32, dtype=np.uint16).reshape(32, 32) * 64
    for number in range(3):
        save(tmp_path / "scans" / f"{number}_scan.png", deep + number)
        save(tmp_path / "masks" / f"{number}_mask.png", deep.T + number)
    out = tmp_path / "out"
    assert run("join", tmp_path / "scans", tmp_path / "masks", "--out", out) == 0
    values = read_values(out / "2_scan.png")
    assert values.dtype == np.uint16
    assert (values[0] == np.concatenate([deep + 2, deep.T + 2], axis=1)).all()


def test_join_refuses_orphans_and_unequal_pairs(folders, tmp_path, capsys):
    command = ("join", folders / "a", folders / "b", "--out", tmp_path / "out")
    save(folders / "b" / "05.png", np.zeros((32, 64, 3), np.uint8))
    assert run(*command) == 2
    line = error_of(capsys)
    assert "05.jpg is 64x64" in line and "05.png is 64x32" in line
    (folders / "b" / "05.png").unlink()
    assert run(*command) == 2
    assert "05.jpg has no partner" in error_of(capsys)
    assert [path.name for path in tmp_path.iterdir()] == ["set"]


def test_join_refuses_names_that_differ_by_capitals_alone(facades, tmp_path, capsys):
    for folder, names in (("one", ("Ab", "aB")), ("other", ("ab", "AB"))):
        for name in names:
            save(tmp_path / folder / f"{name}.png", facades[0][0])
    assert run("join", tmp_path / "one", tmp_path / "other", "--out", tmp_path / "out") == 2
    assert "have one name; rename one" in error_of(capsys)


def test_edges_are_those_of_scikit_image_beside_the_photo(photos, facades, tmp_path):
    assert run("edges", photos, "--out", tmp_path / "out", "--sigma", 1) == 0
    for name, photo in (("first", facades[0][0]), ("more/second", facades[1][0][:48])):
        edges, right = halves(tmp_path / "out" / f"{name}.png")
        assert (right == photo).all()
        lines = feature.canny(color.rgb2gray(photo), sigma=1)
        assert (edges == np.where(lines, 0, 255)[:, :, None]).all() and lines.any()


def test_sobel_edges_are_the_darker_the_steeper(facades):
    steep = filters.sobel(filters.gaussian(color.rgb2gray(facades[0][0]), 2))
    drawn = making.draw_edges(facades[0][0], "sobel", 2).astype(int)
    assert np.abs((255 - drawn) / 255 - steep / steep.max()).max() < 0.003
    blank = np.full((16, 16, 3), 90, np.uint8)
    assert (making.draw_edges(blank, "sobel") == 255).all()


def test_grey_is_the_lightness_of_lab_beside_the_photo(photos, facades, tmp_path):
    assert run("grey", photos, "--out", tmp_path / "out") == 0
    grey, right = halves(tmp_path / "out" / "first.png")
    assert (right == facades[0][0]).all()
    assert np.ptp(grey, axis=2).max() == 0
    wanted = color.rgb2lab(facades[0][0])[:, :, 0] / 100
    assert np.abs(grey[:, :, 0] / 255 - wanted).max() < 0.003
    assert making.lightness(np.array([[[0, 0, 0], [255, 255, 255]]], np.uint8)).tolist() == [
        [0, 255]
    ]


def test_photos_are_shrunk_but_never_enlarged(photos, tmp_path):
    assert run("grey", photos, "--out", tmp_path / "out", "--size", 50) == 0
    sizes = [image_size(tmp_path / "out" / f"{name}.png") for name in ("first", "more/second")]
    assert sizes == [(50, 100), (48, 128)]


def test_shards_hold_the_pairs(folders, tmp_path):
    pytest.importorskip("webdataset")
    from pix2pix_lib.shards import find_shards, read_pairs

    assert run("shards", folders, "--out", tmp_path / "out", "--pairs-per-shard", 4) == 0
    shards = find_shards(tmp_path / "out")
    assert {split: sum(shard.pairs for shard in part) for split, part in shards.items()} == {
        "train": 10, "val": 2,
    }  # fmt: skip
    assert len(read_pairs(shards["train"])) == 10


# --- what all of them keep ----------------------------------------------------------------------

MAKING = {
    "split": lambda folders, photos: ("split", folders),
    "join": lambda folders, photos: ("join", folders / "a", folders / "b"),
    "edges": lambda folders, photos: ("edges", photos),
    "grey": lambda folders, photos: ("grey", photos),
    "shards": lambda folders, photos: ("shards", folders),
    "check": lambda folders, photos: ("check", folders),
}
each_command = pytest.mark.parametrize("arguments", MAKING.values(), ids=list(MAKING))


@each_command
def test_a_folder_that_holds_something_is_not_touched(
    folders, photos, tmp_path, capsys, arguments: Callable
):
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "mine.txt").write_text("mine")
    assert run(*arguments(folders, photos), "--out", tmp_path / "out") == 2
    assert f"{tmp_path / 'out'} is not empty; remove it" in error_of(capsys)
    assert contents(tmp_path / "out") == {"mine.txt": b"mine"}


@each_command
def test_an_empty_folder_is_filled(folders, photos, tmp_path, arguments: Callable):
    (tmp_path / "out").mkdir()
    assert run(*arguments(folders, photos), "--out", tmp_path / "out") == 0
    assert contents(tmp_path / "out")
    assert {path.name for path in tmp_path.iterdir()} == {"out", "set", "photos"}


@each_command
def test_a_folder_that_is_read_is_not_written_to(
    folders, photos, tmp_path, capsys, arguments: Callable
):
    command = arguments(folders, photos)
    before = contents(tmp_path)
    assert run(*command, "--out", command[1] / "new") == 2
    assert "which is only read" in error_of(capsys)
    assert contents(tmp_path) == before


@each_command
def test_an_interruption_leaves_nothing(
    folders, photos, tmp_path, monkeypatch, capsys, arguments: Callable
):
    def interrupt(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr("shutil.copyfile", interrupt)
    monkeypatch.setattr("PIL.Image.Image.save", interrupt)
    monkeypatch.setattr("pix2pix_lib.shards._write_shard", interrupt)
    assert run(*arguments(folders, photos), "--out", tmp_path / "out") == 130
    assert "interrupted" in capsys.readouterr().err
    assert {path.name for path in tmp_path.iterdir()} == {"set", "photos"}


def test_hidden_files_are_no_photos(photos, tmp_path):
    (photos / "._first.png").write_bytes(b"what a Mac leaves on foreign disks")
    assert run("grey", photos, "--out", tmp_path / "out") == 0
    assert sorted(contents(tmp_path / "out")) == ["first.png", "more/second.png"]


def test_a_damaged_photo_is_named_and_nothing_is_made(photos, tmp_path, capsys):
    (photos / "third.jpg").write_bytes(b"not a photo")
    assert run("edges", photos, "--out", tmp_path / "out") == 2
    assert "third.jpg: not a readable image" in error_of(capsys)
    assert {path.name for path in tmp_path.iterdir()} == {"photos"}


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ((), "COMMAND"),
        (("check", "nowhere"), "nowhere: no such folder"),
        (("grey", "nowhere", "--out", "x"), "nowhere: no such folder"),
        (("grey", ".", "--out", "x", "--size", "0"), "must be 1 or more"),
        (("edges", ".", "--out", "x", "--sigma", "-1"), "--sigma must be 0 or more"),
        (("edges", ".", "--out", "../x"), "no images in it"),
        (("join", ".", "--out", "x"), "B_DIR"),
    ],
)
def test_a_mistake_is_answered_in_one_line(
    tmp_path, monkeypatch, capsys, arguments: tuple, words: str
):
    (tmp_path / "empty").mkdir()
    monkeypatch.chdir(tmp_path / "empty")
    assert run(*arguments) == 2
    assert words in error_of(capsys)
    assert not list((tmp_path / "empty").iterdir())


def test_help_needs_no_heavy_library():
    code = (
        "import sys; from pix2pix_lib.prepare import make_parser; make_parser().format_help(); "
        "print([name for name in ('torch', 'scipy', 'skimage', 'PIL') if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"


def test_pairs_keep_their_sides_from_command_to_command(folders, facades, tmp_path):
    """Joined, split, packed: A stays A."""
    assert run("join", folders / "a", folders / "b", "--out", tmp_path / "joined") == 0
    assert run("split", tmp_path / "joined", "--out", tmp_path / "split") == 0
    for pairs in find_dataset(tmp_path / "split").splits.values():
        _, right = sides(pairs)
        for side in right:
            label = facades[int(side.file.stem)][1]
            assert side.half == "right" and (halves(side.file)[1] == label).all()
