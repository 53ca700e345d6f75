"""Events: slow listeners lose the oldest, waiting ones are woken at the end."""

import itertools
from concurrent.futures import ThreadPoolExecutor

from offramp.video.events import MOST_KEPT, Board, Event, Subscription

WAIT_S = 20.0


def test_a_slow_listener_loses_the_oldest_events() -> None:
    board = Board()
    with board.subscribe() as listener:
        for number in range(MOST_KEPT + 3):
            board.publish(Event("answer", "hall", {"number": number}))
        assert listener.missed == 3
        first = listener.get(0)
        assert first is not None
        assert first.payload["number"] == 3
    assert not board.heard
    assert len(list(listener)) == MOST_KEPT - 1


def test_a_listener_that_waits_is_woken_by_the_end() -> None:
    board = Board()
    listener: Subscription = board.subscribe()
    with ThreadPoolExecutor(1) as pool:
        heard = pool.submit(lambda: list(itertools.islice(listener, 5)))
        board.publish(Event("alarm", "", {}))
        board.close()
        assert len(heard.result(WAIT_S)) == 1
    assert listener.closed
    assert board.subscribe().closed
