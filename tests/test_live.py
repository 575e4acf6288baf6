"""What the live camera gets back for a frame."""

import base64
from io import BytesIO

import pytest
from conftest import scene
from odd_inputs import encode
from PIL import Image

import segdemo
from segdemo.engine import Runner
from segdemo.ui.answers import frame


def loaded(url: str) -> Image.Image:
    return Image.open(BytesIO(base64.b64decode(url.partition(",")[2])))


def test_a_frame_comes_back_as_it_was_sent() -> None:
    sent = encode(Image.fromarray(scene(3, 480, 640)), "JPEG", quality=80)
    value = frame(sent, "fcn")
    assert base64.b64decode(value["photo"].partition(",")[2]) == sent
    assert value["size"] == [640, 480]
    assert {loaded(value[name]).size for name in ("photo", "map", "sure")} == {(640, 480)}


def test_a_frame_is_shown_to_the_network_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """The next one comes anyway; a photo of its own is worth its mirror image too."""
    asked, scores = [], Runner.scores
    monkeypatch.setattr(Runner, "scores", lambda self, x: asked.append(x) or scores(self, x))
    sent = encode(Image.fromarray(scene(4, 480, 640)), "JPEG")
    assert "photo" in frame(sent, "fcn") and len(asked) == 1
    segdemo.segment(Image.open(BytesIO(sent)), "fcn")
    assert len(asked) == 3


def test_a_frame_larger_than_a_screen_is_sent_back_smaller() -> None:
    sent = encode(Image.fromarray(scene(3, 1080, 1920)), "JPEG")
    value = frame(sent, "chair-unet")
    assert value["size"] == [1920, 1080]
    assert loaded(value["photo"]).size == loaded(value["map"]).size == (1280, 720)


def test_a_turned_frame_lies_under_its_answer() -> None:
    """Its size is told upright, and browsers turn the photo as its EXIF says."""
    exif = Image.Exif()
    exif[274] = 6
    value = frame(encode(Image.fromarray(scene(3, 480, 640)), "JPEG", exif=exif), "chair-unet")
    assert value["size"] == [480, 640]
    assert loaded(value["map"]).size == (480, 640)


def test_what_is_no_picture_is_a_sentence() -> None:
    assert frame(b"\0", "fcn")["error"].endswith(".")
    assert set(frame(b"\0", "fcn")) == {"error", "at"}
    # Told of each frame: the page sends no other before it has heard of this one.
    assert frame(b"\0", "fcn") != frame(b"\0", "fcn")
