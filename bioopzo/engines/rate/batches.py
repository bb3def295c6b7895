"""Batches shown one after the other, as one function that JAX compiles."""

import jax
import jax.numpy as jnp
import numpy as np


def train(machine, kept, given, series, fixed, course, key, first, count):
    """Batches one after the other: (what is kept, readings, size of the changes).

    Of every batch the decision and the cost are read, (2, batch, readouts).

    `given` and `series` (constants, and the optimiser's ``"rate"``) have a leading axis of batches,
    the first `count` of which are shown; `first` went before.
    """
    def one(k, kept, given, series, fixed, course, key, first):
        now = {name: value[k] for name, value in series.items()}
        rate = now.pop("rate", None)
        kept, values = machine.trial(
            kept, {name: value[k] for name, value in given.items()}, {**fixed, **now}, course,
            jax.random.fold_in(key, first + k), first + k, rate)
        return (kept, jnp.stack([values["look"][name] for name in machine.look[:2]]),
                {name: jnp.abs(change).max() for name, change in values["changes"].items()})

    def larger(sizes, now):
        return {name: jnp.maximum(sizes.get(name, 0), size) for name, size in now.items()}

    asked = given, series, fixed, course, key, first
    if not machine.compiled:
        reads, sizes = [], {}
        for k in range(int(count)):
            kept, read, now = one(k, kept, *asked)
            reads.append(read)
            sizes = larger(sizes, now)
        return kept, jnp.stack(reads), sizes
    traced_once = jax.jit(one, inline=True)  # for what it gives, and for the loop
    kept = jax.tree.map(jnp.asarray, kept)
    _, read, sizes = jax.eval_shape(traced_once, jax.ShapeDtypeStruct((), np.int32), kept, *asked)
    room = len(next(iter(given.values())))
    begin = (kept, jnp.zeros((room, *read.shape), read.dtype),
             {name: jnp.zeros(size.shape, size.dtype) for name, size in sizes.items()})

    def body(k, loop):
        kept, reads, sizes = loop
        kept, read, now = traced_once(jnp.asarray(k, np.int32), kept, *asked)
        return kept, reads.at[k].set(read), larger(sizes, now)
    return jax.lax.fori_loop(0, count, body, begin)


def single(machine, kept, given, fixed, course, key, number, apply=True):
    """A single trial; see `Machine.trial`."""
    return machine.trial(kept, given, fixed, course, key, number, apply=apply)


def padded(values, room):
    """An array with a first axis of at least `room`."""
    more = room - len(values)
    return values if more <= 0 else np.concatenate([values, np.zeros((more, *values.shape[1:]),
                                                                     values.dtype)])
