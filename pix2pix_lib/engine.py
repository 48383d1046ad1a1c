"""How a training step is computed: precision, memory layout, kernels. The method stays the same.

The plain engine is the loop as the paper describes it, in float32. A fast engine computes the
convolutions in 16 bits where the hardware does that faster, keeps the channels of a pixel together
in memory, and updates all parameters in one pass. Losses, parameters and the optimiser's state are
float32 in every engine.

Source: Micikevicius et al. 2018, "Mixed precision training", sections 3.1 (float32 master weights)
and 3.2 (loss scaling); Chellapilla et al. 2006, "High performance convolutional neural networks for
document processing", section 4 (a convolution as a matrix product).
"""

import math
import time
from collections.abc import Callable, Iterable
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from functools import partial

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from .config import TrainConfig
from .devices import device_of
from .layers import record_shapes
from .validation import InputError, check_choice

PRECISIONS = ("auto", "float32", "bf16", "fp16")
DTYPES = {"float32": torch.float32, "bf16": torch.bfloat16, "fp16": torch.float16}
SMALL_MAP = 256  # positions up to which a CPU multiplies matrices faster than it convolves
GRAPH_BATCH = 4  # up to this batch size a GPU waits for Python more than for arithmetic
WARM_UP = 3  # steps before a graph is recorded, so that all lazy set-up is done


@dataclass(frozen=True)
class Engine:
    """How steps are computed. `Engine()` is the plain one: eager float32, torch's default Adam.

    In bf16 and fp16 the generator's image is rounded to that precision (steps of up to 1/128 and
    1/1024 in [-1, 1]) before the losses see it in float32. In float32 a GPU from Ampere on computes
    convolutions with TF32's ten binary digits, torch's default.

    Args:
        precision: "float32", "bf16" or "fp16": the type of the convolutions.
        channels_last: keep all channels of a pixel side by side in memory.
        fused: let Adam read and write every number once an update.
        matmul_small_maps: compute convolutions of at most `SMALL_MAP` positions as matrix products
            (CPU only).
        compiled: let torch.compile fuse the element-wise operations.
        graph: record a whole step once and replay it (CUDA only).

    Raises:
        InputError: if `precision` is not known.
    """

    precision: str = "float32"
    channels_last: bool = False
    fused: bool = False
    matmul_small_maps: bool = False
    compiled: bool = False
    graph: bool = False

    def __post_init__(self):
        check_choice("precision", self.precision, PRECISIONS[1:])

    def autocast(self, device: torch.device) -> AbstractContextManager:
        """Return a context in which convolutions run in the engine's precision."""
        if self.precision == "float32":
            return nullcontext()
        return torch.autocast(device.type, DTYPES[self.precision])

    def make_scaler(self, device: torch.device) -> torch.amp.GradScaler:
        """Return what keeps small fp16 gradients from vanishing; idle in the other precisions."""
        return torch.amp.GradScaler(device.type, enabled=self.precision == "fp16")

    def make_adam(
        self, parameters: Iterable[nn.Parameter], lr: float, betas: tuple[float, float]
    ) -> torch.optim.Adam:
        """Return an Adam; its learning rate is a tensor for a graph, which records numbers."""
        parameters = list(parameters)
        options = {"betas": betas, "fused": self.fused or None}
        if self.graph:
            options["capturable"] = True
            return torch.optim.Adam(
                parameters, lr=torch.tensor(lr, device=parameters[0].device), **options
            )
        return torch.optim.Adam(parameters, lr=lr, **options)

    def prepare(self, network: nn.Module, example: Tensor | None = None) -> nn.Module:
        """Put a network into the memory layout of the engine; its parameters keep names and values.

        With `matmul_small_maps` and an `example` input (N, C, H, W), the convolutions whose maps
        are small there become matrix products.
        """
        if self.matmul_small_maps and example is not None:
            for name, layer in _small_convolutions(network, example).items():
                network.set_submodule(name, _as_product(layer))
        if self.channels_last:
            for parameter in _image_kernels(network):
                parameter.data = parameter.data.contiguous(memory_format=torch.channels_last)
            if device_of(network).type == "cpu":
                _keep_gradients_dense(network)
        return network

    def to_memory_format(self, images: Tensor) -> Tensor:
        """Return a batch (N, C, H, W) in the engine's memory format; shape and values stay."""
        if not self.channels_last:
            return images
        return images.contiguous(memory_format=torch.channels_last)

    def compile(self, network: nn.Module) -> Callable[..., Tensor]:
        """Return the network, compiled if the engine compiles; the network itself stays as is."""
        return torch.compile(network) if self.compiled else network


PLAIN = Engine()


def fast_engine(
    precision: str, device: torch.device, batch_size: int = 1, norm: str = "batch"
) -> Engine:
    """Return the fastest eager engine that is known for a precision on a device.

    Args:
        norm: that of the generator. Instance and group norm bring each map back from channels-last
            memory, which costs a CPU more than it saves (`python -m benchmarks.step --layouts`).
    """
    cuda, cpu = device.type == "cuda", device.type == "cpu"
    channels_last = cuda or (cpu and norm not in ("instance", "group"))
    # An fp16 scaler decides in Python, at every step: no graph.
    graph = cuda and precision != "fp16" and batch_size <= GRAPH_BATCH
    return Engine(precision, channels_last, fused=cuda or cpu, matmul_small_maps=cpu, graph=graph)


def choose_engine(
    config: TrainConfig,
    device: torch.device,
    trainer_factory: Callable,
    precision: str = "auto",
) -> tuple[Engine, str]:
    """Return the fast engine for a run in a precision, and the reason in a few words.

    `auto` goes by a GPU's compute capability. On a CPU nothing but the clock tells whether bf16 is
    computed in hardware, so two steps are timed in float32 and in bf16, on the config's networks.
    Torch's random numbers stay as they were.

    Args:
        trainer_factory: makes a trainer from (config, device, engine), as `training.make_trainer`.

    Raises:
        InputError: if `precision` is not one of `PRECISIONS`, or the device cannot compute in it.
    """
    check_choice("precision", precision, PRECISIONS)
    reason = "as asked for"
    fast = partial(fast_engine, device=device, batch_size=config.batch_size, norm=config.norm)
    if precision == "auto" and device.type == "cpu":
        seconds = {
            name: _probe(config, fast(name), trainer_factory) for name in ("float32", "bf16")
        }
        precision, reason = faster_precision(**seconds)
    elif precision == "auto":
        precision, reason = hardware_precision(device)
    if precision == "fp16" and device.type != "cuda":
        raise InputError(
            f"fp16 needs a GPU for its loss scaling; got device {device}: "
            f"choose auto, bf16 or float32"
        )
    return fast(precision), reason


def hardware_precision(device: torch.device) -> tuple[str, str]:
    """Return the precision that a GPU has in hardware, and the reason."""
    if device.type != "cuda":
        return "float32", f"nothing else has been tried on {device.type}"
    major, minor = torch.cuda.get_device_capability(device)
    name = f"compute capability {major}.{minor}"
    if major >= 8:
        return "bf16", f"{name} has it in hardware"
    if major >= 7:
        return "fp16", f"{name} has fp16 in hardware, but only emulates bf16"
    return "float32", f"{name} computes nothing faster"


def faster_precision(float32: float, bf16: float) -> tuple[str, str]:
    """Return the precision for a CPU from the seconds of a step in both, and the reason."""
    gain = float32 / bf16
    if gain > 1.1:
        return "bf16", f"a step is {gain:.1f} times as fast as in float32 here"
    return "float32", f"a step in bf16 is only {gain:.1f} times as fast here"


def _probe(config: TrainConfig, engine: Engine, trainer_factory: Callable) -> float:
    """Return the seconds of one step of the config's networks on random images, on the CPU."""
    with torch.random.fork_rng([]):
        trainer = trainer_factory(config, torch.device("cpu"), engine)
        real_a, real_b = (
            engine.to_memory_format(torch.rand(config.batch_size, channels, *config.shape) * 2 - 1)
            for channels in (config.in_channels, config.out_channels)
        )
        return step_seconds(lambda: trainer.step(real_a, real_b))


def step_seconds(step: Callable[[], object], repeats: int = 2) -> float:
    """Return the seconds of the fastest of `repeats` calls, after one to warm up."""
    step()
    seconds = []
    for _ in range(repeats):
        start = time.perf_counter()
        step()
        seconds.append(time.perf_counter() - start)
    return min(seconds)


class ConvAsProduct(nn.Conv2d):
    """A convolution computed as one matrix product: (N*H'*W', C*k*k) times (C*k*k, C').

    Each row of the first matrix is the window that an output position sees. For maps of few
    positions nearly all bytes are weights, and a product reads them just once, as they lie.
    Maps (N, C, H, W) to (N, C', H', W') as `nn.Conv2d` does, with the same parameters.
    """

    def forward(self, x: Tensor) -> Tensor:
        windows = F.unfold(
            x, self.kernel_size, padding=self.padding, stride=self.stride
        )  # (N, C*k*k, H'*W')
        y = F.linear(windows.transpose(1, 2), self.weight.flatten(1), self.bias)  # (N, H'*W', C')
        height = (x.shape[2] + 2 * self.padding[0] - self.kernel_size[0]) // self.stride[0] + 1
        return y.unflatten(1, (height, -1)).permute(0, 3, 1, 2)


class TransposedConvAsProduct(nn.ConvTranspose2d):
    """A transposed convolution as one product: each position makes a k x k stamp, which add up.

    Maps (N, C, H, W) to (N, C', H', W') as `nn.ConvTranspose2d` does, with the same parameters.
    """

    def forward(self, x: Tensor) -> Tensor:
        stamps = x.flatten(2).transpose(1, 2) @ self.weight.flatten(1)  # (N, H*W, C'*k*k)
        size = [
            (length - 1) * stride - 2 * padding + kernel + more
            for length, stride, padding, kernel, more in zip(
                x.shape[2:], self.stride, self.padding, self.kernel_size, self.output_padding
            )
        ]
        y = F.fold(
            stamps.transpose(1, 2), size, self.kernel_size, padding=self.padding, stride=self.stride
        )
        return y if self.bias is None else y + self.bias[:, None, None]


PRODUCTS = {nn.Conv2d: ConvAsProduct, nn.ConvTranspose2d: TransposedConvAsProduct}


def _as_product(layer: nn.Conv2d | nn.ConvTranspose2d) -> nn.Module:
    """Return a layer that computes the same as a product, on the same parameters."""
    more = {"output_padding": layer.output_padding} if isinstance(layer, nn.ConvTranspose2d) else {}
    product = PRODUCTS[type(layer)](
        layer.in_channels,
        layer.out_channels,
        layer.kernel_size,
        layer.stride,
        layer.padding,
        bias=layer.bias is not None,
        device="meta",
        **more,
    )
    product.weight, product.bias = layer.weight, layer.bias
    return product.train(layer.training)


def _small_convolutions(network: nn.Module, example: Tensor) -> dict[str, nn.Module]:
    """Return the convolutions, by name, that map few positions to few, for such a batch.

    The network runs in evaluation mode for a moment: a norm needs no second value there.
    """
    was_training = network.training
    try:
        rows = record_shapes(network.eval(), example, kinds=tuple(PRODUCTS))
    finally:
        network.train(was_training)
    return {
        row.name: row.module
        for row in rows
        if min(_positions(row.before), _positions(row.after)) <= SMALL_MAP
        and _can_be_product(row.module)
    }


def _positions(shape: tuple[int, ...]) -> int:
    """Return how many positions a batch of maps (N, C, H, W) has: N * H * W."""
    return shape[0] * math.prod(shape[2:])


def _can_be_product(layer: nn.Module) -> bool:
    """Return whether a convolution is of the plain kind that the products compute."""
    return (
        type(layer) in PRODUCTS
        and layer.groups == 1
        and layer.dilation == (1, 1)
        and layer.padding_mode == "zeros"
    )


def _image_kernels(network: nn.Module) -> Iterable[nn.Parameter]:
    """Return the kernels that slide over images: a product reads its weights as a plain matrix."""
    return (layer.weight for layer in network.modules() if type(layer) in PRODUCTS)


def _keep_gradients_dense(network: nn.Module) -> None:
    """Copy the gradient of a norm's output where it is a part of a larger tensor.

    Behind a skip it is a slice of the concatenation's gradient, and torch's batch norm on a CPU is
    many times slower on slices than on a copy.
    """

    def hook(layer: nn.Module, inputs: tuple[Tensor], output: Tensor) -> None:
        if output.requires_grad:
            output.register_hook(_dense)

    for block in getattr(network, "ups", ()):
        if hasattr(block, "norm"):  # a ResNet's have no skips
            block.norm.register_forward_hook(hook)


def _dense(gradient: Tensor) -> Tensor:
    if gradient.is_contiguous() or gradient.is_contiguous(memory_format=torch.channels_last):
        return gradient
    return gradient.contiguous(memory_format=torch.channels_last)


class GraphedStep:
    """A training step as one CUDA graph: recorded once, then replayed without Python in between.

    Called with a step and its batch, it returns what the step returns, a tuple of scalar tensors.
    The first `WARM_UP` calls, and batches of another shape than the first, run eagerly. The graph
    keeps memory of its own for a step's activations, beside that of eager steps and validation;
    only small batches are graphed (`GRAPH_BATCH`).
    """

    def __init__(self):
        self.reset()

    def reset(self) -> None:
        """Forget the recording: its tensors have been replaced, as by loading a checkpoint."""
        self.calls = 0
        self.shape: torch.Size | None = None
        self.graph: torch.cuda.CUDAGraph | None = None

    def __call__(
        self, step: Callable[[Tensor, Tensor], tuple[Tensor, ...]], real_a: Tensor, real_b: Tensor
    ) -> tuple[Tensor, ...]:
        self.calls += 1
        self.shape = self.shape or real_a.shape
        if self.calls <= WARM_UP:
            return self._warm_up(step, real_a, real_b)
        if real_a.shape != self.shape:
            return step(real_a, real_b)
        if self.graph is None:
            self._record(step, real_a, real_b)
        self.real_a.copy_(real_a)
        self.real_b.copy_(real_b)
        self.graph.replay()
        return tuple(loss.clone() for loss in self.losses)  # the next replay overwrites them

    def _warm_up(self, step: Callable, real_a: Tensor, real_b: Tensor) -> tuple[Tensor, ...]:
        """Run a step on a stream of its own: its set-up must not belong to the default stream."""
        stream = torch.cuda.Stream()
        stream.wait_stream(torch.cuda.current_stream())
        with torch.cuda.stream(stream):
            losses = step(real_a, real_b)
        torch.cuda.current_stream().wait_stream(stream)
        return losses

    def _record(self, step: Callable, real_a: Tensor, real_b: Tensor) -> None:
        """Record a step on copies of the batch; recording computes nothing."""
        self.real_a, self.real_b = real_a.clone(), real_b.clone()
        graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(graph):
            self.losses = step(self.real_a, self.real_b)
        self.graph = graph  # only now: a recording that failed is no recording
