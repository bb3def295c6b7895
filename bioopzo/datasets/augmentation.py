"""Augmented images: what a feed shows in place of the images that a task holds."""

from collections.abc import Mapping
from typing import Any

import numpy as np

from bioopzo.arguments import whole_number
from bioopzo.errors import InputError, unknown

#: What there is, and the pixels of each where nobody says more: how far a crop moves, how wide the
#: square is that a cutout hides. In this order they are done.
USUAL = {"crop": 4, "flip": 1, "cutout": 8}


def checked_augment(augment: Any) -> dict[str, int]:
    """What is asked for, name -> pixels, in order; `InputError` for anything else.

    `augment` is None, a name, several, or a mapping name -> pixels (of ``"flip"``: 1).
    """
    if augment is None:
        return {}
    if isinstance(augment, str):
        augment = [word.strip() for word in augment.split(",") if word.strip()]
    try:
        asked = dict(augment) if isinstance(augment, Mapping) else dict.fromkeys(augment)
    except TypeError:
        raise InputError("augment names what is done to images, ['crop', 'flip', 'cutout'], or "
                         f"{{'crop': 4}}, not {augment!r}") from None
    for name in asked:
        if name not in USUAL:
            raise unknown("way to augment images", name, USUAL)
    return {name: usual if asked[name] is None else whole_number(f"augment {name!r}", asked[name])
            for name, usual in USUAL.items() if name in asked}


def check_fits(asked: Mapping[str, int], image: tuple[int, int, int] | None) -> None:
    """Refuse images that are none, or smaller than what is `asked`.

    `image` is (channels, rows, columns).
    """
    if not asked:
        return
    if image is None:
        raise InputError("augment changes images, and what the inputs are is said by an "
                         "architecture that begins with one, such as 3x32x32-32C3-AP2-10")
    side = min(image[1:])
    for name, pixels in asked.items():
        if pixels >= side and name != "flip":
            raise InputError(f"augment {name!r}: {pixels} pixels are not less than the {side} of "
                             "an image")


def augmented(inputs: np.ndarray, image: tuple[int, int, int], asked: Mapping[str, int],
              rng: np.random.Generator) -> np.ndarray:
    """`inputs` (samples, features) or (samples, steps, features), each sample changed at random.

    Their features are an `image` (channels, rows, columns). ``"crop"`` moves it by up to so many
    pixels each way, ``"flip"`` turns every second one around, left to right, ``"cutout"`` hides a
    square of so many pixels, wherever its middle lies. What comes in from outside, and what is
    hidden, is 0: the mean of inputs that are scaled so. All steps of a sample are changed alike.
    Three draws of `rng` a batch, whatever is asked for, so that one does not change another.

    Source: DeVries & Taylor 2017, Improved regularization of convolutional neural networks with
    cutout, arXiv:1708.04552.
    """
    samples, (_, rows, columns) = len(inputs), image
    images = inputs.reshape(samples, -1, *image).copy()
    moves, turned, middles = (rng.random((samples, 2)), rng.random(samples) < 0.5,
                              rng.random((samples, 2)))
    if "crop" in asked:
        far = asked["crop"]
        shifts = np.floor(moves * (2 * far + 1)).astype(int)
        padded = np.pad(images, ((0, 0),) * 3 + ((far, far),) * 2)
        for k, (down, right) in enumerate(shifts):
            images[k] = padded[k, ..., down:down + rows, right:right + columns]
    if "flip" in asked:
        images[turned] = images[turned, ..., ::-1]
    if "cutout" in asked:
        side = asked["cutout"]
        first = np.floor(middles * (rows, columns)).astype(int) - side // 2
        for k, (top, left) in enumerate(first):
            images[k, ..., max(0, top):top + side, max(0, left):left + side] = 0
    return images.reshape(inputs.shape)
