"""What LangSmith's client takes to redact all that it sends: `Client(**Hooks(redaction).options())`.

Its own hooks see inputs, outputs, metadata and (an `anonymizer` only) errors. They do not see a run's name, tags,
events, attachments and the rest of `extra`: those are redacted where the client lets runs be changed before they are
queued. A hook that raises could stop the application or let the original leave, so ours never do: a constant line
stands for what cannot be redacted.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from typing import Any

from interlock.logs.cleaner import WITHHELD, Cleaner, Redacts
from interlock.logs.filter import NAME

log = logging.getLogger(NAME)

_SEEN = frozenset({"inputs", "outputs", "error"})  # by the client's own hooks, before a run comes here
# By these the service joins and orders runs; none of them is content.
_PLACE = frozenset(
    "id trace_id parent_run_id dotted_order session_id session_name address start_time end_time run_type "
    "reference_example_id reference_dataset_id input_attachments output_attachments".split()
)


class Hooks:
    """The hooks. A client that is given only some sends the rest as it is."""

    def __init__(self, redaction: Redacts) -> None:
        self.__cleaner = Cleaner(redaction)

    @property
    def dropped(self) -> int:
        """How much could not be redacted."""
        return self.__cleaner.dropped

    def options(self) -> dict[str, Any]:
        """All of them, as keyword arguments of `langsmith.Client`."""
        return {
            "anonymizer": self.anonymizer,
            "hide_inputs": self.anonymizer,
            "hide_outputs": self.anonymizer,
            "hide_metadata": self.anonymizer,
            "process_buffered_run_ops": self.runs,
            "run_ops_buffer_size": 1,  # each on its way at once
        }

    def anonymizer(self, content: Any) -> dict[str, Any]:  # noqa: ANN401 - the client's
        """`content` as it may leave. Also a `hide_inputs`, `hide_outputs`, `hide_metadata`."""
        try:
            return self.__cleaner.mapping(content)
        except Exception:  # noqa: BLE001 - whatever it is, the content does not leave
            line = self.__dropped()
            # Without its key, the client would take the original error.
            return {"error": line} if isinstance(content, dict) and "error" in content else {"redaction": line}

    def runs(self, runs: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
        """As many runs in the same order, each as it may leave."""
        return [self.__run(run) for run in runs]

    def __run(self, run: dict[str, Any]) -> dict[str, Any]:
        kept = {k: v for k, v in run.items() if k in _PLACE or k in _SEEN}
        try:
            attachments = {k: run[k] for k in ("attachments",) if run.get(k)}
            rest = {k: v for k, v in run.items() if k not in kept and k not in attachments}
            cleaned = self.__cleaner.mapping(rest)
            files = {k: self.__files(v) for k, v in attachments.items()}
        except Exception:  # noqa: BLE001 - as above
            return kept | {"name": self.__dropped()}
        return kept | cleaned | files

    def __files(self, files: dict[str, Any]) -> dict[str, Any]:
        return {self.__cleaner.text(name): self.__file(file) for name, file in files.items()}

    def __file(self, file: Any) -> Any:  # noqa: ANN401 - a pair, or the client's class
        mime, data = (file.mime_type, file.data) if hasattr(file, "mime_type") else file
        try:
            text = bytes(data).decode() if isinstance(data, bytes | bytearray) else None
        except UnicodeDecodeError:
            text = None
        # A picture or a path cannot be looked through.
        cleaned = WITHHELD if text is None else self.__cleaner.text(text)
        return (mime, cleaned.encode("utf-8", "backslashreplace"))

    def __dropped(self) -> str:
        line = self.__cleaner.drop("a trace")
        log.error(line)
        return line
