"""What the audits in SQLite and PostgreSQL share: a table of records, one of checkpoints, one transaction a change.

SQL is written with `?`; an engine says how it locks a chain's head, how it inserts many rows, and what it calls a
parameter.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from typing import Any, Protocol

from interlock.audit import chain
from interlock.audit.base import Base
from interlock.audit.erasure import Erasure, concerned, erasure, retention, tallies
from interlock.audit.errors import AuditError
from interlock.audit.record import EMPTY, Head, Record
from interlock.audit.verify import examine
from interlock.stores.errors import StoreError
from interlock.stores.salt import fresh

PAGE = 250  # records fetched at a time; with more of them the collector of garbage costs more than the queries
COLUMNS = "stream, seq, at, kind, run, body, commitment, previous, digest, salt, personal, erased"

# From one name to the next along the index; DISTINCT would read every row.
_STREAMS = """
WITH RECURSIVE found (name) AS (
    SELECT min(stream) FROM audit
    UNION ALL SELECT (SELECT min(stream) FROM audit WHERE stream > name) FROM found WHERE name IS NOT NULL
)
SELECT name FROM found WHERE name IS NOT NULL
"""


class Database(Protocol):
    """`SqliteDatabase`, `PostgresDatabase`."""

    def migrate(self, part: str, scripts: Sequence[str]) -> None: ...  # noqa: D102 - see there
    def transaction(self) -> AbstractContextManager[Any]: ...  # noqa: D102 - see there
    def close(self) -> None: ...  # noqa: D102 - see there


class Ledger(ABC):
    """The audit port over two tables; `stream` names the chain, each of which has one writer at a time."""

    parameter = "?"

    def __init__(self, database: Database, *, where: str, clock: Callable[[], float], stream: str) -> None:
        self.stream = stream
        self._database = database
        self._where = where
        self._clock = clock

    def append(self, kind: str, run: str, body: Mapping[str, object]) -> Record:
        """The next record of the chain, on the disk.

        Raises:
            AuditError: it could not be written; then nothing was.
        """
        with self._changing() as db:
            head = self._locked(db)
            record = chain.link(head, at=self._clock(), kind=kind, run=run, body=body, salt=fresh(), stream=self.stream)
            self._insert(db, [record])
        return record

    def extend(self, records: Sequence[Record]) -> None:
        """Put `records`, which somebody linked to the head, on the disk.

        Raises:
            AuditError: they do not follow the head, or could not be written; then none was.
        """
        with self._changing() as db:
            if records and (records[0].seq - 1, records[0].previous) != self._locked(db):
                raise AuditError("somebody else writes the same stream; each writer needs one of its own")
            self._insert(db, records)

    def head(self) -> Head:
        """The end of the chain."""
        with self._reading() as db:
            return self._head(db)

    def rows(self, *, after: int = 0) -> Iterator[Any]:
        """Rows with a larger number than `after`, in order, as the database returns them."""
        while True:
            with self._reading() as db:
                # By the key, not by what the record says of itself: `verify` judges that.
                query = f"SELECT {COLUMNS} FROM audit WHERE stream = ? AND seq > ? ORDER BY seq LIMIT ?"  # noqa: S608 - a constant
                page = self._run(db, query, self.stream, after, PAGE).fetchall()
            yield from page
            if len(page) < PAGE:
                return
            after = page[-1][1]

    def records(self, *, after: int = 0) -> Iterator[Record]:
        """The records with a larger number than `after`, in order."""
        return map(Record._make, self.rows(after=after))

    def verify(self, known: Head | None = None) -> chain.Verdict:
        """Whether the chain holds and contains `known`."""
        return examine(self.rows(), stream=self.stream, base=self.base(), known=known)

    def streams(self) -> list[str]:
        """The names of all chains."""
        with self._reading() as db:
            return [name for (name,) in self._run(db, _STREAMS).fetchall()]

    def base(self) -> Base:
        """Where the kept records begin."""
        return self._place("base")

    def checkpoint(self) -> Base:
        """The latest checkpoint."""
        return self._place("checkpoint")

    def keep(self, checkpoint: Base) -> None:
        """Note a checkpoint, to go on from there."""
        with self._changing() as db:
            self._put(db, "checkpoint", checkpoint)

    def erase(self, principal: str, *, by: str, why: str = "") -> Erasure:
        """Erase what the records of `principal` say, together with a record of it.

        Raises:
            AuditError: it could not be done, or somebody else erases; then nothing was.
        """
        seqs = concerned(self.records, principal)
        with self._changing() as db:
            head = self._locked(db)
            done = erasure(head, seqs, principal, by=by, why=why, at=self._clock(), salt=fresh(), stream=self.stream)
            self._insert(db, [done.record])
            query = (
                "UPDATE audit SET salt = '', personal = '', erased = ? WHERE stream = ? AND seq = ? AND personal <> ''"
            )
            for seq in seqs:
                if self._run(db, query, done.record.seq, self.stream, seq).rowcount != 1:
                    raise AuditError("somebody else erases at the same time; try again")
        self._scrub()
        return done

    def drop(self, *, by: str) -> Record:
        """Drop the records up to the latest checkpoint, together with a record of it.

        Raises:
            AuditError: there is no checkpoint, or it could not be done; then nothing was.
        """
        new, old = self.checkpoint(), self.base()
        gone = tallies(self.records(), old, new)
        with self._changing() as db:
            record = retention(self._locked(db), new, by=by, at=self._clock(), stream=self.stream)
            self._insert(db, [record])
            self._put(db, "base", Base(head=new.head, frontier=new.frontier, note=new.note, tallies=gone))
            self._run(db, "DELETE FROM audit WHERE stream = ? AND seq <= ?", self.stream, new.head.seq)
        self._scrub()
        return record

    def close(self) -> None:
        """Close this process's connections; the next use opens others."""
        self._database.close()

    @abstractmethod
    def _locked(self, db: Any) -> Head:  # noqa: ANN401 - a connection of the engine
        """The head; nobody else changes it until the end of the transaction."""

    @abstractmethod
    def _insert(self, db: Any, records: Sequence[Record]) -> None:  # noqa: ANN401 - the same
        """Insert `records` at the end."""

    @abstractmethod
    def _scrub(self) -> None:
        """Have the engine overwrite what was deleted, as far as it can."""

    def _reading(self) -> AbstractContextManager[Any]:
        return self._guarded(self._database.transaction(), "cannot be read")

    def _changing(self) -> AbstractContextManager[Any]:
        return self._guarded(self._database.transaction(), "took no record")

    @contextmanager
    def _guarded(self, work: AbstractContextManager[Any], what: str) -> Iterator[Any]:
        try:
            with work as db:
                yield db
        except StoreError as error:
            raise AuditError(f"the audit `{self._where}` {what}: {error}", hint=error.hint) from error

    def _head(self, db: Any) -> Head:  # noqa: ANN401 - a connection of the engine
        query = "SELECT seq, digest FROM audit WHERE stream = ? ORDER BY seq DESC LIMIT 1"
        row = self._run(db, query, self.stream).fetchone()
        return Head(*row) if row else EMPTY

    def _place(self, what: str) -> Base:
        with self._reading() as db:
            query = "SELECT place FROM audit_places WHERE stream = ? AND what = ?"
            row = self._run(db, query, self.stream, what).fetchone()
        return Base.parse(row[0]) if row else Base()

    def _put(self, db: Any, what: str, place: Base) -> None:  # noqa: ANN401 - a connection of the engine
        query = (
            "INSERT INTO audit_places (stream, what, place) VALUES (?, ?, ?) "
            "ON CONFLICT (stream, what) DO UPDATE SET place = excluded.place"
        )
        self._run(db, query, self.stream, what, place.text)

    def _run(self, db: Any, query: str, *values: object) -> Any:  # noqa: ANN401 - a cursor of the engine
        return db.execute(query.replace("?", self.parameter), values)
