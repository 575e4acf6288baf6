"""Scores, against what one works out by hand."""

from types import SimpleNamespace

import numpy as np
import pytest
from conftest import MakeFolder
from PIL import Image

from segdemo.boundary import band, boundary_table
from segdemo.data import IGNORE, open_folder
from segdemo.evaluate import as_text, confusion, evaluate, iou
from segdemo.registry import MODELS

CHAIR, FCN = MODELS["chair-unet"], MODELS["fcn"]


def test_a_confusion_table_leaves_out_what_is_ignored() -> None:
    truth = np.array([[0, 0, 1, 1, 2, 255]], np.uint8)
    answer = np.array([[0, 1, 1, 1, 0, 2]], np.uint8)
    table = confusion(truth, answer, 3)
    assert table.tolist() == [[1, 1, 0], [0, 2, 0], [1, 0, 0]]
    # background: 1 hit, 3 in the union; class 1: 2 of 3; class 2: 0 of 1.
    assert iou(table).tolist() == [1 / 3, 2 / 3, 0]


def test_a_class_that_is_nowhere_has_no_iou() -> None:
    assert np.isnan(iou(np.array([[4, 0], [0, 0]]))[1])


def test_a_band_is_what_lies_inside_along_the_edge() -> None:
    mask = np.zeros((9, 12), bool)
    mask[2:8, :7] = True  # it touches the left edge of the picture, which is an edge of it too
    inner = np.zeros_like(mask)
    inner[4:6, 2:5] = True
    assert np.array_equal(band(mask, 2), mask & ~inner)


def test_the_boundary_iou_of_hand_made_masks() -> None:
    """80 x 60, so bands of 2 pixels: a square of 20 x 20, found as one of 24 x 20."""
    truth, answer = np.zeros((60, 80), np.uint8), np.zeros((60, 80), np.uint8)
    truth[20:40, 20:40], answer[20:40, 20:44] = 1, 1
    true, found = 20 * 20 - 16 * 16, 24 * 20 - 20 * 16
    common = 2 * 20 * 2 + 16 * 2  # above and below, and on the left
    assert boundary_table(truth, answer, 2)[1].tolist() == [common, true + found - common]
    truth[:, 40:] = IGNORE  # where four columns of the answer are; the rest of it is right
    assert boundary_table(truth, answer, 2)[1].tolist() == [true, true]


def test_one_missed_leg_costs_more_of_the_boundary_than_of_the_area() -> None:
    truth = np.zeros((60, 80), np.uint8)
    truth[10:40, 20:60] = 1
    truth[40:58, 24:27] = 1
    answer = truth.copy()
    answer[40:] = 0
    (hits, union), table = boundary_table(truth, answer, 2)[1], confusion(truth, answer, 2)
    assert hits / union < iou(table)[1] - 0.05


def write(root, number: int, mask: np.ndarray) -> None:
    image = np.full((*mask.shape, 3), number, np.uint8)
    Image.fromarray(image).save(root / "test" / "images" / f"{number}.png")
    Image.fromarray(mask.astype(np.uint8)).save(root / "test" / "masks" / f"{number}.png")


def test_the_figures_of_hand_made_masks(make_folder: MakeFolder) -> None:
    """Three photos of 10 x 10.

    0: 20 pixels are chair, 10 of them found, 5 found wrongly, 10 ignored (all found).
    1: 40 are chair, all found, nothing else.  2: none is chair, 2 are found.
    """
    root = make_folder(photos=0)
    masks, answers = np.zeros((3, 10, 10), int), np.zeros((3, 10, 10), np.uint8)
    masks[0, :2], masks[0, 9] = 1, 255
    answers[0, 0], answers[0, 5, :5], answers[0, 9] = 1, 1, 1
    masks[1, :4] = 1
    answers[1, :4] = 1
    answers[2, 0, :2] = 1
    for number in range(3):
        write(root, number, masks[number])

    scored = evaluate(
        lambda image: SimpleNamespace(labels=answers[image[0, 0, 0]]),
        open_folder(root, "test", CHAIR),
        CHAIR.classes,
    )
    assert scored["photos"] == 3
    chair = scored["classes"]["chair"]
    hits, union = 10 + 40, 25 + 40 + 2
    assert chair["iou"] == scored["iou"] == round(hits / union, 4)
    assert chair["dice"] == round(2 * hits / (60 + 57), 4)
    assert chair["photo_iou"] == round((10 / 25 + 1 + 0) / 3, 4)
    assert chair["photos_without"] == 1
    # Bands of one pixel: of the 2 rows all, of the 4 rows all but 8 inside twice, of the rest all.
    assert chair["boundary_iou"] == round((10 + 24) / (25 + 24 + 2), 4)
    assert chair["false_alarms"] == 1.0  # 2 % of the one photo without a chair
    assert scored["pixel_accuracy"] == round((290 - 10 - 5 - 2) / 290, 4)
    background = scored["classes"]["background"]
    assert background["iou"] == round((290 - 60 - 7) / (290 - 50), 4)
    assert "0.7463" in as_text({"made/test": scored})


def test_many_classes_are_compared_by_the_mean_of_those_the_folder_names(
    make_folder: MakeFolder,
) -> None:
    root = make_folder(classes=["background", "cat", "dog"], photos=3)
    folder = open_folder(root, "test", FCN)
    truth = {image.tobytes(): labels for image, labels in map(folder.sample, range(3))}
    cat = FCN.classes.index("cat")

    def only_cats(image: np.ndarray) -> SimpleNamespace:
        labels = truth[image.tobytes()].copy()
        labels[labels != cat] = 0
        return SimpleNamespace(labels=labels)

    scored = evaluate(only_cats, folder, FCN.classes)
    assert set(scored["classes"]) == {"background", "cat", "dog"}
    assert scored["classes"]["cat"]["iou"] == 1
    assert scored["classes"]["dog"]["iou"] == 0
    background = scored["classes"]["background"]["iou"]
    assert scored["iou"] == pytest.approx((background + 1) / 3, abs=1e-4)
