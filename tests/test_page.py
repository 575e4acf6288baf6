"""The page in a real browser: what a visitor gives, sees and takes away."""

import base64
import errno
import json
import re
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import gradio as gr
import numpy as np
import pytest
from axe_playwright_python.sync_playwright import Axe
from browsing import (
    PHONE,
    choose,
    clear,
    differs,
    drawn,
    expect_share,
    give,
    legend,
    mask,
    open_page,
    open_tab,
    seen,
    show,
    slide,
    take,
    unzipped,
    wait_for_answer,
    wait_until,
)
from conftest import CHAIR, PICTURES, scene
from gradio.data_classes import ImageData
from gradio_client import Client, handle_file
from odd_inputs import encode
from PIL import Image
from playwright.sync_api import Browser, Page, Route, expect

import segdemo
from segdemo import hub
from segdemo.data import open_folder
from segdemo.engine import ready
from segdemo.errors import reason
from segdemo.images import MAX_BYTES
from segdemo.overlay import grey_png, outline
from segdemo.registry import MODELS
from segdemo.score import read_truth, score_photo
from segdemo.service import Service
from segdemo.ui import HEAD, JS, build_page, figures, models
from segdemo.ui.components import TEXTS
from segdemo.ui.inputs import Photo, Share
from segdemo.weights import WeightsError, read_facts

CAR, ROOM = PICTURES["car-side"], PICTURES["living-room"]


@pytest.fixture
def page(url: str, browser: Browser) -> Iterator[Page]:
    context = browser.new_context(
        viewport={"width": 1280, "height": 900}, accept_downloads=True, locale="en-GB"
    )
    context.grant_permissions(["camera", "clipboard-read", "clipboard-write"])
    opened = context.new_page()
    faults: list[str] = []
    opened.on("pageerror", lambda error: faults.append(str(error)))
    open_page(opened, url)
    yield opened
    context.close()
    assert not faults


def photo_of(path: Path) -> np.ndarray:
    return np.asarray(Image.open(path).convert("RGB"))


@pytest.mark.parametrize(
    ("path", "model"), [(CHAIR, "chair-unet"), (CAR, "car-unet-vgg16"), (CHAIR, "fcn")]
)
def test_a_photo_in_an_overlay_and_a_mask_out(page: Page, path: Path, model: str) -> None:
    choose(page, model)
    give(page, path)
    wait_for_answer(page)
    expected = segdemo.segment(path, model)
    assert (expected.labels > 0).mean() > 0.02
    for name, part in expected.coverage.items():
        if part > 0.001:
            expect_share(page, name, part)
    assert np.array_equal(mask(page), expected.labels)
    changed = differs(photo_of(path), seen(page))
    assert changed[expected.labels > 0].mean() > 0.8
    assert changed[expected.labels == 0].mean() < 0.03
    expect(page.locator("#viewer .facts")).to_contain_text(re.compile(r"on the (CPU|GPU)"))


def test_another_model_answers_for_the_same_photo(page: Page) -> None:
    give(page, CHAIR)
    wait_for_answer(page)
    expect(page.locator("#viewer .threshold")).to_be_visible()
    before = drawn(page)
    choose(page, "fcn")
    wait_for_answer(page, before)
    assert np.array_equal(mask(page), segdemo.segment(CHAIR, "fcn").labels)
    expect(page.locator("#viewer .threshold")).to_be_hidden()  # it has none


def test_sliders_colours_and_views_need_no_server(page: Page) -> None:
    give(page, CHAIR)
    wait_for_answer(page)
    page.wait_for_timeout(1000)  # the other tabs have heard of the photo
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url))
    photo, result = photo_of(CHAIR), segdemo.segment(CHAIR)

    slide(page, "opacity", 0)
    assert not differs(photo, seen(page)).any()
    slide(page, "opacity", 1)
    page.locator("#viewer input[type=color]").fill("#00ff00")
    inner = result.confidence > 0.9
    assert (seen(page)[(result.labels == 1) & inner][:, :3] == (0, 255, 0)).mean() > 0.9
    pale = seen(page)[outline(result.labels, 1)][:, :3]
    assert (pale[:, 1] == 255).mean() > 0.9 and (pale[:, 0] > 100).mean() > 0.9
    page.locator("#viewer canvas").hover()
    page.mouse.down()
    assert not differs(photo, seen(page)).any()
    page.mouse.up()
    assert differs(photo, seen(page)).any()

    slide(page, "threshold", 0.8)
    higher = segdemo.segment(CHAIR, threshold=0.8)
    expect_share(page, "chair", higher.coverage["chair"])
    green = (seen(page)[..., :3] == (0, 255, 0)).all(axis=-1)
    assert (green <= (higher.labels == 1)).all()

    show(page, "split")
    split = seen(page)
    assert not differs(photo, split)[:, :318].any() and differs(photo, split)[:, 322:].any()
    assert (split[:, 318:322] == 255).all()  # the line between them
    show(page, "cutout")
    assert np.array_equal(seen(page)[..., 3] == 255, higher.labels == 1)
    show(page, "sure")
    bright = seen(page)[..., 1].astype(int)
    sure = higher.confidence
    assert bright[sure > 0.99].min() > bright[(sure > 0.5) & (sure < 0.7)].max()
    assert bright[sure < 0.4].max() < bright[sure > 0.5].min()  # background by the threshold alone
    show(page, "overlay")
    legend(page).get_by_role("checkbox").uncheck()
    assert not differs(photo, seen(page)).any()
    # The threshold that rests is told to the server, for downloads and scores; nothing else is.
    assert not [url for url in asked if "/queue/" in url or "file=" in url], asked


def test_without_a_network_what_is_there_stays(page: Page) -> None:
    """One request that fails, and Gradio would load the page anew once there is a network."""
    give(page, CHAIR)
    wait_for_answer(page)
    page.wait_for_timeout(1000)
    away = lose(page, "**/gradio_api/{run,queue}/**", 100)
    slide(page, "threshold", 0.8)
    page.wait_for_timeout(500)  # it rests
    for name in ("Live camera", "In your code", "Photo"):
        open_tab(page, name)
    page.wait_for_timeout(2500)  # Gradio would have asked for the page
    away.clear()
    expect(page.get_by_text("Connection Lost")).to_have_count(0)
    expect_share(page, "chair", segdemo.segment(CHAIR, threshold=0.8).coverage["chair"])
    before = drawn(page)
    choose(page, "fcn")
    wait_for_answer(page, before)


def test_a_finger_that_scrolls_shows_no_other_picture(page: Page) -> None:
    give(page, CHAIR)
    wait_for_answer(page)
    canvas = page.locator("#viewer canvas")
    photo, before = photo_of(CHAIR), drawn(page)
    touch = {"pointerType": "touch", "button": 0, "bubbles": True}
    canvas.evaluate(
        "(canvas, touch) => { for (const name of ['pointerdown', 'pointermove', 'pointercancel']) "
        "canvas.dispatchEvent(new PointerEvent(name, touch)); }",
        touch,
    )
    page.wait_for_timeout(400)
    assert drawn(page) == before
    canvas.dispatch_event("pointerdown", touch)  # one that rests shows the photo alone
    wait_for_answer(page, before)
    assert not differs(photo, seen(page)).any()
    canvas.dispatch_event("pointerup", touch)
    assert differs(photo, seen(page)).any()


def test_what_is_nearly_nothing_is_not_told_as_nothing(page: Page) -> None:
    def one_pixel(route: Route) -> None:
        grey = np.zeros((480, 640), np.uint8)
        grey[:4, :4] = 200
        route.fulfill(body=grey_png(grey), content_type="image/png")

    page.route("**/file=**/map.png", one_pixel)
    give(page, CHAIR)
    expect(legend(page)).to_contain_text("chair< 0.1 %")


def copy(page: Page, kind: str, source: str) -> None:
    """Put something into the clipboard. source: JavaScript that makes a Blob."""
    page.evaluate(
        f"async () => navigator.clipboard.write([new ClipboardItem({{'{kind}': {source}}})])"
    )


def test_a_photo_from_the_clipboard_and_none(page: Page) -> None:
    give(page, CHAIR)
    wait_for_answer(page)
    paste = page.locator("#photo").get_by_label("Paste from clipboard")
    copy(page, "text/plain", "new Blob(['a chair'], {type: 'text/plain'})")
    paste.click()
    told = page.locator("#photo").get_by_role("alert")
    expect(told).to_have_text("There is no picture in the clipboard.")
    wait_for_answer(page)  # nothing is lost
    expect(legend(page)).to_contain_text("chair")
    expect(page.locator("#photo img")).to_be_visible()
    before = drawn(page)
    content = base64.b64encode(encode(Image.open(CAR), "PNG")).decode()
    copy(page, "image/png", f"await (await fetch('data:image/png;base64,{content}')).blob()")
    paste.click()
    wait_for_answer(page, before)
    expect(told).to_have_count(0)
    show(page, "overlay")
    slide(page, "opacity", 0)
    assert not differs(photo_of(CAR), seen(page)).any()


def test_what_was_hidden_in_a_photo_is_shown_in_the_next(page: Page) -> None:
    give(page, CHAIR)
    wait_for_answer(page)
    legend(page).get_by_role("checkbox").uncheck()
    seen(page)
    before = drawn(page)
    choose(page, "fcn")
    wait_for_answer(page, before)
    expect(legend(page).get_by_role("checkbox", name="chair")).not_to_be_checked()
    before = drawn(page)
    give(page, PICTURES["chair-office"])
    wait_for_answer(page, before)
    expect(legend(page).get_by_role("checkbox", name="chair")).to_be_checked()
    assert differs(photo_of(PICTURES["chair-office"]), seen(page)).any()


def test_everything_shown_can_be_done_by_keyboard(page: Page) -> None:
    give(page, CHAIR)
    wait_for_answer(page)
    photo = photo_of(CHAIR)
    assert differs(photo, seen(page)).any()
    page.locator("#viewer canvas").focus()
    page.keyboard.down(" ")
    assert not differs(photo, seen(page)).any()
    page.keyboard.up(" ")
    assert differs(photo, seen(page)).any()
    page.locator("#viewer .views input[value=overlay]").focus()
    page.keyboard.press("ArrowRight")
    expect(page.locator("#viewer .divider")).to_be_visible()
    page.keyboard.press("Tab")
    page.keyboard.press("Tab")
    expect(page.locator("#viewer .divider")).to_be_focused()
    page.keyboard.press("End")
    assert not differs(photo, seen(page))[:, :-2].any()


def test_downloads_are_as_it_was_set_and_of_the_photos_own_size(page: Page, tmp_path: Path) -> None:
    big = tmp_path / "my chair é.jpg"
    Image.open(CHAIR).convert("RGB").resize((2000, 1500)).save(big, quality=95)
    give(page, big)
    wait_for_answer(page)
    slide(page, "threshold", 0.7)
    slide(page, "opacity", 1)
    page.locator("#viewer input[type=color]").fill("#0000ff")
    labels = segdemo.segment(big, threshold=0.7).labels
    assert np.array_equal(mask(page), labels)
    files = unzipped(take(page, "zip"))
    assert {name.partition(".")[2] for name in files} == {
        "mask.png", "colours.png", "cutout.png", "overlay.jpg", "coco.json",
        "coco-polygons.json", "json",
    }  # fmt: skip
    overlay = np.asarray(Image.open(take(page, "overlay.jpg"))).astype(int)
    assert overlay.shape == (1500, 2000, 3)
    inner = segdemo.segment(big).confidence > 0.9
    assert np.abs(overlay - (0, 0, 255)).max(-1)[(labels == 1) & inner].mean() < 40
    cut = np.asarray(Image.open(take(page, "cutout.png")))
    assert np.array_equal(cut[..., 3] > 0, labels == 1)
    coloured = Image.open(take(page, "colours.png"))
    assert np.array_equal(np.asarray(coloured), labels)
    assert (np.asarray(coloured.convert("RGB"))[labels == 1] == (0, 0, 255)).all()
    coco = json.loads(take(page, "coco.json").read_text("utf-8"))
    assert sum(found["area"] for found in coco["annotations"]) == (labels == 1).sum()
    legend(page).get_by_role("checkbox").uncheck()
    assert not np.asarray(Image.open(take(page, "cutout.png"))).any()


def test_a_picture_from_the_webcam(page: Page) -> None:
    page.locator("#photo").get_by_label("Capture from camera").click()
    page.locator("#photo").get_by_text("Click to Access Webcam").click()
    # Facing the visitor, it is shown as a mirror; the picture is not one.
    expect(page.locator("#photo video")).to_have_class(re.compile("facing"))
    page.locator("#photo").get_by_label("capture photo").click()
    wait_for_answer(page)
    assert (mask(page) == 1).mean() > 0.02
    slide(page, "opacity", 0)
    assert differs(photo_of(CHAIR), seen(page), 60).mean() < 0.02


def lose(page: Page, what: str, times: int) -> list[bool]:
    """Let the next requests fail, and later ones if the list grows: what is left to be lost."""
    left = [True] * times
    # It stays: to take a route away is a race with what is on its way.
    page.route(what, lambda route: route.abort() if left and left.pop() else route.continue_())
    return left


def start_live(page: Page) -> None:
    page.locator("#camera").get_by_text("Click to Access Webcam").click()
    page.locator("#camera").get_by_text("Start", exact=True).click()
    expect(page.locator("#camera")).to_contain_text("Stop")
    page.evaluate(
        "window.camera = document.querySelector('#camera video').srcObject.getTracks()[0]"
    )


def test_a_camera_that_is_refused_is_told_of(page: Page) -> None:
    page.evaluate(
        "() => (navigator.mediaDevices.getUserMedia = () => "
        "Promise.reject(new DOMException('Permission denied', 'NotAllowedError')))"
    )
    open_tab(page, "Live camera")
    page.locator("#camera").get_by_text("Click to Access Webcam").click()
    told = page.locator("#camera").get_by_role("alert")
    expect(told).to_contain_text("allow the camera")
    expect(told).to_be_in_viewport(ratio=0.9)
    # Who has none for the photo either can still choose a file.
    open_tab(page, "Photo")
    page.locator("#photo").get_by_label("Capture from camera").click()
    page.locator("#photo").get_by_text("Click to Access Webcam").click()
    told = page.locator("#photo").get_by_role("alert")
    expect(told).to_contain_text("allow the camera")
    page.locator("#photo").get_by_label("Upload file").click()
    expect(told).to_have_count(0)
    give(page, CHAIR)
    wait_for_answer(page)


def expect_camera_off(page: Page) -> None:
    """Its light is off."""
    page.wait_for_function("window.camera.readyState === 'ended'")


def test_the_live_camera_is_segmented_until_it_is_stopped(page: Page) -> None:
    open_tab(page, "Live camera")
    start_live(page)
    wait_for_answer(page, viewer="#live-viewer")
    wait_for_answer(page, drawn(page, "#live-viewer") + 2, "#live-viewer")
    expect(page.locator("#live-viewer .facts")).to_contain_text("frames a second")
    expect(page.locator("#live-viewer .classes")).to_contain_text("chair")
    # The controls stay while frames come: they can be used.
    page.locator("#live-viewer input[type=color]").focus()
    page.locator("#live-viewer .classes b").evaluate("share => (share.textContent = '')")
    wait_for_answer(page, drawn(page, "#live-viewer") + 1, "#live-viewer")
    expect(page.locator("#live-viewer input[type=color]")).to_be_focused()
    expect(page.locator("#live-viewer .classes b")).to_have_text(re.compile("%"))
    page.locator("#camera").get_by_role("button", name="Stop").click()
    expect_camera_off(page)
    page.wait_for_timeout(3000)  # what was under way has come
    stopped = drawn(page, "#live-viewer")
    page.wait_for_timeout(2000)
    assert drawn(page, "#live-viewer") == stopped
    # It can be started again, and is off while nobody looks.
    start_live(page)
    wait_for_answer(page, stopped + 1, "#live-viewer")
    expect(page.locator("#camera video")).to_be_visible()  # and not the last frame of before
    open_tab(page, "Many photos")
    expect_camera_off(page)
    open_tab(page, "Live camera")
    expect(page.locator("#camera")).to_contain_text("Click to Access Webcam")


def test_live_frames_are_sent_as_fast_as_they_are_shown(page: Page) -> None:
    page.evaluate(
        """() => {
            const { fetch } = window;
            window.sent = window.shown = 0;
            window.fetch = (url, ...rest) => {
                if (String(url).includes('/stream/')) sent++;
                return fetch(url, ...rest);
            };
            document.addEventListener('frames-done', ({ detail }) => (shown += detail));
        }"""
    )
    open_tab(page, "Live camera")
    start_live(page)
    wait_for_answer(page, 15, "#live-viewer")
    # None waits for others, which would make the picture late: on a slow network more and more.
    sent, shown = page.evaluate("[sent, shown]")
    assert abs(sent - shown) <= 2
    # One that is lost does not end it.
    lost = lose(page, "**/stream/*", 3)
    wait_until(page, lambda: not lost)
    wait_for_answer(page, drawn(page, "#live-viewer") + 3, "#live-viewer")


def test_no_camera_stays_on_that_nobody_sees(page: Page) -> None:
    page.add_init_script(
        """const open = MediaDevices.prototype.getUserMedia;
        window.tracks = [];
        MediaDevices.prototype.getUserMedia = async function (wanted) {
            const stream = await open.call(this, wanted);
            while (window.late) await new Promise((done) => setTimeout(done, 50));
            window.tracks.push(...stream.getTracks());
            return stream;
        };"""
    )
    open_page(page, page.url)
    on = "() => window.tracks.map((track) => track.readyState === 'live')"

    def expect_on(*lights: bool) -> None:
        page.wait_for_function(f"lights => String(({on})()) === String(lights)", arg=list(lights))

    page.locator("#photo").get_by_label("Capture from camera").click()
    page.locator("#photo").get_by_text("Click to Access Webcam").click()
    expect_on(True)
    open_tab(page, "Compare")  # beside it, it is still seen
    page.wait_for_timeout(500)
    expect_on(True)
    open_tab(page, "Live camera")
    expect_on(False)
    page.locator("#camera").get_by_text("Click to Access Webcam").click()
    expect_on(False, True)
    # As when another one is chosen.
    page.evaluate("() => void navigator.mediaDevices.getUserMedia({ video: true })")
    expect_on(False, False, True)
    # One that comes when its tab is left.
    open_tab(page, "Many photos")
    open_tab(page, "Live camera")
    page.evaluate("window.late = true")
    page.locator("#camera").get_by_text("Click to Access Webcam").click()
    open_tab(page, "Many photos")
    expect(page.locator("#camera")).to_have_count(0)
    page.evaluate("window.late = false")
    expect_on(False, False, False, False)


def test_the_keyboard_stays_where_the_live_camera_was(page: Page) -> None:
    open_tab(page, "Live camera")
    start_live(page)
    wait_for_answer(page, 2, "#live-viewer")
    page.locator("#camera").get_by_role("button", name="Stop").focus()
    page.keyboard.press("Enter")
    start = page.locator("#camera").get_by_role("button", name="Click to Access Webcam")
    expect(start).to_be_focused()
    # What it saw last is still there, and not taken for what it sees.
    for told in (".facts", ".told"):
        expect(page.locator(f"#live-viewer {told}")).to_have_text("The camera is off.")


def test_a_live_camera_that_is_over_leaves_nothing_running(page: Page) -> None:
    page.add_init_script(
        """const { setInterval, clearInterval } = window;
        window.ticking = new Map();
        window.setInterval = (work, period, ...rest) => {
            const timer = setInterval(work, period, ...rest);
            ticking.set(timer, period);
            return timer;
        };
        window.clearInterval = (timer) => (clearInterval(timer), ticking.delete(timer));"""
    )
    page.reload()
    quick = "[...ticking.values()].filter((period) => period < 100).length"
    page.wait_for_selector("gradio-app[lang]", state="attached")
    for _ in range(2):
        open_tab(page, "Live camera")
        start_live(page)
        wait_for_answer(page, viewer="#live-viewer")
        assert page.evaluate(quick) == 1
        page.locator("#camera").get_by_role("button", name="Stop").click()
        expect(page.locator("#camera")).to_contain_text("Click to Access Webcam")
        assert page.evaluate(quick) == 1  # that of the camera which waits to be started
        open_tab(page, "Photo")
        page.wait_for_function(f"{quick} === 0")


def test_a_live_camera_that_waits_says_so(page: Page) -> None:
    page.route("**/queue/join*", lambda route: None)  # never answered
    open_tab(page, "Live camera")
    page.locator("#camera").get_by_text("Click to Access Webcam").click()
    page.locator("#camera").get_by_text("Start", exact=True).click()
    expect(page.locator("#live-viewer .message")).to_contain_text("no answer yet", timeout=60_000)


def test_the_live_camera_ends_when_the_queue_is_full(page: Page) -> None:
    open_tab(page, "Live camera")
    refused = [True]
    full = {"status": 503, "json": {"detail": "Queue is full."}}
    page.route(
        "**/queue/join*",
        lambda route: route.fulfill(**full) if refused and refused.pop() else route.continue_(),
    )
    page.locator("#camera").get_by_text("Click to Access Webcam").click()
    page.locator("#camera").get_by_text("Start", exact=True).click()
    told = "This was not answered. Please start the camera again in a minute."
    expect(page.locator("#live-viewer .message")).to_have_text(told)
    start_live(page)
    wait_for_answer(page, 3, "#live-viewer")


@contextmanager
def served_here(browser: Browser, folder: Path) -> Iterator[tuple[Page, Any]]:
    """A page that is served by this process, and Gradio's app behind it."""
    built = build_page()
    app, address, _ = built.launch(
        prevent_thread_lock=True,
        quiet=True,
        head=HEAD,
        js=JS,
        ssr_mode=False,
        app_kwargs=Service(folder).app_kwargs,
    )
    context = browser.new_context()
    page = context.new_page()
    try:
        open_page(page, address)
        yield page, app
    finally:
        context.close()
        built.close()


def test_the_live_camera_stops_by_itself(
    browser: Browser, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GRADIO_TEMP_DIR", str(tmp_path))
    monkeypatch.setattr("segdemo.ui.page.LIVE_SECONDS", 3)
    with served_here(browser, tmp_path) as (page, app):
        open_tab(page, "Live camera")
        start_live(page)
        wait_for_answer(page, viewer="#live-viewer")
        expect_camera_off(page)
        page.wait_for_timeout(2000)
        expect(page.locator("#camera")).to_contain_text("Click to Access Webcam")
        # What it saw is nowhere: a JPEG in base64 begins so.
        sessions = app.state_holder.session_data.values()
        assert sessions and not any("/9j/" in str(s.config_values) for s in sessions)


def three_quarters() -> SimpleNamespace:
    """Of weights that are being fetched."""
    return SimpleNamespace(arrived=6e6, total=8e6)


def test_who_waits_for_weights_is_answered_when_they_are_there(
    browser: Browser, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GRADIO_TEMP_DIR", str(tmp_path))
    repo = "somebody/segdemo-chair-unet"
    monkeypatch.setitem(hub._under_way, repo, None)
    with served_here(browser, tmp_path) as (page, _):
        give(page, CHAIR)
        expect(page.locator("#viewer .message")).to_contain_text("fetched")
        open_tab(page, "Look inside")
        expect(page.locator("#inside .message")).to_contain_text("fetched")
        open_tab(page, "See")
        monkeypatch.setitem(hub._under_way, repo, three_quarters())
        expect(page.locator("#viewer .message")).to_contain_text("75%")
        monkeypatch.delitem(hub._under_way, repo)
        wait_for_answer(page)


def test_a_page_that_the_server_has_forgotten_goes_on(
    browser: Browser, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As after an hour, or when a phone was asleep: Gradio deletes what it knows of a page."""
    monkeypatch.setenv("GRADIO_TEMP_DIR", str(tmp_path))
    with served_here(browser, tmp_path) as (page, app):
        give(page, CHAIR)
        wait_for_answer(page)
        open_tab(page, "Compare")
        first = page.locator("#compared img").first
        before = first.get_attribute("src")
        app.state_holder.session_data.clear()
        give(page, CAR)
        expect(first).not_to_have_attribute("src", before or "")


@pytest.mark.parametrize("name", ["car-street", "living-room"])
def test_an_example_is_one_click(page: Page, name: str) -> None:
    model = "fcn" if name == "living-room" else "car-unet-vgg16"
    page.locator("#shelf button").nth(sorted(PICTURES).index(name)).click()
    expect(page.locator("#model").get_by_role("radio", name=MODELS[model].title)).to_be_checked()
    # The legend ends with the answer of that model, not of the one that was chosen before.
    expected = segdemo.segment(PICTURES[name], model)
    expect_share(page, *max(expected.coverage.items(), key=lambda item: item[1]))
    assert np.array_equal(mask(page), expected.labels)


def test_sliders_have_names_for_who_does_not_see_them(page: Page) -> None:
    give(page, CHAIR)
    wait_for_answer(page)
    for name in ("Opacity", "Threshold"):
        slider = page.locator("#viewer").get_by_role("slider", name=name, exact=True)
        expect(slider).to_be_visible()


def test_an_answer_under_way_leaves_that_on_screen_as_it_is(page: Page) -> None:
    choose(page, "fcn")
    give(page, CHAIR)
    wait_for_answer(page)
    slide(page, "opacity", 0)
    words = legend(page).inner_text()
    held: list[Route] = []
    page.route("**/file=**", lambda route: held.append(route))
    choose(page, "car-unet-vgg16")
    wait_until(page, lambda: bool(held))
    slide(page, "opacity", 1)
    assert differs(photo_of(CHAIR), seen(page), 60).mean() > 0.02
    assert legend(page).inner_text() == words
    page.unroute("**/file=**")  # which lets those that are held go on
    expect(legend(page)).not_to_contain_text("chair")


def test_for_tabs_that_nobody_looks_at_nothing_waits_in_the_queue(page: Page) -> None:
    joined: list[str] = []
    page.on("request", lambda asked: joined.append(asked.url) if "/join" in asked.url else None)
    give(page, CHAIR)
    wait_for_answer(page)
    page.wait_for_timeout(1000)
    assert len(joined) == 1
    # An example that brings its model too is looked at once.
    page.locator("#shelf button").nth(sorted(PICTURES).index("car-street")).click()
    expect(legend(page)).to_contain_text("car")
    page.wait_for_timeout(1000)
    assert len(joined) == 2


def test_what_was_found_is_read_out(page: Page) -> None:
    give(page, CHAIR)
    wait_for_answer(page)
    part = segdemo.segment(CHAIR).coverage["chair"]
    told = page.locator("#viewer").get_by_role("status").filter(has_text="chair")
    expect(told).to_have_text(f"chair {100 * part:.1f} %")
    open_tab(page, "Compare")
    told = page.locator("#compared").get_by_role("status").filter(has_text="The same photo")
    expect(told).to_have_count(1)


def test_what_is_under_the_pointer_is_named(page: Page) -> None:
    give(page, CHAIR)
    wait_for_answer(page)
    result = segdemo.segment(CHAIR)
    sure = np.where(result.labels == 1, result.confidence, 0)
    canvas = page.locator("#viewer canvas")
    box = canvas.bounding_box()
    assert box
    for labels, word in (
        (sure, "chair"),
        (np.where(result.labels, 0, result.confidence), "background"),
    ):
        y, x = np.unravel_index(int(labels.argmax()), labels.shape)
        scale = box["width"] / labels.shape[1]
        canvas.hover(position={"x": (x + 0.5) * scale, "y": (y + 0.5) * scale})
        expect(page.locator("#viewer .point")).to_have_text(f"{word}, {100 * labels.max():.0f} %")
    slide(page, "threshold", 0.8)  # under a pointer that rests
    expect(page.locator("#viewer .point")).to_be_hidden()
    canvas.hover(position={"x": 5, "y": 5})
    expect(page.locator("#viewer .point")).to_be_visible()
    page.mouse.move(0, 0)
    expect(page.locator("#viewer .point")).to_be_hidden()


def test_a_full_queue_leaves_no_answer_of_another_photo(page: Page) -> None:
    give(page, CHAIR)
    wait_for_answer(page)
    open_tab(page, "Compare")
    expect(page.locator("#compared figure")).to_have_count(len(MODELS))
    full = {"status": 503, "json": {"detail": "Queue is full."}}
    page.route("**/queue/join*", lambda route: route.fulfill(**full))
    give(page, CAR)
    told = "This was not answered. Please try again in a minute, or give the photo again."
    expect(page.locator("#compared .message")).to_have_text(told)
    expect(page.locator("#compared figure")).to_have_count(0)
    open_tab(page, "See")
    expect(page.locator("#viewer .message")).to_have_text(told)
    expect(page.locator("#viewer .takes")).to_be_hidden()
    page.wait_for_timeout(1000)  # all that was refused has been
    page.unroute("**/queue/join*")
    choose(page, "fcn")
    wait_for_answer(page)
    expect(legend(page)).to_contain_text("car")


def test_an_answer_that_does_not_come_through_is_told_of(page: Page) -> None:
    lost = lose(page, "**/file=**/photo.webp", 2)
    give(page, CHAIR)
    expect(page.locator("#viewer .message")).to_contain_text("is there a network?")
    lost.append(True)
    choose(page, "fcn")  # once is made up for
    wait_for_answer(page)
    assert not lost


def test_a_photo_that_the_browser_cannot_show_has_arrived(page: Page, tmp_path: Path) -> None:
    Image.open(CHAIR).save(tmp_path / "chair.tiff")
    give(page, tmp_path / "chair.tiff")
    wait_for_answer(page)
    expect(page.get_by_alt_text("This browser cannot show this file.")).to_be_attached()


def test_browsers_that_hide_who_somebody_is_find_the_same(page: Page) -> None:
    """They change the lowest bits of a few pixels, as Firefox does in private windows."""
    page.evaluate(
        """() => {
          const { prototype } = OffscreenCanvasRenderingContext2D;
          const { getImageData } = prototype;
          prototype.getImageData = function (...area) {
            const picture = getImageData.apply(this, area);
            for (let i = 0; i < 400; i++) {
              const pixel = Math.floor((i / 400) * (picture.data.length / 4));
              picture.data[4 * pixel + (i % 3)] ^= 1 + (i % 2);
            }
            return picture;
          };
        }"""
    )
    choose(page, "fcn")
    give(page, CHAIR)
    wait_for_answer(page)
    labels = np.unique(mask(page))
    assert legend(page).locator("li").count() == np.count_nonzero(labels) > 0


def test_words_of_the_page_are_no_names_of_classes(page: Page) -> None:
    called = [page.evaluate(f"segdemo.thing('{name}')") for name in ("tvmonitor", "picture")]
    assert called == ["TV or monitor", "picture"]
    size = "{channels: %d, width: 1, height: 11}"
    maps = [page.evaluate(f"segdemo.t('stage', {size % channels})") for channels in (1, 9)]
    assert maps == ["1 map of 1 × 11", "9 maps of 1 × 11"]


def test_every_model_beside_the_others(page: Page) -> None:
    give(page, CHAIR)
    open_tab(page, "Compare")
    figures = page.locator("#compared figure")
    expect(figures).to_have_count(len(MODELS))
    for figure, spec in zip(figures.all(), MODELS.values(), strict=True):
        expect(figure).to_contain_text(spec.title)
        expect(figure).to_contain_text(re.compile(r"took \d+\.\d\d s"))
        expect(figure.locator("img")).to_have_js_property("naturalWidth", 640)
    part = segdemo.segment(CHAIR).coverage["chair"]
    expect(figures.first).to_contain_text(f"{100 * part:.1f} %")
    # Another photo, while the tab is open.
    clear(page, "#photo")
    expect(figures).to_have_count(0)
    give(page, CAR)
    expect(figures.nth(1)).to_contain_text("car")


def test_an_answer_is_scored_against_its_true_mask(page: Page, tmp_path: Path) -> None:
    page.locator("#shelf button").nth(sorted(PICTURES).index("car-side")).click()
    open_tab(page, "Score")
    spec = MODELS["car-unet-vgg16"]
    folder = open_folder(CAR.parents[2], "test", spec)
    truth = folder.labels(folder.images.index(CAR))
    scored = score_photo(segdemo.segment(CAR, spec.name).labels, truth, spec.classes)
    expected = f"IoU {100 * scored['classes']['car']['iou']:.1f} %"
    expect(page.locator("#scored section > .rows")).to_contain_text(expected)
    expect(page.locator("#scored figure")).to_have_count(3)
    expect(page.locator("#scored figure").last).to_contain_text("false alarm")
    # A mask of the visitor's own, black and white; then one that does not belong here.
    give(page, CAR)
    expect(page.locator("#scored figure")).to_have_count(0)  # the example's mask went with it
    Image.fromarray(np.uint8(truth == 1) * 255).save(tmp_path / "own.png")
    page.set_input_files("#truth input[type=file]", tmp_path / "own.png")
    expect(page.locator("#scored section > .rows")).to_contain_text(expected)
    clear(page, "#truth")
    Image.new("L", (10, 10)).save(tmp_path / "small.png")
    page.set_input_files("#truth input[type=file]", tmp_path / "small.png")
    expect(page.locator("#scored .message")).to_contain_text("10 x 10 pixels")


def test_the_true_mask_may_come_before_the_photo(page: Page, tmp_path: Path) -> None:
    choose(page, "chair-unet")
    open_tab(page, "Score")
    found = segdemo.segment(CHAIR, "chair-unet").labels
    Image.fromarray(found * 255).save(tmp_path / "own.png")
    page.set_input_files("#truth input[type=file]", tmp_path / "own.png")
    expect(page.locator("#truth img")).to_be_visible()
    give(page, CHAIR)
    expect(page.locator("#scored section > .rows")).to_contain_text("IoU 100")


@pytest.mark.parametrize("model", MODELS)
def test_a_look_inside_the_network(page: Page, model: str) -> None:
    choose(page, model)
    give(page, CHAIR)
    wait_for_answer(page)
    open_tab(page, "Look inside")
    titles = page.locator("#inside h3")
    expect(titles.first).to_have_text("What the network sees")
    told = titles.all_inner_texts()
    if model == "fcn":
        assert "The coarse answer" in told and "What a finer stage corrects" in told
    else:
        assert "The deepest stage" in told and "What a skip connection brings back" in told
    last = page.locator("#inside section").last
    expect(last).to_contain_text(re.compile(r"\d+\.\d % of the labels change"))
    for picture in page.locator("#inside img").all():
        picture.scroll_into_view_if_needed()
        expect(picture).not_to_have_js_property("naturalWidth", 0)


@pytest.mark.parametrize("model", MODELS)
def test_every_model_says_where_it_comes_from(page: Page, model: str) -> None:
    open_tab(page, "Models")
    choose(page, model, "#card-model")
    facts = read_facts(MODELS[model])
    expect(page.locator("#facts")).to_contain_text(facts["sha256"])
    expect(page.locator("#facts")).to_contain_text(", ".join(facts["data"]))
    if len(facts["curve"]) > 1:
        expect(page.locator("#facts .curve svg")).to_be_visible()
    expect(page.locator("#card")).to_contain_text("Where it fails")
    expect(page.locator("#card")).not_to_contain_text("<!--")
    expect(page.locator("#card img")).to_have_count(0)


def test_several_photos_one_of_them_bad(page: Page, tmp_path: Path) -> None:
    (tmp_path / "bad.jpg").write_text("hello")
    open_tab(page, "Many photos")
    page.set_input_files("#photos input[type=file]", [CHAIR, tmp_path / "bad.jpg", CAR])
    page.locator("#many-run").click()
    expect(page.locator("#many figure")).to_have_count(2)
    expect(page.locator("#many .rows").first).to_contain_text("This is a text file")
    with page.expect_download() as download:
        page.locator("#bundle").click()
    files = unzipped(Path(download.value.path()))
    assert {name.partition(".")[0] for name in files} == {CHAIR.stem, CAR.stem}


def test_a_bad_file_is_one_sentence_and_the_page_goes_on(page: Page, tmp_path: Path) -> None:
    give(page, CHAIR)
    wait_for_answer(page)
    bad = tmp_path / "<b>bad.png"
    bad.write_text("This is no picture.")
    clear(page, "#photo")
    give(page, bad)
    expect(page.locator("#viewer .message")).to_contain_text("This is a text file, not a picture")
    expect(page.locator("body")).not_to_contain_text("Traceback")
    # Nothing of the photo before is left to be mistaken for an answer.
    expect(page.locator("#viewer canvas")).to_be_hidden()
    expect(page.locator("#viewer .takes")).to_be_hidden()
    give(page, CAR)
    wait_for_answer(page)
    assert mask(page).shape == (480, 640)


def test_a_photo_without_a_car_is_answered_in_words(page: Page, tmp_path: Path) -> None:
    Image.new("RGB", (200, 150), (120, 120, 120)).save(tmp_path / "grey.png")
    choose(page, "car-unet-vgg16")
    give(page, tmp_path / "grey.png")
    expect(page.locator("#viewer .found")).to_contain_text("No car found here")


def test_code_is_copied_or_can_be(page: Page) -> None:
    open_tab(page, "In your code")
    page.get_by_role("button", name="Copy Python", exact=True).click()
    expect(page.locator("#snippets [role=status]")).to_have_text("Copied")
    assert "Client(" in page.evaluate("navigator.clipboard.readText()")
    # Over plain http there is no clipboard.
    page.evaluate("Object.defineProperty(navigator, 'clipboard', { value: undefined })")
    page.get_by_role("button", name="Copy curl", exact=True).click()
    expect(page.locator("#snippets [role=status]")).to_have_text("Selected: copy it now")
    assert page.evaluate("getSelection().toString()").startswith("photo=$(curl")


def test_every_language_says_everything() -> None:
    # What is the same everywhere.
    same = set("unsure sure percent percent_less iou_dice megabytes fact_sha256".split())
    for language, texts in TEXTS.items():
        assert set(TEXTS["en"]) - set(texts) <= same and not set(texts) - set(TEXTS["en"]), language
        for key, english in TEXTS["en"].items():
            own = texts.get(key, english)
            assert set(re.findall(r"{[\w:]+}", own)) == set(re.findall(r"{[\w:]+}", english)), key


def in_every_language(sentence: str) -> bool:
    """Whether there are words for what the server says, and for the phrases in it."""
    for key, english in TEXTS["en"].items():
        pattern = re.sub(r"\\{\w+\\}", "(.+?)", re.escape(english))
        found = key.startswith("said_") and re.fullmatch(pattern, sentence)
        if found:
            phrases = [part for part in found.groups() if " " in part and part not in TITLES]
            return all(key in texts for texts in TEXTS.values()) and all(
                in_every_language(phrase) for phrase in phrases
            )
    return False


TITLES = [spec.title for spec in MODELS.values()]


@pytest.mark.parametrize(
    "content",
    [b"hello", b"", b"%PDF", b"%!PS", b"<html>", b"<svg>", b"\xff" * 99, bytes(MAX_BYTES + 1)]
    + [CHAIR.read_bytes()[:99]],
    ids=lambda content: str(content[:5]),
)
def test_what_is_wrong_with_a_file_is_said_in_every_language(content: bytes) -> None:
    with pytest.raises(segdemo.BadImage) as raised:
        segdemo.segment(content)
    assert in_every_language(str(raised.value))


@pytest.mark.parametrize(
    ("mask", "model"),
    [
        (Image.new("L", (9, 9)), "fcn"),
        (Image.new("L", (8, 8), 77), "fcn"),
        (Image.new("L", (8, 8), 255), "fcn"),
        (Image.fromarray(np.uint8([range(8)] * 8)), "chair-unet"),
        (Image.new("RGB", (8, 8), "red"), "fcn"),
        (scene(1, 8, 8), "fcn"),
    ],
)
def test_what_is_wrong_with_a_mask_is_said_in_every_language(
    mask: Image.Image | np.ndarray, model: str, tmp_path: Path
) -> None:
    path = tmp_path / "mask.png"
    if isinstance(mask, Image.Image):
        mask.save(path)
    else:
        Image.fromarray(mask).save(path, "JPEG")
    with pytest.raises(segdemo.BadImage) as raised:
        read_truth(path, MODELS[model], (8, 8))
    assert in_every_language(str(raised.value)), str(raised.value)


@pytest.mark.parametrize(
    "error", [WeightsError(), MemoryError(), OSError(errno.ENOSPC, ""), KeyError()], ids=repr
)
def test_what_fails_here_is_said_in_every_language(error: Exception) -> None:
    assert in_every_language(reason(error))


def test_a_browser_of_another_language_shows_one_and_not_two(url: str, browser: Browser) -> None:
    context = browser.new_context(locale="de-DE")
    page = context.new_page()
    open_page(page, url)
    expect(page.locator("#photo")).to_contain_text("Drop Image Here")  # which is Gradio's
    expect(page.locator("footer")).to_contain_text("Use via API")
    context.close()


def test_a_download_is_told_in_every_language(monkeypatch: pytest.MonkeyPatch) -> None:
    for bar in (None, three_quarters()):
        monkeypatch.setitem(hub._under_way, "somebody/segdemo-fcn", bar)
        assert in_every_language(hub.under_way("fcn"))


def test_no_number_is_no_share() -> None:
    assert Share(0, 1, label="threshold").preprocess(1) == 1
    with pytest.raises(gr.Error, match="threshold must be a number from 0 to 1"):
        Share(0, 1, label="threshold").preprocess(float("nan"))  # clients send none, others may
    with pytest.raises(gr.Error, match="threshold must be a number from 0 to 1"):
        Share(0, 1, label="threshold").preprocess(10**400)


def test_a_mask_that_is_gone_is_told_of_as_what_it_is(tmp_path: Path) -> None:
    *_, scored, _ = figures.of_open_tab(
        "score", CHAIR, "chair-unet", str(tmp_path / "mask"), None, 0.5
    )
    assert in_every_language(scored["error"]) and "A file that you gave" in scored["error"]


def test_facts_that_lack_something_are_told_of(own_weights: Path) -> None:
    facts = own_weights / "fcn.json"
    facts.write_text(json.dumps({"model": "fcn", "classes": []}))
    told, card = models.present("fcn")
    assert in_every_language(told["error"]) and card == ""


def test_a_frame_comes_inside_the_request_and_a_photo_does_not() -> None:
    frame = ImageData(url="data:image/jpeg;base64,aGVsbG8=")
    assert Photo(sources=["webcam"], streaming=True).preprocess(frame) == b"hello"
    assert Photo().preprocess(frame) is None
    for broken in ("data:;base64,a", "data:;base64,é"):
        content = Photo(sources=["webcam"], streaming=True).preprocess(ImageData(url=broken))
        with pytest.raises(segdemo.BadImage):
            segdemo.segment(content)


@pytest.mark.parametrize(
    ("locale", "language"), [("vi-VN", "vi"), ("zh-CN", "zh"), ("zh-TW", "zh"), ("fr-FR", "en")]
)
def test_the_page_speaks_the_visitors_language(
    url: str, browser: Browser, locale: str, language: str, tmp_path: Path
) -> None:
    context = browser.new_context(locale=locale)
    page = context.new_page()
    open_page(page, url)
    texts = TEXTS["en"] | TEXTS[language]
    expect(page.locator("html")).to_have_attribute("lang", language)
    expect(page.locator("h1")).to_have_text(texts["title"])
    for tab in ("tab_photo", "tab_live", "tab_score", "tab_inside"):
        expect(page.get_by_role("tab", name=texts[tab], exact=True)).to_have_count(1)
    expect(page.locator("#photo")).to_contain_text(texts["photo"])
    if language == "vi":
        expect(page.locator("#photo button").first).to_have_attribute(
            "aria-label", texts["gradio_drop_here"]
        )
    give(page, CHAIR)
    wait_for_answer(page)
    comma = "," if language == "vi" else "."
    expect(legend(page)).to_contain_text(re.compile(rf"{texts['class_chair']}\d+\{comma}\d %"))
    # What Gradio says in a box of its own, and what the server says of one file among others.
    (tmp_path / "large.jpg").write_bytes(bytes(MAX_BYTES + 1))
    open_tab(page, texts["tab_many"])
    page.set_input_files("#photos input[type=file]", tmp_path / "large.jpg")
    expect(page.locator(".toast-wrap")).to_contain_text(texts["gradio_size"].partition("{")[0])
    (tmp_path / "Photo.jpg").write_text("hello")
    page.set_input_files("#photos input[type=file]", tmp_path / "Photo.jpg")
    expect(page.locator("#photos .stem")).to_have_text("Photo")
    page.locator("#many-run").click()
    expect(page.locator("#many .rows")).to_contain_text(texts["said_text"])
    context.close()


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("size", ["phone", "desktop"])
def test_the_page_fits_and_everybody_can_use_it(
    url: str, browser: Browser, scheme: str, size: str
) -> None:
    phone = size == "phone"
    viewport = PHONE if phone else {"width": 1280, "height": 900}
    # Without motion: contrast would be measured on what is still fading in.
    context = browser.new_context(
        viewport=viewport, is_mobile=phone, color_scheme=scheme, reduced_motion="reduce"
    )
    page = context.new_page()
    open_page(page, url)
    page.locator("#shelf button").nth(sorted(PICTURES).index("chair-dining")).click()
    wait_for_answer(page)
    expect(page.locator("#viewer canvas")).to_be_in_viewport(ratio=0.5)  # on a phone too
    background = page.evaluate("getComputedStyle(document.body).backgroundColor")
    brightness = np.mean([float(c) for c in background.strip("rgba()").split(",")[:3]])
    assert (brightness < 90) == (scheme == "dark")
    lefts = {
        page.locator(part).first.evaluate("part => Math.round(part.getBoundingClientRect().left)")
        for part in ("h1", "#photo", "#model .choice", "#shelf h2", "#privacy p")
    }
    assert len(lefts) == 1
    tabs = ["See", "Compare", "Score", "Live camera", "Look inside", "Many photos", "Models"]
    for tab in [*tabs, "In your code"]:
        if tab == "Look inside":
            open_tab(page, "Photo")
        open_tab(page, tab)
        # Pale while it is worked on, which may begin again.
        page.evaluate("window.pale = performance.now()")
        page.wait_for_function(
            "() => { const now = performance.now(); "
            "if (document.querySelector('.pending')) window.pale = now; "
            "return now - window.pale > 700; }"
        )
        assert page.evaluate("document.documentElement.scrollWidth") <= viewport["width"], tab
        violations = Axe().run(page).response["violations"]
        serious = [v for v in violations if v["impact"] in ("serious", "critical")]
        assert not serious, [(v["id"], [n["html"][:200] for n in v["nodes"]]) for v in serious]
    context.close()


def test_photos_and_answers_are_deleted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As the page promises; here after seconds instead of an hour."""
    monkeypatch.setenv("GRADIO_TEMP_DIR", str(tmp_path / "files"))
    page = build_page()
    assert page.delete_cache and sum(page.delete_cache) <= 2 * 3600
    page.delete_cache = (1, 20)
    ready(MODELS["fcn"])
    _, address, _ = page.launch(prevent_thread_lock=True, quiet=True, ssr_mode=False)

    def files() -> set[Path]:
        return {path for path in (tmp_path / "files").rglob("*") if path.is_file()}

    examples = files()
    Image.fromarray(scene(5)).save(tmp_path / "photo.png")
    try:
        client = Client(address, download_files=str(tmp_path / "taken"), verbose=False)
        photo = handle_file(tmp_path / "photo.png")
        client.predict(photo=photo, model="fcn", api_name="/segment")
        assert len(files() - examples) == 3  # photo, overlay, mask
        deadline = time.monotonic() + 120
        while files() > examples and time.monotonic() < deadline:
            time.sleep(0.5)
        assert files() == examples
    finally:
        page.close()
