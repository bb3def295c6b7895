"""Tasks from a user's own spike times."""

import warnings
from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np
from brian2.units import ms, second
from brian2.units.fundamentalunits import Quantity, have_same_dimensions

from bioopzo.arguments import quantity, step_count, whole
from bioopzo.datasets.events import BORDER, EventInputs
from bioopzo.errors import InputError, ModelWarning
from bioopzo.tasks._own import from_arrays
from bioopzo.tasks.trials import Task

#: Share of spikes that may fall into a step with another of their neuron before that is said.
MERGED = 0.01


def from_spikes(trials: Any, labels: Any, duration: Quantity | None = None,
                dt: Quantity = 1 * ms, unit: Quantity | None = None, n_in: int | None = None,
                name: str = "own", **more: Any) -> Task:
    """A `Task` from spike times: what every input neuron fires in each trial, and what is wanted.

    Parameters
    ----------
    trials : sequence, or a neo Block (each segment a trial)
        Of each trial: a list with the spike times of each neuron; a tuple ``(times, neurons)``; a
        mapping from neurons to times; or a neo Segment, whose times count from its `t_start`.
    labels : targets, as of `from_arrays`
    duration : time
        A trial, a multiple of `dt`; later spikes are left out with a warning. Default: up to the
        last spike of all.
    dt : time
        A step; a neuron spikes once in it at most.
    unit : time
        Of times that are plain numbers: ``unit=ms``, ``unit=second``. Others bring their own.
    n_in : int
        Number of input neurons; default the highest one that spikes, or the longest list.
    name : str
        Of the task.
    **more
        As for `from_arrays`: `mask`, `splits`, `validation`, `test`, `seed`, `hidden` ...

    Raises `InputError` for times without a unit, for neurons that do not exist, and where no spike
    lies within a trial. Warns of spikes that are left out or fall together, and of silent trials.
    """
    quantity(name, "dt", dt, second)
    found = [_trial(f"{name}: trial {k}", trial, unit) for k, trial in enumerate(_listed(trials))]
    if not found:
        raise InputError(f"{name}: there are no trials")
    most = 1 + max(int(neurons.max(initial=listed - 1)) for _, neurons, listed in found)
    n_in = most if n_in is None else whole(name, "n_in", n_in)
    if most > n_in:
        raise InputError(f"{name}: n_in={n_in} neurons are numbered from 0 to {n_in - 1}, and "
                         f"there is a neuron {most - 1}")
    times = [seconds / float(dt) for seconds, _, _ in found]
    if duration is None:
        last = max((float(steps.max(initial=0)) for steps in times), default=0.0)
        duration = (int(np.floor(last + BORDER)) + 1) * dt
    steps = step_count(name, duration, dt)
    cells = []
    for each, (_, neurons, _) in zip(times, found):
        step = np.floor(each + BORDER).astype(np.int64)
        within = (step >= 0) & (step < steps)
        cells.append(step[within] * n_in + neurons[within])
    check_within(name, [seconds for seconds, _, _ in found], cells, duration)
    kept = [np.unique(each) for each in cells]
    inputs = EventInputs(steps, n_in, np.cumsum([0, *map(len, kept)]),
                         np.concatenate(kept).astype(np.uint32))
    _warn_of_lost(name, inputs, sum(map(len, cells)), dt)
    if more.pop("coding", "spikes") != "spikes":
        raise InputError(f"{name}: spike times are shown as spikes: coding is 'spikes'")
    return from_arrays(inputs, labels, duration=duration, dt=dt, name=name, coding="spikes", **more)


# ---- spike times ---------------------------------------------------------------------------------


def _listed(trials):
    """The trials of whatever holds them: a list, or the segments of a block."""
    return list(getattr(trials, "segments", trials))


def _trial(where, trial, unit):
    """(times in seconds, neurons, how many neurons are listed) of one trial."""
    trains = getattr(trial, "spiketrains", None)
    if trains is not None:
        begin = seconds_of(where, trial.t_start, unit) if len(trains) else 0.0
        return _of_each(where, dict(enumerate(trains)), unit, begin)
    if isinstance(trial, Mapping):
        return _of_each(where, trial, unit)
    if isinstance(trial, tuple):
        if len(trial) != 2:
            raise InputError(f"{where} is a tuple of {len(trial)}: a tuple is (times, neurons), a "
                             "list has the times of each neuron")
        times, neurons = seconds_of(where, trial[0], unit), _neurons(where, trial[1])
        if times.shape != neurons.shape:
            raise InputError(f"{where} has {len(times)} times, and {len(neurons)} neurons")
        return times, neurons, 0
    if isinstance(trial, (str, bytes)) or not isinstance(trial, Iterable):
        raise InputError(f"{where} is a list with the times of each neuron, a tuple (times, "
                         f"neurons) or a mapping, not {trial!r}")
    return _of_each(where, dict(enumerate(trial)), unit)


def _of_each(where, trains, unit, begin=0.0):
    """A trial of neuron -> its spike times."""
    numbers = _neurons(where, list(trains))
    times = [np.atleast_1d(seconds_of(f"{where}, neuron {k}", train, unit)) - begin
             for k, train in trains.items()]
    neurons = np.repeat(numbers, [len(each) for each in times])
    return np.concatenate([np.zeros(0), *times]), neurons, int(numbers.max(initial=-1)) + 1


def seconds_of(where: str, times: Any, unit: Quantity | None) -> np.ndarray:
    """Times in seconds, whatever carries their unit: Brian2, the package quantities, or `unit`."""
    if isinstance(times, Quantity):
        if not have_same_dimensions(times, second):
            raise InputError(f"{where}: times are times, not {times!r:.60}")
        return _finite(where, np.asarray(times, float))
    if hasattr(times, "rescale"):  # of neo: numbers with a unit of their own
        return _finite(where, np.asarray(times.rescale("s").magnitude, float))
    if isinstance(times, (list, tuple)) and any(isinstance(each, Quantity) for each in times):
        return np.array([float(seconds_of(where, each, unit)) for each in times])  # NumPy drops it
    values = np.asarray(times)
    if values.size and values.dtype.kind not in "iuf":
        raise InputError(f"{where}: times must be numbers, not {times!r:.60}")
    values = _finite(where, values.astype(float))
    if unit is None:
        if not values.size:
            return values
        raise InputError(f"{where}: times are plain numbers, from {values.min():g} to "
                         f"{values.max():g}: say which unit they are in, unit=ms or unit=second")
    return values * float(quantity(where.partition(":")[0], "unit", 1 * unit, second))


def _finite(where, times):
    if not np.isfinite(times).all():
        raise InputError(f"{where}: times must be finite")
    return times


def _neurons(where, neurons):
    """Numbers of neurons."""
    numbers = np.asarray(neurons)
    if numbers.size and (numbers.dtype.kind not in "iu" or numbers.min() < 0):
        raise InputError(f"{where}: neurons are whole numbers from 0, not {neurons!r:.60}")
    return numbers.astype(np.int64)


def check_within(name: str, seconds: list[np.ndarray], cells: list[np.ndarray],
                 duration: Quantity, warn: bool = True) -> None:
    """Refuse trials without any spike in them; warn of spikes that lie outside."""
    every = np.concatenate(seconds)
    if not len(every):
        raise InputError(f"{name}: no trial has a spike")
    inside = sum(map(len, cells))
    reach = f"the times found go from {every.min():g} s to {every.max():g} s"
    if not inside:
        raise InputError(f"{name}: all trials are silent: none of {len(every)} spikes lies between "
                         f"0 and {duration}; {reach}. Are they in another unit (unit=usecond), or "
                         "do trials begin later?")
    if warn and inside < len(every):
        warnings.warn(f"{name}: {len(every) - inside} of {len(every)} spikes lie outside 0 to "
                      f"{duration} and are left out; {reach}", ModelWarning, stacklevel=3)


def _warn_of_lost(name, inputs, spikes, dt):
    """Warn of spikes that fall together, and of silent trials."""
    lost = spikes - len(inputs.cells)
    if lost > MERGED * spikes:
        warnings.warn(f"{name}: {lost} of {spikes} spikes fall into the same step as another of "
                      f"their neuron, and count as one; a smaller dt than {dt} keeps them",
                      ModelWarning, stacklevel=3)
    warn_of_silence(name, inputs, 4)


def warn_of_silence(name: str, inputs: EventInputs, level: int = 3) -> None:
    """Warn of trials without a spike."""
    silent = np.flatnonzero(np.diff(inputs.offsets) == 0)
    if len(silent):
        more = f" (and {len(silent) - 1} more)" * (len(silent) > 1)
        warnings.warn(f"{name}: trial {silent[0]}{more} is silent", ModelWarning, stacklevel=level)
