"""The manifest's limits: budgets, rates, loops and depth of an agent, rate and breaker of a tool, tenants, prices.

Only shape is judged here, as in `manifest`; what the texts mean is judged by `limits.terms` when a manifest is loaded.
`agents.*` and `tools.*` mix these keys in with `AgentLimits` and `ToolLimits`.
"""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field

_WHEN = "(run|minute|hour|day|month|total)(/(run|agent|principal|tenant|key))?"
_NUMBER = r"[0-9]{1,15}(\.[0-9]{1,6})?"

Counted = Annotated[str, Field(pattern=f"^{_NUMBER} ?[kMG]?/{_WHEN}$")]
Paid = Annotated[str, Field(pattern=f"^{_NUMBER} ?USD/{_WHEN}$")]
Timed = Annotated[str, Field(pattern=f"^{_NUMBER} ?(s|min|h)?/{_WHEN}$")]
Sized = Annotated[str, Field(pattern=f"^{_NUMBER} ?(B|[kMG]|[kKMG]B|[KMG]iB)?/{_WHEN}$")]
RateText = Annotated[str, Field(pattern="^[0-9]{1,9}/(second|minute|hour|day)( burst [0-9]{1,9})?$")]
Limits = Annotated[list[Annotated[int, Field(ge=0, le=1_000)]], Field(min_length=2, max_length=2)]
Dollars = Annotated[float | int, Field(ge=0, lt=1_000_000)]
Model = Annotated[str, Field(min_length=1, max_length=256)]


class _Part(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)


class BudgetsPart(_Part):
    """How much may be used: an amount per window (`40/run`), for one scope (`50k/day/principal`), or a list of such."""

    calls: Counted | list[Counted] | None = Field(default=None, description="Calls of tools: `40/run`.")
    tokens: Counted | list[Counted] | None = Field(default=None, description="Tokens of models: `400k/day`.")
    cost: Paid | list[Paid] | None = Field(default=None, description="What models cost: `5 USD/day`.")
    seconds: Timed | list[Timed] | None = Field(default=None, description="Time that calls take: `10 min/run`.")
    bytes: Sized | list[Sized] | None = Field(default=None, description="Size of results: `20 MB/run`.")


class RatesPart(_Part):
    """How fast."""

    calls: RateText | None = Field(
        default=None, description="Calls of tools: `30/minute`, or `30/minute burst 5`; left out, the burst is 30."
    )


class LoopsPart(_Part):
    """When a run goes in circles: `[warn, halt]`, in outcomes without progress. 0 for halting: never."""

    repeat: Limits | None = Field(default=None, description="The same call with the same result; [3, 5].")
    cycle: Limits | None = Field(default=None, description="The same 2 to 4 calls with the same results; [3, 4].")
    jitter: Limits | None = Field(
        default=None, description="Calls that differ in numbers only, with the same result; [6, 10]."
    )
    stuck: Limits | None = Field(default=None, description="One tool with one result, in a row; [10, 20].")
    polling: list[Model] = Field(default=[], description="Tools that are meant to be asked again and again.")


class BreakerPart(_Part):
    """When a tool that fails is left alone, and for how long. Left out: as docs/budgets.md says."""

    window: int | None = Field(default=None, ge=1, le=10_000, description="Calls, or seconds with `timed`. 100.")
    timed: bool | None = Field(default=None, description="The window is one of time.")
    minimum: int | None = Field(default=None, ge=1, description="Calls before anything is judged. 20.")
    failures: float | None = Field(default=None, gt=0, le=1, description="Share of calls that fail. 0.5.")
    slow: float | None = Field(default=None, gt=0, le=1, description="Share of calls that are slow. 1.")
    slow_after: float | None = Field(default=None, gt=0, description="Seconds from which a call is slow. 60.")
    open: float | None = Field(default=None, gt=0, description="Seconds without any call. 60.")
    trials: int | None = Field(default=None, ge=1, description="Calls that then show whether it is well again. 10.")


class AgentLimits(_Part):
    """The limits of an agent."""

    budgets: BudgetsPart | None = Field(default=None, description="How much it may use.")
    rates: RatesPart | None = Field(default=None, description="How fast it may call.")
    loops: LoopsPart | Literal[False] | None = Field(
        default=None, description="When its runs go in circles. Left out: as docs/budgets.md says; false: never."
    )
    depth: int | None = Field(
        default=None, ge=1, le=100, description="How many agents may start one another, this one included. 8."
    )


class ToolLimits(_Part):
    """The limits of a tool, for all agents together."""

    rate: RateText | None = Field(default=None, description="How often it may be called: `10/minute`.")
    breaker: BreakerPart | Literal["forced-open", "disabled"] | None = Field(
        default=None,
        description="When it is left alone; `{}` for the defaults, `forced-open` to take it out of service. "
        "Left out: never.",
    )


class TenantPart(_Part):
    """A group of principals with budgets of its own."""

    principals: list[Annotated[str, Field(min_length=1, max_length=256)]] = Field(
        default=[], description="Who belongs to it: names, or a prefix with one trailing `*`."
    )
    budgets: BudgetsPart = Field(description="What all of them may use together.")


class LongPart(_Part):
    """The price of long prompts."""

    tokens: int = Field(gt=0, description="From this many tokens of a prompt on, exclusively.")
    input: Dollars
    output: Dollars
    cached: Dollars | None = None
    written: Dollars | None = None


class PricePart(_Part):
    """What a model costs, in US dollars for a million tokens."""

    input: Dollars = Field(description="Tokens that it reads.")
    output: Dollars = Field(description="Tokens that it writes, reasoning included.")
    cached: Dollars | None = Field(default=None, description="Read from the cache. Left out: as `input`.")
    written: Dollars | None = Field(default=None, description="Written to the cache. Left out: twice `input`.")
    above: LongPart | None = Field(default=None, description="What the whole of a longer prompt costs.")


class LimitsPart(_Part):
    """What stands at the top of a manifest."""

    tenants: dict[Model, TenantPart] = Field(default={}, description="Groups of principals with budgets.")
    prices: dict[Model, PricePart] = Field(default={}, description="Prices of models, before the shipped ones.")
