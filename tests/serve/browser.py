"""A headless Chromium over its DevTools protocol: opens pages, looks, presses, takes pictures."""

import base64
import io
import itertools
import json
import os
import shutil
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest
import websockets.sync.client
from PIL import Image

from offramp.data.images import Array

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")
FLAGS = (
    "--headless", "--disable-gpu", "--no-first-run", "--disable-background-networking",
    "--disable-component-update", "--hide-scrollbars", "--remote-debugging-port=0",
)  # fmt: skip
WAIT_S = 60.0

needs_browser = pytest.mark.skipif(CHROMIUM is None, reason="Chromium is not installed")


class Page:
    """A page of the browser.

    Attributes:
        complaints: errors of its console, its scripts, its requests and its security policy.
    """

    def __init__(self, connection: websockets.sync.client.ClientConnection) -> None:
        self.complaints: list[str] = []
        self._connection = connection
        self._numbers = itertools.count(1)
        for domain in ("Page", "Runtime", "Log"):
            self.send(f"{domain}.enable")

    def send(self, method: str, **parameters: Any) -> dict[str, Any]:
        number = next(self._numbers)
        self._connection.send(json.dumps({"id": number, "method": method, "params": parameters}))
        while True:
            told = json.loads(self._connection.recv(timeout=WAIT_S))
            if told.get("id") == number:
                assert "error" not in told, told["error"]
                result: dict[str, Any] = told["result"]
                return result
            self._note(told.get("method", ""), told.get("params", {}))

    def resize(self, width: int, height: int, phone: bool = False) -> None:
        size = {"width": width, "height": height, "deviceScaleFactor": 1}
        self.send("Emulation.setDeviceMetricsOverride", **size, mobile=phone)

    def darken(self, dark: bool = True) -> None:
        scheme = {"name": "prefers-color-scheme", "value": "dark" if dark else "light"}
        self.send("Emulation.setEmulatedMedia", features=[scheme])

    def open(self, address: str) -> None:
        self.send("Page.navigate", url=address)
        self.until("document.readyState === 'complete'")

    def look(self, expression: str) -> Any:
        """Evaluate an expression in the page."""
        answer = self.send(
            "Runtime.evaluate", expression=expression, returnByValue=True, awaitPromise=True
        )
        assert "exceptionDetails" not in answer, answer["exceptionDetails"]
        return answer["result"].get("value")

    def text(self, selector: str) -> str:
        """Give the text of the first element, as it is shown."""
        return str(self.look(f"document.querySelector({selector!r})?.innerText ?? ''"))

    def until(self, expression: str) -> None:
        """Wait until an expression is true in the page."""
        end = time.monotonic() + WAIT_S
        while not self.look(f"!!({expression})"):
            assert time.monotonic() < end, (
                expression, self.complaints, self.look("document.body.innerText"),
            )  # fmt: skip
            time.sleep(0.05)

    def click(self, selector: str) -> None:
        self.look(f"document.querySelector({selector!r}).click()")

    def press(self, key: str, text: str = "") -> None:
        codes = {"Tab": 9, "Enter": 13, "Escape": 27}
        common = {"key": key, "code": key, "windowsVirtualKeyCode": codes[key]}
        self.send("Input.dispatchKeyEvent", type="keyDown", text=text, **common)
        self.send("Input.dispatchKeyEvent", type="keyUp", **common)

    def type(self, text: str) -> None:
        self.send("Input.insertText", text=text)

    def picture(self) -> Array:
        """Take a picture of what is seen; uint8 RGB H×W×3."""
        content = self.send("Page.captureScreenshot", format="png")["data"]
        return np.asarray(Image.open(io.BytesIO(base64.b64decode(content))).convert("RGB"))

    def _note(self, kind: str, told: dict[str, Any]) -> None:
        if kind == "Runtime.exceptionThrown":
            self.complaints.append(json.dumps(told["exceptionDetails"]))
        elif kind == "Runtime.consoleAPICalled" and told["type"] in ("error", "warning", "assert"):
            self.complaints.append(json.dumps(told["args"]))
        elif kind == "Log.entryAdded" and told["entry"]["level"] in ("error", "warning"):
            entry = told["entry"]
            self.complaints.append(f"{entry['source']}: {entry['text']} {entry.get('url', '')}")
        elif kind == "Page.javascriptDialogOpening":  # a question: yes
            number = next(self._numbers)
            call = {"id": number, "method": "Page.handleJavaScriptDialog"}
            self._connection.send(json.dumps({**call, "params": {"accept": True}}))


@contextmanager
def browser(folder: Path) -> Iterator[Page]:
    """Start a browser with a profile of its own in a folder; yields its page."""
    assert CHROMIUM is not None
    root = ["--no-sandbox"] if os.geteuid() == 0 else []
    words = [CHROMIUM, *FLAGS, *root, f"--user-data-dir={folder}", "about:blank"]
    with subprocess.Popen(words, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as running:
        try:
            port = _port(folder / "DevToolsActivePort", running)
            pages = httpx.get(f"http://127.0.0.1:{port}/json/list", timeout=WAIT_S).json()
            address = next(p["webSocketDebuggerUrl"] for p in pages if p["type"] == "page")
            with websockets.sync.client.connect(
                address, max_size=None, proxy=None, ping_interval=None, close_timeout=1
            ) as connection:
                yield Page(connection)
        finally:
            running.terminate()
            try:
                running.wait(20)
            except subprocess.TimeoutExpired:
                running.kill()


def _port(file: Path, running: subprocess.Popen[bytes]) -> int:
    end = time.monotonic() + WAIT_S
    while not (file.is_file() and len(file.read_text().split()) == 2):
        assert running.poll() is None, "the browser has ended"
        assert time.monotonic() < end, "the browser does not start"
        time.sleep(0.05)
    return int(file.read_text().split()[0])
