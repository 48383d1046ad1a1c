"""The command that measures generators: what it prints, writes and refuses."""

import csv
import json
import re

import pytest
import torch
from PIL import Image

from pix2pix_lib import evaluate, facades
from pix2pix_lib.checkpoints import save_generator
from pix2pix_lib.config import TrainConfig, make_generator
from pix2pix_lib.data import PairedDataset
from pix2pix_lib.evaluate import facade_classes, main
from pix2pix_lib.layouts import find_pairs

SMALL = TrainConfig(image_size=32, base_channels=4, depth=3, direction="BtoA")


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    """Label maps and photos, 12 to train on and 5 to test."""
    folder = tmp_path_factory.mktemp("data") / "facades"
    return facades.write_dataset(folder, {"train": 12, "test": 5}, 32, format="jpg")


@pytest.fixture(scope="module")
def weights(tmp_path_factory):
    return save(tmp_path_factory.mktemp("weights") / "small.safetensors", SMALL)


def save(path, config, seed=0):
    torch.manual_seed(seed)
    save_generator(path, make_generator(config), config)
    return path


def call(*arguments):
    return main([str(argument) for argument in arguments])


def test_table_holds_each_generator_and_its_controls(data, weights, tmp_path, capsys):
    other = save(tmp_path / "other.safetensors", SMALL, seed=1)
    out = tmp_path / "out"
    assert call("--weights", weights, other, "--data", data, "--out", out) == 0
    printed = capsys.readouterr().out
    scores = json.loads((out / "scores.json").read_text())
    assert list(scores) == [
        "small", "other", "true photos", "photos of other inputs", "blurred photos",
        "mean colours of classes",
    ]  # fmt: skip
    assert scores["true photos"]["L1"]["value"] == 0
    assert scores["true photos"]["SSIM"]["value"] == pytest.approx(1)
    assert "PSNR" not in scores["true photos"]  # infinite
    best = scores["true photos"]["pixel accuracy"]["value"]
    assert best > scores["photos of other inputs"]["pixel accuracy"]["value"]
    assert scores["small"]["diversity"]["value"] > 0
    for measures in scores.values():
        for measure in measures.values():
            if measure["low"] is not None:
                assert measure["low"] <= measure["value"] <= measure["high"]
    with (out / "scores.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    for row in rows:
        assert float(row["value"]) == scores[row["pictures"]][row["measure"]]["value"]
    assert len(rows) == sum(map(len, scores.values()))
    assert f"{scores['small']['class IoU']['value']:.3f}" in printed
    assert str(out / "report.html") in printed


def test_report_needs_no_other_file_and_shows_the_worst_first(data, weights, tmp_path):
    assert call("--weights", weights, "--data", data, "--out", tmp_path) == 0
    page = (tmp_path / "report.html").read_text()
    assert re.findall(r'src="(?!data:image/png;base64,)', page) == []
    assert "http" not in page
    worst = [float(x) for x in re.findall(r"<figcaption>pair \d+: ([\d.]+)", page)]
    assert len(worst) == 5 and worst == sorted(worst, reverse=True)


def test_own_pairs_get_the_measures_that_need_no_classes(tmp_path, capsys):
    """A grey input is no label map, and neither is a photo."""
    (tmp_path / "pairs" / "test").mkdir(parents=True)
    for number in range(4):
        picture = Image.effect_noise((64, 32), 40 + number).convert("RGB")
        picture.save(tmp_path / "pairs" / "test" / f"{number}.png")
    config = TrainConfig(image_size=32, base_channels=4, depth=3, in_channels=1, direction="AtoB")
    weights = save(tmp_path / "grey.safetensors", config)
    flags = ("--data", tmp_path / "pairs", "--layout", "pairs", "--out", tmp_path / "out")
    assert call("--weights", weights, *flags) == 0
    scores = json.loads((tmp_path / "out" / "scores.json").read_text())
    assert {"L1", "PSNR", "SSIM", "edges"} <= scores["grey"].keys()
    assert not {"pixel accuracy", "kernel distance"} & scores["grey"].keys()
    assert "mean colours of classes" not in scores


def test_classes_are_found_in_label_maps_only(data):
    pairs = PairedDataset(find_pairs(data, "test"), direction="BtoA", size=32, jitter=False)
    labels, photos = (torch.stack(side) for side in zip(*pairs))
    seeds = facades.split_seeds("test", 5)
    expected = torch.stack([torch.from_numpy(facades.make_classes(s, 32)).long() for s in seeds])
    assert (facade_classes(labels) == expected).float().mean() > 0.97  # JPEG moves a few
    assert facade_classes(photos) is None


def test_without_data_the_facades_of_the_test_split_are_drawn(weights, tmp_path):
    assert call("--weights", weights, "--count", 4, "--seeds", 1, "--out", tmp_path) == 0
    scores = json.loads((tmp_path / "scores.json").read_text())
    assert "pixel accuracy" in scores["small"] and "diversity" not in scores["small"]


def test_mean_colours_are_painted_over_all_pictures():
    classes = torch.tensor([[[0, 1]], [[0, 0]]])
    truth = torch.tensor([0.0, 0.9, 0.3, 0.6]).view(2, 1, 1, 2).expand(2, 3, 1, 2)
    painted = evaluate.paint_means(truth, classes)
    assert painted[0, 0, 0].tolist() == pytest.approx([0.3, 0.9])
    assert painted[1, 2, 0].tolist() == pytest.approx([0.3, 0.3])


def test_the_same_pictures_are_compared_in_halves(data, weights, tmp_path):
    """A set against itself would lie below what any other photos reach."""
    assert call("--weights", weights, "--data", data, "--out", tmp_path) == 0
    scores = json.loads((tmp_path / "scores.json").read_text())
    assert scores["true photos"]["Frechet distance"]["value"] > 1e-3


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--weights", "nowhere.safetensors"], "nowhere.safetensors: no such file"),
        (["--count", "1"], "--count must be at least 4; got 1"),
        (["--seeds", "0"], "--seeds must be at least 1; got 0"),
        (["--data", "nowhere"], "nowhere: no such folder"),
        (["--data", "only_train"], "only_train has only train"),
        (["--weights", "small.safetensors", "small.safetensors"], "names the same file twice"),
        (["--weights", "small.safetensors", "large.safetensors"], "image_size is 32 for small"),
        (["--device", "warp"], "device 'warp' cannot be used"),
    ],
)
def test_bad_input_is_one_line_and_leaves_nothing(
    arguments, words, data, weights, tmp_path, monkeypatch, capsys
):
    monkeypatch.chdir(tmp_path)
    save(tmp_path / "small.safetensors", SMALL)
    save(tmp_path / "large.safetensors", TrainConfig(image_size=64, base_channels=4, depth=3))
    (tmp_path / "only_train" / "train").mkdir(parents=True)
    Image.new("RGB", (64, 32)).save(tmp_path / "only_train" / "train" / "1.png")
    given = [] if "--weights" in arguments else ["--weights", "small.safetensors"]
    before = sorted(tmp_path.rglob("*"))
    assert call(*given, "--out", "out", *arguments) == 2
    output, errors = capsys.readouterr()
    assert words in errors and len(errors.strip().splitlines()) == 1 and output == ""
    assert sorted(tmp_path.rglob("*")) == before


def test_interrupted_it_writes_nothing(data, weights, tmp_path, monkeypatch, capsys):
    def interrupted(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr(evaluate, "translate", interrupted)
    out = tmp_path / "out"
    assert call("--weights", weights, "--data", data, "--out", out) == 130
    assert "interrupted" in capsys.readouterr().err and not out.exists()
