"""The manifest's section `gateway`: which providers are behind it, under which keys, and how end users are told.

Only shape is judged here, as in `manifest`. Addresses, handles and files are judged when the gateway starts.
"""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field

Text = Annotated[str, Field(min_length=1)]
Name = Annotated[str, Field(pattern=r"^[A-Za-z][A-Za-z0-9_-]{0,63}$")]
Handle = Annotated[str, Field(pattern=r"^secret://[A-Za-z_][A-Za-z0-9_.-]{0,127}$")]
Model = Annotated[str, Field(pattern=r"^[^*\s]{0,255}\*?$", min_length=1)]


class _Part(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)


class UpstreamPart(_Part):
    """A provider of models."""

    url: Annotated[str, Field(pattern=r"^https?://[^\s?#@]+$")] = Field(
        description="Where its API begins, with the version: `https://api.openai.com/v1`. `http` only on this machine."
    )
    key: Handle | None = Field(
        default=None, description="The key that it is called with: `secret://NAME`. Only the gateway has it."
    )
    dialect: Literal["openai", "anthropic"] | None = Field(
        default=None, description="What it speaks. Left out: as its name says (`openai`, `anthropic`)."
    )
    unsafe_plain_http: bool = Field(
        default=False, description="Let requests with the key go unencrypted to another machine of a private network."
    )


class UsersPart(_Part):
    """How the end user is told: a signed claim (JWT) in the header `x-interlock-user`."""

    issuer: Text = Field(description="`iss` must be this.")
    audience: Text = Field(description="`aud` must be, or hold, this.")
    algorithms: list[
        Literal[
            "RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512", "EdDSA", "HS256", "HS512"
        ]
    ] = Field(min_length=1, description="Signatures that count. HS… with `secret`, all others with `jwks`.")
    jwks: Text | None = Field(
        default=None, description="The issuer's public keys: an `https` address, or a file beside the manifest."
    )
    secret: Handle | None = Field(default=None, description="The secret that is shared with the issuer.")
    principal: Text = Field(default="sub", description="The claim that names the principal.")
    me: list[Text] = Field(default=[], description="Claims whose values mean the user as well, such as `email`.")
    required: bool = Field(
        default=True, description="Refuse requests without a claim. If not, they are for the key's own principal."
    )
    leeway: float = Field(default=30, ge=0, le=300, description="Seconds by which clocks may differ.")


class GatewayPart(_Part):
    """What `interlock serve` needs to know."""

    upstreams: dict[Name, UpstreamPart] = Field(min_length=1, description="Providers by name.")
    models: dict[Model, Name] = Field(
        default={},
        description="Which provider serves a model: `gpt-5: openai`, `claude-*: anthropic`; all others are refused. "
        "Left out: every model, by the only provider that speaks the request's dialect.",
    )
    users: UsersPart | None = Field(
        default=None, description="How end users are told. Left out: every request is for its key's principal."
    )
    hosted_tools: list[Text] = Field(
        default=[],
        description="Tools that run at the provider, past every monitor, and are let through all the same, by type.",
    )
    betas: list[Text] = Field(
        default=[], description="Further names of Anthropic's `anthropic-beta` that may pass: look what they bring."
    )
    server_history: bool = Field(
        default=False,
        description="Let requests continue a conversation that the provider keeps, which no monitor has seen whole.",
    )
    second_chances: Annotated[int, Field(ge=0, le=2)] = Field(
        default=2, description="How often the model is asked to go on when all calls of its turn were refused."
    )
