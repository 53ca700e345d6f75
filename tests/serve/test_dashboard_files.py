"""What the dashboard is made of: its arithmetic, its files, and the pictures it asks for."""

import json
import time
from typing import Any

import httpx
import numpy as np
import pytest

from offramp.data.images import Array
from offramp.serve import app
from offramp.serve.cameras import drawn
from offramp.serve.pictures import decode_picture, shrunk
from offramp.serve.service import Service
from offramp.video.answer import Answer
from tests.serve.browser import Page, needs_browser
from tests.serve.conftest import Stage, live
from tests.serve.dashboard import eventually


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

        words = {"full": "Full", "exit 2": "Up to exit 2", "rate": "Fewer frames"}
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
