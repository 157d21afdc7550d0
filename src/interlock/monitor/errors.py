"""What the monitor raises. None of it is a refusal: that is a decision, and what the model reads of it is constant.

MonitorError          the monitor is used against its contract
├── RunError          a run that does not exist, is somebody else's, or whose mandate stands already
├── PromptRefused     the user's words may not be read by the agent
├── RunHalted         the run goes no further: it went in circles, or used up what it had
├── ApprovalError     there is no valid answer to a question; it counts as no
└── NotPerformed      `begin` refused: the call must not be made (and is on record as not made)
"""

from __future__ import annotations

from interlock.kernel.errors import InterlockError


class MonitorError(InterlockError):
    """The monitor is used against its contract."""


class RunError(MonitorError):
    """A run that does not exist, is somebody else's, or whose mandate stands already."""


class PromptRefused(MonitorError):
    """The user's words may not be read by this agent: they are off its topics, or an inspector refused them."""


class RunHalted(MonitorError):
    """The run goes no further: it went in circles, or used up what it had. Begin another one."""


class ApprovalError(MonitorError):
    """There is no valid answer to a question; it counts as no."""


class NotPerformed(MonitorError):
    """The call must not be made: its permit is not valid (any more), or an obligation could not be met."""
