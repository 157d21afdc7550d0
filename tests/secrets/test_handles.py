"""A value shows nowhere but in `reveal`, and `reveal` works nowhere but inside `performing` (M7)."""

import ast
import asyncio
import contextvars
import copy
import dataclasses
import gc
import io
import json
import logging
import pickle
import traceback
import types
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

import interlock.secrets
from interlock.kernel.errors import PermitError
from interlock.secrets.environment import child_environment
from interlock.secrets.errors import SecretError, SecretMissing
from interlock.secrets.handles import Secret, name_of
from interlock.secrets.inject import Injector, preset
from interlock.secrets.matcher import SecretRedactor
from interlock.secrets.sources import Sources
from interlock.secrets.vault import Vault
from tests.secrets.vaults import CALL, OTHER, PERMIT, VALUE, check, vault

SRC = Path(next(iter(interlock.secrets.__path__)))


@dataclasses.dataclass
class Holder:
    secret: Secret


SHOWN: dict[str, Callable[[Secret], object]] = {
    "str": str,
    "repr": repr,
    "ascii": ascii,
    "format": lambda s: f"{s} {s!r} {s:>60} {s!s:.40}",
    "percent": lambda s: "%s %r %a" % (s, s, s),  # noqa: UP031 - the operator is what is tested
    "in a list": lambda s: repr([s, {"k": s}]),
    "in a dataclass": lambda s: repr(Holder(s)) + repr(dataclasses.asdict(Holder(s))),
    "json default": lambda s: json.dumps({"k": s}, default=str),
    "copy": lambda s: repr(copy.copy(s)) + repr(copy.deepcopy({"k": s})),
    "attributes": lambda s: repr([getattr(s, name) for name in dir(s) if name != "__dict__"]),
    "members of its type": lambda s: repr(dict(vars(type(s)))),
    "hash": hash,
}


@pytest.mark.parametrize("show", SHOWN.values(), ids=SHOWN.keys())
def test_no_way_to_print_a_secret_prints_its_value(show: Callable[[Secret], object]) -> None:
    secret = vault().get("secret://KEY")
    shown = str(show(secret))
    assert VALUE not in shown
    assert VALUE[:8] not in shown


@pytest.mark.parametrize(
    "break_out",
    [pickle.dumps, json.dumps, vars, bytes, list, len, lambda s: s + "", lambda s: setattr(s, "name", "X")],
    ids=["pickle", "json", "vars", "bytes", "list", "len", "add", "setattr"],
)
def test_what_would_carry_the_value_away_fails(break_out: Callable[[Any], object]) -> None:
    with pytest.raises((SecretError, TypeError)) as caught:
        break_out(vault().get("secret://KEY"))
    assert VALUE not in str(caught.value)


def test_inside_performing_and_only_there() -> None:
    box = vault()
    secret = box.get("secret://KEY")
    with pytest.raises(SecretError):
        secret.reveal()
    with pytest.raises(SecretError):
        box.resolve("secret://KEY")
    with box.performing(PERMIT, CALL, ["secret://KEY"]):
        assert secret.reveal() == VALUE
        assert box.resolve("secret://KEY") == VALUE
    with pytest.raises(SecretError):
        secret.reveal()


def test_performing_needs_the_permit_for_this_call() -> None:
    box = vault()
    forged = dataclasses.replace(PERMIT, proof=b"x" * 32)
    for permit, call in ((PERMIT, OTHER), (forged, CALL)):
        with pytest.raises(PermitError), box.performing(permit, call, ["secret://KEY"]):
            pytest.fail("a grant was opened")
    with pytest.raises(SecretError):
        box.resolve("secret://KEY")


def test_only_the_named_handles_are_granted() -> None:
    box = vault({"KEY": VALUE, "OTHER": "another-value"}, "secret://KEY", "secret://OTHER")
    with box.performing(PERMIT, CALL, ["secret://OTHER"]):
        assert box.resolve("secret://OTHER") == "another-value"
        with pytest.raises(SecretError):
            box.resolve("secret://KEY")
    with pytest.raises(SecretError), box.performing(PERMIT, CALL, ["secret://UNKNOWN"]):
        pytest.fail("a grant for nothing was opened")


def test_a_grant_is_of_one_vault() -> None:
    mine, theirs = vault(), vault()
    with theirs.performing(PERMIT, CALL, ["secret://KEY"]), pytest.raises(SecretError):
        mine.resolve("secret://KEY")


def test_a_grant_ends_with_an_exception_and_the_outer_one_comes_back() -> None:
    box = vault({"KEY": VALUE, "OTHER": "another-value"}, "secret://KEY", "secret://OTHER")
    with box.performing(PERMIT, CALL, ["secret://KEY"]):
        with pytest.raises(ZeroDivisionError), box.performing(PERMIT, CALL, ["secret://OTHER"]):
            raise ZeroDivisionError
        assert box.resolve("secret://KEY") == VALUE
    with pytest.raises(SecretError):
        box.resolve("secret://KEY")


def test_who_copied_the_context_of_a_grant_has_nothing_after_it() -> None:
    box = vault()
    with box.performing(PERMIT, CALL, ["secret://KEY"]):
        copied = contextvars.copy_context()
        assert copied.run(box.resolve, "secret://KEY") == VALUE
    with pytest.raises(SecretError):
        copied.run(box.resolve, "secret://KEY")


def test_a_task_that_outlives_the_call_has_nothing() -> None:
    box = vault()

    async def late(gate: asyncio.Event) -> str:
        await gate.wait()
        return box.resolve("secret://KEY")

    async def main() -> None:
        gate = asyncio.Event()
        with box.performing(PERMIT, CALL, ["secret://KEY"]):
            task = asyncio.create_task(late(gate))
            await asyncio.sleep(0)
        gate.set()
        with pytest.raises(SecretError):
            await task

    asyncio.run(main())


def test_another_thread_and_another_task_have_nothing() -> None:
    box = vault()
    with box.performing(PERMIT, CALL, ["secret://KEY"]), ThreadPoolExecutor(1) as pool:
        task = pool.submit(box.resolve, "secret://KEY")
    assert isinstance(task.exception(), SecretError)

    async def main() -> None:
        inside, seen = asyncio.Event(), asyncio.Event()

        async def performer() -> None:
            with box.performing(PERMIT, CALL, ["secret://KEY"]):
                inside.set()
                await seen.wait()
                assert box.resolve("secret://KEY") == VALUE

        running = asyncio.create_task(performer())
        await inside.wait()
        with pytest.raises(SecretError):
            box.resolve("secret://KEY")
        seen.set()
        await running

    asyncio.run(main())


def test_only_the_vault_opens_grants() -> None:
    users = set()
    for path in SRC.parent.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.ImportFrom) and node.module == "interlock.secrets.handles":
                users |= {path.name for name in node.names if name.name.startswith("_")}
    assert users == {"vault.py"}


def test_secrets_compare_by_name_and_value() -> None:
    one, same = vault().get("secret://KEY"), vault().get("secret://KEY")
    other = vault({"KEY": VALUE + "x"}).get("secret://KEY")
    assert one == same
    assert hash(one) == hash(same)
    assert one != other
    assert one != VALUE
    named = vault({"B": VALUE}, "secret://B").get("secret://B")
    assert one != named


def test_values_are_compared_in_constant_time(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[bytes] = []

    def compare(a: bytes, b: bytes) -> bool:
        asked.append(a)
        return a == b

    monkeypatch.setattr("hmac.compare_digest", compare)
    assert vault().get("secret://KEY") == vault().get("secret://KEY")
    assert asked == [VALUE.encode()]


@pytest.mark.parametrize(
    "handle",
    [
        "KEY",
        "secret:KEY",
        "secret://",
        "secret://1KEY",
        "secret://A/B",
        "secret://..",
        "secret://A B",
        "secret://KEY\n",
        "Secret://KEY",
        " secret://KEY",
        "secret://" + "A" * 129,
        "secret://É",
        "secret://A\x00",
        VALUE,
    ],
)
def test_what_is_no_handle_is_refused_and_not_repeated(handle: str) -> None:
    with pytest.raises(SecretError) as caught:
        name_of(handle)
    assert VALUE not in str(caught.value) + caught.value.hint


@pytest.mark.parametrize("name", ["K", "OPENAI_API_KEY", "db-password", "service-account.json", "_x", "A" * 128])
def test_handles(name: str) -> None:
    assert name_of(f"secret://{name}") == name


def reachable_texts(error: BaseException) -> Iterator[str]:
    """All that an error reporter shows: messages, notes, causes, and the reprs of every frame's variables."""
    seen: set[int] = set()
    todo: list[BaseException | None] = [error]
    while todo:
        now = todo.pop()
        if now is None or id(now) in seen:
            continue
        seen.add(id(now))
        todo += [now.__cause__, now.__context__]
        yield from (str(now), repr(now), repr(now.args), repr(getattr(now, "__notes__", "")), repr(vars(now)))
        frame_at = now.__traceback__
        while frame_at is not None:
            if "/tests/" not in frame_at.tb_frame.f_code.co_filename:
                yield from map(repr, frame_at.tb_frame.f_locals.values())
            frame_at = frame_at.tb_next
        yield "".join(traceback.TracebackException.from_exception(now, capture_locals=False).format())


def wrong_files(folder: Path) -> Iterator[tuple[str, dict[str, str]]]:
    for name, data in {
        "nul": VALUE.encode() + b"\0",
        "control": VALUE.encode() + b"\x1b[0m",
        "latin": VALUE.encode() + b"\xff",
        "bom": b"\xef\xbb\xbf" + VALUE.encode(),
        "large": VALUE.encode() * 10_000,
    }.items():
        (folder / name).write_bytes(data)
        yield name, {"KEY_FILE": str(folder / name)}
    yield "environment", {"KEY": VALUE + "\x07"}
    yield "surrogate", {"KEY": VALUE + "\udcff"}
    yield "another is missing", {"KEY": "", "OTHER": VALUE}


def test_no_failing_of_ours_carries_a_value(tmp_path: Path) -> None:
    for name, environ in wrong_files(tmp_path):
        with pytest.raises(SecretError) as caught:
            vault(environ, "secret://OTHER", "secret://KEY") if "OTHER" in environ else vault(environ)
        for text in reachable_texts(caught.value):
            assert VALUE not in text, name


def test_a_failing_inside_perform_carries_no_value_through_our_frames() -> None:
    box = vault({"KEY": VALUE, "ODD": f"{VALUE}\nX-Injected: 1"}, "secret://KEY", "secret://ODD")
    injector = Injector([preset("openai", box.get("secret://ODD"))])
    with pytest.raises(SecretError) as caught, box.performing(PERMIT, CALL, ["secret://KEY", "secret://ODD"]):
        injector.headers_for("api.openai.com", "POST")
    for text in reachable_texts(caught.value):
        assert VALUE not in text
    with pytest.raises(SecretError) as caught:
        child_environment({"PATH": VALUE}, box.matcher, keep=["PATH"])
    assert VALUE not in str(caught.value)


def test_the_walk_over_frames_finds_a_value_that_is_there() -> None:
    code = compile("def fail(value):\n    raise ValueError('x')\nfail(value)", "/elsewhere/module.py", "exec")
    with pytest.raises(ValueError, match="x") as caught:
        exec(code, {"value": VALUE})  # noqa: S102 - a frame outside the tests
    assert any(VALUE in text for text in reachable_texts(caught.value))


def test_logs_show_handles() -> None:
    stream = io.StringIO()
    logger = logging.getLogger("tests.secrets")
    logger.addHandler(logging.StreamHandler(stream))
    box = vault()
    secret = box.get("secret://KEY")
    logger.warning("using %s of %r in %s", secret, box, {"headers": [secret]})
    try:
        secret.reveal()
    except SecretError:
        logger.exception("failed")
    assert "secret://KEY" in stream.getvalue()
    assert VALUE not in stream.getvalue()


def public_values(start: object) -> Iterator[str]:
    """Every text that public attributes and argument-free public methods lead to."""
    seen: set[int] = set()
    todo = [start]
    while todo:
        now = todo.pop()
        if id(now) in seen or len(seen) > 1_000:
            continue
        seen.add(id(now))
        yield repr(now)
        match now:
            case str() | bytes() | int() | float() | type() | types.ModuleType():
                continue
            case dict() | types.MappingProxyType():
                todo += [*now.keys(), *now.values()]
                continue
            case list() | tuple() | set() | frozenset():
                todo += now
                continue
            case _:
                pass
        for name in dir(now):
            if name.startswith("_"):
                continue
            try:
                part = getattr(now, name)
                todo.append(part() if isinstance(part, types.MethodType) else part)
            except Exception as error:  # noqa: BLE001 - an error is an answer, too
                todo.append(error)


def test_outside_perform_the_public_api_leads_to_no_value() -> None:
    box = vault()
    injector = Injector([preset("openai", box.get("secret://KEY"))])
    things = (box, box.get("secret://KEY"), box.matcher, injector, SecretRedactor(box.matcher))
    shown = [text for thing in things for text in public_values(thing)]
    assert len(shown) > 20
    assert not [text for text in shown if VALUE in text]
    with box.performing(PERMIT, CALL, ["secret://KEY"]):  # the walk is able to find it
        assert any(VALUE in text for text in public_values(box.get("secret://KEY")))


def test_no_object_that_prints_itself_prints_a_value() -> None:
    unique = "uniqueQ7xV2mZ9" + "kL4"
    box = vault({"KEY": unique})
    ours = [o for o in gc.get_objects() if str(type(o).__module__).startswith("interlock.secrets")]
    assert any(o is box for o in ours)
    assert not [o for o in ours if unique in repr(o)]


def test_a_vault_names_all_that_is_missing_at_once() -> None:
    with pytest.raises(SecretMissing) as caught:
        Vault(["secret://A", "secret://B"], Sources(environ={}, directories=("/x",)), check)
    message = str(caught.value)
    for part in ("secret://A", "secret://B", "environment `A`", "environment `A_FILE`", "`/x/A`", "`/x/B`"):
        assert part in message
    assert caught.value.hint


def test_opening_is_for_the_start() -> None:
    box = vault()
    with box.opening(["secret://KEY"]):
        assert box.resolve("secret://KEY") == VALUE
    with pytest.raises(SecretError):
        box.resolve("secret://KEY")
    with pytest.raises(SecretError):
        box.get("secret://NEVER_NAMED")


def test_children_inherit_what_they_need_and_no_secret() -> None:
    box = vault()
    environ = {
        "PATH": "/bin",
        "LC_ALL": "C",
        "HOME": "/home/x",
        "KEY": VALUE,
        "KEY_FILE": "/x",
        "AWS_SECRET_ACCESS_KEY": "other",
        "LD_PRELOAD": "/x.so",
        "LANG": VALUE[::-1],
        "MODE": "fast",
    }
    assert child_environment(environ, box.matcher) == {"PATH": "/bin", "LC_ALL": "C", "HOME": "/home/x"}
    assert child_environment(environ, box.matcher, keep=["MODE"])["MODE"] == "fast"
    with pytest.raises(SecretError):
        child_environment(environ, box.matcher, keep=["KEY"])
