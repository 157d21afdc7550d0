"""How a transaction says for whom it runs, so that no SQL in it can say otherwise.

The tool sets `interlock.principal` and, beside it, a proof: HMAC-SHA-256 over backend, transaction start and principal
under a key that the role cannot read. Row-level security asks `interlock.principal()`, a SECURITY DEFINER function that
recomputes the proof; a principal without its proof is NULL, and then no row is visible. Any SQL may change both
settings (there is no REVOKE for that), but a proof for another principal cannot be made without the key, and one that
leaked is worth nothing in another transaction. Why not a role per principal, or a table of sessions: docs/tools-sql.md.
"""

from __future__ import annotations

import hashlib
import hmac

from interlock.tools.kind import ConfigError

_BLOCK = 64  # bytes; SHA-256's
MIN_KEY = 16  # characters

FUNCTION = """\
CREATE OR REPLACE FUNCTION interlock.principal() RETURNS text
LANGUAGE sql STABLE SECURITY DEFINER PARALLEL RESTRICTED SET search_path = pg_catalog, pg_temp AS $interlock$
  SELECT s.principal
  FROM interlock.key k, (SELECT current_setting('interlock.principal', true) AS principal) s
  WHERE k.role = session_user
    AND current_setting('interlock.proof', true) = encode(sha256(k.outer_pad || sha256(k.inner_pad || convert_to(
      pg_backend_pid()::text || ' ' || (extract(epoch FROM transaction_timestamp()) * 1000000)::bigint::text
      || ' ' || s.principal, 'UTF8'))), 'hex')
$interlock$"""

MOMENT = "SELECT pg_backend_pid()::text || ' ' || (extract(epoch FROM transaction_timestamp()) * 1000000)::bigint::text"


def key(given: str, password: str) -> bytes:
    """The key of an entry: what `key:` names, else one derived from the role's password.

    Raises:
        ConfigError: there is neither, or it could be guessed.
    """
    if given:
        if len(given) < MIN_KEY:
            raise ConfigError(f"the key has fewer than {MIN_KEY} characters", path=("key",))
        return hmac.digest(given.encode(), b"interlock principal", "sha256")
    if not password:
        raise ConfigError(
            "`rows` needs a key, and neither `key` nor a password in `dsn` gives one",
            path=("key",),
            hint="key: secret://NAME, a long random text",
        )
    return hashlib.scrypt(password.encode(), salt=b"interlock principal", n=2**14, r=8, p=1, dklen=32)


def pads(secret: bytes) -> tuple[str, str]:
    """Inner and outer pad of HMAC for `secret`, in hex, as `interlock.key` keeps them."""
    padded = secret.ljust(_BLOCK, b"\0")
    return bytes(b ^ 0x36 for b in padded).hex(), bytes(b ^ 0x5C for b in padded).hex()


def proof(secret: bytes, moment: str, principal: str) -> str:
    """The proof that the transaction at `moment` runs for `principal`."""
    return hmac.digest(secret, f"{moment} {principal}".encode(), "sha256").hex()
