"""A witness over HTTP: somebody else's server, which signs a checkpoint if it continues all it saw before.

The protocol is C2SP's tlog-witness: `POST /add-checkpoint` with `old SIZE`, the consistency proof in base64, a blank
line and the note. 200 brings cosignatures; 409 the size that the witness has, from which a proof is then made. What
the witness signs cannot be made by the host, so a history that was written anew finds no witness.
"""

from __future__ import annotations

import base64
import http.client
import ssl
from http import HTTPStatus
from urllib.parse import urlsplit

from interlock.anchors.ports import Proof
from interlock.audit.checkpoint import WITNESS, Note, PublicKey, signature_lines
from interlock.audit.errors import AuditError

MAX_ANSWER = 64 * 1024  # bytes


class HttpWitness:
    """The witness at `url` whose public key is `key`."""

    def __init__(self, url: str, key: PublicKey, *, patience: float = 10.0) -> None:
        """`patience` (s) for each step of a request.

        Raises:
            AuditError: the address or the key is none of a witness.
        """
        parts = urlsplit(url)
        if parts.scheme not in {"http", "https"} or not parts.hostname or key.kind != WITNESS:
            raise AuditError(f"`{url}` needs to be the http or https address of a witness, `{key.name}` its key")
        self._https = parts.scheme == "https"
        self._address = parts.hostname, parts.port or (443 if self._https else 80)
        self._path = parts.path.rstrip("/") + "/add-checkpoint"
        self._key = key
        self._patience = patience
        self._size = 0

    def put(self, note: Note, proof: Proof) -> Note:
        """`note` with the witness's cosignature.

        Raises:
            AuditError: the witness is away, refuses, or did not sign this.
        """
        status, answer = self._ask(note, proof, self._size)
        if status == HTTPStatus.CONFLICT and answer.strip().isdecimal() and int(answer) != self._size:
            self._size = int(answer)
            if self._size > note.checkpoint.size:
                raise AuditError(f"the witness `{self._key.name}` has seen {self._size} records, more than there are")
            status, answer = self._ask(note, proof, self._size)
        if status != HTTPStatus.OK:
            raise AuditError(f"the witness `{self._key.name}` does not sign the checkpoint: {status}")
        seen = Note(note.checkpoint, (*note.signatures, *signature_lines(answer)))
        if not self._key.signed(seen):
            raise AuditError(f"the witness `{self._key.name}` signed something else")
        self._size = note.checkpoint.size
        return seen

    def _ask(self, note: Note, proof: Proof, old: int) -> tuple[int, str]:
        lines = "".join(f"{base64.b64encode(h).decode()}\n" for h in proof(old))
        body = f"old {old}\n{lines}\n{note.text}".encode()
        host, port = self._address
        connection = (
            http.client.HTTPSConnection(host, port, timeout=self._patience, context=ssl.create_default_context())
            if self._https
            else http.client.HTTPConnection(host, port, timeout=self._patience)
        )
        try:
            connection.request("POST", self._path, body, {"Content-Type": "text/plain; charset=utf-8"})
            response = connection.getresponse()
            return response.status, response.read(MAX_ANSWER).decode("utf-8", "replace")
        except (OSError, http.client.HTTPException) as error:
            raise AuditError(f"the witness `{self._key.name}` does not answer: {type(error).__name__}") from error
        finally:
            connection.close()
