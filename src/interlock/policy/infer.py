"""A first description of a tool that nobody has described: from its name, its description and its schema.

The effect comes from the verb of the name, else from the first verb of the description, else it is an egress. The role
of an argument comes from its name, then from its type, format and description, else it is unknown and must be vouched.
Of a result, only what a service sets itself is own: ids, times, sizes, counts, states. Fields that an outsider could
set with effort (a sender, an organiser) are `presumed`: own only under tight labels. Whatever is doubtful gets the
reading that asks or refuses more. A manifest overrides all of it, and what a server says of its own tools is a claim:
review what `suggest_manifest` writes.
"""

# ruff: noqa: E501 - patterns and word lists are easier to check on one line
from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import islice

from interlock.kernel.spec import Argument, Effect, Returns, Role, ToolSpec
from interlock.policy.lexicon import (
    ACTION_NOUNS,
    AMBIGUOUS,
    CLASSES,
    LIGHT,
    NOUNS,
    compounds,
    folded,
    kind_of,
    name_words,
    singular,
    verb_of,
)

MAX_ARGUMENTS = 500  # leaves of one schema; a larger one is no tool
_MAX_DEPTH = 8  # levels of a schema; below, the path above covers

_SEVERITY = (Effect.READ, Effect.FETCH, Effect.WRITE, Effect.EGRESS, Effect.SPEND, Effect.DESTROY)

# In this order: the first class that a verb has decides, so the one with the larger consequence stands first.
_EFFECT_OF_CLASS: tuple[tuple[str, Effect], ...] = (
    ("refund", Effect.SPEND), ("pay", Effect.SPEND), ("buy", Effect.SPEND), ("delete", Effect.DESTROY),
    ("send", Effect.EGRESS), ("reply", Effect.EGRESS), ("forward", Effect.EGRESS), ("share", Effect.EGRESS),
    ("invite", Effect.EGRESS), ("post", Effect.EGRESS), ("upload", Effect.EGRESS), ("book", Effect.EGRESS),
    ("execute", Effect.EGRESS), ("respond", Effect.EGRESS), ("like", Effect.EGRESS), ("request", Effect.EGRESS),
    ("fetch", Effect.FETCH), ("read", Effect.READ), ("create", Effect.WRITE), ("add", Effect.WRITE),
    ("update", Effect.WRITE), ("control", Effect.WRITE), ("auth", Effect.WRITE),
)  # fmt: skip

# Verbs with several meanings in the lexicon that mean one thing in the name of a tool.
_EFFECT_OF_VERB: Mapping[str, Effect] = dict.fromkeys(
    ["get", "list", "search", "find", "check", "show", "view", "read", "query", "count", "lookup", "look_up", "filter",
     "track", "load", "help", "guess", "sort", "rank", "select", "preview", "trace", "recall", "rate_limit", "poll",
     "is", "has", "see", "know", "monitor", "convert", "translate", "classify", "extract", "figure_out", "find_out"],
    Effect.READ,
) | dict.fromkeys(
    ["set", "create", "make", "add", "append", "insert", "update", "change", "edit", "modify", "move", "rename", "save",
     "store", "record", "log", "put", "write", "draft", "compose", "generate", "copy", "clone", "mark", "label", "tag",
     "archive", "unarchive", "merge", "close", "reopen", "complete", "start", "play", "pause", "lock", "arm", "turn",
     "turn_on", "turn_off", "switch", "open", "enable", "mute", "unmute", "pin", "star", "flag", "snooze", "restore",
     "reschedule", "attach", "include", "enter", "init", "set_up", "print", "hold", "keep", "document", "assign",
     "apply", "activate", "raise", "lower", "increase", "decrease", "adjust", "login", "log_in", "sign_in", "check_in",
     "log_out", "remember", "import", "export", "patch", "replace", "cut", "organize", "unpin", "resume", "bring",
     "sync", "connect", "link", "join", "leave", "plan", "hide", "sign_off", "upsert", "resolve", "split", "toggle",
     "freeze", "mute", "scale", "rotate", "drop_in", "toss_in", "stock", "restock", "free", "scrape_to", "format"],
    Effect.WRITE,
) | dict.fromkeys(
    ["reset", "disable", "deactivate", "unlock", "disarm", "block", "delete", "remove", "cancel", "drop", "clear",
     "kill", "shut_down", "stop", "void", "retract", "revoke", "withdraw_access", "discard", "close_down", "unfollow",
     "ban", "kick", "fire", "empty", "erase", "wipe", "purge", "terminate", "unsubscribe", "dismiss", "uninstall",
     "expire", "release_lock", "detach", "unlink", "disconnect", "truncate", "overwrite", "recall_message", "unset"],
    Effect.DESTROY,
) | dict.fromkeys(
    ["schedule", "order", "rent", "reserve", "book", "subscribe", "call", "issue", "submit", "release", "grant", "give",
     "provide", "allow", "submit", "charge_device", "contact", "ship", "return", "trade_link", "escalate", "process",
     "perform", "capture", "hire", "get_back", "follow_up", "sign_up", "register", "confirm", "approve", "accept"],
    Effect.EGRESS,
) | dict.fromkeys(
    ["pay", "transfer", "buy", "purchase", "refund", "wire", "donate", "withdraw", "deposit", "check_out", "checkout",
     "top_up", "charge", "sell", "trade", "invest", "reimburse", "remit", "bid", "stake", "redeem"],
    Effect.SPEND,
)  # fmt: skip

# `transfer_file`, `charge_battery`: verbs of money that need not be about money.
_ALSO_NOT_MONEY = frozenset({"transfer", "charge", "sell", "trade", "deposit", "wire", "credit", "redeem", "bid"})
_MONEY = frozenset({"money", "payment", "bill", "balance", "refund", "card"})
_MONEY_WORDS = frozenset(  # of `_MONEY`, those that are never about something else; `rate`, `note`, `card` are
    "money wallet fund payment transaction transfer standing_order direct_debit payout invoice bill rent iban cash refund "
    "scheduled_transaction scheduled_payment withdrawal deposit remittance wire usd eur donation balance".split()
)
_CREDENTIALS = frozenset({"password", "key", "pin"})
_PEOPLE = frozenset({"person", "employee"})
_GROUPS = frozenset({"channel", "team", "permission", "event", "repository", "list", "service"})
_TELL_ALL = frozenset({"permission"})  # who may see or do something is told to others by changing it
_READ_NOUNS = frozenset(
    "history status info information detail details summary count balance statistics stats weather forecast time date "
    "profile availability price prices menu hours metadata schema version health overview directory catalog reading readings metrics measurements".split()
)
_RETURNS = re.compile(
    r"returns\b(?!.*\b(?:orders?|items?|products?|purchases?|goods|parcels?|money|payments?)\b)", re.IGNORECASE
)
_COUNTED = frozenset("history count statistics stats".split())
_PREPOSITIONS = frozenset("to from in into on onto by of for with at as via and or per between".split())
_PHRASES = ("check_in", "check_out", "sign_up", "sign_in", "log_in", "log_out", "set_up", "look_up", "turn_on",
            "turn_off", "switch_on", "switch_off", "shut_down", "opt_out", "roll_back", "back_up", "sign_off",
            "follow_up", "clean_up", "spin_up", "top_up", "tear_down", "get_rid", "kick_out", "call_off")  # fmt: skip


@dataclass(frozen=True, slots=True, kw_only=True)
class Inferred:
    """What could be told of a tool. `presumed` are own fields only where labels are tight; `why` explains the effect."""

    spec: ToolSpec
    presumed: tuple[str, ...]
    why: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Words:
    """A tool's name, read: the verbs that say what it does, the nouns that say to what, the words as they are."""

    verbs: tuple[str, ...]  # base forms, the deciding one first
    objects: tuple[str, ...]  # singular nouns before a preposition (`user` in add_user_to_channel)
    places: tuple[str, ...]  # singular nouns after it
    many: bool = False  # a plural is acted on: `list_channels`
    effect: Effect
    why: str


def infer_spec(name: str, description: str, schema: Mapping[str, object], *, tight: bool = False) -> ToolSpec:
    """What can be told of a tool; `tight` counts the presumed fields of its results as own."""
    found = infer(name, description, schema)
    if not tight:
        return found.spec
    returns = found.spec.returns
    return replace(found.spec, returns=replace(returns, own=returns.own + found.presumed))


def infer(name: str, description: str, schema: Mapping[str, object]) -> Inferred:
    """What can be told of a tool from what it says of itself."""
    leaves = list(_leaves(schema))
    words = read_name(name, description)
    effect, why = _with_arguments(words, description, leaves)
    kind = _kind(words)
    arguments = tuple(_argument(leaf, effect, words, kind) for leaf in leaves)
    if effect is Effect.WRITE and (receiver := next((a.path for a in arguments if a.role is Role.RECIPIENT), "")):
        # Whoever is invited, assigned or copied learns of it: writing to others is sending.
        effect, why = Effect.EGRESS, f"{why}, and `{receiver}` names who receives"
    if effect is Effect.SPEND:
        arguments = tuple(_paid(a) for a in arguments)
    returns, presumed = _returns(words, description, effect, kind)
    refers = "" if effect in {Effect.READ, Effect.FETCH} or any(a.role is Role.ID for a in arguments) else kind
    spec = ToolSpec(
        name=name,
        effect=effect,
        description=description,
        arguments=arguments,
        returns=returns,
        refers=refers,
        schema=schema,
    )
    return Inferred(spec=spec, presumed=presumed, why=why)


# the effect


def read_name(name: str, description: str = "") -> Words:
    """The verbs and nouns of a tool, and the effect they alone speak for."""
    segments = [s for s in (_joined(name_words(part)) for part in re.split(r"\.|__|/|:", name)) if s]
    for segment in reversed(segments):  # `gmail.users.messages.send`: the last segment that has a verb
        if verbs := _verbs(segment):
            break
    else:
        segment, verbs = (segments[-1] if segments else []), ()
    # Nouns stand in the segment of the verb, or, if it has none, in the nearest one before.
    objects, places = _nouns(segment, verbs)
    for earlier in reversed(segments[: segments.index(segment)] if segment else []):
        if not objects:
            objects, _ = _nouns(earlier, ())
    many = any(singular(w) != w for w in segment)
    said = _described(description)
    if said[:1] == ("return",) and "return" not in verbs and _RETURNS.match(description.strip()):
        said = ("get", *said[1:])  # what docstrings say of functions, unless it is goods that go back
    certain = tuple(v for v in verbs if v not in AMBIGUOUS or _imperative(v, segment, said))
    # `order_history` is read; `order` alone, with nothing said of it, may well order.
    last = verbs if not segment or segment[-1] not in _READ_NOUNS else ()
    last = tuple(v for v in last if v in {segment[0], "list"} or v not in NOUNS)  # a `news_feed` feeds nobody
    for group, source in ((certain, "name"), (said, "description"), (last, "name")):
        if group:
            lead = tuple(dict.fromkeys(group))
            effect = max((_effect(v, objects + places) for v in lead), key=_SEVERITY.index)
            verb = next(v for v in lead if _effect(v, objects + places) is effect)
            return Words(
                verbs=(verb, *(v for v in lead if v != verb)),
                objects=objects,
                places=places,
                effect=effect,
                why=f"`{verb}` in the {source}",
                many=many,
            )
    if segment and segment[-1] in _READ_NOUNS:
        return Words(verbs=("get",), objects=objects, places=places, effect=Effect.READ, why=f"`{segment[-1]}` is read")
    return Words(
        verbs=(), objects=objects, places=places, effect=Effect.EGRESS, why="no known verb: the unsafe reading"
    )


def _joined(words: list[str]) -> list[str]:
    out: list[str] = []
    for word in words:
        if out and f"{out[-1]}_{word}" in _PHRASES:
            out[-1] = f"{out[-1]}_{word}"
        else:
            out.append(word)
    return compounds(out)


def _verbs(segment: Sequence[str]) -> tuple[str, ...]:
    """The verbs of one segment of a name that say what is done."""
    verbs = [(i, v.lemma) for i, w in enumerate(segment) if (v := verb_of(w)) and v.form == "base"]
    if not verbs:
        return ()
    # A leading word that is no word we know is a vendor: `jira_get_issue`.
    start = 0 if segment[0] in NOUNS or verb_of(segment[0]) or len(segment) == 1 else 1
    led = [v for i, v in verbs if i == start]
    joined = [v for i, v in verbs if i and segment[i - 1] in {"and", "or", "then", "&"}]  # `get_or_create_user`
    if led and led[0] not in AMBIGUOUS:
        return tuple(led + joined)
    # `email_search`, `order_cancel`: the first word is a noun after all. Among several, as in `todo_list_add`, the one
    # with the larger consequence counts; what `mark_as_read` reads is not done by the call.
    rest = [v for i, v in verbs if i != start and segment[i - 1] != "as" and (v not in AMBIGUOUS or v not in NOUNS)]
    if led and led[0] not in NOUNS:
        return tuple(led + rest)
    return tuple(rest) or tuple(led or [v for _, v in verbs])


def _imperative(verb: str, segment: Sequence[str], said: tuple[str, ...]) -> bool:
    """An ambiguous verb that leads a name with an object is meant as a verb, unless the description only reads."""
    if segment[0] != verb or len(segment) == 1:
        return verb in said
    # `order_history` is read, `update_profile` and `post_status` are not.
    counted = _COUNTED if CLASSES[verb] & {"send", "post"} else _READ_NOUNS
    if segment[-1] in counted and verb in NOUNS and verb != "list":
        return verb in said
    reads = bool(said) and all(_effect(v, ()) is Effect.READ for v in said)
    return not reads or _effect(verb, ()) in {Effect.READ, Effect.FETCH}


def _described(description: str) -> tuple[str, ...]:
    """The first verb of a description with those joined to it: `Look up an order and cancel it` has two."""
    sentence = re.split(r"[.\n;!?]", folded(description).strip(), maxsplit=1)[0].lower()
    words = _joined(re.findall(r"[a-z0-9'-]+", sentence))
    found: list[str] = []
    for i, word in enumerate(words):
        verb = verb_of(word)
        if verb is None or verb.form == "past" or verb.lemma in {"is", "has", "have", "let", "use", "help", "allow"}:
            continue
        ambiguous = verb.lemma in AMBIGUOUS
        at_verb = i == 0 or words[i - 1] in {"to", "and", "or", "then", "can", "will", "tool", "function"}
        if (not found and (not ambiguous or at_verb) and verb.form != "ing") or (
            found and words[i - 1] in {"and", "or", "then"}
        ):
            found.append(verb.lemma)
    return tuple(found)


def _effect(verb: str, nouns: Sequence[str]) -> Effect:
    """What `verb` does to objects called `nouns`."""
    classes = {c for n in nouns for c in NOUNS.get(n, ())}
    if verb in LIGHT and verb not in {"get", "put", "take", "complete"}:  # `make_payment`, `process_refund`, `do_login`
        acts = [_effect_of_classes(frozenset(ACTION_NOUNS[n])) for n in nouns if n in ACTION_NOUNS]
        if acts:
            return max(acts, key=_SEVERITY.index)
    if verb == "open" and classes & {"page", "email", "message", "file"}:
        return Effect.FETCH if "page" in classes else Effect.READ
    effect = _EFFECT_OF_VERB.get(verb) or _effect_of_classes(CLASSES.get(verb, frozenset()))
    if effect is Effect.SPEND and verb in _ALSO_NOT_MONEY and classes and not classes & _MONEY:
        return Effect.EGRESS
    if effect in {Effect.WRITE, Effect.EGRESS}:
        money = bool(_MONEY_WORDS & set(nouns)) and not classes & {"profile", "email", "file", "reminder", "event"}
        if money and verb not in {"approve", "track", "request", "label", "tag", "archive", "mark", "share", "export"}:
            return Effect.SPEND  # `send_money`, `schedule_payment`, `update_standing_order`
        if classes & _CREDENTIALS and verb not in {"create", "generate", "share", "send", "forward", "login", "log_in"}:
            return Effect.DESTROY  # the old password is gone, and so is whoever used it
        if classes & {"account"} and verb in {"close", "leave"}:
            return Effect.DESTROY
        if effect is Effect.WRITE and classes & _TELL_ALL:
            return Effect.EGRESS
    return effect


def _effect_of_classes(classes: frozenset[str]) -> Effect:
    return next((effect for name, effect in _EFFECT_OF_CLASS if name in classes), Effect.EGRESS)


def _nouns(segment: Sequence[str], verbs: Sequence[str]) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """The singular nouns of a segment: those that are acted on, and those after a preposition."""
    objects: list[str] = []
    places: list[str] = []
    into = objects
    left = list(verbs)
    for word in segment:
        if word in left:  # only once: `post_post`
            left.remove(word)
        elif word in _PREPOSITIONS:
            into = places
        elif not word.isdigit() and word not in {"all", "my", "the", "a", "new", "current", "user's"}:
            into.append(singular(word))
    return tuple(objects), tuple(places)


def _with_arguments(words: Words, description: str, leaves: Sequence[_Leaf]) -> tuple[Effect, str]:
    """The effect once the arguments are known."""
    names = {leaf.name: leaf for leaf in leaves}
    effect, why = words.effect, words.why
    if effect in {Effect.READ, Effect.FETCH}:
        if code := next((n for n, leaf in names.items() if _is_code(leaf)), ""):
            if "read-only" in description.lower() or "read only" in description.lower():
                return Effect.READ, f"{why}, read-only by its description"
            return Effect.EGRESS, f"`{code}` can do anything"
        if place := next((n for n, leaf in names.items() if _place(leaf)), ""):
            return Effect.FETCH, f"{why}, from `{place}`"
        if effect is Effect.FETCH and not set(words.verbs) & {"visit", "browse", "crawl", "scrape", "surf", "curl"}:
            return Effect.READ, f"{why}, from no place that the call names"
    if set(words.verbs) & {"add", "assign", "include", "enter", "enroll", "enrol"} and effect is Effect.WRITE:
        objects = {c for n in words.objects for c in NOUNS.get(n, ())}
        places = {c for n in words.places for c in NOUNS.get(n, ())}
        if objects & _PEOPLE and (places | objects) & _GROUPS:
            return Effect.EGRESS, f"{why}, and who joins may read"
    if effect is Effect.WRITE and (place := next((n for n, leaf in names.items() if _place(leaf)), "")):
        return Effect.EGRESS, f"{why}, and `{place}` is where it goes"
    if effect is Effect.WRITE and (shown := next((n for n, leaf in names.items() if _opens(leaf)), "")):
        return Effect.EGRESS, f"{why}, and `{shown}` decides who may read"
    return effect, why


# arguments


@dataclass(frozen=True, slots=True, kw_only=True)
class _Leaf:
    path: str
    name: str  # of the last step
    words: tuple[str, ...]
    parents: tuple[str, ...]  # names above it, outermost first
    types: frozenset[str]
    format: str
    enum: bool
    description: str


def _leaves(schema: Mapping[str, object]) -> Iterator[_Leaf]:
    """The plain values that a call may carry, by dotted path."""
    definitions = {
        f"#/{group}/{key}": value
        for group in ("$defs", "definitions")
        for key, value in _mapping(schema.get(group)).items()
    }
    # Beyond the limit an argument has no role: it is unknown, and must be vouched.
    yield from islice(_walk(schema, (), definitions, _MAX_DEPTH), MAX_ARGUMENTS)


def _walk(
    schema: Mapping[str, object], above: tuple[str, ...], definitions: Mapping[str, object], depth: int
) -> Iterator[_Leaf]:
    seen: set[str] = set()
    for part in _parts(schema, definitions, depth):
        for name, below in _mapping(part.get("properties")).items():
            if name in seen or not name or "." in name:  # a dot would read as a step; such a name stays unknown
                continue
            seen.add(name)
            parts = list(_parts(_mapping(below), definitions, depth))
            nested = any("properties" in p for p in parts)
            if nested and depth > 0:
                yield from _walk(_mapping(below), (*above, name), definitions, depth - 1)
            else:
                yield _leaf(above, name, parts)


def _parts(
    schema: Mapping[str, object], definitions: Mapping[str, object], depth: int
) -> Iterator[Mapping[str, object]]:
    """`schema` and all it is made of that describes the same value or the elements of a list of it."""
    yield schema
    if depth <= 0:
        return
    below: list[object] = [schema.get("items"), definitions.get(str(schema.get("$ref", "")))]
    for key in ("anyOf", "oneOf", "allOf"):
        options = schema.get(key)
        below += options if isinstance(options, list) else []
    for part in below:
        if isinstance(part, Mapping):
            yield from _parts(part, definitions, depth - 1)


def _leaf(above: tuple[str, ...], name: str, parts: Sequence[Mapping[str, object]]) -> _Leaf:
    types: set[str] = set()
    for part in parts:
        said = part.get("type")
        types |= (
            {said}
            if isinstance(said, str)
            else {t for t in said if isinstance(t, str)}
            if isinstance(said, list)
            else set()
        )
    return _Leaf(
        path=".".join((*above, name)),
        name=name,
        words=tuple(compounds(name_words(name))) or (name.lower(),),
        parents=above,
        types=frozenset(types - {"null"}),
        format=next((str(p["format"]) for p in parts if "format" in p), ""),
        enum=any("enum" in p or "const" in p for p in parts),
        description=" ".join(str(p["description"]) for p in parts if "description" in p).lower(),
    )


def _mapping(value: object) -> Mapping[str, object]:
    return {k: v for k, v in value.items() if isinstance(k, str)} if isinstance(value, Mapping) else {}


def _set(text: str) -> frozenset[str]:
    return frozenset(text.split())


_PAGING = _set(
    "cursor page_token next_token next_page_token continuation_token idempotency_key request_id offset_token sync_token "
    "max_tokens num_tokens"
)
_CREDENTIAL = _set("password passwd passphrase passcode secret token apikey pin otp cvv cvc pwd credential")
_RECIPIENT = _set(
    "to cc bcc recipient email mail participant attendee invitee phone mobile telephone assignee reviewer collaborator "
    "receiver addressee phone_number email_address interviewer approver delegate follower fax msisdn guest_email"
)
_ACCOUNT = _set("iban wallet payee beneficiary creditor bic swift acct")
_URL = _set(
    "url uri link href webhook endpoint callback website webpage web_page web_site hyperlink redirect permalink"
)
_HOST = _set("host hostname domain ip subdomain server fqdn nameserver")
_PATH = _set("path filepath directory dir cwd file folder_path attachment")
_TIME = _set(
    "date time datetime timestamp start end begin day deadline due when until since departure arrival recurrence "
    "weekday tomorrow expiry expires expiration birthday checkin checkout schedule month year"
)
_AMOUNT = _set(
    "amount price total budget cost sum quantity qty salary percentage replicas duration temperature fee tip bid weight "
    "discount minutes hours days nights adults children passengers rating stars score severity height width volume level "
    "brightness percent degrees"
)
_TITLE = _set("filename title subject location place heading headline label topic venue tag caption")
_TEXT = _set(
    "body content contents message text description comment note notes summary details reason reference memo prompt bio "
    "html markdown reply tweet remark feedback review answer greeting instruction transcript caption paragraph msg"
)
_COMMAND = _set("command cmd script sql statement shell bash program javascript python expression")
_OPTION = _set(
    "limit page offset sort format lang language locale verbose priority status state severity color colour mode type "
    "category unit currency encoding method timezone tz recurring fields include exclude max min top k count size "
    "ascending descending order_by sort_by per_page num first last skip take dry_run silent force flag recursive "
    "depth width height page_size"
)
_OPENING = _set("public anyone everyone admin visible external")
_GENERIC = _set(
    "object item record entity resource target parent source internal external unique the my old new current existing "
    "original selected this that document_ element"
)
_NUMBERED = _set("number no num nr key name code slug")
_OBJECT_NUMBERS = _set("issue pr order ticket invoice tracking case pull_request booking flight policy reference room")
_PERSON = _set(
    "user username person employee friend colleague member handle customer doctor contact owner manager patient"
)
_RANGE = _set("from to")

_DESCRIBED: tuple[tuple[re.Pattern[str], Role], ...] = (
    (re.compile(r"\bpassword|\bsecret\b|\bapi key|\baccess token"), Role.CREDENTIAL),
    (re.compile(r"\biban\b|\bbank account|\baccount number|\bwallet\b"), Role.ACCOUNT),
    (re.compile(r"\be-?mail address|\brecipient|\bphone number|\bwho (?:will|should) (?:receive|get)"), Role.RECIPIENT),
    (re.compile(r"\burl\b|\blink to\b|\bweb ?page|\bwebhook"), Role.URL),
    (re.compile(r"\bhost ?name\b|\bdomain\b|\bip address"), Role.HOST),
    (re.compile(r"\b(?:file|directory|folder) path|\bpath (?:to|of)\b"), Role.PATH),
    (re.compile(r"\bshell command|\bcommand to (?:run|execute)|\bcode to (?:run|execute)|\bsql\b"), Role.COMMAND),
    (re.compile(r"\biso ?8601|\byyyy-mm-dd|\bdate(?: and time)?\b|\btime of\b"), Role.TIME),
    (re.compile(r"\bamount of\b|\bprice\b|\bin (?:dollars|euros|usd|eur)\b"), Role.AMOUNT),
    (re.compile(r"\btitle\b|\bsubject\b"), Role.TITLE),
    (re.compile(r"\bname of\b"), Role.ENTITY),
    (re.compile(r"\b(?:body|content|text) of\b|\bthe text to\b"), Role.TEXT),
    (re.compile(r"\bmaximum number|\bnumber of results|\bsort order|\bwhether\b"), Role.OPTION),
)


def _is_code(leaf: _Leaf) -> bool:
    return bool(set(leaf.words) & (_COMMAND - {"expression", "statement", "program"}))


def _place(leaf: _Leaf) -> bool:
    words = {singular(w) for w in leaf.words}
    return bool(words & (_URL | (_HOST - {"server", "domain"}))) or leaf.format in {"uri", "url", "hostname"}


def _opens(leaf: _Leaf) -> bool:
    return bool(set(leaf.words) & {"public", "anyone", "visibility", "sharing", "permission", "permissions"})


def _argument(leaf: _Leaf, effect: Effect, words: Words, kind: str) -> Argument:
    role, of = _role(leaf, effect, words, kind)
    if role in {Role.UNKNOWN, Role.ENTITY} and leaf.parents:
        # `recipient.name`, `attendees.address`: the parent says what it decides
        above = replace(leaf, name=leaf.parents[-1], words=tuple(name_words(leaf.parents[-1])), parents=(), enum=False)
        outer, of_outer = _role(above, effect, words, kind)
        if outer in {Role.RECIPIENT, Role.ACCOUNT, Role.CREDENTIAL, Role.URL}:
            role, of = outer, of_outer
    return Argument(path=leaf.path, role=role, kind=of)


def _role(leaf: _Leaf, effect: Effect, words: Words, kind: str) -> tuple[Role, str]:
    """What one argument decides, and for an id, the kind of its object."""
    parts = [w for w in leaf.words if w not in {"the", "new", "old", "my"}] or list(leaf.words)
    name, has = "_".join(parts), set(parts) | {singular(p) for p in parts}
    last, first = singular(parts[-1]), singular(parts[0])
    integer = leaf.types <= {"integer", "number"} and bool(leaf.types)
    if name in _PAGING:
        return Role.OPTION, ""
    if leaf.types == {"boolean"}:
        # A switch that shows things to the world is no mere option.
        return (Role.UNKNOWN if has & _OPENING else Role.OPTION), ""
    if first in {"max", "min", "num", "n", "limit", "include", "exclude", "is", "has", "total_count"} or name == "n":
        return Role.OPTION, ""
    if last in {"id", "uuid", "guid", "ids", "uid"}:
        return _id(parts[:-1], kind, effect)
    if {"api", "key"} <= has or {"access", "key"} <= has or {"private", "key"} <= has or has & _CREDENTIAL:
        return Role.CREDENTIAL, ""
    if has & {"key", "credential"} and has & {"api_key", "access_key", "ssh_key"}:
        return Role.CREDENTIAL, ""
    if has & {"api_key", "access_key", "ssh_key", "security_code", "verification_code"} or (
        last == "code"
        and (first in {"verification", "security", "auth", "access"} or set(words.verbs) & {"arm", "disarm", "unlock"})
    ):
        return Role.CREDENTIAL, ""
    if has & _ACCOUNT or (
        first in {"account", "routing", "sort", "bank", "card"} and last in {"number", "code", "no", "account"}
    ):
        return Role.ACCOUNT, ""
    if name in {"card_number", "bank_account", "bank_account_number", "credit_card", "debit_card"}:
        return Role.ACCOUNT, ""
    if last == "address" and {"wallet", "crypto", "bitcoin", "coin"} & {*words.objects, *words.places}:
        return Role.ACCOUNT, ""
    if last == "summary" and kind == "event":
        return Role.TITLE, ""
    if last == "account":
        money = effect is Effect.SPEND or _MONEY_WORDS & set(words.objects)
        return (Role.ACCOUNT if money else Role.ENTITY), ""
    if has & _URL or leaf.format in {"uri", "url", "iri", "uri-reference"}:
        return Role.URL, ""
    if (
        leaf.format in {"email", "idn-email"}
        or last in _RECIPIENT
        or (first in {"recipient", "to", "cc", "bcc"} and effect is not Effect.READ)
    ):
        return _recipient(leaf, effect, integer=integer, last=last, has=has)
    if name in {"share_with", "shared_with", "invite", "notify", "send_to", "mail_to", "reply_to", "assign_to"}:
        return Role.RECIPIENT, ""
    if leaf.format in {"hostname", "ipv4", "ipv6"} or has & _HOST:
        return Role.HOST, ""
    if (
        last in _NUMBERED - {"name", "code"}
        and len(parts) > 1
        and singular(parts[-2]) in _OBJECT_NUMBERS | set(words.objects)
    ):
        return _id(parts[:-1], kind, effect)
    if leaf.format in {"date", "date-time", "time", "duration"}:
        return Role.TIME, ""
    if last == "code" and (set(words.verbs) & {"run", "execute", "eval"} or "program" in leaf.description):
        return Role.COMMAND, ""
    if last in _COMMAND and last not in {"python", "program"}:
        return Role.COMMAND, ""
    if last == "filename" or name in {"file_name", "document_title", "new_name", "display_name"}:
        return (Role.TITLE if effect is not Effect.DESTROY else Role.ENTITY), ""
    if has & _PATH and (leaf.types <= {"string", "array"}):
        return Role.PATH, ""
    if set(words.verbs) & {"move", "copy", "rename"} and last in {"source", "destination", "src", "dest", "dst"}:
        return Role.PATH, ""
    if (
        first in {"start", "end", "due", "departure", "arrival"}
        or last in _TIME
        or name.endswith(("_at", "_on"))
        or name in {"check_in", "check_out"}
    ):
        return Role.TIME, ""
    if last in _AMOUNT or first in {"amount", "price", "budget"}:
        return Role.AMOUNT, ""
    if leaf.enum or name in _OPTION or last in _OPTION:
        return Role.OPTION, ""
    if last in _TITLE or (last == "name" and _names_new(parts, words)):
        return Role.TITLE, ""
    if last in _TEXT:
        return Role.TEXT, ""
    if last == "query" or name in {"q", "search", "search_term", "keyword", "keywords", "term", "filter"}:
        return (Role.TEXT if effect in {Effect.READ, Effect.FETCH} else Role.COMMAND), ""
    if last in _PERSON and set(words.verbs) & {"send", "message", "dm", "text", "notify", "email", "invite", "share"}:
        return Role.RECIPIENT, ""
    if leaf.types and "object" in leaf.types:
        return Role.UNKNOWN, ""
    if integer and NOUNS.get(last, frozenset()) & {"thermostat", "money", "payment", "discount"}:
        return Role.AMOUNT, ""
    if integer and (last in NOUNS or last == kind):
        return Role.ID, kind_of(last)
    if not integer and (last in NOUNS or last in {"name", "username", "city", "country", "company", "origin", "destination",
        "brand", "model", "owner", "author", "sender", "region", "state", "slug", "code", "symbol", "ticker", "specialty"}):  # fmt: skip
        return Role.ENTITY, ""
    for pattern, role in _DESCRIBED:
        if pattern.search(leaf.description):
            return role, ""
    return Role.UNKNOWN, ""


def _recipient(leaf: _Leaf, effect: Effect, *, integer: bool, last: str, has: set[str]) -> tuple[Role, str]:
    if integer or (has & _RANGE and has & _TIME):  # `to_date`, `guests: 4`
        return (Role.TIME if has & _TIME else Role.AMOUNT), ""
    if last == "to" and effect is Effect.READ:  # the end of a range
        return Role.ENTITY, ""
    if re.search(r"\biban\b|\bbank account|\baccount number|\bwallet\b", leaf.description):
        return Role.ACCOUNT, ""
    return Role.RECIPIENT, ""


def _names_new(parts: Sequence[str], words: Words) -> bool:
    """The `name` of what is being made names nothing that exists."""
    made = bool(set(words.verbs) & {"create", "add", "make", "rename", "new", "register", "open", "generate", "clone"})
    return made and (len(parts) == 1 or singular(parts[-2]) in words.objects or parts[0] == "new")


def _id(prefix: Sequence[str], kind: str, effect: Effect) -> tuple[Role, str]:
    """An id of the kind that its name says, else of the tool's own kind. Who receives is a receiver, by id or not."""
    named = [p for p in prefix if singular(p) not in _GENERIC]
    if named and singular(named[-1]) in {
        "recipient",
        "assignee",
        "to",
        "invitee",
        "attendee",
        "participant",
        "reviewer",
    }:
        return Role.RECIPIENT, ""
    if named[:1] == ["to"] and effect is not Effect.READ:
        return Role.RECIPIENT, ""
    if named:
        return Role.ID, kind_of("_".join(compounds(named)))
    return (Role.ID, kind) if kind else (Role.UNKNOWN, "")


def _paid(argument: Argument) -> Argument:
    """Who receives money is an account, whatever it is called. Who gets a copy of the receipt is not."""
    last = argument.path.rpartition(".")[2].lower()
    paid = last in {"to", "recipient", "receiver", "destination", "recipient_id", "to_account", "recipients"}
    return Argument(path=argument.path, role=Role.ACCOUNT) if paid else argument


# results

# What a service sets itself, whoever wrote the rest of the record.
_OWN = (
    "id", "id_", "uuid", "created", "created_at", "updated", "updated_at", "modified", "modified_at", "last_modified",
    "timestamp", "received_at", "sent_at", "size", "count", "total", "total_count", "version", "status", "state", "read",
    "unread", "is_read", "starred", "archived", "draft", "success", "ok", "has_more", "next_page", "page",
)  # fmt: skip
# What an outsider could set with effort: a forged sender, an invitation, a file shared by somebody else.
_PRESUMED = (
    "sender", "from", "from_", "author", "creator", "created_by", "owner", "organizer", "assignee", "participants",
    "attendees", "recipients", "to", "cc", "bcc", "members", "shared_with", "user", "username", "email", "start", "end",
    "start_time", "end_time", "date", "due_date", "amount", "recipient",
)  # fmt: skip
_NAMES = {
    "email": ("subject",), "event": ("title", "summary", "name"), "file": ("filename", "title", "name"),
    "task": ("title", "name"), "issue": ("title",), "ticket": ("subject", "title"), "transaction": ("subject",),
}  # fmt: skip

_OWN_WORDS = frozenset(  # kept by the service or by the user, in fields nobody else writes to
    "balance iban profile info contact address_book price opening_hour hour availability catalog catalogue menu "
    "exchange_rate rate quota whoami me timezone currency setting preference setting weather forecast stock_price "
    "device sensor temperature shipping_rate fare user_info user_information contact_info address_book".split()
)
_CURRENT = frozenset({"day", "time", "date", "user", "timezone", "month", "year", "location", "directory"})
_FREE_TEXT = frozenset(  # others write here, so nothing the tool is named after makes it own
    "review comment message mail email post tweet ticket issue feed page web article document file note description "
    "feedback search result attachment inbox thread news webpage content transcript log body chat".split()
)
_LISTED = frozenset({"list", "get", "show", "find", "enumerate"})
_SECRETIVE = re.compile(
    r"passport|\bssn\b|social[ _]security|identity|\bcards?\b|credit|passwords?|credentials?|secrets?\b|api[ _]keys?|"
    r"salar(?:y|ies)|payroll|health|medical|patients?|\blab\b|diagnos|prescri|insurance|personal[ _](?:data|info|details)|"
    r"date[ _]of[ _]birth|driver'?s?[ _]licen[cs]e|\btokens?\b|private[ _]key"
)


def _camel(name: str) -> str:
    """`created_at` as other services spell it: `createdAt`."""
    first, *rest = name.rstrip("_").split("_")
    return first + "".join(w.capitalize() for w in rest)


def _kind(words: Words) -> str:
    """The kind of object a tool is about: the last noun that is acted on, `email` in `search_unread_emails`."""
    for group in (words.objects, words.places):
        known = [n for n in group if n in NOUNS and n not in {"list", "http", "https", "info", "information"}]
        if known:
            return kind_of(known[-1])
        if group and group is words.objects:
            return kind_of(group[-1])
    return ""


def _returns(words: Words, description: str, effect: Effect, kind: str) -> tuple[Returns, tuple[str, ...]]:
    """Whose words a result is, as far as the name tells, and the fields to presume."""
    nouns = (*words.objects, *words.places)
    secret = effect in {Effect.READ, Effect.FETCH} and bool(
        _SECRETIVE.search(f"{' '.join(nouns).replace('_', ' ')} {description}".lower())
    )
    ids = ("id", "id_", "uuid", f"{kind}_id", _camel(f"{kind}_id")) if kind else ("id", "id_", "uuid")
    if effect is Effect.READ and _self_describing(words):
        return Returns(object=kind, id=ids, own=("*",), confidential=secret), ()
    listing = effect is Effect.READ and words.many and bool(set(words.verbs) & _LISTED) and not set(nouns) & _FREE_TEXT
    return (
        Returns(
            object=kind,
            id=ids,
            names=_NAMES.get(kind, ()),
            own=tuple(dict.fromkeys((*ids, *_OWN, *map(_camel, _OWN)))),
            # One plain identifier carries no sentence: names in a listing, the answer of a lookup.
            typed=(".",) if listing else (),
            confidential=secret,
        ),
        tuple(dict.fromkeys((*_PRESUMED, *map(_camel, _PRESUMED)))) if kind else (),
    )


def _self_describing(words: Words) -> bool:
    """The service or the user alone fills this: the clock, the balance, the own profile, prices, contacts."""
    if "search" in words.verbs and not set(words.objects) & {"contact", "address_book"}:
        return False
    nouns = {singular(n) for n in (*words.objects, *words.places)}
    if nouns & _FREE_TEXT:
        return False
    if "whoami" in {*nouns, *words.verbs} or (len(nouns) == 1 and nouns <= _CURRENT and "list" not in words.verbs):
        return True
    return (
        bool(nouns & _OWN_WORDS) or nouns >= {"account", "detail"} or nouns >= {"user", "detail"} or "address" in nouns
    )


# the first manifest


def suggest_manifest(tools: Sequence[tuple[str, str, Mapping[str, object]]]) -> str:
    """A commented first manifest for `tools` (name, description, JSON Schema), for a human to review."""
    lines = [
        "# Inferred from names, descriptions and schemas. Read it: what a tool says of itself is a claim.",
        "version: 1",
        "me: []  # your own addresses, for conditions such as `sender == me`",
        "labels: conservative  # `tight` also believes the `presumed` fields",
        "agents:",
        f"  assistant: {{tools: [{', '.join(_plain(name) for name, _, _ in tools)}]}}",
        "tools:" if tools else "tools: {}",
    ]
    inferred = [infer(name, description, schema) for name, description, schema in tools]
    kinds = frozenset(k for i in inferred for k in (i.spec.returns.object, i.spec.refers))
    for found in inferred:
        lines += _tool_lines(found, kinds)
    return "\n".join(lines) + "\n"


def _tool_lines(found: Inferred, kinds: frozenset[str]) -> list[str]:
    """The lines of one tool. `kinds`: of objects that some tool returns; ids of others a manifest must not speak of."""
    spec, returns = found.spec, found.spec.returns
    stray = [a for a in spec.arguments if a.kind and a.kind not in kinds]
    lines = [f"  {_plain(spec.name)}:", "    kind: function", f"    effect: {spec.effect}  # {_one_line(found.why)}"]
    if told := [a for a in spec.arguments if a not in stray]:
        roles = [f"{_plain(a.path)}: {_plain(f'id:{a.kind}' if a.kind else str(a.role))}" for a in told]
        lines.append(f"    arguments: {{{', '.join(roles)}}}")
    lines += [
        f"    # {json.dumps(a.path)} is taken for the id of a {a.kind}, but no tool returns one: "
        f"say which does, with `returns: {{object: {a.kind}}}`, or give the argument another role"
        for a in stray
    ]
    unknown = [a.path for a in spec.arguments if a.role is Role.UNKNOWN]
    if unknown:
        lines.append(
            f"    # say what decides: {', '.join(json.dumps(u) for u in unknown)}; unknown must be vouched, word for word"
        )
    if spec.refers:
        lines.append(f"    refers: {_plain(spec.refers)}")
    fields = [f"object: {_plain(returns.object)}"] if returns.object else []
    for key, values in (
        ("id", returns.id), ("names", returns.names), ("own", returns.own), ("presumed", found.presumed),
        ("typed", returns.typed),
    ):  # fmt: skip
        fields += [f"{key}: [{', '.join(_plain(v) for v in values)}]"] if values else []
    if returns.confidential:
        fields.append("confidential: true")
    lines.append("    returns:")
    lines += [f"      {f}" for f in fields]
    return lines


def _one_line(text: str) -> str:
    """`text` as a comment: a name of an argument must not end it and go on as YAML."""
    return " ".join(text.split())


_YAML_PLAIN = re.compile(r"[A-Za-z_][A-Za-z0-9_-]*")
_YAML_WORDS = frozenset("true false yes no on off null y n".split())


def _plain(text: str) -> str:
    """`text` as a YAML scalar; quoted wherever YAML could read something else."""
    if _YAML_PLAIN.fullmatch(text) and text.lower() not in _YAML_WORDS:
        return text
    return json.dumps(text)
