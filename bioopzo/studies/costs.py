"""What a trial costs in the spiking engine."""

import resource

import numpy as np

from bioopzo.engines import tools
from bioopzo.engines.spiking import backends
from bioopzo.engines.spiking.chunk import Chunk
from bioopzo.engines.spiking.feed import parameter_values, rows, tables
from bioopzo.errors import InputError
from bioopzo.model import Model
from bioopzo.network.clock import shape_of, time_course
from bioopzo.training.start import initial_weights


def costs(task, hidden, rules=("opzo", "readout_only"), trials=64):
    """Milliseconds of CPU a trial of `task` in the spiking engine, beside those of the input alone.

    The network has the `hidden` layers and learns by each of `rules`, over `trials` trials; "input
    alone" is the network with one neuron a layer and plasticity off: the input neurons, how
    events reach them, the clock. Everything is counted, the exchange of a chunk too; compilation is
    not; the least of three measurements. Needs a C++ compiler.
    """
    networks = {rule: (rule, hidden, True) for rule in rules}
    networks["input alone"] = ("readout_only", [1] * len(hidden), False)
    return {label: round(_cost(task, *network, trials), 2) for label, network in networks.items()}


def _cost(task, rule, hidden, plastic, trials):
    if tools.compiler() is None:
        raise InputError("the cost of a trial is that of the compiled network; install g++")
    model = Model([task.n_in, *hidden, task.n_out], rule=rule).for_task(task)
    shape = shape_of(task, rows(task))
    engine = backends.open_backend("standalone", model, shape)
    state = {**engine.start, **initial_weights(model, np.random.default_rng(0))}
    samples = np.resize(task.splits["train"], min(trials, shape.rows))
    chunk = Chunk(
        len(samples), state, parameter_values(model, shape),
        {"course": time_course(model, task), **tables(task, shape, samples, plastic)})
    spent = []
    for _ in range(3):  # the least disturbed counts
        begin = _cpu()
        tables(task, shape, samples, plastic)  # made anew for every chunk of a run
        engine.run(chunk)
        spent.append(_cpu() - begin)
    return 1e3 * min(spent) / len(samples)


def _cpu():
    """Seconds of CPU of this process and of those it waited for."""
    return sum(used.ru_utime + used.ru_stime for used in map(
        resource.getrusage, (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)))
