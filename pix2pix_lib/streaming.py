"""A training set that is streamed from shards, shared out among processes and their workers.

What is random here follows from seed and epoch, the numbers of processes and of workers, and the
batch size. So a run that goes on from the end of an epoch gets the pairs that it would have got.
"""

import copy
import math
from collections.abc import Iterator
from itertools import cycle, islice

import torch
from torch import Tensor
from torch.utils.data import IterableDataset, get_worker_info

from . import processes
from .data import PairedDataset
from .randomness import derive_seed
from .shards import Shard, read_pairs, read_shard, webdataset

BUFFER = 1000  # pairs, in memory as files, of which a random one leaves when the next comes


class ShardDataset(IterableDataset):
    """The pairs of shards as (real_a, real_b), as `PairedDataset` returns them.

    An epoch puts the shards in random order and cuts their pairs into equal parts, one for each
    process and within it one for each worker; a buffer then shuffles the pairs of a part. A shard
    on a cut is read by both neighbours. So every pair comes once an epoch, except that a few of the
    first come again if the processes cannot share them equally, as with a `DistributedSampler`. The
    jitter of a pair follows from the seed, the epoch and the pair, as in a training from files.

    Args:
        shards: those of one split.
        buffer: how many pairs a worker shuffles at a time.
        options: those of `PairedDataset`.

    Raises:
        InputError: if a shard is damaged, or as `PairedDataset`.
    """

    in_memory = False

    def __init__(self, shards: list[Shard], buffer: int = BUFFER, **options):
        self.shards, self.buffer = shards, buffer
        self.images = PairedDataset(read_pairs(shards, 1), **options)
        self.set_epoch(0, 0, 1)

    def __len__(self) -> int:
        return sum(shard.pairs for shard in self.shards)

    def first(self, count: int) -> PairedDataset:
        """Return the first pairs of the shards, read into memory and without jitter."""
        images = copy.copy(self.images)
        images.pairs, images.jitter = read_pairs(self.shards, count), False
        return images

    def set_epoch(self, epoch: int, seed: int, batch_size: int) -> None:
        """Choose the epoch that comes next; to be called before a DataLoader copies the dataset."""
        self.epoch, self.seed, self.batch_size = epoch, seed, batch_size
        self.rank, self.world_size = processes.rank(), processes.world_size()

    def __iter__(self) -> Iterator[tuple[Tensor, Tensor]]:
        worker = get_worker_info()
        number, workers = (worker.id, worker.num_workers) if worker else (0, 1)
        seed = derive_seed(self.seed, self.epoch, 1, self.rank * workers + number)
        shuffle = webdataset().shuffle(self.buffer, initial=self.buffer, seed=seed)
        pairs = (
            pair
            for shard, first, last in self.pieces(number, workers)
            for pair in islice(read_shard(shard), first, last)
        )
        for index, pair in shuffle(pairs):
            with torch.random.fork_rng([]):
                torch.manual_seed(derive_seed(self.seed, self.epoch, 0, index))
                item = self.images.draw(pair)
            yield item

    def pieces(self, worker: int = 0, workers: int = 1) -> Iterator[tuple[Shard, int, int]]:
        """Yield what a worker of this process reads in this epoch: shard, first pair, end."""
        generator = torch.Generator().manual_seed(derive_seed(self.seed, self.epoch))
        order = torch.randperm(len(self.shards), generator=generator).tolist()
        start, stop = self._part(worker, workers)
        position = 0
        for index in cycle(order):
            shard = self.shards[index]
            first, last = max(start - position, 0), min(stop - position, shard.pairs)
            if first < last:
                yield shard, first, last
            position += shard.pairs
            if position >= stop:
                return

    def _part(self, worker: int, workers: int) -> tuple[int, int]:
        """Return where a worker's pairs begin and end in the order of the epoch.

        A DataLoader takes batch i from worker i modulo `workers`; only the last one may be small.
        """
        share = math.ceil(len(self) / self.world_size)
        steps = math.ceil(share / self.batch_size)
        sizes = [len(range(w, steps, workers)) * self.batch_size for w in range(workers)]
        sizes[(steps - 1) % workers] -= steps * self.batch_size - share
        start = self.rank * share + sum(sizes[:worker])
        return start, start + sizes[worker]
