"""The quickstart's files and commands, and the code of the library's page, as they stand there."""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from anthropic import Anthropic
from openai import OpenAI

from interlock.testing import Conversation, ModelServer, Reply

ROOT = Path(__file__).parents[2]
BLOCK = re.compile(r"^(?:`(?P<file>[\w.]+)`:\n\n)?```(?P<kind>\w+)\n(?P<text>.*?)^```$", re.MULTILINE | re.DOTALL)
TYPED = re.compile(r"(refuses: )(\S+)\n")  # what the reader types after a prompt, and the line's end with it


def blocks(page: str) -> Iterator[tuple[str, str, str]]:
    """(file, kind, text) of every block of code."""
    for match in BLOCK.finditer((ROOT / "docs" / page).read_text("utf-8")):
        yield match["file"] or "", match["kind"], match["text"]


def commands(text: str) -> Iterator[tuple[str, str]]:
    """(command, what is printed) of a console."""
    for piece in re.split(r"^\$ ", text, flags=re.MULTILINE)[1:]:
        command, _, printed = piece.partition("\n")
        yield command, printed


def test_the_quickstart(tmp_path: Path) -> None:
    bin_ = Path(sys.executable).parent
    environment = {"PATH": f"{bin_}:/usr/bin:/bin", "PYTHONPATH": str(ROOT / "src"), "HOME": str(tmp_path)}
    # As written, but into a folder of its own and without the network.
    pip = {
        "PIP_TARGET": str(tmp_path / "site"),
        "PIP_NO_DEPS": "1",
        "PIP_NO_INDEX": "1",
        "PIP_DISABLE_PIP_VERSION_CHECK": "1",
        "PIP_NO_BUILD_ISOLATION": "0",
    }
    ran = files = 0
    for file, kind, text in blocks("quickstart.md"):
        if file:
            (tmp_path / file).write_text(text, "utf-8")
            files += 1
            continue
        for command, printed in commands(text) if kind == "console" else ():
            ran += 1
            install = " pip " in command
            done = subprocess.run(
                ["sh", "-c", command],
                cwd=ROOT if install else tmp_path,
                env=environment | pip if install else environment,
                input="\n".join(typed for _, typed in TYPED.findall(printed)),
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                text=True,
                timeout=120,
                check=False,
            )
            told = TYPED.sub(r"\1", printed)
            wanted = ".*".join(re.escape(part) for part in told.split("…"))
            assert re.fullmatch(wanted, done.stdout, re.DOTALL), f"$ {command}\n{done.stdout}"
    assert (ran, files) == (8, 4)
    assert (tmp_path / "site" / "interlock" / "py.typed").exists()


class Once:
    """Reads a mail, answers it, and says that it is done, in every conversation."""

    def answer(self, conversation: Conversation) -> Reply:
        from interlock.testing import Use

        steps = [
            Reply(calls=(Use("read_mail", {"mail_id": 1}),)),
            Reply(calls=(Use("send_mail", {"to": "ben@customers.example", "body": "We are sorry."}),)),
            Reply("done"),
        ]
        return steps[sum(m.role == "assistant" for m in conversation.messages)]


MANIFEST = """
version: 1
agents: {support: {tools: [read_mail, send_mail, track_order]}}
tools:
  read_mail: {effect: read, returns: {object: mail, id: [id], own: [id]}}
  track_order: {effect: read, schema: {type: object, properties: {order: {type: integer}}}}
  send_mail: {effect: egress, arguments: {to: recipient, body: text}}
"""


def test_the_library_s_page(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("interlock.yaml").write_text(MANIFEST, "utf-8")
    sent: list[str] = []

    def read_mail(mail_id: int) -> dict[str, Any]:
        """Read a mail."""
        return {"id": mail_id, "body": "Where is it?"}

    def send_mail(to: str, body: str) -> str:
        """Send a mail."""
        sent.append(to)
        return "sent"

    def track_order(order: int) -> str:
        """Say where an order is."""
        return "on its way"

    with (
        ModelServer(Once()) as server,
        OpenAI(api_key="none", base_url=server.openai_url) as openai,
        Anthropic(api_key="none", base_url=server.url) as anthropic,
    ):
        names: dict[str, Any] = {
            "read_mail": read_mail,
            "send_mail": send_mail,
            "track_order": track_order,
            "openai": openai,
            "anthropic": anthropic,
            "model": "m",
            "prompt": "Read mail 1 and answer ben@customers.example.",
        }
        pieces = [text for _, kind, text in blocks("library.md") if kind == "python"]
        for text in pieces:
            exec(compile(text, "library.md", "exec"), names)  # noqa: S102 - our own page
        assert len(server.requests) == 9
    assert len(pieces) == 11
    assert sent == ["ben@customers.example"] * 4  # three loops, one call by hand
    assert capsys.readouterr().out == "[]\n"


def test_the_quickstart_s_last_lines_are_the_readme_s() -> None:
    last = [text for _, kind, text in blocks("quickstart.md") if kind == "python"][-1]
    for line in last.splitlines():
        assert line in (ROOT / "README.md").read_text("utf-8")
