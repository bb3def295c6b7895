"""Spiking Heidelberg Digits: spoken digits as the spikes of a model cochlea."""

from brian2.units import Hz, ms
from brian2.units.fundamentalunits import Quantity

from bioopzo.datasets.recordings import EVENT_SETS
from bioopzo.tasks._event_task import Form, drawn, presentation, recorded, shares
from bioopzo.tasks._idx_images import few_steps
from bioopzo.tasks.trials import Task

FORMS = {
    "spiking": Form(500, 2 * ms, 100, hidden=(100, 100), parameters={
        "rho0": 300 * Hz, "Delta": 0.1, "tau_m": 50 * ms, "tau_o": 50 * ms, "b": 0.5,
        "T_z": 150 * ms, "T_w": 60 * ms, "alpha": 20 * Hz}),
    "rate": Form(100, 10 * ms, 10, hidden=(400, 400), parameters={
        **few_steps(10 * ms), "tau_m": 50 * ms, "tau_o": 50 * ms, "T_z": 100 * ms,
        "T_w": 50 * ms}),
}


def shd(
    engine: str = "spiking",
    data: str | None = None,
    partial: bool = False,
    samples: int | None = None,
    validation: int | None = None,
    test: int | None = None,
    steps: int | None = None,
    dt: Quantity | None = None,
    warmup: int | None = None,
    size: int | None = None,
    counts: bool | None = None,
) -> Task:
    """Classify spoken digits from the spikes of a cochlea (needs its data: `bioopzo data shd`).

    option | default | meaning
    ------ | ------- | -------
    engine | 'spiking' | whose form the other defaults take: 'spiking' or 'rate'
    data | None | data directory; None: BIOOPZO_DATA, else the user's cache
    partial | False | True: the files are meant to hold only a part of the 8156 + 2264 recordings
    samples, validation, test | None | numbers of recordings; None: all, a tenth of training, all
    steps, dt | 500, 2 ms; rate: 100, 10 ms | time steps of a trial and their length
    warmup | 100; rate: 10 | steps before the target is shown and the readout read
    size | None | channels after pooling, of 700
    counts | False | True (rate engine): an input is the number of spikes in its time step

    The window in time is the first second of every recording. 20 classes: the digits 0 to 9 in
    English and in German. Splits are the published ones: 8156 recordings to train (of which
    validation is held out) and 2264 to test, among them all of two speakers. Raises `InputError`
    for impossible options, and for missing or damaged files, naming the file.

    Source: Cramer, Stradmann, Schemmel & Zenke 2020, The Heidelberg spiking data sets for the
    systematic evaluation of spiking neural networks, IEEE TNNLS.
    """
    name, event_set = "shd", EVENT_SETS["shd"]
    shown = presentation(name, event_set, FORMS, engine, steps, dt, warmup, None, size, "separate",
                         counts)

    def chosen(found):
        train, held = shares(name, found["train"], samples, validation)
        return {"train": train, "validation": held,
                "test": drawn(name, found["test"], test)}

    return recorded(shown, event_set, data, partial, chosen,
                    "Spoken digits through a model cochlea. Cramer et al. 2020.")
