"""Train with too little disk or memory: python tests/starved_run.py LIMIT BYTES FLAGS...

FLAGS are those of pix2pix_lib.train. tests/test_faults.py starts this in a separate process. LIMIT
is a name in `resource`: RLIMIT_FSIZE imitates a full disk, because a write beyond it fails;
RLIMIT_AS imitates a small memory, counted on top of what the imports have taken.
"""

import resource
import signal
import sys
from pathlib import Path

from pix2pix_lib import train


def main(limit: str, size: str, *flags: str) -> int:
    size = int(size)
    if limit == "RLIMIT_AS":
        # torch imports this with the first optimiser, which is not what should run out of memory.
        import torch._dynamo  # noqa: F401

        size += int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
    else:
        # The write then fails as on a full disk, instead of killing the process.
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(getattr(resource, limit), (size, size))
    return train.main(flags)


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
