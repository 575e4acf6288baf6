"""What training does to photos so that a model meets what visitors will bring."""

import random
import string
from collections.abc import Callable, Sequence
from typing import Any

import torch
from PIL import Image, ImageDraw, ImageFont
from torch import Tensor
from torchvision import tv_tensors as tv
from torchvision.transforms import v2
from torchvision.transforms.v2 import functional as tvf

from .data import IGNORE

BILINEAR = v2.InterpolationMode.BILINEAR
Sample = tuple[Tensor, Tensor]  # uint8 image [3, H, W]; labels and kinds, uint8 [2, H, W]


class ResizedCrop(v2.RandomResizedCrop):  # type: ignore[misc]
    """torchvision's, but for labels: it would lay them half a pixel too far below and right."""

    def transform(self, inpt: Any, params: dict[str, Any]) -> Any:
        if isinstance(inpt, tv.Mask):
            return tv.Mask(resized(tvf.crop(inpt, **params).as_subclass(Tensor), self.size))
        return super().transform(inpt, params)


def resized(labels: Tensor, size: Sequence[int]) -> Tensor:
    """Labels [..., H, W] of another size, each the one in the middle of its pixel."""
    exact = v2.InterpolationMode.NEAREST_EXACT
    return tvf.resize(labels[None], list(size), interpolation=exact)[0]


def augmentation(size: int, crop: float) -> Callable[[tv.Image, tv.Mask], tuple[tv.Image, tv.Mask]]:
    """Random crops, aspects, mirror images, turns, words, light, blur and JPEG artefacts.

    Takes and returns uint8 [3, H, W] and labels [..., H, W]; what comes back is `size` x `size`,
    and where a turn left nothing the label is IGNORE. Draws from torch's global generator.
    """
    fill = {tv.Image: 127, tv.Mask: IGNORE}
    compose: Callable[[tv.Image, tv.Mask], tuple[tv.Image, tv.Mask]] = v2.Compose(
        [
            ResizedCrop(size, scale=(crop, 1.0), ratio=(0.55, 1.8), antialias=True),
            v2.RandomHorizontalFlip(),
            # After the crop, where it is cheap.
            v2.RandomApply([v2.RandomRotation(12, BILINEAR, fill=fill)], p=0.25),
            v2.RandomApply([Words()], p=0.2),
            v2.RandomApply([v2.ColorJitter(0.4, 0.4, 0.4, 0.03)], p=0.7),
            v2.RandomGrayscale(0.05),
            v2.RandomApply([v2.GaussianBlur(5, (0.3, 1.5))], p=0.1),
            v2.RandomApply([v2.JPEG((30, 90))], p=0.2),
        ]
    )
    return compose


class Words(v2.Transform):  # type: ignore[misc]
    """Words over a photo, as captions, dates and watermarks are. Labels tell of what is behind."""

    LETTERS = string.ascii_letters + string.digits + "!?    \n"

    def transform(self, inpt: Any, params: dict[str, Any]) -> Any:
        if not isinstance(inpt, tv.Image):
            return inpt
        picture = tvf.to_pil_image(inpt).convert("RGBA")
        draw = random.Random(int(torch.randint(2**62, ())))
        any_colour = tuple(draw.choices(range(256), k=3))
        ink = draw.choices([(255, 255, 255), (0, 0, 0), any_colour], [4, 1, 2])[0]
        rim = (255, 255, 255) if sum(ink) < 3 * 128 else (0, 0, 0)
        opacity = draw.choice([255, draw.randint(100, 255)])
        size = max(1, round(draw.uniform(0.05, 0.25) * picture.height))
        layer = Image.new("RGBA", picture.size)
        ImageDraw.Draw(layer).text(
            (draw.uniform(-0.2, 0.5) * picture.width, draw.uniform(-0.1, 0.9) * picture.height),
            "".join(draw.choices(self.LETTERS, k=draw.randint(3, 20))),
            (*ink, opacity),
            ImageFont.load_default(size),
            stroke_width=size // draw.randint(8, 24),
            stroke_fill=(*draw.choice([ink, rim]), opacity),
        )
        if draw.random() < 0.5:
            layer = layer.rotate(draw.uniform(-25, 25), Image.Resampling.BILINEAR)
        picture.alpha_composite(layer)
        return tvf.pil_to_tensor(picture.convert("RGB")).as_subclass(tv.Image)


def paste(sample: Sample, background: Sample) -> Sample:
    """The things of `sample`, one to three times, in front of `background`.

    "Simple Copy-Paste" (https://arxiv.org/abs/2012.07177); several times, since in a scene they
    are seldom alone. All things, else whatever was pasted would be what is looked for. Returns
    image and labels of the background's size. Draws from torch's global generator.
    """
    for _ in range(int(torch.randint(1, 4, ()))):
        background = paste_once(sample, background)
    return background


def things(labels: Tensor) -> Tensor:
    """Where a model's class or any of KINDS is, bool [H, W], by labels and kinds [2, H, W]."""
    return ((labels != 0) & (labels != IGNORE)).any(dim=0)


def paste_once(sample: Sample, background: Sample) -> Sample:
    """Once, smaller and elsewhere, as it is or mirrored; a part of it may lie outside."""
    (image, labels), (behind, behind_labels) = sample, background
    height, width = behind.shape[-2:]
    scale = 0.15 + 0.85 * torch.rand(()).item()
    fit = scale * min(height / image.shape[-2], width / image.shape[-1])
    h, w = (max(1, int(fit * side)) for side in image.shape[-2:])
    top = int(torch.randint(-(h // 4), height - h + h // 4 + 1, ()))
    left = int(torch.randint(-(w // 4), width - w + w // 4 + 1, ()))
    image, labels = tvf.resize(image, [h, w], antialias=True), resized(labels, [h, w])
    if torch.rand(()) < 0.5:
        image, labels = image.flip(-1), labels.flip(-1)

    inside = (slice(max(0, -top), height - top), slice(max(0, -left), width - left))
    image, labels = image[:, *inside], labels[:, *inside]
    pixels = (slice(max(0, top), top + h), slice(max(0, left), left + w))
    solid = things(labels)
    behind, behind_labels = behind.clone(), behind_labels.clone()
    behind[:, *pixels] = torch.where(solid, image, behind[:, *pixels])
    # What lies under an uncertain pixel of the object is uncertain too.
    covers = solid | (labels[0] == IGNORE)
    behind_labels[:, *pixels] = torch.where(covers, labels, behind_labels[:, *pixels])
    return behind, behind_labels
