"""Which addresses are public, from the IANA special-purpose registries and not from `ipaddress`, which changes.

`registry.csv` is a snapshot of the registries (`registry.py` renews it), `extras.csv` adds what they call reachable and
a cloud does not mean for its guests. The longest prefix decides: True, False, or *Carried*, where an address is as
public as the IPv4 addresses inside it. ISATAP hides one below any prefix, so it is looked for in every address. An
address that no row covers is refused, so an empty table refuses all; a table that lets a canary through is not loaded.
"""

from __future__ import annotations

import csv
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network
from types import MappingProxyType
from typing import Literal, TypeAlias

from interlock.tools.kind import ConfigError

Address: TypeAlias = IPv4Address | IPv6Address
Network: TypeAlias = IPv4Network | IPv6Network
Reachable: TypeAlias = Literal["True", "False", "Carried"]
Judge: TypeAlias = Callable[[Address, int], str]  # why not to dial address and port; empty: it is public

SOURCES = ("registry.csv", "extras.csv")  # a row of the second stands for one of the first with the same block
_REACHABLE: Mapping[str, Reachable] = MappingProxyType({"True": "True", "False": "False", "Carried": "Carried"})
_LOW32 = 0xFFFF_FFFF
_ISATAP = {0x0000_5EFE, 0x0200_5EFE}  # upper half of an interface id (RFC 5214, 6.1)
_TEREDO = IPv6Network("2001::/32")
_6TO4 = IPv6Network("2002::/16")
_CANARIES = "127.0.0.1 10.0.0.1 172.16.0.1 192.168.0.1 169.254.169.254 168.63.129.16 100.64.0.1 0.0.0.0 224.0.0.1 \
::1 :: fe80::1 fc00::1 fd00:ec2::254 ff02::1 ::ffff:127.0.0.1 ::127.0.0.1 64:ff9b::7f00:1 64:ff9b:1::1 2002:7f00:1::"


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One block: where it comes from and whether the public reaches it."""

    network: Network
    name: str
    source: str
    reachable: Reachable


class Table:
    """The rows, longest prefix first."""

    __slots__ = ("_v4", "_v6")

    def __init__(self, rows: Iterable[Row]) -> None:
        by_block = {row.network: row for row in rows}  # the last row for a block stands

        def longest_first(version: int) -> tuple[tuple[int, int, Row], ...]:
            own = [row for net, row in by_block.items() if net.version == version]
            own.sort(key=lambda row: -row.network.prefixlen)
            return tuple((int(row.network.network_address), int(row.network.netmask), row) for row in own)

        self._v4, self._v6 = longest_first(4), longest_first(6)

    def row(self, address: Address) -> Row | None:
        """The most specific block that holds `address`."""
        number = int(address)
        for network, mask, row in self._v4 if address.version == 4 else self._v6:  # noqa: PLR2004 - IPv4
            if number & mask == network:
                return row
        return None

    def why_not(self, address: Address, port: int = 0) -> str:  # noqa: ARG002 - a `Judge`
        """Why `address` must not be dialled, for the operator; empty when it is public."""
        row = self.row(address)
        if row is None:
            return f"`{address}` lies in no block of the table"
        if row.reachable == "False":
            return f"`{address}` is {row.name} (`{row.network}`, {row.source})"
        if isinstance(address, IPv6Address):
            inner = carried(address, row)
            if row.reachable == "Carried" and not inner:
                return f"`{address}` is {row.name}, and what it carries cannot be read"
            for each in inner:
                if why := self.why_not(each):
                    return f"`{address}` carries {why}"
        return ""


def carried(address: IPv6Address, row: Row) -> tuple[IPv4Address, ...]:
    """Every IPv4 address that `address` stands for: packets may end there."""
    number = int(address)
    low = IPv4Address(number & _LOW32)
    match row.network:
        case network if network == _TEREDO:  # server, and the client's with every bit turned (RFC 4380, 4)
            found = [IPv4Address(number >> 64 & _LOW32), IPv4Address(~number & _LOW32)]
        case network if network == _6TO4:
            found = [IPv4Address(number >> 80 & _LOW32)]
        case _:
            found = [low] if row.reachable == "Carried" else []
    return (*found, low) if number >> 32 & _LOW32 in _ISATAP else tuple(found)


def read(text: str) -> list[Row]:
    """The rows of one file of the snapshot.

    Raises:
        ValueError, KeyError: it is not one.
    """
    rows = []
    for line in csv.DictReader(text.splitlines(), strict=True):
        reachable = _REACHABLE[line["reachable"]]
        row = Row(network=ip_network(line["block"]), name=line["name"], source=line["source"], reachable=reachable)
        rows.append(row)
    return rows


@cache
def table() -> Table:
    """The table that this package carries.

    Raises:
        ConfigError: a file of it is missing or damaged, or it would let a private address through.
    """
    remedy = "install the package again; without its address table no host is reached"
    try:
        made = Table(row for name in SOURCES for row in read(files(__package__).joinpath(name).read_text("utf-8")))
    except (OSError, ValueError, KeyError, TypeError, csv.Error) as error:
        raise ConfigError(f"the table of public addresses cannot be read: {error}", hint=remedy) from error
    for canary in map(ip_address, _CANARIES.split()):
        if not made.why_not(canary):
            raise ConfigError(f"the table of public addresses lets `{canary}` through", hint=remedy)
    if why := made.why_not(IPv4Address("8.8.8.8")) or made.why_not(IPv6Address("2606:4700::1111")):
        raise ConfigError(f"the table of public addresses lets nothing through: {why}", hint=remedy)
    return made
