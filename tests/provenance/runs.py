"""Runs to attack: tools that return what a test says, a ledger, and the decision under the shipped rules."""

import tomllib
from importlib.resources import files
from pathlib import Path
from typing import Any

from interlock.kernel.call import Call, Resource
from interlock.kernel.decide import Facts, Request, Rules, decide
from interlock.kernel.decision import Decision, Mint
from interlock.kernel.labels import Integrity
from interlock.kernel.spec import Argument, Effect, Returns, Role, ToolSpec
from interlock.provenance.bind import Binding, bind
from interlock.provenance.ledger import Ledger, Shown

CORPORA = Path(__file__).parent.parent / "corpora"
BASE = (files("interlock.policy") / "base.cedar").read_text()
MINT = Mint(b"k" * 32)


def cases(topic: str) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = tomllib.loads((CORPORA / f"{topic}.toml").read_text(encoding="utf-8"))["case"]
    return found


def call(tool: str, **arguments: Any) -> Call:
    return Call(tool=tool, arguments=arguments, agent="a", principal="p", run="r")


def role_argument(path: str, role: str, kind: str = "", origins: list[str] | None = None) -> Argument:
    allowed = frozenset(Integrity[o.upper()] for o in origins or ())
    return Argument(path=path, role=Role(role), kind=kind if role == "id" else "", origins=allowed)


class World:
    """A run with its tools. `decide` judges as the monitor does: bind, facts, the shipped rules."""

    def __init__(self, *tools: ToolSpec, me: tuple[str, ...] = (), **more: Any) -> None:
        self.tools = {t.name: t for t in tools}
        self.ledger = Ledger(tools=self.tools, me=me, **more)
        self.rules = Rules(BASE, {t.name: t.effect for t in tools})

    def user(self, text: str) -> None:
        self.ledger.said(text, Integrity.USER)

    def returned(self, tool: str, output: Any, *, failed: bool = False, **arguments: Any) -> Shown:
        return self.ledger.returned(call(tool, **arguments), output, failed=failed)

    def bind(self, tool: str, **arguments: Any) -> Binding:
        return bind(self.ledger, call(tool, **arguments), self.tools[tool])

    def decide(self, tool: str, *, mandate: str = "none", **arguments: Any) -> Decision:
        made = call(tool, **arguments)
        found = bind(self.ledger, made, self.tools[tool])
        facts = Facts(
            listed=True,
            unvouched=found.unvouched,
            unpointed=found.unpointed,
            receivers=found.receivers,
            unnamed=found.unnamed,
            blind=found.blind,
            external=self.ledger.external,
            confidential=self.ledger.confidential is not None,
            sources=frozenset(self.ledger.sources),
            findings=frozenset(),
            mandate=mandate,  # type: ignore[arg-type]
            blocked=frozenset(),
            arguments={},
        )
        return decide(Request(call=made, resource=Resource("Tool", tool), facts=facts), self.rules, MINT, "n")

    def answer(self, tool: str, **arguments: Any) -> str:
        """`Permitted`, `NeedsApproval` or `Forbidden`."""
        return type(self.decide(tool, **arguments)).__name__


def reader(name: str = "service", **returns: Any) -> ToolSpec:
    return ToolSpec(name=name, effect=Effect.READ, returns=Returns(**returns))
