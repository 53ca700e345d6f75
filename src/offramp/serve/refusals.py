"""How a server says no: every error as `{"error": text}` with a status, and no secrets in it."""

import logging
import math

from fastapi import FastAPI
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from starlette.exceptions import HTTPException
from starlette.requests import HTTPConnection

from offramp.core.errors import BadInput, OfframpError, UnknownName
from offramp.video.address import redact
from offramp.video.answer import Overloaded, TooLate, Unanswered

logger = logging.getLogger(__name__)


class Refused(HTTPException):
    """Refuse a request.

    Args:
        status: of HTTP.
        what: why, in one clause.
        retry_after_s: when it may be worth another try.
    """

    def __init__(self, status: int, what: str, retry_after_s: float | None = None) -> None:
        headers = {}
        if retry_after_s is not None:
            headers["Retry-After"] = str(max(1, math.ceil(retry_after_s)))
        if status == 401:
            headers["WWW-Authenticate"] = "Bearer"
        super().__init__(status, what, headers)


def handle_errors(app: FastAPI) -> None:
    """Answer every exception with a status and its reason."""
    for kind in (HTTPException, RequestValidationError, OfframpError, Exception):
        app.add_exception_handler(kind, _answer)


def refusal(error: Exception) -> HTTPException:
    """Tell the status, the words and the headers that an exception is answered with."""
    if isinstance(error, HTTPException):
        return error
    if isinstance(error, RequestValidationError):  # what was given may hold a secret: left out
        faults = (f"{'.'.join(map(str, e['loc']))}: {e['msg']}" for e in error.errors())
        return Refused(422, "; ".join(faults))
    if isinstance(error, Overloaded):
        return Refused(429, str(error) or "too much to do", error.retry_after_s)
    if isinstance(error, TooLate):
        return Refused(504, str(error) or "the deadline passed before there was an answer")
    if isinstance(error, Unanswered):
        return Refused(503, str(error) or "no answer", 1.0)
    if isinstance(error, UnknownName):
        return Refused(404, str(error))
    if isinstance(error, BadInput):
        return Refused(400, str(error))
    return Refused(500, "internal error; the server's log says more")


async def _answer(request: HTTPConnection, error: Exception) -> JSONResponse:
    said = refusal(error)
    if said.status_code == 500:
        logger.error("%s failed", request.url.path, exc_info=error)
    return JSONResponse(
        {"error": redact(str(said.detail))}, status_code=said.status_code, headers=said.headers
    )
