"""SQL on declared tables, columns and rows of PostgreSQL and SQLite, enforced by the engine.

Read `entry` (what the manifest says), `spec` (the tools), then for PostgreSQL `grants`, `proof`, `role`, `gate`,
`session`, for SQLite `sqlite`. The engine is the boundary: a role with column grants and row-level security, or the
authorizer over views. The gate keeps out what an engine cannot deny, and the watchdog ends what both let run.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from interlock.kernel.spec import ToolSpec
from interlock.tools.kind import Config, Context
from interlock.tools.sql import entry as entries
from interlock.tools.sql import grants as statements
from interlock.tools.sql import spec

if TYPE_CHECKING:
    from interlock.tools.sql.capability import Sql

__all__ = ["KIND", "SqlKind"]


class SqlKind:
    """See `Kind`."""

    @property
    def name(self) -> str:
        """The word after `kind:`."""
        return "sql"

    def specs(self, entry: str, config: Config) -> tuple[ToolSpec, ...]:
        """Named queries; free SQL where it is asked for; else small tools for each table."""
        return tuple(tool.spec for tool in spec.tools(entries.parse(entry, config)))

    def open(self, entry: str, config: Config, context: Context) -> Sql:
        """The entry, open for work.

        Raises:
            ConfigError: a package is missing, the database is away, or the role can do more than the manifest says.
        """
        from interlock.tools.sql.capability import Sql  # noqa: PLC0415 - only an open entry needs it

        return Sql(entries.parse(entry, config), context)

    def grants(self, entry: str, config: Config, secrets: Callable[[str], str] | None = None) -> str:
        """The SQL that limits the entry's role, for an administrator to read and run with psql.

        Without `secrets` the role of an entry that does not name one is `interlock_<entry>`, else the DSN's.
        """
        parsed = entries.parse(entry, config)
        if secrets is not None:
            from interlock.tools.sql.capability import named  # noqa: PLC0415 - as above

            parsed = named(parsed, secrets)
        return statements.grants(parsed)

    def apply(self, entry: str, config: Config, secrets: Callable[[str], str], admin: str) -> None:
        """Run that SQL as `admin` (a DSN), in one transaction; only ever because somebody asked for it.

        Raises:
            ConfigError: the server refused, and nothing was changed.
        """
        from interlock.tools.sql.capability import apply  # noqa: PLC0415 - as above

        apply(entries.parse(entry, config), secrets, admin)


KIND = SqlKind()
