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
    def one(k, loop):
        kept, _, sizes = loop
        now = {name: value[k] for name, value in series.items()}
        rate = now.pop("rate", None)
        kept, values = machine.trial(
            kept, {name: value[k] for name, value in given.items()}, {**fixed, **now}, course,
            jax.random.fold_in(key, first + k), first + k, rate)
        sizes = {name: jnp.maximum(sizes.get(name, 0), jnp.abs(change).max())
                 for name, change in values["changes"].items()}
        return kept, jnp.stack([values["look"][name] for name in machine.look[:2]]), sizes

    if not machine.compiled:
        reads, sizes = [], {}
        for k in range(int(count)):
            kept, read, sizes = one(k, (kept, None, sizes))
            reads.append(read)
        return kept, jnp.stack(reads), sizes
    _, read, sizes = jax.eval_shape(lambda: one(0, (kept, None, {})))
    room = len(next(iter(given.values())))
    begin = (jax.tree.map(jnp.asarray, kept), jnp.zeros((room, *read.shape), read.dtype),
             {name: jnp.zeros(size.shape, size.dtype) for name, size in sizes.items()})

    def body(k, loop):
        kept, read, sizes = one(k, loop)
        return kept, loop[1].at[k].set(read), sizes
    return jax.lax.fori_loop(0, count, body, begin)


def single(machine, kept, given, fixed, course, key, number, apply=True):
    """A single trial; see `Machine.trial`."""
    return machine.trial(kept, given, fixed, course, key, number, apply=apply)


def padded(values, room):
    """An array with a first axis of at least `room`."""
    more = room - len(values)
    return values if more <= 0 else np.concatenate([values, np.zeros((more, *values.shape[1:]),
                                                                     values.dtype)])
