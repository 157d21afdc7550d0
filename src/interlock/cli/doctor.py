"""`interlock doctor`: try to break what the manifest configures, on this machine, and show what held.

Each entry is opened by itself, with its own secrets, and proves its claims; one that does not open is a claim that does
not hold. Beside them stand what everything rests on, the audit and the rules, and what the machine offers.
Exit status: 0 if every claim holds, else 1.
"""

from __future__ import annotations

import platform
import subprocess
import sys
import tempfile
from argparse import ArgumentParser, Namespace
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

from interlock.audit.chain import Broken, Verified
from interlock.cli import given
from interlock.cli.check import not_enforced, told_gaps
from interlock.cli.show import coloured, seen, table, to_json
from interlock.kernel.errors import InterlockError
from interlock.tools.kind import Proof

if TYPE_CHECKING:
    from interlock.policy.policy import Entry, Policy
    from interlock.secrets.sources import Sources

Found = tuple[str, Proof]  # what it is about, and the claim
CORE = "interlock"
_WIDE = 72  # characters of a cell
_NAMESPACES = (
    "import ctypes, sys; sys.exit(ctypes.CDLL(None, use_errno=True).unshare(0x10000000) != 0)"  # CLONE_NEWUSER
)


def arguments(parser: ArgumentParser) -> None:
    """What is examined."""
    parser.add_argument("manifest", nargs="?", default=given.MANIFEST, help=f"default: {given.MANIFEST}")
    parser.add_argument("--audit", metavar="FILE", help="default: .interlock/audit.sqlite beside the manifest")
    parser.add_argument("--json", action="store_true", help="for machines")
    given.add_tools(parser)
    given.add_obligations(parser)
    given.add_dotenv(parser)


def run(options: Namespace) -> int:
    """Print the table; 1 if a claim does not hold."""
    tools = given.functions(options.tools) if options.tools else []
    policy = given.policy(options.manifest, tools, options.obligation)
    sources = given.secrets(options.dotenv)
    found = [found for entry in policy.entries for found in _entry(entry, policy, sources)]
    found = [(CORE, _rules(policy, options.obligation)), *found]
    found.insert(0, (CORE, _audit(policy, options.audit, found)))
    gaps = not_enforced(policy, tools if options.tools else None)
    machine = dict(_machine())
    sound = all(proof.held for _, proof in found)
    if options.json:
        proofs = [{"tool": name} | asdict(proof) for name, proof in found]
        print(to_json({"sound": sound, "proofs": proofs, "machine": machine, "not_enforced": gaps}))
    else:
        print("\n".join(_lines(found, machine, gaps)))
    return 0 if sound else 1


def _entry(entry: Entry, policy: Policy, sources: Sources) -> Iterator[Found]:
    """Every claim of one entry; that it opens is the first."""
    from interlock.assemble import Opened
    from interlock.tools.kinds import KINDS

    opened = Opened()
    try:
        opened.open([entry], KINDS, sources, str(Path(policy.manifest_path).parent))
        yield entry.name, Proof(layer="gate", claim="opens", held=True, evidence=f"kind {entry.kind}")
        for name, place in opened.vault.places.items() if opened.vault else ():
            yield entry.name, Proof(layer="gate", claim=f"has `secret://{name}`", held=True, evidence=f"from {place}")
        for warning in opened.vault.warnings if opened.vault else ():
            yield entry.name, Proof(layer="gate", claim="keeps its secrets", held=True, evidence="", residual=warning)
        yield from opened.proofs()
    except InterlockError as error:
        yield entry.name, _broken(error)
    except Exception as error:  # noqa: BLE001 - one entry's failing must not hide the others
        yield entry.name, _broken(InterlockError(f"{type(error).__name__} while it was tried"))
    finally:
        opened.close()


def _broken(error: InterlockError) -> Proof:
    return Proof(layer="gate", claim="opens and proves itself", held=False, evidence=str(error), residual=error.hint)


def _rules(policy: Policy, obligations: Sequence[str]) -> Proof:
    """The rules load in the engine that decides."""
    rules = given.rules_in(policy.rules_text, obligations)
    relaxed = f"relaxed: {', '.join(policy.relaxed)}" if policy.relaxed else ""
    return Proof(
        layer="gate", claim="manifest and rules fit", held=True, evidence=f"{len(rules)} rules", residual=relaxed
    )


def _audit(policy: Policy, where: str | None, found: Sequence[Found]) -> Proof:
    """The audit takes a record, of this examination, and its chain holds."""
    from interlock.assemble import audit_at
    from interlock.stores.sqlite.audit import SqliteAudit

    claim = "the audit takes records and its chain holds"
    residual = "a cut end shows only against a head noted elsewhere: `interlock audit verify --head`"
    try:
        audit = audit_at(where, policy)
        broken = [f"{name}: {proof.claim}" for name, proof in found if not proof.held]
        record = audit.append("doctor", "", {"policy": policy.digest, "claims": len(found), "broken": broken})
        verdict = audit.verify() if isinstance(audit, SqliteAudit) else None
    except (InterlockError, OSError) as error:
        return Proof(layer="gate", claim=claim, held=False, evidence=str(error))
    match verdict:
        case Verified(head=head):
            evidence = f"record {record.seq} written, {head.seq} verified"
            return Proof(layer="gate", claim=claim, held=True, evidence=evidence, residual=residual)
        case Broken(why=why):
            return Proof(layer="gate", claim=claim, held=False, evidence=why)
        case None:
            return Proof(layer="gate", claim=claim, held=False, evidence="this store verifies nothing")


def _machine() -> Iterator[tuple[str, str]]:
    """What this machine offers to tools; facts, no claims."""
    import sqlite3

    yield "python", platform.python_version()
    yield "system", f"{platform.system()} {platform.release()} {platform.machine()}"
    yield "sqlite", sqlite3.sqlite_version
    yield "openat2", "yes" if _openat2() else "no: paths are walked step by step"
    yield "landlock", _landlock()
    done = subprocess.run([sys.executable, "-I", "-c", _NAMESPACES], check=False, capture_output=True)  # noqa: S603 - our own
    yield "user namespaces", "yes" if done.returncode == 0 else "no: no bubblewrap without root"


def _openat2() -> bool:
    import os

    from interlock.tools.files.system import openat2

    with tempfile.TemporaryDirectory(prefix="interlock-doctor-") as folder:
        at = os.open(folder, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            os.close(openat2(at, b".", os.O_PATH))
        except OSError:
            return False
        finally:
            os.close(at)
    return True


def _landlock() -> str:
    import ctypes

    # landlock_create_ruleset, 444 on every architecture that has it, with LANDLOCK_CREATE_RULESET_VERSION
    version = ctypes.CDLL(None, use_errno=True).syscall(444, None, ctypes.c_size_t(0), 1)
    return f"version {version}" if version > 0 else "no"


def _lines(found: Sequence[Found], machine: Mapping[str, str], gaps: Mapping[str, Sequence[str]]) -> Iterator[str]:
    head = ("tool", "layer", "held", "claim", "evidence", "what it does not stop")
    rows = [
        (name, p.layer, "yes" if p.held else "NO", seen(p.claim, _WIDE), seen(p.evidence, _WIDE), seen(p.residual))
        for name, p in found
    ]
    yield from table([head, *rows])
    yield ""
    yield f"this machine: {'; '.join(f'{name} {told}' for name, told in machine.items())}"
    yield from told_gaps(gaps)
    broken = [(name, p) for name, p in found if not p.held]
    if not broken:
        held = ", ".join(f"{count} {layer}" for layer, count in Counter(p.layer for _, p in found).items())
        yield coloured(f"every claim holds: {held}", "good")
        return
    for name, proof in broken:  # whole, for what the table cut
        yield coloured(f"{name}: {seen(proof.claim)}: {seen(proof.evidence, 4000)}", "bad")
        if proof.residual:
            yield f"  hint: {seen(proof.residual, 4000)}"
    yield coloured(f"{len(broken)} of {len(found)} claims do not hold", "bad")
