"""A generator as one file that runs without this library: ONNX, or a program of torch.export.

It is never TorchScript. The exported network is the generator without dropout, so the same input
always gives the same image. Its norms take their statistics from the image at hand, as in the paper
(section 3.3); for one image this turns batch norm into an instance norm with the same scale and
shift. It maps real_a, (1, in_channels, H, W) in [-1, 1], to fake_b, (1, out_channels, H, W) in
[-1, 1]; H and W are any multiples of 2^depth.
"""

import copy
import importlib.util
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.export import Dim, ExportedProgram
from torch.fx.experimental import _config as symbolic_shapes

from .files import replacing
from .inference import smallest_side, translate
from .resnet import ResNetGenerator
from .unet import UNet
from .validation import InputError

Generator = UNet | ResNetGenerator

ENDINGS = (".onnx", ".pt2")
ONNX_PACKAGES = ("onnx", "onnxruntime", "onnxscript")
TOLERANCE = 1e-4  # in [-1, 1], where one of 255 grey steps is 0.0078
STAGES = 3  # how often `export_generator` reports progress


def export_generator(
    generator: Generator, path: Path | str, advance: Callable[[], object] = lambda: None
) -> float:
    """Write a generator as .onnx or .pt2, and return how far its images are from the module's.

    The file is run on random images of two sizes before it gets its name. The generator is left as
    it was.

    Args:
        advance: called after each of `STAGES` stages: traced, written, checked.

    Returns:
        The largest absolute difference, in units of [-1, 1].

    Raises:
        InputError: if the ending is another one, a package is missing or too old, or the file's
            images differ by `TOLERANCE` or more; no file is then left.
    """
    path = Path(path)
    check_exportable(path)
    generator = without_dropout(generator).cpu()
    program = trace(with_image_statistics(generator))
    advance()
    with replacing(path) as temporary:
        _write(program, temporary)
        advance()
        difference = largest_difference(load_exported(temporary), generator)
        if not difference < TOLERANCE:  # written so that nan fails too
            raise InputError(
                f"{path}: the exported file's images are {difference:.1e} off the module's; "
                f"expected less than {TOLERANCE:.0e}; nothing was kept. Try the other of "
                f"{' and '.join(ENDINGS)}"
            )
        advance()
    return difference


def check_exportable(path: Path) -> None:
    """Check that a file of this name could be written.

    Raises:
        InputError: if its ending is not known, or a package for it is missing.
    """
    if path.suffix not in ENDINGS:
        raise InputError(
            f"{path}: an export ends in {' or '.join(ENDINGS)}; got {path.suffix or 'no ending'}"
        )
    missing = [name for name in ONNX_PACKAGES if importlib.util.find_spec(name) is None]
    if path.suffix == ".onnx" and missing:
        raise InputError(
            f"{path}: writing and checking ONNX needs the package{'s' * (len(missing) > 1)} "
            f"{', '.join(missing)}; run: pip install {' '.join(missing)}"
        )


def without_dropout(generator: Generator) -> Generator:
    """Return a copy that never drops a feature, even in training mode."""
    generator = copy.deepcopy(generator)
    for module in generator.modules():
        if isinstance(module, nn.Dropout):
            module.p = 0.0
    return generator


def with_image_statistics(generator: Generator) -> Generator:
    """Return a copy in evaluation mode whose norms normalise each image by its own statistics."""
    generator = copy.deepcopy(generator)
    for parent in list(generator.modules()):
        for name, module in parent.named_children():
            if isinstance(module, nn.BatchNorm2d):
                norm = nn.InstanceNorm2d(module.num_features, eps=module.eps, affine=True)
                norm.weight, norm.bias = module.weight, module.bias
                setattr(parent, name, norm)
    return generator.eval()


def smallest_map(generator: Generator) -> int:
    """Return the smallest side of the innermost map that a generator takes."""
    return smallest_side(generator) // 2**generator.depth


def trace(generator: Generator) -> ExportedProgram:
    """Return a generator as a program for one image, its sides any multiples of 2^depth."""
    step, smallest = 2**generator.depth, smallest_map(generator)
    # Two different sides, lest they be taken for one.
    example = torch.zeros(1, generator.in_channels, 2 * step, 3 * step)
    sizes = {2: step * Dim("rows", min=smallest), 3: step * Dim("columns", min=smallest)}
    # Without this, torch takes a bottleneck of 1x1 for a special case, and the program refuses
    # images that lead to it: the paper's 256x256 with depth 8.
    with symbolic_shapes.patch(backed_size_oblivious=True), torch.no_grad():
        return torch.export.export(generator, (example,), dynamic_shapes=(sizes,))


def load_exported(path: Path) -> Callable[[Tensor], Tensor]:
    """Return the function that an exported file computes; ONNX runs in onnxruntime on the CPU."""
    if path.suffix == ".onnx":
        import onnxruntime  # optional: only exporting needs it

        with _naming_the_packages(path):
            session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
        return lambda real_a: torch.from_numpy(session.run(None, {"real_a": real_a.numpy()})[0])
    with warnings.catch_warnings():
        # torch 2.11 warns that it could write to the buffer it reads the weights from; it does not.
        warnings.filterwarnings("ignore", "The given buffer is not writable", UserWarning)
        return torch.export.load(path).module()


@torch.no_grad()
def largest_difference(exported: Callable[[Tensor], Tensor], generator: Generator) -> float:
    """Return the largest absolute difference between two networks' images.

    They are compared on random images of two sizes.
    """
    step, smallest = 2**generator.depth, smallest_map(generator)
    random = torch.Generator().manual_seed(0)
    differences = []
    # Neither is the size of the example that was traced.
    for rows, columns in ((smallest, smallest), (3, 2)):
        real_a = (
            2 * torch.rand(1, generator.in_channels, rows * step, columns * step, generator=random)
            - 1
        )
        differences.append((exported(real_a) - translate(generator, real_a)).abs().max())
    return float(torch.stack(differences).max())  # unlike Python's max, it keeps a nan


def _write(program: ExportedProgram, path: Path) -> None:
    if path.suffix == ".pt2":
        torch.export.save(program, path)
        return
    with _naming_the_packages(path):
        torch.onnx.export(
            program,
            dynamo=True,
            verbose=False,
            f=path,
            external_data=False,  # weights in the same file
            input_names=["real_a"],
            output_names=["fake_b"],
        )


@contextmanager
def _naming_the_packages(path: Path) -> Iterator[None]:
    """Turn errors of ONNX packages that do not fit each other or torch into one with the remedy.

    Raises:
        InputError: whatever the packages raise.
    """
    try:
        yield
    except Exception as error:  # versions that do not fit raise anything, even AttributeError
        reason = f"{type(error).__name__}: {' '.join(str(error).split())[:200]}"
        raise InputError(
            f"{path.suffix} could not be written and read back ({reason}); bring the packages up "
            f"to date: pip install --upgrade {' '.join(ONNX_PACKAGES)}, or export .pt2"
        ) from error
