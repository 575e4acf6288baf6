"""A visitor in a browser: what they do, and what they see."""

import base64
from collections.abc import Callable
from io import BytesIO
from pathlib import Path
from zipfile import ZipFile

import numpy as np
import visitor
from numpy.typing import NDArray
from PIL import Image
from playwright.sync_api import Locator, Page, expect

from segdemo.registry import MODELS

PHONE = {"width": 390, "height": 844}


def open_page(page: Page, url: str) -> None:
    page.set_default_timeout(60_000)
    page.goto(url)
    page.wait_for_selector("#photo input[type=file]", state="attached")
    page.wait_for_selector("gradio-app[lang]", state="attached")  # page.js has run


def wait_until(page: Page, true: Callable[[], bool]) -> None:
    """Until something has come about that the browser tells of, in this pause and in no other."""
    visitor.wait_until(true, 60, lambda seconds: page.wait_for_timeout(1000 * seconds))


def give(page: Page, photo: Path) -> None:
    page.set_input_files("#photo input[type=file]", photo)


def clear(page: Page, where: str) -> None:
    """Take a picture out again."""
    place = page.locator(where)
    place.get_by_label("Remove Image").or_(place.get_by_label("Clear")).first.click()


def choose(page: Page, model: str, where: str = "#model") -> None:
    page.locator(where).get_by_role("radio", name=MODELS[model].title).check()


def open_tab(page: Page, name: str) -> None:
    page.get_by_role("tab", name=name, exact=True).click()


def drawn(page: Page, viewer: str = "#viewer") -> int:
    """How often the viewer has drawn."""
    return int(page.locator(f"{viewer} .viewer").get_attribute("data-drawn") or 0)


def wait_for_answer(page: Page, before: int = 0, viewer: str = "#viewer") -> None:
    """Until the viewer has drawn more often than `before`, and nothing is under way."""
    page.wait_for_function(
        "([viewer, before]) => { const { state, drawn } = document.querySelector(viewer + "
        "' .viewer').dataset; return state === 'answer' && Number(drawn ?? 0) > before; }",
        arg=[viewer, before],
    )


def seen(page: Page, viewer: str = "#viewer") -> NDArray[np.uint8]:
    """What the viewer's canvas shows, RGBA, once it has caught up with the last input."""
    page.evaluate("() => new Promise((done) => requestAnimationFrame(() => setTimeout(done, 0)))")
    data = page.locator(f"{viewer} canvas").evaluate("canvas => canvas.toDataURL('image/png')")
    content = base64.b64decode(data.partition(",")[2])
    return np.asarray(Image.open(BytesIO(content)).convert("RGBA"))


def slide(page: Page, which: str, value: float) -> None:
    """Move a slider of the viewer."""
    page.locator(f"#viewer .{which} input, #viewer input.{which}").fill(str(value))


def show(page: Page, view: str) -> None:
    page.locator(f"#viewer .views input[value={view}]").check(force=True)


def take(page: Page, ending: str) -> Path:
    """Click one of the downloads; the file, under the name that it is given."""
    with page.expect_download() as download:
        page.locator(f"#viewer .takes button[value='{ending}']").click()
    path = Path(download.value.path()).with_name(download.value.suggested_filename)
    download.value.save_as(path)
    return path


def mask(page: Page) -> NDArray[np.uint8]:
    return np.asarray(Image.open(take(page, "mask.png")))


def unzipped(path: Path) -> dict[str, bytes]:
    with ZipFile(path) as archive:
        return {name: archive.read(name) for name in archive.namelist()}


def legend(page: Page) -> Locator:
    return page.locator("#viewer .classes")


def expect_share(page: Page, name: str, part: float) -> None:
    """The legend tells the share of a class, 0..1."""
    expect(legend(page)).to_contain_text(f"{name}{100 * part:.1f} %")


def differs(one: NDArray[np.uint8], other: NDArray[np.uint8], by: int = 40) -> NDArray[np.bool_]:
    """bool [H, W]: pixels that differ by more than lossy compression does."""
    return np.abs(one[..., :3].astype(int) - other[..., :3]).max(axis=-1) > by
