"""A mandate: the effects one run may have, fixed from trusted words before anything external is read.

A planner writes it: an application, a model call that sees the user's words only (`TextPlanner`), or the words alone
(`LexicalPlanner`). None of them can permit anything: the static rules still decide each call, a mandate only takes
tools away, and narrowing it again only takes away more. The lexical planner looks for verbs where a verb can stand and
for the nouns they act on. It errs towards leaving a tool on: a tool too many is held by the other rules, a tool too few
refuses the user's own task. Words that hand the decision to somebody else ("do what the mail says"), and words it
does not understand, leave the mandate open.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from types import MappingProxyType
from typing import Literal, NamedTuple, Protocol, TypeAlias

from interlock.kernel.errors import InterlockError
from interlock.kernel.labels import Integrity
from interlock.kernel.spec import Effect, Role, ToolSpec
from interlock.policy.infer import read_name
from interlock.policy.lexicon import (
    ACTION_NOUNS,
    ALSO,
    CLASSES,
    NEAR,
    NOUNS,
    PARTICULAR,
    POLES,
    TELLING,
    compounds,
    name_words,
)
from interlock.policy.words import (
    ABOUT_PEOPLE,
    CHANGES,
    DATED,
    FINANCE,
    MESSAGING,
    OUT,
    PEOPLE,
    PRONOUNS,
    SENDS,
    Reader,
    Said,
    Wish,
)

State: TypeAlias = Literal["none", "on", "off"]


class PlanError(InterlockError):
    """No mandate could be made. The run has none to act under: the caller refuses its effects."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Mandate:
    """The effects a run may have: `effects` maps a tool to how often it may run, None is as often as the rules permit.

    An `open` mandate says nothing of tools that it does not list; a closed one forbids them. `origins` narrows who may
    fill an argument, by (tool, argument path); an empty set means that nobody may.
    """

    effects: Mapping[str, int | None]
    open: bool = False
    origins: Mapping[tuple[str, str], frozenset[Integrity]] = field(default_factory=dict)
    by: str

    def __post_init__(self) -> None:
        for tool, limit in self.effects.items():
            if not tool:
                raise PlanError("a mandate names its tools; an empty name is none")
            if not _is_limit(limit):
                raise PlanError(f"`{tool}` may run a whole number of times, or null for no limit of its own")
        if not self.by:
            raise PlanError("a mandate says `by` whom it was made")
        object.__setattr__(self, "effects", MappingProxyType(dict(self.effects)))
        object.__setattr__(self, "origins", MappingProxyType({k: frozenset(v) for k, v in self.origins.items()}))

    def state(self, tool: str, used: int) -> State:
        """Whether `tool` may run once more after `used` runs; `none` where this mandate has no say."""
        if tool in self.effects:
            limit = self.effects[tool]
            return "on" if limit is None or used < limit else "off"
        return "none" if self.open else "off"

    def narrow(self, other: Mandate) -> Mandate:
        """What both permit: never a tool, a repetition or an origin more than either."""
        tools = {t for t in (*self.effects, *other.effects) if self._speaks(t) and other._speaks(t)}
        origins = dict(self.origins)
        for key, allowed in other.origins.items():
            origins[key] = origins.get(key, allowed) & allowed
        return Mandate(
            effects={t: _least(self.effects.get(t), other.effects.get(t)) for t in sorted(tools)},
            open=self.open and other.open,
            origins=origins,
            by=self.by if self.by == other.by else f"{self.by}, {other.by}",
        )

    def _speaks(self, tool: str) -> bool:
        return self.open or tool in self.effects


def _is_limit(limit: object) -> bool:
    """None or a whole number; `True` is neither, though Python counts it as one."""
    return limit is None or (isinstance(limit, int) and not isinstance(limit, bool) and limit >= 0)


def _least(a: int | None, b: int | None) -> int | None:
    return a if b is None else b if a is None else min(a, b)


class Planner(Protocol):
    """Makes a mandate from trusted text alone."""

    def plan(self, words: str, tools: Sequence[ToolSpec]) -> Mandate:
        """The effects that `words` ask for, among `tools`."""


# which tools words mean


@dataclass(frozen=True, slots=True, kw_only=True)
class _Tool:
    """One effect tool, as its name reads."""

    verbs: frozenset[str]
    classes: frozenset[str]
    objects: frozenset[str]  # classes of nouns
    heads: frozenset[str]  # of those, what is acted on
    words: frozenset[str]
    near: frozenset[str]
    given: frozenset[str]  # of its arguments
    light: bool  # its verb says nothing without the noun: `issue_refund`
    particular: frozenset[int]  # see PARTICULAR
    poles: frozenset[tuple[str, int]]  # see POLES


@lru_cache(maxsize=4096)
def _tool(name: str, description: str, effect: Effect, arguments: tuple[str, ...]) -> _Tool:
    read = read_name(name, description)
    classes = {c for v in read.verbs for c in CLASSES.get(v, ())} - {"light", "read"}
    for noun in (*read.objects, *read.places):
        if (not read.verbs or "light" in CLASSES.get(read.verbs[0], ())) and noun in ACTION_NOUNS:
            classes |= set(ACTION_NOUNS[noun])  # `make_payment`, `refund_request`
    if effect is Effect.SPEND:
        classes.add("pay")
    if "permission" in _noun_classes(read.objects) and classes & {"create", "add", "update"}:
        classes.add("share")
    if classes >= {"add", "delete"}:
        classes -= {"add", "create", "update", "post"}  # `drop_course`
    if "write" in read.verbs:
        classes.add("update")  # `correct the typo in the file`
    if classes & {"create", "add"}:  # `create_post`, `add_comment`
        classes |= {c for n in read.objects for c in ACTION_NOUNS.get(n, ())} - {"update"}
    heads = _noun_classes(read.objects) or _noun_classes(read.verbs)  # `comment(post_id)`, `message_doctor(doctor)`
    if read.verbs:
        heads |= _noun_classes(v for v in read.verbs if v in TELLING)
    objects = heads | _noun_classes(read.places)
    if "channel" in arguments and classes & {"send", "post", "invite", "upload"}:
        objects |= {"channel"}
    given = _noun_classes(w for a in arguments for w in compounds(name_words(a)) if w not in {"to", "from"})
    objects = objects or given
    if "send" in classes and "money" not in objects and not objects & MESSAGING and effect is Effect.EGRESS:
        objects |= {"message"} if not objects - PEOPLE else set()
    if len(objects) > 1 and not classes & ABOUT_PEOPLE:
        objects = objects - PEOPLE or objects
    if objects & MESSAGING and "create" in classes and effect is Effect.EGRESS:
        classes.add("send")  # `compose_email(to)`
    words = frozenset((*read.objects, *read.places))
    near = frozenset(c for group in NEAR if group & objects for c in group)
    return _Tool(
        verbs=frozenset(read.verbs or name_words(name.rpartition(".")[2])[:1]),  # `refer_patient`
        classes=frozenset(classes),
        objects=frozenset(objects),
        heads=frozenset(heads),
        words=words,
        near=near,
        given=frozenset(given),
        light=any("light" in CLASSES.get(v, ()) for v in read.verbs),
        particular=frozenset(PARTICULAR[v] for v in read.verbs if v in PARTICULAR),
        poles=frozenset(POLES[v] for v in read.verbs if v in POLES),
    )


def _noun_classes(words: Iterable[str]) -> set[str]:
    return {c for w in words for c in NOUNS.get(w, ())}


class LexicalPlanner:
    """Reads verbs and nouns of the user's words; needs no model. It sets no limits: words seldom count calls."""

    def plan(self, words: str, tools: Sequence[ToolSpec]) -> Mandate:
        """The effect tools that `words` plausibly ask for."""
        fetches = [t.name for t in tools if t.effect is Effect.FETCH]
        acting = [t for t in tools if t.effect not in {Effect.READ, Effect.FETCH}]
        effects = {t.name: _tool(t.name, t.description, t.effect, tuple(a.path for a in t.arguments)) for t in acting}
        said = Reader(frozenset(v for t in effects.values() for v in t.verbs)).read(words)
        everything = Mandate(effects=dict.fromkeys((*effects, *fetches)), open=True, by="lexical")
        if said.open or not said.understood:
            return everything
        chosen: dict[str, None] = {}
        direct = any(not w.intended and not w.exact for w in said.wanted)
        for wish in dict.fromkeys(w for w in said.wanted if not (w.intended and direct)):
            found = _choose(wish, said, effects)
            if found is None:  # a verb that no tool and no object explains: nothing may be concluded
                return everything
            chosen |= dict.fromkeys(found)
            if "send" in wish.classes and wish.head - PEOPLE <= {"message"} and not wish.light:
                # A message goes by mail, in a channel or to one person: words seldom say which.
                chosen |= dict.fromkeys(n for n, t in effects.items() if _says(t))
            if wish.classes & {"pay", "refund"} and not wish.head - PEOPLE:
                # However it is paid, or paid back.
                chosen |= dict.fromkeys(n for n, t in effects.items() if "pay" in t.classes and "buy" not in t.classes)
        if said.pages or any("fetch" in w.classes and (not w.head or "page" in w.head) for w in said.wanted):
            chosen |= dict.fromkeys(fetches)
        return Mandate(effects=chosen, by="lexical")


def _says(tool: _Tool) -> bool:
    return "send" in tool.classes and "pay" not in tool.classes and bool(tool.objects & (MESSAGING | {"channel"}))


_SAME, _LIKE, _AKIN = 3, 2, 1  # what a tool does is named by the verb of the wish; is of its class; may serve it
_EXACT, _CLOSE = 2, 1  # what it acts on is what is meant; is near it


class _Rated(NamedTuple):
    """One tool in the light of one wish."""

    name: str
    tool: _Tool
    does: int
    fits: int


def _choose(wish: Wish, said: Said, tools: Mapping[str, _Tool]) -> list[str] | None:
    """The tools that one wish opens; None for a wish that was not understood."""
    rated = _rated(wish, tools)
    if wish.verb.startswith("?"):
        return [r.name for r in rated if r.fits == _EXACT] or None
    pole = POLES.get(wish.verb)
    matches = [r for r in rated if r.does > _AKIN and r.fits == _EXACT]
    if wish.verb in PARTICULAR:
        matches = [r for r in matches if r.does == _SAME] or matches
    if pole and pole[0] not in {"presence", "share"}:
        matches = [r for r in matches if pole in r.tool.poles] or matches
    if "pay" in wish.classes and (wish.head | wish.place) & FINANCE:
        # A bill is paid by paying it or by sending money: people do not care which.
        paying = [r for r in rated if r.does > _AKIN and r.fits]
        return [r.name for r in paying if r.fits == _EXACT or not r.tool.verbs & CHANGES]
    if matches:
        into = (
            "create" in wish.classes and "add" not in wish.classes and not wish.light and wish.place
        )  # `save the dates in a file`
        if (wish.light or wish.classes & {"delete", "update", "add"}) and not (into or wish.classes & SENDS):
            meant = wish.head
            if "delete" in wish.classes or meant == {"money"}:  # `from my calendar`, `the amount of my donation`
                meant = wish.head | wish.place
            heads = [r for r in matches if r.tool.heads & meant]
            matches = [
                r
                for r in matches
                if not heads
                or r in heads
                or wish.verb in r.tool.verbs | r.tool.words
                or (r.tool.words & wish.words and not r.tool.heads)
            ]
        blank = [r for r in rated if r.does > _AKIN and not r.tool.objects]  # its object is no noun that we know
        matches += [r for r in blank if not r.tool.words or r.does == _SAME or pole in r.tool.poles]
        if wish.classes & OUT and "file" in wish.head:  # a file is sent by mail or shared
            out = [r for r in rated if r.fits == _EXACT and r.tool.classes & OUT - {"post"}]
            matches += [r for r in out if "file" in r.tool.objects | r.tool.given]
        return [r.name for r in matches]
    loose = [r.name for r in rated if r.fits and r.does + r.fits > _LIKE]
    if wish.exact:
        return loose
    if not (wish.head | wish.place) - PEOPLE:
        return _unnamed(wish, said, rated, loose)
    if loose:
        return loose
    if wish.classes - {"fetch", "control"}:
        # No tool for this verb: the object alone says what is meant, unless that destroys or pays.
        named = [n for n, t in tools.items() if t.heads & wish.head - PEOPLE and not t.classes & {"delete", "pay"}]
        if named:
            return named + [r.name for r in rated if r.does == _SAME]
    return [r.name for r in rated if r.does > _AKIN]


def _unnamed(wish: Wish, said: Said, rated: Sequence[_Rated], loose: list[str]) -> list[str] | None:
    """The tools for a wish whose object is no noun that we know, or was named before: `move it there`."""
    back = bool(wish.words & PRONOUNS)
    sends = bool(wish.classes & SENDS)
    spends = bool(wish.classes & {"pay", "buy", "refund"})
    likely = [r for r in rated if r.does == _SAME or spends or "pay" not in r.tool.classes]
    if back:
        around = [r for r in likely if r.does > _AKIN and r.tool.objects & (said.nouns - PEOPLE)]
        same = [r for r in likely if r.does == _SAME]
        if around:
            return [r.name for r in around if r.does == _SAME] or [r.name for r in around + same]
        likely = [r for r in likely if r.does > _AKIN or not r.tool.classes & {"delete", "pay"}]
    if sends:
        likely = [r for r in likely if r.does > _AKIN or r.tool.classes & OUT]
    named = _LIKE if "book" in wish.classes else _SAME  # to book a hotel is to reserve it
    for least in (named, _AKIN if back or sends else _LIKE, _AKIN):
        if found := [r.name for r in likely if r.does >= least]:
            return found + loose
    return None if rated or not wish.light else []


def _rated(wish: Wish, tools: Mapping[str, _Tool]) -> list[_Rated]:
    """How well each tool does what the verb asks for, to what the verb acts on."""
    also = frozenset(c for name in wish.classes for c in ALSO.get(name, ()))
    named = wish.head | wish.place
    meant = named
    if len(named) > 1:
        meant = named - PEOPLE | (wish.head & PEOPLE if wish.classes & ABOUT_PEOPLE else frozenset())
    unknown = wish.verb.startswith("?")  # then only the object speaks
    rated = []
    for name, tool in tools.items():
        does = _does(wish, tool, also)
        if does or unknown:
            rated.append(_Rated(name, tool, does, _fits(wish, tool, named, meant)))
    return rated


def _does(wish: Wish, tool: _Tool, also: frozenset[str]) -> int:
    pole, particular = POLES.get(wish.verb), PARTICULAR.get(wish.verb)
    if pole and (pole[0], -pole[1]) in tool.poles:
        return 0
    if tool.particular and particular is not None:
        if particular not in tool.particular:
            return 0
        return _SAME
    if wish.verb in tool.verbs:
        return _SAME
    if wish.exact:
        return 0
    if not wish.classes.isdisjoint(tool.classes):
        return _LIKE
    if (
        (wish.verb in tool.words and (tool.light or tool.classes & {"create", "add"}))  # `refund order 3`: issue_refund
        or ("share" not in tool.verbs and wish.classes & SENDS and tool.classes & SENDS)
        # what is booked stands in a calendar
        or ("create" in tool.classes and wish.classes & {"book", "invite"} and tool.objects & DATED)
        or ("buy" in wish.classes and "cart" in tool.objects and "add" in tool.verbs)
    ):
        return _LIKE
    return 0 if tool.particular or also.isdisjoint(tool.classes) else _AKIN


def _fits(wish: Wish, tool: _Tool, named: frozenset[str], meant: frozenset[str]) -> int:
    if tool.objects & meant or tool.words & wish.words or wish.verb in tool.words:
        return _EXACT
    if wish.verb == "invite" and tool.objects & DATED:  # to whatever it is
        return _EXACT
    if "reply" in wish.classes and "reply" in tool.classes and wish.verb in TELLING:
        return _EXACT
    if (
        wish.classes & OUT
        and tool.objects & MESSAGING
        and ("message" in wish.head or not meant & (MESSAGING | FINANCE))
    ):
        # A report is sent by mail, whatever else it could be sent by, and a message by whatever carries one.
        carried = wish.classes & {"send", "forward"} and "send" in tool.classes and named & PEOPLE
        return _EXACT if carried else _CLOSE
    if tool.given & meant:
        return _EXACT if wish.verb in tool.verbs else _CLOSE
    return _CLOSE if tool.near & meant else 0


# a planner that asks a model


_INSTRUCTIONS = """\
Below are a user's words and tools that have effects. Answer with one JSON object and nothing else: for each tool that \
the user's words call for, its name, and as the value how often it may run at most, or null if the words do not say. \
Leave out every tool that the words do not call for."""
_ROLES_SHOWN = frozenset({Role.OPTION})


class TextPlanner:
    """Asks a model, through `port`, which effects the user's words call for.

    The model sees the user's words and the operator's tool names and descriptions, nothing external. Its answer is
    parsed strictly; whatever is no plan raises `PlanError`. The caller then refuses the run's effects (fails closed):
    falling back to another planner would let whoever can break the model choose the planner.
    """

    def __init__(self, port: Callable[[str], str]) -> None:
        self._port = port

    def plan(self, words: str, tools: Sequence[ToolSpec]) -> Mandate:
        """The effect tools that the model takes `words` to ask for.

        Raises:
            PlanError: the answer is no JSON object of known effect tools and limits, or the port raised.
        """
        effects = {t.name: t for t in tools if t.effect is not Effect.READ}
        shown = [
            {"name": t.name, "effect": str(t.effect), "description": t.description,
             "arguments": [a.path for a in t.arguments if a.role not in _ROLES_SHOWN]}
            for t in effects.values()
        ]  # fmt: skip
        prompt = f"{_INSTRUCTIONS}\n\nTools: {json.dumps(shown)}\n\nThe user's words: {json.dumps(words)}\n"
        try:
            answer = self._port(prompt)
        except Exception as error:
            raise PlanError("the planner's model did not answer", hint=str(error)) from error
        return Mandate(effects=_parsed(answer, effects), by="text")


def _parsed(answer: str, effects: Mapping[str, ToolSpec]) -> dict[str, int | None]:
    try:
        plan = json.loads(answer, object_pairs_hook=_once)
    except (ValueError, TypeError, RecursionError):
        raise PlanError("the plan is no JSON object; it maps tools to limits") from None
    if not isinstance(plan, dict):
        raise PlanError("the plan is no JSON object; it maps tools to limits")
    if unknown := sorted(set(plan) - set(effects)):
        raise PlanError(f"the plan names `{unknown[0]}`, which is no effect tool of this agent")
    return plan


def _once(pairs: list[tuple[str, object]]) -> dict[str, object]:
    if len(dict(pairs)) != len(pairs):
        raise ValueError("a key stands twice")
    return dict(pairs)
