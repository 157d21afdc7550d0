"""The operations. Each checks its permit, settles links, asks for protected names, then works on descriptors.

Protected names are asked of the path after links, of everything a moved or deleted folder holds, and of every member of
an archive. What goes wrong is said in one short sentence that names nothing outside the root.
"""

from __future__ import annotations

import base64
import errno
import os
import secrets
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass

from interlock.kernel.call import Call, Json
from interlock.kernel.decision import Permit
from interlock.tools.files import regexp
from interlock.tools.files.archive import Member, members
from interlock.tools.files.pattern import Glob
from interlock.tools.files.protected import Access, Protected
from interlock.tools.files.resolve import raw
from interlock.tools.files.root import Entry, Root, Type
from interlock.tools.files.scope import Path, parse
from interlock.tools.files.spec import Settings
from interlock.tools.files.usage import Held, Usage
from interlock.tools.kind import ScopeError, ToolFailed

MAX_LINE = 300  # characters of a line that a search shows
_PIECE = 1_048_576  # bytes
_SAYS = {
    errno.ENOENT: "there is no such file or folder",
    errno.ELOOP: "a link stands in the way, and links are not followed",
    errno.EXDEV: "the path leaves the root, or the mount that the root is on",
    errno.ENOTDIR: "a step of the path is no folder",
    errno.EISDIR: "this is a folder, not a file",
    errno.EEXIST: "something bears that name already",
    errno.ENOTEMPTY: "the folder is not empty",
    errno.EACCES: "the system does not permit it",
    errno.EPERM: "the system does not permit it",
    errno.EROFS: "the root cannot be written to",
    errno.ENOSPC: "the disk is full",
    errno.EDQUOT: "the disk is full",
    errno.EFBIG: "the system does not permit a file of this size",
    errno.ENAMETOOLONG: "a name or the path is too long",
    errno.EAGAIN: "the folder changes too fast; try again",
    errno.EINVAL: "a folder cannot be moved into itself",
}


@contextmanager
def plainly() -> Iterator[None]:
    """What the system refuses, in a short sentence without its path."""
    try:
        yield
    except OSError as error:
        says = _SAYS.get(error.errno or 0, "the system refuses it")
        raise ToolFailed(says, layer="kernel") from None


@dataclass(frozen=True, slots=True, kw_only=True)
class Files:
    """One root at work."""

    settings: Settings
    root: Root
    usage: Usage
    protected: Protected
    check: Callable[[Permit, Call], None]
    clock: Callable[[], float]

    def operation(self, name: str) -> Callable[[Permit, Call], Json]:
        """What performs the operation `name`."""
        work: Mapping[str, Callable[[Call], Json]] = {
            "list": self._list,
            "read": self._read,
            "search": self._search,
            "glob": self._glob,
            "write": self._write,
            "append": self._append,
            "mkdir": self._mkdir,
            "move": self._move,
            "extract": self._extract,
            "delete": self._delete,
        }
        chosen = work[name]

        def perform(permit: Permit, call: Call) -> Json:
            self.check(permit, call)
            with plainly():
                return chosen(call)

        return perform

    def path(self, call: Call, access: Access, *, argument: str = "path", last: bool = True) -> Path:
        """Where an argument leads, links settled, nothing protected on the way.

        Raises:
            ScopeError: nowhere that this tool may touch.
            OSError: a folder on the way is missing, or a link leaves the root.
        """
        path = self._parsed(_text(call, argument, "."))
        settled = self.root.settled(path, last=last)
        self._allow(settled.parts, access)
        return settled

    def _parsed(self, text: str) -> Path:
        return parse(text, depth=self.settings.limits.depth)

    def _allow(self, parts: tuple[str, ...], access: Access) -> None:
        if pattern := self.protected.why(parts, access):
            verb = "read" if access == "read" else "changed"
            hint = f"`unprotect: ['{pattern}']` in the manifest allows it"
            raise ScopeError(f"`{pattern}` is a protected name, which is not {verb}", hint=hint)

    # reading

    def _list(self, call: Call) -> Json:
        path = self.path(call, "read")
        entries: list[Json] = []
        most = self.settings.limits.list_entries
        for entry in self.root.walk(path, depth=1):
            if len(entries) == most:
                return {"entries": entries, "truncated": True}
            try:
                state = entry.stat()
            except FileNotFoundError:
                continue
            about: dict[str, Json] = {"size": state.st_size, "modified": int(state.st_mtime)}
            entries.append(_shown(path, entry.parts, entry.type) | about)
        return {"entries": entries, "truncated": False}

    def _read(self, call: Call) -> Json:
        path = self.path(call, "read")
        most = self.settings.limits.read_bytes
        offset, limit = _number(call, "offset", 0), min(_number(call, "limit", most), most)
        with self.root.file(path) as (fd, state):
            data = _content(fd, limit, offset)
        content, encoding, used = _decoded(data, whole=offset + len(data) >= state.st_size)
        truncated = offset + used < state.st_size
        return {
            "path": str(path),
            "size": state.st_size,
            "content": content,
            "encoding": encoding,
            "truncated": truncated,
            "next_offset": offset + used if truncated else None,
        }

    def _glob(self, call: Call) -> Json:
        path = self.path(call, "read")
        glob = Glob.parse(_text(call, "pattern", ""))
        entries: list[Json] = []
        places: dict[tuple[str, ...], frozenset[int]] = {(): glob.start()}
        truncated = False
        for entry in self._walked(path):
            if entry is None or len(entries) >= self.settings.limits.list_entries:
                truncated = True
                break
            here = glob.step(places.get(entry.parts[:-1], frozenset()), entry.name)
            if entry.type == "folder":
                places[entry.parts] = here
            if glob.ends(here):
                entries.append(_shown(path, entry.parts, entry.type))
        return {"entries": entries, "truncated": truncated}

    def _search(self, call: Call) -> Json:
        path = self.path(call, "read")
        query, only = _text(call, "query", ""), _text(call, "files", "")
        glob = Glob.parse(only) if only else None
        fold, most = _flag(call, "ignore_case"), self.settings.limits.search_matches
        names, texts, truncated = self._texts(path, glob)
        if _flag(call, "regexp"):
            seconds = self.settings.limits.regexp_seconds
            found = regexp.search(query, texts, seconds=seconds, most=most, ignore_case=fold)
        else:
            found = _plain_search(query, texts, most=most, ignore_case=fold)
        lines = {number: texts[number].split("\n") for number, _, _ in found}
        matches: list[Json] = [
            {
                "path": names[number],
                "line": line,
                "column": column + 1,
                "text": _excerpt(lines[number][line - 1], column),
            }
            for number, line, column in found[:most]
        ]
        return {"matches": matches, "truncated": truncated or len(found) > most}

    def _texts(self, path: Path, glob: Glob | None) -> tuple[list[str], list[str], bool]:
        """(paths, contents, some were left out) of the text files at or beneath `path`."""
        names: list[str] = []
        texts: list[str] = []
        truncated = False
        left = self.settings.limits.search_bytes
        for where in self._searched(path, glob):
            if where is None:
                return names, texts, True
            try:
                with self.root.file(where) as (fd, state):
                    if state.st_size > left:
                        truncated = True
                        continue
                    data = _content(fd, min(state.st_size, left), 0)
            except (OSError, ToolFailed):  # gone, a link by now, hard-linked, unreadable: not searched
                continue
            left -= len(data)
            if b"\0" not in data[:8192]:
                names.append(str(where))
                texts.append(data.decode(errors="replace"))
        return names, texts, truncated

    def _searched(self, path: Path, glob: Glob | None) -> Iterator[Path | None]:
        """Files to search; None when the walk had to end early."""
        if self.root.type(path) == "file":
            yield path
            return
        places: dict[tuple[str, ...], frozenset[int]] = {(): glob.start() if glob else frozenset()}
        for entry in self._walked(path):
            if entry is None:
                yield None
                return
            if glob:
                here = glob.step(places.get(entry.parts[:-1], frozenset()), entry.name)
                if entry.type == "folder":
                    places[entry.parts] = here
                if not glob.ends(here):
                    continue
            where = (*path.parts, *entry.parts)
            if entry.type == "file" and _is_text(entry.name) and not self.protected.why(where, "read"):
                yield Path.of(where)

    def _walked(self, path: Path) -> Iterator[Entry | None]:
        """Everything beneath `path` within the limits; None where a limit ends it."""
        limits = self.settings.limits
        until = self.clock() + limits.search_seconds
        for count, entry in enumerate(self.root.walk(path, depth=limits.depth)):
            if count >= limits.walk_entries or self.clock() > until:
                yield None
                return
            yield entry

    # writing

    def _write(self, call: Call) -> Json:
        path = self.path(call, "write")
        data = self._fitting(call)
        with self.usage.reserve(len(data), 1):
            created = self.root.type(path) is None
            with self.root.new(path, replace=_flag(call, "overwrite", default=True)) as fd:
                _put(fd, data)
        return {"path": str(path), "size": len(data), "created": created}

    def _append(self, call: Call) -> Json:
        path = self.path(call, "write")
        data = self._fitting(call)
        with self.usage.reserve(len(data), 1):
            if self.root.type(path) is None:
                with self.root.new(path, replace=False) as fd:
                    _put(fd, data)
                return {"path": str(path), "size": len(data), "created": True}
            with self.root.file(path, os.O_WRONLY | os.O_APPEND) as (fd, state):
                self._small(state.st_size + len(data))
                try:
                    _put(fd, data)
                except OSError:
                    with suppress(OSError):
                        os.ftruncate(fd, state.st_size)  # all or nothing
                    raise
        return {"path": str(path), "size": state.st_size + len(data), "created": False}

    def _fitting(self, call: Call) -> bytes:
        data = _text(call, "content", "").encode()
        self._small(len(data))
        return data

    def _small(self, size: int) -> None:
        if size > self.settings.limits.file_bytes:
            raise ToolFailed(f"a file may have {self.settings.limits.file_bytes} bytes at most")

    def _mkdir(self, call: Call) -> Json:
        path = self.path(call, "write", last=False)
        created = False
        for end in range(1, len(path.parts) + 1):
            step = Path.of(path.parts[:end])
            if end < len(path.parts) and self.root.type(step) == "folder":
                continue
            with self.usage.reserve(0, 1):
                self.root.mkdir(step)
            created = True
        if not created:
            raise FileExistsError(errno.EEXIST, "")
        return {"path": str(path), "created": True}

    def _move(self, call: Call) -> Json:
        old = self.path(call, "write", last=False)
        new = self.path(call, "write", argument="to", last=False)
        if self.root.type(old) == "folder":
            self._allow_all(old, (old.parts, new.parts))
        self.root.move(old, new)
        return {"path": str(new)}

    def _delete(self, call: Call) -> Json:
        path = self.path(call, "write", last=False)
        if _flag(call, "recursive") and self.root.type(path) == "folder":
            self._allow_all(path, (path.parts,))
            self.root.delete_tree(path, depth=self.settings.limits.depth)
        else:
            self.root.delete(path)
        self.usage.forget()
        return {"path": str(path)}

    def _allow_all(self, path: Path, places: tuple[tuple[str, ...], ...]) -> None:
        """Return if nothing in the folder is protected at any of `places`, or lies too deep there."""
        limits = self.settings.limits
        for count, entry in enumerate(self.root.walk(path, depth=limits.depth + 1)):
            if count >= limits.walk_entries:
                raise ToolFailed(f"the folder holds more than {limits.walk_entries} files and folders")
            for place in places:
                where = (*place, *entry.parts)
                if len(where) > limits.depth:
                    raise ToolFailed(f"something in the folder would lie deeper than {limits.depth} folders")
                self._allow(where, "write")

    # archives

    def _extract(self, call: Call) -> Json:
        archive, to = self.path(call, "read"), self.path(call, "write", argument="to")
        limits = self.settings.limits
        with self.root.file(archive) as (fd, _):
            size, tops, entries = 0, set[str](), set[tuple[str, ...]]()
            for member in _members(fd, self):
                where = (*to.parts, *member.path.parts)
                if len(where) > limits.depth:
                    raise ToolFailed(f"the archive holds something deeper than {limits.depth} folders")
                self._allow(where, "write")
                size += sum(map(len, member.content or ()))
                tops.update(member.path.parts[:1])
                entries.update(member.path.parts[:end] for end in range(1, len(member.path.parts) + 1))
            with self.usage.reserve(size, len(entries) + 1):
                self._unpack(fd, to, sorted(tops))
        return {"path": str(to), "size": size, "files": len(entries)}

    def _unpack(self, fd: int, to: Path, tops: list[str]) -> None:
        """Into a folder of our own first; then its entries get their names, none of which may be taken."""
        there = self.root.type(to)
        if there not in {None, "folder"} or (there and any(self.root.type(_below(to, top)) for top in tops)):
            raise FileExistsError(errno.EEXIST, "")
        home = to if there else Path.of(to.parts[:-1])
        stage = _below(home, f".interlock-{secrets.token_hex(8)}")
        self.root.mkdir(stage)
        try:
            for member in _members(fd, self):
                self._place(_below(stage, *member.path.parts), member, len(stage.parts))
            if there is None:
                self.root.move(stage, to)
                return
            for top in tops:
                self.root.move(_below(stage, top), _below(to, top))
        finally:
            with suppress(OSError, ToolFailed):
                self.root.delete_tree(stage, depth=self.settings.limits.depth + 1)

    def _place(self, path: Path, member: Member, base: int) -> None:
        folders = path.parts if member.content is None else path.parts[:-1]
        for end in range(base + 1, len(folders) + 1):
            with suppress(FileExistsError):
                self.root.mkdir(Path.of(folders[:end]))
        if member.content is not None:
            with self.root.new(path, replace=False) as fd:
                for piece in member.content:
                    _put(fd, piece)

    def count(self) -> Held:
        """What the root holds now."""
        size = entries = 0
        for entry in self.root.walk(Path.of(()), depth=2 * self.settings.limits.depth):
            entries += 1
            if entry.type == "file":
                with suppress(OSError):
                    size += entry.stat().st_size
        return Held(size, entries)


def _members(fd: int, files: Files) -> Iterator[Member]:
    with os.fdopen(os.dup(fd), "rb") as file:
        file.seek(0)
        yield from members(file, files.settings.limits)


def _below(path: Path, *names: str) -> Path:
    return Path.of((*path.parts, *names))


def _shown(path: Path, parts: tuple[str, ...], kind: Type) -> dict[str, Json]:
    """An entry as the model sees it; a name that is no UTF-8 is shown, though no call can name it."""
    where = raw("/".join((*path.parts, *parts))).decode(errors="replace")
    return {"path": where, "name": where.rsplit("/", 1)[-1], "type": kind}


def _content(fd: int, size: int, offset: int) -> bytes:
    """Up to `size` bytes from `offset` on; fewer only at the end."""
    pieces = []
    while size > 0 and (piece := os.pread(fd, min(size, _PIECE), offset)):
        pieces.append(piece)
        size -= len(piece)
        offset += len(piece)
    return b"".join(pieces)


def _decoded(data: bytes, *, whole: bool) -> tuple[str, str, int]:
    """(content, encoding, bytes it stands for): a character that is cut at the end is left for the next read."""
    try:
        return data.decode(), "utf-8", len(data)
    except UnicodeDecodeError as error:
        if not whole and error.reason == "unexpected end of data" and error.start > 0:
            return data[: error.start].decode(), "utf-8", error.start
    return base64.b64encode(data).decode(), "base64", len(data)


def _put(fd: int, data: bytes) -> None:
    view = memoryview(data)
    while view:
        view = view[os.write(fd, view) :]


def _plain_search(query: str, texts: list[str], *, most: int, ignore_case: bool) -> list[tuple[int, int, int]]:
    """As `regexp.search`, for a text; linear."""
    wanted = query.casefold() if ignore_case else query
    found: list[tuple[int, int, int]] = []
    for number, text in enumerate(texts):
        if wanted not in (text.casefold() if ignore_case else text):
            continue
        for line, content in enumerate(text.split("\n"), 1):
            column = (content.casefold() if ignore_case else content).find(wanted)
            if column >= 0:
                found.append((number, line, column))
                if len(found) > most:
                    return found
    return found


def _excerpt(line: str, column: int) -> str:
    start = max(0, column - MAX_LINE // 3) if len(line) > MAX_LINE else 0
    return line[start : start + MAX_LINE]


def _is_text(name: str) -> bool:
    """A call can hold the name: it is UTF-8."""
    return not any("\ud800" <= c <= "\udfff" for c in name)


def _text(call: Call, name: str, default: str) -> str:
    value = call.arguments.get(name, default)
    if not isinstance(value, str):
        raise ScopeError(f"`{name}` must be text")
    return value


def _number(call: Call, name: str, default: int) -> int:
    value = call.arguments.get(name, default)
    if not isinstance(value, int) or isinstance(value, bool) or value < 0:
        raise ScopeError(f"`{name}` must be a number, 0 or above")
    return value


def _flag(call: Call, name: str, *, default: bool = False) -> bool:
    value = call.arguments.get(name, default)
    if not isinstance(value, bool):
        raise ScopeError(f"`{name}` must be true or false")
    return value
