"""What several test files need: pictures and data folders that the tests make themselves."""

import json
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

EXAMPLES = Path(__file__).parent.parent / "segdemo" / "examples"

MakeFolder = Callable[..., Path]


def scene(seed: int, height: int = 48, width: int = 64) -> NDArray[np.uint8]:
    """A photo-like picture, uint8 RGB: smooth light with grain."""
    random = np.random.default_rng(seed)
    small = Image.fromarray(random.integers(0, 256, (4, 5, 3), np.uint8))
    smooth = np.asarray(small.resize((width, height), Image.Resampling.BICUBIC)).astype(int)
    return np.clip(smooth + random.integers(-9, 10, smooth.shape), 0, 255).astype(np.uint8)


@pytest.fixture
def make_folder(tmp_path: Path) -> MakeFolder:
    """Makes a data folder: boxes in a colour of their own, one class a photo in turn."""

    def make(
        name: str = "made",
        classes: Sequence[str] = ("background", "chair"),
        splits: Sequence[str] = ("train", "val", "test"),
        photos: int = 4,
        ignore: int = 255,
    ) -> Path:
        root = tmp_path / name
        description = {"classes": list(classes), "ignore_index": ignore}
        for split in splits:
            (root / split / "images").mkdir(parents=True)
            (root / split / "masks").mkdir(parents=True)
            for number in range(photos):
                value = number % len(classes)
                image, mask = scene(number), np.zeros((48, 64), np.uint8)
                if value:
                    image[12:36, 16:48] = (40 * value % 256, 200, 90)
                    mask[12:36, 16:48] = value
                    mask[11, 16:48] = ignore
                Image.fromarray(image).save(root / split / "images" / f"{number}.png")
                Image.fromarray(mask).save(root / split / "masks" / f"{number}.png")
        (root / "dataset.json").write_text(json.dumps(description))
        return root

    return make
