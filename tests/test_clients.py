"""Other programs that use the page: each gives a photo and gets the mask. Python's is elsewhere."""

import json
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from conftest import CHAIR
from PIL import Image

import segdemo

JAVASCRIPT = Path(sys.prefix, "js/node_modules/@gradio/client/dist/index.js")  # put by run.sh


def output(*command: str | Path) -> str:
    done = subprocess.run(command, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    return done.stdout


def expect_the_mask(path: Path, report: dict[str, object]) -> None:
    expected = segdemo.segment(CHAIR, "fcn")
    assert np.array_equal(np.asarray(Image.open(path)), expected.labels)
    assert report["model"] == "fcn" and report["size"] == [640, 480]


@pytest.mark.skipif(not shutil.which("curl"), reason="there is no curl on this machine")
def test_curl(url: str, tmp_path: Path) -> None:
    api = f"{url}gradio_api"
    (path,) = json.loads(output("curl", "-sf", "-F", f"files=@{CHAIR}", f"{api}/upload"))
    photo = {"path": path, "meta": {"_type": "gradio.FileData"}}
    sent = json.dumps({"data": [photo, "fcn", 0.5, 0.6]})
    headers = ("-H", "Content-Type: application/json")
    call = output("curl", "-sf", *headers, "-d", sent, f"{api}/call/segment")
    told = output("curl", "-sfN", f"{api}/call/segment/{json.loads(call)['event_id']}")
    event, data = told.strip().split("\n")[-2:]
    assert event == "event: complete"
    _, mask, report = json.loads(data.removeprefix("data: "))
    output("curl", "-sf", "-o", tmp_path / "mask.png", mask["url"])
    expect_the_mask(tmp_path / "mask.png", report)


@pytest.mark.skipif(
    not shutil.which("node") or not JAVASCRIPT.exists(),
    reason="there is no Node.js 18 with @gradio/client on this machine",
)
def test_javascript(url: str, tmp_path: Path) -> None:
    script, mask = Path(__file__).with_name("client.mjs"), tmp_path / "mask.png"
    report = json.loads(output("node", script, JAVASCRIPT, url, CHAIR, mask))
    expect_the_mask(mask, report)
