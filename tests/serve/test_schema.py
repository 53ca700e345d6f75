"""What the API says of itself: requests made from it, sound and odd ones; none is a 5xx."""

from collections.abc import Iterator
from typing import Any

import pytest
import schemathesis
from fastapi import FastAPI
from hypothesis import HealthCheck, given, settings
from schemathesis import GenerationMode

from offramp.core.bundle import Bundle
from offramp.serve.configuration import read_configuration
from offramp.serve.routes import WAYS, Way, add_ways
from tests.serve.conftest import Stage, TestClient, client_of, serve

ENDLESS = ("/api/events", "WEBSOCKET")
ASKED = [way for way in WAYS if way.path not in ENDLESS and way.method not in ENDLESS]
EXAMPLES = 6


@pytest.fixture(scope="module")
def schema() -> Any:
    app = FastAPI(title="offramp", docs_url=None, redoc_url=None)
    add_ways(app)
    return schemathesis.openapi.from_dict(app.openapi())


@pytest.fixture(scope="module")
def server(bundle: Bundle) -> Iterator[TestClient]:
    given = {"bundle": bundle.folder, "name": "tiny", "allow": ["192.0.2.0/24"]}
    with client_of(serve(read_configuration(None, given), bundle, Stage())) as client:
        yield client


@pytest.mark.parametrize("mode", [GenerationMode.POSITIVE, GenerationMode.NEGATIVE])
@pytest.mark.parametrize("way", ASKED, ids=lambda way: f"{way.method} {way.path}")
def test_no_request_is_too_odd(
    server: TestClient, schema: Any, way: Way, mode: GenerationMode
) -> None:
    operation = schema[way.path][way.method]
    if mode is GenerationMode.NEGATIVE and not (operation.body or operation.query):
        return  # nothing that could be wrong about it

    @settings(
        max_examples=EXAMPLES,
        deadline=None,
        database=None,
        derandomize=True,
        suppress_health_check=list(HealthCheck),
    )
    @given(case=operation.as_strategy(generation_mode=mode))
    def check(case: Any) -> None:
        answer = sent(server, case)
        assert answer.status_code < 500, answer.text
        assert str(answer.status_code) in operation.definition.raw["responses"]
        if answer.status_code >= 400:
            assert set(answer.json()) == {"error"}

    check()


def sent(client: TestClient, case: Any) -> Any:
    """Send a case as it is, in this process."""
    given = case.as_transport_kwargs(base_url="http://localhost")
    data = given.pop("data", None)
    key = "content" if isinstance(data, bytes | str) else "data"
    wanted = {"method", "url", "headers", "params", "json", "files"}
    kept = {name: value for name, value in given.items() if name in wanted and value is not None}
    if data is not None:
        kept[key] = data
    client.cookies.clear()
    return client.request(**kept)
