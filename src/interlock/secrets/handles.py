"""A secret is a handle with a value that shows itself nowhere.

`Secret` prints, formats, copies and fails as its handle. The value stands in a closure, so that neither `vars` nor an
error reporter's view of a frame prints it. `reveal` gives it inside a grant only; the vault opens grants, for one call,
for named handles, and a closed grant stays closed, also in tasks and threads that copied its context (M7).
"""

from __future__ import annotations

import hmac
import re
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import NoReturn, final

from interlock.secrets.errors import SecretError

SCHEME = "secret://"
_HANDLE = re.compile(r"secret://([A-Za-z_][A-Za-z0-9_.-]{0,127})")


def name_of(handle: str) -> str:
    """`NAME` of `secret://NAME`.

    Raises:
        SecretError: it is no handle. The message repeats nothing of it: who writes a value in its place must not see
            it in a log.
    """
    matched = _HANDLE.fullmatch(handle)
    if matched is None:
        raise SecretError(
            "this is no handle; write `secret://NAME` with a name of letters, digits, `_`, `-` and `.`",
            hint="never write the value itself: put it into the environment or a secret file",
        )
    return matched[1]


class _Grant:
    """Leave to reveal some names of one vault until it is closed."""

    __slots__ = ("names", "open", "owner")

    def __init__(self, owner: object, names: frozenset[str]) -> None:
        self.owner, self.names, self.open = owner, names, True


_CURRENT: ContextVar[_Grant | None] = ContextVar("interlock_secrets_grant", default=None)


@contextmanager
def _granted(owner: object, names: frozenset[str]) -> Iterator[None]:
    """Only `vault` opens grants; tests/secrets/test_handles.py holds everybody else to it."""
    grant = _Grant(owner, names)
    token = _CURRENT.set(grant)
    try:
        yield
    finally:
        grant.open = False  # also for whoever copied this context: a task, an executor
        _CURRENT.reset(token)


@final
class Secret:
    """One secret of one vault. Everything but `reveal` shows `secret://NAME`."""

    __slots__ = ("__owner", "__take", "name")

    name: str

    def __init__(self, name: str, value: str, *, owner: object) -> None:
        object.__setattr__(self, "name", name)
        object.__setattr__(self, "_Secret__owner", owner)
        object.__setattr__(self, "_Secret__take", lambda: value)

    def reveal(self) -> str:
        """The value.

        Raises:
            SecretError: outside `Vault.performing`, or for a handle that was not named there.
        """
        grant = _CURRENT.get()
        if grant is None or not grant.open or grant.owner is not self.__owner:  # type: ignore[attr-defined]
            raise SecretError(f"`{self}` has no value outside `perform`; open `Vault.performing` with the permit (M7)")
        if self.name not in grant.names:
            raise SecretError(f"`{self}` was not named when this `perform` began; name it in `Vault.performing`")
        value: str = self.__take()  # type: ignore[attr-defined]
        return value

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Secret):
            return NotImplemented
        mine: str = self.__take()  # type: ignore[attr-defined]
        same = hmac.compare_digest(mine.encode(), other.__take().encode())  # type: ignore[attr-defined]
        return same and self.name == other.name

    def __hash__(self) -> int:
        return hash(self.name)

    def __repr__(self) -> str:
        return f"Secret({self})"

    def __str__(self) -> str:
        return SCHEME + self.name

    def __format__(self, spec: str) -> str:
        return format(str(self), spec)

    def __setattr__(self, name: str, value: object) -> NoReturn:
        raise SecretError(f"`{self}` does not change")

    def __copy__(self) -> Secret:
        return self

    def __deepcopy__(self, memo: object) -> Secret:
        return self

    def __reduce_ex__(self, protocol: object) -> NoReturn:
        raise SecretError(f"`{self}` is not pickled; pickle the handle")
