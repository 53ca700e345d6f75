"""What endpoints that answer an image share."""

from fastapi import Request
from starlette.requests import HTTPConnection

from offramp.core.errors import BadInput
from offramp.data.images import Array
from offramp.serve.service import Service
from offramp.video.answer import Answer


def serving(connection: HTTPConnection) -> Service:
    """Give the service behind a request."""
    service: Service = connection.app.state.service
    return service


async def body_of(request: Request) -> bytes:
    """Read a body; how long it may be and take, `serve.gate` sees to.

    Raises:
        BadInput: there is none.
    """
    body = await request.body()
    if not body:
        raise BadInput("the request has no body")
    return body


def answered(
    service: Service, image: Array, deadline_ms: float | None = None, exit: int | None = None
) -> Answer:
    """Answer an image, within the time that a request may take at all.

    Raises:
        BadInput: there is no such exit.
        Overloaded: there is too much to do.
        TooLate: the deadline passed.
    """
    if exit is not None and not 0 <= exit < len(service.points):
        raise BadInput(
            "there is no such exit", expected=f"0 to {len(service.points) - 1}", got=str(exit)[:20]
        )
    longest = 1000 * service.configuration.limits.request_s
    deadline = longest if deadline_ms is None else min(deadline_ms, longest)
    return service.backend.segment(image, deadline_ms=deadline, exit=exit)
