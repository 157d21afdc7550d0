"""A real witness on a local port: C2SP tlog-witness, over `http.server`. It signs what continues what it saw."""

from __future__ import annotations

import base64
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from interlock.audit.checkpoint import WITNESS, PrivateKey, PublicKey, parse, signature_line
from interlock.audit.errors import AuditError
from interlock.audit.tree import consistent


class Witness:
    """`seen`: origin → (size, root) of the last checkpoint that was signed."""

    def __init__(self, log: PublicKey) -> None:
        self.key = PrivateKey("witness.example", b"w" * 32, kind=WITNESS)
        self.log = log
        self.seen: dict[str, tuple[int, bytes]] = {}
        self.asked = 0
        self.lie = b""  # answered in place of a signature

    def add(self, body: str) -> tuple[int, str]:
        self.asked += 1
        head, _, text = body.partition("\n\n")
        old, *proof = head.split("\n")
        try:
            note = parse(text)
        except AuditError:
            return 400, ""
        said = note.checkpoint
        if not self.log.signed(note):
            return 403, ""
        size, root = self.seen.get(said.origin, (0, b""))
        if int(old.removeprefix("old ")) != size:
            return 409, f"{size}\n"
        if size and not consistent(size, root, said.size, said.root, [base64.b64decode(p) for p in proof]):
            return 422, ""
        self.seen[said.origin] = (said.size, said.root)
        return 200, self.lie.decode() or signature_line(*self.key.sign(said, time=1_800_000_000))


@contextmanager
def serving(witness: Witness) -> Iterator[str]:
    """The address at which `witness` answers."""

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"])).decode()
            status, text = witness.add(body) if self.path == "/add-checkpoint" else (404, "")
            self.send_response(status)
            self.send_header("Content-Length", str(len(text.encode())))
            self.end_headers()
            self.wfile.write(text.encode())

        def log_message(self, *_: object) -> None:
            """Quiet."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
