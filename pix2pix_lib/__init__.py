"""pix2pix from its blocks to trained, evaluated translators: the library of the course.

What people use most can be imported from here; a module's own page has the rest.

    config          TrainConfig: all settings of a run; the networks they describe
    facades         procedural pairs from a seed
    layouts, images, encoding    pairs on disk; reading files, and what their values mean
    data, resizing, shards    pairs as tensors, one jitter for both images
    checking, making    faults of a folder of pairs; making such folders
    unet, patchgan, resnet, layers, systems    the networks
    losses          objectives of both networks, pixel losses
    receptive_field which pixels one output sees
    training, cyclegan, trainer    the steps, the loop over an epoch
    checkpoints, history, run_folder, pretrained, trained    runs and networks on disk
    inference, export    translating images; ONNX and torch.export
    engine, costs, processes, devices, threads    how a step is computed fast, on what, and together
    explorers, plots, checks    what the notebooks show

Commands: python -m pix2pix_lib.train, .translate, .evaluate, .prepare, .fetch, .page, .facades,
.earth, .continent; installed: pix2pix-train, pix2pix-translate and so on.
"""

from .threads import share_processor

__version__ = "0.1.0"

share_processor()  # from here on, whatever way leads into the course

_HOMES = {
    "TrainConfig": "config",
    "system_config": "config",
    "make_pair": "facades",
    "PairedDataset": "data",
    "find_pairs": "layouts",
    "find_dataset": "layouts",
    "UNet": "unet",
    "PatchDiscriminator": "patchgan",
    "ResNetGenerator": "resnet",
    "Pix2PixTrainer": "training",
    "make_trainer": "training",
    "CycleGANTrainer": "cyclegan",
    "make_cyclegan": "cyclegan",
    "load_generator": "checkpoints",
    "load_snapshot": "trained",
}
__all__ = ["__version__", *_HOMES]


def __getattr__(name: str):
    """Import a name from its module when it is first asked for: torch takes seconds."""
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from importlib import import_module

    return getattr(import_module(f".{_HOMES[name]}", __name__), name)
