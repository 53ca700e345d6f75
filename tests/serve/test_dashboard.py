"""The dashboard in a browser: what it shows of a server that runs, and what one can do with it."""

import json
import time
from collections.abc import Callable, Iterator
from itertools import count
from typing import Any

import httpx
import numpy as np
import pytest

from offramp.core.bundle import Bundle
from offramp.data.images import Array
from offramp.serve import app
from offramp.serve.cameras import drawn
from offramp.serve.configuration import Configuration, read_configuration
from offramp.serve.pictures import decode_picture, shrunk
from offramp.serve.rate import Rate
from offramp.serve.service import Service
from offramp.serve.tokens import Tokens, read_tokens
from offramp.video.analytics import Analytics
from offramp.video.answer import Answer
from offramp.video.events import Event
from tests.serve.browser import CHROMIUM, Page, browser
from tests.serve.conftest import SECRETS, TOKENS, Stage, live, serve

needs_browser = pytest.mark.skipif(CHROMIUM is None, reason="Chromium is not installed")

CAMERAS = [
    {"name": "hall", "address": "synthetic:96x64@5", "deadline_ms": 5000.0},
    {"name": "gate", "address": "synthetic:64x96@3?seed=1", "max_fps": 2, "deadline_ms": 5000.0},
    {"name": "yard", "address": "nowhere.mp4"},
]


@pytest.fixture(scope="module")
def page(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Page]:
    with browser(tmp_path_factory.mktemp("profile")) as opened:
        yield opened


@pytest.fixture
def fresh(page: Page) -> Page:
    """The page as if it had never been anywhere."""
    page.open("about:blank")
    page.send("Network.clearBrowserCookies")
    page.resize(1280, 900)
    page.darken(False)
    page.complaints.clear()
    return page


def watching(
    bundle: Bundle, tokens: Tokens | None = None, limits: dict[str, int] | None = None
) -> Service:
    """Watch two drawn cameras, and one that is not there."""
    given = {"bundle": bundle.folder, "workers": 1, "cameras": CAMERAS, "limits": limits or {}}
    configuration = read_configuration(None, given)
    analytics = Analytics(bundle, workers=1, shadow=1.0)
    model = bundle.manifest.model
    return Service(configuration, model, analytics.points, analytics, tokens or Tokens())


def tile(name: str) -> str:
    return f".tile[data-name={name}]"


def running(page: Page) -> None:
    """Wait until both drawn cameras have answers and pictures, and the third has given up."""
    for name in ("hall", "gate"):
        page.until(f"document.querySelector('{tile(name)}[data-state=running]')")
        page.until(f"document.querySelector('{tile(name)} [data-slot=picture]').naturalWidth > 0")
        page.until(f"document.querySelector('{tile(name)} [data-slot=p95]').innerText != '–'")
    page.until(f"document.querySelector('{tile('yard')}[data-state=failed]')")


def blank(picture: Array) -> bool:
    return float(picture.std()) < 10


@needs_browser
def test_the_wall_shows_cameras_with_states_and_numbers(fresh: Page, bundle: Bundle) -> None:
    service = watching(bundle)
    with live(service) as server:
        fresh.open(server.address)
        running(fresh)
        told = {watched.spec.name: watched for watched in service.backend.cameras()}
        assert set(told) == {"hall", "gate", "yard"}
        for name in ("hall", "gate"):
            text = fresh.text(tile(name))
            assert name in text
            assert "running" in text
            assert " ms" in text
            fresh.until(
                f"/agrees [0-9.]+ %/.test(document.querySelector('{tile(name)}').innerText)"
            )
            bar = fresh.look(f"document.querySelector('{tile(name)} .shares').title")
            for index, point in enumerate(service.points):
                assert f"exit {index + 1} · {point}" in bar
        assert "Cannot be watched" in fresh.text(tile("yard"))
        assert fresh.text("#summary") == "2 running, 1 failed"
        fresh.until("document.querySelector('#link').innerText === 'live'")
        assert fresh.text("[data-slot=level]") == "Full"
        assert fresh.look("document.querySelectorAll('.rungs i').length") == (
            service.backend.statistics().levels
        )
        assert not blank(fresh.picture())
        fresh.darken()
        assert fresh.picture()[850, 10].max() < 60, "the ground is dark where that is wanted"
        fresh.darken(False)
        assert fresh.picture()[850, 10].min() > 200
        assert fresh.complaints == [], "no errors, and nothing that the security policy forbids"
        fresh.look("document.body.setAttribute('style', 'color: red')")
        assert any("Content Security Policy" in told for told in fresh.complaints)


@needs_browser
def test_a_phone_has_one_column(fresh: Page, bundle: Bundle) -> None:
    fresh.resize(390, 844, phone=True)
    with live(watching(bundle)) as server:
        fresh.open(server.address)
        running(fresh)
        assert fresh.look("document.documentElement.scrollWidth") == 390
        lefts = "[...document.querySelectorAll('.tile')].map(t => t.getBoundingClientRect().left)"
        assert len(set(fresh.look(lefts))) == 1
        assert not blank(fresh.picture())
        fresh.click(f"{tile('hall')} a")
        fresh.until("document.getElementById('camera').open")
        assert fresh.look("document.getElementById('camera').scrollWidth") <= 390
    assert fresh.complaints == []


@needs_browser
def test_a_camera_is_opened_paused_and_closed_by_keys(fresh: Page, bundle: Bundle) -> None:
    service = watching(bundle)
    with live(service) as server:
        fresh.open(server.address)
        running(fresh)
        focused = "document.activeElement.closest('.tile')?.dataset.name"
        for _ in range(10):
            fresh.press("Tab")
            if fresh.look(focused) == "gate":
                break
        fresh.press("Enter", "\r")
        fresh.until("document.getElementById('camera').open")
        assert fresh.text("#camera-name") == "gate"
        assert fresh.look("location.hash") == "#camera=gate"
        fresh.until("document.querySelector('#camera [data-slot=picture]').naturalWidth === 64")
        assert service.streams.taken == 2, "events, and the pictures of the one that is open"
        for chart in ("exits", "latency", "area"):
            fresh.until(f"document.querySelector('#camera svg[data-slot={chart}] path[d^=M]')")
        areas = fresh.text("#camera [data-slot=arealegend]")
        assert all(name in areas for name in bundle.manifest.model.names)
        assert not blank(fresh.picture())

        fresh.click("#camera [data-slot=pause]")
        fresh.until("document.querySelector('#camera [data-slot=pause]').innerText === 'Resume'")
        assert dict(states(service))["gate"] == "paused"
        fresh.until("document.querySelector('#camera .events li').innerText.includes('paused')")
        fresh.click("#camera [data-slot=pause]")
        fresh.until("document.querySelector('#camera').dataset.state === 'running'")

        fresh.press("Escape")
        fresh.until("!document.getElementById('camera').open")
        assert fresh.look("location.hash") == ""
        assert fresh.look(focused) == "gate", "the focus is back where it was"
        eventually(lambda: service.streams.taken == 1)
    assert fresh.complaints == []


@needs_browser
def test_cameras_are_added_and_removed(fresh: Page, service: Service, stage: Stage) -> None:
    with live(service) as server:
        fresh.open(server.address)
        fresh.until("document.querySelector('#none:not([hidden])')")
        fresh.click("#add")
        fresh.look("document.querySelector('#adding [name=name]').focus()")
        fresh.type("dock")
        fresh.look("document.querySelector('#adding [name=address]').focus()")
        fresh.type("rtsp://user:pw@10.9.9.9/x")
        fresh.click("#adding .strong")
        fresh.until("document.querySelector('#adding .fault').innerText")
        assert "pw" not in fresh.text("#adding .fault")
        assert [c for c in fresh.complaints if "400" not in c] == []
        fresh.look("document.querySelector('#adding [name=address]').value = ''")
        fresh.type("rtsp://user:pw@192.0.2.7/x")
        fresh.click("#adding .strong")
        fresh.until(f"document.querySelector('{tile('dock')}')")
        assert not fresh.look("document.getElementById('adding').open")
        spec = stage.cameras["dock"].spec
        assert (spec.address.secret, spec.weight) == ("rtsp://user:pw@192.0.2.7/x", 1.0)
        assert (spec.deadline_ms, spec.max_fps) == (200.0, None)

        fresh.click(f"{tile('dock')} a")
        fresh.until("document.getElementById('camera').open")
        fresh.click("#camera [data-slot=remove]")  # and "yes" to the question
        fresh.until("document.querySelector('#none:not([hidden])')")
        assert states(service) == []
        assert stage.cameras["dock"].stopped


@needs_browser
def test_who_has_no_token_sees_nothing_and_a_viewer_cannot_act(fresh: Page, bundle: Bundle) -> None:
    service = watching(bundle, read_tokens(None, {"OFFRAMP_TOKENS": TOKENS}))
    service.access.rate = Rate(clock=count(step=10).__next__)  # attempts are far apart
    with live(service) as server:
        fresh.open(server.address)
        fresh.until("document.querySelector('#login:not([hidden])')")
        assert fresh.look("document.activeElement.id") == "token"
        assert not fresh.look("document.querySelector('.tile')")
        assert fresh.complaints == []
        fresh.type("not-the-secret-at-all")
        fresh.press("Enter", "\r")
        fresh.until("document.querySelector('#login .fault').innerText")
        assert "not known" in fresh.text("#login .fault")
        assert [c for c in fresh.complaints if "401" not in c] == []
        fresh.complaints.clear()

        fresh.look("document.getElementById('token').select()")
        fresh.type(SECRETS["viewer"])
        fresh.press("Enter", "\r")
        running(fresh)
        assert fresh.text("#who") == "viewers (viewer)"
        assert fresh.look("document.cookie") == ""
        assert fresh.look("document.getElementById('add').hidden")
        fresh.click(f"{tile('hall')} a")
        fresh.until("document.getElementById('camera').open")
        for action in ("pause", "remove", "reopen"):
            assert fresh.look(f"document.querySelector('#camera [data-slot={action}]').hidden")
        fresh.press("Escape")
        fresh.click("#logout")
        fresh.until("document.querySelector('#login:not([hidden])')")
        assert not fresh.look("document.querySelector('.tile')")


@needs_browser
def test_it_says_when_the_server_is_gone_and_when_it_is_back(
    fresh: Page, bundle: Bundle, stage: Stage, configuration: Configuration
) -> None:
    with live(watching(bundle)) as server:
        address = server.address
        fresh.open(address)
        running(fresh)
        assert fresh.complaints == []
    fresh.until("document.querySelector('#gone:not([hidden])')")
    assert "no answer from the server" in fresh.text("#gone")
    assert fresh.text("#link") == "server gone"
    assert fresh.look("document.querySelectorAll('.tile').length") == 3, "what was last known"
    again = serve(configuration, bundle, stage)
    with live(again, int(address.rsplit(":", 1)[1])):
        fresh.until("document.querySelector('#gone').hidden")
        fresh.until("document.querySelector('#link').innerText === 'live'")
        fresh.until("!document.querySelector('.tile')")


@needs_browser
def test_without_a_place_for_streams_it_asks_instead(fresh: Page, bundle: Bundle) -> None:
    with live(watching(bundle, limits={"streams": 0})) as server:
        fresh.open(server.address)
        running(fresh)
        fresh.until("document.querySelector('#link').innerText === 'no events'")
        fresh.until(f"document.querySelector('{tile('hall')} .exit').innerText.startsWith('exit')")
        fresh.click(f"{tile('hall')} a")
        fresh.until("document.querySelector('#camera [data-slot=picture]').naturalWidth === 96")
        fresh.until("document.querySelector('#camera svg[data-slot=exits] path[d^=M]')")
    assert [told for told in fresh.complaints if "429" not in told] == []


@needs_browser
def test_a_page_in_the_background_asks_for_nothing(fresh: Page, bundle: Bundle) -> None:
    service = watching(bundle)
    with live(service) as server:
        fresh.open(f"{server.address}/#camera=hall")
        fresh.until("document.getElementById('camera').open")
        eventually(lambda: service.streams.taken == 2)
        turn = "Object.defineProperty(document, 'hidden', {{ value: {}, configurable: true }});"
        turn += "document.dispatchEvent(new Event('visibilitychange'))"
        fresh.look(turn.format("true"))
        eventually(lambda: service.streams.taken == 0)
        fresh.look(turn.format("false"))
        eventually(lambda: service.streams.taken == 2)
        fresh.until("document.querySelector('#link').innerText === 'live'")
    assert fresh.complaints == []


@needs_browser
def test_an_alarm_is_told_until_it_is_dismissed(fresh: Page, service: Service) -> None:
    with live(service) as server:
        fresh.open(server.address)
        fresh.until("document.querySelector('#link').innerText === 'live'")
        payload = {"alarm": "drift", "floor": 1, "disagreement": 0.0321}
        service.backend.publish(Event("alarm", "hall", payload))  # type: ignore[attr-defined]
        fresh.until("document.querySelector('#alarm:not([hidden])')")
        text = fresh.text("#alarm")
        assert "hall: drift" in text
        assert "3.2 %" in text
        assert "before exit 2" in text
        fresh.click("#alarm button")
        assert fresh.look("document.getElementById('alarm').hidden")


@needs_browser
def test_the_arithmetic_of_the_page(fresh: Page, service: Service) -> None:
    rng = np.random.default_rng(0)
    values = rng.gamma(2, 30, 57)
    with live(service) as server:
        fresh.open(server.address)

        def run(module: str, expression: str, **given: Any) -> Any:
            names = ", ".join(given)
            body = f"import('/{module}.js').then(m => (({names}) => {expression})"
            return fresh.look(f"{body}({', '.join(map(json.dumps, given.values()))}))")

        for q in (0.0, 0.5, 0.95, 1.0):
            got = run("history", "m.quantile(v, q)", v=values.tolist(), q=q)
            assert got == pytest.approx(np.quantile(values, q))
        assert run("history", "m.quantile([], 0.5)") is None

        table = rng.uniform(0, 5, (6, 3))  # samples × series
        samples = [{"at": k, "v": row.tolist()} for k, row in enumerate(table)]
        levels = "m.levels(s, [0, 1, 2].map(k => ({ of: x => x.v[k] })), true)"
        got = np.array(run("chart", levels, s=samples))  # series × samples × (low, high)
        ends = np.cumsum(table, axis=1).T
        np.testing.assert_allclose(got[..., 1], ends)
        np.testing.assert_allclose(got[..., 0], ends - table.T, atol=1e-12)
        gaps = [{"at": at} for at in (0, 1, 2, 9, 10, 11)]
        runs = run("chart", "m.runs(s, [1, null, 1, 1, 1, null])", s=gaps)
        assert runs == [[0, 2], [3, 4]]
        assert [run("chart", "m.ceiling(v)", v=v) for v in (0, 1, 3, 5.9, 11, 99, 100)] == [
            1, 1, 4, 6, 20, 100, 100,
        ]  # fmt: skip

        steps = "[[0, [5, 5]], [2, [9, 6]], [3, [1, 0]], [4, [2, 0]]]"
        walk = f"{{ const h = new m.History(); {steps}.forEach(([a, e]) => h.sample(a, e));"
        rates = run("history", f"{walk} return h.samples.map(s => [s.at, s.rates]); }}")
        assert rates == [[2, [2.0, 0.5]], [4, [1.0, 0.0]]], "counters that fall began anew"

        words = {"full": "Full", "exit 2": "Up to exit 2", "rate 1/4": "1/4 of the frames"}
        for name, title in {**words, "shed": "Overloaded"}.items():
            assert run("words", "m.level(n)[0]", n=name) == title
        times = {59.9: "59 s", 200: "3 min 20 s", 7500: "2 h 5 min", 273600: "3 d 4 h"}
        assert {s: run("words", "m.duration(s)", s=s) for s in times} == times
        shares = {0.0: "0.0 %", 0.99996: "99.9 %", 1.0: "100.0 %", 0.1234: "12.3 %"}
        assert {s: run("words", "m.percent(s, 1)", s=s) for s in shares} == shares
        counts = {0: "0", 9999: "9999", 12345: "12.3k", 123456: "123k", 4560000: "4.56M"}
        assert {c: run("words", "m.count(c)", c=c) for c in counts} == counts
    assert fresh.complaints == []


def test_the_files_need_nothing_from_elsewhere() -> None:
    for file in app.DASHBOARD.iterdir():
        text = file.read_text(encoding="utf-8")
        outside = text.replace("http://www.w3.org/2000/svg", "").replace("rtsp://user", "")
        assert "//" not in "".join(
            line for line in outside.splitlines() if "http" in line or "src=" in line
        ), file.name
        assert " style=" not in text, "the policy forbids styles within the page"
        assert "innerHTML" not in text, "texts that cameras send are never markup"


def test_a_small_picture_is_the_large_one_by_blocks(service: Service) -> None:
    rng = np.random.default_rng(1)
    image = rng.integers(0, 256, (60, 90, 3), dtype=np.uint8)
    labels = rng.integers(0, 3, (60, 90), dtype=np.uint8)
    answer = Answer("hall", 1, image, labels, 0, "stem", (), 0.0, 1.0)
    small, thinned = shrunk(answer, 25)  # 90 / 25: blocks of 3
    means = image.reshape(20, 3, 30, 3, 3).mean(axis=(1, 3))
    assert np.abs(small - means).max() <= 0.56  # nine values have no half to round
    np.testing.assert_array_equal(thinned, labels[::3, ::3])
    for width in (None, 46, 90, 5000):
        assert shrunk(answer, width)[0] is image
    odd = Answer("hall", 1, image[:59, :89], labels[:59, :89], 0, "stem", (), 0.0, 1.0)
    small, thinned = shrunk(odd, 40)
    assert small.shape == (30, 45, 3)
    assert thinned.shape == (30, 45)
    content, kind = drawn(service, answer, "overlay", "JPEG", 30)
    assert kind == "JPEG"
    assert decode_picture(content, 10_000).shape == (20, 30, 3)


def test_pictures_are_shrunk_where_that_is_asked(
    service: Service, stage: Stage, frames: list[Array]
) -> None:
    height, width = frames[0].shape[:2]
    with live(service) as server:
        camera = {"name": "hall", "address": "rtsp://192.0.2.9/x"}
        httpx.post(f"{server.address}/api/cameras", json=camera, timeout=60).raise_for_status()
        stage.cameras["hall"].show(frames[0], time.perf_counter())
        eventually(lambda: service.backend.latest("hall") is not None)
        hall = f"{server.address}/api/cameras/hall"
        for view in ("image", "overlay", "mask"):
            small = httpx.get(f"{hall}/snapshot?view={view}&width={width // 2}", timeout=60)
            assert decode_picture(small.content, 100_000).shape == (height // 2, width // 2, 3)
        assert httpx.get(f"{hall}/snapshot?width=0", timeout=60).status_code == 422
        seen = b""
        with httpx.stream("GET", f"{hall}/overlay?width={width // 2}", timeout=60) as pieces:
            for piece in pieces.iter_raw():
                seen += piece
                if seen.endswith(b"\xff\xd9\r\n"):
                    break
        picture = decode_picture(seen.split(b"\r\n\r\n", 1)[1], 100_000)
        assert picture.shape == (height // 2, width // 2, 3)


def eventually(done: Callable[[], bool]) -> None:
    end = time.monotonic() + 60
    while not done():
        assert time.monotonic() < end
        time.sleep(0.01)


def states(service: Service) -> list[tuple[str, str]]:
    return [(w.spec.name, str(w.status.state)) for w in service.backend.cameras()]
