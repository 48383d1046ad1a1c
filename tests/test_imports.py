"""Which module may know which: imports run one way (see the list), and each heavy library has one home."""

import ast
import sys
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parent.parent / "pix2pix_lib"
LEVELS = [  # a module may import from the levels before its own, and from its own level what stands to its left
    ["validation", "files", "progress", "cli"],
    ["images", "tiling", "layers", "losses", "receptive_field", "devices", "costs", "processes", "engine",
     "facade_plans", "facade_paint", "facades"],
    ["data", "corruptions", "unet", "patchgan", "resnet", "systems", "environment"],
    ["training", "cyclegan", "checkpoints", "export", "trained"],
    ["checks", "plots"],
    ["explorers.drawing", "explorers.panel", "explorers.base"],
    [f"explorers.{name}" for name in
     ("dataset", "unet", "receptive_field", "patches", "losses", "designer", "player", "normalization")],
    ["train", "translate", "bundle"],
]
ORDER = [module for level in LEVELS for module in level]
HOMES = {"matplotlib": {"plots"}, "ipywidgets": {"explorers.panel"},
         "IPython": {"plots", "progress", "explorers.panel"},
         "torchvision": {"data", "corruptions"}, "safetensors": {"checkpoints"}, "tqdm": {"progress"},
         "filelock": {"files"}, "onnxruntime": {"export"}, "argparse": None}
ALLOWED = {"torch", "numpy", "PIL", "packaging", *HOMES}


MODULES = sorted(PACKAGE.rglob("*.py"))


def name_of(path: Path) -> str:
    """Return a module's name below the package, as explorers.base."""
    return ".".join(path.relative_to(PACKAGE).with_suffix("").parts)


def imports(path: Path) -> tuple[set[str], set[str]]:
    """Return the course's modules and the other top-level packages that a file imports, wherever in it."""
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
    if path.stem == "__init__":
        assert imports(path) == (set(), set())
        return
    assert name_of(path) in ORDER, f"{path.name} has no place in LEVELS yet"
    inside, _ = imports(path)
    assert inside <= set(ORDER[:ORDER.index(name_of(path))])


@each_module
def test_each_library_has_one_home(path):
    _, outside = imports(path)
    third_party = outside - set(sys.stdlib_module_names)
    assert third_party <= ALLOWED
    assert all(name_of(path) in HOMES[name] for name in third_party if HOMES.get(name))
