"""Who asks, and whether that one may: a bearer token, or the cookie of a browser's login.

Browsers send cookies along with requests that other sites make them send. So whatever changes
something, and every WebSocket, must come from a page of this server: its `Origin` is the host that
was asked. Where a server has no tokens at all, everyone who reaches it may do all, and the same
check keeps other sites' pages out.
"""

import logging
from urllib.parse import urlsplit

from starlette.requests import HTTPConnection

from offramp.serve.logins import COOKIE, Logins
from offramp.serve.rate import Rate
from offramp.serve.refusals import Refused
from offramp.serve.tokens import Identity, Role, Tokens

logger = logging.getLogger(__name__)

SAFE = ("GET", "HEAD", "OPTIONS")
EVERYONE = Identity("everyone", "anyone")
OWNER = Identity("local", "admin")
"""Whoever reaches a server that has no tokens."""


class Access:
    """Says who may do what.

    Args:
        tokens: those that open the door; none: it is open.
    """

    def __init__(self, tokens: Tokens) -> None:
        self.tokens = tokens
        self.logins = Logins()
        self.rate = Rate()

    def require(self, connection: HTTPConnection, role: Role) -> Identity:
        """Tell who asks, if that one may do what `role` may.

        Raises:
            Refused: 401 where nobody is known, 403 where this one may not, or where another
                site's page asks.
        """
        identity = self.identify(connection)
        if identity.may(role):
            return identity
        if identity.role == "anyone":
            raise Refused(401, "this needs a token; send it as 'Authorization: Bearer TOKEN'")
        raise Refused(403, f"this needs the role {role}; '{identity.name}' is {identity.role}")

    def identify(self, connection: HTTPConnection) -> Identity:
        """Tell who asks.

        Raises:
            Refused: the token is none of ours, or another site's page asks.
        """
        scheme, _, secret = connection.headers.get("authorization", "").partition(" ")
        if scheme:
            identity = self.tokens.of(secret.strip()) if scheme.lower() == "bearer" else None
            if identity is None:
                raise Refused(401, "the token is not known")
            return identity
        if not self.tokens:
            check_origin(connection, needed=False)
            return OWNER
        digest = self.logins.digest(connection.cookies.get(COOKIE, ""))
        identity = self.tokens.holds(digest) if digest is not None else None
        if identity is None:
            return EVERYONE
        check_origin(connection, needed=True)
        return identity

    def log_in(self, connection: HTTPConnection, secret: str) -> tuple[Identity, str]:
        """Exchange a token for a cookie.

        Raises:
            Refused: 401 the token is not known, 429 too many attempts, 403 another site's page.
        """
        check_origin(connection, needed=False)
        caller = connection.client.host if connection.client else ""
        wait = self.rate.attempt(caller)
        if wait:
            raise Refused(429, "too many attempts to log in", wait)
        identity = self.tokens.of(secret)
        if identity is None:
            logger.warning("a login from %s failed", caller)
            raise Refused(401, "the token is not known")
        return identity, self.logins.begin(identity.digest)


def check_origin(connection: HTTPConnection, needed: bool) -> None:
    """Refuse what another site's page sends, where it would change something or open a socket.

    Args:
        connection: the request.
        needed: whether a request that does not tell its origin is refused too.

    Raises:
        Refused: it comes from elsewhere.
    """
    if connection.scope["type"] == "http" and connection.scope["method"] in SAFE:
        return
    origin = connection.headers.get("origin")
    if origin is None:
        site = connection.headers.get("sec-fetch-site", "none")
        if needed or site not in ("none", "same-origin"):
            raise Refused(403, "the request does not say from which page it comes")
    elif urlsplit(origin).netloc.lower() != connection.headers.get("host", "").lower():
        raise Refused(403, "the request comes from a page of another site")
