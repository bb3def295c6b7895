"""Handwritten digits of 8x8 pixels: the first real data set to try."""

import numpy as np
from brian2.units import Hz, ms
from brian2.units.fundamentalunits import Quantity

from bioopzo.arguments import choice
from bioopzo.tasks._digit_images import digit_images
from bioopzo.tasks._splits import SPLIT_SEED
from bioopzo.tasks.trials import Task, gate, one_hot

TEST, VALIDATION = 360, 240


def digits(
    coding: str = "current",
    duration: Quantity = 60 * ms,
    dt: Quantity = 1 * ms,
    warmup: Quantity = 20 * ms,
    input_rate: Quantity = 200 * Hz,
) -> Task:
    """Classify 1797 handwritten digits of 8x8 pixels (scikit-learn's copy; needs no download).

    option | default | meaning
    ------ | ------- | -------
    coding | 'current' | 'current': pixel values in [0, 1] as constant input; 'poisson': a pixel of
        1 fires at `input_rate`
    duration, dt | 60 ms, 1 ms | trial length and time step
    warmup | 20 ms | time before the target is shown and the readout read
    input_rate | 200 Hz | used with coding 'poisson' only

    Inputs are (1797, 64), targets (1797, 10) one-hot. One fixed permutation (numpy RandomState,
    seed 0) gives 360 test, then 240 validation, then 1197 training samples, so that the samples
    held out are the same whatever the options. Raises `InputError` for impossible options and
    `ImportError` without scikit-learn.

    Source: Alpaydin & Kaynak 1998, Optical Recognition of Handwritten Digits, UCI Machine Learning
    Repository (its test set), through scikit-learn.
    """
    choice("digits", "coding", coding, ("current", "poisson"))
    pixels, labels = digit_images()
    order = np.random.RandomState(SPLIT_SEED).permutation(len(labels))
    return Task(
        name="digits",
        inputs=pixels / 16,  # scikit-learn's pixels count 0 ... 16
        targets=one_hot(labels, 10),
        labels=labels,
        mask=gate("digits", duration, dt, warmup),
        splits={
            "train": order[TEST + VALIDATION :],
            "validation": order[TEST : TEST + VALIDATION],
            "test": order[:TEST],
        },
        coding=coding,
        duration=duration,
        dt=dt,
        input_rate=input_rate,
        hidden=(32, 32),
        # The noisy regime: neurons fire by chance around threshold, which every rule copes with.
        parameters={
            "rho0": 500 * Hz,
            "Delta": 0.1,
            "tau_m": 10 * ms,
            "tau_o": 10 * ms,
            "b": 0.5,
            "gain": 2.0,
        },
        description=(
            "8x8 handwritten digits, shown for one trial each. "
            "Alpaydin & Kaynak 1998 (UCI), through scikit-learn."
        ),
    )
