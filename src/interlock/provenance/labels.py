"""Labels of a tool's result, leaf by leaf, as the tool's `Returns` declares them.

A result is cut into records; within a record a field is a dotted path (lists add no step). A leaf is `own` if its
field is listed, if a condition that names it holds for its record, or if it is listed as typed and is one plain
identifier. Everything else is external: an unlisted field, anything outside the records, any shape that the
declaration did not foresee.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from typing import TypeAlias

from interlock.kernel.call import Json
from interlock.kernel.labels import Integrity
from interlock.kernel.spec import Condition, Returns, Sharing
from interlock.provenance import kinds
from interlock.provenance.text import folded

WRITERS = "writers"
READ_ONLY = frozenset({"r", "ro", "read", "reader", "readonly", "read-only", "view", "viewer", "comment", "commenter"})
_IDENTIFIER = re.compile(r"[\w#@.+-]{1,64}")
MOMENT = re.compile(r"\d{4}-\d\d-\d\d(?:[T ]\d\d:\d\d(?::\d\d(?:\.\d+)?)?(?:Z|[+-]\d\d:?\d\d)?)?")
_SCHEMA_KEY = re.compile(r"[A-Za-z][A-Za-z0-9]{0,24}(?:[_-][A-Za-z0-9]{0,24}){0,2}")
_LONG_NUMBER = 6  # digits from which an identifier could be an account
Scalar: TypeAlias = bool | int | float | str | None
Trail: TypeAlias = tuple[str | int, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Leaf:
    """One value of a result: where it stands, and who could have put it there."""

    field: str  # dotted path in the record; `.` for a plain value, `keys` for a key
    value: Scalar
    integrity: Integrity
    record: int  # which record of the result; -1 outside all of them
    trail: Trail  # the steps from the result to the value; to what stands under it for a key
    key: bool = False  # the value is a key of an object

    @property
    def mute(self) -> bool:
        """The value carries no sentence: nothing, a truth value, a number, a moment, a key like a schema's."""
        if not isinstance(self.value, str) or not self.value.strip():
            return True
        return bool((_SCHEMA_KEY if self.key else MOMENT).fullmatch(self.value))


@dataclass(frozen=True, slots=True, kw_only=True)
class Record:
    """One object of a result: its ids, and the people who may read or write it where it says so."""

    index: int
    ids: tuple[str, ...]
    readers: frozenset[str] | None  # None: the record does not say
    writers: frozenset[str] | None


def label(output: Json, returns: Returns, me: Collection[str]) -> tuple[list[Leaf], list[Record]]:
    """Every leaf of `output` with its integrity, and the records they belong to. `me`: values that mean the user.

    Keys are leaves as well: those of a dictionary that the declaration calls keyed by names, those inside own fields,
    and every key that no declared field explains.
    """
    mine = frozenset(folded(m) for m in me)
    leaves: list[Leaf] = []
    records: list[Record] = []
    inside: set[Trail] = set()
    schema = _schema(returns)
    for trail, key, value in _records(output, returns.records):
        index = len(records)
        inside.add(trail)
        record, own = _judge(index, value, returns, mine)
        records.append(record)
        if key is not None:
            integrity = Integrity.OWN if "keys" in own or "*" in returns.own else Integrity.EXTERNAL
            leaves.append(Leaf(field="keys", value=key, integrity=integrity, record=index, trail=trail, key=True))
        leaves += _leaves(value, returns, own - {"keys"}, schema, index, trail)
    steps = frozenset(returns.records.split("."))
    leaves += [
        Leaf(field="", value=value, integrity=Integrity.EXTERNAL, record=-1, trail=trail, key=key)
        for trail, value, key in _outside(output, (), inside)
        if not (key and value in steps)
    ]
    return leaves, records


def _schema(returns: Returns) -> frozenset[str]:
    """Every field that the declaration mentions, and what contains one."""
    told = {*returns.id, *returns.names, *returns.own, *returns.typed, *returns.show}
    told |= {f for c in returns.when for f in (c.field, *c.fields)}
    if returns.sharing:
        told |= {returns.sharing.owner, returns.sharing.members}
    return frozenset(f.rsplit(".", n)[0] for f in told for n in range(f.count(".") + 1))


def _records(output: Json, where: str) -> Iterator[tuple[Trail, str | None, Json]]:
    """(trail, key, record) for each record; the key only where `*` opens a dictionary keyed by names."""
    steps = where.split(".") if where else []

    def walk(value: Json, left: list[str], trail: Trail, key: str | None) -> Iterator[tuple[Trail, str | None, Json]]:
        if left and left[0] == "*" and isinstance(value, dict):
            for k, v in value.items():
                yield from walk(v, left[1:], (*trail, k), k)
        elif left and isinstance(value, dict):
            if left[0] in value:
                yield from walk(value[left[0]], left[1:], (*trail, left[0]), None)
        elif isinstance(value, list) and key is None:
            for i, v in enumerate(value):
                yield from walk(v, left, (*trail, i), None)
        elif not left:
            yield trail, key, value

    yield from walk(output, steps, (), None)


def _judge(index: int, value: Json, returns: Returns, me: frozenset[str]) -> tuple[Record, frozenset[str]]:
    """The record, and the fields of it that are own."""
    fields = value if isinstance(value, dict) else {}
    people = _people(fields, returns.sharing) if returns.sharing else None
    own = set(returns.own)
    for condition in returns.when:
        if _holds(condition, fields, people, me):
            own |= set(condition.fields)
    ids = tuple(
        str(fields[f]) for f in returns.id if isinstance(fields.get(f), str | int) and not isinstance(fields[f], bool)
    )
    readers, writers = people or (None, None)
    return Record(index=index, ids=ids, readers=readers, writers=writers), frozenset(own)


def _people(fields: Mapping[str, Json], sharing: Sharing) -> tuple[frozenset[str], frozenset[str]] | None:
    """(readers, writers) of a record; None when the record lacks what would say so: then nobody is known."""
    owner, members = fields.get(sharing.owner), fields.get(sharing.members)
    if not isinstance(owner, str) or not isinstance(members, dict | list):
        return None
    if isinstance(members, dict):
        writers = {m for m, mode in members.items() if not _only_reads(mode, sharing)}
    else:
        writers = {str(m) for m in members}  # a list without modes: everybody on it may write
    return frozenset({owner, *map(str, members)}), frozenset({owner, *writers})


def _only_reads(mode: Json, sharing: Sharing) -> bool:
    """A mode that nobody declared and that does not say so itself could allow writing (K7)."""
    return isinstance(mode, str) and mode.lower() in READ_ONLY - sharing.write


def _holds(
    condition: Condition,
    fields: Mapping[str, Json],
    people: tuple[frozenset[str], frozenset[str]] | None,
    me: frozenset[str],
) -> bool:
    if condition.field == WRITERS:
        values: list[Json] = list(people[1]) if people else []
    else:
        found = fields.get(condition.field)
        values = found if isinstance(found, list) else [found]
    names = [folded(v) for v in values if isinstance(v, str)]
    if not names or len(names) != len(values):
        return False
    if condition.operator == "<=":
        return all(n in me for n in names)
    return len(names) == 1 and names[0] in me  # one of several is not enough: anybody can add the user to a list


def _leaves(
    value: Json, returns: Returns, own: frozenset[str], schema: frozenset[str], record: int, start: Trail
) -> Iterator[Leaf]:
    stack: list[tuple[Json, str, Trail]] = [(value, "", start)]
    while stack:
        item, where, trail = stack.pop()
        if isinstance(item, dict):
            mine = bool(where) and listed(where, own)
            for k, v in reversed(item.items()):
                field = f"{where}.{step(k)}" if where else step(k)
                stack.append((v, field, (*trail, k)))
                if mine:  # the keys of a map in an own field are values too: who shares a file
                    yield Leaf(
                        field=where, value=k, integrity=Integrity.OWN, record=record, trail=(*trail, k), key=True
                    )
                elif field not in schema and "*" not in own:
                    yield Leaf(
                        field=field, value=k, integrity=Integrity.EXTERNAL, record=record, trail=(*trail, k), key=True
                    )
        elif isinstance(item, list):
            stack += [(v, where, (*trail, i)) for i, v in reversed(list(enumerate(item)))]
        else:
            field = where or "."
            plain = listed(field, returns.typed) and isinstance(item, str) and _identifies(item)
            integrity = Integrity.OWN if plain or listed(field, own) else Integrity.EXTERNAL
            yield Leaf(field=field, value=item, integrity=integrity, record=record, trail=trail)


def _identifies(value: str) -> bool:
    """One plain identifier, which is no place to send anything to: no address, no link, no account."""
    return (
        bool(_IDENTIFIER.fullmatch(value))
        and "@" not in value[1:]
        and sum(c.isdigit() for c in value) < _LONG_NUMBER
        and not kinds.actionable(value)
    )


def step(key: str) -> str:
    """A key as one step of a path: a dot, or nothing at all, in it is none of the path's."""
    return key.replace("\\", "\\\\").replace(".", "\\.") or "\\"


def listed(field: str, names: Collection[str]) -> bool:
    """`field`, or something that contains it, is in `names`; `*` lists every field."""
    if "*" in names or field in names:
        return True
    return any(field.startswith(f"{n}.") for n in names)


def _outside(value: Json, trail: Trail, inside: set[Trail]) -> Iterator[tuple[Trail, Scalar, bool]]:
    """(trail, value, whether it is a key) of all that no record holds."""
    if trail in inside:
        return
    if isinstance(value, dict):
        for k, v in value.items():
            if (*trail, k) not in inside:
                yield (*trail, k), k, True
            yield from _outside(v, (*trail, k), inside)
    elif isinstance(value, list):
        for i, v in enumerate(value):
            yield from _outside(v, (*trail, i), inside)
    else:
        yield trail, value, False
