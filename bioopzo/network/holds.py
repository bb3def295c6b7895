"""Whether what is read of a perturbation has reached the readout: a protocol that cannot teach.

A perturbation passes the membranes between its neuron and the readout, then the readout, each a
filter that starts a step after the one before. What is left of it where its effect is read, as a
share of what a very long hold leaves, is its reach.

A rule that sends z through the same filters (zbar) divides by what is left, so it needs that
something arrives. Measured on the digits with OPZO (T_z 1 to 20 ms, two to five hidden layers): M
is 0/0 at the first batch exactly where nothing has arrived at the end of the first pair; what
arrives in its last step is enough.

A rule that compares the loss of +z and -z needs the right sign, too. Short holds have the wrong
one: the effect of +z is read while -z is held. The reset shortens the memory of a membrane that
spikes; with `MEMORY` of tau_m the sign of the reach is that of the update's angle to
backpropagation, measured with two-point node perturbation for 30 choices of T_z, T_w and tau in
two and three hidden layers: from a reach of 0.02 on the update points downhill, below 0 it does
not.
"""

from collections.abc import Callable, Mapping
from functools import partial
from itertools import accumulate

import numpy as np

from bioopzo.errors import InputError
from bioopzo.network.asked import ModelLike
from bioopzo.network.entries import Population
from bioopzo.text.equations import defines, identifiers

#: The least reach of a sign that is right.
LEAST = 0.01

#: A time course by name: ``"sigma"``, ``"window"`` ..., each an array (steps,).
Course = Mapping[str, np.ndarray]


def check_holds(model: ModelLike, dt: float, hold: int, course: Callable[[int], Course]) -> None:
    """Refuse a perturbation whose effect on the readout cannot be read.

    `dt` in seconds, `hold` steps; ``course(steps)`` is the time course with holds of so many
    steps. Raises `InputError`, which names the layer and what would do.
    """
    found = _too_short(model, dt, course(hold))
    if found is None:
        return
    layer, depth = found
    perturbs = model.rule.perturbs
    if perturbs != "pair":
        raise InputError(f"the trial is too short for {depth} hidden layers: a perturbation of "
                         f"{layer.name} does not reach the readout while it is read; show the "
                         "target for longer, or take fewer layers")
    least = _least_hold(model, dt, hold, course)
    remedy = (f"the smallest T_z that does is {least*dt*1e3:g} ms" if least else
              "no T_z that fits into the trial does: take a longer trial, or fewer layers")
    what = "does not reach the readout within a pair of holds" if _follows(model, layer) else \
        "has not passed on to the readout when it is read: the sign of its effect is wrong"
    raise InputError(f"T_z={hold*dt*1e3:g} ms is too short for {depth} hidden layers: what "
                     f"perturbs {layer.name} {what}; {remedy}")


def _least_hold(model, dt, hold, course):
    """The fewest steps above `hold` that are enough, or None."""
    for longer in range(hold + 1, 100 * hold + 100):
        try:
            tried = course(longer)
        except InputError:  # two such holds do not fit
            return None
        if _too_short(model, dt, tried) is None:
            return longer
    return None


def _too_short(model, dt, course):
    """(the first layer from which too little arrives, the number of hidden layers), or None."""
    hidden = model.network.hidden
    for layer in hidden:
        path = filters(model, layer)
        if path is not None:
            enough = _arrives if _follows(model, layer) or model.rule.perturbs != "pair" else _right
            if not enough(course, path, dt, model.rule.perturbs):
                return layer, len(hidden)
    return None


def filters(model: ModelLike, layer: Population) -> list[float] | None:
    """Time constants, in seconds, on the way of a `layer`'s perturbation to the readout.

    None where the `model` does not say.
    """
    words = identifiers(model.rule.current)
    if layer.distance is None or not words & {"push", "z"} \
            or not {"tau_m", "tau_o", "memory"} <= model.parameters.keys():
        return None
    way = model.network.way(layer) or [layer] * (layer.distance - 1)
    return [*(_at(model, "memory", p.name) * _at(model, "tau_m", p.name)
              for p in [*[layer] * ("push" not in words), *way]),
            _at(model, "tau_o", model.network.readout.name)]


def _at(model, parameter, name):
    """The value of a `parameter` in a population: of neurons that differ, the mean."""
    if parameter in model.spread:
        return float(model.spread[parameter].one(name))
    return float(model.parameters[parameter])


def _follows(model, layer):
    """Whether a rule sends z of a layer through the filters on its way, as zbar."""
    return any(defines(model.blocks.get(block, ""), "zbar") for block in layer.blocks)


def response(signal: np.ndarray, path: list[float], dt: float) -> np.ndarray:
    """What filters with the time constants in `path` make of a `signal`; a constant 1 stays 1."""
    for k, tau in enumerate(path):
        keeps = np.exp(-dt / tau)
        late = np.concatenate([[0.0], signal[:-1]]) if k else signal
        signal = np.array(list(accumulate((1 - keeps) * late, partial(_followed, keeps))))
    return signal


def _followed(keeps, value, rise):
    """A filter's next value: what it keeps, and what comes in."""
    return keeps * value + rise


def _arrives(course, path, dt, perturbs):
    """Whether something of the first perturbation arrives where it is read."""
    first = int(np.flatnonzero(course["hold"])[0])
    last = int(np.flatnonzero(course["pair"])[0]) + 1
    window = course["read" if perturbs == "trial" else "window"][first:last]
    return bool(np.any(window * response(course["sigma"][first:last], path, dt)))


def _right(course, path, dt, _):
    """Whether the effect of a pair of holds has its sign, the later pairs' reading included."""
    reach = []
    for first, last in zip(np.flatnonzero(course["hold"]), np.flatnonzero(course["pair"]) + 1):
        alone = np.zeros(len(course["sigma"]))
        alone[first:last] = course["sigma"][first:last]
        reach.append(float(course["window"] @ response(alone, path, dt)) / 2)
    return np.mean(reach) > LEAST
