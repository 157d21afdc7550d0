"""Archives that would leave, overflow or lie; and plain ones, which come out whole."""

import bz2
import gzip
import io
import lzma
import os
import stat
import struct
import tarfile
import tracemalloc
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.tools.files.world import CANARY, KINDS, opened, snapshot

LIMITS = {"archive_members": 50, "archive_bytes": 4_000_000, "file_bytes": 2_000_000, "depth": 8}


def zipped(*members: tuple[str | zipfile.ZipInfo, bytes], method: int = zipfile.ZIP_DEFLATED) -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", method) as archive:
        for name, content in members:
            archive.writestr(name, content, method)
    return out.getvalue()


def entry(name: str, mode: int) -> zipfile.ZipInfo:
    info = zipfile.ZipInfo(name)
    info.create_system = 3
    info.external_attr = mode << 16
    return info


def tarred(*members: tuple[str, bytes | dict[str, object] | None], form: int = tarfile.GNU_FORMAT) -> bytes:
    """Bytes make a file, None a folder, a dictionary sets fields of the header."""
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w", format=form) as archive:
        for name, content in members:
            info = tarfile.TarInfo(name)
            if content is None:
                info.type = tarfile.DIRTYPE
            elif isinstance(content, dict):
                for key, value in content.items():
                    setattr(info, key, value)
            else:
                info.size = len(content)
            archive.addfile(info, io.BytesIO(content) if isinstance(content, bytes) else None)
    return out.getvalue()


def raw_tar_header(name: bytes, size: int, kind: bytes) -> bytes:
    head = bytearray(512)
    head[0 : len(name)] = name
    head[100:108], head[124:136], head[156:157], head[257:265] = b"0000644\0", b"%011o\0" % size, kind, b"ustar  \0"
    head[148:156] = b" " * 8
    head[148:156] = b"%06o\0 " % sum(head)
    return bytes(head)


def encrypted() -> bytes:
    data = bytearray(zipped(("a.txt", b"a"), method=zipfile.ZIP_STORED))
    for magic, at in ((b"PK\x03\x04", 6), (b"PK\x01\x02", 8)):
        data[data.index(magic) + at] |= 1
    return bytes(data)


def lying() -> bytes:
    """A zip whose directory claims one byte for a member that holds a megabyte and a half of zeros, many times."""
    data = bytearray(zipped(*[(f"{i}", bytes(1_500_000)) for i in range(4)]))
    at = -1
    while (at := data.find(b"PK\x01\x02", at + 1)) >= 0:
        data[at + 24 : at + 28] = struct.pack("<I", 1)
    return bytes(data)


def named_nul() -> bytes:
    return zipped(("good.txt#..", b"x")).replace(b"good.txt#..", b"good.txt\0..")


def many_in_directory() -> bytes:
    """A directory of many entries behind an end record that counts none."""
    data = bytearray(zipped(*[(f"{i:06}" + "x" * 200, b"") for i in range(300)]))
    at = data.rindex(b"PK\x05\x06")
    data[at + 8 : at + 12] = bytes(4)
    return bytes(data)


GOOD: dict[str, Callable[[], bytes]] = {
    "zip": lambda: zipped(("a.txt", b"alpha"), ("d/b.txt", b"beta"), ("e/", b"")),
    "zip-stored": lambda: zipped(("a.txt", b"alpha"), ("d/b.txt", b"beta"), ("e/", b""), method=zipfile.ZIP_STORED),
    "zip-bzip2": lambda: zipped(("a.txt", b"alpha"), ("d/b.txt", b"beta"), ("e/", b""), method=zipfile.ZIP_BZIP2),
    "zip-comment": lambda: zipped(("a.txt", b"alpha"), ("d/b.txt", b"beta"), ("e/", b""))[:-2] + b"\x02\x00hi",
    "zip-modes": lambda: zipped(
        (entry("a.txt", stat.S_IFREG | 0o4755), b"alpha"),
        ("d/b.txt", b"beta"),
        (entry("e/", stat.S_IFDIR | 0o777), b""),
    ),
    "tar": lambda: tarred(("a.txt", b"alpha"), ("d/b.txt", b"beta"), ("e", None)),
    "tar-dot": lambda: tarred((".", None), ("./a.txt", b"alpha"), ("./d", None), ("./d/b.txt", b"beta"), ("./e", None)),
    "tar-pax": lambda: tarred(("a.txt", b"alpha"), ("d/b.txt", b"beta"), ("e", None), form=tarfile.PAX_FORMAT),
    "tar-gz": lambda: gzip.compress(tarred(("a.txt", b"alpha"), ("d/b.txt", b"beta"), ("e", None))),
    "tar-gz-two": lambda: b"".join(
        gzip.compress(half)
        for t in [tarred(("a.txt", b"alpha"), ("d/b.txt", b"beta"), ("e", None))]
        for half in (t[:700], t[700:])
    ),
    "tar-bz2": lambda: bz2.compress(tarred(("a.txt", b"alpha"), ("d/b.txt", b"beta"), ("e", None))),
    "tar-xz": lambda: lzma.compress(tarred(("a.txt", b"alpha"), ("d/b.txt", b"beta"), ("e", None))),
}

BAD: dict[str, Callable[[], bytes]] = {
    "zip-dotdot": lambda: zipped(("../outside/planted", b"x")),
    "zip-dotdot-inner": lambda: zipped(("a/../../../outside/planted", b"x")),
    "zip-dotdot-harmless": lambda: zipped(("a/../b", b"x")),
    "zip-backslashes": lambda: zipped(("..\\..\\outside\\planted", b"x")),
    "zip-absolute": lambda: zipped(("/tmp/planted", b"x")),
    "zip-nul": named_nul,
    "zip-link": lambda: zipped((entry("l", stat.S_IFLNK | 0o777), b"../outside")),
    "zip-link-then-file": lambda: zipped((entry("l", stat.S_IFLNK | 0o777), b"../outside"), ("l/planted", b"x")),
    "zip-device": lambda: zipped((entry("dev", stat.S_IFCHR | 0o666), b"")),
    "zip-pipe": lambda: zipped((entry("pipe", stat.S_IFIFO | 0o666), b"")),
    "zip-twice": lambda: zipped(("a.txt", b"one")) and _twice(),
    "zip-file-and-folder": lambda: zipped(("a", b"x"), ("a/b", b"x")),
    "zip-encrypted": encrypted,
    "zip-bomb": lambda: zipped(*[(f"{i}", bytes(1_900_000)) for i in range(10)]),
    "zip-bomb-one-file": lambda: zipped(("big", bytes(3_000_000))),
    "zip-lies-about-sizes": lying,
    "zip-many": lambda: zipped(*[(f"{i}", b"") for i in range(51)]),
    "zip-many-uncounted": many_in_directory,
    "zip-deep": lambda: zipped(("/".join("d" * 9), b"x")),
    "zip-long-name": lambda: zipped(("n" * 256, b"x")),
    "zip-protected": lambda: zipped((".git/hooks/pre-commit", b"x")),
    "zip-protected-inner": lambda: zipped(("fine", b"x"), ("p/.ENV", b"x")),
    "zip-ours": lambda: zipped((".interlock/policy.cedar", b"x")),
    "zip-truncated": lambda: zipped(("a", b"x" * 100))[:-30],
    "zip-broken-content": lambda: zipped(("a", b"x" * 100), method=zipfile.ZIP_STORED).replace(b"xxx", b"xyx", 1),
    "zip-empty-name": lambda: zipped(("#", b"x")).replace(b"#", b"/"),
    "tar-dotdot": lambda: tarred(("../outside/planted", b"x")),
    "tar-absolute": lambda: tarred(("/tmp/planted", b"x")),
    "tar-link": lambda: tarred(("l", {"type": tarfile.SYMTYPE, "linkname": "../outside"}), ("l/planted", b"x")),
    "tar-link-in": lambda: tarred(("a", b"x"), ("l", {"type": tarfile.SYMTYPE, "linkname": "a"})),
    "tar-hard-link": lambda: tarred(("l", {"type": tarfile.LNKTYPE, "linkname": "../outside/secret.txt"})),
    "tar-hard-link-in": lambda: tarred(("a", b"x"), ("l", {"type": tarfile.LNKTYPE, "linkname": "a"})),
    "tar-pipe": lambda: tarred(("p", {"type": tarfile.FIFOTYPE})),
    "tar-device": lambda: tarred(("d", {"type": tarfile.CHRTYPE, "devmajor": 1, "devminor": 3})),
    "tar-sparse": lambda: raw_tar_header(b"s", 0, b"S") + bytes(1024),
    "tar-pax-path": lambda: tarred(
        ("x", {"pax_headers": {"path": "../outside/planted"}, "size": 0}), form=tarfile.PAX_FORMAT
    ),
    "tar-long-name-bomb": lambda: gzip.compress(
        raw_tar_header(b"././@LongLink", 500_000_000, b"L") + bytes(20_000_000)
    ),
    "tar-pax-bomb": lambda: gzip.compress(raw_tar_header(b"x", 500_000_000, b"x") + bytes(20_000_000)),
    "tar-bomb": lambda: gzip.compress(tarred(*[(f"{i}", bytes(1_900_000)) for i in range(10)])),
    "tar-bomb-nested": lambda: gzip.compress(gzip.compress(bytes(100_000_000))),
    "tar-many": lambda: tarred(*[(f"{i}", b"") for i in range(51)]),
    "tar-no-utf8": lambda: tarred(("na\udcffme", b"x")),
    "tar-truncated": lambda: tarred(("a", b"x" * 2000))[:1000],
    "tar-gz-truncated": lambda: gzip.compress(tarred(("a", os.urandom(5000))))[:3000],
    "tar-protected": lambda: tarred((".bashrc", b"x")),
    "no-archive": lambda: b"just text",
    "empty": lambda: b"",
    "xz-hungry": lambda: lzma.compress(tarred(("a", b"x")), preset=9),
}


def _twice() -> bytes:
    return zipped(("a.txt", b"one"), ("b.txt", b"two")).replace(b"b.txt", b"a.txt")


@pytest.fixture
def root(tmp_path: Path) -> Path:
    (tmp_path / "root").mkdir()
    (tmp_path / "outside").mkdir()
    (tmp_path / "outside" / "secret.txt").write_text(CANARY)
    return tmp_path / "root"


@pytest.mark.parametrize("to", ["out", ".", "there"])
@pytest.mark.parametrize("name", GOOD)
def test_a_plain_archive_comes_out_whole(name: str, to: str, root: Path) -> None:
    (root / "archive").write_bytes(GOOD[name]())
    (root / "there").mkdir()
    with opened(root, limits=LIMITS) as tool:
        tool.call("extract", path="archive", to=to)
    home = root / to
    assert (home / "a.txt").read_text() == "alpha"
    assert (home / "d" / "b.txt").read_text() == "beta"
    assert (home / "e").is_dir()
    assert not (home / "a.txt").stat().st_mode & 0o7111
    assert not list(root.rglob(".interlock-*"))


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("name", BAD)
def test_a_bad_archive_leaves_everything_as_it_was(name: str, kind: str, root: Path) -> None:
    (root / "archive").write_bytes(BAD[name]())
    before = snapshot(root.parent)
    with opened(root, KINDS[kind], limits=LIMITS) as tool:
        tool.refuses("extract", path="archive", to="out")
    assert snapshot(root.parent) == before


def test_nothing_is_replaced(root: Path) -> None:
    (root / "archive").write_bytes(GOOD["zip"]())
    (root / "a.txt").write_text("mine")
    before = snapshot(root)
    with opened(root) as tool:
        assert "name already" in tool.refuses("extract", path="archive", to=".")
    assert snapshot(root) == before


def test_the_quota_counts_what_comes_out(root: Path) -> None:
    (root / "archive").write_bytes(zipped(("big", bytes(50_000))))
    before = snapshot(root)
    with opened(root, limits={"root_bytes": 40_000}) as tool:
        assert "40000 bytes" in tool.refuses("extract", path="archive", to="out")
    with opened(root, limits={"root_files": 2}) as tool:
        assert "2 files" in tool.refuses("extract", path="archive", to="out")
    assert snapshot(root) == before


def huge_directory() -> bytes:
    """A zip that is nothing but a directory of 80,000 entries, behind an end record that counts none."""
    plain = zipped(("x", b""))
    start, end = plain.index(b"PK\x01\x02"), plain.index(b"PK\x05\x06")
    directory = plain[start:end] * 80_000
    return plain[:start] + directory + struct.pack("<4s4H2LH", b"PK\x05\x06", 0, 0, 0, 0, len(directory), start, 0)


@pytest.mark.parametrize(
    "make",
    [huge_directory, lambda: gzip.compress(raw_tar_header(b"x", 2_000_000_000, b"x") + bytes(200_000_000), 1)],
    ids=["zip-directory", "tar-header"],
)
def test_a_bomb_costs_no_memory(make: Callable[[], bytes], root: Path) -> None:
    (root / "archive").write_bytes(make())
    with opened(root, limits=LIMITS) as tool:
        tracemalloc.start()
        tool.refuses("extract", path="archive", to="out")
        _, peak = tracemalloc.get_traced_memory()
        tracemalloc.stop()
    assert peak < 25_000_000
