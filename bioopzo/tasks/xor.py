"""Exclusive or of two bits: a smoke test, not a benchmark."""

import numpy as np
from brian2.units import Hz, ms
from brian2.units.fundamentalunits import Quantity

from bioopzo.arguments import number, whole
from bioopzo.tasks.trials import Task, consecutive_splits, gate, one_hot

SIZES = {"train": 400, "validation": 100, "test": 100}


def xor(
    noise: float = 0.1,
    duration: Quantity = 60 * ms,
    dt: Quantity = 1 * ms,
    warmup: Quantity = 20 * ms,
    seed: int = 0,
) -> Task:
    """Tell whether two bits differ: a smoke test that runs in seconds, not a benchmark.

    option | default | meaning
    ------ | ------- | -------
    noise | 0.1 | standard deviation of the Gaussian noise on each input; 0 for clean bits
    duration, dt | 60 ms, 1 ms | trial length and time step
    warmup | 20 ms | time before the target is shown and the readout read
    seed | 0 | of the noise and of the order of the samples

    A bit is coded by two inputs, itself and its complement, so that every sample drives the network
    alike: inputs are (600, 4) constant currents (p, q, 1-p, 1-q) plus noise, targets (600, 2)
    one-hot, class 1 when the bits differ. The four combinations are equally frequent in each split
    of 400 training, 100 validation and 100 test samples. Raises `InputError` for impossible
    options.
    """
    noise = number("xor", "noise", noise, least=0, below=10)
    rng = np.random.default_rng(whole("xor", "seed", seed, least=0))
    pair = np.concatenate([rng.permutation(np.arange(size) % 4) for size in SIZES.values()])
    bits = np.stack([pair // 2, pair % 2], axis=1)
    labels = bits[:, 0] ^ bits[:, 1]
    clean = np.concatenate([bits, 1 - bits], axis=1)
    return Task(
        name="xor",
        inputs=clean + noise * rng.standard_normal(clean.shape),
        targets=one_hot(labels, 2),
        labels=labels,
        mask=gate("xor", duration, dt, warmup),
        splits=consecutive_splits(**SIZES),
        coding="current",
        duration=duration,
        dt=dt,
        hidden=(10, 10),
        parameters={
            "rho0": 500 * Hz,
            "Delta": 0.1,
            "tau_m": 10 * ms,
            "tau_o": 10 * ms,
            "b": 0.5,
            "gain": 2.0,
        },
        description="Exclusive or of two noisy bits: a smoke test.",
    )
