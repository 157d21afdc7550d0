"""A thread that looks at the store now and then: which keys there are, and whether an audit that gave up may go on.

An audit whose store took nothing for a while is dead: nothing more is permitted, and `/readyz` says why. When the disk
has room again, or the database is back, it goes on from what the store has; that it did is its next record.
"""

from __future__ import annotations

import logging
from threading import Event, Thread

from interlock.stores.grouped import GroupedAudit
from interlock.stores.key import KeyRing

PULSE = 0.5  # seconds between two looks
log = logging.getLogger("interlock.gateway")


class Watch:
    """The thread."""

    def __init__(self, audit: GroupedAudit, *rings: KeyRing) -> None:
        """`rings` are refreshed here, where nobody waits."""
        self._away = ""
        self._audit, self._rings = audit, rings
        self._end = Event()
        self._thread = Thread(target=self._look, name="interlock-watch", daemon=True)
        self._thread.start()

    @property
    def away(self) -> str:
        """Why the store does not serve; empty while it does."""
        return self._away or self._audit.dead

    def close(self) -> None:
        """Look no more."""
        self._end.set()
        self._thread.join()

    def _look(self) -> None:
        while not self._end.wait(PULSE):
            try:
                for ring in self._rings:
                    ring.refresh()
                if why := self._audit.dead:
                    self._tell(why)
                    if self._audit.contested:
                        continue
                    self._audit.reopen()
                    # What was never on the disk, nobody acted on.
                    self._audit.settled(self._audit.append("reopened", "", {"why": why}))
            except Exception as error:  # noqa: BLE001 - the border of a thread: it looks again
                self._tell(f"{type(error).__name__}: {error}")
            else:
                if self._away:
                    log.info("the store serves again")
                self._away = ""

    def _tell(self, why: str) -> None:
        if not self._away:
            log.error("the store does not serve: %s", why)
        self._away = why
