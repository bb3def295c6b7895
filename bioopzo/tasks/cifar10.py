"""CIFAR-10: 60,000 colour photographs of 32x32 pixels, 10 classes."""

import os

from brian2.units import ms
from brian2.units.fundamentalunits import Quantity

from bioopzo.tasks._colour_images import colour_task
from bioopzo.tasks.trials import Task


def cifar10(
    samples: int | None = None,
    validation: int = 5000,
    steps: int = 6,
    dt: Quantity = 1 * ms,
    warmup: int = 0,
    partial: bool = False,
    data: str | os.PathLike | None = None,
) -> Task:
    """Classify colour photographs, 10 classes (needs its data: `bioopzo data cifar10`).

    option | default | meaning
    ------ | ------- | -------
    samples | None | number of training images to use; None: all but those held out
    validation | 5000 | number of training images held out for validation
    steps, dt | 6, 1 ms | time steps of a trial and their length
    warmup | 0 | steps before the target is shown and the readout read
    partial | False | take fewer images, or another copy of them, as they are; the description says
        how many there were
    data | None | data directory; None: BIOOPZO_DATA, else the user's cache

    Made for the rate engine and convolutions: an architecture begins with `3x32x32`. Inputs are
    (60000, 3072) float32, a constant current: red, green, blue pixels, row by row, each channel
    less its mean over the training images, over its standard deviation. Targets are one-hot,
    `class_names` the data set's own. Sample i is training image i, in the order of the files, then
    come the test images; one fixed permutation (numpy RandomState, seed 0) of the training images
    gives training samples from its start and validation samples from its end. The binary and the
    Python layout are read. For augmented images see `augment` of the rate engine. Raises
    `InputError` for impossible options and for missing, truncated or foreign files.

    Source: Krizhevsky 2009, Learning multiple layers of features from tiny images (TR, Toronto);
    as in Xiao et al. 2024 (OPZO).
    """
    return colour_task("cifar10", samples, validation, steps, dt, warmup, partial, data)
