"""The segmenter: its shapes, and what the shipped one reads."""

import pytest
import torch

from pix2pix_lib.checkpoints import SEGMENTER, load_segmenter, read_card, save_segmenter
from pix2pix_lib.evaluation import confusion_matrices, fcn_score
from pix2pix_lib.facades import CLASS_NAMES, facade_tensors, make_classes, split_seeds
from pix2pix_lib.segmenter import Segmenter


def test_each_pixel_gets_a_logit_per_class_and_each_picture_features():
    segmenter = Segmenter(classes=5, channels=(2, 3, 4, 6)).eval()
    images = torch.rand(2, 3, 16, 40)
    assert segmenter(images).shape == (2, 5, 16, 40)
    assert [tuple(level.shape[1:]) for level in segmenter.encode(images)] == [
        (2, 16, 40), (3, 8, 20), (4, 4, 10), (6, 2, 5),
    ]  # fmt: skip
    assert segmenter.features(images).allclose(segmenter.encode(images)[-1].mean(dim=(2, 3)))


def test_each_decoder_level_reads_the_maps_of_its_own_size():
    segmenter = Segmenter(channels=(2, 3, 4, 6))
    segmenter(torch.rand(2, 3, 16, 16)).sum().backward()
    assert all(p.grad is not None for p in segmenter.parameters())
    read = [convs[0].in_channels for convs in segmenter.decoder]
    assert read == [3 + 2, 4 + 3, 6 + 4]


def test_the_shipped_segmenter_reads_true_photos_and_not_those_of_others():
    seeds = list(split_seeds("test", 12))
    photos = torch.stack([facade_tensors(seed, 128)[1] for seed in seeds])
    classes = torch.stack([torch.from_numpy(make_classes(seed, 128)) for seed in seeds])
    segmenter = load_segmenter()
    assert not segmenter.training
    true = fcn_score(confusion_matrices(segmenter, photos, classes).sum(dim=0))
    assert true.pixel > 0.92 and true.class_accuracy > 0.82 and true.iou > 0.75
    others = fcn_score(confusion_matrices(segmenter, photos.roll(1, 0), classes).sum(dim=0))
    assert others.pixel < 0.5 and others.iou < 0.2


def test_the_shipped_segmenter_is_small_and_says_where_it_is_from():
    card = read_card(SEGMENTER)
    assert card["command"] == "python -m benchmarks.segmenter"
    assert card["classes"] == list(CLASS_NAMES)
    assert SEGMENTER.stat().st_size < 1_000_000


def test_a_segmenter_comes_back_as_it_was_saved(tmp_path):
    segmenter = Segmenter(3, (2, 3, 4, 6)).eval()
    save_segmenter(tmp_path / "s.safetensors", segmenter, {"licence": "none"})
    loaded = load_segmenter(tmp_path / "s.safetensors")
    images = torch.rand(1, 3, 16, 16)
    assert loaded(images).allclose(segmenter(images), atol=1e-2)  # 16-bit weights
    assert read_card(tmp_path / "s.safetensors")["licence"] == "none"


def test_missing_and_other_weights_are_refused(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"python -m benchmarks\.segmenter"):
        load_segmenter(tmp_path / "s.safetensors")
    generator = SEGMENTER.with_name("generator.safetensors")
    with pytest.raises(ValueError, match="holds a generator, not a segmenter"):
        load_segmenter(generator)
