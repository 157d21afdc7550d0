"""The approvers' side: read what is asked, and answer it.

An answer names the digest of the call that was read. Whoever answers a question that he was shown as another call
answers nothing.
"""

from __future__ import annotations

from contextlib import suppress

from interlock.approvals.approvers import check_name
from interlock.approvals.entry import Entry, Given, Standing
from interlock.approvals.errors import NoSuchApproval, NotYours, Tampered
from interlock.approvals.shown import as_json, question_of
from interlock.approvals.stored import ApprovalStore
from interlock.monitor.errors import ApprovalError
from interlock.monitor.ports import AuditPort, Redactor


class Desk:
    """Questions as approvers may see them. `redact` is for what they write; an `audit` gets each answer first."""

    def __init__(self, store: ApprovalStore, *, redact: Redactor, audit: AuditPort | None = None) -> None:
        self._store, self._redact, self._audit = store, redact, audit

    def open(self, by: str) -> list[dict[str, object]]:
        """Every question that `by` may answer and has not, oldest first; none that shows another call than its own."""
        check_name(by)
        found = []
        for entry in self._store.pending():
            if entry.terms.need.accepts(by, entry.terms.principal) and by not in {g.by for g in entry.given}:
                with suppress(Tampered):  # one that was changed keeps nobody from the others
                    found.append(self._json(entry, "pending"))
        return found

    def show(self, ref: str, by: str) -> dict[str, object]:
        """The question `ref`, open or settled.

        Raises:
            NoSuchApproval: there is none that `by` may see.
            Tampered: it is not what was written.
        """
        return self._json(*self._seen(ref, by))

    def answer(
        self, ref: str, by: str, *, granted: bool, digest: str, via: str, comment: str = ""
    ) -> dict[str, object]:
        """Say yes or no to the call with this `digest`; the same answer twice is one.

        Raises:
            NoSuchApproval: there is no such question that `by` may see.
            NotYours: `by` may not answer it, or has read another call.
            Settled: it is answered, used or expired.
            Tampered: it is not what was written.
            AuditError: it could not be recorded; then it was not given.
        """
        entry, standing = self._seen(ref, by)
        if digest != entry.terms.digest:
            raise NotYours(f"`{ref}` asks about another call; read it again")
        if standing in {"pending", "granted"}:
            question_of(entry)  # what cannot be shown cannot be approved
        try:
            said = str(self._redact(comment.encode(errors="backslashreplace").decode()))  # half a character is none
        except Exception as error:
            raise ApprovalError(f"the comment could not be redacted: {type(error).__name__}") from error
        if self._audit is not None:  # first: what counts is on record, what is refused may be there too
            body = {"approval": ref, "digest": digest, "by": by, "granted": granted is True, "via": via}
            self._audit.append("approval", entry.terms.run, body)
        after, now = self._store.answer(ref, Given(by=by, granted=granted is True, comment=said, at=0.0, via=via))
        return self._json(after, now)

    def _seen(self, ref: str, by: str) -> tuple[Entry, Standing]:
        check_name(by)
        entry, standing = self._store.get(ref)
        may = entry.terms.need.may
        if may and by not in may:
            raise NoSuchApproval(f"there is no approval `{ref}`")  # for him
        return entry, standing

    def _json(self, entry: Entry, standing: Standing) -> dict[str, object]:
        return as_json(entry, standing, self._store.last(entry.terms.tool))
