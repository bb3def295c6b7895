"""From a user's words to populations and projections: which pairs, how they start, their bounds."""

import math
import re
import zlib
from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import Any

import numpy as np
from brian2.units import second
from brian2.units.fundamentalunits import have_same_dimensions

from bioopzo.arguments import whole_number
from bioopzo.errors import InputError
from bioopzo.network.connections import Dense, of_mask
from bioopzo.network.entries import Population, Projection, Start
from bioopzo.network.kinds import KINDS

#: Distributions by their names here: that of a `Start`, and its centre and scale.
_DRAWN = {"uniform": ("range", lambda low, high: ((low + high)/2, (high - low)/2)),
          "normal": ("normal", lambda mean, sd: (mean, sd)),
          "lognormal": ("lognormal", lambda mean, sd: (mean, sd))}


def ends(inputs: int, readouts: int) -> tuple[Population, ...]:
    """The populations that every network has: so many inputs, and readouts with their errors."""
    readouts = whole_number("readouts", readouts)
    return (Population("input", whole_number("inputs", inputs), "input", layer=0),
            Population("readout", readouts, "readout", distance=0, reads=(("err", "error"),)),
            Population("error", readouts, "error", reads=(("o", "readout"),)))


def population(name: str, size: int, sign: int, neuron: str) -> Population:
    """A hidden population, as of `Network.population`."""
    _check_name("population", name)
    if sign not in (-1, 0, 1):
        raise InputError(f"the sign of {name} is +1, -1, or 0 where its synapses may have either, "
                         f"not {sign!r}")
    return Population(name, whole_number(f"the size of {name}", size), "hidden", sign=int(sign),
                      neuron=neuron)


def projections(source: Population, target: Population, name: str, which: Mapping[str, Any],
                delay: Any, plastic: bool, weights: Any, bounds: tuple[float, float]
                ) -> list[Projection]:
    """Synapses, as of `Network.connect`: a projection for every delay."""
    _check_name("projection", name)
    if target.kind not in ("hidden", "readout") or source.kind not in ("input", "hidden"):
        raise InputError(f"{name}: synapses lead from the input or a hidden population to a hidden "
                         f"population or the readout, not from {source.name} to {target.name}")
    kind = ("forward" if plastic else "fixed") + "_readout" * (target.kind == "readout")
    low, high = _bounds(name, source, bounds)
    connection = _connection(name, source, target, which)
    blocks = (kind, *(["recurrent"] if source == target else []), name)
    start = _start(name, source, target, weights, (low, high))
    made = Projection(name, source.name, target.name, kind, blocks, connection, ("w",), start, (),
                      0.0, low, high)
    delays = _delays(name, delay)
    if len(delays) == 1:
        return [replace(made, delay=delays[0])]
    chosen = _drawn(name, which["seed"], 1).integers(len(delays), size=connection.shape)
    there = getattr(connection, "mask", np.ones(connection.shape, bool))
    parts = [(f"{name}_{k}", one, of_mask(there & (chosen == k - 1)))
             for k, one in enumerate(delays, 1) if (there & (chosen == k - 1)).any()]
    # The default spread is that of all synapses of a neuron, however many delays share them.
    starts = [start if weights is not None else replace(
        start, scale=math.sqrt(own.fan_in / connection.fan_in)) for _, _, own in parts]
    return [replace(made, name=part, blocks=(*blocks, part), delay=one, connection=own, start=start)
            for (part, one, own), start in zip(parts, starts)]


def distances(populations: Iterable[Population], projections: Iterable[Projection]
              ) -> dict[str, int]:
    """How many projections it takes from each population to the readout; others are missing."""
    found = {p.name: 0 for p in populations if p.kind == "readout"}
    kinds = {p.name: p.kind for p in populations}
    links = [(p.source, p.target) for p in projections]
    while new := {source: found[target] + 1 for source, target in links
                  if target in found and source not in found and kinds[source] == "hidden"}:
        found |= new
    return found


def _check_name(what, name):
    if not (isinstance(name, str) and re.fullmatch(r"[A-Za-z][A-Za-z0-9_]*", name)):
        raise InputError(f"the name of a {what} is letters, digits and _, e.g. 'E', not {name!r}")
    if name in KINDS or name in ("trial", "recurrent", "backward") or name.endswith(
            ("_pre", "_post")):
        raise InputError(f"{name!r} has a meaning of its own: call the {what} otherwise")


def _drawn(name, seed, purpose):
    return np.random.default_rng([whole_number("seed", seed, least=0), zlib.crc32(name.encode()),
                                  purpose])


def _connection(name, source, target, which):
    """The pairs that are connected; `InputError` where there is none, or where two ways ask."""
    shape = source.size, target.size
    p, asked = which["p"], [key for key in ("mask", "pairs") if which[key] is not None]
    asked += ["one_to_one"] * bool(which["one_to_one"])
    if not isinstance(p, (int, float, np.floating)) or isinstance(p, bool) or not 0 < p <= 1:
        raise InputError(f"{name}: p is a probability above 0 and at most 1, not {p!r}")
    asked += ["p"] * bool(p < 1)
    if len(asked) > 1:
        raise InputError(f"{name}: {' and '.join(asked)} each say which neurons are connected: "
                         "give one")
    mask = np.ones(shape, bool)
    if p < 1:
        mask = _drawn(name, which["seed"], 0).random(shape) < p
    elif which["mask"] is not None:
        mask = np.asarray(which["mask"])
        if mask.shape != shape or not np.isin(mask, (0, 1)).all():
            raise InputError(f"{name}: mask has a 0 or 1 for every pair, {shape[0]} x {shape[1]}; "
                             f"got {mask.dtype} {' x '.join(map(str, mask.shape))}")
        mask = mask.astype(bool)
    elif which["pairs"] is not None:
        mask = _of_pairs(name, which["pairs"], shape)
    elif which["one_to_one"]:
        if shape[0] != shape[1]:
            raise InputError(f"{name}: one_to_one needs as many neurons on both sides, not "
                             f"{shape[0]} and {shape[1]}")
        mask = np.eye(shape[0], dtype=bool)
    if not which["autapses"] and source == target:
        mask = mask & ~np.eye(shape[0], dtype=bool)
    if not mask.any():
        raise InputError(f"{name}: no neuron of {source.name} is connected with one of "
                         f"{target.name}; raise p, take another seed, or leave it out")
    return Dense(*shape) if mask.all() else of_mask(mask)


def _of_pairs(name, pairs, shape):
    """The mask of (i, j) pairs."""
    try:
        i, j = (np.asarray(side, float) for side in pairs)
        good = i.shape == j.shape and i.ndim == 1 and all(
            ((side % 1 == 0) & (side >= 0) & (side < size)).all()
            for side, size in zip((i, j), shape))
    except (TypeError, ValueError):
        good = False
    if not good:
        raise InputError(f"{name}: pairs are two lists of the same length, i (0 to {shape[0] - 1}) "
                         f"and j (0 to {shape[1] - 1})")
    mask = np.zeros(shape, bool)
    mask[i.astype(int), j.astype(int)] = True
    return mask


def _bounds(name, source, bounds):
    """The bounds of weights, those of the sign of their source included."""
    low, high = (float(bound) for bound in bounds)
    if source.sign > 0:
        low = max(low, 0.0)
    if source.sign < 0:
        high = min(high, 0.0)
    if not low < high:
        why = f" (all synapses of {source.name} have the sign {source.sign:+d})" * bool(source.sign)
        raise InputError(f"{name}: the bounds leave no room: weights would lie above {low:g} and "
                         f"below {high:g}{why}")
    return low, high


def _start(name, source, target, weights, bounds):
    """How the weights start."""
    further = "input_gain" if source.kind == "input" else "recurrent_gain"
    scales = ("gain", further) if source.kind == "input" or source is target else ("gain",)
    if weights is None:
        return Start("w", "uniform", 1.0, scales, sign=source.sign)
    if isinstance(weights, tuple) and weights and isinstance(weights[0], str):
        if weights[0] not in _DRAWN or len(weights) != 3:
            raise InputError(f"{name}: weights are drawn as ('uniform', low, high), ('normal', "
                             f"mean, sd) or ('lognormal', mean, sd), not {weights!r}")
        distribution, told = _DRAWN[weights[0]]
        centre, scale = told(*(float(x) for x in weights[1:]))
        if not (math.isfinite(centre) and 0 <= scale < math.inf):
            raise InputError(f"{name}: {weights!r} needs finite numbers, and a spread that is not "
                             "below 0")
        return Start("w", distribution, scale, centre=centre, sign=source.sign)
    shape = source.size, target.size
    if callable(weights):
        weights = weights(*np.indices(shape))
    try:
        values = np.array(np.broadcast_to(np.asarray(weights, float), shape))
    except (TypeError, ValueError):
        raise InputError(f"{name}: weights are a number, a distribution, a function of (i, j), or "
                         f"an array of {shape[0]} x {shape[1]}, not {weights!r:.60}") from None
    outside = (values < bounds[0]) | (values > bounds[1]) | ~np.isfinite(values)
    if outside.any():
        i, j = np.argwhere(outside)[0]
        why = f", and all synapses of {source.name} have the sign {source.sign:+d}" * bool(
            source.sign)
        raise InputError(f"{name}: the initial weight from {i} to {j} is {values[i, j]:g}, outside "
                         f"{bounds[0]:g} to {bounds[1]:g}{why}")
    return Start("w", "given", values=values.tobytes())


def _delays(name, delay):
    """Delays in seconds."""
    if np.size(delay) == 1 and float(np.ravel(np.asarray(delay))[0]) == 0:
        return [0.0]
    if not have_same_dimensions(delay, second):
        raise InputError(f"{name}: delay is a time, e.g. 2*ms, or several, e.g. [1, 2, 5]*ms, not "
                         f"{delay!r}")
    found = sorted(set(np.ravel(np.asarray(delay, float)).tolist()))
    if not found:
        raise InputError(f"{name}: delay is a time, e.g. 2*ms, or several, not an empty list")
    if not all(0 <= one < math.inf for one in found):
        raise InputError(f"{name}: a delay is not negative, got {delay!r}")
    return found
