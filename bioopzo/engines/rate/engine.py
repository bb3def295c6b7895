"""The rate engine: the same text on mini-batches, executed by JAX.

No rule is written here: `translate` takes the text of every object apart, `execute` makes one pure
function of it. Sums through synapses become matrix products, plasticity becomes products over the
batch, averaged. Memory does not grow with the steps of a trial.
"""

import threading
from dataclasses import replace
from functools import cached_property, partial
from operator import itemgetter

import jax
import jax.numpy as jnp
import numpy as np

from bioopzo.engines.precision import PRECISIONS
from bioopzo.engines.rate import devices, optimizers
from bioopzo.engines.rate.batches import padded, single, train
from bioopzo.engines.rate.devices import gathered
from bioopzo.engines.rate.execute import MASK, Machine
from bioopzo.engines.rate.program import ACTIVITIES, Program, refuse_literal_images
from bioopzo.engines.rate.translate import program
from bioopzo.engines.spiking.code import abstract_code
from bioopzo.engines.tools import ONE_AT_A_TIME
from bioopzo.errors import InputError, unknown
from bioopzo.exact import digest
from bioopzo.network import spread
from bioopzo.network.assembly import assemble

UPDATES = ("trial", "step")
#: Compiled programs by `Engine.identity`, the latest so many of them.
_PROGRAMS: dict[str, dict] = {}
_PROGRAMS_LOCK = threading.Lock()
KEPT_PROGRAMS = 32
#: What texts were translated to, the latest so many of them.
_TRANSLATED: dict[str, Program] = {}


class Engine:
    """A model on mini-batches.

    Parameters
    ----------
    model : Model
        With the task's coding (`Model.for_task`).
    shape : network.clock.Shape
        Steps a trial, dt, whether the target varies in time.
    course : array (steps, 6), or one for each mask below the other
        `network.clock.time_course`.
    activity : ``"rates"``, ``"spikes"`` or ``"deterministic"``
        What a neuron sends: its chance to spike, a spike drawn with that chance, or a spike where
        u > theta (this makes the model's neuron the deterministic one).
    precision : ``"single"`` or ``"double"``
    updates : ``"trial"`` or ``"step"``
        When weights change: after the trial, or in every step as in the spiking engine.
    optimizer : Optimizer, default plain descent
    compiled : bool
        False runs operation by operation, which is slow, to look inside.
    seed : int
        Of all random numbers: each belongs to a seed, a trial, a variable and a step.
    placed : devices.Placement, optional
        Which devices share a batch; default JAX's own first one.
    look : sequence of str, optional
        Variables, such as ``"hidden_1.mask"``, whose values after a trial `changes` returns.

    `weights` and `shared` map synaptic variables and running statistics to arrays; any can be
    replaced by another before the next batch.

    Raises `EquationError` for text that has no meaning on a batch, `InputError` for settings that
    do not fit together.
    """

    def __init__(self, model, shape, course, activity="rates", precision="single",
                 updates="trial", optimizer=None, compiled=True, seed=0, placed=None, look=()):
        for kind, value, known in (("activity", activity, ACTIVITIES),
                                   ("precision", precision, PRECISIONS),
                                   ("kind of updates", updates, UPDATES)):
            if value not in known:
                raise unknown(kind, value, known)
        if activity == "deterministic":
            model = model.without_noise()
        self.model, self.shape, self.course, self.activity = model, shape, course, activity
        self.optimizer = optimizer or optimizers.get("sgd")
        self.dtype, self.compiled, self.seed = PRECISIONS[precision], compiled, seed
        self.each_step = updates == "step"
        self.immediate = self.each_step and self.optimizer.text.strip() == "w += dw"
        self.placed = placed or devices.Placement()
        self.assembly = assemble(model, None, shape.varying, lazy=False, gated=False,
                                 step=shape.step)
        with ONE_AT_A_TIME:
            self.abstract = abstract_code(model, shape)
        self.sizes = {name: group.size for name, group in self.assembly.groups.items()}
        self.connections = {name: s.connection for name, s in self.assembly.synapses.items()}
        self.program = self._translated()
        refuse_literal_images(self.program, model.connections)
        self.optimized = frozenset(
            [part.target for node in self.program.step for part in node.parts
             if part.target in self.program.learned]
            + [key for key in self.program.learned if key.endswith(".w")])
        if not self.immediate:
            self._refuse_running_eligibilities()
        # Of a population whose neurons differ, a row: the same for all samples.
        self.constants = {key: value[None] if np.ndim(value) else value for key, value
                          in spread.constants(self.assembly, model, shape).items()}
        self.weights = {key: np.zeros(self.connections[key.split(".")[0]].shape, self.dtype)
                        for key in self.program.learned}
        self.shared = {key: np.zeros((1, self.sizes[key.split(".")[0]]), self.dtype)
                       for key in sorted(self.program.shared)}
        self.moments = {key: {name: np.zeros_like(self.weights[key])
                              for name in self.optimizer.variables} for key in self.optimized}
        self.state, self.looked = {}, tuple(look)
        self.updates_done, self.batches, self.moved, self.known = 0, 0, set(), set()

    def _translated(self):
        """The `Program` of the text; engines that differ in numbers alone share it."""
        # All that it is made of: an assembly's printed text says no order between objects.
        key = digest(repr((self.assembly, self.assembly.stored, self.abstract, self.activity,
                           self.shape.masks > 1)))
        if key not in _TRANSLATED:
            found = program(self.assembly, self.abstract, self.activity, self.shape.masks > 1)
            with _PROGRAMS_LOCK:
                while len(_TRANSLATED) >= KEPT_PROGRAMS:
                    _TRANSLATED.pop(next(iter(_TRANSLATED)))
                _TRANSLATED[key] = found
                return found
        return _TRANSLATED[key]

    def _refuse_running_eligibilities(self):
        """What a synapse keeps for its plasticity over several trials is no sum over a batch."""
        for node in self.program.step:
            targets = [part.target for part in node.parts if part.target in self.program.learned]
            for part in (part for part in node.parts if part.target in targets):
                for key in {k for term in part.terms for k in term.synaptic} & set(targets):
                    if key != part.target:
                        raise InputError(
                            f"{key} goes on from trial to trial (state_reset=False), and "
                            f"{part.target} follows it at once: use state_reset=True, "
                            "updates='step' with plain descent, or the spiking engine")

    # ------------------------------------------------------------------ machines

    @cached_property
    def names(self):
        """The variables that tell a trial's decision and cost."""
        network = self.model.network
        return f"{network.readout.name}.decision", f"{network.error.name}.cost"

    @cached_property
    def counts(self):
        """The variables that count spikes."""
        found = (f"{name}.count" for name in self.sizes)
        return [key for key in found if any(key in node.written() for node in self.program.step)]

    def machine(self, plastic, more=()):
        """The `Machine` of a trial with plasticity on or off, which looks at `more` variables."""
        network = self.model.network
        source = {"current": "x", "poisson": "rate", "spikes": "given"}[self.model.coding]
        look = (*self.names, *(() if plastic else self.counts), *self.looked, *more)
        return Machine(
            self.program, self.sizes, self.connections, optimizers.updated(self.optimizer),
            self.optimized, self.each_step, self.immediate, plastic, self.shape.steps,
            self.shape.dt, self.compiled, tuple(dict.fromkeys(look)),
            (f"{network.input.name}.{source}", f"{network.error.name}.y"),
            self.model.rule.gradient)

    @cached_property
    def machines(self):
        """The machines of training (True) and of evaluation (False)."""
        return {plastic: self.machine(plastic) for plastic in (True, False)}

    @cached_property
    def identity(self):
        """What two engines have in common that share a compiled program: all but numbers."""
        return repr((self.assembly.text(), self.abstract, self.sizes, sorted(
            self.connections.items()), self.model.coding, self.activity, self.dtype.__name__,
            self.each_step, self.immediate, self.optimizer.text, self.optimizer.variables, sorted(
                {**self.optimizer.parameters, "rate": 0}.items()), self.shape, self.compiled,
            self.placed, self.looked))

    @property
    def programs(self):
        """What runs: ``"train"``, ``"read"`` and others, compiled; engines of one text share it."""
        with _PROGRAMS_LOCK:
            if self.identity not in _PROGRAMS:
                while len(_PROGRAMS) >= KEPT_PROGRAMS:
                    _PROGRAMS.pop(next(iter(_PROGRAMS)))
                _PROGRAMS[self.identity] = self._made()
            return _PROGRAMS[self.identity]

    def _made(self):
        learn = partial(train, self.machines[True])
        made = {"train": learn, "read": partial(single, self.machines[False]),
                "together": jax.vmap(learn, in_axes=(0, 0, 0, 0, None, 0, None, None)),
                "apart": jax.vmap(learn, in_axes=(*[0] * 6, None, None)),
                "look": partial(single, self.machines[True], apply=False)}
        return {name: self.placed.jit(function, name) for name, function in made.items()} \
            if self.compiled else made

    def run(self, name, *arguments):
        """One of the `programs` on arguments, which is compiled where their shapes are new."""
        program = self.programs[name]
        shapes = name, str(jax.tree.map(np.shape, arguments))
        # A GPU would make products of numbers that are cut to 10 bits. Random numbers of JAX's
        # kind that can be made in parts are what `numbers` makes.
        with jax.default_matmul_precision("highest"), jax.threefry_partitionable(True):
            if not self.compiled or shapes in self.known:
                return program(*arguments)
            with devices.kept_programs():
                found = program(*arguments)
            self.known.add(shapes)
            return found

    # ------------------------------------------------------------------ use

    def kept(self, plastic, batch):
        """All that goes on from trial to trial, as a machine takes it."""
        machine, state = self.machines[plastic], {}
        for key in machine.state:
            held = self.state.get(key)
            if held is None or (plastic and len(held) != batch) or (
                    not plastic and key in self.counts):
                state[key] = np.asarray(machine.fresh(key, batch, self.dtype))
            elif plastic:
                state[key] = held
            else:  # an evaluation begins with the state of training, the mean of the batch
                mean = gathered(held).mean(axis=0, keepdims=True)
                state[key] = np.repeat(mean.astype(held.dtype), batch, axis=0)
        return {"weights": dict(self.weights), "shared": dict(self.shared), "state": state,
                "moments": self.moments if plastic else {},
                "updates": np.int32(self.updates_done)}

    def given(self, inputs, targets, masks=None):
        """What a trial is given, by variable; `masks` says which mask each sample has."""
        if self.model.coding == "poisson":
            inputs = inputs * self.constants[f"{self.model.network.input.name}.input_rate"]
        given = {key: np.asarray(value, self.dtype)
                 for key, value in zip(self.machines[True].given, (inputs, targets))}
        if self.shape.masks > 1:
            if masks is None:
                raise InputError("samples of this task have masks of their own: say which, "
                                 "masks=task.mask_numbers[samples]")
            given[MASK] = np.asarray(masks, self.dtype)[..., None]
        return given

    def fixed(self, constants):
        """Constants as numbers of this precision, by name, with dt."""
        return {"dt": self.dtype(self.shape.dt),
                **{k: np.asarray(v, self.dtype) for k, v in constants.items()}}

    def train(self, inputs, targets, constants=None, rates=None, room=0, masks=None):
        """Show batches with plasticity on, one after the other; the cost of every trial.

        Arrays (batches, batch, n), or (batches, steps, batch, n) in time; `constants` holds
        parameters that have a value for every batch (a schedule's), `rates` the optimiser's. A
        program has room for at least `room` batches: calls of different lengths share it.
        Where samples have masks of their own, `masks` (batches, batch) tells which of
        `network.clock.masks_of` each has, here and in the other methods.
        Returns an array (batches, batch, readouts).
        """
        return train_together([self], [(inputs, targets, constants, rates, masks)], room)[0][:, 1]

    def asked(self, inputs, targets, constants, rates, masks=None, *, room=0):
        """The arguments of `train`, all but its counters, for some batches."""
        if rates is None and "rate" in self.optimizer.parameters:
            # Not part of the program: engines that differ in it share one.
            rates = np.full(len(inputs), self.optimizer.parameters["rate"])
        series = {key: np.asarray(values, self.dtype) for key, values in (
            *(constants or {}).items(), *([] if rates is None else [("rate", rates)]))}
        given = self.given(inputs, targets, masks)
        if self.compiled:
            given, series = ({key: padded(value, room) for key, value in values.items()}
                             for values in (given, series))
        return (*self.placed.put(self.kept(True, inputs.shape[-2]), given), series,
                self.fixed(self.constants), self.course.astype(self.dtype), self.seed_key(True))

    def put(self, values):
        """Give synaptic variables and running statistics other values: name -> array, any shape.

        Names that this network does not have are left out.
        """
        for held in (self.weights, self.shared):
            for key in held.keys() & values.keys():
                held[key] = np.reshape(values[key], held[key].shape).astype(self.dtype)

    def trial(self, inputs, targets, numbers=None, record=(), masks=None):
        """One training trial, operation by operation, to look inside; weights change as in `train`.

        `numbers` are taken in place of random ones: ``"hidden_1.S"`` (what they are drawn for) ->
        array (steps, batch, n). Returns what the variables in `record` held after every step.
        """
        machine = self.machine(True, record)
        chosen = None if numbers is None else {
            place: np.asarray(numbers[draw.target], self.dtype)
            for place, draw in enumerate(self.program.draws)}
        with jax.enable_x64(self.dtype == np.float64):
            kept, values = replace(machine, compiled=False).trial(
                self.kept(True, inputs.shape[-2]), self.given(inputs, targets, masks),
                self.fixed(self.constants), self.course.astype(self.dtype),
                jax.random.fold_in(self.seed_key(True), self.batches), self.batches,
                numbers=chosen, record=record)
            self.take(kept, {}, 1)
            return {key: np.asarray(value) for key, value in values["record"].items()}

    def record(self, names, inputs, targets, plastic=True, masks=None, constants=None, rate=None):
        """What the variables called `names` hold after every step of a batch; the engine stays.

        With plasticity on, the batch is what `train` would show next, with its own `constants` and
        `rate`. Returns arrays (steps, batch, n) by name; what samples share, (steps, pre, post) or
        (steps, 1, n). Names whose values do not go from step to step are left out.
        """
        steps = [*self.program.start, *self.program.step, *self.program.finish]
        there = {*self.weights, *self.shared}.union(*(node.written() for node in steps))
        names = tuple(name for name in names if name in there)
        machine = self.machine(plastic, names)
        key = jax.random.fold_in(self.seed_key(plastic), self.batches)
        rate = self.optimizer.parameters.get("rate") if rate is None else rate

        def trial(kept, given, fixed, course, key, number):
            return machine.trial(kept, given, fixed, course, key, number, rate, record=names)[1]

        with jax.enable_x64(self.dtype == np.float64), jax.default_matmul_precision("highest"), \
                jax.threefry_partitionable(True):
            values = (jax.jit(trial) if self.compiled else trial)(
                self.kept(plastic, inputs.shape[-2]), self.given(inputs, targets, masks),
                self.fixed({**self.constants, **(constants or {})}),
                self.course.astype(self.dtype), key if plastic else jax.random.fold_in(key, 0),
                np.int32(self.batches))
        return {name: np.asarray(value) for name, value in values["record"].items()}

    def take(self, kept, sizes, count):
        """Go on with what a program leaves after so many batches."""
        self.weights, self.shared = dict(kept["weights"]), dict(kept["shared"])
        self.state, self.moments = dict(kept["state"]), kept["moments"]
        self.updates_done, self.batches = int(kept["updates"]), self.batches + count
        largest = {key: float(size) for key, size in sizes.items()}
        self.moved |= {key for key, size in largest.items() if size > 1e-6 * max(largest.values())}

    def seed_key(self, plastic):
        """The random key of all trials of a kind."""
        return jax.random.fold_in(jax.random.key(self.seed), int(plastic))

    def evaluate(self, inputs, targets, part=0, constants=None, masks=None):
        """Show a batch with plasticity and perturbation off: (decision, cost, spikes).

        `part` tells batches of one evaluation apart. `spikes` maps a group to the spikes of every
        neuron in every sample (batch, neurons).
        """
        seen, _ = self._show("read", False, inputs, targets, constants, part, masks)
        spikes = {key.split(".")[0]: seen[key] for key in self.counts}
        return (*(seen[name] for name in self.names), spikes)

    def changes(self, inputs, targets, constants=None, masks=None):
        """What a batch asks of every variable that waits for the trial's end; nothing changes.

        Returns (changes, values): by variable, those that were to be looked at in `values`.
        """
        seen, changes = self._show("look", True, inputs, targets, constants, 0, masks)
        self.batches += 1  # the next batch has other random numbers
        return changes, seen

    def _show(self, name, plastic, inputs, targets, constants, part, masks):
        with jax.enable_x64(self.dtype == np.float64):
            kept, given = self.placed.put(self.kept(plastic, inputs.shape[-2]),
                                          self.given(inputs, targets, masks))
            key = jax.random.fold_in(jax.random.fold_in(self.seed_key(plastic), self.batches), part)
            _, values = self.run(
                name, kept, given, self.fixed(constants or self.constants),
                self.course.astype(self.dtype), key, np.int32(self.batches))
            return ({key: np.asarray(value) for key, value in values["look"].items()},
                    {key: np.asarray(value) for key, value in values["changes"].items()})


def train_together(engines, batches, room=0):
    """Train engines of one text as one program: what is read of each, see `Engine.train`.

    Arrays (batches, 2, batch, readouts): the decision and the cost of every trial.

    `batches` holds (inputs, targets, constants, rates) of each, and the masks where samples have
    their own. The engines differ in weights, seeds and parameters only, and are equally far.
    """
    first, count = engines[0], len(batches[0][0])
    with jax.enable_x64(first.dtype == np.float64):
        asked = [engine.asked(*parts, room=room) for engine, parts in zip(engines, batches)]
        counters = np.int32(first.batches), np.int32(count)
        if len(engines) == 1:
            kept, reads, sizes = first.run("train", *asked[0], *counters)
            first.take(kept, sizes, count)
            return [np.asarray(reads)[:count]]
        kept, given, series, fixed, courses, keys = zip(*asked)
        same = all(np.array_equal(course, courses[0]) for course in courses)
        stacked = [jax.tree.map(lambda *x: jnp.stack(x), *part)
                   for part in (kept, given, series, fixed, courses, keys)]
        if same:  # gates that are the same for all runs skip what they shut
            stacked[4] = courses[0]
        kept, reads, sizes = first.run("together" if same else "apart", *stacked, *counters)
        for k, engine in enumerate(engines):
            engine.take(*(jax.tree.map(itemgetter(k), part) for part in (kept, sizes)), count)
        return list(np.asarray(reads)[:, :count])
