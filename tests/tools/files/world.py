"""A root full of traps beside an outside full of canaries, and a way to call the tool as the monitor would."""

import os
import socket
import stat
import zipfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from interlock.kernel.call import Call, Json, freeze
from interlock.kernel.decision import Mint, Permit
from interlock.kernel.errors import InterlockError
from interlock.tools.files import Files
from interlock.tools.files.entry import Opened
from interlock.tools.kind import Context

CANARY = "canary-7f3a9c1e"
MINT = Mint(b"k" * 32)
ALL = ["list", "read", "search", "glob", "write", "append", "mkdir", "move", "extract", "delete"]


def no_openat2(folder: int, path: bytes, flags: int) -> int:
    raise OSError(38, "Function not implemented")


KINDS = {"openat2": Files(), "walk": Files(openat2=no_openat2)}

PLAIN = {
    "a.txt": "alpha\nbeta\n",
    "empty.txt": "",
    "docs/readme.md": "# read me\nalpha again\n",
    "docs/guide.md": "guide\n",
    "docs/deep/x/y/z.txt": "deep alpha\n",
    "with space.txt": "space\n",
    " leading.txt": "leading\n",
    "trailing.txt ": "trailing\n",
    "dot.": "dot\n",
    "ünïcode.txt": "composed\n",
    "u\u0308.txt": "decomposed\n",
    "日本語/ファイル.txt": "japanese\n",
    "😀.txt": "emoji\n",
    ".hidden": "hidden\n",
    ".gitignore": "*.pyc\n",
    ".editorconfig": "root = true\n",
    ".github/workflows/ci.yml": "on: push\n",
    ".env.example": "KEY=\n",
    ".environment": "not a dotenv\n",
    "env": "not a dotenv\n",
    "...": "three dots\n",
    "..a": "two dots and a letter\n",
    "a..b": "dots inside\n",
    "..dir/f": "a folder that starts with dots\n",
    "-rf": "looks like an option\n",
    "~": "tilde\n",
    "$HOME": "dollar\n",
    "${PWD}": "braces\n",
    "%2e%2e": "percent\n",
    "%00": "percent zero\n",
    "\uff0e\uff0e/f": "full-width dots\n",
    "C:": "drive\n",
    "C:\\temp": "drive path\n",
    "back\\slash.txt": "backslash\n",
    "..\\up.txt": "backslash dots\n",
    "new\nline.txt": "newline\n",
    "tab\t.txt": "tab\n",
    "star*.txt": "star\n",
    "[set].txt": "set\n",
    "quote'\".txt": "quotes\n",
    "a;b|c&d.txt": "shell\n",
    "CON": "device on other systems\n",
    "file:/etc/passwd": "a folder named file:\n",
    "keys/readme.txt": "about keys\n",
    "monkey.txt": "no key\n",
    "turnkey": "no key\n",
    "hooks/pre-commit": "a hook of nobody\n",
    "config": "a config of nobody\n",
    "git/config": "no repository\n",
    "x.git/config": "another name\n",
    "gitconfig": "no dot\n",
    "profile": "no dot\n",
    "proc/self/environ": "a folder named proc\n",
    "etc/passwd": "a folder named etc\n",
    ".git/config": f"token = {CANARY}\n",
    ".git/HEAD": "ref: refs/heads/main\n",
    ".git/hooks/pre-commit.sample": "#!/bin/sh\n",
    "sub/.git/config": f"token = {CANARY}\n",
    "sub/plain.txt": "plain\n",
    ".env": f"KEY={CANARY}\n",
    "app/.env.production": f"KEY={CANARY}\n",
    ".mcp.json": f'{{"key": "{CANARY}"}}',
    ".ssh/id_ed25519": CANARY,
    "deploy.pem": CANARY,
    "server.key": CANARY,
    ".npmrc": f"//registry/:_authToken={CANARY}",
    "full/one": "1",
    "full/two": "2",
}
LINKS = {
    "link": "../outside/secret.txt",
    "link-folder": "../outside",
    "link-absolute": "{outside}/secret.txt",
    "link-in": "a.txt",
    "link-folder-in": "docs",
    "link-absolute-in": "{root}/a.txt",
    "link-loop": "link-loop",
    "loop-a": "loop-b",
    "loop-b": "loop-a",
    "chain": "chain2",
    "chain2": "link",
    "dangling": "../outside/new.txt",
    "dangling-absolute": "{outside}/new.txt",
    "dangling-in": "fresh.txt",
    "up": "..",
    "dot": ".",
    "slash": "/",
    "magic-root": "/proc/self/root{outside}/secret.txt",
    "magic-cwd": "/proc/self/cwd",
    "magic-fd": "/dev/fd/0",
    "docs/out": "../../outside",
    "docs/deep/in": "../../a.txt",
    "docs/deep/escape": "../../../outside/secret.txt",
    "in-then-out": "docs/out/secret.txt",
    "git-link": ".git",
    "env-link": ".env",
}


@dataclass(frozen=True, slots=True)
class World:
    home: Path
    root: Path
    outside: Path

    @classmethod
    def make(cls, home: Path) -> "World":
        world = cls(home, home / "root", home / "outside")
        world.outside.mkdir()
        (world.outside / "secret.txt").write_text(CANARY)
        (world.outside / "victim").mkdir()
        (world.outside / "victim" / "keep.txt").write_text(CANARY)
        (home / "root-evil").mkdir()
        (home / "root-evil" / "secret.txt").write_text(CANARY)
        (home / "rootx").write_text(CANARY)
        world.root.mkdir()
        for name, content in PLAIN.items():
            path = Path(f"{world.root}/{name}")
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(content)
        for name, target in LINKS.items():
            (world.root / name).symlink_to(target.format(root=world.root, outside=world.outside))
        (world.root / "hollow").mkdir()
        (world.outside / "twin.txt").write_text(CANARY)  # not the target of the links: they must be refused as links
        os.link(world.outside / "twin.txt", world.root / "hard.txt")
        os.mkfifo(world.root / "pipe")
        with socket.socket(socket.AF_UNIX) as listener:
            here = os.open(world.root, os.O_RDONLY)
            listener.bind(f"/proc/self/fd/{here}/socket")  # a socket's path may have 107 bytes only
            os.close(here)
        with zipfile.ZipFile(world.root / "good.zip", "w") as archive:
            archive.writestr("top.txt", "top\n")
            archive.writestr("inner/leaf.txt", "leaf\n")
        return world

    def filled(self, text: str) -> str:
        return text.replace("{root}", str(self.root)).replace("{outside}", str(self.outside))


def snapshot(folder: Path, *, without: Path | None = None) -> dict[str, tuple[object, ...]]:
    """Everything beneath `folder`: type, mode, size and content of what has some."""
    found: dict[str, tuple[object, ...]] = {}
    for path in sorted(folder.rglob("*")):
        if without is not None and path.is_relative_to(without):
            continue
        state = path.lstat()
        kind = stat.S_IFMT(state.st_mode)
        content = path.read_bytes() if kind == stat.S_IFREG else str(path.readlink()) if kind == stat.S_IFLNK else b""
        found[str(path)] = (oct(state.st_mode), content)
    return found


@dataclass(slots=True)
class Tool:
    opened: Opened
    used: list[Permit] = field(default_factory=list)

    def call(self, operation: str, /, **arguments: Json) -> Json:
        """Validate, scope, decide, perform; raises what refuses."""
        op = next(o for o in self.opened.operations if o.spec.name in {operation, f"docs_{operation}"})
        valid = freeze(op.validate(dict(arguments)))
        assert isinstance(valid, Mapping)
        call = Call(tool=op.spec.name, arguments=valid, agent="a", principal="p", run="r")
        op.scope(call)
        return op.perform(MINT.permit(call.digest, os.urandom(8).hex(), approved=False), call)

    def scoped(self, operation: str, /, **arguments: Json) -> str:
        op = next(o for o in self.opened.operations if o.spec.name in {operation, f"docs_{operation}"})
        frozen = freeze(arguments)
        assert isinstance(frozen, Mapping)
        return op.scope(Call(tool=op.spec.name, arguments=frozen, agent="a", principal="p", run="r")).id

    def refuses(self, operation: str, /, **arguments: Json) -> str:
        """The refusal's text; fails if there is none."""
        try:
            result = self.call(operation, **arguments)
        except InterlockError as error:
            return str(error)
        raise AssertionError(f"{operation} {arguments} gave {result}")


@contextmanager
def opened(root: Path, kind: Files = KINDS["openat2"], **config: object) -> Iterator[Tool]:
    whole = {"kind": "files", "root": str(root), "mode": "write", "operations": ALL, **config}
    context = Context(base_dir="/", secrets=str, check=lambda permit, call: MINT.check(permit, call.digest))
    capability = kind.open("docs", {k: v for k, v in whole.items() if v is not None}, context)
    try:
        yield Tool(capability)
    finally:
        capability.close()


def texts(value: Json) -> Mapping[str, Json]:
    assert isinstance(value, dict)
    return value
