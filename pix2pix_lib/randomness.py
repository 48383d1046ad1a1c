"""Random numbers that follow from a seed, and leave those of everybody else alone."""

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor
from torch.overrides import TorchFunctionMode

WITH_GENERATOR = {torch.rand, torch.randn, torch.randint, torch.randperm}


def derive_seed(*numbers: int) -> int:
    """Return a seed for these numbers, as (seed, epoch, rank), unrelated to that of any others."""
    return int(np.random.SeedSequence(numbers).generate_state(1, np.uint64)[0] >> np.uint64(1))


class SeededRandom(TorchFunctionMode):
    """Within this context torch's dropout and random tensors follow from a seed, in this thread.

    `torch.manual_seed` would set numbers that the whole process shares: a training in another
    thread would go on differently. What is drawn here leaves them alone.

    It covers `F.dropout` and `F.dropout2d`, and so the layers `nn.Dropout` and `nn.Dropout2d`, and
    `torch.rand`, `randn`, `randint` and `randperm`.
    """

    def __init__(self, seed: int):
        super().__init__()
        self.seed = seed
        self.generators: dict[torch.device, torch.Generator] = {}

    def __torch_function__(self, func, types, args=(), kwargs=None):
        kwargs = kwargs or {}
        if func is F.dropout:
            return self._drop(*args, **kwargs)
        if func is F.dropout2d:
            return self._drop(*args, **kwargs, channels=True)
        if func in WITH_GENERATOR:
            device = torch.device(kwargs.get("device") or "cpu")
            kwargs = {"generator": self._generator(device), **kwargs}
        return func(*args, **kwargs)

    def _generator(self, device: torch.device) -> torch.Generator:
        if device not in self.generators:
            self.generators[device] = torch.Generator(device).manual_seed(self.seed)
        return self.generators[device]

    def _drop(
        self,
        input: Tensor,
        p: float = 0.5,
        training: bool = True,
        inplace: bool = False,
        channels: bool = False,
    ) -> Tensor:
        """Return F.dropout's result, or F.dropout2d's with `channels`, with noise of our own."""
        if not training or p == 0:
            return input
        shape = (*input.shape[:2], 1, 1) if channels else input.shape
        noise = torch.rand(shape, generator=self._generator(input.device), device=input.device)
        return input * ((noise >= p) / max(1 - p, 1e-9))
