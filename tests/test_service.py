"""Health, figures and logs of a running page, a full queue, and the page within another one."""

import json
import re
import sys
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from io import BytesIO
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest
from conftest import EXAMPLES, scene
from gradio.state_holder import SessionState
from odd_inputs import encode, photo
from PIL import Image
from playwright.sync_api import Browser, expect
from test_faults import start
from visitor import Visitor, server, wait_until

import segdemo
from segdemo.logs import Metrics, MissingPackage
from segdemo.registry import MODELS
from segdemo.ui import build_page

CHAIR = EXAMPLES / "test" / "images" / "chair-dining.webp"
GOOD = encode(photo(), "PNG")
# A queue that is soon full.
SHORT = "import app, segdemo.ui.page; segdemo.ui.page.QUEUE = 4; app.main()"


@pytest.fixture(scope="module")
def page(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[str, Path]]:
    """Address and log of a page with metrics and a short queue."""
    folder = tmp_path_factory.mktemp("page")
    log = folder / "log"
    with server(log, folder / "temp", ["-c", SHORT], SEGDEMO_METRICS="1") as (address, _):
        yield address, log


def figures(address: str) -> dict[str, float]:
    """What /metrics says."""
    lines = httpx.get(f"{address}/metrics").text.splitlines()
    pairs = [line.rsplit(" ", 1) for line in lines if not line.startswith("#")]
    return {name: float(value) for name, value in pairs}


def test_health(page: tuple[str, Path]) -> None:
    reply = httpx.get(f"{page[0]}/healthz")
    assert reply.status_code == 200
    assert reply.json() == {"status": "ok", "models": list(MODELS)}


def test_the_page_is_sent_compressed(page: tuple[str, Path]) -> None:
    reply = httpx.get(f"{page[0]}/", headers={"Accept-Encoding": "gzip"})
    assert int(reply.headers["Content-Length"]) < len(reply.content) / 2
    assert "<gradio-app" in reply.text


def test_metrics_count_answers_errors_and_stages(page: tuple[str, Path]) -> None:
    address, _ = page
    before = figures(address)
    visitor = Visitor(address)
    assert isinstance(visitor.segment(GOOD, "fcn"), bytes)
    assert isinstance(visitor.segment(b"hello"), str)
    visitor.http.post("/call/segment", json={"data": [{"path": "/etc/passwd"}, "fcn", 0, 0]})
    after = figures(address)
    for name in (
        'segdemo_answers_total{model="fcn"}',
        'segdemo_errors_total{kind="BadImage"}',
        'segdemo_errors_total{kind="Bad Request"}',
        'segdemo_stage_seconds_count{stage="read"}',
        'segdemo_stage_seconds_count{stage="network"}',
        'segdemo_stage_seconds_count{stage="overlay"}',
    ):
        assert after[name] == before.get(name, 0) + 1, name
    assert after["segdemo_queue"] == 0
    assert after["process_resident_memory_bytes"] > 1e8 and after["process_open_fds"] > 5
    assert "segdemo_file_bytes" in after


def test_metrics_without_their_package_are_one_sentence(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setitem(sys.modules, "prometheus_client", None)
    with pytest.raises(MissingPackage, match="pip install"):
        Metrics({})
    (tmp_path / "prometheus_client.py").write_text("raise ImportError")
    done = start(SEGDEMO_METRICS="1", PYTHONPATH=str(tmp_path))
    assert done.returncode == 2 and "Traceback" not in done.stderr
    assert "pip install prometheus-client" in done.stderr


def test_a_line_of_json_for_each_answer_and_error(page: tuple[str, Path]) -> None:
    address, log = page
    visitor = Visitor(address)
    path = visitor.upload(GOOD).json()[0]
    asked = visitor.ask(path, "fcn")
    number = asked.headers["x-request-id"]
    visitor.answer(asked)
    refused = visitor.ask("/etc/passwd").headers["x-request-id"]

    def lines() -> dict[str, Any]:
        found = [json.loads(line) for line in log.read_text().splitlines() if line[:1] == "{"]
        return {line.get("request"): line for line in found}

    wait_until(lambda: refused in lines())
    answered = lines()[number]
    assert answered["event"] == "answered" and answered["model"] == "fcn"
    assert set(answered["milliseconds"]) == {"read", "network"}
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d[+-]\d{4}", answered["time"])
    assert lines()[refused]["event"] == "refused"
    assert lines()[refused]["kind"] == "Bad Request"


def test_what_fails_inside_gradio_is_told_in_words_too(page: tuple[str, Path]) -> None:
    """A photo of a shape that Gradio's own code raises on, without a word for the visitor."""
    visitor = Visitor(page[0])
    asked = visitor.ask(["no", "photo"])
    told = visitor.answer(asked)
    assert re.search(r"are the arguments those .*\(request \w{8}\)$", told)


def test_a_full_queue_says_so_at_once_and_confuses_nobody(page: tuple[str, Path]) -> None:
    """More at once than it takes: each gets the right mask or is told that it is busy."""
    address, _ = page
    photos = [encode(Image.fromarray(scene(n, 1500, 2000)), "JPEG") for n in range(3)]
    paths = [Visitor(address).upload(photo).json()[0] for photo in photos]
    wanted = [segdemo.segment(Image.open(BytesIO(photo)), "chair-unet").labels for photo in photos]

    visitors = [Visitor(address) for _ in range(24)]  # made before, so that they come at once

    def ask(number: int) -> str:
        visitor = visitors[number]
        asked = visitor.ask(paths[number % 3], "chair-unet")
        if asked.status_code == 503:
            assert asked.headers["retry-after"] and "full" in asked.json()["detail"]
            return "busy"
        mask = visitor.fetch(visitor.answer(asked)[1]["path"])
        found = np.asarray(Image.open(BytesIO(mask)))
        return "right" if np.array_equal(found, wanted[number % 3]) else "wrong"

    with ThreadPoolExecutor(24) as pool:
        ends = list(pool.map(ask, range(24)))
    assert set(ends) == {"right", "busy"}
    assert ends.count("right") >= 5
    assert ask(0) == "right"


def test_a_page_with_a_public_link_is_the_same_page(tmp_path: Path, browser: Browser) -> None:
    # The tunnel itself needs the internet.
    shared = (
        "import app, gradio.networking as net; "
        "net.setup_tunnel = lambda *_, **__: 'https://x.gradio.live'; app.main()"
    )
    with server(tmp_path / "log", tmp_path / "temp", ["-c", shared], GRADIO_SHARE="true") as (
        address,
        _,
    ):
        wait_until(lambda: "x.gradio.live for everybody" in (tmp_path / "log").read_text())
        context = browser.new_context()
        page = context.new_page()
        page.goto(address)
        expect(page.get_by_role("heading", name="What is where in your photo?")).to_be_visible()
        context.close()


def test_a_visit_takes_little_memory() -> None:
    visit = SessionState(build_page())
    assert visit.blocks_config.blocks and not visit.config_values


@pytest.mark.parametrize("forwarded", [{}, {"X-Forwarded-Host": "segdemo.example"}])
def test_a_shared_link_shows_this_page_and_not_gradios(
    page: tuple[str, Path], forwarded: dict[str, str]
) -> None:
    html = httpx.get(page[0], headers=forwarded).text
    tags = dict(re.findall(r'<meta\s+property="(og:\w+)"\s+content="([^"]*)"', html))
    assert html.count('"og:title"') == 1 and tags["og:title"] == "What is where in your photo?"
    assert "pixel by pixel" in tags["og:description"] and "@Gradio" not in html
    host = forwarded.get("X-Forwarded-Host") or page[0].partition("//")[2].strip("/")
    assert tags["og:image"] == f"http://{host}/preview.webp"
    picture = httpx.get(f"{page[0].rstrip('/')}/preview.webp").content
    assert min(Image.open(BytesIO(picture)).size) > 600


def test_another_page_may_embed_it_and_no_policy_is_broken(
    page: tuple[str, Path], browser: Browser, host: Callable[[str], str]
) -> None:
    """In a real browser, from another origin: the page works within an iframe."""

    opened = browser.new_page()
    opened.set_default_timeout(60_000)
    said: list[str] = []
    asked: list[str] = []
    opened.on("console", lambda message: said.append(message.text))
    opened.on("request", lambda request: asked.append(request.url))
    opened.goto(host(f'<iframe src="{page[0]}" width=900 height=900></iframe>'))
    inner = opened.frame_locator("iframe")
    inner.locator("#photo input[type=file]").set_input_files(CHAIR)
    inner.locator("#viewer .viewer[data-state=answer]").wait_for()
    opened.close()
    assert not [line for line in said if "Content Security Policy" in line]
    local = re.compile(r"(blob:)?http://(127\.0\.0\.1|localhost):|data:")
    assert not [url for url in asked if not local.match(url)]  # nothing from elsewhere
