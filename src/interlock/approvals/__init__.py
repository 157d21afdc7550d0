"""Approvals that outlive the process: asked here, answered elsewhere, used once by whoever makes the call."""
