"""The page in a real browser, and its API: what a visitor sees and takes away."""

import json
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from io import BytesIO
from pathlib import Path

import numpy as np
import pytest
from conftest import EXAMPLES, scene
from gradio_client import Client, handle_file
from gradio_client.exceptions import AppError
from PIL import Image
from playwright.sync_api import Browser, Page, expect, sync_playwright

import segdemo
from segdemo.engine import ready
from segdemo.registry import MODELS
from segdemo.ui import build_page

ROOT = Path(__file__).parent.parent
PICTURES = {path.stem: path for path in (EXAMPLES / "test" / "images").glob("*.webp")}
CHAIR, CAR = PICTURES["chair-dining"], PICTURES["car-side"]
PHONE = {"width": 390, "height": 844}


@pytest.fixture(scope="session")
def url() -> Iterator[str]:
    """The real server, on a free port of this machine."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    process = subprocess.Popen([sys.executable, "app.py", "--port", str(port)], cwd=ROOT)
    address = f"http://127.0.0.1:{port}/"
    try:
        wait_until_healthy(address, process)
        yield address
    finally:
        process.terminate()
        process.wait(30)


def wait_until_healthy(address: str, process: subprocess.Popen[bytes]) -> None:
    for _ in range(240):
        assert process.poll() is None, "the page did not start"
        try:
            with urllib.request.urlopen(f"{address}healthz", timeout=5):
                return
        except OSError:
            time.sleep(0.5)
    pytest.fail("the page is not healthy after two minutes")


@pytest.fixture(scope="session")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    """Chromium whose camera shows the chair, from a file."""
    camera = tmp_path_factory.mktemp("camera") / "chair.mjpeg"
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
        opened = playwright.chromium.launch(executable_path=path, args=arguments)
        yield opened
        opened.close()


@pytest.fixture
def page(url: str, browser: Browser) -> Iterator[Page]:
    context = browser.new_context(viewport={"width": 1280, "height": 900}, accept_downloads=True)
    context.grant_permissions(["camera"])
    opened = context.new_page()
    opened.set_default_timeout(60_000)
    open_page(opened, url)
    yield opened
    context.close()


def open_page(page: Page, url: str) -> None:
    page.goto(url)
    page.wait_for_selector("#photo input[type=file]", state="attached")


def give(page: Page, photo: Path) -> None:
    page.set_input_files("#photo input[type=file]", photo)


def choose(page: Page, model: str) -> None:
    page.get_by_role("radio", name=MODELS[model].title).check()


def answer(page: Page, unlike: str | None = None) -> tuple[str, Image.Image]:
    """Address and pixels of the overlay, once it is another than `unlike`."""
    page.wait_for_function(
        "old => { const i = document.querySelector('#shown img'); return i && i.src !== old; }",
        arg=unlike,
    )
    address = page.locator("#shown img").get_attribute("src") or ""
    return address, Image.open(BytesIO(page.request.get(address).body())).convert("RGB")


def download_mask(page: Page) -> Image.Image:
    with page.expect_download() as download:
        page.locator("#mask").click()
    return Image.open(download.value.path())


def differs(one: Image.Image, other: Image.Image) -> np.ndarray:
    """bool [H, W]: pixels that differ by more than lossy compression does."""
    return np.abs(np.asarray(one).astype(int) - np.asarray(other)).max(axis=-1) > 40


@pytest.mark.parametrize(
    ("photo", "model"), [(CHAIR, "chair-unet"), (CAR, "car-unet-vgg16"), (CHAIR, "fcn")]
)
def test_a_photo_in_an_overlay_and_a_mask_out(page: Page, photo: Path, model: str) -> None:
    choose(page, model)
    give(page, photo)
    _, overlay = answer(page)
    mask = download_mask(page)
    original = Image.open(photo).convert("RGB")
    assert mask.format == "PNG" and mask.size == original.size == overlay.size
    labels = np.asarray(mask)
    assert labels.dtype == np.uint8
    assert set(np.unique(labels)) <= set(range(len(MODELS[model].classes)))
    assert (labels > 0).mean() > 0.02
    changed = differs(original, overlay)
    assert changed[labels > 0].mean() > 0.8
    assert changed[labels == 0].mean() < 0.03
    assert np.array_equal(labels, segdemo.segment(photo, model).labels)
    # The legend tells the share of each class.
    for name, part in segdemo.segment(photo, model).coverage.items():
        if part > 0.001:
            expect(page.locator("#legend")).to_contain_text(f"{name}{100 * part:.1f} %")
    expect(page.locator("#legend")).to_contain_text("on the CPU" if not gpu() else "on the GPU")


def gpu() -> bool:
    import torch

    return torch.cuda.is_available()


def test_another_model_answers_for_the_same_photo(page: Page) -> None:
    give(page, CHAIR)
    first, _ = answer(page)
    choose(page, "fcn")
    second, _ = answer(page, unlike=first)
    assert np.array_equal(np.asarray(download_mask(page)), segdemo.segment(CHAIR, "fcn").labels)
    expect(page.locator("#threshold")).to_be_hidden()  # it has none
    choose(page, "chair-unet")
    answer(page, unlike=second)
    expect(page.locator("#threshold")).to_be_visible()


def test_opacity_and_threshold_change_what_is_seen(page: Page) -> None:
    give(page, CHAIR)
    address, strong = answer(page)
    page.locator("#opacity input[type=range]").press("Home")
    address, bare = answer(page, unlike=address)
    assert not differs(bare, Image.open(CHAIR).convert("RGB")).any()
    assert differs(strong, bare).any()
    before = np.asarray(download_mask(page)).sum()
    page.locator("#threshold input[type=range]").press("End")
    answer(page, unlike=address)
    assert np.asarray(download_mask(page)).sum() < before


def test_a_picture_from_the_webcam(page: Page) -> None:
    page.locator("#photo").get_by_label("Capture from camera").click()
    page.locator("#photo").get_by_text("Click to Access Webcam").click()
    page.locator("#photo").get_by_label("capture photo").click()
    _, overlay = answer(page)
    mask = np.asarray(download_mask(page))
    assert mask.shape == overlay.size[::-1]
    assert (mask == 1).mean() > 0.02


@pytest.mark.parametrize("name", ["car-street", "living-room"])
def test_an_example_is_one_click(page: Page, name: str) -> None:
    model = "fcn" if name == "living-room" else "car-unet-vgg16"
    page.locator(".gallery-item").nth(sorted(PICTURES).index(name)).click()
    expect(page.get_by_role("radio", name=MODELS[model].title)).to_be_checked()
    # The legend ends with the answer of that model, not of the one that was chosen before.
    expected = segdemo.segment(PICTURES[name], model)
    name, part = max(expected.coverage.items(), key=lambda item: item[1])
    expect(page.locator("#legend")).to_contain_text(f"{name}{100 * part:.1f} %", timeout=20_000)
    assert np.array_equal(np.asarray(download_mask(page)), expected.labels)


def test_a_bad_file_is_one_sentence_and_the_page_goes_on(page: Page, tmp_path: Path) -> None:
    give(page, CHAIR)
    address, _ = answer(page)
    bad = tmp_path / "<b>bad.png"
    bad.write_text("This is no picture.")
    page.get_by_label("Remove Image").or_(page.get_by_label("Clear")).first.click()
    give(page, bad)
    expect(page.locator("#legend")).to_contain_text("This is a text file, not a picture")
    expect(page.locator("body")).not_to_contain_text("Traceback")
    # Nothing of the photo before is left to be mistaken for an answer.
    expect(page.locator("#shown img")).to_have_count(0)
    expect(page.locator("#mask")).to_be_disabled()
    give(page, CAR)
    answer(page, unlike=address)
    assert np.asarray(download_mask(page)).shape == (480, 640)


def test_a_photo_without_a_car_is_answered_in_words(page: Page, tmp_path: Path) -> None:
    Image.new("RGB", (200, 150), (120, 120, 120)).save(tmp_path / "grey.png")
    choose(page, "car-unet-vgg16")
    give(page, tmp_path / "grey.png")
    answer(page)
    expect(page.locator("#legend")).to_contain_text("No car found")


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_the_page_fits_a_phone(url: str, browser: Browser, scheme: str) -> None:
    context = browser.new_context(viewport=PHONE, is_mobile=True, color_scheme=scheme)
    page = context.new_page()
    page.set_default_timeout(60_000)
    open_page(page, url)
    give(page, CHAIR)
    answer(page)
    assert page.evaluate("document.documentElement.scrollWidth") <= PHONE["width"]
    background = page.evaluate("getComputedStyle(document.body).backgroundColor")
    brightness = np.mean([float(c) for c in background.strip("rgba()").split(",")[:3]])
    assert (brightness < 90) == (scheme == "dark")
    context.close()


def test_health(url: str) -> None:
    with urllib.request.urlopen(f"{url}healthz") as reply:
        assert reply.status == 200
        assert json.load(reply)["status"] == "ok"


@pytest.fixture(scope="session")
def client(url: str, tmp_path_factory: pytest.TempPathFactory) -> Client:
    return Client(url, download_files=str(tmp_path_factory.mktemp("files")), verbose=False)


@pytest.mark.parametrize("model", MODELS)
def test_the_api_gives_overlay_mask_and_report(client: Client, model: str) -> None:
    overlay, mask, report = client.predict(
        photo=handle_file(CHAIR), model=model, threshold=0.6, opacity=0.4, api_name="/segment"
    )
    expected = segdemo.segment(CHAIR, model, 0.6)
    assert np.array_equal(np.asarray(Image.open(mask)), expected.labels)
    assert Image.open(overlay).size == (640, 480)
    assert report["model"] == model and report["size"] == [640, 480]
    assert report["device"] in ("cpu", "cuda")
    for name, percent in report["coverage"].items():
        assert percent == pytest.approx(100 * expected.coverage[name], abs=0.01)
    assert all(spent >= 0 for spent in report["milliseconds"].values())


def test_the_api_needs_only_a_photo(client: Client) -> None:
    _, mask, report = client.predict(photo=handle_file(CHAIR), api_name="/segment")
    assert report["model"] == next(iter(MODELS))
    assert np.array_equal(np.asarray(Image.open(mask)), segdemo.segment(CHAIR).labels)


def test_only_the_promised_endpoint_is_public(client: Client) -> None:
    named = client.view_api(return_format="dict")["named_endpoints"]
    assert list(named) == ["/segment"]
    names = [p["parameter_name"] for p in named["/segment"]["parameters"]]
    assert names == ["photo", "model", "threshold", "opacity"]


def test_the_api_says_in_a_sentence_what_is_wrong(client: Client, tmp_path: Path) -> None:
    with pytest.raises(AppError, match="no photo"):
        client.predict(photo=None, model="fcn", api_name="/segment")
    (tmp_path / "text.jpg").write_text("hello")
    with pytest.raises(AppError, match="text file"):
        client.predict(photo=handle_file(tmp_path / "text.jpg"), api_name="/segment")
    Image.fromarray(scene(1)).save(tmp_path / "good.png")
    with pytest.raises(AppError):
        client.predict(
            photo=handle_file(tmp_path / "good.png"), model="nothing", api_name="/segment"
        )
    client.predict(photo=handle_file(tmp_path / "good.png"), model="fcn", api_name="/segment")


def test_each_visitor_gets_an_answer_of_their_own(url: str) -> None:
    """Four at once with the same photo: the right answer, each in a file of its own."""
    client = Client(url, download_files=False, verbose=False)
    jobs = [
        client.submit(photo=handle_file(CHAIR), model="fcn", api_name="/segment") for _ in range(4)
    ]
    masks = [job.result()[1] for job in jobs]
    assert len({mask["path"] for mask in masks}) == 4
    expected = segdemo.segment(CHAIR, "fcn").labels
    for mask in masks:
        with urllib.request.urlopen(mask["url"]) as reply:
            assert np.array_equal(np.asarray(Image.open(BytesIO(reply.read()))), expected)


def test_photos_and_answers_are_deleted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As the page promises; here after seconds instead of an hour."""
    monkeypatch.setenv("GRADIO_TEMP_DIR", str(tmp_path / "files"))
    page = build_page()
    assert page.delete_cache and sum(page.delete_cache) <= 2 * 3600
    page.delete_cache = (1, 8)
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
        deadline = time.monotonic() + 60
        while files() > examples and time.monotonic() < deadline:
            time.sleep(0.5)
        assert files() == examples
    finally:
        page.close()
