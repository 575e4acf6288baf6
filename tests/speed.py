"""The page's speed in a browser, beside a plain one: a long run, which is not part of the tests.

PYTHONPATH=. python tests/speed.py

Chromium, without a GPU, shares the processor with both pages.
"""

import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from statistics import median

from browsing import choose, drawn, give, open_page, open_tab, wait_for_answer
from conftest import CHAIR, chromium
from PIL import Image
from playwright.sync_api import Browser
from visitor import server

MODELS = "chair-unet fcn car-unet-vgg16".split()
PHOTOS, SECONDS = 5, 10

# As one would first write it: gr.Image in, gr.Image out, float32.
PLAIN = """
import sys
import gradio as gr, numpy as np
from segdemo.bench.answers import simply
from segdemo.engine import load_network
from segdemo.registry import MODELS

spec, network = MODELS["chair-unet"], load_network("chair-unet")

def find(image):
    found, painted = simply(spec, network, image) > 0, image.copy()
    painted[found] = (painted[found] * 0.4 + np.array([255, 80, 0]) * 0.6).astype(np.uint8)
    return painted

with gr.Blocks() as page:
    photo, out = gr.Image(), gr.Image(elem_id="out")
    photo.upload(find, photo, out)
page.launch(server_port=int(sys.argv[-1]), prevent_thread_lock=True)
from starlette.responses import PlainTextResponse
page.app.add_route("/healthz", lambda _: PlainTextResponse("ok"))
page.block_thread()
"""


def photos(folder: Path) -> Iterator[Path]:
    """Photos of 12 megapixels that all differ, so that no answer is known already."""
    whole = Image.open(CHAIR).convert("RGB").resize((4000, 3000))
    for number in range(PHOTOS + 1):
        whole.paste((40 * number, 0, 0), (0, 0, 64, 64))
        whole.save(path := folder / f"{number}.jpg", quality=90)
        yield path


def upload(browser: Browser, address: str, photo: Path, plain: bool) -> float:
    """Seconds from the click to the overlay."""
    page = browser.new_page()
    if plain:
        page.goto(address)
    else:
        open_page(page, address)
    page.wait_for_timeout(2000)
    started = time.perf_counter()
    if plain:
        page.locator("input[type=file]").first.set_input_files(photo)
        page.wait_for_function("() => document.querySelector('#out img')?.naturalWidth > 0")
    else:
        give(page, photo)
        wait_for_answer(page)
    spent = time.perf_counter() - started
    page.close()
    return spent


def live(browser: Browser, address: str, model: str) -> float:
    """Frames a second."""
    page = browser.new_page()
    open_page(page, address)
    open_tab(page, "Live camera")
    choose(page, model, "#live-model")
    page.locator("#camera").get_by_text("Click to Access Webcam").click()
    page.locator("#camera").get_by_role("button", name="Start").click()
    page.wait_for_timeout(5000)
    before, started = drawn(page, "#live-viewer"), time.perf_counter()
    page.wait_for_timeout(1000 * SECONDS)
    rate = (drawn(page, "#live-viewer") - before) / (time.perf_counter() - started)
    page.close()
    return rate


def main() -> None:
    with tempfile.TemporaryDirectory() as name, chromium(Path(name)) as browser:
        folder = Path(name)
        with server(folder / "log", folder / "temp") as (ours, _):
            time.sleep(15)  # until the networks are there
            with server(folder / "plain", folder / "more", ["-c", PLAIN]) as (plain, _):
                spent = [
                    (upload(browser, ours, photo, False), upload(browser, plain, photo, True))
                    for photo in photos(folder)
                ][1:]
            mine, other = (median(each) for each in zip(*spent, strict=True))
            print(f"12-megapixel JPEG, from the click to the overlay: {mine:.2f} s,", end=" ")
            print(f"a plain page {other:.2f} s, {mine / other:.2f} of it")
            for model in MODELS:
                print(f"live, 640x480, {model}: {live(browser, ours, model):.1f} frames a second")


if __name__ == "__main__":
    main()
