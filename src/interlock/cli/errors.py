"""What the commands raise.

UsageError            the command line is wrong: exit status 2; everything else that is raised is status 1
"""

from __future__ import annotations

from interlock.kernel.errors import InterlockError


class UsageError(InterlockError):
    """The command line names what is not there, or asks for what cannot be."""
