"""The endpoints for other programs: what they take, what they give, and how they say no."""

import json
import urllib.request
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from browsing import unzipped
from conftest import CHAIR, PICTURES, scene
from gradio_client import Client, handle_file
from gradio_client.exceptions import AppError
from PIL import Image

import segdemo
from segdemo.data import open_folder
from segdemo.images import load_image
from segdemo.overlay import colours_of, paint
from segdemo.registry import MODELS
from segdemo.score import score_photo
from segdemo.ui import api
from segdemo.views import hits_picture

CAR = PICTURES["car-side"]
PARAMETERS = {
    "/segment": ["photo", "model", "threshold", "opacity"],
    "/compare": ["photo", "threshold", "opacity"],
    "/score": ["photo", "truth", "model", "threshold"],
    "/batch": ["photos", "model", "threshold"],
}


@pytest.fixture(scope="module")
def client(url: str, tmp_path_factory: pytest.TempPathFactory) -> Client:
    return Client(url, download_files=str(tmp_path_factory.mktemp("files")), verbose=False)


def test_health(url: str) -> None:
    with urllib.request.urlopen(f"{url}healthz") as reply:
        assert reply.status == 200
        assert json.load(reply)["status"] == "ok"


def test_no_example_is_an_address(client: Client) -> None:
    """They would be refused."""
    told = client.view_api(return_format="dict")
    assert "https://" not in json.dumps(told) and "photo.jpg" in json.dumps(told)


@pytest.mark.parametrize("model", MODELS)
def test_segment_gives_overlay_mask_and_report(client: Client, model: str) -> None:
    overlay, mask, report = client.predict(
        photo=handle_file(CHAIR), model=model, threshold=0.6, opacity=0.4, api_name="/segment"
    )
    expected = segdemo.segment(CHAIR, model, 0.6)
    assert np.array_equal(np.asarray(Image.open(mask)), expected.labels)
    check_painted(overlay, expected, 0.4)
    assert report["model"] == model and report["size"] == [640, 480]
    assert report["device"] in ("cpu", "cuda")
    for name, percent in report["coverage"].items():
        assert percent == pytest.approx(100 * expected.coverage[name], abs=0.01)
    assert all(spent >= 0 for spent in report["milliseconds"].values())


def check_painted(overlay: str, found: segdemo.Segmentation, opacity: float) -> None:
    """Within what WebP loses."""
    colours = colours_of(found.classes)
    expected = paint(load_image(CHAIR), found.labels, opacity, colours).astype(int)
    assert np.abs(np.asarray(Image.open(overlay).convert("RGB")) - expected).mean() < 3


def test_segment_needs_only_a_photo(client: Client) -> None:
    _, mask, report = client.predict(photo=handle_file(CHAIR), api_name="/segment")
    assert report["model"] == next(iter(MODELS))
    assert np.array_equal(np.asarray(Image.open(mask)), segdemo.segment(CHAIR).labels)


def test_compare_asks_every_model(client: Client) -> None:
    overlays, reports = client.predict(
        photo=handle_file(CHAIR), threshold=0.8, opacity=0.3, api_name="/compare"
    )
    assert [report["model"] for report in reports] == list(MODELS)
    for overlay, report in zip(overlays, reports, strict=True):
        expected = segdemo.segment(CHAIR, report["model"], 0.8)
        check_painted(overlay, expected, 0.3)
        assert all(part == pytest.approx(100 * expected.coverage[n], abs=0.01)
                   for n, part in report["coverage"].items())  # fmt: skip


def test_score_measures_against_the_truth(client: Client) -> None:
    spec = MODELS["car-unet-vgg16"]
    folder = open_folder(CAR.parents[2], "test", spec)
    index = folder.images.index(CAR)
    hits, scores = client.predict(
        photo=handle_file(CAR),
        truth=handle_file(folder.masks[index]),
        model=spec.name,
        threshold=0.8,
        api_name="/score",
    )
    labels, truth = segdemo.segment(CAR, spec.name, 0.8).labels, folder.labels(index)
    assert scores == score_photo(labels, truth, spec.classes)
    expected = hits_picture(load_image(CAR), labels, truth).astype(int)
    assert np.abs(np.asarray(Image.open(hits).convert("RGB")) - expected).mean() < 3


def test_batch_goes_on_after_a_bad_photo(client: Client, tmp_path: Path) -> None:
    (tmp_path / "bad.jpg").write_text("hello")
    photos = [handle_file(path) for path in (CHAIR, tmp_path / "bad.jpg", CAR)]
    model = "car-unet-vgg16"
    zipped, reports = client.predict(photos=photos, model=model, threshold=0.8, api_name="/batch")
    assert [report["name"] for report in reports] == [CHAIR.name, "bad.jpg", CAR.name]
    assert "text file" in reports[1]["error"]
    files = unzipped(Path(zipped))
    mask = np.asarray(Image.open(BytesIO(files[f"{CAR.stem}.mask.png"])))
    assert np.array_equal(mask, segdemo.segment(CAR, model, 0.8).labels)
    assert f"{CAR.stem}.coco.json" in files and len(files) == 14


def test_batch_goes_on_when_a_photo_fails_otherwise(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GRADIO_TEMP_DIR", str(tmp_path))
    predict = api.predict

    def full(path: str, *rest: Any) -> Any:
        if path == str(CAR):
            raise MemoryError
        return predict(path, *rest)

    monkeypatch.setattr(api, "predict", full)
    zipped, reports = api.batch([str(CHAIR), str(CAR)], "chair-unet", 0.5)
    assert f"{CHAIR.stem}.mask.png" in unzipped(Path(zipped))
    assert "coverage" in reports[0] and "error" in reports[1]


def test_only_the_promised_endpoints_are_public_and_each_is_described(
    client: Client, url: str
) -> None:
    named = client.view_api(return_format="dict")["named_endpoints"]
    for name, endpoint in named.items():
        assert [p["parameter_name"] for p in endpoint["parameters"]] == PARAMETERS[name]
    assert set(named) == set(PARAMETERS)
    with urllib.request.urlopen(f"{url}gradio_api/info") as reply:
        info = json.load(reply)["named_endpoints"]
    assert all(endpoint["description"] for endpoint in info.values())


def test_the_api_says_in_a_sentence_what_is_wrong(client: Client, tmp_path: Path) -> None:
    for name in ("/segment", "/compare", "/score"):
        with pytest.raises(AppError, match="There is no"):
            client.predict(**{"photo": None, "api_name": name} | no_truth(name))
    for number in (0, 21):
        with pytest.raises(AppError, match="Send 1 to 20 photos"):
            client.predict(photos=[handle_file(CHAIR)] * number, api_name="/batch")
    (tmp_path / "text.jpg").write_text("hello")
    with pytest.raises(AppError, match="text file"):
        client.predict(photo=handle_file(tmp_path / "text.jpg"), api_name="/segment")
    Image.fromarray(scene(1)).save(tmp_path / "good.png")
    with pytest.raises(AppError):
        client.predict(
            photo=handle_file(tmp_path / "good.png"), model="nothing", api_name="/segment"
        )
    for wrong in (None, "0.5", [1], 2):
        with pytest.raises(AppError, match="threshold must be a number from 0 to 1"):
            client.predict(
                photo=handle_file(tmp_path / "good.png"), threshold=wrong, api_name="/segment"
            )
    client.predict(photo=handle_file(tmp_path / "good.png"), model="fcn", api_name="/segment")


def no_truth(name: str) -> dict[str, None]:
    return {"truth": None} if name == "/score" else {}


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
