"""The painter: the generator answers a map, the discriminator judges the answer."""

import numpy as np
import pytest
import torch

from pix2pix_lib.explorers.designer import label_tensor
from pix2pix_lib.explorers.painter import SIZE, FacadePainter
from pix2pix_lib.facades import CLASS_NAMES, make_classes, split_seeds
from pix2pix_lib.images import to_pil
from pix2pix_lib.inference import translate


@pytest.fixture(scope="module")
def painter():
    return FacadePainter()


@pytest.fixture(autouse=True)
def from_the_start(painter):
    painter.reset()


def test_generator_answers_what_is_painted(painter):
    painted = make_classes(split_seeds("val", 1)[0], SIZE).copy()
    painted[40:60, 20:50] = CLASS_NAMES.index("door")
    view = painter.set(classes=painted.tobytes())
    expected = translate(painter.snapshot.generator, label_tensor(painted)[None])[0]
    label, answer = view.rows[0]
    assert np.array_equal(np.asarray(answer.image), np.asarray(to_pil(expected)))
    assert np.array_equal(np.asarray(label.image), np.asarray(to_pil(label_tensor(painted))))
    assert label.drawing == "classes" and answer.file == "facade.png"


def test_shares_are_those_of_the_pixels(painter):
    painted = np.zeros((SIZE, SIZE), np.uint8)
    painted[:32] = CLASS_NAMES.index("window")
    view = painter.set(classes=painted.tobytes())
    assert view.numbers["shares"]["window"] == 0.25
    assert view.text.startswith("Your map is 75% background, 25% window")


def test_another_facade_brings_its_own_map(painter):
    view = painter.set(facade=3)
    expected = make_classes(split_seeds("val", 4)[3], SIZE)
    assert painter.values["classes"] == expected.tobytes()
    painted = bytes(SIZE**2)
    assert painter.set(classes=painted).numbers["shares"]["background"] == 1
    painter.set(facade=3)  # it has not moved
    assert painter.values["classes"] == painted
    assert painter.reset().numbers != view.numbers and painter.values["facade"] == 0


def test_judge_says_what_the_discriminator_gives(painter):
    plain = painter.view.rows[0][1]
    view = painter.set(judge=True)
    classes = np.frombuffer(painter.values["classes"], np.uint8).reshape(SIZE, SIZE)
    real_a = label_tensor(classes)[None]
    with torch.no_grad():
        logits = painter.snapshot.discriminator(real_a, painter.fake_b(classes)[None])
    assert view.numbers["probability"] == pytest.approx(float(logits.sigmoid().mean()), abs=1e-6)
    assert f"mean probability of {view.numbers['probability']:.2f}" in view.text
    assert np.asarray(view.rows[0][1].image).shape == np.asarray(plain.image).shape
    assert not np.array_equal(np.asarray(view.rows[0][1].image), np.asarray(plain.image))


@pytest.mark.parametrize(
    ("wrong", "kind", "words"),
    [
        ("map", TypeError, "classes must be bytes"),
        (
            bytes(5),
            ValueError,
            "classes must be 16384 bytes from 0 to 11; got 5 with the largest 0",
        ),
        (bytes([12] * SIZE**2), ValueError, "got 16384 with the largest 12"),
    ],
)
def test_what_is_no_map_is_refused(painter, wrong, kind, words):
    with pytest.raises(kind, match=words):
        painter.set(classes=wrong)
