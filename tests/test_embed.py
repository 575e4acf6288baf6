"""The page in other pages, behind a proxy, and shared: as other people's visitors meet it."""

import argparse
import os
import re
import shutil
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from conftest import CHAIR, served
from gradio_client import Client, handle_file
from PIL import Image
from playwright.sync_api import Browser, FrameLocator, Page, expect
from visitor import ROOT, free_port, healthy, wait_until

from segdemo.embed import iframe, web_component

sys.path.insert(0, str(ROOT))
import app

Place = Page | FrameLocator


@contextmanager
def visit(browser: Browser, address: str) -> Iterator[Page]:
    context = browser.new_context(viewport={"width": 1100, "height": 1000})
    page = context.new_page()
    page.set_default_timeout(60_000)
    page.goto(address)
    yield page
    context.close()


def give(place: Place, photo: Path) -> None:
    place.locator("#photo input[type=file]").set_input_files(photo)


def photograph(place: Place) -> None:
    place.locator("#photo").get_by_label("Capture from camera").click()
    place.locator("#photo").get_by_text("Click to Access Webcam").click()
    expect(place.locator("#photo video")).to_have_class(re.compile("facing"))  # it shows something
    place.locator("#photo").get_by_label("capture photo").click()


def expect_a_chair(place: Place) -> None:
    expect(place.locator("#viewer .viewer")).to_have_attribute("data-state", "answer")
    expect(place.locator("#viewer .classes")).to_contain_text("chair")
    # The pictures have come through, too, whatever stands between.
    expect(place.locator("#viewer canvas")).to_have_js_property("width", 640)


@pytest.mark.parametrize("by", [give, photograph])
def test_in_a_frame_of_another_origin(url: str, browser: Browser, host, by) -> None:
    with visit(browser, host(iframe(url))) as page:
        place = page.frame_locator("iframe")
        by(place, CHAIR) if by is give else by(place)
        expect_a_chair(place)


@pytest.mark.parametrize("by", [give, photograph])
def test_as_an_element_of_another_origin(url: str, browser: Browser, host, by) -> None:
    with visit(browser, host('<hr class="divider">' + web_component(url))) as page:
        by(page, CHAIR) if by is give else by(page)
        expect_a_chair(page)
        assert page.locator("iframe").count() == 0
        # The other page stays as it is and where it is, and is not taken for ours.
        expect(page.locator("hr.divider")).to_be_visible()
        expect(page.locator("#viewer .divider")).to_be_hidden()
        assert page.title() == "Somebody's page"
        with page.expect_download() as download:
            page.locator("#viewer .takes button[value='mask.png']").click()
        assert download.value.suggested_filename.endswith(".mask.png")
        assert Image.open(download.value.path()).mode == "L"
        # What the server no longer has is told, and no file.
        page.route("**/file=**.cutout.png", lambda route: route.fulfill(status=404, body="{}"))
        page.locator("#viewer .takes button[value='cutout.png']").click()
        expect(page.locator("#viewer .facts")).to_contain_text("no longer kept")
        expect_a_chair(page)
        page.get_by_role("tab", name="In your code").click()
        expect(page.locator("#snippets pre").first).to_contain_text(url.rstrip("/"))


NGINX = shutil.which("nginx", path="/usr/sbin:/usr/local/sbin:/usr/bin")


@pytest.fixture
def proxied(tmp_path: Path) -> Iterator[str]:
    """The page under /segdemo/ of another server: nginx, set up as README.md says."""
    if not NGINX:
        pytest.skip("there is no nginx on this machine")
    readme = (ROOT / "README.md").read_text("utf-8")
    location = readme.split("```nginx\n")[1].split("```")[0]
    port, paths = free_port(), "client_body proxy fastcgi uwsgi scgi".split()
    with served("--root-path", "/segdemo") as address:
        assert "http://127.0.0.1:7860/" in location
        location = location.replace("http://127.0.0.1:7860/", address)
        (tmp_path / "nginx.conf").write_text(
            f"""
            {"user root;" if os.geteuid() == 0 else ""}
            daemon off; pid {tmp_path}/pid; events {{}}
            http {{
                access_log off;
                {" ".join(f"{name}_temp_path {tmp_path}/{name};" for name in paths)}
                server {{ listen 127.0.0.1:{port}; {location} }}
            }}"""
        )
        command = [NGINX, "-e", "stderr", "-c", f"{tmp_path}/nginx.conf", "-p", str(tmp_path)]
        nginx = subprocess.Popen(command)
        try:
            address = f"http://127.0.0.1:{port}/segdemo"
            wait_until(lambda: healthy(address, nginx))
            yield f"{address}/"
        finally:
            nginx.terminate()
            nginx.wait(30)


def test_behind_a_proxy_under_a_path(proxied: str, browser: Browser, tmp_path: Path) -> None:
    with visit(browser, proxied) as page:
        asked: list[str] = []
        page.on("request", lambda request: asked.append(request.url))
        page.reload()
        give(page, CHAIR)
        expect_a_chair(page)
        with page.expect_download() as download:
            page.locator("#viewer .takes button[value='mask.png']").click()
        assert Image.open(download.value.path()).size == (640, 480)
        page.get_by_label("Remove Image").or_(page.get_by_label("Clear")).first.click()
        expect(page.locator("#viewer canvas")).to_be_hidden()
        photograph(page)
        expect_a_chair(page)
        # Nothing went past the proxy: uploads, the queue's events, pictures.
        loaded = [address for address in asked if address.startswith("http")]
        assert len(loaded) > 10 and all(address.startswith(proxied) for address in loaded)
    client = Client(proxied, download_files=str(tmp_path / "files"), verbose=False)
    _, mask, _ = client.predict(photo=handle_file(CHAIR), model="fcn", api_name="/segment")
    assert Image.open(mask).size == (640, 480)


def test_shared_without_a_network_and_with_a_password(tmp_path: Path) -> None:
    told = tmp_path / "told"
    nowhere = {"HTTPS_PROXY": "http://127.0.0.1:1", "https_proxy": "http://127.0.0.1:1"}
    with served("--share", "--auth", "someone:secret", out=told, **nowhere) as address:
        wait_until(lambda: "public link," in told.read_text(), 60)
        lines = [line for line in told.read_text().splitlines() if line]
        assert lines == [
            "segdemo: asking for a public link",
            f"segdemo: the page is at {address}",
            "segdemo: there is no public link, Gradio's tunnel cannot be reached",
        ]
        # The page runs all the same, for those who know the password.
        with pytest.raises(urllib.error.HTTPError, match="401"):
            urllib.request.urlopen(f"{address}config")
        files = str(tmp_path / "files")
        client = Client(address, auth=("someone", "secret"), download_files=files, verbose=False)
        _, mask, _ = client.predict(photo=handle_file(CHAIR), model="fcn", api_name="/segment")
        assert Image.open(mask).size == (640, 480)


def test_share_by_variable(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.argv", ["app.py"])
    assert not app.options_of(argparse.ArgumentParser()).share
    monkeypatch.setenv("GRADIO_SHARE", "True")
    assert app.options_of(argparse.ArgumentParser()).share


@pytest.mark.parametrize("auth", ["someone", "someone:", ":secret"])
def test_half_a_password_is_refused(monkeypatch: pytest.MonkeyPatch, capsys, auth: str) -> None:
    monkeypatch.setattr("sys.argv", ["app.py", "--auth", auth])
    with pytest.raises(SystemExit):
        app.options_of(argparse.ArgumentParser())
    assert "it must look like USER:PASSWORD" in capsys.readouterr().err
