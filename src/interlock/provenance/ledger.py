"""Everything a run has read and written, with labels: a fold over events that only ever adds.

    said      the user's words and the operator's: what vouches
    returned  a result, leaf by leaf: own leaves vouch, external ones taint the run once the model is shown them
    wrote     what the agent put into the world: it comes back external (object taint), and whatever resembles it does
              too (echo), or write-and-read-back would launder any value
    endorse   a human accepted a value for a role; declassify: accepted more readers (M6)

Looking a value up never scans what was read: own values are indexed when they arrive. External text is only searched
to explain a refusal, or to tell a value that came through a handle from one that the model made up.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import date
from itertools import pairwise

from interlock.kernel.call import Call, Json
from interlock.kernel.labels import EVERYONE, NOBODY, Integrity, Label, Readers
from interlock.kernel.spec import Argument, Effect, Role, Show, ToolSpec
from interlock.provenance import dates, kinds
from interlock.provenance.errors import ProvenanceError
from interlock.provenance.known import RANKS, Known, NamedIds
from interlock.provenance.labels import MOMENT, Leaf, Record, Scalar, Trail, label, listed, step
from interlock.provenance.text import STOP, clean, folded, squashed, words

MAX_DEPTH = 64  # levels of a result; a deeper one is taken as one external text
CHOICE = 2  # words of a choice that may come out of a handle; a person's name in an address has one more
ECHO = 4  # letters and digits from which a piece that the agent wrote is recognised when it comes back
_INTRODUCING = frozenset({"called", "named", "titled", "entitled", "labelled", "labeled"})
USER_WORDS = "the user's words"
OPERATOR = "the operator's instructions"
APPROVED = "was approved by a human"


@dataclass(frozen=True, slots=True, kw_only=True)
class Shown:
    """What the model is to read of a result."""

    content: Json
    label: Label
    handles: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Outside:
    """One external value and where it stands."""

    value: str
    tool: str
    field: str
    object: str

    @property
    def where(self) -> str:
        """In words, for a human."""
        place = f"`{self.field}` of" if self.field not in {"", "."} else "the result of"
        return f"{place} `{self.tool}`" + (f" ({self.object})" if self.object else "")


@dataclass(slots=True)
class Thing:
    """An object that a result showed: by what it can be meant, and whether the agent made it."""

    own: set[str] = field(default_factory=set)
    others: set[str] = field(default_factory=set)
    measures: dict[str, float | str] = field(default_factory=dict)  # own numbers and moments, by field
    made: bool = False


@dataclass(frozen=True, slots=True)
class Handle:
    """External content that the model holds by reference only."""

    ref: str
    value: Json
    tool: str


class Ledger:
    """The provenance of one run. Not thread-safe: `Run` holds the lock."""

    def __init__(
        self,
        *,
        tools: Mapping[str, ToolSpec],
        me: Iterable[str] = (),
        show: Show = Show.INLINE,
        marker: str = "external",
        nouns: dict[str, str] | None = None,
    ) -> None:
        """A run's ledger; `nouns` is what `nouns_of` makes of `tools`, if that is known already."""
        self.tools = tools
        self.me = tuple(me)
        self.show_default = show
        self.marker = marker
        self._user = Known()
        self._own = Known()
        self._heard: list[tuple[str, Integrity, str]] = []  # said, and not taken apart before somebody asks
        self.today: date | None = None
        self.external = False  # the model was shown something external
        self.readers: Readers = EVERYONE  # of everything confidential that was read
        self.sources: set[str] = set()  # tools whose external content the model was shown
        self.nouns = nouns_of(tools.values()) if nouns is None else nouns
        self._ids = NamedIds(self.nouns)
        self.things: dict[tuple[str, str], Thing] = {}
        self._bearers: dict[tuple[str, str], set[int]] = {}  # kind and name → the objects that bear it
        self._touched: set[tuple[str, str]] = set()
        self._made: set[tuple[str, str]] = set()  # touched, and not there before
        self._written: set[str] = set()
        self._written_text = ""  # the same in one text, for looking inside
        self._endorsed: set[tuple[Role, str, str]] = set()
        self._outside: list[Outside] = []
        self._outside_index = Known()
        self._outside_echoes: list[str] = []
        self._outside_wholes: set[str] = set()
        self._spelt: list[
            tuple[str, str]
        ] = []  # of each, folded and squashed, once somebody asked where a value stands
        self._kept: set[Outside] = set()
        self._indexed = 0
        self.indexed_words = 0  # characters of what was said that have been taken apart
        self.indexed = 0  # characters of what is external that have been
        self._handles: dict[str, Handle] = {}
        for value in self.me:
            self._own.field(value, "who the user is")

    @property
    def confidential(self) -> Readers | None:
        """Who may read all the confidential data that the run has read; None before any."""
        return None if self.readers == EVERYONE else self.readers

    # What vouches

    @property
    def user(self) -> Known:
        """What the user's words vouch for."""
        self._hear()
        return self._user

    @property
    def own(self) -> Known:
        """What the operator's words and own fields vouch for."""
        self._hear()
        return self._own

    @property
    def ids(self) -> NamedIds:
        """The ids that the user's words name."""
        self._hear()
        return self._ids

    def _hear(self) -> None:
        """Take apart what was said: most turns of most conversations propose no call, and never ask."""
        while self._heard:
            text, integrity, source = self._heard[0]
            if integrity is Integrity.USER:
                self._user.say(text, source or USER_WORDS, self.today)
                self._ids.say(text)
            else:
                self._own.say(text, source or OPERATOR, self.today)
            self.indexed_words += len(text)
            del self._heard[0]  # what raises is raised again

    def said(self, text: str, integrity: Integrity, source: str = "") -> None:
        """Take in the user's words (`user`) or the operator's (`own`).

        Raises:
            ProvenanceError: external text does not vouch; it comes in as a result.
        """
        if integrity is Integrity.EXTERNAL:
            raise ProvenanceError("external text cannot be said; hand it in with `read`")
        self._heard.append((text, integrity, source))

    def read(self, text: str, source: str) -> None:
        """Take in external text that reached the model by another way than a tool: a document, an attachment."""
        self._keep(text, source, "", "")
        self._taint(source)

    def endorse(self, value: str, role: Role, *, kind: str = "") -> bool:
        """A human accepted `value` for this role; False if that was known already (once per value)."""
        key = (role, value, kind)
        if key in self._endorsed:
            return False
        self._endorsed.add(key)
        return True

    def endorsed(self, value: str, role: Role, kind: str) -> bool:
        """A human accepted `value` for this role."""
        return (role, value, kind) in self._endorsed

    def declassify(self, readers: Readers) -> None:
        """A human let `readers` learn what was confidential."""
        if self.readers.names is not None:
            names = readers.names
            self.readers = EVERYONE if names is None else Readers(self.readers.names | names)

    # What the agent did

    def returned(self, call: Call, output: Json, *, failed: bool = False) -> Shown:
        """Label a result and take it in; what the model is to read of it.

        A failure's text is external: whoever was asked wrote it.
        """
        spec = self.tools.get(call.tool) or ToolSpec(name=call.tool)
        plain = failed or _depth(output) > MAX_DEPTH
        leaves, records = ([], []) if plain else label(output, spec.returns, self.me)
        if spec.effect is not Effect.READ:
            self._wrote(call, spec, records)  # also what failed may have been done
        if spec.returns.confidential:
            self._confide(leaves, records, told=plain)
        if plain:
            text = output if isinstance(output, str) else json.dumps(output, ensure_ascii=False)
            return self._shown(call.tool, text, [_plain(text)], spec, [])
        if spec.returns.object == "now":
            self._now(leaves)
        leaves = [self._doubted(leaf, records, spec) for leaf in leaves]
        self._meet(leaves, records, spec)
        for leaf in leaves:
            if leaf.integrity is Integrity.OWN and leaf.value is not None and not isinstance(leaf.value, bool):
                if leaf.field in spec.returns.id and self._echoes(leaf.value):
                    continue  # an id that the agent chose identifies its object and vouches for nothing else
                where = f"`{leaf.field}` of `{call.tool}`" if leaf.field != "." else f"`{call.tool}`"
                self.own.field(str(leaf.value), where)
        return self._shown(call.tool, output, leaves, spec, records)

    def _wrote(self, call: Call, spec: ToolSpec, records: list[Record]) -> None:
        """Remember what the agent wrote: the objects, and every value that is not the user's own."""
        named = {str(v) for p, v in flatten(call.arguments) if spec.argument(p).role is Role.ID}
        for path, value in flatten(call.arguments):
            argument = spec.argument(path)
            if argument.role is Role.ID and self._writes_to(spec, argument):
                self._touched.add((argument.kind, str(value)))
            elif not isinstance(value, bool | None) and argument.role is not Role.OPTION:
                self._remember(str(value))
        for name in keys(call.arguments):
            self._remember(name)
        if spec.refers:
            self._touched.add((spec.refers, ""))
        for record in records:
            for known in record.ids:
                key = (spec.returns.object, known)
                self._touched.add(key)
                if spec.effect is not Effect.DESTROY and known not in named and key not in self.things:
                    self._made.add(key)

    @staticmethod
    def _writes_to(spec: ToolSpec, argument: Argument) -> bool:
        """The object is written to, not merely sent along."""
        return spec.effect in {Effect.WRITE, Effect.DESTROY} or "." not in argument.path

    def _remember(self, value: str) -> None:
        for piece in {value, *value.splitlines()}:
            echo = squashed(piece)
            if echo and echo not in self._written and not self.user.phrased(piece):
                self._written.add(echo)
                self._written_text += f" {echo}"

    def _doubted(self, leaf: Leaf, records: list[Record], spec: ToolSpec) -> Leaf:
        """The leaf, external if the agent wrote to its object or if it echoes what the agent wrote."""
        if leaf.integrity is not Integrity.OWN or leaf.field in spec.returns.id:
            return leaf
        if self._is_touched(leaf, records, spec.returns.object) or self._echoes(leaf.value):
            return replace(leaf, integrity=Integrity.EXTERNAL)
        return leaf

    def _is_touched(self, leaf: Leaf, records: list[Record], kind: str) -> bool:
        ids = records[leaf.record].ids if leaf.record >= 0 else ()
        return any((kind, known) in self._touched for known in ids or ("",))  # without ids there is one object only

    def _echoes(self, value: Scalar) -> bool:
        """`value` is made of what the agent wrote: whole, a piece of it, or pieces put together."""
        if not self._written or isinstance(value, bool | None):
            return False
        echo = squashed(str(value))
        if not isinstance(value, str):
            return echo in self._written and len(echo) >= ECHO and folded(str(value)) not in self.own.names
        if len(echo) < ECHO or self.user.phrased(value) or folded(value) in self.own.names:
            return False  # too short to tell, the user's own, or own before the agent wrote anything
        return (
            echo in self._written_text or any(len(w) >= ECHO and w in echo for w in self._written) or self._pieced(echo)
        )

    def _pieced(self, echo: str) -> bool:
        """`echo` is nothing but pieces that the agent wrote, one after the other."""
        short = {w for w in self._written if len(w) < ECHO}
        ends = {0}
        for at in range(len(echo) if short else 0):
            if at in ends:
                ends |= {at + n for n in range(1, ECHO) if echo[at : at + n] in short}
        return len(echo) in ends

    # What the model reads

    def _meet(self, leaves: list[Leaf], records: list[Record], spec: ToolSpec) -> None:
        """Take in the objects of a result and the names by which they can be meant."""
        kind = spec.returns.object
        if not kind:
            return
        things: list[list[Thing]] = [[] for _ in records]
        for leaf in leaves:  # an id that others can set is no object's id
            if (
                leaf.field in spec.returns.id
                and leaf.integrity is Integrity.OWN
                and str(leaf.value) in records[leaf.record].ids
            ):
                key = (kind, str(leaf.value))
                things[leaf.record].append(self.things.setdefault(key, Thing(made=key in self._made)))
        for leaf in leaves:
            if leaf.record < 0 or leaf.key or isinstance(leaf.value, bool | None):
                continue
            for thing in things[leaf.record]:
                if (
                    isinstance(leaf.value, str)
                    and leaf.field in spec.returns.names
                    and (thing.made or not self._renamed(leaf, records, kind))
                ):
                    (thing.own if leaf.integrity is Integrity.OWN else thing.others).add(leaf.value)
                    self._bearers.setdefault((kind, folded(leaf.value)), set()).add(id(thing))
                if leaf.integrity is Integrity.OWN and leaf.mute:
                    thing.measures[leaf.field] = leaf.value

    def _renamed(self, leaf: Leaf, records: list[Record], kind: str) -> bool:
        """The agent wrote to the object and may have given it this name, so that the user's words seem to mean it."""
        return leaf.integrity is not Integrity.OWN and self._is_touched(leaf, records, kind)

    def _confide(self, leaves: list[Leaf], records: list[Record], *, told: bool) -> None:
        """Only those may learn it who may read every record; what does not say who they are, nobody."""
        shared = [Readers(r.readers) if r.readers is not None else NOBODY for r in records]
        if told or any(leaf.record < 0 and not leaf.mute for leaf in leaves):
            shared.append(NOBODY)
        for readers in shared:
            self.readers = self.readers.join(readers)

    def _now(self, leaves: list[Leaf]) -> None:
        for leaf in leaves:
            if leaf.integrity is Integrity.OWN and isinstance(leaf.value, str):
                for day in dates.when(leaf.value).days:
                    if day.year is not None:
                        self.today = date(day.year, day.month, day.day)
                        for text in self.user.texts:
                            for said in dates.when(text, self.today).days:
                                self.user.moments.setdefault(said, USER_WORDS)

    def _shown(self, tool: str, output: Json, leaves: list[Leaf], spec: ToolSpec, records: list[Record]) -> Shown:
        handles: list[str] = []
        changed: dict[Trail, Json] = {}
        renamed: dict[Trail, str] = {}
        seen = False
        for leaf in leaves:
            if leaf.integrity is not Integrity.EXTERNAL or leaf.value is None:
                continue
            owner = records[leaf.record].ids if leaf.record >= 0 else ()
            self._keep(str(leaf.value), tool, leaf.field, f"{spec.returns.object} {owner[0]}" if owner else "")
            if leaf.mute:
                continue
            match self._manner(spec, leaf.field):
                case Show.HANDLE:
                    ref = self._hold(leaf.value, tool)
                    handles.append(ref)
                    if leaf.key:
                        renamed[leaf.trail] = f"${ref}"
                    else:
                        changed[leaf.trail] = {"$ref": ref, "type": "text", "chars": len(str(leaf.value))}
                case Show.MARK:
                    seen = True
                    marked = f"<{self.marker}>{self._unmarked(str(leaf.value))}</{self.marker}>"
                    if leaf.key:
                        renamed[leaf.trail] = marked
                    else:
                        changed[leaf.trail] = marked
                case Show.INLINE:
                    seen = True
        if seen:
            self._taint(tool)
        integrity = Integrity.EXTERNAL if seen else Integrity.OWN
        content = _replaced(output, (), changed, renamed) if changed or renamed else output
        return Shown(content=content, label=Label(integrity, self.readers), handles=tuple(handles))

    def _unmarked(self, text: str) -> str:
        """`text` without marks of its own, which would end the marking early."""
        return re.sub(rf"<\s*/?\s*{re.escape(self.marker)}\s*>", "", text, flags=re.IGNORECASE)

    def _manner(self, spec: ToolSpec, field_name: str) -> Show:
        show = spec.returns.show
        for name, manner in show.items():
            if name != "*" and listed(field_name, (name,)):
                return manner
        return show.get("*", self.show_default)

    def _hold(self, value: Json, tool: str) -> str:
        ref = f"r{len(self._handles) + 1}"
        self._handles[ref] = Handle(ref, value, tool)
        return ref

    def _keep(self, value: str, tool: str, field_name: str, thing: str) -> None:
        item = Outside(value=value, tool=tool, field=field_name, object=thing)
        if item not in self._kept:
            self._kept.add(item)
            self._outside.append(item)

    def _taint(self, source: str) -> None:
        self.external = True
        self.sources.add(source)

    # Handles

    def resolve(self, arguments: Json) -> Json:
        """`arguments` with every handle replaced by what it stands for; `bind` finds its label again by its value.

        Raises:
            ProvenanceError: a handle that this run does not hold.
        """
        if isinstance(arguments, dict):
            if "$ref" in arguments:
                return self._held(arguments["$ref"]).value
            return {k: self.resolve(v) for k, v in arguments.items()}
        if isinstance(arguments, list):
            return [self.resolve(v) for v in arguments]
        return arguments

    def show(self, ref: str) -> str:
        """What a handle stands for, to be rendered to the user and not to the model."""
        value = self._held(ref).value
        return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)

    def extracted(self, ref: str, value: Json) -> Shown:
        """Take in a typed value that a quarantined reader got out of a handle. It stays external, and is shown.

        Raises:
            ProvenanceError: the value could carry a sentence.
        """
        held = self._held(ref)
        told = [*keys({"": value}), *(v for _, v in _scalars(value, ()) if isinstance(v, str))]
        if not _narrow(told):
            raise ProvenanceError(
                f"`extract` of `{ref}` gave text; only numbers, dates, addresses and one short choice may come out"
            )
        for _, v in _scalars(value, ()):
            if v is not None:
                self._keep(str(v), held.tool, f"extract {ref}", "")
        if told:
            self._taint(held.tool)  # the model has now read something that others wrote
        return Shown(content=value, label=Label(Integrity.EXTERNAL, self.readers))

    def _held(self, ref: object) -> Handle:
        held = self._handles.get(ref) if isinstance(ref, str) else None
        if held is None:
            raise ProvenanceError(f"`{str(ref)[:40]}` is no handle of this run")
        return held

    # Looking things up

    def outside(self, role: Role, value: str) -> bool:
        """`value` stands in something external that the run took in: typed, or letter by letter in any spelling.

        Generous on purpose: what is found here is believed less.
        """
        for item in self._outside[self._indexed :]:
            self._outside_index.field(item.value, item.where)
            self._outside_echoes.append(squashed(item.value))
            self._outside_wholes.add(squashed(item.value))
            self.indexed += len(item.value)
        self._indexed = len(self._outside)
        echo = squashed(value)
        if len(echo) >= ECHO and any(echo in e for e in self._outside_echoes):
            return True
        return self._outside_index.source(role, value) is not None or folded(value) in self._outside_index.names

    def holds(self, text: str) -> bool:
        """`text` is the whole of something external: what a reference that was passed on stands for."""
        self.outside(Role.UNKNOWN, "")
        return squashed(text) in self._outside_wholes

    def outside_actionable(self, kind: str, value: str) -> bool:
        """A link, address or account stands in something external that the run took in."""
        self.outside(Role.UNKNOWN, "")
        return self._outside_index.actionable(kind, value)

    def found_in(self, value: str) -> str:
        """In words: where an external value stands, or that it stands nowhere."""
        for item in self._outside[len(self._spelt) :]:
            self._spelt.append((folded(item.value), squashed(item.value)))
            self.indexed += len(item.value)
        wanted, echo = folded(value), squashed(value)
        for item, (name, letters) in zip(self._outside, self._spelt, strict=True):
            if wanted in name or (len(echo) >= ECHO and echo in letters):
                return f"stands only in {item.where}, which others can write"
        return "stands in nothing that the user or the service said"

    def means(self, value: str, kind: str, *, exactly: bool) -> bool:
        """The user's words mean the object of this kind with this id.

        They name the id, or the whole of a name it bears, or (not `exactly`) two adjacent words of a name that only the
        service or the user can set. A name that others can set must be whole, no second object may bear it, and a
        single word must be quoted or stand beside the kind.
        """
        if self.ids.names(value, kind):
            return True
        thing = self.things.get((kind, value))
        if thing is None:
            return False
        if thing.made:
            return True
        if any(self._called(n) for n in thing.own):
            return True
        if self._ranked(thing, kind) or (not exactly and any(self._alluded(n) for n in thing.own)):
            return True
        return any(self._called(n) and self._unique(n, kind) and self._singled(n, kind) for n in thing.others)

    def knows(self, value: str, kind: str) -> bool:
        """An object of this kind with this id was seen, made here, or named by the user."""
        return (kind, value) in self.things or self.ids.names(value, kind)

    def _called(self, name: str) -> bool:
        stem = _stem(name)
        return kinds.name(name) is not None and (
            self.user.phrased(name) or (stem != name and len(words(stem)) > 1 and self.user.phrased(stem))
        )

    def _singled(self, name: str, kind: str) -> bool:
        """A name that others chose is more than one word, or quoted by the user, or stands beside its kind.

        A single word may stand in the user's words for anything.
        """
        if len(words(name)) > 1 or folded(name) in self.user.quoted:
            return True
        if folded(name) in _INTRODUCING:
            return False
        beside = [noun for noun, k in self.nouns.items() if k == kind]
        return any(self.user.phrased(f"{n} {name}") or self.user.phrased(f"{name} {n}") for n in beside)

    def _alluded(self, name: str) -> bool:
        told = words(_stem(name))
        couples = [(a, b) for a, b in pairwise(told) if not {a, b} <= STOP]
        if any(self.user.phrased(f"{a} {b}") for a, b in couples):
            return True
        return len(told) == 1 and told[0] not in STOP and len(told[0]) > 2 and self.user.phrased(told[0])  # noqa: PLR2004

    def _ranked(self, thing: Thing, kind: str) -> bool:
        """The user means the largest, newest, cheapest … of a kind, and by its own fields it is this one alone."""
        nouns = {noun for noun, k in self.nouns.items() if k == kind}
        for rank in self.user.ranks(nouns):
            fields, greatest = RANKS[rank]
            for name in fields & thing.measures.keys():
                mine = thing.measures[name]
                all_of = [t.measures[name] for (k, _), t in self.things.items() if k == kind and name in t.measures]
                comparable = [v for v in all_of if isinstance(v, str) == isinstance(mine, str)]
                best = max(comparable) if greatest else min(comparable)
                if mine == best and comparable.count(mine) == 1:
                    return True
        return False

    def _unique(self, name: str, kind: str) -> bool:
        return len(self._bearers.get((kind, folded(name)), ())) == 1


def flatten(arguments: Mapping[str, object]) -> list[tuple[str, Scalar]]:
    """(path, value) of every leaf; lists add no step to a path."""
    found: list[tuple[str, Scalar]] = []

    def walk(value: object, path: str) -> None:
        if isinstance(value, Mapping):
            for k, v in value.items():
                walk(v, f"{path}.{step(k)}" if path else step(k))
        elif isinstance(value, list | tuple):
            for v in value:
                walk(v, path)
        elif value is None or isinstance(value, bool | int | float | str):
            found.append((path, value))

    walk(arguments, "")
    return found


def nouns_of(specs: Iterable[ToolSpec]) -> dict[str, str]:
    """Word → kind of object, singular and plural, for every kind that a tool returns, writes or takes an id of."""
    known: set[str] = set()
    for spec in specs:
        known |= {spec.returns.object, spec.refers, *(a.kind for a in spec.arguments)}
    found: dict[str, str] = {}
    for kind in sorted(known - {""}):
        last = words(kind)[-1] if words(kind) else kind
        for noun in {kind, last}:
            for form in (noun, f"{noun}s", f"{noun}es", f"{noun[:-1]}ies" if noun.endswith("y") else noun):
                found.setdefault(form, kind)
    return found


def _stem(name: str) -> str:
    """A file name without its ending."""
    head, dot, tail = name.rpartition(".")
    return head if dot and 1 <= len(tail) <= 5 and tail.isalnum() and head else name  # noqa: PLR2004 - .docx


def _plain(text: str) -> Leaf:
    return Leaf(field=".", value=text, integrity=Integrity.EXTERNAL, record=-1, trail=())


def _depth(value: object) -> int:
    deepest, level, layer = 0, 0, [value]
    while layer and deepest <= MAX_DEPTH:
        level += 1
        deepest = level
        layer = [v for x in layer for v in (x.values() if isinstance(x, dict) else x if isinstance(x, list) else ())]
    return deepest


def _scalars(value: Json, trail: Trail) -> list[tuple[Trail, Scalar]]:
    if isinstance(value, dict):
        return [x for k, v in value.items() for x in _scalars(v, (*trail, k))]
    if isinstance(value, list):
        return [x for i, v in enumerate(value) for x in _scalars(v, (*trail, i))]
    return [(trail, value)]


def _narrow(told: Sequence[str]) -> bool:
    """Of a grammar too narrow for a sentence: moments, addresses, accounts, and no more than one short choice."""
    choices = 0
    for value in told:
        spelt = kinds.address(value)
        if MOMENT.fullmatch(value) or (
            spelt and len(spelt) == 1 and len(words(spelt[0].partition("@")[0])) <= CHOICE + 1
        ):
            continue
        if " " not in value and kinds.account(value) and len(re.findall("[A-Za-z]{5,}", value)) == 0:
            continue
        choices += 1
        if choices > 1 or len(value) > 40 or not clean(value) or len(words(value)) > CHOICE:  # noqa: PLR2004
            return False
    return True


def _replaced(value: Json, trail: Trail, changed: Mapping[Trail, Json], renamed: Mapping[Trail, str]) -> Json:
    if trail in changed and not isinstance(value, dict | list):
        return changed[trail]
    if isinstance(value, dict):
        return {renamed.get((*trail, k), k): _replaced(v, (*trail, k), changed, renamed) for k, v in value.items()}
    if isinstance(value, list):
        return [_replaced(v, (*trail, i), changed, renamed) for i, v in enumerate(value)]
    return value


def keys(value: object) -> set[str]:
    """Every key inside a value, at any depth below the argument names."""
    found: set[str] = set()
    stack = list(value.values()) if isinstance(value, Mapping) else []
    while stack:
        item = stack.pop()
        if isinstance(item, Mapping):
            found |= item.keys()
            stack += item.values()
        elif isinstance(item, list | tuple):
            stack += item
    return found
