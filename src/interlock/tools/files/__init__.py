"""Files inside one named root: the kernel resolves every path, our gate judges what it found, quotas bound the rest.

Reading order: `scope` (what a path of the model may be), `protected` (names that are never touched), `system` (three
system calls), `resolve` (from steps to a descriptor), `root` (everything that is done on descriptors), `usage`,
`pattern`, `regexp`, `archive`, `perform` (the operations), `prove` (the self-test), `entry` (what `kind: files` opens).
"""

from __future__ import annotations

from interlock.tools.files.entry import Files

KIND = Files()

__all__ = ["KIND", "Files"]
