"""A checkpoint: the head of a chain and the root of its tree at one size, signed with Ed25519.

Written as a C2SP signed note with the body of a tlog-checkpoint: origin, size, root, and two lines of ours, the time
and the digest of the last record. A witness adds a cosignature (C2SP tlog-cosignature, v1). Keys are written as C2SP
writes them: `NAME+KEYID+BASE64`, private ones with `PRIVATE+KEY+` before it. A note may carry several signatures; at a
change of keys the old and the new key sign the same note.

`cryptography` (extra `audit`) is imported where something is signed or checked, nowhere else.
"""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from hashlib import sha256
from typing import Any

from interlock.audit.errors import AuditError
from interlock.audit.record import DIGEST

LOG, WITNESS = 0x01, 0x04  # kinds of C2SP note keys: Ed25519, Ed25519 with cosignature/v1
_NAME = re.compile(r"[^\s+]{1,200}")
_SEED = 32  # bytes of an Ed25519 seed, and of a public key
_SIGNED = re.compile(r"— (\S+) (\S+)\n")


@dataclass(frozen=True, slots=True, kw_only=True)
class Checkpoint:
    """`size` records of `origin` at `time` (s): the `root` of their tree, the digest of the last one."""

    origin: str
    size: int
    root: bytes
    time: int
    head: str

    @property
    def text(self) -> str:
        """What is signed."""
        root = base64.b64encode(self.root).decode()
        return f"{self.origin}\n{self.size}\n{root}\ntime {self.time}\nhead {self.head}\n"


@dataclass(frozen=True, slots=True)
class Note:
    """A checkpoint with its signatures: (name of the key, what it signed with)."""

    checkpoint: Checkpoint
    signatures: tuple[tuple[str, bytes], ...]

    @property
    def text(self) -> str:
        """The note as it is kept."""
        return self.checkpoint.text + "\n" + "".join(signature_line(*s) for s in self.signatures)


@dataclass(frozen=True, slots=True)
class PublicKey:
    """The key that checks what `name` signed; `kind` says whether it is a log's or a witness's."""

    name: str
    kind: int
    raw: bytes

    @property
    def id(self) -> bytes:
        """Four bytes that tell keys of one name apart."""
        return sha256(f"{self.name}\n".encode() + bytes([self.kind]) + self.raw).digest()[:4]

    def __str__(self) -> str:
        """The key as a C2SP verifier key."""
        return f"{self.name}+{self.id.hex()}+{base64.b64encode(bytes([self.kind]) + self.raw).decode()}"

    @classmethod
    def parse(cls, text: str) -> PublicKey:
        """The key that `text` writes.

        Raises:
            AuditError: it is none.
        """
        name, kind, raw, claimed = _key(text.strip())
        key = cls(name, kind, raw)
        if key.id.hex() != claimed:
            raise AuditError(f"the key of `{name}` was mistyped: its id is another one")
        return key

    def signed(self, note: Note) -> bool:
        """This key signed `note`."""
        return any(self._valid(note.checkpoint.text, s) for name, s in note.signatures if name == self.name)

    def _valid(self, text: str, signature: bytes) -> bool:
        if signature[:4] != self.id:
            return False
        if self.kind == LOG:
            return _verified(self.raw, signature[4:], text.encode())
        stamp = int.from_bytes(signature[4:12])
        return _verified(self.raw, signature[12:], cosigned(text, stamp))


class PrivateKey:
    """The key that signs as `name`. It prints as its public key."""

    def __init__(self, name: str, seed: bytes, *, kind: int = LOG) -> None:
        """`seed`: 32 random bytes.

        Raises:
            AuditError: no name for a key, or no seed.
        """
        if not _NAME.fullmatch(name) or len(seed) != _SEED or kind not in {LOG, WITNESS}:
            raise AuditError(f"`{name}` can be no key; a name has no blanks and no `+`, a seed 32 bytes")
        self._key = _ed25519().Ed25519PrivateKey.from_private_bytes(seed)
        self.public = PublicKey(name, kind, self._key.public_key().public_bytes_raw())

    def __repr__(self) -> str:
        return f"PrivateKey({self.public})"

    @classmethod
    def parse(cls, text: str) -> PrivateKey:
        """The key that `text` writes.

        Raises:
            AuditError: it is none.
        """
        marked = text.strip()
        if not marked.startswith("PRIVATE+KEY+"):
            raise AuditError("this is no private key; `interlock audit keygen NAME` makes one")
        name, kind, seed, claimed = _key(marked.removeprefix("PRIVATE+KEY+"))
        key = cls(name, seed, kind=kind)
        if key.public.id.hex() != claimed:
            raise AuditError(f"the key of `{name}` was mistyped: its id is another one")
        return key

    @staticmethod
    def text(name: str, seed: bytes, *, kind: int = LOG) -> str:
        """The key in writing: whoever reads it can sign."""
        public = PrivateKey(name, seed, kind=kind).public
        return f"PRIVATE+KEY+{name}+{public.id.hex()}+{base64.b64encode(bytes([kind]) + seed).decode()}"

    def sign(self, checkpoint: Checkpoint, *, time: int = 0) -> tuple[str, bytes]:
        """The signature, with its name; a witness says with it when it saw the checkpoint."""
        public = self.public
        if public.kind == LOG:
            return public.name, public.id + self._key.sign(checkpoint.text.encode())
        return public.name, public.id + time.to_bytes(8) + self._key.sign(cosigned(checkpoint.text, time))


def signed(checkpoint: Checkpoint, keys: Iterable[PrivateKey]) -> Note:
    """`checkpoint`, signed with each of `keys`."""
    return Note(checkpoint, tuple(key.sign(checkpoint) for key in keys))


def signature_line(name: str, signature: bytes) -> str:
    """A signature as a line of a note."""
    return f"— {name} {base64.b64encode(signature).decode()}\n"


def signature_lines(text: str) -> tuple[tuple[str, bytes], ...]:
    """The signatures in these lines.

    Raises:
        AuditError: a line is none.
    """
    lines = text.splitlines(keepends=True)
    found = [_SIGNED.fullmatch(line) for line in lines]
    if not all(found):
        raise AuditError("a line of a note is no signature")
    return tuple((m[1], _base64(m[2])) for m in found if m)


def cosigned(text: str, time: int) -> bytes:
    """What a witness signs: that it saw the checkpoint `text` at `time`, consistent with all it saw before."""
    return f"cosignature/v1\ntime {time}\n{text}".encode()


def parse(text: str) -> Note:
    """The note that `text` writes.

    Raises:
        AuditError: it is none, or not written as we write them.
    """
    body, blank, signatures = text.partition("\n\n")
    lines = body.split("\n")
    try:
        origin, size, root, time, head = lines
        note = Note(
            Checkpoint(
                origin=origin,
                size=int(size),
                root=_base64(root),
                time=int(time.removeprefix("time ")),
                head=head.removeprefix("head "),
            ),
            signature_lines(signatures),
        )
    except ValueError:
        raise AuditError("this is no checkpoint") from None
    if not blank or note.text != text or len(note.checkpoint.head) != DIGEST or not _NAME.fullmatch(origin):
        raise AuditError("this is no checkpoint, or it is not written as one")
    return note


def notes(text: str) -> Iterator[Note]:
    """The notes that stand one after the other in `text`.

    Raises:
        AuditError: something in it is none.
    """
    lines = text.splitlines(keepends=True)
    start = 0
    for i, line in enumerate(lines):
        if line.startswith("— ") and not (i + 1 < len(lines) and lines[i + 1].startswith("— ")):
            yield parse("".join(lines[start : i + 1]))
            start = i + 1
    if start < len(lines):
        raise AuditError("the last checkpoint is not whole")


def origin(name: str, stream: str) -> str:
    """How the checkpoints of `stream` call themselves: the name of the log's key, and the stream."""
    return (
        f"{name}/{''.join(c if c.isalnum() or c in '-._~/:' else f'%{ord(c):x}' for c in stream)}" if stream else name
    )


def _key(text: str) -> tuple[str, int, bytes, str]:
    try:
        name, claimed, encoded = text.split("+", 2)
        raw = _base64(encoded)
    except ValueError:
        raise AuditError("this is no key; one is written NAME+ID+BASE64") from None
    if not _NAME.fullmatch(name) or len(raw) != _SEED + 1 or raw[0] not in {LOG, WITNESS}:
        raise AuditError("this is no key; one is written NAME+ID+BASE64")
    return name, raw[0], raw[1:], claimed


def _base64(text: str) -> bytes:
    try:
        return base64.b64decode(text, validate=True)
    except binascii.Error:
        raise AuditError("this is no base64") from None


def _ed25519() -> Any:  # noqa: ANN401 - a module
    try:
        from cryptography.hazmat.primitives.asymmetric import ed25519  # noqa: PLC0415 - an extra
    except ImportError:
        raise AuditError("signatures need `cryptography`", hint="pip install 'interlock[audit]'") from None
    return ed25519


def _verified(raw: bytes, signature: bytes, text: bytes) -> bool:
    keys = _ed25519().Ed25519PublicKey
    from cryptography.exceptions import InvalidSignature  # noqa: PLC0415 - an extra

    try:
        keys.from_public_bytes(raw).verify(signature, text)
    except (InvalidSignature, ValueError):
        return False
    return True
