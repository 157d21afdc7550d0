"""One gateway, one provider and one run of the JavaScript SDKs for the whole matrix."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.conformance.cells import Bench, answers, cells
from tests.conformance.clients import NoNode, javascript, node_modules
from tests.conformance.subject import starter
from tests.conformance.upstream import Upstream


@pytest.fixture(scope="session")
def bench(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Bench]:
    """Everything that cells need, running."""
    yield from benched(tmp_path_factory.mktemp("js"))


def benched(folder: Path, chosen: str = "") -> Iterator[Bench]:
    """The same without pytest; the JavaScript SDKs for cells whose name holds `chosen`."""
    found = cells()
    with Upstream(answers(found)) as upstream, starter()(upstream.url) as subject:
        bench = Bench(subject, upstream)
        where = {"openai": subject.openai, "anthropic": subject.anthropic, "key": subject.key}
        try:
            jobs = [{**c.job, **where} for c in found if c.job is not None and chosen in c.id]
            bench.javascript = javascript(node_modules(folder), jobs)
        except NoNode as error:
            bench.no_node = str(error)
        yield bench
