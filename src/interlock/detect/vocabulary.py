"""Words that tell a text from noise once it has been turned round: no evidence by themselves.

`triggers` are rare enough in turned-round text (rot13, backwards, digits read as letters) to say that somebody wrote it
that way on purpose. `split` cuts letters without spaces into words: the fewest pieces that are known.
"""

from __future__ import annotations

import re

MAX_SPLIT = 4000  # letters that are cut into words; what follows stays in one piece
_LONGEST = 14
_BY = 7  # distinct triggers are counted up to here

TRIGGERS = frozenset(
    "ignore ignoring disregard forget override instruction instructions instructed previous previously system "
    "prompt prompts password passwords secret secrets credential credentials assistant developer administrator "
    "jailbreak bypass execute delete transfer reveal exfiltrate confidential unrestricted restrictions guidelines "
    "forward attacker anthropic openai chatgpt pretend roleplay api_key token webhook payload malicious invoice "
    "iban".split()
)
COMMON = TRIGGERS | frozenset(
    "a about above access account accounts act action add address admin after again agent ai all also always an and "
    "answer any anyone are as ask at attach away back bank be because been before being below but by call can "
    "change chat check code command commands confirm contact contents context copy could crucial data database "
    "details directive directives directly do document does done dont down each email emails end ensure error even "
    "every everything example extract false file files find first follow following for format free from full get "
    "give given go good grant had has have he hello help her here hidden him his history how i if immediately "
    "important in include information inform inside install instead into is it its just keep key keys know last let "
    "like link list login log made mail make me mention message messages mode money more most must my name need "
    "never new next no not note nothing now number of off on once one only open or order other our out output over "
    "own page pay payment perform please policy post print priority private program provide purchase put question "
    "read ready receive record remember remove repeat reply report request required respond response result return "
    "role root rule rules run safe safety save say script search security see send server set shall share shell "
    "should show silently since site so some start stop store such summary task tasks tell text than that the their "
    "them then there these they thing this those time to tool tools translate true trust until unless up update "
    "upload urgent us use user users using value verify version very via visit want was way we web were what when "
    "where which while who whole why will with without word words work would write wrote www yes you your yourself "
    "http https com org net reset limits limit rather whatever anything absolutely today user's".split()
)

_ROTATED = str.maketrans(
    "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ", "nopqrstuvwxyzabcdefghijklmNOPQRSTUVWXYZABCDEFGHIJKLM"
)
# Shorter ones occur by chance.
_LONG = tuple(sorted(word for word in TRIGGERS if len(word) >= 6 and word.isalpha()))  # noqa: PLR2004
_ROT13 = tuple(word.translate(_ROTATED) for word in _LONG)
_REVERSED = tuple(word[::-1] for word in _LONG)
_WORD = re.compile(r"[^\W_]+")


def rotated(text: str) -> str:
    """`text` in rot13."""
    return text.translate(_ROTATED)


def triggers(text: str) -> int:
    """How many different triggers stand in `text`, as words; counted up to a handful."""
    found: set[str] = set()
    for word in _WORD.finditer(text):
        if (lower := word[0].lower()) in TRIGGERS:
            found.add(lower)
            if len(found) >= _BY:
                break
    return len(found)


def in_rot13(lower: str) -> bool:
    """A long trigger stands in the lower-case text in rot13."""
    return any(word in lower for word in _ROT13)


def in_reverse(lower: str) -> bool:
    """A long trigger stands in the lower-case text backwards."""
    return any(word in lower for word in _REVERSED)


def plain(lower: str) -> bool:
    """A long trigger stands in the lower-case text, also inside a longer word."""
    return any(word in lower for word in _LONG)


def split(letters: str) -> list[str]:
    """`letters`, lower case, cut into known words where that leaves little over.

    Least cost over all cuts: 1 for a known word, 3 for a letter that belongs to none.
    """
    head, rest = letters[:MAX_SPLIT], letters[MAX_SPLIT:]
    best: list[tuple[int, int]] = [(0, 0)]  # cost of the first i letters, and where the last piece starts
    for end in range(1, len(head) + 1):
        choice = (best[end - 1][0] + 3, end - 1)
        for start in range(max(0, end - _LONGEST), end):
            if head[start:end] in COMMON:
                choice = min(choice, (best[start][0] + 1, start))
        best.append(choice)
    pieces: list[str] = []
    loose = ""
    end = len(head)
    while end:
        start = best[end][1]
        piece = head[start:end]
        if piece in COMMON:
            pieces += [loose, piece] if loose else [piece]
            loose = ""
        else:
            loose = piece + loose
        end = start
    if loose:
        pieces.append(loose)
    return [*reversed(pieces), *([rest] if rest else [])]
