"""A `Program` as one pure function: a trial of a batch, scanned over its steps.

`Machine.trial` takes what is kept from trial to trial, what the trial is given and a key, and
returns what is kept then. It has no state and looks at no array's content, so that JAX can compile
it, repeat it (`train`), share it out over devices, and run many at once.

What an operation on a synaptic variable does when (see `translate` for a batch's meaning):

- a statement that sets a variable acts at its moment;
- a change of what the optimiser does not move (M, for one) acts at its moment;
- a change of w, or by a differential equation, waits for the trial's end with ``updates="trial"``,
  for the step's end with ``"step"`` and an optimiser of its own, and acts at its moment with
  ``"step"`` and plain descent.
"""

import zlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from operator import itemgetter
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from bioopzo.engines.rate.arrays import Scaled, masked, outer, plain
from bioopzo.engines.rate.moment import Moment
from bioopzo.engines.rate.numbers import normal, uniform
from bioopzo.engines.rate.program import Program, needed
from bioopzo.errors import InputError
from bioopzo.network.clock import ticks
from bioopzo.network.connections import Dense
from bioopzo.text.symbols import as_sympy

#: What terms and eligibilities with a value for every sample and synapse may weigh, each.
LITERAL_BYTES = 1e9
#: Eligibilities up to this size are carried along though they could be computed backwards.
CARRIED_BYTES = 1e6
#: What a synapse calls the derivative of the trial's loss by its weight.
GRADIENT = "gradient"
#: What tells which of the masks a sample has, among what a trial is given.
MASK = "trial.mask_number"
#: Gates that stay shut while plasticity and perturbation are off.
SILENT = ("hold > 0.5", "pair > 0.5")


@dataclass(frozen=True)
class Machine:
    """How a `Program` is run.

    Parameters
    ----------
    program : Program
    sizes : mapping
        Neurons of every group.
    connections : mapping
        The connection of every projection.
    update : function
        ``update(w, moments, change, n, rate)``: the optimiser, see `optimizers.updated`.
    optimized : frozenset
        The synaptic variables that it moves.
    each_step, immediate : bool
        Whether weights change in every step, and at once.
    plastic : bool
        Learning, or only reading out.
    steps : int
    compiled : bool
        False runs operation by operation, to look inside.
    look : tuple
        Variables whose values after the trial are wanted.
    given : tuple
        Variables that a trial is given: its input and its target.
    gradient : bool
        Whether the text reads the derivative of the loss.
    """

    program: Program
    sizes: Mapping[str, int]
    connections: Mapping[str, Any]
    update: Callable
    optimized: frozenset
    each_step: bool
    immediate: bool
    plastic: bool
    steps: int
    dt: float
    compiled: bool
    look: tuple
    given: tuple
    gradient: bool = False

    # ------------------------------------------------------------------ what is needed

    @property
    def quiet(self):
        """Whether nothing that is needed is drawn at random."""
        refs = (ref for nodes in self.parts[:3] for node in nodes for part in node.parts or (node,)
                for ref in [*part.reads.values(), *(ref for term in part.terms
                                                    for _, ref in term.reads.values())])
        return all(ref.kind != "draw" for ref in refs)

    @cached_property
    def parts(self):
        """(start, step, finish, variables that a trial begins with)."""
        program = self.program
        start, step, finish = (list(nodes) for nodes in (program.start, program.step,
                                                         program.finish))
        if self.plastic:
            wanted = {key for node in program.changes for key in node.written()} | program.shared
        else:
            start, step = ([kept for node in nodes if node.gate not in SILENT
                            for kept in self._without_learning(node)] for nodes in (start, step))
            finish, wanted = [], set()
        wanted |= set(self.look)
        while True:
            finish_, alive = needed(finish, wanted, False)
            step_, alive = needed(step, alive, True)
            start_, alive = needed(start, alive, False)
            if alive <= wanted:
                return start_, step_, finish_, alive
            wanted |= alive

    def _without_learning(self, node):
        """An operation without what it does to learned variables and running statistics."""
        if node.kind == "together":
            yield replace(node, parts=tuple(part for part in node.parts
                                            if part.target not in self.program.learned))
        elif node.target not in self.program.learned and node.target not in self.program.shared:
            yield node

    @cached_property
    def state(self):
        """Neurons' variables that outlast a trial, of every sample."""
        return sorted(key for key in self.parts[3] if key.split(".")[0] in self.sizes
                      and key not in {*self.program.shared, *self.given})

    @cached_property
    def backward(self):
        """Eligibilities whose effect can be computed when the trial is over; see `_uses_of`."""
        return frozenset(key for key in self.program.eligibilities
                         if not self.each_step and self._is_backward(key))

    def _is_backward(self, key):
        """E starts at zero, decays by factors without pre, is fed by products, and is only read.

        Linearly, by changes that wait for the end, in the same step or after all. A product has no
        other eligibility in it, which differs from synapse to synapse in every sample.
        """
        writers = [node for node in self.program.changes if node.target == key]
        start = [node for node in self.program.start if node.target == key]
        group = [node for node in self.program.step if key in node.written()]
        readers = [node for node in self.program.step + self.program.finish if key in node.read()]
        allowed = [*group, *(n for n in self.program.finish if n.target in self.optimized)]
        return (len(writers) == len(group) == 1 and group[0].kind == "together"
                and all(as_sympy(term.code) == 0 for node in start for term in node.terms)
                and all(node in allowed for node in readers)
                and all(part.target in self.optimized | {key} for part in group[0].parts
                        if key in part.read())
                and all(_linear(term, key) for node in allowed for part in node.parts or (node,)
                        for term in part.terms if key in term.synaptic)
                and not any(term.literal or term.synaptic & (self.program.eligibilities - {key})
                            for term in writers[0].terms))

    def carried(self, batch, itemsize):
        """The eligibilities that go along from step to step; refuses what takes too much room."""
        found = set()
        for key in self.program.eligibilities:
            connection = self.connections[key.split(".")[0]]
            size = batch * int(np.prod(connection.shape)) * itemsize
            if key in self.backward and (size > CARRIED_BYTES or not isinstance(connection, Dense)):
                continue
            if not isinstance(connection, Dense):
                raise InputError(f"{key}: the eligibility of a convolution or pooled image can "
                                 "only be read linearly, by changes of weights that wait for the "
                                 "trial's end (updates='trial')")
            self.check_room(f"{key}, the eligibility of every sample and synapse,", size)
            found.add(key)
        return found

    def check_room(self, what, size):
        """Refuse arrays (batch, pre, post) that would not fit."""
        if size > LITERAL_BYTES:
            raise InputError(f"{what} would take {size/1e9:.1f} GB (at most {LITERAL_BYTES/1e9:g}):"
                             " use a smaller batch or network, or text that factors into "
                             "(presynaptic) * (postsynaptic) * (synaptic); the spiking engine "
                             "runs any text")

    # ------------------------------------------------------------------ a trial

    def waits(self, key):
        """Whether a change of a learned variable waits for the end of the step or trial."""
        return key in self.optimized and not self.immediate

    @cached_property
    def changing(self):
        """The variables that the operations of a step change."""
        found = {part.target for node in self.parts[1] for part in node.parts or (node,)
                 if "@" not in part.target
                 and not (part.kind == "change" and self.waits(part.target))}
        return found | (self.optimized if self.each_step else set())

    def steady(self, term):
        """Whether the synapses' part of a term is the same in all steps of a trial."""
        return not term.synaptic & self.changing and not any(
            ref.kind == "clock" for _, ref in term.reads.values())

    def fresh(self, key, batch, dtype):
        """What a variable holds before the first trial, where nobody says."""
        name, variable = key.split(".")
        if name not in self.sizes:
            return jnp.zeros((batch, *self.connections[name].shape), dtype)
        rows = 1 if key in self.program.shared else batch
        kind = bool if variable == "not_refractory" else dtype
        value = {"not_refractory": True, "lastspike": -1e4}.get(variable, 0)
        return jnp.full((rows, self.sizes[name]), value, kind)

    def trial(self, kept, given, constants, course, key, number, rate=None, apply=True,
              numbers=None, record=()):
        """Run a trial of a batch.

        Parameters
        ----------
        kept : dict
            ``"weights"``, ``"shared"``, ``"state"`` and ``"moments"`` by variable, ``"updates"``.
        given : dict
            Variables handed in: arrays (batch, n), or (steps, batch, n). `MASK` (batch, 1), where
            samples have masks of their own: which of the courses each has.
        constants, course
            Parameters by name; `network.clock.time_course`.
        key, number
            Random key of this trial; how many trials went before.
        rate
            The optimiser's learning rate.
        apply : bool
            Whether the optimiser moves what waits for the trial's end.
        numbers : dict, optional
            In place of random numbers: place of a draw -> array (steps, ...).
        record : tuple
            Variables noted after every step.

        Returns ``(kept, values)``; `values` holds ``"look"``, ``"changes"`` and ``"record"``.
        """
        if self.gradient and self.plastic:
            kept = {**kept, "weights": {**kept["weights"], **self._gradients(
                kept, given, constants, course, key, number, numbers)}}
        own = given.get(MASK)
        if own is not None:
            given = {name: value for name, value in given.items() if name != MASK}
            course = jnp.moveaxis(jnp.reshape(course, (-1, self.steps, course.shape[-1]))[
                own[:, 0].astype(int)], 0, 1)
        some = next(iter(given.values()))
        batch, dtype = some.shape[-2], some.dtype
        still = {k: v for k, v in given.items() if v.ndim == 2}
        env = {**kept["weights"], **kept["shared"], **kept["state"], **still}
        span = self.steps * self.dt
        for name in env:
            if name.endswith(".lastspike"):  # told in the time of the trial
                env[name] = env[name] - span
        draws = _Draws(self, key, dtype, numbers)

        courses = {**ticks(course, float(self.plastic), 0, self.steps),
                   "step": np.arange(self.steps)}

        def moment(env, said, scaled=()):
            step = said["step"]
            clock = {**said, "plastic": float(self.plastic), "t_of_trial": step * self.dt,
                     "t": (number * self.steps + step) * self.dt}
            return Moment(self, env, constants, clock, draws.at(step), batch, dtype, scaled)

        start, _, finish, _ = self.parts
        env |= {key: self.fresh(key, batch, dtype) for key in self.carried(batch, dtype.itemsize)}
        begun = {key: value[0] for key, value in given.items() if value.ndim == 3}
        first = moment({**env, **begun}, {name: values[0] for name, values in courses.items()})
        first.run(start)
        xs = {"clock": courses, "given": {
            k: jnp.concatenate([jnp.asarray(plain(first.env[k]))[None], given[k][1:]])
            for k in begun}}  # a trial's start may have changed what its first step is given
        scan = _Scan(self, moment, first, kept, xs, rate, apply, record)
        traces = self._constant_traces(still)
        while True:
            try:
                env, sums, series, moving = scan.run(traces)
                break
            except _NotScaled as problem:
                traces.pop(problem.args[0])
        # What stands between two trials belongs to the one that has ended.
        last = moment(env, {name: values[-1] for name, values in courses.items()})
        last.sums, last.closers = dict(sums), scan.closers
        late = [node for node in finish if node.kind == "set" and self.waits(node.target)]
        last.run([node for node in finish if node not in late])
        changes = self._changes(last, series)
        weights = {k: last.env[k] for k in kept["weights"]}
        if apply and changes:
            moving = self.moved(weights, moving, changes, rate)
        last.env |= weights  # what is set there (a bound, say) is set when all has been learned
        last.run(late)
        weights = {k: self.there(k, last.env[k]) for k in weights}
        if self.gradient:  # of this trial: it means nothing to the next, or in the other engine
            weights |= {k: jnp.zeros_like(v) for k, v in weights.items()
                        if k.endswith(f".{GRADIENT}")}
        kept = {"weights": weights, "moments": moving["moments"], "updates": moving["updates"],
                **{name: {k: jnp.asarray(plain(last.env[k])) for k in kept[name]}
                   for name in ("shared", "state")}}
        return kept, {"look": {k: jnp.asarray(plain(last.env[k])) for k in self.look},
                      "changes": {k: jnp.broadcast_to(change, weights[k].shape)
                                  for k, change in changes.items()},
                      "record": series.pop("record", {})}

    def _gradients(self, kept, *trial):
        """The derivative of a trial's loss by every weight for which the text has a place."""
        forward = replace(self, gradient=False)
        places = {key.rpartition(".")[0] + ".w": key for key in kept["weights"]
                  if key.endswith(f".{GRADIENT}")}

        def loss(weights):
            _, values = forward.trial({**kept, "weights": {**kept["weights"], **weights}},
                                      *trial[:-1], apply=False, numbers=trial[-1])
            return values["look"][self.look[1]].sum(axis=1).mean()

        found = jax.grad(loss)({key: kept["weights"][key] for key in places})
        return {places[key]: self.there(key, change) for key, change in found.items()}

    def moved(self, weights, moving, changes, rate):
        """Let the optimiser move weights (in place) by changes; what it keeps, after it."""
        updates, moments = moving["updates"] + 1, dict(moving["moments"])
        for key, change in changes.items():
            change = jnp.broadcast_to(self.there(key, change), weights[key].shape).astype(
                weights[key].dtype)
            weights[key], moments[key] = self.update(weights[key], moments[key], change, updates,
                                                     rate)
        return {"moments": moments, "updates": updates}

    def _constant_traces(self, still):
        """Traces of a constant input, which begin a trial at zero: variable -> input."""
        begins = {node.target: node for node in self.parts[0] if node.kind == "element"}
        zeroed = {key for key, last in begins.items() if last.code.strip() in ("0", "0.0")}
        source = self.program.assembly.network.input.name
        return {key: base for base in set(still) - self.changing
                for key in sorted(zeroed & self.changing)
                if self.plastic and key.split(".")[0] == base.split(".")[0] == source}

    def _changes(self, last, series):
        """What a trial asks of every variable that waits."""
        changes = {}
        for label, total in last.sums.items():
            _add(changes, label.split("|")[0], last.closers[label](total, last.env))
        if not self.each_step:
            for key in sorted({label[0] for label in (*series.get("uses", {}), *last.uses)}):
                for target, change in self._backwards(key, last, series["uses"]):
                    _add(changes, target, change)
        return {key: self.there(key, change) for key, change in changes.items()}

    def there(self, key, values):
        """The values of a synaptic variable, zeros where there is no synapse."""
        return masked(self.connections[key.split(".")[0]], values)

    def _backwards(self, key, last, series):
        """The changes that read an eligibility E: each of its shares meets what multiplies it.

        With E(t+1) = k(t)*E(t) + P(t) x Q(t), the sum over t of f(t)*E(t) is the sum over s of
        P(s) x Q(s)*G(s+1), where G(t) = f(t) + k(t)*G(t+1) runs backwards.
        """
        own = {label[1:]: values for label, values in series.items() if label[0] == key}
        ends = {label[2]: value for label, value in last.uses.items() if label[0] == key}
        keep = 1 + sum(v for label, v in own.items() if label[0] == "keep")
        shares = sorted(label[1] for label in own if label[0] == "post")
        bases = {k: last.closers.get((key, "base", k)) for k in shares}
        nothing = jnp.zeros_like(own["post", shares[0]])
        for target in sorted({*ends, *(label[1] for label in own if label[0] == "use")}):
            used = own.get(("use", target), nothing)
            totals = self._run_back(key.split(".")[0], last.env[target], bases, {
                ("keep",): jnp.broadcast_to(keep, used.shape), ("used",): used,
                **{label: v for label, v in own.items() if label[0] in ("pre", "post")}},
                jnp.asarray(ends.get(target, nothing[0])))
            yield target, sum(totals) / used.shape[1]

    def _run_back(self, name, w, bases, series, later):
        """P(s) x Q(s)*G(s+1), summed over steps and samples, of every share (`bases`) of E."""
        connection = self.connections[name]

        def back(carry, x):
            later, totals = carry
            totals = {k: totals[k] + (x["post", k] * later if base is not None else outer(
                connection, x["pre", k], x["post", k] * later, w)) for k, base in bases.items()}
            return (later * x["keep",] + x["used",], totals), None

        zeros = {k: jnp.zeros(w.shape if base is None else later.shape, later.dtype)
                 for k, base in bases.items()}
        (_, totals), _ = _loop(self.compiled, back, (later, zeros), series,
                                self.steps, True)
        return [total if bases[k] is None else outer(connection, bases[k], total, w)
                for k, total in totals.items()]


class _NotScaled(Exception):
    """What was taken for a trace of a constant input is none."""


class _Scan:
    """The steps of a trial, one after the other."""

    def __init__(self, machine, moment, first, kept, xs, rate, apply, record):
        self.machine, self.moment, self.first, self.xs = machine, moment, first, xs
        self.rate, self.record, self.closers, self.adds_twice = rate, record, {}, False
        self.at_end_of_step = apply and machine.each_step and not machine.immediate
        self.moving = {"moments": kept["moments"], "updates": kept["updates"]}

    def run(self, traces):
        """(variables, sums, series, what the optimiser keeps) after the last step.

        `traces` are variables taken for `Scaled` ones; raises `_NotScaled` where one is not.
        """
        machine, env = self.machine, self.first.env
        _, nodes, finish, _ = machine.parts
        after = set(machine.look).union(*(node.read() for node in finish))
        alive = (needed(nodes, after | set(env), True)[1] | after) & machine.changing
        self.traces = {k: base for k, base in traces.items() if k in alive}
        self.bases = {base: env[base] for base in self.traces.values()}
        # What is written on the way, such as the `_xbar` of the state updater, does not go along.
        self.scaled = {*self.traces, *(key for key in machine.changing - alive if key.split(".")[0]
                                       in {base.split(".")[0] for base in self.bases})}
        self.still = {k: v for k, v in env.items() if k not in alive}
        carry = {}
        for key in sorted(alive - (machine.program.eligibilities - set(env))):
            if key in self.traces:
                carry[key] = jnp.zeros((), self.first.dtype)
            else:
                fresh = machine.fresh(key, self.first.batch, self.first.dtype)
                value = jnp.asarray(plain(env.get(key, fresh)))
                carry[key] = value
        begin, step = (carry, {}, self.moving), self._step
        if machine.compiled:
            begin, step = self._compiled(begin)
        (carry, sums, moving), series = _loop(machine.compiled, step, begin, self.xs,
                                              machine.steps)
        latest = {key: values[-1] for key, values in self.xs["given"].items()}
        env = {**env, **latest, **carry, **{key: Scaled(carry[key], self.bases[base])
                                  for key, base in self.traces.items()}}
        return env, sums, series or {}, moving

    def _compiled(self, begin):
        """What the loop begins with, and its step, which is traced once where that is enough."""
        alone = jax.jit(self._step, inline=True)
        row = jax.tree.map(lambda x: x[0], self.xs)
        (_, shares, _), _ = jax.eval_shape(alone, begin, row)
        carry, _, moving = begin

        def step(loop, x):
            (own, shares, moving), series = alone((loop[0], {}, loop[2]), x)
            return (own, {k: loop[1][k] + share for k, share in shares.items()}, moving), series
        return ((carry, {k: jnp.zeros(s.shape, s.dtype) for k, s in shares.items()}, moving),
                self._step if self.adds_twice else step)

    def _step(self, carry, x):
        machine, (own, sums, moving) = self.machine, carry
        bases = {base: Scaled(1.0, array) for base, array in self.bases.items()}
        traces = {key: Scaled(own[key], bases[base].base) for key, base in self.traces.items()}
        now = self.moment({**self.still, **own, **x["given"], **bases, **traces},
                          x["clock"], self.scaled)
        now.sums, now.closers = dict(sums), self.closers
        now.run(machine.parts[1])
        self.adds_twice = now.adds_twice
        if self.at_end_of_step and now.sums:
            changes = {}
            for label, total in now.sums.items():
                _add(changes, label.split("|")[0], now.closers[label](total, now.env))
            moving = machine.moved(now.env, moving, changes, self.rate)
        env = {}
        for key in own:
            value = now.env[key]
            if key in self.traces:
                if getattr(value, "base", None) is not bases[self.traces[key]].base:
                    raise _NotScaled(key)
                value = jnp.asarray(value.number, now.dtype)
            env[key] = value
        record = {key: jnp.asarray(plain(now.env[key])) for key in self.record if key in now.env}
        return ((env, {} if self.at_end_of_step else now.sums, moving),
                {"uses": now.uses, "record": record})


class _Draws:
    """Random numbers by what they are for: (seed and trial: the key), variable, step."""

    def __init__(self, machine, key, dtype, numbers):
        self.draws, self.dtype, self.numbers = machine.program.draws, dtype, numbers
        self.keys = [] if numbers is not None else [
            jax.random.fold_in(key, zlib.crc32(f"{d.target} {d.place}".encode()))
            for d in self.draws]

    def at(self, step):
        """The function of a step that gives numbers for a draw."""
        def numbers(place, shape):
            if self.numbers is not None:
                return jnp.broadcast_to(self.numbers[place][step], shape)
            draw = {"rand": uniform, "randn": normal}[self.draws[place].distribution]
            return draw(jax.random.fold_in(self.keys[place], step), shape, self.dtype)
        return numbers


def _loop(compiled, function, carry, xs, steps, reverse=False):
    """`jax.lax.scan`, or the same in Python."""
    if compiled:
        return jax.lax.scan(function, carry, xs, steps, reverse)
    series = []
    for k in reversed(range(steps)) if reverse else range(steps):
        carry, found = function(carry, jax.tree.map(itemgetter(k), xs))
        series.append(found)
    return carry, jax.tree.map(lambda *x: jnp.stack(x), *series)


def _add(changes, key, change):
    changes[key] = changes[key] + change if key in changes else change


def _linear(term, key):
    """Whether a term is the eligibility times factors without pre."""
    if term.pre is not None or term.literal or term.synaptic != {key}:
        return False
    name = as_sympy(key.split(".")[1])
    code = as_sympy(term.code)
    return not code.diff(name).has(name) and code.subs(name, 0) == 0
