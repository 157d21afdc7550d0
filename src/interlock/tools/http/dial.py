"""From a name to a socket: resolve once, check every answer, dial one that was checked. Nothing else connects.

The name is resolved here and nowhere else, and what is dialled is a number, so an answer that changes between check
and use (rebinding) changes nothing. One private address among the answers refuses them all. `getaddrinfo` has no
time-out, so it runs in a bounded number of threads that are left behind when they hang: too many of them, and every
look-up is refused.
"""

from __future__ import annotations

import queue
import socket
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from ipaddress import ip_address
from typing import Protocol, TypeAlias

from interlock.tools.http import names
from interlock.tools.http.errors import NotReached
from interlock.tools.http.meter import Meter
from interlock.tools.http.table import Address, Judge
from interlock.tools.http.url import literal

MAX_LOOKUPS = 16  # at a time, hanging ones included
MAX_ANSWERS = 64  # addresses of one name; more are an attack on us or on somebody else
MAX_TRIES = 3  # addresses dialled before giving up

Connect: TypeAlias = Callable[[Address, int, float], socket.socket]


class Resolver(Protocol):
    """Looks names up. Raising, or answering nothing: the host cannot be reached."""

    def __call__(self, host: str, seconds: float) -> Sequence[str]:
        """The addresses of `host`, as text, within `seconds`."""
        ...


def connect(address: Address, port: int, seconds: float) -> socket.socket:
    """A connection to a number; no name is looked up."""
    family = socket.AF_INET if address.version == 4 else socket.AF_INET6  # noqa: PLR2004 - IPv4
    made = socket.socket(family, socket.SOCK_STREAM)
    try:
        made.settimeout(seconds)
        made.connect((str(address), port))
        made.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    except BaseException:
        made.close()
        raise
    return made


class SystemResolver:
    """The resolver of the machine, in threads of its own."""

    def __init__(self, lookups: int = MAX_LOOKUPS) -> None:
        self._free = threading.BoundedSemaphore(lookups)

    def __call__(self, host: str, seconds: float) -> Sequence[str]:
        """The addresses of `host`.

        Raises:
            OSError: there is no answer in time.
        """
        if not self._free.acquire(timeout=seconds):
            raise TimeoutError("all look-ups hang")
        answer: queue.SimpleQueue[list[str] | OSError] = queue.SimpleQueue()

        def look_up() -> None:
            try:
                found = socket.getaddrinfo(host, None, type=socket.SOCK_STREAM)
                answer.put([str(entry[4][0]) for entry in found])
            except OSError as error:
                answer.put(error)
            except Exception as error:  # noqa: BLE001 - the encoder of names raises UnicodeError
                answer.put(OSError(str(error)))
            finally:
                self._free.release()

        try:
            threading.Thread(target=look_up, name="interlock-look-up", daemon=True).start()
        except RuntimeError as error:
            self._free.release()
            raise OSError("no thread for a look-up") from error
        try:
            found = answer.get(timeout=seconds)
        except queue.Empty:
            raise TimeoutError("no answer in time") from None
        if isinstance(found, OSError):
            raise found
        return found


@dataclass(frozen=True, slots=True, kw_only=True)
class Dialler:
    """Opens connections to public addresses."""

    judge: Judge
    resolve: Resolver
    connect: Connect
    connect_seconds: float
    resolve_seconds: float

    def addresses(self, host: str, port: int, meter: Meter) -> tuple[Address, ...]:
        """Every address of `host`, all of them checked; `host` is canonical.

        Raises:
            NotReached: there is none, or one of them is not public.
        """
        own = literal(host)
        if own is not None:
            found: Sequence[Address] = (own,)
        else:
            if why := names.why_not(host):
                raise NotReached(host, hint=why)
            found = self._look_up(host, meter)
        for address in found:
            if why := self.judge(address, port):
                raise NotReached(host, hint=f"refused by the address table: {why}")
        return tuple(dict.fromkeys(found))

    def _look_up(self, host: str, meter: Meter) -> list[Address]:
        try:
            answers = list(self.resolve(host, meter.seconds(self.resolve_seconds)))
            if not 0 < len(answers) <= MAX_ANSWERS:
                raise NotReached(host, hint=f"the look-up gave {len(answers)} addresses")
            return [ip_address(text) for text in answers if _plain(text)]
        except (OSError, ValueError) as error:
            raise NotReached(host, hint=f"the look-up failed: {error}") from None

    def dial(self, host: str, port: int, meter: Meter) -> socket.socket:
        """A connection to a checked address of `host`.

        Raises:
            NotReached: none answered, or one of them must not be dialled.
        """
        last = "no address"
        for address in self.addresses(host, port, meter)[:MAX_TRIES]:
            try:
                return self.connect(address, port, meter.seconds(self.connect_seconds))
            except OSError as error:
                last = str(error)
        raise NotReached(host, hint=f"no address answered: {last}")


def _plain(text: str) -> bool:
    if "%" in text:  # a zone id: link-local, and it means something on this machine only
        raise ValueError(f"`{text[:80]}` has a zone id")
    return True
