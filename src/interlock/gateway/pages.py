"""Memory that starting took and serving does not need, given back to the system.

Starting compiles patterns, parses rules and checks schemas. What malloc got for that it keeps, and the code that did it
stays mapped. Both are let go here: free pages of the heap, and pages of libraries' code, which the kernel reads again
where they are needed after all (they are never written to, so nothing is lost). Where the system has no such calls,
nothing happens.
"""

from __future__ import annotations

import ctypes
import sys
from collections.abc import Iterator
from pathlib import Path

_DONTNEED = 4  # <bits/mman-linux.h>
_CODE = "r-xp"  # read, executed, private and not writable: such pages are the file's


def give_back() -> None:
    """Let go of what only starting needed."""
    if sys.platform != "linux":
        return
    libc = ctypes.CDLL(None)
    try:
        libc.malloc_trim(0)
        libc.madvise.argtypes = (ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int)
        for start, end in _code():
            libc.madvise(start, end - start, _DONTNEED)
    except (AttributeError, OSError):  # another libc than glibc, or no /proc
        return


def _code() -> Iterator[tuple[int, int]]:
    """Where the code of files is mapped."""
    for line in Path("/proc/self/maps").read_text().splitlines():
        place, rights, _, _, _, *path = line.split(maxsplit=5)
        if rights == _CODE and path and path[0].startswith("/"):
            start, end = place.split("-")
            yield int(start, 16), int(end, 16)
