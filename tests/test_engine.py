"""Fast engines: the same numbers in less time."""

import copy
import shutil
from contextlib import contextmanager
from dataclasses import replace

import pytest
import torch
from test_training import assert_same_state, run
from torch import nn
from torch.utils.data import TensorDataset

from pix2pix_lib import engine as engines
from pix2pix_lib import processes
from pix2pix_lib.checkpoints import load_checkpoint, save_checkpoint
from pix2pix_lib.config import TrainConfig, make_generator, system_config
from pix2pix_lib.cyclegan import make_cyclegan
from pix2pix_lib.engine import (
    PLAIN,
    WARM_UP,
    ConvAsProduct,
    Engine,
    GraphedStep,
    TransposedConvAsProduct,
    choose_engine,
    fast_engine,
    faster_precision,
    hardware_precision,
)
from pix2pix_lib.facades import facade_tensors
from pix2pix_lib.training import make_trainer

CPU = torch.device("cpu")
CONFIG = TrainConfig(
    image_size=32, base_channels=8, disc_channels=8, disc_layers=1, depth=4, dropout=0.0,
    lr=2e-4, epochs=100, seed=3,
)  # fmt: skip


NO_GPU = pytest.mark.skipif(not torch.cuda.is_available(), reason="there is no GPU")
NO_COMPILER = pytest.mark.skipif(
    not (shutil.which("g++") or shutil.which("clang++")),
    reason="torch.compile needs a C++ compiler, and there is none",
)
# Three warnings of torch.compile: it reads the .grad of every tensor and fails to hide the warning
# that this causes; torch 2.11 imports its own deprecated TorchScript; and it advises against
# Python 3.13.0.
COMPILE_WARNINGS = [
    pytest.mark.filterwarnings(f"ignore:{text}")
    for text in (
        "The .grad attribute of a Tensor that is not a leaf Tensor",
        "`torch.jit.script_method` is deprecated",
        "Guards may run slower on Python 3.13.0",
    )
]
EAGER = [
    pytest.param(device, fast_engine(name, torch.device(device)), id=f"{device}-{name}", marks=mark)
    for device, names, mark in (
        ("cpu", ("float32", "bf16"), ()),
        ("cuda", ("float32", "bf16", "fp16"), NO_GPU),
    )
    for name in names
]


@pytest.fixture(scope="module")
def facades():
    pairs = [facade_tensors(seed, 32) for seed in range(40)]
    return TensorDataset(torch.stack([a for a, _ in pairs]), torch.stack([b for _, b in pairs]))


@pytest.fixture(scope="module")
def plain_losses(facades):
    return losses_of_200_steps(facades, "cpu", PLAIN)


def losses_of_200_steps(dataset, device, engine, config=CONFIG) -> torch.Tensor:
    """Return loss_d, loss_g_gan and loss_g_l1 of each step, (200, 3)."""
    trainer = make_trainer(config, device, engine)
    while len(trainer.history) < 200:
        run(trainer, dataset, 1)
    return torch.tensor([[r.loss_d, r.loss_g_gan, r.loss_g_l1] for r in trainer.history[:200]])


@pytest.mark.parametrize(("device", "engine"), EAGER)
def test_losses_stay_near_those_of_plain_float32_for_200_steps(
    device, engine, facades, plain_losses
):
    assert_near(losses_of_200_steps(facades, device, engine), plain_losses)


COMPILED = replace(PLAIN, compiled=True)


@pytest.mark.parametrize(
    "compiled", [pytest.param(COMPILED, id="cpu", marks=[NO_COMPILER, *COMPILE_WARNINGS])]
)
def test_compiled_losses_stay_near_those_of_plain_float32_for_200_steps(compiled, facades):
    config = replace(CONFIG, depth=2, disc_layers=0)  # every layer takes long to compile
    losses = losses_of_200_steps(facades, "cpu", compiled, config)
    assert_near(losses, losses_of_200_steps(facades, "cpu", PLAIN, config))


def assert_near(losses: torch.Tensor, expected: torch.Tensor) -> None:
    """Check that losses differ by less than 0.06, means of 20 by 0.02, the first three by 0.005.

    This holds only without dropout, whose noise depends on the memory format.
    """
    difference = (losses - expected).abs()
    assert difference.max() < 0.06
    assert difference.reshape(10, 20, 3).mean(dim=1).max() < 0.02
    assert difference[:3].max() < 5e-3  # before small differences grow


def same_convolution(layer, product, x):
    product.load_state_dict(layer.state_dict())
    copies = [x.clone().requires_grad_() for _ in range(2)]
    results = [net(copy) for net, copy in zip((layer, product), copies, strict=True)]
    torch.testing.assert_close(results[1], results[0])
    weights = torch.randn_like(results[0])
    for result in results:
        (result * weights).sum().backward()
    torch.testing.assert_close(copies[1].grad, copies[0].grad)
    for name, parameter in layer.named_parameters():
        torch.testing.assert_close(product.get_parameter(name).grad, parameter.grad)


@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize(
    ("kernel", "stride", "padding"), [(4, 2, 1), (3, 1, 1), (4, 1, 1), (1, 1, 0), (7, 1, 3)]
)
@pytest.mark.parametrize("size", [(8, 8), (7, 10)])
def test_convolution_as_product_is_the_convolution(kernel, stride, padding, bias, size):
    options = {"kernel_size": kernel, "stride": stride, "padding": padding, "bias": bias,
               "dtype": torch.float64}  # fmt: skip
    x = torch.randn(3, 5, *size, dtype=torch.float64)
    same_convolution(nn.Conv2d(5, 6, **options), ConvAsProduct(5, 6, **options), x)
    transposed = nn.ConvTranspose2d(5, 6, **options)
    same_convolution(transposed, TransposedConvAsProduct(5, 6, **options), x)


@pytest.mark.parametrize("size", [(8, 8), (7, 10)])
def test_output_padding_survives_as_a_product(size):
    """The ResNet generator upsamples with 3x3 kernels, which need one more row and column."""
    options = {"kernel_size": 3, "stride": 2, "padding": 1, "output_padding": 1}
    layer = nn.ConvTranspose2d(5, 6, **options, dtype=torch.float64)
    x = torch.randn(3, 5, *size, dtype=torch.float64)
    product = Engine(matmul_small_maps=True).prepare(nn.Sequential(layer), x[:1])
    assert isinstance(product[0], TransposedConvAsProduct)
    assert product(x).shape == (3, 6, 2 * size[0], 2 * size[1])
    torch.testing.assert_close(product(x), layer(x))


def test_only_convolutions_on_small_maps_become_products():
    config = TrainConfig(image_size=128, base_channels=4, depth=5, upsampling="transposed")
    generator = make_generator(config)
    weights = {name: value.clone() for name, value in generator.state_dict().items()}
    fast_engine("float32", CPU).prepare(generator, torch.zeros(1, 3, 128, 128))
    # On the way down, maps of 64 and 32 pixels are large, those of 16, 8 and 4 small; on the way
    # up, maps of 4, 8 and 16 pixels are small, and that of 32 is large.
    downs, ups = [type(b.conv) for b in generator.downs], [type(b.upsample) for b in generator.ups]
    assert downs == [nn.Conv2d] * 2 + [ConvAsProduct] * 3
    assert ups == [TransposedConvAsProduct] * 3 + [nn.ConvTranspose2d]
    assert weights.keys() == generator.state_dict().keys()
    assert all(torch.equal(value, weights[name]) for name, value in generator.state_dict().items())


def test_prepared_network_gives_the_same_image_and_gradients():
    plain, fast = make_generator(CONFIG), make_generator(CONFIG)
    fast.load_state_dict(plain.state_dict())
    fast_engine("float32", CPU).prepare(fast, torch.zeros(2, 3, 32, 32))
    x = torch.rand(2, 3, 32, 32) * 2 - 1
    for network in (plain, fast):
        network(x).square().sum().backward()
    torch.testing.assert_close(fast(x), plain(x))
    for name, parameter in plain.named_parameters():
        gradient = fast.get_parameter(name).grad
        torch.testing.assert_close(gradient, parameter.grad, rtol=1e-3, atol=1e-3)


def test_preparing_leaves_running_averages_and_mode_alone():
    generator = make_generator(CONFIG)
    before = [value.clone() for value in generator.buffers()]
    fast_engine("float32", CPU).prepare(generator, torch.rand(1, 3, 32, 32))
    assert generator.training
    assert all(torch.equal(a, b) for a, b in zip(before, generator.buffers(), strict=True))


@pytest.mark.parametrize(("device", "engine"), EAGER)
def test_images_parameters_moments_and_losses_are_float32_in_every_engine(device, engine, facades):
    trainer = make_trainer(CONFIG, device, engine)
    learn, images = trainer.step_generator, []
    trainer.step_generator = lambda *batch: images.extend(batch) or learn(*batch)
    real_a, real_b = (engine.to_memory_format(side[:1].to(device)) for side in facades.tensors)
    record = trainer.step(real_a, real_b)
    assert [image.dtype for image in images] == [torch.float32] * 3
    for optimizer in (trainer.optimizer_g, trainer.optimizer_d):
        for parameter, state in optimizer.state.items():
            for tensor in (parameter, parameter.grad, state["exp_avg"]):
                assert tensor.dtype == torch.float32
    losses = record.loss_d, record.loss_g_gan, record.loss_g_l1
    assert {loss.dtype for loss in losses} == {torch.float32}


def test_bf16_engine_convolves_in_bf16():
    trainer = make_trainer(CONFIG, "cpu", fast_engine("bf16", CPU))
    seen = set()
    for network in (trainer.generator, trainer.discriminator):
        for layer in network.modules():
            if isinstance(layer, nn.Conv2d | nn.ConvTranspose2d):
                layer.register_forward_hook(lambda layer, inputs, output: seen.add(output.dtype))
    trainer.step(*torch.rand(2, 1, 3, 32, 32))
    assert seen == {torch.bfloat16}
    assert trainer.translate(torch.rand(1, 3, 32, 32)).dtype == torch.float32


@pytest.mark.parametrize(
    ("before", "after"),
    [("plain", "float32"), ("float32", "plain"), ("bf16", "plain"), ("float32", "bf16")],
)
def test_run_goes_on_with_another_engine(before, after, facades, tmp_path):
    made = {"plain": PLAIN, **{name: fast_engine(name, CPU) for name in ("float32", "bf16")}}
    used = PLAIN, made[before], made[after]
    straight, first, second = (make_trainer(CONFIG, "cpu", engine) for engine in used)
    run(straight, facades, 2)
    run(first, facades, 1)
    save_checkpoint(tmp_path / "last.pt", first)
    load_checkpoint(tmp_path / "last.pt", second)
    for group in (*second.optimizer_g.param_groups, *second.optimizer_d.param_groups):
        assert bool(group["fused"]) == second.engine.fused
    for parameter, state in second.optimizer_g.state.items():
        assert state["exp_avg"].stride() == parameter.stride()
    run(second, facades, 1)
    for ours, expected in zip(second.history[40:], straight.history[40:], strict=True):
        assert ours.loss_g_l1 == pytest.approx(expected.loss_g_l1, abs=0.02)
        assert ours.loss_d == pytest.approx(expected.loss_d, abs=0.02)


@pytest.mark.parametrize("precision", ["float32", "bf16"])
def test_resume_is_bit_exact_in_fast_engines(precision, facades, tmp_path):
    config, engine = replace(CONFIG, dropout=0.5), fast_engine(precision, CPU)
    straight, first, second = (make_trainer(config, "cpu", engine) for _ in range(3))
    run(straight, facades, 2)
    run(first, facades, 1)
    save_checkpoint(tmp_path / "last.pt", first)
    load_checkpoint(tmp_path / "last.pt", second)
    run(second, facades, 1)
    assert second.history == straight.history
    assert_same_state(second.generator.state_dict(), straight.generator.state_dict())


@pytest.mark.parametrize(
    ("capability", "precision"),
    [((6, 1), "float32"), ((7, 5), "fp16"), ((8, 0), "bf16"), ((9, 0), "bf16")],
)
def test_precision_of_a_gpu_follows_its_capability(capability, precision, monkeypatch):
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda device: capability)
    chosen, reason = hardware_precision(torch.device("cuda"))
    assert chosen == precision and f"{capability[0]}.{capability[1]}" in reason


@pytest.mark.parametrize(("norm", "last"), [("batch", True), ("none", True), ("instance", False)])
def test_channels_last_memory_is_for_norms_that_keep_it_on_a_cpu(norm, last):
    config = replace(CONFIG, norm=norm, disc_norm=norm)
    for precision in ("float32", "bf16"):
        engine, _ = choose_engine(config, CPU, make_trainer, precision)
        assert engine.channels_last is last


@pytest.mark.parametrize(
    ("float32", "bf16", "precision", "ratio"),
    [(1.0, 0.5, "bf16", "2.0"), (1.0, 0.95, "float32", "1.1"), (0.6, 2.0, "float32", "0.3")],
)
def test_precision_of_a_cpu_follows_the_clock(float32, bf16, precision, ratio):
    chosen, reason = faster_precision(float32, bf16)
    assert chosen == precision and f" {ratio} times" in reason


def test_probe_changes_no_random_numbers():
    torch.manual_seed(5)
    before = torch.get_rng_state()
    chosen, reason = choose_engine(CONFIG, CPU, make_trainer)
    assert chosen == fast_engine(chosen.precision, CPU) and "times as fast" in reason
    assert torch.equal(before, torch.get_rng_state())


def test_graph_is_for_small_batches_on_a_gpu_without_scaler():
    cuda = torch.device("cuda")
    assert fast_engine("bf16", cuda, 1).graph and fast_engine("float32", cuda, 4).graph
    others = fast_engine("bf16", cuda, 16), fast_engine("fp16", cuda), fast_engine("bf16", CPU)
    assert not any(engine.graph for engine in others)


@pytest.mark.parametrize(
    ("precision", "words"),
    [("half", "precision must be one of auto, float32, bf16, fp16"), ("fp16", "fp16 needs a GPU")],
)
def test_precision_that_cannot_be_is_refused(precision, words):
    with pytest.raises(ValueError, match=words):
        choose_engine(CONFIG, CPU, make_trainer, precision)


def test_engine_refuses_an_unknown_precision():
    message = "precision must be one of float32, bf16, fp16; got 'int8'"
    with pytest.raises(ValueError, match=message):
        Engine("int8")


def count_up(graphed: GraphedStep, step, total: torch.Tensor) -> None:
    """Call a graphed step that adds to a total, and check each result."""
    for number in range(1, 9):
        rows = 1 if number == 6 else 2  # one batch is smaller
        a, b = torch.full((2, rows, 3), float(number), device=total.device)
        expected = total.item() + number**2 * a.numel()
        assert [loss.item() for loss in graphed(step, a, b)] == [expected, 2 * expected]


@NO_GPU
def test_graphed_step_makes_every_step_once():
    total = torch.zeros((), device="cuda")

    def step(a, b):
        total.add_((a * b).sum())
        return total * 1, total * 2

    count_up(GraphedStep(), step, total)


class RecordedStep:
    """A step like the one above, but for a CPU, with a stand-in for CUDA graphs.

    While a graph is being recorded, the step computes nothing; a replay computes it on the recorded
    tensors and overwrites the recorded results, as on a GPU.
    """

    def __init__(self, monkeypatch):
        self.total, self.recordings, self.is_recording = torch.zeros(()), [], False
        self.fails = False
        outer = self

        class Graph:
            def replay(self):
                a, b, results = outer.recordings[-1]
                for result, value in zip(results, outer.compute(a, b), strict=True):
                    result.copy_(value)

        @contextmanager
        def graph(_):
            self.is_recording = True
            try:
                yield
            finally:
                self.is_recording = False

        monkeypatch.setattr(torch.cuda, "CUDAGraph", Graph)
        monkeypatch.setattr(torch.cuda, "graph", graph)
        monkeypatch.setattr(GraphedStep, "_warm_up", lambda self, step, a, b: step(a, b))

    def compute(self, a, b):
        self.total.add_((a * b).sum())
        return self.total * 1, self.total * 2

    def __call__(self, a, b):
        if not self.is_recording:
            return self.compute(a, b)
        if self.fails:
            raise RuntimeError("operation not permitted when stream is capturing")
        self.recordings.append((a, b, (torch.zeros(()), torch.zeros(()))))
        return self.recordings[-1][2]


def test_order_of_warm_up_recording_and_replays_makes_every_step_once(monkeypatch):
    step = RecordedStep(monkeypatch)
    count_up(GraphedStep(), step, step.total)
    assert len(step.recordings) == 1


def test_graph_is_recorded_anew_once_its_tensors_have_been_replaced(monkeypatch):
    step, graphed = RecordedStep(monkeypatch), GraphedStep()
    count_up(graphed, step, step.total)
    step.total = torch.tensor(100.0)  # just as loading a checkpoint replaces Adam's moments
    graphed.reset()
    count_up(graphed, step, step.total)
    assert len(step.recordings) == 2


def test_recording_that_fails_is_no_recording(monkeypatch):
    step, graphed = RecordedStep(monkeypatch), GraphedStep()
    for _ in range(WARM_UP):
        graphed(step, *torch.ones(2, 2, 3))
    step.fails = True
    with pytest.raises(RuntimeError, match="capturing"):
        graphed(step, *torch.ones(2, 2, 3))
    step.fails = False
    count_up(graphed, step, step.total)


def test_loading_a_state_forgets_the_graph():
    trainer = make_trainer(CONFIG, "cpu", replace(PLAIN, graph=True))
    state = copy.deepcopy(trainer.state_dict())
    trainer._graphed.calls, trainer._graphed.graph = 9, "recorded"
    trainer.load_state_dict(state)
    assert trainer._graphed.calls == 0 and trainer._graphed.graph is None


def test_steps_of_several_processes_or_with_pools_are_not_graphed(monkeypatch):
    """Between the kernels, gradients travel to other processes, or a pool draws images."""
    graph = replace(PLAIN, graph=True)
    cycle = system_config("cyclegan", blocks=1, image_size=32, disc_layers=1, base_channels=2)
    assert make_trainer(CONFIG, "cpu", graph)._graphed
    assert not make_cyclegan(cycle, "cpu", graph)._graphed
    monkeypatch.setattr(processes, "is_distributed", lambda: True)
    monkeypatch.setattr(processes, "wrap_ddp", lambda network: network)
    assert not make_trainer(CONFIG, "cpu", graph)._graphed


def test_probing_asks_only_for_the_precisions_compared(monkeypatch):
    asked = []

    def probe(config, engine, make):
        asked.append(engine.precision)
        return 1.0

    monkeypatch.setattr(engines, "_probe", probe)
    assert choose_engine(CONFIG, CPU, make_trainer)[0].precision == "float32"
    assert asked == ["float32", "bf16"]
    bf16 = fast_engine("bf16", CPU)
    assert choose_engine(CONFIG, CPU, make_trainer, "bf16") == (bf16, "as asked for")
    assert asked == ["float32", "bf16"]


def test_step_seconds_warms_up_first(monkeypatch):
    clock = iter([0.0, 3.0, 10.0, 12.0])
    monkeypatch.setattr(engines.time, "perf_counter", lambda: next(clock))
    calls = []
    assert engines.step_seconds(lambda: calls.append(1)) == 2.0
    assert len(calls) == 3
