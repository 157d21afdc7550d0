"""What a detector reports. A finding is evidence: it can refuse through a rule, it never permits."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, TypeAlias

Severity: TypeAlias = Literal["info", "low", "medium", "high"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """Something found in a text: `span` is [start, end) in code points of the text that was given."""

    id: str  # what: `injection`, `hidden-text`, `secret/github-token`, `pii/email`, `exfiltration/link`
    span: tuple[int, int]
    severity: Severity
    confidence: float  # 0 to 1
    why: str  # constant words for operators; never a piece of the text

    def __post_init__(self) -> None:
        start, end = self.span
        if not (self.id and 0 <= start <= end and 0.0 <= self.confidence <= 1.0):
            raise ValueError(f"`{self.id}` is no finding: span {self.span}, confidence {self.confidence}")
