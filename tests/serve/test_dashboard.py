"""The dashboard in a browser: what it shows of a server that runs, and what one can do with it."""

from itertools import count

from offramp.core.bundle import Bundle
from offramp.data.images import Array
from offramp.serve.rate import Rate
from offramp.serve.service import Service
from offramp.serve.tokens import read_tokens
from tests.serve.browser import Page, needs_browser
from tests.serve.conftest import SECRETS, TOKENS, Stage, live
from tests.serve.dashboard import eventually, running, states, tile, watching


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
