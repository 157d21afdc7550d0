"""Web requests to declared hosts, dialled only at addresses that were checked.

Read `url`, `table`, `dial`, then `client`. The boundary is the dialler: no other code of this kind resolves a name or
connects. Scope refuses early and says why.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from interlock.kernel.spec import ToolSpec
from interlock.tools.http import spec
from interlock.tools.kind import Config, ConfigError, Context, Kind

if TYPE_CHECKING:
    from interlock.tools.http.capability import Http, World

__all__ = ["KIND", "HttpKind"]


class HttpKind:
    """See `Kind`. `world` stands for everything outside; None is the machine."""

    def __init__(self, world: World | None = None) -> None:
        self._world = world

    @property
    def name(self) -> str:
        """The word after `kind:`."""
        return "http"

    def specs(self, entry: str, config: Config) -> tuple[ToolSpec, ...]:
        """One tool for the reading methods, one for each other."""
        return tuple(tool for tool, _ in spec.operations(entry, spec.settings(config)).values())

    def open(self, entry: str, config: Config, context: Context) -> Http:
        """The entry, open for work.

        Raises:
            ConfigError: a package, the address table or the certificate authorities are missing.
        """
        checked = spec.settings(config)
        try:
            from interlock.tools.http.capability import Http, World  # noqa: PLC0415 - needs the extra [tools]
        except ModuleNotFoundError as error:
            raise ConfigError(
                f"an http tool needs the package `{error.name}`",
                path=("kind",),
                hint="pip install 'interlock[tools]'",
            ) from None
        return Http(entry, checked, context, self._world or World())


KIND: Kind = HttpKind()
