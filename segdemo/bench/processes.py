"""The page as a process: how soon it is there, what it takes up, and what HTTP adds."""

import os
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from itertools import count
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory

from gradio_client import Client, handle_file
from PIL import Image

from ..engine import EXAMPLE
from ..registry import ModelSpec
from ..service import past_proxies
from .answers import to_files
from .rows import Row, in_turn

ROOT = Path(__file__).parent.parent.parent
IMPORTS = "import gradio, torch, torchvision"
STATUS = Path("/proc/self/status")  # where the system has one
STARTS = 3
PATIENCE = 120  # seconds for a page to begin


def of_page(specs: Sequence[ModelSpec]) -> Iterator[Row]:
    """What concerns the page as a whole; nothing where there is no app.py, as in a wheel."""
    if not (ROOT / "app.py").exists():
        return
    past_proxies()
    starts, imports = [], []
    for _ in range(STARTS + 1):
        started = time.perf_counter()
        with page():
            starts.append(time.perf_counter() - started)
        started = time.perf_counter()
        subprocess.run([sys.executable, "-c", IMPORTS], check=True)
        imports.append(time.perf_counter() - started)
    yield Row(
        "python app.py to the first page",
        round(median(starts[1:]), 2),
        {IMPORTS: round(median(imports[1:]), 2)},
        unit="s",
    )

    with page() as (process, address), TemporaryDirectory() as folder:
        client, new = Client(address, verbose=False, download_files=folder), photos(Path(folder))
        for spec in specs:
            segment(client, new, spec.name)
        if STATUS.exists():
            yield Row(
                "memory with the models ready",
                resident(f"/proc/{process.pid}/status"),
                {IMPORTS: of_imports()},
                unit="MB",
            )
        for spec in specs:
            row = in_turn(
                partial(segment, client, new, spec.name),
                {"in this process": partial(to_files_new, new, spec)},
            )
            yield replace(row, what="a photo of 640x480 over HTTP, to files", model=spec.name)


def photos(folder: Path) -> Iterator[Path]:
    """Photos that all differ, so that no answer is known already."""
    picture = Image.open(EXAMPLE).convert("RGB").resize((640, 480))
    for number in count():
        picture.paste(tuple(40 * (number // 6**i % 6) for i in range(3)), (0, 0, 64, 64))
        path = folder / f"{number}.jpg"
        picture.save(path)
        yield path


def segment(client: Client, new: Iterator[Path], name: str) -> None:
    client.predict(handle_file(next(new)), name, api_name="/segment")


def to_files_new(new: Iterator[Path], spec: ModelSpec) -> None:
    to_files(next(new), spec)


def of_imports() -> float:
    code = f"{IMPORTS}; print(open({str(STATUS)!r}).read())"
    told = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
    return megabytes(told.stdout)


def resident(status: str) -> float:
    return megabytes(Path(status).read_text())


def megabytes(status: str) -> float:
    """The memory that a process holds, out of its /proc/PID/status."""
    return round(int(status.split("VmRSS:")[1].split()[0]) / 1024)


@contextmanager
def page() -> Iterator[tuple[subprocess.Popen[bytes], str]]:
    """The page, served; its process and its address."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    address = f"http://127.0.0.1:{port}/"
    process = subprocess.Popen(
        [sys.executable, "app.py", "--port", str(port)],
        cwd=ROOT,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        env=os.environ | {"GRADIO_ANALYTICS_ENABLED": "False", "GRADIO_SHARE": "false"},
    )
    started = time.monotonic()
    try:
        while not answers(address):
            if process.poll() is not None or time.monotonic() - started > PATIENCE:
                raise RuntimeError("The page does not start; run python app.py to see why.")
            time.sleep(0.01)
        yield process, address
    finally:
        process.terminate()
        process.wait()


def answers(address: str) -> bytes | None:
    try:
        with urllib.request.urlopen(address, timeout=60) as reply:
            return bytes(reply.read())
    except OSError:
        return None
