"""Names that mean this machine, this network or a cloud's own services, whatever they resolve to.

The second of two checks: what a name resolves to is judged in any case. A name is refused here because its answer may
differ by where it is asked, or because a resolver in between may rewrite it.
"""

from __future__ import annotations

SUFFIXES = (  # special use, or never delegated
    "localhost localdomain local internal intranet private corp home lan home.arpa svc onion "
    "cluster.local docker.internal in-addr.arpa ip6.arpa"
).split()
EXACT = frozenset(
    (
        "metadata.google.internal metadata.goog metadata.google.com metadata.azure.com metadata.azure.internal "
        "metadata.tencentyun.com metadata.packet.net metadata.platformequinix.com metadata.oraclecloud.com "
        "instance-data.ec2.internal kubernetes.default.svc host.docker.internal"
    ).split()
)


def why_not(host: str) -> str:
    """Why the canonical name `host` is not looked up, for the operator; empty when it may be."""
    if "." not in host:
        return f"`{host}` is a single label, which means something in this network only"
    if host in EXACT or any(host.endswith("." + name) for name in EXACT):
        return f"`{host}` is a cloud's own service"
    for suffix in SUFFIXES:
        if host == suffix or host.endswith("." + suffix):
            return f"`{host}` ends in `.{suffix}`, which is not public"
    return ""
