"""Texts that try to instruct the machine that reads them: found by signatures and a small network, as evidence."""

from interlock.detect.injection.scan import Band, Channel, Injection, InjectionError, Scan, failed, load

__all__ = ["Band", "Channel", "Injection", "InjectionError", "Scan", "failed", "load"]
