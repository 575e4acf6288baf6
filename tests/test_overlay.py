"""Labels painted over photos."""

from io import BytesIO

import numpy as np
import pytest
from conftest import scene
from PIL import Image

from segdemo.images import shown_size
from segdemo.overlay import colour, colours_of, grey_png, outline, paint, resize
from segdemo.registry import VOC


def test_paint_changes_the_labelled_pixels_and_no_other() -> None:
    photo, labels = scene(1), np.zeros((48, 64), np.uint8)
    labels[10:30, 10:40] = 1
    painted = paint(photo, labels)
    assert (painted[labels == 0] == photo[labels == 0]).all()
    assert (painted[labels == 1] != photo[labels == 1]).any(axis=-1).mean() > 0.98


def test_opacity_goes_from_the_photo_to_the_colour() -> None:
    photo, labels = scene(1), np.zeros((48, 64), np.uint8)
    labels[10:30, 10:40] = 2
    inside = (slice(15, 25), slice(15, 35))
    assert np.array_equal(paint(photo, labels, 0), photo)
    assert (paint(photo, labels, 1)[inside] == colour(2)).all()
    half = (photo[inside].astype(int) + colour(2)) / 2
    assert np.abs(paint(photo, labels, 0.5)[inside] - half).max() <= 1


def test_colours_of_the_twenty_classes_differ() -> None:
    colours = np.array(list(colours_of(VOC).values()))
    assert len(colours) == 20
    distance = np.abs(colours[:, None] - colours[None]).sum(-1) + 999 * np.eye(20, dtype=int)
    assert distance.min() > 60


def test_a_class_has_one_colour_whichever_model_finds_it() -> None:
    assert colours_of(["background", "chair"])[1] == colours_of(VOC)[VOC.index("chair")]
    assert len(set(colours_of(["background", "cup", "spoon"]).values())) == 2  # of one's own model


def test_an_outline_lies_inside_the_label() -> None:
    labels = np.zeros((20, 20), np.uint8)
    labels[5:15, 5:15] = 1
    edges = outline(labels, 1)
    assert edges[5, 5:15].all() and edges[14, 5:15].all()
    assert not edges[labels == 0].any() and not edges[6:14, 6:14].any()


def test_an_outline_is_as_wide_in_a_large_photo_as_in_a_small_one() -> None:
    labels = np.zeros((1600, 1200), np.uint8)
    labels[400:1200, 300:900] = 1
    painted = paint(np.zeros((1600, 1200, 3), np.uint8), labels, 1)
    inside = (painted[800, 300:900] == colour(1)).all(axis=-1)
    assert inside[4:-4].all() and not inside[:4].any() and not inside[-4:].any()


@pytest.mark.parametrize("labels", [np.zeros((1, 1), np.uint8), np.ones((1, 50), np.uint8)])
def test_tiny_pictures_are_painted(labels: np.ndarray) -> None:
    assert paint(np.zeros((*labels.shape, 3), np.uint8), labels).shape == (*labels.shape, 3)


def test_a_grey_png_holds_the_labels() -> None:
    labels = np.random.default_rng(0).integers(0, 21, (37, 501)).astype(np.uint8)
    mask = Image.open(BytesIO(grey_png(labels)))
    assert mask.mode == "L" and mask.format == "PNG"
    assert np.array_equal(np.asarray(mask), labels)


def test_what_is_shown_is_no_larger_than_a_screen() -> None:
    assert shown_size(3000, 4000) == (960, 1280)
    assert shown_size(100, 50) == (100, 50)
    assert shown_size(20_000, 1) == (1280, 1)
    assert resize(scene(1, 480, 640), (240, 320)).shape == (240, 320, 3)
