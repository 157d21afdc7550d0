"""Facts about conversations that live as long as the process: for tests, and for one process."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from threading import Lock

from interlock.kernel.call import Json


class MemoryRuns:
    """The port `RunStore` over a dictionary."""

    def __init__(self) -> None:
        self._lock = Lock()
        self._facts: dict[str, dict[str, Mapping[str, Json]]] = {}

    def since(self, conversation: str, after: int) -> Sequence[tuple[int, Mapping[str, Json]]]:
        """The facts with a larger number than `after`, in the order in which they were added."""
        with self._lock:
            facts = list(self._facts.get(conversation, {}).values())
        return [(n, fact) for n, fact in enumerate(facts, 1) if n > after]

    def add(self, conversation: str, facts: Sequence[tuple[str, Mapping[str, Json]]]) -> None:
        """Keep facts by key. One that is there already stays as it is."""
        with self._lock:
            known = self._facts.setdefault(conversation, {})
            for key, fact in facts:
                known.setdefault(key, dict(fact))

    def of(self, conversations: Sequence[str]) -> Mapping[str, Sequence[Mapping[str, Json]]]:
        """All facts of each of `conversations` that has any, in the order in which they were added."""
        with self._lock:
            return {c: list(self._facts[c].values()) for c in conversations if c in self._facts}

    def add_all(self, facts: Sequence[tuple[str, str, Mapping[str, Json]]]) -> None:
        """Keep facts of several conversations, each with its key, for readers of whole conversations."""
        for conversation, key, fact in facts:
            self.add(conversation, [(key, fact)])
