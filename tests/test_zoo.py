"""The zoo: trainings that go on after an interruption, and the generators that ship."""

import re
from pathlib import Path

import pytest

from benchmarks import zoo
from pix2pix_lib.checkpoints import load_generator
from pix2pix_lib.trained import FOLDER

README = (Path(__file__).parent.parent / "README.md").read_text(encoding="utf-8")


@pytest.fixture
def small_zoo(tmp_path, monkeypatch):
    """Trainings of four pairs and two epochs, in a folder of their own."""
    monkeypatch.setattr(zoo, "RUN", tmp_path / "zoo")
    monkeypatch.setattr(zoo, "SHIPPED", tmp_path / "shipped")
    monkeypatch.setattr(zoo, "SCORES", tmp_path / "shipped" / "scores.csv")
    monkeypatch.setattr(zoo, "FACADES", 4)
    monkeypatch.setattr(zoo, "HELD_OUT", 4)
    narrow = {"base_channels": 2, "disc_channels": 2, "detail_channels": 2, "epochs": 2}
    monkeypatch.setattr(zoo, "COMMON", zoo.COMMON | narrow)
    return tmp_path


def test_interrupted_training_goes_on_to_the_same_scores(small_zoo, monkeypatch, capsys):
    assert zoo.main(["l1_cgan", "--seeds", "1"]) == 0
    job = zoo.Job("l1_cgan", 0)
    straight = zoo.read_scores(job.scores)
    assert [row["step"] for row in straight] == ["4", "8"]

    monkeypatch.setattr(zoo, "RUN", small_zoo / "again")
    save = zoo.save_checkpoint

    def interrupted(path, trainer):
        if trainer.epoch == 2:
            raise KeyboardInterrupt
        save(path, trainer)

    monkeypatch.setattr(zoo, "save_checkpoint", interrupted)
    assert zoo.main(["l1_cgan", "--seeds", "1"]) == 130
    assert "the same command goes on" in capsys.readouterr().err
    monkeypatch.setattr(zoo, "save_checkpoint", save)
    assert zoo.main(["l1_cgan", "--seeds", "1"]) == 0
    assert zoo.read_scores(job.scores) == straight


def test_ship_writes_what_is_finished_and_nothing_else(small_zoo):
    zoo.main(["l1", "--seeds", "2"])
    unfinished = zoo.Job("gan", 0)
    zoo.write_scores(unfinished.scores, [{"model": "gan", "seed": 0, "step": 4}])
    zoo.ship()
    rows = zoo.read_scores(zoo.SCORES)
    assert [(row["model"], row["seed"], row["step"]) for row in rows] == [
        ("l1", seed, step) for seed in "01" for step in "48"
    ]
    assert [file.name for file in zoo.SHIPPED.glob("*.safetensors")] == ["l1.safetensors"]
    assert load_generator(zoo.SHIPPED / "l1.safetensors")[1] == zoo.Job("l1", 0).config


def test_shipped_training_is_kept_and_not_made_again(small_zoo, monkeypatch):
    zoo.main(["l1", "--seeds", "1"])
    zoo.ship()
    before = zoo.read_scores(zoo.SCORES)
    generator = (zoo.SHIPPED / "l1.safetensors").read_bytes()

    monkeypatch.setattr(zoo, "RUN", small_zoo / "another machine")
    zoo.main(["l1", "--seeds", "2"])
    assert [folder.name for folder in zoo.RUN.glob("l1-*")] == ["l1-1"]
    zoo.ship()
    rows = zoo.read_scores(zoo.SCORES)
    assert rows[:2] == before
    assert [(row["seed"], row["step"]) for row in rows[2:]] == [("1", "4"), ("1", "8")]
    assert (zoo.SHIPPED / "l1.safetensors").read_bytes() == generator


def test_nothing_is_shipped_before_a_training_has_come_to_its_end(small_zoo):
    zoo.SHIPPED.mkdir()
    (zoo.SHIPPED / "l1.json").write_text("{}")
    with pytest.raises(SystemExit, match=r"run `python -m benchmarks\.zoo`"):
        zoo.ship()
    assert (zoo.SHIPPED / "l1.json").is_file()


def test_unknown_model_names_the_known_ones(capsys):
    with pytest.raises(SystemExit):
        zoo.main(["l2"])
    assert "no such model: l2; there are l1, gan, cgan" in capsys.readouterr().err


@pytest.mark.parametrize("model", zoo.MODELS)
def test_shipped_generator_is_the_one_that_the_zoo_describes(model):
    _, config = load_generator(FOLDER / "zoo" / f"{model}.safetensors")
    assert config == zoo.Job(model, 0).config


@pytest.mark.parametrize("model", ["l1", "l1_cgan"])
def test_shipped_generator_has_the_scores_of_the_table(model):
    generator, config = load_generator(FOLDER / "zoo" / f"{model}.safetensors")
    now = zoo.HeldOut().scores(generator)
    step = str(config.epochs * zoo.FACADES)
    (row,) = (
        row
        for row in zoo.read_scores(zoo.SCORES)
        if (row["model"], row["seed"], row["step"]) == (model, "0", step)
    )
    for kind, value in now.items():
        assert value == pytest.approx(float(row[kind]), abs=0.005), kind


def test_readme_has_the_means_over_the_seeds():
    lines = re.findall(r"^\| `(\w+)` \|(.*)\|$", README, flags=re.MULTILINE)
    table = {name: cells for name, cells in lines if name in zoo.MODELS}
    assert list(table) == list(zoo.MODELS)
    rows = zoo.read_scores(zoo.SCORES)
    last = max(int(row["step"]) for row in rows)
    for name, cells in table.items():
        ours = [row for row in rows if row["model"] == name and int(row["step"]) == last]
        means = [sum(float(row[kind]) for row in ours) / len(ours) for kind in zoo.KINDS]
        written = [float(number) for number in re.findall(r"(?<![\d.])\.\d\d\d(?!\d)", cells)[:3]]
        assert written == pytest.approx(means, abs=0.00051), name
