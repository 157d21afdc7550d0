"""Where a value comes from: in the stated order, checked, and with every place named when there is none."""

import os
import threading
from pathlib import Path

import pytest

from interlock.secrets.errors import SecretError, SecretMissing
from interlock.secrets.sources import DIRECTORIES, MAX_BYTES, Sources
from interlock.secrets.vault import Vault
from tests.secrets.vaults import CALL, PERMIT, VALUE, check


def value(sources: Sources, name: str = "KEY") -> str:
    box = Vault([f"secret://{name}"], sources, check)
    with box.performing(PERMIT, CALL, [f"secret://{name}"]):
        return box.resolve(f"secret://{name}")


def warnings(sources: Sources) -> tuple[str, ...]:
    return Vault(["secret://KEY"], sources, check).warnings


def write(path: Path, data: str | bytes, mode: int = 0o600) -> str:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data.encode() if isinstance(data, str) else data)
    path.chmod(mode)
    return str(path)


def test_the_order_of_places(tmp_path: Path) -> None:
    write(tmp_path / ".env", "KEY=from-dotenv\n")
    write(tmp_path / "run" / "KEY", "from-run-secrets")
    write(tmp_path / "etc" / "KEY", "from-etc-secrets")
    pointed = write(tmp_path / "pointed", "from-pointed-file")
    environ = {"KEY": "from-environment", "KEY_FILE": pointed}
    found = []
    for remove in (lambda: environ.pop("KEY"), lambda: environ.pop("KEY_FILE"), *(lambda: None,) * 3):
        sources = Sources(
            environ=environ,
            directories=(str(tmp_path / "etc"), str(tmp_path / "run")),
            dotenv=str(tmp_path / ".env"),
        )
        found.append(value(sources))
        remove()
        if len(found) >= 3:
            (tmp_path / ("etc" if len(found) == 3 else "run") / "KEY").unlink(missing_ok=True)
    assert found == ["from-environment", "from-pointed-file", "from-etc-secrets", "from-run-secrets", "from-dotenv"]


def test_the_directories_are_the_usual_ones() -> None:
    assert DIRECTORIES == ("/etc/secrets", "/run/secrets")


@pytest.mark.parametrize(
    ("data", "expect"),
    [
        (b"value-1", "value-1"),
        (b"value-1\n", "value-1"),
        (b"value-1\r\n", "value-1"),
        (b"value-1\n\n", "value-1\n"),
        (b" value 1 ", " value 1 "),
        (b"line 1\nline 2\n", "line 1\nline 2"),
        ("pässwörd".encode(), "pässwörd"),
        (b"a\tb", "a\tb"),
        (b"x" * MAX_BYTES, "x" * MAX_BYTES),
    ],
)
def test_what_a_file_may_hold(tmp_path: Path, data: bytes, expect: str) -> None:
    path = write(tmp_path / "KEY", data)
    assert value(Sources(environ={"KEY_FILE": path}, directories=())) == expect


@pytest.mark.parametrize(
    ("data", "why"),
    [
        (b"a\0b", "control"),
        (b"abc\x1b[1m", "control"),
        (b"abc\x7f", "control"),
        ("abc\x85".encode(), "control"),
        (b"abc\x0b", "control"),
        (b"\xff\xfea\0", "UTF-8"),
        (b"\xef\xbb\xbfabc", "byte order mark"),
        (b"x" * (MAX_BYTES + 1), "larger"),
        (b"", "empty"),
        (b"\n", "empty"),
    ],
)
def test_what_no_file_may_hold(tmp_path: Path, data: bytes, why: str) -> None:
    path = write(tmp_path / "KEY", data)
    with pytest.raises(SecretError, match=why):
        value(Sources(environ={"KEY_FILE": path}, directories=()))


@pytest.mark.parametrize("text", ["a\0", "a\x01b", "abc\udc80"])
def test_the_environment_is_checked_too(text: str) -> None:
    with pytest.raises(SecretError):
        value(Sources(environ={"KEY": text}, directories=()))


def test_empty_counts_as_absent_and_is_said(tmp_path: Path) -> None:
    write(tmp_path / "KEY", "")
    with pytest.raises(SecretMissing) as caught:
        value(Sources(environ={"KEY": ""}, directories=(str(tmp_path),)))
    assert [place for place in caught.value.places if place.endswith("(empty)")] == [
        "environment `KEY` (empty)",
        f"`{tmp_path}/KEY` (empty)",
    ]
    assert value(Sources(environ={"KEY": "", "KEY_FILE": write(tmp_path / "x", "there")}, directories=())) == "there"


def test_a_place_that_is_there_but_wrong_is_not_passed_over(tmp_path: Path) -> None:
    good = write(tmp_path / "run" / "KEY", "good-value")
    assert value(Sources(environ={}, directories=(str(tmp_path / "etc"), str(tmp_path / "run")))) == "good-value"
    (tmp_path / "etc" / "KEY").mkdir(parents=True)
    with pytest.raises(SecretError, match="regular"):
        value(Sources(environ={}, directories=(str(tmp_path / "etc"), str(tmp_path / "run"))))
    with pytest.raises(SecretError, match="cannot be read"):
        value(Sources(environ={"KEY_FILE": str(tmp_path / "none")}, directories=(str(Path(good).parent),)))


def test_special_files_do_not_hold_up_the_start(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "KEY")
    done = threading.Event()

    def load() -> None:
        with pytest.raises(SecretError, match="regular"):
            value(Sources(environ={"KEY_FILE": str(tmp_path / "KEY")}, directories=()))
        done.set()

    threading.Thread(target=load, daemon=True).start()
    assert done.wait(10)
    with pytest.raises(SecretError, match="regular"):
        value(Sources(environ={"KEY_FILE": "/dev/zero"}, directories=()))


def test_kubernetes_links_are_followed(tmp_path: Path) -> None:
    write(tmp_path / "..2026_01" / "KEY", "first-value")
    (tmp_path / "..data").symlink_to("..2026_01")
    (tmp_path / "KEY").symlink_to("..data/KEY")
    assert value(Sources(environ={}, directories=(str(tmp_path),))) == "first-value"


@pytest.mark.parametrize(
    ("mode", "words"),
    [(0o600, []), (0o400, []), (0o640, []), (0o644, ["everybody"]), (0o666, ["everybody", "changed"])],
)
def test_permissions_are_warned_about(tmp_path: Path, mode: int, words: list[str]) -> None:
    path = write(tmp_path / "KEY", "value-123", mode)
    warned = warnings(Sources(environ={"KEY_FILE": path}, directories=()))
    assert len(warned) == len(words)
    assert all(word in text for word, text in zip(words, warned, strict=True))
    assert not any("value-123" in text for text in warned)


def test_dotenv_only_if_asked_for_and_with_a_warning(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = write(tmp_path / ".env", "KEY=value-123\n")
    monkeypatch.chdir(tmp_path)
    with pytest.raises(SecretMissing):
        value(Sources(environ={}, directories=()))
    warned = warnings(Sources(environ={}, directories=(), dotenv=path))
    assert len(warned) == 1
    assert "development" in warned[0]


@pytest.mark.parametrize(
    ("line", "expect"),
    [
        ("KEY=abc123", "abc123"),
        ("export KEY=abc123", "abc123"),
        ("KEY = abc123 ", "abc123"),
        ('KEY="abc 123"', "abc 123"),
        ("KEY='abc \"1\" $X'", 'abc "1" $X'),
        ('KEY="a\\nb\\"c\\\\"', 'a\nb"c\\'),
        ("KEY=abc#123", "abc#123"),
        ("KEY=abc123 # a comment", "abc123"),
        ('KEY="abc#1" # a comment', "abc#1"),
        ("# KEY=no\nKEY=abc123", "abc123"),
        ("KEY=old\nKEY=abc123", "abc123"),
        ("XKEY=no\nKEY=abc123\nKEYX=no", "abc123"),
        ('KEY="line 1\nline 2"\nB=1', "line 1\nline 2"),
        ("KEY=a=b=c", "a=b=c"),
        ("KEY=abc123\r\nB=1\r\n", "abc123"),
        ("KEY=$(touch x)", "$(touch x)"),
    ],
)
def test_dotenv_lines(tmp_path: Path, line: str, expect: str) -> None:
    path = write(tmp_path / ".env", line)
    assert value(Sources(environ={}, directories=(), dotenv=path)) == expect


@pytest.mark.parametrize("text", ["", "OTHER=1", "KEY=", "KEY", "#KEY=abc123"])
def test_dotenv_without_the_name(tmp_path: Path, text: str) -> None:
    path = write(tmp_path / ".env", text)
    with pytest.raises(SecretMissing, match=r"\.env"):
        value(Sources(environ={}, directories=(), dotenv=path))
    with pytest.raises(SecretMissing):
        value(Sources(environ={}, directories=(), dotenv=str(tmp_path / "none")))


def test_a_name_stays_in_its_directory(tmp_path: Path) -> None:
    write(tmp_path / "outside", "outside-value")
    (tmp_path / "in").mkdir()
    with pytest.raises(SecretError):
        value(Sources(environ={}, directories=(str(tmp_path / "in"),)), "../outside")


def test_sources_do_not_print_the_environment() -> None:
    assert VALUE not in repr(Sources(environ={"KEY": VALUE}))
