"""How a training step is computed: precision, memory layout, kernels. It changes the time, not the method.

The plain engine is the loop as the paper describes it, in float32. A fast engine computes the convolutions in 16 bits
where the hardware does that faster, keeps the channels of a pixel together in memory, and updates all parameters in
one pass. Losses, parameters and the optimiser's state stay in float32 in every engine.

Source: Micikevicius et al. 2018, "Mixed precision training", sections 3.1 (float32 master weights) and 3.2 (loss
scaling); Chellapilla et al. 2006, "High performance convolutional neural networks for document processing", section 4
(a convolution as a matrix product).
"""

import time
from collections.abc import Callable, Iterable
from contextlib import AbstractContextManager
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from .costs import positions, record_convolutions
from .validation import check_choice

PRECISIONS = ("auto", "float32", "bf16", "fp16")
DTYPES = {"float32": torch.float32, "bf16": torch.bfloat16, "fp16": torch.float16}
SMALL_MAP = 256  # positions (batch * height * width) up to which a CPU multiplies matrices faster than it convolves
GRAPH_BATCH = 4  # up to this batch size a GPU waits for Python more than for arithmetic
WARM_UP = 3  # steps before a graph is recorded, so that all lazy set-up is done


@dataclass(frozen=True)
class Engine:
    """How steps are computed. `Engine()` is the plain one: eager float32, torch's default Adam.

    Args:
        precision: "float32", "bf16" or "fp16": the type of the convolutions. Losses and optimiser are in float32.
        channels_last: keep all channels of a pixel side by side in memory.
        fused: let Adam read and write every number once an update.
        small_maps: compute convolutions of at most `SMALL_MAP` positions as matrix products (CPU only).
        compiled: let torch.compile fuse the element-wise operations.
        graph: record a whole step once and replay it (CUDA only).

    Raises:
        ValueError: if `precision` is not known.
    """

    precision: str = "float32"
    channels_last: bool = False
    fused: bool = False
    small_maps: bool = False
    compiled: bool = False
    graph: bool = False

    def __post_init__(self):
        check_choice("precision", self.precision, PRECISIONS[1:])

    def autocast(self, device: torch.device) -> AbstractContextManager:
        """Return a context in which convolutions run in the engine's precision."""
        return torch.autocast(device.type, DTYPES[self.precision], enabled=self.precision != "float32")

    def make_scaler(self, device: torch.device) -> torch.amp.GradScaler:
        """Return what keeps small fp16 gradients from vanishing; it does nothing in the other precisions."""
        return torch.amp.GradScaler(device.type, enabled=self.precision == "fp16")

    def make_adam(self, parameters: Iterable[nn.Parameter], lr: float, betas: tuple[float, float]) -> torch.optim.Adam:
        """Return an Adam; for a graph its learning rate is a tensor, as a recorded number could not change."""
        parameters = list(parameters)
        if not self.graph:
            return torch.optim.Adam(parameters, lr=lr, betas=betas, fused=self.fused or None)
        lr = torch.tensor(lr, device=parameters[0].device)
        return torch.optim.Adam(parameters, lr=lr, betas=betas, fused=self.fused or None, capturable=True)

    def prepare(self, network: nn.Module, example: Tensor | None = None) -> nn.Module:
        """Lay a network out in memory as the engine needs it; its parameters keep their names and values.

        With `small_maps` and an `example` input (one image), the convolutions whose maps are small there become
        matrix products.
        """
        small = _small_convolutions(network, example) if self.small_maps and example is not None else {}
        for name, layer in small.items():
            network.set_submodule(name, _as_product(layer))
        if self.channels_last:
            for parameter in _image_kernels(network):
                parameter.data = parameter.data.contiguous(memory_format=torch.channels_last)
            if next(network.parameters()).device.type == "cpu":
                _keep_gradients_dense(network)
        return network

    def lay_out(self, images: Tensor) -> Tensor:
        """Return a batch (N, C, H, W) in the engine's memory format; shape and values stay."""
        return images.contiguous(memory_format=torch.channels_last) if self.channels_last else images

    def compile(self, network: nn.Module) -> Callable[..., Tensor]:
        """Return the network, compiled if the engine compiles; the network itself stays as it is."""
        return torch.compile(network) if self.compiled else network


PLAIN = Engine()


def fast_engine(precision: str, device: torch.device, batch_size: int = 1) -> Engine:
    """Return the fastest eager engine that is known for a precision on a device."""
    cuda, cpu = device.type == "cuda", device.type == "cpu"
    graph = cuda and precision != "fp16" and batch_size <= GRAPH_BATCH  # a scaler decides in Python, at every step
    return Engine(precision, channels_last=cuda or cpu, fused=cuda or cpu, small_maps=cpu, graph=graph)


def choose_precision(device: torch.device, probe: Callable[[str], float]) -> tuple[str, str]:
    """Return the precision for a device, and the reason in a few words.

    Args:
        probe: returns the seconds of one training step in a precision; called only on a CPU, where nothing but the
            clock tells whether bf16 is computed in hardware.
    """
    if device.type == "cuda":
        major, minor = torch.cuda.get_device_capability(device)
        if major >= 8:
            return "bf16", f"compute capability {major}.{minor} has it in hardware"
        if major >= 7:
            return "fp16", f"compute capability {major}.{minor} has fp16 in hardware, but only emulates bf16"
        return "float32", f"compute capability {major}.{minor} computes nothing faster"
    if device.type != "cpu":
        return "float32", f"nothing else has been tried on {device.type}"
    gain = probe("float32") / probe("bf16")
    if gain > 1.1:
        return "bf16", f"a step is {gain:.1f} times as fast as in float32 here"
    return "float32", f"a step in bf16 is only {gain:.1f} times as fast here"


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

    Each row of the first matrix is the window that an output position sees. For maps of few positions the weights are
    nearly all that has to be moved, and a product reads them just once and as they lie. Maps (N, C, H, W) to
    (N, C', H', W') as `nn.Conv2d` does, with the same parameters.
    """

    def forward(self, x: Tensor) -> Tensor:
        windows = F.unfold(x, self.kernel_size, padding=self.padding, stride=self.stride)  # (N, C*k*k, H'*W')
        y = F.linear(windows.transpose(1, 2), self.weight.flatten(1), self.bias)  # (N, H'*W', C')
        height = (x.shape[2] + 2 * self.padding[0] - self.kernel_size[0]) // self.stride[0] + 1
        return y.unflatten(1, (height, -1)).permute(0, 3, 1, 2)


class TransposedConvAsProduct(nn.ConvTranspose2d):
    """A transposed convolution as one product: each position's features become a k x k stamp, and stamps add up.

    Maps (N, C, H, W) to (N, C', H', W') as `nn.ConvTranspose2d` does, with the same parameters.
    """

    def forward(self, x: Tensor) -> Tensor:
        stamps = x.flatten(2).transpose(1, 2) @ self.weight.flatten(1)  # (N, H*W, C'*k*k)
        size = [(length - 1) * stride - 2 * padding + kernel + more for length, stride, padding, kernel, more
                in zip(x.shape[2:], self.stride, self.padding, self.kernel_size, self.output_padding)]
        y = F.fold(stamps.transpose(1, 2), size, self.kernel_size, padding=self.padding, stride=self.stride)
        return y if self.bias is None else y + self.bias[:, None, None]


PRODUCTS = {nn.Conv2d: ConvAsProduct, nn.ConvTranspose2d: TransposedConvAsProduct}


def _as_product(layer: nn.Conv2d | nn.ConvTranspose2d) -> nn.Module:
    """Return a layer that computes the same as a product, on the same parameters."""
    more = {"output_padding": layer.output_padding} if isinstance(layer, nn.ConvTranspose2d) else {}
    product = PRODUCTS[type(layer)](layer.in_channels, layer.out_channels, layer.kernel_size, layer.stride,
                                    layer.padding, bias=layer.bias is not None, device="meta", **more)
    product.weight, product.bias = layer.weight, layer.bias
    return product.train(layer.training)


def _small_convolutions(network: nn.Module, example: Tensor) -> dict[str, nn.Module]:
    """Return the convolutions, by name, that map few positions to few, for a batch like the example."""
    return {call.name: call.module for call in record_convolutions(network, example)
            if min(positions(call.before), positions(call.after)) <= SMALL_MAP and _can_be_product(call.module)}


def _can_be_product(layer: nn.Module) -> bool:
    """Tell whether a convolution is of the plain kind that the products compute."""
    return (type(layer) in PRODUCTS and layer.groups == 1 and layer.dilation == (1, 1)
            and layer.padding_mode == "zeros")


def _image_kernels(network: nn.Module) -> Iterable[nn.Parameter]:
    """Return the kernels that slide over images: a product reads its weights as a plain matrix."""
    return (layer.weight for layer in network.modules() if type(layer) in PRODUCTS)


def _keep_gradients_dense(network: nn.Module) -> None:
    """Copy the gradient of a norm's output into one piece of memory where it is a part of a larger one.

    Behind a skip that is a slice of the concatenation's gradient, and torch's batch norm on a CPU is many times slower
    on slices than on a copy.
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
    """A whole training step as one CUDA graph: recorded once, then replayed without Python between its kernels.

    Called with a batch, it returns what `step` returns: a tuple of scalar tensors. The first `WARM_UP` calls, and
    batches of another shape than the first, run step by step.
    """

    def __init__(self, step: Callable[[Tensor, Tensor], tuple[Tensor, ...]]):
        self.step, self.calls = step, 0
        self.shape: torch.Size | None = None
        self.graph: torch.cuda.CUDAGraph | None = None

    def __call__(self, real_a: Tensor, real_b: Tensor) -> tuple[Tensor, ...]:
        self.calls += 1
        self.shape = self.shape or real_a.shape
        if self.calls <= WARM_UP:
            return self._warm_up(real_a, real_b)
        if real_a.shape != self.shape:
            return self.step(real_a, real_b)
        if self.graph is None:
            self._record(real_a, real_b)
        self.real_a.copy_(real_a)
        self.real_b.copy_(real_b)
        self.graph.replay()
        return tuple(loss.clone() for loss in self.losses)  # the next replay overwrites them

    def _warm_up(self, real_a: Tensor, real_b: Tensor) -> tuple[Tensor, ...]:
        """Run one step on a stream of its own: what it sets up must not belong to the default stream."""
        stream = torch.cuda.Stream()
        stream.wait_stream(torch.cuda.current_stream())
        with torch.cuda.stream(stream):
            losses = self.step(real_a, real_b)
        torch.cuda.current_stream().wait_stream(stream)
        return losses

    def _record(self, real_a: Tensor, real_b: Tensor) -> None:
        """Record a step on copies of the batch; recording computes nothing."""
        self.real_a, self.real_b = real_a.clone(), real_b.clone()
        self.graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(self.graph):
            self.losses = self.step(self.real_a, self.real_b)
