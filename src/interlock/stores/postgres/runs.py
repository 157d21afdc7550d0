"""Facts about conversations in PostgreSQL: they only grow, so processes need agree on nothing but their keys.

Text, not `jsonb`, which would spell numbers anew: digests are made of them. A number is drawn under a lock on the
conversation: whoever has read up to number n has seen all that has a smaller one.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence

from interlock.kernel.call import Json, canonical
from interlock.stores.errors import StoreError
from interlock.stores.postgres.database import PostgresDatabase

MIGRATIONS = (
    """
    CREATE TABLE interlock_runs (
        number bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
        conversation text NOT NULL,
        key text NOT NULL,
        at timestamptz NOT NULL DEFAULT now(),
        fact text NOT NULL,
        UNIQUE (conversation, key)
    );
    CREATE INDEX interlock_runs_by_number ON interlock_runs (conversation, number);
    CREATE INDEX interlock_runs_by_age ON interlock_runs (at);
    """,
)


class PostgresRuns:
    """The port `RunStore` over `database`."""

    def __init__(self, database: PostgresDatabase) -> None:
        self._database = database
        database.migrate("runs", MIGRATIONS)

    def since(self, conversation: str, after: int) -> Sequence[tuple[int, Mapping[str, Json]]]:
        """The facts with a larger number than `after`, in the order in which they were added.

        Raises:
            StoreError: the database cannot be read.
        """
        with self._database.transaction() as db:
            rows = db.execute(
                "SELECT number, fact FROM interlock_runs WHERE conversation = %s AND number > %s ORDER BY number",
                (conversation, after),
            ).fetchall()
        try:
            return [(number, json.loads(fact)) for number, fact in rows]
        except ValueError:
            raise StoreError("a fact of this conversation cannot be read") from None

    def add(self, conversation: str, facts: Sequence[tuple[str, Mapping[str, Json]]]) -> None:
        """Keep facts by key. One that is there already stays as it is.

        Raises:
            StoreError: the database took none of them.
        """
        with self._database.transaction() as db:
            db.execute("SELECT pg_advisory_xact_lock(hashtextextended(%s, 0))", (conversation,))
            db.cursor().executemany(
                "INSERT INTO interlock_runs (conversation, key, fact) VALUES (%s, %s, %s) "
                "ON CONFLICT (conversation, key) DO NOTHING",
                [(conversation, key, canonical(dict(fact)).decode()) for key, fact in facts],
            )

    def of(self, conversations: Sequence[str]) -> Mapping[str, Sequence[Mapping[str, Json]]]:
        """All facts of each of `conversations` that has any, in the order in which they were added.

        Raises:
            StoreError: the database cannot be read.
        """
        with self._database.transaction() as db:
            rows = db.execute(
                "SELECT conversation, fact FROM interlock_runs WHERE conversation = ANY(%s) ORDER BY number",
                ([*conversations],),
            ).fetchall()
        found: dict[str, list[Mapping[str, Json]]] = {}
        try:
            for conversation, fact in rows:
                found.setdefault(conversation, []).append(json.loads(fact))
        except ValueError:
            raise StoreError("a fact of these conversations cannot be read") from None
        return found

    def add_all(self, facts: Sequence[tuple[str, str, Mapping[str, Json]]]) -> None:
        """Keep facts of several conversations, each with its key, for readers of whole conversations.

        No lock is taken on the conversations, so somebody who reads on from a number may miss one of these.

        Raises:
            StoreError: the database took none of them.
        """
        rows = sorted((conversation, key, canonical(dict(fact)).decode()) for conversation, key, fact in facts)
        with self._database.transaction() as db:
            db.cursor().executemany(
                "INSERT INTO interlock_runs (conversation, key, fact) VALUES (%s, %s, %s) "
                "ON CONFLICT (conversation, key) DO NOTHING",
                rows,  # in one order, so that no two writers wait for each other
            )

    def forget(self, before: float) -> int:
        """Drop conversations of which nothing was added since `before` (s); how many facts went.

        Raises:
            StoreError: the database took no change.
        """
        with self._database.transaction() as db:
            return db.execute(
                "DELETE FROM interlock_runs WHERE conversation IN (SELECT conversation FROM interlock_runs "
                "GROUP BY conversation HAVING max(at) < to_timestamp(%s))",
                (before,),
            ).rowcount
