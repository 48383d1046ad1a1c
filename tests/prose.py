"""The prose of a notebook, and what stands behind it: outputs, code, and named claims."""

import ast
import re
import tomllib
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

VOLATILE = "nbval-ignore-output"  # the tag of cells whose numbers differ from machine to machine
SUMMARIES = ("Recap", "Common confusions", "Exercises")  # they look back on the whole notebook
HIDDEN = "\0"  # stands for each character that is no prose

NOT_PROSE = re.compile(
    r"```.*?```|<details>.*?</details>|\$\$.*?\$\$|\$[^$\n]+\$|`[^`]*`|<[^>]+>"
    r"|\[[^\]]*\]\([^)\s]*\.ipynb[^)]*\)|(?<=\])\([^)]*\)|^#.*?$|^\s*\d+\.\s|https?://\S+",
    re.DOTALL | re.MULTILINE,
)
NUMBER = re.compile(
    r"(?<![\w.])(\d{1,3}(?:,\d{3})+|\d+(?:\.\d+)?(?:e-?\d+)?|\.\d+)(?![\w]|\.\d)(\s?%)?"
)
LABEL = re.compile(  # a number after it is a name
    r"\b(?:notebooks?|exercises?|sections?|tables?|figures?|appendix|appendices|equations?|pages?"
    r"|chapters?|python|torch|pytorch|torchvision|ipywidgets|anywidget)"
    r"(?:\s[\d.]+(?:,|\sand|\sto|\sor)?)*\s$",
    re.IGNORECASE,
)
ROUGHLY = re.compile(r"\b(?:about|around|roughly|nearly|almost|some|approximately)\s$")
IDIOMS = re.compile(
    r"\b(?:at (?:most|least|best|worst)|rather than|other than|no longer|any longer|once more"
    r"|no more|any more|more or less|least squares|best[- ]known)\b",
    re.IGNORECASE,
)
GRADED = (
    "high|larg|small|low|big|fast|slow|strong|weak|sharp|near|close|wide|narrow|deep|shallow|bright"
    "|dark|cheap|steep|soft|hard|easi|noisi|smooth|rough|great|light|heavi|simpl|pal|flat|fin|coars"
    "|rich|poor|clean|quick|warm|cold|long|short|far|blurri|stead|thin|thick"
)
COMPARING = re.compile(
    r"\b(?:than|more|less|fewer|most|least|better|worse|best|worst|twice|doubles?|doubled"
    r"|half (?:as|of|the)|times (?:as|the|more|less|larg\w+|small\w+|fast\w+|slow\w+)"
    rf"|(?:{GRADED})(?:g|t|n|i|e)?(?:er|est|r|st)|farther|farthest)\b",
    re.IGNORECASE,
)


@dataclass
class Prose:
    """One markdown cell, with single spaces, and what came before it."""

    text: str
    shown: str  # the same, with HIDDEN where there is no prose
    here: list[str]  # the section's outputs and code so far, and the code that comes next
    anywhere: list[str]  # the notebook's
    before: str  # all outputs before it


@dataclass
class Claims:
    """The named claims of one notebook, from tests/claims/NN_name.toml."""

    numbers: list[dict] = field(default_factory=list)
    compared: list[dict] = field(default_factory=list)

    @classmethod
    def read(cls, path: Path) -> "Claims":
        return cls(**tomllib.loads(path.read_text(encoding="utf-8"))) if path.is_file() else cls()


def output_text(cell) -> str:
    """Return what a code cell has printed, with its pictures' alternative texts."""
    texts = []
    for output in cell.get("outputs", []):
        texts.append(output.get("text") or output.get("data", {}).get("text/plain") or "")
    return "\n".join("".join(text) for text in texts)


def read_prose(notebook) -> list[Prose]:
    """Return the markdown cells that follow the first output; References are left out."""
    found, section, everything, outputs = [], [], [], []
    for index, cell in enumerate(notebook.cells):
        if cell.cell_type == "code":
            outputs.append(output_text(cell))
            steady = VOLATILE not in cell.metadata.get("tags", [])
            texts = [cell.source, outputs[-1] if steady else ""]
            section += texts
            everything += texts
            continue
        for part in re.split(r"(?=^## )", cell.source, flags=re.MULTILINE):
            heading = re.match(r"## (.*)", part)
            if heading:
                section = list(everything) if heading[1].strip() in SUMMARIES else []
            if any(outputs) and not (heading and heading[1].strip() == "References"):
                text, shown = visible(part)
                coming = [after.source for after in notebook.cells[index + 1 : index + 2]]
                found.append(
                    Prose(text, shown, section + coming, list(everything), "\n".join(outputs))
                )
    return found


def visible(source: str) -> tuple[str, str]:
    """Return a text with single spaces, and the same with HIDDEN where there is no prose."""
    shown = NOT_PROSE.sub(lambda match: HIDDEN * len(match[0]), source)
    shown = re.sub(r"(?<=\d)[x\u00d7](?=\d)", " ", shown)
    text, masked = [], []
    for plain, hidden in zip(source, shown, strict=True):
        if plain.isspace():
            if text and text[-1] == " ":
                continue
            plain = hidden = " "
        text.append(plain)
        masked.append(hidden)
    return "".join(text), "".join(masked)


def evidence(match: re.Match, prose: Prose) -> list[float]:
    """Return the values that a number may repeat: those of its section; small ones, of any."""
    return values_in(prose.anywhere if re.fullmatch(r"\d", match[1]) else prose.here)


def values_in(texts: list[str]) -> list[float]:
    """Return all numbers in some texts, without their signs."""
    joined = re.sub(r"(?<=\d)[x\u00d7](?=\d)", " ", "\n".join(texts)).replace("_", "")
    found = re.findall(r"(?<![A-Za-z])\d{1,3}(?:,\d{3})+|\d*\.?\d+(?:e[-+]?\d+)?", joined)
    return [float(value.replace(",", "")) for value in found]


def numbers(prose: Prose) -> Iterator[re.Match]:
    """Yield the numbers of a cell that say something: no labels, no years, not 0 to 3."""
    for match in NUMBER.finditer(prose.shown):
        before, digits = prose.shown[: match.start()], match[1]
        year = re.fullmatch(r"19[89]\d|20[0-2]\d", digits) and digits != "2000"
        if not (year or digits in "0123" or LABEL.search(before[-60:].replace("*", ""))):
            yield match


def is_among(match: re.Match, prose: Prose, values: list[float]) -> bool:
    """Return whether a number of the prose is one of the values, as exactly as it is written."""
    digits = match[1].replace(",", "")
    wanted, half = float(digits), 0.5 * 10.0 ** -len(digits.partition(".")[2])
    if "e" in digits:
        half = 0.05 * wanted
    if digits.isdigit() and not match[2]:
        half = 0.0
    if ROUGHLY.search(prose.shown[: match.start()]) and "." not in digits:
        half = max(half, 0.5 * 10 ** (len(digits) - len(digits.rstrip("0"))))
    scales = (1, 0.01) if match[2] else (1,)
    return any(
        abs(value / scale - wanted) <= half + 1e-9 * wanted for value in values for scale in scales
    )


def lies_in(match: re.Match, prose: Prose, entries: list[dict]) -> bool:
    """Return whether a word or number lies in the text of an entry."""
    for entry in entries:
        start = prose.text.find(entry["text"])
        if 0 <= start <= match.start() and match.end() <= start + len(entry["text"]):
            return True
    return False


def unexplained_numbers(cells: list[Prose], claims: Claims) -> list[str]:
    """Return the numbers that no output, no code and no entry holds, with the words around them."""
    found = []
    for prose in cells:
        for match in numbers(prose):
            if asks(match, prose) or lies_in(match, prose, claims.numbers):
                continue
            if not is_among(match, prose, evidence(match, prose)):
                found.append(around(match, prose))
    return found


def unheld_comparisons(cells: list[Prose], claims: Claims) -> list[str]:
    """Return the comparing words that lie in no entry, with the words around them."""
    found = []
    for prose in cells:
        shown = IDIOMS.sub(lambda match: HIDDEN * len(match[0]), prose.shown)
        found += [
            around(match, prose)
            for match in COMPARING.finditer(shown)
            if not asks(match, prose) and not lies_in(match, prose, claims.compared)
        ]
    return found


def asks(match: re.Match, prose: Prose) -> bool:
    """Return whether a word stands in a question, which claims nothing."""
    end = re.search(r"[.!?:](?=\W|$)", prose.text[match.end() :])
    return end is not None and end[0] == "?"


def broken_entries(cells: list[Prose], claims: Claims, assertions: list[str]) -> list[str]:
    """Return the entries that are not used once, or do not hold, with the reason."""
    found = []
    for entry in [*claims.numbers, *claims.compared]:
        places = [prose for prose in cells for _ in range(prose.text.count(entry["text"]))]
        if len(places) != 1:
            found.append(f"{entry['text']!r} stands {len(places)} times in the prose, not once")
        elif complaint := _complaint(entry, places[0], assertions):
            found.append(f"{entry['text']!r}: {complaint}")
    return found


def _complaint(entry: dict, prose: Prose, assertions: list[str]) -> str:
    """Return what is wrong with an entry, or nothing."""
    kinds = set(entry) - {"text"}
    if kinds == {"reason"}:
        return "" if len(entry["reason"]) > 4 else "no reason"
    if kinds == {"holds"}:
        piece = " ".join(entry["holds"].split())
        return "" if any(piece in one for one in assertions) else f"no assert says {piece!r}"
    if kinds == {"output"}:
        value = _value(entry["output"], prose.before)
        inside = [match for match in numbers(prose) if lies_in(match, prose, [entry])]
        if value is not None and len(inside) == 1 and is_among(inside[0], prose, [value]):
            return ""
        return f"{entry['output']!r} gives {value}"
    if kinds == {"smaller", "larger"}:
        low, high = (_value(entry[name], prose.before) for name in ("smaller", "larger"))
        return "" if None not in (low, high) and low < high else f"{low} is not less than {high}"
    return f"one of reason, holds, output, or smaller and larger is needed, not {sorted(kinds)}"


def _value(pattern: str, outputs: str) -> float | None:
    match = re.search(pattern, outputs)
    return float(match[1].replace(",", "").rstrip(".")) if match else None


def assertions_of(notebook) -> list[str]:
    """Return the source of each assert statement, with single spaces."""
    found = []
    for cell in notebook.cells:
        if cell.cell_type == "code":
            for node in ast.walk(ast.parse(cell.source)):
                if isinstance(node, ast.Assert):
                    found.append(" ".join(ast.get_source_segment(cell.source, node).split()))
    return found


def around(match: re.Match, prose: Prose) -> str:
    """Return a number or word with its neighbours."""
    start, end = max(match.start() - 50, 0), match.end() + 40
    return f"[{match[0]}] ...{prose.text[start:end]}..."
