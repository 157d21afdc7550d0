"""Runs a command as in a container with the usual profile: no capabilities, no namespaces, no mounts, no debugging."""

import errno
import os
import sys

sys.path.insert(0, sys.argv[1])

from interlock.tools.shell import inside, seccomp

REFUSED = "mount umount2 pivot_root chroot unshare setns ptrace bpf perf_event_open userfaultfd keyctl add_key pidfd_getfd kcmp open_tree fsopen move_mount reboot"

machine = seccomp.machine()
if machine is None:
    raise SystemExit(2)
if os.getuid() == 0:
    inside.drop_capabilities()
seccomp.renounce()
program = seccomp.assemble(
    [
        seccomp.Rule("clone3", seccomp.refuse(errno.ENOSYS)),
        seccomp.Rule("clone", seccomp.refuse(errno.EPERM), (seccomp.Test(0, seccomp.NEW_NAMESPACES, 0, equal=False),)),
        *(seccomp.Rule(name, seccomp.refuse(errno.EPERM)) for name in REFUSED.split()),
    ],
    machine,
)
seccomp.install(program, machine, listen=False)
os.execv(sys.argv[2], sys.argv[2:])  # noqa: S606 - what this program is for
