"""Downloads from a server that stalls, cuts and lies; archives that are not what they should be."""

import errno
import functools
import hashlib
import io
import os
import shutil
import signal
import socket
import subprocess
import sys
import tarfile
import threading
import time
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from pix2pix_lib import fetch as module
from pix2pix_lib import train
from pix2pix_lib.facades import write_dataset
from pix2pix_lib.fetch import DATASETS, TRIES, fetch, main, pictures_digest
from pix2pix_lib.files import lock_folder
from pix2pix_lib.layouts import available_splits, find_pairs
from pix2pix_lib.validation import InputError

COUNTS = {"train": 4, "val": 2}
SIDE = 32


@functools.cache
def picture(number: int, side: int = SIDE) -> bytes:
    """Return a JPEG of two pictures side by side: noise, which does not shrink, and flat grey."""
    buffer = io.BytesIO()
    pair = np.random.default_rng(number).integers(0, 128, (side, 2 * side, 3), np.uint8)
    pair[:, side:] = 200
    Image.fromarray(pair).save(buffer, "jpeg", quality=90)
    return buffer.getvalue()


def good_files(first: int = 0) -> dict[str, bytes]:
    """Return what the archive of a small dataset holds; another `first` gives other pictures."""
    names = [f"facades/{split}/{i}.jpg" for split, n in COUNTS.items() for i in range(1, n + 1)]
    return {name: picture(first + number) for number, name in enumerate(names)}


def pack(files: dict[str, bytes], *members: tarfile.TarInfo) -> bytes:
    """Return a .tar.gz of files, and of members without content."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w:gz") as tar:
        for name, content in files.items():
            member = tarfile.TarInfo(name)
            member.size = len(content)
            tar.addfile(member, io.BytesIO(content))
        for member in members:
            tar.addfile(member)
    return buffer.getvalue()


class Server(ThreadingHTTPServer):
    """A server of one file; each request takes the next of its faults, and none is the last.

    A fault is a status, or: cut (half of what is asked for), stall (the same, then nothing), open
    (stays so when all is sent), long (announces more than it has), short (announces less), no
    length, other range (sends one that was not asked for), html, redirect.
    """

    def __init__(self):
        super().__init__(("127.0.0.1", 0), Handler)
        self.content, self.etag, self.date = pack(good_files()), '"one"', ""
        self.ranges, self.checks_if_range = True, True
        self.faults = []
        self.asked, self.paths = [], []  # the Range and the path of each request
        self.stop = threading.Event()
        self.url = f"http://127.0.0.1:{self.server_port}"

    def handle_error(self, request, client_address):
        pass  # clients hang up when they are interrupted


class Handler(BaseHTTPRequestHandler):
    def log_message(self, *_):
        pass

    def do_GET(self):
        server = self.server
        wanted = self.headers.get("Range")
        server.asked.append(wanted)
        server.paths.append(self.path)
        fault = server.faults.pop(0) if server.faults else ""
        if isinstance(fault, int):
            return self.send_error(fault)
        if fault == "redirect":
            self.send_response(302)
            self.send_header("Location", "/elsewhere/facades.tar.gz")
            return self.end_headers()
        if fault == "html":
            return self.answer(b"<html>log in</html>", 200, [("Content-Type", "text/html")])
        mark = self.headers.get("If-Range")
        same = not server.checks_if_range or mark in (server.etag, server.date)
        start, total = 0, len(server.content)
        if wanted and server.ranges and same:
            start = int(wanted.removeprefix("bytes=").removesuffix("-"))
            if start >= total:
                return self.send_error(416)
        start += 10 * (fault == "other range")
        headers = [("ETag", server.etag)] if server.etag else []
        headers += [("Last-Modified", server.date)] if server.date else []
        headers += [("Content-Range", f"bytes {start}-{total - 1}/{total}")] if start else []
        return self.answer(server.content[start:], 206 if start else 200, headers, fault)

    def answer(self, content, status, headers, fault=""):
        self.send_response(status)
        announced = len(content) + {"long": 1000, "short": -1000}.get(fault, 0)
        if fault != "no length":
            headers = [*headers, ("Content-Length", str(announced))]
        for name, value in headers:
            self.send_header(name, value)
        self.end_headers()
        sent = len(content) // 2 if fault in ("cut", "stall") else len(content)
        self.wfile.write(content[:sent])
        self.wfile.flush()
        if fault in ("stall", "open"):
            self.server.stop.wait(60)


@pytest.fixture
def server(monkeypatch):
    for name in ("http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"):
        monkeypatch.delenv(name, raising=False)
    known = replace(DATASETS["facades"], counts=COUNTS, side=SIDE, digest="")
    monkeypatch.setitem(DATASETS, "facades", known)
    with Server() as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        yield server
        server.stop.set()
        server.shutdown()
        thread.join()


@pytest.fixture
def out(tmp_path) -> Path:
    return tmp_path / "sets" / "facades"


def get(server, out, **options) -> Path:
    return fetch("facades", out, server.url, **{"timeout": 5, "pause": 0, **options})


def part_of(out: Path) -> Path:
    return out.parent / "facades.download" / "facades.tar.gz.part"


def contents(out: Path) -> dict[str, bytes]:
    """Return the pictures of a dataset, named as in the archive."""
    files = [file for file in out.rglob("*.*") if file.name != "dataset.json"]
    return {f"facades/{file.relative_to(out).as_posix()}": file.read_bytes() for file in files}


def assert_nothing_but(out: Path, *names: str) -> None:
    """Assert that the folder beside the dataset's holds just these files and folders."""
    assert sorted(path.name for path in out.parent.iterdir()) == sorted(names)


# --- a dataset that arrives ---------------------------------------------------------------------


def test_dataset_arrives_whole_and_leaves_nothing_else(server, out):
    assert get(server, out) == out
    assert contents(out) == good_files()
    assert_nothing_but(out, "facades")
    assert available_splits(out) == ["train", "val"]
    assert len(find_pairs(out, "train")) == COUNTS["train"]


def test_command_prints_how_to_train_and_that_works(server, out, tmp_path, capsys):
    assert main(["facades", "--out", str(out), "--url", server.url]) == 0
    printed = capsys.readouterr().out
    assert hashlib.sha256(server.content).hexdigest() + ", compared with nothing" in printed
    assert "6 pairs (4 train, 2 val)" in printed and "note:" not in printed
    line = next(line for line in printed.splitlines() if "pix2pix_lib.train" in line)
    arguments = line.split("pix2pix_lib.train ")[1].split()
    small = "--image-size 32 --depth 4 --base-channels 4 --disc-channels 4 --epochs 1 --device cpu"
    arguments[arguments.index("--out") + 1] = str(tmp_path / "run")
    assert train.main([*arguments, *small.split(), "--disc-layers", "1", "--batch-size", "2"]) == 0


def test_default_folder_is_that_of_generated_datasets(server, tmp_path, monkeypatch):
    monkeypatch.setattr(module, "generated_data", lambda: tmp_path)
    assert get(server, None) == tmp_path / "facades"


def test_redirect_is_followed_and_an_archive_may_be_named_itself(server, out):
    server.faults = ["redirect"]
    fetch("facades", out, f"{server.url}/some/copy.tgz?download=1", timeout=5, pause=0)
    assert server.paths == ["/some/copy.tgz?download=1", "/elsewhere/facades.tar.gz"]
    assert contents(out) == good_files()


def test_empty_folder_is_filled_and_a_whole_one_kept_without_a_request(server, out):
    out.mkdir(parents=True)
    get(server, out)
    get(server, out)
    assert server.asked == [None]


@pytest.mark.parametrize("content", [{"notes.txt": b"mine"}, {"train/1.jpg": picture(1)}])
def test_folder_with_anything_else_is_left_alone(server, out, content):
    for name, data in content.items():
        (out / name).parent.mkdir(parents=True, exist_ok=True)
        (out / name).write_bytes(data)
    with pytest.raises(FileExistsError, match="remove it, or choose another folder"):
        get(server, out)
    assert {f.relative_to(out).as_posix() for f in out.rglob("*") if f.is_file()} == set(content)
    assert server.asked == []


def test_dataset_unpacked_by_hand_is_taken_as_it_is(server, out):
    for name, data in good_files().items():
        file = out.parent / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(data)
    get(server, out)
    assert server.asked == []


def test_pictures_lost_since_are_missed(server, out):
    get(server, out)
    (out / "val" / "1.jpg").unlink()
    with pytest.raises(FileExistsError, match=r"holds 5 pairs \(4 train, 1 val\) and is not the"):
        get(server, out)


def test_procedural_facades_in_the_same_number_are_not_taken_for_it(server, out):
    write_dataset(out, COUNTS, SIDE)
    with pytest.raises(FileExistsError, match="is not the whole dataset"):
        get(server, out)


def test_archive_put_there_by_hand_needs_no_network_and_is_kept(server, out):
    given = out.parent / "facades.tar.gz"
    given.parent.mkdir()
    given.write_bytes(server.content)
    get(server, out)
    assert contents(out) == good_files() and server.asked == []
    assert given.read_bytes() == server.content


def test_second_command_does_not_disturb_the_first(server, out):
    out.parent.mkdir()
    with lock_folder(part_of(out).parent), pytest.raises(BlockingIOError, match="wait for its end"):
        get(server, out)


# --- connections that break ---------------------------------------------------------------------


@pytest.mark.parametrize("fault", ["cut", "stall"])
@pytest.mark.parametrize("mark", ["etag", "date"])
def test_broken_connection_goes_on_where_it_ended(server, out, fault, mark):
    if mark == "date":
        server.etag, server.date = "", "Sun, 02 Sep 2018 08:58:00 GMT"
    server.faults = [fault, "cut"]
    start = time.monotonic()
    get(server, out, timeout=0.5)
    assert time.monotonic() - start < 15
    half = len(server.content) // 2
    quarter = (len(server.content) - half) // 2
    assert server.asked == [None, f"bytes={half}-", f"bytes={half + quarter}-"]
    assert contents(out) == good_files()


@pytest.mark.parametrize("way", ["no ranges", "no mark", "weak mark"])
def test_server_that_cannot_go_on_starts_anew(server, out, way):
    server.ranges = way != "no ranges"
    server.etag = {"no ranges": '"one"', "no mark": "", "weak mark": 'W/"one"'}[way]
    server.faults = ["cut"]
    get(server, out)
    assert contents(out) == good_files()
    assert (server.asked[-1] is None) == (way != "no ranges")


def test_range_that_was_not_asked_for_is_not_taken(server, out):
    server.faults = ["cut", "other range"]
    get(server, out)
    assert contents(out) == good_files()


def test_download_ends_with_the_file_even_if_the_connection_does_not(server, out):
    server.faults = ["open"]
    start = time.monotonic()
    get(server, out, timeout=40)
    assert time.monotonic() - start < 30


@pytest.mark.parametrize("checks", [True, False])
@pytest.mark.parametrize("shorter", [0, 1, 4])
def test_file_that_changes_between_two_tries_is_not_mixed(server, out, checks, shorter):
    """The new file may be as long, shorter, or shorter than what has arrived of the old one."""
    new = dict(list(good_files(100).items())[: len(good_files()) - shorter])
    old_content, new_content = server.content, pack(new)
    if not shorter:  # to the byte; gzip skips zeros at the end
        length = max(len(old_content), len(new_content))
        old_content, new_content = (c.ljust(length, b"\0") for c in (old_content, new_content))
    server.content, server.faults = old_content, ["cut"] * TRIES + [404]
    with pytest.raises(ConnectionError, match="404"):
        get(server, out)
    assert part_of(out).stat().st_size > len(server.content) // 2
    server.content, server.etag, server.checks_if_range = new_content, '"two"', checks
    get(server, out)
    assert contents(out) == new


def test_part_of_another_address_is_not_continued(server, out):
    server.faults = ["cut", 404]
    with pytest.raises(ConnectionError):
        get(server, out)
    fetch("facades", out, server.url + "/copy", timeout=5, pause=0)
    assert server.asked[-1] is None


def test_server_that_always_cuts_ends_the_tries_and_the_next_call_goes_on(server, out):
    server.ranges, server.faults = False, ["cut"] * TRIES
    with pytest.raises(ConnectionError, match=r"are kept, the same command goes on\. By hand"):
        get(server, out)
    assert len(server.asked) == TRIES
    server.ranges = True
    get(server, out)
    assert server.asked[-1] == f"bytes={len(server.content) // 2}-"
    assert contents(out) == good_files()


def test_tries_count_anew_while_the_download_gets_further(server, out):
    server.faults = ["cut"] * (TRIES + 3)
    get(server, out)
    assert contents(out) == good_files()


@pytest.mark.parametrize("ranges", [True, False])
def test_announced_length_that_never_comes_is_told(server, out, ranges):
    server.ranges, server.faults = ranges, ["long"] * 9
    told = "is shorter than the server has announced" if ranges else "the connection ended after"
    with pytest.raises(ConnectionError, match=told):
        get(server, out)
    assert not out.exists()


def test_announced_length_that_is_too_small_shows_as_damage(server, out):
    server.faults = ["short"]
    with pytest.raises(InputError, match="it was removed, the same command downloads it again"):
        get(server, out)
    get(server, out)
    assert contents(out) == good_files()


def test_length_need_not_be_announced(server, out):
    server.faults = ["no length"]
    get(server, out)
    assert contents(out) == good_files()


def test_busy_server_is_asked_again(server, out):
    server.faults = [503, 429]
    get(server, out)
    assert contents(out) == good_files()


@pytest.mark.parametrize("status", [404, 410])
def test_dead_link_is_told_at_once(server, out, status):
    server.faults = [status]
    with pytest.raises(ConnectionError, match=f"{status}.*the link is dead.*By hand: get http"):
        get(server, out)
    assert len(server.asked) == 1
    assert not out.parent.exists()


def test_web_page_instead_of_an_archive_is_told(server, out):
    server.faults = ["html"]
    with pytest.raises(ConnectionError, match="is not an archive but text/html; a network that"):
        get(server, out)
    assert len(server.asked) == 1


def test_empty_answer_is_told(server, out):
    server.content = b""
    with pytest.raises(ConnectionError, match="is not an archive but empty"):
        get(server, out)


def test_no_network_and_no_such_host_are_told_from_a_dead_link(server, out, monkeypatch, capsys):
    def no_name(*_, **__):
        raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")

    monkeypatch.setattr(socket, "getaddrinfo", no_name)
    monkeypatch.setattr(module.time, "sleep", lambda _: None)
    assert main(["facades", "--out", str(out), "--url", "http://some.invalid"]) == 2
    error = capsys.readouterr().err.splitlines()[-1]
    assert error.startswith("error: no address is known for some.invalid: there is no network")
    assert f"save it as {out.parent / 'facades.tar.gz'}, and run this again" in error


def test_nobody_at_that_port_is_told(server, out):
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    with pytest.raises(ConnectionError, match="the connection failed"):
        fetch("facades", out, f"http://127.0.0.1:{port}", timeout=5, pause=0)


def test_interruption_says_that_it_goes_on_and_it_does(server, out):
    server.faults = ["stall"]
    command = [sys.executable, "-u", "-m", "pix2pix_lib.fetch", "facades", "--out", out, "--url"]
    running = subprocess.Popen(
        [*command, server.url], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    half = len(server.content) // 2
    for _ in range(600):
        if part_of(out).exists() and part_of(out).stat().st_size:
            break
        time.sleep(0.05)
    else:
        pytest.fail("nothing arrives before the connection ends")
    running.send_signal(signal.SIGINT)
    printed, error = running.communicate(timeout=60)
    assert running.returncode == 130, printed + error
    assert error.splitlines()[-1] == "interrupted; the same command goes on from here"
    assert part_of(out).stat().st_size == half and not out.exists()
    get(server, out)
    assert server.asked[-1] == f"bytes={half}-"
    assert contents(out) == good_files()


# --- disks --------------------------------------------------------------------------------------


def test_disk_that_is_too_small_is_told_before_the_download(server, out, monkeypatch):
    usage = shutil.disk_usage("/")._replace(free=2 * len(server.content) - 1)
    monkeypatch.setattr(shutil, "disk_usage", lambda _: usage)
    with pytest.raises(OSError, match=r"need 0 MB.*make room there, or choose another --out"):
        get(server, out)
    assert not part_of(out).exists() or not part_of(out).stat().st_size


def test_disk_that_fills_up_keeps_the_download_for_the_next_call(server, out, monkeypatch):
    def full(*_, **__):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with monkeypatch.context() as context:
        context.setattr(tarfile, "copyfileobj", full)
        with pytest.raises(OSError, match="No space left on device; make room there"):
            get(server, out)
    assert not out.exists()
    assert part_of(out).read_bytes() == server.content
    get(server, out)
    assert server.asked == [None]  # all of it was there
    assert contents(out) == good_files()


# --- archives that are not what they should be --------------------------------------------------


def special(name: str, **fields) -> tarfile.TarInfo:
    member = tarfile.TarInfo(name)
    for field, value in fields.items():
        setattr(member, field, value)
    return member


MALICIOUS = {
    "parent": pack({"facades/train/../../../../x.jpg": picture(0)}),
    "absolute": pack({"/tmp/facades/train/x.jpg": picture(0)}),
    "drive": pack({"C:/train/x.jpg": picture(0)}),
    "backslash": pack({"facades\\..\\..\\train/x.jpg": picture(0)}),
    "symlink": pack({}, special("train", type=tarfile.SYMTYPE, linkname="/tmp")),
    "hard link": pack({}, special("train/x.jpg", type=tarfile.LNKTYPE, linkname="/etc/passwd")),
    "device": pack({}, special("train/x.jpg", type=tarfile.CHRTYPE, devmajor=1, devminor=5)),
    "pipe": pack({}, special("train/x.jpg", type=tarfile.FIFOTYPE)),
    "claim": pack({}, special("train/x.jpg", size=10**12)),
    "shrunk": pack({"train/x.jpg": bytes(20_000_000)}),
    "many": pack({f"train/{number}.jpg": b"" for number in range(1100)}),
    "twice": pack({"a/train/1.jpg": picture(0), "b/train/1.jpg": picture(1)}),
}


@pytest.mark.parametrize("kind", MALICIOUS)
def test_malicious_archive_writes_nothing_anywhere(server, out, kind):
    server.content = MALICIOUS[kind]
    holds = "it holds (a path that leads elsewhere|a link or device|too much, or twice the same), '"
    with pytest.raises(InputError, match=holds):
        get(server, out)
    assert list(out.parent.parent.rglob("*.jpg")) == []
    assert not out.exists() and not part_of(out).exists()


@pytest.mark.skipif(os.name == "nt", reason="Windows has no such modes")
@pytest.mark.parametrize("mode", [0o000, 0o4777])
def test_modes_of_the_archive_neither_lock_files_nor_open_them_to_others(server, out, mode):
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w:gz") as tar:
        for name, data in good_files().items():
            member = special(name, mode=mode, size=len(data))
            tar.addfile(member, io.BytesIO(data))
    server.content = buffer.getvalue()
    get(server, out)
    modes = {file.stat().st_mode & 0o7777 for file in out.rglob("*.jpg")}
    assert all(found & 0o600 == 0o600 and not found & 0o7022 for found in modes)


@pytest.mark.parametrize("damage", ["flipped", "cut off", "no tar", "bad checksum"])
def test_damaged_archive_is_told_and_removed(server, out, damage):
    good, whole = server.content, bytearray(server.content)
    if damage == "flipped":
        whole[len(whole) // 2] ^= 0xFF
    elif damage == "cut off":
        del whole[-100:]
    elif damage == "no tar":
        whole[2:] = b"no tar" * 1000
    else:
        whole[-6] ^= 0xFF  # of gzip's checksum: each file in it is whole
    server.content = bytes(whole)
    with pytest.raises(InputError, match=r"damaged, or not a \.tar\.gz"):
        get(server, out)
    assert not out.exists()
    server.content = good
    get(server, out)
    assert contents(out) == good_files()


def test_damaged_archive_that_a_person_put_there_is_not_removed(server, out):
    given = out.parent / "facades.tar.gz"
    given.parent.mkdir()
    given.write_bytes(server.content[:-100])
    with pytest.raises(InputError, match=r"damaged.*; replace it"):
        get(server, out)
    assert_nothing_but(out, "facades.tar.gz")


@pytest.mark.parametrize("where", ["header", "end"])
def test_picture_that_cannot_be_read_is_named(server, out, monkeypatch, where):
    monkeypatch.setattr(module, "SAMPLE", 1)  # the first one is decoded, but not the last
    files = good_files()
    data = files["facades/val/2.jpg"]
    files["facades/val/2.jpg"] = b"no picture" if where == "header" else data[: len(data) // 2]
    server.content = pack(files)
    with pytest.raises(InputError, match=r"val/2\.jpg cannot be read"):
        get(server, out)
    assert not out.exists()


def test_archive_without_training_pictures_is_refused(server, out):
    server.content = pack({"facades/readme.txt": b"see elsewhere"})
    with pytest.raises(InputError, match="no pictures in a folder train"):
        get(server, out)


def test_what_is_unexpected_but_usable_is_noted(server, out, capsys):
    files = good_files() | {
        "./facades/readme.txt": b"hello",
        "facades/train/._1.jpg": b"of a Mac",
        "facades/val/3.jpg": picture(9, 64),
    }
    server.content = pack(files, special("facades/train", type=tarfile.DIRTYPE))
    assert main(["facades", "--out", str(out), "--url", server.url]) == 0
    printed = capsys.readouterr().out
    assert "left out, as no pictures of train/val/test: 2 files, first ./facades/readme.txt" in (
        printed
    )
    assert "note: 6 pairs (4 train, 2 val) were expected" in printed
    assert "note: 1 files have 128x64 pixels, not 64x32" in printed
    assert "7 pairs (4 train, 3 val) in" in printed
    assert get(server, out) == out  # what arrived is what is expected from now on


# --- digests ------------------------------------------------------------------------------------


def test_given_sha256_is_compared(server, out, capsys):
    digest = hashlib.sha256(server.content).hexdigest()
    with pytest.raises(InputError, match=f"has the SHA-256 {digest}, not the one that was given"):
        get(server, out, sha256="0" * 64)
    assert not out.exists()
    arguments = ["facades", "--out", str(out), "--url", server.url, "--sha256", digest.upper()]
    assert main(arguments) == 0
    assert f"{digest}, as given" in capsys.readouterr().out
    assert server.asked == [None]  # the archive was kept


@pytest.mark.parametrize("is_known", [True, False])
def test_training_pictures_are_compared_with_those_that_are_known(
    server, out, monkeypatch, capsys, is_known
):
    get(server, out.with_name("copy"))
    digest = pictures_digest(out.with_name("copy") / "train") if is_known else "0" * 64
    monkeypatch.setitem(DATASETS, "facades", replace(DATASETS["facades"], digest=digest))
    assert main(["facades", "--out", str(out), "--url", server.url]) == 0
    printed = capsys.readouterr().out
    assert ("with the training pictures that we know" in printed) == is_known
    assert ("are not those on which the course was measured" in printed) == (not is_known)


def test_digest_of_pictures_is_that_of_names_and_bytes(tmp_path):
    (tmp_path / "b").write_bytes(b"2")
    (tmp_path / "a").write_bytes(b"1")
    lines = "".join(f"{n} {hashlib.sha256(d).hexdigest()}\n" for n, d in [("a", b"1"), ("b", b"2")])
    assert pictures_digest(tmp_path) == hashlib.sha256(lines.encode()).hexdigest()


@pytest.mark.skipif("REAL_FACADES_DIR" not in os.environ, reason="REAL_FACADES_DIR is not set")
def test_digest_of_the_facades_is_that_of_the_real_ones(tmp_path):
    files = list(Path(os.environ["REAL_FACADES_DIR"]).rglob("*.jpg"))
    for file in files:
        (tmp_path / file.name).symlink_to(file)
    assert len(files) == DATASETS["facades"].counts["train"]
    assert pictures_digest(tmp_path) == DATASETS["facades"].digest


# --- arguments ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("options", "text"),
    [
        (["--url", "ftp://host/x.gz"], "--url must begin with http:// or https://"),
        (["--url", "file:///etc/x.gz"], "--url must begin with http:// or https://"),
        (["--sha256", "abc"], "--sha256 must be 64 hex digits"),
    ],
)
def test_wrong_options_are_one_line(out, capsys, options, text):
    assert main(["facades", "--out", str(out), *options]) == 2
    assert text in capsys.readouterr().err
    assert not out.parent.exists()


def test_unknown_dataset_is_told_with_those_that_are_known(out):
    with pytest.raises(InputError, match=r"one of facades, maps.*got 'faces'"):
        fetch("faces", out)


def test_help_lists_all_datasets_without_loading_torch(capsys):
    code = "import sys; from pix2pix_lib import fetch; print(fetch.make_parser().format_help())"
    code += "; assert not {'torch', 'PIL', 'numpy'} & set(sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert all(f"  {name}: {known.megabytes} MB" in done.stdout for name, known in DATASETS.items())
