"""`kind: compute`: Python for shaping data, in an interpreter that can reach nothing but the tools it was given."""

from interlock.tools.compute.capability import ComputeKind as ComputeKind
from interlock.tools.compute.perform import HostCall as HostCall

__all__ = ["ComputeKind", "HostCall"]
