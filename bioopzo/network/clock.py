"""The trial's clock: what changes within a trial, and how long it is."""

from dataclasses import dataclass

import numpy as np
from brian2.units import second

from bioopzo.datasets.events import EventInputs
from bioopzo.errors import InputError

#: The column of `spiking.time_course` that holds the sign of the perturbation.
SIGMA = 2







#: What a task's time course gives to every group, once a step; see `spiking.time_course`.
CLOCK = """
    gate : 1 (shared)
    read : 1 (shared)
    sigma : 1 (shared)
    window : 1 (shared)
    hold : 1 (shared)
    pair : 1 (shared)
    plastic : 1 (shared)
    fresh : 1 (shared)
"""
CLOCK_NAMES = ("gate", "read", "sigma", "window", "hold", "pair", "plastic", "fresh")








@dataclass(frozen=True)
class Shape:
    """What of a task a network is built for: everything else is data handed in later.

    `steps` a trial, `dt`, whether the target varies within a trial, `rows`, the most trials that
    one chunk can hold, and `events`, the most of one trial where inputs are given as events (else
    0).
    """

    steps: int
    dt: float
    varying: bool
    rows: int
    events: int = 0

    @property
    def duration(self):
        """Trial length."""
        return self.steps * self.dt * second


def shape_of(task, rows):
    """The `Shape` of a task; room for events is a power of two, so that tasks share programs."""
    events = 0
    if isinstance(task.inputs, EventInputs):
        events = 1 << max(1, task.inputs.most - 1).bit_length()
    return Shape(task.steps, float(task.dt), task.targets.ndim == 3, rows, events)


def time_course(model, task):
    """What changes within a trial, as an array (steps, 6): see `neurons.CLOCK_NAMES`.

    Columns: gate (the error and plasticity are on), read (its weights sum to 1), sigma (sign of
    the perturbation), window (weights of the reading: mean over +z minus mean over -z, or the
    mean over one hold), hold (a new z is drawn), pair (the feedback synapses learn).

    Raises `InputError` when the trial is too short for one pair of holds.
    """
    mask = np.asarray(task.mask, dtype=float)
    course = np.zeros((task.steps, 6))
    course[:, 0] = mask
    course[:, 1] = mask / mask.sum()
    if not model.rule.perturbs:
        return course
    dt = float(task.dt)
    start = 0 if model.rule.perturbs == "trial" else int(np.flatnonzero(mask)[0])
    hold = round(float(model.parameters["T_z"]) / dt)
    window = round(float(model.parameters["T_w"]) / dt)
    if model.rule.perturbs in ("trial", "hold"):
        course[start:, 2] = 1
        course[start, 4] = course[-1, 5] = 1
        late = course[start:, 3]
        late[-min(window, len(late)):] = 1 / min(window, len(late))
        return course
    if not 0 < window <= hold:
        raise InputError(f"T_w ({window*dt*1e3:g} ms) must lie within T_z ({hold*dt*1e3:g} ms)")
    # Holds begin with the gate, or where a pair needs more room in the warm-up's second half.
    earliest = start // 2
    if task.steps - start < 2 * hold <= task.steps - earliest:
        start = task.steps - 2 * hold
    pairs = (task.steps - start) // (2 * hold)
    if pairs < 1:
        raise InputError(
            f"T_z={hold*dt*1e3:g} ms: two holds do not fit after the first {earliest*dt*1e3:g} ms "
            f"(half the warm-up) of a trial of {task.steps*dt*1e3:g} ms; allowed: T_z <= "
            f"{(task.steps - earliest)//2*dt*1e3:g} ms")
    for k in range(pairs):
        first = start + 2 * k * hold
        course[first, 4] = course[first + 2 * hold - 1, 5] = 1
        for sign, begin in ((1, first), (-1, first + hold)):
            course[begin:begin + hold, 2] = sign
            course[begin + hold - window:begin + hold, 3] = sign / window
    return course
