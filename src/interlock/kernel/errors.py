"""What the kernel raises, and the root of every error in this package.

    InterlockError            anything this package raises on purpose
    ├── KernelError           ring 0 (this module)
    │   ├── LabelError        a label that cannot exist
    │   ├── CallError         a call that is no call: bad names, bad values, too deep
    │   ├── SpecError         a tool description that contradicts itself
    │   ├── RuleError         rules that cannot be loaded or evaluated
    │   └── PermitError       a permit that was not minted here, or not for this call
    ├── PolicyError           policy.errors
    ├── ProvenanceError       provenance.errors
    ├── AuditError            audit.errors
    ├── MonitorError          monitor.errors
    ├── AdapterError          adapters.errors
    ├── PlanError             policy.mandate
    └── ScriptError           testing.model

Messages name the thing in backticks and say what would be right; `hint` is for the operator. What the model reads is a
constant text that comes from elsewhere (M8), never one of these messages.
"""

from __future__ import annotations


class InterlockError(Exception):
    """Anything this package raises on purpose."""

    def __init__(self, message: str, *, hint: str = "") -> None:
        super().__init__(message)
        self.hint = hint


class KernelError(InterlockError):
    """Ring 0 refused its input."""


class LabelError(KernelError):
    """A label that cannot exist."""


class CallError(KernelError):
    """A call whose names or arguments cannot be what they claim to be."""


class SpecError(KernelError):
    """A tool description that contradicts itself."""


class RuleError(KernelError):
    """Rules that cannot be parsed, checked or evaluated."""


class PermitError(KernelError):
    """A permit that this kernel did not mint, or minted for another call."""
