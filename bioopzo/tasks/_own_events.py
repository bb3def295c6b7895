"""Tasks from a user's own recordings of event cameras, and films."""

import warnings
from collections.abc import Mapping
from typing import Any

import numpy as np
from brian2.units import ms, second, usecond
from brian2.units.fundamentalunits import Quantity

from bioopzo.arguments import quantity, step_count
from bioopzo.datasets.events import BORDER, binning
from bioopzo.errors import InputError, ModelWarning
from bioopzo.tasks._own import BRIGHTEST, from_arrays, numbers_of
from bioopzo.tasks._own_spikes import check_within, seconds_of, warn_of_silence
from bioopzo.tasks.trials import Task


def from_events(recordings: Any, labels: Any = None, sensor: tuple[int, ...] | None = None,
                duration: Quantity | None = None, dt: Quantity = 1 * ms,
                unit: Quantity | None = None, align: bool = False, crop: int | None = None,
                size: int | None = None, polarities: str = "separate", counts: bool = False,
                name: str = "own", **more: Any) -> Task:
    """A `Task` from recordings of an event camera, or of another sensor that sends events.

    Parameters
    ----------
    recordings : sequence
        Of each: a structured array with the fields x, y (not for a sensor of one row), t and p, a
        mapping with these keys, or a tuple of arrays ``(x, y, t, p)``. Or a data set that gives
        pairs of a recording and its label, as those of tonic do; then `labels` stays None.
    labels : targets, as of `from_arrays`
    sensor : (width, height, polarities)
        Default: what a data set says of itself, its `sensor_size`.
    duration : time
        A trial from the beginning of a recording; later events are left out. Default: up to the
        last event of all.
    dt : time
        A step.
    unit : time
        Of t. Default: whole numbers are microseconds, as cameras count, which the task's
        description says; others need it.
    align : bool
        Whether a recording begins with its first event, or at t = 0.
    crop, size : int
        Side in pixels of the centred square that is kept, and after pooling.
    polarities : ``"separate"`` or ``"merged"``
    counts : bool
        For the rate engine: an input is the number of events in its step, not whether there is one.
    name : str
        Of the task.
    **more
        As for `from_arrays`: `mask`, `splits`, `validation`, `test`, `seed`, `hidden` ...

    Raises `InputError` for what is missing, for pixels beyond the sensor, and where no event lies
    within a trial. Warns of silent trials.
    """
    quantity(name, "dt", dt, second)
    sensor = getattr(recordings, "sensor_size", None) if sensor is None else sensor
    pairs = list(recordings)
    if labels is None:
        if not all(isinstance(pair, tuple) and len(pair) == 2 for pair in pairs):
            raise InputError(f"{name}: labels are missing: one a recording, or recordings as pairs "
                             "(events, label)")
        labels, pairs = [label for _, label in pairs], [events for events, _ in pairs]
    if not pairs:
        raise InputError(f"{name}: there are no recordings")
    size_of = _checked_sensor(name, sensor)
    found, said = _events(name, pairs, size_of, unit, align)
    if duration is None:
        last = max(float(events["t"].max(initial=0)) for events in found)
        duration = (int(last / float(dt / usecond) + BORDER) + 1) * dt
    steps = step_count(name, duration, dt)
    grid = binning(name, size_of, steps, round(float(dt / usecond), 6), crop, size, polarities,
                   counts)
    inputs = grid.inputs(found)
    seconds = [events["t"] * 1e-6 for events in found]
    check_within(name, seconds, [inputs.cells], duration, warn=False)
    early = sum(int((one < 0).sum()) for one in seconds)
    if early:
        warnings.warn(f"{name}: {early} of {sum(map(len, seconds))} events lie before 0 and are "
                      "left out; align=True lets each recording begin at its first",
                      ModelWarning, stacklevel=2)
    warn_of_silence(name, inputs)
    more["description"] = " ".join(filter(None, [more.get("description"), said]))
    if more.pop("coding", "spikes") != "spikes":
        raise InputError(f"{name}: spike times are shown as spikes: coding is 'spikes'")
    return from_arrays(inputs, labels, duration=duration, dt=dt, name=name, coding="spikes", **more)


def from_frames(frames: Any, labels: Any, frame: Quantity = 10 * ms, dt: Quantity = 1 * ms,
                coding: str = "current", name: str = "own", **more: Any) -> Task:
    """A `Task` from films: each frame is shown for a while, its pixels as currents or rates.

    Parameters
    ----------
    frames : (samples, frames, height, width), or with further axes
        Pixels, in the order of the array; those of one byte are divided by 255, which the task's
        description says.
    labels : targets, as of `from_arrays`
    frame, dt : time
        How long a frame is shown, and a step, of which it is a multiple.
    coding : ``"current"`` or ``"poisson"``
    name : str
        Of the task.
    **more
        As for `from_arrays`: `mask`, `splits`, `input_rate`, `hidden` ...

    Raises `InputError` for what does not fit together.
    """
    shown = numbers_of(name, frames)
    if shown.ndim < 3:
        raise InputError(f"{name}: frames have the shape (samples, frames, height, width), or more "
                         f"axes, not {shown.shape}")
    repeats = step_count(name, frame, dt)
    said = ""
    if shown.dtype == np.uint8:
        shown, said = shown.astype(np.float32) / BRIGHTEST, "Pixels of one byte, divided by 255."
    shown = shown.reshape(*shown.shape[:2], -1)
    more["description"] = " ".join(filter(None, [more.get("description"), said]))
    return from_arrays(np.repeat(shown, repeats, axis=1), labels, dt=dt, name=name, coding=coding,
                       **more)


# ---- events --------------------------------------------------------------------------------------


def _checked_sensor(name, sensor):
    try:
        width, height, polarities = (int(side) for side in sensor)
    except (TypeError, ValueError):
        raise InputError(f"{name}: sensor is (width, height, polarities), e.g. (128, 128, 2), not "
                         f"{sensor!r}") from None
    if min(width, height, polarities) < 1:
        raise InputError(f"{name}: sensor is (width, height, polarities), all at least 1, not "
                         f"{sensor!r}")
    return width, height, polarities


def _events(name, recordings, sensor, unit, align):
    """Recordings as structured arrays with times in microseconds, and what was taken of them."""
    found, inferred = [], False
    for k, recording in enumerate(recordings):
        columns, guessed = _columns(f"{name}: recording {k}", recording, sensor, unit)
        inferred |= guessed
        events = np.zeros(len(columns["t"]), [(key, np.int64 if key != "t" else np.float64)
                                              for key in columns])
        for key, values in columns.items():
            events[key] = values
        if align and len(events):
            events["t"] -= events["t"].min()
        found.append(events)
    return found, "Times are taken as microseconds." if inferred else ""


def _columns(where, recording, sensor, unit):
    """({field: values}, whether the unit of time was inferred) of one recording."""
    width, height, polarities = sensor
    wanted = ["x", *(["y"] if height > 1 else []), "t", *(["p"] if polarities > 1 else [])]
    if isinstance(recording, tuple):
        if len(recording) != len(wanted):
            raise InputError(f"{where} is a tuple of {len(recording)} arrays, and this sensor's "
                             f"are ({', '.join(wanted)})")
        recording = dict(zip(wanted, recording))
    names = recording.dtype.names if isinstance(recording, np.ndarray) else (
        recording if isinstance(recording, Mapping) else None)
    missing = [key for key in wanted if key not in (names or ())]
    if missing:
        raise InputError(f"{where} has no {' and no '.join(missing)}: it is a structured array or "
                         f"a mapping with {', '.join(wanted)}, or a tuple of these arrays")
    columns = {key: np.asarray(recording[key]) for key in wanted if key != "t"}
    guessed = False
    times = recording["t"]
    if not isinstance(times, Quantity) and unit is None and np.asarray(times).dtype.kind in "iu":
        unit, guessed = usecond, True
    columns["t"] = seconds_of(where, times, unit) * 1e6
    for key, most in (("x", width), ("y", height)):
        values = columns.get(key, np.zeros(0, int))
        if len(values) and not 0 <= values.min() <= values.max() < most:
            raise InputError(f"{where}: {key} goes from {values.min()} to {values.max()}, and the "
                             f"sensor {sensor} has 0 to {most - 1}")
    if "p" in columns:
        columns["p"] = columns["p"].astype(np.int64) > 0  # 0 and 1, or -1 and 1
    if len({len(values) for values in columns.values()}) > 1:
        raise InputError(f"{where}: {', '.join(f'{len(v)} {k}' for k, v in columns.items())}: an "
                         "event has one of each")
    return columns, guessed
