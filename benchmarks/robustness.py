"""Whether the outcomes that notebooks and tests assert hold in other circumstances, and how amply.

    python -m benchmarks.robustness                  all notebooks, eight circumstances each: hours
    python -m benchmarks.robustness 06 10 --runs 3   only these, in the first three circumstances
    python -m benchmarks.robustness --tests          tests that train; or those that are named
    python -m benchmarks.robustness --fresh 04       forget what earlier calls have found

A conclusion that depends on the processor, or on the seed, is no lesson. Comparisons in `assert`
statements note both of their sides while the code runs with two threads and with one, with other
seeds, with first weights disturbed by a millionth (which stands for another processor), and in
bf16. A line for each comparison whose sides differ between the runs says where it stands (code
cells count from 1), the values and the bound, and the median and worst distance to the bound in the
direction in which the assertion holds. It `holds` if the worst distance is at least a third of the
median, else it is `too close`; or it FAILS in some run. Whatever else raises has a line, too.

Results are kept, a file for each notebook and circumstance, and used again while the code cells are
the same: a call that was broken off goes on where it stopped. They do not know about changes of the
library; after those use --fresh.
"""

import argparse
import ast
import asyncio
import builtins
import hashlib
import importlib.machinery
import json
import math
import numbers
import operator
import os
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

import nbformat
import torch
from nbclient import NotebookClient
from nbclient.exceptions import CellTimeoutError

from pix2pix_lib.engine import PLAIN
from pix2pix_lib.files import replacing

ROOT = Path(__file__).parent.parent
NOTEBOOKS = ROOT / "notebooks"
TESTS = [
    *(f"tests/test_{name}.py" for name in ("engine", "training", "cyclegan", "train", "trained")),
    "tests/explorers",
]
OPERATORS = {
    "Lt": operator.lt, "LtE": operator.le, "Gt": operator.gt, "GtE": operator.ge,
    "Eq": operator.eq, "NotEq": operator.ne, "Is": operator.is_, "IsNot": operator.is_not,
    "In": lambda a, b: a in b, "NotIn": lambda a, b: a not in b, "truth": lambda value, _: value,
}  # fmt: skip
SIGNS = {"Lt": 1, "LtE": 1, "Gt": -1, "GtE": -1}  # of the right side in the distance to the bound


@dataclass(frozen=True)
class Circumstance:
    """What is different in a run; `seeds` is added to all seeds, `disturbance` is a seed or 0."""

    threads: int = 1
    seeds: int = 0
    disturbance: int = 0
    precision: str = "float32"


CIRCUMSTANCES = {
    "two-threads": Circumstance(threads=2),
    "one-thread": Circumstance(),
    **{f"seeds-{offset}": Circumstance(seeds=offset) for offset in (1, 2, 3)},
    **{f"disturbed-{seed}": Circumstance(disturbance=seed) for seed in (1, 2)},
    "bf16": Circumstance(precision="bf16"),
}


def main(argv: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("numbers", nargs="*", help="of notebooks, as 04; all if none is given")
    parser.add_argument("--tests", nargs="*", metavar="FILE", help="run test files or folders")
    parser.add_argument("--runs", type=int, help="only the first so many circumstances")
    parser.add_argument("--out", type=Path, default=ROOT / "runs/robustness", metavar="FOLDER")
    parser.add_argument("--fresh", action="store_true", help="delete their earlier results first")
    parser.add_argument("--jobs", type=int, default=1, help="runs of one thread side by side")
    arguments = parser.parse_args(argv)
    subjects = []
    if arguments.numbers or arguments.tests is None:
        paths = sorted(NOTEBOOKS.glob("[0-9][0-9]_*.ipynb"))
        chosen = arguments.numbers or [path.name[:2] for path in paths]
        subjects += [Notebook(path) for path in paths if path.name[:2] in chosen]
    if arguments.tests is not None:
        subjects += [PytestFiles(ROOT / path) for path in arguments.tests or TESTS]
    if not subjects:
        parser.error(f"no notebook has such a number: {', '.join(arguments.numbers)}")
    everything_holds = True
    for subject in subjects:
        if arguments.fresh:
            for file in arguments.out.glob(f"{subject.name}.*.json"):
                file.unlink()
        names = list(CIRCUMSTANCES)[: arguments.runs]
        for line in report(subject.name, run_all(subject, names, arguments.out, arguments.jobs)):
            print(line, flush=True)
            everything_holds &= line.endswith("holds")
    return 0 if everything_holds else 1


# --- circumstances ------------------------------------------------------------------------------


def environment(name: str) -> dict[str, str]:
    """Return the environment variables of a process that runs in a circumstance."""
    own = ("OMP_NUM_THREADS", "PIX2PIX_BUDGET")
    variables = {key: value for key, value in os.environ.items() if key not in own}
    return variables | ({"OMP_NUM_THREADS": "1"} if CIRCUMSTANCES[name].threads == 1 else {})


def prepare(name: str) -> None:
    """Put this process into a circumstance, and the recorder where instrumented code finds it."""
    circumstance = CIRCUMSTANCES[name]
    builtins.__record__ = RECORDER
    torch.set_num_threads(circumstance.threads)
    object.__setattr__(PLAIN, "precision", circumstance.precision)
    if circumstance.seeds:
        shift_seeds(circumstance.seeds)
    if circumstance.disturbance:
        disturb_first_weights(circumstance.disturbance)


def shift_seeds(offset: int) -> None:
    """Add a number to every seed of torch's own generator, and of those that are made from now on.

    To both: what promises the numbers that follow `torch.manual_seed` keeps its promise.
    """
    manual_seed = torch.manual_seed

    class Generator(torch.Generator):
        def manual_seed(self, seed: int) -> torch.Generator:
            return super().manual_seed(seed + offset)

    torch.Generator = Generator
    torch.manual_seed = lambda seed: manual_seed(seed + offset)


def disturb_first_weights(seed: int) -> None:
    """Let each new Adam multiply its parameters by 1 + 1e-6 * noise.

    The noise is the same for each optimiser: networks that are equal on purpose stay equal.
    """
    original = torch.optim.Adam.__init__

    def __init__(self, *args, **kwargs):
        original(self, *args, **kwargs)
        generator = torch.Generator().manual_seed(seed)
        for parameter in (p for group in self.param_groups for p in group["params"]):
            noise = torch.randn(parameter.shape, generator=generator)
            parameter.data.mul_(1 + 1e-6 * noise.to(parameter))

    torch.optim.Adam.__init__ = __init__


# --- recording ----------------------------------------------------------------------------------


class Recorder:
    """Evaluates comparisons, and keeps of each the evaluation that came closest to failing."""

    def __init__(self):
        self.records: dict[tuple, dict] = {}
        self.errors: list[dict] = []
        self.test: str | None = None  # the test that runs

    def __call__(
        self, place: str, index: int, source: str, wanted: bool, name: str, left, right=None
    ) -> bool:
        """Return a comparison's truth value, or that of `left` alone; it should be as `wanted`."""
        result = bool(OPERATORS[name](left, right))
        record = {"where": self.test or place, "index": index, "source": source}
        key = tuple(record.values())
        record |= {"held": result is wanted, "left": None, "right": None, "margin": 0.0}
        sides = (as_number(left), as_number(right)) if name in SIGNS else (None,)
        if None not in sides:
            margin = (sides[1] - sides[0]) * SIGNS[name] * (1 if wanted else -1)
            margin = -math.inf if math.isnan(margin) else margin
            record |= {"left": sides[0], "right": sides[1], "margin": margin}
        kept = self.records.setdefault(key, record)
        if (record["held"], record["margin"]) < (kept["held"], kept["margin"]):
            self.records[key] = record
        return result

    def write(self, path: str) -> None:
        found = {"records": list(self.records.values()), "errors": self.errors}
        Path(path).write_text(json.dumps(found), encoding="utf-8")


RECORDER = Recorder()


def as_number(value) -> float | None:
    """Return a number, or a tensor or array of one without dimensions, as a float, else None."""
    if getattr(value, "ndim", None) == 0:
        value = value.item()
    is_number = isinstance(value, numbers.Real) and not isinstance(value, bool)
    return float(value) if is_number else None


class Instrument(ast.NodeTransformer):
    """Replaces in `assert` statements what must be true by calls of the recorder.

    Those are the parts of an `and`, the items of an `all`, and what comes last in an `or`: once it
    is evaluated, nothing else can save the assertion. What may be true or false, as a condition in
    a comprehension, stays as it is. Under a `not` all is the other way round.
    """

    def __init__(self, place: str):
        self.place, self.count = place, 0

    def visit_Assert(self, node: ast.Assert) -> ast.Assert:
        node.test = self.claim(node.test, wanted=True)
        return node

    def claim(self, node: ast.expr, wanted: bool) -> ast.expr:
        """Return an expression with the same value whose parts are recorded."""
        match node:
            case ast.UnaryOp(op=ast.Not()):
                node.operand = self.claim(node.operand, not wanted)
            case ast.BoolOp(op=op, values=values):
                first = 0 if isinstance(op, ast.And) is wanted else len(values) - 1
                values[first:] = [self.claim(value, wanted) for value in values[first:]]
            case ast.Call(
                func=ast.Name(id=name), args=[ast.GeneratorExp() | ast.ListComp() as loop]
            ) if name == ("all" if wanted else "any"):
                loop.elt = self.claim(loop.elt, wanted)
            case ast.Compare(ops=[op], left=left, comparators=[right]):
                return self.call(node, wanted, type(op).__name__, left, right)
            case ast.Compare():
                return self.claim(self.unchain(node), wanted)
            case _:
                return self.call(node, wanted, "truth", node)
        return node

    def call(self, node: ast.expr, wanted: bool, name: str, *operands: ast.expr) -> ast.Call:
        self.count += 1
        source = getattr(node, "source", None) or ast.unparse(node)
        head = (self.place, self.count, source if wanted else f"not {source}", wanted, name)
        arguments = [*map(ast.Constant, head), *operands]
        return ast.Call(ast.Name("__record__", ast.Load()), arguments, keywords=[])

    def unchain(self, node: ast.Compare) -> ast.BoolOp:
        """Return `a < b < c` as `a < (name := b) and name < c`."""
        links, left = [], node.left
        for op, (before, right) in zip(node.ops, pairwise([node.left, *node.comparators])):
            name = f"_robustness_{self.count}_{len(links)}"
            link = ast.Compare(left, [op], [ast.NamedExpr(ast.Name(name, ast.Store()), right)])
            link.source = ast.unparse(ast.Compare(before, [op], [right]))
            links.append(link)
            left = ast.Name(name, ast.Load())
        return ast.BoolOp(ast.And(), links)


def instrument_cell(source: str, place: str) -> str:
    """Return a cell's code with its assertions recorded; unchanged if it is not plain Python."""
    instrument = Instrument(place)
    try:
        tree = instrument.visit(ast.parse(source))
    except SyntaxError:
        return source
    return ast.unparse(ast.fix_missing_locations(tree)) if instrument.count else source


# --- notebooks and tests ------------------------------------------------------------------------


@dataclass(frozen=True)
class Notebook:
    path: Path

    @property
    def name(self) -> str:
        return self.path.stem

    def content(self) -> str:
        """Return what must be the same for a stored result to be used again."""
        cells = nbformat.read(self.path, as_version=4).cells
        return repr([cell.source for cell in cells if cell.cell_type == "code"])

    def run(self, name: str, file: Path) -> dict:
        """Execute an instrumented copy, which writes its records to a file; returns all it found.

        Raises:
            CellTimeoutError, RuntimeError: if the notebook did not come to its end.
        """
        notebook = nbformat.read(self.path, as_version=4)
        first, last = (
            nbformat.v4.new_code_cell(
                f"import sys\nsys.path.insert(0, {str(ROOT)!r})\n"
                f"from benchmarks import robustness\nrobustness.{call}\ndel robustness, sys"
            )
            for call in (f"prepare({name!r})", f"RECORDER.write({str(file)!r})")
        )
        notebook.cells = [first, *notebook.cells, last]
        cells = [cell for cell in notebook.cells if cell.cell_type == "code"]
        places = [f"{self.name[:2]} cell {number:2}" for number in range(len(cells))]
        for cell, place in zip(cells, places):  # number 0 is the one put in front
            cell.source = instrument_cell(cell.source, place)
        client = NotebookClient(
            notebook,
            timeout=1800,
            allow_errors=True,
            record_timing=False,
            extra_arguments=["--log-level=ERROR"],
            on_notebook_start=let_signals_through,
            resources={"metadata": {"path": self.path.parent}},
        )
        asyncio.run(client.async_execute(env=environment(name)))
        errors = [
            {"where": place, "message": f"{output.ename}: {output.evalue}"}
            for cell, place in zip(cells, places)
            for output in cell.outputs
            if output.output_type == "error"
        ]
        return json.loads(file.read_text(encoding="utf-8")) | {"errors": errors}


def let_signals_through(notebook: nbformat.NotebookNode) -> None:
    """Undo nbclient's handlers, with which Ctrl-C ends the kernel but not this program."""
    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().remove_signal_handler(number)


@dataclass(frozen=True)
class PytestFiles:
    """A test file, or a folder of them, for pytest with this module as a plugin."""

    path: Path

    @property
    def name(self) -> str:
        return "_".join(self.path.with_suffix("").parts[-2:])

    def content(self) -> str:
        """Return what must be the same for a stored result to be used again."""
        files = sorted(self.path.rglob("*.py")) if self.path.is_dir() else [self.path]
        return repr([file.read_text(encoding="utf-8") for file in files])

    def run(self, name: str, file: Path) -> dict:
        """Run the tests, which write what they find to a file; returns that.

        Raises:
            RuntimeError: if pytest did not come to its end.
        """
        options = ["-pbenchmarks.robustness", "-pno:cacheprovider", "--assert=plain"]
        options += ["-oaddopts="]  # in one process
        done = subprocess.run(
            [sys.executable, "-m", "pytest", *options, self.path],
            cwd=ROOT,
            env=environment(name) | {"ROBUSTNESS": name, "ROBUSTNESS_RECORDS": str(file)},
            capture_output=True,
            text=True,
        )
        if done.returncode not in (0, 1):  # all passed, or some failed
            raise RuntimeError(f"pytest ended with {done.stdout[-2000:]}{done.stderr[-2000:]}")
        return json.loads(file.read_text(encoding="utf-8"))


class Finder(importlib.machinery.PathFinder):
    """Finds test modules, to be imported with their assertions recorded."""

    @classmethod
    def find_spec(cls, fullname, path=None, target=None):
        spec = super().find_spec(fullname, path, target) if fullname.startswith("test_") else None
        if spec:
            spec.loader = Loader(fullname, spec.origin)
        return spec


class Loader(importlib.machinery.SourceFileLoader):
    def get_code(self, fullname: str):
        """Return the instrumented code, which is never stored as bytecode."""
        tree = Instrument(fullname).visit(ast.parse(self.get_data(self.path)))
        return compile(ast.fix_missing_locations(tree), self.path, "exec", dont_inherit=True)


def pytest_configure() -> None:
    sys.meta_path.insert(0, Finder)
    prepare(os.environ["ROBUSTNESS"])


def pytest_runtest_setup(item) -> None:
    RECORDER.test = item.nodeid


def pytest_exception_interact(node, call) -> None:
    RECORDER.errors.append({"where": node.nodeid, "message": call.excinfo.exconly()})


def pytest_sessionfinish() -> None:
    RECORDER.write(os.environ["ROBUSTNESS_RECORDS"])


# --- runs and what they found -------------------------------------------------------------------


def run_all(
    subject: Notebook | PytestFiles, names: list[str], out: Path, jobs: int
) -> list[dict | None]:
    """Return what each circumstance found. Runs with several threads have the machine alone."""
    alone = [name for name in names if CIRCUMSTANCES[name].threads > 1]
    others = [name for name in names if name not in alone]
    found = [find(subject, name, out) for name in alone]
    with ThreadPoolExecutor(jobs) as pool:
        side_by_side = pool.map if jobs > 1 else map
        return found + list(side_by_side(lambda name: find(subject, name, out), others))


def find(subject: Notebook | PytestFiles, name: str, out: Path) -> dict | None:
    """Return a stored result, or run and store it; None if the run broke off."""
    file = out / f"{subject.name}.{name}.json"
    digest = hashlib.sha256(subject.content().encode()).hexdigest()
    if file.is_file():
        stored = json.loads(file.read_text(encoding="utf-8"))
        if stored["digest"] == digest:
            return stored
    start, result = time.perf_counter(), None
    try:
        with tempfile.TemporaryDirectory() as folder:
            result = {"digest": digest, **subject.run(name, Path(folder, "records.json"))}
        with replacing(file) as temporary:
            temporary.write_text(json.dumps(result, indent=1), encoding="utf-8")
        outcome = f"{len(result['errors'])} raised"
    except (CellTimeoutError, RuntimeError) as error:  # a kernel that died is a RuntimeError
        outcome = f"broke off: {error}"
    seconds = time.perf_counter() - start
    print(f"{subject.name}, {name}: {seconds:.0f} s, {outcome}", file=sys.stderr, flush=True)
    return result


def report(name: str, results: list[dict | None]) -> list[str]:
    """Return a line for each comparison that varies or fails, each error, and what broke off."""
    found: dict[tuple, list[dict]] = {}
    raised: dict[tuple, list[str]] = {}
    for result in filter(None, results):
        failed = {record["where"] for record in result["records"] if not record["held"]}
        for record in result["records"]:
            key = record["where"], record["index"], record["source"]
            found.setdefault(key, []).append(record)
        for error in result["errors"]:
            kind = error["message"].split(":")[0]
            if kind != "AssertionError" or error["where"] not in failed:  # else it has a line
                raised.setdefault((error["where"], kind), []).append(error["message"])
    lines = [
        " | ".join([where, source, *describe(records), verdict])
        for (where, _, source), records in sorted(found.items())
        if (verdict := judge(records))
    ]
    for (where, _), messages in sorted(raised.items()):
        text = " ".join(messages[0].split())[:200]
        lines.append(f"{where} | {text} | raised in {len(messages)} of {len(results)}")
    if broken := results.count(None):
        lines.append(f"{name} | broke off in {broken} of {len(results)}")
    return lines


def judge(records: list[dict]) -> str | None:
    """Return the verdict on the runs of one comparison; None if it is not an outcome of them."""
    if failures := sum(not record["held"] for record in records):
        return f"FAILS in {failures} of {len(records)}"
    if len({(record["left"], record["right"]) for record in records}) == 1:
        return None
    margins = [record["margin"] for record in records]
    return "holds" if min(margins) >= statistics.median(margins) / 3 else "too close"


def describe(records: list[dict]) -> list[str]:
    """Return the sides of a comparison, and the distances between them, in words."""
    if records[0]["left"] is None:
        return []
    values, bounds = ([record[side] for record in records] for side in ("left", "right"))
    if len(set(values)) == 1:
        values, bounds = bounds, values
    margins = [record["margin"] for record in records]
    worst, median = min(margins), statistics.median(margins)
    ratio = f"{worst / median:.2f}" if median > 0 else "none"
    return [
        f"{span(values)} in {len(values)} runs against {span(bounds)}",
        f"median {median:.3g}, worst {worst:.3g}, ratio {ratio}",
    ]


def span(values: list[float]) -> str:
    low, high = f"{min(values):.4g}", f"{max(values):.4g}"
    return low if low == high else f"{low} to {high}"


if __name__ == "__main__":
    sys.exit(main())
