"""Manifests that load, and text that is nearly one."""

from typing import Any

from hypothesis import strategies as st

from interlock.kernel.spec import Effect, Role
from interlock.policy.rules import GROUPS

KINDS = ("order", "file", "contact")
names = st.from_regex(r"[a-z][a-z_]{0,8}", fullmatch=True).filter(lambda n: n not in GROUPS)
fields = st.from_regex(r"[a-z][a-z0-9_]{0,6}", fullmatch=True)
roles = st.sampled_from([r.value for r in Role if r is not Role.ID] + [f"id:{k}" for k in KINDS])

leaves = st.sampled_from(
    [
        {"type": "string"},
        {"type": "integer"},
        {"type": "number"},
        {"type": "boolean"},
        {"enum": ["a", "b"]},
        {"type": ["string", "null"]},
        {"anyOf": [{"type": "string"}, {"type": "integer"}]},
        {},
    ]
)
schemas = st.recursive(
    leaves,
    lambda inner: st.one_of(
        inner.map(lambda items: {"type": "array", "items": items}),
        st.dictionaries(fields, inner, max_size=3).map(lambda p: {"type": "object", "properties": p}),
    ),
    max_leaves=4,
)


@st.composite
def tools(draw: st.DrawFn) -> dict[str, Any]:
    properties = draw(st.dictionaries(fields, schemas, max_size=4))
    required = draw(st.lists(st.sampled_from(sorted(properties)), unique=True)) if properties else []
    described = draw(st.lists(st.sampled_from(sorted(properties)), unique=True)) if properties else []
    tool: dict[str, Any] = {
        "effect": draw(st.sampled_from([e.value for e in Effect])),
        "arguments": {path: draw(roles) for path in described},
        "schema": {"type": "object", "properties": properties, "required": required},
    }
    if draw(st.booleans()):
        own, presumed = draw(st.sets(fields, max_size=3)), draw(st.sets(fields, max_size=3))
        tool["returns"] = {
            "object": draw(st.sampled_from(KINDS)),
            "own": sorted(own),
            "presumed": sorted(presumed - own),
            "when": [{"if": "sender == me", "own": ["body"]}],
        }
    return tool


@st.composite
def manifests(draw: st.DrawFn) -> dict[str, Any]:
    found = draw(st.dictionaries(names, tools(), max_size=4))
    found |= {f"find_{kind}": {"effect": "read", "returns": {"object": kind, "id": ["id"]}} for kind in KINDS}
    listed = draw(st.lists(st.sampled_from(sorted(found)), unique=True))
    return {
        "version": 1,
        "labels": draw(st.sampled_from(["conservative", "tight"])),
        "agents": {"support": {"tools": listed}},
        "tools": found,
    }
