"""Looking at a run, or interrupting it at any instruction, leaves it as it was."""

import gc
import sys
import threading
import weakref
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from test_training import assert_same_state, run, snapshot
from torch import nn
from torch.utils.data import TensorDataset

import pix2pix_lib
from pix2pix_lib.checks import check_same
from pix2pix_lib.config import make_generator, system_config
from pix2pix_lib.cyclegan import make_cyclegan
from pix2pix_lib.engine import fast_engine
from pix2pix_lib.explorers.dataset import DatasetExplorer
from pix2pix_lib.explorers.designer import FacadeDesigner, RectanglePainter
from pix2pix_lib.explorers.losses import LossExplorer
from pix2pix_lib.explorers.normalization import NormalizationExplorer
from pix2pix_lib.explorers.patches import PatchExplorer
from pix2pix_lib.explorers.player import TrainingPlayer
from pix2pix_lib.explorers.receptive_field import ReceptiveFieldExplorer
from pix2pix_lib.explorers.unet import UNetExplorer
from pix2pix_lib.inference import translate
from pix2pix_lib.layers import record_shapes
from pix2pix_lib.training import make_trainer

LIBRARY = str(Path(pix2pix_lib.__file__).parent)
EXPLORERS = (
    DatasetExplorer, FacadeDesigner, LossExplorer, NormalizationExplorer, PatchExplorer,
    ReceptiveFieldExplorer, RectanglePainter, TrainingPlayer, UNetExplorer,
)  # fmt: skip


@pytest.fixture
def cycle_config():
    return system_config(
        "cyclegan", image_size=32, base_channels=2, disc_channels=4, disc_layers=1, blocks=1
    )


# --- interruptions --------------------------------------------------------------------------------


def interrupted_at(line: int, action) -> bool:
    """Interrupt an action before the library runs this line, counted from 0.

    Returns whether the action ran that many lines.
    """
    left = line

    def trace(frame, event, argument):
        nonlocal left
        if not frame.f_code.co_filename.startswith(LIBRARY):
            return None
        if event == "line":
            if left == 0:
                sys.settrace(None)
                raise KeyboardInterrupt
            left -= 1
        return trace

    before = sys.gettrace()
    sys.settrace(trace)
    try:
        action()
    except KeyboardInterrupt:
        return True
    finally:
        sys.settrace(before)
    return False


def modes(trainer) -> list:
    """Return what an update may change temporarily: modes, frozen weights, hooks."""
    modules = [module for network in trainer.networks.values() for module in network.modules()]
    learning = [[p.requires_grad for p in m.parameters(recurse=False)] for m in modules]
    hooks = [(len(m._forward_hooks), len(m._forward_pre_hooks)) for m in modules]
    return [[module.training for module in modules], learning, hooks]


@pytest.mark.parametrize("kind", ["pix2pix", "cyclegan"])
def test_update_interrupted_at_any_line_can_be_made_again(kind, tiny_config, cycle_config):
    make = make_trainer if kind == "pix2pix" else make_cyclegan
    config = tiny_config if kind == "pix2pix" else cycle_config
    trainer, batch = make(config), torch.rand(2, 1, 3, 32, 32)
    before, line = modes(trainer), 0
    while interrupted_at(line, lambda: trainer.step(*batch)):
        # This once raised "element 0 of tensors does not require grad".
        record = trainer.step(*batch)
        assert modes(trainer) == before, line
        assert all(torch.isfinite(torch.as_tensor(v)) for v in vars_of(record))
        line += 1
    assert line > 30


def vars_of(record) -> list:
    return [getattr(record, name) for name in type(record).__slots__]


def test_epoch_interrupted_at_any_line_counts_for_nothing(tiny_config, tiny_pairs):
    """The trainer repeats the interrupted epoch, starting from its current weights."""
    trainer = make_trainer(replace(tiny_config, epochs=10_000))
    line = 0
    while interrupted_at(line, lambda: run(trainer, tiny_pairs, 1)):
        assert len(trainer.history) == trainer.steps == 5 * trainer.epoch, line
        line += 7
    assert line > 300


@pytest.mark.parametrize("fails", [KeyboardInterrupt, RuntimeError])
def test_network_that_is_borrowed_comes_back_as_it_was_if_it_fails(fails, tiny_config):
    """This holds for every function that runs somebody's network, if it raises half-way."""

    def fail(*_):
        raise fails

    def borrowers(network):
        image = torch.rand(1, 3, 32, 32)
        yield lambda: translate(network, image)
        yield lambda: fast_engine("float32", torch.device("cpu")).prepare(network, image)
        yield lambda: record_shapes(network, image, kinds=(nn.Conv2d,))
        yield lambda: check_same(network, make_generator(tiny_config), image)
        twin = make_generator(tiny_config)
        twin.load_state_dict(network.state_dict())
        yield lambda: check_same(twin, network, image)

    for training in (True, False):
        generator = make_generator(tiny_config).train(training)
        handle = generator.head.register_forward_hook(fail)
        before, hooks = snapshot(generator), len(generator.head._forward_hooks)
        for borrow in borrowers(generator):
            with pytest.raises(fails):
                borrow()
            assert all(module.training == training for module in generator.modules())
            left = {m: len(m._forward_hooks) for m in generator.modules() if m._forward_hooks}
            assert left == {generator.head: hooks}
            assert_same_state(before, snapshot(generator))
        handle.remove()


# --- sliders during training ----------------------------------------------------------------------


def settings(explorer):
    """Yield a setting for both ends of each control."""
    for name, control in explorer.controls.items():
        other = explorer.range(name) if hasattr(control, "low") else (True, False)
        ends = getattr(control, "options", None) or other
        for value in (ends[0], ends[-1]):
            yield {name: value}


@pytest.mark.parametrize("kind", EXPLORERS, ids=lambda kind: kind.__name__)
def test_explorers_leave_the_random_numbers_of_the_process_alone(kind, monkeypatch):
    """Not even for a moment, because another thread may draw from them just then."""
    explorer = kind()
    before = torch.get_rng_state()

    def touched(*_, **__):
        pytest.fail("the process-wide random numbers were set")

    with monkeypatch.context() as patch:
        for name in ("manual_seed", "set_rng_state", "seed"):
            patch.setattr(torch, name, touched)
            patch.setattr(torch.random, name, touched)
        for setting in settings(explorer):
            explorer.set(**setting)
        kind()
    assert torch.equal(before, torch.get_rng_state())


@pytest.mark.parametrize("kind", ["pix2pix", "cyclegan"])
def test_sliders_moved_during_a_training_do_not_change_it(
    kind, tiny_config, cycle_config, tiny_pairs
):
    """JupyterLab may run widgets in another thread; the run is the same bit for bit.

    Dropout and jitter are on.
    """
    make = make_trainer if kind == "pix2pix" else make_cyclegan
    config = tiny_config if kind == "pix2pix" else cycle_config
    config = replace(config, epochs=30)

    class Jittered(TensorDataset):
        def __getitem__(self, index):
            return tuple(side + 0.1 * torch.rand(()) for side in super().__getitem__(index))

    pairs = Jittered(*tiny_pairs.tensors)
    straight = make(config)
    run(straight, pairs, 12)

    watched, moved, stop = make(config), [], threading.Event()
    explorers = [PatchExplorer(), RectanglePainter(), DatasetExplorer(), ReceptiveFieldExplorer()]
    errors = []

    def move_sliders():
        try:
            while not stop.is_set():
                for explorer in explorers:
                    for setting in settings(explorer):
                        explorer.set(**setting)
                        if stop.is_set():
                            return
                    moved.append(explorer)
                    watched.translate(pairs.tensors[0][:1])  # with the network that is learning
        except Exception as error:
            errors.append(error)

    thread = threading.Thread(target=move_sliders)
    thread.start()
    try:
        run(watched, pairs, 12)
        assert not errors
    finally:
        stop.set()
        thread.join()
    assert moved and not errors
    assert_same_state(straight.state_dict(), watched.state_dict())
    assert straight.history == watched.history


# --- lifetimes ------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["pix2pix", "cyclegan"])
@pytest.mark.parametrize("engine", ["plain", "fast"])
def test_trainer_s_memory_is_free_as_soon_as_nobody_holds_it(
    kind, engine, tiny_config, cycle_config, tiny_pairs
):
    """It does not wait for the garbage collector: two of the paper's trainers take 1.7 GiB."""
    make = make_trainer if kind == "pix2pix" else make_cyclegan
    config = tiny_config if kind == "pix2pix" else cycle_config
    options = () if engine == "plain" else ("cpu", fast_engine("float32", torch.device("cpu")))
    gc.collect()
    gc.disable()
    try:
        trainer = make(config, *options)
        run(trainer, tiny_pairs, 1)
        kept = [weakref.ref(trainer), *(weakref.ref(n) for n in trainer.networks.values())]
        del trainer
        assert [reference() for reference in kept] == [None] * len(kept)
    finally:
        gc.enable()
