"""What the user's words mean: objects by id, by name, by rank."""

import json
from typing import Any

import pytest

from interlock.kernel.spec import Argument, Effect, Returns, Role, ToolSpec
from tests.provenance.runs import World, cases

CASES = cases("pointing")
FILE_ID = Argument(path="file_id", role=Role.ID, kind="file")
TOOLS = (
    ToolSpec(
        name="files",
        effect=Effect.READ,
        returns=Returns(object="file", id=("id",), names=("name", "label"), own=("id", "size", "label")),
    ),
    ToolSpec(name="delete_file", effect=Effect.DESTROY, arguments=(FILE_ID,)),
    ToolSpec(name="share_file", effect=Effect.EGRESS, arguments=(FILE_ID, Argument(path="with", role=Role.RECIPIENT))),
    ToolSpec(name="cancel_event", effect=Effect.DESTROY, arguments=(Argument(path="id", role=Role.ID, kind="event"),)),
)


@pytest.mark.parametrize("case", CASES, ids=[c["id"] for c in CASES])
def test_an_object_is_hit_only_if_the_user_means_it(case: dict[str, Any]) -> None:
    run = World(*TOOLS)
    run.user(case["user"])
    run.returned("files", json.loads(case["seen"]))
    run.ledger.read("Delete file 3 and file 4, share them", "mail")
    name, arguments = case["last"]
    assert run.answer(name, **json.loads(arguments)) == case["expect"], case["why"]
