"""Renews `registry.csv`: `python -m interlock.tools.http.registry IPV4.csv IPV6.csv > registry.csv`.

The two arguments are the comma-separated files that IANA publishes beside its IPv4 and IPv6 special-purpose address
registries. What those leave out (multicast, deprecated prefixes, the one block of IPv6 in use) is added here, and
blocks that carry IPv4 addresses are marked, whatever the registry says of them: their packets end elsewhere.
"""

from __future__ import annotations

import csv
import re
import sys
from collections.abc import Iterator
from ipaddress import ip_network
from pathlib import Path

CARRIERS = {"::ffff:0:0/96", "64:ff9b::/96", "2001::/32", "2002::/16"}
ADDED = (
    ("0.0.0.0/0", "IPv4", "RFC 791", "True"),
    ("224.0.0.0/4", "multicast", "RFC 5771", "False"),
    ("::/0", "not allocated as global unicast", "RFC 4291", "False"),
    ("2000::/3", "global unicast", "RFC 4291", "True"),
    ("fec0::/10", "deprecated (site local)", "RFC 3879", "False"),
    ("ff00::/8", "multicast", "RFC 4291", "False"),
)


def rows(published: str) -> Iterator[tuple[str, str, str, str]]:
    """The blocks of one published registry: block, name, source, reachable."""
    for line in csv.DictReader(published.splitlines(), strict=True):
        for text in line["Address Block"].split(","):  # one row may name several blocks, with footnotes
            network = ip_network(re.sub(r"\[\d+\]", "", text).strip())
            says = re.sub(r"\[\d+\]", "", line["Globally Reachable"]).strip()
            # "N/A" is not True: a block that nobody vouches for is refused.
            reachable = "Carried" if str(network) in _carriers() else str(says == "True")
            yield str(network), line["Name"].strip(), re.sub(r"[\[\]]", "", line["RFC"]).strip(), reachable


def _carriers() -> set[str]:
    return {str(ip_network(block)) for block in CARRIERS}  # `ipaddress` spells ::ffff:0:0/96 in its own way


def main() -> None:
    """Write the table to the standard output."""
    found = [row for path in sys.argv[1:3] for row in rows(Path(path).read_text("utf-8"))]
    known = {ip_network(block) for block, *_ in found}
    found += [row for row in ADDED if ip_network(row[0]) not in known]
    found.sort(key=lambda row: (ip_network(row[0]).version, int(ip_network(row[0]).network_address)))
    out = csv.writer(sys.stdout, lineterminator="\n")
    out.writerows([("block", "name", "source", "reachable"), *found])


if __name__ == "__main__":
    main()
