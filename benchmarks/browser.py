"""Chromium without a screen, by the DevTools protocol: enough of it to look at a page and to use it."""

from __future__ import annotations

import base64
import itertools
import json
import shutil
import subprocess
import time
import urllib.request
from pathlib import Path
from typing import Any

from websockets.sync.client import ClientConnection, connect

__all__ = ["Browser", "PageGone", "chromium"]


class PageGone(RuntimeError):
    """The page went elsewhere while it was asked."""


def chromium() -> str | None:
    """Where Chromium is on this machine."""
    return next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)


class Browser:
    """One page of a browser of its own.

    Args:
        profile: directory for its files.
        width, height: of the page, CSS pixels.
    """

    def __init__(self, profile: Path, *, width: int = 1280, height: int = 720) -> None:
        program = chromium()
        assert program is not None
        options = ["--headless=new", "--no-sandbox", "--disable-dev-shm-usage", "--hide-scrollbars", "--mute-audio"]
        options += ["--no-first-run", "--disable-extensions", "--disable-background-networking", "--disable-sync"]
        options += ["--use-angle=swiftshader", "--enable-unsafe-swiftshader", "--force-color-profile=srgb"]
        options += ["--remote-debugging-port=0", f"--user-data-dir={profile}", "about:blank"]
        self._process = subprocess.Popen([program, *options], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        self._numbers = itertools.count(1)
        self.errors: list[str] = []
        self._socket: ClientConnection = connect(self._page(profile), max_size=2**28)
        for domain in ("Page", "Runtime", "Log"):
            self.call(f"{domain}.enable")
        self.resize(width, height)

    def _page(self, profile: Path) -> str:
        """The page's socket."""
        file = profile / "DevToolsActivePort"
        until = time.monotonic() + 60
        while not (file.exists() and "\n" in file.read_text()):
            if time.monotonic() > until or self._process.poll() is not None:
                raise RuntimeError("Chromium does not start")
            time.sleep(0.05)
        port = file.read_text().split("\n")[0]
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/json/list", timeout=10) as answer:
            pages = json.load(answer)
        return str(next(page["webSocketDebuggerUrl"] for page in pages if page["type"] == "page"))

    def call(self, method: str, **parameters: Any) -> dict[str, Any]:
        """One call of the protocol; what the page complains of meanwhile goes to `errors`."""
        number = next(self._numbers)
        self._socket.send(json.dumps({"id": number, "method": method, "params": parameters}))
        while True:
            message = json.loads(self._socket.recv(timeout=120))
            if message.get("method") == "Runtime.exceptionThrown":
                details = message["params"]["exceptionDetails"]
                self.errors.append(details.get("exception", {}).get("description") or details["text"])
            elif message.get("method") == "Log.entryAdded":
                entry = message["params"]["entry"]
                if entry["level"] == "error" and entry["source"] != "network":  # the page tells of answers like 404
                    self.errors.append(entry["text"])
            elif message.get("id") == number:
                if "error" in message:
                    told = f"{method}: {message['error']}"
                    raise PageGone(told) if "navigated" in told else RuntimeError(told)
                result: dict[str, Any] = message["result"]
                return result

    def resize(self, width: int, height: int) -> None:
        """Sets the size of the page, one screen pixel for each CSS pixel."""
        self.call("Emulation.setDeviceMetricsOverride", width=width, height=height, deviceScaleFactor=1, mobile=False)

    def open(self, address: str) -> None:
        """Goes to an address, from an empty page, so that another fragment is another page."""
        self.call("Page.navigate", url="about:blank")
        self.call("Page.navigate", url=address)

    def run(self, script: str) -> Any:
        """The value of an expression, awaited. Raises RuntimeError: it threw."""
        answer = self.call("Runtime.evaluate", expression=script, awaitPromise=True, returnByValue=True)
        if "exceptionDetails" in answer:
            raise RuntimeError(answer["exceptionDetails"]["exception"].get("description", "?"))
        return answer["result"].get("value")

    def until(self, script: str, *, seconds: float = 60.0) -> Any:
        """Waits for an expression to be true. Raises TimeoutError."""
        end = time.monotonic() + seconds
        while True:
            try:
                found = self.run(script)
            except PageGone:  # from the empty page to the one that is opened
                found = None
            if found:
                return found
            if time.monotonic() > end:
                raise TimeoutError(f"{script} stayed {found!r}; the page says {self.errors}")
            time.sleep(0.05)

    def press(self, key: str) -> None:
        """A key, as a keyboard sends it."""
        self.run(
            f"document.body.dispatchEvent(new KeyboardEvent('keydown', {{key: {json.dumps(key)}, bubbles: true}}))"
        )

    def set(self, element: str, value: str, *, event: str = "change") -> None:
        """Sets a control and tells the page."""
        self.run(
            f"(() => {{ const it = document.getElementById({json.dumps(element)}); it.value = {json.dumps(value)};"
            f" it.dispatchEvent(new Event({json.dumps(event)}, {{bubbles: true}})); }})()"
        )

    def drag(self, start: tuple[float, float], end: tuple[float, float]) -> None:
        """Moves the mouse with its button down."""
        common: dict[str, Any] = {"button": "left", "buttons": 1, "clickCount": 1}
        self.call("Input.dispatchMouseEvent", type="mousePressed", x=start[0], y=start[1], **common)
        self.call("Input.dispatchMouseEvent", type="mouseMoved", x=end[0], y=end[1], **common)
        self.call("Input.dispatchMouseEvent", type="mouseReleased", x=end[0], y=end[1], **common)

    def screenshot(self, path: Path) -> None:
        """Writes a PNG of the page."""
        path.write_bytes(base64.b64decode(self.call("Page.captureScreenshot", format="png")["data"]))

    def close(self) -> None:
        """Ends the browser."""
        self._socket.close()
        self._process.terminate()
        try:
            self._process.wait(10)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
