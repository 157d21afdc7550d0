"""Facts about conversations in one SQLite file: they only grow, so processes need agree on nothing but their keys."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Mapping, Sequence

from interlock.kernel.call import Json, canonical
from interlock.stores.errors import StoreError
from interlock.stores.sqlite.database import SqliteDatabase

MIGRATIONS = (
    """
    CREATE TABLE runs (
        number INTEGER PRIMARY KEY AUTOINCREMENT,
        conversation TEXT NOT NULL,
        key TEXT NOT NULL,
        at REAL NOT NULL,
        fact TEXT NOT NULL,
        UNIQUE (conversation, key)
    ) STRICT;
    CREATE INDEX runs_by_age ON runs (at);
    """,
)
_OF_ONE = "SELECT conversation, fact FROM runs WHERE conversation = ? ORDER BY number"  # a third of the other's time
_OF_MANY = "SELECT conversation, fact FROM runs WHERE conversation IN (SELECT value FROM json_each(?)) ORDER BY number"


class SqliteRuns:
    """The port `RunStore` over `database`."""

    def __init__(self, database: SqliteDatabase, *, clock: Callable[[], float] = time.time) -> None:
        self._database = database
        self._clock = clock
        database.migrate("runs", MIGRATIONS)

    def since(self, conversation: str, after: int) -> Sequence[tuple[int, Mapping[str, Json]]]:
        """The facts with a larger number than `after`, in the order in which they were added.

        Raises:
            StoreError: the file cannot be read, or holds what is no fact.
        """
        with self._database.reading() as db:
            rows = db.execute(
                "SELECT number, fact FROM runs WHERE conversation = ? AND number > ? ORDER BY number",
                (conversation, after),
            ).fetchall()
        try:
            return [(number, json.loads(fact)) for number, fact in rows]
        except ValueError:
            raise StoreError("a fact of this conversation cannot be read") from None

    def add(self, conversation: str, facts: Sequence[tuple[str, Mapping[str, Json]]]) -> None:
        """Keep facts by key. One that is there already stays as it is.

        Raises:
            StoreError: the file took none of them.
        """
        self.add_all([(conversation, key, fact) for key, fact in facts])

    def of(self, conversations: Sequence[str]) -> Mapping[str, Sequence[Mapping[str, Json]]]:
        """All facts of each of `conversations` that has any, in the order in which they were added.

        Raises:
            StoreError: the file cannot be read, or holds what is no fact.
        """
        with self._database.reading() as db:
            if len(conversations) == 1:
                rows = db.execute(_OF_ONE, (conversations[0],)).fetchall()
            else:
                rows = db.execute(_OF_MANY, (json.dumps([*conversations]),)).fetchall()
        found: dict[str, list[Mapping[str, Json]]] = {}
        try:
            for conversation, fact in rows:
                found.setdefault(conversation, []).append(json.loads(fact))
        except ValueError:
            raise StoreError("a fact of these conversations cannot be read") from None
        return found

    def add_all(self, facts: Sequence[tuple[str, str, Mapping[str, Json]]]) -> None:
        """Keep facts of several conversations, each with its key. One that is there already stays as it is.

        Raises:
            StoreError: the file took none of them.
        """
        now = self._clock()
        rows = [(conversation, key, now, canonical(dict(fact)).decode()) for conversation, key, fact in facts]
        with self._database.transaction() as db:
            db.executemany("INSERT OR IGNORE INTO runs (conversation, key, at, fact) VALUES (?, ?, ?, ?)", rows)

    def forget(self, before: float) -> int:
        """Drop conversations of which nothing was added since `before` (s); how many facts went.

        Raises:
            StoreError: the file took no change.
        """
        with self._database.transaction() as db:
            return db.execute(
                "DELETE FROM runs WHERE conversation IN "
                "(SELECT conversation FROM runs GROUP BY conversation HAVING max(at) < ?)",
                (before,),
            ).rowcount
