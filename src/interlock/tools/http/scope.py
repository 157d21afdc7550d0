"""From a call to the request it asks for, or a refusal. Pure: names are resolved where they are dialled."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field

from interlock.kernel.call import Call, Resource, thaw
from interlock.tools.http import headers, url
from interlock.tools.http.reach import Reach
from interlock.tools.http.url import Target
from interlock.tools.kind import ScopeError


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """One request, inside the scope."""

    method: str
    target: Target
    headers: Mapping[str, str] = field(default_factory=dict)  # names in lower case
    body: bytes = b""


@dataclass(frozen=True, slots=True, kw_only=True)
class Scope:
    """What one operation may ask for."""

    reach: Reach
    methods: tuple[str, ...]
    max_request_bytes: int

    def request(self, call: Call) -> Request:
        """The request that `call` asks for.

        Raises:
            ScopeError: it lies outside the scope.
        """
        text, method = call.arguments.get("url"), call.arguments.get("method", self.methods[0])
        if not isinstance(text, str) or not isinstance(method, str) or method not in self.methods:
            raise ScopeError(f"`url` is a text and `method` one of {', '.join(self.methods)}")
        target = url.parse(text)
        self.reach.admit(method, target)
        given = call.arguments.get("headers", {})
        if not isinstance(given, Mapping) or not all(isinstance(v, str) for v in given.values()):
            raise ScopeError("`headers` are names with texts")
        sent = headers.clean({name: str(value) for name, value in given.items()})
        body = thaw(call.arguments.get("body", ""))
        if isinstance(body, str):
            data, kind = body.encode(), "text/plain; charset=utf-8"
        else:
            data, kind = json.dumps(body, ensure_ascii=False).encode(), "application/json"
        if len(data) > self.max_request_bytes:
            raise ScopeError(f"the body is larger than {self.max_request_bytes} bytes")
        if data:
            sent.setdefault("content-type", kind)
        return Request(method=method, target=target, headers=sent, body=data)

    def resource(self, call: Call) -> Resource:
        """What the rules see: the URL without its query."""
        return Resource("Url", self.request(call).target.resource)
