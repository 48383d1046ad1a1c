"""The tasks of notebook 08: the interval of a vote, PSNR, the FCN-score, and a report with bugs."""

import math

import torch
from torch import Tensor, nn

from .. import evaluation
from ..inference import translate
from ..segmenter import Segmenter
from .questions import Question
from .trials import OpenTask
from .writing import Task, mistake, with_bug

# --- the interval of a vote -----------------------------------------------------------------------


def interval_by_hand(right: int, trials: int) -> tuple[float, float]:
    """Return the lowest and the highest share for which `right` of `trials` is no surprise."""
    kept = []
    for step in range(201):
        share = step / 200
        chances = [
            math.comb(trials, k) * share**k * (1 - share) ** (trials - k) for k in range(trials + 1)
        ]
        if min(sum(chances[: right + 1]), sum(chances[right:])) > 0.025:
            kept.append(share)
    return kept[0], kept[-1]


def _standard_errors(right: int, trials: int) -> tuple[float, float]:
    share = right / trials
    half = 1.96 * math.sqrt(share * (1 - share) / trials)
    return share - half, share + half


def _inputs_vote(seed: int) -> tuple[int, int]:
    trials = 9 + 6 * seed
    return (trials if seed == 3 else trials - 2 - seed), trials


interval = Task(
    key="08.interval",
    title="the interval of a vote",
    kind="core",
    difficulty=2,
    minutes=15,
    reference=interval_by_hand,
    stub='''\
def interval_by_hand(right: int, trials: int) -> tuple[float, float]:
    """Return the lowest and the highest share for which `right` of `trials` is no surprise."""
    kept = []
    for step in range(201):
        share = step / 200
        raise NotImplementedError  # keep this share, or not
    return kept[0], kept[-1]
''',
    inputs=_inputs_vote,
    tolerance=0.0105,  # a closed form without the grid of shares is right, too
    mistakes=(
        mistake(
            "You leave out 5 % at each end, which is 10 % in all: that is the interval of 90 %.",
            ("> 0.025", "> 0.05"),
        ),
        mistake(
            "Your interval is too narrow: `right` itself belongs to those with at least as many, and to those with "
            "at most as many.",
            ("chances[: right + 1]", "chances[:right]"),
            ("chances[right:]", "chances[right + 1 :]"),
        ),
        mistake(
            "You ask how likely exactly this count is. With many trials each single count is unlikely, so ask for all "
            "counts at least as far out.",
            ("min(sum(chances[: right + 1]), sum(chances[right:]))", "chances[right]"),
        ),
        mistake(
            "The upper end is 1 whatever the vote: you test only whether so many right answers are too many, not "
            "whether they are too few.",
            ("min(sum(chances[: right + 1]), sum(chances[right:]))", "sum(chances[right:])"),
        ),
        mistake(
            "Every share is kept: one of the two chances is always large. A share must pass both tests.",
            ("min(sum", "max(sum"),
        ),
        mistake(
            "The lower end is 0 whatever the vote: you test only whether so many right answers are too few, not "
            "whether they are too many.",
            ("min(sum(chances[: right + 1]), sum(chances[right:]))", "sum(chances[: right + 1])"),
        ),
        mistake(
            "Your two chances add up to 1, so one of them leaves out `right` itself. Both should count it.",
            ("sum(chances[right:])", "1 - sum(chances[: right + 1])"),
        ),
        mistake(
            "That is the share plus and minus 1.96 standard errors, an approximation for many trials: where all "
            "answers are right, it has no width at all.",
            other=_standard_errors,
        ),
    ),
    hints=(
        "At most `right` means 0, 1, 2 ... or `right`: which chances do you add up for it? And which for at least "
        "`right`?",
        "Make the list of the chances of 0, 1, ... `trials` right answers. Sum it from the start to `right`, and from "
        "`right` to the end; keep the share if the smaller of the two sums is above 0.025.",
    ),
)

# --- PSNR -----------------------------------------------------------------------------------------


def psnr_by_hand(images: Tensor, truth: Tensor) -> Tensor:
    """Return the peak signal-to-noise ratio of each picture in [-1, 1], in decibels: (N,)."""
    mse = (images - truth).square().flatten(1).mean(dim=1)
    return 10 * torch.log10(2**2 / mse)


def _inputs_pictures(seed: int) -> tuple[Tensor, Tensor]:
    dice = torch.Generator().manual_seed(seed)
    shape = (2 + seed, 3, 8 + 3 * seed, 12 + 2 * seed)
    truth = 2 * torch.rand(shape, generator=dice) - 1
    strength = 0.1 + 0.5 * torch.rand(len(truth), 1, 1, 1, generator=dice)
    return (truth + strength * torch.randn(shape, generator=dice)).clamp(-1, 1), truth


psnr = Task(
    key="08.psnr",
    title="PSNR by hand",
    kind="core",
    difficulty=1,
    minutes=10,
    reference=psnr_by_hand,
    stub='''\
def psnr_by_hand(images: Tensor, truth: Tensor) -> Tensor:
    """Return the peak signal-to-noise ratio of each picture in [-1, 1], in decibels: (N,)."""
    raise NotImplementedError  # one mean squared error a picture, then decibels
''',
    inputs=_inputs_pictures,
    mistakes=(
        mistake(
            "Every value is 6 decibels too low: your pictures have a range of 1, but those here go from -1 to 1.",
            ("2**2", "1**2"),
        ),
        mistake(
            "Every value is 42 decibels too high: 255 is the range of 8-bit pixels, and these are in [-1, 1].",
            ("2**2", "255**2"),
        ),
        mistake(
            "Every value is 3 decibels too low: the range is squared, like the error.",
            ("2**2", "2"),
        ),
        mistake(
            "That is one value for the whole batch. Average within each picture only, so that each keeps its own.",
            (".flatten(1).mean(dim=1)", ".mean()"),
        ),
        mistake(
            "You average over the pictures at the end. Return one value for each of them.",
            ("return 10 * torch.log10(2**2 / mse)", "return (10 * torch.log10(2**2 / mse)).mean()"),
        ),
        mistake(
            "Every value is half as large as it should be: 10 belongs before the logarithm of squares, not of roots.",
            ("2**2 / mse", "2 / mse.sqrt()"),
        ),
        mistake(
            "That is one value for each colour channel: the mean squared error of a picture averages over its "
            "channels, too.",
            (".flatten(1).mean(dim=1)", ".mean(dim=(2, 3))"),
        ),
        mistake(
            "Decibels have the logarithm to base 10; yours is the natural one.",
            ("torch.log10", "torch.log"),
        ),
        mistake(
            "You sum the squared errors where their mean belongs: a larger picture would always be a worse one.",
            ("mean(dim=1)", "sum(dim=1)"),
        ),
        mistake("You take absolute errors where squared ones belong.", (".square()", ".abs()")),
        mistake(
            "Every value is twice as large as it should be: 20 belongs before the logarithm of a root of this ratio.",
            ("10 * torch", "20 * torch"),
        ),
        mistake(
            "The sign is wrong: the ratio stands upside down, so that a worse picture gets a larger value.",
            ("2**2 / mse", "mse / 2**2"),
        ),
    ),
    hints=(
        "How far is it from black to white where black is -1 and white is 1? That takes the place of 255.",
        "Subtract, square, `flatten(1)`, take the mean over dimension 1; then 10 times `torch.log10` of the squared "
        "range divided by it.",
    ),
)

# --- the confusion matrix -------------------------------------------------------------------------


def confusion_by_hand(asked: Tensor, read: Tensor, classes: int) -> Tensor:
    """Return how many pixels of each class (row) were read as each class (column)."""
    matrix = torch.zeros(classes, classes, dtype=torch.long)
    for i in range(classes):
        for j in range(classes):
            matrix[i, j] = ((asked == i) & (read == j)).sum()
    return matrix


def _each_pair_once(asked: Tensor, read: Tensor, classes: int) -> Tensor:
    matrix = torch.zeros(classes, classes, dtype=torch.long)
    matrix[asked, read] += 1
    return matrix


def _matrix_a_picture(asked: Tensor, read: Tensor, classes: int) -> Tensor:
    return torch.stack([confusion_by_hand(a, r, classes) for a, r in zip(asked, read)])


def _classes_that_occur(asked: Tensor, read: Tensor, classes: int) -> Tensor:
    return confusion_by_hand(asked, read, int(max(asked.max(), read.max())) + 1)


def _bins_that_occur(asked: Tensor, read: Tensor, classes: int) -> Tensor:
    return torch.bincount((asked * classes + read).flatten()).reshape(classes, classes)


def _inputs_classes(seed: int) -> tuple[Tensor, Tensor, int]:
    """Return class maps in which the last class does not occur, in every second run."""
    dice, classes = torch.Generator().manual_seed(seed), 5 + seed
    shape = (2 + seed % 3, 6 + seed, 9)
    asked, other = torch.randint(classes - 1 + seed % 2, (2, *shape), generator=dice)
    return asked, torch.where(torch.rand(shape, generator=dice) < 0.6, asked, other), classes


confusion = Task(
    key="08.confusion",
    title="the confusion matrix",
    kind="core",
    difficulty=1,
    minutes=10,
    reference=confusion_by_hand,
    stub='''\
def confusion_by_hand(asked: Tensor, read: Tensor, classes: int) -> Tensor:
    """Return how many pixels of each class (row) were read as each class (column)."""
    matrix = torch.zeros(classes, classes, dtype=torch.long)
    raise NotImplementedError  # count, and return the matrix
''',
    inputs=_inputs_classes,
    mistakes=(
        mistake(
            "Rows and columns are exchanged: a row belongs to the class that was asked for.",
            ("(asked == i) & (read == j)", "(asked == j) & (read == i)"),
        ),
        mistake(
            "Each pair of classes counts once, however often it occurs: `matrix[asked, read] += 1` adds 1 to an entry "
            "only once, even if its index is there a hundred times.",
            other=_each_pair_once,
        ),
        mistake(
            "Only the diagonal is filled. The pixels that were read wrongly count, too: they fill the rest.",
            ("(read == j)", "(read == j) & (read == asked)"),
        ),
        mistake(
            "Too many pixels: an entry counts those that were asked for as one class *and* read as the other.",
            (" & ", " | "),
        ),
        mistake(
            "You divide already. Leave counts, so that the matrices of several pictures can be added.",
            ("dtype=torch.long", "dtype=torch.double"),
            (".sum()", ".double().mean()"),
        ),
        mistake(
            "The first row and column are empty: the classes begin with 0, which is the background.",
            ("range(classes)", "range(1, classes)"),
        ),
        mistake(
            "The last row and column stay empty: the classes go up to `classes - 1`, and `range` leaves out its end.",
            ("range(classes)", "range(classes - 1)"),
        ),
        mistake(
            "Only the first picture is counted.",
            ("(asked == i) & (read == j)", "(asked[0] == i) & (read[0] == j)"),
        ),
        mistake(
            "You divide by the sum of each row already. Leave counts, so that matrices can be added.",
            ("return matrix", "return matrix / matrix.sum(dim=1, keepdim=True)"),
        ),
        mistake(
            "`bincount` stops at the largest number that occurs. Ask it for one place for each pair of classes.",
            other=_bins_that_occur,
        ),
        mistake(
            "That is one matrix for each picture; one for all of them is wanted.",
            other=_matrix_a_picture,
        ),
        mistake(
            "Your matrix has rows only for classes that occur in these pictures. Then two matrices do not fit together; "
            "make it `classes` wide.",
            other=_classes_that_occur,
        ),
    ),
    hints=(
        "`asked == 3` is a tensor that is true at each pixel of class 3. What do you get from two of them, and `&`?",
        "Two loops over the classes, i and j: entry (i, j) is the sum of (asked is i) & (read is j).",
    ),
)

# --- the three scores -----------------------------------------------------------------------------


def scores_by_hand(matrices: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Return pixel accuracy, class accuracy and class IoU of pictures with these confusion matrices."""
    matrix = matrices.sum(dim=0).double()
    right, asked, found = matrix.diagonal(), matrix.sum(dim=1), matrix.sum(dim=0)
    present = asked > 0
    overlap = right / (asked + found - right)
    return right.sum() / matrix.sum(), (right / asked)[present].mean(), overlap[present].mean()


def _scores_a_picture(matrices: Tensor) -> tuple[Tensor, ...]:
    each = [scores_by_hand(matrix[None]) for matrix in matrices]
    return tuple(torch.stack(values).mean() for values in zip(*each))


def _three(candidate: object, matrices: Tensor) -> object:
    """Return the three scores by name."""
    scores = candidate(matrices)
    if isinstance(scores, Tensor) and scores.shape == (3,):
        scores = tuple(scores)
    if not isinstance(scores, tuple | list) or len(scores) != 3:
        return scores
    return dict(zip(("pixel accuracy", "class accuracy", "class IoU"), scores))


def _inputs_matrices(seed: int) -> tuple[Tensor]:
    """Return matrices of pictures in which one class is found but not asked for, and one is neither."""
    dice, classes, pictures = torch.Generator().manual_seed(seed), 5 + 2 * seed, 2 + seed
    matrices = torch.randint(30, (pictures, classes, classes), generator=dice)
    matrices += torch.diag_embed(torch.randint(300, (pictures, classes), generator=dice))
    absent, unasked = torch.randperm(classes, generator=dice)[:2].tolist()
    matrices[:, [absent, unasked]] = 0
    matrices[:, :, absent] = 0
    return (matrices,)


scores = Task(
    key="08.scores",
    title="the three scores of a confusion matrix",
    kind="core",
    difficulty=2,
    minutes=15,
    reference=scores_by_hand,
    stub='''\
def scores_by_hand(matrices: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Return pixel accuracy, class accuracy and class IoU of pictures with these confusion matrices."""
    raise NotImplementedError  # one matrix for all pictures, then the three scores
''',
    inputs=_inputs_matrices,
    observe=_three,
    mistakes=(
        mistake(
            "You average the scores of single pictures. Sum the matrices first: otherwise a picture with two pixels of "
            "a class counts for it as much as one with two thousand.",
            other=_scores_a_picture,
        ),
        mistake(
            "A class that nobody asked for makes 0 / 0, which is not a number (nan). Leave it out.",
            ("[present].mean()", ".mean()"),
        ),
        mistake(
            "A class that nobody asked for counts as 0 in your means. Leave it out.",
            ("[present].mean()", ".nan_to_num(0.0).mean()"),
        ),
        mistake(
            "A class that nobody asked for counts as 1 in your means: whatever is absent improves the score. Leave it out.",
            ("[present].mean()", ".nan_to_num(1.0).mean()"),
        ),
        mistake(
            "A class that was found but never asked for still counts in your IoU, with 0: leaving out nan leaves out "
            "only the classes that were not found either.",
            ("[present].mean()", ".nanmean()"),
        ),
        mistake(
            "Your class accuracy divides by what was found (columns). It asks how much of what was *asked for* was found.",
            ("(right / asked)", "(right / found)"),
        ),
        mistake(
            "The pixels that are right count twice in your union: they are among those asked for and among those found.",
            ("(asked + found - right)", "(asked + found)"),
        ),
        mistake(
            "Class accuracy and class IoU have changed places.",
            (
                "(right / asked)[present].mean(), overlap[present].mean()",
                "overlap[present].mean(), (right / asked)[present].mean()",
            ),
        ),
        mistake(
            "Your IoU weighs each class by its number of pixels. Here each class that was asked for counts the same.",
            ("overlap[present].mean()", "(overlap * asked)[present].sum() / asked.sum()"),
        ),
    ),
    hints=(
        "Three vectors are enough: the diagonal, the sums of the rows (asked for), the sums of the columns (found).",
        "The union of a class is asked + found - right. Divide, then keep the classes with `asked > 0`, then the mean.",
    ),
)

# --- a report with bugs ---------------------------------------------------------------------------


# fmt: off
def iou_report(generator: nn.Module, segmenter: nn.Module, label_maps: Tensor, asked: Tensor) -> float:
    """Return the class IoU that the segmenter reads in what the generator makes of label maps."""
    images = translate(generator, label_maps)
    with torch.no_grad():
        read = segmenter.eval()(images).argmax(dim=1)
    matrix = evaluation.confusion_matrix(asked, read, 12).double()
    union = matrix.sum(dim=0) + matrix.sum(dim=1) - matrix.diagonal()
    return float((matrix.diagonal() / union)[matrix.sum(dim=1) > 0].mean())
# fmt: on


def _inputs_networks(seed: int) -> tuple[nn.Module, Segmenter, Tensor, Tensor]:
    """Return a small G, a segmenter that reads many classes, label maps, and what they ask for."""
    torch.manual_seed(seed)
    generator = nn.Sequential(nn.Conv2d(3, 3, 3, padding=1), nn.Tanh())
    segmenter = Segmenter(channels=(6, 6, 6, 6))
    label_maps = 2 * torch.rand(2 + seed % 3, 3, 16, 8 * (2 + seed % 2)) - 1
    norms = [layer for layer in segmenter.modules() if isinstance(layer, nn.BatchNorm2d)]
    with torch.no_grad():
        for norm in norms:
            norm.momentum = 0.9
        segmenter.train()(2 * translate(generator, label_maps))  # sets its averages
        for norm in norms:
            norm.momentum = 0.1
        segmenter.head.weight.normal_()
        logits = segmenter.eval()(translate(generator, label_maps))
        segmenter.head.bias -= logits.mean(dim=(0, 2, 3))  # no class is always ahead
        segmenter.head.bias[torch.randperm(12)[:4]] -= 100  # four are never read
        read = segmenter.eval()(translate(generator, label_maps)).argmax(dim=1)
    known = read.unique()
    asked = torch.where(
        torch.rand(read.shape) < 0.7, read, known[torch.randint(len(known), read.shape)]
    )
    asked[asked == known[0]] = known[-1]  # found, but not asked for
    return generator, segmenter.train(seed % 2 == 1), label_maps, asked


def _report_and_averages(
    candidate: object, generator: nn.Module, segmenter: Segmenter, *pair: Tensor
) -> dict:
    """Return the report, and the segmenter's first running averages after it."""
    found = candidate(generator, segmenter, *pair)
    return {
        "the report": found,
        "the segmenter's averages afterwards": segmenter.encoder[0][1].running_mean,
    }


report = Task(
    key="08.report",
    title="a report with three bugs",
    kind="debug",
    difficulty=3,
    minutes=20,
    reference=iou_report,
    stub=with_bug(
        iou_report,
        (
            "images = translate(generator, label_maps)",
            "images = (translate(generator, label_maps) + 1) / 2",
        ),
        ("segmenter.eval()", "segmenter.train()"),
        ("[matrix.sum(dim=1) > 0].mean()", ".nan_to_num(1.0).mean()"),
    ),
    inputs=_inputs_networks,
    observe=_report_and_averages,
    mistakes=(
        mistake(
            "The range is still wrong: what values do the segmenter's pictures have, and what values does it get?",
            ("translate(generator, label_maps)", "(translate(generator, label_maps) + 1) / 2"),
        ),
        mistake(
            "The segmenter is still in training mode: what it reads in one picture depends on the others, and its "
            "running averages change.",
            ("segmenter.eval()", "segmenter.train()"),
        ),
        mistake(
            "The segmenter keeps the mode in which it comes. One that has just been trained comes in training mode.",
            ("segmenter.eval()", "segmenter"),
        ),
        mistake(
            "A class that is neither asked for nor found still counts as 1: few pictures then look better than many.",
            ("[matrix.sum(dim=1) > 0].mean()", ".nan_to_num(1.0).mean()"),
        ),
        mistake(
            "The range is right now; two bugs are left.",
            ("segmenter.eval()", "segmenter.train()"),
            ("[matrix.sum(dim=1) > 0].mean()", ".nan_to_num(1.0).mean()"),
        ),
        mistake(
            "The range is right now. But the segmenter keeps the mode in which it comes, and absent classes count as 1.",
            ("segmenter.eval()", "segmenter"),
            ("[matrix.sum(dim=1) > 0].mean()", ".nan_to_num(1.0).mean()"),
        ),
        mistake(
            "The segmenter's mode is right now; two bugs are left, and one of them shows only now.",
            ("translate(generator, label_maps)", "(translate(generator, label_maps) + 1) / 2"),
            ("[matrix.sum(dim=1) > 0].mean()", ".nan_to_num(1.0).mean()"),
        ),
        mistake(
            "The classes are right now; two bugs are left.",
            ("translate(generator, label_maps)", "(translate(generator, label_maps) + 1) / 2"),
            ("segmenter.eval()", "segmenter.train()"),
        ),
        mistake(
            "A class that is neither asked for nor found counts as 0 now. It should not count at all.",
            ("[matrix.sum(dim=1) > 0].mean()", ".nan_to_num(0.0).mean()"),
        ),
        mistake(
            "A class that is absent makes 0 / 0, which is not a number (nan): leave it out of the mean.",
            ("[matrix.sum(dim=1) > 0].mean()", ".mean()"),
        ),
        mistake(
            "A class that was found but never asked for still counts, with 0. Average over those that were asked for.",
            ("[matrix.sum(dim=1) > 0].mean()", ".nanmean()"),
        ),
    ),
    hints=(
        "Follow the values: what range has a generated picture, in which mode is the segmenter, what is 0 / 0?",
        "One bug a line, in the first, the third and the last line of the body. While the batch norms are in training "
        "mode, they hide the wrong range.",
    ),
)

# --- how many voters ------------------------------------------------------------------------------


def _voters() -> int:
    return next(
        n for n in range(10, 1000, 10) if evaluation.binomial_interval(n * 6 // 10, n)[0] > 0.5
    )


voters = Question(
    key="08.voters",
    title="how many voters?",
    difficulty=1,
    minutes=10,
    expected=_voters,
    wrong=(
        (
            lambda: _voters() - 10,
            "There the lower end is still below one half: take one step more.",
        ),
        (
            lambda: _voters() * 6 // 10,
            "That is how many answers are right; how many trials does that take?",
        ),
        (80, "That is enough for an interval of 90 %, which leaves out 5 % at each end."),
        (400, "400 are enough, but so are fewer: begin with 10 and stop at the first that does."),
        (
            lambda: _voters() + 10,
            "That is one step too many: look at the number of trials before it.",
        ),
        (10, "With 10 trials the *upper* end is above one half; look at the lower one."),
    ),
    answer="answer_1 = next(n for n in range(10, 1000, 10) if evaluation.binomial_interval(n * 6 // 10, n)[0] > 0.5)",
    hints=(
        "Try 10, 20, 30 ... trials with 6, 12, 18 ... right answers, and look at the lower end of each interval.",
        "`evaluation.binomial_interval(right, trials)` returns (low, high); the first number of trials with low > 0.5.",
    ),
)

# --- a measure on trial ---------------------------------------------------------------------------

on_trial = OpenTask(
    key="08.on_trial",
    title="a measure on trial",
    difficulty=3,
    minutes=25,
    stub="""\
hypothesis = ""
expect = ("one condition", "<", "the other")


def measure(condition: str, seed: int) -> float:
    buildings = split_seeds("test", 600)[100 + 12 * seed : 112 + 12 * seed]
    labels, photos = (torch.stack(side) for side in zip(*map(facade_tensors, buildings)))
    raise NotImplementedError  # the pictures of this condition, then one number for all of them
""",
    example="""\
hypothesis = "By PSNR another true photo of a building beats the generated picture, because it is a real photo."
expect = ("another photo", ">", "generated")


def measure(condition: str, seed: int) -> float:
    buildings = split_seeds("test", 600)[100 + 12 * seed : 112 + 12 * seed]
    labels, photos = (torch.stack(side) for side in zip(*map(facade_tensors, buildings)))
    if condition == "generated":
        images = translate(load_snapshot().generator, labels)
    else:
        images = torch.stack([facade_tensors(building, 128, photo_seed=1)[1] for building in buildings])
    return float(evaluation.psnr(images, photos).mean())
""",
    example_verdict="""\
verdict, because = "refuted", (
    "The other photo has walls in another colour, and PSNR punishes that at every pixel, while the generator paints "
    "a colour in the middle. Or its bricks and bars lie elsewhere: the same PSNR on grey pictures would tell."
)
""",
    hints=(
        "Choose two kinds of pictures and a measure that should not prefer the one that looks worse. Does it?",
        "For example: another true photo of each building, `facade_tensors(building, 128, photo_seed=1)[1]`, beside "
        "`translate(load_snapshot().generator, labels)`, both compared with `photos`.",
    ),
    rubric=(
        "Does the hypothesis name the measure, and what about the pictures it should see or miss?",
        "Did you look at some of the pictures that you measured?",
    ),
)
