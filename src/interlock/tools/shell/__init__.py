"""`kind: shell`: commands in a sandbox of the kernel's making, chosen by probe and never silently none."""

from interlock.tools.kind import Kind
from interlock.tools.shell.capability import ShellKind

__all__ = ["KIND", "ShellKind"]

KIND: Kind = ShellKind()
