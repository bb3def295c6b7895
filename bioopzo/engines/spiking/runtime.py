"""A network in this process, on Brian2's numpy or cython target."""

import time

import numpy as np

from bioopzo.engines import stopping
from bioopzo.engines.spiking.build import build, explain
from bioopzo.engines.spiking.chunk import Outcome, readings, spread_out
from bioopzo.engines.spiking.session import runtime
from bioopzo.engines.spiking.state import (
    get_array,
    set_array,
    set_parameters,
    sparse,
    state_variables,
)


class Runtime:
    """A network in this process; `target` is numpy or cython."""

    def __init__(self, target, model, shape, lazy=True, precision="double", record=()):
        begin = time.perf_counter()
        self.name, self.shape, self.precision = target, shape, precision
        self.record = tuple(record)
        with runtime(target, precision):
            self.built = build(model, shape, lazy, precision=precision, record=self.record)
            set_parameters(self.built, model, shape)
            self._advance(0)
        _keep_code(self.built.network)
        self.names = list(state_variables(self.built))
        self.start = self._state()
        self.build_s = time.perf_counter() - begin

    def _advance(self, trials):
        # In single precision exp(89) overflows, on the way to a chance of 0, and so does the 1e50
        # that Brian2 compares every variable with. What stays infinite is found by `training`.
        over = "ignore" if self.precision == "single" else None
        try:
            self.built.network.t_ = 0.0
            with np.errstate(over=over), stopping.ended_by(self.built.network.stop):
                self.built.network.run(trials * self.shape.duration, namespace={})
        except KeyboardInterrupt:
            raise
        except Exception as problem:
            raise explain(problem) from problem

    def _state(self):
        return {name: get_array(self.built, name) for name in self.names}

    def run(self, chunk):
        """Run one chunk."""
        stopping.look()
        with runtime(self.name, self.precision):
            for name, value in {**chunk.state, **chunk.constants}.items():
                set_array(self.built, name, value)
            for name, values in chunk.tables.items():
                self.built.tables[name].values[...] = values
            before = len(self.built["trial_decision"].t)
            # Brian2 swallows Ctrl-C and returns early: the clock tells.
            self._advance(chunk.trials)
            done = float(self.built.network.t)
        if abs(done - chunk.trials * float(self.shape.duration)) > self.shape.dt / 2:
            raise KeyboardInterrupt
        state = self._state()
        return Outcome(state, *readings(state, self._readings("decision", before),
                                        self._readings("cost", before)), self._recorded())

    def _recorded(self):
        """What was recorded since the last chunk."""
        found = []
        for k, one in enumerate(self.record):
            monitor = self.built[f"record_{k}"]
            found.append(np.array(getattr(monitor, f"{one.name.split('.')[1]}_")).T)
            monitor.resize(0)
        return spread_out(self.record, sparse(self.built.assembly.synapses), self.shape.steps,
                          found)

    def _readings(self, name, before):
        return np.array(getattr(self.built[f"trial_{name}"], name))[:, before:].T


def _keep_code(network):
    """Let the objects of a network that has been prepared keep their code for every later run.

    Brian2 generates it anew at each run, which takes longer than a chunk of a few trials (cython,
    64-100-100-10: .26 s of .28). Nothing that it depends on changes between chunks: tables and
    parameters are read where they are.
    """
    for thing in network.sorted_objects:
        object.__setattr__(thing, "before_run", _already_prepared)


def _already_prepared(run_namespace):
    """What stands in place of Brian2's preparation of an object."""
