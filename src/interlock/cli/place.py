"""Which store a command means: `--store`, else what `INTERLOCK_STORE` or the manifest says."""

from __future__ import annotations

import os
from argparse import ArgumentParser, Namespace
from pathlib import Path

from interlock.cli import given
from interlock.cli.errors import UsageError
from interlock.policy.part_approvals import ApprovalsPart


def add_store(parser: ArgumentParser) -> None:
    """`--store` and `--manifest`."""
    parser.add_argument(
        "--store", metavar="WHERE", help="a SQLite file, sqlite:FOLDER or postgresql://…; else as INTERLOCK_STORE says"
    )
    parser.add_argument("--manifest", default=given.MANIFEST, help="whose `approvals` say where the store is")
    given.add_dotenv(parser)


def store_of(options: Namespace) -> tuple[str, bytes]:
    """The store, and the key under which its approvals are sealed.

    Raises:
        UsageError: the manifest is none.
        SecretError: a handle that it names has no value.
    """
    part = _part(Path(options.manifest))
    where = options.store or os.environ.get("INTERLOCK_STORE") or part.store
    handles = [h for h in (where, part.seal) if h is not None and h.startswith("secret://")]
    values: dict[str, str] = {}
    if handles:
        from interlock.assemble import administering

        with administering(handles, given.secrets(options.dotenv)) as resolve:
            values = {handle: resolve(handle) for handle in handles}
    where = values.get(where, where)
    if where == part.store and "://" not in where and not where.startswith("sqlite:"):
        where = str(Path(options.manifest).parent / where)
    return where, values[part.seal].encode() if part.seal is not None else b""


def _part(manifest: Path) -> ApprovalsPart:
    if not manifest.is_file():
        return ApprovalsPart()
    from pydantic import ValidationError

    from interlock.policy.document import parse

    document, problems = parse(manifest.read_text("utf-8"), str(manifest))
    data = document.data.get("approvals", {}) if isinstance(document.data, dict) else None
    if problems or data is None:
        raise UsageError(f"`{manifest}` is no manifest", hint="`interlock check` says what is wrong")
    try:
        return ApprovalsPart.model_validate(data or {})
    except ValidationError as error:
        told = "; ".join(f"`{'.'.join(map(str, e['loc'])) or 'approvals'}`: {e['msg']}" for e in error.errors())
        raise UsageError(f"`{manifest}`, approvals: {told}") from None
