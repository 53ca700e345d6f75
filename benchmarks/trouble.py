"""What happens to a server of cameras in a bad week, made to happen every minute."""

import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx

sys.path.append(str(Path(__file__).resolve().parents[1]))

from tests.video.farm import Farm
from tests.video.proxy import Proxy

APART_S = 25.0
LASTS_S = 5.0
RUDE_EVERY_S = 2.0


@contextmanager
def trouble(farm: Farm, proxy: Proxy, address: str, camera: str) -> Iterator[None]:
    """Let cameras hang, bytes be spoilt, and clients vanish, until the end of `with`.

    Args:
        farm: hangs for a while, now and then.
        proxy: spoils bytes for a while, in between.
        address: of the server whose clients vanish in the middle of a stream.
        camera: whose stream.
    """
    over = threading.Event()

    def faults() -> None:
        while not over.wait(APART_S):
            farm.freeze()
            over.wait(LASTS_S)
            farm.thaw()
            if over.wait(APART_S):
                return
            proxy.set("flip")
            over.wait(LASTS_S)
            proxy.set("clean")

    def rudeness() -> None:
        while not over.wait(RUDE_EVERY_S):
            url = f"{address}/api/cameras/{camera}/overlay"
            try:
                with httpx.stream("GET", url, timeout=10) as pictures:
                    next(pictures.iter_raw(), None)  # and away, in the middle of the next
            except httpx.HTTPError as error:
                print(f"a client failed: {error!r}")

    threads = [threading.Thread(target=work) for work in (faults, rudeness)]
    for thread in threads:
        thread.start()
    try:
        yield
    finally:
        over.set()
        for thread in threads:
            thread.join()
