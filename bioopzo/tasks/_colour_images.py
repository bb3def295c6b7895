"""What CIFAR-10 and CIFAR-100 share: from colour images to a `Task`."""

import os

import numpy as np
from brian2.units import second
from brian2.units.fundamentalunits import Quantity

from bioopzo.arguments import quantity, whole
from bioopzo.datasets import cifar
from bioopzo.tasks._idx_images import BLOCK, asked_of, few_steps, image_splits
from bioopzo.tasks.trials import Task, gate, one_hot

HIDDEN = (800,)
JPEG = "; numbers of another copy (compressed images, say) are not those of the original files"


def colour_task(name: str, samples: int | None, validation: int, steps: int, dt: Quantity,
                warmup: int, partial: bool, data: str | os.PathLike | None) -> Task:
    """The task of data set `name`; the options are those of `tasks.cifar10`."""
    steps, warmup = whole(name, "steps", steps), whole(name, "warmup", warmup, least=0)
    quantity(name, "dt", dt, second)
    mask = gate(name, steps * dt, dt, warmup * dt)
    asked = asked_of(name, samples, validation)
    found = cifar.load(name, data, partial)
    classes = cifar.SETS[name].classes
    train, test = found.held
    part = "" if found.whole else (
        f" A part, or another copy, of the data set: {train} training and {test} test images"
        f"{JPEG}.")
    return Task(
        name=name, inputs=normalised(found.images, train), targets=one_hot(found.labels, classes),
        labels=found.labels, mask=mask,
        splits=image_splits(name, *asked, train, len(found.labels)), coding="current",
        duration=steps * dt, dt=dt, hidden=HIDDEN, parameters=few_steps(dt),
        class_names=found.names,
        description="32x32 colour photographs as a constant current, red, then green, then blue "
                    f"pixels. Krizhevsky 2009.{part}")


def normalised(images: np.ndarray, train: int) -> np.ndarray:
    """Images as one row each, every channel scaled by that of the first `train` images.

    From uint8 (n, channels, rows, columns) to float32 (n, channels*rows*columns), read-only: pixels
    less the channel's mean, over its standard deviation.
    """
    channels = images.shape[1]
    counts = np.zeros((channels, 256), np.int64)
    for i in range(0, train, BLOCK):
        for k in range(channels):
            counts[k] += np.bincount(images[i:min(train, i + BLOCK), k].ravel(), minlength=256)
    levels, shares = np.arange(256), counts / counts.sum(axis=1, keepdims=True)
    mean = shares @ levels
    deviation = np.sqrt(np.maximum((shares * (levels - mean[:, None])**2).sum(axis=1), 1e-12))
    values = ((levels - mean[:, None]) / deviation[:, None]).astype(np.float32)
    inputs = np.empty((len(images), channels, images[0, 0].size), np.float32)
    for i in range(0, len(images), BLOCK):
        block = images[i:i + BLOCK].reshape(-1, channels, images[0, 0].size)
        for k in range(channels):
            inputs[i:i + BLOCK, k] = values[k][block[:, k]]
    inputs = inputs.reshape(len(images), -1)
    inputs.flags.writeable = False  # a Task takes a frozen array as it is, without a copy
    return inputs
