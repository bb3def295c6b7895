"""CIFAR10-DVS: images moving before an event camera."""

import numpy as np
from brian2.units import Hz, ms
from brian2.units.fundamentalunits import Quantity

from bioopzo.arguments import number
from bioopzo.datasets.recordings import EVENT_SETS
from bioopzo.errors import InputError
from bioopzo.tasks._event_task import Form, presentation, recorded, shares
from bioopzo.tasks._idx_images import few_steps
from bioopzo.tasks.trials import Task

FORMS = {
    "spiking": Form(300, 4 * ms, 50, size=32, hidden=(100, 100), parameters={
        "rho0": 200 * Hz, "Delta": 0.1, "tau_m": 60 * ms, "tau_o": 60 * ms, "b": 0.5,
        "T_z": 200 * ms, "T_w": 80 * ms, "alpha": 15 * Hz}),
    "rate": Form(10, 120 * ms, 3, size=48, counts=True, hidden=(800, 800),
                 parameters=few_steps(120 * ms)),
}
TEST_SEED = 1


def cifar10_dvs(
    engine: str = "spiking",
    data: str | None = None,
    partial: bool = False,
    samples: int | None = None,
    validation: int | None = None,
    test: float = 0.1,
    steps: int | None = None,
    dt: Quantity | None = None,
    warmup: int | None = None,
    crop: int | None = None,
    size: int | None = None,
    polarities: str = "separate",
    counts: bool | None = None,
) -> Task:
    """Classify images recorded by an event camera (needs its data: `bioopzo data cifar10_dvs`).

    option | default | meaning
    ------ | ------- | -------
    engine | 'spiking' | whose form the other defaults take: 'spiking' or 'rate'
    data | None | data directory; None: BIOOPZO_DATA, else the user's cache
    partial | False | True: the folder is meant to hold only a part of the 10000 recordings
    samples, validation | None | numbers of training recordings; None: all, a tenth
    test | 0.1 | share of each class's recordings that is for the test
    steps, dt | 300, 4 ms; rate: 10, 120 ms | time steps of a trial and their length
    warmup | 50; rate: 3 | steps before the target is shown and the readout read
    crop | None | side of the centred square of pixels that is kept, of 128
    size | 32; rate: 48 | side in pixels after pooling
    polarities | 'separate' | 'separate' (2048 inputs; rate 4608) or 'merged'
    counts | False; rate: True | True (rate engine): an input is the number of events in its step

    The window in time is the same for every recording: its first 1.2 s. The data set has no split
    of its own; here, as is usual, a tenth of each class is for the test (a fixed permutation, numpy
    RandomState, seed 1). tonic reads the files with the package aedat. Raises `InputError` for
    impossible options, and for missing or damaged recordings, naming the file.

    Source: Li, Liu, Ji, Li & Shi 2017, CIFAR10-DVS: an event-stream dataset for object
    classification, Frontiers in Neuroscience 11:309; as tonic distributes it.
    """
    name, event_set = "cifar10_dvs", EVENT_SETS["cifar10_dvs"]
    test = number(name, "test", test, least=0, below=1)
    shown = presentation(name, event_set, FORMS, engine, steps, dt, warmup, crop, size, polarities,
                         counts)

    def chosen(found):
        last, rest = [], []
        for label in range(len(event_set.labels)):
            own = [r for r in found["train"] if r.label == label]
            order = np.random.RandomState(TEST_SEED).permutation(len(own))
            cut = len(own) - round(test * len(own))
            rest += [own[k] for k in np.sort(order[:cut])]
            last += [own[k] for k in np.sort(order[cut:])]
        if not rest:
            raise InputError(f"{name}: test={test:g} leaves no recordings to train with")
        train, held = shares(name, rest, samples, validation)
        return {"train": train, "validation": held, "test": last}

    return recorded(shown, event_set, data, partial, chosen,
                    f"CIFAR10-DVS, {100 * test:g} % of each class for the test. Li et al. 2017.")
