"""Which photos a step of training sees, and what it sees of them."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.utils.data import Dataset, default_collate
from torchvision import tv_tensors as tv
from tqdm import tqdm

from .augment import augmentation, paste, paste_once, things
from .data import IGNORE, DataError, Folder, places
from .registry import ModelSpec

Key = tuple[int, int, int]  # place of the photo, size of the crop, seed


class Samples(Dataset[tuple[Tensor, Tensor] | DataError]):
    """Augmented samples: uint8 images [3, S, S]; labels and kinds of things [2, S, S].

    An item is asked for by (place, size, seed): the same key gives the same sample, always.
    """

    def __init__(
        self,
        folders: Sequence[Folder],
        sizes: Sequence[int],
        crop: float,
        paste: float,
        cover: float,
    ) -> None:
        self.places = places(folders)
        self.augment = {size: augmentation(size, crop) for size in sizes}
        self.paste, self.cover = paste, cover

    def __getitem__(self, key: Key) -> tuple[Tensor, Tensor] | DataError:
        try:
            return self.make(*key)
        except DataError as error:
            return error
        except Exception as error:  # broad: of a worker nothing but a traceback would come
            folder, index = self.places[key[0]]
            what = str(error).partition("\n")[0]
            return DataError(f"{folder.images[index]}: {type(error).__name__}: {what}")

    def make(self, place: int, size: int, seed: int) -> tuple[Tensor, Tensor]:
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            image, labels = self.read(place)
            chance, other = torch.rand(()).item(), int(torch.randint(len(self.places), ()))
            if chance < self.paste:
                if things(labels).any():  # else it would only become another photo
                    image, labels = paste((image, labels), self.read(other))
            elif chance < self.paste + self.cover:
                image, labels = paste_once(self.read(other), (image, labels))
            image, labels = self.augment[size](tv.Image(image), tv.Mask(labels))
        return image.as_subclass(Tensor), labels.as_subclass(Tensor)

    def read(self, place: int) -> tuple[Tensor, Tensor]:
        folder, index = self.places[place]
        image, labels = folder.with_kinds(index)
        return torch.from_numpy(image).permute(2, 0, 1), torch.from_numpy(labels)


class Draw:
    """Draws the photos of each step.

    Photos are drawn with a chance that grows the rarer their rarest class is; photos with none
    of the classes count as a class too, since a model that has only seen chairs sees them
    everywhere. Where `shares` are given, each folder has its share, and that is so within it.
    """

    def __init__(
        self,
        folders: Sequence[Folder],
        spec: ModelSpec,
        batch: int,
        balance: float,
        shares: Sequence[float],
        seed: int,
    ) -> None:
        self.batch, self.seed = batch, seed
        photos = places(folders)
        self.owners = [number for number, folder in enumerate(folders) for _ in range(len(folder))]
        present = np.zeros((len(photos), len(spec.classes)), bool)
        for row, (folder, index) in enumerate(
            tqdm(photos, desc="reading photos", leave=False, disable=None)
        ):
            # The image too: one that cannot be read is told of now.
            _, labels = folder.sample(index)
            present[row, [c for c in np.unique(labels) if c != IGNORE]] = True
        present[:, 0] = ~present[:, 1:].any(axis=1)
        if not present[:, 1:].any():
            names = ", ".join(spec.classes[1:])
            raise DataError(f"No mask shows any of {names}; what is `ignore_index` counts nowhere.")
        ends = np.cumsum([len(folder) for folder in folders])
        groups = np.split(present, ends[:-1]) if shares else [present]
        weighted = zip(shares or (1.0,), groups, strict=True)
        chances = [share * balanced(group, balance) for share, group in weighted]
        self.chances = torch.from_numpy(np.concatenate(chances))

    def folders(self, step: int) -> list[int]:
        """Which of the folders each of a step's samples is from."""
        return [self.owners[place] for place, *_ in self.keys(step, 0)]

    def keys(self, step: int, size: int) -> list[Key]:
        """The keys of a step's samples: the same step draws the same, always."""
        draw = torch.Generator().manual_seed(self.seed * 1_000_003 + step)
        drawn = torch.multinomial(self.chances, self.batch, replacement=True, generator=draw)
        seeds = torch.randint(2**62, (self.batch,), generator=draw)
        return [
            (place, size, seed) for place, seed in zip(drawn.tolist(), seeds.tolist(), strict=True)
        ]


def balanced(present: NDArray[np.bool_], balance: float) -> NDArray[np.float64]:
    """Chances [N] of photos, of a sum of 1, from what they show, bool [N, classes]."""
    rarity = np.maximum(present.sum(axis=0), 1.0) ** -balance
    chances: NDArray[np.float64] = (present * rarity).max(axis=1)
    return chances / chances.sum()


def one_thread(_: int) -> None:
    torch.set_num_threads(1)


def collate(samples: list[tuple[Tensor, Tensor] | DataError]) -> Any:
    """A batch, or the error in it: raised in a worker, it would arrive as a traceback."""
    errors = [sample for sample in samples if isinstance(sample, DataError)]
    return errors[0] if errors else default_collate(samples)
