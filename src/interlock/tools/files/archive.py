"""Archives as a stream of plain members: zip, and tar bare or packed with gzip, bzip2 or xz. Nothing is believed.

Only regular files and folders come out, by names that a path of the model could have, too; a link, a device, a sparse
or an encrypted member, `..`, an absolute name refuses the whole archive. Sizes are counted where bytes appear, never
where a header claims them; a header cannot make us allocate more than the cap either. Modes, owners, times are dropped.
"""

from __future__ import annotations

import bz2
import io
import lzma
import os
import stat
import struct
import tarfile
import zipfile
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import IO, Protocol

from interlock.tools.files.scope import Path, parse
from interlock.tools.files.spec import Limits
from interlock.tools.kind import ScopeError, ToolFailed

CHUNK = 65_536  # bytes
FREE = 1_048_576  # bytes that come out whatever their ratio: small texts pack well
_END = 22  # bytes of a zip's end record, without its comment
_HEADER = 1_024  # bytes that a tar's header, or a zip's entry in the directory, may take on average
_XZ_MEMORY = 67_108_864  # bytes


@dataclass(frozen=True, slots=True)
class Member:
    """One file, or a folder if `content` is None. The content is read before the next member is asked for."""

    path: Path
    content: Iterator[bytes] | None


class _Decompressor(Protocol):
    @property
    def eof(self) -> bool: ...

    @property
    def unused_data(self) -> bytes: ...

    def decompress(self, data: bytes, max_length: int) -> bytes: ...


def members(file: IO[bytes], limits: Limits) -> Iterator[Member]:
    """What the archive holds, in its order.

    Raises:
        ToolFailed: it is no archive, or holds what may not come out.
    """
    size = file.seek(0, os.SEEK_END)
    if size > limits.archive_bytes:
        raise ToolFailed(f"the archive is larger than {limits.archive_bytes} bytes")
    file.seek(0)
    magic = file.read(6)
    file.seek(0)
    meter = _Meter(limits, min(limits.archive_bytes, max(FREE, size * limits.archive_ratio)))
    with _plainly():
        if magic.startswith((b"PK\x03\x04", b"PK\x05\x06")):
            yield from _zip(file, meter, size)
        else:
            yield from _tar(file, meter, magic)


@contextmanager
def _plainly() -> Iterator[None]:
    """Whatever the readers of the standard library raise on broken input is one short refusal."""
    broken = (tarfile.TarError, zipfile.BadZipFile, zipfile.LargeZipFile, zlib.error, lzma.LZMAError, EOFError)
    try:
        yield
    except (*broken, struct.error, NotImplementedError, RuntimeError, ValueError, OverflowError):
        raise ToolFailed("this is no archive that can be read: zip, tar, tar.gz, tar.bz2 or tar.xz") from None


class _Meter:
    """Counts what comes out of one archive."""

    def __init__(self, limits: Limits, most: int) -> None:
        self.limits, self.most = limits, most
        self._size = self._members = 0

    def member(self, name: str) -> Path:
        """The path of one more member.

        Raises:
            ToolFailed: there are too many, or the name leads outside.
        """
        self._members += 1
        if self._members > self.limits.archive_members:
            raise ToolFailed(f"the archive holds more than {self.limits.archive_members} members")
        if ".." in name.replace("\\", "/").split("/"):
            raise ToolFailed("a name in the archive has `..`")
        try:
            return parse(name, depth=self.limits.depth)
        except ScopeError:
            raise ToolFailed("a name in the archive is no path below a folder") from None

    def content(self, read: Callable[[int], bytes]) -> Iterator[bytes]:
        """What `read` gives, in pieces, up to the limits of one file and of all."""
        size = 0
        while True:
            with _plainly():
                piece = read(CHUNK)
            if not piece:
                return
            size += len(piece)
            self._size += len(piece)
            if size > self.limits.file_bytes:
                raise ToolFailed(f"a member of the archive is larger than {self.limits.file_bytes} bytes")
            if self._size > self.most:
                raise ToolFailed(f"the archive unpacks to more than {self.most} bytes")
            yield piece


def _zip(file: IO[bytes], meter: _Meter, size: int) -> Iterator[Member]:
    _small_directory(file, meter.limits, size)
    with zipfile.ZipFile(file) as archive:
        for info in archive.infolist():
            if "\0" in info.orig_filename:
                raise ToolFailed("a name in the archive holds a NUL")
            path = meter.member(info.filename)
            mode = info.external_attr >> 16
            if stat.S_IFMT(mode) not in {0, stat.S_IFREG, stat.S_IFDIR}:
                raise ToolFailed("the archive holds a link or a special file")
            if info.flag_bits & 0x1:
                raise ToolFailed("the archive is encrypted")
            if info.is_dir() or stat.S_ISDIR(mode):
                yield Member(path, None)
                continue
            with archive.open(info) as content:
                yield Member(path, meter.content(content.read))


def _small_directory(file: IO[bytes], limits: Limits, size: int) -> None:
    """Return if the directory, which `zipfile` loads whole, fits its limits; looked up where `zipfile` looks.

    Raises:
        ToolFailed: it does not, or it is in the form for archives beyond 4 GiB.
    """
    tail_size = min(size, _END + 65_535)
    file.seek(size - tail_size)
    tail = file.read(tail_size)
    file.seek(0)
    at = len(tail) - _END
    if tail[at : at + 4] != b"PK\x05\x06" or tail[-2:] != b"\0\0":
        at = tail.rfind(b"PK\x05\x06")
    if at < 0 or len(tail) - at < _END:
        raise zipfile.BadZipFile
    count, length = struct.unpack("<HI", tail[at + 10 : at + 16])
    if b"PK\x06\x07" in tail[max(0, at - 20) : at]:
        raise ToolFailed("the archive is in the form for more than 4 GiB")
    if count > limits.archive_members or length > limits.archive_members * _HEADER:
        raise ToolFailed(f"the archive holds more than {limits.archive_members} members")


def _tar(file: IO[bytes], meter: _Meter, magic: bytes) -> Iterator[Member]:
    # Headers go through the same decompressor as content: what a header claims to be long is cut off there.
    most = meter.most + meter.limits.archive_members * 2 * _HEADER
    plain: IO[bytes] = _Bounded(file, _decompressor(magic), most)  # type: ignore[assignment]  # tarfile reads only
    with tarfile.open(fileobj=plain, mode="r|", encoding="utf-8", errors="surrogateescape") as archive:
        for info in archive:
            path = meter.member(info.name)
            if info.isdir():
                yield Member(path, None)
            elif info.isreg() and not info.issparse() and (content := archive.extractfile(info)) is not None:
                yield Member(path, meter.content(content.read))
            else:
                raise ToolFailed("the archive holds a link, a sparse or a special file")


def _decompressor(magic: bytes) -> Callable[[], _Decompressor] | None:
    if magic.startswith(b"\x1f\x8b"):
        return _Gzip
    if magic.startswith(b"BZh"):
        return bz2.BZ2Decompressor
    if magic == b"\xfd7zXZ\x00":
        return lambda: lzma.LZMADecompressor(format=lzma.FORMAT_XZ, memlimit=_XZ_MEMORY)
    return None


class _Gzip:
    """zlib's decompressor with the interface of the two others: it keeps what it has not used."""

    def __init__(self) -> None:
        self._inner = zlib.decompressobj(31)

    @property
    def eof(self) -> bool:
        return self._inner.eof

    @property
    def unused_data(self) -> bytes:
        return self._inner.unused_data

    def decompress(self, data: bytes, max_length: int) -> bytes:
        return self._inner.decompress(self._inner.unconsumed_tail + data, max_length)


class _Bounded(io.RawIOBase):
    """At most `most` decompressed bytes of a file, in pieces, for a reader that asks for anything."""

    def __init__(self, file: IO[bytes], make: Callable[[], _Decompressor] | None, most: int) -> None:
        super().__init__()
        self._file, self._make, self._left = file, make, most
        self._inner = make() if make is not None else None
        self._ended = False

    def read(self, size: int = -1, /) -> bytes:
        """Up to `size` bytes; fewer only at the end."""
        pieces = []
        while size > 0 and (piece := self._piece(min(size, CHUNK))):
            pieces.append(piece)
            size -= len(piece)
            self._left -= len(piece)
            if self._left < 0:
                raise ToolFailed("the archive unpacks to more than it may")
        return b"".join(pieces)

    def _piece(self, size: int) -> bytes:
        if self._inner is None or self._make is None:
            return self._file.read(size)
        data = b""
        while not self._ended:
            if self._inner.eof:  # another stream may follow
                data = self._inner.unused_data or self._file.read(CHUNK)
                if not data.strip(b"\0"):
                    self._ended = True
                    break
                self._inner = self._make()
            piece = self._inner.decompress(data, size)
            if piece:
                return piece
            if not self._inner.eof:
                data = self._file.read(CHUNK)
                if not data:
                    raise EOFError
        return b""
