"""One draw in three forms: dense Brian2, lazy Brian2 and the rate engine, on the same numbers.

On request in a fourth: lazy Brian2 in compiled code, which takes some seconds a draw.

Trial by trial, as training does it: an evaluation begins with the state of training and is
forgotten. Random numbers are those of the spiking engine, which are a function of (seed, trial,
variable, step, neuron); the rate engine is handed the same.

`run(draw)` returns an `Outcome`: all forms ran and agree, or all were refused by an error of the
package before they ran, or a counterexample with the kind of disagreement.
"""

import traceback
import warnings
import zlib
from dataclasses import dataclass, field, replace

import jax
import numpy as np
from brian2 import ms

from bioopzo.engines.rate.engine import Engine
from bioopzo.engines.rate.feed import Masks
from bioopzo.engines.spiking import backends, numbers
from bioopzo.engines.spiking.chunk import Chunk
from bioopzo.engines.spiking.feed import parameter_values, tables
from bioopzo.errors import BioopzoError, EquationError, InputError, ModelWarning
from bioopzo.network.assembly import assemble
from bioopzo.network.clock import shape_of, time_course
from bioopzo.network.draft import draft
from bioopzo.tasks import Task
from bioopzo.text.equations import parse
from bioopzo.training.spiking import shift_last_spikes
from bioopzo.training.start import initial_weights
from fuzz.quick import quickly

TOLERANCE = 1e-9
#: Of compiled code, which sums in another order.
COMPILED = 1e-7
REFUSALS = (InputError, EquationError)


@dataclass
class Outcome:
    """What became of a draw: `kind` is ran, refused or a counterexample's; `detail` says more."""

    kind: str
    detail: str = ""
    blocks: tuple = ()
    forms: dict = field(default_factory=dict)
    finite: bool = True

    @property
    def bad(self):
        return self.kind not in ("ran", "refused", "ran, rate engine refused")


# ---------------------------------------------------------------------------- the forms

def task_of(draw):
    """A task with a trial for each of the plan's, from the draw's seed alone."""
    rng = np.random.default_rng(draw.seed)
    count, steps, n_in, n_out = len(draw.plastic), draw.steps, draw.sizes[0], draw.sizes[-1]
    inputs = ((rng.random((count, steps, n_in)) < 0.2).astype(np.uint8) if draw.coding == "spikes"
              else rng.random((count, steps, n_in) if draw.changing else (count, n_in)))
    labels = rng.integers(n_out, size=count)
    targets = np.eye(n_out)[labels]
    rewarded = draw.error == "reward"
    if rewarded:
        targets = rng.standard_normal((count, n_out))  # what every action pays
    elif draw.varying:
        targets = np.eye(n_out)[rng.integers(n_out, size=(count, steps))]
    mask = (np.arange(steps) >= draw.warmup).astype(float)
    if draw.masks:  # from a step of each trial's own on, and half of them end before it does
        first = draw.warmup + rng.integers(steps // 3, size=(count, 1))
        last = steps - rng.integers(2, size=(count, 1))*(steps // 4)
        mask = ((np.arange(steps) >= first) & (np.arange(steps) < last)).astype(float)
    splits = {"train": np.arange(count), "validation": np.arange(0), "test": np.arange(0)}
    return Task("drawn", inputs, targets, None if targets.ndim == 3 else labels, mask, splits,
                draw.coding, steps * ms, feedback="reward" if rewarded else "target")


def key_of(draw, done, plastic, trial):
    """The key of a trial's random numbers, after so many training trials."""
    return (numbers.keys(draw.seed, numbers.TRAINING, done) if plastic
            else numbers.keys(draw.seed, numbers.EVALUATION, done, trial))


class Spiking:
    """Brian2, chunks of one trial."""

    def __init__(self, draw, model, task, course, start, lazy, backend="numpy"):
        self.draw, self.task, self.course = draw, task, course
        self.shape = shape_of(task, 2)
        self.engine = backends.open_backend(backend, model, self.shape, lazy)
        self.values = parameter_values(model, self.shape, lazy)
        self.state, self.done = {**self.engine.start, **start}, 0

    def trial(self, trial, plastic):
        """The state at the end of a trial."""
        found = self.engine.run(Chunk(1, self.state, self.values, {
            "course": self.course, **tables(
                self.task, self.shape, np.array([trial]), plastic, self.done,
                key_of(self.draw, self.done, plastic, trial))})).state
        shift_last_spikes(found, float(self.task.duration))
        if plastic:
            self.state, self.done = found, self.done + 1
        return found


class Rate:
    """The rate engine, batches of one trial, operation by operation."""

    def __init__(self, draw, model, task, course, start):
        self.draw, self.task = draw, task
        self.engine = Engine(model, shape_of(task, 2), course, "spikes", "double", "step",
                             compiled=False)
        self.engine.put(start)
        program = self.engine.program
        late = {key for node in program.finish for key in node.written()}
        looked = tuple(sorted(
            key for key in {k for node in program.start + program.step for k in node.written()}
            if key not in late and "@" not in key and key.split(".")[0] in self.engine.sizes
            and not key.split(".")[1].startswith("_")))
        self.engine.machines = {True: self.engine.machine(True, looked),
                                False: self.engine.machine(False)}

    def trial(self, trial, plastic):
        """What neurons hold at the end of a trial, and what is learned."""
        engine, task = self.engine, self.task
        inputs, targets = (np.moveaxis(x, 1, 0) if x.ndim == 3 else x
                           for x in (task.inputs[[trial]], task.targets[[trial]]))
        masks = Masks(task)[np.array([trial])]
        with jax.enable_x64(True):
            key = key_of(self.draw, engine.batches, plastic, trial)
            kept, values = engine.machines[plastic].trial(
                engine.kept(plastic, 1), engine.given(inputs, targets, masks),
                engine.fixed(engine.constants), engine.course, None, engine.batches,
                numbers=self._numbers(key))
            if plastic:
                engine.take(kept, {}, 1)
        found = {**values["look"], **engine.weights, **engine.shared}
        return {name: np.asarray(value, float).ravel() for name, value in found.items()}

    def _numbers(self, key):
        """The random numbers of the spiking engine, by place of the draw."""
        steps = [numbers._step_key(key, step) for step in range(self.task.steps)]
        engine, found = self.engine, {}
        for place, draw in enumerate(engine.program.draws):
            owner = draw.target.split(".")[0]
            stream = zlib.crc32(f"{draw.target} {draw.place}".encode())
            shape = ((engine.sizes[owner],) if owner in engine.sizes
                     else engine.connections[owner].shape)
            function = {"rand": numbers._uniform, "randn": numbers._normal}[draw.distribution]
            found[place] = np.stack([function(step, stream, np.arange(np.prod(shape)))
                                     .reshape(1, *shape) for step in steps])
        return found


# ---------------------------------------------------------------------------- the comparison

def run(draw, numpy=True, compiled=False):
    """The `Outcome` of a draw, also `compiled`; `numpy` as of `quickly`."""
    with quickly(numpy, compiled), warnings.catch_warnings(record=True) as told, \
            np.errstate(all="ignore"):
        warnings.simplefilter("always")
        try:
            model = draw.model()
        except REFUSALS as problem:
            return Outcome("refused", str(problem))
        except Exception:
            return Outcome("traceback while the model is made", traceback.format_exc())
        try:
            outcome = _run(draw, model, told, compiled)
        except BioopzoError as problem:
            outcome = Outcome("check passes, a run refuses", str(problem))
        except Exception:
            outcome = Outcome("traceback in a run", traceback.format_exc())
        outcome.blocks = tuple(model.blocks)
        return outcome


def _run(draw, model, told, compiled):
    try:
        model.check()
    except REFUSALS as problem:
        return Outcome("refused", str(problem))
    except Exception:
        return Outcome("traceback in check", traceback.format_exc())
    no_rate = [str(w.message) for w in told if issubclass(w.category, ModelWarning)
               and "the rate engine cannot run this" in str(w.message)]
    task = task_of(draw)
    model = model.for_task(task)
    try:
        course = time_course(model, task)
    except REFUSALS as problem:
        return Outcome("refused", "protocol: " + str(problem))
    start = initial_weights(model, np.random.default_rng(draw.seed))
    dense = Spiking(draw, model, task, course, start, False)
    written, plain = (assembled(model, dense.shape, form) for form in (True, False))
    told_forms = {name: synapse.form for name, synapse in written.synapses.items() if synapse.form}
    kept = _own(model)
    forms = {} if same_objects(written, plain) else {
        "lazy form": Spiking(draw, model, task, course, start, True)}
    try:
        forms["rate engine"] = Rate(draw, model, task, course, start)
    except REFUSALS as problem:
        if not no_rate:
            return Outcome("check passes, rate engine refuses", str(problem), forms=told_forms)
    if no_rate and "rate engine" in forms:
        return Outcome("check says no rate engine, which runs", no_rate[0], forms=told_forms)
    if compiled:
        forms["compiled code"] = Spiking(draw, model, task, course, start, True, "standalone")
    finite = True
    for trial, plastic in enumerate(map(bool, draw.plastic)):
        theirs = dense.trial(trial, plastic)
        finite = _finite(theirs)
        for name, form in forms.items():
            mine = form.trial(trial, plastic)
            found = _differences(mine, theirs, written.roles, plastic,
                                 set(theirs) if isinstance(form, Rate) else kept,
                                 COMPILED if name == "compiled code" else TOLERANCE)
            if not finite and not (plastic and _finite(mine)):
                found = ""  # a run stops here; how far a NaN has come by then is another matter
            if found:
                return Outcome(f"{name} differs from dense", f"trial {trial}: {found}",
                               forms=told_forms, finite=finite)
        if not finite:
            break
    return Outcome("ran" if "rate engine" in forms else "ran, rate engine refused",
                   forms=told_forms, finite=finite)


def assembled(model, shape, lazy):
    """The text that the spiking engine is built of."""
    return assemble(model, shape.duration, shape.varying, lazy, step=shape.step,
                    masks=shape.masks > 1)


def same_objects(one, other):
    """Whether two assemblies differ in what is said of their forms, at most."""
    return one.groups == other.groups and all(
        replace(synapse, form="") == replace(other.synapses[name], form="")
        for name, synapse in one.synapses.items())


def _finite(state):
    """Whether all values are finite."""
    return all(np.isfinite(value).all() for value in state.values())


def _own(model):
    """The variables of a model's own text: ``"object.variable"``."""
    objects = draft(model)
    return {f"{name}.{line.name}" for name, obj in {**objects.groups, **objects.synapses}.items()
            for line in parse(obj.equations, name)}


def _differences(mine, theirs, roles, plastic, own, tolerance):
    """The variables that differ, as text; `own` are those that have one meaning in both forms.

    What waits for the start of the next trial is compared in an evaluation. The factor of a dense
    product, F_w, is compared where it acts: of several projections the first that is dense has the
    short name for it, and which are dense is what the event-driven form differs in.
    """
    later = set(roles.anew) | ({*roles.learned, *roles.statistics} if plastic else set())
    found = []
    for key in sorted(set(mine) & set(theirs) - later):
        variable = key.split(".")[1]
        if variable.startswith("F_") and key not in own:
            continue
        if key.startswith("trial.") or variable in ("lastspike", "entry", "upcoming") or (
                variable == "count" and not plastic):  # the rate engine's begin at zero there
            continue
        x, y = np.broadcast_arrays(mine[key], theirs[key])
        if not np.isclose(x, y, rtol=tolerance, atol=tolerance, equal_nan=True).all():
            found.append(f"{key} by {np.nanmax(np.abs(x.astype(float) - y)):.3g}")
    return "; ".join(found[:8])
