"""One root, held open by a descriptor, and everything that is done inside it: always on descriptors, never on paths.

What is opened is looked at before it can act: first as a bare handle (O_PATH), then, if it is a regular file with one
name, reopened through that handle. What is made, renamed or deleted is one single name in a folder that was resolved.
New content appears whole: it is written under a name of ours and renamed.
"""

from __future__ import annotations

import errno
import os
import secrets
import stat
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import Literal, TypeAlias

from interlock.tools.files.resolve import Resolver, raw, unlinked
from interlock.tools.files.scope import Path
from interlock.tools.files.system import rename_new
from interlock.tools.kind import ToolFailed

Type: TypeAlias = Literal["file", "folder", "link", "special"]
_FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_NONBLOCK | os.O_CLOEXEC
_REOPEN = os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC
_NEW = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
_MODE = 0o777  # of the bits that a replaced file hands on: no set-user-id


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """One entry that a walk met. `folder` is the descriptor it stands in, valid until the walk goes on."""

    parts: tuple[str, ...]
    type: Type
    folder: int

    @property
    def name(self) -> str:
        """Its name in `folder`."""
        return self.parts[-1]

    def stat(self) -> os.stat_result:
        """Its state now; not of what a link means."""
        return os.stat(raw(self.name), dir_fd=self.folder, follow_symlinks=False)


class Root:
    """A folder and what lies beneath it."""

    def __init__(self, fd: int, resolver: Resolver, *, follow: bool) -> None:
        self._fd = fd
        self.resolver = resolver
        self._follow = follow
        self._busy = 0
        self._closed = False
        self._lock = threading.Lock()
        self._idle = threading.Condition(self._lock)

    def _enter(self) -> int:
        """The root's descriptor, which stays open until `_leave`: a closed number may be another file's."""
        with self._lock:
            if self._closed:
                raise ToolFailed("the tool is closed")
            self._busy += 1
        return self._fd

    def _leave(self) -> None:
        with self._lock:
            self._busy -= 1
            if self._closed:
                self._idle.notify_all()

    @contextmanager
    def _held(self) -> Iterator[int]:
        root = self._enter()
        try:
            yield root
        finally:
            self._leave()

    def close(self) -> None:
        """Take no more work, wait for what runs, give the descriptor back."""
        with self._lock:
            if self._closed:
                return
            self._closed = True
            self._idle.wait_for(lambda: self._busy == 0)
        os.close(self._fd)

    def settled(self, path: Path, *, last: bool = True) -> Path:
        """`path` with its links followed, if this root follows them; its `last` step only where asked."""
        if not self._follow:
            return path
        with self._held() as root:
            if last:
                return Path(steps=(parts := unlinked(root, path.steps)), parts=parts, folder=path.folder)
            name = path.name
            parts = (*unlinked(root, path.steps[:-1]), name)
        return Path(steps=parts, parts=parts, folder=path.folder)

    # opening

    @contextmanager
    def file(self, path: Path, flags: int = os.O_RDONLY) -> Iterator[tuple[int, os.stat_result]]:
        """A regular file with one name, open; and its state.

        Raises:
            ToolFailed: it is something else.
            OSError: it is not there, or a link stands in the way.
        """
        fd = handle = -1
        root = self._enter()
        try:
            handle = self.resolver.open(root, path.steps, os.O_PATH | (os.O_DIRECTORY if path.folder else 0))
            _regular(os.fstat(handle))
            fd = self._reopened(root, path, handle, flags)
            os.close(handle)
            handle = -1
            state = os.fstat(fd)
            _regular(state)
            yield fd, state
        finally:
            for open_fd in (handle, fd):
                if open_fd >= 0:
                    os.close(open_fd)
            self._leave()

    def _reopened(self, root: int, path: Path, handle: int, flags: int) -> int:
        try:
            return os.open(f"/proc/self/fd/{handle}", flags | _REOPEN)
        except FileNotFoundError:  # no /proc here: resolve again, and accept the same file only
            fd = self.resolver.open(root, path.steps, flags | _REOPEN)
            if not os.path.samestat(os.fstat(fd), os.fstat(handle)):
                os.close(fd)
                raise OSError(errno.EAGAIN, os.strerror(errno.EAGAIN)) from None
            return fd

    @contextmanager
    def folder(self, path: Path) -> Iterator[int]:
        """A folder, open for listing."""
        with self._held() as root:
            fd = self.resolver.open(root, path.steps, _FOLDER)
            try:
                yield fd
            finally:
                os.close(fd)

    @contextmanager
    def parent(self, path: Path) -> Iterator[tuple[int, bytes]]:
        """The folder that `path` is a single name in, and that name."""
        name = raw(path.name)
        with self._held() as root:
            fd = self.resolver.open(root, path.steps[:-1], os.O_PATH | os.O_DIRECTORY)
            try:
                yield fd, name
            finally:
                os.close(fd)

    def type(self, path: Path) -> Type | None:
        """What stands at `path`, not followed; None if nothing does."""
        if not path.steps or path.steps[-1] == "..":
            with self.folder(path):
                return "folder"
        with self.parent(path) as (fd, name):
            try:
                return type_of(os.stat(name, dir_fd=fd, follow_symlinks=False))
            except FileNotFoundError:
                return None

    def walk(self, path: Path, *, depth: int) -> Iterator[Entry]:
        """Everything beneath the folder at `path`, at most `depth` levels, each folder before what it holds.

        Links are reported and not followed; a folder that is gone, unreadable or another mount is passed over.
        """
        with self.folder(path) as fd:
            yield from self._walk(fd, (), depth)

    def _walk(self, fd: int, parts: tuple[str, ...], depth: int) -> Iterator[Entry]:
        with os.scandir(fd) as found:
            items = [(os.fsencode(item.name).decode("utf-8", "surrogateescape"), _type(item)) for item in found]
        for name, kind in sorted(items):
            yield Entry(parts=(*parts, name), type=kind, folder=fd)
            if kind == "folder" and depth > 1:
                try:
                    inner = self.resolver.open(fd, (name,), _FOLDER)
                except OSError:
                    continue
                try:
                    yield from self._walk(inner, (*parts, name), depth - 1)
                finally:
                    os.close(inner)

    # changing

    @contextmanager
    def new(self, path: Path, *, replace: bool) -> Iterator[int]:
        """A descriptor for the content of `path`; the name appears when the block ends well, or not at all.

        Raises:
            FileExistsError: something bears the name, and `replace` is false.
            ToolFailed: what bears it is no regular file with one name.
        """
        with self.parent(path) as (folder, name):
            if path.folder:
                raise ToolFailed("a path that ends with `/` is a folder's, not a file's")
            mode = self._replaceable(folder, name, replace=replace)
            temporary = raw(f".interlock-{secrets.token_hex(8)}")
            fd = os.open(temporary, _NEW, 0o666, dir_fd=folder)
            try:
                try:
                    if mode is not None:
                        os.fchmod(fd, mode)
                    yield fd
                finally:
                    os.close(fd)
                if mode is None:
                    rename_new((folder, temporary), (folder, name), folder=False)
                else:
                    os.rename(temporary, name, src_dir_fd=folder, dst_dir_fd=folder)
            except BaseException:
                with suppress(OSError):
                    os.unlink(temporary, dir_fd=folder)
                raise

    @staticmethod
    def _replaceable(folder: int, name: bytes, *, replace: bool) -> int | None:
        """The mode of the regular file that bears `name`, or None for a free name."""
        try:
            state = os.stat(name, dir_fd=folder, follow_symlinks=False)
        except FileNotFoundError:
            return None
        if not replace:
            raise FileExistsError(errno.EEXIST, os.strerror(errno.EEXIST))
        _regular(state)
        return stat.S_IMODE(state.st_mode) & _MODE

    def mkdir(self, path: Path) -> None:
        """Make one folder; its parent is there."""
        with self.parent(path) as (folder, name):
            os.mkdir(name, dir_fd=folder)

    def move(self, old: Path, new: Path) -> None:
        """Give a file or folder another name, which nothing bears."""
        with self.parent(old) as source, self.parent(new) as target:
            kind = type_of(os.stat(source[1], dir_fd=source[0], follow_symlinks=False))
            if kind in {"link", "special"} or (kind == "file" and (old.folder or new.folder)):
                raise ToolFailed("only files and folders can be moved")
            rename_new(source, target, folder=kind == "folder")

    def delete(self, path: Path) -> None:
        """Delete a file, a link (not what it means) or an empty folder."""
        with self.parent(path) as (folder, name):
            _delete(folder, name, as_folder=path.folder)

    def delete_tree(self, path: Path, *, depth: int) -> None:
        """Delete a folder and everything in it; links are deleted and never followed."""
        with self.parent(path) as (folder, name):
            fd = self.resolver.open(folder, (path.name,), _FOLDER)
            try:
                self._empty(fd, depth)
            finally:
                os.close(fd)
            os.rmdir(name, dir_fd=folder)

    def _empty(self, fd: int, depth: int) -> None:
        if depth == 0:
            raise ToolFailed("the folder is too deep to be deleted whole")
        with os.scandir(fd) as found:
            items = [(os.fsencode(item.name), _type(item)) for item in found]
        for name, kind in items:
            if kind != "folder":
                _delete(fd, name, as_folder=False)
                continue
            inner = self.resolver.open(fd, (name.decode("utf-8", "surrogateescape"),), _FOLDER)
            try:
                self._empty(inner, depth - 1)
            finally:
                os.close(inner)
            os.rmdir(name, dir_fd=fd)


def type_of(state: os.stat_result) -> Type:
    """What the state of an entry says it is."""
    if stat.S_ISREG(state.st_mode):
        return "file"
    if stat.S_ISDIR(state.st_mode):
        return "folder"
    return "link" if stat.S_ISLNK(state.st_mode) else "special"


def _type(item: os.DirEntry[str]) -> Type:
    if item.is_symlink():
        return "link"
    if item.is_dir(follow_symlinks=False):
        return "folder"
    return "file" if item.is_file(follow_symlinks=False) else "special"


def _regular(state: os.stat_result) -> None:
    """Return if content may be read from or written to what has this state."""
    if stat.S_ISREG(state.st_mode) and state.st_nlink <= 1:
        return
    kind = type_of(state)
    if kind == "link":
        raise OSError(errno.ELOOP, os.strerror(errno.ELOOP))
    if kind == "folder":
        raise OSError(errno.EISDIR, os.strerror(errno.EISDIR))
    if kind == "special":
        raise ToolFailed("this is a device, pipe or socket, not a file")
    raise ToolFailed("this file has more than one name (hard links), so its content may lie elsewhere")


def _delete(folder: int, name: bytes, *, as_folder: bool) -> None:
    kind = type_of(os.stat(name, dir_fd=folder, follow_symlinks=False))
    if kind == "special":
        raise ToolFailed("devices, pipes and sockets are not deleted")
    if kind == "folder":
        os.rmdir(name, dir_fd=folder)
    elif as_folder:
        raise OSError(errno.ENOTDIR, os.strerror(errno.ENOTDIR))
    else:
        os.unlink(name, dir_fd=folder)
