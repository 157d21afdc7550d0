"""`interlock scan-text`: how much of a text reads like an injected instruction. Evidence, never prevention."""

from __future__ import annotations

import sys
from argparse import ArgumentParser, Namespace
from pathlib import Path

from interlock.cli.errors import UsageError
from interlock.cli.show import coloured, seen, to_json


def arguments(parser: ArgumentParser) -> None:
    """What to read, and as what."""
    parser.add_argument("file", nargs="?", default="-", help="a file; `-`, as without one, is standard input")
    parser.add_argument(
        "--channel",
        choices=("user", "untrusted"),
        default="untrusted",
        help="`user`: a user typed it; `untrusted`: anything else",
    )
    parser.add_argument("--json", action="store_true", help="for machines")


def run(options: Namespace) -> int:
    """Print score, band and findings; 1 if the band is not `clear`, also if the text could not be scanned."""
    from interlock.detect.injection import InjectionError, failed, load

    text = _text(options.file)
    detector = load()
    try:
        scan = detector.scan(text, options.channel)
    except InjectionError as error:
        print(error, file=sys.stderr)
        scan = failed()
    if options.json:
        print(to_json({"channel": options.channel, "parts": detector.parts, "scan": scan}))
        return 1 if scan.band != "clear" else 0
    print(coloured(f"{scan.band}: score {scan.score:.3f}", "good" if scan.band == "clear" else "bad"))
    for finding in scan.findings:
        start, end = finding.span
        print(f"{start}-{end}  {finding.id}: {finding.why}")
        print(f"    {seen(text[start:end], 160)}")
    if scan.reasons:
        print(f"because of {', '.join(scan.reasons)}")
    print(detector.parts, file=sys.stderr)
    return 1 if scan.band != "clear" else 0


def _text(name: str) -> str:
    try:
        raw = sys.stdin.buffer.read() if name == "-" else Path(name).read_bytes()
    except OSError as error:
        raise UsageError(f"`{name}` cannot be read: {error.strerror}") from error
    return raw.decode("utf-8", "replace")
