"""Other programs that use the page: each gives a photo and gets the mask. Python's is elsewhere."""

import ast
import asyncio
import base64
import json
import shutil
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx
import numpy as np
import pytest
from conftest import CHAIR, served
from mcp import ClientSession
from mcp.client.streamable_http import streamablehttp_client
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


def test_mcp(tmp_path: Path) -> None:
    """A tool for assistants, with the photo inside the call; addresses are fetched for nobody."""
    inside = f"data:image/webp;base64,{base64.b64encode(CHAIR.read_bytes()).decode()}"

    async def segment(page: str, photo: str) -> str:
        async with (
            streamablehttp_client(f"{page}gradio_api/mcp/") as (read, write, _),
            ClientSession(read, write) as session,
        ):
            await session.initialize()
            tools = {tool.name: tool for tool in (await session.list_tools()).tools}
            assert set(tools) == {"segment", "compare", "score", "batch"}
            for name, described in tools["segment"].inputSchema["properties"].items():
                assert described["description"].endswith("."), name
            answer = await session.call_tool("segment", {"photo": photo, "model": "fcn"})
            return str(answer.content[0].text)

    # In a thread of its own: the browser of other tests has its loop in this one.
    with served(GRADIO_MCP_SERVER="true") as page, ThreadPoolExecutor(1) as pool:
        files = ast.literal_eval(pool.submit(asyncio.run, segment(page, inside)).result())
        with pytest.raises(ExceptionGroup) as refused:
            pool.submit(asyncio.run, segment(page, f"{page}config")).result()
        assert "400 Bad Request" in str(refused.value.exceptions[0])
        (tmp_path / "mask.png").write_bytes(httpx.get(files[1]["url"]).content)
    expect_the_mask(tmp_path / "mask.png", files[2])
