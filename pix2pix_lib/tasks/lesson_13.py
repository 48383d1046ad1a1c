"""The tasks of notebook 13: what several processes exchange, and how they share the pairs."""

import math

from .questions import Question
from .writing import Task, mistake

CYCLEGAN = 2 * (11_378_179 + 2_764_737)  # parameters of two generators and two discriminators
PIX2PIX = 57_182_660  # parameters of the paper's G and D

bytes_of_a_cyclegan = Question(
    key="13.bytes_of_a_cyclegan",
    title="the bytes of a CycleGAN",
    difficulty=1,
    minutes=5,
    expected=lambda: 2 * 15 * 4 * CYCLEGAN // 16,
    answer="answer_1 = 2 * 15 * 4 * 2 * (11_378_179 + 2_764_737) // 16",
    wrong=(
        (
            2 * 15 * 2 * CYCLEGAN // 16,
            "That is half of it. Two networks of each kind, two rounds of the ring, four bytes a number: which did you "
            "count by half?",
        ),
        (2 * 15 * CYCLEGAN // 16, "Those are numbers, not bytes. How many bytes has a float32?"),
        (2 * 4 * CYCLEGAN, "Your factor is 2. It is 2 (n - 1) / n, which is a little less."),
        (
            15 * 4 * CYCLEGAN,
            "That is 8 times too much: are those bits? (One process that collected the gradients of all others would "
            "receive as many bytes.)",
        ),
        (
            4 * CYCLEGAN,
            "That is the size of the gradients. How often does a process send its numbers in a ring?",
        ),
        (2 * 15 * 4 * CYCLEGAN, "A message is one part of n: divide by the number of processes."),
        (
            2 * 16 * 4 * CYCLEGAN // 15,
            "You have n and n - 1 exchanged: there are n - 1 turns, with one part of n each.",
        ),
    ),
    hints=(
        "Add up the parameters of all four networks first. How many of these numbers does each process send in a ring?",
        "A float32 has 4 bytes. For n = 16 the factor 2 (n - 1) / n is 30 / 16.",
    ),
)


def equal_shares(pairs: int, ranks: int) -> list[list[int]]:
    """Return, for each rank, the numbers of the pairs that it reads."""
    length = math.ceil(pairs / ranks)
    return [
        [at % pairs for at in range(rank * length, (rank + 1) * length)] for rank in range(ranks)
    ]


def _inputs_shares(seed: int) -> tuple[int, int]:
    return ((5, 2), (9, 3), (23, 4), (7, 4), (25, 8), (2, 5))[seed]


shares = Task(
    key="13.shares",
    title="equal shares",
    kind="core",
    difficulty=2,
    minutes=10,
    reference=equal_shares,
    stub='''\
def equal_shares(pairs: int, ranks: int) -> list[list[int]]:
    """Return, for each rank, the numbers of the pairs that it reads."""
    raise NotImplementedError  # equal lengths, consecutive pairs, and the first ones again at the end
''',
    inputs=_inputs_shares,
    runs=6,
    mistakes=(
        mistake(
            "You round the length down: pairs at the end are never read.",
            ("math.ceil(pairs / ranks)", "pairs // ranks"),
        ),
        mistake(
            "You add 1 to the length even where ranks divides pairs.",
            ("math.ceil(pairs / ranks)", "pairs // ranks + 1"),
        ),
        mistake(
            "You deal the pairs out like cards. Each rank takes a consecutive stretch, so that it opens few shards.",
            ("range(rank * length, (rank + 1) * length)", "range(rank, ranks * length, ranks)"),
        ),
        mistake(
            "You deal the pairs out like cards, and some ranks get one fewer. Each rank takes a consecutive stretch, and "
            "all are equally long.",
            ("range(rank * length, (rank + 1) * length)", "range(rank, pairs, ranks)"),
        ),
        mistake(
            "The length must be rounded up, not to the nearest whole number.",
            ("math.ceil(pairs / ranks)", "int(pairs / ranks + 0.5)"),
        ),
        mistake(
            "The last ranks get fewer pairs, and the others would wait for them for ever: fill up with the first pairs.",
            (
                "range(rank * length, (rank + 1) * length)",
                "range(rank * length, min((rank + 1) * length, pairs))",
            ),
        ),
        mistake(
            "You repeat the last pair. Begin again with the first one.",
            ("at % pairs", "min(at, pairs - 1)"),
        ),
        mistake(
            "You begin again at pair 1. The numbers begin at 0.",
            ("at % pairs", "at if at < pairs else at % pairs + 1"),
        ),
        mistake(
            "You count the pairs from 1. The numbers begin at 0.", ("at % pairs", "at % pairs + 1")
        ),
        mistake(
            "You go on counting beyond the last pair. There is no such pair: begin again at 0.",
            ("at % pairs", "at"),
        ),
    ),
    hints=(
        "Which length must each share have, so that all are equal and nothing is left out? Write down where the share "
        "of rank r begins and ends.",
        "The length is pairs / ranks, rounded up. Count from rank * length to (rank + 1) * length, and take each "
        "number modulo pairs.",
    ),
)

_GIGABITS = (
    8 * 2 * 7 * 4 * PIX2PIX / 8 / 1e9
)  # billions of bits that each of 8 processes sends in a step

connection = Question(
    key="13.connection",
    title="which connection?",
    difficulty=2,
    minutes=6,
    expected=lambda: _GIGABITS / (0.020 / 0.9 - 0.020),
    answer="answer_3 = 8 * (2 * 7 * 4 * 57_182_660 / 8) / (0.020 / 0.9 - 0.020) / 1e9",
    wrong=(
        (
            _GIGABITS / 0.020,
            "You leave 20 ms for sending. That would be an efficiency of one half.",
        ),
        (
            _GIGABITS / (0.1 * 0.020),
            "You leave a tenth of the 20 ms for sending. It must be a tenth of the whole step, which is longer.",
        ),
        (
            _GIGABITS / 8 / (0.020 / 0.9 - 0.020),
            "Those are gigabytes per second. A byte has 8 bits.",
        ),
        (
            _GIGABITS / (0.020 / 0.9),
            "You may send during the whole step here; but nothing overlaps.",
        ),
        (
            _GIGABITS / 7 * 8 / (0.020 / 0.9 - 0.020),
            "Each process sends 2 (n - 1) / n times its numbers; your factor is 2.",
        ),
        (
            _GIGABITS / 2 / (0.020 / 0.9 - 0.020),
            "Each number is sent nearly twice: (n - 1) / n is half of the factor.",
        ),
        (
            _GIGABITS / 4 / (0.020 / 0.9 - 0.020),
            "You send numbers of 1 byte each; a float32 has 4.",
        ),
        (
            _GIGABITS / 7 * 4 / (0.020 / 0.9 - 0.020),
            "You send each number once. In a ring a process sends 2 (n - 1) / n times its numbers.",
        ),
        (
            _GIGABITS * 1e9 / (0.020 / 0.9 - 0.020),
            "Your number is in bit/s. A Gbit is a billion bits.",
        ),
        (_GIGABITS * 0.9 / 0.1 / 0.020 / 1000, "Your number is in Tbit/s: a thousand Gbit/s."),
    ),
    hints=(
        "At an efficiency of 90 %, how long is the whole step if computing takes 20 ms? What is left for sending?",
        "The time for sending is 0.020 / 0.9 - 0.020 seconds. Each process sends 2 * 7 / 8 * 4 bytes per parameter.",
    ),
)
