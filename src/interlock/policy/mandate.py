"""A mandate: the effects one run may have, fixed from trusted words before anything external is read.

A planner writes it: an application, a model call that sees the user's words only (`TextPlanner`), or the words alone
(`LexicalPlanner`). None of them can permit anything: the static rules still decide each call, a mandate only takes
tools away, and narrowing it again only takes away more. The lexical planner looks for verbs where a verb can stand and
for the nouns they act on. It errs towards leaving a tool on: a tool too many is held by the other rules, a tool too few
refuses the user's own task. Words that hand the decision to somebody else ("do what the mail says"), and words it
does not understand, leave the mandate open.
"""

# ruff: noqa: E501 - patterns and word lists are easier to check on one line
from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import lru_cache
from types import MappingProxyType
from typing import Literal, Protocol, TypeAlias

from interlock.kernel.errors import InterlockError
from interlock.kernel.labels import Integrity
from interlock.kernel.spec import Effect, Role, ToolSpec
from interlock.policy.infer import read_name
from interlock.policy.lexicon import (
    ACTION_NOUNS,
    AMBIGUOUS,
    CLASSES,
    LIGHT,
    NEAR,
    NOUNS,
    PHRASAL,
    TELLING,
    Verb,
    compounds,
    folded,
    name_words,
    singular,
    verb_of,
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


# what the words say

_TOKEN = re.compile(
    r"""
      (?P<url>\b(?:https?://|www\.)[^\s"'<>)]+)
    | (?P<mail>[\w.+-]+@[\w-]+(?:\.[\w-]+)+)
    | (?P<host>\b(?:[\w-]+\.)+(?:com|org|net|io|dev|app|ai|uk|de|fr|eu|info|edu|gov|example|test)\b(?:/[^\s"'<>)]*)?)
    | (?P<money>[$€£]\s?\d[\d.,]*|\b\d[\d.,]*\s?(?:[$€£]|(?:euros?|dollars?|pounds?|eur|usd|gbp|chf|bucks|francs?)\b))
    | (?P<quote>"[^"\n]{0,400}"|(?<!\w)'[^'\n]{1,200}'(?!\w))
    | (?P<file>\b[\w-]+\.[A-Za-z][A-Za-z0-9]{1,4}\b)
    | (?P<at>[@\#][\w-]+)
    | (?P<number>\d(?:[\w.,:/-]*\w)?)
    | (?P<word>[^\W\d]+(?:['-][^\W\d]+)*)
    | (?P<end>[.?!;\n]+)
    | (?P<stop>[,:()]|-{1,2}|[–—])
    """,
    re.VERBOSE,
)
_ABBREVIATED = re.compile(
    r"\b(dr|mr|mrs|ms|prof|st|no|vs|approx|inc|ltd|jr|sr|etc|[ap]\.m|e\.g|i\.e)\.(?=\s)", re.IGNORECASE
)
_KINDS_OF_OBJECTS = {"url": "page", "host": "page", "mail": "person", "money": "money", "file": "file"}


def _set(text: str) -> frozenset[str]:
    return frozenset(text.split())


_DETERMINERS = _set(
    "the a an my your our his her their its this that these those each every all any some no another last next latest "
    "new old first second other previous current recent upcoming own same both such most more which what whose"
)
_OBJECT_STARTS = _set(
    "the a an my your our his her their its this that these those each every all any some it them him me us another "
    "everyone everybody something anything everything two three one both whatever up down out new off to"
)
_PREPOSITIONS = _set(
    "of in on under about from for with by at into per via as onto during after before since under over within"
)
_TOPICS = _set("about regarding concerning re that because since saying asking telling stating titled called named with "
               "who whose which mentioning explaining when while if unless after before until than like")  # fmt: skip
_SUBJECTS = _set("i we they he she it people who which")
_FILLERS = _set(
    "please also then and but so ok okay hi hello hey thanks now first firstly secondly finally next well just kindly "
    "lastly afterwards otherwise therefore maybe perhaps additionally furthermore after that or plus besides if not yes "
    "quickly immediately still already again always automatically dear team assistant there simply only directly"
)
_WH = _set("what who whom whose which when where why how what's who's where's when's how's whats")
_AUX = _set("is are was were am does did has had isn't aren't wasn't doesn't didn't hasn't haven't do have")
_MODALS = _set("can could would will should may might shall must can't couldn't won't wouldn't")
_CAUSES = _set(
    "have get want need needs wants like be gets getting having wanted ensure must should prefer love being see"
)
_NOT = _set("don't not never without dont cannot rather instead avoid stop refrain doesn't shouldn't mustn't won't nor")
_GERUND_AFTER = _set("before mind start try consider by and then finish keep about appreciate suggest after me you of for")
_HERE = _set("there here back with in at that on to")
_INTENDS = _set("looking planning hoping thinking intending going wishing aiming about")  # … to do it, some day
_GATHERS = _set("find find_out look look_up search get gather collect check research retrieve give give_me show")
_INFORMS = _set("information info detail details research")
_BREAKS = _set("and then but or plus also")
_NOUNISH_NEXT = _set(
    "is was were are has had from about history status of details number confirmation address info balance name id "
    "count list said says titled"
)
_BEFORE_TO = _set(
    "want need like have has going love able you please try wish remember forget ask asked possible going supposed how "
    "ready prefer hope plan planning order him her them me us due wants needs like way time sure chance happy glad ought"
)
_LOOKING = _set("search look find check read see view look_up show get list know help tell_me show_me")
_INFORMATION = _set(
    "summary overview list status detail info information number name weather price balance forecast statistic total "
    "count date time reason history result answer translation definition explanation comparison recommendation tip idea"
)
_PAGE_WORDS = _set("online internet google research wikipedia web")
_POLES: Mapping[str, tuple[str, int]] = {
    verb: (axis, sign)
    for axis, plus, minus in (
        ("power", "turn_on switch_on enable activate start play resume put_on unmute",
         "turn_off switch_off shut_off disable deactivate stop pause shut_down mute cut_off kill cut"),
        ("door", "lock close shut", "unlock open"),
        ("alarm", "arm", "disarm"),
        ("answer", "approve accept grant agree confirm okay ok sign_off allow authorize authorise endorse",
         "reject decline deny refuse turn_down veto dismiss"),
        ("follow", "follow subscribe like", "unfollow unsubscribe unlike"),
        ("block", "block ban freeze", "unblock unban unfreeze"),
        ("presence", "add invite create book reserve", "remove kick delete cancel call_off scrap kick_out uninvite terminate"),
        ("share", "share publish", "unshare unpublish revoke"),
    )
    for verbs, sign in ((plus, 1), (minus, -1))
    for verb in verbs.split()
}  # fmt: skip

# What a request of one class also needs tools of another class for; only where the object fits.
_ALSO: Mapping[str, frozenset[str]] = {
    "send": _set("reply forward post share pay refund invite upload respond request"),
    "reply": _set("send post"),
    "forward": _set("send share"),
    "create": _set("add book post send share upload request update execute like"),
    "add": _set("update share invite book create post"),
    "update": _set("add create control auth pay share request respond"),
    "delete": _set("update control respond"),
    "share": _set("send invite post upload update"),
    "invite": _set("share add create update send book"),
    "pay": _set("create update book request refund"),
    "buy": _set("pay add book create request"),
    "refund": _set("pay request"),
    "book": _set("create buy add request invite"),
    "post": _set("send create upload share add"),
    "upload": _set("post create share send add"),
    "execute": _set("control create update post"),
    "control": _set("update execute delete"),
    "auth": _set("update create"),
    "respond": _set("update send"),
    "like": _set("post create"),
    "request": _set("create book send buy"),
}
# Verbs that do one particular thing. A wish for one of them opens no tool for another, and no tool for one of them is
# opened by a wish that merely resembles it.
_PARTICULAR: Mapping[str, int] = {
    verb: n
    for n, verbs in enumerate(
        (
            "restart reboot bounce cycle relaunch", "deploy ship release roll_out redeploy launch promote",
            "rollback roll_back revert undo restore back_out", "scale scale_up scale_down resize bump",
            "run execute invoke trigger eval rerun", "escalate", "archive", "export download back_up backup",
            "reschedule postpone move rename delay push_back bring_forward put_off shift rebook shorten extend",
            "rotate renew", "merge", "close resolve finish complete close_down",
            "kick ban kick_out", "return send_back", "assign reassign", "copy duplicate clone", "zip zip_up compress pack", "import", "snooze", "migrate",
        )
    )
    for verb in verbs.split()
}  # fmt: skip
_CHANGES = _set("update change edit modify set adjust")
_SOFT = _set("read light control")  # classes that a verb used as a noun does not ask for: `give it a look`
_FINANCE = _set("money payment bill refund balance account")
_DATED = _set("event reminder interview booking")
_OUT = _set("send reply forward post share upload")
_PRONOUNS = _set("it them this that these those there one ones")
_SENDS = _set("send post")
_MESSAGING = _set("email message dm letter")
_PEOPLE = _set("person employee")
_ABOUT_PEOPLE = _set("invite add delete share like")

_IDIOMS: tuple[tuple[str, re.Pattern[str], str], ...] = tuple(
    (trigger, re.compile(pattern, re.IGNORECASE), instead)
    for trigger, pattern, instead in (
        ("let", r"\blet (?:me|us) know\b", "tell_me"),
        ("let", r"\blet go of\b", "dismiss"),
        ("let", r"\blet ((?:[^\s,.]+ ){1,3}?)go\b", r"dismiss \1"),
        ("let", r"\blet ((?:[^\s,.]+ ){1,5}?)know\b", r"inform \1"),
        ("forget", r"\bdon'?t let (?:me|us) forget(?: to)?\b", "create a reminder that"),
        ("forget", r"\b(?:do not|don'?t|never) forget(?: to| about)?\b", "please"),
        ("remind", r"\bremind (?:me|us|myself)\b", "create a reminder that"),
        ("fail", r"\b(?:do not|don'?t) (?:fail|hesitate|neglect) to\b", "please"),
        ("favo", r"\bdo me a favou?r\b(?: and)?", "please"),
        ("tell", r"\b(?:tell|post|announce|say|shout) (?:it )?(?:to )?(?:the (?:whole )?world|(?:my|our) (?:followers|fans)|the internet)\b", "publish a post"),
        ("me", r"\b(?:tell|brief|show|give|read|walk|remind) me (?:about|what|who|when|where|which|how|whether|if|why|through)\b", "tell_me what"),
        ("give", r"\bgive (?:me|us)\b(?! (?:a )?(?:call|reminder|ring|lift|ride|refund|access|permission|rights|credit|discount|new password|password))", "tell_me"),
        ("tell me", r"\btell me\b", "tell_me"),
        ("show me", r"\bshow me\b", "show_me"),
        ("get", r"\bget (?:me|us|him|her|them) on(?:to)?\b", "book a flight or train for"),
        ("", r"\b(?:make|making)((?: [^\s,.]+){1,6}?) (?:(?:larg|small|bigg|short|long|warm|cool|cold|hott|loud|quiet|bright|dark|dimm|fast|slow|high|low|earli|lat)er|(?:more|less) \w+)\b", r"adjust \1"),
        ("make", r"\b(?:make|making)((?: [^\s,.]+){1,6}?) (?:visible|readable|accessible|available|editable|viewable|public)\b", r"share \1"),
        ("moved", r"\b(?:i|we)(?:'ve| have)? (?:just |recently )?moved\b(?= (?:house|home|flat|to)\b)", "update my address, I moved"),
        ("get rid", r"\bget(?:ting)? rid of\b", "remove"),
        ("up to date", r"\bbring (.{1,60}?) up to date\b", r"update \1"),
        ("", r"\b(?:drop|shoot|send|write|leave)((?: [^\s,.]+){1,4}?) an? (?:quick |short |brief |little )?(?:line|note|message|text|email|mail|dm)\b", r"message \1"),
        ("heads", r"\bgive((?: [^\s,.]+){1,4}?) an? (?:quick )?heads[- ]?up\b", r"inform \1"),
        ("shout", r"\bgive((?: [^\s,.]+){1,4}?) an? (?:quick )?shout\b", r"inform \1"),
        ("loop", r"\b(?:loop|keep)((?: [^\s,.]+){1,4}?) in(?: the loop)?\b", r"inform \1"),
        ("posted", r"\bkeep((?: [^\s,.]+){1,4}?) (?:posted|informed|updated)\b", r"inform \1"),
        ("wish", r"\bwish((?: [^\s,.]+){1,3}?) (?:a )?(?:happy|merry|good|all)\b", r"message \1"),
        ("say", r"\bsay (?:yes|ok|okay) to\b", "approve"),
        ("say", r"\bsay no to\b", "decline"),
        ("e-", r"\be-mail", "email"),
        ("get", r"\b(?:get|take|kick|throw|chuck|boot)((?: [^\s,.]+){1,4}?) out of\b", r"remove \1 from"),
        ("get", r"\bget((?: [^\s,.]+){1,4}?) in for\b", r"book \1 for"),
        ("want", r"\bi (?:don'?t|no longer|do not) want\b(?! (?:you|to (?:miss|forget|lose))\b)", "please cancel"),
        ("", r"\bgive\b((?: [^\s,.]+){1,6}?) (?:an? )?(?:\S+ )?(?:points?|stars?|marks?|grade|rating|thumbs[- ]up)\b", r"rate \1 with a rating"),
        ("", r"\b(?:do|wo|did|does|ca|is|are|should)nt\b|\bdont\b", "don't"),
        ("", r"\b(?:pls|plz|plese|pleas|pleaze)\b", "please"),
        ("say", r"\bsay (?:hi|hello|thanks|thank you|sorry|goodbye|welcome)\b(?: to)?", "message"),
        ("", r"\b(?:move|send|put)((?: [^\s,.]+){1,6}?) (?:in|into|to) (?:the |my )?(?:trash|bin|recycle bin)\b", r"delete \1"),
        ("make", r"\bmake((?: [^\s,.]+){1,2}?) (?:an? |the )?(?:(?:co-?)?owner|admin\w*|moderator|mod|editor|viewer|manager|lead|maintainer)\b", r"grant \1 the role"),
        ("off", r"\b(?:book|take|have|get|need|want)((?: [^\s,.]+){0,4}? (?:\w+day|days?|weeks?|morning|afternoon|tomorrow|\d+\w*)) off\b", r"request leave \1"),
        ("into", r"\b(?:turn|convert|make|transform)((?: [^\s,.]+){1,6}?) into\b", "create"),
        ("calendar", r"\b(?:put|add|get|pop|stick|pencil|enter|place|save|block|throw|mark|note)\b((?:[^.?!\n]|\.\d){0,120}?)\b(?:on|in|into|to|onto) (?:my|our|the|his|her|their|\w+'s) (?:\w+ )?calendars?\b", r"create event \1"),
        ("diary", r"\b(?:put|add|pencil|enter|note)\b([^.?!\n]{0,120}?)\b(?:on|in|into|to) (?:my|our|the) diary\b", r"create event \1"),
        ("block", r"\bblock (?:off |out )?((?:\S+ ){0,4}?(?:hours?|minutes?|time|morning|afternoon|evening|day|slot)s?)\b", r"create event \1"),
        ("put in for", r"\bput in for\b", "request"),
        ("on file", r"\b(?:put|place) (.{1,60}?) on file\b", r"save \1"),
        ("back", r"\b(?:send|ship|give|bring|take|post) ((?:[^\s,.]+ ){0,3}?)back\b(?! to me)", r"return \1"),
        ("back", r"\b(?:have|get|want)((?: [^\s,.]+){1,4}?) back\b(?! (?:to|in|on|from)\b)", r", please return \1"),
        ("sure", r"\b(?:be|make|making) (?:sure|certain)\b", "ensure"),
        ("see to it", r"\bsee to it\b", "ensure"),
        ("ensure", r"\bensure(?: that)? ((?:[^\s,.]+ ){1,6}?)(?:gets|receives|knows|hears|sees|(?:is|are) (?:informed|told|notified|aware)|get|receive|know|hear|finds out|learns)\b", r"send \1"),
        ("ensure", r"\bensure(?: that)? ((?:[^\s,.]+ ){1,6}?)(?:is|are) (?:turned |switched )?(on|off)\b", r"turn_\2 \1"),
        ("ensure", r"\bensure (?:that |to )?(?:you )?", "ensure "),
    )
)  # fmt: skip

# The user hands the decision to somebody else's words, or to nobody's.
_DELEGATES = re.compile(
    r"""
      \b(?:do|execute|perform|carry\ out|apply|make|give\s\w+|send|pay|follow)\s+
        (?:exactly\s+|just\s+|all\s+of\s+|all\s+|everything\s+|anything\s+)?
        (?:what(?:ever|soever)?|everything|anything|all|as)\b
        .{0,60}?\b(?:says?|said|asks?|asked|wants?|wanted|requests?|requested|requires?|required|instructs?|instructed|tells?|told|
        needs?|needed|necessary|written|describes?|described|lists?|listed|states?|stated|specif\w+|suggests?|suggested|recommends?|
        demands?|mentions?|mentioned|tasks?|in\ there|in\ it|on\ it)\b
    | \bfollow\w*\s+(?:(?!up\b)[^\s.?!]+\s+){0,6}?(?:instructions?|steps?|directions?|guide(?:lines)?|procedures?|checklists?|recipes?|
        runbooks?|playbooks?|advice|orders|plan|manual|recommendations?|tutorial|how-?to|readme|protocol)\b
    | \b(?:carry\ out|execute|complete|perform|do|finish|work\ (?:through|on|off)|go\ through|handle|process|tackle|implement|address|
        act\ on|take\ care\ of|fulfil\w*|resolve|get\ through|run\ through|knock\ out|clear)\s+
        (?:(?:all|the|every|my|our|any|each|everything|of|these|those|his|her|their|open|pending|remaining|whatever|what's|outstanding|
        oldest|next|latest|first|assigned|following|single|is|are|on|in|new|unread|top)\s+){0,6}
        (?:tasks?|to-?do(?:s|\ list|\ items?)?|todos?|action\ items?|actions?|commands?|orders|requests?|instructions?|items?|steps?|chores?|errands?|asks?|
        list|assignments?|backlog|queue|requirements?)\b(?!\s+(?:called|named|titled|for)\b)
    | \b(?:go|work|run)\s+through\s+(?:\S+\s+){0,4}?(?:checklists?|instructions?|steps|runbooks?|playbooks?|to-?dos?)\b
    | \b(?:complete|do|finish|handle|perform|execute|carry\ out|work\ off)\s+(?:them|these|those|each|all)\b
    | \btake\s+care\s+of\b | \bdeal\s+with\b | \bsee\s+to\b(?!\s+it) | \bact\s+(?:on|upon|accordingly)\b
    | \b(?:handle|manage|triage|sort\ out|look\ after|attend\ to|process|action)\s+(?:it|this|that|them|everything|all|my|the|our|any|each|every|
        anything|whatever|these|those|his|her|their|oldest)\b
    | \b(?:work|go|run)\s+(?:through|off)\s+(?:my|the|our|all|every)\b.{0,60}\band\s+(?:do|act|take|handle|react|respond|reply|sort)\b
    | \b(?:take|do)\s+(?:all\s+|the\s+|any\s+|whatever\s+)*(?:necessary|appropriate|required|needed|needful|suitable|right)\b
    | \b(?:whatever|what)\s+(?:else\s+)?(?:is|it)\s+(?:needed|necessary|required|takes)\b
    | \bwhatever\s+(?:\w+\s+){1,3}(?:says?|asks?|wants?|needs?|requires?|tells?|requests?|suggests?)\b
    | \bas\s+(?:instructed|requested|described|asked|told|explained|specified|outlined|suggested|recommended|directed)\s+(?:in|by|on|there|at)\b
    | \baccording\s+to\s+(?:(?:the|her|his|their|its|all)\s+)?(?:instructions?|steps|directions|procedure|guide|runbook|checklist|plan|readme)\b
    | \b(?:make|apply|implement)\s+(?:(?:all|the|those|these|any|his|her|their|its)\s+){0,3}(?:requested|suggested|necessary|needed|required|recommended|
        proposed)\b
    | \b(?:make|apply|implement)\s+(?:all\s+)?(?:the\s+)?(?:changes|edits|fixes|suggestions|corrections)\s+(?:that|which|as|from|in|she|he|they|
        requested|suggested|proposed|listed|described)\b
    | \buse\s+your\s+(?:own\s+|best\s+)*judge?ment\b | \bmake\s+it\s+happen\b | \bdo\s+your\s+thing\b | \bsort\s+(?:it|this|that|everything)\s+out\b
    | \b(?:do|get)\s+(?:it|that|this|so|them|everything)\s*(?:all\s+)?(?:done|for\s+me)?\s*(?:$|[.!,;])
    | \b(?:comply|go\s+along)\s+with\b | \bgrant\s+(?:\w+\s+){0,4}(?:wish|wishes)\b
    | \b(?:react|respond)\s+(?:to\s+\w+\s+)?(?:accordingly|appropriately|as\s+needed)\b
    | \b(?:do|execute|run)\s+(?:the\s+)?(?:things?|stuff|work|jobs?)\s+(?:listed|described|written|mentioned|in|on|from)\b
    """,
    re.VERBOSE,
)
# What is handed over stands right here, in the user's own words: nothing is delegated.
_INLINE = re.compile(
    r"\b(?:the|these|this)\s+following\b|\bfollowing\s+(?:tasks?|steps?|actions?|instructions?|things|items?|requests?)\b"
    r"|\bbelow\b|\bas\s+follows\b|\bin\s+(?:the|this)\s+(?:given\s+|following\s+|same\s+)?order\b"
)
_REQUEST = re.compile(
    r"\b(?:can|could|would|will|can't|couldn't|won't)\s+(?:you|we|u|someone|somebody|it\s+be\s+possible)\b"
    r"|\b(?:can|could|may)\s+i\s+(?:please\s+)?(?:get|have|ask|book|order|cancel|return|change|request|reserve|pay|buy|add|move|"
    r"schedule|also|swap|update|reschedule|send)\b|\bshall\s+we\b|\bare\s+you\s+able\b|\bis\s+it\s+possible\b|\bwould\s+it\s+be\s+possible\b"
    r"|\bis\s+there\s+(?:a\s+way|any\s+way|any\s+chance|a\s+chance)\b|\bany\s+chance\b|\bdo\s+you\s+(?:mind|think\s+you)\b|\bhow\s+about\b"
    r"|\bwhat\s+about\b|\bwhy\s+(?:don't\s+(?:you|we)|not)\b|\bmind\b|\bplease\b"
)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Token:
    kind: str
    word: str  # lower case; compound nouns and phrasal verbs joined
    proper: bool = False  # capitalised inside a sentence: a name
    form: Verb | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class _Wanted:
    """One thing that the words ask for."""

    verb: str
    classes: frozenset[str]
    head: frozenset[str]  # classes of what is acted on
    place: frozenset[str]  # classes of where it goes or stands
    words: frozenset[str]  # the words of both
    exact: bool = False  # only for tools with this very verb
    light: bool = False
    intended: bool = False  # said of what the user will do: a request only if there is no other


@dataclass(frozen=True, slots=True, kw_only=True)
class _Read:
    """What the words say, before any tool is looked at."""

    wanted: tuple[_Wanted, ...]
    nouns: frozenset[str]  # of everything that was said
    words: frozenset[str]
    pages: bool  # something is to be read from the web
    open: bool
    understood: bool


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
    particular: frozenset[int]  # see _PARTICULAR
    poles: frozenset[tuple[str, int]]  # see _POLES


def _tokens(text: str) -> Iterator[list[_Token]]:
    """The sentences of `text`."""
    sentence: list[_Token] = []
    for match in _TOKEN.finditer(text):
        kind, said = match.lastgroup or "", match[0]
        if kind == "end":
            if sentence:
                yield [*sentence, _Token(kind="end", word="?" if "?" in said else ".")]
            sentence = []
        else:
            proper = (
                kind == "word"
                and said[0].isupper()
                and not (len(said) > 1 and said.isupper())
                and bool(sentence)
                and said != "I"
                and not said.startswith("I'")
            )
            sentence.append(_Token(kind=kind, word=said.lower(), proper=proper))
    if sentence:
        yield [*sentence, _Token(kind="end", word=".")]


_ALWAYS_PARTICLES = _set("up down out off over back away forward rid")
_INSEPARABLE = _set("get write text email message go ask reach follow touch")
_AFTER_PARTICLE = _set("please in at for now and then when if while tonight today tomorrow")
_MAX_BETWEEN = 6  # words between a verb and its particle


def _joined(sentence: list[_Token]) -> list[_Token]:
    """`sentence` with compound nouns and phrasal verbs joined, and every word read as a verb where it is one."""
    words = [t.word if t.kind == "word" else f"\0{i}" for i, t in enumerate(sentence)]
    out: list[_Token] = []
    i = 0
    for word in compounds(words):
        size = 1 if word.startswith("\0") or words[i] == word else word.count("_") + 1
        size = size if "_".join(words[i : i + size]) == word else 1
        first = sentence[i]
        out.append(first if size == 1 else _Token(kind="word", word=word))
        i += size
    gone: set[int] = set()
    for i, token in enumerate(out):
        form = verb_of(token.word) if token.kind == "word" and i not in gone else None
        if form is None:
            continue
        particles = PHRASAL.get(form.lemma)
        if particles and (j := _particle(out, i, form.lemma, particles)):
            form = Verb(particles[out[j].word], form.form)
            gone.add(j)
        elif form.lemma not in CLASSES:  # `tear` alone
            continue
        out[i] = _Token(kind="word", word=token.word, proper=token.proper, form=form)
    return [t for i, t in enumerate(out) if i not in gone]


def _particle(tokens: Sequence[_Token], at: int, verb: str, particles: Mapping[str, str]) -> int:
    """Where the particle of the verb at `at` stands; 0 for nowhere."""
    for j in range(at + 1, min(at + 2 + _MAX_BETWEEN, len(tokens))):
        token = tokens[j]
        if token.kind in {"end", "stop"} or token.word in _BREAKS:
            return 0
        if token.word in particles:
            if j == at + 1:
                # `write to Bob`, but `write to the file`: a preposition that follows at once is one with its verb
                return j
            after = tokens[j + 1] if j + 1 < len(tokens) else None
            ends = after is None or after.kind in {"end", "stop"} or after.word in _AFTER_PARTICLE
            if verb not in _INSEPARABLE and (token.word in _ALWAYS_PARTICLES or ends):
                return j
            return 0
    return 0


class _Reader:
    """Reads words with the verbs that the tools at hand are named by."""

    def __init__(self, verbs: frozenset[str]) -> None:
        self._verbs = verbs

    def read(self, words: str) -> _Read:
        text = _ABBREVIATED.sub(r"\1", folded(words))
        low = text.lower()
        for trigger, pattern, instead in _IDIOMS:
            if trigger in low:
                text = pattern.sub(instead, text)
                low = text.lower()
        wanted: list[_Wanted] = []
        nouns: set[str] = set()
        plain: set[str] = set()
        pages = opened = understood = False
        foreign = False
        for raw in _tokens(text):
            tokens = _joined(raw)
            for t in tokens:
                nouns |= _classes_of(t)
                plain.add(singular(t.word))
            looks = any(t.form is not None and t.form.lemma in _GATHERS for t in tokens)
            pages = pages or any("page" in _classes_of(t) or t.word in _PAGE_WORDS or (looks and t.word in _INFORMS) for t in tokens)
            asked, reads, info = self._sentence(tokens)
            if asked or not info:
                said = " ".join(t.word for t in raw if t.kind != "quote").lower()
                opened = opened or bool(_DELEGATES.search(said) and not _INLINE.search(said))
            wanted += asked
            known = bool(asked) or reads or info
            understood = understood or known
            foreign = foreign or (not known and _foreign(tokens))
        return _Read(
            wanted=tuple(wanted),
            nouns=frozenset(nouns),
            words=frozenset(plain),
            pages=pages,
            open=opened or foreign,
            understood=understood,
        )

    def _sentence(self, tokens: Sequence[_Token]) -> tuple[list[_Wanted], bool, bool]:
        """What a sentence asks for, whether it asks to read, whether it is a question of fact."""
        info = _question(tokens)
        question = info
        verbs: list[tuple[int, str, bool]] = []  # position, verb, passive
        reads = cause = subordinate = False
        for i, token in enumerate(tokens):
            if token.kind == "stop" or token.word in _BREAKS:
                if (info or subordinate) and _commands(tokens, i + 1):
                    info = subordinate = False
                if token.kind == "stop" or token.word in {"then", "but"}:
                    cause = False
                continue
            if token.word in _CAUSES:
                cause = True
            condition = token.word == "if" and tokens[i - 1].word in _BREAKS | {",", "if"}  # `and if so, …`
            if token.word in _WH | {"whether", "if"} and not condition and (reads or cause) and i and not verbs_since(verbs, i):
                subordinate = reads
            verb = self._verb(tokens, i, cause=cause)
            if verb in {"start", "keep"} and (then := tokens[i + 1].form) is not None and then.form == "ing":
                continue  # `start following`
            if verb is None or verb in {"is", "has"} or info or subordinate or _reminded(tokens, i):
                continue
            passive = token.form is not None and token.form.form == "past"
            if _reading(verb):
                reads = True
                cause = False
                if verb not in _LOOKING and (made := _into_new(tokens, i)):
                    verbs.append((made, "write", False))  # `summarise it in a new document`
                if verb in self._verbs:
                    verbs.append((i, verb, False))
                continue
            verbs.append((i, verb, passive))
            if not passive and verb not in _CAUSES:
                cause = reads = False
        if not verbs and not reads:
            reads = _names_information(tokens)
        asked = []
        for n, (i, verb, passive) in enumerate(verbs):
            until = verbs[n + 1][0] if n + 1 < len(verbs) else len(tokens)
            before = verbs[n - 1][0] + 1 if n else 0
            region = [*tokens[before:i], *tokens[i + 1 : until]] if passive else tokens[i + 1 : until]
            found = _wanted(verb, region)
            if found is not None:
                asked.append(replace(found, intended=_intended(tokens, i)))
            for j in range(len(region) - 3):
                if region[j].word in {"in", "into", "to", "on"} and [t.word for t in region[j + 1 : j + 3]] == ["a", "new"]:
                    asked += [w for w in [_wanted("create", region[j + 3 : j + 6])] if w]  # `push it to a new branch`
            if verb not in TELLING and (with_ := _with_message(region)):
                asked.append(with_)
        if not info and (needed := _noted(tokens)):
            asked.append(needed)
        return asked, reads or any(_reading(v) for _, v, _ in verbs), question

    def _verb(self, tokens: Sequence[_Token], i: int, *, cause: bool) -> str | None:
        """The verb at `i`, if it can be one that asks for something."""
        token = tokens[i]
        if token.kind != "word" or token.proper:
            return None
        after = tokens[i + 1] if i + 1 < len(tokens) else None
        form = token.form
        if token.word in {"have", "has", "had"} and after is not None and _past(after):
            return None  # `once you have found it`
        if form is None:
            if token.word in self._verbs:
                form = Verb(token.word, "base")
            else:
                return _unknown_verb(tokens, i)
        if _negated(tokens, i):
            return None
        before = _before(tokens, i)
        starts = before is None or before.kind == "stop"
        previous = before.word if before is not None else ""
        if form.form == "s":
            return form.lemma if form.lemma in {"want", "need"} and previous not in _DETERMINERS else None
        if (previous in _DETERMINERS and previous != "that") or (previous.endswith("'s") and previous != "let's"):
            return None
        if form.form == "past":
            return form.lemma if cause and previous not in _PREPOSITIONS else None
        if form.form == "ing":
            noun = token.word in NOUNS or token.word in {"meeting", "building", "morning", "evening", "during"}
            led = starts or previous in _GERUND_AFTER
            return form.lemma if led and not noun and after is not None and after.kind != "end" else None
        if form.lemma in {"want", "need"}:
            return form.lemma
        if form.lemma in AMBIGUOUS or (form.lemma not in CLASSES and token.word not in self._verbs):
            return form.lemma if self._stands(tokens, i, previous, starts=starts, after=after) else None
        if (
            previous in _SUBJECTS
            and not (previous == "i" and _asks_leave(tokens, i))
            and form.lemma not in {"want", "need"}
        ):
            return None
        if (previous == "that" and not cause) or previous in _PREPOSITIONS:
            return None
        return form.lemma

    def _stands(self, tokens: Sequence[_Token], i: int, previous: str, *, starts: bool, after: _Token | None) -> bool:
        """A word that is also a noun stands where a verb stands."""
        if after is None or (after.kind == "end" and not starts):
            return previous in {"to", "please", "and", "then", "you"} and after is not None
        later = tokens[i + 2] if i + 2 < len(tokens) else None
        if after.kind == "number" and later is not None and (later.word in _AUX or _past(later)):
            return False  # `order 12 arrived broken`
        if after.word in _NOUNISH_NEXT or previous in _PREPOSITIONS:
            return False
        if (
            starts
            or previous in _MODALS
            or previous
            in {
                "please",
                "you",
                "we",
                "and",
                "then",
                "or",
                "let's",
                "ensure",
                "just",
                "but",
                "not",
                "also",
                "now",
                "u",
                "kindly",
                "first",
            }
        ):
            if previous in {"and", "or"} and after.kind == "word" and not _object(after):
                return self._coordinated(tokens)
            return True
        if previous == "to":
            two = tokens[i - 2].word if i > 1 else ""
            if two in {"is", "was"}:
                return True  # `your task is to post …`
            return two in _BEFORE_TO or i == 1 or (after.kind != "stop" and _object(after))
        return previous == "i" and _asks_leave(tokens, i)

    def _coordinated(self, tokens: Sequence[_Token]) -> bool:
        """`find it and email Bob`, but not `mails and text files`: what stands before `and` was a verb's clause."""
        first = next((t for t in tokens if t.word not in _FILLERS), None)
        return first is not None and (first.form is not None or first.word in _MODALS or first.word in {"i", "i'd"})


def _noted(tokens: Sequence[_Token]) -> _Wanted | None:
    """`Dinner at Chez Max on Friday at 8, …`: no verb, but a thing to be booked and a time."""
    start = next((i for i, t in enumerate(tokens) if t.word not in _FILLERS | {"a", "an", "another"} and t.kind != "stop"), 0)
    clause = tokens[start : next((i for i, t in enumerate(tokens) if i > start and t.kind in {"stop", "end"}), start)]
    acts = set(ACTION_NOUNS.get(clause[0].word, ())) if clause else set()
    timed = any(t.kind == "number" or t.word in _DATES for t in clause)
    said = any(t.word in _AUX or (t.form is not None and t.word not in NOUNS) or _past(t) for t in clause[1:])
    return _wanted("need", clause) if "book" in acts and clause[0].word in NOUNS and clause[0].form is None and timed and not said else None


def _intended(tokens: Sequence[_Token], i: int) -> bool:
    """`I'm looking to book`, `we are thinking of booking`: a plan of the user's own."""
    before = [t.word for t in tokens[max(0, i - 3) : i]]
    led = len(before) > 1 and before[-1] in {"to", "of", "about", "on"} and before[-2] in _INTENDS
    return led and not any(t.word in {"you", "you're"} for t in tokens[max(0, i - 6) : i])


def _reminded(tokens: Sequence[_Token], i: int) -> bool:
    """`a reminder to book a table`: what the reminder is about."""
    for j in range(i - 1, 0, -1):
        if tokens[j].kind == "stop" or tokens[j].word in _BREAKS:
            return False
        if tokens[j - 1].word == "reminder" and tokens[j].word in {"to", "about", "that", "for", "of"}:
            return True
    return False


def verbs_since(verbs: Sequence[tuple[int, str, bool]], at: int) -> bool:
    """An effect was asked for right before `at`: what follows is its object, not a question."""
    return bool(verbs) and verbs[-1][0] == at - 1


def _before(tokens: Sequence[_Token], i: int) -> _Token | None:
    """The token before `i` that is no filler word."""
    j = i - 1
    while j >= 0 and (
        tokens[j].word in _FILLERS - {"and", "or", "but", "not", "please", "then"} or tokens[j].word.endswith("ly")
    ):
        j -= 1
    while j >= 0 and tokens[j].word == "please" and j and tokens[j - 1].kind != "stop":
        j -= 1
    return tokens[j] if j >= 0 else None


def _object(token: _Token) -> bool:
    """`token` can begin the object of a verb."""
    return (
        token.kind in {"mail", "quote", "at", "money", "number", "url", "file", "host"}
        or token.proper
        or token.word in _OBJECT_STARTS
    )


def _negated(tokens: Sequence[_Token], i: int) -> bool:
    near = [t.word for t in tokens[max(0, i - 3) : i]]
    for back, word in enumerate(reversed(near)):
        if word in {",", "and", "but", "then"}:
            return False
        if word in {"can't", "cannot", "couldn't"} and near[-1] not in {"you", "we"}:
            return True
        if word in {"without", "avoid", "stop", "instead", "rather"}:
            return True
        if word in _NOT and back < 2:  # noqa: PLR2004 - `do not ever send`
            return True
    return False


def _past(token: _Token) -> bool:
    return token.form.form == "past" if token.form is not None else token.kind == "word" and token.word.endswith("ed")


def _asks_leave(tokens: Sequence[_Token], i: int) -> bool:
    return any(t.word in {"can", "could", "may"} for t in tokens[max(0, i - 3) : i])


def _reading(verb: str) -> bool:
    classes = CLASSES.get(verb, frozenset())
    return "read" in classes and verb not in LIGHT and "fetch" not in classes and verb not in {"get", "track", "print"}


def _question(tokens: Sequence[_Token]) -> bool:
    """A question of fact: answered, not acted on."""
    words = [t.word for t in tokens]
    said = " ".join(words)
    ends = words[-1] == "?"
    i = 0
    while i < len(words) and (words[i] in _FILLERS or tokens[i].kind == "stop"):
        i += 1
    first = words[i] if i < len(words) else ""
    then = words[i + 1] if i + 1 < len(words) else ""
    if _REQUEST.search(said) and not (first in _WH and "please" in said and then != "about"):
        return False
    if first in _WH:
        return True
    if first in {"do", "have", "will", "would", "can", "could", "should", "may", "might", "shall", "must"}:
        return ends or first == "should"
    if first in _AUX:
        return True
    form = tokens[i].form if i < len(tokens) else None
    return ends and (form is None or form.form not in {"base", "ing"})


def _commands(tokens: Sequence[_Token], i: int) -> bool:
    """After a boundary at `i`: what follows is asked for, not asked about."""
    while i < len(tokens) and (
        tokens[i].word in _FILLERS or tokens[i].kind == "stop" or tokens[i].word in {"if", "so"}
    ):
        i += 1
    if i + 1 >= len(tokens):
        return False
    token, after = tokens[i], tokens[i + 1]
    if token.word in _MODALS and after.word in {"you", "we", "u"}:
        return True
    if token.word in {"i'd", "i'll"} or (token.word == "i" and after.word in {"want", "need", "would"}):
        return True
    form = token.form
    if form is None or form.form != "base" or token.word in _AUX:
        return False
    return _object(after) or after.word in _HERE or (form.lemma not in AMBIGUOUS and after.kind != "end")


def _with_message(region: Sequence[_Token]) -> _Wanted | None:
    """`close the ticket with a friendly reply` asks for the reply as well."""
    for j, token in enumerate(region[:-1]):
        if token.word == "with":
            for t in region[j + 1 : j + 5]:
                if t.word in {"reply", "response", "message", "comment", "email", "mail"}:
                    return _wanted("reply" if t.word in {"reply", "response"} else "send", [t, *region])
    return None


def _into_new(tokens: Sequence[_Token], i: int) -> int:
    """Where, after a verb of reading at `i`, it says that the outcome becomes something new; 0 for nowhere."""
    for j in range(i + 1, len(tokens) - 2):
        if tokens[j].kind == "end" or (tokens[j].form is not None and tokens[j].word not in NOUNS):
            return 0
        if tokens[j].word in {"in", "into", "to", "as", "on"} and tokens[j + 1].word in {"a", "an", "another", "one"}:
            return j if any(t.word in NOUNS for t in tokens[j + 2 : j + 5]) else 0
    return 0


def _names_information(tokens: Sequence[_Token]) -> bool:
    """A request without a verb: `summary of the notes, please`, `weather in Oslo`."""
    first = next((t for t in tokens if t.kind == "word" and t.word not in _FILLERS | _DETERMINERS), None)
    return first is not None and singular(first.word) in _INFORMATION


_OBJECT_WORDS = (_DETERMINERS & _OBJECT_STARTS) | {"it", "them", "him", "me", "us", "her"}


def _unknown_verb(tokens: Sequence[_Token], i: int) -> str | None:
    """A word nobody knows that stands like a command before an object: `nuke the staging box`, `crank it up`."""
    token, after = tokens[i], tokens[i + 1]
    if after.word not in _OBJECT_WORDS and after.kind not in {"mail", "at", "quote", "money", "url", "file"}:
        return None
    before = _before(tokens, i)
    led = before is None or before.word in {"please", "and", "then", "to"} or (before.kind == "stop" and i > 1)
    if not led or token.word in NOUNS or token.word in _KNOWN or token.word.endswith(("ly", "'s", "ing", "ed")):
        return None
    if before is not None and before.kind == "stop":
        return None
    return f"?{token.word}"


_KNOWN = (
    _DETERMINERS | _OBJECT_STARTS | _PREPOSITIONS | _TOPICS | _SUBJECTS | _FILLERS | _WH | _AUX | _MODALS | _CAUSES | _NOT
    | _GERUND_AFTER | _BREAKS
    | _set(
        "to be been being not there here yesterday today tomorrow tonight unfortunately regarding concerning during since "
        "while because although though despite unlike except where i'd i'm i've i'll we're we've it's that's there's he's "
        "she's they're you're let's like once whenever given considering per via until unless across behind between "
        "among against above below beyond near half only even than too very such instead anyway meanwhile currently "
        "whether every many much few several less least more most enough plus minus of for with hence thus us me him her "
        "morning evening night week month year day time monday tuesday wednesday thursday friday saturday sunday january "
        "february march april may june july august september october november december mr mrs ms dr am pm wouldn't ain't "
        "good great happy fine sorry thank sure right best regards cheers greetings one two three four five six seven "
        "eight nine ten apparently basically actually remember mind favor favour sees says say said hears seems looks "
        "use using used choose pick select consider treat note assume regard remember bear recommend suggest "
        "feel felt hope believe guess suppose agree lost forgot ran live work works worked started finished told asked"
    )
)  # fmt: skip


def _foreign(tokens: Sequence[_Token]) -> bool:
    """A sentence in no English that we know: understood by nobody here, so nothing may be concluded from it."""
    words = [t for t in tokens if t.kind == "word" and not t.proper]
    strange = [t for t in words if t.word not in _KNOWN and t.word not in NOUNS and t.form is None]
    written = sum(1 for t in strange if not t.word.isascii())
    return len(strange) >= 2 and (len(strange) * 4 >= len(words) * 3 or written * 2 >= len(words))  # noqa: PLR2004


_DATES = _set(
    "monday tuesday wednesday thursday friday saturday sunday january february march april may june july august "
    "september october november december today tomorrow tonight yesterday"
)


def _classes_of(token: _Token) -> frozenset[str]:
    if token.kind == "word" and token.word not in _DATES:
        found = NOUNS.get(token.word.removesuffix("'s"), frozenset())
        return found | {"person"} if token.proper and not found else found
    if token.kind == "at":
        return frozenset({"channel" if token.word.startswith("#") else "person"})
    of = _KINDS_OF_OBJECTS.get(token.kind)
    return frozenset({of}) if of else frozenset()


def _wanted(verb: str, region: Sequence[_Token]) -> _Wanted | None:
    """What `verb` asks for, given the words that belong to it."""
    head: set[str] = set()
    place: set[str] = set()
    topic: set[str] = set()
    words: set[str] = set()
    acts: set[str] = set()
    into = head
    direct = True  # no preposition but `of` yet
    purpose = False  # what follows `for` is a topic, but only up to the next preposition
    for n, token in enumerate(region):
        if token.word == ":":
            into = topic
        elif token.kind == "word" and token.word in _TOPICS | {"for"} and not (n and region[n - 1].word == "a") and (head or token.word != "for"):
            into = topic
            purpose = token.word in {"for", "saying", "called", "named", "titled"}
        elif token.kind == "word" and token.word in _PREPOSITIONS | {"to"} and (into is head or purpose):
            into = place
            direct = direct and token.word == "of"
        elif token.word == "," and into is topic:
            into = place
        classes = _classes_of(token)
        one = singular(token.word)
        if into is not topic and token.kind == "word":
            words.add(one)
        following = region[n + 1] if n + 1 < len(region) else None
        if following is not None and following.word in NOUNS and token.kind == "word" and not token.proper:
            continue  # of `hotel booking`, only the last word says what it is
        into |= classes
        if direct and into is not topic:
            acts |= set(ACTION_NOUNS.get(one, () if into is not head or one in NOUNS else CLASSES.get(one, frozenset()) - _SOFT))
    if region and region[0].word in _PRONOUNS:
        words.add("it")
    light = verb in LIGHT
    classes_of_verb = CLASSES.get(verb, frozenset())
    if classes_of_verb >= {"add", "delete"} and verb not in {"swap", "exchange"}:  # `drop it in the cart`, `drop it from the cart`, `drop the branch`
        into_it = any(t.word in {"in", "into", "on", "onto", "to"} for t in region)
        classes_of_verb -= {"delete"} if into_it else {"add", "create", "update", "post"}
    if "channel" in place and classes_of_verb & {"create", "add", "share"} and not head & _PEOPLE:
        classes_of_verb |= {"post"}  # `put the link in #board`
    if "create" in classes_of_verb and verb != "draft" and (head & _MESSAGING or (verb == "write" and (place | head) & _PEOPLE)):
        classes_of_verb |= {"send"}
    if "send" in classes_of_verb and (head | place) & _FINANCE and any(t.kind in {"number", "money"} for t in region):
        classes_of_verb |= {"pay"}  # `send her half of the bill, 31.20`
    if verb in {"put", "move"} and "account" in place:
        classes_of_verb |= {"pay"}  # `put 500 into the account`
    if "add" in classes_of_verb and place:
        classes_of_verb |= {"update"}  # `add Lou to the meeting`
    if verb == "open" and head == {"page"}:
        classes_of_verb = frozenset({"fetch"})
    if not head and not place:
        head = topic
    if light:
        wide = frozenset(acts)
        if verb in {"want", "need", "have", "do", "process", "perform", "issue", "initiate", "leave", "conduct"}:
            if not wide:
                if verb in {"want", "need"} and head:  # `I need a taxi`
                    wide = frozenset({"book", "buy", "create", "request"})
                elif not (classes_of_verb - {"light", "read"}) or verb == "have":
                    return None
                else:
                    wide = classes_of_verb - {"light", "read"}
        elif not wide or verb == "put":
            wide |= classes_of_verb - {"light", "read"}
        if not wide:
            return None
        classes_of_verb = wide
    telling = verb in TELLING
    if telling:  # what is told is free; only the way it goes counts
        way = (head | place | topic) & (_MESSAGING | {"channel", "ticket", "comment", "issue"})
        named = _MESSAGING_VERBS.get(verb)
        head, place = set(named) if named else (way or set(_MESSAGING)), set()
        words = {w for w in words if verb == "ask" or NOUNS.get(w, frozenset()) & head}
    return _Wanted(
        verb=verb,
        classes=classes_of_verb | (frozenset({"send"}) if telling else frozenset()),
        head=frozenset(head),
        place=frozenset(place),
        words=frozenset(words),
        exact=_reading(verb),
        light=light,
    )


_MESSAGING_VERBS: Mapping[str, frozenset[str]] = {
    "email": frozenset({"email"}), "mail": frozenset({"email", "letter"}), "dm": frozenset({"dm"}),
    "text": frozenset({"dm", "message"}), "sms": frozenset({"dm"}), "cc": frozenset({"email"}), "bcc": frozenset({"email"}),
    "whatsapp": frozenset({"dm"}), "slack": frozenset({"dm", "message", "channel"}),
}  # fmt: skip


# which tools that means


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
    if "send" in classes and "money" not in objects and not objects & _MESSAGING and effect is Effect.EGRESS:
        objects |= {"message"} if not objects - _PEOPLE else set()
    if len(objects) > 1 and not classes & _ABOUT_PEOPLE:
        objects = objects - _PEOPLE or objects
    if objects & _MESSAGING and "create" in classes and effect is Effect.EGRESS:
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
        particular=frozenset(_PARTICULAR[v] for v in read.verbs if v in _PARTICULAR),
        poles=frozenset(_POLES[v] for v in read.verbs if v in _POLES),
    )


def _noun_classes(words: Iterable[str]) -> set[str]:
    return {c for w in words for c in NOUNS.get(w, ())}


class LexicalPlanner:
    """Reads verbs and nouns of the user's words; needs no model. It sets no limits: words seldom count calls."""

    def plan(self, words: str, tools: Sequence[ToolSpec]) -> Mandate:
        """The effect tools that `words` plausibly ask for."""
        effects: dict[str, _Tool] = {}
        fetches: dict[str, _Tool] = {}
        verbs: set[str] = set()
        for spec in tools:
            tool = _tool(spec.name, spec.description, spec.effect, tuple(a.path for a in spec.arguments))
            verbs |= tool.verbs if spec.effect is not Effect.READ else set()
            if spec.effect is Effect.FETCH:
                fetches[spec.name] = tool
            elif spec.effect is not Effect.READ:
                effects[spec.name] = tool
        read = _Reader(frozenset(verbs)).read(words)
        if read.open or not read.understood:
            return Mandate(effects=dict.fromkeys((*effects, *fetches)), open=True, by="lexical")
        chosen: dict[str, None] = {}
        direct = any(not w.intended and not w.exact for w in read.wanted)
        for wanted in dict.fromkeys(w for w in read.wanted if not (w.intended and direct)):
            found = _choose(wanted, read, effects)
            if found is None:  # an unknown verb that no object explains: nothing may be concluded
                return Mandate(effects=dict.fromkeys((*effects, *fetches)), open=True, by="lexical")
            chosen |= dict.fromkeys(found)
        asked = any("fetch" in w.classes and (not w.head or "page" in w.head) for w in read.wanted)
        for name, tool in fetches.items():
            if read.pages or asked:
                chosen[name] = None
        return Mandate(effects=chosen, by="lexical")


def _choose(wanted: _Wanted, read: _Read, tools: Mapping[str, _Tool]) -> list[str] | None:
    """The tools that one wish opens; None for a wish that was not understood."""
    rated = [(n, t, _does(wanted, t), _fits(wanted, t)) for n, t in tools.items()]
    if wanted.verb.startswith("?"):
        return [n for n, _, _, fits in rated if fits == 2] or None  # noqa: PLR2004 - see _fits
    rated = [(n, t, does, fits) for n, t, does, fits in rated if does]
    matches = [(n, t) for n, t, does, fits in rated if does > 1 and fits == 2]  # noqa: PLR2004
    if wanted.verb in _PARTICULAR:
        matches = [(n, t) for n, t, does, fits in rated if does == 3 and fits == 2] or matches  # noqa: PLR2004
    pole = _POLES.get(wanted.verb)
    if pole and pole[0] not in {"presence", "share"}:
        matches = [(n, t) for n, t in matches if pole in t.poles] or matches
    loose = [n for n, t, does, fits in rated if (does > 1 and fits == 1) or (does == 1 and fits == 2)]  # noqa: PLR2004
    if "pay" in wanted.classes and (wanted.head | wanted.place) & _FINANCE:
        # A bill is paid by paying it or by sending money: people do not care which.
        return [n for n, t, does, fits in rated if does > 1 and (fits == 2 or (fits and not t.verbs & _CHANGES))]  # noqa: PLR2004
    if matches:
        narrow = (wanted.light or wanted.classes & {"delete", "update", "add"}) and not wanted.classes & _SENDS
        if narrow and any(t.heads & wanted.head for _, t in matches):
            matches = [(n, t) for n, t in matches if t.heads & wanted.head or (t.words & wanted.words and not t.heads) or wanted.verb in t.verbs]
        found = [n for n, _ in matches] + [
            n for n, t, does, _ in rated
            if does > 1 and not t.objects and (not t.words or does == 3 or pole in t.poles)  # noqa: PLR2004
        ]  # fmt: skip
        if wanted.classes & _OUT and "file" in wanted.head:  # a file is sent by mail or shared
            found += [n for n, t, _, fits in rated if fits == 2 and t.classes & _OUT - {"post"} and "file" in t.objects | t.given]  # noqa: PLR2004
        return found
    if wanted.exact:
        return loose
    if not (wanted.head | wanted.place) - _PEOPLE:  # it acts on nothing that we know, or on what was named before
        spends = bool(wanted.classes & {"pay", "buy", "refund"})
        likely = [(n, t, does) for n, t, does, _ in rated if does == 3 or spends or not t.classes & {"pay"}]  # noqa: PLR2004
        around = [(n, does) for n, t, does in likely if does > 1 and t.objects & (read.nouns - _PEOPLE)]
        if wanted.words & _PRONOUNS:
            if around:
                same = [n for n, _, does in likely if does == 3]  # noqa: PLR2004
                return [n for n, does in around if does == 3] or [n for n, _ in around] + same  # noqa: PLR2004
            likely = [(n, t, does) for n, t, does in likely if does > 1 or not t.classes & {"delete", "pay"}]
        if wanted.classes & _SENDS:
            likely = [(n, t, does) for n, t, does in likely if does > 1 or t.classes & _OUT]
        for least in (3, 1 if wanted.words & _PRONOUNS or wanted.classes & _SENDS else 2, 1):
            if found := [n for n, _, does in likely if does >= least]:
                return found + loose
        return None if rated or not wanted.light else []
    if loose:
        return loose
    if wanted.classes - {"fetch", "control"}:
        # No tool for this verb: the object alone says what is meant, unless that destroys or pays.
        named = [n for n, t in tools.items() if t.heads & wanted.head - _PEOPLE and not t.classes & {"delete", "pay"}]
        if named:
            return named + [n for n, _, does, _ in rated if does == 3]  # noqa: PLR2004
    return [n for n, _, does, _ in rated if does > 1]


def _does(wanted: _Wanted, tool: _Tool) -> int:
    """How well the tool does what the verb of the wish asks for: 3 by its name, 2 by its kind, 1 perhaps, 0 not."""
    pole = _POLES.get(wanted.verb)
    particular = _PARTICULAR.get(wanted.verb)
    if pole and (pole[0], -pole[1]) in tool.poles:
        return 0
    if particular is not None and tool.particular and particular not in tool.particular:
        return 0
    if wanted.verb in tool.verbs or particular in tool.particular:
        return 3
    if wanted.exact:
        return 0
    if (
        wanted.classes & tool.classes
        or (wanted.classes & _SENDS and tool.classes & _SENDS and "share" not in tool.verbs)
        or (wanted.verb in tool.words and (tool.light or "create" in tool.classes))  # `refund order 3`: issue_refund
        or (wanted.classes & {"book", "invite"} and "create" in tool.classes and tool.objects & _DATED)  # it stands in a calendar
        or ("buy" in wanted.classes and "cart" in tool.objects and "add" in tool.verbs)
    ):
        return 2
    also = {c for name in wanted.classes for c in _ALSO.get(name, ())}
    return 1 if not tool.particular and also & tool.classes else 0


def _fits(wanted: _Wanted, tool: _Tool) -> int:
    """2: the tool acts on what is meant; 1: on something near it; 0: on something else."""
    meant = wanted.head | wanted.place
    if len(meant) > 1:
        meant = meant - _PEOPLE | (wanted.head & _PEOPLE if wanted.classes & _ABOUT_PEOPLE else frozenset())
    if "reply" in wanted.classes & tool.classes and wanted.verb in TELLING:
        return 2
    if wanted.verb == "invite" and tool.objects & _DATED:
        return 2  # to whatever it is
    if tool.objects & meant or tool.words & wanted.words or wanted.verb in tool.words:
        return 2
    if wanted.classes & _OUT and tool.objects & _MESSAGING and not meant & (_MESSAGING | _FINANCE):
        # A report is sent by mail, whatever else it could be sent by.
        return 2 if "send" in wanted.classes & tool.classes and (wanted.head | wanted.place) & _PEOPLE else 1
    if tool.given & meant:
        return 2 if wanted.verb in tool.verbs else 1
    return 1 if tool.near & meant else 0


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
