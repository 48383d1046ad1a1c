"""Train with less than is needed: python tests/starved_run.py LIMIT BYTES FLAGS... (of pix2pix_lib.train).

tests/test_faults.py starts this as a process of its own. LIMIT is a name in `resource`:
RLIMIT_FSIZE stands for a full disk, as a write beyond it fails; RLIMIT_AS for a small memory,
counted from what the imports have taken.
"""

import resource
import signal
import sys
from pathlib import Path

from pix2pix_lib import train


def main(limit: str, size: str, *flags: str) -> int:
    size = int(size)
    if limit == "RLIMIT_AS":
        import torch._dynamo  # noqa: F401 - torch imports it with the first optimiser: not what is to be starved

        size += int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
    else:
        signal.signal(
            signal.SIGXFSZ, signal.SIG_IGN
        )  # the write then fails as on a full disk, and kills nobody
    resource.setrlimit(getattr(resource, limit), (size, size))
    return train.main(flags)


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
