"""Real sets at the first command: trained rightly, or refused with what to do.

Each folder is a small copy of a public set: its names, modes, sizes' shapes and kinds of values.
"""

import json
import re

import numpy as np
import pytest
import tifffile
import torch
from PIL import Image

from pix2pix_lib import facades, prepare, train, translate
from pix2pix_lib.checkpoints import load_generator, read_card, read_checkpoint
from pix2pix_lib.images import read_image

TINY = [
    "--image-size", "32", "--depth", "4", "--base-channels", "4", "--disc-channels", "4",
    "--disc-layers", "1", "--epochs", "1", "--precision", "float32", "--device", "cpu",
]  # fmt: skip


def photo(seed: int, height: int = 48, width: int = 64) -> Image.Image:
    """Return an RGB picture with structure, another one for each seed."""
    picture = facades.make_pair(seed, 64).photo
    return Image.fromarray(picture).resize((width, height))


def classes_of(seed: int, height: int = 48, width: int = 64) -> np.ndarray:
    """Return the class numbers of that picture, (H, W) uint8 from 0 to 11."""
    numbers = facades.make_classes(seed, 64).astype(np.uint8)
    return np.asarray(Image.fromarray(numbers).resize((width, height), Image.Resampling.NEAREST))


def save(image: Image.Image | np.ndarray, path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    (image if isinstance(image, Image.Image) else Image.fromarray(image)).save(path)


def first_command(data, out, *flags) -> int:
    """Train as a newcomer would, but for the size of the network; returns the exit status."""
    return train.main(["--data", str(data), "--out", str(out), *TINY, *flags])


def refusal(capsys) -> str:
    lines = [line for line in capsys.readouterr().err.splitlines() if line.startswith("error: ")]
    assert len(lines) == 1
    return lines[0]


# --- CamVid: train and trainannot, class numbers in grey ----------------------------------------


@pytest.fixture
def camvid(tmp_path):
    root = tmp_path / "CamVid"
    for split, seeds in (("train", range(6)), ("val", range(6, 8)), ("test", range(8, 10))):
        for seed in seeds:
            name = f"0001TP_{seed:06d}.png"
            save(photo(seed, 36, 48), root / split / name)
            save(classes_of(seed, 36, 48), root / f"{split}annot" / name)
        lines = "".join(f"/SegNet/CamVid/{split}/0001TP_{seed:06d}.png\n" for seed in seeds)
        (root / f"{split}.txt").write_text(lines)
    return root


def test_camvid_trains_from_class_numbers(camvid, tmp_path, capsys):
    out = tmp_path / "out"
    assert first_command(camvid, out) == 0
    said = capsys.readouterr().out
    assert said.splitlines()[0].startswith("layout folders: ")
    assert "6 pairs to train on, 2 to validate on" in said
    assert "A (target): pictures, RGB" in said
    assert "B (input): label maps, 12 classes by numbers, shown as their colours" in said
    assert "--in-channels 12 gives each class a channel of its own" in said
    assert ".txt" in said  # left out, and said
    pairs = read_image(out / "pairs.png").float()
    assert pairs.std() > 20  # not an all but black input
    card = read_card(out / "generator.safetensors")
    assert len(card["input"]["classes"]) == 12 and card["target"]["classes"] == []


def test_camvid_one_channel_a_class_and_back_to_colours(camvid, tmp_path):
    out = tmp_path / "one_hot"
    assert first_command(camvid, out, "--in-channels", "12") == 0
    generator, config = load_generator(out / "generator.safetensors")
    assert (config.in_channels, config.out_channels) == (12, 3)
    assert next(generator.parameters()).shape[1] == 12
    out = tmp_path / "segmenter"
    assert first_command(camvid, out, "--direction", "AtoB", "--out-channels", "12") == 0
    weights, results = out / "generator.safetensors", tmp_path / "results"
    flags = ["--weights", str(weights), "--out", str(results), "--device", "cpu"]
    assert translate.main([*flags, "--input", str(camvid / "test")]) == 0
    made = read_image(results / "0001TP_000008.png")
    assert made.shape == (3, 36, 48)  # the size of the photo
    colours = {tuple(c) for c in made.permute(1, 2, 0).reshape(-1, 3).tolist()}
    assert colours <= {tuple(c) for c in read_card(weights)["target"]["colours"]}


def test_translate_reads_label_maps_as_the_training_did(camvid, tmp_path, capsys):
    out = tmp_path / "out"
    assert first_command(camvid, out) == 0
    flags = ["--weights", str(out), "--out", str(tmp_path / "results"), "--device", "cpu"]
    assert translate.main([*flags, "--input", str(camvid / "testannot")]) == 0
    save(classes_of(8) + 100, tmp_path / "strange" / "1.png")
    flags[3] = str(tmp_path / "others")
    assert translate.main([*flags, "--input", str(tmp_path / "strange")]) == 2
    assert "none of the 12 classes" in refusal(capsys)


# --- membranes (ISBI): image and label, grey; a test split without labels; volumes ---------------


def test_membranes_train(tmp_path, capsys):
    root = tmp_path / "membrane"
    for seed in range(6):
        save(photo(seed, 64, 64).convert("L"), root / "train" / "image" / f"{seed}.png")
        mask = (classes_of(seed, 64, 64) > 4).astype(np.uint8) * 255
        save(mask, root / "train" / "label" / f"{seed}.png")
        save(photo(seed + 50, 64, 64).convert("L"), root / "test" / f"{seed}.png")
    assert first_command(root, tmp_path / "out", "--direction", "AtoB") == 0
    said = capsys.readouterr().out
    assert "layout folders" in said and "5 pairs to train on, 1 to validate on" in said
    assert "B (target): label maps, 2 classes" in said
    assert "test" in said  # has no labels, which is said


def test_volumes_give_a_pair_for_each_page(tmp_path, capsys):
    root = tmp_path / "isbi"
    root.mkdir()
    slices = np.stack([np.asarray(photo(seed, 64, 64).convert("L")) for seed in range(5)])
    labels = np.stack([(classes_of(s, 64, 64) > 4).astype(np.uint8) * 255 for s in range(5)])
    for name, pages in (("train-volume", slices), ("train-labels", labels),
                        ("test-volume", slices)):  # fmt: skip
        tifffile.imwrite(root / f"{name}.tif", pages, photometric="minisblack")
    assert first_command(root, tmp_path / "out", "--direction", "AtoB") == 0
    assert "4 pairs to train on, 1 to validate on" in capsys.readouterr().out


# --- vessels (DRIVE): images, manual and mask; GIF and TIFF --------------------------------------


@pytest.fixture
def drive(tmp_path):
    root = tmp_path / "DRIVE"
    for split, word, seeds in (("training", "training", range(21, 27)), ("test", "test", range(3))):
        for seed in seeds:
            save(photo(seed, 58, 56), root / split / "images" / f"{seed:02d}_{word}.tif")
            vessels = Image.fromarray((classes_of(seed, 58, 56) > 4).astype(np.uint8) * 255)
            save(vessels, root / split / "1st_manual" / f"{seed:02d}_manual1.gif")
            eye = Image.new("L", (56, 58), 255)
            save(eye, root / split / "mask" / f"{seed:02d}_{word}_mask.gif")
    return root


def test_vessels_are_refused_with_the_flags_that_train_them(drive, tmp_path, capsys):
    """Which of two folders is the target cannot be known."""
    assert first_command(drive, tmp_path / "out") == 2
    words = refusal(capsys)
    assert "1st_manual" in words and "mask" in words and "--a " in words and "--b " in words
    flags = ["--a", "images/", "--b", "1st_manual/", "--direction", "AtoB"]
    assert first_command(drive, tmp_path / "out", *flags) == 0
    said = capsys.readouterr().out
    assert "6 pairs to train on, 3 to validate on" in said
    assert "mask" in said  # left out, and said


def test_vessels_without_the_eye_s_mask_train_at_the_first_command(drive, tmp_path, capsys):
    for split in ("training", "test"):
        for file in (drive / split / "mask").iterdir():
            file.unlink()
        (drive / split / "mask").rmdir()
    assert first_command(drive, tmp_path / "out", "--direction", "AtoB") == 0
    assert "6 pairs to train on, 3 to validate on" in capsys.readouterr().out


# --- Cityscapes: two trees, cities, several label maps for each photo ----------------------------


def test_cityscapes_trains_from_the_colour_maps(tmp_path, capsys):
    root = tmp_path / "cityscapes"
    colours = np.array([facades.CLASS_COLOURS[n] for n in range(12)], np.uint8)
    for split, cities in (("train", ("aachen", "bochum")), ("val", ("lindau",))):
        for number, city in enumerate(cities):
            for frame in range(2):
                seed = 10 * number + frame
                name = f"{city}_{frame:06d}_000019"
                image = root / "leftImg8bit" / split / city / f"{name}_leftImg8bit.png"
                save(photo(seed, 32, 64), image)
                labels = classes_of(seed, 32, 64)
                label = root / "gtFine" / split / city / f"{name}_gtFine_"
                save(Image.fromarray(colours[labels]).convert("RGBA"), label.with_name(
                    label.name + "color.png"))  # fmt: skip
                save(labels, label.with_name(label.name + "labelIds.png"))
                save(labels.astype(np.uint16) * 1000, label.with_name(
                    label.name + "instanceIds.png"))  # fmt: skip
                label.with_name(label.name + "polygons.json").write_text("{}")
    assert first_command(root, tmp_path / "out", "--image-size", "64x32") == 0
    said = capsys.readouterr().out
    assert "4 pairs to train on, 2 to validate on" in said and "color" in said
    assert "labelIds" in said and ".json" in said
    assert re.search(r"B \(input\): label maps, \d+ classes by colours", said)
    flags = ("--image-size", "64x32", "--a", "leftImg8bit.png", "--b", "labelIds.png")
    assert first_command(root, tmp_path / "numbers", *flags, "--in-channels", "12") == 0
    assert re.search(r"label maps, \d+ classes by numbers, shown as 12 ch", capsys.readouterr().out)


# --- shards -------------------------------------------------------------------------------------


@pytest.mark.parametrize("workers", ["0", "2"])
def test_shards_train_and_resume_exactly(camvid, tmp_path, capsys, monkeypatch, workers):
    shards = tmp_path / "shards"
    pack = ["shards", str(camvid), "--out", str(shards), "--pairs-per-shard", "2"]
    assert prepare.main(pack) == 0
    flags = ("--epochs", "2", "--workers", workers, "--in-channels", "12")
    assert first_command(shards, tmp_path / "whole", *flags) == 0
    said = capsys.readouterr().out
    assert "layout shards" in said and "6 pairs to train on, 2 to validate on" in said
    assert "B: label maps, 12 classes by numbers, shown as 12 channels, one a class" in said
    assert read_image(tmp_path / "whole" / "pairs.png").float().std() > 20

    def interrupted(trainer, *rest, **options):
        if trainer.epoch == 1:
            raise KeyboardInterrupt
        return train_epoch(trainer, *rest, **options)

    train_epoch = train.train_epoch
    monkeypatch.setattr(train, "train_epoch", interrupted)
    assert first_command(shards, tmp_path / "half", *flags) == 130
    monkeypatch.setattr(train, "train_epoch", train_epoch)
    assert train.main(["--resume", "--out", str(tmp_path / "half"), "--workers", workers]) == 0
    results = [tmp_path / name / "generator.safetensors" for name in ("whole", "half")]
    assert results[0].read_bytes() == results[1].read_bytes()


def test_what_does_not_go_with_shards_is_refused(camvid, tmp_path, capsys):
    shards = tmp_path / "shards"
    assert prepare.main(["shards", str(camvid), "--out", str(shards)]) == 0
    for flags, words in (
        (("--max-pairs", "3"), "--max-pairs does not apply to shards"),
        (("--system", "cyclegan", "--image-size", "64"), "CycleGAN reads no shards"),
    ):
        capsys.readouterr()
        command = ["--data", str(shards), "--out", str(tmp_path / "out"), "--device", "cpu"]
        assert train.main([*command, *flags]) == 2
        assert words in refusal(capsys)


# --- other values and bands ----------------------------------------------------------------------


def test_satellite_bands_to_a_map_and_heights_back(tmp_path, capsys):
    root = tmp_path / "fields"
    rng = np.random.default_rng(0)
    for seed in range(5):
        (root / "a").mkdir(parents=True, exist_ok=True)
        bands = rng.integers(0, 4000, (40, 40, 6)).astype(np.uint16)
        tifffile.imwrite(root / "a" / f"{seed}.tif", bands, photometric="minisblack",
                         planarconfig="contig")  # fmt: skip
        heights = np.asarray(photo(seed, 40, 40).convert("L")).astype(np.uint16) * 16
        save(heights, root / "b" / f"{seed}.png")
    out = tmp_path / "out"
    assert first_command(root, out, "--direction", "AtoB", "--out-channels", "1") == 0
    said = capsys.readouterr().out
    assert "A (input): pictures, 6 bands, values 0..4095" in said
    assert "B (target): pictures, grey, values 0..4095" in said
    flags = ["--weights", str(out), "--device", "cpu", "--input", str(root / "a")]
    assert translate.main([*flags, "--out", str(tmp_path / "made")]) == 0
    with Image.open(tmp_path / "made" / "0.png") as result:
        values = np.asarray(result)
        assert result.size == (40, 40) and result.mode == "I;16" and values.max() <= 4095


def test_range_can_be_told_and_the_card_keeps_it(tmp_path, capsys):
    root = tmp_path / "scans"
    for seed in range(4):
        scan = np.asarray(photo(seed, 40, 40).convert("L")).astype(np.uint16) * 9
        save(scan, root / "a" / f"{seed}.png")
        save(photo(seed, 40, 40), root / "b" / f"{seed}.png")
    out = tmp_path / "out"
    assert first_command(root, out, "--direction", "AtoB", "--a-range", "500:2000") == 0
    assert "values 500..2000" in capsys.readouterr().out
    assert read_card(out / "generator.safetensors")["input"]["high"] == 2000
    saved = read_checkpoint(out / "checkpoints" / "last.pt")["data"]
    assert saved["options"] == {"a_range": (500.0, 2000.0)}
    assert train.main(["--resume", "--out", str(out), "--epochs", "2"]) == 0
    assert read_card(out / "generator.safetensors")["input"]["low"] == 500


def test_pictures_that_use_a_corner_of_their_range_are_said(tmp_path, capsys):
    """Class numbers that were saved as JPEG are all but black, and no longer classes."""
    for seed in range(4):
        save(photo(seed, 40, 40), tmp_path / "set" / "a" / f"{seed}.png")
        save(classes_of(seed, 40, 40), tmp_path / "set" / "b" / f"{seed}.jpg")
    assert first_command(tmp_path / "set", tmp_path / "out") == 0
    said = capsys.readouterr().out
    note = re.search(r"note: values of side B lie in 0\.\.(\d+) only; --b-range (0:\d+)", said)
    assert 11 <= int(note[1]) < 30 and "side A lie" not in said
    flags = ("--b-range", note[2])
    assert first_command(tmp_path / "set", tmp_path / "spread", *flags) == 0
    assert "lie in" not in capsys.readouterr().out


# --- sizes ---------------------------------------------------------------------------------------


@pytest.fixture
def wide(tmp_path):
    root = tmp_path / "wide"
    for seed in range(5):
        save(photo(seed, 60, 100), root / "a" / f"{seed}.png")
        save(photo(seed, 60, 100).convert("L"), root / "b" / f"{seed}.png")
    return root


@pytest.mark.parametrize("mode", ["stretch", "crop", "fit", "scale-width", "none"])
def test_rectangles_train_and_translate_in_each_way_to_resize(wide, tmp_path, mode, capsys):
    out = tmp_path / "out"
    flags = ("--image-size", "64x32", "--resize", mode, "--direction", "BtoA")
    assert first_command(wide, out, *flags) == 0
    _, config = load_generator(out / "generator.safetensors")
    assert config.image_size == (32, 64) and config.resize == mode
    assert json.loads((out / "config.json").read_text())["image_size"] == [32, 64]
    capsys.readouterr()
    flags = ["--weights", str(out), "--device", "cpu", "--input", str(wide / "b")]
    assert translate.main([*flags, "--out", str(tmp_path / "made")]) == 0
    said = capsys.readouterr().out
    assert read_image(tmp_path / "made" / "0.png").shape == (3, 60, 100)
    scaled = {"stretch": "64x32", "crop": "64x38", "fit": "53x32", "scale-width": "64x38"}
    assert (f"at the scale of the training, as {scaled.get(mode)}" in said) == (mode != "none")
    assert train.main(["--resume", "--out", str(out), "--epochs", "2"]) == 0


def test_squashing_is_said_and_crop_says_nothing(wide, tmp_path, capsys):
    assert first_command(wide, tmp_path / "1") == 0
    assert "images of 100x60 (width x height) are stretched to 32" in capsys.readouterr().out
    assert first_command(wide, tmp_path / "2", "--resize", "crop") == 0
    assert "stretched" not in capsys.readouterr().out


def test_bad_sizes_are_refused(wide, tmp_path, capsys):
    for flags, words in (
        (("--image-size", "64x40"), "multiples of 16, but --image-size is 64x40; give 64x32"),
        (("--image-size", "128", "--resize", "none"), "smaller than the 128x128 to learn at"),
    ):
        assert first_command(wide, tmp_path / "out", *flags) == 2
        assert words in refusal(capsys)
    with pytest.raises(SystemExit, match="2"):
        first_command(wide, tmp_path / "out", "--image-size", "large")
    assert "expected pixels, as 256, or WIDTHxHEIGHT" in capsys.readouterr().err
    with pytest.raises(SystemExit, match="2"):
        first_command(wide, tmp_path / "out", "--a-range", "4095")
    assert "expected LOW:HIGH, as 0:4095; got '4095'" in capsys.readouterr().err


def test_larger_photos_are_translated_at_the_scale_of_the_training(wide, tmp_path):
    """The same scene in four times as many pixels gives nearly the same result."""
    out = tmp_path / "out"
    assert first_command(wide, out, "--direction", "BtoA", "--dropout", "0") == 0
    photo(3, 60, 100).convert("L").save(tmp_path / "small.png")
    photo(3, 60, 100).convert("L").resize((400, 240)).save(tmp_path / "large.png")
    made = {}
    for name, scale in (("small", "training"), ("large", "training"), ("large", "native")):
        flags = ["--weights", str(out), "--device", "cpu", "--input", f"{tmp_path}/{name}.png"]
        target = tmp_path / scale / name
        assert translate.main([*flags, "--out", str(target), "--scale", scale]) == 0
        result = Image.open(target / f"{name}.png")
        made[name, scale] = torch.from_numpy(np.asarray(result.resize((100, 60))).astype(float))
    near = (made["small", "training"] - made["large", "training"]).abs().mean()
    far = (made["small", "training"] - made["large", "native"]).abs().mean()
    assert near < 2 and far > 2 * near


def test_a_training_that_scaled_nothing_is_said_where_translate_would_scale(tmp_path, capsys):
    """A map of many tiles is no large tile: then the pixels should keep their scale."""
    for seed in range(4):
        save(photo(seed, 32, 32), tmp_path / "tiles" / "a" / f"{seed}.png")
        save(photo(seed, 32, 32).convert("L"), tmp_path / "tiles" / "b" / f"{seed}.png")
    out = tmp_path / "out"
    assert first_command(tmp_path / "tiles", out, "--dropout", "0") == 0
    assert read_card(out / "generator.safetensors")["image_shape"] == [32, 32]
    save(photo(0, 64, 96).convert("L"), tmp_path / "large.png")
    flags = ["--weights", str(out), "--device", "cpu", "--input", str(tmp_path / "large.png")]
    capsys.readouterr()
    assert translate.main([*flags, "--out", str(tmp_path / "1")]) == 0
    said = capsys.readouterr().out
    assert "96x64 is translated at the scale of the training, as 32x32" in said
    assert "--scale native keeps every pixel, as the training did" in said
    assert translate.main([*flags, "--out", str(tmp_path / "2"), "--scale", "native"]) == 0
    said = capsys.readouterr().out
    assert "96x64 is translated at its own scale; --scale training would make it 32x32" in said
    made = [read_image(tmp_path / name / "large.png") for name in "12"]
    assert not torch.equal(*made) and all(image.shape == (3, 64, 96) for image in made)


def test_an_exif_turn_of_one_side_is_said_even_where_both_are_square(tmp_path, capsys):
    turned = Image.Exif()
    turned[0x0112] = 6
    for seed in range(4):
        save(photo(seed, 32, 32), tmp_path / "set" / "a" / f"{seed}.jpg")
        save(photo(seed, 32, 32), tmp_path / "set" / "b" / f"{seed}.png")
    photo(2, 32, 32).save(tmp_path / "set" / "a" / "2.jpg", exif=turned)
    assert first_command(tmp_path / "set", tmp_path / "out") == 0
    said = capsys.readouterr().out
    assert "note: EXIF data turn one image of 1 pairs and not the other" in said
    assert "2.jpg" in said


# --- the data belong to the run; beginning from weights ------------------------------------------


def test_resume_needs_no_flag_and_refuses_other_data(camvid, tmp_path, capsys):
    out = tmp_path / "out"
    assert first_command(camvid, out, "--max-pairs", "4") == 0
    assert "4 pairs to train on" in capsys.readouterr().out
    assert train.main(["--resume", "--out", str(out), "--epochs", "2"]) == 0
    assert "4 pairs to train on" in capsys.readouterr().out
    extra = camvid / "train" / "0001TP_000005.png"
    extra.unlink()
    (camvid / "trainannot" / "0001TP_000005.png").unlink()
    assert train.main(["--resume", "--out", str(out), "--epochs", "3"]) == 2
    assert "belongs to a run with other data" in refusal(capsys)


def test_a_run_begins_with_the_weights_of_another(camvid, wide, tmp_path, capsys):
    first, second = tmp_path / "first", tmp_path / "second"
    assert first_command(camvid, first) == 0
    flags = ["--data", str(wide), "--out", str(second), "--epochs", "1", "--device", "cpu"]
    flags += ["--precision", "float32", "--direction", "BtoA", "--lr", "1e-9"]
    capsys.readouterr()
    begin = ["--init-from", str(first), "--image-size", "64x32", "--batch-size", "2"]
    assert train.main([*flags, *begin]) == 0
    assert "generator" in capsys.readouterr().out
    before, _ = load_generator(first / "generator.safetensors")
    after, _ = load_generator(second / "generator.safetensors")
    for old, new in zip(before.parameters(), after.parameters(), strict=True):
        assert torch.allclose(old, new, atol=1e-6)  # all but untouched at this rate
    flags[3] = str(tmp_path / "third")
    assert train.main([*flags, "--init-from", str(first), "--base-channels", "8"]) == 2
    assert "--base-channels" in refusal(capsys)
    assert train.main(["--resume", "--init-from", str(first), "--out", str(second)]) == 2
    assert "give one of them" in refusal(capsys)


def test_translate_takes_the_input_s_side_of_pairs(tmp_path, capsys):
    """Whole, a file with both would be translated as one picture."""
    data = facades.write_dataset(tmp_path / "pairs", {"train": 4, "val": 2}, 32)
    out = tmp_path / "out"
    assert first_command(data, out, "--direction", "AtoB") == 0
    flags = ["--weights", str(out), "--device", "cpu", "--input", str(data / "val")]
    capsys.readouterr()
    assert translate.main([*flags, "--out", str(tmp_path / "made")]) == 0
    assert "holds pairs (layout pairs): side A is translated" in capsys.readouterr().out
    results = sorted((tmp_path / "made").iterdir())
    assert [read_image(file).shape for file in results] == [(3, 32, 32)] * 2
    whole = [*flags, "--out", str(tmp_path / "whole"), "--layout", "images"]
    assert translate.main(whole) == 0
    assert read_image(tmp_path / "whole" / results[0].name).shape == (3, 32, 64)
