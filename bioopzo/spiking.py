"""Engine 1: the only module that makes Brian2 objects.

`build` turns a model into a Brian2 network whose inputs, targets, protocol and parameters are
tables and variables, so that the same network serves any number of trials: in the runtime
targets chunk after chunk, in standalone as one binary that is built once.
"""

import contextlib
import gc
import re
from dataclasses import dataclass, replace

import brian2 as b2
import numpy as np
import scipy.special
from brian2.core.variables import ArrayVariable
from brian2.devices.device import RuntimeDevice
from brian2.units import second

from .assembly import SCHEDULE, Assembly, assemble
from .equations import linear, parse, render
from .errors import EquationError, InputError
from .tasks._events import EventInputs

# A text that Brian2 refuses leaves half a network behind; a page of warnings about it helps nobody.
b2.BrianLogger.suppress_name("unused_brian_object")
#: Brian2 has no error function of its own; the erf neuron's hazard needs one in every target.
ERF = b2.Function(scipy.special.erf, arg_units=[1], return_unit=1, arg_types=["float"],
                  return_type="float", stateless=True)
ERF.implementations.add_implementation("numpy", scipy.special.erf)
ERF.implementations.add_implementation("cpp", None, name="erf")
ERF.implementations.add_implementation("cython", """
cdef extern from "<math.h>":
    double erf(double)
""", name="erf")


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


@dataclass(frozen=True)
class Built:
    """A Brian2 network and its parts: `objects` by name, `tables` (TimedArray) by name."""

    network: b2.Network
    objects: dict
    tables: dict
    assembly: Assembly

    def __getitem__(self, name):
        return self.objects[name]


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
    hold = int(round(float(model.parameters["T_z"]) / dt))
    window = int(round(float(model.parameters["T_w"]) / dt))
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


def build(model, shape, lazy=True, functions=None):
    """The Brian2 network of a model for a task's `Shape`; nothing is run.

    `functions` are further names the text may use (Brian2 functions or TimedArrays), e.g. a table
    of random numbers in place of ``rand()``.

    Raises `EquationError` with the object's name where Brian2 refuses the text.
    """
    assembly = assemble(model, shape.duration, shape.varying, lazy, bool(shape.events))
    b2.start_scope()
    step_clock = b2.Clock(dt=shape.dt * second, name="step_clock")
    trial_clock = b2.Clock(dt=shape.duration, name="trial_clock")
    clocks = {"step": step_clock, "trial": trial_clock}
    tables = _tables(model, shape)
    namespace = {"erf": ERF, **tables, **(functions or {})}
    network = b2.Network(name="network")
    network.schedule = list(SCHEDULE)
    objects = {}
    for text in assembly.groups.values():
        objects[text.name] = _group(text, clocks, namespace)
    for text in assembly.groups.values():
        for name, (other, variable) in text.links.items():
            setattr(objects[text.name], name, b2.linked_var(objects[other], variable))
    for text in assembly.synapses.values():
        objects[text.name] = _synapses(text, objects, clocks)
    monitors = {}
    for group, variable in (("readout", "decision"), ("error", "cost")):
        monitors[f"trial_{variable}"] = b2.StateMonitor(
            objects[group], variable, record=True, clock=trial_clock, when="start", order=-20,
            name=f"trial_{variable}")
    network.add(*objects.values(), *monitors.values())
    return Built(network, {**objects, **monitors}, tables, assembly)


def _tables(model, shape):
    dt = shape.dt * second
    n_in, n_out = model.sizes[0], model.sizes[-1]
    stimulus = shape.rows * (shape.steps if model.coding == "spikes" else 1)
    target = shape.rows * (shape.steps if shape.varying else 1)
    sizes = {"course": (shape.steps, 6), "schedule": shape.rows, "target": (target, n_out)}
    if shape.events:
        # One entry more for each neuron: the end of its list.
        sizes.update(first_event=(shape.rows, n_in),
                     event_step=shape.rows * (shape.events + n_in))
    else:
        sizes["stimulus"] = (stimulus, n_in)
    return {name: b2.TimedArray(np.zeros(size), dt=dt, name=name) for name, size in sizes.items()}


def _method(text):
    """Exponential Euler where every equation is linear in its own variable, else Euler."""
    lines = parse(text.equations, text.name)
    return "exponential_euler" if all(linear(line, lines) for line in lines) else "euler"


def _group(text, clocks, namespace):
    events = {e.name: e.condition for e in text.events}
    try:
        group = b2.NeuronGroup(
            text.size, text.equations, threshold=text.threshold or None, reset=text.reset or None,
            refractory=text.refractory or False, events=events, method=_method(text),
            clock=clocks["step"], name=text.name, namespace=namespace)
    except Exception as problem:
        raise explain(problem, text.name) from problem
    for event in text.events:
        group.set_event_schedule(event.name, when=event.when, order=event.order)
        if event.text:
            group.run_on_event(event.name, event.text, when=event.when, order=event.order + 1)
    _add_codes(group, text, clocks)
    return group


def _add_codes(group, text, clocks):
    for code in text.codes:
        group.run_regularly(code.text, clock=clocks[code.clock], when=code.when, order=code.order,
                            name=f"{text.name}_{code.name}_{code.clock}")


def _synapses(text, objects, clocks):
    paths = {p.name: p.text for p in text.pathways}
    events = {p.name: p.event for p in text.pathways}
    lines = [replace(x, flags="(clock-driven)") if x.kind == "differential" and not x.flags else x
             for x in parse(text.equations, text.name)]
    try:
        synapses = b2.Synapses(
            objects[text.source], objects[text.target], render(lines) or None,
            on_pre=paths or None, on_event=events or "spike", method="euler",
            clock=clocks["step"], name=text.name, namespace={})
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
    synapses.connect()
    return synapses


def explain(problem, where=""):
    """A Brian2 exception as one `EquationError` that a reader of the equations understands."""
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


def dry_run(model):
    """Brian2's code for a step of every group, from a run of 0 ms: names and units are checked.

    Raises `EquationError`.
    """
    return abstract_code(model, Shape(60, 1e-3, False, 2))


@contextlib.contextmanager
def runtime(target="numpy"):
    """Within this context Brian2 runs in this process, with the given code generation target."""
    before, frozen = b2.prefs.codegen.target, gc.get_freeze_count()
    if not isinstance(b2.get_device(), RuntimeDevice):
        b2.set_device("runtime")
    b2.prefs.codegen.target = target
    if not frozen:  # Brian2 collects garbage at every run: look at what is made within only
        gc.freeze()
    try:
        yield
    finally:
        b2.prefs.codegen.target = before
        if not frozen:
            gc.unfreeze()


def constants(assembly, model, shape):
    """The value of every shared constant of every object: ``{"hidden_1.tau_m": 0.01, ...}``."""
    special = {"steps": shape.steps, "rows": shape.rows,
               "refractory_period": float(model.refractory), "seed": 0, "chunk": 0.0}
    values = {}
    for name, obj in {**assembly.groups, **assembly.synapses}.items():
        for key in obj.constants:
            values[f"{name}.{key}"] = (special[key] if key in special
                                       else float(model.parameters[key]))
    return values


def set_parameters(built, model, shape):
    """Write every parameter of the model into the objects that read it."""
    for key, value in constants(built.assembly, model, shape).items():
        set_array(built, key, value)


def state_variables(built):
    """Every variable that makes up the state (no constants): ``{"hidden_1.u": Variable, ...}``."""
    names = {}
    for name, obj in built.objects.items():
        if isinstance(obj, b2.StateMonitor):
            continue
        for key, variable in obj.variables.items():
            if (isinstance(variable, ArrayVariable) and not variable.read_only
                    and not variable.constant
                    and variable.owner is not None and variable.owner.name == name
                    and not key.startswith("_") and key not in ("N", "t", "dt", "t_in_timesteps")):
                names[f"{name}.{key}"] = variable
    return names


def set_array(built, key, value):
    """Set one variable, given as ``"object.variable"``, in base units."""
    name, variable = key.split(".")
    target = built.objects[name].variables[variable]
    target.get_value()[...] = np.asarray(value, dtype=target.dtype)


def get_array(built, key):
    """A copy of one variable, in base units."""
    name, variable = key.split(".")
    return np.array(built.objects[name].variables[variable].get_value())


def restore(model, task, state):
    """The network of a trained model as Brian2 objects holding `state`, on the numpy target."""
    shape = shape_of(task, 2)
    with runtime():
        built = build(model, shape)
        set_parameters(built, model, shape)
        built.network.run(0 * second, namespace={})
        for name, value in state.items():
            set_array(built, name, value)
    return built


def record(model, shape, state, data, seed):
    """One trial on the numpy target, every variable of interest at every step.

    Returns ``(spikes, values)`` as `measures.Recording` describes.
    """
    with runtime():
        built = build(model, shape, lazy=False)
        set_parameters(built, model, shape)
        wanted = {"trial": ["gate"], "readout": ["o"], "error": ["err", "y"], "input": ["xbar"]}
        layers = [f"hidden_{k}" for k in range(1, model.depth + 1)]
        wanted.update({name: ["u", "xbar", "psi", "g", "S"] for name in layers})
        if model.rule.perturbs:
            wanted["trial"] = ["gate", "sigma"]
            for name in layers:
                wanted[name].append("z")
        wanted.update({f"forward_{k}": ["w"] for k in range(1, model.depth + 2)})
        if model.coding != "current":
            wanted["input"] = ["xbar", "S"]
        monitors = {name: b2.StateMonitor(built[name], names, record=True, when="plasticity",
                                          order=-5, name=f"record_{name}")
                    for name, names in wanted.items()}
        built.network.add(*monitors.values())
        built.network.run(0 * second, namespace={})
        known = state_variables(built)
        for name, value in state.items():
            if name in known:
                set_array(built, name, value)
        for name, table in data.items():
            built.tables[name].values[...] = table
        b2.seed(seed)
        built.network.run(shape.duration, namespace={})
        # Copies: Brian2 2.11 frees what a monitor hands out with the network.
        values = {f"{name}.{variable}": np.array(getattr(monitor, variable + "_")).T
                  for name, monitor in monitors.items() for variable in wanted[name]}
    spikes = {name: values.pop(f"{name}.S").astype(int) for name in ["input", *layers]
              if f"{name}.S" in values}
    return spikes, values


#: What `abstract_code` found, by text, units and shape.
_ABSTRACT_CODE = {}


def abstract_code(model, shape):
    """Brian2's own code for one step of every group's equations: ``{"hidden_1": "_u = ..."}``.

    The network is built with one neuron a group on the numpy target and prepared for a run, so
    names and units are checked on the way. Raises `EquationError`. It takes most of the time in
    which an engine is made, so code is kept for the next model of the same text and units.
    """
    units = tuple((name, repr(getattr(value, "dim", 1)))
                  for name, value in sorted(model.parameters.items()))
    key = (model.depth, tuple(sorted(model.blocks.items())), units, repr(model.refractory),
           replace(shape, rows=2))
    if key in _ABSTRACT_CODE:
        return dict(_ABSTRACT_CODE[key])
    small = model._with(sizes=(1,) * len(model.sizes))
    with runtime():
        built = build(small, replace(shape, rows=2, events=0), lazy=False)
        set_parameters(built, small, shape)
        try:
            built.network.run(0 * second, namespace={})
        except Exception as problem:
            raise explain(problem) from problem
    _ABSTRACT_CODE[key] = {name: built[name].state_updater.abstract_code
                           for name in built.assembly.groups}
    return dict(_ABSTRACT_CODE[key])
