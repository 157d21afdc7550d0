"""Where `openat2` is missing the walk serves, where both are nothing does; disturbed resolutions end; mounts are borders."""

import errno
import os
import subprocess
import threading
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from interlock.tools.files import Files, system
from interlock.tools.files.resolve import RETRIES, ByKernel, ByWalk, Resolver, choose, unlinked
from interlock.tools.kind import ConfigError, ToolFailed
from tests.tools.files.world import KINDS, World, no_openat2, opened

RESOLVERS: list[Resolver] = [ByKernel(), ByWalk()]


@pytest.fixture
def folder(tmp_path: Path) -> Iterator[int]:
    fd = os.open(tmp_path, os.O_PATH | os.O_DIRECTORY)
    yield fd
    os.close(fd)


def descriptors() -> int:
    return len(list(Path("/proc/self/fd").iterdir()))


def refusing(code: int) -> system.Openat2:
    def openat2(folder: int, path: bytes, flags: int) -> int:
        raise OSError(code, os.strerror(code))

    return openat2


def test_this_machine_resolves_in_the_kernel(folder: int) -> None:
    assert choose(folder).name == "openat2"


@pytest.mark.parametrize("code", [errno.ENOSYS, errno.EPERM, errno.EINVAL, errno.E2BIG])
def test_without_openat2_the_walk_serves(folder: int, code: int) -> None:
    assert choose(folder, openat2=refusing(code)).name == "walk"


@pytest.mark.parametrize("code", [errno.EIO, errno.ENOMEM, errno.EACCES])
def test_a_kernel_that_fails_otherwise_is_not_served_on(folder: int, code: int) -> None:
    with pytest.raises(ConfigError, match="resolved safely"):
        choose(folder, openat2=refusing(code))


def test_m9_without_any_safe_resolver_nothing_starts(tmp_path: Path) -> None:
    before = descriptors()
    kind = Files(openat2=no_openat2, walks=lambda: False)
    with pytest.raises(ConfigError, match="relative to a folder") as refused, opened(tmp_path, kind):
        pass
    assert refused.value.path == ("root",)
    assert descriptors() == before


def test_a_walk_needs_every_call_and_flag(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(os, "supports_dir_fd", os.supports_dir_fd - {os.open})
    with pytest.raises(ConfigError), opened(tmp_path, Files(openat2=no_openat2)):
        pass


def test_a_storm_of_eagain_is_weathered(tmp_path: Path) -> None:
    (tmp_path / "a").write_text("content")
    left = [RETRIES // 2]

    def stormy(folder: int, path: bytes, flags: int) -> int:
        if left[0]:
            left[0] -= 1
            raise BlockingIOError(errno.EAGAIN, "storm")
        return system.openat2(folder, path, flags)

    with opened(tmp_path, Files(openat2=stormy)) as tool:
        left[0] = RETRIES // 2
        assert tool.call("read", path="a") == tool.call("read", path="./a")


def test_a_storm_without_end_is_refused_and_ends(tmp_path: Path) -> None:
    (tmp_path / "a").write_text("content")
    calls = [0]

    def endless(folder: int, path: bytes, flags: int) -> int:
        calls[0] += 1
        if path == b".":
            return system.openat2(folder, path, flags)
        raise BlockingIOError(errno.EAGAIN, "storm")

    with opened(tmp_path, Files(openat2=endless)) as tool:
        assert tool.refuses("read", path="a") == "the folder changes too fast; try again"
    assert calls[0] <= RETRIES + 1


def test_openat2_that_vanishes_while_serving_fails_closed(tmp_path: Path) -> None:
    (tmp_path / "a").write_text("content")
    calls = [0]

    def vanishing(folder: int, path: bytes, flags: int) -> int:
        calls[0] += 1
        return system.openat2(folder, path, flags) if calls[0] == 1 else no_openat2(folder, path, flags)

    with opened(tmp_path, Files(openat2=vanishing)) as tool:
        assert tool.refuses("read", path="a") == "the system refuses it"


@pytest.mark.parametrize("resolver", RESOLVERS, ids=lambda r: r.name)
def test_dots_are_resolved_where_they_stand(resolver: Resolver, tmp_path: Path, folder: int) -> None:
    (tmp_path / "a" / "b").mkdir(parents=True)
    for steps in [("a", ".."), ("a", "b", "..", ".."), ("a", "b", "..", "..", "a", "..")]:
        fd = resolver.open(folder, steps, os.O_PATH | os.O_DIRECTORY)
        assert os.path.samestat(os.fstat(fd), tmp_path.stat())
        os.close(fd)
    for steps in [("..",), ("a", "..", ".."), ("a", "b", "..", "..", "..", "x")]:
        with pytest.raises(OSError, match="cross-device"):
            resolver.open(folder, steps, os.O_PATH)
    for steps in [("missing", "..", "a"), ("missing", "..")]:
        with pytest.raises(FileNotFoundError):
            resolver.open(folder, steps, os.O_PATH)


@pytest.mark.parametrize("resolver", RESOLVERS, ids=lambda r: r.name)
def test_a_link_is_a_link_wherever_it_stands(resolver: Resolver, tmp_path: Path, folder: int) -> None:
    (tmp_path / "d").mkdir()
    (tmp_path / "d" / "f").write_text("x")
    (tmp_path / "l").symlink_to("d")
    (tmp_path / "m").symlink_to("d/f")
    for steps in [("l",), ("l", "f"), ("m",), ("d", "..", "l", "f")]:
        with pytest.raises(OSError, match="symbolic links"):
            resolver.open(folder, steps, os.O_PATH)


@pytest.fixture
def mounted(tmp_path: Path) -> Iterator[World]:
    """A folder and a file of the root that are mounts of something outside, on the same file system."""
    world = World.make(tmp_path)
    points = [(world.outside, world.root / "hollow"), (world.outside / "secret.txt", world.root / "empty.txt")]
    done = []
    try:
        for source, target in points:
            if subprocess.run(["mount", "--bind", source, target], check=False, capture_output=True).returncode:
                pytest.skip("needs the right to mount")
            done.append(target)
        yield world
    finally:
        for target in done:
            subprocess.run(["umount", target], check=True)


@pytest.mark.parametrize("kind", KINDS)
def test_mounts_are_not_crossed(kind: str, mounted: World) -> None:
    with opened(mounted.root, KINDS[kind]) as tool:
        for path in ("hollow/secret.txt", "empty.txt"):
            assert "mount" in tool.refuses("read", path=path)
        assert "mount" in tool.refuses("list", path="hollow")
        assert "mount" in tool.refuses("write", path="hollow/new", content="x")
        tool.refuses("delete", path="hollow", recursive=True)
        assert "canary" not in str(tool.call("search", query="canary"))
        assert tool.call("glob", pattern="hollow/**/*.txt") == {"entries": [], "truncated": False}
    assert not (mounted.outside / "new").exists()
    assert (mounted.outside / "secret.txt").exists()


def test_links_are_settled_into_a_path_without_any(tmp_path: Path, folder: int) -> None:
    (tmp_path / "a" / "b").mkdir(parents=True)
    (tmp_path / "l").symlink_to("a/b/..")
    (tmp_path / "a" / "up").symlink_to("../l/b")
    assert unlinked(folder, ("l", "up", "..", "new")) == ("a", "new")
    assert unlinked(folder, ("a", "up")) == ("a", "b")
    with pytest.raises(OSError, match="cross-device"):
        unlinked(folder, ("a", "..", "..", "x"))


def test_without_proc_files_are_resolved_twice_and_compared(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "a").write_text("content")
    real = os.open

    def without_proc(path: object, flags: int, mode: int = 0o777, *, dir_fd: int | None = None) -> int:
        if str(path).startswith("/proc/"):
            raise FileNotFoundError(errno.ENOENT, "no /proc")
        return real(path, flags, mode, dir_fd=dir_fd)  # type: ignore[arg-type]

    with opened(tmp_path) as tool:
        monkeypatch.setattr(os, "open", without_proc)
        assert "content" in str(tool.call("read", path="a"))


@pytest.mark.parametrize("kind", KINDS)
def test_a_pipe_is_not_even_opened(kind: str, tmp_path: Path) -> None:
    """Opening it would wake whoever waits for a reader: that is an effect."""
    os.mkfifo(tmp_path / "pipe")
    with opened(tmp_path, KINDS[kind]) as tool:
        woken = threading.Event()

        def write() -> None:
            with (tmp_path / "pipe").open("wb"):
                woken.set()

        writer = threading.Thread(target=write)
        writer.start()
        for _ in range(200):
            tool.refuses("read", path="pipe")
            tool.refuses("append", path="pipe", content="x")
            tool.call("search", query="x")
        assert not woken.wait(0.1)
        os.close(os.open(tmp_path / "pipe", os.O_RDONLY))
        writer.join()


def test_a_closed_tool_does_nothing_and_its_descriptor_is_nobody_elses(tmp_path: Path) -> None:
    (tmp_path / "a").write_text("content")
    with opened(tmp_path) as tool:
        tool.opened.close()
        with pytest.raises(ToolFailed, match="closed"):
            tool.call("read", path="a")


def test_no_descriptor_is_lost(tmp_path: Path) -> None:
    world = World.make(tmp_path)
    before = descriptors()
    for kind in KINDS.values():
        with opened(world.root, kind, limits={"list_entries": 1, "search_matches": 1}) as tool:
            for path in ("link", "pipe", "hard.txt", "docs", "missing/x", "a.txt/x", "a.txt", "socket"):
                for operation in ("read", "list", "delete"):
                    with suppress(ToolFailed):
                        tool.call(operation, path=path)
            tool.call("glob", pattern="**")
            tool.call("search", query="a", path=".")
    assert descriptors() == before
