"""Imports between modules go one way (see LEVELS), and each heavy library has one home."""

import ast
import re
import sys
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parent.parent / "pix2pix_lib"
# A module may import what comes before it, in its own level or in an earlier one.
LEVELS = [
    ["threads", "validation", "files", "progress", "cli", "limits", "attempts"],
    ["images", "layers", "losses", "receptive_field", "devices", "processes", "randomness"],
    ["facades.plans", "facades.paint", "facades.make", "facades", "facades.__main__"],
    ["facades.messy", "earth", "continent", "resizing"],
    ["naming", "groups", "seams", "layouts", "encoding", "data", "looks", "checking", "shards"],
    ["streaming", "making", "corruptions", "unet", "patchgan", "resnet", "systems", "segmenter"],
    ["environment"],
    ["config", "inference", "engine", "costs", "trainer"],
    ["evaluation", "training", "cyclegan", "history", "checkpoints", "export", "trained"],
    ["checks", "plots", "run_data", "run_folder", "foreign", "pretrained"],
    ["agreement", "tasks.base", "tasks.questions", "tasks.trials", "tasks.writing"],
    [f"tasks.{path.stem}" for path in sorted((PACKAGE / "tasks").glob("lesson_*.py"))],
    ["tasks", "course"],
    ["explorers.drawing", "explorers.picture", "explorers.panel", "explorers.canvas"],
    ["explorers.shown", "explorers.base"],
    ["explorers.dataset", "explorers.unet", "explorers.receptive_field", "explorers.patches"],
    ["explorers.losses", "explorers.designer", "explorers.player", "explorers.normalization"],
    ["explorers.vote", "explorers.painter", "explorers.stepper"],
    ["train", "translate", "evaluate", "page", "prepare", "fetch"],
]
ORDER = [module for level in LEVELS for module in level]
HOMES = {
    "matplotlib": {"plots"},
    "ipywidgets": {"explorers.panel"},
    "anywidget": {"explorers.canvas"},
    "traitlets": {"explorers.canvas"},
    "IPython": {"plots", "progress", "explorers.shown"},
    "torchvision": {"resizing", "corruptions"},
    "safetensors": {"checkpoints"},
    "scipy": {"continent", "evaluation", "looks", "checking", "making"},
    "skimage": {"evaluation", "making", "tasks.lesson_11"},
    "tqdm": {"progress"},
    "filelock": {"files"},
    "platformdirs": {"files"},
    "psutil": {"devices", "threads"},
    "onnxruntime": {"export"},
    "tifffile": {"images", "encoding"},
    "webdataset": {"shards"},
}
ALLOWED = {"torch", "numpy", "PIL", "packaging", *HOMES}


MODULES = sorted(PACKAGE.rglob("*.py"))


def name_of(path: Path) -> str:
    """Return a module's name within the package, such as explorers.base."""
    return ".".join(path.relative_to(PACKAGE).with_suffix("").parts).removesuffix(".__init__")


def imports(path: Path) -> tuple[set[str], set[str]]:
    """Return the course's modules and the other packages that a file imports at any place."""
    inside, outside = set(), set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.ImportFrom) and node.level:
            folder = path.parents[node.level - 1].relative_to(PACKAGE).parts
            names = [node.module] if node.module else [alias.name for alias in node.names]
            inside |= {".".join([*folder, name]) for name in names}
        elif isinstance(node, ast.ImportFrom):
            outside.add(node.module.split(".")[0])
        elif isinstance(node, ast.Import):
            outside |= {alias.name.split(".")[0] for alias in node.names}
    return inside, outside


each_module = pytest.mark.parametrize("path", MODULES, ids=name_of)


@each_module
def test_module_imports_only_what_stands_below_it(path):
    if name_of(path) in ("__init__", "explorers"):
        inside, outside = imports(path)
        assert inside <= {"threads"} and outside <= {"importlib"}
        return
    assert name_of(path) in ORDER, f"{path.name} has no place in LEVELS yet"
    inside, _ = imports(path)
    assert inside <= set(ORDER[: ORDER.index(name_of(path))])


@each_module
def test_each_library_has_one_home(path):
    _, outside = imports(path)
    third_party = outside - set(sys.stdlib_module_names)
    assert third_party <= ALLOWED
    assert all(name_of(path) in HOMES[name] for name in third_party if HOMES.get(name))


@each_module
def test_only_one_module_talks_to_other_processes(path):
    """What `processes` promises about collective calls holds only if no other module makes any."""
    source = path.read_text(encoding="utf-8")
    talks = re.search(r"torch\.distributed|\bdist\.|DistributedDataParallel", source)
    assert bool(talks) == (name_of(path) == "processes")


def public_definitions(path: Path) -> list[ast.FunctionDef | ast.ClassDef]:
    """Return a module's functions, classes and methods without a leading underscore."""
    found = [n for n in ast.parse(path.read_text(encoding="utf-8")).body if is_public(n)]
    methods = [m for n in found if isinstance(n, ast.ClassDef) for m in n.body if is_public(m)]
    return found + methods


def is_public(node: ast.stmt) -> bool:
    return isinstance(node, ast.FunctionDef | ast.ClassDef) and not node.name.startswith("_")


@each_module
def test_public_functions_say_what_they_do_and_return(path):
    """Each has a summary line and a type for its result."""
    for node in public_definitions(path):
        if isinstance(node, ast.FunctionDef) and node.name != "forward":
            is_property = any(getattr(d, "id", "") == "property" for d in node.decorator_list)
            overrides = node.name in ("draw", "limits", "set_epoch", "state_dict", "emit", "error")
            summary = (ast.get_docstring(node) or "").split("\n\n")[0]
            assert is_property or overrides or summary.endswith((".", ":")), node.name
            is_cell = name_of(path).startswith("tasks.lesson_")  # the notebook's own text
            assert is_cell or node.returns is not None, f"{node.name} does not say what it returns"
