"""Engine 1: the only module that makes Brian2 objects.

`build` turns a model into a Brian2 network whose inputs, targets, protocol and parameters are
tables and variables, so that the same network serves any number of trials: in the runtime
targets chunk after chunk, in standalone as one binary that is built once.
"""

import re
from dataclasses import dataclass, replace

import brian2 as b2
import numpy as np
from brian2.units import second
from brian2.utils.logger import catch_logs

from bioopzo.engines.spiking import statements
from bioopzo.engines.spiking.numbers import FUNCTIONS, numbered
from bioopzo.engines.spiking.pairs import pairs
from bioopzo.engines.spiking.session import keep_apart
from bioopzo.errors import EquationError
from bioopzo.network.assembly import assemble
from bioopzo.network.clock import COLUMNS
from bioopzo.network.connections import Sparse
from bioopzo.network.objects import SCHEDULE, Assembly, method
from bioopzo.network.watched import places_in
from bioopzo.text.equations import parse, render
from bioopzo.text.functions import ERF

#: What the trial's clock keeps in double precision in any case: times, and the key of a step's
#: random numbers, a whole number below 2^53.
EXACT = ("t_of_trial", "t_of_run", "chunk", "draws")


@dataclass(frozen=True)
class Built:
    """A Brian2 `network` and its parts: `objects` and `tables` (TimedArray) by name.

    `assembly` is the text it was made of. Brian2's magic `run` does not see the objects: they run
    by ``network.run`` alone, on what `tables` hold (zeros, until someone fills them).
    """

    network: b2.Network
    objects: dict
    tables: dict
    assembly: Assembly

    def __getitem__(self, name):
        return self.objects[name]


def build(model, shape, lazy=True, functions=None, own_numbers=True, precision="double",
          record=()):
    """The Brian2 network of a `model` for `shape`, the `Shape` of a task; nothing is run.

    To be called within `session.runtime` or `session.standalone` of the same `precision`, which
    says how wide numbers are; here, what may be lazy in them. The objects have fixed names,
    which may be those of other objects in other networks; Brian2's magic `run` passes them over.

    `lazy` False keeps every plasticity equation dense.

    `functions` are further names the text may use (Brian2 functions or TimedArrays), e.g. a table
    of random numbers in place of ``rand()``. `own_numbers` False leaves ``rand()`` and ``t`` to
    Brian2, to ask for its code. `record` holds what is to be recorded at every step
    (`network.watched.Watched`), as plasticity finds it: the k-th by the object ``record_k``.

    Raises `EquationError` with the object's name where Brian2 refuses the text.
    """
    assembly = assemble(model, shape.duration, shape.varying, lazy, bool(shape.events),
                        step=shape.step, precision=precision, masks=shape.masks > 1)
    if own_numbers:
        numbered(assembly)
    statements.one_by_one(assembly)
    step_clock = b2.Clock(dt=shape.dt * second, name="step_clock")
    trial_clock = b2.Clock(dt=shape.duration, name="trial_clock")
    clocks = {"step": step_clock, "trial": trial_clock}
    tables = _tables(model, shape)
    namespace = {"erf": ERF, **FUNCTIONS, **statements.FUNCTIONS, **tables, **(functions or {})}
    network = b2.Network(name="network")
    network.schedule = list(SCHEDULE)
    objects = {}
    for text in assembly.groups.values():
        objects[text.name] = _group(text, clocks, namespace)
    for text in assembly.groups.values():
        for name, (other, variable) in text.links.items():
            setattr(objects[text.name], name, b2.linked_var(objects[other], variable))
    for text in assembly.synapses.values():
        objects[text.name] = _synapses(text, objects, clocks, namespace)
    monitors = {}
    for group, variable in (("readout", "decision"), ("error", "cost")):
        monitors[f"trial_{variable}"] = b2.StateMonitor(
            objects[group], variable, record=True, clock=trial_clock, when="start", order=-20,
            name=f"trial_{variable}")
    for k, one in enumerate(record):
        places, _ = places_in(one, getattr(assembly.synapses.get(one.owner), "connection", None))
        with catch_logs():  # that a program's synapses are not there yet, and cannot be counted
            monitors[f"record_{k}"] = b2.StateMonitor(
                objects[one.owner], one.name.split(".")[1], record=places, when="plasticity",
                order=-5, clock=step_clock, name=f"record_{k}")
    network.add(*objects.values(), *monitors.values())
    keep_apart(network)
    return Built(network, {**objects, **monitors}, tables, assembly)


def _tables(model, shape):
    dt = shape.dt * second
    n_in, n_out = model.sizes[0], model.sizes[-1]
    in_time = model.coding == "spikes" or model.changing
    stimulus = shape.rows * (shape.steps if in_time else 1)
    target = shape.rows * (shape.steps if shape.varying else 1)
    sizes = {"course": (shape.masks * shape.steps, len(COLUMNS)), "schedule": shape.rows,
             "trials_before": shape.rows, "trial_key": shape.rows,
             "target": (target, n_out)}
    if shape.masks > 1:
        sizes["mask_number"] = shape.rows
    if shape.events:
        # One entry more for each neuron: the end of its list.
        sizes.update(first_event=(shape.rows, n_in),
                     event_step=shape.rows * (shape.events + n_in))
    else:
        sizes["stimulus"] = (stimulus, n_in)
    return {name: b2.TimedArray(np.zeros(size), dt=dt, name=name) for name, size in sizes.items()}


def _group(text, clocks, namespace):
    events = {e.name: e.condition for e in text.events}
    try:
        group = b2.NeuronGroup(
            text.size, text.equations, threshold=text.threshold or None,
            reset=text.reset or None, refractory=text.refractory or False, events=events,
            method=method(text), clock=clocks["step"], name=text.name, namespace=namespace,
            dtype=dict.fromkeys(EXACT if text.kind == "trial" else (), np.float64))
    except Exception as problem:
        raise explain(problem, text.name) from problem
    for event in text.events:
        group.set_event_schedule(event.name, when=event.when, order=event.order)
        if event.text:
            group.run_on_event(event.name, event.text, when=event.when,
                               order=event.order + 1)
    _add_codes(group, text, clocks)
    return group


def _add_codes(group, text, clocks):
    for code in text.codes:
        group.run_regularly(code.text, clock=clocks[code.clock], when=code.when,
                            order=code.order, name=f"{text.name}_{code.name}_{code.clock}")


def _synapses(text, objects, clocks, namespace):
    paths = {side: {p.name: p.text for p in text.pathways if p.side == side} or None
             for side in ("pre", "post")}
    events = {p.name: p.happening for p in text.pathways}
    lines = [replace(x, flags="(clock-driven)") if x.kind == "differential" and not x.flags else x
             for x in parse(text.equations, text.name)]
    try:
        synapses = b2.Synapses(
            objects[text.source], objects[text.target], render(lines) or None,
            on_pre=paths["pre"], on_post=paths["post"], on_event=events or "spike", method="euler",
            clock=clocks["step"], name=text.name, namespace=namespace)
    except Exception as problem:
        raise explain(problem, text.name) from problem
    for path in text.pathways:
        pathway = getattr(synapses, path.name)
        pathway.when, pathway.order = path.when, path.order
    for variable, (when, order) in text.sums.items():
        synapses.summed_updaters[variable].when = when
        synapses.summed_updaters[variable].order = order
    if synapses.state_updater is not None:
        synapses.state_updater.when = "plasticity"
    _add_codes(synapses, text, clocks)
    if isinstance(text.connection, Sparse):
        name = f"connected_{text.name}"
        synapses.connect(condition=f"{name}(i, j) > 0.5",
                         namespace={name: pairs(name, text.connection)})
    else:
        synapses.connect()
    return synapses


def explain(problem, where=""):
    """`problem`, Brian2's exception, as one `EquationError` that a reader of equations understands.

    `where` is the object it came from, unless the exception names one.
    """
    message = ""
    while problem is not None:
        text = str(problem).strip().strip("'\"")
        named = re.search(r"object named '(\w+)'", text)
        where = named[1] if named else where
        # Of Brian2's chain of errors the innermost, last line says what is wrong; the others
        # tell where in our own files an object was made.
        lines = [line.strip(" %") for line in text.splitlines() if line.strip()]
        if lines:
            start = -2 if len(lines) > 1 and lines[-2].endswith(":") else -1
            inner = " ".join(lines[start:]).replace("radian", "1")
            message = message if inner in message else inner
        problem = problem.__cause__
    return EquationError(f"{where}: {message}" if where else message)
