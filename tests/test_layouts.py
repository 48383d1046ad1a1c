"""Finding the pairs of a dataset: real sets, rebuilt small with the names of the originals.

Names carry the meaning here, so most images are one small picture that runs on in the middle. What
the pixels tell about pairs side by side is tested with facades and photographs.
"""

import itertools
import os
import random
import unicodedata
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image, ImageDraw, ImageFilter

from pix2pix_lib import facades
from pix2pix_lib.data import read_pair, read_side
from pix2pix_lib.layouts import (
    Pair,
    Side,
    available_splits,
    describe,
    find_dataset,
    find_pairs,
    find_unpaired,
    sides,
)
from pix2pix_lib.naming import fits, role, split_folders, split_word
from pix2pix_lib.seams import look_at_seams, seam_strength
from pix2pix_lib.validation import InputError

REAL_FACADES = os.environ.get("REAL_FACADES_DIR")
WALK = np.random.default_rng(0).normal(0, 9, (2, 32, 40)).cumsum(axis=2).cumsum(axis=1)[0]
SMALL = Image.fromarray(np.uint8(255 * (WALK - WALK.min()) / np.ptp(WALK)))


def spread(pattern: str, *choices) -> list[str]:
    """Return a pattern with each combination of choices in place of its braces."""
    return [pattern.format(*chosen) for chosen in itertools.product(*choices)]


def put(root: Path, *names: str, pages: int = 1) -> Path:
    """Write a small picture under each name, or a text if it is no picture's."""
    for name in names:
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        if path.suffix in (".txt", ".csv", ".xml", ".json", ".heic", ".zip", ".tar", ".mat", ""):
            path.write_text("text")
        elif pages > 1:
            SMALL.save(path, save_all=True, append_images=[SMALL] * (pages - 1))
        else:
            SMALL.save(path)
    return root


def found_in(root: Path, **options) -> tuple[str, dict[str, int], tuple[str, str], str]:
    """Return layout, counts, the first pair, and all that is said, of a dataset."""
    found = find_dataset(root, **options)
    first = next(pairs[0] for pairs in found.splits.values() if pairs)
    names = tuple(file.relative_to(root).as_posix() for file in first.files)
    counts = {split: len(pairs) for split, pairs in found.splits.items()}
    return found.layout, counts, names, "; ".join([describe(found), *found.notes])


def refusal(root: Path, **options) -> str:
    """Return the one line with which a dataset is refused."""
    with pytest.raises((InputError, FileNotFoundError)) as error:
        find_dataset(root, **options)
    assert "\n" not in str(error.value)
    return str(error.value).replace(str(root), "ROOT")


CITIES = [
    ("train/aachen/aachen", range(3)),
    ("train/bochum/bochum", range(2)),
    ("val/ulm/ulm", range(2)),
]


def cityscapes(*kinds: str, top: str = "") -> list[str]:
    photos, labels = (f"{side}{top}/" for side in ("leftImg8bit", "gtFine"))
    names = []
    for city, numbers in CITIES:
        names += spread(photos + city + "_00000{}_000019_leftImg8bit.png", numbers)
        names += spread(labels + city + "_00000{}_000019_gtFine_{}.png", numbers, kinds)
        names += spread(labels + city + "_00000{}_000019_gtFine_polygons.json", numbers)
    return names


def drive(*folders: tuple[str, str], split: str, numbers: range) -> list[str]:
    return [
        f"DRIVE/{split}/{folder}/{number:02}_{ending.format(split)}"
        for folder, ending in folders
        for number in numbers
    ]


DRIVE = [("images", "{}.tif"), ("1st_manual", "manual1.gif")]
DRIVE_MASK = ("mask", "{}_mask.gif")
DRIVE_PLAIN = [
    *drive(*DRIVE, split="training", numbers=range(21, 25)),
    *drive(*DRIVE, split="test", numbers=range(1, 3)),
]
DRIVE_FULL = [
    *drive(*DRIVE, DRIVE_MASK, split="training", numbers=range(21, 25)),
    *drive(*DRIVE, DRIVE_MASK, ("2nd_manual", "manual2.gif"), split="test", numbers=range(1, 3)),
]
DRIVE_KAGGLE = [
    *drive(*DRIVE, DRIVE_MASK, split="training", numbers=range(21, 25)),
    *drive(DRIVE[0], DRIVE_MASK, split="test", numbers=range(1, 5)),
]
MEMBRANE = [
    *spread("train/{}/{}.png", ("image", "label"), range(4)),
    *spread("test/{}.png", range(3)),
]
CHASE = spread("Image_0{}{}.jpg", range(1, 4), "LR") + spread(
    "Image_0{}{}_1stHO.png", range(1, 4), "LR"
)
VOC = [
    *spread("VOCdevkit/VOC2012/JPEGImages/2007_0000{}.jpg", range(10, 16)),
    *spread("VOCdevkit/VOC2012/SegmentationClass/2007_0000{}.png", range(10, 13)),
    *spread("VOCdevkit/VOC2012/Annotations/2007_0000{}.xml", range(10, 16)),
    "VOCdevkit/VOC2012/ImageSets/Segmentation/train.txt",
]
HORSES = [
    *spread("trainA/n02381460_{}.jpg", (1001, 1002, 1007)),
    *spread("trainB/n02391049_{}.jpg", (1007, 3, 5, 6)),
    *spread("testA/n02381460_{}.jpg", (20, 40)),
    *spread("testB/n02391049_{}.jpg", (80,)),
]

# The files; the layout; how many pairs in each split; the first pair; words of what is said.
UNDERSTOOD = {
    "CamVid": (
        [*spread("{}{}/0001TP_{}.png", ("train", "val", "test"), ("", "annot"), range(3)), "a.txt"],
        "folders", {"train": 3, "val": 3, "test": 3},
        "train/0001TP_0.png", "trainannot/0001TP_0.png", ["left out: 1 .txt"],
    ),
    "membrane": (
        MEMBRANE, "folders", {"train": 4}, "train/image/0.png", "train/label/0.png",
        ["A as train/image/0.png, B as train/label/0.png", "left out: 3 images", "3 in test"],
    ),
    "membrane with augmented images": (
        MEMBRANE + spread("train/aug/{}_0_{}.png", ("image", "mask"), (40, 41, 57)),
        "folders", {"train": 4}, "train/image/0.png", "train/label/0.png", ["6 in train/aug"],
    ),
    "augmented images alone": (
        spread("{}_0_{}.png", ("image", "mask"), range(40, 44)),
        "names", {"": 4}, "image_0_40.png", "mask_0_40.png", ["A as image_0_40.png, B"],
    ),
    "DRIVE without its masks": (
        DRIVE_PLAIN, "folders", {"train": 4, "test": 2},
        "DRIVE/training/images/21_training.tif", "DRIVE/training/1st_manual/21_manual1.gif", [],
    ),
    "DRIVE with a second annotator in test": (
        DRIVE_PLAIN + drive(("2nd_manual", "manual2.gif"), split="test", numbers=range(1, 3)),
        "folders", {"train": 4, "test": 2},
        "DRIVE/training/images/21_training.tif", "DRIVE/training/1st_manual/21_manual1.gif",
        ["2 in DRIVE/test/2nd_manual"],
    ),
    "Cityscapes in colours": (
        cityscapes("color"), "folders", {"train": 5, "val": 2},
        "leftImg8bit/train/aachen/aachen_000000_000019_leftImg8bit.png",
        "gtFine/train/aachen/aachen_000000_000019_gtFine_color.png", ["left out: 7 .json"],
    ),
    "Cityscapes": (
        cityscapes("color", "labelIds", "instanceIds"), "folders", {"train": 5, "val": 2},
        "leftImg8bit/train/aachen/aachen_000000_000019_leftImg8bit.png",
        "gtFine/train/aachen/aachen_000000_000019_gtFine_color.png",
        ["the pictures in colour", "--a leftImg8bit/ --b labelIds", "left out: 14 images"],
    ),
    "Cityscapes as unpacked": (
        cityscapes("color", "labelIds", top="_trainvaltest"), "folders", {"train": 5, "val": 2},
        "leftImg8bit_trainvaltest/train/aachen/aachen_000000_000019_leftImg8bit.png",
        "gtFine_trainvaltest/train/aachen/aachen_000000_000019_gtFine_color.png", ["colour"],
    ),
    "facades of two folders": (
        spread("{}{}/{}.jpg", ("train", "val"), "AB", range(3)),
        "folders", {"train": 3, "val": 3}, "trainA/0.jpg", "trainB/0.jpg", [],
    ),
    "CMP base": (
        spread("base/cmp_b000{}.{}", range(1, 5), ("jpg", "png", "xml")),
        "cmp", {"": 4}, "base/cmp_b0001.jpg", "base/cmp_b0001.png", ["left out: 4 .xml"],
    ),
    "ADE20K": (
        spread("images/training/ADE_train_{}.jpg", range(4))
        + spread("annotations/training/ADE_train_{}.png", range(4))
        + spread("images/validation/ADE_val_{}.jpg", range(2))
        + spread("annotations/validation/ADE_val_{}.png", range(2)),
        "folders", {"train": 4, "val": 2},
        "images/training/ADE_train_0.jpg", "annotations/training/ADE_train_0.png", [],
    ),
    "satellite and map": (
        spread("{}/{}/{}.png", ("train", "val"), ("sat", "map"), range(3)),
        "folders", {"train": 3, "val": 3}, "train/sat/0.png", "train/map/0.png", [],
    ),
    "DeepGlobe": (
        [*spread("train/{}_{}", (119, 855), ("sat.jpg", "mask.png")), "valid/7_sat.jpg", "x.csv"],
        "names", {"train": 2}, "train/119_sat.jpg", "train/119_mask.png",
        ["val has 1 image of A (sat) and none of B (mask)", "left out: 1 .csv"],
    ),
    "medical cases": (
        spread("case_0{}_{}.png", range(4), ("img", "seg")),
        "names", {"": 4}, "case_00_img.png", "case_00_seg.png", [],
    ),
    "Carvana": (
        spread("train/{}_{}.jpg", ("0cdf5b", "fff9b3"), ("01", "02"))
        + spread("train_masks/{}_{}_mask.gif", ("0cdf5b", "fff9b3"), ("01", "02"))
        + ["test/1_01.jpg"],
        "folders", {"train": 4}, "train/0cdf5b_01.jpg", "train_masks/0cdf5b_01_mask.gif",
        ["test has 1 image of A"],
    ),
    "a folder for each sample": (
        spread("{}/{}.png", ("001", "002", "003"), ("image", "mask")),
        "names", {"": 3}, "001/image.png", "001/mask.png", [],
    ),
    "LOL": (
        spread("our485/{}/{}.png", ("low", "high"), (2, 5))
        + spread("eval15/{}/1.png", ("low", "high")),
        "folders", {"train": 2, "test": 1}, "our485/low/2.png", "our485/high/2.png",
        ["4 images of no split are taken as train"],
    ),
    "GoPro": (
        spread("{}/GOPR_{}/{}/00{}.png", ("train", "test"), ("07", "11"),
               ("blur", "sharp"), (1, 2)),
        "folders", {"train": 4, "test": 4},
        "train/GOPR_07/blur/001.png", "train/GOPR_07/sharp/001.png", [],
    ),
    "ISIC": (
        spread("ISIC2018_Task1-2_Training_Input/ISIC_{}.jpg", range(3))
        + spread("ISIC2018_Task1_Training_GroundTruth/ISIC_{}_segmentation.png", range(3)),
        "folders", {"train": 3}, "ISIC2018_Task1-2_Training_Input/ISIC_0.jpg",
        "ISIC2018_Task1_Training_GroundTruth/ISIC_0_segmentation.png", [],
    ),
    "KITTI semantics": (
        spread("training/{}/00000{}_10.png", ("image_2", "instance", "semantic_rgb"), range(3))
        + spread("testing/image_2/00000{}_10.png", range(3)),
        "folders", {"train": 3},
        "training/image_2/000000_10.png", "training/semantic_rgb/000000_10.png",
        ["--a image_2/ --b instance/", "test has 3 images of A"],
    ),
    "sketches with a mark of their own": (
        spread("photos/P_{}.jpg", range(3)) + spread("sketches/P_{}-sz1.jpg", range(3)),
        "folders", {"": 3}, "photos/P_0.jpg", "sketches/P_0-sz1.jpg", [],
    ),
    "Potsdam": (
        spread("2_Ortho_RGB/top_potsdam_2_{}_RGB.tif", range(10, 13))
        + spread("5_Labels_all/top_potsdam_2_{}_label.tif", range(10, 13)),
        "folders", {"": 3}, "2_Ortho_RGB/top_potsdam_2_10_RGB.tif",
        "5_Labels_all/top_potsdam_2_10_label.tif", [],
    ),
    "kinds of labels in folders": (
        spread("SYN/{}/00{}.png", ("RGB", "GT/COLOR", "GT/LABELS"), range(3)),
        "folders", {"": 3}, "SYN/RGB/000.png", "SYN/GT/COLOR/000.png", ["--b LABELS/"],
    ),
    "BDD": (
        spread("{}/{}/{}.jpg", ("images",), ("train", "val"), ("0a", "1b"))
        + spread("{}/{}/{}_train_id.png", ("labels",), ("train", "val"), ("0a", "1b")),
        "folders", {"train": 2, "val": 2},
        "images/train/0a.jpg", "labels/train/0a_train_id.png", [],
    ),
    "roads of Massachusetts": (
        spread("tiff/{}/{}_15.tiff", ("train", "val"), range(3))
        + spread("tiff/{}_labels/{}_15.tif", ("train", "val"), range(3)),
        "folders", {"train": 3, "val": 3}, "tiff/train/0_15.tiff", "tiff/train_labels/0_15.tif", [],
    ),
    "sides told by the files' names alone": (
        spread("one/00{}_image.png", range(3)) + spread("two/00{}_label.png", range(3)),
        "folders", {"": 3}, "one/000_image.png", "two/000_label.png", [],
    ),
    "depth by sequence": (
        spread("seq{}/{}/000{}.png", (1, 2), ("rgb", "depth"), range(2)),
        "folders", {"": 4}, "seq1/rgb/0000.png", "seq1/depth/0000.png", [],
    ),
    "grey and colour": (
        spread("landscapes/{}/{}.jpg", ("color", "gray"), range(3)),
        "folders", {"": 3}, "landscapes/gray/0.jpg", "landscapes/color/0.jpg", ["guessed"],
    ),
    "capitals and valid": (
        spread("{}/{}/{}.PNG", ("Train", "Valid"), ("Images", "Masks"), range(2)),
        "folders", {"train": 2, "val": 2}, "Train/Images/0.PNG", "Train/Masks/0.PNG", [],
    ),
    "SUIM": (
        spread("{}/images/d_{}_.jpg", ("train_val", "TEST"), range(3))
        + spread("{}/masks/d_{}_.bmp", ("train_val", "TEST"), range(3)),
        "folders", {"train": 3, "test": 3},
        "train_val/images/d_0_.jpg", "train_val/masks/d_0_.bmp", [],
    ),
    "BUSI": (
        spread("{0}/{0} ({1}){2}.png", ("benign",), range(1, 4), ("", "_mask")),
        "names", {"": 3}, "benign/benign (1).png", "benign/benign (1)_mask.png", [],
    ),
    "slices by patient": (
        spread("TCGA_{0}/TCGA_{0}_{1}{2}.tif", (41,), range(3), ("", "_mask"))
        + spread("TCGA_{0}/TCGA_{0}_{1}{2}.tif", (42,), range(3), ("", "_mask")),
        "names", {"": 6}, "TCGA_41/TCGA_41_0.tif", "TCGA_41/TCGA_41_0_mask.tif", [],
    ),
    "noisy phones": (
        spread("Data/{0}_S6/{0}_{1}_SRGB_010.PNG", ("0001",), ("GT", "NOISY"))
        + spread("Data/{0}_S6/{0}_{1}_SRGB_010.PNG", ("0002",), ("GT", "NOISY")),
        "names", {"": 2},
        "Data/0001_S6/0001_NOISY_SRGB_010.PNG", "Data/0001_S6/0001_GT_SRGB_010.PNG", [],
    ),
    "splits below kinds below a wrapper": (
        spread("set/{}/{}2017/{}", ("images",), ("train", "val"), ("1.jpg", "2.jpg"))
        + spread("set/{}/{}2017/{}", ("stuffmaps",), ("train", "val"), ("1.png", "2.png")),
        "folders", {"train": 2, "val": 2},
        "set/images/train2017/1.jpg", "set/stuffmaps/train2017/1.png",
        ["guessed"],
    ),
    "spaces": (
        spread("my set/{} of it/{} b.png", ("images", "masks"), range(2)),
        "folders", {"": 2}, "my set/images of it/0 b.png", "my set/masks of it/0 b.png", [],
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", UNDERSTOOD)
def test_a_real_set_is_understood(tmp_path, name):
    files, layout, counts, first_a, first_b, words = UNDERSTOOD[name]
    found = found_in(put(tmp_path, *files))
    assert found[:3] == (layout, counts, (first_a, first_b))
    for word in [f"layout {layout}: ", *words]:
        assert word in found[3], found[3]
    pairs = [pair for found in find_dataset(tmp_path).splits.values() for pair in found]
    assert len({file for pair in pairs for file in pair.files}) == 2 * len(pairs)


# The files, and words of the refusal.
REFUSED = {
    "DRIVE": (
        DRIVE_FULL,
        ["--a images/ --b 1st_manual/ or --a images/ --b mask/", "3 kinds", "mask/ (6 images)"],
    ),
    "DRIVE of Kaggle": (DRIVE_KAGGLE, ["--a images/ --b 1st_manual/", "--a images/ --b mask/"]),
    "CHASEDB1": (
        CHASE + spread("Image_0{}{}_2ndHO.png", range(1, 4), "LR"),
        ["--a .jpg --b _1stHO or --a .jpg --b _2ndHO"],
    ),
    "VOC": (VOC, ["2007_000013.jpg has no partner", "3 without", "add --skip-orphans"]),
    "VOC with objects": (
        VOC + spread("VOCdevkit/VOC2012/SegmentationObject/2007_0000{}.png", range(10, 13)),
        ["--a JPEGImages/ --b SegmentationClass/ or --a JPEGImages/ --b SegmentationObject/"],
    ),
    "horse2zebra": (HORSES, ["n02381460_1001.jpg has no partner in B/", "--system cyclegan"]),
    "boxes in text files": (
        spread("{}/train/{}", ("images",), ("1.jpg", "2.jpg"))
        + spread("{}/train/{}", ("labels",), ("1.txt", "2.txt")),
        ["single pictures", "no seam in the middle of 2 of 2 files", "left out: 2 .txt",
         "add --layout pairs"],
    ),
    "two seasons": (
        spread("{}/{}.jpg", ("summer", "winter"), range(3)),
        ["--a summer/ --b winter/", "say which"],
    ),
    "day and night in one folder": (
        spread("{}_{}.png", range(3), ("day", "night")), ["--a day --b night", "2 kinds"],
    ),
    "results of another program": (
        spread("images/{}_{}.png", range(3), ("real_A", "fake_B", "real_B")),
        ["--a real_A --b fake_B", "3 kinds"],
    ),
    "A, B and both": (
        spread("{}/{}.jpg", ("A", "B", "AB"), range(3)), ["--a A/ --b /B/", "AB/ (3 images)"],
    ),
    "three views": (spread("view_{}/{}.jpg", "abc", range(3)), ["3 kinds", "view_c/ (3 images)"]),
    "kinds of labels in folders, and depth": (
        spread("SYN/{}/00{}.png", ("RGB", "GT/ID", "GT/LABELS", "Depth"), range(3)),
        ["4 kinds", "--a RGB/ --b Depth/ or --a RGB/ --b ID/ or --a RGB/ --b LABELS/"],
    ),
    "two annotators": (
        spread("stare-images/im{}.ppm", range(3)) + spread("labels-ah/im{}.ah.ppm", range(3))
        + spread("labels-vk/im{}.vk.ppm", range(3)),
        ["--a stare-images/ --b labels-ah/ or --a stare-images/ --b labels-vk/"],
    ),
    "masks of single nuclei": (
        ["1/images/ae.png", "1/masks/x1.png", "1/masks/y2.png", "2/images/cd.png", "2/masks/z.png"],
        ["ae.png has no partner in masks/", "names are such as 1/masks/x1.png"],
    ),
    "photos of a phone": (
        spread("IMG_{}.heic", range(12)), ["12 .heic files cannot be read; convert them to PNG"],
    ),
    "heic among others": (
        [*spread("a/{}.jpg", range(3)), "b/0.png", "b/1.png", "b/2.heic"],
        ["2.jpg has no partner", "2.heic lies there, but .heic is not read"],
    ),
    "a side that train lacks": (
        [*spread("train/images/{}.png", range(3)), *spread("val/{}/1.png", ("images", "masks"))],
        ["train has 3 images of A (images/) and none of B (masks/)"],
    ),
    "scenes that differ by a number": (
        spread("images/scene1_{}.png", range(3)) + spread("masks/scene2_{}.png", range(3)),
        ["scene1_0.png has no partner", "scene2_0.png"],
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", REFUSED)
def test_what_names_do_not_tell_is_refused_with_a_remedy(tmp_path, name):
    files, words = REFUSED[name]
    text = refusal(put(tmp_path, *files))
    for word in words:
        assert word in text, text


# --- choosing the sides by hand -------------------------------------------------------------------

CHOICES = {
    "a folder": (
        DRIVE_FULL, "images/", "1st_manual/", {"train": 4, "test": 2}, "left out: 8 images",
    ),
    "an ending": (CHASE, ".jpg", "1stho", {"": 6}, "--a .jpg and --b 1stho tell the sides"),
    "one of two annotators": (
        CHASE + spread("Image_0{}{}_2ndHO.png", range(1, 4), "LR"),
        ".jpg", "_1stHO", {"": 6}, "left out: 6 images that belong to neither side",
    ),
    "turned round": (MEMBRANE, "label/", "image/", {"train": 4}, "left out: 3 images"),
    "several folders": (
        spread("{}/{}/x/{}.png", ("p", "q"), ("Left One", "two"), range(2)),
        "left one/x/", "two/x/", {"": 4}, "folders",
    ),
    "the longer text for A": (
        spread("im_{}{}.png", range(3), ("", "_old")), "_old.", "im_", {"": 3}, "names",
    ),
    "text within the names": (
        spread("ROI_{}_p{}.tif", ("s1", "s2"), range(3)), "_s1_", "_s2_", {"": 3}, "names",
    ),
    "one text within the other": (
        spread("im_{}{}.png", range(3), ("", "_old")), "im_", "_old", {"": 3}, "names",
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", CHOICES)
def test_sides_can_be_told_by_text(tmp_path, name):
    files, a, b, counts, words = CHOICES[name]
    _, found, first, said = found_in(put(tmp_path, *files), a=a, b=b)
    assert found == counts and words in said
    assert a.casefold() in first[0].casefold() and b.casefold() in first[1].casefold()


@pytest.mark.parametrize(
    "name", ["DRIVE", "CHASEDB1", "VOC with objects", "two seasons", "A, B and both"]
)
def test_the_flags_of_a_refusal_work(tmp_path, name):
    """Each pair of flags that a refusal offers is accepted."""
    text = refusal(put(tmp_path, *REFUSED[name][0]))
    flags = [flag.split() for flag in text.split("with ")[-1].split(" or ")]
    assert flags
    for _, a, _, b in flags:
        _, counts, first, _ = found_in(tmp_path, a=a, b=b, skip_orphans=True)
        assert a.strip("/") in first[0] and b.strip("/") in first[1] and sum(counts.values()) >= 2


def test_of_two_texts_in_a_path_the_rarer_one_counts(tmp_path):
    """STARE: every label's path contains .ppm too."""
    put(tmp_path, *(f"im{n:04d}{mark}.ppm" for n in range(4) for mark in ("", ".ah")))
    _, counts, first, _ = found_in(tmp_path, a=".ppm", b=".ah")
    assert counts == {"": 4} and first == ("im0000.ppm", "im0000.ah.ppm")


def test_zeros_before_a_number_tell_no_names_apart(tmp_path):
    put(
        tmp_path,
        *(f"images/{n}.png" for n in range(12)),
        *(f"masks/{n:03d}.png" for n in range(12)),
    )
    _, counts, first, _ = found_in(tmp_path)
    assert counts == {"": 12} and first == ("images/0.png", "masks/000.png")


def test_flags_that_do_not_fit_are_refused(tmp_path):
    put(tmp_path, *CHASE)
    assert "give both or none" in refusal(tmp_path, a=".jpg")
    assert "a path is Image_01L.jpg; give" in refusal(tmp_path, a=".jpg", b="3rd")
    assert "contains both --a image and --b mage_" in refusal(tmp_path, a="image", b="mage_")
    assert "in layout pairs each file has both" in refusal(tmp_path, a="x", b="y", layout="pairs")


# --- two images in one file -----------------------------------------------------------------------


def photograph(number: int, ratio: float = 1.0) -> Image.Image:
    """Return a piece of one of scikit-image's photographs, of this ratio of width to height."""
    from skimage import data

    dice = random.Random(number)
    makers = (
        data.astronaut,
        data.coffee,
        data.cat,
        data.camera,
        data.grass,
        data.brick,
        data.rocket,
    )
    image = Image.fromarray(makers[number % len(makers)]()).convert("RGB")
    width = int(dice.uniform(0.6, 1) * min(image.width, image.height * ratio))
    height = int(width / ratio)
    width = int(height * ratio)
    left, top = dice.randint(0, image.width - width), dice.randint(0, image.height - height)
    return image.crop((left, top, left + width, top + height))


def side_by_side(*pictures: Image.Image, size: int = 96) -> Image.Image:
    whole = Image.new("RGB", (size * len(pictures), size))
    for place, picture in enumerate(pictures):
        whole.paste(picture.convert("RGB").resize((size, size)), (size * place, 0))
    return whole


def facade(number: int) -> tuple[Image.Image, Image.Image]:
    pair = facades.make_pair(number, 64)
    return Image.fromarray(pair.photo), Image.fromarray(pair.label)


def outline(number: int) -> tuple[Image.Image, Image.Image]:
    """Return a drawing and a photo of a shoe, both on white, as edges2shoes has them."""
    sizes = random.Random(number)
    left, right = sizes.randint(20, 35), sizes.randint(60, 76)
    drawn, painted = (Image.new("RGB", (96, 96), "white") for _ in range(2))
    ImageDraw.Draw(drawn).ellipse((left, 40, right, 70), outline="black")
    ImageDraw.Draw(painted).ellipse((left, 40, right, 70), fill=(100, 60, number * 9))
    return drawn, painted


SIDE_BY_SIDE = {
    "photo and label map": lambda n: facade(n),
    "label map and photo": lambda n: facade(n)[::-1],
    "photo and photo": lambda n: (photograph(n), photograph(n + 1)),
    "grey and colour": lambda n: (photograph(n).convert("L"), photograph(n)),
    "blurred and sharp": lambda n: (
        photograph(n).filter(ImageFilter.GaussianBlur(2)),
        photograph(n),
    ),
    "edges and photo": lambda n: (photograph(n).filter(ImageFilter.FIND_EDGES), photograph(n)),
    "dark and bright": lambda n: (photograph(n).point(lambda value: value // 6), photograph(n)),
    "white borders": outline,
}


@pytest.mark.parametrize("mode", ["RGB", "L"])
@pytest.mark.parametrize("name", SIDE_BY_SIDE)
def test_pairs_side_by_side_are_seen(tmp_path, name, mode):
    for number in range(14):
        whole = side_by_side(*SIDE_BY_SIDE[name](number)).convert(mode)
        whole.save(tmp_path / f"{number}.jpg", quality=85)
    layout, counts, _, said = found_in(tmp_path)
    assert (layout, counts) == ("pairs", {"": 14})
    assert (
        "twice as wide" in said if name == "white borders" else "have a seam in the middle" in said
    )


@pytest.mark.parametrize("ratio", [4 / 3, 3 / 2, 1, 3 / 4, 2, 3])
def test_ordinary_photos_are_no_pairs(tmp_path, ratio):
    for number in range(14):
        photograph(number, ratio).save(tmp_path / f"{number}.jpg", quality=85)
    text = refusal(tmp_path)
    assert "single pictures" in text and "add --layout pairs" in text
    assert found_in(tmp_path, layout="pairs")[:2] == ("pairs", {"": 14})


def test_pairs_that_are_not_twice_as_wide_as_high_are_seen(tmp_path):
    for number in range(3):
        side_by_side(*facade(number)).resize((150, 40)).save(tmp_path / f"{number}.png")
    assert found_in(tmp_path)[0] == "pairs"


def test_an_odd_width_does_not_hide_a_seam(tmp_path):
    for number, width in enumerate((191, 192)):
        side_by_side(*facade(number)).crop((0, 0, width, 96)).save(tmp_path / f"{number}.png")
    assert found_in(tmp_path)[0] == "pairs"


def test_three_panels_are_to_be_cut(tmp_path):
    for number in range(4):
        panels = (*facade(number), photograph(number))
        side_by_side(*panels).save(tmp_path / f"{number}.png")
    assert "4 of 4 files look like three pictures side by side; cut them" in refusal(tmp_path)


def test_seams_speak_where_names_come_in_twos_without_words(tmp_path):
    for name in spread("image_{}_{}.png", range(3), ("day", "dusk")):
        side_by_side(*facade(len(name))).save(tmp_path / name)
    assert found_in(tmp_path)[:2] == ("pairs", {"": 6})


@pytest.mark.parametrize("kind", [np.uint8, np.uint16, np.float32])
def test_a_seam_is_measured_in_any_range_of_values(kind):
    values = np.random.default_rng(0).normal(0, 1, (2, 40, 64)).cumsum(axis=2)
    largest = {np.uint8: 255, np.uint16: 4095, np.float32: 0.01}[kind]
    whole = (largest * (values - values.min()) / np.ptp(values)).astype(kind)
    parts = np.concatenate([whole[:, :, :32], whole[:, ::-1, :32]], axis=2)
    assert seam_strength(whole, 32) < 0.25
    assert seam_strength(parts, 32) > 0.5
    assert seam_strength(np.zeros_like(whole), 32) == -1


def test_a_sample_is_spread_evenly(tmp_path):
    names = [f"{number:03}.png" for number in range(100)]
    put(tmp_path, *names)
    side_by_side(*facade(0)).save(tmp_path / "000.png")
    seams = look_at_seams([tmp_path / name for name in names])
    assert (seams.looked_at, seams.seams, seams.runs_on) == (16, 1, 15)


def test_a_stray_file_does_not_change_the_layout_of_pairs(tmp_path):
    for number in range(6):
        side_by_side(*facade(number)).save(tmp_path / f"{number}.png")
    side_by_side(*facade(0)).save(tmp_path / "0.jpg")
    text = refusal(tmp_path)
    assert "0.jpg and 0.png have one name; rename or remove one" in text


@pytest.mark.skipif(not REAL_FACADES, reason="the real facades need REAL_FACADES_DIR")
def test_the_real_facades_are_pairs_and_their_halves_are_not(tmp_path):
    assert found_in(Path(REAL_FACADES))[:2] == ("pairs", {"train": 360, "val": 40})
    for file in sorted((Path(REAL_FACADES) / "val").iterdir())[:16]:
        with Image.open(file) as image:
            image.crop((0, 0, image.width // 2, image.height)).save(tmp_path / file.name)
    assert "single pictures" in refusal(tmp_path)


# --- the three usual layouts, by auto and by name -------------------------------------------------


def save(path: Path, picture: Image.Image) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    picture.save(path)
    return path


# The folders of A and B under the dataset's root, and the split to ask for.
FOLDERS = {
    "a and b": ("a", "b", None),
    "A and B": ("A", "B", None),
    "trainA and trainB": ("trainA", "trainB", None),
    "train/a and train/b": ("train/a", "train/b", "train"),
    "train/A and train/B": ("train/A", "train/B", "train"),
    "split trainA and trainB": ("trainA", "trainB", "train"),
    "train_A and train_B": ("train_A", "train_B", "train"),
    "A_train and B_train": ("A_train", "B_train", "train"),
    "a/train and b/train": ("a/train", "b/train", "train"),
    "A/train and B/train": ("A/train", "B/train", "train"),
}


def check_found(root: Path, split: str | None, layout: str) -> None:
    """Check that both auto and the layout's name find the two facades, photo and label map."""
    for name in ("auto", layout):
        pairs = find_pairs(root, split, name)
        assert [pair.name for pair in pairs] == ["1", "2"]
        for number, pair in enumerate(pairs, start=1):
            image_a, image_b = read_pair(pair, "AtoB")
            photo, label = (np.asarray(picture) for picture in facade(number))
            assert np.array_equal(image_b.permute(1, 2, 0), label)
            difference = np.abs(image_a.permute(1, 2, 0).numpy().astype(float) - photo).mean()
            assert difference < (10 if pair.a.suffix == ".jpg" else 1e-9)  # JPEG; another: 40


@pytest.mark.parametrize("name", FOLDERS)
def test_two_folders_are_found_by_auto_and_by_name(tmp_path, name):
    folder_a, folder_b, split = FOLDERS[name]
    for number in (1, 2):
        photo, label = facade(number)
        save(tmp_path / folder_a / f"{number}.png", photo)
        save(tmp_path / folder_b / f"{number}.png", label)
    check_found(tmp_path, split, "folders")


@pytest.mark.parametrize("split", [None, "train"])
def test_pairs_side_by_side_are_found_by_auto_and_by_name(tmp_path, split):
    for number in (1, 2):
        save(tmp_path / (split or "") / f"{number}.png", side_by_side(*facade(number), size=64))
    check_found(tmp_path, split, "pairs")


@pytest.mark.parametrize("split", [None, "train"])
def test_jpg_beside_palette_png_is_found_by_auto_and_by_name(tmp_path, split):
    """Label maps as in the CMP archive: class indices in a PNG with a palette."""
    for number in (1, 2):
        photo, label = facade(number)
        folder = tmp_path / (split or "")
        folder.mkdir(exist_ok=True)
        photo.save(folder / f"{number}.jpg", quality=95)
        classes = Image.fromarray(facades.colour_to_classes(np.asarray(label)))
        classes.putpalette(facades.CLASS_COLOURS.tobytes())
        classes.save(folder / f"{number}.png")
    check_found(tmp_path, split, "cmp")


def test_the_endings_of_partners_may_differ_and_may_be_capital(tmp_path):
    put(tmp_path, "a/1.PNG", "b/1.bmp")
    assert find_pairs(tmp_path) == [Pair(tmp_path / "a" / "1.PNG", tmp_path / "b" / "1.bmp")]


def test_other_files_and_folders_are_no_images_and_hidden_ones_are_passed_over(tmp_path):
    put(tmp_path, "a/1.png", "b/1.png", "notes.txt", "README", "x.csv", "y.csv", "c/d.mat")
    put(tmp_path, "a/._1.png", "__MACOSX/a/2.png", ".git/3.png", "a/Thumbs.db.txt")
    (tmp_path / "Thumbs.db").touch()
    (tmp_path / "folder.png").mkdir()
    found = find_dataset(tmp_path)
    assert found.splits == {"": [Pair(tmp_path / "a" / "1.png", tmp_path / "b" / "1.png")]}
    assert found.notes == [
        "the folder folder.png is empty",
        "1 .mat file cannot be read; convert it to PNG or JPEG",
        "left out: 2 .csv, 2 .txt",
    ]


def test_pairs_come_in_the_order_of_their_names_whatever_their_endings(tmp_path):
    put(tmp_path, "2.png", "1 b.png", "1.jpg", "10.bmp")  # "1 b.png" < "1.jpg" as file names
    assert [pair.name for pair in find_pairs(tmp_path, layout="pairs")] == ["1", "1 b", "10", "2"]


def test_a_name_may_hold_dots(tmp_path):
    put(tmp_path, *spread("{}/house.v{}.png", "ab", (1, 2)))
    assert [pair.name for pair in find_pairs(tmp_path)] == ["house.v1", "house.v2"]


def test_names_that_look_equal_are(tmp_path):
    """Accents and Hangul are written in two forms, and capitals matter on some systems only."""
    names = ["é", "한", "Straße", "ﬁ", "ñ 1", "IMG"]
    for number, name in enumerate(names):
        put(tmp_path, f"images/{unicodedata.normalize('NFC', name)}.png")
        name = name.upper() if number % 2 else name
        put(tmp_path, f"masks/{unicodedata.normalize('NFD', name)}.png")
    assert found_in(tmp_path)[1] == {"": len(names)}


def test_splits_are_listed_in_their_usual_order_and_kept_apart(tmp_path):
    assert available_splits(tmp_path) == [] == available_splits(tmp_path / "nowhere")
    for split, count in (("test", 1), ("val", 2), ("train", 3)):
        put(tmp_path, *spread(split + "/{}/{}.png", "ab", range(count)))
    assert available_splits(tmp_path) == ["train", "val", "test"]
    assert [len(find_pairs(tmp_path, split)) for split in ("train", "val", "test")] == [3, 2, 1]
    train, val = ({pair.a for pair in find_pairs(tmp_path, split)} for split in ("train", "val"))
    assert not train & val


def test_the_shipped_sample_is_found_and_splits_share_no_picture():
    root = Path(__file__).parent.parent / "data" / "sample"
    splits = find_dataset(root).splits
    assert {split: len(pairs) for split, pairs in splits.items()} == {
        "train": 28,
        "val": 6,
        "test": 6,
    }
    contents = [pair.a.read_bytes() for pairs in splits.values() for pair in pairs]
    assert len(contents) == len(set(contents)) == 40


# --- splits and sides in names --------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "told"),
    {
        "train": ("train", ""), "Training": ("train", ""), "TR": ("train", ""),
        "valid": ("val", ""), "dev": ("val", ""), "eval15": ("test", "15"),
        "trainA": ("train", "A"), "B_test": ("test", "B"), "trainannot": ("train", "annot"),
        "masktrain": ("train", "mask"), "TestLabels": ("test", "Labels"), "val7": ("val", "7"),
        "train_val": ("train", ""), "21_training_mask": ("train", "21_mask"),
        "trainee": None, "valley": None, "contest": None, "tree": None, "train_test": None,
        "images": None,
    }.items(),
)  # fmt: skip
def test_words_for_splits(name, told):
    assert split_word(name) == told


def test_a_mark_stands_between_whole_tokens():
    assert fits(("", "_a"), "1_A") and fits(("", "a"), "1_A") and fits(("img", "a"), "IMG7a")
    assert not fits(("", "a"), "USA") and not fits(("1", ""), "12") and not fits(("a", "a"), "a")


def test_the_innermost_folder_tells_the_split():
    assert split_folders(["test_run", "train", "images"]) == ("train", ("test_run", "images"))
    assert split_folders(["train", "train_A"]) == ("train", ("A",))
    assert split_folders(["images"]) == ("", ("images",))


@pytest.mark.parametrize(
    ("side", "names"),
    {
        "A": ["leftImg8bit", "JPEGImages", "rgb", "A", "photo_A"],
        "B": ["gtFine", "SegmentationClass", "1st_manual", "label_images", "images_B", "facade B"],
        "": ["b44", "7a", "stHO", "summer", "real_mask", "aachen", "scan a and b"],
    }.items(),
)
def test_words_for_sides(side, names):
    assert {name: role(name) for name in names} == dict.fromkeys(names, side)


# --- pages ----------------------------------------------------------------------------------------


def test_the_pages_of_two_volumes_are_pairs(tmp_path):
    put(tmp_path, "train-volume.tif", "train-labels.tif", "test-volume.tif", pages=5)
    found = find_dataset(tmp_path)
    files = tmp_path / "train-volume.tif", tmp_path / "train-labels.tif"
    assert found.splits == {"train": [Pair(*files, page) for page in range(5)]}
    assert found.splits["train"][3].name == "train-volume_p003"
    assert found.notes == ["left out: test has 1 image of A (volume) and none of B (labels)"]
    assert sides(found.splits["train"])[1][4] == Side(files[1], page=4)


def test_unequal_numbers_of_pages_are_refused(tmp_path):
    put(tmp_path, "image/1.tif", pages=3)
    put(tmp_path, "label/1.gif")
    assert "1.tif holds 3 pages and ROOT/label/1.gif 1 page" in refusal(tmp_path)


def test_pages_of_pairs_side_by_side_and_of_domains(tmp_path):
    put(tmp_path / "pairs", "1.tif", pages=3)
    put(tmp_path / "domains", "trainA/1.tif", pages=3)
    put(tmp_path / "domains", "trainB/1_img.png", "trainB/1_mask.png")
    assert [pair.page for pair in find_pairs(tmp_path / "pairs", layout="pairs")] == [0, 1, 2]
    sides_a, sides_b = find_unpaired(tmp_path / "domains", "train")
    assert [side.page for side in sides_a] == [0, 1, 2] and len(sides_b) == 2


# --- mistakes -------------------------------------------------------------------------------------


@pytest.mark.parametrize(("orphan", "elsewhere"), [("a", "b"), ("b", "a")])
def test_an_image_without_a_partner_is_named_or_left_out_on_request(tmp_path, orphan, elsewhere):
    put(tmp_path, "a/1.png", "b/1.png", f"{orphan}/lone2.png", f"{orphan}/lone1.png")
    text = refusal(tmp_path)
    for words in (
        f"ROOT/{orphan}/lone1.png has no partner in {elsewhere}/",
        f"names are such as {elsewhere}/1.png (2 without",
        "add the partner, remove the file, or add --skip-orphans",
        "layout folders was taken, where A is a/ and B is b/",
    ):
        assert words in text, text
    found = find_dataset(tmp_path, skip_orphans=True)
    assert [pair.name for pair in found.splits[""]] == ["1"]
    assert found.notes[0].startswith("left out: 2 images that have no partner")


@pytest.mark.parametrize("orphan", ["3.jpg", "3.png"])
def test_a_cmp_image_without_a_partner_is_named(tmp_path, orphan):
    text = refusal(put(tmp_path, "1.jpg", "1.png", "2.jpg", "2.png", orphan))
    assert f"ROOT/{orphan} has no partner" in text and "layout cmp was taken" in text


def test_an_image_of_neither_side_is_not_passed_over(tmp_path):
    text = refusal(put(tmp_path, *spread("{}.{}", (1, 3), ("jpg", "png")), "2.bmp"))
    assert "ROOT/2.bmp is of neither side; 1 such file in all; convert" in text
    assert "layout cmp was taken" in text
    assert "left out: 1 image" in found_in(tmp_path, skip_orphans=True)[3]


@pytest.mark.parametrize("names", [("a/1.jpg", "a/1.png", "b/1.png"), ("1.jpeg", "1.jpg", "1.png")])
def test_two_files_of_one_name_are_refused(tmp_path, names):
    text = refusal(put(tmp_path, *names))
    assert f"ROOT/{names[0]} and {names[1]} have one name; rename or remove" in text


def test_two_files_of_one_name_in_pairs_are_refused(tmp_path):
    text = refusal(put(tmp_path, "1.bmp", "1.png"), layout="pairs")
    assert "ROOT/1.bmp and 1.png have one name" in text


def test_a_missing_folder_a_missing_split_and_an_empty_folder_are_named(tmp_path):
    assert refusal(tmp_path / "facade").startswith("ROOT: no such folder; give the folder that")
    text = refusal(tmp_path)
    assert "ROOT: no images in it; it holds nothing; put .png, " in text
    put(tmp_path, *spread("{}/{}/1.png", ("test", "val"), "ab"))
    with pytest.raises(FileNotFoundError, match=r"train: no such folder; .* holds test, val"):
        find_pairs(tmp_path, "train")
    with pytest.raises(FileNotFoundError, match="choose the split val or test"):
        find_pairs(tmp_path)


def test_a_folder_with_many_other_things_is_not_listed_in_full(tmp_path):
    text = refusal(put(tmp_path, *spread("{}.txt", range(9))))
    assert "0.txt, 1.txt, 2.txt, 3.txt, 4.txt and 4 more" in text


@pytest.mark.parametrize(
    ("layout", "words"),
    [
        ("folders", "no folders a and b (or trainA and trainB)"),
        ("names", "no names that agree but for a mark"),
        ("cmp", "no photos (.jpg) and label maps (.png) of the same names"),
    ],
)
def test_a_layout_that_is_not_there_says_what_it_looked_for(tmp_path, layout, words):
    text = refusal(put(tmp_path, "1.png"), layout=layout)
    assert words in text and "it holds 1.png; try another layout" in text


def test_an_unknown_layout_lists_the_known_ones(tmp_path):
    assert "layout must be one of auto, pairs, folders, names, cmp; got 'coco'" in refusal(
        tmp_path, layout="coco"
    )


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("good.zip", "an archive: unpack it"),
        ("s.tar", "layout shards"),
        ("x.png", "a file: give the"),
    ],
)
def test_a_file_instead_of_a_folder_is_told_apart(tmp_path, name, words):
    put(tmp_path, name)
    assert words in refusal(tmp_path / name)


def test_a_folder_that_may_not_be_read_is_named(tmp_path, monkeypatch):
    put(tmp_path, "a/1.png", "b/1.png")
    scandir = os.scandir

    def refuse(path):
        if str(path).endswith("b"):
            raise PermissionError(13, "Permission denied", str(path))
        return scandir(path)

    monkeypatch.setattr(os, "scandir", refuse)
    assert "ROOT/b: permission denied; make the folder readable" in refusal(tmp_path)


def test_links_are_followed_but_not_in_a_circle(tmp_path):
    put(tmp_path / "elsewhere", "1.png", "2.png")
    put(tmp_path / "set", "a/1.png", "a/2.png")
    (tmp_path / "set" / "b").symlink_to(tmp_path / "elsewhere", target_is_directory=True)
    (tmp_path / "set" / "again").symlink_to(tmp_path / "set", target_is_directory=True)
    found = find_dataset(tmp_path / "set")
    assert [pair.b.name for pair in found.splits[""]] == ["1.png", "2.png"] and not found.notes


def test_many_files_are_found_through_a_sample_of_their_names(tmp_path):
    for name in spread("{:05}_{}.png", range(2500), ("sat", "mask")):
        (tmp_path / name).touch()
    assert found_in(tmp_path)[:2] == ("names", {"": 2500})


# --- unpaired -------------------------------------------------------------------------------------


def test_two_folders_need_neither_equal_names_nor_equal_numbers(tmp_path):
    put(tmp_path, *HORSES)
    sides_a, sides_b = find_unpaired(tmp_path, "train")
    assert [side.file.name for side in sides_a] == [
        f"n02381460_{n}.jpg" for n in (1001, 1002, 1007)
    ]
    assert len(sides_b) == 4 and not any(side.half for side in [*sides_a, *sides_b])
    assert [len(domain) for domain in find_unpaired(tmp_path, "test")] == [2, 1]
    assert available_splits(tmp_path) == ["train", "test"]


def test_domains_without_words_are_told_by_text(tmp_path):
    put(tmp_path, *spread("summer/s{}.jpg", range(3)), *spread("winter/w{}.jpg", range(2)))
    found = find_unpaired(tmp_path, a="summer/", b="winter/")
    assert [len(domain) for domain in found] == [3, 2]


def test_pairs_are_taken_apart_into_their_sides(tmp_path):
    photo, label = facade(3)
    save(tmp_path / "wide" / "train" / "1.png", side_by_side(photo, label, size=64))
    put(tmp_path / "cmp" / "train", "1.jpg", "1.png")
    side_a, side_b = (found[0] for found in find_unpaired(tmp_path / "wide", "train"))
    for side, picture in ((side_a, photo), (side_b, label)):
        assert torch.equal(read_side(side).permute(1, 2, 0), torch.from_numpy(np.array(picture)))
    sides_b = sides(find_pairs(tmp_path / "cmp", "train"))[1]
    assert sides_b == [Side(tmp_path / "cmp" / "train" / "1.png")]


def test_a_missing_domain_is_named(tmp_path):
    put(tmp_path, *spread("trainA/{}.png", range(3)))
    (tmp_path / "trainB").mkdir()
    with pytest.raises(InputError, match="the folder trainB is empty"):
        find_unpaired(tmp_path, "train")
    with pytest.raises(FileNotFoundError, match="no such folder"):
        find_unpaired(tmp_path / "nowhere", "train")
