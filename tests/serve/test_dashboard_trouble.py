"""The dashboard when something is wrong: no server, no streams, an alarm, nobody who looks."""

from offramp.core.bundle import Bundle
from offramp.serve.configuration import Configuration
from offramp.serve.service import Service
from offramp.video.events import Event
from tests.serve.browser import Page, needs_browser
from tests.serve.conftest import Stage, live, serve
from tests.serve.dashboard import eventually, running, tile, watching


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
