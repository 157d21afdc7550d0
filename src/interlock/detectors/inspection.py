"""The monitor's inspector: our own detectors, joined as a manifest says.

What others wrote is normalised, scanned for injections and then kept, cleaned, marked or blocked, by source. The user's
words are judged, never changed: by topic where an agent has topics, and by the scanner where the manifest wants it.
Texts that were judged are remembered by their digest, because a history is sent whole each turn.
"""

from __future__ import annotations

import hmac
from collections import OrderedDict
from collections.abc import Callable, Mapping
from dataclasses import replace
from hashlib import blake2b
from importlib.util import find_spec
from threading import Lock
from typing import Any

from interlock.detect.finding import Finding
from interlock.detect.injection import Injection, load
from interlock.detect.injection.scan import Channel, InjectionError, failed
from interlock.detect.normalise import normalise
from interlock.detect.sanitise import Marker, Mode, Sanitiser
from interlock.detect.topics import Topics
from interlock.kernel.call import Json
from interlock.kernel.labels import Integrity
from interlock.monitor.ports import Inspected, Reading

REMEMBERED = 4096  # texts
SHORT = 12  # characters; less holds no sentence
OFF_TOPIC = "off this agent's topics"
INJECTION = "injection"


class Inspection:
    """Looks at what is about to be read. `key` is random: the markers of runs are derived from it."""

    def __init__(
        self,
        *,
        key: bytes,
        injection: Callable[[], Injection] | None = load,
        modes: Mapping[str, Mode] | None = None,
        prompts: bool = False,
        topics: Mapping[str, Topics] | None = None,
    ) -> None:
        self._key = key
        self._make = injection
        self._injection: Injection | None = None
        self._modes = dict(modes or {})
        self._prompts = prompts
        self._topics = dict(topics or {})
        self._lock = Lock()
        self._seen: OrderedDict[tuple[str, bytes], tuple[Finding, ...]] = OrderedDict()

    @property
    def __name__(self) -> str:
        """What the posture says of it."""
        if self._make is None:
            return "inspection: hidden text"
        if self._make is not load:
            return f"inspection: hidden text, {self._scanner().parts}"
        # Without loading what it takes: most processes never read a long text.
        with_model = find_spec("onnxruntime") is not None and find_spec("numpy") is not None
        told = "signatures and classifier" if with_model else "signatures only; the classifier needs interlock[detect]"
        return f"inspection: hidden text, injection: {told}"

    def __call__(self, content: Json, read: Reading) -> Inspected:
        """See `interlock.monitor.ports.Inspector`."""
        if read.integrity is Integrity.USER:
            return self._prompt(content, read)
        sanitiser = Sanitiser(
            marker=self.marker(read.run),
            modes=self._modes,
            default="keep",
            detect=lambda text: self._scan(text, "untrusted"),
        )
        seen = sanitiser(content, read.source)
        return Inspected(seen.content, seen.findings)

    def marker(self, run: str) -> Marker:
        """What marks foreign text in this run: nobody who writes such text can know it."""
        return Marker(nonce=hmac.new(self._key, run.encode(), "sha256").hexdigest()[:24])

    def _prompt(self, content: Json, read: Reading) -> Inspected:
        text = content if isinstance(content, str) else ""
        findings = (*normalise(text).findings, *self._scan(text, "user")) if self._prompts else ()
        topics = self._topics.get(read.agent)
        if topics is not None and not topics.judge(text).inside:
            off = Finding(id="topic/outside", span=(0, len(text)), severity="low", confidence=0.5, why=OFF_TOPIC)
            return Inspected(content, (*findings, off), OFF_TOPIC)
        return Inspected(content, findings)

    def _scan(self, text: str, channel: Channel) -> tuple[Finding, ...]:
        if self._make is None or len(text) < SHORT:
            return ()
        name = (channel, blake2b(text.encode(errors="surrogatepass"), digest_size=16).digest())
        with self._lock:
            known = self._seen.get(name)
            if known is not None:
                self._seen.move_to_end(name)
                return known
        try:
            scan = self._scanner().scan(text, channel)
        except InjectionError:
            scan = failed()
        found = tuple(_named(f) for f in scan.findings)
        if not found and scan.band != "clear":
            why = "the text looks like an attempt to give orders to the model"
            found = (
                Finding(id=INJECTION, span=(0, len(text)), severity="medium", confidence=min(1.0, scan.score), why=why),
            )
        with self._lock:
            self._seen[name] = found
            while len(self._seen) > REMEMBERED:
                self._seen.popitem(last=False)
        return found

    def _scanner(self) -> Injection:
        with self._lock:
            if self._injection is None and self._make is not None:
                self._injection = self._make()
            if self._injection is None:
                raise InjectionError("there is no scanner")
            return self._injection


def _named(found: Finding) -> Finding:
    """One id for rules, whatever kind of sentence it was."""
    return found if found.id.startswith(INJECTION) else replace(found, id=f"{INJECTION}/{found.id}")


def inspection(detect: Any, topics: Mapping[str, Any], *, key: bytes) -> Inspection | None:  # noqa: ANN401 - parts of a manifest
    """What the manifest's section `detect` and its agents' `topics` want; None if that is nothing."""
    made = {
        name: Topics(
            allowed={t: tuple(words) for t, words in part.allowed.items()},
            examples={t: tuple(texts) for t, texts in part.examples.items()},
            like=part.like,
        )
        for name, part in topics.items()
    }
    if detect is None:
        return Inspection(key=key, injection=None, topics=made) if made else None
    scanners: dict[str, Callable[[], Injection] | None] = {
        "auto": load,
        "signatures": lambda: Injection(None),
        "off": None,
    }
    return Inspection(
        key=key,
        injection=scanners[detect.injection],
        modes=detect.sources,
        prompts=detect.prompts,
        topics=made,
    )
