"""Folders of photos and masks become samples.

A data folder holds `dataset.json` ({"classes": [name of value 0, 1, ...], "ignore_index": N}) and,
for each split, `SPLIT/images/ID.*` with `SPLIT/masks/ID.png`: 8 bit, one class value a pixel, the
size of its image. A model finds its classes there by name; every other class is background to it.
"""

import json
import os
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from .images import BadImage, load_image, upright
from .registry import ModelSpec, find_model

IGNORE = 255  # label of pixels that count nowhere, in the loss and in the score
KINDS = find_model("fcn")  # what kinds of things there are for it, there are for all of us
UNKNOWN = -1  # in a folder's table: a mask value that no class name stands for


class DataError(ValueError):
    """A data folder that cannot be used; str(e) is one sentence that names the file."""


@dataclass(frozen=True)
class Folder:
    """One split of a data folder, seen through the classes of a model.

    table: int16 [256], mask value -> label of the model; IGNORE for what counts nowhere, UNKNOWN
        for values without a class.
    named: the labels that the folder's classes can give, background included.
    kinds: int16 [256], mask value -> which of KINDS it is, 0 where it is none, and IGNORE where it
        may be any of them.
    """

    name: str
    split: str
    images: tuple[Path, ...]
    masks: tuple[Path, ...]
    table: NDArray[np.int16]
    named: tuple[int, ...]
    kinds: NDArray[np.int16]

    def __len__(self) -> int:
        return len(self.images)

    def image(self, index: int) -> NDArray[np.uint8]:
        """uint8 RGB [H, W, 3]. Raises DataError."""
        try:
            return load_image(self.images[index])
        except BadImage as error:
            raise DataError(f"{self.images[index]}: {error}") from error

    def values(self, index: int) -> NDArray[np.uint8]:
        """uint8 [H, W]: the mask as it is. Raises DataError."""
        path = self.masks[index]
        try:
            with Image.open(path, formats=["PNG"]) as mask:
                if mask.mode not in ("L", "P"):
                    raise DataError(f"The mask {path} is not 8-bit with one value a pixel.")
                mask.load()
                turned = upright(mask)
                greys = palette_greys(turned)
                values = np.asarray(turned)
                if greys is not None and self.can_be_values(there(greys)):
                    values = greys
        except DataError:
            raise
        except Exception as error:  # broad, as in images.py: decoders raise almost anything
            raise DataError(f"The mask {path} cannot be read as a PNG.") from error
        unknown = self.table[values] == UNKNOWN
        if unknown.any():
            value = int(values[unknown][0])
            raise DataError(f"The mask {path} holds the value {value}, which has no class name.")
        return values

    def labels(self, index: int) -> NDArray[np.uint8]:
        """uint8 [H, W]: labels of the model, or IGNORE. Raises DataError."""
        return self.table[self.values(index)].astype(np.uint8)

    def can_be_values(self, values: NDArray[np.intp]) -> bool:
        """Whether these, in order, can be the values of a mask that shows something.

        Black and white alone are the colours of a palette, not the background and IGNORE.
        """
        labels = self.table[values]
        return bool((labels != UNKNOWN).all() and (labels[values > 0] != IGNORE).any())

    def sample(self, index: int) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
        """Image [H, W, 3] and labels [H, W]. Raises DataError, also where their sizes differ."""
        image, both = self.with_kinds(index)
        return image, both[0]

    def with_kinds(self, index: int) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
        """Image [H, W, 3]; its labels, and those it has as one of KINDS, [2, H, W].

        Raises DataError, also where their sizes differ.
        """
        image, values = self.image(index), self.values(index)
        if image.shape[:2] != values.shape:
            (h, w), (mh, mw) = image.shape[:2], values.shape
            raise DataError(f"The mask {self.masks[index]} is {mw}x{mh}, its image {w}x{h}.")
        return image, np.stack([self.table[values], self.kinds[values]]).astype(np.uint8)


def open_folder(root: Path, split: str, spec: ModelSpec) -> Folder:
    """The `split` of the data folder `root`, as the model of `spec` sees it.

    Raises DataError where the folder, its description or a mask is missing, or where it names
    none of the model's classes. A split that is not there has no samples.
    """
    try:
        description = json.loads((root / "dataset.json").read_text("utf-8-sig"))
        names = [str(name) for name in description["classes"]]
        ignore = int(description["ignore_index"])
    except FileNotFoundError as error:
        raise DataError(f"There is no {root / 'dataset.json'}, so no data set.") from error
    except (ValueError, KeyError, TypeError, OSError, RecursionError) as error:
        raise DataError(
            f'{root / "dataset.json"} must hold {{"classes": [names], "ignore_index": number}}.'
        ) from error
    if len(names) > 256 or not 0 <= ignore <= 255:
        raise DataError(f"{root / 'dataset.json'}: masks of 8 bit hold values from 0 to 255.")

    table = label_table(names, spec, ignore)
    if split == "train":
        table[[value for value, name in enumerate(names) if name in spec.disputed]] = IGNORE
    named = tuple(sorted({0, *(int(label) for label in table if 0 < label < IGNORE)}))
    if len(named) == 1:
        raise DataError(
            f"{root / 'dataset.json'} names none of the classes of {spec.name}: "
            f"{', '.join(spec.classes[1:])}."
        )

    # Without hidden files, which file managers leave.
    found = sorted(path for path in (root / split / "images").glob("[!.]*") if path.is_file())
    masks = tuple(root / split / "masks" / f"{path.stem}.png" for path in found)
    for image, mask in zip(found, masks, strict=True):
        if not mask.is_file():
            raise DataError(f"The image {image} has no mask {mask}.")
    for mask, images in Counter(masks).items():
        if images > 1:
            raise DataError(f"{images} images have the one mask {mask}: rename all but one.")
    kinds = kinds_table(names, ignore)
    name = Path(os.path.abspath(root)).name  # of a link its own, by which it is known here
    return Folder(name, split, tuple(found), masks, table, named, kinds)


def palette_greys(mask: Image.Image) -> NDArray[np.uint8] | None:
    """The greys of a mask, uint8 [H, W], where it has a palette of them, each but once.

    So small programs save a grey mask, in any order: then these are its values, not its indexes.
    """
    if mask.mode != "P":
        return None
    indexes = np.asarray(mask)
    palette = np.zeros((256, 3), np.uint8)
    given = np.array(mask.getpalette("RGB"), np.uint8).reshape(-1, 3)
    palette[: len(given)] = given
    used = palette[there(indexes)]
    if (used != used[:, :1]).any() or len(np.unique(used)) < len(used):
        return None
    return palette[:, 0][indexes]


def there(values: NDArray[np.uint8]) -> NDArray[np.intp]:
    """Which values there are, in order."""
    return np.flatnonzero(np.bincount(values.ravel(), minlength=256))


def label_table(names: Sequence[str], spec: ModelSpec, ignore: int) -> NDArray[np.int16]:
    """int16 [256], mask value -> label of the model, for a mask whose values have these names."""
    table = np.full(256, UNKNOWN, np.int16)
    for value, name in enumerate(names):
        name = spec.also_called.get(name, name)
        table[value] = spec.classes.index(name) if name in spec.classes else 0
    table[ignore] = IGNORE
    return table


def kinds_table(names: Sequence[str], ignore: int) -> NDArray[np.int16]:
    """The same for KINDS, but for what may be any of them: that is IGNORE.

    That is what is disputed and, where a data set does not name all of them, its background.
    """
    table = label_table(names, KINDS, ignore)
    table[[value for value, name in enumerate(names) if name in KINDS.disputed]] = IGNORE
    if not set(range(len(KINDS.classes))) <= set(table.tolist()):
        table[table == 0] = IGNORE
    return table


def places(folders: Sequence[Folder]) -> list[tuple[Folder, int]]:
    """Every photo of `folders`, in order: its folder and its index there."""
    return [(folder, index) for folder in folders for index in range(len(folder))]


def open_folders(roots: Sequence[Path], split: str, spec: ModelSpec) -> list[Folder]:
    """Those of `roots` that have samples in `split`. Raises DataError."""
    folders = [open_folder(root, split, spec) for root in roots]
    names = [folder.name for folder in folders]
    for name in names:
        if names.count(name) > 1:  # figures are recorded by name
            raise DataError(f"Two of the data folders are called {name}; rename one.")
    return [folder for folder in folders if len(folder)]
