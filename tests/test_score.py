"""The masks that people bring, and what an answer scores against them."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from conftest import EXAMPLES
from PIL import ExifTags, Image

from segdemo.images import BadImage
from segdemo.overlay import grey_png, palette_png
from segdemo.registry import MODELS, VOC
from segdemo.score import read_truth, score_photo

CHAIR, FCN = MODELS["chair-unet"], MODELS["fcn"]


def write(path: Path, values: list[int] | np.ndarray, mode: str = "L") -> Path:
    values = np.array([values], np.uint8) if isinstance(values, list) else values
    Image.fromarray(values).convert(mode).save(path)
    return path


@pytest.mark.parametrize(
    ("values", "labels"),
    [
        ([0, 255, 255, 0], [0, 1, 1, 0]),  # black and white
        ([255, 255], [1, 1]),
        ([0, 0], [0, 0]),
        ([0, 1, 1, 0], [0, 1, 1, 0]),  # our own
        ([0, 1, 255], [0, 1, 255]),  # with a border that is not counted
        ([0, 128, 0], [0, 1, 0]),
        ([0, 9, 255], [0, 1, 255]),
        ([0, 9, 15, 255], [0, 1, 0, 255]),  # VOC: 9 is a chair, 15 a person
        ([0, 3, 90, 180, 255], [0, 0, 0, 1, 1]),  # soft edges
        ([0, 254, 255], [0, 1, 1]),
    ],
)
def test_masks_for_a_model_of_one_class(
    tmp_path: Path, values: list[int], labels: list[int]
) -> None:
    size = (1, len(values))
    for mode in ("L", "RGB", "LA"):
        path = write(tmp_path / f"{mode}.png", values, mode)
        assert read_truth(path, CHAIR, size)[0].tolist() == labels, mode


def test_soft_masks_for_a_class_that_voc_does_not_know(tmp_path: Path) -> None:
    road = replace(CHAIR, classes=("background", "road"))
    path = write(tmp_path / "road.png", [0, 3, 90, 180, 255])
    assert read_truth(path, road, (1, 5)).tolist() == [[0, 0, 0, 1, 1]]


def test_masks_for_a_model_of_many(tmp_path: Path) -> None:
    labels = np.array([[0, 20, 7, 255]], np.uint8)
    for name, data in (("grey", grey_png(labels)), ("palette", palette_png(labels))):
        (tmp_path / name).write_bytes(data)
        assert np.array_equal(read_truth(tmp_path / name, FCN, (1, 4)), labels)


def test_a_two_coloured_mask_is_read_by_its_colours(tmp_path: Path) -> None:
    black = np.array([[True, False, True]])
    Image.fromarray(~black).save(tmp_path / "bits.png")
    assert read_truth(tmp_path / "bits.png", CHAIR, (1, 3)).tolist() == [[0, 1, 0]]
    turned = Image.fromarray(black.astype(np.uint8))
    turned.putpalette([255, 255, 255, 0, 0, 0])
    turned.save(tmp_path / "turned.png")
    assert read_truth(tmp_path / "turned.png", CHAIR, (1, 3)).tolist() == [[0, 1, 0]]


def test_what_is_painted_on_nothing_is_read_by_what_is_painted(tmp_path: Path) -> None:
    mask = np.full((1, 4, 4), 255, np.uint8)
    mask[0, 1:, 3] = 0  # white too, but transparent, as some programs save it
    Image.fromarray(mask).save(tmp_path / "mask.png")
    assert read_truth(tmp_path / "mask.png", CHAIR, (1, 4)).tolist() == [[1, 0, 0, 0]]


def test_what_is_painted_black_on_nothing_is_the_class(tmp_path: Path) -> None:
    seen = np.array([[True, False, False, True]])
    picture = Image.fromarray(np.where(seen, 0, 1).astype(np.uint8))
    picture.putpalette([0, 0, 0, 255, 255, 255])
    picture.save(tmp_path / "palette.png", transparency=1)
    Image.fromarray(np.where(seen, 0, 255).astype(np.uint8)).save(
        tmp_path / "grey.png", transparency=255
    )
    black = np.zeros((1, 4, 4), np.uint8)
    black[..., 3] = 255 * seen
    Image.fromarray(black).save(tmp_path / "rgba.png")
    for name in ("palette", "grey", "rgba"):
        found = read_truth(tmp_path / f"{name}.png", CHAIR, (1, 4))
        assert found.tolist() == [[1, 0, 0, 1]], name


def test_a_mask_that_is_stored_lying_is_turned_as_its_photo_is(tmp_path: Path) -> None:
    mask = Image.fromarray(np.array([[255, 0, 0], [0, 0, 0]], np.uint8))
    for orientation, upright in ((3, [[0, 0, 0], [0, 0, 1]]), (6, [[0, 1], [0, 0], [0, 0]])):
        exif = Image.Exif()
        exif[ExifTags.Base.Orientation] = orientation
        mask.save(tmp_path / "mask.png", exif=exif)
        found = read_truth(tmp_path / "mask.png", CHAIR, np.shape(upright))
        assert found.tolist() == upright


def test_a_soft_mask_with_a_palette_of_greys_is_cut_in_the_middle(tmp_path: Path) -> None:
    greys = [0, 17, 51, 119, 187, 255]
    mask = Image.fromarray(np.array([range(len(greys))], np.uint8))
    mask.putpalette([grey for grey in greys for _ in "RGB"])
    mask.save(tmp_path / "soft.png")
    for name in ("chair-unet", "car-unet-vgg16"):
        found = read_truth(tmp_path / "soft.png", MODELS[name], (1, len(greys)))
        assert found.tolist() == [[0, 0, 0, 0, 1, 1]]


def test_hidden_labels_of_our_own_masks_are_read_too(tmp_path: Path) -> None:
    labels = np.array([[0, 9, 0, 15]], np.uint8)
    (tmp_path / "mask.png").write_bytes(palette_png(labels, {}, {9, 15}))
    assert np.array_equal(read_truth(tmp_path / "mask.png", FCN, (1, 4)), labels)


def test_named_values_are_found_by_their_names() -> None:
    path = EXAMPLES / "test" / "masks" / "car-side.png"
    assert not read_truth(path, CHAIR, (480, 640), names=VOC).any()
    cars = read_truth(path, MODELS["car-unet-vgg16"], (480, 640), names=VOC)
    assert np.array_equal(cars, np.asarray(Image.open(path)) == 7)


def test_what_cannot_be_read_gets_a_sentence(tmp_path: Path) -> None:
    grey = write(tmp_path / "grey.png", [0, 40, 1])
    with pytest.raises(BadImage, match="value 40.* 1 to 20"):
        read_truth(grey, FCN, (1, 3))
    with pytest.raises(BadImage, match="3 x 1 pixels and the photo 640 x 480"):
        read_truth(grey, FCN, (480, 640))
    with pytest.raises(BadImage, match="black and white"):
        read_truth(write(tmp_path / "two.png", [0, 255]), FCN, (1, 2))
    with pytest.raises(BadImage, match="black and white"):
        read_truth(write(tmp_path / "bits.png", [0, 255], "1"), FCN, (1, 2))
    with pytest.raises(BadImage, match="the value 1,.*chair white"):  # whose numbers are these?
        read_truth(write(tmp_path / "few.png", [0, 1, 2, 30]), CHAIR, (1, 4))
    with pytest.raises(BadImage, match="the value 1,.*chair white"):  # VOC's, but no chair
        read_truth(write(tmp_path / "voc.png", [0, 1, 2]), CHAIR, (1, 3))
    colours = np.array([[[200, 0, 0], [0, 0, 0]]], np.uint8)
    with pytest.raises(BadImage, match="one value a pixel"):
        read_truth(write(tmp_path / "colours.png", colours, "RGB"), FCN, (1, 2))
    with pytest.raises(BadImage, match="one value a pixel"):
        Image.fromarray(np.array([[0, 300]], np.uint16)).save(tmp_path / "deep.png")
        read_truth(tmp_path / "deep.png", FCN, (1, 2))
    with pytest.raises(BadImage, match="must be a PNG"):
        read_truth(write(tmp_path / "grey.jpg", [0, 0]), FCN, (1, 2))
    (tmp_path / "cut.png").write_bytes(grey.read_bytes()[:45])
    with pytest.raises(BadImage, match="damaged"):
        read_truth(tmp_path / "cut.png", FCN, (1, 3))


def test_the_score_of_a_photo_as_worked_out_by_hand() -> None:
    truth = np.array([[0, 0, 0, 1, 1, 2, 255, 255]], np.uint8)
    labels = np.array([[0, 0, 1, 1, 1, 3, 1, 0]], np.uint8)
    scored = score_photo(labels, truth, ("background", "a", "b", "c", "d"))
    assert scored["classes"] == {
        "background": {"iou": round(2 / 3, 4), "dice": 0.8},
        "a": {"iou": round(2 / 3, 4), "dice": 0.8},
        "b": {"iou": 0.0, "dice": 0.0},
        "c": {"iou": 0.0, "dice": 0.0},
    }
    assert scored["iou"] == round((2 / 3 + 2 / 3 + 0) / 3, 4)  # c is nowhere in the truth
    assert scored["pixel_accuracy"] == round(4 / 6, 4)
    assert scored["counted"] == 0.75


def test_the_score_of_one_class_is_its_own_and_nothing_counted_is_none() -> None:
    truth, labels = np.array([[0, 1, 1]], np.uint8), np.array([[0, 0, 1]], np.uint8)
    assert score_photo(labels, truth, CHAIR.classes)["iou"] == 0.5
    nothing = score_photo(labels, np.full((1, 3), 255, np.uint8), CHAIR.classes)
    assert nothing["iou"] is None and nothing["classes"] == {}
