"""The Yin-Yang data set: points in a plane that no linear readout separates."""

import math
from functools import lru_cache

import numpy as np
from brian2.units import Hz, ms
from brian2.units.fundamentalunits import Quantity

from bioopzo.arguments import number, whole
from bioopzo.errors import InputError
from bioopzo.tasks.trials import SPLITS, Task, consecutive_splits, gate, one_hot

SIZES = {"train": 5000, "validation": 1000, "test": 1000}
SEEDS = {"train": 42, "validation": 41, "test": 40}  # as published
R_BIG, R_SMALL = 0.5, 0.1


def yin_yang(
    scale: float = 4.0,
    duration: Quantity = 60 * ms,
    dt: Quantity = 1 * ms,
    warmup: Quantity = 20 * ms,
) -> Task:
    """Classify points of the Yin-Yang figure: yin, yang or dot (small, and not linearly separable).

    option | default | meaning
    ------ | ------- | -------
    scale | 4 | the constant input of a trial is scale*(sample - 0.5), so it spans -2 ... 2
    duration, dt | 60 ms, 1 ms | trial length and time step
    warmup | 20 ms | time before the target is shown and the readout read

    A sample is (x, y, 1-x, 1-y). Inputs are (7000, 4), targets (7000, 3) one-hot: 5000 training,
    1000 validation and 1000 test samples, bit for bit those of the published generator with its
    seeds 42, 41 and 40. Published test accuracies: 97.6 % for a trained two-layer network, 85.5 %
    with its lower weights frozen, 63.8 % without a hidden layer. Raises `InputError` for impossible
    options.

    Source: Kriener, Goeltz & Petrovici 2022, The Yin-Yang dataset (arXiv:2102.08211).
    """
    if number("yin_yang", "scale", scale, least=0) == 0:
        raise InputError("yin_yang: scale must not be 0, or all inputs are the same")
    parts = [yin_yang_samples(SEEDS[split], SIZES[split]) for split in SPLITS]
    samples = np.concatenate([part[0] for part in parts])
    labels = np.concatenate([part[1] for part in parts])
    return Task(
        name="yin_yang",
        inputs=scale * (samples - 0.5),
        targets=one_hot(labels, 3),
        labels=labels,
        mask=gate("yin_yang", duration, dt, warmup),
        splits=consecutive_splits(**SIZES),
        coding="current",
        duration=duration,
        dt=dt,
        hidden=(40, 40),
        parameters={
            "rho0": 3000 * Hz,  # nearly deterministic: the fine borders do not survive much noise
            "Delta": 0.1,
            "tau_m": 5 * ms,
            "tau_o": 5 * ms,
            "b": 0.5,
            "gain": 1.5,
            "input_gain": 2.0,
        },
        description=(
            "Points of the Yin-Yang figure in three classes (yin, yang, dot). "
            "Kriener, Goeltz & Petrovici 2022, published seeds."
        ),
    )


@lru_cache(maxsize=16)
def yin_yang_samples(seed: int, size: int) -> tuple[np.ndarray, np.ndarray]:
    """`size` Yin-Yang samples and their labels, exactly as the published generator does.

    Samples are (size, 4) float64 (x, y, 1-x, 1-y) in [0, 1]; labels (size,) int64 with 0 yin,
    1 yang, 2 dot. Both are read-only, because repeated calls return the same arrays. A smaller
    size with the same seed gives the first samples of a larger one. `InputError` for a size below 1
    or a negative seed.

    Source: Kriener, Goeltz & Petrovici 2022, The Yin-Yang dataset (arXiv:2102.08211).
    """
    size = whole("yin_yang_samples", "size", size)
    # The order of the draws is the data set: one class, then points until one has that class.
    rng = np.random.RandomState(whole("yin_yang_samples", "seed", seed, least=0))
    samples, labels = np.empty((size, 4)), np.empty(size, np.int64)
    for i in range(size):
        wanted = rng.randint(3)
        while True:
            x, y = (rng.rand(2) * 2 * R_BIG).tolist()
            inside = math.sqrt((x - R_BIG) ** 2 + (y - R_BIG) ** 2) <= R_BIG
            if inside and _class_of(x, y) == wanted:
                break
        samples[i] = x, y, 1 - x, 1 - y
        labels[i] = wanted
    samples.flags.writeable = labels.flags.writeable = False
    return samples, labels


def _class_of(x: float, y: float) -> int:
    right = math.sqrt((x - 1.5 * R_BIG) ** 2 + (y - R_BIG) ** 2)
    left = math.sqrt((x - 0.5 * R_BIG) ** 2 + (y - R_BIG) ** 2)
    if right < R_SMALL or left < R_SMALL:
        return 2
    in_left_half = R_SMALL < left <= 0.5 * R_BIG
    in_upper_half = y > R_BIG and right > 0.5 * R_BIG
    return int(right <= R_SMALL or in_left_half or in_upper_half)
