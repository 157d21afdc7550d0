"""What `kind: files` opens: settings, a resolver that was tried, one operation for each tool, and their self-test."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path as Folder

from interlock.kernel.call import Call, Resource
from interlock.kernel.spec import Effect, ToolSpec
from interlock.tools.arguments import validator
from interlock.tools.files import system
from interlock.tools.files.perform import Files as Performer
from interlock.tools.files.perform import plainly
from interlock.tools.files.protected import Access, Protected
from interlock.tools.files.prove import prove
from interlock.tools.files.resolve import can_walk, choose
from interlock.tools.files.root import Root
from interlock.tools.files.spec import Settings, tools
from interlock.tools.files.usage import Usage
from interlock.tools.kind import Config, ConfigError, Context, Operation, Proof, ScopeError, ToolFailed

_MOVES_THE_ENTRY = frozenset({"mkdir", "move", "delete"})  # they act on a link itself, never on what it means


@dataclass(frozen=True, slots=True, kw_only=True)
class Opened:
    """An entry, open for work. A `Capability`."""

    operations: tuple[Operation, ...]
    root: Root
    openat2: system.Openat2
    walks: Callable[[], bool]

    def prove(self) -> tuple[Proof, ...]:
        """See `Capability.prove`."""
        return prove(self.root.resolver, openat2=self.openat2, walks=self.walks)

    def close(self) -> None:
        """See `Capability.close`."""
        self.root.close()


@dataclass(frozen=True, slots=True, kw_only=True)
class Files:
    """The kind. `openat2` and `walks` are what the system offers; tests take them away."""

    name: str = "files"
    openat2: system.Openat2 = system.openat2
    walks: Callable[[], bool] = can_walk
    clock: Callable[[], float] = time.monotonic

    def specs(self, entry: str, config: Config) -> tuple[ToolSpec, ...]:
        """See `Kind.specs`."""
        return tools(entry, Settings.of(config))

    def open(self, entry: str, config: Config, context: Context) -> Opened:
        """See `Kind.open`."""
        settings = Settings.of(config)
        fd = _folder(Folder(context.base_dir, settings.root))
        try:
            resolver = choose(fd, openat2=self.openat2, walks=self.walks)
        except ConfigError:
            os.close(fd)
            raise
        root = Root(fd, resolver, follow=settings.follow)
        usage = Usage(
            lambda: files.count(),  # noqa: PLW0108 - `files` is made below
            size=settings.limits.root_bytes,
            entries=settings.limits.root_files,
            clock=self.clock,
        )
        files = Performer(
            settings=settings,
            root=root,
            usage=usage,
            protected=Protected.of(more=settings.protect, allowed=settings.unprotect),
            check=context.check,
            clock=self.clock,
        )
        operations = tuple(
            Operation(
                spec=spec,
                validate=validator(spec),
                scope=_scope(entry, name, spec, files),
                perform=files.operation(name),
            )
            for name, spec in zip(settings.operations, tools(entry, settings), strict=True)
        )
        return Opened(operations=operations, root=root, openat2=self.openat2, walks=self.walks)


def _folder(path: Folder) -> int:
    try:
        fd = os.open(path, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    except FileNotFoundError:
        raise ConfigError("`root` is not there", path=("root",), hint="make the folder, or correct the path") from None
    except OSError as error:
        why = os.strerror(error.errno or 0)
        raise ConfigError(f"`root` cannot be opened as a folder ({why})", path=("root",)) from None
    if os.path.samestat(os.fstat(fd), Folder("/").stat()):
        os.close(fd)
        raise ConfigError("`root` is the whole file system; name a folder in it", path=("root",))
    return fd


def _scope(entry: str, name: str, spec: ToolSpec, files: Performer) -> Callable[[Call], Resource]:
    """Call → the file or folder that it would touch; of `move` the old path, of `extract` the folder that is filled."""
    access: Access = "read" if spec.effect is Effect.READ else "write"
    last = name not in _MOVES_THE_ENTRY

    def scope(call: Call) -> Resource:
        try:
            with plainly():
                path = files.path(call, access, last=last)
                if name in {"move", "extract"}:
                    to = files.path(call, "write", argument="to", last=name == "extract")
                    path = path if name == "move" else to
        except ToolFailed as error:
            raise ScopeError(str(error), layer=error.layer) from None
        return Resource("File", f"{entry}:/{'/'.join(path.parts)}")

    return scope
