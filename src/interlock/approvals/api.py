"""Approvals over HTTP, without HTTP: from a request's parts to a status and JSON. The gateway mounts it.

    GET  /approvals               what this approver may answer
    GET  /approvals/ID            one question, with everything he should know
    POST /approvals/ID/answer     {"granted": true, "digest": "…", "comment": "…"}

An approver is known by a bearer token and by nothing that a browser sends of itself, so no other site can answer in
his name. The same answer again gets the same reply. What goes wrong is told in words without content.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from http import HTTPStatus
from typing import Any

from interlock.approvals.desk import Desk
from interlock.approvals.errors import NoSuchApproval, NotYours, Settled, Tampered
from interlock.kernel.errors import InterlockError

MAX_BODY = 16_384  # bytes
Reply = tuple[int, dict[str, object]]


class ApprovalsApi:
    """The routes over a desk."""

    def __init__(self, desk: Desk) -> None:
        self._desk = desk

    def __call__(self, method: str, path: str, headers: Mapping[str, str], body: bytes, approver: str | None) -> Reply:
        """The reply to one request; `headers` have lower-case names, `approver` is whose token it was, or None."""
        scheme, _, token = headers.get("authorization", "").partition(" ")
        if approver is None or scheme.lower() != "bearer" or not token.strip():
            return _problem(HTTPStatus.UNAUTHORIZED, "send an approver's token as `Authorization: Bearer`")
        try:
            return self._route(method, path, headers, body, approver)
        except NoSuchApproval:
            return _problem(HTTPStatus.NOT_FOUND, "there is no such approval")
        except NotYours as error:
            return _problem(HTTPStatus.FORBIDDEN, str(error))
        except Settled as error:
            return _problem(HTTPStatus.CONFLICT, str(error))
        except Tampered:
            return _problem(HTTPStatus.CONFLICT, "this approval is not what was written; it is void")
        except InterlockError:
            return _problem(HTTPStatus.SERVICE_UNAVAILABLE, "the approvals are away; nothing was changed for certain")

    def _route(self, method: str, path: str, headers: Mapping[str, str], body: bytes, approver: str) -> Reply:
        match [method, *path.strip("/").split("/")]:
            case ["GET", "approvals"]:
                return HTTPStatus.OK, {"approvals": self._desk.open(approver)}
            case ["GET", "approvals", ref]:
                return HTTPStatus.OK, self._desk.show(ref, approver)
            case ["POST", "approvals", ref, "answer"]:
                return self._answer(ref, headers, body, approver)
            case [_, "approvals"] | [_, "approvals", _] | [_, "approvals", _, "answer"]:
                return _problem(HTTPStatus.METHOD_NOT_ALLOWED, "read with GET, answer with POST")
            case _:
                return _problem(HTTPStatus.NOT_FOUND, "there is nothing here")

    def _answer(self, ref: str, headers: Mapping[str, str], body: bytes, approver: str) -> Reply:
        if headers.get("content-type", "").partition(";")[0].strip().lower() != "application/json":
            return _problem(HTTPStatus.UNSUPPORTED_MEDIA_TYPE, "an answer is `application/json`")
        if len(body) > MAX_BODY:
            return _problem(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, f"an answer has at most {MAX_BODY} bytes")
        try:
            answer = json.loads(body, object_pairs_hook=_once)
        except (ValueError, RecursionError):
            answer = None
        match answer:
            case {"granted": bool(granted), "digest": str(digest), **rest} if (
                rest.keys() <= {"comment"} and type(rest.get("comment", "")) is str
            ):
                shown = self._desk.answer(
                    ref, approver, granted=granted, digest=digest, comment=str(rest.get("comment", "")), via="api"
                )
                return HTTPStatus.OK, shown
            case _:
                told = 'an answer is `{"granted": true or false, "digest": the one that was read, "comment": text}`'
                return _problem(HTTPStatus.BAD_REQUEST, told)


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise ValueError("a key stands there twice")
    return found


def _problem(status: HTTPStatus, told: str) -> Reply:
    return status, {"error": told}
