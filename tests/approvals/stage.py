"""A monitor over a real outbox, with stored approvals in a file that outlives it."""

from __future__ import annotations

import json
import secrets
import sqlite3
from collections.abc import Callable
from pathlib import Path
from typing import Any

from interlock.approvals.approvers import Approvers, Need
from interlock.approvals.desk import Desk
from interlock.approvals.entry import Entry, Seal
from interlock.approvals.stored import Limits, StoredApprovals
from interlock.kernel.call import Call, Json
from interlock.kernel.labels import Integrity
from interlock.monitor.mediate import Observed
from interlock.stores.sqlite.approvals import SqliteApprovals
from interlock.stores.sqlite.database import SqliteDatabase
from tests.monitor.world import BOB, EVE, World
from tests.stores.approvals import Now

KEY = Seal(b"k" * 32)
SECRET = "4000-1234"


def redact(value: Json) -> Json:
    """No digit-by-digit secret of this test survives."""
    return json.loads(json.dumps(value).replace(SECRET, "[card]"))  # type: ignore[no-any-return]


class Stage:
    """One store, and one process after the other on it."""

    def __init__(self, folder: Path, *, need: Need | None = None, principal: str = "emma") -> None:
        self.folder, self.need, self.principal = folder, need or Need(may=frozenset()), principal
        self.now = Now()
        self.limits = Limits(wait=0)
        self.file = folder / "state.db"
        self.policy = "first"
        self.told: list[Entry] = []
        self.redact: Callable[[Json], Json] = redact
        self.restart()

    def restart(self) -> None:
        """A new process: nothing is left but the store and the world."""
        self.book = SqliteApprovals(SqliteDatabase(self.file, durable=True), seal=KEY, clock=self.now)
        self.approvals = StoredApprovals(
            self.book,
            policy=self.policy,
            redact=lambda value: self.redact(value),  # noqa: PLW0108 - a test changes it
            approvers=Approvers(rest=self.need),
            limits=self.limits,
            posted=self.told.append,
        )
        self.desk = Desk(self.book, redact=redact)
        nonces = iter(lambda: secrets.token_hex(16), "")  # threads may share it
        self.world = World(self.folder / "outbox", approvals=self.approvals, nonces=nonces)
        self.runs: dict[tuple[str, str], Any] = {}

    def call(self, *, run: str = "r1", principal: str = "", body: str = "hello", to: str = EVE) -> Observed:
        """Make the call that needs an approval."""
        principal = principal or self.principal
        key = (run, principal)
        if key not in self.runs:
            opened = self.world.monitor.open(agent="support", principal=principal, run_id=run)
            self.world.monitor.observe(opened, f"write a mail to {BOB}", Integrity.USER)
            self.world.monitor.call(
                opened, Call(tool="read_mail", arguments={}, agent="support", principal=principal, run=run)
            )
            self.runs[key] = opened
        arguments: Any = {"to": to, "body": body}
        made = Call(tool="send", arguments=arguments, agent="support", principal=principal, run=run)
        return self.world.monitor.call(self.runs[key], made)

    def answer(self, by: str, *, granted: bool, blind: bool = False) -> dict[str, object]:
        """Answer the newest question."""
        entry = self.told[-1]
        digest = "0" * 64 if blind else entry.terms.digest
        return self.desk.answer(entry.id, by, granted=granted, digest=digest, via="test")

    def forge(self, change: Callable[[dict[str, Any]], None], seal: Seal) -> None:
        """Somebody who can write the file, and has this seal, changes every entry."""
        db = sqlite3.connect(self.file)
        for ref, body in db.execute("SELECT id, body FROM approvals").fetchall():
            outer = json.loads(body)
            entry = json.loads(outer["entry"])
            change(entry)
            text = json.dumps(entry, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
            forged = json.dumps({"entry": text, "seal": seal.mark(text.encode())})
            db.execute("UPDATE approvals SET body = ? WHERE id = ?", (forged, ref))
        db.commit()
        db.close()

    @property
    def sent(self) -> list[str]:
        return self.world.sent
