"""Recordings of a trial."""

from dataclasses import dataclass, field
from typing import Any

import numpy as np

from bioopzo.engines.spiking import recording
from bioopzo.engines.spiking.feed import checked_sample, tables
from bioopzo.engines.spiking.numbers import MEASURE, keys
from bioopzo.errors import InputError
from bioopzo.measures.trials import attached, before
from bioopzo.network.clock import shape_of, time_course
from bioopzo.show.exports import to_neo


@dataclass(frozen=True)
class Recording:
    """One trial, step by step, as arrays.

    `time` (steps,) in ms; `spikes` layer -> (steps, neurons) of 0 and 1; `values`
    ``"object.variable"`` -> (steps, n) in base units, as the plasticity saw them (before the
    spikes of the step act); `meta` with theta, sizes, rule, task, dt_ms and target.
    """

    time: np.ndarray
    spikes: dict[str, np.ndarray]
    values: dict[str, np.ndarray]
    meta: dict[str, Any] = field(default_factory=dict)

    def to_neo(self) -> Any:
        """The spikes as a `neo.Block`; needs the package neo (``pip install neo``).

        One segment with a `SpikeTrain` a neuron (times in ms from the start of the trial, the
        beginning of the step in which it fired; annotations ``layer`` and ``neuron``), and one
        group a layer. `meta` is in the block's annotations. Raises `InputError` when neo is not
        installed.
        """
        return to_neo(self)


def record(run: Any, sample: int | None = None, seed: int = 0, plastic: bool = True) -> Recording:
    """Record one trial of a trained network, with plasticity on (`plastic`) or off.

    `run` is a trained `Run` with its model and task; `sample` is the index of the trial in the task
    (default: the first of the test split); `seed` draws its noise. The dense form is used, so that
    ``forward_k.w`` is the weight in force at every step. A run of the rate engine is recorded with
    the same text in the spiking engine. Returns a `Recording`.

    Raises `InputError` for a run whose task is not known, an architecture with convolutions,
    and a sample that the task has not.
    """
    model, task = attached(run)
    if model.layout:
        raise InputError(f"{model.layout!r} is an architecture; only networks with all-to-all "
                         "layers can be recorded")
    sample = checked_sample(task, task.splits["test"][0] if sample is None else sample)
    shape = shape_of(task, 2)
    course = time_course(model, task)
    data = {"course": course, **tables(
        task, shape, np.array([sample]), plastic, before(run.meta), keys(seed, MEASURE, 0))}
    spikes, values = recording.record(model, shape, run.final, data)
    dt = 1e3 * float(task.dt)
    meta = {"theta": float(model.parameters["theta"]), "sizes": list(model.sizes),
            "network": model.network.described(), "rule": model.rule_name, "task": task.name,
            "dt_ms": dt, "sample": sample, "target": task.targets[sample].tolist()}
    return Recording(np.arange(task.steps) * dt, spikes, values, meta)
