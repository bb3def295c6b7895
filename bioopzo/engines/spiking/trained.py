"""A trained network as Brian2 objects, to which trials are shown one after the other."""

import math
from dataclasses import dataclass

import brian2 as b2
import numpy as np
from brian2.units import second

from bioopzo.arguments import whole
from bioopzo.engines.spiking.build import Built, build, explain
from bioopzo.engines.spiking.feed import checked_sample, refuse_counts, tables
from bioopzo.engines.spiking.numbers import MEASURE, keys
from bioopzo.engines.spiking.session import keep_apart, runtime
from bioopzo.engines.spiking.state import set_array, set_parameters, state_variables
from bioopzo.errors import InputError
from bioopzo.network.clock import Shape, shape_of, time_course
from bioopzo.tasks.trials import Task

#: Trials that the tables of the network hold, and so the most of one run of Brian2.
ROWS = 16


@dataclass(frozen=True)
class TrainedNetwork(Built):
    """A network with the state at the end of training, ready to be shown trials of its `task`.

    `network` is the `brian2.Network`, `objects` are its parts by name, also ``net["hidden_1"]``:
    ordinary Brian2 objects, which can be read, written and monitored, with every parameter set.
    Plasticity is in its dense form, so a weight is the one in force at every moment. `tables`,
    `assembly` and `shape` are what the network was built of.

    Examples
    --------
    >>> net = run.network
    >>> spikes, u = SpikeMonitor(net["hidden_1"]), StateMonitor(net["hidden_1"], "u", record=True)
    >>> net.network.add(spikes, u)
    >>> net.present(task.splits["test"][0])
    >>> plt.plot(spikes.t/ms, spikes.i, ".")
    """

    task: Task
    shape: Shape
    trained: int

    def present(self, sample, plastic=False, seed=0):
        """Show one trial of the task, or several in a row, on Brian2's numpy target.

        `sample` is the index of the trial in the task, or a sequence of indices; `plastic` says
        whether weights change (where they do not, perturbation is off too); `seed` draws the noise
        of this call. Learning rates are the model's, without their fall over a training run; ``t``
        in a text goes on with the trials that are shown.

        Time goes on from call to call: the first trial begins at 0 ms, the next where the last one
        ended (``net.network.t``), and a monitor collects trials one behind the other. Where time
        stands within a trial, after a ``net.network.run`` of your own or Ctrl-C, that trial is left
        and the next begins at the next multiple of a trial's length. A trial begins as in training:
        membranes, traces and readout at zero, unless the model has ``state_reset=False``; weights
        and counts of spikes are carried on. At its end, ``net["readout"].decision`` is the reading.

        Objects of your own join by ``net.network.add(...)``; their equations take names from their
        own `namespace`. Brian2's device, target, seed and magic network stay as they are.

        Raises `InputError` for a sample that the task has not and for inputs that are counts,
        `EquationError` where Brian2 refuses an object of your own, and `KeyboardInterrupt`.
        """
        refuse_counts(self.task)
        several = np.ndim(sample) == 1
        samples = [checked_sample(self.task, one) for one in (sample if several else [sample])]
        seed = whole("present", "seed", seed, least=0)
        with runtime(seeded=True):
            keep_apart(self.network)  # what was added since
            b2.seed(seed)  # of what was added
            for begin in range(0, len(samples), ROWS):
                part = samples[begin:begin + ROWS]
                self._show(part, plastic, keys(seed, MEASURE, begin + np.arange(len(part))))

    def _show(self, samples, plastic, trial_keys):
        """Run the next trials; time says which rows of the tables they are."""
        length = float(self.shape.duration)
        first = math.ceil(round(self.network.t_ / length, 6))
        places = (first + np.arange(len(samples))) % ROWS
        rows = np.resize(samples, ROWS)  # those that are not shown hold anything
        all_keys, before = np.zeros(ROWS), np.full(ROWS, float(self.trained))
        rows[places], all_keys[places] = samples, trial_keys
        if plastic:  # as many as have been shown here went before, too
            before[places] += first + np.arange(len(samples))
        for name, values in tables(self.task, self.shape, rows, plastic, before,
                                   all_keys).items():
            self.tables[name].values[...] = values
        self.network.t_ = first * length
        _run(self.network, len(samples) * self.shape.duration)
        if self.network.t_ < (first + len(samples)) * length - self.shape.dt / 2:
            raise KeyboardInterrupt  # Brian2 swallows it and returns early


def restore(model, task, state, trained):
    """The `TrainedNetwork` of a trained `model`, holding `state` (variables by name).

    `trained` is the number of trials that it has learned from: ``t`` in a text goes on from there.

    Raises `InputError` for an architecture with convolutions.
    """
    if model.layout:
        raise InputError(f"{model.layout!r} is an architecture; Brian2's network is made of "
                         "all-to-all layers only")
    shape = shape_of(task, ROWS)
    with runtime():
        built = build(model, shape, lazy=False)
        set_parameters(built, model, shape)
        built.tables["course"].values[...] = time_course(model, task)
        _run(built.network, 0 * second)
        known = state_variables(built)
        for name, value in state.items():
            if name in known:  # the event-driven form has variables of its own
                set_array(built, name, value)
    return TrainedNetwork(**vars(built), task=task, shape=shape, trained=trained)


def _run(network, duration):
    try:
        network.run(duration, namespace={})
    except Exception as problem:
        raise explain(problem) from problem
