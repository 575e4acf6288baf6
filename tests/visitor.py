"""What several test files need of a running page: to start it, and to talk to it as curl does."""

import json
import os
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, nullcontext
from pathlib import Path
from threading import Event
from typing import Any

import httpx

ROOT = Path(__file__).parent.parent

Process = subprocess.Popen[bytes]


def free_port() -> int:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return int(free.getsockname()[1])


@contextmanager
def server(
    log: Path | None = None,
    temp: Path | None = None,
    start: Sequence[str] = ("app.py",),
    **environment: str,
) -> Iterator[tuple[str, Process]]:
    """The real page on a port of its own: its address and its process.

    log: what it writes goes there. temp: where its folder for files lies. start: what Python runs.
    """
    port = free_port()
    environment = os.environ | environment
    if temp:
        temp.mkdir(exist_ok=True)
        environment["TMPDIR"] = str(temp)
    with log.open("w") if log else nullcontext() as file:
        command = [sys.executable, *start, "--port", str(port)]
        process = subprocess.Popen(command, cwd=ROOT, env=environment, stdout=file, stderr=file)
    address = f"http://127.0.0.1:{port}"
    try:
        wait_until(lambda: healthy(address, process))
        yield address, process
    finally:
        process.terminate()
        process.wait(60)


def healthy(address: str, process: Process) -> bool:
    assert process.poll() is None, "the page did not start"
    try:
        return httpx.get(f"{address}/healthz").status_code == 200
    except httpx.TransportError:
        return False


def wait_until(
    true: Callable[[], bool], seconds: float = 300, sleep: Callable[[float], None] = time.sleep
) -> None:
    end = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < end, "this did not come about"
        sleep(0.2)


class Visitor:
    """Somebody who uses /segment over plain HTTP."""

    def __init__(self, address: str) -> None:
        self.http = httpx.Client(base_url=f"{address}/gradio_api", timeout=180)
        self.listens = Event()  # for an answer

    def upload(self, photo: bytes, name: str = "photo.png") -> httpx.Response:
        return self.http.post("/upload", files={"files": (name, photo)})

    def ask(self, photo: Any, *rest: Any) -> httpx.Response:
        """Put a request in the queue; photo: a path on the server, or the photo's whole value."""
        if isinstance(photo, str):
            photo = {"path": photo, "meta": {"_type": "gradio.FileData"}}
        rest = rest + ("chair-unet", 0.5, 0.6)[len(rest) :]
        return self.http.post("/call/segment", json={"data": [photo, *rest]})

    def answer(self, asked: httpx.Response) -> Any:
        """[overlay, mask, report], or the sentence that says why there is none."""
        if asked.status_code != 200:
            return asked.json()["detail"]
        event = data = ""
        with self.http.stream("GET", f"/call/segment/{asked.json()['event_id']}") as lines:
            self.listens.set()
            for line in lines.iter_lines():
                if line.startswith("event: "):
                    event = line.removeprefix("event: ")
                elif line.startswith("data: ") and event in ("complete", "error"):
                    data = line.removeprefix("data: ")
        found = json.loads(data)
        return found if event == "complete" else found["error"]

    def segment(self, photo: bytes, *rest: Any, name: str = "photo.png") -> Any:
        """The mask as PNG, or the sentence that says why there is none."""
        uploaded = self.upload(photo, name)
        if uploaded.status_code != 200:
            return uploaded.text
        answered = self.answer(self.ask(uploaded.json()[0], *rest))
        return answered if isinstance(answered, str) else self.fetch(answered[1]["path"])

    def fetch(self, path: str) -> bytes:
        reply = self.http.get(f"/file={path}")
        assert reply.status_code == 200, reply.text
        return reply.content
