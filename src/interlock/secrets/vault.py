"""The secrets of one process: loaded once at the start, revealed only inside `perform`, matched everywhere else.

`performing` asks the mint for the permit before it opens a grant: whoever has no permit for this very call gets no
value (M7). `opening` is for the one moment that has no call: a capability that connects or proves itself at start-up;
only the composition root uses it. Values are read once: a rotated secret needs a restart.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager

from interlock.kernel.call import Call
from interlock.kernel.decision import Permit
from interlock.secrets.errors import SecretError, SecretMissing
from interlock.secrets.handles import Secret, _granted, name_of
from interlock.secrets.matcher import Matcher
from interlock.secrets.sources import Source


class Vault:
    """Every secret that the manifest names. `check` is the mint's: it raises for a permit that is not for the call.

    Raises:
        SecretMissing: some are nowhere; the message names them all.
        SecretError: one cannot be used as it is.
    """

    __slots__ = ("__check", "__secrets", "matcher", "places", "warnings")

    def __init__(self, handles: Iterable[str], sources: Source, check: Callable[[Permit, Call], None]) -> None:
        self.__check = check
        self.__secrets: dict[str, Secret] = {}
        self.places: dict[str, str] = {}  # name → where it was found, for `doctor`
        warnings: list[str] = []
        missing: list[SecretMissing] = []
        for name in dict.fromkeys(name_of(handle) for handle in handles):
            try:
                loaded = sources.load(name, owner=self)
            except SecretMissing as error:
                missing.append(error)
                continue
            self.__secrets[name] = loaded.secret
            self.places[name] = loaded.place
            warnings += loaded.warnings
        if missing:
            places = tuple(place for error in missing for place in error.places)
            raise SecretMissing("; ".join(map(str, missing)), places=places, hint=missing[0].hint)
        with _granted(self, frozenset(self.__secrets)):
            self.matcher = Matcher({name: secret.reveal() for name, secret in self.__secrets.items()})
        self.warnings = (*warnings, *self.matcher.warnings)

    def __repr__(self) -> str:
        return f"Vault({', '.join(map(str, self.__secrets.values()))})"

    def get(self, handle: str) -> Secret:
        """The secret behind `handle`, closed.

        Raises:
            SecretError: the manifest names no such handle, so it was never loaded.
        """
        name = name_of(handle)
        if name not in self.__secrets:
            raise SecretError(f"`secret://{name}` was not loaded; name it in the manifest")
        return self.__secrets[name]

    def resolve(self, handle: str) -> str:
        """The value behind `handle`: what a `Context` offers as `secrets`. It raises outside a grant (M7)."""
        return self.get(handle).reveal()

    @contextmanager
    def performing(self, permit: Permit, call: Call, handles: Iterable[str]) -> Iterator[None]:
        """Inside, `handles` can be revealed; before and after, nothing can.

        Raises:
            PermitError: `permit` is not for `call`.
            SecretError: a handle that was not loaded.
        """
        self.__check(permit, call)
        with _granted(self, frozenset(self.get(handle).name for handle in handles)):
            yield

    @contextmanager
    def opening(self, handles: Iterable[str]) -> Iterator[None]:
        """The same without a call, for `Kind.open` and `Capability.prove`. Only the composition root uses it."""
        with _granted(self, frozenset(self.get(handle).name for handle in handles)):
            yield
