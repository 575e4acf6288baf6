"""What a person takes away, read by the tools it is for."""

import json
from io import BytesIO
from pathlib import Path
from zipfile import ZipFile

import numpy as np
import pytest
import torch
from conftest import EXAMPLES, scene
from numpy.typing import NDArray
from PIL import Image
from pycocotools import mask as coco_mask
from pycocotools.coco import COCO

from segdemo.engine import Segmentation
from segdemo.exports import Style, bundle, coco, free_stem, save_one
from segdemo.images import BadImage
from segdemo.overlay import COLOURS
from segdemo.predict import Photo, Prediction, predict
from segdemo.registry import MODELS, VOC

MASKS = sorted((EXAMPLES / "test" / "masks").glob("*.png"))
PHOTO = EXAMPLES / "test" / "images" / "living-room.webp"


def ring() -> NDArray[np.uint8]:
    """A region with two holes, another in one of them, one alone, and two that touch by corners."""
    labels = np.zeros((30, 40), np.uint8)
    labels[2:22, 2:22] = 1
    labels[4:7, 4:7] = labels[10:18, 10:18] = 0
    labels[12:15, 12:15] = 2
    labels[25:, 30:] = labels[20:25, 25:30] = 1
    return labels


def decoded(path: Path, content: dict, label: int) -> list[NDArray[np.uint8]]:
    """The masks of a class, as pycocotools reads them from the file."""
    path.write_text(json.dumps(content))
    data = COCO(str(path))
    return [data.annToMask(a) for a in data.loadAnns(data.getAnnIds(catIds=[label]))]


@pytest.mark.parametrize("path", [None, *MASKS], ids=lambda path: path.stem if path else "ring")
def test_pycocotools_reads_the_masks_that_were_written(path: Path | None, tmp_path: Path) -> None:
    labels = np.asarray(Image.open(path)) if path else ring()
    exact = coco(labels, VOC, "photo.jpg")
    outlines = coco(labels, VOC, "photo.jpg", polygons=True)
    for label in np.unique(labels[labels > 0]).tolist():
        truth = labels == label
        parts = decoded(tmp_path / "exact.json", exact, label)
        assert np.array_equal(sum(parts), truth)  # each pixel once
        drawn = np.any(decoded(tmp_path / "outlines.json", outlines, label), axis=0)
        assert (drawn & truth).sum() / (drawn | truth).sum() > 0.98, VOC[label]


def test_the_annotations_are_as_pycocotools_would_write_them() -> None:
    labels = ring()
    annotations = coco(labels, VOC, "photo.jpg")["annotations"]
    assert [a["category_id"] for a in annotations] == [1, 2, 1, 1]
    for annotation in annotations:
        rle = annotation["segmentation"]
        mask = coco_mask.decode(rle)
        assert coco_mask.encode(np.asfortranarray(mask))["counts"].decode() == rle["counts"]
        assert annotation["area"] == mask.sum()
        assert annotation["bbox"] == coco_mask.toBbox(rle).tolist()


@pytest.mark.parametrize("seed", range(5))
def test_any_noise_is_exact(seed: int, tmp_path: Path) -> None:
    random = np.random.default_rng(seed)
    labels = random.integers(0, 3, random.integers(1, 12, 2)).astype(np.uint8)
    for label in (1, 2):
        for polygons in (False, True):
            content = coco(labels, VOC[:3], "photo.jpg", polygons)
            parts = decoded(tmp_path / "noise.json", content, label)
            assert np.array_equal(sum(parts, np.zeros(labels.shape)), labels == label)


def test_a_photo_in_which_nothing_is_found_has_no_annotations() -> None:
    content = coco(np.zeros((3, 5), np.uint8), VOC, "photo.jpg")
    assert content["annotations"] == [] and len(content["categories"]) == 20
    assert content["images"][0] == {"id": 1, "file_name": "photo.jpg", "width": 5, "height": 3}


def answer(photo: NDArray[np.uint8], labels: NDArray[np.uint8]) -> Prediction:
    """A prediction that says `labels`."""
    logits = torch.from_numpy(labels == np.arange(21)[:, None, None]) * 9.0
    result = Segmentation(logits, labels.shape, tuple(VOC))
    return Prediction(MODELS["fcn"], result, Photo(photo, labels.shape, {}), {"network": 1.0})


def test_a_zip_holds_everything_of_every_photo(tmp_path: Path) -> None:
    photo, labels = np.asarray(Image.open(PHOTO)), np.asarray(Image.open(MASKS[-1]))
    other = answer(scene(1), np.zeros((48, 64), np.uint8))
    found = [
        (answer(photo, labels), PHOTO, "../../etc/ghế của tôi.webp"),
        (other, scene(1), "C:\\x\\Ghế của tôi.jpg"),
    ]
    hidden = VOC.index("sofa")
    path = bundle(found, tmp_path, Style(1, {hidden: (1, 2, 3), 11: (4, 5, 6)}, {hidden}))
    with ZipFile(path) as archive:
        assert archive.testzip() is None
        files = {name: archive.read(name) for name in archive.namelist()}
    suffixes = "mask.png colours.png cutout.png overlay.jpg coco.json coco-polygons.json json"
    stems = ("ghế của tôi", "Ghế của tôi (2)")
    assert set(files) == {f"{stem}.{suffix}" for stem in stems for suffix in suffixes.split()}

    def picture(suffix: str) -> Image.Image:
        return Image.open(BytesIO(files[f"{stems[0]}.{suffix}"]))

    assert np.array_equal(np.asarray(picture("mask.png")), labels)
    assert np.array_equal(np.asarray(picture("colours.png")), labels)
    shown = np.asarray(picture("colours.png").convert("RGB"))
    assert (shown[labels == hidden] == 0).all() and (shown[labels == 9] == COLOURS["chair"]).all()
    assert (shown[labels == 11] == (4, 5, 6)).all()
    cut = np.asarray(picture("cutout.png"))
    assert (cut[(labels == 0) | (labels == hidden)] == 0).all()
    assert (cut[(labels > 0) & (labels != hidden)][:, 3] > 0).all()
    assert picture("overlay.jpg").size == (640, 480)
    seen = np.asarray(picture("overlay.jpg")).astype(int)
    assert np.abs(seen - photo)[labels == 0].mean() < 10
    report = json.loads(files[f"{stems[0]}.json"])
    assert report["model"] == "fcn" and report["size"] == [640, 480]
    content = json.loads(files[f"{stems[0]}.coco.json"])
    assert content["images"][0]["file_name"] == "ghế của tôi.webp"
    assert sum(a["area"] for a in content["annotations"]) == (labels > 0).sum()


@pytest.mark.parametrize(
    ("name", "stem"),
    [
        ("photo.jpg", "photo"),
        ("/etc/passwd", "passwd"),
        ("..", "_"),
        ("", "photo"),
        ("a/../.png", "_png"),
        ("椅子 照片.heic", "椅子 照片"),
        ("e\u0301.png", "é"),
        ("กี่.png", "กี่"),
        ("-rf.png", "rf"),
        ('a<b>:"|?*\x00\n\u202egnp.exe', "a_b_________gnp"),
        ("con.png", "_con"),
        ("LPT1.png", "_LPT1"),
        ("x" * 300 + ".png", "x" * 60),
    ],
)
def test_names_in_the_zip_are_safe_and_readable(name: str, stem: str) -> None:
    assert free_stem(name, set()) == stem


def test_a_mask_is_taken_away_without_the_photo_being_read_again(tmp_path: Path) -> None:
    found = predict(PHOTO, "fcn")
    path = save_one(found, "gone.jpg", "photo.jpg", tmp_path, "mask.png", Style())
    assert np.array_equal(np.asarray(Image.open(path)), found.result.labels)
    with pytest.raises(BadImage):
        save_one(found, "gone.jpg", "photo.jpg", tmp_path, "cutout.png", Style())


def test_a_zip_that_becomes_too_large_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("segdemo.exports.MAX_ZIP", 10_000)
    found = [(predict(scene(1, 200, 300), "chair-unet"), scene(1, 200, 300), "a.png")]
    with pytest.raises(BadImage, match="give fewer photos"):
        bundle(found, tmp_path)
    assert not list(tmp_path.iterdir())  # half a zip would fill the disk for nobody


def test_names_in_the_zip_are_distinct_even_where_case_is_not() -> None:
    taken: set[str] = set()
    names = [free_stem(name, taken) for name in ("a.jpg", "A.png", "b/a.gif", "a (2).jpg")]
    assert len({name.lower() for name in names}) == 4
