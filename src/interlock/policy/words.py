"""What words ask for: sentences read as wishes, each a verb and the kinds of things that it acts on.

A verb counts where a verb can stand that asks for something; what is said of the past, of others, in quotes or about a
topic asks for nothing. Idioms are first written as plain English. A sentence that hands the decision to somebody else's
words leaves everything open, and so does one that is not understood: see `Said.open`, `Said.understood`.
"""

# ruff: noqa: E501 - patterns and word lists are easier to check on one line
from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

from interlock.policy.lexicon import (
    ACTION_NOUNS,
    AMBIGUOUS,
    CLASSES,
    LIGHT,
    NOUNS,
    PHRASAL,
    TELLING,
    Verb,
    compounds,
    folded,
    singular,
    verb_of,
    word_set,
)

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


_DETERMINERS = word_set(
    "the a an my your our his her their its this that these those each every all any some no another last next latest "
    "new old first second other previous current recent upcoming own same both such most more which what whose"
)
_OBJECT_STARTS = word_set(
    "the a an my your our his her their its this that these those each every all any some it them him me us another "
    "everyone everybody something anything everything two three one both whatever up down out new off to"
)
_PREPOSITIONS = word_set(
    "of in on under about from for with by at into per via as onto during after before since under over within"
)
_TOPICS = word_set("about regarding concerning re that because since saying asking telling stating titled called named with "
               "who whose which mentioning explaining when while if unless after before until than like")  # fmt: skip
_SUBJECTS = word_set("i we they he she it people who which")
_FILLERS = word_set(
    "please also then and but so ok okay hi hello hey thanks now first firstly secondly finally next well just kindly "
    "lastly afterwards otherwise therefore maybe perhaps additionally furthermore after that or plus besides if not yes "
    "quickly immediately still already again always automatically dear team assistant there simply only directly"
)
_WH = word_set("what who whom whose which when where why how what's who's where's when's how's whats")
_AUX = word_set("is are was were am does did has had isn't aren't wasn't doesn't didn't hasn't haven't do have")
_MODALS = word_set("can could would will should may might shall must can't couldn't won't wouldn't")
_CAUSES = word_set(
    "have get want need needs wants like be gets getting having wanted ensure must should prefer love being see"
)
_NOT = word_set(
    "don't not never without dont cannot rather instead avoid stop refrain doesn't shouldn't mustn't won't nor"
)
_GERUND_AFTER = word_set(
    "before mind start try consider by and then finish keep about appreciate suggest after me you of for"
)
_BEFORE_VERB = word_set("please you we u and then or but let's ensure just not also now kindly first")
_HERE = word_set("there here back with in at that on to")
_INTENDS = word_set("looking planning hoping thinking intending going wishing aiming about")  # … to do it, some day
_GATHERS = word_set("find find_out look look_up search get gather collect check research retrieve give give_me show")
_INFORMS = word_set("information info detail details research")
_BREAKS = word_set("and then but or plus also")
_NOUNISH_NEXT = word_set(
    "is was were are has had from about history status of details number confirmation address info balance name id "
    "count list said says titled"
)
_BEFORE_TO = word_set(
    "want need like have has going love able you please try wish remember forget ask asked possible going supposed how "
    "ready prefer hope plan planning order him her them me us due wants needs like way time sure chance happy glad ought"
)
_LOOKING = word_set("search look find check read see view look_up show get list know help tell_me show_me")
_INFORMATION = word_set(
    "summary overview list status detail info information number name weather price balance forecast statistic total "
    "count date time reason history result answer translation definition explanation comparison recommendation tip idea"
)
_PAGE_WORDS = word_set("online internet google research wikipedia web")
CHANGES = word_set("update change edit modify set adjust")
_SOFT = word_set("read light control")  # classes that a verb used as a noun does not ask for: `give it a look`
FINANCE = word_set("money payment bill refund balance account")
DATED = word_set("event reminder interview booking")
OUT = word_set("send reply forward post share upload")
PRONOUNS = word_set("it them this that these those there one ones")
SENDS = word_set("send post")
MESSAGING = word_set("email message dm letter")
PEOPLE = word_set("person employee")
ABOUT_PEOPLE = word_set("invite add delete share like")

_IDIOMS: tuple[tuple[str, re.Pattern[str], str], ...] = tuple(
    (trigger, re.compile(pattern, re.IGNORECASE), instead)
    for trigger, pattern, instead in (
        ("me", r"\b(?:let (?:me|us) know|tell me|show me)\b", "tell_me"),
        ("let", r"\blet go of\b", "dismiss"),
        ("let", r"\blet ((?:(?:[^\s,.]|\.\w)+ ){1,14}?)know\b", r"inform \1"),
        ("forget", r"\bdon'?t let (?:me|us) forget(?: to)?\b", "create a reminder that"),
        ("", r"\b(?:do not|don'?t|never) (?:forget|fail|hesitate|neglect)(?: to| about)?\b", "please"),
        ("", r"\b(?:drop|shoot|send|write|leave|give)((?: (?:[^\s,.]|\.\w)+){1,4}?) an? (?:quick |short |brief |little )?(?:line|note|message|text|email|mail|dm|shout|heads[- ]?up)\b", r"message \1"),
        ("", r"\b(?:keep|loop)((?: (?:[^\s,.]|\.\w)+){1,4}?) (?:posted|informed|updated|in(?: the loop)?)\b", r"inform \1"),
        ("remind", r"\bremind (?:me|us|myself)\b", "create a reminder that"),
        ("tell", r"\b(?:tell|post|announce|say|shout) (?:it )?(?:to )?(?:the (?:whole )?world|(?:my|our) (?:followers|fans)|the internet)\b", "publish a post"),
        ("give", r"\bgive (?:me|us)\b(?! (?:a )?(?:call|reminder|ring|lift|ride|refund|access|permission|rights|credit|discount|new password|password))", "tell_me"),
        ("say", r"\bsay (?:yes|ok|okay) to\b", "approve"),
        ("say", r"\bsay no to\b", "decline"),
        ("e-", r"\be-mail", "email"),
        ("get", r"\b(?:get|take|kick|throw|chuck|boot)((?: (?:[^\s,.]|\.\w)+){1,4}?) out of\b", r"remove \1 from"),
        ("want", r"\bi (?:don'?t|no longer|do not) want\b(?! (?:you|to (?:miss|forget|lose))\b)", "please cancel"),
        ("", r"\bgive\b((?: (?:[^\s,.]|\.\w)+){1,6}?) (?:an? )?(?:\S+ )?(?:points?|stars?|marks?|grade|rating|thumbs[- ]up)\b", r"rate \1 with a rating"),
        ("", r"\b(?:do|wo|did|does|ca|is|are|should)nt\b|\bdont\b", "don't"),
        ("", r"\b(?:pls|plz|plese|pleas|pleaze)\b", "please"),
        ("say", r"\bsay (?:hi|hello|thanks|thank you|sorry|goodbye|welcome)\b(?: to)?", "message"),
        ("", r"\b(?:move|send|put)((?: (?:[^\s,.]|\.\w)+){1,6}?) (?:in|into|to) (?:the |my )?(?:trash|bin|recycle bin)\b", r"delete \1"),
        ("make", r"\bmake((?: (?:[^\s,.]|\.\w)+){1,2}?) (?:an? |the )?(?:(?:co-?)?owner|admin\w*|moderator|mod|editor|viewer|manager|lead|maintainer)\b", r"grant \1 the role"),
        ("off", r"\b(?:book|take|have|get|need|want)((?: (?:[^\s,.]|\.\w)+){0,4}? (?:\w+day|days?|weeks?|morning|afternoon|tomorrow|\d+\w*)) off\b", r"request leave \1"),
        ("into", r"\b(?:turn|convert|make|transform)((?: (?:[^\s,.]|\.\w)+){1,6}?) into\b", "create"),
        ("calendar", r"\b(?:put|add|get|pop|stick|pencil|enter|place|save|block|throw|mark|note)\b((?:(?! and )[^.?!\n]|\.\d){0,120}?)\b(?:on|in|into|to|onto) (?:my|our|the|his|her|their|\w+'s) (?:\w+ )?(?:calendars?|diary)\b", r"create event \1"),
        ("block", r"\bblock (?:off |out )?((?:\S+ ){0,4}?(?:hours?|minutes?|time|morning|afternoon|evening|day|slot)s?)\b", r"create event \1"),
        ("back", r"\b(?:have|get|want)((?: (?:[^\s,.]|\.\w)+){1,4}?) back\b(?! (?:to|in|on|from)\b)", r", please return \1"),
        ("sure", r"\b(?:be|make|making) (?:sure|certain)\b", "ensure"),
        ("see to it", r"\bsee to it\b", "ensure"),
        ("ensure", r"\bensure(?: that)? ((?:(?:[^\s,.]|\.\w)+ ){1,6}?)(?:gets|receives|knows|hears|sees|(?:is|are) (?:informed|told|notified|aware)|get|receive|know|hear|finds out|learns)\b", r"send \1"),
        ("ensure", r"\bensure(?: that)? ((?:(?:[^\s,.]|\.\w)+ ){1,6}?)(?:is|are) (?:turned |switched )?(on|off)\b", r"turn_\2 \1"),
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
class Token:
    """One word, or one address, file name, amount, quotation or stop."""

    kind: str
    word: str  # lower case; compound nouns and phrasal verbs joined
    proper: bool = False  # capitalised inside a sentence: a name
    form: Verb | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Wish:
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
class Said:
    """What the words say, before any tool is looked at."""

    wanted: tuple[Wish, ...]
    nouns: frozenset[str]  # of everything that was said
    words: frozenset[str]
    pages: bool  # something is to be read from the web
    open: bool
    understood: bool


def _tokens(text: str) -> Iterator[list[Token]]:
    """The sentences of `text`."""
    sentence: list[Token] = []
    for match in _TOKEN.finditer(text):
        kind, said = match.lastgroup or "", match[0]
        if kind == "end":
            if sentence:
                yield [*sentence, Token(kind="end", word="?" if "?" in said else ".")]
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
            sentence.append(Token(kind=kind, word=said.lower(), proper=proper))
    if sentence:
        yield [*sentence, Token(kind="end", word=".")]


_ALWAYS_PARTICLES = word_set("up down out off over back away forward rid")
_INSEPARABLE = word_set("get write text email message go ask reach follow touch")
_AFTER_PARTICLE = word_set("please in at for now and then when if while tonight today tomorrow")
_MAX_BETWEEN = 6  # words between a verb and its particle


def _joined(sentence: list[Token]) -> list[Token]:
    """`sentence` with compound nouns and phrasal verbs joined, and every word read as a verb where it is one."""
    words = [t.word if t.kind == "word" else f"\0{i}" for i, t in enumerate(sentence)]
    out: list[Token] = []
    i = 0
    for word in compounds(words):
        size = 1 if word.startswith("\0") or words[i] == word else word.count("_") + 1
        size = size if "_".join(words[i : i + size]) == word else 1
        first = sentence[i]
        out.append(first if size == 1 else Token(kind="word", word=word))
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
        out[i] = Token(kind="word", word=token.word, proper=token.proper, form=form)
    return [t for i, t in enumerate(out) if i not in gone]


def _particle(tokens: Sequence[Token], at: int, verb: str, particles: Mapping[str, str]) -> int:
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


class Reader:
    """Reads words with the verbs that the tools at hand are named by."""

    def __init__(self, verbs: frozenset[str]) -> None:
        self._verbs = verbs

    def read(self, words: str) -> Said:
        """What `words` ask for."""
        text = _ABBREVIATED.sub(r"\1", folded(words))
        low = text.lower()
        for trigger, pattern, instead in _IDIOMS:
            if trigger in low:
                text = pattern.sub(instead, text)
                low = text.lower()
        wanted: list[Wish] = []
        nouns: set[str] = set()
        plain: set[str] = set()
        pages = opened = understood = False
        for raw in _tokens(text):
            tokens = _joined(raw)
            for t in tokens:
                nouns |= _classes_of(t)
                plain.add(singular(t.word))
            looks = any(t.form is not None and t.form.lemma in _GATHERS for t in tokens)
            pages = pages or any(
                "page" in _classes_of(t) or t.word in _PAGE_WORDS or (looks and t.word in _INFORMS) for t in tokens
            )
            asked, reads, info = self._sentence(tokens)
            if asked or not info:
                said = " ".join(t.word for t in raw if t.kind != "quote").lower()
                opened = opened or bool(_DELEGATES.search(said) and not _INLINE.search(said))
            wanted += asked
            understood = understood or bool(asked) or reads or info
        return Said(
            wanted=tuple(wanted),
            nouns=frozenset(nouns),
            words=frozenset(plain),
            pages=pages,
            open=opened,
            understood=understood,
        )

    def _sentence(self, tokens: Sequence[Token]) -> tuple[list[Wish], bool, bool]:
        """What a sentence asks for, whether it asks to read, whether it is a question of fact."""
        info = _question(tokens)
        question = info
        verbs: list[tuple[int, str, bool]] = []  # position, verb, passive
        reads = cause = False
        for i, token in enumerate(tokens):
            if token.kind == "stop" or token.word in _BREAKS:
                info = info and not _commands(tokens, i + 1)
                continue
            cause = cause or token.word in _CAUSES
            verb = self._verb(tokens, i, cause=cause)
            if verb in {"start", "keep"} and (then := tokens[i + 1].form) is not None and then.form == "ing":
                continue  # `start following`
            if verb is None or verb in {"is", "has"} or info or _reminded(tokens, i):
                continue
            passive = token.form is not None and token.form.form == "past"
            if _reading(verb):
                reads = True
                if verb not in _LOOKING and (made := _into_new(tokens, i)):
                    verbs.append((made, "write", False))  # `summarise it in a new document`
                if verb in self._verbs:
                    verbs.append((i, verb, False))
                continue
            verbs.append((i, verb, passive))
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
                if (
                    region[j].word in {"in", "into", "to", "on"}
                    and region[j + 1].word == "a"
                    and region[j + 2].word == "new"
                ):
                    made_of = _wanted("create", region[j + 3 : j + 6])  # `push it to a new branch`
                    asked += [made_of] if made_of else []
            if verb not in TELLING and (with_ := _with_message(region)):
                asked.append(with_)
        if not info and (needed := _noted(tokens)):
            asked.append(needed)
        return asked, reads or any(_reading(v) for _, v, _ in verbs), question

    def _verb(self, tokens: Sequence[Token], i: int, *, cause: bool) -> str | None:
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
        if form.lemma in AMBIGUOUS:
            return form.lemma if self._stands(tokens, i, previous, starts=starts, after=after) else None
        if previous in _SUBJECTS and not (previous == "i" and _asks_leave(tokens, i)):
            return None
        return None if previous == "that" or previous in _PREPOSITIONS else form.lemma

    def _stands(self, tokens: Sequence[Token], i: int, previous: str, *, starts: bool, after: Token | None) -> bool:
        """A word that is also a noun stands where a verb stands."""
        if after is None or (after.kind == "end" and not starts):
            return previous in {"to", "please", "and", "then", "you"} and after is not None
        later = tokens[i + 2] if i + 2 < len(tokens) else None
        if after.kind == "number" and later is not None and _past(later):
            return False  # `order 12 arrived broken`
        if after.word in _NOUNISH_NEXT or previous in _PREPOSITIONS:
            return False
        if starts or previous in _MODALS | _BEFORE_VERB:
            return True
        if previous == "to":
            two = tokens[i - 2].word if i > 1 else ""
            if two in {"is", "was"}:
                return True  # `your task is to post …`
            return two in _BEFORE_TO or i == 1 or (after.kind != "stop" and _object(after))
        return previous == "i" and _asks_leave(tokens, i)


def _noted(tokens: Sequence[Token]) -> Wish | None:
    """`Dinner at Chez Max on Friday at 8, …`: no verb, but a thing to be booked and a time."""
    start = next(
        (i for i, t in enumerate(tokens) if t.word not in _FILLERS | {"a", "an", "another"} and t.kind != "stop"), 0
    )
    clause = tokens[start : next((i for i, t in enumerate(tokens) if i > start and t.kind in {"stop", "end"}), start)]
    acts = set(ACTION_NOUNS.get(clause[0].word, ())) if clause else set()
    timed = any(t.kind == "number" or t.word in _DATES for t in clause)
    said = any(t.word in _AUX or (t.form is not None and t.word not in NOUNS) or _past(t) for t in clause[1:])
    return (
        _wanted("need", clause)
        if "book" in acts and clause[0].word in NOUNS and clause[0].form is None and timed and not said
        else None
    )


def _intended(tokens: Sequence[Token], i: int) -> bool:
    """`I'm looking to book`, `we are thinking of booking`: a plan of the user's own."""
    before = [t.word for t in tokens[max(0, i - 3) : i]]
    led = len(before) > 1 and before[-1] in {"to", "of", "about", "on"} and before[-2] in _INTENDS
    return led and not any(t.word in {"you", "you're"} for t in tokens[max(0, i - 6) : i])


def _reminded(tokens: Sequence[Token], i: int) -> bool:
    """`a reminder to book a table`: what the reminder is about."""
    for j in range(i - 1, 0, -1):
        if tokens[j].kind == "stop" or tokens[j].word in _BREAKS:
            return False
        if tokens[j - 1].word == "reminder" and tokens[j].word in {"to", "about", "that", "for", "of"}:
            return True
    return False


def _before(tokens: Sequence[Token], i: int) -> Token | None:
    """The token before `i` that is no filler word."""
    j = i - 1
    while j >= 0 and (
        tokens[j].word in _FILLERS - {"and", "or", "but", "not", "please", "then"} or tokens[j].word.endswith("ly")
    ):
        j -= 1
    while j >= 0 and tokens[j].word == "please" and j and tokens[j - 1].kind != "stop":
        j -= 1
    return tokens[j] if j >= 0 else None


def _object(token: Token) -> bool:
    """`token` can begin the object of a verb."""
    return (
        token.kind in {"mail", "quote", "at", "money", "number", "url", "file", "host"}
        or token.proper
        or token.word in _OBJECT_STARTS
    )


def _negated(tokens: Sequence[Token], i: int) -> bool:
    near = [t.word for t in tokens[max(0, i - 3) : i]]
    for back, word in enumerate(reversed(near)):
        if word in {",", "and", "but", "then"}:
            return False
        if word in {"can't", "cannot", "couldn't"} and near[-1] not in {"you", "we"}:
            return True
        if word in _NOT and (back < 2 or word in {"without", "avoid", "stop", "instead", "rather"}):  # noqa: PLR2004
            return True  # `do not ever send`
    return False


def _past(token: Token) -> bool:
    return token.form.form == "past" if token.form is not None else token.kind == "word" and token.word.endswith("ed")


def _asks_leave(tokens: Sequence[Token], i: int) -> bool:
    return any(t.word in {"can", "could", "may"} for t in tokens[max(0, i - 3) : i])


def _reading(verb: str) -> bool:
    classes = CLASSES.get(verb, frozenset())
    return "read" in classes and verb not in LIGHT and "fetch" not in classes and verb not in {"get", "track", "print"}


def _question(tokens: Sequence[Token]) -> bool:
    """A question of fact: answered, not acted on."""
    words = [t.word for t in tokens]
    said = " ".join(words)
    ends = words[-1] == "?"
    i = 0
    while i < len(words) and (words[i] in _FILLERS or tokens[i].kind == "stop"):
        i += 1
    first = words[i] if i < len(words) else ""
    if _REQUEST.search(said):
        return False
    if first in _WH:
        return True
    if first in {"do", "have", "will", "would", "can", "could", "should", "may", "might", "shall", "must"}:
        return ends or first == "should"
    if first in _AUX:
        return True
    form = tokens[i].form if i < len(tokens) else None
    return ends and (form is None or form.form not in {"base", "ing"})


def _commands(tokens: Sequence[Token], i: int) -> bool:
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


def _with_message(region: Sequence[Token]) -> Wish | None:
    """`close the ticket with a friendly reply` asks for the reply as well."""
    for j, token in enumerate(region[:-1]):
        if token.word == "with":
            for t in region[j + 1 : j + 5]:
                if t.word in {"reply", "response", "message", "comment", "email", "mail"}:
                    return _wanted("reply" if t.word in {"reply", "response"} else "send", [t, *region])
    return None


def _into_new(tokens: Sequence[Token], i: int) -> int:
    """Where, after a verb of reading at `i`, it says that the outcome becomes something new; 0 for nowhere."""
    for j in range(i + 1, len(tokens) - 2):
        if tokens[j].kind == "end" or (tokens[j].form is not None and tokens[j].word not in NOUNS):
            return 0
        if tokens[j].word in {"in", "into", "to", "as", "on"} and tokens[j + 1].word in {"a", "an", "another", "one"}:
            return j if any(t.word in NOUNS for t in tokens[j + 2 : j + 5]) else 0
    return 0


def _names_information(tokens: Sequence[Token]) -> bool:
    """A request without a verb: `summary of the notes, please`, `weather in Oslo`."""
    first = next((t for t in tokens if t.kind == "word" and t.word not in _FILLERS | _DETERMINERS), None)
    return first is not None and singular(first.word) in _INFORMATION


_OBJECT_WORDS = (_DETERMINERS & _OBJECT_STARTS) | {"it", "them", "him", "me", "us", "her"}


def _unknown_verb(tokens: Sequence[Token], i: int) -> str | None:
    """A word nobody knows that stands like a command before an object: `nuke the staging box`, `crank it up`."""
    token, after = tokens[i], tokens[i + 1]
    if after.word not in _OBJECT_WORDS and after.kind not in {"mail", "at", "quote", "money", "url", "file"}:
        return None
    before = _before(tokens, i)
    led = before is None or before.word in {"please", "and", "then", "to"}
    if not led or token.word in NOUNS or token.word in _KNOWN or token.word.endswith(("ly", "'s", "ing", "ed")):
        return None
    return f"?{token.word}"


_KNOWN = (
    _DETERMINERS | _OBJECT_STARTS | _PREPOSITIONS | _TOPICS | _SUBJECTS | _FILLERS | _WH | _AUX | _MODALS | _CAUSES | _NOT
    | _GERUND_AFTER | _BREAKS
    | word_set(
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


_DATES = word_set(
    "monday tuesday wednesday thursday friday saturday sunday january february march april may june july august "
    "september october november december today tomorrow tonight yesterday"
)


def _classes_of(token: Token) -> frozenset[str]:
    if token.kind == "word" and token.word not in _DATES:
        found = NOUNS.get(token.word.removesuffix("'s"), frozenset())
        return found | {"person"} if token.proper and not found else found
    if token.kind == "at":
        return frozenset({"channel" if token.word.startswith("#") else "person"})
    of = _KINDS_OF_OBJECTS.get(token.kind)
    return frozenset({of}) if of else frozenset()


def _wanted(verb: str, region: Sequence[Token]) -> Wish | None:
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
        elif (
            token.kind == "word"
            and token.word in _TOPICS | {"for"}
            and not (n and region[n - 1].word == "a")
            and (head or token.word != "for")
        ):
            into = topic
            purpose = token.word in {"for", "saying", "called", "named", "titled"}
        elif token.kind == "word" and token.word in _PREPOSITIONS | {"to"} and (into is head or purpose):
            into = place
            direct = direct and token.word == "of"
        classes = _classes_of(token)
        one = singular(token.word)
        if into is not topic and token.kind == "word":
            words.add(one)
        following = region[n + 1] if n + 1 < len(region) else None
        if following is not None and following.word in NOUNS and token.kind == "word" and not token.proper:
            continue  # of `hotel booking`, only the last word says what it is
        into |= classes
        if direct and into is not topic:
            acts |= set(
                ACTION_NOUNS.get(one, () if into is not head or one in NOUNS else CLASSES.get(one, frozenset()) - _SOFT)
            )
    if region and region[0].word in PRONOUNS:
        words.add("it")
    light = verb in LIGHT
    classes_of_verb = CLASSES.get(verb, frozenset())
    if classes_of_verb >= {"add", "delete"} and verb not in {"swap", "exchange"}:
        # `drop it in the cart`, `drop it from the cart`, `drop the branch`
        into_it = any(t.word in {"in", "into", "on", "onto", "to"} for t in region)
        classes_of_verb -= {"delete"} if into_it else {"add", "create", "update", "post"}
    if "channel" in place and classes_of_verb & {"create", "add", "share"} and not head & PEOPLE:
        classes_of_verb |= {"post"}  # `put the link in #board`
    if (
        "create" in classes_of_verb
        and verb != "draft"
        and (head & MESSAGING or (verb == "write" and (place | head) & PEOPLE))
    ):
        classes_of_verb |= {"send"}
    if "send" in classes_of_verb and (head | place) & FINANCE and any(t.kind in {"number", "money"} for t in region):
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
        if not acts or verb == "put":
            acts |= classes_of_verb - {"light", "read"}
        if verb in {"want", "need"} and head and not acts:
            acts = {"book", "buy", "create", "request"}  # `I need a cab`
        if not acts:
            return None
        classes_of_verb = frozenset(acts)
    telling = verb in TELLING
    if telling:  # what is told is free; only the way it goes counts
        way = (head | place | topic) & (MESSAGING | {"channel", "ticket", "comment", "issue"})
        named = _MESSAGING_VERBS.get(verb)
        head, place = set(named) if named else (way or set(MESSAGING)), set()
        words = {w for w in words if verb == "ask" or NOUNS.get(w, frozenset()) & head}
    return Wish(
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
