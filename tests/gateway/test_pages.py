"""What is given back after the start is nothing that anybody could miss."""

from __future__ import annotations

import subprocess
import sys

from interlock.gateway.pages import as_in_files

SMAPS = """\
00400000-00500000 r-xp 00000000 08:01 11 /lib/code.so
Size:               1024 kB
Rss:                 512 kB
Anonymous:             0 kB
VmFlags: rd ex mr mw me sd
00500000-00600000 r--p 00000000 08:01 11 /lib/code with a space.so
Anonymous:             0 kB
THPeligible:           0
00600000-00700000 r--p 00200000 08:01 11 /lib/relocated.so
Rss:                 512 kB
Anonymous:             4 kB
00700000-00800000 r-xp 00000000 00:00 0 [vdso]
Anonymous:             0 kB
00800000-00900000 rw-p 00300000 08:01 11 /lib/data.so
Anonymous:             0 kB
00900000-00a00000 r--s 00000000 08:01 12 /shared/database
Anonymous:             0 kB
00a00000-00b00000 r--p 00000000 00:00 0
Anonymous:             0 kB
"""


def test_only_what_is_read_again_as_it_was_is_let_go() -> None:
    assert list(as_in_files(SMAPS)) == [(0x400000, 0x500000), (0x500000, 0x600000)]


def test_a_process_goes_on_after_it() -> None:
    code = """
import ctypes, decimal, json, re, sqlite3, ssl, sys
import orjson, jsonschema_rs, pydantic_core
from interlock.gateway.pages import give_back
def works():
    assert orjson.loads(orjson.dumps({"a": [1.5]})) == {"a": [1.5]}
    assert not jsonschema_rs.is_valid({"type": "string"}, 1)
    assert sqlite3.connect(":memory:").execute("select 6 * 7").fetchone() == (42,)
    assert ssl.create_default_context().verify_mode == ssl.CERT_REQUIRED
    assert decimal.Decimal(1) / 3 and re.sub("(a)", r"\\1\\1", "a") == "aa"
works()
before = int(open("/proc/self/statm").read().split()[1])
give_back()
after = int(open("/proc/self/statm").read().split()[1])
works()
give_back()
works()
print(after < before)
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (0, "True\n"), done.stderr
