"""One trial of a batch: runs the stages of a program, chunk by chunk of its time steps."""

import numpy as np

from bioopzo.engines.rate import kernels
from bioopzo.engines.rate.plans import KernelPlan, Proportional
from bioopzo.engines.rate.program import references
from bioopzo.engines.rate.stages import arrange, silenced
from bioopzo.errors import EquationError, InputError
from bioopzo.network.clock import ticks
from bioopzo.network.connections import Convolution
from bioopzo.text.equations import parse

#: Gates that stay shut while plasticity and perturbation are off.
SILENT = ("hold > 0.5", "pair > 0.5")
#: What an eligibility of every sample and synapse may weigh when steps are run one by one.
ELIGIBILITY_BYTES = 1e9


class Pass:
    """One way through a trial: learning, or only reading out (everything unneeded left away).

    `state`: what every sample's neurons hold; `changes`: what the trial asks of each synaptic
    variable, averaged over the batch.
    """

    def __init__(self, engine, plastic):
        self.engine, self.plastic, self.program = engine, plastic, engine.program
        if not plastic:  # no hold begins and no pair ends
            self.program = silenced(engine.program, lambda gate: gate in SILENT)
        finals = {"readout.decision", "error.cost", *(f"{name}.count" for name in engine.sizes)}
        wanted = []
        if plastic:
            wanted = [node.number for node in self.program.nodes
                      if node.kind in ("learn", "trace", "mean")]
            finals |= {ref.key for node in self.program.finish for ref in references(node)
                       if ref.kind == "state"}
        finals &= set(self.program.last)
        self.stages = arrange(self.program, wanted, finals, engine.asked != 1, engine.immediate)
        self.ending = self._needed_at_the_end(wanted, finals)
        name = "learn" if plastic else "read"
        self.plans = {k: KernelPlan(self, stage, f"{name}_{k}")
                      for k, stage in enumerate(self.stages) if stage.kind == "kernel"}
        self.carries = {ref.key for stage in self.stages for node in stage.nodes
                        for ref in references(node) if ref.kind == "carry"}
        self.batch, self.changes, self.assignments = None, {}, []
        self.reserve, self.used, self.state = {}, set(), {}

    def _needed_at_the_end(self, wanted, finals):
        """Operations whose last step matters; others only prepare a step that never comes."""
        todo = [*wanted, *(self.program.last[key] for key in finals)]
        if not self.engine.model.state_reset:
            todo += list(self.program.last.values())
        found = set()
        while todo:
            number = todo.pop()
            if number not in found:
                found.add(number)
                todo += [r.key for r in references(self.program.nodes[number]) if r.kind == "node"]
        return found

    # ------------------------------------------------------------------ a trial

    def run(self, inputs, targets, constants, apply=None):
        """A trial for every sample of a batch; (decision, cost).

        `apply(changes)` gets what synapses are asked, after the trial or after every step; without
        it nothing changes and `changes` can be read.
        """
        engine = self.engine
        self.constants = {**constants, "dt": engine.shape.dt}
        batch, steps = inputs.shape[-2], engine.shape.steps
        chunk = engine.chunk(batch)
        if batch != self.batch:
            self._allocate(batch, chunk)
        self._present(inputs, targets)
        self.changes, self.assignments, self.eligibilities = {}, [], {}
        self.once, self.proportions, self.used = {}, {}, set()
        for key in self.state:
            if key.endswith(".count"):  # spikes of this trial
                self.state[key][...] = 0
        for node in self.program.start:
            self._run_once(node)
        self.literal = chunk < steps
        for first in range(0, steps, chunk):
            self._run_chunk(first, min(chunk, steps - first))
            if engine.each_step and apply:
                self._hand_over(apply)
        if self.plastic:
            self.once = {}
            for node in self.program.finish:
                self._run_once(node)
        if apply:
            self._hand_over(apply)
        return self.state["readout.decision"].copy(), self.state["error.cost"].copy()

    def _hand_over(self, apply):
        if self.changes:
            apply(self.changes)
        self.changes, self.used = {}, set()
        self.assign()

    def _allocate(self, batch, chunk):
        """Arrays for a batch of this size; what neurons hold starts at zero."""
        engine, self.batch = self.engine, batch
        self.state = dict(engine.shared)
        for name, group in engine.assembly.groups.items():
            for line in parse(group.equations, name):
                if line.kind != "subexpression" and "constant" not in line.flags:
                    self.state.setdefault(f"{name}.{line.name}",
                                          np.zeros((batch, group.size), engine.dtype))
        for key in self.program.last:
            owner = key.split(".")[0]
            if owner in engine.sizes:
                self.state.setdefault(key, np.zeros((batch, engine.sizes[owner]), engine.dtype))
        self.buffers = {}
        for stage in self.stages:
            for number in stage.stored:
                node = self.program.nodes[number]
                rows = 1 if node.kind == "mean" else batch
                self.buffers[number] = np.zeros((chunk + 1, rows, self.width(node)), engine.dtype)

    def take_up(self, state):
        """Go on from what neurons held when a checkpoint was written."""
        if state:
            batch = len(next(v for k, v in state.items()))
            self._allocate(batch, self.engine.chunk(batch))
            for key, value in state.items():
                self.state[key][...] = value

    def width(self, node):
        """Neurons of what an operation gives; a plain sum over all synapses is one number."""
        if node.kind != "product":
            return self.engine.sizes[node.owner]
        connection = self.engine.connections[node.owner]
        if not node.detail["synaptic"]:
            return 1
        return connection.post if node.detail["into"] == "post" else connection.pre

    def _present(self, inputs, targets):
        """Hand in a batch: constant in time, or a value for every step."""
        engine, coding = self.engine, self.engine.model.coding
        self.tables = {}
        variable = {"current": "input.x", "poisson": "input.rate", "spikes": "input.given"}[coding]
        if coding == "poisson":
            inputs = inputs * self.constants["input.input_rate"]
        for key, values in ((variable, inputs), ("error.y", targets)):
            table = self.tables if values.ndim == 3 else self.state
            table[key] = np.ascontiguousarray(values, engine.dtype)

    def _run_chunk(self, first, count):
        self.first, self.count = first, count
        self.courses = ticks(self.engine.course, float(self.plastic), first, count)
        self.gates, self.drawn = {}, {}
        for key in self.carries:
            number = self.program.last[key]
            if number in self.buffers:
                self.buffers[number][0] = self.state[key]
        for k, stage in enumerate(self.stages):
            if stage.kind == "kernel":
                self.plans[k].run()
            elif stage.kind == "single":
                self._run_node(stage.nodes[0], range(count))
            else:
                for t in range(count):
                    for node in stage.nodes:
                        self._run_node(node, range(t, t + 1))
            if stage.kind != "kernel":
                for key in stage.carried:
                    self.state[key][...] = self.buffers[self.program.last[key]][count]

    # ------------------------------------------------------------------ values

    def active(self, gate, steps):
        """The steps in which a scalar gate is open."""
        return [t for t in steps if self.gate(gate)[t]] if gate else list(steps)

    def gate(self, gate):
        """A scalar condition on the time courses, for every step of the chunk."""
        if gate not in self.gates:
            found = eval(gate, {"__builtins__": {}}, self.courses)
            self.gates[gate] = np.broadcast_to(found, self.count).astype(float)
        return self.gates[gate]

    def number(self, ref):
        """A constant, or the size of a group."""
        return float(self.engine.sizes[ref.key] if ref.kind == "size" else self.constants[ref.key])

    def series(self, ref):
        """A value for all steps of the chunk: an array (steps or 1, batch or 1, n or 1)."""
        if ref.kind == "node":
            if ref.key in self.proportions:
                found = self.proportions[ref.key]
                return (found.course[:, None, None] * found.base).astype(self.engine.dtype)
            return self.buffers[ref.key][1:self.count + 1]
        if ref.kind == "carry":
            return self.buffers[self.program.last[ref.key]][:self.count]
        if ref.kind == "state":
            if ref.key in self.tables:
                return self.tables[ref.key][self.first:self.first + self.count]
            return self.state[ref.key][None]
        if ref.kind == "course":
            return self.courses[ref.key].reshape(-1, 1, 1).astype(self.engine.dtype)
        if ref.kind == "draw":
            return self._draws(ref.key)
        return np.full((1, 1, 1), self.number(ref), self.engine.dtype)

    def at(self, ref, t):
        """A value in one step of the chunk."""
        if ref.kind in ("constant", "size"):
            return self.number(ref)
        found = self.series(ref)
        return found[t if len(found) > 1 else 0]

    def _draws(self, number):
        """Random numbers for the chunk; only steps with an open gate use any."""
        if number not in self.drawn:
            _, target, gate = self.program.draws[number]
            shape = (self.batch, self.engine.sizes[target.split(".")[0]])
            steps = self.active(gate, range(self.count))
            # Where the gate is shut nobody looks: numbers for one step do for all.
            found = np.zeros((1, 1, shape[1]), self.engine.dtype)
            if steps:
                found = self.engine.random(number, [self.first + t for t in steps], shape,
                                           self.plastic)
            if 1 < len(steps) < self.count:
                values = np.zeros((self.count, *shape), self.engine.dtype)
                values[steps] = found
                found = values
            self.drawn[number] = found
        return self.drawn[number]

    # ------------------------------------------------------------------ operations

    def _run_node(self, node, steps):
        if node.kind == "product":
            self._product(node, self.active(node.gate, steps))
        elif node.kind == "learn":
            self._learn(node, self.active(node.gate, steps))
        elif node.kind == "trace":
            self._trace(node, steps)
        else:
            self._element(node, steps)

    def _element(self, node, steps):
        """An element-wise operation on its own, step by step; a shared variable gets the mean."""
        place = self.buffers[node.number]
        open_ = set(self.active(node.gate, steps))
        for t in steps:
            if t not in open_:
                place[t + 1] = self.at(node.reads["_previous"], t)
                continue
            found = kernels.evaluate(node.code, {w: self.at(r, t) for w, r in node.reads.items()})
            if node.kind == "mean":
                found = np.mean(np.broadcast_to(found, (self.batch, place.shape[-1])), axis=0)
            place[t + 1] = found

    def matrix(self, code, own):
        """The synaptic part of a term: a matrix, or a number."""
        if len(own) == 1 and code in own:
            return self.engine.weights[own[code]]
        return kernels.evaluate(code, {w: self.engine.weights[key] for w, key in own.items()})

    def _product(self, node, steps):
        """Sum through synapses, for all steps in one product."""
        if node.number not in self.ending:
            steps = [t for t in steps if self.first + t < self.engine.shape.steps - 1]
        if not steps:
            return
        source, own = node.reads.get("source"), node.detail["synaptic"]
        values = (self.series(source) if source
                  else np.ones((1, self.batch, 1), self.engine.dtype))
        connection = self.engine.connections[node.owner]
        into = node.detail["into"]
        width = connection.pre if into == "post" else connection.post
        values = np.broadcast_to(values, (len(values), self.batch, width))
        place, rows = self.buffers[node.number], [t + 1 for t in steps]
        if not own:
            place[rows] = values[steps if len(values) > 1 else [0]].sum(
                axis=2, keepdims=True) * kernels.evaluate(node.code, {})
            return
        weights = self.matrix(node.code, own)
        move = connection.forward if into == "post" else connection.transpose
        if len(values) == 1:
            place[rows] = move(values[0], weights)
        elif rows[-1] - rows[0] + 1 == len(rows):
            part = values[steps[0]:steps[-1] + 1].reshape(-1, width)
            move(part, weights, out=place[rows[0]:rows[-1] + 1].reshape(len(part), -1))
        else:
            found = move(values[steps].reshape(-1, width), weights)
            place[rows] = found.reshape(len(rows), self.batch, -1)

    def _learn(self, node, steps):
        """The change of a synaptic variable over some steps, averaged over the batch."""
        if not steps:
            return
        if node.detail["assign"]:
            parts = [(self.contract(node.owner, term, steps[-1:]), term)
                     for term in node.detail["terms"]]
            self.assignments.append((node.target, parts))
            if self.engine.immediate:
                self.assign()
            return
        parts = [(self.contract(node.owner, term, steps), term) for term in node.detail["terms"]]
        # All terms from the old value, before any changes it.
        for change in [self._with_synapse(found, term) for found, term in parts
                       if found is not None]:
            self._change(node.target, change)

    def _with_synapse(self, found, term):
        if not term.synaptic and term.code == "1":
            return found
        if any(key in self.program.eligibilities for key in term.synaptic.values()):
            return found  # already part of it
        return found * self.matrix(term.code, term.synaptic)

    def _change(self, key, change):
        if self.engine.immediate:
            self.engine.weights[key] += change
        elif key in self.changes:
            self.changes[key] = self.changes[key] + change
        else:
            self.changes[key] = change

    def assign(self):
        """What text sets with ``x = ...``, once everything it reads has changed."""
        for key, parts in self.assignments:
            self.engine.weights[key][...] = sum(
                self._with_synapse(found, term) for found, term in parts if found is not None)
        self.assignments = []

    def _scale(self, term):
        values = {w: self.number(r) if r.kind in ("constant", "size") else self.courses[r.key]
                  for w, r in term.scale_reads.items()}
        return kernels.evaluate(term.scale, values)

    def contract(self, owner, term, steps):
        """(pre) x (post) of a term, summed over steps and averaged over samples; None if zero."""
        eligible = [k for k in term.synaptic.values() if k in self.program.eligibilities]
        if eligible:
            return self._contract_eligibility(owner, term, steps, eligible[0])
        return self._outer(owner, self._part(term.pre), self._part(term.post), steps,
                           self._scale(term), decay=bool(term.synaptic))

    def _part(self, ref):
        if ref is None:
            return np.ones((1, 1, 1), self.engine.dtype)
        if ref.kind == "node" and ref.key in self.proportions:
            return self.proportions[ref.key]
        return self.series(ref)

    def _outer(self, owner, P, Q, steps, scale=1.0, decay=False):
        connection = self.engine.connections[owner]
        scale = np.broadcast_to(np.asarray(scale, float), self.count)
        steps = [t for t in steps
                 if scale[t] != 0 and not _is_zero(Q, t) and not _is_zero(P, t)]
        if not steps:
            return None
        (p, P), (q, Q) = _in_time(P, steps), _in_time(Q, steps)
        course = p * q * scale[steps]
        if P.ndim == 2 and Q.ndim == 2:
            Q = Q * self.engine.dtype(course.sum())
        elif P.ndim == 2:
            Q = np.tensordot(course.astype(Q.dtype), Q, 1)
        elif Q.ndim == 2:
            P = np.tensordot(course.astype(P.dtype), P, 1)
        elif (course != 1).any():
            Q = Q * course.astype(Q.dtype)[:, None, None]
        shape = (len(steps),) * (P.ndim == 3) + (self.batch,)
        P = np.broadcast_to(P, (*shape, connection.pre)).reshape(-1, connection.pre)
        Q = np.broadcast_to(Q, (*shape, connection.post)).reshape(-1, connection.post)
        weights = self.engine.weights.get(f"{owner}.w")
        if decay and isinstance(connection, Convolution):
            change = connection.average(Q)
        else:
            change = connection.outer(P, Q, weights, out=self._work(owner))
        change *= self.engine.dtype(1 / self.batch)
        return change

    def _work(self, owner):
        """An array for a contraction: the first of a trial in these synapses has one in reserve."""
        if owner in self.used or self.engine.immediate:
            return None
        self.used.add(owner)
        if owner not in self.reserve:
            shape = self.engine.connections[owner].shape
            self.reserve[owner] = np.empty(shape, self.engine.dtype)
        return self.reserve[owner]

    # ------------------------------------------------------------------ eligibilities

    def _trace(self, node, steps):
        """E of every sample and synapse, literally; only where steps are run one by one."""
        if not self.literal:
            return  # its terms are all there when a text reads it: `_contract_eligibility`
        key, connection = node.target, self.engine.connections[node.owner]
        shape = (self.batch, *connection.shape)
        if key not in self.eligibilities:
            size = int(np.prod(shape)) * np.dtype(self.engine.dtype).itemsize
            if size > ELIGIBILITY_BYTES:
                raise InputError(
                    f"{key}: one step at a time, the eligibility of every sample and synapse "
                    f"would take {size/1e9:.1f} GB (limit {ELIGIBILITY_BYTES/1e9:g}); use all "
                    "steps at once, or a smaller batch or network")
            self.eligibilities[key] = np.zeros(shape, self.engine.dtype)
        E = self.eligibilities[key]
        for t in steps:
            change = 0
            for term in node.detail["terms"]:
                scale = np.broadcast_to(self._scale(term), self.count)[t]
                P, Q = (np.ones((1, 1)) if r is None else self.at(r, t)
                        for r in (term.pre, term.post))
                own = {w: self.eligibilities.get(k, self.engine.weights.get(k))
                       for w, k in term.synaptic.items()}
                change = change + (scale * P)[:, :, None] * Q[:, None, :] * kernels.evaluate(
                    term.code, own)
            E += change

    def _contract_eligibility(self, owner, term, steps, key, at_end=False):
        """A change that reads an eligibility E: every share of E meets what multiplies it later.

        With E(t+1) = k(t)*E(t) + P(t) x Q(t), the sum over t of f(t)*E(t) is the sum over s of
        P(s) x Q(s)*G(s+1), where G(t) = f(t) + k(t)*G(t+1) runs backwards.
        """
        if self.literal:
            return self._contract_literally(term, steps, key, at_end)
        if term.pre is not None:
            raise EquationError(f"{owner}: {key.split('.')[1]} times a presynaptic value cannot be "
                                "factored; the spiking engine runs any text")
        node = next(n for n in self.program.nodes if n.kind == "trace" and n.target == key)
        own = [t for t in node.detail["terms"] if t.synaptic]
        keep = 1 + sum(np.broadcast_to(self._scale(t), self.count) for t in own)
        keep = np.broadcast_to(keep, self.count)
        factor = self._once_value(term.post) if at_end else self._part(term.post)
        factor = factor * self.engine.dtype(1)
        scale = np.broadcast_to(self._scale(term), self.count)
        width = self.engine.connections[owner].post
        later = np.zeros((self.count, self.batch, width), self.engine.dtype)
        total = np.zeros((self.batch, width), self.engine.dtype)
        if at_end:
            total += factor * self.engine.dtype(scale[-1])
        for t in reversed(range(self.count)):
            later[t] = total
            total = total * self.engine.dtype(keep[t])
            if not at_end and t in steps:
                total += factor[t if len(factor) > 1 else 0] * self.engine.dtype(scale[t])
        change = None
        for share in node.detail["terms"]:
            if not share.synaptic:
                Q = self.series(share.post) if share.post is not None else self._part(None)
                found = self._outer(owner, self._part(share.pre), later * Q, range(self.count),
                                    self._scale(share))
                if found is not None:
                    change = found if change is None else change + found
        return change

    def _contract_literally(self, term, steps, key, at_end):
        E = self.eligibilities.get(key)
        if E is None:
            return None
        found = 0
        for t in steps:
            scale = np.broadcast_to(self._scale(term), self.count)[t]
            P, Q = (np.ones((1, 1)) if r is None else
                    np.broadcast_to(self._once_value(r) if at_end else self.at(r, t),
                                    (self.batch, n))
                    for r, n in zip((term.pre, term.post), E.shape[1:]))
            found = found + np.mean((scale * P)[:, :, None] * Q[:, None, :] * kernels.evaluate(
                term.code, dict.fromkeys(term.synaptic, E)), axis=0)
        return found

    # ------------------------------------------------------------------ start and end of a trial

    def _once_value(self, ref):
        if ref is None:
            return np.ones((1, 1), self.engine.dtype)
        if ref.kind == "node":
            return self.once[ref.key]
        if ref.kind == "state":
            return self.state[ref.key]
        if ref.kind == "course":
            return float(self.plastic) if ref.key == "plastic" else 0.0
        if ref.kind == "draw":
            size = self.engine.sizes[self.program.draws[ref.key][1].split(".")[0]]
            return self.engine.random(ref.key, [0], (self.batch, size), self.plastic)[0]
        return self.number(ref)

    def _run_once(self, node):
        """An operation of the start or the end of a trial."""
        if node.kind == "learn":
            self._learn_once(node)
            return
        if node.kind == "mean" and not self.plastic:
            return
        found = kernels.evaluate(node.code, {w: self._once_value(r)
                                             for w, r in node.reads.items()})
        size = self.engine.sizes[node.owner]
        if node.kind == "mean":
            found = np.mean(np.broadcast_to(found, (self.batch, size)), axis=0, keepdims=True)
        self.once[node.number] = found
        if node.target in self.state:
            self.state[node.target][...] = found

    def _learn_once(self, node):
        connection, changes = self.engine.connections[node.owner], []
        for term in node.detail["terms"]:
            key = next((k for k in term.synaptic.values() if k in self.program.eligibilities), None)
            if key:
                found = self._contract_eligibility(node.owner, term, [self.count - 1], key, True)
            else:
                P, Q = (np.broadcast_to(self._once_value(r), (self.batch, n)) for r, n in
                        ((term.pre, connection.pre), (term.post, connection.post)))
                found = connection.outer(P, Q) * (self._scale(term) / self.batch)
                found = self._with_synapse(found, term)
            if found is not None:
                changes.append(found)
        for change in changes:
            self._change(node.target, change)


def _is_zero(X, t):
    """Whether a part of a term is zero in a step, so that the step can be left out.

    An error that is off is, and a trace before the first spike.
    """
    if isinstance(X, Proportional):
        return X.course[t] == 0
    row = X[t if len(X) > 1 else 0]
    return not row[:1].any() and not row.any()


def _in_time(X, steps):
    """A part of a term as (course, array): the array has no time axis where only a factor has."""
    if isinstance(X, Proportional):
        return X.course[steps], X.base
    if len(X) == 1:
        return np.ones(len(steps)), X[0]
    whole = steps[-1] - steps[0] + 1 == len(steps)
    return np.ones(len(steps)), X[steps[0]:steps[-1] + 1] if whole else X[steps]
