"""Ways to ask a human, all in this process. Whatever is not a clear yes, in time, is a no.

Only text that cannot deceive reaches the screen: see `question.visible`. What decides is never cut; free text that is
long is cut with the number of characters left out and the digest of the whole beside it.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator
from queue import Empty, SimpleQueue
from threading import Thread
from typing import TextIO

from interlock.kernel.spec import Role
from interlock.monitor.errors import ApprovalError
from interlock.monitor.question import Answer, Asked, Question, no, visible, yes

LONG = 1200  # characters of free text that are shown whole
CODE = 4  # hex digits to type: an answer that was typed ahead, or out of habit, approves nothing


class DenyAll:
    """Nobody is there to ask."""

    def ask(self, question: Question) -> Answer:
        """No."""
        return no(question, "nobody")


class InProcessApprovals:
    """A function of the application decides; it has `timeout` seconds."""

    def __init__(self, decide: Callable[[Question], bool], *, by: str, timeout: float = 300.0) -> None:
        if not by:
            raise ApprovalError("say in whose name this function approves: `by`")
        if not timeout > 0:
            raise ApprovalError("`timeout` must be a number of seconds above 0")
        self._decide, self._by, self._timeout = decide, by, timeout

    def ask(self, question: Question) -> Answer:
        """Yes if the function returns exactly True.

        Raises:
            ApprovalError: it raised, or did not return in time. What it returns later is not looked at.
        """
        answers: SimpleQueue[object] = SimpleQueue()

        def run() -> None:
            try:
                answers.put(self._decide(question))
            except Exception as error:  # noqa: BLE001 - the application's function; its failing is a no
                answers.put(error)

        # A thread, because nothing else ends the wait for a function that hangs; a daemon, so that it ends with us.
        Thread(target=run, name="interlock-approval", daemon=True).start()
        try:
            answer = answers.get(timeout=self._timeout)
        except Empty:
            raise ApprovalError(f"nobody answered within {self._timeout:g} s") from None
        if isinstance(answer, BaseException):
            raise ApprovalError(f"the approving function failed: {type(answer).__name__}") from answer
        return yes(question, self._by) if answer is True else no(question, self._by)


class TerminalApprovals:
    """Somebody at a terminal decides, having read what will run and typed the code that stands below it."""

    def __init__(self, read: TextIO, write: TextIO, *, by: str = "terminal") -> None:
        self._read, self._write, self._by = read, write, by

    def ask(self, question: Question) -> Answer:
        """Yes if the next line is the code of this very call. The end of input is a no."""
        code = question.digest[:CODE]
        self._write.write(f"{render(question)}\ntype {code} to let it run, anything else refuses: ")
        self._write.flush()
        line = self._read.readline()
        granted = line.strip() == code
        self._write.write("approved\n" if granted else "refused\n")
        self._write.flush()
        return yes(question, self._by) if granted else no(question, self._by)


def render(question: Question) -> str:
    """The question as plain lines: what will run, where each value comes from, which rule asks."""
    return "\n".join(_lines(question))


def _lines(question: Question) -> Iterator[str]:
    who = f"agent {visible(question.agent)}, for {visible(question.principal)}"
    yield ""
    yield f"May this call be made? {visible(question.tool)} ({question.effect.value}), by {who}"
    for a in question.arguments:
        yield from _argument(a, question)
    if not question.arguments:
        yield "    it has no arguments"
    yield f"    exactly: {question.call[:LONG]}"
    yield from _rest(question.call)
    yield f"    asked by: {', '.join(visible(r) for r in question.rules)}"
    yield f"    digest: {question.digest}"


def _argument(a: Asked, question: Question) -> Iterator[str]:
    free = a.role in {Role.TEXT, Role.TITLE}
    shown = a.value[:LONG] if a.role is Role.TEXT else a.value
    first, *more = shown.split("\n") if free else [shown]
    yield f"  {' ' if a.vouched else '!'} {visible(a.path)} = {visible(first)}"
    for line in more:
        yield f"    | {visible(line)}"  # the bar: no line of the text can pass for one of ours
    if a.role is Role.TEXT:
        yield from _rest(a.value)
    if not free and not a.value.isascii():
        yield f"      spelt {a.value!a}"  # look-alike letters
    yield f"      {visible(a.origin)}"
    if a.path in question.unpointed:
        yield "      the user's words do not point at this object"
    if a.path in question.unnamed:
        yield "      the user did not name this receiver"


def _rest(text: str) -> Iterator[str]:
    """What is said of the part of a long text that is not shown."""
    if len(text) > LONG:
        digest = hashlib.sha256(text.encode()).hexdigest()
        yield f"      cut here: {len(text) - LONG} more characters; SHA-256 of the whole {digest}"
