"""The audit in PostgreSQL, for processes on many machines.

`append` returns once the record is committed. The row of the chain's head is locked while a record follows it, so
writers of one stream take turns and writers of different streams do not meet. A group goes in with one COPY. Triggers
refuse what would change, drop or squeeze in a record, except together with the record of an erasure or of a retention;
they bind everybody but the owner of the table: run the service as a role that is not (docs/operations.md).
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import Any

import psycopg

from interlock.audit.errors import AuditError
from interlock.audit.record import Head, Record
from interlock.stores.ledger import COLUMNS, Ledger
from interlock.stores.postgres.database import Connection, PostgresDatabase

SCHEMA = """
CREATE TABLE audit (
    stream text NOT NULL,
    seq bigint NOT NULL,
    at double precision NOT NULL,
    kind text NOT NULL,
    run text NOT NULL,
    body text NOT NULL,
    commitment text NOT NULL,
    previous text NOT NULL,
    digest text NOT NULL,
    salt text NOT NULL,
    personal text NOT NULL,
    erased bigint NOT NULL,
    PRIMARY KEY (stream, seq)
);
CREATE TABLE audit_heads (stream text PRIMARY KEY, seq bigint NOT NULL);
CREATE TABLE audit_places (
    stream text NOT NULL,
    what text NOT NULL CHECK (what IN ('base', 'checkpoint')),
    place text NOT NULL,
    PRIMARY KEY (stream, what)
);
CREATE FUNCTION audit_grows_at_its_end() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE grown record;
BEGIN
    FOR grown IN SELECT stream, min(seq) AS low, max(seq) AS high, count(*) AS n FROM added GROUP BY stream LOOP
        INSERT INTO audit_heads VALUES (grown.stream, 0) ON CONFLICT DO NOTHING;
        UPDATE audit_heads SET seq = grown.high
            WHERE stream = grown.stream AND seq = grown.low - 1 AND grown.high - grown.low + 1 = grown.n;
        IF NOT FOUND THEN RAISE EXCEPTION 'the audit is append-only'; END IF;
    END LOOP;
    RETURN NULL;
END $$;
CREATE TRIGGER audit_grows_at_its_end AFTER INSERT ON audit REFERENCING NEW TABLE AS added
    FOR EACH STATEMENT EXECUTE FUNCTION audit_grows_at_its_end();
CREATE FUNCTION audit_is_not_changed() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE last record;
BEGIN
    SELECT a.seq, a.kind, a.body INTO last FROM audit a WHERE a.stream = OLD.stream ORDER BY a.seq DESC LIMIT 1;
    IF TG_OP = 'DELETE' THEN
        IF last.kind = 'retention' AND (last.body::jsonb ->> 'through')::bigint >= OLD.seq THEN RETURN OLD; END IF;
    ELSIF last.kind = 'erase' AND OLD.personal <> ''
        AND (NEW.stream, NEW.seq, NEW.at, NEW.kind, NEW.run, NEW.body, NEW.commitment, NEW.previous, NEW.digest)
          = (OLD.stream, OLD.seq, OLD.at, OLD.kind, OLD.run, OLD.body, OLD.commitment, OLD.previous, OLD.digest)
        AND (NEW.salt, NEW.personal, NEW.erased) = ('', '', last.seq)
    THEN RETURN NEW; END IF;
    RAISE EXCEPTION 'the audit is append-only';
END $$;
CREATE TRIGGER audit_is_not_changed BEFORE UPDATE OR DELETE ON audit
    FOR EACH ROW EXECUTE FUNCTION audit_is_not_changed();
CREATE FUNCTION audit_is_not_emptied() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN RAISE EXCEPTION 'the audit is append-only'; END $$;
CREATE TRIGGER audit_is_not_emptied BEFORE TRUNCATE ON audit EXECUTE FUNCTION audit_is_not_emptied();
"""
_COPY = f"COPY audit ({COLUMNS}) FROM STDIN"
_INSERT = f"INSERT INTO audit ({COLUMNS}) VALUES ({', '.join(['%s'] * 12)})"  # noqa: S608 - constants


class PostgresAudit(Ledger):
    """The audit port over a database."""

    parameter = "%s"

    def __init__(
        self,
        database: PostgresDatabase,
        *,
        clock: Callable[[], float] = time.time,
        read_only: bool = False,
        stream: str = "",
    ) -> None:
        """Use `database`; closing the audit closes it. `read_only` makes no tables: for whoever examines an audit.

        Raises:
            AuditError: the database does not answer, is no audit, or was written by a newer Interlock.
        """
        super().__init__(database, where="PostgreSQL", clock=clock, stream=stream)
        with self._guarded(nullcontext(), "cannot be opened"):
            if not read_only:
                database.migrate("audit", [SCHEMA])
                with database.transaction() as db:
                    db.execute("INSERT INTO audit_heads VALUES (%s, 0) ON CONFLICT DO NOTHING", (stream,))
            self.head()

    def _locked(self, db: Connection) -> Head:
        db.execute("SELECT seq FROM audit_heads WHERE stream = %s FOR UPDATE", (self.stream,))
        return self._head(db)

    def _insert(self, db: Connection, records: Sequence[Record]) -> None:
        if len(records) == 1:
            db.execute(_INSERT, records[0])
            return
        with db.cursor() as cursor, cursor.copy(_COPY) as copy:
            for record in records:
                copy.write_row(record)

    def _scrub(self) -> None:
        """VACUUM does, in its time; docs/operations.md says how to make it do so now."""

    @contextmanager
    def _guarded(self, work: AbstractContextManager[Any], what: str) -> Iterator[Any]:
        try:
            with super()._guarded(work, what) as db:
                yield db
        except psycopg.Error as error:
            raise AuditError(f"the audit `{self._where}` {what}: {type(error).__name__}") from error
