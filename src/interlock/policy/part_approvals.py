"""`approvals:` in a manifest: where questions wait, for how long, and who answers them."""

from __future__ import annotations

from typing import Annotated, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

from interlock.kernel.call import NAME

Approver = Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9._+@-]{0,127}$")]
Group = Annotated[str, Field(pattern=r"^[a-z][a-z0-9_-]{0,63}$")]
Handle = Annotated[str, Field(pattern=r"^secret://[A-Za-z_][A-Za-z0-9_.-]*$")]
Tool = Annotated[str, Field(pattern=f"^{NAME.pattern}$")]


class _Part(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)


class NeedPart(_Part):
    """What it takes to approve a call of one tool."""

    by: list[Approver] = Field(
        default=[], description="Groups and approvers who may. Left out: every approver of every group."
    )
    four_eyes: bool = Field(default=False, description="Two different approvers must say yes.")
    own: bool = Field(default=False, description="An approver may approve what an agent does for himself.")


class WebhookPart(_Part):
    """Who is told that somebody is asked."""

    url: Annotated[str, Field(min_length=1)] = Field(description="https, or http on this machine.")
    secret: Handle = Field(description="The handle of the secret with which messages are signed.")


class ApprovalsPart(_Part):
    """Where questions wait, for how long, and who answers them."""

    store: Annotated[str, Field(min_length=1)] = Field(
        default=".interlock/state.sqlite",
        description="A SQLite file, relative to the manifest; a PostgreSQL address; or the handle of one.",
    )
    wait: float = Field(default=60, ge=0, le=86_400, description="Seconds that a call waits for its answer.")
    expires: float = Field(default=3600, gt=0, le=2_592_000, description="Seconds for which a question is open.")
    most: int = Field(default=200, gt=0, le=1000, description="Questions that may be open at once.")
    most_per_run: int = Field(default=10, gt=0, le=1000, description="Of these, questions of one run.")
    approvers: dict[Group, list[Approver]] = Field(default={}, description="Groups of approvers by name.")
    tools: dict[Tool, NeedPart] = Field(default={}, description="Who approves which tool.")
    own: bool = Field(
        default=False, description="For tools that are not named: an approver may approve what is done for himself."
    )
    webhook: WebhookPart | None = Field(default=None, description="Who is told that somebody is asked.")
    seal: Handle | None = Field(
        default=None,
        description="Handle of a key under which approvals are sealed: who can only write the store, approves nothing.",
    )

    @model_validator(mode="after")
    def _can_be_met(self) -> Self:
        """Every need can be met by somebody."""
        for group, names in self.approvers.items():
            if not names:
                raise ValueError(f"the group `{group}` has no approver; name one or leave it out")
        everybody = {name for names in self.approvers.values() for name in names}
        for tool, need in self.tools.items():
            for name in need.by:
                if name not in self.approvers and name not in everybody and "@" not in name:
                    raise ValueError(f"`{name}`, who approves `{tool}`, is no group under `approvers`")
            if need.four_eyes and len(self.may(need) or "ab") < 2:  # noqa: PLR2004 - eyes
                raise ValueError(f"`{tool}` needs two approvers and has one; name another under `by`")
        return self

    def may(self, need: NeedPart) -> frozenset[str]:
        """The approvers who may; empty: whoever is one."""
        names = need.by or list(self.approvers)
        return frozenset(n for name in names for n in self.approvers.get(name, [name]))
