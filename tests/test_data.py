"""Data folders: classes by name, and a clear word for everything that can be wrong."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from conftest import MakeFolder
from PIL import Image

from segdemo.data import IGNORE, DataError, open_folder, open_folders
from segdemo.overlay import palette_png
from segdemo.registry import MODELS

CHAIR, FCN = MODELS["chair-unet"], MODELS["fcn"]


def test_classes_are_found_by_name(make_folder: MakeFolder) -> None:
    root = make_folder(classes=["nothing", "swivelchair", "lamp", "chair"], ignore=9)
    folder = open_folder(root, "train", CHAIR)
    assert len(folder) == 4
    assert folder.named == (0, 1)
    found = [set(np.unique(folder.sample(i)[1])) for i in range(4)]
    # A swivelchair is a chair, a lamp is background, 9 counts nowhere.
    assert found == [{0}, {0, 1, IGNORE}, {0, IGNORE}, {0, 1, IGNORE}]


def test_the_same_folder_through_the_eyes_of_another_model(make_folder: MakeFolder) -> None:
    root = make_folder(classes=["person", "chair"])
    folder = open_folder(root, "train", FCN)
    labels = folder.labels(0)
    assert FCN.classes[labels[0, 0]] == "person"
    assert [FCN.classes[label] for label in folder.named] == ["background", "chair", "person"]


def test_what_is_there_beside_a_models_class_is_known_too(make_folder: MakeFolder) -> None:
    root = make_folder(classes=["nothing", "swivelchair", "lamp", "dog"], ignore=9)
    folder = open_folder(root, "train", CHAIR)
    found = [set(np.unique(folder.with_kinds(i)[1][1])) for i in range(4)]
    chair, dog = (FCN.classes.index(name) for name in ("chair", "dog"))
    # What has no name there may be anything.
    assert found == [{IGNORE}, {chair, IGNORE}, {IGNORE}, {dog, IGNORE}]


def test_where_all_kinds_have_names_what_has_none_is_none_of_them(make_folder: MakeFolder) -> None:
    root = make_folder(classes=[*FCN.classes, "plant pot"], photos=len(FCN.classes) + 1)
    folder = open_folder(root, "train", CHAIR)
    names = [path.stem for path in folder.images]
    first, kind, disputed = (
        set(np.unique(folder.with_kinds(names.index(name))[1][1])) for name in ("0", "15", "21")
    )
    assert (first, kind, disputed) == ({0}, {0, 15, IGNORE}, {0, IGNORE})


def test_what_data_sets_call_differently_counts_nowhere_in_training_only(
    make_folder: MakeFolder,
) -> None:
    root = make_folder(classes=["nothing", "bus", "car"])
    car = replace(MODELS["car-unet-vgg16"], disputed=("bus",))
    trained, scored = (open_folder(root, split, car).labels(1) for split in ("train", "val"))
    assert trained[20, 30] == IGNORE and scored[20, 30] == 0
    assert trained[0, 0] == scored[0, 0] == 0
    assert open_folder(root, "train", car).labels(2)[20, 30] == 1


def test_a_sample_is_the_picture_and_its_labels(make_folder: MakeFolder) -> None:
    image, labels = open_folder(make_folder(), "val", CHAIR).sample(1)
    assert image.dtype == labels.dtype == np.uint8
    assert image.shape == (48, 64, 3) and labels.shape == (48, 64)
    assert (image[labels == 1] == (40, 200, 90)).all()
    assert (labels == 1).sum() == 24 * 32


def test_a_mask_keeps_its_values_however_it_was_saved(make_folder: MakeFolder) -> None:
    root = make_folder(classes=FCN.classes)
    path = root / "train" / "masks" / "0.png"
    labels = np.zeros((48, 64), np.uint8)
    labels[10:20, 5:40], labels[30:, :9], labels[0] = 9, 15, IGNORE
    Image.fromarray(labels).quantize().save(path)  # an index for each grey, in any order
    assert set(np.unique(np.asarray(Image.open(path)))) != set(np.unique(labels))
    assert np.array_equal(open_folder(root, "train", FCN).labels(0), labels)
    path.write_bytes(palette_png(labels))  # PASCAL VOC's colours
    assert np.array_equal(open_folder(root, "train", FCN).labels(0), labels)
    black_and_white = Image.fromarray((labels == 9).astype(np.uint8))
    black_and_white.putpalette([0, 0, 0, 255, 255, 255])
    black_and_white.save(path)
    assert np.array_equal(open_folder(root, "train", FCN).labels(0), labels == 9)
    turned = Image.fromarray(np.rot90(labels))
    turned.getexif()[274] = 6  # as a camera's
    turned.save(path, exif=turned.getexif())
    assert np.array_equal(open_folder(root, "train", FCN).labels(0), labels)


def test_several_folders_and_an_absent_split(make_folder: MakeFolder) -> None:
    roots = [make_folder("a"), make_folder("b", splits=["train"])]
    assert [f.name for f in open_folders(roots, "train", CHAIR)] == ["a", "b"]
    assert [f.name for f in open_folders(roots, "test", CHAIR)] == ["a"]


def test_hidden_files_are_no_photos(make_folder: MakeFolder) -> None:
    root = make_folder()
    (root / "train" / "images" / ".DS_Store").write_bytes(b"of a file manager")
    assert len(open_folder(root, "train", CHAIR)) == 4


def describe(root: Path, text: str) -> None:
    (root / "dataset.json").write_text(text)


@pytest.mark.parametrize(
    ("spoil", "says"),
    [
        (lambda root: (root / "dataset.json").unlink(), "There is no"),
        (lambda root: describe(root, "{"), "must hold"),
        (lambda root: describe(root, "[]"), "must hold"),
        (lambda root: describe(root, '{"classes": 3, "ignore_index": 1}'), "must hold"),
        (
            lambda root: describe(root, '{"classes": ["a", "chair"], "ignore_index": 999}'),
            "8 bit",
        ),
        (
            lambda root: describe(root, json.dumps({"classes": ["a", "b"], "ignore_index": 255})),
            "names none of the classes of chair-unet: chair.",
        ),
        (lambda root: (root / "train/masks/2.png").unlink(), "has no mask"),
        (
            lambda root: (root / "train/images/2.jpg").write_bytes(b"another"),
            "2 images have the one mask",
        ),
    ],
)
def test_a_folder_that_cannot_be_used_says_why(make_folder: MakeFolder, spoil, says) -> None:
    root = make_folder()
    spoil(root)
    with pytest.raises(DataError, match=says) as caught:
        open_folder(root, "train", CHAIR)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("mask", "says"),
    [
        (np.zeros((48, 63), np.uint8), "is 63x48, its image 64x48"),
        (np.full((48, 64), 7, np.uint8), "the value 7, which has no class name"),
        (np.zeros((48, 64, 3), np.uint8), "not 8-bit with one value a pixel"),
        (np.zeros((48, 64), np.uint16), "not 8-bit with one value a pixel"),
        (b"no picture", "cannot be read as a PNG"),
    ],
)
def test_a_mask_that_cannot_be_used_says_why(make_folder: MakeFolder, mask, says) -> None:
    root = make_folder()
    path = root / "train" / "masks" / "1.png"
    path.write_bytes(mask) if isinstance(mask, bytes) else Image.fromarray(mask).save(path)
    with pytest.raises(DataError, match=says) as caught:
        open_folder(root, "train", CHAIR).sample(1)
    assert str(path) in str(caught.value)


def test_a_broken_photo_is_named(make_folder: MakeFolder) -> None:
    root = make_folder()
    (root / "train" / "images" / "0.png").write_bytes(b"")
    with pytest.raises(DataError, match="0.png: This file is empty"):
        open_folder(root, "train", CHAIR).sample(0)


def test_two_folders_of_one_name_are_refused(make_folder: MakeFolder, tmp_path: Path) -> None:
    roots = [make_folder("a/same"), make_folder("b/same")]
    with pytest.raises(DataError, match="Two of the data folders are called same"):
        open_folders(roots, "train", CHAIR)


def test_a_folder_is_known_by_the_name_of_its_link(make_folder: MakeFolder, tmp_path: Path) -> None:
    for name in ("one", "other"):
        (tmp_path / name).symlink_to(make_folder(f"store/{name}/dataset"))
    roots = [tmp_path / "one", tmp_path / "other"]
    assert [folder.name for folder in open_folders(roots, "train", CHAIR)] == ["one", "other"]


def test_a_description_as_some_editors_save_it(make_folder: MakeFolder) -> None:
    path = make_folder() / "dataset.json"
    path.write_text(path.read_text("utf-8"), "utf-8-sig")
    assert len(open_folder(path.parent, "train", CHAIR)) == 4
