"""The environment of a child process: what it needs to run, and no secret.

Everything is left out that is not named here or by the operator: the name of a variable says too little to forbid by.
What stays is looked through for known values all the same (`LANG=sk-…` is no language).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from interlock.secrets.errors import SecretError
from interlock.secrets.matcher import Matcher

NEEDED = frozenset("PATH HOME LANG LANGUAGE TZ TERM COLUMNS LINES TMPDIR USER LOGNAME SHELL".split())


def child_environment(environ: Mapping[str, str], matcher: Matcher, *, keep: Iterable[str] = ()) -> dict[str, str]:
    """What a child process may inherit of `environ`: `NEEDED`, `LC_*` and the variables that the operator `keep`s.

    Raises:
        SecretError: a variable to `keep` holds a secret.
    """
    kept = frozenset(keep)
    environment = {}
    for name, value in environ.items():
        if name in kept or name in NEEDED or name.startswith("LC_"):
            names = matcher.found(value)
            if not names:
                environment[name] = value
            elif name in kept:
                raise SecretError(f"`{name}` holds `secret://{names[0]}`, which no child process may have")
    return environment
