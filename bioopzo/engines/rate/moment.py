"""A moment of a trial: what every variable holds, and operations that run on it one by one."""

from dataclasses import replace
from itertools import groupby

import jax
import jax.numpy as jnp
import numpy as np

from bioopzo.engines.rate.arrays import (
    Scaled,
    average,
    effective,
    evaluate,
    forward,
    masked,
    outer,
    plain,
    transpose,
)
from bioopzo.network.connections import Convolution, Dense

#: The axis of (batch, pre, post) along which values of neurons on a side are all the same.
_ACROSS = {"pre": 2, "post": 1}


class Moment:
    """What every variable holds, `env`, while operations run.

    `machine` is the `execute.Machine`; `constants` and `clock` map names to numbers; `draw(place,
    shape)` gives random numbers; `batch` and `dtype` are those of the samples. Filled on the way:
    `sums`, what waits for the end (label -> array), `closers`, what is made of each sum then
    (label -> function of the sum and of the variables), and `uses`, what the backward form of an
    eligibility needs of a step. `adds_twice` says that a sum got two shares.
    """

    def __init__(self, machine, env, constants, clock, draw, batch, dtype, scaled=()):
        self.machine, self.env, self.constants, self.clock = machine, dict(env), constants, clock
        self.draw, self.batch, self.dtype, self.scaled = draw, batch, dtype, scaled
        self.sums, self.closers, self.uses, self.adds_twice = {}, {}, {}, False

    # ------------------------------------------------------------------ values

    def value(self, ref):
        """What a `Ref` stands for."""
        if ref.kind == "value":
            return self.env[ref.key]
        if ref.kind == "clock":
            return self.clock[ref.key]
        if ref.kind == "constant":
            return self.constants[ref.key]
        if ref.kind == "size":
            return float(self.machine.sizes[ref.key])
        if ref.kind == "index":
            return jnp.arange(self.machine.sizes[ref.key], dtype=self.dtype)[None]
        return self.draw(ref.key, self._shape_of_draw(ref.key))

    def _shape_of_draw(self, place):
        owner = self.machine.program.draws[place].target.split(".")[0]
        if owner in self.machine.sizes:
            return self.batch, self.machine.sizes[owner]
        return self.batch, *self.machine.connections[owner].shape

    def write(self, key, value):
        """Give a variable a value; a running statistic gets the mean over the samples."""
        if "@" not in key and not (isinstance(value, Scaled) and key in self.scaled):
            value = jnp.asarray(plain(value))
            value = value if value.dtype == bool else value.astype(self.dtype)
            name = key.split(".")[0]
            if name in self.machine.sizes:
                value = jnp.broadcast_to(value, (self.batch, self.machine.sizes[name]))
                if key in self.machine.program.shared:
                    value = value.mean(axis=0, keepdims=True)
        elif not isinstance(value, Scaled) and jnp.shape(value) == (self.batch, 1):
            # Of a sample: a part of its own time course.
            value = jnp.broadcast_to(value, (self.batch, self.machine.sizes[key.split(".")[0]]))
        self.env[key] = value

    # ------------------------------------------------------------------ operations

    def run(self, nodes):
        """Run operations, those with the same gate as one block."""
        for gate, block in groupby(nodes, key=lambda node: node.gate):
            if gate:
                self._run_gated(gate, list(block))
            else:
                for node in block:
                    getattr(self, f"_{node.kind}")(node)

    def _run_gated(self, gate, nodes):
        kept = {key for node in nodes for key in node.written() if "@" not in key}

        def opened():
            inner = Moment(self.machine, self.env, self.constants, self.clock, self.draw,
                           self.batch, self.dtype, self.scaled)
            inner.closers = self.closers
            for node in nodes:
                getattr(inner, f"_{node.kind}")(node)
            return {key: plain(inner.env[key]) for key in kept}, inner.sums

        is_open = jnp.any(evaluate(gate, self.clock))  # for one of the samples, at least
        if not self.machine.compiled:
            values, sums = opened() if is_open else (
                {key: plain(self.env[key]) for key in kept if key in self.env}, {})
        else:
            values, sums = self._gated(is_open, opened, all(
                node.kind == "element" and node.target not in self.machine.program.shared
                and not any(r.kind == "draw" for r in node.reads.values()) for node in nodes))
        self.env.update(values)
        for label, share in sums.items():
            self._wait(label, share)

    def _gated(self, is_open, opened, cheap):
        """What `opened` gives behind an open gate, else what was there; `cheap`: chosen after."""
        def old(shapes):
            return {key: jnp.broadcast_to(plain(self.env.get(key, 0)), shape.shape).astype(
                shape.dtype) for key, shape in shapes.items()}

        if cheap:
            new, sums = opened()
            kept = old(new)
            return {key: jnp.where(is_open, new[key], kept[key]) for key in new}, sums
        traced_once = jax.jit(opened, inline=True)  # for its shapes, and for the branch
        shapes, sums = jax.eval_shape(traced_once)
        shut = old(shapes), {k: jnp.zeros(s.shape, s.dtype) for k, s in sums.items()}
        return jax.lax.cond(is_open, traced_once, lambda: shut)

    def _element(self, node):
        self.write(node.target, evaluate(node.code, {word: self.value(ref) for word, ref
                                                     in node.reads.items()}))

    def _sum(self, node):
        self.env[node.target] = sum(self._summed(node, term) for term in node.terms)

    def _summed(self, node, term):
        """A term summed over the synapses of every neuron on one side."""
        into_post = node.into == "post"
        if term.literal:
            return self.full(node.owner, term).sum(axis=1 if into_post else 2)
        source, factor = (term.pre, term.post) if into_post else (term.post, term.pre)
        connection, code = self._acting(node.owner, term)
        source = 1.0 if source is None else self.value(source)
        if isinstance(source, Scaled):
            found = source.number * self._through(connection, source.base, code, into_post)
        else:
            found = self._through(connection, source, code, into_post)
        return found if factor is None else found * plain(self.value(factor))

    def _acting(self, owner, term):
        """A connection, and the synapses' part of a term with the weights that are in force.

        Weights are standardised before anything is done to them: alpha*w would be w again after.
        """
        connection = self.machine.connections[owner]
        if not isinstance(connection, Convolution) or not connection.standardise:
            return connection, self.code(term)
        weights = {word: effective(connection, plain(self.value(ref)))
                   for word, (_, ref) in term.reads.items() if ref.key == f"{owner}.w"}
        return replace(connection, standardise=False), self.code(term, **weights)

    def _through(self, connection, source, code, into_post):
        width = connection.pre if into_post else connection.post
        code = masked(connection, code)
        if jnp.ndim(code) < 2:  # no synapse has a value of its own
            total = source * width if jnp.ndim(source) < 2 else jnp.sum(
                jnp.broadcast_to(source, (len(source), width)), axis=1, keepdims=True)
            return total * code
        if jnp.ndim(source) < 2:
            source = jnp.full((1, width), source, self.dtype)
        if code.ndim == 3:
            return jnp.einsum("bi,bij->bj" if into_post else "bj,bij->bi",
                              jnp.broadcast_to(source, (self.batch, width)), code)
        if isinstance(connection, Dense):
            code = jnp.broadcast_to(code, connection.shape)
        return (forward if into_post else transpose)(connection, source, code)

    def _together(self, node):
        """Several changes, all from the old values."""
        for key, value in [(part.target, self.changed(part)) for part in node.parts]:
            if value is not None:
                self.env[key] = value

    def _change(self, node):
        value = self.changed(node)
        if value is not None:
            self.env[node.target] = value

    def _set(self, node):
        """A synaptic variable becomes something where an event happened in any sample."""
        key, machine = node.target, self.machine
        if key in machine.program.eligibilities:
            if key in self.env:
                value = sum(self.full(node.owner, term) for term in node.terms)
                event = 1.0 if node.activity is None else jnp.expand_dims(
                    plain(self.value(node.activity)), _ACROSS[node.side])
                self.env[key] = self._where(event, value, self.env[key])
            return
        event = None if node.activity is None else jnp.broadcast_to(
            plain(self.value(node.activity)),
            (self.batch, getattr(machine.connections[node.owner], node.side)))
        value = sum(self._mean(node.owner, term, event, node.side) for term in node.terms)
        any_ = 1.0 if event is None else jnp.expand_dims(
            1 - jnp.prod(1 - event, axis=0), _ACROSS[node.side] - 1)
        self.env[key] = self._where(any_, value, self.env[key])

    def _where(self, event, new, old):
        """What is set where an event is sure, kept where there is none, between the two else."""
        if self.machine.program.activity == "spikes":  # an event is 0 or 1
            # With all of what follows XLA writes the rounds of the random numbers, of which events
            # are made, out again for each of their readers: gigabytes of code.
            return jnp.broadcast_to(jnp.where(event > 0.5, new, old), old.shape).astype(self.dtype)
        mixed = old + event * (new - old)
        return jnp.broadcast_to(jnp.where(event == 1, new, jnp.where(event == 0, old, mixed)),
                                old.shape).astype(self.dtype)

    # ------------------------------------------------------------------ terms of synapses

    def code(self, term, **instead):
        """The synapses' part of a term: a number, (pre, post) or (batch, pre, post)."""
        def found(word, side, ref):
            if word in instead:
                return instead[word]
            value = plain(self.value(ref))
            return jnp.swapaxes(value, 0, 1) if side == "pre" else value
        return evaluate(term.code, {word: found(word, *place)
                                    for word, place in term.reads.items()})

    def full(self, owner, term):
        """A term for every sample and synapse: (batch, pre, post)."""
        shape = (self.batch, *self.machine.connections[owner].shape)
        self.machine.check_room(f"{owner}: {term.text}, for every sample and synapse,",
                                int(np.prod(shape)) * jnp.dtype(self.dtype).itemsize)

        def found(side, ref):
            value = plain(self.value(ref))
            return jnp.expand_dims(value, _ACROSS[side]) if side in _ACROSS else value
        value = evaluate(term.code, {word: found(*place) for word, place in term.reads.items()})
        for side, ref in (("pre", term.pre), ("post", term.post)):
            if ref is not None:
                value = value * found(side, ref)
        return jnp.broadcast_to(masked(self.machine.connections[owner], value), shape)

    def _mean(self, owner, term, event, side="pre"):
        """The mean of a term over the samples, weighted by the size of their `event` on a side."""
        share = 1 / self.batch if event is None else event / jnp.maximum(
            event.sum(axis=0), jnp.finfo(self.dtype).tiny)
        if term.literal or (term.synaptic & self.machine.program.eligibilities):
            value = self.full(owner, term)
            return (value * (share if event is None else jnp.expand_dims(
                share, _ACROSS[side]))).sum(axis=0)
        if term.pre is None and term.post is None:
            return self.code(term)
        connection = self.machine.connections[owner]
        P, Q = self._sides(term)
        if event is None:
            return self._outer(connection, P, Q) / self.batch * self.code(term)
        if side == "post":
            return self._outer(connection, P, share if Q is None else share * Q) * self.code(term)
        return self._outer(connection, share if P is None else share * P, Q) * self.code(term)

    def _sides(self, term):
        return tuple(None if ref is None else plain(self.value(ref))
                     for ref in (term.pre, term.post))

    def _outer(self, connection, P, Q, w=None):
        """Summed over the samples: like the weights, or with 1 where a side is missing."""
        if P is None and Q is None:
            return float(self.batch)
        if isinstance(connection, Dense) and (P is None or Q is None):
            if P is None:
                return jnp.broadcast_to(Q, (self.batch, Q.shape[1])).sum(axis=0)[None]
            return jnp.broadcast_to(P, (self.batch, P.shape[1])).sum(axis=0)[:, None]
        if P is None:
            return average(connection, jnp.broadcast_to(Q, (self.batch, connection.post)))
        P = jnp.broadcast_to(P, (self.batch, connection.pre)).astype(self.dtype)
        Q = jnp.broadcast_to(1.0 if Q is None else Q, (self.batch, connection.post))
        return outer(connection, P, Q.astype(self.dtype), w)

    # ------------------------------------------------------------------ changes

    def changed(self, node):
        """The new value of a synaptic variable, or None where its change waits."""
        key, machine = node.target, self.machine
        if key in machine.program.eligibilities:
            if key in self.env:
                return self.env[key] + sum(self.full(node.owner, term) for term in node.terms)
            for k, term in enumerate(node.terms):
                self._note_share(key, k, term)
            return None
        total = None
        for k, term in enumerate(node.terms):
            away = term.synaptic & machine.program.eligibilities - set(self.env)
            if away:
                self._note_use(key, k, term, *away)
            elif machine.waits(key):
                self._put_by(node, k, term)
            else:
                share = self._mean(node.owner, term, None)
                total = share if total is None else total + share
        return None if total is None else jnp.broadcast_to(
            self.env[key] + total, self.env[key].shape).astype(self.dtype)

    def _wait(self, label, share):
        self.adds_twice |= label in self.sums
        self.sums[label] = self.sums[label] + share if label in self.sums else share

    def _put_by(self, node, k, term):
        """A term whose change waits: summed in the smallest shape, completed by a closer."""
        key, owner = node.target, node.owner
        connection = self.machine.connections[owner]
        if term.literal or term.synaptic & self.machine.program.eligibilities:
            self._close(key, self._mean(owner, term, None))
            return
        P, Q = (None if ref is None else self.value(ref) for ref in (term.pre, term.post))
        Q, late, label = plain(Q), None, key
        if term.synaptic and self.machine.steady(term):
            label, late = f"{key}|{k}", lambda env: self._late(term, env)
        else:
            code = self.code(term)
            if jnp.ndim(code):
                share = self._outer(connection, plain(P), Q, self.env[key]) * code
                self._close(f"{key}|{k}", share / self.batch)
                return
            Q = code if Q is None else Q * code
        if isinstance(P, Scaled):
            Q = jnp.broadcast_to(P.number * (1.0 if Q is None else Q),
                                 (self.batch, connection.post)).astype(self.dtype)
            base = P.base
            self._close(f"{label}|base", Q, late, lambda total, env: outer(
                connection, base, total, env[key]) / self.batch)
            return
        if Q is None or jnp.ndim(Q) == 0:  # a number, or nothing
            number = 1.0 if Q is None else Q
            share = number if P is None else self._outer(
                connection, P * number, None, self.env[key]) / self.batch
        else:
            share = self._outer(connection, P, Q, self.env[key]) / self.batch
        self._close(f"{label}|{jnp.shape(share)}", jnp.asarray(share, self.dtype), late)

    def _close(self, label, share, late=None, spread=None):
        """Add a share to what waits under a label, and keep what is to be made of it at the end."""
        self._wait(label, share)

        def close(total, env):
            total = spread(total, env) if spread else total
            return total * late(env) if late else total
        self.closers[label] = close

    def _late(self, term, env):
        """The synapses' part of a term when the trial is over."""
        return Moment(self.machine, env, self.constants, self.clock, self.draw, self.batch,
                      self.dtype).code(term)

    # ------------------------------------------------------------------ eligibilities, backwards

    def _note_share(self, key, k, term):
        """What an eligibility gets in a step (pre x post), or how it decays."""
        if term.synaptic:
            _, Q = self._sides(term)
            rate = self.code(term, **{key.split(".")[1]: 1.0})
            self.uses[key, "keep", k] = jnp.broadcast_to(
                rate if Q is None else rate * Q, self._post_shape(key)).astype(self.dtype)
            return
        P, Q = (1.0 if ref is None else self.value(ref) for ref in (term.pre, term.post))
        code = self.code(term)
        if isinstance(P, Scaled):
            Q = plain(Q) * P.number
            self.closers[key, "base", k] = P.base
        else:
            connection = self.machine.connections[key.split(".")[0]]
            self.uses[key, "pre", k] = jnp.broadcast_to(P, (self.batch, connection.pre)).astype(
                self.dtype)
        self.uses[key, "post", k] = jnp.broadcast_to(
            plain(Q) * code, self._post_shape(key)).astype(self.dtype)

    def _note_use(self, target, k, term, key):
        """By what an eligibility is multiplied in a step when it changes a weight."""
        _, Q = self._sides(term)
        rate = self.code(term, **{key.split(".")[1]: 1.0})
        label = key, "use", target
        found = jnp.broadcast_to(rate if Q is None else rate * Q, self._post_shape(key)).astype(
            self.dtype)
        self.uses[label] = self.uses[label] + found if label in self.uses else found

    def _post_shape(self, key):
        return self.batch, self.machine.connections[key.split(".")[0]].post
