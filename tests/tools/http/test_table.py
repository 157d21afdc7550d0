"""The address table: faithful to the registries, closed where they are silent, checked before it is believed."""

import importlib
import subprocess
import sys
from collections.abc import Callable
from ipaddress import IPv4Address, IPv6Address, ip_address, ip_network
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from interlock.tools.http import table as module
from interlock.tools.http.table import Table, read, table
from interlock.tools.kind import ConfigError
from tests.tools.http.world import Scripted, opened

PRIVATE = [
    "127.0.0.1",
    "10.0.0.1",
    "169.254.169.254",
    "168.63.129.16",
    "100.64.0.1",
    "192.168.1.1",
    "224.0.0.1",
    "0.0.0.1",
]
EMBEDDINGS = {
    "mapped": lambda v4: IPv6Address(0xFFFF << 32 | v4),
    "compatible": IPv6Address,
    "siit": lambda v4: IPv6Address(0xFFFF << 48 | v4),
    "nat64": lambda v4: IPv6Address(int(IPv6Address("64:ff9b::")) | v4),
    "nat64-local": lambda v4: IPv6Address(int(IPv6Address("64:ff9b:1::")) | v4),
    "6to4": lambda v4: IPv6Address(int(IPv6Address("2002::")) | v4 << 80 | 1),
    "teredo-server": lambda v4: IPv6Address(int(IPv6Address("2001::")) | v4 << 64 | (0x08080808 ^ 0xFFFFFFFF)),
    "teredo-client": lambda v4: IPv6Address(int(IPv6Address("2001::")) | 0x08080808 << 64 | (v4 ^ 0xFFFFFFFF)),
    "isatap": lambda v4: IPv6Address(int(IPv6Address("2606:4700::5efe:0:0")) | v4),
    "isatap-universal": lambda v4: IPv6Address(int(IPv6Address("2606:4700::200:5efe:0:0")) | v4),
    "isatap-in-6to4": lambda v4: IPv6Address(int(IPv6Address("2002:808:808::5efe:0:0")) | v4),
    "6to4-of-isatap": lambda v4: IPv6Address(int(IPv6Address("2002::5efe:808:808")) | v4 << 80),
}


@pytest.mark.parametrize("form", EMBEDDINGS)
@given(st.sampled_from(PRIVATE))
def test_an_address_is_no_more_public_than_what_it_carries(form: Any, private: str) -> None:
    assert table().why_not(EMBEDDINGS[form](int(IPv4Address(private))))


@given(st.integers(0, 2**32 - 1).map(IPv4Address))
def test_translation_answers_as_the_address_inside(v4: IPv4Address) -> None:
    for form in ("mapped", "nat64", "6to4"):
        assert bool(table().why_not(EMBEDDINGS[form](int(v4)))) == bool(table().why_not(v4))


@given(st.integers(0, 2**128 - 1).map(IPv6Address))
def test_outside_of_global_unicast_only_translation_is_public(v6: IPv6Address) -> None:
    if not table().why_not(v6):
        assert v6 in ip_network("2000::/3") or v6 in ip_network("64:ff9b::/96") or v6.ipv4_mapped


def test_every_border_of_every_block_is_where_the_registry_says() -> None:
    for row in read(Path(module.__file__).with_name("registry.csv").read_text()):
        inside = (row.network.network_address, row.network.broadcast_address)
        for address in inside:
            if row.reachable == "False":
                found = table().row(address)
                assert found is not None
                # A longer prefix may speak for the last address; it may not open the block.
                assert found.reachable in {"False", "Carried", "True"}
                if found.network == row.network:
                    assert table().why_not(address)


def test_the_field_s_best_table_agrees_where_it_is_installed() -> None:
    try:
        other = importlib.import_module("ssrfguard._address").DEFAULT_DENIED
    except ModuleNotFoundError:
        pytest.skip("ssrfguard is not installed")
    stricter = {"168.63.129.16", "192.0.0.9", "192.0.0.10", "2001:1::1", "2001:1::2", "2001:1::3"}
    blocks = {row.network for name in module.SOURCES for row in read(Path(module.__file__).with_name(name).read_text())}
    for block in blocks | {b.network for b in other.blocks}:
        first, last = int(block.network_address), int(block.broadcast_address)
        kind = type(block.network_address)
        for number in {first - 1, first, first + 1, last - 1, last, last + 1}:
            if 0 <= number < 2**block.max_prefixlen:
                address = kind(number)
                ours, theirs = bool(table().why_not(address)), other.classify(address).blocked
                # Theirs permits IPv6 that is allocated to nobody, compatible addresses and SIIT.
                unallocated = address.version == 6 and address not in ip_network("2000::/3")
                assert ours == theirs or (ours and (str(address) in stricter or unallocated)), address


def test_an_empty_table_refuses_everything() -> None:
    assert Table([]).why_not(ip_address("8.8.8.8"))
    assert Table([]).why_not(ip_address("2606:4700::1"))


@pytest.mark.parametrize(
    "damage",
    [
        lambda text: None,
        lambda text: "",
        lambda text: text.replace("10.0.0.0/8", "10.0.0.0/33"),
        lambda text: text.replace("127.0.0.0/8,loopback,RFC 1122,False", "127.0.0.0/8,loopback,RFC 1122,True"),
        lambda text: text.replace("127.0.0.0/8,loopback,RFC 1122,False\n", ""),
        lambda text: text.replace("RFC 1918,False", "RFC 1918,maybe"),
        lambda text: text.replace("reachable", "reached"),
        lambda text: "\n".join(line for line in text.splitlines() if "Carried" not in line),
    ],
    ids=["missing", "empty", "no-block", "opened", "row-gone", "no-word", "no-column", "carriers-gone"],
)
def test_m9_an_entry_does_not_open_on_a_damaged_table(
    damage: Callable[[str], str | None], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    for name in module.SOURCES:
        text = damage(Path(module.__file__).with_name(name).read_text())
        if text is not None:
            (tmp_path / name).write_text(text)
    monkeypatch.setattr(module, "files", lambda package: tmp_path)
    module.table.cache_clear()
    try:
        with (
            pytest.raises(ConfigError, match="table of public addresses"),
            opened({"hosts": ["a.example.com"]}, Scripted()),
        ):
            pass
    finally:
        module.table.cache_clear()


PUBLISHED = """Address Block,Name,RFC,Allocation Date,Termination Date,Source,Destination,Forwardable,Globally Reachable,Reserved-by-Protocol
10.0.0.0/8,Private-Use,[RFC1918],1996-02,N/A,True,True,True,False,False
"192.0.0.170/32, 192.0.0.171/32",NAT64/DNS64 Discovery,"[RFC8880][RFC7050, Section 2.2]",2013-02,N/A,False,False,False,False,True
192.88.99.0/24,Deprecated (6to4 Relay Anycast),[RFC7526],2001-06,2015-03,,,,,
192.0.0.9/32,Port Control Protocol Anycast,[RFC7723],2015-10,N/A,True,True,True,True,False
192.0.0.0/24 [2],IETF Protocol Assignments,"[RFC6890, Section 2.1]",2010-01,N/A,False,False,False,False [1],False
"""
PUBLISHED_6 = """Address Block,Name,RFC,Allocation Date,Termination Date,Source,Destination,Forwardable,Globally Reachable,Reserved-by-Protocol
::ffff:0:0/96,IPv4-mapped Address,[RFC4291],2006-02,N/A,False,False,False,False,True
2001::/32,TEREDO,"[RFC4380]
[RFC8190]",2006-01,N/A,True,True,True,N/A [2],False
2002::/16 [3],6to4,[RFC3056],2001-02,N/A,True,True,True,N/A [3],False
"""


def test_the_snapshot_is_renewed_from_what_iana_publishes(tmp_path: Path) -> None:
    (tmp_path / "4.csv").write_text(PUBLISHED)
    (tmp_path / "6.csv").write_text(PUBLISHED_6)
    command = [sys.executable, "-m", "interlock.tools.http.registry", str(tmp_path / "4.csv"), str(tmp_path / "6.csv")]
    made = read(subprocess.run(command, capture_output=True, text=True, check=True).stdout)
    says = {str(row.network): row.reachable for row in made}
    assert says == {
        "0.0.0.0/0": "True",
        "10.0.0.0/8": "False",
        "192.0.0.0/24": "False",
        "192.0.0.9/32": "True",
        "192.0.0.170/32": "False",
        "192.0.0.171/32": "False",
        "192.88.99.0/24": "False",
        "224.0.0.0/4": "False",
        "::/0": "False",
        str(ip_network("::ffff:0:0/96")): "Carried",
        "2000::/3": "True",
        "2001::/32": "Carried",
        "2002::/16": "Carried",
        "fec0::/10": "False",
        "ff00::/8": "False",
    }
