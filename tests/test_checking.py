"""The checks of a folder of pairs: each fault is found where it was planted, and nowhere else."""

from collections.abc import Callable
from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest
from PIL import Image

from pix2pix_lib.checking import TESTS, check, same_pictures
from pix2pix_lib.facades import CLASS_COLOURS, make_pair
from pix2pix_lib.facades.messy import PLANTED, messy_dataset
from pix2pix_lib.layouts import Pair, find_dataset
from pix2pix_lib.looks import contact_sheet, flatness, look_at
from pix2pix_lib.making import draw_edges

SIZE, COUNT = 64, 20
Images = list[tuple[np.ndarray, np.ndarray]]


@pytest.fixture(scope="module")
def facades() -> Images:
    """Photos and label maps of twenty buildings."""
    pairs = [make_pair(seed, SIZE) for seed in range(COUNT)]
    return [(pair.photo, pair.label) for pair in pairs]


@pytest.fixture
def found(tmp_path) -> Callable:
    """Write pairs as PNG, check them, and return for each kind of finding its pairs' numbers."""

    def write_and_check(images: Images, ending: str = "png") -> dict[str, list[int]]:
        _, findings = check({"": write(tmp_path / "pairs", images, ending)})
        return {each.kind: [int(name) for name in each.names] for each in findings}

    return write_and_check


def write(folder, images: Images, ending: str = "png") -> list[Pair]:
    pairs = []
    for number, pair in enumerate(images):
        files = []
        for side, pixels in zip("ab", pair, strict=True):
            files.append(folder / side / f"{number}.{ending}")
            files[-1].parent.mkdir(parents=True, exist_ok=True)
            Image.fromarray(pixels).save(files[-1])
        pairs.append(Pair(*files))
    return pairs


def moved(pixels: np.ndarray, right: int, down: int) -> np.ndarray:
    """Move a picture; its edge fills what becomes free."""
    padded = np.pad(pixels, ((abs(down),) * 2, (abs(right),) * 2, (0, 0)), mode="edge")
    height, width = pixels.shape[:2]
    top, left = abs(down) - down, abs(right) - right
    return padded[top : top + height, left : left + width]


# --- as people have it --------------------------------------------------------------------------


@pytest.mark.parametrize("seed", [0, 1])
def test_all_planted_faults_are_found_and_no_others(tmp_path, seed):
    planted = messy_dataset(tmp_path / "messy", seed)
    assert {kind: len(names) for kind, names in planted.items()} == PLANTED | {
        "near-duplicates": 2 * PLANTED["near-duplicates"]
    }
    _, findings = check(find_dataset(tmp_path / "messy").splits)
    assert {each.kind: sorted(each.names) for each in findings} == {
        kind: sorted(names) for kind, names in planted.items()
    }
    assert all(each.message and each.remedy for each in findings)


def test_messy_dataset_is_the_same_for_the_same_seed_and_another_for_another(tmp_path):
    folders = [tmp_path / name for name in ("first", "again", "other")]
    planted = [messy_dataset(folder, seed) for folder, seed in zip(folders, (0, 0, 1))]
    contents = [
        {file.relative_to(folder): file.read_bytes() for file in folder.rglob("*.*")}
        for folder in folders
    ]
    assert planted[0] == planted[1] != planted[2]
    assert contents[0] == contents[1] != contents[2]
    with pytest.raises(FileExistsError, match="choose another folder"):
        messy_dataset(folders[0])


def test_messy_dataset_leaves_nothing_when_it_is_interrupted(tmp_path, monkeypatch):
    def interrupt(*_, **__):
        raise KeyboardInterrupt

    monkeypatch.setattr("pix2pix_lib.facades.messy._copy", interrupt)
    with pytest.raises(KeyboardInterrupt):
        messy_dataset(tmp_path / "messy")
    assert not list(tmp_path.iterdir())


# --- silence ------------------------------------------------------------------------------------


def test_pairs_without_a_fault_give_no_finding(facades, found):
    assert found(facades) == {}


def test_no_pair_and_one_pair_give_no_finding(facades, found):
    assert check({"": []}) == ([], [])
    assert found(facades[:1]) == {}


def test_sides_without_common_structure_give_no_finding(facades, found):
    dice = np.random.default_rng(0)
    noise = [dice.integers(0, 256, photo.shape, dtype=np.uint8) for photo, _ in facades]
    assert found([(photo, other) for (photo, _), other in zip(facades, noise)]) == {}


def test_sides_that_look_alike_are_not_called_swapped(facades, found):
    """Two photos of each building: either could be A."""
    others = [make_pair(seed, SIZE, photo_seed=1).photo for seed in range(COUNT)]
    assert found([(photo, other) for (photo, _), other in zip(facades, others)]) == {}


# --- which picture belongs where ----------------------------------------------------------------


def test_label_maps_that_slipped_by_one_are_found(facades, found):
    labels = [label for _, label in facades]
    slipped = labels[:8] + labels[9:15] + [make_pair(99, SIZE).label] + labels[15:]
    images = [(photo, label) for (photo, _), label in zip(facades, slipped, strict=True)]
    faults = found(images)
    assert list(faults) == ["wrong partners"]
    assert sorted(faults["wrong partners"]) == list(range(8, 15))


def test_a_whole_set_that_slipped_is_found(facades, found):
    images = [(photo, label) for (photo, _), (_, label) in pairwise(facades)]
    faults = found(images)
    assert list(faults) == ["wrong partners"]
    assert len(faults["wrong partners"]) > 0.7 * len(images)


def test_two_label_maps_that_were_exchanged_are_found(facades, found):
    images = list(facades)
    images[3], images[7] = (facades[3][0], facades[7][1]), (facades[7][0], facades[3][1])
    assert found(images) == {"wrong partners": [3, 7]}


def test_swapped_sides_are_found_whichever_side_is_which(facades, found):
    for images in (list(facades), [pair[::-1] for pair in facades]):
        wrong = [1, 4, 5, 9, 11, 18]
        for number in wrong:
            images[number] = images[number][::-1]
        assert found(images) == {"swapped sides": wrong}


@pytest.mark.parametrize(("right", "down"), [(2, 0), (-3, 1)])
def test_shift_of_the_whole_set_is_found_with_its_direction(facades, tmp_path, right, down):
    images = [(photo, moved(label, right, down)) for photo, label in facades]
    _, findings = check({"": write(tmp_path, images)})
    assert [each.kind for each in findings] == ["shift"]
    assert len(findings[0].names) == COUNT
    ways = [f"about {abs(right)} pixels {'right' if right > 0 else 'left'}"]
    ways += [f"about {down} pixels down"] * bool(down)
    assert findings[0].message == f"the whole set: B lies {' and '.join(ways)} of A"


def test_shift_of_one_pair_is_found(facades, found):
    images = list(facades)
    images[4] = images[4][0], moved(images[4][1], 4, -2)
    assert found(images) == {"shift": [4]}


@pytest.mark.parametrize(("method", "sigma"), [("canny", 2), ("canny", 1), ("sobel", 2)])
def test_lines_lie_where_the_edges_are(found, method, sigma):
    """Thin lines and broad ones have two flanks; neither is taken for a shift."""
    photos = [make_pair(seed, 128).photo for seed in range(COUNT)]
    lines = [np.stack([draw_edges(photo, method, sigma)] * 3, axis=2) for photo in photos]
    assert found(list(zip(lines, photos))) == {}
    if method == "canny":
        there = [(moved(edges, 4, 0), photo) for edges, photo in zip(lines, photos)]
        assert found(there) == {"shift": list(range(COUNT))}


def test_exif_turn_of_one_side_is_found_and_of_both_is_not(facades, tmp_path):
    pairs = write(tmp_path, facades[:3])
    exif = Image.Exif()
    exif[0x0112] = 6
    for file in (pairs[1].a, *pairs[2].files):
        with Image.open(file) as picture:
            picture.save(file, exif=exif)
    _, findings = check({"": pairs})
    assert [(each.kind, each.names) for each in findings] == [("EXIF turn", ("1",))]


@pytest.mark.parametrize("mirrored", [False, True])
def test_near_duplicates_across_splits_are_found(facades, tmp_path, mirrored):
    photo, label = (side[:, ::-1] if mirrored else side for side in facades[4])
    noise = np.random.default_rng(0).integers(-8, 9, photo.shape)
    copy = np.clip(photo.astype(int) + noise, 0, 255).astype(np.uint8), label
    train, val = write(tmp_path / "1", facades[:10]), write(tmp_path / "2", [*facades[10:], copy])
    _, findings = check({"train": train, "val": val})
    assert [(each.kind, each.names) for each in findings] == [
        ("near-duplicates", ("train/4", "val/10"))
    ]


def test_duplicates_within_a_split_are_no_leak(facades, found):
    assert found([*facades, facades[4]]) == {}


def test_one_label_map_with_two_photos_is_no_duplicate(facades, tmp_path):
    other = make_pair(0, SIZE, photo_seed=5)
    entries, _ = look_at({"": write(tmp_path, [facades[0], (other.photo, other.label)])})
    assert same_pictures(entries) == []


# --- what the pictures are like -----------------------------------------------------------------


def test_label_maps_of_jpeg_are_found_if_some_are_and_if_all_are(facades, tmp_path):
    some, large = write(tmp_path / "some", facades), []
    for pair in some[:3]:
        with Image.open(pair.b) as label:
            label.save(pair.b.with_suffix(".jpg"), quality=85)
    some[:3] = [Pair(pair.a, pair.b.with_suffix(".jpg")) for pair in some[:3]]
    for seed in range(3):
        pair = large_pair(seed)
        large += write(tmp_path / str(seed), [(pair.photo, pair.label)], "jpg")
    for pairs in (some, large):
        _, findings = check({"": pairs})
        assert [each.kind for each in findings] == ["JPEG label maps"]
        assert len(findings[0].names) == 3


def test_label_maps_that_were_jpeg_once_are_found_as_png(facades, tmp_path):
    pairs = write(tmp_path, [(pair.photo, pair.label) for pair in map(large_pair, range(3))])
    with Image.open(pairs[1].b) as label:
        label.save(tmp_path / "once.jpg", quality=90)
    with Image.open(tmp_path / "once.jpg") as label:
        label.save(pairs[1].b)
    _, findings = check({"": pairs})
    assert [(each.kind, each.names) for each in findings] == [("JPEG label maps", ("1",))]


def large_pair(seed: int):
    return make_pair(seed, 256)


def test_label_maps_are_found_if_all_were_resized_smoothly(tmp_path):
    images = []
    for pair in map(large_pair, range(3)):
        small = Image.fromarray(pair.label).resize((192, 192), Image.Resampling.BILINEAR)
        images.append((pair.photo[:192, :192], np.asarray(small)))
    _, findings = check({"": write(tmp_path, images)})
    assert [each.names for each in findings if each.kind == "smooth label maps"] == [
        ("0", "1", "2")
    ]


def test_masks_of_two_values_resized_smoothly_are_found(facades, found):
    """Few values, but those at the borders are of no class."""
    images = []
    for photo, label in facades:
        mask = (label[:, :, 0] > 100).astype(np.uint8) * 255
        images.append((photo, mask))
    small = Image.fromarray(images[6][1]).resize((32, 32), Image.Resampling.NEAREST)
    images[6] = images[6][0], np.asarray(small.resize((SIZE, SIZE), Image.Resampling.BILINEAR))
    assert found(images) == {"smooth label maps": [6]}


def test_label_maps_resized_smoothly_are_found_and_to_the_nearest_pixel_are_not(facades, found):
    images = list(facades)
    for number, filter in enumerate(
        [Image.Resampling.BILINEAR, Image.Resampling.BICUBIC, Image.Resampling.NEAREST]
    ):
        label = Image.fromarray(facades[number][1]).resize((48, 48), Image.Resampling.NEAREST)
        images[number] = facades[number][0], np.asarray(label.resize((SIZE, SIZE), filter))
    assert found(images) == {"smooth label maps": [0, 1]}


def test_flatness_of_a_border_that_was_made_smooth():
    """Two areas of known colours; a column between them holds mixtures in half of the rows."""
    picture = np.zeros((64, 64, 3), np.uint8)
    picture[:, 32:] = 200
    clean = flatness(picture)
    assert clean == replace(clean, areas=2, exact=2, wobble=0, mixed=0) and clean.is_label_map
    mixtures = np.repeat([40, 80, 120, 160], 8)
    picture[::2, 32] = mixtures[:, None]
    flat = flatness(picture)
    assert (flat.areas, flat.exact, flat.wobble) == (2, 6, 0)
    # A border is seen at the four middles whose neighbours at two pixels lie in the two areas; in
    # rows with a mixture it is one of them, and two are not seen, as the mixture is no area.
    assert flat.mixed == pytest.approx(32 / (32 * 4 + 32 * 3), abs=0.01)


def test_flatness_calls_no_photo_or_gradient_a_label_map(facades):
    ramp = np.linspace(0, 255, 256).astype(np.uint8)
    sky = np.stack([np.tile(ramp, (256, 1)), np.tile(ramp[:, None], (1, 256))], axis=2)
    sky = np.concatenate([sky, sky[:, :, :1]], axis=2)
    assert not flatness(sky).is_label_map
    steps = np.repeat(ramp[None], 256, axis=0).repeat(4, axis=1)  # flat, but a range of greys
    assert not flatness(np.stack([steps] * 3, axis=2)).is_label_map
    assert not any(flatness(photo).is_label_map for photo, _ in facades)


def test_class_numbers_and_12_bit_values_are_found(facades, tmp_path):
    pairs = []
    for number, (photo, label) in enumerate(facades[:3]):
        same = (label[:, :, None] == CLASS_COLOURS).all(axis=3)
        classes = same.argmax(axis=2).astype(np.uint8)
        deep = photo[:, :, 0].astype(np.uint16) * 16
        pairs += write(tmp_path / str(number), [(deep, classes)])
    _, findings = check({"": pairs})
    assert [each.kind for each in findings] == ["value range", "value range"]
    messages = [each.message for each in findings]
    assert "of 65535" in messages[0] and "12 bits" in messages[0] and messages[0].startswith("A ")
    assert "of 255" in messages[1] and "class numbers" in messages[1]


def test_floats_of_an_unusual_range_are_found_and_of_the_usual_are_not(facades, tmp_path):
    for high in (1, 3000):
        photo = facades[0][0][:, :, 0].astype(np.float32) / 255 * high
        files = tmp_path / f"a{high}.tif", tmp_path / f"b{high}.png"
        for file, pixels in zip(files, (photo, facades[0][1]), strict=True):
            Image.fromarray(pixels).save(file)
        _, findings = check({"": [Pair(*files)]})
        assert [each.kind for each in findings] == ["value range"] * (high == 3000)


def test_sizes_are_compared_within_pairs_and_within_the_set(facades, found):
    images = list(facades)
    images[1] = tuple(side[:48] for side in images[1])
    images[2] = images[2][0], images[2][1][:48]
    faults = found(images)
    assert faults["mixed sizes"] == [1]
    assert faults["unequal sides"] == [2]


def test_transparent_and_empty_pictures_are_found(facades, tmp_path):
    images = list(facades[:3])
    images[1] = np.full_like(images[1][0], 7), images[1][1]
    clear = np.full((SIZE, SIZE, 1), 255, np.uint8)
    opaque = np.concatenate([images[0][0], clear], axis=2)
    clear = clear.copy()
    clear[0] = 0
    images[0] = opaque, images[0][1]
    images[2] = np.concatenate([images[2][0], clear], axis=2), images[2][1]
    _, findings = check({"": write(tmp_path, images)})
    assert {each.kind: each.names for each in findings} == {"transparency": ("2",), "empty": ("1",)}


def test_a_damaged_file_is_one_finding_and_the_others_are_looked_at(facades, tmp_path):
    pairs = write(tmp_path, facades[:4])
    content = pairs[2].b.read_bytes()
    pairs[2].b.write_bytes(content[: len(content) // 2])
    done = []
    entries, findings = check({"": pairs}, lambda *progress: done.append(progress))
    assert [(each.kind, each.names) for each in findings] == [("unreadable", ("2",))]
    assert str(pairs[2].b) in findings[0].message
    assert len(entries) == 3 and done == [(1, 4), (2, 4), (3, 4), (4, 4)]


def test_pairs_of_one_name_in_several_folders_are_told_apart(facades, tmp_path):
    """As in sets with a folder for each town."""
    pairs = write(tmp_path / "x", facades[:1]) + write(tmp_path / "y", facades[1:3])
    entries, _ = look_at({"train": pairs})
    assert [entry.name for entry in entries] == [
        f"{tmp_path}/x/a/0", f"{tmp_path}/y/a/0", "train/1",
    ]  # fmt: skip


def test_contact_sheet_shows_the_pairs_in_rows_of_three(facades, tmp_path):
    entries, _ = look_at({"": write(tmp_path, facades[:4])})
    sheet = np.asarray(contact_sheet(entries, {"3": "shift"}))
    assert sheet.shape == (2 * 174, 3 * 280, 3)
    enlarged = facades[0][0].repeat(2, axis=0).repeat(2, axis=1)
    assert (sheet[6:134, 12:140] == enlarged).all()
    red = sheet[:, :, 0].astype(int) - sheet[:, :, 1] > 60
    assert red[174 + 140 :].any() and not red[140:174].any()  # below the pictures


def test_every_test_has_a_docstring_that_says_what_it_finds():
    assert all(test.__doc__.startswith("Find ") for test in TESTS)
