"""What the launcher is asked to run, and what it answers. Part of the launcher: standard library only.

The modules of the launcher (this one, `syscalls`, `seccomp`, `landlock`, `inside`, `metadata`, `census`, `supervisor`,
`spawner`) run in a process of their own that imports nothing else of this package.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Tier = Literal["B", "L"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """What one command may use, all its processes together unless it says otherwise."""

    seconds: float = 30.0  # from start to end
    cpu: int = 30  # seconds, each process
    memory: int = 512 << 20  # bytes in use; the address space of one process may be four times that
    processes: int = 64  # tasks at a time, threads included
    descriptors: int = 256  # each process
    file_bytes: int = 64 << 20  # size of one file
    disk_bytes: int = 256 << 20  # growth of the workspace and the temporary folder
    tmp_bytes: int = 64 << 20  # tier B: size of /tmp and of /dev/shm, which are memory
    output_bytes: int = 200_000  # standard output and error together
    input_bytes: int = 1 << 20  # arguments and standard input together


@dataclass(frozen=True, slots=True, kw_only=True)
class Job:
    """One command. All paths are absolute and real; `argv[0]` is a path."""

    tier: Tier
    argv: list[str]
    cwd: str
    workspace: str
    writable: bool
    env: dict[str, str]
    read: list[str]  # visible beside the workspace
    stdin: str
    limits: Limits
    bwrap: str = ""  # tier B: the binary


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """How it ended. `exit` is the exit status, or minus the signal."""

    exit: int
    stdout: bytes
    stderr: bytes
    stopped: str = ""  # by which limit
    failed: str = ""  # why it could not be started at all
