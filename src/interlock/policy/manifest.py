"""The manifest's shape: what `interlock.yaml` may say, key by key, and the JSON Schema that editors read.

Only shape is judged here, and strictly: an unknown key is an error, `"1"` is not 1. What the parts mean to each other
(does this tool exist, has it that argument?) is judged in `load`. Whatever may be left out has the safe reading.

The published schema is this module's output: `python -m interlock.policy.manifest > interlock.schema.json`.
"""

from __future__ import annotations

import json
import sys
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Discriminator, Field, Tag, WithJsonSchema

from interlock.kernel.call import NAME
from interlock.kernel.spec import Role
from interlock.policy.part_approvals import ApprovalsPart
from interlock.policy.part_detect import AnswersPart, DetectPart, RedactPart, TopicsPart
from interlock.policy.part_gateway import GatewayPart
from interlock.policy.part_limits import AgentLimits, LimitsPart, ToolLimits

ROLES = tuple(r.value for r in Role)
KIND = r"[A-Za-z][A-Za-z0-9_-]{0,63}"
SCOPED = ["files", "http", "sql", "compute", "shell"]  # kinds beside `function`; each judges its own keys
_PLAIN = [r for r in ROLES if r != Role.ID]

ToolName = Annotated[str, Field(pattern=f"^{NAME.pattern}$")]
AgentName = Annotated[str, Field(min_length=1, max_length=256)]
Text = Annotated[str, Field(min_length=1)]
Kind = Annotated[str, Field(pattern=f"^{KIND}$")]
RoleName = Annotated[
    str,
    Field(pattern=f"^({'|'.join(_PLAIN)}|id:{KIND})$"),
    WithJsonSchema({"anyOf": [{"enum": _PLAIN}, {"type": "string", "pattern": f"^id:{KIND}$"}]}),
]
Origin = Literal["user", "own", "external"]
Show = Literal["inline", "mark", "handle"]


class _Part(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)


class ArgumentPart(_Part):
    """What an argument decides, with who may fill it."""

    role: RoleName = Field(description="What the argument decides: a role, or `id:<kind of object>`.")
    origins: list[Origin] | None = Field(
        default=None,
        alias="from",
        min_length=1,
        description="Who may fill it. Left out: as the role says (most: user, own; time, command, credential: user).",
    )


Argument = Annotated[
    Annotated[RoleName, Tag("role")] | Annotated[ArgumentPart, Tag("argument")],
    Discriminator(lambda value: "argument" if isinstance(value, (dict, ArgumentPart)) else "role"),
]


class WhenPart(_Part):
    """A condition on a record, and what it makes own."""

    condition: Text = Field(
        alias="if", description="`field == me`, `field in me` or `writers <= me`; `writers` needs `sharing`."
    )
    own: list[Text] = Field(min_length=1, description="Fields that are own in records for which the condition holds.")


class SharingPart(_Part):
    """Where a record says who owns it and who may read or write it."""

    owner: Text = Field(description="The field with the owner.")
    members: Text = Field(description="The field with the others: a list of names, or names with their mode.")
    write: list[Text] | None = Field(
        default=None, description="Modes that may write. Left out: rw, w, write, writer, edit, editor, owner."
    )


class ReturnsPart(_Part):
    """Whose words a result is, field by field. Fields that no key names are external."""

    object: Kind | None = Field(default=None, description="The kind of object that a record is; see `id`.")
    records: Text | None = Field(
        default=None,
        description="Path to the records (`items`, `data.rows`); `*` for the values of a dictionary keyed by names.",
    )
    id: list[Text] = Field(default=[], description="Fields with the object's id.")
    names: list[Text] = Field(default=[], description="Fields by which a user may mean the object: title, subject.")
    own: list[Text] = Field(
        default=[],
        description="Fields that only the service, the operator or the user can set. `*`: the whole record; "
        "`.`: a result that is one plain value; `keys`: the keys of a dictionary keyed by names.",
    )
    presumed: list[Text] = Field(
        default=[], description="Fields that an outsider could set with effort: own only under `labels: tight`."
    )
    typed: list[Text] = Field(default=[], description="Fields that are own where the value is one plain identifier.")
    when: list[WhenPart] = Field(default=[], description="Fields that are own in some records.")
    sharing: SharingPart | None = Field(default=None, description="Who owns a record, who may read and write it.")
    confidential: bool = Field(default=False, description="Only the principal may learn it.")
    show: dict[Text, Show] = Field(
        default={}, description="How an external field reaches the model; `*` for all that are not named."
    )


class ToolPart(ToolLimits):
    """One tool. What is left out is inferred from known names, else read safely; see `interlock policy show`."""

    kind: Literal["function"] = Field(default="function", description="Who performs it: a function of the application.")
    effect: Literal["read", "fetch", "write", "egress", "spend", "destroy"] | None = Field(
        default=None,
        description="What a call does to the world. `fetch` reads from a place that the call names; `fetch` and "
        "`spend` are egress too. Left out: inferred from the tool's name, else egress.",
    )
    description: str = Field(default="", description="What the tool does, as the model reads it.")
    timeout: float | None = Field(
        default=None,
        gt=0,
        le=86_400,
        description="Seconds that a call may take. Then it counts as failed, although its function may still run.",
    )
    arguments: dict[Text, Argument] = Field(
        default={},
        description="What each argument decides, by its path (`to`, `attachments.file_id`). "
        "Left out: inferred from the argument's name, else it must be vouched word for word.",
    )
    refers: Kind | None = Field(
        default=None, description="The kind of object that a call writes to when no argument names one."
    )
    arguments_schema: dict[str, object] | None = Field(
        default=None, alias="schema", description="JSON Schema of the arguments. Functions in code bring their own."
    )
    returns: ReturnsPart | None = Field(default=None, description="Whose words the result is.")


class VerifyPart(_Part):
    """What to read back after a call, and what must then stand there."""

    tool: ToolName = Field(description="The tool that reads back. Its effect is `read`.")
    arguments: dict[Text, object] = Field(
        default={}, description="Its arguments; `$arguments.to` and `$result.id` are taken from the call."
    )
    expect: dict[Text, object] = Field(
        min_length=1, description="Paths in what it returns (`*`: any element), and what must stand there."
    )


class AgentPart(AgentLimits):
    """One agent: which tools it has, and how its runs are held."""

    tools: list[str] = Field(description="The tools it has. Every other tool is forbidden to it.")
    mandate: Literal["lexical", "none", "required"] = Field(
        default="lexical",
        description="What fixes the effects of a run before anything external is read: the user's words (lexical), "
        "nothing (none), or the application, which must (required).",
    )
    show: Show = Field(default="inline", description="How external content reaches the model unless a field says.")
    topics: TopicsPart | None = Field(default=None, description="What it talks about. Left out: anything.")


class Manifest(LimitsPart):
    """Interlock's manifest: which tools exist, what is known of them, and which agent has which."""

    model_config = ConfigDict(title="interlock.yaml")

    version: Literal[1] = Field(description="The version of this format.")
    me: list[Text] = Field(default=[], description="Values that mean the user, for conditions such as `sender == me`.")
    labels: Literal["conservative", "tight"] = Field(
        default="conservative", description="Whether `presumed` fields count as external or as own."
    )
    rules: list[Text] = Field(
        default=[], description="Cedar files beside the shipped rules; patterns relative to the manifest."
    )
    relax: list[Text] = Field(default=[], description="Shipped rules that are switched off, by name.")
    agents: dict[AgentName, AgentPart] = Field(description="Agents by name.")
    tools: dict[ToolName, ToolPart] = Field(description="Tools by the name that the model calls them by.")
    detect: DetectPart | Literal[False] | None = Field(
        default=None, description="What is looked for in what a model reads. Left out: as if it were `{}`."
    )
    redact: RedactPart = Field(default=RedactPart(), description="What is taken out of records and of what is read.")
    answers: AnswersPart | None = Field(
        default=None, description="What an answer may hold. Left out: known secrets are taken out, nothing else."
    )
    approvals: ApprovalsPart | None = Field(
        default=None, description="Where questions wait and who answers them. Left out: whoever assembles it says."
    )
    gateway: GatewayPart | None = Field(default=None, description="What `interlock serve` needs to know.")
    verify: dict[ToolName, VerifyPart] = Field(
        default={}, description="Outcome contracts by tool: what to read back, so that the audit says whether it held."
    )


def json_schema() -> str:
    """The JSON Schema of a manifest, as it is published beside this module."""
    schema = {"$schema": "https://json-schema.org/draft/2020-12/schema"} | Manifest.model_json_schema()
    tools = schema["properties"]["tools"]["patternProperties"]
    scoped = {
        "type": "object",
        "properties": {"kind": {"enum": SCOPED, "description": "What serves it; its keys stand in docs/tools.md."}},
        "required": ["kind"],
    }
    for name, function in tools.items():
        tools[name] = {"if": scoped, "else": function}
    return json.dumps(schema, indent=2, ensure_ascii=False) + "\n"


if __name__ == "__main__":
    sys.stdout.write(json_schema())
