"""Two replicas in this process, each with its inner server: what one cannot answer, it fetches."""

import re
import time
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass

import numpy as np
import pytest

pytest.importorskip("aiohttp", reason="the extra 'ray' is not installed")

from prometheus_client.parser import text_string_to_metric_families

from offramp.core.bundle import Bundle
from offramp.data.images import Array
from offramp.serve.cluster.coordinator import Coordinator
from offramp.serve.cluster.relay import events
from offramp.serve.cluster.replica import Replica, Seed
from offramp.serve.cluster.table import Settings
from offramp.serve.configuration import Configuration
from offramp.serve.tokens import Tokens, read_tokens
from offramp.video.analytics import Analytics
from offramp.video.events import Event
from tests.serve.cluster import camera
from tests.serve.conftest import SECRETS, TOKENS, Stage, TestClient

KEY = "ab" * 32


@dataclass
class Pair:
    """Two replicas, their cameras' stages and clients, by name."""

    coordinator: Coordinator
    replicas: dict[str, Replica]
    stages: dict[str, Stage]
    clients: dict[str, TestClient]

    def beat(self) -> None:
        for _ in range(3):  # told, done, reported
            for replica in self.replicas.values():
                replica.member.beat()

    def owner(self, name: str) -> str:
        return next(k for k, stage in self.stages.items() if name in stage.cameras)

    def other(self, name: str) -> str:
        return next(k for k in self.replicas if k != self.owner(name))

    def show(self, name: str, image: Array) -> None:
        """Have a camera show an image, and wait for the answer."""
        own = self.replicas[self.owner(name)].inside.backend
        self.stages[self.owner(name)].cameras[name].show(image, time.perf_counter())
        with own.subscribe() as heard:
            while own.latest(name) is None:
                heard.get(0.05)


def pair(stack: ExitStack, bundle: Bundle, configuration: Configuration, tokens: Tokens) -> Pair:
    settings = Settings(tokens, allow=("192.0.2.0/24",))
    coordinator = Coordinator([], settings)
    seed = Seed(configuration, settings, KEY)
    made = Pair(coordinator, {}, {}, {})
    for name in ("one", "two"):
        stage = made.stages[name] = Stage()
        own = Analytics(bundle, workers=1, open_camera=stage.open)
        model = bundle.manifest.model
        replica = Replica(seed, name, "127.0.0.1", coordinator, own, model, own.points)
        made.replicas[name] = replica
        made.clients[name] = stack.enter_context(
            TestClient(replica, base_url="http://localhost", raise_server_exceptions=False)
        )
    coordinator.configure([camera("a"), camera("b")], settings)
    made.beat()
    return made


@pytest.fixture
def both(bundle: Bundle, configuration: Configuration) -> Iterator[Pair]:
    with ExitStack() as stack:
        yield pair(stack, bundle, configuration, Tokens())


@pytest.fixture
def guarded_pair(bundle: Bundle, configuration: Configuration) -> Iterator[Pair]:
    tokens = read_tokens(None, {"OFFRAMP_TOKENS": TOKENS})
    with ExitStack() as stack:
        yield pair(stack, bundle, configuration, tokens)


def test_a_picture_comes_from_the_replica_that_watches(both: Pair, frames: list[Array]) -> None:
    assert {both.owner("a"), both.owner("b")} == {"one", "two"}
    far = both.clients[both.other("a")]
    assert far.get("/api/cameras/a/snapshot").status_code == 404
    both.show("a", frames[0])
    near = both.clients[both.owner("a")]
    path = "/api/cameras/a/snapshot?view=mask&format=png"
    there, here = far.get(path), near.get(path)
    assert there.status_code == here.status_code == 200
    assert there.content == here.content
    assert there.headers["content-type"] == "image/png"
    assert there.headers["x-offramp-point"] == here.headers["x-offramp-point"]
    assert len(there.headers.get_list("date")) <= 1
    assert far.get("/api/cameras/a/snapshot?view=nonsense").status_code == 422
    assert far.get("/api/cameras/nobody/snapshot").status_code == 404


def test_all_cameras_are_told_of_and_changed_anywhere(both: Pair) -> None:
    for name, client in both.clients.items():
        told = {told["spec"]["name"]: told["replica"] for told in client.get("/api/cameras").json()}
        assert told == {"a": both.owner("a"), "b": both.owner("b")}, name
    far = both.clients[both.other("a")]
    assert far.post("/api/cameras/a/pause").status_code == 200
    both.beat()
    told = far.get("/api/cameras/a").json()
    assert (told["replica"], told["status"]["state"]) == (both.owner("a"), "paused")
    assert far.post("/api/cameras/a/reopen").json()["spec"]["name"] == "a"
    spec = {"name": "c", "address": "rtsp://192.0.2.1/x"}
    assert far.post("/api/cameras", json=spec).status_code == 201
    both.beat()
    assert all(client.get("/api/cameras/c").status_code == 200 for client in both.clients.values())
    assert both.clients["one"].post("/api/cameras", json=spec).status_code == 409
    assert far.delete("/api/cameras/c").status_code == 204
    both.beat()
    assert both.clients["one"].get("/api/cameras/c").status_code == 404


def test_metrics_are_those_of_all_replicas(both: Pair, frames: list[Array]) -> None:
    both.show("a", frames[0])
    page = both.clients[both.other("a")].get("/metrics")
    assert page.headers["content-type"].startswith("text/plain; version=0.0.4")
    families = {family.name: family for family in text_string_to_metric_families(page.text)}
    received = {
        (sample.labels["replica"], sample.labels["camera"]): sample.value
        for sample in families["offramp_frames_received"].samples
    }
    assert received[both.owner("a"), "a"] == 1
    assert received[both.owner("b"), "b"] == 0
    assert (both.other("a"), "a") not in received
    assert families["offramp_frames_received"].type == "counter"
    names = [line.split()[2] for line in page.text.splitlines() if line.startswith("# TYPE")]
    assert len(names) == len(set(names))


def test_events_of_all_replicas_are_heard_at_each(both: Pair, frames: list[Array]) -> None:
    listener = both.replicas[both.other("a")].member
    with listener.subscribe() as heard:
        own = both.replicas[both.owner("a")].inside.backend
        assert isinstance(own, Analytics)
        sent = Event("alarm", "a", {"alarm": "test", "reason": "ü"})
        got = None
        for _ in range(600):  # the other side must have subscribed
            own.publish(sent)
            got = heard.get(0.1)
            if got is not None:
                break
        assert got == sent
        near = both.replicas[both.other("a")].inside.backend
        assert isinstance(near, Analytics)
        near.publish(Event("alarm", "b", {}))
        while got != Event("alarm", "b", {}):
            got = heard.get(10)
            assert got is not None


def test_a_replica_that_is_gone_is_told_of_as_such(both: Pair) -> None:
    far = both.clients[both.other("a")]
    member = both.replicas[both.other("a")].member
    assert member._orders is not None
    reports = dict(member._orders.reports)
    gone = reports[both.owner("a")]
    object.__setattr__(gone, "url", "http://127.0.0.1:9")  # nobody listens there
    answer = far.get("/api/cameras/a/snapshot")
    assert answer.status_code == 503
    assert answer.headers["retry-after"]
    assert "does not answer" in answer.json()["error"]
    assert both.other("a") in far.get("/metrics").text


def test_roles_hold_wherever_a_request_ends_up(guarded_pair: Pair) -> None:
    far = guarded_pair.clients[guarded_pair.other("a")]
    for path in ("/api/cameras/a/snapshot", "/metrics", "/api/cameras"):
        assert far.get(path).status_code == 401
        assert far.get(path, headers={"Authorization": "Bearer nonsense"}).status_code == 401
    viewer = {"Authorization": f"Bearer {SECRETS['viewer']}"}
    assert far.get("/api/cameras/a/snapshot", headers=viewer).status_code == 404  # none yet
    assert far.get("/metrics", headers=viewer).status_code == 200
    assert far.post("/api/cameras/a/reopen", headers=viewer).status_code == 403
    # The key by which replicas listen to each other opens no more than that.
    replica = {"Authorization": f"Bearer {KEY}"}
    assert far.delete("/api/cameras/a", headers=replica).status_code == 403


def test_a_login_at_one_replica_holds_at_the_other(guarded_pair: Pair) -> None:
    one, two = guarded_pair.clients.values()
    assert one.post("/api/login", json={"token": SECRETS["viewer"]}).status_code == 200
    two.cookies.update(one.cookies)
    assert two.get("/api/cameras").status_code == 200
    ours = {"Origin": "http://localhost"}
    assert two.post("/api/logout", headers=ours).status_code == 204
    two.cookies.update(one.cookies)
    assert two.get("/api/cameras").status_code == 401


def test_no_other_sites_page_gets_in_by_a_way_of_its_own(both: Pair) -> None:
    far = both.clients[both.other("a")]
    for path in ("/metrics", "/api/cameras/a/snapshot"):
        assert far.get(path, headers={"Host": "evil.example"}).status_code == 421


def test_a_request_is_answered_here(both: Pair, frames: list[Array]) -> None:
    client = both.clients["one"]
    name = client.post("/v2/repository/index").json()[0]["name"]
    tensor = {"name": "frame", "shape": list(frames[0].shape), "datatype": "UINT8"}
    body = {"inputs": [{**tensor, "data": frames[0].ravel().tolist()}]}
    answer = client.post(f"/v2/models/{name}/infer", json=body).json()
    labels = next(out for out in answer["outputs"] if out["name"] == "labels")
    assert np.array(labels["data"]).shape == (frames[0][..., 0].size,)
    both.beat()
    both.beat()
    requests = both.clients["two"].get("/api/status").json()["statistics"]["requests"]
    assert requests["answered"] == 1


def test_events_are_read_as_they_are_written() -> None:
    text = (
        b': events follow\n\nevent: answer\ndata: {"camera":"a","exit":1}\n\n'
        b': nothing new\n\nevent: strange\ndata: {}\n\nevent: level\ndata: {"camera":""}\n\n'
    )
    lines = iter(re.findall(rb"[^\n]*\n", text))
    assert list(events(lines)) == [Event("answer", "a", {"exit": 1}), Event("level", "", {})]
