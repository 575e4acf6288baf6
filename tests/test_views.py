"""Pictures and files of an answer: palette mask, cut-out, own colours, confidence, hits."""

from io import BytesIO

import numpy as np
import pytest
from conftest import scene
from numpy.typing import NDArray
from PIL import Image

from segdemo.overlay import colour, cutout_png, paint, palette_png, resize_labels
from segdemo.views import VERDICTS, VIRIDIS, heat, hits_picture


def boxes() -> NDArray[np.uint8]:
    """Two touching boxes, 1 and 2, on background; the second runs out of the photo."""
    labels = np.zeros((48, 64), np.uint8)
    labels[10:30, 10:40] = 1
    labels[10:30, 40:] = 2
    return labels


def test_own_colours_are_painted_and_hidden_classes_are_not() -> None:
    photo, labels = scene(1), boxes()
    painted = paint(photo, labels, 1, colours={1: (9, 8, 7)}, hidden={2})
    assert (painted[15:25, 15:35] == (9, 8, 7)).all()
    assert (painted[labels == 2] == photo[labels == 2]).all()
    assert (paint(photo, labels, 1, colours={1: (9, 8, 7)})[15:25, 45:60] == colour(2)).all()


def test_a_palette_png_keeps_the_labels_and_shows_the_colours() -> None:
    labels = np.random.default_rng(0).integers(0, 21, (37, 501)).astype(np.uint8)
    mask = Image.open(BytesIO(palette_png(labels, {3: (1, 2, 3)}, hidden={5})))
    assert mask.mode == "P" and mask.format == "PNG"
    assert np.array_equal(np.asarray(mask), labels)
    seen = np.asarray(mask.convert("RGB"))
    assert (seen[labels == 3] == (1, 2, 3)).all() and (seen[labels == 4] == colour(4)).all()
    assert (seen[(labels == 0) | (labels == 5)] == 0).all()


def test_a_cutout_is_soft_at_its_edge_and_empty_outside() -> None:
    photo, labels = scene(1), boxes()
    cut = np.asarray(Image.open(BytesIO(cutout_png(photo, labels, hidden={1}))))
    assert cut.shape == (48, 64, 4)
    assert (cut[labels != 2] == 0).all()
    assert (cut[labels == 2][:, :3] == photo[labels == 2]).all()
    alpha = cut[..., 3]
    assert (alpha[11:29, 41:] == 255).all()  # solid up to the photo's own border
    assert (alpha[10, 41:] < 255).all() and (alpha[10, 41:] > 100).all()
    assert (alpha[10:30, 40] < 255).all()


def lightness(rgb: NDArray[np.uint8]) -> NDArray[np.float64]:
    return lab(rgb / 255)[..., 0]


def lab(srgb: NDArray[np.float64]) -> NDArray[np.float64]:
    """CIELAB of sRGB 0..1, for light D65."""
    linear = np.where(srgb > 0.04045, ((srgb + 0.055) / 1.055) ** 2.4, srgb / 12.92)
    to_xyz = np.array(
        [[0.4124, 0.3576, 0.1805], [0.2126, 0.7152, 0.0722], [0.0193, 0.1192, 0.9505]]
    )
    xyz = linear @ to_xyz.T / (0.9505, 1.0, 1.089)
    f = np.where(xyz > 0.008856, np.cbrt(xyz), 7.787 * xyz + 16 / 116)
    x, y, z = np.moveaxis(f, -1, 0)
    return np.stack([116 * y - 16, 500 * (x - y), 200 * (y - z)], -1)


def test_heat_gets_evenly_lighter() -> None:
    picture = heat(np.linspace(0, 1, 11, dtype=np.float32)[None])
    assert picture.dtype == np.uint8 and picture.shape == (1, 11, 3)
    steps = np.diff(lightness(picture)[0])
    assert steps.min() > 5 and steps.max() < 10
    assert tuple(picture[0, 0]) == VIRIDIS[0] and tuple(picture[0, -1]) == VIRIDIS[-1]
    assert tuple(heat(np.full((1, 1), -1, np.float32))[0, 0]) == VIRIDIS[0]


def test_each_verdict_is_painted_and_what_is_ignored_is_not() -> None:
    photo = np.full((1, 6, 3), 128, np.uint8)
    labels = np.array([[1, 0, 1, 2, 0, 1]], np.uint8)
    truth = np.array([[1, 1, 0, 1, 0, 255]], np.uint8)
    picture = hits_picture(photo, labels, truth)[0].astype(int)
    for painted, verdict in zip(picture, VERDICTS.values(), strict=False):
        assert np.abs(painted - (128 + 3 * np.array(verdict)) / 4).max() <= 1
    assert (picture[4:] == 128).all()


@pytest.mark.parametrize(
    "eye",  # what such eyes see of linear RGB: Machado et al. 2009, severity 1
    [
        np.eye(3),
        [[0.152, 1.053, -0.205], [0.115, 0.786, 0.099], [-0.004, -0.048, 1.052]],
        [[0.367, 0.861, -0.228], [0.280, 0.673, 0.047], [-0.012, 0.043, 0.969]],
        [[1.256, -0.077, -0.179], [-0.078, 0.931, 0.148], [0.005, 0.691, 0.304]],
    ],
    ids=["usual", "protan", "deutan", "tritan"],
)
def test_the_verdicts_differ_to_every_eye(eye: NDArray[np.float64]) -> None:
    grey = (128, 128, 128)
    linear = (np.array([grey, *VERDICTS.values()]) / 255) ** 2.2
    seen = lab((linear @ np.array(eye).T).clip(0, 1) ** (1 / 2.2))
    apart = np.linalg.norm(seen[:, None] - seen[None], axis=-1) + 999 * np.eye(len(seen))
    assert apart.min() > 20


def test_resized_labels_are_labels_that_were_there() -> None:
    labels = boxes() * 7
    assert resize_labels(labels, (30, 41)).shape == (30, 41)
    assert set(np.unique(resize_labels(labels, (300, 410)))) == {0, 7, 14}
