"""What is read off recorded trials, and off outcomes: rates, tuning, intervals, similarity.

Recordings are `xarray` data as `Run.record` gives them, or arrays (trials, steps, neurons) with
`dt_ms`; nothing is trained or shown here.
"""

from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from bioopzo.arguments import whole_number
from bioopzo.errors import InputError


def confusion(outcomes: Any, classes: int | None = None) -> np.ndarray:
    """How often each class was taken for each: whole numbers (class, choice).

    `outcomes` is an `Outcomes`; `classes` how many there are, default as many as readouts, or as
    were seen. Raises `InputError` without classes.
    """
    labels, choice = _labels(outcomes), np.asarray(outcomes.choice)
    if classes is None:
        classes = outcomes.decision.shape[1] if outcomes.decision is not None else \
            int(max(labels.max(), choice.max())) + 1
    found = np.zeros((classes, classes), int)
    np.add.at(found, (labels, choice), 1)
    return found


def psychometric(outcomes: Any, strength: ArrayLike, choice: int = 1, bins: int | None = None
                 ) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """How often a `choice` was made against the `strength` of the evidence for it.

    `strength` (trials,) is a number for each trial of `outcomes`; its values are taken as they are,
    or put into so many `bins` of as many trials. Returns (strength, share, trials), one a value.
    Raises `InputError` where strengths and trials are not as many.
    """
    strength = np.asarray(strength, float)
    if strength.shape != (len(outcomes),):
        raise InputError(f"strength has a number for each of the {len(outcomes)} trials, not the "
                         f"shape {strength.shape}")
    made = np.asarray(outcomes.choice) == choice
    groups = np.unique(strength, return_inverse=True)[1] if bins is None else np.minimum(
        np.argsort(np.argsort(strength, kind="stable")) * whole_number("bins", bins)
        // len(strength), bins - 1)
    every = [groups == group for group in np.unique(groups)]
    return (np.array([strength[part].mean() for part in every]),
            np.array([made[part].mean() for part in every]),
            np.array([part.sum() for part in every]))


def explained(output: ArrayLike, target: ArrayLike) -> float:
    """R2, the share of the variance of the `target` that the `output` explains (arrays of a shape).

    1 is all of it, 0 what the mean of the target would do; NaN for a target that does not vary.
    Raises `InputError` for shapes that differ.
    """
    output, target = np.asarray(output, float), np.asarray(target, float)
    if output.shape != target.shape or not output.size:
        raise InputError(f"output and target have one shape, not {output.shape} and {target.shape}")
    total = ((target - target.mean()) ** 2).sum()
    return float(1 - ((target - output) ** 2).sum() / total) if total else float("nan")


def rates_over_time(spikes: Any, width_ms: float = 5.0, dt_ms: float | None = None
                    ) -> tuple[np.ndarray, np.ndarray]:
    """Firing rate over a trial (Hz), in bins of `width_ms`, averaged over trials: a PSTH.

    `spikes` are recorded S, 0 and 1 (or chances to spike); `dt_ms` is the step of a plain array,
    default 1. Returns (times (bins,) in ms of their
    middles, rates (bins, neurons)). A last bin that is not full is left out. Raises `InputError`
    for another shape, and bins shorter than a step.
    """
    values, dt = _trials(spikes, dt_ms)
    count = round(width_ms / dt)
    if count < 1 or count > values.shape[1]:
        raise InputError(f"width_ms is {dt:g} (a step) to {values.shape[1] * dt:g} (the trial), "
                         f"not {width_ms!r}")
    bins = values.shape[1] // count
    mean = values.mean(axis=0)[:bins * count].reshape(bins, count, -1).mean(axis=1)
    return (np.arange(bins) + 0.5) * count * dt, 1e3 * mean / dt


def tuning(spikes: Any, stimulus: ArrayLike | None = None, dt_ms: float | None = None
           ) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """How each neuron's rate (Hz) depends on the stimulus: (stimuli, means, standard errors).

    `spikes` are recorded S; `stimulus` (trials,) a number for each trial, by default the label that
    the recording has; `dt_ms` is the step of a plain array, default 1. Means and standard errors
    over trials are (stimuli, neurons), NaN for the error of a single trial. Raises `InputError`
    without stimuli, or for another number of them.
    """
    values, dt = _trials(spikes, dt_ms)
    if stimulus is None and getattr(spikes, "coords", {}) and "label" in spikes.coords:
        stimulus = spikes.coords["label"].values
    if stimulus is None or np.shape(stimulus) != (len(values),):
        raise InputError(f"stimulus has a number for each of the {len(values)} trials, not "
                         f"{'none' if stimulus is None else np.shape(stimulus)}")
    rates = 1e3 * values.mean(axis=1) / dt
    stimuli, groups = np.unique(np.asarray(stimulus), return_inverse=True)
    parts = [rates[groups == k] for k in range(len(stimuli))]
    with np.errstate(invalid="ignore", divide="ignore"):
        errors = [part.std(axis=0, ddof=1) / np.sqrt(len(part)) if len(part) > 1
                  else np.full(rates.shape[1], np.nan) for part in parts]
    return stimuli, np.array([part.mean(axis=0) for part in parts]), np.array(errors)


def intervals(spikes: Any, dt_ms: float | None = None) -> list[np.ndarray]:
    """The intervals between spikes of each neuron within trials, in ms: an array a neuron.

    `spikes` are recorded S, 0 and 1; what is sent as a chance has none (`InputError`). `dt_ms` is
    the step of a plain array, default 1.
    """
    values, dt = _trials(spikes, dt_ms)
    if not ((values == 0) | (values == 1)).all():
        raise InputError("intervals are those between spikes, 0 and 1: these are chances to spike "
                         "(activity='rates'); record a run with activity='spikes'")
    found = []
    for neuron in range(values.shape[2]):
        trial, step = np.nonzero(values[:, :, neuron])
        same = np.diff(trial) == 0
        found.append(np.diff(step)[same] * dt)
    return found


def interval_cv(spikes: Any, least: int = 3, dt_ms: float | None = None) -> np.ndarray:
    """Coefficient of variation of the intervals between spikes of each neuron (neurons,).

    1 for a Poisson process, 0 for a clock; NaN for a neuron with fewer than `least` intervals. A
    trial as short as an interval makes it too small. `spikes` and `dt_ms` are as of
    `intervals`.
    """
    return np.array([np.std(one) / np.mean(one) if len(one) >= max(1, least) else np.nan
                     for one in intervals(spikes, dt_ms)])


def similarity(spikes: Any, dt_ms: float | None = None) -> np.ndarray:
    """How alike the population's responses to each two trials are: correlations (trials, trials).

    Of the spike counts over neurons; 1 minus it is the dissimilarity of representational
    similarity analysis (Kriegeskorte et al. 2008). NaN for a trial in which all neurons count the
    same. Trials stand as in the recording: sort them by label first. `spikes` are recorded S, of
    any `dt_ms`.
    """
    values, _ = _trials(spikes, dt_ms)
    counts = values.sum(axis=1)
    off = counts - counts.mean(axis=1, keepdims=True)
    size = np.sqrt((off**2).sum(axis=1))
    with np.errstate(invalid="ignore", divide="ignore"):
        return off @ off.T / np.outer(size, size)


def _labels(outcomes):
    if outcomes.labels is None:
        raise InputError("these trials have no classes that could be confused")
    return np.asarray(outcomes.labels, int)


def _trials(spikes, dt_ms):
    """(values (trials, steps, neurons), length of a step in ms) of a recording."""
    values = np.asarray(spikes, float)
    if values.ndim != 3 or 0 in values.shape:
        raise InputError("spikes are a recording (trials, steps, neurons), as "
                         f"run.record(['hidden_1.S'], samples)['hidden_1.S'], not {values.shape}")
    if dt_ms is None and getattr(spikes, "coords", {}) and "time" in spikes.coords \
            and values.shape[1] > 1:
        dt_ms = float(np.diff(spikes.coords["time"].values[:2])[0])
    return values, 1.0 if dt_ms is None else float(dt_ms)
