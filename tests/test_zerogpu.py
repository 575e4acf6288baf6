"""ZeroGPU without a GPU: the real `spaces` package, and a local server that lends nothing."""

import json
import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from importlib.util import find_spec
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import numpy as np
import pytest
import torch
from conftest import CHAIR, served
from gradio_client import Client, handle_file
from visitor import ROOT

from segdemo import engine, predict
from segdemo.engine import Runner, lent, load_network, ready
from segdemo.images import load_image
from segdemo.registry import MODELS
from segdemo.zerogpu import SECONDS, on_gpu

Asked = list[tuple[str, dict[str, list[str]]]]


@pytest.fixture
def lender() -> Iterator[tuple[str, Asked]]:
    """What ZeroGPU asks for a GPU; it says yes, but there is none. Address, and what was asked."""
    asked: Asked = []

    class Lender(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            url = urlsplit(self.path)
            asked.append((url.path, parse_qs(url.query)))
            lent = {"idle": False, "nvidiaIndex": 0, "nvidiaUUID": "none", "allowToken": "token"}
            body = json.dumps(lent).encode()
            self.send_response(200)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Lender)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}", asked
    server.shutdown()
    server.server_close()


@pytest.mark.skipif(not find_spec("spaces"), reason="the package spaces is not installed")
@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU, which would be used")
def test_networks_are_placed_at_the_start_and_a_gpu_is_asked_for(lender, tmp_path: Path) -> None:
    address, asked = lender
    env = {"SPACES_ZERO_GPU": "true", "SPACES_ZERO_DEVICE_API_URL": address}
    with served(**env, ZEROGPU_OFFLOAD_DIR=str(tmp_path / "packed")) as page:
        # By then the networks are on what looks like CUDA, packed to be moved to any GPU.
        assert [path for path, _ in asked] == ["/startup-report"]
        packed = sum(path.stat().st_size for path in (tmp_path / "packed").iterdir())
        parameters = [sum(p.numel() for p in load_network(name).parameters()) for name in MODELS]
        assert packed > 2 * sum(parameters)
        client = Client(page, download_files=False, verbose=False)
        # There is none after all: the CPU takes over.
        answer = client.predict(photo=handle_file(CHAIR), model="fcn", api_name="/segment")
        assert answer[2]["device"] == "cpu" and "chair" in answer[2]["coverage"]
        (query,) = [query for path, query in asked if path == "/schedule"]
        assert 0 < int(query["durationSeconds"][0]) <= 2 * SECONDS
        assert "/release" in [path for path, _ in asked]


def test_elsewhere_it_does_nothing() -> None:
    def function() -> None:
        pass

    assert on_gpu(function) is function


def test_the_lent_function_answers_as_the_network_does() -> None:
    runner, photo = ready(MODELS["fcn"]), load_image(CHAIR)
    assert np.array_equal(lent("fcn", photo), runner.logits(photo))


@pytest.mark.skipif(not find_spec("spaces"), reason="the package spaces is not installed")
def test_whatever_fails_while_a_gpu_is_asked_for_leaves_it_to_the_cpu() -> None:
    code = """
import gradio, httpx, spaces
def lends_none(function, duration):
    def fail():
        raise function()
    return fail
spaces.GPU = lends_none
from segdemo.zerogpu import NotLent, on_gpu
refusals = gradio.Error("used up"), httpx.ConnectTimeout("slow")
for error in (*refusals, RuntimeError("end of stream"), OSError("no process to fork")):
    try:
        on_gpu(lambda: error)()
    except NotLent:
        print("left to the CPU")
"""
    nowhere = {"SPACES_ZERO_GPU": "true", "SPACES_ZERO_DEVICE_API_URL": "http://127.0.0.1:9"}
    run = subprocess.run(
        [sys.executable, "-c", code],
        env=os.environ | nowhere,
        cwd=ROOT,
        capture_output=True,
        text=True,
    )
    assert run.stdout.splitlines() == ["left to the CPU"] * 4, run.stderr


def test_no_gpu_is_asked_for_a_frame_of_a_camera(monkeypatch: pytest.MonkeyPatch) -> None:
    spec = MODELS["fcn"]
    runner = Runner(spec, load_network("fcn"), torch.device("cpu"), torch.float32)
    runner.lends, runner.given = True, load_network("fcn")
    asked = list[str]()
    monkeypatch.setattr(engine, "lent", lambda name, image: asked.append(name))
    monkeypatch.setattr(predict, "ready", lambda _: runner)
    frame = predict.read(load_image(CHAIR))
    found = predict.predict_on(frame, "fcn", keep=False, quick=True)
    assert found.result.device == "cpu" and not asked
