"""The manifest's sections `detect`, `redact`, `answers` and an agent's `topics`: what is looked for, and what follows.

Only shape is judged here, as in `manifest`.
"""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field

Text = Annotated[str, Field(min_length=1)]
Handle = Annotated[str, Field(pattern=r"^secret://[A-Za-z_][A-Za-z0-9_.-]{0,127}$")]
Mode = Literal["keep", "clean", "mark", "block"]
Taken = Literal["mask", "hash", "drop", "keep"]
Type = Annotated[str, Field(pattern=r"^[a-z][a-z0-9-]*(/[a-z0-9-]+)?$")]
Deed = Literal["drop", "mask", "refuse"]


class _Part(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)


class DetectPart(_Part):
    """What is looked for in what a model is about to read. A finding is evidence: rules say what it means."""

    injection: Literal["auto", "signatures", "off"] = Field(
        default="auto",
        description="Signatures and classifier (`auto`; without the extra: signatures), signatures, or neither.",
    )
    prompts: bool = Field(default=False, description="Look at the user's words too, not only at what others wrote.")
    sources: dict[Text, Mode] = Field(
        default={},
        description="What happens to what others wrote, by tool or document (`inbox`, `web_*`, `*`): it is kept, "
        "cleaned of findings and of what nobody sees, marked, or blocked. Left out: kept.",
    )
    ask: bool = Field(
        default=False, description="An effect needs approval once something was read in which an injection was found."
    )


class RedactPart(_Part):
    """What is taken out, by type (`secret`, `pii`, `email`, `secret/github`, …): docs/redaction.md."""

    records: dict[Type, Taken] = Field(
        default={}, description="Of audit records and logs. Left out: every type is masked."
    )
    reads: dict[Type, Taken] | None = Field(
        default=None, description="Of what a model reads. Left out: the values of known secrets alone."
    )
    key: Handle | None = Field(
        default=None, description="Handle of the key under which `hash` hides values, so that equal ones stay equal."
    )


class AnswersPart(_Part):
    """What an answer may hold before anybody sees it: docs/output.md."""

    links: list[Text] | Literal[False] | None = Field(
        default=None,
        description="Hosts that it may link to and load from. Left out: none; false: links are not looked at.",
    )
    mail: list[Text] = Field(default=[], description="Domains that `mailto:` may name.")
    plain_links: bool = Field(
        default=False, description="Links to other hosts stay, if they carry nothing: no query, no long or random path."
    )
    others: Deed = Field(default="drop", description="What happens to other links.")
    code: Literal["mask", "refuse", "keep"] = Field(default="mask", description="Scripts, formulas, terminal escapes.")
    redact: dict[Type, Taken] | None = Field(
        default=None, description="What is taken out of it, by type. Left out: secrets are masked."
    )
    leaks: Literal["mask", "refuse", "keep"] = Field(
        default="refuse", description="Parts of the system prompt, and canaries."
    )


class TopicsPart(_Part):
    """What an agent with one job talks about. A user's message on something else is refused."""

    allowed: dict[Text, list[Text]] = Field(min_length=1, description="Topics, each with its words.")
    examples: dict[Text, list[Text]] = Field(default={}, description="Topics with messages about them.")
    like: float = Field(default=0.3, gt=0, le=1, description="How like an example a sentence must be.")
