"""Recordings of event cameras that are empty, cut, silent or of no sense; spikes in other units."""

from functools import partial

import numpy as np
from brian2 import ms, second
from event_formats import events, nmnist

import bioopzo as bz
from bioopzo.datasets import simulated_nmnist
from faults.caches import environment
from faults.tools import each, fault, refused, warned


def _nmnist(here, change, whole):
    """What is said of N-MNIST, one or all recordings of which are changed."""
    files = sorted(nmnist(here))
    for path in files if whole else files[1:2]:
        change(path)
    with environment(BIOOPZO_DATA=here, BIOOPZO_CACHE=here / "cache"):
        load = partial(bz.tasks.nmnist, partial=True, validation=0)
        return (refused(load) if whole else _either(load)), "the other recordings"


def _either(call):
    """What a call says, in an error or a warning."""
    try:
        return warned(call)[0]
    except bz.errors.InputError as problem:
        return str(problem)


def _at_once(path):
    found = events()
    found["t"] = 0
    simulated_nmnist.write(path, found)


for done, change, whole, *says in (
        ("a recording that is empty", lambda path: path.write_bytes(b""), False, ".bin", "silent"),
        ("a recording that is cut within an event",
         lambda path: path.write_bytes(path.read_bytes()[:-3]), False, ".bin"),
        ("a recording of zeros", lambda path: path.write_bytes(bytes(500)), False, ".bin"),
        ("a recording whose events are at one moment", _at_once, False, ".bin", "one moment"),
        ("a folder of silent recordings", lambda path: path.write_bytes(b""), True, "silent"),
        ("a folder of recordings at one moment", _at_once, True, "one moment")):
    fault("recordings", done, *says, point=10, given=(change, whole))(_nmnist)


@fault("recordings", "no folder at all", "NMNIST", "BIOOPZO_DATA", point=10)
def _(here):
    with environment(BIOOPZO_DATA=here, BIOOPZO_CACHE=here / "cache"):
        return refused(bz.tasks.nmnist), "-"


TIMES = [[[0.01, 0.02], [0.03]]] * 4
each("recordings", {
    "spike times without a unit": (
        lambda: bz.tasks.from_spikes([[[10, 20], [30]]] * 4, [0, 1, 0, 1], duration=50 * ms),
        "unit=ms", "from 10 to 20"),
    "spike times in ms given as seconds": (
        lambda: bz.tasks.from_spikes([[[10, 20], [30]]] * 4, [0, 1, 0, 1], duration=50 * ms,
                                     unit=second), "silent", "10"),
    "spike times that are NaN": (
        lambda: bz.tasks.from_spikes([[[np.nan], [30]]] * 4, [0, 1, 0, 1], duration=50 * ms,
                                     unit=ms),
        "finite"),
    "as many labels as there are not trials": (
        lambda: bz.tasks.from_spikes(TIMES, [0, 1], duration=50 * ms, unit=second),
        "2", "4"),
    "events beyond the sensor": (lambda: bz.tasks.from_events(
        [events(), events(seed=1)], [0, 1], sensor=(5, 5, 2)), "sensor"),
}, point=10)
