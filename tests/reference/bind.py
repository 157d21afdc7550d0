"""Vouching once more, slowly: every trusted text is scanned for every value, without an index and without a pattern.

It knows five roles and the plain spellings of their values; where it says yes or no, `interlock.provenance` must too.
"""

EDGES = "'\"`()[]{}<>.,;:!?*"
WEB_PORTS = (":80", ":443")
KIND_WORDS = {"order": "order", "orders": "order", "file": "file", "files": "file"}
EMPTY = ("i", "a", "an", "in", "so", "on")  # words that name nobody
MARKS = ("id", "number", "no", "#")


def vouched(role: str, value: str, texts: list[str], kind: str = "") -> bool:
    if role == "id":
        return any(_id(value, kind, text) for text in texts)
    if role == "recipient" and "@" in value[1:]:
        parts = value.replace(";", ",").split(",")
        return all(any(_address(part.strip(), text) for text in texts) for part in parts)
    match role:
        case "url":
            return any(_url(value) and _url(value) == _url(piece) for text in texts for piece in _pieces(text))
        case "account" if _bare(value).isalnum() and sum(c.isdigit() for c in value) > 3:
            return any(_bare(value) in _accounts(text) for text in texts)
        case _:
            return any(_named(value, text) for text in texts)


def _pieces(text: str) -> list[str]:
    """The words of a text, each with ever less of the punctuation around it."""
    found = []
    for token in text.split():
        for start in range(len(token)):
            if start and token[start - 1] not in EDGES:
                break
            for end in range(len(token), start, -1):
                found.append(token[start:end])
                if token[end - 1] not in EDGES:
                    break
    return found


def _address(value: str, text: str) -> bool:
    if value.endswith(">") and "<" in value:
        shown, value = value[:-1].split("<", 1)
        if "@" in shown or "<" in value:
            return False
    local, _, domain = value.partition("@")
    if not local[:1].isalnum() or "." not in domain or not value.isascii() or set(value) & set(' <>"\n\t,;:()[]'):
        return False
    if any(not label or label.strip("-") != label for label in domain.split(".")) or "@" in domain:
        return False
    return any(value.lower() == piece.lower() for piece in _pieces(text))


def _url(value: str) -> str:
    """Host and the rest, or nothing."""
    scheme, colon, rest = value.partition("://")
    if not colon:
        scheme, rest = "", value
    host = ""
    if not all(c.isalnum() or c in "+.-" for c in scheme) or (colon and not scheme):
        return ""
    while rest and rest[0] not in "/?#":
        host, rest = host + rest[0], rest[1:]
    for port in WEB_PORTS:
        host = host.removesuffix(port)
    host = host.lower().removesuffix(".")
    if (
        not host
        or ("." not in host and "://" not in value)
        or not all(c.isalnum() or c in ".-" for c in host)
        or not value.isascii()
    ):
        return ""
    if (
        not colon
        and not host.startswith("www.")
        and not (host.rpartition(".")[2].split(":")[0].isalpha() and len(host.rpartition(".")[2]) > 1)
    ):
        return ""  # without a scheme only what ends like a domain is a place
    if not value.isprintable() or set(value) & set(' \\<>"`'):
        return ""
    host = ("" if scheme.lower() in {"", "http", "https"} else f"{scheme.lower()}://") + host
    return host + (rest if "?" in rest or "#" in rest else rest.rstrip("/"))


def _bare(value: str) -> str:
    return value.replace(" ", "").replace("-", "").upper() if value.isascii() and value.isprintable() else "?"


def _accounts(text: str) -> set[str]:
    found = {_bare(p) for p in _pieces(text) if p.replace("-", "").isalnum() and not _is_date(p)}
    groups = text.replace("-", " ").split()
    for start in range(len(groups)):
        joined = ""
        for n, group in enumerate(groups[start : start + 9]):
            bare = group.rstrip(EDGES)
            if (
                not bare.isalnum()
                or len(bare) > 4
                or (n == 0 and (len(bare) != 4 or not bare[:2].isalpha() or not bare[2:].isdigit()))
            ):
                break
            joined += bare.upper()
            if len(joined) >= 15:
                found.add(joined)
            if bare != group:
                break
    run: list[str] = []
    for group in [*text.replace("-", " ").split(), ""]:
        bare = group.rstrip(EDGES)
        if bare.isdigit() and len(bare) > 1:
            run.append(bare)
        if not (bare.isdigit() and len(bare) > 1) or bare != group:
            found.add("".join(run))
            run = []
    return {f for f in found if 4 <= len(f) <= 34}


def _is_date(value: str) -> bool:
    parts = value.split("-")
    return len(parts) == 3 and all(p.isdigit() for p in parts) and {len(parts[0]), len(parts[2])} in ({4, 2}, {4, 1})


def _named(value: str, text: str) -> bool:
    """The words of `value`, which are plain ones, stand in the text side by side."""
    wanted = value.lower().rstrip(".").split()
    if all(w in EMPTY for w in wanted):
        return False
    if value.lower() in text.lower().split():
        return True
    told = [token.strip(EDGES).lower() for token in text.split()]
    told = [t for t in told if t]
    return any(told[i : i + len(wanted)] == wanted for i in range(len(told) - len(wanted) + 1))


def _id(value: str, kind: str, text: str) -> bool:
    if not value[-1:].isalnum():
        return False
    told = []
    for token in text.replace("#", " # ").split():
        bare = token.strip(EDGES).lower()
        if bare:
            told.append(bare)
    for i, token in enumerate(told):
        if token != value.lower():
            continue
        before = [t for t in told[max(0, i - 8) : i] if t not in {"and", "or"} and not t.isdigit()]
        kinds = [KIND_WORDS[t] for t in before if t in KIND_WORDS]
        if kinds and kinds[-1] != kind:
            continue
        near = before[-3:]
        if any(t in MARKS or KIND_WORDS.get(t) == kind for t in near):
            return True
        if len(value) >= 6 and any(c.isdigit() for c in value):
            return True
    return False
