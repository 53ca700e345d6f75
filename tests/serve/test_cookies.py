"""Signed logins: what one replica gives, all others know, until it is taken back."""

import base64

import pytest

from offramp.serve.cluster.cookies import SignedLogins
from offramp.serve.logins import LASTS_S

KEY, DIGEST = bytes(range(32)), b"d" * 32


def test_a_login_opens_all_replicas_with_the_key_and_no_other() -> None:
    now = [1000.0]
    one, two = (SignedLogins(KEY, clock=lambda: now[0]) for _ in range(2))
    cookie = one.begin(DIGEST)
    assert two.digest(cookie) == DIGEST
    assert one.begin(DIGEST) != cookie
    assert SignedLogins(bytes(32)).digest(cookie) is None
    now[0] += LASTS_S - 1
    assert two.digest(cookie) == DIGEST
    now[0] += 1
    assert two.digest(cookie) is None


def test_no_byte_of_it_can_be_changed() -> None:
    logins = SignedLogins(KEY)
    content = base64.urlsafe_b64decode(logins.begin(DIGEST))
    for place in range(len(content)):
        changed = bytearray(content)
        changed[place] ^= 1
        assert logins.digest(base64.urlsafe_b64encode(bytes(changed)).decode()) is None


@pytest.mark.parametrize("text", ["", "x", "é", "AAAA", "=" * 20, "A" * 5000])
def test_what_is_no_cookie_is_nobody(text: str) -> None:
    told: list[bytes] = []
    logins = SignedLogins(KEY, lambda cookie, until: told.append(cookie))
    assert logins.digest(text) is None
    logins.end(text)
    assert told == []


def test_a_logout_holds_here_at_once_and_elsewhere_when_it_is_told() -> None:
    told: dict[bytes, float] = {}
    one = SignedLogins(KEY, told.__setitem__, clock=lambda: 50.0)
    two = SignedLogins(KEY, clock=lambda: 50.0)
    cookie, other = one.begin(DIGEST), one.begin(DIGEST)
    one.end(cookie)
    one.end(cookie)
    assert one.digest(cookie) is None
    assert list(told.values()) == [50.0 + LASTS_S]
    assert two.digest(cookie) == DIGEST
    two.ended = told
    assert two.digest(cookie) is None
    assert one.digest(other) == two.digest(other) == DIGEST
