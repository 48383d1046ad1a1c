"""Count the facade pairs that one process draws per second of processor time.

Run: python -m benchmarks.facades
"""

import argparse
import time

from pix2pix_lib.facades import make_pair


def pairs_per_second(size: int, count: int) -> float:
    """Return pairs per second of processor time over `count` pairs, after one uncounted pair."""
    make_pair(0, size)
    start = time.process_time()
    for seed in range(count):
        make_pair(seed, size)
    return count / (time.process_time() - start)


def main() -> None:
    """Measure each size three times and print the best result."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--sizes", type=int, nargs="+", default=[128, 256])
    parser.add_argument("--count", type=int, default=60, help="pairs in each measurement")
    arguments = parser.parse_args()
    print("| size | pairs per second and core | ms per pair |")
    print("|---|---|---|")
    for size in arguments.sizes:
        best = max(pairs_per_second(size, arguments.count) for _ in range(3))
        print(f"| {size} | {best:.0f} | {1000 / best:.1f} |")


if __name__ == "__main__":
    main()
