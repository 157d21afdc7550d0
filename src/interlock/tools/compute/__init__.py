"""`kind: compute`: Python for shaping data, in an interpreter that can reach nothing but the tools it was given."""

from interlock.tools.compute.capability import ComputeKind
from interlock.tools.kind import Kind

__all__ = ["KIND", "ComputeKind"]

KIND: Kind = ComputeKind()
