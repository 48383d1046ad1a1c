"""The measures of generated pictures, held equal to independent libraries and closed forms."""

import math

import numpy as np
import pytest
import torch
from sklearn.metrics import balanced_accuracy_score, jaccard_score
from sklearn.metrics import confusion_matrix as sklearn_confusion
from torchmetrics.functional.image import (
    peak_signal_noise_ratio,
    structural_similarity_index_measure,
)
from torchmetrics.image.fid import FrechetInceptionDistance
from torchmetrics.image.kid import KernelInceptionDistance

from pix2pix_lib import evaluation as ev
from pix2pix_lib.images import to_float


def dice(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


@pytest.fixture
def labels():
    """Two random class maps that agree at most places; class 5 of 6 is in neither."""
    truth = torch.randint(0, 5, (3, 8, 9), generator=dice())
    other = torch.randint(0, 5, (3, 8, 9), generator=dice(1))
    agree = torch.rand(3, 8, 9, generator=dice(2)) < 0.6
    return truth, torch.where(agree, truth, other)


@pytest.fixture
def images():
    """Eight pictures with edges, 8-bit values in [-1, 1]."""
    blocks = torch.randint(0, 256, (8, 3, 8, 8), generator=dice(), dtype=torch.uint8)
    return to_float(blocks.repeat_interleave(4, dim=2).repeat_interleave(4, dim=3))


@pytest.fixture
def noisy(images):
    noise = torch.randint(-20, 21, images.shape, generator=dice(3)) / 127.5
    return (images + noise).clamp(-1, 1)


# FCN-score


def test_confusion_matrix_is_that_of_scikit_learn(labels):
    truth, predicted = labels
    expected = sklearn_confusion(truth.flatten(), predicted.flatten(), labels=range(6))
    found = ev.confusion_matrix(truth, predicted, 6)
    assert np.array_equal(found, expected)
    assert not np.array_equal(found, expected.T)  # the two axes are not alike here


def test_scores_are_those_of_scikit_learn(labels):
    truth, predicted = (side.flatten().numpy() for side in labels)
    score = ev.fcn_score(ev.confusion_matrix(*labels, 6))
    assert score.pixel == pytest.approx((truth == predicted).mean())
    assert score.class_accuracy == pytest.approx(balanced_accuracy_score(truth, predicted))
    assert score.iou == pytest.approx(jaccard_score(truth, predicted, average="macro"))


def test_scores_by_hand():
    """Class 0: 3 of 4 pixels right; class 1: 1 of 2; class 2 is not asked for, but found once."""
    confusion = torch.tensor([[3, 1, 0], [0, 1, 1], [0, 0, 0]])
    score = ev.fcn_score(confusion)
    assert score.pixel == pytest.approx(4 / 6)
    assert score.class_accuracy == pytest.approx((3 / 4 + 1 / 2) / 2)
    assert score.iou == pytest.approx((3 / 4 + 1 / 3) / 2)


def test_matrices_are_summed_before_scores_are_taken(labels):
    truth, predicted = labels
    each = torch.stack([ev.confusion_matrix(t, p, 6) for t, p in zip(truth, predicted)])
    assert torch.equal(each.sum(dim=0), ev.confusion_matrix(truth, predicted, 6))


def test_segmenter_reads_each_picture_alone():
    class Brightness(torch.nn.Module):
        def forward(self, image):
            assert len(image) == 1
            return torch.cat([-image[:, :1], image[:, :1]], dim=1)

    images = torch.tensor([-0.5, 0.5]).view(2, 1, 1, 1).expand(2, 3, 4, 4)
    truth = torch.ones(2, 4, 4, dtype=torch.long)
    found = ev.confusion_matrices(Brightness(), images, truth, 2)
    assert found.tolist() == [[[0, 0], [16, 0]], [[0, 0], [0, 16]]]


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda: ev.confusion_matrix(torch.zeros(2, 2), torch.zeros(2, 3), 3), "shapes differ"),
        (lambda: ev.confusion_matrix(torch.tensor([3]), torch.tensor([0]), 3), "truth must be in"),
        (lambda: ev.confusion_matrix(torch.tensor([0]), torch.tensor([-1]), 3), "predicted must"),
        (lambda: ev.fcn_score(torch.zeros(3, 3)), "empty"),
        (lambda: ev.pixel_l1(torch.zeros(2, 3, 4, 4), torch.zeros(1, 3, 4, 4)), "differ in shape"),
        (lambda: ev.psnr(torch.zeros(2, 3, 4, 4), torch.zeros(2, 3, 4, 5)), "differ in shape"),
        (lambda: ev.kernel_distance(torch.zeros(1, 4), torch.zeros(9, 4)), "at least two"),
        (lambda: ev.frechet_distance(torch.zeros(9, 4), torch.zeros(1, 4)), "at least two"),
        (lambda: ev.diversity(torch.zeros(1, 3, 3, 4, 4)), "at least two"),
    ],
)
def test_what_cannot_be_measured_is_refused(call, words):
    with pytest.raises(ValueError, match=words):
        call()


# Pixel by pixel


def test_l1_is_in_the_units_of_the_networks(images):
    assert ev.pixel_l1(-torch.ones(2, 3, 4, 4), torch.ones(2, 3, 4, 4)).tolist() == [2, 2]
    assert ev.pixel_l1(images, images.roll(1, 0)).shape == (8,)


def test_psnr_and_ssim_are_those_of_torchmetrics(images, noisy):
    """Range 255 or 1 is the same picture; the range of [-1, 1] taken for 1 is not."""
    units = (noisy + 1) / 2, (images + 1) / 2
    expected = peak_signal_noise_ratio(*units, data_range=1.0, dim=(1, 2, 3), reduction="none")
    assert ev.psnr(noisy, images).float().allclose(expected, atol=1e-3)
    gauss = structural_similarity_index_measure(
        *units, gaussian_kernel=False, kernel_size=7, data_range=1.0, reduction="none"
    )
    assert ev.ssim(noisy, images).float().allclose(gauss, atol=0.02)  # they treat borders unlike
    assert ev.ssim(images, images).tolist() == pytest.approx([1] * 8)


def test_ssim_of_flat_pictures_in_closed_form():
    """(2 a b + c) / (a^2 + b^2 + c) with c = (0.01 * 255)^2, which only dark pictures feel."""
    dark, darker = (torch.full((1, 3, 16, 16), level / 127.5 - 1) for level in (30, 10))
    constant = (0.01 * 255) ** 2
    expected = (2 * 30 * 10 + constant) / (30**2 + 10**2 + constant)
    assert float(ev.ssim(darker, dark)) == pytest.approx(expected, abs=1e-4)


# As a whole


class Given(torch.nn.Module):
    """Stands for a network whose features are the first values of the image."""

    num_features = 6

    def forward(self, images):
        return images.flatten(1)[:, :6].float() / 255


@pytest.fixture
def sets():
    """Two sets of 40 pictures whose first values differ in mean and spread."""
    first = torch.randint(0, 200, (40, 3, 4, 4), generator=dice(), dtype=torch.uint8)
    second = torch.randint(50, 256, (40, 3, 4, 4), generator=dice(1), dtype=torch.uint8)
    return first, second


def test_frechet_distance_is_that_of_torchmetrics(sets):
    fid = FrechetInceptionDistance(feature=Given(), input_img_size=(3, 4, 4))
    for real, images in zip((True, False), sets):
        fid.update(images, real=real)
    found = ev.frechet_distance(*(Given()(side).double() for side in sets))
    assert found == pytest.approx(float(fid.compute()), rel=1e-4)
    assert found > 0.3


def test_frechet_distance_of_normal_distributions_in_closed_form():
    """One dimension: (m1 - m2)^2 + (s1 - s2)^2."""
    x = torch.randn(4000, 1, generator=dice(), dtype=torch.float64)
    x = (x - x.mean()) / x.std()
    assert ev.frechet_distance(x, 3 * x + 2) == pytest.approx(4 + 4)
    assert ev.frechet_distance(x, x) == pytest.approx(0, abs=1e-9)


# torchmetrics says that it keeps all features, which 40 pictures may
@pytest.mark.filterwarnings("ignore:Metric `Kernel Inception Distance` will save:UserWarning")
def test_kernel_distance_is_that_of_torchmetrics(sets):
    """Its subsets are made as large as the sets, so that each is all of them."""
    kid = KernelInceptionDistance(feature=Given(), subsets=1, subset_size=40)
    for real, images in zip((True, False), sets):
        kid.update(images, real=real)
    found = ev.kernel_distance(*(Given()(side).double() for side in sets))
    assert found == pytest.approx(float(kid.compute()[0]), rel=1e-4)


def test_kernel_distance_has_no_bias_and_the_frechet_distance_has():
    draws = torch.randn(200, 2, 20, 4, generator=dice(), dtype=torch.float64)
    kernel = torch.tensor([ev.kernel_distance(*pair) for pair in draws])
    error = kernel.std() / math.sqrt(len(kernel))
    assert kernel.mean().abs() < 3 * error
    assert min(ev.frechet_distance(*pair) for pair in draws) > 0.1


def test_colours_agree_wherever_they_are(images):
    moved = images.flip(3).roll(1, 0)
    assert ev.colour_intersections(moved, images) == pytest.approx({"L": 1, "a": 1, "b": 1})
    black, white = -torch.ones(2, 3, 4, 4), torch.ones(2, 3, 4, 4)
    found = ev.colour_intersections(black, white)
    assert found["L"] == 0 and found["a"] == 1  # both are grey
    half = torch.cat([black, white], dim=3)
    assert ev.colour_intersections(half, white)["L"] == pytest.approx(0.5)


# Pictures alone


def test_edges_tell_blur_from_lost_contrast(images):
    from torchvision.transforms.v2.functional import gaussian_blur

    sharp, faint = ev.edge_density(images), ev.edge_density(images * 0.5)
    assert torch.equal(sharp, faint)
    assert ev.contrast(images * 0.5).allclose(ev.contrast(images) / 2)
    blurred = gaussian_blur(images, [13, 13], [3.0, 3.0])
    assert (ev.edge_density(blurred) < 0.7 * sharp).all()


def test_edge_of_a_step_is_one_pixel_wide():
    step = torch.ones(1, 3, 10, 10)
    step[..., :5] = -1
    assert float(ev.edge_density(step)) == pytest.approx(1 / 10)
    assert float(ev.edge_density(step.transpose(2, 3))) == pytest.approx(1 / 10)
    columns = ev.edge_map(step)[0].nonzero()[:, 1].unique()
    assert len(columns) == 1 and step[0, 0, 0, columns] != step[0, 0, 0, columns - 1]
    assert float(ev.edge_density(torch.zeros(1, 3, 8, 8))) == 0


def test_brightness_is_that_of_pillow(images):
    from pix2pix_lib.images import to_pil

    grey = torch.from_numpy(np.asarray(to_pil(images[0]).convert("L")).astype(float))
    assert ev.grey(images)[0].allclose(grey / 127.5 - 1, atol=0.006)
    assert torch.equal(ev.grey(images[:, :1])[0], images[0, 0].double())


def test_diversity_is_the_mean_over_all_pairs():
    variants = torch.tensor([0.0, 0.5, -1.0, 0.0]).view(4, 1, 1, 1, 1).expand(4, 2, 3, 4, 4)
    assert ev.diversity(variants).tolist() == pytest.approx([(0.5 + 1 + 0 + 1.5 + 0.5 + 1) / 6] * 2)
    assert ev.diversity(variants[:1].expand(2, 2, 3, 4, 4)).tolist() == [0, 0]


# How sure


def test_bootstrap_interval_of_a_mean_is_that_of_the_normal_distribution():
    values = torch.randn(400, generator=dice(), dtype=torch.float64)
    values = (values - values.mean()) / values.std()
    low, high = ev.bootstrap(values, draws=4000)
    assert (low, high) == pytest.approx((-1.96 / 20, 1.96 / 20), abs=0.008)
    assert ev.bootstrap(values) == ev.bootstrap(values)
    low, high = ev.bootstrap(values, level=0.5, draws=4000)
    assert high == pytest.approx(0.674 / 20, abs=0.005)


def test_bootstrap_draws_pictures_and_not_pixels(labels):
    """A statistic of the whole gets whole matrices, as many as there are."""
    matrices = torch.stack([torch.eye(2) * n for n in (1, 10, 100)])
    seen = []
    ev.bootstrap(matrices, lambda chosen: float(seen.append(chosen.shape) or 0), draws=5)
    assert set(seen) == {(3, 2, 2)}


def test_binomial_interval_is_the_exact_one():
    """All right: low is the share at which that has a chance of 2.5 %; and so for none."""
    low, high = ev.binomial_interval(20, 20)
    assert low**20 == pytest.approx(0.025) and high == 1
    assert ev.binomial_interval(0, 20) == pytest.approx((0, 1 - low))
    low, high = ev.binomial_interval(14, 20)
    tail = sum(math.comb(20, k) * low**k * (1 - low) ** (20 - k) for k in range(14, 21))
    assert tail == pytest.approx(0.025)
