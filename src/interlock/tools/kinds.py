"""The kinds that a manifest can name. Each is imported when an entry asks for it, and not before."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from importlib import import_module
from types import MappingProxyType
from typing import cast

from interlock.kernel.spec import ToolSpec
from interlock.tools.kind import Capability, Config, ConfigError, Context, Kind

EXTRA = "pip install 'interlock[tools]'"


@dataclass(frozen=True, slots=True)
class Later:
    """A kind whose package is imported on first use; it offers itself there as `KIND`."""

    name: str

    def specs(self, entry: str, config: Config) -> tuple[ToolSpec, ...]:
        """See `Kind.specs`."""
        return self._kind().specs(entry, config)

    def open(self, entry: str, config: Config, context: Context) -> Capability:
        """See `Kind.open`."""
        return self._kind().open(entry, config, context)

    def _kind(self) -> Kind:
        try:
            return cast("Kind", import_module(f"interlock.tools.{self.name}").KIND)
        except ModuleNotFoundError as error:
            raise ConfigError(
                f"kind `{self.name}` needs the package `{error.name}`", path=("kind",), hint=EXTRA
            ) from None


KINDS: Mapping[str, Kind] = MappingProxyType(
    {name: Later(name) for name in ("files", "http", "sql", "compute", "shell")}
)
