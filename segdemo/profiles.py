"""ICC profiles: what the numbers of a picture mean as colours."""

from functools import lru_cache
from io import BytesIO

import numpy as np
from PIL import Image, ImageChops, ImageCms

# Cameras, phones and browsers give all their pictures the same small one. Those of printers are
# larger, and too large to be kept.
SMALL = 100_000  # bytes


def in_srgb(image: Image.Image, profile: bytes) -> Image.Image:
    """A loaded picture of mode L, RGB or CMYK in sRGB; itself where that changes nothing."""
    find = transform if len(profile) <= SMALL else transform.__wrapped__
    found = find(profile, image.mode)
    return ImageCms.applyTransform(image, found) or image if found else image


@lru_cache(maxsize=16)
def transform(profile: bytes, mode: str) -> ImageCms.ImageCmsTransform | None:
    """From the colours of a profile to sRGB; None where those are sRGB, or the profile is unfit.

    Most pictures say that they are sRGB. To apply that to a frame of a camera would take longer
    than the network.
    """
    try:
        given = ImageCms.ImageCmsProfile(BytesIO(without_elements(profile)))
        made = ImageCms.buildTransform(given, ImageCms.createProfile("sRGB"), mode, "RGB")
    except (ImageCms.PyCMSError, OSError, TypeError, ValueError):
        return None  # broken, or for another kind of picture
    return made if mode == "CMYK" or changes(made, mode) else None


def without_elements(profile: bytes) -> bytes:
    """A profile without its tags D2B0 to D2B3, for the other tags say the same, less finely.

    These list elements that are run one after the other, and a list of a few kilobytes can name
    the same costly one for hours.
    """
    data, count = bytearray(profile), int.from_bytes(profile[128:132])
    for place in range(132, min(132 + 12 * count, len(data)), 12):
        if data[place : place + 3] == b"D2B":
            data[place : place + 3] = b"xxx"
    return bytes(data)


def changes(made: ImageCms.ImageCmsTransform, mode: str) -> bool:
    """Whether any of 4,096 colours comes out more than a level of 256 away from what it was."""
    steps = np.arange(0, 256, 17, dtype=np.uint8)
    colours = np.stack(np.meshgrid(steps, steps, steps), axis=-1).reshape(64, 64, 3)
    image = Image.fromarray(colours).convert(mode)
    turned = ImageCms.applyTransform(image, made) or image
    moved = np.asarray(ImageChops.difference(image.convert("RGB"), turned))
    return bool(moved.max() > 1)
