"""CIFAR-100: 60,000 colour photographs of 32x32 pixels, 100 classes (the fine labels)."""

import os

from brian2.units import ms
from brian2.units.fundamentalunits import Quantity

from bioopzo.tasks._colour_images import colour_task
from bioopzo.tasks.trials import Task


def cifar100(
    samples: int | None = None,
    validation: int = 5000,
    steps: int = 6,
    dt: Quantity = 1 * ms,
    warmup: int = 0,
    partial: bool = False,
    data: str | os.PathLike | None = None,
) -> Task:
    """Classify colour photographs by their fine labels (needs its data: `bioopzo data cifar100`).

    option | default | meaning
    ------ | ------- | -------
    samples | None | number of training images to use; None: all but those held out
    validation | 5000 | number of training images held out for validation
    steps, dt | 6, 1 ms | time steps of a trial and their length
    warmup | 0 | steps before the target is shown and the readout read
    partial | False | take fewer images, or another copy of them, as they are; the description says
        how many there were
    data | None | data directory; None: BIOOPZO_DATA, else the user's cache

    Inputs, scaling, splits and layouts of the files are those of `cifar10`; targets are (60000,
    100) one-hot. Raises `InputError` as it does.

    Source: Krizhevsky 2009, Learning multiple layers of features from tiny images (TR, Toronto);
    as in Xiao et al. 2024 (OPZO).
    """
    return colour_task("cifar100", samples, validation, steps, dt, warmup, partial, data)
