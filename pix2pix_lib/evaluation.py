"""How good are the pictures? Measures of generated images, each with what it can and cannot see.

Pictures are (N, 3, H, W) float in [-1, 1], as the networks give them. Measures of single pictures
return one value each, (N,), so that `bootstrap` can say how sure their mean is.

    measure              asks                                         does not see
    pixel_l1, psnr       is each pixel where the truth has it?        whether it looks real
    ssim                 the same, for structure in small windows     the same
    FCN-score            can a network recognise what was asked for?  light, colour, beauty
    kernel distance      do the pictures as a whole look like photos? whether each fits its input
    colour intersection  are the colours those of photos?             where they are
    contrast, edges      how strong, and how sharp?                   whether edges are right
    diversity            how much do pictures of one input differ?    whether they are any good

Source: Isola et al. 2017, sections 4.1 (FCN-score) and 4.2 (colours); Wang et al. 2004 (SSIM);
Heusel et al. 2017 (Frechet distance), Binkowski et al. 2018 (kernel distance).
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from scipy.stats import binomtest
from skimage.color import rgb2lab
from skimage.metrics import peak_signal_noise_ratio, structural_similarity
from torch import Tensor, nn
from torch.nn import functional as F

from .images import to_uint8

LAB_BINS = {"L": (0, 100, 25), "a": (-110, 110, 55), "b": (-110, 110, 55)}  # low, high, bins
EDGE = 0.2  # an edge is steeper, a pixel, than this share of the picture's contrast


# --------------------------------------------------------------------------------------------------
# FCN-score
# --------------------------------------------------------------------------------------------------


def confusion_matrix(truth: Tensor, predicted: Tensor, classes: int) -> Tensor:
    """Return how many pixels of each true class were taken for each class: (classes, classes).

    Rows are the truth, columns what was predicted.

    Args:
        truth, predicted: integers in 0 .. classes - 1, of one shape.

    Raises:
        ValueError: if the shapes differ, or a class is out of range.
    """
    if truth.shape != predicted.shape:
        raise ValueError(f"shapes differ: {tuple(truth.shape)} and {tuple(predicted.shape)}")
    pairs = truth.flatten().long() * classes + predicted.flatten().long()
    for name, values in (("truth", truth), ("predicted", predicted)):
        if values.numel() and not (values.min() >= 0 and values.max() < classes):
            raise ValueError(f"{name} must be in 0 .. {classes - 1}")
    return torch.bincount(pairs, minlength=classes**2).reshape(classes, classes)


@dataclass(frozen=True)
class FCNScore:
    """The three scores of one confusion matrix, each in 0 .. 1.

    `pixel` is the share of pixels that are right. `class_accuracy` is that share within each class,
    averaged over the classes that the truth has; `iou` averages overlap over union likewise.
    """

    pixel: float
    class_accuracy: float
    iou: float

    def __str__(self) -> str:
        return f"{self.pixel:.3f} / {self.class_accuracy:.3f} / {self.iou:.3f}"


def fcn_score(confusion: Tensor) -> FCNScore:
    """Return the scores of a confusion matrix, summed over all pictures before.

    Raises:
        ValueError: if it holds no pixels.
    """
    matrix = confusion.double()
    right, asked, found = matrix.diagonal(), matrix.sum(dim=1), matrix.sum(dim=0)
    present = asked > 0
    if not present.any():
        raise ValueError("the confusion matrix is empty")
    accuracy, iou = right / asked, right / (asked + found - right)
    return FCNScore(
        float(right.sum() / matrix.sum()),
        float(accuracy[present].mean()),
        float(iou[present].mean()),
    )


@torch.no_grad()
def confusion_matrices(
    segmenter: nn.Module, images: Tensor, truth: Tensor, classes: int = 12
) -> Tensor:
    """Return one confusion matrix a picture: (N, classes, classes).

    Args:
        segmenter: maps (N, 3, H, W) to logits (N, classes, H, W).
        truth: the classes that were asked for, (N, H, W).
    """
    matrices = []
    for image, classes_asked in zip(images, truth, strict=True):
        predicted = segmenter(image[None])[0].argmax(dim=0)
        matrices.append(confusion_matrix(classes_asked, predicted, classes))
    return torch.stack(matrices)


# --------------------------------------------------------------------------------------------------
# Against the true photo, pixel by pixel
# --------------------------------------------------------------------------------------------------


def pixel_l1(images: Tensor, truth: Tensor) -> Tensor:
    """Return the mean absolute difference of each picture from its truth: (N,) in 0 .. 2."""
    _check_pairs(images, truth)
    return (images - truth).abs().flatten(1).mean(dim=1)


def psnr(images: Tensor, truth: Tensor) -> Tensor:
    """Return the peak signal-to-noise ratio of each picture as 8-bit image, in decibels: (N,)."""
    _check_pairs(images, truth)
    return _of_pairs(lambda a, b: peak_signal_noise_ratio(b, a, data_range=255), images, truth)


def ssim(images: Tensor, truth: Tensor) -> Tensor:
    """Return the structural similarity of each picture as 8-bit image: (N,) in -1 .. 1."""
    _check_pairs(images, truth)
    return _of_pairs(
        lambda a, b: structural_similarity(b, a, channel_axis=2, data_range=255), images, truth
    )


def _of_pairs(measure: Callable, images: Tensor, truth: Tensor) -> Tensor:
    pairs = zip(pixels(images), pixels(truth), strict=True)
    return torch.tensor([float(measure(a, b)) for a, b in pairs], dtype=torch.float64)


def _check_pairs(images: Tensor, truth: Tensor) -> None:
    if images.shape != truth.shape:
        raise ValueError(
            f"pictures and truth differ in shape: {tuple(images.shape)}, {tuple(truth.shape)}"
        )


def pixels(images: Tensor) -> np.ndarray:
    """Return (N, C, H, W) in [-1, 1] as 8-bit images (N, H, W, C)."""
    return to_uint8(images).permute(0, 2, 3, 1).cpu().numpy()


# --------------------------------------------------------------------------------------------------
# Against photos as a whole
# --------------------------------------------------------------------------------------------------


@torch.no_grad()
def features(segmenter: nn.Module, images: Tensor) -> Tensor:
    """Return the segmenter's features of each picture, (N, D) float64."""
    return torch.cat([segmenter.features(image[None]) for image in images]).double()


def frechet_distance(first: Tensor, second: Tensor) -> float:
    """Return the squared Frechet distance of two normal distributions fitted to features (N, D).

    It is too large for few pictures, the more so the fewer there are: compare only at equal N. It
    is no FID, which has the features of another network.

    Raises:
        ValueError: if a side has fewer than two pictures.
    """
    _check_features(first, second)
    shift = first.mean(dim=0) - second.mean(dim=0)
    a, b = (torch.cov(side.T).reshape(side.shape[1], -1) for side in (first, second))
    # tr sqrt(a b) is that of the symmetric root(a) b root(a), whose eigenvalues are not negative
    values, vectors = torch.linalg.eigh(a)
    root = vectors * values.clamp(min=0).sqrt() @ vectors.T
    cross = torch.linalg.eigvalsh(root @ b @ root).clamp(min=0).sqrt().sum()
    return float(shift @ shift + a.trace() + b.trace() - 2 * cross)


def kernel_distance(first: Tensor, second: Tensor) -> float:
    """Return the squared maximum mean discrepancy of two sets of features (N, D), unbiased.

    Its kernel is (x y / D + 1)^3. For two sets from one source it is 0 on average, whatever their
    size, and so it may be negative.

    Raises:
        ValueError: if a side has fewer than two pictures.
    """
    _check_features(first, second)

    def kernel(x: Tensor, y: Tensor) -> Tensor:
        return (x @ y.T / x.shape[1] + 1) ** 3

    def within(x: Tensor) -> Tensor:
        values = kernel(x, x)
        return (values.sum() - values.diagonal().sum()) / (len(x) * (len(x) - 1))

    return float(within(first) + within(second) - 2 * kernel(first, second).mean())


def _check_features(first: Tensor, second: Tensor) -> None:
    if min(len(first), len(second)) < 2:
        raise ValueError("a distance between sets needs at least two pictures on each side")


def colour_intersections(images: Tensor, truth: Tensor) -> dict[str, float]:
    """Return how far the colours of two sets agree, for L, a and b: 1 is the same histogram.

    Histograms are taken over all pixels of all pictures, whatever their places.
    """
    sides = [rgb2lab(pixels(side)).reshape(-1, 3) for side in (images, truth)]
    found = {}
    for axis, (name, (low, high, bins)) in enumerate(LAB_BINS.items()):
        counts = [
            np.histogram(side[:, axis].clip(low, high), bins, (low, high))[0] for side in sides
        ]
        shares = [count / count.sum() for count in counts]
        found[name] = float(np.minimum(*shares).sum())
    return found


# --------------------------------------------------------------------------------------------------
# Of pictures alone
# --------------------------------------------------------------------------------------------------


def contrast(images: Tensor) -> Tensor:
    """Return the standard deviation of each picture's brightness: (N,), in [-1, 1]'s units."""
    return grey(images).flatten(1).std(dim=1)


def edge_density(images: Tensor, steepness: float = EDGE) -> Tensor:
    """Return the share of each picture's pixels that are edges: (N,). See `edge_map`."""
    return edge_map(images, steepness).double().flatten(1).mean(dim=1)


def edge_map(images: Tensor, steepness: float = EDGE) -> Tensor:
    """Return where pictures have thin, steep edges: (N, H, W) bool.

    An edge is a pixel where brightness changes most along its direction, by at least `steepness`
    times the picture's contrast. So a picture with half the contrast has the same edges, and a
    blurred one has fewer.
    """
    down, across = _slopes(grey(images))
    slope = torch.hypot(down, across)
    least = steepness * contrast(images)[:, None, None]
    padded = F.pad(slope[:, None], (1, 1, 1, 1), mode="replicate")[:, 0]
    left, right = padded[:, 1:-1, :-2], padded[:, 1:-1, 2:]
    above, below = padded[:, :-2, 1:-1], padded[:, 2:, 1:-1]
    summit = torch.where(
        across.abs() >= down.abs(),
        (slope >= left) & (slope > right),
        (slope >= above) & (slope > below),
    )
    return summit & (slope > least)


def grey(images: Tensor) -> Tensor:
    """Return the brightness (N, H, W) of pictures, float64 in [-1, 1] (Rec. 601)."""
    if images.shape[1] == 1:
        return images[:, 0].double()
    return torch.einsum("nchw,c->nhw", images.double(), images.new_tensor(LUMA).double())


LUMA = (0.299, 0.587, 0.114)


def _slopes(brightness: Tensor) -> tuple[Tensor, Tensor]:
    """Return the change a pixel downwards and to the right, by Sobel's filter."""
    padded = F.pad(brightness[:, None], (1, 1, 1, 1), mode="replicate")
    smooth, change = brightness.new_tensor([1, 2, 1]) / 4, brightness.new_tensor([-1, 0, 1]) / 2
    filters = torch.stack([torch.outer(change, smooth), torch.outer(smooth, change)])[:, None]
    return tuple(F.conv2d(padded, filters).unbind(dim=1))


def diversity(variants: Tensor) -> Tensor:
    """Return how much pictures of one input differ: the mean absolute difference of two, (N,).

    Args:
        variants: (S, N, C, H, W), at least 2 pictures of each of N inputs (other dropout).

    Raises:
        ValueError: if there are fewer than two.
    """
    count = len(variants)
    if count < 2:
        raise ValueError("diversity needs at least two pictures of each input")
    total = sum(
        (variants[i] - variants[j]).abs().flatten(1).mean(dim=1)
        for i in range(count)
        for j in range(i)
    )
    return total / (count * (count - 1) / 2)


# --------------------------------------------------------------------------------------------------
# How sure
# --------------------------------------------------------------------------------------------------


def bootstrap(
    values: Tensor,
    statistic: Callable[[Tensor], float] = lambda values: float(values.mean()),
    draws: int = 1000,
    level: float = 0.95,
    seed: int = 0,
) -> tuple[float, float]:
    """Return an interval of a statistic, from pictures drawn anew with replacement.

    Args:
        values: what was measured of each picture, (N, ...); `statistic` gets as many again.
        level: the share of the draws that lie in the interval.
    """
    dice = torch.Generator().manual_seed(seed)
    count = len(values)
    found = torch.tensor(
        [statistic(values[torch.randint(count, (count,), generator=dice)]) for _ in range(draws)],
        dtype=torch.float64,
    )
    tail = (1 - level) / 2
    low, high = torch.quantile(found, torch.tensor([tail, 1 - tail], dtype=torch.float64))
    return float(low), float(high)


def binomial_interval(right: int, trials: int, level: float = 0.95) -> tuple[float, float]:
    """Return the Clopper-Pearson interval of a share, from `right` of `trials` answers."""
    interval = binomtest(right, trials).proportion_ci(level, "exact")
    return float(interval.low), float(interval.high)
