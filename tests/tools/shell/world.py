"""What lies outside the sandbox, and what of it a command has touched."""

import os
import socket
import subprocess
import tempfile
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from interlock.tools.shell import census
from interlock.tools.shell.job import Job, Limits, Outcome, Tier
from interlock.tools.shell.launcher import Launcher

TOKEN = "CANARY-5e1f"
PRELUDE = "ME, VICTIM, PORT, UDP = @ME@, @VICTIM@, @PORT@, @UDP@\nOUT, UNIX, DGRAM, ABSTRACT = '@OUT@', '@UNIX@', '@DGRAM@', '@ABSTRACT@'\n"
STRAYS = [Path(folder, "interlock-left-behind") for folder in ("/tmp", "/var/tmp", "/dev/shm")]


class World:
    """A workspace beside a folder of canaries, with ports, sockets and a neighbour process."""

    def __init__(self, user: int) -> None:
        self.top = Path(tempfile.mkdtemp(prefix="interlock-test-")).resolve()
        self.top.chmod(0o755)
        self.workspace, self.outside = self.top / "workspace", self.top / "outside"
        self.user = user
        self.port, self.tcp = self._port(socket.SOCK_STREAM)
        self.udp_port, self.udp = self._port(socket.SOCK_DGRAM)
        self.sockets = self.top / "sockets"
        self.sockets.mkdir()
        self.sockets.chmod(0o777)
        self.unix = self._unix(str(self.sockets / "s"), socket.SOCK_STREAM)
        self.datagram = self._unix(str(self.sockets / "d"), socket.SOCK_DGRAM)
        self.abstract_name = f"interlock-{os.getpid()}-{self.port}"
        self.abstract = self._unix("\0" + self.abstract_name, socket.SOCK_STREAM)
        self.victim = subprocess.Popen(["/bin/sleep", "300"], user=user if user >= 0 else None, env={"X": TOKEN})
        self.planted: list[socket.socket] = []
        self.fresh()

    def _port(self, kind: int) -> tuple[int, socket.socket]:
        made = socket.socket(type=kind)
        made.bind(("127.0.0.1", 0))
        if kind == socket.SOCK_STREAM:
            made.listen()
        made.setblocking(False)
        return made.getsockname()[1], made

    def _unix(self, name: str, kind: int) -> socket.socket:
        made = socket.socket(socket.AF_UNIX, kind)
        made.bind(name)
        if not name.startswith("\0"):
            Path(name).chmod(0o777)
        if kind == socket.SOCK_STREAM:
            made.listen()
        made.setblocking(False)
        return made

    def fresh(self) -> None:
        """Everything as it was in the beginning."""
        for planted in self.planted:
            planted.close()
        for folder in (self.workspace, self.outside):
            if folder.exists():
                census.remove(str(folder))
            folder.mkdir()
            folder.chmod(0o777)
        secret = self.outside / "secret"
        secret.write_text(TOKEN)
        secret.chmod(0o666)
        (self.outside / "folder").mkdir()
        (self.outside / "folder").chmod(0o777)
        os.setxattr(secret, "user.canary", b"1")
        (self.workspace / "planted").symlink_to(secret)
        self.planted = [
            self._unix(str(self.workspace / "planted.sock"), socket.SOCK_STREAM),
            self._unix(str(self.workspace / "planted.dgram"), socket.SOCK_DGRAM),
        ]
        for path in (secret, self.outside / "folder", self.outside, self.workspace):
            if self.user >= 0:
                os.chown(path, self.user, self.user)
            os.utime(path, (1000, 1000))
        self.was = self.state()

    def state(self) -> dict[str, Any]:
        """Everything outside that a command could change; not its times of access."""
        found: dict[str, Any] = {"nice": os.getpriority(os.PRIO_PROCESS, self.victim.pid)}
        found["victim"] = self.victim.poll()
        found["affinity"] = os.sched_getaffinity(self.victim.pid) if found["victim"] is None else set()
        for name in ("oom_score_adj", "limits"):
            found[name] = Path(f"/proc/{self.victim.pid}/{name}").read_text()
        for path in sorted([self.outside, *self.outside.rglob("*")]):
            about = path.lstat()
            found[str(path)] = (
                about.st_mode,
                about.st_uid,
                about.st_gid,
                about.st_nlink,
                about.st_mtime_ns,
                about.st_size,
            )
            if path.is_file():
                found[str(path)] += (path.read_text(), {a: os.getxattr(path, a) for a in os.listxattr(path)})
        found["strays"] = [path for path in STRAYS if path.exists()]
        return found

    def reached(self) -> list[str]:
        """Sockets outside that somebody connected or sent to."""
        found = []
        for name, listener in {
            "tcp": self.tcp,
            "udp": self.udp,
            "unix": self.unix,
            "datagram": self.datagram,
            "abstract": self.abstract,
            "planted": self.planted[0],
            "planted datagram": self.planted[1],
        }.items():
            try:
                listener.accept()[0].close() if listener.type == socket.SOCK_STREAM else listener.recv(100)
            except BlockingIOError:
                continue
            found.append(name)
        return found

    def fill(self, text: str) -> str:
        """`text` with the names of things outside filled in."""
        for name, value in {
            "OUT": self.outside,
            "ME": os.getpid(),
            "VICTIM": self.victim.pid,
            "PORT": self.port,
            "UDP": self.udp_port,
            "UNIX": self.sockets / "s",
            "DGRAM": self.sockets / "d",
            "ABSTRACT": self.abstract_name,
        }.items():
            text = text.replace(f"@{name}@", str(value))
        return text

    def run(self, launcher: Launcher, tier: Tier, bwrap: str, case: Mapping[str, Any]) -> Outcome:
        """Run a case of the table in the workspace."""
        if "sh" in case:
            argv = ["/bin/sh", "-c", self.fill(case["sh"])]
        else:
            argv = ["/usr/bin/python3", "-I", "-S", "-c", self.fill(PRELUDE + case["py"])]
        return launcher.run(
            Job(
                tier=tier,
                argv=argv,
                cwd=str(self.workspace),
                workspace=str(self.workspace),
                writable=True,
                env={},
                read=[],
                stdin=case.get("stdin", ""),
                limits=Limits(**{"seconds": 10.0, **case.get("limits", {})}),
                bwrap=bwrap,
            )
        )

    def close(self) -> None:
        self.victim.kill()
        self.victim.wait()
        for listener in (self.tcp, self.udp, self.unix, self.datagram, self.abstract, *self.planted):
            listener.close()
        census.remove(str(self.top))


def left(launcher: Launcher) -> list[int]:
    """Processes that a command left behind; its supervisor has a moment to go after it answered."""
    until = time.monotonic() + 1.5
    while (found := list(census.descendants(launcher._process.pid))) and time.monotonic() < until:
        time.sleep(0.002)
    return found
