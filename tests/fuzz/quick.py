"""What lets a draw take less time without another result: `quickly`.

- Brian2 computes the key of a variable, for its cache, once a state of the variable, not once a
  call (which takes longer than what is cached);
- all-to-all synapses are counted out here, not by code that Brian2 generates;
- operations of the rate engine, run one by one, are NumPy's of the same name, not JAX's: the
  engine's own Python code runs as it is, each operation in a microsecond in place of fifty.
"""

import contextlib
from unittest import mock

import brian2 as b2
import numpy as np
import scipy.special
from brian2.utils import caching

from bioopzo.engines.rate import arrays, execute, moment

_NUMPY = {
    **{name: getattr(np, name) for name in arrays._NAMESPACE if hasattr(np, name)},
    "erf": scipy.special.erf, "where": arrays._where, "int": arrays._int,
    "True": True, "False": False, "exprel": arrays._NAMESPACE["exprel"],
    "timestep": arrays._NAMESPACE["timestep"],
}


@contextlib.contextmanager
def quickly(numpy=True, compiled=False):
    """Within this context draws are quick; `numpy` False leaves JAX's operations.

    With `compiled`, Brian2 counts out synapses itself, as compiled code has to.
    """
    memo, slow = {}, caching._hashable

    def hashable(thing):
        if not isinstance(thing, caching.CacheKey):
            return slow(thing)
        state = tuple(map(id, thing.__dict__.values()))
        kept = memo.get(id(thing))
        if kept is None or kept[1] != state:
            kept = memo[id(thing)] = thing, state, slow(thing)
        return kept[2]

    with contextlib.ExitStack() as stack:
        enter = stack.enter_context
        enter(mock.patch.object(caching, "_hashable", hashable))
        if not compiled:
            enter(mock.patch.object(b2.Synapses, "connect", _connected))
        if numpy:
            enter(on_numpy())
        yield


@contextlib.contextmanager
def on_numpy():
    """Within this context operations of the rate engine, one by one, are NumPy's."""
    namespace = arrays._NAMESPACE.copy()
    before = [(module, module.jnp) for module in (arrays, moment, execute)]
    arrays._NAMESPACE.update(_NUMPY)
    for module, _ in before:
        module.jnp = np
    try:
        yield
    finally:
        arrays._NAMESPACE.update(namespace)
        for module, theirs in before:
            module.jnp = theirs


def _connected(synapses, condition=None, namespace=None):
    """What ``connect()`` and ``connect("connected_name(i, j) > 0.5")`` do."""
    pre, post = np.indices((len(synapses.source), len(synapses.target)))
    there = np.full(pre.shape, True)
    if condition:
        (function,) = namespace.values()
        there = function.implementations["numpy"].get_code(None)(pre, post) > 0.5
    synapses._connect_called = True
    for name, index in (("_synaptic_pre", pre), ("_synaptic_post", post)):
        variable = synapses.variables[name]
        variable.resize(int(there.sum()))
        variable.get_value()[...] = index[there]
    synapses._resize(int(there.sum()))
    synapses._update_synapse_numbers(0)
