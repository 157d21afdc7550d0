"""Reads of one file, in peace and while its folder is swapped with a link to the outside: `python -m bench.files`.

Peers are the two ways in which most file tools stay in their folder: `realpath`, compare, then open the path that was
given or the one that was found. An escape is a read that brought back what lies outside. Times are medians of one run.
"""

from __future__ import annotations

import argparse
import os
import platform
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from interlock.kernel.call import Call
from interlock.kernel.decision import Mint
from interlock.tools.files import KIND
from interlock.tools.files.resolve import ByKernel, ByWalk, Resolver
from interlock.tools.files.root import Root
from interlock.tools.files.scope import parse
from interlock.tools.kind import Context, ScopeError, ToolFailed

Read = Callable[[], bytes]
OUTSIDE = b"outside"
ROUNDS, READS = 40, 250
_SWAP = """
import ctypes, sys
exchange, names = ctypes.CDLL(None).renameat2, (-100, sys.argv[1].encode(), -100, sys.argv[2].encode())
print("ready", flush=True)
while True:
    exchange(*names, 2)
"""


def main() -> None:
    """Print both tables."""
    options = argparse.ArgumentParser(prog="python -m bench.files", description=__doc__)
    options.add_argument("--seconds", type=float, default=3.0, help="of swapping, for each method")
    seconds = options.parse_args().seconds
    with tempfile.TemporaryDirectory() as home, made(Path(home)) as methods:
        print(f"{platform.system()} {platform.release()}, {os.cpu_count()} cores, Python {platform.python_version()}\n")
        quiet(methods)
        race(Path(home), methods, seconds)


@contextmanager
def made(home: Path) -> Iterator[dict[str, Read]]:
    """A root with one file, an outside with another, and every method to read `d/f` of the root."""
    root, outside = home / "root", home / "outside"
    for folder, content in ((root / "d", b"inside"), (outside, OUTSIDE)):
        folder.mkdir(parents=True)
        (folder / "f").write_bytes(content * 500)
    (root / "link").symlink_to(outside)
    fd = os.open(root, os.O_PATH | os.O_DIRECTORY)
    mint = Mint(os.urandom(32))
    context = Context(base_dir=str(home), secrets=str, check=lambda permit, call: mint.check(permit, call.digest))
    tool = KIND.open("docs", {"kind": "files", "root": "root", "operations": ["read"]}, context)
    (operation,) = tool.operations

    def whole() -> bytes:
        call = Call(tool="docs", arguments={"path": "d/f"}, agent="a", principal="p", run="r")
        operation.scope(call)
        answer = operation.perform(mint.permit(call.digest, "n", approved=False), call)
        return str(answer).encode()

    yield {
        "plain open, no check": lambda: plain(root, "d/f"),
        "realpath, open what was given": lambda: checked(root, given=True),
        "realpath, open what was found": lambda: checked(root, given=False),
        "interlock, openat2": of_root(Root(os.dup(fd), ByKernel(), follow=False)),
        "interlock, walk": of_root(Root(os.dup(fd), ByWalk(), follow=False)),
        f"interlock, whole call ({_name(tool.root.resolver)})": whole,
    }
    tool.close()
    os.close(fd)


def _name(resolver: Resolver) -> str:
    return resolver.name


def plain(root: Path, path: str) -> bytes:
    """The file, wherever its path leads."""
    return (root / path).read_bytes()


def checked(root: Path, *, given: bool) -> bytes:
    """The file, if its path lies in the root as far as its text says."""
    path = f"{root}/d/f"
    real = os.path.realpath(path)
    if not real.startswith(f"{root}/"):
        raise ScopeError("outside")
    return Path(path if given else real).read_bytes()


def of_root(root: Root) -> Read:
    """The file, by its descriptor."""

    def read() -> bytes:
        with root.file(parse("d/f", depth=32)) as (fd, state):
            return os.pread(fd, state.st_size, 0)

    return read


def quiet(methods: dict[str, Read]) -> None:
    """Cost of one read of 3 KB when nobody disturbs it; methods take turns, so that a busy machine slows all."""
    times: dict[str, list[float]] = {name: [] for name in methods}
    for _ in range(ROUNDS):
        for name, read in methods.items():
            start = time.perf_counter()
            for _ in range(READS):
                read()
            times[name].append((time.perf_counter() - start) / READS * 1e6)
    plain = statistics.median(times["plain open, no check"])
    print(f"{'one read, in peace':36}{'µs':>8}{'× plain':>10}")
    for name, found in times.items():
        print(f"{name:36}{statistics.median(found):8.1f}{statistics.median(found) / plain:10.2f}")


def race(home: Path, methods: dict[str, Read], seconds: float) -> None:
    """Reads and escapes while another process exchanges the folder and the link as fast as it can."""
    print(f"\n{f'{seconds:g} s of swapping':36}{'reads/s':>8}{'refused/s':>11}{'escapes':>9}")
    for name, read in methods.items():
        command = [sys.executable, "-c", _SWAP, str(home / "root" / "d"), str(home / "root" / "link")]
        with subprocess.Popen(command, stdout=subprocess.PIPE) as swapper:
            if swapper.stdout is not None:
                swapper.stdout.readline()
            well = refused = escapes = 0
            until = time.monotonic() + seconds
            while time.monotonic() < until:
                try:
                    content = read()
                except (OSError, ScopeError, ToolFailed):
                    refused += 1
                    continue
                well += 1
                escapes += OUTSIDE in content
            swapper.kill()
        if (home / "root" / "d").is_symlink():  # killed in the middle: put it right for the next method
            (home / "root" / "d").unlink()
            (home / "root" / "link").rename(home / "root" / "d")
            (home / "root" / "link").symlink_to(home / "outside")
        print(f"{name:36}{well / seconds:8.0f}{refused / seconds:11.0f}{escapes:9}")


if __name__ == "__main__":
    main()
