"""Who may do what: every way of the API, for every role, by token and by cookie."""

import pytest

from offramp.serve.access import Access
from offramp.serve.app import create_app
from offramp.serve.logins import COOKIE, LASTS_S, Logins
from offramp.serve.rate import Rate
from offramp.serve.routes import WAYS, Way
from offramp.serve.service import Service
from offramp.serve.tokens import ROLES, read_tokens
from tests.serve.conftest import SECRETS, TOKENS, TestClient, client_of

MATRIX = {
    # who may: anyone, viewer, operator, admin
    "GET /health/live": "anyone",
    "GET /health/ready": "anyone",
    "GET /v2/health/live": "anyone",
    "GET /v2/health/ready": "anyone",
    "GET /api/me": "anyone",
    "POST /api/login": "anyone",
    "POST /api/logout": "anyone",
    "GET /v2": "viewer",
    "POST /v2/repository/index": "viewer",
    "GET /v2/models/{name}": "viewer",
    "GET /v2/models/{name}/versions/{version}": "viewer",
    "GET /v2/models/{name}/ready": "viewer",
    "GET /v2/models/{name}/versions/{version}/ready": "viewer",
    "GET /v2/models/{name}/config": "viewer",
    "GET /v2/models/{name}/versions/{version}/config": "viewer",
    "GET /api/cameras": "viewer",
    "GET /api/cameras/{name}": "viewer",
    "GET /api/cameras/{name}/snapshot": "viewer",
    "GET /api/cameras/{name}/overlay": "viewer",
    "GET /api/events": "viewer",
    "WEBSOCKET /api/events/ws": "viewer",
    "GET /api/status": "viewer",
    "GET /metrics": "viewer",
    "GET /openapi.json": "viewer",
    "GET /docs": "viewer",
    "POST /v2/models/{name}/infer": "operator",
    "POST /v2/models/{name}/versions/{version}/infer": "operator",
    "POST /api/segment": "operator",
    "POST /api/cameras/{name}/pause": "operator",
    "POST /api/cameras/{name}/resume": "operator",
    "POST /api/cameras/{name}/reopen": "operator",
    "POST /api/cameras": "admin",
    "DELETE /api/cameras/{name}": "admin",
    "POST /api/reload": "admin",
    "POST /v2/repository/models/{name}/load": "admin",
    "POST /v2/repository/models/{name}/unload": "admin",
}
"""Written down a second time, on purpose: a new way, or another role, must be meant."""


def test_every_way_is_in_the_matrix(service: Service) -> None:
    assert {f"{way.method} {way.path}": way.role for way in WAYS} == MATRIX
    app = create_app(service)
    served = {
        f"{method} {path}"
        for path, methods in ((r.path, getattr(r, "methods", None)) for r in app.routes)  # type: ignore[attr-defined]
        for method in (methods or {"WEBSOCKET" if path.endswith("/ws") else "MOUNT"})
    }
    assert served - {"MOUNT "} == set(MATRIX)


@pytest.fixture(scope="module")
def asked() -> dict[str, str]:
    return {}


def knock(client: TestClient, way: Way, headers: dict[str, str]) -> int:
    """Ask by a way; the status. Nothing there exists, so nobody gets further than to a 4xx."""
    path = way.path.replace("{name}", "nobody").replace("{version}", "1")
    if way.method == "WEBSOCKET":
        try:
            with client.websocket_connect(f"ws://localhost{path}", headers=headers):
                return 101
        except Exception as refused:
            return int(getattr(refused, "status_code", 0))
    if way.path == "/api/events":
        path += "?camera=" + "x" * 65  # refused after the role was checked: it would not end
    return int(client.request(way.method, path, headers=headers).status_code)


@pytest.mark.parametrize("role", ["anyone", "viewer", "operator", "admin"])
def test_each_role_gets_where_it_may_and_nowhere_else(guarded: Service, role: str) -> None:
    headers = {} if role == "anyone" else {"Authorization": f"Bearer {SECRETS[role]}"}
    wrong = []
    with client_of(guarded) as client:
        for way in WAYS:
            status = knock(client, way, headers)
            may = ROLES.index(role) >= ROLES.index(MATRIX[f"{way.method} {way.path}"])
            refused = status == (401 if role == "anyone" else 403)
            if way.path.endswith(("/load", "/unload")) and may:
                refused = status not in (403, 404)
            if may == refused:
                wrong.append((way.method, way.path, status))
    assert wrong == []


def test_an_unknown_token_opens_nothing(guarded: Service) -> None:
    with client_of(guarded) as client:
        for given in ("Bearer nonsense", "Basic YTpi", "Bearer", f"Token {SECRETS['admin']}"):
            answer = client.get("/api/status", headers={"Authorization": given})
            assert answer.status_code == 401
            assert answer.headers["www-authenticate"] == "Bearer"


def logged_in(client: TestClient, role: str) -> str:
    answer = client.post("/api/login", json={"token": SECRETS[role]})
    assert answer.json() == {"name": f"{role}s", "role": role}
    set_cookie = answer.headers["set-cookie"].lower()
    assert "httponly" in set_cookie
    assert "samesite=strict" in set_cookie
    assert SECRETS[role] not in set_cookie
    return set_cookie.split("=")[1].split(";")[0]


def test_a_cookie_stands_for_a_token_until_the_logout(guarded: Service) -> None:
    with client_of(guarded) as client:
        assert client.get("/api/status").status_code == 401
        logged_in(client, "viewer")
        assert client.get("/api/me").json()["role"] == "viewer"
        assert client.get("/api/status").status_code == 200
        held = client.cookies[COOKIE]
        assert client.post("/api/logout", headers={"Origin": "http://localhost"}).status_code == 204
        client.cookies.set(COOKIE, held)
        assert client.get("/api/status").status_code == 401


def test_a_cookie_ends_with_its_token(guarded: Service) -> None:
    with client_of(guarded) as client:
        logged_in(client, "admin")
        assert client.get("/api/status").status_code == 200
        guarded.access.tokens = read_tokens(None, {"OFFRAMP_TOKENS": TOKENS.split()[0]})
        assert client.get("/api/status").status_code == 401


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({}, 403),
        ({"Origin": "http://localhost"}, 404),
        ({"Origin": "https://localhost"}, 404),  # behind a proxy that speaks TLS
        ({"Origin": "http://localhost:81"}, 403),
        ({"Origin": "http://evil.example"}, 403),
        ({"Origin": "http://localhost.evil.example"}, 403),
        ({"Origin": "null"}, 403),
    ],
)
def test_with_a_cookie_only_our_own_pages_change_things(
    guarded: Service, headers: dict[str, str], status: int
) -> None:
    with client_of(guarded) as client:
        logged_in(client, "admin")
        assert client.delete("/api/cameras/nobody", headers=headers).status_code == status
        with_token = {**headers, "Authorization": f"Bearer {SECRETS['admin']}"}
        assert client.delete("/api/cameras/nobody", headers=with_token).status_code == 404


def test_a_socket_is_opened_by_our_own_pages_alone(guarded: Service) -> None:
    way = next(way for way in WAYS if way.method == "WEBSOCKET")
    with client_of(guarded) as client:
        logged_in(client, "viewer")
        assert knock(client, way, {"Origin": "http://evil.example"}) == 403
        assert knock(client, way, {}) == 403
        assert knock(client, way, {"Origin": "http://localhost"}) == 101


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({}, 404),
        ({"Origin": "http://localhost"}, 404),
        ({"Origin": "http://evil.example"}, 403),
        ({"Sec-Fetch-Site": "cross-site"}, 403),
        ({"Host": "evil.example", "Origin": "http://evil.example"}, 421),
        ({"Host": "127.0.0.1:8080"}, 404),
        ({"Host": "[::1]:8080"}, 404),
        ({"Host": "[::1"}, 421),
    ],
)
def test_without_tokens_no_other_site_gets_in(
    client: TestClient, headers: dict[str, str], status: int
) -> None:
    assert client.delete("/api/cameras/nobody", headers=headers).status_code == status


def test_whoever_guesses_waits(guarded: Service) -> None:
    now = [0.0]
    guarded.access.rate = Rate(clock=lambda: now[0])
    with client_of(guarded) as client:
        assert client.post("/api/login", json={"token": "wrong"}).status_code == 401
        answer = client.post("/api/login", json={"token": SECRETS["admin"]})
        assert answer.status_code == 429
        assert answer.headers["retry-after"] == "1"
        now[0] = 1.0
        assert client.post("/api/login", json={"token": SECRETS["admin"]}).status_code == 200


def test_a_login_that_is_none_is_refused(guarded: Service) -> None:
    with client_of(guarded) as client:
        for body in (b"", b"{", b"[]", b'{"token": 3}', b"3"):
            assert client.post("/api/login", content=body).status_code == 400


def test_a_rate_keeps_all_its_limits() -> None:
    now = [0.0]
    rate = Rate([(1, 1.0), (3, 60.0)], clock=lambda: now[0])
    done = []
    for tick in range(0, 1300):
        now[0] = tick / 10
        if rate.attempt("a") == 0:
            done.append(now[0])
    assert done == [0.0, 1.0, 2.0, 60.0, 61.0, 62.0, 120.0, 121.0, 122.0]
    assert rate.attempt("b") == 0


def test_a_login_lasts_its_time() -> None:
    now = [0.0]
    logins = Logins(clock=lambda: now[0])
    cookie = logins.begin(b"digest")
    assert logins.digest(cookie) == b"digest"
    now[0] = LASTS_S - 1
    assert logins.digest(cookie) == b"digest"
    now[0] = LASTS_S
    assert logins.digest(cookie) is None
    assert logins.digest("") is None


def test_access_without_tokens_is_the_owners() -> None:
    assert not Access(read_tokens(None, {})).tokens
