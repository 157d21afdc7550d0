"""Rates in Valkey, shared by all gateways: the same algorithm as `limits.rate`, run where the buckets are.

One script reads the server's clock and all buckets, and moves them all or none. A server that is away refuses, unless
the operator chose `away="local"`: then each process lets the whole rate pass by itself until the server is back.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final, Literal

import valkey
from valkey.exceptions import ValkeyError

from interlock.limits.rate import Rate, Rates
from interlock.stores.errors import StoreAway

# KEYS: buckets. ARGV: whether to take, then interval and burst of each. Answers seconds to wait, as text.
SCRIPT: Final = """
local time = redis.call('TIME')
local now = tonumber(time[1]) + tonumber(time[2]) / 1000000
local longest = 0
local due = {}
for i, key in ipairs(KEYS) do
  local interval, burst = tonumber(ARGV[2 * i]), tonumber(ARGV[2 * i + 1])
  due[i] = math.max(now, tonumber(redis.call('GET', key) or now))
  longest = math.max(longest, due[i] - (burst - 1) * interval - now)
end
if longest > 0.000001 then return string.format('%.6f', longest) end
if ARGV[1] == '1' then
  for i, key in ipairs(KEYS) do
    local after = due[i] + tonumber(ARGV[2 * i])
    redis.call('SET', key, string.format('%.6f', after), 'PX', math.ceil((after - now) * 1000) + 1000)
  end
end
return '0'
"""


class ValkeyRates:
    """Buckets under `interlock:rate:` in one hash slot, so that a cluster moves them together."""

    def __init__(self, address: str, *, patience: float = 1.0, away: Literal["refuse", "local"], local: Rates) -> None:
        """Nothing is connected yet; `patience` (s) for a connection and for an answer.

        `away` is what happens without a server: refuse, or use the `local` rates of this process.
        """
        self._client: Any = valkey.Valkey.from_url(
            address, socket_timeout=patience, socket_connect_timeout=patience, decode_responses=True
        )
        self._script: Any = self._client.register_script(SCRIPT)
        self._away = away
        self._local = local

    def wait(self, buckets: Sequence[tuple[str, Rate]]) -> float:
        """Seconds until one more would pass through all `buckets`; 0 if it would now.

        Raises:
            StoreAway: the server is, and it refuses then.
        """
        try:
            return self._run(buckets, take="0")
        except ValkeyError as error:
            if self._away == "local":
                return self._local.wait(buckets)
            raise StoreAway(f"the server of rates does not answer: {type(error).__name__}") from error

    def take(self, buckets: Sequence[tuple[str, Rate]]) -> float:
        """0 if one more has passed through all `buckets`, else how long to wait; then it passed through none.

        Raises:
            StoreAway: the server is, and it refuses then.
        """
        try:
            return self._run(buckets, take="1")
        except ValkeyError as error:
            if self._away == "local":
                return self._local.take(buckets)
            raise StoreAway(f"the server of rates does not answer: {type(error).__name__}") from error

    def close(self) -> None:
        """Close every connection."""
        self._client.close()

    def _run(self, buckets: Sequence[tuple[str, Rate]], *, take: str) -> float:
        names = [f"{{interlock:rate}}:{name}" for name, _ in buckets]
        numbers = [number for _, rate in buckets for number in (repr(rate.interval), rate.burst)]
        return float(self._script(keys=names, args=[take, *numbers]))
