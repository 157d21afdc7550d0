"""A history read from where an earlier one leaves off reads like one that nobody has seen before."""

from __future__ import annotations

import json
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from interlock.monitor.recent import Recent, Room
from interlock.wire.anthropic import ANTHROPIC
from interlock.wire.events import Allowed
from interlock.wire.format import Format
from interlock.wire.openai_chat import CHAT
from interlock.wire.openai_responses import RESPONSES
from interlock.wire.shelf import BRANCHES, Key, Prefixes, Read, weigh

ids = st.sampled_from(["c1", "c2", "", None, 1])
scalars = st.sampled_from(["Hello.", "", None, True, 1, 1.0, "1", {"a": 1}, {"a": True}, [], ["x"], "a\u2028b"])
texts = st.sampled_from(["Hello.", "Go on.", '{"a": 1}', '{"a": true}', "x, y"])
arguments = st.sampled_from(["{}", '{"a":1}', '{"a":1.0}', '{"a":true}', "[", ""])
name = st.sampled_from(["read", "send"])


def objects(**fields: st.SearchStrategy[Any]) -> st.SearchStrategy[dict[str, Any]]:
    return st.fixed_dictionaries(fields)


chat = st.lists(
    st.one_of(
        objects(role=st.sampled_from(["system", "user", "assistant", "developer", "nobody"]), content=texts | scalars),
        objects(
            role=st.just("assistant"),
            content=scalars,
            tool_calls=st.lists(
                objects(id=ids, type=st.just("function"), function=objects(name=name, arguments=arguments)), max_size=2
            ),
        ),
        objects(role=st.just("tool"), tool_call_id=ids, content=texts | scalars),
        objects(role=st.just("user"), content=st.lists(objects(type=st.just("text"), text=texts), max_size=2)),
    ),
    max_size=6,
)
responses = st.lists(
    st.one_of(
        objects(role=st.sampled_from(["system", "user", "assistant"]), content=texts | scalars),
        objects(type=st.just("function_call"), call_id=ids, name=name, arguments=arguments),
        objects(type=st.just("function_call_output"), call_id=ids, output=texts | scalars),
        objects(
            type=st.just("additional_tools"),
            tools=st.lists(objects(type=st.just("function"), name=name, parameters=st.just({})), max_size=2),
        ),
        objects(type=st.just("item_reference"), id=ids),
        objects(type=st.just("web_search_call"), id=ids),
    ),
    max_size=6,
)
anthropic = st.lists(
    st.one_of(
        objects(role=st.sampled_from(["user", "assistant"]), content=texts | scalars),
        objects(
            role=st.just("assistant"),
            content=st.lists(
                objects(type=st.just("tool_use"), id=ids, name=name, input=st.sampled_from([{}, {"a": 1}, None])),
                max_size=2,
            ),
        ),
        objects(
            role=st.just("user"),
            content=st.lists(
                objects(
                    type=st.just("tool_result"),
                    tool_use_id=ids,
                    content=texts,
                    is_error=st.sampled_from([True, False, 1]),
                ),
                max_size=2,
            ),
        ),
    ),
    max_size=6,
)
heads = st.sampled_from(["Be kind.", "Be brief.", None])
ALLOWED = Allowed(hosted=frozenset({"web_search"}), state=frozenset({"item_reference"}), fields=frozenset({"nobody"}))


def body(fmt: Format, head: Any, items: list[Any]) -> bytes:
    match fmt.name:
        case "openai-chat":
            return json.dumps({"model": "m", "messages": items}).encode()
        case "openai-responses":
            return json.dumps({"model": "m", "instructions": head, "input": items}).encode()
        case _:
            told = {"model": "m", "max_tokens": 9, "messages": items} | ({"system": head} if head else {})
            return json.dumps(told).encode()


def read(fmt: Format, raw: bytes, prefixes: Prefixes | None, whose: str = "ana") -> Any:
    view = fmt.read(raw, ALLOWED, prefixes.shelf(fmt.name, whose) if prefixes else None)
    return view.events, view.tools, view.hosted, view.state, view.problems


def histories(items: st.SearchStrategy[list[Any]]) -> st.SearchStrategy[list[tuple[Any, list[Any]]]]:
    """Requests of a few conversations: most go on from another one, or change something in it."""

    def grown(start: list[Any]) -> st.SearchStrategy[list[tuple[Any, list[Any]]]]:
        end = st.integers(0, len(start))
        return st.lists(st.tuples(heads, st.tuples(end, items).map(lambda it: start[: it[0]] + it[1])), max_size=6)

    return items.flatmap(grown)


@given(histories(chat))
def test_chat(requests: list[tuple[Any, list[Any]]]) -> None:
    agree(CHAT, requests)


@given(histories(responses))
def test_responses(requests: list[tuple[Any, list[Any]]]) -> None:
    agree(RESPONSES, requests)


@given(histories(anthropic))
def test_anthropic(requests: list[tuple[Any, list[Any]]]) -> None:
    agree(ANTHROPIC, requests)


def kept(size: int) -> tuple[Room, Prefixes]:
    room = Room(size)
    return room, Prefixes(Recent(room, "prefix", weigh))


def agree(fmt: Format, requests: list[tuple[Any, list[Any]]]) -> None:
    _, prefixes = kept(100_000)
    for head, items in requests:
        raw = body(fmt, head, items)
        assert repr(read(fmt, raw, prefixes)) == repr(read(fmt, raw, None))  # `repr`: 1 and true are equal


def said(*texts: str) -> list[dict[str, Any]]:
    return [{"role": "assistant" if n % 2 else "user", "content": text} for n, text in enumerate(texts)]


def test_what_was_read_is_not_read_again_and_what_others_sent_is_not_found() -> None:
    _, prefixes = kept(100_000)
    first = read(CHAT, body(CHAT, None, said("a", "b")), prefixes)[0]
    again = read(CHAT, body(CHAT, None, said("a", "b", "c")), prefixes)[0]
    others = read(CHAT, body(CHAT, None, said("a", "b", "c")), prefixes, "ben")[0]
    assert all(old is new for old, new in zip(first, again, strict=False))
    assert again == others
    assert not any(old is new for old, new in zip(first, others, strict=False))


def test_room_is_bounded() -> None:
    room, prefixes = kept(10_000)
    for number in range(200):
        read(CHAT, body(CHAT, None, said("a", str(number), "x" * 50)), prefixes)
        read(CHAT, body(CHAT, None, said(f"{number}", "y" * 900)), prefixes)
        assert room.taken <= 10_000


def test_branches_of_one_beginning_are_bounded() -> None:
    found: dict[Key, tuple[Read, ...]] = {}

    class Seen(Recent[Key, tuple[Read, ...]]):
        def put(self, key: Key, value: tuple[Read, ...]) -> None:
            found[key] = value
            super().put(key, value)

    room = Room(100_000)
    for number in range(BRANCHES + 5):
        read(CHAT, body(CHAT, None, said("a", str(number))), Prefixes(Seen(room, "prefix", weigh)))
    (branches,) = found.values()
    assert len(branches) == BRANCHES
    assert room.taken == weigh(branches)


def test_what_is_equal_to_python_and_not_in_json_is_read_anew() -> None:
    def asked(given: object) -> list[dict[str, Any]]:
        block = {"type": "tool_use", "id": "c", "name": "send", "input": {"a": given}}
        return [*said("Hello."), {"role": "assistant", "content": [block]}]

    _, prefixes = kept(100_000)
    for value in (1, True, 1.0, 1):
        events = read(ANTHROPIC, body(ANTHROPIC, None, [*asked(value), *said("Go on.")]), prefixes)[0]
        assert repr(events[1].arguments["a"]) == repr(value)
