"""Text on JAX arrays: expressions, a constant array times a number, and sums through projections.

With rows of activity P (rows, pre) and Q (rows, post) and weights w, of any connection:

    forward(c, P, w)    (rows, post)   what the synapses add up in the next layer
    transpose(c, Q, w)  (rows, pre)    what they add up in the layer below
    outer(c, P, Q, w)   like w         the change of every weight, summed over rows

Images are (height, width, channels) per row, so that the channels of a pixel lie together.
"""

from dataclasses import dataclass
from functools import cache, partial
from typing import Any

import jax
import jax.numpy as jnp
import jax.scipy.special
from brian2.parsing.rendering import NumpyNodeRenderer

from bioopzo.network.connections import Convolution, Dense, Sparse
from bioopzo.text.equations import PARSING


def _int(x):
    """1 or 0 of a condition, the whole part of a number."""
    x = jnp.asarray(x)
    return jnp.where(x, 1.0, 0.0) if x.dtype == bool else jnp.trunc(x)


def _where(condition, yes, no):
    return jnp.where(plain(condition), plain(yes), plain(no))


def _with_slope(value, slope, u):
    """A value as it is, with a derivative by u where it has none of its own."""
    return value + jax.lax.stop_gradient(slope) * (u - jax.lax.stop_gradient(u))


def _at_event(event, new, old):
    """What an event, 0 or 1, makes of an old value: the new one; with a derivative by the event."""
    new, old = plain(new), plain(old)
    by_event = (event - jax.lax.stop_gradient(event)) * jax.lax.stop_gradient(new - old)
    return jnp.where(event > 0.5, new, old) + by_event


def _steady_exp(x):
    """exp(x), with a derivative that stays finite where exp(x) does not."""
    small = jnp.exp(jnp.minimum(x, 80.0))
    return small + jax.lax.stop_gradient(jnp.exp(x) - small)


_NAMESPACE = {
    **{name: getattr(jnp, name) for name in (
        "exp", "log", "log10", "sqrt", "sin", "cos", "tan", "tanh", "sinh", "cosh", "sign", "clip",
        "floor", "ceil", "arcsin", "arccos", "arctan", "log1p", "expm1", "logical_and",
        "logical_or", "logical_not", "pi", "inf", "e", "abs")},
    "where": _where, "with_slope": _with_slope, "at_event": _at_event,
    "steady_exp": _steady_exp,
    "erf": jax.scipy.special.erf, "int": _int, "True": True, "False": False,
    "exprel": lambda x: jnp.where(x == 0, 1.0, jnp.expm1(x) / jnp.where(x == 0, 1.0, x)),
    "timestep": lambda t, dt: jnp.floor((t + 1e-3 * dt) / dt),
}


@cache
def _prepared(code):
    with PARSING:
        return compile(NumpyNodeRenderer().render_expr(code), f"<{code}>", "eval")


def evaluate(code, values):
    """An expression of the text on arrays (or `Scaled` ones, where it is linear in them)."""
    if any(isinstance(value, Scaled) for value in values.values()):
        try:
            return eval(_prepared(code), _NAMESPACE, values)
        except TypeError:  # a function that is not linear
            values = {word: plain(value) for word, value in values.items()}
    return eval(_prepared(code), _NAMESPACE, values)


@dataclass(frozen=True)
class Scaled:
    """A number times an array that does not change within a trial, kept apart.

    So the trace of a constant input needs one outer product a trial. Sums of two with the same
    array and products with numbers stay one; anything else is computed with the array.
    """

    number: Any
    base: Any
    __array_ufunc__ = None  # NumPy's numbers leave it to this class

    def _with(self, other, function):
        if isinstance(other, Scaled) and other.base is self.base:
            return Scaled(function(self.number, other.number), self.base)
        if isinstance(other, (int, float)) and other == 0:
            return Scaled(function(self.number, 0.0), self.base)
        return function(plain(self), plain(other))

    def __add__(self, other):
        return self._with(other, lambda a, b: a + b)

    def __radd__(self, other):
        return self._with(other, lambda a, b: b + a)

    def __sub__(self, other):
        return self._with(other, lambda a, b: a - b)

    def __rsub__(self, other):
        return self._with(other, lambda a, b: b - a)

    def __neg__(self):
        return Scaled(-self.number, self.base)

    def __mul__(self, other):
        if not isinstance(other, Scaled) and jnp.ndim(other) == 0:
            return Scaled(self.number * other, self.base)
        return plain(self) * plain(other)

    __rmul__ = __mul__

    def __truediv__(self, other):
        if not isinstance(other, Scaled) and jnp.ndim(other) == 0:
            return Scaled(self.number / other, self.base)
        return plain(self) / plain(other)

    def __rtruediv__(self, other):
        return other / plain(self)


def plain(value):
    """A value as an array."""
    return value.number * value.base if isinstance(value, Scaled) else value


# ---------------------------------------------------------------------------- projections

def masked(connection, values):
    """The `values` of synapses (.., pre, post) with zeros where there is no synapse."""
    return jnp.where(connection.mask, values, 0) if isinstance(connection, Sparse) else values


def forward(connection, P, w):
    """Activity P (rows, pre) through weights: (rows, post)."""
    if isinstance(connection, Dense):
        return P @ w
    image = _pooled(P, connection)
    if not isinstance(connection, Convolution):
        return image.reshape(len(P), -1) @ w
    return _convolved(image, _kernel(connection, w)).reshape(len(P), -1)


def transpose(connection, Q, w):
    """Activity Q (rows, post) back through weights: (rows, pre)."""
    if isinstance(connection, Dense):
        return Q @ w.T
    if isinstance(connection, Convolution):  # the kernel turned around, from post to pre
        kernel = jnp.flip(_kernel(connection, w), (0, 1)).swapaxes(2, 3)
        image = _convolved(Q.reshape(len(Q), *connection.seen[:2], -1), kernel)
    else:
        image = Q @ w.T
    rows = jax.ShapeDtypeStruct((len(Q), connection.pre), Q.dtype)
    pooled = jax.linear_transpose(lambda P: _pooled(P, connection), rows)
    return pooled(image.reshape(jax.eval_shape(lambda P: _pooled(P, connection), rows).shape))[0]


def outer(connection, P, Q, w):
    """What P and Q ask of every weight, summed over rows."""
    if isinstance(connection, Dense):
        return P.T @ Q
    image = _pooled(P, connection)
    if not isinstance(connection, Convolution):
        return image.reshape(len(P), -1).T @ Q
    found = jax.lax.platform_dependent(
        image, Q.reshape(*image.shape[:3], -1), cpu=partial(_crossed, connection.kernel // 2),
        default=lambda P, Q: jax.vjp(lambda v: _convolved(P, v), _kernel(connection, w))[1](Q)[0])
    return jax.vjp(lambda v: _kernel(connection, v), w)[1](found)[0]


def _crossed(margin, image, Q):
    """The kernel's gradient as a convolution of rows: fast on a CPU also within a loop."""
    return jax.lax.conv_general_dilated(
        image.transpose(3, 1, 2, 0), Q.transpose(1, 2, 0, 3), (1, 1), [(margin, margin)] * 2,
        dimension_numbers=("NHWC", "HWIO", "NHWC")).transpose(1, 2, 0, 3)


def average(connection, Q):
    """Mean over the places that share a weight, summed over rows: what scales w itself."""
    if not isinstance(connection, Convolution):
        return Q.sum(axis=0, keepdims=True)
    return Q.reshape(len(Q), -1, connection.channels).mean(axis=1).sum(axis=0, keepdims=True)


def effective(connection, w):
    """The weights of a `Convolution` in force: standardised, where it says so."""
    if not connection.standardise:
        return w
    w = w - w.mean(axis=0)
    return w * (connection.gain / jnp.sqrt(connection.fan_in * (w * w).mean(axis=0) + 1e-8))


def _kernel(connection, w):
    return effective(connection, w).reshape(*[connection.kernel] * 2, connection.image[2], -1)


def _convolved(image, kernel):
    return jax.lax.conv_general_dilated(image, kernel, (1, 1), "SAME",
                                        dimension_numbers=("NHWC", "HWIO", "NHWC"))


def _pooled(P, connection):
    """Images (rows, height, width, channels), averaged over windows of pool x pool pixels."""
    height, width, deep = connection.image
    pool = connection.pool
    if connection.planes:
        P = P.reshape(len(P), deep, height, width).transpose(0, 2, 3, 1)
    return P.reshape(len(P), height // pool, pool, width // pool, pool, deep).mean(axis=(2, 4))
