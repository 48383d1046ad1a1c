"""Download a dataset of the pix2pix authors: python -m pix2pix_lib.fetch --help.

The archive arrives in DIR.download, beside the dataset's folder DIR, where a later call goes on
with it. It is unpacked and checked there: DIR appears when the dataset is whole.
"""

import argparse
import gzip
import hashlib
import http.client
import json
import logging
import re
import shlex
import shutil
import socket
import ssl
import sys
import tarfile
import time
import zlib
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from urllib.error import HTTPError, URLError
from urllib.parse import urlsplit
from urllib.request import Request, urlopen

from .cli import CommandParser, run_command
from .files import generated_data, lock_folder, replacing
from .progress import make_bar
from .validation import InputError, check_choice

MADE_BY = "pix2pix_lib.fetch"
log = logging.getLogger(MADE_BY)

SERVER = "https://efrosgans.eecs.berkeley.edu/pix2pix/datasets"
SPLITS, ENDINGS = ("train", "val", "test"), (".jpg", ".jpeg", ".png")
MANIFEST = "dataset.json"  # in the dataset's folder: where it came from, and how much it is
TIMEOUT = 30.0  # seconds without a byte
TRIES = 4  # in a row, none of which brings the download further
SAMPLE = 500  # pictures that are decoded; of the others the header and the end are read


@dataclass(frozen=True)
class Published:
    """What is publicly known of a dataset; its archive may hold something else."""

    counts: dict[str, int]  # pairs by split
    side: int  # of one picture, in pixels
    megabytes: int  # of the archive
    sides: str
    direction: str  # the one in which it is used most
    terms: str
    digest: str = ""  # of the training pictures, see `pictures_digest`


DATASETS = {
    "facades": Published(
        {"train": 400, "val": 100, "test": 106}, 256, 30, "A photo, B label map", "BtoA",
        "from the CMP Facade Database; no licence of the photos is known; cite Tylecek and Sara, "
        "GCPR 2013", "02a3cb147904d0366d9d09215a472fab36e2a546790cb846b9989fe5bf058327"),
    "maps": Published(
        {"train": 1096, "val": 1098}, 600, 250, "A aerial photo, B map", "AtoB",
        "scraped from Google Maps, whose terms of use apply"),
    "cityscapes": Published(
        {"train": 2975, "val": 500}, 256, 103, "A photo, B label map", "BtoA",
        "non-commercial research and teaching, no passing on; register at cityscapes-dataset.com; "
        "cite Cordts et al., CVPR 2016"),
    "edges2shoes": Published(
        {"train": 49_825, "val": 200}, 256, 2_100, "A edges, B photo", "AtoB",
        "from UT Zappos50K, for academic, non-commercial use; cite Yu and Grauman, CVPR 2014"),
    "edges2handbags": Published(
        {"train": 138_567, "val": 200}, 256, 8_600, "A edges, B photo", "AtoB",
        "photos of products from Amazon; no licence is known; cite Zhu et al., ECCV 2016"),
    "night2day": Published(
        {"train": 17_823, "val": 10, "test": 2_287}, 256, 2_000, "A night, B day", "AtoB",
        "from Transient Attributes; no licence is known; cite Laffont et al., SIGGRAPH 2014"),
}  # fmt: skip


def main(argv: list[str] | None = None) -> int:
    """Run the command; returns 0, 2 for an error that a person can mend, 130 if interrupted."""
    return run_command(run, make_parser().parse_args(argv))


def make_parser() -> CommandParser:
    """Return the parser; its help lists the datasets."""
    rows = [f"  {name}: {known.megabytes} MB, {_words(known.counts)} of {known.side}x{known.side}, "
            f"{known.sides}; {known.terms}" for name, known in DATASETS.items()]  # fmt: skip
    parser = CommandParser(
        prog="python -m pix2pix_lib.fetch",
        description="Download a dataset of the pix2pix authors, check it, and put it where `train` "
        "can read it. A broken download goes on at the next call.",
        epilog="\n".join(["as far as we know:", *rows]),
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add = parser.add_argument
    add("name", choices=DATASETS)
    add("--out", type=Path, metavar="DIR", help="the dataset's folder (default: by its name in the "
        "course's data folder); an archive NAME.tar.gz beside it saves the download")  # fmt: skip
    add("--url", default=SERVER, help="folder or archive on another server (default: %(default)s)")
    add("--sha256", default="", metavar="HEX", help="what the archive must have")
    return parser


def run(arguments: argparse.Namespace) -> int:
    """Fetch what the arguments ask for, and say how to train with it."""
    name, known = arguments.name, DATASETS[arguments.name]
    out = fetch(name, arguments.out, arguments.url, arguments.sha256)
    log.info("terms, as far as we know: %s", known.terms)
    command = f"python -m pix2pix_lib.train --data {shlex.quote(str(out))} --layout pairs"
    log.info("train (%s): %s --direction %s --out runs/%s",
             known.sides, command, known.direction, name)  # fmt: skip
    return 0


def fetch(name: str, out: Path | None = None, url: str = SERVER, sha256: str = "",
          timeout: float = TIMEOUT, pause: float = 2.0) -> Path:  # fmt: skip
    """Return the folder of a dataset; download, check and unpack it unless it is there.

    Args:
        out: the folder; None takes the one of this name in the course's data folder.
        url: the address of the archive, or of the folder that it lies in.
        sha256: 64 hex digits that the archive must have, or "".
        timeout: seconds without a byte after which a connection counts as broken.
        pause: seconds before the second try; each further pause is twice as long.

    Raises:
        FileExistsError: if `out` holds something else.
        ConnectionError: if there is no network, no such archive, or no end to broken connections.
        InputError: if an argument or the archive is not as it must be.
        OSError: if the disk is full or cannot be written to.
    """
    check_choice("name", name, tuple(DATASETS))
    known, file = DATASETS[name], f"{name}.tar.gz"
    address = url if urlsplit(url).path.endswith((".gz", ".tgz")) else f"{url.rstrip('/')}/{file}"
    if not re.match("https?://[^/]", address):
        raise InputError(f"--url must begin with http:// or https:// and a host; got {url!r}")
    if not re.fullmatch("([0-9a-f]{64})?", sha256 := sha256.lower()):
        raise InputError(f"--sha256 must be 64 hex digits; got {sha256!r}")
    out = (generated_data() / name if out is None else Path(out)).expanduser().resolve()
    given, work = out.with_name(file), out.with_name(f"{out.name}.download")
    part = work / f"{file}.part"
    if not _is_there(out, known):
        with lock_folder(work):
            try:
                if given.is_file():
                    log.info("%s is taken instead of a download", given)
                else:
                    download(address, part, timeout, pause)
                _make(given if given.is_file() else part, out, known, sha256)
            except ConnectionError as error:
                raise ConnectionError(f"{error}. By hand: get {address} on any computer, save it "
                                      f"as {given}, and run this again") from error  # fmt: skip
            except OSError as error:
                raise OSError(f"{work}: {error.strerror or error}; make room there, or choose "
                              f"another --out; the same command goes on") from error  # fmt: skip
            except KeyboardInterrupt as error:
                raise KeyboardInterrupt("the same command goes on from here") from error
    for leftover in (part, _note(part)):
        leftover.unlink(missing_ok=True)
    with suppress(OSError):  # it is gone already, or holds what is not ours
        work.rmdir()
    return out


def _is_there(out: Path, known: Published) -> bool:
    """Return whether the whole dataset is there, False if nothing is.

    Raises:
        FileExistsError: if anything else is.
    """
    if not out.exists() or (out.is_dir() and not any(out.iterdir())):
        return False
    counts, manifest = _counts(out), {"made_by": MADE_BY, "counts": known.counts}
    with suppress(OSError, ValueError, TypeError):  # without it, what is known must be there
        manifest = dict(json.loads((out / MANIFEST).read_text(encoding="utf-8")))
    if (manifest.get("made_by"), manifest.get("counts")) != (MADE_BY, counts):
        raise FileExistsError(f"{out} holds {_words(counts)} and is not the whole dataset; remove "
                              f"it, or choose another folder with --out")  # fmt: skip
    log.info("already there: %s in %s", _words(counts), out)
    return True


def _words(counts: dict[str, int]) -> str:
    """Return for example "506 pairs (400 train, 106 test)"."""
    parts = ", ".join(f"{count} {split}" for split, count in counts.items())
    return f"{sum(counts.values())} pairs ({parts})" if counts else "no pairs"


def _pictures(folder: Path) -> list[Path]:
    files = [file for split in SPLITS for file in sorted((folder / split).glob("*.*"))]
    return [file for file in files if file.suffix.lower() in ENDINGS]


def _counts(folder: Path) -> dict[str, int]:
    return dict(Counter(file.parent.name for file in _pictures(folder)))


@contextmanager
def _bar(total: int, label: str, unit: float = 1e6) -> Iterator[Callable[[int], None]]:
    """Show a bar, in megabytes; the function that is yielded takes what is done so far."""
    bar, shown = make_bar(int(total / unit), label), 0

    def show(done: int) -> None:
        nonlocal shown
        if (now := int(done / unit)) > shown:
            bar.update(now - shown)
            shown = now

    try:
        yield show
    finally:
        bar.close()


# --- download -----------------------------------------------------------------------------------


class _BrokenError(Exception):
    """A connection failed in a way that another try may mend."""


def download(url: str, part: Path, timeout: float = TIMEOUT, pause: float = 2.0) -> None:
    """Download what is missing of an archive; a note beside `part` says what that is a part of.

    Bytes are added only to bytes of the same file: the server must send the rest under the same
    ETag or date. Otherwise, and if it knows no ranges, the download starts anew.

    Raises:
        ConnectionError: if the archive cannot be had, or TRIES connections in a row broke and
            brought nothing new.
        OSError: if the disk is full or cannot be written to.
    """
    failures, most = 0, _size(part)
    while True:
        try:
            return _receive(url, part, timeout)
        except _BrokenError as error:
            failures, most = (1 if _size(part) > most else failures + 1), max(most, _size(part))
            if failures == TRIES:
                kept = f"; {_size(part) / 1e6:.1f} MB are kept, the same command goes on"
                raise ConnectionError(f"{error}{kept * part.exists()}") from error
            log.info("%s; trying again in %g s", error, pause * 2 ** (failures - 1))
            time.sleep(pause * 2 ** (failures - 1))


def _receive(url: str, part: Path, timeout: float) -> None:
    """Receive over one connection what is missing of an archive."""
    have, saved = _size(part), {"url": "", "total": None, "mark": ""}
    with suppress(OSError, ValueError, TypeError):
        saved |= json.loads(_note(part).read_text(encoding="utf-8"))
    ours = have > 0 and saved["url"] == url
    if ours and have == saved["total"]:
        return
    headers = {"User-Agent": "pix2pix-course"}
    if ours and saved["mark"]:
        headers |= {"Range": f"bytes={have}-", "If-Range": saved["mark"]}
    with _open(Request(url, headers=headers), part, timeout) as response:
        if response.status == 206 and "Range" in headers:
            total, place = saved["total"], f"bytes {have}-{saved['total'] - 1}/{saved['total']}"
            same = _mark(response) in ("", saved["mark"])
            if not same or response.headers.get("Content-Range") != place:
                part.unlink()
                raise _BrokenError(f"{url} has changed")
        else:
            part.unlink(missing_ok=True)
            have, length = 0, response.headers.get("Content-Length", "")
            total = int(length) if length.isdigit() else None
            note = {"url": url, "total": total, "mark": _mark(response) if total else ""}
            with replacing(_note(part)) as temporary:
                temporary.write_text(json.dumps(note), encoding="utf-8")
        needed, free = 2 * (total or 0) - have, shutil.disk_usage(part.parent).free
        if needed > free:
            raise OSError(f"archive and pictures need {needed / 1e6:.0f} MB, "
                          f"{free / 1e6:.0f} MB are free")  # fmt: skip
        size = f"{total / 1e6:.1f} MB" if total else "of unknown size"
        here = f", of which {have / 1e6:.1f} MB are here already" if have else ""
        log.info("downloading %s, %s%s", url, size, here)
        done, missing = 0, total - have if total else 0
        with open(part, "ab") as file, _bar(missing, "downloading, MB") as show:
            for chunk in _chunks(response, have == 0, timeout):
                file.write(chunk)
                file.flush()  # a killed process keeps it too
                show(done := done + len(chunk))
    if total not in (None, _size(part)):
        raise _BrokenError(f"{urlsplit(url).netloc}: the connection ended after "
                           f"{_size(part) / 1e6:.1f} of {total / 1e6:.1f} MB")  # fmt: skip


def _open(request: Request, part: Path, timeout: float) -> http.client.HTTPResponse:
    """Open a connection, and tell what is final from what another try may mend."""
    host = urlsplit(request.full_url).netloc
    try:
        return urlopen(request, timeout=timeout)
    except HTTPError as error:
        error.close()
        text = f"{request.full_url}: the server answers {error.code} ({error.reason})"
        if error.code == 416:  # it has less than is here already
            part.unlink(missing_ok=True)
            text = f"{request.full_url} is shorter than the server has announced"
        if error.code in (408, 416, 429) or error.code >= 500:
            raise _BrokenError(text) from error
        if error.code in (404, 410):
            text += "; the link is dead, look for a copy and give it with --url"
        raise ConnectionError(text) from error
    except (OSError, http.client.HTTPException) as error:
        reason = error.reason if isinstance(error, URLError) else error
        if isinstance(reason, ssl.SSLCertVerificationError):
            raise ConnectionError(f"{host} cannot prove its name ({reason.verify_message}); is the "
                                  f"date of this computer right? --url with http:// asks for no "
                                  f"proof") from error  # fmt: skip
        raise _broken(host, reason, timeout) from error


def _broken(host: str, reason: Exception | str, timeout: float) -> _BrokenError:
    if isinstance(reason, socket.gaierror):
        return _BrokenError(f"no address is known for {host}: there is no network, or no such host")
    if isinstance(reason, TimeoutError):
        return _BrokenError(f"{host}: nothing came for {timeout:g} s")
    return _BrokenError(f"{host}: the connection failed ({reason or type(reason).__name__})")


def _chunks(response: http.client.HTTPResponse, first: bool, timeout: float) -> Iterator[bytes]:
    """Yield what arrives; the first of a file must begin as gzip does."""
    while True:
        try:
            chunk = response.read1(1 << 18)
        except (OSError, http.client.HTTPException) as error:
            raise _broken(urlsplit(response.url).netloc, error, timeout) from error
        if first and not (chunk and b"\x1f\x8b".startswith(chunk[:2])):
            kind = response.headers.get_content_type() if chunk else "empty"
            raise ConnectionError(f"{response.url} is not an archive but {kind}; a network that "
                                  f"wants a login answers so, or files have moved")  # fmt: skip
        if not chunk:
            return
        yield chunk
        first = False


def _mark(response: http.client.HTTPResponse) -> str:
    """Return what only this version of a file has: a strong ETag, or the date, or nothing."""
    tag = response.headers.get("ETag", "")
    return tag if tag.startswith('"') else response.headers.get("Last-Modified", "")


def _note(part: Path) -> Path:
    return part.with_suffix(".json")


def _size(file: Path) -> int:
    return file.stat().st_size if file.exists() else 0


# --- from the archive to the dataset ------------------------------------------------------------


def _make(archive: Path, out: Path, known: Published, sha256: str) -> None:
    """Unpack and check an archive, and move the dataset to its place."""
    log.info("reading the SHA-256 of %s", archive)
    with open(archive, "rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
    if sha256 not in ("", digest):
        raise InputError(f"{archive} has the SHA-256 {digest}, not the one that was given; check "
                         f"that one, or remove the file")  # fmt: skip
    folder = out.with_name(f"{out.name}.download") / "unpacked"
    shutil.rmtree(folder, ignore_errors=True)
    try:
        unpack(archive, folder, 2 * sum(known.counts.values()) + 1000)
        same = check_pictures(folder, known)
        counts = _counts(folder)
        manifest = {"made_by": MADE_BY, "counts": counts, "archive": digest, "terms": known.terms}
        text = json.dumps(manifest, indent=2) + "\n"
        (folder / MANIFEST).write_text(text, encoding="utf-8")
        if out.exists():
            out.rmdir()  # it is empty; Windows renames nothing onto it
        folder.rename(out)
    except InputError as error:
        remedy = "replace it"
        if archive.suffix == ".part":
            archive.unlink()
            remedy = "it was removed, the same command downloads it again"
        raise InputError(f"{archive}: {error}; {remedy}") from error
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    compared = ["as given"] * bool(sha256) + ["with the training pictures that we know"] * same
    log.info("%s in %s; SHA-256 of the archive: %s, %s", _words(counts), out, digest,
             " ".join(compared) or "compared with nothing, as none is published")  # fmt: skip


def unpack(archive: Path, folder: Path, most_files: int) -> None:
    """Unpack the pictures of a .tar.gz: .../train/1.jpg becomes folder/train/1.jpg.

    Other files are left out, with a note. Nothing is written outside `folder`, nor more than four
    times the archive's size (JPEG hardly shrinks).

    Raises:
        InputError: if the archive is damaged, or holds a link, a device, a path that leads out, a
            file twice, or too much.
        OSError: if the disk is full or cannot be written to.
    """
    most_bytes, size, taken, left_out = 4 * _size(archive) + 10_000_000, 0, set(), []

    def choose(member: tarfile.TarInfo, target: str) -> tarfile.TarInfo | None:
        nonlocal size
        path, size = PurePosixPath(member.name), size + member.size
        if path.is_absolute() or ".." in path.parts or set(member.name) & set("\\:"):
            raise InputError(f"it holds a path that leads elsewhere, {member.name!r}")
        if not (member.isdir() or member.isreg()) or member.issparse():
            raise InputError(f"it holds a link or device, {member.name!r}")
        place = f"{path.parent.name}/{path.name}"
        if size > most_bytes or len(taken) + len(left_out) >= most_files or place in taken:
            raise InputError(f"it holds too much, or twice the same, {member.name!r}")
        show(raw.tell())
        if member.isdir():
            return None
        is_picture = path.suffix.lower() in ENDINGS and not path.name.startswith(".")
        if path.parent.name not in SPLITS or not is_picture:
            left_out.append(member.name)
            return None
        taken.add(place)
        return tarfile.data_filter(member.replace(name=place, deep=False), target)

    try:
        with (
            open(archive, "rb") as raw,
            gzip.open(raw) as plain,
            tarfile.open(fileobj=plain, mode="r|") as tar,
            _bar(_size(archive), "unpacking, MB") as show,
        ):
            tar.extractall(folder, filter=choose)
            while plain.read(1 << 20):  # to the end, where gzip compares its checksum
                pass
    except (tarfile.TarError, gzip.BadGzipFile, zlib.error, EOFError) as error:
        raise InputError(f"damaged, or not a .tar.gz ({error})") from error
    if left_out:
        log.info("left out, as no pictures of %s: %d files, first %s", "/".join(SPLITS),
                 len(left_out), left_out[0])  # fmt: skip


def check_pictures(folder: Path, known: Published) -> bool:
    """Check the pictures of an unpacked dataset; what is unexpected but usable is only noted.

    Each file's header and end are read, and SAMPLE pictures are decoded. Returns whether the
    training pictures are, byte for byte, those that are known.

    Raises:
        InputError: if there are none to train on, or one cannot be read.
    """
    from .images import check_whole, image_size, read_image  # loads torch, which takes a second

    files, counts, sizes = _pictures(folder), _counts(folder), Counter()
    if "train" not in counts:
        raise InputError("it holds no pictures in a folder train")
    with _bar(len(files), "checking pictures", unit=1) as show:
        for number, file in enumerate(files):
            try:
                sizes[image_size(file)] += 1
                check_whole(file)
                if number % (1 + len(files) // SAMPLE) == 0:
                    read_image(file)
            except InputError as error:
                raise InputError(f"{file.parent.name}/{file.name} cannot be read") from error
            show(number + 1)
    if counts != known.counts:
        log.info("note: %s were expected", _words(known.counts))
    for (height, width), count in sizes.items():
        if (height, width) != (known.side, 2 * known.side):
            log.info("note: %d files have %dx%d pixels, not %dx%d", count, width, height,
                     2 * known.side, known.side)  # fmt: skip
    same = bool(known.digest) and pictures_digest(folder / "train") == known.digest
    if known.digest and not same:
        log.info("note: the training pictures are not those on which the course was measured")
    return same


def pictures_digest(folder: Path) -> str:
    """Return one SHA-256 for a folder: of its lines "name sha256-of-the-file", sorted by name."""
    files = sorted(folder.iterdir(), key=lambda file: file.name)
    lines = [f"{file.name} {hashlib.sha256(file.read_bytes()).hexdigest()}\n" for file in files]
    return hashlib.sha256("".join(lines).encode()).hexdigest()


if __name__ == "__main__":
    sys.exit(main())
