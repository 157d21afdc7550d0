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
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from operator import is_
from threading import Lock
from typing import Protocol, TypeVar

from interlock.gateway.auth import Subject
from interlock.kernel.call import Call, Json, canonical
from interlock.kernel.errors import InterlockError
from interlock.kernel.labels import Integrity
from interlock.monitor.history import Event, Proposed, Returned, Said, digest_of_parts
from interlock.monitor.mediate import INVALID, REFUSED
from interlock.monitor.recent import Recent, Room
from interlock.wire.errors import NotJson
from interlock.wire.events import Asked, Opaque, Result, Words
from interlock.wire.events import Event as Wired
from interlock.wire.strict import loads

REMEMBERED = 8_192  # marks in memory; the store has the others
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


K = TypeVar("K")


@dataclass(frozen=True, slots=True)
class Mark:
    """A run that let something out, and whether it had read anything external by then."""

    run: str
    external: bool


class MarkStore(Protocol):
    """Keeps marks where other workers find them, and this one after a restart."""

    def of(self, conversations: Sequence[str]) -> Mapping[str, Sequence[Mapping[str, Json]]]:
        """The facts of each of these that has any, in the order in which they were added."""
        ...

    def add_all(self, facts: Sequence[tuple[str, str, Mapping[str, Json]]]) -> None:
        """Keep facts, each under a conversation and a key."""
        ...


class Marks:
    """Which runs let out an answer.

    They count here at once. `save` brings them to the store: before the client has all of the answer if other workers
    may get its next request (`shared`), else now and then. A mark that is lost makes an answer somebody else's.
    """

    def __init__(self, store: MarkStore, *, shared: bool) -> None:
        self._store = store
        self.shared = shared
        self.due = False  # somebody will save them
        self._known: OrderedDict[str, tuple[Mark, ...]] = OrderedDict()
        self._foreign: OrderedDict[tuple[str, str], None] = OrderedDict()
        self._absent: OrderedDict[str, None] = OrderedDict()  # marks that nobody has left, where nobody else could
        self._unsaved: list[tuple[str, str, Mapping[str, Json]]] = []
        self._lock = Lock()  # of what is not saved, and of the order in which marks are forgotten

    def of(self, marks: Sequence[str], *, anew: bool = False) -> dict[str, tuple[Mark, ...]]:
        """Who let each of them out, the latest last; `anew` asks for what other workers may have added."""
        found = {mark: self._known.get(mark, ()) for mark in marks}
        asked = [m for m, known in found.items() if (anew and self.shared) or not (known or m in self._absent)]
        if asked:
            try:
                told = self._store.of([f"mark:{mark}" for mark in asked])
            except Exception:  # noqa: BLE001 - a port: an unknown answer is external
                return found
            for mark in asked:
                if facts := told.get(f"mark:{mark}"):
                    stored = [Mark(str(fact["run"]), fact["external"] is not False) for fact in facts]
                    found[mark] = tuple(dict.fromkeys((*stored, *found[mark])))
                    self._put(mark, found[mark])
                elif not self.shared:
                    self._remember(self._absent, mark)
        return found

    def by(self, marks: Sequence[str], run: str) -> set[str]:
        """Those that `run` has let out. What it has once read as somebody else's stays so: its taint does, too."""
        asked = [mark for mark in marks if (mark, run) not in self._foreign]
        found: set[str] = set()
        for anew in (False, True):
            left = [mark for mark in asked if mark not in found]
            if left:
                found |= {mark for mark, known in self.of(left, anew=anew).items() if any(run == m.run for m in known)}
        for mark in asked:
            if mark not in found:
                self._remember(self._foreign, (mark, run))
        return found

    def add(self, marks: Iterable[str], run: str, *, external: bool) -> None:
        """`run` has let them out."""
        new = Mark(run, external)
        for mark in marks:
            before = self._known.get(mark, ())
            if new not in before:
                self._put(mark, (*before, new))
                fact: Mapping[str, Json] = {"run": run, "external": external}
                with self._lock:
                    self._unsaved.append((f"mark:{mark}", f"{run}:{external:d}", fact))

    def save(self) -> None:
        """Bring the new ones to the store."""
        self.due = False
        with self._lock:
            facts, self._unsaved = self._unsaved, []
        if facts:
            try:
                self._store.add_all(facts)
            except Exception:  # noqa: BLE001 - a port: other workers will take the answer for somebody else's
                return

    def _remember(self, what: OrderedDict[K, None], key: K) -> None:
        with self._lock:
            what[key] = None
            while len(what) > REMEMBERED:
                what.popitem(last=False)

    def _put(self, mark: str, marks: tuple[Mark, ...]) -> None:
        with self._lock:
            self._absent.pop(mark, None)
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
        marks = [_call_mark(self.subject, call) for call in calls if call]
        plain = map(_plain, (*texts, REFUSED) if refused else texts)
        marks += [_text_mark(self.family, text) for text in plain if text]
        self.marks.add(marks, self.run, external=external)

    def ours(self, texts: Sequence[str]) -> list[bool]:
        """Whether this run let each of `texts` out."""
        marks = [_text_mark(self.family, plain) if (plain := _plain(text)) else "" for text in texts]
        found = self.marks.by([mark for mark in marks if mark], self.run)
        return [not mark or mark in found for mark in marks]

    def come_again(self) -> None:
        """A call waits for a human: the same request, sent again, is the same run, to which the approval belongs."""
        if self.opening:
            self.marks.add([self.opening], self.run, external=True)
            self.marks.save()


def conversation(events: Sequence[Wired], subject: Subject, named: str, marks: Marks, fresh: str) -> Conversation:
    """The conversation of a request whose client calls it `named`, or nothing; `fresh` is the id of a new one."""
    who = [subject.agent, subject.key, subject.principal]
    # Not of the operator's words: they often tell the time.
    first = next((e.text for e in events if isinstance(e, Words) and e.role in {"user", "document"}), "")
    family = digest_of_parts(*who, first)
    opening = ""
    if named:
        run = f"{named}-{digest_of_parts(*who, named)[:32]}"
    elif any(_answer(e) for e in events):
        run = next(_known(events, subject, family, marks), f"unseen-{family[:32]}")
    else:
        words = [part for e in events if isinstance(e, Words) for part in (e.role, e.text)]
        opening = digest_of_parts("opening", family, *words)
        again = marks.of([opening], anew=True)[opening]
        run = again[-1].run if again else fresh
    return Conversation(run=run, subject=subject, family=family, opening=opening, marks=marks)


def _answer(event: Wired) -> bool:
    return isinstance(event, Asked) or (isinstance(event, Words) and event.role == "assistant")


def _known(events: Sequence[Wired], subject: Subject, family: str, marks: Marks) -> Iterator[str]:
    """Runs whose marks the history bears: calls first, whose ids are unique; the latest first.

    Two runs may have said the same. Then it is one that had read something external, if there is such a one: a history
    from which the results were cut must not pass for another that had none.
    """
    calls = [e.id for e in reversed(events) if isinstance(e, Asked) and e.id]
    for some in (calls[:1], calls[1:]):  # mostly the last one is known; all others are asked for at once
        found = marks.of([_call_mark(subject, call) for call in some])
        yield from (m.run for known in found.values() for m in known[-1:])
    said = [_plain(e.text) for e in reversed(events) if isinstance(e, Words) and e.role == "assistant"]
    texts = [plain for plain in said if plain]
    for some in (texts[:1], texts[1:]):
        found = marks.of([_text_mark(family, text) for text in some], anew=True)
        yield from (m.run for known in found.values() for m in [m for m in known if m.external][-1:] or known[-1:])


def _call_mark(subject: Subject, call: str) -> str:
    return digest_of_parts("call", subject.agent, subject.key, subject.principal, call)


def _text_mark(family: str, plain: str) -> str:
    return digest_of_parts("text", family, plain)


def _plain(text: str) -> str:
    """`text` without what we may have added, and without the blanks at its ends, which clients trim."""
    rest = _OURS.sub("", text).strip()
    return rest or (_NOTHING if text.strip() else "")


@dataclass(frozen=True, slots=True, kw_only=True)
class History:
    """A request's events as the monitor takes them, each with its place among the wire's."""

    wired: tuple[Wired, ...]  # the events as they came
    events: tuple[Event, ...]
    places: tuple[int, ...]  # index in the wire's events
    read: frozenset[int]  # places of events that were taken for JSON, although the wire has text
    calls: Mapping[int, Call]  # by place

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


NOTHING = History(wired=(), events=(), places=(), read=frozenset(), calls={})


class Histories:
    """What the events of a request mean to the monitor. Those that stood in the run's last request mean the same."""

    def __init__(self, room: Room) -> None:
        """Remember the last histories of those runs for which there is `room`."""
        self._last: Recent[str, tuple[History, int]] = Recent(
            room, "history", lambda entry: entry[1] + 500 * len(entry[0].events) + 1_000
        )

    def of(self, wired: tuple[Wired, ...], conversation: Conversation, size: int) -> History:
        """The history of a request of `size` bytes."""
        known = self._last.get(conversation.run)
        last = known[0] if known is not None else NOTHING
        if len(last.wired) > len(wired) or not all(map(is_, last.wired, wired)):
            last = NOTHING
        found = _history(wired, conversation, last)
        self._last.put(conversation.run, (found, size))
        return found


def _history(wired: tuple[Wired, ...], conversation: Conversation, last: History) -> History:
    """The events of a request that goes on from `last`, for the monitor."""
    events, places, read, calls = [*last.events], [*last.places], {*last.read}, {**last.calls}
    new = wired[len(last.wired) :]
    answers = [event.text for event in new if isinstance(event, Words) and event.role == "assistant"]
    ours = iter(conversation.ours(answers))
    for place, event in enumerate(new, len(last.wired)):
        taken: Event | None = None
        match event:
            case Words(role="system", text=text):
                taken = Said(text, Integrity.OWN, "system")
            case Words(role="user", text=text):
                taken = Said(text, Integrity.USER)
            case Words(role="document", text=text):
                taken = Said(text, Integrity.EXTERNAL, "document")
            case Words(text=text):
                if not next(ours):
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
    return History(wired=wired, events=tuple(events), places=tuple(places), read=frozenset(read), calls=calls)


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
