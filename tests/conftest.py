"""What several test files need: pictures and data folders that the tests make themselves."""

import atexit
import json
import os
import shutil
import tempfile
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import numpy as np
import pytest
from hub_server import Hub
from numpy.typing import NDArray
from PIL import Image
from playwright.sync_api import Browser, expect, sync_playwright
from visitor import ROOT, free_port, server

# Before anything imports the Hub's client, which reads these once: no test talks to the real Hub
# or touches the cache of whoever runs the tests.
HUB_PORT = free_port()
HUB_HOME = Path(tempfile.mkdtemp(prefix="segdemo-hub-"))
atexit.register(shutil.rmtree, HUB_HOME, ignore_errors=True)
OURS = {
    "HF_ENDPOINT": f"http://127.0.0.1:{HUB_PORT}",
    "HF_HOME": str(HUB_HOME),
    "HF_HUB_DISABLE_XET": "1",  # the local Hub speaks LFS only
    "NO_PROXY": "127.0.0.1,localhost",
}
os.environ |= OURS
for name in [n for n in os.environ if n.startswith(("HF_", "GRADIO_", "SEGDEMO_"))]:
    if name not in OURS:  # whoever runs the tests has set it for something else
        del os.environ[name]


EXAMPLES = ROOT / "segdemo" / "examples"
PICTURES = {path.stem: path for path in (EXAMPLES / "test" / "images").glob("*.webp")}
CHAIR = PICTURES["chair-dining"]

expect.set_options(timeout=60_000)  # milliseconds: on a busy machine a network takes some seconds

MakeFolder = Callable[..., Path]


def scene(seed: int, height: int = 48, width: int = 64) -> NDArray[np.uint8]:
    """A photo-like picture, uint8 RGB: smooth light with grain."""
    random = np.random.default_rng(seed)
    small = Image.fromarray(random.integers(0, 256, (4, 5, 3), np.uint8))
    smooth = np.asarray(small.resize((width, height), Image.Resampling.BICUBIC)).astype(int)
    return np.clip(smooth + random.integers(-9, 10, smooth.shape), 0, 255).astype(np.uint8)


@pytest.fixture
def make_folder(tmp_path: Path) -> MakeFolder:
    """Makes a data folder: boxes in a colour of their own, one class a photo in turn."""

    def make(
        name: str = "made",
        classes: Sequence[str] = ("background", "chair"),
        splits: Sequence[str] = ("train", "val", "test"),
        photos: int = 4,
        ignore: int = 255,
    ) -> Path:
        root = tmp_path / name
        description = {"classes": list(classes), "ignore_index": ignore}
        for split in splits:
            (root / split / "images").mkdir(parents=True)
            (root / split / "masks").mkdir(parents=True)
            for number in range(photos):
                value = number % len(classes)
                image, mask = scene(number), np.zeros((48, 64), np.uint8)
                if value:
                    image[12:36, 16:48] = (40 * value % 256, 200, 90)
                    mask[12:36, 16:48] = value
                    mask[11, 16:48] = ignore
                Image.fromarray(image).save(root / split / "images" / f"{number}.png")
                Image.fromarray(mask).save(root / split / "masks" / f"{number}.png")
        (root / "dataset.json").write_text(json.dumps(description))
        return root

    return make


@pytest.fixture
def no_cache() -> Iterator[Path]:
    """The Hub's cache, empty before and after."""
    shutil.rmtree(HUB_HOME, ignore_errors=True)
    yield HUB_HOME / "hub"
    shutil.rmtree(HUB_HOME, ignore_errors=True)


@pytest.fixture
def hub(no_cache: Path) -> Iterator[Hub]:
    """A local Hub, where the client of every test looks for one; empty, as the cache is."""
    server = Hub(HUB_PORT)
    yield server
    if not server.stopped.is_set():
        server.stop()


@contextmanager
def served(*options: str, out: Path | None = None, **env: str) -> Iterator[str]:
    """The real page, in a process of its own; its address. out: where what it says is written."""
    with server(out, start=("app.py", *options), **env) as (address, _):
        yield f"{address}/"


@pytest.fixture(scope="session")
def url() -> Iterator[str]:
    """The page that most tests share."""
    with served() as address:
        yield address


@pytest.fixture(scope="session")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    with chromium(tmp_path_factory.mktemp("camera")) as opened:
        yield opened


@contextmanager
def chromium(folder: Path) -> Iterator[Browser]:
    """Chromium whose camera shows the chair, from a file in `folder`."""
    camera = folder / "chair.mjpeg"
    Image.open(CHAIR).save(camera, "JPEG", quality=95)
    arguments = [
        "--no-sandbox",
        "--disable-gpu",
        "--disable-background-networking",
        "--use-fake-ui-for-media-stream",
        "--use-fake-device-for-media-stream",
        f"--use-file-for-fake-video-capture={camera}",
    ]
    with sync_playwright() as playwright:
        # Playwright's own Chromium where it was installed, else the system's.
        own = Path(playwright.chromium.executable_path)
        path = own if own.exists() else Path("/usr/bin/chromium")
        if not path.exists():
            pytest.skip("there is no Chromium on this machine")
        opened = playwright.chromium.launch(executable_path=path, args=arguments)
        yield opened
        opened.close()


@pytest.fixture
def host(tmp_path: Path) -> Iterator[Callable[[str], str]]:
    """Makes a page of another origin that holds this HTML; its address."""

    class Quiet(SimpleHTTPRequestHandler):
        def __init__(self, *args: object) -> None:
            super().__init__(*args, directory=str(tmp_path))

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Quiet)
    threading.Thread(target=server.serve_forever, daemon=True).start()

    def make(html: str) -> str:
        page = f"<!doctype html><title>Somebody's page</title><h1>Somebody's page</h1>{html}"
        (tmp_path / "index.html").write_text(page)
        return f"http://localhost:{server.server_port}/"

    yield make
    server.shutdown()
    server.server_close()


@pytest.fixture
def own_weights(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A weights folder of one's own, with a copy of the smallest model in it."""
    for ending in ("safetensors", "json"):
        shutil.copy(ROOT / "weights" / f"fcn.{ending}", tmp_path)
    monkeypatch.setenv("SEGDEMO_WEIGHTS", str(tmp_path))
    return tmp_path
