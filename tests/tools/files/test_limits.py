"""Every bound holds: bytes, entries, depth, results, the time of a regular expression, a full disk."""

import os
import resource
import subprocess
import sys
import threading
import time
from contextlib import suppress
from pathlib import Path

import pytest

from interlock.kernel.errors import CallError, InterlockError
from interlock.tools.files import regexp
from interlock.tools.files.pattern import Glob, matches
from interlock.tools.kind import ToolFailed
from tests.tools.files.world import KINDS, Tool, opened, snapshot, texts


def test_a_file_is_as_large_as_it_may_be_and_no_larger(tmp_path: Path) -> None:
    with opened(tmp_path, limits={"file_bytes": 10}) as tool:
        tool.call("write", path="a", content="0123456789")
        with pytest.raises(CallError):
            tool.call("write", path="b", content="0123456789x")
        assert "10 bytes" in tool.refuses("write", path="b", content="üüüüüü")  # six characters, twelve bytes
        tool.call("append", path="c", content="01234")
        tool.call("append", path="c", content="56789")
        assert "10 bytes" in tool.refuses("append", path="c", content="x")
    assert snapshot(tmp_path).keys() == {str(tmp_path / "a"), str(tmp_path / "c")}
    assert (tmp_path / "c").read_text() == "0123456789"


def test_a_root_holds_no_more_bytes_than_it_may(tmp_path: Path) -> None:
    (tmp_path / "there").write_bytes(bytes(50))
    with opened(tmp_path, limits={"root_bytes": 100}) as tool:
        tool.call("write", path="a", content="x" * 40)
        assert "100 bytes" in tool.refuses("write", path="b", content="x" * 11)
        assert "100 bytes" in tool.refuses("append", path="a", content="x" * 11)
        tool.call("append", path="a", content="x" * 10)
        tool.call("delete", path="there")
        tool.call("write", path="b", content="x" * 11)


def test_a_root_holds_no_more_files_than_it_may(tmp_path: Path) -> None:
    with opened(tmp_path, limits={"root_files": 3}) as tool:
        tool.call("mkdir", path="a/b")
        tool.call("write", path="c", content="")
        assert "3 files" in tool.refuses("write", path="d", content="")
        assert "3 files" in tool.refuses("mkdir", path="d")


def test_a_sparse_file_counts_as_large_as_it_says(tmp_path: Path) -> None:
    with (tmp_path / "sparse").open("wb") as file:
        file.truncate(1 << 40)
    with opened(tmp_path) as tool:
        assert "bytes" in tool.refuses("write", path="a", content="x")
        answer = texts(tool.call("read", path="sparse", limit=4))
        assert (answer["size"], answer["content"], answer["next_offset"]) == (1 << 40, "\0\0\0\0", 4)
        assert texts(tool.call("search", query="x")) == {"matches": [], "truncated": True}


def test_writers_at_once_do_not_pass_the_quota(tmp_path: Path) -> None:
    with opened(tmp_path, limits={"root_bytes": 1000, "root_files": 1000}) as tool:

        def write(number: int) -> None:
            for turn in range(5):
                with suppress(ToolFailed):
                    tool.call("write", path=f"{number}-{turn}", content="x" * 100)

        threads = [threading.Thread(target=write, args=(n,)) for n in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert sum(path.stat().st_size for path in tmp_path.iterdir()) <= 1000


def test_nothing_is_nested_deeper_than_it_may_be(tmp_path: Path) -> None:
    with opened(tmp_path, limits={"depth": 4}) as tool:
        tool.call("mkdir", path="a/b/c/d")
        tool.call("mkdir", path="x/y")
        assert "deeper" in tool.refuses("mkdir", path="a/b/c/d/e")
        assert "deeper" in tool.refuses("move", path="a", to="x/a")
        tool.call("move", path="x", to="a/x")


def test_results_are_cut_and_say_so(tmp_path: Path) -> None:
    for n in range(20):
        (tmp_path / f"{n:02}").write_text("needle\n" * 3)
    limits = {"list_entries": 5, "search_matches": 4, "read_bytes": 6}
    with opened(tmp_path, limits=limits) as tool:
        for answer, name, most in [
            (tool.call("list"), "entries", 5),
            (tool.call("glob", pattern="*"), "entries", 5),
            (tool.call("search", query="needle"), "matches", 4),
            (tool.call("search", query="n.edle", regexp=True), "matches", 4),
        ]:
            found = texts(answer)
            assert isinstance(items := found[name], list)
            assert (len(items), found["truncated"]) == (most, True)
        page = texts(tool.call("read", path="00", limit=1000))
        assert (page["content"], page["truncated"], page["next_offset"]) == ("needle", True, 6)
    with opened(tmp_path, limits={"walk_entries": 3}) as tool:
        assert texts(tool.call("glob", pattern="1*")) == {"entries": [], "truncated": True}
        assert texts(tool.call("search", query="needle", files="1*"))["truncated"] is True


def test_pages_of_a_file_join_to_the_whole_and_cut_no_character(tmp_path: Path) -> None:
    text = "aü€😀" * 50
    (tmp_path / "a").write_text(text)
    with opened(tmp_path, limits={"read_bytes": 7}) as tool:
        pages, offset = [], 0
        while True:
            page = texts(tool.call("read", path="a", offset=offset))
            assert page["encoding"] == "utf-8"
            pages.append(str(page["content"]))
            if page["next_offset"] is None:
                break
            assert isinstance(page["next_offset"], int)
            offset = page["next_offset"]
    assert "".join(pages) == text


def test_bytes_that_are_no_text_come_as_base64(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(b"\xff\xfe\x00")
    with opened(tmp_path) as tool:
        answer = texts(tool.call("read", path="a"))
    assert (answer["content"], answer["encoding"]) == ("//4A", "base64")


def test_names_that_are_no_text_are_shown_and_passed_over(tmp_path: Path) -> None:
    Path(os.fsdecode(bytes(tmp_path) + b"/\xff.txt")).write_text("needle")
    Path(os.fsdecode(bytes(tmp_path) + b"/d\xff")).mkdir()
    (tmp_path / "a.txt").write_text("needle")
    for kind in KINDS.values():
        with opened(tmp_path, kind) as tool:
            assert "\ufffd.txt" in str(tool.call("list"))
            assert "\ufffd.txt" in str(tool.call("glob", pattern="**/*.txt"))
            found = texts(tool.call("search", query="needle"))["matches"]
            assert isinstance(found, list)
            assert len(found) == 1


BLOW_UPS = [
    "(a+)+$",
    "(a|a)*$",
    "(a|aa)+$",
    "(.*a){20}$",
    r"(\w+\s?)*!$",
    "(?:a?){40}a{40}$",
    "^(([a-z])+.)+[A-Z]([a-z])+$",
]


@pytest.mark.parametrize("pattern", BLOW_UPS)
def test_a_regular_expression_that_blows_up_is_stopped_in_time(pattern: str, tmp_path: Path) -> None:
    (tmp_path / "a").write_text("a" * 60 + "\n" + "a" * 4000 + "?\n")
    with opened(tmp_path, limits={"regexp_seconds": 0.5}) as tool:
        start = time.monotonic()
        with suppress(ToolFailed):  # an engine may learn to answer it
            tool.call("search", query=pattern, regexp=True)
        assert time.monotonic() - start < 5


def test_at_least_the_textbook_pattern_needs_the_watchdog() -> None:
    with pytest.raises(ToolFailed, match=r"more than 0\.3 s"):
        regexp.search("(a+)+$", ["a" * 60 + "?"], seconds=0.3, most=1, ignore_case=False)


@pytest.mark.parametrize(
    "pattern",
    ["((((a{1000}){1000}){1000}){1000}){1000}", "(" * 900 + "a" + ")" * 900, "a{0,4294967295}", "[", "(?P<x", "\\"],
)
def test_a_pattern_that_is_costly_to_compile_or_none_at_all_ends(pattern: str) -> None:
    with suppress(ToolFailed):
        assert regexp.search(pattern, ["b"], seconds=1.0, most=1, ignore_case=False) == []


def test_the_worker_has_nothing_but_its_texts() -> None:
    assert regexp.search(r"\d+", ["a\nb7", "", "x 12"], seconds=5, most=5, ignore_case=False) == [(0, 2, 1), (2, 1, 2)]
    assert regexp.search("É", ["é"], seconds=5, most=5, ignore_case=True) == [(0, 1, 0)]


def children() -> set[str]:
    """Our child processes, dead ones that nobody has waited for included; other tests may have some as well."""
    found = set()
    for stat in Path("/proc").glob("[0-9]*/stat"):
        with suppress(OSError):
            if stat.read_text().rpartition(")")[2].split()[1] == str(os.getpid()):
                found.add(stat.parent.name)
    return found


def test_no_worker_stays_behind(tmp_path: Path) -> None:
    (tmp_path / "a").write_text("a" * 60 + "?")
    before = children()
    with opened(tmp_path, limits={"regexp_seconds": 0.3}) as tool:
        tool.refuses("search", query="(a+)+$", regexp=True)
    assert children() <= before


@pytest.mark.parametrize(
    ("pattern", "name", "expect"),
    [
        ("*", "", True),
        ("*", "a.b", True),
        ("a*b*c", "axxbyyc", True),
        ("a*b*c", "axxbyy", False),
        ("?", "é", True),
        ("?", "", False),
        ("[a-c]x", "bx", True),
        ("[!a-c]x", "bx", False),
        ("[]]", "]", True),
        ("[", "[", True),
        ("[a-]", "-", True),
        ("*.md", ".md", True),
        ("**", "abc", True),
        ("a", "A", False),
        ("\\*", "\\x", True),
    ],
)
def test_a_name_matches(pattern: str, name: str, expect: bool) -> None:
    assert matches(pattern, name) == expect


def test_globs_take_time_in_proportion() -> None:
    start = time.process_time()
    assert not matches("*a" * 400 + "b", "a" * 255)
    glob = Glob.parse("/".join(["**", "*a*a*a*b"] * 60))
    places = glob.start()
    for _ in range(32):
        places = glob.step(places, "a" * 255)
    assert not glob.ends(places)
    assert time.process_time() - start < 5


def test_a_file_size_that_the_system_refuses_leaves_what_was_there(tmp_path: Path) -> None:
    """RLIMIT_FSIZE stands for a full disk: the write ends in the middle."""
    program = f"""
import resource, sys
sys.path[:0] = {sys.path!r}
from pathlib import Path
from tests.tools.files.world import opened
root = Path({str(tmp_path)!r})
(root / "old").write_text("old content")
resource.setrlimit(resource.RLIMIT_FSIZE, (1000, 1000))
with opened(root) as tool:
    print(tool.refuses("write", path="old", content="x" * 5000))
    print(tool.refuses("write", path="new", content="x" * 5000))
    print(tool.refuses("append", path="old", content="x" * 5000))
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines() == ["the system does not permit a file of this size"] * 3
    assert {path.name: path.read_text() for path in tmp_path.iterdir()} == {"old": "old content"}


def test_a_full_disk_leaves_what_was_there(tmp_path: Path) -> None:
    if subprocess.run(["mount", "-t", "tmpfs", "-o", "size=64k", "none", tmp_path], check=False).returncode:
        pytest.skip("needs the right to mount")
    try:
        (tmp_path / "old").write_text("old content")
        with opened(tmp_path) as tool:
            for operation, path in (("write", "old"), ("write", "new"), ("append", "old"), ("append", "new")):
                assert tool.refuses(operation, path=path, content="x" * 200_000) == "the disk is full"
        assert {path.name: path.read_text() for path in tmp_path.iterdir()} == {"old": "old content"}
    finally:
        subprocess.run(["umount", tmp_path], check=True)


def test_a_root_that_cannot_be_written_is_said_to_be(tmp_path: Path) -> None:
    if subprocess.run(["mount", "-t", "tmpfs", "-o", "ro", "none", tmp_path], check=False).returncode:
        pytest.skip("needs the right to mount")
    try:
        with opened(tmp_path) as tool:
            assert tool.refuses("write", path="a", content="x") == "the root cannot be written to"
    finally:
        subprocess.run(["umount", tmp_path], check=True)


def test_modes_are_kept_and_none_is_gained(tmp_path: Path) -> None:
    (tmp_path / "script").write_text("old")
    (tmp_path / "script").chmod(0o4750)
    before = resource.getrlimit(resource.RLIMIT_NOFILE)
    with opened(tmp_path) as tool:
        tool.call("write", path="script", content="new")
        tool.call("write", path="plain", content="new")
    assert (tmp_path / "script").stat().st_mode & 0o7777 == 0o750
    assert not (tmp_path / "plain").stat().st_mode & 0o7111
    assert resource.getrlimit(resource.RLIMIT_NOFILE) == before


def refused(tool: Tool, operation: str, **arguments: object) -> bool:
    try:
        tool.call(operation, **arguments)  # type: ignore[arg-type]
    except InterlockError:
        return True
    return False


@pytest.mark.parametrize(
    ("operation", "arguments"),
    [
        ("read", {}),
        ("read", {"path": 7}),
        ("read", {"path": ["a"]}),
        ("read", {"path": None}),
        ("read", {"path": "a", "offset": -1}),
        ("read", {"path": "a", "offset": "0"}),
        ("read", {"path": "a", "limit": 0}),
        ("read", {"path": "a", "follow": True}),
        ("read", {"Path": "a"}),
        ("write", {"path": "b"}),
        ("write", {"path": "b", "content": 1}),
        ("write", {"path": "b", "content": "x", "overwrite": "no"}),
        ("delete", {"path": "a", "recursive": 1}),
        ("search", {"query": ""}),
        ("search", {"query": "x" * 1001}),
        ("glob", {"pattern": "x" * 1001}),
    ],
)
def test_arguments_that_the_schema_does_not_know(operation: str, arguments: dict[str, object], tmp_path: Path) -> None:
    (tmp_path / "a").write_text("x")
    with opened(tmp_path) as tool:
        assert refused(tool, operation, **arguments)
    assert snapshot(tmp_path).keys() == {str(tmp_path / "a")}
