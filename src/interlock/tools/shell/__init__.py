"""`kind: shell`: commands in a sandbox of the kernel's making, chosen by probe and never silently none."""

from interlock.tools.shell.capability import ShellKind as ShellKind

__all__ = ["ShellKind"]
