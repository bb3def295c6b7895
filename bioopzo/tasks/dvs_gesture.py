"""DVS-Gesture: hand and arm gestures before an event camera."""

from brian2.units import Hz, ms
from brian2.units.fundamentalunits import Quantity

from bioopzo.datasets.recordings import EVENT_SETS
from bioopzo.tasks._event_task import Form, drawn, presentation, recorded, shares
from bioopzo.tasks._idx_images import few_steps
from bioopzo.tasks.trials import Task

FORMS = {
    "spiking": Form(300, 5 * ms, 50, size=32, hidden=(100, 100), parameters={
        "rho0": 200 * Hz, "Delta": 0.1, "tau_m": 75 * ms, "tau_o": 75 * ms, "b": 0.5,
        "T_z": 250 * ms, "T_w": 100 * ms, "alpha": 12 * Hz}),
    "rate": Form(20, 300 * ms, 3, size=32, counts=True, hidden=(800, 800),
                 parameters=few_steps(300 * ms)),
}


def dvs_gesture(
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
) -> Task:
    """Classify gestures recorded by an event camera (needs its data: `bioopzo data dvs_gesture`).

    option | default | meaning
    ------ | ------- | -------
    engine | 'spiking' | whose form the other defaults take: 'spiking' or 'rate'
    data | None | data directory; None: BIOOPZO_DATA, else the user's cache
    partial | False | True: the folder is meant to hold only a part of the 1077 + 264 recordings
    samples, validation, test | None | numbers of recordings; None: all, a tenth of training, all
    steps, dt | 300, 5 ms; rate: 20, 300 ms | time steps of a trial and their length
    warmup | 50; rate: 3 | steps before the target is shown and the readout read
    crop | None | side of the centred square of pixels that is kept, of 128
    size | 32 | side in pixels after pooling
    polarities | 'separate' | 'separate' (2048 inputs) or 'merged'
    counts | False; rate: True | True (rate engine): an input is the number of events in its step

    The window in time is the same for every recording, from its start (1.5 s; rate engine 6 s);
    what comes later is left out. Splits are those of tonic: 1077 recordings of 23 users to train
    (of which validation is held out), 264 of 6 others to test; some publications cut the same
    recordings into 1176 and 288. Raises `InputError` for impossible options, and for missing or
    damaged recordings, naming the file.

    Source: Amir et al. 2017, A low power, fully event-based gesture recognition system, CVPR; as
    tonic distributes it.
    """
    name, event_set = "dvs_gesture", EVENT_SETS["dvs_gesture"]
    shown = presentation(name, event_set, FORMS, engine, steps, dt, warmup, crop, size, polarities,
                         counts)

    def chosen(found):
        train, held = shares(name, found["train"], samples, validation)
        return {"train": train, "validation": held,
                "test": drawn(name, found["test"], test)}

    return recorded(shown, event_set, data, partial, chosen,
                    "DVS-Gesture in tonic's split (1077 and 264). Amir et al. 2017.")
