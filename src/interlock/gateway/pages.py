"""Memory that starting took and serving does not need, given back to the system.

Starting compiles patterns, parses rules and checks schemas. What malloc got for that it keeps, and the libraries that
did it stay mapped. Both are let go here: free pages of the heap, and pages of libraries which the kernel reads again
from their files where they are needed after all. Only mappings that cannot be written to, and of which no page differs
from the file, are touched, so nothing can be lost. Where the system has no such calls, nothing happens.
"""

from __future__ import annotations

import ctypes
import re
import sys
from collections.abc import Iterator
from pathlib import Path

_DONTNEED = 4  # <bits/mman-linux.h>
_MAPPING = re.compile(
    r"^([0-9a-f]+)-([0-9a-f]+) r-[-x]p \S+ \S+ \S+ +/.*\n"  # private, not writable, of a file
    r"(?:\w+: .*\n)*?Anonymous: +0 kB$",  # nothing was written to it before it became that
    re.MULTILINE,
)


def give_back() -> None:
    """Let go of what only starting needed."""
    if sys.platform != "linux":
        return
    libc = ctypes.CDLL(None)
    try:
        libc.malloc_trim(0)
        libc.madvise.argtypes = (ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int)
        for start, end in as_in_files(Path("/proc/self/smaps").read_text()):
            libc.madvise(start, end - start, _DONTNEED)
    except (AttributeError, OSError):  # another libc than glibc, or no /proc
        return


def as_in_files(smaps: str) -> Iterator[tuple[int, int]]:
    """The mappings whose pages the kernel can read again, as it lists them."""
    for found in _MAPPING.finditer(smaps):
        yield int(found[1], 16), int(found[2], 16)
