"""Other programs that use the page: the code that it shows gives a photo and gets the mask."""

import ast
import asyncio
import base64
import json
import re
import shutil
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from io import BytesIO
from pathlib import Path

import httpx
import numpy as np
import pytest
from conftest import CHAIR, served
from mcp import ClientSession
from mcp.client.streamable_http import streamablehttp_client
from PIL import Image

import segdemo
from segdemo.ui.components import HERE

SNIPPETS = HERE / "snippets"
JAVASCRIPT = Path(sys.prefix, "js/node_modules")  # put by run.sh


def run(url: str, folder: Path, snippet: str, *command: str) -> str:
    """What that code of the page prints, in a folder with a photo."""
    Image.open(CHAIR).save(folder / "photo.jpg", quality=95)
    code = (SNIPPETS / f"{snippet}.txt").read_text("utf-8")
    code = code.replace("{place}", url.rstrip("/")).replace("{model}", "fcn")
    script = folder / "snippet.mjs"
    script.write_text(code, "utf-8")
    done = subprocess.run(
        [*command, script], cwd=folder, capture_output=True, text=True, timeout=300
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def expect_the_mask(mask: bytes, photo: str | Path) -> None:
    expected = segdemo.segment(photo, "fcn")
    assert np.array_equal(np.asarray(Image.open(BytesIO(mask))), expected.labels)


@pytest.mark.skipif(not shutil.which("curl"), reason="there is no curl on this machine")
def test_curl(url: str, tmp_path: Path) -> None:
    event, data = run(url, tmp_path, "curl", "sh").strip().split("\n")[-2:]
    assert event == "event: complete"
    _, mask, report = json.loads(data.removeprefix("data: "))
    assert report["model"] == "fcn" and report["size"] == [640, 480]
    expect_the_mask(httpx.get(mask["url"]).content, tmp_path / "photo.jpg")


@pytest.mark.skipif(
    not shutil.which("node") or not JAVASCRIPT.exists(),
    reason="there is no Node.js 18 with @gradio/client on this machine",
)
def test_javascript(url: str, tmp_path: Path) -> None:
    (tmp_path / "node_modules").symlink_to(JAVASCRIPT)
    told = run(url, tmp_path, "javascript", "node")
    assert "model: 'fcn'" in told
    mask = re.search(r"http://\S+", told)
    assert mask
    expect_the_mask(httpx.get(mask[0]).content, tmp_path / "photo.jpg")


def test_python(url: str, tmp_path: Path) -> None:
    told = re.search(r"^({.*}) (.+)$", run(url, tmp_path, "python", sys.executable), re.MULTILINE)
    assert told
    report, mask = told.groups()
    assert ast.literal_eval(report)["model"] == "fcn"
    expect_the_mask(Path(mask).read_bytes(), tmp_path / "photo.jpg")


def test_mcp() -> None:
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
        mask = httpx.get(files[1]["url"]).content
    expect_the_mask(mask, CHAIR)
    assert files[2]["model"] == "fcn"
