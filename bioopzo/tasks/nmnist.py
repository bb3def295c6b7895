"""N-MNIST: MNIST's digits seen by an event camera in three saccades."""

import numpy as np
from brian2.units import Hz, ms
from brian2.units.fundamentalunits import Quantity

from bioopzo.arguments import choice, whole
from bioopzo.datasets import files, simulated_nmnist
from bioopzo.datasets.cache import cached
from bioopzo.datasets.events import Binning, EventInputs, joined
from bioopzo.datasets.recordings import EVENT_SETS
from bioopzo.tasks._digit_images import digit_images
from bioopzo.tasks._event_task import (
    Form,
    assembled,
    drawn,
    first,
    flag,
    presentation,
    recorded,
    shares,
)
from bioopzo.tasks._idx_images import few_steps
from bioopzo.tasks.trials import Task

FORMS = {
    "spiking": Form(300, 1 * ms, 100, hidden=(100, 100), parameters={
        "rho0": 500 * Hz, "Delta": 0.1, "tau_m": 15 * ms, "tau_o": 15 * ms, "b": 0.5,
        # Short holds, and so four pairs a trial: the input changes, and M needs many of them.
        "T_z": 25 * ms, "T_w": 15 * ms}),
    # The readout gathers what a saccade brings; holds outlast it.
    "rate": Form(30, 10 * ms, 3, hidden=(800, 800), parameters={
        **few_steps(10 * ms), "tau_m": 20 * ms, "tau_o": 50 * ms, "T_z": 50 * ms, "T_w": 30 * ms}),
}
#: What the simulated task of each kind of images is called; the most recordings of each split
#: where the user gives no number.
IMAGES = {"mnist": "nmnist_simulated", "digits": "digits_simulated"}
DIGITS_TEST = 360
SIMULATED = {"train": 6000, "validation": 1000, "test": 1000}


def nmnist(
    engine: str = "spiking",
    data: str | None = None,
    partial: bool = False,
    samples: int | None = None,
    validation: int | None = None,
    test: int | None = None,
    steps: int | None = None,
    dt: Quantity | None = None,
    warmup: int | None = None,
    crop: int | None = None,
    size: int | None = None,
    polarities: str = "separate",
    counts: bool | None = None,
    simulate: bool = False,
    images: str = "mnist",
    seed: int = 0,
) -> Task:
    """Classify digits recorded by an event camera (needs its data: `bioopzo data nmnist`).

    option | default | meaning
    ------ | ------- | -------
    engine | 'spiking' | whose form the other defaults take: 'spiking' or 'rate'
    data | None | data directory; None: BIOOPZO_DATA, else the user's cache
    partial | False | True: the folder is meant to hold only a part of the 60000 + 10000 recordings
    samples | None | number of training recordings; None: all but those held out (simulated: 6000)
    validation | None | training recordings held out for validation; None: a tenth (simulated: 1000)
    test | None | number of test recordings, drawn (simulated: the first, 1000); None: all
    steps, dt | 300, 1 ms; rate: 30, 10 ms | time steps of a trial and their length
    warmup | 100; rate: 3 | steps before the target is shown and the readout read
    crop | None | side of the centred square of pixels that is kept, of 34
    size | None | side in pixels after pooling
    polarities | 'separate' | 'separate' (2312 inputs) or 'merged' (1156)
    counts | False | True (rate engine): an input is the number of events in its time step
    simulate | False | True: no recordings, but a simulation made of still images
    images | 'mnist' | of what images: 'mnist', or 'digits' (8x8, enlarged): need no data
    seed | 0 | of the simulation

    Inputs are events: (samples, steps, n_in), 1 where a pixel has an event of a polarity in a time
    step; neuron = (p*34 + y)*34 + x. Events after the last step are left out (recordings last 297
    to 336 ms). Targets are (samples, 10) one-hot. Samples are in the order of the files (the number
    in the file's name is that of MNIST's image); training and validation recordings come from the
    start and the end of a fixed permutation (numpy RandomState, seed 0), test recordings from the
    folder Test; where a part has only one of the two folders, a tenth of it takes the place of the
    other, and the task's description says so. The simulated task is called 'nmnist_simulated'
    ('digits_simulated' for images='digits': 1437 to train, 360 to test); it takes its images from
    MNIST (`bioopzo data mnist`) or from scikit-learn's digits by the same permutation. Raises
    `InputError` for impossible options, and for missing or damaged recordings, naming the file.

    Source: Orchard, Jayawant, Cohen & Thakor 2015, Converting static image datasets to spiking
    neuromorphic datasets using saccades, Frontiers in Neuroscience 9:437 (CC BY-SA 4.0).
    """
    event_set = EVENT_SETS["nmnist"]
    choice("nmnist", "images", images, IMAGES)
    name = IMAGES[images] if simulate else "nmnist"
    shown = presentation(name, event_set, FORMS, engine, steps, dt, warmup, crop, size, polarities,
                         counts)
    if flag(name, "simulate", simulate):
        return _simulated(shown, _still(images, data), samples, validation, test, seed)

    def chosen(found):
        train, held = shares(name, found["train"], samples, validation)
        return {"train": train, "validation": held,
                "test": drawn(name, found["test"], test)}

    return recorded(shown, event_set, data, partial, chosen,
                    "N-MNIST, digits recorded in three saccades. Orchard et al. 2015.")


def _still(images, data):
    """Training images, labels, test images, labels; images (n, 28, 28) uint8."""
    if images == "mnist":
        return files.load("mnist", data)
    from scipy.ndimage import zoom  # slow to import, used only here

    small, labels = digit_images()
    large = zoom(small.reshape(-1, 8, 8) * (255 / 16), (1, 3, 3), order=1, grid_mode=True,
                 mode="nearest")
    large = np.pad(large.round().astype(np.uint8), ((0, 0), (2, 2), (2, 2)))
    return large[:-DIGITS_TEST], labels[:-DIGITS_TEST], large[-DIGITS_TEST:], labels[-DIGITS_TEST:]


def _simulated(shown, still, samples, validation, test, seed):
    """The task made of still images."""
    images, labels, test_images, test_labels = still
    if validation is None:
        validation = min(SIMULATED["validation"], len(images) // 10)
    if samples is None:
        samples = min(SIMULATED["train"], len(images) - validation)
    test = min(SIMULATED["test"], len(test_images)) if test is None else test
    train, held = shares(shown.name, list(range(len(images))), samples, validation)
    last = first(shown.name, list(range(len(test_images))), test)
    seed = whole(shown.name, "seed", seed, least=0)
    parts = [simulation(shown.grid, source, chosen, f"{shown.name}, {split}", seed)
             for source, chosen, split in ((images, train, "train"), (images, held, "train"),
                                           (test_images, last, "test")) if chosen]
    return assembled(
        shown, joined(parts),
        np.concatenate([labels[train], labels[held], test_labels[last]]).astype(np.int64),
        {"train": len(train), "validation": len(held), "test": len(last)},
        "SIMULATED event data: made of still images, not recorded.")


def simulation(grid: Binning, images: np.ndarray, chosen: list, split: str,
               seed: int) -> EventInputs:
    """Simulated recordings of some images (indices `chosen`), binned, cached.

    `split` names the images in the cache's key.
    """
    source = {"split": split, "images": [int(k) for k in chosen], "seed": seed,
              "simulator": simulated_nmnist.CONSTANTS}
    return cached("nmnist_simulated", grid, source, lambda: grid.inputs(
        simulated_nmnist.recordings(images[chosen], seed)))
