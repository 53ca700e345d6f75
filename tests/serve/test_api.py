"""The API's answers: pictures, cameras, status, errors."""

import io
import time

import numpy as np
import pytest
from PIL import Image

from offramp.core.bundle import Bundle
from offramp.data.colour import overlay
from offramp.data.images import Array
from offramp.runtime.session import Session
from offramp.serve.service import Service
from offramp.video.answer import Overloaded, TooLate, Unanswered
from tests.serve.conftest import Stage, TestClient, client_of

CAMERA = {"name": "line1", "address": "rtsp://user:hunter22@192.0.2.7/stream"}


def png(image: Array) -> bytes:
    file = io.BytesIO()
    Image.fromarray(image).save(file, "PNG")
    return file.getvalue()


def decoded(content: bytes) -> Image.Image:
    return Image.open(io.BytesIO(content))


@pytest.fixture(scope="module")
def session(bundle: Bundle) -> Session:
    return Session(bundle, threads=1)


def test_a_picture_comes_back_as_the_session_segments_it(
    client: TestClient, session: Session, frames: list[Array]
) -> None:
    for frame in frames[:4]:
        expected = session.segment(frame)
        answer = client.post("/api/segment", content=png(frame))
        assert answer.status_code == 200, answer.text
        assert answer.headers["x-offramp-point"] == expected.point
        mask = decoded(answer.content)
        assert mask.mode == "P"
        assert np.array_equal(np.asarray(mask), expected.labels)
        colours = np.asarray(mask.convert("RGB"))
        palette = np.array(session.bundle.manifest.model.palette)
        assert np.array_equal(colours, palette[expected.labels])


def test_a_form_gives_the_same_as_a_body(
    client: TestClient, session: Session, frames: list[Array]
) -> None:
    files = {"file": ("a.png", png(frames[0]), "image/png")}
    answer = client.post("/api/segment?format=json", files=files)
    told = answer.json()
    expected = session.segment(frames[0])
    assert told["exit"] == expected.exit
    assert told["size"] == list(frames[0].shape[:2])
    assert [tuple(scores) for scores in told["scores"]] == list(expected.scores)
    counted = {c["name"]: c["pixels"] for c in told["classes"]}
    names = session.bundle.manifest.model.names
    assert counted == {n: int((expected.labels == k).sum()) for k, n in enumerate(names)}
    assert sum(c["share"] for c in told["classes"]) == pytest.approx(1)


def test_an_overlay_and_a_chosen_exit(
    client: TestClient, session: Session, frames: list[Array]
) -> None:
    answer = client.post("/api/segment?format=overlay&exit=0", content=png(frames[0]))
    assert answer.headers["content-type"] == "image/jpeg"
    assert answer.headers["x-offramp-exit"] == "0"
    *_, first = [next(session.refine(frames[0]))]
    painted = overlay(frames[0], first.labels, session.bundle.manifest.model.palette)
    got = np.asarray(decoded(answer.content), dtype=int)
    assert np.abs(got - painted).mean() < 12  # JPEG
    assert client.post("/api/segment?exit=9", content=png(frames[0])).status_code == 400


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"", "no body"),
        (b"nonsense", "not an image"),
        (b"\x89PNG\r\n\x1a\n" + b"\0" * 40, "not an image"),
        (b"GIF89a\1\0\1\0\0\0\0;", "not an image"),
    ],
)
def test_what_is_no_picture_is_refused(client: TestClient, content: bytes, said: str) -> None:
    answer = client.post("/api/segment", content=content)
    assert answer.status_code == 400
    assert said in answer.json()["error"]


def test_a_picture_cut_off_is_refused(client: TestClient, frames: list[Array]) -> None:
    answer = client.post("/api/segment", content=png(frames[0])[:-400])
    assert answer.status_code == 400
    assert "cannot be decoded" in answer.json()["error"]


@pytest.mark.parametrize("name", ["form", "raw"])
def test_a_damaged_form_is_refused(client: TestClient, name: str) -> None:
    headers = {
        "content-type": "multipart/form-data; boundary=x"
        if name == "form"
        else "multipart/form-data"
    }
    for body in (b"--x\r\nnonsense", b"\xff\xfe", b"--x\r\n\r\n\r\n--x--\r\n"):
        answer = client.post("/api/segment", content=body, headers=headers)
        assert answer.status_code == 400, answer.text


@pytest.mark.parametrize(
    ("error", "status", "retry"),
    [
        (Overloaded(2.3), 429, "3"),
        (TooLate("the deadline passed"), 504, None),
        (Unanswered("given up"), 503, "1"),
        (RuntimeError("secret details"), 500, None),
    ],
)
def test_what_goes_wrong_has_a_status(
    service: Service,
    frames: list[Array],
    monkeypatch: pytest.MonkeyPatch,
    error: Exception,
    status: int,
    retry: str | None,
) -> None:
    def fails(*_: object, **__: object) -> None:
        raise error

    monkeypatch.setattr(service.backend, "segment", fails)
    with client_of(service) as client:
        answer = client.post("/api/segment", content=png(frames[0]))
    assert answer.status_code == status
    assert answer.headers.get("retry-after") == retry
    assert "secret" not in answer.text
    assert service.images.taken == 0


def test_more_images_at_a_time_than_allowed_are_refused(
    service: Service, client: TestClient, frames: list[Array]
) -> None:
    with service.images.one(), service.images.one(), service.images.one(), service.images.one():
        answer = client.post("/api/segment", content=png(frames[0]))
    assert answer.status_code == 429
    assert int(answer.headers["retry-after"]) >= 1
    assert client.post("/api/segment", content=png(frames[0])).status_code == 200


def test_a_camera_comes_rests_is_looked_at_and_goes(
    client: TestClient, stage: Stage, session: Session, frames: list[Array]
) -> None:
    answer = client.post("/api/cameras", json=CAMERA)
    assert answer.status_code == 201, answer.text
    assert answer.json()["spec"]["address"] == "rtsp://user:***@192.0.2.7/stream"
    assert client.post("/api/cameras", json=CAMERA).status_code == 409
    assert client.get("/api/cameras/line1/snapshot").status_code == 404
    stage.cameras["line1"].show(frames[0], time.perf_counter())
    expected = session.segment(frames[0])
    assert _until(client, "/api/cameras/line1/snapshot?view=mask").headers["x-offramp-point"]
    mask = client.get("/api/cameras/line1/snapshot?view=mask")
    assert np.array_equal(np.asarray(decoded(mask.content)), expected.labels)
    image = client.get("/api/cameras/line1/snapshot?format=png")
    assert np.array_equal(np.asarray(decoded(image.content)), frames[0])
    painted = client.get("/api/cameras/line1/snapshot?view=overlay")
    assert decoded(painted.content).format == "JPEG"
    assert client.post("/api/cameras/line1/pause").json()["status"]["state"] == "paused"
    assert client.post("/api/cameras/line1/resume").json()["status"]["state"] == "running"
    assert client.post("/api/cameras/line1/reopen").json()["floor"] == 0
    assert client.post("/api/cameras/line2/reopen").status_code == 404
    assert 'offramp_first_exit{camera="line1"} 0.0' in client.get("/metrics").text
    (told,) = client.get("/api/cameras").json()
    assert told["counts"]["answered"] == 1
    assert told["status"]["counters"]["decoded"] == 1
    assert client.delete("/api/cameras/line1").status_code == 204
    assert stage.cameras["line1"].stopped
    assert client.get("/api/cameras/line1").status_code == 404
    assert client.delete("/api/cameras/line1").status_code == 404


@pytest.mark.parametrize(
    "address",
    [
        "/etc/passwd",
        "file:///etc/passwd",
        "synthetic:64x48@5",
        "/dev/video0",
        "rtsp://user:hunter22@127.0.0.1/x",
        "rtsp://user:hunter22@169.254.169.254/x",
        "rtsp://user:hunter22@198.51.100.1/x",
        "rtsp://user:hunter22@192.0.2.1:22/x",
        "gopher://user:hunter22@192.0.2.1/x",
        "rtsp://user:hunter22@[::ffff:127.0.0.1]/x",
    ],
)
def test_addresses_that_come_over_http_keep_to_the_list(client: TestClient, address: str) -> None:
    answer = client.post("/api/cameras", json={"name": "a", "address": address})
    assert answer.status_code in (400, 404), answer.text
    assert "hunter22" not in answer.text
    assert client.get("/api/cameras").json() == []


def test_what_is_no_camera_is_refused_without_its_password(client: TestClient) -> None:
    for body in (
        {**CAMERA, "name": "../x"},
        {**CAMERA, "weight": -1},
        {**CAMERA, "colour": "red"},
        {"address": CAMERA["address"]},
        [CAMERA],
    ):
        answer = client.post("/api/cameras", json=body)
        assert answer.status_code == 400
        assert "hunter22" not in answer.text
    assert client.post("/api/cameras", content=b"{").status_code == 400


def test_the_status_says_what_is_served(client: TestClient, bundle: Bundle) -> None:
    told = client.get("/api/status").json()
    assert told["points"] == [e.point for e in bundle.manifest.plan.exits]
    assert [c["name"] for c in told["classes"]] == list(bundle.manifest.model.names)
    assert told["ready"] is True
    assert told["statistics"]["requests"]["received"] == 0


def test_health_follows_the_service(service: Service, client: TestClient) -> None:
    for path in ("/health/ready", "/v2/health/ready"):
        assert client.get(path).status_code == 200
    service.close_streams()
    for path in ("/health/ready", "/v2/health/ready"):
        assert client.get(path).status_code == 503
    for path in ("/health/live", "/v2/health/live"):
        assert client.get(path).status_code == 200


def test_the_pages_load_nothing_from_elsewhere(client: TestClient) -> None:
    for path in ("/", "/docs"):
        page = client.get(path)
        assert page.status_code == 200
        assert "http://" not in page.text
        assert "https://" not in page.text
        policy = page.headers["content-security-policy"]
        assert "default-src 'none'" in policy
        assert "unsafe" not in policy
    assert "/api/segment" in client.get("/docs").text
    assert client.get("/nothing").status_code == 404
    assert client.get("/../pyproject.toml").status_code == 404


def _until(client: TestClient, path: str) -> "httpx.Response":  # noqa: F821
    """Ask until there is an answer: frames are answered by another thread."""
    end = time.monotonic() + 30
    while (answer := client.get(path)).status_code == 404 and time.monotonic() < end:
        time.sleep(0.01)
    assert answer.status_code == 200, answer.text
    return answer
