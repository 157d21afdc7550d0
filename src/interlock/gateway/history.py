"""What a request's history means to the monitor, and which conversation it belongs to.

The client sends the whole history each time, and may leave things out of it. A conversation is therefore known by what
this gateway let out in it: the ids of its calls and the texts of its answers (`marks`). One that begins (nobody has
answered yet) is a new run; one that goes on is the run whose mark it bears. Where a client names the conversation
itself, that name counts, for this key and principal alone.

An answer in the history that this gateway did not give may be made of anything: it is external. That holds also for
one whose mark was forgotten: taint is assumed, never lost.
"""

from __future__ import annotations

import re
from collections import OrderedDict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from interlock.gateway.auth import Subject
from interlock.kernel.call import Call, Json, canonical, digest_of
from interlock.kernel.errors import InterlockError
from interlock.kernel.labels import Integrity
from interlock.monitor.history import Event, Proposed, Returned, Said
from interlock.monitor.mediate import INVALID, REFUSED
from interlock.monitor.ports import RunStore
from interlock.wire.errors import NotJson
from interlock.wire.events import Asked, Opaque, Result, Words
from interlock.wire.events import Event as Wired
from interlock.wire.strict import loads

REMEMBERED = 20_000  # marks in memory; the store has the others
MOST = 64  # runs of one mark in memory
FOREIGN = "answer of somebody else"  # the source of words that this gateway did not let out
MAX_RUN = 128  # characters of a name that the client gives to a conversation
WAITING = (
    "This call was not made: it waits for a person's approval. End the turn here; the same call can be made once it "
    "is approved."
)
_OURS = re.compile(
    "|".join([re.escape(REFUSED), re.escape(INVALID), re.escape(WAITING) + r"(?: Approval [0-9a-f]+\.)?"])
)
_NOTHING = "nothing but refusals"


@dataclass(frozen=True, slots=True)
class Mark:
    """A run that let something out, and whether it had read anything external by then."""

    run: str
    external: bool


class Marks:
    """Which runs let out an answer. Shared by the workers through the store of runs, if there is one."""

    def __init__(self, store: RunStore | None) -> None:
        self._store = store
        self._known: OrderedDict[str, tuple[Mark, ...]] = OrderedDict()
        self._foreign: OrderedDict[tuple[str, str], None] = OrderedDict()

    def of(self, mark: str, *, anew: bool = False) -> tuple[Mark, ...]:
        """Who let it out, the latest last; `anew` asks for what other workers may have added."""
        found = self._known.get(mark, ())
        if self._store is not None and (anew or not found):
            try:
                facts = [fact for _, fact in self._store.since(f"mark:{mark}", 0)]
            except Exception:  # noqa: BLE001 - a port: an unknown answer is external
                return found
            if facts:
                found = tuple(Mark(str(fact["run"]), fact["external"] is not False) for fact in facts)
                self._put(mark, found)
        return found

    def by(self, mark: str, run: str) -> bool:
        """Whether `run` has let it out. What it has once read as somebody else's stays so: its taint does, too."""
        if (mark, run) in self._foreign:
            return False
        if any(run == m.run for anew in (False, True) for m in self.of(mark, anew=anew)):
            return True
        self._foreign[mark, run] = None
        while len(self._foreign) > REMEMBERED:
            self._foreign.popitem(last=False)
        return False

    def add(self, mark: str, run: str, *, external: bool) -> None:
        """`run` has let it out."""
        new = Mark(run, external)
        before = self._known.get(mark, ())
        if new in before:
            return
        self._put(mark, (*before, new))
        if self._store is not None:
            try:
                self._store.add(f"mark:{mark}", [(f"{run}:{external:d}", {"run": run, "external": external})])
            except Exception:  # noqa: BLE001 - a port: other workers will take the answer for somebody else's
                return

    def _put(self, mark: str, marks: tuple[Mark, ...]) -> None:
        self._known[mark] = marks[-MOST:]
        self._known.move_to_end(mark)
        while len(self._known) > REMEMBERED:
            self._known.popitem(last=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class Conversation:
    """Which conversation a request belongs to. `run` is its id."""

    run: str
    subject: Subject
    family: str  # digest of the subject and the user's first words: scopes the marks of texts
    opening: str  # mark of the request that begins it; "" if it goes on, or has a name
    marks: Marks = field(repr=False)

    def heard(self, texts: Sequence[str], calls: Sequence[str], *, refused: bool, external: bool) -> None:
        """The client got these texts and calls (by id), and what it reads of refusals."""
        for call in calls:
            if call:
                self.marks.add(_call_mark(self.subject, call), self.run, external=external)
        for text in (*texts, REFUSED) if refused else texts:
            if plain := _plain(text):
                self.marks.add(_text_mark(self.family, plain), self.run, external=external)

    def ours(self, text: str) -> bool:
        """Whether this run let `text` out."""
        plain = _plain(text)
        if not plain:
            return True
        return self.marks.by(_text_mark(self.family, plain), self.run)

    def come_again(self) -> None:
        """A call waits for a human: the same request, sent again, is the same run, to which the approval belongs."""
        if self.opening:
            self.marks.add(self.opening, self.run, external=True)


def conversation(events: Sequence[Wired], subject: Subject, named: str, marks: Marks, fresh: str) -> Conversation:
    """The conversation of a request whose client calls it `named`, or nothing; `fresh` is the id of a new one."""
    who = [subject.agent, subject.key, subject.principal]
    # Not of the operator's words: they often tell the time.
    first = next((e.text for e in events if isinstance(e, Words) and e.role in {"user", "document"}), "")
    family = digest_of([*who, first])
    opening = ""
    if named:
        run = f"{named}-{digest_of([*who, named])[:32]}"
    elif any(_answer(e) for e in events):
        run = next(_known(events, subject, family, marks), f"unseen-{family[:32]}")
    else:
        opening = digest_of(["opening", family, [[e.role, e.text] for e in events if isinstance(e, Words)]])
        again = marks.of(opening, anew=True)
        run = again[-1].run if again else fresh
    return Conversation(run=run, subject=subject, family=family, opening=opening, marks=marks)


def _answer(event: Wired) -> bool:
    return isinstance(event, Asked) or (isinstance(event, Words) and event.role == "assistant")


def _known(events: Sequence[Wired], subject: Subject, family: str, marks: Marks) -> Iterator[str]:
    """Runs whose marks the history bears: calls first, whose ids are unique; the latest first.

    Two runs may have said the same. Then it is one that had read something external, if there is such a one: a history
    from which the results were cut must not pass for another that had none.
    """
    for event in reversed(events):
        if isinstance(event, Asked) and event.id:
            yield from (m.run for m in marks.of(_call_mark(subject, event.id))[-1:])
    for event in reversed(events):
        if isinstance(event, Words) and event.role == "assistant" and (plain := _plain(event.text)):
            found = marks.of(_text_mark(family, plain), anew=True)
            yield from (m.run for m in [m for m in found if m.external][-1:] or found[-1:])


def _call_mark(subject: Subject, call: str) -> str:
    return digest_of(["call", subject.agent, subject.key, subject.principal, call])


def _text_mark(family: str, plain: str) -> str:
    return digest_of(["text", family, plain])


def _plain(text: str) -> str:
    """`text` without what we may have added, and without the blanks at its ends, which clients trim."""
    rest = _OURS.sub("", text).strip()
    return rest or (_NOTHING if text.strip() else "")


@dataclass(frozen=True, slots=True)
class History:
    """A request's events as the monitor takes them, each with its place among the wire's."""

    events: tuple[Event, ...]
    places: tuple[int, ...]  # index in the wire's events
    read: frozenset[int]  # places of events that were taken for JSON, although the wire has text

    def readings(self, wired: Sequence[Wired], given: Sequence[Json]) -> dict[int, Json]:
        """What the model is to read, by place, where that is not what stands there."""
        found: dict[int, Json] = {}
        for place, event, reading in zip(self.places, self.events, given, strict=True):
            match event, wired[place]:
                case Proposed(), _:
                    continue
                case Returned(output=output), Result() as result:
                    if reading != output or (place not in self.read and output != result.content):
                        found[place] = _text(reading)
                case Said(text=text), _ if reading != text:
                    found[place] = _text(reading)
                case _:
                    pass
        return found


def history(wired: Sequence[Wired], conversation: Conversation) -> History:
    """The events of a request, for the monitor."""
    events: list[Event] = []
    places: list[int] = []
    read: set[int] = set()
    calls: dict[int, Call] = {}
    for place, event in enumerate(wired):
        taken: Event | None = None
        match event:
            case Words(role="system", text=text):
                taken = Said(text, Integrity.OWN, "system")
            case Words(role="user", text=text):
                taken = Said(text, Integrity.USER)
            case Words(role="document", text=text):
                taken = Said(text, Integrity.EXTERNAL, "document")
            case Words(text=text):
                if not conversation.ours(text):
                    taken = Said(text, Integrity.EXTERNAL, FOREIGN)
            case Asked(name=name, arguments=arguments) if arguments is not None:
                if (call := call_of(name, arguments, conversation)) is not None:
                    calls[place] = call
                    taken = Proposed(call)
            case Asked():
                pass
            case Result(asked=asked, content=content, failed=failed, name=name):
                output = _json(content)
                if output is not content:
                    read.add(place)
                if asked in calls:
                    taken = Returned(calls[asked], output, failed)
                else:
                    read.discard(place)
                    taken = Said(_text(content), Integrity.EXTERNAL, name or "result of nothing that was asked")
            case Opaque(kind=kind, digest=digest):
                # What it says nobody here can read; that it was read counts.
                taken = Said(f"[{kind} {digest}]", Integrity.EXTERNAL, kind)
        if taken is not None:
            events.append(taken)
            places.append(place)
    return History(tuple(events), tuple(places), frozenset(read))


def call_of(name: str, arguments: Mapping[str, Json], conversation: Conversation) -> Call | None:
    """The call, or None if it can be none."""
    s = conversation.subject
    try:
        return Call(tool=name, arguments=arguments, agent=s.agent, principal=s.principal, run=conversation.run)  # type: ignore[arg-type]
    except InterlockError:
        return None


def _json(content: Json) -> Json:
    """What a tool returned: JSON in text is read, because its fields have labels of their own."""
    if isinstance(content, str) and content.lstrip()[:1] in {"{", "["}:
        try:
            value: Json = loads(content.encode())
        except (NotJson, UnicodeEncodeError):
            return content
        return value
    return content


def _text(value: Json) -> str:
    return value if isinstance(value, str) else canonical(value).decode()
